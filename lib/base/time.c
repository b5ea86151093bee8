/*
 * base/time.c: civil time and its texts. Proleptic Gregorian calendar, UTC, no leap seconds.
 *
 * Days count from 1970-01-01. The conversions shift the year to begin in March, so that the leap
 * day is its last (Hinnant, "chrono-compatible low-level date algorithms"): no tables, no loops,
 * right for all years that an int64 of days can name.
 *
 * A text has years -9999..9999 in four digits; that is what can be parsed and what is printed as a
 * date. Parsers take exactly the whole text, never more.
 */
#include <string.h>

#include "base/number.h"
#include "base/time.h"

#define DAY_MS 86400000
#define DAYS_FIRST (-4371587) /* -9999-01-01 */
#define DAYS_LAST 2932896     /* 9999-12-31 */

int64_t evs__days_from_civil(int64_t year, int32_t month, int32_t day)
{
    int64_t y = year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void evs__civil_from_days(int64_t days, int64_t *ret_year, int32_t *ret_month, int32_t *ret_day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t of_era = z - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153; /* from March */

    *ret_day = (int32_t)(of_year - (153 * month + 2) / 5 + 1);
    *ret_month = (int32_t)(month < 10 ? month + 3 : month - 9);
    *ret_year = year + era * 400 + (*ret_month <= 2);
}

/* ---- parsing ---- */

struct cursor {
    const char *p;
    const char *end;
};

static bool take(struct cursor *c, char wanted)
{
    if (c->p == c->end || *c->p != wanted)
        return false;
    c->p++;
    return true;
}

/* exactly n digits, the value within low..high */
static bool take_number(struct cursor *c, int n, int32_t low, int32_t high, int32_t *ret)
{
    int32_t v = 0;
    if (c->end - c->p < n)
        return false;
    for (int i = 0; i < n; i++) {
        unsigned digit = (unsigned char)(*c->p++ - '0');
        if (digit > 9)
            return false;
        v = v * 10 + (int32_t)digit;
    }
    *ret = v;
    return v >= low && v <= high;
}

static bool take_date(struct cursor *c, int64_t *ret_days)
{
    static const int8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool negative = take(c, '-');
    int32_t year, month, day;
    bool leap;

    if (!take_number(c, 4, 0, 9999, &year) || !take(c, '-') || !take_number(c, 2, 1, 12, &month) ||
        !take(c, '-') || !take_number(c, 2, 1, 31, &day))
        return false;
    leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (day > lengths[month - 1] + (leap && month == 2))
        return false;
    *ret_days = evs__days_from_civil(negative ? -year : year, month, day);
    return true;
}

/* "17:05", "17:05:16", "17:05:16.123456" */
static bool take_clock(struct cursor *c, int64_t *ret_ms)
{
    int32_t hour, minute, second = 0, ms = 0;
    int digits = 0;

    if (!take_number(c, 2, 0, 23, &hour) || !take(c, ':') || !take_number(c, 2, 0, 59, &minute))
        return false;
    if (take(c, ':')) {
        if (!take_number(c, 2, 0, 59, &second))
            return false;
        if (take(c, '.')) {
            for (; c->p < c->end && (unsigned char)(*c->p - '0') < 10; c->p++) {
                if (digits++ < 3)
                    ms = ms * 10 + (*c->p - '0');
            }
            if (digits == 0)
                return false;
            for (; digits < 3; digits++)
                ms *= 10;
        }
    }
    *ret_ms = ((int64_t)hour * 60 + minute) * 60000 + second * 1000 + ms;
    return true;
}

/* "Z", "+01", "+01:00", "-0130"; nothing: UTC */
static bool take_zone(struct cursor *c, int64_t *ret_ms)
{
    int32_t hour, minute = 0;
    bool negative;

    *ret_ms = 0;
    if (c->p == c->end || take(c, 'Z') || take(c, 'z'))
        return true;
    negative = *c->p == '-';
    if (!take(c, '+') && !take(c, '-'))
        return false;
    if (!take_number(c, 2, 0, 23, &hour))
        return false;
    if (c->p < c->end) {
        (void)take(c, ':');
        if (!take_number(c, 2, 0, 59, &minute))
            return false;
    }
    *ret_ms = ((int64_t)hour * 60 + minute) * (negative ? -60000 : 60000);
    return true;
}

evs_status evs__time_parse(const char *text, size_t len, int64_t *ret_ms)
{
    struct cursor c = {text, text + len};
    int64_t days, clock = 0, zone = 0;

    if (!take_date(&c, &days))
        return EVS_ERR_DECODE;
    if (c.p < c.end) {
        if (!take(&c, 'T') && !take(&c, 't') && !take(&c, ' '))
            return EVS_ERR_DECODE;
        if (!take_clock(&c, &clock) || !take_zone(&c, &zone) || c.p != c.end)
            return EVS_ERR_DECODE;
    }
    *ret_ms = days * DAY_MS + clock - zone;
    return EVS_OK;
}

evs_status evs__date_parse(const char *text, size_t len, int32_t *ret_days)
{
    struct cursor c = {text, text + len};
    int64_t days;

    if (!take_date(&c, &days) || c.p != c.end)
        return EVS_ERR_DECODE;
    *ret_days = (int32_t)days;
    return EVS_OK;
}

evs_status evs__clock_parse(const char *text, size_t len, int32_t *ret_ms)
{
    struct cursor c = {text, text + len};
    int64_t ms;

    if (!take_clock(&c, &ms) || c.p != c.end)
        return EVS_ERR_DECODE;
    *ret_ms = (int32_t)ms;
    return EVS_OK;
}

/* ---- printing ---- */

static char *put_two(char *p, uint32_t v)
{
    p[0] = (char)('0' + v / 10);
    p[1] = (char)('0' + v % 10);
    return p + 2;
}

static char *put_date(char *p, int64_t days)
{
    int64_t year;
    int32_t month, day;
    uint32_t digits;

    evs__civil_from_days(days, &year, &month, &day);
    if (year < 0)
        *p++ = '-';
    digits = (uint32_t)(year < 0 ? -year : year);
    p = put_two(p, digits / 100);
    p = put_two(p, digits % 100);
    *p++ = '-';
    p = put_two(p, (uint32_t)month);
    *p++ = '-';
    return put_two(p, (uint32_t)day);
}

/* ms within a day */
static char *put_clock(char *p, uint32_t ms)
{
    uint32_t second = ms / 1000;

    p = put_two(p, second / 3600);
    *p++ = ':';
    p = put_two(p, second / 60 % 60);
    *p++ = ':';
    p = put_two(p, second % 60);
    *p++ = '.';
    *p++ = (char)('0' + ms % 1000 / 100);
    return put_two(p, ms % 100);
}

size_t evs__time_format(int64_t ms, char *out)
{
    int64_t days = ms / DAY_MS - (ms % DAY_MS < 0);
    char *p;

    if (days < DAYS_FIRST || days > DAYS_LAST)
        return evs__format_int(ms, out);
    p = put_date(out, days);
    *p++ = 'T';
    p = put_clock(p, (uint32_t)(ms - days * DAY_MS));
    *p++ = 'Z';
    return (size_t)(p - out);
}

size_t evs__date_format(int32_t days, char *out)
{
    if (days < DAYS_FIRST || days > DAYS_LAST)
        return evs__format_int(days, out);
    return (size_t)(put_date(out, days) - out);
}

size_t evs__clock_format(int32_t ms, char *out)
{
    if (ms < 0 || ms >= DAY_MS)
        return evs__format_int(ms, out);
    return (size_t)(put_clock(out, (uint32_t)ms) - out);
}

/* ---- durations ---- */

static const struct duration_unit {
    int64_t ms;
    const char *name;
} duration_units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};

#define DURATION_UNITS (sizeof(duration_units) / sizeof(duration_units[0]))

evs_status evs__duration_parse(const char *text, size_t len, int64_t *ret_ms)
{
    size_t digits = 0;
    int64_t v, unit = 1;

    if (len == 7 && memcmp(text, "forever", 7) == 0) {
        *ret_ms = EVS_FOREVER;
        return EVS_OK;
    }
    while (digits < len && (unsigned char)(text[digits] - '0') < 10)
        digits++;
    if (!digits || evs__parse_int(text, digits, &v))
        return EVS_ERR_INVALID;
    if (digits < len) {
        unit = 0;
        for (size_t i = 0; i < DURATION_UNITS; i++) {
            const char *name = duration_units[i].name;
            if (strlen(name) == len - digits && memcmp(name, text + digits, len - digits) == 0)
                unit = duration_units[i].ms;
        }
    }
    if (unit == 0 || __builtin_mul_overflow(v, unit, &v))
        return EVS_ERR_INVALID;
    *ret_ms = v;
    return EVS_OK;
}

size_t evs__duration_format(int64_t ms, char *out)
{
    size_t i = 0;
    size_t n;

    if (ms == EVS_FOREVER) {
        memcpy(out, "forever", 7);
        return 7;
    }
    while (ms == 0 ? i < DURATION_UNITS - 1 : ms % duration_units[i].ms != 0)
        i++;
    n = evs__format_int(ms / duration_units[i].ms, out);
    memcpy(out + n, duration_units[i].name, strlen(duration_units[i].name));
    return n + strlen(duration_units[i].name);
}
