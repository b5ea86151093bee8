/*
 * 09: host code as a step: a function that parses log lines; what it cannot parse goes to the dead
 * letters with its reason.
 */
#include "sample.h"

/* "GET /home 200 12ms" -> method, path, status */
static evs_status parse_line(const evs_row *row, evs_apply_out *out, void *user_data)
{
    evs_appender *to = evs_apply_appender(out);
    char line[256], method[16], path[128];
    size_t len = 0;
    int code;
    (void)user_data;
    if (evs_row_text(row, evs_row_field(row, "line"), line, sizeof(line), &len) != EVS_OK ||
        sscanf(line, "%15s %127s %d", method, path, &code) != 3) {
        evs_apply_reject(out, "expected METHOD PATH STATUS");
        return EVS_OK;
    }
    evs_append_string(to, method, strlen(method));
    evs_append_string(to, path, strlen(path));
    evs_append_int(to, code);
    return evs_append_end_row(to, NULL);
}

static evs_status print_row(const evs_row *row, void *user_data)
{
    static const char *const shown[] = {"method", "path", "status"};
    char text[128];
    size_t len;
    printf("%s:", (const char *)user_data);
    for (int i = 0; i < 3; i++) {
        if (evs_row_text(row, evs_row_field(row, shown[i]), text, sizeof(text), &len) == EVS_OK)
            printf(" %s", text);
    }
    printf("\n");
    return EVS_OK;
}

int main(void)
{
    static const char *const lines[] = {"{\"line\":\"GET /home 200\"}", "{\"line\":\"garbage\"}",
                                        "not even JSON"};
    evs_context *ctx = NULL;
    evs_pipeline *p = NULL;
    evs_stream *log;
    evs_error *err = NULL;
    evs_status status = EVS_OK;

    if (evs_context_new(NULL, &ctx, &err) || evs_pipeline_new(ctx, "parse", &p, &err))
        return sample_fail(err);
    log = evs_source(p, "memory", EVS_OPTIONS("format", "json", "columns", "line VARCHAR"));
    evs_each(evs_apply(log, "method VARCHAR, path VARCHAR, status INT", parse_line, NULL),
             print_row, (void *)"parsed");
    evs_dead_letters(p, "console",
                     EVS_OPTIONS("columns", "stage, message, payload", "width.max", "60"));

    for (int i = 0; !status && i < 3; i++)
        status = evs_stream_push_bytes(log, lines[i], strlen(lines[i]), NULL, 0, SAMPLE_START_MS, 0,
                                       &err);
    if (!status)
        status = evs_stream_push_end(log, &err);
    while (status == EVS_OK || status == EVS_AGAIN)
        status = evs_pipeline_poll(p, 100, &err);
    if (status == EVS_END)
        status = evs_pipeline_close(p, &err);
    evs_pipeline_unref(p);
    evs_context_unref(ctx);
    return status ? sample_fail(err) : 0;
}
