/*
 * runtime/dead_letter.c: events and rows that could not be processed, in one envelope.
 *
 *   STRUCT<stage, code, message, topic, partition, offset, timestamp, key, payload, headers>
 *
 * Each is counted by stage. What becomes of it says on_error: a row for the sink of
 * evs_dead_letters() (without one a line in the log, RATE a second at most), nothing, or the end of
 * the pipeline. Rows are gathered and written after each job, and within a commit before its epoch
 * is true: a crash loses none, a replay may repeat them. The payload is the event's bytes; rows
 * that came from no bytes (results of windows, columns of the host) are shown as JSON. Of a row
 * that a server refused after it was written, key and payload are what was sent; where it came from
 * is not known any more.
 */
#include "runtime/runtime.h"

#define STAGES 16
#define LOG_RATE 10 /* lines a second */
#define JSON_MAX (4 << 20)

typedef struct stage_count {
    const char *stage;
    evs__metric *metric;
} stage_count;

struct evs__dead_letter_box {
    pthread_mutex_t lock;
    evs__on_error on_error;
    evs__sink *sink; /* or NULL */
    evs_appender *rows;
    evs__buffer json;
    stage_count stages[STAGES];
    int64_t log_second;
    int32_t logged;
    evs_error *failure; /* on_error=fail, or no memory: ends the job */
};

static const char *const stages[] = {
    EVS__STAGE_DECODE,   EVS__STAGE_SCHEMA,     EVS__STAGE_EVENT_TIME,
    EVS__STAGE_FUTURE,   EVS__STAGE_EXPRESSION, EVS__STAGE_LATE,
    EVS__STAGE_NULL_KEY, EVS__STAGE_HOST,       EVS__STAGE_SINK,
};

evs_status evs__dead_letters_new(evs__runtime *rt, evs_error **reterr)
{
    struct evs__dead_letter_box *box = evs__calloc(rt->ctx, 1, sizeof(*box));
    if (!box)
        return evs__nomem(reterr);
    pthread_mutex_init(&box->lock, NULL);
    evs__buffer_init(&box->json, rt->ctx, JSON_MAX);
    rt->box = box;
    box->on_error = evs__plan_on_error(rt->plan);
    for (size_t i = 0; i < sizeof(stages) / sizeof(*stages); i++) {
        box->stages[i].stage = stages[i];
        box->stages[i].metric =
            evs__metrics_add(&rt->metrics, EVS__METRIC_DEAD_LETTERS, "stage", stages[i], NULL);
        if (!box->stages[i].metric)
            return evs__nomem(reterr);
    }
    for (uint32_t i = 0; i < rt->sink_count; i++) {
        if (rt->sinks[i].node->kind != EVS__NODE_DEAD_LETTERS)
            continue;
        box->sink = &rt->sinks[i];
        return evs_appender_new(rt->ctx, box->sink->node->type, &box->rows, reterr);
    }
    return EVS_OK;
}

void evs__dead_letters_free(evs__runtime *rt)
{
    struct evs__dead_letter_box *box = rt->box;
    if (!box)
        return;
    evs_appender_unref(box->rows);
    evs__buffer_free(&box->json);
    evs_error_unref(box->failure);
    pthread_mutex_destroy(&box->lock);
    evs__free(rt->ctx, box);
    rt->box = NULL;
}

/* ---- one letter, under the box's lock ---- */

static void count(struct evs__dead_letter_box *box, const char *stage)
{
    for (size_t i = 0; i < STAGES && box->stages[i].stage; i++) {
        if (strcmp(box->stages[i].stage, stage) == 0)
            evs__metric_add(box->stages[i].metric, 1);
    }
}

/* text that may come from outside, as VARCHAR: cut where it stops being UTF-8 */
static void append_text(evs_appender *a, const char *text)
{
    evs_append_string(a, text, evs__utf8_valid_prefix(text, strlen(text)));
}

static void append_bytes(evs_appender *a, const void *data, size_t len)
{
    if (data)
        evs_append_string(a, data, len);
    else
        evs_append_null(a);
}

static void append_headers(evs_appender *a, evs__source *s, const evs_input *in)
{
    const evs_header *headers = NULL;
    size_t n = 0;

    if (!s || !in || !in->handle || !s->fn->headers) {
        evs_append_null(a);
        return;
    }
    pthread_mutex_lock(&s->lock);
    if (s->fn->headers(s->handle, in, &headers, &n))
        n = 0;
    evs_append_begin(a);
    for (size_t i = 0; i < n; i++) {
        evs_append_begin(a);
        append_text(a, headers[i].name);
        append_bytes(a, headers[i].value, headers[i].value_len);
        evs_append_end(a);
    }
    evs_append_end(a);
    pthread_mutex_unlock(&s->lock);
}

static evs__source *source_of(evs__runtime *rt, const evs__node *node)
{
    const evs__node *root = evs__node_root(node);
    for (uint32_t i = 0; i < rt->source_count; i++) {
        if (rt->sources[i].node == root)
            return &rt->sources[i];
    }
    return NULL;
}

static evs_status append_payload(struct evs__dead_letter_box *box,
                                 const evs_input *in,
                                 const evs_batch *batch,
                                 uint32_t row)
{
    evs_status status = EVS_OK;
    if ((in && in->value) || !batch) {
        append_bytes(box->rows, in ? in->value : NULL, in ? in->value_len : 0);
        return EVS_OK;
    }
    evs__buffer_reset(&box->json);
    status = evs__batch_row_json(batch, row, &box->json);
    if (status == EVS_ERR_NOMEM)
        return status;
    append_bytes(box->rows, status ? NULL : box->json.data, box->json.len);
    return EVS_OK;
}

static evs_status append_letter(struct evs__dead_letter_box *box,
                                evs__source *s,
                                const evs_input *in,
                                const evs_batch *batch,
                                uint32_t row,
                                const char *stage,
                                evs_status code,
                                const char *message,
                                evs_error **reterr)
{
    evs_appender *a = box->rows;
    evs_status status;

    if (batch && batch->times && batch->times[row] != EVS_TIME_NONE)
        evs_append_time(a, batch->times[row]);
    else if (in && in->timestamp >= 0)
        evs_append_time(a, in->timestamp);
    append_text(a, stage);
    append_text(a, evs_status_name(code));
    append_text(a, message);
    if (in && s && in->topic < s->topic_count) {
        append_text(a, s->topics[in->topic]);
        evs_append_int(a, in->partition);
        evs_append_int(a, in->offset);
    } else {
        evs_append_null(a);
        evs_append_null(a);
        evs_append_null(a);
    }
    if (in && in->timestamp >= 0)
        evs_append_int(a, in->timestamp);
    else
        evs_append_null(a);
    append_bytes(a, in ? in->key : NULL, in ? in->key_len : 0);
    status = append_payload(box, in, batch, row);
    append_headers(a, s, in);
    if (status) {
        evs_append_end_row(a, NULL);
        return evs__nomem(reterr);
    }
    return evs_append_end_row(a, reterr);
}

static void log_letter(evs__runtime *rt,
                       const evs__node *node,
                       const evs_input *in,
                       const char *stage,
                       const char *message)
{
    struct evs__dead_letter_box *box = rt->box;
    int64_t second = evs__monotonic_ms() / 1000;

    if (second != box->log_second) {
        box->log_second = second;
        box->logged = 0;
    }
    if (box->logged++ >= LOG_RATE)
        return;
    if (in && in->offset >= 0)
        evs__log(rt->ctx, EVS_LOG_WARNING, node->name,
                 "dead letter, stage %s: partition %d offset %lld: %s", stage, in->partition,
                 (long long)in->offset, message);
    else
        evs__log(rt->ctx, EVS_LOG_WARNING, node->name, "dead letter, stage %s: %s", stage, message);
}

static const evs_input *input_of(const evs_batch *batch, uint32_t row)
{
    if (!batch || !batch->lease || !batch->origin || batch->origin[row] >= batch->lease->count)
        return NULL;
    return &batch->lease->inputs[batch->origin[row]];
}

void evs__dead_letter_add(evs__runtime *rt,
                          const evs__node *node,
                          const evs_input *in,
                          const evs_batch *batch,
                          uint32_t row,
                          const char *stage,
                          evs_status status,
                          const char *message)
{
    struct evs__dead_letter_box *box = rt->box;
    bool of_itself = node->kind == EVS__NODE_DEAD_LETTERS;

    if (!in)
        in = input_of(batch, row);
    pthread_mutex_lock(&box->lock);
    count(box, stage);
    if (box->on_error == EVS__ON_ERROR_FAIL && !box->failure) {
        evs__fail(rt->ctx, &box->failure, status < 0 ? status : EVS_ERR_DECODE,
                  "step \"%s\": stage %s: %s (on_error=fail)", node->name, stage, message);
    } else if (box->on_error == EVS__ON_ERROR_DEAD_LETTER && box->rows && !of_itself) {
        evs_error *e = NULL;
        append_letter(box, source_of(rt, node), in, batch, row, stage, status, message, &e);
        if (box->failure)
            evs_error_unref(e);
        else
            box->failure = e;
    } else if (box->on_error == EVS__ON_ERROR_DEAD_LETTER) {
        log_letter(rt, node, in, stage, message);
    }
    pthread_mutex_unlock(&box->lock);
}

evs__sink *evs__dead_letters_sink(evs__runtime *rt)
{
    return rt->box->sink;
}

evs_status evs__dead_letters_flush(evs__runtime *rt, int64_t now_ms, evs_error **reterr)
{
    struct evs__dead_letter_box *box = rt->box;
    evs_batch *batch = NULL;
    evs_error *failure;
    evs_status status = EVS_OK;

    pthread_mutex_lock(&box->lock);
    failure = box->failure;
    box->failure = NULL;
    if (!failure && box->rows && evs_appender_rows(box->rows))
        status = evs_appender_take(box->rows, &batch, reterr);
    pthread_mutex_unlock(&box->lock);
    if (failure)
        return evs__error_move(reterr, failure);
    if (batch)
        status = evs__sink_put(box->sink, batch, now_ms, reterr);
    evs_batch_unref(batch);
    return status;
}

void evs__dead_letters_drop(evs__runtime *rt)
{
    struct evs__dead_letter_box *box = rt->box;
    evs_batch *batch = NULL;
    pthread_mutex_lock(&box->lock);
    if (box->rows && !evs_appender_take(box->rows, &batch, NULL))
        evs_batch_unref(batch);
    evs_error_unref(box->failure);
    box->failure = NULL;
    pthread_mutex_unlock(&box->lock);
}
