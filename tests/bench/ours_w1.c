/*
 * Our side of W1 and E5: a tumbling count alone, no pipeline.
 *
 *   ours-w1 [--rows N] [--keys K] [--dist uniform|zipf] [--feed columns|appender]
 *
 * Rows are pushed in batches of 4,096 that were made before (columns), or one by one through the
 * window's appender from plain arrays. Time moves with the rows, windows close while the data runs,
 * and every result batch is taken as soon as it is there and kept until the clock has stopped:
 * what DuckDB's CREATE TABLE AS keeps too.
 */
#include "ours.h"

#include <inttypes.h>

struct ours {
    struct bench_keyed data;
    evs_context *context;
    evs_schema *schema;
    evs_batch **batches; /* columns */
    size_t batch_count;
    int64_t *times; /* appender */
    char (*keys)[BENCH_KEY_LEN];
    evs_batch **results;
    size_t result_count, result_room;
};

static void make_batches(struct ours *o)
{
    evs_appender *appender = NULL;

    o->batches = bench_alloc((size_t)(o->data.rows / BENCH_BATCH + 1) * sizeof(o->batches[0]));
    BENCH_OK(evs_appender_new(o->context, evs_schema_type(o->schema), &appender, &error));
    for (uint64_t i = 0; i < o->data.rows; i++) {
        char text[BENCH_KEY_LEN];
        int64_t at_ms;
        uint64_t key;

        bench_keyed_make(&o->data, i, &key, &at_ms);
        bench_keyed_text(key, text);
        evs_append_time(appender, at_ms);
        evs_append_string(appender, text, sizeof(text));
        BENCH_OK(evs_append_end_row(appender, &error));
        if ((i + 1) % BENCH_BATCH == 0 || i + 1 == o->data.rows)
            BENCH_OK(evs_appender_take(appender, &o->batches[o->batch_count++], &error));
    }
    evs_appender_unref(appender);
}

static void make_rows(struct ours *o)
{
    o->times = bench_alloc(o->data.rows * sizeof(o->times[0]));
    o->keys = bench_alloc(o->data.rows * sizeof(o->keys[0]));
    for (uint64_t i = 0; i < o->data.rows; i++) {
        uint64_t key;

        bench_keyed_make(&o->data, i, &key, &o->times[i]);
        bench_keyed_text(key, o->keys[i]);
    }
}

static void take_results(struct ours *o, evs_window *window)
{
    evs_error *error = NULL;
    evs_status status;

    do {
        if (o->result_count == o->result_room) {
            o->result_room = o->result_room ? 2 * o->result_room : 1024;
            o->results = realloc(o->results, o->result_room * sizeof(o->results[0]));
        }
        status = evs_window_take(window, &o->results[o->result_count], &error);
        o->result_count += !status;
    } while (!status);
    if (status != EVS_END)
        bench_fail("evs_window_take", status, error);
}

static evs_window *make_window(struct ours *o)
{
    evs_window_options options = EVS_WINDOW_OPTIONS_INIT;
    evs_window *window = NULL;

    options.size_ms = BENCH_WINDOW_MS;
    options.out_of_orderness_ms = 1000;
    options.emit = EVS_EMIT_FINAL;
    options.state_bytes_max = INT64_C(8) << 30;
    BENCH_OK(
        evs_window_new(o->context, o->schema, "key", "count(*) AS n", &options, &window, &error));
    return window;
}

static void push_rows(struct ours *o, evs_window *window)
{
    evs_appender *appender = evs_window_appender(window);

    for (uint64_t i = 0; i < o->data.rows; i++) {
        evs_append_time(appender, o->times[i]);
        evs_append_string(appender, o->keys[i], BENCH_KEY_LEN);
        BENCH_OK(evs_append_end_row(appender, &error));
        if ((i + 1) % BENCH_BATCH == 0)
            take_results(o, window);
    }
}

/* Outside the clock: the checksum of bench.h over all results, which are released. */
static void check_results(struct ours *o, struct bench_result *ret_result)
{
    for (size_t b = 0; b < o->result_count; b++) {
        evs_batch *batch = o->results[b];
        evs_column_view keys, starts, counts;

        BENCH_OK(evs_batch_column(batch, 0, &keys));
        BENCH_OK(evs_batch_column(batch, 1, &starts));
        BENCH_OK(evs_batch_column(batch, 3, &counts));
        for (size_t i = 0; i < evs_batch_rows(batch); i++) {
            evs_string_view text = evs_column_string(&keys, (int64_t)i);
            uint64_t key = 0, count = (uint64_t)((const int64_t *)counts.values)[i];
            int64_t start = ((const int64_t *)starts.values)[i];

            for (size_t c = 1; c < text.len; c++)
                key = key * 10 + (uint64_t)(text.data[c] - '0');
            ret_result->rows += count;
            ret_result->checksum +=
                count * (key + 1) * (uint64_t)((start - BENCH_T0_MS) / BENCH_WINDOW_MS + 1);
        }
        ret_result->groups += evs_batch_rows(batch);
        evs_batch_unref(batch);
    }
    o->result_count = 0;
}

static int run(void *user_data, struct bench_result *ret_result)
{
    struct ours *o = user_data;
    evs_window *window;

    bench_timer_start(&ret_result->time);
    window = make_window(o);
    for (size_t i = 0; i < o->batch_count; i++) {
        BENCH_OK(evs_window_push(window, o->batches[i], &error));
        take_results(o, window);
    }
    if (o->keys)
        push_rows(o, window);
    BENCH_OK(evs_window_advance(window, INT64_MAX, &error));
    take_results(o, window);
    evs_window_unref(window);
    bench_timer_stop(&ret_result->time);
    check_results(o, ret_result);
    return 0;
}

int main(int argc, char **argv)
{
    struct ours o = {0};

    o.context = bench_context();
    BENCH_OK(evs_schema_columns(o.context, "key VARCHAR NOT NULL", &o.schema, &error));
    bench_keyed_init(&o.data, (uint64_t)bench_arg_int(argc, argv, "--rows", 1000000),
                     (uint64_t)bench_arg_int(argc, argv, "--keys", 100000),
                     bench_arg(argc, argv, "--dist", "uniform"));
    if (strcmp(bench_arg(argc, argv, "--feed", "columns"), "columns"))
        make_rows(&o);
    else
        make_batches(&o);
    return bench_serve(run, &o);
}
