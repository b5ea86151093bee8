/*
 * Out-of-memory sweeps over the JSON and delimited formats: compile, decode, encode, infer columns.
 * What is learned from events is a cache, so a failure there must change nothing but speed.
 */
#include "evs_test.h"

#include "codec/codec.h"

#define COLUMNS                                                                                    \
    "id BIGINT NOT NULL, name VARCHAR, raw BYTES, total DOUBLE '$.order.total', "                  \
    "city VARCHAR '$.order.to.city', also DOUBLE '$.order.total', "                                \
    "items ARRAY<STRUCT<sku VARCHAR, n INT, tags ARRAY<VARCHAR>>>, attributes MAP<DOUBLE>"

static const char *const events[] = {
    ("{\"id\":1,\"name\":\"plain\",\"raw\":\"AAEC\",\"order\":{\"total\":1.5,\"to\":{\"city\":"
     "\"x\"}"
     "},"
     "\"items\":[{\"sku\":\"a\",\"n\":1,\"tags\":[\"t\",\"u\"]},{\"sku\":\"b\"}],"
     "\"attributes\":{\"p\":1,\"q\":null}}"),
    "{\"id\":2,\"na\\u006de\":\"caf\\u00e9 \\\"quoted\\\"\",\"unwanted\":{\"deep\":[1,2]}}",
    "{\"id\":\"no\"}",
    ("{\"id\":3,\"attributes\":{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,"
     "\"i\":9,\"j\":10,\"k\":11,\"l\":12,\"m\":13,\"n\":14,\"o\":15,\"p\":16,\"q\":17,\"r\":18}}"),
    "{ \"id\": 4, \"items\": [{\"tags\": []}, null], \"name\": null }",
};
#define EVENTS (sizeof(events) / sizeof(events[0]))

static void count_failed(size_t index, evs_status status, const char *message, void *user_data)
{
    size_t *failed = user_data;

    (void)index;
    (void)message;
    if (status == EVS_ERR_SCHEMA)
        ++*failed;
}

static void fill_inputs(evs_input *inputs)
{
    memset(inputs, 0, EVENTS * sizeof(*inputs));
    for (size_t i = 0; i < EVENTS; i++) {
        inputs[i].value = events[i];
        inputs[i].value_len = (uint32_t)strlen(events[i]);
    }
}

/* the rows as JSON lines */
static evs_status
encode_rows(evs_context *ctx, evs_batch *batch, evs_schema *schema, evs_error **err)
{
    static const char last[] =
        "{\"id\":4,\"name\":null,\"raw\":null,\"order\":{\"total\":null,\"to\":{\"city\":null}},"
        "\"items\":[{\"sku\":null,\"n\":null,\"tags\":[]},null],\"attributes\":null}";
    evs_encoder *encoder = NULL;
    evs_string_view text = {NULL, 0};
    evs_status status = evs_encoder_new(ctx, evs_batch_type(batch), schema,
                                        EVS_OPTIONS("format", "json"), &encoder, err);

    for (uint32_t row = 0; row < evs_batch_rows(batch) && !status; row++)
        status = evs_encoder_encode(encoder, batch, row, &text, err);
    if (!status && (text.len != strlen(last) || memcmp(text.data, last, text.len)))
        status = EVS_ERR_INTERNAL;
    evs_encoder_unref(encoder);
    return status;
}

static evs_status json_scenario(evs_context *ctx, void *user_data)
{
    evs_schema *schema = NULL, *flat = NULL;
    evs_decoder *decoder = NULL;
    evs_batch *batch = NULL;
    evs_error *err = NULL;
    evs_input inputs[EVENTS];
    size_t failed = 0;
    evs_status status = evs_schema_columns(ctx, COLUMNS, &schema, &err);

    (void)user_data;
    fill_inputs(inputs);
    if (!status)
        status = evs_decoder_new(ctx, schema, EVS_OPTIONS("format", "json"), &decoder, &err);
    for (int again = 0; again < 2 && !status; again++) {
        evs_batch_unref(batch);
        batch = NULL;
        failed = 0;
        status = evs_decoder_decode(decoder, inputs, EVENTS, count_failed, &failed, &batch, &err);
    }
    if (!status && (failed != 1 || evs_batch_rows(batch) != EVENTS - 1))
        status = EVS_ERR_INTERNAL;
    /* two columns of one member cannot be written: a schema with one of them */
    if (!status)
        status = evs_schema_columns(ctx,
                                    "id BIGINT, name VARCHAR, raw BYTES, total DOUBLE "
                                    "'$.order.total', city VARCHAR '$.order.to.city', items "
                                    "ARRAY<STRUCT<sku VARCHAR, n INT, tags ARRAY<VARCHAR>>>, "
                                    "attributes MAP<DOUBLE>",
                                    &flat, &err);
    if (!status)
        status = encode_rows(ctx, batch, flat, &err);
    evs_error_unref(err);
    evs_batch_unref(batch);
    evs_decoder_unref(decoder);
    evs_schema_unref(flat);
    evs_schema_unref(schema);
    return status;
}

static evs_status infer_scenario(evs_context *ctx, void *user_data)
{
    evs_input inputs[EVENTS];
    evs__buffer out;
    evs_status status;

    (void)user_data;
    fill_inputs(inputs);
    evs__buffer_init(&out, ctx, 1 << 16);
    status = evs__json_infer_columns(ctx, inputs, EVENTS - 3, &out);
    if (!status && strcmp(evs__buffer_cstr(&out) ? out.data : "",
                          "id BIGINT, name VARCHAR, raw VARCHAR, total DOUBLE '$.order.total', "
                          "city VARCHAR '$.order.to.city', items ARRAY<STRUCT<sku VARCHAR, n "
                          "BIGINT, tags ARRAY<VARCHAR>>>, p BIGINT '$.attributes.p', q VARCHAR "
                          "'$.attributes.q', deep ARRAY<BIGINT> '$.unwanted.deep'"))
        status = out.status ? out.status : EVS_ERR_INTERNAL;
    evs__buffer_free(&out);
    return status;
}

static evs_status delimited_scenario(evs_context *ctx, void *user_data)
{
    static const char text[] = "1,\"say \"\"hi\"\"\",AAEC,1.5";
    static const char back[] = "1,\"say \"\"hi\"\"\",\"AAEC\",1.5";
    evs_schema *schema = NULL;
    evs_decoder *decoder = NULL;
    evs_encoder *encoder = NULL;
    evs_batch *batch = NULL;
    evs_error *err = NULL;
    evs_input input = {.value = text, .value_len = sizeof(text) - 1};
    evs_string_view out;
    evs_status status =
        evs_schema_columns(ctx, "id BIGINT, name VARCHAR, raw BYTES, total DOUBLE", &schema, &err);

    (void)user_data;
    if (!status)
        status = evs_decoder_new(ctx, schema, EVS_OPTIONS("format", "delimited"), &decoder, &err);
    if (!status)
        status = evs_decoder_decode(decoder, &input, 1, NULL, NULL, &batch, &err);
    if (!status && evs_batch_rows(batch) != 1)
        status = EVS_ERR_INTERNAL;
    if (!status)
        status = evs_encoder_new(ctx, evs_schema_type(schema), schema,
                                 EVS_OPTIONS("format", "delimited"), &encoder, &err);
    if (!status)
        status = evs_encoder_encode(encoder, batch, 0, &out, &err);
    if (!status && (out.len != sizeof(back) - 1 || memcmp(out.data, back, out.len)))
        status = EVS_ERR_INTERNAL;
    evs_error_unref(err);
    evs_batch_unref(batch);
    evs_encoder_unref(encoder);
    evs_decoder_unref(decoder);
    evs_schema_unref(schema);
    return status;
}

static void test_json_every_allocation_failing_is_clean(void **state)
{
    (void)state;
    assert_true(evs_test_oom_sweep(json_scenario, NULL) > 50);
}

static void test_infer_every_allocation_failing_is_clean(void **state)
{
    (void)state;
    assert_true(evs_test_oom_sweep(infer_scenario, NULL) > 20);
}

static void test_delimited_every_allocation_failing_is_clean(void **state)
{
    (void)state;
    assert_true(evs_test_oom_sweep(delimited_scenario, NULL) > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_every_allocation_failing_is_clean),
        cmocka_unit_test(test_infer_every_allocation_failing_is_clean),
        cmocka_unit_test(test_delimited_every_allocation_failing_is_clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
