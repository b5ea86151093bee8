/*
 * evstream/batch.h: rows in columns. A batch holds up to 4,096 rows (results of a window may hold
 * more), the columns of one STRUCT type, and per row: event time, row kind and, from a source,
 * where the row came from.
 *
 *            column 0   column 1          event_time  kind
 *   row 0    "/a"       12.5       ...    1000        insert
 *   row 1    "/b"       NULL       ...    1007        insert
 *
 * A selection vector says which physical rows count, in which order; without one all rows do.
 * Strings are either owned (Arrow offsets and bytes) or, inside a poll, views into message
 * payloads. A batch that the host receives from a callback is *borrowed until* the callback
 * returns; to keep it, take evs_batch_keep(), which gathers views into owned buffers.
 */
#ifndef EVSTREAM_BATCH_H
#define EVSTREAM_BATCH_H

#include "evstream/arrow.h"
#include "evstream/type.h"

#define EVS_BATCH_ROWS_MAX 4096

/** Event time of a row that has none. */
#define EVS_TIME_NONE INT64_MIN

typedef enum evs_row_kind {
    EVS_ROW_INSERT = 0,
    EVS_ROW_UPDATE = 1,
    EVS_ROW_DELETE = 2
} evs_row_kind;

typedef enum evs_layout {
    EVS_LAYOUT_OWNED = 0, /* Arrow layout */
    EVS_LAYOUT_VIEW = 1   /* VARCHAR and BYTES: values is an array of evs_string_view */
} evs_layout;

typedef struct evs_batch evs_batch;

/** Bytes that belong to somebody else; not terminated. `data` may be NULL when len is 0. */
typedef struct evs_string_view {
    const char *data;
    size_t len;
} evs_string_view;

/**
 * A frozen read-only view of one column: filled by evs_batch_column() and evs_column_child(),
 * *borrowed until* the batch is released. All arrays are indexed by physical row.
 */
typedef struct evs_column_view {
    const evs_type *type;
    int64_t length; /* physical rows */
    const uint8_t
        *validity; /* one bit a row, least significant first, 1 = not NULL; NULL: no row is NULL */
    const void *values; /* fixed-width values; BOOLEAN: bits; VARCHAR, BYTES: the bytes (owned) or
                           evs_string_view array (views) */
    const int32_t *offsets; /* VARCHAR, BYTES (owned), ARRAY, MAP: length + 1 */
    const void *handle;     /* of evs_column_child() */
    int32_t layout;         /* evs_layout */
    int32_t child_count;    /* STRUCT: fields; ARRAY: 1; MAP: 1 (its STRUCT of key and value) */
} evs_column_view;

/**
 * One row of a batch, for host code that works row by row. Small: pass it by value or pointer.
 * *Borrowed until* the batch is released. Text from FFI: use the accessor functions.
 */
typedef struct evs_row {
    const evs_batch *batch;
    const void *reserved; /* NULL: a row of the batch; otherwise a nested struct */
    uint32_t index;       /* physical row */
    uint32_t reserved2;
} evs_row;

EVS_BEGIN_DECLS

/** One more reference; returns `batch`. Keeps views valid no longer than before: see
 * evs_batch_keep(). @threads any @since 0.1 */
EVS_API evs_batch *evs_batch_ref(evs_batch *batch);
/** One reference less; NULL is allowed. @returns NULL @threads any @since 0.1 */
EVS_API evs_batch *evs_batch_unref(evs_batch *batch);

/**
 * A batch that may be kept: the same batch when all its columns are owned and it has no selection,
 * otherwise a gathered copy.
 *
 * @param ret_batch receives a *new reference*
 * @returns EVS_OK; EVS_ERR_INVALID; EVS_ERR_NOMEM; EVS_ERR_LIMIT (more than 2 GiB of text in one
 * column)
 * @threads any, while nobody changes the batch
 * @since 0.1
 */
EVS_API evs_status evs_batch_keep(evs_batch *batch, evs_batch **ret_batch, evs_error **reterr);

/** The STRUCT type of the rows, *borrowed until* the batch is released. @threads any @since 0.1 */
EVS_API const evs_type *evs_batch_type(const evs_batch *batch);
/** Rows that count (selected). @threads any @since 0.1 */
EVS_API size_t evs_batch_rows(const evs_batch *batch);
/** The selection vector: evs_batch_rows() physical indices; NULL: rows 0 .. evs_batch_rows()-1.
 * @threads any @since 0.1 */
EVS_API const uint32_t *evs_batch_selection(const evs_batch *batch);
/** Event times by physical row in ms; NULL when the rows carry none. @threads any @since 0.1 */
EVS_API const int64_t *evs_batch_times(const evs_batch *batch);
/** Row kinds (evs_row_kind) by physical row; NULL: all are inserts. @threads any @since 0.1 */
EVS_API const uint8_t *evs_batch_kinds(const evs_batch *batch);
/**
 * Fill a view of a column.
 *
 * @param index field of evs_batch_type()
 * @returns EVS_OK; EVS_ERR_INVALID (out of range)
 * @threads any
 * @since 0.1
 */
EVS_API evs_status evs_batch_column(const evs_batch *batch,
                                    size_t index,
                                    evs_column_view *ret_view);
/** Fill a view of a nested column. @returns EVS_OK; EVS_ERR_INVALID (out of range) @threads any
 * @since 0.1 */
EVS_API evs_status evs_column_child(const evs_column_view *view,
                                    size_t index,
                                    evs_column_view *ret_view);
/** Text or bytes of a VARCHAR or BYTES column at a physical row, for both layouts; {NULL, 0} when
 * NULL. @threads any @since 0.1 */
EVS_API evs_string_view evs_column_string(const evs_column_view *view, int64_t row);

/**
 * Export as an Arrow STRUCT array (one child a column), with its schema. Owned columns are not
 * copied: the array holds a reference to the batch until its release callback runs, which may be
 * after everything else was closed. Views and selections are gathered first. With `with_meta`,
 * columns `_time` (timestamp ms) and `_kind` (int8) are appended.
 *
 * @param ret_schema may be NULL
 * @returns EVS_OK; EVS_ERR_INVALID; EVS_ERR_NOMEM; EVS_ERR_LIMIT
 * @threads any, while nobody changes the batch; the release callbacks: any
 * @since 0.1
 */
EVS_API evs_status evs_batch_export_arrow(evs_batch *batch,
                                          bool with_meta,
                                          struct ArrowSchema *ret_schema,
                                          struct ArrowArray *ret_array,
                                          evs_error **reterr);

/**
 * Export batches as an Arrow stream that gives one array a batch. Nothing is copied but views and
 * selections; the stream holds references to the batches until its release callback runs.
 *
 * @param type of all batches, a STRUCT: the stream's schema, also when there is no batch
 * @param batches not NULL unless count is 0; *new references* kept
 * @param with_meta see evs_batch_export_arrow()
 * @returns EVS_OK; EVS_ERR_INVALID; EVS_ERR_TYPE (a batch of another type); EVS_ERR_NOMEM;
 * EVS_ERR_LIMIT
 * @threads any, while nobody changes the batches; the stream's callbacks: one at a time
 * @since 0.1
 */
EVS_API evs_status evs_batches_export_arrow(const evs_type *type,
                                            evs_batch *const *batches,
                                            size_t count,
                                            bool with_meta,
                                            struct ArrowArrayStream *ret_stream,
                                            evs_error **reterr);

/**
 * Import an Arrow STRUCT array as a batch. Columns whose layout is ours are not copied (bool,
 * int32, int64, float64, decimal128, utf8, binary, date32, time32[ms], timestamp[ms], list, map
 * with text keys, struct); the others (narrower and unsigned integers, float32, smaller decimals,
 * large and fixed-size variants, other units of time), slices inside a byte of bits and columns
 * with rubbish under NULLs are converted once. On success array and schema are *transferred*: their
 * release callbacks run when nothing of the batch points into them any more, at the latest with its
 * last reference; on failure they stay the caller's.
 *
 * @param time_column name of the column with the event time (TIMESTAMP, DATE or BIGINT ms), which
 * stays a column too, or NULL
 * @returns EVS_OK; EVS_ERR_INVALID (also: no such time column, two columns of one name);
 * EVS_ERR_UNSUPPORTED (an Arrow type without counterpart, named); EVS_ERR_CORRUPT (offsets, lengths
 * or values that do not fit, text that is not UTF-8); EVS_ERR_LIMIT (more than 2^31 rows, elements
 * or bytes of text); EVS_ERR_NOMEM
 * @threads one at a time
 * @since 0.1
 */
EVS_API evs_status evs_batch_import_arrow(evs_context *context,
                                          struct ArrowSchema *schema,
                                          struct ArrowArray *array,
                                          const char *time_column,
                                          evs_batch **ret_batch,
                                          evs_error **reterr);

/** The i-th selected row. @param i below evs_batch_rows() @returns a view @threads any @since 0.1
 */
EVS_API evs_row evs_batch_row(const evs_batch *batch, size_t i);

/** Event time in ms; EVS_TIME_NONE when the row has none. @threads any @since 0.1 */
EVS_API int64_t evs_row_time(const evs_row *row);
/** The row's kind. @threads any @since 0.1 */
EVS_API evs_row_kind evs_row_get_kind(const evs_row *row);
/** Index of a field by name, or -1. @threads any @since 0.1 */
EVS_API int32_t evs_row_field(const evs_row *row, const char *name);
/** Whether a field is NULL; also true when there is no such field. @threads any @since 0.1 */
EVS_API bool evs_row_is_null(const evs_row *row, int32_t field);
/**
 * Values by field index. Each returns EVS_OK; EVS_END when the value is NULL (ret_value untouched);
 * EVS_ERR_TYPE when the field has another type; EVS_ERR_INVALID when there is no such field.
 * Widening is done: INT as int64 and double, BIGINT, TIMESTAMP, DATE, TIME as int64; DECIMAL as
 * double.
 * @threads any @since 0.1
 */
EVS_API evs_status evs_row_bool(const evs_row *row, int32_t field, bool *ret_value);
/** See evs_row_bool(). @threads any @since 0.1 */
EVS_API evs_status evs_row_int(const evs_row *row, int32_t field, int64_t *ret_value);
/** See evs_row_bool(). @threads any @since 0.1 */
EVS_API evs_status evs_row_double(const evs_row *row, int32_t field, double *ret_value);
/** VARCHAR and BYTES; *borrowed until* the batch is released. See evs_row_bool(). @threads any
 * @since 0.1 */
EVS_API evs_status evs_row_string(const evs_row *row,
                                  int32_t field,
                                  const char **ret_data,
                                  size_t *ret_len);
/** A STRUCT field as a row. See evs_row_bool(). @threads any @since 0.1 */
EVS_API evs_status evs_row_struct(const evs_row *row, int32_t field, evs_row *ret_row);
/**
 * Any value as text, JSON for nested ones (decimals with scale, times as RFC 3339), NUL-terminated
 * into `buffer`.
 *
 * @param ret_len receives the length needed without the NUL; more than `size - 1` means it was cut
 * @returns EVS_OK; EVS_END (NULL); EVS_ERR_INVALID; EVS_ERR_NOMEM
 * @threads any
 * @since 0.1
 */
EVS_API evs_status
evs_row_text(const evs_row *row, int32_t field, char *buffer, size_t size, size_t *ret_len);

/*
 * Appender: rows in, a batch out. The setters return nothing: a wrong type or too many values is
 * kept and told by evs_append_end_row(), with field and row; that row is not appended. Fields are
 * set in order; one that is not set when the row ends is NULL if nullable, otherwise an error.
 */
typedef struct evs_appender evs_appender;

/**
 * An appender of its own, for batches of `type` (a STRUCT).
 *
 * @returns EVS_OK with a *new reference*; EVS_ERR_INVALID; EVS_ERR_NOMEM
 * @threads one at a time
 * @since 0.1
 */
EVS_API evs_status evs_appender_new(evs_context *context,
                                    const evs_type *type,
                                    evs_appender **ret_appender,
                                    evs_error **reterr);
/** Release; NULL is allowed. @returns NULL @threads one at a time @since 0.1 */
EVS_API evs_appender *evs_appender_unref(evs_appender *appender);
/** Event time of the row being built, ms. @threads one at a time @since 0.1 */
EVS_API void evs_append_time(evs_appender *appender, int64_t time_ms);
/** Kind of the row being built; insert when not called. @threads one at a time @since 0.1 */
EVS_API void evs_append_kind(evs_appender *appender, evs_row_kind kind);
/** Next field is NULL. @threads one at a time @since 0.1 */
EVS_API void evs_append_null(evs_appender *appender);
/** Next field, BOOLEAN. @threads one at a time @since 0.1 */
EVS_API void evs_append_bool(evs_appender *appender, bool value);
/** Next field: INT (range checked), BIGINT, TIMESTAMP (ms), DATE (days), TIME (ms), DOUBLE,
 * DECIMAL. @threads one at a time @since 0.1 */
EVS_API void evs_append_int(evs_appender *appender, int64_t value);
/** Next field, DOUBLE. @threads one at a time @since 0.1 */
EVS_API void evs_append_double(evs_appender *appender, double value);
/** Next field, VARCHAR (checked to be UTF-8) or BYTES; *copied*. @threads one at a time @since 0.1
 */
EVS_API void evs_append_string(evs_appender *appender, const char *data, size_t len);
/** Next field, DECIMAL from text "19.90"; too many digits is an error. @threads one at a time
 * @since 0.1 */
EVS_API void evs_append_decimal(evs_appender *appender, const char *text);
/** Open the next field, an ARRAY, MAP or STRUCT: the setters now fill it (MAP: key, value, key,
 * value ...) until evs_append_end(). @threads one at a time @since 0.1 */
EVS_API void evs_append_begin(evs_appender *appender);
/** Close what evs_append_begin() opened. @threads one at a time @since 0.1 */
EVS_API void evs_append_end(evs_appender *appender);
/**
 * End the row.
 *
 * @returns EVS_OK; EVS_ERR_TYPE, EVS_ERR_INVALID, EVS_ERR_OVERFLOW, EVS_ERR_SCHEMA (invalid UTF-8,
 * NULL in NOT NULL): the first fault of the row, origin = field path, message = field and row; the
 * row is dropped and the next one may be begun; EVS_ERR_NOMEM, EVS_ERR_LIMIT (2^24 rows or 2 GiB of
 * text not taken): the row is dropped; for an appender of a window or pipeline also what pushing a
 * full batch returns: then the row was appended, and the batch is pushed again with the next rows
 * @threads one at a time
 * @since 0.1
 */
EVS_API evs_status evs_append_end_row(evs_appender *appender, evs_error **reterr);
/** Rows since the last take. @threads one at a time @since 0.1 */
EVS_API size_t evs_appender_rows(const evs_appender *appender);
/**
 * The rows so far as a batch; the appender starts anew.
 *
 * @param ret_batch receives a *new reference*
 * @returns EVS_OK; EVS_END (no rows); EVS_ERR_MISUSE (inside a row; or the appender belongs to a
 * window or pipeline); EVS_ERR_NOMEM
 * @threads one at a time
 * @since 0.1
 */
EVS_API evs_status evs_appender_take(evs_appender *appender,
                                     evs_batch **ret_batch,
                                     evs_error **reterr);

EVS_END_DECLS

#endif
