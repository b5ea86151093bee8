/*
 * Peer of M1: resident memory of a consumer that has read an empty topic and waits.
 *
 *   peer-m1-idle-consumer --brokers HOST:PORT --topic NAME [--kbytes K] [--seconds S]
 *
 * Prints the result line with `rows` = kilobytes resident after S seconds at the end of all
 * partitions.
 */
#include "../bench.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>

#define PARTITIONS 4

static rd_kafka_t *open_consumer(const char *brokers, const char *kbytes)
{
    const char *const settings[][2] = {
        {"bootstrap.servers", brokers},     {"group.id", "bench-peer-idle"},
        {"enable.auto.commit", "false"},    {"enable.partition.eof", "true"},
        {"queued.min.messages", "1000000"}, {"queued.max.messages.kbytes", kbytes}};
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

int main(int argc, char **argv)
{
    const char *topic = bench_arg(argc, argv, "--topic", "bench-idle");
    double seconds = (double)bench_arg_int(argc, argv, "--seconds", 3), end = 0;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
    struct bench_result result = {0};
    int ends = 0;
    rd_kafka_t *rk;

    bench_timer_start(&result.time);
    rk = open_consumer(bench_arg(argc, argv, "--brokers", "127.0.0.1:9092"),
                       bench_arg(argc, argv, "--kbytes", "32768"));
    for (int32_t p = 0; p < PARTITIONS; p++)
        rd_kafka_topic_partition_list_add(list, topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    while (ends < PARTITIONS || bench_wall_s() < end) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 100);

        if (m && m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            ends++;
            end = bench_wall_s() + seconds;
        } else if (m && m->err) {
            bench_die("consume: %s", rd_kafka_message_errstr(m));
        }
        if (m)
            rd_kafka_message_destroy(m);
    }
    bench_timer_stop(&result.time);
    result.rows = bench_resident_kb();
    bench_print(&result);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    return 0;
}
