/*
 * runtime/stage.c: a step with state and time (window, dedup ...) at work: its shards, and the
 * exchange in front of them.
 *
 *   batch --hash of the keys--> selection vectors, one a shard --lock shard--> operator --> flow
 *
 * Rows are not copied: each shard sees the same batch through a view of its own with another
 * selection. The view lives on the stack, so its operator must not keep its input (it gathers
 * what it keeps). The number of shards is an option and part of the state's layout; it has nothing
 * to do with workers. A source whose events are partitioned by the grouping key needs no exchange:
 * there is a shard a partition, each with a single slot.
 *
 * Time: after each batch the partition's watermark is told to every shard, also when no row of it
 * went there; a shard tells its own, which is the minimum over its slots, to the stages behind it.
 *
 * Cost a row: its hash and 8 bytes of selection; a batch costs a lock and a call a shard.
 */
#include "base/hash.h"
#include "runtime/runtime.h"

#define SHARD_SEED UINT64_C(0x5eed0f5a4d5)

/* ---- making ---- */

static evs_status shard_init(evs__stage *stage, uint32_t index, evs_error **reterr)
{
    evs__shard *s = &stage->shards[index];
    evs_status status;

    s->stage = stage;
    s->index = index;
    s->told_watermark = EVS_TIME_NONE;
    status = evs__plan_make_operator(stage->node, stage->in_type,
                                     stage->in_place ? 1 : stage->slots, &s->op, reterr);
    if (!status)
        status = evs__flow_init(&s->flow, stage->rt, stage->node, s->op->out_type, s->op->late_type,
                                stage->shard_count, reterr);
    s->flow.slot = index;
    return status;
}

evs_status evs__stage_new(
    evs__runtime *rt, const evs__node *node, const evs_type *in, uint32_t slots, evs_error **reterr)
{
    const char *name = node->name;
    evs__stage *stage = evs__calloc(rt->ctx, 1, sizeof(*stage));
    uint32_t count;
    evs_status status = EVS_OK;

    if (!stage)
        return evs__nomem(reterr);
    rt->stages[node->index] = stage;
    stage->rt = rt;
    stage->node = node;
    stage->in_type = evs_type_ref(in);
    stage->slots = slots;
    stage->in_place = node->in_place;
    count =
        stage->in_place ? slots : (uint32_t)evs_config_int(rt->plan->config, "exchange.partitions");
    if (!*node->text)
        count = 1; /* one group */
    stage->late = evs__metrics_add(&rt->metrics, EVS__METRIC_LATE, "step", name, NULL);
    stage->state_bytes =
        evs__metrics_add(&rt->metrics, EVS__METRIC_STATE_BYTES, "step", name, NULL);
    stage->open_windows =
        evs__metrics_add(&rt->metrics, EVS__METRIC_OPEN_WINDOWS, "step", name, NULL);
    stage->keys = evs__metrics_add(&rt->metrics, EVS__METRIC_KEYS, "step", name, NULL);
    stage->shards = evs__calloc(rt->ctx, count, sizeof(*stage->shards));
    if (!stage->shards || !stage->late || !stage->state_bytes || !stage->open_windows ||
        !stage->keys)
        return evs__nomem(reterr);
    /* all of them before the first is made: a window behind has a slot for each */
    stage->shard_count = count;
    for (uint32_t i = 0; i < count; i++)
        pthread_mutex_init(&stage->shards[i].lock, NULL);
    for (uint32_t i = 0; !status && i < count; i++)
        status = shard_init(stage, i, reterr);
    return status;
}

void evs__stage_free(evs__stage *stage)
{
    evs_context *ctx;
    if (!stage)
        return;
    ctx = stage->rt->ctx;
    for (uint32_t i = 0; i < stage->shard_count; i++) {
        evs__shard *s = &stage->shards[i];
        evs__operator_free(s->op);
        evs__flow_free(&s->flow);
        pthread_mutex_destroy(&s->lock);
    }
    evs__free(ctx, stage->shards);
    evs_type_unref(stage->in_type);
    evs__free(ctx, stage);
}

/* ---- one shard, under its lock ---- */

/*
 * What a call of the operator may have changed: its time, for the stages behind it. A shard that is
 * one partition is idle when that is; one behind an exchange has the time of all partitions.
 */
static evs_status
shard_tell(evs__shard *s, evs_status status, bool idle, int64_t now_ms, evs_error **reterr)
{
    int64_t watermark;
    if (status)
        return status;
    watermark = s->op->fn->watermark(s->op);
    idle = idle && s->stage->in_place;
    if (watermark <= s->told_watermark && idle == s->told_idle)
        return EVS_OK;
    if (watermark > s->told_watermark)
        s->told_watermark = watermark;
    s->told_idle = idle;
    return evs__flow_advance(s->stage->rt, s->stage->node, s->index, s->told_watermark, idle,
                             now_ms, reterr);
}

static void prefix(const evs__stage *stage, evs_status status, evs_error **reterr)
{
    if (status < 0)
        evs__node_prefix(stage->node, reterr);
}

static evs_status shard_process(evs__shard *s,
                                const evs_batch *batch,
                                uint32_t *sel,
                                uint32_t count,
                                int64_t now_ms,
                                evs_error **reterr)
{
    evs__hop hop = {&s->flow, s->stage->node, now_ms};
    evs__out out = evs__hop_out(&hop);
    evs_batch view = {.ctx = batch->ctx,
                      .type = batch->type,
                      .rows = batch->rows,
                      .count = count,
                      .sel = sel,
                      .column_count = batch->column_count,
                      .aux_capacity = batch->aux_capacity,
                      .columns = batch->columns,
                      .times = batch->times,
                      .kinds = batch->kinds,
                      .origin = batch->origin,
                      .lease = batch->lease,
                      .slot = s->stage->in_place ? 0 : batch->slot,
                      .row_watermark = batch->row_watermark};
    evs_status status;

    atomic_init(&view.refs, 1);
    pthread_mutex_lock(&s->lock);
    status = s->op->fn->process(s->op, &view, now_ms, &out, reterr);
    prefix(s->stage, status, reterr);
    status = shard_tell(s, status, false, now_ms, reterr);
    pthread_mutex_unlock(&s->lock);
    return status;
}

static evs_status shard_advance(
    evs__shard *s, uint32_t slot, int64_t watermark, bool idle, int64_t now_ms, evs_error **reterr)
{
    evs__hop hop = {&s->flow, s->stage->node, now_ms};
    evs__out out = evs__hop_out(&hop);
    evs_status status;

    pthread_mutex_lock(&s->lock);
    status = s->op->fn->advance(s->op, slot, watermark, idle, now_ms, &out, reterr);
    prefix(s->stage, status, reterr);
    status = shard_tell(s, status, idle, now_ms, reterr);
    pthread_mutex_unlock(&s->lock);
    return status;
}

/* ---- the exchange ---- */

static evs_status scratch(evs__flow *f, uint32_t count, uint32_t shards)
{
    evs_context *ctx = f->rt->ctx;
    uint64_t *hashes;
    uint32_t *sel, *counts;

    if (count <= f->capacity)
        return EVS_OK;
    if (count < EVS_BATCH_ROWS_MAX)
        count = EVS_BATCH_ROWS_MAX;
    hashes = evs__realloc_array(ctx, f->hashes, count, sizeof(*hashes));
    if (hashes)
        f->hashes = hashes;
    sel = evs__realloc_array(ctx, f->sel, count, sizeof(*sel));
    if (sel)
        f->sel = sel;
    /* an exchange behind a shard may have another width than the one before: the widest there is */
    if (shards < 1025)
        shards = 1025;
    counts = evs__realloc_array(ctx, f->counts, shards, sizeof(*counts));
    if (counts)
        f->counts = counts;
    if (!hashes || !sel || !counts)
        return EVS_ERR_NOMEM;
    f->capacity = count;
    return EVS_OK;
}

/* the shard is taken from the upper bits of a hash of the hash: tables inside use the hash itself
 */
static uint32_t shard_of(uint64_t hash, uint32_t shards)
{
    return (uint32_t)(((evs__hash_u64(hash, SHARD_SEED) >> 32) * shards) >> 32);
}

/* rows grouped by shard in f->sel, in order within each; f->counts[i] is where shard i's end */
static void scatter(evs__flow *f, const evs_batch *b, uint32_t shards)
{
    uint32_t *ends = f->counts;
    uint32_t at = 0;

    memset(ends, 0, shards * sizeof(*ends));
    for (uint32_t k = 0; k < b->count; k++) {
        f->hashes[k] = shard_of(f->hashes[k], shards);
        ends[f->hashes[k]]++;
    }
    for (uint32_t i = 0; i < shards; i++) {
        uint32_t n = ends[i];
        ends[i] = at;
        at += n;
    }
    for (uint32_t k = 0; k < b->count; k++)
        f->sel[ends[f->hashes[k]]++] = evs__batch_row_at(b, k);
}

evs_status evs__stage_send(
    evs__flow *from, evs__stage *stage, evs_batch *batch, int64_t now_ms, evs_error **reterr)
{
    evs__key_hasher *hasher = from->hashers[stage->node->index];
    uint32_t begin = 0;
    evs_status status;

    if (!hasher)
        return shard_process(&stage->shards[stage->in_place ? batch->slot : 0], batch, batch->sel,
                             batch->count, now_ms, reterr);
    if (scratch(from, batch->count, stage->shard_count))
        return evs__nomem(reterr);
    status = evs__key_hasher_run(hasher, batch, from->hashes, reterr);
    if (status)
        return status;
    scatter(from, batch, stage->shard_count);
    for (uint32_t i = 0; !status && i < stage->shard_count; i++) {
        uint32_t end = from->counts[i];
        if (end > begin)
            status = shard_process(&stage->shards[i], batch, from->sel + begin, end - begin, now_ms,
                                   reterr);
        begin = end;
    }
    return status;
}

evs_status evs__stage_advance(evs__stage *stage,
                              uint32_t slot,
                              int64_t watermark,
                              bool idle,
                              int64_t now_ms,
                              evs_error **reterr)
{
    evs_status status = EVS_OK;
    if (stage->in_place)
        return shard_advance(&stage->shards[slot], 0, watermark, idle, now_ms, reterr);
    for (uint32_t i = 0; !status && i < stage->shard_count; i++)
        status = shard_advance(&stage->shards[i], slot, watermark, idle, now_ms, reterr);
    return status;
}

/* ---- all stages ---- */

void evs__shard_restored(evs__shard *s)
{
    uint32_t slots = s->stage->in_place ? 1 : s->stage->slots;
    s->told_watermark = EVS_TIME_NONE;
    s->told_idle = false;
    /* without a receiver nothing is given out, and a watermark from before everything moves none */
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < slots; i++)
        s->op->fn->advance(s->op, i, EVS_TIME_NONE, false, 0, NULL, NULL);
    pthread_mutex_unlock(&s->lock);
}

static evs_status shard_flush(evs__shard *s, int64_t now_ms, evs_error **reterr)
{
    evs__hop hop = {&s->flow, s->stage->node, now_ms};
    evs__out out = evs__hop_out(&hop);
    evs_status status = EVS_OK;

    pthread_mutex_lock(&s->lock);
    if (s->op->fn->flush)
        status = s->op->fn->flush(s->op, now_ms, &out, reterr);
    prefix(s->stage, status, reterr);
    pthread_mutex_unlock(&s->lock);
    return status;
}

evs_status evs__stages_flush(evs__runtime *rt, int64_t now_ms, evs_error **reterr)
{
    evs_status status = EVS_OK;
    /* in the order of the plan: what one stage gives is in the next before that is flushed */
    for (uint32_t n = 0; n < rt->plan->node_count; n++) {
        evs__stage *stage = rt->stages[n];
        for (uint32_t i = 0; stage && !status && i < stage->shard_count; i++)
            status = shard_flush(&stage->shards[i], now_ms, reterr);
    }
    if (!status)
        status = evs__dead_letters_flush(rt, now_ms, reterr);
    return status;
}

static evs_status shard_end(evs__shard *s, int64_t now_ms, evs_error **reterr)
{
    evs__hop hop = {&s->flow, s->stage->node, now_ms};
    evs__out out = evs__hop_out(&hop);
    evs_status status;

    if (!s->op->fn->end)
        return EVS_OK;
    pthread_mutex_lock(&s->lock);
    status = s->op->fn->end(s->op, now_ms, &out, reterr);
    prefix(s->stage, status, reterr);
    status = shard_tell(s, status, s->told_idle, now_ms, reterr);
    pthread_mutex_unlock(&s->lock);
    return status;
}

evs_status evs__stages_end(evs__runtime *rt, int64_t now_ms, evs_error **reterr)
{
    evs_status status = EVS_OK;
    for (uint32_t n = 0; n < rt->plan->node_count; n++) {
        evs__stage *stage = rt->stages[n];
        for (uint32_t i = 0; stage && !status && i < stage->shard_count; i++)
            status = shard_end(&stage->shards[i], now_ms, reterr);
    }
    if (!status)
        status = evs__dead_letters_flush(rt, now_ms, reterr);
    atomic_store(&rt->dirty, true);
    return status;
}

static evs_status shard_tick(evs__shard *s, int64_t now_ms, int64_t *ret_next, evs_error **reterr)
{
    evs__hop hop = {&s->flow, s->stage->node, now_ms};
    evs__out out = evs__hop_out(&hop);
    int64_t next;
    evs_status status = EVS_OK;

    if (!s->op->fn->next_ms)
        return EVS_OK;
    pthread_mutex_lock(&s->lock);
    next = s->op->fn->next_ms(s->op);
    if (next <= now_ms) {
        /* a watermark from before everything moves no slot: only the clock counts */
        status = s->op->fn->advance(s->op, 0, EVS_TIME_NONE, false, now_ms, &out, reterr);
        prefix(s->stage, status, reterr);
        status = shard_tell(s, status, s->told_idle, now_ms, reterr);
        next = s->op->fn->next_ms(s->op);
        atomic_store(&s->stage->rt->dirty, true);
    }
    pthread_mutex_unlock(&s->lock);
    if (next < *ret_next)
        *ret_next = next;
    return status;
}

evs_status evs__stages_tick(evs__runtime *rt, int64_t now_ms, int64_t *ret_next, evs_error **reterr)
{
    evs_status status = EVS_OK;
    *ret_next = INT64_MAX;
    for (uint32_t n = 0; n < rt->plan->node_count; n++) {
        evs__stage *stage = rt->stages[n];
        for (uint32_t i = 0; stage && !status && i < stage->shard_count; i++)
            status = shard_tick(&stage->shards[i], now_ms, ret_next, reterr);
    }
    return status;
}

void evs__stages_reset(evs__runtime *rt)
{
    for (uint32_t n = 0; n < rt->plan->node_count; n++) {
        evs__stage *stage = rt->stages[n];
        for (uint32_t i = 0; stage && i < stage->shard_count; i++) {
            pthread_mutex_lock(&stage->shards[i].lock);
            if (stage->shards[i].op->fn->reset)
                stage->shards[i].op->fn->reset(stage->shards[i].op);
            pthread_mutex_unlock(&stage->shards[i].lock);
            evs__shard_restored(&stage->shards[i]);
        }
    }
}

void evs__stages_measure(evs__runtime *rt)
{
    for (uint32_t n = 0; n < rt->plan->node_count; n++) {
        evs__stage *stage = rt->stages[n];
        double bytes = 0, windows = 0, keys = 0;
        for (uint32_t i = 0; stage && i < stage->shard_count; i++) {
            const evs__operator *op = stage->shards[i].op;
            pthread_mutex_lock(&stage->shards[i].lock);
            bytes += (double)op->fn->counter(op, "state_bytes");
            windows += (double)op->fn->counter(op, "open_windows");
            keys += (double)op->fn->counter(op, "keys");
            pthread_mutex_unlock(&stage->shards[i].lock);
        }
        if (stage) {
            evs__metric_set(stage->state_bytes, bytes);
            evs__metric_set(stage->open_windows, windows);
            evs__metric_set(stage->keys, keys);
        }
    }
}
