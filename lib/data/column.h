/*
 * data/column.h: one column. Arrow layout, but strings may be views while a poll lasts.
 *
 *   fixed width      values  [length * width]            BOOLEAN: bits
 *   VARCHAR, BYTES   owned:  offsets [length + 1] + bytes      view: views [length]
 *   ARRAY, MAP       offsets [length + 1] + children[0]
 *   STRUCT           children[field], each with the same length
 *   all              validity bits, NULL = no NULLs
 *
 * Columns are shared by reference (a projection of a plain field is a reference). Only its builder
 * writes a column, while it holds the only reference. Buffers that the library made (foreign NULL)
 * are 64-byte padded, so that loops may read (never use) past the end. Invariants:
 *   - values of NULL rows are zero (strings: empty), so hashing and comparing need no branch;
 *     children of a NULL STRUCT row are NULL, a NULL ARRAY or MAP row has no elements;
 *   - offsets begin at 0, and a list's child has exactly offsets[length] rows;
 *   - validity bits at and beyond `length` are 1, so that appending a value need not touch them;
 *   - a STRUCT's children have at least its capacity.
 */
#ifndef EVS_DATA_COLUMN_H
#define EVS_DATA_COLUMN_H

#include "base/number.h"
#include "data/type.h"
#include "evstream/batch.h"

#define EVS__COLUMN_PADDING 64

typedef struct evs__column evs__column;
struct evs__column {
    atomic_int refs;
    evs_context *ctx;
    const evs_type *type; /* referenced */
    evs_layout layout;
    uint32_t length;         /* rows */
    uint32_t capacity;       /* rows there is room for */
    uint8_t *validity;       /* allocated on the first NULL */
    uint8_t *validity_spare; /* kept by reset for the next NULL */
    union {
        void *values;
        uint8_t *bits; /* BOOLEAN */
        int32_t *i32;
        int64_t *i64;
        double *f64;
        evs__int128 *i128;      /* DECIMAL (aligned 16) */
        evs_string_view *views; /* EVS_LAYOUT_VIEW */
        char *bytes;            /* owned VARCHAR, BYTES */
    };
    int32_t *offsets;
    size_t bytes_capacity; /* of owned string bytes */
    uint32_t child_count;
    evs__column **children;
    /* imported Arrow buffers: released with the column instead of freed */
    void (*foreign_release)(void *foreign);
    void *foreign;
};

static inline bool evs__bit_get(const uint8_t *bits, size_t i)
{
    return bits[i >> 3] >> (i & 7) & 1;
}
static inline void evs__bit_set(uint8_t *bits, size_t i)
{
    bits[i >> 3] |= (uint8_t)(1u << (i & 7));
}
static inline void evs__bit_clear(uint8_t *bits, size_t i)
{
    bits[i >> 3] &= (uint8_t) ~(1u << (i & 7));
}
static inline bool evs__column_is_null(const evs__column *c, size_t row)
{
    return c->validity && !evs__bit_get(c->validity, row);
}
/* text of a row, either layout; NULL rows give {NULL or any, 0} */
static inline evs_string_view evs__column_str(const evs__column *c, size_t row)
{
    if (c->layout == EVS_LAYOUT_VIEW)
        return c->views[row];
    return (evs_string_view){c->bytes + c->offsets[row],
                             (size_t)(c->offsets[row + 1] - c->offsets[row])};
}

/* memcpy for short runs of any length: no call below 33 bytes, never touches a byte outside */
static inline void evs__copy_short(char *dst, const char *src, size_t len)
{
    uint64_t a, b;
    uint32_t c, d;
    if (EVS__UNLIKELY(len > 32)) {
        memcpy(dst, src, len);
    } else if (len > 16) {
        uint64_t v[4];
        memcpy(v, src, 16);
        memcpy(v + 2, src + len - 16, 16);
        memcpy(dst, v, 16);
        memcpy(dst + len - 16, v + 2, 16);
    } else if (len >= 8) {
        memcpy(&a, src, 8);
        memcpy(&b, src + len - 8, 8);
        memcpy(dst, &a, 8);
        memcpy(dst + len - 8, &b, 8);
    } else if (len >= 4) {
        memcpy(&c, src, 4);
        memcpy(&d, src + len - 4, 4);
        memcpy(dst, &c, 4);
        memcpy(dst + len - 4, &d, 4);
    } else if (len) {
        dst[0] = src[0];
        dst[len - 1] = src[len - 1];
        dst[len >> 1] = src[len >> 1];
    }
}

/* an empty column with room for `capacity` rows (children too); layout VIEW applies to every string
 * column inside */
evs_status evs__column_new(evs_context *ctx,
                           const evs_type *type,
                           evs_layout layout,
                           uint32_t capacity,
                           evs__column **ret);
evs__column *evs__column_ref(evs__column *c);
evs__column *evs__column_unref(evs__column *c);
static inline bool evs__column_is_shared(const evs__column *c)
{
    return atomic_load_explicit(&c->refs, memory_order_acquire) != 1;
}
/* length 0, memory kept (recursively); only when not shared */
void evs__column_reset(evs__column *c);
/* cut back to `length` rows (recursively): undo of a half-appended row */
void evs__column_truncate(evs__column *c, uint32_t length);
evs_status evs__column_reserve_slow(evs__column *c, uint32_t rows);
evs_status evs__column_reserve_bytes_slow(evs__column *c, size_t extra);
/* room for `rows` rows in all (also in the children of a STRUCT); grows by at least half, so it may
 * be called row by row */
static inline evs_status evs__column_reserve(evs__column *c, uint32_t rows)
{
    return EVS__LIKELY(rows <= c->capacity) ? EVS_OK : evs__column_reserve_slow(c, rows);
}
/* owned strings: room for `extra` more bytes; EVS_ERR_LIMIT over 2 GiB */
static inline evs_status evs__column_reserve_bytes(evs__column *c, size_t extra)
{
    if (EVS__LIKELY(extra <= c->bytes_capacity - (size_t)c->offsets[c->length]))
        return EVS_OK;
    return evs__column_reserve_bytes_slow(c, extra);
}

/* append one row; the typed ones and the end_ ones assume reserve was done for `length + 1` rows
 * (append_null and append_str reserve by themselves) */
evs_status
evs__column_append_null(evs__column *c); /* nested: appends what keeps children aligned */
static inline void evs__column_append_i64(evs__column *c, int64_t v)
{
    c->i64[c->length++] = v;
}
static inline void evs__column_append_i32(evs__column *c, int32_t v)
{
    c->i32[c->length++] = v;
}
static inline void evs__column_append_f64(evs__column *c, double v)
{
    c->f64[c->length++] = v;
}
static inline void evs__column_append_i128(evs__column *c, evs__int128 v)
{
    c->i128[c->length++] = v;
}
static inline void evs__column_append_view(evs__column *c, const char *data, size_t len)
{
    c->views[c->length++] = (evs_string_view){data, len};
}
void evs__column_append_bool(evs__column *c, bool v);
evs_status evs__column_append_str(evs__column *c,
                                  const char *data,
                                  size_t len); /* either layout; owned: copied */
/* ARRAY, MAP: end the row whose elements were appended to children[0]; STRUCT: after each child got
 * its value */
void evs__column_end_list(evs__column *c);
void evs__column_end_struct(evs__column *c);
/* make `validity`, all 1, if there is none: for builders that write its bits by themselves */
evs_status evs__column_need_validity(evs__column *c);
/* mark the last appended row NULL / row `i` NULL (its value must be zero already) */
evs_status evs__column_set_null(evs__column *c, uint32_t row);

/* dst (owned or view layout, same shape) += rows of src picked by sel (NULL: first `count`); owned
 * strings are copied */
evs_status
evs__column_gather(evs__column *dst, const evs__column *src, const uint32_t *sel, uint32_t count);
/* a column with `rows` times the same (or NULL) value is made with append; there are no constant
 * columns */

/* whether it, or anything inside, holds views */
bool evs__column_has_views(const evs__column *c);
/* whether nobody else can see it or anything inside: it may be written */
bool evs__column_is_private(const evs__column *c);
/* What bytes from outside must keep to, beyond offsets that fit: rows of a VARCHAR (owned) are
 * UTF-8; NULL rows are zero; TIME within a day, DECIMAL within its precision. Of this level only.
 */
bool evs__column_utf8_valid(const evs__column *c, uint32_t rows);
bool evs__column_nulls_are_zero(const evs__column *c, uint32_t rows);
bool evs__column_in_range(const evs__column *c, uint32_t rows);
/* bytes held, for state accounting */
size_t evs__column_bytes(const evs__column *c);
/* value equality of two rows of columns of same shape; NULL equals NULL, NaN equals NaN, -0 equals
 * 0; maps are equal when their entries are, in order. evs__column_compare_rows() == 0 says the
 * same. */
bool evs__column_equal_rows(const evs__column *a, uint32_t i, const evs__column *b, uint32_t j);
/* total order of two rows (numbers with NaN last, text by bytes, false < true); NULL first; nested
 * types compare element-wise */
int evs__column_compare_rows(const evs__column *a, uint32_t i, const evs__column *b, uint32_t j);
/* hash each selected row (sel NULL: the first `count`) into hashes[k] (k-th selected), combined
 * with what is there; the same for every layout, and for INT and BIGINT of the same value. Nested
 * too. */
void evs__column_hash(const evs__column *c, const uint32_t *sel, uint32_t count, uint64_t *hashes);
/* value as text: "null" for NULL; JSON for nested; strings, BYTES (base64), TIMESTAMP, DATE, TIME
 * (as ISO text) in quotes with `quote` and inside nested values */
evs_status evs__column_print(const evs__column *c, uint32_t row, bool quote, evs__buffer *out);

#endif
