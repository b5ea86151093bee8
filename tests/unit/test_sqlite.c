/*
 * The SQLite sink: upserts and deletes, epochs, what an abort, a lock, a full disk and another
 * table do; read back with SQLite itself.
 */
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io_kit.h"

const evs_connector *evs_module_connector(void);

static evs_context *ctx;
static evs_test_memory memory;
static char folder[64], path[128];
static kit_sink sink;

static const kit_sink_shape keyed = {"page VARCHAR NOT NULL, views BIGINT", 1, 0, "app", "out"};
static const kit_sink_shape nullable = {"page VARCHAR, site INT, views BIGINT", 2, 0, "app", "out"};
static const kit_sink_shape appended = {"page VARCHAR, views BIGINT", 0, 0, "app", "out"};

#define SINK(...) EVS_OPTIONS("path", path, "table", "results", __VA_ARGS__)

static int setup(void **state)
{
    (void)state;
    memset(&memory, 0, sizeof(memory));
    atomic_store(&memory.fail_at, -1);
    ctx = evs_test_context(&memory);
    snprintf(folder, sizeof(folder), "%s", kit_folder());
    snprintf(path, sizeof(path), "%s/results.db", folder);
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

static void open_ok(const kit_sink_shape *shape, const evs_options *options)
{
    evs_error *err = NULL;
    assert_evs_ok(kit_sink_open(ctx, evs_module_connector(), shape, options, &sink, &err), err);
}

static void open_fails(const kit_sink_shape *shape,
                       const evs_options *options,
                       evs_status want,
                       const char *part)
{
    evs_error *err = NULL;
    kit_sink other;
    evs_status status = kit_sink_open(ctx, evs_module_connector(), shape, options, &other, &err);
    assert_evs_error(status, err, want, part, NULL);
}

static void write_ok(const char *rows)
{
    evs_error *err = NULL;
    assert_evs_ok(kit_sink_write(&sink, rows, &err), err);
}

static void commit_ok(int64_t epoch, const char *offsets)
{
    evs_error *err = NULL;
    assert_evs_ok(kit_sink_commit(&sink, epoch, offsets, &err), err);
}

/* the answer to a query: fields separated by "|", rows by "\n", NULL as "null" */
static void assert_query(const char *sql, const char *want)
{
    sqlite3 *db;
    sqlite3_stmt *q;
    char got[5000] = "";
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    sqlite3_busy_timeout(db, 1000);
    if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(db));
    while (sqlite3_step(q) == SQLITE_ROW) {
        if (*got)
            strcat(got, "\n");
        for (int i = 0; i < sqlite3_column_count(q); i++) {
            const char *text = (const char *)sqlite3_column_text(q, i);
            sprintf(got + strlen(got), "%s%s", i ? "|" : "", text ? text : "null");
        }
    }
    sqlite3_finalize(q);
    sqlite3_close(db);
    assert_string_equal(got, want);
}

#define ALL "SELECT * FROM results ORDER BY 1, 2"

/* ---- rows ---- */

static void test_write_upserts_and_deletes(void **state)
{
    (void)state;
    open_ok(&keyed, SINK("time.format", "ms"));
    write_ok("{\"page\":\"/a\",\"views\":1}\n{\"page\":\"/b\",\"views\":1}\n{\"page\":\"/"
             "a\",\"views\":2}");
    commit_ok(1, "o1");
    assert_query(ALL, "/a|2\n/b|1");
    write_ok(
        "~{\"page\":\"/a\",\"views\":3}\n-{\"page\":\"/b\",\"views\":1}\n-{\"page\":\"/none\"}");
    assert_query(ALL, "/a|2\n/b|1");
    commit_ok(2, "o2");
    assert_query(ALL, "/a|3");
    kit_sink_close(&sink);
}

static void test_write_null_keys_are_one_row(void **state)
{
    (void)state;
    open_ok(&nullable, SINK("journal", "delete"));
    write_ok(
        "{\"page\":null,\"site\":1,\"views\":1}\n{\"page\":null,\"site\":1,\"views\":2}\n"
        "{\"page\":null,\"site\":null,\"views\":3}\n{\"page\":\"/a\",\"site\":null,\"views\":4}\n"
        "{\"page\":null,\"site\":null,\"views\":5}");
    commit_ok(1, "");
    assert_query(ALL, "null|null|5\nnull|1|2\n/a|null|4");
    write_ok("-{\"page\":null,\"site\":null}");
    commit_ok(2, "");
    assert_query(ALL, "null|1|2\n/a|null|4");
    kit_sink_close(&sink);
}

static void test_write_without_key_appends(void **state)
{
    (void)state;
    open_ok(&appended, SINK("synchronous", "off"));
    write_ok("{\"page\":\"/a\",\"views\":1}\n{\"page\":\"/a\",\"views\":1}\n-{\"page\":\"/a\"}");
    assert_int_equal(sink.failed, 1);
    assert_non_null(strstr(sink.failure, "needs key columns"));
    commit_ok(1, "");
    assert_query(ALL, "/a|1\n/a|1");
    kit_sink_close(&sink);
}

static void test_write_every_type(void **state)
{
    static const kit_sink_shape shape = {
        "\"select\" INT NOT NULL, \"a \"\"b\"\"\" BIGINT, d DOUBLE, m DECIMAL(9,2), s VARCHAR, y "
        "BYTES, "
        "b BOOLEAN, t TIMESTAMP, da DATE, ti TIME, ar ARRAY<INT>, st STRUCT<x INT>",
        1, 0, "app", "out"};
    const char *row =
        "{\"select\":1,\"a \\\"b\\\"\":9007199254740993,\"d\":1.5,\"m\":19.9,\"s\":\"\","
        "\"y\":\"AAE=\",\"b\":true,\"t\":1000,\"da\":\"1970-01-02\",\"ti\":\"00:00:01\","
        "\"ar\":[1,null],\"st\":{\"x\":2}}";
    (void)state;
    open_ok(&shape, SINK("time.format", "iso"));
    write_ok(row);
    write_ok("{\"select\":2}");
    commit_ok(1, "");
    assert_query(
        "SELECT \"select\", \"a \"\"b\"\"\", d, m, s, hex(y), b, t, da, ti, ar, st FROM results "
        "ORDER BY 1",
        "1|9007199254740993|1.5|19.90||0001|1|1970-01-01T00:00:01.000Z|1970-01-02|00:00:01.000|"
        "[1,null]|{\"x\":2}\n2|null|null|null|null||null|null|null|null|null|null");
    assert_query(
        "SELECT typeof(\"a \"\"b\"\"\"), typeof(d), typeof(m), typeof(s), typeof(y), typeof(t) "
        "FROM results WHERE \"select\" = 1",
        "integer|real|text|text|blob|text");
    kit_sink_close(&sink);
}

/* ---- epochs ---- */

static void recover(int64_t want, const char *offsets)
{
    int64_t epoch = -2;
    const char *text = "?";
    evs_error *err = NULL;
    assert_evs_ok(sink.f->recover(sink.sink, &epoch, &text, &err), err);
    assert_int_equal(epoch, want);
    if (offsets)
        assert_string_equal(text, offsets);
    else
        assert_null(text);
}

static void test_recover_gives_the_last_committed_epoch(void **state)
{
    static const kit_sink_shape other = {"page VARCHAR NOT NULL, views BIGINT", 1, 0, "app",
                                         "other"};
    (void)state;
    open_ok(&keyed, SINK("journal", "wal"));
    recover(-1, NULL);
    write_ok("{\"page\":\"/a\",\"views\":1}");
    recover(-1, NULL);
    commit_ok(7, "{\"0\":5}");
    recover(7, "{\"0\":5}");
    commit_ok(8, "{\"0\":6}"); /* an epoch without rows counts too */
    write_ok("{\"page\":\"/a\",\"views\":9}");
    kit_sink_close(&sink); /* as a crash: nothing of it stays */
    open_ok(&keyed, SINK("journal", "wal"));
    recover(8, "{\"0\":6}");
    assert_query(ALL, "/a|1");
    kit_sink_close(&sink);
    open_ok(&other, SINK("journal", "wal"));
    recover(-1, NULL); /* epochs belong to application and sink */
    kit_sink_close(&sink);
}

static void test_abort_takes_everything_back(void **state)
{
    evs_error *err = NULL;
    (void)state;
    open_ok(&keyed, SINK("journal", "wal"));
    write_ok("{\"page\":\"/a\",\"views\":1}");
    commit_ok(1, "");
    write_ok("{\"page\":\"/a\",\"views\":2}\n{\"page\":\"/b\",\"views\":2}");
    assert_evs_ok(sink.f->abort(sink.sink, &err), err);
    assert_evs_ok(sink.f->abort(sink.sink, &err), err);
    assert_query(ALL, "/a|1");
    write_ok("{\"page\":\"/b\",\"views\":3}");
    commit_ok(2, "");
    assert_query(ALL, "/a|1\n/b|3");
    kit_sink_close(&sink);
}

/* ---- locks ---- */

/* another process that holds the file for some time */
static pid_t hold_lock(int ms)
{
    int ready[2];
    char byte;
    pid_t pid;
    assert_int_equal(pipe(ready), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        sqlite3 *db;
        if (sqlite3_open(path, &db) == SQLITE_OK &&
            sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK &&
            write(ready[1], "x", 1) == 1) {
            usleep((useconds_t)ms * 1000);
            sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
        }
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void test_locked_file_is_waited_for(void **state)
{
    int64_t before;
    pid_t pid;
    (void)state;
    open_ok(&keyed, SINK("busy.timeout.ms", "10s"));
    pid = hold_lock(400);
    before = kit_now_ms();
    write_ok("{\"page\":\"/a\",\"views\":1}");
    assert_true(kit_now_ms() - before >= 200);
    commit_ok(1, "");
    assert_query(ALL, "/a|1");
    waitpid(pid, NULL, 0);
    kit_sink_close(&sink);
}

static void test_locked_file_is_a_retriable_error_after_the_timeout(void **state)
{
    evs_error *err = NULL;
    evs_status status;
    pid_t pid;
    (void)state;
    open_ok(&keyed, SINK("busy.timeout.ms", "150"));
    write_ok("{\"page\":\"/a\",\"views\":1}");
    commit_ok(1, "");
    pid = hold_lock(1500);
    status = kit_sink_write(&sink, "{\"page\":\"/b\",\"views\":1}", &err);
    assert_true(evs_error_is_retriable(err));
    assert_evs_error(status, err, EVS_ERR_UNAVAILABLE,
                     "another process holds the database (waited 150 ms)", NULL);
    waitpid(pid, NULL, 0);
    write_ok("{\"page\":\"/b\",\"views\":1}");
    commit_ok(2, "");
    assert_query(ALL, "/a|1\n/b|1");
    kit_sink_close(&sink);
}

static void test_second_sink_of_the_context_is_refused(void **state)
{
    char link[140];
    (void)state;
    open_ok(&keyed, SINK("journal", "wal"));
    snprintf(link, sizeof(link), "%s/./results.db", folder);
    open_fails(&keyed, EVS_OPTIONS("path", link, "table", "others"), EVS_ERR_CONFIG, "one writer");
    kit_sink_close(&sink);
    open_ok(&keyed, SINK("journal", "wal"));
    kit_sink_close(&sink);
}

/* ---- faults ---- */

static void run_sql(const char *sql)
{
    sqlite3 *db;
    sqlite3_open(path, &db);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_open_other_table_is_told(void **state)
{
    (void)state;
    run_sql("CREATE TABLE results (page TEXT PRIMARY KEY, clicks INTEGER)");
    open_fails(&keyed, SINK("journal", "wal"), EVS_ERR_SCHEMA, "has no column named views");
    run_sql("DROP TABLE results; CREATE TABLE results (page TEXT, views INTEGER)");
    open_fails(&keyed, SINK("journal", "wal"), EVS_ERR_SCHEMA, "ON CONFLICT clause does not match");
    run_sql(
        "DROP TABLE results; CREATE TABLE results (id INTEGER PRIMARY KEY, page TEXT UNIQUE, views "
        "INTEGER CHECK (views < 100), note TEXT DEFAULT 'x')");
    open_ok(&keyed, SINK("journal", "wal"));
    write_ok("{\"page\":\"/a\",\"views\":1}\n{\"page\":\"/b\",\"views\":100}\n{\"page\":\"/"
             "c\",\"views\":2}");
    assert_int_equal(sink.failed, 1);
    assert_non_null(strstr(sink.failure, "CHECK"));
    commit_ok(1, "");
    assert_query("SELECT page, views, note FROM results ORDER BY 1", "/a|1|x\n/c|2|x");
    kit_sink_close(&sink);
}

static void test_open_faulty_is_told(void **state)
{
    char name[200];
    (void)state;
    snprintf(name, sizeof(name), "%s/none/x.db", folder);
    open_fails(&keyed, EVS_OPTIONS("path", name, "table", "t"), EVS_ERR_IO, "unable to open");
    kit_write_file(path, "this is not a database, but a text that is long enough to be looked at",
                   70);
    open_fails(&keyed, SINK("journal", "wal"), EVS_ERR_CORRUPT, "not a database");
    open_fails(&keyed, EVS_OPTIONS("path", path), EVS_ERR_CONFIG, "table");
}

/* the size limit of the process stands in for a full disk */
static void test_full_disk_rolls_back_and_is_replayed(void **state)
{
    struct rlimit saved, small;
    evs_error *err = NULL;
    evs_status status = EVS_OK;
    char *rows = malloc(400000);
    size_t len = 0;
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    for (int i = 0; i < 4000; i++)
        len += (size_t)sprintf(rows + len,
                               "{\"page\":\"/a page with a longer name %d\",\"views\":1}\n", i);
    open_ok(&keyed, SINK("journal", "delete"));
    write_ok("{\"page\":\"/a\",\"views\":1}");
    commit_ok(1, "");
    getrlimit(RLIMIT_FSIZE, &saved);
    small = saved;
    small.rlim_cur = 60000;
    setrlimit(RLIMIT_FSIZE, &small);
    status = kit_sink_write(&sink, rows, &err);
    if (!status)
        status = kit_sink_commit(&sink, 2, "", &err);
    assert_evs_error(status, err, EVS_ERR_STATE, "the transaction was rolled back", NULL);
    err = NULL;
    assert_evs_ok(sink.f->abort(sink.sink, &err), err);
    assert_query("SELECT count(*) FROM results", "1");
    setrlimit(RLIMIT_FSIZE, &saved);
    write_ok(rows);
    commit_ok(2, "");
    assert_query("SELECT count(*) FROM results", "4001");
    kit_sink_close(&sink);
    free(rows);
}

static evs_status write_scenario(evs_context *context, void *user_data)
{
    kit_sink s;
    evs_error *err = NULL;
    evs_status status;
    int64_t epoch;
    const char *offsets;
    (void)user_data;
    unlink(path);
    status = kit_sink_open(context, evs_module_connector(), &nullable, SINK("time.format", "iso"),
                           &s, &err);
    for (int i = 0; !status && i < 2; i++) {
        evs_batch *batch =
            kit_batch(ctx, s.schema,
                      "{\"page\":\"/a\",\"site\":1,\"views\":1}\n{\"page\":null,\"views\":1}\n"
                      "-{\"page\":\"/a\",\"site\":1}");
        status = kit_sink_write_batch(&s, batch, &err);
        evs_batch_unref(batch);
        if (!status)
            status = kit_sink_commit(&s, i, "offsets", &err);
        if (!status)
            status = s.f->recover(s.sink, &epoch, &offsets, &err);
    }
    if (s.sink)
        kit_sink_close(&s);
    evs_error_unref(err);
    return status;
}

static void test_write_without_memory_is_clean(void **state)
{
    (void)state;
    evs_test_oom_sweep(write_scenario, NULL);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_write_upserts_and_deletes),
        TEST(test_write_null_keys_are_one_row),
        TEST(test_write_without_key_appends),
        TEST(test_write_every_type),
        TEST(test_recover_gives_the_last_committed_epoch),
        TEST(test_abort_takes_everything_back),
        TEST(test_locked_file_is_waited_for),
        TEST(test_locked_file_is_a_retriable_error_after_the_timeout),
        TEST(test_second_sink_of_the_context_is_refused),
        TEST(test_open_other_table_is_told),
        TEST(test_open_faulty_is_told),
        TEST(test_full_disk_rolls_back_and_is_replayed),
        TEST(test_write_without_memory_is_clean),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
