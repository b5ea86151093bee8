/*
 * base/zone.c: time zones from TZif bytes (RFC 9636) with the POSIX rule behind them.
 *
 *   "TZif" version counts[6] | block with 4-byte times | (2+) header, block with 8-byte times |
 *                                                             "\n" rule "\n"
 *   block: times[timecnt] type_of[timecnt] types[typecnt] {utoff, isdst, name} names leaps std ut
 *
 * An offset holds from one transition to the next. Before the first it is that of type 0; behind
 * the last the rule says which, for ever: one or two offsets a year (CET-1CEST,M3.5.0,M10.5.0/3).
 * Version 1 has no rule, then the last offset stays. Names of offsets are not kept.
 *
 * Looking up an instant is a binary search, or, where the rule holds, the changes of the years
 * around. Local to UTC walks over the few offsets within a day of it.
 *
 * The bytes may be anything: every count is held against the length before it is used, offsets are
 * within the bounds of the RFC (a bit more than a day), transitions must rise. Files with leap
 * seconds ("right/...") are refused: event times have none.
 */
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "base/time.h"
#include "base/zone.h"

#define SECOND_MS 1000
#define DAY_S 86400
#define DAY_MS ((int64_t)DAY_S * SECOND_MS)
#define CHANGES 10            /* of five years */
#define OFFSET_S_MIN (-89999) /* -24:59:59 */
#define OFFSET_S_MAX 93599    /* +25:59:59 */
#define OFFSET_MS_MAX ((int64_t)OFFSET_S_MAX * SECOND_MS)

/* when in a year: POSIX's Jn, n, Mm.w.d, each with a time of day (which may be days away) */
typedef struct date_rule {
    char kind; /* 'J', 'n', 'M' */
    int32_t day, month, week;
    int32_t time_s;
} date_rule;

typedef struct posix_rule {
    bool known, has_dst;
    int64_t std, dst; /* offsets, ms */
    date_rule start, end;
} posix_rule;

struct evs__zone {
    evs_context *ctx;
    char *name;
    uint32_t count;
    int64_t *times;   /* transitions, rising */
    int64_t *offsets; /* count + 1: before the first, from each on */
    posix_rule rule;  /* behind the last */
};

/* ---- numbers ---- */

static int64_t clamp(evs__int128 v)
{
    if (v > INT64_MAX)
        return INT64_MAX;
    return v < INT64_MIN ? INT64_MIN : (int64_t)v;
}

static int64_t big_endian(const uint8_t *p, size_t bytes)
{
    uint64_t v = p[0] & 0x80 ? UINT64_MAX : 0;

    for (size_t i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return (int64_t)v;
}

/* ---- the POSIX rule ---- */

typedef struct cursor {
    const char *p, *end;
} cursor;

static bool take(cursor *c, char wanted)
{
    if (c->p == c->end || *c->p != wanted)
        return false;
    c->p++;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool take_int(cursor *c, int32_t min, int32_t max, int32_t *ret)
{
    const char *from = c->p;
    int32_t v = 0;

    while (c->p < c->end && is_digit(*c->p) && v <= max)
        v = v * 10 + (*c->p++ - '0');
    *ret = v;
    return c->p > from && v >= min && v <= max;
}

/* "CET", "<+03>" */
static bool skip_name(cursor *c)
{
    const char *from = c->p;

    if (take(c, '<')) {
        while (c->p < c->end && *c->p != '>')
            c->p++;
        return take(c, '>');
    }
    while (c->p < c->end && is_letter(*c->p))
        c->p++;
    return c->p - from >= 3;
}

/* [+-]hh[:mm[:ss]] in seconds */
static bool take_time(cursor *c, int32_t hours_max, int32_t *ret)
{
    bool negative = take(c, '-');
    int32_t h, m = 0, s = 0;

    if (!negative)
        take(c, '+');
    if (!take_int(c, 0, hours_max, &h))
        return false;
    if (take(c, ':') && (!take_int(c, 0, 59, &m) || (take(c, ':') && !take_int(c, 0, 59, &s))))
        return false;
    *ret = h * 3600 + m * 60 + s;
    if (negative)
        *ret = -*ret;
    return true;
}

/* an offset as POSIX has it: positive is west */
static bool take_offset(cursor *c, int64_t *ret_ms)
{
    int32_t west;

    if (!take_time(c, 24, &west))
        return false;
    *ret_ms = -(int64_t)west * SECOND_MS;
    return true;
}

/* "M3.5.0/2", "J60", "59" */
static bool take_date(cursor *c, date_rule *ret)
{
    bool good;

    *ret = (date_rule){.kind = 'n', .time_s = 2 * 3600};
    if (take(c, 'M')) {
        ret->kind = 'M';
        good = take_int(c, 1, 12, &ret->month) && take(c, '.') && take_int(c, 1, 5, &ret->week) &&
               take(c, '.') && take_int(c, 0, 6, &ret->day);
    } else if (take(c, 'J')) {
        ret->kind = 'J';
        good = take_int(c, 1, 365, &ret->day);
    } else {
        good = take_int(c, 0, 365, &ret->day);
    }
    return good && (!take(c, '/') || take_time(c, 167, &ret->time_s));
}

/* "" is a rule that says nothing */
static bool parse_rule(const char *text, size_t len, posix_rule *ret)
{
    cursor c = {text, text + len};

    *ret = (posix_rule){.known = len > 0};
    if (!len)
        return true;
    if (!skip_name(&c) || !take_offset(&c, &ret->std))
        return false;
    if (c.p == c.end)
        return true;
    ret->has_dst = true;
    ret->dst = ret->std + 3600 * SECOND_MS;
    if (!skip_name(&c))
        return false;
    if (c.p < c.end && *c.p != ',' && !take_offset(&c, &ret->dst))
        return false;
    return take(&c, ',') && take_date(&c, &ret->start) && take(&c, ',') &&
           take_date(&c, &ret->end) && c.p == c.end;
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* days since 1970 of a rule's day */
static int64_t day_of(const date_rule *r, int64_t year)
{
    int64_t first = evs__days_from_civil(year, r->kind == 'M' ? r->month : 1, 1), next;
    int32_t weekday;

    if (r->kind == 'n')
        return first + r->day;
    if (r->kind == 'J')
        return first + r->day - 1 + (is_leap(year) && r->day > 59);
    next = r->month == 12 ? evs__days_from_civil(year + 1, 1, 1)
                          : evs__days_from_civil(year, r->month + 1, 1);
    weekday = (int32_t)(((first + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
    first += (r->day - weekday + 7) % 7 + 7 * (r->week - 1);
    return first >= next ? first - 7 : first;
}

/* the change as an instant; `before` is the offset by which its time of day is read */
static int64_t change_of(const date_rule *r, int64_t year, int64_t before)
{
    return clamp(((evs__int128)day_of(r, year) * DAY_S + r->time_s) * SECOND_MS - before);
}

typedef struct change {
    int64_t at, offset;
} change;

/* Changes of the years around, in order; of two at one time the later one counts. A time of day may
 * lead into the year before or behind: of five years the first is surely over, the last not begun.
 */
static void changes_around(const posix_rule *r, int64_t year, change ret[CHANGES])
{
    for (int i = 0; i < CHANGES / 2; i++) {
        change start = {change_of(&r->start, year - 2 + i, r->std), r->dst};
        change end = {change_of(&r->end, year - 2 + i, r->dst), r->std};
        ret[2 * i] = start.at <= end.at ? start : end;
        ret[2 * i + 1] = start.at <= end.at ? end : start;
    }
    for (int i = 1; i < CHANGES; i++) {
        change c = ret[i];
        int j = i;
        for (; j > 0 && ret[j - 1].at > c.at; j--)
            ret[j] = ret[j - 1];
        ret[j] = c;
    }
}

/* offset at `utc` by the rule, and how long it holds */
static int64_t rule_offset(const posix_rule *r, int64_t utc, int64_t *ret_from, int64_t *ret_to)
{
    change c[CHANGES];
    int64_t local = evs__time_add(utc, r->std), days = local / DAY_MS, year;
    int32_t month, day;
    int last = 0;

    *ret_from = INT64_MIN;
    *ret_to = INT64_MAX;
    if (!r->has_dst)
        return r->std;
    evs__civil_from_days(days < 0 && local % DAY_MS ? days - 1 : days, &year, &month, &day);
    changes_around(r, year, c);
    while (last + 1 < CHANGES && c[last + 1].at <= utc)
        last++;
    *ret_from = c[last].at;
    if (last + 1 < CHANGES)
        *ret_to = c[last + 1].at;
    return c[last].offset;
}

/* ---- the file ---- */

typedef struct counts {
    uint32_t ut, std, leaps, times, types, names;
} counts;

#define HEADER_BYTES 44

/* false: no header, or the block behind it would not fit; *ret_block: its length */
static bool
read_header(const uint8_t *p, size_t len, size_t time_bytes, counts *ret, size_t *ret_block)
{
    uint32_t *const all[] = {&ret->ut,    &ret->std,   &ret->leaps,
                             &ret->times, &ret->types, &ret->names};
    uint64_t block;

    if (len < HEADER_BYTES || memcmp(p, "TZif", 4) != 0)
        return false;
    for (size_t i = 0; i < 6; i++)
        *all[i] = (uint32_t)big_endian(p + 20 + 4 * i, 4);
    block = (uint64_t)ret->times * (time_bytes + 1) + (uint64_t)ret->types * 6 + ret->names +
            (uint64_t)ret->leaps * (time_bytes + 4) + ret->std + ret->ut;
    *ret_block = (size_t)block;
    return block <= len - HEADER_BYTES;
}

/* NULL, or what is wrong; the arrays are there */
static const char *read_block(evs__zone *z, const uint8_t *p, const counts *n, size_t time_bytes)
{
    const uint8_t *type_of = p + (size_t)n->times * time_bytes;
    const uint8_t *types = type_of + n->times;

    for (uint32_t i = 0; i <= n->times; i++) {
        uint8_t type = i ? type_of[i - 1] : 0;
        int64_t offset;
        if (type >= n->types)
            return "a transition has a type that does not exist";
        offset = big_endian(types + 6 * (size_t)type, 4);
        if (offset < OFFSET_S_MIN || offset > OFFSET_S_MAX)
            return "an offset of more than a day";
        z->offsets[i] = offset * SECOND_MS;
    }
    for (uint32_t i = 0; i < n->times; i++) {
        int64_t at = big_endian(p + i * time_bytes, time_bytes);
        if (i && at <= big_endian(p + (i - 1) * time_bytes, time_bytes))
            return "transitions do not rise";
        z->times[i] = clamp((evs__int128)at * SECOND_MS);
    }
    z->count = n->times;
    return NULL;
}

/* "\n" rule "\n" behind the second block */
static bool read_footer(evs__zone *z, const uint8_t *p, size_t len)
{
    const uint8_t *end;

    if (!len || p[0] != '\n')
        return false;
    end = memchr(p + 1, '\n', len - 1);
    return end && parse_rule((const char *)p + 1, (size_t)(end - p - 1), &z->rule);
}

static evs_status refuse(evs_context *ctx, const char *name, const char *why, evs_error **reterr)
{
    return evs__fail(ctx, reterr, EVS_ERR_DECODE, "time zone \"%.200s\": %s", name, why);
}

static evs_status fill(evs__zone *z, const uint8_t *p, size_t len, evs_error **reterr)
{
    counts n = {0};
    size_t block = 0, time_bytes = 4;
    const char *why;

    if (len > EVS__ZONE_BYTES_MAX)
        return refuse(z->ctx, z->name, "more bytes than a zone has", reterr);
    if (!read_header(p, len, 4, &n, &block))
        return refuse(z->ctx, z->name, "no TZif file, or one that is cut short", reterr);
    if (p[4] >= '2') {
        p += HEADER_BYTES + block;
        len -= HEADER_BYTES + block;
        time_bytes = 8;
        if (!read_header(p, len, 8, &n, &block))
            return refuse(z->ctx, z->name, "the block of 64-bit times is cut short", reterr);
    }
    if (n.leaps)
        return evs__fail(z->ctx, reterr, EVS_ERR_UNSUPPORTED,
                         "time zone \"%.200s\" counts leap seconds, event times have none",
                         z->name);
    if (!n.types)
        return refuse(z->ctx, z->name, "no type of local time", reterr);
    z->times = evs__calloc(z->ctx, n.times, sizeof(*z->times));
    z->offsets = evs__calloc(z->ctx, (size_t)n.times + 1, sizeof(*z->offsets));
    if (!z->times || !z->offsets)
        return evs__nomem(reterr);
    why = read_block(z, p + HEADER_BYTES, &n, time_bytes);
    if (!why && time_bytes == 8 &&
        !read_footer(z, p + HEADER_BYTES + block, len - HEADER_BYTES - block))
        why = "the rule at its end cannot be read";
    return why ? refuse(z->ctx, z->name, why, reterr) : EVS_OK;
}

evs_status evs__zone_new(evs_context *ctx,
                         const char *name,
                         const void *data,
                         size_t len,
                         evs__zone **ret,
                         evs_error **reterr)
{
    evs__zone *z = evs__calloc(ctx, 1, sizeof(*z));
    evs_status status;

    if (!z)
        return evs__nomem(reterr);
    z->ctx = ctx;
    z->name = evs__strdup(ctx, name);
    status = z->name ? fill(z, data, len, reterr) : evs__nomem(reterr);
    if (status) {
        evs__zone_free(z);
        return status;
    }
    *ret = z;
    return EVS_OK;
}

void evs__zone_free(evs__zone *zone)
{
    if (!zone)
        return;
    evs__free(zone->ctx, zone->name);
    evs__free(zone->ctx, zone->times);
    evs__free(zone->ctx, zone->offsets);
    evs__free(zone->ctx, zone);
}

const char *evs__zone_name(const evs__zone *zone)
{
    return zone->name;
}

/* ---- zones of a context ---- */

static bool attachment_name(const char *name, char ret[EVS__ZONE_NAME_MAX + 16])
{
    return snprintf(ret, EVS__ZONE_NAME_MAX + 16, "evstream.zone.%s", name) <
           EVS__ZONE_NAME_MAX + 16;
}

static void free_attached(evs_context *ctx, void *value)
{
    (void)ctx;
    evs__zone_free(value);
}

const evs__zone *evs__zone_find(evs_context *ctx, const char *name)
{
    char attachment[EVS__ZONE_NAME_MAX + 16];
    return attachment_name(name, attachment) ? evs_context_attached(ctx, attachment) : NULL;
}

evs_status evs__zone_keep(evs_context *ctx, evs__zone *zone, evs_error **reterr)
{
    char attachment[EVS__ZONE_NAME_MAX + 16];
    evs_error *err = NULL;
    evs_status status;

    if (!attachment_name(zone->name, attachment)) {
        evs__zone_free(zone);
        return evs__fail(ctx, reterr, EVS_ERR_INVALID, "the name of a time zone is too long");
    }
    status = evs_context_attach(ctx, attachment, zone, free_attached, &err);
    if (status)
        evs__zone_free(zone);
    if (status == EVS_ERR_MISUSE) {
        evs_error_unref(err);
        return EVS_OK;
    }
    return evs__error_move(reterr, err);
}

/* ---- looking up ---- */

int64_t evs__zone_offset(const evs__zone *zone, int64_t utc, int64_t *ret_from, int64_t *ret_to)
{
    uint32_t low = 0, high = zone ? zone->count : 0; /* transitions at or before utc */

    *ret_from = INT64_MIN;
    *ret_to = INT64_MAX;
    if (!zone)
        return 0;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (zone->times[middle] <= utc)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == zone->count && zone->rule.known) {
        int64_t offset = rule_offset(&zone->rule, utc, ret_from, ret_to);
        if (zone->count && *ret_from < zone->times[zone->count - 1])
            *ret_from = zone->times[zone->count - 1];
        return offset;
    }
    if (low)
        *ret_from = zone->times[low - 1];
    if (low < zone->count)
        *ret_to = zone->times[low];
    return zone->offsets[low];
}

int64_t evs__zone_local(const evs__zone *zone, int64_t utc)
{
    int64_t from, to;
    return evs__time_add(utc, evs__zone_offset(zone, utc, &from, &to));
}

int64_t evs__zone_utc(const evs__zone *zone, int64_t local)
{
    /* nowhere is the clock further ahead: before this instant it showed less everywhere */
    int64_t at = evs__time_sub(local, OFFSET_MS_MAX);

    for (;;) {
        int64_t from, to, offset = evs__zone_offset(zone, at, &from, &to);
        int64_t found = evs__time_sub(local, offset);
        if (found < at)
            found = at;
        if (found < to || to == INT64_MAX)
            return found;
        at = to;
    }
}
