/*
 * 06: clicks per page on the terminal, by processing time: rows belong to the second in which they
 * arrive.
 *
 *     06_clicks_console [seconds]
 *
 * The host pushes the rows itself, into a `memory` source: a pipeline needs no broker.
 */
#include "sample.h"
#include <stdlib.h>
#include <time.h>

static evs_status push_clicks(evs_stream *clicks, int round, evs_error **reterr)
{
    evs_status status = EVS_OK;
    char json[512], key[64];
    for (int i = 0; !status && i < 30; i++) {
        sample_page_view(round * 30 + i, json, key);
        status =
            evs_stream_push_bytes(clicks, json, strlen(json), NULL, 0, EVS_TIME_NONE, 0, reterr);
    }
    return status;
}

int main(int argc, char **argv)
{
    int seconds = argc > 1 ? atoi(argv[1]) : 3;
    evs_window_options second = EVS_WINDOW_OPTIONS_INIT;
    evs_context *ctx = NULL;
    evs_pipeline *p = NULL;
    evs_stream *clicks;
    evs_error *err = NULL;
    evs_status status = EVS_OK;

    second.size_ms = 1000;
    second.time = EVS_TIME_PROCESSING;
    second.emit = EVS_EMIT_CHANGES;
    if (evs_context_new(NULL, &ctx, &err) || evs_pipeline_new(ctx, "clicks", &p, &err))
        return sample_fail(err);
    clicks = evs_source(p, "memory", EVS_OPTIONS("format", "json", "columns", "page VARCHAR"));
    evs_sink(evs_window_by(clicks, "page", &second, "count(*) AS clicks"), "console",
             EVS_OPTIONS("columns", "window_start, page, clicks"));

    for (int round = 0; !status && round < seconds * 4; round++) {
        struct timespec quarter = {0, 250000000};
        status = push_clicks(clicks, round, &err);
        if (!status && evs_pipeline_poll(p, 0, &err) < 0)
            return sample_fail(err);
        nanosleep(&quarter, NULL);
    }
    if (!status)
        status = evs_stream_push_end(clicks, &err);
    while (!status || status == EVS_AGAIN)
        status = evs_pipeline_poll(p, 100, &err);
    if (status == EVS_END)
        status = evs_pipeline_close(p, &err);
    evs_pipeline_unref(p);
    evs_context_unref(ctx);
    return status ? sample_fail(err) : 0;
}
