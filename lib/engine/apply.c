/*
 * engine/apply.c: host code as a step: a row in, rows out or a reason why not.
 *
 * The function fills an appender; which rows came from which input row is kept beside it, so they
 * carry on its origin and row watermark (and its time, unless the function sets another). What a
 * row appended before it was rejected is taken back, as is a row that was begun and not ended.
 *
 * All rows of the batch are made before the first is emitted: a batch that fails has emitted
 * nothing. A failure of the function ends the call and, with it, the pipeline.
 */
#include <stdio.h>
#include <string.h>

#include "engine/operator.h"

#define REASON_MAX 512

struct evs_apply_out {
    evs_appender *appender;
    bool rejected;
    char reason[REASON_MAX];
};

typedef struct apply {
    evs__operator op;
    evs_apply_fn fn;
    void *user_data;
    evs_apply_out out;
    uint32_t *parents; /* input row of each row out */
    size_t capacity;
} apply;

evs_appender *evs_apply_appender(evs_apply_out *out)
{
    return out ? out->appender : NULL;
}

void evs_apply_reject(evs_apply_out *out, const char *reason)
{
    if (!out)
        return;
    out->rejected = true;
    snprintf(out->reason, sizeof(out->reason), "%s", reason ? reason : "rejected");
    /* a cut must not leave half a character */
    out->reason[evs__utf8_valid_prefix(out->reason, strlen(out->reason))] = '\0';
}

/* ---- rows ---- */

static evs_status note_parents(apply *a, size_t from, size_t to, uint32_t row)
{
    if (to > a->capacity) {
        size_t capacity = to > 2 * a->capacity ? to : 2 * a->capacity;
        uint32_t *parents;
        if (capacity < EVS_BATCH_ROWS_MAX)
            capacity = EVS_BATCH_ROWS_MAX;
        parents = evs__realloc_array(a->op.ctx, a->parents, capacity, sizeof(*parents));
        if (!parents)
            return EVS_ERR_NOMEM;
        a->parents = parents;
        a->capacity = capacity;
    }
    while (from < to)
        a->parents[from++] = row;
    return EVS_OK;
}

static evs_status
apply_row(apply *a, evs_batch *in, uint32_t row, const evs__out *out, evs_error **reterr)
{
    evs_row view = {in, NULL, row, 0};
    size_t before = evs_appender_rows(a->out.appender), after;
    evs_status status;

    a->out.rejected = false;
    evs__appender_default_time(a->out.appender, in->times ? in->times[row] : EVS_TIME_NONE);
    status = a->fn(&view, &a->out, a->user_data);
    if (status)
        return evs__fail(a->op.ctx, reterr, EVS_ERR_CALLBACK,
                         "the function of the step failed: %s%s%s", evs_status_name(status),
                         a->out.rejected ? ", " : "", a->out.rejected ? a->out.reason : "");
    after = a->out.rejected ? before : evs_appender_rows(a->out.appender);
    evs__appender_truncate(a->out.appender, (uint32_t)after);
    if (a->out.rejected)
        out->reject(out->user, in, row, EVS__STAGE_HOST, EVS_ERR_CALLBACK, a->out.reason);
    return note_parents(a, before, after, row) ? evs__nomem(reterr) : EVS_OK;
}

/* origin, watermark and slot of the rows' parents; the batch's rows are those from `first` on */
static evs_status carry(apply *a, const evs_batch *in, uint32_t first, evs_batch *batch)
{
    const uint32_t *parents = a->parents + first;

    if ((in->origin && evs__batch_need_origin(batch)) ||
        (in->row_watermark && evs__batch_need_row_watermark(batch)))
        return EVS_ERR_NOMEM;
    for (uint32_t i = 0; i < batch->rows; i++) {
        if (in->origin)
            batch->origin[i] = in->origin[parents[i]];
        if (in->row_watermark)
            batch->row_watermark[i] = in->row_watermark[parents[i]];
    }
    batch->lease = evs__lease_ref(in->lease);
    batch->slot = in->slot;
    return EVS_OK;
}

/* more rows than a batch may have, in parts */
static evs_status emit_parts(
    apply *a, const evs_batch *in, const evs_batch *all, const evs__out *out, evs_error **reterr)
{
    uint32_t *sel = evs__realloc_array(a->op.ctx, NULL, EVS_BATCH_ROWS_MAX, sizeof(*sel));
    evs_status status = sel ? EVS_OK : evs__nomem(reterr);

    for (uint32_t from = 0, count; from < all->rows && !status; from += count) {
        evs_batch *part = NULL;
        for (count = 0; count < EVS_BATCH_ROWS_MAX && from + count < all->rows; count++)
            sel[count] = from + count;
        if (evs__batch_new(a->op.ctx, all->type, EVS_LAYOUT_OWNED, count, &part) ||
            evs__batch_gather(part, all, sel, count) || carry(a, in, from, part))
            status = evs__nomem(reterr);
        else
            status = out->emit(out->user, EVS__PORT_MAIN, part, reterr);
        evs_batch_unref(part);
    }
    evs__free(a->op.ctx, sel);
    return status;
}

static evs_status apply_process(
    evs__operator *op, evs_batch *in, int64_t now_ms, const evs__out *out, evs_error **reterr)
{
    apply *a = (apply *)op;
    evs_batch *batch = NULL;
    evs_status status = EVS_OK;
    (void)now_ms;

    for (uint32_t k = 0; k < in->count && !status; k++)
        status = apply_row(a, in, evs__batch_row_at(in, k), out, reterr);
    if (status) {
        evs__appender_truncate(a->out.appender, 0);
        return status;
    }
    status = evs_appender_take(a->out.appender, &batch, reterr);
    if (status)
        return status == EVS_END ? EVS_OK : status;
    if (batch->rows > EVS_BATCH_ROWS_MAX)
        status = emit_parts(a, in, batch, out, reterr);
    else if (carry(a, in, 0, batch))
        status = evs__nomem(reterr);
    else
        status = out->emit(out->user, EVS__PORT_MAIN, batch, reterr);
    evs_batch_unref(batch);
    return status;
}

/* ---- making ---- */

static void apply_free(evs__operator *op)
{
    apply *a = (apply *)op;
    evs_context *ctx = op->ctx;

    evs_appender_unref(a->out.appender);
    evs__free(ctx, a->parents);
    evs_type_unref(op->in_type);
    evs_type_unref(op->out_type);
    evs__free(ctx, a);
    evs_context_unref(ctx);
}

static const evs__operator_functions apply_functions = {
    .kind = "apply", .process = apply_process, .free = apply_free};

evs_status evs__apply_new(evs_context *ctx,
                          const evs_type *in,
                          const evs_type *out,
                          evs_apply_fn fn,
                          void *user_data,
                          evs__operator **ret,
                          evs_error **reterr)
{
    apply *a = evs__calloc(ctx, 1, sizeof(*a));

    if (!a)
        return evs__nomem(reterr);
    a->op = (evs__operator){.fn = &apply_functions,
                            .ctx = evs_context_ref(ctx),
                            .in_type = evs_type_ref(in),
                            .out_type = evs_type_ref(out)};
    a->fn = fn;
    a->user_data = user_data;
    if (evs__appender_new(ctx, out, NULL, NULL, &a->out.appender)) {
        apply_free(&a->op);
        return evs__nomem(reterr);
    }
    *ret = &a->op;
    return EVS_OK;
}
