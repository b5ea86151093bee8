/*
 * io/kafka/kafka.h: what the Kafka source, sink and producer share: configuration, error mapping,
 * the embedded cluster.
 *
 *   conf.c      options -> rd_kafka_conf_t (kafka.* passes through), errors, logs
 *   embedded.c  "embedded:" as bootstrap.servers: librdkafka's mock cluster inside this process,
 * one per context source.c    consumer, by group or with all partitions      outlet.c  producer
 * handle      sink.c  rows -> outlet      resend.c  what the brokers gave back
 *
 * Threads: librdkafka has its own; nothing of ours or of the host runs on them but one wake-up that
 * writes an eventfd.
 */
#ifndef EVS_IO_KAFKA_KAFKA_H
#define EVS_IO_KAFKA_KAFKA_H

#include <librdkafka/rdkafka.h>

#include "evstream/connector.h"

#define EVS__KAFKA_EMBEDDED "embedded:"

/*
 * Configuration for a client: everything under kafka.* in `config`. `bootstrap.servers` is
 * required; EVS__KAFKA_EMBEDDED starts (or joins) the context's embedded cluster. On success
 * *ret_conf belongs to the caller until rd_kafka_new().
 */
evs_status evs__kafka_conf(evs_context *ctx,
                           const evs_config *config,
                           rd_kafka_conf_t **ret_conf,
                           bool *ret_embedded,
                           evs_error **reterr);
/* set one name that we rely on; a refusal is a defect or an unsupported librdkafka */
evs_status evs__kafka_conf_set(evs_context *ctx,
                               rd_kafka_conf_t *conf,
                               const char *name,
                               const char *value,
                               evs_error **reterr);
/* set it unless the host did */
evs_status evs__kafka_conf_default(evs_context *ctx,
                                   const evs_config *config,
                                   rd_kafka_conf_t *conf,
                                   const char *name,
                                   const char *value,
                                   evs_error **reterr);
/* what the host set as kafka.NAME, or NULL */
const char *evs__kafka_extra(const evs_config *config, const char *name);
/* a status for a librdkafka code; *reterr gets code, text, retriable and fatal */
evs_status evs__kafka_fail(evs_context *ctx,
                           evs_error **reterr,
                           rd_kafka_resp_err_t code,
                           const char *format,
                           ...) EVS_PRINTF(4, 5);
bool evs__kafka_is_retriable(rd_kafka_resp_err_t code);
/* a broker does not want this very message (or one that travelled with it), however often it is
 * sent */
bool evs__kafka_refuses(rd_kafka_resp_err_t code);
int64_t evs__kafka_clock_ms(void); /* monotonic */

/* bootstrap.servers of the context's embedded cluster, started on first use; *borrowed until* the
 * context goes */
evs_status evs__kafka_embedded(evs_context *ctx, const char **ret_bootstrap, evs_error **reterr);
/*
 * A group in the embedded cluster has one member for each topic, which reads all partitions:
 * EVS_ERR_UNSUPPORTED when it has one. (librdkafka's mock makes the first member wait for 3 s and a
 * later one for most of session.timeout.ms.)
 */
evs_status evs__kafka_embedded_join(evs_context *ctx,
                                    const char *group,
                                    const char *topic,
                                    evs_error **reterr);
void evs__kafka_embedded_leave(evs_context *ctx, const char *group, const char *topic);
/* EVS_OK also when the topic exists */
evs_status evs__kafka_embedded_topic(evs_context *ctx,
                                     const char *topic,
                                     int32_t partitions,
                                     evs_error **reterr);

extern const evs_source_functions evs__kafka_source;
extern const evs_sink_functions evs__kafka_sink;

#endif
