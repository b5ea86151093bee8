/*
 * io/sqlite/connection.h: a database file and its one transaction, shared by the sinks of a
 * pipeline that write to it.
 */
#ifndef EVS_IO_SQLITE_CONNECTION_H
#define EVS_IO_SQLITE_CONNECTION_H

#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "evstream/connector.h"

/* everything below `lock` is used under it */
typedef struct evs__sqlite {
    struct evs__sqlite *next; /* of the context's list, under the list's lock */
    evs_context *ctx;
    char *path;
    int32_t group; /* 0: of one sink alone */
    bool listed;   /* is a file */
    dev_t device;
    ino_t inode;
    pthread_mutex_t lock;
    int sinks;
    sqlite3 *db;
    sqlite3_stmt *begin, *commit;
    char journal[16], synchronous[16]; /* as the first sink set them; "": not yet */
    int told;                          /* sinks that know the epoch of this transaction */
    uint64_t transaction;              /* counts them, from 1 */
    int64_t busy_since_ms;             /* another process holds the file; -1: nobody */
    bool in_transaction;
    bool lost; /* SQLite rolled the transaction back by itself: abort and replay come next */
    char why[200];
} evs__sqlite;

/* whether two paths are one file, also one that is still to be made; false for a database in memory
 */
bool evs__sqlite_same_file(const char *a, const char *b);

/*
 * The connection of this group to this file: a new one, or the one that another sink of the group
 * has. EVS_ERR_CONFIG: another group of the context, or a sink by itself, writes the file.
 */
evs_status evs__sqlite_open(
    evs_context *ctx, const char *path, int32_t group, evs__sqlite **ret, evs_error **reterr);
/* a sink leaves; the last one closes, which takes an open transaction back */
void evs__sqlite_close(evs__sqlite *c);

/* ---- under c->lock ---- */

/* modes and the statements of transactions; a second sink must want the same modes */
evs_status evs__sqlite_prepare_modes(evs__sqlite *c,
                                     const char *journal,
                                     const char *synchronous,
                                     int64_t busy_ms,
                                     evs_error **reterr);
/* the failure of the last call on c->db */
evs_status evs__sqlite_fail(evs__sqlite *c, const char *what, int64_t busy_ms, evs_error **reterr);
/* as evs__sqlite_fail(), but EVS_AGAIN and no error while another process has not held the file for
 * busy_ms, and the sinks of a pipeline wait */
evs_status
evs__sqlite_fail_later(evs__sqlite *c, const char *what, int64_t busy_ms, evs_error **reterr);
evs_status evs__sqlite_run(evs__sqlite *c, const char *sql, int64_t busy_ms, evs_error **reterr);
/* run a statement that gives no rows; it may be run again */
evs_status evs__sqlite_step(
    evs__sqlite *c, sqlite3_stmt *statement, const char *what, int64_t busy_ms, evs_error **reterr);
/* the transaction, begun if there is none. EVS_AGAIN as evs__sqlite_fail_later(); EVS_ERR_STATE: it
 * was lost, abort first */
evs_status evs__sqlite_begin(evs__sqlite *c, int64_t busy_ms, evs_error **reterr);
/*
 * A sink has stored its epoch; `*told` is the last transaction that it told so of. The transaction
 * is committed with the last of the sinks.
 */
evs_status evs__sqlite_commit(evs__sqlite *c, uint64_t *told, int64_t busy_ms, evs_error **reterr);
evs_status evs__sqlite_rollback(evs__sqlite *c, int64_t busy_ms, evs_error **reterr);

#endif
