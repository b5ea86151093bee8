/*
 * Our side of W2: one aggregate of a tumbling window, and, as the peer, count(*) of the same rows.
 *
 *   ours-w2 [--aggregate "sum(x)"] [--rows N] [--keys K]
 *
 * Rows are key, l (BIGINT, a million values) and d (DOUBLE, over three decades), pushed in batches
 * of 4,096 that were made before. Time moves with the rows, windows close while the data runs, and
 * every result batch is taken as soon as it is there.
 */
#include "ours.h"

#include <math.h>
#include <string.h>

struct ours {
    struct bench_keyed data;
    evs_context *context;
    evs_schema *schema;
    const char *aggregate;
    evs_batch **batches;
    size_t batch_count;
};

static void make_batches(struct ours *o)
{
    evs_appender *appender = NULL;

    o->batches = bench_alloc((size_t)(o->data.rows / BENCH_BATCH + 1) * sizeof(o->batches[0]));
    BENCH_OK(evs_appender_new(o->context, evs_schema_type(o->schema), &appender, &error));
    for (uint64_t i = 0; i < o->data.rows; i++) {
        uint64_t key, mixed = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
        char text[BENCH_KEY_LEN];
        int64_t at_ms;

        bench_keyed_make(&o->data, i, &key, &at_ms);
        bench_keyed_text(key, text);
        evs_append_time(appender, at_ms);
        evs_append_string(appender, text, sizeof(text));
        evs_append_int(appender, (int64_t)(mixed >> 40) % 1000000);
        evs_append_double(appender, exp2((double)(mixed >> 32 & 0xffff) / 6554.0));
        BENCH_OK(evs_append_end_row(appender, &error));
        if ((i + 1) % BENCH_BATCH == 0 || i + 1 == o->data.rows)
            BENCH_OK(evs_appender_take(appender, &o->batches[o->batch_count++], &error));
    }
    evs_appender_unref(appender);
}

/* the groups and their windows are the same whatever is aggregated */
static void count_groups(evs_batch *batch, struct bench_result *ret_result)
{
    evs_column_view starts;

    BENCH_OK(evs_batch_column(batch, 1, &starts));
    for (size_t i = 0; i < evs_batch_rows(batch); i++) {
        int64_t start = ((const int64_t *)starts.values)[i];
        ret_result->checksum += (uint64_t)((start - BENCH_T0_MS) / BENCH_WINDOW_MS + 1);
    }
    ret_result->groups += evs_batch_rows(batch);
}

static void take_results(evs_window *window, struct bench_result *ret_result)
{
    evs_error *error = NULL;
    evs_batch *batch = NULL;
    evs_status status;

    while (!(status = evs_window_take(window, &batch, &error))) {
        count_groups(batch, ret_result);
        evs_batch_unref(batch);
    }
    if (status != EVS_END)
        bench_fail("evs_window_take", status, error);
}

static int run(void *user_data, struct bench_result *ret_result)
{
    struct ours *o = user_data;
    evs_window_options options = EVS_WINDOW_OPTIONS_INIT;
    evs_window *window = NULL;

    options.size_ms = BENCH_WINDOW_MS;
    options.out_of_orderness_ms = 1000;
    options.emit = EVS_EMIT_FINAL;
    options.state_bytes_max = INT64_C(8) << 30;
    bench_timer_start(&ret_result->time);
    BENCH_OK(evs_window_new(o->context, o->schema, "key", o->aggregate, &options, &window, &error));
    for (size_t i = 0; i < o->batch_count; i++) {
        BENCH_OK(evs_window_push(window, o->batches[i], &error));
        take_results(window, ret_result);
    }
    BENCH_OK(evs_window_advance(window, INT64_MAX, &error));
    take_results(window, ret_result);
    ret_result->rows = (uint64_t)evs_window_counter(window, "rows");
    evs_window_unref(window);
    bench_timer_stop(&ret_result->time);
    return 0;
}

int main(int argc, char **argv)
{
    struct ours o = {0};

    o.context = bench_context();
    BENCH_OK(evs_schema_columns(o.context,
                                "key VARCHAR NOT NULL, l BIGINT NOT NULL, d DOUBLE NOT NULL",
                                &o.schema, &error));
    o.aggregate = bench_arg(argc, argv, "--aggregate", "count(*)");
    bench_keyed_init(&o.data, (uint64_t)bench_arg_int(argc, argv, "--rows", 1000000),
                     (uint64_t)bench_arg_int(argc, argv, "--keys", 1000), "uniform");
    make_batches(&o);
    return bench_serve(run, &o);
}
