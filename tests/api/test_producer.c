/*
 * evstream/producer.h from outside: each function called into each failure that its comment names.
 * Deliveries and the broker's refusals are in tests/mock.
 */
#include "api_kit.h"

static evs_schema *schema;

#define PRODUCER(...)                                                                              \
    EVS_OPTIONS("kafka.bootstrap.servers", "embedded:", "topic", "t", "topic.create", "true",      \
                __VA_ARGS__)

static evs_producer *producer(bool typed)
{
    evs_producer *p = NULL;
    if (typed)
        OK(evs_schema_columns(ctx, "a INT NOT NULL, b VARCHAR", &schema, &err));
    OK(evs_producer_new(ctx, PRODUCER("format", "json"), typed ? schema : NULL, &p, &err));
    evs_schema_unref(schema);
    schema = NULL;
    return p;
}

static void test_new_faulty(void **state)
{
    evs_producer *p = NULL;
    (void)state;
    FAILS(evs_producer_new(NULL, PRODUCER("format", "json"), NULL, &p, &err), EVS_ERR_INVALID, "");
    FAILS(evs_producer_new(ctx, PRODUCER("format", "json"), NULL, NULL, &err), EVS_ERR_INVALID,
          "ret_producer");
    FAILS(evs_producer_new(ctx, EVS_OPTIONS("topic", "t"), NULL, &p, &err), EVS_ERR_CONFIG,
          "bootstrap.servers");
    FAILS(evs_producer_new(ctx, PRODUCER("formatt", "json"), NULL, &p, &err), EVS_ERR_CONFIG,
          "format");
    assert_null(p);
    assert_null(evs_producer_close(NULL));
}

static void test_calls_without_a_producer(void **state)
{
    (void)state;
    FAILS(evs_producer_send(NULL, NULL, NULL, NULL, NULL, &err), EVS_ERR_INVALID, "");
    FAILS(evs_producer_send_json(NULL, "{}", 2, NULL, NULL, NULL, &err), EVS_ERR_INVALID, "");
    FAILS(evs_producer_send_bytes(NULL, "", 0, NULL, NULL, NULL, &err), EVS_ERR_INVALID, "");
    FAILS(evs_producer_bind(NULL, NULL, 0, &err), EVS_ERR_INVALID, "");
    FAILS(evs_producer_send_struct(NULL, NULL, NULL, NULL, NULL, &err), EVS_ERR_INVALID, "");
    FAILS(evs_producer_poll(NULL, 0, &err), EVS_ERR_INVALID, "");
    FAILS(evs_producer_flush(NULL, 0, &err), EVS_ERR_INVALID, "");
    assert_int_equal(evs_producer_pending(NULL), 0);
    assert_null(evs_producer_record(NULL));
    evs_record_set_int(NULL, "a", 1);
    evs_record_set_null_at(NULL, 0);
}

static void test_sends_that_do_not_fit(void **state)
{
    static const struct {
        int32_t a;
    } object = {1};
    const evs_field_binding wrong = {"c", 0, 4, EVS_BIND_INT32, 0};
    const evs_field_binding size = {"a", 0, 3, EVS_BIND_INT32, 0};
    evs_producer *p = producer(true), *raw = producer(false);
    evs_record *r = evs_producer_record(p);
    evs_message m = EVS_MESSAGE_INIT;
    (void)state;
    FAILS(evs_producer_send(p, r, NULL, NULL, NULL, &err), EVS_ERR_SCHEMA, "\"a\"");
    evs_record_set_string(evs_producer_record(p), "a", "x", 1);
    FAILS(evs_producer_send(p, r, NULL, NULL, NULL, &err), EVS_ERR_TYPE, "\"a\"");
    FAILS(evs_producer_send_json(p, "{\"a\":", 5, NULL, NULL, NULL, &err), EVS_ERR_DECODE, "");
    FAILS(evs_producer_send_json(p, "{\"b\":\"x\"}", 9, NULL, NULL, NULL, &err), EVS_ERR_SCHEMA,
          "\"a\"");
    FAILS(evs_producer_send_bytes(p, "x", 1, NULL, NULL, NULL, &err), EVS_ERR_MISUSE, "schema");
    FAILS(evs_producer_send_struct(p, &object, NULL, NULL, NULL, &err), EVS_ERR_MISUSE,
          "evs_producer_bind");
    FAILS(evs_producer_bind(p, &wrong, 1, &err), EVS_ERR_SCHEMA, "\"c\"");
    FAILS(evs_producer_bind(p, &size, 1, &err), EVS_ERR_SCHEMA, "\"a\"");
    FAILS(evs_producer_bind(p, NULL, 1, &err), EVS_ERR_INVALID, "");
    FAILS(evs_producer_send(raw, NULL, NULL, NULL, NULL, &err), EVS_ERR_MISUSE, "schema");
    assert_null(evs_producer_record(raw));
    m.partition = 4711;
    FAILS(evs_producer_send_bytes(raw, "x", 1, &m, NULL, NULL, &err), EVS_ERR_NOT_FOUND, "4711");
    assert_int_equal(evs_producer_poll(raw, 0, &err), EVS_AGAIN);
    OK(evs_producer_flush(raw, 0, &err));
    evs_producer_close(raw);
    evs_producer_close(p);
}

static void on_timed_out(const evs_delivery *d, void *user_data)
{
    assert_non_null(d->error);
    assert_int_equal(evs_error_status(d->error), EVS_ERR_TIMEOUT);
    ++*(int *)user_data;
}

static void test_flush_and_close_without_a_broker_time_out(void **state)
{
    evs_producer *p = NULL;
    int told = 0;
    (void)state;
    OK(evs_producer_new(ctx,
                        EVS_OPTIONS("kafka.bootstrap.servers", "127.0.0.1:1", "topic", "t",
                                    "close.timeout.ms", "100ms"),
                        NULL, &p, &err));
    for (int i = 0; i < 3; i++)
        OK(evs_producer_send_bytes(p, "x", 1, NULL, on_timed_out, &told, &err));
    assert_int_equal(evs_producer_poll(p, 10, &err), EVS_AGAIN);
    FAILS(evs_producer_flush(p, 100, &err), EVS_ERR_TIMEOUT, "");
    assert_int_equal(evs_producer_pending(p), 3);
    assert_null(evs_producer_close(p));
    assert_int_equal(told, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        API_TEST(test_new_faulty),
        API_TEST(test_calls_without_a_producer),
        API_TEST(test_sends_that_do_not_fit),
        API_TEST(test_flush_and_close_without_a_broker_time_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
