/*
 * engine/aggregate_once.c: f(DISTINCT x): each value of a group goes to f once.
 *
 *   state    [state of f][run of the values seen]
 *   extra    the bag of values, and f's own extra
 *
 * A row whose value is new enters the set and then f, at once, so that f may refuse it as it would
 * any row (a sum that does not fit): the value leaves the set again. Which rows were new is kept in
 * the highest bit of their value's number until the next batch, for undo(). NULL is left out; of
 * two arguments, rows where one is NULL.
 *
 * f's own numbers of values (a median keeps its values by number too) follow from ours: a table
 * from one to the other is filled when rows are reserved.
 *
 * Cost: a look-up a row, 40 to 48 bytes a value and group; f pays for new values only.
 */
#include "engine/bag.h"

#define NEW 0x80000000u

typedef struct once {
    evs__bag bag;
    void *inner_extra;
    evs__extra_free_fn inner_free;
    uint32_t *inner_ids; /* by value: its number in f */
    size_t inner_capacity;
} once;

static uint32_t run_offset(const evs__aggregate *a)
{
    return (a->inner->size + 7) / 8 * 8;
}

static void once_free(evs__account *account, void *extra)
{
    once *o = extra;
    if (o->inner_extra && o->inner_free)
        o->inner_free(account, o->inner_extra);
    evs__bag_free(&o->bag, account);
    evs__account_free(account, o->inner_ids, o->inner_capacity, sizeof(*o->inner_ids));
    evs__account_free(account, o, 1, sizeof(*o));
}

static evs_status once_of(const evs__aggregate *a, const evs__agg_groups *g, once **ret)
{
    once *o = *g->extra;

    if (!o) {
        evs_status status = evs__account_resize(g->account, (void **)&o, 0, 1, sizeof(*o));
        if (status)
            return status;
        memset(o, 0, sizeof(*o));
        evs__bag_init(&o->bag, g->account, a->arg_types, a->arg_count, true);
        o->inner_free = a->inner->fn->extra_free;
        *g->extra = o;
    }
    *ret = o;
    return EVS_OK;
}

/* the groups as f sees them; `none`: a place for an extra while there is no set */
static evs__agg_groups inner_groups(const evs__agg_groups *g, void **none)
{
    evs__agg_groups inner = *g;
    once *o = *g->extra;
    inner.extra = o ? &o->inner_extra : none;
    return inner;
}

static bool is_null(const evs__aggregate *a, const evs__agg_rows *r, uint32_t row)
{
    for (uint32_t k = 0; k < a->arg_count; k++) {
        if (evs__column_is_null(r->args[k], row))
            return true;
    }
    return false;
}

/* f's numbers of the rows' values */
static evs_status
reserve_inner(const evs__aggregate *a, once *o, const evs__agg_groups *g, const evs__agg_rows *r)
{
    evs__agg_groups groups = inner_groups(g, NULL);
    size_t values = o->bag.values.intern.high;
    evs__agg_rows rows = *r;
    evs_status status = EVS_OK;

    if (!a->inner->fn->reserve)
        return EVS_OK;
    if (values > o->inner_capacity) {
        size_t room = values + values / 2;
        status = evs__account_resize(g->account, (void **)&o->inner_ids, o->inner_capacity, room,
                                     sizeof(*o->inner_ids));
        if (status)
            return status;
        o->inner_capacity = room;
    }
    rows.ids = evs__realloc_array(g->account->ctx, NULL, g->n, sizeof(*rows.ids));
    if (!rows.ids)
        return EVS_ERR_NOMEM;
    status = a->inner->fn->reserve(a->inner, &groups, &rows);
    for (uint32_t i = 0; i < g->n && !status; i++)
        o->inner_ids[r->ids[i]] = rows.ids[i];
    evs__free(g->account->ctx, rows.ids);
    return status;
}

static evs_status
once_reserve(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    once *o = NULL;
    evs_status status = once_of(a, g, &o);

    if (!status)
        status = evs__bag_reserve(&o->bag, g, r);
    return status ? status : reserve_inner(a, o, g, r);
}

/* one new value to f */
static bool add_inner(const evs__aggregate *a,
                      once *o,
                      const evs__agg_groups *g,
                      const evs__agg_rows *r,
                      uint32_t i,
                      uint32_t value)
{
    evs__agg_groups groups = inner_groups(g, NULL);
    evs__agg_rows row = *r;
    uint32_t id = o->inner_ids ? o->inner_ids[value] : 0;

    groups.index = g->index + i;
    groups.n = 1;
    row.rows = r->rows + i;
    row.ids = &id;
    return a->inner->fn->add(a->inner, &groups, &row) == 1;
}

static uint32_t once_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    uint32_t offset = run_offset(a), added = 0;
    once *o = *g->extra;

    for (uint32_t i = 0; i < g->n; i++) {
        evs__bag_run *run = evs__bag_run_of(g, offset, i);
        if (is_null(a, r, r->rows[i]) || evs__bag_find(&o->bag, g->index[i], r->ids[i]))
            continue;
        if (a->inner->fn->undoes_last && added++)
            return i; /* the caller goes on with fewer rows */
        evs__bag_push(&o->bag, run, g->index[i], r->ids[i], r->first + r->rows[i]);
        if (!add_inner(a, o, g, r, i, r->ids[i])) {
            evs__bag_pop(&o->bag, run, g->index[i]);
            return i;
        }
        r->ids[i] |= NEW;
    }
    return g->n;
}

static void
once_undo(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r, uint32_t n)
{
    uint32_t offset = run_offset(a);
    evs__agg_groups groups = inner_groups(g, NULL);
    once *o = *g->extra;

    groups.n = 1;
    while (n-- > 0) {
        evs__agg_rows row = *r;
        uint32_t id;
        if (!(r->ids[n] & NEW))
            continue;
        r->ids[n] &= ~NEW;
        id = o->inner_ids ? o->inner_ids[r->ids[n]] : 0;
        groups.index = g->index + n;
        row.rows = r->rows + n;
        row.ids = &id;
        a->inner->fn->undo(a->inner, &groups, &row, 1);
        evs__bag_pop(&o->bag, evs__bag_run_of(g, offset, n), g->index[n]);
    }
}

/* ---- merge ---- */

/* values of `from` that are new to their groups, as rows of columns */
typedef struct fresh {
    uint32_t *ids;    /* of `to`, by row */
    uint32_t *source; /* of `from`, by row */
    uint32_t *places; /* in to->index, by row */
    uint32_t *rows;   /* 0, 1, 2 ... */
    uint32_t *inner;  /* room for numbers of f */
    int64_t *arrived;
    uint32_t n, capacity;
    evs__column *columns[EVS__AGG_ARGS_MAX];
} fresh;

static void fresh_free(fresh *f, evs_context *ctx)
{
    evs__free(ctx, f->ids);
    evs__free(ctx, f->arrived);
    for (uint32_t i = 0; i < EVS__AGG_ARGS_MAX; i++)
        evs__column_unref(f->columns[i]);
}

static evs_status fresh_new(fresh *f, evs_context *ctx, size_t capacity)
{
    f->ids = evs__realloc_array(ctx, NULL, capacity + 1, 5 * sizeof(*f->ids));
    f->arrived = evs__realloc_array(ctx, NULL, capacity + 1, sizeof(*f->arrived));
    if (!f->ids || !f->arrived)
        return EVS_ERR_NOMEM;
    f->source = f->ids + capacity;
    f->places = f->source + capacity;
    f->rows = f->places + capacity;
    f->inner = f->rows + capacity;
    return EVS_OK;
}

static evs_status find_fresh(const evs__aggregate *a,
                             const evs__agg_groups *to,
                             const evs__agg_groups *from,
                             fresh *f)
{
    once *target = *to->extra, *source = *from->extra;
    evs_context *ctx = to->account->ctx;
    uint32_t *nodes, value = 0;
    evs_status status = EVS_OK;

    for (uint32_t i = 0; i < from->n && !status; i++) {
        const evs__bag_run *run = evs__bag_run_of(from, run_offset(a), i);
        nodes = NULL;
        status = evs__bag_ordered(&source->bag, run, ctx, &nodes);
        for (uint32_t k = 0; k < run->count && !status; k++) {
            const evs__bag_node *node = &source->bag.nodes[nodes[k]];
            status = evs__values_translate(&source->bag.values, &target->bag.values, node->value,
                                           &value);
            if (status || evs__bag_find(&target->bag, to->index[i], value))
                continue;
            f->ids[f->n] = value;
            f->source[f->n] = node->value;
            f->places[f->n] = i;
            f->rows[f->n] = f->n;
            f->arrived[f->n++] = node->arrived;
        }
        evs__free(ctx, nodes);
    }
    return status;
}

static evs_status
make_columns(const evs__aggregate *a, const evs__values *source, evs_context *ctx, fresh *f)
{
    evs_status status = EVS_OK;
    for (uint32_t k = 0; k < a->arg_count && !status; k++)
        status = evs__column_new(ctx, a->arg_types[k], EVS_LAYOUT_OWNED, f->n + 1, &f->columns[k]);
    return status ? status : evs__values_get(source, f->source, f->n, f->columns);
}

static evs_status add_fresh(const evs__aggregate *a, const evs__agg_groups *to, fresh *f)
{
    evs__agg_groups g = inner_groups(to, NULL);
    evs__agg_rows r = {.arg = f->columns[0],
                       .args = (const evs__column *const *)f->columns,
                       .rows = f->rows,
                       .ids = f->inner};
    once *o = *to->extra;
    evs__buffer scratch;
    evs_status status = EVS_OK;

    evs__buffer_init(&scratch, to->account->ctx, INT32_MAX);
    r.scratch = &scratch;
    g.n = f->n;
    g.most = to->total;
    if (a->inner->fn->reserve)
        status = a->inner->fn->reserve(a->inner, &g, &r);
    evs__buffer_free(&scratch);
    g.n = 1;
    for (uint32_t i = 0; i < f->n && !status; i++) {
        evs__bag_run *run = evs__bag_run_of(to, run_offset(a), f->places[i]);
        uint32_t group = to->index[f->places[i]];
        g.index = to->index + f->places[i];
        r.rows = f->rows + i;
        r.ids = f->inner + i;
        r.first = f->arrived[i] - i;
        if (a->inner->fn->add(a->inner, &g, &r) != 1)
            return EVS_ERR_OVERFLOW;
        evs__bag_push(&o->bag, run, group, f->ids[i], f->arrived[i]);
    }
    return status;
}

static size_t values_of(const evs__aggregate *a, const evs__agg_groups *g)
{
    size_t n = 0;
    for (uint32_t i = 0; i < g->n; i++)
        n += evs__bag_run_of(g, run_offset(a), i)->count;
    return n;
}

static evs_status
once_merge(const evs__aggregate *a, const evs__agg_groups *to, const evs__agg_groups *from)
{
    const once *source = *from->extra;
    evs_context *ctx = to->account->ctx;
    fresh f = {.n = 0};
    once *o = NULL;
    evs_status status;

    if (!source)
        return EVS_OK;
    status = once_of(a, to, &o);
    if (!status)
        status = fresh_new(&f, ctx, values_of(a, from));
    if (!status)
        status = find_fresh(a, to, from, &f);
    if (!status)
        status = evs__bag_reserve_nodes(&o->bag, to->account, f.n);
    if (!status)
        status = make_columns(a, &source->bag.values, ctx, &f);
    if (!status && f.n)
        status = add_fresh(a, to, &f);
    fresh_free(&f, ctx);
    return status;
}

/* ---- the rest is f's ---- */

static evs_status once_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    void *none = NULL;
    evs__agg_groups inner = inner_groups(g, &none);
    return a->inner->fn->result(a->inner, &inner, out);
}

static evs_status once_write(const evs__aggregate *a, const evs__agg_groups *g, evs__buffer *out)
{
    evs__agg_groups inner;
    once *o = NULL;
    evs_status status = once_of(a, g, &o);

    if (status)
        return status;
    inner = inner_groups(g, NULL);
    status = evs__aggregate_write(a->inner, &inner, out);
    return status ? status : evs__bag_write(&o->bag, g, run_offset(a), out);
}

static evs_status once_read(const evs__aggregate *a, const evs__agg_groups *g, evs__reader *in)
{
    evs__agg_groups inner;
    once *o = NULL;
    evs_status status = once_of(a, g, &o);

    if (status)
        return status;
    inner = inner_groups(g, NULL);
    status = evs__aggregate_read(a->inner, &inner, in);
    return status ? status : evs__bag_read(&o->bag, a, g, run_offset(a), UINT32_MAX, in);
}

static evs_status once_refusal(const evs__aggregate *a, evs__buffer *message)
{
    return evs__aggregate_refusal(a->inner, message);
}

#define ONCE_COMMON                                                                                \
    .reserve = once_reserve, .add = once_add, .merge = once_merge, .result = once_result,          \
    .write = once_write, .read = once_read, .extra_free = once_free

static const evs__aggregate_functions once_plain = {.name = "distinct", ONCE_COMMON};
static const evs__aggregate_functions once_refusing = {
    .name = "distinct",
    .undo = once_undo,
    .refusal = once_refusal,
    ONCE_COMMON,
};

void evs__agg_once_wrap(evs__aggregate *a)
{
    a->fn = a->inner->fn->undo ? &once_refusing : &once_plain;
    a->size = run_offset(a) + (uint32_t)sizeof(evs__bag_run);
    a->align = a->inner->align > 8 ? a->inner->align : 8;
    a->size = (a->size + a->align - 1) / a->align * a->align;
}
