/*
 * Out-of-memory sweeps over schemas, the Avro codec, framing with the registry, and the record
 * builder.
 */
#include "evs_test.h"

#include "codec/record.h"

static const char purchase[] =
    "{\"type\":\"record\",\"name\":\"purchase\",\"namespace\":\"com.acme\",\"fields\":["
    "{\"name\":\"user_id\",\"type\":\"string\"},"
    "{\"name\":\"total\",\"type\":[\"null\",\"double\"],\"default\":null},"
    "{\"name\":\"currency\",\"type\":\"string\",\"default\":\"EUR\"},"
    "{\"name\":\"items\",\"type\":{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":"
    "\"item\","
    "\"fields\":[{\"name\":\"sku\",\"type\":\"string\"},{\"name\":\"quantity\",\"type\":[\"null\","
    "\"int\"]},{\"name\":\"tags\",\"type\":{\"type\":\"array\",\"items\":\"string\"},\"default\":"
    "[\"a\",\"b\"]}]}}},"
    "{\"name\":\"id\",\"type\":{\"type\":\"fixed\",\"name\":\"u\",\"size\":16,\"logicalType\":"
    "\"uuid\"},"
    "\"default\":\"0123456789abcdef\"},"
    "{\"name\":\"what\",\"type\":[\"string\",\"long\",{\"type\":\"enum\",\"name\":\"e\","
    "\"symbols\":"
    "[\"A\",\"B\"]}]},"
    "{\"name\":\"at\",\"type\":\"long\",\"logicalType\":\"timestamp-millis\",\"default\":7},"
    "{\"name\":\"before\",\"type\":[\"null\",\"purchase\"],\"default\":null}]}";

/* user_id, total, currency, items (two, in two blocks), id, what, at, before */
static const char event[] =
    "\0\0\0\0\1\2u\2\0\0\0\0\0\0\xf8\x3f\6USD\2\2s\2\4\2\2t\0\1\x08\2r\0\0\0"
    "0123456789abcdef\4\2\6\0";

static evs_status parse(evs_context *ctx, const char *text, evs_schema **ret, evs_error **err)
{
    return evs_schema_parse(ctx, EVS_FORMAT_AVRO, text, strlen(text), ret, err);
}

static evs_status schema_scenario(evs_context *ctx, void *user_data)
{
    evs_schema *s = NULL, *made = NULL, *got = NULL;
    evs_error *err = NULL;
    int32_t id = 0;
    evs_status status = parse(ctx, purchase, &s, &err);

    (void)user_data;
    if (!status && !strstr(evs_schema_warnings(s), "stands beside"))
        status = EVS_ERR_INTERNAL;
    if (!status)
        status = evs_schema_of_type(ctx, EVS_FORMAT_AVRO, "row", evs_schema_type(s), &made, &err);
    if (!status)
        status = evs_registry_register(ctx, "purchases-value", s, &id, &err);
    if (!status)
        status = evs_registry_put(ctx, "other", 99, made, &err);
    if (!status)
        status = evs_registry_latest(ctx, "purchases-value", NULL, &got, &err);
    if (!status && got != s)
        status = EVS_ERR_INTERNAL;
    evs_error_unref(err);
    evs_schema_unref(got);
    evs_schema_unref(made);
    evs_schema_unref(s);
    return status;
}

static void test_schema_without_memory(void **state)
{
    (void)state;
    evs_test_oom_sweep(schema_scenario, NULL);
}

/* a schema that is refused: the fault, or no memory */
static evs_status refused_scenario(evs_context *ctx, void *user_data)
{
    evs_schema *s = NULL;
    evs_error *err = NULL;
    evs_status status = parse(ctx, user_data, &s, &err);

    evs_error_unref(err);
    return status == EVS_ERR_SCHEMA ? EVS_OK : status ? status : EVS_ERR_INTERNAL;
}

static void test_refused_schema_without_memory(void **state)
{
    char unknown[] = "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":"
                     "{\"type\":\"array\",\"items\":\"x\"}}]}";
    char bad_default[] = "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":"
                         "\"int\",\"default\":\"x\"}]}";

    (void)state;
    evs_test_oom_sweep(refused_scenario, unknown);
    evs_test_oom_sweep(refused_scenario, bad_default);
}

static void count_failed(size_t index, evs_status status, const char *message, void *user_data)
{
    (void)index;
    (void)message;
    *(size_t *)user_data += status == EVS_ERR_DECODE;
}

/* the row written again, framed, is the event */
static evs_status encode(evs_context *ctx, evs_schema *s, evs_batch *batch, evs_error **err)
{
    evs_encoder *e = NULL;
    evs_string_view bytes = {NULL, 0};
    evs_status status =
        evs_encoder_new(ctx, evs_batch_type(batch), s, EVS_OPTIONS("topic", "purchases"), &e, err);

    if (!status)
        status = evs_encoder_encode(e, batch, 0, &bytes, err);
    if (!status && (bytes.len < 10 || memcmp(bytes.data, event, 10)))
        status = EVS_ERR_INTERNAL;
    if (!status)
        status = evs_encoder_append(e, batch, 0, "\n", err);
    evs_encoder_unref(e);
    return status;
}

static evs_status codec_scenario(evs_context *ctx, void *user_data)
{
    evs_schema *s = NULL;
    evs_decoder *d = NULL;
    evs_batch *batch = NULL;
    evs_error *err = NULL;
    size_t failed = 0;
    evs_input inputs[] = {{.value = event, .value_len = sizeof(event) - 1},
                          {.value = "\0\0\0\0\2x", .value_len = 6},
                          {.value = event, .value_len = 30},
                          {.value = event, .value_len = sizeof(event) - 1}};
    evs_status status = parse(ctx, purchase, &s, &err);

    (void)user_data;
    if (!status)
        status = evs_registry_register(ctx, "purchases-value", s, NULL, &err);
    if (!status)
        status = evs_decoder_new(ctx, s, NULL, &d, &err);
    for (int again = 0; again < 2 && !status; again++) {
        batch = evs_batch_unref(batch);
        failed = 0;
        status = evs_decoder_decode(d, inputs, 4, count_failed, &failed, &batch, &err);
        if (!status && (failed != 2 || evs_batch_rows(batch) != 2))
            status = EVS_ERR_INTERNAL;
    }
    if (!status)
        status = encode(ctx, s, batch, &err);
    if (!status)
        status = evs_schema_validate(s, event + 5, sizeof(event) - 6, &err);
    evs_error_unref(err);
    evs_batch_unref(batch);
    evs_decoder_unref(d);
    evs_schema_unref(s);
    return status;
}

static void test_codec_without_memory(void **state)
{
    (void)state;
    evs_test_oom_sweep(codec_scenario, NULL);
}

static evs_status record_scenario(evs_context *ctx, void *user_data)
{
    evs_schema *s = NULL;
    evs_record *r = NULL, *item;
    evs_batch *batch = NULL;
    evs_error *err = NULL;
    evs_status status = parse(ctx, purchase, &s, &err);

    (void)user_data;
    if (!status)
        status = evs__record_new(ctx, s, &r, &err);
    for (int again = 0; again < 2 && !status; again++) {
        evs__record_reset(r);
        evs_record_set_string(r, "user_id", "u-17", 4);
        for (int i = 0; i < 3; i++) {
            item = evs_record_append(r, "items");
            evs_record_set_string(item, "sku", "A-1", 3);
            if (i)
                evs_record_append_string(item, "tags", "x", 1);
        }
        evs_record_set_int(evs_record_struct(r, "what"), "long", 1);
        status = evs__record_finish(r, &batch, &err);
        if (!status && (batch->rows != 1 || batch->columns[3]->children[0]->length != 3))
            status = EVS_ERR_INTERNAL;
    }
    evs_error_unref(err);
    evs__record_free(r);
    evs_schema_unref(s);
    return status;
}

static void test_record_without_memory(void **state)
{
    (void)state;
    evs_test_oom_sweep(record_scenario, NULL);
}

struct order {
    const char *user;
    int64_t at;
};

static evs_status binding_scenario(evs_context *ctx, void *user_data)
{
    static const evs_field_binding fields[] = {EVS_BIND(struct order, user, EVS_BIND_CSTR),
                                               EVS_BIND(struct order, at, EVS_BIND_TIME_MS)};
    struct order o = {"u", 1};
    evs_schema *s = NULL;
    evs__binding *b = NULL;
    evs_batch *batch = NULL;
    evs_error *err = NULL;
    evs_status status = evs_schema_columns(ctx, "user VARCHAR, at TIMESTAMP, n INT", &s, &err);

    (void)user_data;
    if (!status)
        status = evs__binding_new(ctx, s, fields, 2, &b, &err);
    if (!status)
        status = evs__binding_row(b, &o, &batch, &err);
    evs_error_unref(err);
    evs__binding_free(b);
    evs_schema_unref(s);
    return status;
}

static void test_binding_without_memory(void **state)
{
    (void)state;
    evs_test_oom_sweep(binding_scenario, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema_without_memory),
        cmocka_unit_test(test_refused_schema_without_memory),
        cmocka_unit_test(test_codec_without_memory),
        cmocka_unit_test(test_record_without_memory),
        cmocka_unit_test(test_binding_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
