/*
 * expr/eval.c: evaluation as a whole, and the tools that all evaluators share.
 *
 * A selection that is not ascending is sorted first (a result is by physical row, so the order does
 * not matter), which lets text columns be written front to back. Which rows failed is kept in a
 * bitmap, so a row is told once; at the end those rows are made NULL in the result, whatever an
 * operator like coalesce() made of them.
 *
 * Memory of results and selections stays with the nodes: after the first batches nothing is
 * allocated, as long as the result of the call before has been given back.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expr/term.h"

#define ROWS_FIRST 64
#define WHY_MAX 240

/* ---- result columns ---- */

/* values are zeroed once, so that rows nobody wrote are at least defined */
static evs_status new_out(evs__expr *e, const evs_type *type, uint32_t rows, evs__column **ret)
{
    int32_t width = evs__type_width(type->id);
    uint32_t capacity = ROWS_FIRST;
    evs_status status;

    while (capacity < rows && capacity < UINT32_MAX / 2)
        capacity *= 2;
    status = evs__column_new(e->ctx, type, EVS_LAYOUT_OWNED, capacity, ret);
    if (status)
        return status;
    if (width >= 0)
        memset((*ret)->values, 0, width ? (size_t)width * capacity : (capacity + 63) / 64 * 8);
    return EVS_OK;
}

static evs_status reuse_out(evs__expr *e, const evs_type *type, uint32_t rows, evs__column **column)
{
    if (*column && (!evs__column_is_private(*column) || (*column)->capacity < rows))
        *column = evs__column_unref(*column);
    if (*column) {
        evs__column_reset(*column);
        return EVS_OK;
    }
    return new_out(e, type, rows, column);
}

evs_status evs__term_out(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs_status status = reuse_out(ev->expr, n->type, rows->total, &n->out);

    if (status)
        return status;
    if (evs__type_width(n->type->id) >= 0)
        n->out->length = rows->total;
    *ret = n->out;
    return EVS_OK;
}

evs_status evs__and_validity(evs__column *out, const evs__column *c, size_t stride, uint32_t total)
{
    size_t bytes = (total + 7) / 8;
    evs_status status;

    if (!c->validity || (!stride && evs__bit_get(c->validity, 0)))
        return EVS_OK;
    status = evs__column_need_validity(out);
    if (status || !bytes)
        return status;
    if (!stride) {
        memset(out->validity, 0, bytes);
    } else {
        for (size_t i = 0; i < bytes; i++)
            out->validity[i] &= c->validity[i];
    }
    if (total % 8)
        out->validity[bytes - 1] |= (uint8_t)(0xffu << total % 8);
    return EVS_OK;
}

static void zero_row(evs__column *c, size_t row)
{
    switch (evs__type_width(c->type->id)) {
    case 0:
        evs__bit_clear(c->bits, row);
        break;
    case 4:
        c->i32[row] = 0;
        break;
    case 8:
        c->i64[row] = 0;
        break;
    case 16:
        c->i128[row] = 0;
        break;
    default:
        break;
    }
}

void evs__zero_nulls(evs__column *out)
{
    size_t bytes = (out->length + 7) / 8;

    if (!out->validity)
        return;
    if (out->type->id == EVS_TYPE_BOOLEAN) {
        for (size_t i = 0; i < bytes; i++)
            out->bits[i] &= out->validity[i];
        return;
    }
    for (size_t i = 0; i < bytes; i++) {
        for (unsigned nulls = 0xffu & ~(unsigned)out->validity[i]; nulls; nulls &= nulls - 1)
            zero_row(out, i * 8 + (size_t)__builtin_ctz(nulls));
    }
}

evs_status evs__eval_strict(
    evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **cols, evs__column **ret)
{
    evs_status status = EVS_OK;

    for (uint32_t i = 0; i < n->arg_count && !status; i++)
        status = evs__term_eval(ev, n->args[i], rows, &cols[i]);
    if (!status)
        status = evs__term_out(ev, n, rows, ret);
    for (uint32_t i = 0; i < n->arg_count && !status; i++)
        status = evs__and_validity(*ret, cols[i], EVS__STRIDE(n->args[i]), rows->total);
    return status;
}

/* ---- rows that fail ---- */

static evs_status
grow_scratch(evs_context *ctx, void **p, size_t *capacity, size_t count, size_t width)
{
    size_t wanted = *capacity ? *capacity : ROWS_FIRST;
    void *grown;

    if (count <= *capacity)
        return EVS_OK;
    while (wanted < count)
        wanted *= 2;
    grown = evs__realloc_array(ctx, *p, wanted, width);
    if (!grown)
        return EVS_ERR_NOMEM;
    *p = grown;
    *capacity = wanted;
    return EVS_OK;
}

evs_status evs__term_scratch(evs__eval *ev, evs__term *n, size_t count, uint32_t **ret)
{
    evs_status status = grow_scratch(ev->expr->ctx, (void **)&n->scratch, &n->scratch_capacity,
                                     count, sizeof(*n->scratch));
    if (!status)
        *ret = n->scratch;
    return status;
}

evs_status
evs__tell_row(evs__eval *ev, const evs__term *n, uint32_t row, evs_status status, const char *why)
{
    evs__expr *e = ev->expr;
    size_t bytes = ((size_t)(ev->in ? ev->in->rows : 1) + 7) / 8;
    char line[WHY_MAX + 32];

    if (!e->any_failed) {
        if (grow_scratch(e->ctx, (void **)&e->failed, &e->failed_capacity, bytes, 1))
            return EVS_ERR_NOMEM;
        memset(e->failed, 0, bytes);
        e->any_failed = true;
    }
    if (evs__bit_get(e->failed, row))
        return EVS_OK;
    evs__bit_set(e->failed, row);
    if (ev->failed) {
        snprintf(line, sizeof(line), "%s (column %u)", why, n->position + 1);
        ev->failed(ev->user_data, row, status, line);
    }
    return EVS_OK;
}

evs_status evs__fail_row(evs__eval *ev,
                         const evs__term *n,
                         evs__column *out,
                         uint32_t row,
                         evs_status status,
                         const char *format,
                         ...)
{
    char why[WHY_MAX];
    va_list ap;

    va_start(ap, format);
    vsnprintf(why, sizeof(why), format, ap);
    va_end(ap);
    /* a cut must not leave half a character */
    why[evs__utf8_valid_prefix(why, strlen(why))] = '\0';
    if (evs__tell_row(ev, n, row, status, why))
        return EVS_ERR_NOMEM;
    zero_row(out, row);
    return evs__column_set_null(out, row);
}

/* ---- text ---- */

evs_status evs__text_skip(evs__column *out, uint32_t row)
{
    int32_t at = out->offsets[out->length];

    while (out->length < row)
        out->offsets[++out->length] = at;
    return EVS_OK;
}

evs_status evs__text_room(
    evs__eval *ev, const evs__term *n, evs__column *out, uint32_t row, size_t len, char **ret)
{
    evs_status status;
    int32_t at;

    *ret = NULL;
    evs__text_skip(out, row);
    status = len > EVS__EXPR_TEXT_MAX ? EVS_ERR_LIMIT : evs__column_reserve_bytes(out, len);
    if (status == EVS_ERR_LIMIT) {
        status = evs__fail_row(ev, n, out, row, status, "the text is too long (%zu bytes)", len);
        evs__text_skip(out, row + 1);
        return status;
    }
    if (status)
        return status;
    at = out->offsets[out->length];
    out->offsets[++out->length] = at + (int32_t)len;
    *ret = out->bytes + at;
    return EVS_OK;
}

evs_status evs__text_put(
    evs__eval *ev, const evs__term *n, evs__column *out, uint32_t row, const char *data, size_t len)
{
    char *room;
    evs_status status = evs__text_room(ev, n, out, row, len, &room);

    if (!status && room)
        evs__copy_short(room, data, len);
    return status;
}

/* ---- rows to rows ---- */

uint32_t evs__split_rows(const evs__column *c,
                         size_t stride,
                         const evs__rows *rows,
                         uint32_t *ret_true,
                         uint32_t *ret_rest,
                         uint32_t *ret_rest_count)
{
    uint32_t taken = 0, rest = 0;

    EVS__FOR_ROWS(rows, i)
    {
        bool is_true = evs__bit_get(c->bits, i * stride);
        if (ret_true)
            ret_true[taken] = i;
        taken += is_true;
        if (ret_rest)
            ret_rest[rest] = i;
        rest += !is_true;
    }
    if (ret_rest_count)
        *ret_rest_count = rest;
    return taken;
}

#define MERGE_FIXED(field)                                                                         \
    EVS__FOR_ROWS(rows, i)                                                                         \
    {                                                                                              \
        uint32_t from = choice[i];                                                                 \
        if (from == UINT32_MAX || evs__column_is_null(cols[from], i * strides[from])) {            \
            out->field[i] = 0;                                                                     \
            if ((status = evs__column_set_null(out, i)))                                           \
                return status;                                                                     \
        } else {                                                                                   \
            out->field[i] = cols[from]->field[i * strides[from]];                                  \
        }                                                                                          \
    }

static evs_status merge_fixed(evs__column *out,
                              const evs__rows *rows,
                              evs__column *const *cols,
                              const size_t *strides,
                              const uint32_t *choice)
{
    evs_status status = EVS_OK;

    switch (evs__type_width(out->type->id)) {
    case 4:
        MERGE_FIXED(i32)
        break;
    case 8:
        MERGE_FIXED(i64)
        break;
    case 16:
        MERGE_FIXED(i128)
        break;
    default:
        EVS__FOR_ROWS(rows, i)
        {
            uint32_t from = choice[i];
            bool null = from == UINT32_MAX || evs__column_is_null(cols[from], i * strides[from]);
            evs__bit_clear(out->bits, i);
            if (null && (status = evs__column_set_null(out, i)))
                return status;
            if (!null && evs__bit_get(cols[from]->bits, i * strides[from]))
                evs__bit_set(out->bits, i);
        }
        break;
    }
    return status;
}

/* text and nested values: appended in order, rows that do not count are NULL */
static evs_status merge_appended(evs__eval *ev,
                                 evs__term *n,
                                 evs__column *out,
                                 const evs__rows *rows,
                                 evs__column *const *cols,
                                 const size_t *strides,
                                 const uint32_t *choice)
{
    bool text = evs__type_is_string(out->type->id);
    evs_status status = EVS_OK;

    EVS__FOR_ROWS(rows, i)
    {
        uint32_t from = choice[i];
        bool null = from == UINT32_MAX || evs__column_is_null(cols[from], i * strides[from]);
        while (out->length < i && !status)
            status = evs__column_append_null(out);
        if (!status && null) {
            status = evs__column_append_null(out);
        } else if (!status && text) {
            evs_string_view s = evs__column_str(cols[from], i * strides[from]);
            status = evs__text_put(ev, n, out, i, s.data, s.len);
        } else if (!status) {
            uint32_t row = i * (uint32_t)strides[from];
            status = evs__column_gather(out, cols[from], &row, 1);
        }
        if (status)
            return status;
    }
    while (out->length < rows->total && !status)
        status = evs__column_append_null(out);
    return status;
}

evs_status evs__merge_rows(evs__eval *ev,
                           evs__term *n,
                           const evs__rows *rows,
                           evs__column *const *cols,
                           const size_t *strides,
                           const uint32_t *choice,
                           evs__column **ret)
{
    evs_status status = evs__term_out(ev, n, rows, ret);

    if (status)
        return status;
    if (evs__type_width(n->type->id) >= 0)
        return merge_fixed(*ret, rows, cols, strides, choice);
    return merge_appended(ev, n, *ret, rows, cols, strides, choice);
}

/* ---- leaves ---- */

evs_status evs__eval_constant(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    (void)ev;
    (void)rows;
    *ret = n->out;
    return EVS_OK;
}

evs_status evs__eval_column(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    (void)rows;
    *ret = ev->in->columns[n->index];
    return EVS_OK;
}

/* args[0] once, for all its uses in args[1] */
evs_status evs__eval_let(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs_status status = evs__term_eval(ev, n->args[0], rows, &n->held);

    if (!status)
        status = evs__term_eval(ev, n->args[1], rows, ret);
    return status;
}

evs_status evs__eval_local(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    const evs__term *let = n->state;
    (void)ev;
    (void)rows;
    *ret = let->held;
    return EVS_OK;
}

/* ---- the whole ---- */

static int compare_rows(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* the rows of a batch in ascending order */
static evs_status batch_rows(evs__expr *e, const evs_batch *in, evs__rows *ret)
{
    bool ascending = true;

    *ret = (evs__rows){in->sel, in->count, in->rows};
    for (uint32_t k = 1; in->sel && k < in->count; k++)
        ascending &= in->sel[k - 1] < in->sel[k];
    if (ascending)
        return EVS_OK;
    if (grow_scratch(e->ctx, (void **)&e->order, &e->order_capacity, in->count, sizeof(*e->order)))
        return EVS_ERR_NOMEM;
    memcpy(e->order, in->sel, in->count * sizeof(*e->order));
    qsort(e->order, in->count, sizeof(*e->order), compare_rows);
    ret->sel = e->order;
    return EVS_OK;
}

static bool has_failed_value(const evs__expr *e, const evs__column *c, const evs__rows *rows)
{
    EVS__FOR_ROWS(rows, i)
    {
        if (evs__bit_get(e->failed, i) && !evs__column_is_null(c, i))
            return true;
    }
    return false;
}

/* `c` (one row for all with stride 0) for all rows, NULL where a row failed; rarely needed */
static evs_status
copy_full(evs__expr *e, const evs__column *c, uint32_t stride, uint32_t total, evs__column **ret)
{
    static const uint32_t zeros[256];
    evs_status status = reuse_out(e, e->root->type, total, &e->full);

    for (uint32_t i = 0; !stride && i < total && !status; i += 256)
        status = evs__column_gather(e->full, c, zeros, total - i < 256 ? total - i : 256);
    for (uint32_t i = 0; stride && i < total && !status; i++) {
        if (evs__bit_get(e->failed, i))
            status = evs__column_append_null(e->full);
        else
            status = evs__column_gather(e->full, c, &i, 1);
    }
    *ret = e->full;
    return status;
}

static evs_status eval_root(evs__expr *e,
                            const evs_batch *in,
                            evs__row_failed_fn failed,
                            void *user_data,
                            evs__column **ret)
{
    evs__eval ev = {e, in, failed, user_data};
    evs__rows rows;
    evs_status status;

    e->any_failed = false;
    status = batch_rows(e, in, &rows);
    if (!status)
        status = evs__term_eval(&ev, e->root, &rows, ret);
    if (!status && e->any_failed && has_failed_value(e, *ret, &rows))
        status = copy_full(e, *ret, 1, in->rows, ret);
    return status;
}

static evs_status eval_failed(evs_status status, evs_error **reterr)
{
    if (status == EVS_ERR_NOMEM)
        return evs__nomem(reterr);
    return evs__fail(NULL, reterr, status, "an expression's result is too large");
}

evs_status evs__expr_eval(evs__expr *e,
                          const evs_batch *in,
                          evs__row_failed_fn failed,
                          void *user_data,
                          evs__column **ret,
                          evs_error **reterr)
{
    evs__column *c = NULL;
    evs_status status = eval_root(e, in, failed, user_data, &c);

    if (!status && e->root->constant) {
        bool same = e->full && !evs__column_is_shared(e->full) && e->full->length == in->rows;
        c = e->full;
        if (!same)
            status = copy_full(e, e->root->out, 0, in->rows, &c);
    }
    if (status)
        return eval_failed(status, reterr);
    *ret = evs__column_ref(c);
    return EVS_OK;
}

static uint32_t select_dense(const evs__column *c, uint32_t count, uint32_t *sel)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < count; i += 64) {
        uint64_t word = 0;
        memcpy(&word, c->bits + i / 8, count - i >= 64 ? 8 : (count - i + 7) / 8);
        if (count - i < 64)
            word &= ((uint64_t)1 << (count - i)) - 1;
        for (; word; word &= word - 1)
            sel[n++] = i + (uint32_t)__builtin_ctzll(word);
    }
    return n;
}

evs_status evs__expr_select(evs__expr *e,
                            const evs_batch *in,
                            evs__row_failed_fn failed,
                            void *user_data,
                            uint32_t *sel,
                            uint32_t *ret_count,
                            evs_error **reterr)
{
    evs__rows rows = {in->sel, in->count, in->rows};
    evs__column *c = NULL;
    evs_status status = eval_root(e, in, failed, user_data, &c);

    if (status)
        return eval_failed(status, reterr);
    if (!in->sel && !e->root->constant)
        *ret_count = select_dense(c, in->count, sel);
    else
        *ret_count = evs__split_rows(c, EVS__STRIDE(e->root), &rows, sel, NULL, NULL);
    return EVS_OK;
}
