/*
 * JSON encoder: every type as text, members in the schema's order and under their paths, escapes,
 * and what has no JSON form. Rows come from the decoder or the appender; the encoder is the public
 * one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
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

static evs_schema *schema_of(const char *columns)
{
    evs_schema *schema = NULL;
    evs_error *err = NULL;

    if (evs_schema_columns(ctx, columns, &schema, &err))
        fail_msg("%s: %s", columns, evs_error_message(err));
    return schema;
}

/* the rows of events by `columns`; the events must outlive the batch */
static evs_batch *rows_of(const char *columns, const char *event)
{
    evs_schema *schema = schema_of(columns);
    evs_decoder *decoder = NULL;
    evs_batch *batch = NULL, *kept = NULL;
    evs_input input = {.value = event, .value_len = (uint32_t)strlen(event)};

    assert_int_equal(evs_decoder_new(ctx, schema, EVS_OPTIONS("format", "json"), &decoder, NULL),
                     EVS_OK);
    assert_int_equal(evs_decoder_decode(decoder, &input, 1, NULL, NULL, &batch, NULL), EVS_OK);
    if (evs_batch_rows(batch) != 1)
        fail_msg("%s does not decode as %s", event, columns);
    assert_int_equal(evs_batch_keep(batch, &kept, NULL), EVS_OK);
    evs_batch_unref(batch);
    evs_decoder_unref(decoder);
    evs_schema_unref(schema);
    return kept;
}

/* row 0 of the batch by a schema (NULL: its own type's) must be `text`, or fail */
static void check_batch(
    evs_batch *batch, const char *columns, const char *text, evs_status wanted, const char *why)
{
    evs_schema *schema = columns ? schema_of(columns) : NULL;
    evs_encoder *encoder = NULL;
    evs_error *err = NULL;
    evs_string_view out = {NULL, 0};
    evs_status status = evs_encoder_new(ctx, evs_batch_type(batch), schema,
                                        EVS_OPTIONS("format", "json"), &encoder, &err);

    for (int again = 0; again < 2 && !status; again++) {
        status = evs_encoder_encode(encoder, batch, 0, &out, &err);
        if (!status && text && (strlen(text) != out.len || memcmp(out.data, text, out.len)))
            fail_msg("%.*s, not %s", (int)out.len, out.data, text);
    }
    if (status != wanted)
        fail_msg("%s: %s, not %s", evs_status_name(status), evs_error_message(err), why ? why : "");
    if (why)
        assert_string_equal(evs_error_message(err), why);
    evs_error_unref(err);
    evs_encoder_unref(encoder);
    evs_schema_unref(schema);
    evs_batch_unref(batch);
}

static void test_encode_every_type(void **state)
{
    static const struct {
        const char *columns, *event, *text;
    } cases[] = {
        {"a BOOLEAN, b BOOLEAN", "{\"a\":true,\"b\":false}", NULL},
        {"a INT, b BIGINT", "{\"a\":-2147483648,\"b\":9223372036854775807}", NULL},
        {"a DOUBLE, b DOUBLE, c DOUBLE", "{\"a\":0.1,\"b\":-1.5e300,\"c\":3}",
         "{\"a\":0.1,\"b\":-1.5e300,\"c\":3.0}"},
        {"a DECIMAL(9,2), b DECIMAL(38,0)",
         "{\"a\":-0.5,\"b\":12345678901234567890123456789012345678}",
         "{\"a\":-0.50,\"b\":12345678901234567890123456789012345678}"},
        {"a VARCHAR, b VARCHAR", "{\"a\":\"\",\"b\":\"caf\xc3\xa9\"}", NULL},
        {"a BYTES", "{\"a\":\"AAEC/w==\"}", NULL},
        {"a TIMESTAMP, b DATE, c TIME",
         "{\"a\":\"2026-11-23T17:05:16.123Z\",\"b\":\"2026-11-23\",\"c\":\"17:05:16.000\"}", NULL},
        {"a TIMESTAMP", "{\"a\":9000000000000000}", "{\"a\":9000000000000000}"},
        {"a TIMESTAMP", "{\"a\":-9000000000000000}", "{\"a\":-9000000000000000}"},
        {"a ARRAY<INT>, b ARRAY<ARRAY<VARCHAR>>", "{\"a\":[],\"b\":[[\"x\",null],[],null]}", NULL},
        {"a MAP<DOUBLE>", "{\"a\":{\"x\":1.5,\"\\\"\":null}}", NULL},
        {"a STRUCT<b STRUCT<c INT, d INT>>", "{\"a\":{\"b\":{\"c\":1,\"d\":null}}}", NULL},
        {"a STRUCT<b INT>, b INT", "{\"a\":null,\"b\":null}", NULL},
        {"\"a\"\"b\" INT, \"\xc3\xa9\" INT", "{\"a\\\"b\":1,\"\xc3\xa9\":2}", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_batch(rows_of(cases[i].columns, cases[i].event), NULL,
                    cases[i].text ? cases[i].text : cases[i].event, EVS_OK, NULL);
}

static void test_encode_members_follow_the_schema_and_its_paths(void **state)
{
    static const struct {
        const char *rows, *event, *schema, *text;
    } cases[] = {
        {"a INT, b INT", "{\"a\":1,\"b\":2}", "b INT, a INT", "{\"b\":2,\"a\":1}"},
        {"a INT, b INT", "{\"a\":1,\"b\":2}", "b INT", "{\"b\":2}"},
        {"a INT", "{\"a\":1}", "a BIGINT, c VARCHAR", "{\"a\":1,\"c\":null}"},
        {"a INT, b INT, c INT, d INT", "{\"a\":1,\"b\":2,\"c\":3,\"d\":4}",
         "a INT '$.x.y.a', b INT, c INT '$.x.c', d INT '$.x.y.d'",
         "{\"x\":{\"y\":{\"a\":1,\"d\":4},\"c\":3},\"b\":2}"},
        {"a STRUCT<p INT, q INT>", "{\"a\":{\"p\":1,\"q\":2}}", "a STRUCT<q INT, r INT>",
         "{\"a\":{\"q\":2,\"r\":null}}"},
        {"a INT", "{\"a\":1}", "a INT '$[\"x.y\"]'", "{\"x.y\":1}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_batch(rows_of(cases[i].rows, cases[i].event), cases[i].schema, cases[i].text, EVS_OK,
                    NULL);
}

static void test_encoder_new_types_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    check_batch(rows_of("a VARCHAR", "{\"a\":\"1\"}"), "a INT", NULL, EVS_ERR_SCHEMA,
                "field \"a\": rows have VARCHAR, the schema INT");
    check_batch(rows_of("a BIGINT", "{\"a\":1}"), "a INT", NULL, EVS_ERR_SCHEMA,
                "field \"a\": rows have BIGINT, the schema INT");
    check_batch(rows_of("a INT", "{\"a\":1}"), "a INT, b INT NOT NULL", NULL, EVS_ERR_SCHEMA,
                "field \"b\": required by the schema, the rows do not have it");
    check_batch(rows_of("a INT, b INT", "{\"a\":1}"), "a INT '$.x', b INT '$.x.y'", NULL,
                EVS_ERR_SCHEMA, NULL);
    check_batch(rows_of("a ARRAY<VARCHAR>", "{\"a\":[]}"), "a ARRAY<INT>", NULL, EVS_ERR_SCHEMA,
                "field \"a\": rows have VARCHAR, the schema INT");
}

static void test_encode_null_where_required_is_an_error(void **state)
{
    (void)state;
    check_batch(rows_of("a INT", "{\"a\":null}"), "a INT NOT NULL", NULL, EVS_ERR_SCHEMA,
                "field \"a\": required, is NULL");
    check_batch(rows_of("a ARRAY<STRUCT<b INT>>", "{\"a\":[{\"b\":1},{}]}"),
                "a ARRAY<STRUCT<b INT NOT NULL>>", NULL, EVS_ERR_SCHEMA,
                "field \"a[1].b\": required, is NULL");
    check_batch(rows_of("a MAP<INT>", "{\"a\":{\"k\":null}}"), "a MAP<INT NOT NULL>", NULL,
                EVS_ERR_SCHEMA, "field \"a.k\": required, is NULL");
}

static void test_encode_nan_and_infinity_are_errors(void **state)
{
    const double values[] = {NAN, INFINITY, -INFINITY};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        evs_type *type = NULL;
        evs_appender *appender = NULL;
        evs_batch *batch = NULL;

        assert_int_equal(evs_type_parse(ctx, "STRUCT<a DOUBLE>", &type, NULL), EVS_OK);
        assert_int_equal(evs_appender_new(ctx, type, &appender, NULL), EVS_OK);
        evs_append_double(appender, values[i]);
        assert_int_equal(evs_append_end_row(appender, NULL), EVS_OK);
        assert_int_equal(evs_appender_take(appender, &batch, NULL), EVS_OK);
        check_batch(batch, NULL, NULL, EVS_ERR_ENCODE,
                    "field \"a\": NaN and infinities have no JSON form");
        evs_appender_unref(appender);
        evs_type_unref(type);
    }
}

/* each byte at each place of texts of each length up to two vectors */
static void test_encode_text_is_escaped_wherever_it_must(void **state)
{
    evs_schema *schema = schema_of("a VARCHAR");
    evs_encoder *encoder = NULL;
    evs_batch *batch = NULL;
    evs__buffer expected;

    (void)state;
    assert_int_equal(evs_encoder_new(ctx, evs_schema_type(schema), NULL,
                                     EVS_OPTIONS("format", "json"), &encoder, NULL),
                     EVS_OK);
    assert_int_equal(evs__batch_new(ctx, evs_schema_type(schema), EVS_LAYOUT_VIEW, 1, &batch),
                     EVS_OK);
    batch->rows = batch->count = 1;
    evs__buffer_init(&expected, ctx, 1 << 16);
    for (size_t len = 1; len < 40; len++) {
        char *text = malloc(len);

        for (unsigned c = 0; c < 0x80; c++) {
            size_t at = (len * 7 + c) % len;
            evs_string_view out;

            memset(text, 'x', len);
            text[at] = (char)c;
            text[len - 1] = c % 5 ? text[len - 1] : (char)c;
            batch->columns[0]->length = 0;
            evs__column_append_view(batch->columns[0], text, len);
            assert_int_equal(evs_encoder_encode(encoder, batch, 0, &out, NULL), EVS_OK);
            evs__buffer_reset(&expected);
            evs__buffer_text(&expected, "{\"a\":\"");
            for (size_t i = 0; i < len; i++) {
                unsigned char b = (unsigned char)text[i];
                static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";

                if (b && strchr(plain, b))
                    evs__buffer_printf(&expected, "\\%c", letters[strchr(plain, b) - plain]);
                else if (b < 0x20)
                    evs__buffer_printf(&expected, "\\u%04x", b);
                else
                    evs__buffer_byte(&expected, b);
            }
            evs__buffer_text(&expected, "\"}");
            assert_int_equal(out.len, expected.len);
            assert_memory_equal(out.data, expected.data, out.len);
        }
        free(text);
    }
    evs__buffer_free(&expected);
    evs_batch_unref(batch);
    evs_encoder_unref(encoder);
    evs_schema_unref(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode_every_type),
        cmocka_unit_test(test_encode_members_follow_the_schema_and_its_paths),
        cmocka_unit_test(test_encoder_new_types_that_do_not_fit_are_refused),
        cmocka_unit_test(test_encode_null_where_required_is_an_error),
        cmocka_unit_test(test_encode_nan_and_infinity_are_errors),
        cmocka_unit_test(test_encode_text_is_escaped_wherever_it_must),
    };

    return cmocka_run_group_tests(tests, open_context, close_context);
}
