/*
 * A full disk under whole pipelines: the snapshot folder, a database, a file of results; and a
 * state folder that cannot be made. The file size limit of the process stands in for the disk: it
 * needs no rights and hits each file alike.
 */
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "pipeline_kit.h"

enum { PUSHED = 3000 };

const evs_connector *evs_module_connector(void); /* sqlite, linked in */

static struct rlimit saved;

static void disk_is_full(rlim_t bytes)
{
    struct rlimit small = saved;
    small.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
}

static int setup(void **state)
{
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &saved);
    return kit_setup(state);
}

static void disk_has_space(void)
{
    setrlimit(RLIMIT_FSIZE, &saved);
}

static void push(kit *k, int from, int to)
{
    for (int i = from; i < to; i++)
        OK(kit_event(k, i % 2, 1000000 + i, i % 50, i));
}

/* let time pass, polling, until the state begins with `state`, or nothing more is to be had */
static void pass(kit *k, const char *state)
{
    for (int i = 0; i < 300; i++) {
        k->now_ms += 50;
        if (kit_drain(k) < 0)
            fail_msg("%s", evs_error_message(k->err));
        if (state && strncmp(evs_pipeline_state(k->p), state, strlen(state)) == 0)
            return;
    }
    if (state)
        fail_msg("never \"%s\" but \"%s\"", state, evs_pipeline_state(k->p));
}

static void finish(kit *k)
{
    evs_status status = EVS_OK;
    OK(evs_stream_push_end(k->source, &k->err));
    for (int i = 0; i < 300 && status != EVS_END; i++) {
        k->now_ms += 50;
        if ((status = kit_drain(k)) < 0)
            fail_msg("%s", evs_error_message(k->err));
    }
    if (status != EVS_END)
        fail_msg("no end, the state is \"%s\"", evs_pipeline_state(k->p));
}

static evs_pipeline *pipeline(kit *k)
{
    evs_pipeline *p = kit_pipeline(k);
    evs_pipeline_set(p, "commit.interval.ms", "100");
    evs_pipeline_set(p, "retry.backoff.ms", "10");
    k->source = evs_source(
        p, "memory",
        EVS_OPTIONS("columns", "user VARCHAR, n INT", "partitions", "2", "close_after", "forever"));
    return p;
}

static void assert_state_says(kit *k, const char *a, const char *b)
{
    const char *state = evs_pipeline_state(k->p);
    if (!strstr(state, a) || !strstr(state, b))
        fail_msg("the state is \"%s\"", state);
}

/* ---- the folder of snapshots ---- */

static void test_full_snapshot_folder_commits_nothing_until_there_is_space(void **state)
{
    kit *k = *state;
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    evs_pipeline *p = pipeline(k);
    int64_t epoch;
    o.size_ms = 10000;
    o.emit = EVS_EMIT_CHANGES;
    evs_pipeline_set(p, "state.dir", k->dir);
    evs_sink(evs_window_by(k->source, "user", &o, "count(*) AS c"), "txn", NULL);
    push(k, 0, 100);
    pass(k, NULL);
    epoch = k->db.epoch;
    assert_true(epoch > 0);
    disk_is_full(100);
    push(k, 100, PUSHED);
    pass(k, "retrying");
    assert_state_says(k, "cannot write the snapshot", "File too large");
    pass(k, NULL);
    assert_int_equal(k->db.epoch, epoch); /* the inputs are not committed */
    disk_has_space();
    pass(k, "running");
    assert_true(k->db.epoch > epoch);
    finish(k);
    assert_int_equal(k->db.committed.count, 50);
    for (size_t i = 0; i < 50; i++)
        assert_non_null(strstr(k->db.committed.rows[i].text, "|60"));
}

/* ---- a database ---- */

static int64_t count(const char *path, const char *sql)
{
    int64_t n = -1;
    sqlite3 *db = NULL;
    sqlite3_stmt *q = NULL;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW)
        n = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    sqlite3_close(db);
    return n;
}

/* `pad`: bytes a row of the second table is longer; many of them leave SQLite's cache before the
 * commit, so that it is a write that finds the disk full */
static void full_database(kit *k, const char *journal, int pad, const char *what)
{
    char path[100], columns[4096];
    int64_t before;
    (void)pipeline(k);
    snprintf(path, sizeof(path), "%s/out.db", k->dir);
    snprintf(columns, sizeof(columns), "n, user || '%0*d' AS user", pad, 0);
    OK(evs_connector_register(k->ctx, evs_module_connector(), &k->err));
    evs_sink(k->source, "sqlite", EVS_OPTIONS("path", path, "table", "a", "journal", journal));
    evs_sink(evs_project(k->source, columns), "sqlite",
             EVS_OPTIONS("path", path, "table", "b", "journal", journal));
    push(k, 0, 100);
    pass(k, NULL);
    assert_int_equal(count(path, "SELECT count(*) FROM a"), 100);
    disk_is_full(1000000);
    push(k, 100, PUSHED);
    pass(k, "retrying");
    assert_state_says(k, what, "disk");
    pass(k, NULL);
    disk_has_space();
    before = count(path, "SELECT count(*) FROM a"); /* an epoch may still have found room */
    assert_true(before >= 100 && before < PUSHED);
    assert_int_equal(count(path, "SELECT count(*) FROM b"), before);
    pass(k, "running");
    finish(k);
    assert_int_equal(count(path, "SELECT count(*) FROM a"), PUSHED);
    assert_int_equal(count(path, "SELECT count(DISTINCT n) FROM a"), PUSHED);
    assert_int_equal(count(path, "SELECT count(*) FROM b"), PUSHED);
    assert_int_equal(count(path, "SELECT count(DISTINCT n) FROM b"), PUSHED);
}

static void test_full_database_in_a_write_is_replayed(void **state)
{
    full_database(*state, "wal", 3000, "insert");
}

static void test_full_database_in_a_commit_is_replayed(void **state)
{
    full_database(*state, "wal", 500, "commit");
}

static void test_full_database_with_a_journal_is_replayed(void **state)
{
    full_database(*state, "delete", 3000, "sqlite");
}

/* ---- a file ---- */

static void test_full_file_goes_on_when_there_is_space(void **state)
{
    kit *k = *state;
    char path[100], line[64];
    bool seen[PUSHED] = {false};
    int lines = 0, n;
    FILE *f;
    (void)pipeline(k);
    snprintf(path, sizeof(path), "%s/out.jsonl", k->dir);
    evs_sink(k->source, "file", EVS_OPTIONS("path", path, "format", "json"));
    push(k, 0, 100);
    pass(k, NULL);
    disk_is_full(10000);
    push(k, 100, PUSHED);
    pass(k, "retrying");
    assert_state_says(k, "out.jsonl", "File too large");
    disk_has_space();
    pass(k, "running");
    finish(k);
    f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) { /* whole lines only */
        assert_int_equal(sscanf(line, "{\"user\":\"u%*d\",\"n\":%d}", &n), 1);
        assert_true(n >= 0 && n < PUSHED && strchr(line, '\n'));
        seen[n] = true;
        lines++;
    }
    fclose(f);
    for (int i = 0; i < PUSHED; i++)
        assert_true(seen[i]);
    assert_int_equal(lines, PUSHED); /* and none twice: what was cut goes on where it was */
}

/* ---- a folder that cannot be made ---- */

static void test_unwritable_state_folder_is_told_and_waited_for(void **state)
{
    kit *k = *state;
    char file[80], dir[100];
    evs_pipeline *p = pipeline(k);
    int fd;
    snprintf(file, sizeof(file), "%s/file", k->dir);
    snprintf(dir, sizeof(dir), "%s/state", file);
    fd = open(file, O_CREAT | O_WRONLY, 0600); /* stops root too */
    close(fd);
    evs_pipeline_set(p, "state.dir", dir);
    evs_sink(k->source, "txn", NULL);
    push(k, 0, 10);
    kit_drain(k);
    assert_state_says(k, "retrying: state.dir: cannot make folder", "Not a directory");
    assert_non_null(strstr(k->logged, "cannot make folder"));
    assert_int_equal(unlink(file), 0);
    pass(k, "running");
    finish(k);
    assert_int_equal(k->db.committed.count, 10);
}

static void test_unwritable_state_folder_is_an_error_after_the_timeout(void **state)
{
    kit *k = *state;
    char file[80];
    evs_pipeline *p = pipeline(k);
    int fd;
    snprintf(file, sizeof(file), "%s/file", k->dir);
    fd = open(file, O_CREAT | O_WRONLY, 0600);
    close(fd);
    evs_pipeline_set(p, "state.dir", file);
    evs_pipeline_set(p, "connect.timeout.ms", "1000");
    evs_sink(k->source, "txn", NULL);
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    k->now_ms += 60000;
    FAILS(kit_drain(k), EVS_ERR_IO, "state.dir: cannot make folder");
    assert_non_null(strstr(evs_pipeline_state(k->p), "failed: state.dir: cannot make folder"));
}

static int teardown(void **state)
{
    disk_has_space(); /* a test that failed left it full */
    return kit_teardown(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_full_snapshot_folder_commits_nothing_until_there_is_space),
        TEST(test_full_database_in_a_write_is_replayed),
        TEST(test_full_database_in_a_commit_is_replayed),
        TEST(test_full_database_with_a_journal_is_replayed),
        TEST(test_full_file_goes_on_when_there_is_space),
        TEST(test_unwritable_state_folder_is_told_and_waited_for),
        TEST(test_unwritable_state_folder_is_an_error_after_the_timeout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
