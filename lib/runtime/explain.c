/*
 * runtime/explain.c: why a window is open, in terms of partitions.
 *
 *   operator (facts of a shard) --slot--> partition: source, topic, number, since when it stands
 *                                    \--> shard of the window before it
 *
 * The operator knows slots only; who they are and how long they have stood still is known here. It
 * looks at a running pipeline from outside: times of partitions through atomics, the rest under the
 * locks of shards and of scheduling. Costs a pass over the slots of each shard; for people, not for
 * a loop.
 */
#include "runtime/runtime.h"

typedef struct explaining {
    const evs__shard *shard;
    const evs__source *source; /* NULL: slots are shards of `window`, a staged step */
    const evs__node *window;
    int64_t now_ms;
} explaining;

/* where the rows of a stage come from */
static void find_origin(explaining *e, const evs__stage *stage)
{
    const evs__node *root = evs__node_root(stage->node);
    const evs__runtime *rt = stage->rt;

    for (const evs__node *n = stage->node->input; n != root && !e->window; n = n->input) {
        if (evs__node_is_staged(n))
            e->window = n;
    }
    for (uint32_t i = 0; i < rt->source_count && !e->window; i++) {
        if (rt->sources[i].node == root)
            e->source = &rt->sources[i];
    }
}

static void put_condition(const evs__partition *p, evs__buffer *out)
{
    evs__runtime *rt = p->source->rt;
    bool at_end;

    pthread_mutex_lock(&rt->lock);
    at_end = p->at_end;
    pthread_mutex_unlock(&rt->lock);
    if (!atomic_load(&p->assigned))
        evs__buffer_text(out, " (not assigned)");
    else if (atomic_load(&p->source->connecting))
        evs__buffer_text(out, " (disconnected)");
    else if (at_end)
        evs__buffer_text(out, " (at its end)");
}

static void put_slot(void *user, uint32_t slot, evs__buffer *out)
{
    const explaining *e = user;
    const evs__partition *p;

    if (e->shard->stage->in_place)
        slot = e->shard->index;
    if (!e->source) {
        evs__buffer_printf(out, "shard %u of step \"%s\"", slot, e->window->name);
        return;
    }
    p = &e->source->partitions[slot];
    evs__buffer_printf(out, "step \"%s\" topic \"%s\" partition %d", e->source->node->name,
                       e->source->topics[p->topic], p->number);
    put_condition(p, out);
}

/* since when the slot stands where it is; false: nobody knows */
static bool slot_since(void *user, uint32_t slot, int64_t *ret_since, int64_t *ret_now)
{
    const explaining *e = user;
    int64_t since;

    if (!e->source)
        return false;
    since = atomic_load(
        &e->source->partitions[e->shard->stage->in_place ? e->shard->index : slot].moved_ms);
    *ret_since = since;
    *ret_now = e->now_ms;
    return since != EVS_TIME_NONE;
}

evs_status evs__stage_explain(const evs__stage *stage, int64_t window_start_ms, evs__buffer *out)
{
    explaining e = {.now_ms = evs__now_ms(stage->rt)};
    evs__slot_names names = {put_slot, slot_since, &e};
    evs_status status = EVS_OK;

    find_origin(&e, stage);
    for (uint32_t i = 0; !status && i < stage->shard_count; i++) {
        evs__shard *s = &stage->shards[i];
        e.shard = s;
        evs__buffer_printf(out, "shard %u\n", i);
        pthread_mutex_lock(&s->lock);
        status = evs__window_op_explain(s->op, window_start_ms, &names, out);
        pthread_mutex_unlock(&s->lock);
    }
    return status ? status : out->status;
}
