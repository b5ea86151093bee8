/*
 * expr/compile_call.c: which function a call means.
 *
 * All signatures of the name are tried; the one whose arguments need the fewest implicit casts is
 * taken. Functions of the host have one signature each and follow the same rules. A name that is
 * neither is told with the closest known one; aggregates, which live in windows, say so.
 */
#include <string.h>

#include "base/config.h"
#include "expr/compile.h"

/* ---- letters of the table ---- */

static evs_type_id letter_type(char letter)
{
    static const char letters[] = "bildmsytec";
    static const evs_type_id ids[] = {
        EVS_TYPE_BOOLEAN, EVS_TYPE_INT,   EVS_TYPE_BIGINT,    EVS_TYPE_DOUBLE, EVS_TYPE_DECIMAL,
        EVS_TYPE_VARCHAR, EVS_TYPE_BYTES, EVS_TYPE_TIMESTAMP, EVS_TYPE_DATE,   EVS_TYPE_TIME};
    const char *at = strchr(letters, letter);
    return at ? ids[at - letters] : (evs_type_id)0;
}

static const char *letter_text(char letter)
{
    switch (letter) {
    case 'T':
        return "T";
    case 'A':
        return "ARRAY<T>";
    case 'M':
        return "MAP<T>";
    case 'X':
        return "any";
    default:
        return evs__type_word(letter_type(letter));
    }
}

evs_status evs__function_signature(const evs__function *f, evs__buffer *out)
{
    bool optional = false;

    evs__buffer_printf(out, "%s(", f->name);
    for (const char *p = f->args; *p; p++) {
        bool may_miss = p[1] == '?';
        if (may_miss && !optional) {
            evs__buffer_text(out, p == f->args ? "[" : " [");
            optional = true;
        }
        if (p != f->args)
            evs__buffer_text(out, ", ");
        evs__buffer_text(out, letter_text(*p));
        if (p[1] == '*')
            evs__buffer_text(out, ", ...");
        p += may_miss || p[1] == '*';
    }
    evs__buffer_text(out, optional ? "]) -> " : ") -> ");
    return evs__buffer_text(out, f->result ? f->result[0] == '=' ? "same" : letter_text(*f->result)
                                 : f->args[0] == 'm' ? "DECIMAL"
                                                     : "T");
}

/* the letter of argument i; '\0': there is no such argument */
static char letter_at(const evs__function *f, size_t i)
{
    const char *p = f->args;

    for (; *p && i; i--) {
        if (p[1] == '*')
            return *p;
        p += p[1] == '?' ? 2 : 1;
    }
    return *p;
}

static size_t least_args(const evs__function *f)
{
    size_t n = 0;
    for (const char *p = f->args; *p && p[1] != '?'; p += p[1] == '*' ? 2 : 1)
        n++;
    return n;
}

static int decimal_cost(const evs__term *n)
{
    if (!n->type || n->type->id == EVS_TYPE_DECIMAL)
        return 0;
    return n->type->id == EVS_TYPE_INT ? 2 : n->type->id == EVS_TYPE_BIGINT ? 1 : -1;
}

static int letter_cost(char letter, const evs__term *n)
{
    switch (letter) {
    case 'T':
    case 'X':
        return 0;
    case 'A':
        return n->type && n->type->id == EVS_TYPE_ARRAY ? 0 : -1;
    case 'M':
        return n->type && n->type->id == EVS_TYPE_MAP ? 0 : -1;
    case 'm':
        return decimal_cost(n);
    default:
        return evs__implicit_cost_id(n, letter_type(letter));
    }
}

/* -1: the signature does not take these arguments */
static int signature_cost(const evs__function *f, evs__term *const *args, size_t count)
{
    int cost = 0;

    if (count < least_args(f))
        return -1;
    for (size_t i = 0; i < count; i++) {
        char letter = letter_at(f, i);
        int one = letter ? letter_cost(letter, args[i]) : -1;
        if (one < 0)
            return -1;
        cost += one;
    }
    return cost;
}

/* ---- casts of the arguments, type of the result ---- */

/* T: the common type of these arguments and of the elements of A and M */
static evs_status unify_any(evs__compiler *c,
                            const evs__ast *a,
                            const evs__function *f,
                            evs__term **args,
                            size_t count,
                            const evs_type **ret)
{
    evs__term *nodes[EVS__ARGS_MAX];
    const evs_type *element = NULL;
    size_t n = 0;
    evs_status status;

    for (size_t i = 0; i < count; i++) {
        char letter = letter_at(f, i);
        if (letter == 'T')
            nodes[n++] = args[i];
        else if (letter == 'A' || letter == 'M')
            element = evs_type_child(args[i]->type, letter == 'M');
    }
    if (n == 0)
        return EVS_OK;
    if (element) {
        for (size_t i = 0; i < n; i++) {
            if (evs__implicit_cost(nodes[i], element) < 0)
                return evs__compile_fault(
                    c, a->position, EVS_ERR_TYPE, "%s: %.*s is not the type of the elements, %.*s",
                    f->name, evs__term_type_len(nodes[i]), evs__term_type_text(nodes[i]),
                    evs__type_len(element), evs_type_print(element));
        }
        status = EVS_OK;
        for (size_t i = 0; i < n && !status; i++)
            status = evs__coerce(c, nodes[i], element, &nodes[i]);
        *ret = evs_type_ref(element);
    } else {
        status = evs__unify(c, a->position, f->name, nodes, n, ret);
    }
    n = 0;
    for (size_t i = 0; i < count && !status; i++) {
        if (letter_at(f, i) == 'T')
            args[i] = nodes[n++];
    }
    return status;
}

static evs_status cast_arg(evs__compiler *c, char letter, evs__term *n, evs__term **ret)
{
    evs_type_id id = letter_type(letter);
    const evs_type *type;
    evs_status status;

    *ret = n;
    if (!id && n->type)
        return EVS_OK;
    if (letter == 'm') {
        if (n->type && n->type->id == EVS_TYPE_DECIMAL)
            return EVS_OK;
        if (evs__type_decimal(c->ctx,
                              evs__is_integer(n) && n->type->id == EVS_TYPE_BIGINT ? 19 : 10, 0,
                              true, &type))
            return evs__compile_nomem(c);
        status = evs__coerce(c, n, type, ret);
        evs_type_unref(type);
        return status;
    }
    type = evs__simple_type(c, id ? id : EVS_TYPE_VARCHAR, true);
    return type ? evs__coerce(c, n, type, ret) : evs__compile_nomem(c);
}

static evs_status result_type(evs__compiler *c,
                              const evs__function *f,
                              const evs__term *call,
                              const evs_type *any,
                              const evs_type **ret)
{
    bool nullable = f->nullable;
    const evs_type *type;

    for (uint32_t i = 0; i < call->arg_count && !f->lazy; i++)
        nullable |= call->args[i]->type->nullable;
    if (!f->result)
        return f->result_type(c->ctx, call, nullable, ret) ? evs__compile_nomem(c) : EVS_OK;
    if (f->result[0] == 'T')
        type = any;
    else if (f->result[0] == '=')
        type = call->args[0]->type;
    else
        type = evs__simple_type(c, letter_type(f->result[0]), nullable);
    if (!type || evs__type_with_nullable(type, nullable, ret))
        return evs__compile_nomem(c);
    return EVS_OK;
}

/* nullif(a, b): the evaluator wants a and a = b */
static evs_status nullif_args(evs__compiler *c, evs__term **args)
{
    const evs_type *type = evs__simple_type(c, EVS_TYPE_BOOLEAN, true);
    evs__term *equal = NULL;
    evs_status status;

    if (!type)
        return evs__compile_nomem(c);
    status = evs__term_new(c, args[0]->position, evs__eval_compare, type, args, 2, &equal);
    if (status)
        return status;
    equal->op = EVS__OP_EQ;
    args[1] = equal;
    return evs__finish_strict(c, equal);
}

static evs_status call_function(evs__compiler *c,
                                const evs__ast *a,
                                const evs__function *f,
                                evs__term **args,
                                size_t count,
                                evs__term **ret)
{
    const evs_type *any = NULL, *type = NULL;
    evs__term *n = NULL;
    evs_status status = unify_any(c, a, f, args, count, &any);

    for (size_t i = 0; i < count && !status; i++)
        status = cast_arg(c, letter_at(f, i), args[i], &args[i]);
    if (!status && f->eval == evs__eval_nullif)
        status = nullif_args(c, args);
    if (!status)
        status = evs__term_new(c, a->position, f->eval, NULL, args, count, &n);
    if (!status) {
        n->function = f;
        n->partial = true;
        if (f->eval == evs__eval_extreme)
            n->op = f->name[0] == 'g' ? EVS__OP_GT : EVS__OP_LT;
        status = result_type(c, f, n, any, &type);
    }
    if (!status) {
        n->type = type;
        status = f->lazy ? evs__fold(c, n) : evs__finish_strict(c, n);
    }
    evs_type_unref(any);
    if (!status)
        *ret = n;
    return status;
}

/* ---- functions of the host ---- */

static evs_status call_host(evs__compiler *c,
                            const evs__ast *a,
                            const evs__host_function *f,
                            evs__term **args,
                            size_t count,
                            evs__term **ret)
{
    const evs_type *type = NULL;
    evs__term *n = NULL;
    evs_status status = EVS_OK;

    if (count != f->arg_count)
        return evs__compile_fault(c, a->position, EVS_ERR_TYPE, "%s takes %zu arguments, not %zu",
                                  f->name, f->arg_count, count);
    for (size_t i = 0; i < count && !status; i++) {
        if (evs__implicit_cost(args[i], f->args[i]) < 0)
            return evs__compile_fault(c, a->args[i]->position, EVS_ERR_TYPE,
                                      "%s: argument %zu is %.*s, this is %.*s", f->name, i + 1,
                                      evs__type_len(f->args[i]), evs_type_print(f->args[i]),
                                      evs__term_type_len(args[i]), evs__term_type_text(args[i]));
        status = evs__coerce(c, args[i], f->args[i], &args[i]);
    }
    if (status)
        return status;
    if (evs__type_with_nullable(f->result, true, &type))
        return evs__compile_nomem(c);
    status = evs__term_new(c, a->position, evs__eval_host, type, args, count, &n);
    evs_type_unref(type);
    if (status)
        return status;
    n->state = (void *)f;
    n->partial = true; /* and never folded: it may give something else each time */
    *ret = n;
    return EVS_OK;
}

/* ---- look-up ---- */

/* "abs(VARCHAR): there is abs(INT) -> INT, ..." */
static evs_status no_signature(evs__compiler *c,
                               const evs__ast *a,
                               const evs__function *first,
                               evs__term *const *args,
                               size_t count)
{
    size_t n;
    const evs__function *end = evs__functions(&n) + n;
    evs__buffer text;
    evs_status status;

    evs__buffer_init(&text, c->ctx, 2048);
    evs__buffer_printf(&text, "no function %s(", a->name);
    for (size_t i = 0; i < count; i++)
        evs__buffer_printf(&text, "%s%.*s", i ? ", " : "", evs__term_type_len(args[i]),
                           evs__term_type_text(args[i]));
    evs__buffer_text(&text, "); there is ");
    for (const evs__function *f = first; f < end && strcmp(f->name, a->name) == 0; f++) {
        if (f != first)
            evs__buffer_text(&text, ", ");
        evs__function_signature(f, &text);
    }
    if (text.status == EVS_ERR_NOMEM)
        status = evs__compile_nomem(c);
    else
        status = evs__compile_fault(c, a->position, EVS_ERR_TYPE, "%s", evs__buffer_cstr(&text));
    evs__buffer_free(&text);
    return status;
}

static bool is_aggregate(const char *name)
{
    static const char *const names[] = {"count",          "sum",   "avg",  "min",    "max",
                                        "count_distinct", "first", "last", "stddev", "variance"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static evs_status unknown_function(evs__compiler *c, const evs__ast *a)
{
    const evs__host_function *host = evs__host_functions(c->ctx);
    size_t count, n = 0, hosts = 0;
    const evs__function *table = evs__functions(&count);
    const char **names, *hint;

    if (is_aggregate(a->name) || a->distinct || a->filter)
        return evs__compile_fault(c, a->position, EVS_ERR_EXPRESSION,
                                  "unknown function \"%s\" (aggregates belong into a window's list "
                                  "of aggregates, at the top level of an item)",
                                  a->name);
    for (const evs__host_function *h = host; h; h = h->next)
        hosts++;
    names = evs__calloc(c->ctx, count + hosts, sizeof(*names));
    if (!names)
        return evs__compile_nomem(c);
    for (size_t i = 0; i < count; i++)
        names[n++] = table[i].name;
    for (; host; host = host->next)
        names[n++] = host->name;
    hint = evs__did_you_mean(a->name, names, n);
    evs__free(c->ctx, (void *)names);
    if (hint)
        return evs__compile_fault(c, a->position, EVS_ERR_EXPRESSION,
                                  "unknown function \"%s\" (did you mean \"%s\"?)", a->name, hint);
    return evs__compile_fault(c, a->position, EVS_ERR_EXPRESSION, "unknown function \"%s\"",
                              a->name);
}

static const evs__function *best_signature(const evs__function *first,
                                           const evs__function *end,
                                           evs__term *const *args,
                                           size_t count)
{
    const evs__function *best = NULL;
    int best_cost = -1;

    for (const evs__function *f = first; f < end && strcmp(f->name, first->name) == 0; f++) {
        int cost = signature_cost(f, args, count);
        if (cost >= 0 && (!best || cost < best_cost)) {
            best = f;
            best_cost = cost;
        }
    }
    return best;
}

evs_status evs__compile_call(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    size_t count;
    const evs__function *f = evs__functions(&count), *end = f + count, *best;
    const evs__host_function *host = evs__host_functions(c->ctx);
    evs__term *args[EVS__ARGS_MAX];
    evs_status status = EVS_OK;

    while (f < end && strcmp(f->name, a->name) != 0)
        f++;
    while (host && strcmp(host->name, a->name) != 0)
        host = host->next;
    if (a->distinct || a->filter || (f == end && !host))
        return unknown_function(c, a);
    if (a->arg_count > EVS__ARGS_MAX)
        return evs__compile_fault(c, a->position, EVS_ERR_EXPRESSION,
                                  "a function has at most %d arguments", EVS__ARGS_MAX);
    if (f < end && f->alias && a->arg_count == 2) {
        evs__ast op = *a;
        op.kind = EVS__AST_BINARY;
        op.name = f->alias;
        return evs__compile(c, &op, ret);
    }
    for (uint32_t i = 0; i < a->arg_count && !status; i++)
        status = evs__compile(c, a->args[i], &args[i]);
    if (status)
        return status;
    if (f == end)
        return call_host(c, a, host, args, a->arg_count, ret);
    best = best_signature(f, end, args, a->arg_count);
    if (!best)
        return no_signature(c, a, f, args, a->arg_count);
    return call_function(c, a, best, args, a->arg_count, ret);
}
