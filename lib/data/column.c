/*
 * data/column.c: making, growing, appending to and cutting back one column.
 *
 * A builder reserves rows once and then appends without checks; all that may fail is in reserve,
 * in the bytes of owned strings and in the first NULL. Growth is by half or more. Whatever fails
 * leaves the column as it was, except that it may have more memory; evs__column_truncate() undoes a
 * row of which only some parts were appended.
 *
 * Memory of a column of n rows: values n * width, validity n / 8 once there is a NULL, offsets
 * 4 (n + 1), each + EVS__COLUMN_PADDING. Offsets are 32 bits: at most 2^31 - 1 rows, elements or
 * bytes of text.
 */
#include <string.h>

#include "data/column.h"

#define COLUMN_ROWS_MAX INT32_MAX
#define COLUMN_BYTES_MAX INT32_MAX
#define COLUMN_FIRST_BYTES 256

/* bytes of a bit array that is addressed in whole 64-bit words */
static size_t bit_bytes(size_t bits)
{
    return (bits + 63) / 64 * 8;
}

static bool has_offsets(const evs__column *c)
{
    return c->type->id == EVS_TYPE_ARRAY || c->type->id == EVS_TYPE_MAP ||
           (evs__type_is_string(c->type->id) && c->layout == EVS_LAYOUT_OWNED);
}

/* bytes of `values` for `rows` rows of a column whose values grow with its rows */
static size_t values_bytes(const evs__column *c, size_t rows)
{
    int32_t width = evs__type_width(c->type->id);
    if (width == 0)
        return bit_bytes(rows);
    return rows * (width > 0 ? (size_t)width : sizeof(evs_string_view));
}

static bool has_row_values(const evs__column *c)
{
    return evs__type_width(c->type->id) >= 0 ||
           (evs__type_is_string(c->type->id) && c->layout == EVS_LAYOUT_VIEW);
}

/* ---- making and releasing ---- */

static evs_status make_children(evs__column *c, uint32_t capacity)
{
    const evs_type *type = c->type;

    c->children = evs__calloc(c->ctx, type->child_count, sizeof(*c->children));
    if (!c->children)
        return EVS_ERR_NOMEM;
    c->child_count = type->child_count;
    for (uint32_t i = 0; i < c->child_count; i++) {
        evs_status status =
            evs__column_new(c->ctx, type->children[i].type, c->layout, capacity, &c->children[i]);
        if (status)
            return status;
    }
    return EVS_OK;
}

static evs_status make_buffers(evs__column *c, uint32_t capacity)
{
    if (has_offsets(c)) {
        c->offsets = evs__alloc(c->ctx, ((size_t)capacity + 1) * 4 + EVS__COLUMN_PADDING);
        if (!c->offsets)
            return EVS_ERR_NOMEM;
        c->offsets[0] = 0;
    }
    if (has_row_values(c)) {
        c->values = evs__alloc(c->ctx, values_bytes(c, capacity) + EVS__COLUMN_PADDING);
        if (!c->values)
            return EVS_ERR_NOMEM;
    } else if (evs__type_is_string(c->type->id)) {
        c->bytes = evs__alloc(c->ctx, COLUMN_FIRST_BYTES + EVS__COLUMN_PADDING);
        if (!c->bytes)
            return EVS_ERR_NOMEM;
        c->bytes_capacity = COLUMN_FIRST_BYTES;
    }
    return EVS_OK;
}

evs_status evs__column_new(
    evs_context *ctx, const evs_type *type, evs_layout layout, uint32_t capacity, evs__column **ret)
{
    evs__column *c;
    evs_status status = EVS_OK;

    if (capacity > COLUMN_ROWS_MAX)
        return EVS_ERR_LIMIT;
    c = evs__calloc(ctx, 1, sizeof(*c));
    if (!c)
        return EVS_ERR_NOMEM;
    atomic_init(&c->refs, 1);
    c->ctx = evs__context_hold(ctx);
    c->type = evs_type_ref(type);
    c->layout = layout;
    c->capacity = capacity;
    status = make_buffers(c, capacity);
    if (!status && type->child_count)
        status = make_children(c, capacity);
    if (status) {
        evs__column_unref(c);
        return status;
    }
    *ret = c;
    return EVS_OK;
}

evs__column *evs__column_ref(evs__column *c)
{
    if (c)
        atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

evs__column *evs__column_unref(evs__column *c)
{
    evs_context *ctx;

    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    ctx = c->ctx;
    for (uint32_t i = 0; i < c->child_count; i++)
        evs__column_unref(c->children[i]);
    evs__free(ctx, c->children);
    if (c->foreign_release) {
        c->foreign_release(c->foreign);
    } else {
        evs__free(ctx, c->values);
        evs__free(ctx, c->offsets);
        evs__free(ctx, c->validity);
        evs__free(ctx, c->validity_spare);
    }
    evs_type_unref(c->type);
    evs__free(ctx, c);
    evs__context_drop(ctx);
    return NULL;
}

/* ---- growing ---- */

static evs_status grow(evs__column *c, void **buffer, size_t bytes)
{
    void *p = evs__realloc(c->ctx, *buffer, bytes + EVS__COLUMN_PADDING);
    if (!p)
        return EVS_ERR_NOMEM;
    *buffer = p;
    return EVS_OK;
}

static evs_status grow_validity(evs__column *c, uint32_t capacity)
{
    size_t before = bit_bytes(c->capacity);
    evs_status status;

    evs__free(c->ctx, c->validity_spare);
    c->validity_spare = NULL;
    if (!c->validity)
        return EVS_OK;
    status = grow(c, (void **)&c->validity, bit_bytes(capacity));
    if (!status)
        memset(c->validity + before, 0xff, bit_bytes(capacity) - before);
    return status;
}

evs_status evs__column_reserve_slow(evs__column *c, uint32_t rows)
{
    uint32_t capacity = c->capacity + c->capacity / 2 + 8;
    evs_status status = EVS_OK;

    if (rows > COLUMN_ROWS_MAX)
        return EVS_ERR_LIMIT;
    if (capacity < rows)
        capacity = rows;
    if (capacity > COLUMN_ROWS_MAX)
        capacity = COLUMN_ROWS_MAX;
    if (c->type->id == EVS_TYPE_STRUCT) {
        for (uint32_t i = 0; i < c->child_count && !status; i++)
            status = evs__column_reserve(c->children[i], capacity);
    }
    if (!status && has_offsets(c))
        status = grow(c, (void **)&c->offsets, ((size_t)capacity + 1) * 4);
    if (!status && has_row_values(c))
        status = grow(c, &c->values, values_bytes(c, capacity));
    if (!status)
        status = grow_validity(c, capacity);
    if (!status)
        c->capacity = capacity;
    return status;
}

evs_status evs__column_reserve_bytes_slow(evs__column *c, size_t extra)
{
    size_t used = (size_t)c->offsets[c->length];
    size_t capacity = c->bytes_capacity * 2;
    evs_status status;

    if (extra > COLUMN_BYTES_MAX - used)
        return EVS_ERR_LIMIT;
    if (capacity < used + extra)
        capacity = used + extra;
    status = grow(c, (void **)&c->bytes, capacity);
    if (!status)
        c->bytes_capacity = capacity;
    return status;
}

/* ---- NULLs ---- */

evs_status evs__column_need_validity(evs__column *c)
{
    size_t bytes = bit_bytes(c->capacity);

    if (c->validity)
        return EVS_OK;
    if (c->validity_spare) {
        c->validity = c->validity_spare;
        c->validity_spare = NULL;
    } else {
        c->validity = evs__alloc(c->ctx, bytes + EVS__COLUMN_PADDING);
        if (!c->validity)
            return EVS_ERR_NOMEM;
    }
    memset(c->validity, 0xff, bytes);
    return EVS_OK;
}

evs_status evs__column_set_null(evs__column *c, uint32_t row)
{
    evs_status status = evs__column_need_validity(c);
    if (!status)
        evs__bit_clear(c->validity, row);
    return status;
}

/* the value of row `length`, which is reserved, as zero */
static void put_zero(evs__column *c)
{
    size_t row = c->length;

    switch (c->type->id) {
    case EVS_TYPE_BOOLEAN:
        evs__bit_clear(c->bits, row);
        break;
    case EVS_TYPE_INT:
    case EVS_TYPE_DATE:
    case EVS_TYPE_TIME:
        c->i32[row] = 0;
        break;
    case EVS_TYPE_BIGINT:
    case EVS_TYPE_DOUBLE:
    case EVS_TYPE_TIMESTAMP:
        c->i64[row] = 0;
        break;
    case EVS_TYPE_DECIMAL:
        c->i128[row] = 0;
        break;
    case EVS_TYPE_VARCHAR:
    case EVS_TYPE_BYTES:
        if (c->layout == EVS_LAYOUT_VIEW) {
            c->views[row] = (evs_string_view){"", 0};
            break;
        }
        c->offsets[row + 1] = c->offsets[row];
        break;
    case EVS_TYPE_ARRAY:
    case EVS_TYPE_MAP:
        c->offsets[row + 1] = c->offsets[row];
        break;
    case EVS_TYPE_STRUCT:
        break;
    }
}

evs_status evs__column_append_null(evs__column *c)
{
    evs_status status = evs__column_reserve(c, c->length + 1);

    if (!status)
        status = evs__column_need_validity(c);
    if (c->type->id == EVS_TYPE_STRUCT) {
        for (uint32_t i = 0; i < c->child_count && !status; i++)
            status = evs__column_append_null(c->children[i]);
    }
    if (status) {
        evs__column_truncate(c, c->length);
        return status;
    }
    put_zero(c);
    evs__bit_clear(c->validity, c->length);
    c->length++;
    return EVS_OK;
}

/* ---- values ---- */

void evs__column_append_bool(evs__column *c, bool v)
{
    if (v)
        evs__bit_set(c->bits, c->length);
    else
        evs__bit_clear(c->bits, c->length);
    c->length++;
}

evs_status evs__column_append_str(evs__column *c, const char *data, size_t len)
{
    evs_status status = evs__column_reserve(c, c->length + 1);
    int32_t at;

    if (status)
        return status;
    if (c->layout == EVS_LAYOUT_VIEW) {
        evs__column_append_view(c, data, len);
        return EVS_OK;
    }
    status = evs__column_reserve_bytes(c, len);
    if (status)
        return status;
    at = c->offsets[c->length];
    evs__copy_short(c->bytes + at, data, len);
    c->offsets[++c->length] = at + (int32_t)len;
    return EVS_OK;
}

void evs__column_end_list(evs__column *c)
{
    c->offsets[++c->length] = (int32_t)c->children[0]->length;
}

void evs__column_end_struct(evs__column *c)
{
    c->length++;
}

/* ---- cutting back ---- */

void evs__column_truncate(evs__column *c, uint32_t length)
{
    if (c->validity) {
        for (uint32_t i = length; i < c->length; i++)
            evs__bit_set(c->validity, i);
    }
    if (c->length > length)
        c->length = length;
    if (c->type->id == EVS_TYPE_STRUCT) {
        for (uint32_t i = 0; i < c->child_count; i++)
            evs__column_truncate(c->children[i], length);
    } else if (c->child_count) {
        evs__column_truncate(c->children[0], (uint32_t)c->offsets[c->length]);
    }
}

void evs__column_reset(evs__column *c)
{
    c->length = 0;
    if (c->validity) {
        evs__free(c->ctx, c->validity_spare);
        c->validity_spare = c->validity;
        c->validity = NULL;
    }
    for (uint32_t i = 0; i < c->child_count; i++)
        evs__column_reset(c->children[i]);
}

/* ---- questions ---- */

bool evs__column_has_views(const evs__column *c)
{
    if (evs__type_is_string(c->type->id))
        return c->layout == EVS_LAYOUT_VIEW;
    for (uint32_t i = 0; i < c->child_count; i++) {
        if (evs__column_has_views(c->children[i]))
            return true;
    }
    return false;
}

bool evs__column_is_private(const evs__column *c)
{
    if (evs__column_is_shared(c) || c->foreign_release)
        return false;
    for (uint32_t i = 0; i < c->child_count; i++) {
        if (!evs__column_is_private(c->children[i]))
            return false;
    }
    return true;
}

size_t evs__column_bytes(const evs__column *c)
{
    size_t bytes = sizeof(*c) + c->bytes_capacity + c->child_count * sizeof(*c->children);

    if (has_row_values(c))
        bytes += values_bytes(c, c->capacity);
    if (c->offsets)
        bytes += ((size_t)c->capacity + 1) * 4;
    if (c->validity || c->validity_spare)
        bytes += bit_bytes(c->capacity);
    for (uint32_t i = 0; i < c->child_count; i++)
        bytes += evs__column_bytes(c->children[i]);
    return bytes;
}
