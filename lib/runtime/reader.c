/*
 * runtime/reader.c: from a run of one partition's events to rows with time, and into the flow.
 *
 *   run -> decode -> row shell (lease, origin, meta columns) -> event times -> watermark per row
 *       -> flow (stateless steps, windows, sinks) -> the partition's watermark to every shard
 *
 * The decoder's batch is shared into a shell of our own, so that the decoder can reuse its memory
 * as soon as nobody looks at the columns, and so that the lease ends with the shell. Nothing here
 * keeps state but the partition's position and time.
 */
#include "codec/codec.h"
#include "runtime/runtime.h"

/* ---- making ---- */

static evs_status row_type(evs__source *s, const evs_type **ret)
{
    const evs_type *wanted = s->node->wanted;
    evs_context *ctx = s->rt->ctx;
    evs__field *fields = evs__calloc(ctx, wanted->child_count + EVS__META_COUNT, sizeof(*fields));
    const evs_type *metas[EVS__META_COUNT] = {NULL};
    size_t count = wanted->child_count;
    evs_status status = EVS_OK;

    if (!fields)
        return EVS_ERR_NOMEM;
    memcpy(fields, wanted->children, count * sizeof(*fields));
    for (int m = 0; !status && m < EVS__META_COUNT; m++) {
        if (!(s->node->meta_mask & 1u << m))
            continue;
        status = evs__meta_type(ctx, s->node, (evs__meta)m, &metas[m]);
        fields[count++] = (evs__field){evs__meta_name((evs__meta)m), metas[m]};
    }
    if (!status)
        status = evs__type_struct(ctx, fields, count, false, ret);
    for (int m = 0; m < EVS__META_COUNT; m++)
        evs_type_unref(metas[m]);
    evs__free(ctx, fields);
    return status;
}

static evs_status init_source(evs__worker *w, evs__source *s, uint32_t i, evs_error **reterr)
{
    const char *time = evs_config_string(s->node->config, "event.time");
    evs_status status = row_type(s, &w->row_types[i]);

    if (status)
        return evs__nomem(reterr);
    if (time)
        status = evs__expr_new(w->rt->ctx, time, w->row_types[i], &w->times[i], reterr);
    if (!status)
        status = evs__decoder_new(w->rt->ctx, s->node->schema, s->node->wanted,
                                  evs_config_options(s->node->config), &w->decoders[i], reterr);
    if (!status)
        status = evs__flow_init(&w->flows[i], w->rt, s->node, w->row_types[i], NULL,
                                s->partition_count, reterr);
    return status;
}

evs_status evs__worker_init(evs__worker *w, evs_error **reterr)
{
    evs_context *ctx = w->rt->ctx;
    uint32_t n = w->rt->source_count;
    evs_status status = EVS_OK;

    w->flows = evs__calloc(ctx, n, sizeof(*w->flows));
    w->decoders = evs__calloc(ctx, n, sizeof(*w->decoders));
    w->times = evs__calloc(ctx, n, sizeof(*w->times));
    w->row_types = evs__calloc(ctx, n, sizeof(*w->row_types));
    if (!w->flows || !w->decoders || !w->times || !w->row_types)
        return evs__nomem(reterr);
    for (uint32_t i = 0; !status && i < n; i++) {
        status = init_source(w, &w->rt->sources[i], i, reterr);
        if (status)
            evs__node_prefix(w->rt->sources[i].node, reterr);
    }
    return status;
}

void evs__worker_free(evs__worker *w)
{
    evs_context *ctx = w->rt->ctx;
    for (uint32_t i = 0; i < w->rt->source_count; i++) {
        if (w->flows)
            evs__flow_free(&w->flows[i]);
        if (w->decoders)
            evs_decoder_unref(w->decoders[i]);
        if (w->times)
            evs__expr_free(w->times[i]);
        if (w->row_types)
            evs_type_unref(w->row_types[i]);
    }
    evs__free(ctx, w->flows);
    evs__free(ctx, w->decoders);
    evs__free(ctx, w->times);
    evs__free(ctx, (void *)w->row_types);
    w->flows = NULL;
    w->decoders = NULL;
    w->times = NULL;
    w->row_types = NULL;
}

/* ---- decoding ---- */

static void on_undecodable(size_t index, evs_status status, const char *message, void *user_data)
{
    const evs__run *run = user_data;
    const evs_input *in = &run->inputs[index];
    const evs__source *s = run->partition->source;
    const char *stage = status == EVS_ERR_SCHEMA ? EVS__STAGE_SCHEMA : EVS__STAGE_DECODE;
    evs__dead_letter_add(s->rt, s->node, in, NULL, 0, in->value ? stage : EVS__STAGE_DECODE, status,
                         in->value ? message : "null payload");
}

/* rows that went before the position: a batch that a restart cut through */
static evs_status skip_rows(const evs__run *run, evs_batch **batch)
{
    const evs_batch *b = *batch;
    int64_t skip = run->partition->now.offset - run->made[evs__batch_row_at(b, 0)].offset;
    evs_batch *rest = NULL;
    uint32_t *sel;
    evs_status status;

    if (skip <= 0)
        return EVS_OK;
    if (skip > b->count)
        skip = b->count;
    sel = evs__calloc(run->ctx, b->count - (size_t)skip + 1, sizeof(*sel));
    if (!sel)
        return EVS_ERR_NOMEM;
    for (uint32_t k = (uint32_t)skip; k < b->count; k++)
        sel[k - skip] = evs__batch_row_at(b, k);
    status = evs__batch_select(*batch, sel, b->count - (uint32_t)skip, &rest);
    evs__free(run->ctx, sel);
    if (status)
        return status;
    evs_batch_unref(*batch);
    *batch = rest;
    return EVS_OK;
}

/* the wanted columns of ready ones, by name */
static evs_status pick_columns(const evs__run *run, evs_batch **ret, evs_error **reterr)
{
    const evs_type *wanted = run->partition->source->node->wanted;
    const evs_batch *in = run->batch;
    evs_batch *b = NULL;
    evs_status status = evs__batch_like(in, wanted, &b);

    for (uint32_t i = 0; !status && i < wanted->child_count; i++) {
        const evs__field *f = &wanted->children[i];
        int32_t at = evs_type_field_index(in->type, f->name, strlen(f->name));
        if (at < 0 || !evs__type_same_shape(in->type->children[at].type, f->type)) {
            evs_batch_unref(b);
            return evs__fail(run->ctx, reterr, EVS_ERR_TYPE,
                             "rows of %s were pushed, column \"%s\" of %s is needed",
                             evs_type_print(in->type), f->name, evs_type_print(f->type));
        }
        b->columns[i] = evs__column_ref(in->columns[at]);
    }
    if (!status)
        status = evs__batch_need_origin(b);
    for (uint32_t r = 0; !status && r < b->rows; r++)
        b->origin[r] = r;
    if (!status)
        status = skip_rows(run, &b);
    if (status) {
        evs_batch_unref(b);
        return evs__nomem(reterr);
    }
    *ret = b;
    return EVS_OK;
}

static evs_status
decode(evs__worker *w, evs__run *run, uint32_t source, evs_batch **ret, evs_error **reterr)
{
    evs_batch *decoded = NULL;
    evs_batch *b = NULL;
    evs_status status;

    if (run->batch)
        return pick_columns(run, ret, reterr);
    if (run->inputs[0].offset < run->partition->now.offset)
        return evs__fail(run->ctx, reterr, EVS_ERR_STATE,
                         "partition %d went back to offset %lld, %lld is expected",
                         run->partition->number, (long long)run->inputs[0].offset,
                         (long long)run->partition->now.offset);
    status = evs__decoder_run(w->decoders[source], run->inputs, run->count, on_undecodable, run,
                              &decoded, reterr);
    if (status)
        return status;
    status = evs__batch_like(decoded, decoded->type, &b);
    for (uint32_t i = 0; !status && i < b->column_count; i++)
        b->columns[i] = evs__column_ref(decoded->columns[i]);
    evs_batch_unref(decoded);
    if (status)
        return evs__nomem(reterr);
    *ret = b;
    return EVS_OK;
}

/* ---- time ---- */

static evs_status record_times(evs_batch *b)
{
    evs_status status = EVS_OK;
    /* ready columns bring their own */
    if (b->times)
        return EVS_OK;
    status = evs__batch_need_times(b);
    for (uint32_t k = 0; !status && k < b->count; k++) {
        uint32_t row = evs__batch_row_at(b, k);
        int64_t t = b->lease->inputs[b->origin[row]].timestamp;
        b->times[row] = t < 0 ? EVS_TIME_NONE : t;
    }
    return status;
}

static evs_status set_times(evs__worker *w,
                            evs__partition *p,
                            uint32_t source,
                            evs_batch *b,
                            const evs__out *out,
                            int64_t now_ms,
                            evs_error **reterr)
{
    evs_status status;
    if (w->times[source])
        status = evs__event_times(p->source, w->times[source], b, out, reterr);
    else if ((status = record_times(b)))
        evs__nomem(reterr);
    if (!status)
        status =
            evs__partition_time_observe(&p->now.time, &p->source->time, b, now_ms, out, reterr);
    return status;
}

/* the partition's time to the stages behind it, when it changed */
static evs_status tell_time(evs__partition *p, int64_t now_ms, evs_error **reterr)
{
    const evs__partition_time *t = &p->now.time;
    atomic_store(&p->seen_watermark, t->watermark);
    atomic_store(&p->seen_idle, t->idle);
    if (t->watermark == p->told_watermark && t->idle == p->told_idle)
        return EVS_OK;
    if (t->watermark != p->told_watermark)
        atomic_store(&p->moved_ms, now_ms);
    p->told_watermark = t->watermark;
    p->told_idle = t->idle;
    return evs__flow_advance(p->source->rt, p->source->node, p->slot, t->watermark, t->idle, now_ms,
                             reterr);
}

/* ---- one run ---- */

static void measure(const evs__run *run, int64_t now_ms)
{
    const evs__partition *p = run->partition;
    evs__runtime *rt = p->source->rt;
    const evs_input *last = &run->inputs[run->count - 1];
    uint64_t bytes = 0;

    for (size_t i = 0; i < run->count; i++)
        bytes += run->inputs[i].value ? run->inputs[i].value_len : 0;
    evs__metric_add(p->events, run->batch ? run->batch->count : run->count);
    evs__metric_add(p->bytes, bytes);
    evs__metric_add(rt->batches, 1);
    evs__metric_observe(rt->batch_rows, (double)run->count);
    if (last->timestamp >= 0 && last->timestamp <= now_ms)
        evs__metric_observe(rt->latency, (double)(now_ms - last->timestamp) / 1000.0);
    if (p->now.time.watermark > EVS_TIME_NONE && p->now.time.watermark < INT64_MAX) {
        evs__metric_set(p->watermark, (double)p->now.time.watermark / 1000.0);
        evs__metric_set(p->event_lag, (double)(now_ms - p->now.time.watermark) / 1000.0);
    }
}

static int64_t end_of_run(const evs__run *run)
{
    if (run->batch)
        return run->made[evs__batch_row_at(run->batch, run->batch->count - 1)].offset + 1;
    return run->inputs[run->count - 1].offset + 1;
}

static evs_status
process_rows(evs__worker *w, evs__run *run, evs_batch *b, int64_t now_ms, evs_error **reterr)
{
    evs__partition *p = run->partition;
    evs__source *s = p->source;
    uint32_t i = (uint32_t)(s - w->rt->sources);
    evs__hop hop = {&w->flows[i], s->node, now_ms};
    evs__out out = evs__hop_out(&hop);
    evs_batch *rows = NULL;
    evs_status status;

    b->lease = evs__lease_ref(&run->lease);
    b->slot = p->slot;
    status = evs__meta_columns(s, w->row_types[i], b, &out, &rows, reterr);
    if (!status)
        status = set_times(w, p, i, rows, &out, now_ms, reterr);
    if (status)
        evs__node_prefix(s->node, reterr);
    else if (rows->count)
        status = evs__flow_push(&w->flows[i], s->node, rows, now_ms, reterr);
    evs_batch_unref(rows);
    return status;
}

evs_status evs__worker_process(evs__worker *w, evs__run *run, int64_t now_ms, evs_error **reterr)
{
    evs__partition *p = run->partition;
    evs__source *s = p->source;
    evs_batch *b = NULL;
    evs_status status = decode(w, run, (uint32_t)(s - w->rt->sources), &b, reterr);

    if (status)
        evs__node_prefix(s->node, reterr);
    else if (b->rows)
        status = process_rows(w, run, b, now_ms, reterr);
    evs_batch_unref(b);
    if (!status)
        status = tell_time(p, now_ms, reterr);
    if (!status)
        status = evs__dead_letters_flush(w->rt, now_ms, reterr);
    if (status)
        return status;
    p->now.offset = end_of_run(run);
    atomic_store(&w->rt->dirty, true);
    measure(run, now_ms);
    return EVS_OK;
}

/* ---- quiet partitions ---- */

/* ask the connector how a partition stands */
static bool look(evs__partition *p, int64_t *ret_end)
{
    evs__source *s = p->source;
    evs_partition_state state;

    pthread_mutex_lock(&s->lock);
    *ret_end = s->fn->end_offset ? s->fn->end_offset(s->handle, p->topic, p->number) : -1;
    state = s->fn->partition_state(s->handle, p->topic, p->number);
    pthread_mutex_unlock(&s->lock);
    return state == EVS_PARTITION_AT_END && !s->ended && !p->paused;
}

/* nobody else has the partition */
static evs_status
tick(evs__partition *p, bool anew, int64_t now_ms, int64_t *ret_next, evs_error **reterr)
{
    evs__source *s = p->source;
    int64_t end, next, offset, unheard;
    bool at_end = look(p, &end), changed;

    pthread_mutex_lock(&s->rt->lock);
    p->at_end = at_end;
    offset = p->now.offset;
    unheard = s->rt->unheard_ms;
    pthread_mutex_unlock(&s->rt->lock);
    changed = evs__partition_time_tick(&p->now.time, &s->time, at_end && !anew, now_ms - unheard);

    if (end >= 0 && offset >= 0)
        evs__metric_set(p->lag, (double)(end - offset));
    next = evs__time_add(evs__partition_time_next_ms(&p->now.time, &s->time), unheard);
    if (next < *ret_next)
        *ret_next = next;
    if (!changed)
        return EVS_OK;
    atomic_store(&s->rt->dirty, true);
    return tell_time(p, now_ms, reterr);
}

evs_status evs__partitions_tick(
    evs__runtime *rt, bool anew, int64_t now_ms, int64_t *ret_next, evs_error **reterr)
{
    evs_status status = EVS_OK;

    *ret_next = INT64_MAX;
    for (uint32_t i = 0; !status && i < rt->source_count; i++) {
        evs__source *s = &rt->sources[i];
        for (uint32_t k = 0; !status && k < s->partition_count; k++) {
            evs__partition *p = &s->partitions[k];
            bool mine;
            pthread_mutex_lock(&rt->lock);
            mine = p->assigned && !p->busy && !p->head;
            p->busy = p->busy || mine;
            pthread_mutex_unlock(&rt->lock);
            if (!mine)
                continue;
            status = tick(p, anew, now_ms, ret_next, reterr);
            evs__partition_done(p);
        }
    }
    return status;
}
