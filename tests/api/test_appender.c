/*
 * evs_appender: rows in, a batch out; every fault is told at the end of its row and costs only it.
 */
#include <stdio.h>

#include "evs_test.h"

typedef struct fixture {
    evs_context *ctx;
    evs_type *type;
    evs_appender *a;
    evs_batch *batch;
    evs_error *err;
} fixture;

#define TYPE                                                                                       \
    "STRUCT<id INT NOT NULL, name VARCHAR, total DECIMAL(5,2), tags ARRAY<VARCHAR NOT NULL>, "     \
    "items ARRAY<STRUCT<sku VARCHAR NOT NULL, quantity INT>>, attrs MAP<DOUBLE>, raw BYTES, "      \
    "ok BOOLEAN, at TIME> NOT NULL"

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    *state = f;
    evs_context_new(NULL, &f->ctx, NULL);
    f->type = evs_test_type(f->ctx, TYPE);
    return evs_appender_new(f->ctx, f->type, &f->a, NULL);
}

static int teardown(void **state)
{
    fixture *f = *state;
    evs_batch_unref(f->batch);
    evs_appender_unref(f->a);
    evs_type_unref(f->type);
    evs_context_unref(f->ctx);
    free(f);
    return 0;
}

static void text(fixture *f, const char *s)
{
    evs_append_string(f->a, s, strlen(s));
}

static void good_row(fixture *f, int64_t id)
{
    evs_append_int(f->a, id);
    assert_evs_ok(evs_append_end_row(f->a, &f->err), f->err);
}

static void test_new_documented_failures(void **state)
{
    fixture *f = *state;
    evs_appender *a = NULL;
    evs_type *t = evs_test_type(f->ctx, "ARRAY<INT>");
    evs_status status;

    assert_int_equal(evs_appender_new(NULL, f->type, &a, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_appender_new(f->ctx, NULL, &a, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_appender_new(f->ctx, f->type, NULL, NULL), EVS_ERR_INVALID);
    status = evs_appender_new(f->ctx, t, &a, &f->err);
    assert_evs_error(status, f->err, EVS_ERR_INVALID, "needs a STRUCT type, not ARRAY", NULL);
    assert_null(a);
    evs_type_unref(t);
}

static void test_whole_rows_with_nested_values(void **state)
{
    fixture *f = *state;

    evs_append_time(f->a, 1000);
    evs_append_int(f->a, 1);
    text(f, "ann");
    evs_append_decimal(f->a, "19.9");
    evs_append_begin(f->a);
    text(f, "x");
    text(f, "y");
    evs_append_end(f->a);
    evs_append_begin(f->a);
    evs_append_begin(f->a);
    text(f, "sku-1");
    evs_append_int(f->a, 3);
    evs_append_end(f->a);
    evs_append_begin(f->a);
    text(f, "sku-2");
    evs_append_end(f->a);
    evs_append_null(f->a);
    evs_append_end(f->a);
    evs_append_begin(f->a);
    text(f, "w");
    evs_append_double(f->a, 0.5);
    text(f, "v");
    evs_append_null(f->a);
    evs_append_end(f->a);
    evs_append_string(f->a, "\xff", 1);
    evs_append_bool(f->a, true);
    evs_append_int(f->a, 60000);
    assert_evs_ok(evs_append_end_row(f->a, &f->err), f->err);
    evs_append_kind(f->a, EVS_ROW_DELETE);
    good_row(f, 2);
    evs_append_int(f->a, 3);
    evs_append_null(f->a);
    evs_append_int(f->a, -7);
    evs_append_begin(f->a);
    evs_append_end(f->a);
    assert_evs_ok(evs_append_end_row(f->a, &f->err), f->err);
    assert_int_equal(evs_appender_rows(f->a), 3);
    assert_evs_ok(evs_appender_take(f->a, &f->batch, &f->err), f->err);
    assert_batch(f->batch,
                 "1000@1|ann|19.90|[\"x\",\"y\"]|[{\"sku\":\"sku-1\",\"quantity\":3},"
                 "{\"sku\":\"sku-2\",\"quantity\":null},null]|{\"w\":0.5,\"v\":null}|/w==|true|"
                 "00:01:00.000\n"
                 "d 2|null|null|null|null|null|null|null|null\n"
                 "3|null|-7.00|[]|null|null|null|null|null");
    assert_int_equal(evs_appender_rows(f->a), 0);
    assert_int_equal(evs_appender_take(f->a, &f->batch, NULL), EVS_END);
}

/* begin a row that is right up to the field `items` */
static void up_to_items(fixture *f)
{
    evs_append_int(f->a, 9);
    text(f, "bob");
    evs_append_null(f->a);
    evs_append_null(f->a);
}

static void fault_overflow(fixture *f)
{
    evs_append_int(f->a, INT64_C(1) << 31);
}
static void fault_type(fixture *f)
{
    evs_append_int(f->a, 1);
    evs_append_int(f->a, 1);
    evs_append_double(f->a, 1); /* what follows the first fault is not looked at */
}
static void fault_utf8(fixture *f)
{
    evs_append_int(f->a, 1);
    evs_append_string(f->a, "ab\xc3", 3);
}
static void fault_null_text(fixture *f)
{
    evs_append_int(f->a, 1);
    evs_append_string(f->a, NULL, 3);
}
static void fault_null(fixture *f)
{
    evs_append_null(f->a);
}
static void fault_missing(fixture *f)
{
    evs_append_time(f->a, 5);
}
static void fault_digits(fixture *f)
{
    evs_append_int(f->a, 1);
    evs_append_null(f->a);
    evs_append_decimal(f->a, "1.234");
}
static void fault_number(fixture *f)
{
    evs_append_int(f->a, 1);
    evs_append_null(f->a);
    evs_append_decimal(f->a, "1,2");
}
static void fault_whole(fixture *f)
{
    evs_append_int(f->a, 1);
    evs_append_null(f->a);
    evs_append_int(f->a, 1000);
}
static void fault_nested(fixture *f)
{
    up_to_items(f);
    evs_append_begin(f->a);
    for (int i = 0; i < 3; i++) {
        evs_append_begin(f->a);
        text(f, "s");
        if (i == 2)
            text(f, "many");
        evs_append_end(f->a);
    }
    evs_append_end(f->a);
}
static void fault_nested_missing(fixture *f)
{
    up_to_items(f);
    evs_append_begin(f->a);
    evs_append_begin(f->a);
    evs_append_end(f->a);
}
static void fault_nested_arity(fixture *f)
{
    up_to_items(f);
    evs_append_begin(f->a);
    evs_append_begin(f->a);
    text(f, "s");
    evs_append_int(f->a, 1);
    evs_append_int(f->a, 1);
}
static void fault_element(fixture *f)
{
    evs_append_int(f->a, 1);
    evs_append_null(f->a);
    evs_append_null(f->a);
    evs_append_begin(f->a);
    text(f, "a");
    evs_append_null(f->a);
}
static void fault_map_key(fixture *f)
{
    up_to_items(f);
    evs_append_null(f->a);
    evs_append_begin(f->a);
    evs_append_null(f->a);
}
static void fault_map_odd(fixture *f)
{
    up_to_items(f);
    evs_append_null(f->a);
    evs_append_begin(f->a);
    text(f, "k");
    evs_append_end(f->a);
}
static void fault_open(fixture *f)
{
    up_to_items(f);
    evs_append_begin(f->a);
}
static void fault_end(fixture *f)
{
    evs_append_int(f->a, 1);
    evs_append_end(f->a);
}
static void fault_begin(fixture *f)
{
    evs_append_begin(f->a);
}
static void fault_many(fixture *f)
{
    evs_append_int(f->a, 1);
    for (int i = 0; i < 8; i++)
        evs_append_null(f->a);
    evs_append_null(f->a);
}
static void fault_day(fixture *f)
{
    up_to_items(f);
    for (int i = 0; i < 4; i++)
        evs_append_null(f->a);
    evs_append_int(f->a, 86400000);
}
static void fault_kind(fixture *f)
{
    evs_append_kind(f->a, (evs_row_kind)3);
    evs_append_int(f->a, 1);
}

static void test_faults_cost_their_row_only(void **state)
{
    static const struct {
        void (*fill)(fixture *f);
        evs_status status;
        const char *message, *origin;
    } cases[] = {
        {fault_overflow, EVS_ERR_OVERFLOW, "field \"id\" of row 1: 2147483648 does not fit INT",
         "id"},
        {fault_type, EVS_ERR_TYPE, "the field is VARCHAR, the value an integer", "name"},
        {fault_utf8, EVS_ERR_SCHEMA, "not valid UTF-8 at byte 2", "name"},
        {fault_null_text, EVS_ERR_INVALID, "the text is NULL", "name"},
        {fault_null, EVS_ERR_SCHEMA, "NOT NULL", "id"},
        {fault_missing, EVS_ERR_SCHEMA, "NOT NULL and was not set", "id"},
        {fault_digits, EVS_ERR_OVERFLOW, "\"1.234\" does not fit DECIMAL(5,2)", "total"},
        {fault_number, EVS_ERR_INVALID, "\"1,2\" is not a decimal number", "total"},
        {fault_whole, EVS_ERR_OVERFLOW, "1000 does not fit DECIMAL(5,2)", "total"},
        {fault_nested, EVS_ERR_TYPE, "the field is INT, the value a string", "items[2].quantity"},
        {fault_nested_missing, EVS_ERR_SCHEMA, "was not set", "items[0].sku"},
        {fault_nested_arity, EVS_ERR_INVALID, "more values than the STRUCT has fields", ""},
        {fault_element, EVS_ERR_SCHEMA, "NOT NULL", "tags[1]"},
        {fault_map_key, EVS_ERR_SCHEMA, "NOT NULL", "attrs[0]"},
        {fault_map_odd, EVS_ERR_INVALID, "the last key of the MAP has no value", "attrs[0]"},
        {fault_open, EVS_ERR_INVALID, "evs_append_end() is missing", "items"},
        {fault_end, EVS_ERR_INVALID, "evs_append_end() without evs_append_begin()", ""},
        {fault_begin, EVS_ERR_TYPE, "the value an ARRAY, MAP or STRUCT", "id"},
        {fault_many, EVS_ERR_INVALID, "row 1: more values than the row has fields", ""},
        {fault_day, EVS_ERR_OVERFLOW, "86400000 does not fit TIME", "at"},
        {fault_kind, EVS_ERR_INVALID, "3 is no row kind", NULL},
    };
    fixture *f = *state;

    good_row(f, 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        evs_status status;
        cases[i].fill(f);
        status = evs_append_end_row(f->a, &f->err);
        assert_evs_error(status, f->err, cases[i].status, cases[i].message, cases[i].origin);
        f->err = NULL;
        assert_int_equal(evs_appender_rows(f->a), 1);
    }
    up_to_items(f);
    evs_append_begin(f->a);
    evs_append_begin(f->a);
    text(f, "s");
    evs_append_end(f->a);
    evs_append_end(f->a);
    assert_evs_ok(evs_append_end_row(f->a, &f->err), f->err);
    assert_evs_ok(evs_appender_take(f->a, &f->batch, &f->err), f->err);
    assert_batch(f->batch, "1|null|null|null|null|null|null|null|null\n"
                           "9|bob|null|null|[{\"sku\":\"s\",\"quantity\":null}]|null|null|null|"
                           "null");
}

static void test_take_inside_a_row_is_misuse(void **state)
{
    fixture *f = *state;
    evs_status status;

    good_row(f, 1);
    evs_append_int(f->a, 2);
    status = evs_appender_take(f->a, &f->batch, &f->err);
    assert_evs_error(status, f->err, EVS_ERR_MISUSE, "a row is open", NULL);
    assert_int_equal(evs_appender_take(NULL, &f->batch, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_appender_take(f->a, NULL, NULL), EVS_ERR_INVALID);
    assert_evs_ok(evs_append_end_row(f->a, NULL), NULL);
    assert_evs_ok(evs_appender_take(f->a, &f->batch, NULL), NULL);
    assert_int_equal(evs_batch_rows(f->batch), 2);
}

static void test_more_rows_than_a_batch_of_a_source(void **state)
{
    fixture *f = *state;
    evs_row row;
    int64_t id = 0;

    for (int64_t i = 0; i < 20000; i++) {
        evs_append_time(f->a, i);
        good_row(f, i);
    }
    assert_evs_ok(evs_appender_take(f->a, &f->batch, NULL), NULL);
    assert_int_equal(evs_batch_rows(f->batch), 20000);
    row = evs_batch_row(f->batch, 19999);
    assert_int_equal(evs_row_int(&row, 0, &id), EVS_OK);
    assert_int_equal(id, 19999);
    assert_int_equal(evs_row_time(&row), 19999);
}

static void test_time_of_a_dropped_row_is_not_that_of_the_next(void **state)
{
    fixture *f = *state;

    evs_append_time(f->a, 77);
    evs_append_null(f->a);
    assert_int_equal(evs_append_end_row(f->a, NULL), EVS_ERR_SCHEMA);
    good_row(f, 1);
    assert_evs_ok(evs_appender_take(f->a, &f->batch, NULL), NULL);
    assert_null(evs_batch_times(f->batch));
    assert_null(evs_batch_kinds(f->batch));
}

static void test_batch_outlives_appender_type_and_context(void **state)
{
    fixture *f = *state;

    good_row(f, 4);
    assert_evs_ok(evs_appender_take(f->a, &f->batch, NULL), NULL);
    f->a = evs_appender_unref(f->a);
    f->type = evs_type_unref(f->type);
    f->ctx = evs_context_unref(f->ctx);
    assert_batch(f->batch, "4|null|null|null|null|null|null|null|null");
}

static void test_null_appender_is_harmless(void **state)
{
    (void)state;
    evs_append_time(NULL, 1);
    evs_append_kind(NULL, EVS_ROW_INSERT);
    evs_append_null(NULL);
    evs_append_bool(NULL, true);
    evs_append_int(NULL, 1);
    evs_append_double(NULL, 1);
    evs_append_string(NULL, "x", 1);
    evs_append_decimal(NULL, "1");
    evs_append_begin(NULL);
    evs_append_end(NULL);
    assert_int_equal(evs_append_end_row(NULL, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_appender_rows(NULL), 0);
    assert_null(evs_appender_unref(NULL));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_new_documented_failures),
        T(test_whole_rows_with_nested_values),
        T(test_faults_cost_their_row_only),
        T(test_take_inside_a_row_is_misuse),
        T(test_more_rows_than_a_batch_of_a_source),
        T(test_time_of_a_dropped_row_is_not_that_of_the_next),
        T(test_batch_outlives_appender_type_and_context),
        T(test_null_appender_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
