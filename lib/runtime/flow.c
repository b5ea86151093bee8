/*
 * runtime/flow.c: one instance of the stateless operators behind a source (one a worker) or behind
 * a shard of a window (one a shard), and the way of a batch through them.
 *
 *      node --outputs--> filter ... -> process, emit -> push on
 *                        window     -> stage (exchange)
 *                        sink, each -> leaves the engine
 *                        late       -> takes the window's second port
 *
 * A batch goes depth first, so the stack is as deep as the plan. Operators of a flow are used by
 * one thread at a time: the worker's, or whoever holds the shard's lock.
 */
#include <stdio.h>

#include "base/time.h"
#include "runtime/runtime.h"

/* ---- making ---- */

static evs_status add_operator(
    evs__flow *f, const evs__node *n, const evs_type *in, uint32_t slots, evs_error **reterr);

static evs_status add_outputs(
    evs__flow *f, const evs__node *n, const evs_type *in, uint32_t slots, evs_error **reterr)
{
    evs_status status = EVS_OK;
    for (uint32_t i = 0; !status && i < n->output_count; i++)
        status = add_operator(f, n->outputs[i], in, slots, reterr);
    return status;
}

static evs_status
add_stage(evs__flow *f, const evs__node *n, const evs_type *in, uint32_t slots, evs_error **reterr)
{
    evs__runtime *rt = f->rt;
    evs_status status = EVS_OK;

    if (!rt->stages[n->index])
        status = evs__stage_new(rt, n, in, slots, reterr);
    if (!status && rt->stages[n->index]->shard_count > 1 && !rt->stages[n->index]->in_place)
        status = evs__key_hasher_new(rt->ctx, in, n->text, &f->hashers[n->index], reterr);
    return status;
}

/* of a step that drops rows on purpose; made by the first flow that has it */
static evs_status need_left_out(evs__runtime *rt, const evs__node *n, evs_error **reterr)
{
    evs__metric **m = &rt->left_out[n->index];

    if (n->kind != EVS__NODE_SAMPLE && n->kind != EVS__NODE_DEDUP && n->kind != EVS__NODE_LIMIT)
        return EVS_OK;
    if (!*m)
        *m = evs__metrics_add(&rt->metrics, EVS__METRIC_LEFT_OUT, "step", n->name, NULL);
    return *m ? EVS_OK : evs__nomem(reterr);
}

static evs_status add_operator(
    evs__flow *f, const evs__node *n, const evs_type *in, uint32_t slots, evs_error **reterr)
{
    evs__operator *op = NULL;
    evs_status status = need_left_out(f->rt, n, reterr);

    if (status)
        return status;
    switch (n->kind) {
    case EVS__NODE_FILTER:
    case EVS__NODE_PROJECT:
    case EVS__NODE_EXPLODE:
    case EVS__NODE_APPLY:
    case EVS__NODE_SAMPLE:
        status = evs__plan_make_operator(n, in, slots, &op, reterr);
        f->ops[n->index] = op;
        if (!status)
            status = add_outputs(f, n, op->out_type, slots, reterr);
        return status;
    case EVS__NODE_DEDUP:
    case EVS__NODE_LIMIT:
    case EVS__NODE_TOP:
    case EVS__NODE_WINDOW:
        return add_stage(f, n, in, slots, reterr);
    default:
        return EVS_OK; /* late: the shard makes what is behind it */
    }
}

evs_status evs__flow_init(evs__flow *f,
                          evs__runtime *rt,
                          const evs__node *node,
                          const evs_type *in,
                          const evs_type *late,
                          uint32_t slots,
                          evs_error **reterr)
{
    uint32_t n = rt->plan->node_count;
    evs_status status;

    f->rt = rt;
    f->ops = evs__calloc(rt->ctx, n, sizeof(*f->ops));
    f->hashers = evs__calloc(rt->ctx, n, sizeof(*f->hashers));
    if (!f->ops || !f->hashers)
        return evs__nomem(reterr);
    status = add_outputs(f, node, in, slots, reterr);
    for (uint32_t i = 0; !status && late && i < node->output_count; i++) {
        if (node->outputs[i]->kind == EVS__NODE_LATE)
            status = add_outputs(f, node->outputs[i], late, slots, reterr);
    }
    return status;
}

void evs__flow_free(evs__flow *f)
{
    evs_context *ctx;
    if (!f->rt)
        return;
    ctx = f->rt->ctx;
    for (uint32_t i = 0; i < f->rt->plan->node_count; i++) {
        if (f->ops)
            evs__operator_free(f->ops[i]);
        if (f->hashers)
            evs__key_hasher_free(f->hashers[i]);
    }
    evs__free(ctx, f->ops);
    evs__free(ctx, f->hashers);
    evs__free(ctx, f->hashes);
    evs__free(ctx, f->sel);
    evs__free(ctx, f->counts);
    *f = (evs__flow){0};
}

/* ---- what operators report ---- */

/* rows that nobody takes: what was late about each stands behind the event's own columns */
static void late_letters(evs__hop *hop, const evs_batch *batch)
{
    /* window_start, window_end, two counts, lateness, watermark */
    uint32_t behind = hop->flow->rt->stages[hop->node->index]->in_type->child_count;
    const int64_t *ends = batch->columns[behind + 1]->i64;
    const int64_t *marks = batch->columns[behind + 5]->i64;
    char message[160], end_text[EVS__TIME_TEXT_MAX + 1], mark_text[EVS__TIME_TEXT_MAX + 1];

    for (uint32_t k = 0; k < batch->count; k++) {
        uint32_t row = evs__batch_row_at(batch, k);
        end_text[evs__time_format(ends[row], end_text)] = '\0';
        mark_text[evs__time_format(marks[row], mark_text)] = '\0';
        snprintf(message, sizeof(message), "its window ended at %s, the watermark is at %s",
                 end_text, mark_text);
        evs__dead_letter_add(hop->flow->rt, hop->node, NULL, batch, row, EVS__STAGE_LATE,
                             EVS_ERR_TIME, message);
    }
}

static evs_status on_emit(void *user, int port, evs_batch *batch, evs_error **reterr)
{
    evs__hop *hop = user;
    const evs__node *late;

    if (!batch->count)
        return EVS_OK;
    if (evs__node_is_staged(hop->node) && port == EVS__PORT_MAIN)
        batch->slot = hop->flow->slot;
    if (port == EVS__PORT_MAIN)
        return evs__flow_push(hop->flow, hop->node, batch, hop->now_ms, reterr);
    evs__metric_add(hop->flow->rt->stages[hop->node->index]->late, batch->count);
    late = evs__node_late(hop->node);
    if (late)
        return evs__flow_push(hop->flow, late, batch, hop->now_ms, reterr);
    late_letters(hop, batch);
    return EVS_OK;
}

static void on_reject(void *user,
                      const evs_batch *batch,
                      uint32_t row,
                      const char *stage,
                      evs_status status,
                      const char *message)
{
    const evs__hop *hop = user;
    evs__dead_letter_add(hop->flow->rt, hop->node, NULL, batch, row, stage, status, message);
}

static void on_counted(void *user, uint32_t left_out, uint32_t late)
{
    const evs__hop *hop = user;
    const evs__runtime *rt = hop->flow->rt;

    if (left_out)
        evs__metric_add(rt->left_out[hop->node->index], left_out);
    if (late)
        evs__metric_add(rt->stages[hop->node->index]->late, late);
}

evs__out evs__hop_out(evs__hop *hop)
{
    return (evs__out){hop, on_emit, on_reject, on_counted};
}

/* ---- the way of a batch ---- */

static evs_status
deliver_each(evs__runtime *rt, const evs__node *n, const evs_batch *batch, evs_error **reterr)
{
    evs_status status = EVS_OK;

    pthread_mutex_lock(&rt->each_lock);
    for (uint32_t k = 0; !status && k < batch->count; k++) {
        evs_row row = {.batch = batch, .index = evs__batch_row_at(batch, k)};
        status = n->each(&row, n->user_data);
    }
    pthread_mutex_unlock(&rt->each_lock);
    if (status)
        return evs__fail(rt->ctx, reterr, EVS_ERR_CALLBACK, "step \"%s\": the function returned %s",
                         n->name, evs_status_name(status));
    return EVS_OK;
}

static evs__sink *sink_of(evs__runtime *rt, const evs__node *n)
{
    for (uint32_t i = 0; i < rt->sink_count; i++) {
        if (rt->sinks[i].node == n)
            return &rt->sinks[i];
    }
    return NULL;
}

static evs_status
deliver(evs__flow *f, const evs__node *n, evs_batch *batch, int64_t now_ms, evs_error **reterr)
{
    evs__hop hop = {f, n, now_ms};
    evs__out out = evs__hop_out(&hop);
    evs_status status;

    switch (n->kind) {
    case EVS__NODE_LATE:
        return EVS_OK;
    case EVS__NODE_SINK:
        return evs__sink_put(sink_of(f->rt, n), batch, now_ms, reterr);
    case EVS__NODE_EACH:
        return deliver_each(f->rt, n, batch, reterr);
    case EVS__NODE_DEDUP:
    case EVS__NODE_LIMIT:
    case EVS__NODE_TOP:
    case EVS__NODE_WINDOW:
        return evs__stage_send(f, f->rt->stages[n->index], batch, now_ms, reterr);
    default:
        status = f->ops[n->index]->fn->process(f->ops[n->index], batch, now_ms, &out, reterr);
        if (status < 0)
            evs__node_prefix(n, reterr);
        return status;
    }
}

evs_status evs__flow_push(
    evs__flow *f, const evs__node *node, evs_batch *batch, int64_t now_ms, evs_error **reterr)
{
    evs_status status = EVS_OK;
    for (uint32_t i = 0; !status && i < node->output_count; i++)
        status = deliver(f, node->outputs[i], batch, now_ms, reterr);
    return status;
}

evs_status evs__flow_advance(evs__runtime *rt,
                             const evs__node *node,
                             uint32_t slot,
                             int64_t watermark,
                             bool idle,
                             int64_t now_ms,
                             evs_error **reterr)
{
    evs_status status = EVS_OK;
    for (uint32_t i = 0; !status && i < node->output_count; i++) {
        const evs__node *n = node->outputs[i];
        if (evs__node_is_staged(n))
            status =
                evs__stage_advance(rt->stages[n->index], slot, watermark, idle, now_ms, reterr);
        else if (n->kind != EVS__NODE_LATE && n->output_count)
            status = evs__flow_advance(rt, n, slot, watermark, idle, now_ms, reterr);
    }
    return status;
}
