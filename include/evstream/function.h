/*
 * evstream/function.h: functions of the host in expressions, and host code as a step.
 */
#ifndef EVSTREAM_FUNCTION_H
#define EVSTREAM_FUNCTION_H

#include "evstream/batch.h"

/** A value of a scalar function's argument or result. A frozen struct; text is *borrowed until*
 * return (arguments) or copied (result). */
typedef struct evs_value {
    int32_t type; /* evs_type_id of the scalar types; DECIMAL arrives as DOUBLE */
    int32_t is_null;
    int64_t integer;  /* BOOLEAN, INT, BIGINT, TIMESTAMP, DATE, TIME */
    double number;    /* DOUBLE */
    const char *data; /* VARCHAR, BYTES */
    size_t len;
} evs_value;

/**
 * Called once a row. Set *ret_value (its type is preset, is_null is 1). Text must stay valid until
 * the next call. Return EVS_OK, or a failure with a message in `reason` (NUL-terminated, at most
 * reason_size bytes): the row goes to the dead letters, stage "expression".
 */
typedef evs_status (*evs_scalar_fn)(const evs_value *args,
                                    size_t arg_count,
                                    evs_value *ret_value,
                                    char *reason,
                                    size_t reason_size,
                                    void *user_data);

/** Where evs_apply's function puts its rows. */
typedef struct evs_apply_out evs_apply_out;
/**
 * Host code as a step: one row in; for each row out fill the appender of `out`
 * (evs_apply_appender(): event time is preset to the input's) and end the row; or
 * evs_apply_reject(). Return EVS_OK, or a failure, which stops the pipeline.
 */
typedef evs_status (*evs_apply_fn)(const evs_row *row, evs_apply_out *out, void *user_data);

EVS_BEGIN_DECLS

/**
 * Make a host's scalar function known to expressions of this context.
 *
 * @param signature "name(VARCHAR, DOUBLE) RETURNS DOUBLE"
 * @returns EVS_OK; EVS_ERR_INVALID; EVS_ERR_EXPRESSION (signature; or the name is taken);
 * EVS_ERR_NOMEM
 * @threads one at a time, before it is used
 * @callback inside poll, push, or a started worker: then on any worker, several at once
 * @since 0.1
 */
EVS_API evs_status evs_function_register(evs_context *context,
                                         const char *signature,
                                         evs_scalar_fn fn,
                                         void *user_data,
                                         evs_error **reterr);

/** Appender for output rows, *borrowed until* the function returns. @since 0.1 */
EVS_API evs_appender *evs_apply_appender(evs_apply_out *out);
/** The input row goes to the dead letters, stage "host", with this reason (*copied*); rows appended
 * for it are dropped. @since 0.1 */
EVS_API void evs_apply_reject(evs_apply_out *out, const char *reason);

EVS_END_DECLS

#endif
