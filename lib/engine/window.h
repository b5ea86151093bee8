/*
 * engine/window.h: inside of the window operator, shared by its files.
 *
 *   window_new.c       texts and options --> types, expressions, layout
 *   window.c           a batch: judge rows, find windows, intern keys, reserve | add, close
 *   window_emit.c      closed and changed groups --> result batches; late rows --> late batches
 *   window_snapshot.c  all of it as bytes, and back
 *   window_public.c    evs_window
 *
 * What another kind of window brings: the slices of a row's time (evs__window_slice_of), when a
 * slice is no longer needed (evs__window_is_closed), and how results are made of slices. Keys,
 * groups, aggregates, time, late rows and snapshots stay as they are.
 */
#ifndef EVS_ENGINE_WINDOW_H
#define EVS_ENGINE_WINDOW_H

#include "engine/aggregate.h"
#include "engine/keys.h"
#include "engine/watermark.h"
#include "evstream/window.h"

#define EVS__LATE_COLUMNS 6 /* behind the input's in a late row */

typedef struct evs__late_node evs__late_node;
struct evs__late_node {
    evs__late_node *next;
    evs_batch *batch;
    size_t bytes; /* counted as state until it is given out */
};

/* one run of groups of a slice that will be in the next result batch */
typedef struct evs__result_run {
    evs__slice *slice;
    uint32_t from, n;    /* in picks */
    uint32_t done_after; /* slice->done once the run has been given out */
} evs__result_run;

typedef struct evs__result_scratch {
    uint32_t *picks; /* groups, EVS_BATCH_ROWS_MAX */
    uint32_t *ids;   /* their keys */
    evs__result_run *runs;
    uint32_t pick_count, run_count;
    evs__heap dirty;        /* open slices with changes, by start */
    evs__column *bounds[2]; /* window_start, window_end of the last full batch of one slice */
} evs__result_scratch;

typedef struct evs__window_op {
    evs__operator base;
    evs_window_options opt;
    /* fixed after new */
    uint32_t key_count;
    evs__expr **keys;
    const evs_type **key_types; /* of the result's columns; referenced by out_type */
    evs__key_form key_form;
    bool key_may_be_null; /* and NULL goes to the dead letters */
    evs__aggregates aggregates;
    char *plan; /* one line; two operators with the same line understand each other's snapshots */
    /* state */
    evs__state *state;
    evs__merge_time time;
    int64_t clock; /* processing time: the host's clock, never back */
    evs__late_node *late, **late_tail;
    int64_t rows, late_rows, rejected;
    /* between calls only memory */
    evs__result_scratch result;
    uint32_t *scratch; /* see window.c */
    size_t scratch_rows;
    evs__buffer key_bytes;
} evs__window_op;

static inline evs__window_op *evs__window_of(const evs__operator *op)
{
    return (evs__window_op *)op;
}

/* ---- the kind of window: tumbling ---- */

/* start = floor((t - offset) / size) * size + offset; both bounds saturate */
static inline void
evs__window_slice_of(const evs_window_options *o, int64_t t, int64_t *ret_start, int64_t *ret_end)
{
    int64_t at, rest, start;

    if (__builtin_sub_overflow(t, o->offset_ms, &at))
        rest = (int64_t)(((evs__int128)t - o->offset_ms) % o->size_ms);
    else
        rest = at % o->size_ms;
    rest += rest < 0 ? o->size_ms : 0;
    *ret_start = __builtin_sub_overflow(t, rest, &start) ? INT64_MIN : start;
    *ret_end = evs__time_add(t, o->size_ms - rest);
}

/* the last window of time ends at INT64_MAX, inclusive */
static inline bool evs__window_has(int64_t start, int64_t end, int64_t t)
{
    return t >= start && (t < end || end == INT64_MAX);
}

/* the one predicate of closing and of lateness */
static inline bool
evs__window_is_closed(const evs_window_options *o, int64_t window_end, int64_t watermark)
{
    return evs__time_add(window_end, o->grace_ms) <= watermark;
}

/* the operator's time: the task's watermark, or the clock */
static inline int64_t evs__window_now(const evs__window_op *w)
{
    return w->opt.time == EVS_TIME_PROCESSING ? w->clock : w->time.watermark;
}

/* ---- window.c ---- */

/* process(), but time comes with the call instead of with the batch: `row_watermark` NULL: the
 * rows do not move it */
evs_status evs__window_process(evs__window_op *w,
                               const evs_batch *in,
                               uint32_t slot,
                               const int64_t *row_watermark,
                               int64_t now_ms,
                               const evs__out *out,
                               evs_error **reterr);
extern const evs__operator_functions evs__window_functions;
evs__state *evs__window_new_state(const evs__window_op *w); /* NULL: no memory */
void evs__window_drop_late(evs__window_op *w);

/* ---- window_emit.c ---- */

/* a batch of late rows; rows[i] of `in` refused by window [starts[i], ends[i]) at marks[i] */
typedef struct evs__late_row {
    uint32_t row;
    int64_t start, end, watermark;
} evs__late_row;
evs_status evs__window_late_batch(const evs__window_op *w,
                                  const evs_batch *in,
                                  const evs__late_row *rows,
                                  uint32_t n,
                                  int64_t clock,
                                  evs_batch **ret);
/*
 * The next result batch, of at most EVS_BATCH_ROWS_MAX rows: of closed slices, then, with
 * `changes`, what changed in open ones. EVS_END: there is none. It counts as given out after
 * evs__window_result_given(), which must be the next call.
 */
evs_status evs__window_result(evs__window_op *w, bool changes, evs_batch **ret);
void evs__window_result_given(evs__window_op *w);
/* the next late batch, its reference moved; NULL: none */
evs_batch *evs__window_late(evs__window_op *w);
/* give out what there is; what is not taken stays */
evs_status
evs__window_drain(evs__window_op *w, bool changes, const evs__out *out, evs_error **reterr);

/* ---- window_snapshot.c ---- */

evs_status evs__window_snapshot(evs__operator *op, evs__buffer *out, evs_error **reterr);
evs_status evs__window_restore(evs__operator *op, const void *data, size_t len, evs_error **reterr);

/* ---- errors ---- */

/* NOMEM or LIMIT of the state, told */
evs_status evs__window_fail(const evs__window_op *w, evs_status status, evs_error **reterr);

#endif
