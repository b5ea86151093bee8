/*
 * data/batch.h: inside of evs_batch, and what travels with rows through the engine.
 *
 * Physical rows are rows of the columns; `sel` (count entries) says which of them count. Times,
 * kinds and origins are per physical row.
 *
 * Origin: which input of which read a row came from. A lease keeps the inputs (message payloads)
 * alive while any batch that views them, or may have to show them in a dead letter, lives; the last
 * reference gives them back to the source.
 *
 *    lease -> inputs[0..n)      batch.origin[row] = index into inputs        string views point
 * into inputs[i].value
 */
#ifndef EVS_DATA_BATCH_H
#define EVS_DATA_BATCH_H

#include "data/column.h"
#include "evstream/codec.h"

typedef struct evs__lease evs__lease;
struct evs__lease {
    atomic_int refs;
    const evs_input *inputs;
    size_t count;
    void *owner; /* of release */
    void *handle;
    void (*release)(evs__lease *lease); /* frees the lease too */
};
static inline evs__lease *evs__lease_ref(evs__lease *l)
{
    if (l)
        atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
    return l;
}
static inline void evs__lease_unref(evs__lease *l)
{
    if (l && atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) == 1)
        l->release(l);
}

struct evs_batch {
    atomic_int refs;
    evs_context *ctx;
    const evs_type *type; /* STRUCT, referenced */
    uint32_t rows;        /* physical */
    uint32_t count;       /* that count: rows when sel is NULL */
    uint32_t *sel;        /* owned; ascending unless an operator says otherwise */
    uint32_t column_count;
    uint32_t aux_capacity; /* rows there is room for in times, kinds, origin, row_watermark */
    evs__column **columns;
    int64_t *times;    /* or NULL */
    uint8_t *kinds;    /* or NULL: all inserts */
    uint32_t *origin;  /* index into lease->inputs, or NULL */
    evs__lease *lease; /* or NULL */
    /*
     * Event-time progress (engine/watermark.h). All rows of a batch come from one upstream slot
     * (source partition). row_watermark[r] is that slot's watermark including physical row r; it
     * never falls from row to row. NULL: rows do not move time (e.g. window results).
     */
    uint32_t slot;
    int64_t *row_watermark;
};

static inline uint32_t evs__batch_row_at(const evs_batch *b, uint32_t k)
{
    return b->sel ? b->sel[k] : k;
}

/* a batch with empty columns of `layout` and room for `capacity` rows */
evs_status evs__batch_new(
    evs_context *ctx, const evs_type *type, evs_layout layout, uint32_t capacity, evs_batch **ret);
/* a batch of `type` without columns (all slots NULL): the caller puts references to columns of
 * `rows` rows there */
evs_status evs__batch_shell(evs_context *ctx, const evs_type *type, uint32_t rows, evs_batch **ret);
/* a shell that shares in's times, kinds, origin, lease, watermark and selection by copying the
 * arrays it needs; columns stay empty */
evs_status evs__batch_like(const evs_batch *in, const evs_type *type, evs_batch **ret);
/* the same rows with another selection (copied); columns are shared */
evs_status evs__batch_select(evs_batch *in, const uint32_t *sel, uint32_t count, evs_batch **ret);
/* rows 0: reset for reuse when nobody else holds it or its columns (selection, times, kinds,
 * origin, lease and row_watermark are gone); false: make a new one. NULL is allowed: false. */
bool evs__batch_reuse(evs_batch *b);
/* room for `rows` rows in all, in the columns and in the arrays beside them */
evs_status evs__batch_reserve(evs_batch *b, uint32_t rows);
/* allocate times / kinds / origin / row_watermark for aux_capacity rows, filled with EVS_TIME_NONE,
 * EVS_ROW_INSERT, 0, EVS_TIME_NONE; nothing to do when they are there */
evs_status evs__batch_need_times(evs_batch *b);
evs_status evs__batch_need_kinds(evs_batch *b);
evs_status evs__batch_need_origin(evs_batch *b);
evs_status evs__batch_need_row_watermark(evs_batch *b);
/* append the rows of src (same shape) that sel picks (NULL: its first `count` physical rows) to
 * dst's columns, with times and kinds; origin and lease are not carried. dst has no selection and
 * is unchanged on failure. */
evs_status
evs__batch_gather(evs_batch *dst, const evs_batch *src, const uint32_t *sel, uint32_t count);
/* an owned, dense batch without origin and lease: the same with a new reference when it is that
 * already, its columns shared when only the lease has to go, otherwise a copy */
evs_status evs__batch_own(evs_batch *in, evs_batch **ret);
size_t evs__batch_bytes(const evs_batch *b);
/* whole row as a JSON object (tests, console, dead letters of columns) */
evs_status evs__batch_row_json(const evs_batch *b, uint32_t row, evs__buffer *out);

/*
 * Serialise owned rows, for snapshots and the wire between tasks: a length-prefixed, checksummed,
 * self-checking form (data/batch_io.c). Reading any bytes is safe: EVS_ERR_CORRUPT. The type must
 * be known to the reader.
 */
evs_status evs__batch_write(const evs_batch *b, evs__buffer *out);
evs_status evs__batch_read(evs_context *ctx,
                           const evs_type *type,
                           const void *data,
                           size_t len,
                           size_t *ret_used,
                           evs_batch **ret);

/* ---- appender ---- */
/* what a full appender does by itself (windows, pipelines push the batch); NULL:
 * evs_appender_take() */
typedef evs_status (*evs__appender_full_fn)(evs_batch *batch, void *user_data, evs_error **reterr);
evs_status evs__appender_new(evs_context *ctx,
                             const evs_type *type,
                             evs__appender_full_fn full,
                             void *user_data,
                             evs_appender **ret);
/* push what is there through `full`; EVS_OK when empty */
evs_status evs__appender_flush(evs_appender *a, evs_error **reterr);
/* default event time of rows that do not call evs_append_time() */
void evs__appender_default_time(evs_appender *a, int64_t time_ms);
/* drop complete rows beyond `rows` and the open one (evs_apply_reject) */
void evs__appender_truncate(evs_appender *a, uint32_t rows);

#endif
