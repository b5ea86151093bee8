/*
 * 10: counts of 10 s windows with a state folder: stopped in the middle without a word, started
 * again, and nothing is lost or counted twice.
 *
 *     10_resume events.jsonl state-folder results.db [stop-after-polls [module-dir]]
 *
 * With stop-after-polls the program ends by _exit(), as a kill would. Run it again without (-1) to
 * go on where the last commit was.
 */
#include "sample.h"
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    evs_window_options ten_seconds = EVS_WINDOW_OPTIONS_INIT;
    evs_context *ctx = NULL;
    evs_pipeline *p = NULL;
    evs_stream *events, *counts;
    evs_error *err = NULL;
    evs_status status = EVS_OK;
    int stop_after = argc > 4 ? atoi(argv[4]) : -1;

    if (argc < 4) {
        fprintf(stderr,
                "usage: %s events.jsonl state-folder results.db [stop-after-polls [module-dir]]\n",
                argv[0]);
        return 2;
    }
    {
        evs_context_options options = EVS_CONTEXT_OPTIONS_INIT;
        options.module_dir = argc > 5 ? argv[5] : NULL;
        if (evs_context_new(&options, &ctx, &err) || evs_pipeline_new(ctx, "resume", &p, &err))
            return sample_fail(err);
    }
    ten_seconds.size_ms = 10000;
    evs_pipeline_set(p, "state.dir", argv[2]);
    evs_pipeline_set(p, "commit.interval.ms", "1"); /* as often as possible, to show it */
    events = evs_source(p, "file",
                        EVS_OPTIONS("path", argv[1], "format", "json", "columns",
                                    "page VARCHAR, at TIMESTAMP", "event.time", "at"));
    counts = evs_window_by(events, "page", &ten_seconds, "count(*) AS views");
    evs_sink(counts, "sqlite", EVS_OPTIONS("path", argv[3], "table", "counts"));

    while (status == EVS_OK || status == EVS_AGAIN) {
        if (stop_after-- == 0)
            _exit(9);
        status = evs_pipeline_poll(p, 0, &err);
    }
    if (status == EVS_END)
        status = evs_pipeline_close(p, &err);
    evs_pipeline_unref(p);
    evs_context_unref(ctx);
    return status ? sample_fail(err) : 0;
}
