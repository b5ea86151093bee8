/*
 * evstream/window.h: windows and aggregates alone: push rows, advance time, take results. No
 * broker, no pipeline, no thread, no clock. A pipeline's evs_window_by() is this same operator.
 *
 * Result rows: the grouping keys, `window_start`, `window_end` (TIMESTAMP), then the aggregates.
 * Their event time is window_end - 1. Time (source: Kafka Streams' and Flink's rules as in
 * docs/architecture.md): a row is late when window_end + grace <= watermark, the watermark
 * including that row; a closed window never opens again. Where windows overlap, each decides for
 * itself: a row can be late for the older and in time for the newer ones. Final results come in
 * order of window end, then of the first row of their key in the window (windows that overlap: in
 * the earliest slice of the window that has the key, see docs/architecture.md), whatever the size
 * of the batches pushed.
 *
 * Aggregates (all of them, with types and meaning: docs/reference/aggregates.md), the frequent
 * ones:
 *
 * | aggregate                            | result                                        |
 * |--------------------------------------|-----------------------------------------------|
 * | count(*), count(x), count_if(c)      | BIGINT NOT NULL                               |
 * | count_distinct(x), count(DISTINCT x) | BIGINT NOT NULL, exact, any type              |
 * | sum(INT), sum(BIGINT)                | BIGINT, exact                                 |
 * | sum(DOUBLE)                          | DOUBLE, compensated (Neumaier)                |
 * | sum(DECIMAL(p,s))                    | DECIMAL(38,s), exact                          |
 * | avg(INT), avg(BIGINT), avg(DOUBLE)   | DOUBLE                                        |
 * | avg(DECIMAL(p,s))                    | DECIMAL(38,t), half away from zero; t is      |
 * |                                      | max(s,6), less where p - s leaves no room     |
 * | min(x), max(x)                       | type of x: numbers (NaN highest), times,      |
 * |                                      | BOOLEAN, VARCHAR and BYTES by bytes           |
 *
 * Any of them takes DISTINCT and a filter: "sum(DISTINCT x) FILTER (WHERE y > 0) AS s".
 *
 * NULL is left out; of NULLs only, sum, avg, min and max are NULL. A row that an aggregate refuses
 * (an exact sum that would not fit its type, a collection that is full) is rejected as a whole
 * (stage "expression"; EVS_ERR_OVERFLOW, EVS_ERR_LIMIT); so is a row of kind delete, which cannot
 * be taken back from a window.
 */
#ifndef EVSTREAM_WINDOW_H
#define EVSTREAM_WINDOW_H

#include "evstream/schema.h"

typedef enum evs_window_kind {
    EVS_WINDOW_TUMBLING = 1,   /* [start, start + size), start = offset modulo size */
    EVS_WINDOW_HOPPING = 2,    /* [start, start + size), a new one every advance; they overlap */
    EVS_WINDOW_CUMULATING = 3, /* [start, start + step), [start, start + 2 step) ... [start, start +
                                  size), start = offset modulo size (Flink's CUMULATE) */
    EVS_WINDOW_SESSION = 4, /* rows of a key no further apart than gap; window_start and window_end
                              are the times of its first and last row, both in it */
    EVS_WINDOW_SLIDING = 5, /* every distinct set of rows of a key within size, both ends in it: for
                               a row at t [t - size, t], and [t + 1, t + 1 + size] when that has a
                               row; for 0 <= t < size it is [0, size] (Kafka Streams) */
    EVS_WINDOW_CALENDAR = 6, /* days, weeks ... of a time zone: see evs_calendar */
    EVS_WINDOW_COUNT = 7 /* the last size_rows rows of a key to arrive, each time that advance_rows
                            have come; window_start and window_end are the event times of the first
                            and last of them; final only, and what is not full is not given out */
} evs_window_kind;

/*
 * Units of calendar windows, each from its first moment on the clocks of the zone to that of the
 * next one: a day has 23 or 25 hours where clocks are changed. A midnight that clocks leap over is
 * the moment of the leap, of one that comes twice the first counts.
 */
typedef enum evs_calendar {
    EVS_CALENDAR_DAY = 1,
    EVS_CALENDAR_WEEK = 2, /* from Monday (ISO 8601); an offset of -1 day makes it Sunday */
    EVS_CALENDAR_MONTH = 3,
    EVS_CALENDAR_QUARTER = 4,
    EVS_CALENDAR_YEAR = 5
} evs_calendar;

typedef enum evs_emit {
    EVS_EMIT_CHANGES = 1, /* per flush (take, commit): what changed since the last one; first
                             insert, then update */
    EVS_EMIT_FINAL = 2    /* once, when the window closes */
} evs_emit;

typedef enum evs_time_kind {
    EVS_TIME_EVENT = 1,
    EVS_TIME_PROCESSING = 2 /* rows belong to the window of the host's clock when they arrive */
} evs_time_kind;

typedef enum evs_time_rule {
    EVS_TIME_WATERMARK = 1, /* per-partition watermark, minimum over partitions */
    EVS_TIME_STREAM = 2     /* Kafka Streams and ksqlDB: highest event time seen, no delay */
} evs_time_rule;

typedef enum evs_null_key {
    EVS_NULL_KEY_DEAD_LETTER = 1, /* counted and sent to the dead letters */
    EVS_NULL_KEY_GROUP = 2        /* NULL is a key like another */
} evs_null_key;

/* which rows of windows that overlap are late; a refused window never takes the row either way */
typedef enum evs_late_rule {
    EVS_LATE_ANY_WINDOW = 1, /* one late row when at least one window refused it */
    EVS_LATE_ALL_WINDOWS = 2 /* only when every window refused it (Flink) */
} evs_late_rule;

typedef struct evs_window_options {
    size_t struct_size;
    int64_t size_ms;
    int64_t offset_ms;           /* of window starts to the epoch; any value. Calendar: to the first
                                    moment of the unit, on the clocks of the zone,
                                    366 days at most */
    int64_t grace_ms;            /* how long after its end a window takes rows; default 0 */
    int64_t out_of_orderness_ms; /* stand-alone windows: watermark = highest event time pushed -
                                    this; default EVS_FOREVER: only evs_window_advance() moves time.
                                    A pipeline ignores it: its sources have `out_of_orderness` */
    int64_t state_bytes_max;     /* bound of what the operator keeps; default 1 GiB; reaching it is
                                    EVS_ERR_LIMIT */
    int32_t kind;                /* evs_window_kind; default tumbling */
    int32_t emit;                /* evs_emit; default changes */
    int32_t time;                /* evs_time_kind; default event time */
    int32_t null_key;            /* evs_null_key; default dead letter */
    int64_t advance_ms;          /* hopping: 1 to size_ms; at most 1,048,576 windows may overlap */
    int64_t step_ms;             /* cumulating: size_ms is a multiple of it */
    int64_t gap_ms;              /* session: 1 or more; rows this far apart are still together */
    int64_t emit_every_ms; /* changes: only when the window's time (watermark, or clock) has passed
                              a multiple of this since the last ones; 0: at every flush */
    int64_t emit_count;    /* changes: also when this many rows came since; 0: rows do not matter */
    int32_t late;          /* evs_late_rule; default (and 0) any window */
    int32_t calendar;      /* calendar windows: evs_calendar, with size_ms 0; others 0 */
    const char *zone;      /* calendar windows: name of a time zone of the system
                              ("Europe/Berlin"); *copied*; default (and "") UTC */
    int64_t size_rows;     /* count: rows of a window */
    int64_t advance_rows; /* count: a window each time so many rows have come, 1 to size_rows; 0: as
                             size_rows */
} evs_window_options;

#define EVS_WINDOW_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(evs_window_options), 0, 0, 0, INT64_MAX, INT64_C(1) << 30, EVS_WINDOW_TUMBLING,     \
            EVS_EMIT_CHANGES, EVS_TIME_EVENT, EVS_NULL_KEY_DEAD_LETTER, 0, 0, 0, 0, 0,             \
            EVS_LATE_ANY_WINDOW, 0, NULL, 0, 0                                                     \
    }

typedef struct evs_window evs_window;

EVS_BEGIN_DECLS

/** Function twin of EVS_WINDOW_OPTIONS_INIT for the struct of the first release (64 bytes, up to
 * null_key); with this header the name is that of evs_window_options_init_size(). @threads any
 * @since 0.1 */
EVS_API void evs_window_options_init(evs_window_options *options);
/** Function twin of EVS_WINDOW_OPTIONS_INIT for a struct of `size` bytes, the caller's sizeof.
 * @threads any @since 0.1 */
EVS_API void evs_window_options_init_size(evs_window_options *options, size_t size);
#define evs_window_options_init(options)                                                           \
    evs_window_options_init_size(options, sizeof(evs_window_options))

/**
 * Make a window operator.
 *
 * @param schema type of the rows that will be pushed; *new reference* kept
 * @param keys grouping expressions with optional aliases, comma-separated: "page", "upper(page) AS
 * p, user_id"; NULL or "": one group
 * @param aggregates "count(*) AS views, avg(load_ms) AS load_ms": see the table above
 * @returns EVS_OK with a *new reference*; EVS_ERR_INVALID (an option out of range, named);
 * EVS_ERR_NOT_FOUND (a time zone that the system does not know, named); EVS_ERR_EXPRESSION (origin:
 * column of the text; the message lists the fields that exist); EVS_ERR_TYPE; EVS_ERR_NOMEM
 * @threads any
 * @since 0.1
 */
EVS_API evs_status evs_window_new(evs_context *context,
                                  evs_schema *schema,
                                  const char *keys,
                                  const char *aggregates,
                                  const evs_window_options *options,
                                  evs_window **ret_window,
                                  evs_error **reterr);
/** Release; NULL is allowed; results taken before stay valid. @returns NULL @threads one at a time
 * @since 0.1 */
EVS_API evs_window *evs_window_unref(evs_window *window);
/** Type of result rows, *borrowed until* the window is released. @threads any @since 0.1 */
EVS_API const evs_type *evs_window_result_type(const evs_window *window);
/** Type of late rows: the input's fields, then window_start, window_end (newest refused),
 * windows_refused, windows_accepted, lateness_ms (watermark - event time), watermark (when the row
 * was judged); a name that the input has already gets the prefix "late_". *Borrowed until* the
 * window is released. @threads any @since 0.1 */
EVS_API const evs_type *evs_window_late_type(const evs_window *window);
/** The window's own appender; full batches are pushed by themselves, the rest by the next push,
 * advance, take or snapshot. *borrowed until* the window is released. @threads one at a time @since
 * 0.1 */
EVS_API evs_appender *evs_window_appender(evs_window *window);
/**
 * Push rows as columns; the batch is only read. Rows without event time, with a NULL key, or for
 * which an expression fails are rejected (see evs_window_reject_fn).
 *
 * @returns EVS_OK; EVS_ERR_INVALID; EVS_ERR_TYPE (another type than the schema's); EVS_ERR_LIMIT
 * (state bound reached: the batch was not taken, take or advance first); EVS_ERR_NOMEM (nothing was
 * taken); EVS_ERR_MISUSE (EVS_TIME_PROCESSING before the first evs_window_advance())
 * @threads one at a time
 * @since 0.1
 */
EVS_API evs_status evs_window_push(evs_window *window, evs_batch *batch, evs_error **reterr);
/** Move the watermark; one that goes back is ignored. With EVS_TIME_PROCESSING it is the host's
 * clock, to be told before the first row. @returns EVS_OK; EVS_ERR_INVALID; EVS_ERR_NOMEM;
 * EVS_ERR_LIMIT (rows appended before do not fit: time has not moved, take first) @threads one at a
 * time @since 0.1 */
EVS_API evs_status evs_window_advance(evs_window *window, int64_t watermark_ms, evs_error **reterr);
/** The watermark; EVS_TIME_NONE before the first. @threads one at a time @since 0.1 */
EVS_API int64_t evs_window_watermark(const evs_window *window);
/**
 * Next batch of results. EVS_EMIT_CHANGES: what changed since the last take.
 *
 * @param ret_batch receives a *new reference* that outlives the window
 * @returns EVS_OK; EVS_END (no more now); EVS_ERR_INVALID; EVS_ERR_NOMEM (nothing is lost: call
 * again); EVS_ERR_LIMIT (rows appended before do not fit, and nothing is left to take)
 * @threads one at a time
 * @since 0.1
 */
EVS_API evs_status evs_window_take(evs_window *window, evs_batch **ret_batch, evs_error **reterr);
/** Next batch of late rows, as data. @returns as evs_window_take() @threads one at a time @since
 * 0.1 */
EVS_API evs_status evs_window_take_late(evs_window *window,
                                        evs_batch **ret_batch,
                                        evs_error **reterr);

/** A row that the window could not take: stage ("event_time", "null_key", "expression"), status,
 * message; the row is *borrowed until* return. */
typedef void (*evs_window_reject_fn)(
    const char *stage, evs_status status, const char *message, const evs_row *row, void *user_data);
/** Where rejected rows go; without it they are only counted. @callback in push, advance, take
 * @threads one at a time @since 0.1 */
EVS_API void evs_window_on_reject(evs_window *window, evs_window_reject_fn fn, void *user_data);
/** Counters, for tests and metrics: "rows", "late", "rejected", "open_windows", "keys",
 * "state_bytes"; -1 for another name. @threads one at a time @since 0.1 */
EVS_API int64_t evs_window_counter(const evs_window *window, const char *name);

/**
 * All state as bytes (checksummed), results not yet taken included.
 *
 * @param ret_data *borrowed until* the next call on the window
 * @returns EVS_OK; EVS_ERR_INVALID; EVS_ERR_NOMEM; EVS_ERR_LIMIT (rows appended before do not fit)
 * @threads one at a time
 * @since 0.1
 */
EVS_API evs_status evs_window_snapshot(evs_window *window,
                                       const void **ret_data,
                                       size_t *ret_len,
                                       evs_error **reterr);
/** Replace the state by a snapshot of a window made with the same schema, keys, aggregates and
 * options; names and state_bytes_max may differ. Rows in the appender are dropped. @returns EVS_OK;
 * EVS_ERR_INVALID; EVS_ERR_CORRUPT; EVS_ERR_STATE (another window); EVS_ERR_LIMIT (more than
 * state_bytes_max); EVS_ERR_NOMEM; the window is unchanged on failure @threads one at a time @since
 * 0.1 */
EVS_API evs_status evs_window_restore(evs_window *window,
                                      const void *data,
                                      size_t len,
                                      evs_error **reterr);

EVS_END_DECLS

#endif
