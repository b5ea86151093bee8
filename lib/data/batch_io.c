/*
 * data/batch_io.c: a batch as bytes and back, for snapshots and between tasks.
 *
 *   "EVB1"  crc32c of the body  length of the body (u64)
 *   body:   hash of the type's text (u64), rows (u32), flags (u32: 1 times, 2 kinds),
 *           times, kinds, columns in order
 *   column: 0 or 1 and validity bits; values of fixed width | offsets and bytes | offsets and the
 *           element column | the field columns
 *
 * Little endian, nothing aligned: this is the Arrow layout cut to its length. Selections and views
 * are gathered before; origin, lease, slot and row watermarks are of the moment and not written.
 *
 * Reading trusts nothing, not even a right checksum: no memory is taken beyond what the bytes that
 * are really there account for, and everything that a column promises (offsets that rise, UTF-8,
 * zeros under NULLs, digits within the precision) is checked, because all code above relies on it.
 */
#include <string.h>

#include "base/hash.h"
#include "data/batch.h"

#define BATCH_MAGIC 0x31425645u /* "EVB1" */
#define HEADER_BYTES 16
#define FLAG_TIMES 1u
#define FLAG_KINDS 2u
#define DAY_MS 86400000

static uint64_t type_hash(const evs_type *type)
{
    return evs__hash_bytes(type->text, type->text_len, BATCH_MAGIC);
}

/* ---- writing ---- */

static void put_u32(evs__buffer *out, uint32_t v)
{
    evs__buffer_append(out, &v, sizeof(v));
}

static void put_u64(evs__buffer *out, uint64_t v)
{
    evs__buffer_append(out, &v, sizeof(v));
}

static void write_column(const evs__column *c, evs__buffer *out);

static void write_values(const evs__column *c, evs__buffer *out)
{
    int32_t width = evs__type_width(c->type->id);

    if (width > 0) {
        evs__buffer_append(out, c->values, (size_t)c->length * (size_t)width);
    } else if (width == 0) {
        evs__buffer_append(out, c->bits, ((size_t)c->length + 7) / 8);
    } else if (evs__type_is_string(c->type->id)) {
        evs__buffer_append(out, c->offsets, ((size_t)c->length + 1) * 4);
        evs__buffer_append(out, c->bytes, (size_t)c->offsets[c->length]);
    } else if (c->type->id == EVS_TYPE_STRUCT) {
        for (uint32_t i = 0; i < c->child_count; i++)
            write_column(c->children[i], out);
    } else {
        evs__buffer_append(out, c->offsets, ((size_t)c->length + 1) * 4);
        write_column(c->children[0], out);
    }
}

static void write_column(const evs__column *c, evs__buffer *out)
{
    evs__buffer_byte(out, c->validity != NULL);
    if (c->validity)
        evs__buffer_append(out, c->validity, ((size_t)c->length + 7) / 8);
    write_values(c, out);
}

evs_status evs__batch_write(const evs_batch *b, evs__buffer *out)
{
    size_t begin = out->len;
    evs_batch *own = NULL;
    uint64_t body;
    uint32_t crc;
    evs_status status = evs__batch_own((evs_batch *)b, &own);

    if (status)
        return status;
    put_u32(out, BATCH_MAGIC);
    put_u32(out, 0);
    put_u64(out, 0);
    put_u64(out, type_hash(own->type));
    put_u32(out, own->rows);
    put_u32(out, (own->times ? FLAG_TIMES : 0) | (own->kinds ? FLAG_KINDS : 0));
    if (own->times)
        evs__buffer_append(out, own->times, own->rows * sizeof(*own->times));
    if (own->kinds)
        evs__buffer_append(out, own->kinds, own->rows);
    for (uint32_t i = 0; i < own->column_count && !out->status; i++)
        write_column(own->columns[i], out);
    evs_batch_unref(own);
    if (out->status) {
        out->len = begin;
        return out->status;
    }
    body = out->len - begin - HEADER_BYTES;
    crc = evs__crc32c(0, out->data + begin + HEADER_BYTES, body);
    memcpy(out->data + begin + 4, &crc, 4);
    memcpy(out->data + begin + 8, &body, 8);
    return EVS_OK;
}

/* ---- reading ---- */

typedef struct reader {
    const char *p;
    size_t left;
} reader;

/* the next `len` bytes, or NULL */
static const char *take(reader *r, size_t len)
{
    const char *p = r->p;
    if (len > r->left)
        return NULL;
    r->p += len;
    r->left -= len;
    return p;
}

static evs_status read_column(reader *r, evs__column *c, uint32_t rows);

static evs_status set_nulls(evs__column *c, const char *bits, uint32_t rows)
{
    for (uint32_t i = 0; i < rows; i++) {
        evs_status status;
        if (evs__bit_get((const uint8_t *)bits, i))
            continue;
        status = evs__column_set_null(c, i);
        if (status)
            return status;
    }
    return EVS_OK;
}

/* offsets from 0, rising, the last at most `max` */
static evs_status read_offsets(reader *r, evs__column *c, uint32_t rows, size_t max)
{
    const char *p = take(r, ((size_t)rows + 1) * 4);
    evs_status status;

    if (!p)
        return EVS_ERR_CORRUPT;
    status = evs__column_reserve(c, rows);
    if (status)
        return status;
    memcpy(c->offsets, p, ((size_t)rows + 1) * 4);
    if (c->offsets[0] != 0)
        return EVS_ERR_CORRUPT;
    for (uint32_t i = 0; i < rows; i++) {
        if (c->offsets[i + 1] < c->offsets[i])
            return EVS_ERR_CORRUPT;
    }
    return (size_t)c->offsets[rows] > max ? EVS_ERR_CORRUPT : EVS_OK;
}

bool evs__column_utf8_valid(const evs__column *c, uint32_t rows)
{
    int32_t end = c->offsets[rows];

    if (!evs__utf8_valid(c->bytes, (size_t)end))
        return false;
    /* valid as a whole: each value is, when none begins inside a character */
    for (uint32_t i = 0; i < rows; i++) {
        int32_t at = c->offsets[i];
        if (at < end && ((unsigned char)c->bytes[at] & 0xc0) == 0x80)
            return false;
    }
    return true;
}

static evs_status read_text(reader *r, evs__column *c, uint32_t rows)
{
    evs_status status = read_offsets(r, c, rows, INT32_MAX);
    size_t len;
    const char *p;

    if (status)
        return status;
    len = (size_t)c->offsets[rows];
    p = take(r, len);
    if (!p)
        return EVS_ERR_CORRUPT;
    status = evs__column_reserve_bytes(c, len); /* length is still 0 */
    if (status)
        return status;
    memcpy(c->bytes, p, len);
    if (c->type->id == EVS_TYPE_VARCHAR && !evs__column_utf8_valid(c, rows))
        return EVS_ERR_CORRUPT;
    return EVS_OK;
}

static evs_status read_fixed(reader *r, evs__column *c, uint32_t rows)
{
    int32_t width = evs__type_width(c->type->id);
    size_t bytes = width ? (size_t)rows * (size_t)width : ((size_t)rows + 7) / 8;
    const char *p = take(r, bytes);
    evs_status status;

    if (!p)
        return EVS_ERR_CORRUPT;
    status = evs__column_reserve(c, rows);
    if (!status)
        memcpy(c->values, p, bytes);
    return status;
}

static evs_status read_values(reader *r, evs__column *c, uint32_t rows)
{
    evs_status status = EVS_OK;

    if (evs__type_width(c->type->id) >= 0)
        return read_fixed(r, c, rows);
    if (evs__type_is_string(c->type->id))
        return read_text(r, c, rows);
    if (c->type->id == EVS_TYPE_STRUCT) {
        for (uint32_t i = 0; i < c->child_count && !status; i++)
            status = read_column(r, c->children[i], rows);
        return status ? status : evs__column_reserve(c, rows);
    }
    status = read_offsets(r, c, rows, INT32_MAX);
    if (status)
        return status;
    return read_column(r, c->children[0], (uint32_t)c->offsets[rows]);
}

/* whether the value of a NULL row is zero, empty, or NULLs */
static bool is_zero(const evs__column *c, uint32_t row)
{
    switch (c->type->id) {
    case EVS_TYPE_BOOLEAN:
        return !evs__bit_get(c->bits, row);
    case EVS_TYPE_INT:
    case EVS_TYPE_DATE:
    case EVS_TYPE_TIME:
        return c->i32[row] == 0;
    case EVS_TYPE_BIGINT:
    case EVS_TYPE_DOUBLE:
    case EVS_TYPE_TIMESTAMP:
        return c->i64[row] == 0;
    case EVS_TYPE_DECIMAL:
        return c->i128[row] == 0;
    case EVS_TYPE_STRUCT:
        for (uint32_t i = 0; i < c->child_count; i++) {
            if (!evs__column_is_null(c->children[i], row))
                return false;
        }
        return true;
    default:
        return c->offsets[row] == c->offsets[row + 1];
    }
}

bool evs__column_nulls_are_zero(const evs__column *c, uint32_t rows)
{
    for (uint32_t i = 0; c->validity && i < rows; i++) {
        if (!evs__bit_get(c->validity, i) && !is_zero(c, i))
            return false;
    }
    return true;
}

bool evs__column_in_range(const evs__column *c, uint32_t rows)
{
    if (c->type->id == EVS_TYPE_TIME) {
        for (uint32_t i = 0; i < rows; i++) {
            if (c->i32[i] < 0 || c->i32[i] >= DAY_MS)
                return false;
        }
    } else if (c->type->id == EVS_TYPE_DECIMAL) {
        evs__int128 limit = evs__pow10_128(c->type->precision);
        for (uint32_t i = 0; i < rows; i++) {
            if (c->i128[i] >= limit || c->i128[i] <= -limit)
                return false;
        }
    }
    return true;
}

static evs_status read_column(reader *r, evs__column *c, uint32_t rows)
{
    const char *has_validity = take(r, 1);
    const char *bits = NULL;
    evs_status status;

    if (!has_validity || (unsigned char)*has_validity > 1)
        return EVS_ERR_CORRUPT;
    if (*has_validity && !(bits = take(r, ((size_t)rows + 7) / 8)))
        return EVS_ERR_CORRUPT;
    status = read_values(r, c, rows);
    if (!status && bits)
        status = set_nulls(c, bits, rows);
    if (status)
        return status;
    if (!evs__column_nulls_are_zero(c, rows) || !evs__column_in_range(c, rows))
        return EVS_ERR_CORRUPT;
    c->length = rows;
    return EVS_OK;
}

/* times and kinds */
static evs_status read_arrays(reader *r, evs_batch *b, uint32_t rows, uint32_t flags)
{
    const char *times = NULL, *kinds = NULL;

    if ((flags & FLAG_TIMES) && !(times = take(r, (size_t)rows * sizeof(*b->times))))
        return EVS_ERR_CORRUPT;
    if ((flags & FLAG_KINDS) && !(kinds = take(r, rows)))
        return EVS_ERR_CORRUPT;
    b->aux_capacity = rows;
    if ((times && evs__batch_need_times(b)) || (kinds && evs__batch_need_kinds(b)))
        return EVS_ERR_NOMEM;
    if (times)
        memcpy(b->times, times, (size_t)rows * sizeof(*b->times));
    for (uint32_t i = 0; kinds && i < rows; i++) {
        b->kinds[i] = (uint8_t)kinds[i];
        if (b->kinds[i] > EVS_ROW_DELETE)
            return EVS_ERR_CORRUPT;
    }
    return EVS_OK;
}

static evs_status read_body(evs_context *ctx, const evs_type *type, reader *r, evs_batch **ret)
{
    const char *head = take(r, 16);
    evs_batch *b = NULL;
    uint32_t rows, flags;
    evs_status status;

    if (!head || evs__load64(head) != type_hash(type))
        return EVS_ERR_CORRUPT;
    rows = (uint32_t)evs__load32(head + 8);
    flags = (uint32_t)evs__load32(head + 12);
    if (rows > INT32_MAX || (flags & ~(FLAG_TIMES | FLAG_KINDS)))
        return EVS_ERR_CORRUPT;
    status = evs__batch_new(ctx, type, EVS_LAYOUT_OWNED, 0, &b);
    if (!status)
        status = read_arrays(r, b, rows, flags);
    for (uint32_t i = 0; !status && i < b->column_count; i++)
        status = read_column(r, b->columns[i], rows);
    if (!status && r->left)
        status = EVS_ERR_CORRUPT;
    if (status) {
        evs_batch_unref(b);
        return status;
    }
    b->rows = b->count = rows;
    *ret = b;
    return EVS_OK;
}

evs_status evs__batch_read(evs_context *ctx,
                           const evs_type *type,
                           const void *data,
                           size_t len,
                           size_t *ret_used,
                           evs_batch **ret)
{
    reader r = {data, len};
    const char *head = take(&r, HEADER_BYTES);
    evs_status status;
    uint64_t body;

    if (!head || evs__load32(head) != BATCH_MAGIC)
        return EVS_ERR_CORRUPT;
    body = evs__load64(head + 8);
    if (body > r.left || evs__crc32c(0, r.p, body) != evs__load32(head + 4))
        return EVS_ERR_CORRUPT;
    r.left = body;
    status = read_body(ctx, type, &r, ret);
    if (!status && ret_used)
        *ret_used = HEADER_BYTES + body;
    return status;
}
