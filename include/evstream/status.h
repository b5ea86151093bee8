/*
 * evstream/status.h: the one list of outcomes.
 *
 * 0 is success, negative a failure, positive an outcome that the function's comment documents.
 * Values never change; new ones are added at the end of their sign. The enum, the names and the
 * reference page (docs/reference/status.md) are made from EVS_STATUS_MAP and nothing else.
 */
#ifndef EVSTREAM_STATUS_H
#define EVSTREAM_STATUS_H

#include "evstream/api.h"

/* clang-format off */
#define EVS_STATUS_MAP(X)                                                                          \
    X(OK, 0, "success")                                                                            \
    X(AGAIN, 1, "nothing there now, or no room now: call again later")                             \
    X(END, 2, "there is no more")                                                                  \
    X(ERR_INVALID, -1, "an argument is not allowed (NULL, out of range, wrong arity)")             \
    X(ERR_NOMEM, -2, "the context's allocator gave no memory")                                     \
    X(ERR_CONFIG, -3, "an option is unknown, missing or has a bad value")                          \
    X(ERR_SCHEMA, -4, "a schema cannot be parsed, or data does not fit it")                        \
    X(ERR_DECODE, -5, "bytes cannot be decoded")                                                   \
    X(ERR_ENCODE, -6, "a row cannot be encoded")                                                   \
    X(ERR_EXPRESSION, -7, "an expression cannot be parsed, typed or evaluated")                    \
    X(ERR_TYPE, -8, "a value has another type than asked for")                                     \
    X(ERR_STATE, -9, "kept state does not fit: another plan, cluster, partition count or offset")  \
    X(ERR_CORRUPT, -10, "a file or snapshot is damaged")                                           \
    X(ERR_IO, -11, "reading or writing failed")                                                    \
    X(ERR_TIMEOUT, -12, "not done within the time given")                                          \
    X(ERR_UNAVAILABLE, -13, "a server cannot be reached now")                                      \
    X(ERR_LIMIT, -14, "a bound that the configuration sets was reached")                           \
    X(ERR_NOT_FOUND, -15, "a topic, field, file or name does not exist")                           \
    X(ERR_MISUSE, -16, "the call is not allowed in the object's present state")                    \
    X(ERR_UNSUPPORTED, -17, "not available in this build or for this input")                       \
    X(ERR_AUTH, -18, "a server refused the credentials or the right")                              \
    X(ERR_OVERFLOW, -19, "a number does not fit its type")                                         \
    X(ERR_CALLBACK, -20, "the host's function reported a failure")                                 \
    X(ERR_TIME, -21, "an event has no usable event time")                                          \
    X(ERR_KAFKA, -22, "librdkafka reported a failure that has no status of its own")               \
    X(ERR_INTERNAL, -23, "a defect of the library: please report it")
/* clang-format on */

typedef enum evs_status {
#define EVS__STATUS_ENUM(name, value, text) EVS_##name = value,
    EVS_STATUS_MAP(EVS__STATUS_ENUM)
#undef EVS__STATUS_ENUM
} evs_status;

EVS_BEGIN_DECLS

/**
 * The name of a status, "EVS_ERR_INVALID"; "EVS_UNKNOWN" for a value that is not in the list.
 *
 * @returns a constant string, *borrowed until* the library is unloaded
 * @threads any
 * @since 0.1
 */
EVS_API const char *evs_status_name(int32_t status);

/**
 * What a status means, in one line.
 *
 * @returns a constant string, *borrowed until* the library is unloaded
 * @threads any
 * @since 0.1
 */
EVS_API const char *evs_status_text(int32_t status);

EVS_END_DECLS

#endif
