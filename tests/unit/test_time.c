/*
 * Civil time, its texts, durations: every day of 20,000 years against a plain count, texts that are
 * taken and refused, round trips.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "base/time.h"

static void test_civil_days_every_day_counts_up(void **state)
{
    static const int8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t days = evs__days_from_civil(-9999, 1, 1);
    (void)state;
    assert_int_equal(evs__days_from_civil(1970, 1, 1), 0);
    for (int64_t year = -9999; year <= 9999; year++) {
        bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        for (int32_t month = 1; month <= 12; month++) {
            int32_t length = lengths[month - 1] + (month == 2 && leap);
            for (int32_t day = 1; day <= length; day++, days++) {
                int64_t y;
                int32_t m, d;
                evs__civil_from_days(days, &y, &m, &d);
                if (y != year || m != month || d != day ||
                    evs__days_from_civil(year, month, day) != days)
                    fail_msg("%d-%d-%d is not day %ld", (int)year, month, day, (long)days);
            }
        }
    }
}

static void test_time_parse_forms(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {{"1970-01-01T00:00:00Z", 0},
                 {"2026-11-23T17:05:16.123456Z", 1795453516123},
                 {"2026-11-23T17:05:16.1239999Z", 1795453516123},
                 {"2026-11-23 17:05:16.1", 1795453516100},
                 {"2026-11-23T18:05:16+01:00", 1795453516000},
                 {"2026-11-23T18:05:16+0100", 1795453516000},
                 {"2026-11-23T18:05:16+01", 1795453516000},
                 {"2026-11-23t15:35:16-01:30", 1795453516000},
                 {"2026-11-23T17:05z", 1795453500000},
                 {"2026-11-23", 1795392000000},
                 {"1969-12-31T23:59:59.999Z", -1},
                 {"2000-02-29", 951782400000},
                 {"-0044-03-15", -63549360000000}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        int64_t ms = 1;
        assert_int_equal(evs__time_parse(cases[i].text, strlen(cases[i].text), &ms), EVS_OK);
        if (ms != cases[i].ms)
            fail_msg("\"%s\" is %ld", cases[i].text, (long)ms);
    }
}

static void test_time_parse_bad_text_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-1-01",
                                      "2026-13-01",
                                      "2026-00-01",
                                      "2026-01-00",
                                      "2026-01-32",
                                      "2026-02-29",
                                      "1900-02-29",
                                      "2026-11-23T",
                                      "2026-11-23T24:00:00Z",
                                      "2026-11-23T17:60:00Z",
                                      "2026-11-23T17:05:60Z",
                                      "2026-11-23T17:05:16.Z",
                                      "2026-11-23T17:05:16Zx",
                                      "2026-11-23T17:05:16+",
                                      "2026-11-23T17:05:16+1",
                                      "2026-11-23T17:05:16+01:",
                                      "2026-11-23T17:05:16+24:00",
                                      "2026-11-23T17:05:16+01:60",
                                      "2026-11-23x17:05:16",
                                      "2026-11-23T17",
                                      " 2026-11-23",
                                      "2026-11-23 ",
                                      "02026-11-23",
                                      "2026-11-23T1:05:16",
                                      "2026-11-23T17:05:16,5",
                                      "1795453516123"};
    int64_t ms = 42;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        if (evs__time_parse(bad[i], strlen(bad[i]), &ms) != EVS_ERR_DECODE)
            fail_msg("\"%s\" was taken", bad[i]);
    }
    assert_int_equal(ms, 42);
}

static void check_time_text(int64_t ms, const char *wanted)
{
    char text[EVS__TIME_TEXT_MAX + 1];
    int64_t back = 0;
    size_t n = evs__time_format(ms, text);
    text[n] = '\0';
    assert_string_equal(text, wanted);
    if (strchr(text, 'T')) {
        assert_int_equal(evs__time_parse(text, n, &back), EVS_OK);
        assert_true(back == ms);
    }
}

static void test_time_format_limits_read_back(void **state)
{
    (void)state;
    check_time_text(0, "1970-01-01T00:00:00.000Z");
    check_time_text(-1, "1969-12-31T23:59:59.999Z");
    check_time_text(1795453516123, "2026-11-23T17:05:16.123Z");
    check_time_text(253402300799999, "9999-12-31T23:59:59.999Z");
    check_time_text(253402300800000, "253402300800000");
    check_time_text(-377705116800000, "-9999-01-01T00:00:00.000Z");
    check_time_text(-377705116800001, "-377705116800001");
    check_time_text(INT64_MIN, "-9223372036854775808");
    check_time_text(INT64_MAX, "9223372036854775807");
}

static void test_date_and_clock_text_round_trip(void **state)
{
    char text[EVS__TIME_TEXT_MAX];
    int32_t v = 0;
    (void)state;
    assert_int_equal(evs__date_parse("2026-11-23", 10, &v), EVS_OK);
    assert_int_equal(evs__date_format(v, text), 10);
    assert_memory_equal(text, "2026-11-23", 10);
    assert_int_equal(evs__date_format(INT32_MAX, text), 10);
    assert_memory_equal(text, "2147483647", 10);
    assert_int_equal(evs__date_parse("2026-11-23T00:00:00Z", 20, &v), EVS_ERR_DECODE);
    assert_int_equal(evs__clock_parse("17:05:16.123", 12, &v), EVS_OK);
    assert_int_equal(v, 61516123);
    assert_int_equal(evs__clock_format(v, text), 12);
    assert_memory_equal(text, "17:05:16.123", 12);
    assert_int_equal(evs__clock_parse("17:05:16Z", 9, &v), EVS_ERR_DECODE);
    assert_int_equal(evs__clock_parse("", 0, &v), EVS_ERR_DECODE);
    assert_int_equal(evs__clock_format(-1, text), 2);
    assert_int_equal(evs__clock_format(86400000, text), 8);
}

static void test_duration_parse_units_and_faults(void **state)
{
    static const char *const bad[] = {"",
                                      "s",
                                      "1.5s",
                                      "-1s",
                                      "+1s",
                                      "1 s",
                                      "1S",
                                      "1x",
                                      "1sx",
                                      "forevers",
                                      "9223372036854775807s",
                                      "99999999999999999999"};
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"250ms", 250},    {"10s", 10000}, {"5m", 300000}, {"1h", 3600000},
                {"7d", 604800000}, {"15", 15},     {"0", 0},       {"forever", EVS_FOREVER}};
    int64_t ms = 42;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        if (evs__duration_parse(bad[i], strlen(bad[i]), &ms) != EVS_ERR_INVALID)
            fail_msg("\"%s\" was taken", bad[i]);
    }
    assert_int_equal(ms, 42);
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        assert_int_equal(evs__duration_parse(good[i].text, strlen(good[i].text), &ms), EVS_OK);
        assert_true(ms == good[i].ms);
    }
}

static void test_duration_format_shortest_exact_form(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{0, "0ms"},
                 {1500, "1500ms"},
                 {90000, "90s"},
                 {60000, "1m"},
                 {3600000, "1h"},
                 {86400000, "1d"},
                 {129600000, "36h"},
                 {-5000, "-5s"},
                 {EVS_FOREVER, "forever"},
                 {INT64_MIN, "-9223372036854775808ms"}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char text[EVS__TIME_TEXT_MAX + 1];
        text[evs__duration_format(cases[i].ms, text)] = '\0';
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_civil_days_every_day_counts_up),
        cmocka_unit_test(test_time_parse_forms),
        cmocka_unit_test(test_time_parse_bad_text_is_refused),
        cmocka_unit_test(test_time_format_limits_read_back),
        cmocka_unit_test(test_date_and_clock_text_round_trip),
        cmocka_unit_test(test_duration_parse_units_and_faults),
        cmocka_unit_test(test_duration_format_shortest_exact_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
