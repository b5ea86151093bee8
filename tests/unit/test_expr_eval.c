/*
 * Evaluation of operators: types, NULLs, rows that fail, selections, conditions.
 */
#include "expr_fixture.h"

static void test_eval_columns_and_literals(void **state)
{
    (void)state;
    check("i", "INT", "1|null|-7|2147483647");
    check("s", "VARCHAR", "abc|null|Grüße|");
    check("n", "INT NOT NULL", "100|101|102|103");
    check("5", "INT NOT NULL", "5|5|5|5");
    check("'x'", "VARCHAR NOT NULL", "x|x|x|x");
    check("1.50", "DECIMAL(3,2) NOT NULL", "1.50|1.50|1.50|1.50");
    check("NULL", "VARCHAR", "null|null|null|null");
    check(
        "TIMESTAMP '1970-01-01 00:00:01'", "TIMESTAMP NOT NULL",
        "1970-01-01T00:00:01.000Z|1970-01-01T00:00:01.000Z|1970-01-01T00:00:01.000Z|1970-01-01T00:"
        "00:01.000Z");
}

static void test_eval_nested_access(void **state)
{
    (void)state;
    check("st.x", "INT", "5|null|null|-1");
    check("st.name", "VARCHAR", "n|null|null|");
    check("st.deep.z", "BIGINT", "99|null|null|null");
    check("arr[1]", "INT", "1|null|null|null");
    check("arr[3]", "INT", "3|null|null|null");
    check("arr[-1]", "INT", "3|null|null|5");
    check("arr[0]", "INT", "null|null|null|null");
    check("arr[9223372036854775807]", "INT", "null|null|null|null");
    check("arr[-9223372036854775808]", "INT", "null|null|null|null");
    check("arr[i]", "INT", "1|null|null|null");
    check("mp['k']", "BIGINT", "7|null|null|null");
    check("mp['j']", "BIGINT", "null|null|null|1");
    check("mp[s]", "BIGINT", "null|null|null|null");
    check("items[1]", "STRUCT<sku VARCHAR, qty INT>",
          "{\"sku\":\"A-1\",\"qty\":2}|null|null|{\"sku\":null,\"qty\":1}");
    check("items[1].sku", "VARCHAR", "A-1|null|null|null");
    check("items[1].qty + 1", "INT", "3|null|null|2");
}

static void test_eval_integer_arithmetic_overflow_is_row_error(void **state)
{
    (void)state;
    check("i + 1", "INT", "2|null|-6|!null");
    check("1 + i", "INT", "2|null|-6|!null");
    check("i + n", "INT", "101|null|95|!null");
    check("i - 2147483647", "INT", "-2147483646|null|!null|0");
    check("i * 2", "INT", "2|null|-14|!null");
    check("i / 2", "INT", "0|null|-3|1073741823");
    check("i % 2", "INT", "1|null|-1|1");
    check("i / (n - 100)", "INT", "!null|null|-3|715827882");
    check("i % (n - 100)", "INT", "!null|null|-1|1");
    check("l + 1", "BIGINT", "11|null|4611686018427387905|!null");
    check("l * 2", "BIGINT", "20|null|!null|!null");
    check("l - i", "BIGINT", "9|null|4611686018427387911|9223372034707292160");
    check("-i", "INT", "-1|null|7|-2147483647");
    check("-(-2147483647 - n + n - 1)", "INT NOT NULL", "!null|!null|!null|!null");
    check("(-9223372036854775807 - n + n - 1) / -1", "BIGINT NOT NULL", "!null|!null|!null|!null");
    check("(-9223372036854775807 - n + n - 1) % -1", "BIGINT NOT NULL", "!null|!null|!null|!null");
    check("(l - l - 9223372036854775807 - 1) % -1", "BIGINT", "0|null|0|0");
    check("(l - l - 9223372036854775807 - 1) / -1", "BIGINT", "!null|null|!null|!null");
    check_row_error("i + 1", EVS_ERR_OVERFLOW, "2147483647 + 1 does not fit INT (column 1)");
    check_row_error("1 + i / (n - 100)", EVS_ERR_EXPRESSION, "division by zero (column 5)");
}

static void test_eval_double_arithmetic(void **state)
{
    (void)state;
    check("d + 1", "DOUBLE", "1.5|null|-1.0|1e300");
    check("d * i", "DOUBLE", "0.5|null|14.0|Infinity");
    check("d / 0", "DOUBLE", "!null|null|!null|!null");
    check("d / (i - 1)", "DOUBLE", "!null|null|0.25|4.6566128774142014e290");
    check("d % 0.3e0", "DOUBLE", "0.2|null|-0.20000000000000007|0.15321850028067768");
    check("1e0 - d", "DOUBLE", "0.5|null|3.0|-1e300");
    check("-d", "DOUBLE", "-0.5|null|2.0|-1e300");
}

static void test_eval_decimal_arithmetic_and_types(void **state)
{
    (void)state;
    check("m + m", "DECIMAL(10,2)", "2.50|null|-199.98|19999999.98");
    check("m + 0.125", "DECIMAL(11,3)", "1.375|null|-99.865|10000000.115");
    check("m * m", "DECIMAL(19,4)", "1.5625|null|9998.0001|99999999800000.0001");
    check("m * 2", "DECIMAL(20,2)", "2.50|null|-199.98|19999999.98");
    check("m / 3", "DECIMAL(20,13)",
          "0.4166666666667|null|-33.3300000000000|3333333.3300000000000");
    check("m % 1", "DECIMAL(9,2)", "0.25|null|-0.99|0.99");
    check("m - l", "DECIMAL(22,2)", "-8.75|null|-4611686018427388003.99|-9223372036844775807.01");
    check("m + d", "DOUBLE", "1.75|null|-101.99|1e300");
    check("m / (i - 1)", "DECIMAL(20,13)", "!null|null|12.4987500000000|0.0046566128728");
    check("-m", "DECIMAL(9,2)", "-1.25|null|99.99|-9999999.99");
    check("m * 100000000000000000000000000000000000", "DECIMAL(38,2)",
          "125000000000000000000000000000000000.00|null|!null|!null");
}

static void test_eval_time_arithmetic(void **state)
{
    (void)state;
    check("t - TIMESTAMP '1970-01-01'", "BIGINT", "1795453516123|null|-1|1709164800000");
    check("t + 1000", "TIMESTAMP",
          "2026-11-23T17:05:17.123Z|null|1970-01-01T00:00:00.999Z|2024-02-29T00:00:01.000Z");
    check("1 + t", "TIMESTAMP",
          "2026-11-23T17:05:16.124Z|null|1970-01-01T00:00:00.000Z|2024-02-29T00:00:00.001Z");
    check("t + 9223372036854775807", "TIMESTAMP", "!null|null|9223372036854775806|!null");
    check("e + 1", "DATE", "2026-11-24|null|1970-01-01|2024-03-01");
    check("e - e", "INT", "0|null|0|0");
    check("t - e", "BIGINT", "61516123|null|86399999|0");
    check("e - t", "BIGINT", "-61516123|null|-86399999|0");
}

static void test_eval_comparisons_of_every_type(void **state)
{
    (void)state;
    check("i = 1", "BOOLEAN", "true|null|false|false");
    check("i <> 1", "BOOLEAN", "false|null|true|true");
    check("i < 1", "BOOLEAN", "false|null|true|false");
    check("i <= 1", "BOOLEAN", "true|null|true|false");
    check("i > 1", "BOOLEAN", "false|null|false|true");
    check("i >= 1", "BOOLEAN", "true|null|false|true");
    check("1 < i", "BOOLEAN", "false|null|false|true");
    check("1 <> i", "BOOLEAN", "false|null|true|true");
    check("n >= 101", "BOOLEAN NOT NULL", "false|true|true|true");
    check("l = 10", "BOOLEAN", "true|null|false|false");
    check("l > i", "BOOLEAN", "true|null|true|true");
    check("d < i", "BOOLEAN", "true|null|false|false");
    check("d <= 0.5", "BOOLEAN", "true|null|true|false");
    check("m = 1.250", "BOOLEAN", "true|null|false|false");
    check("m < i", "BOOLEAN", "false|null|true|true");
    check("m > 1.2e0", "BOOLEAN", "true|null|false|true");
    check("i > 0.999999999999999999", "BOOLEAN", "true|null|false|true");
    check("s = 'abc'", "BOOLEAN", "true|null|false|false");
    check("s <> 'abc'", "BOOLEAN", "false|null|true|true");
    check("'abc' = s", "BOOLEAN", "true|null|false|false");
    check("s = ''", "BOOLEAN", "false|null|false|true");
    check("s < 'b'", "BOOLEAN", "true|null|true|true");
    check("s >= 'abc'", "BOOLEAN", "true|null|false|false");
    check("s > s", "BOOLEAN", "false|null|false|false");
    check("s <= s", "BOOLEAN", "true|null|true|true");
    check("y = CAST('ab' AS BYTES)", "BOOLEAN", "true|null|false|false");
    check("b = TRUE", "BOOLEAN", "true|null|false|true");
    check("b < TRUE", "BOOLEAN", "false|null|true|false");
    check("FALSE <= b", "BOOLEAN", "true|null|true|true");
    check("b <> b", "BOOLEAN", "false|null|false|false");
    check("t > '2026-11-23T17:05:16.122Z'", "BOOLEAN", "true|null|false|false");
    check("t = e", "BOOLEAN", "false|null|false|true");
    check("e = DATE '1969-12-31'", "BOOLEAN", "false|null|true|false");
    check("c < '12:00'", "BOOLEAN", "false|null|true|false");
    check("arr = arr", "BOOLEAN", "true|null|true|true");
    check("st <> st", "BOOLEAN", "false|null|false|false");
    check("i = NULL", "BOOLEAN", "null|null|null|null");
    check("NULL = NULL", "BOOLEAN", "null|null|null|null");
}

static void test_eval_distinct_treats_null_as_value(void **state)
{
    (void)state;
    check("i IS DISTINCT FROM 1", "BOOLEAN NOT NULL", "false|true|true|true");
    check("i IS NOT DISTINCT FROM NULL", "BOOLEAN NOT NULL", "false|true|false|false");
    check("i IS DISTINCT FROM i", "BOOLEAN NOT NULL", "false|false|false|false");
    check("s IS NOT DISTINCT FROM 'abc'", "BOOLEAN NOT NULL", "true|false|false|false");
    check("b IS TRUE", "BOOLEAN NOT NULL", "true|false|false|true");
    check("b IS NOT TRUE", "BOOLEAN NOT NULL", "false|true|true|false");
    check("b IS FALSE", "BOOLEAN NOT NULL", "false|false|true|false");
    check("s IS DISTINCT FROM ''", "BOOLEAN NOT NULL", "true|true|true|false");
}

static void test_eval_is_null(void **state)
{
    (void)state;
    check("i IS NULL", "BOOLEAN NOT NULL", "false|true|false|false");
    check("st IS NOT NULL", "BOOLEAN NOT NULL", "true|false|true|true");
    check("st.x IS NULL", "BOOLEAN NOT NULL", "false|true|true|false");
    check("n IS NULL", "BOOLEAN NOT NULL", "false|false|false|false");
    check("NULL IS NULL", "BOOLEAN NOT NULL", "true|true|true|true");
    check("'' IS NULL", "BOOLEAN NOT NULL", "false|false|false|false");
}

/* TRUE, FALSE, NULL as constants, as columns that cannot fail and as ones that may */
static const char *const truths[3][3] = {
    {"TRUE", "FALSE", "NULL"},
    {"(n > 0)", "(n < 0)", "(i > 0 AND i < 0 AND i IS NULL OR n = n AND mp['none'] = 1)"},
    {"(n + 0 > 0)", "(n + 0 < 0)", "(mp['none'] + n > 0)"}};

static int and_of(int a, int b)
{
    return a == 1 || b == 1 ? 1 : a == 2 || b == 2 ? 2 : 0;
}

static int or_of(int a, int b)
{
    return a == 0 || b == 0 ? 0 : a == 2 || b == 2 ? 2 : 1;
}

static void check_truth(const char *text, int value)
{
    static const char *const words[] = {"true", "false", "null"};
    char wanted[64];
    snprintf(wanted, sizeof(wanted), "%s|%s|%s|%s", words[value], words[value], words[value],
             words[value]);
    check(text, NULL, wanted);
}

static void test_logic_truth_tables_of_two_and_three(void **state)
{
    char text[400];
    (void)state;
    for (int forms = 0; forms < 9; forms++) {
        for (int ab = 0; ab < 9; ab++) {
            int a = ab / 3, b = ab % 3;
            const char *x = truths[forms / 3][a], *y = truths[forms % 3][b];
            snprintf(text, sizeof(text), "%s AND %s", x, y);
            check_truth(text, and_of(a, b));
            snprintf(text, sizeof(text), "%s OR %s", x, y);
            check_truth(text, or_of(a, b));
            snprintf(text, sizeof(text), "NOT %s", x);
            check_truth(text, a == 2 ? 2 : !a);
            for (int c = 0; c < 3; c++) {
                const char *z = truths[(forms + 1) % 3][c];
                snprintf(text, sizeof(text), "%s AND %s AND %s", x, y, z);
                check_truth(text, and_of(and_of(a, b), c));
                snprintf(text, sizeof(text), "%s OR %s OR %s", x, y, z);
                check_truth(text, or_of(or_of(a, b), c));
                snprintf(text, sizeof(text), "NOT (%s AND (%s OR %s))", x, y, z);
                check_truth(text, and_of(a, or_of(b, c)) == 2 ? 2 : !and_of(a, or_of(b, c)));
            }
        }
    }
}

static void test_logic_decided_rows_do_not_fail(void **state)
{
    (void)state;
    check("i <> 1 AND 10 / (i - 1) < 0", "BOOLEAN", "false|null|true|false");
    check("i = 1 OR 10 / (i - 1) < 0", "BOOLEAN", "true|null|true|false");
    check("10 / (i - 1) < 0 AND i <> 1", "BOOLEAN", "!null|null|true|false");
    check("n = 101 OR l + 1 > 0", "BOOLEAN", "true|true|true|!null");
    check("n <> 103 AND l + 1 > 0 AND l > 100", "BOOLEAN", "false|null|true|false");
}

static void test_eval_between_and_in(void **state)
{
    (void)state;
    check("i BETWEEN -7 AND 1", "BOOLEAN", "true|null|true|false");
    check("i NOT BETWEEN -7 AND 1", "BOOLEAN", "false|null|false|true");
    check("i + 0 BETWEEN 0 AND 5", "BOOLEAN", "true|null|false|false");
    check("n + i BETWEEN i AND l", "BOOLEAN", "false|null|true|!null");
    check("5 BETWEEN i AND l", "BOOLEAN", "true|null|true|false");
    check("i IN (1, 2, 3)", "BOOLEAN", "true|null|false|false");
    check("i NOT IN (1, 2, 3)", "BOOLEAN", "false|null|true|true");
    check("i IN (1, NULL)", "BOOLEAN", "true|null|null|null");
    check("i NOT IN (1, NULL)", "BOOLEAN", "false|null|null|null");
    check("i IN (NULL)", "BOOLEAN", "null|null|null|null");
    check("i IN (9,8,7,6,5,4,3,2,1,0,-7)", "BOOLEAN", "true|null|true|false");
    check("l IN (10, 20)", "BOOLEAN", "true|null|false|false");
    check("i IN (1.0, 2.5)", "BOOLEAN", "true|null|false|false");
    check("s IN ('abc', 'x', '')", "BOOLEAN", "true|null|false|true");
    check("s IN ('a','b','c','d','e','f','Grüße')", "BOOLEAN", "false|null|true|false");
    check("i IN (l - 9, 3)", "BOOLEAN", "true|null|false|false");
    check("i NOT IN (n, l - 9)", "BOOLEAN", "false|null|true|true");
    check("t IN ('1969-12-31T23:59:59.999Z')", "BOOLEAN", "false|null|true|false");
    check("'b' IN ('a', 'b')", "BOOLEAN NOT NULL", "true|true|true|true");
    check("CAST('NaN' AS DOUBLE) IN (d, 1)", "BOOLEAN", "false|null|false|false");
}

static void test_eval_like(void **state)
{
    (void)state;
    check("s LIKE 'abc'", "BOOLEAN", "true|null|false|false");
    check("s LIKE 'a%'", "BOOLEAN", "true|null|false|false");
    check("s LIKE '%c'", "BOOLEAN", "true|null|false|false");
    check("s LIKE '%b%'", "BOOLEAN", "true|null|false|false");
    check("s LIKE '%'", "BOOLEAN", "true|null|true|true");
    check("s LIKE ''", "BOOLEAN", "false|null|false|true");
    check("s LIKE '___'", "BOOLEAN", "true|null|false|false");
    check("s LIKE '_____'", "BOOLEAN", "false|null|true|false");
    check("s LIKE 'Gr_ße'", "BOOLEAN", "false|null|true|false");
    check("s LIKE '%_'", "BOOLEAN", "true|null|true|false");
    check("s LIKE '%r_ß%'", "BOOLEAN", "false|null|true|false");
    check("s NOT LIKE '%b%'", "BOOLEAN", "false|null|true|true");
    check("'50%' LIKE '50!%' ESCAPE '!'", "BOOLEAN NOT NULL", "true|true|true|true");
    check("'501' LIKE '50!%' ESCAPE '!'", "BOOLEAN NOT NULL", "false|false|false|false");
    check("'a_b' LIKE 'a\\_b' ESCAPE '\\'", "BOOLEAN NOT NULL", "true|true|true|true");
    check("'aab' LIKE '%ab'", "BOOLEAN NOT NULL", "true|true|true|true");
    check("'abab' LIKE '%ab%ab'", "BOOLEAN NOT NULL", "true|true|true|true");
    check("'aba' LIKE 'ab%ba'", "BOOLEAN NOT NULL", "false|false|false|false");
    check("s LIKE s || '%'", "BOOLEAN", "true|null|true|true");
    check("'xabcx' LIKE '%' || s || '%'", "BOOLEAN", "true|null|false|true");
    check("s LIKE NULL", "BOOLEAN", "null|null|null|null");
    check("'a' LIKE 'a' ESCAPE s", "BOOLEAN", "!null|null|!null|!null");
    check("'a' LIKE s || '!' ESCAPE '!'", "BOOLEAN", "!null|null|!null|!null");
}

static void test_eval_case(void **state)
{
    (void)state;
    check("CASE WHEN i > 0 THEN 'plus' WHEN i < 0 THEN 'minus' END", "VARCHAR",
          "plus|null|minus|plus");
    check("CASE WHEN i > 0 THEN 'plus' ELSE 'other' END", "VARCHAR NOT NULL",
          "plus|other|other|plus");
    check("CASE i WHEN 1 THEN 'one' WHEN -7 THEN s ELSE 'many' END", "VARCHAR",
          "one|many|Grüße|many");
    check("CASE i + 0 WHEN 1 THEN 10 WHEN 2147483647 THEN 1.5 END", "DECIMAL(11,1)",
          "10.0|null|null|1.5");
    check("CASE WHEN i = 1 THEN 0 ELSE 10 / (i - 1) END", "INT", "0|null|-1|0");
    check("CASE WHEN b THEN l ELSE i END", "BIGINT", "10|null|-7|9223372036854775807");
    check("CASE WHEN b THEN arr END", "ARRAY<INT>", "[1,2,3]|null|null|[null,5]");
    check("CASE WHEN NULL THEN 1 ELSE 2 END", "INT NOT NULL", "2|2|2|2");
    check("CASE WHEN b THEN NULL ELSE b END", "BOOLEAN", "null|null|false|null");
    check("CASE WHEN TRUE THEN i + 1 END", "INT", "2|null|-6|!null");
    check("CASE WHEN i + 1 > 0 THEN 1 ELSE 0 END", "INT NOT NULL", "1|0|0|!null");
}

static void test_eval_concat(void **state)
{
    (void)state;
    check("s || '!'", "VARCHAR", "abc!|null|Grüße!|!");
    check("'<' || s || ':' || i || '>'", "VARCHAR", "<abc:1>|null|<Grüße:-7>|<:2147483647>");
    check("'a' || 1.50", "VARCHAR NOT NULL", "a1.50|a1.50|a1.50|a1.50");
    check("'t=' || t", "VARCHAR",
          "t=2026-11-23T17:05:16.123Z|null|t=1969-12-31T23:59:59.999Z|t=2024-02-29T00:00:00.000Z");
    check("y || y", "BYTES", "YWJhYg==|null||AP8A/w==");
    check("s || NULL", "VARCHAR", "null|null|null|null");
    check("'a' || arr", "VARCHAR", "a[1,2,3]|null|a[]|a[null,5]");
}

static void test_eval_selection_results_follow_physical_rows(void **state)
{
    static const uint32_t some[] = {0, 2}, last[] = {3}, turned[] = {3, 0, 2};
    (void)state;
    check_selected("i + 1", some, 2, "2|-6");
    check_selected("i + 1", last, 1, "!null");
    check_selected("i + 1", turned, 3, "!null|2|-6");
    check_selected("s || s", turned, 3, "|abcabc|GrüßeGrüße");
    check_selected("upper(s)", some, 2, "ABC|GRÜßE");
    check_selected("i > 0", turned, 3, "true|true|false");
    check_selected("arr[1]", some, 2, "1|null");
    check_selected("items[1]", turned, 3,
                   "{\"sku\":null,\"qty\":1}|{\"sku\":\"A-1\",\"qty\":2}|null");
    check_selected("CASE WHEN b THEN s ELSE 'no' END", turned, 3, "|abc|no");
    check_selected("i IN (1, -7)", turned, 3, "false|true|true");
    check_selected("CAST(i AS VARCHAR)", turned, 3, "2147483647|1|-7");
    check_selected("5", turned, 3, "5|5|5");
    check_selected("s", turned, 3, "|abc|Grüße");
    check_selected("i <> 1 AND s LIKE '%'", turned, 3, "true|false|true");
}

static void check_rows(const char *text, const uint32_t *sel, uint32_t count, const char *wanted)
{
    evs__expr *e = compile(text);
    for (int round = 0; round < 3; round++) {
        evs_batch *part = evs_batch_ref(batch);
        uint32_t out[4], n = 77;
        char got[64] = "";
        if (sel) {
            evs_batch_unref(part);
            assert_int_equal(evs__batch_select(batch, sel, count, &part), EVS_OK);
        }
        assert_int_equal(evs__expr_select(e, part, NULL, NULL, out, &n, NULL), EVS_OK);
        for (uint32_t k = 0; k < n; k++)
            sprintf(got + strlen(got), "%u ", out[k]);
        assert_string_equal(got, wanted);
        evs_batch_unref(part);
    }
    evs__expr_free(e);
}

static void test_select_takes_true_rows_only(void **state)
{
    static const uint32_t turned[] = {3, 1, 0, 2};
    (void)state;
    check_rows("i > 0", NULL, 0, "0 3 ");
    check_rows("i > 0", turned, 4, "3 0 ");
    check_rows("i IS NULL", turned, 4, "1 ");
    check_rows("i + 1 > 0", NULL, 0, "0 ");
    check_rows("NOT (i + 1 > 0)", NULL, 0, "2 ");
    check_rows("coalesce(i + 1 > 0, TRUE)", NULL, 0, "0 1 ");
    check_rows("TRUE", NULL, 0, "0 1 2 3 ");
    check_rows("TRUE", turned, 4, "3 1 0 2 ");
    check_rows("NULL AND b", NULL, 0, "");
    check_rows("b", NULL, 0, "0 3 ");
}

static void test_eval_failed_row_is_null_whatever_hides_it(void **state)
{
    (void)state;
    check("coalesce(i + 1, 0)", "INT NOT NULL", "2|0|-6|!null");
    check("coalesce('' || (i + 1), 'none')", "VARCHAR NOT NULL", "2|none|-6|!null");
    check("(i + 1) IS NULL", "BOOLEAN NOT NULL", "false|true|false|!null");
    check("(i + 1) + (i + 2)", "INT", "5|null|-11|!null");
}

static void test_eval_kept_result_is_not_written_again(void **state)
{
    evs__expr *e = compile("s || '!'"), *f = compile("i + 0");
    evs__column *a = NULL, *b = NULL, *c = NULL;
    (void)state;
    assert_int_equal(evs__expr_eval(e, batch, NULL, NULL, &a, NULL), EVS_OK);
    assert_int_equal(evs__expr_eval(e, batch, NULL, NULL, &b, NULL), EVS_OK);
    assert_ptr_not_equal(a, b);
    assert_memory_equal(a->bytes, "abc!", 4);
    evs__column_unref(a);
    evs__column_unref(b);
    assert_int_equal(evs__expr_eval(f, batch, NULL, NULL, &a, NULL), EVS_OK);
    evs__column_unref(a);
    assert_int_equal(evs__expr_eval(f, batch, NULL, NULL, &c, NULL), EVS_OK);
    assert_ptr_equal(a, c); /* given back: used again */
    evs__column_unref(c);
    evs__expr_free(e);
    evs__expr_free(f);
}

static void test_expr_column_is_told_when_it_is_just_one(void **state)
{
    evs__expr *e = compile("l"), *f = compile("st.x + arr[i] + coalesce(1 + 2, n)");
    (void)state;
    assert_int_equal(evs__expr_column(e), 1);
    assert_int_equal(evs__expr_column(f), -1);
    evs__expr_free(e);
    evs__expr_free(f);
}

static void test_compile_faults_say_where_and_why(void **state)
{
    (void)state;
    check_fault("i + arrr", EVS_ERR_EXPRESSION, "column 5",
                "unknown field \"arrr\" (did you mean \"arr\"?); fields are \"i\", \"l\"");
    check_fault("st.nam", EVS_ERR_EXPRESSION, "column 1", "unknown field \"nam\" (did you mean");
    check_fault("i.x", EVS_ERR_TYPE, "column 1", "\".x\" needs a STRUCT, this is INT");
    check_fault("i[1]", EVS_ERR_TYPE, "column 1", "needs an ARRAY or a MAP, this is INT");
    check_fault("arr['x']", EVS_ERR_TYPE, "column 5", "an ARRAY's index is an INT or BIGINT");
    check_fault("mp[1]", EVS_ERR_TYPE, "column 4", "a MAP's key is a VARCHAR, this is INT");
    check_fault("i + s", EVS_ERR_TYPE, "column 1",
                "\"+\" does not take INT and VARCHAR (texts are joined with ||)");
    check_fault("b * 2", EVS_ERR_TYPE, "column 1", "\"*\" does not take BOOLEAN and INT");
    check_fault("t + t", EVS_ERR_TYPE, "column 1", "does not take TIMESTAMP and TIMESTAMP");
    check_fault("t * 2", EVS_ERR_TYPE, "column 1", "does not take TIMESTAMP and INT");
    check_fault("i || i", EVS_ERR_TYPE, "column 1", "\"||\" does not take INT and INT");
    check_fault("s || y", EVS_ERR_TYPE, "column 1", "\"||\" does not take VARCHAR and BYTES");
    check_fault("-s", EVS_ERR_TYPE, "column 1", "needs a number, this is VARCHAR");
    check_fault("NOT i", EVS_ERR_TYPE, "column 5", "expected a condition (BOOLEAN), this is INT");
    check_fault("b AND i", EVS_ERR_TYPE, "column 7", "expected a condition");
    check_fault("i = s", EVS_ERR_TYPE, "column 1",
                "INT and VARCHAR have no common type (use CAST)");
    check_fault("arr < arr", EVS_ERR_TYPE, "column 1", "ARRAY<INT> has no order");
    check_fault("i IN (1, 'x')", EVS_ERR_TYPE, "column 1", "IN: INT and VARCHAR");
    check_fault("i LIKE 'x'", EVS_ERR_TYPE, "column 1", "LIKE needs text, this is INT");
    check_fault("s LIKE 'x' ESCAPE 'ab'", EVS_ERR_EXPRESSION, "column 19", "one character");
    check_fault("s LIKE 'x!' ESCAPE '!'", EVS_ERR_EXPRESSION, "column 20", "ends with its escape");
    check_fault("CASE WHEN i THEN 1 END", EVS_ERR_TYPE, "column 11", "expected a condition");
    check_fault("CASE WHEN b THEN 1 ELSE 'x' END", EVS_ERR_TYPE, "column 1",
                "CASE: INT and VARCHAR");
    check_fault("CASE i WHEN 's' THEN 1 END", EVS_ERR_TYPE, "column 13", "no common type");
    check_fault("CAST(b AS DATE)", EVS_ERR_TYPE, "column 1", "BOOLEAN cannot be cast to DATE");
    check_fault("CAST(arr AS ARRAY<BIGINT>)", EVS_ERR_TYPE, "column 1", "cannot be cast");
    check_fault("1 / 0", EVS_ERR_EXPRESSION, "column 1", "division by zero");
    check_fault("CAST('abc' AS INT)", EVS_ERR_EXPRESSION, "column 6", "\"abc\" is not a INT");
    check_fault("t > 'soon'", EVS_ERR_EXPRESSION, "column 5", "\"soon\" is not a TIMESTAMP");
    check_fault("count(*)", EVS_ERR_EXPRESSION, "column 1", "aggregates belong into a window");
    check_fault("sum(DISTINCT i)", EVS_ERR_EXPRESSION, "column 1", "aggregates belong");
    check_fault("lenght(s)", EVS_ERR_EXPRESSION, "column 1",
                "unknown function \"lenght\" (did you mean \"length\"?)");
    check_fault("length(i)", EVS_ERR_TYPE, "column 1",
                "no function length(INT); there is length(VARCHAR) -> INT, length(BYTES) -> INT");
    check_fault("length()", EVS_ERR_TYPE, "column 1", "no function length()");
    check_fault("substring(s)", EVS_ERR_TYPE, "column 1",
                "there is substring(VARCHAR, INT [, INT]) -> VARCHAR");
    check_fault("length(*)", EVS_ERR_EXPRESSION, "column 8", "\"*\" has no place here");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eval_columns_and_literals),
        cmocka_unit_test(test_eval_nested_access),
        cmocka_unit_test(test_eval_integer_arithmetic_overflow_is_row_error),
        cmocka_unit_test(test_eval_double_arithmetic),
        cmocka_unit_test(test_eval_decimal_arithmetic_and_types),
        cmocka_unit_test(test_eval_time_arithmetic),
        cmocka_unit_test(test_eval_comparisons_of_every_type),
        cmocka_unit_test(test_eval_distinct_treats_null_as_value),
        cmocka_unit_test(test_eval_is_null),
        cmocka_unit_test(test_logic_truth_tables_of_two_and_three),
        cmocka_unit_test(test_logic_decided_rows_do_not_fail),
        cmocka_unit_test(test_eval_between_and_in),
        cmocka_unit_test(test_eval_like),
        cmocka_unit_test(test_eval_case),
        cmocka_unit_test(test_eval_concat),
        cmocka_unit_test(test_eval_selection_results_follow_physical_rows),
        cmocka_unit_test(test_select_takes_true_rows_only),
        cmocka_unit_test(test_eval_failed_row_is_null_whatever_hides_it),
        cmocka_unit_test(test_eval_kept_result_is_not_written_again),
        cmocka_unit_test(test_expr_column_is_told_when_it_is_just_one),
        cmocka_unit_test(test_compile_faults_say_where_and_why),
    };
    return cmocka_run_group_tests(tests, make_fixture, drop_fixture);
}
