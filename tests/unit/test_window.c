/*
 * The window operator: boundaries of windows and lateness, time of several inputs, NULL keys,
 * kinds, bounds, snapshots that are damaged, explain, key hashes.
 */
#include "window_kit.h"

#include "engine/window.h"

static void test_start_is_floor_for_all_times(void **state)
{
    static const struct {
        int64_t size, offset, time, start, end;
    } cases[] = {
        {10, 0, 0, 0, 10},
        {10, 0, 9, 0, 10},
        {10, 0, 10, 10, 20},
        {10, 0, -1, -10, 0},
        {10, 0, -10, -10, 0},
        {10, 0, -11, -20, -10},
        {10, 3, 2, -7, 3},
        {10, 3, 3, 3, 13},
        {10, -3, 6, -3, 7},
        {10, -3, 7, 7, 17},
        {10, 1003, 3, 3, 13},
        {10, INT64_MIN, INT64_MAX, 9223372036854775802, INT64_MAX},
        {10, INT64_MAX, INT64_MIN, INT64_MIN, -9223372036854775803},
        {10, 0, INT64_MIN, INT64_MIN, -9223372036854775800},
        {10, 0, INT64_MAX, 9223372036854775800, INT64_MAX},
        {INT64_MAX, 0, INT64_MAX, INT64_MAX, INT64_MAX},
        {INT64_MAX, 0, INT64_MAX - 1, 0, INT64_MAX},
        {INT64_MAX, 0, -1, -INT64_MAX, 0},
        {INT64_MAX, 0, INT64_MIN, INT64_MIN, -INT64_MAX},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        evs_window_options o = kit_options(cases[i].size, EVS_EMIT_FINAL);
        int64_t start, end;
        o.offset_ms = cases[i].offset;
        evs__window_slice_of(&o, cases[i].time, &start, &end);
        assert_int_equal(start, cases[i].start);
        assert_int_equal(end, cases[i].end);
        assert_true(evs__window_has(start, end, cases[i].time));
    }
}

static void test_window_takes_its_bounds_start_in_end_out(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    kit_open(&k, "a INT", NULL, "count(*)", &o);
    kit_row(&k, 10, "1");
    kit_row(&k, 19, "1");
    kit_row(&k, 20, "1");
    kit_row(&k, 9, "1");
    kit_advance(&k, INT64_MAX);
    assert_string_equal(kit_results(&k), "+0 10 1\n+10 20 2\n+20 30 1\n");
    kit_close(&k);
}

static void test_close_and_late_use_the_same_boundary(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    o.grace_ms = 5;
    kit_open(&k, "a INT", NULL, "count(*)", &o);
    kit_row(&k, 3, "1");
    kit_advance(&k, 14);
    assert_string_equal(kit_results(&k), "");
    kit_row(&k, 4, "1");
    assert_string_equal(kit_late(&k), "");
    kit_advance(&k, 15);
    assert_string_equal(kit_results(&k), "+0 10 2\n");
    kit_row(&k, 9, "7");
    assert_string_equal(kit_late(&k), "+7 0 10 1 0 6 15\n");
    assert_string_equal(kit_results(&k), "");
    assert_int_equal(evs_window_counter(k.window, "late"), 1);
    kit_close(&k);
}

static void test_watermark_includes_the_row_itself(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    o.out_of_orderness_ms = 2;
    kit_open(&k, "a INT", NULL, "count(*)", &o);
    kit_row(&k, 11, "1"); /* watermark 9: [0, 10) is open */
    kit_row(&k, 5, "2");
    kit_row(&k, 12, "3"); /* watermark 10: it is closed */
    kit_row(&k, 5, "4");
    assert_string_equal(kit_late(&k), "+4 0 10 1 0 5 10\n");
    assert_string_equal(kit_results(&k), "+0 10 1\n");
    assert_int_equal(evs_window_watermark(k.window), 10);
    kit_close(&k);
}

static void test_advance_back_is_ignored(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    kit_open(&k, "a INT", NULL, "count(*)", &o);
    assert_int_equal(evs_window_watermark(k.window), EVS_TIME_NONE);
    kit_advance(&k, 30);
    kit_advance(&k, 20);
    assert_int_equal(evs_window_watermark(k.window), 30);
    kit_row(&k, 19, "1");
    assert_string_equal(kit_late(&k), "+1 10 20 1 0 11 30\n");
    kit_close(&k);
}

static void test_grace_forever_closes_at_the_end_of_time_only(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    o.grace_ms = INT64_MAX;
    kit_open(&k, "a INT", NULL, "count(*)", &o);
    kit_row(&k, 3, "1");
    kit_advance(&k, INT64_MAX - 1);
    assert_string_equal(kit_results(&k), "");
    kit_advance(&k, INT64_MAX);
    assert_string_equal(kit_results(&k), "+0 10 1\n");
    kit_close(&k);
}

static void test_final_order_is_end_then_first_sight(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    kit_open(&k, "a VARCHAR", "a", "count(*)", &o);
    kit_row(&k, 25, "z");
    kit_row(&k, 15, "y");
    kit_row(&k, 5, "b");
    kit_row(&k, 15, "a");
    kit_row(&k, 5, "a");
    kit_row(&k, 15, "y");
    kit_advance(&k, 30);
    assert_string_equal(kit_results(&k), "+b 0 10 1\n+a 0 10 1\n+y 10 20 2\n+a 10 20 1\n"
                                         "+z 20 30 1\n");
    kit_close(&k);
}

static void test_result_time_is_end_minus_one(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_FINAL);
    evs_batch *batch = NULL;
    evs_row row;
    kit k;
    (void)state;
    kit_open(&k, "a INT", NULL, "count(*)", &o);
    kit_row(&k, 12, "1");
    kit_advance(&k, 20);
    assert_int_equal(evs_window_take(k.window, &batch, NULL), EVS_OK);
    row = evs_batch_row(batch, 0);
    assert_int_equal(evs_row_time(&row), 19);
    evs_batch_unref(batch);
    kit_close(&k);
}

/* every row of the results: key, window, value, in order of first sight within each window */
static void check_many(evs_window *w, int keys, const int64_t *starts, int windows)
{
    int64_t start, end, key, n;
    int at = 0;
    evs_batch *batch = NULL;

    while (evs_window_take(w, &batch, NULL) == EVS_OK) {
        assert_true(evs_batch_rows(batch) <= EVS_BATCH_ROWS_MAX);
        for (size_t i = 0; i < evs_batch_rows(batch); i++, at++) {
            evs_row row = evs_batch_row(batch, i);
            assert_int_equal(evs_row_int(&row, 0, &key), EVS_OK);
            assert_int_equal(evs_row_int(&row, 1, &start), EVS_OK);
            assert_int_equal(evs_row_int(&row, 2, &end), EVS_OK);
            assert_int_equal(evs_row_int(&row, 3, &n), EVS_OK);
            assert_true(at / keys < windows);
            assert_int_equal(start, starts[at / keys]);
            assert_int_equal(end, start + 10);
            assert_int_equal(evs_row_time(&row), end - 1);
            assert_int_equal(key, (at % keys) * 7919LL % keys);
            assert_int_equal(n, 1);
        }
        evs_batch_unref(batch);
    }
    assert_int_equal(at, keys * windows);
}

static void test_results_of_many_keys_come_in_batches_with_their_windows(void **state)
{
    enum { KEYS = 10007 };
    static const int64_t starts[] = {0, 10, 30};
    (void)state;
    for (int32_t emit = EVS_EMIT_CHANGES; emit <= EVS_EMIT_FINAL; emit++) {
        evs_window_options o = kit_options(10, emit);
        char row[32];
        kit k;
        kit_open(&k, "a INT", "a", "count(*)", &o);
        for (int window = 0; window < 3; window++) {
            for (int i = 0; i < KEYS; i++) {
                snprintf(row, sizeof(row), "%d", (int)(i * 7919LL % KEYS));
                kit_row(&k, starts[window] + i % 10, row);
            }
        }
        if (emit == EVS_EMIT_FINAL)
            kit_advance(&k, 100);
        check_many(k.window, KEYS, starts, 3);
        kit_close(&k);
    }
}

static void test_changes_insert_then_update_only_what_changed(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_CHANGES);
    kit k;
    (void)state;
    kit_open(&k, "a VARCHAR, v INT", "a", "sum(v) AS s", &o);
    kit_row(&k, 1, "x,1");
    kit_row(&k, 2, "y,1");
    kit_row(&k, 11, "x,5");
    assert_string_equal(kit_results(&k), "+x 0 10 1\n+y 0 10 1\n+x 10 20 5\n");
    assert_string_equal(kit_results(&k), "");
    kit_row(&k, 3, "y,2");
    kit_row(&k, 4, "z,9");
    assert_string_equal(kit_results(&k), "~y 0 10 3\n+z 0 10 9\n");
    kit_row(&k, 5, "x,1");
    kit_row(&k, 12, "x,1");
    kit_advance(&k, 10); /* closes [0, 10): its change is told, nothing twice */
    assert_string_equal(kit_results(&k), "~x 0 10 2\n~x 10 20 6\n");
    kit_advance(&k, 100);
    assert_string_equal(kit_results(&k), "");
    kit_close(&k);
}

/* ---- rows that are not taken ---- */

static void test_null_key_goes_to_the_dead_letters(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    kit_open(&k, "a VARCHAR, b INT", "a, b", "count(*)", &o);
    kit_row(&k, 1, "x,1");
    kit_row(&k, 1, "NULL,1");
    kit_row(&k, 1, "x,NULL");
    kit_row(&k, 1, "x,1");
    kit_advance(&k, 10);
    assert_string_equal(kit_results(&k), "+x 1 0 10 2\n");
    assert_string_equal(k.rejects, "null_key\nnull_key\n");
    assert_int_equal(evs_window_counter(k.window, "rejected"), 2);
    assert_int_equal(evs_window_counter(k.window, "rows"), 4);
    kit_close(&k);
}

static void test_null_key_group_is_a_key_like_another(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    o.null_key = EVS_NULL_KEY_GROUP;
    kit_open(&k, "a VARCHAR", "a", "count(*)", &o);
    kit_row(&k, 1, "");
    kit_row(&k, 1, "NULL");
    kit_row(&k, 1, "NULL");
    kit_advance(&k, 10);
    assert_string_equal(kit_results(&k), "+ 0 10 1\n+NULL 0 10 2\n");
    assert_string_equal(k.rejects, "");
    kit_close(&k);
}

static void test_rows_without_time_and_deletes_are_rejected(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    kit_open(&k, "a VARCHAR", "a", "count(*)", &o);
    kit_row(&k, EVS_TIME_NONE, "x");
    kit_row(&k, 1, "x");
    evs_append_kind(evs_window_appender(k.window), EVS_ROW_DELETE);
    kit_row(&k, 1, "x");
    evs_append_kind(evs_window_appender(k.window), EVS_ROW_UPDATE);
    kit_row(&k, 1, "x");
    kit_advance(&k, 10);
    assert_string_equal(kit_results(&k), "+x 0 10 2\n");
    assert_string_equal(k.rejects, "event_time\nexpression\n");
    kit_close(&k);
}

/* ---- processing time ---- */

static void test_processing_time_rows_belong_to_the_clock(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_FINAL);
    evs_batch *batch = NULL;
    evs_error *err = NULL;
    kit k;
    (void)state;
    o.time = EVS_TIME_PROCESSING;
    kit_open(&k, "a INT", NULL, "count(*)", &o);
    kit_advance(&k, 1005);
    kit_row(&k, 3, "1"); /* its own time does not matter, nor that it has none */
    kit_row(&k, EVS_TIME_NONE, "1");
    kit_advance(&k, 1009);
    kit_row(&k, 99999, "1");
    assert_string_equal(kit_results(&k), "");
    kit_advance(&k, 1010);
    kit_row(&k, 3, "1");
    kit_advance(&k, 1003); /* a clock that goes back stands still */
    kit_row(&k, 3, "1");
    assert_string_equal(kit_results(&k), "+1000 1010 3\n");
    kit_advance(&k, 2000);
    assert_string_equal(kit_results(&k), "+1010 1020 2\n");
    assert_string_equal(kit_late(&k), "");
    assert_int_equal(evs_window_take(k.window, &batch, &err), EVS_END);
    kit_close(&k);
}

/* ---- several inputs: the operator itself ---- */

typedef struct slots_rig {
    kit k;
    evs__operator *op;
    char text[4096];
    int emits, fail_after;
} slots_rig;

static evs_status rig_emit(void *user, int port, evs_batch *batch, evs_error **reterr)
{
    slots_rig *r = user;
    if (r->fail_after >= 0 && r->emits >= r->fail_after)
        return evs__nomem(reterr);
    r->emits++;
    strcat(r->text, port == EVS__PORT_LATE ? "late:" : "");
    kit_print(r->text, sizeof(r->text), batch);
    return EVS_OK;
}

static void open_slots(slots_rig *r, const evs_window_options *o, uint32_t slots, int32_t rule)
{
    evs_error *err = NULL;
    memset(r, 0, sizeof(*r));
    r->fail_after = -1;
    kit_open(&r->k, "a VARCHAR", "a", "count(*)", o);
    if (evs__window_op_new(r->k.ctx, evs_schema_type(r->k.schema), "a", "count(*)", o, slots, rule,
                           &r->op, &err))
        kit_fail("evs__window_op_new", EVS_ERR_INTERNAL, err);
}

static void close_slots(slots_rig *r)
{
    evs__operator_free(r->op);
    kit_close(&r->k);
}

/* rows "x" at these times, of a slot whose watermark is the highest of them */
static evs_status feed(slots_rig *r, uint32_t slot, const int64_t *times, uint32_t n)
{
    evs__time_options o = {.idle_timeout_ms = EVS_FOREVER,
                           .close_after_ms = EVS_FOREVER,
                           .future_max_ms = EVS_FOREVER,
                           .rule = EVS_TIME_WATERMARK};
    const evs_type *type = evs_schema_type(r->k.schema);
    evs__out out = {r, rig_emit, NULL, NULL};
    evs__partition_time time;
    evs_appender *a = NULL;
    evs_batch *b = NULL;
    evs_status status;

    assert_int_equal(evs_appender_new(r->k.ctx, type, &a, NULL), EVS_OK);
    for (uint32_t i = 0; i < n; i++)
        kit_append(a, type, times[i], "x");
    assert_int_equal(evs_appender_take(a, &b, NULL), EVS_OK);
    evs__partition_time_init(&time);
    assert_int_equal(evs__partition_time_observe(&time, &o, b, 0, NULL, NULL), EVS_OK);
    b->slot = slot;
    status = r->op->fn->process(r->op, b, 0, &out, NULL);
    evs_batch_unref(b);
    evs_appender_unref(a);
    return status;
}

static void test_slots_slowest_holds_time_idle_does_not(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_FINAL);
    const int64_t fast[] = {5, 25}, slow[] = {3, 12};
    slots_rig r;
    evs__out out = {&r, rig_emit, NULL, NULL};
    (void)state;
    open_slots(&r, &o, 2, EVS_TIME_WATERMARK);
    assert_int_equal(feed(&r, 0, fast, 2), EVS_OK);
    assert_int_equal(r.op->fn->watermark(r.op), EVS_TIME_NONE);
    assert_string_equal(r.text, "");
    assert_int_equal(feed(&r, 1, slow, 2), EVS_OK); /* 12: closes [0, 10) */
    assert_string_equal(r.text, "+x 0 10 2\n");
    assert_int_equal(r.op->fn->watermark(r.op), 12);
    assert_int_equal(r.op->fn->advance(r.op, 1, EVS_TIME_NONE, true, 0, &out, NULL), EVS_OK);
    assert_string_equal(r.text, "+x 0 10 2\n+x 10 20 1\n");
    assert_int_equal(r.op->fn->watermark(r.op), 25);
    assert_int_equal(feed(&r, 1, slow, 2), EVS_OK); /* back, behind the task */
    assert_int_equal(r.op->fn->counter(r.op, "late"), 2);
    close_slots(&r);
}

static void test_slots_rule_stream_fastest_moves_time(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_FINAL);
    const int64_t fast[] = {5, 25}, slow[] = {3, 22};
    slots_rig r;
    (void)state;
    open_slots(&r, &o, 2, EVS_TIME_STREAM);
    assert_int_equal(feed(&r, 0, fast, 2), EVS_OK);
    assert_string_equal(r.text, "+x 0 10 1\n");
    assert_int_equal(feed(&r, 1, slow, 2), EVS_OK);
    assert_int_equal(r.op->fn->counter(r.op, "late"), 1);
    close_slots(&r);
}

static void test_emit_without_room_downstream_keeps_results(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_FINAL);
    const int64_t first[] = {5, 25, 6}, second[] = {45};
    slots_rig r;
    evs__out out = {&r, rig_emit, NULL, NULL};
    (void)state;
    open_slots(&r, &o, 1, EVS_TIME_WATERMARK);
    r.fail_after = 0;
    assert_int_equal(feed(&r, 0, first, 3), EVS_OK); /* taken; the result waits */
    assert_string_equal(r.text, "");
    assert_int_equal(r.op->fn->watermark(r.op), 9);          /* not beyond what waits */
    assert_int_equal(feed(&r, 0, second, 1), EVS_ERR_NOMEM); /* nothing taken */
    assert_int_equal(r.op->fn->counter(r.op, "rows"), 3);
    assert_int_equal(r.op->fn->flush(r.op, 0, &out, NULL), EVS_ERR_NOMEM);
    r.fail_after = 1;
    assert_int_equal(r.op->fn->flush(r.op, 0, &out, NULL), EVS_ERR_NOMEM);
    assert_string_equal(r.text, "late:+x 0 10 1 0 19 25\n");
    r.fail_after = -1;
    assert_int_equal(feed(&r, 0, second, 1), EVS_OK);
    assert_string_equal(r.text, "late:+x 0 10 1 0 19 25\n+x 0 10 1\n+x 20 30 1\n");
    assert_int_equal(r.op->fn->watermark(r.op), 45);
    close_slots(&r);
}

static void test_reset_is_as_new(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_CHANGES);
    const int64_t times[] = {5, 25, 3};
    slots_rig r;
    evs__out out = {&r, rig_emit, NULL, NULL};
    (void)state;
    open_slots(&r, &o, 1, EVS_TIME_WATERMARK);
    r.fail_after = 0;
    assert_int_equal(feed(&r, 0, times, 3), EVS_OK);
    r.op->fn->reset(r.op);
    assert_int_equal(r.op->fn->counter(r.op, "state_bytes"), 0);
    assert_int_equal(r.op->fn->counter(r.op, "open_windows"), 0);
    assert_int_equal(r.op->fn->watermark(r.op), EVS_TIME_NONE);
    r.fail_after = -1;
    assert_int_equal(feed(&r, 0, times, 2), EVS_OK);
    assert_int_equal(r.op->fn->flush(r.op, 0, &out, NULL), EVS_OK);
    assert_string_equal(r.text, "+x 0 10 1\n+x 20 30 1\n");
    close_slots(&r);
}

static void test_explain_tells_who_holds_and_what_is_missing(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_FINAL);
    const int64_t fast[] = {12}, slow[] = {4};
    evs__buffer text;
    slots_rig r;
    (void)state;
    o.grace_ms = 5;
    open_slots(&r, &o, 3, EVS_TIME_WATERMARK);
    evs__buffer_init(&text, r.k.ctx, 4096);
    assert_int_equal(feed(&r, 0, fast, 1), EVS_OK);
    assert_int_equal(feed(&r, 1, slow, 1), EVS_OK);
    assert_int_equal(r.op->fn->advance(r.op, 2, EVS_TIME_NONE, true, 0, NULL, NULL), EVS_OK);
    assert_int_equal(evs__window_op_explain(r.op, 0, NULL, &text), EVS_OK);
    assert_string_equal(evs__buffer_cstr(&text),
                        "window_start: 1970-01-01T00:00:00.000Z\n"
                        "window_end: 1970-01-01T00:00:00.010Z\n"
                        "watermark: 1970-01-01T00:00:00.004Z\n"
                        "open: 1 keys\n"
                        "closes when the watermark reaches 1970-01-01T00:00:00.015Z (its end and a "
                        "grace of 5ms), 11ms from now\n"
                        "grace left: 5ms of 5ms\n"
                        "held by slot 1 at 1970-01-01T00:00:00.004Z\n"
                        "idle, which hold nobody: 1 of 3\n");
    evs__buffer_reset(&text);
    assert_int_equal(evs__window_op_explain(r.op, -20, NULL, &text), EVS_OK);
    assert_non_null(strstr(evs__buffer_cstr(&text), "closed: rows for it are late\n"));
    evs__buffer_free(&text);
    close_slots(&r);
}

/* ---- bounds ---- */

static void test_state_bound_is_exact_and_the_batch_is_not_taken(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_FINAL);
    evs_status status = EVS_OK;
    evs_error *err = NULL;
    int64_t rows = 0, bytes = 0;
    char text[64];
    kit k;
    (void)state;
    o.state_bytes_max = 200000;
    kit_open(&k, "a VARCHAR", "a", "count(*), count_distinct(a), max(a)", &o);
    for (int i = 0; !status; i++) {
        evs_appender *a = NULL;
        evs_batch *b = NULL;
        assert_int_equal(evs_appender_new(k.ctx, evs_schema_type(k.schema), &a, NULL), EVS_OK);
        for (int j = 0; j < 10; j++) {
            snprintf(text, sizeof(text), "a key of some length %d", i * 10 + j);
            kit_append(a, evs_schema_type(k.schema), i % 40, text);
        }
        assert_int_equal(evs_appender_take(a, &b, NULL), EVS_OK);
        rows = evs_window_counter(k.window, "rows");
        bytes = evs_window_counter(k.window, "state_bytes");
        assert_true(bytes <= o.state_bytes_max);
        status = evs_window_push(k.window, b, &err);
        evs_batch_unref(b);
        evs_appender_unref(a);
    }
    assert_int_equal(status, EVS_ERR_LIMIT);
    assert_non_null(strstr(evs_error_message(err), "200000 bytes (state_bytes_max)"));
    evs_error_unref(err);
    assert_true(rows > 500);
    assert_int_equal(evs_window_counter(k.window, "rows"), rows);
    assert_true(evs_window_counter(k.window, "state_bytes") <= o.state_bytes_max);
    /* making room helps */
    kit_advance(&k, 20);
    assert_true(strlen(kit_results(&k)) > 0);
    assert_true(evs_window_counter(k.window, "state_bytes") < bytes);
    kit_row(&k, 35, "once more");
    kit_advance(&k, 100);
    assert_non_null(strstr(kit_results(&k), "+once more 30 40 1"));
    kit_close(&k);
}

static void test_state_bound_counts_late_rows_until_taken(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_FINAL);
    evs_error *err = NULL;
    evs_status status = EVS_OK;
    kit k;
    (void)state;
    o.state_bytes_max = 20000;
    kit_open(&k, "a VARCHAR", "a", "count(*)", &o);
    kit_advance(&k, 1000);
    for (int i = 0; i < 100 && !status; i++) {
        kit_row(&k, 5, "late as can be");
        status = evs_window_advance(k.window, 1000, &err);
    }
    assert_int_equal(status, EVS_ERR_LIMIT);
    evs_error_unref(err);
    assert_true(strlen(kit_late(&k)) > 100);
    assert_int_equal(evs_window_counter(k.window, "state_bytes"), 0);
    kit_close(&k);
}

static void test_keys_no_window_needs_are_forgotten(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_FINAL);
    char text[64];
    kit k;
    (void)state;
    kit_open(&k, "a VARCHAR", "a", "count(*)", &o);
    for (int window = 0; window < 50; window++) {
        for (int i = 0; i < 1000; i++) {
            snprintf(text, sizeof(text), "a session of its own %d", window * 1000 + i);
            kit_row(&k, window * 10, text);
        }
        kit_advance(&k, window * 10 + 10);
        assert_true(strlen(kit_results(&k)) > 1000);
    }
    assert_true(evs_window_counter(k.window, "keys") <= 4100);
    assert_true(evs_window_counter(k.window, "state_bytes") < 512 << 10);
    kit_close(&k);
}

static void test_many_small_windows_of_many_keys_stay_small(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_FINAL);
    char text[64];
    kit k;
    (void)state;
    kit_open(&k, "a INT", "a", "count(*)", &o);
    for (int i = 0; i < 20000; i++) {
        snprintf(text, sizeof(text), "%d", i);
        kit_row(&k, i * 10L / 20 * 10, text); /* 20 keys of 20,000 in each of 1,000 windows */
    }
    kit_advance(&k, 0);
    assert_true(evs_window_counter(k.window, "open_windows") >= 1000);
    assert_true(evs_window_counter(k.window, "state_bytes") < 12 << 20);
    kit_close(&k);
}

static void test_batch_of_many_rows_equals_rows_one_by_one(void **state)
{
    evs_window_options o = kit_options(100, EVS_EMIT_FINAL);
    enum { ROWS = 100000 };
    static char one[KIT_TEXT * 4], whole[KIT_TEXT * 4];
    (void)state;
    o.out_of_orderness_ms = 20;
    for (int pass = 0; pass < 2; pass++) {
        evs_appender *a = NULL;
        evs_batch *b = NULL;
        char row[32], *text = pass ? whole : one;
        uint64_t random = 5;
        kit k;
        kit_open(&k, "a INT, v INT", "a", "count(*), sum(v)", &o);
        assert_int_equal(evs_appender_new(k.ctx, evs_schema_type(k.schema), &a, NULL), EVS_OK);
        for (int i = 0; i < ROWS; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            snprintf(row, sizeof(row), "%d,%d", (int)(random >> 40) % 7, (int)(random >> 50) % 100);
            kit_append(a, evs_schema_type(k.schema), i / 20 - (int)(random >> 33) % 30, row);
            if (pass && i + 1 < ROWS)
                continue;
            assert_int_equal(evs_appender_take(a, &b, NULL), EVS_OK);
            assert_int_equal(evs_window_push(k.window, b, NULL), EVS_OK);
            evs_batch_unref(b);
        }
        kit_advance(&k, INT64_MAX);
        strcpy(text, kit_results(&k));
        snprintf(text + strlen(text), 64, "late %lld",
                 (long long)evs_window_counter(k.window, "late"));
        evs_appender_unref(a);
        kit_close(&k);
    }
    assert_true(strlen(one) > 5000);
    assert_string_equal(one, whole);
}

/* ---- snapshots ---- */

static void fill(kit *k)
{
    char row[96];
    for (int i = 0; i < 300; i++) {
        snprintf(row, sizeof(row), "%s%d,%d,%d.5", i % 3 ? "k" : "a key with more than fifteen ",
                 i % 50, i, i);
        kit_row(k, i % 17 ? i / 5 : i / 5 - 60, row);
        if (i % 100 == 50)
            kit_advance(k, i / 8);
    }
}

#define SNAPSHOT_COLUMNS "a VARCHAR, v INT, d DOUBLE"
#define SNAPSHOT_AGGREGATES                                                                        \
    "count(*), sum(v), avg(d), min(a), max(a), count_distinct(a), count_distinct(v), max(d)"

static void test_snapshot_restored_continues_the_same(void **state)
{
    (void)state;
    for (int32_t emit = EVS_EMIT_CHANGES; emit <= EVS_EMIT_FINAL; emit++) {
        evs_window_options o = kit_options(10, emit);
        char first[KIT_TEXT], late[KIT_TEXT];
        const void *data = NULL;
        size_t len = 0;
        evs_error *err = NULL;
        kit k, r;
        kit_open(&k, SNAPSHOT_COLUMNS, "a", SNAPSHOT_AGGREGATES, &o);
        kit_open(&r, SNAPSHOT_COLUMNS, "a", SNAPSHOT_AGGREGATES, &o);
        fill(&k);
        assert_int_equal(evs_window_snapshot(k.window, &data, &len, &err), EVS_OK);
        kit_row(&r, 3, "gone,1,1"); /* what was there is replaced, appended rows too */
        if (evs_window_restore(r.window, data, len, &err))
            kit_fail("restore", EVS_ERR_CORRUPT, err);
        assert_int_equal(evs_window_watermark(r.window), evs_window_watermark(k.window));
        for (int pass = 0; pass < 2; pass++) {
            kit *w = pass ? &r : &k;
            kit_row(w, 58, "k1,5,5");
            kit_row(w, 0, "k1,5,5");
            kit_advance(w, 1000);
            kit_results(w);
            if (pass)
                assert_string_equal(w->text, first);
            strcpy(first, w->text);
            kit_late(w);
            if (pass)
                assert_string_equal(w->text, late);
            strcpy(late, w->text);
        }
        assert_true(strlen(first) > 3000 && strlen(late) > 50);
        kit_close(&k);
        kit_close(&r);
    }
}

static void test_restore_damaged_anywhere_is_corrupt_and_changes_nothing(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_CHANGES);
    char before[KIT_TEXT];
    const void *data = NULL;
    size_t len = 0;
    char *copy;
    kit k, r;
    (void)state;
    kit_open(&k, SNAPSHOT_COLUMNS, "a", SNAPSHOT_AGGREGATES, &o);
    kit_open(&r, SNAPSHOT_COLUMNS, "a", SNAPSHOT_AGGREGATES, &o);
    fill(&k);
    kit_row(&r, 3, "kept,1,1");
    assert_int_equal(evs_window_snapshot(k.window, &data, &len, NULL), EVS_OK);
    copy = malloc(len);
    for (size_t i = 0; i < len; i++) {
        evs_error *err = NULL;
        memcpy(copy, data, len);
        copy[i] ^= (char)(1 << i % 8);
        assert_int_equal(evs_window_restore(r.window, copy, len, &err), EVS_ERR_CORRUPT);
        assert_string_equal(evs_error_message(err), "the snapshot is damaged");
        evs_error_unref(err);
        if (i % 7 == 0) {
            memcpy(copy, data, len);
            assert_int_equal(evs_window_restore(r.window, copy, i, NULL), EVS_ERR_CORRUPT);
        }
    }
    free(copy);
    strcpy(before, kit_results(&r));
    assert_string_equal(before, "+kept 0 10 1 1 1.0 kept kept 1 1 1.0\n");
    kit_close(&k);
    kit_close(&r);
}

static void test_restore_of_another_window_is_state(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_CHANGES), other = o;
    const void *data = NULL;
    size_t len = 0;
    evs_error *err = NULL;
    kit k, r;
    (void)state;
    other.size_ms = 20;
    kit_open(&k, "a INT", "a", "count(*)", &o);
    kit_open(&r, "a INT", "a", "count(*)", &other);
    assert_int_equal(evs_window_snapshot(k.window, &data, &len, NULL), EVS_OK);
    assert_int_equal(evs_window_restore(r.window, data, len, &err), EVS_ERR_STATE);
    assert_non_null(strstr(evs_error_message(err), "another window"));
    assert_non_null(strstr(evs_error_message(err), "size=10"));
    assert_non_null(strstr(evs_error_message(err), "size=20"));
    evs_error_unref(err);
    kit_close(&k);
    kit_close(&r);
}

static void test_restore_of_other_slot_count_is_state(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_CHANGES);
    evs_error *err = NULL;
    evs__buffer bytes;
    slots_rig a, b;
    (void)state;
    open_slots(&a, &o, 2, EVS_TIME_WATERMARK);
    open_slots(&b, &o, 3, EVS_TIME_WATERMARK);
    evs__buffer_init(&bytes, a.k.ctx, SIZE_MAX);
    assert_int_equal(a.op->fn->snapshot(a.op, &bytes, NULL), EVS_OK);
    assert_int_equal(b.op->fn->restore(b.op, bytes.data, bytes.len, &err), EVS_ERR_STATE);
    assert_non_null(strstr(evs_error_message(err), "2 inputs, this one has 3"));
    evs_error_unref(err);
    evs__buffer_free(&bytes);
    close_slots(&a);
    close_slots(&b);
}

static void test_restore_beyond_the_bound_is_limit(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_CHANGES), tight = o;
    const void *data = NULL;
    size_t len = 0;
    evs_error *err = NULL;
    kit k, r;
    (void)state;
    tight.state_bytes_max = 5000;
    kit_open(&k, SNAPSHOT_COLUMNS, "a", SNAPSHOT_AGGREGATES, &o);
    kit_open(&r, SNAPSHOT_COLUMNS, "a", SNAPSHOT_AGGREGATES, &tight);
    fill(&k);
    assert_int_equal(evs_window_snapshot(k.window, &data, &len, NULL), EVS_OK);
    assert_int_equal(evs_window_restore(r.window, data, len, &err), EVS_ERR_LIMIT);
    evs_error_unref(err);
    kit_close(&k);
    kit_close(&r);
}

/* ---- types of a window over a window ---- */

static void test_late_type_over_results_of_a_window_has_no_name_twice(void **state)
{
    evs_window_options o = kit_options(10, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    kit_open(&k, "window_start TIMESTAMP, late_window_start INT, watermark INT", NULL, "count(*)",
             &o);
    assert_string_equal(evs_type_print(evs_window_late_type(k.window)),
                        "STRUCT<window_start TIMESTAMP, late_window_start INT, watermark INT, "
                        "late_late_window_start TIMESTAMP NOT NULL, window_end TIMESTAMP NOT NULL, "
                        "windows_refused INT NOT NULL, windows_accepted INT NOT NULL, "
                        "lateness_ms BIGINT NOT NULL, late_watermark TIMESTAMP NOT NULL> NOT NULL");
    kit_close(&k);
}

/* ---- key hashes ---- */

static void test_key_hasher_equal_keys_equal_hashes_for_any_layout(void **state)
{
    evs_context *ctx = NULL;
    evs_type *type = NULL;
    evs_appender *a = NULL;
    evs_batch *b = NULL, *picked = NULL;
    evs__key_hasher *h = NULL, *none = NULL;
    const uint32_t sel[] = {2, 1};
    uint64_t all[3], some[2], zero[3];
    (void)state;
    assert_int_equal(evs_context_new(NULL, &ctx, NULL), EVS_OK);
    assert_int_equal(evs_type_parse(ctx, "STRUCT<a VARCHAR, b INT> NOT NULL", &type, NULL), EVS_OK);
    assert_int_equal(evs_appender_new(ctx, type, &a, NULL), EVS_OK);
    kit_append(a, type, 1, "x,1");
    kit_append(a, type, 1, "x,2");
    kit_append(a, type, 1, "x,1");
    assert_int_equal(evs_appender_take(a, &b, NULL), EVS_OK);
    assert_int_equal(evs__key_hasher_new(ctx, type, "a, b", &h, NULL), EVS_OK);
    assert_int_equal(evs__key_hasher_run(h, b, all, NULL), EVS_OK);
    assert_true(all[0] == all[2] && all[0] != all[1]);
    assert_int_equal(evs__batch_select(b, sel, 2, &picked), EVS_OK);
    assert_int_equal(evs__key_hasher_run(h, picked, some, NULL), EVS_OK);
    assert_true(some[0] == all[2] && some[1] == all[1]);
    assert_int_equal(evs__key_hasher_new(ctx, type, NULL, &none, NULL), EVS_OK);
    assert_int_equal(evs__key_hasher_run(none, b, zero, NULL), EVS_OK);
    assert_true(zero[0] == zero[1]);
    evs__key_hasher_free(h);
    evs__key_hasher_free(none);
    evs_batch_unref(b);
    evs_batch_unref(picked);
    evs_appender_unref(a);
    evs_type_unref(type);
    evs_context_unref(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start_is_floor_for_all_times),
        cmocka_unit_test(test_window_takes_its_bounds_start_in_end_out),
        cmocka_unit_test(test_close_and_late_use_the_same_boundary),
        cmocka_unit_test(test_watermark_includes_the_row_itself),
        cmocka_unit_test(test_advance_back_is_ignored),
        cmocka_unit_test(test_grace_forever_closes_at_the_end_of_time_only),
        cmocka_unit_test(test_final_order_is_end_then_first_sight),
        cmocka_unit_test(test_result_time_is_end_minus_one),
        cmocka_unit_test(test_results_of_many_keys_come_in_batches_with_their_windows),
        cmocka_unit_test(test_changes_insert_then_update_only_what_changed),
        cmocka_unit_test(test_null_key_goes_to_the_dead_letters),
        cmocka_unit_test(test_null_key_group_is_a_key_like_another),
        cmocka_unit_test(test_rows_without_time_and_deletes_are_rejected),
        cmocka_unit_test(test_processing_time_rows_belong_to_the_clock),
        cmocka_unit_test(test_slots_slowest_holds_time_idle_does_not),
        cmocka_unit_test(test_slots_rule_stream_fastest_moves_time),
        cmocka_unit_test(test_emit_without_room_downstream_keeps_results),
        cmocka_unit_test(test_reset_is_as_new),
        cmocka_unit_test(test_explain_tells_who_holds_and_what_is_missing),
        cmocka_unit_test(test_state_bound_is_exact_and_the_batch_is_not_taken),
        cmocka_unit_test(test_state_bound_counts_late_rows_until_taken),
        cmocka_unit_test(test_keys_no_window_needs_are_forgotten),
        cmocka_unit_test(test_many_small_windows_of_many_keys_stay_small),
        cmocka_unit_test(test_batch_of_many_rows_equals_rows_one_by_one),
        cmocka_unit_test(test_snapshot_restored_continues_the_same),
        cmocka_unit_test(test_restore_damaged_anywhere_is_corrupt_and_changes_nothing),
        cmocka_unit_test(test_restore_of_another_window_is_state),
        cmocka_unit_test(test_restore_of_other_slot_count_is_state),
        cmocka_unit_test(test_restore_beyond_the_bound_is_limit),
        cmocka_unit_test(test_late_type_over_results_of_a_window_has_no_name_twice),
        cmocka_unit_test(test_key_hasher_equal_keys_equal_hashes_for_any_layout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
