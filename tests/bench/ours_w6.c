/*
 * Our side of W6, and its peer: max over sliding windows alone, no pipeline.
 *
 *   ours-w6 [--rows N] [--per EVENTS] [--keys K] [--kind sliding|tumbling]
 *
 * Rows come in order, 10 ms apart for each key, in batches of 4,096 that were made before; a window
 * has `per` events of its key (1: no window has two). Final results are taken as soon as they are
 * there and counted. A sliding window makes one result an event where windows have one event, and
 * two where they have more (Kafka Streams' windows: one ends with the event, one begins behind it).
 */
#include "ours.h"

#define APART_MS 10

struct ours {
    evs_context *context;
    evs_schema *schema;
    evs_batch **batches;
    size_t batch_count;
    evs_window_options options;
    uint64_t rows;
};

static void make_batches(struct ours *o, int64_t keys)
{
    evs_appender *appender = NULL;

    o->batches = bench_alloc((size_t)(o->rows / BENCH_BATCH + 1) * sizeof(o->batches[0]));
    BENCH_OK(evs_appender_new(o->context, evs_schema_type(o->schema), &appender, &error));
    for (uint64_t i = 0; i < o->rows; i++) {
        evs_append_time(appender, BENCH_T0_MS + (int64_t)i / keys * APART_MS);
        evs_append_int(appender, (int64_t)i % keys);
        evs_append_int(appender, (int64_t)(bench_hash(6, i) >> 40));
        BENCH_OK(evs_append_end_row(appender, &error));
        if ((i + 1) % BENCH_BATCH == 0 || i + 1 == o->rows)
            BENCH_OK(evs_appender_take(appender, &o->batches[o->batch_count++], &error));
    }
    evs_appender_unref(appender);
}

static void take_results(evs_window *window, struct bench_result *ret_result)
{
    evs_error *error = NULL;
    evs_batch *batch = NULL;
    evs_status status;

    while (!(status = evs_window_take(window, &batch, &error))) {
        ret_result->groups += evs_batch_rows(batch);
        evs_batch_unref(batch);
    }
    if (status != EVS_END)
        bench_fail("evs_window_take", status, error);
}

static int run(void *user_data, struct bench_result *ret_result)
{
    struct ours *o = user_data;
    evs_window *window = NULL;

    bench_timer_start(&ret_result->time);
    BENCH_OK(
        evs_window_new(o->context, o->schema, "k", "max(v) AS m", &o->options, &window, &error));
    for (size_t i = 0; i < o->batch_count; i++) {
        BENCH_OK(evs_window_push(window, o->batches[i], &error));
        take_results(window, ret_result);
    }
    BENCH_OK(evs_window_advance(window, INT64_MAX, &error));
    take_results(window, ret_result);
    evs_window_unref(window);
    bench_timer_stop(&ret_result->time);
    ret_result->rows = o->rows;
    return 0;
}

int main(int argc, char **argv)
{
    struct ours o = {.rows = (uint64_t)bench_arg_int(argc, argv, "--rows", 2000000)};
    evs_window_options options = EVS_WINDOW_OPTIONS_INIT;
    int64_t per = bench_arg_int(argc, argv, "--per", 10);

    options.kind = EVS_WINDOW_SLIDING;
    options.size_ms = per > 1 ? (per - 1) * APART_MS : APART_MS / 2;
    if (!strcmp(bench_arg(argc, argv, "--kind", "sliding"), "tumbling")) {
        options.kind = EVS_WINDOW_TUMBLING;
        options.size_ms = per * APART_MS;
    }
    options.out_of_orderness_ms = 0;
    options.emit = EVS_EMIT_FINAL;
    options.state_bytes_max = INT64_C(8) << 30;
    o.options = options;
    o.context = bench_context();
    BENCH_OK(
        evs_schema_columns(o.context, "k BIGINT NOT NULL, v BIGINT NOT NULL", &o.schema, &error));
    make_batches(&o, bench_arg_int(argc, argv, "--keys", 1));
    return bench_serve(run, &o);
}
