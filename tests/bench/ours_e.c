/*
 * Our side of E1 and E2: Kafka -> decode -> tumbling count by user, in a pipeline.
 *
 *   ours-e --brokers HOST:PORT --topic NAME --format json|avro [--events N]
 *
 * One thread drives the pipeline, as a host's loop would; it ends by itself because the source is
 * bounded. The whole process is measured, by the program that runs it.
 */
#include "ours.h"

#define POLL_MS 100

static evs_status on_row(const evs_row *row, void *user_data)
{
    struct bench_result *result = user_data;
    const char *user;
    size_t user_len;
    uint64_t number = 0;
    int64_t start, count;

    if (evs_row_string(row, 0, &user, &user_len) || evs_row_int(row, 1, &start) ||
        evs_row_int(row, 3, &count))
        return EVS_ERR_TYPE;
    for (size_t i = 1; i < user_len; i++)
        number = number * 10 + (uint64_t)(user[i] - '0');
    result->groups++;
    result->rows += (uint64_t)count;
    result->checksum +=
        (uint64_t)count * (number + 1) * (uint64_t)((start - BENCH_T0_MS) / BENCH_WINDOW_MS + 1);
    return EVS_OK;
}

static evs_stream *json_source(evs_pipeline *pipeline, const char *topic)
{
    return evs_source(pipeline, "kafka",
                      EVS_OPTIONS("topic", topic, "assign", "all", "bounded", "true", "format",
                                  "json", "columns",
                                  "user_id VARCHAR, viewed_at TIMESTAMP, page VARCHAR, "
                                  "load_ms DOUBLE, device VARCHAR",
                                  "event.time", "viewed_at", "out_of_orderness", "5s"));
}

static evs_stream *avro_source(evs_context *context, evs_pipeline *pipeline, const char *topic)
{
    evs_schema *schema = NULL;

    BENCH_OK(evs_schema_parse(context, EVS_FORMAT_AVRO, bench_view_avsc, strlen(bench_view_avsc),
                              &schema, &error));
    BENCH_OK(evs_registry_put(context, "bench-value", 1, schema, &error));
    return evs_source_with_schema(pipeline, "kafka", schema,
                                  EVS_OPTIONS("topic", topic, "assign", "all", "bounded", "true",
                                              "format", "avro", "event.time", "viewed_at",
                                              "out_of_orderness", "5s"));
}

static void drive(evs_pipeline *pipeline)
{
    evs_error *error = NULL;
    evs_status status;

    do {
        status = evs_pipeline_poll(pipeline, POLL_MS, &error);
    } while (status == EVS_OK || status == EVS_AGAIN);
    if (status != EVS_END)
        bench_fail("evs_pipeline_poll", status, error);
}

int main(int argc, char **argv)
{
    const char *topic = bench_arg(argc, argv, "--topic", "bench");
    struct bench_result result = {0};
    evs_context *context = bench_context();
    evs_window_options options = EVS_WINDOW_OPTIONS_INIT;
    evs_pipeline *pipeline = NULL;
    evs_stream *views;

    bench_timer_start(&result.time);
    options.size_ms = BENCH_WINDOW_MS;
    options.emit = EVS_EMIT_FINAL;
    BENCH_OK(evs_pipeline_new(context, "bench-e", &pipeline, &error));
    evs_pipeline_set(pipeline, "kafka.bootstrap.servers",
                     bench_arg(argc, argv, "--brokers", "127.0.0.1:9092"));
    views = strcmp(bench_arg(argc, argv, "--format", "json"), "avro")
                ? json_source(pipeline, topic)
                : avro_source(context, pipeline, topic);
    evs_each(evs_window_by(views, "user_id", &options, "count(*) AS n"), on_row, &result);
    drive(pipeline);
    BENCH_OK(evs_pipeline_close(pipeline, &error));
    evs_pipeline_unref(pipeline);
    evs_context_unref(context);
    bench_timer_stop(&result.time);
    bench_print(&result);
    return 0;
}
