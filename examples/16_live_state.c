/*
 * 16: requests answered from live counts: no database between the stream and the question. Workers
 * count; the host's thread reads open windows while they do.
 *
 *     16_live_state [bootstrap.servers]
 */
#include "sample.h"

/* views of one page in the minute so far; 0: none */
static int64_t views_of(evs_stream *per_page, const char *page, int64_t minute, evs_error **err)
{
    evs_value key = {0};
    evs_batch *rows = NULL;
    int64_t views = 0;

    key.type = EVS_TYPE_VARCHAR;
    key.data = page;
    key.len = strlen(page);
    if (evs_table_get(per_page, &key, 1, minute, &rows, err) == EVS_OK) {
        evs_row row = evs_batch_row(rows, 0);
        evs_row_int(&row, evs_row_field(&row, "views"), &views);
    }
    evs_batch_unref(rows);
    return views;
}

int main(int argc, char **argv)
{
    static const char *const pages[] = {"/home", "/cart", "/item", "/nobody"};
    const char *brokers = sample_brokers(argc, argv);
    evs_table_cursor cursor = EVS_TABLE_CURSOR_INIT;
    evs_window_options minute = EVS_WINDOW_OPTIONS_INIT;
    evs_context *ctx = NULL;
    evs_pipeline *p = NULL;
    evs_stream *views, *per_page;
    evs_batch *rows = NULL;
    evs_error *err = NULL;
    evs_status status;
    double in = 0;
    int64_t total = 0;

    minute.size_ms = 60000;
    minute.grace_ms = 3600000; /* windows stay open, and readable, for an hour */
    minute.emit = EVS_EMIT_FINAL;
    if (evs_context_new(NULL, &ctx, &err) ||
        sample_send(ctx, brokers, "page_views", 300, sample_page_view, &err) ||
        evs_pipeline_new(ctx, "live", &p, &err))
        return sample_fail(err);
    evs_pipeline_set(p, "kafka.bootstrap.servers", brokers);
    views = evs_source(p, "kafka",
                       EVS_OPTIONS("topic", "page_views", "format", "json", "columns",
                                   "page VARCHAR, at TIMESTAMP", "event.time", "at"));
    per_page = evs_window_by(views, "page", &minute, "count(*) AS views");
    evs_sink(per_page, "memory", EVS_OPTIONS("name", "results"));

    if (evs_pipeline_start(p, 2, &err))
        return sample_fail(err);
    do { /* whatever else the host does; here: until all events were counted */
        status = evs_pipeline_wait(p, 20, &err);
        evs_pipeline_metric(p, "events_in_total", &in);
    } while (status == EVS_AGAIN && in < 300);

    for (int i = 0; status == EVS_AGAIN && i < 4; i++)
        printf("%s: %d views in the first minute\n", pages[i],
               (int)views_of(per_page, pages[i], SAMPLE_START_MS, &err));
    while (status == EVS_AGAIN && evs_table_range(per_page, NULL, 0, INT64_MIN, INT64_MAX, &cursor,
                                                  &rows, &err) == EVS_OK) {
        for (size_t i = 0; i < evs_batch_rows(rows); i++) {
            evs_row row = evs_batch_row(rows, i);
            int64_t n = 0;
            evs_row_int(&row, evs_row_field(&row, "views"), &n);
            total += n;
        }
        rows = evs_batch_unref(rows);
    }
    if (err || status != EVS_AGAIN || evs_pipeline_close(p, &err))
        return sample_fail(err);
    printf("%d views in all open windows\n", (int)total);
    evs_pipeline_unref(p);
    evs_context_unref(ctx);
    return 0;
}
