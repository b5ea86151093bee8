/*
 * JSON decoder: every type, every failure, and the order and form of members. Each case runs with
 * each build of the reader (plain, SSE2, AVX2), twice with the same decoder (the second time with
 * learned members), as it stands and made longer, so that short events do not only meet the plain
 * reader. Events are copied into memory of exactly their size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/frame.h"
#include "codec/json.h"

static const evs__json_walk *const walks[] = {
    &evs__json_walk_plain,
#ifdef EVS__JSON_X86
    &evs__json_walk_sse2,
    &evs__json_walk_avx2,
#endif
};
#define WALKS (sizeof(walks) / sizeof(walks[0]))

static bool walk_runs(const evs__json_walk *walk)
{
    return strcmp(walk->name, "avx2") || !strcmp(evs__json_walk_best()->name, "avx2");
}

/* one decoder with its batch */
typedef struct fixture {
    evs_context *ctx;
    evs_schema *schema;
    evs__format_decoder *decoder;
    evs_batch *batch;
    evs__scratch scratch;
    char message[256];
    char text[4096];
} fixture;

static void fixture_open(fixture *f, const char *columns, const evs__json_walk *walk)
{
    evs_error *err = NULL;
    evs__codec_options o = {0};

    memset(f, 0, sizeof(*f));
    assert_int_equal(evs_context_new(NULL, &f->ctx, NULL), EVS_OK);
    if (evs_schema_columns(f->ctx, columns, &f->schema, &err))
        fail_msg("%s: %s", columns, evs_error_message(err));
    if (evs__format_json.new_decoder(f->ctx, f->schema, f->schema->type, &o, &f->decoder, &err))
        fail_msg("%s: %s", columns, evs_error_message(err));
    evs__json_decoder_use(f->decoder, walk);
    /* less room than rows: columns must grow */
    assert_int_equal(evs__batch_new(f->ctx, f->schema->type, EVS_LAYOUT_VIEW, 1, &f->batch),
                     EVS_OK);
    evs__scratch_init(&f->scratch, f->ctx);
}

static void fixture_close(fixture *f)
{
    f->decoder->free(f->decoder);
    evs_batch_unref(f->batch);
    evs__scratch_free(&f->scratch);
    evs_schema_unref(f->schema);
    evs_context_unref(f->ctx);
}

/* decode one event; its row as JSON is in f->text, its message in f->message */
static evs_status fixture_decode(fixture *f, const char *event, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    uint32_t row = f->batch->columns[0]->length;
    evs__buffer out;
    evs_status status;

    memcpy(copy, event, len);
    f->text[0] = '\0';
    f->message[0] = '\0';
    status = f->decoder->decode_row(f->decoder, copy, len, f->batch->columns, &f->scratch,
                                    f->message, sizeof(f->message));
    for (uint32_t i = 0; i < f->batch->column_count; i++)
        assert_int_equal(f->batch->columns[i]->length, row + (status == EVS_OK));
    if (!status) {
        evs__buffer_init(&out, f->ctx, 1 << 20);
        assert_int_equal(evs__batch_row_json(f->batch, row, &out), EVS_OK);
        assert_true(out.len < sizeof(f->text));
        memcpy(f->text, out.data, out.len);
        f->text[out.len] = '\0';
        evs__buffer_free(&out);
        /* views go with the copy */
        for (uint32_t i = 0; i < f->batch->column_count; i++)
            evs__column_truncate(f->batch->columns[i], row);
    }
    free(copy);
    return status;
}

typedef struct json_case {
    const char *columns;
    const char *event;
    const char *row;     /* NULL: it fails */
    evs_status status;   /* then */
    const char *message; /* of the event as it stands; NULL: not checked */
} json_case;

static void check(fixture *f, const json_case *c, const char *event, bool as_it_stands)
{
    evs_status status = fixture_decode(f, event, strlen(event));

    if (c->row && (status || strcmp(f->text, c->row)))
        fail_msg("%s -> %s %s, not %s", event, f->text, f->message, c->row);
    if (!c->row && status != c->status)
        fail_msg("%s -> %s \"%s\", not %s", event, evs_status_name(status), f->message,
                 evs_status_name(c->status));
    if (!c->row && c->message && as_it_stands && strcmp(f->message, c->message))
        fail_msg("%s -> \"%s\", not \"%s\"", event, f->message, c->message);
    if (!c->row && !f->message[0])
        fail_msg("%s fails without a message", event);
}

/* the event as it stands, and longer: before, inside and behind what matters */
static void check_forms(fixture *f, const json_case *c)
{
    static const char filler[] = "\"#\":\"................................................\"";
    const char *rest;
    char longer[8192];

    check(f, c, c->event, true);
    snprintf(longer, sizeof(longer), "%s%60s", c->event, "");
    check(f, c, longer, false);
    snprintf(longer, sizeof(longer), "%60s%s", "", c->event);
    check(f, c, longer, false);
    if (c->event[0] != '{')
        return;
    rest = c->event + 1;
    snprintf(longer, sizeof(longer), "{%s%s%s", filler, rest[strspn(rest, " ")] == '}' ? "" : ",",
             rest);
    check(f, c, longer, false);
}

static void run_cases(const json_case *cases, size_t count)
{
    for (size_t w = 0; w < WALKS; w++) {
        if (!walk_runs(walks[w]))
            continue;
        for (size_t i = 0; i < count; i++) {
            fixture f;

            fixture_open(&f, cases[i].columns, walks[w]);
            check_forms(&f, &cases[i]);
            check_forms(&f, &cases[i]);
            fixture_close(&f);
        }
    }
}
#define RUN(cases) run_cases(cases, sizeof(cases) / sizeof((cases)[0]))

/* ---- values ---- */

static void test_decode_integers_exact_or_refused(void **state)
{
    static const json_case cases[] = {
        {"a INT", "{\"a\":0}", "{\"a\":0}"},
        {"a INT", "{\"a\":-0}", "{\"a\":0}"},
        {"a INT", "{\"a\":7}", "{\"a\":7}"},
        {"a INT", "{\"a\":-12345}", "{\"a\":-12345}"},
        {"a INT", "{\"a\":2147483647}", "{\"a\":2147483647}"},
        {"a INT", "{\"a\":-2147483648}", "{\"a\":-2147483648}"},
        {"a INT", "{\"a\":2147483648}", NULL, EVS_ERR_OVERFLOW,
         "field \"a\": number does not fit the type at byte 5"},
        {"a INT", "{\"a\":-2147483649}", NULL, EVS_ERR_OVERFLOW},
        {"a BIGINT", "{\"a\":12345678}", "{\"a\":12345678}"},
        {"a BIGINT", "{\"a\":123456789}", "{\"a\":123456789}"},
        {"a BIGINT", "{\"a\":1700000000000}", "{\"a\":1700000000000}"},
        {"a BIGINT", "{\"a\":999999999999999}", "{\"a\":999999999999999}"},
        {"a BIGINT", "{\"a\":1234567890123456}", "{\"a\":1234567890123456}"},
        {"a BIGINT", "{\"a\":-1234567890123456789}", "{\"a\":-1234567890123456789}"},
        {"a BIGINT", "{\"a\":9223372036854775807}", "{\"a\":9223372036854775807}"},
        {"a BIGINT", "{\"a\":-9223372036854775808}", "{\"a\":-9223372036854775808}"},
        {"a BIGINT", "{\"a\":9223372036854775808}", NULL, EVS_ERR_OVERFLOW},
        {"a BIGINT", "{\"a\":-9223372036854775809}", NULL, EVS_ERR_OVERFLOW},
        {"a BIGINT", "{\"a\":123456789012345678901234567890}", NULL, EVS_ERR_OVERFLOW},
        {"a BIGINT", "{\"a\":1.0}", NULL, EVS_ERR_SCHEMA,
         "field \"a\": expected BIGINT, found number 1.0 at byte 5"},
        {"a BIGINT", "{\"a\":1e3}", NULL, EVS_ERR_SCHEMA},
        {"a BIGINT", "{\"a\":\"1\"}", NULL, EVS_ERR_SCHEMA,
         "field \"a\": expected BIGINT, found text at byte 5"},
        {"a BIGINT", "{\"a\":true}", NULL, EVS_ERR_SCHEMA,
         "field \"a\": expected BIGINT, found a boolean at byte 5"},
        {"a BIGINT", "{\"a\":[1]}", NULL, EVS_ERR_SCHEMA,
         "field \"a\": expected BIGINT, found an array at byte 5"},
        {"a BIGINT", "{\"a\":{}}", NULL, EVS_ERR_SCHEMA,
         "field \"a\": expected BIGINT, found an object at byte 5"},
        {"a BIGINT NOT NULL", "{\"a\":null}", NULL, EVS_ERR_SCHEMA,
         "field \"a\": required, is null at byte 5"},
        {"a BIGINT", "{\"a\":01}", NULL, EVS_ERR_DECODE,
         "invalid JSON at byte 5: number with a leading zero"},
        {"a BIGINT", "{\"a\":-01}", NULL, EVS_ERR_DECODE},
        {"a BIGINT", "{\"a\":-}", NULL, EVS_ERR_DECODE},
        {"a BIGINT", "{\"a\":+1}", NULL, EVS_ERR_DECODE},
        {"a BIGINT", "{\"a\":1.}", NULL, EVS_ERR_DECODE},
        {"a BIGINT", "{\"a\":1x}", NULL, EVS_ERR_DECODE,
         "invalid JSON at byte 6: expected \",\" or \"}\""},
        {"a BIGINT", "{\"a\":}", NULL, EVS_ERR_DECODE, "invalid JSON at byte 5: expected a value"},
    };

    (void)state;
    RUN(cases);
}

static void test_decode_doubles_correctly_rounded(void **state)
{
    static const json_case cases[] = {
        {"a DOUBLE", "{\"a\":0}", "{\"a\":0.0}"},
        {"a DOUBLE", "{\"a\":-0.0}", "{\"a\":-0.0}"},
        {"a DOUBLE", "{\"a\":1}", "{\"a\":1.0}"},
        {"a DOUBLE", "{\"a\":19.99}", "{\"a\":19.99}"},
        {"a DOUBLE", "{\"a\":-0.1}", "{\"a\":-0.1}"},
        {"a DOUBLE", "{\"a\":123456789.12345}", "{\"a\":123456789.12345}"},
        {"a DOUBLE", "{\"a\":0.12345678901234}", "{\"a\":0.12345678901234}"},
        {"a DOUBLE", "{\"a\":999999999999999}", "{\"a\":999999999999999.0}"},
        {"a DOUBLE", "{\"a\":9007199254740993}", "{\"a\":9007199254740992.0}"},
        {"a DOUBLE", "{\"a\":0.8414709848078965}", "{\"a\":0.8414709848078965}"},
        {"a DOUBLE", "{\"a\":3.141592653589793238462643}", "{\"a\":3.141592653589793}"},
        {"a DOUBLE", "{\"a\":1e3}", "{\"a\":1000.0}"},
        {"a DOUBLE", "{\"a\":1.5E-7}", "{\"a\":1.5e-7}"},
        {"a DOUBLE", "{\"a\":2.2250738585072011e-308}", "{\"a\":2.225073858507201e-308}"},
        {"a DOUBLE", "{\"a\":1e-400}", "{\"a\":0.0}"},
        {"a DOUBLE", "{\"a\":1e400}", NULL, EVS_ERR_OVERFLOW},
        {"a DOUBLE", "{\"a\":00.1}", NULL, EVS_ERR_DECODE},
        {"a DOUBLE", "{\"a\":.5}", NULL, EVS_ERR_DECODE},
        {"a DOUBLE", "{\"a\":5.}", NULL, EVS_ERR_DECODE,
         "invalid JSON at byte 5: number without digits after the point"},
        {"a DOUBLE", "{\"a\":1e}", NULL, EVS_ERR_DECODE},
        {"a DOUBLE", "{\"a\":1e+}", NULL, EVS_ERR_DECODE},
        {"a DOUBLE", "{\"a\":NaN}", NULL, EVS_ERR_DECODE},
        {"a DOUBLE", "{\"a\":-Infinity}", NULL, EVS_ERR_DECODE},
        {"a DOUBLE", "{\"a\":\"1.5\"}", NULL, EVS_ERR_SCHEMA,
         "field \"a\": expected DOUBLE, found text at byte 5"},
        {"a DOUBLE", "{\"a\":null}", "{\"a\":null}"},
    };

    (void)state;
    RUN(cases);
}

static void test_decode_decimals_exact_with_scale(void **state)
{
    static const json_case cases[] = {
        {"a DECIMAL(9,2)", "{\"a\":19.90}", "{\"a\":19.90}"},
        {"a DECIMAL(9,2)", "{\"a\":19.9}", "{\"a\":19.90}"},
        {"a DECIMAL(9,2)", "{\"a\":-19}", "{\"a\":-19.00}"},
        {"a DECIMAL(9,2)", "{\"a\":\"19.90\"}", "{\"a\":19.90}"},
        {"a DECIMAL(9,2)", "{\"a\":19.900}", "{\"a\":19.90}"},
        {"a DECIMAL(9,2)", "{\"a\":19.901}", NULL, EVS_ERR_OVERFLOW,
         "field \"a\": too many digits for the type at byte 5"},
        {"a DECIMAL(9,2)", "{\"a\":12345678.9}", NULL, EVS_ERR_OVERFLOW},
        {"a DECIMAL(9,2)", "{\"a\":1234567.89}", "{\"a\":1234567.89}"},
        {"a DECIMAL(4,0)", "{\"a\":1e3}", "{\"a\":1000}"},
        {"a DECIMAL(4,0)", "{\"a\":10000}", NULL, EVS_ERR_OVERFLOW},
        {"a DECIMAL(20,4)", "{\"a\":99999999999999.9}", "{\"a\":99999999999999.9000}"},
        {"a DECIMAL(18,3)", "{\"a\":999999999999999}", "{\"a\":999999999999999.000}"},
        {"a DECIMAL(17,3)", "{\"a\":999999999999999}", NULL, EVS_ERR_OVERFLOW},
        {"a DECIMAL(38,10)", "{\"a\":-1234567890123456789012345678.0123456789}",
         "{\"a\":-1234567890123456789012345678.0123456789}"},
        {"a DECIMAL(9,2)", "{\"a\":\"abc\"}", NULL, EVS_ERR_SCHEMA,
         "field \"a\": text is no decimal number at byte 5"},
        {"a DECIMAL(9,2)", "{\"a\":false}", NULL, EVS_ERR_SCHEMA,
         "field \"a\": expected DECIMAL(9,2), found a boolean at byte 5"},
        {"a DECIMAL(9,2)", "{\"a\":1.}", NULL, EVS_ERR_DECODE},
    };

    (void)state;
    RUN(cases);
}

static void test_decode_text_plain_and_escaped(void **state)
{
    static const json_case cases[] = {
        {"a VARCHAR", "{\"a\":\"\"}", "{\"a\":\"\"}"},
        {"a VARCHAR", "{\"a\":\"x\"}", "{\"a\":\"x\"}"},
        {"a VARCHAR", "{\"a\":\"0123456789abcdef0123456789abcdef0123456789abcdef\"}",
         "{\"a\":\"0123456789abcdef0123456789abcdef0123456789abcdef\"}"},
        {"a VARCHAR", "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}",
         "{\"a\":\"\\\"\\\\/\\u0008\\u000c\\n\\r\\t\"}"},
        {"a VARCHAR", "{\"a\":\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00z\"}",
         "{\"a\":\"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z\"}"},
        {"a VARCHAR", "{\"a\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"}",
         "{\"a\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"}"},
        {"a VARCHAR", "{\"a\":\"}\\\"]\"}", "{\"a\":\"}\\\"]\"}"},
        {"a VARCHAR", "{\"a\":\"\\ud83d\"}", NULL, EVS_ERR_DECODE,
         "invalid JSON at byte 6: bad escape in text"},
        {"a VARCHAR", "{\"a\":\"\\ude00\"}", NULL, EVS_ERR_DECODE},
        {"a VARCHAR", "{\"a\":\"\\ud83d\\u0041\"}", NULL, EVS_ERR_DECODE},
        {"a VARCHAR", "{\"a\":\"\\u12\"}", NULL, EVS_ERR_DECODE},
        {"a VARCHAR", "{\"a\":\"\\x\"}", NULL, EVS_ERR_DECODE},
        {"a VARCHAR", "{\"a\":\"\n\"}", NULL, EVS_ERR_DECODE,
         "invalid JSON at byte 6: control character in text"},
        {"a VARCHAR", "{\"a\":\"\xff\"}", NULL, EVS_ERR_DECODE,
         "invalid JSON at byte 6: invalid UTF-8"},
        {"a VARCHAR", "{\"a\":\"\xed\xa0\x80\"}", NULL, EVS_ERR_DECODE},
        {"a VARCHAR", "{\"a\":\"\xc0\xaf\"}", NULL, EVS_ERR_DECODE},
        {"a VARCHAR", "{\"a\":\"x}", NULL, EVS_ERR_DECODE,
         "invalid JSON at byte 5: text does not end"},
        {"a VARCHAR", "{\"a\":5}", NULL, EVS_ERR_SCHEMA,
         "field \"a\": expected VARCHAR, found number 5 at byte 5"},
        {"a VARCHAR", "{\"a\":null}", "{\"a\":null}"},
        {"a VARCHAR", "{\"a\":nul}", NULL, EVS_ERR_DECODE},
    };

    (void)state;
    RUN(cases);
}

static void test_decode_other_scalars(void **state)
{
    static const json_case cases[] = {
        {"a BOOLEAN", "{\"a\":true}", "{\"a\":true}"},
        {"a BOOLEAN", "{\"a\":false}", "{\"a\":false}"},
        {"a BOOLEAN", "{\"a\":1}", NULL, EVS_ERR_SCHEMA,
         "field \"a\": expected BOOLEAN, found number 1 at byte 5"},
        {"a BOOLEAN", "{\"a\":truE}", NULL, EVS_ERR_DECODE},
        {"a BOOLEAN", "{\"a\":falsy}", NULL, EVS_ERR_DECODE},
        {"a BYTES", "{\"a\":\"aGVsbG8=\"}", "{\"a\":\"aGVsbG8=\"}"},
        {"a BYTES", "{\"a\":\"aGVsbG8\"}", "{\"a\":\"aGVsbG8=\"}"},
        {"a BYTES", "{\"a\":\"\"}", "{\"a\":\"\"}"},
        {"a BYTES", "{\"a\":\"\\/\\/8=\"}", "{\"a\":\"//8=\"}"},
        {"a BYTES", "{\"a\":\"a\"}", NULL, EVS_ERR_SCHEMA,
         "field \"a\": text is not base64 at byte 5"},
        {"a BYTES", "{\"a\":\"a-==\"}", NULL, EVS_ERR_SCHEMA},
        {"a BYTES", "{\"a\":7}", NULL, EVS_ERR_SCHEMA,
         "field \"a\": expected BYTES, found number 7 at byte 5"},
        {"a TIMESTAMP", "{\"a\":\"2026-11-23T17:05:16.123Z\"}",
         "{\"a\":\"2026-11-23T17:05:16.123Z\"}"},
        {"a TIMESTAMP", "{\"a\":\"2026-11-23T18:05:16+01:00\"}",
         "{\"a\":\"2026-11-23T17:05:16.000Z\"}"},
        {"a TIMESTAMP", "{\"a\":1700000000000}", "{\"a\":\"2023-11-14T22:13:20.000Z\"}"},
        {"a TIMESTAMP", "{\"a\":1700000000.5}", NULL, EVS_ERR_SCHEMA},
        {"a TIMESTAMP", "{\"a\":\"yesterday\"}", NULL, EVS_ERR_SCHEMA,
         "field \"a\": text is no RFC 3339 time at byte 5"},
        {"a DATE", "{\"a\":\"2026-11-23\"}", "{\"a\":\"2026-11-23\"}"},
        {"a DATE", "{\"a\":0}", "{\"a\":\"1970-01-01\"}"},
        {"a DATE", "{\"a\":\"2026-02-30\"}", NULL, EVS_ERR_SCHEMA},
        {"a DATE", "{\"a\":3000000000}", NULL, EVS_ERR_OVERFLOW},
        {"a TIME", "{\"a\":\"17:05:16.123\"}", "{\"a\":\"17:05:16.123\"}"},
        {"a TIME", "{\"a\":1000}", "{\"a\":\"00:00:01.000\"}"},
        {"a TIME", "{\"a\":86400000}", NULL, EVS_ERR_OVERFLOW},
        {"a TIME", "{\"a\":-1}", NULL, EVS_ERR_OVERFLOW},
        {"a TIME", "{\"a\":\"25:00\"}", NULL, EVS_ERR_SCHEMA},
        {"a TIME", "{\"a\":{}}", NULL, EVS_ERR_SCHEMA},
    };

    (void)state;
    RUN(cases);
}

static void test_decode_nested_types(void **state)
{
    static const json_case cases[] = {
        {"a ARRAY<INT>", "{\"a\":[]}", "{\"a\":[]}"},
        {"a ARRAY<INT>", "{\"a\":[ ]}", "{\"a\":[]}"},
        {"a ARRAY<INT>", "{\"a\":[1, 2 ,3]}", "{\"a\":[1,2,3]}"},
        {"a ARRAY<INT>", "{\"a\":[1,null]}", "{\"a\":[1,null]}"},
        {"a ARRAY<INT NOT NULL>", "{\"a\":[1,null]}", NULL, EVS_ERR_SCHEMA,
         "field \"a[1]\": required, is null at byte 8"},
        {"a ARRAY<INT>", "{\"a\":[1,]}", NULL, EVS_ERR_DECODE},
        {"a ARRAY<INT>", "{\"a\":[1 2]}", NULL, EVS_ERR_DECODE,
         "invalid JSON at byte 8: expected \",\" or \"]\""},
        {"a ARRAY<INT>", "{\"a\":[1}", NULL, EVS_ERR_DECODE},
        {"a ARRAY<INT>", "{\"a\":[[1]]}", NULL, EVS_ERR_SCHEMA,
         "field \"a[0]\": expected INT, found an array at byte 6"},
        {"a ARRAY<INT>", "{\"a\":3}", NULL, EVS_ERR_SCHEMA},
        {"a ARRAY<INT>", "{\"a\":null}", "{\"a\":null}"},
        {"a ARRAY<ARRAY<VARCHAR>>", "{\"a\":[[\"x\",\"\"],[],null]}",
         "{\"a\":[[\"x\",\"\"],[],null]}"},
        {"a STRUCT<b INT, c VARCHAR>", "{\"a\":{\"c\":\"x\",\"b\":1}}",
         "{\"a\":{\"b\":1,\"c\":\"x\"}}"},
        {"a STRUCT<b INT, c VARCHAR>", "{\"a\":{}}", "{\"a\":{\"b\":null,\"c\":null}}"},
        {"a STRUCT<b INT, c VARCHAR>", "{\"a\":null}", "{\"a\":null}"},
        {"a STRUCT<b INT NOT NULL>", "{\"a\":{\"x\":1}}", NULL, EVS_ERR_SCHEMA,
         "field \"a.b\": required, missing"},
        {"a STRUCT<b INT>", "{\"a\":{\"b\":1,\"b\":2}}", NULL, EVS_ERR_SCHEMA,
         "field \"a.b\": the member occurs twice at byte 16"},
        {"a STRUCT<b INT>", "{\"a\":[]}", NULL, EVS_ERR_SCHEMA},
        {"a ARRAY<STRUCT<sku VARCHAR NOT NULL, price DECIMAL(9,2)>>",
         "{\"a\":[{\"sku\":\"A-1\",\"price\":19.9},{\"sku\":\"B\",\"z\":{\"q\":[1]}}]}",
         "{\"a\":[{\"sku\":\"A-1\",\"price\":19.90},{\"sku\":\"B\",\"price\":null}]}"},
        {"a ARRAY<STRUCT<sku VARCHAR NOT NULL, price DECIMAL(9,2)>>",
         "{\"a\":[{\"sku\":\"A-1\"},{\"sku\":\"B\",\"price\":\"x\"}]}", NULL, EVS_ERR_SCHEMA,
         "field \"a[1].price\": text is no decimal number at byte 39"},
        {"a MAP<BIGINT>", "{\"a\":{}}", "{\"a\":{}}"},
        {"a MAP<BIGINT>", "{\"a\":{\"x\":1,\"\\u0079\": 2, \"z\":null}}",
         "{\"a\":{\"x\":1,\"y\":2,\"z\":null}}"},
        {"a MAP<BIGINT>", "{\"a\":{\"x\":1,\"x\":2}}", NULL, EVS_ERR_SCHEMA,
         "field \"a\": a key occurs twice"},
        {"a MAP<BIGINT>", "{\"a\":{\"x\":\"y\"}}", NULL, EVS_ERR_SCHEMA,
         "field \"a.x\": expected BIGINT, found text at byte 10"},
        {"a MAP<BIGINT>", "{\"a\":{\"x\" 1}}", NULL, EVS_ERR_DECODE},
        {"a MAP<BIGINT>", "{\"a\":{1:1}}", NULL, EVS_ERR_DECODE},
        {"a MAP<BIGINT>", "{\"a\":{\"x\":1,}}", NULL, EVS_ERR_DECODE},
        {"a MAP<BIGINT>", "{\"a\":{\"x\":1]}", NULL, EVS_ERR_DECODE},
        {"a MAP<BIGINT>", "{\"a\":{\"x\":1}", NULL, EVS_ERR_DECODE},
        {"a MAP<STRUCT<b BOOLEAN>>", "{\"a\":{\"x\":{\"b\":true}}}",
         "{\"a\":{\"x\":{\"b\":true}}}"},
    };

    (void)state;
    RUN(cases);
}

/* ---- members ---- */

static void test_decode_members_any_order_and_form(void **state)
{
    static const json_case cases[] = {
        {"a INT, b INT", "{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":2}"},
        {"a INT, b INT", "{\"b\":2,\"a\":1}", "{\"a\":1,\"b\":2}"},
        {"a INT, b INT", " {\n \"a\" : 1 ,\t\"b\"\r\n: 2 }\n", "{\"a\":1,\"b\":2}"},
        {"a INT, b INT", "{\"x\":[1,{\"y\":[]}],\"b\":2,\"z\":null}", "{\"a\":null,\"b\":2}"},
        {"a INT, b INT", "{}", "{\"a\":null,\"b\":null}"},
        {"a INT, b INT", "{ }", "{\"a\":null,\"b\":null}"},
        {"a INT NOT NULL, b INT", "{\"b\":2}", NULL, EVS_ERR_SCHEMA,
         "field \"a\": required, missing"},
        {"a INT, b INT", "{\"a\":1,\"b\":2,\"a\":3}", NULL, EVS_ERR_SCHEMA,
         "field \"a\": the member occurs twice at byte 17"},
        {"a INT, b INT", "{\"a\":1,\"c\":2,\"c\":3}", "{\"a\":1,\"b\":null}"},
        {"user_id INT", "{\"us\\u0065r_id\":5}", "{\"user_id\":5}"},
        {"user_id INT", "{\"user_i\":5,\"user_id \":6,\"User_id\":7}", "{\"user_id\":null}"},
        {"\"a.b\" INT, \"\xc3\xa9\" INT", "{\"a.b\":1,\"\xc3\xa9\":2,\"a\":{\"b\":3}}",
         "{\"a.b\":1,\"\xc3\xa9\":2}"},
        {"\"a name that is longer than what is learned\" INT, b INT",
         "{\"a name that is longer than what is learned\":1,\"b\":2}",
         "{\"a name that is longer than what is learned\":1,\"b\":2}"},
        {"a INT", "{\"a\":1,}", NULL, EVS_ERR_DECODE,
         "invalid JSON at byte 7: expected a member name"},
        {"a INT", "{,\"a\":1}", NULL, EVS_ERR_DECODE},
        {"a INT", "{\"a\" 1}", NULL, EVS_ERR_DECODE, "invalid JSON at byte 5: expected \":\""},
        {"a INT", "{\"a\":1 \"b\":2}", NULL, EVS_ERR_DECODE},
        {"a INT", "{a:1}", NULL, EVS_ERR_DECODE},
        {"a INT", "{\"a\":1}}", NULL, EVS_ERR_DECODE,
         "invalid JSON at byte 7: bytes follow the value"},
        {"a INT", "{\"a\":1} {}", NULL, EVS_ERR_DECODE},
        {"a INT", "{\"a\":1}x", NULL, EVS_ERR_DECODE},
        {"a INT", "{\"a\":1", NULL, EVS_ERR_DECODE},
        {"a INT", "{\"x\":{\"b\":1}", NULL, EVS_ERR_DECODE},
        {"a INT", "{\"a", NULL, EVS_ERR_DECODE},
        {"a INT", "{", NULL, EVS_ERR_DECODE},
        {"a INT", "}", NULL, EVS_ERR_DECODE},
        {"a INT", "", NULL, EVS_ERR_DECODE, "invalid JSON at byte 0: there is no value"},
        {"a INT", "[1]", NULL, EVS_ERR_SCHEMA, "expected an object, found an array at byte 0"},
        {"a INT", "\"a\"", NULL, EVS_ERR_SCHEMA, "expected an object, found text at byte 0"},
        {"a INT", "12", NULL, EVS_ERR_SCHEMA, "expected an object, found number 12 at byte 0"},
        {"a INT", "null", NULL, EVS_ERR_SCHEMA, "expected an object, found null at byte 0"},
        {"a INT", "nil", NULL, EVS_ERR_DECODE},
    };

    (void)state;
    RUN(cases);
}

static void test_decode_unwanted_members_are_checked(void **state)
{
    static const json_case cases[] = {
        {"a INT", "{\"x\":\"\xff\",\"a\":1}", NULL, EVS_ERR_DECODE},
        {"a INT", "{\"x\":\"\\q\",\"a\":1}", NULL, EVS_ERR_DECODE},
        {"a INT", "{\"x\":\"\\ud800\",\"a\":1}", NULL, EVS_ERR_DECODE},
        {"a INT", "{\"x\":01,\"a\":1}", NULL, EVS_ERR_DECODE},
        {"a INT", "{\"x\":1.2.3,\"a\":1}", NULL, EVS_ERR_DECODE},
        {"a INT", "{\"x\":-,\"a\":1}", NULL, EVS_ERR_DECODE},
        {"a INT", "{\"x\":tru,\"a\":1}", NULL, EVS_ERR_DECODE},
        {"a INT", "{\"x\":[1,],\"a\":1}", NULL, EVS_ERR_DECODE},
        {"a INT", "{\"x\":{\"y\"},\"a\":1}", NULL, EVS_ERR_DECODE},
        {"a INT", "{\"x\":{\"y\":1],\"a\":1}", NULL, EVS_ERR_DECODE},
        {"a INT", "{\"x\":[1},\"a\":1}", NULL, EVS_ERR_DECODE},
        {"a INT", "{\"x\":{\"y\":{}},\"a\":1}", "{\"a\":1}"},
        {"a INT", "{\"x\":[[],{},[{}]],\"a\":1}", "{\"a\":1}"},
        {"a INT", "{\"x\":123456789012345678901234567890.5e-7,\"a\":1}", "{\"a\":1}"},
        {"a INT", "{\"x\":1e999999,\"a\":1}", "{\"a\":1}"},
        {"a INT", "{\"\xff\":1,\"a\":1}", NULL, EVS_ERR_DECODE},
    };

    (void)state;
    RUN(cases);
}

static void test_decode_paths_reach_nested_members(void **state)
{
    static const char order[] = "id INT, total DOUBLE '$.order.total', "
                                "city VARCHAR '$.order.customer.city'";
    static const json_case cases[] = {
        {order, "{\"id\":1,\"order\":{\"total\":9.5,\"customer\":{\"city\":\"Bonn\"}}}",
         "{\"id\":1,\"total\":9.5,\"city\":\"Bonn\"}"},
        {order, "{\"order\":{\"customer\":{\"city\":\"Bonn\"},\"x\":[1]},\"id\":1}",
         "{\"id\":1,\"total\":null,\"city\":\"Bonn\"}"},
        {order, "{\"id\":1}", "{\"id\":1,\"total\":null,\"city\":null}"},
        {order, "{\"id\":1,\"order\":null}", "{\"id\":1,\"total\":null,\"city\":null}"},
        {order, "{\"id\":1,\"order\":{}}", "{\"id\":1,\"total\":null,\"city\":null}"},
        {order, "{\"id\":1,\"order\":7}", NULL, EVS_ERR_SCHEMA,
         "field \"order\": expected an object, found number 7 at byte 16"},
        {order, "{\"order\":{\"total\":\"x\"}}", NULL, EVS_ERR_SCHEMA,
         "field \"order.total\": expected DOUBLE, found text at byte 18"},
        {"a INT NOT NULL '$.x.y'", "{\"x\":{}}", NULL, EVS_ERR_SCHEMA,
         "field \"$.x.y\": required, missing"},
        {"a INT '$.x', b DOUBLE '$.x', c STRUCT<y INT> '$.s', d INT '$.s.y'",
         "{\"s\":{\"y\":3},\"x\":1}", "{\"a\":1,\"b\":1.0,\"c\":{\"y\":3},\"d\":3}"},
        {"a INT '$[\"x.y\"].z'", "{\"x.y\":{\"z\":4}}", "{\"a\":4}"},
        {"a INT '$.x.y'", "{\"x\":{\"y\":1},\"x\":{\"y\":2}}", NULL, EVS_ERR_SCHEMA,
         "field \"x.y\": the member occurs twice at byte 22"},
    };

    (void)state;
    RUN(cases);
}

static void test_new_decoder_bad_path_is_refused(void **state)
{
    static const char *const paths[] = {"x", "$", "$.", "$x", "$.a[0]", "$['a", "$.a..b", "$['a'x"};
    evs_context *ctx = NULL;
    evs__codec_options o = {0};

    (void)state;
    assert_int_equal(evs_context_new(NULL, &ctx, NULL), EVS_OK);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        evs_type *type = NULL;
        evs__format_decoder *d = NULL;
        evs_error *err = NULL;
        char *path = (char *)paths[i];
        evs_schema schema = {.ctx = ctx, .paths = &path};

        assert_int_equal(evs_type_parse(ctx, "STRUCT<a INT>", &type, NULL), EVS_OK);
        schema.type = type;
        if (evs__format_json.new_decoder(ctx, &schema, type, &o, &d, &err) != EVS_ERR_SCHEMA)
            fail_msg("path %s is taken", paths[i]);
        assert_string_equal(evs_error_origin(err), "a");
        assert_non_null(strstr(evs_error_message(err), paths[i]));
        evs_error_unref(err);
        evs_type_unref(type);
    }
    evs_context_unref(ctx);
}

/* ---- what is learned ---- */

/* events whose members come and go in every order, with more names than can be learned */
static void test_decode_changing_members_stay_right(void **state)
{
    static const char *const names[] = {"a", "b", "c", "dd", "eeeeeeee", "f_longer_name"};
    uint32_t seed = 12345;

    (void)state;
    for (size_t w = 0; w < WALKS; w++) {
        fixture f;

        if (!walk_runs(walks[w]))
            continue;
        fixture_open(&f, "a INT, c INT, eeeeeeee INT, f_longer_name INT", walks[w]);
        for (int i = 0; i < 20000; i++) {
            char event[512], expected[128];
            int values[6];
            size_t n = 0;
            const char *space = i % 3 == 1 ? " " : i % 3 == 2 ? "\n    " : "";

            event[n++] = '{';
            for (int k = 0; k < 6; k++)
                values[k] = -1;
            for (int k = 0; k < 6; k++) {
                uint32_t at = (seed = seed * 1664525 + 1013904223) >> 16;
                uint32_t which = i % 4 ? (uint32_t)k : at % 6;

                if (values[which] >= 0 || (at >> 4) % 4 == 0)
                    continue;
                values[which] = (int)(at & 0xfff);
                n += (size_t)sprintf(event + n, "%s%s\"%s\":%s%d", n > 1 ? "," : "", space,
                                     names[which], space, values[which]);
            }
            /* names that are data */
            n += (size_t)sprintf(event + n, "%s\"u%u\":[]}", n > 1 ? "," : "", seed >> 8);
            assert_int_equal(fixture_decode(&f, event, n), EVS_OK);
            n = 0;
            for (int k = 0; k < 6; k++) {
                if (k == 1 || k == 3)
                    continue;
                if (values[k] < 0)
                    n += (size_t)sprintf(expected + n, ",\"%s\":null", names[k]);
                else
                    n += (size_t)sprintf(expected + n, ",\"%s\":%d", names[k], values[k]);
            }
            expected[0] = '{';
            strcpy(expected + n, "}");
            assert_string_equal(f.text, expected);
        }
        fixture_close(&f);
    }
}

/* a member as it was learned, but with more space behind it */
static void test_decode_learned_member_then_more_space_is_read(void **state)
{
    (void)state;
    for (size_t w = 0; w < WALKS; w++) {
        fixture f;

        if (!walk_runs(walks[w]))
            continue;
        fixture_open(&f, "a INT, b VARCHAR", walks[w]);
        for (int i = 0; i < 2; i++) {
            const char *close = "{\"a\":1,\"b\":\"x\"}";
            const char *wide = "{\"a\": 1,\"x\":  {\"y\": 1},\"b\":\n\t\"x\"}";
            const char *wider = "{\"a\":   1,\"x\":\n\n{\"y\" :1},\"b\": \"x\"}";

            assert_int_equal(fixture_decode(&f, close, strlen(close)), EVS_OK);
            assert_int_equal(fixture_decode(&f, wide, strlen(wide)), EVS_OK);
            assert_int_equal(fixture_decode(&f, wider, strlen(wider)), EVS_OK);
            assert_string_equal(f.text, "{\"a\":1,\"b\":\"x\"}");
        }
        fixture_close(&f);
    }
}

/* ---- depth and size ---- */

static void test_decode_depth_is_bounded(void **state)
{
    static char event[4096];

    (void)state;
    for (size_t w = 0; w < WALKS; w++) {
        for (size_t depth = 510; depth < 515; depth++) {
            fixture f;
            size_t n = (size_t)sprintf(event, "{\"a\":1,\"x\":");

            if (!walk_runs(walks[w]))
                continue;
            memset(event + n, '[', depth);
            memset(event + n + depth, ']', depth);
            n += 2 * depth;
            event[n++] = '}';
            fixture_open(&f, "a INT", walks[w]);
            assert_int_equal(fixture_decode(&f, event, n),
                             depth <= EVS__JSON_SKIP_DEPTH_MAX ? EVS_OK : EVS_ERR_DECODE);
            fixture_close(&f);
        }
    }
}

static void test_decode_map_of_many_keys_finds_the_duplicate(void **state)
{
    char *event = malloc(1 << 16);

    (void)state;
    for (int twice = 0; twice < 2; twice++) {
        fixture f;
        size_t n = (size_t)sprintf(event, "{\"a\":{");

        for (int i = 0; i < 1000; i++)
            n += (size_t)sprintf(event + n, "\"k%d\":%d,", i, i);
        n += (size_t)sprintf(event + n, "\"k%d\":0}}", twice ? 500 : 1000);
        fixture_open(&f, "a MAP<INT>, b INT", evs__json_walk_best());
        f.batch->columns[0]->children[0]->length = 0;
        {
            evs_status status =
                f.decoder->decode_row(f.decoder, (const uint8_t *)event, n, f.batch->columns,
                                      &f.scratch, f.message, sizeof(f.message));
            assert_int_equal(status, twice ? EVS_ERR_SCHEMA : EVS_OK);
            assert_int_equal(f.batch->columns[0]->length, twice ? 0 : 1);
            assert_int_equal(f.batch->columns[0]->children[0]->length, twice ? 0 : 1001);
        }
        fixture_close(&f);
    }
    free(event);
}

/* every prefix of an event that has everything fails, and leaves the columns as they were */
static void test_decode_every_prefix_fails_cleanly(void **state)
{
    static const char columns[] =
        "s VARCHAR, i BIGINT, d DOUBLE, n DECIMAL(9,2), t TIMESTAMP, b BOOLEAN, y BYTES, "
        "l ARRAY<STRUCT<k VARCHAR, v ARRAY<INT>>>, m MAP<DOUBLE>, p INT '$.q.r'";
    static const char event[] =
        "{\"s\":\"caf\xc3\xa9 \\u20ac\",\"i\":-12,\"d\":1.5e3,\"n\":\"7.25\","
        "\"t\":\"2026-11-23T17:05:16Z\",\"b\":false,\"y\":\"AAEC\","
        "\"l\":[{\"k\":\"x\",\"v\":[1,2]},{\"v\":null}],\"m\":{\"a\":1,\"b\":null},"
        "\"q\":{\"r\":9,\"z\":[true,{\"w\":\"\\\\\"}]}}";

    (void)state;
    for (size_t w = 0; w < WALKS; w++) {
        fixture f;

        if (!walk_runs(walks[w]))
            continue;
        fixture_open(&f, columns, walks[w]);
        for (int again = 0; again < 2; again++) {
            for (size_t n = 0; n + 1 < sizeof(event); n++)
                assert_int_equal(fixture_decode(&f, event, n), EVS_ERR_DECODE);
            assert_int_equal(fixture_decode(&f, event, sizeof(event) - 1), EVS_OK);
            assert_string_equal(
                f.text, "{\"s\":\"caf\xc3\xa9 \xe2\x82\xac\",\"i\":-12,\"d\":1500.0,\"n\":7.25,"
                        "\"t\":\"2026-11-23T17:05:16.000Z\",\"b\":false,\"y\":\"AAEC\","
                        "\"l\":[{\"k\":\"x\",\"v\":[1,2]},{\"k\":null,\"v\":null}],"
                        "\"m\":{\"a\":1.0,\"b\":null},\"p\":9}");
        }
        fixture_close(&f);
    }
}

/* strings without escapes are views, also at the end of a long event */
static void test_decode_strings_are_views_into_the_event(void **state)
{
    static const char event[] = "{\"a\":\"0123456789012345678901234567890123456789\",\"b\":\"x\"}";
    fixture f;

    (void)state;
    fixture_open(&f, "a VARCHAR, b VARCHAR", evs__json_walk_best());
    assert_int_equal(f.decoder->decode_row(f.decoder, (const uint8_t *)event, sizeof(event) - 1,
                                           f.batch->columns, &f.scratch, f.message,
                                           sizeof(f.message)),
                     EVS_OK);
    assert_ptr_equal(f.batch->columns[0]->views[0].data, event + 6);
    assert_ptr_equal(f.batch->columns[1]->views[0].data, event + sizeof(event) - 4);
    fixture_close(&f);
}

/* a number, a text or a literal that ends the document in every distance from the end */
static void test_decode_values_near_the_end(void **state)
{
    (void)state;
    for (size_t w = 0; w < WALKS; w++) {
        fixture f;

        if (!walk_runs(walks[w]))
            continue;
        fixture_open(&f, "a BIGINT, b DOUBLE, c VARCHAR, d BOOLEAN", walks[w]);
        for (int tail = 0; tail < 70; tail++) {
            static const char *const values[] = {"\"a\":123456789012",
                                                 "\"b\":1234567.25",
                                                 "\"c\":\"0123456789abcdefghi\"",
                                                 "\"d\":true",
                                                 "\"d\":false",
                                                 "\"x\":123456789012",
                                                 "\"x\":1234.5",
                                                 "\"x\":\"0123456789abcdef\"",
                                                 "\"x\":null"};
            for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
                char event[256], fill[80];

                memset(fill, '.', sizeof(fill));
                fill[tail] = '\0';
                sprintf(event, "{\"0123456789012345678901234567890123\":1,%s,\"e\":\"%s\"}",
                        values[v], fill);
                assert_int_equal(fixture_decode(&f, event, strlen(event)), EVS_OK);
                assert_true(values[v][1] == 'x' || strstr(f.text, values[v]));
                sprintf(event, "{\"e\":\"%s\",%s}", fill, values[v]);
                assert_int_equal(fixture_decode(&f, event, strlen(event)), EVS_OK);
                assert_true(values[v][1] == 'x' || strstr(f.text, values[v]));
            }
        }
        fixture_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode_integers_exact_or_refused),
        cmocka_unit_test(test_decode_doubles_correctly_rounded),
        cmocka_unit_test(test_decode_decimals_exact_with_scale),
        cmocka_unit_test(test_decode_text_plain_and_escaped),
        cmocka_unit_test(test_decode_other_scalars),
        cmocka_unit_test(test_decode_nested_types),
        cmocka_unit_test(test_decode_members_any_order_and_form),
        cmocka_unit_test(test_decode_unwanted_members_are_checked),
        cmocka_unit_test(test_decode_paths_reach_nested_members),
        cmocka_unit_test(test_new_decoder_bad_path_is_refused),
        cmocka_unit_test(test_decode_changing_members_stay_right),
        cmocka_unit_test(test_decode_learned_member_then_more_space_is_read),
        cmocka_unit_test(test_decode_depth_is_bounded),
        cmocka_unit_test(test_decode_map_of_many_keys_finds_the_duplicate),
        cmocka_unit_test(test_decode_every_prefix_fails_cleanly),
        cmocka_unit_test(test_decode_strings_are_views_into_the_event),
        cmocka_unit_test(test_decode_values_near_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
