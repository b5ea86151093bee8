/*
 * Out-of-memory sweeps over a producer and a consumer on librdkafka's in-process broker, which
 * belongs to a context of its own and outlives the runs. librdkafka's own allocations do not fail:
 * it aborts without memory.
 */
#include <stdio.h>

#include "io_kit.h"

#include "io/kafka/embedded.h"

#define EVENTS 5
#define WAIT_MS 10000

static evs_context *broker;
static const char *servers;

static void make_topic(const char *name)
{
    assert_int_equal(rd_kafka_mock_topic_create(evs__kafka_embedded_cluster(broker), name, 1, 1),
                     0);
}

static int setup(void **state)
{
    (void)state;
    assert_int_equal(evs_context_new(NULL, &broker, NULL), EVS_OK);
    assert_non_null(evs__kafka_embedded_cluster(broker));
    servers = rd_kafka_mock_cluster_bootstraps(evs__kafka_embedded_cluster(broker));
    make_topic("out");
    make_topic("in");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    broker = evs_context_unref(broker);
    return 0;
}

/* ---- producer ---- */

static const char purchase[] =
    ("{\"type\":\"record\",\"name\":\"purchase\",\"fields\":["
     "{\"name\":\"user\",\"type\":\"string\"},{\"name\":\"n\",\"type\":\"long\"}]}");

struct bought {
    const char *user;
    int64_t n;
};

static void on_delivery(const evs_delivery *delivery, void *user_data)
{
    if (!delivery->error)
        ++*(int *)user_data;
}

/* one event as a record, one as JSON, one as a struct; EVS_AGAIN: the topic is looked up still */
static evs_status send_one(evs_producer *p, int how, int *delivered)
{
    static const char json[] = "{\"user\":\"b\",\"n\":2}";
    const struct bought bought = {"c", 3};
    evs_record *record;

    if (how == 1)
        return evs_producer_send_json(p, json, sizeof(json) - 1, NULL, on_delivery, delivered,
                                      NULL);
    if (how == 2)
        return evs_producer_send_struct(p, &bought, NULL, on_delivery, delivered, NULL);
    record = evs_producer_record(p);
    evs_record_set_string(record, "user", "a", 1);
    evs_record_set_int(record, "n", 1);
    return evs_producer_send(p, record, NULL, on_delivery, delivered, NULL);
}

static evs_status producer_scenario(evs_context *ctx, void *user_data)
{
    static const evs_field_binding fields[] = {EVS_BIND(struct bought, user, EVS_BIND_CSTR),
                                               EVS_BIND(struct bought, n, EVS_BIND_INT64)};
    evs_schema *schema = NULL;
    evs_producer *p = NULL;
    int delivered = 0, sent = 0;
    evs_status status =
        evs_schema_parse(ctx, EVS_FORMAT_AVRO, purchase, sizeof(purchase) - 1, &schema, NULL);

    (void)user_data;
    if (!status)
        status = evs_producer_new(ctx,
                                  EVS_OPTIONS("kafka.bootstrap.servers", servers, "topic", "out",
                                              "key", "user", "kafka.linger.ms", "0"),
                                  schema, &p, NULL);
    if (!status)
        status = evs_producer_bind(p, fields, 2, NULL);
    for (int how = 0; !status && how < 3; how++) {
        while ((status = send_one(p, how, &delivered)) == EVS_AGAIN)
            evs_producer_poll(p, 5, NULL);
        sent += !status;
    }
    /* what was accepted is delivered, also when a later one had no memory */
    if (p && evs_producer_flush(p, WAIT_MS, NULL))
        status = EVS_ERR_INTERNAL;
    if (delivered != sent)
        status = EVS_ERR_INTERNAL;
    evs_producer_close(p);
    evs_schema_unref(schema);
    return status;
}

static void test_producer_without_memory_ends_cleanly(void **state)
{
    (void)state;
    assert_true(evs_test_oom_sweep(producer_scenario, NULL) > 50);
}

/* ---- consumer ---- */

static void produce_events(void)
{
    evs_producer *p = NULL;

    assert_int_equal(evs_producer_new(broker,
                                      EVS_OPTIONS("kafka.bootstrap.servers", servers, "topic", "in",
                                                  "kafka.linger.ms", "0"),
                                      NULL, &p, NULL),
                     EVS_OK);
    for (int i = 0; i < EVENTS; i++) {
        char text[32];
        int len = snprintf(text, sizeof(text), "{\"n\":%d}", i);
        evs_status status;
        while ((status = evs_producer_send_json(p, text, (size_t)len, NULL, NULL, NULL, NULL)) ==
               EVS_AGAIN)
            evs_producer_poll(p, 5, NULL);
        assert_int_equal(status, EVS_OK);
    }
    assert_int_equal(evs_producer_flush(p, WAIT_MS, NULL), EVS_OK);
    evs_producer_close(p);
}

/* all events, in order; after a failure the loop goes on once: nothing may be missing then */
static evs_status consume(evs_consumer *c)
{
    int64_t deadline = kit_now_ms() + WAIT_MS, next = 0, n;
    int failures = 0;

    while (next < EVENTS) {
        evs_batch *batch = NULL;
        evs_status status = evs_consumer_poll(c, 100, &batch, NULL);
        if (status < 0 && (status != EVS_ERR_NOMEM || failures++))
            return status;
        if (kit_now_ms() > deadline)
            return EVS_ERR_TIMEOUT;
        for (size_t i = 0; !status && i < evs_batch_rows(batch); i++) {
            evs_row row = evs_batch_row(batch, i);
            if (evs_row_int(&row, 0, &n) || n != next++)
                return EVS_ERR_INTERNAL;
        }
    }
    return EVS_OK;
}

static evs_status consumer_scenario(evs_context *ctx, void *user_data)
{
    evs_consumer *c = NULL;
    evs_status status =
        evs_consumer_new(ctx,
                         EVS_OPTIONS("kafka.bootstrap.servers", servers, "topic", "in", "columns",
                                     "n BIGINT", "assign", "all", "start", "earliest"),
                         NULL, &c, NULL);

    (void)user_data;
    if (!status)
        status = consume(c);
    evs_consumer_close(c);
    return status;
}

static void test_consumer_without_memory_passes_no_event_over(void **state)
{
    (void)state;
    produce_events();
    assert_true(evs_test_oom_sweep(consumer_scenario, NULL) > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_producer_without_memory_ends_cleanly),
        cmocka_unit_test(test_consumer_without_memory_passes_no_event_over),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
