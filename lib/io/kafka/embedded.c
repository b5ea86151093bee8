/*
 * io/kafka/embedded.c: a Kafka inside the process: librdkafka's mock cluster, one per context,
 * shared by all clients of the context.
 *
 * Volatile and small: a partition keeps about 5 MiB, older messages vanish, everything ends with
 * the context. It is for demonstrations, unit tests and latency; a consumer that falls behind what
 * is kept gets an error from source.c, never silence. There is no CreateTopics: topics are made
 * here. Groups keep offsets but do not share partitions.
 */
#include <pthread.h>
#include <string.h>

#include "io/kafka/embedded.h"
#include "io/kafka/kafka.h"

#define ATTACHMENT "evs.kafka.embedded"

typedef struct member {
    struct member *next;
    char *topic;
    char group[]; /* NUL-terminated, the topic behind it */
} member;

typedef struct embedded {
    rd_kafka_t *rk; /* the mock cluster lives in a client */
    rd_kafka_mock_cluster_t *cluster;
    pthread_mutex_t lock; /* of members */
    member *members;
} embedded;

static void embedded_free(evs_context *ctx, void *value)
{
    embedded *e = value;
    while (e->members) {
        member *next = e->members->next;
        evs_free(ctx, e->members);
        e->members = next;
    }
    if (e->rk)
        rd_kafka_destroy(e->rk);
    pthread_mutex_destroy(&e->lock);
    evs_free(ctx, e);
}

/* The cluster is made by the configuration of its client and ends with it: a cluster made by
 * rd_kafka_mock_cluster_new() takes a second to end (librdkafka 2.0.2). */
static evs_status embedded_start(evs_context *ctx, embedded **ret, evs_error **reterr)
{
    char why[256] = "";
    rd_kafka_conf_t *conf;
    embedded *e = evs_alloc_array(ctx, 1, sizeof(*e));
    if (!e)
        return evs_error_set(ctx, reterr, EVS_ERR_NOMEM, "out of memory");
    pthread_mutex_init(&e->lock, NULL);
    conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", NULL, 0);
    rd_kafka_conf_set(conf, "test.mock.num.brokers", "1", NULL, 0);
    e->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (!e->rk) {
        rd_kafka_conf_destroy(conf);
        embedded_free(ctx, e);
        return evs_error_set(ctx, reterr, EVS_ERR_KAFKA, "embedded Kafka: %s", why);
    }
    e->cluster = rd_kafka_handle_mock_cluster(e->rk);
    if (!e->cluster) {
        embedded_free(ctx, e);
        return evs_error_set(ctx, reterr, EVS_ERR_KAFKA, "embedded Kafka: cannot start a cluster");
    }
    *ret = e;
    return EVS_OK;
}

static evs_status embedded_get(evs_context *ctx, embedded **ret, evs_error **reterr)
{
    evs_status status;
    embedded *e = evs_context_attached(ctx, ATTACHMENT);
    if (!e) {
        if ((status = embedded_start(ctx, &e, reterr)))
            return status;
        status = evs_context_attach(ctx, ATTACHMENT, e, embedded_free, NULL);
        if (status) {
            embedded_free(ctx, e);
            e = status == EVS_ERR_MISUSE ? evs_context_attached(ctx, ATTACHMENT) : NULL;
        }
        if (!e)
            return evs_error_set(ctx, reterr, EVS_ERR_NOMEM, "out of memory");
    }
    *ret = e;
    return EVS_OK;
}

rd_kafka_mock_cluster_t *evs__kafka_embedded_cluster(evs_context *ctx)
{
    embedded *e = NULL;
    return embedded_get(ctx, &e, NULL) ? NULL : e->cluster;
}

evs_status evs__kafka_embedded(evs_context *ctx, const char **ret_bootstrap, evs_error **reterr)
{
    embedded *e = NULL;
    evs_status status = embedded_get(ctx, &e, reterr);
    if (!status)
        *ret_bootstrap = rd_kafka_mock_cluster_bootstraps(e->cluster);
    return status;
}

evs_status evs__kafka_embedded_topic(evs_context *ctx,
                                     const char *topic,
                                     int32_t partitions,
                                     evs_error **reterr)
{
    embedded *e = NULL;
    rd_kafka_resp_err_t code;
    evs_status status = embedded_get(ctx, &e, reterr);
    if (status)
        return status;
    code = rd_kafka_mock_topic_create(e->cluster, topic, partitions, 1);
    if (code && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return evs__kafka_fail(ctx, reterr, code, "embedded Kafka: topic \"%s\"", topic);
    return EVS_OK;
}

static member **find_member(embedded *e, const char *group, const char *topic)
{
    member **at = &e->members;
    while (*at && (strcmp((*at)->group, group) != 0 || strcmp((*at)->topic, topic) != 0))
        at = &(*at)->next;
    return at;
}

evs_status
evs__kafka_embedded_join(evs_context *ctx, const char *group, const char *topic, evs_error **reterr)
{
    embedded *e = NULL;
    size_t group_size = strlen(group) + 1, topic_size = strlen(topic) + 1;
    member *m;
    bool taken;
    evs_status status = embedded_get(ctx, &e, reterr);

    if (status)
        return status;
    if (!(m = evs_alloc(ctx, sizeof(*m) + group_size + topic_size)))
        return evs_error_set(ctx, reterr, EVS_ERR_NOMEM, "out of memory");
    m->topic = m->group + group_size;
    memcpy(m->group, group, group_size);
    memcpy(m->topic, topic, topic_size);
    pthread_mutex_lock(&e->lock);
    taken = *find_member(e, group, topic);
    if (!taken) {
        m->next = e->members;
        e->members = m;
    }
    pthread_mutex_unlock(&e->lock);
    if (!taken)
        return EVS_OK;
    evs_free(ctx, m);
    return evs_error_set(ctx, reterr, EVS_ERR_UNSUPPORTED,
                         "embedded Kafka: group \"%s\" reads topic \"%s\" already; only a real "
                         "cluster shares a topic among members",
                         group, topic);
}

void evs__kafka_embedded_leave(evs_context *ctx, const char *group, const char *topic)
{
    embedded *e = evs_context_attached(ctx, ATTACHMENT);
    member **at, *gone;
    if (!e)
        return;
    pthread_mutex_lock(&e->lock);
    at = find_member(e, group, topic);
    gone = *at;
    if (gone)
        *at = gone->next;
    pthread_mutex_unlock(&e->lock);
    evs_free(ctx, gone);
}
