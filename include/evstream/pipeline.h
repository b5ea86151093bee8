/*
 * evstream/pipeline.h: sources, steps and sinks as one thing that the host runs.
 *
 * A builder call never fails on its own: the first error is kept with the step's name, and
 * evs_pipeline_check(), poll or start returns it. A stream handle is never NULL and *borrowed
 * until* the pipeline is released; after a failure it is the pipeline's error stream. A stream of
 * another pipeline, or a builder call after start, is a defined error (EVS_ERR_MISUSE).
 *
 * "One at a time" means one call on a pipeline at a time, from whichever threads; workers of the
 * pipeline's own do not count. A callback of the pipeline may look at it (state, metrics, explain,
 * check) and push rows; poll, start, wait, commit, close and explain_window from within it are
 * EVS_ERR_MISUSE, and unref is told in the log and not done.
 *
 *   evs_source -> evs_filter, evs_project, evs_explode, evs_apply -> evs_window_by -> evs_sink,
 * evs_each
 *                                                             \-> evs_late
 */
#ifndef EVSTREAM_PIPELINE_H
#define EVSTREAM_PIPELINE_H

#include "evstream/connector.h"
#include "evstream/function.h"
#include "evstream/window.h"

/* what a dedup measures `within_ms` from */
typedef enum evs_dedup_since {
    EVS_DEDUP_SINCE_FIRST = 1, /* rows that passed: a key passes again every within_ms */
    EVS_DEDUP_SINCE_LAST = 2   /* all rows of the key: it passes again after a silence */
} evs_dedup_since;

typedef struct evs_dedup_options {
    size_t struct_size;
    int64_t within_ms;       /* 1 or more; EVS_FOREVER: state grows with the keys */
    int64_t grace_ms;        /* how much longer than it must a dedup remembers; default 0 */
    int64_t state_bytes_max; /* bound of what the step keeps, in each shard; default 1 GiB; reaching
                                it is EVS_ERR_LIMIT and stops the pipeline */
    int32_t since;           /* evs_dedup_since; default first */
    int32_t null_key;        /* evs_null_key; default dead letter */
} evs_dedup_options;

#define EVS_DEDUP_OPTIONS_INIT                                                                     \
    {                                                                                              \
        sizeof(evs_dedup_options), 0, 0, INT64_C(1) << 30, EVS_DEDUP_SINCE_FIRST,                  \
            EVS_NULL_KEY_DEAD_LETTER                                                               \
    }

typedef struct evs_limit_options {
    size_t struct_size;
    int64_t rows;            /* how many of a key pass: 1 or more */
    int64_t per_ms;          /* in each [k * per_ms, (k + 1) * per_ms) of event time */
    int64_t grace_ms;        /* how long after its end such a span still takes rows; default 0 */
    int64_t state_bytes_max; /* as of evs_dedup_options */
    int32_t null_key;        /* evs_null_key; default dead letter */
    int32_t reserved;        /* 0 */
} evs_limit_options;

#define EVS_LIMIT_OPTIONS_INIT                                                                     \
    {                                                                                              \
        sizeof(evs_limit_options), 0, 0, 0, INT64_C(1) << 30, EVS_NULL_KEY_DEAD_LETTER, 0          \
    }

typedef struct evs_pipeline evs_pipeline;
typedef struct evs_stream evs_stream;

/** A row for the host; *borrowed until* return. `kind` is in the row. A failure stops the pipeline
 * with EVS_ERR_CALLBACK. */
typedef evs_status (*evs_each_fn)(const evs_row *row, void *user_data);

EVS_BEGIN_DECLS

/**
 * A pipeline without steps.
 *
 * @param name *copied*; letters, digits, '.', '_', '-'; the default application.id
 * @returns EVS_OK with a *new reference*; EVS_ERR_INVALID; EVS_ERR_NOMEM
 * @threads any
 * @since 0.1
 */
EVS_API evs_status evs_pipeline_new(evs_context *context,
                                    const char *name,
                                    evs_pipeline **ret_pipeline,
                                    evs_error **reterr);
/** Release without commit (close first): what was not committed is replayed at the next start. NULL
 * is allowed. @returns NULL @threads one at a time, not in a callback @since 0.1 */
EVS_API evs_pipeline *evs_pipeline_unref(evs_pipeline *pipeline);

/** Set an option of the pipeline (docs/reference/configuration.md) or one that connectors inherit:
 * kafka.*, schema.registry.*. Errors are kept for check. @threads one at a time @since 0.1 */
EVS_API void evs_pipeline_set(evs_pipeline *pipeline, const char *key, const char *value);

/** Rows of a connector. Options: the connector's, those of the codec (format, columns, schema.file,
 * ...), and of time (event.time, out_of_orderness, ...). @threads one at a time @since 0.1 */
EVS_API evs_stream *
evs_source(evs_pipeline *pipeline, const char *connector, const evs_options *options);
/** As evs_source(), with the schema as an object (*new reference* kept). @threads one at a time
 * @since 0.1 */
EVS_API evs_stream *evs_source_with_schema(evs_pipeline *pipeline,
                                           const char *connector,
                                           evs_schema *schema,
                                           const evs_options *options);
/** Rows for which the condition is TRUE (not NULL). @threads one at a time @since 0.1 */
EVS_API evs_stream *evs_filter(evs_stream *stream, const char *condition);
/** Other columns: "page, load_ms / 1000.0 AS load_s, *"; `*` stands for those that no other item
 * names. @threads one at a time @since 0.1 */
EVS_API evs_stream *evs_project(evs_stream *stream, const char *expressions);
/** A row per element of an ARRAY column; the column is replaced by its element, named `alias`
 * (NULL: the array's name), fields of a STRUCT element are read as alias.field. An expression that
 * gives an ARRAY adds a column. An empty or NULL array gives no row. @threads one at a time @since
 * 0.1 */
EVS_API evs_stream *evs_explode(evs_stream *stream, const char *array, const char *alias);
/** Host code as a step. `out_columns`: column definitions of the rows out. @callback inside poll or
 * a worker; with several workers on several threads at once @threads one at a time @since 0.1 */
EVS_API evs_stream *
evs_apply(evs_stream *stream, const char *out_columns, evs_apply_fn fn, void *user_data);
/** Group and aggregate by window: see evs_window_new(). `options` is *copied*. @threads one at a
 * time @since 0.1 */
EVS_API evs_stream *evs_window_by(evs_stream *stream,
                                  const char *keys,
                                  const evs_window_options *options,
                                  const char *aggregates);
/**
 * The rows of one key in `one_in`: a key is in or out by its value alone, in every run and on every
 * machine. NULL is a key like another. Rows left out are counted: left_out_total.
 *
 * @param keys expressions, at least one: "user_id"
 * @param one_in 1 or more; 1 keeps every row
 * @threads one at a time
 * @since 0.1
 */
EVS_API evs_stream *evs_sample(evs_stream *stream, const char *keys, int64_t one_in);

/** Function twin of EVS_DEDUP_OPTIONS_INIT for a struct of `size` bytes, the caller's sizeof.
 * @threads any @since 0.1 */
EVS_API void evs_dedup_options_init(evs_dedup_options *options, size_t size);
/**
 * Each key once: the first row of a key passes, further rows of it less than `within_ms` away in
 * event time, before or after, are left out and counted (left_out_total).
 *
 * "First" is by arrival; rows of one source partition arrive in its order, so when a key stays in
 * its partition the result is the same for every batch size and number of workers. (Behind a step
 * with other keys, rows of one key have no such order.) A row that comes
 * late is judged like another while its key is remembered: until the watermark has passed the end
 * of its [k * within_ms, (k + 1) * within_ms) by within_ms + grace_ms. A row later than that is not
 * judged: it passes, counted (late_total); windows behind refuse it as late. Rows without event
 * time are dead letters. The input's rows must come once: not the changing results of a window (use
 * EVS_EMIT_FINAL there), no deletes.
 *
 * @param keys expressions, at least one: "order_id"
 * @param options *copied*
 * @threads one at a time
 * @since 0.1
 */
EVS_API evs_stream *
evs_dedup(evs_stream *stream, const char *keys, const evs_dedup_options *options);

/** Function twin of EVS_LIMIT_OPTIONS_INIT for a struct of `size` bytes, the caller's sizeof.
 * @threads any @since 0.1 */
EVS_API void evs_limit_options_init(evs_limit_options *options, size_t size);
/**
 * At most `rows` rows of a key in each `per_ms` of event time, the first ones by arrival (see
 * evs_dedup()); the others are left out and counted (left_out_total), as are rows whose span ended
 * more than grace_ms before the watermark (late_total, too).
 *
 * @param keys expressions; NULL or "": one limit for all rows
 * @param options *copied*
 * @threads one at a time
 * @since 0.1
 */
EVS_API evs_stream *
evs_limit(evs_stream *stream, const char *keys, const evs_limit_options *options);
/**
 * The best `n` rows of each window, in order, once the window is final: evs_top(views, 10, "views
 * DESC, page", NULL). Rows that are equal in the order follow by all their columns, from the first,
 * so the result never depends on the order of arrival. NULL comes first, with DESC last.
 *
 * @param stream results of a window with EVS_EMIT_FINAL; filters and projections that keep the
 * keys, window_start and window_end in front may be between
 * @param n 1 to 10,000
 * @param order expressions, each with ASC (which may be left out) or DESC
 * @param per expressions: the best of each window and these, "region"; NULL: of each window
 * @threads one at a time
 * @since 0.1
 */
EVS_API evs_stream *evs_top(evs_stream *stream, int64_t n, const char *order, const char *per);
/** Late rows of a window stream. Without a sink on it they are dead letters, stage "late". @threads
 * one at a time @since 0.1 */
EVS_API evs_stream *evs_late(evs_stream *window_stream);
/** Keep a stream's rows in a connector. @threads one at a time @since 0.1 */
EVS_API void evs_sink(evs_stream *stream, const char *connector, const evs_options *options);
/** Give a stream's rows to the host. @callback inside poll, or in a worker, one at a time per
 * pipeline @threads one at a time @since 0.1 */
EVS_API void evs_each(evs_stream *stream, evs_each_fn fn, void *user_data);
/** Where bad events go: rows (stage, code, message, topic, partition, offset, timestamp, key,
 * payload, headers). Without it they are counted and logged. @threads one at a time @since 0.1 */
EVS_API void
evs_dead_letters(evs_pipeline *pipeline, const char *connector, const evs_options *options);
/** Type of a stream's rows, *borrowed until* the pipeline is released; NULL while it is not known
 * (a Kafka source whose schema is looked up at start). @threads one at a time @since 0.1 */
EVS_API const evs_type *evs_stream_type(const evs_stream *stream);
/** Name a step, for errors, metrics and explain; otherwise "window_1" and so on. @threads one at a
 * time @since 0.1 */
EVS_API void evs_stream_name(evs_stream *stream, const char *name);

/** Validate and type everything; nothing is opened. @returns EVS_OK; the first kept error @threads
 * one at a time @since 0.1 */
EVS_API evs_status evs_pipeline_check(evs_pipeline *pipeline, evs_error **reterr);
/** The plan as text: steps, types, effective guarantee of each sink, options that were set (secrets
 * masked). @param ret_text *borrowed until* the next call @threads one at a time @since 0.1 */
EVS_API evs_status evs_pipeline_explain(evs_pipeline *pipeline,
                                        const char **ret_text,
                                        evs_error **reterr);
/** A hash of what the pipeline computes: equal for equal plans, kept in snapshots. "" before a
 * successful check. @threads one at a time @since 0.1 */
EVS_API const char *evs_pipeline_fingerprint(evs_pipeline *pipeline);

/**
 * Driven mode: work for at most `budget_ms` (a commit step may exceed it). The first call checks,
 * recovers and opens.
 *
 * @param budget_ms 0: what is there, without waiting; otherwise waits for input up to so long
 * @returns EVS_OK (worked); EVS_AGAIN (nothing to do); EVS_END (all sources are through, windows
 * closed, committed); a failure: not retriable, the pipeline is stopped, committed epochs are safe
 * @threads one at a time
 * @callback evs_each, evs_apply, host functions, log
 * @since 0.1
 */
EVS_API evs_status evs_pipeline_poll(evs_pipeline *pipeline, int64_t budget_ms, evs_error **reterr);
/** A level-triggered descriptor: readable when poll has work or a deadline passed. Owned by the
 * pipeline. -1 before the first poll or check failed. @threads one at a time @since 0.1 */
EVS_API int evs_pipeline_fd(evs_pipeline *pipeline);
/** Milliseconds until poll should be called even if the descriptor stays silent; 0: now; -1: no
 * deadline. @threads one at a time @since 0.1 */
EVS_API int64_t evs_pipeline_next_ms(evs_pipeline *pipeline);

/** Threaded mode: `workers` (1..64) threads run the tasks. @returns EVS_OK; as
 * evs_pipeline_check(); EVS_ERR_MISUSE @threads one at a time @since 0.1 */
EVS_API evs_status evs_pipeline_start(evs_pipeline *pipeline, int32_t workers, evs_error **reterr);
/** Threaded mode: wait until all sources are through or it failed. @returns EVS_OK (through);
 * EVS_AGAIN (time-out); the failure @threads one at a time @blocks up to timeout_ms (-1: no limit)
 * @since 0.1 */
EVS_API evs_status evs_pipeline_wait(evs_pipeline *pipeline,
                                     int64_t timeout_ms,
                                     evs_error **reterr);
/** Commit now what was processed. @returns EVS_OK; the failure @threads one at a time; not in a
 * callback @blocks as sinks need, up to close.timeout.ms @since 0.1 */
EVS_API evs_status evs_pipeline_commit(evs_pipeline *pipeline, evs_error **reterr);
/** Take no more input, commit, close connectors, end threads; in bounded time (close.timeout.ms).
 * What could not be committed is replayed at the next start. @returns EVS_OK; EVS_ERR_TIMEOUT and
 * others when the last commit failed @threads one at a time, not in a callback @blocks up to
 * close.timeout.ms @since 0.1 */
EVS_API evs_status evs_pipeline_close(evs_pipeline *pipeline, evs_error **reterr);

/** "new", "connecting", "running", "retrying: sink_1: ...", "waiting: sink_1: no room" (inputs wait
 * until it takes more), "stopped", "failed: ..."; *borrowed until* the next call. @threads one at a
 * time @since 0.1 */
EVS_API const char *evs_pipeline_state(evs_pipeline *pipeline);
/** One metric by name, summed over its labels ("events_in_total"); names:
 * docs/reference/metrics.md. @returns EVS_OK; EVS_ERR_NOT_FOUND @threads any @since 0.1 */
EVS_API evs_status evs_pipeline_metric(evs_pipeline *pipeline, const char *name, double *ret_value);
/** All metrics as Prometheus text (version 0.0.4); *borrowed until* the next call. @threads one at
 * a time @since 0.1 */
EVS_API evs_status evs_pipeline_metrics_text(evs_pipeline *pipeline,
                                             const char **ret_text,
                                             evs_error **reterr);
/** Why a window of this stream is still open: watermark, which partition holds it and for how long,
 * grace left; *borrowed until* the next call. @threads one at a time @since 0.1 */
EVS_API evs_status evs_pipeline_explain_window(evs_stream *window_stream,
                                               int64_t window_start_ms,
                                               const char **ret_text,
                                               evs_error **reterr);

/** Where a reading of a table goes on; all zero at its beginning (EVS_TABLE_CURSOR_INIT). Frozen;
 * what is in it is the library's. */
typedef struct evs_table_cursor {
    int64_t place[4];
} evs_table_cursor;

#define EVS_TABLE_CURSOR_INIT                                                                      \
    {                                                                                              \
        {                                                                                          \
            0, 0, 0, 0                                                                             \
        }                                                                                          \
    }

/**
 * What the open windows of one key hold now: a row with the columns of the stream, for each window
 * that begins at `window_start_ms` (one, but for cumulating windows). A window that was closed has
 * been given out and is not found any more, nor is a key that no event had.
 *
 * The rule, for this call and evs_table_range(): it may be made at any time between start and close
 * of the pipeline, from any thread, in both modes, but not inside a callback of the pipeline. It
 * waits for the lock of the shard (exchange.partitions) that it reads: for the batch of events that
 * is worked on there, what that gives to sinks included, or for the shard's part of a snapshot; and
 * holds it for up to 4,096 rows or their like of work. Readings wait for each other. So it sees the
 * state after whole batches, each shard at its own moment, and also what is processed but not
 * committed yet: after a crash that is processed again. It changes nothing.
 *
 * @param window_stream of evs_window_by()
 * @param key the grouping keys' values, in their order; type is an evs_type_id that fits the column
 * (INT for BIGINT and TIMESTAMP as well; DECIMAL: text in data); is_null: the key NULL; NULL with a
 * key_count of 0 when there are no grouping keys
 * @param ret_rows receives a *new reference*; the rows are inserts with their event time
 * @returns EVS_OK; EVS_END (nothing there); EVS_ERR_TYPE, EVS_ERR_INVALID (the key); EVS_ERR_MISUSE
 * (not a window's stream, not started, closed, inside a callback); EVS_ERR_UNSUPPORTED (windows of
 * a kind that cannot be read); why the pipeline failed; EVS_ERR_NOMEM
 * @threads any
 * @since 0.1
 */
EVS_API evs_status evs_table_get(evs_stream *window_stream,
                                 const evs_value *key,
                                 size_t key_count,
                                 int64_t window_start_ms,
                                 evs_batch **ret_rows,
                                 evs_error **reterr);
/**
 * Open windows that begin in [from_ms, to_ms): of one key, or of all keys (`key` NULL), some rows a
 * call, in no order but that a key's windows follow each other. See evs_table_get() for the rule. A
 * window of a key that is there from the first call to the last is given exactly once, whatever
 * comes and goes meanwhile.
 *
 * @param cursor EVS_TABLE_CURSOR_INIT at first; the call moves it
 * @returns EVS_OK; EVS_END (no more); as evs_table_get()
 * @threads any, one at a time for a cursor
 * @since 0.1
 */
EVS_API evs_status evs_table_range(evs_stream *window_stream,
                                   const evs_value *key,
                                   size_t key_count,
                                   int64_t from_ms,
                                   int64_t to_ms,
                                   evs_table_cursor *cursor,
                                   evs_batch **ret_rows,
                                   evs_error **reterr);

/** Rows for a `memory` or `callback` source: a batch with the columns of its schema (made with an
 * evs_appender, say), of which a reference is kept; they are taken at the next poll or by a worker.
 * The first push into a pipeline that was not started opens it, as a poll would. @returns EVS_OK;
 * EVS_AGAIN (nothing was taken: the source is full, or its opening is tried again; push the batch
 * again later); EVS_ERR_UNSUPPORTED for another connector; EVS_ERR_MISUSE after the end; why the
 * pipeline failed @threads one at a time @since 0.1 */
EVS_API evs_status evs_stream_push(evs_stream *source,
                                   evs_batch *batch,
                                   int32_t partition,
                                   evs_error **reterr);
/** As evs_stream_push(), one raw event (JSON, Avro ...) for a `memory` source with a format;
 * *copied*. @threads one at a time @since 0.1 */
EVS_API evs_status evs_stream_push_bytes(evs_stream *source,
                                         const void *value,
                                         size_t value_len,
                                         const void *key,
                                         size_t key_len,
                                         int64_t timestamp_ms,
                                         int32_t partition,
                                         evs_error **reterr);
/** A `memory` source gets no more: the pipeline ends when all has been processed. @threads one at a
 * time @since 0.1 */
EVS_API evs_status evs_stream_push_end(evs_stream *source, evs_error **reterr);

EVS_END_DECLS

#endif
