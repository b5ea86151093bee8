/*
 * tests/support/pipeline_kit.h: what tests of pipelines share: a clock that the test moves, a
 * transactional sink whose tables outlive the pipeline (`txn`), a state folder, events.
 *
 * The sink's tables stand in for a database: what was committed stays, what was not goes with the
 * connection. Rows are kept as text, by key (an upsert) or appended when they have none.
 */
#ifndef EVS_PIPELINE_KIT_H
#define EVS_PIPELINE_KIT_H

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "evs_test.h"

#include "base/time.h"
#include "runtime/snapshot.h"

/* first the call, then its error: the arguments of one call are evaluated in any order */
#define OK(call)                                                                                   \
    do {                                                                                           \
        evs_status ok_status = (call);                                                             \
        evs_error *ok_error = k->err;                                                              \
        k->err = NULL;                                                                             \
        assert_evs_ok(ok_status, ok_error);                                                        \
    } while (0)
#define FAILS(call, want, part)                                                                    \
    do {                                                                                           \
        evs_status fails_status = (call);                                                          \
        evs_error *fails_error = k->err;                                                           \
        k->err = NULL;                                                                             \
        assert_evs_error(fails_status, fails_error, want, part, NULL);                             \
    } while (0)

/* ---- the transactional sink ---- */

typedef struct table_row {
    char *key; /* "" for appended rows */
    char *text;
} table_row;

typedef struct table {
    table_row *rows;
    size_t count;
    size_t capacity;
} table;

/* a database that may misbehave */
typedef struct database {
    table committed;
    table open; /* written in the open transaction */
    int64_t epoch;
    char *offsets;
    long writes, commits, aborts;
    int fail_writes, fail_flushes, fail_commits; /* so many of the next fail ... */
    int fail_aborts;
    bool for_good;           /* ... and not retriably */
    int no_room;             /* so many of the next writes say EVS_AGAIN */
    const char *bad_row;     /* rows with this text cannot be written */
    const char *refused_row; /* a row with this text is taken and refused afterwards */
    char refused[256];       /* it, until it was told */
    bool down;               /* cannot be opened */
} database;

static inline void table_put(table *t, const char *key, const char *text)
{
    for (size_t i = 0; *key && i < t->count; i++) {
        if (strcmp(t->rows[i].key, key) == 0) {
            free(t->rows[i].text);
            t->rows[i].text = strdup(text);
            return;
        }
    }
    if (t->count == t->capacity) {
        t->capacity = t->capacity ? t->capacity * 2 : 64;
        t->rows = realloc(t->rows, t->capacity * sizeof(*t->rows));
    }
    t->rows[t->count++] = (table_row){strdup(key), strdup(text)};
}

static inline void table_clear(table *t)
{
    for (size_t i = 0; i < t->count; i++) {
        free(t->rows[i].key);
        free(t->rows[i].text);
    }
    free(t->rows);
    *t = (table){0};
}

static inline int compare_rows(const void *a, const void *b)
{
    const table_row *x = a, *y = b;
    return strcmp(x->text, y->text);
}

/* all rows, sorted, one a line; the caller frees */
static inline char *table_text(const table *t)
{
    table_row *sorted = malloc((t->count + 1) * sizeof(*sorted));
    size_t len = 0;
    char *text, *p;
    if (t->count)
        memcpy(sorted, t->rows, t->count * sizeof(*sorted));
    qsort(sorted, t->count, sizeof(*sorted), compare_rows);
    for (size_t i = 0; i < t->count; i++)
        len += strlen(sorted[i].text) + 1;
    p = text = malloc(len + 1);
    for (size_t i = 0; i < t->count; i++)
        p += sprintf(p, "%s%s", i ? "\n" : "", sorted[i].text);
    *p = '\0';
    free(sorted);
    return text;
}

typedef struct txn_sink {
    evs_context *ctx;
    database *db;
    int32_t key_count;
    evs_status failure;
} txn_sink;

static const evs_option_info txn_options[] = {
    {"db", "evs.test.db", NULL, "Attachment that is the database", "0.1", 0, 0, EVS_OPTION_STRING,
     0},
    {0},
};

static inline evs_status txn_open(evs_context *ctx,
                                  const evs_config *config,
                                  evs_schema *schema,
                                  const evs_sink_identity *identity,
                                  void **ret_sink,
                                  evs_error **reterr)
{
    database *db = evs_context_attached(ctx, evs_config_string(config, "db"));
    txn_sink *s;
    (void)schema;
    if (db->down) {
        evs_error_set(ctx, reterr, EVS_ERR_UNAVAILABLE, "the database is down");
        evs_error_annotate(ctx, reterr, true, false, 0, NULL);
        return EVS_ERR_UNAVAILABLE;
    }
    s = evs_alloc_array(ctx, 1, sizeof(*s));
    if (!s)
        return evs_error_set(ctx, reterr, EVS_ERR_NOMEM, "out of memory");
    s->ctx = ctx;
    s->db = db;
    s->key_count = identity->key_count;
    table_clear(&db->open);
    *ret_sink = s;
    return EVS_OK;
}

static inline evs_status
txn_recover(void *sink, int64_t *ret_epoch, const char **ret_offsets, evs_error **reterr)
{
    txn_sink *s = sink;
    (void)reterr;
    *ret_epoch = s->db->epoch;
    *ret_offsets = s->db->offsets;
    return EVS_OK;
}

/* one of the next `*count` calls fails */
static inline bool misbehaves(txn_sink *s, int *count, const char *what, evs_error **reterr)
{
    if (*count <= 0)
        return false;
    --*count;
    s->failure = s->db->for_good ? EVS_ERR_IO : EVS_ERR_UNAVAILABLE;
    evs_error_set(s->ctx, reterr, s->failure, "%s failed on purpose", what);
    evs_error_annotate(s->ctx, reterr, !s->db->for_good, false, 0, NULL);
    return true;
}

static inline evs_status
row_text(const evs_row *row, int32_t from, int32_t to, char *out, size_t size)
{
    evs_status status = EVS_OK;
    size_t at = 0;
    out[0] = '\0';
    for (int32_t f = from; f < to && at + 1 < size; f++) {
        char value[256] = "null";
        size_t len;
        if (evs_row_text(row, f, value, sizeof(value), &len) == EVS_ERR_NOMEM)
            status = EVS_ERR_NOMEM;
        at += (size_t)snprintf(out + at, size - at, "%s%s", f > from ? "|" : "", value);
    }
    return status;
}

static inline evs_status txn_write(
    void *sink, evs_batch *batch, evs_decode_failed_fn failed, void *user_data, evs_error **reterr)
{
    txn_sink *s = sink;
    if (misbehaves(s, &s->db->fail_writes, "write", reterr))
        return s->failure;
    if (s->db->no_room > 0) {
        s->db->no_room--;
        return EVS_AGAIN;
    }
    s->db->writes++;
    for (size_t i = 0; i < evs_batch_rows(batch); i++) {
        evs_row row = evs_batch_row(batch, i);
        char key[512], text[1024];
        int32_t fields = (int32_t)evs_type_child_count(evs_batch_type(batch));
        if (row_text(&row, 0, s->key_count, key, sizeof(key)) ||
            row_text(&row, 0, fields, text, sizeof(text)))
            return evs_error_set(s->ctx, reterr, EVS_ERR_NOMEM, "out of memory");
        if (s->db->bad_row && strstr(text, s->db->bad_row))
            failed(row.index, EVS_ERR_ENCODE, "a bad row", user_data);
        else if (s->db->refused_row && strstr(text, s->db->refused_row))
            snprintf(s->db->refused, sizeof(s->db->refused), "%s", text);
        else
            table_put(&s->db->open, key, text);
    }
    return EVS_OK;
}

static inline evs_status txn_flush(void *sink, int64_t wait_ms, evs_error **reterr)
{
    txn_sink *s = sink;
    (void)wait_ms;
    return misbehaves(s, &s->db->fail_flushes, "flush", reterr) ? s->failure : EVS_OK;
}

static inline evs_status
txn_commit(void *sink, int64_t epoch, const char *offsets, evs_error **reterr)
{
    txn_sink *s = sink;
    if (misbehaves(s, &s->db->fail_commits, "commit", reterr))
        return s->failure;
    for (size_t i = 0; i < s->db->open.count; i++)
        table_put(&s->db->committed, s->db->open.rows[i].key, s->db->open.rows[i].text);
    table_clear(&s->db->open);
    s->db->epoch = epoch;
    free(s->db->offsets);
    s->db->offsets = strdup(offsets ? offsets : "");
    s->db->commits++;
    return EVS_OK;
}

static inline evs_status txn_abort(void *sink, evs_error **reterr)
{
    txn_sink *s = sink;
    bool for_good = s->db->for_good;
    s->db->for_good = false; /* an abort that fails may be repeated */
    if (misbehaves(s, &s->db->fail_aborts, "abort", reterr)) {
        s->db->for_good = for_good;
        return s->failure;
    }
    s->db->for_good = for_good;
    table_clear(&s->db->open);
    s->db->aborts++;
    return EVS_OK;
}

static inline void txn_refused(void *sink, evs_refused_fn refused, void *user_data)
{
    txn_sink *s = sink;
    evs_input in = {.value = s->db->refused,
                    .value_len = (uint32_t)strlen(s->db->refused),
                    .key = "k",
                    .key_len = 1,
                    .offset = -1,
                    .timestamp = 7000,
                    .partition = -1,
                    .topic = UINT32_MAX};
    if (*s->db->refused)
        refused(&in, EVS_ERR_LIMIT, "too large", user_data);
    *s->db->refused = '\0';
}

static inline void txn_close(void *sink)
{
    txn_sink *s = sink;
    table_clear(&s->db->open);
    evs_free(s->ctx, s);
}

static const evs_sink_functions txn_functions = {
    .struct_size = sizeof(evs_sink_functions),
    .options = txn_options,
    .guarantee = EVS_GUARANTEE_TRANSACTIONAL,
    .open = txn_open,
    .recover = txn_recover,
    .write = txn_write,
    .flush = txn_flush,
    .commit = txn_commit,
    .abort = txn_abort,
    .close = txn_close,
    .refused = txn_refused,
};
static const evs_connector txn_connector = {sizeof(evs_connector), "txn", "a database in a test",
                                            NULL, &txn_functions};

/* the same database without transactions: rows are there at once */
static inline evs_status plain_write(
    void *sink, evs_batch *batch, evs_decode_failed_fn failed, void *user_data, evs_error **reterr)
{
    txn_sink *s = sink;
    evs_status status = txn_write(sink, batch, failed, user_data, reterr);
    for (size_t i = 0; i < s->db->open.count; i++)
        table_put(&s->db->committed, s->db->open.rows[i].key, s->db->open.rows[i].text);
    table_clear(&s->db->open);
    return status;
}
static const evs_sink_functions upsert_functions = {
    .struct_size = sizeof(evs_sink_functions),
    .options = txn_options,
    .guarantee = EVS_GUARANTEE_IDEMPOTENT,
    .open = txn_open,
    .write = plain_write,
    .flush = txn_flush,
    .close = txn_close,
    .refused = txn_refused,
};
static const evs_connector upsert_connector = {
    sizeof(evs_connector), "upsert", "a key-value store in a test", NULL, &upsert_functions};

/* ---- the kit ---- */

typedef struct kit {
    evs_context *ctx;
    evs_error *err;
    database db;
    database letters; /* for dead letters: db=evs.test.letters */
    int64_t now_ms;
    const char *dies_at; /* step of a commit, NULL: lives */
    long dies_after;     /* so many times it lives through that step */
    char dir[64];
    evs_pipeline *p;
    evs_stream *source;
    char logged[512]; /* last line of the log */
} kit;

static inline int64_t kit_now(void *user)
{
    return ((kit *)user)->now_ms;
}

static inline bool kit_dies(void *user, const char *step)
{
    kit *k = user;
    return k->dies_at && strcmp(k->dies_at, step) == 0 && k->dies_after-- <= 0;
}

static inline void kit_log(int32_t level, const char *where, const char *message, void *user)
{
    kit *k = user;
    snprintf(k->logged, sizeof(k->logged), "%d %s: %s", level, where, message);
}

static inline void database_clear(database *db)
{
    table_clear(&db->committed);
    table_clear(&db->open);
    free(db->offsets);
    *db = (database){.epoch = -1};
}

static inline void kit_init(kit *k, const evs_context_options *options)
{
    *k = (kit){.now_ms = 1000000, .db.epoch = -1, .letters.epoch = -1};
    /* a folder in memory where there is one: tests commit thousands of times */
    strcpy(k->dir, access("/dev/shm", W_OK) ? "/tmp/evs-test-XXXXXX" : "/dev/shm/evs-test-XXXXXX");
    assert_non_null(mkdtemp(k->dir));
    OK(evs_context_new(options, &k->ctx, &k->err));
    OK(evs_connector_register(k->ctx, &txn_connector, &k->err));
    OK(evs_connector_register(k->ctx, &upsert_connector, &k->err));
    OK(evs_context_attach(k->ctx, "evs.test.db", &k->db, NULL, &k->err));
    OK(evs_context_attach(k->ctx, "evs.test.letters", &k->letters, NULL, &k->err));
}

static inline int kit_setup(void **state)
{
    kit *k = malloc(sizeof(*k));
    evs_context_options o = EVS_CONTEXT_OPTIONS_INIT;
    o.log = kit_log;
    o.log_user_data = k;
    o.log_level = EVS_LOG_INFO;
    kit_init(k, &o);
    *state = k;
    return 0;
}

static inline int
remove_entry(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    return remove(path);
}

static inline void remove_dir(const char *dir)
{
    /* children before their folder; no shell: sweeps do this thousands of times */
    if (nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS))
        assert_int_equal(errno, ENOENT);
}

static inline int kit_teardown(void **state)
{
    kit *k = *state;
    evs_pipeline_unref(k->p);
    evs_error_unref(k->err);
    evs_context_unref(k->ctx);
    database_clear(&k->db);
    database_clear(&k->letters);
    remove_dir(k->dir);
    free(k);
    return 0;
}

/* a new pipeline "p" with the kit's clock */
static inline evs_pipeline *kit_pipeline(kit *k)
{
    evs_pipeline_unref(k->p);
    k->p = NULL;
    OK(evs_pipeline_new(k->ctx, "p", &k->p, &k->err));
    k->p->hooks = (evs__hooks){kit_now, kit_dies, k};
    return k->p;
}

/* {"user":"uN","n":n} with an event time as record timestamp */
static inline evs_status kit_event(kit *k, int32_t partition, int64_t time_ms, int user, int n)
{
    char text[96], key[16];
    int len = snprintf(text, sizeof(text), "{\"user\":\"u%d\",\"n\":%d}", user, n);
    int key_len = snprintf(key, sizeof(key), "u%d", user);
    return evs_stream_push_bytes(k->source, text, (size_t)len, key, (size_t)key_len, time_ms,
                                 partition, &k->err);
}

/* poll until there is nothing to do; the last status */
static inline evs_status kit_drain(kit *k)
{
    evs_status status;
    do
        status = evs_pipeline_poll(k->p, 0, &k->err);
    while (status == EVS_OK);
    return status;
}

static inline double kit_metric(kit *k, const char *name)
{
    double v = -1;
    assert_int_equal(evs_pipeline_metric(k->p, name, &v), EVS_OK);
    return v;
}

#define KIT_TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

static inline void assert_table_at(const table *t, const char *want, const char *file, int line)
{
    char *text = table_text(t);
    assert_non_null(text);
    if (strcmp(text, want) != 0)
        print_message("%s:%d: got\n%s\nwanted\n%s\n", file, line, text, want);
    _assert_true(strcmp(text, want) == 0, "table", file, line);
    free(text);
}
#define assert_table(t, want) assert_table_at((t), (want), __FILE__, __LINE__)

#endif
