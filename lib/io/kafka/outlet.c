/*
 * io/kafka/outlet.c: a producer for one topic: idempotent, acks=all, murmur2 placement, delivery
 * reports counted.
 *
 * The topic is looked up (and made, with topic.create) by the first sends, in short steps, because
 * neither opening nor sending may wait for a broker. While none answers, messages are queued up to
 * librdkafka's bounds. Placement: the Java client's murmur2 over the key without its
 * suffix, so that all windows of a key share a partition, as Kafka Streams does.
 */
#include "io/kafka/kafka.h"
#include "io/kafka/outlet.h"

#define UNKNOWN_TOPIC_MS 3000
#define LOOKUP_MS 50
#define SILENT_MS 1000

struct evs__outlet {
    evs_context *ctx; /* first: conf.c's log callback */
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic;
    char *name;
    evs__outlet_delivered_fn delivered;
    void *user_data;
    size_t key_suffix;
    size_t pending;
    int served;
    bool embedded, create, known;
    int32_t partitions, replication;
    int64_t unknown_since_ms;
    int64_t silent_until_ms;    /* no broker answered: not asked again before */
    rd_kafka_queue_t *creating; /* of the answer to CreateTopics */
    bool in_creation;
    const rd_kafka_message_t *reported; /* by on_delivery, at the moment */
    const evs_error *refused; /* why messages are being given back that were queued unseen */
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    evs__outlet *o = opaque;
    evs_error *err = NULL;
    evs_delivery d = {.topic = o->name,
                      .key = m->key,
                      .key_len = m->key_len,
                      .offset = m->err ? -1 : m->offset,
                      .latency_us = rd_kafka_message_latency(m),
                      .partition = m->partition};
    (void)rk;
    if (m->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE && o->refused) {
        d.error = o->refused;
    } else if (m->err) {
        evs__kafka_fail(o->ctx, &err, m->err, "topic \"%s\" partition %d", o->name, m->partition);
        d.error = err;
    }
    o->pending--;
    o->served++;
    o->reported = m;
    o->delivered(&d, m->_private, o->user_data);
    o->reported = NULL;
    evs_error_unref(err);
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    evs__outlet *o = opaque;
    (void)rk;
    evs_log(o->ctx, code == RD_KAFKA_RESP_ERR__FATAL ? EVS_LOG_ERROR : EVS_LOG_INFO, "kafka", "%s",
            reason);
}

static int32_t place(const rd_kafka_topic_t *topic,
                     const void *key,
                     size_t len,
                     int32_t partitions,
                     void *opaque,
                     void *message_opaque)
{
    const evs__outlet *o = opaque;
    if (len >= o->key_suffix)
        len -= o->key_suffix;
    return rd_kafka_msg_partitioner_murmur2_random(topic, key, len, partitions, opaque,
                                                   message_opaque);
}

static evs_status open_client(evs__outlet *o, const evs_config *config, evs_error **reterr)
{
    rd_kafka_conf_t *conf = NULL;
    rd_kafka_topic_conf_t *topic_conf;
    char why[256];
    evs_status status = evs__kafka_conf(o->ctx, config, &conf, &o->embedded, reterr);
    if (status)
        return status;
    if ((status =
             evs__kafka_conf_default(o->ctx, config, conf, "enable.idempotence", "true", reterr)) ||
        (status = evs__kafka_conf_default(o->ctx, config, conf, "linger.ms", "5", reterr)) ||
        (status = evs__kafka_conf_default(o->ctx, config, conf, "client.id", "evstream", reterr)) ||
        (status = evs__kafka_conf_default(o->ctx, config, conf, "reconnect.backoff.max.ms", "2000",
                                          reterr))) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    rd_kafka_conf_set_opaque(conf, o);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_error_cb(conf, on_error);
    o->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (!o->rk) {
        rd_kafka_conf_destroy(conf);
        return evs_error_set(o->ctx, reterr, EVS_ERR_CONFIG, "kafka: %s", why);
    }
    rd_kafka_set_log_queue(o->rk, NULL);
    /* before the client asks for the topic, which would make it with the cluster's own number of
     * partitions */
    if (o->embedded && (status = evs__kafka_embedded_topic(o->ctx, o->name, o->partitions, reterr)))
        return status;
    topic_conf = rd_kafka_default_topic_conf_dup(o->rk);
    rd_kafka_topic_conf_set_partitioner_cb(topic_conf, place);
    rd_kafka_topic_conf_set_opaque(topic_conf, o);
    o->topic = rd_kafka_topic_new(o->rk, o->name, topic_conf);
    if (!o->topic)
        return evs__kafka_fail(o->ctx, reterr, rd_kafka_last_error(), "topic \"%s\"", o->name);
    return EVS_OK;
}

evs_status evs__outlet_open(evs_context *ctx,
                            const evs_config *config,
                            size_t key_suffix,
                            evs__outlet_delivered_fn delivered,
                            void *user_data,
                            evs__outlet **ret,
                            evs_error **reterr)
{
    evs_status status;
    evs__outlet *o = evs_alloc_array(ctx, 1, sizeof(*o));
    if (!o)
        return evs_error_set(ctx, reterr, EVS_ERR_NOMEM, "out of memory");
    o->ctx = ctx;
    o->delivered = delivered;
    o->user_data = user_data;
    o->key_suffix = key_suffix;
    o->create = evs_config_bool(config, "topic.create");
    o->partitions = (int32_t)evs_config_int(config, "topic.partitions");
    o->replication = (int32_t)evs_config_int(config, "topic.replication.factor");
    o->name = evs_strdup(ctx, evs_config_string(config, "topic"));
    status = o->name ? open_client(o, config, reterr)
                     : evs_error_set(ctx, reterr, EVS_ERR_NOMEM, "out of memory");
    if (status) {
        evs__outlet_close(o, 0);
        return status;
    }
    *ret = o;
    return EVS_OK;
}

/* ---- is the topic there? ---- */

static evs_status create_begin(evs__outlet *o, evs_error **reterr)
{
    char why[256];
    rd_kafka_AdminOptions_t *admin;
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(o->name, o->partitions, o->replication, why, sizeof(why));

    if (!topic)
        return evs_error_set(o->ctx, reterr, EVS_ERR_CONFIG, "topic \"%s\": %s", o->name, why);
    if (!o->creating)
        o->creating = rd_kafka_queue_new(o->rk);
    admin = rd_kafka_AdminOptions_new(o->rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_AdminOptions_set_operation_timeout(admin, 2000, why, sizeof(why));
    rd_kafka_AdminOptions_set_request_timeout(admin, 3000, why, sizeof(why));
    rd_kafka_CreateTopics(o->rk, &topic, 1, admin, o->creating);
    rd_kafka_AdminOptions_destroy(admin);
    rd_kafka_NewTopic_destroy(topic);
    o->in_creation = true;
    return EVS_AGAIN;
}

/* EVS_AGAIN: not answered yet, or made a moment ago: look again */
static evs_status create_end(evs__outlet *o, evs_error **reterr)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(o->creating, LOOKUP_MS);
    const rd_kafka_topic_result_t **results;
    rd_kafka_resp_err_t code;
    evs_status status = EVS_AGAIN;
    size_t count = 0;

    if (!event)
        return EVS_AGAIN;
    code = rd_kafka_event_error(event);
    if (!code) {
        results =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
        code = count == 1 ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR__FAIL;
    }
    if (code && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS && !evs__kafka_is_retriable(code))
        status = evs__kafka_fail(o->ctx, reterr, code, "topic \"%s\" cannot be made", o->name);
    rd_kafka_event_destroy(event);
    o->in_creation = false;
    return status;
}

static evs_status topic_is_unknown(evs__outlet *o, evs_error **reterr)
{
    int64_t now = evs__kafka_clock_ms();
    if (o->create)
        return create_begin(o, reterr);
    if (!o->unknown_since_ms)
        o->unknown_since_ms = now;
    if (now - o->unknown_since_ms < UNKNOWN_TOPIC_MS)
        return EVS_AGAIN;
    return evs_error_set(o->ctx, reterr, EVS_ERR_NOT_FOUND,
                         "topic \"%s\" does not exist on the broker (topic.create=true makes it)",
                         o->name);
}

/*
 * One short step. EVS_OK also while no broker answers: the message waits in librdkafka's queue
 * then, and we ask again some time later.
 */
static evs_status look_up(evs__outlet *o, evs_error **reterr)
{
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_resp_err_t code;

    if (o->in_creation)
        return create_end(o, reterr);
    if (evs__kafka_clock_ms() < o->silent_until_ms)
        return EVS_OK;
    code = rd_kafka_metadata(o->rk, 0, o->topic, &md, LOOKUP_MS);
    if (!code) {
        code = md->topic_cnt == 1 ? md->topics[0].err : RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
        if (!code && md->topics[0].partition_cnt == 0)
            code = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
        rd_kafka_metadata_destroy(md);
        o->known = !code;
    } else if (code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__TIMED_OUT) {
        o->silent_until_ms = evs__kafka_clock_ms() + SILENT_MS;
        return EVS_OK;
    }
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
        return topic_is_unknown(o, reterr);
    if (code && evs__kafka_is_retriable(code))
        return EVS_AGAIN;
    return code ? evs__kafka_fail(o->ctx, reterr, code, "topic \"%s\"", o->name) : EVS_OK;
}

/* ---- send ---- */

static rd_kafka_resp_err_t
produce_plain(evs__outlet *o, const evs__outlet_message *m, int32_t partition)
{
    if (rd_kafka_produce(o->topic, partition, RD_KAFKA_MSG_F_COPY, (void *)m->value, m->value_len,
                         m->key, m->key_len, m->opaque) == 0)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    return rd_kafka_last_error();
}

static rd_kafka_resp_err_t
produce_full(evs__outlet *o, const evs__outlet_message *m, int32_t partition)
{
    rd_kafka_headers_t *headers = m->header_count ? rd_kafka_headers_new(m->header_count) : NULL;
    int64_t timestamp = m->timestamp_ms == EVS_TIME_NONE ? 0 : m->timestamp_ms;
    rd_kafka_resp_err_t code;
    for (size_t i = 0; i < m->header_count; i++)
        rd_kafka_header_add(headers, m->headers[i].name, -1, m->headers[i].value,
                            (ssize_t)m->headers[i].value_len);
    code = rd_kafka_producev(
        o->rk, RD_KAFKA_V_RKT(o->topic), RD_KAFKA_V_PARTITION(partition),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE((void *)m->value, m->value_len),
        RD_KAFKA_V_KEY((void *)m->key, m->key_len), RD_KAFKA_V_TIMESTAMP(timestamp),
        RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(m->opaque), RD_KAFKA_V_END);
    if (code && headers)
        rd_kafka_headers_destroy(headers);
    return code;
}

/* what the idempotent producer cannot repair: the original reason is kept by librdkafka */
static evs_status fatal(evs__outlet *o, evs_error **reterr)
{
    char why[256] = "";
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(o->rk, why, sizeof(why));
    evs_error_set(o->ctx, reterr, EVS_ERR_KAFKA, "topic \"%s\": %s", o->name, why);
    evs_error_annotate(o->ctx, reterr, false, true, (int32_t)code, NULL);
    return EVS_ERR_KAFKA;
}

evs_status evs__outlet_send(evs__outlet *o, const evs__outlet_message *m, evs_error **reterr)
{
    int32_t partition = m->partition < 0 ? RD_KAFKA_PARTITION_UA : m->partition;
    rd_kafka_resp_err_t code;
    evs_status status;

    if (!o->known && (status = look_up(o, reterr)))
        return status;
    code = m->header_count || m->timestamp_ms != EVS_TIME_NONE ? produce_full(o, m, partition)
                                                               : produce_plain(o, m, partition);
    if (!code) {
        o->pending++;
        return EVS_OK;
    }
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return EVS_AGAIN;
    if (code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
        return evs_error_set(o->ctx, reterr, EVS_ERR_NOT_FOUND, "topic \"%s\" has no partition %d",
                             o->name, partition);
    if (code == RD_KAFKA_RESP_ERR__FATAL)
        return fatal(o, reterr);
    return evs__kafka_fail(o->ctx, reterr, code, "topic \"%s\"", o->name);
}

/* librdkafka's: int, -1 is for ever */
static int timeout_of(int64_t ms)
{
    return ms < 0 ? 0 : ms > INT32_MAX ? -1 : (int)ms;
}

/*
 * Messages that were queued while no broker answered wait for a topic that is still to be looked
 * up, or made. When there is none to be had they are given back with the reason, as
 * evs__outlet_send() would have told it; librdkafka would keep them for half a minute and then say
 * less.
 */
static void look_up_late(evs__outlet *o)
{
    evs_error *err = NULL;
    if (o->known || !o->pending)
        return;
    if (look_up(o, &err) < 0) {
        o->refused = err;
        rd_kafka_purge(o->rk, RD_KAFKA_PURGE_F_QUEUE);
        while (o->pending && rd_kafka_poll(o->rk, LOOKUP_MS))
            ;
        o->refused = NULL;
    }
    evs_error_unref(err);
}

int evs__outlet_poll(evs__outlet *o, int64_t timeout_ms)
{
    o->served = 0;
    look_up_late(o);
    rd_kafka_poll(o->rk, timeout_of(timeout_ms));
    return o->served;
}

evs_status evs__outlet_flush(evs__outlet *o, int64_t timeout_ms)
{
    int64_t now = evs__kafka_clock_ms();
    int64_t deadline = timeout_ms > INT64_MAX - now ? INT64_MAX : now + timeout_ms;
    look_up_late(o);
    while (!o->known && o->pending && evs__kafka_clock_ms() < deadline) {
        rd_kafka_poll(o->rk, LOOKUP_MS);
        look_up_late(o);
    }
    if (o->pending)
        rd_kafka_flush(o->rk, timeout_of(deadline - evs__kafka_clock_ms()));
    else
        rd_kafka_poll(o->rk, 0);
    return o->pending ? EVS_AGAIN : EVS_OK;
}

void evs__outlet_reported(const evs__outlet *o, evs__outlet_message *ret)
{
    const rd_kafka_message_t *m = o->reported;
    *ret = (evs__outlet_message){.value = m->payload,
                                 .value_len = m->payload ? m->len : 0,
                                 .key = m->key,
                                 .key_len = m->key ? m->key_len : 0,
                                 .timestamp_ms = EVS_TIME_NONE,
                                 .partition = m->partition};
}

size_t evs__outlet_pending(const evs__outlet *o)
{
    return o->pending;
}

void evs__outlet_close(evs__outlet *o, int64_t timeout_ms)
{
    if (!o)
        return;
    if (o->rk) {
        evs__outlet_flush(o, timeout_ms);
        if (o->pending) {
            rd_kafka_purge(o->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
            evs__outlet_flush(o, 1000);
        }
    }
    if (o->creating)
        rd_kafka_queue_destroy(o->creating);
    if (o->topic)
        rd_kafka_topic_destroy(o->topic);
    if (o->rk)
        rd_kafka_destroy(o->rk);
    evs_free(o->ctx, o->name);
    evs_free(o->ctx, o);
}
