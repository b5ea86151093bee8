/*
 * data/row.c: what the host sees of a batch: column views for code that works on arrays, rows for
 * code that works row by row. Both only point into the batch.
 *
 * evs_row.reserved is NULL for a row of the batch and the STRUCT column for a nested one; `index`
 * is the physical row of whichever it is. A row that does not exist has no batch: every accessor
 * answers EVS_ERR_INVALID (or NULL, -1) to it.
 */
#include <string.h>

#include "data/batch.h"

/* ---- batch ---- */

evs_status evs_batch_keep(evs_batch *batch, evs_batch **ret_batch, evs_error **reterr)
{
    evs_status status;

    if (!batch || !ret_batch)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "batch or ret_batch is NULL");
    status = evs__batch_own(batch, ret_batch);
    if (status == EVS_ERR_NOMEM)
        return evs__nomem(reterr);
    if (status)
        return evs__fail(batch->ctx, reterr, status, "a column of the batch is over 2 GiB");
    return EVS_OK;
}

const evs_type *evs_batch_type(const evs_batch *batch)
{
    return batch ? batch->type : NULL;
}

size_t evs_batch_rows(const evs_batch *batch)
{
    return batch ? batch->count : 0;
}

const uint32_t *evs_batch_selection(const evs_batch *batch)
{
    return batch ? batch->sel : NULL;
}

const int64_t *evs_batch_times(const evs_batch *batch)
{
    return batch ? batch->times : NULL;
}

const uint8_t *evs_batch_kinds(const evs_batch *batch)
{
    return batch ? batch->kinds : NULL;
}

/* ---- columns ---- */

static void fill_view(const evs__column *c, evs_column_view *view)
{
    *view = (evs_column_view){
        .type = c->type,
        .length = c->length,
        .validity = c->validity,
        .values = c->values,
        .offsets = c->offsets,
        .handle = c,
        .layout = (int32_t)c->layout,
        .child_count = (int32_t)c->child_count,
    };
}

evs_status evs_batch_column(const evs_batch *batch, size_t index, evs_column_view *ret_view)
{
    if (!batch || !ret_view || index >= batch->column_count || !batch->columns[index])
        return EVS_ERR_INVALID;
    fill_view(batch->columns[index], ret_view);
    return EVS_OK;
}

evs_status evs_column_child(const evs_column_view *view, size_t index, evs_column_view *ret_view)
{
    const evs__column *c = view ? view->handle : NULL;

    if (!c || !ret_view || index >= c->child_count)
        return EVS_ERR_INVALID;
    fill_view(c->children[index], ret_view);
    return EVS_OK;
}

evs_string_view evs_column_string(const evs_column_view *view, int64_t row)
{
    const evs__column *c = view ? view->handle : NULL;

    if (!c || row < 0 || row >= c->length || !evs__type_is_string(c->type->id) ||
        evs__column_is_null(c, (size_t)row))
        return (evs_string_view){NULL, 0};
    return evs__column_str(c, (size_t)row);
}

/* ---- rows ---- */

evs_row evs_batch_row(const evs_batch *batch, size_t i)
{
    if (!batch || i >= batch->count)
        return (evs_row){0};
    return (evs_row){.batch = batch, .index = evs__batch_row_at(batch, (uint32_t)i)};
}

int64_t evs_row_time(const evs_row *row)
{
    if (!row || !row->batch || row->reserved || !row->batch->times)
        return EVS_TIME_NONE;
    return row->batch->times[row->index];
}

evs_row_kind evs_row_get_kind(const evs_row *row)
{
    if (!row || !row->batch || row->reserved || !row->batch->kinds)
        return EVS_ROW_INSERT;
    return (evs_row_kind)row->batch->kinds[row->index];
}

static const evs_type *row_type(const evs_row *row)
{
    const evs__column *c;
    if (!row || !row->batch)
        return NULL;
    c = row->reserved;
    return c ? c->type : row->batch->type;
}

int32_t evs_row_field(const evs_row *row, const char *name)
{
    return name ? evs_type_field_index(row_type(row), name, strlen(name)) : -1;
}

/* column of a field, or NULL when there is none */
static const evs__column *row_column(const evs_row *row, int32_t field)
{
    const evs_type *type = row_type(row);
    const evs__column *c;

    if (!type || field < 0 || (uint32_t)field >= type->child_count)
        return NULL;
    c = row->reserved;
    return c ? c->children[field] : row->batch->columns[field];
}

bool evs_row_is_null(const evs_row *row, int32_t field)
{
    const evs__column *c = row_column(row, field);
    return !c || evs__column_is_null(c, row->index);
}

/* EVS_OK with the column when the field has a value */
static evs_status
row_value(const evs_row *row, int32_t field, const void *ret, const evs__column **ret_column)
{
    const evs__column *c = row_column(row, field);

    if (!c || !ret)
        return EVS_ERR_INVALID;
    *ret_column = c;
    return evs__column_is_null(c, row->index) ? EVS_END : EVS_OK;
}

/* a wrong type is told whether the value is NULL or not, so that it shows at the first row */
evs_status evs_row_bool(const evs_row *row, int32_t field, bool *ret_value)
{
    const evs__column *c = NULL;
    evs_status status = row_value(row, field, ret_value, &c);

    if (!c)
        return status;
    if (c->type->id != EVS_TYPE_BOOLEAN)
        return EVS_ERR_TYPE;
    if (!status)
        *ret_value = evs__bit_get(c->bits, row->index);
    return status;
}

evs_status evs_row_int(const evs_row *row, int32_t field, int64_t *ret_value)
{
    const evs__column *c = NULL;
    evs_status status = row_value(row, field, ret_value, &c);

    if (!c)
        return status;
    switch (c->type->id) {
    case EVS_TYPE_INT:
    case EVS_TYPE_DATE:
    case EVS_TYPE_TIME:
        if (!status)
            *ret_value = c->i32[row->index];
        return status;
    case EVS_TYPE_BIGINT:
    case EVS_TYPE_TIMESTAMP:
        if (!status)
            *ret_value = c->i64[row->index];
        return status;
    default:
        return EVS_ERR_TYPE;
    }
}

evs_status evs_row_double(const evs_row *row, int32_t field, double *ret_value)
{
    const evs__column *c = NULL;
    evs_status status = row_value(row, field, ret_value, &c);
    double value;

    if (!c)
        return status;
    switch (c->type->id) {
    case EVS_TYPE_DOUBLE:
        value = c->f64[row->index];
        break;
    case EVS_TYPE_INT:
        value = c->i32[row->index];
        break;
    case EVS_TYPE_BIGINT:
        value = (double)c->i64[row->index];
        break;
    case EVS_TYPE_DECIMAL:
        value = evs__decimal_to_double(c->i128[row->index], c->type->scale);
        break;
    default:
        return EVS_ERR_TYPE;
    }
    if (!status)
        *ret_value = value;
    return status;
}

evs_status evs_row_string(const evs_row *row, int32_t field, const char **ret_data, size_t *ret_len)
{
    const evs__column *c = NULL;
    evs_status status = row_value(row, field, ret_data, &c);
    evs_string_view v;

    if (!c || !ret_len)
        return EVS_ERR_INVALID;
    if (!evs__type_is_string(c->type->id))
        return EVS_ERR_TYPE;
    if (status)
        return status;
    v = evs__column_str(c, row->index);
    *ret_data = v.data ? v.data : "";
    *ret_len = v.len;
    return EVS_OK;
}

evs_status evs_row_struct(const evs_row *row, int32_t field, evs_row *ret_row)
{
    const evs__column *c = NULL;
    evs_status status = row_value(row, field, ret_row, &c);

    if (!c)
        return status;
    if (c->type->id != EVS_TYPE_STRUCT)
        return EVS_ERR_TYPE;
    if (!status)
        *ret_row = (evs_row){.batch = row->batch, .reserved = c, .index = row->index};
    return status;
}

/*
 * The text is printed into memory of its own first: how long it is must be told even when it does
 * not fit.
 */
evs_status
evs_row_text(const evs_row *row, int32_t field, char *buffer, size_t size, size_t *ret_len)
{
    const evs__column *c = NULL;
    evs_status status = row_value(row, field, row, &c);
    evs__buffer out;

    if (status || (size && !buffer))
        return status ? status : EVS_ERR_INVALID;
    evs__buffer_init(&out, row->batch->ctx, SIZE_MAX);
    status = evs__column_print(c, row->index, false, &out);
    if (!status) {
        size_t n = out.len < size ? out.len : size - 1;
        if (size && n)
            memcpy(buffer, out.data, n);
        if (size)
            buffer[n] = '\0';
        if (ret_len)
            *ret_len = out.len;
    }
    evs__buffer_free(&out);
    return status;
}
