/*
 * io/memory.c: the `memory` connector: rows and events from the host (evs_stream_push), or from a
 * named log that a memory sink writes: `name=clicks` in a sink and in a source meet.
 *
 * A source without a name has a log of its own; rows stay there until the pipeline committed them,
 * so an epoch that is given up is read again. Offsets count what the host pushed since the source
 * was opened: a host that starts again with a state folder pushes from the beginning, and what is
 * committed already is passed over. A named log keeps everything up to rows.max and
 * serves any number of readers, each from the beginning (or `start=latest`). The sink appends; it
 * sees rows twice after a replay, so it gives at least once.
 *
 * Not kept beyond the process: tests, demos, and pipelines that hand over to each other.
 */
#include <string.h>

#include "io/connectors.h"
#include "io/memory.h"

typedef struct cursor {
    evs__log_entry *last; /* read last, or NULL: look `offset` up */
    int64_t offset;       /* next to read */
} cursor;

typedef struct memory_source {
    evs_context *ctx;
    evs__memory_log *log;
    bool own; /* the log is this source's */
    bool retain;
    bool bounded;
    bool latest;
    bool assigned;
    evs__log_listener listener;
    const char *topic;
    cursor *cursors;
    int32_t turn; /* partition to read next */
} memory_source;

/* what a read shows */
typedef struct read_block {
    size_t count;
    evs__log_entry **entries;
    evs_input inputs[];
} read_block;

static const evs_option_info source_options[] = {
    {"name", NULL, NULL,
     "Named log to read, which a memory sink writes; default: one of its own, filled by the host",
     "0.1", 0, 0, EVS_OPTION_STRING, 0},
    {"partitions", "1", NULL, "Partitions of the log", "0.1", 1, 4096, EVS_OPTION_INT, 0},
    {"rows.max", "1000000", NULL, "Rows the log keeps at most", "0.1", 1, 0x7fffffff,
     EVS_OPTION_INT, 0},
    {"start", "earliest", "earliest|latest", "Where reading a named log begins", "0.1", 0, 0,
     EVS_OPTION_ENUM, 0},
    {"bounded", "false", NULL, "End when everything has been read", "0.1", 0, 0, EVS_OPTION_BOOL,
     0},
    {0},
};

static void source_close(void *source)
{
    memory_source *s = source;
    evs__log_listener **at;

    if (s->log) {
        pthread_mutex_lock(&s->log->lock);
        for (at = &s->log->listeners; *at && *at != &s->listener; at = &(*at)->next)
            ;
        if (*at)
            *at = s->listener.next;
        pthread_mutex_unlock(&s->log->lock);
        for (int32_t i = 0; s->cursors && i < s->log->partition_count; i++)
            evs__log_entry_unref(s->cursors[i].last);
        if (s->own)
            evs__log_free(s->ctx, s->log);
    }
    evs_free(s->ctx, s->cursors);
    evs_free(s->ctx, s);
}

static evs_status open_cursors(memory_source *s, evs_error **reterr)
{
    s->cursors = evs_alloc_array(s->ctx, (size_t)s->log->partition_count, sizeof(*s->cursors));
    if (!s->cursors)
        return evs_error_set(s->ctx, reterr, EVS_ERR_NOMEM, "out of memory");
    pthread_mutex_lock(&s->log->lock);
    for (int32_t i = 0; s->latest && i < s->log->partition_count; i++)
        s->cursors[i].offset = s->log->partitions[i].end;
    s->listener.next = s->log->listeners;
    s->log->listeners = &s->listener;
    pthread_mutex_unlock(&s->log->lock);
    return EVS_OK;
}

static evs_status open_log(memory_source *s, const evs_config *config, evs_error **reterr)
{
    const char *name = evs_config_string(config, "name");
    int32_t partitions = (int32_t)evs_config_int(config, "partitions");
    int64_t rows_max = evs_config_int(config, "rows.max");
    evs_status status;

    s->own = !name;
    s->topic = name ? name : "memory";
    s->bounded = evs_config_bool(config, "bounded");
    s->latest = name && strcmp(evs_config_string(config, "start"), "latest") == 0;
    status = name ? evs__log_named(s->ctx, name, partitions, rows_max, &s->log, reterr)
                  : evs__log_new(s->ctx, partitions, rows_max, &s->log, reterr);
    if (status)
        return status;
    return open_cursors(s, reterr);
}

evs_status evs__memory_source_open(evs_context *context,
                                   const evs_config *config,
                                   const evs_source_host *host,
                                   bool retain,
                                   void **ret_source,
                                   evs_error **reterr)
{
    evs_status status;
    memory_source *s = evs_alloc_array(context, 1, sizeof(*s));
    if (!s)
        return evs_error_set(context, reterr, EVS_ERR_NOMEM, "out of memory");
    s->ctx = context;
    s->retain = retain;
    s->listener.host = host;
    status = open_log(s, config, reterr);
    if (status) {
        source_close(s);
        return status;
    }
    *ret_source = s;
    return EVS_OK;
}

evs_status evs__memory_source_over(evs_context *context,
                                   evs__memory_log *log,
                                   const char *topic,
                                   const evs_source_host *host,
                                   void **ret_source,
                                   evs_error **reterr)
{
    memory_source *s = evs_alloc_array(context, 1, sizeof(*s));
    evs_status status;

    if (!s)
        return evs_error_set(context, reterr, EVS_ERR_NOMEM, "out of memory");
    s->ctx = context;
    s->retain = true;
    s->listener.host = host;
    s->log = log;
    s->topic = topic;
    status = open_cursors(s, reterr);
    if (status)
        source_close(s);
    else
        *ret_source = s;
    return status;
}

static evs_status source_open(evs_context *context,
                              const evs_config *config,
                              const evs_source_host *host,
                              void **ret_source,
                              evs_error **reterr)
{
    return evs__memory_source_open(context, config, host, true, ret_source, reterr);
}

static evs_status source_describe(void *source,
                                  const char *const **ret_topics,
                                  const int32_t **ret_partitions,
                                  size_t *ret_count,
                                  evs_error **reterr)
{
    memory_source *s = source;
    (void)reterr;
    *ret_topics = &s->topic;
    *ret_partitions = &s->log->partition_count;
    *ret_count = 1;
    return EVS_OK;
}

static evs_status source_identity(void *source, const char **ret_identity, evs_error **reterr)
{
    (void)source;
    (void)reterr;
    *ret_identity = "";
    return EVS_OK;
}

/* ---- reading ---- */

/* the entry that holds the cursor's offset, a new reference; NULL at the end */
static evs__log_entry *cursor_entry(memory_source *s, int32_t partition)
{
    cursor *c = &s->cursors[partition];
    if (c->last)
        return evs__log_next(s->log, c->last);
    return evs__log_at(s->log, partition, c->offset);
}

static void cursor_step(cursor *c, evs__log_entry *read)
{
    evs__log_entry_unref(c->last);
    atomic_fetch_add_explicit(&read->refs, 1, memory_order_relaxed);
    c->last = read;
    c->offset = read->offset + read->rows;
}

static evs_status take_batch(memory_source *s, int32_t partition, evs__log_entry *e, evs_read *ret)
{
    cursor_step(&s->cursors[partition], e);
    *ret = (evs_read){
        .batch = evs_batch_ref(e->batch), .batch_offset = e->offset, .batch_partition = partition};
    evs__log_entry_unref(e);
    return EVS_OK;
}

static read_block *block_new(memory_source *s, size_t max)
{
    size_t bytes = sizeof(read_block) + max * (sizeof(evs_input) + sizeof(evs__log_entry *));
    read_block *b = evs_alloc(s->ctx, bytes);
    if (b) {
        b->count = 0;
        b->entries = (evs__log_entry **)(b->inputs + max);
    }
    return b;
}

static void block_add(read_block *b, evs__log_entry *e, int32_t partition)
{
    b->inputs[b->count] = (evs_input){
        .value = e->has_value ? e->bytes : NULL,
        .key = e->has_key ? e->bytes + e->value_len : NULL,
        .offset = e->offset,
        .timestamp = e->timestamp,
        .value_len = e->value_len,
        .key_len = e->key_len,
        .partition = partition,
    };
    b->entries[b->count++] = e;
}

/* events up to `max`, or to the next batch of columns */
static evs_status take_events(memory_source *s,
                              int32_t partition,
                              evs__log_entry *e,
                              size_t max,
                              evs_read *ret,
                              evs_error **reterr)
{
    read_block *b;
    if (max > EVS_BATCH_ROWS_MAX)
        max = EVS_BATCH_ROWS_MAX;
    b = block_new(s, max);
    if (!b) {
        evs__log_entry_unref(e);
        return evs_error_set(s->ctx, reterr, EVS_ERR_NOMEM, "out of memory");
    }
    while (e && !e->batch && b->count < max) {
        block_add(b, e, partition);
        cursor_step(&s->cursors[partition], e);
        e = evs__log_next(s->log, e);
    }
    evs__log_entry_unref(e);
    *ret = (evs_read){.inputs = b->inputs, .handle = b, .count = b->count};
    return EVS_OK;
}

/* rows that are not kept are new ones at every start: they go on where the last run ended */
static void continue_at(memory_source *s, int32_t partition, int64_t offset)
{
    evs__log_partition *p = &s->log->partitions[partition];
    pthread_mutex_lock(&s->log->lock);
    for (evs__log_entry *e = p->first; e; e = e->next)
        e->offset += offset;
    p->end += offset;
    pthread_mutex_unlock(&s->log->lock);
}

static evs_status assign_all(memory_source *s, evs_error **reterr)
{
    const evs_source_host *host = s->listener.host;
    s->assigned = true;
    for (int32_t i = 0; i < s->log->partition_count; i++) {
        int64_t offset = host->assigned(host->runtime, 0, i);
        if (offset < -1)
            return EVS_AGAIN; /* refused: the runtime knows why */
        if (offset >= 0)
            s->cursors[i].offset = offset;
        if (offset > 0 && !s->retain)
            continue_at(s, i, offset);
    }
    (void)reterr;
    return EVS_OK;
}

static bool at_end(memory_source *s, int32_t partition)
{
    bool end;
    pthread_mutex_lock(&s->log->lock);
    end = s->cursors[partition].offset >= s->log->partitions[partition].end;
    pthread_mutex_unlock(&s->log->lock);
    return end;
}

static evs_status
source_read(void *source, size_t max, int64_t wait_ms, evs_read *ret_read, evs_error **reterr)
{
    memory_source *s = source;
    int32_t count = s->log->partition_count;
    bool ended;
    evs_status status;

    (void)wait_ms; /* appending wakes the reader */
    if (!s->assigned && (status = assign_all(s, reterr)))
        return status;
    if (!max)
        return EVS_AGAIN;
    /* before looking for rows: what comes after this is seen by the next read */
    pthread_mutex_lock(&s->log->lock);
    ended = s->log->ended || s->bounded;
    pthread_mutex_unlock(&s->log->lock);
    for (int32_t i = 0; i < count; i++) {
        int32_t partition = (s->turn + i) % count;
        evs__log_entry *e = cursor_entry(s, partition);
        if (!e)
            continue;
        s->turn = (partition + 1) % count;
        status = e->batch ? take_batch(s, partition, e, ret_read)
                          : take_events(s, partition, e, max, ret_read, reterr);
        if (!s->retain)
            evs__log_trim(s->log, partition, s->cursors[partition].offset);
        return status;
    }
    return ended ? EVS_END : EVS_AGAIN;
}

static void source_release(void *source, void *handle)
{
    memory_source *s = source;
    read_block *b = handle;
    for (size_t i = 0; i < b->count; i++)
        evs__log_entry_unref(b->entries[i]);
    evs_free(s->ctx, b);
}

static evs_partition_state source_state(void *source, uint32_t topic, int32_t partition)
{
    (void)topic;
    return at_end(source, partition) ? EVS_PARTITION_AT_END : EVS_PARTITION_FETCHING;
}

static int64_t source_end_offset(void *source, uint32_t topic, int32_t partition)
{
    memory_source *s = source;
    int64_t end;
    (void)topic;
    pthread_mutex_lock(&s->log->lock);
    end = s->log->partitions[partition].end;
    pthread_mutex_unlock(&s->log->lock);
    return end;
}

static evs_status
source_seek(void *source, uint32_t topic, int32_t partition, int64_t offset, evs_error **reterr)
{
    memory_source *s = source;
    cursor *c = &s->cursors[partition];
    (void)topic;
    (void)reterr;
    evs__log_entry_unref(c->last);
    c->last = NULL;
    c->offset = offset;
    return EVS_OK;
}

static evs_status source_commit(void *source,
                                const uint32_t *topics,
                                const int32_t *partitions,
                                const int64_t *offsets,
                                size_t count,
                                evs_error **reterr)
{
    memory_source *s = source;
    (void)topics;
    (void)reterr;
    for (size_t i = 0; s->own && i < count; i++) {
        const cursor *c = &s->cursors[partitions[i]];
        evs__log_trim(s->log, partitions[i], offsets[i] < c->offset ? offsets[i] : c->offset);
    }
    return EVS_OK;
}

static evs_status source_schema(void *source, evs_schema **ret_schema, evs_error **reterr)
{
    memory_source *s = source;
    evs_schema *schema;
    (void)reterr;
    pthread_mutex_lock(&s->log->lock);
    schema = evs_schema_ref(s->log->schema);
    pthread_mutex_unlock(&s->log->lock);
    if (!schema)
        return EVS_END;
    *ret_schema = schema;
    return EVS_OK;
}

static evs_status source_push(
    void *source, const evs_input *input, evs_batch *batch, int32_t partition, evs_error **reterr)
{
    memory_source *s = source;
    if (!s->own)
        return evs_error_set(s->ctx, reterr, EVS_ERR_UNSUPPORTED,
                             "the named log \"%s\" is filled by a memory sink", s->topic);
    if (!input && !batch) {
        evs__log_end(s->log);
        return EVS_OK;
    }
    return evs__log_append(s->log, input, batch, input ? input->partition : partition, reterr);
}

const evs_source_functions evs__memory_source = {
    .struct_size = sizeof(evs_source_functions),
    .options = source_options,
    .open = source_open,
    .describe = source_describe,
    .identity = source_identity,
    .read = source_read,
    .release = source_release,
    .partition_state = source_state,
    .end_offset = source_end_offset,
    .seek = source_seek,
    .commit = source_commit,
    .schema = source_schema,
    .push = source_push,
    .close = source_close,
};

/* ---- sink ---- */

typedef struct memory_sink {
    evs_context *ctx;
    evs__memory_log *log; /* the context's */
} memory_sink;

static const evs_option_info sink_options[] = {
    {"name", NULL, NULL, "Named log to write", "0.1", 0, 0, EVS_OPTION_STRING, 1},
    {"rows.max", "1000000", NULL, "Rows the log keeps at most", "0.1", 1, 0x7fffffff,
     EVS_OPTION_INT, 0},
    {0},
};

static evs_status sink_open(evs_context *context,
                            const evs_config *config,
                            evs_schema *schema,
                            const evs_sink_identity *identity,
                            void **ret_sink,
                            evs_error **reterr)
{
    evs_status status;
    memory_sink *s = evs_alloc_array(context, 1, sizeof(*s));
    (void)identity;
    if (!s)
        return evs_error_set(context, reterr, EVS_ERR_NOMEM, "out of memory");
    s->ctx = context;
    status = evs__log_named(context, evs_config_string(config, "name"), 1,
                            evs_config_int(config, "rows.max"), &s->log, reterr);
    if (status) {
        evs_free(context, s);
        return status;
    }
    pthread_mutex_lock(&s->log->lock);
    if (!s->log->schema)
        s->log->schema = evs_schema_ref(schema);
    else if (!evs_type_equal(evs_schema_type(s->log->schema), evs_schema_type(schema)))
        status = EVS_ERR_SCHEMA;
    pthread_mutex_unlock(&s->log->lock);
    if (status) {
        evs_error_set(context, reterr, status, "the log holds rows of %s, these are of %s",
                      evs_type_print(evs_schema_type(s->log->schema)),
                      evs_type_print(evs_schema_type(schema)));
        evs_free(context, s);
        return status;
    }
    *ret_sink = s;
    return EVS_OK;
}

static evs_status sink_write(
    void *sink, evs_batch *batch, evs_decode_failed_fn failed, void *user_data, evs_error **reterr)
{
    memory_sink *s = sink;
    evs_batch *kept = NULL;
    evs_status status = evs_batch_keep(batch, &kept, reterr);
    (void)failed;
    (void)user_data;
    if (!status)
        status = evs__log_append(s->log, NULL, kept, 0, reterr);
    evs_batch_unref(kept);
    return status;
}

static evs_status sink_flush(void *sink, int64_t wait_ms, evs_error **reterr)
{
    (void)sink;
    (void)wait_ms;
    (void)reterr;
    return EVS_OK;
}

static void sink_close(void *sink)
{
    memory_sink *s = sink;
    evs_free(s->ctx, s);
}

static const evs_sink_functions memory_sink_functions = {
    .struct_size = sizeof(evs_sink_functions),
    .options = sink_options,
    .guarantee = EVS_GUARANTEE_AT_LEAST_ONCE,
    .open = sink_open,
    .write = sink_write,
    .flush = sink_flush,
    .close = sink_close,
};

const evs_connector evs__memory_connector = {
    .struct_size = sizeof(evs_connector),
    .name = "memory",
    .doc = "rows of the host, and logs in memory between pipelines",
    .source = &evs__memory_source,
    .sink = &memory_sink_functions,
};
