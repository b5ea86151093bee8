/*
 * runtime/open.c: from a checked plan to a running one, step by step, and the way back.
 *
 *   sources open -> topics, partitions, identity are known -> columns are known: the plan is typed
 *   for good, unused columns drop out -> operators -> sinks open -> state folder -> recovery
 *
 * Nothing here waits for a server: a step that cannot go on says EVS_AGAIN and is called again.
 * Failures that may pass are tried again with back-off until connect.timeout.ms.
 */
#include "runtime/snapshot.h"

#define SAMPLES 100           /* events to guess columns from */
#define SAMPLE_WAIT_MS 5000   /* how long to wait for the first of them */
#define CONNECT_SLACK_MS 1000 /* connectors know better why: their own time-out comes first */

/* ---- the runtime itself ---- */

static void init_locks(evs__runtime *rt)
{
    pthread_condattr_t attr;
    pthread_mutex_init(&rt->lock, NULL);
    pthread_mutex_init(&rt->each_lock, NULL);
    pthread_mutex_init(&rt->read_lock, NULL);
    pthread_mutex_init(&rt->typing_lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&rt->cond, &attr);
    pthread_condattr_destroy(&attr);
}

static void init_source(evs__source *s, evs__runtime *rt, const evs__node *n)
{
    pthread_mutexattr_t attr;
    s->rt = rt;
    s->node = n;
    s->fn = n->connector->source;
    evs__plan_time_options(n, &s->time);
    s->alignment_ms = evs_config_int(n->config, "alignment");
    s->next_read_ms = INT64_MIN;
    s->partial_since_ms = EVS_TIME_NONE;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&s->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    pthread_mutex_init(&s->block_lock, NULL);
}

static bool init_sink(evs__sink *s, evs__runtime *rt, const evs__node *n)
{
    s->rt = rt;
    s->node = n;
    s->fn = n->connector->sink;
    s->next_poll_ms = INT64_MIN;
    pthread_mutex_init(&s->lock, NULL);
    s->rows = evs__metrics_add(&rt->metrics, EVS__METRIC_EVENTS_OUT, "sink", n->name, NULL);
    s->retries = evs__metrics_add(&rt->metrics, EVS__METRIC_SINK_RETRIES, "sink", n->name, NULL);
    s->waiting = evs__metrics_add(&rt->metrics, EVS__METRIC_SINK_WAITING, "sink", n->name, NULL);
    return s->rows && s->retries && s->waiting;
}

static evs_status init_ends(evs__runtime *rt)
{
    const evs__plan *plan = rt->plan;
    const evs__node *authority = evs__plan_authority(plan);
    bool ok = true;

    rt->sources = evs__calloc(rt->ctx, plan->node_count, sizeof(*rt->sources));
    rt->sinks = evs__calloc(rt->ctx, plan->node_count, sizeof(*rt->sinks));
    rt->stages = evs__calloc(rt->ctx, plan->node_count, sizeof(evs__stage *));
    rt->left_out = evs__calloc(rt->ctx, plan->node_count, sizeof(*rt->left_out));
    rt->workers = evs__calloc(rt->ctx, EVS__WORKERS_MAX, sizeof(*rt->workers));
    if (!rt->sources || !rt->sinks || !rt->stages || !rt->left_out || !rt->workers)
        return EVS_ERR_NOMEM;
    for (uint32_t i = 0; i < EVS__WORKERS_MAX; i++) {
        rt->workers[i].rt = rt;
        rt->workers[i].index = i;
    }
    for (uint32_t i = 0; i < plan->node_count; i++) {
        const evs__node *n = plan->nodes[i];
        if (n->kind == EVS__NODE_SOURCE) {
            init_source(&rt->sources[rt->source_count++], rt, n);
        } else if (n->kind == EVS__NODE_SINK || n->kind == EVS__NODE_DEAD_LETTERS) {
            evs__sink *s = &rt->sinks[rt->sink_count++];
            ok = init_sink(s, rt, n) && ok;
            if (n == authority)
                rt->authority = s;
        }
    }
    return ok ? EVS_OK : EVS_ERR_NOMEM;
}

static evs_status init_metrics(evs__runtime *rt)
{
    evs__metrics *m = &rt->metrics;
    rt->commits = evs__metrics_add(m, EVS__METRIC_COMMITS, NULL);
    rt->commit_failures = evs__metrics_add(m, EVS__METRIC_COMMIT_FAILURES, NULL);
    rt->aborts = evs__metrics_add(m, EVS__METRIC_ABORTS, NULL);
    rt->commit_seconds = evs__metrics_add(m, EVS__METRIC_COMMIT_SECONDS, NULL);
    rt->epoch_gauge = evs__metrics_add(m, EVS__METRIC_EPOCH, NULL);
    rt->batches = evs__metrics_add(m, EVS__METRIC_BATCHES, NULL);
    rt->batch_rows = evs__metrics_add(m, EVS__METRIC_BATCH_ROWS, NULL);
    rt->latency = evs__metrics_add(m, EVS__METRIC_LATENCY, NULL);
    return rt->commits && rt->commit_failures && rt->aborts && rt->commit_seconds &&
                   rt->epoch_gauge && rt->batches && rt->batch_rows && rt->latency
               ? EVS_OK
               : EVS_ERR_NOMEM;
}

static evs_status make(evs_pipeline *pipeline, evs__runtime **ret, evs_error **reterr)
{
    evs__plan *plan = &pipeline->plan;
    evs__runtime *rt = evs__calloc(plan->ctx, 1, sizeof(*rt));
    evs_status status;

    if (!rt)
        return evs__nomem(reterr);
    rt->pipeline = pipeline;
    rt->plan = plan;
    rt->ctx = plan->ctx;
    rt->hooks = pipeline->hooks;
    rt->clock_base_ms = evs__clock_base_ms();
    rt->wake_fd = rt->timer_fd = rt->epoll_fd = -1;
    rt->workers_wanted = 1;
    rt->commit_group = atomic_fetch_add(&plan->ctx->commit_groups, 1) + 1;
    rt->commit_interval_ms = evs_config_int(plan->config, "commit.interval.ms");
    rt->commit.retry_ms = INT64_MIN;
    rt->next_tick_ms = rt->next_pump_ms = INT64_MIN;
    rt->looked_ms = INT64_MAX;
    init_locks(rt);
    evs__metrics_init(&rt->metrics, rt->ctx);
    evs__buffer_init(&rt->image, rt->ctx, (size_t)16 << 30);
    evs__buffer_init(&rt->next_image, rt->ctx, (size_t)16 << 30);
    if (init_metrics(rt) || init_ends(rt)) {
        status = evs__nomem(reterr);
    } else {
        status = evs__wake_init(rt, reterr);
    }
    rt->keep_image = rt->hooks.keep || (rt->authority && evs__plan_has_state(plan) &&
                                        !evs_config_string(plan->config, "state.dir"));
    rt->opening_since_ms = evs__now_ms(rt);
    if (status)
        evs__runtime_free(rt);
    else
        *ret = rt;
    return status;
}

evs_status evs__runtime_new(evs_pipeline *pipeline, evs_error **reterr)
{
    evs__runtime *rt = NULL;
    evs_status status = evs__plan_check(&pipeline->plan, reterr);
    if (!status)
        status = make(pipeline, &rt, reterr);
    if (status)
        return status;
    pipeline->plan.frozen = true;
    atomic_store(&pipeline->runtime, rt);
    return EVS_OK;
}

void evs__runtime_close_connectors(evs__runtime *rt)
{
    /* a source that gives its partitions up while it closes finds nothing to commit any more */
    pthread_mutex_lock(&rt->lock);
    rt->disconnected = true;
    pthread_mutex_unlock(&rt->lock);
    /* operators first: what they hold may view events of a source */
    for (uint32_t i = 0; i < rt->worker_count; i++)
        evs__worker_free(&rt->workers[i]);
    rt->worker_count = 0;
    pthread_mutex_lock(&rt->read_lock);
    for (uint32_t n = 0; n < rt->plan->node_count; n++) {
        evs__stage_free(rt->stages[n]);
        rt->stages[n] = NULL;
    }
    pthread_mutex_unlock(&rt->read_lock);
    if (rt->box)
        evs__dead_letters_drop(rt);
    for (uint32_t i = 0; i < rt->sink_count; i++)
        evs__sink_stop(&rt->sinks[i]);
    for (uint32_t i = 0; i < rt->source_count; i++)
        evs__source_close(&rt->sources[i]);
    evs__store_close(rt->store);
    rt->store = NULL;
}

void evs__runtime_free(evs__runtime *rt)
{
    evs_context *ctx;
    if (!rt)
        return;
    ctx = rt->ctx;
    evs__threads_stop(rt);
    if (rt->stages)
        evs__runtime_close_connectors(rt);
    evs__dead_letters_free(rt);
    for (uint32_t i = 0; i < rt->source_count; i++) {
        evs__free(ctx, rt->sources[i].partitions);
        pthread_mutex_destroy(&rt->sources[i].lock);
        pthread_mutex_destroy(&rt->sources[i].block_lock);
    }
    for (uint32_t i = 0; i < rt->sink_count; i++)
        pthread_mutex_destroy(&rt->sinks[i].lock);
    evs__free(ctx, rt->sources);
    evs__free(ctx, rt->sinks);
    evs__free(ctx, rt->stages);
    evs__free(ctx, rt->left_out);
    evs__free(ctx, rt->workers);
    evs__free(ctx, rt->commit.offsets);
    evs_error_unref(rt->commit.trouble);
    evs_error_unref(rt->open_trouble);
    evs_error_unref(rt->error);
    evs__buffer_free(&rt->image);
    evs__buffer_free(&rt->next_image);
    evs__wake_free(rt);
    evs__metrics_free(&rt->metrics);
    pthread_cond_destroy(&rt->cond);
    pthread_mutex_destroy(&rt->lock);
    pthread_mutex_destroy(&rt->each_lock);
    pthread_mutex_destroy(&rt->read_lock);
    pthread_mutex_destroy(&rt->typing_lock);
    evs__free(ctx, rt);
}

evs__phase evs__runtime_phase(evs__runtime *rt)
{
    evs__phase phase;
    pthread_mutex_lock(&rt->lock);
    phase = rt->phase;
    pthread_mutex_unlock(&rt->lock);
    return phase;
}

evs_status evs__runtime_fail(evs__runtime *rt, evs_error *error)
{
    evs_status status = evs_error_status(error);
    pthread_mutex_lock(&rt->lock);
    if (rt->error)
        evs_error_unref(error);
    else
        rt->error = error;
    rt->phase = EVS__PHASE_FAILED;
    pthread_cond_broadcast(&rt->cond);
    pthread_mutex_unlock(&rt->lock);
    evs__wake(rt);
    return status;
}

/* ---- columns that only the source knows ---- */

typedef struct sampling {
    evs_input inputs[SAMPLES];
    size_t count;
} sampling;

/* JSON events without columns: look at some, for the error that says what they could be */
static evs_status sample(evs__source *s, evs_error **reterr)
{
    const char *format = evs_config_string(s->node->config, "format");
    sampling *samples = NULL;
    evs_read r = {0};
    evs_status status = EVS_END;

    if (!format || strcmp(format, "json") == 0)
        status = s->fn->read(s->handle, SAMPLES, 0, &r, reterr);
    if (status < 0 ||
        (status == EVS_AGAIN && evs__now_ms(s->rt) - s->rt->opening_since_ms < SAMPLE_WAIT_MS))
        return status;
    samples = evs__calloc(s->rt->ctx, 1, sizeof(*samples));
    if (!samples) {
        status = evs__nomem(reterr);
    } else {
        for (size_t i = 0; !status && i < r.count && i < SAMPLES; i++)
            samples->inputs[samples->count++] = r.inputs[i];
        status = evs__plan_no_columns(s->rt->ctx, s->node->config, samples->inputs, samples->count,
                                      reterr);
        evs__node_prefix(s->node, reterr);
    }
    if (r.handle && s->fn->release)
        s->fn->release(s->handle, r.handle);
    evs_batch_unref(r.batch);
    evs__free(s->rt->ctx, samples);
    return status;
}

static evs_status find_schema(evs__source *s, evs_error **reterr)
{
    evs__node *n = s->rt->plan->nodes[s->node->index];
    evs_schema *schema = NULL;
    evs_status status = EVS_END;

    if (n->schema)
        return EVS_OK;
    if (s->fn->schema)
        status = s->fn->schema(s->handle, &schema, reterr);
    if (status == EVS_END)
        status = evs__plan_source_schema(s->rt->ctx, n->config, n->given_schema, &schema, reterr);
    if (!status && !schema)
        return sample(s, reterr);
    if (status < 0)
        evs__node_prefix(n, reterr);
    pthread_mutex_lock(&s->rt->typing_lock);
    n->schema = schema;
    pthread_mutex_unlock(&s->rt->typing_lock);
    return status;
}

/* ---- steps ---- */

static evs_status build(evs__runtime *rt, evs_error **reterr)
{
    evs_status status;

    /* the host may look at the plan meanwhile */
    pthread_mutex_lock(&rt->typing_lock);
    status = evs__plan_resolve(rt->plan, true, reterr);
    if (!status)
        status = evs__plan_fingerprint(rt->plan, reterr);
    if (!status)
        status = evs__plan_prune(rt->plan, reterr);
    pthread_mutex_unlock(&rt->typing_lock);
    if (!status)
        status = evs__dead_letters_new(rt, reterr);
    if (status)
        return status;
    for (uint32_t i = 0; !status && i < rt->workers_wanted; i++) {
        rt->worker_count = i + 1;
        status = evs__worker_init(&rt->workers[i], reterr);
    }
    return status;
}

evs_status evs__runtime_open_pushed(evs__runtime *rt, evs_error **reterr)
{
    evs_status status = EVS_OK;
    for (uint32_t i = 0; !status && i < rt->source_count; i++) {
        if (rt->sources[i].fn->push)
            status = evs__source_open(&rt->sources[i], reterr);
    }
    return status;
}

static evs_status open_ends(evs__runtime *rt, evs_error **reterr)
{
    evs_status status = evs__runtime_open_pushed(rt, reterr);
    for (uint32_t i = 0; !status && i < rt->source_count; i++)
        status = evs__source_open(&rt->sources[i], reterr);
    if (status)
        return status;
    for (uint32_t i = 0; i < rt->source_count; i++) {
        if ((status = evs__source_describe(&rt->sources[i], reterr)))
            return status;
    }
    for (uint32_t i = 0; i < rt->source_count; i++) {
        if ((status = find_schema(&rt->sources[i], reterr)))
            return status;
    }
    if (!rt->built && (status = build(rt, reterr)))
        return status;
    rt->built = true;
    for (; rt->opened_sinks < rt->sink_count; rt->opened_sinks++) {
        if ((status = evs__sink_start(&rt->sinks[rt->opened_sinks], reterr)))
            return status;
    }
    return EVS_OK;
}

static evs_status open_state(evs__runtime *rt, evs_error **reterr)
{
    const char *dir = evs_config_string(rt->plan->config, "state.dir");
    evs_status status = EVS_OK;

    if (dir && !rt->store && !rt->hooks.keep)
        status =
            evs__store_open(rt->ctx, dir, evs__plan_application_id(rt->plan), &rt->store, reterr);
    if (!status && !rt->recovered)
        status = evs__recover(rt, reterr);
    return status;
}

static bool out_of_time(const evs__runtime *rt, int64_t now_ms)
{
    int64_t limit = evs_config_int(rt->plan->config, "connect.timeout.ms");
    return now_ms > evs__time_add(evs__time_add(rt->opening_since_ms, limit), CONNECT_SLACK_MS);
}

static evs_status too_late(evs__runtime *rt, evs_error **reterr)
{
    if (rt->open_trouble)
        return evs__error_move(reterr, evs__error_ref(rt->open_trouble));
    return evs__fail(rt->ctx, reterr, EVS_ERR_TIMEOUT, "not connected within connect.timeout.ms");
}

/* takes the error */
static void set_trouble(evs__runtime *rt, evs_error *e, bool of_state)
{
    evs_error *old = rt->open_trouble;
    if (of_state && !rt->state_trouble)
        evs__log(rt->ctx, EVS_LOG_WARNING, "open", "%s", evs_error_message(e));
    pthread_mutex_lock(&rt->lock);
    rt->open_trouble = e;
    rt->state_trouble = of_state;
    pthread_mutex_unlock(&rt->lock);
    evs_error_unref(old);
}

evs_status evs__runtime_open(evs__runtime *rt, evs_error **reterr)
{
    int64_t now_ms = evs__now_ms(rt);
    evs_error *e = NULL;
    bool of_state = false;
    evs_status status;

    if (rt->phase != EVS__PHASE_OPENING)
        return EVS_OK;
    if (rt->open_retry_ms > now_ms)
        return EVS_AGAIN;
    status = open_ends(rt, &e);
    if (!status) {
        of_state = true;
        status = open_state(rt, &e);
    }
    if (!status) {
        rt->next_commit_ms = evs__time_add(now_ms, rt->commit_interval_ms);
        rt->next_tick_ms = now_ms;
        pthread_mutex_lock(&rt->lock);
        rt->phase = EVS__PHASE_RUNNING;
        pthread_cond_broadcast(&rt->cond);
        pthread_mutex_unlock(&rt->lock);
        return EVS_OK;
    }
    if (status < 0 && !evs_error_is_retriable(e))
        return evs__error_move(reterr, e);
    if (e) {
        set_trouble(rt, e, of_state);
        rt->open_retry_ms = evs__time_add(now_ms, evs__next_backoff(rt, &rt->open_backoff_ms));
    }
    return out_of_time(rt, now_ms) ? too_late(rt, reterr) : EVS_AGAIN;
}
