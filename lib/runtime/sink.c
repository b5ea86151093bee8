/*
 * runtime/sink.c: one opened sink of a pipeline: writes with retry, timers, abort.
 *
 * A batch that the sink cannot take now (no room, or a failure that may pass) waits in a queue, in
 * order, with a reference; while anything waits `blocked` is set and no worker takes more input, so
 * the queue is bounded by what one job of each worker emits. A sink whose store took back what was
 * written since the last epoch asks for a replay: the next step of a commit goes back to that
 * epoch. Other failures that will not pass stop the pipeline; rows that can never be written become
 * dead letters, stage "sink".
 */
#include "runtime/runtime.h"

#define ROOM_POLL_MS 5 /* a sink without room is asked that often */

evs_status evs__sink_start(evs__sink *s, evs_error **reterr)
{
    evs__runtime *rt = s->rt;
    const evs__node *n = s->node;
    evs_status status = EVS_OK;

    if (!s->schema)
        status = evs_schema_of_type(rt->ctx, EVS_FORMAT_NONE, n->name, n->type, &s->schema, reterr);
    s->identity = (evs_sink_identity){.application_id = evs__plan_application_id(rt->plan),
                                      .sink_name = n->name,
                                      .task = -1,
                                      .key_count = (int32_t)n->key_count,
                                      .windowed = n->windowed,
                                      .commit_group = rt->commit_group};
    if (!status)
        status = s->fn->open(rt->ctx, n->config, s->schema, &s->identity, &s->handle, reterr);
    if (status) {
        s->handle = NULL;
        evs__node_prefix(n, reterr);
    }
    return status;
}

static void set_blocked(evs__sink *s, bool blocked)
{
    atomic_store(&s->blocked, blocked);
    evs__metric_set(s->waiting, blocked);
}

static void drop_pending(evs__sink *s)
{
    evs__pending *next;
    for (evs__pending *p = s->head; p; p = next) {
        next = p->next;
        evs_batch_unref(p->batch);
        evs__free(s->rt->ctx, p);
    }
    s->head = s->tail = NULL;
    set_blocked(s, false);
    evs_error_unref(s->trouble);
    s->trouble = NULL;
    s->backoff_ms = 0;
}

void evs__sink_stop(evs__sink *s)
{
    drop_pending(s);
    if (s->handle)
        s->fn->close(s->handle);
    s->handle = NULL;
    evs_schema_unref(s->schema);
    s->schema = NULL;
}

/* ---- writing ---- */

static void on_row_failed(size_t row, evs_status status, const char *message, void *user_data)
{
    evs__sink *s = user_data;
    evs__metric_add(s->failed_rows, 1);
    evs__dead_letter_add(s->rt, s->node, NULL, s->writing, (uint32_t)row, EVS__STAGE_SINK, status,
                         message);
}

static void
on_refused(const evs_input *message, evs_status status, const char *reason, void *user_data)
{
    evs__sink *s = user_data;
    evs__metric_add(s->failed_rows, 1);
    evs__dead_letter_add(s->rt, s->node, message, NULL, 0, EVS__STAGE_SINK, status, reason);
}

void evs__sink_take_refused(evs__sink *s)
{
    if (s->fn->struct_size > offsetof(evs_sink_functions, refused) && s->fn->refused)
        s->fn->refused(s->handle, on_refused, s);
}

/* EVS_OK: taken; EVS_AGAIN: later, s->retry_ms says when */
static evs_status try_write(evs__sink *s, evs_batch *batch, int64_t now_ms, evs_error **reterr)
{
    evs_error *e = NULL;
    evs_status status;

    s->writing = batch;
    status = s->fn->write(s->handle, batch, on_row_failed, s, &e);
    s->writing = NULL;
    evs_error_unref(s->trouble);
    s->trouble = NULL;
    if (status == EVS_OK) {
        evs__metric_add(s->rows, batch->count);
        s->backoff_ms = 0;
        s->next_poll_ms = INT64_MIN;
        return EVS_OK;
    }
    if (status > 0) {
        s->retry_ms = evs__time_add(now_ms, ROOM_POLL_MS);
        return EVS_AGAIN;
    }
    if (evs_error_is_retriable(e)) {
        evs__metric_add(s->retries, 1);
        if (!s->backoff_ms)
            evs__log(s->rt->ctx, EVS_LOG_WARNING, s->node->name, "%s", evs_error_message(e));
        s->trouble = e;
        s->retry_ms = evs__time_add(now_ms, evs__next_backoff(s->rt, &s->backoff_ms));
        return EVS_AGAIN;
    }
    evs__node_prefix(s->node, &e);
    if (status == EVS_ERR_STATE && s->fn->abort && !evs_error_is_fatal(e)) {
        s->trouble = e;
        s->retry_ms = evs__time_add(now_ms, ROOM_POLL_MS);
        atomic_store(&s->rt->replay, true);
        return EVS_AGAIN;
    }
    evs__error_move(reterr, e);
    return status;
}

static evs_status enqueue(evs__sink *s, evs_batch *batch, evs_error **reterr)
{
    evs__pending *p = evs__alloc(s->rt->ctx, sizeof(*p));
    if (!p)
        return evs__nomem(reterr);
    *p = (evs__pending){.batch = evs_batch_ref(batch)};
    *(s->tail ? &s->tail->next : &s->head) = p;
    s->tail = p;
    set_blocked(s, true);
    return EVS_OK;
}

evs_status evs__sink_put(evs__sink *s, evs_batch *batch, int64_t now_ms, evs_error **reterr)
{
    evs_status status = EVS_AGAIN;

    pthread_mutex_lock(&s->lock);
    if (!s->head)
        status = try_write(s, batch, now_ms, reterr);
    if (status == EVS_AGAIN)
        status = enqueue(s, batch, reterr);
    pthread_mutex_unlock(&s->lock);
    return status;
}

static evs_status write_pending(evs__sink *s, int64_t now_ms, evs_error **reterr)
{
    evs_status status = EVS_OK;
    while (s->head && s->retry_ms <= now_ms) {
        evs__pending *p = s->head;
        status = try_write(s, p->batch, now_ms, reterr);
        if (status)
            break;
        s->head = p->next;
        if (!s->head)
            s->tail = NULL;
        evs_batch_unref(p->batch);
        evs__free(s->rt->ctx, p);
    }
    set_blocked(s, s->head != NULL);
    if (status < 0)
        return status;
    return s->head ? EVS_AGAIN : EVS_OK;
}

static evs_status serve_timers(evs__sink *s, int64_t now_ms, evs_error **reterr)
{
    int64_t next = -1;
    evs_status status;

    if (!s->fn->poll || s->next_poll_ms > now_ms)
        return EVS_OK;
    status = s->fn->poll(s->handle, now_ms, &next, reterr);
    s->next_poll_ms = next < 0 ? INT64_MAX : next;
    evs__sink_take_refused(s);
    if (status < 0)
        evs__node_prefix(s->node, reterr);
    return status < 0 ? status : EVS_OK;
}

evs_status evs__sink_pump(evs__sink *s, int64_t now_ms, evs_error **reterr)
{
    evs_status status;
    if (!s->handle)
        return EVS_OK;
    pthread_mutex_lock(&s->lock);
    status = serve_timers(s, now_ms, reterr);
    if (!status)
        status = write_pending(s, now_ms, reterr);
    pthread_mutex_unlock(&s->lock);
    return status;
}

evs_status evs__sinks_pump(evs__runtime *rt, int64_t now_ms, int64_t *ret_next, evs_error **reterr)
{
    evs_status result = EVS_OK;
    *ret_next = INT64_MAX;
    for (uint32_t i = 0; i < rt->sink_count; i++) {
        evs__sink *s = &rt->sinks[i];
        evs_status status = evs__sink_pump(s, now_ms, reterr);
        if (status < 0)
            return status;
        pthread_mutex_lock(&s->lock);
        if (status == EVS_AGAIN) {
            result = EVS_AGAIN;
            if (s->retry_ms < *ret_next)
                *ret_next = s->retry_ms;
        }
        if (s->fn->poll && s->next_poll_ms < *ret_next)
            *ret_next = s->next_poll_ms;
        pthread_mutex_unlock(&s->lock);
    }
    return result;
}

bool evs__sinks_blocked(const evs__runtime *rt)
{
    for (uint32_t i = 0; i < rt->sink_count; i++) {
        if (atomic_load(&rt->sinks[i].blocked))
            return true;
    }
    return false;
}

evs_status evs__sink_abort(evs__sink *s, evs_error **reterr)
{
    evs_status status = EVS_OK;
    pthread_mutex_lock(&s->lock);
    drop_pending(s);
    if (s->fn->abort && s->handle)
        status = s->fn->abort(s->handle, reterr);
    pthread_mutex_unlock(&s->lock);
    if (status)
        evs__node_prefix(s->node, reterr);
    return status;
}
