/*
 * Text of expressions: what is taken, its canonical form, what is refused and where.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "expr/ast.h"

static evs_context *ctx;

static int make_context(void **state)
{
    (void)state;
    return evs_context_new(NULL, &ctx, NULL);
}

static int drop_context(void **state)
{
    (void)state;
    ctx = evs_context_unref(ctx);
    return 0;
}

static char *canonical(const char *text)
{
    evs__ast_list *list = NULL;
    evs_error *err = NULL;
    evs__buffer out;
    char *copy;

    evs__buffer_init(&out, ctx, 1 << 20);
    if (evs__ast_parse(ctx, text, false, &list, &err))
        fail_msg("\"%s\": %s (%s)", text, evs_error_message(err), evs_error_origin(err));
    assert_int_equal(evs__ast_print(list->items[0].expr, &out), EVS_OK);
    copy = strdup(evs__buffer_cstr(&out));
    evs__buffer_free(&out);
    evs__ast_free(list);
    return copy;
}

static void check(const char *text, const char *wanted)
{
    char *first = canonical(text);
    char *second = canonical(first);
    assert_string_equal(first, wanted);
    assert_string_equal(second, wanted);
    free(first);
    free(second);
}

static void test_parse_precedence_gives_canonical_text(void **state)
{
    (void)state;
    check("a+b*c", "a + b * c");
    check("(a+b)*c", "(a + b) * c");
    check("a-(b-c)-d", "a - (b - c) - d");
    check("a or b and not c=d", "a OR b AND NOT c = d");
    check("(a or b) and not (c and d)", "(a OR b) AND NOT (c AND d)");
    check("not not a", "NOT NOT a");
    check("(not a) = b", "(NOT a) = b");
    check("a || b + c || d", "a || b + c || d");
    check("- a * - 5", "-a * -5");
    check("-(a+b)", "-(a + b)");
    check("- - a", "--a");
    check("+a", "a");
    check("a != b", "a <> b");
    check("(a = b) = c", "(a = b) = c");
    check("a.b[1].c['k']", "a.b[1].c['k']");
    check("(-5)[1]", "(-5)[1]");
    check("a % b / c", "a % b / c");
    check("((((a))))", "a");
}

static void test_parse_predicates_give_canonical_text(void **state)
{
    (void)state;
    check("a is not null and b is null", "a IS NOT NULL AND b IS NULL");
    check("a in (1,2 , 3)", "a IN (1, 2, 3)");
    check("a not in ('x')", "a NOT IN ('x')");
    check("a not between 1 and 2 and b", "a NOT BETWEEN 1 AND 2 AND b");
    check("a between b and (c and d)", "a BETWEEN b AND (c AND d)");
    check("a like 'x%' escape '!'", "a LIKE 'x%' ESCAPE '!'");
    check("a not like b||'%'", "a NOT LIKE b || '%'");
    check("a is true", "a IS NOT DISTINCT FROM TRUE");
    check("a is not false", "a IS DISTINCT FROM FALSE");
    check("a is not distinct from b + 1", "a IS NOT DISTINCT FROM b + 1");
    check("(a is null) is null", "(a IS NULL) IS NULL");
}

static void test_parse_calls_and_case_give_canonical_text(void **state)
{
    (void)state;
    check("Count(*)", "count(*)");
    check("count(distinct x)", "count(DISTINCT x)");
    check("SUM(a*b)", "sum(a * b)");
    check("now()", "now()");
    check("extract(YEAR from ts)", "extract('YEAR', ts)");
    check("extract('year', ts)", "extract('year', ts)");
    check("position('a' in b)", "position('a', b)");
    check("position((a = b), c)", "position((a = b), c)");
    check("substring(a from 2 for 3)", "substring(a, 2, 3)");
    check("substring(a from 2)", "substring(a, 2)");
    check("substring(a, 2, 3)", "substring(a, 2, 3)");
    check("cast(a as decimal( 10 , 2 ))", "CAST(a AS DECIMAL(10,2))");
    check("CAST(a AS ARRAY<STRUCT<x INT>>)", "CAST(a AS ARRAY<STRUCT<x INT>>)");
    check("case when a then b end", "CASE WHEN a THEN b END");
    check("case a when 1 then b when 2 then c else d end",
          "CASE a WHEN 1 THEN b WHEN 2 THEN c ELSE d END");
}

static void test_parse_literals_give_canonical_text(void **state)
{
    (void)state;
    check("'it''s'", "'it''s'");
    check("''", "''");
    check("TRUE", "TRUE");
    check("null", "NULL");
    check("007", "7");
    check("1.50", "1.50");
    check(".05", "0.05");
    check("1e3", "1000.0e0");
    check("2.5E-7", "2.5e-7");
    check(".5e1", "5.0e0");
    check("-0e0", "-0.0e0");
    check("-9223372036854775808", "-9223372036854775808");
    check("99999999999999999999999999999999999999", "99999999999999999999999999999999999999");
    check("timestamp '2026-11-23 18:05:16+01:00'", "TIMESTAMP '2026-11-23T17:05:16.000Z'");
    check("DATE '2026-11-23'", "DATE '2026-11-23'");
    check("TIME '17:05'", "TIME '17:05:00.000'");
    check("timestamp > date", "timestamp > date");
    check("\"a b\" = `c``d` + \"x\"\"y\"", "\"a b\" = \"c`d\" + \"x\"\"y\"");
    check("\"case\"", "\"case\"");
    check("größe", "\"größe\"");
}

static const evs_type *type_of(evs__ast_list *list)
{
    return list->items[0].expr->type;
}

static void test_parse_number_types_follow_size_and_form(void **state)
{
    static const struct {
        const char *text;
        const char *type;
    } cases[] = {{"1", "INT"},
                 {"2147483647", "INT"},
                 {"2147483648", "BIGINT"},
                 {"-2147483648", "INT"},
                 {"9223372036854775808", "DECIMAL(19,0)"},
                 {"-9223372036854775808", "BIGINT"},
                 {"1.0", "DECIMAL(2,1)"},
                 {"000.25", "DECIMAL(2,2)"},
                 {"1e0", "DOUBLE"},
                 {"'1'", "VARCHAR"},
                 {"true", "BOOLEAN"}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        evs__ast_list *list = NULL;
        assert_int_equal(evs__ast_parse(ctx, cases[i].text, false, &list, NULL), EVS_OK);
        assert_string_equal(evs_type_print(type_of(list)), cases[i].type);
        evs__ast_free(list);
    }
}

static void test_parse_list_keeps_aliases_and_stars(void **state)
{
    evs__ast_list *list = NULL;
    (void)state;
    assert_int_equal(evs__ast_parse(ctx,
                                    "*, count(*) AS views, sum(a*b) as \"the sum\", page, "
                                    "x AS timestamp",
                                    true, &list, NULL),
                     EVS_OK);
    assert_int_equal(list->count, 5);
    assert_int_equal(list->items[0].expr->kind, EVS__AST_STAR);
    assert_int_equal(list->items[1].expr->kind, EVS__AST_CALL);
    assert_int_equal(list->items[1].expr->args[0]->kind, EVS__AST_STAR);
    assert_string_equal(list->items[1].alias, "views");
    assert_string_equal(list->items[2].alias, "the sum");
    assert_null(list->items[3].alias);
    assert_string_equal(list->items[4].alias, "timestamp");
    assert_int_equal(list->items[2].expr->position, 22);
    assert_int_equal(list->items[2].expr->end, 30);
    evs__ast_free(list);
}

static void check_fault(bool many, const char *text, const char *origin, const char *message)
{
    evs__ast_list *list = NULL;
    evs_error *err = NULL;

    if (evs__ast_parse(ctx, text, many, &list, &err) != EVS_ERR_EXPRESSION)
        fail_msg("\"%s\" was taken", text);
    assert_null(list);
    if (!strstr(evs_error_message(err), message))
        fail_msg("\"%s\": %s", text, evs_error_message(err));
    assert_string_equal(evs_error_origin(err), origin);
    evs_error_unref(err);
}

static void test_parse_faults_say_where_and_what(void **state)
{
    (void)state;
    check_fault(false, "page <> ", "column 9", "\"page <> \": expected an expression at the end");
    check_fault(false, "", "column 1", "expected an expression at the end");
    check_fault(false, "a b", "column 3", "expected an operator or the end before \"b\"");
    check_fault(false, "a = b = c", "column 7", "comparisons do not chain");
    check_fault(false, "(a", "column 3", "expected \")\" at the end");
    check_fault(false, "a)", "column 2", "expected an operator or the end before \")\"");
    check_fault(false, "a AND", "column 6", "expected an expression at the end");
    check_fault(false, "and a", "column 1", "expected an expression before \"and\"");
    check_fault(false, "f(a,)", "column 5", "expected an expression before \")\"");
    check_fault(false, "f(a b)", "column 5", "expected \",\" or \")\" before \"b\"");
    check_fault(false, "a IN 5", "column 6", "expected \"(\" before \"5\"");
    check_fault(false, "a IN ()", "column 7", "expected an expression");
    check_fault(false, "a NOT b", "column 7", "expected IN, BETWEEN or LIKE before \"b\"");
    check_fault(false, "a IS 5", "column 6", "NULL, TRUE, FALSE or DISTINCT FROM");
    check_fault(false, "a BETWEEN 1 OR 2", "column 13", "expected AND before \"OR\"");
    check_fault(false, "CASE a END", "column 8", "expected WHEN before \"END\"");
    check_fault(false, "CASE WHEN a THEN b", "column 19", "expected WHEN, ELSE or END at the end");
    check_fault(false, "CAST(a AS)", "column 10", "expected a type");
    check_fault(false, "CAST(a AS INTT)", "column 11", "did you mean INT?");
    check_fault(false, "CAST(a AS INT", "column 14", "expected \")\"");
    check_fault(false, "'abc", "column 1", "not closed");
    check_fault(false, "a + \"b", "column 5", "not closed");
    check_fault(false, "\"\"", "column 1", "empty");
    check_fault(false, "12ab", "column 1", "not a number");
    check_fault(false, "1e", "column 1", "not a number");
    check_fault(false, "1e999", "column 1", "does not fit a DOUBLE");
    check_fault(false, "a ; b", "column 3", "no meaning");
    check_fault(false, "a.1", "column 2", "expected an operator");
    check_fault(false, "a.(b)", "column 3", "expected a field's name");
    check_fault(false, "TIMESTAMP 'soon'", "column 11", "not a timestamp");
    check_fault(false, "DATE '2026-02-30'", "column 6", "not a date");
    check_fault(false, "*", "column 1", "expected an expression before \"*\"");
    check_fault(false, "a AS b", "column 3", "expected an operator or the end");
    check_fault(true, "a AS", "column 5", "expected a name at the end");
    check_fault(true, "a AS case", "column 6", "expected a name before \"case\"");
    check_fault(true, "a,", "column 3", "expected an expression at the end");
    check_fault(true, "a b", "column 3", "expected an operator, AS, \",\" or the end");
    check_fault(false, "999999999999999999999999999999999999999", "column 1", "38 digits");
    check_fault(false, "1.99999999999999999999999999999999999999", "column 1", "38 digits");
    check_fault(false, "a = '\xff'", "column 6", "not valid UTF-8");
}

static void test_parse_long_text_is_cut_in_message(void **state)
{
    char text[200];
    evs__ast_list *list = NULL;
    evs_error *err = NULL;
    (void)state;
    strcpy(text, "'");
    for (int i = 0; i < 80; i++)
        strcat(text, "é");
    strcat(text, "' )");
    assert_int_equal(evs__ast_parse(ctx, text, false, &list, &err), EVS_ERR_EXPRESSION);
    assert_true(evs__utf8_valid(evs_error_message(err), strlen(evs_error_message(err))));
    assert_non_null(strstr(evs_error_message(err), "...\": expected"));
    evs_error_unref(err);
}

static void check_deep(const char *open, const char *middle, const char *close, int n, bool taken)
{
    size_t size = (strlen(open) + strlen(close)) * (size_t)n + strlen(middle) + 1;
    char *text = malloc(size);
    evs__ast_list *list = NULL;
    evs_error *err = NULL;
    char *p = text;

    for (int i = 0; i < n; i++)
        p = stpcpy(p, open);
    p = stpcpy(p, middle);
    for (int i = 0; i < n; i++)
        p = stpcpy(p, close);
    assert_int_equal(evs__ast_parse(ctx, text, false, &list, &err),
                     taken ? EVS_OK : EVS_ERR_EXPRESSION);
    if (!taken)
        assert_non_null(strstr(evs_error_message(err), "too deep"));
    evs_error_unref(err);
    evs__ast_free(list);
    free(text);
}

static void test_parse_depth_is_bounded(void **state)
{
    (void)state;
    check_deep("(", "a", ")", 300, true);
    check_deep("(", "a", ")", 5000, false);
    check_deep("NOT ", "a", "", 5000, false);
    check_deep("- ", "a", "", 5000, false);
    check_deep("", "a", "+a", 300, true);
    check_deep("", "a", "+a", 5000, false);
    check_deep("", "a", "[1]", 5000, false);
    check_deep("f(", "a", ")", 5000, false);
    check_deep("CASE WHEN ", "a", " THEN 1 END", 2000, false);
    check_deep("CAST(", "a", " AS INT)", 2000, false);
}

static void test_parse_too_long_text_is_refused(void **state)
{
    char *text = malloc(EVS__AST_TEXT_MAX + 2);
    evs__ast_list *list = NULL;
    (void)state;
    memset(text, ' ', EVS__AST_TEXT_MAX + 1);
    text[0] = 'a';
    text[EVS__AST_TEXT_MAX] = '\0';
    assert_int_equal(evs__ast_parse(ctx, text, false, &list, NULL), EVS_OK);
    evs__ast_free(list);
    text[EVS__AST_TEXT_MAX] = ' ';
    text[EVS__AST_TEXT_MAX + 1] = '\0';
    list = NULL;
    assert_int_equal(evs__ast_parse(ctx, text, false, &list, NULL), EVS_ERR_EXPRESSION);
    assert_null(list);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_precedence_gives_canonical_text),
        cmocka_unit_test(test_parse_predicates_give_canonical_text),
        cmocka_unit_test(test_parse_calls_and_case_give_canonical_text),
        cmocka_unit_test(test_parse_literals_give_canonical_text),
        cmocka_unit_test(test_parse_number_types_follow_size_and_form),
        cmocka_unit_test(test_parse_list_keeps_aliases_and_stars),
        cmocka_unit_test(test_parse_faults_say_where_and_what),
        cmocka_unit_test(test_parse_long_text_is_cut_in_message),
        cmocka_unit_test(test_parse_depth_is_bounded),
        cmocka_unit_test(test_parse_too_long_text_is_refused),
    };
    return cmocka_run_group_tests(tests, make_context, drop_context);
}
