/*
 * 13: a pipeline in a test of your own: no broker, no database, no waiting. The pipeline is the one
 * that runs in production; its connectors are replaced by memory, its clock by the test's.
 *
 *     13_test
 */
#include "sample.h"

/* the program under test */
static evs_pipeline *views_per_minute(evs_context *ctx, evs_error **err)
{
    evs_window_options minute = EVS_WINDOW_OPTIONS_INIT;
    evs_pipeline *p = NULL;
    evs_stream *views;

    if (evs_pipeline_new(ctx, "views-per-minute", &p, err))
        return NULL;
    minute.size_ms = 60000;
    minute.emit = EVS_EMIT_FINAL;
    evs_pipeline_set(p, "kafka.bootstrap.servers", "broker:9092");
    evs_pipeline_set(p, "state.dir", "/var/lib/views");
    views = evs_source(p, "kafka",
                       EVS_OPTIONS("topic", "page_views", "format", "json", "columns",
                                   "page VARCHAR, user VARCHAR, at TIMESTAMP", "event.time", "at"));
    evs_sink(evs_window_by(views, "page", &minute, "count(*) AS views"), "kafka",
             EVS_OPTIONS("topic", "views_per_minute", "format", "json"));
    return p;
}

static int failures;

static void check(bool ok, const char *what, const char *why)
{
    printf("%s %s%s%s\n", ok ? "ok    " : "FAILED", what, ok ? "" : ": ", ok ? "" : why);
    failures += !ok;
}

int main(void)
{
    evs_context *ctx = NULL;
    evs_pipeline *p = NULL;
    evs_testkit *kit = NULL;
    evs_error *err = NULL;
    const char *why = NULL;
    bool ok;

    if (evs_context_new(NULL, &ctx, &err) || !(p = views_per_minute(ctx, &err)) ||
        evs_testkit_new(p, &kit, &err))
        return sample_fail(err);

    /* sends do not fail one by one: the first failure is told by the next expectation */
    evs_testkit_send(kit, "page_views", 1000, "{\"page\": \"/a\", \"user\": \"u1\"}");
    evs_testkit_send(kit, "page_views", 2000, "{\"page\": \"/a\", \"user\": \"u2\"}");
    ok = evs_testkit_expect_none(kit, "views_per_minute", &why);
    check(ok, "an open window gives nothing", why);

    ok = evs_testkit_crash_and_restore(kit) == EVS_OK;
    check(ok, "the process dies and comes back", evs_testkit_error(kit));

    evs_testkit_advance(kit, 66000); /* nobody sends: the clock closes the window */
    ok = evs_testkit_expect(kit, "views_per_minute", "{\"page\": \"/a\", \"views\": 3}", &why);
    printf("what a failure looks like:\n  %s\n", ok ? "" : why);
    ok = evs_testkit_expect(kit, "views_per_minute", "{\"page\": \"/a\", \"views\": 2}", &why);
    check(ok, "both views are counted, once", why);

    evs_testkit_send(kit, "page_views", 3000, "{\"page\": \"/b\", \"user\": \"u1\"}");
    ok = evs_testkit_expect_late(kit, "{\"page\": \"/b\"}", &why);
    check(ok, "a view from the past is late", why);
    evs_testkit_send(kit, "page_views", 70000, "{\"page\": 5}");
    ok = evs_testkit_expect_dead_letter(kit, "{\"stage\": \"schema\"}", &why);
    check(ok, "a bad event is a dead letter", why);

    evs_testkit_close(kit);
    evs_pipeline_unref(p);
    evs_context_unref(ctx);
    return failures != 0;
}
