/*
 * io/kafka/keys.h: rows to message keys, for the Kafka sink and evs_producer; see keys.c. No
 * librdkafka type appears here.
 */
#ifndef EVS_IO_KAFKA_KEYS_H
#define EVS_IO_KAFKA_KEYS_H

#include "evstream/connector.h"

/* table rows that sink and producer share */
#define EVS__KAFKA_KEY_OPTION_ROWS(key_doc)                                                        \
    {"key", NULL, NULL, key_doc, "0.1", 0, 0, EVS_OPTION_STRING, 0},                               \
    {                                                                                              \
        "key.format", "auto", "auto|kafka|text|json", "Form of the message key", "0.1", 0, 0,      \
            EVS_OPTION_ENUM, 0                                                                     \
    }

typedef struct evs__kafka_keys evs__kafka_keys;

/* columns of option `key`, else the first `key_count` ones (without the window's start) */
evs_status evs__kafka_keys_new(evs_context *ctx,
                               const evs_config *config,
                               const evs_type *type,
                               int32_t key_count,
                               bool windowed,
                               evs__kafka_keys **ret,
                               evs_error **reterr);
void evs__kafka_keys_free(evs__kafka_keys *keys);
/* key of a physical row: {NULL, 0} for no key; *borrowed until* the next call */
evs_status evs__kafka_keys_make(evs__kafka_keys *keys,
                                const evs_batch *batch,
                                uint32_t row,
                                evs_string_view *ret,
                                evs_error **reterr);
/* bytes at the key's end that do not take part in placing it (window start) */
size_t evs__kafka_keys_suffix(const evs__kafka_keys *keys);

#endif
