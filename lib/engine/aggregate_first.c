/*
 * engine/aggregate_first.c: one value of the group, of any type, chosen by when it came or by
 * another column.
 *
 *   first(x), last(x)                  by event time, equal times by arrival
 *   earliest_by_offset(x), latest_...  by arrival (ksqlDB's names)
 *   any_value(x)                       some value; here the first to arrive
 *   min_by(x, by), max_by(x, by)       x where `by` is smallest, largest; of equals the first to
 *                                      arrive
 *
 * The state is what the choice is by and the number of the value; values are kept by number in one
 * interner for all groups of a slice (engine/values.h). Most values that come are not chosen, or
 * not for long: when more than half of the kept ones belong to no group they are swept, so memory
 * follows the number of groups. min_by keeps the pair (by, x) as one value and compares its front.
 *
 * Every choice has a total order (time or `by`, then arrival), so merging gives the same in any
 * order.
 */
#include "engine/aggregate.h"
#include "engine/values.h"

typedef struct chosen {
    int64_t time; /* first, last */
    int64_t arrived;
    uint32_t value; /* + 1; 0: none yet */
    uint32_t unused;
} chosen;

static void first_free(evs__account *account, void *extra)
{
    evs__values *v = extra;
    evs__values_free(v);
    evs__account_free(account, v, 1, sizeof(*v));
}

/* min_by: `by` stands in front, for comparing */
static evs_status values_of(const evs__aggregate *a, const evs__agg_groups *g, evs__values **ret)
{
    const evs_type *types[2] = {a->arg_types[0], NULL};
    evs__values *v = *g->extra;

    if (!v) {
        evs_status status = evs__account_resize(g->account, (void **)&v, 0, 1, sizeof(*v));
        if (status)
            return status;
        if (a->fn->arg2_types) {
            types[0] = a->arg_types[1];
            types[1] = a->arg_types[0];
        }
        evs__values_init(v, g->account, types, a->fn->arg2_types ? 2 : 1);
        *g->extra = v;
    }
    *ret = v;
    return EVS_OK;
}

static void sweep(const evs__agg_groups *g, evs__values *v)
{
    uint8_t *live;

    if (!evs__values_crowded(v, g->total))
        return;
    live = evs__calloc(g->account->ctx, (size_t)v->intern.high / 8 + 1, 1);
    if (!live)
        return; /* the next one will */
    for (uint32_t i = 0; i < g->total; i++) {
        const chosen *s = (const chosen *)(const void *)(g->states + (size_t)i * g->stride);
        if (s->value)
            evs__bit_set(live, s->value - 1);
    }
    evs__intern_sweep(&v->intern, live);
    evs__free(g->account->ctx, live);
}

static evs_status
first_reserve(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    const evs__column *columns[2] = {r->args[0], NULL};
    evs__values *v = NULL;
    evs_status status = values_of(a, g, &v);

    if (status)
        return status;
    sweep(g, v);
    if (v->parts == 2) {
        columns[0] = r->args[1];
        columns[1] = r->args[0];
    }
    return evs__values_add(v, columns, r->rows, g->n, r->scratch, r->ids);
}

/* whether x is the better choice than y; `by` is what the function goes by */
typedef bool (*better_fn)(const evs__values *v, const chosen *x, const chosen *y);

static bool is_first(const evs__values *v, const chosen *x, const chosen *y)
{
    (void)v;
    return x->time != y->time ? x->time < y->time : x->arrived < y->arrived;
}

static bool is_last(const evs__values *v, const chosen *x, const chosen *y)
{
    return is_first(v, y, x);
}

static bool is_earliest(const evs__values *v, const chosen *x, const chosen *y)
{
    (void)v;
    return x->arrived < y->arrived;
}

static bool is_latest(const evs__values *v, const chosen *x, const chosen *y)
{
    (void)v;
    return x->arrived > y->arrived;
}

static bool is_min(const evs__values *v, const chosen *x, const chosen *y)
{
    int order = evs__values_compare(v, x->value - 1, y->value - 1);
    return order ? order < 0 : x->arrived < y->arrived;
}

static bool is_max(const evs__values *v, const chosen *x, const chosen *y)
{
    int order = evs__values_compare(v, x->value - 1, y->value - 1);
    return order ? order > 0 : x->arrived < y->arrived;
}

static inline uint32_t
add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r, better_fn better)
{
    const evs__values *v = *g->extra;
    for (uint32_t i = 0; i < g->n; i++) {
        uint32_t row = r->rows[i];
        chosen *s = evs__agg_state(g, i);
        chosen x = {evs__agg_time(r, row), r->first + row, r->ids[i] + 1, 0};
        if (evs__column_is_null(r->args[0], row) ||
            (a->arg_count > 1 && evs__column_is_null(r->args[1], row)))
            continue;
        if (!s->value || better(v, &x, s))
            *s = x;
    }
    return g->n;
}

static inline evs_status merge(const evs__aggregate *a,
                               const evs__agg_groups *to,
                               const evs__agg_groups *from,
                               better_fn better)
{
    const evs__values *source = *from->extra;
    evs__values *v = NULL;
    evs_status status;

    if (!source)
        return EVS_OK;
    status = values_of(a, to, &v);
    if (!status)
        sweep(to, v);
    for (uint32_t i = 0; i < to->n && !status; i++) {
        chosen *s = evs__agg_state(to, i), x = *(chosen *)evs__agg_state(from, i);
        uint32_t value = 0;
        if (!x.value)
            continue;
        status = evs__values_translate(source, v, x.value - 1, &value);
        if (status)
            break;
        x.value = value + 1;
        if (!s->value || better(v, &x, s))
            *s = x;
    }
    return status;
}

static evs_status first_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    const evs__values *v = *g->extra;
    evs__column *columns[2] = {out, NULL};
    evs_status status = EVS_OK;

    if (v && v->parts == 2) {
        status =
            evs__column_new(g->account->ctx, a->arg_types[1], EVS_LAYOUT_OWNED, g->n, &columns[0]);
        columns[1] = out;
    }
    for (uint32_t i = 0; i < g->n && !status; i++) {
        const chosen *s = evs__agg_state(g, i);
        uint32_t id = s->value - 1;
        status = s->value ? evs__values_get(v, &id, 1, columns) : evs__column_append_null(out);
    }
    if (columns[0] != out)
        evs__column_unref(columns[0]);
    return status;
}

/* ---- snapshot: [uint8 has a value][time, arrived][value] ---- */

static evs_status first_write(const evs__aggregate *a, const evs__agg_groups *g, evs__buffer *out)
{
    (void)a;
    for (uint32_t i = 0; i < g->n; i++) {
        const chosen *s = evs__agg_state(g, i);
        evs__buffer_byte(out, s->value != 0);
        if (!s->value)
            continue;
        evs__buffer_append(out, &s->time, sizeof(s->time));
        evs__buffer_append(out, &s->arrived, sizeof(s->arrived));
        evs__values_write(*g->extra, s->value - 1, out);
    }
    return out->status;
}

static evs_status first_read(const evs__aggregate *a, const evs__agg_groups *g, evs__reader *in)
{
    evs__values *v = NULL;
    evs_status status = values_of(a, g, &v);

    for (uint32_t i = 0; i < g->n && !status; i++) {
        chosen *s = evs__agg_state(g, i);
        uint32_t id = 0;
        uint8_t present;
        if (!evs__read(in, &present, 1) || present > 1)
            return EVS_ERR_CORRUPT;
        if (!present)
            continue;
        if (!evs__read(in, &s->time, sizeof(s->time)) ||
            !evs__read(in, &s->arrived, sizeof(s->arrived)) || !evs__agg_arrived(a, s->arrived))
            return EVS_ERR_CORRUPT;
        status = evs__values_read(v, in, &id);
        if (!status)
            s->value = id + 1;
    }
    return status;
}

/* ---- the rows ---- */

#define CHOICE(function)                                                                           \
    static uint32_t function##_add(const evs__aggregate *a, const evs__agg_groups *g,              \
                                   const evs__agg_rows *r)                                         \
    {                                                                                              \
        return add(a, g, r, is_##function);                                                        \
    }                                                                                              \
                                                                                                   \
    static evs_status function##_merge(const evs__aggregate *a, const evs__agg_groups *to,         \
                                       const evs__agg_groups *from)                                \
    {                                                                                              \
        return merge(a, to, from, is_##function);                                                  \
    }

CHOICE(first)
CHOICE(last)
CHOICE(earliest)
CHOICE(latest)
CHOICE(min)
CHOICE(max)

#define FIRST_COMMON(function)                                                                     \
    .arg_types = UINT32_MAX, .size = sizeof(chosen), .align = _Alignof(chosen),                    \
    .distinct = EVS__DISTINCT_SAME, .group = "choice", .reserve = first_reserve,                   \
    .add = function##_add, .merge = function##_merge, .result = first_result,                      \
    .write = first_write, .read = first_read, .extra_free = first_free

const evs__aggregate_functions evs__agg_first = {
    .name = "first",
    .usage = "first(x)",
    .doc = "Value with the smallest event time, of equal times the first to arrive",
    FIRST_COMMON(first),
};

const evs__aggregate_functions evs__agg_last = {
    .name = "last",
    .usage = "last(x)",
    .doc = "Value with the largest event time, of equal times the last to arrive",
    FIRST_COMMON(last),
};

const evs__aggregate_functions evs__agg_first_by_offset = {
    .name = "first_by_offset",
    .usage = "first_by_offset(x)",
    .doc = "Value that arrived first, whatever its event time",
    FIRST_COMMON(earliest),
};

const evs__aggregate_functions evs__agg_earliest_by_offset = {
    .name = "earliest_by_offset",
    .usage = "earliest_by_offset(x)",
    .doc = "The same as first_by_offset (ksqlDB's name)",
    FIRST_COMMON(earliest),
};

const evs__aggregate_functions evs__agg_last_by_offset = {
    .name = "last_by_offset",
    .usage = "last_by_offset(x)",
    .doc = "Value that arrived last, whatever its event time",
    FIRST_COMMON(latest),
};

const evs__aggregate_functions evs__agg_latest_by_offset = {
    .name = "latest_by_offset",
    .usage = "latest_by_offset(x)",
    .doc = "The same as last_by_offset (ksqlDB's name)",
    FIRST_COMMON(latest),
};

const evs__aggregate_functions evs__agg_any_value = {
    .name = "any_value",
    .usage = "any_value(x)",
    .doc = "One of the values; the first to arrive",
    FIRST_COMMON(earliest),
};

const evs__aggregate_functions evs__agg_min_by = {
    .name = "min_by",
    .arg2_types = EVS__AGG_ORDERED,
    .usage = "min_by(x, by)",
    .doc = "x of the row with the smallest `by` (order as min's), of equals the first to arrive",
    FIRST_COMMON(min),
};

const evs__aggregate_functions evs__agg_max_by = {
    .name = "max_by",
    .arg2_types = EVS__AGG_ORDERED,
    .usage = "max_by(x, by)",
    .doc = "x of the row with the largest `by` (order as max's), of equals the first to arrive",
    FIRST_COMMON(max),
};
