/*
 * io/connectors.h: the connectors that are part of the library itself; runtime/connectors.c puts
 * them into its table. Those with a library of their own (sqlite, redis) are modules and do not
 * appear here.
 */
#ifndef EVS_IO_CONNECTORS_H
#define EVS_IO_CONNECTORS_H

#include "evstream/connector.h"

extern const evs_connector evs__callback_connector;
extern const evs_connector evs__console_connector;
extern const evs_connector evs__file_connector;
extern const evs_connector evs__kafka_connector;
extern const evs_connector evs__memory_connector;

#endif
