/*
 * expr/compile_types.c: which types go together.
 *
 * Implicit casts, with their cost when a function's signature is chosen:
 *
 *   INT -> BIGINT -> DECIMAL -> DOUBLE      DATE -> TIMESTAMP
 *   a VARCHAR constant -> TIMESTAMP, DATE, TIME      the literal NULL -> everything
 *
 * INT as a decimal is DECIMAL(10,0), BIGINT DECIMAL(19,0). The common type of decimals keeps the
 * most digits on both sides of the point; beyond 38 in all it gives up digits after the point, as
 * arithmetic does, and a value that no longer fits is a row error.
 */
#include <stdio.h>

#include "expr/compile.h"

const evs_type *evs__simple_type(evs__compiler *c, evs_type_id id, bool nullable)
{
    const evs_type **slot = &c->expr->simple[nullable][id];

    if (!*slot && evs__type_simple(c->ctx, id, nullable, slot))
        return NULL;
    return *slot;
}

int evs__term_type_len(const evs__term *n)
{
    return n->type ? evs__type_len(n->type) : 4;
}

const char *evs__term_type_text(const evs__term *n)
{
    return n->type ? evs_type_print(n->type) : "NULL";
}

static bool is_temporal(evs_type_id id)
{
    return id == EVS_TYPE_TIMESTAMP || id == EVS_TYPE_DATE || id == EVS_TYPE_TIME;
}

static bool same_but_null(const evs_type *a, const evs_type *b)
{
    return evs__type_len(a) == evs__type_len(b) &&
           memcmp(a->text, b->text, (size_t)evs__type_len(a)) == 0;
}

/* rank of numbers in the order of widening */
static int rank(evs_type_id id)
{
    return id == EVS_TYPE_INT       ? 1
           : id == EVS_TYPE_BIGINT  ? 2
           : id == EVS_TYPE_DECIMAL ? 3
           : id == EVS_TYPE_DOUBLE  ? 4
                                    : 0;
}

int evs__implicit_cost_id(const evs__term *n, evs_type_id to)
{
    evs_type_id from = n->type ? n->type->id : to;

    if (from == to)
        return 0;
    if (rank(from) && rank(to) > rank(from))
        return rank(to) - rank(from);
    if (from == EVS_TYPE_DATE && to == EVS_TYPE_TIMESTAMP)
        return 1;
    if (from == EVS_TYPE_VARCHAR && n->constant && is_temporal(to))
        return 5;
    return -1;
}

int evs__implicit_cost(const evs__term *n, const evs_type *to)
{
    /* other digits of a decimal are no hindrance, other parts of a nested type are */
    if (n->type && n->type->id == to->id && to->id >= EVS_TYPE_ARRAY)
        return same_but_null(n->type, to) ? 0 : -1;
    return evs__implicit_cost_id(n, to->id);
}

/* the literal NULL with a type */
static evs_status
typed_null(evs__compiler *c, uint32_t position, const evs_type *to, evs__term **ret)
{
    const evs_type *type = NULL;
    evs__term *n = NULL;
    evs_status status = evs__type_with_nullable(to, true, &type);

    if (status)
        return evs__compile_nomem(c);
    status = evs__term_new(c, position, evs__eval_constant, type, NULL, 0, &n);
    if (!status && (evs__column_new(c->ctx, type, EVS_LAYOUT_OWNED, 1, &n->out) ||
                    evs__column_append_null(n->out)))
        status = evs__compile_nomem(c);
    evs_type_unref(type);
    if (status)
        return status;
    n->constant = true;
    *ret = n;
    return EVS_OK;
}

/* a loop that cannot fail: done for all rows rather than for picked ones */
static bool is_cheap_cast(evs_type_id from, evs_type_id to)
{
    return (from == EVS_TYPE_INT && (to == EVS_TYPE_BIGINT || to == EVS_TYPE_DOUBLE)) ||
           (from == EVS_TYPE_BIGINT && (to == EVS_TYPE_DOUBLE || to == EVS_TYPE_TIMESTAMP)) ||
           (from == EVS_TYPE_TIMESTAMP && to == EVS_TYPE_BIGINT) ||
           (from == EVS_TYPE_DATE && to == EVS_TYPE_TIMESTAMP);
}

evs_status evs__coerce(evs__compiler *c, evs__term *n, const evs_type *to, evs__term **ret)
{
    const evs_type *type = NULL;
    evs__term *cast = NULL;
    evs_status status;

    if (evs__is_null_constant(n))
        return typed_null(c, n->position, to, ret);
    if (same_but_null(n->type, to)) {
        *ret = n;
        return EVS_OK;
    }
    if (evs__type_with_nullable(to, n->type->nullable, &type))
        return evs__compile_nomem(c);
    status = evs__term_new(c, n->position, evs__eval_cast, type, &n, 1, &cast);
    evs_type_unref(type);
    if (status)
        return status;
    cast->partial |= !is_cheap_cast(n->type->id, to->id);
    status = evs__finish_strict(c, cast);
    *ret = cast;
    return status;
}

static evs_status
common_decimal(evs__compiler *c, const evs_type *a, const evs_type *b, const evs_type **ret)
{
    int32_t precision, scale;

    /* the operator without a rule of its own: enough digits for both */
    evs__decimal_type(EVS__OP_EQ, a, b, &precision, &scale);
    return evs__type_decimal(c->ctx, precision, scale, true, ret);
}

/* `type` widened to take n too: *ret gets a new reference; EVS_ERR_TYPE */
static evs_status
widen_type(evs__compiler *c, const evs_type *type, const evs__term *n, const evs_type **ret)
{
    const evs_type *other = n->type;
    int a = rank(type->id), b = rank(other->id);

    if (same_but_null(type, other)) {
        *ret = evs_type_ref(type);
        return EVS_OK;
    }
    if (a && b) {
        if (a < 4 && b < 4 && (a == 3 || b == 3))
            return common_decimal(c, type, other, ret);
        *ret = evs_type_ref(a >= b ? type : other);
        return EVS_OK;
    }
    if ((type->id == EVS_TYPE_TIMESTAMP && other->id == EVS_TYPE_DATE) ||
        (is_temporal(type->id) && other->id == EVS_TYPE_VARCHAR && n->constant)) {
        *ret = evs_type_ref(type);
        return EVS_OK;
    }
    if (type->id == EVS_TYPE_DATE && other->id == EVS_TYPE_TIMESTAMP) {
        *ret = evs_type_ref(other);
        return EVS_OK;
    }
    return EVS_ERR_TYPE;
}

evs_status
evs__common_type(evs__compiler *c, evs__term *const *nodes, size_t count, const evs_type **ret)
{
    const evs_type *type = NULL, *next = NULL;
    bool nullable = false;
    evs_status status = EVS_OK;

    for (int texts = 0; texts < 2 && !status; texts++) {
        for (size_t i = 0; i < count && !status; i++) {
            /* text constants last: they follow the others */
            bool text =
                nodes[i]->type && nodes[i]->type->id == EVS_TYPE_VARCHAR && nodes[i]->constant;
            nullable |= !nodes[i]->type || nodes[i]->type->nullable;
            if (!nodes[i]->type || text != (texts == 1))
                continue;
            if (!type) {
                type = evs_type_ref(nodes[i]->type);
                continue;
            }
            status = widen_type(c, type, nodes[i], &next);
            if (!status) {
                evs_type_unref(type);
                type = next;
            }
        }
    }
    if (!status && type) {
        status = evs__type_with_nullable(type, nullable, &next);
        evs_type_unref(type);
        type = status ? NULL : next;
    }
    if (status) {
        evs_type_unref(type);
        return status;
    }
    *ret = type;
    return EVS_OK;
}

evs_status evs__unify(evs__compiler *c,
                      uint32_t position,
                      const char *what,
                      evs__term **nodes,
                      size_t count,
                      const evs_type **ret)
{
    const evs_type *type = NULL;
    evs_status status = evs__common_type(c, nodes, count, &type);

    if (status == EVS_ERR_TYPE) {
        size_t other = 1;
        while (other + 1 < count && (evs__implicit_cost(nodes[other], nodes[0]->type) >= 0 ||
                                     evs__implicit_cost(nodes[0], nodes[other]->type) >= 0))
            other++;
        return evs__compile_fault(
            c, position, EVS_ERR_TYPE, "%s: %.*s and %.*s have no common type (use CAST)", what,
            evs__term_type_len(nodes[0]), evs__term_type_text(nodes[0]),
            evs__term_type_len(nodes[other]), evs__term_type_text(nodes[other]));
    }
    if (status)
        return evs__compile_nomem(c);
    if (!type) { /* nothing but NULL */
        type = evs_type_ref(evs__simple_type(c, EVS_TYPE_VARCHAR, true));
        if (!type)
            return evs__compile_nomem(c);
    }
    for (size_t i = 0; i < count && !status; i++)
        status = evs__coerce(c, nodes[i], type, &nodes[i]);
    if (status) {
        evs_type_unref(type);
        return status;
    }
    *ret = type;
    return EVS_OK;
}
