/*
 * The victim of test_kills.py: Kafka -> window -> SQLite, as a host would write it, that can end
 * itself by SIGKILL at a chosen step of the n-th commit.
 *
 *     kill_pipeline BROKERS TOPIC APPLICATION STATE_DIR DATABASE MODULE_DIR [STEP N]
 *
 * Steps are those of runtime/commit.c ("begin", "flushed", ...). Ends with 0 on SIGTERM after a
 * clean close. With KILL_WORKERS set, runs threaded. KILL_FINAL: results once, at close, with a
 * clock that closes windows; otherwise changes. Without it every event is also a row of a second
 * table of the same file.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evstream/evstream.h"
#include "plan/plan.h"

static volatile sig_atomic_t stopping;

static void on_term(int number)
{
    (void)number;
    stopping = 1;
}

struct death {
    const char *step;
    int at;
};

static bool dies(void *user, const char *step)
{
    struct death *d = user;
    if (d->step && strcmp(step, d->step) == 0 && --d->at <= 0)
        raise(SIGKILL);
    return false;
}

static void on_log(int32_t level, const char *where, const char *message, void *user_data)
{
    (void)user_data;
    fprintf(stderr, "%d %s: %s\n", level, where, message);
}

static void build(evs_pipeline *p, char **argv, bool final)
{
    evs_window_options window = EVS_WINDOW_OPTIONS_INIT;
    evs_stream *events, *counts;

    window.size_ms = final ? 1000 : 10000;
    window.emit = final ? EVS_EMIT_FINAL : EVS_EMIT_CHANGES;
    evs_pipeline_set(p, "application.id", argv[3]);
    evs_pipeline_set(p, "kafka.bootstrap.servers", argv[1]);
    evs_pipeline_set(p, "state.dir", argv[4]);
    evs_pipeline_set(p, "commit.interval.ms", "50");
    events = evs_source(p, "kafka",
                        EVS_OPTIONS("topic", argv[2], "format", "json", "columns",
                                    "user VARCHAR, v BIGINT, at TIMESTAMP", "event.time", "at",
                                    "out_of_orderness", "2s", "idle_timeout",
                                    final ? "5s" : "forever", "close_after",
                                    final ? "5s" : "forever", "kafka.session.timeout.ms", "6000"));
    counts = evs_window_by(events, "user", &window, "count(*) AS n, sum(v) AS total");
    evs_sink(counts, "sqlite", EVS_OPTIONS("path", argv[5], "table", "counts"));
    if (!final) /* appended, so that a row written twice shows */
        evs_sink(events, "sqlite", EVS_OPTIONS("path", argv[5], "table", "events"));
}

int main(int argc, char **argv)
{
    const char *workers = getenv("KILL_WORKERS");
    bool final = getenv("KILL_FINAL") != NULL;
    struct death death = {argc > 8 ? argv[7] : NULL, argc > 8 ? atoi(argv[8]) : 0};
    evs_context_options options = EVS_CONTEXT_OPTIONS_INIT;
    evs_context *ctx = NULL;
    evs_pipeline *p = NULL;
    evs_error *err = NULL;
    evs_status status = EVS_OK;
    double late = 0, dead = 0;

    if (argc < 7)
        return 2;
    signal(SIGTERM, on_term);
    options.module_dir = argv[6];
    options.log = on_log;
    if (evs_context_new(&options, &ctx, &err) || evs_pipeline_new(ctx, "kills", &p, &err))
        return 2;
    p->hooks.dies = dies;
    p->hooks.user = &death;
    build(p, argv, final);
    if (workers && !(status = evs_pipeline_start(p, atoi(workers), &err))) {
        while (!stopping && (status = evs_pipeline_wait(p, 100, &err)) == EVS_AGAIN)
            ;
    }
    while (!workers && !stopping && status >= 0 && status != EVS_END)
        status = evs_pipeline_poll(p, 100, &err);
    if (status >= 0)
        status = evs_pipeline_close(p, &err);
    if (status < 0)
        fprintf(stderr, "failed: %s\n", evs_error_message(err));
    evs_pipeline_metric(p, "late_events_total", &late);
    evs_pipeline_metric(p, "dead_letters_total", &dead);
    printf("late %.0f dead %.0f\n", late, dead);
    evs_error_unref(err);
    evs_pipeline_unref(p);
    evs_context_unref(ctx);
    return status < 0;
}
