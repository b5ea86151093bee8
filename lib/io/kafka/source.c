/*
 * io/kafka/source.c: the Kafka source: open, describe, read, release, close.
 *
 *   partition queues --forwarded--> data queue --read--> block of messages --release--> destroyed,
 * block reused rebalances, errors, statistics -----------> control queue, served by every read,
 * also under back-pressure
 *
 * A block holds up to `max` messages; its inputs point into their payloads, so nothing is copied.
 * Blocks are reused; messages are destroyed on release and all of them before close (librdkafka
 * waits for ever for one that is outstanding). Queue bounds: `queued.min.messages` is high and
 * `queued.max.messages.kbytes` is the real bound; because the partition queues share one data queue
 * it is a bound of the whole source.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io/kafka/source.h"

/* a topic made a moment ago may be unknown to a broker for so long */
#define CLOSE_MS 3000
#define UNKNOWN_TOPIC_MS 3000

static const evs_option_info options[] = {
    {"topic", NULL, NULL, "Topic to read, or several separated by commas", "0.1", 0, 0,
     EVS_OPTION_STRING, 1},
    {"group.id", NULL, NULL, "Consumer group; in a pipeline its application.id by default", "0.1",
     0, 0, EVS_OPTION_STRING, 0},
    {"assign", "group", "group|all",
     "group: partitions come from the consumer group (in the embedded cluster it has one member); "
     "all: this process reads every partition and commits to no group",
     "0.1", 0, 0, EVS_OPTION_ENUM, 0},
    {"start", "earliest", "earliest|latest",
     "Where a partition without a committed position begins", "0.1", 0, 0, EVS_OPTION_ENUM, 0},
    {"bounded", "false", NULL, "End when every partition has been read to its end", "0.1", 0, 0,
     EVS_OPTION_BOOL, 0},
    {"connect.timeout.ms", "60s", NULL,
     "How long the broker may be unreachable at start before it is an error", "0.1", 0, 0,
     EVS_OPTION_DURATION, 0},
    {"embedded.partitions", "4", NULL, "Partitions of the topic in the embedded cluster", "0.1", 1,
     256, EVS_OPTION_INT, 0},
    {0},
};

kafka_partition *evs__kafka_partition(kafka_source *s, uint32_t topic, int32_t partition)
{
    if (!s->described || topic >= s->topic_count || partition < 0 ||
        partition >= s->partition_counts[topic])
        return NULL;
    return &s->topics[topic].partitions[partition];
}

int evs__kafka_topic_index(const kafka_source *s, const char *name)
{
    for (size_t i = 0; i < s->topic_count; i++) {
        if (strcmp(s->topics[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

void evs__kafka_source_error(kafka_source *s, evs_error *error)
{
    if (s->error)
        evs_error_unref(error);
    else
        s->error = error;
}

void evs__kafka_source_state(kafka_source *s, bool connected)
{
    if (s->connected == connected)
        return;
    s->connected = connected;
    s->host->state(s->host->runtime, connected ? "connected" : "connecting");
}

/* on a thread of librdkafka: only marks and wakes */
static void on_wake(rd_kafka_t *rk, void *opaque)
{
    kafka_source *s = opaque;
    (void)rk;
    pthread_mutex_lock(&s->lock);
    s->woken = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    s->host->wake(s->host->runtime);
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    kafka_source *s = opaque;
    evs_error *err = NULL;
    char why[256];
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        rd_kafka_fatal_error(rk, why, sizeof(why));
        evs__kafka_fail(s->ctx, &err, RD_KAFKA_RESP_ERR__FATAL, "%s", why);
        evs__kafka_source_error(s, err);
    } else if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION) {
        evs__kafka_fail(s->ctx, &err, (rd_kafka_resp_err_t)code, "broker");
        evs__kafka_source_error(s, err);
    } else {
        if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
            evs__kafka_source_state(s, false);
        evs_log(s->ctx, EVS_LOG_INFO, "kafka", "%s", reason);
    }
}

static evs_status parse_topics(kafka_source *s, const char *text, evs_error **reterr)
{
    size_t count = 1;
    for (const char *p = text; *p; p++)
        count += *p == ',';
    s->topics = evs_alloc_array(s->ctx, count, sizeof(*s->topics));
    s->topic_names = evs_alloc_array(s->ctx, count, sizeof(*s->topic_names));
    s->partition_counts = evs_alloc_array(s->ctx, count, sizeof(*s->partition_counts));
    if (!s->topics || !s->topic_names || !s->partition_counts)
        return evs_error_set(s->ctx, reterr, EVS_ERR_NOMEM, "out of memory");
    for (const char *p = text; count--; p++) {
        size_t len = strcspn(p, ",");
        size_t lead = strspn(p, " ");
        char *name = evs_alloc(s->ctx, len + 1);
        if (!name)
            return evs_error_set(s->ctx, reterr, EVS_ERR_NOMEM, "out of memory");
        memcpy(name, p + (lead < len ? lead : len), len - (lead < len ? lead : len));
        name[len - (lead < len ? lead : len)] = '\0';
        name[strcspn(name, " ")] = '\0';
        s->topics[s->topic_count].name = name;
        s->topic_names[s->topic_count++] = name;
        if (!*name || evs__kafka_topic_index(s, name) != (int)s->topic_count - 1)
            return evs_error_set(s->ctx, reterr, EVS_ERR_CONFIG,
                                 "option \"topic\": empty or repeated name in \"%s\"", text);
        p += len;
    }
    return EVS_OK;
}

/* what positions and commits rely on; the way to say it to us, if there is one */
static const char *const fixed[][3] = {
    {"enable.auto.commit", "false", "offsets are committed with the results"},
    {"enable.auto.offset.store", "false", "offsets are committed with the results"},
    {"enable.partition.eof", "true", "it is always on"},
    {"auto.offset.reset", "error", "see option \"start\""},
    {"group.id", NULL, "see option \"group.id\""},
};

static evs_status configure_fixed(kafka_source *s,
                                  const evs_config *config,
                                  rd_kafka_conf_t *conf,
                                  evs_error **reterr)
{
    evs_status status = EVS_OK;
    for (size_t i = 0; !status && i < sizeof(fixed) / sizeof(*fixed); i++) {
        if (evs__kafka_extra(config, fixed[i][0]))
            return evs_error_set(s->ctx, reterr, EVS_ERR_CONFIG,
                                 "option \"kafka.%s\" cannot be set: %s", fixed[i][0], fixed[i][2]);
        if (fixed[i][1])
            status = evs__kafka_conf_set(s->ctx, conf, fixed[i][0], fixed[i][1], reterr);
    }
    return status;
}

static evs_status
configure(kafka_source *s, const evs_config *config, rd_kafka_conf_t *conf, evs_error **reterr)
{
    static const char *const defaults[][2] = {
        {"queued.min.messages", "1000000"}, {"queued.max.messages.kbytes", "32768"},
        {"statistics.interval.ms", "1000"}, {"fetch.wait.max.ms", "100"},
        {"client.id", "evstream"},          {"reconnect.backoff.max.ms", "2000"},
        {"session.timeout.ms", "10000"}}; /* what a restart after a kill waits for */
    const char *group = evs_config_string(config, "group.id");
    evs_status status = configure_fixed(s, config, conf, reterr);

    for (size_t i = 0; !status && i < sizeof(defaults) / sizeof(*defaults); i++)
        status =
            evs__kafka_conf_default(s->ctx, config, conf, defaults[i][0], defaults[i][1], reterr);
    if (!group)
        group = s->host->application_id;
    if (group && strcmp(evs_config_string(config, "assign"), "group") == 0) {
        if (!(s->group = evs_strdup(s->ctx, group)))
            status = evs_error_set(s->ctx, reterr, EVS_ERR_NOMEM, "out of memory");
        s->member = !s->embedded;
    }
    /* librdkafka wants a group name even where none is used */
    if (!status)
        status = evs__kafka_conf_set(s->ctx, conf, "group.id", group ? group : "evstream-no-group",
                                     reterr);
    rd_kafka_conf_set_opaque(conf, s);
    rd_kafka_conf_set_rebalance_cb(conf, evs__kafka_on_rebalance);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_stats_cb(conf, evs__kafka_on_stats);
    return status;
}

static void source_close(void *source);

static evs_status
join_embedded(kafka_source *s, size_t topic, const evs_config *config, evs_error **reterr)
{
    const char *name = s->topics[topic].name;
    evs_status status = EVS_OK;
    if (s->group && (status = evs__kafka_embedded_join(s->ctx, s->group, name, reterr)))
        return status;
    s->joined = topic + 1;
    return evs__kafka_embedded_topic(
        s->ctx, name, (int32_t)evs_config_int(config, "embedded.partitions"), reterr);
}

static evs_status open_client(kafka_source *s, const evs_config *config, evs_error **reterr)
{
    rd_kafka_conf_t *conf = NULL;
    char why[256];
    evs_status status;

    if ((status = evs__kafka_conf(s->ctx, config, &conf, &s->embedded, reterr)))
        return status;
    if ((status = configure(s, config, conf, reterr))) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    s->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
    if (!s->rk) {
        rd_kafka_conf_destroy(conf);
        return evs_error_set(s->ctx, reterr, EVS_ERR_CONFIG, "kafka: %s", why);
    }
    rd_kafka_poll_set_consumer(s->rk);
    rd_kafka_set_log_queue(s->rk, NULL);
    s->control = rd_kafka_queue_get_consumer(s->rk);
    s->data = rd_kafka_queue_new(s->rk);
    s->commits = rd_kafka_queue_new(s->rk);
    rd_kafka_queue_cb_event_enable(s->control, on_wake, s);
    rd_kafka_queue_cb_event_enable(s->data, on_wake, s);
    for (size_t i = 0; i < s->topic_count; i++) {
        if (s->embedded && (status = join_embedded(s, i, config, reterr)))
            return status;
        s->topics[i].handle = rd_kafka_topic_new(s->rk, s->topics[i].name, NULL);
        if (!s->topics[i].handle)
            return evs__kafka_fail(s->ctx, reterr, rd_kafka_last_error(), "topic \"%s\"",
                                   s->topics[i].name);
    }
    return EVS_OK;
}

static evs_status source_open(evs_context *context,
                              const evs_config *config,
                              const evs_source_host *host,
                              void **ret_source,
                              evs_error **reterr)
{
    pthread_condattr_t attr;
    evs_status status;
    kafka_source *s = evs_alloc_array(context, 1, sizeof(*s));
    if (!s)
        return evs_error_set(context, reterr, EVS_ERR_NOMEM, "out of memory");
    s->ctx = context;
    s->host = host;
    s->bounded = evs_config_bool(config, "bounded");
    s->latest = strcmp(evs_config_string(config, "start"), "latest") == 0;
    s->connect_timeout_ms = evs_config_int(config, "connect.timeout.ms");
    s->servers = evs__kafka_extra(config, "bootstrap.servers");
    s->opened_ms = evs__kafka_clock_ms();
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &attr);
    pthread_condattr_destroy(&attr);
    host->state(host->runtime, "connecting");
    if ((status = parse_topics(s, evs_config_string(config, "topic"), reterr)) ||
        (status = open_client(s, config, reterr))) {
        source_close(s);
        return status;
    }
    *ret_source = s;
    return EVS_OK;
}

/* callbacks run in here; messages on the control queue are errors of the consumer */
static evs_status serve_control(kafka_source *s, evs_error **reterr)
{
    rd_kafka_message_t *m;
    evs_error *err = NULL;
    evs__kafka_serve_commits(s, 0);
    while ((m = rd_kafka_consume_queue(s->control, 0))) {
        /* a topic that disappears shows up as an error of the consumer; outages are librdkafka's to
         * mend */
        if (m->err && m->err != RD_KAFKA_RESP_ERR__PARTITION_EOF &&
            !evs__kafka_is_retriable(m->err)) {
            evs__kafka_fail(s->ctx, &err, m->err, "%s",
                            m->rkt ? rd_kafka_topic_name(m->rkt) : "consumer");
            evs__kafka_source_error(s, err);
            err = NULL;
        }
        rd_kafka_message_destroy(m);
    }
    if (s->error) {
        evs_status status = evs_error_status(s->error);
        if (reterr)
            *reterr = s->error;
        else
            evs_error_unref(s->error);
        s->error = NULL;
        return status;
    }
    return EVS_OK;
}

static evs_status describe_topic(kafka_source *s, size_t t, evs_error **reterr)
{
    const struct rd_kafka_metadata *md = NULL;
    kafka_topic *topic = &s->topics[t];
    int64_t now;
    int32_t count = 0;
    rd_kafka_resp_err_t code = rd_kafka_metadata(s->rk, 0, topic->handle, &md, 100);

    now = evs__kafka_clock_ms();
    if (!code) {
        evs__kafka_source_state(s, true);
        if (md->topic_cnt == 1) {
            code = md->topics[0].err;
            count = md->topics[0].partition_cnt;
        }
        rd_kafka_metadata_destroy(md);
        if (code && code != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART &&
            !evs__kafka_is_retriable(code))
            return evs__kafka_fail(s->ctx, reterr, code, "topic \"%s\"", topic->name);
        if (!code && count > 0) {
            topic->partitions = evs_alloc_array(s->ctx, (size_t)count, sizeof(*topic->partitions));
            if (!topic->partitions)
                return evs_error_set(s->ctx, reterr, EVS_ERR_NOMEM, "out of memory");
            s->partition_counts[t] = count;
            return EVS_OK;
        }
        if (!topic->unknown_since_ms)
            topic->unknown_since_ms = now;
        if (now - topic->unknown_since_ms > UNKNOWN_TOPIC_MS)
            return evs_error_set(s->ctx, reterr, EVS_ERR_NOT_FOUND,
                                 "topic \"%s\" does not exist on the broker", topic->name);
        return EVS_AGAIN;
    }
    if (!evs__kafka_is_retriable(code))
        return evs__kafka_fail(s->ctx, reterr, code, "topic \"%s\"", topic->name);
    if (!s->connected && s->connect_timeout_ms != EVS_FOREVER &&
        now - s->opened_ms > s->connect_timeout_ms)
        return evs_error_set(s->ctx, reterr, EVS_ERR_UNAVAILABLE,
                             "no broker of \"%s\" could be reached within connect.timeout.ms "
                             "(%lld ms)",
                             s->servers, (long long)s->connect_timeout_ms);
    return EVS_AGAIN;
}

static evs_status source_describe(void *source,
                                  const char *const **ret_topics,
                                  const int32_t **ret_partitions,
                                  size_t *ret_count,
                                  evs_error **reterr)
{
    kafka_source *s = source;
    evs_status status = serve_control(s, reterr);
    for (size_t t = 0; !status && !s->described && t < s->topic_count; t++) {
        if (!s->partition_counts[t])
            status = describe_topic(s, t, reterr);
    }
    if (status)
        return status;
    s->described = true;
    *ret_topics = s->topic_names;
    *ret_partitions = s->partition_counts;
    *ret_count = s->topic_count;
    return EVS_OK;
}

static evs_status source_identity(void *source, const char **ret_identity, evs_error **reterr)
{
    kafka_source *s = source;
    char *id = NULL;
    if (!s->identity) {
        evs_status status = serve_control(s, reterr);
        if (status)
            return status;
        id = rd_kafka_clusterid(s->rk, 100);
        if (!id)
            return EVS_AGAIN;
        s->identity = evs_strdup(s->ctx, id);
        rd_kafka_mem_free(s->rk, id);
        if (!s->identity)
            return evs_error_set(s->ctx, reterr, EVS_ERR_NOMEM, "out of memory");
    }
    *ret_identity = s->identity;
    return EVS_OK;
}

/* ---- blocks ---- */

static void block_free(kafka_source *s, read_block *b)
{
    if (!b)
        return;
    evs_free(s->ctx, b->messages);
    evs_free(s->ctx, b->inputs);
    evs_free(s->ctx, b->header_lists);
    evs_free(s->ctx, b);
}

static read_block *block_get(kafka_source *s, size_t capacity)
{
    read_block *b;
    pthread_mutex_lock(&s->lock);
    b = s->free_blocks;
    if (b)
        s->free_blocks = b->next;
    pthread_mutex_unlock(&s->lock);
    if (b && b->capacity < capacity) {
        block_free(s, b);
        b = NULL;
    }
    if (!b) {
        b = evs_alloc_array(s->ctx, 1, sizeof(*b));
        if (!b)
            return NULL;
        b->messages = evs_alloc_array(s->ctx, capacity, sizeof(*b->messages));
        b->inputs = evs_alloc_array(s->ctx, capacity, sizeof(*b->inputs));
        b->capacity = capacity;
        if (!b->messages || !b->inputs) {
            block_free(s, b);
            return NULL;
        }
    }
    b->count = 0;
    return b;
}

static void block_put(kafka_source *s, read_block *b)
{
    pthread_mutex_lock(&s->lock);
    b->next = s->free_blocks;
    s->free_blocks = b;
    pthread_mutex_unlock(&s->lock);
}

static void source_release(void *source, void *handle)
{
    kafka_source *s = source;
    read_block *b = handle;
    read_block **at;

    for (size_t i = 0; i < b->count; i++) {
        if (b->header_lists)
            evs_free(s->ctx, b->header_lists[i]);
        rd_kafka_message_destroy(b->messages[i]);
    }
    evs_free(s->ctx, b->header_lists);
    b->header_lists = NULL;
    pthread_mutex_lock(&s->lock);
    for (at = &s->used_blocks; *at != b; at = &(*at)->next)
        ;
    *at = b->next;
    b->next = s->free_blocks;
    s->free_blocks = b;
    pthread_mutex_unlock(&s->lock);
}

/* an event that is no message: end of a partition, or an error of one */
static void special_message(kafka_source *s, const rd_kafka_message_t *m, uint32_t topic)
{
    kafka_partition *p = evs__kafka_partition(s, topic, m->partition);
    evs_error *err = NULL;
    int64_t low = -1, high = -1;

    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (p && p->assigned) {
            p->at_end = true;
            p->confirmed_ms = evs__kafka_clock_ms();
        }
        return;
    }
    if (evs__kafka_is_retriable(m->err))
        return;
    if (m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
        m->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
        rd_kafka_query_watermark_offsets(s->rk, s->topics[topic].name, m->partition, &low, &high,
                                         1000);
        evs_error_set(
            s->ctx, &err, EVS_ERR_STATE,
            "topic \"%s\" partition %d: offset %lld is out of range, the log holds %lld to %lld: "
            "events "
            "were deleted before they were read; begin anew with another application.id, or "
            "remove the state and reset the group",
            s->topics[topic].name, m->partition,
            (long long)(p && p->next_offset >= 0 ? p->next_offset : m->offset), (long long)low,
            (long long)high);
        evs_error_annotate(s->ctx, &err, false, true, (int32_t)m->err, NULL);
    } else {
        evs__kafka_fail(s->ctx, &err, m->err, "topic \"%s\" partition %d", s->topics[topic].name,
                        m->partition);
    }
    evs__kafka_source_error(s, err);
}

static void fill_input(evs_input *in, rd_kafka_message_t **slot, uint32_t topic)
{
    const rd_kafka_message_t *m = *slot;
    rd_kafka_timestamp_type_t type;
    int64_t timestamp = rd_kafka_message_timestamp(m, &type);
    in->value = m->payload;
    in->key = m->key;
    in->handle = slot;
    in->offset = m->offset;
    in->timestamp =
        type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || timestamp < 0 ? EVS_TIME_NONE : timestamp;
    in->value_len = (uint32_t)m->len;
    in->key_len = (uint32_t)m->key_len;
    in->partition = m->partition;
    in->topic = topic;
}

/* keep real messages of partitions that are ours, in place; the rest is looked at and destroyed */
static void block_fill(kafka_source *s, read_block *b, size_t taken)
{
    rd_kafka_topic_t *last = NULL;
    int topic = 0;
    kafka_partition *p = NULL;
    int32_t last_partition = -1;

    for (size_t i = 0; i < taken; i++) {
        rd_kafka_message_t *m = b->messages[i];
        if (m->rkt != last) {
            topic =
                s->topic_count == 1 ? 0 : evs__kafka_topic_index(s, rd_kafka_topic_name(m->rkt));
            last = m->rkt;
            last_partition = -1;
        }
        if (m->partition != last_partition) {
            last_partition = m->partition;
            p = topic < 0 ? NULL : evs__kafka_partition(s, (uint32_t)topic, m->partition);
        }
        if (m->err || !p || !p->assigned) {
            if (m->err && topic >= 0)
                special_message(s, m, (uint32_t)topic);
            rd_kafka_message_destroy(m);
            continue;
        }
        p->at_end = false;
        p->next_offset = m->offset + 1;
        b->messages[b->count] = m;
        fill_input(&b->inputs[b->count], &b->messages[b->count], (uint32_t)topic);
        b->count++;
    }
}

static void wait_for_wake(kafka_source *s, int64_t wait_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += (wait_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&s->lock);
    while (!s->woken && pthread_cond_timedwait(&s->wake, &s->lock, &until) == 0)
        ;
    s->woken = false;
    pthread_mutex_unlock(&s->lock);
}

static bool all_at_end(kafka_source *s)
{
    bool any = false;
    for (size_t t = 0; t < s->topic_count; t++) {
        for (int32_t i = 0; i < s->partition_counts[t]; i++) {
            const kafka_partition *p = &s->topics[t].partitions[i];
            if (p->assigned && !p->at_end)
                return false;
            any = any || p->assigned;
        }
    }
    return any;
}

static evs_status take_messages(kafka_source *s, size_t max, evs_read *ret_read, evs_error **reterr)
{
    read_block *b = block_get(s, max);
    ssize_t taken;
    if (!b)
        return evs_error_set(s->ctx, reterr, EVS_ERR_NOMEM, "out of memory");
    taken = rd_kafka_consume_batch_queue(s->data, 0, b->messages, max);
    if (taken > 0)
        block_fill(s, b, (size_t)taken);
    if (!b->count) {
        block_put(s, b);
        return EVS_AGAIN;
    }
    pthread_mutex_lock(&s->lock);
    b->next = s->used_blocks;
    s->used_blocks = b;
    pthread_mutex_unlock(&s->lock);
    evs__kafka_source_state(s, true);
    *ret_read = (evs_read){.inputs = b->inputs, .handle = b, .count = b->count};
    return EVS_OK;
}

static evs_status
source_read(void *source, size_t max, int64_t wait_ms, evs_read *ret_read, evs_error **reterr)
{
    kafka_source *s = source;
    evs_status status = serve_control(s, reterr);
    if (status)
        return status;
    if (!s->started && (status = evs__kafka_start(s, reterr)))
        return status;
    if (!max)
        return EVS_AGAIN;
    status = take_messages(s, max, ret_read, reterr);
    if (status == EVS_AGAIN && wait_ms > 0 && !(s->bounded && all_at_end(s))) {
        wait_for_wake(s, wait_ms);
        if ((status = serve_control(s, reterr)))
            return status;
        status = take_messages(s, max, ret_read, reterr);
    }
    if (status == EVS_AGAIN) {
        if (s->error)
            return serve_control(s, reterr);
        if (s->bounded && all_at_end(s))
            return EVS_END;
    }
    return status;
}

static read_block *block_of(kafka_source *s, const void *slot)
{
    read_block *b;
    pthread_mutex_lock(&s->lock);
    for (b = s->used_blocks; b; b = b->next) {
        if ((const char *)slot >= (const char *)b->messages &&
            (const char *)slot < (const char *)(b->messages + b->count))
            break;
    }
    pthread_mutex_unlock(&s->lock);
    return b;
}

static evs_status source_headers(void *source,
                                 const evs_input *input,
                                 const evs_header **ret_headers,
                                 size_t *ret_count)
{
    kafka_source *s = source;
    read_block *b = block_of(s, input->handle);
    rd_kafka_headers_t *headers = NULL;
    size_t index, count;

    *ret_headers = NULL;
    *ret_count = 0;
    if (!b || rd_kafka_message_headers(*(rd_kafka_message_t *const *)input->handle, &headers))
        return EVS_OK;
    index = (size_t)((rd_kafka_message_t *const *)input->handle - b->messages);
    count = rd_kafka_header_cnt(headers);
    if (!b->header_lists &&
        !(b->header_lists = evs_alloc_array(s->ctx, b->count, sizeof(*b->header_lists))))
        return EVS_ERR_NOMEM;
    if (!b->header_lists[index]) {
        evs_header *list = evs_alloc_array(s->ctx, count ? count : 1, sizeof(*list));
        if (!list)
            return EVS_ERR_NOMEM;
        for (size_t i = 0; i < count; i++)
            rd_kafka_header_get_all(headers, i, &list[i].name, &list[i].value, &list[i].value_len);
        b->header_lists[index] = list;
    }
    *ret_headers = b->header_lists[index];
    *ret_count = count;
    return EVS_OK;
}

/*
 * Leave the group, so that another member need not wait for the session to end. Without a broker
 * that answers this is given up: rd_kafka_consumer_close() would wait for one (46 s were seen with
 * a commit on its way), and the group finds out by itself.
 */
static void leave_group(kafka_source *s)
{
    int64_t deadline = evs__kafka_clock_ms() + CLOSE_MS;
    rd_kafka_queue_t *queue;
    rd_kafka_error_t *failure;

    while (s->commits_pending > 0 && s->connected && evs__kafka_clock_ms() < deadline)
        evs__kafka_serve_commits(s, 10);
    if (!s->connected || s->commits_pending > 0)
        return;
    queue = rd_kafka_queue_new(s->rk);
    failure = rd_kafka_consumer_close_queue(s->rk, queue);
    if (failure)
        rd_kafka_error_destroy(failure);
    while (!failure && !rd_kafka_consumer_closed(s->rk) && evs__kafka_clock_ms() < deadline) {
        rd_kafka_message_t *m = rd_kafka_consume_queue(queue, 10);
        if (m)
            rd_kafka_message_destroy(m);
    }
    rd_kafka_queue_destroy(queue);
}

static void source_close(void *source)
{
    kafka_source *s = source;
    read_block *b;

    s->closing = true;
    if (s->rk) {
        rd_kafka_queue_cb_event_enable(s->control, NULL, NULL);
        rd_kafka_queue_cb_event_enable(s->data, NULL, NULL);
        leave_group(s);
        rd_kafka_queue_destroy(s->commits);
        rd_kafka_queue_destroy(s->data);
        rd_kafka_queue_destroy(s->control);
    }
    for (size_t i = 0; i < s->topic_count; i++) {
        if (s->group && i < s->joined)
            evs__kafka_embedded_leave(s->ctx, s->group, s->topics[i].name);
        if (s->topics[i].handle)
            rd_kafka_topic_destroy(s->topics[i].handle);
        evs_free(s->ctx, s->topics[i].partitions);
        evs_free(s->ctx, s->topics[i].name);
    }
    if (s->rk)
        rd_kafka_destroy_flags(s->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    while ((b = s->free_blocks)) {
        s->free_blocks = b->next;
        block_free(s, b);
    }
    evs_free(s->ctx, s->topics);
    evs_free(s->ctx, s->topic_names);
    evs_free(s->ctx, s->partition_counts);
    evs_free(s->ctx, s->identity);
    evs_free(s->ctx, s->group);
    evs_error_unref(s->error);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    evs_free(s->ctx, s);
}

const evs_source_functions evs__kafka_source = {
    .struct_size = sizeof(evs_source_functions),
    .options = options,
    .open = source_open,
    .describe = source_describe,
    .identity = source_identity,
    .read = source_read,
    .release = source_release,
    .partition_state = evs__kafka_source_partition_state,
    .end_offset = evs__kafka_source_end_offset,
    .seek = evs__kafka_source_seek,
    .pause = evs__kafka_source_pause,
    .commit = evs__kafka_source_commit,
    .headers = source_headers,
    .committed = evs__kafka_source_committed,
    .close = source_close,
};
