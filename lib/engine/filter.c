/*
 * engine/filter.c: rows for which a condition is TRUE.
 *
 * Rows are not copied: the batch out shares the columns and has another selection. A row for which
 * the condition fails goes to the dead letters. A batch of which no row is left is not emitted:
 * time that its rows moved reaches the next operator through the caller's advance(), and through
 * the row watermarks of later rows, which never fall. A batch that keeps all its rows passes as it
 * is.
 */
#include <string.h>

#include "engine/operator.h"

typedef struct filter {
    evs__operator op;
    evs__expr *condition;
    uint32_t *sel; /* kept between batches */
    uint32_t capacity;
} filter;

/* whom the failed rows of the batch at hand are told to */
typedef struct failures {
    const evs__out *out;
    const evs_batch *batch;
} failures;

static void filter_failed(void *user_data, uint32_t row, evs_status status, const char *message)
{
    failures *f = user_data;
    f->out->reject(f->out->user, f->batch, row, EVS__STAGE_EXPRESSION, status, message);
}

static evs_status reserve(filter *f, uint32_t count)
{
    uint32_t *sel;

    if (count <= f->capacity)
        return EVS_OK;
    if (count < EVS_BATCH_ROWS_MAX)
        count = EVS_BATCH_ROWS_MAX;
    sel = evs__realloc_array(f->op.ctx, f->sel, count, sizeof(*sel));
    if (!sel)
        return EVS_ERR_NOMEM;
    f->sel = sel;
    f->capacity = count;
    return EVS_OK;
}

static evs_status filter_process(
    evs__operator *op, evs_batch *in, int64_t now_ms, const evs__out *out, evs_error **reterr)
{
    filter *f = (filter *)op;
    failures failed = {out, in};
    evs_batch *batch = NULL;
    uint32_t count = 0;
    evs_status status;
    (void)now_ms;

    if (reserve(f, in->count))
        return evs__nomem(reterr);
    status = evs__expr_select(f->condition, in, filter_failed, &failed, f->sel, &count, reterr);
    if (status || count == 0)
        return status;
    if (count == in->count)
        return out->emit(out->user, EVS__PORT_MAIN, in, reterr);
    if (evs__batch_select(in, f->sel, count, &batch))
        return evs__nomem(reterr);
    status = out->emit(out->user, EVS__PORT_MAIN, batch, reterr);
    evs_batch_unref(batch);
    return status;
}

static void filter_free(evs__operator *op)
{
    filter *f = (filter *)op;
    evs_context *ctx = op->ctx;

    evs__expr_free(f->condition);
    evs__free(ctx, f->sel);
    evs_type_unref(op->in_type);
    evs_type_unref(op->out_type);
    evs__free(ctx, f);
    evs_context_unref(ctx);
}

static const evs__operator_functions filter_functions = {
    .kind = "filter", .process = filter_process, .free = filter_free};

evs_status evs__filter_new(evs_context *ctx,
                           const evs_type *in,
                           const char *condition,
                           evs__operator **ret,
                           evs_error **reterr)
{
    filter *f = evs__calloc(ctx, 1, sizeof(*f));
    evs_status status;

    if (!f)
        return evs__nomem(reterr);
    f->op = (evs__operator){.fn = &filter_functions,
                            .ctx = evs_context_ref(ctx),
                            .in_type = evs_type_ref(in),
                            .out_type = evs_type_ref(in)};
    status = evs__expr_new(ctx, condition, in, &f->condition, reterr);
    if (!status && evs__expr_type(f->condition)->id != EVS_TYPE_BOOLEAN)
        status = evs__fail_at(ctx, reterr, EVS_ERR_TYPE, "column 1",
                              "expected a condition (BOOLEAN), this is %s",
                              evs_type_print(evs__expr_type(f->condition)));
    if (status) {
        filter_free(&f->op);
        return status;
    }
    *ret = &f->op;
    return EVS_OK;
}
