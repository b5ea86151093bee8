/*
 * Our side of M1: resident memory of a pipeline on Kafka that waits at the end of an empty topic.
 *
 *   ours-m1 --brokers HOST:PORT --topic NAME [--seconds S]
 *
 * Prints the result line with `rows` = kilobytes resident after S seconds in state "running".
 */
#include "ours.h"

static evs_status on_row(const evs_row *row, void *user_data)
{
    return EVS_OK;
}

int main(int argc, char **argv)
{
    double seconds = (double)bench_arg_int(argc, argv, "--seconds", 3), end = 0;
    struct bench_result result = {0};
    evs_context *context = bench_context();
    evs_window_options options = EVS_WINDOW_OPTIONS_INIT;
    evs_pipeline *pipeline = NULL;
    evs_stream *views;

    bench_timer_start(&result.time);
    options.size_ms = BENCH_WINDOW_MS;
    BENCH_OK(evs_pipeline_new(context, "bench-m1", &pipeline, &error));
    evs_pipeline_set(pipeline, "kafka.bootstrap.servers",
                     bench_arg(argc, argv, "--brokers", "127.0.0.1:9092"));
    views =
        evs_source(pipeline, "kafka",
                   EVS_OPTIONS("topic", bench_arg(argc, argv, "--topic", "bench-idle"), "assign",
                               "all", "format", "json", "columns",
                               "user_id VARCHAR, viewed_at TIMESTAMP", "event.time", "viewed_at"));
    evs_each(evs_window_by(views, "user_id", &options, "count(*) AS n"), on_row, NULL);
    while (!end || bench_wall_s() < end) {
        evs_error *error = NULL;
        evs_status status = evs_pipeline_poll(pipeline, 100, &error);

        if (status < 0)
            bench_fail("evs_pipeline_poll", status, error);
        if (!end && !strcmp(evs_pipeline_state(pipeline), "running"))
            end = bench_wall_s() + seconds;
    }
    bench_timer_stop(&result.time);
    result.rows = bench_resident_kb();
    bench_print(&result);
    evs_pipeline_unref(pipeline);
    evs_context_unref(context);
    return 0;
}
