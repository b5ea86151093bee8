/*
 * evstream/error.h: what went wrong, where, and whether trying again can help.
 *
 * A function that can fail takes an `evs_error **reterr` last. It may be NULL (the host does not
 * want the details) or point to a variable that is NULL; on failure it receives a new error that
 * the host releases with evs_error_unref(). On success it is not touched. All accessors accept
 * NULL.
 */
#ifndef EVSTREAM_ERROR_H
#define EVSTREAM_ERROR_H

#include "evstream/status.h"

typedef struct evs_error evs_error;

EVS_BEGIN_DECLS

/** The status; EVS_OK for NULL. @threads any @since 0.1 */
EVS_API evs_status evs_error_status(const evs_error *error);

/**
 * One line, no trailing dot; "" for NULL.
 *
 * @returns *borrowed until* the error is released
 * @threads any
 * @since 0.1
 */
EVS_API const char *evs_error_message(const evs_error *error);

/** Whether the same call may succeed later without a change. @threads any @since 0.1 */
EVS_API bool evs_error_is_retriable(const evs_error *error);

/** Whether the object that reported it can only be closed. @threads any @since 0.1 */
EVS_API bool evs_error_is_fatal(const evs_error *error);

/** librdkafka's code (rd_kafka_resp_err_t) where it was the origin, otherwise 0. @threads any
 * @since 0.1 */
EVS_API int32_t evs_error_kafka_code(const evs_error *error);

/**
 * Where: "items[0].quantity" (field path), "purchase.avsc:3:17" (file:line:column), "column 12"; ""
 * if nowhere.
 *
 * @returns *borrowed until* the error is released
 * @threads any
 * @since 0.1
 */
EVS_API const char *evs_error_origin(const evs_error *error);

/** Release; NULL is allowed. @returns NULL @threads any @since 0.1 */
EVS_API evs_error *evs_error_unref(evs_error *error);

EVS_END_DECLS

#endif
