/*
 * evstream/pipeline.h from outside: each function called into each failure that its comment names.
 */
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api_kit.h"

static evs_pipeline *p;
static evs_stream *source;

static evs_window_options ten_seconds(void)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    o.size_ms = 10000;
    return o;
}

static evs_status take(const evs_row *row, void *user_data)
{
    (void)row;
    ++*(int *)user_data;
    return EVS_OK;
}

static evs_status refuse(const evs_row *row, void *user_data)
{
    (void)row;
    (void)user_data;
    return EVS_ERR_INVALID;
}

static void make(void)
{
    OK(evs_pipeline_new(ctx, "p", &p, &err));
    source = evs_source(p, "memory", EVS_OPTIONS("columns", "user VARCHAR, n INT"));
}

static void drop(void)
{
    p = evs_pipeline_unref(p);
    assert_null(p);
}

static evs_status push(const char *json)
{
    return evs_stream_push_bytes(source, json, strlen(json), NULL, 0, 1000, 0, &err);
}

static void test_new_faulty_arguments(void **state)
{
    (void)state;
    FAILS(evs_pipeline_new(NULL, "p", &p, &err), EVS_ERR_INVALID, "context");
    FAILS(evs_pipeline_new(ctx, NULL, &p, &err), EVS_ERR_INVALID, "name");
    FAILS(evs_pipeline_new(ctx, "p", NULL, &err), EVS_ERR_INVALID, "ret_pipeline");
    FAILS(evs_pipeline_new(ctx, "", &p, &err), EVS_ERR_INVALID, "a name is made of letters");
    FAILS(evs_pipeline_new(ctx, "a/b", &p, &err), EVS_ERR_INVALID, "a name is made of letters");
    FAILS(evs_pipeline_new(ctx, ".a", &p, &err), EVS_ERR_INVALID, "a name is made of letters");
    assert_null(p);
    assert_null(evs_pipeline_unref(NULL));
}

static void test_functions_without_a_pipeline(void **state)
{
    const char *text;
    double value;
    (void)state;
    FAILS(evs_pipeline_check(NULL, &err), EVS_ERR_INVALID, "pipeline");
    FAILS(evs_pipeline_explain(NULL, &text, &err), EVS_ERR_INVALID, "pipeline");
    FAILS(evs_pipeline_poll(NULL, 0, &err), EVS_ERR_INVALID, "pipeline");
    FAILS(evs_pipeline_start(NULL, 1, &err), EVS_ERR_INVALID, "pipeline");
    FAILS(evs_pipeline_wait(NULL, 0, &err), EVS_ERR_INVALID, "pipeline");
    FAILS(evs_pipeline_commit(NULL, &err), EVS_ERR_INVALID, "pipeline");
    FAILS(evs_pipeline_close(NULL, &err), EVS_ERR_INVALID, "pipeline");
    FAILS(evs_pipeline_metrics_text(NULL, &text, &err), EVS_ERR_INVALID, "pipeline");
    FAILS(evs_pipeline_explain_window(NULL, 0, &text, &err), EVS_ERR_INVALID, "window_stream");
    FAILS(evs_stream_push(NULL, NULL, 0, &err), EVS_ERR_INVALID, "NULL");
    FAILS(evs_stream_push_bytes(NULL, "", 0, NULL, 0, 0, 0, &err), EVS_ERR_INVALID, "source");
    FAILS(evs_stream_push_end(NULL, &err), EVS_ERR_INVALID, "source");
    assert_int_equal(evs_pipeline_metric(NULL, "epoch", &value), EVS_ERR_NOT_FOUND);
    assert_string_equal(evs_pipeline_fingerprint(NULL), "");
    assert_string_equal(evs_pipeline_state(NULL), "new");
    assert_int_equal(evs_pipeline_fd(NULL), -1);
    assert_null(evs_stream_type(NULL));
}

/* the first error of a builder call is kept, with the step's name; nothing else happens */
static void test_builder_keeps_the_first_error_for_check_poll_and_start(void **state)
{
    evs_window_options o = ten_seconds();
    evs_stream *s;
    int rows = 0;
    (void)state;
    make();
    s = evs_filter(source, "nothing > 1");
    assert_non_null(s);
    evs_each(evs_window_by(evs_project(s, "user, )"), "user", &o, "count("), take, &rows);
    FAILS(evs_pipeline_check(p, &err), EVS_ERR_EXPRESSION, "filter_1");
    FAILS(evs_pipeline_poll(p, 0, &err), EVS_ERR_EXPRESSION, "nothing");
    FAILS(evs_pipeline_start(p, 1, &err), EVS_ERR_EXPRESSION, "nothing");
    assert_int_equal(evs_pipeline_fd(p), -1);
    assert_string_equal(evs_pipeline_fingerprint(p), "");
    drop();
}

static void test_options_and_connectors_that_do_not_exist(void **state)
{
    (void)state;
    make();
    evs_sink(source, "memory", EVS_OPTIONS("name", "a"));
    evs_pipeline_set(p, "commit.intervall.ms", "1s");
    FAILS(evs_pipeline_check(p, &err), EVS_ERR_CONFIG, "commit.interval.ms");
    drop();
    make();
    evs_sink(source, "memory", EVS_OPTIONS("name", "a"));
    evs_pipeline_set(p, "commit.interval.ms", "soon");
    FAILS(evs_pipeline_check(p, &err), EVS_ERR_CONFIG, "soon");
    drop();
    make();
    evs_sink(source, "memorie", NULL);
    FAILS(evs_pipeline_check(p, &err), EVS_ERR_NOT_FOUND, "memorie");
    drop();
    OK(evs_pipeline_new(ctx, "p", &p, &err));
    evs_source(p, "memory", EVS_OPTIONS("colums", "a INT"));
    FAILS(evs_pipeline_check(p, &err), EVS_ERR_CONFIG, "columns");
    drop();
}

static void test_builder_calls_after_the_start_are_misuse(void **state)
{
    evs_stream *late;
    int rows = 0;
    (void)state;
    make();
    evs_each(source, take, &rows);
    OK(evs_pipeline_check(p, &err));
    assert_true(evs_pipeline_poll(p, 0, &err) >= 0);
    /* not NULL, and nothing that is running changes */
    late = evs_filter(source, "n > 1");
    assert_non_null(late);
    evs_each(late, take, &rows);
    FAILS(evs_pipeline_check(p, &err), EVS_ERR_MISUSE, "");
    OK(push("{\"user\":\"a\",\"n\":5}"));
    assert_int_equal(evs_pipeline_poll(p, 200, &err), EVS_OK);
    OK(evs_pipeline_close(p, &err));
    assert_int_equal(rows, 1);
    drop();
}

static void test_steps_on_no_stream_and_late_of_no_window(void **state)
{
    int rows = 0;
    (void)state;
    make();
    evs_each(source, take, &rows);
    evs_each(evs_late(source), take, &rows);
    FAILS(evs_pipeline_check(p, &err), EVS_ERR_MISUSE, "only a window has late rows");
    drop();
    assert_non_null(evs_filter(NULL, "a"));
    assert_non_null(evs_source(NULL, "memory", NULL));
}

static void test_calls_before_the_start_are_misuse(void **state)
{
    evs_window_options o = ten_seconds();
    const char *text;
    double value;
    evs_stream *w;
    int rows = 0;
    (void)state;
    make();
    w = evs_window_by(source, "user", &o, "count(*) AS c");
    evs_each(w, take, &rows);
    FAILS(evs_pipeline_commit(p, &err), EVS_ERR_MISUSE, "not started");
    FAILS(evs_pipeline_wait(p, 0, &err), EVS_ERR_MISUSE, "not started");
    FAILS(evs_pipeline_explain_window(w, 0, &text, &err), EVS_ERR_MISUSE, "not running");
    FAILS(evs_pipeline_explain_window(source, 0, &text, &err), EVS_ERR_MISUSE, "no window");
    FAILS(evs_pipeline_explain_window(w, 0, NULL, &err), EVS_ERR_INVALID, "ret_text");
    FAILS(evs_pipeline_explain(p, NULL, &err), EVS_ERR_INVALID, "ret_text");
    FAILS(evs_pipeline_metrics_text(p, NULL, &err), EVS_ERR_INVALID, "ret_text");
    assert_int_equal(evs_pipeline_metric(p, "epoch", &value), EVS_ERR_NOT_FOUND);
    assert_int_equal(evs_pipeline_fd(p), -1);
    assert_string_equal(evs_pipeline_state(p), "new");
    OK(evs_pipeline_close(p, &err));
    FAILS(evs_pipeline_start(p, 0, &err), EVS_ERR_INVALID, "0 workers: 1 to 64");
    FAILS(evs_pipeline_start(p, 65, &err), EVS_ERR_INVALID, "65 workers");
    drop();
}

static void test_modes_do_not_mix(void **state)
{
    double value;
    int rows = 0;
    (void)state;
    make();
    evs_each(source, take, &rows);
    OK(push("{\"user\":\"a\",\"n\":1}"));
    assert_int_equal(evs_pipeline_poll(p, 0, &err), EVS_OK);
    assert_true(evs_pipeline_fd(p) >= 0);
    assert_int_equal(evs_pipeline_metric(p, "events_in_total", &value), EVS_OK);
    assert_int_equal(evs_pipeline_metric(p, "events", &value), EVS_ERR_NOT_FOUND);
    assert_int_equal(evs_pipeline_metric(p, NULL, &value), EVS_ERR_NOT_FOUND);
    FAILS(evs_pipeline_wait(p, 0, &err), EVS_ERR_MISUSE, "evs_pipeline_start()");
    drop();
    make();
    evs_each(source, take, &rows);
    OK(evs_pipeline_start(p, 1, &err));
    FAILS(evs_pipeline_start(p, 1, &err), EVS_ERR_MISUSE, "started already");
    FAILS(evs_pipeline_poll(p, 0, &err), EVS_ERR_MISUSE, "threads of its own");
    assert_int_equal(evs_pipeline_fd(p), -1);
    assert_int_equal(evs_pipeline_next_ms(p), -1);
    assert_int_equal(evs_pipeline_wait(p, 10, &err), EVS_AGAIN);
    OK(evs_pipeline_close(p, &err));
    drop();
}

static void test_calls_after_the_end_and_after_close(void **state)
{
    int rows = 0;
    (void)state;
    make();
    evs_each(source, take, &rows);
    OK(push("{\"user\":\"a\",\"n\":1}"));
    OK(evs_stream_push_end(source, &err));
    while (evs_pipeline_poll(p, 100, &err) != EVS_END)
        assert_null(err);
    assert_int_equal(rows, 1);
    assert_int_equal(evs_pipeline_poll(p, 0, &err), EVS_END);
    assert_string_equal(evs_pipeline_state(p), "stopped");
    OK(evs_pipeline_close(p, &err));
    OK(evs_pipeline_close(p, &err));
    FAILS(evs_pipeline_poll(p, 0, &err), EVS_ERR_MISUSE, "closed");
    FAILS(evs_pipeline_commit(p, &err), EVS_ERR_MISUSE, "closed");
    FAILS(evs_pipeline_start(p, 1, &err), EVS_ERR_MISUSE, "");
    FAILS(push("{}"), EVS_ERR_MISUSE, "stopped");
    drop();
}

static void test_push_to_what_takes_none(void **state)
{
    int rows = 0;
    evs_stream *step;
    (void)state;
    make();
    step = evs_filter(source, "n > 0");
    evs_each(step, take, &rows);
    FAILS(evs_stream_push_bytes(step, "{}", 2, NULL, 0, 0, 0, &err), EVS_ERR_UNSUPPORTED,
          "takes no rows from the host");
    FAILS(evs_stream_push_end(step, &err), EVS_ERR_UNSUPPORTED, "takes no rows from the host");
    FAILS(evs_stream_push_bytes(source, "{}", 2, NULL, 0, 0, 7, &err), EVS_ERR_INVALID,
          "partition 7");
    drop();
}

static void test_host_code_that_fails_stops_the_pipeline(void **state)
{
    evs_status status = EVS_OK;
    (void)state;
    make();
    evs_each(source, refuse, NULL);
    OK(push("{\"user\":\"a\",\"n\":1}"));
    for (int i = 0; i < 100 && status >= 0; i++) {
        err = evs_error_unref(err);
        status = evs_pipeline_poll(p, 10, &err);
    }
    FAILS(status, EVS_ERR_CALLBACK, "");
    FAILS(evs_pipeline_poll(p, 0, &err), EVS_ERR_CALLBACK, "");
    FAILS(evs_pipeline_commit(p, &err), EVS_ERR_CALLBACK, "");
    assert_memory_equal(evs_pipeline_state(p), "failed: ", 8);
    drop();
}

static void test_full_memory_sink_without_a_reader_is_waited_for(void **state)
{
    (void)state;
    make();
    evs_sink(source, "memory", EVS_OPTIONS("name", "full", "rows.max", "2", "step.name", "out"));
    /* an empty log takes a batch of any size */
    for (int i = 0; i < 5; i++) {
        OK(push("{\"user\":\"a\",\"n\":1}"));
        assert_true(evs_pipeline_poll(p, 120, &err) >= 0);
    }
    assert_string_equal(evs_pipeline_state(p), "waiting: out: no room");
    drop();
}

static void test_commit_and_close_without_a_broker_time_out(void **state)
{
    (void)state;
    make();
    evs_pipeline_set(p, "close.timeout.ms", "200ms");
    evs_sink(source, "kafka",
             EVS_OPTIONS("kafka.bootstrap.servers", "127.0.0.1:1", "topic", "t", "close.timeout.ms",
                         "100ms"));
    OK(push("{\"user\":\"a\",\"n\":1}"));
    assert_true(evs_pipeline_poll(p, 20, &err) >= 0);
    FAILS(evs_pipeline_commit(p, &err), EVS_ERR_TIMEOUT, "200 ms");
    FAILS(evs_pipeline_close(p, &err), EVS_ERR_TIMEOUT, "200 ms");
    assert_string_equal(evs_pipeline_state(p), "stopped");
    drop();
}

static void test_wait_says_again_while_sources_go_on(void **state)
{
    int rows = 0;
    (void)state;
    make();
    evs_each(source, take, &rows);
    OK(evs_pipeline_start(p, 1, &err));
    assert_int_equal(evs_pipeline_wait(p, 30, &err), EVS_AGAIN);
    OK(push("{\"user\":\"a\",\"n\":1}"));
    OK(evs_stream_push_end(source, &err));
    OK(evs_pipeline_wait(p, 10000, &err));
    assert_int_equal(rows, 1);
    drop();
}

/* the size limit of the process stands in for a full disk: nothing is lost or doubled */
static void test_file_without_room_is_waited_for(void **state)
{
    char path[] = "/tmp/evs-api-XXXXXX";
    struct rlimit saved, small;
    char text[8192];
    ssize_t len;
    int fd = mkstemp(path), lines = 0;
    (void)state;
    assert_true(fd >= 0);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &saved);
    small = saved;
    small.rlim_cur = 500;
    make();
    evs_pipeline_set(p, "commit.interval.ms", "10ms");
    evs_sink(source, "file", EVS_OPTIONS("path", path, "format", "json", "step.name", "out"));
    for (int i = 0; i < 100; i++)
        OK(push("{\"user\":\"a\",\"n\":1}"));
    OK(evs_stream_push_end(source, &err));
    setrlimit(RLIMIT_FSIZE, &small);
    for (int i = 0; i < 10; i++)
        assert_true(evs_pipeline_poll(p, 20, &err) >= 0);
    assert_non_null(strstr(evs_pipeline_state(p), "File too large"));
    setrlimit(RLIMIT_FSIZE, &saved);
    for (int i = 0; i < 500 && evs_pipeline_poll(p, 20, &err) != EVS_END; i++)
        assert_null(err);
    OK(evs_pipeline_close(p, &err));
    len = read(fd, text, sizeof(text));
    for (ssize_t i = 0; i < len; i++)
        lines += text[i] == '\n';
    assert_int_equal(lines, 100);
    close(fd);
    unlink(path);
    drop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        API_TEST(test_new_faulty_arguments),
        API_TEST(test_functions_without_a_pipeline),
        API_TEST(test_builder_keeps_the_first_error_for_check_poll_and_start),
        API_TEST(test_options_and_connectors_that_do_not_exist),
        API_TEST(test_builder_calls_after_the_start_are_misuse),
        API_TEST(test_steps_on_no_stream_and_late_of_no_window),
        API_TEST(test_calls_before_the_start_are_misuse),
        API_TEST(test_modes_do_not_mix),
        API_TEST(test_calls_after_the_end_and_after_close),
        API_TEST(test_push_to_what_takes_none),
        API_TEST(test_host_code_that_fails_stops_the_pipeline),
        API_TEST(test_full_memory_sink_without_a_reader_is_waited_for),
        API_TEST(test_commit_and_close_without_a_broker_time_out),
        API_TEST(test_wait_says_again_while_sources_go_on),
        API_TEST(test_file_without_room_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
