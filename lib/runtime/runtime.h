/*
 * runtime/runtime.h: what runs a plan.
 *
 *   source.c     read -> runs of one partition -> queue of the partition
 *   reader.c     run -> decode -> meta columns, event time, watermark -> flow
 *   flow.c       stateless operators behind a source or a shard (one instance a worker or shard)
 *   stage.c      a window: shards, each with its lock, operator and flow behind it (the exchange)
 *   sink.c       writes with retry; inputs wait while one is blocked
 *   commit.c     epochs: barrier, flush, snapshot, authority, others, group offsets
 *   schedule.c   what a worker does next; driven.c (the host's loop) and threaded.c share it
 *
 *      partition queues        workers                 shards (by key)
 *      [run run] p0 --\   decode, time, flow   +--> lock s0 { window op, flow, sinks }
 *      [run]     p1 ---->  worker 0, 1 ...  ---+--> lock s1 { ... }
 *
 * A partition's runs are processed in order, by one worker at a time. The exchange is a direct call
 * under the lock of the shard, so nothing is ever in flight between workers: when all workers stand
 * still, every row that was read is either in a partition's queue (its offset is not counted) or
 * completely processed. That is the barrier of a commit. The order of slots within a shard is the
 * only thing that depends on the number of workers, and results do not depend on it.
 *
 * Locks, each before those behind it:
 *
 *   read_lock (table.c) -> shard (of a stage before that of a later stage) -> each_lock -> sink ->
 * dead letters -> source
 *       -> block_lock, typing_lock, metrics, `lock`
 *
 * The last four are leaves: nothing else is taken under them, and no host code runs. A connector's
 * read runs under its source's lock; when it gives up a partition the lock is let go
 * for the commit (source.c), which needs the others. Who holds the last two of the first line may
 * run code of a connector only; who holds the first two may run host code: evs_each under the lock
 * of the shard the rows come from, which keeps the order of a key's results. Calls out of host code
 * that would wait for a lock or a worker are refused (calls.c); a push is not, its lock is behind.
 *
 * Who may touch what:
 *
 *   `lock`          phase, error; everything of the scheduler: lists, queues, busy, running, still
 *   standing still  commit, epoch, images, state, positions of the last epoch, recovery; who made
 *                   the others stand still has them for itself (under `lock` when it looks only)
 *   busy            position, time and told_* of a partition belong to the worker that marked it
 *   source's lock   its handle's calls, trouble, assignment, back-off; only one worker reads
 *   sink's lock     its handle's calls, what waits, trouble, back-off
 *   shard's lock    operator, flow behind it, told_*
 *   the opener      all that is made while the pipeline opens (worker 0, or the driver); others see
 *                   it once `phase` has left OPENING; the plan's types by typing_lock
 *   the host        next_ms, texts of the handle, has_thread: "one at a time", as the interface
 * says atomics         what connectors' threads set (woken, connecting, wake_set) or all may ask
 */
#ifndef EVS_RUNTIME_RUNTIME_H
#define EVS_RUNTIME_RUNTIME_H

#include <pthread.h>

#include "plan/plan.h"
#include "runtime/metrics.h"

#define EVS__WORKERS_MAX 64
#define EVS__IDLE_POLL_MS 100 /* sources are asked that often though they did not wake us */

typedef struct evs__runtime evs__runtime;
typedef struct evs__source evs__source;
typedef struct evs__partition evs__partition;
typedef struct evs__run evs__run;
typedef struct evs__read_block evs__read_block;
typedef struct evs__flow evs__flow;
typedef struct evs__stage evs__stage;
typedef struct evs__shard evs__shard;
typedef struct evs__sink evs__sink;
typedef struct evs__worker evs__worker;

/* ---- reads ---- */

/* what one read of a connector brought, until its last run is gone */
struct evs__read_block {
    atomic_int refs;
    evs_context *ctx;
    evs__source *source;           /* NULL: the source was closed */
    evs__read_block *next, **link; /* among the source's, under its block_lock */
    void *handle;                  /* for release */
};

/* events of one partition that follow each other */
struct evs__run {
    evs__lease lease; /* of the batches made from it */
    evs_context *ctx;
    evs__run *next;
    evs__partition *partition;
    evs__read_block *block; /* or NULL: columns without events */
    evs_batch *batch;       /* ready columns, or NULL */
    evs_input *made;        /* inputs made for ready columns: where their rows came from */
    const evs_input *inputs;
    size_t count;
};

/* ---- sources ---- */

typedef struct evs__position {
    int64_t offset; /* next one to process; -1: not known yet */
    evs__partition_time time;
} evs__position;

struct evs__partition {
    evs__source *source;
    uint32_t topic;
    int32_t number;
    uint32_t slot; /* among all partitions of the source */
    atomic_bool assigned;
    bool positioned;      /* its position is known; only the reader looks at this */
    bool check_committed; /* compare the group's position before the first event */
    atomic_bool paused;
    evs__position now;      /* behind everything processed */
    evs__position epoch;    /* of the last commit */
    int64_t told_watermark; /* to the stages */
    bool told_idle;
    atomic_int_least64_t seen_watermark; /* now.time, for the alignment of others */
    atomic_bool seen_idle;
    atomic_int_least64_t moved_ms; /* clock when its watermark moved last, or it became ours */
    /* scheduling, under rt->lock */
    bool busy;   /* a worker has it */
    bool listed; /* in the ready or waiting list */
    bool at_end; /* when last looked at, and nothing was read since */
    bool aside;  /* in the waiting list */
    size_t queued_rows;
    evs__run *head, *tail;
    evs__partition *next_listed;
    evs__metric *events, *bytes, *watermark, *lag, *event_lag;
};

struct evs__source {
    evs__runtime *rt;
    const evs__node *node;
    const evs_source_functions *fn;
    void *handle;
    evs_source_host host;
    pthread_mutex_t lock; /* around calls of `fn`; recursive: the log of a call may push */
    pthread_mutex_t block_lock;
    evs__read_block *blocks; /* not released yet */
    evs__time_options time;
    int64_t alignment_ms;
    const char *const *topics;
    const int32_t *partition_counts;
    size_t topic_count;
    const char *identity;
    evs__partition *partitions; /* all topics', one after the other */
    uint32_t partition_count;
    uint32_t assigned_count;
    bool had_all;             /* all partitions have been ours */
    int64_t partial_since_ms; /* some are another member's; EVS_TIME_NONE: not so */
    bool described;
    atomic_bool ended;
    bool changed; /* assignments changed within the read */
    bool in_read; /* the lock is held by a read, from which the connector may call back */
    bool seconds_warned;
    bool held; /* the last read took control events only */
    atomic_bool woken;
    atomic_bool connecting;
    atomic_int_least64_t next_read_ms; /* not before, unless woken */
    int64_t retry_ms;
    int64_t backoff_ms;
    evs_error *trouble; /* retriable error of the last read */
    size_t queued_rows; /* in the queues of partitions that do not wait; under rt->lock */
};

/* ---- flows and stages ---- */

/* one instance of the stateless operators behind a source or a shard, up to windows and sinks */
struct evs__flow {
    evs__runtime *rt;
    uint32_t slot;       /* of what comes out of a shard, for windows behind it */
    evs__operator **ops; /* by node; NULL where the flow does not go */
    evs__key_hasher **hashers;
    uint64_t *hashes; /* scratch of the exchange */
    uint32_t *sel;
    uint32_t *counts;
    uint32_t capacity;
};

struct evs__shard {
    pthread_mutex_t lock;
    evs__stage *stage;
    evs__operator *op;
    evs__flow flow;
    uint32_t index;
    int64_t told_watermark; /* to the stages behind it */
    bool told_idle;
};

struct evs__stage {
    evs__runtime *rt;
    const evs__node *node;
    const evs_type *in_type; /* referenced */
    evs__shard *shards;
    uint32_t shard_count;
    uint32_t slots;
    bool in_place; /* no exchange: shard = slot, and the operator has one slot */
    evs__metric *late, *state_bytes, *open_windows, *keys;
};

struct evs__worker {
    evs__runtime *rt;
    uint32_t index;
    pthread_t thread;
    bool has_thread;            /* `thread` is to be joined; only the host's calls look at it */
    pthread_t self;             /* as the thread itself says, ... */
    atomic_bool alive;          /* ... when this is set */
    evs__flow *flows;           /* by source */
    evs_decoder **decoders;     /* by source; NULL: ready columns only */
    evs__expr **times;          /* by source: event.time, or NULL */
    const evs_type **row_types; /* by source: decoded columns, then meta columns */
};

/* ---- sinks ---- */

typedef struct evs__pending {
    struct evs__pending *next;
    evs_batch *batch;
} evs__pending;

struct evs__sink {
    evs__runtime *rt;
    const evs__node *node;
    const evs_sink_functions *fn;
    void *handle;
    evs_schema *schema;
    evs_sink_identity identity;
    pthread_mutex_t lock;
    evs__pending *head, *tail; /* batches that wait, in order */
    atomic_bool blocked;       /* something waits: inputs do too */
    evs_error *trouble;        /* why a retry is due */
    int64_t retry_ms;
    int64_t backoff_ms;
    int64_t next_poll_ms;
    evs_batch *writing; /* of the row failures within a write */
    evs_status row_status;
    evs__metric *rows, *retries, *failed_rows, *waiting;
};

/* ---- commits ---- */

typedef enum evs__commit_phase {
    EVS__COMMIT_IDLE,
    EVS__COMMIT_OPERATORS, /* flush what changed */
    EVS__COMMIT_WRITE,     /* pending batches reach their sinks */
    EVS__COMMIT_FLUSH,     /* sinks confirm */
    EVS__COMMIT_LETTERS,   /* rows that sinks refused on the way reach the dead letters ... */
    EVS__COMMIT_CONFIRM,   /* ... and are confirmed there */
    EVS__COMMIT_SNAPSHOT,
    EVS__COMMIT_AUTHORITY, /* the transactional sink */
    EVS__COMMIT_OTHERS,
    EVS__COMMIT_SOURCES, /* offsets of consumer groups */
    EVS__COMMIT_ABORT    /* given up: back to the last epoch */
} evs__commit_phase;

typedef struct evs__commit {
    evs__commit_phase phase;
    uint32_t at;   /* sink in turn */
    int64_t epoch; /* of the commit that goes on */
    int64_t begun_ms;
    int64_t retry_ms; /* not before; INT64_MIN: now */
    int64_t backoff_ms;
    evs_error *trouble;
    char *offsets; /* text for sinks */
} evs__commit;

typedef enum evs__phase {
    EVS__PHASE_OPENING,
    EVS__PHASE_RUNNING,
    EVS__PHASE_ENDING, /* all sources are through: windows close, the last commit */
    EVS__PHASE_ENDED,
    EVS__PHASE_CLOSED,
    EVS__PHASE_FAILED
} evs__phase;

struct evs__store;
struct evs__dead_letter_box;

struct evs__runtime {
    evs_pipeline *pipeline;
    evs__plan *plan;
    evs_context *ctx;
    evs__hooks hooks;
    int64_t clock_base_ms; /* wall clock minus monotonic clock, at start */

    evs__source *sources;
    uint32_t source_count;
    evs__sink *sinks; /* dead letters included */
    uint32_t sink_count;
    evs__sink *authority;   /* or NULL */
    evs__stage **stages;    /* by node; NULL for others */
    evs__metric **left_out; /* by node; NULL for those that drop no rows on purpose */
    evs__worker *workers;   /* EVS__WORKERS_MAX, worker_count of them made */
    uint32_t worker_count;
    uint32_t workers_wanted;
    struct evs__dead_letter_box *box;
    struct evs__store *store; /* state.dir, or NULL */
    evs__buffer image; /* without one: the last epoch's snapshot, when an abort may need it */
    evs__buffer next_image;
    bool keep_image;
    pthread_mutex_t each_lock;
    pthread_mutex_t read_lock;   /* held while a host reads tables: stages stay */
    pthread_mutex_t typing_lock; /* the plan's types change, once, while the pipeline opens */

    /* opening */
    uint32_t opened_sinks;
    bool built, recovered;
    bool disconnected; /* connectors close: no commit any more */
    int64_t opening_since_ms;
    int64_t open_retry_ms, open_backoff_ms;
    evs_error *open_trouble; /* under lock */
    bool state_trouble;      /* it is of state.dir; under lock */
    atomic_bool replay;      /* a sink lost what was written since the last epoch */

    evs__commit commit;
    int64_t epoch; /* last committed; 0: none */
    int64_t next_commit_ms;
    int64_t commit_interval_ms;
    int32_t commit_group; /* of its sinks; unique in the context, never 0 */
    atomic_bool dirty;    /* something happened since the last commit */
    bool untold;          /* a consumer group did not learn the last epoch's offsets */
    bool committed;       /* an epoch, in this run */
    bool windows_ended;   /* end.close_windows was done */
    bool died;            /* a test ended it inside a commit */

    /* scheduling */
    pthread_mutex_t lock;
    pthread_cond_t cond;
    evs__phase phase;
    evs__partition *ready, *ready_tail;
    evs__partition *waiting; /* ahead of the others by more than `alignment` */
    int32_t running;         /* workers inside a job */
    int32_t still; /* one thread has it all, everybody else waits; how often it asked for it */
    pthread_t still_owner;
    uint64_t wakes; /* number of wake-ups, so that none is missed */
    bool reading;   /* a worker is inside a read: one at a time, since a read may have to commit */
    bool commit_wanted;
    bool stopping;
    atomic_bool threaded;
    atomic_bool driving; /* `driver` is inside a call that works */
    _Atomic(pthread_t) driver;
    uint32_t next_source;
    int64_t next_tick_ms;
    int64_t looked_ms;  /* when a worker last looked for work; INT64_MAX: never */
    int64_t unheard_ms; /* sum of the gaps in that: no time for the clocks of quiet partitions */
    bool gap;           /* just now: what was fetched meanwhile comes before the clocks */
    bool gaps;          /* there was one */
    int64_t next_pump_ms;
    evs_error *error; /* why it failed */

    int wake_fd, timer_fd, epoll_fd;
    atomic_bool wake_set;
    int64_t next_ms; /* what evs_pipeline_next_ms() says, as a time of the clock */

    evs__metrics metrics;
    evs__metric *commits, *commit_failures, *aborts, *commit_seconds, *epoch_gauge;
    evs__metric *batches, *batch_rows, *latency;
};

/* ---- calls.c ---- */
/* whether this thread is in a call of the pipeline, that is, in a callback of the host */
bool evs__is_inside(const evs__runtime *rt);
/* EVS_ERR_MISUSE when it is */
evs_status evs__refuse_inside(const evs__runtime *rt, const char *what, evs_error **reterr);
/* the same, and it is from now on, until evs__leave() */
evs_status evs__enter(evs__runtime *rt, const char *what, evs_error **reterr);
void evs__leave(evs__runtime *rt);

/* ---- clock.c ---- */
/* the wall clock, which never goes back while the pipeline lives; tests replace it */
int64_t evs__now_ms(const evs__runtime *rt);
int64_t evs__monotonic_ms(void);
int64_t evs__clock_base_ms(void);
/* twice `*backoff`, between the two options */
int64_t evs__next_backoff(const evs__runtime *rt, int64_t *backoff);

/* ---- connectors.c ---- */
const evs_connector *evs__connector_find(evs_context *ctx, const char *name, evs_error **reterr);

/* ---- open.c ---- */
/* check the plan, freeze it, make the runtime */
evs_status evs__runtime_new(evs_pipeline *pipeline, evs_error **reterr);
void evs__runtime_free(evs__runtime *rt);
/* open the sources that the host pushes into: they wait for nobody */
evs_status evs__runtime_open_pushed(evs__runtime *rt, evs_error **reterr);
/* EVS_OK: running; EVS_AGAIN: call again */
evs_status evs__runtime_open(evs__runtime *rt, evs_error **reterr);
evs__phase evs__runtime_phase(evs__runtime *rt);
/* keep the first failure, stop; returns its status */
evs_status evs__runtime_fail(evs__runtime *rt, evs_error *error);
void evs__runtime_close_connectors(evs__runtime *rt);

/* ---- source.c ---- */
evs_status evs__source_open(evs__source *s, evs_error **reterr);
/* EVS_AGAIN: not known yet */
evs_status evs__source_describe(evs__source *s, evs_error **reterr);
void evs__source_close(evs__source *s);
/* one read into partition queues: EVS_OK, EVS_AGAIN, EVS_END */
evs_status evs__source_read(evs__source *s, size_t max, int64_t now_ms, evs_error **reterr);
void evs__run_free(evs__run *run);
/* drop everything queued */
void evs__source_drop_runs(evs__source *s);
evs_status evs__source_seek_back(evs__source *s, evs_error **reterr);
evs_status evs__source_commit(evs__source *s, evs_error **reterr);

/* ---- reader.c ---- */
evs_status evs__worker_init(evs__worker *w, evs_error **reterr);
void evs__worker_free(evs__worker *w);
evs_status evs__worker_process(evs__worker *w, evs__run *run, int64_t now_ms, evs_error **reterr);
/* clocks of quiet partitions, `anew`: they begin now; *ret_next: when to call again */
evs_status evs__partitions_tick(
    evs__runtime *rt, bool anew, int64_t now_ms, int64_t *ret_next, evs_error **reterr);

/* ---- event_time.c ---- */
/* fill batch->times from the column of event.time; rows that cannot be read go to `out` */
evs_status evs__event_times(
    evs__source *s, evs__expr *time, evs_batch *batch, const evs__out *out, evs_error **reterr);
/* columns of the record around the event, behind those of `batch` */
evs_status evs__meta_columns(evs__source *s,
                             const evs_type *row_type,
                             evs_batch *batch,
                             const evs__out *out,
                             evs_batch **ret,
                             evs_error **reterr);

/* ---- flow.c ---- */
/* make the operators behind `node`, whose rows are of `in`; stages are made on the way */
evs_status evs__flow_init(evs__flow *flow,
                          evs__runtime *rt,
                          const evs__node *node,
                          const evs_type *in,
                          const evs_type *late,
                          uint32_t slots,
                          evs_error **reterr);
void evs__flow_free(evs__flow *flow);
evs_status evs__flow_push(
    evs__flow *flow, const evs__node *node, evs_batch *batch, int64_t now_ms, evs_error **reterr);
evs_status evs__flow_advance(evs__runtime *rt,
                             const evs__node *node,
                             uint32_t slot,
                             int64_t watermark,
                             bool idle,
                             int64_t now_ms,
                             evs_error **reterr);
/* what operators of a flow report */
typedef struct evs__hop {
    evs__flow *flow;
    const evs__node *node;
    int64_t now_ms;
} evs__hop;
evs__out evs__hop_out(evs__hop *hop);

/* ---- stage.c ---- */
evs_status evs__stage_new(evs__runtime *rt,
                          const evs__node *node,
                          const evs_type *in,
                          uint32_t slots,
                          evs_error **reterr);
void evs__stage_free(evs__stage *stage);
evs_status evs__stage_send(
    evs__flow *from, evs__stage *stage, evs_batch *batch, int64_t now_ms, evs_error **reterr);
evs_status evs__stage_advance(evs__stage *stage,
                              uint32_t slot,
                              int64_t watermark,
                              bool idle,
                              int64_t now_ms,
                              evs_error **reterr);
evs_status evs__stages_flush(evs__runtime *rt, int64_t now_ms, evs_error **reterr);
/* sources are through: windows close */
evs_status evs__stages_end(evs__runtime *rt, int64_t now_ms, evs_error **reterr);
/* processing time: what operators want from the clock; *ret_next as evs__partitions_tick() */
evs_status
evs__stages_tick(evs__runtime *rt, int64_t now_ms, int64_t *ret_next, evs_error **reterr);
void evs__stages_reset(evs__runtime *rt);
/* Its state was replaced: tell the stages behind it anew. Who is silent is found out anew, too: a
 * backlog may wait since the snapshot was made. */
void evs__shard_restored(evs__shard *s);
void evs__stages_measure(evs__runtime *rt);

/* ---- explain.c ---- */
evs_status evs__stage_explain(const evs__stage *stage, int64_t window_start_ms, evs__buffer *out);

/* ---- sink.c ---- */
evs_status evs__sink_start(evs__sink *s, evs_error **reterr);
void evs__sink_stop(evs__sink *s);
evs_status evs__sink_put(evs__sink *s, evs_batch *batch, int64_t now_ms, evs_error **reterr);
/* what the server refused after it was written becomes dead letters; under the sink's lock */
void evs__sink_take_refused(evs__sink *s);
/* pending writes and timers: EVS_OK, EVS_AGAIN (still blocked) */
evs_status evs__sink_pump(evs__sink *s, int64_t now_ms, evs_error **reterr);
evs_status evs__sinks_pump(evs__runtime *rt, int64_t now_ms, int64_t *ret_next, evs_error **reterr);
bool evs__sinks_blocked(const evs__runtime *rt);
/* forget what waits, undo what the sink can undo */
evs_status evs__sink_abort(evs__sink *s, evs_error **reterr);

/* ---- dead_letter.c ---- */
evs_status evs__dead_letters_new(evs__runtime *rt, evs_error **reterr);
void evs__dead_letters_free(evs__runtime *rt);
/* one event or row; batch or input may be NULL */
void evs__dead_letter_add(evs__runtime *rt,
                          const evs__node *node,
                          const evs_input *input,
                          const evs_batch *batch,
                          uint32_t row,
                          const char *stage,
                          evs_status status,
                          const char *message);
/* where they go; NULL: nowhere */
evs__sink *evs__dead_letters_sink(evs__runtime *rt);
/* to the sink; also tells what on_error=fail or missing memory demands */
evs_status evs__dead_letters_flush(evs__runtime *rt, int64_t now_ms, evs_error **reterr);
void evs__dead_letters_drop(evs__runtime *rt);

/* ---- commit.c, recover.c ---- */
/* go on with the commit, or begin one: EVS_OK (done), EVS_AGAIN (call again, not before
 * commit.retry_ms) */
evs_status evs__commit_step(evs__runtime *rt, int64_t wait_ms, evs_error **reterr);
/* whether an epoch would say anything new; the others stand still */
bool evs__commit_is_needed(const evs__runtime *rt);
/* load what belongs to the last epoch; operators are built, nothing was read */
evs_status evs__recover(evs__runtime *rt, evs_error **reterr);
/* back to the last epoch, in the same process; sinks before `*at` have undone their part. What
 * fails retriably may be called again. */
evs_status evs__rollback(evs__runtime *rt, uint32_t *at, evs_error **reterr);
bool evs__dies(evs__runtime *rt, const char *step);

/* ---- schedule.c ---- */
typedef enum evs__did {
    EVS__DID_WORK,
    EVS__DID_NOTHING, /* *ret_next_ms says when something is due */
    EVS__DID_END      /* nothing will ever be due */
} evs__did;
evs__did evs__work(evs__worker *w, int64_t *ret_next_ms);
void evs__queue_run(evs__run *run);
/* a worker is through with a partition it had marked busy */
void evs__partition_done(evs__partition *p);
/* all other workers stand still until evs__go_on(); called and returns with rt->lock held.
 * `inside`: the caller is in the middle of a job (a read), which counts as running. */
void evs__stand_still(evs__runtime *rt, bool inside);
void evs__go_on(evs__runtime *rt);
/* a commit now, up to the time-out; the caller has the pipeline for itself. A failure for good is
 * the pipeline's (evs__runtime_fail). */
evs_status evs__commit_now(evs__runtime *rt, int64_t timeout_ms, evs_error **reterr);
void evs__wake(evs__runtime *rt);

/* ---- driven.c, threaded.c ---- */
void evs__pause_ms(int64_t ms);
evs_status evs__wake_init(evs__runtime *rt, evs_error **reterr);
void evs__wake_free(evs__runtime *rt);
evs_status evs__threads_start(evs__runtime *rt, evs_error **reterr);
void evs__threads_stop(evs__runtime *rt);

#endif
