/*
 * io/redis/redis.c: results as Redis strings or hashes, one key a result.
 *
 *   hash     HSET key field value ...   (HDEL of fields that are NULL)   PEXPIRE key ttl
 *   string   SET key value [PX ttl]     value: a column, or the row as JSON
 *   delete   DEL key
 *
 * Commands are pipelined: written into one text (command.h), sent in bursts, so that the server
 * works on one while the next is made; replies read back in runs, everything by flush. Replies are
 * only counted, and errors kept: no object is made of them.
 * Idempotent: the same result written again changes nothing, so an epoch that is replayed after a
 * crash or a lost connection ends equal. A lost connection fails the write or the flush with
 * EVS_ERR_STATE; the pipeline goes back to the last epoch; the next write connects anew.
 */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "io/redis/command.h"
#include "io/redis/template.h"

enum { BURST = 250, BURST_BYTES = 65536, REPLIES_BEHIND_MAX = 1000, DEFAULT_PORT = 6379 };
enum { FIELDS_MAX = 511 };

typedef struct redis_sink {
    evs_context *ctx;
    redisContext *redis;
    char *host, *socket, *user, *password;
    int port, database;
    int64_t timeout_ms, ttl_ms;
    bool hash;
    redis_template key;
    int32_t *fields;    /* columns of the hash */
    const char **names; /* theirs */
    size_t *name_lens;
    size_t field_count;
    int32_t value_field;  /* string: the column, -1: the row as JSON */
    evs_encoder *encoder; /* of the row as JSON */
    redis_text text;      /* values of one row */
    redis_text commands;  /* not passed to hiredis yet */
    size_t command_count; /* of them */
    char ttl[24];
    size_t behind; /* replies of commands that were sent, not read yet */
    evs_schema *schema;
    evs_error *refused; /* first error reply since the last flush */
} redis_sink;

static const evs_option_info options[] = {
    {"url", "redis://127.0.0.1:6379", NULL,
     "redis://[[user]:password@]host[:port][/database], or unix:/path/of/socket", "0.1", 0, 0,
     EVS_OPTION_SECRET, 0},
    {"key", NULL, NULL, "Template of the key: text with {column}", "0.1", 0, 0, EVS_OPTION_STRING,
     1},
    {"type", "hash", "hash|string", "What a key holds", "0.1", 0, 0, EVS_OPTION_ENUM, 0},
    {"fields", NULL, NULL, "hash: columns to keep, by default all that the key does not use", "0.1",
     0, 0, EVS_OPTION_STRING, 0},
    {"value", NULL, NULL, "string: column to keep, by default the row as JSON", "0.1", 0, 0,
     EVS_OPTION_STRING, 0},
    {"ttl.ms", "forever", NULL, "Life of a key after its last write", "0.1", 0, 0,
     EVS_OPTION_DURATION, 0},
    {"timeout.ms", "5s", NULL, "Of connecting and of one answer", "0.1", 1, 3600000,
     EVS_OPTION_DURATION, 0},
    {0},
};

static evs_status nomem(redis_sink *s, evs_error **reterr)
{
    return evs_error_set(s->ctx, reterr, EVS_ERR_NOMEM, "out of memory");
}

/* ---- options ---- */

static char *copy(redis_sink *s, const char *from, size_t len)
{
    char *to = evs_alloc(s->ctx, len + 1);
    if (to) {
        memcpy(to, from, len);
        to[len] = '\0';
    }
    return to;
}

static evs_status bad_url(redis_sink *s, evs_error **reterr)
{
    return evs_error_set(
        s->ctx, reterr, EVS_ERR_CONFIG,
        "option \"url\" is not redis://[[user]:password@]host[:port][/database] or unix:/path");
}

static evs_status parse_authority(redis_sink *s, const char *p, size_t len, evs_error **reterr)
{
    const char *at = memrchr(p, '@', len);
    const char *colon;
    if (at) {
        colon = memchr(p, ':', (size_t)(at - p));
        if (!colon)
            return bad_url(s, reterr);
        if (colon > p && !(s->user = copy(s, p, (size_t)(colon - p))))
            return nomem(s, reterr);
        if (!(s->password = copy(s, colon + 1, (size_t)(at - colon - 1))))
            return nomem(s, reterr);
        len -= (size_t)(at + 1 - p);
        p = at + 1;
    }
    colon = memrchr(p, ':', len);
    s->port = DEFAULT_PORT;
    if (colon) {
        s->port = atoi(colon + 1);
        len = (size_t)(colon - p);
    }
    if (!len || s->port < 1 || s->port > 65535)
        return bad_url(s, reterr);
    s->host = copy(s, p, len);
    return s->host ? EVS_OK : nomem(s, reterr);
}

static evs_status parse_url(redis_sink *s, const char *url, evs_error **reterr)
{
    size_t len;
    if (strncmp(url, "unix:", 5) == 0 && url[5]) {
        s->socket = evs_strdup(s->ctx, url + 5);
        return s->socket ? EVS_OK : nomem(s, reterr);
    }
    if (strncmp(url, "redis://", 8) != 0)
        return bad_url(s, reterr);
    url += 8;
    len = strcspn(url, "/");
    if (url[len] == '/' && url[len + 1]) {
        char *end;
        long database = strtol(url + len + 1, &end, 10);
        if (*end || database < 0 || database > 65535)
            return bad_url(s, reterr);
        s->database = (int)database;
    }
    return parse_authority(s, url, len, reterr);
}

static evs_status add_field(redis_sink *s, const evs_type *type, int32_t field)
{
    s->names[s->field_count] = evs_type_field_name(type, (size_t)field);
    s->name_lens[s->field_count] = strlen(s->names[s->field_count]);
    s->fields[s->field_count++] = field;
    return EVS_OK;
}

static evs_status
choose_fields(redis_sink *s, const char *list, const evs_type *type, evs_error **reterr)
{
    size_t count = evs_type_child_count(type);
    s->fields = evs_alloc_array(s->ctx, count, sizeof(*s->fields));
    s->names = evs_alloc_array(s->ctx, count, sizeof(*s->names));
    s->name_lens = evs_alloc_array(s->ctx, count, sizeof(*s->name_lens));
    if (!s->fields || !s->names || !s->name_lens)
        return nomem(s, reterr);
    for (size_t i = 0; !list && i < count; i++) {
        if (!redis_template_uses(&s->key, (int32_t)i))
            add_field(s, type, (int32_t)i);
    }
    for (const char *p = list; p; p = *p ? p + 1 : NULL) {
        size_t lead = strspn(p, " ");
        size_t len = strcspn(p + lead, ", ");
        int32_t field = evs_type_field_index(type, p + lead, len);
        if (field < 0 || s->field_count == count)
            return evs_error_set(s->ctx, reterr, EVS_ERR_CONFIG,
                                 "option \"fields\": there is no column \"%.*s\"", (int)len,
                                 p + lead);
        add_field(s, type, field);
        p += strcspn(p, ",");
    }
    if (!s->field_count || s->field_count > FIELDS_MAX)
        return evs_error_set(s->ctx, reterr, EVS_ERR_CONFIG,
                             "option \"fields\": a hash needs 1 to %d columns", FIELDS_MAX);
    return EVS_OK;
}

static evs_status
choose_value(redis_sink *s, const evs_config *config, const evs_type *type, evs_error **reterr)
{
    const char *name = evs_config_string(config, "value");
    s->value_field = -1;
    if (!name)
        return evs_encoder_new(s->ctx, type, NULL, evs_config_options(config), &s->encoder, reterr);
    s->value_field = evs_type_field_index(type, name, strlen(name));
    if (s->value_field < 0)
        return evs_error_set(s->ctx, reterr, EVS_ERR_CONFIG,
                             "option \"value\": there is no column \"%s\"", name);
    return EVS_OK;
}

/* ---- connection ---- */

static void disconnect(redis_sink *s)
{
    if (s->redis)
        redisFree(s->redis);
    s->redis = NULL;
    s->behind = 0;
    s->commands.len = s->command_count = 0;
}

static evs_status
connection_fail(redis_sink *s, const char *what, bool retriable, evs_error **reterr)
{
    char where[300];
    /* commands were on the way: the epoch is written again */
    evs_status status = retriable ? EVS_ERR_UNAVAILABLE : EVS_ERR_STATE;
    snprintf(where, sizeof(where), "%s", s->socket ? s->socket : s->host);
    evs_error_set(s->ctx, reterr, status, "redis at \"%s\": %s%s", where, what,
                  retriable ? "" : "; what was not committed is written again");
    evs_error_annotate(s->ctx, reterr, retriable, false, 0, NULL);
    disconnect(s);
    return status;
}

/* one command whose answer must not be an error: AUTH, SELECT */
static evs_status
ask(redis_sink *s, int argc, const char **argv, const char *what, evs_error **reterr)
{
    evs_status status = EVS_OK;
    redisReply *reply = redisCommandArgv(s->redis, argc, argv, NULL);
    if (!reply)
        return connection_fail(s, s->redis->errstr, true, reterr);
    if (reply->type == REDIS_REPLY_ERROR) {
        status =
            evs_error_set(s->ctx, reterr, strcmp(what, "AUTH") == 0 ? EVS_ERR_AUTH : EVS_ERR_CONFIG,
                          "redis: %s: %s", what, reply->str);
        disconnect(s);
    }
    freeReplyObject(reply);
    return status;
}

/* A reply becomes its address alone, never NULL: see drain(). The first error is kept for flush. */
static void *on_text(const redisReadTask *task, char *text, size_t len)
{
    redis_sink *s = task->privdata;
    if (task->type == REDIS_REPLY_ERROR && !s->refused)
        evs_error_set(s->ctx, &s->refused, EVS_ERR_IO, "redis: %.*s", (int)len, text);
    return s;
}

static const redisReplyObjectFunctions counted = {.createString = on_text};

static evs_status connect_now(redis_sink *s, evs_error **reterr)
{
    struct timeval timeout = {s->timeout_ms / 1000, (s->timeout_ms % 1000) * 1000};
    char number[16];
    evs_status status = EVS_OK;

    if (s->redis)
        return EVS_OK;
    s->redis = s->socket ? redisConnectUnixWithTimeout(s->socket, timeout)
                         : redisConnectWithTimeout(s->host, s->port, timeout);
    if (!s->redis)
        return nomem(s, reterr);
    if (s->redis->err)
        return connection_fail(s, s->redis->errstr, true, reterr);
    redisSetTimeout(s->redis, timeout);
    if (s->password) {
        const char *with_user[] = {"AUTH", s->user, s->password};
        const char *without[] = {"AUTH", s->password};
        status = ask(s, s->user ? 3 : 2, s->user ? with_user : without, "AUTH", reterr);
    }
    if (!status && s->database) {
        const char *select[] = {"SELECT", number};
        snprintf(number, sizeof(number), "%d", s->database);
        status = ask(s, 2, select, "SELECT", reterr);
    }
    if (!status) {
        s->redis->reader->fn = (redisReplyObjectFunctions *)&counted; /* it is only read */
        s->redis->reader->privdata = s;
    }
    return status;
}

/*
 * Read answers until at most `keep` are outstanding. From the reader itself, not by
 * redisGetReply(): that looks into replies, and ours are none.
 */
static evs_status drain(redis_sink *s, size_t keep, evs_error **reterr)
{
    while (s->behind > keep) {
        void *reply = NULL;
        if (redisReaderGetReply(s->redis->reader, &reply) != REDIS_OK)
            return connection_fail(s, s->redis->reader->errstr, false, reterr);
        if (reply)
            s->behind--;
        else if (redisBufferRead(s->redis) != REDIS_OK)
            return connection_fail(s, s->redis->errstr, false, reterr);
    }
    return EVS_OK;
}

/* ---- commands ---- */

/* all that wait, to the socket */
static evs_status send_commands(redis_sink *s, evs_error **reterr)
{
    int done = 0;

    if (!s->command_count)
        return EVS_OK;
    if (redisAppendFormattedCommand(s->redis, s->commands.data, s->commands.len) != REDIS_OK)
        return connection_fail(s, s->redis->errstr, false, reterr);
    while (!done) {
        if (redisBufferWrite(s->redis, &done) != REDIS_OK)
            return connection_fail(s, s->redis->errstr, false, reterr);
    }
    s->behind += s->command_count;
    s->commands.len = s->command_count = 0;
    return EVS_OK;
}

static evs_status begin(redis_sink *s, size_t count, const char *name, size_t key_len)
{
    evs_status status = redis_command_begin(&s->commands, count);
    if (!status)
        status = redis_command_arg(&s->commands, name, strlen(name));
    if (!status)
        status = redis_command_arg(&s->commands, s->text.data, key_len);
    s->command_count += !status;
    return status;
}

static evs_status arg(redis_sink *s, const char *data, size_t len)
{
    return redis_command_arg(&s->commands, data, len);
}

static evs_status expire(redis_sink *s, size_t key_len)
{
    evs_status status;
    if (s->ttl_ms == EVS_FOREVER)
        return EVS_OK;
    status = begin(s, 3, "PEXPIRE", key_len);
    return status ? status : arg(s, s->ttl, strlen(s->ttl));
}

/* text holds the key; a value is put behind it and leaves it again */
static evs_status put_hash(redis_sink *s, const evs_row *row, size_t key_len)
{
    size_t nulls = 0;
    evs_status status = EVS_OK;

    for (size_t i = 0; i < s->field_count; i++)
        nulls += evs_row_is_null(row, s->fields[i]);
    if (nulls < s->field_count)
        status = begin(s, 2 + 2 * (s->field_count - nulls), "HSET", key_len);
    for (size_t i = 0; !status && i < s->field_count && nulls < s->field_count; i++) {
        if (nulls && evs_row_is_null(row, s->fields[i]))
            continue;
        s->text.len = key_len;
        status = redis_text_put_column(&s->text, row, s->fields[i]);
        if (!status)
            status = arg(s, s->names[i], s->name_lens[i]);
        if (!status)
            status = arg(s, s->text.data + key_len, s->text.len - key_len);
    }
    if (nulls && !status)
        status = begin(s, 2 + nulls, "HDEL", key_len);
    for (size_t i = 0; nulls && !status && i < s->field_count; i++) {
        if (evs_row_is_null(row, s->fields[i]))
            status = arg(s, s->names[i], s->name_lens[i]);
    }
    return status ? status : expire(s, key_len);
}

static evs_status put_string(redis_sink *s, const evs_row *row, size_t key_len, evs_error **reterr)
{
    bool expires = s->ttl_ms != EVS_FOREVER;
    evs_string_view value = {NULL, 0};
    evs_status status;

    if (s->encoder) {
        if ((status = evs_encoder_encode(s->encoder, row->batch, row->index, &value, reterr)))
            return status;
    } else {
        if (redis_text_put_column(&s->text, row, s->value_field))
            return nomem(s, reterr);
        value = (evs_string_view){s->text.data + key_len, s->text.len - key_len};
    }
    status = begin(s, expires ? 5 : 3, "SET", key_len);
    if (!status)
        status = arg(s, value.data, value.len);
    if (!status && expires)
        status = arg(s, "PX", 2);
    if (!status && expires)
        status = arg(s, s->ttl, strlen(s->ttl));
    return status ? nomem(s, reterr) : EVS_OK;
}

/* ---- the connector's functions ---- */

static void sink_close(void *sink)
{
    redis_sink *s = sink;
    disconnect(s);
    redis_template_free(&s->key);
    evs_encoder_unref(s->encoder);
    evs_schema_unref(s->schema);
    evs_error_unref(s->refused);
    evs_free(s->ctx, s->host);
    evs_free(s->ctx, s->socket);
    evs_free(s->ctx, s->user);
    evs_free(s->ctx, s->password);
    evs_free(s->ctx, s->fields);
    evs_free(s->ctx, s->names);
    evs_free(s->ctx, s->name_lens);
    evs_free(s->ctx, s->text.data);
    evs_free(s->ctx, s->commands.data);
    evs_free(s->ctx, s);
}

static evs_status sink_open(evs_context *context,
                            const evs_config *config,
                            evs_schema *schema,
                            const evs_sink_identity *identity,
                            void **ret_sink,
                            evs_error **reterr)
{
    const evs_type *type = evs_schema_type(schema);
    evs_status status;
    redis_sink *s = evs_alloc_array(context, 1, sizeof(*s));
    (void)identity;
    if (!s)
        return evs_error_set(context, reterr, EVS_ERR_NOMEM, "out of memory");
    s->ctx = context;
    s->schema = evs_schema_ref(schema);
    s->text.ctx = s->commands.ctx = context;
    s->hash = strcmp(evs_config_string(config, "type"), "hash") == 0;
    s->ttl_ms = evs_config_int(config, "ttl.ms");
    s->timeout_ms = evs_config_int(config, "timeout.ms");
    snprintf(s->ttl, sizeof(s->ttl), "%lld", (long long)s->ttl_ms);
    if (!(status = parse_url(s, evs_config_string(config, "url"), reterr)) &&
        !(status = redis_template_parse(context, evs_config_string(config, "key"), type, &s->key,
                                        reterr)))
        status = s->hash ? choose_fields(s, evs_config_string(config, "fields"), type, reterr)
                         : choose_value(s, config, type, reterr);
    if (!status) /* a pipeline asks again until connect.timeout.ms has passed */
        status = connect_now(s, reterr);
    if (status) {
        sink_close(s);
        return status;
    }
    *ret_sink = s;
    return EVS_OK;
}

static evs_status make_commands(redis_sink *s, const evs_row *row, uint8_t kind, evs_error **reterr)
{
    evs_status status;
    size_t key_len;

    s->text.len = 0;
    if (redis_template_make(&s->key, row, &s->text))
        return nomem(s, reterr);
    key_len = s->text.len;
    if (kind != EVS_ROW_DELETE && !s->hash)
        return put_string(s, row, key_len, reterr);
    status = kind == EVS_ROW_DELETE ? begin(s, 2, "DEL", key_len) : put_hash(s, row, key_len);
    return status ? nomem(s, reterr) : EVS_OK;
}

/* a row's commands wait as a whole or not at all */
static evs_status write_row(redis_sink *s, const evs_row *row, uint8_t kind, evs_error **reterr)
{
    size_t len = s->commands.len, count = s->command_count;
    evs_status status = make_commands(s, row, kind, reterr);

    if (status) {
        s->commands.len = len;
        s->command_count = count;
    }
    return status;
}

/* a burst goes out when it is large enough; while the server works on the last ones, answers to
 * earlier ones are read */
static evs_status pass_on(redis_sink *s, evs_error **reterr)
{
    evs_status status;

    if (s->command_count < BURST && s->commands.len < BURST_BYTES)
        return EVS_OK;
    status = send_commands(s, reterr);
    if (!status && s->behind >= REPLIES_BEHIND_MAX)
        status = drain(s, REPLIES_BEHIND_MAX - BURST, reterr);
    return status;
}

static evs_status sink_write(
    void *sink, evs_batch *batch, evs_decode_failed_fn failed, void *user_data, evs_error **reterr)
{
    redis_sink *s = sink;
    const uint32_t *sel = evs_batch_selection(batch);
    const uint8_t *kinds = evs_batch_kinds(batch);
    size_t rows = evs_batch_rows(batch);
    evs_status status = connect_now(s, reterr);

    for (size_t i = 0; !status && i < rows; i++) {
        evs_row row = {batch, NULL, sel ? sel[i] : (uint32_t)i, 0};
        evs_error *err = NULL;
        status = write_row(s, &row, kinds ? kinds[row.index] : EVS_ROW_INSERT, &err);
        if ((status == EVS_ERR_ENCODE || status == EVS_ERR_SCHEMA) && failed) {
            failed(row.index, status, evs_error_message(err), user_data);
            evs_error_unref(err);
            status = EVS_OK;
        } else if (status && reterr) {
            *reterr = err;
        } else {
            evs_error_unref(err);
        }
        if (!status)
            status = pass_on(s, reterr);
    }
    return status;
}

static evs_status sink_flush(void *sink, int64_t wait_ms, evs_error **reterr)
{
    redis_sink *s = sink;
    evs_status status;
    (void)wait_ms; /* an answer is waited for up to timeout.ms */
    if (s->redis && ((status = send_commands(s, reterr)) || (status = drain(s, 0, reterr))))
        return status;
    if (!s->refused)
        return EVS_OK;
    status = evs_error_status(s->refused);
    if (reterr)
        *reterr = s->refused;
    else
        evs_error_unref(s->refused);
    s->refused = NULL;
    return status;
}

static evs_status sink_abort(void *sink, evs_error **reterr)
{
    redis_sink *s = sink;
    (void)reterr;
    disconnect(s); /* what was written ahead is written again */
    s->refused = evs_error_unref(s->refused);
    return EVS_OK;
}

static const evs_sink_functions functions = {
    .struct_size = sizeof(evs_sink_functions),
    .options = options,
    .guarantee = EVS_GUARANTEE_IDEMPOTENT,
    .open = sink_open,
    .write = sink_write,
    .flush = sink_flush,
    .abort = sink_abort,
    .close = sink_close,
};

static const evs_connector connector = {
    .struct_size = sizeof(evs_connector),
    .name = "redis",
    .doc = "Redis strings or hashes, a key per result",
    .sink = &functions,
};

EVS_API const evs_connector *evs_module_connector(void);

const evs_connector *evs_module_connector(void)
{
    return &connector;
}
