/*
 * engine/window_sliding.h: inside of sliding windows and of windows of a number of rows.
 *
 *   window_sliding.c        rows to panes, which windows exist, closing, snapshots
 *   window_sliding_emit.c   panes of a window --> its result
 *   window_sliding_state.c  memory: keys, heap, pool, snapshots
 *   window_counted.c        windows of a number of rows, see there
 *
 *   keyed [key id] --+-- panes    by time: rows of one time; each is a group of the state's pool
 *                    +-- spans 0  windows [t - size, t] of rows at t, by start
 *                    +-- spans 1  windows [t + 1, t + 1 + size], by start; none is in spans 0 too
 *                    +-- slider   what was merged for the window before (window_sliding_emit.c)
 */
#ifndef EVS_ENGINE_WINDOW_SLIDING_H
#define EVS_ENGINE_WINDOW_SLIDING_H

#include "engine/window.h"

/* Rows of one time. Those that came when windows with their time were over already are another
 * pane, which counts for windows that were not over at `floor` only. */
typedef struct evs__pane {
    int64_t time, floor;
    uint32_t group;
    uint32_t dirty; /* changed since the last flush */
} evs__pane;

typedef struct evs__span {
    int64_t start;
    uint64_t arrival : 63; /* of the row that made it */
    uint64_t emitted : 1;
} evs__span;

/* an array that is used like a queue: items [head, head + count) */
typedef struct evs__panes {
    evs__pane *items;
    uint32_t head, count, capacity;
} evs__panes;

typedef struct evs__spans {
    evs__span *items;
    uint32_t head, count, capacity;
} evs__spans;

/* Two stacks, see window_sliding_emit.c. Panes have numbers: that of the first one is keyed.base.
 */
typedef struct evs__pane_slider {
    evs__slice *front[2]; /* or NULL: nothing is known */
    evs__slice *back;
    uint64_t mid, back_end;
    uint64_t low, high; /* where the panes of the last window were */
    bool has_back;      /* some pane is in `back` */
    bool skipped;       /* a pane did not count */
} evs__pane_slider;

typedef struct evs__pane_key {
    uint32_t key;
    bool listed;  /* in `changed`, at listed_at */
    bool waiting; /* in the heap, at `queued` */
    evs__panes panes;
    evs__spans spans[2];
    uint32_t hint;    /* in spans 1, where the last one was looked for */
    uint64_t base;    /* panes that are gone */
    uint64_t changed; /* no pane before this one is dirty */
    int64_t queued;   /* end of its entry in the heap; there may be others, out of date */
    uint64_t listed_at;
    uint64_t seen, given; /* windows of a number of rows: rows, windows given out */
    uint32_t batch;       /* the last one that logged it */
    evs__pane_slider slider;
} evs__pane_key;

/* the first window of a key, or, when it has none, the time until which its panes are needed; some
 * entries are out of date */
typedef struct evs__sliding_due {
    int64_t end;
    uint32_t key;
} evs__sliding_due;

typedef enum evs__sliding_step {
    EVS__MADE_KEY,
    EVS__MADE_PANE,
    EVS__MADE_SPAN,
    EVS__MADE_DIRTY,
    EVS__MADE_LISTED
} evs__sliding_step;

/* what a batch did, to be taken back */
typedef struct evs__sliding_log {
    int64_t at, floor;
    uint32_t key;
    uint8_t step, which;
} evs__sliding_log;

typedef struct evs__sliding {
    evs__pane_key **keyed; /* by key id; NULL: the key has nothing */
    evs__sliding_due *due;
    uint32_t *changed; /* keys with changes, in the order of the first one; some have gone */
    evs__sliding_log *log;
    uint32_t keyed_capacity, due_count, due_capacity, changed_count, changed_capacity;
    uint32_t log_count, log_capacity;
    uint32_t live; /* groups of the pool in use */
    uint32_t keys;
    uint64_t windows, arrivals;
    uint64_t changed_base; /* entries of `changed` that are gone */
    /* before the batch */
    bool in_batch;
    uint32_t batch, groups_before, changed_before;
    uint64_t arrivals_before;
} evs__sliding;

static inline evs__sliding *evs__sliding_of(const evs__window_op *w)
{
    return w->own;
}

static inline evs__pane *evs__pane_at(const evs__pane_key *x, uint32_t i)
{
    return x->panes.items + x->panes.head + i;
}

static inline evs__span *evs__span_at(const evs__spans *s, uint32_t i)
{
    return s->items + s->head + i;
}

static inline int64_t evs__sliding_end(const evs__window_op *w, int64_t start)
{
    return evs__time_add(start, w->opt.size_ms);
}

/* the one predicate of closing and of lateness: the end is inclusive. Nothing is left open at the
 * end of time. */
static inline bool evs__sliding_over(const evs__window_op *w, int64_t end, int64_t watermark)
{
    return evs__time_add(end, w->opt.grace_ms) < watermark || watermark == INT64_MAX;
}

static inline bool
evs__pane_counts(const evs__window_op *w, const evs__pane *pane, int64_t window_end)
{
    return pane->floor == EVS_TIME_NONE || !evs__sliding_over(w, window_end, pane->floor);
}

/* end of the key's first window, else the time until which its panes are needed */
int64_t evs__sliding_next_end(const evs__window_op *w, const evs__pane_key *x);
/* the first window of the key has been given out */
void evs__sliding_drop_first(evs__window_op *w, evs__pane_key *x);
/* panes that no window needs, and the key with the last of them */
void evs__sliding_prune(evs__window_op *w, evs__pane_key *x);
void evs__sliding_pop(evs__sliding *s);
void evs__sliding_push(evs__sliding *s, evs__sliding_due due); /* there is room */
void evs__pane_slider_drop(evs__state *state, evs__pane_slider *s);
/* the key of an entry of `changed`, or NULL: it is out of date */
static inline evs__pane_key *evs__sliding_changed(const evs__sliding *s, uint32_t i)
{
    evs__pane_key *x = s->keyed[s->changed[i]];
    return x && x->listed && x->listed_at == s->changed_base + i ? x : NULL;
}
evs_status evs__sliding_next(evs__window_op *w, bool changes);
/* a slice for results; what is in it into the closed queue */
evs_status evs__sliding_new_results(evs__window_op *w, evs__slice **ret);
void evs__sliding_finish(evs__window_op *w, evs__slice *to);
/* panes [low, high), by number, of a window that ends at `end`, into a group of `to` */
evs_status evs__sliding_merge(evs__window_op *w,
                              evs__pane_key *x,
                              uint64_t low,
                              uint64_t high,
                              evs__slice *to,
                              uint32_t group);

/* ---- window_sliding_state.c ---- */

/* room for `want` items; EVS_ERR_LIMIT, EVS_ERR_NOMEM */
evs_status
evs__sliding_room(evs__account *a, void **array, uint32_t *capacity, uint64_t want, size_t item);
/* room for one more in a queue */
evs_status evs__sliding_queue_room(
    evs__account *a, void **items, uint32_t *head, uint32_t count, uint32_t *capacity, size_t item);
evs_status evs__pane_key_new(evs__window_op *w, uint32_t key, evs__pane_key **ret);
void evs__pane_key_free(evs__state *state, evs__sliding *s, evs__pane_key *x);
/* before the rows of a batch: the pool, keys interned, room for them */
evs_status evs__sliding_prepare(evs__window_work *k);
/* the live groups to a new pool, by key */
evs_status evs__sliding_move_pool(evs__window_op *w);
/* only entries that are right */
void evs__sliding_tidy_changed(evs__sliding *s);
void *evs__sliding_own_new(const evs__window_op *w);
void evs__sliding_own_free(const evs__window_op *w, evs__state *state, void *own);
void evs__sliding_reset(evs__window_op *w);
evs_status evs__sliding_own_tidy(evs__window_op *w);
evs_status evs__sliding_own_write(const evs__window_op *w, evs__buffer *out);
evs_status
evs__sliding_own_read(const evs__window_op *w, evs__state *state, void *own, evs__reader *in);

#endif
