/*
 * evs_type: text to type and back, questions about types, documented failures.
 */
#include <stdio.h>

#include "evs_test.h"

typedef struct fixture {
    evs_context *ctx;
    evs_error *err;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    *state = f;
    return evs_context_new(NULL, &f->ctx, NULL);
}

static int teardown(void **state)
{
    fixture *f = *state;
    evs_context_unref(f->ctx);
    free(f);
    return 0;
}

static void test_parse_null_arguments_are_invalid(void **state)
{
    fixture *f = *state;
    evs_type *t = NULL;
    assert_int_equal(evs_type_parse(NULL, "INT", &t, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_type_parse(f->ctx, NULL, &t, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_type_parse(f->ctx, "INT", NULL, NULL), EVS_ERR_INVALID);
    assert_null(t);
}

static void test_parse_print_round_trip(void **state)
{
    static const char *const cases[][2] = {
        {"boolean", "BOOLEAN"},
        {" Int ", "INT"},
        {"integer", "INT"},
        {"string", "VARCHAR"},
        {"BIGINT not null", "BIGINT NOT NULL"},
        {"DECIMAL ( 9 , 2 )", "DECIMAL(9,2)"},
        {"DECIMAL(5)", "DECIMAL(5,0)"},
        {"ARRAY < TIMESTAMP >", "ARRAY<TIMESTAMP>"},
        {"MAP<BYTES NOT NULL>", "MAP<BYTES NOT NULL>"},
        {"MAP<varchar, DATE>", "MAP<DATE>"},
        {"MAP<VARCHAR>", "MAP<VARCHAR>"},
        {"STRUCT<>", "STRUCT<>"},
        {"STRUCT<date DATE, time TIME, struct INT>", "STRUCT<date DATE, time TIME, struct INT>"},
        {"STRUCT<\"a b\" INT, \"q\"\"q\" INT, \"\" INT, \"ok\" INT>",
         "STRUCT<\"a b\" INT, \"q\"\"q\" INT, \"\" INT, ok INT>"},
        {"ARRAY<STRUCT<sku VARCHAR, quantity INT>>", "ARRAY<STRUCT<sku VARCHAR, quantity INT>>"},
    };
    fixture *f = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        evs_type *t = evs_test_type(f->ctx, cases[i][0]), *again;
        assert_string_equal(evs_type_print(t), cases[i][1]);
        again = evs_test_type(f->ctx, evs_type_print(t));
        assert_true(evs_type_equal(t, again));
        evs_type_unref(again);
        evs_type_unref(t);
    }
}

static void test_parse_faults_are_schema_with_a_column(void **state)
{
    static const char *const cases[][3] = {
        {"", "expected a type, found the end of the text", "column 1"},
        {"  ?", "expected a type, found \"?\"", "column 3"},
        {"BIGNIT", "unknown type \"BIGNIT\" (did you mean BIGINT?)", "column 1"},
        {"JSONB", "unknown type \"JSONB\" (BOOLEAN, INT, ", "column 1"},
        {"INT INT", "expected the end, found \"INT\"", "column 5"},
        {"INT NOT", "expected NULL", "column 8"},
        {"ARRAY", "expected \"<\"", "column 6"},
        {"ARRAY<INT", "expected \">\"", "column 10"},
        {"MAP<INT, INT>", "expected \">\"", "column 8"},
        {"DECIMAL(0,0)", "precision of 1 to 38", "column 9"},
        {"DECIMAL(9,10)", "scale of 0 to it", "column 9"},
        {"DECIMAL(99999999999,2)", "precision of 1 to 38", "column 9"},
        {"DECIMAL(9,-1)", "expected a number", "column 11"},
        {"STRUCT<a>", "expected a type", "column 9"},
        {"STRUCT<1a INT>", "expected a name", "column 8"},
        {"STRUCT<a INT b INT>", "expected \",\" or \">\"", "column 14"},
        {"STRUCT<a INT, a BIGINT>", "there is a field of this name already", "column 15"},
        {"STRUCT<\"a INT>", "is not closed", "column 8"},
    };
    fixture *f = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        evs_type *t = NULL;
        evs_status status = evs_type_parse(f->ctx, cases[i][0], &t, &f->err);
        assert_evs_error(status, f->err, EVS_ERR_SCHEMA, cases[i][1], cases[i][2]);
        f->err = NULL;
        assert_null(t);
    }
}

static void test_parse_deep_text_is_refused(void **state)
{
    fixture *f = *state;
    char text[8000] = "";
    evs_type *t = NULL;
    evs_status status;

    for (int i = 0; i < 1000; i++)
        strcat(text, "ARRAY<");
    status = evs_type_parse(f->ctx, text, &t, &f->err);
    assert_evs_error(status, f->err, EVS_ERR_SCHEMA, "too deep", NULL);
}

static void test_questions_about_nested_types(void **state)
{
    fixture *f = *state;
    evs_type *t = evs_test_type(
        f->ctx, "STRUCT<a DECIMAL(9,2), m MAP<INT> NOT NULL, l ARRAY<DOUBLE>> NOT NULL");
    const evs_type *m = evs_type_child(t, 1);

    assert_int_equal(evs_type_get_id(t), EVS_TYPE_STRUCT);
    assert_false(evs_type_is_nullable(t));
    assert_int_equal(evs_type_child_count(t), 3);
    assert_int_equal(evs_type_precision(evs_type_child(t, 0)), 9);
    assert_int_equal(evs_type_scale(evs_type_child(t, 0)), 2);
    assert_true(evs_type_is_nullable(evs_type_child(t, 0)));
    assert_int_equal(evs_type_child_count(m), 2);
    assert_string_equal(evs_type_print(evs_type_child(m, 0)), "VARCHAR NOT NULL");
    assert_string_equal(evs_type_print(evs_type_child(m, 1)), "INT");
    assert_null(evs_type_child(m, 2));
    assert_null(evs_type_field_name(m, 0));
    assert_int_equal(evs_type_child_count(evs_type_child(t, 2)), 1);
    assert_string_equal(evs_type_field_name(t, 2), "l");
    assert_null(evs_type_field_name(t, 3));
    assert_int_equal(evs_type_field_index(t, "m", 1), 1);
    assert_int_equal(evs_type_field_index(t, "mm", 1), 1);
    assert_int_equal(evs_type_field_index(t, "mm", 2), -1);
    assert_int_equal(evs_type_field_index(t, "M", 1), -1);
    assert_int_equal(evs_type_field_index(t, "", 0), -1);
    assert_int_equal(evs_type_field_index(m, "key", 3), -1);
    evs_type_unref(t);
}

static void test_null_type_has_answers(void **state)
{
    (void)state;
    assert_int_equal(evs_type_get_id(NULL), 0);
    assert_false(evs_type_is_nullable(NULL));
    assert_int_equal(evs_type_precision(NULL), 0);
    assert_int_equal(evs_type_scale(NULL), 0);
    assert_int_equal(evs_type_child_count(NULL), 0);
    assert_null(evs_type_child(NULL, 0));
    assert_null(evs_type_field_name(NULL, 0));
    assert_int_equal(evs_type_field_index(NULL, "a", 1), -1);
    assert_string_equal(evs_type_print(NULL), "");
    assert_true(evs_type_equal(NULL, NULL));
    assert_null(evs_type_ref(NULL));
    assert_null(evs_type_unref(NULL));
}

static void test_equal_counts_names_and_nullability(void **state)
{
    fixture *f = *state;
    evs_type *a = evs_test_type(f->ctx, "STRUCT<a INT>");
    evs_type *b = evs_test_type(f->ctx, "STRUCT<b INT>");
    evs_type *c = evs_test_type(f->ctx, "STRUCT<a INT NOT NULL>");
    evs_type *d = evs_test_type(f->ctx, "struct<\"a\" int>");
    assert_false(evs_type_equal(a, b));
    assert_false(evs_type_equal(a, c));
    assert_true(evs_type_equal(a, d));
    assert_false(evs_type_equal(a, NULL));
    evs_type_unref(a);
    evs_type_unref(b);
    evs_type_unref(c);
    evs_type_unref(d);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_parse_null_arguments_are_invalid),      T(test_parse_print_round_trip),
        T(test_parse_faults_are_schema_with_a_column), T(test_parse_deep_text_is_refused),
        T(test_questions_about_nested_types),          T(test_null_type_has_answers),
        T(test_equal_counts_names_and_nullability),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
