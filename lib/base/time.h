/*
 * base/time.h: civil time, ISO-8601 / RFC 3339 text and durations. Proleptic Gregorian calendar,
 * UTC; no leap seconds.
 */
#ifndef EVS_BASE_TIME_H
#define EVS_BASE_TIME_H

#include "base/context.h"

int64_t evs__days_from_civil(int64_t year, int32_t month, int32_t day);
void evs__civil_from_days(int64_t days, int64_t *ret_year, int32_t *ret_month, int32_t *ret_day);

/*
 * "2026-11-23T17:05:16.123456Z", "+01:00", "+0100", a space instead of T, no zone (UTC), no
 * seconds, only a date; years -9999..9999; fractions beyond ms are cut towards minus infinity.
 * Second 60 is refused. EVS_ERR_DECODE.
 */
evs_status evs__time_parse(const char *text, size_t len, int64_t *ret_ms);
evs_status evs__date_parse(const char *text, size_t len, int32_t *ret_days);
evs_status evs__clock_parse(const char *text, size_t len, int32_t *ret_ms); /* "17:05:16.123" */
#define EVS__TIME_TEXT_MAX 40
size_t evs__time_format(
    int64_t ms,
    char *out); /* "2026-11-23T17:05:16.123Z"; outside years -9999..9999 the plain number */
size_t evs__date_format(int32_t days, char *out); /* "2026-11-23" */
size_t evs__clock_format(int32_t ms, char *out);  /* "17:05:16.123" */
/* "250ms", "10s", "5m", "1h", "7d", "forever", or plain milliseconds; EVS_ERR_INVALID */
evs_status evs__duration_parse(const char *text, size_t len, int64_t *ret_ms);
size_t evs__duration_format(int64_t ms,
                            char *out); /* the shortest exact form: "90s", "1h", "forever" */

#endif
