/*
 * 17: the three pages that were seen most in each minute, and the one of each device, once the
 * minute is over.
 */
#include "sample.h"

static evs_status print_row(const evs_row *row, void *what)
{
    char text[4][40];
    size_t len;

    /* page, device, window_start, window_end, views */
    for (int i = 0; i < 4; i++)
        evs_row_text(row, i < 3 ? i : 4, text[i], sizeof(text[i]), &len);
    printf("%s  %s  %s  %s  %s\n", *(const char *const *)what, text[0], text[1], text[2], text[3]);
    return EVS_OK;
}

int main(void)
{
    static const char *const pages[] = {"/home", "/cart", "/item", "/help", "/pay"};
    static const char *const devices[] = {"phone", "tablet"};
    static const char *top = "top", *best = "best";
    evs_window_options minute = EVS_WINDOW_OPTIONS_INIT;
    evs_context *ctx = NULL;
    evs_pipeline *p = NULL;
    evs_stream *views, *counted;
    evs_error *err = NULL;
    evs_status status;

    if (evs_context_new(NULL, &ctx, &err) || evs_pipeline_new(ctx, "top", &p, &err))
        return sample_fail(err);
    views = evs_source(
        p, "memory",
        EVS_OPTIONS("columns", "page VARCHAR, device VARCHAR", "out_of_orderness", "5s"));
    minute.size_ms = 60000;
    minute.emit = EVS_EMIT_FINAL;
    counted = evs_window_by(views, "page, device", &minute, "count(*) AS views");

    evs_each(evs_top(counted, 3, "views DESC, page", NULL), print_row, &top);
    evs_each(evs_top(counted, 1, "views DESC, page", "device"), print_row, &best);

    for (int i = 0; i < 200; i++) {
        char json[96];
        int len = snprintf(json, sizeof(json), "{\"page\":\"%s\",\"device\":\"%s\"}",
                           pages[i * i % 7 % 5], devices[i % 3 == 0]);
        if (evs_stream_push_bytes(views, json, (size_t)len, NULL, 0, i * 600, 0, &err))
            return sample_fail(err);
    }
    evs_stream_push_end(views, NULL);
    do {
        status = evs_pipeline_poll(p, 100, &err);
    } while (status == EVS_OK || status == EVS_AGAIN);
    if (status != EVS_END)
        return sample_fail(err);
    evs_pipeline_unref(p);
    evs_context_unref(ctx);
    return 0;
}
