/*
 * Watermarks: the laws of engine/watermark.h, at their edges.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "engine/watermark.h"
#include "evstream/window.h"

static evs__time_options options(int64_t out_of_orderness)
{
    return (evs__time_options){.out_of_orderness_ms = out_of_orderness,
                               .idle_timeout_ms = EVS_FOREVER,
                               .close_after_ms = EVS_FOREVER,
                               .future_max_ms = EVS_FOREVER,
                               .future_action = EVS__FUTURE_OFF,
                               .rule = EVS_TIME_WATERMARK};
}

static void run(evs__partition_time *p,
                const evs__time_options *o,
                const int64_t *times,
                uint32_t n,
                int64_t *m)
{
    evs__partition_time_run(p, o, times, NULL, n, n, INT64_MAX, m);
}

/* ---- rows ---- */

static void test_run_disorder_is_running_maximum_minus_delay(void **state)
{
    const int64_t times[] = {100, 90, 130, EVS_TIME_NONE, 120, 131};
    const int64_t expected[] = {90, 90, 120, 120, 120, 121};
    evs__time_options o = options(10);
    evs__partition_time p;
    int64_t marks[6];
    (void)state;
    evs__partition_time_init(&p);
    run(&p, &o, times, 6, marks);
    assert_memory_equal(marks, expected, sizeof(marks));
    assert_int_equal(p.watermark, 121);
    assert_int_equal(p.max_time, 131);
}

static void test_run_split_anywhere_gives_same_marks(void **state)
{
    const int64_t times[] = {5, 9, 3, 12, 12, 7, 40};
    evs__time_options o = options(3);
    int64_t whole[7], parts[7];
    evs__partition_time p;
    (void)state;
    evs__partition_time_init(&p);
    run(&p, &o, times, 7, whole);
    for (uint32_t cut = 0; cut <= 7; cut++) {
        evs__partition_time_init(&p);
        run(&p, &o, times, cut, parts);
        run(&p, &o, times + cut, 7 - cut, parts + cut);
        assert_memory_equal(parts, whole, sizeof(whole));
    }
}

static void test_run_unselected_rows_carry_mark_and_do_not_move(void **state)
{
    const int64_t times[] = {10, 500, 20, 600, 700};
    const int64_t expected[] = {10, 10, 20, 20, 20};
    const uint32_t sel[] = {0, 2};
    evs__time_options o = options(0);
    evs__partition_time p;
    int64_t marks[5];
    (void)state;
    evs__partition_time_init(&p);
    evs__partition_time_run(&p, &o, times, sel, 2, 5, INT64_MAX, marks);
    assert_memory_equal(marks, expected, sizeof(marks));
}

static void test_run_extreme_times_saturate(void **state)
{
    const int64_t times[] = {INT64_MIN + 1, INT64_MAX};
    evs__time_options o = options(1000);
    evs__partition_time p;
    int64_t marks[2];
    (void)state;
    evs__partition_time_init(&p);
    run(&p, &o, times, 2, marks);
    assert_int_equal(marks[0], INT64_MIN);
    assert_int_equal(marks[1], INT64_MAX - 1000);
}

static void test_run_delay_forever_never_moves(void **state)
{
    const int64_t times[] = {1, INT64_MAX};
    evs__time_options o = options(EVS_FOREVER);
    evs__partition_time p;
    int64_t marks[2];
    (void)state;
    evs__partition_time_init(&p);
    run(&p, &o, times, 2, marks);
    assert_int_equal(marks[1], EVS_TIME_NONE);
    assert_int_equal(p.max_time, INT64_MAX);
}

static void test_run_rule_stream_has_no_delay(void **state)
{
    const int64_t times[] = {50, 40};
    evs__time_options o = options(10);
    evs__partition_time p;
    int64_t marks[2];
    (void)state;
    o.rule = EVS_TIME_STREAM;
    evs__partition_time_init(&p);
    run(&p, &o, times, 2, marks);
    assert_int_equal(marks[0], 50);
    assert_int_equal(marks[1], 50);
}

/* ---- refused rows ---- */

typedef struct refused {
    uint32_t rows[8];
    const char *stages[8];
    uint32_t count;
} refused;

static void refuse(void *user,
                   const evs_batch *batch,
                   uint32_t row,
                   const char *stage,
                   evs_status status,
                   const char *message)
{
    refused *r = user;
    (void)batch;
    assert_int_equal(status, EVS_ERR_TIME);
    assert_non_null(message);
    r->rows[r->count] = row;
    r->stages[r->count++] = stage;
}

static evs_batch *batch_of(evs_context *ctx, const int64_t *times, uint32_t n)
{
    evs_type *type = NULL;
    evs_batch *b = NULL;
    assert_int_equal(evs_type_parse(ctx, "STRUCT<a INT>", &type, NULL), EVS_OK);
    assert_int_equal(evs__batch_new(ctx, type, EVS_LAYOUT_OWNED, n, &b), EVS_OK);
    assert_int_equal(evs__batch_need_times(b), EVS_OK);
    for (uint32_t i = 0; i < n; i++) {
        evs__column_append_i32(b->columns[0], (int32_t)i);
        b->times[i] = times[i];
    }
    b->rows = b->count = n;
    evs_type_unref(type);
    return b;
}

static void test_observe_future_refused_never_moves_watermark(void **state)
{
    const int64_t times[] = {100, 5000, EVS_TIME_NONE, 90};
    evs__time_options o = options(0);
    evs_context *ctx = NULL;
    refused r = {.count = 0};
    evs__out out = {&r, NULL, refuse, NULL};
    evs__partition_time p;
    evs_batch *b;
    (void)state;
    assert_int_equal(evs_context_new(NULL, &ctx, NULL), EVS_OK);
    b = batch_of(ctx, times, 4);
    o.future_max_ms = 1000;
    o.future_action = EVS__FUTURE_REFUSE;
    evs__partition_time_init(&p);
    assert_int_equal(evs__partition_time_observe(&p, &o, b, 200, &out, NULL), EVS_OK);
    assert_int_equal(p.watermark, 100);
    assert_int_equal(b->count, 2);
    assert_int_equal(b->sel[0], 0);
    assert_int_equal(b->sel[1], 3);
    assert_int_equal(r.count, 2);
    assert_int_equal(r.rows[0], 1);
    assert_string_equal(r.stages[0], "future");
    assert_string_equal(r.stages[1], "event_time");
    evs_batch_unref(b);
    evs_context_unref(ctx);
}

static void test_observe_optional_time_rows_without_go_on(void **state)
{
    const int64_t times[] = {EVS_TIME_NONE, 100, EVS_TIME_NONE};
    evs__time_options o = options(0);
    evs_context *ctx = NULL;
    refused r = {.count = 0};
    evs__out out = {&r, NULL, refuse, NULL};
    evs__partition_time p;
    evs_batch *b;
    (void)state;
    assert_int_equal(evs_context_new(NULL, &ctx, NULL), EVS_OK);
    o.time_optional = true;
    evs__partition_time_init(&p);
    b = batch_of(ctx, times, 1);
    assert_int_equal(evs__partition_time_observe(&p, &o, b, 200, &out, NULL), EVS_OK);
    assert_int_equal(b->count, 1);
    assert_int_equal(b->row_watermark[0], EVS_TIME_NONE);
    evs_batch_unref(b);
    b = batch_of(ctx, times, 3);
    assert_int_equal(evs__partition_time_observe(&p, &o, b, 200, &out, NULL), EVS_OK);
    assert_int_equal(b->count, 3);
    assert_int_equal(b->row_watermark[2], 100);
    assert_int_equal(p.watermark, 100);
    evs_batch_unref(b);
    b = batch_of(ctx, times, 3);
    evs__free(ctx, b->times); /* a batch without times at all, from a file */
    b->times = NULL;
    o.future_max_ms = 1000;
    o.future_action = EVS__FUTURE_CLAMP;
    assert_int_equal(evs__partition_time_observe(&p, &o, b, 200, &out, NULL), EVS_OK);
    assert_int_equal(b->count, 3);
    assert_int_equal(b->row_watermark[2], 100);
    assert_int_equal(r.count, 0);
    evs_batch_unref(b);
    evs_context_unref(ctx);
}

static void test_observe_future_at_the_limit_is_taken(void **state)
{
    const int64_t times[] = {1200};
    evs__time_options o = options(0);
    evs_context *ctx = NULL;
    evs__partition_time p;
    evs_batch *b;
    (void)state;
    assert_int_equal(evs_context_new(NULL, &ctx, NULL), EVS_OK);
    b = batch_of(ctx, times, 1);
    o.future_max_ms = 1000;
    o.future_action = EVS__FUTURE_REFUSE;
    evs__partition_time_init(&p);
    assert_int_equal(evs__partition_time_observe(&p, &o, b, 200, NULL, NULL), EVS_OK);
    assert_int_equal(b->count, 1);
    assert_int_equal(p.watermark, 1200);
    evs_batch_unref(b);
    evs_context_unref(ctx);
}

static void test_observe_future_clamped_never_moves_watermark(void **state)
{
    const int64_t times[] = {100, 5000};
    evs__time_options o = options(0);
    evs_context *ctx = NULL;
    evs__partition_time p;
    evs_batch *b;
    (void)state;
    assert_int_equal(evs_context_new(NULL, &ctx, NULL), EVS_OK);
    b = batch_of(ctx, times, 2);
    o.future_max_ms = 1000;
    o.future_action = EVS__FUTURE_CLAMP;
    evs__partition_time_init(&p);
    assert_int_equal(evs__partition_time_observe(&p, &o, b, 200, NULL, NULL), EVS_OK);
    assert_int_equal(b->count, 2);
    assert_int_equal(b->times[1], 1200);
    assert_int_equal(p.watermark, 100);
    assert_int_equal(b->row_watermark[1], 100);
    evs_batch_unref(b);
    evs_context_unref(ctx);
}

/* ---- the clock ---- */

static void seen(evs__partition_time *p, const evs__time_options *o, int64_t time)
{
    int64_t mark;
    run(p, o, &time, 1, &mark);
}

static void test_tick_idle_after_timeout_only_at_end(void **state)
{
    evs__time_options o = options(0);
    evs__partition_time p;
    (void)state;
    o.idle_timeout_ms = 100;
    evs__partition_time_init(&p);
    assert_false(evs__partition_time_tick(&p, &o, false, 1000));
    assert_int_equal(evs__partition_time_next_ms(&p, &o), INT64_MAX);
    assert_false(evs__partition_time_tick(&p, &o, true, 5000));
    assert_int_equal(evs__partition_time_next_ms(&p, &o), 5100);
    assert_false(evs__partition_time_tick(&p, &o, true, 5099));
    assert_true(evs__partition_time_tick(&p, &o, true, 5100));
    assert_true(p.idle);
    assert_false(evs__partition_time_tick(&p, &o, true, 9000));
}

static void test_tick_outage_ends_idleness_and_restarts_the_clock(void **state)
{
    evs__time_options o = options(0);
    evs__partition_time p;
    (void)state;
    o.idle_timeout_ms = 100;
    evs__partition_time_init(&p);
    evs__partition_time_tick(&p, &o, true, 0);
    assert_true(evs__partition_time_tick(&p, &o, true, 100));
    assert_true(evs__partition_time_tick(&p, &o, false, 150));
    assert_false(p.idle);
    assert_false(evs__partition_time_tick(&p, &o, true, 100000));
    assert_false(evs__partition_time_tick(&p, &o, true, 100099));
    assert_true(evs__partition_time_tick(&p, &o, true, 100100));
}

static void test_observe_rows_end_idleness(void **state)
{
    const int64_t times[] = {7};
    evs__time_options o = options(0);
    evs_context *ctx = NULL;
    evs__partition_time p;
    evs_batch *b;
    (void)state;
    assert_int_equal(evs_context_new(NULL, &ctx, NULL), EVS_OK);
    b = batch_of(ctx, times, 1);
    o.idle_timeout_ms = 10;
    evs__partition_time_init(&p);
    evs__partition_time_tick(&p, &o, true, 0);
    evs__partition_time_tick(&p, &o, true, 10);
    assert_true(p.idle);
    assert_int_equal(evs__partition_time_observe(&p, &o, b, 11, NULL, NULL), EVS_OK);
    assert_false(p.idle);
    assert_int_equal(p.quiet_since_ms, EVS_TIME_NONE);
    evs_batch_unref(b);
    evs_context_unref(ctx);
}

static void test_tick_close_after_moves_by_elapsed_time_never_to_now(void **state)
{
    evs__time_options o = options(0);
    evs__partition_time p;
    (void)state;
    o.close_after_ms = 1000;
    evs__partition_time_init(&p);
    seen(&p, &o, 50);
    assert_false(evs__partition_time_tick(&p, &o, true, 1000000));
    assert_int_equal(evs__partition_time_next_ms(&p, &o), 1001000);
    assert_false(evs__partition_time_tick(&p, &o, true, 1000999));
    assert_int_equal(p.watermark, 50);
    assert_true(evs__partition_time_tick(&p, &o, true, 1001000));
    assert_int_equal(p.watermark, 1050);
    assert_true(evs__partition_time_tick(&p, &o, true, 1001007));
    assert_int_equal(p.watermark, 1057);
    assert_int_equal(evs__partition_time_next_ms(&p, &o), 1001107);
}

static void test_tick_close_after_outage_does_not_count(void **state)
{
    evs__time_options o = options(0);
    evs__partition_time p;
    (void)state;
    o.close_after_ms = 1000;
    evs__partition_time_init(&p);
    seen(&p, &o, 50);
    evs__partition_time_tick(&p, &o, true, 0);
    evs__partition_time_tick(&p, &o, true, 900);
    evs__partition_time_tick(&p, &o, false, 901); /* 30 s without a broker */
    assert_false(evs__partition_time_tick(&p, &o, true, 30901));
    assert_false(evs__partition_time_tick(&p, &o, true, 31900));
    assert_int_equal(p.watermark, 50);
    assert_true(evs__partition_time_tick(&p, &o, true, 31901));
    assert_int_equal(p.watermark, 1050);
}

static void test_tick_close_after_before_first_event_stays(void **state)
{
    evs__time_options o = options(0);
    evs__partition_time p;
    (void)state;
    o.close_after_ms = 10;
    evs__partition_time_init(&p);
    assert_false(evs__partition_time_tick(&p, &o, true, 0));
    assert_false(evs__partition_time_tick(&p, &o, true, 1000));
    assert_int_equal(p.watermark, EVS_TIME_NONE);
    assert_int_equal(evs__partition_time_next_ms(&p, &o), INT64_MAX);
}

static void test_tick_close_after_clock_going_back_is_ignored(void **state)
{
    evs__time_options o = options(0);
    evs__partition_time p;
    (void)state;
    o.close_after_ms = 10;
    evs__partition_time_init(&p);
    seen(&p, &o, 50);
    evs__partition_time_tick(&p, &o, true, 100);
    assert_true(evs__partition_time_tick(&p, &o, true, 120));
    assert_false(evs__partition_time_tick(&p, &o, true, 110));
    assert_int_equal(p.watermark, 70);
    assert_true(evs__partition_time_tick(&p, &o, true, 121));
    assert_int_equal(p.watermark, 71);
}

static void test_tick_close_after_saturates(void **state)
{
    evs__time_options o = options(0);
    evs__partition_time p;
    (void)state;
    o.close_after_ms = 10;
    evs__partition_time_init(&p);
    seen(&p, &o, INT64_MAX - 5);
    evs__partition_time_tick(&p, &o, true, 100);
    assert_true(evs__partition_time_tick(&p, &o, true, 120));
    assert_int_equal(p.watermark, INT64_MAX);
}

static void test_run_after_close_after_never_falls(void **state)
{
    const int64_t times[] = {60, 2000};
    evs__time_options o = options(0);
    evs__partition_time p;
    int64_t marks[2];
    (void)state;
    o.close_after_ms = 1000;
    evs__partition_time_init(&p);
    seen(&p, &o, 50);
    evs__partition_time_tick(&p, &o, true, 0);
    evs__partition_time_tick(&p, &o, true, 1000);
    run(&p, &o, times, 2, marks);
    assert_int_equal(marks[0], 1050);
    assert_int_equal(marks[1], 2000);
}

/* ---- merge ---- */

static evs__merge_time merge_of(evs_context *ctx, uint32_t slots, int32_t rule)
{
    evs__merge_time m;
    assert_int_equal(evs__merge_time_init(&m, ctx, slots, rule), EVS_OK);
    return m;
}

static void test_merge_is_minimum_and_never_falls(void **state)
{
    evs_context *ctx = NULL;
    evs__merge_time m;
    (void)state;
    assert_int_equal(evs_context_new(NULL, &ctx, NULL), EVS_OK);
    m = merge_of(ctx, 3, EVS_TIME_WATERMARK);
    assert_int_equal(evs__merge_time_set(&m, 0, 10, false), EVS_TIME_NONE);
    assert_int_equal(evs__merge_time_set(&m, 1, 20, false), EVS_TIME_NONE);
    assert_int_equal(evs__merge_time_others(&m, 2), 10);
    assert_int_equal(evs__merge_time_others(&m, 0), EVS_TIME_NONE);
    assert_int_equal(evs__merge_time_set(&m, 2, 30, false), 10);
    assert_int_equal(evs__merge_time_set(&m, 0, 5, false), 10); /* goes back: ignored */
    assert_int_equal(evs__merge_time_others(&m, 1), 10);
    assert_int_equal(evs__merge_time_set(&m, 0, 25, false), 20);
    assert_int_equal(evs__merge_time_set(&m, 9, 1000, false), 20); /* no such slot */
    evs__merge_time_free(&m);
    evs_context_unref(ctx);
}

static void test_merge_idle_slots_hold_nobody(void **state)
{
    evs_context *ctx = NULL;
    evs__merge_time m;
    (void)state;
    assert_int_equal(evs_context_new(NULL, &ctx, NULL), EVS_OK);
    m = merge_of(ctx, 2, EVS_TIME_WATERMARK);
    assert_int_equal(evs__merge_time_set(&m, 0, 100, false), EVS_TIME_NONE);
    assert_int_equal(evs__merge_time_set(&m, 1, EVS_TIME_NONE, true), 100);
    assert_int_equal(evs__merge_time_others(&m, 0), INT64_MAX);
    /* back with old events: the task does not go back */
    assert_int_equal(evs__merge_time_set(&m, 1, 40, false), 100);
    assert_int_equal(evs__merge_time_set(&m, 0, 200, false), 100);
    assert_int_equal(evs__merge_time_set(&m, 1, 150, false), 150);
    evs__merge_time_free(&m);
    evs_context_unref(ctx);
}

static void test_merge_all_idle_is_highest_in_any_order(void **state)
{
    evs_context *ctx = NULL;
    (void)state;
    assert_int_equal(evs_context_new(NULL, &ctx, NULL), EVS_OK);
    for (uint32_t first = 0; first < 2; first++) {
        evs__merge_time m = merge_of(ctx, 2, EVS_TIME_WATERMARK);
        evs__merge_time_set(&m, 0, 100, false);
        evs__merge_time_set(&m, 1, 50, false);
        evs__merge_time_set(&m, first, EVS_TIME_NONE, true);
        assert_int_equal(evs__merge_time_set(&m, 1 - first, EVS_TIME_NONE, true), 100);
        evs__merge_time_free(&m);
    }
    evs_context_unref(ctx);
}

static void test_merge_rule_stream_is_maximum(void **state)
{
    evs_context *ctx = NULL;
    evs__merge_time m;
    (void)state;
    assert_int_equal(evs_context_new(NULL, &ctx, NULL), EVS_OK);
    m = merge_of(ctx, 3, EVS_TIME_STREAM);
    assert_int_equal(evs__merge_time_set(&m, 1, 20, false), 20);
    assert_int_equal(evs__merge_time_set(&m, 0, 10, false), 20);
    assert_int_equal(evs__merge_time_others(&m, 2), INT64_MAX);
    assert_int_equal(evs__merge_time_set(&m, 2, INT64_MAX, true), INT64_MAX);
    evs__merge_time_free(&m);
    evs_context_unref(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_disorder_is_running_maximum_minus_delay),
        cmocka_unit_test(test_run_split_anywhere_gives_same_marks),
        cmocka_unit_test(test_run_unselected_rows_carry_mark_and_do_not_move),
        cmocka_unit_test(test_run_extreme_times_saturate),
        cmocka_unit_test(test_run_delay_forever_never_moves),
        cmocka_unit_test(test_run_rule_stream_has_no_delay),
        cmocka_unit_test(test_observe_future_refused_never_moves_watermark),
        cmocka_unit_test(test_observe_optional_time_rows_without_go_on),
        cmocka_unit_test(test_observe_future_at_the_limit_is_taken),
        cmocka_unit_test(test_observe_future_clamped_never_moves_watermark),
        cmocka_unit_test(test_tick_idle_after_timeout_only_at_end),
        cmocka_unit_test(test_tick_outage_ends_idleness_and_restarts_the_clock),
        cmocka_unit_test(test_observe_rows_end_idleness),
        cmocka_unit_test(test_tick_close_after_moves_by_elapsed_time_never_to_now),
        cmocka_unit_test(test_tick_close_after_outage_does_not_count),
        cmocka_unit_test(test_tick_close_after_before_first_event_stays),
        cmocka_unit_test(test_tick_close_after_clock_going_back_is_ignored),
        cmocka_unit_test(test_tick_close_after_saturates),
        cmocka_unit_test(test_run_after_close_after_never_falls),
        cmocka_unit_test(test_merge_is_minimum_and_never_falls),
        cmocka_unit_test(test_merge_idle_slots_hold_nobody),
        cmocka_unit_test(test_merge_all_idle_is_highest_in_any_order),
        cmocka_unit_test(test_merge_rule_stream_is_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
