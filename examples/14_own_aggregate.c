/*
 * 14: an aggregate of one's own: functions over a small state, registered under a name; from then
 * on it is used like a built-in one, with DISTINCT and FILTER, merged and stored.
 */
#include "sample.h"

/* the harmonic mean, the right one for speeds: how many, divided by the sum of 1/x */
struct harmonic {
    double inverse;
    int64_t n;
};

static evs_status harmonic_add(void *state,
                               const evs_value *args,
                               size_t arg_count,
                               char *reason,
                               size_t reason_size,
                               void *user_data)
{
    struct harmonic *h = state;
    (void)arg_count;
    (void)user_data;
    if (args[0].number <= 0) {
        snprintf(reason, reason_size, "%g is not above zero", args[0].number);
        return EVS_ERR_INVALID; /* the row is rejected, with this reason */
    }
    h->inverse += 1 / args[0].number;
    h->n++;
    return EVS_OK;
}

static evs_status harmonic_merge(void *state, const void *from, void *user_data)
{
    struct harmonic *h = state;
    (void)user_data;
    h->inverse += ((const struct harmonic *)from)->inverse;
    h->n += ((const struct harmonic *)from)->n;
    return EVS_OK;
}

static void harmonic_result(const void *state, evs_value *ret_value, void *user_data)
{
    const struct harmonic *h = state;
    (void)user_data;
    ret_value->is_null = 0;
    ret_value->number = (double)h->n / h->inverse;
}

int main(void)
{
    static const double km_h[] = {60, 30, 0, 20, 100, 25};
    evs_aggregate harmonic = {.struct_size = sizeof(evs_aggregate),
                              .signature = "harmonic_mean(DOUBLE) RETURNS DOUBLE",
                              .state_size = sizeof(struct harmonic),
                              .add = harmonic_add,
                              .merge = harmonic_merge,
                              .result = harmonic_result};
    evs_window_options options = EVS_WINDOW_OPTIONS_INIT;
    evs_context *ctx = NULL;
    evs_schema *schema = NULL;
    evs_window *window = NULL;
    evs_batch *batch = NULL;
    evs_error *err = NULL;

    options.size_ms = 60000;
    options.emit = EVS_EMIT_FINAL;
    if (evs_context_new(NULL, &ctx, &err) || evs_aggregate_register(ctx, &harmonic, &err) ||
        evs_schema_columns(ctx, "road VARCHAR, km_h DOUBLE", &schema, &err) ||
        evs_window_new(ctx, schema, "road", "count(*) AS n, harmonic_mean(km_h) AS km_h", &options,
                       &window, &err))
        return sample_fail(err);
    for (int i = 0; i < 6; i++) {
        evs_appender *in = evs_window_appender(window);
        evs_append_time(in, SAMPLE_START_MS + i);
        evs_append_string(in, i < 4 ? "A1" : "B7", 2);
        evs_append_double(in, km_h[i]);
        if (evs_append_end_row(in, &err))
            return sample_fail(err);
    }
    if (evs_window_advance(window, INT64_MAX, &err) || evs_window_take(window, &batch, &err))
        return sample_fail(err);
    for (size_t i = 0; i < evs_batch_rows(batch); i++) {
        evs_row row = evs_batch_row(batch, i);
        char road[64], speed[64];
        size_t len;
        if (evs_row_text(&row, 0, road, sizeof(road), &len) ||
            evs_row_text(&row, 4, speed, sizeof(speed), &len))
            return 1;
        printf("%s: %s km/h\n", road, speed);
    }
    printf("%d row rejected\n", (int)evs_window_counter(window, "rejected"));
    evs_batch_unref(batch);
    evs_window_unref(window);
    evs_schema_unref(schema);
    evs_context_unref(ctx);
    return 0;
}
