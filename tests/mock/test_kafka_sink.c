/*
 * The Kafka sink on the embedded cluster: values, keys, placement, tombstones, times, a full queue,
 * refusals and outages. What arrived is read with the source.
 */
#include "kafka_kit.h"

#include "io/kafka/embedded.h"

static evs_context *ctx;
static evs_test_memory memory;
static char topic[64];
static kit_sink sink;

#define SINK(...) EVS_OPTIONS("kafka.bootstrap.servers", "embedded:", "topic", topic, __VA_ARGS__)

static int setup(void **state)
{
    (void)state;
    memset(&memory, 0, sizeof(memory));
    atomic_store(&memory.fail_at, -1);
    ctx = evs_test_context(&memory);
    snprintf(topic, sizeof(topic), "%s", kit_name("out"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ctx = evs_context_unref(ctx);
    assert_int_equal(atomic_load(&memory.live), 0);
    return 0;
}

static const kit_sink_shape plain = {"page VARCHAR, views BIGINT", 0, 0, "app", "out"};
static const kit_sink_shape keyed = {"page VARCHAR, views BIGINT", 1, 0, "app", "out"};
static const kit_sink_shape windowed = {
    "page VARCHAR, window_start TIMESTAMP NOT NULL, window_end TIMESTAMP NOT NULL, views BIGINT", 2,
    1, "app", "out"};

static void open_ok(const kit_sink_shape *shape, const evs_options *options)
{
    evs_error *err = NULL;
    assert_evs_ok(kit_sink_open(ctx, &evs__kafka_connector, shape, options, &sink, &err), err);
}

static void open_fails(const kit_sink_shape *shape,
                       const evs_options *options,
                       evs_status want,
                       const char *part)
{
    evs_error *err = NULL;
    evs_status status = kit_sink_open(ctx, &evs__kafka_connector, shape, options, &sink, &err);
    assert_evs_error(status, err, want, part, NULL);
}

static void write_ok(const char *rows)
{
    evs_error *err = NULL;
    assert_evs_ok(kit_sink_write(&sink, rows, &err), err);
}

static void commit_ok(void)
{
    evs_error *err = NULL;
    assert_evs_ok(kit_sink_commit(&sink, 1, "", &err), err);
}

static void read_back(kit_source *s, size_t count)
{
    kafka_open(
        ctx, s,
        EVS_OPTIONS("kafka.bootstrap.servers", "embedded:", "topic", topic, "assign", "all"));
    kafka_read(s, count);
    assert_int_equal(s->count, count);
}

static void test_write_keyed_rows_and_tombstones(void **state)
{
    kit_source s;
    (void)state;
    open_ok(&keyed, SINK("topic.partitions", "1"));
    write_ok(
        "@5000{\"page\":\"/a\",\"views\":1}\n~@6000{\"page\":\"/a\",\"views\":2}\n"
        "-@7000{\"page\":\"/a\",\"views\":2}\n{\"page\":null,\"views\":3}\n@-5{\"page\":\"/b\"}");
    commit_ok();
    read_back(&s, 5);
    assert_string_equal(s.events[0].key, "/a");
    assert_string_equal(s.events[0].value, "{\"page\":\"/a\",\"views\":1}");
    assert_int_equal(s.events[0].timestamp, 5000);
    assert_string_equal(s.events[1].value, "{\"page\":\"/a\",\"views\":2}");
    assert_string_equal(s.events[2].key, "/a");
    assert_null(s.events[2].value);
    assert_int_equal(s.events[2].timestamp, 7000);
    assert_null(s.events[3].key);
    assert_true(s.events[4].timestamp > 1600000000000); /* before 1970 is not to be had: now */
    kit_source_close(&s);
    kit_sink_close(&sink);
}

static void test_write_without_key_spreads_rows(void **state)
{
    kit_source s;
    (void)state;
    open_ok(&plain, SINK("topic.partitions", "2"));
    write_ok("{\"page\":\"/a\",\"views\":1}");
    commit_ok();
    read_back(&s, 1);
    assert_null(s.events[0].key);
    kit_source_close(&s);
    kit_sink_close(&sink);
}

/* Kafka Streams: serialised key, then the window's start in 8 bytes, big endian */
static void test_windowed_key_ends_with_the_start(void **state)
{
    kit_source s;
    (void)state;
    open_ok(&windowed, SINK("topic.partitions", "7"));
    write_ok("{\"page\":\"/a\",\"window_start\":60000,\"window_end\":120000,\"views\":1}\n"
             "{\"page\":\"/"
             "a\",\"window_start\":1700000040000,\"window_end\":1700000100000,\"views\":2}");
    commit_ok();
    read_back(&s, 2);
    assert_int_equal(s.events[0].key_len, 10);
    assert_memory_equal(s.events[0].key, "/a\0\0\0\0\0\0\xea\x60", 10);
    assert_memory_equal(s.events[1].key, "/a\0\0\x01\x8b\xcf\xe6\x04\x40", 10);
    /* all windows of a key are in the key's own partition: murmur2("/a") */
    assert_int_equal(s.events[0].partition, s.events[1].partition);
    kit_source_close(&s);
    kit_sink_close(&sink);
    {
        int32_t partition;
        snprintf(topic, sizeof(topic), "%s", kit_name("out"));
        open_ok(&keyed, SINK("topic.partitions", "7"));
        write_ok("{\"page\":\"/a\"}");
        commit_ok();
        read_back(&s, 1);
        partition = s.events[0].partition;
        kit_source_close(&s);
        kit_sink_close(&sink);
        snprintf(topic, sizeof(topic), "%s", kit_name("out"));
        open_ok(&windowed, SINK("topic.partitions", "7", "key.window", "none"));
        write_ok("{\"page\":\"/a\",\"window_start\":60000,\"window_end\":120000,\"views\":1}");
        commit_ok();
        read_back(&s, 1);
        assert_string_equal(s.events[0].key, "/a");
        assert_int_equal(s.events[0].partition, partition);
        kit_source_close(&s);
        kit_sink_close(&sink);
    }
}

static void test_key_forms(void **state)
{
    static const kit_sink_shape shape = {
        "i INT, l BIGINT, d DOUBLE, s VARCHAR, t TIMESTAMP, da DATE, y BYTES, m DECIMAL(5,2)", 2, 0,
        "app", "out"};
    static const struct {
        const char *key, *format;
        const char *bytes;
        size_t len;
    } forms[] = {
        {"i", "auto", "\xff\xff\xff\xfe", 4},
        {"l", "kafka", "\0\0\0\0\0\0\1\0", 8},
        {"d", "auto", "\x3f\xf8\0\0\0\0\0\0", 8},
        {"s", "auto", "text", 4},
        {"t", "auto", "\0\0\0\0\0\0\x03\xe8", 8},
        {"da", "auto", "\0\0\0\2", 4},
        {"y", "auto", "ab", 2},
        {"m", "auto", "{\"m\":1.50}", 10},
        {"m", "text", "1.50", 4},
        {"s,i", "text", "text|-2", 7},
        {NULL, "auto", "{\"i\":-2,\"l\":256}", 16},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        kit_source s;
        snprintf(topic, sizeof(topic), "%s", kit_name("out"));
        if (forms[i].key)
            open_ok(&shape, SINK("key", forms[i].key, "key.format", forms[i].format));
        else
            open_ok(&shape, SINK("key.format", forms[i].format));
        write_ok("{\"i\":-2,\"l\":256,\"d\":1.5,\"s\":\"text\",\"t\":1000,\"da\":2,\"y\":\"YWI=\","
                 "\"m\":1.5}");
        commit_ok();
        read_back(&s, 1);
        if (s.events[0].key_len != forms[i].len)
            fail_msg("form %zu has %zu bytes: %s", i, s.events[0].key_len, s.events[0].key);
        assert_memory_equal(s.events[0].key, forms[i].bytes, forms[i].len);
        kit_source_close(&s);
        kit_sink_close(&sink);
    }
    open_fails(&shape, SINK("key", "nope"), EVS_ERR_CONFIG, "no column \"nope\"");
    open_fails(&shape, SINK("key", "i,l", "key.format", "kafka"), EVS_ERR_CONFIG, "one column");
}

static void test_write_avro_registers_its_schema(void **state)
{
    char subject[100];
    int32_t id = 0;
    evs_schema *schema = NULL;
    evs_error *err = NULL;
    kit_source s;
    (void)state;
    open_ok(&keyed, SINK("format", "avro"));
    write_ok("{\"page\":\"/a\",\"views\":1}");
    commit_ok();
    snprintf(subject, sizeof(subject), "%s-value", topic);
    assert_evs_ok(evs_registry_latest(ctx, subject, &id, &schema, &err), err);
    evs_schema_unref(schema);
    read_back(&s, 1);
    assert_int_equal(s.events[0].value[0], 0);
    assert_int_equal(s.events[0].value[4], id);
    kit_source_close(&s);
    kit_sink_close(&sink);
}

static void test_full_queue_goes_on_where_it_stopped(void **state)
{
    char *rows = malloc(200000);
    size_t len = 0;
    kit_source s;
    (void)state;
    for (int i = 0; i < 3000; i++)
        len += (size_t)sprintf(rows + len, "{\"page\":\"/%d\",\"views\":%d}\n", i, i);
    open_ok(&keyed, SINK("topic.partitions", "1", "kafka.queue.buffering.max.messages", "100"));
    write_ok(rows);
    commit_ok();
    read_back(&s, 3000);
    for (int i = 0; i < 3000; i++) {
        char page[16];
        snprintf(page, sizeof(page), "/%d", i);
        assert_string_equal(s.events[i].key, page);
    }
    kit_source_close(&s);
    kit_sink_close(&sink);
    free(rows);
}

static void test_row_too_large_is_told_and_the_rest_goes_on(void **state)
{
    char *rows = malloc(100000);
    kit_source s;
    (void)state;
    memset(rows, 'x', 100000);
    memcpy(rows, "{\"page\":\"", 9);
    strcpy(rows + 50000, "\"}\n{\"page\":\"/b\",\"views\":1}");
    open_ok(&plain, SINK("kafka.message.max.bytes", "10000"));
    write_ok(rows);
    assert_int_equal(sink.failed, 1);
    assert_non_null(strstr(sink.failure, "EVS_ERR_LIMIT"));
    commit_ok();
    read_back(&s, 1);
    kit_source_close(&s);
    kit_sink_close(&sink);
    free(rows);
}

/* ---- what the brokers give back ---- */

typedef struct told {
    int count;
    char text[256]; /* of the last */
} told;

static void on_refused(const evs_input *m, evs_status status, const char *reason, void *user_data)
{
    told *t = user_data;
    t->count++;
    assert_int_equal(m->offset, -1);
    snprintf(t->text, sizeof(t->text), "%.*s|%.*s|%s|%s", (int)m->key_len, (const char *)m->key,
             (int)m->value_len, (const char *)m->value, evs_status_name(status), reason);
}

static told refused(void)
{
    told t = {0};
    sink.f->refused(sink.sink, on_refused, &t);
    return t;
}

static void produce_fails(int count, rd_kafka_resp_err_t code)
{
    while (count--)
        rd_kafka_mock_push_request_errors(evs__kafka_embedded_cluster(ctx), 0, 1, code);
}

static char *many_rows(int count)
{
    char *rows = malloc((size_t)count * 40 + 1);
    size_t len = 0;
    for (int i = 0; i < count; i++)
        len += (size_t)sprintf(rows + len, "{\"page\":\"/%d\",\"views\":%d}\n", i, i);
    return rows;
}

/* values in their order, without `missing` */
static void check_rows(const kit_source *s, int count, int missing)
{
    for (int i = 0, at = 0; i < count; i++) {
        char value[64];
        if (i == missing)
            continue;
        snprintf(value, sizeof(value), "{\"page\":\"/%d\",\"views\":%d}", i, i);
        assert_string_equal(s->events[at++].value, value);
    }
}

static void test_batch_that_is_refused_arrives_in_smaller_ones(void **state)
{
    char *rows = many_rows(1000);
    kit_source s;
    (void)state;
    open_ok(&keyed, SINK("topic.partitions", "1"));
    produce_fails(2, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    write_ok(rows);
    commit_ok();
    assert_int_equal(refused().count, 0);
    read_back(&s, 1000);
    check_rows(&s, 1000, -1);
    kit_source_close(&s);
    kit_sink_close(&sink);
    free(rows);
}

/* one batch of 5, a round of 5, then of 1: the broker's third refusal is of that one alone */
static void test_message_refused_alone_is_told_and_the_rest_goes_on(void **state)
{
    static const rd_kafka_resp_err_t codes[] = {
        RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_INVALID_RECORD,
        RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, RD_KAFKA_RESP_ERR_POLICY_VIOLATION};
    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
        char *rows = many_rows(5);
        kit_source s;
        told t;
        snprintf(topic, sizeof(topic), "%s", kit_name("out"));
        open_ok(&keyed, SINK("topic.partitions", "1", "kafka.linger.ms", "50"));
        produce_fails(3, codes[i]);
        write_ok(rows);
        commit_ok();
        t = refused();
        assert_int_equal(t.count, 1);
        assert_non_null(strstr(t.text, "/0|{\"page\":\"/0\",\"views\":0}|"));
        assert_non_null(strstr(t.text, i ? "EVS_ERR_KAFKA" : "EVS_ERR_LIMIT"));
        assert_non_null(strstr(t.text, rd_kafka_err2str(codes[i])));
        assert_int_equal(refused().count, 0);
        write_ok("{\"page\":\"/5\",\"views\":5}");
        commit_ok();
        read_back(&s, 5);
        check_rows(&s, 6, 0);
        kit_source_close(&s);
        kit_sink_close(&sink);
        free(rows);
    }
}

/* the older row of a key comes back when the newer one has arrived: the newer one follows again */
static void test_newest_of_a_key_stays_the_newest(void **state)
{
    rd_kafka_mock_cluster_t *cluster;
    kit_source s;
    (void)state;
    open_ok(&keyed, SINK("topic.partitions", "1", "kafka.linger.ms", "0",
                         "kafka.enable.idempotence", "false"));
    cluster = evs__kafka_embedded_cluster(ctx);
    write_ok("{\"page\":\"/a\",\"views\":0}");
    commit_ok();
    rd_kafka_mock_broker_set_rtt(cluster, 1, 300);
    produce_fails(1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    write_ok("{\"page\":\"/a\",\"views\":1}");
    kit_sleep_ms(100); /* it is on its way, by itself */
    write_ok("{\"page\":\"/a\",\"views\":2}\n{\"page\":\"/b\",\"views\":3}");
    kit_sleep_ms(100);
    rd_kafka_mock_broker_set_rtt(cluster, 1, 0);
    commit_ok();
    assert_int_equal(refused().count, 0);
    read_back(&s, 5);
    assert_string_equal(s.events[1].value, "{\"page\":\"/a\",\"views\":2}");
    assert_string_equal(s.events[2].value, "{\"page\":\"/b\",\"views\":3}");
    assert_string_equal(s.events[3].value, "{\"page\":\"/a\",\"views\":1}");
    assert_string_equal(s.events[4].value, "{\"page\":\"/a\",\"views\":2}");
    kit_source_close(&s);
    kit_sink_close(&sink);
}

/* librdkafka gives up a message in a long outage; the sink does not */
static void test_message_that_ran_out_of_time_is_sent_again(void **state)
{
    rd_kafka_mock_cluster_t *cluster;
    evs_error *err = NULL;
    kit_source s;
    (void)state;
    open_ok(&keyed, SINK("topic.partitions", "1", "kafka.message.timeout.ms", "300",
                         "kafka.reconnect.backoff.ms", "20", "kafka.linger.ms", "0"));
    cluster = evs__kafka_embedded_cluster(ctx);
    write_ok("{\"page\":\"/0\",\"views\":0}");
    commit_ok();
    rd_kafka_mock_broker_set_down(cluster, 1);
    write_ok("{\"page\":\"/1\",\"views\":1}\n@7{\"page\":\"/2\"}\n-{\"page\":\"/3\"}");
    assert_int_equal(sink.f->flush(sink.sink, 2000, &err), EVS_AGAIN);
    rd_kafka_mock_broker_set_up(cluster, 1);
    commit_ok();
    read_back(&s, 4);
    check_rows(&s, 2, -1);
    assert_string_equal(s.events[2].key, "/2");
    assert_int_equal(s.events[2].timestamp, 7);
    assert_string_equal(s.events[3].key, "/3");
    assert_null(s.events[3].value);
    kit_source_close(&s);
    kit_sink_close(&sink);
}

/* an abort forgets what came back, also what is on its way again; closing leaks nothing */
static void test_abort_and_close_while_sending_again(void **state)
{
    char *rows = many_rows(100);
    evs_error *err = NULL;
    (void)state;
    for (int64_t wait_ms = 1; wait_ms < 1000; wait_ms *= 4) {
        open_ok(&keyed, SINK("topic.partitions", "1"));
        rd_kafka_mock_broker_set_rtt(evs__kafka_embedded_cluster(ctx), 1, 50);
        produce_fails(3, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
        write_ok(rows);
        sink.f->flush(sink.sink, wait_ms, &err);
        if (wait_ms > 1) {
            assert_evs_ok(sink.f->abort(sink.sink, &err), err);
            write_ok("{\"page\":\"/b\",\"views\":1}");
            commit_ok();
        }
        kit_sink_close(&sink);
        rd_kafka_mock_clear_request_errors(evs__kafka_embedded_cluster(ctx), 0);
    }
    free(rows);
}

static void test_refused_by_the_broker_fails_the_flush(void **state)
{
    evs_error *err = NULL;
    evs_status status;
    kit_source s;
    (void)state;
    open_ok(&keyed, SINK("kafka.enable.idempotence", "false"));
    rd_kafka_mock_push_request_errors(evs__kafka_embedded_cluster(ctx), 0, 1,
                                      RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED);
    write_ok("{\"page\":\"/a\",\"views\":1}");
    status = kit_sink_commit(&sink, 1, "", &err);
    assert_false(evs_error_is_retriable(err));
    assert_evs_error(status, err, EVS_ERR_AUTH, topic, NULL);
    err = NULL;
    /* the pipeline aborts and writes the epoch again */
    assert_evs_ok(sink.f->abort(sink.sink, &err), err);
    write_ok("{\"page\":\"/a\",\"views\":1}");
    commit_ok();
    read_back(&s, 1);
    kit_source_close(&s);
    kit_sink_close(&sink);
}

static void test_outage_keeps_rows_and_flush_says_again(void **state)
{
    rd_kafka_mock_cluster_t *cluster;
    evs_error *err = NULL;
    int64_t before, next = 0;
    kit_source s;
    (void)state;
    open_ok(&keyed, SINK("kafka.reconnect.backoff.ms", "20"));
    cluster = evs__kafka_embedded_cluster(ctx);
    write_ok("{\"page\":\"/a\",\"views\":1}");
    commit_ok();
    rd_kafka_mock_broker_set_down(cluster, 1);
    write_ok("{\"page\":\"/b\",\"views\":1}");
    before = kit_now_ms();
    assert_int_equal(sink.f->flush(sink.sink, 200, &err), EVS_AGAIN);
    assert_true(kit_now_ms() - before < 1000);
    assert_evs_ok(sink.f->poll(sink.sink, 1000, &next, &err), err);
    assert_true(next > 1000);
    rd_kafka_mock_broker_set_up(cluster, 1);
    commit_ok();
    assert_evs_ok(sink.f->poll(sink.sink, 1000, &next, &err), err);
    assert_int_equal(next, -1);
    read_back(&s, 2);
    kit_source_close(&s);
    kit_sink_close(&sink);
}

static evs_status write_scenario(evs_context *context, void *user_data)
{
    kit_sink s;
    evs_error *err = NULL;
    evs_status status = kit_sink_open(
        context, &evs__kafka_connector, &windowed,
        EVS_OPTIONS("kafka.bootstrap.servers", "embedded:", "topic", "t", "key", "page,views"), &s,
        &err);
    (void)user_data;
    if (!status) {
        evs_batch *batch =
            kit_batch(ctx, s.schema,
                      "{\"page\":\"/a\",\"window_start\":60000,\"window_end\":120000,\"views\":1}");
        status = kit_sink_write_batch(&s, batch, &err);
        evs_batch_unref(batch);
        if (!status)
            status = kit_sink_commit(&s, 1, "", &err);
    }
    kit_sink_close(&s);
    evs_error_unref(err);
    return status;
}

static void test_write_without_memory_is_clean(void **state)
{
    (void)state;
    evs_test_oom_sweep(write_scenario, NULL);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_write_keyed_rows_and_tombstones),
        TEST(test_write_without_key_spreads_rows),
        TEST(test_windowed_key_ends_with_the_start),
        TEST(test_key_forms),
        TEST(test_write_avro_registers_its_schema),
        TEST(test_full_queue_goes_on_where_it_stopped),
        TEST(test_row_too_large_is_told_and_the_rest_goes_on),
        TEST(test_batch_that_is_refused_arrives_in_smaller_ones),
        TEST(test_message_refused_alone_is_told_and_the_rest_goes_on),
        TEST(test_newest_of_a_key_stays_the_newest),
        TEST(test_message_that_ran_out_of_time_is_sent_again),
        TEST(test_abort_and_close_while_sending_again),
        TEST(test_refused_by_the_broker_fails_the_flush),
        TEST(test_outage_keeps_rows_and_flush_says_again),
        TEST(test_write_without_memory_is_clean),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
