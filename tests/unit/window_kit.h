/*
 * window_kit.h: rows as text in, results as text out, for the tests of windows.
 *
 * A row is "value,value,..." in order of the fields, NULL for NULL. A result is one line a row: '+'
 * insert, '~' update, '-' delete, then the values separated by spaces, timestamps as milliseconds.
 * All output of a window, joined, is a string to compare with.
 */
#ifndef EVS_TESTS_WINDOW_KIT_H
#define EVS_TESTS_WINDOW_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evstream/evstream.h"

#define KIT_TEXT 65536

typedef struct kit {
    evs_context *ctx;
    evs_schema *schema;
    evs_window *window;
    char text[KIT_TEXT];    /* of the last kit_results() */
    char rejects[KIT_TEXT]; /* stage of each rejected row, one a line */
    char message[256];      /* of the last rejected row */
    evs_status reject_status;
} kit;

static inline void kit_on_reject(
    const char *stage, evs_status status, const char *message, const evs_row *row, void *user_data)
{
    kit *k = user_data;
    size_t len = strlen(k->rejects);
    snprintf(k->rejects + len, sizeof(k->rejects) - len, "%s\n", stage);
    snprintf(k->message, sizeof(k->message), "%s", message);
    k->reject_status = status;
    assert_non_null(row->batch);
}

static inline void kit_fail(const char *what, evs_status status, evs_error *err)
{
    fail_msg("%s: %s: %s", what, evs_status_name(status), evs_error_message(err));
}

static inline evs_window_options kit_options(int64_t size_ms, int32_t emit)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    o.size_ms = size_ms;
    o.emit = emit;
    return o;
}

/* called with each new context: functions of the host are registered here */
static void (*kit_on_context)(evs_context *ctx);

static inline void kit_open(kit *k,
                            const char *columns,
                            const char *keys,
                            const char *aggregates,
                            const evs_window_options *options)
{
    evs_error *err = NULL;
    evs_status status;

    memset(k, 0, sizeof(*k));
    assert_int_equal(evs_context_new(NULL, &k->ctx, NULL), EVS_OK);
    if (kit_on_context)
        kit_on_context(k->ctx);
    status = evs_schema_columns(k->ctx, columns, &k->schema, &err);
    if (status)
        kit_fail("evs_schema_columns", status, err);
    status = evs_window_new(k->ctx, k->schema, keys, aggregates, options, &k->window, &err);
    if (status)
        kit_fail("evs_window_new", status, err);
    evs_window_on_reject(k->window, kit_on_reject, k);
}

static inline void kit_close(kit *k)
{
    evs_window_unref(k->window);
    evs_schema_unref(k->schema);
    evs_context_unref(k->ctx);
}

static inline void kit_value(evs_appender *a, const evs_type *type, const char *text, size_t len)
{
    char copy[256];
    if (len == 4 && memcmp(text, "NULL", 4) == 0) {
        evs_append_null(a);
        return;
    }
    assert_true(len < sizeof(copy));
    memcpy(copy, text, len);
    copy[len] = '\0';
    switch (evs_type_get_id(type)) {
    case EVS_TYPE_BOOLEAN:
        evs_append_bool(a, copy[0] == 't');
        break;
    case EVS_TYPE_DOUBLE:
        evs_append_double(a, strtod(copy, NULL));
        break;
    case EVS_TYPE_DECIMAL:
        evs_append_decimal(a, copy);
        break;
    case EVS_TYPE_VARCHAR:
    case EVS_TYPE_BYTES:
        evs_append_string(a, copy, len);
        break;
    default:
        evs_append_int(a, strtoll(copy, NULL, 10));
    }
}

/* one row to any appender of rows of `type` */
static inline void kit_append(evs_appender *a, const evs_type *type, int64_t time, const char *row)
{
    evs_error *err = NULL;
    evs_status status;

    if (time != EVS_TIME_NONE)
        evs_append_time(a, time);
    for (size_t i = 0; i < evs_type_child_count(type); i++) {
        size_t len = strcspn(row, ",");
        kit_value(a, evs_type_child(type, i), row, len);
        row += len + (row[len] == ',');
    }
    status = evs_append_end_row(a, &err);
    if (status)
        kit_fail("evs_append_end_row", status, err);
}

static inline void kit_row(kit *k, int64_t time, const char *row)
{
    kit_append(evs_window_appender(k->window), evs_schema_type(k->schema), time, row);
}

static inline void kit_advance(kit *k, int64_t watermark)
{
    evs_error *err = NULL;
    evs_status status = evs_window_advance(k->window, watermark, &err);
    if (status)
        kit_fail("evs_window_advance", status, err);
}

static inline void kit_print_row(char *text, size_t size, const evs_row *row, const evs_type *type)
{
    size_t at = strlen(text);
    at += (size_t)snprintf(text + at, size - at, "%c", "+~-"[evs_row_get_kind(row)]);
    for (size_t i = 0; i < evs_type_child_count(type); i++) {
        size_t len = 0;
        int64_t ms;
        if (evs_type_get_id(evs_type_child(type, i)) == EVS_TYPE_TIMESTAMP &&
            evs_row_int(row, (int32_t)i, &ms) == EVS_OK) {
            at += (size_t)snprintf(text + at, size - at, "%s%lld", i ? " " : "", (long long)ms);
            continue;
        }
        at += (size_t)snprintf(text + at, size - at, "%s", i ? " " : "");
        if (evs_row_text(row, (int32_t)i, text + at, size - at, &len) == EVS_END)
            len = (size_t)snprintf(text + at, size - at, "NULL");
        at += len;
    }
    snprintf(text + at, size - at, "\n");
}

static inline void kit_print(char *text, size_t size, const evs_batch *batch)
{
    for (size_t i = 0; i < evs_batch_rows(batch); i++) {
        evs_row row = evs_batch_row(batch, i);
        kit_print_row(text, size, &row, evs_batch_type(batch));
    }
}

typedef evs_status (*kit_take_fn)(evs_window *window, evs_batch **ret_batch, evs_error **reterr);

static inline const char *kit_take(kit *k, kit_take_fn take)
{
    evs_batch *batch = NULL;
    evs_error *err = NULL;
    evs_status status;

    k->text[0] = '\0';
    while ((status = take(k->window, &batch, &err)) == EVS_OK) {
        kit_print(k->text, sizeof(k->text), batch);
        evs_batch_unref(batch);
    }
    if (status != EVS_END)
        kit_fail("take", status, err);
    return k->text;
}

static inline const char *kit_results(kit *k)
{
    return kit_take(k, evs_window_take);
}

static inline const char *kit_late(kit *k)
{
    return kit_take(k, evs_window_take_late);
}

#endif
