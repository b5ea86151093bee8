/*
 * 03: a plain consumer loop: rows of a topic, from the earliest, as member of a group; positions
 * committed at the end.
 *
 *     03_consume [bootstrap.servers]
 */
#include "sample.h"

int main(int argc, char **argv)
{
    const char *brokers = sample_brokers(argc, argv);
    evs_context *ctx = NULL;
    evs_consumer *consumer = NULL;
    evs_error *err = NULL;
    evs_batch *batch = NULL;
    evs_status status;
    size_t rows = 0;

    if (evs_context_new(NULL, &ctx, &err) ||
        sample_send(ctx, brokers, "page_views", 500, sample_page_view, &err))
        return sample_fail(err);
    status = evs_consumer_new(ctx,
                              EVS_OPTIONS("kafka.bootstrap.servers", brokers, "topic", "page_views",
                                          "group.id", "recommendation_engine", "start", "earliest",
                                          "bounded", "true", "format", "json", "columns",
                                          "user VARCHAR, page VARCHAR, at TIMESTAMP"),
                              NULL, &consumer, &err);
    while (!status || status == EVS_AGAIN) {
        status = evs_consumer_poll(consumer, 100, &batch, &err);
        if (status)
            continue;
        for (size_t i = 0; i < evs_batch_rows(batch); i++, rows++) {
            evs_row row = evs_batch_row(batch, i);
            const char *page;
            size_t len;
            if (rows < 3 &&
                evs_row_string(&row, evs_row_field(&row, "page"), &page, &len) == EVS_OK)
                printf("page %.*s\n", (int)len, page);
        }
    }
    if (status == EVS_END) /* everything that was there has been read */
        status = evs_consumer_commit(consumer, &err);
    evs_consumer_close(consumer);
    evs_context_unref(ctx);
    if (status)
        return sample_fail(err);
    printf("%zu rows\n", rows);
    return 0;
}
