/*
 * The law of time in whole pipelines: final and late output do not depend on batch size, on workers
 * or on restarts; who holds the watermark, and who does not; what an outage must not do.
 */
#include <signal.h>
#include <sys/wait.h>

#include "script_kit.h"

static const evs_window_options ten_seconds = {sizeof(evs_window_options),
                                               10000,
                                               0,
                                               2000,
                                               INT64_MAX,
                                               1 << 28,
                                               EVS_WINDOW_TUMBLING,
                                               EVS_EMIT_FINAL,
                                               EVS_TIME_EVENT,
                                               EVS_NULL_KEY_DEAD_LETTER};

typedef struct setup {
    evs_window_options window;
    const char *filter;
    const char *keys;
    const char *aggregates;
    const char *options[8]; /* of the source, pairs */
    bool state_dir;
    bool late; /* late rows to the letters' database */
} setup;

static setup usual(void)
{
    return (setup){
        .window = ten_seconds,
        .keys = "user",
        .aggregates = "count(*) AS c, sum(n) AS s",
        .options = {"out_of_orderness", "3s", "idle_timeout", "forever", "close_after", "forever"},
        .late = true};
}

static evs_stream *build(kit *k, const setup *s)
{
    evs_pipeline *p = kit_pipeline(k);
    evs_options *o = NULL;
    evs_stream *rows, *window;

    OK(evs_options_new(k->ctx, &o, &k->err));
    OK(evs_options_set(o, "columns", "user VARCHAR, n INT", &k->err));
    for (int i = 0; i < 8 && s->options[i]; i += 2)
        OK(evs_options_set(o, s->options[i], s->options[i + 1], &k->err));
    evs_pipeline_set(p, "commit.interval.ms", "100");
    if (s->state_dir)
        evs_pipeline_set(p, "state.dir", k->dir);
    k->source = rows = evs_source(p, "script", o);
    if (s->filter)
        rows = evs_filter(rows, s->filter);
    window = evs_window_by(rows, s->keys, &s->window, s->aggregates);
    evs_sink(window, "txn", NULL);
    if (s->late)
        evs_sink(evs_project(evs_late(window), "user, n, window_start, lateness_ms, watermark"),
                 "upsert", EVS_OPTIONS("db", "evs.test.letters"));
    evs_options_unref(o);
    return window;
}

/* to the end, in driven mode or with threads; final rows, a line, late rows */
static char *outcome(kit *k, const setup *s, int workers)
{
    char *final_rows, *late_rows, *both;
    evs_status status;

    database_clear(&k->db);
    database_clear(&k->letters);
    build(k, s);
    the_script.bounded = true;
    for (int i = 0; i < SCRIPT_PARTITIONS; i++)
        the_script.parts[i].committed = -1;
    if (workers) {
        k->p->hooks = (evs__hooks){NULL, NULL, NULL};
        OK(evs_pipeline_start(k->p, workers, &k->err));
        OK(evs_pipeline_wait(k->p, 20000, &k->err));
    } else {
        while ((status = kit_drain(k)) != EVS_END) {
            assert_int_equal(status, EVS_AGAIN);
            k->now_ms += 50;
        }
    }
    OK(evs_pipeline_close(k->p, &k->err));
    final_rows = table_text(&k->db.committed);
    late_rows = table_text(&k->letters.committed);
    both = malloc(strlen(final_rows) + strlen(late_rows) + 16);
    sprintf(both, "%s\n---\n%s", final_rows, late_rows);
    free(final_rows);
    free(late_rows);
    return both;
}

static const size_t cuts[] = {1, 2, 3, 7, 64, 500, 4096};
#define CUTS (sizeof(cuts) / sizeof(*cuts))

/* times that walk forward, `behind` at most behind the highest so far */
static void random_rows(script *s, int32_t partition, int count, int64_t behind, uint64_t seed)
{
    int64_t high = 1000000;
    for (int i = 0; i < count; i++) {
        int64_t t;
        high += (int64_t)(evs_test_random(&seed) % 60);
        t = high - (int64_t)(evs_test_random(&seed) % (uint64_t)(behind + 1));
        script_row(s, partition, t, (int)(evs_test_random(&seed) % 9), i);
    }
}

static void test_one_partition_late_rows_same_for_every_batch_size_and_worker_count(void **state)
{
    kit *k = *state;
    setup s = usual();
    char *want = NULL;

    /* most are in time, some far too late */
    for (uint64_t seed = 1; seed <= 5; seed++) {
        script_clear(&the_script);
        random_rows(&the_script, 0, 3000, 30000, seed);
        free(want);
        the_script.cut = 1;
        want = outcome(k, &s, 0);
        assert_true(k->letters.committed.count > 100);
        for (size_t i = 0; i < CUTS; i++) {
            for (int workers = 0; workers <= 4; workers = workers ? workers * 2 : 1) {
                char *got;
                the_script.cut = cuts[i];
                got = outcome(k, &s, workers);
                assert_string_equal(got, want);
                free(got);
            }
        }
    }
    free(want);
}

/* what windows must hold when nothing is late */
static char *counted(int partitions)
{
    static long counts[16][4000], sums[16][4000];
    table t = {0};
    char *text, *all;
    memset(counts, 0, sizeof(counts));
    memset(sums, 0, sizeof(sums));
    for (int p = 0; p < partitions; p++) {
        for (size_t i = 0; i < the_script.parts[p].count; i++) {
            const script_event *e = &the_script.parts[p].events[i];
            int user, n;
            sscanf(e->value, "{\"user\":\"u%d\",\"n\":%d}", &user, &n);
            counts[user][e->time / 10000]++;
            sums[user][e->time / 10000] += n;
        }
    }
    for (int u = 0; u < 16; u++) {
        for (int w = 0; w < 4000; w++) {
            char line[128];
            int a = w * 10, b = a + 10;
            if (!counts[u][w])
                continue;
            snprintf(line, sizeof(line),
                     "u%d|1970-01-01T%02d:%02d:%02d.000Z|1970-01-01T%02d:%02d:%02d.000Z|%ld|%ld", u,
                     a / 3600, a / 60 % 60, a % 60, b / 3600, b / 60 % 60, b % 60, counts[u][w],
                     sums[u][w]);
            table_put(&t, "", line);
        }
    }
    text = table_text(&t);
    table_clear(&t);
    all = malloc(strlen(text) + 16);
    sprintf(all, "%s\n---\n", text);
    free(text);
    return all;
}

static void test_partitions_in_any_interleaving_within_their_disorder_same_output(void **state)
{
    kit *k = *state;
    setup s = usual();

    for (uint64_t seed = 1; seed <= 12; seed++) {
        char *want;
        script_clear(&the_script);
        the_script.partitions = 1 + (int32_t)(seed % 5);
        for (int32_t p = 0; p < the_script.partitions; p++)
            random_rows(&the_script, p, 700, 5000, seed * 100 + (uint64_t)p); /* 3 s and grace */
        want = counted(the_script.partitions);
        for (int workers = 0; workers <= 4; workers = workers ? workers * 2 : 1) {
            char *got;
            the_script.mix = seed * 7 + (uint64_t)workers;
            the_script.cut = cuts[(seed + (uint64_t)workers) % CUTS];
            got = outcome(k, &s, workers);
            if (strcmp(got, want) != 0)
                print_message("seed %d workers %d\n", (int)seed, workers);
            assert_string_equal(got, want);
            free(got);
        }
        free(want);
    }
}

static void test_restart_at_any_epoch_same_output(void **state)
{
    kit *k = *state;
    setup s = usual();
    s.state_dir = true;
    s.late = false;

    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t r = seed;
        char *want, *got, *all;
        evs_status status = EVS_OK;
        script_clear(&the_script);
        remove_dir(k->dir);
        database_clear(&k->db);
        the_script.bounded = true;
        the_script.partitions = 3;
        the_script.mix = seed;
        the_script.cut = cuts[seed % CUTS];
        for (int32_t p = 0; p < 3; p++)
            random_rows(&the_script, p, 400, 5000, seed * 100 + (uint64_t)p);
        want = counted(3);
        while (status != EVS_END) {
            int polls = (int)(evs_test_random(&r) % 60);
            build(k, &s);
            for (int i = 0; i < polls + 3 && status != EVS_END; i++) {
                k->now_ms += (int64_t)(evs_test_random(&r) % 60);
                status = evs_pipeline_poll(k->p, 0, &k->err);
                assert_true(status >= 0);
            }
        }
        got = table_text(&k->db.committed);
        all = malloc(strlen(got) + 16);
        sprintf(all, "%s\n---\n", got);
        assert_string_equal(all, want);
        free(want);
        free(got);
        free(all);
    }
}

/* ---- who moves time ---- */

static const char *committed(kit *k)
{
    static char text[65536];
    char *rows = table_text(&k->db.committed);
    snprintf(text, sizeof(text), "%s", rows);
    free(rows);
    return text;
}

static void test_filtered_rows_move_time(void **state)
{
    kit *k = *state;
    setup s = usual();
    s.filter = "n = 1";
    build(k, &s);
    script_row(&the_script, 0, 1000, 1, 1);
    script_row(&the_script, 0, 40000, 1, 2); /* filtered out, closes the window of the first */
    script_row(&the_script, 0, 2000, 1, 1);  /* late by then */
    script_run_for(k, 400, 50);
    assert_string_equal(committed(k), "u1|1970-01-01T00:00:00.000Z|1970-01-01T00:00:10.000Z|1|1");
    assert_int_equal(k->letters.committed.count, 1);
}

static void test_watermark_reaches_shards_without_rows(void **state)
{
    kit *k = *state;
    setup s = usual();
    build(k, &s);
    for (int user = 0; user < 9; user++)
        script_row(&the_script, 0, 1000, user, 1);
    for (int i = 0; i < 5; i++)
        script_row(&the_script, 0, 40000, 1, 1); /* one key: one shard */
    script_run_for(k, 400, 50);
    assert_int_equal(k->db.committed.count, 9);
}

static void test_silent_partition_holds_until_idle_and_only_at_its_end(void **state)
{
    kit *k = *state;
    setup s = usual();
    s.options[3] = "2s";
    the_script.partitions = 2;
    the_script.parts[1].state = EVS_PARTITION_FETCHING;
    build(k, &s);
    script_row(&the_script, 0, 1000, 1, 1);
    script_row(&the_script, 0, 40000, 1, 1);
    script_run_for(k, 10000, 100);
    assert_int_equal(k->db.committed.count, 0); /* nobody knows that partition 1 is at its end */
    the_script.parts[1].state = EVS_PARTITION_DISCONNECTED;
    script_run_for(k, 10000, 100);
    assert_int_equal(k->db.committed.count, 0);
    the_script.parts[1].state = EVS_PARTITION_AT_END;
    script_run_for(k, 1500, 100);
    assert_int_equal(k->db.committed.count, 0);
    script_run_for(k, 1500, 100);
    assert_int_equal(k->db.committed.count, 1);
}

/* time goes on with each read; how many results there are while there is still much to read */
typedef struct busy {
    kit *k;
    size_t results;
} busy;

static void on_busy_read(void *user)
{
    busy *b = user;
    b->k->now_ms += 20;
    if (the_script.parts[0].next < 390)
        b->results = b->k->db.committed.count;
}

static void test_partition_without_rows_becomes_idle_while_others_are_busy(void **state)
{
    kit *k = *state;
    setup s = usual();
    busy b = {k, 0};
    s.options[3] = "2s";
    the_script.partitions = 2;
    the_script.cut = 1;
    build(k, &s);
    for (int i = 0; i < 400; i++)
        script_row(&the_script, 0, 1000 + i * 1000, i % 9, 1);
    the_script.on_read = on_busy_read;
    the_script.on_read_user = &b;
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    assert_true(b.results > 100);
}

static void test_close_after_closes_windows_by_the_clock(void **state)
{
    kit *k = *state;
    setup s = usual();
    s.options[5] = "4s";
    build(k, &s);
    script_row(&the_script, 0, 1005000, 1, 1);
    script_run_for(k, 3900, 100);
    assert_int_equal(k->db.committed.count, 0);
    /* watermark 1002000 goes on from where it stood: to 1012000 after 10 s of silence */
    script_run_for(k, 5500, 100);
    assert_int_equal(k->db.committed.count, 0);
    script_run_for(k, 1500, 100);
    assert_int_equal(k->db.committed.count, 1);
    /* events that go on with the clock are in time */
    script_row(&the_script, 0, 1005000 + 11000, 1, 1);
    script_run_for(k, 300, 100);
    assert_int_equal(k->letters.committed.count, 0);
}

static void test_outage_makes_nothing_late(void **state)
{
    kit *k = *state;
    setup s = usual();
    s.options[3] = "1s";
    s.options[5] = "2s";
    the_script.partitions = 2;
    build(k, &s);
    script_row(&the_script, 0, 1001000, 1, 1);
    script_row(&the_script, 1, 1001000, 2, 1);
    script_run_for(k, 500, 100);
    the_script.parts[0].state = the_script.parts[1].state = EVS_PARTITION_DISCONNECTED;
    script_run_for(k, 60000, 500);
    for (int i = 0; i < 60; i++) {
        script_row(&the_script, 0, 1002000 + i * 1000, 1, 1);
        script_row(&the_script, 1, 1002000 + i * 1000, 2, 1);
    }
    /* the backlog comes partition by partition, some time apart */
    the_script.parts[1].visible = 1;
    the_script.parts[0].state = EVS_PARTITION_AT_END;
    the_script.parts[1].state = EVS_PARTITION_FETCHING;
    script_run_for(k, 3000, 100);
    the_script.parts[1].visible = the_script.parts[1].count;
    the_script.parts[1].state = EVS_PARTITION_AT_END;
    script_run_for(k, 500, 100);
    assert_int_equal(k->letters.committed.count, 0);
    assert_int_equal(kit_metric(k, "late_total"), 0);
}

static void test_partition_idle_at_the_last_epoch_holds_again_after_a_restart(void **state)
{
    kit *k = *state;
    setup s = usual();
    s.options[3] = "1s";
    s.state_dir = true;
    the_script.partitions = 2;
    the_script.cut = 5;
    build(k, &s);
    script_row(&the_script, 0, 1001000, 1, 1);
    script_run_for(k, 3000, 100); /* partition 1 is idle, it never had an event */
    script_row(&the_script, 0, 1001500, 1, 1);
    script_run_for(k, 500, 100);
    OK(evs_pipeline_close(k->p, &k->err));
    /* while nobody looked both got a backlog; partition 0's comes first */
    for (int i = 0; i < 60; i++) {
        script_row(&the_script, 0, 1002000 + i * 1000, 1, 1);
        script_row(&the_script, 1, 1002000 + i * 1000, 2, 1);
    }
    the_script.parts[1].visible = 0;
    the_script.parts[1].state = EVS_PARTITION_FETCHING;
    build(k, &s);
    for (int i = 0; i < 30; i++)
        assert_true(evs_pipeline_poll(k->p, 0, &k->err) >= 0);
    the_script.parts[1].visible = the_script.parts[1].count;
    script_run_for(k, 500, 100);
    assert_int_equal(k->letters.committed.count, 0);
}

static void test_gap_between_polls_fetched_data_comes_first(void **state)
{
    kit *k = *state;
    setup s = usual();
    s.options[3] = "1s";
    s.options[5] = "2s";
    the_script.partitions = 2;
    the_script.cut = 3;
    build(k, &s);
    script_row(&the_script, 0, 1001000, 1, 1);
    script_row(&the_script, 1, 1001000, 2, 1);
    script_run_for(k, 300, 100);
    /* the host does not poll for ten minutes, in which events came */
    k->now_ms += 600000;
    for (int i = 0; i < 600; i++) {
        script_row(&the_script, 0, 1002000 + i * 1000, 1, 1);
        script_row(&the_script, 1, 1002000 + i * 1000, 2, 1);
    }
    script_run_for(k, 100, 100);
    assert_int_equal(k->letters.committed.count, 0);
}

/* the watermark does not know of the gap: nothing that comes after it is late */
static void test_gap_between_polls_does_not_count_though_data_comes_later(void **state)
{
    kit *k = *state;
    setup s = usual();
    s.options[5] = "2s";
    build(k, &s);
    script_row(&the_script, 0, 1001000, 1, 1);
    script_run_for(k, 2500, 100); /* close_after has begun to move time */
    k->now_ms += 600000;
    /* what was sent meanwhile is still on its way: the end known from before is no end */
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    k->now_ms += 100;
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    for (int i = 0; i < 600; i++)
        script_row(&the_script, 0, 1001000 + i * 1000, 1, 1);
    script_run_for(k, 300, 100);
    assert_int_equal(kit_metric(k, "late_total"), 0);
}

static void test_host_that_polls_seldom_still_closes_windows(void **state)
{
    kit *k = *state;
    setup s = usual();
    s.options[5] = "2s";
    build(k, &s);
    script_row(&the_script, 0, 1001000, 1, 1);
    for (int i = 0; i < 30 && !k->db.committed.count; i++) {
        assert_int_equal(kit_drain(k), EVS_AGAIN);
        k->now_ms += 5000;
    }
    assert_int_equal(k->db.committed.count, 1);
}

/* ---- the process is stopped: no poll, no fetch, no worker ---- */

/* for so long, with workers or by polling */
static bool go_on(kit *k, int workers, int64_t ms)
{
    int64_t end = evs__monotonic_ms() + ms;
    if (workers)
        evs__pause_ms(ms);
    while (!workers && evs__monotonic_ms() < end) {
        if (evs_pipeline_poll(k->p, 20, NULL) < 0)
            return false;
    }
    return true;
}

/* In a process of its own, without assertions: whether the event after the stop was in time. The
 * one before it is at the window's begin, it is 10 ms before the window's end. */
static bool stopped_child(kit *k, int workers)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    double late = -1;
    evs_status status;

    o.size_ms = 1000;
    kit_pipeline(k);
    k->p->hooks = (evs__hooks){NULL, NULL, NULL};
    k->source = evs_source(k->p, "memory",
                           EVS_OPTIONS("columns", "user VARCHAR, n INT", "out_of_orderness", "0",
                                       "close_after", "100ms", "idle_timeout", "forever"));
    evs_sink(evs_window_by(k->source, "user", &o, "count(*) AS c"), "upsert", NULL);
    if (workers && evs_pipeline_start(k->p, workers, NULL))
        return false;
    while ((status = kit_event(k, 0, 1000000, 1, 1)) == EVS_AGAIN)
        evs__pause_ms(5); /* workers are opening it */
    if (status || !go_on(k, workers, 200))
        return false;
    raise(SIGSTOP);
    if (!go_on(k, workers, 100) || kit_event(k, 0, 1000990, 1, 1) || !go_on(k, workers, 150))
        return false;
    return !evs_pipeline_metric(k->p, "late_total", &late) && late == 0;
}

static void stop_and_go_on(kit *k, int workers)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child)
        _exit(stopped_child(k, workers) ? 0 : 1);
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    evs__pause_ms(1300);
    kill(child, SIGCONT);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_stopped_process_goes_on_where_its_clocks_stood(void **state)
{
    stop_and_go_on(*state, 0);
}

static void test_stopped_process_with_workers_goes_on_where_its_clocks_stood(void **state)
{
    stop_and_go_on(*state, 2);
}

/* ---- why a window is open ---- */

static const char *explained(kit *k, evs_stream *window, int64_t start)
{
    static const char *text;
    text = NULL;
    OK(evs_pipeline_explain_window(window, start, &text, &k->err));
    return text;
}

static void test_explain_window_names_the_partition_that_holds_it_and_for_how_long(void **state)
{
    kit *k = *state;
    setup s = usual();
    evs_stream *w;
    const char *text;
    the_script.partitions = 2;
    s.window.grace_ms = 3000;
    w = build(k, &s);
    script_row(&the_script, 0, 1004000, 1, 1);
    script_row(&the_script, 1, 1004000, 1, 1);
    script_run_for(k, 1000, 100);
    for (int i = 0; i < 30; i++) {
        script_row(&the_script, 0, 1005000 + i * 1000, 1, 1);
        script_run_for(k, 100, 100);
    }
    text = explained(k, w, 1000000);
    /* out of orderness is 3 s; partition 1 stands since the start, partition 0 holds nobody */
    assert_non_null(strstr(text, "watermark: 1970-01-01T00:16:41.000Z\n"));
    assert_non_null(strstr(text,
                           "\nheld by step \"source_1\" topic \"t\" partition 1 (at its end) at "
                           "1970-01-01T00:16:41.000Z, for 4s (since 1970-01-01T00:16:40.000Z)\n"));
    assert_null(strstr(text, "partition 0"));
    assert_non_null(strstr(text, "\ngrace left: 3s of 3s\n"));
    /* into the grace of the window: 2 of its 3 seconds are gone */
    script_row(&the_script, 1, 1015000, 1, 1);
    script_run_for(k, 300, 100);
    text = explained(k, w, 1000000);
    assert_non_null(strstr(text, "\ngrace left: 1s of 3s\n"));
    assert_non_null(
        strstr(text, "partition 1 (at its end) at 1970-01-01T00:16:52.000Z, for 200ms"));
}

static void test_explain_window_without_exchange_names_the_shards_own_partition(void **state)
{
    kit *k = *state;
    evs_window_options minute = ten_seconds;
    evs_stream *first, *second;
    const char *text, *shard;
    the_script.partitions = 3;
    minute.size_ms = 60000;
    k->source = evs_source(kit_pipeline(k), "script",
                           EVS_OPTIONS("columns", "user VARCHAR, n INT", "out_of_orderness", "0",
                                       "idle_timeout", "forever", "close_after", "forever",
                                       "key.partitioned_by", "user"));
    first = evs_window_by(k->source, "user", &ten_seconds, "count(*) AS c");
    second = evs_window_by(first, "", &minute, "sum(c) AS c");
    evs_sink(second, "txn", NULL);
    script_row(&the_script, 0, 1000000, 1, 1);
    script_row(&the_script, 1, 1001000, 2, 1);
    script_row(&the_script, 2, 1002000, 3, 1);
    script_run_for(k, 200, 100);
    text = explained(k, first, 1000000);
    for (int i = 0; i < 3; i++) {
        char want[80];
        snprintf(want, sizeof(want), "shard %d\n", i);
        shard = strstr(text, want);
        assert_non_null(shard);
        shard = strstr(shard, "held by ");
        snprintf(want, sizeof(want), "held by step \"source_1\" topic \"t\" partition %d (", i);
        assert_memory_equal(shard, want, strlen(want));
    }
    text = explained(k, second, 1000000);
    assert_non_null(strstr(text, "held by shard 0 of step \"window_1\" at "));
}

static void test_window_behind_a_window_closes_though_a_partition_is_idle(void **state)
{
    kit *k = *state;
    evs_window_options minute = ten_seconds;
    evs_stream *first;
    evs_pipeline *p = kit_pipeline(k);
    minute.size_ms = 60000;
    minute.grace_ms = 0;
    the_script.partitions = 2;
    k->source = evs_source(p, "script",
                           EVS_OPTIONS("columns", "user VARCHAR, n INT", "out_of_orderness", "0",
                                       "idle_timeout", "1s", "close_after", "forever",
                                       "key.partitioned_by", "user"));
    first = evs_window_by(k->source, "user", &ten_seconds, "count(*) AS c");
    evs_sink(evs_window_by(first, "user", &minute, "sum(c) AS c"), "txn", NULL);
    evs_pipeline_set(p, "commit.interval.ms", "100");
    for (int i = 0; i < 20; i++)
        script_row(&the_script, 0, i * 10000, 1, 1);
    script_run_for(k, 5000, 100);
    assert_int_equal(k->db.committed.count, 3);
}

static void test_window_behind_a_window_waits_for_all_shards(void **state)
{
    kit *k = *state;
    evs_window_options minute = ten_seconds;
    evs_stream *first;
    evs_pipeline *p = kit_pipeline(k);
    minute.size_ms = 60000;
    minute.grace_ms = 0;
    k->source = evs_source(p, "script",
                           EVS_OPTIONS("columns", "user VARCHAR, n INT", "out_of_orderness", "0",
                                       "idle_timeout", "forever", "close_after", "forever"));
    first = evs_window_by(k->source, "user", &ten_seconds, "count(*) AS c");
    evs_sink(evs_window_by(first, "", &minute, "sum(c) AS c"), "txn", NULL);
    for (int i = 0; i < 240; i++)
        script_row(&the_script, 0, i * 1000, i % 9, 1);
    the_script.bounded = true;
    while (kit_drain(k) != EVS_END)
        k->now_ms += 100;
    assert_int_equal(kit_metric(k, "late_total"), 0);
    assert_table(&k->db.committed, "1970-01-01T00:00:00.000Z|1970-01-01T00:01:00.000Z|60\n"
                                   "1970-01-01T00:01:00.000Z|1970-01-01T00:02:00.000Z|60\n"
                                   "1970-01-01T00:02:00.000Z|1970-01-01T00:03:00.000Z|60\n"
                                   "1970-01-01T00:03:00.000Z|1970-01-01T00:04:00.000Z|60");
}

static void test_aligned_partitions_reach_the_end(void **state)
{
    kit *k = *state;
    setup s = usual();
    char *want, *got;
    s.options[6] = "alignment";
    s.options[7] = "5s";
    the_script.partitions = 2;
    the_script.cut = 10;
    for (int i = 0; i < 50; i++) {
        script_row(&the_script, 0, 1000000 + i * 10, 1, 1);
        script_row(&the_script, 1, 1000000 + i * 10000, 2, 1);
    }
    want = counted(2);
    for (int workers = 0; workers < 3; workers++) {
        got = outcome(k, &s, workers);
        assert_string_equal(got, want);
        free(got);
    }
    free(want);
}

static void test_input_added_after_the_end_goes_on_behind_the_closed_windows(void **state)
{
    kit *k = *state;
    setup s = usual();
    s.state_dir = true;
    the_script.bounded = true;
    for (int run = 0; run < 3; run++) {
        for (int i = 0; i < 5; i++)
            script_row(&the_script, 0, run * 50000 + i * 5000, 1, 1);
        if (run)
            script_row(&the_script, 0, run * 50000 - 40000, 1, 1); /* its window had closed */
        build(k, &s);
        while (kit_drain(k) != EVS_END)
            k->now_ms += 100;
        OK(evs_pipeline_close(k->p, &k->err));
        assert_int_equal(k->db.committed.count, 3 * (run + 1));
        assert_int_equal(k->letters.committed.count, run);
    }
}

static void test_time_stream_is_the_highest_time_without_delay(void **state)
{
    kit *k = *state;
    setup s = usual();
    s.options[6] = "time";
    s.options[7] = "stream";
    the_script.partitions = 2;
    build(k, &s);
    script_row(&the_script, 0, 1000, 1, 1);
    script_row(&the_script, 0, 11999, 1, 1);
    script_run_for(k, 300, 100);
    assert_int_equal(k->db.committed.count, 0);
    script_row(&the_script, 1, 12000, 2, 1); /* end + grace, in the other partition */
    script_run_for(k, 300, 100);
    assert_string_equal(committed(k), "u1|1970-01-01T00:00:00.000Z|1970-01-01T00:00:10.000Z|1|1");
    script_row(&the_script, 0, 9999, 1, 1);
    script_run_for(k, 300, 100);
    assert_int_equal(k->letters.committed.count, 1);
}

static void test_future_guard_refuses_and_does_not_move_time(void **state)
{
    kit *k = *state;
    setup s = usual();
    s.options[6] = "future_max";
    s.options[7] = "1h";
    build(k, &s);
    k->now_ms = 5000000;
    script_row(&the_script, 0, 5000000, 1, 1);
    script_row(&the_script, 0, INT64_MAX, 1, 1);
    script_row(&the_script, 0, 5000000 + 3600001, 1, 1);
    script_row(&the_script, 0, 5001000, 1, 1);
    script_run_for(k, 300, 100);
    assert_int_equal(kit_metric(k, "dead_letters_total"), 2);
    assert_int_equal(k->db.committed.count, 0);
    assert_int_equal(k->letters.committed.count, 0);
}

/* event.time from a column, so that any 64-bit number can be told */
static void extremes(kit *k, const char *on, int64_t dead, size_t finals)
{
    evs_pipeline *p = kit_pipeline(k);
    evs_window_options o = ten_seconds;
    evs_stream *window;
    database_clear(&k->db);
    database_clear(&k->letters);
    script_clear(&the_script);
    the_script.bounded = true;
    k->source = evs_source(p, "script",
                           EVS_OPTIONS("columns", "user VARCHAR, at BIGINT", "event.time", "at",
                                       "out_of_orderness", "3s", "idle_timeout", "forever",
                                       "close_after", "forever"));
    window = evs_window_by(k->source, "user", &o, "count(*) AS c");
    evs_sink(window, "txn", NULL);
    evs_dead_letters(p, "upsert", EVS_OPTIONS("db", "evs.test.letters"));
    script_add(&the_script, 0, 0, "{\"user\":\"a\",\"at\":-9223372036854775807}");
    script_add(&the_script, 0, 0, "{\"user\":\"a\",\"at\":-9223372036854775808}");
    script_add(&the_script, 0, 0, "{\"user\":\"a\",\"at\":-1}");
    script_add(&the_script, 0, 0, "{\"user\":\"a\",\"at\":0}");
    script_add(&the_script, 0, 0, on);
    script_add(&the_script, 0, 0, "{\"user\":\"a\",\"at\":9223372036854775807}");
    while (kit_drain(k) != EVS_END)
        k->now_ms += 1000;
    assert_int_equal(kit_metric(k, "dead_letters_total"), dead);
    assert_int_equal(k->letters.committed.count, dead);
    assert_int_equal(k->db.committed.count, finals);
}

static void test_extreme_times_are_counted_or_told(void **state)
{
    kit *k = *state;
    /* INT64_MIN and -1 are no times; the earliest window saturates, the latest one too */
    extremes(k, "{\"user\":\"a\",\"at\":1000}", 2, 3);
    /* beside a row that is refused for another reason */
    extremes(k, "{\"user\":\"a\",\"at\":null}", 3, 3);
}

static void test_rows_without_time_are_dead_letters_only_where_time_is_needed(void **state)
{
    kit *k = *state;
    for (int kind = 0; kind < 4; kind++) {
        evs_pipeline *p = kit_pipeline(k);
        evs_window_options o = ten_seconds;
        evs_stream *rows;
        database_clear(&k->db);
        script_clear(&the_script);
        the_script.bounded = true;
        rows = evs_source(p, "script",
                          EVS_OPTIONS("columns", "user VARCHAR, at VARCHAR", "event.time", "at"));
        o.time = kind == 1 ? EVS_TIME_PROCESSING : EVS_TIME_EVENT;
        if (kind == 3)
            evs_sink(evs_filter(rows, "TRUE"), "upsert", EVS_OPTIONS("db", "evs.test.letters"));
        evs_sink(kind ? kind == 1
                            ? evs_window_by(evs_filter(rows, "TRUE"), "user", &o, "count(*) AS c")
                        : kind == 2 ? evs_window_by(rows, "user", &o, "count(*) AS c")
                                    : evs_window_by(rows, "user", &o, "count(*) AS c")
                      : rows,
                 "txn", NULL);
        script_add(&the_script, 0, 0, "{\"user\":\"a\",\"at\":\"2020-01-01T00:00:00Z\"}");
        script_add(&the_script, 0, 0, "{\"user\":\"b\",\"at\":\"soon\"}");
        script_add(&the_script, 0, 0, "{\"user\":\"c\",\"at\":null}");
        script_add(&the_script, 0, 0, "{\"user\":\"d\"}");
        while (kit_drain(k) != EVS_END)
            k->now_ms += 1000;
        assert_int_equal(kit_metric(k, "dead_letters_total"), kind >= 2 ? 3 : 0);
        assert_int_equal(k->db.committed.count, kind >= 2 ? 1 : 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRIPT_TEST(test_one_partition_late_rows_same_for_every_batch_size_and_worker_count),
        SCRIPT_TEST(test_partitions_in_any_interleaving_within_their_disorder_same_output),
        SCRIPT_TEST(test_restart_at_any_epoch_same_output),
        SCRIPT_TEST(test_filtered_rows_move_time),
        SCRIPT_TEST(test_watermark_reaches_shards_without_rows),
        SCRIPT_TEST(test_silent_partition_holds_until_idle_and_only_at_its_end),
        SCRIPT_TEST(test_partition_without_rows_becomes_idle_while_others_are_busy),
        SCRIPT_TEST(test_close_after_closes_windows_by_the_clock),
        SCRIPT_TEST(test_outage_makes_nothing_late),
        SCRIPT_TEST(test_partition_idle_at_the_last_epoch_holds_again_after_a_restart),
        SCRIPT_TEST(test_gap_between_polls_fetched_data_comes_first),
        SCRIPT_TEST(test_gap_between_polls_does_not_count_though_data_comes_later),
        SCRIPT_TEST(test_host_that_polls_seldom_still_closes_windows),
        SCRIPT_TEST(test_stopped_process_goes_on_where_its_clocks_stood),
        SCRIPT_TEST(test_stopped_process_with_workers_goes_on_where_its_clocks_stood),
        SCRIPT_TEST(test_explain_window_names_the_partition_that_holds_it_and_for_how_long),
        SCRIPT_TEST(test_explain_window_without_exchange_names_the_shards_own_partition),
        SCRIPT_TEST(test_window_behind_a_window_closes_though_a_partition_is_idle),
        SCRIPT_TEST(test_window_behind_a_window_waits_for_all_shards),
        SCRIPT_TEST(test_aligned_partitions_reach_the_end),
        SCRIPT_TEST(test_input_added_after_the_end_goes_on_behind_the_closed_windows),
        SCRIPT_TEST(test_time_stream_is_the_highest_time_without_delay),
        SCRIPT_TEST(test_future_guard_refuses_and_does_not_move_time),
        SCRIPT_TEST(test_extreme_times_are_counted_or_told),
        SCRIPT_TEST(test_rows_without_time_are_dead_letters_only_where_time_is_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
