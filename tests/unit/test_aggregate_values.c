/*
 * Aggregates that choose or collect values, and statistics, against brute force: batches, restarts,
 * merging and damage by aggregate_kit.h.
 */
#include "aggregate_kit.h"

static agg_row rows[AGG_ROWS];

/* ---- first, last, min_by ---- */

static int before(const agg_row *a, const agg_row *b)
{
    return a->time != b->time ? a->time < b->time : a < b;
}

static void choices(const agg_row *all, size_t n, int g, char *text, size_t size)
{
    const agg_row *r[AGG_ROWS] = {all}, *first, *last, *low, *high;
    size_t count = agg_group(all, n, g, r);
    first = last = low = high = r[0];
    for (size_t i = 1; i < count; i++) {
        first = before(r[i], first) ? r[i] : first;
        last = before(r[i], last) ? last : r[i];
        low = r[i]->l < low->l ? r[i] : low;
        high = strcmp(r[i]->s, high->s) > 0 ? r[i] : high;
    }
    snprintf(text, size, "%lld %s %s %lld %lld %s %lld", (long long)first->l, last->s, r[0]->s,
             (long long)r[count - 1]->l, (long long)r[0]->l, low->s, (long long)high->l);
}

static void test_choices_equal_brute_force(void **state)
{
    (void)state;
    for (int run = 0; run < 4; run++) {
        /* few times and values: many ties */
        agg_make(rows, AGG_ROWS, run % 2 ? 8 : 1000, run < 2 ? 20 : 100000);
        agg_model("first(l), last(s), earliest_by_offset(s), latest_by_offset(l), any_value(l), "
                  "min_by(s, d), max_by(l, s)",
                  rows, AGG_ROWS, choices, 0);
    }
}

static void test_first_of_nested_and_null(void **state)
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    kit_open(&k, "g INT, l BIGINT, b BYTES, t TIME, m DECIMAL(38,3)", "g",
             "first(l), last(b), first(t), last(m), min_by(m, t), max_by(l, b)", &o);
    kit_row(&k, 1, "1,NULL,NULL,NULL,NULL");
    kit_row(&k, 1, "2,5,xyz,1000,1.5");
    kit_row(&k, 2, "2,NULL,abc,500,-99999999999999999999999999999999999.999");
    kit_advance(&k, INT64_MAX);
    assert_string_equal(kit_results(&k),
                        "+1 0 1000 NULL NULL NULL NULL NULL NULL\n"
                        "+2 0 1000 5 YWJj 00:00:01.000 -99999999999999999999999999999999999.999 "
                        "-99999999999999999999999999999999999.999 5\n");
    kit_close(&k);
}

/* a stream of ever new values in few groups: what is kept follows the groups */
static void test_chosen_values_memory_is_bounded(void **state)
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    char row[96];
    kit k;
    (void)state;
    kit_open(&k, "g INT, s VARCHAR", "g", "last(s), topk(s, 3), min_by(s, s)", &o);
    for (int i = 0; i < 60000; i++) {
        snprintf(row, sizeof(row), "%d,a text that is not short at all %08d", i % 5, i);
        kit_row(&k, 5, row);
    }
    kit_advance(&k, 0);
    assert_true(evs_window_counter(k.window, "state_bytes") < 4 << 20);
    kit_advance(&k, INT64_MAX);
    assert_non_null(strstr(kit_results(&k), "+4 0 1000 a text that is not short at all 00059999 "
                                            "[\"a text that is not short at all 00059999\""));
    kit_close(&k);
}

/* ---- collections ---- */

static size_t differing(const agg_row *const *r, size_t count, const agg_row **ret, int64_t *times)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;
        while (k < n && ret[k]->l != r[i]->l)
            k++;
        if (k == n) {
            ret[n] = r[i];
            times[n++] = 0;
        }
        times[k]++;
    }
    return n;
}

static int by_l_down(const void *a, const void *b)
{
    int64_t x = (*(const agg_row *const *)a)->l, y = (*(const agg_row *const *)b)->l;
    return (x < y) - (x > y);
}

static void put_list(char *text, size_t size, const agg_row *const *r, size_t n)
{
    size_t at = strlen(text);
    at += (size_t)snprintf(text + at, size - at, "[");
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%lld", i ? "," : "", (long long)r[i]->l);
    snprintf(text + at, size - at, "] ");
}

static void collections(const agg_row *all, size_t n, int g, char *text, size_t size)
{
    const agg_row *r[AGG_ROWS], *set[AGG_ROWS], *sorted[AGG_ROWS];
    int64_t times[AGG_ROWS];
    size_t count = agg_group(all, n, g, r), different = differing(r, count, set, times), at, tops;
    text[0] = '\0';
    put_list(text, size, r, count);
    put_list(text, size, set, different);
    at = strlen(text);
    at += (size_t)snprintf(text + at, size - at, "{");
    for (size_t i = 0; i < different; i++)
        at += (size_t)snprintf(text + at, size - at, "%s\"%lld\":%lld", i ? "," : "",
                               (long long)set[i]->l, (long long)times[i]);
    at += (size_t)snprintf(text + at, size - at, "} ");
    for (size_t i = 0; i < count; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%s", i ? "; " : "", r[i]->s);
    at += (size_t)snprintf(text + at, size - at, " ");
    memcpy(sorted, r, count * sizeof(r[0]));
    qsort(sorted, count, sizeof(r[0]), by_l_down);
    put_list(text, size, sorted, count < 7 ? count : 7);
    at = strlen(text);
    at += (size_t)snprintf(text + at, size - at, "%.15g %.3f ",
                           (double)(sorted[(count - 1) / 2]->l + sorted[count / 2]->l) / 2,
                           (double)(sorted[(count - 1) / 2]->l + sorted[count / 2]->l) / 200);
    qsort(set, different, sizeof(set[0]), by_l_down);
    tops = different < 7 ? different : 7;
    put_list(text, size, set, tops);
    text[strlen(text) - 1] = '\0';
}

static void test_collections_equal_brute_force(void **state)
{
    (void)state;
    for (int run = 0; run < 3; run++) {
        agg_make(rows, AGG_ROWS, run == 1 ? 5 : 100, 1000);
        agg_model("collect_list(l), collect_set(l), histogram(i), string_agg(s, '; '), topk(l, 7), "
                  "median(i), median(m), topk(DISTINCT l, 7)",
                  rows, AGG_ROWS, collections, 0);
    }
}

static void distinct_collections(const agg_row *all, size_t n, int g, char *text, size_t size)
{
    const agg_row *r[AGG_ROWS], *set[AGG_ROWS], *sorted[AGG_ROWS];
    int64_t times[AGG_ROWS];
    size_t count = agg_group(all, n, g, r), different = differing(r, count, set, times), at = 0;
    memcpy(sorted, set, different * sizeof(set[0]));
    qsort(sorted, different, sizeof(set[0]), by_l_down);
    at += (size_t)snprintf(text, size, "%.15g ",
                           (double)(sorted[(different - 1) / 2]->l + sorted[different / 2]->l) / 8);
    for (size_t i = 0; i < different; i++)
        at += (size_t)snprintf(text + at, size - at, "%lld", (long long)set[i]->l);
}

static void test_distinct_in_front_of_collections(void **state)
{
    (void)state;
    agg_make(rows, AGG_ROWS, 60, 1000);
    agg_model("median(DISTINCT d), string_agg(DISTINCT CAST(l AS VARCHAR), '')", rows, AGG_ROWS,
              distinct_collections, 0);
}

static void test_collections_of_every_type(void **state)
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    kit_open(&k, "g INT, d DOUBLE, b BOOLEAN, t TIMESTAMP, m DECIMAL(9,2), s VARCHAR", "g",
             "collect_list(m), collect_set(b), histogram(m), histogram(s), topk(d, 2), topk(s, 2), "
             "topk(b, 1), collect_list(s), topk(m, 1)",
             &o);
    kit_row(&k, 1, "1,NULL,NULL,NULL,NULL,NULL");
    kit_row(&k, 1, "2,0.5,true,1000,1.5,x");
    kit_row(&k, 1, "2,nan,true,1000,2.5,y");
    kit_row(&k, 1, "2,-1,false,0,1.50,x");
    kit_advance(&k, INT64_MAX);
    assert_string_equal(kit_results(&k),
                        "+1 0 1000 [] [] {} {} [] [] [] [] []\n"
                        "+2 0 1000 [1.50,2.50,1.50] [true,false] {\"1.50\":2,\"2.50\":1} "
                        "{\"x\":2,\"y\":1} [\"NaN\",0.5] [\"y\",\"x\"] [true] [\"x\",\"y\",\"x\"] "
                        "[2.50]\n");
    kit_close(&k);
}

/* full: the row is refused whole, other aggregates included, and says why */
static void test_collection_full_row_is_refused(void **state)
{
    static const char *const lists[] = {"collect_list(l, 3)", "median(l, 3)",
                                        "string_agg(s, '-', 5)"};
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char text[128];
        kit k;
        snprintf(text, sizeof(text), "count(*), sum(l), %s", lists[i]);
        kit_open(&k, "l BIGINT, s VARCHAR", NULL, text, &o);
        for (int r = 0; r < 6; r++)
            kit_row(&k, r, r == 1 ? "NULL,NULL" : "1,a");
        kit_advance(&k, 0);
        assert_string_equal(k.rejects, "expression\nexpression\n");
        assert_int_equal(k.reject_status, EVS_ERR_LIMIT);
        assert_non_null(strstr(k.message, "has reached its bound of"));
        kit_advance(&k, INT64_MAX);
        assert_memory_equal(kit_results(&k), "+0 1000 4 3 ", 12);
        kit_close(&k);
    }
}

static void test_sets_are_full_of_different_values_only(void **state)
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    kit_open(&k, "l BIGINT", NULL, "collect_set(l, 2), count(*), histogram(l, 2)", &o);
    for (int r = 0; r < 9; r++)
        kit_row(&k, r, r % 3 == 2 ? "3" : r % 3 ? "2" : "1");
    kit_advance(&k, INT64_MAX);
    assert_string_equal(kit_results(&k), "+0 1000 [1,2] 6 {\"1\":3,\"2\":3}\n");
    assert_string_equal(k.rejects, "expression\nexpression\nexpression\n");
    kit_close(&k);
}

static void test_merge_beyond_the_bound_is_told(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        const char *list = i ? "collect_set(l, 30)" : "collect_list(l, 60)";
        evs_window_options o;
        evs__window_op *part[2];
        uint8_t owner[AGG_ROWS];
        kit k;
        agg_options(&o);
        agg_make(rows, AGG_ROWS, i ? 1000000 : 5, 10);
        kit_open(&k, AGG_COLUMNS, "g", list, &o);
        for (size_t r = 0; r < AGG_ROWS; r++) {
            rows[r].g = (int)(r % 3);
            owner[r] = (uint8_t)(r % 2);
        }
        for (int p = 0; p < 2; p++) {
            part[p] = agg_operator(&k, list);
            agg_fill(&k, part[p], rows, i ? 150 : 300, owner, p);
        }
        assert_int_equal(agg_merge(part[0], part[1]), EVS_ERR_OVERFLOW);
        for (int p = 0; p < 2; p++)
            evs__operator_free(&part[p]->base);
        kit_close(&k);
    }
}

/* ---- statistics ---- */

static void statistics(const agg_row *all, size_t n, int g, char *text, size_t size)
{
    const agg_row *r[AGG_ROWS];
    size_t count = agg_group(all, n, g, r);
    long double mean = 0, m2 = 0, k = (long double)count;
    bool every = true, some = false;
    for (size_t i = 0; i < count; i++)
        mean += (long double)r[i]->l / k;
    for (size_t i = 0; i < count; i++) {
        long double x = (long double)r[i]->l - mean;
        m2 += x * x;
        every = every && r[i]->b;
        some = some || r[i]->b;
    }
    /* d is l / 4, m is l / 100 */
    snprintf(text, size, "%.17Lg %.17Lg %.17Lg %.17Lg %.17Lg %.17Lg %s %s", m2 / (k - 1), m2 / k,
             sqrtl(m2 / (k - 1)), sqrtl(m2 / k), m2 / (k - 1) / 400, (long double)1.0,
             every ? "true" : "false", some ? "true" : "false");
}

static void test_statistics_equal_brute_force(void **state)
{
    (void)state;
    for (int run = 0; run < 3; run++) {
        agg_make(rows, AGG_ROWS, run ? 1000000 : 10, 1000);
        agg_model("variance(l), var_pop(d * 4), stddev(m * 100), stddev_pop(i), covar_samp(d, m), "
                  "corr(l, d), bool_and(b), bool_or(b)",
                  rows, AGG_ROWS, statistics, 1e-9);
    }
}

/* the naive formula loses every digit here */
static void test_variance_of_large_values_close_together_keeps_its_digits(void **state)
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    kit_open(&k, "d DOUBLE, y DOUBLE", NULL, "var_pop(d), covar_pop(d, y), corr(d, y)", &o);
    kit_row(&k, 1, "1000000000004,-1000000000004");
    kit_row(&k, 1, "1000000000007,-1000000000007");
    kit_row(&k, 1, "1000000000013,-1000000000013");
    kit_row(&k, 1, "1000000000016,-1000000000016");
    kit_advance(&k, INT64_MAX);
    assert_string_equal(kit_results(&k), "+0 1000 22.5 -22.5 -1.0\n");
    kit_close(&k);
}

static void test_statistics_of_too_few_values_are_null(void **state)
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    kit_open(&k, "l BIGINT NOT NULL", NULL,
             "var_samp(l), var_pop(l), stddev_samp(l), corr(l, l), covar_samp(l, l), covar_pop(l, "
             "l)",
             &o);
    kit_row(&k, 1, "7");
    kit_advance(&k, INT64_MAX);
    assert_string_equal(kit_results(&k), "+0 1000 NULL 0.0 NULL NULL NULL 0.0\n");
    kit_close(&k);
}

static void rates(const agg_row *all, size_t n, int g, char *text, size_t size)
{
    const agg_row *r[AGG_ROWS];
    size_t count = agg_group(all, n, g, r);
    int64_t last = INT64_MIN;
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        last = r[i]->time > last ? r[i]->time : last;
    for (size_t i = 0; i < count; i++)
        sum += (double)r[i]->l * exp2((double)(r[i]->time - last) / 250.0);
    snprintf(text, size, "%.17g", sum * log(2) * 1000 / 250);
}

static void test_decayed_rate_equals_its_definition(void **state)
{
    (void)state;
    agg_make(rows, AGG_ROWS, 100, 2000);
    agg_model("decayed_rate(l, 250)", rows, AGG_ROWS, rates, 1e-9);
}

/* ---- errors ---- */

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

static void test_faults_say_what_and_where(void **state)
{
    (void)state;
    check_error("topk(l, 0)", EVS_ERR_EXPRESSION,
                "\"topk(l, 0)\": k must be a whole number from 1 to 1000", "column 9");
    check_error("topk(l)", EVS_ERR_EXPRESSION, "k is missing (topk(x, k))", "column 1");
    check_error("topk(l, l)", EVS_ERR_EXPRESSION, "k must be a whole number", "column 9");
    check_error("topk(l, 1.5)", EVS_ERR_EXPRESSION, "k must be a whole number", "column 9");
    check_error("string_agg(s, 5)", EVS_ERR_EXPRESSION, "separator must be a text", "column 15");
    check_error("string_agg(l, ',')", EVS_ERR_TYPE, "string_agg does not take BIGINT", "column 1");
    check_error("min_by(l)", EVS_ERR_EXPRESSION, "min_by takes two arguments", "column 1");
    check_error("corr(l, s)", EVS_ERR_TYPE, "corr does not take BIGINT and VARCHAR", "column 1");
    check_error("variance(s)", EVS_ERR_TYPE, "variance does not take VARCHAR", "column 1");
    check_error("bool_and(l)", EVS_ERR_TYPE, "bool_and does not take BIGINT", "column 1");
    check_error("collect_list(l, 0)", EVS_ERR_EXPRESSION, "max must be", "column 17");
    check_error("decayed_rate(l, -5)", EVS_ERR_EXPRESSION, "half_life_ms must be", "column 17");
    check_error("decayed_rate(DISTINCT l, 5)", EVS_ERR_EXPRESSION, "DISTINCT has no meaning",
                "column 1");
    check_error("colect_list(l)", EVS_ERR_EXPRESSION, "did you mean \"collect_list\"?", "column 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choices_equal_brute_force),
        cmocka_unit_test(test_first_of_nested_and_null),
        cmocka_unit_test(test_chosen_values_memory_is_bounded),
        cmocka_unit_test(test_collections_equal_brute_force),
        cmocka_unit_test(test_distinct_in_front_of_collections),
        cmocka_unit_test(test_collections_of_every_type),
        cmocka_unit_test(test_collection_full_row_is_refused),
        cmocka_unit_test(test_sets_are_full_of_different_values_only),
        cmocka_unit_test(test_merge_beyond_the_bound_is_told),
        cmocka_unit_test(test_statistics_equal_brute_force),
        cmocka_unit_test(test_variance_of_large_values_close_together_keeps_its_digits),
        cmocka_unit_test(test_statistics_of_too_few_values_are_null),
        cmocka_unit_test(test_decayed_rate_equals_its_definition),
        cmocka_unit_test(test_faults_say_what_and_where),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
