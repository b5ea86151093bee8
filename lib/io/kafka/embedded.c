/*
 * io/kafka/embedded.c: a Kafka inside the process: librdkafka's mock cluster, one per context,
 * shared by all clients of the context.
 *
 * Volatile and small: a partition keeps about 5 MiB, older messages vanish, everything ends with
 * the context. It is for demonstrations, unit tests and latency; a consumer that falls behind what
 * is kept gets an error from source.c, never silence. There is no CreateTopics: topics are made
 * here.
 */
#include "io/kafka/kafka.h"

/* wants rdkafka.h before it */
#include <librdkafka/rdkafka_mock.h>

#define ATTACHMENT "evs.kafka.embedded"

typedef struct embedded {
    rd_kafka_t *rk; /* the mock cluster lives in a client */
    rd_kafka_mock_cluster_t *cluster;
} embedded;

static void embedded_free(evs_context *ctx, void *value)
{
    embedded *e = value;
    if (e->cluster)
        rd_kafka_mock_cluster_destroy(e->cluster);
    if (e->rk)
        rd_kafka_destroy(e->rk);
    evs_free(ctx, e);
}

static evs_status embedded_start(evs_context *ctx, embedded **ret, evs_error **reterr)
{
    char why[256] = "";
    rd_kafka_conf_t *conf;
    embedded *e = evs_alloc_array(ctx, 1, sizeof(*e));
    if (!e)
        return evs_error_set(ctx, reterr, EVS_ERR_NOMEM, "out of memory");
    conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", NULL, 0);
    e->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (!e->rk) {
        rd_kafka_conf_destroy(conf);
        evs_free(ctx, e);
        return evs_error_set(ctx, reterr, EVS_ERR_KAFKA, "embedded Kafka: %s", why);
    }
    e->cluster = rd_kafka_mock_cluster_new(e->rk, 1);
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
