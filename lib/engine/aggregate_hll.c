/*
 * engine/aggregate_hll.c: approx_count_distinct(x), hll(x): HyperLogLog of 2^14 registers.
 *
 * A value's hash picks a register by 14 bits; the register keeps the longest run of zeros (plus
 * one) seen in the other 50. Standard error 1.04 / sqrt(2^14) = 0.81 %; below about 12,000 values
 * less. The estimate is Ertl's, which needs no correction tables and has no bias at either end.
 *
 *   few registers set   open addressing, 4 bytes a register, 64 bytes to 4 KiB
 *   more than 768       one byte a register, 16 KiB
 *
 * The largest of two registers is their merge, so the order of rows and of merging cannot show, and
 * duplicates change nothing.
 *
 * hll(x) is for Redis: its hash (MurmurHash64A), its register and rank, its dense form, so that
 * SET key bytes and PFCOUNT key, PFMERGE, PFADD work on; numbers are added as their decimal text,
 * as clients send them. The estimate there is the same formula.
 *
 * P. Flajolet et al., HyperLogLog (2007). O. Ertl, New cardinality estimation algorithms for
 * HyperLogLog sketches, arXiv:1702.01284 (2017). A. Appleby, MurmurHash2, public domain.
 */
#include <math.h>

#include "engine/sketch.h"

#define P 14
#define REGISTERS (1u << P)
#define Q (64 - P)
#define SPARSE_MIN 16u
#define SPARSE_MAX 1024u
#define DENSE_BYTES (REGISTERS * 6 / 8)
#define REDIS_HEADER 16

typedef struct hll {
    uint32_t slots;    /* 0: dense */
    uint32_t count;    /* sparse: slots in use */
    uint32_t sparse[]; /* register << 8 | rank; 0: empty; dense: bytes, [REGISTERS] */
} hll;

static uint8_t *dense_of(const hll *h)
{
    return (uint8_t *)h->sparse;
}

static size_t hll_bytes(uint32_t slots)
{
    return sizeof(hll) + (slots ? slots * sizeof(uint32_t) : REGISTERS);
}

static size_t hll_size(const void *object)
{
    return hll_bytes(((const hll *)object)->slots);
}

/* ---- registers ---- */

static inline uint32_t home(const hll *h, uint32_t reg)
{
    return (reg * 0x9e3779b1u >> 12) & (h->slots - 1);
}

static void hll_prefetch(const void *object, uint64_t hash)
{
    const hll *h = object;
    uint32_t reg = (uint32_t)hash & (REGISTERS - 1);
    __builtin_prefetch(h->slots ? (const void *)&h->sparse[home(h, reg)]
                                : (const void *)&dense_of(h)[reg]);
}

/* the slot of a register, or the empty one where it would be */
static uint32_t *sparse_slot(hll *h, uint32_t reg)
{
    uint32_t mask = h->slots - 1, at = home(h, reg);
    while (h->sparse[at] && h->sparse[at] >> 8 != reg)
        at = (at + 1) & mask;
    return &h->sparse[at];
}

static void raise_sparse(hll *h, uint32_t reg, uint32_t rank)
{
    uint32_t *slot = sparse_slot(h, reg);
    h->count += !*slot;
    if ((*slot & 0xff) < rank)
        *slot = reg << 8 | rank;
}

/* more slots, or dense when there were as many as there may be */
static evs_status grow(evs__sketches *s, void **object)
{
    hll *old = *object, *h;
    uint32_t slots = !old ? SPARSE_MIN : old->slots < SPARSE_MAX ? old->slots * 4 : 0;
    void *p = NULL;
    evs_status status = evs__sketch_alloc(s, hll_bytes(slots), &p);

    if (status)
        return status;
    h = p;
    h->slots = slots;
    for (uint32_t i = 0; old && i < old->slots; i++) {
        uint32_t v = old->sparse[i];
        if (v && slots)
            raise_sparse(h, v >> 8, v & 0xff);
        else if (v)
            dense_of(h)[v >> 8] = (uint8_t)v;
    }
    evs__sketch_free(s, old);
    *object = h;
    return EVS_OK;
}

static evs_status raise_register(evs__sketches *s, void **object, uint32_t reg, uint32_t rank)
{
    hll *h = *object;

    while (!h || (h->slots && (h->count + 1) * 4 > h->slots * 3)) {
        evs_status status = grow(s, object);
        if (status)
            return status;
        h = *object;
    }
    if (h->slots)
        raise_sparse(h, reg, rank);
    else if (dense_of(h)[reg] < rank)
        dense_of(h)[reg] = (uint8_t)rank;
    return EVS_OK;
}

static evs_status hll_put(evs__sketches *s, const evs__aggregate *a, void **object, uint64_t hash)
{
    uint32_t rank = (uint32_t)__builtin_ctzll(hash >> P | UINT64_C(1) << Q) + 1;
    (void)a;
    return raise_register(s, object, (uint32_t)hash & (REGISTERS - 1), rank);
}

static evs_status hll_merge(evs__sketches *s,
                            const evs__aggregate *a,
                            void **object,
                            const evs__sketches *source,
                            const void *from)
{
    const hll *y = from;
    evs_status status = EVS_OK;

    (void)a;
    (void)source;
    for (uint32_t i = 0; i < y->slots && !status; i++) {
        if (y->sparse[i])
            status = raise_register(s, object, y->sparse[i] >> 8, y->sparse[i] & 0xff);
    }
    if (y->slots)
        return status;
    while (!status && (!*object || ((hll *)*object)->slots))
        status = grow(s, object);
    for (uint32_t i = 0; i < REGISTERS && !status; i++) {
        hll *x = *object;
        dense_of(x)[i] = dense_of(x)[i] > dense_of(y)[i] ? dense_of(x)[i] : dense_of(y)[i];
    }
    return status;
}

/* ---- six bits a register, as Redis keeps them ---- */

/* h NULL: empty */
static void pack(const hll *h, uint8_t *out)
{
    memset(out, 0, DENSE_BYTES);
    for (uint32_t i = 0; h && i < (h->slots ? h->slots : REGISTERS); i++) {
        uint32_t reg = h->slots ? h->sparse[i] >> 8 : i;
        uint32_t rank = h->slots ? h->sparse[i] & 0xff : dense_of(h)[i];
        uint32_t bit = reg * 6, byte = bit / 8;
        out[byte] |= (uint8_t)(rank << (bit & 7));
        if ((bit & 7) > 2)
            out[byte + 1] |= (uint8_t)(rank >> (8 - (bit & 7)));
    }
}

static uint32_t unpack(const uint8_t *packed, uint32_t reg)
{
    uint32_t bit = reg * 6, byte = bit / 8, value = packed[byte] >> (bit & 7);
    if ((bit & 7) > 2)
        value |= (uint32_t)packed[byte + 1] << (8 - (bit & 7));
    return value & 63;
}

/* ---- snapshot: [uint32 registers set, or REGISTERS: packed] ---- */

static void hll_write(const evs__sketches *s, const void *object, evs__buffer *out)
{
    const hll *h = object;
    uint32_t count = h->slots ? h->count : REGISTERS;

    (void)s;
    evs__buffer_append(out, &count, sizeof(count));
    for (uint32_t i = 0; i < h->slots; i++) {
        if (h->sparse[i])
            evs__buffer_append(out, &h->sparse[i], sizeof(h->sparse[i]));
    }
    if (h->slots || evs__buffer_reserve(out, DENSE_BYTES))
        return;
    pack(h, (uint8_t *)out->data + out->len);
    out->len += DENSE_BYTES;
}

static evs_status read_dense(evs__sketches *s, void **object, evs__reader *in)
{
    const char *packed;
    void *p = NULL;
    evs_status status;

    if (!evs__read_bytes(in, DENSE_BYTES, &packed))
        return EVS_ERR_CORRUPT;
    status = evs__sketch_alloc(s, hll_bytes(0), &p);
    if (status)
        return status;
    *object = p;
    for (uint32_t i = 0; i < REGISTERS; i++) {
        uint32_t rank = unpack((const uint8_t *)packed, i);
        dense_of(p)[i] = (uint8_t)rank;
        if (rank > Q + 1)
            return EVS_ERR_CORRUPT;
    }
    return EVS_OK;
}

static evs_status
hll_read(evs__sketches *s, const evs__aggregate *a, void **object, evs__reader *in)
{
    uint32_t count, v;
    evs_status status = EVS_OK;

    (void)a;
    if (!evs__read(in, &count, sizeof(count)))
        return EVS_ERR_CORRUPT;
    if (count == REGISTERS)
        return read_dense(s, object, in);
    if (!count || count > SPARSE_MAX)
        return EVS_ERR_CORRUPT;
    for (; count && !status; count--) {
        if (!evs__read(in, &v, sizeof(v)) || v >> 8 >= REGISTERS || !(v & 0xff) ||
            (v & 0xff) > Q + 1)
            return EVS_ERR_CORRUPT;
        status = raise_register(s, object, v >> 8, v & 0xff);
    }
    return status;
}

static const evs__sketch_kind hll_kind = {
    .put = hll_put,
    .merge = hll_merge,
    .write = hll_write,
    .read = hll_read,
    .size = hll_size,
    .prefetch = hll_prefetch,
};

/* ---- hashes ---- */

/* spreads what the column's hash may leave close together */
static uint64_t finish(uint64_t h)
{
    h ^= h >> 33;
    h *= UINT64_C(0xff51afd7ed558ccd);
    h ^= h >> 33;
    h *= UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ h >> 33;
}

static uint32_t count_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    uint64_t hashes[256];
    evs__sketches *s = *g->extra;

    (void)a;
    for (uint32_t i = 0; i < g->n; i += 256) {
        uint32_t n = g->n - i < 256 ? g->n - i : 256;
        memset(hashes, 0, sizeof(hashes));
        evs__column_hash(r->arg, r->rows + i, n, hashes);
        for (uint32_t k = 0; k < n; k++) {
            if (!evs__column_is_null(r->arg, r->rows[i + k]))
                evs__sketch_log(s, g->index[i + k], finish(hashes[k]));
        }
    }
    return g->n;
}

/* MurmurHash64A with Redis' seed */
static uint64_t redis_hash(const char *data, size_t len)
{
    const uint64_t m = UINT64_C(0xc6a4a7935bd1e995);
    uint64_t h = UINT64_C(0xadc83b19) ^ (len * m), k;
    const unsigned char *p = (const unsigned char *)data;

    for (; len >= 8; len -= 8, p += 8) {
        k = evs__load64(p) * m;
        k ^= k >> 47;
        h = (h ^ k * m) * m;
    }
    if (len) {
        k = 0;
        while (len-- > 0)
            k = k << 8 | p[len];
        h = (h ^ k) * m;
    }
    h ^= h >> 47;
    h *= m;
    return h ^ h >> 47;
}

static uint32_t redis_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    evs__sketches *s = *g->extra;
    char text[EVS__INT_TEXT_MAX];

    (void)a;
    for (uint32_t i = 0; i < g->n; i++) {
        uint32_t row = r->rows[i];
        evs_string_view v = {text, 0};
        if (evs__column_is_null(r->arg, row))
            continue;
        if (evs__type_is_string(r->arg->type->id))
            v = evs__column_str(r->arg, row);
        else
            v.len = evs__format_int(evs__agg_int(r->arg, r->arg->type->id, row), text);
        evs__sketch_log(s, g->index[i], redis_hash(v.data, v.len));
    }
    return g->n;
}

/* ---- results ---- */

static double sigma(double x)
{
    double y = 1, z = x, last;
    if (x == 1)
        return INFINITY;
    do {
        x *= x;
        last = z;
        z += x * y;
        y += y;
    } while (z != last);
    return z;
}

static double tau(double x)
{
    double y = 1, z = 1 - x, last;
    if (x == 0 || x == 1)
        return 0;
    do {
        x = sqrt(x);
        last = z;
        y *= 0.5;
        z -= (1 - x) * (1 - x) * y;
    } while (z != last);
    return z / 3;
}

static int64_t estimate(const hll *h)
{
    uint32_t ranks[64] = {0};
    double z;

    if (!h)
        return 0;
    for (uint32_t i = 0; i < h->slots; i++)
        ranks[h->sparse[i] & 63] += h->sparse[i] != 0;
    for (uint32_t i = 0; !h->slots && i < REGISTERS; i++)
        ranks[dense_of(h)[i] & 63]++;
    if (h->slots)
        ranks[0] = REGISTERS - h->count;
    z = REGISTERS * tau((double)(REGISTERS - ranks[Q + 1]) / REGISTERS);
    for (int k = Q; k >= 1; k--)
        z = (z + ranks[k]) * 0.5;
    z += REGISTERS * sigma((double)ranks[0] / REGISTERS);
    return llround(0.721347520444481703680 * REGISTERS * REGISTERS / z);
}

static evs_status count_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    evs_status status = evs__sketch_ready(a, g);
    for (uint32_t i = 0; i < g->n && !status; i++)
        evs__column_append_i64(out, estimate(evs__sketch_object(g, i)));
    return status;
}

/* "HYLL", 0: dense, 3 unused, 8 for a cached count: the highest bit says that there is none */
static evs_status redis_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    uint8_t bytes[REDIS_HEADER + DENSE_BYTES] = {'H', 'Y', 'L', 'L', [15] = 0x80};
    evs_status status = evs__sketch_ready(a, g);

    for (uint32_t i = 0; i < g->n && !status; i++) {
        const hll *h = evs__sketch_object(g, i);
        pack(h, bytes + REDIS_HEADER);
        status = evs__column_append_str(out, (const char *)bytes, sizeof(bytes));
    }
    return status;
}

static evs_status type_bytes(evs_context *ctx, const evs__aggregate *a, const evs_type **ret)
{
    (void)a;
    return evs__type_simple(ctx, EVS_TYPE_BYTES, false, ret);
}

const evs__aggregate_functions evs__agg_approx_count_distinct = {
    .name = "approx_count_distinct",
    .arg_types = UINT32_MAX,
    .keeps_null_arg = true,
    .distinct = EVS__DISTINCT_SAME,
    .usage = "approx_count_distinct(x)",
    .gives = "BIGINT NOT NULL",
    .doc = "How many different values, by HyperLogLog: standard error 0.81 %, at most 16 KiB a "
           "group",
    .sketch = &hll_kind,
    .type = evs__agg_type_bigint,
    .add = count_add,
    .result = count_result,
    EVS__SKETCH_COMMON,
};

const evs__aggregate_functions evs__agg_hll = {
    .name = "hll",
    .arg_types = EVS__AGG_INTS | EVS__AGG_TEXTS,
    .keeps_null_arg = true,
    .distinct = EVS__DISTINCT_SAME,
    .usage = "hll(x)",
    .gives = "BYTES NOT NULL",
    .doc = "The HyperLogLog itself in Redis' dense form (12,304 bytes): SET it, then PFCOUNT, "
           "PFMERGE and PFADD work on it; numbers are added as their decimal text",
    .sketch = &hll_kind,
    .type = type_bytes,
    .add = redis_add,
    .result = redis_result,
    EVS__SKETCH_COMMON,
};
