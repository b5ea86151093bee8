/*
 * data/compare.c: equality, order and hashes of rows, for keys, DISTINCT, min / max and ORDER BY.
 *
 * One notion of "the same value" for the three of them: NULL is NULL, NaN is NaN, -0 is 0. The
 * hash of a row is a chain over columns and, inside nested values, over elements: seed in, hash
 * out; a NULL is the zero value's hash mixed once more. Columns of plain types are hashed by one
 * loop per width; nested ones row by row. Snapshots and task placement depend on the hashes: fixed
 * for ever.
 */
#include <string.h>

#include "base/hash.h"
#include "data/column.h"

#define NULL_MARK 0x6a09e667f3bcc909u
#define AT(k) (sel ? sel[k] : (uint32_t)(k))

/* ---- order ---- */

static int three_way(bool less, bool greater)
{
    return (int)greater - (int)less;
}

static int compare_doubles(double a, double b)
{
    if (a != a || b != b)
        return three_way(a == a, b == b);
    return three_way(a<b, a> b);
}

static int compare_text(evs_string_view a, evs_string_view b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int r = n ? memcmp(a.data, b.data, n) : 0;
    return r ? (r < 0 ? -1 : 1) : three_way(a.len<b.len, a.len> b.len);
}

static int compare_lists(const evs__column *a, uint32_t i, const evs__column *b, uint32_t j)
{
    uint32_t p = (uint32_t)a->offsets[i], p_end = (uint32_t)a->offsets[i + 1];
    uint32_t q = (uint32_t)b->offsets[j], q_end = (uint32_t)b->offsets[j + 1];

    for (; p < p_end && q < q_end; p++, q++) {
        int r = evs__column_compare_rows(a->children[0], p, b->children[0], q);
        if (r)
            return r;
    }
    return three_way(q < q_end, p < p_end);
}

static int compare_structs(const evs__column *a, uint32_t i, const evs__column *b, uint32_t j)
{
    for (uint32_t f = 0; f < a->child_count; f++) {
        int r = evs__column_compare_rows(a->children[f], i, b->children[f], j);
        if (r)
            return r;
    }
    return 0;
}

int evs__column_compare_rows(const evs__column *a, uint32_t i, const evs__column *b, uint32_t j)
{
    bool a_null = evs__column_is_null(a, i), b_null = evs__column_is_null(b, j);

    if (a_null || b_null)
        return three_way(!b_null, !a_null);
    switch (a->type->id) {
    case EVS_TYPE_BOOLEAN:
        return (int)evs__bit_get(a->bits, i) - (int)evs__bit_get(b->bits, j);
    case EVS_TYPE_INT:
    case EVS_TYPE_DATE:
    case EVS_TYPE_TIME:
        return three_way(a->i32[i]<b->i32[j], a->i32[i]> b->i32[j]);
    case EVS_TYPE_BIGINT:
    case EVS_TYPE_TIMESTAMP:
        return three_way(a->i64[i]<b->i64[j], a->i64[i]> b->i64[j]);
    case EVS_TYPE_DOUBLE:
        return compare_doubles(a->f64[i], b->f64[j]);
    case EVS_TYPE_DECIMAL:
        return three_way(a->i128[i]<b->i128[j], a->i128[i]> b->i128[j]);
    case EVS_TYPE_VARCHAR:
    case EVS_TYPE_BYTES:
        return compare_text(evs__column_str(a, i), evs__column_str(b, j));
    case EVS_TYPE_ARRAY:
    case EVS_TYPE_MAP:
        return compare_lists(a, i, b, j);
    case EVS_TYPE_STRUCT:
        return compare_structs(a, i, b, j);
    }
    return 0;
}

bool evs__column_equal_rows(const evs__column *a, uint32_t i, const evs__column *b, uint32_t j)
{
    evs_string_view s, t;

    if (!evs__type_is_string(a->type->id))
        return evs__column_compare_rows(a, i, b, j) == 0;
    if (evs__column_is_null(a, i) != evs__column_is_null(b, j))
        return false;
    s = evs__column_str(a, i);
    t = evs__column_str(b, j);
    return s.len == t.len && (!s.len || memcmp(s.data, t.data, s.len) == 0);
}

/* ---- hashes ---- */

static uint64_t double_bits(double v)
{
    uint64_t bits;
    if (v == 0)
        v = 0; /* not -0 */
    else if (v != v)
        return 0x7ff8000000000000u;
    memcpy(&bits, &v, 8);
    return bits;
}

static uint64_t hash_i128(evs__int128 v, uint64_t seed)
{
    return evs__hash_u64((uint64_t)v, evs__hash_u64((uint64_t)(v >> 64), seed));
}

static uint64_t hash_row(const evs__column *c, uint32_t row, uint64_t seed);

static uint64_t hash_list(const evs__column *c, uint32_t row, uint64_t seed)
{
    uint32_t i = (uint32_t)c->offsets[row], end = (uint32_t)c->offsets[row + 1];

    seed = evs__hash_u64(end - i, seed);
    for (; i < end; i++)
        seed = hash_row(c->children[0], i, seed);
    return seed;
}

static uint64_t hash_row(const evs__column *c, uint32_t row, uint64_t seed)
{
    evs_string_view s;

    if (evs__column_is_null(c, row)) {
        seed = evs__type_is_string(c->type->id) ? evs__hash_bytes(NULL, 0, seed)
                                                : evs__hash_u64(0, seed);
        return evs__hash_u64(NULL_MARK, seed);
    }
    switch (c->type->id) {
    case EVS_TYPE_BOOLEAN:
        return evs__hash_u64(evs__bit_get(c->bits, row), seed);
    case EVS_TYPE_INT:
    case EVS_TYPE_DATE:
    case EVS_TYPE_TIME:
        return evs__hash_u64((uint64_t)(int64_t)c->i32[row], seed);
    case EVS_TYPE_BIGINT:
    case EVS_TYPE_TIMESTAMP:
        return evs__hash_u64((uint64_t)c->i64[row], seed);
    case EVS_TYPE_DOUBLE:
        return evs__hash_u64(double_bits(c->f64[row]), seed);
    case EVS_TYPE_DECIMAL:
        return hash_i128(c->i128[row], seed);
    case EVS_TYPE_VARCHAR:
    case EVS_TYPE_BYTES:
        s = evs__column_str(c, row);
        return evs__hash_bytes(s.data, s.len, seed);
    case EVS_TYPE_ARRAY:
    case EVS_TYPE_MAP:
        return hash_list(c, row, seed);
    case EVS_TYPE_STRUCT:
        for (uint32_t f = 0; f < c->child_count; f++)
            seed = hash_row(c->children[f], row, seed);
        return seed;
    }
    return seed;
}

static void
hash_text(const evs__column *c, const uint32_t *sel, uint32_t count, uint64_t *restrict hashes)
{
    if (c->layout == EVS_LAYOUT_VIEW) {
        for (uint32_t k = 0; k < count; k++) {
            evs_string_view v = c->views[AT(k)];
            hashes[k] = evs__hash_bytes(v.data, v.len, hashes[k]);
        }
        return;
    }
    for (uint32_t k = 0; k < count; k++) {
        int32_t begin = c->offsets[AT(k)], end = c->offsets[AT(k) + 1];
        hashes[k] = evs__hash_bytes(c->bytes + begin, (size_t)(end - begin), hashes[k]);
    }
}

#define HASH_LOOP(expression)                                                                      \
    for (uint32_t k = 0; k < count; k++) {                                                         \
        uint32_t row = AT(k);                                                                      \
        hashes[k] = (expression);                                                                  \
    }

void evs__column_hash(const evs__column *c, const uint32_t *sel, uint32_t count, uint64_t *hashes)
{
    switch (c->type->id) {
    case EVS_TYPE_BOOLEAN:
        HASH_LOOP(evs__hash_u64(evs__bit_get(c->bits, row), hashes[k]))
        break;
    case EVS_TYPE_INT:
    case EVS_TYPE_DATE:
    case EVS_TYPE_TIME:
        HASH_LOOP(evs__hash_u64((uint64_t)(int64_t)c->i32[row], hashes[k]))
        break;
    case EVS_TYPE_BIGINT:
    case EVS_TYPE_TIMESTAMP:
        HASH_LOOP(evs__hash_u64((uint64_t)c->i64[row], hashes[k]))
        break;
    case EVS_TYPE_DOUBLE:
        HASH_LOOP(evs__hash_u64(double_bits(c->f64[row]), hashes[k]))
        break;
    case EVS_TYPE_VARCHAR:
    case EVS_TYPE_BYTES:
        hash_text(c, sel, count, hashes);
        break;
    default:
        HASH_LOOP(hash_row(c, row, hashes[k]))
        return;
    }
    if (c->validity) {
        for (uint32_t k = 0; k < count; k++) {
            if (!evs__bit_get(c->validity, AT(k)))
                hashes[k] = evs__hash_u64(NULL_MARK, hashes[k]);
        }
    }
}
