/*
 * Threaded mode: workers of the pipeline's own, the host pushing, committing and looking meanwhile.
 * Runs under ThreadSanitizer, too (suite threaded).
 */
#include <pthread.h>
#include <stdatomic.h>

#include "pipeline_kit.h"

#define EVENTS 20000

static evs_stream *counting(kit *k)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    evs_pipeline *p = kit_pipeline(k);
    p->hooks.now_ms = NULL; /* the real clock */
    o.size_ms = 10000;
    evs_pipeline_set(p, "state.dir", k->dir);
    evs_pipeline_set(p, "commit.interval.ms", "5");
    k->source = evs_source(p, "memory",
                           EVS_OPTIONS("columns", "user VARCHAR, n INT", "partitions", "4",
                                       "out_of_orderness", "0", "idle_timeout", "forever",
                                       "close_after", "forever"));
    return evs_window_by(k->source, "user", &o, "count(*) AS c, sum(n) AS s");
}

static void feed(kit *k, int from, int to)
{
    for (int i = from; i < to; i++) {
        evs_status status;
        while ((status = kit_event(k, i % 4, i / 4 * 10, i % 10, i)) == EVS_AGAIN)
            evs_pipeline_wait(k->p, 1, NULL);
        OK(status);
    }
}

/* the sink may fail by the first of them already */
static void feed_until_it_fails(kit *k, int count)
{
    for (int i = 0; i < count; i++) {
        evs_status status;
        while ((status = kit_event(k, i % 4, i / 4 * 10, i % 10, i)) == EVS_AGAIN)
            evs_pipeline_wait(k->p, 1, NULL);
        if (status == EVS_OK)
            continue;
        FAILS(status, EVS_ERR_IO, "write failed");
        return;
    }
}

static long total(const table *t)
{
    long sum = 0;
    for (size_t i = 0; i < t->count; i++) {
        const char *last = strrchr(t->rows[i].text, '|'), *p = last - 1;
        while (*p != '|')
            p--;
        sum += atol(p + 1);
    }
    return sum;
}

static void test_start_counts_everything_once_with_any_number_of_workers(void **state)
{
    kit *k = *state;
    char *first = NULL;
    for (int workers = 1; workers <= 8; workers *= 2) {
        char *text;
        database_clear(&k->db);
        remove_dir(k->dir);
        evs_sink(counting(k), "txn", NULL);
        OK(evs_pipeline_start(k->p, workers, &k->err));
        feed(k, 0, EVENTS / 2);
        while (kit_metric(k, "epoch") < 1)
            assert_int_equal(evs_pipeline_wait(k->p, 1, &k->err), EVS_AGAIN);
        feed(k, EVENTS / 2, EVENTS);
        OK(evs_stream_push_end(k->source, &k->err));
        OK(evs_pipeline_wait(k->p, 30000, &k->err));
        assert_string_equal(evs_pipeline_state(k->p), "stopped");
        assert_int_equal(total(&k->db.committed), EVENTS);
        assert_true(k->db.epoch > 1);
        text = table_text(&k->db.committed);
        if (first)
            assert_string_equal(text, first);
        free(first);
        first = text;
        OK(evs_pipeline_close(k->p, &k->err));
    }
    free(first);
}

/* host code that notices when it is called twice at once */
typedef struct witness {
    atomic_int inside;
    atomic_long rows;
    atomic_bool twice;
} witness;

static evs_status look(const evs_row *row, void *user_data)
{
    witness *w = user_data;
    (void)row;
    if (atomic_fetch_add(&w->inside, 1))
        atomic_store(&w->twice, true);
    atomic_fetch_add(&w->rows, 1);
    atomic_fetch_sub(&w->inside, 1);
    return EVS_OK;
}

static void test_each_is_called_one_at_a_time(void **state)
{
    kit *k = *state;
    witness w = {0};
    evs_sink(counting(k), "txn", NULL);
    evs_each(k->source, look, &w);
    OK(evs_pipeline_start(k->p, 4, &k->err));
    feed(k, 0, EVENTS);
    OK(evs_stream_push_end(k->source, &k->err));
    OK(evs_pipeline_wait(k->p, 30000, &k->err));
    assert_int_equal(w.rows, EVENTS);
    assert_false(w.twice);
}

typedef struct observer {
    kit *k;
    atomic_bool stop;
} observer;

static void *observe(void *argument)
{
    observer *o = argument;
    while (!atomic_load(&o->stop)) {
        double v;
        evs_pipeline_metric(o->k->p, "events_in_total", &v);
        evs_pipeline_metric(o->k->p, "state_size_bytes", &v);
    }
    return NULL;
}

static void test_host_commits_and_looks_while_workers_run(void **state)
{
    kit *k = *state;
    observer o = {.k = k};
    pthread_t thread;
    const char *text = NULL;
    evs_stream *w = counting(k);
    evs_sink(w, "txn", NULL);
    OK(evs_pipeline_start(k->p, 2, &k->err));
    assert_int_equal(pthread_create(&thread, NULL, observe, &o), 0);
    for (int i = 0; i < 50; i++) {
        feed(k, i * 100, i * 100 + 100);
        while (strcmp(evs_pipeline_state(k->p), "connecting") == 0)
            evs_pipeline_wait(k->p, 1, NULL);
        OK(evs_pipeline_commit(k->p, &k->err));
        OK(evs_pipeline_metrics_text(k->p, &text, &k->err));
        OK(evs_pipeline_explain_window(w, 0, &text, &k->err));
        evs_pipeline_state(k->p);
    }
    OK(evs_stream_push_end(k->source, &k->err));
    OK(evs_pipeline_wait(k->p, 30000, &k->err));
    atomic_store(&o.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(total(&k->db.committed), 5000);
}

static void test_close_and_release_while_workers_run(void **state)
{
    kit *k = *state;
    for (int round = 0; round < 10; round++) {
        evs_sink(counting(k), "txn", NULL);
        OK(evs_pipeline_start(k->p, 3, &k->err));
        feed(k, 0, round * 300);
        if (round % 2)
            OK(evs_pipeline_close(k->p, &k->err));
        evs_pipeline_unref(k->p);
        k->p = NULL;
    }
    evs_sink(counting(k), "txn", NULL);
    OK(evs_pipeline_start(k->p, 3, &k->err));
    feed(k, 0, 5000);
    OK(evs_stream_push_end(k->source, &k->err));
    OK(evs_pipeline_wait(k->p, 30000, &k->err));
    assert_int_equal(total(&k->db.committed), 5000);
}

static void test_failure_in_a_worker_is_told_by_wait(void **state)
{
    kit *k = *state;
    evs_sink(counting(k), "txn", NULL);
    k->db.for_good = true;
    k->db.fail_writes = 1;
    OK(evs_pipeline_start(k->p, 2, &k->err));
    feed_until_it_fails(k, 100);
    FAILS(evs_pipeline_wait(k->p, 30000, &k->err), EVS_ERR_IO, "step \"sink_1\": write failed");
    assert_non_null(strstr(evs_pipeline_state(k->p), "failed: step \"sink_1\""));
    FAILS(evs_pipeline_commit(k->p, &k->err), EVS_ERR_IO, "write failed");
    OK(evs_pipeline_close(k->p, &k->err));
}

static void test_failed_commits_replay_with_workers(void **state)
{
    kit *k = *state;
    evs_sink(counting(k), "txn", NULL);
    evs_pipeline_set(k->p, "retry.backoff.ms", "1ms");
    k->db.for_good = true;
    k->db.fail_commits = 3;
    OK(evs_pipeline_start(k->p, 4, &k->err));
    feed(k, 0, EVENTS);
    OK(evs_stream_push_end(k->source, &k->err));
    OK(evs_pipeline_wait(k->p, 30000, &k->err));
    assert_int_equal(total(&k->db.committed), EVENTS);
    assert_int_equal(kit_metric(k, "aborts_total"), 3);
}

static void test_sink_without_room_makes_inputs_wait(void **state)
{
    kit *k = *state;
    evs_sink(counting(k), "txn", NULL);
    k->db.no_room = 20;
    k->db.fail_flushes = 2;
    evs_pipeline_set(k->p, "retry.backoff.ms", "1ms");
    OK(evs_pipeline_start(k->p, 4, &k->err));
    feed(k, 0, EVENTS);
    OK(evs_stream_push_end(k->source, &k->err));
    OK(evs_pipeline_wait(k->p, 30000, &k->err));
    assert_int_equal(total(&k->db.committed), EVENTS);
}

static void test_misuse_of_modes(void **state)
{
    kit *k = *state;
    evs_sink(counting(k), "txn", NULL);
    FAILS(evs_pipeline_start(k->p, 0, &k->err), EVS_ERR_INVALID, "0 workers: 1 to 64");
    FAILS(evs_pipeline_start(k->p, 65, &k->err), EVS_ERR_INVALID, "65 workers");
    FAILS(evs_pipeline_wait(k->p, 0, &k->err), EVS_ERR_MISUSE, "was not started");
    OK(evs_pipeline_start(k->p, 2, &k->err));
    FAILS(evs_pipeline_start(k->p, 2, &k->err), EVS_ERR_MISUSE, "started already");
    FAILS(evs_pipeline_poll(k->p, 0, &k->err), EVS_ERR_MISUSE, "threads of its own");
    assert_int_equal(evs_pipeline_fd(k->p), -1);
    assert_int_equal(evs_pipeline_next_ms(k->p), -1);
    assert_int_equal(evs_pipeline_wait(k->p, 1, &k->err), EVS_AGAIN);
    OK(evs_pipeline_close(k->p, &k->err));
    FAILS(evs_pipeline_start(k->p, 2, &k->err), EVS_ERR_MISUSE, "the pipeline was closed");
}

static evs_status refuse(const evs_row *row, void *user_data)
{
    (void)row;
    (void)user_data;
    return EVS_ERR_IO;
}

/* results come out in the commit itself, and the host does not take them */
static void fail_in_commit(kit *k, bool threaded)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;

    counting(k);
    o.size_ms = 10000;
    o.emit = EVS_EMIT_CHANGES;
    evs_each(evs_window_by(k->source, "user", &o, "count(*) AS c"), refuse, NULL);
    evs_pipeline_set(k->p, "commit.interval.ms", "3600000");
    if (threaded)
        OK(evs_pipeline_start(k->p, 2, &k->err));
    feed(k, 0, 100);
    while (kit_metric(k, "events_in_total") < 100)
        assert_true((threaded ? evs_pipeline_wait(k->p, 1, &k->err)
                              : evs_pipeline_poll(k->p, 1, &k->err)) >= 0);
    for (int i = 0; i < 2; i++) {
        FAILS(evs_pipeline_commit(k->p, &k->err), EVS_ERR_CALLBACK, "step \"each_1\"");
        assert_non_null(strstr(evs_pipeline_state(k->p), "failed: step \"each_1\""));
    }
    if (threaded)
        FAILS(evs_pipeline_wait(k->p, 1000, &k->err), EVS_ERR_CALLBACK, "step \"each_1\"");
    else
        FAILS(evs_pipeline_poll(k->p, 0, &k->err), EVS_ERR_CALLBACK, "step \"each_1\"");
    OK(evs_pipeline_close(k->p, &k->err));
}

static void test_failure_for_good_in_a_commit_of_the_host_ends_the_pipeline(void **state)
{
    fail_in_commit(*state, false);
    fail_in_commit(*state, true);
}

/* ---- calls from several host threads, each one at a time, as the interface says ---- */

typedef struct crowd {
    kit *k;
    evs_stream *window;
    pthread_mutex_t turn;
    atomic_int next; /* event to push */
    atomic_int wrong;
    atomic_bool stop;
} crowd;

#define CROWD_EVENTS 4000

static void crowd_count(crowd *c, evs_status status, evs_error **err)
{
    if (status < 0)
        atomic_fetch_add(&c->wrong, 1);
    *err = evs_error_unref(*err);
}

static void crowd_call(crowd *c, int what)
{
    kit *k = c->k;
    evs_error *err = NULL;
    const char *text = NULL;
    evs_status status = EVS_OK;

    switch (what % 6) {
    case 0:
        status = evs_pipeline_commit(k->p, &err);
        break;
    case 1:
        status = evs_pipeline_metrics_text(k->p, &text, &err);
        break;
    case 2:
        /* while it opens there is no window yet */
        evs_pipeline_explain_window(c->window, 0, &text, NULL);
        break;
    case 3:
        status = evs_pipeline_explain(k->p, &text, &err);
        break;
    case 4:
        status = evs_stream_type(c->window) && *evs_pipeline_fingerprint(k->p) ? EVS_OK
                                                                               : EVS_ERR_INTERNAL;
        break;
    default:
        status = strncmp(evs_pipeline_state(k->p), "failed", 6) == 0 ? EVS_ERR_INTERNAL : EVS_OK;
    }
    crowd_count(c, status, &err);
}

static void crowd_push(crowd *c, int i)
{
    char text[64];
    evs_error *err = NULL;
    int len = snprintf(text, sizeof(text), "{\"user\":\"u%d\",\"n\":%d}", i % 10, i);
    evs_status status =
        evs_stream_push_bytes(c->k->source, text, (size_t)len, NULL, 0, i / 4 * 10, i % 4, &err);
    if (status == EVS_AGAIN)
        atomic_fetch_add(&c->wrong, 1); /* it is open since the start */
    crowd_count(c, status, &err);
}

static void *crowd_member(void *argument)
{
    crowd *c = argument;
    double v;
    while (!atomic_load(&c->stop)) {
        int i;
        pthread_mutex_lock(&c->turn);
        i = atomic_fetch_add(&c->next, 1);
        if (i < CROWD_EVENTS)
            crowd_push(c, i);
        if (i % 16 == 0 || i >= CROWD_EVENTS)
            crowd_call(c, i / 16);
        pthread_mutex_unlock(&c->turn);
        evs_pipeline_metric(c->k->p, "events_in_total", &v); /* any thread, any time */
    }
    return NULL;
}

static void crowd_round(kit *k, int round)
{
    crowd c = {.k = k, .turn = PTHREAD_MUTEX_INITIALIZER};
    pthread_t threads[3];

    database_clear(&k->db);
    remove_dir(k->dir);
    c.window = counting(k);
    evs_sink(c.window, "txn", NULL);
    OK(evs_pipeline_start(k->p, 4, &k->err));
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_member, &c), 0);
    while (atomic_load(&c.next) < (round % 2 ? CROWD_EVENTS : CROWD_EVENTS / 4 * round))
        usleep(1000);
    pthread_mutex_lock(&c.turn);
    atomic_store(&c.stop, true);
    if (round % 2) {
        OK(evs_stream_push_end(k->source, &k->err));
        OK(evs_pipeline_wait(k->p, 30000, &k->err));
        assert_int_equal(total(&k->db.committed), CROWD_EVENTS);
    } else {
        OK(evs_pipeline_close(k->p, &k->err));
    }
    pthread_mutex_unlock(&c.turn);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_true(round % 2 == 0 || atomic_load(&c.wrong) == 0);
    OK(evs_pipeline_close(k->p, &k->err));
}

static void test_several_host_threads_push_look_commit_and_close(void **state)
{
    for (int round = 0; round < 4; round++)
        crowd_round(*state, round);
}

/* ---- reading tables meanwhile ---- */

typedef struct table_reader {
    evs_stream *window;
    atomic_bool stop;
    atomic_long rows, ends;
    const char *fault;
} table_reader;

/* the counts of one key and window never fall; another status than these is a fault */
static bool read_key(table_reader *r, int64_t window, int64_t *seen)
{
    static const evs_value key = {.type = EVS_TYPE_VARCHAR, .data = "u3", .len = 2};
    evs_batch *b = NULL;
    int64_t c = 0;
    evs_status status = evs_table_get(r->window, &key, 1, window, &b, NULL);

    if (status == EVS_OK) {
        evs_row row = evs_batch_row(b, 0);
        evs_row_int(&row, evs_row_field(&row, "c"), &c);
        if (c < *seen || evs_batch_rows(b) != 1)
            r->fault = "a count fell";
        *seen = c;
        atomic_fetch_add(&r->rows, 1);
    }
    evs_batch_unref(b);
    if (status != EVS_OK && status != EVS_END && status != EVS_ERR_MISUSE)
        r->fault = "a reading failed";
    atomic_fetch_add(&r->ends, status == EVS_END);
    return status >= 0;
}

static bool read_all(table_reader *r)
{
    evs_table_cursor cursor = EVS_TABLE_CURSOR_INIT;
    evs_batch *b = NULL;
    evs_status status;

    while (
        !(status = evs_table_range(r->window, NULL, 0, INT64_MIN, INT64_MAX, &cursor, &b, NULL))) {
        atomic_fetch_add(&r->rows, (long)evs_batch_rows(b));
        b = evs_batch_unref(b);
    }
    if (status != EVS_END && status != EVS_ERR_MISUSE)
        r->fault = "a range failed";
    return status >= 0;
}

/* until the pipeline is closed under it */
static void *read_tables(void *arg)
{
    table_reader *r = arg;
    int64_t seen[6] = {0};
    bool goes_on = true;

    while (!r->fault && (goes_on || !atomic_load(&r->stop))) {
        goes_on = true;
        for (int w = 0; w < 6 && goes_on; w++)
            goes_on = read_key(r, w * 10000, &seen[w]);
        goes_on = goes_on && read_all(r);
    }
    return NULL;
}

static void test_tables_are_read_while_workers_count(void **state)
{
    kit *k = *state;
    for (int workers = 1; workers <= 4; workers *= 2) {
        table_reader r[2] = {{0}};
        pthread_t threads[2];
        evs_stream *w;
        database_clear(&k->db);
        remove_dir(k->dir);
        w = counting(k);
        evs_sink(w, "txn", NULL);
        OK(evs_pipeline_start(k->p, workers, &k->err));
        for (int i = 0; i < 2; i++) {
            r[i].window = w;
            assert_int_equal(pthread_create(&threads[i], NULL, read_tables, &r[i]), 0);
        }
        feed(k, 0, EVENTS);
        while (kit_metric(k, "epoch") < 1 || atomic_load(&r[0].rows) < 100)
            assert_int_equal(evs_pipeline_wait(k->p, 1, &k->err), EVS_AGAIN);
        /* as it goes on: the readers find it closed */
        OK(evs_pipeline_close(k->p, &k->err));
        for (int i = 0; i < 2; i++) {
            atomic_store(&r[i].stop, true);
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            if (r[i].fault)
                fail_msg("%s", r[i].fault);
            assert_true(atomic_load(&r[i].rows) > 0 && atomic_load(&r[i].ends) > 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_tables_are_read_while_workers_count),
        KIT_TEST(test_start_counts_everything_once_with_any_number_of_workers),
        KIT_TEST(test_each_is_called_one_at_a_time),
        KIT_TEST(test_host_commits_and_looks_while_workers_run),
        KIT_TEST(test_close_and_release_while_workers_run),
        KIT_TEST(test_failure_in_a_worker_is_told_by_wait),
        KIT_TEST(test_failed_commits_replay_with_workers),
        KIT_TEST(test_sink_without_room_makes_inputs_wait),
        KIT_TEST(test_misuse_of_modes),
        KIT_TEST(test_several_host_threads_push_look_commit_and_close),
        KIT_TEST(test_failure_for_good_in_a_commit_of_the_host_ends_the_pipeline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
