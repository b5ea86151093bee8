/*
 * evstream/connector.h: what a source or a sink is. A connector is one struct of functions; the
 * built-in ones (kafka, file, memory, callback, console, sqlite, redis) use this header, the public
 * data headers and nothing else, so a connector of the host's own is as good as they are.
 *
 *   source:  open -> [assign / start positions] -> read, release, read, release ... -> commit ->
 * close sink:    open -> recover -> write ... flush -> commit(epoch) | abort -> close
 *
 * No function is called on two threads at once for one opened source or sink. Callbacks into the
 * runtime (evs_source_host) are allowed only inside a call of the connector's functions.
 */
#ifndef EVSTREAM_CONNECTOR_H
#define EVSTREAM_CONNECTOR_H

#include "evstream/codec.h"

/** Type of an option's value. */
typedef enum evs_option_type {
    EVS_OPTION_STRING = 1,
    EVS_OPTION_INT = 2,      /* decimal, within min..max */
    EVS_OPTION_DURATION = 3, /* milliseconds, or with a unit: 250ms 10s 5m 1h 7d; "forever" */
    EVS_OPTION_BYTES = 4,    /* bytes, or with a unit: 64k 32m 1g */
    EVS_OPTION_BOOL = 5,     /* true | false */
    EVS_OPTION_DOUBLE = 6,
    EVS_OPTION_ENUM = 7,  /* one of `values`, separated by "|" */
    EVS_OPTION_SECRET = 8 /* a string that is never printed */
} evs_option_type;

/** "forever" of a duration. */
#define EVS_FOREVER INT64_MAX

/** One row of a configuration table. Frozen; a table is constant. */
typedef struct evs_option_info {
    const char *name;
    const char *default_value; /* NULL: none; with `required`, it must be set */
    const char *values;        /* EVS_OPTION_ENUM: "earliest|latest" */
    const char *doc;           /* one sentence, no trailing dot */
    const char *since;
    int64_t min;
    int64_t max;  /* both 0: no range */
    int32_t type; /* evs_option_type */
    int32_t required;
} evs_option_info;

/** Guarantees a sink can give, best first. */
typedef enum evs_guarantee {
    EVS_GUARANTEE_TRANSACTIONAL =
        1, /* results, epoch and offsets in one transaction of its own: exactly once */
    EVS_GUARANTEE_IDEMPOTENT = 2, /* writing the same result again changes nothing */
    EVS_GUARANTEE_TWO_PHASE = 3,  /* becomes visible at commit */
    EVS_GUARANTEE_AT_LEAST_ONCE = 4
} evs_guarantee;

/** Checked options of an opened connector: the runtime validated them against its table. Accessors
 * take a name of the table. */
typedef struct evs_config evs_config;

/* ---- source ---- */

/** What a read brought. Arrays belong to the source until release. */
typedef struct evs_read {
    const evs_input *inputs; /* raw events, of any partitions, in order within each; or NULL */
    evs_batch *batch;        /* or ready columns (*new reference* transferred to the caller), all of
                                `batch_partition` */
    void *handle;            /* given back to release() */
    size_t count;            /* of inputs */
    int64_t batch_offset;    /* offset of the batch's first row; rows count up from it */
    int32_t batch_partition;
    int32_t reserved;
} evs_read;

typedef enum evs_partition_state {
    EVS_PARTITION_FETCHING = 0, /* connected, more may be there */
    EVS_PARTITION_AT_END = 1,   /* connected, everything that exists was read */
    EVS_PARTITION_DISCONNECTED = 2
} evs_partition_state;

/** What a source tells the runtime, and may ask of it. */
typedef struct evs_source_host {
    size_t struct_size;
    void *runtime;
    const char *application_id; /* default name of a consumer group; NULL: none */
    /** Partitions now belong to this source; the runtime answers with the position to start from
     * (-1: the source's own default, e.g. committed or auto.offset.reset; -2: refused, the source
     * reports the error that follows). */
    int64_t (*assigned)(void *runtime, uint32_t topic, int32_t partition);
    /** Partitions are taken away: the runtime commits what it can before it returns. Until then
     * other functions of the source than read may be called, on other threads too. */
    void (*revoking)(void *runtime, uint32_t topic, int32_t partition, bool lost);
    /** Level-triggered wake-up: data or events may be there; callable from any thread, cheap. */
    void (*wake)(void *runtime);
    /** "connecting", "connected", ...: shown by evs_pipeline_state(). */
    void (*state)(void *runtime, const char *state);
    evs_schema *schema; /* of the events as the options describe it; NULL: the source may know it
                           (schema() below). *borrowed until* close */
} evs_source_host;

typedef struct evs_source_functions {
    size_t struct_size;
    const evs_option_info *options; /* table, ends with name NULL */
    /** Open; must not block on a server. `host` is *borrowed until* close. */
    evs_status (*open)(evs_context *context,
                       const evs_config *config,
                       const evs_source_host *host,
                       void **ret_source,
                       evs_error **reterr);
    /** Names of topics / files and number of partitions of each. EVS_AGAIN while not known yet.
     * *borrowed until* close. */
    evs_status (*describe)(void *source,
                           const char *const **ret_topics,
                           const int32_t **ret_partitions,
                           size_t *ret_count,
                           evs_error **reterr);
    /** Identity of what is read ("cluster id"), to refuse a snapshot of another one; "" if none;
     * *borrowed until* close. EVS_AGAIN while not known. */
    evs_status (*identity)(void *source, const char **ret_identity, evs_error **reterr);
    /**
     * Take up to `max` events without waiting longer than `wait_ms`. EVS_OK with ret_read filled;
     * EVS_AGAIN: nothing now; EVS_END: bounded source is through. A retriable error is reported and
     * the call repeated later.
     */
    evs_status (*read)(
        void *source, size_t max, int64_t wait_ms, evs_read *ret_read, evs_error **reterr);
    /** Done with what a read brought; may be called from any thread, in any order. NULL if nothing
     * is to be released. */
    void (*release)(void *source, void *handle);
    /** State of a partition, for idle_timeout and close_after. */
    evs_partition_state (*partition_state)(void *source, uint32_t topic, int32_t partition);
    /** Highest offset known to exist + 1, for consumer lag; -1 unknown. NULL allowed. */
    int64_t (*end_offset)(void *source, uint32_t topic, int32_t partition);
    /** Continue reading a partition at an offset (after an aborted commit). Messages read before it
     * and not yet released stay valid. */
    evs_status (*seek)(
        void *source, uint32_t topic, int32_t partition, int64_t offset, evs_error **reterr);
    /** Stop and go on fetching a partition (standstills of seconds only). NULL allowed. */
    evs_status (*pause)(
        void *source, uint32_t topic, int32_t partition, bool paused, evs_error **reterr);
    /** Tell the outside how far the pipeline is (group offsets): next offset per partition.
     * EVS_AGAIN: on the way, not yet acknowledged. NULL allowed. */
    evs_status (*commit)(void *source,
                         const uint32_t *topics,
                         const int32_t *partitions,
                         const int64_t *offsets,
                         size_t count,
                         evs_error **reterr);
    /** Headers of an input. NULL allowed. *borrowed until* release. */
    evs_status (*headers)(void *source,
                          const evs_input *input,
                          const evs_header **ret_headers,
                          size_t *ret_count);
    /** Schema of a source that knows it by itself (Avro container file, header of a CSV file,
     * memory with a type): a *new reference*; EVS_END: it does not. Its Avro values carry no
     * framing. Asked once, before the first read. NULL allowed. */
    evs_status (*schema)(void *source, evs_schema **ret_schema, evs_error **reterr);
    /** A committed position from outside (consumer group) for a partition, -1 none: the runtime
     * refuses one beyond its snapshot. NULL allowed. */
    evs_status (*committed)(
        void *source, uint32_t topic, int32_t partition, int64_t *ret_offset, evs_error **reterr);
    /** Rows from the host (evs_stream_push() and its kin): one raw event (*copied*; its partition
     * counts), or a batch (*new reference* taken) for `partition`, or both NULL: no more will come.
     * Offsets count up from 0 in each partition. NULL: the source takes no rows from the host. */
    evs_status (*push)(void *source,
                       const evs_input *input,
                       evs_batch *batch,
                       int32_t partition,
                       evs_error **reterr);
    /** Close in bounded time; every read was released before. */
    void (*close)(void *source);
} evs_source_functions;

/* ---- sink ---- */

/** Which pipeline writes; *borrowed until* close. */
typedef struct evs_sink_identity {
    const char *application_id;
    const char *sink_name; /* unique within the pipeline */
    int32_t task;          /* -1: the one instance of the pipeline */
    int32_t key_count; /* leading columns that identify a result (grouping keys, then window_start
                          when windowed); 0: rows are appended */
    int32_t windowed;  /* 1: the last key column is window_start and window_end follows it */
    int32_t commit_group; /* not 0: the same for all sinks of a pipeline, and for none else of the
                             context. They are told the same epochs, so those that write to one
                             store may share a transaction there, which is complete when each of
                             them was told the epoch; 0: this sink is by itself */
} evs_sink_identity;

/** A row that a sink had taken and its server refused afterwards: key and value as they were sent,
 * with the timestamp; offset -1. Text and bytes are *borrowed until* return. */
typedef void (*evs_refused_fn)(const evs_input *message,
                               evs_status status,
                               const char *reason,
                               void *user_data);

typedef struct evs_sink_functions {
    size_t struct_size;
    const evs_option_info *options; /* table, ends with name NULL */
    int32_t guarantee;              /* evs_guarantee: the best it can do */
    int32_t reserved;
    /** Open for rows of `schema`. `identity` is a view, *borrowed until* close. Must not block
     * longer than its own time-outs. */
    evs_status (*open)(evs_context *context,
                       const evs_config *config,
                       evs_schema *schema,
                       const evs_sink_identity *identity,
                       void **ret_sink,
                       evs_error **reterr);
    /** Transactional sinks: last committed epoch of this application and sink, and the offsets text
     * stored with it (*borrowed until* the next call); epoch -1, text NULL: none yet. NULL
     * otherwise. */
    evs_status (*recover)(void *sink,
                          int64_t *ret_epoch,
                          const char **ret_offsets,
                          evs_error **reterr);
    /**
     * Write the selected rows of a batch; kinds tell insert, update, delete. EVS_AGAIN: no room for
     * all of it now: call again with the same batch, and the sink goes on where it stopped. A row
     * that can never be written is told to `failed` (physical row) and the rest goes on.
     * EVS_ERR_STATE of a sink with abort(): what was written since the last commit is gone; abort()
     * is called, the pipeline goes back to the last epoch and replays.
     */
    evs_status (*write)(void *sink,
                        evs_batch *batch,
                        evs_decode_failed_fn failed,
                        void *user_data,
                        evs_error **reterr);
    /** Everything written so far is with the server (delivery reports are in) when EVS_OK;
     * EVS_AGAIN: still on the way after `wait_ms`. Delivery failures that will not be retried are
     * errors. NULL: `write` leaves nothing on the way. */
    evs_status (*flush)(void *sink, int64_t wait_ms, evs_error **reterr);
    /** Commit what was written since the last commit as `epoch`; `offsets` is opaque text to store
     * beside it. EVS_AGAIN (only in a commit group): not now, called again soon with the same
     * arguments. A retriable failure: called again with the same arguments; a fatal one stops the
     * pipeline; any other: abort() is called, the pipeline goes back to the last epoch and
     * replays. NULL: nothing to do. */
    evs_status (*commit)(void *sink, int64_t epoch, const char *offsets, evs_error **reterr);
    /** Undo what was written since the last commit where the sink can. NULL: it cannot. */
    evs_status (*abort)(void *sink, evs_error **reterr);
    /** Serve timers, terminal refresh, delivery reports; returns in ret_next_ms when it wants to be
     * called again (-1: no need). NULL allowed. */
    evs_status (*poll)(void *sink, int64_t now_ms, int64_t *ret_next_ms, evs_error **reterr);
    /** Close in bounded time. */
    void (*close)(void *sink);
    /** Whether two sinks of one pipeline with these configurations write to one store and commit in
     * one transaction there (commit_group of the identity). Opens nothing; false when in doubt.
     * NULL: never. A struct_size that ends before this field is fine. @since 0.1 */
    bool (*shares_transaction)(const evs_config *a, const evs_config *b);
    /** Tell each row that write() had taken and that the server refused for good since the last
     * call: a dead letter of the pipeline, which goes on. Asked after flush() and poll(). NULL:
     * what a server refuses fails flush(). A struct_size that ends before this field is fine.
     * @since 0.1 */
    void (*refused)(void *sink, evs_refused_fn refused, void *user_data);
} evs_sink_functions;

/** Options that start with the connector's name and a dot ("kafka.") and are in no table pass
 * through unchecked: evs_config_extra(). */
typedef struct evs_connector {
    size_t struct_size;
    const char *name;
    const char *doc;                    /* one line */
    const evs_source_functions *source; /* or NULL */
    const evs_sink_functions *sink;     /* or NULL */
} evs_connector;

/** What a connector module (a shared object of its own) exports under the name
 * `evs_module_connector`. */
typedef const evs_connector *(*evs_module_connector_fn)(void);

EVS_BEGIN_DECLS

/**
 * Make a connector known under its name; from then on it is used like a built-in one. A second one
 * with the same name replaces nothing: EVS_ERR_INVALID.
 *
 * @param connector *borrowed until* the context is released (a constant)
 * @returns EVS_OK; EVS_ERR_INVALID; EVS_ERR_NOMEM
 * @threads one at a time, before pipelines use it
 * @since 0.1
 */
EVS_API evs_status evs_connector_register(evs_context *context,
                                          const evs_connector *connector,
                                          evs_error **reterr);

/*
 * Values of checked options. The name must be one of the connector's table: an unknown name returns
 * NULL, 0 or false. Text is *borrowed until* close. @threads any @since 0.1
 */
/** Text of an option or NULL. @threads any @since 0.1 */
EVS_API const char *evs_config_string(const evs_config *config, const char *name);
/** Integer, duration (ms; EVS_FOREVER) or size (bytes). @threads any @since 0.1 */
EVS_API int64_t evs_config_int(const evs_config *config, const char *name);
/** Number. @threads any @since 0.1 */
EVS_API double evs_config_double(const evs_config *config, const char *name);
/** true or false. @threads any @since 0.1 */
EVS_API bool evs_config_bool(const evs_config *config, const char *name);
/** Whether the host set it (not only the default). @threads any @since 0.1 */
EVS_API bool evs_config_is_set(const evs_config *config, const char *name);
/** Pass-through options, `kafka.NAME` for one: the i-th key (without prefix) and value; NULL after
 * the last. @threads any @since 0.1 */
EVS_API const char *evs_config_extra(const evs_config *config, size_t i, const char **ret_value);
/** All options that were set, as an evs_options view, for evs_encoder_new() and evs_decoder_new()
 * to pick theirs (format, framing, ...); *borrowed until* close. @threads any @since 0.1 */
EVS_API const evs_options *evs_config_options(const evs_config *config);

/**
 * Hang something on a context that several connectors or objects share (a client, an embedded
 * cluster); it is released with the context, newest first.
 *
 * @param name unique, e.g. "mylib.pool"; *copied*
 * @param value *transferred on success*
 * @returns EVS_OK; EVS_ERR_INVALID; EVS_ERR_MISUSE (the name is taken: another thread was faster);
 * EVS_ERR_NOMEM
 * @threads any
 * @since 0.1
 */
EVS_API evs_status evs_context_attach(evs_context *context,
                                      const char *name,
                                      void *value,
                                      void (*free_fn)(evs_context *context, void *value),
                                      evs_error **reterr);
/** What was attached under a name, *borrowed until* the context is released; NULL if nothing.
 * @threads any @since 0.1 */
EVS_API void *evs_context_attached(evs_context *context, const char *name);

/* Tools for connectors, on the context's allocator and log. */
/** Memory of the context's allocator; NULL when there is none. @threads any @since 0.1 */
EVS_API void *evs_alloc(evs_context *context, size_t size);
/** As evs_alloc(), all zero, `count * size` checked for overflow. @threads any @since 0.1 */
EVS_API void *evs_alloc_array(evs_context *context, size_t count, size_t size);
/** Grow or shrink; on failure NULL and `ptr` stays. @threads any @since 0.1 */
EVS_API void *evs_realloc_array(evs_context *context, void *ptr, size_t count, size_t size);
/** Copy of a text. @threads any @since 0.1 */
EVS_API char *evs_strdup(evs_context *context, const char *text);
/** Release; NULL is allowed. @threads any @since 0.1 */
EVS_API void evs_free(evs_context *context, void *ptr);
/** Make an error: fills *reterr (if wanted) and returns `status`, so that `return
 * evs_error_set(...)` reads well. @threads any @since 0.1 */
EVS_API evs_status
evs_error_set(evs_context *context, evs_error **reterr, evs_status status, const char *format, ...)
    EVS_PRINTF(4, 5);
/** Mark the error in *reterr as retriable, fatal, or with a Kafka code or origin (NULL: unchanged);
 * does nothing on NULL. @threads any @since 0.1 */
EVS_API void evs_error_annotate(evs_context *context,
                                evs_error **reterr,
                                bool retriable,
                                bool fatal,
                                int32_t kafka_code,
                                const char *origin);
/** Put a prefix before the message of *reterr: "sink \"out\": ...". @threads any @since 0.1 */
EVS_API void evs_error_prefix(evs_context *context, evs_error **reterr, const char *format, ...)
    EVS_PRINTF(3, 4);
/** One line to the host's log. @threads any @since 0.1 */
EVS_API void
evs_log(evs_context *context, int32_t level, const char *where, const char *format, ...)
    EVS_PRINTF(4, 5);

/* A sink without a pipeline. */
typedef struct evs_sink_handle evs_sink_handle;
/**
 * Open a sink by connector name for rows of `schema`'s type.
 *
 * @param key_count leading columns that identify a row (upsert key); 0: append
 * @returns EVS_OK with a *new reference*; EVS_ERR_NOT_FOUND (connector; the message lists the known
 * ones); EVS_ERR_CONFIG; what the connector returns
 * @threads one at a time
 * @blocks as the connector does
 * @since 0.1
 */
EVS_API evs_status evs_sink_open(evs_context *context,
                                 const char *connector,
                                 const evs_options *options,
                                 evs_schema *schema,
                                 int32_t key_count,
                                 evs_sink_handle **ret_sink,
                                 evs_error **reterr);
/** Write a batch. A row that can never be written is an error of the call (first one), the others
 * are written. @returns EVS_OK; EVS_AGAIN; the connector's failures @threads one at a time @since
 * 0.1 */
EVS_API evs_status evs_sink_write(evs_sink_handle *sink, evs_batch *batch, evs_error **reterr);
/** Flush and commit as `epoch` (rising). A row that the server refused for good is an error of the
 * call (first one), after everything else is committed. @returns EVS_OK; EVS_ERR_TIMEOUT; the
 * connector's failures @threads one at a time @blocks until flushed @since 0.1 */
EVS_API evs_status evs_sink_commit(evs_sink_handle *sink, int64_t epoch, evs_error **reterr);
/** Last committed epoch of a transactional sink, -1 if none. @threads one at a time @since 0.1 */
EVS_API evs_status evs_sink_recover(evs_sink_handle *sink, int64_t *ret_epoch, evs_error **reterr);
/** Close; NULL is allowed. What was not committed is undone where the sink can. @returns NULL
 * @threads one at a time @since 0.1 */
EVS_API evs_sink_handle *evs_sink_close(evs_sink_handle *sink);

EVS_END_DECLS

#endif
