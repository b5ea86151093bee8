/*
 * engine/explode.c: a row per element of an array.
 *
 *   user  items [ {sku, qty}, {sku, qty} ]      explode(items, item)      user  item {sku, qty}
 *                                                                         user  item {sku, qty}
 *
 * The array is a column, or any expression: a column is replaced by its element, anything else adds
 * a column. The new column is named `alias`, or as the array's last name; fields of a STRUCT
 * element are read as alias.field. A NULL or empty array gives no row; an element that is NULL
 * gives one. Rows out carry time, kind, origin and row watermark of the row they came from.
 *
 * Rows are gathered, at most EVS_BATCH_ROWS_MAX to a batch, so one long array becomes several
 * batches. Text stays a view where it was one: the batch out holds the lease, too.
 */
#include <stdio.h>
#include <string.h>

#include "engine/operator.h"

typedef struct explode {
    evs__operator op;
    evs__expr *array;
    uint32_t at; /* of the element among the columns out */
    bool replaces;
    uint32_t *rows; /* of the input, and elements: EVS_BATCH_ROWS_MAX of each */
    uint32_t *elements;
} explode;

typedef struct failures {
    const evs__out *out;
    const evs_batch *batch;
} failures;

static void explode_failed(void *user_data, uint32_t row, evs_status status, const char *message)
{
    failures *f = user_data;
    f->out->reject(f->out->user, f->batch, row, EVS__STAGE_EXPRESSION, status, message);
}

/* ---- rows ---- */

static evs_status gather_column(const explode *x,
                                const evs__column *from,
                                const uint32_t *sel,
                                uint32_t count,
                                evs__column **ret)
{
    evs_layout layout = evs__column_has_views(from) ? EVS_LAYOUT_VIEW : EVS_LAYOUT_OWNED;
    evs_status status = evs__column_new(x->op.ctx, from->type, layout, count, ret);
    return status ? status : evs__column_gather(*ret, from, sel, count);
}

static evs_status
gather_beside(evs_batch *to, const evs_batch *in, const uint32_t *rows, uint32_t count)
{
    if ((in->times && evs__batch_need_times(to)) || (in->kinds && evs__batch_need_kinds(to)) ||
        (in->origin && evs__batch_need_origin(to)) ||
        (in->row_watermark && evs__batch_need_row_watermark(to)))
        return EVS_ERR_NOMEM;
    for (uint32_t k = 0; k < count; k++) {
        if (in->times)
            to->times[k] = in->times[rows[k]];
        if (in->kinds)
            to->kinds[k] = in->kinds[rows[k]];
        if (in->origin)
            to->origin[k] = in->origin[rows[k]];
        if (in->row_watermark)
            to->row_watermark[k] = in->row_watermark[rows[k]];
    }
    to->lease = evs__lease_ref(in->lease);
    to->slot = in->slot;
    return EVS_OK;
}

/* `count` rows out, from x->rows and x->elements */
static evs_status emit_rows(explode *x,
                            const evs_batch *in,
                            const evs__column *array,
                            uint32_t count,
                            const evs__out *out,
                            evs_error **reterr)
{
    evs_batch *batch = NULL;
    uint32_t from = 0;
    evs_status status = evs__batch_shell(x->op.ctx, x->op.out_type, count, &batch);

    if (!status)
        status = gather_beside(batch, in, x->rows, count);
    for (uint32_t i = 0; !status && i < batch->column_count; i++) {
        if (i == x->at) {
            status = gather_column(x, array->children[0], x->elements, count, &batch->columns[i]);
            from += x->replaces;
        } else {
            status = gather_column(x, in->columns[from++], x->rows, count, &batch->columns[i]);
        }
    }
    if (status == EVS_ERR_NOMEM)
        status = evs__nomem(reterr);
    else if (status)
        status = evs__fail(x->op.ctx, reterr, status, "rows of an exploded array are too large");
    else
        status = out->emit(out->user, EVS__PORT_MAIN, batch, reterr);
    evs_batch_unref(batch);
    return status;
}

static evs_status explode_process(
    evs__operator *op, evs_batch *in, int64_t now_ms, const evs__out *out, evs_error **reterr)
{
    explode *x = (explode *)op;
    failures failed = {out, in};
    evs__column *array = NULL;
    uint32_t count = 0;
    evs_status status = evs__expr_eval(x->array, in, explode_failed, &failed, &array, reterr);
    (void)now_ms;

    for (uint32_t k = 0; !status && k < in->count; k++) {
        uint32_t row = evs__batch_row_at(in, k);
        int32_t end = array->offsets[row + 1];
        if (evs__column_is_null(array, row))
            continue;
        for (int32_t i = array->offsets[row]; !status && i < end; i++) {
            x->rows[count] = row;
            x->elements[count++] = (uint32_t)i;
            if (count == EVS_BATCH_ROWS_MAX) {
                status = emit_rows(x, in, array, count, out, reterr);
                count = 0;
            }
        }
    }
    if (!status && count)
        status = emit_rows(x, in, array, count, out, reterr);
    evs__column_unref(array);
    return status;
}

/* ---- making ---- */

static void explode_free(evs__operator *op)
{
    explode *x = (explode *)op;
    evs_context *ctx = op->ctx;

    evs__expr_free(x->array);
    evs__free(ctx, x->rows);
    evs__free(ctx, x->elements);
    evs_type_unref(op->in_type);
    evs_type_unref(op->out_type);
    evs__free(ctx, x);
    evs_context_unref(ctx);
}

static const evs__operator_functions explode_functions = {
    .kind = "explode", .process = explode_process, .free = explode_free};

static evs_status
out_type(explode *x, const char *name, const evs_type *element, evs_error **reterr)
{
    evs_context *ctx = x->op.ctx;
    const evs_type *in = x->op.in_type;
    evs__field *fields = evs__calloc(ctx, in->child_count + 1u, sizeof(*fields));
    uint32_t count = 0;
    evs_status status;

    if (!fields)
        return evs__nomem(reterr);
    for (uint32_t i = 0; i < in->child_count; i++)
        fields[count++] = in->children[i];
    if (!x->replaces)
        count++;
    fields[x->at] = (evs__field){name, element};
    status = evs__type_struct(ctx, fields, count, false, &x->op.out_type);
    evs__free(ctx, fields);
    if (status == EVS_ERR_NOMEM)
        return evs__nomem(reterr);
    if (status)
        return evs__fail(ctx, reterr, EVS_ERR_EXPRESSION,
                         "there is a column \"%s\" already: name the element with an alias", name);
    return EVS_OK;
}

static evs_status
build(explode *x, const evs__ast_list *list, const char *alias, evs_error **reterr)
{
    evs_context *ctx = x->op.ctx;
    const evs__ast *a = list->items[0].expr;
    const evs_type *type;
    int32_t column;
    evs_status status = evs__expr_compile(ctx, list, a, x->op.in_type, &x->array, reterr);

    if (status)
        return status;
    type = evs__expr_type(x->array);
    if (type->id != EVS_TYPE_ARRAY)
        return evs__fail_at(ctx, reterr, EVS_ERR_TYPE, "column 1",
                            "explode needs an ARRAY, \"%s\" is %s", list->text,
                            evs_type_print(type));
    if (!alias || !*alias) {
        if (a->kind != EVS__AST_COLUMN && a->kind != EVS__AST_FIELD)
            return evs__fail(ctx, reterr, EVS_ERR_EXPRESSION,
                             "an exploded expression needs an alias for its element");
        alias = a->name;
    }
    column = evs__expr_column(x->array);
    x->replaces = column >= 0;
    x->at = x->replaces ? (uint32_t)column : x->op.in_type->child_count;
    return out_type(x, alias, type->children[0].type, reterr);
}

evs_status evs__explode_new(evs_context *ctx,
                            const evs_type *in,
                            const char *array,
                            const char *alias,
                            evs__operator **ret,
                            evs_error **reterr)
{
    explode *x = evs__calloc(ctx, 1, sizeof(*x));
    evs__ast_list *list = NULL;
    evs_status status;

    if (!x)
        return evs__nomem(reterr);
    x->op = (evs__operator){
        .fn = &explode_functions, .ctx = evs_context_ref(ctx), .in_type = evs_type_ref(in)};
    x->rows = evs__realloc_array(ctx, NULL, EVS_BATCH_ROWS_MAX, sizeof(*x->rows));
    x->elements = evs__realloc_array(ctx, NULL, EVS_BATCH_ROWS_MAX, sizeof(*x->elements));
    status = x->rows && x->elements ? EVS_OK : evs__nomem(reterr);
    if (!status)
        status = evs__ast_parse(ctx, array, false, &list, reterr);
    if (!status)
        status = build(x, list, alias, reterr);
    evs__ast_free(list);
    if (status) {
        explode_free(&x->op);
        return status;
    }
    *ret = &x->op;
    return EVS_OK;
}
