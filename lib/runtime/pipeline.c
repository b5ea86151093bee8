/*
 * runtime/pipeline.c: the handle that hosts hold: make, check, explain, commit, close, look.
 *
 * The plan belongs to lib/plan; what runs it appears with the first poll or start. Closing commits
 * what was processed and gives connectors back; releasing without closing is what a crash does,
 * minus the process.
 */
#include "runtime/snapshot.h"
#include "runtime/testkit.h"
#include "runtime/zone.h"

#define TEXT_MAX_BYTES ((size_t)256 << 20)

evs_status evs_pipeline_new(evs_context *context,
                            const char *name,
                            evs_pipeline **ret_pipeline,
                            evs_error **reterr)
{
    evs_pipeline *p;
    evs_status status;

    if (!context || !name || !ret_pipeline)
        return evs__fail(context, reterr, EVS_ERR_INVALID, "context, name or ret_pipeline is NULL");
    if (!evs__is_application_id(name))
        return evs__fail(
            context, reterr, EVS_ERR_INVALID,
            "pipeline \"%s\": a name is made of letters, digits, '.', '_' and '-' (the "
            "first no '.')",
            name);
    p = evs__calloc(context, 1, sizeof(*p));
    if (!p)
        return evs__nomem(reterr);
    status = evs__plan_init(&p->plan, context, name, evs__connector_find, reterr);
    if (status) {
        evs__free(context, p);
        return status;
    }
    p->plan.load_zone = evs__zone_load;
    evs__buffer_init(&p->text, context, TEXT_MAX_BYTES);
    evs__buffer_init(&p->state_text, context, 1 << 16);
    *ret_pipeline = p;
    return EVS_OK;
}

evs_pipeline *evs_pipeline_unref(evs_pipeline *pipeline)
{
    evs_context *ctx;
    if (!pipeline)
        return NULL;
    if (pipeline->runtime && evs__is_inside(pipeline->runtime)) {
        /* what would be freed is in use: keeping it is the lesser evil */
        evs__log(pipeline->plan.ctx, EVS_LOG_ERROR, "pipeline",
                 "evs_pipeline_unref() was called inside a callback of the pipeline: it is not "
                 "released");
        return NULL;
    }
    ctx = evs_context_ref(pipeline->plan.ctx);
    evs__runtime_free(pipeline->runtime);
    if (pipeline->testkit)
        pipeline->testkit->pipeline = NULL;
    evs__buffer_free(&pipeline->text);
    evs__buffer_free(&pipeline->state_text);
    evs__plan_free(&pipeline->plan);
    evs__free(ctx, pipeline);
    evs_context_unref(ctx);
    return NULL;
}

evs_status evs_pipeline_check(evs_pipeline *pipeline, evs_error **reterr)
{
    if (!pipeline)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "pipeline is NULL");
    /* it was checked when it started; what was built on it since is wrong */
    if (pipeline->runtime)
        return pipeline->plan.error ? evs__error_move(reterr, evs__error_ref(pipeline->plan.error))
                                    : EVS_OK;
    return evs__plan_check(&pipeline->plan, reterr);
}

/* while a pipeline opens, a worker types its plan for good */
static void lock_typing(evs__runtime *rt)
{
    if (rt)
        pthread_mutex_lock(&rt->typing_lock);
}

static void unlock_typing(evs__runtime *rt)
{
    if (rt)
        pthread_mutex_unlock(&rt->typing_lock);
}

evs_status evs_pipeline_explain(evs_pipeline *pipeline, const char **ret_text, evs_error **reterr)
{
    evs__runtime *rt = pipeline ? pipeline->runtime : NULL;
    evs_status status;
    if (!pipeline || !ret_text)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "pipeline or ret_text is NULL");
    evs__buffer_reset(&pipeline->text);
    lock_typing(rt);
    status = evs__plan_explain(&pipeline->plan, &pipeline->text, reterr);
    unlock_typing(rt);
    if (status)
        return status;
    *ret_text = evs__buffer_cstr(&pipeline->text);
    return *ret_text ? EVS_OK : evs__nomem(reterr);
}

const char *evs_pipeline_fingerprint(evs_pipeline *pipeline)
{
    evs__runtime *rt = pipeline ? pipeline->runtime : NULL;
    if (!pipeline)
        return "";
    lock_typing(rt);
    memcpy(pipeline->fingerprint, pipeline->plan.fingerprint, sizeof(pipeline->fingerprint));
    unlock_typing(rt);
    return pipeline->fingerprint;
}

const evs_type *evs_stream_type(const evs_stream *stream)
{
    const evs_type *type;
    evs__runtime *rt;

    if (!stream || !stream->plan || stream->kind == EVS__NODE_ERROR)
        return NULL;
    /* the plan is the pipeline's first member */
    rt = ((evs_pipeline *)stream->plan)->runtime;
    if (!rt)
        evs__plan_resolve(stream->plan, false, NULL);
    lock_typing(rt);
    type = stream->type;
    unlock_typing(rt);
    return type;
}

/* ---- commit and close ---- */

/* with the pipeline for itself: commit, but only when there is something */
static evs_status commit_all(evs__runtime *rt, evs_error **reterr)
{
    evs__phase phase = evs__runtime_phase(rt);
    if (phase == EVS__PHASE_FAILED)
        return evs__error_move(reterr, evs__error_ref(rt->error));
    if ((phase == EVS__PHASE_RUNNING || phase == EVS__PHASE_ENDING) &&
        (atomic_load(&rt->dirty) || rt->commit.phase != EVS__COMMIT_IDLE))
        return evs__commit_now(rt, evs_config_int(rt->plan->config, "close.timeout.ms"), reterr);
    return EVS_OK;
}

evs_status evs_pipeline_commit(evs_pipeline *pipeline, evs_error **reterr)
{
    evs__runtime *rt = pipeline ? pipeline->runtime : NULL;
    evs_status status;

    if (!pipeline)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "pipeline is NULL");
    if (!rt || evs__runtime_phase(rt) == EVS__PHASE_CLOSED)
        return evs__fail(pipeline->plan.ctx, reterr, EVS_ERR_MISUSE,
                         rt ? "the pipeline was closed" : "the pipeline was not started");
    if ((status = evs__enter(rt, "evs_pipeline_commit()", reterr)))
        return status;
    pthread_mutex_lock(&rt->lock);
    evs__stand_still(rt, false);
    pthread_mutex_unlock(&rt->lock);
    status = commit_all(rt, reterr);
    pthread_mutex_lock(&rt->lock);
    evs__go_on(rt);
    pthread_mutex_unlock(&rt->lock);
    evs__leave(rt);
    evs__wake(rt);
    return status;
}

evs_status evs_pipeline_close(evs_pipeline *pipeline, evs_error **reterr)
{
    evs__runtime *rt = pipeline ? pipeline->runtime : NULL;
    evs_status status;

    if (!pipeline)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "pipeline is NULL");
    if (!rt || evs__runtime_phase(rt) == EVS__PHASE_CLOSED)
        return EVS_OK;
    if ((status = evs__enter(rt, "evs_pipeline_close()", reterr)))
        return status;
    evs__threads_stop(rt);
    status = evs__runtime_phase(rt) == EVS__PHASE_FAILED ? EVS_OK : commit_all(rt, reterr);
    evs__runtime_close_connectors(rt);
    pthread_mutex_lock(&rt->lock);
    if (rt->phase != EVS__PHASE_FAILED)
        rt->phase = EVS__PHASE_CLOSED;
    pthread_mutex_unlock(&rt->lock);
    rt->next_ms = INT64_MAX;
    evs__leave(rt);
    return status;
}

/* ---- looking ---- */

/* why a running pipeline does not get on; false: it does */
static bool trouble(evs__runtime *rt, evs__buffer *out)
{
    bool found = false;
    for (uint32_t i = 0; !found && i < rt->sink_count; i++) {
        evs__sink *s = &rt->sinks[i];
        pthread_mutex_lock(&s->lock);
        found = s->trouble != NULL;
        if (found)
            evs__buffer_printf(out, "retrying: %s: %s", s->node->name,
                               evs_error_message(s->trouble));
        pthread_mutex_unlock(&s->lock);
    }
    for (uint32_t i = 0; !found && i < rt->source_count; i++) {
        evs__source *s = &rt->sources[i];
        pthread_mutex_lock(&s->lock);
        found = s->trouble != NULL;
        if (found)
            evs__buffer_printf(out, "retrying: %s: %s", s->node->name,
                               evs_error_message(s->trouble));
        pthread_mutex_unlock(&s->lock);
    }
    return found;
}

/* a sink that takes no more, without an error: inputs wait for whoever empties it */
static bool waiting(const evs__runtime *rt, evs__buffer *out)
{
    for (uint32_t i = 0; i < rt->sink_count; i++) {
        if (!atomic_load(&rt->sinks[i].blocked))
            continue;
        evs__buffer_printf(out, "waiting: %s: no room", rt->sinks[i].node->name);
        return true;
    }
    return false;
}

static void running_text(evs__runtime *rt, evs__buffer *out)
{
    bool connecting = false;
    /* in a callback the lock of a sink may be held */
    if (!evs__is_inside(rt) && trouble(rt, out))
        return;
    pthread_mutex_lock(&rt->lock);
    /* a commit changes its trouble only while it has the pipeline for itself */
    if (!rt->still && rt->commit.trouble)
        evs__buffer_printf(out, "retrying: commit: %s", evs_error_message(rt->commit.trouble));
    pthread_mutex_unlock(&rt->lock);
    if (out->len || waiting(rt, out))
        return;
    for (uint32_t i = 0; i < rt->source_count; i++)
        connecting = connecting || atomic_load(&rt->sources[i].connecting);
    evs__buffer_text(out, connecting ? "connecting" : "running");
}

const char *evs_pipeline_state(evs_pipeline *pipeline)
{
    evs__runtime *rt = pipeline ? pipeline->runtime : NULL;
    evs__buffer *out;
    evs__phase phase;
    const char *text;

    if (!rt)
        return "new";
    out = &pipeline->state_text;
    evs__buffer_reset(out);
    pthread_mutex_lock(&rt->lock);
    phase = rt->phase;
    if (phase == EVS__PHASE_FAILED)
        evs__buffer_printf(out, "failed: %s", evs_error_message(rt->error));
    else if (phase == EVS__PHASE_OPENING && rt->state_trouble)
        evs__buffer_printf(out, "retrying: %s", evs_error_message(rt->open_trouble));
    else if (phase == EVS__PHASE_OPENING)
        evs__buffer_text(out, "connecting");
    pthread_mutex_unlock(&rt->lock);
    if (phase == EVS__PHASE_CLOSED || phase == EVS__PHASE_ENDED)
        return "stopped";
    if (phase != EVS__PHASE_FAILED && phase != EVS__PHASE_OPENING)
        running_text(rt, out);
    text = evs__buffer_cstr(out);
    return text ? text : "running";
}

evs_status evs_pipeline_metric(evs_pipeline *pipeline, const char *name, double *ret_value)
{
    if (!pipeline || !name || !ret_value || !pipeline->runtime)
        return EVS_ERR_NOT_FOUND;
    return evs__metrics_get(&pipeline->runtime->metrics, name, ret_value) ? EVS_OK
                                                                          : EVS_ERR_NOT_FOUND;
}

evs_status
evs_pipeline_metrics_text(evs_pipeline *pipeline, const char **ret_text, evs_error **reterr)
{
    evs__runtime *rt = pipeline ? pipeline->runtime : NULL;
    evs_status status;

    if (!pipeline || !ret_text)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "pipeline or ret_text is NULL");
    evs__buffer_reset(&pipeline->text);
    if (rt) {
        /* in a callback the lock of a shard may be held: its gauges are those of the last commit */
        if (evs__runtime_phase(rt) == EVS__PHASE_RUNNING && !evs__is_inside(rt))
            evs__stages_measure(rt);
        status = evs__metrics_text(&rt->metrics, pipeline->plan.name, &pipeline->text);
        if (status)
            return evs__fail(rt->ctx, reterr, status, "metrics: %s", evs_status_text(status));
    }
    *ret_text = evs__buffer_cstr(&pipeline->text);
    return *ret_text ? EVS_OK : evs__nomem(reterr);
}

evs_status evs_pipeline_explain_window(evs_stream *stream,
                                       int64_t window_start_ms,
                                       const char **ret_text,
                                       evs_error **reterr)
{
    evs_pipeline *pipeline;
    evs__runtime *rt;
    evs__stage *stage;
    evs__buffer *out;
    evs_status status;

    if (!stream || !stream->plan || !ret_text)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "window_stream or ret_text is NULL");
    /* the plan is the pipeline's first member */
    pipeline = (evs_pipeline *)stream->plan;
    rt = pipeline->runtime;
    if (stream->kind != EVS__NODE_WINDOW)
        return evs__fail(stream->plan->ctx, reterr, EVS_ERR_MISUSE, "step \"%s\" is no window",
                         stream->name ? stream->name : "");
    if (rt && (status = evs__refuse_inside(rt, "evs_pipeline_explain_window()", reterr)))
        return status;
    /* one that failed while it opened has stages that are not whole */
    stage = rt && evs__runtime_phase(rt) != EVS__PHASE_OPENING && rt->built
                ? rt->stages[stream->index]
                : NULL;
    if (!stage)
        return evs__fail(stream->plan->ctx, reterr, EVS_ERR_MISUSE, "the pipeline is not running");
    out = &pipeline->text;
    evs__buffer_reset(out);
    status = evs__stage_explain(stage, window_start_ms, out);
    if (status)
        return evs__fail(rt->ctx, reterr, status, "explain: %s", evs_status_text(status));
    *ret_text = evs__buffer_cstr(out);
    return *ret_text ? EVS_OK : evs__nomem(reterr);
}
