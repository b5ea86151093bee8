/*
 * evs_window from outside: each function with what its comment promises, documented failures first.
 */
#include "evs_test.h"

#include <stdio.h>

typedef struct rig {
    evs_context *ctx;
    evs_schema *schema;
    evs_window *window;
    int rejects;
    char stage[32], message[128];
    int64_t time;
} rig;

static evs_window_options options(void)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    o.size_ms = 10;
    o.emit = EVS_EMIT_FINAL;
    return o;
}

static void open_rig(rig *r, const char *columns, const char *keys, const evs_window_options *o)
{
    evs_error *err = NULL;
    memset(r, 0, sizeof(*r));
    assert_evs_ok(evs_context_new(NULL, &r->ctx, &err), err);
    assert_evs_ok(evs_schema_columns(r->ctx, columns, &r->schema, &err), err);
    assert_evs_ok(evs_window_new(r->ctx, r->schema, keys, "count(*) AS n", o, &r->window, &err),
                  err);
}

static void close_rig(rig *r)
{
    evs_window_unref(r->window);
    evs_schema_unref(r->schema);
    evs_context_unref(r->ctx);
}

static void put(rig *r, int64_t time, const char *page)
{
    evs_appender *a = evs_window_appender(r->window);
    evs_error *err = NULL;
    evs_append_time(a, time);
    if (page)
        evs_append_string(a, page, strlen(page));
    else
        evs_append_null(a);
    assert_evs_ok(evs_append_end_row(a, &err), err);
}

static evs_batch *batch_of(rig *r, const char *columns, int64_t time, const char *page)
{
    evs_schema *schema = NULL;
    evs_appender *a = NULL;
    evs_batch *b = NULL;
    assert_int_equal(evs_schema_columns(r->ctx, columns, &schema, NULL), EVS_OK);
    assert_int_equal(evs_appender_new(r->ctx, evs_schema_type(schema), &a, NULL), EVS_OK);
    evs_append_time(a, time);
    evs_append_string(a, page, strlen(page));
    assert_int_equal(evs_append_end_row(a, NULL), EVS_OK);
    assert_int_equal(evs_appender_take(a, &b, NULL), EVS_OK);
    evs_appender_unref(a);
    evs_schema_unref(schema);
    return b;
}

/* ---- new ---- */

static void test_options_init_equals_the_macro(void **state)
{
    evs_window_options a, b = EVS_WINDOW_OPTIONS_INIT;
    (void)state;
    memset(&a, 0xff, sizeof(a));
    evs_window_options_init(&a);
    assert_memory_equal(&a, &b, sizeof(a));
    evs_window_options_init(NULL);
}

static void test_new_null_arguments_are_invalid(void **state)
{
    evs_window_options o = options();
    evs_window *w = NULL;
    rig r;
    (void)state;
    open_rig(&r, "page VARCHAR", "page", &o);
    assert_int_equal(evs_window_new(NULL, r.schema, "", "count(*)", &o, &w, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_window_new(r.ctx, NULL, "", "count(*)", &o, &w, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_window_new(r.ctx, r.schema, "", NULL, &o, &w, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_window_new(r.ctx, r.schema, "", "count(*)", NULL, &w, NULL),
                     EVS_ERR_INVALID);
    assert_int_equal(evs_window_new(r.ctx, r.schema, "", "count(*)", &o, NULL, NULL),
                     EVS_ERR_INVALID);
    assert_null(w);
    close_rig(&r);
}

static void check_option(rig *r, const evs_window_options *o, const char *name)
{
    evs_window *w = NULL;
    evs_error *err = NULL;
    evs_status status = evs_window_new(r->ctx, r->schema, "page", "count(*)", o, &w, &err);
    assert_evs_error(status, err, EVS_ERR_INVALID, name, name);
    assert_null(w);
}

static void test_new_option_out_of_range_is_named(void **state)
{
    evs_window_options o = options(), bad;
    evs_window *w = NULL;
    rig r;
    (void)state;
    open_rig(&r, "page VARCHAR", "page", &o);
#define BAD(field, value)                                                                          \
    bad = o;                                                                                       \
    bad.field = value;                                                                             \
    check_option(&r, &bad, #field)
    BAD(size_ms, 0);
    BAD(size_ms, -5);
    BAD(grace_ms, -1);
    BAD(out_of_orderness_ms, -1);
    BAD(state_bytes_max, 0);
    BAD(kind, 0);
    BAD(kind, 1000);
    BAD(advance_ms, 3);
    BAD(step_ms, 3);
    BAD(late, 3);
    BAD(calendar, 1);
    BAD(zone, "Europe/Berlin");
    BAD(emit, 0);
    BAD(emit, 3);
    BAD(time, 3);
    BAD(null_key, 0);
#undef BAD
    bad = o;
    bad.struct_size = 3;
    assert_int_equal(evs_window_new(r.ctx, r.schema, "page", "count(*)", &bad, &w, NULL),
                     EVS_ERR_INVALID);
    close_rig(&r);
}

static void test_new_options_of_a_newer_caller_are_taken_when_the_tail_is_zero(void **state)
{
    struct {
        evs_window_options known;
        int64_t tail;
    } newer = {options(), 0};
    evs_window_options o = options();
    evs_window *w = NULL;
    rig r;
    (void)state;
    open_rig(&r, "page VARCHAR", "page", &o);
    newer.known.struct_size = sizeof(newer);
    assert_int_equal(evs_window_new(r.ctx, r.schema, "", "count(*)", &newer.known, &w, NULL),
                     EVS_OK);
    evs_window_unref(w);
    newer.tail = 1;
    w = NULL;
    assert_int_equal(evs_window_new(r.ctx, r.schema, "", "count(*)", &newer.known, &w, NULL),
                     EVS_ERR_INVALID);
    assert_null(w);
    close_rig(&r);
}

static void check_text(rig *r,
                       const char *keys,
                       const char *aggregates,
                       evs_status want,
                       const char *part,
                       const char *at)
{
    evs_window_options o = options();
    evs_window *w = NULL;
    evs_error *err = NULL;
    evs_status status = evs_window_new(r->ctx, r->schema, keys, aggregates, &o, &w, &err);
    assert_evs_error(status, err, want, part, at);
    assert_null(w);
}

static void test_new_bad_texts_say_what_and_where(void **state)
{
    evs_window_options o = options();
    rig r;
    (void)state;
    open_rig(&r, "page VARCHAR, ms INT", "page", &o);
    check_text(&r, "page, pgae", "count(*)", EVS_ERR_EXPRESSION, "pgae", "column 7");
    check_text(&r, "page,", "count(*)", EVS_ERR_EXPRESSION, "window keys: ", NULL);
    check_text(&r, "page", "", EVS_ERR_EXPRESSION, "window aggregates: ", NULL);
    check_text(&r, "page", "avg(mss)", EVS_ERR_EXPRESSION, "mss", "column 5");
    check_text(&r, "page", "avg(page)", EVS_ERR_TYPE, "VARCHAR", "column 1");
    check_text(&r, "page", "page", EVS_ERR_EXPRESSION, "expected an aggregate", "column 1");
    check_text(&r, "page AS n", "count(*) AS n", EVS_ERR_EXPRESSION, "\"n\"", NULL);
    check_text(&r, "page AS window_end", "count(*)", EVS_ERR_EXPRESSION, "\"window_end\"", NULL);
    close_rig(&r);
}

static void test_types_name_keys_by_alias_or_text(void **state)
{
    evs_window_options o = options();
    evs_window *w = NULL;
    evs_error *err = NULL;
    rig r;
    (void)state;
    open_rig(&r, "page VARCHAR, ms INT", "page", &o);
    assert_evs_ok(evs_window_new(r.ctx, r.schema, "page AS p, ms", "count(*), max(ms) AS slowest",
                                 &o, &w, &err),
                  err);
    assert_string_equal(evs_type_print(evs_window_result_type(w)),
                        "STRUCT<p VARCHAR NOT NULL, ms INT NOT NULL, window_start TIMESTAMP NOT "
                        "NULL, window_end TIMESTAMP NOT NULL, \"count(*)\" BIGINT NOT NULL, "
                        "slowest INT> NOT NULL");
    assert_int_equal(evs_type_field_index(evs_window_late_type(w), "lateness_ms", 11), 6);
    assert_null(evs_window_result_type(NULL));
    assert_null(evs_window_late_type(NULL));
    evs_window_unref(w);
    close_rig(&r);
}

static void test_unref_null_is_fine_and_results_outlive_the_window(void **state)
{
    evs_window_options o = options();
    evs_batch *b = NULL;
    evs_error *err = NULL;
    rig r;
    (void)state;
    assert_null(evs_window_unref(NULL));
    open_rig(&r, "page VARCHAR", "page", &o);
    put(&r, 1, "/a");
    assert_evs_ok(evs_window_advance(r.window, 10, &err), err);
    assert_evs_ok(evs_window_take(r.window, &b, &err), err);
    close_rig(&r);
    assert_batch(b, "9@/a|1970-01-01T00:00:00.000Z|1970-01-01T00:00:00.010Z|1");
    evs_batch_unref(b);
}

/* ---- push, advance, take ---- */

static void test_push_null_or_other_type_is_refused(void **state)
{
    evs_window_options o = options();
    evs_error *err = NULL;
    evs_status status;
    evs_batch *b;
    rig r;
    (void)state;
    open_rig(&r, "page VARCHAR", "page", &o);
    b = batch_of(&r, "page VARCHAR NOT NULL", 1, "/a");
    assert_int_equal(evs_window_push(NULL, b, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_window_push(r.window, NULL, NULL), EVS_ERR_INVALID);
    status = evs_window_push(r.window, b, &err);
    assert_evs_error(status, err, EVS_ERR_TYPE, "the window takes", NULL);
    evs_batch_unref(b);
    close_rig(&r);
}

static void test_push_only_reads_the_batch(void **state)
{
    evs_window_options o = options();
    evs_error *err = NULL;
    evs_batch *b, *out = NULL;
    rig r, other;
    (void)state;
    o.out_of_orderness_ms = 0;
    open_rig(&r, "page VARCHAR", "page", &o);
    open_rig(&other, "page VARCHAR", "page", &o);
    b = batch_of(&r, "page VARCHAR", 1, "/a");
    for (int i = 0; i < 2; i++) {
        assert_evs_ok(evs_window_push(r.window, b, &err), err);
        assert_evs_ok(evs_window_push(other.window, b, &err), err);
    }
    assert_evs_ok(evs_window_advance(r.window, 10, &err), err);
    assert_evs_ok(evs_window_take(r.window, &out, &err), err);
    assert_batch(out, "9@/a|1970-01-01T00:00:00.000Z|1970-01-01T00:00:00.010Z|2");
    evs_batch_unref(out);
    assert_batch(b, "1@/a");
    evs_batch_unref(b);
    close_rig(&r);
    close_rig(&other);
}

static void test_push_over_the_bound_is_limit_and_takes_nothing(void **state)
{
    evs_window_options o = options();
    evs_error *err = NULL;
    evs_status status;
    evs_batch *b, *out = NULL;
    rig r;
    (void)state;
    o.state_bytes_max = 100;
    open_rig(&r, "page VARCHAR", "page", &o);
    b = batch_of(&r, "page VARCHAR", 1, "/a");
    status = evs_window_push(r.window, b, &err);
    assert_evs_error(status, err, EVS_ERR_LIMIT, "state_bytes_max", NULL);
    err = NULL;
    assert_int_equal(evs_window_counter(r.window, "rows"), 0);
    assert_int_equal(evs_window_counter(r.window, "open_windows"), 0);
    assert_int_equal(evs_window_advance(r.window, 10, NULL), EVS_OK);
    assert_int_equal(evs_window_take(r.window, &out, NULL), EVS_END);
    evs_batch_unref(b);
    close_rig(&r);
}

static void test_take_null_is_invalid_and_end_leaves_the_pointer(void **state)
{
    evs_window_options o = options();
    evs_batch *b = (evs_batch *)&o;
    rig r;
    (void)state;
    open_rig(&r, "page VARCHAR", "page", &o);
    assert_int_equal(evs_window_take(NULL, &b, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_window_take(r.window, NULL, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_window_take(r.window, &b, NULL), EVS_END);
    assert_int_equal(evs_window_take_late(NULL, &b, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_window_take_late(r.window, NULL, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_window_take_late(r.window, &b, NULL), EVS_END);
    assert_ptr_equal(b, &o);
    close_rig(&r);
}

static void test_take_late_gives_the_row_and_why(void **state)
{
    evs_window_options o = options();
    evs_error *err = NULL;
    evs_batch *b = NULL;
    rig r;
    (void)state;
    open_rig(&r, "page VARCHAR", "page", &o);
    assert_evs_ok(evs_window_advance(r.window, 25, &err), err);
    put(&r, 14, "/a");
    assert_evs_ok(evs_window_take_late(r.window, &b, &err), err);
    assert_batch(b, "14@/a|1970-01-01T00:00:00.010Z|1970-01-01T00:00:00.020Z|1|0|11|"
                    "1970-01-01T00:00:00.025Z");
    evs_batch_unref(b);
    close_rig(&r);
}

static void test_appender_pushes_full_batches_by_itself(void **state)
{
    evs_window_options o = options();
    evs_batch *b = NULL;
    evs_error *err = NULL;
    rig r;
    (void)state;
    open_rig(&r, "page VARCHAR", "page", &o);
    for (int i = 0; i < 5000; i++)
        put(&r, 1, "/a");
    assert_int_equal(evs_window_counter(r.window, "rows"), EVS_BATCH_ROWS_MAX);
    assert_int_equal(evs_appender_take(evs_window_appender(r.window), &b, NULL), EVS_ERR_MISUSE);
    assert_evs_ok(evs_window_advance(r.window, 10, &err), err);
    assert_evs_ok(evs_window_take(r.window, &b, &err), err);
    assert_batch(b, "9@/a|1970-01-01T00:00:00.000Z|1970-01-01T00:00:00.010Z|5000");
    evs_batch_unref(b);
    assert_null(evs_window_appender(NULL));
    close_rig(&r);
}

static void test_processing_time_before_a_clock_is_misuse(void **state)
{
    evs_window_options o = options();
    evs_error *err = NULL;
    evs_status status;
    evs_batch *b;
    rig r;
    (void)state;
    o.time = EVS_TIME_PROCESSING;
    open_rig(&r, "page VARCHAR", "page", &o);
    b = batch_of(&r, "page VARCHAR", 1, "/a");
    status = evs_window_push(r.window, b, &err);
    assert_evs_error(status, err, EVS_ERR_MISUSE, "evs_window_advance", NULL);
    err = NULL;
    assert_evs_ok(evs_window_advance(r.window, 1000, &err), err);
    assert_evs_ok(evs_window_push(r.window, b, &err), err);
    assert_int_equal(evs_window_watermark(r.window), 1000);
    evs_batch_unref(b);
    close_rig(&r);
}

static void test_watermark_none_before_the_first(void **state)
{
    evs_window_options o = options();
    evs_error *err = NULL;
    rig r;
    (void)state;
    open_rig(&r, "page VARCHAR", "page", &o);
    assert_int_equal(evs_window_watermark(NULL), EVS_TIME_NONE);
    assert_int_equal(evs_window_watermark(r.window), EVS_TIME_NONE);
    put(&r, 100, "/a"); /* out_of_orderness is forever: rows do not move it */
    assert_evs_ok(evs_window_advance(r.window, 7, &err), err);
    assert_int_equal(evs_window_watermark(r.window), 7);
    assert_int_equal(evs_window_advance(NULL, 7, NULL), EVS_ERR_INVALID);
    close_rig(&r);
}

/* ---- rejects, counters ---- */

static void
on_reject(const char *stage, evs_status status, const char *message, const evs_row *row, void *user)
{
    rig *r = user;
    assert_int_not_equal(status, EVS_OK);
    r->rejects++;
    r->time = evs_row_time(row);
    snprintf(r->stage, sizeof(r->stage), "%s", stage);
    snprintf(r->message, sizeof(r->message), "%s", message);
}

static void test_on_reject_gets_stage_message_and_row(void **state)
{
    evs_window_options o = options();
    evs_error *err = NULL;
    rig r;
    (void)state;
    open_rig(&r, "page VARCHAR", "page", &o);
    evs_window_on_reject(NULL, on_reject, &r);
    put(&r, 3, NULL); /* nobody listens: only counted */
    assert_evs_ok(evs_window_advance(r.window, 0, &err), err);
    evs_window_on_reject(r.window, on_reject, &r);
    put(&r, 4, NULL);
    assert_evs_ok(evs_window_advance(r.window, 0, &err), err);
    assert_int_equal(r.rejects, 1);
    assert_int_equal(r.time, 4);
    assert_string_equal(r.stage, "null_key");
    assert_string_equal(r.message, "the grouping key is NULL");
    assert_int_equal(evs_window_counter(r.window, "rejected"), 2);
    close_rig(&r);
}

static void test_counters_know_their_names(void **state)
{
    evs_window_options o = options();
    evs_error *err = NULL;
    rig r;
    (void)state;
    open_rig(&r, "page VARCHAR", "page", &o);
    put(&r, 3, "/a");
    put(&r, 14, "/b");
    assert_evs_ok(evs_window_advance(r.window, 0, &err), err);
    assert_int_equal(evs_window_counter(r.window, "rows"), 2);
    assert_int_equal(evs_window_counter(r.window, "late"), 0);
    assert_int_equal(evs_window_counter(r.window, "rejected"), 0);
    assert_int_equal(evs_window_counter(r.window, "open_windows"), 2);
    assert_int_equal(evs_window_counter(r.window, "keys"), 2);
    assert_true(evs_window_counter(r.window, "state_bytes") > 0);
    assert_int_equal(evs_window_counter(r.window, "rowz"), -1);
    assert_int_equal(evs_window_counter(r.window, NULL), -1);
    assert_int_equal(evs_window_counter(NULL, "rows"), -1);
    close_rig(&r);
}

/* ---- snapshots ---- */

static void test_snapshot_holds_results_not_yet_taken(void **state)
{
    evs_window_options o = options();
    evs_error *err = NULL;
    evs_batch *b = NULL;
    const void *data = NULL;
    size_t len = 0;
    rig r, s;
    (void)state;
    open_rig(&r, "page VARCHAR", "page", &o);
    open_rig(&s, "page VARCHAR", "page", &o);
    put(&r, 3, "/a");
    assert_evs_ok(evs_window_advance(r.window, 10, &err), err);
    put(&r, 3, "/late"); /* still in the appender */
    put(&r, 13, "/b");
    assert_evs_ok(evs_window_snapshot(r.window, &data, &len, &err), err);
    assert_evs_ok(evs_window_restore(s.window, data, len, &err), err);
    assert_evs_ok(evs_window_take(s.window, &b, &err), err);
    assert_batch(b, "9@/a|1970-01-01T00:00:00.000Z|1970-01-01T00:00:00.010Z|1");
    evs_batch_unref(b);
    assert_evs_ok(evs_window_take_late(s.window, &b, &err), err);
    assert_int_equal(evs_batch_rows(b), 1);
    evs_batch_unref(b);
    assert_evs_ok(evs_window_advance(s.window, 20, &err), err);
    assert_evs_ok(evs_window_take(s.window, &b, &err), err);
    assert_batch(b, "19@/b|1970-01-01T00:00:00.010Z|1970-01-01T00:00:00.020Z|1");
    evs_batch_unref(b);
    close_rig(&r);
    close_rig(&s);
}

static void test_restore_refuses_rubbish_and_other_windows(void **state)
{
    evs_window_options o = options();
    evs_error *err = NULL;
    evs_status status;
    const void *data = NULL;
    size_t len = 0;
    rig r, s;
    (void)state;
    open_rig(&r, "page VARCHAR", "page", &o);
    o.grace_ms = 1;
    open_rig(&s, "page VARCHAR", "page", &o);
    assert_int_equal(evs_window_snapshot(NULL, &data, &len, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_window_snapshot(r.window, NULL, &len, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_window_snapshot(r.window, &data, NULL, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_window_restore(NULL, "x", 1, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_window_restore(r.window, NULL, 1, NULL), EVS_ERR_INVALID);
    status = evs_window_restore(r.window, NULL, 0, &err);
    assert_evs_error(status, err, EVS_ERR_CORRUPT, "damaged", NULL);
    err = NULL;
    status = evs_window_restore(r.window, "rubbish", 7, &err);
    assert_evs_error(status, err, EVS_ERR_CORRUPT, "damaged", NULL);
    err = NULL;
    assert_evs_ok(evs_window_snapshot(r.window, &data, &len, &err), err);
    status = evs_window_restore(s.window, data, len, &err);
    assert_evs_error(status, err, EVS_ERR_STATE, "another window", NULL);
    close_rig(&r);
    close_rig(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_init_equals_the_macro),
        cmocka_unit_test(test_new_null_arguments_are_invalid),
        cmocka_unit_test(test_new_option_out_of_range_is_named),
        cmocka_unit_test(test_new_options_of_a_newer_caller_are_taken_when_the_tail_is_zero),
        cmocka_unit_test(test_new_bad_texts_say_what_and_where),
        cmocka_unit_test(test_types_name_keys_by_alias_or_text),
        cmocka_unit_test(test_unref_null_is_fine_and_results_outlive_the_window),
        cmocka_unit_test(test_push_null_or_other_type_is_refused),
        cmocka_unit_test(test_push_only_reads_the_batch),
        cmocka_unit_test(test_push_over_the_bound_is_limit_and_takes_nothing),
        cmocka_unit_test(test_take_null_is_invalid_and_end_leaves_the_pointer),
        cmocka_unit_test(test_take_late_gives_the_row_and_why),
        cmocka_unit_test(test_appender_pushes_full_batches_by_itself),
        cmocka_unit_test(test_processing_time_before_a_clock_is_misuse),
        cmocka_unit_test(test_watermark_none_before_the_first),
        cmocka_unit_test(test_on_reject_gets_stage_message_and_row),
        cmocka_unit_test(test_counters_know_their_names),
        cmocka_unit_test(test_snapshot_holds_results_not_yet_taken),
        cmocka_unit_test(test_restore_refuses_rubbish_and_other_windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
