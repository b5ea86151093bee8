/*
 * io/sqlite/sqlite.c: results in a SQLite table, exactly once.
 *
 *   first write of an epoch   BEGIN IMMEDIATE
 *   rows                      INSERT ... ON CONFLICT(keys) DO UPDATE | DELETE
 *   commit(epoch, offsets)    UPSERT into evs_epochs; COMMIT   <- results, epoch and offsets become
 *                                                                 true together
 *   abort                     ROLLBACK
 *
 * The table is made from the rows' type: grouping keys and window_start as primary key, so each
 * result has one row. Rows without a key are appended. A NULL in a key column is equal to NULL here
 * (SQLite's indexes hold it for unlike), so such a row is replaced by delete and insert.
 *
 * The sinks of a pipeline on one file share its connection and transaction (connection.h), so their
 * tables are true together. Another process that holds the database is waited for
 * (busy.timeout.ms), then it is a retriable error and the pipeline keeps its input back. A full
 * disk makes SQLite roll back: the epoch is aborted and replayed.
 */
#include <stdio.h>
#include <string.h>

#include "io/sqlite/connection.h"

enum { KEYS_MAX = 64, COLUMNS_MAX = 1000 };

typedef struct sqlite_sink {
    evs_context *ctx;
    evs__sqlite *c;
    sqlite3_stmt *insert, *remove, *epoch;
    char *application, *name;
    const evs_type *type; /* borrowed from the schema */
    evs_schema *schema;
    int columns, keys, task;
    bool text_times;
    uint64_t told; /* last transaction whose epoch it was told */
    int64_t busy_ms;
    char *offsets;     /* of recover */
    evs_batch *resume; /* batch whose writing stopped, and where */
    size_t resume_at;
} sqlite_sink;

static const evs_option_info options[] = {
    {"path", NULL, NULL, "Database file; made when missing", "0.1", 0, 0, EVS_OPTION_STRING, 1},
    {"table", NULL, NULL, "Table of the results; made when missing", "0.1", 0, 0, EVS_OPTION_STRING,
     1},
    {"busy.timeout.ms", "10s", NULL, "How long to wait for another process that locks the file",
     "0.1", 0, 0, EVS_OPTION_DURATION, 0},
    {"journal", "wal", "wal|delete|memory", "journal_mode of the database", "0.1", 0, 0,
     EVS_OPTION_ENUM, 0},
    {"synchronous", "normal", "full|normal|off",
     "normal (with wal): a power failure may take back the last epochs as a whole, never half of "
     "one",
     "0.1", 0, 0, EVS_OPTION_ENUM, 0},
    {"time.format", "ms", "ms|iso", "TIMESTAMP as integer milliseconds, or as RFC 3339 text", "0.1",
     0, 0, EVS_OPTION_ENUM, 0},
    {0},
};

static evs_status nomem(sqlite_sink *s, evs_error **reterr)
{
    return evs_error_set(s->ctx, reterr, EVS_ERR_NOMEM, "out of memory");
}

static evs_status
prepare(const sqlite_sink *s, const char *sql, sqlite3_stmt **ret, evs_error **reterr)
{
    sqlite3 *db = s->c->db;
    int code = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);
    if (code == SQLITE_OK)
        return EVS_OK;
    if (code != SQLITE_ERROR)
        return evs__sqlite_fail(s->c, "prepare", 0, reterr);
    /* our SQL is right: it is the table that is another one */
    return evs_error_set(s->ctx, reterr, EVS_ERR_SCHEMA,
                         "sqlite \"%s\": the table exists and does not fit the rows: %s",
                         s->c->path, sqlite3_errmsg(db));
}

/* ---- tables and statements ---- */

static const char *sql_type(const sqlite_sink *s, evs_type_id id)
{
    switch (id) {
    case EVS_TYPE_BOOLEAN:
    case EVS_TYPE_INT:
    case EVS_TYPE_BIGINT:
        return "INTEGER";
    case EVS_TYPE_DOUBLE:
        return "REAL";
    case EVS_TYPE_BYTES:
        return "BLOB";
    case EVS_TYPE_TIMESTAMP:
        return s->text_times ? "TEXT" : "INTEGER";
    default:
        return "TEXT"; /* VARCHAR, DECIMAL (exact), DATE, TIME, nested types as JSON */
    }
}

/* a table clustered by its key is smaller and faster, but takes no NULL in it */
static bool keys_are_never_null(const sqlite_sink *s)
{
    for (int i = 0; i < s->keys; i++) {
        if (evs_type_is_nullable(evs_type_child(s->type, (size_t)i)))
            return false;
    }
    return s->keys > 0;
}

/* the statements of rows, written once */
static evs_status make_statements(sqlite_sink *s, const char *table, evs_error **reterr)
{
    sqlite3_str *create = sqlite3_str_new(s->c->db);
    sqlite3_str *insert = sqlite3_str_new(s->c->db);
    sqlite3_str *values = sqlite3_str_new(s->c->db);
    sqlite3_str *update = sqlite3_str_new(s->c->db);
    sqlite3_str *where = sqlite3_str_new(s->c->db);
    char *sql_create, *sql_insert = NULL, *sql_remove = NULL, *v, *u, *w;
    evs_status status = EVS_OK;

    sqlite3_str_appendf(create, "CREATE TABLE IF NOT EXISTS \"%w\" (", table);
    sqlite3_str_appendf(insert, "INSERT INTO \"%w\" (", table);
    for (int i = 0; i < s->columns; i++) {
        const char *name = evs_type_field_name(s->type, (size_t)i);
        const evs_type *type = evs_type_child(s->type, (size_t)i);
        const char *comma = i ? ", " : "";
        sqlite3_str_appendf(create, "%s\"%w\" %s", comma, name, sql_type(s, evs_type_get_id(type)));
        sqlite3_str_appendf(insert, "%s\"%w\"", comma, name);
        sqlite3_str_appendf(values, "%s?%d", comma, i + 1);
        if (i < s->keys)
            sqlite3_str_appendf(where, "%s\"%w\" IS ?%d", i ? " AND " : "", name, i + 1);
        else
            sqlite3_str_appendf(update, "%s\"%w\" = excluded.\"%w\"", i > s->keys ? ", " : "", name,
                                name);
    }
    v = sqlite3_str_finish(values);
    u = sqlite3_str_finish(update);
    w = sqlite3_str_finish(where);
    sqlite3_str_appendf(insert, ") VALUES (%s)", v ? v : "");
    if (s->keys) {
        sqlite3_str_appendall(create, ", PRIMARY KEY (");
        sqlite3_str_appendall(insert, " ON CONFLICT (");
        for (int i = 0; i < s->keys; i++) {
            const char *name = evs_type_field_name(s->type, (size_t)i);
            sqlite3_str_appendf(create, "%s\"%w\"", i ? ", " : "", name);
            sqlite3_str_appendf(insert, "%s\"%w\"", i ? ", " : "", name);
        }
        sqlite3_str_appendall(create, ")");
        sqlite3_str_appendf(insert, u && *u ? ") DO UPDATE SET %s" : ") DO NOTHING", u);
        sql_remove = sqlite3_mprintf("DELETE FROM \"%w\" WHERE %s", table, w ? w : "");
    }
    sqlite3_str_appendall(create, keys_are_never_null(s) ? ") WITHOUT ROWID" : ")");
    sql_create = sqlite3_str_finish(create);
    sql_insert = sqlite3_str_finish(insert);
    if (!sql_create || !sql_insert || (s->keys && !sql_remove))
        status = nomem(s, reterr);
    if (!status && !(status = evs__sqlite_run(s->c, sql_create, s->busy_ms, reterr)) &&
        !(status = prepare(s, sql_insert, &s->insert, reterr)) && s->keys)
        status = prepare(s, sql_remove, &s->remove, reterr);
    sqlite3_free(v);
    sqlite3_free(u);
    sqlite3_free(w);
    sqlite3_free(sql_create);
    sqlite3_free(sql_insert);
    sqlite3_free(sql_remove);
    return status;
}

static const char epochs_table[] =
    "CREATE TABLE IF NOT EXISTS evs_epochs (application TEXT NOT NULL, sink TEXT NOT NULL, task "
    "INTEGER NOT NULL,"
    " epoch INTEGER NOT NULL, offsets TEXT, PRIMARY KEY (application, sink, task)) WITHOUT ROWID";

static evs_status prepare_sink(sqlite_sink *s, const evs_config *config, evs_error **reterr)
{
    evs_status status =
        evs__sqlite_prepare_modes(s->c, evs_config_string(config, "journal"),
                                  evs_config_string(config, "synchronous"), s->busy_ms, reterr);
    if (status || (status = evs__sqlite_run(s->c, epochs_table, s->busy_ms, reterr)) ||
        (status = make_statements(s, evs_config_string(config, "table"), reterr)))
        return status;
    return prepare(s,
                   "INSERT INTO evs_epochs VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (application, "
                   "sink, task) DO UPDATE SET epoch = excluded.epoch, offsets = excluded.offsets",
                   &s->epoch, reterr);
}

static evs_status
open_database(sqlite_sink *s, const evs_config *config, int32_t commit_group, evs_error **reterr)
{
    evs_status status =
        evs__sqlite_open(s->ctx, evs_config_string(config, "path"), commit_group, &s->c, reterr);
    if (status)
        return status;
    pthread_mutex_lock(&s->c->lock);
    status = prepare_sink(s, config, reterr);
    pthread_mutex_unlock(&s->c->lock);
    return status;
}

static void sink_close(void *sink)
{
    sqlite_sink *s = sink;
    if (s->c) {
        pthread_mutex_lock(&s->c->lock);
        sqlite3_finalize(s->insert);
        sqlite3_finalize(s->remove);
        sqlite3_finalize(s->epoch);
        pthread_mutex_unlock(&s->c->lock);
        evs__sqlite_close(s->c);
    }
    evs_batch_unref(s->resume);
    evs_schema_unref(s->schema);
    evs_free(s->ctx, s->application);
    evs_free(s->ctx, s->name);
    evs_free(s->ctx, s->offsets);
    evs_free(s->ctx, s);
}

static evs_status sink_open(evs_context *context,
                            const evs_config *config,
                            evs_schema *schema,
                            const evs_sink_identity *identity,
                            void **ret_sink,
                            evs_error **reterr)
{
    evs_status status;
    sqlite_sink *s = evs_alloc_array(context, 1, sizeof(*s));
    if (!s)
        return evs_error_set(context, reterr, EVS_ERR_NOMEM, "out of memory");
    s->ctx = context;
    s->schema = evs_schema_ref(schema);
    s->type = evs_schema_type(schema);
    s->columns = (int)evs_type_child_count(s->type);
    s->keys = identity->key_count;
    s->task = identity->task;
    s->text_times = strcmp(evs_config_string(config, "time.format"), "iso") == 0;
    s->busy_ms = evs_config_int(config, "busy.timeout.ms");
    s->application = evs_strdup(context, identity->application_id ? identity->application_id : "");
    s->name = evs_strdup(context, identity->sink_name ? identity->sink_name : "");
    if (!s->application || !s->name)
        status = nomem(s, reterr);
    else if (s->columns > COLUMNS_MAX || s->keys > KEYS_MAX)
        status = evs_error_set(context, reterr, EVS_ERR_LIMIT,
                               "sqlite: %d columns and %d keys are too many", s->columns, s->keys);
    else
        status = open_database(s, config, identity->commit_group, reterr);
    if (status) {
        sink_close(s);
        return status;
    }
    *ret_sink = s;
    return EVS_OK;
}

static evs_status
read_epoch(sqlite_sink *s, int64_t *ret_epoch, const char **ret_offsets, evs_error **reterr)
{
    sqlite3_stmt *q = NULL;
    int step;
    evs_status status = prepare(
        s,
        "SELECT epoch, offsets FROM evs_epochs WHERE application = ?1 AND sink = ?2 AND task = ?3",
        &q, reterr);
    *ret_epoch = -1;
    *ret_offsets = NULL;
    if (status)
        return status;
    sqlite3_bind_text(q, 1, s->application, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 2, s->name, -1, SQLITE_STATIC);
    sqlite3_bind_int(q, 3, s->task);
    step = sqlite3_step(q);
    if (step == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(q, 1);
        evs_free(s->ctx, s->offsets);
        s->offsets = evs_strdup(s->ctx, text ? text : "");
        *ret_epoch = sqlite3_column_int64(q, 0);
        *ret_offsets = s->offsets;
        status = s->offsets ? EVS_OK : nomem(s, reterr);
    } else if (step != SQLITE_DONE) {
        status = evs__sqlite_fail(s->c, "read of evs_epochs", s->c->group ? 0 : s->busy_ms, reterr);
    }
    sqlite3_finalize(q);
    return status;
}

static evs_status
sink_recover(void *sink, int64_t *ret_epoch, const char **ret_offsets, evs_error **reterr)
{
    sqlite_sink *s = sink;
    evs_status status;
    pthread_mutex_lock(&s->c->lock);
    status = read_epoch(s, ret_epoch, ret_offsets, reterr);
    pthread_mutex_unlock(&s->c->lock);
    return status;
}

static evs_status
bind_text(sqlite_sink *s, sqlite3_stmt *st, int at, const evs_row *row, evs_error **reterr)
{
    char small[256];
    char *large;
    size_t len = 0;
    evs_row_text(row, at - 1, small, sizeof(small), &len);
    if (len < sizeof(small))
        return sqlite3_bind_text(st, at, small, (int)len, SQLITE_TRANSIENT) == SQLITE_OK
                   ? EVS_OK
                   : nomem(s, reterr);
    large = evs_alloc(s->ctx, len + 1);
    if (!large)
        return nomem(s, reterr);
    evs_row_text(row, at - 1, large, len + 1, &len);
    if (sqlite3_bind_text(st, at, large, (int)len, SQLITE_TRANSIENT) != SQLITE_OK) {
        evs_free(s->ctx, large);
        return nomem(s, reterr);
    }
    evs_free(s->ctx, large);
    return EVS_OK;
}

/* one value of a column view; strings stay where they are until the statement has run */
static evs_status bind_value(sqlite_sink *s,
                             sqlite3_stmt *st,
                             int at,
                             const evs_column_view *c,
                             const evs_row *row,
                             evs_error **reterr)
{
    uint32_t r = row->index;
    evs_string_view text;
    if (c->validity && !(c->validity[r >> 3] >> (r & 7) & 1))
        return sqlite3_bind_null(st, at) == SQLITE_OK ? EVS_OK : nomem(s, reterr);
    switch (evs_type_get_id(c->type)) {
    case EVS_TYPE_BOOLEAN:
        sqlite3_bind_int(st, at, ((const uint8_t *)c->values)[r >> 3] >> (r & 7) & 1);
        return EVS_OK;
    case EVS_TYPE_INT:
        sqlite3_bind_int(st, at, ((const int32_t *)c->values)[r]);
        return EVS_OK;
    case EVS_TYPE_BIGINT:
        sqlite3_bind_int64(st, at, ((const int64_t *)c->values)[r]);
        return EVS_OK;
    case EVS_TYPE_DOUBLE:
        sqlite3_bind_double(st, at, ((const double *)c->values)[r]);
        return EVS_OK;
    case EVS_TYPE_TIMESTAMP:
        if (s->text_times)
            return bind_text(s, st, at, row, reterr);
        sqlite3_bind_int64(st, at, ((const int64_t *)c->values)[r]);
        return EVS_OK;
    case EVS_TYPE_VARCHAR:
        text = evs_column_string(c, r);
        sqlite3_bind_text(st, at, text.len ? text.data : "", (int)text.len, SQLITE_STATIC);
        return EVS_OK;
    case EVS_TYPE_BYTES:
        text = evs_column_string(c, r);
        sqlite3_bind_blob(st, at, text.len ? text.data : "", (int)text.len, SQLITE_STATIC);
        return EVS_OK;
    default:
        return bind_text(s, st, at, row, reterr);
    }
}

static evs_status bind_row(sqlite_sink *s,
                           sqlite3_stmt *st,
                           int count,
                           const evs_column_view *views,
                           const evs_row *row,
                           bool *ret_null_key,
                           evs_error **reterr)
{
    evs_status status = EVS_OK;
    for (int i = 0; !status && i < count; i++) {
        status = bind_value(s, st, i + 1, &views[i], row, reterr);
        if (i < s->keys && views[i].validity &&
            !(views[i].validity[row->index >> 3] >> (row->index & 7) & 1))
            *ret_null_key = true;
    }
    return status;
}

static evs_status write_row(sqlite_sink *s,
                            const evs_column_view *views,
                            const evs_row *row,
                            uint8_t kind,
                            evs_error **reterr)
{
    bool null_key = false;
    evs_status status;
    if (kind == EVS_ROW_DELETE && !s->keys)
        return evs_error_set(s->ctx, reterr, EVS_ERR_UNSUPPORTED, "a delete needs key columns");
    if (kind != EVS_ROW_DELETE) {
        if ((status = bind_row(s, s->insert, s->columns, views, row, &null_key, reterr)))
            return status;
        if (!null_key)
            return evs__sqlite_step(s->c, s->insert, "insert", s->busy_ms, reterr);
    }
    if ((status = bind_row(s, s->remove, s->keys, views, row, &null_key, reterr)) ||
        (status = evs__sqlite_step(s->c, s->remove, "delete", s->busy_ms, reterr)))
        return status;
    return kind == EVS_ROW_DELETE ? EVS_OK
                                  : evs__sqlite_step(s->c, s->insert, "insert", s->busy_ms, reterr);
}

/* a row that no retry will save */
static bool is_hopeless(const sqlite_sink *s, evs_status status)
{
    int code = sqlite3_errcode(s->c->db);
    return status < 0 && !s->c->lost &&
           (code == SQLITE_CONSTRAINT || code == SQLITE_TOOBIG || code == SQLITE_MISMATCH ||
            status == EVS_ERR_UNSUPPORTED);
}

/* rows from s->resume_at on; it stays where they stopped */
static evs_status write_rows(sqlite_sink *s,
                             evs_batch *batch,
                             const evs_column_view *views,
                             evs_decode_failed_fn failed,
                             void *user_data,
                             evs_error **reterr)
{
    const uint32_t *sel = evs_batch_selection(batch);
    const uint8_t *kinds = evs_batch_kinds(batch);
    size_t rows = evs_batch_rows(batch);
    for (; s->resume_at < rows; s->resume_at++) {
        size_t i = s->resume_at;
        evs_row row = {batch, NULL, sel ? sel[i] : (uint32_t)i, 0};
        evs_error *err = NULL;
        evs_status status =
            write_row(s, views, &row, kinds ? kinds[row.index] : EVS_ROW_INSERT, &err);
        if (status && !(failed && is_hopeless(s, status))) {
            if (reterr)
                *reterr = err;
            else
                evs_error_unref(err);
            return status;
        }
        if (status)
            failed(row.index, status, evs_error_message(err), user_data);
        evs_error_unref(err);
    }
    return EVS_OK;
}

static void forget_resume(sqlite_sink *s)
{
    s->resume = evs_batch_unref(s->resume);
    s->resume_at = 0;
}

static evs_status write_batch(sqlite_sink *s,
                              evs_batch *batch,
                              evs_decode_failed_fn failed,
                              void *user_data,
                              evs_error **reterr)
{
    evs_column_view *views;
    evs_status status = evs__sqlite_begin(s->c, s->busy_ms, reterr);

    if (status)
        return status;
    if (s->resume != batch) {
        forget_resume(s);
        s->resume = evs_batch_ref(batch);
    }
    views = evs_alloc_array(s->ctx, (size_t)s->columns, sizeof(*views));
    if (!views)
        return nomem(s, reterr);
    for (int c = 0; c < s->columns; c++)
        evs_batch_column(batch, (size_t)c, &views[c]);
    status = write_rows(s, batch, views, failed, user_data, reterr);
    if (!status || s->c->lost)
        forget_resume(s);
    evs_free(s->ctx, views);
    return status;
}

static evs_status sink_write(
    void *sink, evs_batch *batch, evs_decode_failed_fn failed, void *user_data, evs_error **reterr)
{
    sqlite_sink *s = sink;
    evs_status status;
    pthread_mutex_lock(&s->c->lock);
    status = write_batch(s, batch, failed, user_data, reterr);
    pthread_mutex_unlock(&s->c->lock);
    return status;
}

static evs_status
store_epoch(sqlite_sink *s, int64_t epoch, const char *offsets, evs_error **reterr)
{
    evs_status status = evs__sqlite_begin(s->c, s->busy_ms, reterr);
    if (status)
        return status;
    sqlite3_bind_text(s->epoch, 1, s->application, -1, SQLITE_STATIC);
    sqlite3_bind_text(s->epoch, 2, s->name, -1, SQLITE_STATIC);
    sqlite3_bind_int(s->epoch, 3, s->task);
    sqlite3_bind_int64(s->epoch, 4, epoch);
    if (sqlite3_bind_text(s->epoch, 5, offsets, -1, SQLITE_TRANSIENT) != SQLITE_OK)
        return nomem(s, reterr);
    return evs__sqlite_step(s->c, s->epoch, "epoch", s->busy_ms, reterr);
}

static evs_status sink_commit(void *sink, int64_t epoch, const char *offsets, evs_error **reterr)
{
    sqlite_sink *s = sink;
    evs_status status;
    pthread_mutex_lock(&s->c->lock);
    status = store_epoch(s, epoch, offsets, reterr);
    if (!status)
        status = evs__sqlite_commit(s->c, &s->told, s->busy_ms, reterr);
    pthread_mutex_unlock(&s->c->lock);
    return status;
}

static evs_status sink_abort(void *sink, evs_error **reterr)
{
    sqlite_sink *s = sink;
    evs_status status;
    pthread_mutex_lock(&s->c->lock);
    forget_resume(s);
    status = evs__sqlite_rollback(s->c, s->busy_ms, reterr);
    pthread_mutex_unlock(&s->c->lock);
    return status;
}

static bool shares_transaction(const evs_config *a, const evs_config *b)
{
    return evs__sqlite_same_file(evs_config_string(a, "path"), evs_config_string(b, "path"));
}

static const evs_sink_functions functions = {
    .struct_size = sizeof(evs_sink_functions),
    .options = options,
    .guarantee = EVS_GUARANTEE_TRANSACTIONAL,
    .open = sink_open,
    .recover = sink_recover,
    .write = sink_write,
    .commit = sink_commit,
    .abort = sink_abort,
    .close = sink_close,
    .shares_transaction = shares_transaction,
};

static const evs_connector connector = {
    .struct_size = sizeof(evs_connector),
    .name = "sqlite",
    .doc = "Table of a SQLite database; results, epoch and offsets in one transaction",
    .sink = &functions,
};

EVS_API const evs_connector *evs_module_connector(void);

const evs_connector *evs_module_connector(void)
{
    return &connector;
}
