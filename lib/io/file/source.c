/*
 * io/file/source.c: files as a source: JSON lines, CSV, Avro container files, plain or compressed.
 *
 * Each file is a topic of its own with one partition; the files are read in turns, a chunk each, so
 * that event time moves in all of them. The source ends with the last file (bounded), or goes on
 * with what is appended to the files (follow). Reading a file never waits; a pipe is waited for
 * as long as the caller allows.
 *
 * One file's bytes become events in part.c. Blocks of events are released from any thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "io/file/source.h"
#include "io/os.h"

#define FOLLOW_STEP_MS 50

typedef struct file_source {
    file_settings set;
    const evs_source_host *host;
    file_paths paths;
    file_part *parts;
    int32_t *partition_counts;
    size_t turn;
    bool started;
    pthread_mutex_t lock; /* of free_blocks */
    file_block *free_blocks;
} file_source;

static const evs_option_info options[] = {
    {"path", NULL, NULL,
     "File to read, several separated by commas, or patterns (logs/*.jsonl); - is standard input",
     "0.1", 0, 0, EVS_OPTION_STRING, 1},
    {"compression", "auto", "auto|none|gzip|zstd",
     "auto: by the name, .gz is gzip and .zst is zstd", "0.1", 0, 0, EVS_OPTION_ENUM, 0},
    {"follow", "false", NULL, "Do not end, read on when the files grow", "0.1", 0, 0,
     EVS_OPTION_BOOL, 0},
    {"line.bytes.max", "1m", NULL,
     "Longest line or CSV record; a longer one cannot be decoded and is a dead letter", "0.1", 64,
     (int64_t)1 << 30, EVS_OPTION_BYTES, 0},
    {"block.bytes.max", "64m", NULL, "Largest block of an Avro container file, also decompressed",
     "0.1", 1024, (int64_t)1 << 31, EVS_OPTION_BYTES, 0},
    {0},
};

static evs_status nomem(file_source *s, evs_error **reterr)
{
    return evs_error_set(s->set.ctx, reterr, EVS_ERR_NOMEM, "out of memory");
}

/* ---- open ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), n = strlen(end);
    return len >= n && strcmp(text + len - n, end) == 0;
}

/* option `format`; without it the schema's format, or the name of an Avro file */
static file_form choose_form(const evs_config *config, const evs_schema *schema, const char *path)
{
    const char *format = evs_config_string(config, "format");
    evs_format id = schema ? evs_schema_format(schema) : EVS_FORMAT_NONE;
    if (format)
        id = strcmp(format, "avro") == 0        ? EVS_FORMAT_AVRO
             : strcmp(format, "delimited") == 0 ? EVS_FORMAT_DELIMITED
                                                : EVS_FORMAT_JSON;
    else if (!schema && (ends_with(path, ".avro") || ends_with(path, ".avro.gz") ||
                         ends_with(path, ".avro.zst")))
        id = EVS_FORMAT_AVRO;
    return id == EVS_FORMAT_AVRO        ? FILE_CONTAINER
           : id == EVS_FORMAT_DELIMITED ? FILE_DELIMITED
                                        : FILE_LINES;
}

static evs_status
read_options(file_source *s, const evs_config *config, evs_schema *schema, evs_error **reterr)
{
    file_settings *set = &s->set;
    const char *framing = evs_config_string(config, "framing");
    const char *delimiter = evs_config_string(config, "delimiter");

    set->form = choose_form(config, schema, s->paths.names[0]);
    set->delimiter = !delimiter || !*delimiter       ? ','
                     : strcmp(delimiter, "\\t") == 0 ? '\t'
                                                     : *delimiter;
    set->header = set->form == FILE_DELIMITED && evs_config_bool(config, "header");
    set->follow = evs_config_bool(config, "follow");
    set->compression = evs_config_string(config, "compression");
    set->line_max = (size_t)evs_config_int(config, "line.bytes.max");
    set->block_max = (size_t)evs_config_int(config, "block.bytes.max");
    set->schema = evs_schema_ref(schema);
    if (framing && strcmp(framing, "none") != 0)
        return evs_error_set(set->ctx, reterr, EVS_ERR_CONFIG,
                             "option \"framing\": events of a file have none");
    for (size_t i = 0; set->follow && i < s->paths.count; i++) {
        if (evs__file_compression(set->compression, s->paths.names[i]) != FILE_PLAIN)
            return evs_error_set(set->ctx, reterr, EVS_ERR_CONFIG,
                                 "option \"follow\": \"%s\" is compressed, only plain files can be "
                                 "followed",
                                 s->paths.names[i]);
    }
    return EVS_OK;
}

static void source_close(void *source)
{
    file_source *s = source;
    file_block *b;
    for (size_t i = 0; s->parts && i < s->paths.count; i++)
        evs__file_part_close(&s->parts[i]);
    while ((b = s->free_blocks)) {
        s->free_blocks = b->next;
        evs_free(s->set.ctx, b->inputs);
        evs_free(s->set.ctx, b);
    }
    evs_free(s->set.ctx, s->parts);
    evs_free(s->set.ctx, s->partition_counts);
    evs__file_paths_free(s->set.ctx, &s->paths);
    evs_schema_unref(s->set.schema);
    pthread_mutex_destroy(&s->lock);
    evs_free(s->set.ctx, s);
}

/* a file that cannot be read is told now, not after hours of reading the others */
static evs_status check_file(file_source *s, const char *path, evs_error **reterr)
{
    file_compression compression = evs__file_compression(s->set.compression, path);
    file_coder *coder = NULL;
    evs_status status = EVS_OK;

    if (strcmp(path, "-") != 0 && faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) != 0)
        return evs__os_fail(s->set.ctx, reterr, path, "open", errno);
    if (compression != FILE_PLAIN) {
        status = evs__file_coder_new(s->set.ctx, compression, false, &coder, reterr);
        if (status)
            evs_error_prefix(s->set.ctx, reterr, "\"%s\": ", path);
        evs__file_coder_free(coder);
    }
    return status;
}

static evs_status open_files(file_source *s, const evs_config *config, evs_error **reterr)
{
    evs_status status =
        evs__file_paths(s->set.ctx, evs_config_string(config, "path"), &s->paths, reterr);
    if (!status)
        status = read_options(s, config, s->host->schema, reterr);
    if (status)
        return status;
    s->parts = evs_alloc_array(s->set.ctx, s->paths.count, sizeof(*s->parts));
    s->partition_counts = evs_alloc_array(s->set.ctx, s->paths.count, sizeof(int32_t));
    if (!s->parts || !s->partition_counts)
        return nomem(s, reterr);
    for (size_t i = 0; !status && i < s->paths.count; i++) {
        s->partition_counts[i] = 1;
        s->parts[i] = (file_part){
            .set = &s->set, .path = s->paths.names[i], .index = (uint32_t)i, .position = -1};
        status = check_file(s, s->paths.names[i], reterr);
    }
    return status;
}

static evs_status source_open(evs_context *context,
                              const evs_config *config,
                              const evs_source_host *host,
                              void **ret_source,
                              evs_error **reterr)
{
    evs_status status;
    file_source *s = evs_alloc_array(context, 1, sizeof(*s));
    if (!s)
        return evs_error_set(context, reterr, EVS_ERR_NOMEM, "out of memory");
    s->set.ctx = context;
    s->host = host;
    pthread_mutex_init(&s->lock, NULL);
    if ((status = open_files(s, config, reterr))) {
        source_close(s);
        return status;
    }
    *ret_source = s;
    return EVS_OK;
}

static evs_status source_describe(void *source,
                                  const char *const **ret_topics,
                                  const int32_t **ret_partitions,
                                  size_t *ret_count,
                                  evs_error **reterr)
{
    file_source *s = source;
    (void)reterr;
    *ret_topics = (const char *const *)s->paths.names;
    *ret_partitions = s->partition_counts;
    *ret_count = s->paths.count;
    return EVS_OK;
}

static evs_status source_identity(void *source, const char **ret_identity, evs_error **reterr)
{
    (void)source;
    (void)reterr;
    *ret_identity = "";
    return EVS_OK;
}

static evs_status source_schema(void *source, evs_schema **ret_schema, evs_error **reterr)
{
    file_source *s = source;
    evs_status status;
    if (s->set.form != FILE_CONTAINER && !s->set.header)
        return EVS_END;
    if ((status = evs__file_part_begin(&s->parts[0], -1, reterr)))
        return status;
    *ret_schema = evs_schema_ref(s->set.schema);
    return EVS_OK;
}

/* ---- read ---- */

static file_block *block_get(file_source *s, size_t capacity)
{
    file_block *b;
    evs_input *inputs;
    pthread_mutex_lock(&s->lock);
    b = s->free_blocks;
    if (b)
        s->free_blocks = b->next;
    pthread_mutex_unlock(&s->lock);
    if (!b && !(b = evs_alloc_array(s->set.ctx, 1, sizeof(*b))))
        return NULL;
    if (b->capacity < capacity) {
        inputs = evs_realloc_array(s->set.ctx, b->inputs, capacity, sizeof(*inputs));
        if (!inputs) {
            evs_free(s->set.ctx, b->inputs);
            evs_free(s->set.ctx, b);
            return NULL;
        }
        b->inputs = inputs;
        b->capacity = capacity;
    }
    b->count = 0;
    return b;
}

static void source_release(void *source, void *handle)
{
    file_source *s = source;
    file_block *b = handle;
    evs__file_chunk_unref(b->chunk);
    evs_free(s->set.ctx, b->arranged);
    b->chunk = NULL;
    b->arranged = NULL;
    pthread_mutex_lock(&s->lock);
    b->next = s->free_blocks;
    s->free_blocks = b;
    pthread_mutex_unlock(&s->lock);
}

static evs_status start(file_source *s, evs_error **reterr)
{
    for (size_t i = 0; i < s->paths.count; i++) {
        int64_t position = s->host->assigned(s->host->runtime, (uint32_t)i, 0);
        if (position < -1)
            return EVS_AGAIN; /* refused: the runtime has its own error */
        if (s->parts[i].begun && position <= 0)
            continue; /* schema() read its header */
        if (s->parts[i].begun && !s->parts[i].stream.seekable)
            return evs__file_stream_seek(&s->parts[i].stream, position, reterr);
        evs__file_part_close(&s->parts[i]);
        s->parts[i].position = position;
    }
    s->started = true;
    s->host->state(s->host->runtime, "connected");
    return EVS_OK;
}

static bool is_through(const file_source *s, const file_part *p)
{
    return p->at_end && !s->set.follow;
}

/* one turn around the files; EVS_END: all are through */
static evs_status
one_turn(file_source *s, file_block *b, size_t max, int64_t wait_ms, evs_error **reterr)
{
    evs_status all = EVS_END;
    for (size_t i = 0; i < s->paths.count; i++) {
        file_part *p = &s->parts[(s->turn + i) % s->paths.count];
        evs_status status;
        if (is_through(s, p))
            continue;
        all = EVS_AGAIN;
        if (p->paused)
            continue;
        status = evs__file_part_read(p, b, max, s->paths.count == 1 ? wait_ms : 0, reterr);
        if (is_through(s, p))
            evs__file_part_close(p);
        if (status == EVS_AGAIN || status == EVS_END)
            continue;
        s->turn = (p->index + 1) % s->paths.count;
        return status;
    }
    /* the last file may have ended in this turn */
    for (size_t i = 0; all == EVS_AGAIN && i < s->paths.count; i++) {
        if (!is_through(s, &s->parts[i]))
            return EVS_AGAIN;
    }
    return EVS_END;
}

static evs_status
source_read(void *source, size_t max, int64_t wait_ms, evs_read *ret_read, evs_error **reterr)
{
    file_source *s = source;
    int64_t deadline = evs__os_clock_ms() + (wait_ms > 0 ? wait_ms : 0);
    file_block *b;
    evs_status status;

    if (!s->started && (status = start(s, reterr)))
        return status;
    if (!max)
        return EVS_AGAIN;
    if (!(b = block_get(s, max)))
        return nomem(s, reterr);
    for (;;) {
        int64_t left = deadline - evs__os_clock_ms();
        status = one_turn(s, b, max, left > 0 ? left : 0, reterr);
        left = deadline - evs__os_clock_ms();
        if (status != EVS_AGAIN || left <= 0)
            break;
        poll(NULL, 0, left < FOLLOW_STEP_MS ? (int)left : FOLLOW_STEP_MS);
    }
    if (status) {
        source_release(s, b);
        return status;
    }
    *ret_read = (evs_read){.inputs = b->inputs, .handle = b, .count = b->count};
    return EVS_OK;
}

/* ---- the rest ---- */

static file_part *part_of(file_source *s, uint32_t topic, int32_t partition)
{
    return topic < s->paths.count && partition == 0 ? &s->parts[topic] : NULL;
}

static evs_partition_state source_partition_state(void *source, uint32_t topic, int32_t partition)
{
    file_source *s = source;
    const file_part *p = part_of(s, topic, partition);
    if (!p || !s->started)
        return EVS_PARTITION_DISCONNECTED;
    return p->at_end ? EVS_PARTITION_AT_END : EVS_PARTITION_FETCHING;
}

static int64_t source_end_offset(void *source, uint32_t topic, int32_t partition)
{
    file_source *s = source;
    const file_part *p = part_of(s, topic, partition);
    if (!p)
        return -1;
    if (p->at_end)
        return p->position;
    return p->open && s->set.form != FILE_CONTAINER ? evs__file_stream_size(&p->stream) : -1;
}

static evs_status
source_seek(void *source, uint32_t topic, int32_t partition, int64_t offset, evs_error **reterr)
{
    file_source *s = source;
    file_part *p = part_of(s, topic, partition);
    if (!p)
        return evs_error_set(s->set.ctx, reterr, EVS_ERR_INVALID, "no partition %u/%d", topic,
                             partition);
    if (p->position == offset)
        return EVS_OK;
    if (p->open && !p->stream.seekable)
        return evs__file_stream_seek(&p->stream, offset, reterr);
    evs__file_part_close(p);
    p->position = offset;
    p->at_end = false;
    return EVS_OK;
}

static evs_status
source_pause(void *source, uint32_t topic, int32_t partition, bool paused, evs_error **reterr)
{
    file_source *s = source;
    file_part *p = part_of(s, topic, partition);
    if (!p)
        return evs_error_set(s->set.ctx, reterr, EVS_ERR_INVALID, "no partition %u/%d", topic,
                             partition);
    p->paused = paused;
    return EVS_OK;
}

const evs_source_functions evs__file_source = {
    .struct_size = sizeof(evs_source_functions),
    .options = options,
    .open = source_open,
    .describe = source_describe,
    .identity = source_identity,
    .read = source_read,
    .release = source_release,
    .partition_state = source_partition_state,
    .end_offset = source_end_offset,
    .seek = source_seek,
    .pause = source_pause,
    .schema = source_schema,
    .close = source_close,
};
