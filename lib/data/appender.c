/*
 * data/appender.c: rows in, batches out.
 *
 *   frames[0]  the row: slots = columns of the batch        "next" = field that is set next
 *   frames[1]  a nested value that evs_append_begin() opened
 *   ...        top points to the innermost
 *
 * A setter takes the next slot of the top frame and appends to that column; the rows of the batch
 * are counted only by end_row, so a row with a fault is undone by cutting every column back. After
 * the first fault of a row the top frame is one without slots: all further setters fall into the
 * slow path, which drops them. The common case is therefore one compare per value and no state to
 * clean up. The row's frame has slots only while there is room for the row: the first value of a
 * row for which the batch must be made or grown goes the slow path, too.
 *
 * An appender of its own grows one batch, up to ROWS_MAX rows; that of a window or pipeline pushes
 * every EVS_BATCH_ROWS_MAX rows and reuses the batch when nobody kept it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "data/batch.h"

#define FIRST_ROWS EVS_BATCH_ROWS_MAX
#define ROWS_MAX (1u << 24)
#define FAULT_TEXT 256
#define FAULT_PATH 256
#define DAY_MS 86400000

typedef struct frame {
    evs__column **slots; /* STRUCT, row: a column per field */
    uint32_t next;       /* values set so far */
    uint32_t fields;     /* entries of slots; 0: the slow path decides */
    evs__column *column; /* of the nested value; NULL: the row */
} frame;

struct evs_appender {
    evs_context *ctx;
    const evs_type *type;
    evs__appender_full_fn full;
    void *user_data;
    evs_batch *batch; /* NULL: made when a row begins */
    frame *top;       /* a frame of frames, or &closed */
    int64_t time;
    int64_t default_time;
    evs_row_kind kind;
    uint32_t limit; /* rows that all columns and arrays have room for */
    bool open;      /* a setter was called since the last end_row */
    evs_status fault;
    char fault_text[FAULT_TEXT];
    char fault_path[FAULT_PATH];
    frame closed; /* top after a fault */
    frame frames[EVS__TYPE_DEPTH_MAX + 1];
};

/* ---- making and releasing ---- */

/* no row open, nothing set */
static void row_reset(evs_appender *a)
{
    frame *f = &a->frames[0];

    a->top = f;
    f->next = 0;
    f->slots = a->batch ? a->batch->columns : NULL;
    f->fields = a->batch && a->batch->rows < a->limit ? a->batch->column_count : 0;
    a->time = a->default_time;
    a->kind = EVS_ROW_INSERT;
    a->open = false;
    a->fault = EVS_OK;
}

evs_status evs__appender_new(evs_context *ctx,
                             const evs_type *type,
                             evs__appender_full_fn full,
                             void *user_data,
                             evs_appender **ret)
{
    evs_appender *a = evs__calloc(ctx, 1, sizeof(*a));

    if (!a)
        return EVS_ERR_NOMEM;
    a->ctx = evs__context_hold(ctx);
    a->type = evs_type_ref(type);
    a->full = full;
    a->user_data = user_data;
    a->default_time = EVS_TIME_NONE;
    row_reset(a);
    *ret = a;
    return EVS_OK;
}

evs_status evs_appender_new(evs_context *context,
                            const evs_type *type,
                            evs_appender **ret_appender,
                            evs_error **reterr)
{
    if (!context || !type || !ret_appender)
        return evs__fail(context, reterr, EVS_ERR_INVALID, "context, type or ret_appender is NULL");
    if (type->id != EVS_TYPE_STRUCT)
        return evs__fail(context, reterr, EVS_ERR_INVALID,
                         "an appender needs a STRUCT type, not %s", evs__type_word(type->id));
    if (evs__appender_new(context, type, NULL, NULL, ret_appender))
        return evs__nomem(reterr);
    return EVS_OK;
}

evs_appender *evs_appender_unref(evs_appender *appender)
{
    evs_context *ctx;

    if (!appender)
        return NULL;
    ctx = appender->ctx;
    evs_batch_unref(appender->batch);
    evs_type_unref(appender->type);
    evs__free(ctx, appender);
    evs__context_drop(ctx);
    return NULL;
}

/* ---- faults ---- */

/* where the value that is set now is: "items[3].sku" */
static void fault_path(evs_appender *a)
{
    size_t n = 0;
    const frame *last = a->top;

    a->fault_path[0] = '\0';
    for (const frame *f = a->frames; f <= last && n < FAULT_PATH; f++) {
        const evs_type *type = f->column ? f->column->type : a->type;
        uint32_t i = f->next ? f->next - 1 : 0;
        int added;
        if (!f->next)
            break;
        if (type->id == EVS_TYPE_STRUCT)
            added = snprintf(a->fault_path + n, FAULT_PATH - n, "%s%s", n ? "." : "",
                             i < type->child_count ? type->children[i].name : "?");
        else
            added = snprintf(a->fault_path + n, FAULT_PATH - n, "[%u]",
                             type->id == EVS_TYPE_MAP ? i / 2 : i);
        n += added > 0 ? (size_t)added : 0;
    }
}

/* keep the first fault of the row; what follows is dropped */
static void EVS_PRINTF(3, 4) fault(evs_appender *a, evs_status status, const char *format, ...)
{
    va_list ap;

    if (a->fault)
        return;
    a->fault = status;
    fault_path(a);
    va_start(ap, format);
    vsnprintf(a->fault_text, sizeof(a->fault_text), format, ap);
    va_end(ap);
    a->closed = (frame){0};
    a->top = &a->closed;
}

/* a fault of the row, not of one field */
static void row_fault(evs_appender *a, evs_status status, const char *text)
{
    if (a->fault)
        return;
    fault(a, status, "%s", text);
    a->fault_path[0] = '\0';
}

static void wrong_type(evs_appender *a, const evs__column *c, const char *given)
{
    fault(a, EVS_ERR_TYPE, "the field is %s, the value %s", evs__type_word(c->type->id), given);
}

static void storage_failed(evs_appender *a, evs_status status)
{
    fault(a, status,
          status == EVS_ERR_NOMEM ? "out of memory" : "the column is over 2 GiB or 2^31 rows");
}

/* ---- slots ---- */

/* a row begins: see to it that there is a batch with room for it */
static bool begin_row(evs_appender *a)
{
    evs_status status = EVS_OK;
    uint32_t limit = FIRST_ROWS;

    if (!a->batch) {
        status = evs__batch_new(a->ctx, a->type, EVS_LAYOUT_OWNED, limit, &a->batch);
    } else if (a->batch->rows < a->limit) {
        limit = a->limit;
    } else if (a->limit >= ROWS_MAX) {
        row_fault(a, EVS_ERR_LIMIT, "the appender is full: take its rows first");
        return false;
    } else {
        limit = a->limit * 2;
        status = evs__batch_reserve(a->batch, limit);
    }
    if (status) {
        storage_failed(a, status);
        return false;
    }
    a->limit = limit;
    a->frames[0].slots = a->batch->columns;
    a->frames[0].fields = a->batch->column_count;
    return true;
}

/* slot of the next element, key or value of a list */
static evs__column *list_slot(evs_appender *a, frame *f)
{
    evs__column *items = f->column->children[0];
    bool map = f->column->type->id == EVS_TYPE_MAP;
    uint32_t rows =
        map ? (uint32_t)f->column->offsets[f->column->length] + f->next / 2 + 1 : items->length + 1;
    evs_status status = rows > INT32_MAX ? EVS_ERR_LIMIT : evs__column_reserve(items, rows);

    f->next++;
    if (status) {
        storage_failed(a, status);
        return NULL;
    }
    return map ? items->children[(f->next - 1) & 1] : items;
}

static evs__column *next_slot_slow(evs_appender *a)
{
    frame *f = a->top;

    if (a->fault || (f == a->frames && !f->fields && !begin_row(a)))
        return NULL;
    if (f->column && f->column->type->id != EVS_TYPE_STRUCT)
        return list_slot(a, f);
    if (f->next < f->fields)
        return f->slots[f->next++];
    row_fault(a, EVS_ERR_INVALID,
              f->column ? "more values than the STRUCT has fields"
                        : "more values than the row has fields");
    return NULL;
}

/* the column that the next value goes to; NULL: the value is dropped */
static inline evs__column *next_slot(evs_appender *a)
{
    frame *f;

    if (EVS__UNLIKELY(!a))
        return NULL;
    f = a->top;
    a->open = true;
    if (EVS__LIKELY(f->next < f->fields))
        return f->slots[f->next++];
    return next_slot_slow(a);
}

/* ---- setters ---- */

void evs_append_time(evs_appender *appender, int64_t time_ms)
{
    if (!appender)
        return;
    appender->open = true;
    appender->time = time_ms;
}

void evs_append_kind(evs_appender *appender, evs_row_kind kind)
{
    if (!appender)
        return;
    appender->open = true;
    if (kind < EVS_ROW_INSERT || kind > EVS_ROW_DELETE)
        fault(appender, EVS_ERR_INVALID, "%d is no row kind", (int)kind);
    else
        appender->kind = kind;
}

static void append_null_to(evs_appender *a, evs__column *c)
{
    evs_status status;

    if (!c->type->nullable) {
        fault(a, EVS_ERR_SCHEMA, "the field is NOT NULL");
        return;
    }
    status = evs__column_append_null(c);
    if (status)
        storage_failed(a, status);
}

void evs_append_null(evs_appender *appender)
{
    evs__column *c = next_slot(appender);
    if (c)
        append_null_to(appender, c);
}

void evs_append_bool(evs_appender *appender, bool value)
{
    evs__column *c = next_slot(appender);

    if (!c)
        return;
    if (c->type->id != EVS_TYPE_BOOLEAN)
        wrong_type(appender, c, "a boolean");
    else
        evs__column_append_bool(c, value);
}

/* an integer within lo..hi for a 32-bit column */
static void append_i32(evs_appender *a, evs__column *c, int64_t value, int64_t lo, int64_t hi)
{
    if (value < lo || value > hi)
        fault(a, EVS_ERR_OVERFLOW, "%lld does not fit %s", (long long)value,
              evs__type_word(c->type->id));
    else
        evs__column_append_i32(c, (int32_t)value);
}

static void append_whole_decimal(evs_appender *a, evs__column *c, int64_t value)
{
    evs__int128 limit = evs__pow10_128(c->type->precision - c->type->scale);

    if (value >= limit || value <= -limit)
        fault(a, EVS_ERR_OVERFLOW, "%lld does not fit DECIMAL(%d,%d)", (long long)value,
              (int)c->type->precision, (int)c->type->scale);
    else
        evs__column_append_i128(c, value * evs__pow10_128(c->type->scale));
}

void evs_append_int(evs_appender *appender, int64_t value)
{
    evs__column *c = next_slot(appender);

    if (!c)
        return;
    switch (c->type->id) {
    case EVS_TYPE_BIGINT:
    case EVS_TYPE_TIMESTAMP:
        evs__column_append_i64(c, value);
        break;
    case EVS_TYPE_INT:
    case EVS_TYPE_DATE:
        append_i32(appender, c, value, INT32_MIN, INT32_MAX);
        break;
    case EVS_TYPE_TIME:
        append_i32(appender, c, value, 0, DAY_MS - 1);
        break;
    case EVS_TYPE_DOUBLE:
        evs__column_append_f64(c, (double)value);
        break;
    case EVS_TYPE_DECIMAL:
        append_whole_decimal(appender, c, value);
        break;
    default:
        wrong_type(appender, c, "an integer");
    }
}

void evs_append_double(evs_appender *appender, double value)
{
    evs__column *c = next_slot(appender);

    if (!c)
        return;
    if (EVS__LIKELY(c->type->id == EVS_TYPE_DOUBLE))
        evs__column_append_f64(c, value);
    else
        wrong_type(appender, c, "a double");
}

/* the common case of evs__utf8_valid() */
static inline bool is_ascii(const char *data, size_t len)
{
    uint64_t seen = 0, word;

    if (len < 8) {
        for (size_t i = 0; i < len; i++)
            seen |= (unsigned char)data[i];
        return !(seen & 0x80);
    }
    for (size_t i = 0; i + 8 <= len; i += 8) {
        memcpy(&word, data + i, 8);
        seen |= word;
    }
    memcpy(&word, data + len - 8, 8);
    return !((seen | word) & 0x8080808080808080u);
}

void evs_append_string(evs_appender *appender, const char *data, size_t len)
{
    evs__column *c = next_slot(appender);
    evs_status status;
    int32_t at;

    if (!c)
        return;
    if (EVS__UNLIKELY(!data && len)) {
        fault(appender, EVS_ERR_INVALID, "the text is NULL");
        return;
    }
    if (c->type->id == EVS_TYPE_VARCHAR) {
        if (EVS__UNLIKELY(!is_ascii(data, len)) && !evs__utf8_valid(data, len)) {
            fault(appender, EVS_ERR_SCHEMA, "the text is not valid UTF-8 at byte %zu",
                  evs__utf8_valid_prefix(data, len));
            return;
        }
    } else if (c->type->id != EVS_TYPE_BYTES) {
        wrong_type(appender, c, "a string");
        return;
    }
    status = evs__column_reserve_bytes(c, len);
    if (EVS__UNLIKELY(status)) {
        storage_failed(appender, status);
        return;
    }
    at = c->offsets[c->length];
    evs__copy_short(c->bytes + at, data, len);
    c->offsets[++c->length] = at + (int32_t)len;
}

void evs_append_decimal(evs_appender *appender, const char *text)
{
    evs__column *c = next_slot(appender);
    evs__int128 value = 0;
    evs_status status;

    if (!c)
        return;
    if (c->type->id != EVS_TYPE_DECIMAL) {
        wrong_type(appender, c, "a decimal");
        return;
    }
    status =
        !text ? EVS_ERR_DECODE
              : evs__parse_decimal(text, strlen(text), c->type->precision, c->type->scale, &value);
    if (status == EVS_ERR_OVERFLOW)
        fault(appender, status, "\"%.60s\" does not fit DECIMAL(%d,%d)", text,
              (int)c->type->precision, (int)c->type->scale);
    else if (status)
        fault(appender, EVS_ERR_INVALID, "\"%.60s\" is not a decimal number", text ? text : "");
    else
        evs__column_append_i128(c, value);
}

/* ---- nested values ---- */

void evs_append_begin(evs_appender *appender)
{
    evs__column *c = next_slot(appender);
    frame *f;

    if (!c)
        return;
    if (!c->type->child_count && c->type->id != EVS_TYPE_STRUCT) {
        wrong_type(appender, c, "an ARRAY, MAP or STRUCT");
        return;
    }
    /* types are at most EVS__TYPE_DEPTH_MAX deep, so there is a frame */
    f = ++appender->top;
    *f = (frame){.column = c};
    if (c->type->id == EVS_TYPE_STRUCT) {
        f->slots = c->children;
        f->fields = c->child_count;
    }
}

/* fields of the top frame that were not set become NULL */
static void fill_fields(evs_appender *a)
{
    while (!a->fault && a->top->next < a->top->fields) {
        evs__column *c = a->top->slots[a->top->next++];
        if (c->type->nullable)
            append_null_to(a, c);
        else
            fault(a, EVS_ERR_SCHEMA, "the field is NOT NULL and was not set");
    }
}

void evs_append_end(evs_appender *appender)
{
    frame *f;

    if (!appender || appender->fault)
        return;
    f = appender->top;
    appender->open = true;
    if (f == appender->frames) {
        row_fault(appender, EVS_ERR_INVALID, "evs_append_end() without evs_append_begin()");
        return;
    }
    if (f->column->type->id == EVS_TYPE_STRUCT) {
        fill_fields(appender);
        if (appender->fault)
            return;
        evs__column_end_struct(f->column);
    } else if (f->column->type->id == EVS_TYPE_MAP) {
        if (f->next & 1) {
            fault(appender, EVS_ERR_INVALID, "the last key of the MAP has no value");
            return;
        }
        f->column->children[0]->length += f->next / 2;
        evs__column_end_list(f->column);
    } else {
        evs__column_end_list(f->column);
    }
    appender->top--;
}

/* ---- rows ---- */

/* undo the open row and report its fault */
static evs_status row_failed(evs_appender *a, evs_error **reterr)
{
    uint32_t row = a->batch ? a->batch->rows : 0;
    evs_status status = a->fault;

    for (uint32_t i = 0; a->batch && i < a->batch->column_count; i++)
        evs__column_truncate(a->batch->columns[i], row);
    if (status == EVS_ERR_NOMEM)
        evs__nomem(reterr);
    else if (a->fault_path[0])
        evs__fail_at(a->ctx, reterr, status, a->fault_path, "field \"%s\" of row %u: %s",
                     a->fault_path, row, a->fault_text);
    else
        evs__fail(a->ctx, reterr, status, "row %u: %s", row, a->fault_text);
    row_reset(a);
    return status;
}

/* time and kind of the row when the batch has no array for them yet */
static evs_status need_arrays(evs_appender *a)
{
    evs_status status = EVS_OK;

    if (!a->batch->times && a->time != EVS_TIME_NONE)
        status = evs__batch_need_times(a->batch);
    if (!status && !a->batch->kinds && a->kind != EVS_ROW_INSERT)
        status = evs__batch_need_kinds(a->batch);
    return status;
}

/* what the fast path of end_row does not expect; EVS_OK: the row is whole */
static evs_status finish_row(evs_appender *a)
{
    evs_status status;

    if (a->fault)
        return a->fault;
    if (a->top != a->frames) {
        fault(a, EVS_ERR_INVALID, "evs_append_end() is missing");
        return a->fault;
    }
    if (!a->frames[0].fields && !begin_row(a))
        return a->fault;
    fill_fields(a);
    if (a->fault)
        return a->fault;
    status = need_arrays(a);
    if (status)
        storage_failed(a, status);
    return a->fault;
}

evs_status evs_append_end_row(evs_appender *appender, evs_error **reterr)
{
    frame *f;
    evs_batch *b;
    uint32_t row;

    if (!appender)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "appender is NULL");
    f = &appender->frames[0];
    b = appender->batch;
    if (EVS__UNLIKELY(appender->top != f || !b || f->next != f->fields ||
                      b->rows >= appender->limit ||
                      (!b->times && appender->time != EVS_TIME_NONE) ||
                      (!b->kinds && appender->kind != EVS_ROW_INSERT))) {
        if (finish_row(appender))
            return row_failed(appender, reterr);
        b = appender->batch;
    }
    row = b->rows;
    if (b->times)
        b->times[row] = appender->time;
    if (b->kinds)
        b->kinds[row] = (uint8_t)appender->kind;
    b->rows = b->count = row + 1;
    f->next = 0;
    appender->time = appender->default_time;
    appender->kind = EVS_ROW_INSERT;
    appender->open = false;
    if (EVS__LIKELY(row + 1 < EVS_BATCH_ROWS_MAX))
        return EVS_OK;
    if (row + 1 == appender->limit)
        f->fields = 0;
    return appender->full ? evs__appender_flush(appender, reterr) : EVS_OK;
}

size_t evs_appender_rows(const evs_appender *appender)
{
    return appender && appender->batch ? appender->batch->rows : 0;
}

evs_status evs_appender_take(evs_appender *appender, evs_batch **ret_batch, evs_error **reterr)
{
    if (!appender || !ret_batch)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "appender or ret_batch is NULL");
    if (appender->full)
        return evs__fail(appender->ctx, reterr, EVS_ERR_MISUSE,
                         "this appender belongs to a window or pipeline, which takes its rows");
    if (appender->open)
        return evs__fail(appender->ctx, reterr, EVS_ERR_MISUSE,
                         "a row is open: evs_append_end_row() first");
    if (!evs_appender_rows(appender))
        return EVS_END;
    *ret_batch = appender->batch;
    appender->batch = NULL;
    row_reset(appender);
    return EVS_OK;
}

/* ---- for windows, pipelines and evs_apply ---- */

evs_status evs__appender_flush(evs_appender *a, evs_error **reterr)
{
    evs_status status;

    if (!evs_appender_rows(a) || !a->full)
        return EVS_OK;
    status = a->full(a->batch, a->user_data, reterr);
    if (status)
        return status;
    if (!evs__batch_reuse(a->batch))
        a->batch = evs_batch_unref(a->batch);
    row_reset(a);
    return EVS_OK;
}

void evs__appender_default_time(evs_appender *a, int64_t time_ms)
{
    if (a->time == a->default_time)
        a->time = time_ms;
    a->default_time = time_ms;
}

void evs__appender_truncate(evs_appender *a, uint32_t rows)
{
    if (a->batch) {
        if (rows < a->batch->rows)
            a->batch->rows = a->batch->count = rows;
        for (uint32_t i = 0; i < a->batch->column_count; i++)
            evs__column_truncate(a->batch->columns[i], a->batch->rows);
    }
    row_reset(a);
}
