/*
 * io/kafka/embedded.h: for tests: the mock cluster behind "embedded:", to inject errors and take
 * brokers down with librdkafka's rd_kafka_mock_*() functions.
 */
#ifndef EVS_IO_KAFKA_EMBEDDED_H
#define EVS_IO_KAFKA_EMBEDDED_H

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "evstream/connector.h"

/* of this context, started when there is none; NULL: it cannot be started. *borrowed until* the
 * context goes */
rd_kafka_mock_cluster_t *evs__kafka_embedded_cluster(evs_context *ctx);

#endif
