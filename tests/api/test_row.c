/*
 * evs_row: every accessor on every kind of field, NULLs, wrong types, rows that do not exist.
 */
#include "evs_test.h"

typedef struct fixture {
    evs_context *ctx;
    evs_type *type;
    evs_batch *batch;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    evs_appender *a = NULL;

    *state = f;
    evs_context_new(NULL, &f->ctx, NULL);
    f->type = evs_test_type(f->ctx, "STRUCT<b BOOLEAN, i INT, l BIGINT, d DOUBLE, m DECIMAL(9,2), "
                                    "s VARCHAR, y BYTES, t TIMESTAMP, da DATE, ti TIME, "
                                    "st STRUCT<x INT, deep STRUCT<z VARCHAR>>> NOT NULL");
    evs_appender_new(f->ctx, f->type, &a, NULL);
    evs_append_time(a, 99);
    evs_append_bool(a, true);
    evs_append_int(a, -5);
    evs_append_int(a, INT64_C(1) << 40);
    evs_append_double(a, 0.25);
    evs_append_decimal(a, "-12.50");
    evs_append_string(a, "text", 4);
    evs_append_string(a, "", 0);
    evs_append_int(a, 1000);
    evs_append_int(a, 20000);
    evs_append_int(a, 60000);
    evs_append_begin(a);
    evs_append_int(a, 7);
    evs_append_begin(a);
    evs_append_string(a, "zed", 3);
    evs_append_end(a);
    evs_append_end(a);
    evs_append_end_row(a, NULL);
    evs_append_kind(a, EVS_ROW_DELETE);
    evs_append_end_row(a, NULL);
    evs_appender_take(a, &f->batch, NULL);
    evs_appender_unref(a);
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    evs_batch_unref(f->batch);
    evs_type_unref(f->type);
    evs_context_unref(f->ctx);
    free(f);
    return 0;
}

enum { B, I, L, D, M, S, Y, T, DA, TI, ST, FIELDS };

static void test_values_and_widening(void **state)
{
    fixture *f = *state;
    evs_row row = evs_batch_row(f->batch, 0);
    bool b = false;
    int64_t n = 0;
    double d = 0;

    assert_int_equal(evs_row_time(&row), 99);
    assert_int_equal(evs_row_get_kind(&row), EVS_ROW_INSERT);
    assert_int_equal(evs_row_bool(&row, B, &b), EVS_OK);
    assert_true(b);
    assert_int_equal(evs_row_int(&row, I, &n), EVS_OK);
    assert_int_equal(n, -5);
    assert_int_equal(evs_row_int(&row, L, &n), EVS_OK);
    assert_true(n == INT64_C(1) << 40);
    assert_int_equal(evs_row_int(&row, T, &n), EVS_OK);
    assert_int_equal(n, 1000);
    assert_int_equal(evs_row_int(&row, DA, &n), EVS_OK);
    assert_int_equal(n, 20000);
    assert_int_equal(evs_row_int(&row, TI, &n), EVS_OK);
    assert_int_equal(n, 60000);
    assert_int_equal(evs_row_double(&row, D, &d), EVS_OK);
    assert_true(d == 0.25);
    assert_int_equal(evs_row_double(&row, I, &d), EVS_OK);
    assert_true(d == -5);
    assert_int_equal(evs_row_double(&row, L, &d), EVS_OK);
    assert_true(d == 1099511627776.0);
    assert_int_equal(evs_row_double(&row, M, &d), EVS_OK);
    assert_true(d == -12.5);
}

static void test_strings_and_structs(void **state)
{
    fixture *f = *state;
    evs_row row = evs_batch_row(f->batch, 0), st, deep;
    const char *data = NULL;
    size_t len = 9;
    int64_t n = 0;

    assert_int_equal(evs_row_string(&row, S, &data, &len), EVS_OK);
    assert_int_equal(len, 4);
    assert_memory_equal(data, "text", 4);
    assert_int_equal(evs_row_string(&row, Y, &data, &len), EVS_OK);
    assert_int_equal(len, 0);
    assert_non_null(data);
    assert_int_equal(evs_row_struct(&row, ST, &st), EVS_OK);
    assert_int_equal(evs_row_field(&st, "x"), 0);
    assert_int_equal(evs_row_int(&st, 0, &n), EVS_OK);
    assert_int_equal(n, 7);
    assert_int_equal(evs_row_time(&st), EVS_TIME_NONE);
    assert_int_equal(evs_row_struct(&st, 1, &deep), EVS_OK);
    assert_int_equal(evs_row_string(&deep, evs_row_field(&deep, "z"), &data, &len), EVS_OK);
    assert_memory_equal(data, "zed", 3);
    assert_int_equal(evs_row_int(&st, 2, &n), EVS_ERR_INVALID);
}

static void test_null_is_end_and_wrong_type_is_told_anyway(void **state)
{
    fixture *f = *state;
    evs_row row = evs_batch_row(f->batch, 1), st = {0};
    bool b = true;
    int64_t n = 42;
    double d = 42;
    const char *data = "x";
    size_t len = 42;

    assert_int_equal(evs_row_get_kind(&row), EVS_ROW_DELETE);
    assert_int_equal(evs_row_time(&row), EVS_TIME_NONE);
    for (int32_t i = 0; i < FIELDS; i++)
        assert_true(evs_row_is_null(&row, i));
    assert_int_equal(evs_row_bool(&row, B, &b), EVS_END);
    assert_int_equal(evs_row_int(&row, I, &n), EVS_END);
    assert_int_equal(evs_row_int(&row, T, &n), EVS_END);
    assert_int_equal(evs_row_double(&row, M, &d), EVS_END);
    assert_int_equal(evs_row_string(&row, S, &data, &len), EVS_END);
    assert_int_equal(evs_row_struct(&row, ST, &st), EVS_END);
    assert_int_equal(evs_row_text(&row, S, NULL, 0, &len), EVS_END);
    assert_true(b && n == 42 && d == 42 && len == 42);
    for (size_t i = 0; i < 2; i++) {
        row = evs_batch_row(f->batch, i);
        assert_int_equal(evs_row_bool(&row, I, &b), EVS_ERR_TYPE);
        assert_int_equal(evs_row_int(&row, D, &n), EVS_ERR_TYPE);
        assert_int_equal(evs_row_int(&row, M, &n), EVS_ERR_TYPE);
        assert_int_equal(evs_row_double(&row, S, &d), EVS_ERR_TYPE);
        assert_int_equal(evs_row_double(&row, T, &d), EVS_ERR_TYPE);
        assert_int_equal(evs_row_string(&row, ST, &data, &len), EVS_ERR_TYPE);
        assert_int_equal(evs_row_struct(&row, S, &st), EVS_ERR_TYPE);
    }
}

static void test_no_such_field_is_invalid(void **state)
{
    fixture *f = *state;
    evs_row row = evs_batch_row(f->batch, 0), st;
    bool b;
    int64_t n;
    double d;
    const char *data;
    size_t len;

    for (int32_t field = -1; field <= FIELDS; field += FIELDS + 1) {
        assert_true(evs_row_is_null(&row, field));
        assert_int_equal(evs_row_bool(&row, field, &b), EVS_ERR_INVALID);
        assert_int_equal(evs_row_int(&row, field, &n), EVS_ERR_INVALID);
        assert_int_equal(evs_row_double(&row, field, &d), EVS_ERR_INVALID);
        assert_int_equal(evs_row_string(&row, field, &data, &len), EVS_ERR_INVALID);
        assert_int_equal(evs_row_struct(&row, field, &st), EVS_ERR_INVALID);
        assert_int_equal(evs_row_text(&row, field, NULL, 0, &len), EVS_ERR_INVALID);
    }
    assert_int_equal(evs_row_int(&row, I, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_row_string(&row, S, &data, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_row_string(&row, S, NULL, &len), EVS_ERR_INVALID);
    assert_int_equal(evs_row_field(&row, "nope"), -1);
    assert_int_equal(evs_row_field(&row, NULL), -1);
}

static void test_row_that_does_not_exist(void **state)
{
    fixture *f = *state;
    evs_row row = evs_batch_row(f->batch, 2);
    int64_t n;

    assert_null(row.batch);
    assert_int_equal(evs_row_int(&row, 0, &n), EVS_ERR_INVALID);
    assert_true(evs_row_is_null(&row, 0));
    assert_int_equal(evs_row_time(&row), EVS_TIME_NONE);
    assert_int_equal(evs_row_field(&row, "b"), -1);
    row = evs_batch_row(NULL, 0);
    assert_int_equal(evs_row_int(&row, 0, &n), EVS_ERR_INVALID);
    assert_int_equal(evs_row_int(NULL, 0, &n), EVS_ERR_INVALID);
    assert_int_equal(evs_row_get_kind(NULL), EVS_ROW_INSERT);
}

static void test_text_is_cut_and_its_length_told(void **state)
{
    fixture *f = *state;
    evs_row row = evs_batch_row(f->batch, 0);
    char buffer[8];
    size_t len = 0;

    assert_int_equal(evs_row_text(&row, M, buffer, sizeof(buffer), &len), EVS_OK);
    assert_string_equal(buffer, "-12.50");
    assert_int_equal(len, 6);
    assert_int_equal(evs_row_text(&row, T, buffer, sizeof(buffer), &len), EVS_OK);
    assert_string_equal(buffer, "1970-01");
    assert_int_equal(len, 24);
    assert_int_equal(evs_row_text(&row, ST, NULL, 0, &len), EVS_OK);
    assert_int_equal(len, strlen("{\"x\":7,\"deep\":{\"z\":\"zed\"}}"));
    assert_int_equal(evs_row_text(&row, Y, buffer, 1, NULL), EVS_OK);
    assert_string_equal(buffer, "");
    assert_int_equal(evs_row_text(&row, S, NULL, 4, &len), EVS_ERR_INVALID);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_values_and_widening),
        TEST(test_strings_and_structs),
        TEST(test_null_is_end_and_wrong_type_is_told_anyway),
        TEST(test_no_such_field_is_invalid),
        TEST(test_row_that_does_not_exist),
        TEST(test_text_is_cut_and_its_length_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
