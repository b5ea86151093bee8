/*
 * engine/state.h: what a windowed operator keeps: slices of time, in each the groups of the keys
 * that were seen there, for each group one row of aggregate states.
 *
 *   keys (interner, once per task)            key id
 *                                               |  map (by key id: dense array, or hashed when few)
 *   slice [start, end) --+-- order [group]    <-+--> group number, in order of first sight
 *                        +-- flags [group]   (emit=changes: dirty, emitted)
 *                        +-- rows  [group * stride]   aggregate states side by side
 *                        +-- extra [aggregate]        what does not fit a row: text, sets of values
 *
 *   open slices: found by start, closed in order of end         closed slices: a queue, until their
 *                                                                results have been given out
 *
 * This is the interface between the window operator and where its state lives. It works on vectors
 * of rows, reserves first (may fail, changes nothing that can be seen) and then changes (cannot
 * fail), so that a batch is taken whole or not at all, and a store that is not memory can do its
 * reads in the reserving half.
 *
 * A state row of zero bytes is the empty state of every aggregate.
 */
#ifndef EVS_ENGINE_STATE_H
#define EVS_ENGINE_STATE_H

#include "base/heap.h"
#include "engine/intern.h"

#define EVS__GROUP_DIRTY 1u   /* changed since it was last given out */
#define EVS__GROUP_EMITTED 2u /* was given out before: the next one is an update */
#define EVS__GROUP_FLUSHING                                                                        \
    4u /* window_sliced.c: changed before the flush that is being given out */
#define EVS__GROUP_OVERFLOW 8u /* window_merge.c: a sum does not fit */

#define EVS__GROUP_DELETE 16u /* results: what was given out under these bounds is no more */

#define EVS__NO_KEY UINT32_MAX   /* order[group] of a group of a pool that is not in use */
#define EVS__BOUNDS 3            /* window_start, window_end, event time of the result */
#define EVS__NO_WINDOW INT64_MIN /* before the first one */

#define EVS__AGGREGATES_MAX 256

typedef struct evs__slice evs__slice;
struct evs__slice {
    int64_t start, end;
    /* numbers of the windows that contain it (window.h); it counts for those above `floor` */
    int64_t first_window, last_window, floor;
    uint32_t count;    /* groups */
    uint32_t capacity; /* of order, flags, rows */
    uint32_t *order;   /* group -> key id */
    uint8_t *flags;    /* or NULL: not flagged */
    bool flagged;
    bool bounded; /* keeps bounds; set before the first group */
    char *rows;
    uint32_t dirty;    /* groups with EVS__GROUP_DIRTY */
    uint32_t flushing; /* groups with EVS__GROUP_FLUSHING */
    uint32_t done;     /* groups before this one have been given out, or are not dirty */
    /* dense: uint32 [map_size], group + 1 by key id; hashed: uint64 [map_size], key id + 1 << 32 |
     * group */
    void *map;
    uint32_t map_size;
    bool dense;
    int64_t *bounds;     /* closed: see evs__slice_group_bounds(); NULL: the slice's */
    void **extra;        /* [aggregate] */
    evs__slice *next;    /* closed queue */
    evs__slice *older;   /* open: the piece of the same start before this one */
    uint32_t batch_rows; /* of the batch being processed; 0 between batches */
    uint32_t batch_index;
};

/* releases what an aggregate keeps beside its rows */
typedef void (*evs__extra_free_fn)(evs__account *account, void *extra);

typedef struct evs__state {
    evs__account account;
    evs__intern keys;
    uint32_t stride; /* bytes of a row */
    bool flagged;    /* keeps flags */
    uint32_t extra_count;
    const evs__extra_free_fn *extra_free; /* [extra_count], entries may be NULL */
    evs__heap order;                      /* open slices by end */
    evs__slice **slots;                   /* open slices by start */
    size_t slot_count, open_count;
    size_t accounted_heap; /* bytes of the heap in the account */
    evs__slice *closed, **closed_tail;
    evs__slice *pool; /* groups of windows that belong to one key each, without a map; or NULL */
    uint64_t closed_groups, open_groups;
} evs__state;

/* NULL: no memory. extra_free is borrowed. */
evs__state *evs__state_new(evs_context *ctx,
                           size_t bytes_max,
                           uint32_t stride,
                           bool flagged,
                           const evs__extra_free_fn *extra_free,
                           uint32_t extra_count);
void evs__state_free(evs__state *s);
/* as new */
void evs__state_clear(evs__state *s);

/* Slices of one start are pieces with different floors; the newest is found, the others behind it
 */
evs__slice *evs__state_find(const evs__state *s, int64_t start);
/* what a new slice is */
typedef struct evs__slice_bounds {
    int64_t start, end;
    int64_t first_window, last_window, floor;
} evs__slice_bounds;
/* a new open slice; EVS_ERR_LIMIT, EVS_ERR_NOMEM */
evs_status evs__state_open(evs__state *s, const evs__slice_bounds *bounds, evs__slice **ret);
/* the open slice that ends first, or NULL */
evs__slice *evs__state_first(const evs__state *s);
/* the slice that ends first goes to the closed queue */
void evs__state_close_first(evs__state *s);
/* the slice that ends first is not needed any more */
void evs__state_drop_first(evs__state *s);
/* take back slices that a failed batch opened: those without groups */
void evs__state_drop_empty(evs__state *s);
/* forget the head of the closed queue; its memory goes back at once */
void evs__state_release(evs__state *s);
/* A slice made by hand (restore), not yet in the state; add puts it there (cannot fail for closed
 * ones) */
evs_status
evs__slice_new(evs__state *s, const evs__slice_bounds *bounds, bool flagged, evs__slice **ret);
evs_status evs__state_add_open(evs__state *s, evs__slice *slice);
void evs__state_add_closed(evs__state *s, evs__slice *slice);
void evs__slice_free(evs__state *s, evs__slice *slice);

/* its map is not needed: no more rows come */
void evs__slice_seal(evs__state *s, evs__slice *slice);

/* Keys that no slice knows are forgotten. `pressed`: now; otherwise only when that pays. */
void evs__state_sweep(evs__state *s, bool pressed);

/* room for up to `n` rows of keys that are interned already */
evs_status evs__slice_reserve(evs__state *s, evs__slice *slice, uint32_t n);
/* group numbers of keys; new groups get an empty row. Room was reserved. */
void evs__slice_groups(
    evs__state *s, evs__slice *slice, const uint32_t *key_ids, uint32_t n, uint32_t *groups);
/* room for `n` groups more, of whatever keys, that are appended */
evs_status evs__slice_reserve_groups(evs__state *s, evs__slice *slice, uint32_t n);
/* a new group with an empty row; room was reserved. It is in no map */
static inline uint32_t evs__slice_append(evs__slice *slice, uint32_t key_id)
{
    slice->order[slice->count] = key_id;
    return slice->count++;
}
/* of a slice with bounds: window_start, window_end, event time of the group's result */
static inline int64_t *evs__slice_group_bounds(const evs__slice *slice, uint32_t group)
{
    return slice->bounds + EVS__BOUNDS * (size_t)group;
}
#define EVS__NO_GROUP UINT32_MAX
/* the group of a key in an open slice, or EVS__NO_GROUP */
uint32_t evs__slice_find(const evs__slice *slice, uint32_t key_id);
/* take back the newest groups, down to `count`: what was added to them has been undone */
void evs__slice_ungroup(evs__state *s, evs__slice *slice, uint32_t count);
/* mark groups as changed (flagged state) */
void evs__slice_touch(evs__slice *slice, const uint32_t *groups, uint32_t n);

static inline char *evs__slice_row(const evs__state *s, const evs__slice *slice, uint32_t group)
{
    return slice->rows + (size_t)group * s->stride;
}

#endif
