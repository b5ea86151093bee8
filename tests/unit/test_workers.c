/*
 * Threaded mode: workers that wait for each other, the host's calls beside them, errors of workers.
 * Run under ThreadSanitizer, too.
 */
#include <pthread.h>

#include "script_kit.h"

/* ---- a partition is revoked while another worker needs the source ---- */

static atomic_bool in_apply, asked_headers;

static bool worker_is_in_apply(void)
{
    return atomic_load(&in_apply);
}

/* the row is refused once the reader stands in the middle of its revocation */
static evs_status refuse_during_read(const evs_row *row, evs_apply_out *out, void *user_data)
{
    (void)row;
    (void)user_data;
    if (atomic_exchange(&asked_headers, true)) {
        evs_append_int(evs_apply_appender(out), 1);
        return evs_append_end_row(evs_apply_appender(out), NULL);
    }
    atomic_store(&in_apply, true);
    while (!atomic_load(&the_script.in_read))
        usleep(1000);
    usleep(20000);
    evs_apply_reject(out, "not this one"); /* the dead letter shows headers: the source's lock */
    return EVS_OK;
}

static void test_revocation_while_a_worker_asks_for_headers_ends(void **state)
{
    static const evs_header headers[] = {{"h", "v", 1}};
    kit *k = *state;
    evs_pipeline *p = kit_pipeline(k);
    evs_status status = EVS_AGAIN;

    p->hooks = (evs__hooks){NULL, NULL, NULL};
    the_script.partitions = 2;
    the_script.headers = headers;
    the_script.header_count = 1;
    the_script.may_revoke = worker_is_in_apply;
    k->source = evs_source(p, "script", EVS_OPTIONS("columns", "user VARCHAR, n INT"));
    evs_sink(evs_apply(k->source, "n INT", refuse_during_read, NULL), "upsert", NULL);
    evs_dead_letters(p, "upsert", EVS_OPTIONS("db", "evs.test.letters"));
    for (int i = 0; i < 100; i++)
        script_row(&the_script, i % 2, 1000 + i, 1, i);
    the_script.parts[0].visible = 1;
    the_script.parts[1].visible = 0;
    OK(evs_pipeline_start(p, 2, &k->err));
    while (!atomic_load(&in_apply))
        usleep(1000);
    atomic_store(&the_script.revoke, 2);
    for (int i = 0; i < 200 && !atomic_load(&the_script.in_read); i++)
        usleep(10000);
    assert_true(atomic_load(&the_script.in_read));
    the_script.parts[0].visible = the_script.parts[1].visible = 50;
    the_script.bounded = true;
    status = evs_pipeline_wait(p, 10000, &k->err);
    assert_int_equal(status, EVS_OK);
    OK(evs_pipeline_close(p, &k->err));
    assert_int_equal(k->db.committed.count, 99);
    assert_int_equal(k->letters.committed.count, 1);
    assert_non_null(strstr(k->letters.committed.rows[0].text, "not this one"));
    assert_non_null(strstr(k->letters.committed.rows[0].text, "\"name\":\"h\""));
}

/* ---- the host beside the workers ---- */

static const evs_window_options second = {sizeof(evs_window_options),
                                          1000,
                                          0,
                                          0,
                                          INT64_MAX,
                                          1 << 28,
                                          EVS_WINDOW_TUMBLING,
                                          EVS_EMIT_CHANGES,
                                          EVS_TIME_EVENT,
                                          EVS_NULL_KEY_DEAD_LETTER};

static evs_stream *counting(kit *k, int events)
{
    evs_pipeline *p = kit_pipeline(k);
    evs_stream *window;
    p->hooks = (evs__hooks){NULL, NULL, NULL};
    evs_pipeline_set(p, "commit.interval.ms", "5");
    evs_pipeline_set(p, "state.dir", k->dir);
    the_script.partitions = 4;
    the_script.cut = 50;
    the_script.mix = 7;
    for (int i = 0; i < events; i++)
        script_row(&the_script, i % 4, 1000 + i, i % 13, i);
    k->source = evs_source(p, "script",
                           EVS_OPTIONS("columns", "user VARCHAR, n INT", "out_of_orderness", "5s"));
    window = evs_window_by(evs_filter(k->source, "n >= 0"), "user", &second, "count(*) AS c");
    evs_sink(window, "txn", NULL);
    return window;
}

static void test_host_looks_and_commits_while_workers_work(void **state)
{
    kit *k = *state;
    evs_stream *window = counting(k, 20000);
    const char *text = NULL;
    evs_status status;
    double v;

    OK(evs_pipeline_start(k->p, 4, &k->err));
    the_script.bounded = true;
    do {
        assert_non_null(evs_pipeline_state(k->p));
        assert_int_equal(evs_pipeline_metric(k->p, "events_in_total", &v), EVS_OK);
        OK(evs_pipeline_metrics_text(k->p, &text, &k->err));
        status = evs_pipeline_explain_window(window, 1000, &text, NULL);
        assert_true(status == EVS_OK || status == EVS_ERR_MISUSE);
        OK(evs_pipeline_commit(k->p, &k->err));
        status = evs_pipeline_wait(k->p, 3, &k->err);
    } while (status == EVS_AGAIN);
    assert_int_equal(status, EVS_OK);
    OK(evs_pipeline_close(k->p, &k->err));
    assert_string_equal(evs_pipeline_state(k->p), "stopped");
}

static void *close_it(void *user)
{
    kit *k = user;
    usleep(30000);
    OK(evs_pipeline_close(k->p, &k->err));
    return NULL;
}

static void test_close_under_load_commits_and_the_rest_is_replayed(void **state)
{
    kit *k = *state;
    size_t rows = 0;
    double seen = 0;

    for (int run = 0; run < 6; run++) {
        pthread_t thread;
        script_clear(&the_script);
        counting(k, 20000);
        OK(evs_pipeline_start(k->p, 1 + run % 4, &k->err));
        /* from another thread, one at a time */
        assert_int_equal(pthread_create(&thread, NULL, close_it, k), 0);
        pthread_join(thread, NULL);
        assert_int_equal(the_script.blocks, 0); /* everything read was given back */
        seen += kit_metric(k, "events_in_total");
    }
    script_clear(&the_script);
    counting(k, 20000);
    the_script.bounded = true;
    OK(evs_pipeline_start(k->p, 2, &k->err));
    OK(evs_pipeline_wait(k->p, 60000, &k->err));
    seen += kit_metric(k, "events_in_total");
    OK(evs_pipeline_close(k->p, &k->err));
    assert_true(seen == 20000); /* nothing twice: each close committed what it had processed */
    for (size_t i = 0; i < k->db.committed.count; i++)
        rows += (size_t)atoi(strrchr(k->db.committed.rows[i].text, '|') + 1);
    assert_int_equal(rows, 20000);
}

static evs_status fail_at_5000(const evs_row *row, void *user_data)
{
    static atomic_int calls;
    (void)row;
    (void)user_data;
    return atomic_fetch_add(&calls, 1) == 5000 ? EVS_ERR_IO : EVS_OK;
}

static void test_failure_of_one_worker_stops_all_and_is_told(void **state)
{
    kit *k = *state;
    counting(k, 40000);
    evs_each(k->source, fail_at_5000, NULL);
    OK(evs_pipeline_start(k->p, 4, &k->err));
    FAILS(evs_pipeline_wait(k->p, 60000, &k->err), EVS_ERR_CALLBACK,
          "step \"each_1\": the function returned EVS_ERR_IO");
    FAILS(evs_pipeline_wait(k->p, 0, &k->err), EVS_ERR_CALLBACK, "each_1");
    assert_non_null(strstr(evs_pipeline_state(k->p), "failed: step \"each_1\""));
    FAILS(evs_pipeline_commit(k->p, &k->err), EVS_ERR_CALLBACK, "each_1");
    OK(evs_pipeline_close(k->p, &k->err));
    OK(evs_pipeline_close(k->p, &k->err));
    assert_int_equal(the_script.blocks, 0);
}

static void test_wrong_calls_in_threaded_mode_are_told(void **state)
{
    kit *k = *state;
    counting(k, 100);
    FAILS(evs_pipeline_wait(k->p, 0, &k->err), EVS_ERR_MISUSE, "evs_pipeline_start");
    FAILS(evs_pipeline_start(k->p, 0, &k->err), EVS_ERR_INVALID, "1 to 64");
    FAILS(evs_pipeline_start(k->p, 65, &k->err), EVS_ERR_INVALID, "1 to 64");
    OK(evs_pipeline_start(k->p, 2, &k->err));
    FAILS(evs_pipeline_start(k->p, 2, &k->err), EVS_ERR_MISUSE, "started already");
    FAILS(evs_pipeline_poll(k->p, 0, &k->err), EVS_ERR_MISUSE, "threads of its own");
    assert_int_equal(evs_pipeline_fd(k->p), -1);
    assert_int_equal(evs_pipeline_next_ms(k->p), -1);
    assert_int_equal(evs_pipeline_wait(k->p, 10, &k->err), EVS_AGAIN);
    OK(evs_pipeline_close(k->p, &k->err));
    FAILS(evs_pipeline_start(k->p, 2, &k->err), EVS_ERR_MISUSE, "closed");
    FAILS(evs_pipeline_poll(k->p, 0, &k->err), EVS_ERR_MISUSE, "closed");
    FAILS(evs_pipeline_commit(k->p, &k->err), EVS_ERR_MISUSE, "closed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRIPT_TEST(test_revocation_while_a_worker_asks_for_headers_ends),
        SCRIPT_TEST(test_host_looks_and_commits_while_workers_work),
        SCRIPT_TEST(test_close_under_load_commits_and_the_rest_is_replayed),
        SCRIPT_TEST(test_failure_of_one_worker_stops_all_and_is_told),
        SCRIPT_TEST(test_wrong_calls_in_threaded_mode_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
