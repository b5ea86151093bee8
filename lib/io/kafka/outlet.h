/*
 * io/kafka/outlet.h: bytes to one topic: the one producer handle behind the Kafka sink (sink.c) and
 * evs_producer (runtime/producer.c). No librdkafka type appears here.
 *
 * Each accepted message is reported exactly once, by `delivered`, inside poll, flush or close.
 */
#ifndef EVS_IO_KAFKA_OUTLET_H
#define EVS_IO_KAFKA_OUTLET_H

#include "evstream/connector.h"
#include "evstream/producer.h"

typedef struct evs__outlet evs__outlet;

typedef struct evs__outlet_message {
    const void *value; /* NULL: tombstone */
    size_t value_len;
    const void *key; /* NULL: none */
    size_t key_len;
    const evs_header *headers;
    size_t header_count;
    int64_t timestamp_ms; /* EVS_TIME_NONE: now */
    int32_t partition;    /* -1: murmur2 of the key, as the Java client; without key spread */
    int32_t reserved;
    void *opaque; /* of `delivered` */
} evs__outlet_message;

/* delivery->error NULL: delivered. Strings are *borrowed until* return. */
typedef void (*evs__outlet_delivered_fn)(const evs_delivery *delivery,
                                         void *message_opaque,
                                         void *user_data);

/* table rows that sink and producer share */
#define EVS__OUTLET_OPTION_ROWS                                                                    \
    {"topic", NULL, NULL, "Topic to write", "0.1", 0, 0, EVS_OPTION_STRING, 1},                    \
        {"topic.create",  "false", NULL, "Make the topic when it does not exist", "0.1", 0, 0,     \
         EVS_OPTION_BOOL, 0},                                                                      \
        {"topic.partitions", "4", NULL, "Partitions of a topic that is made", "0.1", 1, 100000,    \
         EVS_OPTION_INT,     0},                                                                   \
        {"topic.replication.factor",                                                               \
         "-1",                                                                                     \
         NULL,                                                                                     \
         "Replicas of a topic that is made; -1: the broker's default",                             \
         "0.1",                                                                                    \
         -1,                                                                                       \
         100,                                                                                      \
         EVS_OPTION_INT,                                                                           \
         0},                                                                                       \
    {                                                                                              \
        "close.timeout.ms", "10s", NULL, "How long closing waits for messages on the way", "0.1",  \
            0, 0, EVS_OPTION_DURATION, 0                                                           \
    }

/* key_suffix: bytes at the end of keys that take no part in placing (windowed keys). Never waits
 * for a broker. */
evs_status evs__outlet_open(evs_context *ctx,
                            const evs_config *config,
                            size_t key_suffix,
                            evs__outlet_delivered_fn delivered,
                            void *user_data,
                            evs__outlet **ret,
                            evs_error **reterr);
/*
 * Queue one message; bytes are copied. EVS_AGAIN: queue full, or the topic is being made or does
 * not exist yet: poll and try again; EVS_ERR_LIMIT: larger than message.max.bytes;
 * EVS_ERR_NOT_FOUND: no such topic (topic.create=false) or partition.
 */
evs_status evs__outlet_send(evs__outlet *o, const evs__outlet_message *m, evs_error **reterr);
/* serve delivery reports; number served */
int evs__outlet_poll(evs__outlet *o, int64_t timeout_ms);
/* EVS_OK: nothing is on the way any more; EVS_AGAIN: something still is */
evs_status evs__outlet_flush(evs__outlet *o, int64_t timeout_ms);
/* Within `delivered`: the message that is reported, as it was sent, but for headers and time;
 * *borrowed until* return. */
void evs__outlet_reported(const evs__outlet *o, evs__outlet_message *ret);
size_t evs__outlet_pending(const evs__outlet *o);
/* flush up to the time-out, purge the rest (reported as not delivered), release */
void evs__outlet_close(evs__outlet *o, int64_t timeout_ms);

#endif
