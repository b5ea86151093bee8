/*
 * runtime/commit.c: an epoch, from barrier to committed.
 *
 *   OPERATORS   what changed since the last epoch goes to the sinks (emit=changes)
 *   WRITE       batches that waited reach their sinks
 *   FLUSH       every sink confirms; sinks with a transaction that is not the authority commit
 *   LETTERS     rows that sinks refused in the two steps before reach the dead letters' sink
 *   CONFIRM     which confirms: no epoch is true while a letter of it may be lost
 *   SNAPSHOT    epoch N becomes true in state.dir; N-1 stays
 *   AUTHORITY   the transactional sink commits rows, N and offsets: N becomes true there
 *   OTHERS      the other sinks are told (two-phase sinks show their rows)
 *   SOURCES     consumer groups learn the offsets; they are behind at most, so a failure is a line
 *               in the log
 *
 * A commit is a small machine that is called again until it is through: a sink that is slow or
 * away, a full disk, cost no more than a step a call, and inputs wait meanwhile. Failures that may
 * pass are tried again with back-off. Any other before the epoch is true gives it up: sinks abort,
 * operators and positions go back to the last epoch (recover.c), and the pipeline replays; a sink
 * that cannot abort now is asked again, and why the epoch was given up stays what is told. The
 * caller has stopped all workers (evs__stand_still).
 */
#include <stdio.h>

#include "runtime/snapshot.h"

#define COMMIT_POLL_MS 5 /* a sink that cannot commit now is asked that often */

bool evs__dies(evs__runtime *rt, const char *step)
{
    if (!rt->hooks.dies || !rt->hooks.dies(rt->hooks.user, step))
        return false;
    rt->died = true;
    return true;
}

static evs_status died(evs__runtime *rt, evs_error **reterr)
{
    return evs__fail(rt->ctx, reterr, EVS_ERR_INTERNAL, "died on purpose, in a test");
}

/* ---- steps ---- */

static evs_status write_pending(evs__runtime *rt, int64_t now_ms, evs_error **reterr)
{
    int64_t next;
    evs_status status = evs__sinks_pump(rt, now_ms, &next, reterr);
    if (status == EVS_AGAIN)
        rt->commit.retry_ms = next;
    return status;
}

static bool is_other_transaction(const evs__sink *s)
{
    return s != s->rt->authority && s->fn->guarantee == EVS_GUARANTEE_TRANSACTIONAL;
}

static evs_status commit_sink(evs__sink *s, evs_error **reterr)
{
    evs_status status = EVS_OK;
    pthread_mutex_lock(&s->lock);
    if (s->fn->commit)
        status = s->fn->commit(s->handle, s->rt->commit.epoch, s->rt->commit.offsets, reterr);
    s->next_poll_ms = INT64_MIN;
    pthread_mutex_unlock(&s->lock);
    if (status == EVS_AGAIN)
        s->rt->commit.retry_ms = evs__time_add(evs__now_ms(s->rt), COMMIT_POLL_MS);
    else if (status)
        evs__node_prefix(s->node, reterr);
    return status;
}

static evs_status flush_sink(evs__sink *s, int64_t wait_ms, evs_error **reterr)
{
    evs_status status;
    if (!s->fn->flush)
        return EVS_OK;
    pthread_mutex_lock(&s->lock);
    status = s->fn->flush(s->handle, wait_ms, reterr);
    evs__sink_take_refused(s);
    pthread_mutex_unlock(&s->lock);
    if (status < 0) {
        evs__metric_add(s->retries, 1);
        evs__node_prefix(s->node, reterr);
    }
    return status;
}

static evs_status confirm_sink(evs__sink *s, int64_t wait_ms, evs_error **reterr)
{
    evs_status status = flush_sink(s, wait_ms, reterr);
    return !status && is_other_transaction(s) ? commit_sink(s, reterr) : status;
}

/* all but the dead letters: others may still add to them */
static evs_status flush_sinks(evs__runtime *rt, int64_t wait_ms, evs_error **reterr)
{
    evs__commit *c = &rt->commit;
    for (; c->at < rt->sink_count; c->at++) {
        evs__sink *s = &rt->sinks[c->at];
        evs_status status =
            s == evs__dead_letters_sink(rt) ? EVS_OK : confirm_sink(s, wait_ms, reterr);
        if (status)
            return status;
    }
    return EVS_OK;
}

static evs_status write_letters(evs__runtime *rt, int64_t now_ms, evs_error **reterr)
{
    evs_status status = evs__dead_letters_flush(rt, now_ms, reterr);
    return status ? status : write_pending(rt, now_ms, reterr);
}

static evs_status confirm_letters(evs__runtime *rt, int64_t wait_ms, evs_error **reterr)
{
    evs__sink *s = evs__dead_letters_sink(rt);
    return s ? confirm_sink(s, wait_ms, reterr) : EVS_OK;
}

static evs_status write_file(evs__runtime *rt, evs_error **reterr)
{
    evs__image_out out = {.bytes = &rt->image, .fd = -1};
    evs_status status = evs__store_begin(rt->store, &out.fd, reterr);

    if (status)
        return status;
    status = evs__image_write(rt, rt->commit.epoch, &out, reterr);
    if (!status && evs__dies(rt, "snapshot written"))
        status = died(rt, reterr);
    if (status) {
        evs__store_end(rt->store, out.fd, 0, false, NULL);
        return status;
    }
    return evs__store_end(rt->store, out.fd, rt->commit.epoch, true, reterr);
}

static evs_status write_snapshot(evs__runtime *rt, evs_error **reterr)
{
    evs__image_out out = {.bytes = &rt->next_image, .fd = -1};
    evs_status status = EVS_OK;

    if (rt->store)
        return write_file(rt, reterr);
    if (rt->keep_image)
        status = evs__image_write(rt, rt->commit.epoch, &out, reterr);
    if (!status && rt->hooks.keep &&
        rt->hooks.keep(rt->hooks.user, rt->commit.epoch, rt->next_image.data, rt->next_image.len))
        status = evs__nomem(reterr);
    return status;
}

static evs_status make_offsets(evs__runtime *rt, evs_error **reterr)
{
    evs__buffer text;
    evs_status status;

    evs__buffer_init(&text, rt->ctx, 64 << 20);
    status = evs__offsets_write(rt, rt->commit.epoch, &text);
    evs__free(rt->ctx, rt->commit.offsets);
    rt->commit.offsets = status ? NULL : evs__strndup(rt->ctx, text.data, text.len);
    evs__buffer_free(&text);
    return rt->commit.offsets ? EVS_OK : evs__nomem(reterr);
}

static evs_status commit_others(evs__runtime *rt, evs_error **reterr)
{
    evs__commit *c = &rt->commit;
    for (; c->at < rt->sink_count; c->at++) {
        evs__sink *s = &rt->sinks[c->at];
        evs_status status = EVS_OK;
        if (s != rt->authority && !is_other_transaction(s))
            status = commit_sink(s, reterr);
        if (status)
            return status;
    }
    return EVS_OK;
}

static void commit_sources(evs__runtime *rt)
{
    rt->untold = false;
    for (uint32_t i = 0; i < rt->source_count; i++) {
        evs_error *e = NULL;
        /* EVS_AGAIN: on the way; the next epoch's offsets take its place if it gets lost */
        if (evs__source_commit(&rt->sources[i], &e) < 0) {
            rt->untold = true;
            evs__log(rt->ctx, EVS_LOG_WARNING, "commit", "%s", evs_error_message(e));
        }
        evs_error_unref(e);
    }
}

/* the epoch is true: it is what a later failure goes back to */
static void finish(evs__runtime *rt)
{
    evs__commit *c = &rt->commit;
    evs__buffer swap = rt->image;

    if (!rt->store && rt->keep_image) {
        rt->image = rt->next_image;
        rt->next_image = swap;
    }
    rt->epoch = c->epoch;
    rt->committed = true;
    for (uint32_t i = 0; i < rt->source_count; i++) {
        for (uint32_t k = 0; k < rt->sources[i].partition_count; k++) {
            evs__partition *p = &rt->sources[i].partitions[k];
            p->epoch = p->now;
        }
    }
    atomic_store(&rt->dirty, false);
    evs__metric_add(rt->commits, 1);
    evs__metric_set(rt->epoch_gauge, (double)rt->epoch);
    evs__metric_observe(rt->commit_seconds, (double)(evs__monotonic_ms() - c->begun_ms) / 1000.0);
    evs__stages_measure(rt);
}

/* ---- the machine ---- */

static void enter(evs__commit *c, evs__commit_phase phase)
{
    c->phase = phase;
    c->at = 0;
}

/* one phase; EVS_OK: the next one's turn */
static evs_status run_phase(evs__runtime *rt, int64_t now_ms, int64_t wait_ms, evs_error **reterr)
{
    evs_status status;

    switch (rt->commit.phase) {
    case EVS__COMMIT_OPERATORS:
        return evs__dies(rt, "begin") ? died(rt, reterr) : evs__stages_flush(rt, now_ms, reterr);
    case EVS__COMMIT_WRITE:
        return write_pending(rt, now_ms, reterr);
    case EVS__COMMIT_FLUSH:
        status = make_offsets(rt, reterr);
        if (!status)
            status = flush_sinks(rt, wait_ms, reterr);
        return !status && evs__dies(rt, "flushed") ? died(rt, reterr) : status;
    case EVS__COMMIT_LETTERS:
        return write_letters(rt, now_ms, reterr);
    case EVS__COMMIT_CONFIRM:
        return confirm_letters(rt, wait_ms, reterr);
    case EVS__COMMIT_SNAPSHOT:
        status = write_snapshot(rt, reterr);
        return !status && evs__dies(rt, "snapshot") ? died(rt, reterr) : status;
    case EVS__COMMIT_AUTHORITY:
        status = rt->authority ? commit_sink(rt->authority, reterr) : EVS_OK;
        return !status && evs__dies(rt, "authority") ? died(rt, reterr) : status;
    case EVS__COMMIT_OTHERS:
        status = commit_others(rt, reterr);
        return !status && evs__dies(rt, "others") ? died(rt, reterr) : status;
    default:
        commit_sources(rt);
        return evs__dies(rt, "sources") ? died(rt, reterr) : EVS_OK;
    }
}

/* back to the last epoch; c->trouble stays the reason, whatever happens on the way */
static evs_status go_back(evs__runtime *rt, int64_t now_ms, evs_error **reterr)
{
    evs__commit *c = &rt->commit;
    evs_error *e = NULL;
    evs_status status = evs__rollback(rt, &c->at, &e);

    if (status && evs_error_is_retriable(e)) {
        evs__log(rt->ctx, EVS_LOG_WARNING, "commit", "going back: %s", evs_error_message(e));
        evs_error_unref(e);
        c->retry_ms = evs__time_add(now_ms, evs__next_backoff(rt, &c->backoff_ms));
        return EVS_AGAIN;
    }
    enter(c, EVS__COMMIT_IDLE);
    if (status) {
        evs_error_prefix(rt->ctx, &e,
                         "%s; going back to epoch %lld: ", evs_error_message(c->trouble),
                         (long long)rt->epoch);
        return evs__error_move(reterr, e);
    }
    c->retry_ms = evs__time_add(now_ms, evs__next_backoff(rt, &c->backoff_ms));
    rt->next_commit_ms = evs__time_add(c->retry_ms, rt->commit_interval_ms);
    return EVS_AGAIN;
}

/* the epoch cannot become true */
static evs_status give_up(evs__runtime *rt, int64_t now_ms, evs_error *why, evs_error **reterr)
{
    evs__commit *c = &rt->commit;

    evs__log(rt->ctx, EVS_LOG_WARNING, "commit", "epoch %lld is given up: %s", (long long)c->epoch,
             evs_error_message(why));
    evs_error_unref(c->trouble);
    c->trouble = why;
    evs__metric_add(rt->aborts, 1);
    evs__dead_letters_drop(rt);
    enter(c, EVS__COMMIT_ABORT);
    return go_back(rt, now_ms, reterr);
}

static evs_status handle_failure(evs__runtime *rt, int64_t now_ms, evs_error *e, evs_error **reterr)
{
    evs__commit *c = &rt->commit;
    evs_status status = evs_error_status(e);

    evs__metric_add(rt->commit_failures, 1);
    if (evs_error_is_retriable(e) && !rt->died) {
        if (!c->backoff_ms)
            evs__log(rt->ctx, EVS_LOG_WARNING, "commit", "%s", evs_error_message(e));
        evs_error_unref(c->trouble);
        c->trouble = e;
        c->retry_ms = evs__time_add(now_ms, evs__next_backoff(rt, &c->backoff_ms));
        return EVS_AGAIN;
    }
    if (rt->died || evs_error_is_fatal(e) || status == EVS_ERR_NOMEM ||
        status == EVS_ERR_CALLBACK ||
        (c->phase != EVS__COMMIT_FLUSH && c->phase != EVS__COMMIT_CONFIRM &&
         c->phase != EVS__COMMIT_AUTHORITY))
        return evs__error_move(reterr, e);
    return give_up(rt, now_ms, e, reterr);
}

/* a sink lost what was written to it; its trouble says why */
static evs_status replay(evs__runtime *rt, int64_t now_ms, evs_error **reterr)
{
    evs_error *why = NULL;
    atomic_store(&rt->replay, false);
    for (uint32_t i = 0; !why && i < rt->sink_count; i++) {
        evs__sink *s = &rt->sinks[i];
        pthread_mutex_lock(&s->lock);
        if (s->trouble && evs_error_status(s->trouble) == EVS_ERR_STATE)
            why = evs__error_ref(s->trouble);
        pthread_mutex_unlock(&s->lock);
    }
    if (!why)
        evs__fail(rt->ctx, &why, EVS_ERR_STATE, "a sink lost what was written");
    evs__metric_add(rt->commit_failures, 1);
    return give_up(rt, now_ms, why, reterr);
}

bool evs__commit_is_needed(const evs__runtime *rt)
{
    return rt->commit.phase != EVS__COMMIT_IDLE || rt->untold || atomic_load(&rt->dirty) ||
           atomic_load(&rt->replay);
}

static void begin(evs__runtime *rt)
{
    evs__commit *c = &rt->commit;
    c->epoch = rt->epoch + 1;
    c->begun_ms = evs__monotonic_ms();
    c->retry_ms = INT64_MIN;
    enter(c, EVS__COMMIT_OPERATORS);
}

evs_status evs__commit_step(evs__runtime *rt, int64_t wait_ms, evs_error **reterr)
{
    evs__commit *c = &rt->commit;
    int64_t now_ms = evs__now_ms(rt);

    if (c->phase == EVS__COMMIT_IDLE)
        begin(rt);
    while (c->phase != EVS__COMMIT_IDLE) {
        evs_error *e = NULL;
        evs_status status;
        if (c->retry_ms > now_ms)
            return EVS_AGAIN;
        c->retry_ms = INT64_MIN;
        if (c->phase == EVS__COMMIT_ABORT)
            return go_back(rt, now_ms, reterr);
        if (c->phase < EVS__COMMIT_SNAPSHOT && atomic_load(&rt->replay))
            return replay(rt, now_ms, reterr);
        status = run_phase(rt, now_ms, wait_ms, &e);
        if (status < 0)
            return handle_failure(rt, now_ms, e, reterr);
        if (status == EVS_AGAIN)
            return EVS_AGAIN;
        evs_error_unref(c->trouble);
        c->trouble = NULL;
        c->backoff_ms = 0;
        enter(c, c->phase == EVS__COMMIT_SOURCES ? EVS__COMMIT_IDLE : c->phase + 1);
    }
    finish(rt);
    rt->next_commit_ms = evs__time_add(now_ms, rt->commit_interval_ms);
    return EVS_OK;
}
