/*
 * io/kafka/stats.c: whether a partition is connected and at its end.
 *
 * librdkafka tells once that a partition's end was reached and never that a silent broker still
 * answers. Idle timeouts and closing windows by the clock must not run during an outage, so "at its
 * end" is believed for a few seconds only and confirmed by the statistics, once a second: the
 * broker that leads the partition is up, bytes came in since the last time (a fetch is answered at
 * least every fetch.wait.max.ms, 500 ms), nothing waits in the local queue, and the high watermark
 * (the last stable offset when transactions are open) is where we are.
 */
#include <jansson.h>
#include <string.h>

#include "io/kafka/source.h"

#define CONFIRMED_FOR_MS 3000

static int64_t member_int(const json_t *object, const char *name, int64_t fallback)
{
    const json_t *v = json_object_get(object, name);
    return json_is_integer(v) ? (int64_t)json_integer_value(v) : fallback;
}

static bool broker_is_up(const json_t *brokers, int64_t id)
{
    const char *key;
    json_t *broker;
    json_object_foreach((json_t *)brokers, key, broker)
    {
        const char *state = json_string_value(json_object_get(broker, "state"));
        if (member_int(broker, "nodeid", -1) == id && state)
            return strcmp(state, "UP") == 0;
    }
    return false;
}

static int64_t bytes_received(const json_t *brokers)
{
    const char *key;
    json_t *broker;
    int64_t sum = 0;
    json_object_foreach((json_t *)brokers, key, broker) sum += member_int(broker, "rxbytes", 0);
    return sum;
}

static bool nothing_more(const json_t *p)
{
    int64_t high = member_int(p, "hi_offset", -1);
    int64_t stable = member_int(p, "ls_offset", -1);
    int64_t next = member_int(p, "next_offset", -1);
    if (stable >= 0 && stable < high)
        high = stable;
    return member_int(p, "fetchq_cnt", 1) == 0 && high >= 0 && next >= high;
}

static void
confirm_topic(kafka_source *s, uint32_t topic, const json_t *partitions, const json_t *brokers)
{
    int64_t now = evs__kafka_clock_ms();
    const char *key;
    json_t *p;
    json_object_foreach((json_t *)partitions, key, p)
    {
        kafka_partition *mine =
            evs__kafka_partition(s, topic, (int32_t)member_int(p, "partition", -1));
        if (!mine || !mine->assigned || !mine->at_end)
            continue;
        if (nothing_more(p) && broker_is_up(brokers, member_int(p, "leader", -1)))
            mine->confirmed_ms = now;
    }
}

int evs__kafka_on_stats(rd_kafka_t *rk, char *json, size_t len, void *opaque)
{
    kafka_source *s = opaque;
    json_t *root = json_loadb(json, len, 0, NULL);
    const json_t *brokers = json_object_get(root, "brokers");
    const json_t *topics = json_object_get(root, "topics");
    int64_t rx = bytes_received(brokers);
    bool alive = rx > s->rx_seen;

    (void)rk;
    s->rx_seen = rx;
    if (alive)
        evs__kafka_source_state(s, true);
    for (uint32_t t = 0; alive && t < s->topic_count && s->described; t++) {
        const json_t *topic = json_object_get(topics, s->topics[t].name);
        confirm_topic(s, t, json_object_get(topic, "partitions"), brokers);
    }
    json_decref(root);
    return 0;
}

evs_partition_state
evs__kafka_source_partition_state(void *source, uint32_t topic, int32_t partition)
{
    kafka_source *s = source;
    kafka_partition *p = evs__kafka_partition(s, topic, partition);
    if (!p || !p->assigned || !s->connected)
        return EVS_PARTITION_DISCONNECTED;
    if (!p->at_end)
        return EVS_PARTITION_FETCHING;
    return evs__kafka_clock_ms() - p->confirmed_ms < CONFIRMED_FOR_MS ? EVS_PARTITION_AT_END
                                                                      : EVS_PARTITION_DISCONNECTED;
}

int64_t evs__kafka_source_end_offset(void *source, uint32_t topic, int32_t partition)
{
    kafka_source *s = source;
    int64_t low = -1, high = -1;
    if (!evs__kafka_partition(s, topic, partition))
        return -1;
    if (rd_kafka_get_watermark_offsets(s->rk, s->topics[topic].name, partition, &low, &high))
        return -1;
    return high >= 0 ? high : -1;
}
