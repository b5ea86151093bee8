/*
 * engine/window_public.c: evs_window: the window operator with one input slot, handed its batches
 * and its time by the host.
 *
 * Nothing is emitted: results and late rows stay in the operator until they are taken, so they are
 * part of every snapshot and of the bound of state. The host's batches are only read; the row
 * watermarks of a push live beside them.
 *
 * Processing time: the clock is what evs_window_advance() last said.
 */
#include "engine/window.h"
#include "schema/schema.h"

struct evs_window {
    evs_context *ctx;
    evs__window_op *op;
    evs__time_options time_options;
    evs__partition_time time; /* of the rows pushed */
    evs_appender *appender;
    int64_t *marks; /* row watermarks of a push */
    uint32_t mark_capacity;
    evs__buffer snapshot;
    evs_window_reject_fn reject;
    void *reject_data;
};

static void on_reject(void *user,
                      const evs_batch *batch,
                      uint32_t row,
                      const char *stage,
                      evs_status status,
                      const char *message)
{
    evs_window *w = user;
    evs_row r = {batch, NULL, row, 0};
    if (w->reject)
        w->reject(stage, status, message, &r, w->reject_data);
}

static evs__out out_of(evs_window *w)
{
    return (evs__out){w, NULL, on_reject, NULL};
}

/* ---- rows in ---- */

static evs_status need_marks(evs_window *w, uint32_t rows)
{
    int64_t *marks;
    if (rows <= w->mark_capacity)
        return EVS_OK;
    marks = evs__realloc_array(w->ctx, w->marks, rows, sizeof(*marks));
    if (!marks)
        return EVS_ERR_NOMEM;
    w->marks = marks;
    w->mark_capacity = rows;
    return EVS_OK;
}

static evs_status push(evs_window *w, const evs_batch *batch, evs_error **reterr)
{
    evs__out out = out_of(w);
    evs__partition_time time = w->time;
    bool moves = w->time_options.out_of_orderness_ms != EVS_FOREVER && batch->times;
    evs_status status;

    if (moves) {
        if (need_marks(w, batch->rows))
            return evs__nomem(reterr);
        evs__partition_time_run(&time, &w->time_options, batch->times, batch->sel, batch->count,
                                batch->rows, INT64_MAX, w->marks);
    }
    status =
        evs__window_process(w->op, batch, 0, moves ? w->marks : NULL, w->op->clock, &out, reterr);
    if (!status)
        w->time = time;
    return status;
}

static evs_status push_appended(evs_batch *batch, void *user_data, evs_error **reterr)
{
    return push(user_data, batch, reterr);
}

static evs_status push_pending(evs_window *w, evs_error **reterr)
{
    return evs__appender_flush(w->appender, reterr);
}

static bool has_clock(const evs_window *w)
{
    return w->op->opt.time != EVS_TIME_PROCESSING || w->op->clock != EVS_TIME_NONE;
}

evs_status evs_window_push(evs_window *window, evs_batch *batch, evs_error **reterr)
{
    evs_status status;

    if (!window || !batch)
        return evs__fail(window ? window->ctx : NULL, reterr, EVS_ERR_INVALID,
                         "window or batch is NULL");
    if (batch->type != window->op->base.in_type &&
        !evs_type_equal(batch->type, window->op->base.in_type))
        return evs__fail(window->ctx, reterr, EVS_ERR_TYPE,
                         "the batch has rows of %.300s, the window takes %.300s",
                         evs_type_print(batch->type), evs_type_print(window->op->base.in_type));
    if (!has_clock(window))
        return evs__fail(window->ctx, reterr, EVS_ERR_MISUSE,
                         "a window in processing time needs evs_window_advance() before rows");
    status = push_pending(window, reterr);
    return status ? status : push(window, batch, reterr);
}

evs_appender *evs_window_appender(evs_window *window)
{
    return window ? window->appender : NULL;
}

evs_status evs_window_advance(evs_window *window, int64_t watermark_ms, evs_error **reterr)
{
    evs__out out;
    evs_status status;
    evs__operator *op;

    if (!window)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "window is NULL");
    op = &window->op->base;
    status = has_clock(window) ? push_pending(window, reterr) : EVS_OK;
    if (status)
        return status;
    out = out_of(window);
    status = op->fn->advance(op, 0, watermark_ms, false, watermark_ms, &out, reterr);
    if (!status && watermark_ms > window->time.watermark)
        window->time.watermark = watermark_ms;
    return status;
}

int64_t evs_window_watermark(const evs_window *window)
{
    return window ? evs__window_now(window->op) : EVS_TIME_NONE;
}

/* ---- results out ---- */

static evs_status check_take(const evs_window *window, evs_batch **ret_batch, evs_error **reterr)
{
    if (window && ret_batch)
        return EVS_OK;
    return evs__fail(window ? window->ctx : NULL, reterr, EVS_ERR_INVALID,
                     "window or ret_batch is NULL");
}

static evs_status take_result(evs_window *w, evs_batch **ret)
{
    evs_status status = evs__window_result(w->op, true, ret);
    if (!status)
        evs__window_result_given(w->op);
    return status;
}

static evs_status take_late(evs_window *w, evs_batch **ret)
{
    *ret = evs__window_late(w->op);
    return *ret ? EVS_OK : EVS_END;
}

/* Rows appended before count first. When the state has no room for them, taking is what makes room:
 * they wait, and the failure is told when nothing is left to take. */
static evs_status take(evs_window *w,
                       evs_status (*next)(evs_window *w, evs_batch **ret),
                       evs_batch **ret_batch,
                       evs_error **reterr)
{
    evs_error *err = NULL;
    evs_batch *batch = NULL;
    evs_status status, pushed = push_pending(w, &err);

    if (pushed && pushed != EVS_ERR_LIMIT)
        return evs__error_move(reterr, err);
    status = next(w, &batch);
    if (!status)
        *ret_batch = batch;
    if (status == EVS_END && pushed)
        return evs__error_move(reterr, err);
    evs_error_unref(err);
    return status && status != EVS_END ? evs__window_fail(w->op, status, reterr) : status;
}

evs_status evs_window_take(evs_window *window, evs_batch **ret_batch, evs_error **reterr)
{
    evs_status status = check_take(window, ret_batch, reterr);
    return status ? status : take(window, take_result, ret_batch, reterr);
}

evs_status evs_window_take_late(evs_window *window, evs_batch **ret_batch, evs_error **reterr)
{
    evs_status status = check_take(window, ret_batch, reterr);
    return status ? status : take(window, take_late, ret_batch, reterr);
}

/* ---- the handle ---- */

evs_status evs__window_new(evs_context *context,
                           evs_schema *schema,
                           const char *keys,
                           const char *aggregates,
                           const evs_window_options *options,
                           evs_window **ret_window,
                           evs_error **reterr)
{
    evs_window *w;
    evs__operator *op = NULL;
    evs_status status;

    if (!context || !schema || !aggregates || !options || !ret_window)
        return evs__fail(context, reterr, EVS_ERR_INVALID,
                         "context, schema, aggregates, options or ret_window is NULL");
    w = evs__calloc(context, 1, sizeof(*w));
    if (!w)
        return evs__nomem(reterr);
    w->ctx = evs_context_ref(context);
    evs__buffer_init(&w->snapshot, context, SIZE_MAX);
    evs__partition_time_init(&w->time);
    status = evs__window_op_new(context, schema->type, keys, aggregates, options, 1,
                                EVS_TIME_WATERMARK, &op, reterr);
    w->op = op ? evs__window_of(op) : NULL;
    if (!status && evs__appender_new(context, schema->type, push_appended, w, &w->appender))
        status = evs__nomem(reterr);
    if (status) {
        evs_window_unref(w);
        return status;
    }
    w->time_options = (evs__time_options){.out_of_orderness_ms = w->op->opt.out_of_orderness_ms,
                                          .idle_timeout_ms = EVS_FOREVER,
                                          .close_after_ms = EVS_FOREVER,
                                          .future_max_ms = EVS_FOREVER,
                                          .future_action = EVS__FUTURE_OFF,
                                          .rule = EVS_TIME_WATERMARK};
    *ret_window = w;
    return EVS_OK;
}

evs_window *evs_window_unref(evs_window *window)
{
    if (!window)
        return NULL;
    evs_appender_unref(window->appender);
    evs__operator_free(window->op ? &window->op->base : NULL);
    evs__free(window->ctx, window->marks);
    evs__buffer_free(&window->snapshot);
    {
        evs_context *ctx = window->ctx;
        evs__free(ctx, window);
        evs_context_unref(ctx);
    }
    return NULL;
}

const evs_type *evs_window_result_type(const evs_window *window)
{
    return window ? window->op->base.out_type : NULL;
}

const evs_type *evs_window_late_type(const evs_window *window)
{
    return window ? window->op->base.late_type : NULL;
}

void evs_window_on_reject(evs_window *window, evs_window_reject_fn fn, void *user_data)
{
    if (!window)
        return;
    window->reject = fn;
    window->reject_data = user_data;
}

int64_t evs_window_counter(const evs_window *window, const char *name)
{
    if (!window || !name)
        return -1;
    return window->op->base.fn->counter(&window->op->base, name);
}

/* ---- snapshots ---- */

evs_status
evs_window_snapshot(evs_window *window, const void **ret_data, size_t *ret_len, evs_error **reterr)
{
    evs_status status;

    if (!window || !ret_data || !ret_len)
        return evs__fail(window ? window->ctx : NULL, reterr, EVS_ERR_INVALID,
                         "window, ret_data or ret_len is NULL");
    status = push_pending(window, reterr);
    if (status)
        return status;
    evs__buffer_reset(&window->snapshot);
    status = evs__window_snapshot(&window->op->base, &window->snapshot, reterr);
    if (status)
        return status;
    *ret_data = window->snapshot.data;
    *ret_len = window->snapshot.len;
    return EVS_OK;
}

evs_status evs_window_restore(evs_window *window, const void *data, size_t len, evs_error **reterr)
{
    evs_status status;

    if (!window || (!data && len))
        return evs__fail(window ? window->ctx : NULL, reterr, EVS_ERR_INVALID,
                         "window or data is NULL");
    status = evs__window_restore(&window->op->base, data, len, reterr);
    if (status)
        return status;
    /* rows appended before belong to the state that was replaced */
    evs__appender_truncate(window->appender, 0);
    evs__partition_time_init(&window->time);
    window->time.watermark = window->op->time.slots[0].watermark;
    return EVS_OK;
}
