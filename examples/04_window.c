/*
 * 04: a window alone: no broker, no pipeline, no thread, no clock. Push rows, advance time, take
 * results.
 */
#include "sample.h"

static void print_batch(const evs_batch *batch)
{
    char text[64];
    size_t len;
    for (size_t i = 0; i < evs_batch_rows(batch); i++) {
        evs_row row = evs_batch_row(batch, i);
        for (int32_t f = 0; f < (int32_t)evs_type_child_count(evs_batch_type(batch)); f++) {
            if (evs_row_text(&row, f, text, sizeof(text), &len) != EVS_OK)
                strcpy(text, "NULL");
            printf("%s%s", f ? "  " : "", text);
        }
        printf("\n");
    }
}

int main(void)
{
    static const char *const pages[] = {"/a", "/b", "/a", "/a", "/late"};
    static const int64_t times[] = {1000, 2000, 59999, 61000, 500};
    evs_window_options opt = EVS_WINDOW_OPTIONS_INIT;
    evs_context *ctx = NULL;
    evs_schema *schema = NULL;
    evs_window *w = NULL;
    evs_appender *in;
    evs_error *err = NULL;
    evs_batch *out = NULL;

    opt.size_ms = 60000;
    opt.grace_ms = 5000;
    opt.emit = EVS_EMIT_FINAL;
    if (evs_context_new(NULL, &ctx, &err) ||
        evs_schema_columns(ctx, "page VARCHAR, load_ms DOUBLE", &schema, &err) ||
        evs_window_new(ctx, schema, "page", "count(*) AS views, avg(load_ms) AS load_ms", &opt, &w,
                       &err))
        return sample_fail(err);
    in = evs_window_appender(w);
    for (int i = 0; i < 5; i++) {
        if (i == 4 && evs_window_advance(w, 66000, &err)) /* [0, 60000) + 5000 of grace is over */
            return sample_fail(err);
        evs_append_time(in, times[i]);
        evs_append_string(in, pages[i], strlen(pages[i]));
        evs_append_double(in, 10.0 * (i + 1));
        if (evs_append_end_row(in,
                               &err)) /* a wrong type or arity is told here, with field and row */
            return sample_fail(err);
    }
    printf("page  window_start  window_end  views  load_ms\n");
    while (evs_window_take(w, &out, &err) == EVS_OK) {
        print_batch(out);
        evs_batch_unref(out);
    }
    while (evs_window_take_late(w, &out, &err) == EVS_OK) {
        printf("late: %zu row\n", evs_batch_rows(out));
        evs_batch_unref(out);
    }
    evs_window_unref(w);
    evs_schema_unref(schema);
    evs_context_unref(ctx);
    return 0;
}
