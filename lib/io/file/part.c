/*
 * io/file/part.c: one file's bytes to events.
 *
 *   text        stream -> chunk [ given | being split | free ]    a record that does not end in the
 *               chunk moves to the front of the next one
 *   container   stream -> raw blocks -> chunk of values, decompressed
 *
 * Events point into chunks; a chunk is never moved or reused while one is out. The offset of an
 * event in a text file is the position of its last byte, line end included, so that offset + 1 is
 * where the next one begins, whatever the line ends are; in a container it is the record's number.
 *
 * A line longer than line.bytes.max becomes an event of its first bytes that ends with two bytes
 * 0xff, which are in no text: it cannot be decoded in any format and ends as a dead letter. Reading
 * goes on behind its line end. What follows a damaged value in a container's block is one event
 * too.
 */
#include <string.h>

#include "io/file/source.h"

#define CHUNK_SIZE ((size_t)256 << 10)

/* ---- chunks ---- */

file_chunk *evs__file_chunk_new(evs_context *ctx, size_t capacity)
{
    file_chunk *c = evs_alloc_array(ctx, 1, sizeof(*c));
    if (!c)
        return NULL;
    atomic_init(&c->refs, 1);
    c->b.ctx = ctx;
    if (capacity && !(c->b.data = evs_alloc(ctx, capacity))) {
        evs_free(ctx, c);
        return NULL;
    }
    c->b.capacity = capacity;
    return c;
}

void evs__file_chunk_unref(file_chunk *c)
{
    if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1) {
        evs_context *ctx = c->b.ctx;
        evs_free(ctx, c->b.data);
        evs_free(ctx, c);
    }
}

static void drop_chunk(file_part *p)
{
    evs__file_chunk_unref(p->chunk);
    evs__file_chunk_unref(p->cut);
    p->chunk = p->cut = NULL;
    p->at = 0;
    p->left = 0;
    p->ended = false;
}

static evs_status nomem(file_part *p, evs_error **reterr)
{
    return evs_error_set(p->set->ctx, reterr, EVS_ERR_NOMEM, "out of memory");
}

static void use_chunk(file_block *b, file_chunk *c)
{
    if (b->chunk == c)
        return;
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    b->chunk = c;
}

static void give(file_part *p, file_block *b, const char *value, size_t len, int64_t offset)
{
    b->inputs[b->count++] = (evs_input){.value = value,
                                        .value_len = (uint32_t)len,
                                        .offset = offset,
                                        .timestamp = EVS_TIME_NONE,
                                        .topic = p->index};
}

/* ---- text ---- */

/* more bytes behind those that are not split yet, which move to a new chunk when this one is full
 */
static evs_status read_more(file_part *p, int64_t wait_ms, evs_error **reterr)
{
    file_chunk *c = p->chunk;
    size_t kept = c ? c->b.len - p->at : 0;
    size_t got = 0;
    evs_status status;

    if (!c || c->b.len == c->b.capacity) {
        size_t capacity = kept * 2 > CHUNK_SIZE ? kept * 2 : CHUNK_SIZE;
        if (!(c = evs__file_chunk_new(p->set->ctx, capacity)))
            return nomem(p, reterr);
        if (kept)
            memcpy(c->b.data, p->chunk->b.data + p->at, kept);
        c->b.len = kept;
        p->base = p->stream.position - (int64_t)kept;
        evs__file_chunk_unref(p->chunk);
        p->chunk = c;
        p->at = 0;
    }
    status = evs__file_stream_read(&p->stream, c->b.data + c->b.len, c->b.capacity - c->b.len,
                                   wait_ms, &got, reterr);
    if (!status)
        c->b.len += got;
    p->ended = status == EVS_END;
    return status;
}

static bool is_blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] != ' ' && text[i] != '\t')
            return false;
    }
    return true;
}

static evs_status cut_line(file_part *p, evs_error **reterr)
{
    size_t max = p->set->line_max;
    file_chunk *cut = evs__file_chunk_new(p->set->ctx, max);
    if (!cut)
        return nomem(p, reterr);
    memcpy(cut->b.data, p->chunk->b.data + p->at, max);
    memset(cut->b.data + max - 2, 0xff, 2);
    cut->b.len = max;
    p->cut = cut;
    p->at += max;
    return EVS_OK;
}

/* the end of the line that was cut; true: found, and the event was given */
static bool end_cut(file_part *p, file_block *b)
{
    const char *data = p->chunk->b.data;
    const char *newline = memchr(data + p->at, '\n', p->chunk->b.len - p->at);
    p->at = newline ? (size_t)(newline - data) + 1 : p->chunk->b.len;
    if (!newline && !(p->ended && !p->set->follow))
        return false;
    p->position = p->base + (int64_t)p->at;
    give(p, b, p->cut->b.data, p->cut->b.len, p->position - 1);
    b->chunk = p->cut; /* its reference */
    p->cut = NULL;
    return true;
}

/* a byte order mark at the file's beginning is no part of the first record */
static void skip_mark(file_part *p)
{
    if (p->base == 0 && p->at == 0 && p->chunk->b.len >= 3 &&
        memcmp(p->chunk->b.data, "\xef\xbb\xbf", 3) == 0)
        p->at = 3;
}

/* all whole records of the chunk, up to max; EVS_AGAIN: there is none */
static evs_status split_chunk(file_part *p, file_block *b, size_t max, evs_error **reterr)
{
    const file_settings *set = p->set;
    bool last = p->ended && !set->follow;
    const char *data;
    size_t end, len, next;

    if (!p->chunk)
        return EVS_AGAIN;
    data = p->chunk->b.data;
    end = p->chunk->b.len;
    if (p->cut)
        return end_cut(p, b) ? EVS_OK : EVS_AGAIN;
    skip_mark(p);
    while (
        b->count < max && p->at < end &&
        evs__file_split(set->form, set->delimiter, data + p->at, end - p->at, last, &len, &next)) {
        const char *record = data + p->at;
        if (len > set->line_max)
            break;
        p->at += next;
        p->position = p->base + (int64_t)p->at;
        if (set->form == FILE_LINES ? is_blank(record, len) : len == 0)
            continue;
        use_chunk(b, p->chunk);
        give(p, b, record, len, p->position - 1);
    }
    if (b->count)
        return EVS_OK;
    if (end - p->at > set->line_max) {
        evs_status status = cut_line(p, reterr);
        return status ? status : split_chunk(p, b, max, reterr);
    }
    return EVS_AGAIN;
}

/* records into the schema's order; they can only get longer by the fields that the file lacks */
static evs_status arrange(file_part *p, file_block *b, evs_error **reterr)
{
    size_t room = 0;
    char *out;
    for (size_t i = 0; i < b->count; i++)
        room += evs__file_header_room(&p->columns, b->inputs[i].value_len);
    if (!(out = evs_alloc(p->set->ctx, room)))
        return nomem(p, reterr);
    b->arranged = out;
    for (size_t i = 0; i < b->count; i++) {
        evs_input *in = &b->inputs[i];
        size_t len = evs__file_header_arrange(&p->columns, in->value, in->value_len, out);
        in->value = out;
        in->value_len = (uint32_t)len;
        out += len;
    }
    return EVS_OK;
}

static evs_status
read_text(file_part *p, file_block *b, size_t max, int64_t wait_ms, evs_error **reterr)
{
    evs_status status = split_chunk(p, b, max, reterr);
    while (status == EVS_AGAIN && (status = read_more(p, wait_ms, reterr)) >= 0) {
        if (status == EVS_AGAIN)
            return EVS_AGAIN;
        if (status == EVS_END && (p->set->follow || !p->chunk))
            break;
        if (status == EVS_END && p->at == p->chunk->b.len && !p->cut)
            break;
        status = split_chunk(p, b, max, reterr);
    }
    p->at_end = status == EVS_END;
    if (!status && p->columns.ctx && !p->columns.straight)
        status = arrange(p, b, reterr);
    return status;
}

/* the header record: columns of the file, and of the events when nobody has named them */
static evs_status take_header(file_part *p, const char *record, size_t len, evs_error **reterr)
{
    file_settings *set = p->set;
    evs_status status = EVS_OK;

    if (!len)
        return evs_error_set(set->ctx, reterr, EVS_ERR_SCHEMA, "\"%s\": there is no header line",
                             p->path);
    if (!set->schema)
        status = evs__file_header_schema(set->ctx, p->path, set->delimiter, record, len,
                                         &set->schema, reterr);
    return status ? status
                  : evs__file_header_map(set->ctx, p->path, set->delimiter, record, len,
                                         set->schema, &p->columns, reterr);
}

static evs_status read_header(file_part *p, int64_t wait_ms, evs_error **reterr)
{
    file_settings *set = p->set;
    size_t len = 0, next = 0;
    evs_status status = EVS_OK;

    while (
        !p->chunk ||
        (skip_mark(p), !evs__file_split(set->form, set->delimiter, p->chunk->b.data + p->at,
                                        p->chunk->b.len - p->at, status == EVS_END, &len, &next))) {
        if (p->chunk && p->chunk->b.len - p->at > set->line_max)
            return evs_error_set(set->ctx, reterr, EVS_ERR_LIMIT,
                                 "\"%s\": the header is longer than line.bytes.max", p->path);
        status = read_more(p, wait_ms, reterr);
        if (status && status != EVS_END)
            return status;
    }
    status = take_header(p, p->chunk->b.data + p->at, len, reterr);
    p->at += next;
    return status;
}

static evs_status begin_text(file_part *p, int64_t wait_ms, evs_error **reterr)
{
    int64_t first = 0;
    evs_status status;

    if (p->set->header) {
        if ((status = read_header(p, wait_ms, reterr)))
            return status;
        first = p->base + (int64_t)p->at;
    }
    if (p->position <= first) {
        p->position = first;
        return EVS_OK;
    }
    drop_chunk(p);
    return evs__file_stream_seek(&p->stream, p->position, reterr);
}

/* ---- container ---- */

/* at least `wanted` bytes of raw data, if there are so many */
static evs_status need_raw(file_part *p, size_t wanted, int64_t wait_ms, evs_error **reterr)
{
    evs_status status = EVS_OK;
    if (p->raw_at) {
        memmove(p->raw.data, p->raw.data + p->raw_at, p->raw.len - p->raw_at);
        p->raw.len -= p->raw_at;
        p->raw_at = 0;
    }
    while (!status && p->raw.len < wanted) {
        size_t got = 0;
        size_t room = wanted - p->raw.len > CHUNK_SIZE ? CHUNK_SIZE * 4 : CHUNK_SIZE;
        if ((status = evs__file_reserve(&p->raw, room, reterr)))
            break;
        status = evs__file_stream_read(&p->stream, p->raw.data + p->raw.len, room, wait_ms, &got,
                                       reterr);
        if (!status)
            p->raw.len += got;
    }
    return status;
}

static evs_status begin_container(file_part *p, int64_t wait_ms, evs_error **reterr)
{
    file_settings *set = p->set;
    size_t len = 0;
    evs_status status;
    evs_status more = EVS_OK;

    while ((status = evs__file_container_header(set->ctx, p->path, p->raw.data ? p->raw.data : "",
                                                p->raw.len, &p->container, &len, reterr)) ==
           EVS_AGAIN) {
        if (more == EVS_END)
            return evs_error_set(set->ctx, reterr, EVS_ERR_CORRUPT,
                                 "\"%s\": it ends within the header", p->path);
        more = need_raw(p, len, wait_ms, reterr);
        if (more && more != EVS_END)
            return more;
    }
    if (status)
        return status;
    p->raw_at = len;
    if (!set->schema)
        set->schema = evs_schema_ref(p->container.schema);
    if (!evs_schema_equal(set->schema, p->container.schema))
        return evs_error_set(
            set->ctx, reterr, EVS_ERR_SCHEMA,
            "\"%s\": the schema in the file is another one than that of the source "
            "or of its other files",
            p->path);
    if (p->position <= 0)
        p->position = 0;
    else if (!p->stream.seekable)
        return evs__file_stream_seek(&p->stream, p->position, reterr); /* says why not */
    return EVS_OK;
}

static evs_status cut_short(file_part *p, evs_error **reterr)
{
    return evs_error_set(p->set->ctx, reterr, EVS_ERR_CORRUPT,
                         "\"%s\": it ends within the block that begins with record %lld", p->path,
                         (long long)p->number);
}

/* the next block that holds records from p->position on, unpacked into a new chunk */
static evs_status next_block(file_part *p, int64_t wait_ms, evs_error **reterr)
{
    const file_settings *set = p->set;
    file_avro_block block = {0};
    size_t len = 0;
    evs_status status;

    while ((status = evs__file_container_block(&p->container, p->path, p->raw.data + p->raw_at,
                                               p->raw.len - p->raw_at, set->block_max, &block, &len,
                                               reterr)) == EVS_AGAIN) {
        status = need_raw(p, len, wait_ms, reterr);
        if (status == EVS_END && p->raw.len > p->raw_at && !set->follow)
            return cut_short(p, reterr);
        if (status == EVS_END && p->number < p->position)
            return evs_error_set(set->ctx, reterr, EVS_ERR_STATE,
                                 "\"%s\": record %lld is behind the end, %lld: it is another file "
                                 "or was cut; put the file back or begin anew",
                                 p->path, (long long)p->position, (long long)p->number);
        if (status)
            return status;
    }
    if (status)
        return status;
    p->raw_at += len;
    if (block.records <= p->position - p->number) {
        p->number += block.records;
        return EVS_OK;
    }
    drop_chunk(p);
    if (!(p->chunk = evs__file_chunk_new(set->ctx, 0)))
        return nomem(p, reterr);
    status = evs__file_container_unpack(&p->container, p->path, &block, set->block_max,
                                        &p->chunk->b, reterr);
    if (!status)
        p->left = block.records;
    return status;
}

static void give_values(file_part *p, file_block *b, size_t max)
{
    while (p->left && b->count < max) {
        const char *value = p->chunk->b.len ? p->chunk->b.data + p->at : "";
        size_t rest = p->chunk->b.len - p->at;
        size_t size = rest;
        int64_t values = 1;
        if (evs_schema_value_size(p->container.schema, value, rest, &size, NULL))
            values = p->left; /* nobody knows where the next one begins */
        p->at += size;
        p->left -= values;
        p->number += values;
        if (p->number <= p->position)
            continue;
        p->position = p->number;
        use_chunk(b, p->chunk);
        give(p, b, value, size, p->position - 1);
    }
    if (!p->left && p->at < p->chunk->b.len)
        evs_log(p->set->ctx, EVS_LOG_WARNING, "file",
                "\"%s\": %zu bytes behind the last value of a block were left out", p->path,
                p->chunk->b.len - p->at);
}

static evs_status
read_container(file_part *p, file_block *b, size_t max, int64_t wait_ms, evs_error **reterr)
{
    evs_status status = EVS_OK;
    while (!status && !b->count) {
        if (p->left)
            give_values(p, b, max);
        else
            status = next_block(p, wait_ms, reterr);
    }
    p->at_end = status == EVS_END;
    return status;
}

/* ---- either ---- */

evs_status evs__file_part_begin(file_part *p, int64_t wait_ms, evs_error **reterr)
{
    file_settings *set = p->set;
    evs_status status = EVS_OK;

    if (p->begun)
        return EVS_OK;
    if (!p->open) {
        p->raw.ctx = set->ctx;
        status = evs__file_stream_open(set->ctx, p->path,
                                       evs__file_compression(set->compression, p->path), &p->stream,
                                       reterr);
        p->open = !status;
    }
    if (!status)
        status = set->form == FILE_CONTAINER ? begin_container(p, wait_ms, reterr)
                                             : begin_text(p, wait_ms, reterr);
    p->begun = !status;
    if (status < 0)
        evs__file_part_close(p);
    return status;
}

void evs__file_part_close(file_part *p)
{
    if (p->open)
        evs__file_stream_close(&p->stream);
    p->open = p->begun = false;
    drop_chunk(p);
    evs__file_header_free(&p->columns);
    if (p->container.ctx)
        evs__file_container_free(&p->container);
    if (p->raw.ctx)
        evs_free(p->raw.ctx, p->raw.data);
    p->raw = (file_bytes){0};
    p->raw_at = 0;
    p->number = 0;
    p->base = 0;
}

evs_status
evs__file_part_read(file_part *p, file_block *b, size_t max, int64_t wait_ms, evs_error **reterr)
{
    evs_status status = evs__file_part_begin(p, wait_ms, reterr);
    if (status)
        return status;
    return p->set->form == FILE_CONTAINER ? read_container(p, b, max, wait_ms, reterr)
                                          : read_text(p, b, max, wait_ms, reterr);
}
