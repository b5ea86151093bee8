/*
 * The Kafka source on the embedded cluster: assignment of all partitions and by a group, positions,
 * ends, outages, errors of the broker.
 */
#include <time.h>

#include "kafka_kit.h"

#include "io/kafka/embedded.h"
#include "io/kafka/kafka.h"

static evs_context *ctx;
static evs_test_memory memory;
static char topic[64], group[64];
static kit_source source;

#define SOURCE(...)                                                                                \
    EVS_OPTIONS("kafka.bootstrap.servers", "embedded:", "topic", topic, "embedded.partitions",     \
                "3", __VA_ARGS__)

static int setup(void **state)
{
    (void)state;
    memset(&memory, 0, sizeof(memory));
    atomic_store(&memory.fail_at, -1);
    ctx = evs_test_context(&memory);
    snprintf(topic, sizeof(topic), "%s", kit_name("in"));
    snprintf(group, sizeof(group), "%s", kit_name("group"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ctx = evs_context_unref(ctx);
    assert_int_equal(atomic_load(&memory.live), 0);
    return 0;
}

static void fill(int32_t partition, const char *prefix, int count)
{
    kafka_fill(ctx, "embedded:", topic, "3", partition, prefix, count);
}

static void read_fails(evs_status want, const char *part)
{
    evs_error *err = NULL;
    evs_status status = kit_source_read_until(&source, SIZE_MAX, 15000, &err);
    assert_evs_error(status, err, want, part, NULL);
}

static void open_fails(const evs_options *options, evs_status want, const char *part)
{
    evs_error *err = NULL;
    evs_status status = kit_source_open(ctx, &evs__kafka_connector, options, NULL, &source, &err);
    assert_evs_error(status, err, want, part, NULL);
}

/* ---- reading ---- */

static void test_read_all_partitions_in_order(void **state)
{
    (void)state;
    fill(-1, "v", 500);
    kafka_open(ctx, &source, SOURCE("assign", "all"));
    kafka_read(&source, 500);
    kafka_check_order(&source, 0);
    assert_int_equal(source.assigned[0] + source.assigned[1] + source.assigned[2], 3);
    for (size_t i = 0; i < 500; i++) {
        int n = atoi(source.events[i].value + 1);
        char key[16];
        snprintf(key, sizeof(key), "k%d", n);
        assert_string_equal(source.events[i].key, key);
        assert_int_equal(source.events[i].timestamp, 1000 + n);
    }
    assert_string_equal(source.state, "connected");
    kit_source_close(&source);
}

static void test_read_bounded_ends_at_the_end(void **state)
{
    evs_error *err = NULL;
    (void)state;
    fill(1, "v", 100);
    kafka_open(ctx, &source, SOURCE("assign", "all", "bounded", "true"));
    assert_int_equal(kit_source_read_until(&source, SIZE_MAX, 10000, &err), EVS_END);
    assert_int_equal(source.count, 100);
    kit_source_close(&source);
}

static void test_read_two_topics(void **state)
{
    char other[64], both[200];
    const char *const *topics;
    const int32_t *partitions;
    size_t count;
    (void)state;
    snprintf(other, sizeof(other), "%s", kit_name("other"));
    snprintf(both, sizeof(both), "%s, %s", topic, other);
    fill(0, "a", 10);
    kafka_fill(ctx, "embedded:", other, "2", 1, "b", 10);
    kafka_open(ctx, &source,
               EVS_OPTIONS("kafka.bootstrap.servers", "embedded:", "topic", both, "assign", "all"));
    assert_int_equal(source.f->describe(source.source, &topics, &partitions, &count, NULL), EVS_OK);
    assert_int_equal(count, 2);
    assert_string_equal(topics[1], other);
    assert_int_equal(partitions[0], 3);
    assert_int_equal(partitions[1], 2);
    kafka_read(&source, 20);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(source.events[i].topic, source.events[i].value[0] - 'a');
    kit_source_close(&source);
}

static void test_events_stay_until_release_in_any_order(void **state)
{
    evs_read reads[3] = {{0}};
    (void)state;
    fill(0, "v", 30);
    kafka_open(ctx, &source, SOURCE("assign", "all"));
    for (int i = 0; i < 3; i++) {
        while (source.f->read(source.source, 5, 100, &reads[i], NULL) == EVS_AGAIN)
            ;
        assert_true(reads[i].count > 0 && reads[i].count <= 5);
    }
    source.f->release(source.source, reads[1].handle);
    assert_memory_equal(reads[0].inputs[0].value, "v0", 2);
    source.f->release(source.source, reads[0].handle);
    source.f->release(source.source, reads[2].handle);
    kit_source_close(&source);
}

/* ---- ends ---- */

static void test_partition_state_follows_the_end(void **state)
{
    int64_t until;
    (void)state;
    fill(0, "v", 5);
    kafka_open(ctx, &source, SOURCE("assign", "all"));
    assert_int_equal(source.f->partition_state(source.source, 0, 0), EVS_PARTITION_DISCONNECTED);
    kafka_read(&source, 5);
    for (int32_t i = 0; i < 3; i++)
        kafka_wait_state(&source, i, EVS_PARTITION_AT_END);
    assert_int_equal(source.f->end_offset(source.source, 0, 0), 5);
    /* it stays there: each second's statistics confirm it */
    until = kit_now_ms() + 4500;
    while (kit_now_ms() < until) {
        kit_source_read(&source, 10, 20, NULL);
        assert_int_equal(source.f->partition_state(source.source, 0, 0), EVS_PARTITION_AT_END);
    }
    fill(0, "w", 5);
    kafka_read(&source, 10);
    kafka_check_order(&source, 0);
    kafka_wait_state(&source, 0, EVS_PARTITION_AT_END);
    kit_source_close(&source);
}

static void test_partition_state_is_disconnected_in_an_outage(void **state)
{
    rd_kafka_mock_cluster_t *cluster = evs__kafka_embedded_cluster(ctx);
    (void)state;
    fill(0, "v", 5);
    kafka_open(ctx, &source, SOURCE("assign", "all", "kafka.reconnect.backoff.ms", "20"));
    kafka_read(&source, 5);
    kafka_wait_state(&source, 0, EVS_PARTITION_AT_END);
    rd_kafka_mock_broker_set_down(cluster, 1);
    kafka_wait_state(&source, 0, EVS_PARTITION_DISCONNECTED);
    assert_string_equal(source.state, "connecting");
    rd_kafka_mock_broker_set_up(cluster, 1);
    fill(0, "w", 5);
    kafka_read(&source, 10);
    kafka_check_order(&source, 0);
    kafka_wait_state(&source, 0, EVS_PARTITION_AT_END);
    assert_string_equal(source.state, "connected");
    kit_source_close(&source);
}

/* ---- positions ---- */

static void test_start_at_given_positions(void **state)
{
    (void)state;
    fill(0, "a", 10);
    fill(1, "b", 10);
    kafka_open(ctx, &source, SOURCE("assign", "all", "bounded", "true"));
    source.start[0] = 7;
    source.start[1] = 10;
    assert_int_equal(kit_source_read_until(&source, SIZE_MAX, 10000, NULL), EVS_END);
    assert_int_equal(source.count, 3);
    kafka_check_order(&source, 7);
    kit_source_close(&source);
}

static void test_start_latest_skips_what_is_there(void **state)
{
    (void)state;
    fill(0, "a", 10);
    kafka_open(ctx, &source, SOURCE("assign", "all", "start", "latest"));
    kafka_wait_state(&source, 0, EVS_PARTITION_AT_END);
    assert_int_equal(source.count, 0);
    fill(0, "b", 3);
    kafka_read(&source, 3);
    assert_string_equal(source.events[0].value, "b0");
    kit_source_close(&source);
}

static void test_start_out_of_range_is_an_error_with_both_numbers(void **state)
{
    (void)state;
    fill(0, "a", 10);
    kafka_open(ctx, &source, SOURCE("assign", "all"));
    source.start[0] = 50;
    read_fails(EVS_ERR_STATE, "offset 50 is out of range, the log holds 0 to 10");
    kit_source_close(&source);
}

static void test_start_before_what_is_kept_is_an_error(void **state)
{
    evs_producer *p = NULL;
    evs_error *err = NULL;
    char *big = calloc(1, 100000);
    (void)state;
    memset(big, 'x', 100000);
    assert_evs_ok(evs_producer_new(ctx,
                                   EVS_OPTIONS("kafka.bootstrap.servers", "embedded:", "topic",
                                               topic, "topic.partitions", "1"),
                                   NULL, &p, &err),
                  err);
    for (int i = 0; i < 120; i++) {
        evs_status status;
        while ((status = evs_producer_send_bytes(p, big, 100000, NULL, NULL, NULL, &err)) ==
               EVS_AGAIN)
            evs_producer_poll(p, 10, NULL);
        assert_evs_ok(status, err);
    }
    assert_evs_ok(evs_producer_flush(p, 10000, &err), err);
    evs_producer_close(p);
    free(big);
    kafka_open(
        ctx, &source,
        EVS_OPTIONS("kafka.bootstrap.servers", "embedded:", "topic", topic, "assign", "all"));
    source.start[0] = 3;
    read_fails(EVS_ERR_STATE, "offset 3 is out of range");
    kit_source_close(&source);
}

static void test_seek_goes_back_with_messages_held(void **state)
{
    evs_read held = {0};
    evs_error *err = NULL;
    (void)state;
    fill(0, "v", 2000);
    kafka_open(ctx, &source, SOURCE("assign", "all"));
    while (source.f->read(source.source, 100, 100, &held, NULL) == EVS_AGAIN)
        ;
    kafka_read(&source, 900);
    assert_evs_ok(source.f->seek(source.source, 0, 0, 50, &err), err);
    kit_source_clear(&source);
    kafka_read(&source, 1950);
    kafka_check_order(&source, 50);
    assert_memory_equal(held.inputs[0].value, "v0", 2);
    source.f->release(source.source, held.handle);
    kafka_wait_state(&source, 0, EVS_PARTITION_AT_END);
    /* and from the end back to the beginning, several times: an abort may follow an abort */
    for (int i = 0; i < 5; i++) {
        assert_evs_ok(source.f->seek(source.source, 0, 0, 0, &err), err);
        assert_evs_ok(source.f->seek(source.source, 0, 1, 0, &err), err);
        kit_source_clear(&source);
        kafka_read(&source, 2000);
        kafka_check_order(&source, 0);
    }
    kit_source_close(&source);
}

static void test_pause_holds_back_and_loses_nothing(void **state)
{
    evs_error *err = NULL;
    int64_t until;
    (void)state;
    fill(0, "a", 10);
    fill(1, "b", 10);
    kafka_open(ctx, &source, SOURCE("assign", "all"));
    kafka_read(&source, 20);
    kit_source_clear(&source);
    assert_evs_ok(source.f->pause(source.source, 0, 0, true, &err), err);
    fill(0, "c", 10);
    fill(1, "d", 10);
    kafka_read(&source, 10);
    until = kit_now_ms() + 500;
    while (kit_now_ms() < until)
        kit_source_read(&source, 10, 20, NULL);
    assert_int_equal(source.count, 10);
    assert_string_equal(source.events[0].value, "d0");
    kit_source_clear(&source);
    assert_evs_ok(source.f->pause(source.source, 0, 0, false, &err), err);
    kafka_read(&source, 10);
    assert_string_equal(source.events[0].value, "c0");
    kafka_check_order(&source, 10);
    kit_source_close(&source);
}

/* ---- group ---- */

static void test_group_commits_and_goes_on_from_there(void **state)
{
    const uint32_t topics[] = {0, 0};
    const int32_t partitions[] = {0, 1};
    const int64_t offsets[] = {4, 10};
    int64_t committed = 0;
    evs_error *err = NULL;
    evs_status status;
    (void)state;
    fill(0, "a", 10);
    fill(1, "b", 10);
    kafka_open(ctx, &source, SOURCE("group.id", group));
    kafka_read(&source, 20);
    while ((status = source.f->commit(source.source, topics, partitions, offsets, 2, &err)) ==
           EVS_AGAIN)
        ;
    assert_evs_ok(status, err);
    assert_evs_ok(source.f->committed(source.source, 0, 0, &committed, &err), err);
    assert_int_equal(committed, 4);
    assert_evs_ok(source.f->committed(source.source, 0, 2, &committed, &err), err);
    assert_int_equal(committed, -1);
    kit_source_close(&source);
    kafka_open(ctx, &source, SOURCE("group.id", group));
    kafka_read(&source, 6);
    kafka_wait_state(&source, 1, EVS_PARTITION_AT_END);
    assert_int_equal(source.count, 6);
    assert_int_equal(source.events[0].offset, 4);
    kit_source_close(&source);
    /* the runtime's position counts, where it has one */
    kafka_open(ctx, &source, SOURCE("group.id", group));
    source.start[0] = 9;
    source.start[1] = 0;
    kafka_read(&source, 11);
    kafka_wait_state(&source, 0, EVS_PARTITION_AT_END);
    assert_int_equal(source.count, 11);
    kit_source_close(&source);
}

static void test_group_in_the_embedded_cluster_has_one_member(void **state)
{
    char other[64];
    kit_source second;
    evs_error *err = NULL;
    evs_status status;
    (void)state;
    snprintf(other, sizeof(other), "%s", kit_name("other"));
    kafka_open(ctx, &source, SOURCE("group.id", group));
    status =
        kit_source_open(ctx, &evs__kafka_connector, SOURCE("group.id", group), NULL, &second, &err);
    assert_evs_error(status, err, EVS_ERR_UNSUPPORTED, "only a real cluster", NULL);
    kafka_open(
        ctx, &second,
        EVS_OPTIONS("kafka.bootstrap.servers", "embedded:", "topic", other, "group.id", group));
    kit_source_close(&second);
    kafka_open(ctx, &second, SOURCE("group.id", "another"));
    kit_source_close(&second);
    kit_source_close(&source);
    kafka_open(ctx, &source, SOURCE("group.id", group));
    kit_source_close(&source);
}

/* as with a real cluster: the address instead of embedded: */
static void test_group_shares_partitions(void **state)
{
    const char *servers = rd_kafka_mock_cluster_bootstraps(evs__kafka_embedded_cluster(ctx));
    const evs_options *options =
        EVS_OPTIONS("kafka.bootstrap.servers", servers, "topic", topic, "group.id", group,
                    "kafka.session.timeout.ms", "6000", "kafka.heartbeat.interval.ms", "300");
    kit_source second;
    int64_t deadline;
    int revoked;
    (void)state;
    fill(-1, "a", 100);
    kafka_open(ctx, &source, options);
    kafka_read(&source, 100);
    assert_int_equal(source.revoked, 0);
    kafka_open(ctx, &second, options);
    deadline = kit_now_ms() + 60000;
    while (second.assigned[0] + second.assigned[1] + second.assigned[2] == 0) {
        kit_source_read(&source, 100, 20, NULL);
        kit_source_read(&second, 100, 20, NULL);
        assert_true(kit_now_ms() < deadline);
    }
    assert_true(source.revoked >= 3);
    revoked = source.revoked;
    kit_source_close(&second);
    kit_source_close(&source);
    assert_int_equal(source.revoked, revoked); /* closing asks for nothing any more */
}

static void test_refused_assignment_reads_nothing(void **state)
{
    int64_t until = kit_now_ms() + 500;
    (void)state;
    fill(0, "a", 10);
    kafka_open(ctx, &source, SOURCE("group.id", group));
    source.start[0] = source.start[1] = source.start[2] = -2;
    while (kit_now_ms() < until)
        assert_int_equal(kit_source_read(&source, 100, 20, NULL), EVS_AGAIN);
    assert_true(source.assigned[0] + source.assigned[1] + source.assigned[2] > 0);
    kit_source_close(&source);
}

/* ---- errors ---- */

static void test_open_faulty_options_are_told(void **state)
{
    (void)state;
    open_fails(EVS_OPTIONS("topic", "t"), EVS_ERR_CONFIG, "kafka.bootstrap.servers");
    open_fails(SOURCE("kafka.fetch.wait.max.ms", "soon"), EVS_ERR_CONFIG,
               "kafka.fetch.wait.max.ms");
    open_fails(SOURCE("kafka.enable.auto.commit", "true"), EVS_ERR_CONFIG, "cannot be set");
    open_fails(SOURCE("kafka.auto.offset.reset", "earliest"), EVS_ERR_CONFIG, "\"start\"");
    open_fails(SOURCE("kafka.group.id", "g"), EVS_ERR_CONFIG, "\"group.id\"");
    open_fails(EVS_OPTIONS("kafka.bootstrap.servers", "embedded:", "topic", "a,,b"), EVS_ERR_CONFIG,
               "empty or repeated name");
    open_fails(EVS_OPTIONS("kafka.bootstrap.servers", "embedded:", "topic", "a,a"), EVS_ERR_CONFIG,
               "empty or repeated name");
}

static void test_retriable_fetch_errors_are_not_seen(void **state)
{
    rd_kafka_mock_cluster_t *cluster = evs__kafka_embedded_cluster(ctx);
    (void)state;
    fill(0, "a", 100);
    rd_kafka_mock_push_request_errors(
        cluster, 1 /* Fetch */, 4, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE);
    kafka_open(ctx, &source, SOURCE("assign", "all"));
    kafka_read(&source, 100);
    kafka_check_order(&source, 0);
    kit_source_close(&source);
}

/* one partition: librdkafka makes the first error of one that is at its end a PARTITION_EOF */
static void test_refused_fetch_is_an_error_naming_the_topic(void **state)
{
    rd_kafka_mock_cluster_t *cluster = evs__kafka_embedded_cluster(ctx);
    (void)state;
    kafka_fill(ctx, "embedded:", topic, "1", 0, "a", 10);
    rd_kafka_mock_push_request_errors(cluster, 1, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    kafka_open(
        ctx, &source,
        EVS_OPTIONS("kafka.bootstrap.servers", "embedded:", "topic", topic, "assign", "all"));
    read_fails(EVS_ERR_AUTH, topic);
    kit_source_close(&source);
}

/* ---- a broker that is away ---- */

static double cpu_seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void test_unknown_broker_is_an_error_only_after_the_timeout(void **state)
{
    evs_error *err = NULL;
    int64_t before = kit_now_ms();
    double cpu = cpu_seconds();
    evs_status status;
    (void)state;
    assert_evs_ok(kit_source_open(ctx, &evs__kafka_connector,
                                  EVS_OPTIONS("kafka.bootstrap.servers", "127.0.0.1:1", "topic",
                                              topic, "connect.timeout.ms", "1500"),
                                  NULL, &source, &err),
                  err);
    assert_true(kit_now_ms() - before < 500);
    assert_string_equal(source.state, "connecting");
    status = kafka_describe(&source, 10000, &err);
    assert_evs_error(status, err, EVS_ERR_UNAVAILABLE, "connect.timeout.ms (1500 ms)", NULL);
    assert_true(kit_now_ms() - before >= 1500 && kit_now_ms() - before < 4000);
    assert_true(cpu_seconds() - cpu < 0.5);
    before = kit_now_ms();
    kit_source_close(&source);
    assert_true(kit_now_ms() - before < 3000);
}

/* `noticed`: the outage is known before the commit; otherwise the commit is on its way, which
 * librdkafka waits for */
static void close_in_outage(const evs_options *options, bool noticed, int64_t bound_ms)
{
    rd_kafka_mock_cluster_t *cluster = evs__kafka_embedded_cluster(ctx);
    const uint32_t t = 0;
    const int32_t p = 0;
    const int64_t offset = 3;
    int64_t before;
    kafka_open(ctx, &source, options);
    kafka_read(&source, 10);
    rd_kafka_mock_broker_set_down(cluster, 1);
    if (noticed)
        kafka_wait_state(&source, 0, EVS_PARTITION_DISCONNECTED);
    source.f->commit(source.source, &t, &p, &offset, 1, NULL);
    before = kit_now_ms();
    kit_source_close(&source);
    print_message("# closing took %lld ms\n", (long long)(kit_now_ms() - before));
    assert_true(kit_now_ms() - before < bound_ms);
    rd_kafka_mock_broker_set_up(cluster, 1);
}

static void test_close_in_an_outage_is_bounded(void **state)
{
    const char *servers = rd_kafka_mock_cluster_bootstraps(evs__kafka_embedded_cluster(ctx));
    (void)state;
    fill(0, "a", 10);
    close_in_outage(SOURCE("assign", "all"), false, 3000);
    close_in_outage(SOURCE("group.id", group), true, 3000);
    close_in_outage(SOURCE("group.id", group, "kafka.session.timeout.ms", "2000"), false, 8000);
    close_in_outage(EVS_OPTIONS("kafka.bootstrap.servers", servers, "topic", topic, "group.id",
                                "another", "kafka.session.timeout.ms", "6000"),
                    true, 12000);
}

/* ---- memory ---- */

static evs_status read_scenario(evs_context *context, void *user_data)
{
    kit_source s;
    evs_error *err = NULL;
    evs_status status;
    long at = atomic_exchange(&memory.fail_at, -1);
    (void)user_data;
    (void)at;
    status =
        kit_source_open(context, &evs__kafka_connector,
                        EVS_OPTIONS("kafka.bootstrap.servers", "embedded:", "topic", "t,u",
                                    "assign", "all", "embedded.partitions", "1", "bounded", "true"),
                        NULL, &s, &err);
    if (!status) {
        evs_producer *p = NULL;
        status = kafka_describe(&s, 5000, &err);
        if (!status)
            status = evs_producer_new(context,
                                      EVS_OPTIONS("kafka.bootstrap.servers", "embedded:", "topic",
                                                  "t", "topic.partitions", "1"),
                                      NULL, &p, &err);
        for (int i = 0; !status && i < 3; i++)
            status = evs_producer_send_bytes(p, "x", 1, NULL, NULL, NULL, &err);
        if (p)
            evs_producer_flush(p, 5000, NULL);
        evs_producer_close(p);
    }
    if (!status)
        status = kit_source_read_until(&s, SIZE_MAX, 5000, &err);
    if (status == EVS_END)
        status = s.count == 3 ? EVS_OK : EVS_ERR_INTERNAL;
    if (s.source)
        kit_source_close(&s);
    evs_error_unref(err);
    return status;
}

static void test_read_without_memory_is_clean(void **state)
{
    (void)state;
    evs_test_oom_sweep(read_scenario, NULL);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_read_all_partitions_in_order),
        TEST(test_read_bounded_ends_at_the_end),
        TEST(test_read_two_topics),
        TEST(test_events_stay_until_release_in_any_order),
        TEST(test_partition_state_follows_the_end),
        TEST(test_partition_state_is_disconnected_in_an_outage),
        TEST(test_start_at_given_positions),
        TEST(test_start_latest_skips_what_is_there),
        TEST(test_start_out_of_range_is_an_error_with_both_numbers),
        TEST(test_start_before_what_is_kept_is_an_error),
        TEST(test_seek_goes_back_with_messages_held),
        TEST(test_pause_holds_back_and_loses_nothing),
        TEST(test_group_commits_and_goes_on_from_there),
        TEST(test_group_shares_partitions),
        TEST(test_group_in_the_embedded_cluster_has_one_member),
        TEST(test_refused_assignment_reads_nothing),
        TEST(test_open_faulty_options_are_told),
        TEST(test_retriable_fetch_errors_are_not_seen),
        TEST(test_refused_fetch_is_an_error_naming_the_topic),
        TEST(test_unknown_broker_is_an_error_only_after_the_timeout),
        TEST(test_close_in_an_outage_is_bounded),
        TEST(test_read_without_memory_is_clean),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
