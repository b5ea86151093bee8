/*
 * expr/eval_in.c: x IN (constants). Lists with other than constants are made comparisons and OR by
 * the compiler.
 *
 * The constants, cast to the type of x, are kept in one column and a table of their rows: open
 * addressing, by hash, at most half full. For up to LINEAR values comparing one after the other is
 * faster; numbers and text have loops of their own. As SQL has it, a NULL in the list makes the
 * answer NULL where it is not TRUE.
 */
#include <string.h>

#include "base/hash.h"
#include "expr/term.h"

#define LINEAR 16
#define EMPTY UINT32_MAX

typedef struct in_set {
    evs__column *values; /* without NULLs */
    uint32_t *slots;     /* rows of values; NULL: few enough to look at all */
    uint32_t mask;
    bool has_null;
} in_set;

static void in_free(evs_context *ctx, void *state)
{
    in_set *s = state;

    evs__column_unref(s->values);
    evs__free(ctx, s->slots);
    evs__free(ctx, s);
}

static uint64_t hash_row(const evs__column *c, uint32_t row)
{
    uint64_t hash = 0;
    evs__column_hash(c, &row, 1, &hash);
    return hash;
}

/* slot where the row's value is, or would be put */
static uint32_t *find_slot(const in_set *s, const evs__column *c, uint32_t row)
{
    uint32_t at = (uint32_t)hash_row(c, row) & s->mask;

    while (s->slots[at] != EMPTY && !evs__column_equal_rows(s->values, s->slots[at], c, row))
        at = (at + 1) & s->mask;
    return &s->slots[at];
}

static evs_status build_slots(evs_context *ctx, in_set *s)
{
    uint32_t capacity = 16;

    if (s->values->length <= LINEAR)
        return EVS_OK;
    while (capacity < s->values->length * 2)
        capacity *= 2;
    s->slots = evs__realloc_array(ctx, NULL, capacity, sizeof(*s->slots));
    if (!s->slots)
        return EVS_ERR_NOMEM;
    memset(s->slots, 0xff, capacity * sizeof(*s->slots));
    s->mask = capacity - 1;
    for (uint32_t i = 0; i < s->values->length; i++)
        *find_slot(s, s->values, i) = i;
    return EVS_OK;
}

evs_status evs__in_prepare(evs_context *ctx, evs__term *n)
{
    in_set *s = evs__calloc(ctx, 1, sizeof(*s));
    uint32_t zero = 0;
    evs_status status;

    if (!s)
        return EVS_ERR_NOMEM;
    n->state = s;
    n->free_state = in_free;
    status = evs__column_new(ctx, n->args[0]->type, EVS_LAYOUT_OWNED, n->arg_count, &s->values);
    for (uint32_t i = 1; i < n->arg_count && !status; i++) {
        if (evs__column_is_null(n->args[i]->out, 0))
            s->has_null = true;
        else
            status = evs__column_gather(s->values, n->args[i]->out, &zero, 1);
    }
    return status ? status : build_slots(ctx, s);
}

static bool contains_i32(const in_set *s, int32_t v)
{
    bool in = false;
    for (uint32_t i = 0; i < s->values->length; i++)
        in |= s->values->i32[i] == v;
    return in;
}

static bool contains_i64(const in_set *s, int64_t v)
{
    bool in = false;
    for (uint32_t i = 0; i < s->values->length; i++)
        in |= s->values->i64[i] == v;
    return in;
}

static bool contains_text(const in_set *s, evs_string_view v)
{
    const int32_t *offsets = s->values->offsets;
    for (uint32_t i = 0; i < s->values->length; i++) {
        size_t len = (size_t)(offsets[i + 1] - offsets[i]);
        if (len == v.len && (len == 0 || memcmp(s->values->bytes + offsets[i], v.data, len) == 0))
            return true;
    }
    return false;
}

static bool contains(const in_set *s, const evs__column *c, uint32_t row)
{
    evs_type_id id = c->type->id;

    if (id == EVS_TYPE_DOUBLE && c->f64[row] != c->f64[row])
        return false; /* as with =, NaN is in no list */
    if (s->slots)
        return *find_slot(s, c, row) != EMPTY;
    if (id == EVS_TYPE_INT || id == EVS_TYPE_DATE || id == EVS_TYPE_TIME)
        return contains_i32(s, c->i32[row]);
    if (id == EVS_TYPE_BIGINT || id == EVS_TYPE_TIMESTAMP)
        return contains_i64(s, c->i64[row]);
    if (evs__type_is_string(id))
        return contains_text(s, evs__column_str(c, row));
    for (uint32_t i = 0; i < s->values->length; i++) {
        if (evs__column_equal_rows(s->values, i, c, row))
            return true;
    }
    return false;
}

evs_status evs__eval_in(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    const in_set *s = n->state;
    evs__column *c = NULL;
    evs_status status = evs__term_eval(ev, n->args[0], rows, &c);

    if (!status)
        status = evs__term_out(ev, n, rows, ret);
    if (!status)
        status = evs__and_validity(*ret, c, EVS__STRIDE(n->args[0]), rows->total);
    if (status)
        return status;
    memset((*ret)->bits, 0, (rows->total + 7) / 8);
    EVS__FOR_ROWS(rows, i)
    {
        uint32_t row = i * (uint32_t)EVS__STRIDE(n->args[0]);
        bool in;
        if (evs__column_is_null(*ret, i))
            continue;
        in = contains(s, c, row);
        if (!in && s->has_null)
            status = evs__column_set_null(*ret, i);
        else if (in != n->negated)
            evs__bit_set((*ret)->bits, i);
        if (status)
            return status;
    }
    return EVS_OK;
}
