/*
 * evstream/producer.h: events to Kafka that cannot be wrong: every event is checked against the
 * schema before it is queued.
 *
 * on_delivery runs only inside evs_producer_poll(), flush() and close(), never on another thread.
 */
#ifndef EVSTREAM_PRODUCER_H
#define EVSTREAM_PRODUCER_H

#include "evstream/codec.h"

typedef struct evs_producer evs_producer;
typedef struct evs_record evs_record;

/** Key, headers, timestamp, partition of one event; all may stay at their defaults. *borrowed
 * until* the call returns. */
typedef struct evs_message {
    size_t struct_size;
    const void *key; /* NULL: the field named by option `key`, or none */
    size_t key_len;
    const evs_header *headers;
    size_t header_count;
    int64_t timestamp_ms; /* EVS_TIME_NONE: now */
    int32_t partition;    /* -1: by the partitioner */
    int32_t reserved;
} evs_message;

#define EVS_MESSAGE_INIT                                                                           \
    {                                                                                              \
        sizeof(evs_message), NULL, 0, NULL, 0, INT64_MIN, -1, 0                                    \
    }

/** What became of an event; *borrowed until* return. */
typedef struct evs_delivery {
    const char *topic;
    const evs_error *error; /* NULL: delivered */
    const void *key;
    size_t key_len;
    int64_t offset;
    int64_t latency_us;
    int32_t partition;
    int32_t reserved;
} evs_delivery;

typedef void (*evs_delivery_fn)(const evs_delivery *delivery, void *user_data);

/** Kinds of C members for EVS_BIND. */
typedef enum evs_bind_kind {
    EVS_BIND_BOOL = 1, /* bool */
    EVS_BIND_INT32 = 2,
    EVS_BIND_INT64 = 3,
    EVS_BIND_DOUBLE = 4,
    EVS_BIND_CSTR = 5,   /* char *, NULL is null */
    EVS_BIND_CHARS = 6,  /* char[N], up to the first NUL */
    EVS_BIND_TIME_MS = 7 /* int64_t milliseconds */
} evs_bind_kind;

/** One member of a C struct; make it with EVS_BIND or evs_field_binding_init(). */
typedef struct evs_field_binding {
    const char *field; /* schema field name */
    size_t offset;
    size_t size;
    int32_t kind; /* evs_bind_kind */
    int32_t reserved;
} evs_field_binding;

#define EVS_BIND(struct_type, member, bind_kind)                                                   \
    {                                                                                              \
#member, offsetof(struct_type, member), sizeof(((struct_type *)0)->member), bind_kind, 0   \
    }

EVS_BEGIN_DECLS

/** Function twin of EVS_MESSAGE_INIT. @threads any @since 0.1 */
EVS_API void evs_message_init(evs_message *message);
/** Function twin of EVS_BIND. @threads any @since 0.1 */
EVS_API void evs_field_binding_init(
    evs_field_binding *binding, const char *field, size_t offset, size_t size, int32_t kind);

/**
 * A producer for one topic. Options: topic, format, framing, key (field whose value is the message
 * key), schema.registry.url, subject, kafka.* (docs/reference/configuration.md).
 *
 * @param schema NULL: raw bytes (or unchecked JSON) only; *new reference* kept
 * @returns EVS_OK with a *new reference*; EVS_ERR_INVALID; EVS_ERR_CONFIG; EVS_ERR_SCHEMA;
 * EVS_ERR_NOMEM; never waits for a broker
 * @threads any
 * @since 0.1
 */
EVS_API evs_status evs_producer_new(evs_context *context,
                                    const evs_options *options,
                                    evs_schema *schema,
                                    evs_producer **ret_producer,
                                    evs_error **reterr);
/** Flush up to close.timeout.ms, tell the rest as not delivered (EVS_ERR_TIMEOUT in on_delivery),
 * release. NULL is allowed. @returns NULL @threads one at a time @blocks bounded @since 0.1 */
EVS_API evs_producer *evs_producer_close(evs_producer *producer);

/** The producer's one record builder, emptied; reused, so that no event allocates. *borrowed until*
 * close. NULL without schema. @threads one at a time @since 0.1 */
EVS_API evs_record *evs_producer_record(evs_producer *producer);

/*
 * Setters: by name or by index (evs_schema_field()). They accept a NULL record and keep the first
 * error for send. Values are *copied*.
 */
EVS_API void evs_record_set_null(evs_record *record, const char *field);
EVS_API void evs_record_set_bool(evs_record *record, const char *field, bool value);
EVS_API void evs_record_set_int(evs_record *record, const char *field, int64_t value);
EVS_API void evs_record_set_double(evs_record *record, const char *field, double value);
EVS_API void
evs_record_set_string(evs_record *record, const char *field, const char *data, size_t len);
EVS_API void evs_record_set_decimal(evs_record *record, const char *field, const char *text);
EVS_API void evs_record_set_null_at(evs_record *record, int32_t field);
EVS_API void evs_record_set_bool_at(evs_record *record, int32_t field, bool value);
EVS_API void evs_record_set_int_at(evs_record *record, int32_t field, int64_t value);
EVS_API void evs_record_set_double_at(evs_record *record, int32_t field, double value);
EVS_API void
evs_record_set_string_at(evs_record *record, int32_t field, const char *data, size_t len);
EVS_API void evs_record_set_decimal_at(evs_record *record, int32_t field, const char *text);
/** A nested record field to fill; *borrowed until* the record is sent. */
EVS_API evs_record *evs_record_struct(evs_record *record, const char *field);
/** One more element of an array field of records; *borrowed until* the record is sent. An array
 * that got no element is its default, NULL where it may be, otherwise empty. */
EVS_API evs_record *evs_record_append(evs_record *record, const char *field);
/** One more element of an array field of strings, integers or doubles. */
EVS_API void
evs_record_append_string(evs_record *record, const char *field, const char *data, size_t len);
EVS_API void evs_record_append_int(evs_record *record, const char *field, int64_t value);
EVS_API void evs_record_append_double(evs_record *record, const char *field, double value);

/**
 * Check the record, encode and queue it. Emptied afterwards, whatever the outcome.
 *
 * @param message NULL: defaults
 * @param on_delivery NULL: not wanted
 * @returns EVS_OK (queued; on_delivery will run exactly once); EVS_AGAIN (queue full: poll, and
 * build it again); EVS_ERR_SCHEMA (origin: field path, `field "items[0].quantity": required, no
 * default`); EVS_ERR_TYPE (a value that a setter gave does not fit its field); EVS_ERR_LIMIT
 * (message too large); EVS_ERR_NOT_FOUND (topic or partition);
 * EVS_ERR_MISUSE; EVS_ERR_NOMEM
 * @threads one at a time
 * @since 0.1
 */
EVS_API evs_status evs_producer_send(evs_producer *producer,
                                     evs_record *record,
                                     const evs_message *message,
                                     evs_delivery_fn on_delivery,
                                     void *user_data,
                                     evs_error **reterr);
/** One JSON object, checked against the schema and written in the producer's format. @returns as
 * evs_producer_send(), EVS_ERR_DECODE @threads one at a time @since 0.1 */
EVS_API evs_status evs_producer_send_json(evs_producer *producer,
                                          const char *json,
                                          size_t len,
                                          const evs_message *message,
                                          evs_delivery_fn on_delivery,
                                          void *user_data,
                                          evs_error **reterr);
/** Bytes as they are; for a producer made without a schema. `value` NULL: tombstone. @returns as
 * evs_producer_send(); EVS_ERR_MISUSE with a schema @threads one at a time @since 0.1 */
EVS_API evs_status evs_producer_send_bytes(evs_producer *producer,
                                           const void *value,
                                           size_t len,
                                           const evs_message *message,
                                           evs_delivery_fn on_delivery,
                                           void *user_data,
                                           evs_error **reterr);
/**
 * Describe a C struct once: evs_producer_send_struct() then takes pointers to it.
 *
 * @param bindings *copied*; checked against the schema: every required field bound, kinds and sizes
 * fit
 * @returns EVS_OK; EVS_ERR_SCHEMA (field named); EVS_ERR_INVALID; EVS_ERR_NOMEM
 * @threads one at a time
 * @since 0.1
 */
EVS_API evs_status evs_producer_bind(evs_producer *producer,
                                     const evs_field_binding *bindings,
                                     size_t count,
                                     evs_error **reterr);
/** Send a bound struct. @returns as evs_producer_send(); EVS_ERR_MISUSE before evs_producer_bind()
 * @threads one at a time @since 0.1 */
EVS_API evs_status evs_producer_send_struct(evs_producer *producer,
                                            const void *object,
                                            const evs_message *message,
                                            evs_delivery_fn on_delivery,
                                            void *user_data,
                                            evs_error **reterr);

/** Serve delivery reports. @returns EVS_OK (served some); EVS_AGAIN (none within timeout_ms)
 * @threads one at a time @callback on_delivery @blocks up to timeout_ms @since 0.1 */
EVS_API evs_status evs_producer_poll(evs_producer *producer,
                                     int64_t timeout_ms,
                                     evs_error **reterr);
/** Wait until everything queued is delivered or failed. @returns EVS_OK; EVS_ERR_TIMEOUT (some are
 * still queued) @threads one at a time @callback on_delivery @blocks up to timeout_ms @since 0.1 */
EVS_API evs_status evs_producer_flush(evs_producer *producer,
                                      int64_t timeout_ms,
                                      evs_error **reterr);
/** Events queued or on the way. @threads one at a time @since 0.1 */
EVS_API size_t evs_producer_pending(const evs_producer *producer);

EVS_END_DECLS

#endif
