/*
 * Peer of E1 and E2: a consumer that only consumes.
 *
 *   peer-e-consume --brokers HOST:PORT --topic NAME --events N [--kbytes K]
 *
 * The floor under any pipeline on librdkafka: all partitions assigned from their beginning onto one
 * queue, taken in batches, each message counted and destroyed, until the end of every partition.
 * The settings that decide the cost (fetch queue bounds, no offset store, no CRC check) are those
 * the library sets for its own source. The whole process is measured, by the program that runs it.
 */
#include "../bench.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>

#define PARTITIONS 4
#define WAIT_MS 50 /* the batch call waits that long for a full batch */
#define IDLE_S 60

static rd_kafka_t *open_consumer(const char *brokers, const char *kbytes)
{
    const char *const settings[][2] = {
        {"bootstrap.servers", brokers},        {"group.id", "bench-peer"},
        {"enable.auto.commit", "false"},       {"enable.auto.offset.store", "false"},
        {"enable.partition.eof", "true"},      {"queued.min.messages", "1000000"},
        {"queued.max.messages.kbytes", kbytes}};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char text[256];
    rd_kafka_t *rk;

    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], text, sizeof(text)))
            bench_die("%s: %s", settings[i][0], text);
    }
    rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof(text));
    if (!rk)
        bench_die("consumer: %s", text);
    return rk;
}

static void assign(rd_kafka_t *rk, const char *topic)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);

    for (int32_t p = 0; p < PARTITIONS; p++)
        rd_kafka_topic_partition_list_add(list, topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    if (rd_kafka_assign(rk, list))
        bench_die("cannot assign \"%s\"", topic);
    rd_kafka_topic_partition_list_destroy(list);
}

static void consume(rd_kafka_t *rk, struct bench_result *ret_result)
{
    static rd_kafka_message_t *batch[BENCH_BATCH];
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(rk);
    double last = bench_wall_s();
    int ends = 0;

    while (ends < PARTITIONS) {
        ssize_t count = rd_kafka_consume_batch_queue(queue, WAIT_MS, batch, BENCH_BATCH);

        if (count > 0)
            last = bench_wall_s();
        else if (bench_wall_s() > last + IDLE_S)
            bench_die("no message within %d s", IDLE_S);
        for (ssize_t i = 0; i < count; i++) {
            if (!batch[i]->err)
                ret_result->rows++;
            else if (batch[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
                ends++;
            else
                bench_die("consume: %s", rd_kafka_message_errstr(batch[i]));
            rd_kafka_message_destroy(batch[i]);
        }
    }
    rd_kafka_queue_destroy(queue);
}

int main(int argc, char **argv)
{
    struct bench_result result = {0};
    rd_kafka_t *rk;

    bench_timer_start(&result.time);
    rk = open_consumer(bench_arg(argc, argv, "--brokers", "127.0.0.1:9092"),
                       bench_arg(argc, argv, "--kbytes", "32768"));
    assign(rk, bench_arg(argc, argv, "--topic", "bench"));
    consume(rk, &result);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    bench_timer_stop(&result.time);
    bench_print(&result);
    return 0;
}
