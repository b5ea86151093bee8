/*
 * FILTER and DISTINCT on any aggregate, against brute force.
 */
#include "aggregate_kit.h"

static agg_row rows[AGG_ROWS];

static bool seen_before(const agg_row *const *r, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (r[k]->l == r[i]->l)
            return true;
    }
    return false;
}

static void sum_distinct_filtered(const agg_row *all, size_t n, int g, char *text, size_t size)
{
    const agg_row *r[AGG_ROWS], *kept[AGG_ROWS];
    size_t count = agg_group(all, n, g, r), kept_count = 0;
    int64_t sum = 0, different = 0;
    for (size_t i = 0; i < count; i++) {
        if (r[i]->b)
            kept[kept_count++] = r[i];
    }
    for (size_t i = 0; i < kept_count; i++) {
        bool old = seen_before(kept, i);
        sum += old ? 0 : kept[i]->l;
        different += !old;
    }
    snprintf(text, size, "%lld %lld %.17g %.17g %zu %zu", (long long)sum, (long long)different,
             (double)sum / 4, (double)sum / 4 / (double)different, kept_count, kept_count);
}

static void test_distinct_and_filter_equal_brute_force(void **state)
{
    (void)state;
    for (int run = 0; run < 5; run++) {
        agg_make(rows, AGG_ROWS, 20 + 40 * run, 1000);
        agg_model(
            "sum(DISTINCT l) FILTER (WHERE b) AS a, count(DISTINCT l) FILTER (WHERE b) AS "
            "b, sum(DISTINCT d) FILTER (WHERE b) AS c, avg(DISTINCT d) FILTER (WHERE b) AS d, "
            "count(*) FILTER (WHERE b) AS e, count(s) FILTER (WHERE b AND l = l) AS f",
            rows, AGG_ROWS, sum_distinct_filtered, 1e-12);
    }
}

static void check(const char *columns, const char *aggregates, const char *values, const char *want)
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    char expected[512];
    kit k;
    kit_open(&k, columns, NULL, aggregates, &o);
    while (*values) {
        size_t len = strcspn(values, ";");
        char row[128];
        snprintf(row, sizeof(row), "%.*s", (int)len, values);
        kit_row(&k, 5, row);
        values += len + (values[len] == ';');
    }
    kit_advance(&k, INT64_MAX);
    snprintf(expected, sizeof(expected), "+0 1000 %s\n", want);
    assert_string_equal(kit_results(&k), expected);
    kit_close(&k);
}

static void test_filter_keeps_what_is_true(void **state)
{
    (void)state;
    check("l BIGINT, y INT", "sum(l) FILTER (WHERE y > 0) AS s, count(*) filter (where y is null)",
          "1,1;2,0;4,NULL;8,5", "9 1");
    /* the argument is not looked at where the filter is not true */
    check("l BIGINT, y INT", "sum(10 / y) FILTER (WHERE y <> 0), max(l)", "1,2;7,0", "5 7");
    check("l BIGINT, y INT", "sum(l) FILTER (WHERE y > 100)", "1,1", "NULL");
}

static void test_distinct_where_it_makes_no_difference_is_the_function(void **state)
{
    (void)state;
    check("l BIGINT", "max(DISTINCT l), min(DISTINCT l), count_distinct(l)", "1;2;2;NULL", "2 1 2");
}

/* a value refused by the sum leaves the set: it may come again when it fits */
static void test_sum_distinct_overflow_row_is_refused_and_forgotten(void **state)
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    kit_open(&k, "l BIGINT", NULL, "sum(DISTINCT l), sum(l), count(*), avg(DISTINCT l)", &o);
    kit_row(&k, 1, "9223372036854775800");
    kit_row(&k, 1, "100"); /* refused */
    kit_row(&k, 2, "-200");
    kit_row(&k, 3, "100");
    kit_row(&k, 3, "100");
    kit_advance(&k, INT64_MAX);
    assert_string_equal(kit_results(&k), "+0 1000 9223372036854775700 9223372036854775800 4 "
                                         "3.0744573456182584e18\n");
    assert_string_equal(k.rejects, "expression\n");
    assert_int_equal(k.reject_status, EVS_ERR_OVERFLOW);
    kit_close(&k);
}

static void test_filter_and_distinct_are_part_of_the_plan(void **state)
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    kit a, b;
    const void *data = NULL;
    size_t len = 0;
    (void)state;
    kit_open(&a, "l BIGINT", NULL, "sum(l) FILTER (WHERE l > 1) AS s", &o);
    kit_open(&b, "l BIGINT", NULL, "sum(l) FILTER (WHERE l > 2) AS s", &o);
    assert_int_equal(evs_window_snapshot(a.window, &data, &len, NULL), EVS_OK);
    assert_int_equal(evs_window_restore(b.window, data, len, NULL), EVS_ERR_STATE);
    kit_close(&a);
    kit_close(&b);
}

static void check_error(const char *aggregates, evs_status want, const char *part, const char *at)
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    evs_error *err = NULL;
    evs_window *w = NULL;
    kit k;
    kit_open(&k, "s VARCHAR, l BIGINT", NULL, "count(*)", &o);
    assert_int_equal(evs_window_new(k.ctx, k.schema, NULL, aggregates, &o, &w, &err), want);
    if (!strstr(evs_error_message(err), part))
        fail_msg("\"%s\" lacks \"%s\"", evs_error_message(err), part);
    assert_string_equal(evs_error_origin(err), at);
    evs_error_unref(err);
    kit_close(&k);
}

static void test_filter_faults_say_what_and_where(void **state)
{
    (void)state;
    check_error("sum(l) FILTER (WHERE l)", EVS_ERR_TYPE, "condition is BOOLEAN", "column 22");
    check_error("sum(l) FILTER (l > 0)", EVS_ERR_EXPRESSION, "expected WHERE", "column 16");
    check_error("sum(l) FILTER (WHERE x > 0)", EVS_ERR_EXPRESSION, "\"x\"", "column 22");
    check_error("sum(abs(l) FILTER (WHERE l > 0))", EVS_ERR_EXPRESSION, "abs", "column 5");
    check_error("count(DISTINCT *)", EVS_ERR_EXPRESSION, "expected an expression", "column 16");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distinct_and_filter_equal_brute_force),
        cmocka_unit_test(test_filter_keeps_what_is_true),
        cmocka_unit_test(test_distinct_where_it_makes_no_difference_is_the_function),
        cmocka_unit_test(test_sum_distinct_overflow_row_is_refused_and_forgotten),
        cmocka_unit_test(test_filter_and_distinct_are_part_of_the_plan),
        cmocka_unit_test(test_filter_faults_say_what_and_where),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
