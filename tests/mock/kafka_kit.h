/*
 * tests/mock/kafka_kit.h: topics filled by a plain producer, sources on them; for the embedded
 * cluster and, with a server's address, for a real one.
 */
#ifndef EVS_TEST_KAFKA_KIT_H
#define EVS_TEST_KAFKA_KIT_H

#include <evstream/evstream.h>
#include <stdio.h>

#include "io_kit.h"

#include "io/connectors.h"

/* `count` values "PREFIX0", "PREFIX1", ... with keys "k0"... to one partition (-1: by the key) */
static inline void kafka_fill(evs_context *ctx,
                              const char *servers,
                              const char *topic,
                              const char *partitions,
                              int32_t partition,
                              const char *prefix,
                              int count)
{
    evs_producer *p = NULL;
    evs_error *err = NULL;
    assert_evs_ok(
        evs_producer_new(ctx,
                         EVS_OPTIONS("kafka.bootstrap.servers", servers, "topic", topic,
                                     "topic.create", "true", "topic.partitions", partitions),
                         NULL, &p, &err),
        err);
    for (int i = 0; i < count; i++) {
        char value[64], key[32];
        evs_message m = EVS_MESSAGE_INIT;
        evs_status status;
        snprintf(value, sizeof(value), "%s%d", prefix, i);
        m.key_len = (size_t)snprintf(key, sizeof(key), "k%d", i);
        m.key = key;
        m.partition = partition;
        m.timestamp_ms = 1000 + i;
        while ((status = evs_producer_send_bytes(p, value, strlen(value), &m, NULL, NULL, &err)) ==
               EVS_AGAIN)
            evs_producer_poll(p, 10, NULL);
        assert_evs_ok(status, err);
    }
    assert_evs_ok(evs_producer_flush(p, 20000, &err), err);
    evs_producer_close(p);
}

static inline evs_status kafka_describe(kit_source *s, int64_t timeout_ms, evs_error **reterr)
{
    const char *const *topics;
    const int32_t *partitions;
    size_t count;
    int64_t deadline = kit_now_ms() + timeout_ms;
    evs_status status;
    while ((status = s->f->describe(s->source, &topics, &partitions, &count, reterr)) ==
           EVS_AGAIN) {
        if (kit_now_ms() > deadline)
            return EVS_ERR_TIMEOUT;
    }
    return status;
}

/* opened and described */
static inline void kafka_open(evs_context *ctx, kit_source *s, const evs_options *options)
{
    evs_error *err = NULL;
    assert_evs_ok(kit_source_open(ctx, &evs__kafka_connector, options, NULL, s, &err), err);
    assert_evs_ok(kafka_describe(s, 20000, &err), err);
}

static inline void kafka_read(kit_source *s, size_t count)
{
    evs_error *err = NULL;
    assert_evs_ok(kit_source_read_until(s, count, 20000, &err), err);
}

/* reads until the partition has that state */
static inline void kafka_wait_state(kit_source *s, int32_t partition, evs_partition_state want)
{
    int64_t deadline = kit_now_ms() + 15000;
    evs_error *err = NULL;
    while (s->f->partition_state(s->source, 0, partition) != want) {
        evs_status status = kit_source_read(s, 4096, 20, &err);
        if (status != EVS_AGAIN)
            assert_evs_ok(status, err);
        if (kit_now_ms() > deadline)
            fail_msg("partition %d is in state %d, not %d", partition,
                     (int)s->f->partition_state(s->source, 0, partition), (int)want);
    }
}

/* offsets rise by one within each partition, from `first` */
static inline void kafka_check_order(const kit_source *s, int64_t first)
{
    int64_t next[16];
    for (int i = 0; i < 16; i++)
        next[i] = first;
    for (size_t i = 0; i < s->count; i++) {
        assert_int_equal(s->events[i].offset, next[s->events[i].partition]);
        next[s->events[i].partition]++;
    }
}

#endif
