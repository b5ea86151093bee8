/*
 * Avro schema text: every type, names, logical types, defaults, and what each fault says and where.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/schema.h"

static evs_context *ctx;

static int setup(void **state)
{
    (void)state;
    return evs_context_new(NULL, &ctx, NULL);
}

static int teardown(void **state)
{
    (void)state;
    ctx = evs_context_unref(ctx);
    return 0;
}

static evs_schema *parse(const char *text)
{
    evs_schema *s = NULL;
    evs_error *err = NULL;
    evs_status status = evs_schema_parse(ctx, EVS_FORMAT_AVRO, text, strlen(text), &s, &err);

    if (status)
        print_message("%s: %s\n", text, evs_error_message(err));
    assert_int_equal(status, EVS_OK);
    return s;
}

/* record of one field "f" with the type given */
static void assert_field_type(const char *type, const char *expected)
{
    char text[2048];
    evs_schema *s;

    snprintf(text, sizeof(text),
             "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"f\",\"type\":%s}]}",
             type);
    s = parse(text);
    assert_string_equal(evs_type_print(evs_type_child(evs_schema_type(s), 0)), expected);
    evs_schema_unref(s);
}

static void assert_refused(const char *text, const char *origin, const char *part)
{
    evs_schema *s = NULL;
    evs_error *err = NULL;
    evs_status status = evs_schema_parse(ctx, EVS_FORMAT_AVRO, text, strlen(text), &s, &err);

    assert_int_equal(status, EVS_ERR_SCHEMA);
    assert_null(s);
    if (!strstr(evs_error_message(err), part))
        print_message("got: %s\nnot: %s\n", evs_error_message(err), part);
    assert_non_null(strstr(evs_error_message(err), part));
    assert_string_equal(evs_error_origin(err), origin);
    evs_error_unref(err);
}

#define RECORD(fields) "{\"type\":\"record\",\"name\":\"r\",\"fields\":[" fields "]}"

static void test_parse_each_type_gives_its_column_type(void **state)
{
    (void)state;
    assert_field_type("\"boolean\"", "BOOLEAN NOT NULL");
    assert_field_type("\"int\"", "INT NOT NULL");
    assert_field_type("{\"type\":\"long\"}", "BIGINT NOT NULL");
    assert_field_type("\"float\"", "DOUBLE NOT NULL");
    assert_field_type("\"double\"", "DOUBLE NOT NULL");
    assert_field_type("\"bytes\"", "BYTES NOT NULL");
    assert_field_type("\"string\"", "VARCHAR NOT NULL");
    assert_field_type("\"null\"", "VARCHAR");
    assert_field_type("{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\"]}", "VARCHAR NOT NULL");
    assert_field_type("{\"type\":\"fixed\",\"name\":\"x\",\"size\":4}", "BYTES NOT NULL");
    assert_field_type("{\"type\":\"array\",\"items\":\"int\"}", "ARRAY<INT NOT NULL> NOT NULL");
    assert_field_type("{\"type\":\"map\",\"values\":[\"null\",\"int\"]}", "MAP<INT> NOT NULL");
    assert_field_type("[\"null\",\"string\"]", "VARCHAR");
    assert_field_type("[\"string\",\"null\"]", "VARCHAR");
    assert_field_type("[\"string\"]", "VARCHAR NOT NULL");
    assert_field_type("[\"null\"]", "VARCHAR");
    assert_field_type("[\"string\",\"long\"]", "STRUCT<string VARCHAR, long BIGINT> NOT NULL");
    assert_field_type("[\"string\",\"null\",\"long\"]", "STRUCT<string VARCHAR, long BIGINT>");
    assert_field_type(
        "{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"i\",\"fields\":"
        "[{\"name\":\"sku\",\"type\":\"string\"}]}}",
        "ARRAY<STRUCT<sku VARCHAR NOT NULL> NOT NULL> NOT NULL");
}

static void test_parse_each_logical_type_gives_its_column_type(void **state)
{
    (void)state;
#define LOGICAL(type, logical) "{\"type\":\"" type "\",\"logicalType\":\"" logical "\"}"
    assert_field_type(
        "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":38,\"scale\":2}",
        "DECIMAL(38,2) NOT NULL");
    assert_field_type("{\"type\":\"fixed\",\"name\":\"d\",\"size\":16,\"logicalType\":\"decimal\","
                      "\"precision\":38}",
                      "DECIMAL(38,0) NOT NULL");
    assert_field_type(LOGICAL("string", "uuid"), "VARCHAR NOT NULL");
    assert_field_type("{\"type\":\"fixed\",\"name\":\"u\",\"size\":16,\"logicalType\":\"uuid\"}",
                      "VARCHAR NOT NULL");
    assert_field_type(LOGICAL("int", "date"), "DATE NOT NULL");
    assert_field_type(LOGICAL("int", "time-millis"), "TIME NOT NULL");
    assert_field_type(LOGICAL("long", "time-micros"), "TIME NOT NULL");
    assert_field_type(LOGICAL("long", "timestamp-millis"), "TIMESTAMP NOT NULL");
    assert_field_type(LOGICAL("long", "timestamp-micros"), "TIMESTAMP NOT NULL");
    assert_field_type(LOGICAL("long", "timestamp-nanos"), "TIMESTAMP NOT NULL");
    assert_field_type(LOGICAL("long", "local-timestamp-millis"), "TIMESTAMP NOT NULL");
    assert_field_type(LOGICAL("long", "local-timestamp-micros"), "TIMESTAMP NOT NULL");
    assert_field_type(LOGICAL("long", "local-timestamp-nanos"), "TIMESTAMP NOT NULL");
    assert_field_type(
        "{\"type\":\"fixed\",\"name\":\"u\",\"size\":12,\"logicalType\":\"duration\"}",
        "BYTES NOT NULL");
}

static void assert_warning(const char *type, const char *expected_type, const char *part)
{
    char text[1024];
    evs_schema *s;

    snprintf(text, sizeof(text), RECORD("{\"name\":\"f\",\"type\":%s}"), type);
    s = parse(text);
    assert_string_equal(evs_type_print(evs_type_child(evs_schema_type(s), 0)), expected_type);
    assert_non_null(strstr(evs_schema_warnings(s), part));
    evs_schema_unref(s);
}

static void test_parse_logical_type_that_does_not_fit_is_ignored_with_a_warning(void **state)
{
    (void)state;
    assert_warning(LOGICAL("long", "date"), "BIGINT NOT NULL",
                   "fields[0].type: logical type \"date\" does not belong to long");
    assert_warning(LOGICAL("int", "dat"), "INT NOT NULL", "unknown");
    assert_warning("{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":39}",
                   "BYTES NOT NULL", "at most 38");
    assert_warning("{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":0}",
                   "BYTES NOT NULL", "at least 1");
    assert_warning("{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":2,\"scale\":3}",
                   "BYTES NOT NULL", "scale");
    assert_warning("{\"type\":\"fixed\",\"name\":\"d\",\"size\":2,\"logicalType\":\"decimal\","
                   "\"precision\":5}",
                   "BYTES NOT NULL", "does not fit into 2 bytes");
}

static void test_parse_logical_type_beside_type_leaves_a_warning(void **state)
{
    evs_schema *s =
        parse(RECORD("{\"name\":\"at\",\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}"));

    (void)state;
    assert_string_equal(evs_schema_warnings(s),
                        "fields[0]: \"logicalType\" stands beside \"type\" and is ignored: write "
                        "\"type\": {\"type\": \"long\", \"logicalType\": \"timestamp-millis\"}");
    assert_string_equal(evs_type_print(evs_schema_type(s)), "STRUCT<at BIGINT NOT NULL> NOT NULL");
    evs_schema_unref(s);
}

static void test_parse_names_of_other_namespaces_are_refused(void **state)
{
    const char *good = "{\"type\":\"record\",\"name\":\"a.b.r\",\"fields\":["
                       "{\"name\":\"x\",\"type\":{\"type\":\"enum\",\"name\":\"e\","
                       "\"symbols\":[\"A\",\"B\"],\"default\":\"B\"}},"
                       "{\"name\":\"y\",\"type\":\"e\"},{\"name\":\"z\",\"type\":\"a.b.e\"}]}";
    evs_schema *s = parse(good);

    (void)state;
    assert_ptr_equal(s->avro->children[0], s->avro->children[1]);
    assert_ptr_equal(s->avro->children[0], s->avro->children[2]);
    assert_string_equal(s->avro->children[0]->fullname, "a.b.e");
    assert_int_equal(s->avro->children[0]->enum_default, 1);
    evs_schema_unref(s);
    assert_refused("{\"type\":\"record\",\"name\":\"a.b.r\",\"fields\":[{\"name\":\"o\",\"type\":"
                   "{\"type\":\"fixed\",\"size\":1,\"name\":\"q\",\"namespace\":\"\"}},"
                   "{\"name\":\"p\",\"type\":\"q\"}]}",
                   "fields[1].type", "unknown type \"q\"");
}

static void test_parse_bad_json_tells_line_and_column(void **state)
{
    (void)state;
    assert_refused("{\"type\":\"record\",\n  \"name\":}", "2:10", "2:10: ");
    assert_refused("{\"type\":\"record\",\"type\":\"record\"}", "1:23", "duplicate");
    assert_refused("{\"type\":\"int\"} x", "1:16", "end of file expected");
    assert_refused("", "1:0", "1:0");
}

static void test_parse_faults_tell_path_and_expectation(void **state)
{
    (void)state;
    assert_refused("\"int\"", "", "the root must be a record, not int");
    assert_refused("42", "", "expected a type");
    assert_refused("{\"type\":\"record\",\"fields\":[]}", "", "record needs a \"name\"");
    assert_refused("{\"type\":\"record\",\"name\":\"1r\",\"fields\":[]}", "",
                   "\"1r\" is not a name");
    assert_refused("{\"type\":\"record\",\"name\":\"string\",\"fields\":[]}", "", "primitive");
    assert_refused("{\"type\":\"record\",\"name\":\"r\"}", "", "record needs \"fields\"");
    assert_refused("{\"type\":\"record\",\"name\":\"r\",\"namespace\":7,\"fields\":[]}", "",
                   "\"namespace\"");
    assert_refused("{\"type\":\"record\",\"name\":\"r\",\"aliases\":[\"a b\"],\"fields\":[]}", "",
                   "\"aliases\"");
    assert_refused(RECORD("\"x\""), "fields[0]", "expected a field");
    assert_refused(RECORD("{\"type\":\"int\"}"), "fields[0]", "a field needs a \"name\"");
    assert_refused(RECORD("{\"name\":\"a.b\",\"type\":\"int\"}"), "fields[0]", "\"a.b\"");
    assert_refused(RECORD("{\"name\":\"a\",\"type\":\"int\"},{\"name\":\"a\",\"type\":\"int\"}"),
                   "fields[1]", "field \"a\" stands twice");
    assert_refused(RECORD("{\"name\":\"a\"}"), "fields[0].type", "missing");
    assert_refused(RECORD("{\"name\":\"a\",\"type\":\"strng\"}"), "fields[0].type",
                   "unknown type \"strng\" (did you mean \"string\"?)");
    assert_refused(RECORD("{\"name\":\"a\",\"type\":\"array\"}"), "fields[0].type",
                   "needs an object");
    assert_refused(RECORD("{\"name\":\"a\",\"type\":{\"type\":\"array\"}}"), "fields[0].type.items",
                   "missing");
    assert_refused(RECORD("{\"name\":\"a\",\"type\":{\"type\":\"map\",\"values\":4}}"),
                   "fields[0].type.values", "expected a type");
    assert_refused(RECORD("{\"name\":\"a\",\"type\":\"int\",\"order\":\"up\"}"), "fields[0]",
                   "\"order\"");
    assert_refused(RECORD("{\"name\":\"a\",\"type\":[\"int\",[\"null\"]]}"), "fields[0].type",
                   "union itself");
    assert_refused(RECORD("{\"name\":\"a\",\"type\":[\"int\",\"int\"]}"), "fields[0].type",
                   "branches 0 and 1 are both int");
    assert_refused(RECORD("{\"name\":\"a\",\"type\":{\"type\":\"fixed\",\"name\":\"x\"}}"),
                   "fields[0].type", "fixed needs a \"size\"");
    assert_refused(
        RECORD("{\"name\":\"a\",\"type\":{\"type\":\"fixed\",\"name\":\"x\",\"size\":-1}}"),
        "fields[0].type", "out of range");
    assert_refused(RECORD("{\"name\":\"a\",\"type\":{\"type\":\"enum\",\"name\":\"x\"}}"),
                   "fields[0].type", "enum needs \"symbols\"");
    assert_refused(RECORD("{\"name\":\"a\",\"type\":{\"type\":\"enum\",\"name\":\"x\",\"symbols\":"
                          "[\"A\",\"A\"]}}"),
                   "fields[0].type", "symbol \"A\" stands twice");
    assert_refused(RECORD("{\"name\":\"a\",\"type\":{\"type\":\"enum\",\"name\":\"x\",\"symbols\":"
                          "[\"A\",\"b c\"]}}"),
                   "fields[0].type", "\"b c\"");
    assert_refused(RECORD("{\"name\":\"a\",\"type\":{\"type\":\"enum\",\"name\":\"x\",\"symbols\":"
                          "[\"A\"],\"default\":\"B\"}}"),
                   "fields[0].type", "\"default\" of an enum");
    assert_refused(
        RECORD("{\"name\":\"a\",\"type\":{\"type\":\"fixed\",\"name\":\"x\",\"size\":1}},"
               "{\"name\":\"b\",\"type\":{\"type\":\"fixed\",\"name\":\"x\",\"size\":1}}"),
        "fields[1].type", "\"x\" is defined twice");
    assert_refused(RECORD("{\"name\":\"a\",\"type\":{\"type\":{\"type\":\"int\"}}}"),
                   "fields[0].type", "needs \"type\", a string");
}

static void assert_default(const char *type, const char *value, const char *part)
{
    char text[1024];

    snprintf(text, sizeof(text), RECORD("{\"name\":\"f\",\"type\":%s,\"default\":%s}"), type,
             value);
    if (part)
        assert_refused(text, "fields[0]", part);
    else
        evs_schema_unref(parse(text));
}

static void test_parse_defaults_are_checked(void **state)
{
    (void)state;
    assert_default("\"null\"", "null", NULL);
    assert_default("\"boolean\"", "true", NULL);
    assert_default("\"boolean\"", "\"true\"", "expected a boolean, not a string");
    assert_default("\"int\"", "2147483647", NULL);
    assert_default("\"int\"", "2147483648", "does not fit into an int");
    assert_default("\"int\"", "1.0", "expected int, not a fraction");
    assert_default("\"long\"", "-9223372036854775808", NULL);
    assert_default("\"float\"", "1", NULL);
    assert_default("\"float\"", "1e300", "does not fit into a float");
    assert_default("\"double\"", "1e300", NULL);
    assert_default("\"double\"", "\"NaN\"", "expected double, not a string");
    assert_default("\"string\"", "\"\\u00e4\"", NULL);
    assert_default("\"string\"", "null", "expected string, not null");
    assert_default("\"bytes\"", "\"\\u00ff\\u0080a\"", NULL);
    assert_default("\"bytes\"", "\"\\u0100\"", "above 255");
}

static void test_parse_nested_defaults_are_checked(void **state)
{
    (void)state;
    assert_default("{\"type\":\"fixed\",\"name\":\"x\",\"size\":2}", "\"\\u00ffa\"", NULL);
    assert_default("{\"type\":\"fixed\",\"name\":\"x\",\"size\":2}", "\"abc\"",
                   "3 bytes where x has 2");
    assert_default("{\"type\":\"enum\",\"name\":\"x\",\"symbols\":[\"A\"]}", "\"A\"", NULL);
    assert_default("{\"type\":\"enum\",\"name\":\"x\",\"symbols\":[\"A\"]}", "\"B\"",
                   "no symbol of x");
    assert_default("{\"type\":\"array\",\"items\":\"int\"}", "[1,2]", NULL);
    assert_default("{\"type\":\"array\",\"items\":\"int\"}", "[1,\"2\"]", "expected int");
    assert_default("{\"type\":\"map\",\"values\":\"int\"}", "{\"a\":1}", NULL);
    assert_default("{\"type\":\"map\",\"values\":\"int\"}", "[]", "expected a map");
    assert_default("[\"null\",\"int\"]", "null", NULL);
    assert_default("[\"null\",\"int\"]", "1", "expected null, not an integer");
    assert_default("[\"int\",\"null\"]", "1", NULL);
    assert_default(
        "{\"type\":\"record\",\"name\":\"x\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"},"
        "{\"name\":\"b\",\"type\":\"int\",\"default\":2}]}",
        "{\"a\":1}", NULL);
    assert_default(
        "{\"type\":\"record\",\"name\":\"x\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}", "{}",
        "field \"a\" of x is missing");
    /* a default that holds itself for ever */
    assert_default("{\"type\":\"array\",\"items\":\"r\"}", "[{}]", "nests deeper");
}

static void test_parse_recursive_field_is_left_out_with_a_warning(void **state)
{
    evs_schema *s =
        parse("{\"type\":\"record\",\"name\":\"t.Node\",\"fields\":[{\"name\":\"label\","
              "\"type\":\"string\"},{\"name\":\"children\",\"type\":{\"type\":\"array\","
              "\"items\":\"Node\"}},{\"name\":\"next\",\"type\":[\"null\",\"Node\"]}]}");
    (void)state;
    assert_string_equal(evs_type_print(evs_schema_type(s)),
                        "STRUCT<label VARCHAR NOT NULL> NOT NULL");
    assert_string_equal(evs_schema_warnings(s),
                        "field children holds t.Node again and is no column: it is skipped\n"
                        "field next holds t.Node again and is no column: it is skipped");
    evs_schema_unref(s);
}

static void test_parse_records_that_multiply_are_refused(void **state)
{
    char text[8192] = "";
    char inner[4096] = "\"int\"";
    evs_schema *s = NULL;
    evs_error *err = NULL;

    (void)state;
    /* r0 has two ints, r1 two r0, r2 two r1, ...: 2^31 columns of a few lines */
    for (int i = 0; i < 30; i++) {
        snprintf(text, sizeof(text),
                 "{\"type\":\"record\",\"name\":\"r%d\",\"fields\":[{\"name\":\"a\",\"type\":%s},"
                 "{\"name\":\"b\",\"type\":\"%s%.0d\"}]}",
                 i, inner, i ? "r" : "int", i);
        if (i)
            snprintf(strrchr(text, 'r'), 32, "r%d\"}]}", i - 1);
        snprintf(inner, sizeof(inner), "%s", text);
    }
    assert_int_equal(evs_schema_parse(ctx, EVS_FORMAT_AVRO, text, strlen(text), &s, &err),
                     EVS_ERR_LIMIT);
    assert_non_null(strstr(evs_error_message(err), "too many columns"));
    evs_error_unref(err);
}

static void test_parse_deep_nesting_is_refused(void **state)
{
    char text[16384];
    size_t n = 0;
    evs_schema *s = NULL;
    evs_error *err = NULL;

    (void)state;
    n += (size_t)sprintf(
        text, "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"f\",\"type\":");
    for (int i = 0; i < 100; i++)
        n += (size_t)sprintf(text + n, "{\"type\":\"array\",\"items\":");
    n += (size_t)sprintf(text + n, "\"int\"");
    for (int i = 0; i < 100; i++)
        n += (size_t)sprintf(text + n, "}");
    n += (size_t)sprintf(text + n, "}]}");
    assert_int_equal(evs_schema_parse(ctx, EVS_FORMAT_AVRO, text, n, &s, &err), EVS_ERR_SCHEMA);
    assert_non_null(strstr(evs_error_message(err), "deeper than 64"));
    evs_error_unref(err);
}

static void test_of_type_round_trips_through_avro_text(void **state)
{
    const char *text =
        "a BOOLEAN, b INT NOT NULL, c BIGINT, d DOUBLE, e DECIMAL(9,2), f VARCHAR, g BYTES, h "
        "TIMESTAMP, i DATE, j TIME NOT NULL, k ARRAY<STRUCT<x INT, y STRUCT<z VARCHAR> NOT NULL>>, "
        "l MAP<BIGINT NOT NULL>, m STRUCT<x INT NOT NULL> NOT NULL";
    evs_schema *columns = NULL, *avro = NULL, *again = NULL;

    (void)state;
    assert_int_equal(evs_schema_columns(ctx, text, &columns, NULL), EVS_OK);
    assert_int_equal(evs_schema_of_type(ctx, EVS_FORMAT_AVRO, "views.per-minute",
                                        evs_schema_type(columns), &avro, NULL),
                     EVS_OK);
    assert_string_equal(evs_type_print(evs_schema_type(columns)),
                        evs_type_print(evs_schema_type(avro)));
    assert_string_equal(avro->avro->fullname, "views.per_minute");
    assert_string_equal(evs_schema_warnings(avro), "");
    assert_int_equal(
        evs_schema_of_type(ctx, EVS_FORMAT_JSON, NULL, evs_schema_type(columns), &again, NULL),
        EVS_OK);
    assert_string_equal(evs_schema_text(again), text);
    assert_int_equal(evs_schema_format(again), EVS_FORMAT_JSON);
    evs_schema_unref(columns);
    evs_schema_unref(avro);
    evs_schema_unref(again);
}

static void test_of_type_name_that_avro_cannot_hold_is_unsupported(void **state)
{
    evs_schema *columns = NULL, *avro = NULL;
    evs_error *err = NULL;

    (void)state;
    assert_int_equal(evs_schema_columns(ctx, "\"a b\" INT", &columns, NULL), EVS_OK);
    assert_int_equal(
        evs_schema_of_type(ctx, EVS_FORMAT_AVRO, "r", evs_schema_type(columns), &avro, &err),
        EVS_ERR_UNSUPPORTED);
    assert_non_null(strstr(evs_error_message(err), "\"a b\""));
    evs_error_unref(err);
    evs_schema_unref(columns);
}

static void test_schema_accessors(void **state)
{
    evs_schema *s = NULL;

    (void)state;
    assert_int_equal(evs_schema_columns(ctx, "a INT, timestamp TIMESTAMP '$.at'", &s, NULL),
                     EVS_OK);
    assert_int_equal(evs_schema_format(s), EVS_FORMAT_NONE);
    assert_int_equal(evs_schema_field(s, "timestamp"), 1);
    assert_int_equal(evs_schema_field(s, "b"), -1);
    assert_string_equal(evs_schema_text(s), "a INT, timestamp TIMESTAMP '$.at'");
    assert_string_equal(evs_schema_warnings(s), "");
    assert_ptr_equal(evs_schema_ref(s), s);
    assert_null(evs_schema_unref(s));
    assert_null(evs_schema_unref(s));
    assert_null(evs_schema_unref(NULL));
    assert_int_equal(evs_schema_field(NULL, "a"), -1);
}

static void test_parse_arguments_are_checked(void **state)
{
    evs_schema *s = NULL;

    (void)state;
    assert_int_equal(evs_schema_parse(NULL, EVS_FORMAT_AVRO, "", 0, &s, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_schema_parse(ctx, EVS_FORMAT_AVRO, NULL, 0, &s, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_schema_parse(ctx, EVS_FORMAT_AVRO, "", 0, NULL, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_schema_parse(ctx, (evs_format)9, "", 0, &s, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_schema_parse(ctx, EVS_FORMAT_AVRO, "\"in\0t\"", 6, &s, NULL),
                     EVS_ERR_SCHEMA);
    assert_int_equal(evs_schema_columns(ctx, NULL, &s, NULL), EVS_ERR_INVALID);
    assert_null(s);
}

static void test_registry_same_text_same_id(void **state)
{
    evs_schema *a = parse(RECORD("{\"name\":\"a\",\"type\":\"int\"}"));
    evs_schema *a2 = parse(RECORD("{\"name\":\"a\",\"type\":\"int\"}"));
    evs_schema *b = parse(RECORD("{\"name\":\"b\",\"type\":\"int\"}"));
    evs_schema *got = NULL;
    evs_error *err = NULL;
    int32_t id = 0, id2 = 0, id3 = 0;

    (void)state;
    assert_int_equal(evs_registry_register(ctx, "s-value", a, &id, NULL), EVS_OK);
    assert_int_equal(evs_registry_register(ctx, "s-value", a2, &id2, NULL), EVS_OK);
    assert_int_equal(id, id2);
    assert_int_equal(evs_registry_register(ctx, "s-value", b, &id3, NULL), EVS_OK);
    assert_int_not_equal(id, id3);
    assert_int_equal(evs_registry_get(ctx, id, &got, NULL), EVS_OK);
    assert_string_equal(evs_schema_text(got), evs_schema_text(a));
    evs_schema_unref(got);
    assert_int_equal(evs_registry_latest(ctx, "s-value", &id2, &got, NULL), EVS_OK);
    assert_int_equal(id2, id3);
    evs_schema_unref(got);
    assert_int_equal(evs_registry_put(ctx, "t", id3 + 1, a, NULL), EVS_OK);
    assert_int_equal(evs_registry_put(ctx, "t", id3 + 1, a2, NULL), EVS_OK);
    assert_int_equal(evs_registry_put(ctx, "t", id3 + 1, b, &err), EVS_ERR_STATE);
    err = evs_error_unref(err);
    assert_int_equal(evs_registry_get(ctx, 99, &got, &err), EVS_ERR_NOT_FOUND);
    err = evs_error_unref(err);
    assert_int_equal(evs_registry_latest(ctx, "nobody", NULL, NULL, &err), EVS_ERR_NOT_FOUND);
    err = evs_error_unref(err);
    assert_int_equal(evs_registry_put(ctx, "t", -1, a, NULL), EVS_ERR_INVALID);
    evs_schema_unref(a);
    evs_schema_unref(a2);
    evs_schema_unref(b);
}

static void test_load_tells_file_and_place(void **state)
{
    char path[] = "/tmp/evs_schema_XXXXXX";
    char origin[64];
    FILE *f = fdopen(mkstemp(path), "w");
    evs_schema *s = NULL;
    evs_error *err = NULL;

    (void)state;
    assert_non_null(f);
    fputs(RECORD("{\"name\":\"a\",\"type\":\"int\"}") "\n", f);
    fflush(f);
    assert_int_equal(evs_schema_load(ctx, EVS_FORMAT_AVRO, path, &s, NULL), EVS_OK);
    assert_int_equal(evs_schema_field(s, "a"), 0);
    s = evs_schema_unref(s);
    fputs("x", f);
    fclose(f);
    assert_int_equal(evs_schema_load(ctx, EVS_FORMAT_AVRO, path, &s, &err), EVS_ERR_SCHEMA);
    snprintf(origin, sizeof(origin), "%s:2:1", path);
    assert_string_equal(evs_error_origin(err), origin);
    err = evs_error_unref(err);
    remove(path);
    assert_int_equal(evs_schema_load(ctx, EVS_FORMAT_AVRO, path, &s, &err), EVS_ERR_NOT_FOUND);
    assert_non_null(strstr(evs_error_message(err), "No such file"));
    err = evs_error_unref(err);
    assert_int_equal(evs_schema_load(ctx, EVS_FORMAT_AVRO, "/tmp", &s, &err), EVS_ERR_IO);
    err = evs_error_unref(err);
    assert_int_equal(evs_schema_load(ctx, EVS_FORMAT_AVRO, NULL, &s, NULL), EVS_ERR_INVALID);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_parse_each_type_gives_its_column_type),
        T(test_parse_each_logical_type_gives_its_column_type),
        T(test_parse_logical_type_that_does_not_fit_is_ignored_with_a_warning),
        T(test_parse_logical_type_beside_type_leaves_a_warning),
        T(test_parse_names_of_other_namespaces_are_refused),
        T(test_parse_bad_json_tells_line_and_column),
        T(test_parse_faults_tell_path_and_expectation),
        T(test_parse_defaults_are_checked),
        T(test_parse_nested_defaults_are_checked),
        T(test_parse_recursive_field_is_left_out_with_a_warning),
        T(test_parse_records_that_multiply_are_refused),
        T(test_parse_deep_nesting_is_refused),
        T(test_of_type_round_trips_through_avro_text),
        T(test_of_type_name_that_avro_cannot_hold_is_unsupported),
        T(test_schema_accessors),
        T(test_parse_arguments_are_checked),
        T(test_registry_same_text_same_id),
        T(test_load_tells_file_and_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
