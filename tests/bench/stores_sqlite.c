/*
 * Reads back the table that S3 wrote.
 */
#include "stores.h"

#include <sqlite3.h>
#include <stdio.h>

void bench_sqlite_check(const char *path, const char *table, struct bench_result *ret_result)
{
    struct bench_stored row;
    sqlite3_stmt *stmt;
    char sql[256];
    sqlite3 *db;

    snprintf(sql, sizeof(sql), "SELECT page, window_start, views, users, load_ms FROM \"%s\"",
             table);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) ||
        sqlite3_prepare_v2(db, sql, -1, &stmt, NULL))
        bench_die("%s: %s", path, sqlite3_errmsg(db));
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        if (sqlite3_column_bytes(stmt, 0) != BENCH_STORED_PAGE_LEN)
            bench_die("%s: a page of another length", path);
        memcpy(row.page, sqlite3_column_text(stmt, 0), BENCH_STORED_PAGE_LEN);
        row.window_start = sqlite3_column_int64(stmt, 1);
        row.views = sqlite3_column_int64(stmt, 2);
        row.users = sqlite3_column_int64(stmt, 3);
        row.load_ms = sqlite3_column_double(stmt, 4);
        ret_result->groups++;
        ret_result->checksum += bench_stored_hash(&row);
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}
