/*
 * Epochs: the process dies at each step of a commit, sinks and disks fail, snapshots are damaged or
 * belong to something else. Every event is counted exactly once, or the refusal says why.
 */
#include <signal.h>
#include <sys/resource.h>

#include "pipeline_kit.h"

#define EVENTS 600

static evs_window_options window_options(int32_t emit)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    o.size_ms = 10000;
    o.emit = emit;
    return o;
}

typedef struct shape {
    const char *sink;
    int32_t emit;
    bool state_dir;
    bool window;
    const char *window_text; /* another plan */
    const char *partitions;
    const char *shards;
} shape;

static const shape usual = {"txn", EVS_EMIT_FINAL, true, true, NULL, "2", "4"};

static void build(kit *k, const shape *s)
{
    evs_window_options o = window_options(s->emit);
    evs_pipeline *p = kit_pipeline(k);
    evs_stream *rows;

    if (s->state_dir)
        evs_pipeline_set(p, "state.dir", k->dir);
    evs_pipeline_set(p, "commit.interval.ms", "100");
    evs_pipeline_set(p, "exchange.partitions", s->shards);
    evs_pipeline_set(p, "close.timeout.ms", "200");
    k->source = evs_source(p, "memory",
                           EVS_OPTIONS("columns", "user VARCHAR, n INT", "partitions",
                                       s->partitions, "out_of_orderness", "2s", "idle_timeout",
                                       "forever", "close_after", "forever"));
    rows = k->source;
    if (s->window)
        rows = evs_window_by(rows, "user", &o,
                             s->window_text ? s->window_text : "count(*) AS c, sum(n) AS s");
    evs_sink(rows, s->sink, NULL);
}

/* event i of the stream that every run pushes from the beginning */
static evs_status push_event(kit *k, int i, int partitions)
{
    uint64_t r = (uint64_t)i;
    uint64_t x = evs_test_random(&r);
    int64_t time = 1000000 + (int64_t)i * 100 + (int64_t)(x % 1500);
    return kit_event(k, i % partitions, time, (int)(x / 1500 % 7), i);
}

/* what must come out: computed without the library */
static char *expected(void)
{
    long counts[8][100] = {{0}}, sums[8][100] = {{0}};
    table t = {0};
    char *text;
    for (int i = 0; i < EVENTS; i++) {
        uint64_t r = (uint64_t)i;
        uint64_t x = evs_test_random(&r);
        int64_t window = (1000000 + (int64_t)i * 100 + (int64_t)(x % 1500)) / 10000 - 100;
        counts[x / 1500 % 7][window]++;
        sums[x / 1500 % 7][window] += i;
    }
    for (int u = 0; u < 8; u++) {
        for (int w = 0; w < 100; w++) {
            char line[128];
            int64_t start = 1000000 + (int64_t)w * 10000;
            if (!counts[u][w])
                continue;
            snprintf(line, sizeof(line),
                     "u%d|1970-01-01T00:%02d:%02d.000Z|1970-01-01T00:%02d:%02d.000Z|%ld|%ld", u,
                     (int)(start / 60000), (int)(start / 1000 % 60), (int)((start + 10000) / 60000),
                     (int)((start + 10000) / 1000 % 60), counts[u][w], sums[u][w]);
            table_put(&t, "", line);
        }
    }
    text = table_text(&t);
    table_clear(&t);
    return text;
}

/* run until the end or a death; the clock moves with the events, so commits are due */
static evs_status run(kit *k, const shape *s)
{
    int partitions = atoi(s->partitions);
    evs_status status = EVS_OK;
    for (int i = 0; i < EVENTS && status >= 0; i++) {
        OK(push_event(k, i, partitions));
        if (i % 13 == 0) {
            k->now_ms += 20;
            status = kit_drain(k);
        }
    }
    if (status >= 0)
        OK(evs_stream_push_end(k->source, &k->err));
    for (int i = 0; i < 1000 && status >= 0 && status != EVS_END; i++) {
        k->now_ms += 50;
        status = kit_drain(k);
    }
    if (status < 0)
        k->err = evs_error_unref(k->err);
    return status;
}

static const char *const steps[] = {"begin",     "flushed", "snapshot written", "snapshot",
                                    "authority", "others",  "sources"};

/* die once at each step, at each of several commits, then start again */
static void die_everywhere(kit *k, const shape *s)
{
    char *want = expected();
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        for (long after = 0; after < 4; after++) {
            database_clear(&k->db);
            remove_dir(k->dir);
            build(k, s);
            k->dies_at = steps[i];
            k->dies_after = after;
            assert_true(run(k, s) < 0);
            k->dies_at = NULL;
            build(k, s);
            assert_int_equal(run(k, s), EVS_END);
            assert_table(&k->db.committed, want);
        }
    }
    free(want);
}

static void test_death_at_each_step_final_results_in_a_transaction(void **state)
{
    die_everywhere(*state, &usual);
}

static void test_death_at_each_step_changes_in_a_transaction(void **state)
{
    shape s = usual;
    s.emit = EVS_EMIT_CHANGES;
    die_everywhere(*state, &s);
}

static void test_death_at_each_step_idempotent_sink(void **state)
{
    shape s = usual;
    s.sink = "upsert";
    die_everywhere(*state, &s);
    s.emit = EVS_EMIT_CHANGES;
    die_everywhere(*state, &s);
}

static void test_death_at_each_step_without_state_offsets_are_in_the_sink(void **state)
{
    kit *k = *state;
    shape s = usual;
    s.window = s.state_dir = false;
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        database_clear(&k->db);
        build(k, &s);
        k->dies_at = steps[i];
        k->dies_after = 1;
        /* there is no snapshot to be written without a folder */
        if (strcmp(steps[i], "snapshot written") != 0)
            assert_true(run(k, &s) < 0);
        k->dies_at = NULL;
        build(k, &s);
        assert_int_equal(run(k, &s), EVS_END);
        assert_int_equal(k->db.committed.count, EVENTS);
    }
}

static void test_death_between_commits_at_random_points(void **state)
{
    kit *k = *state;
    char *want = expected();
    uint64_t seed = 7;
    for (int round = 0; round < 30; round++) {
        database_clear(&k->db);
        remove_dir(k->dir);
        for (int crash = 0; crash < 3; crash++) {
            int stop = (int)(evs_test_random(&seed) % EVENTS);
            build(k, &usual);
            for (int i = 0; i < stop; i++) {
                OK(push_event(k, i, 2));
                if (evs_test_random(&seed) % 10 == 0) {
                    k->now_ms += 30;
                    assert_true(kit_drain(k) >= 0);
                }
            }
        }
        build(k, &usual);
        assert_int_equal(run(k, &usual), EVS_END);
        assert_table(&k->db.committed, want);
    }
    free(want);
}

/* ---- sinks that fail ---- */

static void test_failed_commit_goes_back_and_replays(void **state)
{
    kit *k = *state;
    char *want = expected();
    for (int with_dir = 0; with_dir < 2; with_dir++) {
        shape s = usual;
        s.state_dir = with_dir;
        database_clear(&k->db);
        remove_dir(k->dir);
        build(k, &s);
        k->db.for_good = true;
        k->db.fail_commits = 3;
        assert_int_equal(run(k, &s), EVS_END);
        assert_table(&k->db.committed, want);
        assert_int_equal(k->db.aborts, 3);
        assert_int_equal(kit_metric(k, "aborts_total"), 3);
        /* later commits fail, too: state goes back to an epoch, not to the beginning */
        database_clear(&k->db);
        remove_dir(k->dir);
        build(k, &s);
        for (int i = 0; i < 200; i++)
            OK(push_event(k, i, 2));
        k->now_ms += 1000;
        assert_int_equal(kit_drain(k), EVS_AGAIN);
        assert_true(k->db.epoch > 0);
        k->db.for_good = true;
        k->db.fail_commits = 2;
        for (int i = 200; i < EVENTS; i++)
            OK(push_event(k, i, 2));
        OK(evs_stream_push_end(k->source, &k->err));
        for (int i = 0; i < 100 && kit_drain(k) != EVS_END; i++)
            k->now_ms += 1000;
        assert_table(&k->db.committed, want);
        assert_int_equal(k->db.aborts, 2);
    }
    free(want);
}

static void test_retriable_failures_are_tried_again_and_nothing_is_lost(void **state)
{
    kit *k = *state;
    char *want = expected();
    build(k, &usual);
    k->db.fail_commits = 2;
    k->db.fail_flushes = 2;
    k->db.fail_writes = 2;
    k->db.no_room = 2;
    assert_int_equal(run(k, &usual), EVS_END);
    assert_table(&k->db.committed, want);
    assert_int_equal(k->db.aborts, 0);
    free(want);
}

static void test_state_names_the_sink_that_is_retried(void **state)
{
    kit *k = *state;
    shape s = usual;
    s.window = false;
    build(k, &s);
    k->db.fail_writes = 1000;
    OK(push_event(k, 0, 2));
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    assert_string_equal(evs_pipeline_state(k->p), "retrying: sink_1: write failed on purpose");
    k->db.fail_writes = 0;
    k->now_ms += 60000;
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    assert_string_equal(evs_pipeline_state(k->p), "running");
    assert_int_equal(k->db.committed.count, 1);
}

static void test_state_names_the_sink_that_has_no_room(void **state)
{
    kit *k = *state;
    shape s = usual;
    s.window = false;
    build(k, &s);
    k->db.no_room = 1000000;
    OK(push_event(k, 0, 2));
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    assert_string_equal(evs_pipeline_state(k->p), "waiting: sink_1: no room");
    assert_int_equal(kit_metric(k, "sink_waiting"), 1);
    k->db.no_room = 0;
    k->now_ms += 100;
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    assert_string_equal(evs_pipeline_state(k->p), "running");
    assert_int_equal(kit_metric(k, "sink_waiting"), 0);
}

static void test_write_failure_for_good_stops_the_pipeline(void **state)
{
    kit *k = *state;
    shape s = usual;
    s.window = false;
    build(k, &s);
    k->db.for_good = true;
    k->db.fail_writes = 1;
    OK(push_event(k, 0, 2));
    FAILS(kit_drain(k), EVS_ERR_IO, "step \"sink_1\": write failed on purpose");
    assert_non_null(strstr(evs_pipeline_state(k->p), "failed: step \"sink_1\""));
    FAILS(evs_pipeline_poll(k->p, 0, &k->err), EVS_ERR_IO, "write failed on purpose");
}

static void test_close_while_the_sink_is_away_takes_bounded_time(void **state)
{
    kit *k = *state;
    build(k, &usual);
    k->db.fail_flushes = 1000000;
    OK(push_event(k, 0, 2));
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    FAILS(evs_pipeline_close(k->p, &k->err), EVS_ERR_UNAVAILABLE, "flush failed");
    k->db.fail_flushes = 0;
    build(k, &usual);
    assert_int_equal(run(k, &usual), EVS_END);
    assert_true(k->db.committed.count > 0);
}

/* ---- disks that fail ---- */

static void test_unwritable_state_folder_waits_and_goes_on(void **state)
{
    kit *k = *state;
    char command[160], *want = expected();
    build(k, &usual);
    for (int i = 0; i < 100; i++)
        OK(push_event(k, i, 2));
    k->now_ms += 1000;
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    assert_int_equal(k->db.epoch, 1);
    /* root writes everywhere: the folder has to go */
    snprintf(command, sizeof(command), "mv %s/p %s/away", k->dir, k->dir);
    assert_int_equal(system(command), 0);
    OK(push_event(k, 100, 2));
    k->now_ms += 1000;
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    assert_non_null(strstr(evs_pipeline_state(k->p), "retrying: commit: state.dir: cannot write"));
    assert_int_equal(k->db.epoch, 1);
    assert_true(kit_metric(k, "commit_failures_total") > 0);
    snprintf(command, sizeof(command), "mv %s/away %s/p", k->dir, k->dir);
    assert_int_equal(system(command), 0);
    for (int i = 101; i < EVENTS; i++)
        OK(push_event(k, i, 2));
    OK(evs_stream_push_end(k->source, &k->err));
    for (int i = 0; i < 100 && kit_drain(k) != EVS_END; i++)
        k->now_ms += 1000;
    assert_table(&k->db.committed, want);
    free(want);
}

static void test_full_disk_waits_and_goes_on(void **state)
{
    kit *k = *state;
    struct rlimit old, small;
    build(k, &usual);
    for (int i = 0; i < 100; i++)
        OK(push_event(k, i, 2));
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 64;
    setrlimit(RLIMIT_FSIZE, &small);
    k->now_ms += 1000;
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_non_null(
        strstr(evs_pipeline_state(k->p), "retrying: commit: cannot write the snapshot"));
    assert_int_equal(k->db.epoch, -1);
    k->now_ms += 60000;
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    assert_int_equal(k->db.epoch, 1);
    assert_string_equal(evs_pipeline_state(k->p), "running");
}

/* ---- snapshots that do not fit ---- */

/* two commits with `s`, then abandon */
static void leave_epochs(kit *k, const shape *s)
{
    build(k, s);
    for (int i = 0; i < 100; i++)
        OK(push_event(k, i, atoi(s->partitions)));
    kit_drain(k);
    OK(evs_pipeline_commit(k->p, &k->err));
    OK(push_event(k, 100, atoi(s->partitions)));
    kit_drain(k);
    OK(evs_pipeline_commit(k->p, &k->err));
}

static void refused(kit *k, const shape *s, evs_status want, const char *part)
{
    build(k, s);
    FAILS(kit_drain(k), want, part);
    assert_non_null(strstr(evs_pipeline_state(k->p), "failed: "));
}

static void test_another_plan_is_refused_with_both_fingerprints(void **state)
{
    kit *k = *state;
    shape s = usual;
    char part[80];
    leave_epochs(k, &usual);
    snprintf(part, sizeof(part), "its fingerprint is %s", evs_pipeline_fingerprint(k->p));
    s.window_text = "count(*) AS c, max(n) AS s";
    refused(k, &s, EVS_ERR_STATE, part);
    /* without a folder the sink's offsets say the same */
    s.state_dir = s.window = false;
    refused(k, &s, EVS_ERR_STATE, "belong to another plan");
}

static void test_other_partition_count_is_refused_with_both_numbers(void **state)
{
    kit *k = *state;
    shape s = usual;
    leave_epochs(k, &usual);
    s.partitions = "3";
    refused(k, &s, EVS_ERR_STATE, "with 2 partitions of \"memory\", now there are 3");
}

static void test_other_number_of_shards_is_refused_with_both_numbers(void **state)
{
    kit *k = *state;
    shape s = usual;
    leave_epochs(k, &usual);
    s.shards = "8";
    refused(k, &s, EVS_ERR_STATE, "has exchange.partitions=4, now it is 8");
}

static void test_sink_ahead_of_the_folder_is_refused_with_both_epochs(void **state)
{
    kit *k = *state;
    leave_epochs(k, &usual);
    k->db.epoch = 9;
    refused(k, &usual, EVS_ERR_STATE, "at epoch 9, the state folder's newest is 2");
    k->db.epoch = -1;
    refused(k, &usual, EVS_ERR_STATE, "no epoch of \"p\", the state folder has epoch 2");
}

static void test_folder_in_use_is_refused(void **state)
{
    kit *k = *state;
    evs_pipeline *first;
    build(k, &usual);
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    first = k->p;
    k->p = NULL;
    build(k, &usual);
    FAILS(kit_drain(k), EVS_ERR_STATE, "in use by another pipeline");
    evs_pipeline_unref(first);
}

/* the newest snapshot with one byte changed, or cut off */
static void damage(kit *k, long at, bool cut)
{
    char path[160];
    FILE *f;
    int c;
    snprintf(path, sizeof(path), "%s/p/epoch-2.snapshot", k->dir);
    if (cut) {
        assert_int_equal(truncate(path, at), 0);
        return;
    }
    f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, at, SEEK_SET);
    c = fgetc(f);
    fseek(f, at, SEEK_SET);
    fputc(c ^ 0x20, f);
    fclose(f);
}

static void test_damaged_snapshot_is_refused_and_named(void **state)
{
    kit *k = *state;
    shape s = usual;
    struct stat st;
    char path[160], keep[160], command[400];
    s.sink = "upsert"; /* the newest snapshot decides */
    leave_epochs(k, &s);
    snprintf(path, sizeof(path), "%s/p/epoch-2.snapshot", k->dir);
    snprintf(keep, sizeof(keep), "%s/keep", k->dir);
    snprintf(command, sizeof(command), "cp %s %s", path, keep);
    assert_int_equal(system(command), 0);
    assert_int_equal(stat(path, &st), 0);
    evs_pipeline_unref(k->p);
    k->p = NULL;
    for (long at = 0; at < st.st_size; at += 1 + at / 7) {
        for (int cut = 0; cut < 2; cut++) {
            snprintf(command, sizeof(command), "cp %s %s", keep, path);
            assert_int_equal(system(command), 0);
            damage(k, at, cut);
            build(k, &s);
            FAILS(kit_drain(k), EVS_ERR_CORRUPT, "epoch-2.snapshot\" is damaged");
        }
    }
    /* the way out that the error tells: without it the epoch before goes on */
    unlink(path);
    build(k, &s);
    assert_int_equal(run(k, &s), EVS_END);
}

static void test_only_two_epochs_are_kept(void **state)
{
    kit *k = *state;
    char command[160];
    build(k, &usual);
    for (int i = 0; i < 5; i++) {
        OK(push_event(k, i, 2));
        kit_drain(k);
        OK(evs_pipeline_commit(k->p, &k->err));
    }
    snprintf(command, sizeof(command),
             "test \"$(ls %s/p | tr '\\n' ' ')\" = 'epoch-4.snapshot epoch-5.snapshot lock '",
             k->dir);
    assert_int_equal(system(command), 0);
}

static void test_commit_without_anything_new_makes_no_epoch(void **state)
{
    kit *k = *state;
    build(k, &usual);
    OK(push_event(k, 0, 2));
    kit_drain(k);
    OK(evs_pipeline_commit(k->p, &k->err));
    OK(evs_pipeline_commit(k->p, &k->err));
    k->now_ms += 10000;
    kit_drain(k);
    assert_int_equal(k->db.epoch, 1);
}

static void test_volatile_state_without_authority_fails_when_an_epoch_is_given_up(void **state)
{
    kit *k = *state;
    shape s = usual;
    s.sink = "upsert";
    s.state_dir = false;
    leave_epochs(k, &s);
    k->db.for_good = true;
    k->db.fail_flushes = 1;
    OK(push_event(k, 101, 2));
    k->now_ms += 1000;
    FAILS(kit_drain(k), EVS_ERR_STATE, "there is no state.dir");
}

static void test_sink_that_cannot_be_opened_is_tried_until_the_time_out(void **state)
{
    kit *k = *state;
    k->db.down = true;
    build(k, &usual);
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    assert_string_equal(evs_pipeline_state(k->p), "connecting");
    k->now_ms += 30000;
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    k->db.down = false;
    k->now_ms += 30000;
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    assert_string_equal(evs_pipeline_state(k->p), "running");
    k->db.down = true;
    evs_pipeline_unref(k->p);
    k->p = NULL;
    build(k, &usual);
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    k->now_ms += 62000;
    FAILS(kit_drain(k), EVS_ERR_UNAVAILABLE, "the database is down");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_death_at_each_step_final_results_in_a_transaction),
        KIT_TEST(test_death_at_each_step_changes_in_a_transaction),
        KIT_TEST(test_death_at_each_step_idempotent_sink),
        KIT_TEST(test_death_at_each_step_without_state_offsets_are_in_the_sink),
        KIT_TEST(test_death_between_commits_at_random_points),
        KIT_TEST(test_failed_commit_goes_back_and_replays),
        KIT_TEST(test_retriable_failures_are_tried_again_and_nothing_is_lost),
        KIT_TEST(test_state_names_the_sink_that_is_retried),
        KIT_TEST(test_state_names_the_sink_that_has_no_room),
        KIT_TEST(test_write_failure_for_good_stops_the_pipeline),
        KIT_TEST(test_close_while_the_sink_is_away_takes_bounded_time),
        KIT_TEST(test_unwritable_state_folder_waits_and_goes_on),
        KIT_TEST(test_full_disk_waits_and_goes_on),
        KIT_TEST(test_another_plan_is_refused_with_both_fingerprints),
        KIT_TEST(test_other_partition_count_is_refused_with_both_numbers),
        KIT_TEST(test_other_number_of_shards_is_refused_with_both_numbers),
        KIT_TEST(test_sink_ahead_of_the_folder_is_refused_with_both_epochs),
        KIT_TEST(test_folder_in_use_is_refused),
        KIT_TEST(test_damaged_snapshot_is_refused_and_named),
        KIT_TEST(test_only_two_epochs_are_kept),
        KIT_TEST(test_commit_without_anything_new_makes_no_epoch),
        KIT_TEST(test_volatile_state_without_authority_fails_when_an_epoch_is_given_up),
        KIT_TEST(test_sink_that_cannot_be_opened_is_tried_until_the_time_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
