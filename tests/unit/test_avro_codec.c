/*
 * Avro decoder and encoder: each type, framing, what is skipped, and every way in which bytes can
 * be wrong: the message says where and what, and the batch is as if the event had not been there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "data/batch.h"

#define RECORD(fields) "{\"type\":\"record\",\"name\":\"r\",\"fields\":[" fields "]}"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"

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

    if (evs_schema_parse(ctx, EVS_FORMAT_AVRO, text, strlen(text), &s, &err))
        print_message("%s: %s\n", text, evs_error_message(err));
    assert_non_null(s);
    return s;
}

static evs_decoder *decoder_of(evs_schema *schema, const char *columns)
{
    evs_decoder *d = NULL;
    evs_error *err = NULL;
    const char *pairs[] = {"framing", "none", "columns", columns};
    evs_options options = {pairs, columns ? 2 : 1};

    if (evs_decoder_new(ctx, schema, &options, &d, &err))
        print_message("%s\n", evs_error_message(err));
    assert_non_null(d);
    return d;
}

/* what failed in a call */
typedef struct failures {
    size_t count;
    size_t index[16];
    evs_status status[16];
    char message[16][256];
} failures;

static void keep_failure(size_t index, evs_status status, const char *message, void *user_data)
{
    failures *f = user_data;

    assert_true(f->count < 16);
    f->index[f->count] = index;
    f->status[f->count] = status;
    snprintf(f->message[f->count++], 256, "%s", message);
}

/* memory of exactly the value's size, so that sanitizers see the first byte beyond */
static evs_input input_of(const void *data, size_t len)
{
    char *copy = malloc(len ? len : 1);

    memcpy(copy, data, len);
    return (evs_input){.value = copy, .value_len = (uint32_t)len, .offset = -1};
}

/* decode one event and print its row, or fail */
static void assert_decodes(const char *schema_text,
                           const char *columns,
                           const void *data,
                           size_t len,
                           const char *expected)
{
    evs_schema *s = parse(schema_text);
    evs_decoder *d = decoder_of(s, columns);
    evs_input in = input_of(data, len);
    failures f = {0};
    evs_batch *batch = NULL;
    evs__buffer text;

    assert_int_equal(evs_decoder_decode(d, &in, 1, keep_failure, &f, &batch, NULL), EVS_OK);
    if (f.count)
        print_message("%s\n", f.message[0]);
    assert_int_equal(f.count, 0);
    assert_int_equal(evs_batch_rows(batch), 1);
    evs__buffer_init(&text, ctx, 65536);
    assert_int_equal(evs__batch_row_json(batch, 0, &text), EVS_OK);
    assert_string_equal(evs__buffer_cstr(&text), expected);
    evs__buffer_free(&text);
    evs_batch_unref(batch);
    evs_decoder_unref(d);
    evs_schema_unref(s);
    free((void *)in.value);
}

#define DECODES(type, bytes, expected)                                                             \
    assert_decodes(RECORD(FIELD("f", type)), NULL, bytes, sizeof(bytes) - 1, "{\"f\":" expected "}")

static void assert_fails(const char *schema_text,
                         const char *columns,
                         const void *data,
                         size_t len,
                         evs_status status,
                         const char *message)
{
    evs_schema *s = parse(schema_text);
    evs_decoder *d = decoder_of(s, columns);
    evs_input in = input_of(data, len);
    failures f = {0};
    evs_batch *batch = NULL;

    assert_int_equal(evs_decoder_decode(d, &in, 1, keep_failure, &f, &batch, NULL), EVS_OK);
    assert_int_equal(f.count, 1);
    assert_string_equal(f.message[0], message);
    assert_int_equal(f.status[0], status);
    assert_int_equal(evs_batch_rows(batch), 0);
    for (uint32_t i = 0; i < batch->column_count; i++)
        assert_int_equal(batch->columns[i]->length, 0);
    evs_batch_unref(batch);
    evs_decoder_unref(d);
    evs_schema_unref(s);
    free((void *)in.value);
}

#define FAILS_WITH(status, type, bytes, message)                                                   \
    assert_fails(RECORD(FIELD("f", type)), NULL, bytes, sizeof(bytes) - 1, status, message)
#define FAILS(type, bytes, message) FAILS_WITH(EVS_ERR_DECODE, type, bytes, message)

/* ---- values ---- */

static void test_decode_each_primitive(void **state)
{
    (void)state;
    DECODES("\"boolean\"", "\1", "true");
    DECODES("\"boolean\"", "\0", "false");
    DECODES("\"int\"", "\x01", "-1");
    DECODES("\"int\"", "\xff\xff\xff\xff\x0f", "-2147483648");
    DECODES("\"int\"", "\xfe\xff\xff\xff\x0f", "2147483647");
    DECODES("\"long\"", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "-9223372036854775808");
    DECODES("\"long\"", "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", "9223372036854775807");
    DECODES("\"long\"", "\x80\x01", "64");
    DECODES("\"long\"", "\x80\x80\x80\x80\x80\x80\x80\x01", "281474976710656");
    DECODES("\"float\"", "\0\0\xc0\x3f", "1.5");
    DECODES("\"double\"", "\0\0\0\0\0\0\xf8\xbf", "-1.5");
    DECODES("\"string\"", "\x0ahallo", "\"hallo\"");
    DECODES("\"string\"", "\0", "\"\"");
    DECODES("\"string\"", "\x04\xc3\xa4", "\"\xc3\xa4\"");
    DECODES("\"string\"",
            "\x34"
            "abcdefghijklmnopqrstuvwxyz",
            "\"abcdefghijklmnopqrstuvwxyz\"");
    DECODES("\"string\"",
            "\x28"
            "abcdefghijklmnopqr\xc3\xa4",
            "\"abcdefghijklmnopqr\xc3\xa4\"");
    DECODES("\"bytes\"", "\x04\xff\0", "\"/wA=\"");
    DECODES("\"null\"", "", "null");
    DECODES("{\"type\":\"fixed\",\"name\":\"x\",\"size\":2}", "\xff\0", "\"/wA=\"");
    DECODES("{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\",\"BC\"]}", "\x02", "\"BC\"");
}

/* the 8-byte fast path at every length, with and without slack behind */
static void test_decode_varints_of_every_length(void **state)
{
    evs_schema *s = parse(RECORD(FIELD("f", "\"long\"") "," FIELD("g", "\"bytes\"")));
    evs_decoder *d = decoder_of(s, NULL);

    (void)state;
    for (unsigned bits = 0; bits < 64; bits++) {
        for (size_t slack = 0; slack < 12; slack++) {
            uint64_t z = bits ? (uint64_t)1 << bits | bits : 1;
            uint8_t bytes[32];
            size_t n = 0;
            evs_input in;
            evs_batch *batch = NULL;
            for (uint64_t v = z; v >= 0x80 || (bytes[n++] = (uint8_t)v, false); v >>= 7)
                bytes[n++] = (uint8_t)(v | 0x80);
            bytes[n++] = (uint8_t)(slack << 1);
            memset(bytes + n, 0xff, slack);
            in = input_of(bytes, n + slack);
            assert_int_equal(evs_decoder_decode(d, &in, 1, NULL, NULL, &batch, NULL), EVS_OK);
            assert_int_equal(batch->rows, 1);
            assert_true(batch->columns[0]->i64[0] == ((int64_t)(z >> 1) ^ -(int64_t)(z & 1)));
            evs_batch_unref(batch);
            free((void *)in.value);
        }
    }
    evs_decoder_unref(d);
    evs_schema_unref(s);
}

static void test_decode_each_logical_type(void **state)
{
    (void)state;
#define LOGICAL(type, logical) "{\"type\":\"" type "\",\"logicalType\":\"" logical "\"}"
#define DECIMAL "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":38,\"scale\":2}"
    DECODES(DECIMAL, "\x04\x07\xc6", "19.90");
    DECODES(DECIMAL, "\x04\xf8\x3a", "-19.90");
    DECODES(DECIMAL, "\x02\0", "0.00");
    DECODES(DECIMAL,
            "\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            "-0.01");
    DECODES("{\"type\":\"fixed\",\"name\":\"d\",\"size\":3,\"logicalType\":\"decimal\","
            "\"precision\":6}",
            "\xff\xff\xfe", "-2");
    DECODES(LOGICAL("string", "uuid"),
            "\x02"
            "x",
            "\"x\"");
    DECODES("{\"type\":\"fixed\",\"name\":\"u\",\"size\":16,\"logicalType\":\"uuid\"}",
            "\xa4\x81\x8e\x1c\x8e\x59\x11\xeb\x8d\xcd\x02\x42\xac\x13\x00\x03",
            "\"a4818e1c-8e59-11eb-8dcd-0242ac130003\"");
    DECODES(LOGICAL("int", "date"), "\x02", "\"1970-01-02\"");
    DECODES(LOGICAL("int", "time-millis"), "\xd0\x0f", "\"00:00:01.000\"");
    DECODES(LOGICAL("long", "time-micros"), "\xd0\x0f", "\"00:00:00.001\"");
    DECODES(LOGICAL("long", "timestamp-millis"), "\x02", "\"1970-01-01T00:00:00.001Z\"");
    DECODES(LOGICAL("long", "timestamp-micros"), "\x01", "\"1969-12-31T23:59:59.999Z\"");
    DECODES(LOGICAL("long", "timestamp-nanos"), "\x80\x89\x7a", "\"1970-01-01T00:00:00.001Z\"");
    DECODES(LOGICAL("long", "local-timestamp-millis"), "\x02", "\"1970-01-01T00:00:00.001Z\"");
    DECODES(LOGICAL("long", "local-timestamp-micros"), "\xd0\x0f", "\"1970-01-01T00:00:00.001Z\"");
    DECODES("{\"type\":\"fixed\",\"name\":\"u\",\"size\":12,\"logicalType\":\"duration\"}",
            "\1\0\0\0\2\0\0\0\3\0\0\0", "\"AQAAAAIAAAADAAAA\"");
}

static void test_decode_unions(void **state)
{
    (void)state;
    DECODES("[\"null\",\"int\"]", "\0", "null");
    DECODES("[\"null\",\"int\"]", "\2\x02", "1");
    DECODES("[\"int\",\"null\"]", "\2", "null");
    DECODES("[\"int\",\"null\"]", "\0\x02", "1");
    DECODES("[\"int\"]", "\0\x02", "1");
    DECODES("[\"null\"]", "\0", "null");
    DECODES("[\"string\",\"long\",{\"type\":\"array\",\"items\":\"int\"}]", "\2\x02",
            "{\"string\":null,\"long\":1,\"array\":null}");
    DECODES("[\"string\",\"long\",{\"type\":\"array\",\"items\":\"int\"}]", "\4\x02\x08\0",
            "{\"string\":null,\"long\":null,\"array\":[4]}");
    DECODES("[\"string\",\"null\",\"long\"]", "\2", "null");
    DECODES("[\"null\",{\"type\":\"record\",\"name\":\"i\",\"fields\":[" FIELD(
                "a", "\"int\"") "," FIELD("b", "{\"type\":\"array\",\"items\":\"int\"}") "]}]",
            "\2\x02\x02\x04\0", "{\"a\":1,\"b\":[2]}");
    DECODES("[\"null\",{\"type\":\"record\",\"name\":\"i\",\"fields\":[" FIELD(
                "a", "\"int\"") "," FIELD("b", "{\"type\":\"array\",\"items\":\"int\"}") "]}]",
            "\0", "null");
}

#define ITEMS                                                                                      \
    "{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"item\",\"fields\":[" FIELD(     \
        "sku", "\"string\"") "," FIELD("tags",                                                     \
                                       "{\"type\":\"array\",\"items\":[\"null\",\"int\"]}") "]}}"

static void test_decode_nested_arrays_in_blocks(void **state)
{
    (void)state;
    DECODES(ITEMS, "\0", "[]");
    /* two blocks: one of two items, one of one with its size */
    DECODES(
        ITEMS, "\4\2a\4\2\2\0\0\2b\0\1\6\2c\0\0",
        "[{\"sku\":\"a\",\"tags\":[1,null]},{\"sku\":\"b\",\"tags\":[]},{\"sku\":\"c\",\"tags\":[]"
        "}]");
    DECODES("{\"type\":\"map\",\"values\":\"int\"}", "\4\2a\2\2b\4\0", "{\"a\":1,\"b\":2}");
    DECODES("{\"type\":\"map\",\"values\":{\"type\":\"map\",\"values\":\"int\"}}",
            "\2\2a\2\2b\4\0\0", "{\"a\":{\"b\":2}}");
}

/* ---- wanted columns ---- */

#define MANY                                                                                        \
    RECORD(FIELD("a", "\"int\"") "," FIELD("b", "\"string\"") "," FIELD(                            \
        "c",                                                                                        \
        "[\"null\","                                                                                \
        "\"long\"]") "," FIELD("d",                                                                 \
                               "\"double\"") "," FIELD("e",                                         \
                                                       ITEMS) "," FIELD("f",                        \
                                                                        "\"bytes\"") "," FIELD("g", \
                                                                                               "\"string\""))
#define MANY_BYTES "\2\4hi\2\4\0\0\0\0\0\0\xf8\x3f\2\2s\2\2\6\0\0\2x\2y"

static void test_decode_wanted_columns_only(void **state)
{
    (void)state;
    assert_decodes(MANY, "g", MANY_BYTES, sizeof(MANY_BYTES) - 1, "{\"g\":\"y\"}");
    assert_decodes(MANY, " c , a", MANY_BYTES, sizeof(MANY_BYTES) - 1, "{\"c\":2,\"a\":1}");
    assert_decodes(MANY, "e,d", MANY_BYTES, sizeof(MANY_BYTES) - 1,
                   "{\"e\":[{\"sku\":\"s\",\"tags\":[3]}],\"d\":1.5}");
    assert_decodes(MANY, NULL, MANY_BYTES, sizeof(MANY_BYTES) - 1,
                   "{\"a\":1,\"b\":\"hi\",\"c\":2,\"d\":1.5,\"e\":[{\"sku\":\"s\",\"tags\":[3]}],"
                   "\"f\":\"eA==\",\"g\":\"y\"}");
}

static void test_decoder_new_unknown_column_lists_the_fields(void **state)
{
    evs_schema *s = parse(RECORD(FIELD("a", "\"int\"") "," FIELD("b", "\"int\"")));
    evs_decoder *d = NULL;
    evs_error *err = NULL;

    (void)state;
    assert_int_equal(
        evs_decoder_new(ctx, s, EVS_OPTIONS("columns", "a,x", "framing", "none"), &d, &err),
        EVS_ERR_NOT_FOUND);
    assert_non_null(strstr(evs_error_message(err), "no field \"x\""));
    assert_non_null(strstr(evs_error_message(err), "\"b\""));
    evs_error_unref(err);
    evs_schema_unref(s);
}

/* every prefix of an event must fail, and never read beyond */
static void test_decode_every_prefix_fails(void **state)
{
    static const char *const columns[] = {NULL, "g", "a", "e", "c,f"};
    evs_schema *s = parse(MANY);

    (void)state;
    for (size_t c = 0; c < 5; c++) {
        evs_decoder *d = decoder_of(s, columns[c]);
        for (size_t n = 0; n < sizeof(MANY_BYTES) - 1; n++) {
            evs_input in = input_of(MANY_BYTES, n);
            failures f = {0};
            evs_batch *batch = NULL;
            assert_int_equal(evs_decoder_decode(d, &in, 1, keep_failure, &f, &batch, NULL), EVS_OK);
            assert_int_equal(f.count, 1);
            assert_int_equal(f.status[0], EVS_ERR_DECODE);
            assert_int_equal(batch->rows, 0);
            evs_batch_unref(batch);
            free((void *)in.value);
        }
        evs_decoder_unref(d);
    }
    evs_schema_unref(s);
}

/* ---- faults ---- */

static void test_decode_faults_tell_field_and_reason(void **state)
{
    (void)state;
    FAILS("\"int\"", "", "field \"f\": the event ends inside of it");
    FAILS("\"int\"", "\x80", "field \"f\": the event ends inside of it");
    FAILS("\"int\"", "\xff\xff\xff\xff\x1f", "field \"f\": -4294967296 does not fit into an int");
    FAILS("\"long\"", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
          "field \"f\": a number of more than 64 bits");
    FAILS("\"long\"", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
          "field \"f\": a number of more than 64 bits");
    FAILS("\"boolean\"", "\x02", "field \"f\": byte 2 is no boolean");
    FAILS("\"double\"", "1234567", "field \"f\": the event ends inside of it");
    FAILS("\"string\"",
          "\x80\xad\xe2\x04"
          "abc",
          "field \"f\": string length 5000000 is past the end");
    FAILS("\"bytes\"",
          "\x04"
          "a",
          "field \"f\": bytes length 2 is past the end");
    FAILS("\"string\"",
          "\x03"
          "ab",
          "field \"f\": string length -2 is negative");
    FAILS("\"string\"",
          "\x06"
          "a\xff"
          "b",
          "field \"f\": invalid UTF-8 at byte 1");
    FAILS("\"string\"",
          "\x2a"
          "abcdefghijklmnopqrst\xc3",
          "field \"f\": invalid UTF-8 at byte 20");
    FAILS("{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\"]}", "\x02",
          "field \"f\": the enum has no symbol 1");
    FAILS("{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\"]}", "\x01",
          "field \"f\": the enum has no symbol -1");
    FAILS("[\"null\",\"int\"]", "\x04", "field \"f\": the union has no branch 2");
    FAILS("[\"null\",\"int\"]", "\x01", "field \"f\": the union has no branch -1");
    FAILS("[\"int\",\"string\"]", "\x06", "field \"f\": the union has no branch 3");
    FAILS("\"int\"", "\x02xx", "2 bytes follow the record");
    FAILS(DECIMAL, "\0", "field \"f\": a decimal of no bytes");
    FAILS_WITH(EVS_ERR_OVERFLOW,
               "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":3,\"scale\":1}",
               "\x04\x03\xe8", "field \"f\": the decimal has more than 3 digits");
    FAILS_WITH(EVS_ERR_OVERFLOW, DECIMAL, "\x22\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
               "field \"f\": the decimal has more than 38 digits");
    FAILS_WITH(EVS_ERR_OVERFLOW, LOGICAL("long", "time-micros"),
               "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
               "field \"f\": -9223372036854776 is out of the column's range");
}

static void test_decode_nested_faults_tell_the_path(void **state)
{
    (void)state;
    FAILS(ITEMS, "\4\2a\4\2\2\0\0\2b\2\4\0\0", "field \"f[1].tags[0]\": the union has no branch 2");
    FAILS(ITEMS, "\2\2a\2\2\2\0\2\x80\xad\xe2\x04",
          "field \"f[1].sku\": string length 5000000 is past the end");
    FAILS("{\"type\":\"map\",\"values\":\"boolean\"}", "\4\2a\1\2b\4\0",
          "field \"f[1]\": byte 4 is no boolean");
    /* the same in what is skipped */
    assert_fails(RECORD(FIELD("f", ITEMS) "," FIELD("g", "\"int\"")), "g",
                 "\4\2a\4\2\2\0\0\2b\2\4\0\0\2", 14, EVS_ERR_DECODE,
                 "field \"f[1].tags[0]\": the union has no branch 2");
    assert_fails(RECORD(FIELD("a", "\"string\"") "," FIELD("b", "\"string\"") "," FIELD(
                     "c", "\"string\"") "," FIELD("g", "\"int\"")),
                 "g", "\2x\x04y", 4, EVS_ERR_DECODE,
                 "field \"b\": string or bytes length 2 is past the end");
}

static void test_decode_huge_counts_are_bounded(void **state)
{
    (void)state;
    /* 10 G nulls */
    FAILS("{\"type\":\"array\",\"items\":\"null\"}", "\x80\x90\xdf\xc0\x4a\0",
          "field \"f\": 10000000000 elements without bytes are more than 65536");
    assert_fails(
        RECORD(FIELD("f", "{\"type\":\"array\",\"items\":\"null\"}") "," FIELD("g", "\"int\"")),
        "g", "\x80\x90\xdf\xc0\x4a\0\2", 7, EVS_ERR_DECODE,
        "field \"f\": 10000000000 elements without bytes are more than 65536");
    FAILS("{\"type\":\"array\",\"items\":\"int\"}", "\x80\x90\xdf\xc0\x4a\0",
          "field \"f\": 10000000000 elements are past the end");
    FAILS("{\"type\":\"array\",\"items\":\"double\"}",
          "\x04"
          "12345678",
          "field \"f\": 2 elements are past the end");
    FAILS("{\"type\":\"array\",\"items\":\"int\"}",
          "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x02\0",
          "field \"f\": 9223372036854775807 elements are past the end");
    FAILS("{\"type\":\"array\",\"items\":\"int\"}", "\1\x80\x01\2\0",
          "field \"f\": a block of 64 bytes is past the end");
    FAILS("{\"type\":\"array\",\"items\":\"int\"}", "\3\2\2\2\0",
          "field \"f\": a block's elements do not take the 1 bytes that it says");
    FAILS("{\"type\":\"array\",\"items\":\"int\"}", "\1\1\2\0",
          "field \"f\": a block of -1 bytes is past the end");
}

static void test_decode_elements_make_too_many_values(void **state)
{
    static char schema[16384];
    static char bytes[65536];
    size_t n = 0;
    size_t len = 3;

    (void)state;
    /* one byte an element, 301 columns each */
    n += (size_t)sprintf(schema, "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"f\","
                                 "\"type\":{\"type\":\"array\",\"items\":[\"null\",{\"type\":"
                                 "\"record\",\"name\":\"i\",\"fields\":[");
    for (int i = 0; i < 300; i++)
        n += (size_t)sprintf(schema + n, "%s{\"name\":\"c%d\",\"type\":\"int\"}", i ? "," : "", i);
    sprintf(schema + n, "]}]}}]}");
    assert_decodes(schema, NULL, "\2\0\0", 3, "{\"f\":[null]}");
    memcpy(bytes, "\xc0\xa9\x07", len); /* 60,000 elements */
    assert_fails(schema, NULL, bytes, len + 60000 + 1, EVS_ERR_DECODE,
                 "field \"f\": the elements of one event make more than 16777216 values");
}

/* a linked list that nobody wants is skipped up to a bound */
static void test_decode_deep_skipped_values_are_bounded(void **state)
{
    static const char text[] = "{\"type\":\"record\",\"name\":\"r\",\"fields\":["
                               "{\"name\":\"id\",\"type\":\"int\"},"
                               "{\"name\":\"next\",\"type\":[\"null\",\"r\"]}]}";
    char bytes[4096];

    (void)state;
    memset(bytes, 2, sizeof(bytes)); /* id 1, next: branch 1 */
    bytes[199] = 0;
    assert_decodes(text, NULL, bytes, 200, "{\"id\":1}");
    /* of a long path the outermost and the innermost steps are told */
    assert_fails(
        text, NULL, bytes, 150, EVS_ERR_DECODE,
        "field \"next.next ... next.next.next.next.next.next.next.next.next.next.next.next.next."
        "next.next.id\": the event ends inside of it");
    bytes[199] = 2;
    bytes[3999] = 0;
    assert_fails(
        text, NULL, bytes, 4000, EVS_ERR_DECODE,
        "field \"next.next ... next.next.next.next.next.next.next.next.next.next.next.next.next."
        "next.next.next\": values nest deeper than 512 levels");
}

/* failing events between good ones: rows, columns, NULLs and lists are as if they had not been */
static void test_decode_failed_rows_leave_nothing(void **state)
{
    static const char schema[] = RECORD(FIELD("a", "[\"null\",\"int\"]") "," FIELD(
        "b", ITEMS) "," FIELD("c", "[\"null\",\"string\"]"));
    static const struct {
        const char *bytes;
        size_t len;
        bool good;
    } events[] = {
        {"\2\2\2\2x\2\2\2\0\0\2\2z", 13, true},
        {"\0\4\2x\2\0\0\2q\4\0\0\0\0", 14, false},
        {"\0\0\0", 3, true},
        {"\0\2\2x\2\2\2\0\0\2\4\xff\xff", 13, false},
        {"\2\2\2\2y\2\0\0\0\0", 10, true},
        {"\0\2\2x\2\0\0\2q\0\0\6", 12, false},
        {"\2\4\4\2p\0\2q\4\2\6\0\0\0\2\2r", 17, true},
    };
    evs_schema *s = parse(schema);
    evs_decoder *d = decoder_of(s, NULL);
    evs_input in[28];
    failures f = {0};
    evs_batch *batch = NULL;
    evs__buffer text;
    static const char *const rows[] = {
        "{\"a\":1,\"b\":[{\"sku\":\"x\",\"tags\":[1]}],\"c\":\"z\"}",
        "{\"a\":null,\"b\":[],\"c\":null}",
        "{\"a\":1,\"b\":[{\"sku\":\"y\",\"tags\":[null]}],\"c\":null}",
        ("{\"a\":2,\"b\":[{\"sku\":\"p\",\"tags\":[]},{\"sku\":\"q\",\"tags\":[3,null]}],\"c\":"
         "\"r\"}"),
    };

    (void)state;
    for (size_t i = 0; i < 28; i++)
        in[i] = input_of(events[i % 7].bytes, events[i % 7].len);
    for (int round = 0; round < 2; round++) {
        memset(&f, 0, sizeof(f));
        assert_int_equal(evs_decoder_decode(d, in, 28, keep_failure, &f, &batch, NULL), EVS_OK);
        assert_int_equal(f.count, 12);
        assert_int_equal(f.index[0], 1);
        assert_int_equal(f.index[11], 26);
        assert_int_equal(batch->rows, 16);
        evs__buffer_init(&text, ctx, 65536);
        for (uint32_t i = 0; i < 16; i++) {
            evs__buffer_reset(&text);
            assert_int_equal(evs__batch_row_json(batch, i, &text), EVS_OK);
            assert_string_equal(evs__buffer_cstr(&text), rows[i % 4]);
            assert_int_equal(batch->origin[i], i / 4 * 7 + i % 4 * 2);
        }
        evs__buffer_free(&text);
        evs_batch_unref(batch);
    }
    for (size_t i = 0; i < 28; i++)
        free((void *)in[i].value);
    evs_decoder_unref(d);
    evs_schema_unref(s);
}

/* ---- framing ---- */

static void test_decode_framing_faults_have_their_own_messages(void **state)
{
    evs_schema *s = parse(RECORD(FIELD("f", "\"int\"")));
    evs_decoder *d = NULL;
    evs_input in[] = {
        {.value = "\0\0\0\0\7\2", .value_len = 6},
        {.value = "\0\0\0\0", .value_len = 4},
        {.value = "\1\0\0\0\7\2", .value_len = 6},
        {.value = "\0\0\0\0\x63\2", .value_len = 6},
        {.value = NULL, .value_len = 0},
        {.value = "\0\xff\xff\xff\xff\2", .value_len = 6},
        {.value = "", .value_len = 0},
        {.value = "\0\0\0\0\7\4", .value_len = 6},
    };
    failures f = {0};
    evs_batch *batch = NULL;

    (void)state;
    assert_int_equal(evs_registry_put(ctx, "s", 7, s, NULL), EVS_OK);
    assert_int_equal(evs_decoder_new(ctx, s, NULL, &d, NULL), EVS_OK);
    assert_int_equal(evs_decoder_decode(d, in, 8, keep_failure, &f, &batch, NULL), EVS_OK);
    assert_int_equal(batch->rows, 2);
    assert_int_equal(batch->columns[0]->i32[0], 1);
    assert_int_equal(batch->columns[0]->i32[1], 2);
    assert_int_equal(f.count, 6);
    assert_string_equal(f.message[0], "4 bytes are too few for magic byte and schema id (5 bytes)");
    assert_string_equal(f.message[1],
                        "magic byte is 0x01 instead of 0x00: not framed with a schema id");
    assert_string_equal(f.message[2], "schema id 99 is unknown to the registry");
    assert_string_equal(f.message[3], "the value is null");
    assert_string_equal(f.message[4], "schema id 4294967295 is out of range");
    assert_string_equal(f.message[5], "0 bytes are too few for magic byte and schema id (5 bytes)");
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(f.status[i], EVS_ERR_DECODE);
    evs_batch_unref(batch);
    /* an unknown id may be registered meanwhile */
    assert_int_equal(evs_registry_put(ctx, "s", 99, s, NULL), EVS_OK);
    f.count = 0;
    assert_int_equal(evs_decoder_decode(d, in + 3, 1, keep_failure, &f, &batch, NULL), EVS_OK);
    assert_int_equal(f.count, 0);
    assert_int_equal(batch->rows, 1);
    evs_batch_unref(batch);
    evs_decoder_unref(d);
    evs_schema_unref(s);
}

/* the writer's schema decodes; columns match by name and type */
static void test_decode_writers_schema_of_the_id_decodes(void **state)
{
    evs_schema *reader =
        parse(RECORD(FIELD("a", "\"long\"") "," FIELD("b", "[\"null\",\"string\"]")));
    evs_schema *older = parse(RECORD(FIELD("x", "\"double\"") "," FIELD("a", "\"int\"")));
    evs_schema *newer =
        parse(RECORD(FIELD("b", "\"string\"") "," FIELD("n", ITEMS) "," FIELD("a", "\"long\"")));
    evs_schema *lacks = parse(RECORD(FIELD("b", "\"string\"")));
    evs_schema *other = parse(RECORD(FIELD("a", "\"string\"")));
    evs_decoder *d = NULL;
    evs_input in[] = {
        {.value = "\0\0\0\0\1\2\0", .value_len = 7},
        {.value = "\0\0\0\0\2abcdefgh\4", .value_len = 14},
        {.value = "\0\0\0\0\3\2x\0\6", .value_len = 9},
        {.value = "\0\0\0\0\4\2x", .value_len = 7},
        {.value = "\0\0\0\0\5\2x", .value_len = 7},
        {.value = "\0\0\0\0\2abcdefgh\x08", .value_len = 14},
    };
    failures f = {0};
    evs_batch *batch = NULL;

    (void)state;
    evs_registry_put(ctx, "s", 1, reader, NULL);
    evs_registry_put(ctx, "s", 2, older, NULL);
    evs_registry_put(ctx, "s", 3, newer, NULL);
    evs_registry_put(ctx, "s", 4, lacks, NULL);
    evs_registry_put(ctx, "s", 5, other, NULL);
    assert_int_equal(evs_decoder_new(ctx, reader, NULL, &d, NULL), EVS_OK);
    for (int round = 0; round < 2; round++) {
        f.count = 0;
        assert_int_equal(evs_decoder_decode(d, in, 6, keep_failure, &f, &batch, NULL), EVS_OK);
        assert_int_equal(batch->rows, 4);
        for (int64_t i = 0; i < 4; i++)
            assert_int_equal(batch->columns[0]->i64[i], i + 1);
        assert_true(evs__column_is_null(batch->columns[1], 1));
        assert_false(evs__column_is_null(batch->columns[1], 2));
        assert_int_equal(f.count, 2);
        assert_string_equal(
            f.message[0], "schema id 4: field \"a\": the writer's schema lacks it, and the column "
                          "is NOT NULL");
        assert_int_equal(f.status[0], EVS_ERR_SCHEMA);
        assert_string_equal(
            f.message[1],
            "schema id 5: field \"a\": string of the writer's schema is no BIGINT NOT NULL");
        evs_batch_unref(batch);
    }
    evs_decoder_unref(d);
    evs_schema_unref(reader);
    evs_schema_unref(older);
    evs_schema_unref(newer);
    evs_schema_unref(lacks);
    evs_schema_unref(other);
}

static void test_decode_null_where_the_column_is_not_null_fails(void **state)
{
    evs_schema *reader = parse(RECORD(FIELD("a", "\"int\"")));
    evs_schema *writer = parse(RECORD(FIELD("a", "[\"null\",\"int\"]")));
    evs_decoder *d = NULL;
    evs_input in[] = {{.value = "\0\0\0\0\2\0", .value_len = 6},
                      {.value = "\0\0\0\0\2\2\2", .value_len = 7}};
    failures f = {0};
    evs_batch *batch = NULL;

    (void)state;
    evs_registry_put(ctx, "s", 2, writer, NULL);
    assert_int_equal(evs_decoder_new(ctx, reader, NULL, &d, NULL), EVS_OK);
    assert_int_equal(evs_decoder_decode(d, in, 2, keep_failure, &f, &batch, NULL), EVS_OK);
    assert_int_equal(batch->rows, 1);
    assert_string_equal(f.message[0], "field \"a\": null, but the column is NOT NULL");
    assert_int_equal(f.status[0], EVS_ERR_SCHEMA);
    evs_batch_unref(batch);
    evs_decoder_unref(d);
    evs_schema_unref(reader);
    evs_schema_unref(writer);
}

static void test_decoder_without_schema_takes_the_first_writers(void **state)
{
    evs_schema *writer = parse(RECORD(FIELD("a", "\"int\"")));
    evs_decoder *d = NULL;
    evs_input in = {.value = "\0\0\0\0\2\2", .value_len = 6};
    evs_error *err = NULL;
    evs_batch *batch = NULL;

    (void)state;
    assert_int_equal(evs_decoder_new(ctx, NULL, EVS_OPTIONS("format", "avro"), &d, NULL), EVS_OK);
    assert_null(evs_decoder_type(d));
    assert_int_equal(evs_decoder_decode(d, &in, 1, NULL, NULL, &batch, &err), EVS_ERR_NOT_FOUND);
    err = evs_error_unref(err);
    evs_registry_put(ctx, "s", 2, writer, NULL);
    assert_int_equal(evs_decoder_decode(d, &in, 1, NULL, NULL, &batch, NULL), EVS_OK);
    assert_string_equal(evs_type_print(evs_decoder_type(d)), "STRUCT<a INT NOT NULL> NOT NULL");
    assert_int_equal(batch->rows, 1);
    evs_batch_unref(batch);
    evs_decoder_unref(d);
    assert_int_equal(
        evs_decoder_new(ctx, NULL, EVS_OPTIONS("format", "avro", "framing", "none"), &d, &err),
        EVS_ERR_CONFIG);
    err = evs_error_unref(err);
    evs_schema_unref(writer);
}

static void test_decoder_schema_of_options(void **state)
{
    evs_schema *s = parse(RECORD(FIELD("a", "\"int\"")));
    evs_decoder *d = NULL;
    evs_error *err = NULL;
    evs_input in = {.value = "{}", .value_len = 2};
    failures f = {0};
    evs_batch *batch = NULL;

    (void)state;
    assert_int_equal(
        evs_decoder_new(ctx, NULL, EVS_OPTIONS("schema", evs_schema_text(s)), &d, NULL), EVS_OK);
    assert_string_equal(evs_type_print(evs_decoder_type(d)), "STRUCT<a INT NOT NULL> NOT NULL");
    /* the schema's format, and the framing that goes with it */
    assert_int_equal(evs_decoder_decode(d, &in, 1, keep_failure, &f, &batch, NULL), EVS_OK);
    assert_non_null(strstr(f.message[0], "too few for magic byte"));
    evs_batch_unref(batch);
    evs_decoder_unref(d);
    assert_int_equal(evs_decoder_new(ctx, NULL,
                                     EVS_OPTIONS("format", "avro", "columns", "a INT, b VARCHAR"),
                                     &d, NULL),
                     EVS_OK);
    assert_string_equal(evs_type_print(evs_decoder_type(d)), "STRUCT<a INT, b VARCHAR> NOT NULL");
    evs_decoder_unref(d);
    /* by subject: one that is named has to be there, the topic's own need not */
    assert_int_equal(
        evs_decoder_new(ctx, NULL, EVS_OPTIONS("format", "avro", "topic", "t"), &d, NULL), EVS_OK);
    assert_null(evs_decoder_type(d));
    evs_decoder_unref(d);
    assert_int_equal(
        evs_decoder_new(ctx, NULL, EVS_OPTIONS("format", "avro", "subject", "t-value"), &d, &err),
        EVS_ERR_NOT_FOUND);
    err = evs_error_unref(err);
    assert_int_equal(evs_registry_register(ctx, "t-value", s, NULL, NULL), EVS_OK);
    assert_int_equal(
        evs_decoder_new(ctx, NULL, EVS_OPTIONS("format", "avro", "topic", "t"), &d, NULL), EVS_OK);
    assert_non_null(evs_decoder_type(d));
    evs_decoder_unref(d);
    assert_int_equal(
        evs_decoder_new(ctx, NULL, EVS_OPTIONS("schema", "a INT", "schema.file", "x"), &d, &err),
        EVS_ERR_CONFIG);
    evs_error_unref(err);
    evs_schema_unref(s);
}

static void test_decode_more_ids_than_are_kept(void **state)
{
    evs_decoder *d = NULL;
    evs_schema *reader = parse(RECORD(FIELD("a", "[\"null\",\"int\"]")));

    (void)state;
    assert_int_equal(evs_decoder_new(ctx, reader, NULL, &d, NULL), EVS_OK);
    for (int32_t id = 1; id <= 150; id++) {
        char text[256];
        evs_schema *s;
        snprintf(text, sizeof(text), RECORD(FIELD("a", "\"int\"") "," FIELD("b%d", "\"int\"")), id);
        s = parse(text);
        assert_int_equal(evs_registry_put(ctx, "s", id, s, NULL), EVS_OK);
        evs_schema_unref(s);
    }
    for (int round = 0; round < 3; round++) {
        for (uint8_t id = 1; id <= 150; id++) {
            uint8_t bytes[] = {0, 0, 0, 0, id, 2, 4};
            evs_input in = {.value = bytes, .value_len = 7};
            evs_batch *batch = NULL;
            assert_int_equal(evs_decoder_decode(d, &in, 1, NULL, NULL, &batch, NULL), EVS_OK);
            assert_int_equal(batch->rows, 1);
            evs_batch_unref(batch);
        }
    }
    evs_decoder_unref(d);
    evs_schema_unref(reader);
}

/* ---- batches ---- */

static void test_decode_batch_kept_by_the_host_is_not_reused(void **state)
{
    evs_schema *s = parse(RECORD(FIELD("a", "\"int\"")));
    evs_decoder *d = decoder_of(s, NULL);
    evs_input one = {.value = "\2", .value_len = 1}, two = {.value = "\4", .value_len = 1};
    evs_batch *first = NULL, *second = NULL, *third = NULL;

    (void)state;
    assert_int_equal(evs_decoder_decode(d, &one, 1, NULL, NULL, &first, NULL), EVS_OK);
    assert_int_equal(evs_decoder_decode(d, &two, 1, NULL, NULL, &second, NULL), EVS_OK);
    assert_ptr_not_equal(first, second);
    assert_int_equal(first->columns[0]->i32[0], 1);
    assert_int_equal(second->columns[0]->i32[0], 2);
    evs_batch_unref(first);
    assert_int_equal(evs_decoder_decode(d, &two, 1, NULL, NULL, &third, NULL), EVS_OK);
    assert_ptr_equal(first, third);
    evs_decoder_unref(d);
    /* fixed-width columns outlive the decoder */
    assert_int_equal(second->columns[0]->i32[0], 2);
    evs_batch_unref(second);
    evs_batch_unref(third);
    evs_schema_unref(s);
}

static void test_decode_arguments_are_checked(void **state)
{
    evs_schema *s = parse(RECORD(FIELD("a", "\"int\"")));
    evs_decoder *d = decoder_of(s, NULL);
    evs_batch *batch = NULL;
    evs_input in = {.value = "\2", .value_len = 1};

    (void)state;
    assert_int_equal(evs_decoder_decode(NULL, &in, 1, NULL, NULL, &batch, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_decoder_decode(d, NULL, 1, NULL, NULL, &batch, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_decoder_decode(d, &in, 4097, NULL, NULL, &batch, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_decoder_decode(d, &in, 1, NULL, NULL, NULL, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_decoder_decode(d, NULL, 0, NULL, NULL, &batch, NULL), EVS_OK);
    assert_int_equal(evs_batch_rows(batch), 0);
    evs_batch_unref(batch);
    assert_int_equal(evs_decoder_new(NULL, s, NULL, &d, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_decoder_new(ctx, s, EVS_OPTIONS("framing", "both"), &d, NULL),
                     EVS_ERR_CONFIG);
    assert_int_equal(evs_decoder_new(ctx, s, EVS_OPTIONS("framing", NULL), &d, NULL),
                     EVS_ERR_INVALID);
    assert_int_equal(
        evs_decoder_new(ctx, s, EVS_OPTIONS("schema.registry.url", "http://x"), &d, NULL),
        EVS_ERR_UNSUPPORTED);
    evs_decoder_unref(d);
    assert_null(evs_decoder_unref(NULL));
    evs_schema_unref(s);
}

/* ---- validation ---- */

static void test_validate_checks_what_columns_do_not_show(void **state)
{
    evs_schema *s =
        parse("{\"type\":\"record\",\"name\":\"r\",\"fields\":["
              "{\"name\":\"id\",\"type\":\"int\"},"
              "{\"name\":\"next\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"n\","
              "\"fields\":[{\"name\":\"s\",\"type\":\"string\"},{\"name\":\"again\",\"type\":"
              "[\"null\",\"r\"]}]}]}]}");
    evs_error *err = NULL;

    (void)state;
    assert_int_equal(evs_schema_validate(s, "\2\0", 2, NULL), EVS_OK);
    assert_int_equal(evs_schema_validate(s, "\2\2\2x\0", 5, NULL), EVS_OK);
    assert_int_equal(evs_schema_validate(s, "\2\2\2x\2\2\0", 7, NULL), EVS_OK);
    assert_int_equal(evs_schema_validate(s, "\2\2\2x\2\2\2\2\xff\0", 10, &err), EVS_ERR_DECODE);
    assert_string_equal(evs_error_message(err),
                        "field \"next.again.next.s\": invalid UTF-8 at byte 0");
    assert_string_equal(evs_error_origin(err), "next.again.next.s");
    err = evs_error_unref(err);
    assert_int_equal(evs_schema_validate(s, "\2\0x", 3, &err), EVS_ERR_DECODE);
    assert_string_equal(evs_error_message(err), "1 bytes follow the record");
    err = evs_error_unref(err);
    assert_int_equal(evs_schema_validate(s, NULL, 0, &err), EVS_ERR_DECODE);
    err = evs_error_unref(err);
    assert_int_equal(evs_schema_validate(NULL, "", 0, NULL), EVS_ERR_INVALID);
    evs_schema_unref(s);
}

static void test_value_size_of_one_among_others(void **state)
{
    evs_schema *s = parse(MANY);
    size_t size = 0;
    evs_error *err = NULL;

    (void)state;
    assert_int_equal(
        evs_schema_value_size(s, MANY_BYTES "more", sizeof(MANY_BYTES) + 3, &size, NULL), EVS_OK);
    assert_int_equal(size, sizeof(MANY_BYTES) - 1);
    assert_int_equal(evs_schema_value_size(s, MANY_BYTES, 5, &size, &err), EVS_ERR_DECODE);
    err = evs_error_unref(err);
    evs_schema_unref(s);
}

/* ---- encoding ---- */

/* columns text and a JSON-like row are the appender's work: rows come from decoding other bytes */
static void assert_encodes(const char *from,
                           const void *data,
                           size_t len,
                           const char *to,
                           const void *expected,
                           size_t expected_len,
                           const char *message)
{
    evs_schema *a = parse(from), *b = parse(to);
    evs_decoder *d = decoder_of(a, NULL);
    evs_encoder *e = NULL;
    evs_input in = input_of(data, len);
    evs_batch *batch = NULL;
    evs_string_view bytes = {NULL, 0};
    evs_error *err = NULL;
    evs_status status;

    assert_int_equal(evs_decoder_decode(d, &in, 1, NULL, NULL, &batch, NULL), EVS_OK);
    assert_int_equal(evs_batch_rows(batch), 1);
    status = evs_encoder_new(ctx, evs_decoder_type(d), b, EVS_OPTIONS("framing", "none"), &e, &err);
    if (!status)
        status = evs_encoder_encode(e, batch, 0, &bytes, &err);
    if (message) {
        assert_int_not_equal(status, EVS_OK);
        assert_string_equal(evs_error_message(err), message);
        evs_error_unref(err);
    } else {
        if (status)
            print_message("%s\n", evs_error_message(err));
        assert_int_equal(status, EVS_OK);
        assert_int_equal(bytes.len, expected_len);
        assert_memory_equal(bytes.data, expected, expected_len);
    }
    evs_batch_unref(batch);
    evs_encoder_unref(e);
    evs_decoder_unref(d);
    evs_schema_unref(a);
    evs_schema_unref(b);
    free((void *)in.value);
}

#define ENCODES(from, bytes, to, expected)                                                         \
    assert_encodes(RECORD(FIELD("f", from)), bytes, sizeof(bytes) - 1, RECORD(FIELD("f", to)),     \
                   expected, sizeof(expected) - 1, NULL)
#define ENCODE_FAILS(from, bytes, to, message)                                                     \
    assert_encodes(RECORD(FIELD("f", from)), bytes, sizeof(bytes) - 1, RECORD(FIELD("f", to)), "", \
                   0, message)

static void test_encode_into_other_types_of_the_same_meaning(void **state)
{
    (void)state;
    ENCODES("\"int\"", "\2", "\"long\"", "\2");
    ENCODES("\"long\"", "\2", "\"int\"", "\2");
    ENCODES("\"int\"", "\2", "\"double\"", "\0\0\0\0\0\0\xf0\x3f");
    ENCODES("\"int\"", "\2", "\"float\"", "\0\0\x80\x3f");
    ENCODES("\"long\"", "\2", "\"double\"", "\0\0\0\0\0\0\xf0\x3f");
    ENCODES("\"double\"", "\0\0\0\0\0\0\xf0\x3f", "\"float\"", "\0\0\x80\x3f");
    ENCODES("\"int\"", "\2", "[\"null\",\"int\"]", "\2\2");
    ENCODES("\"int\"", "\2", "[\"string\",\"long\"]", "\2\2");
    ENCODES("[\"null\",\"int\"]", "\0", "[\"int\",\"null\"]", "\2");
    ENCODES("\"string\"", "\2A", "{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"B\",\"A\"]}",
            "\2");
    ENCODES("\"string\"", "\2A", "\"bytes\"", "\2A");
    ENCODES(LOGICAL("long", "timestamp-millis"), "\2", LOGICAL("long", "timestamp-micros"),
            "\xd0\x0f");
    ENCODES(LOGICAL("long", "timestamp-millis"), "\2", "\"long\"", "\2");
    ENCODES(LOGICAL("int", "time-millis"), "\2", LOGICAL("long", "time-micros"), "\xd0\x0f");
    ENCODES("{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":4,\"scale\":1}",
            "\x02\xff",
            "{\"type\":\"fixed\",\"name\":\"d\",\"size\":20,\"logicalType\":\"decimal\","
            "\"precision\":9,"
            "\"scale\":2}",
            "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xf6");
    ENCODES("\"string\"",
            "\x48"
            "a4818e1c-8e59-11eb-8dcd-0242ac130003",
            "{\"type\":\"fixed\",\"name\":\"u\",\"size\":16,\"logicalType\":\"uuid\"}",
            "\xa4\x81\x8e\x1c\x8e\x59\x11\xeb\x8d\xcd\x02\x42\xac\x13\x00\x03");
}

static void test_encode_values_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    ENCODE_FAILS("\"long\"", "\x80\x80\x80\x80\x10", "\"int\"",
                 "field \"f\": 2147483648 does not fit into an int");
    ENCODE_FAILS("[\"null\",\"int\"]", "\0", "\"int\"",
                 "field \"f\": required by the schema, but NULL");
    ENCODE_FAILS("\"string\"", "\2A", "{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"B\"]}",
                 "field \"f\": \"A\" is no symbol of e");
    ENCODE_FAILS("\"string\"", "\6A\0B", "{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\"]}",
                 "field \"f\": \"A\" is no symbol of e");
    ENCODE_FAILS("\"bytes\"", "\2A", "{\"type\":\"fixed\",\"name\":\"x\",\"size\":2}",
                 "field \"f\": 1 bytes where x has 2");
    ENCODE_FAILS("\"double\"", "\0\0\0\0\0\0\xe0\x7f", "\"float\"",
                 "field \"f\": the number does not fit into a float");
    ENCODE_FAILS(LOGICAL("long", "timestamp-millis"), "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                 LOGICAL("long", "timestamp-micros"), "field \"f\": the time is out of range");
    ENCODE_FAILS("\"string\"", "\2x",
                 "{\"type\":\"fixed\",\"name\":\"u\",\"size\":16,\"logicalType\":\"uuid\"}",
                 "field \"f\": the text is no UUID");
    ENCODE_FAILS("\"string\"", "\2x", "\"int\"",
                 "encoder: field \"f\": VARCHAR NOT NULL cannot be written as int");
    ENCODE_FAILS("{\"type\":\"array\",\"items\":[\"null\",\"int\"]}", "\4\2\2\0\0",
                 "{\"type\":\"array\",\"items\":\"int\"}",
                 "field \"f[1]\": required by the schema, but NULL");
}

static void test_encode_absent_fields_get_their_default(void **state)
{
    (void)state;
    assert_encodes(RECORD(FIELD("b", "\"int\"")), "\2", 1,
                   RECORD("{\"name\":\"a\",\"type\":\"string\",\"default\":\"xy\"}," FIELD(
                       "b", "\"int\"") "," FIELD("c", "[\"int\",\"null\"]")),
                   "\4xy\2\2", 5, NULL);
    assert_encodes(RECORD(FIELD("b", "\"int\"")), "\2", 1,
                   RECORD(FIELD("b", "\"int\"") "," FIELD("c", "\"int\"")), "", 0,
                   "encoder: field \"c\": required, no default, and there is no such column");
    assert_encodes(RECORD(FIELD("b", "\"int\"") "," FIELD("c", "\"int\"")), "\2\2", 2,
                   RECORD(FIELD("b", "\"int\"")), "", 0,
                   "encoder: field \"c\": the schema's record r has no such field");
}

static void test_encode_framing_registers_the_schema(void **state)
{
    evs_schema *s = parse(RECORD(FIELD("a", "\"int\"")));
    evs_schema *got = NULL;
    evs_decoder *d = decoder_of(s, NULL);
    evs_encoder *e = NULL;
    evs_input in = {.value = "\2", .value_len = 1};
    evs_batch *batch = NULL;
    evs_string_view bytes;
    int32_t id = 0;

    (void)state;
    assert_int_equal(evs_decoder_decode(d, &in, 1, NULL, NULL, &batch, NULL), EVS_OK);
    assert_int_equal(
        evs_encoder_new(ctx, evs_decoder_type(d), s, EVS_OPTIONS("topic", "purchases"), &e, NULL),
        EVS_OK);
    assert_int_equal(evs_registry_latest(ctx, "purchases-value", &id, &got, NULL), EVS_OK);
    assert_int_equal(id, 1);
    assert_ptr_equal(evs_encoder_schema(e), s);
    assert_int_equal(evs_encoder_encode(e, batch, 0, &bytes, NULL), EVS_OK);
    assert_int_equal(bytes.len, 6);
    assert_memory_equal(bytes.data, "\0\0\0\0\1\2", 6);
    assert_int_equal(evs_encoder_encode(e, batch, 1, &bytes, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_encoder_append(e, batch, 0, NULL, NULL), EVS_OK);
    assert_int_equal(evs_encoder_append(e, batch, 0, "|", NULL), EVS_OK);
    bytes = evs_encoder_take(e);
    assert_int_equal(bytes.len, 13);
    assert_memory_equal(bytes.data, "\0\0\0\0\1\2\0\0\0\0\1\2|", 13);
    assert_int_equal(evs_encoder_append(e, batch, 0, NULL, NULL), EVS_OK);
    assert_int_equal(evs_encoder_take(e).len, 6);
    assert_int_equal(evs_encoder_take(e).len, 0);
    evs_schema_unref(got);
    evs_batch_unref(batch);
    evs_encoder_unref(e);
    evs_decoder_unref(d);
    evs_schema_unref(s);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_decode_each_primitive),
        T(test_decode_varints_of_every_length),
        T(test_decode_each_logical_type),
        T(test_decode_unions),
        T(test_decode_nested_arrays_in_blocks),
        T(test_decode_wanted_columns_only),
        T(test_decoder_new_unknown_column_lists_the_fields),
        T(test_decode_every_prefix_fails),
        T(test_decode_faults_tell_field_and_reason),
        T(test_decode_nested_faults_tell_the_path),
        T(test_decode_huge_counts_are_bounded),
        T(test_decode_elements_make_too_many_values),
        T(test_decode_deep_skipped_values_are_bounded),
        T(test_decode_failed_rows_leave_nothing),
        T(test_decode_framing_faults_have_their_own_messages),
        T(test_decode_writers_schema_of_the_id_decodes),
        T(test_decode_null_where_the_column_is_not_null_fails),
        T(test_decoder_without_schema_takes_the_first_writers),
        T(test_decoder_schema_of_options),
        T(test_decode_more_ids_than_are_kept),
        T(test_decode_batch_kept_by_the_host_is_not_reused),
        T(test_decode_arguments_are_checked),
        T(test_validate_checks_what_columns_do_not_show),
        T(test_value_size_of_one_among_others),
        T(test_encode_into_other_types_of_the_same_meaning),
        T(test_encode_values_that_do_not_fit_are_refused),
        T(test_encode_absent_fields_get_their_default),
        T(test_encode_framing_registers_the_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
