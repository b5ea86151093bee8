/*
 * 08: revenue per product from orders with an array of items: explode makes a row of each item.
 *
 *     08_revenue_per_product [bootstrap.servers]
 */
#include "sample.h"

static evs_status on_result(const evs_row *row, void *user_data)
{
    const char *sku = "";
    size_t len = 0;
    double revenue = 0;
    (void)user_data;
    evs_row_string(row, evs_row_field(row, "sku"), &sku, &len);
    evs_row_double(row, evs_row_field(row, "revenue"), &revenue);
    printf("%.*s %.2f\n", (int)len, sku, revenue);
    return EVS_OK;
}

int main(int argc, char **argv)
{
    const char *brokers = sample_brokers(argc, argv);
    evs_window_options hour = EVS_WINDOW_OPTIONS_INIT;
    evs_context *ctx = NULL;
    evs_pipeline *p = NULL;
    evs_stream *orders, *items, *revenue;
    evs_error *err = NULL;
    const char *plan;
    evs_status status;

    if (evs_context_new(NULL, &ctx, &err) ||
        sample_send(ctx, brokers, "orders", 100, sample_order, &err) ||
        evs_pipeline_new(ctx, "revenue", &p, &err))
        return sample_fail(err);
    hour.size_ms = 3600000;
    hour.emit = EVS_EMIT_FINAL;
    evs_pipeline_set(p, "kafka.bootstrap.servers", brokers);

    orders = evs_source(
        p, "kafka",
        EVS_OPTIONS("topic", "orders", "format", "json", "columns",
                    "at TIMESTAMP, items ARRAY<STRUCT<sku VARCHAR, quantity INT, price DOUBLE>>",
                    "event.time", "at", "bounded", "true"));
    items = evs_explode(orders, "items", "item");
    items = evs_project(items, "item.sku AS sku, item.quantity * item.price AS amount");
    revenue = evs_window_by(items, "sku", &hour, "sum(amount) AS revenue");
    evs_each(revenue, on_result, NULL);

    if (evs_pipeline_explain(p, &plan, &err))
        return sample_fail(err);
    fprintf(stderr, "%s", plan); /* steps, types and what each sink guarantees */
    do {
        status = evs_pipeline_poll(p, 100, &err);
    } while (status == EVS_OK || status == EVS_AGAIN);
    if (status == EVS_END)
        status = evs_pipeline_close(p, &err);
    evs_pipeline_unref(p);
    evs_context_unref(ctx);
    return status ? sample_fail(err) : 0;
}
