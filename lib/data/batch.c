/*
 * data/batch.c: batches: columns of the same rows, a selection, and what travels beside the
 * columns.
 *
 *   columns[f] ---------> evs__column, shared by reference between batches
 *   sel                   which physical rows count
 *   times, kinds, origin, row_watermark      arrays of aux_capacity entries, owned, or NULL
 *
 * A batch is written by the one who made it until somebody else has a reference; from then on it is
 * constant. Projections and filters make new batches that share columns and copy the arrays beside
 * them: 8 to 20 bytes a row, about a microsecond for a full batch.
 */
#include <string.h>

#include "data/batch.h"

/* ---- making and releasing ---- */

evs_status evs__batch_shell(evs_context *ctx, const evs_type *type, uint32_t rows, evs_batch **ret)
{
    evs_batch *b = evs__calloc(ctx, 1, sizeof(*b));

    if (!b)
        return EVS_ERR_NOMEM;
    atomic_init(&b->refs, 1);
    b->ctx = evs__context_hold(ctx);
    b->type = evs_type_ref(type);
    b->rows = b->count = b->aux_capacity = rows;
    b->columns = evs__calloc(ctx, type->child_count, sizeof(*b->columns));
    if (!b->columns) {
        evs_batch_unref(b);
        return EVS_ERR_NOMEM;
    }
    b->column_count = type->child_count;
    *ret = b;
    return EVS_OK;
}

evs_status evs__batch_new(
    evs_context *ctx, const evs_type *type, evs_layout layout, uint32_t capacity, evs_batch **ret)
{
    evs_batch *b = NULL;
    evs_status status = evs__batch_shell(ctx, type, 0, &b);

    if (status)
        return status;
    b->aux_capacity = capacity;
    for (uint32_t i = 0; i < b->column_count && !status; i++)
        status = evs__column_new(ctx, type->children[i].type, layout, capacity, &b->columns[i]);
    if (status) {
        evs_batch_unref(b);
        return status;
    }
    *ret = b;
    return EVS_OK;
}

evs_batch *evs_batch_ref(evs_batch *batch)
{
    if (batch)
        atomic_fetch_add_explicit(&batch->refs, 1, memory_order_relaxed);
    return batch;
}

/* selection, arrays and lease: all that is not the columns */
static void batch_strip(evs_batch *b)
{
    evs__free(b->ctx, b->sel);
    evs__free(b->ctx, b->times);
    evs__free(b->ctx, b->kinds);
    evs__free(b->ctx, b->origin);
    evs__free(b->ctx, b->row_watermark);
    evs__lease_unref(b->lease);
    b->sel = NULL;
    b->times = NULL;
    b->kinds = NULL;
    b->origin = NULL;
    b->row_watermark = NULL;
    b->lease = NULL;
}

evs_batch *evs_batch_unref(evs_batch *batch)
{
    evs_context *ctx;

    if (!batch || atomic_fetch_sub_explicit(&batch->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    ctx = batch->ctx;
    for (uint32_t i = 0; i < batch->column_count; i++)
        evs__column_unref(batch->columns[i]);
    evs__free(ctx, batch->columns);
    batch_strip(batch);
    evs_type_unref(batch->type);
    evs__free(ctx, batch);
    evs__context_drop(ctx);
    return NULL;
}

/* ---- arrays beside the columns ---- */

evs_status evs__batch_need_times(evs_batch *b)
{
    if (b->times)
        return EVS_OK;
    b->times = evs__realloc_array(b->ctx, NULL, b->aux_capacity, sizeof(*b->times));
    if (!b->times)
        return EVS_ERR_NOMEM;
    for (uint32_t i = 0; i < b->aux_capacity; i++)
        b->times[i] = EVS_TIME_NONE;
    return EVS_OK;
}

evs_status evs__batch_need_kinds(evs_batch *b)
{
    if (!b->kinds)
        b->kinds = evs__calloc(b->ctx, b->aux_capacity, sizeof(*b->kinds));
    return b->kinds ? EVS_OK : EVS_ERR_NOMEM;
}

evs_status evs__batch_need_origin(evs_batch *b)
{
    if (!b->origin)
        b->origin = evs__calloc(b->ctx, b->aux_capacity, sizeof(*b->origin));
    return b->origin ? EVS_OK : EVS_ERR_NOMEM;
}

evs_status evs__batch_need_row_watermark(evs_batch *b)
{
    if (b->row_watermark)
        return EVS_OK;
    b->row_watermark = evs__realloc_array(b->ctx, NULL, b->aux_capacity, sizeof(int64_t));
    if (!b->row_watermark)
        return EVS_ERR_NOMEM;
    for (uint32_t i = 0; i < b->aux_capacity; i++)
        b->row_watermark[i] = EVS_TIME_NONE;
    return EVS_OK;
}

/* an array, if there is one, for `rows` entries; times are filled with NONE, others with zero */
static evs_status grow_array(evs_batch *b, void **array, size_t width, uint32_t rows)
{
    char *p;

    if (!*array)
        return EVS_OK;
    p = evs__realloc_array(b->ctx, *array, rows, width);
    if (!p)
        return EVS_ERR_NOMEM;
    *array = p;
    if (width == sizeof(int64_t)) {
        for (uint32_t i = b->aux_capacity; i < rows; i++)
            ((int64_t *)*array)[i] = EVS_TIME_NONE;
    } else {
        memset(p + b->aux_capacity * width, 0, (rows - b->aux_capacity) * width);
    }
    return EVS_OK;
}

evs_status evs__batch_reserve(evs_batch *b, uint32_t rows)
{
    evs_status status = EVS_OK;

    for (uint32_t i = 0; i < b->column_count && !status; i++)
        status = evs__column_reserve(b->columns[i], rows);
    if (status || rows <= b->aux_capacity)
        return status;
    if (rows < b->aux_capacity + b->aux_capacity / 2)
        rows = b->aux_capacity + b->aux_capacity / 2;
    if (grow_array(b, (void **)&b->times, sizeof(*b->times), rows) ||
        grow_array(b, (void **)&b->row_watermark, sizeof(*b->row_watermark), rows) ||
        grow_array(b, (void **)&b->kinds, sizeof(*b->kinds), rows) ||
        grow_array(b, (void **)&b->origin, sizeof(*b->origin), rows))
        return EVS_ERR_NOMEM;
    b->aux_capacity = rows;
    return EVS_OK;
}

bool evs__batch_reuse(evs_batch *b)
{
    if (!b || atomic_load_explicit(&b->refs, memory_order_acquire) != 1)
        return false;
    for (uint32_t i = 0; i < b->column_count; i++) {
        if (!b->columns[i] || !evs__column_is_private(b->columns[i]))
            return false;
    }
    for (uint32_t i = 0; i < b->column_count; i++)
        evs__column_reset(b->columns[i]);
    batch_strip(b);
    b->rows = b->count = b->slot = 0;
    return true;
}

/* ---- derived batches ---- */

/* *ret = copy of an array of `n` entries, if there is one */
static evs_status copy_array(evs_context *ctx, void **ret, const void *from, size_t n, size_t width)
{
    if (!from)
        return EVS_OK;
    *ret = evs__realloc_array(ctx, NULL, n, width);
    if (!*ret)
        return EVS_ERR_NOMEM;
    memcpy(*ret, from, n * width);
    return EVS_OK;
}

/* a shell with in's arrays, lease and slot, without its selection */
static evs_status batch_beside(const evs_batch *in, const evs_type *type, evs_batch **ret)
{
    evs_batch *b = NULL;
    evs_context *ctx = in->ctx;
    size_t n = in->rows;
    evs_status status = evs__batch_shell(ctx, type, in->rows, &b);

    if (status)
        return status;
    if (copy_array(ctx, (void **)&b->times, in->times, n, sizeof(*b->times)) ||
        copy_array(ctx, (void **)&b->kinds, in->kinds, n, sizeof(*b->kinds)) ||
        copy_array(ctx, (void **)&b->origin, in->origin, n, sizeof(*b->origin)) ||
        copy_array(ctx, (void **)&b->row_watermark, in->row_watermark, n, sizeof(int64_t))) {
        evs_batch_unref(b);
        return EVS_ERR_NOMEM;
    }
    b->lease = evs__lease_ref(in->lease);
    b->slot = in->slot;
    *ret = b;
    return EVS_OK;
}

static evs_status batch_set_selection(evs_batch *b, const uint32_t *sel, uint32_t count)
{
    if (copy_array(b->ctx, (void **)&b->sel, sel, count, sizeof(*sel)))
        return EVS_ERR_NOMEM;
    b->count = count;
    return EVS_OK;
}

static void share_columns(evs_batch *b, const evs_batch *in)
{
    for (uint32_t i = 0; i < b->column_count; i++)
        b->columns[i] = evs__column_ref(in->columns[i]);
}

evs_status evs__batch_like(const evs_batch *in, const evs_type *type, evs_batch **ret)
{
    evs_batch *b = NULL;
    evs_status status = batch_beside(in, type, &b);

    if (!status)
        status = batch_set_selection(b, in->sel, in->count);
    if (status) {
        evs_batch_unref(b);
        return status;
    }
    *ret = b;
    return EVS_OK;
}

evs_status evs__batch_select(evs_batch *in, const uint32_t *sel, uint32_t count, evs_batch **ret)
{
    evs_batch *b = NULL;
    evs_status status = batch_beside(in, in->type, &b);

    if (!status)
        status = batch_set_selection(b, sel, count);
    if (status) {
        evs_batch_unref(b);
        return status;
    }
    share_columns(b, in);
    *ret = b;
    return EVS_OK;
}

/* ---- gathering ---- */

static void gather_times(evs_batch *dst, const evs_batch *src, const uint32_t *sel, uint32_t count)
{
    int64_t *to = dst->times + dst->rows;

    for (uint32_t k = 0; k < count; k++)
        to[k] = !src->times ? EVS_TIME_NONE : src->times[sel ? sel[k] : k];
}

static void gather_kinds(evs_batch *dst, const evs_batch *src, const uint32_t *sel, uint32_t count)
{
    uint8_t *to = dst->kinds + dst->rows;

    for (uint32_t k = 0; k < count; k++)
        to[k] = !src->kinds ? EVS_ROW_INSERT : src->kinds[sel ? sel[k] : k];
}

evs_status
evs__batch_gather(evs_batch *dst, const evs_batch *src, const uint32_t *sel, uint32_t count)
{
    uint32_t rows;
    evs_status status;

    if (__builtin_add_overflow(dst->rows, count, &rows))
        return EVS_ERR_LIMIT;
    status = evs__batch_reserve(dst, rows);
    if (!status && src->times)
        status = evs__batch_need_times(dst);
    if (!status && src->kinds)
        status = evs__batch_need_kinds(dst);
    for (uint32_t i = 0; i < dst->column_count && !status; i++)
        status = evs__column_gather(dst->columns[i], src->columns[i], sel, count);
    if (status) {
        for (uint32_t i = 0; i < dst->column_count; i++)
            evs__column_truncate(dst->columns[i], dst->rows);
        return status;
    }
    if (dst->times)
        gather_times(dst, src, sel, count);
    if (dst->kinds)
        gather_kinds(dst, src, sel, count);
    dst->rows = dst->count = rows;
    return EVS_OK;
}

static bool batch_has_views(const evs_batch *b)
{
    for (uint32_t i = 0; i < b->column_count; i++) {
        if (evs__column_has_views(b->columns[i]))
            return true;
    }
    return false;
}

evs_status evs__batch_own(evs_batch *in, evs_batch **ret)
{
    evs_batch *b = NULL;
    evs_status status;

    if (!in->sel && !batch_has_views(in)) {
        if (!in->lease && !in->origin) {
            *ret = evs_batch_ref(in);
            return EVS_OK;
        }
        status = batch_beside(in, in->type, &b);
        if (status)
            return status;
        share_columns(b, in);
        evs__free(b->ctx, b->origin);
        b->origin = NULL;
        evs__lease_unref(b->lease);
        b->lease = NULL;
        *ret = b;
        return EVS_OK;
    }
    status = evs__batch_new(in->ctx, in->type, EVS_LAYOUT_OWNED, in->count, &b);
    if (!status)
        status = evs__batch_gather(b, in, in->sel, in->count);
    if (status) {
        evs_batch_unref(b);
        return status;
    }
    *ret = b;
    return EVS_OK;
}

size_t evs__batch_bytes(const evs_batch *b)
{
    size_t row =
        (b->times ? 8 : 0) + (b->kinds ? 1 : 0) + (b->origin ? 4 : 0) + (b->row_watermark ? 8 : 0);
    size_t bytes = sizeof(*b) + b->column_count * sizeof(*b->columns) + row * b->aux_capacity +
                   (b->sel ? b->count * sizeof(*b->sel) : 0);

    for (uint32_t i = 0; i < b->column_count; i++)
        bytes += b->columns[i] ? evs__column_bytes(b->columns[i]) : 0;
    return bytes;
}
