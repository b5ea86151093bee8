/*
 * engine/aggregate_quantile.c: approx_quantile(x, q), approx_quantiles(x, q, ...): DDSketch.
 *
 *   bucket i    values from gamma^(i-1) to gamma^i, gamma = (1 + e) / (1 - e)
 *   object      how many values in each bucket (open addressing; negative ones in buckets of their
 *               own), how many zeros, infinities, NaNs; the smallest and the largest value
 *
 * Every value of a bucket is within 1 % of its middle, so the result is within 1 % of the value
 * that stands at rank floor(q * (n - 1)) in order. That holds for all data in any order: the counts
 * do not depend on the order of rows, nor on the order of merging, which adds them.
 *
 * Memory: 16 bytes a bucket at half to two thirds full; values over three decades have about 350
 * buckets, all doubles there are 142,000. Nothing is collapsed: the bound of state is the bound.
 *
 * C. Masson, J. Rim, H. Lee, DDSketch: a fast and fully-mergeable quantile sketch with
 * relative-error guarantees, VLDB 12 (2019).
 */
#include <math.h>

#include "engine/sketch.h"

#define ERROR 0.00999                 /* a little below the stated 0.01, for rounding */
#define LOG_GAMMA 0.01998066470846929 /* ln((1 + ERROR) / (1 - ERROR)) */
#define SLOTS_MIN 16u
#define KEY_SHIFT 65536 /* makes indexes positive: they are from -37,300 to 35,600 */

typedef struct bucket {
    int32_t key; /* index + KEY_SHIFT; of negative values the negative of that; 0: empty */
    uint32_t unused;
    int64_t count;
} bucket;

typedef struct quantiles {
    int64_t n;                         /* of all */
    int64_t zeros, below, above, nans; /* below, above: infinities */
    double min, max;                   /* of finite values; when there are some */
    uint32_t slots, used;
    bucket buckets[];
} quantiles;

static size_t quantiles_size(const void *object)
{
    return sizeof(quantiles) + ((const quantiles *)object)->slots * sizeof(bucket);
}

static int32_t key_of(double v)
{
    int32_t key = (int32_t)ceil(log(fabs(v)) / LOG_GAMMA) + KEY_SHIFT;
    return v < 0 ? -key : key;
}

/* the middle of a bucket: 2 gamma^i / (gamma + 1) */
static double value_of(int32_t key)
{
    double i = (double)((key < 0 ? -key : key) - KEY_SHIFT);
    double v = exp(i * LOG_GAMMA) * (1 - ERROR);
    return key < 0 ? -v : v;
}

static bucket *find(quantiles *d, int32_t key)
{
    uint32_t mask = d->slots - 1, at = ((uint32_t)key * 0x9e3779b1u >> 8) & mask;
    while (d->buckets[at].key && d->buckets[at].key != key)
        at = (at + 1) & mask;
    return &d->buckets[at];
}

static evs_status grow(evs__sketches *s, void **object)
{
    quantiles *old = *object, *d;
    uint32_t slots = old ? old->slots * 2 : SLOTS_MIN;
    void *p = NULL;
    evs_status status = evs__sketch_alloc(s, sizeof(quantiles) + slots * sizeof(bucket), &p);

    if (status)
        return status;
    d = p;
    if (old)
        memcpy(d, old, sizeof(quantiles));
    d->slots = slots;
    for (uint32_t i = 0; old && i < old->slots; i++) {
        if (old->buckets[i].key)
            *find(d, old->buckets[i].key) = old->buckets[i];
    }
    evs__sketch_free(s, old);
    *object = d;
    return EVS_OK;
}

/* the bucket of a key, made if there is none */
static evs_status bucket_of(evs__sketches *s, void **object, int32_t key, bucket **ret)
{
    quantiles *d = *object;
    bucket *b = d ? find(d, key) : NULL;
    evs_status status;

    if (!b || (!b->key && (d->used + 1) * 3 > d->slots * 2)) {
        status = grow(s, object);
        if (status)
            return status;
        d = *object;
        b = find(d, key);
    }
    d->used += !b->key;
    b->key = key;
    *ret = b;
    return EVS_OK;
}

static void widen(quantiles *d, double min, double max)
{
    bool first = d->n == d->below + d->above + d->nans;
    d->min = first || min < d->min ? min : d->min;
    d->max = first || max > d->max ? max : d->max;
}

static evs_status
quantiles_put(evs__sketches *s, const evs__aggregate *a, void **object, uint64_t value)
{
    bucket *b = NULL;
    quantiles *d;
    double v;
    evs_status status = EVS_OK;

    (void)a;
    memcpy(&v, &value, sizeof(v));
    if (isfinite(v) && v != 0)
        status = bucket_of(s, object, key_of(v), &b);
    else if (!*object)
        status = grow(s, object);
    if (status)
        return status;
    d = *object;
    if (isfinite(v))
        widen(d, v, v);
    d->n++;
    if (b)
        b->count++;
    else if (v == 0)
        d->zeros++;
    else if (v != v)
        d->nans++;
    else if (v < 0)
        d->below++;
    else
        d->above++;
    return EVS_OK;
}

static evs_status quantiles_merge(evs__sketches *s,
                                  const evs__aggregate *a,
                                  void **object,
                                  const evs__sketches *source,
                                  const void *from)
{
    const quantiles *y = from;
    quantiles *x = *object;
    int64_t n;
    evs_status status = x ? EVS_OK : grow(s, object);

    (void)a;
    (void)source;
    /* n is the sum of all counts: when it fits, they do */
    if (!status && __builtin_add_overflow(((quantiles *)*object)->n, y->n, &n))
        return EVS_ERR_OVERFLOW;
    for (uint32_t i = 0; i < y->slots && !status; i++) {
        bucket *b = NULL;
        if (!y->buckets[i].key)
            continue;
        status = bucket_of(s, object, y->buckets[i].key, &b);
        if (!status)
            b->count += y->buckets[i].count;
    }
    if (status)
        return status;
    x = *object;
    if (y->n > y->below + y->above + y->nans)
        widen(x, y->min, y->max);
    x->n += y->n;
    x->zeros += y->zeros;
    x->below += y->below;
    x->above += y->above;
    x->nans += y->nans;
    return EVS_OK;
}

static void quantiles_write(const evs__sketches *s, const void *object, evs__buffer *out)
{
    const quantiles *d = object;
    const int64_t head[] = {d->zeros, d->below, d->above, d->nans};

    (void)s;
    evs__buffer_append(out, head, sizeof(head));
    evs__buffer_append(out, &d->min, sizeof(d->min));
    evs__buffer_append(out, &d->max, sizeof(d->max));
    evs__buffer_append(out, &d->used, sizeof(d->used));
    for (uint32_t i = 0; i < d->slots; i++) {
        const bucket *b = &d->buckets[i];
        if (!b->key)
            continue;
        evs__buffer_append(out, &b->key, sizeof(b->key));
        evs__buffer_append(out, &b->count, sizeof(b->count));
    }
}

/* counts are added up again: a damaged one must not make a sum that wraps */
static bool count_in(quantiles *d, int64_t count)
{
    return count >= 0 && count < INT64_C(1) << 61 && !__builtin_add_overflow(d->n, count, &d->n) &&
           d->n < INT64_C(1) << 61;
}

static evs_status
quantiles_read(evs__sketches *s, const evs__aggregate *a, void **object, evs__reader *in)
{
    quantiles *d;
    uint32_t used;
    int64_t head[4];
    evs_status status = grow(s, object);

    (void)a;
    if (status)
        return status;
    d = *object;
    if (!evs__read(in, head, sizeof(head)) || !evs__read(in, &d->min, sizeof(d->min)) ||
        !evs__read(in, &d->max, sizeof(d->max)) || !evs__read(in, &used, sizeof(used)) ||
        !(d->min <= d->max))
        return EVS_ERR_CORRUPT;
    d->zeros = head[0];
    d->below = head[1];
    d->above = head[2];
    d->nans = head[3];
    for (int i = 0; i < 4; i++) {
        if (!count_in(d, head[i]))
            return EVS_ERR_CORRUPT;
    }
    for (; used && !status; used--) {
        bucket *b = NULL;
        int32_t key;
        int64_t count;
        if (!evs__read(in, &key, sizeof(key)) || !evs__read(in, &count, sizeof(count)) ||
            count < 1 || key == 0 || key > 2 * KEY_SHIFT || key < -2 * KEY_SHIFT ||
            !count_in(*object, count))
            return EVS_ERR_CORRUPT;
        status = bucket_of(s, object, key, &b);
        if (!status && b->count)
            return EVS_ERR_CORRUPT; /* twice */
        if (!status)
            b->count = count;
    }
    return !status && !((quantiles *)*object)->n ? EVS_ERR_CORRUPT : status;
}

static const evs__sketch_kind quantiles_kind = {
    .put = quantiles_put,
    .merge = quantiles_merge,
    .write = quantiles_write,
    .read = quantiles_read,
    .size = quantiles_size,
};

static uint32_t
quantiles_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    evs__sketches *s = *g->extra;

    (void)a;
    for (uint32_t i = 0; i < g->n; i++) {
        double v = evs__agg_double(r->arg, r->rows[i]);
        uint64_t bits;
        if (evs__column_is_null(r->arg, r->rows[i]))
            continue;
        memcpy(&bits, &v, sizeof(bits));
        evs__sketch_log(s, g->index[i], bits);
    }
    return g->n;
}

/* ---- results ---- */

static int by_key(const void *data, uint32_t a, uint32_t b)
{
    const quantiles *d = data;
    return (d->buckets[a].key > d->buckets[b].key) - (d->buckets[a].key < d->buckets[b].key);
}

/* buckets in order of their values; as much room behind them */
static evs_status ordered(const quantiles *d, evs_context *ctx, uint32_t **ret)
{
    uint32_t *order = evs__realloc_array(ctx, NULL, (size_t)d->used + 1, 2 * sizeof(*order)), n = 0;

    if (!order)
        return EVS_ERR_NOMEM;
    for (uint32_t i = 0; i < d->slots; i++) {
        if (d->buckets[i].key)
            order[n++] = i;
    }
    evs__sort_ids(order, order + d->used, d->used, by_key, d);
    *ret = order;
    return EVS_OK;
}

/* order of values: -infinity, negative, zero, positive, infinity, NaN */
static double at_rank(const quantiles *d, const uint32_t *order, int64_t rank)
{
    uint32_t i = 0;
    double v;

    if (rank < d->below)
        return -INFINITY;
    rank -= d->below;
    for (; i < d->used && d->buckets[order[i]].key < 0; i++) {
        if (rank < d->buckets[order[i]].count)
            goto found;
        rank -= d->buckets[order[i]].count;
    }
    if (rank < d->zeros)
        return 0;
    rank -= d->zeros;
    for (; i < d->used; i++) {
        if (rank < d->buckets[order[i]].count)
            goto found;
        rank -= d->buckets[order[i]].count;
    }
    return rank < d->above ? INFINITY : NAN;
found:
    v = value_of(d->buckets[order[i]].key);
    return v < d->min ? d->min : v > d->max ? d->max : v;
}

static evs_status
put_quantiles(const evs__aggregate *a, const quantiles *d, evs_context *ctx, evs__column *out)
{
    uint32_t *order = NULL;
    evs_status status = ordered(d, ctx, &order);

    if (!status)
        status = evs__column_reserve(out, out->length + a->param_count);
    for (uint32_t k = 0; k < a->param_count && !status; k++) {
        int64_t rank = (int64_t)floor(a->params[k].number * (double)(d->n - 1));
        evs__column_append_f64(out, at_rank(d, order, rank));
    }
    evs__free(ctx, order);
    return status;
}

static evs_status
quantile_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    evs_status status = evs__sketch_ready(a, g);

    for (uint32_t i = 0; i < g->n && !status; i++) {
        const quantiles *d = evs__sketch_object(g, i);
        status = d ? put_quantiles(a, d, g->account->ctx, out) : evs__column_append_null(out);
    }
    return status;
}

static evs_status
quantiles_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    evs_status status = evs__sketch_ready(a, g);

    for (uint32_t i = 0; i < g->n && !status; i++) {
        const quantiles *d = evs__sketch_object(g, i);
        if (!d) {
            status = evs__column_append_null(out);
            continue;
        }
        status = put_quantiles(a, d, g->account->ctx, out->children[0]);
        if (!status)
            evs__column_end_list(out);
    }
    return status;
}

static evs_status type_doubles(evs_context *ctx, const evs__aggregate *a, const evs_type **ret)
{
    const evs_type *element = NULL;
    evs_status status = evs__type_simple(ctx, EVS_TYPE_DOUBLE, false, &element);

    (void)a;
    if (!status)
        status = evs__type_array(ctx, element, false, ret);
    evs_type_unref(element);
    return status;
}

static const evs__agg_param_info one_param[] = {{.name = "q", .kind = 'd', .min = 0, .max = 1},
                                                {.name = NULL}};
static const evs__agg_param_info many_params[] = {
    {.name = "q", .kind = 'd', .many = true, .min = 0, .max = 1}, {.name = NULL}};

const evs__aggregate_functions evs__agg_approx_quantile = {
    .name = "approx_quantile",
    .arg_types = EVS__AGG_NUMBERS,
    .params = one_param,
    .usage = "approx_quantile(x, q)",
    .gives = "DOUBLE",
    .doc = "The value at rank floor(q * (n - 1)) in order, q from 0 to 1, by DDSketch: at most 1 % "
           "of the value away from it, for all data in any order",
    .sketch = &quantiles_kind,
    .type = evs__agg_type_double,
    .add = quantiles_add,
    .result = quantile_result,
    EVS__SKETCH_COMMON,
};

const evs__aggregate_functions evs__agg_approx_quantiles = {
    .name = "approx_quantiles",
    .arg_types = EVS__AGG_NUMBERS,
    .params = many_params,
    .usage = "approx_quantiles(x, q, ...)",
    .gives = "ARRAY<DOUBLE>",
    .doc = "Several of them (to 16) from one sketch",
    .sketch = &quantiles_kind,
    .type = type_doubles,
    .add = quantiles_add,
    .result = quantiles_result,
    EVS__SKETCH_COMMON,
};
