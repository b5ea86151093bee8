/*
 * engine/bag.h: for each group a run of values: what collect_list, histogram, topk, median and
 * f(DISTINCT x) keep.
 *
 *   state of a group (evs__bag_run): newest node, how many
 *   nodes, one array a slice:        value, order of arrival, count, the node before it
 *   index (only with `indexed`):     (group, value) --> node
 *
 * A reserve of n rows makes room for n nodes, so that adding cannot fail; a node that is taken out
 * goes to a list of free ones. 24 bytes a node, 16 to 24 for its place in the index; a value that
 * many groups have is kept once.
 */
#ifndef EVS_ENGINE_BAG_H
#define EVS_ENGINE_BAG_H

#include "engine/aggregate.h"
#include "engine/values.h"

typedef struct evs__bag_node {
    int64_t arrived;
    int64_t count;
    uint32_t value; /* EVS__VALUE_NONE: free */
    uint32_t below; /* the next node of the run (or free one), + 1; 0: none */
} evs__bag_node;

typedef struct evs__bag_run {
    uint32_t top; /* node + 1; 0: none */
    uint32_t count;
} evs__bag_run;

typedef struct evs__bag_slot {
    uint64_t pair; /* group << 32 | value */
    uint32_t node; /* + 1; 0: empty */
} evs__bag_slot;

typedef struct evs__bag {
    evs__values values;
    evs__bag_node *nodes;
    uint32_t node_capacity, node_high;
    uint32_t free_top, free_count; /* free nodes below node_high */
    bool indexed;
    evs__bag_slot *slots;
    size_t slot_count;
} evs__bag;

void evs__bag_init(
    evs__bag *b, evs__account *account, const evs_type *const *types, uint32_t parts, bool indexed);
void evs__bag_free(evs__bag *b, evs__account *account);
/* for aggregates whose extra is a bag and no more: *g->extra, made when there is none */
evs_status
evs__bag_of(const evs__aggregate *a, const evs__agg_groups *g, bool indexed, evs__bag **ret);
void evs__bag_extra_free(evs__account *account, void *extra);

static inline uint32_t evs__bag_used(const evs__bag *b)
{
    return b->node_high - b->free_count;
}
/* room for n nodes more */
evs_status evs__bag_reserve_nodes(evs__bag *b, evs__account *account, size_t n);
/* forget values that no node has, when there are many */
void evs__bag_sweep(evs__bag *b, evs__account *account);
/* both, and the rows' values to r->ids */
evs_status evs__bag_reserve(evs__bag *b, const evs__agg_groups *g, const evs__agg_rows *r);

/* a new node on top of the run; room was reserved */
evs__bag_node *
evs__bag_push(evs__bag *b, evs__bag_run *run, uint32_t group, uint32_t value, int64_t arrived);
/* the newest node goes */
void evs__bag_pop(evs__bag *b, evs__bag_run *run, uint32_t group);
/* indexed: the group's node of a value, or NULL */
evs__bag_node *evs__bag_find(const evs__bag *b, uint32_t group, uint32_t value);
/* a node that is in no run and no index (topk makes its own order) */
uint32_t evs__bag_take_node(evs__bag *b, uint32_t value, int64_t arrived);
void evs__bag_drop_node(evs__bag *b, uint32_t node);

/* the run's nodes in order of arrival, oldest first: *ret of run->count nodes, and as much room
 * behind them for sorting; released with evs__free */
evs_status
evs__bag_ordered(const evs__bag *b, const evs__bag_run *run, evs_context *ctx, uint32_t **ret);

/* snapshot of all groups' runs: [uint32 count] and for each node, oldest first, value, arrived,
 * count; `most`: of a run, more is corrupt; arrivals move on to the newest */
evs_status
evs__bag_write(const evs__bag *b, const evs__agg_groups *g, uint32_t run_offset, evs__buffer *out);
evs_status evs__bag_read(evs__bag *b,
                         const evs__aggregate *a,
                         const evs__agg_groups *g,
                         uint32_t run_offset,
                         uint64_t most,
                         evs__reader *in);

static inline evs__bag_run *
evs__bag_run_of(const evs__agg_groups *g, uint32_t run_offset, uint32_t i)
{
    return (evs__bag_run *)(void *)((char *)evs__agg_state(g, i) + run_offset);
}

#endif
