/*
 * Columns inferred from sample events: the text must be what a user would write, and the schema
 * made of it must decode the samples.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "codec/codec.h"

#define SAMPLES_MAX 4

static const struct {
    const char *samples[SAMPLES_MAX];
    const char *columns;
} cases[] = {
    {{"{\"user_id\":\"u1\",\"order\":{\"total\":9.5},\"at\":\"2026-11-23T17:05:16Z\"}"},
     "user_id VARCHAR, total DOUBLE '$.order.total', at TIMESTAMP"},
    {{"{\"a\":1,\"b\":true,\"c\":1.5,\"d\":\"2026-11-23\",\"e\":null,\"f\":\"\"}"},
     "a BIGINT, b BOOLEAN, c DOUBLE, d DATE, e VARCHAR, f VARCHAR"},
    {{"{\"a\":1}", "{\"a\":2.5,\"b\":null}", "{\"b\":7}"}, "a DOUBLE, b BIGINT"},
    {{"{\"at\":\"2026-11-23\"}", "{\"at\":\"2026-11-23T00:00:00Z\"}"}, "at TIMESTAMP"},
    {{"{\"at\":\"2026-11-23\"}", "{\"at\":\"soon\"}"}, "at VARCHAR"},
    {{"{\"id\":123456789012345678901234567890}"}, "id DOUBLE"},
    {{"{\"items\":[{\"sku\":\"A\",\"n\":1},{\"sku\":\"B\",\"price\":9.5}],\"tags\":[\"x\"]}"},
     "items ARRAY<STRUCT<sku VARCHAR, n BIGINT, price DOUBLE>>, tags ARRAY<VARCHAR>"},
    {{"{\"e\":[],\"o\":{},\"l\":[{}],\"n\":[[1]]}"}, "e ARRAY<VARCHAR>, n ARRAY<ARRAY<BIGINT>>"},
    {{"{\"order\":{\"total\":1},\"total\":2,\"cart\":{\"total\":3}}"},
     "order_total BIGINT '$.order.total', total BIGINT, cart_total BIGINT '$.cart.total'"},
    {{"{\"x\":{\"y\":{\"z\":1}},\"timestamp\":5}"}, "z BIGINT '$.x.y.z', timestamp BIGINT"},
    {{"{\"a b\":1,\"9\":2,\"q\\\"\":3,\"caf\\u00e9\":4}"},
     "\"a b\" BIGINT, \"9\" BIGINT, \"q\"\"\" BIGINT, \"caf\xc3\xa9\" BIGINT"},
    {{"{\"p.q\":{\"it's\":1,\"r\":{\"s.t\":2}}}"},
     "\"it's\" BIGINT '$[''p.q''].it''s', \"s.t\" BIGINT '$[''p.q''].r[''s.t'']'"},
    {{"nonsense", "[1]", "{\"a\":1}", ""}, "a BIGINT"},
    {{"nonsense"}, ""},
    {{"{}"}, ""},
};

/* the samples must decode by the columns that were made of them */
static void check_decodes(evs_context *ctx, const char *columns, const evs_input *in, size_t count)
{
    evs_schema *schema = NULL;
    evs_decoder *decoder = NULL;
    evs_batch *batch = NULL;
    evs_error *err = NULL;
    size_t objects = 0;

    if (evs_schema_columns(ctx, columns, &schema, &err))
        fail_msg("%s: %s", columns, evs_error_message(err));
    assert_int_equal(evs_decoder_new(ctx, schema, EVS_OPTIONS("format", "json"), &decoder, &err),
                     EVS_OK);
    assert_int_equal(evs_decoder_decode(decoder, in, count, NULL, NULL, &batch, &err), EVS_OK);
    for (size_t i = 0; i < count; i++)
        objects += in[i].value_len && *(const char *)in[i].value == '{';
    assert_int_equal(evs_batch_rows(batch), objects);
    evs_batch_unref(batch);
    evs_decoder_unref(decoder);
    evs_schema_unref(schema);
}

static void test_infer_columns_are_as_a_user_would_write_them(void **state)
{
    evs_context *ctx = NULL;
    evs__buffer out;

    (void)state;
    assert_int_equal(evs_context_new(NULL, &ctx, NULL), EVS_OK);
    evs__buffer_init(&out, ctx, 1 << 16);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        evs_input in[SAMPLES_MAX];
        size_t count = 0;

        memset(in, 0, sizeof(in));
        for (; count < SAMPLES_MAX && cases[i].samples[count]; count++) {
            in[count].value = cases[i].samples[count];
            in[count].value_len = (uint32_t)strlen(cases[i].samples[count]);
        }
        evs__buffer_reset(&out);
        assert_int_equal(evs__json_infer_columns(ctx, in, count, &out), EVS_OK);
        assert_string_equal(evs__buffer_cstr(&out), cases[i].columns);
        if (out.len)
            check_decodes(ctx, cases[i].columns, in, count);
    }
    evs__buffer_free(&out);
    evs_context_unref(ctx);
}

/* more members and levels than are looked at: still columns, and all memory is given back */
static void test_infer_large_events_are_bounded(void **state)
{
    evs_context *ctx = NULL;
    evs__buffer event, out;
    evs_input in = {0};

    (void)state;
    assert_int_equal(evs_context_new(NULL, &ctx, NULL), EVS_OK);
    evs__buffer_init(&event, ctx, 1 << 20);
    evs__buffer_init(&out, ctx, 1 << 20);
    evs__buffer_text(&event, "{\"deep\":");
    for (int i = 0; i < 400; i++)
        evs__buffer_text(&event, "{\"d\":[");
    for (int i = 0; i < 400; i++)
        evs__buffer_text(&event, "]}");
    for (int i = 0; i < 1000; i++)
        evs__buffer_printf(&event, ",\"m%d\":%d", i, i);
    evs__buffer_text(&event, "}");
    in.value = event.data;
    in.value_len = (uint32_t)event.len;
    assert_int_equal(evs__json_infer_columns(ctx, &in, 1, &out), EVS_OK);
    /* 800 levels are more than a document may have */
    assert_int_equal(out.len, 0);
    evs__buffer_reset(&event);
    evs__buffer_text(&event, "{\"deep\":");
    for (int i = 0; i < 100; i++)
        evs__buffer_text(&event, "{\"d\":[");
    for (int i = 0; i < 100; i++)
        evs__buffer_text(&event, "]}");
    for (int i = 0; i < 1000; i++)
        evs__buffer_printf(&event, ",\"m%d\":%d", i, i);
    evs__buffer_text(&event, "}");
    in.value = event.data;
    in.value_len = (uint32_t)event.len;
    assert_int_equal(evs__json_infer_columns(ctx, &in, 1, &out), EVS_OK);
    assert_non_null(strstr(evs__buffer_cstr(&out), "m0 BIGINT, m1 BIGINT"));
    assert_null(strstr(out.data, "m999"));
    evs__buffer_free(&event);
    evs__buffer_free(&out);
    evs_context_unref(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_infer_columns_are_as_a_user_would_write_them),
        cmocka_unit_test(test_infer_large_events_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
