/*
 * runtime/pipeline.c: the handle that hosts hold: make, check, explain, commit, close, look.
 *
 * The plan belongs to lib/plan; what runs it appears with the first poll or start. Closing commits
 * what was processed and gives connectors back; releasing without closing is what a crash does,
 * minus the process.
 */
#include "runtime/snapshot.h"

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
    ctx = evs_context_ref(pipeline->plan.ctx);
    evs__runtime_free(pipeline->runtime);
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
    if (pipeline->runtime)
        return EVS_OK;
    return evs__plan_check(&pipeline->plan, reterr);
}

evs_status evs_pipeline_explain(evs_pipeline *pipeline, const char **ret_text, evs_error **reterr)
{
    evs_status status;
    if (!pipeline || !ret_text)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "pipeline or ret_text is NULL");
    evs__buffer_reset(&pipeline->text);
    status = evs__plan_explain(&pipeline->plan, &pipeline->text, reterr);
    if (status)
        return status;
    *ret_text = evs__buffer_cstr(&pipeline->text);
    return *ret_text ? EVS_OK : evs__nomem(reterr);
}

const char *evs_pipeline_fingerprint(evs_pipeline *pipeline)
{
    return pipeline ? pipeline->plan.fingerprint : "";
}

/* ---- commit and close ---- */

/* with the pipeline for itself: commit, but only when there is something */
static evs_status commit_all(evs__runtime *rt, evs_error **reterr)
{
    evs_status status = EVS_OK;
    if (rt->phase == EVS__PHASE_FAILED)
        return evs__error_move(reterr, evs__error_ref(rt->error));
    if ((rt->phase == EVS__PHASE_RUNNING || rt->phase == EVS__PHASE_ENDING) &&
        (atomic_load(&rt->dirty) || rt->commit.phase != EVS__COMMIT_IDLE))
        status = evs__commit_now(rt, evs_config_int(rt->plan->config, "close.timeout.ms"), reterr);
    if (rt->died)
        rt->phase = EVS__PHASE_FAILED;
    return status;
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
    pthread_mutex_lock(&rt->lock);
    evs__stand_still(rt, false);
    pthread_mutex_unlock(&rt->lock);
    status = commit_all(rt, reterr);
    pthread_mutex_lock(&rt->lock);
    evs__go_on(rt);
    pthread_mutex_unlock(&rt->lock);
    evs__wake(rt);
    return status;
}

evs_status evs_pipeline_close(evs_pipeline *pipeline, evs_error **reterr)
{
    evs__runtime *rt = pipeline ? pipeline->runtime : NULL;
    evs_status status;

    if (!pipeline)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "pipeline is NULL");
    if (!rt || rt->phase == EVS__PHASE_CLOSED)
        return EVS_OK;
    evs__threads_stop(rt);
    status = rt->phase == EVS__PHASE_FAILED ? EVS_OK : commit_all(rt, reterr);
    evs__runtime_close_connectors(rt);
    if (rt->phase != EVS__PHASE_FAILED)
        rt->phase = EVS__PHASE_CLOSED;
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

static void running_text(evs__runtime *rt, evs__buffer *out)
{
    bool connecting = false;
    if (trouble(rt, out))
        return;
    pthread_mutex_lock(&rt->lock);
    /* a commit changes its trouble only while it has the pipeline for itself */
    if (!rt->still && rt->commit.trouble)
        evs__buffer_printf(out, "retrying: commit: %s", evs_error_message(rt->commit.trouble));
    pthread_mutex_unlock(&rt->lock);
    if (out->len)
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
    pthread_mutex_unlock(&rt->lock);
    if (phase == EVS__PHASE_OPENING)
        return "connecting";
    if (phase == EVS__PHASE_CLOSED || phase == EVS__PHASE_ENDED)
        return "stopped";
    if (phase != EVS__PHASE_FAILED)
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
        if (evs__runtime_phase(rt) == EVS__PHASE_RUNNING)
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
        return evs__fail(stream->plan->ctx, reterr, EVS_ERR_MISUSE, "the stream is no window");
    stage = rt && evs__runtime_phase(rt) != EVS__PHASE_OPENING ? rt->stages[stream->index] : NULL;
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
