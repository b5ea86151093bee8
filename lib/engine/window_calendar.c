/*
 * engine/window_calendar.c: days, weeks, months, quarters and years of a time zone as windows.
 *
 * A window begins when the clock on the wall of the zone shows the first moment of the unit, moved
 * by the offset, and ends where the next one begins. So a day has 23, 24 or 25 hours where clocks
 * change. A midnight that is left out is the moment of the leap; of one that comes twice the first
 * counts, and the hour that is repeated behind it belongs to the new day. A day that a zone left
 * out as a whole (Samoa, 2011-12-30) is a window without time, which no row is in.
 *
 * Windows have numbers, one more for each unit, as window_sliced.c wants them: days, months,
 * quarters and years since 1970, weeks (from Monday, ISO 8601) since that of 1970-01-01. A number's
 * bounds come from the calendar and the zone; a time's number is that of the date on the wall, or a
 * neighbour of it near a change of the clocks. That rises with time, since evs__zone_utc() does.
 */
#include "base/time.h"
#include "engine/window.h"

#define DAY_MS INT64_C(86400000)

static int64_t floor_div(int64_t v, int64_t by)
{
    int64_t q = v / by;
    return q - (v % by < 0);
}

static int64_t unit_of_day(int32_t unit, int64_t day)
{
    int64_t year;
    int32_t month, of_month;

    if (unit == EVS_CALENDAR_DAY)
        return day;
    if (unit == EVS_CALENDAR_WEEK)
        return floor_div(day + 3, 7); /* 1970-01-01 was a Thursday */
    evs__civil_from_days(day, &year, &month, &of_month);
    if (unit == EVS_CALENDAR_YEAR)
        return year - 1970;
    if (unit == EVS_CALENDAR_QUARTER)
        return (year - 1970) * 4 + (month - 1) / 3;
    return (year - 1970) * 12 + month - 1;
}

static int64_t first_day(int32_t unit, int64_t number)
{
    int64_t months = number;

    if (unit == EVS_CALENDAR_DAY)
        return number;
    if (unit == EVS_CALENDAR_WEEK)
        return number * 7 - 3;
    if (unit == EVS_CALENDAR_YEAR)
        months = number * 12;
    else if (unit == EVS_CALENDAR_QUARTER)
        months = number * 3;
    return evs__days_from_civil(1970 + floor_div(months, 12),
                                (int32_t)(months - floor_div(months, 12) * 12) + 1, 1);
}

/* units that begin beyond these do so at an end of time; nothing below overflows within */
#define NUMBER_MAX INT64_C(120000000000)

static int64_t start_of(const evs__slicing *s, int64_t number)
{
    int64_t n = number, day;
    evs__int128 local;

    n = n > NUMBER_MAX ? NUMBER_MAX : n < -NUMBER_MAX ? -NUMBER_MAX : n;
    day = first_day(s->calendar, n);
    local = (evs__int128)day * DAY_MS + s->offset;
    if (local >= INT64_MAX)
        return INT64_MAX;
    return local <= INT64_MIN ? INT64_MIN : evs__zone_utc(s->zone, (int64_t)local);
}

void evs__calendar_window(const evs__slicing *s,
                          int64_t number,
                          int64_t *ret_start,
                          int64_t *ret_end)
{
    *ret_start = start_of(s, number);
    *ret_end = number == INT64_MAX ? INT64_MAX : start_of(s, number + 1);
}

int64_t evs__calendar_at(const evs__slicing *s, int64_t t, int64_t *ret_start, int64_t *ret_end)
{
    int64_t wall = evs__time_sub(evs__zone_local(s->zone, t), s->offset);
    int64_t number = unit_of_day(s->calendar, floor_div(wall, DAY_MS));
    int64_t start = start_of(s, number), end = start_of(s, number + 1);

    while (start > t) {
        end = start;
        start = start_of(s, --number);
    }
    while (end <= t && end < INT64_MAX) {
        start = end;
        end = start_of(s, ++number + 1);
    }
    *ret_start = start;
    *ret_end = end;
    return number;
}

const char *evs__calendar_name(int32_t unit)
{
    static const char *const names[] = {"none", "day", "week", "month", "quarter", "year"};
    return unit >= 0 && unit <= EVS_CALENDAR_YEAR ? names[unit] : names[0];
}
