/*
 * engine/aggregate_quantile.c: approx_quantile(x, q), approx_quantiles(x, q, ...): DDSketch.
 *
 *   few values  themselves, up to 512: the result is exact
 *   bucket i    values from gamma^(i-1) to gamma^i, gamma = (1 + e) / (1 - e)
 *   more        how many values in each bucket (open addressing; negative ones in buckets of their
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

#define RAW_MIN 8u
#define RAW_MAX 512u

typedef struct quantiles {
    int64_t n;                         /* of all */
    int64_t zeros, below, above, nans; /* below, above: infinities */
    double min, max;                   /* of finite values; when there are some */
    uint32_t raw, raw_room;            /* raw_room 0: buckets */
    uint32_t slots, used;
    bucket buckets[]; /* or [raw_room] values, as integers of the same order */
} quantiles;

static int64_t *raw_of(const quantiles *d)
{
    return (int64_t *)(void *)d->buckets;
}

/* doubles and integers that compare alike; its own inverse on the bits */
static inline int64_t ordered_bits(int64_t bits)
{
    return bits ^ (int64_t)((uint64_t)(bits >> 63) >> 1);
}

static size_t quantiles_size(const void *object)
{
    const quantiles *d = object;
    return sizeof(*d) + (d->raw_room ? d->raw_room * sizeof(double) : d->slots * sizeof(bucket));
}

/*
 * Natural logarithm of a positive finite number, to 1e-9: exponent, and the series of atanh for a
 * mantissa from sqrt(1/2) to sqrt(2). A value this near to a bucket's border may fall into the
 * next: ERROR leaves room for a thousand times that.
 */
static inline double quick_log(double v)
{
    const uint64_t half = UINT64_C(0x3fe0000000000000);
    uint64_t bits;
    double m, s, s2, e = 0;

    if (v < 2.2250738585072014e-308) { /* subnormal */
        v *= 18014398509481984.0;      /* 2^54 */
        e = -54;
    }
    memcpy(&bits, &v, sizeof(bits));
    e += (double)((int64_t)(bits >> 52) - 1022);
    bits = (bits & UINT64_C(0xfffffffffffff)) | half;
    memcpy(&m, &bits, sizeof(m)); /* 1/2 to 1 */
    if (m < 0.70710678118654752) {
        m *= 2;
        e -= 1;
    }
    s = (m - 1) / (m + 1);
    s2 = s * s;
    s += s * s2 * (1.0 / 3 + s2 * (1.0 / 5 + s2 * (1.0 / 7 + s2 * (1.0 / 9))));
    return 2 * s + e * 0.69314718055994531;
}

static inline int32_t key_of(double v)
{
    double i = quick_log(fabs(v)) * (1 / LOG_GAMMA) + KEY_SHIFT; /* above zero */
    int32_t key = (int32_t)i;
    key += (double)key < i;
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

static evs_status new_object(evs__sketches *s, const quantiles *old, size_t bytes, quantiles **ret)
{
    void *p = NULL;
    evs_status status = evs__sketch_alloc(s, sizeof(quantiles) + bytes, &p);

    if (status)
        return status;
    if (old)
        memcpy(p, old, sizeof(*old));
    *ret = p;
    return EVS_OK;
}

static bool is_full(const quantiles *d)
{
    return (d->used + 1) * 3 > d->slots * 2;
}

/* false: there are too few */
static bool values_to_buckets(const quantiles *from, quantiles *d)
{
    for (uint32_t i = 0; i < from->raw; i++) {
        int64_t bits = ordered_bits(raw_of(from)[i]);
        int32_t key;
        bucket *b;
        double v;
        memcpy(&v, &bits, sizeof(v));
        key = key_of(v);
        b = find(d, key);
        if (!b->key && is_full(d))
            return false;
        d->used += !b->key;
        b->key = key;
        b->count++;
    }
    return true;
}

/* an object with so many buckets; *ret_full: they were too few */
static evs_status rebuild(evs__sketches *s, void **object, uint32_t slots, bool *ret_full)
{
    quantiles *old = *object, *d = NULL;
    evs_status status = new_object(s, old, slots * sizeof(bucket), &d);

    if (status)
        return status;
    d->slots = slots;
    d->raw = d->raw_room = 0;
    for (uint32_t i = 0; old && i < old->slots; i++) {
        if (old->buckets[i].key)
            *find(d, old->buckets[i].key) = old->buckets[i];
    }
    *ret_full = old && !values_to_buckets(old, d);
    evs__sketch_free(s, *ret_full ? d : old);
    if (!*ret_full)
        *object = d;
    return EVS_OK;
}

/* twice the buckets; values become buckets */
static evs_status grow(evs__sketches *s, void **object)
{
    const quantiles *old = *object;
    uint32_t slots = old && old->slots ? old->slots * 2 : SLOTS_MIN;
    bool full = true;
    evs_status status = EVS_OK;

    slots = old && old->raw > RAW_MAX / 4 ? RAW_MAX / 2 : slots;
    for (; full && !status; slots *= 2)
        status = rebuild(s, object, slots, &full);
    return status;
}

/* room for one more value as it is; when there are too many, buckets */
static evs_status raw_room(evs__sketches *s, void **object)
{
    quantiles *old = *object, *d = NULL;
    uint32_t room = old ? old->raw_room * 4 : RAW_MIN;
    evs_status status;

    if (old && (!old->raw_room || old->raw < old->raw_room))
        return EVS_OK;
    if (room > RAW_MAX)
        return grow(s, object);
    status = new_object(s, old, room * sizeof(int64_t), &d);
    if (status)
        return status;
    if (old)
        memcpy(raw_of(d), raw_of(old), old->raw * sizeof(int64_t));
    d->raw_room = room;
    evs__sketch_free(s, old);
    *object = d;
    return EVS_OK;
}

/* the bucket of a key, made if there is none; values become buckets */
static evs_status bucket_of(evs__sketches *s, void **object, int32_t key, bucket **ret)
{
    quantiles *d = *object;
    bucket *b = d && d->slots ? find(d, key) : NULL;
    evs_status status;

    if (!b || (!b->key && is_full(d))) {
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

/* a finite value other than zero, not yet in n */
static evs_status put_value(evs__sketches *s, void **object, double v)
{
    bucket *b = NULL;
    quantiles *d;
    int64_t bits;
    evs_status status = raw_room(s, object);

    if (status)
        return status;
    d = *object;
    if (d->raw_room) {
        memcpy(&bits, &v, sizeof(bits));
        raw_of(d)[d->raw++] = ordered_bits(bits);
        return EVS_OK;
    }
    status = bucket_of(s, object, key_of(v), &b);
    if (!status)
        b->count++;
    return status;
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
    bool ordinary;
    quantiles *d;
    double v;
    evs_status status;

    (void)a;
    memcpy(&v, &value, sizeof(v));
    ordinary = isfinite(v) && v != 0;
    status = ordinary ? put_value(s, object, v) : *object ? EVS_OK : raw_room(s, object);
    if (status)
        return status;
    d = *object;
    if (isfinite(v))
        widen(d, v, v);
    d->n++;
    if (ordinary)
        return EVS_OK;
    d->zeros += v == 0;
    d->nans += v != v;
    d->below += v < 0;
    d->above += v > 0;
    return EVS_OK;
}

static evs_status merge_values(evs__sketches *s, void **object, const quantiles *y)
{
    evs_status status = EVS_OK;

    for (uint32_t i = 0; i < y->raw && !status; i++) {
        int64_t bits = ordered_bits(raw_of(y)[i]);
        double v;
        memcpy(&v, &bits, sizeof(v));
        status = put_value(s, object, v);
    }
    for (uint32_t i = 0; i < y->slots && !status; i++) {
        bucket *b = NULL;
        if (!y->buckets[i].key)
            continue;
        status = bucket_of(s, object, y->buckets[i].key, &b);
        if (!status)
            b->count += y->buckets[i].count;
    }
    return status;
}

static evs_status quantiles_merge(evs__sketches *s,
                                  const evs__aggregate *a,
                                  void **object,
                                  const evs__sketches *source,
                                  const void *from)
{
    const quantiles *y = from;
    quantiles *x;
    int64_t n;
    evs_status status = *object ? EVS_OK : raw_room(s, object);

    (void)a;
    (void)source;
    /* n is the sum of all counts: when it fits, they do */
    if (!status && __builtin_add_overflow(((quantiles *)*object)->n, y->n, &n))
        return EVS_ERR_OVERFLOW;
    if (!status)
        status = merge_values(s, object, y);
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
    evs__buffer_append(out, &d->raw, sizeof(d->raw));
    evs__buffer_append(out, raw_of(d), d->raw * sizeof(int64_t));
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

static evs_status read_raw(evs__sketches *s, void **object, evs__reader *in)
{
    uint32_t raw;
    int64_t value;
    double v;
    evs_status status = EVS_OK;

    if (!evs__read(in, &raw, sizeof(raw)) || raw > RAW_MAX)
        return EVS_ERR_CORRUPT;
    for (; raw && !status; raw--) {
        if (!evs__read(in, &value, sizeof(value)) || !count_in(*object, 1))
            return EVS_ERR_CORRUPT;
        value = ordered_bits(value);
        memcpy(&v, &value, sizeof(v));
        if (!isfinite(v) || v == 0)
            return EVS_ERR_CORRUPT;
        status = put_value(s, object, v);
    }
    return status;
}

static evs_status read_buckets(evs__sketches *s, void **object, evs__reader *in)
{
    uint32_t used;
    evs_status status = EVS_OK;

    if (!evs__read(in, &used, sizeof(used)) || (used && ((quantiles *)*object)->raw))
        return EVS_ERR_CORRUPT;
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
    return status;
}

static evs_status
quantiles_read(evs__sketches *s, const evs__aggregate *a, void **object, evs__reader *in)
{
    quantiles *d;
    int64_t head[4];
    evs_status status = raw_room(s, object);

    (void)a;
    if (status)
        return status;
    d = *object;
    if (!evs__read(in, head, sizeof(head)) || !evs__read(in, &d->min, sizeof(d->min)) ||
        !evs__read(in, &d->max, sizeof(d->max)) || !(d->min <= d->max))
        return EVS_ERR_CORRUPT;
    d->zeros = head[0];
    d->below = head[1];
    d->above = head[2];
    d->nans = head[3];
    for (int i = 0; i < 4; i++) {
        if (!count_in(d, head[i]))
            return EVS_ERR_CORRUPT;
    }
    status = read_raw(s, object, in);
    if (!status)
        status = read_buckets(s, object, in);
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

/* Buckets in order of their values; as much room behind them. Keys are mostly close together: then
 * each goes to the place of its key, and the gaps are closed. */
static evs_status ordered(const quantiles *d, evs_context *ctx, uint32_t **ret)
{
    int32_t low = INT32_MAX, high = INT32_MIN;
    uint32_t *order, n = 0;
    size_t range, room;

    for (uint32_t i = 0; i < d->slots; i++) {
        int32_t key = d->buckets[i].key;
        low = key && key < low ? key : low;
        high = key && key > high ? key : high;
    }
    range = d->used ? (size_t)((int64_t)high - low) + 1 : 0;
    room = range <= 4 * (size_t)d->slots ? range : 2 * (size_t)d->used;
    order = evs__calloc(ctx, room + 1, sizeof(*order));
    if (!order)
        return EVS_ERR_NOMEM;
    *ret = order;
    for (uint32_t i = 0; i < d->slots; i++) {
        int32_t key = d->buckets[i].key;
        if (key && room == range)
            order[key - low] = i + 1;
        else if (key)
            order[n++] = i;
    }
    if (room != range)
        evs__sort_ids(order, order + d->used, d->used, by_key, d);
    for (size_t k = 0; room == range && k < range; k++) {
        if (order[k])
            order[n++] = order[k] - 1;
    }
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

/* the same of values as they are, which get mixed up */
static double raw_at_rank(const quantiles *d, int64_t *values, int64_t rank)
{
    int64_t negative = 0, bits;
    double v;

    for (uint32_t i = 0; i < d->raw; i++)
        negative += values[i] < 0;
    if (rank < d->below)
        return -INFINITY;
    rank -= d->below;
    if (rank >= negative && rank < negative + d->zeros)
        return 0;
    rank -= rank < negative ? 0 : d->zeros;
    if (rank >= d->raw)
        return rank - d->raw < d->above ? INFINITY : NAN;
    bits = ordered_bits(evs__select_down(values, d->raw, d->raw - 1 - (uint32_t)rank));
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static evs_status
put_quantiles(const evs__aggregate *a, const quantiles *d, evs_context *ctx, evs__column *out)
{
    int64_t values[RAW_MAX];
    uint32_t *order = NULL;
    evs_status status = d->raw_room ? EVS_OK : ordered(d, ctx, &order);

    memcpy(values, raw_of(d), d->raw * sizeof(int64_t));
    if (!status)
        status = evs__column_reserve(out, out->length + a->param_count);
    for (uint32_t k = 0; k < a->param_count && !status; k++) {
        int64_t rank = (int64_t)floor(a->params[k].number * (double)(d->n - 1));
        evs__column_append_f64(out, d->raw_room ? raw_at_rank(d, values, rank)
                                                : at_rank(d, order, rank));
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
           "of the value away from it, for all data in any order; exact for up to 512 values",
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
