/*
 * expr_fixture.h: a batch with every type, and expressions checked against the text of their
 * results: "row 0|row 1|..." for the selected rows, `!` before a row that failed.
 *
 *         i     l        d     m       s         y     b      t                     arr      mp
 *   row 0 1     10       0.5   1.25    'abc'     'ab'  true   2026-11-23T17:05:16.123  [1,2,3]
 * {k:7} row 1 NULL everywhere, except n row 2 -7    2^62     -2.0  -99.99  'Grüße'   ''    false
 * 1969-12-31T23:59:59.999  []       {} row 3 2147483647 INT64_MAX 1e300 9999999.99 '' 00ff true
 * 2024-02-29T00:00:00      [NULL,5] {k:NULL,j:1}
 */
#ifndef EVS_TESTS_EXPR_FIXTURE_H
#define EVS_TESTS_EXPR_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expr/expr.h"

static evs_context *ctx;
static evs_batch *batch;              /* as the appender makes it: owned text */
static evs_batch *view_batch;         /* the same rows with views */
static const uint32_t *row_selection; /* of checks; NULL: all rows */
static uint32_t row_selection_count;

#define FIXTURE_TYPE                                                                               \
    "STRUCT<i INT, l BIGINT, d DOUBLE, m DECIMAL(9,2), s VARCHAR, y BYTES, b BOOLEAN, "            \
    "t TIMESTAMP, e DATE, c TIME, arr ARRAY<INT>, mp MAP<BIGINT>, "                                \
    "st STRUCT<x INT, name VARCHAR, deep STRUCT<z BIGINT>>, n INT NOT NULL, "                      \
    "items ARRAY<STRUCT<sku VARCHAR, qty INT>>> NOT NULL"

static void append_row_0(evs_appender *a)
{
    evs_append_int(a, 1);
    evs_append_int(a, 10);
    evs_append_double(a, 0.5);
    evs_append_decimal(a, "1.25");
    evs_append_string(a, "abc", 3);
    evs_append_string(a, "ab", 2);
    evs_append_bool(a, true);
    evs_append_int(a, 1795453516123);
    evs_append_int(a, 20780);
    evs_append_int(a, 61516123);
    evs_append_begin(a);
    evs_append_int(a, 1);
    evs_append_int(a, 2);
    evs_append_int(a, 3);
    evs_append_end(a);
    evs_append_begin(a);
    evs_append_string(a, "k", 1);
    evs_append_int(a, 7);
    evs_append_end(a);
    evs_append_begin(a);
    evs_append_int(a, 5);
    evs_append_string(a, "n", 1);
    evs_append_begin(a);
    evs_append_int(a, 99);
    evs_append_end(a);
    evs_append_end(a);
    evs_append_int(a, 100);
    evs_append_begin(a);
    evs_append_begin(a);
    evs_append_string(a, "A-1", 3);
    evs_append_int(a, 2);
    evs_append_end(a);
    evs_append_end(a);
}

static void append_row_1(evs_appender *a)
{
    for (int i = 0; i < 13; i++)
        evs_append_null(a);
    evs_append_int(a, 101);
    evs_append_null(a);
}

static void append_row_2(evs_appender *a)
{
    evs_append_int(a, -7);
    evs_append_int(a, (int64_t)1 << 62);
    evs_append_double(a, -2);
    evs_append_decimal(a, "-99.99");
    evs_append_string(a, "Grüße", 7);
    evs_append_string(a, "", 0);
    evs_append_bool(a, false);
    evs_append_int(a, -1);
    evs_append_int(a, -1);
    evs_append_int(a, 0);
    evs_append_begin(a);
    evs_append_end(a);
    evs_append_begin(a);
    evs_append_end(a);
    evs_append_begin(a);
    evs_append_null(a);
    evs_append_null(a);
    evs_append_null(a);
    evs_append_end(a);
    evs_append_int(a, 102);
    evs_append_begin(a);
    evs_append_end(a);
}

static void append_row_3(evs_appender *a)
{
    evs_append_int(a, INT32_MAX);
    evs_append_int(a, INT64_MAX);
    evs_append_double(a, 1e300);
    evs_append_decimal(a, "9999999.99");
    evs_append_string(a, "", 0);
    evs_append_string(a, "\0\xff", 2);
    evs_append_bool(a, true);
    evs_append_int(a, 1709164800000);
    evs_append_int(a, 19782);
    evs_append_int(a, 86399999);
    evs_append_begin(a);
    evs_append_null(a);
    evs_append_int(a, 5);
    evs_append_end(a);
    evs_append_begin(a);
    evs_append_string(a, "k", 1);
    evs_append_null(a);
    evs_append_string(a, "j", 1);
    evs_append_int(a, 1);
    evs_append_end(a);
    evs_append_begin(a);
    evs_append_int(a, -1);
    evs_append_string(a, "", 0);
    evs_append_null(a);
    evs_append_end(a);
    evs_append_int(a, 103);
    evs_append_begin(a);
    evs_append_begin(a);
    evs_append_null(a);
    evs_append_int(a, 1);
    evs_append_end(a);
    evs_append_null(a);
    evs_append_end(a);
}

static int make_fixture(void **state)
{
    void (*const rows[])(evs_appender *) = {append_row_0, append_row_1, append_row_2, append_row_3};
    evs_type *type = NULL;
    evs_appender *a = NULL;
    evs_error *err = NULL;
    (void)state;

    assert_int_equal(evs_context_new(NULL, &ctx, NULL), EVS_OK);
    assert_int_equal(evs_type_parse(ctx, FIXTURE_TYPE, &type, NULL), EVS_OK);
    assert_int_equal(evs_appender_new(ctx, type, &a, NULL), EVS_OK);
    for (int i = 0; i < 4; i++) {
        rows[i](a);
        if (evs_append_end_row(a, &err))
            fail_msg("row %d: %s", i, evs_error_message(err));
    }
    assert_int_equal(evs_appender_take(a, &batch, NULL), EVS_OK);
    evs_appender_unref(a);
    assert_int_equal(evs__batch_new(ctx, type, EVS_LAYOUT_VIEW, 4, &view_batch), EVS_OK);
    assert_int_equal(evs__batch_gather(view_batch, batch, NULL, 4), EVS_OK);
    evs_type_unref(type);
    return 0;
}

static int drop_fixture(void **state)
{
    (void)state;
    view_batch = evs_batch_unref(view_batch);
    batch = evs_batch_unref(batch);
    ctx = evs_context_unref(ctx);
    return 0;
}

static evs__expr *compile(const char *text)
{
    evs__expr *e = NULL;
    evs_error *err = NULL;

    if (evs__expr_new(ctx, text, batch->type, &e, &err))
        fail_msg("%s: %s (%s)", text, evs_error_message(err), evs_error_origin(err));
    return e;
}

typedef struct failed_rows {
    char why[300]; /* of the last one */
    evs_status status;
    bool rows[64];
    int count;
} failed_rows;

static void note_failed(void *user_data, uint32_t row, evs_status status, const char *message)
{
    failed_rows *f = user_data;
    assert_false(f->rows[row]); /* told once */
    f->rows[row] = true;
    f->count++;
    f->status = status;
    snprintf(f->why, sizeof(f->why), "%s", message);
}

static void result_text(evs__expr *e, evs_batch *in, failed_rows *failed, evs__buffer *out)
{
    evs__column *c = NULL;

    memset(failed, 0, sizeof(*failed));
    assert_int_equal(evs__expr_eval(e, in, note_failed, failed, &c, NULL), EVS_OK);
    assert_int_equal(c->length, in->rows);
    assert_true(evs__type_same_shape(c->type, evs__expr_type(e)));
    for (uint32_t k = 0; k < in->count; k++) {
        uint32_t row = evs__batch_row_at(in, k);
        if (k)
            evs__buffer_byte(out, '|');
        if (failed->rows[row]) {
            evs__buffer_byte(out, '!');
            assert_true(evs__column_is_null(c, row));
        }
        assert_int_equal(evs__column_print(c, row, false, out), EVS_OK);
    }
    evs__column_unref(c);
}

/* evaluates three times on both layouts: results must not depend on what a node kept */
static void check(const char *text, const char *type, const char *wanted)
{
    evs__expr *e = compile(text);
    failed_rows failed;

    if (type && strcmp(evs_type_print(evs__expr_type(e)), type) != 0)
        fail_msg("%s is %s", text, evs_type_print(evs__expr_type(e)));
    for (int round = 0; round < 4; round++) {
        evs_batch *in = round % 2 ? view_batch : batch, *part = NULL;
        evs__buffer out;
        evs__buffer_init(&out, ctx, 1 << 20);
        if (row_selection)
            assert_int_equal(evs__batch_select(in, row_selection, row_selection_count, &part),
                             EVS_OK);
        result_text(e, part ? part : in, &failed, &out);
        if (strcmp(evs__buffer_cstr(&out), wanted) != 0)
            fail_msg("%s: %s (round %d, %s)", text, evs__buffer_cstr(&out), round, failed.why);
        evs__buffer_free(&out);
        evs_batch_unref(part);
    }
    evs__expr_free(e);
}

static void
check_selected(const char *text, const uint32_t *sel, uint32_t count, const char *wanted)
{
    row_selection = sel;
    row_selection_count = count;
    check(text, NULL, wanted);
    row_selection = NULL;
}

/* the message of the last row that failed */
static void check_row_error(const char *text, evs_status status, const char *wanted)
{
    evs__expr *e = compile(text);
    failed_rows failed;
    evs__buffer out;

    evs__buffer_init(&out, ctx, 1 << 20);
    result_text(e, batch, &failed, &out);
    if (!failed.count || strcmp(failed.why, wanted) != 0)
        fail_msg("%s: \"%s\"", text, failed.why);
    assert_int_equal(failed.status, status);
    evs__buffer_free(&out);
    evs__expr_free(e);
}

static void
check_fault(const char *text, evs_status status, const char *origin, const char *message)
{
    evs__expr *e = NULL;
    evs_error *err = NULL;
    evs_status got = evs__expr_new(ctx, text, batch->type, &e, &err);

    if (got != status || !strstr(evs_error_message(err), message))
        fail_msg("%s: %s \"%s\"", text, evs_status_name(got), evs_error_message(err));
    assert_string_equal(evs_error_origin(err), origin);
    evs_error_unref(err);
}

#endif
