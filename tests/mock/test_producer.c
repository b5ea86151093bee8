/*
 * evs_producer on the embedded cluster: every way to make an event, keys, placement, delivery
 * reports, errors of the broker, a broker that is away. What arrived is read with the Kafka source.
 */
#include <evstream/evstream.h>
#include <stdio.h>

#include "io_kit.h"

#include "io/connectors.h"
#include "io/kafka/embedded.h"

static evs_context *ctx;
static evs_test_memory memory;
static char topic[64];

static int setup(void **state)
{
    (void)state;
    memset(&memory, 0, sizeof(memory));
    atomic_store(&memory.fail_at, -1);
    ctx = evs_test_context(&memory);
    snprintf(topic, sizeof(topic), "%s", kit_name("events"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ctx = evs_context_unref(ctx);
    assert_int_equal(atomic_load(&memory.live), 0);
    return 0;
}

static const char purchase_text[] =
    "{\"type\":\"record\",\"name\":\"purchase\",\"fields\":["
    "{\"name\":\"user_id\",\"type\":\"string\"},"
    "{\"name\":\"total\",\"type\":[\"null\",\"double\"],\"default\":null},"
    "{\"name\":\"items\",\"type\":{\"type\":\"array\",\"items\":{\"type\":\"record\","
    "\"name\":\"item\",\"fields\":[{\"name\":\"sku\",\"type\":\"string\"},"
    "{\"name\":\"quantity\",\"type\":\"int\"}]}}}]}";

static evs_schema *purchase(void)
{
    evs_schema *s = NULL;
    evs_error *err = NULL;
    assert_evs_ok(
        evs_schema_parse(ctx, EVS_FORMAT_AVRO, purchase_text, strlen(purchase_text), &s, &err),
        err);
    return s;
}

static evs_schema *columns(const char *text)
{
    evs_schema *s = NULL;
    evs_error *err = NULL;
    assert_evs_ok(evs_schema_columns(ctx, text, &s, &err), err);
    return s;
}

/* with the embedded cluster and the test's topic; more pairs behind */
#define PRODUCER(...)                                                                              \
    EVS_OPTIONS("kafka.bootstrap.servers", "embedded:", "topic", topic, __VA_ARGS__)

/* the schema's reference goes to the producer */
static evs_producer *producer(const evs_options *options, evs_schema *schema)
{
    evs_producer *p = NULL;
    evs_error *err = NULL;
    assert_evs_ok(evs_producer_new(ctx, options, schema, &p, &err), err);
    evs_schema_unref(schema);
    return p;
}

static void
producer_fails(const evs_options *options, evs_schema *schema, evs_status want, const char *part)
{
    evs_producer *p = NULL;
    evs_error *err = NULL;
    evs_status status = evs_producer_new(ctx, options, schema, &p, &err);
    assert_evs_error(status, err, want, part, NULL);
    assert_null(p);
    evs_schema_unref(schema);
}

typedef struct reports {
    int count, failed;
    int32_t partition;
    int64_t offset, latency_us;
    evs_status status;
    char message[256], key[64], topic[64];
} reports;

static void on_delivery(const evs_delivery *d, void *user_data)
{
    reports *r = user_data;
    r->count++;
    r->failed += d->error != NULL;
    r->partition = d->partition;
    r->offset = d->offset;
    r->latency_us = d->latency_us;
    r->status = evs_error_status(d->error);
    snprintf(r->message, sizeof(r->message), "%s", evs_error_message(d->error));
    snprintf(r->key, sizeof(r->key), "%.*s", (int)d->key_len, d->key ? (const char *)d->key : "");
    snprintf(r->topic, sizeof(r->topic), "%s", d->topic);
}

static void flush_ok(evs_producer *p)
{
    evs_error *err = NULL;
    assert_evs_ok(evs_producer_flush(p, 10000, &err), err);
    assert_int_equal(evs_producer_pending(p), 0);
}

static void send_json_ok(evs_producer *p, const char *json, const evs_message *m, reports *r)
{
    evs_error *err = NULL;
    evs_status status;
    while ((status = evs_producer_send_json(p, json, strlen(json), m, r ? on_delivery : NULL, r,
                                            &err)) == EVS_AGAIN)
        evs_producer_poll(p, 10, NULL);
    assert_evs_ok(status, err);
}

/* the first `count` events of the topic */
static void read_back(kit_source *s, size_t count)
{
    evs_error *err = NULL;
    assert_evs_ok(kit_source_open(ctx, &evs__kafka_connector,
                                  EVS_OPTIONS("kafka.bootstrap.servers", "embedded:", "topic",
                                              topic, "assign", "all"),
                                  NULL, s, &err),
                  err);
    {
        const char *const *topics;
        const int32_t *partitions;
        size_t n;
        evs_status status;
        while ((status = s->f->describe(s->source, &topics, &partitions, &n, &err)) == EVS_AGAIN)
            ;
        assert_evs_ok(status, err);
    }
    assert_evs_ok(kit_source_read_until(s, count, 10000, &err), err);
    assert_int_equal(s->count, count);
}

/* ---- ways to make an event ---- */

static void test_send_json_without_schema_passes_bytes_and_reports(void **state)
{
    evs_producer *p = producer(PRODUCER("topic.partitions", "1"), NULL);
    evs_message m = EVS_MESSAGE_INIT;
    evs_header headers[] = {{"trace", "t1", 2}, {"empty", "", 0}, {"null", NULL, 0}};
    const evs_header *got;
    size_t got_count;
    reports r = {0};
    kit_source s;
    (void)state;
    m.key = "u1";
    m.key_len = 2;
    m.headers = headers;
    m.header_count = 3;
    m.timestamp_ms = 1700000000123;
    send_json_ok(p, "{\"page\":\"/a\"}", &m, &r);
    send_json_ok(p, "not even json", NULL, &r);
    assert_int_equal(r.count, 0);
    flush_ok(p);
    assert_int_equal(r.count, 2);
    assert_int_equal(r.failed, 0);
    assert_int_equal(r.offset, 1);
    assert_int_equal(r.partition, 0);
    assert_true(r.latency_us > 0 && r.latency_us < 10000000);
    assert_string_equal(r.topic, topic);
    read_back(&s, 2);
    assert_string_equal(s.events[0].value, "{\"page\":\"/a\"}");
    assert_string_equal(s.events[0].key, "u1");
    assert_int_equal(s.events[0].timestamp, 1700000000123);
    assert_string_equal(s.events[1].value, "not even json");
    assert_null(s.events[1].key);
    kit_source_close(&s);
    /* headers are read in place */
    assert_int_equal(kit_source_open(ctx, &evs__kafka_connector,
                                     EVS_OPTIONS("kafka.bootstrap.servers", "embedded:", "topic",
                                                 topic, "assign", "all"),
                                     NULL, &s, NULL),
                     EVS_OK);
    {
        evs_read read = {0};
        const char *const *topics;
        const int32_t *partitions;
        size_t n;
        while (s.f->describe(s.source, &topics, &partitions, &n, NULL) == EVS_AGAIN)
            ;
        while (s.f->read(s.source, 10, 100, &read, NULL) == EVS_AGAIN)
            ;
        assert_int_equal(s.f->headers(s.source, &read.inputs[0], &got, &got_count), EVS_OK);
        assert_int_equal(got_count, 3);
        assert_string_equal(got[0].name, "trace");
        assert_memory_equal(got[0].value, "t1", 2);
        assert_int_equal(got[1].value_len, 0);
        assert_non_null(got[1].value);
        assert_null(got[2].value);
        assert_int_equal(s.f->headers(s.source, &read.inputs[0], &got, &got_count), EVS_OK);
        assert_int_equal(got_count, 3);
        s.f->release(s.source, read.handle);
    }
    kit_source_close(&s);
    evs_producer_close(p);
}

static void test_send_record_avro_is_framed_and_keyed(void **state)
{
    evs_producer *p = producer(PRODUCER("key", "user_id"), purchase());
    evs_record *record, *item;
    evs_schema *schema = NULL;
    reports r = {0};
    kit_source s;
    evs_error *err = NULL;
    (void)state;
    for (int i = 0; i < 3; i++) {
        record = evs_producer_record(p);
        evs_record_set_string(record, "user_id", "u-17", 4);
        evs_record_set_double_at(record, 1, 19.5);
        item = evs_record_append(record, "items");
        evs_record_set_string(item, "sku", "A-1", 3);
        evs_record_set_int(item, "quantity", i);
        assert_evs_ok(evs_producer_send(p, record, NULL, on_delivery, &r, &err), err);
    }
    flush_ok(p);
    assert_int_equal(r.count, 3);
    assert_string_equal(r.key, "u-17");
    read_back(&s, 3);
    assert_int_equal(s.events[0].partition, r.partition);
    assert_string_equal(s.events[0].key, "u-17");
    assert_int_equal(s.events[0].value_len, 5 + 5 + 1 + 8 + 1 + 4 + 1 + 1);
    assert_memory_equal(s.events[0].value, "\0", 1);
    {
        const unsigned char *v = (const unsigned char *)s.events[0].value;
        int32_t id =
            (int32_t)((uint32_t)v[1] << 24 | (uint32_t)v[2] << 16 | (uint32_t)v[3] << 8 | v[4]);
        char subject[100];
        int32_t latest = -1;
        assert_evs_ok(evs_registry_get(ctx, id, &schema, &err), err);
        assert_int_equal(evs_schema_field(schema, "items"), 2);
        evs_schema_unref(schema);
        snprintf(subject, sizeof(subject), "%s-value", topic);
        assert_evs_ok(evs_registry_latest(ctx, subject, &latest, &schema, &err), err);
        assert_int_equal(latest, id);
        evs_schema_unref(schema);
    }
    kit_source_close(&s);
    evs_producer_close(p);
}

static void test_send_record_incomplete_names_the_field(void **state)
{
    evs_producer *p = producer(PRODUCER("key", "user_id"), purchase());
    evs_record *record = evs_producer_record(p);
    reports r = {0};
    evs_error *err = NULL;
    evs_status status;
    (void)state;
    evs_record_set_string(record, "user_id", "u", 1);
    evs_record_set_string(evs_record_append(record, "items"), "sku", "A", 1);
    status = evs_producer_send(p, record, NULL, on_delivery, &r, &err);
    assert_evs_error(status, err, EVS_ERR_SCHEMA, "items[0].quantity", "items[0].quantity");
    err = NULL;
    /* emptied: the next one starts anew */
    status = evs_producer_send(p, record, NULL, on_delivery, &r, &err);
    assert_evs_error(status, err, EVS_ERR_SCHEMA, "user_id", "user_id");
    flush_ok(p);
    assert_int_equal(r.count, 0);
    evs_producer_close(p);
}

static void test_send_json_with_schema_is_checked_and_converted(void **state)
{
    evs_producer *p = producer(PRODUCER("key", "user_id", "topic.partitions", "1"), purchase());
    evs_producer *same;
    reports r = {0};
    kit_source s;
    evs_error *err = NULL;
    evs_status status;
    const char *bad =
        "{\"user_id\":\"u\",\"total\":1,\"items\":[{\"sku\":\"A\",\"quantity\":\"x\"}]}";
    (void)state;
    send_json_ok(p, "{\"items\":[],\"total\":2.5,\"user_id\":\"u9\"}", NULL, &r);
    status = evs_producer_send_json(p, bad, strlen(bad), NULL, on_delivery, &r, &err);
    assert_true(status == EVS_ERR_SCHEMA || status == EVS_ERR_DECODE);
    assert_string_equal(evs_error_origin(err), "items[0].quantity");
    evs_error_unref(err);
    err = NULL;
    status = evs_producer_send_json(p, "{\"user_id\":", 11, NULL, on_delivery, &r, &err);
    assert_evs_error(status, err, EVS_ERR_DECODE, NULL, NULL);
    flush_ok(p);
    assert_int_equal(r.count, 1);
    /* a JSON producer passes the text on as it is */
    same = producer(PRODUCER("key", "user_id", "format", "json", "topic.partitions", "1"),
                    columns("user_id VARCHAR NOT NULL, n INT"));
    send_json_ok(same, "{ \"n\" : 1 , \"user_id\":\"u9\", \"more\":[1] }", NULL, &r);
    flush_ok(same);
    evs_producer_close(same);
    read_back(&s, 2);
    assert_int_equal(s.events[0].value_len, 5 + 3 + 1 + 8 + 1);
    assert_string_equal(s.events[0].key, "u9");
    assert_string_equal(s.events[1].value, "{ \"n\" : 1 , \"user_id\":\"u9\", \"more\":[1] }");
    assert_string_equal(s.events[1].key, "u9");
    kit_source_close(&s);
    evs_producer_close(p);
}

struct view {
    int64_t user;
    const char *page;
    char device[8];
    double ms;
    bool bot;
};

static void test_send_struct_writes_bound_members(void **state)
{
    static const evs_field_binding fields[] = {
        EVS_BIND(struct view, user, EVS_BIND_INT64),   EVS_BIND(struct view, page, EVS_BIND_CSTR),
        EVS_BIND(struct view, device, EVS_BIND_CHARS), EVS_BIND(struct view, ms, EVS_BIND_DOUBLE),
        EVS_BIND(struct view, bot, EVS_BIND_BOOL),
    };
    struct view view = {7, NULL, "tab", 1.5, true};
    evs_producer *p = producer(
        PRODUCER("key", "user", "format", "json"),
        columns("user BIGINT NOT NULL, page VARCHAR, device VARCHAR, ms DOUBLE, bot BOOLEAN"));
    reports r = {0};
    kit_source s;
    evs_error *err = NULL;
    evs_status status = evs_producer_send_struct(p, &view, NULL, on_delivery, &r, &err);
    (void)state;
    assert_evs_error(status, err, EVS_ERR_MISUSE, "evs_producer_bind", NULL);
    err = NULL;
    assert_evs_ok(evs_producer_bind(p, fields, 5, &err), err);
    assert_evs_ok(evs_producer_send_struct(p, &view, NULL, on_delivery, &r, &err), err);
    flush_ok(p);
    read_back(&s, 1);
    assert_string_equal(s.events[0].value,
                        "{\"user\":7,\"page\":null,\"device\":\"tab\",\"ms\":1.5,\"bot\":true}");
    assert_int_equal(s.events[0].key_len, 8);
    assert_memory_equal(s.events[0].key, "\0\0\0\0\0\0\0\7", 8);
    kit_source_close(&s);
    evs_producer_close(p);
}

static void test_send_bytes_and_tombstones(void **state)
{
    evs_producer *p = producer(PRODUCER("topic.partitions", "1"), NULL);
    evs_message m = EVS_MESSAGE_INIT;
    kit_source s;
    evs_error *err = NULL;
    (void)state;
    m.key = "k";
    m.key_len = 1;
    assert_evs_ok(evs_producer_send_bytes(p, "\0\1", 2, &m, NULL, NULL, &err), err);
    assert_evs_ok(evs_producer_send_bytes(p, NULL, 0, &m, NULL, NULL, &err), err);
    m.key = "";
    m.key_len = 0;
    assert_evs_ok(evs_producer_send_bytes(p, "", 0, &m, NULL, NULL, &err), err);
    flush_ok(p);
    read_back(&s, 3);
    assert_memory_equal(s.events[0].value, "\0\1", 2);
    assert_null(s.events[1].value);
    assert_non_null(s.events[2].value);
    assert_int_equal(s.events[2].value_len, 0);
    assert_non_null(s.events[2].key);
    kit_source_close(&s);
    evs_producer_close(p);
}

/* ---- placement ---- */

/* murmur2 as the Java client has it; hashes from Kafka's own and librdkafka's tests */
static void test_keys_are_placed_as_the_java_client_does(void **state)
{
    static const struct {
        const char *key;
        uint32_t hash;
    } vectors[] = {
        {"21", (uint32_t)-973932308},
        {"foobar", (uint32_t)-790332482},
        {"a-little-bit-long-string", (uint32_t)-985981536},
        {"a-little-bit-longer-string", (uint32_t)-1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", (uint32_t)-58897971},
        {"abc", 479470107},
        {"kafka", 0xd067cf64},
        {"giberish123456789", 0x8f552b0c},
        {"1234", 0x9fc97b14},
        {"", 0x106e08d9},
    };
    evs_producer *p = producer(PRODUCER("topic.partitions", "13"), NULL);
    evs_error *err = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
        evs_message m = EVS_MESSAGE_INIT;
        reports r = {0};
        m.key = vectors[i].key;
        m.key_len = strlen(vectors[i].key);
        assert_evs_ok(evs_producer_send_bytes(p, "x", 1, &m, on_delivery, &r, &err), err);
        flush_ok(p);
        assert_int_equal(r.partition, (vectors[i].hash & 0x7fffffff) % 13);
    }
    evs_producer_close(p);
}

static void test_explicit_partition_is_used_or_refused(void **state)
{
    evs_producer *p = producer(PRODUCER("topic.partitions", "3"), NULL);
    evs_message m = EVS_MESSAGE_INIT;
    reports r = {0};
    evs_error *err = NULL;
    evs_status status;
    (void)state;
    for (int32_t i = 0; i < 3; i++) {
        m.partition = i;
        assert_evs_ok(evs_producer_send_bytes(p, "x", 1, &m, on_delivery, &r, &err), err);
        flush_ok(p);
        assert_int_equal(r.partition, i);
    }
    m.partition = 3;
    status = evs_producer_send_bytes(p, "x", 1, &m, on_delivery, &r, &err);
    assert_evs_error(status, err, EVS_ERR_NOT_FOUND, "has no partition 3", NULL);
    assert_int_equal(r.count, 3);
    evs_producer_close(p);
}

static void test_keys_of_several_fields_are_json(void **state)
{
    evs_producer *p = producer(PRODUCER("key", "site, user", "format", "json"),
                               columns("user INT, \"site\" VARCHAR, x INT"));
    kit_source s;
    (void)state;
    send_json_ok(p, "{\"user\":5,\"site\":\"a\",\"x\":1}", NULL, NULL);
    flush_ok(p);
    read_back(&s, 1);
    assert_string_equal(s.events[0].key, "{\"site\":\"a\",\"user\":5}");
    kit_source_close(&s);
    evs_producer_close(p);
    p = producer(PRODUCER("key", "site,user", "format", "json", "key.format", "text"),
                 columns("user INT, \"site\" VARCHAR, x INT"));
    send_json_ok(p, "{\"user\":5,\"site\":\"b\",\"x\":1}", NULL, NULL);
    flush_ok(p);
    read_back(&s, 2);
    assert_string_equal(s.events[strcmp(s.events[0].key, "b|5") != 0].key, "b|5");
    kit_source_close(&s);
    evs_producer_close(p);
}

/* ---- errors ---- */

static void test_new_faulty_options_are_told(void **state)
{
    (void)state;
    producer_fails(EVS_OPTIONS("topic", "t"), NULL, EVS_ERR_CONFIG, "kafka.bootstrap.servers");
    producer_fails(EVS_OPTIONS("kafka.bootstrap.servers", "embedded:"), NULL, EVS_ERR_CONFIG,
                   "topic");
    producer_fails(PRODUCER("kafka.acks", "sometimes"), NULL, EVS_ERR_CONFIG, "kafka.acks");
    producer_fails(PRODUCER("kafka.no.such", "x"), NULL, EVS_ERR_CONFIG, "kafka.no.such");
    producer_fails(PRODUCER("topik", "x"), NULL, EVS_ERR_CONFIG, "did you mean \"topic\"");
    producer_fails(PRODUCER("key", "user"), NULL, EVS_ERR_CONFIG, "takes a schema");
    producer_fails(PRODUCER("key", "user"), purchase(), EVS_ERR_CONFIG, "no column \"user\"");
    producer_fails(PRODUCER("key", "items", "key.format", "kafka"), purchase(), EVS_ERR_CONFIG,
                   "one column of a plain type");
    producer_fails(PRODUCER("kafka.security.protocol", "sasl_plaintext", "kafka.sasl.mechanisms",
                            "wrong", "kafka.sasl.password", "secret"),
                   NULL, EVS_ERR_CONFIG, "SASL");
}

static void test_calls_faulty_are_told(void **state)
{
    evs_producer *p = producer(PRODUCER("format", "json"), columns("a INT"));
    evs_producer *raw = producer(PRODUCER("topic.partitions", "4"), NULL);
    evs_message m = EVS_MESSAGE_INIT, same;
    evs_header header = {NULL, "x", 1};
    evs_error *err = NULL;
    (void)state;
#define FAILS(call, want, part)                                                                    \
    do {                                                                                           \
        evs_status status = call;                                                                  \
        assert_evs_error(status, err, want, part, NULL);                                           \
        err = NULL;                                                                                \
    } while (0)
    FAILS(evs_producer_send_bytes(p, "x", 1, NULL, NULL, NULL, &err), EVS_ERR_MISUSE, "schema");
    FAILS(evs_producer_send(raw, NULL, NULL, NULL, NULL, &err), EVS_ERR_MISUSE, "without a schema");
    FAILS(evs_producer_send(p, NULL, NULL, NULL, NULL, &err), EVS_ERR_INVALID, "record");
    FAILS(evs_producer_send_json(NULL, "", 0, NULL, NULL, NULL, &err), EVS_ERR_INVALID, "NULL");
    FAILS(evs_producer_send_bytes(raw, NULL, 1, NULL, NULL, NULL, &err), EVS_ERR_INVALID, "NULL");
    FAILS(evs_producer_bind(raw, NULL, 0, &err), EVS_ERR_MISUSE, "schema");
    m.key_len = 1;
    FAILS(evs_producer_send_bytes(raw, "x", 1, &m, NULL, NULL, &err), EVS_ERR_INVALID, "key");
    evs_message_init(&m);
    m.headers = &header;
    m.header_count = 1;
    FAILS(evs_producer_send_bytes(raw, "x", 1, &m, NULL, NULL, &err), EVS_ERR_INVALID, "header");
    evs_message_init(&m);
    m.timestamp_ms = -1;
    FAILS(evs_producer_send_bytes(raw, "x", 1, &m, NULL, NULL, &err), EVS_ERR_INVALID, "1970");
    evs_message_init(&m);
    m.partition = -2;
    FAILS(evs_producer_send_bytes(raw, "x", 1, &m, NULL, NULL, &err), EVS_ERR_INVALID, "partition");
    evs_message_init(&m);
    m.struct_size = 3;
    FAILS(evs_producer_send_bytes(raw, "x", 1, &m, NULL, NULL, &err), EVS_ERR_INVALID,
          "struct_size");
    FAILS(evs_producer_new(ctx, NULL, NULL, NULL, &err), EVS_ERR_INVALID, "ret_producer");
    evs_message_init(&m);
    same = (evs_message)EVS_MESSAGE_INIT;
    assert_memory_equal(&m, &same, sizeof(m));
    assert_null(evs_producer_record(raw));
    assert_null(evs_producer_close(NULL));
    evs_producer_close(p);
    evs_producer_close(raw);
}

static void test_send_too_large_is_refused(void **state)
{
    evs_producer *p = producer(PRODUCER("kafka.message.max.bytes", "2000"), NULL);
    char *big = calloc(1, 10000);
    evs_error *err = NULL;
    evs_status status = evs_producer_send_bytes(p, big, 10000, NULL, NULL, NULL, &err);
    (void)state;
    assert_evs_error(status, err, EVS_ERR_LIMIT, topic, NULL);
    free(big);
    evs_producer_close(p);
}

static void test_retriable_broker_errors_are_not_seen(void **state)
{
    evs_producer *p = producer(PRODUCER("kafka.retry.backoff.ms", "10"), NULL);
    reports r = {0};
    (void)state;
    rd_kafka_mock_push_request_errors(
        evs__kafka_embedded_cluster(ctx), 0 /* Produce */, 3, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT);
    for (int i = 0; i < 10; i++)
        send_json_ok(p, "{}", NULL, &r);
    flush_ok(p);
    assert_int_equal(r.count, 10);
    assert_int_equal(r.failed, 0);
    evs_producer_close(p);
}

static void test_refused_by_broker_is_reported(void **state)
{
    evs_producer *p = producer(PRODUCER("kafka.enable.idempotence", "false"), NULL);
    reports r = {0};
    (void)state;
    rd_kafka_mock_push_request_errors(evs__kafka_embedded_cluster(ctx), 0, 1,
                                      RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    send_json_ok(p, "{}", NULL, &r);
    flush_ok(p);
    assert_int_equal(r.count, 1);
    assert_int_equal(r.failed, 1);
    assert_int_equal(r.status, EVS_ERR_AUTH);
    assert_non_null(strstr(r.message, topic));
    assert_int_equal(r.offset, -1);
    evs_producer_close(p);
}

static void test_full_queue_says_again_and_nothing_is_lost(void **state)
{
    evs_producer *p = producer(
        PRODUCER("kafka.queue.buffering.max.messages", "10", "format", "json"), columns("n INT"));
    reports r = {0};
    evs_error *err = NULL;
    int again = 0, sent = 0;
    kit_source s;
    (void)state;
    while (sent < 100) {
        evs_record *record = evs_producer_record(p);
        evs_status status;
        evs_record_set_int(record, "n", sent);
        status = evs_producer_send(p, record, NULL, on_delivery, &r, &err);
        if (status == EVS_AGAIN) {
            assert_null(err);
            again++;
            evs_producer_poll(p, 100, NULL);
            continue;
        }
        assert_evs_ok(status, err);
        sent++;
    }
    assert_true(again > 0);
    flush_ok(p);
    assert_int_equal(r.count, 100);
    read_back(&s, 100);
    kit_source_close(&s);
    evs_producer_close(p);
}

typedef struct resend {
    evs_producer *p;
    int reports;
} resend;

static void on_first(const evs_delivery *d, void *user_data)
{
    resend *r = user_data;
    evs_error *err = NULL;
    assert_null(d->error);
    if (++r->reports < 50)
        assert_evs_ok(evs_producer_send_bytes(r->p, "x", 1, NULL, on_first, r, &err), err);
}

static void test_callback_may_send_again(void **state)
{
    evs_producer *p = producer(PRODUCER("kafka.linger.ms", "0"), NULL);
    resend r = {p, 0};
    evs_error *err = NULL;
    (void)state;
    assert_evs_ok(evs_producer_send_bytes(p, "x", 1, NULL, on_first, &r, &err), err);
    while (r.reports < 50)
        evs_producer_poll(p, 1000, NULL);
    assert_int_equal(evs_producer_poll(p, 0, &err), EVS_AGAIN);
    evs_producer_close(p);
    assert_int_equal(r.reports, 50);
}

/* ---- a broker that is away ---- */

static void test_broker_away_events_wait_and_close_tells_them(void **state)
{
    evs_producer *p = producer(EVS_OPTIONS("kafka.bootstrap.servers", "127.0.0.1:1", "topic", topic,
                                           "close.timeout.ms", "300"),
                               NULL);
    reports r = {0};
    int64_t before = kit_now_ms();
    evs_error *err = NULL;
    evs_status status;
    (void)state;
    for (int i = 0; i < 100; i++)
        send_json_ok(p, "{}", NULL, &r);
    assert_true(kit_now_ms() - before < 2000);
    assert_int_equal(evs_producer_pending(p), 100);
    before = kit_now_ms();
    status = evs_producer_flush(p, 200, &err);
    assert_evs_error(status, err, EVS_ERR_TIMEOUT, "100 events", NULL);
    assert_true(kit_now_ms() - before < 1000);
    before = kit_now_ms();
    evs_producer_close(p);
    assert_true(kit_now_ms() - before < 2500);
    assert_int_equal(r.count, 100);
    assert_int_equal(r.failed, 100);
    assert_int_equal(r.status, EVS_ERR_TIMEOUT);
}

static void test_broker_lost_in_between_is_survived(void **state)
{
    evs_producer *p =
        producer(PRODUCER("kafka.reconnect.backoff.ms", "20", "close.timeout.ms", "200"), NULL);
    rd_kafka_mock_cluster_t *cluster = evs__kafka_embedded_cluster(ctx);
    reports r = {0};
    int64_t before;
    (void)state;
    send_json_ok(p, "{}", NULL, &r);
    flush_ok(p);
    rd_kafka_mock_broker_set_down(cluster, 1);
    for (int i = 0; i < 10; i++)
        send_json_ok(p, "{}", NULL, &r);
    assert_int_equal(evs_producer_flush(p, 300, NULL), EVS_ERR_TIMEOUT);
    rd_kafka_mock_broker_set_up(cluster, 1);
    flush_ok(p);
    assert_int_equal(r.count, 11);
    assert_int_equal(r.failed, 0);
    rd_kafka_mock_broker_set_down(cluster, 1);
    send_json_ok(p, "{}", NULL, &r);
    before = kit_now_ms();
    evs_producer_close(p);
    assert_true(kit_now_ms() - before < 2500);
    assert_int_equal(r.count, 12);
    assert_int_equal(r.failed, 1);
}

/* ---- memory ---- */

static void test_warm_producer_allocates_nothing(void **state)
{
    evs_producer *p = producer(PRODUCER("key", "user_id"), purchase());
    reports r = {0};
    evs_error *err = NULL;
    long calls = 0;
    (void)state;
    for (int i = 0; i < 300; i++) {
        evs_record *record = evs_producer_record(p);
        if (i == 200) {
            flush_ok(p);
            calls = atomic_load(&memory.calls);
        }
        evs_record_set_string(record, "user_id", "u-17", 4);
        evs_record_set_string(evs_record_append(record, "items"), "sku", "A", 1);
        evs_record_set_int(evs_record_append(record, "items"), "quantity", 1);
        evs_record_set_null(record, "items"); /* a fault: dropped */
        evs_error_unref(err);
        err = NULL;
        record = evs_producer_record(p);
        evs_record_set_string(record, "user_id", "u-17", 4);
        {
            evs_record *item = evs_record_append(record, "items");
            evs_record_set_string(item, "sku", "A", 1);
            evs_record_set_int(item, "quantity", i);
        }
        assert_evs_ok(evs_producer_send(p, record, NULL, on_delivery, &r, &err), err);
    }
    assert_int_equal(atomic_load(&memory.calls), calls);
    flush_ok(p);
    assert_int_equal(atomic_load(&memory.calls), calls);
    evs_producer_close(p);
    assert_int_equal(r.count, 300);
}

static evs_status producer_scenario(evs_context *context, void *user_data)
{
    evs_schema *schema = NULL;
    evs_producer *p = NULL;
    reports r = {0};
    evs_error *err = NULL;
    int sent = 0;
    evs_status status = evs_schema_parse(context, EVS_FORMAT_AVRO, purchase_text,
                                         strlen(purchase_text), &schema, &err);
    (void)user_data;
    if (!status)
        status = evs_producer_new(context, PRODUCER("key", "user_id"), schema, &p, &err);
    for (int i = 0; !status && i < 3; i++) {
        evs_record *record = evs_producer_record(p);
        evs_record_set_string(record, "user_id", "u-17", 4);
        status = evs_producer_send(p, record, NULL, on_delivery, &r, &err);
        sent += !status;
    }
    if (!status) {
        const char *json = "{\"user_id\":\"a\",\"total\":null,\"items\":[]}";
        status = evs_producer_send_json(p, json, strlen(json), NULL, on_delivery, &r, &err);
        sent += !status;
    }
    if (p && evs_producer_flush(p, 10000, NULL) != EVS_OK)
        status = EVS_ERR_INTERNAL;
    evs_producer_close(p);
    if (r.count != sent)
        status = EVS_ERR_INTERNAL;
    evs_schema_unref(schema);
    evs_error_unref(err);
    return status;
}

static void test_producer_without_memory_is_clean(void **state)
{
    (void)state;
    evs_test_oom_sweep(producer_scenario, NULL);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_send_json_without_schema_passes_bytes_and_reports),
        TEST(test_send_record_avro_is_framed_and_keyed),
        TEST(test_send_record_incomplete_names_the_field),
        TEST(test_send_json_with_schema_is_checked_and_converted),
        TEST(test_send_struct_writes_bound_members),
        TEST(test_send_bytes_and_tombstones),
        TEST(test_keys_are_placed_as_the_java_client_does),
        TEST(test_explicit_partition_is_used_or_refused),
        TEST(test_keys_of_several_fields_are_json),
        TEST(test_new_faulty_options_are_told),
        TEST(test_calls_faulty_are_told),
        TEST(test_send_too_large_is_refused),
        TEST(test_retriable_broker_errors_are_not_seen),
        TEST(test_refused_by_broker_is_reported),
        TEST(test_full_queue_says_again_and_nothing_is_lost),
        TEST(test_callback_may_send_again),
        TEST(test_broker_away_events_wait_and_close_tells_them),
        TEST(test_broker_lost_in_between_is_survived),
        TEST(test_warm_producer_allocates_nothing),
        TEST(test_producer_without_memory_is_clean),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
