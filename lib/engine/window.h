/*
 * engine/window.h: inside of the window operator, shared by its files.
 *
 *   window_new.c       texts and options --> types, expressions, layout
 *   window.c           a batch: judge rows, assign, intern keys, reserve | add, close
 *   window_sliced.c    family of kinds: windows made of slices of time (tumbling, hopping ...)
 *   window_session.c   family of session windows: each belongs to one key
 *   window_sliding.c   family of sliding windows: every distinct set of rows of a key
 *   window_calendar.c  days, months ... of a time zone, for window_sliced.c
 *   window_counted.c   family of windows of a number of rows of a key
 *   window_merge.c     slices of a window --> one table of results, sharing work between windows
 *   window_emit.c      groups to result batches; late rows --> late batches
 *   window_snapshot.c  all of it as bytes, and back
 *   window_read.c      what open windows hold now
 *   window_public.c    evs_window
 *
 * A kind of windows belongs to a family, and a family is the table evs__window_family: where the
 * rows of a batch go (assign), what is over (close), and the next table of results (next). Keys,
 * groups, aggregates, time, rejected and late rows, result batches and snapshots are the same for
 * all. What a family must keep to:
 *
 *   - until assign() returns, and after it until taken(), nothing may be seen: a batch that does
 *     not fit is undone (dropped());
 *   - which row goes where, and which is late, follows from the rows before it and its own
 *     watermark, never from where a batch ends;
 *   - results are slices: whatever is put into the closed queue (evs__state_add_closed) is given
 *     out, in that order, each group with the slice's bounds or its own (evs__slice.bounds).
 */
#ifndef EVS_ENGINE_WINDOW_H
#define EVS_ENGINE_WINDOW_H

#include "engine/aggregate.h"
#include "engine/keys.h"
#include "engine/watermark.h"
#include "base/number.h"
#include "base/zone.h"
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
    bool dirty_known;       /* `dirty` is of this call */
    evs__column *bounds[2]; /* window_start, window_end of the last full batch of one slice */
} evs__result_scratch;

/* ---- window_merge.c: tables shared by windows that follow each other ---- */

typedef struct evs__slider {
    bool valid;
    int64_t window;     /* the last one made */
    int64_t until;      /* for windows above it the tables lack a piece */
    evs__slice **front; /* a stack: front[i] is slices from its start up to mid, merged */
    uint32_t front_count, front_capacity;
    evs__slice *back; /* slices from mid up to back_end, merged; or NULL */
    int64_t mid, back_end;
    evs__slice **pieces; /* scratch */
    uint32_t piece_count, piece_capacity;
} evs__slider;

typedef struct evs__window_op evs__window_op;
typedef struct evs__window_work evs__window_work;
typedef struct evs__reading evs__reading;

typedef struct evs__window_family {
    /* options to numbers that are needed often; the kind's part of the plan line */
    void (*setup)(evs__window_op *w);
    void (*describe)(const evs__window_op *w, evs__buffer *text);
    /* bounds of the slice of a time, where all rows in them go the same way; NULL: no such thing */
    void (*slice_of)(const evs__window_op *w, int64_t t, int64_t *ret_start, int64_t *ret_end);
    /* work->rows[0..n) to slices and late rows (evs__work_touch, evs__work_late); EVS_ERR_NOMEM,
     * EVS_ERR_LIMIT. Rows end up in runs by slice: work->slices in order, batch_rows each */
    evs_status (*assign)(evs__window_work *k);
    /* of the slices of the batch, after their rows were added */
    void (*taken)(evs__window_work *k);
    void (*dropped)(evs__window_work *k); /* the batch failed; or NULL */
    /* time has moved; cannot fail */
    void (*close)(evs__window_op *w);
    /* The next slice of results into the closed queue: of what is over, then, with `changes`, of
     * what changed. EVS_END: none. NULL: close() queues all there is. */
    evs_status (*next)(evs__window_op *w, bool changes);
    /* whether next(w, false) has something; NULL: never */
    bool (*is_due)(const evs__window_op *w);
    /* event times of results to come are at or above; INT64_MAX: nothing is due */
    int64_t (*due_time)(const evs__window_op *w);
    /* when the first, when all that is open is over; INT64_MAX, EVS_TIME_NONE: nothing is open */
    int64_t (*first_close)(const evs__window_op *w);
    int64_t (*last_close)(const evs__window_op *w);
    int64_t (*open_count)(const evs__window_op *w);
    void (*reset)(evs__window_op *w); /* also under memory pressure: drop what can be made again */
    /* a slice of a snapshot is one that can exist */
    bool (*check)(const evs__window_op *w, evs__slice_bounds *bounds, bool closed);
    /* What the family keeps beside slices, behind w->own; or NULL: nothing. The groups of the pool
     * are written by number: `live` of them, 0 and up, in the order in which write() sees them */
    void *(*own_new)(const evs__window_op *w); /* NULL: no memory */
    void (*own_free)(const evs__window_op *w, evs__state *state, void *own);
    /* before a snapshot: the pool has one group a window and no other; EVS_ERR_NOMEM */
    evs_status (*own_tidy)(evs__window_op *w);
    evs_status (*own_write)(const evs__window_op *w, evs__buffer *out);
    /* for state->pool as it was read, NULL: it had none; EVS_ERR_CORRUPT */
    evs_status (*own_read)(const evs__window_op *w, evs__state *state, void *own, evs__reader *in);
    /* The windows of r->key_id that begin in [r->from, r->to), from r->place->window on, to
     * evs__reading_add(); r->pieces are its groups. EVS_AGAIN: the reading is full, place->window
     * is the next one. NULL: they cannot be read. */
    evs_status (*read)(evs__window_op *w, evs__reading *r);
    /* lines for evs__window_op_explain(); whether the window is open, and its end */
    bool (*explain)(const evs__window_op *w, int64_t start, evs__buffer *out, int64_t *ret_end);
} evs__window_family;

/* window_sliced.c: windows numbered in order of their end; see there */
typedef struct evs__slicing {
    int64_t size, advance, offset; /* cumulating: advance is the step; 0 <= offset < what repeats */
    int64_t rest;                  /* size % advance: where a slice is cut in two */
    int64_t steps;                 /* cumulating: windows of one size */
    bool cumulating;
    bool whole;            /* a window is one slice */
    int32_t calendar;      /* unit, or 0: sizes as above */
    const evs__zone *zone; /* of the calendar; NULL: UTC */
    int64_t closed;        /* windows up to this number are over at marks below next_mark */
    int64_t next_mark;
    int64_t made;  /* windows up to this number have been put into the closed queue */
    bool flushing; /* windows up to `flushed` were given out by the flush under way */
    int64_t flushed;
    bool changed; /* some group is dirty or flushing */
    evs__slider slider;
} evs__slicing;

struct evs__window_op {
    evs__operator base;
    evs_window_options opt;
    const evs__window_family *family;
    evs__slicing slicing;
    void *own;        /* of the family */
    int64_t delay_ms; /* results to come may be older than the watermark by this and the grace */
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
    /* emit_every_ms, emit_count: time and rows at the last flush; one is being given out */
    int64_t emit_time, emit_rows;
    bool emit_now;
    /* between calls only memory */
    evs__result_scratch result;
    uint32_t *scratch; /* see window.c */
    size_t scratch_rows;
    evs__buffer key_bytes;
};

typedef struct evs__rejected {
    uint32_t row;
    evs_status status;
    const char *stage;
    size_t message; /* offset in work.messages */
} evs__rejected;

/* one call of process() */
struct evs__window_work {
    evs__window_op *w;
    const evs_batch *in;
    const int64_t *marks; /* row watermarks, or NULL */
    int64_t base, others; /* see evs__merge_time_others() */
    int64_t clock;
    evs__column **keys, **args;
    /* scratch of in->count entries each */
    uint32_t *rows, *key_ids, *groups, *temp;
    uint32_t *ids;  /* [aggregate][in->count] */
    uint32_t n;     /* rows taken; afterwards in runs by slice */
    bool one_slice; /* all rows have a time, in the slice of time [start, end) */
    int64_t start, end;
    evs__slice **slices; /* that the batch touches */
    uint32_t slice_count, slice_capacity;
    bool interned; /* key_ids are known: assign() needed them */
    bool grouped;  /* groups are known */
    uint8_t *bad;  /* by physical row, or NULL: no row was set aside */
    evs__rejected *rejects;
    uint32_t reject_count, reject_capacity;
    evs__buffer messages;
    struct evs__late_row *late;
    uint32_t late_count, late_capacity;
    evs__late_node *late_node;
    evs_status status; /* first failure inside a callback */
};

static inline evs__window_op *evs__window_of(const evs__operator *op)
{
    return (evs__window_op *)op;
}

/* ---- windows that do not overlap ---- */

/* start = floor((t - offset) / size) * size + offset; both bounds saturate */
static inline int64_t evs__window_rest(int64_t t, int64_t offset, int64_t size)
{
    int64_t at, rest;

    if (__builtin_sub_overflow(t, offset, &at))
        rest = (int64_t)(((evs__int128)t - offset) % size);
    else
        rest = at % size;
    return rest + (rest < 0 ? size : 0);
}

static inline void
evs__window_slice_of(const evs_window_options *o, int64_t t, int64_t *ret_start, int64_t *ret_end)
{
    int64_t start, rest = evs__window_rest(t, o->offset_ms, o->size_ms);

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

/* for assign() */

/* the task's watermark including this row; it rises from row to row */
static inline int64_t evs__work_mark(const evs__window_work *k, uint32_t row)
{
    int64_t mark;
    if (!k->marks)
        return k->base;
    mark = k->marks[row] < k->others ? k->marks[row] : k->others;
    return mark > k->base ? mark : k->base;
}
/* the event time of a row */
static inline int64_t evs__work_time(const evs__window_work *k, uint32_t row)
{
    return k->w->opt.time == EVS_TIME_PROCESSING ? k->clock : k->in->times[row];
}
/* key ids of rows[0..n) into key_ids */
evs_status evs__work_intern(evs__window_work *k);
/* the slice is one of the batch; its place in k->slices is batch_index */
evs_status evs__work_touch(evs__window_work *k, evs__slice *slice);
/* temp[i] is the place of the slice of rows[i], batch_rows are counted: make runs of them */
void evs__work_bucket(evs__window_work *k);
evs_status evs__work_late(evs__window_work *k, const struct evs__late_row *late);

/* ---- window_sliced.c ---- */

extern const evs__window_family evs__window_sliced;
extern const evs__window_family evs__window_session; /* window_session.c */
extern const evs__window_family evs__window_sliding; /* window_sliding.c */
extern const evs__window_family evs__window_counted; /* window_counted.c */

#define EVS__WINDOWS_MAX (1 << 20) /* that overlap */

/* the slice of time t, and the windows it is in */
void evs__slicing_at(const evs__slicing *s, int64_t t, evs__slice_bounds *ret);
/* the number of the newest window that is over at this watermark */
int64_t evs__slicing_closed(const evs__window_op *w, int64_t watermark);
void evs__slicing_window(const evs__slicing *s,
                         int64_t number,
                         int64_t *ret_start,
                         int64_t *ret_end);

/* ---- window_calendar.c ---- */

#define EVS__CALENDAR_OFFSET_MAX (INT64_C(366) * 86400000)

/* number and bounds of the window that has time t */
int64_t evs__calendar_at(const evs__slicing *s, int64_t t, int64_t *ret_start, int64_t *ret_end);
void evs__calendar_window(const evs__slicing *s,
                          int64_t number,
                          int64_t *ret_start,
                          int64_t *ret_end);

/* ---- window_merge.c ---- */

/* groups of `from` into those of `to`; EVS_ERR_NOMEM: `to` is of no use any more */
evs_status evs__window_merge(evs__window_op *w, evs__slice *to, const evs__slice *from);
/* groups to_index[i] of `to`, which keeps flags, each take from_index[i] of `from` */
evs_status evs__window_merge_groups(evs__window_op *w,
                                    evs__slice *to,
                                    const uint32_t *to_index,
                                    const evs__slice *from,
                                    const uint32_t *from_index,
                                    uint32_t n);
/* one group of `from` into that of its key */
evs_status
evs__window_merge_group(evs__window_op *w, evs__slice *to, const evs__slice *from, uint32_t group);
/* all slices of a window as one; NULL: it has none. Windows are asked for in rising order,
 * otherwise it costs more. Beyond the bound of state if need be: results make room. */
evs_status evs__slider_window(evs__window_op *w, int64_t number, evs__slice **ret);
void evs__slider_drop(evs__window_op *w);

/* ---- window_emit.c ---- */

/* A sum fits each part of a window, but not the whole: the key has no result there. It is counted
 * as rejected and told in the log; there is no row to send to the dead letters. */
void evs__window_left_out(evs__window_op *w);

/* a row of `in` that windows refused, the newest of them [start, end), at this watermark */
typedef struct evs__late_row {
    uint32_t row;
    int32_t refused, accepted; /* windows */
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

/* ---- window_read.c ---- */

/* a key's group in an open slice */
typedef struct evs__read_piece {
    evs__slice *slice;
    uint32_t group;
} evs__read_piece;

typedef struct evs__read_row {
    evs__slice *slice;
    uint32_t group, key_id;
    int64_t start, end;
    bool made; /* the slice is of this reading */
} evs__read_row;

struct evs__reading {
    int64_t from, to;
    evs__table_place *place;
    uint32_t key_id;
    evs__read_piece *pieces; /* of the key, in order of time, then of floor */
    size_t piece_count, piece_capacity;
    evs__read_row *rows; /* max */
    uint32_t *picks;     /* scratch, as many */
    uint32_t row_count;
    uint32_t max;
    size_t work; /* look-ups and merges so far */
    bool moved;  /* some window was looked at */
};

/* a row of the key: these groups, merged; there must be room */
evs_status evs__reading_add(evs__window_op *w,
                            evs__reading *r,
                            const evs__read_piece *pieces,
                            size_t n,
                            int64_t start,
                            int64_t end);
/* no more rows in this call */
bool evs__reading_is_full(const evs__reading *r);

/* ---- window_snapshot.c ---- */

evs_status evs__window_snapshot(evs__operator *op, evs__buffer *out, evs_error **reterr);
evs_status evs__window_restore(evs__operator *op, const void *data, size_t len, evs_error **reterr);

/* ---- window_explain.c: for the families ---- */

void evs__window_explain_bounds(const evs__window_op *w,
                                int64_t start,
                                int64_t end,
                                evs__buffer *out);

/* ---- window_public.c ---- */

/* evs_window_new() where the zone of the options is one of the context already */
evs_status evs__window_new(evs_context *context,
                           evs_schema *schema,
                           const char *keys,
                           const char *aggregates,
                           const evs_window_options *options,
                           evs_window **ret_window,
                           evs_error **reterr);

/* ---- errors ---- */

/* NOMEM or LIMIT of the state, told */
evs_status evs__window_fail(const evs__window_op *w, evs_status status, evs_error **reterr);

#endif
