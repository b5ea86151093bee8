/*
 * io/file/sink.c: rows to a file: JSON lines, CSV, Avro container file, plain or compressed.
 *
 *   rows -> encoder -> rows of text, or values of a block -> output.c -> file
 *
 * At least once: a flush that ends well means that the operating system has every row (`sync`: the
 * disk has). An abort cuts the file back to the last commit, so that a replay does not write rows
 * twice; after a crash it may. A file has no way to take a row back: a delete is told as failed,
 * `deletes` says otherwise. Appending goes on behind what is there; a container's schema and codec
 * are then the file's.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "io/connectors.h"
#include "io/file/output.h"
#include "io/os.h"

#define PENDING_MAX ((size_t)1 << 20)
#define BLOCK_SIZE ((size_t)64 << 10)
#define ROWS_AT_ONCE 128

typedef struct file_sink {
    evs_context *ctx;
    file_output out;
    evs_encoder *encoder;
    bool sync, skip_deletes, avro;
    bool unsynced;  /* rows went to the file since the last sync */
    bool head_done; /* `head` is in the file, or the file had one */
    file_container container;
    file_bytes block; /* values of the block being made */
    int64_t block_records;
    file_bytes head;         /* of an empty file: CSV column names, or the container's header */
    evs_string_view taken;   /* of the encoder, not passed on yet */
    const evs_batch *resume; /* batch that did not fit as a whole, and where to go on */
    size_t resume_at;
} file_sink;

static const evs_option_info options[] = {
    {"path", NULL, NULL, "File to write; - is standard output", "0.1", 0, 0, EVS_OPTION_STRING, 1},
    {"mode", "append", "append|overwrite",
     "append: go on behind what is there; overwrite: begin empty at each start", "0.1", 0, 0,
     EVS_OPTION_ENUM, 0},
    {"compression", "auto", "auto|none|gzip|zstd",
     "auto: by the name, .gz is gzip and .zst is zstd; of an Avro container: gzip is its codec "
     "deflate, zstd zstandard",
     "0.1", 0, 0, EVS_OPTION_ENUM, 0},
    {"sync", "false", NULL, "Whether a flush waits for the disk", "0.1", 0, 0, EVS_OPTION_BOOL, 0},
    {"deletes", "fail", "fail|skip", "What becomes of delete rows, which a file cannot hold", "0.1",
     0, 0, EVS_OPTION_ENUM, 0},
    {0},
};

/* ---- open ---- */

static bool needs_quotes(const char *name, char delimiter)
{
    return strpbrk(name, "\"\r\n") || strchr(name, delimiter) || !*name;
}

static evs_status
make_csv_head(file_sink *s, const evs_type *type, char delimiter, evs_error **reterr)
{
    evs_status status = EVS_OK;
    for (size_t i = 0; !status && i < evs_type_child_count(type); i++) {
        const char *name = evs_type_field_name(type, i);
        bool quotes = needs_quotes(name, delimiter);
        if (i)
            status = evs__file_append(&s->head, &delimiter, 1, reterr);
        if (!status && quotes)
            status = evs__file_append(&s->head, "\"", 1, reterr);
        for (; !status && *name; name++)
            status = evs__file_append(&s->head, *name == '"' ? "\"\"" : name, *name == '"' ? 2 : 1,
                                      reterr);
        if (!status && quotes)
            status = evs__file_append(&s->head, "\"", 1, reterr);
    }
    return status ? status : evs__file_append(&s->head, "\n", 1, reterr);
}

/* the encoder's options: as given, without framing */
static evs_status
make_encoder(file_sink *s, const evs_config *config, const evs_type *type, evs_error **reterr)
{
    const evs_options *given = evs_config_options(config);
    evs_options *mine = NULL;
    evs_status status = evs_options_new(s->ctx, &mine, reterr);
    for (size_t i = 0; !status && i < given->count; i++)
        status = evs_options_set(mine, given->pairs[2 * i], given->pairs[2 * i + 1], reterr);
    if (!status)
        status = evs_options_set(mine, "framing", "none", reterr);
    if (!status)
        status = evs_encoder_new(s->ctx, type, NULL, mine, &s->encoder, reterr);
    evs_options_unref(mine);
    return status;
}

/* plain text: a line that a crash has torn ends here, and does not take the next one with it */
static evs_status end_torn_line(file_sink *s, evs_error **reterr)
{
    char last = '\n';
    if (!s->out.regular || s->out.compression != FILE_PLAIN || s->out.size == 0)
        return EVS_OK;
    if (pread(s->out.fd, &last, 1, s->out.size - 1) != 1)
        return evs__os_fail(s->ctx, reterr, s->out.path, "read", errno);
    return last == '\n' ? EVS_OK : evs__file_append(&s->out.pending, "\n", 1, reterr);
}

static evs_status
begin_text(file_sink *s, const evs_config *config, const evs_type *type, evs_error **reterr)
{
    const char *format = evs_config_string(config, "format");
    const char *delimiter = evs_config_string(config, "delimiter");
    evs_status status;
    if (format && strcmp(format, "delimited") == 0 && evs_config_bool(config, "header")) {
        char d = !delimiter || !*delimiter       ? ','
                 : strcmp(delimiter, "\\t") == 0 ? '\t'
                                                 : *delimiter;
        if ((status = make_csv_head(s, type, d, reterr)))
            return status;
    }
    return end_torn_line(s, reterr);
}

/* Header of a container that exists. EVS_AGAIN: a crash has torn it. */
static evs_status read_container_header(file_sink *s, int64_t *ret_end, evs_error **reterr)
{
    file_bytes raw = {.ctx = s->ctx};
    size_t len = 0;
    ssize_t n = 1;
    evs_status status = EVS_AGAIN;

    while (status == EVS_AGAIN && n > 0) {
        if ((status = evs__file_reserve(&raw, BLOCK_SIZE, reterr)))
            break;
        n = pread(s->out.fd, raw.data + raw.len, BLOCK_SIZE, (off_t)raw.len);
        if (n < 0) {
            status = evs__os_fail(s->ctx, reterr, s->out.path, "read", errno);
            break;
        }
        raw.len += (size_t)n;
        status = evs__file_container_header(s->ctx, s->out.path, raw.data, raw.len, &s->container,
                                            &len, reterr);
    }
    *ret_end = (int64_t)len;
    evs_free(s->ctx, raw.data);
    return status;
}

/* hop from block to block; a last one that is not whole is cut off, its rows are written again by
 * whoever replays */
static evs_status check_blocks(file_sink *s, int64_t at, evs_error **reterr)
{
    char front[20], sync[FILE_SYNC_SIZE];
    while (at < s->out.size) {
        file_avro_block block;
        ssize_t n = pread(s->out.fd, front, sizeof(front), at);
        size_t size = 0;
        evs_status found =
            n < 0 ? EVS_ERR_IO
                  : evs__file_container_block(&s->container, s->out.path, front, (size_t)n,
                                              SIZE_MAX / 2, &block, &size, reterr);
        if (n < 0)
            return evs__os_fail(s->ctx, reterr, s->out.path, "read", errno);
        if (found < 0)
            return found;
        if (size > (uint64_t)(s->out.size - at)) {
            evs_log(s->ctx, EVS_LOG_WARNING, "file",
                    "\"%s\": %lld bytes of an incomplete end were cut off", s->out.path,
                    (long long)(s->out.size - at));
            return evs__file_output_cut(&s->out, at, reterr);
        }
        at += (int64_t)size;
        if (pread(s->out.fd, sync, sizeof(sync), at - FILE_SYNC_SIZE) != (ssize_t)sizeof(sync) ||
            memcmp(sync, s->container.sync, sizeof(sync)) != 0)
            return evs_error_set(s->ctx, reterr, EVS_ERR_CORRUPT,
                                 "\"%s\": the marker behind a block is not the file's",
                                 s->out.path);
    }
    return EVS_OK;
}

static evs_status begin_container(file_sink *s, const evs_config *config, evs_error **reterr)
{
    evs_schema *schema = evs_encoder_schema(s->encoder);
    const char *compression = evs_config_string(config, "compression");
    int64_t end = 0;
    evs_status status = s->out.size ? read_container_header(s, &end, reterr) : EVS_AGAIN;

    if (!status && !evs_schema_equal(s->container.schema, schema))
        return evs_error_set(s->ctx, reterr, EVS_ERR_SCHEMA,
                             "\"%s\": the file has another schema than the rows", s->out.path);
    if (!status)
        return check_blocks(s, end, reterr);
    if (status < 0 || (s->out.size && (status = evs__file_output_cut(&s->out, 0, reterr))))
        return status;
    s->container = (file_container){.ctx = s->ctx, .schema = evs_schema_ref(schema)};
    s->container.codec = strcmp(compression, "gzip") == 0   ? FILE_DEFLATE
                         : strcmp(compression, "zstd") == 0 ? FILE_ZSTD
                                                            : FILE_PLAIN;
    if (getrandom(s->container.sync, FILE_SYNC_SIZE, 0) != FILE_SYNC_SIZE)
        return evs__os_fail(s->ctx, reterr, s->out.path, "random bytes", errno);
    return evs__file_container_put_header(&s->container, &s->head, reterr);
}

static void sink_free(file_sink *s)
{
    evs__file_output_close(&s->out);
    if (s->container.ctx)
        evs__file_container_free(&s->container);
    evs_encoder_unref(s->encoder);
    evs_free(s->ctx, s->block.data);
    evs_free(s->ctx, s->head.data);
    evs_free(s->ctx, s);
}

static evs_status
open_output(file_sink *s, const evs_config *config, const evs_type *type, evs_error **reterr)
{
    const char *path = evs_config_string(config, "path");
    const char *format = evs_config_string(config, "format");
    const char *framing = evs_config_string(config, "framing");
    file_compression compression =
        evs__file_compression(evs_config_string(config, "compression"), path);
    bool truncate = strcmp(evs_config_string(config, "mode"), "overwrite") == 0;
    evs_status status;

    s->avro = format && strcmp(format, "avro") == 0;
    if (framing && strcmp(framing, "none") != 0)
        return evs_error_set(s->ctx, reterr, EVS_ERR_CONFIG,
                             "option \"framing\": rows in a file have none");
    if (s->avro && strcmp(evs_config_string(config, "compression"), "auto") == 0 &&
        compression != FILE_PLAIN)
        return evs_error_set(
            s->ctx, reterr, EVS_ERR_CONFIG,
            "option \"path\": an Avro container is compressed inside: name it .avro "
            "and set \"compression\"");
    if ((status = make_encoder(s, config, type, reterr)) ||
        (status = evs__file_output_open(s->ctx, path, s->avro ? FILE_PLAIN : compression, truncate,
                                        &s->out, reterr)))
        return status;
    return s->avro ? begin_container(s, config, reterr) : begin_text(s, config, type, reterr);
}

static evs_status sink_open(evs_context *context,
                            const evs_config *config,
                            evs_schema *schema,
                            const evs_sink_identity *identity,
                            void **ret_sink,
                            evs_error **reterr)
{
    evs_status status;
    file_sink *s = evs_alloc_array(context, 1, sizeof(*s));
    (void)identity;
    if (!s)
        return evs_error_set(context, reterr, EVS_ERR_NOMEM, "out of memory");
    s->ctx = context;
    s->block.ctx = s->head.ctx = context;
    s->out.fd = -1;
    s->sync = evs_config_bool(config, "sync");
    s->skip_deletes = strcmp(evs_config_string(config, "deletes"), "skip") == 0;
    if ((status = open_output(s, config, evs_schema_type(schema), reterr))) {
        sink_free(s);
        return status;
    }
    s->head_done = s->out.size > 0 || !s->head.len;
    *ret_sink = s;
    return EVS_OK;
}

/* ---- write ---- */

/* What the encoder has gathered goes on: lines to the file, values to the block. A failure loses
 * nothing: the next call goes on. */
static evs_status pass_on(file_sink *s, evs_error **reterr)
{
    evs_string_view head = {s->head.data, s->head.len};
    evs_status status = s->head_done ? EVS_OK : evs__file_output_put(&s->out, &head, reterr);

    if (status)
        return status;
    s->head_done = true;
    if (!s->taken.len)
        s->taken = evs_encoder_take(s->encoder);
    if (!s->avro)
        return evs__file_output_put(&s->out, &s->taken, reterr);
    status = evs__file_append(&s->block, s->taken.data, s->taken.len, reterr);
    if (!status)
        s->taken.len = 0;
    return status;
}

static evs_status end_block(file_sink *s, evs_error **reterr)
{
    evs_status status = EVS_OK;
    if (s->block_records)
        status = evs__file_container_put_block(&s->container, s->block_records, s->block.data,
                                               s->block.len, &s->out.pending, reterr);
    if (status)
        return status;
    s->block_records = 0;
    s->block.len = 0;
    return EVS_OK;
}

/* EVS_AGAIN: the file takes nothing now and enough is waiting */
static evs_status make_room(file_sink *s, evs_error **reterr)
{
    evs_status status = pass_on(s, reterr);
    if (!status && s->block.len >= BLOCK_SIZE)
        status = end_block(s, reterr);
    if (!status && s->out.pending.len - s->out.written >= PENDING_MAX)
        status = evs__file_output_write(&s->out, 0, reterr);
    return status;
}

static evs_status
write_row(file_sink *s, const evs_batch *batch, uint32_t row, uint8_t kind, evs_error **reterr)
{
    evs_status status;
    if (kind == EVS_ROW_DELETE && s->skip_deletes)
        return EVS_OK;
    if (kind == EVS_ROW_DELETE)
        return evs_error_set(s->ctx, reterr, EVS_ERR_ENCODE,
                             "a file cannot take a row back (deletes=skip leaves such rows out)");
    status = evs_encoder_append(s->encoder, batch, row, s->avro ? "" : "\n", reterr);
    if (!status && s->avro)
        s->block_records++;
    return status;
}

/* a row that no retry will save */
static bool is_hopeless(evs_status status)
{
    return status == EVS_ERR_ENCODE || status == EVS_ERR_SCHEMA || status == EVS_ERR_LIMIT ||
           status == EVS_ERR_OVERFLOW;
}

static evs_status sink_write(
    void *sink, evs_batch *batch, evs_decode_failed_fn failed, void *user_data, evs_error **reterr)
{
    file_sink *s = sink;
    const uint32_t *sel = evs_batch_selection(batch);
    const uint8_t *kinds = evs_batch_kinds(batch);
    size_t rows = evs_batch_rows(batch);
    size_t i = s->resume == batch ? s->resume_at : 0;
    evs_status status = make_room(s, reterr);

    s->unsynced = s->unsynced || rows;
    while (!status && i < rows) {
        evs_error *err = NULL;
        uint32_t row = sel ? sel[i] : (uint32_t)i;
        status = write_row(s, batch, row, kinds ? kinds[row] : EVS_ROW_INSERT, &err);
        if (status && failed && is_hopeless(status)) {
            failed(row, status, evs_error_message(err), user_data);
            evs_error_unref(err);
            status = EVS_OK;
        } else if (status && reterr) {
            *reterr = err;
        } else {
            evs_error_unref(err);
        }
        if (status)
            break;
        i++;
        if (i % ROWS_AT_ONCE == 0 || i == rows)
            status = make_room(s, reterr);
    }
    s->resume = status ? batch : NULL;
    s->resume_at = i;
    return status;
}

static evs_status sink_flush(void *sink, int64_t wait_ms, evs_error **reterr)
{
    file_sink *s = sink;
    evs_status status = make_room(s, reterr);
    if (!status)
        status = end_block(s, reterr);
    if (!status)
        status = evs__file_output_finish(&s->out, reterr);
    if (!status && s->out.pending.len)
        status = evs__file_output_write(&s->out, wait_ms, reterr);
    if (status || !s->sync || !s->unsynced)
        return status;
    /* what is no file cannot be synced */
    if (fdatasync(s->out.fd) != 0 && errno != EINVAL && errno != EROFS)
        return evs__os_fail(s->ctx, reterr, s->out.path, "sync", errno);
    s->unsynced = false;
    return EVS_OK;
}

static evs_status sink_commit(void *sink, int64_t epoch, const char *offsets, evs_error **reterr)
{
    file_sink *s = sink;
    (void)epoch;
    (void)offsets;
    (void)reterr;
    s->out.committed = s->out.size;
    return EVS_OK;
}

static evs_status sink_abort(void *sink, evs_error **reterr)
{
    file_sink *s = sink;
    bool torn = !s->out.regular && s->out.written > 0;
    evs_status status;

    evs_encoder_take(s->encoder);
    s->taken.len = 0;
    s->block_records = 0;
    s->block.len = 0;
    s->resume = NULL;
    status = evs__file_output_cut(&s->out, s->out.committed, reterr);
    s->head_done = s->out.size > 0 || !s->head.len;
    if (!status && torn && !s->avro && s->out.compression == FILE_PLAIN)
        status = evs__file_append(&s->out.pending, "\n", 1, reterr);
    return status;
}

static void sink_close(void *sink)
{
    file_sink *s = sink;
    if (s->out.fd >= 0 && s->out.size != s->out.committed)
        evs__file_output_cut(&s->out, s->out.committed, NULL);
    sink_free(s);
}

const evs_sink_functions evs__file_sink = {
    .struct_size = sizeof(evs_sink_functions),
    .options = options,
    .guarantee = EVS_GUARANTEE_AT_LEAST_ONCE,
    .open = sink_open,
    .write = sink_write,
    .flush = sink_flush,
    .commit = sink_commit,
    .abort = sink_abort,
    .close = sink_close,
};

const evs_connector evs__file_connector = {
    .struct_size = sizeof(evs_connector),
    .name = "file",
    .doc = "Files of JSON lines, CSV or Avro containers, plain, gzip or zstd",
    .source = &evs__file_source,
    .sink = &evs__file_sink,
};
