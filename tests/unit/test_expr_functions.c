/*
 * The table of functions, casts between all types, functions of the host.
 */
#include "expr_fixture.h"

#include "expr/functions.h"

static void test_functions_table_is_complete_and_grouped(void **state)
{
    size_t count = 0;
    const evs__function *f = evs__functions(&count);
    evs__buffer text;
    (void)state;
    evs__buffer_init(&text, ctx, 4096);
    assert_true(count > 40);
    for (size_t i = 0; i < count; i++) {
        assert_true((f[i].eval != NULL) != (f[i].alias != NULL));
        assert_true((f[i].result != NULL) != (f[i].result_type != NULL));
        assert_non_null(f[i].group);
        assert_non_null(f[i].usage);
        assert_true(strlen(f[i].doc) > 0 && f[i].doc[strlen(f[i].doc) - 1] != '.');
        assert_int_equal(strncmp(f[i].usage, f[i].name, strlen(f[i].name)), 0);
        if (i > 0)
            assert_true(strcmp(f[i - 1].name, f[i].name) <= 0);
        evs__buffer_reset(&text);
        assert_int_equal(evs__function_signature(&f[i], &text), EVS_OK);
    }
    evs__buffer_free(&text);
}

static void test_functions_of_numbers(void **state)
{
    (void)state;
    check("abs(i)", "INT", "1|null|7|2147483647");
    check("abs(l)", "BIGINT", "10|null|4611686018427387904|9223372036854775807");
    check("abs(m)", "DECIMAL(9,2)", "1.25|null|99.99|9999999.99");
    check("abs(d)", "DOUBLE", "0.5|null|2.0|1e300");
    check("abs(-2147483648 + n - n)", "INT NOT NULL", "!null|!null|!null|!null");
    check("sign(i)", "INT", "1|null|-1|1");
    check("sign(m)", "INT", "1|null|-1|1");
    check("ceil(d)", "DOUBLE", "1.0|null|-2.0|1e300");
    check("floor(d)", "DOUBLE", "0.0|null|-2.0|1e300");
    check("round(d)", "DOUBLE", "1.0|null|-2.0|1e300");
    check("ceil(i)", "INT", "1|null|-7|2147483647");
    check("ceil(m)", "DECIMAL(8,0)", "2|null|-99|10000000");
    check("floor(m)", "DECIMAL(8,0)", "1|null|-100|9999999");
    check("round(m)", "DECIMAL(8,0)", "1|null|-100|10000000");
    check("round(m, 1)", "DECIMAL(10,2)", "1.30|null|-100.00|10000000.00");
    check("round(m, -1)", "DECIMAL(10,2)", "0.00|null|-100.00|10000000.00");
    check("round(m, 5)", "DECIMAL(10,2)", "1.25|null|-99.99|9999999.99");
    check("round(m, i)", "DECIMAL(10,2)", "1.30|null|0.00|9999999.99");
    check("round(1.005e0, 2)", "DOUBLE NOT NULL", "1.01|1.01|1.01|1.01");
    check("round(-1.005e0, 2)", "DOUBLE NOT NULL", "-1.01|-1.01|-1.01|-1.01");
    check("round(1234.5e0, -2)", "DOUBLE NOT NULL", "1200.0|1200.0|1200.0|1200.0");
    check("round(d, 1)", "DOUBLE", "0.5|null|-2.0|1e300");
    check("power(d, 2)", "DOUBLE", "0.25|null|4.0|Infinity");
    check("power(d, 0.5)", "DOUBLE", "0.7071067811865476|null|!null|1e150");
    check("sqrt(d)", "DOUBLE", "0.7071067811865476|null|!null|1e150");
    check("exp(i - i)", "DOUBLE", "1.0|null|1.0|1.0");
    check("ln(i - 1)", "DOUBLE", "!null|null|!null|21.487562596426983");
    check("mod(i, 2)", "INT", "1|null|-1|1");
    check("mod(m, 1.5)", "DECIMAL(3,2)", "1.25|null|-0.99|0.99");
    check_row_error("sqrt(d)", EVS_ERR_EXPRESSION, "sqrt(-2.0) is not a number (column 1)");
}

static void test_functions_of_choice(void **state)
{
    (void)state;
    check("coalesce(i, 0)", "INT NOT NULL", "1|0|-7|2147483647");
    check("coalesce(NULL, i, l)", "BIGINT", "1|null|-7|2147483647");
    check("coalesce(s, 'none')", "VARCHAR NOT NULL", "abc|none|Grüße|");
    check("coalesce(arr, arr)", "ARRAY<INT>", "[1,2,3]|null|[]|[null,5]");
    check("coalesce(i, 1 / (n - 101))", "INT NOT NULL", "1|!null|-7|2147483647");
    check("ifnull(i, n)", "INT NOT NULL", "1|101|-7|2147483647");
    check("nullif(i, 1)", "INT", "null|null|-7|2147483647");
    check("nullif(s, '')", "VARCHAR", "abc|null|Grüße|null");
    check("nullif(i + 0, l - 9)", "BIGINT", "null|null|-7|2147483647");
    check("nullif(n, NULL)", "INT", "100|101|102|103");
    check("if(b, 1, 2)", "INT NOT NULL", "1|2|2|1");
    check("if(i = 1, 0, 10 / (i - 1))", "INT", "0|null|-1|0");
    check("greatest(i, 0, n - 100)", "INT NOT NULL", "1|1|2|2147483647");
    check("greatest(i, NULL)", "INT", "1|null|-7|2147483647");
    check("least(s, 'b')", "VARCHAR NOT NULL", "abc|b|Grüße|");
    check("greatest(t, e)", "TIMESTAMP",
          "2026-11-23T17:05:16.123Z|null|1969-12-31T23:59:59.999Z|2024-02-29T00:00:00.000Z");
    check("least(d, i, m)", "DOUBLE", "0.5|null|-99.99|9999999.99");
}

static void test_functions_of_text(void **state)
{
    (void)state;
    check("length(s)", "INT", "3|null|5|0");
    check("length(y)", "INT", "2|null|0|2");
    check("upper(s)", "VARCHAR", "ABC|null|GRÜßE|");
    check("lower('ÄÖÜ ÀÉ ΑΒΓ ЖЁ ŽŸ X×')", "VARCHAR NOT NULL",
          "äöü àé αβγ жё žÿ x×|äöü àé αβγ жё žÿ x×|äöü àé αβγ жё žÿ x×|äöü àé αβγ жё žÿ x×");
    check("upper('äöü σς ж ž ÿ ı µ')", NULL,
          "ÄÖÜ ΣΣ Ж Ž Ÿ ı µ|ÄÖÜ ΣΣ Ж Ž Ÿ ı µ|ÄÖÜ ΣΣ Ж Ž Ÿ ı µ|ÄÖÜ ΣΣ Ж Ž Ÿ ı µ");
    check("'<' || trim('  x y ') || '>'", NULL, "<x y>|<x y>|<x y>|<x y>");
    check("'<' || ltrim('  x ') || '>' || rtrim(' x  ') || '>'", NULL,
          "<x > x>|<x > x>|<x > x>|<x > x>");
    check("trim('   ')", NULL, "|||");
    check("substring(s, 2)", "VARCHAR", "bc|null|rüße|");
    check("substring(s, 2, 2)", "VARCHAR", "bc|null|rü|");
    check("substring(s, -2)", NULL, "bc|null|ße|");
    check("substring(s, -99, 2)", NULL, "ab|null|Gr|");
    check("substring(s, 0, 1)", NULL, "a|null|G|");
    check("substring(s, 99)", NULL, "|null||");
    check("substring(s, 1, -1)", NULL, "|null||");
    check("substring(s, i)", NULL, "abc|null|Grüße|");
    check("substring(s FROM 2 FOR 1)", NULL, "b|null|r|");
    check("position('ß' IN s)", "INT", "0|null|4|0");
    check("strpos(s, 'c')", "INT", "3|null|0|0");
    check("instr(s, '')", "INT", "1|null|1|1");
    check("replace(s, 'b', '--')", "VARCHAR", "a--c|null|Grüße|");
    check("replace(s, 'abc', '')", "VARCHAR", "|null|Grüße|");
    check("replace('aaa', 'aa', 'b')", NULL, "ba|ba|ba|ba");
    check("replace(s, '', 'x')", NULL, "abc|null|Grüße|");
    check("concat(s, '-', s)", "VARCHAR NOT NULL", "abc-abc|-|Grüße-Grüße|-");
    check("starts_with(s, 'a')", "BOOLEAN", "true|null|false|false");
    check("ends_with(s, 'ße')", "BOOLEAN", "false|null|true|false");
    check("contains(s, 'üß')", "BOOLEAN", "false|null|true|false");
    check("contains(s, '')", "BOOLEAN", "true|null|true|true");
    check("split_part('a,b,,c', ',', n - 99)", NULL, "a|b||c");
    check("split_part('a,b,,c', ',', 99 - n)", NULL, "c||b|a");
    check("split_part(s, ',', 1)", NULL, "abc|null|Grüße|");
    check("split_part(s, ',', 2)", NULL, "|null||");
    check("split_part('a', ',', n - 100)", NULL, "!null|a||");
}

static void test_functions_of_time(void **state)
{
    (void)state;
    check("year(t)", "INT", "2026|null|1969|2024");
    check("month(t)", "INT", "11|null|12|2");
    check("day(e)", "INT", "23|null|31|29");
    check("hour(t)", "INT", "17|null|23|0");
    check("minute(t)", "INT", "5|null|59|0");
    check("second(t)", "INT", "16|null|59|0");
    check("millisecond(t)", "INT", "123|null|999|0");
    check("quarter(t)", "INT", "4|null|4|1");
    check("week(t)", "INT", "48|null|1|9");
    check("extract(dow FROM t)", "BIGINT", "1|null|3|4");
    check("extract(DOY FROM t)", "BIGINT", "327|null|365|60");
    check("extract(epoch FROM t)", "BIGINT", "1795453516|null|-1|1709164800");
    check("date_trunc('hour', t)", "TIMESTAMP",
          "2026-11-23T17:00:00.000Z|null|1969-12-31T23:00:00.000Z|2024-02-29T00:00:00.000Z");
    check("date_trunc('week', t)", "TIMESTAMP",
          "2026-11-23T00:00:00.000Z|null|1969-12-29T00:00:00.000Z|2024-02-26T00:00:00.000Z");
    check("date_trunc('quarter', t)", "TIMESTAMP",
          "2026-10-01T00:00:00.000Z|null|1969-10-01T00:00:00.000Z|2024-01-01T00:00:00.000Z");
    check("date_trunc('year', t)", "TIMESTAMP",
          "2026-01-01T00:00:00.000Z|null|1969-01-01T00:00:00.000Z|2024-01-01T00:00:00.000Z");
    check("date_trunc(s, t)", "TIMESTAMP", "!null|null|!null|!null");
    check("date_trunc('day', from_unixtime(l - l - 9223372036854775807))", NULL,
          "!null|null|!null|!null");
    check("unix_timestamp(t)", "BIGINT", "1795453516123|null|-1|1709164800000");
    check(
        "from_unixtime(1000)", "TIMESTAMP NOT NULL",
        "1970-01-01T00:00:01.000Z|1970-01-01T00:00:01.000Z|1970-01-01T00:00:01.000Z|1970-01-01T00:"
        "00:01.000Z");
    check("to_timestamp('2026-11-23T18:05:16+01:00') = t", "BOOLEAN", "false|null|false|false");
    check("to_timestamp(s)", "TIMESTAMP", "!null|null|!null|!null");
    check_row_error("date_trunc('lustrum', t)", EVS_ERR_EXPRESSION,
                    "\"lustrum\" is not a unit of time (column 1)");
}

static void test_functions_of_nested_values_and_hash(void **state)
{
    static const uint32_t some[] = {1, 3};
    (void)state;
    check("cardinality(arr)", "INT", "3|null|0|2");
    check("cardinality(mp)", "INT", "1|null|0|2");
    check("array_length(items)", "INT", "1|null|0|2");
    check("array_contains(arr, 2)", "BOOLEAN", "true|null|false|false");
    check("array_contains(arr, 5)", "BOOLEAN", "false|null|false|true");
    check("array_contains(arr, i)", "BOOLEAN", "true|null|false|false");
    check("hash64(s) = hash64(s)", "BOOLEAN NOT NULL", "true|true|true|true");
    check("hash64(i, s, NULL) = hash64(i, s)", NULL, "false|false|false|false");
    check("hash64('abc') = hash64(s)", NULL, "true|false|false|false");
    check("hash64(i) = hash64(CAST(i AS BIGINT))", NULL, "true|true|true|true");
    check("hash64(arr, st) <> hash64(st, arr)", NULL, "true|false|true|true");
    check_selected("hash64(n, s) = hash64(n + 0, s || '')", some, 2, "true|true");
    check("hash64('a')", "BIGINT NOT NULL",
          "-5013419051845419166|-5013419051845419166|-5013419051845419166|-5013419051845419166");
}

static void test_cast_between_all_types(void **state)
{
    (void)state;
    check("CAST(i AS BIGINT)", "BIGINT", "1|null|-7|2147483647");
    check("CAST(i AS DOUBLE)", "DOUBLE", "1.0|null|-7.0|2147483647.0");
    check("CAST(i AS DECIMAL(5,1))", "DECIMAL(5,1)", "1.0|null|-7.0|!null");
    check("CAST(i AS BOOLEAN)", "BOOLEAN", "true|null|true|true");
    check("CAST(i AS VARCHAR)", "VARCHAR", "1|null|-7|2147483647");
    check("CAST(i AS DATE)", "DATE", "1970-01-02|null|1969-12-25|2147483647");
    check("CAST(i AS TIME)", "TIME", "00:00:00.001|null|!null|!null");
    check("CAST(l AS INT)", "INT", "10|null|!null|!null");
    check("CAST(l AS DOUBLE)", "DOUBLE", "10.0|null|4.611686018427388e18|9.223372036854776e18");
    check("CAST(l AS TIMESTAMP)", "TIMESTAMP",
          "1970-01-01T00:00:00.010Z|null|4611686018427387904|9223372036854775807");
    check("CAST(d AS INT)", "INT", "0|null|-2|!null");
    check("CAST(d AS BIGINT)", "BIGINT", "0|null|-2|!null");
    check("CAST(d AS DECIMAL(4,1))", "DECIMAL(4,1)", "0.5|null|-2.0|!null");
    check("CAST(d AS DECIMAL(4,0))", "DECIMAL(4,0)", "1|null|-2|!null");
    check("CAST(d AS VARCHAR)", "VARCHAR", "0.5|null|-2.0|1e300");
    check("CAST(m AS INT)", "INT", "1|null|-99|9999999");
    check("CAST(m AS DECIMAL(9,1))", "DECIMAL(9,1)", "1.3|null|-100.0|10000000.0");
    check("CAST(m AS DECIMAL(5,2))", "DECIMAL(5,2)", "1.25|null|-99.99|!null");
    check("CAST(m AS DOUBLE)", "DOUBLE", "1.25|null|-99.99|9999999.99");
    check("CAST(m AS VARCHAR)", "VARCHAR", "1.25|null|-99.99|9999999.99");
    check("CAST(b AS INT)", "INT", "1|null|0|1");
    check("CAST(b AS VARCHAR)", "VARCHAR", "true|null|false|true");
    check("CAST(y AS VARCHAR)", "VARCHAR", "ab|null||!null");
    check("CAST(s AS BYTES)", "BYTES", "YWJj|null|R3LDvMOfZQ==|");
    check("CAST(s AS INT)", "INT", "!null|null|!null|!null");
    check("CAST(t AS BIGINT)", "BIGINT", "1795453516123|null|-1|1709164800000");
    check("CAST(t AS DATE)", "DATE", "2026-11-23|null|1969-12-31|2024-02-29");
    check("CAST(t AS TIME)", "TIME", "17:05:16.123|null|23:59:59.999|00:00:00.000");
    check("CAST(t AS VARCHAR)", "VARCHAR",
          "2026-11-23T17:05:16.123Z|null|1969-12-31T23:59:59.999Z|2024-02-29T00:00:00.000Z");
    check("CAST(e AS TIMESTAMP)", "TIMESTAMP",
          "2026-11-23T00:00:00.000Z|null|1969-12-31T00:00:00.000Z|2024-02-29T00:00:00.000Z");
    check("CAST(e AS INT)", "INT", "20780|null|-1|19782");
    check("CAST(c AS INT)", "INT", "61516123|null|0|86399999");
    check("CAST(c AS VARCHAR)", "VARCHAR", "17:05:16.123|null|00:00:00.000|23:59:59.999");
    check("CAST(arr AS VARCHAR)", "VARCHAR", "[1,2,3]|null|[]|[null,5]");
    check("CAST(arr AS ARRAY<INT>)", "ARRAY<INT>", "[1,2,3]|null|[]|[null,5]");
    check("CAST(NULL AS INT)", "INT", "null|null|null|null");
}

static void test_cast_of_text_reads_what_people_write(void **state)
{
    (void)state;
    check("CAST(' +12 ' AS INT)", "INT NOT NULL", "12|12|12|12");
    check("CAST('-007' AS BIGINT)", NULL, "-7|-7|-7|-7");
    check("CAST('.5' AS DOUBLE)", NULL, "0.5|0.5|0.5|0.5");
    check("CAST('1e3' AS DOUBLE)", NULL, "1000.0|1000.0|1000.0|1000.0");
    check("CAST('NaN' AS DOUBLE)", NULL, "NaN|NaN|NaN|NaN");
    check("CAST('-Infinity' AS DOUBLE)", NULL, "-Infinity|-Infinity|-Infinity|-Infinity");
    check("CAST('1.235' AS DECIMAL(5,2))", NULL, "1.24|1.24|1.24|1.24");
    check("CAST('-1.235' AS DECIMAL(5,2))", NULL, "-1.24|-1.24|-1.24|-1.24");
    check("CAST('TRUE' AS BOOLEAN)", NULL, "true|true|true|true");
    check("CAST('2026-11-23' AS DATE)", NULL, "2026-11-23|2026-11-23|2026-11-23|2026-11-23");
    check("CAST('17:05' AS TIME)", NULL, "17:05:00.000|17:05:00.000|17:05:00.000|17:05:00.000");
    check_fault("CAST('1.5' AS INT)", EVS_ERR_EXPRESSION, "column 6", "\"1.5\" is not a INT");
    check_fault("CAST('' AS INT)", EVS_ERR_EXPRESSION, "column 6", "is not a INT");
    check_fault("CAST('999.99' AS DECIMAL(4,2))", EVS_ERR_EXPRESSION, "column 6",
                "does not fit DECIMAL(4,2)");
    check_fault("CAST('99.995' AS DECIMAL(4,2))", EVS_ERR_EXPRESSION, "column 6",
                "does not fit DECIMAL(4,2)");
    check_fault("CAST('yes' AS BOOLEAN)", EVS_ERR_EXPRESSION, "column 6", "is not a BOOLEAN");
    check_row_error("CAST(s AS INT)", EVS_ERR_EXPRESSION, "\"\" is not a INT (column 6)");
    check_row_error("CAST(l AS INT)", EVS_ERR_OVERFLOW,
                    "9223372036854775807 does not fit INT (column 6)");
    check_row_error("CAST(y AS VARCHAR)", EVS_ERR_EXPRESSION, "the bytes are not UTF-8 (column 6)");
}

/* every pair of scalar types either casts or is refused, and what casts evaluates */
static void test_cast_every_pair_compiles_or_is_refused(void **state)
{
    static const char *const columns[] = {"i", "l", "d", "m", "s", "y", "b", "t", "e", "c"};
    static const char *const types[] = {"INT",   "BIGINT",  "DOUBLE",    "DECIMAL(9,2)", "VARCHAR",
                                        "BYTES", "BOOLEAN", "TIMESTAMP", "DATE",         "TIME"};
    int casts = 0;
    (void)state;
    for (int f = 0; f < 10; f++) {
        for (int t = 0; t < 10; t++) {
            char text[64];
            evs__expr *e = NULL;
            evs_status status;
            snprintf(text, sizeof(text), "CAST(%s AS %s)", columns[f], types[t]);
            status = evs__expr_new(ctx, text, batch->type, &e, NULL);
            if (!status) {
                failed_rows failed;
                evs__buffer out;
                evs__buffer_init(&out, ctx, 4096);
                result_text(e, batch, &failed, &out);
                assert_false(failed.rows[1]); /* NULL never fails */
                evs__buffer_free(&out);
                evs__expr_free(e);
                casts++;
            } else {
                assert_int_equal(status, EVS_ERR_TYPE);
            }
        }
    }
    assert_int_equal(casts, 55);
}

/* ---- functions of the host ---- */

static evs_status host_half(const evs_value *args,
                            size_t arg_count,
                            evs_value *ret,
                            char *reason,
                            size_t reason_size,
                            void *user_data)
{
    int *calls = user_data;
    ++*calls;
    assert_int_equal(arg_count, 1);
    assert_int_equal(ret->is_null, 1);
    assert_int_equal(ret->type, EVS_TYPE_BIGINT);
    if (args[0].is_null)
        return EVS_OK;
    if (args[0].integer % 2) {
        snprintf(reason, reason_size, "%d is odd", (int)args[0].integer);
        return EVS_ERR_INVALID;
    }
    ret->is_null = 0;
    ret->integer = args[0].integer / 2;
    return EVS_OK;
}

static evs_status host_join(const evs_value *args,
                            size_t arg_count,
                            evs_value *ret,
                            char *reason,
                            size_t reason_size,
                            void *user_data)
{
    static char text[256];
    (void)reason;
    (void)reason_size;
    (void)user_data;
    assert_int_equal(arg_count, 3);
    assert_int_equal(args[0].type, EVS_TYPE_VARCHAR);
    assert_int_equal(args[1].type, EVS_TYPE_DOUBLE);
    assert_int_equal(args[2].type, EVS_TYPE_BOOLEAN);
    ret->is_null = args[0].is_null;
    snprintf(text, sizeof(text), "%.*s/%g/%d", (int)args[0].len, args[0].data, args[1].number,
             (int)args[2].integer);
    if (args[0].len == 0)
        strcpy(text, "\xff");
    ret->data = text;
    ret->len = strlen(text);
    return EVS_OK;
}

static void test_host_function_is_called_per_row(void **state)
{
    static const uint32_t some[] = {0, 1, 2};
    static int calls;
    evs_error *err = NULL;
    (void)state;
    assert_int_equal(
        evs_function_register(ctx, "Half(BIGINT) RETURNS BIGINT", host_half, &calls, &err), EVS_OK);
    assert_int_equal(evs_function_register(ctx,
                                           "host_join(VARCHAR, DECIMAL(9,2), BOOLEAN) returns "
                                           "VARCHAR",
                                           host_join, NULL, &err),
                     EVS_OK);
    calls = 0;
    check("half(n)", "BIGINT", "50|!null|51|!null");
    assert_int_equal(calls, 16);
    check("HALF(2)", "BIGINT", "1|1|1|1");
    check("half(i + 1)", "BIGINT", "1|null|-3|!null");
    check("n % 2 = 0 AND half(n) > 50", "BOOLEAN", "false|false|true|false");
    check("host_join(s, m, b)", "VARCHAR", "abc/1.25/1|null|Grüße/-99.99/0|!null");
    check_selected("half(n)", some, 3, "50|!null|51");
    check_row_error("half(n)", EVS_ERR_CALLBACK, "half: 103 is odd (column 1)");
    check_row_error("host_join(s, m, b)", EVS_ERR_CALLBACK,
                    "host_join: its result is not valid UTF-8 (column 1)");
    check_fault("half(s)", EVS_ERR_TYPE, "column 6", "half: argument 1 is BIGINT, this is VARCHAR");
    check_fault("half()", EVS_ERR_TYPE, "column 1", "half takes 1 arguments, not 0");
    check_fault("halv(1)", EVS_ERR_EXPRESSION, "column 1", "did you mean \"half\"?");
}

static void test_function_register_bad_signatures_are_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "f",
                                      "f(INT)",
                                      "f(INT RETURNS INT",
                                      "f(INT) RETURN INT",
                                      "f(INT) RETURNS",
                                      "f(INT) RETURNS INTT",
                                      "f(INT,) RETURNS INT",
                                      "f(FOO) RETURNS INT",
                                      "f(ARRAY<INT>) RETURNS INT",
                                      "f(INT) RETURNS ARRAY<INT>",
                                      "f(INT) RETURNS DECIMAL(9,2)",
                                      "f(INT) RETURNS INT INT",
                                      "f(INT) RETURNS INT)",
                                      "\"f\"(INT) RETURNS INT",
                                      "length(INT) RETURNS INT",
                                      "Coalesce(INT) RETURNS INT",
                                      "f(INT 'x",
                                      "\xff(INT) RETURNS INT"};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        evs_error *err = NULL;
        if (evs_function_register(ctx, bad[i], host_half, NULL, &err) != EVS_ERR_EXPRESSION)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_true(strlen(evs_error_message(err)) > 10);
        evs_error_unref(err);
    }
    assert_int_equal(evs_function_register(ctx, "g() RETURNS INT", NULL, NULL, NULL),
                     EVS_ERR_INVALID);
    assert_int_equal(evs_function_register(ctx, NULL, host_half, NULL, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_function_register(ctx, "g() RETURNS BIGINT", host_half, NULL, NULL),
                     EVS_OK);
    assert_int_equal(evs_function_register(ctx, "G(INT) RETURNS INT", host_half, NULL, NULL),
                     EVS_ERR_EXPRESSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_functions_table_is_complete_and_grouped),
        cmocka_unit_test(test_functions_of_numbers),
        cmocka_unit_test(test_functions_of_choice),
        cmocka_unit_test(test_functions_of_text),
        cmocka_unit_test(test_functions_of_time),
        cmocka_unit_test(test_functions_of_nested_values_and_hash),
        cmocka_unit_test(test_cast_between_all_types),
        cmocka_unit_test(test_cast_of_text_reads_what_people_write),
        cmocka_unit_test(test_cast_every_pair_compiles_or_is_refused),
        cmocka_unit_test(test_host_function_is_called_per_row),
        cmocka_unit_test(test_function_register_bad_signatures_are_refused),
    };
    return cmocka_run_group_tests(tests, make_fixture, drop_fixture);
}
