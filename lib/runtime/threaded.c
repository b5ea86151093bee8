/*
 * runtime/threaded.c: the pipeline on workers of its own, which the host asked for.
 *
 * Worker 0 opens the pipeline; then all do the same: evs__work() until there is nothing, then sleep
 * until a wake-up or the next deadline. A wake-up between the look and the sleep is not missed,
 * because it counts (rt->wakes).
 */
#include <time.h>

#include "runtime/runtime.h"

#define SLEEP_MAX_MS 1000

/* sleep with rt->lock held until a wake-up; at most `ms` */
static void sleep_locked(evs__runtime *rt, int64_t ms)
{
    struct timespec t;
    if (ms <= 0)
        return;
    if (ms > SLEEP_MAX_MS)
        ms = SLEEP_MAX_MS;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&rt->cond, &rt->lock, &t);
}

static bool goes_on(const evs__runtime *rt)
{
    return !rt->stopping && rt->phase != EVS__PHASE_FAILED && rt->phase != EVS__PHASE_ENDED;
}

/* worker 0 opens, the others wait for it */
static void open_pipeline(evs__worker *w)
{
    evs__runtime *rt = w->rt;
    pthread_mutex_lock(&rt->lock);
    while (goes_on(rt) && rt->phase == EVS__PHASE_OPENING) {
        evs_error *e = NULL;
        evs_status status;
        if (w->index) {
            sleep_locked(rt, SLEEP_MAX_MS);
            continue;
        }
        pthread_mutex_unlock(&rt->lock);
        status = evs__runtime_open(rt, &e);
        if (status < 0)
            evs__runtime_fail(rt, e);
        pthread_mutex_lock(&rt->lock);
        if (status == EVS_AGAIN && goes_on(rt))
            sleep_locked(rt, 10);
    }
    pthread_mutex_unlock(&rt->lock);
}

static void *worker_main(void *argument)
{
    evs__worker *w = argument;
    evs__runtime *rt = w->rt;
    evs__did did = EVS__DID_WORK;

    w->self = pthread_self();
    atomic_store(&w->alive, true);
    open_pipeline(w);
    while (did != EVS__DID_END) {
        int64_t next = INT64_MAX;
        uint64_t wakes;
        pthread_mutex_lock(&rt->lock);
        wakes = rt->wakes;
        if (!goes_on(rt)) {
            pthread_mutex_unlock(&rt->lock);
            break;
        }
        pthread_mutex_unlock(&rt->lock);
        did = evs__work(w, &next);
        if (did != EVS__DID_NOTHING)
            continue;
        pthread_mutex_lock(&rt->lock);
        if (goes_on(rt) && rt->wakes == wakes && !rt->ready)
            sleep_locked(rt, rt->hooks.now_ms    ? 1
                             : next == INT64_MAX ? SLEEP_MAX_MS
                                                 : evs__time_sub(next, evs__now_ms(rt)));
        pthread_mutex_unlock(&rt->lock);
    }
    pthread_mutex_lock(&rt->lock);
    pthread_cond_broadcast(&rt->cond);
    pthread_mutex_unlock(&rt->lock);
    return NULL;
}

evs_status evs__threads_start(evs__runtime *rt, evs_error **reterr)
{
    evs_status status = EVS_OK;

    rt->threaded = true;
    for (uint32_t i = 0; !status && i < rt->workers_wanted; i++) {
        evs__worker *w = &rt->workers[i];
        if (pthread_create(&w->thread, NULL, worker_main, w))
            status = evs__fail(rt->ctx, reterr, EVS_ERR_LIMIT, "cannot start thread %u of %u",
                               i + 1, rt->workers_wanted);
        else
            w->has_thread = true;
    }
    if (status)
        evs__threads_stop(rt);
    return status;
}

void evs__threads_stop(evs__runtime *rt)
{
    if (!rt->threaded)
        return;
    pthread_mutex_lock(&rt->lock);
    rt->stopping = true;
    pthread_cond_broadcast(&rt->cond);
    pthread_mutex_unlock(&rt->lock);
    for (uint32_t i = 0; i < rt->workers_wanted; i++) {
        if (rt->workers[i].has_thread)
            pthread_join(rt->workers[i].thread, NULL);
        rt->workers[i].has_thread = false;
        atomic_store(&rt->workers[i].alive, false);
    }
}

evs_status evs_pipeline_start(evs_pipeline *pipeline, int32_t workers, evs_error **reterr)
{
    evs__runtime *rt;
    evs_error *e = NULL;
    evs__phase phase;
    evs_status status;

    if (!pipeline)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "pipeline is NULL");
    if (workers < 1 || workers > EVS__WORKERS_MAX)
        return evs__fail(pipeline->plan.ctx, reterr, EVS_ERR_INVALID,
                         "%d workers: 1 to %d are allowed", workers, EVS__WORKERS_MAX);
    if (pipeline->testkit)
        return evs__fail(pipeline->plan.ctx, reterr, EVS_ERR_MISUSE,
                         "the pipeline is in a test kit, which has its own clock and no threads");
    if (!pipeline->runtime && (status = evs__runtime_new(pipeline, reterr)))
        return status;
    rt = pipeline->runtime;
    if ((status = evs__refuse_inside(rt, "evs_pipeline_start()", reterr)))
        return status;
    phase = evs__runtime_phase(rt);
    if (phase == EVS__PHASE_FAILED && !rt->threaded)
        return evs__error_move(reterr, evs__error_ref(rt->error));
    if (rt->threaded || phase > EVS__PHASE_RUNNING || (rt->built && workers > 1))
        return evs__fail(pipeline->plan.ctx, reterr, EVS_ERR_MISUSE, "the pipeline was %s",
                         phase == EVS__PHASE_CLOSED ? "closed" : "started already");
    /* so that pushes need not wait for a worker; what may pass is tried again there */
    if (phase == EVS__PHASE_OPENING && evs__runtime_open_pushed(rt, &e)) {
        if (!evs_error_is_retriable(e)) {
            evs__runtime_fail(rt, evs__error_ref(e));
            return evs__error_move(reterr, e);
        }
        evs_error_unref(e);
    }
    rt->workers_wanted = (uint32_t)workers;
    return evs__threads_start(rt, reterr);
}

evs_status evs_pipeline_wait(evs_pipeline *pipeline, int64_t timeout_ms, evs_error **reterr)
{
    evs__runtime *rt = pipeline ? pipeline->runtime : NULL;
    int64_t end = timeout_ms < 0 ? INT64_MAX : evs__time_add(evs__monotonic_ms(), timeout_ms);
    evs_status status;

    if (!pipeline)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "pipeline is NULL");
    if (rt && (status = evs__refuse_inside(rt, "evs_pipeline_wait()", reterr)))
        return status;
    if (!rt || !rt->threaded)
        return evs__fail(pipeline->plan.ctx, reterr, EVS_ERR_MISUSE,
                         "the pipeline was not started with evs_pipeline_start()");
    status = EVS_AGAIN;
    pthread_mutex_lock(&rt->lock);
    while (goes_on(rt)) {
        int64_t left = end == INT64_MAX ? SLEEP_MAX_MS : end - evs__monotonic_ms();
        if (left <= 0)
            break;
        sleep_locked(rt, left);
    }
    if (rt->phase == EVS__PHASE_FAILED)
        status = evs__error_move(reterr, evs__error_ref(rt->error));
    else if (!goes_on(rt))
        status = EVS_OK;
    pthread_mutex_unlock(&rt->lock);
    return status;
}
