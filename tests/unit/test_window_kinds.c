/*
 * Kinds of windows by example: what hopping, cumulating and session windows give out, whom they
 * refuse, which options they take. All of it on random streams: tests/property/test_window.c.
 */
#include "window_kit.h"

#include "base/hash.h"
#include "engine/window.h"

static evs_window_options hopping(int64_t size, int64_t advance, int32_t emit)
{
    evs_window_options o = kit_options(size, emit);
    o.kind = EVS_WINDOW_HOPPING;
    o.advance_ms = advance;
    return o;
}

static evs_window_options cumulating(int64_t size, int64_t step, int32_t emit)
{
    evs_window_options o = kit_options(size, emit);
    o.kind = EVS_WINDOW_CUMULATING;
    o.step_ms = step;
    return o;
}

static evs_window_options session(int64_t gap, int32_t emit)
{
    evs_window_options o = kit_options(0, emit);
    o.kind = EVS_WINDOW_SESSION;
    o.gap_ms = gap;
    return o;
}

/* ---- hopping ---- */

static void test_hopping_row_is_in_every_window_of_its_time(void **state)
{
    evs_window_options o = hopping(10, 4, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    kit_open(&k, "v INT", NULL, "count(*), sum(v)", &o);
    kit_row(&k, 9, "1");
    kit_row(&k, 8, "10");
    kit_row(&k, 3, "100");
    kit_advance(&k, 9);
    assert_string_equal(kit_results(&k), "+-4 6 1 100\n");
    kit_advance(&k, 1000);
    assert_string_equal(kit_results(&k), "+0 10 3 111\n+4 14 2 11\n+8 18 2 11\n");
    assert_int_equal(evs_window_counter(k.window, "open_windows"), 0);
    kit_close(&k);
}

static void test_hopping_late_row_counts_the_windows_that_refused_it(void **state)
{
    evs_window_options o = hopping(10, 5, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    kit_open(&k, "v INT", NULL, "count(*)", &o);
    kit_row(&k, 1, "1");
    kit_advance(&k, 10);
    kit_row(&k, 7, "2"); /* [0, 10) is over, [5, 15) takes it */
    kit_row(&k, 2, "3");
    assert_string_equal(kit_late(&k), "+2 0 10 1 1 3 10\n+3 0 10 2 0 8 10\n");
    kit_advance(&k, 100);
    assert_string_equal(kit_results(&k), "+-5 5 1\n+0 10 1\n+5 15 1\n");
    kit_close(&k);
}

static void test_late_all_windows_tells_only_what_nobody_took(void **state)
{
    evs_window_options o = hopping(10, 5, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    o.late = EVS_LATE_ALL_WINDOWS;
    kit_open(&k, "v INT", NULL, "count(*)", &o);
    kit_advance(&k, 10);
    kit_row(&k, 7, "2");
    kit_row(&k, 2, "3");
    assert_string_equal(kit_late(&k), "+3 0 10 2 0 8 10\n");
    kit_advance(&k, 100);
    assert_string_equal(kit_results(&k), "+5 15 1\n");
    kit_close(&k);
}

static void test_hopping_changes_are_told_for_each_window(void **state)
{
    evs_window_options o = hopping(10, 5, EVS_EMIT_CHANGES);
    kit k;
    (void)state;
    kit_open(&k, "a VARCHAR", "a", "count(*)", &o);
    kit_row(&k, 7, "x");
    assert_string_equal(kit_results(&k), "+x 0 10 1\n+x 5 15 1\n");
    kit_row(&k, 12, "x");
    assert_string_equal(kit_results(&k), "~x 5 15 2\n+x 10 20 1\n");
    kit_row(&k, 11, "y");
    kit_advance(&k, 15);
    assert_string_equal(kit_results(&k), "+y 5 15 1\n+y 10 20 1\n");
    kit_advance(&k, 100);
    assert_string_equal(kit_results(&k), "");
    kit_close(&k);
}

static void test_sum_that_fits_each_slice_and_not_the_window_is_no_result(void **state)
{
    evs_window_options o = hopping(10, 5, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    kit_open(&k, "a VARCHAR, v BIGINT", "a", "count(*), sum(v)", &o);
    kit_row(&k, 1, "x,9223372036854775807");
    kit_row(&k, 6, "x,9223372036854775807");
    kit_row(&k, 6, "y,5");
    kit_advance(&k, 100);
    assert_string_equal(kit_results(&k), "+x -5 5 1 9223372036854775807\n+y 0 10 1 5\n"
                                         "+x 5 15 1 9223372036854775807\n+y 5 15 1 5\n");
    kit_close(&k);
}

static void test_hopping_far_times_and_jumps_cost_nothing(void **state)
{
    evs_window_options o = hopping(1000000, 1000, EVS_EMIT_FINAL);
    evs_batch *b = NULL;
    int64_t results = 0;
    kit k;
    (void)state;
    kit_open(&k, "v INT", NULL, "count(*)", &o);
    kit_row(&k, INT64_MIN + 1, "1");
    kit_row(&k, -INT64_C(1000000000000000), "1");
    kit_row(&k, INT64_C(1000000000000000), "1");
    kit_row(&k, INT64_MAX, "1");
    kit_advance(&k, INT64_MAX);
    while (evs_window_take(k.window, &b, NULL) == EVS_OK) {
        results += (int64_t)evs_batch_rows(b);
        evs_batch_unref(b);
    }
    assert_true(results >= 2000 && results <= 4000);
    assert_int_equal(evs_window_counter(k.window, "open_windows"), 0);
    kit_close(&k);
}

/* ---- cumulating ---- */

static void test_cumulating_windows_share_their_start(void **state)
{
    evs_window_options o = cumulating(6, 2, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    kit_open(&k, "v INT", NULL, "sum(v)", &o);
    kit_row(&k, 1, "1");
    kit_row(&k, 3, "10");
    kit_row(&k, 6, "100");
    kit_advance(&k, 100);
    assert_string_equal(kit_results(&k),
                        "+0 2 1\n+0 4 11\n+0 6 11\n+6 8 100\n+6 10 100\n+6 12 100\n");
    kit_close(&k);
}

/* ---- session ---- */

static void test_session_gap_is_inclusive(void **state)
{
    evs_window_options o = session(10, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    kit_open(&k, "a VARCHAR", "a", "count(*)", &o);
    kit_row(&k, 0, "x");
    kit_row(&k, 10, "x");
    kit_row(&k, 21, "x");
    kit_row(&k, 5, "y");
    kit_advance(&k, 20);
    assert_string_equal(kit_results(&k), "+y 5 5 1\n");
    kit_advance(&k, 21);
    assert_string_equal(kit_results(&k), "+x 0 10 2\n");
    kit_advance(&k, 1000);
    assert_string_equal(kit_results(&k), "+x 21 21 1\n");
    kit_close(&k);
}

static void test_session_row_between_two_bridges_them(void **state)
{
    evs_window_options o = session(10, EVS_EMIT_CHANGES);
    kit k;
    (void)state;
    kit_open(&k, "a VARCHAR", "a", "count(*), min(a)", &o);
    kit_row(&k, 20, "x");
    kit_row(&k, 0, "x");
    kit_row(&k, 0, "y");
    assert_string_equal(kit_results(&k), "+x 20 20 1 x\n+x 0 0 1 x\n+y 0 0 1 y\n");
    kit_row(&k, 10, "x");
    kit_row(&k, 0, "y");
    assert_string_equal(kit_results(&k), "-x 0 0 3 x\n-x 20 20 3 x\n+x 0 20 3 x\n~y 0 0 2 y\n");
    kit_advance(&k, 1000);
    assert_string_equal(kit_results(&k), "");
    kit_close(&k);
}

static void test_session_late_is_what_would_be_over(void **state)
{
    evs_window_options o = session(10, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    o.grace_ms = 5;
    kit_open(&k, "a VARCHAR", "a", "count(*)", &o);
    kit_row(&k, 20, "x");
    kit_advance(&k, 35);
    kit_row(&k, 19, "x"); /* joins the session at 20, which is open until 35 */
    kit_row(&k, 19, "y"); /* alone it is over */
    kit_row(&k, 20, "y");
    assert_string_equal(kit_late(&k), "+y 19 19 1 0 16 35\n");
    kit_advance(&k, 36);
    assert_string_equal(kit_results(&k), "+x 19 20 2\n+y 20 20 1\n");
    kit_close(&k);
}

static void test_session_of_many_keys_gives_memory_back(void **state)
{
    evs_window_options o = session(10, EVS_EMIT_FINAL);
    char text[32];
    int64_t used = 0;
    kit k;
    (void)state;
    kit_open(&k, "a VARCHAR", "a", "count(*), min(a), count(DISTINCT a)", &o);
    for (int i = 0; i < 40000; i++) {
        evs_batch *b = NULL;
        snprintf(text, sizeof(text), "a key that is long %d", i % 5000);
        kit_row(&k, i, text);
        if (i % 1000)
            continue;
        kit_advance(&k, i);
        while (evs_window_take(k.window, &b, NULL) == EVS_OK)
            evs_batch_unref(b);
        if (i == 10000)
            used = evs_window_counter(k.window, "state_bytes");
    }
    assert_true(evs_window_counter(k.window, "state_bytes") <= used * 2);
    kit_close(&k);
}

/* ---- when changes are given out ---- */

static void test_emit_every_waits_for_the_next_multiple(void **state)
{
    evs_window_options o = kit_options(100, EVS_EMIT_CHANGES);
    kit k;
    (void)state;
    o.emit_every_ms = 20;
    kit_open(&k, "v INT", NULL, "sum(v)", &o);
    kit_row(&k, 1, "1");
    kit_advance(&k, 5);
    assert_string_equal(kit_results(&k), "");
    kit_row(&k, 6, "1");
    kit_advance(&k, 19);
    assert_string_equal(kit_results(&k), "");
    kit_advance(&k, 20);
    assert_string_equal(kit_results(&k), "+0 100 2\n");
    kit_row(&k, 30, "1");
    kit_advance(&k, 39);
    assert_string_equal(kit_results(&k), "");
    kit_advance(&k, 100); /* a window that closes does not wait */
    assert_string_equal(kit_results(&k), "~0 100 3\n");
    kit_close(&k);
}

static void test_emit_count_waits_for_rows(void **state)
{
    evs_window_options o = hopping(100, 50, EVS_EMIT_CHANGES);
    kit k;
    (void)state;
    o.emit_count = 3;
    kit_open(&k, "v INT", NULL, "sum(v)", &o);
    kit_row(&k, 1, "1");
    kit_row(&k, 1, "1");
    assert_string_equal(kit_results(&k), "");
    kit_row(&k, 1, "1");
    assert_string_equal(kit_results(&k), "+-50 50 3\n+0 100 3\n");
    kit_row(&k, 60, "1");
    assert_string_equal(kit_results(&k), "");
    kit_row(&k, 60, "1");
    kit_row(&k, 60, "1");
    kit_row(&k, 60, "1");
    assert_string_equal(kit_results(&k), "~0 100 7\n+50 150 4\n");
    kit_close(&k);
}

/* ---- options ---- */

static void check_bad(const evs_window_options *o, const char *text)
{
    evs_context *ctx = NULL;
    evs_schema *schema = NULL;
    evs_window *w = NULL;
    evs_error *err = NULL;

    assert_int_equal(evs_context_new(NULL, &ctx, NULL), EVS_OK);
    assert_int_equal(evs_schema_columns(ctx, "a INT", &schema, NULL), EVS_OK);
    assert_int_equal(evs_window_new(ctx, schema, NULL, "count(*)", o, &w, &err), EVS_ERR_INVALID);
    if (!strstr(evs_error_message(err), text))
        fail_msg("\"%s\" does not say \"%s\"", evs_error_message(err), text);
    evs_error_unref(err);
    evs_schema_unref(schema);
    evs_context_unref(ctx);
}

static void test_bad_options_are_told(void **state)
{
    evs_window_options o = hopping(10, 0, EVS_EMIT_FINAL);
    (void)state;
    check_bad(&o, "advance_ms of a hopping window is 0");
    o.advance_ms = 11;
    check_bad(&o, "1 to its size_ms (10)");
    o = hopping(INT64_MAX, 1, EVS_EMIT_FINAL);
    check_bad(&o, "may overlap");
    o = cumulating(10, 3, EVS_EMIT_FINAL);
    check_bad(&o, "must be a multiple of it");
    o = cumulating(10, 0, EVS_EMIT_FINAL);
    check_bad(&o, "step_ms");
    o = session(-1, EVS_EMIT_FINAL);
    check_bad(&o, "gap_ms of a session window is -1");
    o = session(5, EVS_EMIT_FINAL);
    o.size_ms = 5;
    check_bad(&o, "size_ms is an option of");
    o = kit_options(10, EVS_EMIT_FINAL);
    o.emit_count = 1;
    check_bad(&o, "this window gives out final results");
    o.emit_count = 0;
    o.emit_every_ms = -1;
    check_bad(&o, "emit_every_ms of a window is -1");
    o.emit_every_ms = 0;
    o.advance_ms = 5;
    check_bad(&o, "advance_ms of a tumbling window is 5");
    o.advance_ms = 0;
    o.gap_ms = 1;
    check_bad(&o, "gap_ms is an option of session windows");
}

/* ---- snapshots ---- */

static evs_window_options sliding(int64_t size, int32_t emit)
{
    evs_window_options o = kit_options(size, emit);
    o.kind = EVS_WINDOW_SLIDING;
    return o;
}

static void fill(kit *k)
{
    char row[64];
    for (int i = 0; i < 200; i++) {
        snprintf(row, sizeof(row), "k%d,%d", i * 7 % 5, i);
        kit_row(k, i * 3 % 101, row);
        if (i % 50 == 20)
            kit_results(k);
        if (i == 150)
            kit_advance(k, 30);
    }
}

/* bytes that a checksum cannot tell: anything but a crash */
static void test_restore_of_forged_bytes_does_no_harm(void **state)
{
    evs_window_options all[] = {kit_options(20, EVS_EMIT_CHANGES), kit_options(20, EVS_EMIT_FINAL),
                                hopping(20, 7, EVS_EMIT_CHANGES),  hopping(20, 7, EVS_EMIT_FINAL),
                                session(4, EVS_EMIT_CHANGES),      session(4, EVS_EMIT_FINAL),
                                sliding(9, EVS_EMIT_CHANGES),      sliding(9, EVS_EMIT_FINAL)};
    (void)state;
    for (size_t o = 0; o < sizeof(all) / sizeof(all[0]); o++) {
        const void *data = NULL;
        size_t len = 0, good = 0;
        char *copy;
        kit k;
        kit_open(&k, "a VARCHAR, v INT", "a", "count(*), min(a), sum(v)", &all[o]);
        fill(&k);
        assert_int_equal(evs_window_snapshot(k.window, &data, &len, NULL), EVS_OK);
        copy = malloc(len);
        for (size_t i = 16, bit = 0; i + 4 < len; i += ++bit == 3, bit %= 3) {
            uint32_t crc;
            kit r;
            kit_open(&r, "a VARCHAR, v INT", "a", "count(*), min(a), sum(v)", &all[o]);
            memcpy(copy, data, len);
            copy[i] ^= (char)(1 << (bit < 2 ? bit : i % 8));
            crc = evs__crc32c(0, copy, len - 4);
            memcpy(copy + len - 4, &crc, 4);
            if (evs_window_restore(r.window, copy, len, NULL) == EVS_OK) {
                good++;
                kit_row(&r, 90, "k1,1");
                evs_window_advance(r.window, 95, NULL);
                for (evs_batch *b = NULL; evs_window_take(r.window, &b, NULL) == EVS_OK;)
                    evs_batch_unref(b);
                evs_window_advance(r.window, INT64_MAX, NULL);
                for (evs_batch *b = NULL; evs_window_take(r.window, &b, NULL) == EVS_OK;)
                    evs_batch_unref(b);
            }
            kit_close(&r);
        }
        assert_true(good > 0);
        free(copy);
        kit_close(&k);
    }
}

/* ---- edges ---- */

static void test_row_that_is_refused_makes_no_result(void **state)
{
    evs_window_options all[] = {kit_options(10, EVS_EMIT_FINAL), kit_options(10, EVS_EMIT_CHANGES),
                                hopping(10, 5, EVS_EMIT_FINAL), hopping(10, 5, EVS_EMIT_CHANGES)};
    (void)state;
    for (size_t o = 0; o < sizeof(all) / sizeof(all[0]); o++) {
        kit k;
        kit_open(&k, "k VARCHAR, s VARCHAR", "k", "count(*), string_agg(s, '-', 3)", &all[o]);
        kit_row(&k, 7, "a,too long");
        kit_row(&k, 7, "b,x");
        kit_row(&k, 7, "c,too long");
        kit_row(&k, 8, "c,y");
        kit_row(&k, 8, "d,too long");
        kit_advance(&k, 1000);
        assert_string_equal(kit_results(&k), o < 2 ? "+b 0 10 1 x\n+c 0 10 1 y\n"
                                                   : "+b 0 10 1 x\n+c 0 10 1 y\n"
                                                     "+b 5 15 1 x\n+c 5 15 1 y\n");
        assert_string_equal(k.rejects, "expression\nexpression\nexpression\n");
        kit_close(&k);
    }
}

/* a slice that ends at the last time and the one that begins there are two */
static void test_hopping_takes_the_last_times_there_are(void **state)
{
    evs_window_options o = hopping(4, 2, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    o.offset_ms = 1;
    kit_open(&k, "a INT", NULL, "count(*)", &o);
    kit_row(&k, INT64_MAX - 2, "1");
    kit_row(&k, INT64_MAX - 1, "1");
    kit_row(&k, INT64_MAX, "1");
    kit_row(&k, INT64_MAX - 5, "1");
    kit_row(&k, INT64_MAX, "1");
    kit_advance(&k, INT64_MAX);
    assert_string_equal(kit_results(&k), "+9223372036854775799 9223372036854775803 1\n"
                                         "+9223372036854775801 9223372036854775805 1\n"
                                         "+9223372036854775803 9223372036854775807 2\n"
                                         "+9223372036854775805 9223372036854775807 4\n"
                                         "+9223372036854775807 9223372036854775807 2\n");
    assert_string_equal(kit_late(&k), "");
    kit_close(&k);
}

static void test_hopping_row_near_the_first_time_is_not_late(void **state)
{
    evs_window_options o = hopping(3, 1, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    kit_open(&k, "a INT", NULL, "count(*)", &o);
    kit_row(&k, INT64_MIN + 2, "1");
    kit_advance(&k, 0);
    assert_string_equal(kit_late(&k), "");
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hopping_row_is_in_every_window_of_its_time),
        cmocka_unit_test(test_hopping_late_row_counts_the_windows_that_refused_it),
        cmocka_unit_test(test_late_all_windows_tells_only_what_nobody_took),
        cmocka_unit_test(test_hopping_changes_are_told_for_each_window),
        cmocka_unit_test(test_sum_that_fits_each_slice_and_not_the_window_is_no_result),
        cmocka_unit_test(test_hopping_far_times_and_jumps_cost_nothing),
        cmocka_unit_test(test_cumulating_windows_share_their_start),
        cmocka_unit_test(test_session_gap_is_inclusive),
        cmocka_unit_test(test_session_row_between_two_bridges_them),
        cmocka_unit_test(test_session_late_is_what_would_be_over),
        cmocka_unit_test(test_session_of_many_keys_gives_memory_back),
        cmocka_unit_test(test_emit_every_waits_for_the_next_multiple),
        cmocka_unit_test(test_emit_count_waits_for_rows),
        cmocka_unit_test(test_bad_options_are_told),
        cmocka_unit_test(test_restore_of_forged_bytes_does_no_harm),
        cmocka_unit_test(test_row_that_is_refused_makes_no_result),
        cmocka_unit_test(test_hopping_takes_the_last_times_there_are),
        cmocka_unit_test(test_hopping_row_near_the_first_time_is_not_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
