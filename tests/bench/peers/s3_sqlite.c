/*
 * Peer of S3: a raw prepared upsert loop into SQLite.
 *
 *   peer-s3-sqlite --file PATH [--rows N] [--pages P] [--transaction T]
 *                  [--journal wal] [--sync normal]
 *
 * A table clustered on its key (WITHOUT ROWID, one B-tree instead of two), one statement prepared
 * once, text bound without a copy, T rows a transaction; journal and synchronous as ours has them.
 */
#include "../stores.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct peer {
    const char *file, *journal, *sync;
    uint64_t rows, pages, transaction;
    struct bench_stored *stored;
};

static void execute(sqlite3 *db, const char *sql)
{
    char *text;

    if (sqlite3_exec(db, sql, NULL, NULL, &text))
        bench_die("sqlite: %s: %s", sql, text);
}

static sqlite3 *open_database(const struct peer *p)
{
    char sql[128];
    sqlite3 *db;

    if (sqlite3_open(p->file, &db))
        bench_die("sqlite: %s: %s", p->file, sqlite3_errmsg(db));
    snprintf(sql, sizeof(sql), "PRAGMA journal_mode=%s", p->journal);
    execute(db, sql);
    snprintf(sql, sizeof(sql), "PRAGMA synchronous=%s", p->sync);
    execute(db, sql);
    execute(db, "CREATE TABLE results (page TEXT NOT NULL, window_start INTEGER NOT NULL, "
                "views INTEGER, users INTEGER, load_ms REAL, PRIMARY KEY (page, window_start)) "
                "WITHOUT ROWID");
    return db;
}

static void write_all(sqlite3 *db, const struct peer *p)
{
    sqlite3_stmt *stmt;

    if (sqlite3_prepare_v3(db,
                           "INSERT INTO results VALUES (?1, ?2, ?3, ?4, ?5) "
                           "ON CONFLICT (page, window_start) DO UPDATE SET "
                           "views = excluded.views, users = excluded.users, "
                           "load_ms = excluded.load_ms",
                           -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL))
        bench_die("sqlite: %s", sqlite3_errmsg(db));
    for (uint64_t i = 0; i < p->rows; i++) {
        const struct bench_stored *row = &p->stored[i];

        if (i % p->transaction == 0)
            execute(db, "BEGIN");
        sqlite3_bind_text(stmt, 1, row->page, BENCH_STORED_PAGE_LEN, SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 2, row->window_start);
        sqlite3_bind_int64(stmt, 3, row->views);
        sqlite3_bind_int64(stmt, 4, row->users);
        sqlite3_bind_double(stmt, 5, row->load_ms);
        if (sqlite3_step(stmt) != SQLITE_DONE)
            bench_die("sqlite: %s", sqlite3_errmsg(db));
        sqlite3_reset(stmt);
        if ((i + 1) % p->transaction == 0 || i + 1 == p->rows)
            execute(db, "COMMIT");
    }
    sqlite3_finalize(stmt);
}

static int run(void *user_data, struct bench_result *ret_result)
{
    const struct peer *p = user_data;
    sqlite3 *db;

    unlink(p->file);
    bench_timer_start(&ret_result->time);
    db = open_database(p);
    write_all(db, p);
    if (sqlite3_close(db))
        bench_die("sqlite: %s", sqlite3_errmsg(db));
    bench_timer_stop(&ret_result->time);
    ret_result->rows = p->rows;
    bench_sqlite_check(p->file, "results", ret_result);
    return 0;
}

int main(int argc, char **argv)
{
    struct peer p = {0};

    p.file = bench_arg(argc, argv, "--file", "bench-s3-peer.db");
    p.journal = bench_arg(argc, argv, "--journal", "wal");
    p.sync = bench_arg(argc, argv, "--sync", "normal");
    p.rows = (uint64_t)bench_arg_int(argc, argv, "--rows", 500000);
    p.pages = (uint64_t)bench_arg_int(argc, argv, "--pages", 50000);
    p.transaction = (uint64_t)bench_arg_int(argc, argv, "--transaction", 10000);
    p.stored = bench_alloc(p.rows * sizeof(p.stored[0]));
    for (uint64_t i = 0; i < p.rows; i++)
        bench_stored_make(i, p.pages, &p.stored[i]);
    return bench_serve(run, &p);
}
