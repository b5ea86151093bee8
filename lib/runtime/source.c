/*
 * runtime/source.c: one opened source: its partitions, what it reads into their queues, and where
 * it goes back to.
 *
 *   read -> [a a a b b a] -> runs of one partition, in order: (aaa) (bb) (a) -> queues
 *
 * Runs of one read share its block, which is released when the last batch made from any of them is
 * gone, on whatever thread that happens. Connectors call back (assigned, revoking) inside a read
 * only. The source's lock is held then; a revocation lets it go until it has committed: the other
 * workers need headers or the state of a partition to come to the end of what they do.
 *
 * A pipeline with windows keeps state that other members of a consumer group do not see, and its
 * exchange reaches this process only. So it needs all partitions of its sources: with a part of
 * them nothing is read, and after `group.wait.ms` it is an error; partitions that are taken away
 * later are waited for.
 */
#include "runtime/runtime.h"

/* ---- callbacks of connectors ---- */

static evs__partition *partition_of(evs__source *s, uint32_t topic, int32_t number)
{
    uint32_t base = 0;
    if (!s->described || topic >= s->topic_count || number < 0 ||
        number >= s->partition_counts[topic])
        return NULL;
    for (uint32_t t = 0; t < topic; t++)
        base += (uint32_t)s->partition_counts[t];
    return &s->partitions[base + (uint32_t)number];
}

static int64_t on_assigned(void *runtime, uint32_t topic, int32_t number)
{
    evs__source *s = runtime;
    evs__partition *p = partition_of(s, topic, number);
    if (!p)
        return -2;
    if (!p->assigned)
        s->assigned_count++;
    p->assigned = true;
    atomic_store(&p->moved_ms, evs__now_ms(s->rt));
    p->positioned = p->now.offset >= 0;
    p->check_committed = p->now.offset >= 0 || evs__plan_has_state(s->rt->plan);
    s->changed = true;
    return p->now.offset;
}

static void drop_runs(evs__partition *p)
{
    evs__run *run, *next;
    pthread_mutex_lock(&p->source->rt->lock);
    run = p->head;
    p->head = p->tail = NULL;
    p->source->queued_rows -= p->aside ? 0 : p->queued_rows;
    p->queued_rows = 0;
    pthread_mutex_unlock(&p->source->rt->lock);
    for (; run; run = next) {
        next = run->next;
        evs__run_free(run);
    }
}

/*
 * In a started pipeline other workers may be at work on a partition: they come to the end of their
 * jobs and wait. What the connector is in the middle of is safe meanwhile: nobody else reads. Of
 * many partitions that go at once the first one's commit is all the others'.
 */
static void commit_before(evs__source *s, uint32_t topic, int32_t number, bool lost)
{
    evs__runtime *rt = s->rt;
    evs_error *e = NULL;
    bool may_commit, in_read = s->in_read;

    s->in_read = false;
    if (in_read)
        pthread_mutex_unlock(&s->lock);
    pthread_mutex_lock(&rt->lock);
    evs__stand_still(rt, true);
    may_commit = !lost && !rt->disconnected && rt->phase == EVS__PHASE_RUNNING && rt->recovered &&
                 evs__commit_is_needed(rt);
    pthread_mutex_unlock(&rt->lock);
    if (may_commit)
        evs__commit_now(rt, evs_config_int(rt->plan->config, "close.timeout.ms"), &e);
    if (e)
        evs__log(rt->ctx, EVS_LOG_WARNING, "commit",
                 "before partition %d of \"%s\" is given up: %s", number, s->topics[topic],
                 evs_error_message(e));
    evs_error_unref(e);
    if (in_read)
        pthread_mutex_lock(&s->lock);
    s->in_read = in_read;
}

static void on_revoking(void *runtime, uint32_t topic, int32_t number, bool lost)
{
    evs__source *s = runtime;
    evs__runtime *rt = s->rt;
    evs__partition *p = partition_of(s, topic, number);

    if (!p || !p->assigned)
        return;
    commit_before(s, topic, number, lost);
    drop_runs(p);
    p->assigned = false;
    s->assigned_count--;
    s->changed = true;
    /* without state of ours the group knows better where it goes on */
    if (!evs__plan_has_state(rt->plan))
        p->now.offset = p->epoch.offset = -1;
    p->positioned = false;
    pthread_mutex_lock(&rt->lock);
    evs__go_on(rt);
    pthread_mutex_unlock(&rt->lock);
}

static void on_wake(void *runtime)
{
    evs__source *s = runtime;
    atomic_store(&s->woken, true);
    evs__wake(s->rt);
}

static void on_state(void *runtime, const char *state)
{
    evs__source *s = runtime;
    atomic_store(&s->connecting, strcmp(state, "connected") != 0);
}

/* ---- open, describe, close ---- */

evs_status evs__source_open(evs__source *s, evs_error **reterr)
{
    evs_status status;

    if (s->handle)
        return EVS_OK;
    s->host = (evs_source_host){.struct_size = sizeof(s->host),
                                .runtime = s,
                                .application_id = evs__plan_application_id(s->rt->plan),
                                .assigned = on_assigned,
                                .revoking = on_revoking,
                                .wake = on_wake,
                                .state = on_state,
                                .schema = s->node->schema};
    status = s->fn->open(s->rt->ctx, s->node->config, &s->host, &s->handle, reterr);
    if (status) {
        s->handle = NULL;
        evs__node_prefix(s->node, reterr);
    }
    return status;
}

static evs_status add_metrics(evs__partition *p)
{
    evs__metrics *m = &p->source->rt->metrics;
    const char *source = p->source->node->name;
    const char *topic = p->source->topics[p->topic];
    char number[EVS__INT_TEXT_MAX + 1];

    number[evs__format_int(p->number, number)] = '\0';
#define ADD(id) evs__metrics_add(m, id, "source", source, "topic", topic, "partition", number, NULL)
    p->events = ADD(EVS__METRIC_EVENTS_IN);
    p->bytes = ADD(EVS__METRIC_BYTES_IN);
    p->watermark = ADD(EVS__METRIC_WATERMARK);
    p->event_lag = ADD(EVS__METRIC_EVENT_LAG);
    p->lag = ADD(EVS__METRIC_CONSUMER_LAG);
#undef ADD
    return p->events && p->bytes && p->watermark && p->event_lag && p->lag ? EVS_OK : EVS_ERR_NOMEM;
}

static evs_status make_partitions(evs__source *s)
{
    uint32_t slot = 0;
    size_t total = 0;

    for (size_t t = 0; t < s->topic_count; t++)
        total += (size_t)s->partition_counts[t];
    s->partitions = evs__calloc(s->rt->ctx, total, sizeof(*s->partitions));
    if (!s->partitions)
        return EVS_ERR_NOMEM;
    s->partition_count = (uint32_t)total;
    for (uint32_t t = 0; t < s->topic_count; t++) {
        for (int32_t i = 0; i < s->partition_counts[t]; i++, slot++) {
            evs__partition *p = &s->partitions[slot];
            p->source = s;
            p->topic = t;
            p->number = i;
            p->slot = slot;
            p->now.offset = p->epoch.offset = -1;
            p->told_watermark = EVS_TIME_NONE;
            evs__partition_time_init(&p->now.time);
            p->epoch.time = p->now.time;
            atomic_init(&p->seen_watermark, EVS_TIME_NONE);
            atomic_init(&p->moved_ms, EVS_TIME_NONE);
        }
    }
    /* each of them is whole by now: whatever fails, closing looks at all */
    for (slot = 0; slot < s->partition_count; slot++) {
        if (add_metrics(&s->partitions[slot]))
            return EVS_ERR_NOMEM;
    }
    return EVS_OK;
}

evs_status evs__source_describe(evs__source *s, evs_error **reterr)
{
    evs_status status = EVS_OK;

    if (!s->described) {
        status =
            s->fn->describe(s->handle, &s->topics, &s->partition_counts, &s->topic_count, reterr);
        if (!status && make_partitions(s))
            return evs__nomem(reterr);
        s->described = !status;
    }
    if (!status && !s->identity)
        status = s->fn->identity(s->handle, &s->identity, reterr);
    if (status < 0)
        evs__node_prefix(s->node, reterr);
    return status;
}

/* give a block's events back to the connector, once */
static void block_release(evs__source *s, void *handle)
{
    if (s->fn->release && handle)
        s->fn->release(s->handle, handle);
}

/*
 * Everything that was read goes back before the connector closes (librdkafka waits for ever for one
 * message). Whoever still holds a batch of views now holds what pipeline.h says it must not.
 */
static void release_blocks(evs__source *s)
{
    evs__read_block *b;
    pthread_mutex_lock(&s->block_lock);
    while ((b = s->blocks)) {
        s->blocks = b->next;
        b->source = NULL;
        block_release(s, b->handle);
    }
    pthread_mutex_unlock(&s->block_lock);
}

void evs__source_close(evs__source *s)
{
    evs__source_drop_runs(s);
    if (s->handle) {
        release_blocks(s);
        s->fn->close(s->handle);
    }
    s->handle = NULL;
    evs_error_unref(s->trouble);
    s->trouble = NULL;
}

/* ---- runs ---- */

static void block_unref(evs__read_block *b)
{
    evs__source *s;
    if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
        return;
    if ((s = b->source)) {
        pthread_mutex_lock(&s->block_lock);
        *b->link = b->next;
        if (b->next)
            b->next->link = b->link;
        pthread_mutex_unlock(&s->block_lock);
        block_release(s, b->handle);
    }
    evs__free(b->ctx, b);
}

static evs__read_block *block_new(evs__source *s, void *handle)
{
    evs__read_block *b = evs__alloc(s->rt->ctx, sizeof(*b));
    if (!b)
        return NULL;
    *b = (evs__read_block){.ctx = s->rt->ctx, .source = s, .handle = handle, .link = &s->blocks};
    atomic_init(&b->refs, 1);
    pthread_mutex_lock(&s->block_lock);
    b->next = s->blocks;
    if (b->next)
        b->next->link = &b->next;
    s->blocks = b;
    pthread_mutex_unlock(&s->block_lock);
    return b;
}

static void run_release(evs__lease *lease)
{
    evs__run *run = (evs__run *)lease; /* its first member */
    evs_context *ctx = run->ctx;
    evs_batch_unref(run->batch);
    block_unref(run->block);
    evs__free(ctx, run->made);
    evs__free(ctx, run);
}

void evs__run_free(evs__run *run)
{
    evs__lease_unref(&run->lease);
}

static evs__run *run_new(evs__partition *p)
{
    evs__run *run = evs__calloc(p->source->rt->ctx, 1, sizeof(*run));
    if (!run)
        return NULL;
    atomic_init(&run->lease.refs, 1);
    run->lease.release = run_release;
    run->ctx = p->source->rt->ctx;
    run->partition = p;
    return run;
}

static void run_inputs(evs__run *run, const evs_input *inputs, size_t count)
{
    run->inputs = run->lease.inputs = inputs;
    run->count = run->lease.count = count;
}

static evs_status not_assigned(evs__source *s, uint32_t topic, int32_t number, evs_error **reterr)
{
    return evs__fail(
        s->rt->ctx, reterr, EVS_ERR_MISUSE,
        "connector \"%s\" gave rows of topic %u partition %d, which it was not assigned",
        s->node->connector_name, topic, number);
}

/* where a partition began whose position was left to the connector: a replay goes back there */
static void first_position(evs__partition *p, int64_t offset)
{
    if (p->positioned)
        return;
    p->positioned = true;
    /* another worker may look at it for the lag */
    pthread_mutex_lock(&p->source->rt->lock);
    p->now.offset = p->epoch.offset = offset;
    pthread_mutex_unlock(&p->source->rt->lock);
}

/* cut a read into runs and queue them */
static evs_status
queue_inputs(evs__source *s, evs__read_block *block, const evs_read *r, evs_error **reterr)
{
    for (size_t at = 0; at < r->count;) {
        const evs_input *first = &r->inputs[at];
        evs__partition *p = partition_of(s, first->topic, first->partition);
        size_t end = at + 1;
        evs__run *run;

        if (!p || !p->assigned)
            return not_assigned(s, first->topic, first->partition, reterr);
        while (end < r->count && end - at < EVS_BATCH_ROWS_MAX &&
               r->inputs[end].partition == first->partition && r->inputs[end].topic == first->topic)
            end++;
        run = run_new(p);
        if (!run)
            return evs__nomem(reterr);
        atomic_fetch_add_explicit(&block->refs, 1, memory_order_relaxed);
        run->block = block;
        run_inputs(run, first, end - at);
        first_position(p, first->offset);
        evs__queue_run(run);
        at = end;
    }
    return EVS_OK;
}

/* what stands in for the events that ready columns did not come from: offset, time, partition */
static evs_input *make_inputs(evs_context *ctx, const evs_batch *batch, const evs_read *r)
{
    evs_input *made = evs__calloc(ctx, (size_t)batch->rows + 1, sizeof(*made));
    if (!made)
        return NULL;
    for (uint32_t k = 0; k < batch->count; k++) {
        uint32_t row = evs__batch_row_at(batch, k);
        made[row].offset = r->batch_offset + k;
        made[row].partition = r->batch_partition;
        made[row].timestamp = batch->times ? batch->times[row] : EVS_TIME_NONE;
    }
    return made;
}

/* takes r->batch in every case */
static evs_status queue_batch(evs__source *s, const evs_read *r, evs_error **reterr)
{
    evs__partition *p = partition_of(s, 0, r->batch_partition);
    evs__run *run = NULL;

    if (!p || !p->assigned) {
        evs_batch_unref(r->batch);
        return not_assigned(s, 0, r->batch_partition, reterr);
    }
    if (!r->batch->count) {
        evs_batch_unref(r->batch);
        return EVS_OK;
    }
    run = run_new(p);
    if (!run) {
        evs_batch_unref(r->batch);
        return evs__nomem(reterr);
    }
    run->batch = r->batch;
    run->made = make_inputs(s->rt->ctx, r->batch, r);
    if (!run->made) {
        evs__run_free(run);
        return evs__nomem(reterr);
    }
    run_inputs(run, run->made, r->batch->rows);
    first_position(p, r->batch_offset);
    evs__queue_run(run);
    return EVS_OK;
}

/* ---- reading ---- */

/* a window needs every partition: see above */
static bool is_partial(const evs__source *s)
{
    return s->assigned_count && s->assigned_count < s->partition_count && !s->had_all &&
           evs__plan_has_state(s->rt->plan);
}

static void check_assignment(evs__source *s, int64_t now_ms)
{
    s->changed = false;
    if (s->assigned_count == s->partition_count)
        s->had_all = true;
    if (!is_partial(s))
        s->partial_since_ms = EVS_TIME_NONE;
    else if (s->partial_since_ms == EVS_TIME_NONE)
        s->partial_since_ms = now_ms;
}

/*
 * Another member of the group has some partitions. It may be what is left of a process that was
 * killed: the broker takes it for alive until its session times out. So nothing is read, the state
 * says why, and only after `group.wait.ms` it is an error.
 */
static evs_status wait_for_all(evs__source *s, int64_t now_ms, evs_error **reterr)
{
    evs__runtime *rt = s->rt;
    const char *group = evs__plan_application_id(rt->plan);
    if (now_ms - s->partial_since_ms >= evs_config_int(rt->plan->config, "group.wait.ms"))
        return evs__fail(
            rt->ctx, reterr, EVS_ERR_STATE,
            "step \"%s\": only %u of %u partitions are assigned: another member of group "
            "\"%s\" has the others, and windows need all of them in one process; stop it, "
            "or use another application.id",
            s->node->name, s->assigned_count, s->partition_count, group);
    if (!s->trouble)
        evs__fail(
            rt->ctx, &s->trouble, EVS_ERR_UNAVAILABLE,
            "%u of %u partitions are assigned: waiting for another member of group \"%s\" to leave",
            s->assigned_count, s->partition_count, group);
    s->next_read_ms = evs__time_add(now_ms, EVS__IDLE_POLL_MS);
    return EVS_AGAIN;
}

/*
 * The group is somewhere and we have nothing of what was before: the folder was lost, or never was
 * there. Windows would silently lack it. Who wants that says so, and goes on there.
 */
static evs_status
state_is_missing(evs__source *s, evs__partition *p, int64_t committed, evs_error **reterr)
{
    evs__runtime *rt = s->rt;
    const evs_config *config = rt->plan->config;
    const char *dir = evs_config_string(config, "state.dir");

    if (dir && strcmp(evs_config_string(config, "state.missing"), "refuse") == 0)
        return evs__fail(
            rt->ctx, reterr, EVS_ERR_STATE,
            "step \"%s\": topic \"%s\" partition %d: the group is at offset %lld, state.dir \"%s\" "
            "is at epoch %lld without a position of it: bring the folder back; or begin anew with "
            "another application.id; or go on there with empty windows (state.missing=begin)",
            s->node->name, s->topics[p->topic], p->number, (long long)committed, dir,
            (long long)rt->epoch);
    evs__log(rt->ctx, EVS_LOG_WARNING, s->node->name,
             "topic \"%s\" partition %d: windows begin empty at the group's offset %lld%s",
             s->topics[p->topic], p->number, (long long)committed, dir ? "" : ": no state.dir");
    first_position(p, committed);
    return EVS_OK;
}

/* the group must not be further than the snapshot: what is between would be missing in the state */
static evs_status check_committed(evs__source *s, evs__partition *p, evs_error **reterr)
{
    int64_t committed = -1;
    evs_status status;

    if (s->fn->committed) {
        status = s->fn->committed(s->handle, p->topic, p->number, &committed, reterr);
        if (status)
            return status;
    }
    p->check_committed = false;
    if (committed <= 0 || committed <= p->now.offset)
        return EVS_OK;
    if (p->now.offset < 0)
        return state_is_missing(s, p, committed, reterr);
    return evs__fail(
        s->rt->ctx, reterr, EVS_ERR_STATE,
        "step \"%s\": topic \"%s\" partition %d: the snapshot of epoch %lld ends at "
        "offset %lld, the group is at %lld already: bring the newer state folder back, "
        "or begin anew without it and with another application.id",
        s->node->name, s->topics[p->topic], p->number, (long long)s->rt->epoch,
        (long long)p->now.offset, (long long)committed);
}

static evs_status after_changes(evs__source *s, int64_t now_ms, evs_error **reterr)
{
    evs_status status = EVS_OK;
    check_assignment(s, now_ms);
    for (uint32_t i = 0; !status && i < s->partition_count; i++) {
        evs__partition *p = &s->partitions[i];
        if (p->assigned && p->check_committed)
            status = check_committed(s, p, reterr);
    }
    s->changed = status != EVS_OK; /* asked again, and nothing is read before */
    return status;
}

static evs_status queue_read(evs__source *s, const evs_read *r, evs_error **reterr)
{
    evs__read_block *block;
    evs_status status;

    if (r->batch)
        return queue_batch(s, r, reterr);
    block = block_new(s, r->handle);
    if (!block) {
        block_release(s, r->handle);
        return evs__nomem(reterr);
    }
    status = queue_inputs(s, block, r, reterr);
    block_unref(block);
    return status;
}

/* what a read without changes of the assignment came to: when the next one is due */
static evs_status
after_read(evs__source *s, evs_status status, evs_error *e, int64_t now_ms, evs_error **reterr)
{
    if (status == EVS_AGAIN && is_partial(s))
        return wait_for_all(s, now_ms, reterr);
    s->trouble = evs_error_unref(s->trouble);
    if (status >= 0) {
        s->backoff_ms = 0;
        s->next_read_ms = status == EVS_OK ? now_ms : evs__time_add(now_ms, EVS__IDLE_POLL_MS);
        return status;
    }
    if (evs_error_is_retriable(e)) {
        s->trouble = e;
        s->next_read_ms = evs__time_add(now_ms, evs__next_backoff(s->rt, &s->backoff_ms));
        return EVS_AGAIN;
    }
    evs__node_prefix(s->node, &e);
    return evs__error_move(reterr, e);
}

evs_status evs__source_read(evs__source *s, size_t max, int64_t now_ms, evs_error **reterr)
{
    evs_error *e = NULL, *refusal = NULL;
    evs_read r = {0};
    evs_status status, changed = EVS_OK;

    atomic_store(&s->woken, false);
    /* to the end: the host looks at `trouble` meanwhile */
    pthread_mutex_lock(&s->lock);
    s->in_read = true;
    /* 0: only rebalances and their like are served */
    status = s->fn->read(s->handle, is_partial(s) || s->changed ? 0 : max, 0, &r, &e);
    s->in_read = false;
    if (s->changed)
        changed = after_changes(s, now_ms, &refusal);
    if (!status)
        status = queue_read(s, &r, &e);
    if (changed && status > 0 && evs_error_is_retriable(refusal)) {
        status = after_read(s, changed, refusal, now_ms, reterr);
    } else if (changed) {
        evs_error_unref(e);
        status = evs__error_move(reterr, refusal);
    } else {
        status = after_read(s, status, e, now_ms, reterr);
    }
    pthread_mutex_unlock(&s->lock);
    return status;
}

/* ---- positions ---- */

void evs__source_drop_runs(evs__source *s)
{
    for (uint32_t i = 0; i < s->partition_count; i++)
        drop_runs(&s->partitions[i]);
}

evs_status evs__source_seek_back(evs__source *s, evs_error **reterr)
{
    evs_status status = EVS_OK;

    evs__source_drop_runs(s);
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; !status && i < s->partition_count; i++) {
        evs__partition *p = &s->partitions[i];
        p->now = p->epoch;
        evs__partition_time_resume(&p->now.time);
        p->told_watermark = EVS_TIME_NONE;
        p->told_idle = false;
        if (!p->assigned || p->now.offset < 0)
            continue;
        if (!s->fn->seek)
            status = evs__fail(s->rt->ctx, reterr, EVS_ERR_UNSUPPORTED,
                               "connector \"%s\" cannot go back to an earlier position",
                               s->node->connector_name);
        else
            status = s->fn->seek(s->handle, p->topic, p->number, p->now.offset, reterr);
    }
    s->ended = false;
    s->next_read_ms = INT64_MIN;
    pthread_mutex_unlock(&s->lock);
    if (status)
        evs__node_prefix(s->node, reterr);
    return status;
}

evs_status evs__source_commit(evs__source *s, evs_error **reterr)
{
    evs_context *ctx = s->rt->ctx;
    size_t room = s->partition_count, count = 0;
    int64_t *offsets = NULL;
    uint32_t *topics = NULL;
    int32_t *numbers = NULL;
    evs_status status = EVS_OK;

    if (!s->fn->commit)
        return EVS_OK;
    offsets = evs__calloc(ctx, room, sizeof(*offsets));
    topics = evs__calloc(ctx, room, sizeof(*topics));
    numbers = evs__calloc(ctx, room, sizeof(*numbers));
    if (!offsets || !topics || !numbers) {
        status = evs__nomem(reterr);
        goto out;
    }
    for (uint32_t i = 0; i < s->partition_count; i++) {
        const evs__partition *p = &s->partitions[i];
        if (!p->assigned || p->now.offset < 0)
            continue;
        topics[count] = p->topic;
        numbers[count] = p->number;
        offsets[count++] = p->now.offset;
    }
    if (count) {
        pthread_mutex_lock(&s->lock);
        status = s->fn->commit(s->handle, topics, numbers, offsets, count, reterr);
        pthread_mutex_unlock(&s->lock);
    }
    if (status)
        evs__node_prefix(s->node, reterr);
out:
    evs__free(ctx, offsets);
    evs__free(ctx, topics);
    evs__free(ctx, numbers);
    return status;
}
