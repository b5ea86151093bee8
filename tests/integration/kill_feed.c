/*
 * The feed of test_kills.py: numbered events at a steady rate until SIGTERM; then everything is
 * flushed and the number of events printed.
 *
 *     kill_feed BROKERS TOPIC EVENTS_PER_SECOND [COUNT]
 *
 * Event i: user u(i % 97), v = i % 7, keyed by i % 13 (unlike the grouping key), time = START + i *
 * 2 ms, up to 500 ms back; with KILL_FINAL the clock's time instead.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "evstream/evstream.h"

#define START_MS INT64_C(1767225600000)

static volatile sig_atomic_t stopping;

static void on_term(int number)
{
    (void)number;
    stopping = 1;
}

static int64_t clock_ms(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void on_delivery(const evs_delivery *d, void *user_data)
{
    if (d->error) {
        fprintf(stderr, "lost: %s\n", evs_error_message(d->error));
        ++*(long *)user_data;
    }
}

static evs_status send(evs_producer *producer, long i, bool wall, long *failed, evs_error **reterr)
{
    char json[160], key[16];
    evs_message m = EVS_MESSAGE_INIT;
    int64_t at = wall ? clock_ms(CLOCK_REALTIME) : START_MS + i * 2 - (i * 7919) % 500;
    evs_status status;
    snprintf(json, sizeof(json), "{\"id\":%ld,\"user\":\"u%ld\",\"v\":%ld,\"at\":%lld}", i, i % 97,
             i % 7, (long long)at);
    snprintf(key, sizeof(key), "%ld", i % 13);
    m.key = key;
    m.key_len = strlen(key);
    while ((status = evs_producer_send_bytes(producer, json, strlen(json), &m, on_delivery, failed,
                                             reterr)) == EVS_AGAIN)
        evs_producer_poll(producer, 20, NULL);
    return status;
}

int main(int argc, char **argv)
{
    bool wall = getenv("KILL_FINAL") != NULL;
    evs_context *ctx = NULL;
    evs_producer *producer = NULL;
    evs_error *err = NULL;
    evs_status status;
    long sent = 0, failed = 0, rate, count;
    int64_t start;

    if (argc < 4)
        return 2;
    signal(SIGTERM, on_term);
    rate = atol(argv[3]);
    count = argc > 4 ? atol(argv[4]) : -1;
    if (evs_context_new(NULL, &ctx, &err))
        return 2;
    status = evs_producer_new(ctx,
                              EVS_OPTIONS("kafka.bootstrap.servers", argv[1], "topic", argv[2],
                                          "topic.create", "true", "topic.partitions", "4"),
                              NULL, &producer, &err);
    start = clock_ms(CLOCK_MONOTONIC);
    while (!status && !stopping && sent != count) {
        struct timespec tick = {0, 5000000};
        long due = (clock_ms(CLOCK_MONOTONIC) - start) * rate / 1000;
        while (!status && !stopping && sent < due && sent != count) {
            status = send(producer, sent, wall, &failed, &err);
            sent += status == EVS_OK;
        }
        evs_producer_poll(producer, 0, NULL);
        nanosleep(&tick, NULL);
    }
    if (!status)
        status = evs_producer_flush(producer, 120000, &err);
    if (status)
        fprintf(stderr, "feed: %s\n", evs_error_message(err));
    evs_producer_close(producer);
    evs_context_unref(ctx);
    printf("%ld\n", sent);
    return status != EVS_OK || failed != 0;
}
