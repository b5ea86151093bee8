/*
 * sample.h: events for the examples, so that each runs by itself: with brokers "embedded:" (the
 * default) they are produced into a Kafka inside the process first.
 *
 * The events are the same on every run: times start at 2026-01-01T00:00:00Z.
 */
#ifndef EVSTREAM_EXAMPLES_SAMPLE_H
#define EVSTREAM_EXAMPLES_SAMPLE_H

#include <evstream/evstream.h>
#include <stdio.h>
#include <string.h>

#define SAMPLE_START_MS INT64_C(1767225600000)

static inline const char *sample_brokers(int argc, char **argv)
{
    return argc > 1 ? argv[1] : "embedded:";
}

/* print an error and give main()'s result */
static inline int sample_fail(evs_error *err)
{
    fprintf(stderr, "%s: %s\n", evs_status_name(evs_error_status(err)), evs_error_message(err));
    evs_error_unref(err);
    return 1;
}

/* send `count` JSON events made by `make` to a topic, keyed by what `make` puts into key */
static inline evs_status sample_send(evs_context *ctx,
                                     const char *brokers,
                                     const char *topic,
                                     int count,
                                     void (*make)(int i, char *json, char *key),
                                     evs_error **reterr)
{
    evs_producer *producer = NULL;
    char json[512], key[64];
    evs_status status = evs_producer_new(
        ctx,
        EVS_OPTIONS("kafka.bootstrap.servers", brokers, "topic", topic, "topic.create", "true"),
        NULL, &producer, reterr);
    for (int i = 0; !status && i < count; i++) {
        evs_message m = EVS_MESSAGE_INIT;
        make(i, json, key);
        m.key = key;
        m.key_len = strlen(key);
        while ((status = evs_producer_send_bytes(producer, json, strlen(json), &m, NULL, NULL,
                                                 reterr)) == EVS_AGAIN)
            evs_producer_poll(producer, 10, NULL);
    }
    if (!status)
        status = evs_producer_flush(producer, 30000, reterr);
    evs_producer_close(producer);
    return status;
}

/* a view every 500 ms: pages /home, /cart, /item by turns, users u0 .. u6, one in ten by a bot */
static inline void sample_page_view(int i, char *json, char *key)
{
    static const char *const pages[] = {"/home", "/cart", "/item"};
    snprintf(key, 64, "u%d", i % 7);
    snprintf(json, 512,
             "{\"user\":\"%s\",\"page\":\"%s\",\"device\":\"%s\",\"load_ms\":%d.5,\"at\":%lld}",
             key, pages[i % 3], i % 10 == 9 ? "bot" : "phone", 20 + i % 50,
             (long long)(SAMPLE_START_MS + i * 500));
}

/* an order every 2 s of customers c0 .. c3 */
static inline void sample_order(int i, char *json, char *key)
{
    snprintf(key, 64, "c%d", i % 4);
    snprintf(json, 512,
             "{\"customer\":\"%s\",\"total\":%d.25,\"at\":%lld,\"items\":[{\"sku\":\"A-%d\","
             "\"quantity\":%d,\"price\":"
             "2.5},{\"sku\":\"B-1\",\"quantity\":1,\"price\":10}]}",
             key, 10 + i % 5, (long long)(SAMPLE_START_MS + i * 2000), i % 2, 1 + i % 3);
}

#endif
