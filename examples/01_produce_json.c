/*
 * 01: produce page views as JSON, without a schema, and learn what became of each.
 *
 *     01_produce_json [bootstrap.servers]
 *
 * on_delivery runs inside evs_producer_poll(), flush() and close() of this thread, never on another
 * one.
 */
#include "sample.h"

struct seen {
    int delivered;
    int failed;
};

static void on_delivery(const evs_delivery *d, void *user_data)
{
    struct seen *seen = user_data;
    if (d->error) {
        seen->failed++;
        fprintf(stderr, "not delivered: %s\n", evs_error_message(d->error));
        return;
    }
    seen->delivered++;
    if (seen->delivered <= 3)
        printf("delivered key %.*s to %s, partition %d\n", (int)d->key_len, (const char *)d->key,
               d->topic, d->partition);
}

int main(int argc, char **argv)
{
    struct seen seen = {0, 0};
    evs_context *ctx = NULL;
    evs_producer *producer = NULL;
    evs_error *err = NULL;
    evs_status status;
    char json[512], key[64];

    if (evs_context_new(NULL, &ctx, &err))
        return sample_fail(err);
    status = evs_producer_new(ctx,
                              EVS_OPTIONS("kafka.bootstrap.servers", sample_brokers(argc, argv),
                                          "topic", "page_views", "topic.create", "true"),
                              NULL, &producer, &err);
    for (int i = 0; !status && i < 1000; i++) {
        evs_header header = {"source", "example", 7};
        evs_message m = EVS_MESSAGE_INIT;
        sample_page_view(i, json, key);
        m.key = key;
        m.key_len = strlen(key);
        m.headers = &header;
        m.header_count = 1;
        m.timestamp_ms = SAMPLE_START_MS + i * 500;
        /* a full queue is no failure: serve reports, then try again */
        while ((status = evs_producer_send_bytes(producer, json, strlen(json), &m, on_delivery,
                                                 &seen, &err)) == EVS_AGAIN)
            evs_producer_poll(producer, 10, NULL);
    }
    if (!status)
        status = evs_producer_flush(producer, 30000, &err);
    evs_producer_close(producer);
    evs_context_unref(ctx);
    if (status)
        return sample_fail(err);
    printf("%d delivered, %d failed\n", seen.delivered, seen.failed);
    return seen.failed != 0;
}
