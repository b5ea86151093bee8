/*
 * Delimited text, both ways: quoting, NULL against empty, every type, and each failure of a row.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"

static evs_context *ctx;

static int open_context(void **state)
{
    (void)state;
    return evs_context_new(NULL, &ctx, NULL);
}

static int close_context(void **state)
{
    (void)state;
    evs_context_unref(ctx);
    return 0;
}

typedef struct delimited_case {
    const char *columns;
    const char *wanted; /* NULL: all */
    const char *delimiter;
    const char *event;
    const char *row; /* as JSON; NULL: it fails */
    evs_status status;
    const char *message;
    const char *back; /* encoded again; NULL: as it came; "": not tried */
} delimited_case;

static evs_schema *schema_of(const char *columns)
{
    evs_schema *schema = NULL;
    evs_error *err = NULL;

    if (evs_schema_columns(ctx, columns, &schema, &err))
        fail_msg("%s: %s", columns, evs_error_message(err));
    return schema;
}

typedef struct failure {
    evs_status status;
    char message[200];
} failure;

static void failed(size_t index, evs_status status, const char *message, void *user_data)
{
    failure *f = user_data;

    (void)index;
    f->status = status;
    strncpy(f->message, message, sizeof(f->message) - 1);
}

static void check_back(const delimited_case *c, evs_schema *schema, evs_batch *batch)
{
    const char *expected = c->back ? c->back : c->event;
    evs_encoder *encoder = NULL;
    evs_string_view out;
    evs_error *err = NULL;

    if (evs_encoder_new(
            ctx, evs_batch_type(batch), schema,
            EVS_OPTIONS("format", "delimited", "delimiter", c->delimiter ? c->delimiter : ","),
            &encoder, &err) ||
        evs_encoder_encode(encoder, batch, 0, &out, &err))
        fail_msg("%s: %s", c->event, evs_error_message(err));
    if (out.len != strlen(expected) || memcmp(out.data, expected, out.len))
        fail_msg("%.*s, not %s", (int)out.len, out.data, expected);
    evs_encoder_unref(encoder);
}

static void check(const delimited_case *c)
{
    evs_schema *schema = schema_of(c->columns);
    evs_decoder *decoder = NULL;
    evs_batch *batch = NULL;
    evs_error *err = NULL;
    failure f = {EVS_OK, ""};
    size_t len = strlen(c->event);
    char *copy = malloc(len ? len : 1);
    evs_input input = {.value = memcpy(copy, c->event, len), .value_len = (uint32_t)len};
    evs__buffer text;

    if (evs_decoder_new(ctx, schema,
                        EVS_OPTIONS("format", "delimited", "delimiter",
                                    c->delimiter ? c->delimiter : ",", "columns",
                                    c->wanted ? c->wanted : c->columns),
                        &decoder, &err))
        fail_msg("%s: %s", c->columns, evs_error_message(err));
    assert_int_equal(evs_decoder_decode(decoder, &input, 1, failed, &f, &batch, &err), EVS_OK);
    evs__buffer_init(&text, ctx, 1 << 16);
    if (c->row) {
        if (f.status)
            fail_msg("%s: %s", c->event, f.message);
        assert_int_equal(evs__batch_row_json(batch, 0, &text), EVS_OK);
        assert_string_equal(evs__buffer_cstr(&text), c->row);
        if (!c->back || *c->back)
            check_back(c, schema, batch);
    } else {
        assert_int_equal(evs_batch_rows(batch), 0);
        if (f.status != c->status || (c->message && strcmp(f.message, c->message)))
            fail_msg("%s: %s %s, not %s", c->event, evs_status_name(f.status), f.message,
                     c->message ? c->message : evs_status_name(c->status));
    }
    evs__buffer_free(&text);
    evs_batch_unref(batch);
    evs_decoder_unref(decoder);
    evs_schema_unref(schema);
    free(copy);
}
#define RUN(cases)                                                                                 \
    for (size_t i = 0; i < sizeof(cases) / sizeof((cases)[0]); i++)                                \
    check(&(cases)[i])

static void test_decode_and_encode_every_type(void **state)
{
    static const delimited_case cases[] = {
        {"a INT, b BIGINT", NULL, NULL, "-5,9223372036854775807",
         "{\"a\":-5,\"b\":9223372036854775807}"},
        {"a DOUBLE, b DECIMAL(9,2)", NULL, NULL, "1.5,19.9", "{\"a\":1.5,\"b\":19.90}", 0, NULL,
         "1.5,19.90"},
        {"a BOOLEAN, b BOOLEAN, c BOOLEAN", NULL, NULL, "true,FALSE,True",
         "{\"a\":true,\"b\":false,\"c\":true}", 0, NULL, "true,false,true"},
        {"a TIMESTAMP, b DATE, c TIME", NULL, NULL,
         "2026-11-23T17:05:16.000Z,2026-11-23,17:05:16.000",
         "{\"a\":\"2026-11-23T17:05:16.000Z\",\"b\":\"2026-11-23\",\"c\":\"17:05:16.000\"}"},
        {"a TIMESTAMP, b DATE, c TIME", NULL, NULL, "1000,1,1000",
         "{\"a\":\"1970-01-01T00:00:01.000Z\",\"b\":\"1970-01-02\",\"c\":\"00:00:01.000\"}", 0,
         NULL, ""},
        {"a BYTES", NULL, NULL, "AAEC", "{\"a\":\"AAEC\"}", 0, NULL, "\"AAEC\""},
        {"a VARCHAR, b VARCHAR", NULL, NULL, "x y,caf\xc3\xa9",
         "{\"a\":\"x y\",\"b\":\"caf\xc3\xa9\"}"},
    };

    (void)state;
    RUN(cases);
}

static void test_decode_and_encode_quotes_and_nulls(void **state)
{
    static const delimited_case cases[] = {
        {"a VARCHAR, b VARCHAR, c VARCHAR", NULL, NULL, ",\"\",x",
         "{\"a\":null,\"b\":\"\",\"c\":\"x\"}"},
        {"a VARCHAR, b INT", NULL, NULL, "\"Hall, Anna\",7", "{\"a\":\"Hall, Anna\",\"b\":7}"},
        {"a VARCHAR, b VARCHAR", NULL, NULL, "\"say \"\"hi\"\"\",\"\"\"\"",
         "{\"a\":\"say \\\"hi\\\"\",\"b\":\"\\\"\"}"},
        {"a VARCHAR", NULL, NULL, "\"two\r\nlines\"", "{\"a\":\"two\\r\\nlines\"}"},
        {"a VARCHAR, b INT", NULL, NULL, "\"x\",\"7\"\r\n", "{\"a\":\"x\",\"b\":7}", 0, NULL,
         "x,7"},
        {"a VARCHAR, b INT", NULL, NULL, "x,\n", "{\"a\":\"x\",\"b\":null}", 0, NULL, "x,"},
        {"a VARCHAR", NULL, NULL, "", "{\"a\":null}", 0, NULL, ""},
        {"a VARCHAR, b DOUBLE", NULL, ";", "x,y;1.5", "{\"a\":\"x,y\",\"b\":1.5}"},
        {"a VARCHAR, b DOUBLE", NULL, "\\t", "x\t\"1.5\"", "{\"a\":\"x\",\"b\":1.5}", 0, NULL, ""},
        {"a DOUBLE, b INT", NULL, ".", "\"1.5\".7", "{\"a\":1.5,\"b\":7}"},
    };

    (void)state;
    RUN(cases);
}

static void test_decode_some_columns_skips_the_others(void **state)
{
    static const delimited_case cases[] = {
        {"a INT, b INT, c VARCHAR", "c, a", NULL, "1,nonsense,\"x\"\"\"",
         "{\"c\":\"x\\\"\",\"a\":1}", 0, NULL, ""},
        {"a INT, b INT, c VARCHAR", "a", NULL, "1,\"x,y\"", NULL, EVS_ERR_SCHEMA,
         "2 fields instead of 3"},
    };

    (void)state;
    RUN(cases);
}

static void test_decode_bad_rows_fail_with_field_and_reason(void **state)
{
    static const delimited_case cases[] = {
        {"a INT, b INT", NULL, NULL, "1", NULL, EVS_ERR_SCHEMA, "1 fields instead of 2"},
        {"a INT, b INT", NULL, NULL, "1,2,3", NULL, EVS_ERR_SCHEMA, "more than 2 fields"},
        {"a INT, b INT", NULL, NULL, "1,x", NULL, EVS_ERR_SCHEMA, "field \"b\": not a number"},
        {"a INT, b INT", NULL, NULL, "1, 2", NULL, EVS_ERR_SCHEMA, "field \"b\": not a number"},
        {"a INT", NULL, NULL, "2147483648", NULL, EVS_ERR_OVERFLOW,
         "field \"a\": the number does not fit the type"},
        {"a BIGINT", NULL, NULL, "9223372036854775808", NULL, EVS_ERR_OVERFLOW, NULL},
        {"a INT", NULL, NULL, "\"\"", NULL, EVS_ERR_SCHEMA, NULL},
        {"a INT NOT NULL", NULL, NULL, "", NULL, EVS_ERR_SCHEMA, "field \"a\": required, is empty"},
        {"a DOUBLE", NULL, NULL, "NaN", NULL, EVS_ERR_SCHEMA, NULL},
        {"a DOUBLE", NULL, NULL, "1e999", NULL, EVS_ERR_OVERFLOW, NULL},
        {"a DECIMAL(4,2)", NULL, NULL, "1.234", NULL, EVS_ERR_OVERFLOW, NULL},
        {"a BOOLEAN", NULL, NULL, "yes", NULL, EVS_ERR_SCHEMA,
         "field \"a\": neither true nor false"},
        {"a BYTES", NULL, NULL, "???", NULL, EVS_ERR_SCHEMA, "field \"a\": not base64"},
        {"a DATE", NULL, NULL, "2026-13-01", NULL, EVS_ERR_SCHEMA, NULL},
        {"a TIME", NULL, NULL, "86400000", NULL, EVS_ERR_OVERFLOW, NULL},
        {"a VARCHAR", NULL, NULL, "x\"y", NULL, EVS_ERR_DECODE,
         "field \"a\": a quote inside an unquoted field"},
        {"a VARCHAR", NULL, NULL, "\"x", NULL, EVS_ERR_DECODE,
         "field \"a\": the closing quote is missing"},
        {"a VARCHAR", NULL, NULL, "\"x\"\"", NULL, EVS_ERR_DECODE, NULL},
        {"a VARCHAR", NULL, NULL, "\"x\"y", NULL, EVS_ERR_DECODE,
         "field \"a\": text follows the closing quote"},
        {"a VARCHAR, b VARCHAR", NULL, NULL, "x\ny,z", NULL, EVS_ERR_DECODE,
         "field \"a\": a line end inside an unquoted field"},
        {"a VARCHAR", NULL, NULL, "x\xff", NULL, EVS_ERR_DECODE, "invalid UTF-8 at byte 1"},
    };

    (void)state;
    RUN(cases);
}

static void test_new_nested_types_and_bad_delimiters_are_refused(void **state)
{
    evs_schema *schema = schema_of("a INT, b ARRAY<INT>");
    evs_schema *plain = schema_of("a INT");
    evs_decoder *decoder = NULL;
    evs_encoder *encoder = NULL;
    evs_error *err = NULL;

    (void)state;
    assert_int_equal(
        evs_decoder_new(ctx, schema, EVS_OPTIONS("format", "delimited"), &decoder, &err),
        EVS_ERR_UNSUPPORTED);
    assert_string_equal(evs_error_origin(err), "b");
    err = evs_error_unref(err);
    assert_int_equal(evs_encoder_new(ctx, evs_schema_type(schema), NULL,
                                     EVS_OPTIONS("format", "delimited"), &encoder, NULL),
                     EVS_ERR_UNSUPPORTED);
    assert_int_equal(evs_decoder_new(ctx, plain,
                                     EVS_OPTIONS("format", "delimited", "delimiter", "\""),
                                     &decoder, &err),
                     EVS_ERR_CONFIG);
    evs_error_unref(err);
    evs_schema_unref(schema);
    evs_schema_unref(plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode_and_encode_every_type),
        cmocka_unit_test(test_decode_and_encode_quotes_and_nulls),
        cmocka_unit_test(test_decode_some_columns_skips_the_others),
        cmocka_unit_test(test_decode_bad_rows_fail_with_field_and_reason),
        cmocka_unit_test(test_new_nested_types_and_bad_delimiters_are_refused),
    };

    return cmocka_run_group_tests(tests, open_context, close_context);
}
