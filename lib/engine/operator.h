/*
 * engine/operator.h: the shape of every operator: batches in, batches out, time as an input.
 * Sans-I/O and replayable.
 *
 *     process(batch) --> emit(port, batch) ...            port 0: results, port 1: late rows
 *     advance(slot, watermark) --> closes windows, emits
 *     flush() --> emit=changes results (before a commit, per poll)
 *
 * An operator belongs to one task and is never called on two threads at once. A failed process()
 * with EVS_ERR_NOMEM or EVS_ERR_LIMIT has taken nothing of the batch. Rows that cannot be processed
 * go to reject() and do not fail the call.
 */
#ifndef EVS_ENGINE_OPERATOR_H
#define EVS_ENGINE_OPERATOR_H

#include "expr/expr.h"

#define EVS__PORT_MAIN 0
#define EVS__PORT_LATE 1

/* stages of dead letters; the names are part of the envelope (docs/architecture.md) */
#define EVS__STAGE_DECODE "decode"
#define EVS__STAGE_SCHEMA "schema"
#define EVS__STAGE_EVENT_TIME "event_time"
#define EVS__STAGE_FUTURE "future"
#define EVS__STAGE_EXPRESSION "expression"
#define EVS__STAGE_LATE "late"
#define EVS__STAGE_NULL_KEY "null_key"
#define EVS__STAGE_HOST "host"
#define EVS__STAGE_SINK "sink"

typedef struct evs__out {
    void *user;
    /* takes its own references; a failure is passed on and ends the call that emitted */
    evs_status (*emit)(void *user, int port, evs_batch *batch, evs_error **reterr);
    void (*reject)(void *user,
                   const evs_batch *batch,
                   uint32_t row,
                   const char *stage,
                   evs_status status,
                   const char *message);
    /* rows that were dropped on purpose (dedup, sample, limit), and that came too late to be
     * judged (no rows of their own port); or NULL */
    void (*counted)(void *user, uint32_t left_out, uint32_t late);
} evs__out;

typedef struct evs__operator evs__operator;
typedef struct evs__operator_functions {
    const char *kind; /* "filter", "window" ... */
    evs_status (*process)(
        evs__operator *op, evs_batch *in, int64_t now_ms, const evs__out *out, evs_error **reterr);
    /* slot's watermark (idle: it holds nobody back) after everything processed so far; NULL: the
     * caller passes it on */
    evs_status (*advance)(evs__operator *op,
                          uint32_t slot,
                          int64_t watermark,
                          bool idle,
                          int64_t now_ms,
                          const evs__out *out,
                          evs_error **reterr);
    evs_status (*flush)(evs__operator *op,
                        int64_t now_ms,
                        const evs__out *out,
                        evs_error **reterr); /* or NULL */
    evs_status (*snapshot)(evs__operator *op,
                           evs__buffer *out,
                           evs_error **reterr); /* or NULL: no state */
    evs_status (*restore)(evs__operator *op,
                          const void *data,
                          size_t len,
                          evs_error **reterr); /* unchanged on failure */
    /* all inputs are through: what is open closes, and time goes no further than that needs, so
     * that a later run with more input goes on behind it; or NULL */
    evs_status (*end)(evs__operator *op, int64_t now_ms, const evs__out *out, evs_error **reterr);
    void (*reset)(evs__operator *op); /* as new: before a replay from the start; or NULL */
    int64_t (*watermark)(
        const evs__operator *op); /* what it passes on downstream, for operators with advance */
    int64_t (*next_ms)(
        const evs__operator *op); /* host clock time at which advance should be called anyway
                                     (processing time); INT64_MAX never; or NULL */
    int64_t (*counter)(const evs__operator *op,
                       const char *name); /* "rows", "late", "open_windows", "keys", "left_out",
                                             "state_bytes"; -1 unknown; or NULL */
    void (*free)(evs__operator *op);
} evs__operator_functions;

struct evs__operator {
    const evs__operator_functions *fn;
    evs_context *ctx;
    const evs_type *in_type;   /* referenced */
    const evs_type *out_type;  /* referenced */
    const evs_type *late_type; /* or NULL */
};

/* Makers. Texts are parsed and typed here, so a plan is checked by making its operators once. */
evs_status evs__filter_new(evs_context *ctx,
                           const evs_type *in,
                           const char *condition,
                           evs__operator **ret,
                           evs_error **reterr);
evs_status evs__project_new(evs_context *ctx,
                            const evs_type *in,
                            const char *expressions,
                            evs__operator **ret,
                            evs_error **reterr);
evs_status evs__explode_new(evs_context *ctx,
                            const evs_type *in,
                            const char *array,
                            const char *alias,
                            evs__operator **ret,
                            evs_error **reterr);
evs_status evs__apply_new(evs_context *ctx,
                          const evs_type *in,
                          const evs_type *out,
                          evs_apply_fn fn,
                          void *user_data,
                          evs__operator **ret,
                          evs_error **reterr);

/* keep the rows of one key in `one_in`, by a hash of the keys */
evs_status evs__sample_new(evs_context *ctx,
                           const evs_type *in,
                           const char *keys,
                           int64_t one_in,
                           evs__operator **ret,
                           evs_error **reterr);

struct evs_dedup_options;
struct evs_limit_options;
/* `slots`, `rule`: see evs__window_op_new(). The watermark passes on as it is. */
evs_status evs__dedup_new(evs_context *ctx,
                          const evs_type *in,
                          const char *keys,
                          const struct evs_dedup_options *options,
                          uint32_t slots,
                          int32_t rule,
                          evs__operator **ret,
                          evs_error **reterr);
evs_status evs__limit_new(evs_context *ctx,
                          const evs_type *in,
                          const char *keys,
                          const struct evs_limit_options *options,
                          uint32_t slots,
                          int32_t rule,
                          evs__operator **ret,
                          evs_error **reterr);

#define EVS__TOP_BYTES_MAX ((size_t)1 << 30)
/* the best `n` rows of each window (rows of one event time) and `per`; order: "views DESC, page" */
evs_status evs__top_new(evs_context *ctx,
                        const evs_type *in,
                        const char *per,
                        const char *order,
                        int64_t n,
                        size_t state_bytes_max,
                        uint32_t slots,
                        int32_t rule,
                        evs__operator **ret,
                        evs_error **reterr);

struct evs_window_options;
const char *evs__calendar_name(int32_t unit);
/* `slots`: how many upstream partitions feed it (watermark slots); `rule`: evs_time_rule */
evs_status evs__window_op_new(evs_context *ctx,
                              const evs_type *in,
                              const char *keys,
                              const char *aggregates,
                              const struct evs_window_options *options,
                              uint32_t slots,
                              int32_t rule,
                              evs__operator **ret,
                              evs_error **reterr);
/* number of key columns in front of its result type */
uint32_t evs__window_op_key_count(const evs__operator *op);
/* hashes of the key expressions for the selected rows, for the exchange: hashes[k] of the k-th
 * selected row. Row failures are left to the window itself. */
typedef struct evs__key_hasher evs__key_hasher;
evs_status evs__key_hasher_new(evs_context *ctx,
                               const evs_type *in,
                               const char *keys,
                               evs__key_hasher **ret,
                               evs_error **reterr);
evs_status
evs__key_hasher_run(evs__key_hasher *h, const evs_batch *in, uint64_t *hashes, evs_error **reterr);
void evs__key_hasher_free(evs__key_hasher *h);
/* who slots are, for people */
typedef struct evs__slot_names {
    void (*name)(void *user, uint32_t slot, evs__buffer *out);
    /* host clock since which it stands where it is, and now; false: not known */
    bool (*since)(void *user, uint32_t slot, int64_t *ret_since, int64_t *ret_now);
    void *user;
} evs__slot_names;
/* why a window is open, one line a fact: watermark, slot that holds it and since when, window end +
 * grace, what is missing. `names` NULL: slots by number */
evs_status evs__window_op_explain(const evs__operator *op,
                                  int64_t window_start,
                                  const evs__slot_names *names,
                                  evs__buffer *out);

/* where a reading of the table goes on; all 0 but `window`: at its beginning */
typedef struct evs__table_place {
    uint32_t key_id;
    int64_t window; /* of the key: its family's number of the next one; INT64_MIN: the first */
} evs__table_place;
/*
 * The next rows of open windows that begin in [from, to), as they are now: all keys', or only those
 * of `key` (columns of the result's key types, row 0). Nothing is given out by that. EVS_OK: *ret
 * has rows; EVS_AGAIN: none so far, go on; EVS_END: no more; EVS_ERR_UNSUPPORTED; EVS_ERR_NOMEM.
 */
evs_status evs__window_op_read(evs__operator *op,
                               evs__column *const *key,
                               int64_t from,
                               int64_t to,
                               evs__table_place *place,
                               evs_batch **ret);

static inline void evs__operator_free(evs__operator *op)
{
    if (op)
        op->fn->free(op);
}

#endif
