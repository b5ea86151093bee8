/*
 * Several sinks and one SQLite file: those of a pipeline write in one transaction; another pipeline
 * is refused, another process is waited for without standing still, and a transaction that SQLite
 * took back is told to each of them.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io/sqlite/connection.h"
#include "io_kit.h"

const evs_connector *evs_module_connector(void);

static evs_context *ctx;
static evs_test_memory memory;
static char folder[64], path[128];
enum { GROUP = 7, OTHER = 8 };

static int setup(void **state)
{
    (void)state;
    memset(&memory, 0, sizeof(memory));
    atomic_store(&memory.fail_at, -1);
    ctx = evs_test_context(&memory);
    snprintf(folder, sizeof(folder), "%s", kit_folder());
    snprintf(path, sizeof(path), "%s/out.db", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_remove(folder);
    ctx = evs_context_unref(ctx);
    assert_int_equal(atomic_load(&memory.live), 0);
    return 0;
}

static void open_sink(kit_sink *sink, const char *table, int32_t of, const char *busy_ms)
{
    kit_sink_shape shape = {"page VARCHAR NOT NULL, views BIGINT", 1, 0, "app", table, of};
    evs_error *err = NULL;
    assert_evs_ok(
        kit_sink_open(ctx, evs_module_connector(), &shape,
                      EVS_OPTIONS("path", path, "table", table, "busy.timeout.ms", busy_ms), sink,
                      &err),
        err);
}

static void write_ok(kit_sink *sink, const char *rows)
{
    evs_error *err = NULL;
    assert_evs_ok(kit_sink_write(sink, rows, &err), err);
}

static void commit_ok(kit_sink *sink, int64_t epoch)
{
    evs_error *err = NULL;
    assert_evs_ok(kit_sink_commit(sink, epoch, "offsets", &err), err);
}

static int64_t recover(kit_sink *sink)
{
    int64_t epoch = -2;
    const char *offsets;
    evs_error *err = NULL;
    assert_evs_ok(sink->f->recover(sink->sink, &epoch, &offsets, &err), err);
    return epoch;
}

/* what another process would see; -1: no such table */
static int64_t count(const char *table)
{
    char sql[128];
    int64_t rows = -1;
    sqlite3 *db = NULL;
    sqlite3_stmt *q = NULL;
    snprintf(sql, sizeof(sql), "SELECT count(*) FROM \"%s\"", table);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW)
        rows = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    sqlite3_close(db);
    return rows;
}

static void test_sinks_of_a_group_become_true_together(void **state)
{
    kit_sink a, b;
    (void)state;
    open_sink(&a, "a", GROUP, "10s");
    open_sink(&b, "b", GROUP, "10s");
    for (int64_t epoch = 1; epoch <= 3; epoch++) {
        write_ok(&a, "{\"page\":\"/a\",\"views\":1}");
        write_ok(&b, "{\"page\":\"/a\",\"views\":2}\n{\"page\":\"/b\",\"views\":2}");
        write_ok(&a, "{\"page\":\"/c\",\"views\":3}");
        commit_ok(&b, epoch);
        if (epoch == 1) {
            assert_int_equal(count("a"), 0);
            assert_int_equal(count("b"), 0);
        }
        commit_ok(&b, epoch); /* told again, as after a failure: counts once */
        commit_ok(&a, epoch);
        assert_int_equal(count("a"), 2);
        assert_int_equal(count("b"), 2);
        assert_int_equal(recover(&a), epoch);
        assert_int_equal(recover(&b), epoch);
    }
    kit_sink_close(&b);
    write_ok(&a, "{\"page\":\"/d\",\"views\":1}");
    commit_ok(&a, 4); /* alone now */
    assert_int_equal(count("a"), 3);
    kit_sink_close(&a);
}

static void test_abort_of_a_group_takes_everything_back(void **state)
{
    kit_sink a, b;
    (void)state;
    open_sink(&a, "a", GROUP, "10s");
    open_sink(&b, "b", GROUP, "10s");
    write_ok(&a, "{\"page\":\"/a\",\"views\":1}");
    write_ok(&b, "{\"page\":\"/a\",\"views\":1}");
    commit_ok(&b, 1);
    assert_int_equal(a.f->abort(a.sink, NULL), EVS_OK);
    assert_int_equal(b.f->abort(b.sink, NULL), EVS_OK);
    write_ok(&a, "{\"page\":\"/b\",\"views\":1}");
    commit_ok(&a, 1); /* b was told an epoch that is gone: it has to be told again */
    assert_int_equal(count("a"), 0);
    commit_ok(&b, 1);
    assert_int_equal(count("a"), 1);
    assert_int_equal(count("b"), 0);
    kit_sink_close(&a);
    kit_sink_close(&b);
}

static void test_close_in_the_middle_undoes(void **state)
{
    kit_sink a, b;
    (void)state;
    open_sink(&a, "a", GROUP, "10s");
    open_sink(&b, "b", GROUP, "10s");
    write_ok(&a, "{\"page\":\"/a\",\"views\":1}");
    commit_ok(&a, 1);
    kit_sink_close(&a);
    kit_sink_close(&b);
    assert_int_equal(count("a"), 0);
}

static void open_fails(const char *file, int32_t of, const char *journal, const char *part)
{
    kit_sink_shape shape = {"page VARCHAR NOT NULL, views BIGINT", 1, 0, "app", "c", of};
    kit_sink sink;
    evs_error *err = NULL;
    evs_status status =
        kit_sink_open(ctx, evs_module_connector(), &shape,
                      EVS_OPTIONS("path", file, "table", "c", "journal", journal), &sink, &err);
    assert_evs_error(status, err, EVS_ERR_CONFIG, part, NULL);
}

static void test_open_of_another_group_is_refused(void **state)
{
    kit_sink a, b;
    char other[160];
    (void)state;
    open_sink(&a, "a", GROUP, "10s");
    snprintf(other, sizeof(other), "%s/same.db", folder);
    assert_int_equal(link(path, other), 0);
    open_fails(path, OTHER, "wal", "one writer at a time");
    open_fails(other, OTHER, "wal", "one writer at a time");
    open_fails(path, 0, "wal", "one writer at a time");
    open_fails(path, GROUP, "delete", "journal=wal");
    open_sink(&b, "b", GROUP, "10s"); /* what was refused changed nothing */
    write_ok(&a, "{\"page\":\"/a\",\"views\":1}");
    commit_ok(&a, 1);
    commit_ok(&b, 1);
    assert_int_equal(count("a"), 1);
    kit_sink_close(&a);
    kit_sink_close(&b);
    open_sink(&b, "b", OTHER, "10s"); /* nobody has it any more */
    kit_sink_close(&b);
}

static void test_same_file_names_of_one_file(void **state)
{
    static const char *const names[][2] = {{"out.db", "out.db"},  {"out.db", "./out.db"},
                                           {"out.db", "link.db"}, {"new.db", "./new.db"},
                                           {"out.db", "new.db"},  {"none/x.db", "none/y.db"}};
    static const bool want[] = {true, true, true, true, false, false};
    kit_sink a;
    char from[160], to[160];
    (void)state;
    open_sink(&a, "a", GROUP, "10s");
    kit_sink_close(&a);
    snprintf(to, sizeof(to), "%s/link.db", folder);
    assert_int_equal(symlink(path, to), 0);
    for (size_t i = 0; i < sizeof(want); i++) {
        snprintf(from, sizeof(from), "%s/%s", folder, names[i][0]);
        snprintf(to, sizeof(to), "%s/%s", folder, names[i][1]);
        assert_int_equal(evs__sqlite_same_file(from, to), want[i]);
    }
    assert_false(evs__sqlite_same_file(":memory:", ":memory:"));
    assert_non_null(evs_module_connector()->sink->shares_transaction);
}

/* ---- another process ---- */

/* one call, as the runtime makes it: kit_sink_write() would go on until there is room */
static evs_status write_once(kit_sink *sink, const char *rows, evs_error **reterr)
{
    evs_batch *batch = kit_batch(ctx, sink->schema, rows);
    evs_status status = sink->f->write(sink->sink, batch, NULL, NULL, reterr);
    evs_batch_unref(batch);
    return status;
}

static sqlite3 *hold(void)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    return db;
}

static void test_locked_file_is_again_until_it_is_free(void **state)
{
    kit_sink a, b;
    sqlite3 *db;
    int64_t begun;
    evs_error *err = NULL;
    (void)state;
    open_sink(&a, "a", GROUP, "60s");
    open_sink(&b, "b", GROUP, "60s");
    db = hold();
    begun = kit_now_ms();
    for (int i = 0; i < 20; i++) {
        assert_int_equal(write_once(&a, "{\"page\":\"/a\",\"views\":1}", &err), EVS_AGAIN);
        assert_int_equal(a.f->commit(a.sink, 1, "", &err), EVS_AGAIN);
        assert_null(err);
    }
    assert_true(kit_now_ms() - begun < 5000); /* of 60 s: no call waits */
    sqlite3_close(db);
    write_ok(&a, "{\"page\":\"/a\",\"views\":1}");
    write_ok(&b, "{\"page\":\"/b\",\"views\":1}");
    commit_ok(&a, 1);
    commit_ok(&b, 1);
    assert_int_equal(count("a"), 1);
    assert_int_equal(count("b"), 1);
    kit_sink_close(&a);
    kit_sink_close(&b);
}

static void test_locked_file_is_told_after_the_timeout(void **state)
{
    kit_sink a, b;
    evs_error *err = NULL;
    evs_status status;
    sqlite3 *db;
    (void)state;
    open_sink(&a, "a", GROUP, "50");
    open_sink(&b, "b", GROUP, "50");
    db = hold();
    status = kit_sink_write(&b, "{\"page\":\"/b\",\"views\":1}", &err);
    assert_true(evs_error_is_retriable(err));
    assert_evs_error(status, err, EVS_ERR_UNAVAILABLE, "another process holds the database", NULL);
    err = NULL;
    status = kit_sink_commit(&a, 1, "", &err);
    assert_true(evs_error_is_retriable(err));
    assert_evs_error(status, err, EVS_ERR_UNAVAILABLE, "begin", NULL);
    sqlite3_close(db);
    write_ok(&b, "{\"page\":\"/b\",\"views\":1}"); /* and nothing is lost by having failed */
    commit_ok(&a, 1);
    commit_ok(&b, 1);
    assert_int_equal(count("b"), 1);
    kit_sink_close(&a);
    kit_sink_close(&b);
}

/* a reader stands in the way of a commit in a rollback journal: the transaction stays whole */
static void test_commit_behind_a_reader_goes_on(void **state)
{
    kit_sink_shape shape = {"page VARCHAR NOT NULL, views BIGINT", 1, 0, "app", "a", GROUP};
    kit_sink a;
    sqlite3 *db;
    evs_error *err = NULL;
    (void)state;
    assert_evs_ok(kit_sink_open(ctx, evs_module_connector(), &shape,
                                EVS_OPTIONS("path", path, "table", "a", "journal", "delete"), &a,
                                &err),
                  err);
    write_ok(&a, "{\"page\":\"/a\",\"views\":1}");
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN; SELECT * FROM a", NULL, NULL, NULL), SQLITE_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(a.f->commit(a.sink, 1, "o", &err), EVS_AGAIN);
    sqlite3_close(db);
    commit_ok(&a, 1);
    assert_int_equal(count("a"), 1);
    assert_int_equal(recover(&a), 1);
    kit_sink_close(&a);
}

/* ---- a transaction that is lost ---- */

static char *many_rows(void)
{
    char *rows = malloc(400000);
    size_t len = 0;
    for (int i = 0; i < 4000; i++)
        len += (size_t)sprintf(rows + len,
                               "{\"page\":\"/a page with a longer name %d\",\"views\":1}\n", i);
    return rows;
}

/* the size limit of the process stands in for a full disk */
static void test_full_disk_is_told_to_each_sink(void **state)
{
    struct rlimit saved, small;
    kit_sink a, b;
    evs_error *err = NULL;
    char *rows = many_rows();
    evs_status status;
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    open_sink(&a, "a", GROUP, "10s");
    open_sink(&b, "b", GROUP, "10s");
    write_ok(&a, "{\"page\":\"/a\",\"views\":1}");
    commit_ok(&a, 1);
    commit_ok(&b, 1);
    getrlimit(RLIMIT_FSIZE, &saved);
    small = saved;
    small.rlim_cur = 60000;
    setrlimit(RLIMIT_FSIZE, &small);
    write_ok(&b, "{\"page\":\"/b\",\"views\":1}");
    status = kit_sink_write(&a, rows, &err);
    if (!status)
        status = kit_sink_commit(&a, 2, "", &err);
    if (!status)
        status = kit_sink_commit(&b, 2, "", &err);
    assert_true(status == EVS_ERR_IO || status == EVS_ERR_STATE);
    err = evs_error_unref(err);
    if (kit_sink_write(&b, "{\"page\":\"/c\",\"views\":1}", &err) == EVS_OK)
        assert_true(kit_sink_commit(&b, 2, "", &err) < 0);
    err = evs_error_unref(err);
    setrlimit(RLIMIT_FSIZE, &saved);
    assert_int_equal(a.f->abort(a.sink, NULL), EVS_OK);
    assert_int_equal(b.f->abort(b.sink, NULL), EVS_OK);
    assert_int_equal(count("a"), 1);
    assert_int_equal(count("b"), 0);
    write_ok(&b, "{\"page\":\"/b\",\"views\":1}");
    write_ok(&a, rows);
    commit_ok(&a, 2);
    commit_ok(&b, 2);
    assert_int_equal(count("a"), 4001);
    assert_int_equal(count("b"), 1);
    kit_sink_close(&a);
    kit_sink_close(&b);
    free(rows);
}

static void test_sink_that_leaves_takes_the_transaction_with_it(void **state)
{
    kit_sink a, b;
    evs_error *err = NULL;
    evs_status status;
    (void)state;
    open_sink(&a, "a", GROUP, "10s");
    open_sink(&b, "b", GROUP, "10s");
    write_ok(&a, "{\"page\":\"/a\",\"views\":1}");
    kit_sink_close(&a);
    status = kit_sink_commit(&b, 1, "", &err);
    assert_evs_error(status, err, EVS_ERR_STATE, "rolled back", NULL);
    assert_int_equal(b.f->abort(b.sink, NULL), EVS_OK);
    commit_ok(&b, 1);
    assert_int_equal(count("a"), 0);
    kit_sink_close(&b);
}

static evs_status two_sinks(evs_context *context, void *user_data)
{
    kit_sink s[2];
    evs_error *err = NULL;
    evs_status status = EVS_OK;
    (void)user_data;
    memset(s, 0, sizeof(s));
    unlink(path);
    for (int i = 0; !status && i < 2; i++) {
        kit_sink_shape shape = {"page VARCHAR, views BIGINT", 1, 0, "app", i ? "b" : "a", GROUP};
        status = kit_sink_open(context, evs_module_connector(), &shape,
                               EVS_OPTIONS("path", path, "table", i ? "b" : "a"), &s[i], &err);
        if (status)
            s[i].sink = NULL;
    }
    for (int i = 0; !status && i < 2; i++) {
        evs_batch *batch = kit_batch(ctx, s[i].schema, "{\"page\":\"/a\",\"views\":1}");
        status = kit_sink_write_batch(&s[i], batch, &err);
        evs_batch_unref(batch);
    }
    for (int i = 0; !status && i < 2; i++)
        status = kit_sink_commit(&s[i], 1, "offsets", &err);
    for (int i = 0; i < 2; i++) {
        if (s[i].sink)
            kit_sink_close(&s[i]);
    }
    evs_error_unref(err);
    return status;
}

static void test_two_sinks_without_memory_are_clean(void **state)
{
    (void)state;
    evs_test_oom_sweep(two_sinks, NULL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_sinks_of_a_group_become_true_together),
        T(test_abort_of_a_group_takes_everything_back),
        T(test_close_in_the_middle_undoes),
        T(test_open_of_another_group_is_refused),
        T(test_same_file_names_of_one_file),
        T(test_locked_file_is_again_until_it_is_free),
        T(test_locked_file_is_told_after_the_timeout),
        T(test_commit_behind_a_reader_goes_on),
        T(test_full_disk_is_told_to_each_sink),
        T(test_sink_that_leaves_takes_the_transaction_with_it),
        T(test_two_sinks_without_memory_are_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
