/*
 * 05: views per page and minute, Kafka -> SQLite. Each view counts exactly once, whatever happens:
 * result rows, epoch and offsets are one transaction.
 *
 *     05_views_per_minute [bootstrap.servers [database]]
 */
#include "sample.h"

int main(int argc, char **argv)
{
    const char *brokers = sample_brokers(argc, argv);
    const char *database = argc > 2 ? argv[2] : "views.db";
    evs_window_options minute = EVS_WINDOW_OPTIONS_INIT;
    evs_context_options options = EVS_CONTEXT_OPTIONS_INIT;
    evs_context *ctx = NULL;
    evs_pipeline *p = NULL;
    evs_stream *views, *per_page;
    evs_error *err = NULL;
    evs_status status;

    options.module_dir =
        argc > 3 ? argv[3]
                 : NULL; /* where libevstream-sqlite.so is; NULL: where it was installed */
    if (evs_context_new(&options, &ctx, &err) ||
        sample_send(ctx, brokers, "page_views", 600, sample_page_view, &err) ||
        evs_pipeline_new(ctx, "views-per-minute", &p, &err))
        return sample_fail(err);
    minute.size_ms = 60000;
    evs_pipeline_set(p, "kafka.bootstrap.servers", brokers);

    views = evs_source(
        p, "kafka",
        EVS_OPTIONS("topic", "page_views", "format", "json", "columns",
                    "user VARCHAR, page VARCHAR, device VARCHAR, load_ms DOUBLE, at TIMESTAMP",
                    "event.time", "at", "bounded", "true"));
    per_page =
        evs_window_by(evs_filter(views, "device <> 'bot'"), "page", &minute,
                      "count(*) AS views, count_distinct(user) AS users, max(load_ms) AS slowest");
    evs_sink(per_page, "sqlite",
             EVS_OPTIONS("path", database, "table", "views_per_minute", "time.format", "iso"));

    /* a builder call never fails on its own: the first error, with the step's name, is told here */
    do {
        status = evs_pipeline_poll(p, 100, &err);
    } while (status == EVS_OK || status == EVS_AGAIN);
    if (status == EVS_END)
        status = evs_pipeline_close(p, &err);
    evs_pipeline_unref(p);
    evs_context_unref(ctx);
    if (status)
        return sample_fail(err);
    printf("sqlite3 %s 'SELECT * FROM views_per_minute'\n", database);
    return 0;
}
