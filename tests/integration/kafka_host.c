/*
 * Hosts for test_kafka_wire.py and test_kafka_away.py, in C for what only C can show: rows of every
 * kind, and the balance of the context's memory.
 *
 *     kafka_host deletes BROKERS TOPIC      rows and a delete through a pipeline into a Kafka sink
 *     kafka_host away BROKERS IN OUT        works until a line comes on standard input (the broker
 *                                           is gone by then), queues more, closes, tells how long
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "evs_test.h"

#define OUTSTANDING 500

typedef struct host {
    evs_context *ctx;
    evs_pipeline *p;
    evs_producer *producer;
    evs_error *err;
    const char *brokers;
    long reports, failed;
} host;

static long now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- deletes ---- */

static void row(evs_appender *a, evs_row_kind kind, const char *user, int64_t n, host *h)
{
    evs_append_kind(a, kind);
    evs_append_time(a, 1767225600000 + n);
    evs_append_string(a, user, strlen(user));
    evs_append_int(a, n);
    evs_append_end_row(a, h->err ? NULL : &h->err);
}

static evs_status push_rows(host *h, evs_stream *source)
{
    evs_schema *schema = NULL;
    evs_appender *a = NULL;
    evs_batch *batch = NULL;
    evs_status status = evs_schema_columns(h->ctx, "user VARCHAR, n BIGINT", &schema, &h->err);
    if (!status)
        status = evs_appender_new(h->ctx, evs_schema_type(schema), &a, &h->err);
    if (!status) {
        row(a, EVS_ROW_INSERT, "a", 1, h);
        row(a, EVS_ROW_INSERT, "b", 2, h);
        row(a, EVS_ROW_UPDATE, "a", 3, h);
        row(a, EVS_ROW_DELETE, "a", 4, h);
        status = evs_appender_take(a, &batch, &h->err);
    }
    if (!status)
        status = evs_stream_push(source, batch, 0, &h->err);
    if (!status)
        status = evs_stream_push_end(source, &h->err);
    evs_batch_unref(batch);
    evs_appender_unref(a);
    evs_schema_unref(schema);
    return status;
}

static evs_status deletes(host *h, const char *topic)
{
    evs_stream *source;
    evs_status status = evs_pipeline_new(h->ctx, "deletes", &h->p, &h->err);
    if (status)
        return status;
    evs_pipeline_set(h->p, "kafka.bootstrap.servers", h->brokers);
    source = evs_source(h->p, "memory", EVS_OPTIONS("columns", "user VARCHAR, n BIGINT"));
    evs_sink(source, "kafka",
             EVS_OPTIONS("topic", topic, "key", "user", "format", "json", "topic.create", "true"));
    status = push_rows(h, source);
    while (status >= 0 && status != EVS_END)
        status = evs_pipeline_poll(h->p, 100, &h->err);
    return status == EVS_END ? evs_pipeline_close(h->p, &h->err) : status;
}

/* ---- away ---- */

static void on_delivery(const evs_delivery *d, void *user_data)
{
    host *h = user_data;
    h->reports++;
    h->failed += d->error != NULL;
}

static evs_status away_open(host *h, const char *in, const char *out)
{
    evs_window_options minute = EVS_WINDOW_OPTIONS_INIT;
    evs_stream *counts;
    evs_status status =
        evs_producer_new(h->ctx,
                         EVS_OPTIONS("kafka.bootstrap.servers", h->brokers, "topic", out,
                                     "topic.create", "true", "close.timeout.ms", "1000"),
                         NULL, &h->producer, &h->err);
    if (!status)
        status = evs_pipeline_new(h->ctx, out, &h->p, &h->err);
    if (status)
        return status;
    minute.size_ms = 60000;
    evs_pipeline_set(h->p, "kafka.bootstrap.servers", h->brokers);
    evs_pipeline_set(h->p, "close.timeout.ms", "1000");
    evs_pipeline_set(h->p, "commit.interval.ms", "100");
    counts = evs_window_by(evs_source(h->p, "kafka",
                                      EVS_OPTIONS("topic", in, "format", "json", "columns",
                                                  "user VARCHAR, at TIMESTAMP", "event.time", "at",
                                                  "kafka.session.timeout.ms", "6000")),
                           "user", &minute, "count(*) AS n");
    evs_sink(counts, "kafka",
             EVS_OPTIONS("topic", out, "topic.create", "true", "close.timeout.ms", "1000"));
    return EVS_OK;
}

static evs_status away_work(host *h)
{
    struct pollfd line = {STDIN_FILENO, POLLIN, 0};
    evs_status status = EVS_OK;
    bool told = false;
    double epoch = 0;

    while (status >= 0 && poll(&line, 1, 0) == 0) {
        status = evs_pipeline_poll(h->p, 50, &h->err);
        evs_pipeline_metric(h->p, "epoch", &epoch);
        if (epoch > 0 && !told) {
            puts("running");
            fflush(stdout);
            told = true;
        }
    }
    for (int i = 0; status >= 0 && i < OUTSTANDING; i++)
        status = evs_producer_send_bytes(h->producer, "x", 1, NULL, on_delivery, h, &h->err);
    if (status >= 0)
        status = evs_pipeline_poll(h->p, 200, &h->err);
    return status < 0 ? status : EVS_OK;
}

static evs_status away(host *h, const char *in, const char *out)
{
    evs_status status = away_open(h, in, out);
    long before;

    if (!status)
        status = away_work(h);
    before = now_ms();
    h->producer = evs_producer_close(h->producer);
    printf("producer %ld ms, %ld of %d reports, %ld failed\n", now_ms() - before, h->reports,
           OUTSTANDING, h->failed);
    before = now_ms();
    if (!status) {
        evs_pipeline_close(h->p, NULL); /* the last commit may fail: it is replayed */
        printf("pipeline %ld ms\n", now_ms() - before);
    }
    return status;
}

int main(int argc, char **argv)
{
    static evs_test_memory memory = {.fail_at = -1};
    host h = {.brokers = argc > 2 ? argv[2] : NULL};
    evs_status status = EVS_ERR_INVALID;
    long left;

    if (argc < 4 || !(h.ctx = evs_test_context(&memory)))
        return 2;
    if (strcmp(argv[1], "deletes") == 0)
        status = deletes(&h, argv[3]);
    else if (strcmp(argv[1], "away") == 0 && argc > 4)
        status = away(&h, argv[3], argv[4]);
    if (status)
        printf("failed: %s\n", evs_error_message(h.err));
    evs_error_unref(h.err);
    evs_producer_close(h.producer);
    evs_pipeline_unref(h.p);
    evs_context_unref(h.ctx);
    left = atomic_load(&memory.live);
    printf("%ld blocks left\n", left);
    return status || left;
}
