/*
 * io/sqlite/connection.c: a database file and its one transaction.
 *
 * A file has one writer at a time, and a transaction is open from the first row of an epoch to the
 * commit. Two connections of one thread would wait for each other for ever; so the sinks of a
 * pipeline share one, and with it the transaction, which is committed when the last of them is told
 * the epoch: their tables are true together.
 *
 *   context -> [connection] -> [connection] ...     one a file; found by device and inode
 *                 ^    ^
 *      sink "views"    sink "revenue"               of one commit group
 *
 * A sink of another pipeline of the context, or one by itself, is refused at once.
 *
 * Another process may hold the file. A sink by itself waits for it inside of the call. Sinks of a
 * pipeline never do: they answer EVS_AGAIN, and after busy.timeout.ms a retriable error, so that
 * the thread goes on with the rest of its work.
 *
 * Locks: the list's before a connection's. The list's is held while a file is opened, which waits
 * for nobody.
 */
#include "io/sqlite/connection.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ATTACHMENT "evs.sqlite.connections"

typedef struct connections {
    pthread_mutex_t lock;
    evs__sqlite *first;
} connections;

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- files ---- */

static bool is_file(const char *path)
{
    return *path && strcmp(path, ":memory:") != 0;
}

/* device and inode of the folder, and the name in it */
static bool place_of(const char *path, struct stat *ret_folder, const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    char folder[4096];
    size_t len = slash ? (size_t)(slash - path) + 1 : 1;
    if (len >= sizeof(folder))
        return false;
    memcpy(folder, slash ? path : ".", len);
    folder[len] = '\0';
    *ret_name = slash ? slash + 1 : path;
    return stat(folder, ret_folder) == 0;
}

static bool is_same_inode(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

bool evs__sqlite_same_file(const char *a, const char *b)
{
    struct stat sa, sb;
    const char *name_a, *name_b;
    bool has_a, has_b;

    if (!is_file(a) || !is_file(b))
        return false;
    has_a = stat(a, &sa) == 0;
    has_b = stat(b, &sb) == 0;
    if (has_a && has_b)
        return is_same_inode(&sa, &sb);
    if (has_a || has_b)
        return false;
    if (!place_of(a, &sa, &name_a) || !place_of(b, &sb, &name_b))
        return strcmp(a, b) == 0;
    return is_same_inode(&sa, &sb) && strcmp(name_a, name_b) == 0;
}

/* ---- the context's list ---- */

static void connections_free(evs_context *ctx, void *value)
{
    connections *all = value;
    pthread_mutex_destroy(&all->lock);
    evs_free(ctx, all);
}

static connections *connections_of(evs_context *ctx)
{
    connections *all = evs_context_attached(ctx, ATTACHMENT);
    if (all || !(all = evs_alloc_array(ctx, 1, sizeof(*all))))
        return all;
    pthread_mutex_init(&all->lock, NULL);
    if (evs_context_attach(ctx, ATTACHMENT, all, connections_free, NULL)) {
        connections_free(ctx, all);
        all = evs_context_attached(ctx, ATTACHMENT); /* another thread was faster, or no memory */
    }
    return all;
}

static evs__sqlite *find(connections *all, const char *path)
{
    struct stat st;
    evs__sqlite *c;
    if (!is_file(path) || stat(path, &st) != 0)
        return NULL;
    for (c = all->first; c && (c->device != st.st_dev || c->inode != st.st_ino); c = c->next)
        ;
    return c;
}

static void destroy(evs__sqlite *c)
{
    sqlite3_finalize(c->begin);
    sqlite3_finalize(c->commit);
    sqlite3_close(c->db); /* rolls an open transaction back */
    pthread_mutex_destroy(&c->lock);
    evs_free(c->ctx, c->path);
    evs_free(c->ctx, c);
}

static evs_status nomem(evs_context *ctx, evs_error **reterr)
{
    return evs_error_set(ctx, reterr, EVS_ERR_NOMEM, "out of memory");
}

static evs_status
make(evs_context *ctx, const char *path, int32_t group, evs__sqlite **ret, evs_error **reterr)
{
    evs__sqlite *c = evs_alloc_array(ctx, 1, sizeof(*c));
    evs_status status = EVS_OK;
    struct stat st;

    if (!c)
        return nomem(ctx, reterr);
    c->ctx = ctx;
    c->group = group;
    c->sinks = 1;
    c->transaction = 1;
    c->busy_since_ms = -1;
    pthread_mutex_init(&c->lock, NULL);
    if (!(c->path = evs_strdup(ctx, path)))
        status = nomem(ctx, reterr);
    else if (sqlite3_open_v2(path, &c->db,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                             NULL) != SQLITE_OK)
        status = c->db ? evs__sqlite_fail(c, "open", 0, reterr) : nomem(ctx, reterr);
    if (status) {
        destroy(c);
        return status;
    }
    if (is_file(path) && stat(path, &st) == 0) {
        c->listed = true;
        c->device = st.st_dev;
        c->inode = st.st_ino;
    }
    *ret = c;
    return EVS_OK;
}

evs_status evs__sqlite_open(
    evs_context *ctx, const char *path, int32_t group, evs__sqlite **ret, evs_error **reterr)
{
    connections *all = connections_of(ctx);
    evs_status status = EVS_OK;
    evs__sqlite *c;

    if (!all)
        return nomem(ctx, reterr);
    pthread_mutex_lock(&all->lock);
    c = find(all, path);
    if (c && group && c->group == group) {
        pthread_mutex_lock(&c->lock);
        c->sinks++;
        pthread_mutex_unlock(&c->lock);
        *ret = c;
    } else if (c) {
        status = evs_error_set(ctx, reterr, EVS_ERR_CONFIG,
                               "sqlite \"%s\": another pipeline or sink of this program writes the "
                               "file, and SQLite has one writer at a time: use a file for each, or "
                               "one pipeline for both",
                               path);
    } else if (!(status = make(ctx, path, group, ret, reterr)) && (*ret)->listed) {
        (*ret)->next = all->first;
        all->first = *ret;
    }
    pthread_mutex_unlock(&all->lock);
    return status;
}

void evs__sqlite_close(evs__sqlite *c)
{
    connections *all = evs_context_attached(c->ctx, ATTACHMENT);
    evs__sqlite **at;
    bool last;

    pthread_mutex_lock(&all->lock);
    pthread_mutex_lock(&c->lock);
    last = --c->sinks == 0;
    if (!last && c->in_transaction) { /* what it wrote must not be committed by the others */
        sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
        c->in_transaction = false;
        c->lost = true;
        snprintf(c->why, sizeof(c->why), "a sink of the file was closed");
    }
    pthread_mutex_unlock(&c->lock);
    if (last && c->listed) {
        for (at = &all->first; *at != c; at = &(*at)->next)
            ;
        *at = c->next;
    }
    if (last) /* before anybody can open the file again */
        destroy(c);
    pthread_mutex_unlock(&all->lock);
}

/* ---- failures ---- */

static bool is_busy(evs__sqlite *c)
{
    int code = sqlite3_errcode(c->db);
    return code == SQLITE_BUSY || code == SQLITE_LOCKED;
}

/* FULL, IOERR and others may have rolled the transaction back */
static void look_for_loss(evs__sqlite *c, const char *what)
{
    if (c->in_transaction && sqlite3_get_autocommit(c->db)) {
        c->in_transaction = false;
        c->lost = true;
        snprintf(c->why, sizeof(c->why), "%s: %s", what, sqlite3_errmsg(c->db));
    }
}

static evs_status fail_lost(evs__sqlite *c, evs_error **reterr)
{
    return evs_error_set(c->ctx, reterr, EVS_ERR_STATE,
                         "sqlite \"%s\": %s; the transaction was rolled back", c->path, c->why);
}

evs_status evs__sqlite_fail(evs__sqlite *c, const char *what, int64_t busy_ms, evs_error **reterr)
{
    int code = sqlite3_errcode(c->db);
    bool busy = is_busy(c);
    /* space comes back */
    bool passes = busy || code == SQLITE_FULL || code == SQLITE_IOERR;
    evs_status status = EVS_ERR_IO;

    look_for_loss(c, what);
    if (c->lost)
        return fail_lost(c, reterr);
    if (code == SQLITE_NOMEM)
        status = EVS_ERR_NOMEM;
    else if (busy)
        status = EVS_ERR_UNAVAILABLE;
    else if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
        status = EVS_ERR_CORRUPT;
    if (busy && busy_ms > 0)
        evs_error_set(c->ctx, reterr, status,
                      "sqlite \"%s\": %s: another process holds the database (waited %lld ms)",
                      c->path, what, (long long)busy_ms);
    else if (busy)
        evs_error_set(c->ctx, reterr, status,
                      "sqlite \"%s\": %s: another process holds the database", c->path, what);
    else
        evs_error_set(c->ctx, reterr, status, "sqlite \"%s\": %s: %s", c->path, what,
                      sqlite3_errmsg(c->db));
    evs_error_annotate(c->ctx, reterr, passes, false, 0, NULL);
    return status;
}

evs_status
evs__sqlite_fail_later(evs__sqlite *c, const char *what, int64_t busy_ms, evs_error **reterr)
{
    int64_t now, waited;

    look_for_loss(c, what);
    if (!c->group || !is_busy(c) || c->lost)
        return evs__sqlite_fail(c, what, busy_ms, reterr);
    now = now_ms();
    if (c->busy_since_ms < 0)
        c->busy_since_ms = now;
    waited = now - c->busy_since_ms;
    if (waited < busy_ms)
        return EVS_AGAIN;
    return evs__sqlite_fail(c, what, waited, reterr);
}

evs_status evs__sqlite_run(evs__sqlite *c, const char *sql, int64_t busy_ms, evs_error **reterr)
{
    return sqlite3_exec(c->db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? EVS_OK
               : evs__sqlite_fail(c, sql, c->group ? 0 : busy_ms, reterr);
}

evs_status evs__sqlite_step(
    evs__sqlite *c, sqlite3_stmt *statement, const char *what, int64_t busy_ms, evs_error **reterr)
{
    evs_status status = EVS_OK;
    if (sqlite3_step(statement) == SQLITE_DONE)
        c->busy_since_ms = -1;
    else
        status = evs__sqlite_fail_later(c, what, busy_ms, reterr);
    sqlite3_reset(statement);
    return status;
}

/* ---- transactions ---- */

static evs_status set_modes(evs__sqlite *c,
                            const char *journal,
                            const char *synchronous,
                            int64_t busy_ms,
                            evs_error **reterr)
{
    char pragma[64];
    evs_status status;

    snprintf(pragma, sizeof(pragma), "PRAGMA journal_mode=%s", journal);
    if ((status = evs__sqlite_run(c, pragma, busy_ms, reterr)))
        return status;
    snprintf(pragma, sizeof(pragma), "PRAGMA synchronous=%s", synchronous);
    if ((status = evs__sqlite_run(c, pragma, busy_ms, reterr)))
        return status;
    snprintf(c->journal, sizeof(c->journal), "%s", journal);
    snprintf(c->synchronous, sizeof(c->synchronous), "%s", synchronous);
    return EVS_OK;
}

evs_status evs__sqlite_prepare_modes(evs__sqlite *c,
                                     const char *journal,
                                     const char *synchronous,
                                     int64_t busy_ms,
                                     evs_error **reterr)
{
    evs_status status;

    sqlite3_busy_timeout(c->db, c->group ? 0 : busy_ms > INT32_MAX ? INT32_MAX : (int)busy_ms);
    if (!*c->journal && (status = set_modes(c, journal, synchronous, busy_ms, reterr)))
        return status;
    if (strcmp(c->journal, journal) != 0 || strcmp(c->synchronous, synchronous) != 0)
        return evs_error_set(c->ctx, reterr, EVS_ERR_CONFIG,
                             "sqlite \"%s\": another sink writes the file with journal=%s and "
                             "synchronous=%s, this one wants %s and %s",
                             c->path, c->journal, c->synchronous, journal, synchronous);
    if ((!c->begin && sqlite3_prepare_v3(c->db, "BEGIN IMMEDIATE", -1, SQLITE_PREPARE_PERSISTENT,
                                         &c->begin, NULL)) ||
        (!c->commit &&
         sqlite3_prepare_v3(c->db, "COMMIT", -1, SQLITE_PREPARE_PERSISTENT, &c->commit, NULL)))
        return evs__sqlite_fail(c, "prepare", 0, reterr);
    return EVS_OK;
}

evs_status evs__sqlite_begin(evs__sqlite *c, int64_t busy_ms, evs_error **reterr)
{
    evs_status status = EVS_OK;
    if (c->lost)
        return fail_lost(c, reterr);
    if (!c->in_transaction && !(status = evs__sqlite_step(c, c->begin, "begin", busy_ms, reterr)))
        c->in_transaction = true;
    return status;
}

static void transaction_over(evs__sqlite *c)
{
    c->in_transaction = c->lost = false;
    c->transaction++;
    c->told = 0;
}

evs_status evs__sqlite_commit(evs__sqlite *c, uint64_t *told, int64_t busy_ms, evs_error **reterr)
{
    evs_status status = EVS_OK;
    if (*told != c->transaction)
        c->told++;
    *told = c->transaction;
    if (c->told >= c->sinks &&
        !(status = evs__sqlite_step(c, c->commit, "commit", busy_ms, reterr)))
        transaction_over(c);
    return status;
}

evs_status evs__sqlite_rollback(evs__sqlite *c, int64_t busy_ms, evs_error **reterr)
{
    evs_status status = EVS_OK;
    if (!sqlite3_get_autocommit(c->db))
        status = evs__sqlite_run(c, "ROLLBACK", busy_ms, reterr);
    if (!status)
        transaction_over(c);
    return status;
}
