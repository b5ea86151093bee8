/*
 * expr/functions_time.c: parts of times and rounding down to units, in UTC.
 *
 * Units: millisecond, second, minute, hour, day, week (begins on Monday), month, quarter, year; for
 * parts also doy (day of the year from 1), dow (day of the week, Monday 1 .. Sunday 7), epoch
 * (seconds since 1970). The number of a week is that of ISO 8601: week 1 holds the year's first
 * Thursday. A unit given as a constant is looked up once a batch.
 */
#include <string.h>

#include "base/time.h"
#include "expr/functions.h"

#define DAY_MS INT64_C(86400000)

typedef enum unit {
    UNIT_MILLISECOND,
    UNIT_SECOND,
    UNIT_MINUTE,
    UNIT_HOUR,
    UNIT_DAY,
    UNIT_WEEK,
    UNIT_MONTH,
    UNIT_QUARTER,
    UNIT_YEAR,
    UNIT_DOY,
    UNIT_DOW,
    UNIT_EPOCH,
    UNIT_NONE
} unit;

static unit unit_of(evs_string_view s)
{
    static const char *const names[] = {[UNIT_MILLISECOND] = "millisecond",
                                        [UNIT_SECOND] = "second",
                                        [UNIT_MINUTE] = "minute",
                                        [UNIT_HOUR] = "hour",
                                        [UNIT_DAY] = "day",
                                        [UNIT_WEEK] = "week",
                                        [UNIT_MONTH] = "month",
                                        [UNIT_QUARTER] = "quarter",
                                        [UNIT_YEAR] = "year",
                                        [UNIT_DOY] = "doy",
                                        [UNIT_DOW] = "dow",
                                        [UNIT_EPOCH] = "epoch"};

    for (int u = 0; u < UNIT_NONE; u++) {
        size_t k = 0;
        while (k < s.len && names[u][k] &&
               (s.data[k] >= 'A' && s.data[k] <= 'Z' ? s.data[k] + 32 : s.data[k]) == names[u][k])
            k++;
        if (k == s.len && !names[u][k])
            return (unit)u;
    }
    return UNIT_NONE;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Monday 0 .. Sunday 6; day 0 was a Thursday */
static int64_t weekday(int64_t day)
{
    return day + 3 - floor_div(day + 3, 7) * 7;
}

static int64_t iso_week(int64_t day)
{
    int64_t thursday = day - weekday(day) + 3, year;
    int32_t m, d;

    evs__civil_from_days(thursday, &year, &m, &d);
    return (thursday - evs__days_from_civil(year, 1, 1)) / 7 + 1;
}

static int64_t part_of(unit u, int64_t ms)
{
    int64_t day = floor_div(ms, DAY_MS), rest = ms - day * DAY_MS, year;
    int32_t month, of_month;

    switch (u) {
    case UNIT_MILLISECOND:
        return rest % 1000;
    case UNIT_SECOND:
        return rest / 1000 % 60;
    case UNIT_MINUTE:
        return rest / 60000 % 60;
    case UNIT_HOUR:
        return rest / 3600000;
    case UNIT_WEEK:
        return iso_week(day);
    case UNIT_DOW:
        return weekday(day) + 1;
    case UNIT_EPOCH:
        return floor_div(ms, 1000);
    default:
        break;
    }
    evs__civil_from_days(day, &year, &month, &of_month);
    switch (u) {
    case UNIT_DAY:
        return of_month;
    case UNIT_MONTH:
        return month;
    case UNIT_QUARTER:
        return (month + 2) / 3;
    case UNIT_DOY:
        return day - evs__days_from_civil(year, 1, 1) + 1;
    default:
        return year;
    }
}

/* false: before the first millisecond that can be named */
static bool trunc_to(unit u, int64_t ms, int64_t *ret)
{
    static const int64_t widths[] = {1, 1000, 60000, 3600000, DAY_MS};
    int64_t day = floor_div(ms, DAY_MS), year;
    int32_t month, of_month;

    if (u <= UNIT_DAY)
        return !__builtin_mul_overflow(floor_div(ms, widths[u]), widths[u], ret);
    evs__civil_from_days(day, &year, &month, &of_month);
    if (u == UNIT_WEEK)
        day -= weekday(day);
    else if (u == UNIT_MONTH)
        day = evs__days_from_civil(year, month, 1);
    else if (u == UNIT_QUARTER)
        day = evs__days_from_civil(year, (month - 1) / 3 * 3 + 1, 1);
    else
        day = evs__days_from_civil(year, 1, 1);
    return !__builtin_mul_overflow(day, DAY_MS, ret);
}

/* extract(unit, timestamp) and date_trunc(unit, timestamp) */
static evs_status
unit_function(evs__eval *ev, evs__term *n, const evs__rows *rows, bool truncates, evs__column **ret)
{
    evs__column *cols[2] = {NULL, NULL}, *out = NULL;
    size_t unit_stride = EVS__STRIDE(n->args[0]), stride = EVS__STRIDE(n->args[1]);
    unit u = UNIT_NONE;
    evs_status status = evs__eval_strict(ev, n, rows, cols, &out);

    if (status)
        return status;
    if (!unit_stride)
        u = unit_of(evs__column_str(cols[0], 0));
    EVS__FOR_ROWS(rows, i)
    {
        int64_t ms = cols[1]->i64[i * stride];
        evs_string_view name = {NULL, 0};
        if (evs__column_is_null(out, i)) {
            out->i64[i] = 0;
            continue;
        }
        if (unit_stride)
            u = unit_of(name = evs__column_str(cols[0], i));
        else if (u == UNIT_NONE)
            name = evs__column_str(cols[0], 0);
        if (u == UNIT_NONE || (truncates && u > UNIT_YEAR))
            status =
                evs__fail_row(ev, n, out, i, EVS_ERR_EXPRESSION, "\"%.*s\" is not a unit of time",
                              (int)(name.len & 0x3f), name.len ? name.data : "");
        else if (!truncates)
            out->i64[i] = part_of(u, ms);
        else if (!trunc_to(u, ms, &out->i64[i]))
            status = evs__fail_row(ev, n, out, i, EVS_ERR_OVERFLOW,
                                   "date_trunc: the result does not fit a TIMESTAMP");
        if (status)
            return status;
    }
    *ret = out;
    return EVS_OK;
}

evs_status evs__fn_date_trunc(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    return unit_function(ev, n, rows, true, ret);
}

evs_status evs__fn_extract(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    return unit_function(ev, n, rows, false, ret);
}

/* year(timestamp), month(timestamp) ... */
evs_status evs__fn_time_part(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *in = NULL;
    size_t stride = EVS__STRIDE(n->args[0]);
    unit u = unit_of((evs_string_view){n->function->name, strlen(n->function->name)});
    evs_status status = evs__eval_strict(ev, n, rows, &in, ret);

    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    (*ret)->i32[i] = (int32_t)part_of(u, in->i64[i * stride]);
    evs__zero_nulls(*ret);
    return EVS_OK;
}
