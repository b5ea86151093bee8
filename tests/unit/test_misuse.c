/*
 * Calls that a host must not make: from callbacks, after the end, on streams of others. Each is an
 * error that says so; none hangs, none harms the pipeline.
 */
#include "script_kit.h"

typedef struct inside {
    kit *k;
    evs_stream *window;
    atomic_int calls, wrong;
} inside;

static void expect(inside *in, evs_status status, evs_error **err, const char *what)
{
    const char *message = evs_error_message(*err);
    if (status != EVS_ERR_MISUSE || !strstr(message, what) || !strstr(message, "callback") ||
        strchr(message, '\n')) {
        print_message("%s: %s \"%s\"\n", what, evs_status_name(status), message);
        in->wrong++;
    }
    *err = evs_error_unref(*err);
}

static evs_status call_everything(inside *in)
{
    kit *k = in->k;
    evs_error *err = NULL; /* the test's own is in use by the host's thread */
    const char *text = NULL;
    double v;

    in->calls++;
    expect(in, evs_pipeline_poll(k->p, 0, &err), &err, "evs_pipeline_poll()");
    expect(in, evs_pipeline_commit(k->p, &err), &err, "evs_pipeline_commit()");
    expect(in, evs_pipeline_close(k->p, &err), &err, "evs_pipeline_close()");
    expect(in, evs_pipeline_start(k->p, 1, &err), &err, "evs_pipeline_start()");
    expect(in, evs_pipeline_wait(k->p, -1, &err), &err, "evs_pipeline_wait()");
    expect(in, evs_pipeline_explain_window(in->window, 0, &text, &err), &err,
           "evs_pipeline_explain_window()");
    /* looking is allowed */
    in->wrong += strcmp(evs_pipeline_state(k->p), "running") != 0;
    in->wrong += evs_pipeline_metric(k->p, "events_in_total", &v) != EVS_OK;
    in->wrong += evs_pipeline_metrics_text(k->p, &text, NULL) != EVS_OK;
    in->wrong += evs_pipeline_explain(k->p, &text, NULL) != EVS_OK;
    in->wrong += evs_pipeline_check(k->p, NULL) != EVS_OK;
    evs_pipeline_unref(k->p); /* told in the log, not done */
    in->wrong += !strstr(k->logged, "evs_pipeline_unref() was called inside a callback");
    return EVS_OK;
}

static evs_status each_calls(const evs_row *row, void *user_data)
{
    (void)row;
    return call_everything(user_data);
}

static evs_status apply_calls(const evs_row *row, evs_apply_out *out, void *user_data)
{
    (void)row;
    evs_append_string(evs_apply_appender(out), "a", 1);
    evs_append_end_row(evs_apply_appender(out), NULL);
    return call_everything(user_data);
}

static evs_status function_calls(const evs_value *args,
                                 size_t arg_count,
                                 evs_value *ret_value,
                                 char *reason,
                                 size_t reason_size,
                                 void *user_data)
{
    (void)args;
    (void)arg_count;
    (void)reason;
    (void)reason_size;
    ret_value->is_null = 0;
    ret_value->integer = 1;
    return call_everything(user_data);
}

static inside *build(kit *k, inside *in)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    evs_pipeline *p;
    *in = (inside){.k = k};
    o.size_ms = 1000;
    evs_function_register(k->ctx, "calls(INT) RETURNS INT", function_calls, in, NULL);
    p = kit_pipeline(k);
    evs_pipeline_set(p, "commit.interval.ms", "10");
    k->source = evs_source(p, "script", EVS_OPTIONS("columns", "user VARCHAR, n INT"));
    in->window = evs_window_by(
        evs_apply(evs_filter(k->source, "calls(n) = 1"), "user VARCHAR", apply_calls, in), "user",
        &o, "count(*) AS c");
    evs_each(in->window, each_calls, in);
    script_clear(&the_script);
    script_row(&the_script, 0, 1000, 1, 1);
    script_row(&the_script, 0, 9000, 1, 1);
    the_script.bounded = true;
    return in;
}

static void test_calls_inside_callbacks_are_errors_driven(void **state)
{
    kit *k = *state;
    inside in;
    build(k, &in);
    while (kit_drain(k) != EVS_END)
        k->now_ms += 50;
    assert_true(in.calls >= 6);
    assert_int_equal(in.wrong, 0);
    OK(evs_pipeline_close(k->p, &k->err));
}

static void test_calls_inside_callbacks_are_errors_threaded(void **state)
{
    kit *k = *state;
    inside in;
    build(k, &in);
    k->p->hooks = (evs__hooks){0};
    OK(evs_pipeline_start(k->p, 2, &k->err));
    OK(evs_pipeline_wait(k->p, 10000, &k->err));
    assert_true(in.calls >= 6);
    assert_int_equal(in.wrong, 0);
    OK(evs_pipeline_close(k->p, &k->err));
}

static void test_calls_after_close_are_errors(void **state)
{
    kit *k = *state;
    inside in;
    const char *text = NULL;
    double v;
    build(k, &in);
    evs_pipeline_poll(k->p, 0, &k->err);
    OK(evs_pipeline_close(k->p, &k->err));
    FAILS(evs_pipeline_poll(k->p, 0, &k->err), EVS_ERR_MISUSE, "the pipeline was closed");
    FAILS(evs_pipeline_start(k->p, 1, &k->err), EVS_ERR_MISUSE, "the pipeline was closed");
    FAILS(evs_pipeline_commit(k->p, &k->err), EVS_ERR_MISUSE, "the pipeline was closed");
    FAILS(evs_pipeline_explain_window(in.window, 0, &text, &k->err), EVS_ERR_MISUSE,
          "the pipeline is not running");
    OK(evs_pipeline_close(k->p, &k->err));
    assert_string_equal(evs_pipeline_state(k->p), "stopped");
    assert_int_equal(evs_pipeline_next_ms(k->p), -1);
    OK(evs_pipeline_metrics_text(k->p, &text, &k->err));
    assert_int_equal(evs_pipeline_metric(k->p, "events_in_total", &v), EVS_OK);
    OK(evs_pipeline_explain(k->p, &text, &k->err));
}

static void test_calls_before_start_and_with_null_are_errors(void **state)
{
    kit *k = *state;
    inside in;
    const char *text = NULL;
    double v = 0;
    build(k, &in);
    assert_int_equal(evs_pipeline_fd(k->p), -1);
    assert_int_equal(evs_pipeline_next_ms(k->p), 0);
    assert_string_equal(evs_pipeline_state(k->p), "new");
    FAILS(evs_pipeline_commit(k->p, &k->err), EVS_ERR_MISUSE, "was not started");
    FAILS(evs_pipeline_explain_window(in.window, 0, &text, &k->err), EVS_ERR_MISUSE,
          "the pipeline is not running");
    OK(evs_pipeline_close(k->p, &k->err)); /* nothing to do */
    OK(evs_pipeline_metrics_text(k->p, &text, &k->err));
    assert_int_equal(evs_pipeline_metric(k->p, "events_in_total", &v), EVS_ERR_NOT_FOUND);
    FAILS(evs_pipeline_poll(NULL, 0, &k->err), EVS_ERR_INVALID, "pipeline is NULL");
    FAILS(evs_pipeline_commit(NULL, &k->err), EVS_ERR_INVALID, "pipeline is NULL");
    FAILS(evs_pipeline_close(NULL, &k->err), EVS_ERR_INVALID, "pipeline is NULL");
    FAILS(evs_pipeline_start(NULL, 1, &k->err), EVS_ERR_INVALID, "pipeline is NULL");
    FAILS(evs_pipeline_wait(NULL, 1, &k->err), EVS_ERR_INVALID, "pipeline is NULL");
    FAILS(evs_pipeline_check(NULL, &k->err), EVS_ERR_INVALID, "pipeline is NULL");
    FAILS(evs_pipeline_explain(NULL, &text, &k->err), EVS_ERR_INVALID, "NULL");
    FAILS(evs_pipeline_metrics_text(NULL, &text, &k->err), EVS_ERR_INVALID, "NULL");
    FAILS(evs_pipeline_explain_window(NULL, 0, &text, &k->err), EVS_ERR_INVALID, "NULL");
    FAILS(evs_stream_push(NULL, NULL, 0, &k->err), EVS_ERR_INVALID, "NULL");
    FAILS(evs_stream_push_end(NULL, &k->err), EVS_ERR_INVALID, "NULL");
    assert_int_equal(evs_pipeline_fd(NULL), -1);
    assert_string_equal(evs_pipeline_state(NULL), "new");
    assert_string_equal(evs_pipeline_fingerprint(NULL), "");
    assert_null(evs_stream_type(NULL));
    evs_pipeline_set(NULL, "a", "b");
    evs_dead_letters(NULL, "memory", NULL);
    evs_sink(NULL, "memory", NULL);
    evs_each(NULL, each_calls, NULL);
    evs_stream_name(NULL, "x");
    assert_null(evs_pipeline_unref(NULL));
}

static void test_streams_that_do_not_fit_are_errors(void **state)
{
    kit *k = *state;
    inside in;
    const char *text = NULL;
    build(k, &in);
    FAILS(evs_pipeline_explain_window(k->source, 0, &text, &k->err), EVS_ERR_MISUSE,
          "\"source_1\" is no window");
    FAILS(evs_stream_push_end(in.window, &k->err), EVS_ERR_UNSUPPORTED,
          "step \"window_1\" takes no rows from the host");
    FAILS(evs_stream_push_end(k->source, &k->err), EVS_ERR_UNSUPPORTED,
          "step \"source_1\" takes no rows from the host");
}

static void test_builder_calls_after_start_are_told_and_change_nothing(void **state)
{
    kit *k = *state;
    inside in;
    build(k, &in);
    evs_pipeline_poll(k->p, 0, &k->err);
    evs_filter(k->source, "TRUE");
    FAILS(evs_pipeline_check(k->p, &k->err), EVS_ERR_MISUSE, "was started");
    while (kit_drain(k) != EVS_END)
        k->now_ms += 50;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRIPT_TEST(test_calls_inside_callbacks_are_errors_driven),
        SCRIPT_TEST(test_calls_inside_callbacks_are_errors_threaded),
        SCRIPT_TEST(test_calls_after_close_are_errors),
        SCRIPT_TEST(test_calls_before_start_and_with_null_are_errors),
        SCRIPT_TEST(test_streams_that_do_not_fit_are_errors),
        SCRIPT_TEST(test_builder_calls_after_start_are_told_and_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
