/*
 * io/kafka/conf.c: from options to librdkafka's configuration, and from its codes to ours.
 *
 * `kafka.*` passes through unread, so every setting of librdkafka works and its own documentation
 * applies. Only what the commit protocol relies on is ours (source.c, outlet.c set it last). Values
 * never appear in errors: they may be secrets.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "io/kafka/kafka.h"

int64_t evs__kafka_clock_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool evs__kafka_is_retriable(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
        return true;
    default:
        return false;
    }
}

bool evs__kafka_refuses(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
        return true;
    default:
        return false;
    }
}

static evs_status status_of(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE: /* closed before it was delivered */
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
        return EVS_ERR_TIMEOUT;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__RESOLVE:
        return EVS_ERR_UNAVAILABLE;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        return EVS_ERR_NOT_FOUND;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
        return EVS_ERR_LIMIT;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        return EVS_ERR_AUTH;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        return EVS_ERR_STATE;
    default:
        return EVS_ERR_KAFKA;
    }
}

evs_status evs__kafka_fail(
    evs_context *ctx, evs_error **reterr, rd_kafka_resp_err_t code, const char *format, ...)
{
    char line[512];
    va_list ap;
    evs_status status = status_of(code);
    va_start(ap, format);
    vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    evs_error_set(ctx, reterr, status, "%s: %s", line, rd_kafka_err2str(code));
    evs_error_annotate(ctx, reterr, evs__kafka_is_retriable(code), code == RD_KAFKA_RESP_ERR__FATAL,
                       (int32_t)code, NULL);
    return status;
}

evs_status evs__kafka_conf_set(evs_context *ctx,
                               rd_kafka_conf_t *conf,
                               const char *name,
                               const char *value,
                               evs_error **reterr)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) == RD_KAFKA_CONF_OK)
        return EVS_OK;
    /* librdkafka's text quotes the value: keep the name only where the value may be secret */
    if (strstr(name, "password") || strstr(name, "secret") || strstr(name, "key.pem") ||
        strstr(name, "sasl"))
        return evs_error_set(ctx, reterr, EVS_ERR_CONFIG,
                             "option \"kafka.%s\": refused by librdkafka", name);
    return evs_error_set(ctx, reterr, EVS_ERR_CONFIG, "option \"kafka.%s\": %s", name, why);
}

const char *evs__kafka_extra(const evs_config *config, const char *name)
{
    const char *value = NULL;
    const char *key;
    for (size_t i = 0; (key = evs_config_extra(config, i, &value)); i++) {
        if (strcmp(key, name) == 0)
            return value;
    }
    return NULL;
}

evs_status evs__kafka_conf_default(evs_context *ctx,
                                   const evs_config *config,
                                   rd_kafka_conf_t *conf,
                                   const char *name,
                                   const char *value,
                                   evs_error **reterr)
{
    if (evs__kafka_extra(config, name))
        return EVS_OK;
    return evs__kafka_conf_set(ctx, conf, name, value, reterr);
}

/* runs inside our own queue serving (log.queue), never on a thread of librdkafka */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    evs_context *ctx = rd_kafka_opaque(rk) ? *(evs_context **)rd_kafka_opaque(rk) : NULL;
    (void)facility;
    evs_log(ctx, level <= 3 ? EVS_LOG_ERROR : level, "kafka", "%s", text);
}

evs_status evs__kafka_conf(evs_context *ctx,
                           const evs_config *config,
                           rd_kafka_conf_t **ret_conf,
                           bool *ret_embedded,
                           evs_error **reterr)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const char *servers = evs__kafka_extra(config, "bootstrap.servers");
    const char *key;
    const char *value = NULL;
    evs_status status = EVS_OK;

    *ret_embedded =
        servers && strncmp(servers, EVS__KAFKA_EMBEDDED, strlen(EVS__KAFKA_EMBEDDED) - 1) == 0;
    if (!servers) {
        status = evs_error_set(ctx, reterr, EVS_ERR_CONFIG,
                               "option \"kafka.bootstrap.servers\" is required: host:port, or "
                               "\"" EVS__KAFKA_EMBEDDED "\" for a cluster inside the process");
        goto fail;
    }
    if (*ret_embedded && (status = evs__kafka_embedded(ctx, &servers, reterr)))
        goto fail;
    for (size_t i = 0; (key = evs_config_extra(config, i, &value)); i++) {
        if (strcmp(key, "bootstrap.servers") == 0)
            continue;
        if ((status = evs__kafka_conf_set(ctx, conf, key, value, reterr)))
            goto fail;
    }
    if ((status = evs__kafka_conf_set(ctx, conf, "bootstrap.servers", servers, reterr)) ||
        /* requests are whole when they are sent: waiting for more bytes costs 40 ms and saves
           nothing */
        (status =
             evs__kafka_conf_default(ctx, config, conf, "socket.nagle.disable", "true", reterr)) ||
        (status = evs__kafka_conf_set(ctx, conf, "log.queue", "true", reterr)))
        goto fail;
    rd_kafka_conf_set_log_cb(conf, on_log);
    *ret_conf = conf;
    return EVS_OK;
fail:
    rd_kafka_conf_destroy(conf);
    return status;
}
