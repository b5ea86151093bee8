/*
 * engine/bag.c: runs of values: nodes, their index, their order, their snapshot.
 *
 * The index is a table with linear probing, at most two thirds full; taking out moves what follows
 * back, so there are no marks of the dead.
 */
#include "engine/bag.h"

#define SLOTS_MIN 16u
#define NODES_MAX (1u << 30)

void evs__bag_init(
    evs__bag *b, evs__account *account, const evs_type *const *types, uint32_t parts, bool indexed)
{
    memset(b, 0, sizeof(*b));
    evs__values_init(&b->values, account, types, parts);
    b->indexed = indexed;
}

void evs__bag_free(evs__bag *b, evs__account *account)
{
    evs__values_free(&b->values);
    evs__account_free(account, b->nodes, b->node_capacity, sizeof(*b->nodes));
    evs__account_free(account, b->slots, b->slot_count, sizeof(*b->slots));
}

evs_status
evs__bag_of(const evs__aggregate *a, const evs__agg_groups *g, bool indexed, evs__bag **ret)
{
    evs__bag *b = *g->extra;

    if (!b) {
        evs_status status = evs__account_resize(g->account, (void **)&b, 0, 1, sizeof(*b));
        if (status)
            return status;
        evs__bag_init(b, g->account, a->arg_types, 1, indexed);
        *g->extra = b;
    }
    *ret = b;
    return EVS_OK;
}

void evs__bag_extra_free(evs__account *account, void *extra)
{
    evs__bag *b = extra;
    evs__bag_free(b, account);
    evs__account_free(account, b, 1, sizeof(*b));
}

/* ---- index ---- */

static size_t slot_of(const evs__bag *b, uint64_t pair)
{
    return evs__hash_u64(pair, 2) & (b->slot_count - 1);
}

static size_t find_slot(const evs__bag *b, uint64_t pair)
{
    size_t at = slot_of(b, pair);
    while (b->slots[at].node && b->slots[at].pair != pair)
        at = (at + 1) & (b->slot_count - 1);
    return at;
}

static void index_put(evs__bag *b, uint64_t pair, uint32_t node)
{
    b->slots[find_slot(b, pair)] = (evs__bag_slot){pair, node + 1};
}

static void index_take(evs__bag *b, uint64_t pair)
{
    size_t mask = b->slot_count - 1, hole = find_slot(b, pair);

    for (size_t at = (hole + 1) & mask; b->slots[at].node; at = (at + 1) & mask) {
        size_t home = slot_of(b, b->slots[at].pair);
        if (((at - home) & mask) < ((at - hole) & mask))
            continue;
        b->slots[hole] = b->slots[at];
        hole = at;
    }
    b->slots[hole].node = 0;
}

static evs_status reserve_index(evs__bag *b, evs__account *account, size_t n)
{
    size_t count = b->slot_count ? b->slot_count : SLOTS_MIN, old_count = b->slot_count;
    evs__bag_slot *old = b->slots, *slots = NULL;
    evs_status status;

    while ((evs__bag_used(b) + n) * 3 > count * 2)
        count *= 2;
    if (count == old_count)
        return EVS_OK;
    status = evs__account_resize(account, (void **)&slots, 0, count, sizeof(*slots));
    if (status)
        return status;
    memset(slots, 0, count * sizeof(*slots));
    b->slots = slots;
    b->slot_count = count;
    for (size_t i = 0; i < old_count; i++) {
        if (old[i].node)
            index_put(b, old[i].pair, old[i].node - 1);
    }
    evs__account_free(account, old, old_count, sizeof(*old));
    return EVS_OK;
}

evs__bag_node *evs__bag_find(const evs__bag *b, uint32_t group, uint32_t value)
{
    uint32_t node;

    if (!b->slot_count)
        return NULL;
    node = b->slots[find_slot(b, (uint64_t)group << 32 | value)].node;
    return node ? &b->nodes[node - 1] : NULL;
}

/* ---- room ---- */

evs_status evs__bag_reserve_nodes(evs__bag *b, evs__account *account, size_t n)
{
    size_t need = evs__bag_used(b) + n, capacity = b->node_capacity;
    evs_status status = EVS_OK;

    if (need > NODES_MAX)
        return EVS_ERR_LIMIT;
    if (need > capacity) {
        /* by half when that fits the bound of memory, else by what is needed */
        size_t more = capacity + capacity / 2 > need ? capacity + capacity / 2 : need;
        status =
            evs__account_resize(account, (void **)&b->nodes, capacity, more, sizeof(*b->nodes));
        if (status == EVS_ERR_LIMIT && more > need)
            status = evs__account_resize(account, (void **)&b->nodes, capacity, more = need,
                                         sizeof(*b->nodes));
        if (!status)
            b->node_capacity = (uint32_t)more;
    }
    return !status && b->indexed ? reserve_index(b, account, n) : status;
}

void evs__bag_sweep(evs__bag *b, evs__account *account)
{
    size_t bytes = (size_t)b->values.intern.high / 8 + 1;
    uint8_t *live;

    if (!evs__values_crowded(&b->values, evs__bag_used(b)))
        return;
    live = evs__calloc(account->ctx, bytes, 1);
    if (!live)
        return; /* the next one will */
    for (uint32_t i = 0; i < b->node_high; i++) {
        if (b->nodes[i].value != EVS__VALUE_NONE)
            evs__bit_set(live, b->nodes[i].value);
    }
    evs__intern_sweep(&b->values.intern, live);
    evs__free(account->ctx, live);
}

evs_status evs__bag_reserve(evs__bag *b, const evs__agg_groups *g, const evs__agg_rows *r)
{
    evs_status status;

    evs__bag_sweep(b, g->account);
    status = evs__values_add(&b->values, r->args, r->rows, g->n, r->scratch, r->ids);
    return status ? status : evs__bag_reserve_nodes(b, g->account, g->n);
}

/* ---- nodes ---- */

uint32_t evs__bag_take_node(evs__bag *b, uint32_t value, int64_t arrived)
{
    uint32_t node;

    if (b->free_top) {
        node = b->free_top - 1;
        b->free_top = b->nodes[node].below;
        b->free_count--;
    } else {
        node = b->node_high++;
    }
    b->nodes[node] = (evs__bag_node){.arrived = arrived, .value = value};
    return node;
}

void evs__bag_drop_node(evs__bag *b, uint32_t node)
{
    b->nodes[node].value = EVS__VALUE_NONE;
    b->nodes[node].below = b->free_top;
    b->free_top = node + 1;
    b->free_count++;
}

evs__bag_node *
evs__bag_push(evs__bag *b, evs__bag_run *run, uint32_t group, uint32_t value, int64_t arrived)
{
    uint32_t node = evs__bag_take_node(b, value, arrived);

    b->nodes[node].below = run->top;
    run->top = node + 1;
    run->count++;
    if (b->indexed)
        index_put(b, (uint64_t)group << 32 | value, node);
    return &b->nodes[node];
}

void evs__bag_pop(evs__bag *b, evs__bag_run *run, uint32_t group)
{
    uint32_t node = run->top - 1;

    if (b->indexed)
        index_take(b, (uint64_t)group << 32 | b->nodes[node].value);
    run->top = b->nodes[node].below;
    run->count--;
    evs__bag_drop_node(b, node);
}

/* ---- order ---- */

static int by_arrival(const void *data, uint32_t a, uint32_t b)
{
    const evs__bag *bag = data;
    int64_t x = bag->nodes[a].arrived, y = bag->nodes[b].arrived;
    return (x > y) - (x < y);
}

evs_status
evs__bag_ordered(const evs__bag *b, const evs__bag_run *run, evs_context *ctx, uint32_t **ret)
{
    uint32_t *nodes = evs__realloc_array(ctx, NULL, (size_t)run->count + 1, 2 * sizeof(*nodes));
    uint32_t at = run->count;

    if (!nodes)
        return EVS_ERR_NOMEM;
    for (uint32_t node = run->top; node; node = b->nodes[node - 1].below)
        nodes[--at] = node - 1;
    evs__sort_ids(nodes, nodes + run->count, run->count, by_arrival, b);
    *ret = nodes;
    return EVS_OK;
}

/* ---- snapshots ---- */

evs_status
evs__bag_write(const evs__bag *b, const evs__agg_groups *g, uint32_t run_offset, evs__buffer *out)
{
    evs_status status = EVS_OK;

    for (uint32_t i = 0; i < g->n && !status; i++) {
        const evs__bag_run *run = evs__bag_run_of(g, run_offset, i);
        uint32_t *nodes = NULL;
        evs__buffer_append(out, &run->count, sizeof(run->count));
        if (!run->count)
            continue;
        status = evs__bag_ordered(b, run, g->account->ctx, &nodes);
        for (uint32_t k = 0; k < run->count && !status; k++) {
            const evs__bag_node *node = &b->nodes[nodes[k]];
            evs__values_write(&b->values, node->value, out);
            evs__buffer_append(out, &node->arrived, sizeof(node->arrived));
            evs__buffer_append(out, &node->count, sizeof(node->count));
        }
        evs__free(g->account->ctx, nodes);
    }
    return status ? status : out->status;
}

static evs_status read_node(evs__bag *b,
                            const evs__aggregate *a,
                            const evs__agg_groups *g,
                            evs__bag_run *run,
                            uint32_t group,
                            evs__reader *in)
{
    int64_t arrived, count;
    uint32_t value;
    evs_status status = evs__values_read(&b->values, in, &value);

    if (status)
        return status;
    if (!evs__read(in, &arrived, sizeof(arrived)) || !evs__read(in, &count, sizeof(count)) ||
        count < 0 || count >= INT64_C(1) << 61 || !evs__agg_arrived(a, arrived))
        return EVS_ERR_CORRUPT;
    if (b->indexed && evs__bag_find(b, group, value))
        return EVS_ERR_CORRUPT; /* the same value twice */
    status = evs__bag_reserve_nodes(b, g->account, 1);
    if (status)
        return status;
    evs__bag_push(b, run, group, value, arrived)->count = count;
    return EVS_OK;
}

evs_status evs__bag_read(evs__bag *b,
                         const evs__aggregate *a,
                         const evs__agg_groups *g,
                         uint32_t run_offset,
                         uint64_t most,
                         evs__reader *in)
{
    evs_status status = EVS_OK;

    for (uint32_t i = 0; i < g->n && !status; i++) {
        evs__bag_run *run = evs__bag_run_of(g, run_offset, i);
        uint32_t count;
        if (!evs__read(in, &count, sizeof(count)) || count > most)
            return EVS_ERR_CORRUPT;
        for (uint32_t k = 0; k < count && !status; k++)
            status = read_node(b, a, g, run, g->index[i], in);
    }
    return status;
}
