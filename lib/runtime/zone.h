/*
 * runtime/zone.h: time zones by name from the system's files.
 */
#ifndef EVS_RUNTIME_ZONE_H
#define EVS_RUNTIME_ZONE_H

#include "base/zone.h"

/* Read the zone into the context (evs__zone_find) unless it is there. EVS_ERR_INVALID (no name of a
 * zone); EVS_ERR_NOT_FOUND (no such file, the message names the folders); EVS_ERR_IO; as
 * evs__zone_new(). */
evs_status evs__zone_load(evs_context *ctx, const char *name, evs_error **reterr);

#endif
