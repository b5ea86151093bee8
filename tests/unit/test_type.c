/*
 * Types inside: constructors and their bounds, shapes, column definitions with paths.
 */
#include <stdio.h>

#include "evs_test.h"

#include "data/type.h"

typedef struct fixture {
    evs_test_memory memory;
    evs_context *ctx;
    evs_error *err;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    f->memory.fail_at = -1;
    f->ctx = evs_test_context(&f->memory);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    long live;
    evs_context_unref(f->ctx);
    live = f->memory.live;
    free(f);
    return live == 0 ? 0 : -1;
}

static void test_decimal_out_of_range_is_schema(void **state)
{
    fixture *f = *state;
    const evs_type *t = NULL;
    assert_int_equal(evs__type_decimal(f->ctx, 0, 0, true, &t), EVS_ERR_SCHEMA);
    assert_int_equal(evs__type_decimal(f->ctx, 39, 0, true, &t), EVS_ERR_SCHEMA);
    assert_int_equal(evs__type_decimal(f->ctx, 5, 6, true, &t), EVS_ERR_SCHEMA);
    assert_int_equal(evs__type_decimal(f->ctx, 5, -1, true, &t), EVS_ERR_SCHEMA);
    assert_null(t);
    assert_int_equal(evs__type_decimal(f->ctx, 38, 38, false, &t), EVS_OK);
    assert_string_equal(evs_type_print(t), "DECIMAL(38,38) NOT NULL");
    evs_type_unref(t);
}

static void test_simple_of_nested_id_is_invalid(void **state)
{
    fixture *f = *state;
    const evs_type *t = NULL;
    assert_int_equal(evs__type_simple(f->ctx, EVS_TYPE_ARRAY, true, &t), EVS_ERR_INVALID);
    assert_int_equal(evs__type_simple(f->ctx, EVS_TYPE_DECIMAL, true, &t), EVS_ERR_INVALID);
    assert_int_equal(evs__type_simple(f->ctx, (evs_type_id)0, true, &t), EVS_ERR_INVALID);
}

static void test_array_deeper_than_max_is_limit(void **state)
{
    fixture *f = *state;
    const evs_type *t = NULL;
    evs_status status = evs__type_simple(f->ctx, EVS_TYPE_INT, true, &t);
    int depth = 1;

    while (!status) {
        const evs_type *outer = NULL;
        status = evs__type_array(f->ctx, t, true, &outer);
        if (!status) {
            evs_type_unref(t);
            t = outer;
            depth++;
        }
    }
    assert_int_equal(status, EVS_ERR_LIMIT);
    assert_int_equal(depth, EVS__TYPE_DEPTH_MAX);
    evs_type_unref(t);
}

static void test_struct_doubling_shared_children_is_bounded_by_text(void **state)
{
    fixture *f = *state;
    const evs_type *t = NULL;
    evs_status status = evs__type_simple(f->ctx, EVS_TYPE_INT, true, &t);

    for (int i = 0; i < EVS__TYPE_DEPTH_MAX && !status; i++) {
        const evs_type *outer = NULL;
        status = evs__type_struct(f->ctx, (evs__field[]){{"a", t}, {"b", t}}, 2, true, &outer);
        if (!status) {
            evs_type_unref(t);
            t = outer;
        }
    }
    assert_int_equal(status, EVS_ERR_LIMIT);
    assert_true(t->depth > 10 && t->depth < 30);
    evs_type_unref(t);
}

static void test_struct_duplicate_names_few_and_many(void **state)
{
    fixture *f = *state;
    evs__field fields[40];
    char names[40][8];
    const evs_type *i = NULL, *t = NULL;

    evs__type_simple(f->ctx, EVS_TYPE_INT, true, &i);
    for (int k = 0; k < 40; k++) {
        snprintf(names[k], sizeof(names[k]), "f%d", k);
        fields[k] = (evs__field){names[k], i};
    }
    assert_int_equal(evs__type_struct(f->ctx, fields, 40, true, &t), EVS_OK);
    t = evs_type_unref(t);
    fields[39].name = "f0";
    assert_int_equal(evs__type_struct(f->ctx, fields, 40, true, &t), EVS_ERR_SCHEMA);
    fields[3].name = "f2";
    assert_int_equal(evs__type_struct(f->ctx, fields, 4, true, &t), EVS_ERR_SCHEMA);
    assert_int_equal(evs__type_struct(f->ctx, NULL, 0, true, &t), EVS_OK);
    assert_string_equal(evs_type_print(t), "STRUCT<>");
    evs_type_unref(t);
    evs_type_unref(i);
}

static void test_with_nullable_changes_only_the_top(void **state)
{
    static const char *const texts[] = {"INT", "DECIMAL(7,3)", "MAP<ARRAY<INT NOT NULL>>",
                                        "STRUCT<a INT NOT NULL>"};
    fixture *f = *state;

    for (size_t k = 0; k < 4; k++) {
        evs_type *t = evs_test_type(f->ctx, texts[k]);
        const evs_type *strict = NULL, *same = NULL;
        char want[100];
        snprintf(want, sizeof(want), "%s NOT NULL", texts[k]);
        assert_int_equal(evs__type_with_nullable(t, false, &strict), EVS_OK);
        assert_string_equal(evs_type_print(strict), want);
        assert_int_equal(evs__type_with_nullable(t, true, &same), EVS_OK);
        assert_ptr_equal(same, t);
        assert_true(evs__type_same_shape(t, strict));
        assert_false(evs_type_equal(t, strict));
        evs_type_unref(t);
        evs_type_unref(same);
        evs_type_unref(strict);
    }
}

static void test_same_shape_looks_at_structure_only(void **state)
{
    fixture *f = *state;
    evs_type *a = evs_test_type(f->ctx, "STRUCT<a INT, b DECIMAL(4,2)>");
    evs_type *b = evs_test_type(f->ctx, "STRUCT<x INT NOT NULL, y DECIMAL(4,2)> NOT NULL");
    evs_type *c = evs_test_type(f->ctx, "STRUCT<a INT, b DECIMAL(4,1)>");
    evs_type *d = evs_test_type(f->ctx, "STRUCT<a INT>");
    assert_true(evs__type_same_shape(a, b));
    assert_false(evs__type_same_shape(a, c));
    assert_false(evs__type_same_shape(a, d));
    evs_type_unref(a);
    evs_type_unref(b);
    evs_type_unref(c);
    evs_type_unref(d);
}

static void test_columns_parse_with_paths(void **state)
{
    fixture *f = *state;
    const evs_type *t = NULL;
    char **paths = NULL;
    evs_status status = evs__columns_parse(
        f->ctx, " user_id VARCHAR NOT NULL,\n total DOUBLE '$.order.it''s',timestamp TIMESTAMP ",
        &t, &paths, &f->err);

    assert_evs_ok(status, f->err);
    assert_string_equal(
        evs_type_print(t),
        "STRUCT<user_id VARCHAR NOT NULL, total DOUBLE, timestamp TIMESTAMP> NOT NULL");
    assert_null(paths[0]);
    assert_string_equal(paths[1], "$.order.it's");
    assert_null(paths[2]);
    evs__columns_free_paths(f->ctx, paths, t->child_count);
    evs_type_unref(t);
}

static void test_columns_parse_faults_have_a_column(void **state)
{
    static const struct {
        const char *text, *message, *origin;
    } cases[] = {
        {"", "expected a name", "column 1"},
        {"a", "expected a type, found the end", "column 2"},
        {"a INT, a INT", "a field of this name", "column 8"},
        {"a INT 'x", "the quote that begins here is not closed", "column 7"},
        {"a INT b INT", "expected \",\" or the end, found \"b\"", "column 7"},
        {"a VARCHAR,", "expected a name", "column 11"},
        {"a STRUCT<b INT '$.x'>", "a path has no place here", "column 16"},
        {"a DECIMAL", "precision and scale", "column 10"},
        {"a DECIMAL(40,2)", "precision of 1 to 38", "column 11"},
        {"a VARCHR", "did you mean VARCHAR?", "column 3"},
        {"a INT NOT NUL", "expected NULL, found \"NUL\"", "column 11"},
        {"\"a INT", "the quote that begins here", "column 1"},
    };
    fixture *f = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const evs_type *t = NULL;
        char **paths = NULL;
        evs_status status = evs__columns_parse(f->ctx, cases[i].text, &t, &paths, &f->err);
        assert_evs_error(status, f->err, EVS_ERR_SCHEMA, cases[i].message, cases[i].origin);
        f->err = NULL;
        assert_null(t);
        assert_null(paths);
    }
}

static void test_list_fields_is_cut(void **state)
{
    fixture *f = *state;
    evs_type *few = evs_test_type(f->ctx, "STRUCT<a INT, \"b c\" INT>");
    evs_type *none = evs_test_type(f->ctx, "STRUCT<>");
    evs__buffer text, out;
    evs_type *many;

    evs__buffer_init(&out, f->ctx, 10000);
    evs__buffer_init(&text, f->ctx, 10000);
    evs__type_list_fields(few, &out);
    assert_string_equal(evs__buffer_cstr(&out), "fields are \"a\", \"b c\"");
    evs__buffer_reset(&out);
    evs__type_list_fields(none, &out);
    assert_string_equal(evs__buffer_cstr(&out), "there are no fields");
    for (int i = 0; i < 100; i++)
        evs__buffer_printf(&text, "%sf%d INT", i ? ", " : "STRUCT<", i);
    evs__buffer_text(&text, ">");
    many = evs_test_type(f->ctx, evs__buffer_cstr(&text));
    evs__buffer_reset(&out);
    evs__type_list_fields(many, &out);
    assert_non_null(strstr(evs__buffer_cstr(&out), "\"f23\" and 76 more"));
    evs__buffer_free(&out);
    evs__buffer_free(&text);
    evs_type_unref(few);
    evs_type_unref(none);
    evs_type_unref(many);
}

static void test_type_outlives_the_context(void **state)
{
    fixture *f = *state;
    evs_type *t = evs_test_type(f->ctx, "MAP<INT>");
    f->ctx = evs_context_unref(f->ctx);
    assert_string_equal(evs_type_print(t), "MAP<INT>");
    evs_type_unref(t);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_decimal_out_of_range_is_schema),
        T(test_simple_of_nested_id_is_invalid),
        T(test_array_deeper_than_max_is_limit),
        T(test_struct_doubling_shared_children_is_bounded_by_text),
        T(test_struct_duplicate_names_few_and_many),
        T(test_with_nullable_changes_only_the_top),
        T(test_same_shape_looks_at_structure_only),
        T(test_columns_parse_with_paths),
        T(test_columns_parse_faults_have_a_column),
        T(test_list_fields_is_cut),
        T(test_type_outlives_the_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
