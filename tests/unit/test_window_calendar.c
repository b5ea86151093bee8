/*
 * Calendar windows: days of 23 and 25 hours, midnights that clocks leap over or show twice, a day
 * that a zone left out, weeks, months, quarters, years, offsets, the ends of time; names of zones
 * in the window's and the pipeline's options.
 */
#include "window_kit.h"

#include "base/time.h"
#include "engine/window.h"

static evs_window_options calendar(int32_t unit, const char *zone)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    o.kind = EVS_WINDOW_CALENDAR;
    o.calendar = unit;
    o.zone = zone;
    o.emit = EVS_EMIT_FINAL;
    return o;
}

static int64_t ms(const char *text)
{
    int64_t t = 0;
    if (evs__time_parse(text, strlen(text), &t))
        fail_msg("%s is no time", text);
    return t;
}

/* false: the system has no such zone */
static bool window_of(const evs_window_options *o, int64_t t, int64_t *ret_start, int64_t *ret_end)
{
    evs_context *ctx = NULL;
    evs_schema *schema = NULL;
    evs_window *w = NULL;
    evs_batch *batch = NULL;
    evs_status status;

    assert_int_equal(evs_context_new(NULL, &ctx, NULL), EVS_OK);
    assert_int_equal(evs_schema_columns(ctx, "a INT", &schema, NULL), EVS_OK);
    status = evs_window_new(ctx, schema, NULL, "count(*)", o, &w, NULL);
    if (!status) {
        evs_row row;
        evs_appender *a = evs_window_appender(w);
        evs_append_time(a, t);
        evs_append_int(a, 1);
        assert_int_equal(evs_append_end_row(a, NULL), EVS_OK);
        assert_int_equal(evs_window_advance(w, INT64_MAX, NULL), EVS_OK);
        assert_int_equal(evs_window_take(w, &batch, NULL), EVS_OK);
        row = evs_batch_row(batch, 0);
        assert_int_equal(evs_row_int(&row, 0, ret_start), EVS_OK);
        assert_int_equal(evs_row_int(&row, 1, ret_end), EVS_OK);
        evs_batch_unref(batch);
    }
    evs_window_unref(w);
    evs_schema_unref(schema);
    evs_context_unref(ctx);
    return !status;
}

static void test_windows_of_the_calendar(void **state)
{
    static const struct {
        int32_t unit;
        const char *zone;
        int64_t offset_hours;
        const char *time, *start, *end;
    } cases[] = {
        {EVS_CALENDAR_DAY, NULL, 0, "2024-02-29T23:59:59Z", "2024-02-29", "2024-03-01"},
        {EVS_CALENDAR_DAY, "", 6, "2024-02-29T05:59:59Z", "2024-02-28T06:00Z", "2024-02-29T06:00Z"},
        {EVS_CALENDAR_WEEK, NULL, 0, "1970-01-01T00:00:00Z", "1969-12-29", "1970-01-05"},
        {EVS_CALENDAR_WEEK, NULL, -24, "1970-01-04T00:00:00Z", "1970-01-04", "1970-01-11"},
        {EVS_CALENDAR_MONTH, NULL, 0, "1969-12-31T23:00:00Z", "1969-12-01", "1970-01-01"},
        {EVS_CALENDAR_MONTH, NULL, 0, "2023-02-28T23:00:00Z", "2023-02-01", "2023-03-01"},
        {EVS_CALENDAR_QUARTER, NULL, 0, "1969-12-31T23:00:00Z", "1969-10-01", "1970-01-01"},
        {EVS_CALENDAR_QUARTER, NULL, 0, "2024-05-01T00:00:00Z", "2024-04-01", "2024-07-01"},
        {EVS_CALENDAR_YEAR, NULL, 0, "1969-12-31T23:00:00Z", "1969-01-01", "1970-01-01"},
        /* 23 and 25 hours */
        {EVS_CALENDAR_DAY, "Europe/Berlin", 0, "2024-03-31T12:00:00Z", "2024-03-30T23:00Z",
         "2024-03-31T22:00Z"},
        {EVS_CALENDAR_DAY, "Europe/Berlin", 0, "2024-10-27T12:00:00Z", "2024-10-26T22:00Z",
         "2024-10-27T23:00Z"},
        {EVS_CALENDAR_MONTH, "Europe/Berlin", 0, "2024-03-31T22:00:00Z", "2024-03-31T22:00Z",
         "2024-04-30T22:00Z"},
        /* a begin at 02:30 that clocks leap over */
        {EVS_CALENDAR_DAY, "Europe/Berlin", 2, "2024-03-31T01:00:00Z", "2024-03-31T01:00Z",
         "2024-04-01T00:00Z"},
        /* midnight is left out; midnight comes twice, and the repeated hour is of the new day */
        {EVS_CALENDAR_DAY, "America/Sao_Paulo", 0, "2018-11-04T03:00:00Z", "2018-11-04T03:00Z",
         "2018-11-05T02:00Z"},
        {EVS_CALENDAR_DAY, "America/Sao_Paulo", 0, "2018-02-18T02:30:00Z", "2018-02-17T02:00Z",
         "2018-02-18T03:00Z"},
        {EVS_CALENDAR_DAY, "America/Havana", 0, "2024-11-03T04:30:00Z", "2024-11-03T04:00Z",
         "2024-11-04T05:00Z"},
        /* without December 30th */
        {EVS_CALENDAR_DAY, "Pacific/Apia", 0, "2011-12-30T09:59:59Z", "2011-12-29T10:00Z",
         "2011-12-30T10:00Z"},
        {EVS_CALENDAR_DAY, "Pacific/Apia", 0, "2011-12-30T10:00:00Z", "2011-12-30T10:00Z",
         "2011-12-31T10:00Z"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        evs_window_options o = calendar(cases[i].unit, cases[i].zone);
        int64_t start = 0, end = 0;
        o.offset_ms = cases[i].offset_hours * 3600000;
        assert_true(window_of(&o, ms(cases[i].time), &start, &end));
        if (start != ms(cases[i].start) || end != ms(cases[i].end))
            fail_msg("%s of %s: got %lld to %lld, wanted %lld to %lld", cases[i].time,
                     cases[i].zone ? cases[i].zone : "UTC", (long long)start, (long long)end,
                     (long long)ms(cases[i].start), (long long)ms(cases[i].end));
    }
}

static void test_the_ends_of_time_are_in_a_window(void **state)
{
    static const int64_t times[] = {INT64_MIN + 1, INT64_MIN / 2, INT64_MAX - 1, INT64_MAX};
    (void)state;

    for (int32_t unit = EVS_CALENDAR_DAY; unit <= EVS_CALENDAR_YEAR; unit++) {
        for (size_t i = 0; i < 8; i++) {
            evs_window_options o = calendar(unit, i % 2 ? "Europe/Berlin" : NULL);
            int64_t start = 1, end = 0, t = times[i / 2];
            o.offset_ms = unit % 2 ? EVS__CALENDAR_OFFSET_MAX : -EVS__CALENDAR_OFFSET_MAX;
            assert_true(window_of(&o, t, &start, &end));
            assert_true(start <= t && (t < end || end == INT64_MAX));
        }
    }
}

static void test_late_rows_and_final_results_follow_the_days(void **state)
{
    evs_window_options o = calendar(EVS_CALENDAR_DAY, "Europe/Berlin");
    const void *data = NULL;
    size_t len = 0;
    evs_window *again = NULL;
    evs_error *err = NULL;
    int64_t start = ms("2024-03-30T23:00Z"), end = ms("2024-03-31T22:00Z");
    char want[200], zone[] = "Europe/Berlin";
    kit k;
    (void)state;

    o.zone = zone;
    kit_open(&k, "a VARCHAR", "a", "count(*)", &o);
    memset(zone, 'x', sizeof(zone) - 1); /* it was copied */
    kit_row(&k, start, "x");
    kit_row(&k, end - 1, "x");
    kit_row(&k, end, "y");
    kit_advance(&k, end - 1);
    assert_string_equal(kit_results(&k), "");
    /* a snapshot goes into a window of the same zone only */
    assert_int_equal(evs_window_snapshot(k.window, &data, &len, NULL), EVS_OK);
    o.zone = "Europe/Paris";
    assert_int_equal(evs_window_new(k.ctx, k.schema, "a", "count(*)", &o, &again, NULL), EVS_OK);
    assert_int_equal(evs_window_restore(again, data, len, &err), EVS_ERR_STATE);
    evs_error_unref(err);
    evs_window_unref(again);
    o.zone = "Europe/Berlin";
    assert_int_equal(evs_window_new(k.ctx, k.schema, "a", "count(*)", &o, &again, NULL), EVS_OK);
    assert_int_equal(evs_window_restore(again, data, len, NULL), EVS_OK);
    evs_window_unref(k.window);
    k.window = again;
    kit_advance(&k, end);
    snprintf(want, sizeof(want), "+x %lld %lld 2\n", (long long)start, (long long)end);
    assert_string_equal(kit_results(&k), want);
    kit_row(&k, end - 1, "x");
    assert_string_equal(kit_results(&k), "");
    assert_int_equal(evs_window_counter(k.window, "late"), 1);
    kit_close(&k);
}

static void test_wrong_options_are_named(void **state)
{
    static const struct {
        int32_t kind, unit;
        int64_t size;
        const char *zone;
        evs_status status;
        const char *part;
    } cases[] = {
        {EVS_WINDOW_CALENDAR, 0, 0, NULL, EVS_ERR_INVALID, "calendar of a calendar window is 0"},
        {EVS_WINDOW_CALENDAR, 6, 0, NULL, EVS_ERR_INVALID, "it must be 1 to 5"},
        {EVS_WINDOW_CALENDAR, 1, 1000, NULL, EVS_ERR_INVALID,
         "size_ms is an option of windows of a fixed size"},
        {EVS_WINDOW_TUMBLING, 1, 1000, NULL, EVS_ERR_INVALID,
         "calendar is an option of calendar windows"},
        {EVS_WINDOW_TUMBLING, 0, 1000, "UTC", EVS_ERR_INVALID,
         "zone is an option of calendar windows"},
        {EVS_WINDOW_CALENDAR, 1, 0, "Mars/Olympus", EVS_ERR_NOT_FOUND,
         "time zone \"Mars/Olympus\" is not known"},
        {EVS_WINDOW_CALENDAR, 1, 0, "../UTC", EVS_ERR_INVALID, "\"../UTC\" is no name"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        evs_window_options o = calendar(cases[i].unit, cases[i].zone);
        evs_pipeline *p = NULL;
        evs_window *w = NULL;
        evs_error *err = NULL;
        kit k = {0};
        o.kind = cases[i].kind;
        o.size_ms = cases[i].size;
        assert_int_equal(evs_context_new(NULL, &k.ctx, NULL), EVS_OK);
        assert_int_equal(evs_schema_columns(k.ctx, "a VARCHAR", &k.schema, NULL), EVS_OK);
        assert_int_equal(evs_window_new(k.ctx, k.schema, "a", "count(*)", &o, &w, &err),
                         cases[i].status);
        assert_non_null(strstr(evs_error_message(err), cases[i].part));
        err = evs_error_unref(err);
        /* and by a pipeline's check, with the step */
        assert_int_equal(evs_pipeline_new(k.ctx, "p", &p, NULL), EVS_OK);
        evs_each(evs_window_by(evs_source(p, "memory", EVS_OPTIONS("columns", "a VARCHAR")), "a",
                               &o, "count(*)"),
                 NULL, NULL);
        evs_pipeline_unref(p);
        assert_int_equal(evs_pipeline_new(k.ctx, "p", &p, NULL), EVS_OK);
        evs_sink(evs_window_by(evs_source(p, "memory", EVS_OPTIONS("columns", "a VARCHAR")), "a",
                               &o, "count(*)"),
                 "memory", EVS_OPTIONS("name", "out"));
        assert_int_equal(evs_pipeline_check(p, &err), cases[i].status);
        assert_non_null(strstr(evs_error_message(err), cases[i].part));
        assert_non_null(strstr(evs_error_message(err), "window_1"));
        evs_error_unref(err);
        evs_pipeline_unref(p);
        kit_close(&k);
    }
}

static void test_explain_and_fingerprint_know_unit_and_zone(void **state)
{
    evs_context *ctx = NULL;
    char prints[3][40];
    (void)state;

    assert_int_equal(evs_context_new(NULL, &ctx, NULL), EVS_OK);
    for (int i = 0; i < 3; i++) {
        evs_window_options o =
            calendar(i == 1 ? EVS_CALENDAR_WEEK : EVS_CALENDAR_DAY, i == 2 ? NULL : "Asia/Tokyo");
        evs_pipeline *p = NULL;
        const char *text = NULL;
        assert_int_equal(evs_pipeline_new(ctx, "p", &p, NULL), EVS_OK);
        evs_sink(evs_window_by(evs_source(p, "memory", EVS_OPTIONS("columns", "a VARCHAR")), "a",
                               &o, "count(*)"),
                 "memory", EVS_OPTIONS("name", "out"));
        assert_int_equal(evs_pipeline_check(p, NULL), EVS_OK);
        snprintf(prints[i], sizeof(prints[i]), "%s", evs_pipeline_fingerprint(p));
        assert_int_equal(evs_pipeline_explain(p, &text, NULL), EVS_OK);
        assert_non_null(strstr(text, i == 0   ? "calendar day, zone Asia/Tokyo"
                                     : i == 1 ? "calendar week, zone Asia/Tokyo"
                                              : "calendar day, zone UTC"));
        evs_pipeline_unref(p);
    }
    assert_string_not_equal(prints[0], prints[1]);
    assert_string_not_equal(prints[0], prints[2]);
    evs_context_unref(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows_of_the_calendar),
        cmocka_unit_test(test_the_ends_of_time_are_in_a_window),
        cmocka_unit_test(test_late_rows_and_final_results_follow_the_days),
        cmocka_unit_test(test_wrong_options_are_named),
        cmocka_unit_test(test_explain_and_fingerprint_know_unit_and_zone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
