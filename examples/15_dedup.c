/*
 * 15: a webhook that is delivered more than once: each order counts once, no customer floods the
 * output, and a tenth of the customers is watched closely. Nothing is dropped in silence.
 */
#include "sample.h"

static evs_status print_order(const evs_row *row, void *what)
{
    char order[32], customer[32];
    size_t len;

    evs_row_text(row, 0, order, sizeof(order), &len);
    evs_row_text(row, 1, customer, sizeof(customer), &len);
    printf("%s %s of %s\n", *(const char *const *)what, order, customer);
    return EVS_OK;
}

static evs_status push(evs_stream *orders, int64_t at, int number, int customer, evs_error **err)
{
    char json[96];
    int len = snprintf(json, sizeof(json), "{\"order_id\":\"o%d\",\"customer\":\"c%d\"}", number,
                       customer);
    return evs_stream_push_bytes(orders, json, (size_t)len, NULL, 0, at, 0, err);
}

int main(void)
{
    static const char *order = "order", *watched = "watched";
    evs_dedup_options once = EVS_DEDUP_OPTIONS_INIT;
    evs_limit_options calm = EVS_LIMIT_OPTIONS_INIT;
    evs_context *ctx = NULL;
    evs_pipeline *p = NULL;
    evs_stream *orders, *unique;
    evs_error *err = NULL;
    evs_status status;
    double left_out = 0;

    if (evs_context_new(NULL, &ctx, &err) || evs_pipeline_new(ctx, "orders", &p, &err))
        return sample_fail(err);
    orders = evs_source(
        p, "memory",
        EVS_OPTIONS("columns", "order_id VARCHAR, customer VARCHAR", "out_of_orderness", "1s"));

    once.within_ms = 10 * 60000; /* the sender tries again for ten minutes */
    unique = evs_dedup(orders, "order_id", &once);
    calm.rows = 2;
    calm.per_ms = 60000;
    evs_each(evs_limit(unique, "customer", &calm), print_order, &order);
    evs_each(evs_sample(unique, "customer", 10), print_order, &watched);

    for (int i = 0; i < 40; i++) {
        /* each order arrives twice, ten seconds apart; customer c0 has half of them */
        int number = i % 20;
        if (push(orders, 1000 * number + 10000 * (i / 20), number, number % 2 ? number : 0, &err))
            return sample_fail(err);
    }
    evs_stream_push_end(orders, NULL);
    do {
        status = evs_pipeline_poll(p, 100, &err);
    } while (status == EVS_OK || status == EVS_AGAIN);
    if (status != EVS_END)
        return sample_fail(err);
    evs_pipeline_metric(p, "left_out_total", &left_out);
    printf("%.0f left out\n", left_out);
    evs_pipeline_unref(p);
    evs_context_unref(ctx);
    return 0;
}
