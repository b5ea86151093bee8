/*
 * Aggregates: each function and type through a window, then merging, which tumbling windows do not
 * use, on states directly.
 */
#include "window_kit.h"

#include "engine/window.h"

/* one window, one group: the aggregates over the rows, as the text behind its bounds */
static void
check(const char *columns, const char *aggregates, const char *const *rows, const char *want)
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    char expected[512];
    kit k;
    kit_open(&k, columns, NULL, aggregates, &o);
    for (; *rows; rows++)
        kit_row(&k, 5, *rows);
    kit_advance(&k, INT64_MAX);
    snprintf(expected, sizeof(expected), "+0 1000 %s\n", want);
    assert_string_equal(kit_results(&k), expected);
    kit_close(&k);
}

#define ROWS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_count_counts_rows_values_and_conditions(void **state)
{
    (void)state;
    check("b BOOLEAN", "count(*), count(b), count_if(b)", ROWS("true", "false", "NULL", "true"),
          "4 3 2");
}

static void test_sum_integers_exact_and_null_without_values(void **state)
{
    (void)state;
    check("i INT, l BIGINT", "sum(i), sum(l)", ROWS("2147483647,9223372036854775806", "2,1"),
          "2147483649 9223372036854775807");
    check("i INT", "sum(i), count(i)", ROWS("NULL", "NULL"), "NULL 0");
}

static void test_sum_double_is_compensated(void **state)
{
    (void)state;
    check("d DOUBLE", "sum(d)", ROWS("1", "1e100", "1", "-1e100"), "2.0");
    check("d DOUBLE", "sum(d), avg(d)", ROWS("1e308", "1e308", "-5"), "Infinity Infinity");
    check("d DOUBLE", "sum(d)", ROWS("NULL"), "NULL");
}

static void test_sum_decimal_exact(void **state)
{
    (void)state;
    check("m DECIMAL(9,2)", "sum(m)", ROWS("0.10", "0.20", "NULL", "9999999.99"), "10000000.29");
    check("m DECIMAL(38,0)", "sum(m), count(*)",
          ROWS("99999999999999999999999999999999999998", "1", "-5", "5"),
          "99999999999999999999999999999999999999 4");
}

static void test_avg_integers(void **state)
{
    (void)state;
    check("l BIGINT", "avg(l)", ROWS("9223372036854775807", "9223372036854775807", "NULL"),
          "9.223372036854776e18");
    check("i INT", "avg(i)", ROWS("1", "2"), "1.5");
    check("i INT", "avg(i)", ROWS("NULL"), "NULL");
}

static void test_avg_decimal_rounds_half_away_from_zero(void **state)
{
    (void)state;
    check("m DECIMAL(9,2)", "avg(m)", ROWS("1.00", "1.00", "2.00"), "1.333333");
    check("m DECIMAL(9,6)", "avg(m)", ROWS("0.000001", "0.000002"), "0.000002");
    check("m DECIMAL(9,6)", "avg(m)", ROWS("-0.000001", "-0.000002"), "-0.000002");
    check("m DECIMAL(9,0)", "avg(m)", ROWS("2", "3", "3"), "2.666667");
    /* no room for digits behind the point */
    check("m DECIMAL(38,0)", "avg(m)", ROWS("90000000000000000000000000000000000001", "2"),
          "45000000000000000000000000000000000002");
}

static void test_min_max_of_each_type(void **state)
{
    (void)state;
    check("i INT, l BIGINT", "min(i), max(i), min(l), max(l)",
          ROWS("3,-9223372036854775808", "-7,5", "NULL,NULL"), "-7 3 -9223372036854775808 5");
    check("d DOUBLE", "min(d), max(d)", ROWS("3", "-0.5", "nan"), "-0.5 NaN");
    check("d DOUBLE", "min(d)", ROWS("nan", "nan"), "NaN");
    check("m DECIMAL(9,2)", "min(m), max(m)", ROWS("1.50", "-1.25"), "-1.25 1.50");
    check("b BOOLEAN", "min(b), max(b)", ROWS("true", "false"), "false true");
    check("t TIMESTAMP, d DATE, c TIME", "min(t), max(d), max(c)", ROWS("7000,1,1000", "5,365,7"),
          "5 1971-01-01 00:00:01.000");
}

static void test_min_max_text_by_bytes(void **state)
{
    (void)state;
    check("s VARCHAR", "min(s), max(s)", ROWS("b", "abc", "ab", "b", "NULL"), "ab b");
    check("s VARCHAR", "min(s), max(s)", ROWS("", "x"), " x");
    check("s VARCHAR", "min(s), max(s)", ROWS("NULL"), "NULL NULL");
    check("s VARCHAR", "max(s), min(s)",
          ROWS("a text that is far longer than any inline room", "b",
               "a text that is far longer "
               "than any inline roon"),
          "b a text that is far longer than any inline room");
}

static void test_min_max_text_improving_values_waste_is_bounded(void **state)
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    char row[64];
    kit k;
    (void)state;
    o.state_bytes_max = 64 << 10;
    kit_open(&k, "g INT, s VARCHAR", "g", "max(s)", &o);
    /* ever longer and larger: each replaces the one before, in 20 groups */
    for (int i = 0; i < 20000; i++) {
        snprintf(row, sizeof(row), "%d,%0*d", i % 20, 1 + i / 700, i);
        row[strcspn(row, ",") + 1] = (char)('0' + i / 2500);
        kit_row(&k, 5, row);
        if (i % 100 == 99)
            kit_advance(&k, 0);
    }
    assert_true(evs_window_counter(k.window, "state_bytes") < 32 << 10);
    kit_close(&k);
}

static void test_count_distinct_of_each_kind_of_value(void **state)
{
    (void)state;
    check("s VARCHAR", "count_distinct(s)",
          ROWS("a", "b", "a", "NULL", "", "", "a long text over fifteen bytes",
               "a long text over fifteen bytes"),
          "4");
    check("d DOUBLE", "count(DISTINCT d)", ROWS("0", "-0", "nan", "nan", "1"), "3");
    check("m DECIMAL(9,2), b BOOLEAN", "count_distinct(m), count_distinct(b)",
          ROWS("1.00,true", "1,false", "2,true"), "2 2");
    check("s VARCHAR", "count_distinct(s)", ROWS("NULL"), "0");
}

/* ---- overflow: the row goes, what was before stays ---- */

static void test_sum_overflow_row_is_rejected_whole(void **state)
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    kit_open(&k, "g INT, l BIGINT, m DECIMAL(38,0)", "g",
             "count(*), sum(l), sum(m), min(l), count_distinct(l)", &o);
    kit_row(&k, 1, "1,9223372036854775807,5");
    kit_row(&k, 2, "1,1,5"); /* BIGINT overflows: neither counted nor the minimum */
    kit_row(&k, 3, "1,-1,99999999999999999999999999999999999999"); /* DECIMAL does */
    kit_row(&k, 4, "1,-10,1");
    kit_row(&k, 5, "1,10,1"); /* fits again: rejected rows left no trace */
    kit_row(&k, 6, "2,1,1");
    kit_advance(&k, INT64_MAX);
    assert_string_equal(kit_results(&k), "+1 0 1000 3 9223372036854775807 7 -10 3\n"
                                         "+2 0 1000 1 1 1 1 1\n");
    assert_string_equal(k.rejects, "expression\nexpression\n");
    assert_int_equal(k.reject_status, EVS_ERR_OVERFLOW);
    assert_int_equal(evs_window_counter(k.window, "rejected"), 2);
    kit_close(&k);
}

/* ---- errors of the list ---- */

static void check_error(const char *aggregates, evs_status want, const char *part, const char *at)
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    evs_error *err = NULL;
    kit k;
    kit_open(&k, "s VARCHAR, l BIGINT", NULL, "count(*)", &o);
    evs_window_unref(k.window);
    k.window = NULL;
    assert_int_equal(evs_window_new(k.ctx, k.schema, NULL, aggregates, &o, &k.window, &err), want);
    if (!strstr(evs_error_message(err), part))
        fail_msg("\"%s\" lacks \"%s\"", evs_error_message(err), part);
    assert_string_equal(evs_error_origin(err), at);
    evs_error_unref(err);
    kit_close(&k);
}

static void test_parse_errors_say_what_and_where(void **state)
{
    (void)state;
    check_error("count(*), cuont(l)", EVS_ERR_EXPRESSION,
                "\"cuont\" is not an aggregate (did you mean \"count\"?)", "column 11");
    check_error("l AS x", EVS_ERR_EXPRESSION, "expected an aggregate", "column 1");
    check_error("sum(s)", EVS_ERR_TYPE, "sum does not take VARCHAR", "column 1");
    check_error("count(*), sum(*)", EVS_ERR_EXPRESSION, "* is for count only", "column 11");
    check_error("sum(l, l)", EVS_ERR_EXPRESSION, "too many arguments (sum(x))", "column 8");
    check_error("sum()", EVS_ERR_EXPRESSION, "sum takes an argument", "column 1");
    check_error("count(*) AS n, sum(l) AS n", EVS_ERR_EXPRESSION, "named \"n\"", "");
}

/* ---- merge ---- */

typedef struct merge_rig {
    kit k;
    evs__window_op *op[2];
} merge_rig;

/* two windows with the same aggregates over group 0; their only slices are merged */
static void
open_merge(merge_rig *m, const char *columns, const char *aggregates, const char *const *rows[2])
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    evs_error *err = NULL;
    kit_open(&m->k, columns, NULL, aggregates, &o);
    for (int i = 0; i < 2; i++) {
        evs_appender *a = NULL;
        evs_batch *batch = NULL;
        evs__operator *op = NULL;
        const evs_type *type = evs_schema_type(m->k.schema);
        assert_int_equal(evs__window_op_new(m->k.ctx, type, NULL, aggregates, &o, 1,
                                            EVS_TIME_WATERMARK, &op, &err),
                         EVS_OK);
        m->op[i] = evs__window_of(op);
        assert_int_equal(evs_appender_new(m->k.ctx, type, &a, &err), EVS_OK);
        for (const char *const *row = rows[i]; *row; row++)
            kit_append(a, type, 5, *row);
        assert_int_equal(evs_appender_take(a, &batch, &err), EVS_OK);
        assert_int_equal(op->fn->process(op, batch, 0, NULL, &err), EVS_OK);
        evs_batch_unref(batch);
        evs_appender_unref(a);
    }
}

static evs_status merge(merge_rig *m)
{
    static const uint32_t group[] = {0};
    evs__slice *to = evs__state_first(m->op[0]->state), *from = evs__state_first(m->op[1]->state);
    evs_status status = EVS_OK;
    for (uint32_t i = 0; i < m->op[0]->aggregates.count && !status; i++) {
        const evs__aggregate *a = &m->op[0]->aggregates.items[i];
        evs__agg_groups x = evs__agg_view(m->op[0]->state, to, &m->op[0]->aggregates, i);
        evs__agg_groups y = evs__agg_view(m->op[1]->state, from, &m->op[1]->aggregates, i);
        x.index = y.index = group;
        x.n = y.n = 1;
        x.most = y.most = 1;
        status = a->fn->merge(a, &x, &y);
    }
    return status;
}

static void check_merged(merge_rig *m, const char *want)
{
    evs_batch *batch = NULL;
    char text[512] = "", expected[512];
    evs__operator *op = &m->op[0]->base;
    assert_int_equal(op->fn->advance(op, 0, INT64_MAX, false, 0, NULL, NULL), EVS_OK);
    assert_int_equal(evs__window_result(m->op[0], false, &batch), EVS_OK);
    kit_print(text, sizeof(text), batch);
    evs_batch_unref(batch);
    snprintf(expected, sizeof(expected), "+0 1000 %s\n", want);
    assert_string_equal(text, expected);
}

static void close_merge(merge_rig *m)
{
    for (int i = 0; i < 2; i++)
        evs__operator_free(&m->op[i]->base);
    kit_close(&m->k);
}

static void check_merge(const char *columns,
                        const char *aggregates,
                        const char *const *a,
                        const char *const *b,
                        const char *want)
{
    const char *const *rows[] = {a, b};
    merge_rig m;
    open_merge(&m, columns, aggregates, rows);
    assert_int_equal(merge(&m), EVS_OK);
    check_merged(&m, want);
    close_merge(&m);
}

static void test_merge_equals_adding_all_rows(void **state)
{
    (void)state;
    check_merge("l BIGINT", "count(*), count(l), sum(l), avg(l), min(l), max(l)", ROWS("1", "NULL"),
                ROWS("5", "-2"), "4 3 4 1.3333333333333333 -2 5");
    check_merge("d DOUBLE", "sum(d), avg(d), min(d), max(d)", ROWS("1", "1e100"),
                ROWS("1", "-1e100"), "2.0 0.5 -1e100 1e100");
    check_merge("m DECIMAL(9,2)", "sum(m), avg(m), min(m), max(m)", ROWS("1.25"), ROWS("2.25"),
                "3.50 1.750000 1.25 2.25");
    check_merge("s VARCHAR", "min(s), max(s)", ROWS("m", "a text of more than fifteen bytes"),
                ROWS("z", "b"), "a text of more than fifteen bytes z");
    check_merge("s VARCHAR", "min(s), max(s)", ROWS("NULL"), ROWS("b"), "b b");
    check_merge("s VARCHAR", "min(s), max(s)", ROWS("b"), ROWS("NULL"), "b b");
    check_merge("s VARCHAR", "count_distinct(s)", ROWS("a", "b", "a text of more than fifteen"),
                ROWS("c", "b", "a text of more than fifteen", "NULL"), "4");
    check_merge("b BOOLEAN", "count_if(b), max(b), min(b)", ROWS("true"), ROWS("true", "false"),
                "2 true false");
}

static void test_merge_sum_overflow_is_told(void **state)
{
    const char *const *rows[] = {ROWS("9223372036854775807"), ROWS("1")};
    const char *const *wide[] = {ROWS("99999999999999999999999999999999999999"), ROWS("1")};
    merge_rig m;
    (void)state;
    open_merge(&m, "l BIGINT", "sum(l)", rows);
    assert_int_equal(merge(&m), EVS_ERR_OVERFLOW);
    check_merged(&m, "9223372036854775807");
    close_merge(&m);
    open_merge(&m, "m DECIMAL(38,0)", "sum(m)", wide);
    assert_int_equal(merge(&m), EVS_ERR_OVERFLOW);
    close_merge(&m);
}

/* ---- result types ---- */

static void test_result_types_follow_the_argument(void **state)
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    kit_open(&k,
             "i INT NOT NULL, l BIGINT, d DOUBLE, m DECIMAL(9,2), w DECIMAL(38,2), s VARCHAR NOT "
             "NULL",
             NULL,
             "count(l) AS a, sum(i) AS b, sum(l) AS c, sum(d) AS d, sum(m) AS e, avg(i) AS f, "
             "avg(m) AS g, avg(w) AS h, min(s) AS i, max(m) AS j, count_distinct(l) AS k",
             &o);
    assert_string_equal(
        evs_type_print(evs_window_result_type(k.window)),
        "STRUCT<window_start TIMESTAMP NOT NULL, window_end TIMESTAMP NOT NULL, a BIGINT NOT NULL, "
        "b BIGINT NOT NULL, c BIGINT, d DOUBLE, e DECIMAL(38,2), f DOUBLE NOT NULL, g "
        "DECIMAL(38,6), h DECIMAL(38,2), i VARCHAR NOT NULL, j DECIMAL(9,2), k BIGINT NOT NULL> "
        "NOT NULL");
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_count_counts_rows_values_and_conditions),
        cmocka_unit_test(test_sum_integers_exact_and_null_without_values),
        cmocka_unit_test(test_sum_double_is_compensated),
        cmocka_unit_test(test_sum_decimal_exact),
        cmocka_unit_test(test_avg_integers),
        cmocka_unit_test(test_avg_decimal_rounds_half_away_from_zero),
        cmocka_unit_test(test_min_max_of_each_type),
        cmocka_unit_test(test_min_max_text_by_bytes),
        cmocka_unit_test(test_min_max_text_improving_values_waste_is_bounded),
        cmocka_unit_test(test_count_distinct_of_each_kind_of_value),
        cmocka_unit_test(test_sum_overflow_row_is_rejected_whole),
        cmocka_unit_test(test_parse_errors_say_what_and_where),
        cmocka_unit_test(test_merge_equals_adding_all_rows),
        cmocka_unit_test(test_merge_sum_overflow_is_told),
        cmocka_unit_test(test_result_types_follow_the_argument),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
