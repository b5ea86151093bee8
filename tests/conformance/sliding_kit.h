/*
 * tests/conformance/sliding_kit.h: what the runners of sliding windows share: a window operator
 * that takes one event after the other, and its results as lines.
 *
 * Kafka Streams' sliding windows (KIP-450), which Quix follows: [start, start + duration], both
 * ends inclusive. An event at t makes the window that ends with it, [t - duration, t], which begins
 * at 0 where t < duration, and [t + 1, t + 1 + duration] as soon as that holds an event. Time is
 * the highest event time seen of all keys; a window takes nothing more when end + grace is below
 * it. An event that all the windows there are have refused is in none that is made later.
 *
 * `t` of a line is the highest event time in the window, which both systems have in results.
 */
#ifndef EVS_SLIDING_KIT_H
#define EVS_SLIDING_KIT_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evstream/evstream.h"

#define LINES_MAX 4096
#define LINE_MAX_BYTES 512

typedef struct lines {
    char *items[LINES_MAX];
    size_t count;
} lines;

typedef struct sliding {
    evs_context *ctx;
    evs_schema *schema;
    evs_window *w;
    evs_window_options options;
    const char *aggregates; /* two: the value and max(t) */
    bool restarts;          /* a snapshot, another window and restore after each event */
} sliding;

static inline void must(evs_status status, evs_error **err)
{
    if (!status)
        return;
    printf("Bail out! %s\n", *err ? evs_error_message(*err) : evs_status_name(status));
    exit(1);
}

static inline void lines_clear(lines *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i]);
    l->count = 0;
}

static inline void lines_add(lines *l, const char *text)
{
    if (l->count == LINES_MAX) {
        printf("Bail out! too many results\n");
        exit(1);
    }
    l->items[l->count++] = strdup(text);
}

static inline void sliding_window(sliding *s)
{
    evs_error *err = NULL;

    must(evs_window_new(s->ctx, s->schema, "key", s->aggregates, &s->options, &s->w, &err), &err);
}

static inline void
sliding_open(sliding *s, const char *aggregates, int64_t duration_ms, int64_t grace_ms, bool final)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    evs_error *err = NULL;

    o.kind = EVS_WINDOW_SLIDING;
    o.size_ms = duration_ms;
    o.grace_ms = grace_ms;
    o.out_of_orderness_ms = 0;
    o.emit = final ? EVS_EMIT_FINAL : EVS_EMIT_CHANGES;
    s->options = o;
    s->aggregates = aggregates;
    must(evs_context_new(NULL, &s->ctx, &err), &err);
    must(evs_schema_columns(s->ctx, "key VARCHAR, value VARCHAR, t BIGINT", &s->schema, &err),
         &err);
    sliding_window(s);
}

static inline void sliding_close(sliding *s)
{
    evs_window_unref(s->w);
    evs_schema_unref(s->schema);
    evs_context_unref(s->ctx);
}

static inline void sliding_event(sliding *s, const char *key, const char *value, int64_t t)
{
    evs_appender *a = evs_window_appender(s->w);
    evs_error *err = NULL;

    evs_append_time(a, t);
    evs_append_string(a, key, strlen(key));
    evs_append_string(a, value, strlen(value));
    evs_append_int(a, t);
    must(evs_append_end_row(a, &err), &err);
}

static inline void sliding_restart(sliding *s)
{
    evs_window *old = s->w;
    evs_error *err = NULL;
    const void *data = NULL;
    size_t len = 0;

    must(evs_window_snapshot(old, &data, &len, &err), &err);
    sliding_window(s);
    must(evs_window_restore(s->w, data, len, &err), &err);
    evs_window_unref(old);
}

typedef struct sliding_result {
    const char *key, *value;
    int64_t start, end, t;
} sliding_result;

typedef void (*sliding_result_fn)(const sliding_result *result, void *user_data);

/* what the operator has to give now; key | window_start | window_end | value | t */
static inline void sliding_take(sliding *s, sliding_result_fn fn, void *user_data)
{
    evs_batch *batch = NULL;
    evs_error *err = NULL;
    evs_status status;

    if (s->restarts)
        sliding_restart(s);
    while (!(status = evs_window_take(s->w, &batch, &err))) {
        for (size_t i = 0; i < evs_batch_rows(batch); i++) {
            evs_row row = evs_batch_row(batch, i);
            char key[64] = "", value[LINE_MAX_BYTES] = "";
            sliding_result r = {.key = key, .value = value};
            size_t len;
            evs_row_text(&row, 0, key, sizeof(key), &len);
            evs_row_text(&row, 3, value, sizeof(value), &len);
            must(evs_row_int(&row, 1, &r.start), &err);
            must(evs_row_int(&row, 2, &r.end), &err);
            must(evs_row_int(&row, 4, &r.t), &err);
            if (evs_row_get_kind(&row) != EVS_ROW_DELETE)
                fn(&r, user_data);
        }
        evs_batch_unref(batch);
    }
    if (status != EVS_END)
        must(status, &err);
    if (s->restarts)
        sliding_restart(s);
}

/* the file of a corpus; NULL: missing, and that was said as TAP */
static inline json_t *
sliding_corpus(int argc, char **argv, const char *corpus, const char *name, bool *ret_list)
{
    const char *corpora = getenv("EVS_CORPORA");
    json_error_t error;
    json_t *json;
    char path[4096];

    *ret_list = getenv("EVS_CONFORMANCE_LIST") || (argc > 2 && !strcmp(argv[2], "--list"));
    if (!corpora)
        corpora = argc > 1 ? argv[1] : ".";
    snprintf(path, sizeof(path), "%s/%s/sliding_cases.json", corpora, corpus);
    json = json_load_file(path, 0, &error);
    if (!json)
        printf("1..0 # SKIP no cases of %s in %s (set EVS_CORPORA)\n", name, path);
    return json;
}

#endif
