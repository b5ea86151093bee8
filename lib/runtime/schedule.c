/*
 * runtime/schedule.c: what a worker does next.
 *
 *   1. a commit that is due or goes on        everybody else stands still
 *   2. sinks that wait for room, or timers
 *   3. a run of a ready partition             one worker a partition
 *   4. a read                                 one worker at a time
 *   5. clocks of quiet partitions: when there was nothing to read, and a few times a second in
 *      any case; when there is still something to read after a gap between polls, they begin anew,
 *      and the gap itself is no silence: nobody listened
 *   6. the end, when all sources are through
 *
 * While a sink is blocked or a commit goes on, reads take control events only, so that a consumer
 * group never takes this member for dead.
 *
 * Alignment: a partition whose watermark is ahead of the slowest other one (not idle, not at its
 * end) by more than `alignment` moves to the waiting list; once it has much in its queue the
 * connector is told to pause it.
 */
#include "runtime/runtime.h"

#define QUEUED_ROWS_MAX (4 * EVS_BATCH_ROWS_MAX) /* of a source and worker before reading stops */
#define TICK_OVERDUE_MS 100 /* clocks are looked at, though there is always something to read */
#define GAP_MS 1000         /* nobody looked for work for so long: a gap */

/* ---- partition queues, under rt->lock ---- */

static void list_ready(evs__runtime *rt, evs__partition *p)
{
    p->listed = true;
    p->next_listed = NULL;
    *(rt->ready_tail ? &rt->ready_tail->next_listed : &rt->ready) = p;
    rt->ready_tail = p;
}

void evs__queue_run(evs__run *run)
{
    evs__partition *p = run->partition;
    evs__runtime *rt = p->source->rt;

    pthread_mutex_lock(&rt->lock);
    *(p->tail ? &p->tail->next : &p->head) = run;
    p->tail = run;
    p->queued_rows += run->count;
    if (!p->aside)
        p->source->queued_rows += run->count;
    p->at_end = false;
    if (!p->busy && !p->listed) {
        list_ready(rt, p);
        pthread_cond_signal(&rt->cond);
    }
    pthread_mutex_unlock(&rt->lock);
}

void evs__partition_done(evs__partition *p)
{
    evs__runtime *rt = p->source->rt;
    pthread_mutex_lock(&rt->lock);
    p->busy = false;
    if (p->head && !p->listed) {
        list_ready(rt, p);
        pthread_cond_signal(&rt->cond);
    }
    pthread_mutex_unlock(&rt->lock);
}

static bool holds_others(const evs__partition *p)
{
    if (!p->assigned || atomic_load(&p->seen_idle))
        return false;
    return !(p->at_end || p->source->ended) || p->head || p->busy;
}

/* whether a partition is so far ahead that it waits */
static bool is_ahead(const evs__partition *p)
{
    const evs__source *s = p->source;
    int64_t mine = atomic_load(&p->seen_watermark);
    int64_t slowest = mine;

    if (s->alignment_ms == EVS_FOREVER || mine == EVS_TIME_NONE)
        return false;
    for (uint32_t i = 0; i < s->partition_count; i++) {
        const evs__partition *other = &s->partitions[i];
        int64_t w = atomic_load(&other->seen_watermark);
        if (other != p && w < slowest && holds_others(other))
            slowest = w;
    }
    return evs__time_sub(mine, slowest) > s->alignment_ms;
}

/* partitions that need not wait any more */
static void look_at_waiting(evs__runtime *rt)
{
    evs__partition **at = &rt->waiting;
    while (*at) {
        evs__partition *p = *at;
        if (is_ahead(p)) {
            at = &p->next_listed;
            continue;
        }
        *at = p->next_listed;
        p->aside = false;
        p->source->queued_rows += p->queued_rows;
        list_ready(rt, p);
    }
}

static void set_aside(evs__runtime *rt, evs__partition *p)
{
    p->aside = true;
    p->source->queued_rows -= p->queued_rows;
    p->next_listed = rt->waiting;
    rt->waiting = p;
}

/* the next partition to work on, marked busy; or NULL */
static evs__partition *take_ready(evs__runtime *rt)
{
    evs__partition *p;
    if (rt->waiting)
        look_at_waiting(rt);
    while ((p = rt->ready)) {
        rt->ready = p->next_listed;
        if (!rt->ready)
            rt->ready_tail = NULL;
        p->listed = false;
        if (!p->head)
            continue; /* its runs were dropped */
        if (is_ahead(p)) {
            p->listed = true;
            set_aside(rt, p);
            continue;
        }
        p->busy = true;
        return p;
    }
    return NULL;
}

static evs__run *take_run(evs__partition *p)
{
    evs__run *run = p->head;
    p->head = run->next;
    if (!p->head)
        p->tail = NULL;
    p->queued_rows -= run->count;
    p->source->queued_rows -= run->count;
    run->next = NULL;
    return run;
}

/* ---- standing still ---- */

void evs__stand_still(evs__runtime *rt, bool inside)
{
    int32_t own = inside ? 1 : 0;
    if (rt->still && pthread_equal(rt->still_owner, pthread_self())) {
        rt->still++;
        return;
    }
    while (rt->still || rt->running > own)
        pthread_cond_wait(&rt->cond, &rt->lock);
    rt->still = 1;
    rt->still_owner = pthread_self();
}

void evs__go_on(evs__runtime *rt)
{
    if (!--rt->still)
        pthread_cond_broadcast(&rt->cond);
}

/* ---- jobs; each is called with rt->lock held and returns with it held ---- */

static void leave(evs__runtime *rt)
{
    rt->running++;
    pthread_mutex_unlock(&rt->lock);
}

static void come_back(evs__runtime *rt, evs_error *failure)
{
    if (failure)
        evs__runtime_fail(rt, failure);
    pthread_mutex_lock(&rt->lock);
    rt->running--;
    if (rt->threaded)
        pthread_cond_broadcast(&rt->cond);
}

static bool commit_is_due(const evs__runtime *rt, int64_t now_ms)
{
    if (rt->commit.retry_ms > now_ms)
        return false;
    if (rt->commit.phase != EVS__COMMIT_IDLE || rt->commit_wanted || atomic_load(&rt->replay))
        return true;
    return atomic_load(&rt->dirty) && now_ms >= rt->next_commit_ms;
}

static bool is_running(const evs__runtime *rt)
{
    return rt->phase == EVS__PHASE_RUNNING || rt->phase == EVS__PHASE_ENDING;
}

static void run_commit(evs__runtime *rt, int64_t now_ms)
{
    evs_error *e = NULL;
    evs_status status = EVS_OK;

    evs__stand_still(rt, false);
    /* another worker may have done it while this one waited */
    if (is_running(rt) && commit_is_due(rt, now_ms)) {
        leave(rt);
        status = evs__commit_step(rt, 0, &e);
        come_back(rt, status < 0 ? e : NULL);
        if (status == EVS_OK)
            rt->commit_wanted = false;
    }
    evs__go_on(rt);
}

static bool run_pump(evs__runtime *rt, int64_t now_ms)
{
    evs_error *e = NULL;
    int64_t next = INT64_MAX;
    bool blocked = evs__sinks_blocked(rt);
    evs_status status;

    if (rt->next_pump_ms > now_ms && !blocked)
        return false;
    leave(rt);
    status = evs__sinks_pump(rt, now_ms, &next, &e);
    come_back(rt, status < 0 ? e : NULL);
    rt->next_pump_ms = next;
    return blocked && status == EVS_OK;
}

static bool run_partition(evs__worker *w, int64_t now_ms)
{
    evs__runtime *rt = w->rt;
    evs__partition *p = take_ready(rt);
    evs_error *e = NULL;
    evs__run *run;

    if (!p)
        return false;
    run = take_run(p);
    leave(rt);
    evs__worker_process(w, run, now_ms, &e);
    evs__run_free(run);
    evs__partition_done(p);
    come_back(rt, e);
    rt->next_pump_ms = INT64_MIN;
    return true;
}

static bool wants_read(evs__runtime *rt, const evs__source *s, bool all, int64_t now_ms)
{
    if (s->ended || (all && s->queued_rows >= QUEUED_ROWS_MAX * (size_t)rt->worker_count))
        return false;
    return atomic_load(&s->woken) || s->next_read_ms <= now_ms || (all && s->held);
}

/* pause what waits with much in its queue; let go on what does not wait any more */
static evs_status pause_partitions(evs__source *s, evs_error **reterr)
{
    evs_status status = EVS_OK;
    if (s->alignment_ms == EVS_FOREVER || !s->fn->pause)
        return EVS_OK;
    for (uint32_t i = 0; !status && i < s->partition_count; i++) {
        evs__partition *p = &s->partitions[i];
        bool pause;
        pthread_mutex_lock(&s->rt->lock);
        pause = p->aside && (p->paused || p->queued_rows > QUEUED_ROWS_MAX);
        pthread_mutex_unlock(&s->rt->lock);
        if (pause == p->paused || !p->assigned)
            continue;
        p->paused = pause;
        pthread_mutex_lock(&s->lock);
        status = s->fn->pause(s->handle, p->topic, p->number, pause, reterr);
        pthread_mutex_unlock(&s->lock);
    }
    return status;
}

static bool run_read(evs__runtime *rt, bool all, int64_t now_ms)
{
    evs__source *s = NULL;
    evs_error *e = NULL;
    evs_status status;

    for (uint32_t i = 0; !rt->reading && !s && i < rt->source_count; i++) {
        evs__source *next = &rt->sources[(rt->next_source + i) % rt->source_count];
        if (wants_read(rt, next, all, now_ms)) {
            s = next;
            rt->next_source = (rt->next_source + i + 1) % rt->source_count;
        }
    }
    if (!s)
        return false;
    rt->reading = true;
    s->held = !all;
    leave(rt);
    status = evs__source_read(s, all ? EVS_BATCH_ROWS_MAX : 0, now_ms, &e);
    if (status >= 0 && pause_partitions(s, &e))
        status = evs_error_status(e);
    come_back(rt, status < 0 ? e : NULL);
    rt->reading = false;
    if (status == EVS_END && !s->ended) {
        s->ended = true;
        return true;
    }
    return status == EVS_OK;
}

static bool run_tick(evs__runtime *rt, int64_t now_ms)
{
    evs_error *e = NULL;
    int64_t next = INT64_MAX, stages = INT64_MAX;
    bool anew = rt->gap;

    if (rt->next_tick_ms > now_ms)
        return false;
    /* nobody else ticks meanwhile */
    rt->next_tick_ms = INT64_MAX;
    rt->gap = false;
    leave(rt);
    if (!evs__partitions_tick(rt, anew, now_ms, &next, &e) &&
        !evs__stages_tick(rt, now_ms, &stages, &e))
        evs__dead_letters_flush(rt, now_ms, &e);
    come_back(rt, e);
    if (stages < next)
        next = stages;
    /* partitions that became quiet since are looked at again before long */
    if (next > evs__time_add(now_ms, EVS__IDLE_POLL_MS))
        next = evs__time_add(now_ms, EVS__IDLE_POLL_MS);
    rt->next_tick_ms = next > now_ms ? next : evs__time_add(now_ms, 1);
    return false;
}

/* whether everything that sources will ever give is processed */
static bool is_through(const evs__runtime *rt)
{
    if (rt->running || rt->ready || rt->waiting)
        return false;
    for (uint32_t i = 0; i < rt->source_count; i++) {
        if (!rt->sources[i].ended)
            return false;
    }
    return true;
}

static bool run_end(evs__runtime *rt, int64_t now_ms)
{
    evs_error *e = NULL;

    if (rt->phase == EVS__PHASE_RUNNING) {
        rt->phase = EVS__PHASE_ENDING;
        if (evs_config_bool(rt->plan->config, "end.close_windows") && !rt->windows_ended) {
            rt->windows_ended = true;
            evs__stand_still(rt, false);
            leave(rt);
            evs__stages_end(rt, now_ms, &e);
            come_back(rt, e);
            evs__go_on(rt);
        }
        rt->commit_wanted = atomic_load(&rt->dirty);
        return true;
    }
    if (rt->phase == EVS__PHASE_ENDING && !rt->commit_wanted &&
        rt->commit.phase == EVS__COMMIT_IDLE && !atomic_load(&rt->dirty)) {
        rt->phase = EVS__PHASE_ENDED;
        pthread_cond_broadcast(&rt->cond);
        return true;
    }
    return false;
}

/* ---- the choice ---- */

static void earliest(int64_t *next, int64_t time)
{
    if (time < *next)
        *next = time;
}

static int64_t next_due(const evs__runtime *rt, int64_t now_ms)
{
    int64_t next = INT64_MAX;
    if (rt->commit.phase != EVS__COMMIT_IDLE || rt->commit_wanted)
        earliest(&next, rt->commit.retry_ms > now_ms ? rt->commit.retry_ms : now_ms + 1);
    else if (atomic_load(&rt->dirty))
        earliest(&next, rt->next_commit_ms);
    if (rt->commit.retry_ms > now_ms)
        earliest(&next, rt->commit.retry_ms);
    earliest(&next, rt->next_pump_ms);
    earliest(&next, rt->next_tick_ms);
    for (uint32_t i = 0; i < rt->source_count; i++) {
        if (!rt->sources[i].ended)
            earliest(&next, rt->sources[i].next_read_ms);
    }
    return next > now_ms ? next : now_ms + 1;
}

static bool reads_are_due(evs__runtime *rt, int64_t now_ms)
{
    for (uint32_t i = 0; i < rt->source_count; i++) {
        if (wants_read(rt, &rt->sources[i], true, now_ms))
            return true;
    }
    return false;
}

static bool work_once(evs__worker *w, int64_t now_ms)
{
    evs__runtime *rt = w->rt;
    bool may_process;

    if (commit_is_due(rt, now_ms)) {
        evs__commit_phase before = rt->commit.phase;
        run_commit(rt, now_ms);
        return rt->commit.phase != before || rt->commit.phase == EVS__COMMIT_IDLE;
    }
    if (run_pump(rt, now_ms))
        return true;
    may_process = rt->commit.phase == EVS__COMMIT_IDLE && rt->commit.retry_ms <= now_ms &&
                  !evs__sinks_blocked(rt);
    if (may_process && !rt->reading && evs__time_sub(now_ms, rt->next_tick_ms) >= TICK_OVERDUE_MS)
        run_tick(rt, now_ms);
    if (rt->phase == EVS__PHASE_FAILED)
        return true;
    if (may_process && run_partition(w, now_ms))
        return true;
    if (run_read(rt, may_process, now_ms))
        return true;
    if (!may_process || rt->reading)
        return false;
    if (reads_are_due(rt, now_ms))
        return true;
    rt->gap = false;
    if (is_through(rt) && run_end(rt, now_ms))
        return true;
    return run_tick(rt, now_ms);
}

/*
 * The host did not poll, the process was stopped, the machine slept, a sink took its time: what the
 * connectors know is old, and the silence of partitions was not heard by anybody. The clocks of
 * quiet partitions stand still for the gap. When the next gap comes and a partition is still
 * silent, GAP_MS of the one before are made up for, so that windows close for hosts that poll
 * seldom, too.
 */
static void note_gap(evs__runtime *rt, int64_t now_ms)
{
    int64_t away = rt->looked_ms == INT64_MAX ? 0 : evs__time_sub(now_ms, rt->looked_ms);
    if (rt->looked_ms == INT64_MAX || now_ms > rt->looked_ms)
        rt->looked_ms = now_ms;
    if (away <= GAP_MS || rt->hooks.no_gaps)
        return;
    rt->unheard_ms += rt->gaps ? away - GAP_MS : away;
    rt->gaps = true;
    rt->gap = true;
    if (rt->next_tick_ms < now_ms)
        rt->next_tick_ms = now_ms; /* overdue only when reading takes long */
}

evs__did evs__work(evs__worker *w, int64_t *ret_next_ms)
{
    evs__runtime *rt = w->rt;
    int64_t now_ms = evs__now_ms(rt);
    evs__did did = EVS__DID_NOTHING;

    *ret_next_ms = INT64_MAX;
    pthread_mutex_lock(&rt->lock);
    note_gap(rt, now_ms);
    if (!is_running(rt)) {
        did = EVS__DID_END;
    } else if (!rt->still) {
        if (work_once(w, now_ms))
            did = EVS__DID_WORK;
        else
            *ret_next_ms = next_due(rt, now_ms);
    }
    pthread_mutex_unlock(&rt->lock);
    return did;
}

evs_status evs__commit_now(evs__runtime *rt, int64_t timeout_ms, evs_error **reterr)
{
    int64_t deadline = evs__time_add(evs__monotonic_ms(), timeout_ms);
    evs_status status = EVS_AGAIN;

    if (rt->died)
        return evs__error_move(reterr, evs__error_ref(rt->error));
    while (status == EVS_AGAIN) {
        int64_t left = deadline - evs__monotonic_ms();
        evs_error *e = NULL;
        status = evs__commit_step(rt, left > 100 ? 100 : left > 0 ? left : 0, &e);
        if (status < 0) {
            evs__runtime_fail(rt, evs__error_ref(e));
            return evs__error_move(reterr, e);
        }
        if (status == EVS_OK)
            break;
        if (left <= 0) {
            if (rt->commit.trouble)
                return evs__error_move(reterr, evs__error_ref(rt->commit.trouble));
            return evs__fail(rt->ctx, reterr, EVS_ERR_TIMEOUT, "not committed within %lld ms",
                             (long long)timeout_ms);
        }
        if (rt->commit.phase == EVS__COMMIT_IDLE)
            return evs__error_move(reterr, evs__error_ref(rt->commit.trouble));
        evs__pause_ms(left < 5 ? left : 5);
    }
    return status;
}
