/*
 * 07: what customers spend on average in 5 minutes, from one topic to another. Results are final:
 * one row per customer and window, once it is closed.
 *
 *     07_orders_average [bootstrap.servers]
 */
#include "sample.h"

static evs_status on_result(const evs_row *row, void *user_data)
{
    char line[256];
    size_t len;
    (void)user_data;
    for (int32_t f = 0; f < 5; f++) {
        if (evs_row_text(row, f, line, sizeof(line), &len) == EVS_OK)
            printf("%s%s", f ? "  " : "", line);
    }
    printf("\n");
    return EVS_OK;
}

int main(int argc, char **argv)
{
    const char *brokers = sample_brokers(argc, argv);
    evs_window_options five_minutes = EVS_WINDOW_OPTIONS_INIT;
    evs_context *ctx = NULL;
    evs_pipeline *p = NULL;
    evs_stream *orders, *average;
    evs_error *err = NULL;
    evs_status status;

    if (evs_context_new(NULL, &ctx, &err) ||
        sample_send(ctx, brokers, "orders", 300, sample_order, &err) ||
        evs_pipeline_new(ctx, "orders-average", &p, &err))
        return sample_fail(err);
    five_minutes.size_ms = 300000;
    five_minutes.grace_ms = 10000;
    five_minutes.emit = EVS_EMIT_FINAL;
    evs_pipeline_set(p, "kafka.bootstrap.servers", brokers);

    orders = evs_source(p, "kafka",
                        EVS_OPTIONS("topic", "orders", "format", "json", "columns",
                                    "customer VARCHAR, total DOUBLE, at TIMESTAMP", "event.time",
                                    "at", "bounded", "true"));
    average = evs_window_by(orders, "customer", &five_minutes,
                            "count(*) AS orders, avg(total) AS average");
    evs_sink(average, "kafka",
             EVS_OPTIONS("topic", "orders_average", "topic.create", "true", "format", "avro"));
    evs_each(average, on_result, NULL); /* and to the host's own code */

    do {
        status = evs_pipeline_poll(p, 100, &err);
    } while (status == EVS_OK || status == EVS_AGAIN);
    if (status == EVS_END)
        status = evs_pipeline_close(p, &err);
    evs_pipeline_unref(p);
    evs_context_unref(ctx);
    return status ? sample_fail(err) : 0;
}
