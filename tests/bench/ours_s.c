/*
 * Our side of S2, S3 and S4: a sink alone, written by batches.
 *
 *   ours-s --sink redis  --port P    [--rows N] [--pages P]
 *   ours-s --sink sqlite --file PATH [--rows N] [--pages P] [--transaction T]
 *   ours-s --sink file   --file PATH [--rows N] [--pages P]
 *
 * The batches are there before the clock starts, as a window's results are. Opening, flushing and
 * closing are measured; what is in the store is read back afterwards by the code that reads the
 * peer's.
 */
#include "stores.h"
#include "ours.h"

#include <stdio.h>
#include <unistd.h>

struct ours {
    const char *sink, *file;
    int port;
    uint64_t rows, pages, transaction;
    uint64_t batch_rows; /* divides the transaction */
    evs_context *context;
    evs_schema *schema;
    evs_batch **batches;
    size_t batch_count;
};

/* The peer's keys hold the start of a window as milliseconds; a TIMESTAMP would be written as a
 * date. */
static const char redis_columns[] = "page VARCHAR NOT NULL, window_start BIGINT NOT NULL, "
                                    "views BIGINT NOT NULL, users BIGINT NOT NULL, "
                                    "load_ms DOUBLE NOT NULL";
static const char columns[] = "page VARCHAR NOT NULL, window_start TIMESTAMP NOT NULL, "
                              "views BIGINT NOT NULL, users BIGINT NOT NULL, "
                              "load_ms DOUBLE NOT NULL";

static void make_batches(struct ours *o)
{
    evs_appender *appender = NULL;

    o->batches = bench_alloc((size_t)(o->rows / o->batch_rows + 1) * sizeof(o->batches[0]));
    BENCH_OK(evs_appender_new(o->context, evs_schema_type(o->schema), &appender, &error));
    for (uint64_t i = 0; i < o->rows; i++) {
        struct bench_stored row;

        bench_stored_make(i, o->pages, &row);
        evs_append_time(appender, row.window_start + BENCH_WINDOW_MS - 1);
        evs_append_string(appender, row.page, sizeof(row.page));
        evs_append_int(appender, row.window_start);
        evs_append_int(appender, row.views);
        evs_append_int(appender, row.users);
        evs_append_double(appender, row.load_ms);
        BENCH_OK(evs_append_end_row(appender, &error));
        if ((i + 1) % o->batch_rows == 0 || i + 1 == o->rows)
            BENCH_OK(evs_appender_take(appender, &o->batches[o->batch_count++], &error));
    }
    evs_appender_unref(appender);
}

static evs_sink_handle *open_sink(struct ours *o)
{
    evs_sink_handle *sink = NULL;
    char url[64];

    snprintf(url, sizeof(url), "redis://127.0.0.1:%d", o->port);
    if (!strcmp(o->sink, "redis"))
        BENCH_OK(evs_sink_open(
            o->context, "redis",
            EVS_OPTIONS("url", url, "key", "views:{page}:{window_start}", "type", "hash"),
            o->schema, 2, &sink, &error));
    else if (!strcmp(o->sink, "sqlite"))
        BENCH_OK(evs_sink_open(o->context, "sqlite",
                               EVS_OPTIONS("path", o->file, "table", "results"), o->schema, 2,
                               &sink, &error));
    else
        BENCH_OK(evs_sink_open(o->context, "file", EVS_OPTIONS("path", o->file, "format", "json"),
                               o->schema, 0, &sink, &error));
    return sink;
}

static void write_all(struct ours *o)
{
    evs_sink_handle *sink = open_sink(o);
    uint64_t written = 0;
    int64_t epoch = 0;

    for (size_t i = 0; i < o->batch_count; i++) {
        BENCH_OK(evs_sink_write(sink, o->batches[i], &error));
        written += o->batch_rows;
        if (o->transaction && written % o->transaction == 0)
            BENCH_OK(evs_sink_commit(sink, ++epoch, &error));
    }
    BENCH_OK(evs_sink_commit(sink, ++epoch, &error));
    evs_sink_close(sink);
}

static int run(void *user_data, struct bench_result *ret_result)
{
    struct ours *o = user_data;

    if (o->port)
        bench_redis_clear(o->port);
    else
        unlink(o->file);
    bench_timer_start(&ret_result->time);
    write_all(o);
    bench_timer_stop(&ret_result->time);
    ret_result->rows = o->rows;
    if (o->port)
        bench_redis_check(o->port, o->rows, o->pages, ret_result);
    else if (!strcmp(o->sink, "sqlite"))
        bench_sqlite_check(o->file, "results", ret_result);
    else
        bench_file_check(o->file, ret_result);
    return 0;
}

int main(int argc, char **argv)
{
    struct ours o = {0};

    o.sink = bench_arg(argc, argv, "--sink", "file");
    o.file = bench_arg(argc, argv, "--file", "bench-ours");
    o.port = (int)bench_arg_int(argc, argv, "--port", 0);
    o.rows = (uint64_t)bench_arg_int(argc, argv, "--rows", 100000);
    o.pages = (uint64_t)bench_arg_int(argc, argv, "--pages", 20000);
    o.transaction = (uint64_t)bench_arg_int(argc, argv, "--transaction", 0);
    o.batch_rows = o.transaction ? 2500 : BENCH_BATCH;
    o.context = bench_context();
    BENCH_OK(evs_schema_columns(o.context, o.port ? redis_columns : columns, &o.schema, &error));
    make_batches(&o);
    return bench_serve(run, &o);
}
