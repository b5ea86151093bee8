/*
 * evstream/consumer.h: a plain consumer loop: decoded rows of a connector (kafka by default),
 * without a pipeline.
 */
#ifndef EVSTREAM_CONSUMER_H
#define EVSTREAM_CONSUMER_H

#include "evstream/connector.h"

typedef struct evs_consumer evs_consumer;

/** An event that could not be decoded; *borrowed until* return. Without the callback it is counted
 * and logged as a warning. */
typedef void (*evs_consumer_failed_fn)(const evs_input *input,
                                       evs_status status,
                                       const char *message,
                                       void *user_data);

EVS_BEGIN_DECLS

/**
 * Open a source for reading. Options: those of the connector and the codec, and `connector`
 * (default "kafka").
 *
 * @param schema NULL: from options (columns, schema.file) or the source itself
 * @returns EVS_OK with a *new reference*; EVS_ERR_CONFIG; EVS_ERR_SCHEMA; EVS_ERR_NOT_FOUND;
 * EVS_ERR_NOMEM
 * @threads any
 * @since 0.1
 */
EVS_API evs_status evs_consumer_new(evs_context *context,
                                    const evs_options *options,
                                    evs_schema *schema,
                                    evs_consumer **ret_consumer,
                                    evs_error **reterr);
/** Where undecodable events go. @threads one at a time @since 0.1 */
EVS_API void
evs_consumer_on_failed(evs_consumer *consumer, evs_consumer_failed_fn fn, void *user_data);
/**
 * Next rows.
 *
 * @param ret_batch *borrowed until* the next poll, commit or close; evs_batch_keep() to keep it
 * @returns EVS_OK; EVS_AGAIN (nothing within timeout_ms); EVS_END (bounded source is through); a
 * failure: no event is passed over, the next poll tries the same ones again
 * @threads one at a time
 * @blocks up to timeout_ms
 * @since 0.1
 */
EVS_API evs_status evs_consumer_poll(evs_consumer *consumer,
                                     int64_t timeout_ms,
                                     evs_batch **ret_batch,
                                     evs_error **reterr);
/** Commit the positions behind all rows that poll returned (group offsets). @returns EVS_OK;
 * EVS_ERR_UNSUPPORTED; a failure @threads one at a time @blocks on the broker @since 0.1 */
EVS_API evs_status evs_consumer_commit(evs_consumer *consumer, evs_error **reterr);
/** Close in bounded time; NULL is allowed. @returns NULL @threads one at a time @since 0.1 */
EVS_API evs_consumer *evs_consumer_close(evs_consumer *consumer);

EVS_END_DECLS

#endif
