/*
 * engine/aggregate_frequent.c: approx_top_k(x, k): the most frequent values, with bounds.
 *
 * The counters of Space-Saving in the form of Misra and Gries (the two hold the same): up to 2m
 * values are counted exactly; when there is no room for another, the (m+1)st largest count is taken
 * from all, values that fall to nothing leave, and what was taken is added to `offset`. Done once
 * for m new values, that is one or two steps a row.
 *
 *   count - error <= true count <= count        error = offset, the same for all
 *   error <= n / (m + 1)                         n rows, m = max(10 k, 100)
 *
 * So every value more frequent than n / (m + 1) is kept, and with at most 2m different values the
 * result is exact (error 0). Merging adds counts and offsets and makes room the same way: the
 * bounds hold for any order of rows and of merging.
 *
 * A. Metwally, D. Agrawal, A. El Abbadi, Efficient computation of frequent and top-k elements in
 * data streams (2005). P. Agarwal et al., Mergeable summaries (2012).
 */
#include "engine/sketch.h"

#define K_MAX 1000
#define SLOTS_MIN 16u

typedef struct counter {
    uint32_t value; /* + 1; 0: empty */
    uint32_t unused;
    int64_t count;
} counter;

typedef struct frequent {
    int64_t n;
    int64_t offset;
    uint32_t slots, used;
    counter counters[];
} frequent;

static size_t frequent_size(const void *object)
{
    const frequent *f = object;
    return sizeof(*f) + f->slots * sizeof(counter);
}

static uint32_t kept(const evs__aggregate *a)
{
    uint32_t k = (uint32_t)a->params[0].integer;
    return k < 10 ? 100 : 10 * k;
}

static counter *find(frequent *f, uint32_t value)
{
    uint32_t mask = f->slots - 1, at = ((value + 1) * 0x9e3779b1u >> 8) & mask;
    while (f->counters[at].value && f->counters[at].value != value + 1)
        at = (at + 1) & mask;
    return &f->counters[at];
}

/* a table of `slots` with the counters that are more than `less`, by that much less */
static evs_status rebuild(evs__sketches *s, void **object, uint32_t slots, int64_t less)
{
    frequent *old = *object, *f;
    void *p = NULL;
    evs_status status = evs__sketch_alloc(s, sizeof(*f) + slots * sizeof(counter), &p);

    if (status)
        return status;
    f = p;
    f->slots = slots;
    f->n = old ? old->n : 0;
    f->offset = old ? old->offset + less : 0;
    for (uint32_t i = 0; old && i < old->slots; i++) {
        const counter *c = &old->counters[i];
        if (!c->value || c->count <= less)
            continue;
        *find(f, c->value - 1) = (counter){c->value, 0, c->count - less};
        f->used++;
    }
    evs__sketch_free(s, old);
    *object = f;
    return EVS_OK;
}

/* at most m counters stay */
static evs_status prune(evs__sketches *s, void **object, uint32_t m)
{
    const frequent *f = *object;
    evs_context *ctx = s->account->ctx;
    int64_t *counts = evs__realloc_array(ctx, NULL, f->used, sizeof(*counts));
    uint32_t n = 0;
    evs_status status;

    if (!counts)
        return EVS_ERR_NOMEM;
    for (uint32_t i = 0; i < f->slots; i++) {
        if (f->counters[i].value)
            counts[n++] = f->counters[i].count;
    }
    status = rebuild(s, object, f->slots, evs__select_down(counts, n, m));
    evs__free(ctx, counts);
    return status;
}

/* room for a value that is not there yet */
static evs_status make_room(evs__sketches *s, const evs__aggregate *a, void **object)
{
    const frequent *f = *object;

    if (!f)
        return rebuild(s, object, SLOTS_MIN, 0);
    if (f->used >= 2 * kept(a))
        return prune(s, object, kept(a));
    if ((f->used + 1) * 3 > f->slots * 2)
        return rebuild(s, object, f->slots * 2, 0);
    return EVS_OK;
}

static evs_status
add_count(evs__sketches *s, const evs__aggregate *a, void **object, uint32_t value, int64_t count)
{
    counter *c = *object ? find(*object, value) : NULL;

    if (!c || !c->value) {
        evs_status status = make_room(s, a, object);
        if (status)
            return status;
        c = find(*object, value);
        c->value = value + 1;
        ((frequent *)*object)->used++;
    }
    c->count += count;
    return EVS_OK;
}

static evs_status
frequent_put(evs__sketches *s, const evs__aggregate *a, void **object, uint64_t value)
{
    evs_status status = add_count(s, a, object, (uint32_t)value, 1);
    if (!status)
        ((frequent *)*object)->n++;
    return status;
}

static evs_status frequent_merge(evs__sketches *s,
                                 const evs__aggregate *a,
                                 void **object,
                                 const evs__sketches *source,
                                 const void *from)
{
    const frequent *y = from;
    evs_status status = *object ? EVS_OK : rebuild(s, object, SLOTS_MIN, 0);
    int64_t n;

    /* a count or an offset is never more than n */
    if (!status && __builtin_add_overflow(((frequent *)*object)->n, y->n, &n))
        return EVS_ERR_OVERFLOW;
    for (uint32_t i = 0; i < y->slots && !status; i++) {
        const counter *c = &y->counters[i];
        uint32_t value = 0;
        if (!c->value)
            continue;
        status = evs__values_translate(&source->values, &s->values, c->value - 1, &value);
        if (!status)
            status = add_count(s, a, object, value, c->count);
    }
    if (status)
        return status;
    ((frequent *)*object)->n += y->n;
    ((frequent *)*object)->offset += y->offset;
    return EVS_OK;
}

static void frequent_mark(const void *object, uint8_t *live)
{
    const frequent *f = object;
    for (uint32_t i = 0; i < f->slots; i++) {
        if (f->counters[i].value)
            evs__bit_set(live, f->counters[i].value - 1);
    }
}

static void frequent_write(const evs__sketches *s, const void *object, evs__buffer *out)
{
    const frequent *f = object;

    evs__buffer_append(out, &f->n, sizeof(f->n));
    evs__buffer_append(out, &f->offset, sizeof(f->offset));
    evs__buffer_append(out, &f->used, sizeof(f->used));
    for (uint32_t i = 0; i < f->slots; i++) {
        const counter *c = &f->counters[i];
        if (!c->value)
            continue;
        evs__values_write(&s->values, c->value - 1, out);
        evs__buffer_append(out, &c->count, sizeof(c->count));
    }
}

/* counts, with all that was taken from them, are no more than n: so no sum wraps */
static evs_status
frequent_read(evs__sketches *s, const evs__aggregate *a, void **object, evs__reader *in)
{
    int64_t n, offset, left, count;
    uint32_t used, value = 0;
    evs_status status = rebuild(s, object, SLOTS_MIN, 0);

    if (status)
        return status;
    if (!evs__read(in, &n, sizeof(n)) || !evs__read(in, &offset, sizeof(offset)) ||
        !evs__read(in, &used, sizeof(used)) || n < 0 || n >= INT64_C(1) << 61 || offset < 0 ||
        offset > n || used > 2 * kept(a))
        return EVS_ERR_CORRUPT;
    for (left = n - offset; used && !status; used--) {
        status = evs__values_read(&s->values, in, &value);
        if (status)
            break;
        if (!evs__read(in, &count, sizeof(count)) || count < 1 || count > left ||
            find(*object, value)->value)
            return EVS_ERR_CORRUPT;
        left -= count;
        status = add_count(s, a, object, value, count);
    }
    ((frequent *)*object)->n = n;
    ((frequent *)*object)->offset = offset;
    return status;
}

static const evs__sketch_kind frequent_kind = {
    .put = frequent_put,
    .merge = frequent_merge,
    .write = frequent_write,
    .read = frequent_read,
    .size = frequent_size,
    .keeps_values = true,
    .mark = frequent_mark,
};

static uint32_t
frequent_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    (void)a;
    for (uint32_t i = 0; i < g->n; i++) {
        if (!evs__column_is_null(r->arg, r->rows[i]))
            evs__sketch_log(*g->extra, g->index[i], r->ids[i]);
    }
    return g->n;
}

/* ---- results ---- */

typedef struct ranking {
    const frequent *f;
    const evs__values *values;
} ranking;

/* most frequent first, of equals the smaller value */
static int by_count(const void *data, uint32_t a, uint32_t b)
{
    const ranking *r = data;
    const counter *x = &r->f->counters[a], *y = &r->f->counters[b];
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return evs__values_compare(r->values, x->value - 1, y->value - 1);
}

static evs_status
put_top(const evs__aggregate *a, const ranking *r, evs_context *ctx, evs__column *entries)
{
    uint32_t *order = evs__realloc_array(ctx, NULL, (size_t)r->f->used + 1, 2 * sizeof(*order));
    uint32_t n = 0, k = (uint32_t)a->params[0].integer;
    evs_status status = EVS_OK;

    if (!order)
        return EVS_ERR_NOMEM;
    for (uint32_t i = 0; i < r->f->slots; i++) {
        if (r->f->counters[i].value)
            order[n++] = i;
    }
    evs__sort_ids(order, order + n, n, by_count, r);
    status = evs__column_reserve(entries, entries->length + n);
    for (uint32_t i = 0; i < n && i < k && !status; i++) {
        const counter *c = &r->f->counters[order[i]];
        uint32_t value = c->value - 1;
        status = evs__values_get(r->values, &value, 1, &entries->children[0]);
        if (status)
            break;
        evs__column_append_i64(entries->children[1], c->count + r->f->offset);
        evs__column_append_i64(entries->children[2], r->f->offset);
        evs__column_end_struct(entries);
    }
    evs__free(ctx, order);
    return status;
}

static evs_status
frequent_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    const evs__sketches *s = *g->extra;
    evs_status status = evs__sketch_ready(a, g);

    for (uint32_t i = 0; i < g->n && !status; i++) {
        const frequent *f = evs__sketch_object(g, i);
        if (f)
            status = put_top(a, &(ranking){f, &s->values}, g->account->ctx, out->children[0]);
        if (!status)
            evs__column_end_list(out);
    }
    return status;
}

static evs_status type_entries(evs_context *ctx, const evs__aggregate *a, const evs_type **ret)
{
    evs__field fields[] = {{"value", NULL}, {"count", NULL}, {"error", NULL}};
    const evs_type *entry = NULL;
    evs_status status = evs__type_with_nullable(a->arg_type, false, &fields[0].type);

    for (int i = 1; i < 3 && !status; i++)
        status = evs__type_simple(ctx, EVS_TYPE_BIGINT, false, &fields[i].type);
    if (!status)
        status = evs__type_struct(ctx, fields, 3, false, &entry);
    if (!status)
        status = evs__type_array(ctx, entry, false, ret);
    for (int i = 0; i < 3; i++)
        evs_type_unref(fields[i].type);
    evs_type_unref(entry);
    return status;
}

static const evs__agg_param_info k_params[] = {{.name = "k", .kind = 'i', .min = 1, .max = K_MAX},
                                               {.name = NULL}};

const evs__aggregate_functions evs__agg_approx_top_k = {
    .name = "approx_top_k",
    .arg_types = EVS__AGG_ORDERED,
    .params = k_params,
    .keeps_null_arg = true,
    .usage = "approx_top_k(x, k)",
    .gives = "ARRAY<STRUCT<value, count BIGINT, error BIGINT>> NOT NULL",
    .doc = "The k most frequent values (k to 1000), by Space-Saving with m = max(10 k, 100) "
           "counters: the true count is from count - error to count, error is at most n / (m + 1), "
           "0 with at most 2 m different values",
    .sketch = &frequent_kind,
    .type = type_entries,
    .add = frequent_add,
    .result = frequent_result,
    EVS__SKETCH_COMMON,
};
