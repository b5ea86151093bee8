/*
 * Values as text, in and outside JSON.
 */
#include <math.h>
#include <stdio.h>

#include "evs_test.h"

#include "data/batch.h"

typedef struct fixture {
    evs_context *ctx;
    evs__buffer out;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    evs_context_new(NULL, &f->ctx, NULL);
    evs__buffer_init(&f->out, f->ctx, 1 << 16);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    evs__buffer_free(&f->out);
    evs_context_unref(f->ctx);
    free(f);
    return 0;
}

/* one row of one field: plain text, then JSON, separated by a blank */
static void check(fixture *f, const char *type, void (*fill)(evs_appender *a), const char *want)
{
    char text[200];
    evs_type *t;
    evs_appender *a = NULL;
    evs_batch *b = NULL;
    evs_error *err = NULL;
    evs_status status;

    snprintf(text, sizeof(text), "STRUCT<v %s> NOT NULL", type);
    t = evs_test_type(f->ctx, text);
    assert_int_equal(evs_appender_new(f->ctx, t, &a, NULL), EVS_OK);
    fill(a);
    status = evs_append_end_row(a, &err);
    assert_evs_ok(status, err);
    assert_int_equal(evs_appender_take(a, &b, NULL), EVS_OK);
    evs__buffer_reset(&f->out);
    evs__column_print(b->columns[0], 0, false, &f->out);
    evs__buffer_byte(&f->out, ' ');
    assert_int_equal(evs__batch_row_json(b, 0, &f->out), EVS_OK);
    assert_string_equal(evs__buffer_cstr(&f->out), want);
    evs_batch_unref(b);
    evs_appender_unref(a);
    evs_type_unref(t);
}

static void fill_true(evs_appender *a)
{
    evs_append_bool(a, true);
}
static void fill_null(evs_appender *a)
{
    evs_append_null(a);
}
static void fill_int(evs_appender *a)
{
    evs_append_int(a, -12345);
}
static void fill_half(evs_appender *a)
{
    evs_append_double(a, 0.5);
}
static void fill_nan(evs_appender *a)
{
    evs_append_double(a, NAN);
}
static void fill_infinite(evs_appender *a)
{
    evs_append_double(a, -INFINITY);
}
static void fill_decimal(evs_appender *a)
{
    evs_append_decimal(a, "-19.9");
}
static void fill_text(evs_appender *a)
{
    evs_append_string(a, "a\"b\xc3\xa9", 5);
}
static void fill_bytes(evs_appender *a)
{
    evs_append_string(a, "\0\xff", 2);
}
static void fill_time(evs_appender *a)
{
    evs_append_int(a, INT64_C(1795453516123));
}
static void fill_small(evs_appender *a)
{
    evs_append_int(a, 20000);
}
static void fill_list(evs_appender *a)
{
    evs_append_begin(a);
    evs_append_double(a, 1);
    evs_append_null(a);
    evs_append_double(a, INFINITY);
    evs_append_end(a);
}
static void fill_empty(evs_appender *a)
{
    evs_append_begin(a);
    evs_append_end(a);
}
static void fill_map(evs_appender *a)
{
    evs_append_begin(a);
    evs_append_string(a, "k\n", 2);
    evs_append_int(a, 20000);
    evs_append_string(a, "n", 1);
    evs_append_null(a);
    evs_append_end(a);
}

static void test_print_simple_types(void **state)
{
    fixture *f = *state;
    check(f, "BOOLEAN", fill_true, "true {\"v\":true}");
    check(f, "BOOLEAN", fill_null, "null {\"v\":null}");
    check(f, "INT", fill_int, "-12345 {\"v\":-12345}");
    check(f, "BIGINT", fill_int, "-12345 {\"v\":-12345}");
    check(f, "DOUBLE", fill_half, "0.5 {\"v\":0.5}");
    check(f, "DOUBLE", fill_nan, "NaN {\"v\":\"NaN\"}");
    check(f, "DOUBLE", fill_infinite, "-Infinity {\"v\":\"-Infinity\"}");
    check(f, "DECIMAL(9,2)", fill_decimal, "-19.90 {\"v\":-19.90}");
    check(f, "VARCHAR", fill_text, "a\"b\xc3\xa9 {\"v\":\"a\\\"b\xc3\xa9\"}");
    check(f, "BYTES", fill_bytes, "AP8= {\"v\":\"AP8=\"}");
    check(f, "TIMESTAMP", fill_time,
          "2026-11-23T17:05:16.123Z {\"v\":\"2026-11-23T17:05:16.123Z\"}");
    check(f, "DATE", fill_small, "2024-10-04 {\"v\":\"2024-10-04\"}");
    check(f, "TIME", fill_small, "00:00:20.000 {\"v\":\"00:00:20.000\"}");
}

static void test_print_nested_types_are_json(void **state)
{
    fixture *f = *state;
    check(f, "ARRAY<DOUBLE>", fill_list, "[1.0,null,\"Infinity\"] {\"v\":[1.0,null,\"Infinity\"]}");
    check(f, "ARRAY<INT>", fill_empty, "[] {\"v\":[]}");
    check(f, "MAP<INT>", fill_empty, "{} {\"v\":{}}");
    check(f, "MAP<DATE>", fill_map,
          "{\"k\\n\":\"2024-10-04\",\"n\":null} {\"v\":{\"k\\n\":\"2024-10-04\",\"n\":null}}");
    check(f, "STRUCT<x INT, y STRUCT<\"a b\" INT>>", fill_empty,
          "{\"x\":null,\"y\":null} {\"v\":{\"x\":null,\"y\":null}}");
}

static void test_print_over_the_bound_is_limit(void **state)
{
    fixture *f = *state;
    evs_type *t = evs_test_type(f->ctx, EVS_TEST_TYPE_ALL);
    evs_batch *b = evs_test_random_batch(f->ctx, t, 5, 5);

    for (size_t max = 0; max < 100; max += 7) {
        evs__buffer small;
        evs__buffer_init(&small, f->ctx, max);
        assert_int_equal(evs__batch_row_json(b, 3, &small), EVS_ERR_LIMIT);
        evs__buffer_free(&small);
    }
    evs_batch_unref(b);
    evs_type_unref(t);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_print_simple_types),
        T(test_print_nested_types_are_json),
        T(test_print_over_the_bound_is_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
