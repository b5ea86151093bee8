/*
 * runtime/event_time.c: event times from a column, and columns from the record around an event.
 *
 * Times are milliseconds. A value that is missing, NULL or -1 leaves EVS_TIME_NONE, which
 * engine/watermark.c refuses; one that cannot be read is refused here, with what it says. Where
 * nothing behind the source needs a time (node->needs_time), neither is refused.
 */
#include <math.h>
#include <stdio.h>

#include "base/number.h"
#include "base/time.h"
#include "runtime/runtime.h"

#define YEAR_1990_MS INT64_C(631152000000)
#define DAY_MS INT64_C(86400000)

/* ---- event time ---- */

static int64_t of_integer(int64_t v, evs__time_unit unit)
{
    int64_t ms;
    if (v == -1)
        return EVS_TIME_NONE;
    switch (unit) {
    case EVS__UNIT_S:
        return __builtin_mul_overflow(v, 1000, &ms) ? EVS_TIME_NONE : ms;
    case EVS__UNIT_US:
        return v / 1000 - (v % 1000 < 0);
    case EVS__UNIT_NS:
        return v / 1000000 - (v % 1000000 < 0);
    default:
        return v;
    }
}

static int64_t of_double(double v, evs__time_unit unit)
{
    double ms = unit == EVS__UNIT_S    ? v * 1000.0
                : unit == EVS__UNIT_US ? v / 1000.0
                : unit == EVS__UNIT_NS ? v / 1000000.0
                                       : v;
    if (v == -1.0 || !(ms > -9.2e18 && ms < 9.2e18))
        return EVS_TIME_NONE;
    return (int64_t)floor(ms);
}

/* time of one row; false: it is text that is no time */
static bool time_of(const evs__column *c, uint32_t row, evs__time_unit unit, int64_t *ret)
{
    evs_string_view text;

    *ret = EVS_TIME_NONE;
    if (evs__column_is_null(c, row))
        return true;
    switch (c->type->id) {
    case EVS_TYPE_TIMESTAMP:
        *ret = c->i64[row] == -1 ? EVS_TIME_NONE : c->i64[row];
        return true;
    case EVS_TYPE_DATE:
        *ret = c->i32[row] * DAY_MS;
        return true;
    case EVS_TYPE_INT:
        *ret = of_integer(c->i32[row], unit);
        return true;
    case EVS_TYPE_BIGINT:
        *ret = of_integer(c->i64[row], unit);
        return true;
    case EVS_TYPE_DOUBLE:
        *ret = of_double(c->f64[row], unit);
        return true;
    default:
        text = evs__column_str(c, row);
        return evs__time_parse(text.data, text.len, ret) == EVS_OK;
    }
}

static void warn_seconds(evs__source *s, const evs__column *c, int64_t ms)
{
    char text[EVS__TIME_TEXT_MAX];
    size_t len;
    if (s->seconds_warned || ms <= 0 || ms >= YEAR_1990_MS || c->type->id == EVS_TYPE_VARCHAR ||
        s->node->time_unit == EVS__UNIT_S)
        return;
    s->seconds_warned = true;
    len = evs__time_format(ms, text);
    evs__log(s->rt->ctx, EVS_LOG_WARNING, s->node->name,
             "event.time gives %.*s: are these seconds? (event.time.unit=s)", (int)len, text);
}

/* rows of a batch whose time cannot be had; nobody minds when nothing behind the source needs one
 */
typedef struct refusal {
    evs__source *source;
    evs_batch *batch;
    const evs__out *out;
    uint8_t *refused; /* by physical row; NULL: none */
    evs_status status;
} refusal;

static void refuse(void *user_data, uint32_t row, evs_status status, const char *message)
{
    refusal *r = user_data;
    if (!r->source->node->needs_time || r->status)
        return;
    if (!r->refused && !(r->refused = evs__calloc(r->batch->ctx, r->batch->rows, 1))) {
        r->status = EVS_ERR_NOMEM;
        return;
    }
    r->refused[row] = 1;
    r->out->reject(r->out->user, r->batch, row, EVS__STAGE_EVENT_TIME, status, message);
}

static void refuse_text(refusal *r, const evs__column *c, uint32_t row)
{
    evs_string_view text = evs__column_str(c, row);
    char message[160];
    snprintf(message, sizeof(message), "\"%.*s\" is no time", text.len > 80 ? 80 : (int)text.len,
             text.len ? text.data : "");
    refuse(r, row, EVS_ERR_TIME, message);
}

static evs_status drop_refused(refusal *r)
{
    evs_batch *b = r->batch;
    uint32_t *sel, kept = 0;

    if (!r->refused || r->status)
        return r->status;
    sel = evs__calloc(b->ctx, (size_t)b->count + 1, sizeof(*sel));
    if (!sel)
        return EVS_ERR_NOMEM;
    for (uint32_t k = 0; k < b->count; k++) {
        uint32_t row = evs__batch_row_at(b, k);
        if (!r->refused[row])
            sel[kept++] = row;
    }
    evs__free(b->ctx, b->sel);
    b->sel = sel;
    b->count = kept;
    return EVS_OK;
}

/* the usual case: every row has a TIMESTAMP */
static void copy_times(evs_batch *b, const evs__column *c)
{
    for (uint32_t row = 0; row < b->rows; row++)
        b->times[row] = c->i64[row] == -1 ? EVS_TIME_NONE : c->i64[row];
}

static void read_times(refusal *r, const evs__column *c)
{
    evs_batch *b = r->batch;
    int64_t first = EVS_TIME_NONE;

    if (c->type->id == EVS_TYPE_TIMESTAMP && !c->validity && !b->sel && !r->refused && b->rows) {
        copy_times(b, c);
        warn_seconds(r->source, c, b->times[0]);
        return;
    }
    for (uint32_t k = 0; k < b->count; k++) {
        uint32_t row = evs__batch_row_at(b, k);
        if (r->refused && r->refused[row])
            continue;
        if (!time_of(c, row, r->source->node->time_unit, &b->times[row])) {
            b->times[row] = EVS_TIME_NONE;
            refuse_text(r, c, row);
        } else if (first == EVS_TIME_NONE) {
            first = b->times[row];
        }
    }
    warn_seconds(r->source, c, first);
}

evs_status evs__event_times(
    evs__source *s, evs__expr *time, evs_batch *batch, const evs__out *out, evs_error **reterr)
{
    refusal r = {.source = s, .batch = batch, .out = out};
    evs__column *c = NULL;
    evs_status status;

    /* a host's own times of ready columns count only without event.time */
    if (evs__batch_need_times(batch))
        return evs__nomem(reterr);
    for (uint32_t k = 0; k < batch->count; k++)
        batch->times[evs__batch_row_at(batch, k)] = EVS_TIME_NONE;
    status = evs__expr_eval(time, batch, refuse, &r, &c, reterr);
    if (!status) {
        read_times(&r, c);
        if (drop_refused(&r))
            status = evs__nomem(reterr);
    }
    evs__column_unref(c);
    evs__free(batch->ctx, r.refused);
    return status;
}

/* ---- meta columns ---- */

static evs_status
meta_key(const evs_batch *b, evs__column *c, const evs__out *out, uint32_t row, bool *ret_bad)
{
    const evs_input *in = &b->lease->inputs[b->origin[row]];
    if (!in->key)
        return evs__column_append_null(c);
    if (c->type->id == EVS_TYPE_VARCHAR && !evs__utf8_valid(in->key, in->key_len)) {
        *ret_bad = true;
        out->reject(out->user, b, row, EVS__STAGE_DECODE, EVS_ERR_DECODE,
                    "the key is not UTF-8 (key.type=bytes takes any)");
        return evs__column_append_null(c);
    }
    return evs__column_append_str(c, in->key, in->key_len);
}

static evs_status meta_headers(evs__source *s, const evs_input *in, evs__column *c)
{
    const evs_header *headers = NULL;
    evs__column *entries = c->children[0];
    size_t count = 0;
    evs_status status = EVS_OK;

    if (s->fn->headers && in->handle) {
        pthread_mutex_lock(&s->lock);
        status = s->fn->headers(s->handle, in, &headers, &count);
        pthread_mutex_unlock(&s->lock);
    }
    for (size_t i = 0; !status && i < count; i++) {
        status = evs__column_reserve(entries, entries->length + 1);
        if (!status)
            status = evs__column_append_str(entries->children[0], headers[i].name,
                                            strlen(headers[i].name));
        if (!status)
            status = headers[i].value
                         ? evs__column_append_str(entries->children[1], headers[i].value,
                                                  headers[i].value_len)
                         : evs__column_append_null(entries->children[1]);
        if (!status)
            evs__column_end_struct(entries);
    }
    if (!status)
        evs__column_end_list(c);
    return status;
}

static evs_status meta_value(evs__source *s,
                             const evs_batch *b,
                             evs__meta meta,
                             evs__column *c,
                             uint32_t row,
                             const evs__out *out,
                             bool *ret_bad)
{
    const evs_input *in = &b->lease->inputs[b->origin[row]];
    switch (meta) {
    case EVS__META_KEY:
        return meta_key(b, c, out, row, ret_bad);
    case EVS__META_PARTITION:
        evs__column_append_i32(c, in->partition);
        return EVS_OK;
    case EVS__META_OFFSET:
        evs__column_append_i64(c, in->offset);
        return EVS_OK;
    case EVS__META_TIMESTAMP:
        if (in->timestamp == EVS_TIME_NONE)
            return evs__column_append_null(c);
        evs__column_append_i64(c, in->timestamp);
        return EVS_OK;
    default:
        return meta_headers(s, in, c);
    }
}

/* one value a physical row; rows with a bad key are taken out of the selection */
static evs_status
meta_column(evs__source *s, evs_batch *b, evs__meta meta, evs__column *c, const evs__out *out)
{
    uint32_t kept = 0;
    bool *bad = evs__calloc(b->ctx, (size_t)b->rows + 1, sizeof(*bad));
    uint32_t *sel = evs__calloc(b->ctx, (size_t)b->count + 1, sizeof(*sel));
    bool any = false;
    evs_status status = bad && sel ? EVS_OK : EVS_ERR_NOMEM;

    for (uint32_t row = 0; !status && row < b->rows; row++) {
        status = meta_value(s, b, meta, c, row, out, &bad[row]);
        any = any || bad[row];
    }
    for (uint32_t k = 0; !status && any && k < b->count; k++) {
        uint32_t row = evs__batch_row_at(b, k);
        if (!bad[row])
            sel[kept++] = row;
    }
    if (!status && any) {
        evs__free(b->ctx, b->sel);
        b->sel = sel;
        b->count = kept;
        sel = NULL;
    }
    evs__free(b->ctx, bad);
    evs__free(b->ctx, sel);
    return status;
}

evs_status evs__meta_columns(evs__source *s,
                             const evs_type *type,
                             evs_batch *batch,
                             const evs__out *out,
                             evs_batch **ret,
                             evs_error **reterr)
{
    uint32_t at = batch->column_count;
    evs_batch *b = NULL;
    evs_status status = EVS_OK;

    if (type->child_count == at) {
        *ret = evs_batch_ref(batch);
        return EVS_OK;
    }
    status = evs__batch_like(batch, type, &b);
    for (uint32_t i = 0; !status && i < at; i++)
        b->columns[i] = evs__column_ref(batch->columns[i]);
    for (int m = 0; !status && m < EVS__META_COUNT; m++) {
        evs__column *c = NULL;
        if (!(s->node->meta_mask & 1u << m))
            continue;
        status =
            evs__column_new(s->rt->ctx, type->children[at].type, EVS_LAYOUT_OWNED, b->rows, &c);
        if (!status)
            status = meta_column(s, b, (evs__meta)m, c, out);
        b->columns[at++] = c;
    }
    if (status) {
        evs_batch_unref(b);
        return evs__nomem(reterr);
    }
    *ret = b;
    return EVS_OK;
}
