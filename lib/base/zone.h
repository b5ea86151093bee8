/*
 * base/zone.h: a time zone: what a clock on the wall shows at an instant, and when it shows a time.
 * Made from the bytes of a TZif file (RFC 9636, versions 1 to 4); who reads the file is above.
 *
 * Times are milliseconds: of UTC, or of the wall ("local": what the clock shows, counted as if it
 * were UTC). Looking up is total and saturates at the ends of int64; there, no zone (NULL) is UTC.
 */
#ifndef EVS_BASE_ZONE_H
#define EVS_BASE_ZONE_H

#include "base/context.h"

typedef struct evs__zone evs__zone;

#define EVS__ZONE_BYTES_MAX (1 << 20) /* the largest of the tz database has less than 4 KiB */

/* EVS_ERR_DECODE (message with "name": what is wrong); EVS_ERR_UNSUPPORTED (leap seconds); NOMEM */
evs_status evs__zone_new(evs_context *ctx,
                         const char *name,
                         const void *data,
                         size_t len,
                         evs__zone **ret,
                         evs_error **reterr);
void evs__zone_free(evs__zone *zone); /* NULL is allowed */
const char *evs__zone_name(const evs__zone *zone);

/* Zones of a context: kept until it goes, each once. Keeping one that is there already (another
 * thread was faster) frees the second. EVS_ERR_NOMEM: freed, too. */
#define EVS__ZONE_NAME_MAX 200
const evs__zone *evs__zone_find(evs_context *ctx, const char *name); /* NULL: none */
evs_status evs__zone_keep(evs_context *ctx, evs__zone *zone, evs_error **reterr);

/* offset of the wall's clock to UTC at an instant, and the time around it in which it stays
 * (INT64_MIN, INT64_MAX: without end) */
int64_t evs__zone_offset(const evs__zone *zone, int64_t utc, int64_t *ret_from, int64_t *ret_to);
int64_t evs__zone_local(const evs__zone *zone, int64_t utc);
/* The first instant at which the clock shows `local` or later: of a time that comes twice the
 * first, of one that is left out the moment of the leap. Rises with `local`. */
int64_t evs__zone_utc(const evs__zone *zone, int64_t local);

#endif
