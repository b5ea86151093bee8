/*
 * Two questions about Avro schemas without decoding: how long the value at the front is, and
 * whether two schemas have the same bytes.
 */
#include <stdio.h>

#include "evs_test.h"

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

static evs_schema *avro(const char *fields)
{
    char text[2000];
    evs_schema *s = NULL;
    evs_error *err = NULL;
    snprintf(text, sizeof(text), "{\"type\":\"record\",\"name\":\"r\",\"fields\":[%s]}", fields);
    assert_evs_ok(evs_schema_parse(ctx, EVS_FORMAT_AVRO, text, strlen(text), &s, &err), err);
    return s;
}

/* the value takes `len` bytes, with any bytes behind it; each shorter piece is cut short */
static void check_size(const char *fields, const char *bytes, size_t len)
{
    evs_schema *s = avro(fields);
    char data[100];
    size_t size = 0;
    evs_error *err = NULL;
    memset(data, 0x55, sizeof(data));
    memcpy(data, bytes, len);
    assert_evs_ok(evs_schema_value_size(s, data, sizeof(data), &size, &err), err);
    assert_int_equal(size, len);
    for (size_t n = 0; n < len; n++) {
        char *exact = malloc(n ? n : 1);
        evs_status status;
        memcpy(exact, data, n);
        status = evs_schema_value_size(s, exact, n, &size, &err);
        assert_evs_error(status, err, EVS_ERR_DECODE, NULL, NULL);
        err = NULL;
        free(exact);
    }
    evs_schema_unref(s);
}

#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"

static void test_value_size_of_each_type_is_right(void **state)
{
    (void)state;
    check_size(FIELD("a", "\"null\"") "," FIELD("b", "\"boolean\""), "\x01", 1);
    check_size(FIELD("a", "\"int\"") "," FIELD("b", "\"long\""), "\x02\x80\x01", 3);
    check_size(FIELD("a", "\"float\"") "," FIELD("b", "\"double\""), "abcdefghijkl", 12);
    check_size(FIELD("a", "\"string\"") "," FIELD("b", "\"bytes\""), "\x04xy\x00", 4);
    check_size(FIELD("a", "{\"type\":\"fixed\",\"name\":\"f\",\"size\":5}"), "12345", 5);
    check_size(FIELD("a", "{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\"]}"), "\x00", 1);
    check_size(FIELD("a", "[\"null\",\"string\"]"), "\x02\x02x", 3);
    check_size(FIELD("a", "[\"null\",\"string\"]"), "\x00", 1);
    check_size(FIELD("a", "{\"type\":\"array\",\"items\":\"long\"}"), "\x04\x02\x04\x02\x06\x00",
               6);
    check_size(FIELD("a", "{\"type\":\"array\",\"items\":\"long\"}"), "\x03\x04\x02\x04\x00", 5);
    check_size(FIELD("a", "{\"type\":\"map\",\"values\":\"int\"}"), "\x02\x02k\x02\x00", 5);
}

static void fails(const char *fields, const char *bytes, size_t len)
{
    evs_schema *s = avro(fields);
    size_t size = 0;
    evs_error *err = NULL;
    evs_status status = evs_schema_value_size(s, bytes, len, &size, &err);
    assert_evs_error(status, err, EVS_ERR_DECODE, NULL, NULL);
    evs_schema_unref(s);
}

static void test_value_size_of_damaged_bytes_is_an_error(void **state)
{
    (void)state;
    fails(FIELD("a", "\"string\""), "\x01", 1);
    fails(FIELD("a", "\"string\""), "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
    fails(FIELD("a", "\"long\""), "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11);
    fails(FIELD("a", "[\"null\",\"string\"]"), "\x04", 1);
    fails(FIELD("a", "{\"type\":\"array\",\"items\":\"long\"}"), "\x03\xff\x01", 3);
    /* 2^62 items of no bytes */
    fails(FIELD("a", "{\"type\":\"array\",\"items\":\"null\"}"),
          "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
}

static void test_value_size_of_deep_value_is_an_error(void **state)
{
    evs_schema *s = avro(FIELD("next", "[\"null\",\"r\"]") "," FIELD("x", "\"int\""));
    size_t len = 4000000, size = 0;
    char *bytes = malloc(len);
    evs_error *err = NULL;
    evs_status status;
    (void)state;
    memset(bytes, 2, len);
    bytes[len / 2] = 0;
    status = evs_schema_value_size(s, bytes, len, &size, &err);
    assert_evs_error(status, err, EVS_ERR_DECODE, NULL, NULL);
    err = NULL;
    bytes[10] = 0;
    assert_evs_ok(evs_schema_value_size(s, bytes, len, &size, &err), err);
    assert_int_equal(size, 22);
    evs_schema_unref(s);
    free(bytes);
}

static void test_value_size_of_other_schema_is_unsupported(void **state)
{
    evs_schema *s = NULL;
    size_t size = 0;
    evs_error *err = NULL;
    evs_status status;
    (void)state;
    assert_evs_ok(evs_schema_columns(ctx, "a INT", &s, &err), err);
    status = evs_schema_value_size(s, "", 0, &size, &err);
    assert_evs_error(status, err, EVS_ERR_UNSUPPORTED, NULL, NULL);
    err = NULL;
    status = evs_schema_value_size(NULL, "", 0, &size, &err);
    assert_evs_error(status, err, EVS_ERR_INVALID, "NULL", NULL);
    evs_schema_unref(s);
}

static void check_equal(const char *a, const char *b, bool equal)
{
    evs_schema *left = avro(a), *right = avro(b);
    assert_true(evs_schema_equal(left, left));
    assert_int_equal(evs_schema_equal(left, right), equal);
    assert_int_equal(evs_schema_equal(right, left), equal);
    evs_schema_unref(left);
    evs_schema_unref(right);
}

static void test_equal_compares_what_is_on_the_wire(void **state)
{
    (void)state;
    check_equal("{\"name\":\"a\",\"type\":\"int\"}",
                "{\"doc\":\"x\", \"type\":{\"type\":\"int\"},\"name\":\"a\",\"default\":5}", true);
    check_equal(FIELD("a", "\"int\""), FIELD("b", "\"int\""), false);
    check_equal(FIELD("a", "\"float\""), FIELD("a", "\"double\""), false);
    check_equal(FIELD("a", "[\"null\",\"int\"]"), FIELD("a", "[\"int\",\"null\"]"), false);
    check_equal(FIELD("a", "{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}"),
                FIELD("a", "{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}"), false);
    check_equal(FIELD("a", "{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\",\"B\"]}"),
                FIELD("a", "{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"B\",\"A\"]}"), false);
    check_equal(FIELD("a", "\"int\"") "," FIELD("next", "[\"null\",\"r\"]"),
                FIELD("a", "\"int\"") "," FIELD("next", "[\"null\",\"r\"]"), true);
    check_equal(FIELD("a", "\"int\"") "," FIELD("next", "[\"null\",\"r\"]"),
                FIELD("a", "\"int\"") "," FIELD("next", "[\"r\",\"null\"]"), false);
}

static void test_equal_of_columns_compares_names_types_and_paths(void **state)
{
    static const char *const texts[] = {"a INT, b VARCHAR", "a INT, b VARCHAR '$.x'", "a INT",
                                        "a BIGINT, b VARCHAR"};
    evs_schema *s[4] = {NULL}, *again = NULL;
    evs_error *err = NULL;
    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_evs_ok(evs_schema_columns(ctx, texts[i], &s[i], &err), err);
    assert_evs_ok(evs_schema_columns(ctx, "a  INT,b varchar", &again, &err), err);
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < 4; k++)
            assert_int_equal(evs_schema_equal(s[i], s[k]), i == k);
    }
    assert_true(evs_schema_equal(s[0], again));
    assert_false(evs_schema_equal(s[0], NULL));
    assert_true(evs_schema_equal(NULL, NULL));
    for (size_t i = 0; i < 4; i++)
        evs_schema_unref(s[i]);
    evs_schema_unref(again);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_value_size_of_each_type_is_right),
        TEST(test_value_size_of_damaged_bytes_is_an_error),
        TEST(test_value_size_of_deep_value_is_an_error),
        TEST(test_value_size_of_other_schema_is_unsupported),
        TEST(test_equal_compares_what_is_on_the_wire),
        TEST(test_equal_of_columns_compares_names_types_and_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
