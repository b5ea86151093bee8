/*
 * Fills the topic of E1 or E2 and prints what a right answer over it is.
 *
 *   bench-load-kafka --brokers HOST:PORT --topic NAME --format json|avro --events N
 *
 * A topic that already holds N messages is left alone; one that holds another number is made anew.
 * The key of a message is its user, placed on four partitions as the Java client does (murmur2).
 * The result line has `rows` = events, `groups` = distinct (window, user) pairs and their checksum
 * (bench.h), computed from the seed alone.
 */
#include "bench.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTITIONS 4
#define TIMEOUT_MS 30000

static rd_kafka_t *open_producer(const char *brokers)
{
    static const char *const settings[][2] = {{"enable.idempotence", "true"},
                                              {"linger.ms", "20"},
                                              {"batch.num.messages", "10000"},
                                              {"batch.size", "1000000"},
                                              {"queue.buffering.max.messages", "500000"},
                                              {"partitioner", "murmur2_random"}};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char text[256];
    rd_kafka_t *rk;

    if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, text, sizeof(text)))
        bench_die("bootstrap.servers: %s", text);
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], text, sizeof(text)))
            bench_die("%s: %s", settings[i][0], text);
    }
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    if (!rk)
        bench_die("producer: %s", text);
    return rk;
}

/* Messages in the topic, -1 when it does not exist. */
static int64_t topic_messages(rd_kafka_t *rk, const char *topic)
{
    int64_t total = 0;

    for (int32_t p = 0; p < PARTITIONS; p++) {
        int64_t low, high;
        rd_kafka_resp_err_t code =
            rd_kafka_query_watermark_offsets(rk, topic, p, &low, &high, TIMEOUT_MS);

        if (code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
            code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
            code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
            return -1;
        if (code)
            bench_die("topic \"%s\": %s", topic, rd_kafka_err2str(code));
        total += high - low;
    }
    return total;
}

static void topic_delete(rd_kafka_t *rk, const char *topic)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_DeleteTopic_t *request = rd_kafka_DeleteTopic_new(topic);
    rd_kafka_event_t *event;

    rd_kafka_DeleteTopics(rk, &request, 1, NULL, queue);
    event = rd_kafka_queue_poll(queue, TIMEOUT_MS);
    if (!event || rd_kafka_event_error(event))
        bench_die("cannot delete topic \"%s\"", topic);
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteTopic_destroy(request);
    rd_kafka_queue_destroy(queue);
}

/* Right after a deletion the broker may still know the name: tried again for a while. */
static void topic_create(rd_kafka_t *rk, const char *topic)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    char text[256];
    rd_kafka_NewTopic_t *request = rd_kafka_NewTopic_new(topic, PARTITIONS, 1, text, sizeof(text));
    double end = bench_wall_s() + TIMEOUT_MS / 1000.0;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;

    if (!request)
        bench_die("topic \"%s\": %s", topic, text);
    while (code && bench_wall_s() < end) {
        const rd_kafka_topic_result_t **results;
        rd_kafka_event_t *event;
        size_t count;

        rd_kafka_CreateTopics(rk, &request, 1, NULL, queue);
        event = rd_kafka_queue_poll(queue, TIMEOUT_MS);
        if (!event)
            break;
        results =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
        code = count ? rd_kafka_topic_result_error(results[0]) : rd_kafka_event_error(event);
        rd_kafka_event_destroy(event);
        if (code)
            rd_kafka_poll(rk, 200);
    }
    if (code)
        bench_die("cannot create topic \"%s\": %s", topic, rd_kafka_err2name(code));
    rd_kafka_NewTopic_destroy(request);
    rd_kafka_queue_destroy(queue);
}

static void topic_load(rd_kafka_t *rk, const char *topic, bool avro, uint64_t events)
{
    char value[BENCH_VIEW_MAX], key[BENCH_VIEW_KEY_LEN];
    struct bench_view view;

    for (uint64_t i = 0; i < events;) {
        rd_kafka_resp_err_t code;
        size_t len;

        bench_view_make(i, events, &view);
        bench_view_key(&view, key);
        len = avro ? bench_view_avro(&view, value) : bench_view_json(&view, value);
        code = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(key, sizeof(key)),
                                 RD_KAFKA_V_VALUE(value, len),
                                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            rd_kafka_poll(rk, 10);
            continue;
        }
        if (code)
            bench_die("produce to \"%s\": %s", topic, rd_kafka_err2str(code));
        if (++i % 1000000 == 0)
            fprintf(stderr, "  %s: %llu M events\n", topic, (unsigned long long)(i / 1000000));
    }
    if (rd_kafka_flush(rk, 10 * TIMEOUT_MS))
        bench_die("topic \"%s\": %d messages not delivered", topic, rd_kafka_outq_len(rk));
}

static void expect(uint64_t events, struct bench_result *ret_result)
{
    size_t windows = (size_t)(BENCH_VIEW_SPAN_MS(events) / BENCH_WINDOW_MS + 2);
    unsigned char *seen = bench_alloc(windows * BENCH_VIEW_USERS);

    memset(seen, 0, windows * BENCH_VIEW_USERS);
    for (uint64_t i = 0; i < events; i++) {
        struct bench_view view;
        uint64_t window;
        unsigned char *at;

        bench_view_make(i, events, &view);
        window = (uint64_t)((view.at_ms - BENCH_T0_MS) / BENCH_WINDOW_MS);
        at = &seen[window * BENCH_VIEW_USERS + view.user];
        ret_result->groups += !*at;
        *at = 1;
        ret_result->checksum += (view.user + 1) * (window + 1);
    }
    ret_result->rows = events;
    free(seen);
}

int main(int argc, char **argv)
{
    const char *topic = bench_arg(argc, argv, "--topic", "bench");
    uint64_t events = (uint64_t)bench_arg_int(argc, argv, "--events", 1000000);
    bool avro = !strcmp(bench_arg(argc, argv, "--format", "json"), "avro");
    rd_kafka_t *rk = open_producer(bench_arg(argc, argv, "--brokers", "127.0.0.1:9092"));
    struct bench_result result = {0};
    int64_t loaded = topic_messages(rk, topic);

    bench_timer_start(&result.time);
    if (loaded != (int64_t)events) {
        if (loaded >= 0)
            topic_delete(rk, topic);
        topic_create(rk, topic);
        topic_load(rk, topic, avro, events);
        while ((loaded = topic_messages(rk, topic)) < 0)
            rd_kafka_poll(rk, 100); /* a topic just made is not everywhere known at once */
        if (loaded != (int64_t)events)
            bench_die("topic \"%s\" holds %lld messages", topic, (long long)loaded);
    }
    bench_timer_stop(&result.time);
    rd_kafka_destroy(rk);
    expect(events, &result);
    bench_print(&result);
    return 0;
}
