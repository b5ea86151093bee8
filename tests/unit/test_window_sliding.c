/*
 * Sliding windows: the windows that rows make, the edges, late rows, faults of options. Random
 * streams are in tests/property/test_sliding.c.
 */
#include "window_kit.h"

#define ROWS "k VARCHAR, v BIGINT"
#define SUMS "count(*) AS n, sum(v) AS s"

static evs_window_options sliding(int64_t size_ms, int64_t grace_ms, int32_t emit)
{
    evs_window_options o = kit_options(size_ms, emit);
    o.kind = EVS_WINDOW_SLIDING;
    o.grace_ms = grace_ms;
    o.out_of_orderness_ms = 0;
    return o;
}

static void open_sliding(kit *k, int64_t size_ms, int64_t grace_ms, int32_t emit)
{
    evs_window_options o = sliding(size_ms, grace_ms, emit);
    kit_open(k, ROWS, "k", SUMS, &o);
}

static void test_sliding_both_ends_are_in_the_window(void **state)
{
    kit k;
    (void)state;

    open_sliding(&k, 10, 0, EVS_EMIT_FINAL);
    kit_row(&k, 100, "a,1");
    kit_row(&k, 110, "a,2");
    kit_row(&k, 121, "a,4");
    kit_advance(&k, INT64_MAX);
    assert_string_equal(kit_results(&k), "+a 90 100 1 1\n"
                                         "+a 100 110 2 3\n"
                                         "+a 101 111 1 2\n"
                                         "+a 111 121 1 4\n");
    kit_close(&k);
}

static void test_sliding_window_of_early_rows_begins_at_zero(void **state)
{
    kit k;
    (void)state;

    open_sliding(&k, 10, 0, EVS_EMIT_FINAL);
    kit_row(&k, 3, "a,1");
    kit_row(&k, 0, "a,2");
    kit_row(&k, 10, "a,4");
    kit_advance(&k, INT64_MAX);
    assert_string_equal(kit_results(&k), "+a 0 10 3 7\n"
                                         "+a 1 11 2 5\n"
                                         "+a 4 14 1 4\n");
    kit_close(&k);
    open_sliding(&k, 10, 0, EVS_EMIT_FINAL);
    kit_row(&k, -5, "a,1");
    kit_row(&k, 5, "a,2");
    kit_advance(&k, INT64_MAX);
    assert_string_equal(kit_results(&k), "+a -15 -5 1 1\n"
                                         "+a -4 6 1 2\n"
                                         "+a 0 10 1 2\n");
    kit_close(&k);
}

static void test_sliding_changes_insert_first_then_update(void **state)
{
    kit k;
    (void)state;

    open_sliding(&k, 10, 0, EVS_EMIT_CHANGES);
    kit_row(&k, 100, "a,1");
    assert_string_equal(kit_results(&k), "+a 90 100 1 1\n");
    assert_string_equal(kit_results(&k), "");
    kit_row(&k, 100, "a,2");
    kit_row(&k, 105, "a,4");
    kit_row(&k, 200, "b,8");
    assert_string_equal(kit_results(&k), "~a 90 100 2 3\n"
                                         "+a 95 105 3 7\n"
                                         "+a 101 111 1 4\n"
                                         "+b 190 200 1 8\n");
    kit_close(&k);
}

static void test_sliding_event_time_of_a_result_is_that_of_its_newest_row(void **state)
{
    evs_batch *b = NULL;
    kit k;
    (void)state;

    open_sliding(&k, 10, 0, EVS_EMIT_FINAL);
    kit_row(&k, 100, "a,1");
    kit_row(&k, 104, "a,1");
    kit_advance(&k, INT64_MAX);
    assert_int_equal(evs_window_take(k.window, &b, NULL), EVS_OK);
    assert_int_equal(evs_batch_rows(b), 3);
    for (size_t i = 0; i < 3; i++) {
        static const int64_t times[] = {100, 104, 104}; /* of [90,100] [94,104] [101,111] */
        evs_row row = evs_batch_row(b, i);
        assert_int_equal(evs_row_time(&row), times[i]);
    }
    evs_batch_unref(b);
    kit_close(&k);
}

static void test_sliding_late_row_counts_for_newer_windows_only(void **state)
{
    evs_window_options o = sliding(10, 0, EVS_EMIT_FINAL);
    kit k;
    (void)state;

    open_sliding(&k, 10, 0, EVS_EMIT_FINAL);
    kit_row(&k, 100, "a,1");
    kit_row(&k, 106, "a,2");
    kit_row(&k, 103, "a,4"); /* [93, 103] is over, [96, 106] and [101, 111] are not */
    kit_row(&k, 95, "a,8");  /* no window takes it: it leaves nothing behind */
    kit_advance(&k, INT64_MAX);
    assert_string_equal(kit_results(&k), "+a 90 100 1 1\n"
                                         "+a 96 106 3 7\n"
                                         "+a 101 111 2 6\n"
                                         "+a 104 114 1 2\n");
    assert_string_equal(kit_late(&k), "+a 4 93 103 1 2 3 106\n"
                                      "+a 8 85 95 1 0 11 106\n");
    kit_close(&k);
    o.late = EVS_LATE_ALL_WINDOWS;
    kit_open(&k, ROWS, "k", SUMS, &o);
    kit_row(&k, 100, "a,1");
    kit_row(&k, 106, "a,2");
    kit_row(&k, 103, "a,4");
    kit_row(&k, 80, "a,8");
    kit_results(&k);
    assert_string_equal(kit_late(&k), "+a 8 70 80 1 0 26 106\n");
    kit_close(&k);
}

static void test_sliding_is_open_at_end_plus_grace(void **state)
{
    kit k;
    (void)state;

    open_sliding(&k, 10, 5, EVS_EMIT_FINAL);
    kit_row(&k, 100, "a,1");
    kit_advance(&k, 105);
    assert_string_equal(kit_results(&k), "");
    kit_row(&k, 100, "a,2");
    kit_advance(&k, 106);
    assert_string_equal(kit_results(&k), "+a 90 100 2 3\n");
    assert_string_equal(kit_late(&k), "");
    kit_close(&k);
}

static void test_sliding_ends_of_time_saturate(void **state)
{
    kit k;
    (void)state;

    open_sliding(&k, INT64_MAX, INT64_MAX, EVS_EMIT_FINAL); /* size + grace overflows */
    kit_row(&k, INT64_MIN + 1, "a,1");
    kit_row(&k, 5, "a,2");
    kit_row(&k, INT64_MAX - 1, "a,4");
    kit_results(&k);
    kit_advance(&k, INT64_MAX);
    assert_string_equal(kit_results(&k), "+a -9223372036854775808 -1 1 1\n"
                                         "+a 0 9223372036854775807 2 6\n"
                                         "+a 6 9223372036854775807 1 4\n");
    kit_close(&k);
}

static void test_sliding_sum_that_does_not_fit_is_no_result(void **state)
{
    kit k;
    (void)state;

    open_sliding(&k, 10, 0, EVS_EMIT_FINAL);
    kit_row(&k, 100, "a,9223372036854775807");
    kit_row(&k, 105, "a,1");
    kit_advance(&k, INT64_MAX);
    assert_string_equal(kit_results(&k), "+a 90 100 1 9223372036854775807\n"
                                         "+a 101 111 1 1\n");
    kit_close(&k);
}

static void test_sliding_windows_of_many_rows_share_their_work(void **state)
{
    evs_window_options o = sliding(1000, 0, EVS_EMIT_FINAL);
    evs_batch *b = NULL;
    int64_t windows = 0, n, v;
    kit k;
    (void)state;

    kit_open(&k, ROWS, "k", "count(*) AS n, max(v) AS m, min(v) AS l", &o);
    for (int64_t i = 0; i < 20000; i++) {
        char row[32];
        snprintf(row, sizeof(row), "a,%lld", (long long)(i * 7919 % 10007));
        kit_row(&k, 5000 + i, row);
    }
    kit_advance(&k, INT64_MAX);
    while (evs_window_take(k.window, &b, NULL) == EVS_OK) {
        for (size_t i = 0; i < evs_batch_rows(b); i++, windows++) {
            evs_row row = evs_batch_row(b, i);
            int64_t start, high = INT64_MIN, low = INT64_MAX, count = 0;
            assert_int_equal(evs_row_int(&row, 1, &start), EVS_OK);
            if (windows % 97)
                continue;
            for (int64_t t = start; t <= start + 1000; t++) {
                int64_t value = (t - 5000) * 7919 % 10007;
                if (t < 5000 || t >= 25000)
                    continue;
                count++;
                high = value > high ? value : high;
                low = value < low ? value : low;
            }
            assert_int_equal(evs_row_int(&row, 3, &n), EVS_OK);
            assert_int_equal(n, count);
            assert_int_equal(evs_row_int(&row, 4, &v), EVS_OK);
            assert_int_equal(v, high);
            assert_int_equal(evs_row_int(&row, 5, &v), EVS_OK);
            assert_int_equal(v, low);
        }
        evs_batch_unref(b);
    }
    assert_int_equal(windows, 20000 + 999 + 1000 - 999); /* [t - 1000, t], then [t + 1, ...] */
    assert_int_equal(evs_window_counter(k.window, "open_windows"), 0);
    kit_close(&k);
}

static void test_sliding_state_is_given_back(void **state)
{
    kit k;
    int64_t most = 0;
    (void)state;

    open_sliding(&k, 50, 0, EVS_EMIT_FINAL);
    for (int64_t i = 0; i < 100000; i++) {
        kit_row(&k, i, i % 3 ? "a,1" : "b,1");
        if (i % 1000 == 999)
            kit_results(&k);
        if (i > 50000 && evs_window_counter(k.window, "state_bytes") > most)
            most = evs_window_counter(k.window, "state_bytes");
    }
    assert_true(most < 4 << 20);
    kit_advance(&k, INT64_MAX);
    kit_results(&k);
    assert_int_equal(evs_window_counter(k.window, "open_windows"), 0);
    kit_close(&k);
}

static void test_sliding_bound_of_state_is_told_and_nothing_taken(void **state)
{
    evs_window_options o = sliding(1000000, 0, EVS_EMIT_FINAL);
    evs_error *err = NULL;
    evs_status status = EVS_OK;
    int64_t i, open;
    kit k;
    (void)state;

    o.state_bytes_max = 100000;
    kit_open(&k, ROWS, "k", SUMS, &o);
    for (i = 0; i < 100000 && !status; i++) {
        open = evs_window_counter(k.window, "open_windows");
        kit_row(&k, 2000000 + i, "a,1");
        status = evs_window_snapshot(k.window, &(const void *){NULL}, &(size_t){0}, &err);
    }
    assert_int_equal(status, EVS_ERR_LIMIT);
    assert_int_equal(evs_window_counter(k.window, "open_windows"), open);
    assert_true(evs_window_counter(k.window, "state_bytes") <= 100000);
    evs_error_unref(err);
    kit_close(&k);
}

static void test_sliding_bad_options_are_told(void **state)
{
    static const struct {
        int64_t size, offset, advance, grace;
        const char *origin;
    } bad[] = {
        {0, 0, 0, 0, "size_ms"},     {-1, 0, 0, 0, "size_ms"},   {10, 1, 0, 0, "offset_ms"},
        {10, 0, 5, 0, "advance_ms"}, {10, 0, 0, -1, "grace_ms"},
    };
    kit k;
    (void)state;

    open_sliding(&k, 10, 0, EVS_EMIT_FINAL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        evs_window_options o = sliding(bad[i].size, bad[i].grace, EVS_EMIT_FINAL);
        evs_window *w = NULL;
        evs_error *err = NULL;
        o.offset_ms = bad[i].offset;
        o.advance_ms = bad[i].advance;
        assert_int_equal(evs_window_new(k.ctx, k.schema, "k", SUMS, &o, &w, &err), EVS_ERR_INVALID);
        assert_non_null(strstr(evs_error_message(err), bad[i].origin));
        evs_error_unref(err);
    }
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sliding_both_ends_are_in_the_window),
        cmocka_unit_test(test_sliding_window_of_early_rows_begins_at_zero),
        cmocka_unit_test(test_sliding_changes_insert_first_then_update),
        cmocka_unit_test(test_sliding_event_time_of_a_result_is_that_of_its_newest_row),
        cmocka_unit_test(test_sliding_late_row_counts_for_newer_windows_only),
        cmocka_unit_test(test_sliding_is_open_at_end_plus_grace),
        cmocka_unit_test(test_sliding_ends_of_time_saturate),
        cmocka_unit_test(test_sliding_sum_that_does_not_fit_is_no_result),
        cmocka_unit_test(test_sliding_windows_of_many_rows_share_their_work),
        cmocka_unit_test(test_sliding_state_is_given_back),
        cmocka_unit_test(test_sliding_bound_of_state_is_told_and_nothing_taken),
        cmocka_unit_test(test_sliding_bad_options_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
