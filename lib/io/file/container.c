/*
 * io/file/container.c: Avro object container files (specification 1.11), read and written as bytes.
 *
 *   header   "Obj" 1, metadata (a map: avro.schema, avro.codec), 16 bytes of sync marker
 *   block    number of values, size in bytes, the values (compressed as a whole), sync marker
 *
 * The values themselves are the codec's: evs_schema_value_size() tells one from the next, the bytes
 * between go to the decoder as an event. avro-c's own reader and writer are not used: 1.11.1 takes
 * a file that ends inside a block for a complete one, refuses a header without avro.codec,
 * allocates whatever size a block claims, gives decoded values only (that would be encoded again
 * for our codec), seeds the process's rand(), and cannot append to a file that exists. It is the
 * reference in the tests.
 *
 * Codecs: null, deflate, zstandard. Safe for any bytes.
 */
#include <string.h>

#include "io/file/file.h"

#define HEADER_MAX ((size_t)17 << 20)
#define PACKED_CHUNK ((size_t)64 << 10)

static const unsigned char magic[4] = {'O', 'b', 'j', 1};

/* ---- bytes ---- */

evs_status evs__file_reserve(file_bytes *b, size_t extra, evs_error **reterr)
{
    size_t capacity = b->capacity ? b->capacity : 4096;
    char *data;
    if (b->capacity - b->len >= extra)
        return EVS_OK;
    if (extra > SIZE_MAX / 4 - b->len)
        return evs_error_set(b->ctx, reterr, EVS_ERR_NOMEM, "out of memory");
    while (capacity - b->len < extra)
        capacity *= 2;
    if (!(data = evs_realloc_array(b->ctx, b->data, capacity, 1)))
        return evs_error_set(b->ctx, reterr, EVS_ERR_NOMEM, "out of memory");
    b->data = data;
    b->capacity = capacity;
    return EVS_OK;
}

evs_status evs__file_append(file_bytes *b, const void *data, size_t len, evs_error **reterr)
{
    evs_status status = evs__file_reserve(b, len, reterr);
    if (!status && len) {
        memcpy(b->data + b->len, data, len);
        b->len += len;
    }
    return status;
}

/* EVS_AGAIN: cut short; EVS_ERR_CORRUPT: no such number */
static evs_status take_long(const char *data, size_t len, size_t *at, int64_t *ret)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        unsigned char byte;
        if (*at == len)
            return EVS_AGAIN;
        byte = (unsigned char)data[(*at)++];
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
            return EVS_OK;
        }
    }
    return EVS_ERR_CORRUPT;
}

static evs_status put_long(file_bytes *b, int64_t value, evs_error **reterr)
{
    uint64_t v = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
    char out[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        out[n++] = (char)(v | 0x80);
    out[n++] = (char)v;
    return evs__file_append(b, out, n, reterr);
}

static evs_status damaged(evs_context *ctx, const char *path, const char *what, evs_error **reterr)
{
    return evs_error_set(ctx, reterr, EVS_ERR_CORRUPT, "\"%s\": %s", path, what);
}

/* ---- header ---- */

typedef struct metadata {
    evs_string_view schema, codec;
} metadata;

static evs_status take_text(const char *data, size_t len, size_t *at, evs_string_view *ret)
{
    int64_t size;
    evs_status status = take_long(data, len, at, &size);
    if (status)
        return status;
    if (size < 0 || (uint64_t)size > HEADER_MAX)
        return EVS_ERR_CORRUPT;
    if ((size_t)size > len - *at)
        return EVS_AGAIN;
    *ret = (evs_string_view){data + *at, (size_t)size};
    *at += (size_t)size;
    return EVS_OK;
}

static bool is_text(evs_string_view v, const char *text)
{
    return v.len == strlen(text) && memcmp(v.data, text, v.len) == 0;
}

static evs_status take_metadata(const char *data, size_t len, size_t *at, metadata *ret)
{
    for (;;) {
        int64_t count, size;
        evs_status status = take_long(data, len, at, &count);
        if (!status && count < 0) {
            status = take_long(data, len, at, &size);
            count = count == INT64_MIN ? INT64_MAX : -count;
        }
        if (status || count == 0)
            return status;
        for (; count > 0; count--) {
            evs_string_view key, value;
            if ((status = take_text(data, len, at, &key)) ||
                (status = take_text(data, len, at, &value)))
                return status;
            if (is_text(key, "avro.schema"))
                ret->schema = value;
            else if (is_text(key, "avro.codec"))
                ret->codec = value;
        }
    }
}

static evs_status
set_codec(file_container *c, const char *path, evs_string_view codec, evs_error **reterr)
{
    c->codec = FILE_PLAIN;
    if (!codec.len || is_text(codec, "null"))
        return EVS_OK;
    if (is_text(codec, "deflate"))
        c->codec = FILE_DEFLATE;
    else if (is_text(codec, "zstandard"))
        c->codec = FILE_ZSTD;
    else
        return evs_error_set(c->ctx, reterr, EVS_ERR_UNSUPPORTED,
                             "\"%s\": codec \"%.*s\" is not supported: null, deflate and zstandard "
                             "are",
                             path, codec.len > 40 ? 40 : (int)codec.len, codec.data);
    return EVS_OK;
}

evs_status evs__file_container_header(evs_context *ctx,
                                      const char *path,
                                      const char *data,
                                      size_t len,
                                      file_container *ret,
                                      size_t *ret_len,
                                      evs_error **reterr)
{
    metadata meta = {{NULL, 0}, {NULL, 0}};
    size_t at = sizeof(magic);
    evs_status status;

    *ret = (file_container){.ctx = ctx};
    if (memcmp(data, magic, len < sizeof(magic) ? len : sizeof(magic)) != 0)
        return damaged(ctx, path, "no Avro container file: it does not begin with \"Obj\" and 1",
                       reterr);
    if (len < sizeof(magic) || (status = take_metadata(data, len, &at, &meta)) == EVS_AGAIN ||
        (!status && len - at < FILE_SYNC_SIZE)) {
        *ret_len = len + 1;
        return len > HEADER_MAX ? damaged(ctx, path, "the header is too large", reterr) : EVS_AGAIN;
    }
    if (status)
        return damaged(ctx, path, "the header's metadata is damaged", reterr);
    if (!meta.schema.data)
        return damaged(ctx, path, "the header has no avro.schema", reterr);
    memcpy(ret->sync, data + at, FILE_SYNC_SIZE);
    if ((status = set_codec(ret, path, meta.codec, reterr)))
        return status;
    if ((status = evs_schema_parse(ctx, EVS_FORMAT_AVRO, meta.schema.data, meta.schema.len,
                                   &ret->schema, reterr))) {
        evs_error_prefix(ctx, reterr, "\"%s\": schema of the file: ", path);
        return status;
    }
    *ret_len = at + FILE_SYNC_SIZE;
    return EVS_OK;
}

void evs__file_container_free(file_container *c)
{
    evs_schema_unref(c->schema);
    evs__file_coder_free(c->coder);
    *c = (file_container){0};
}

evs_status
evs__file_container_put_header(const file_container *c, file_bytes *out, evs_error **reterr)
{
    const char *codec = c->codec == FILE_DEFLATE ? "deflate"
                        : c->codec == FILE_ZSTD  ? "zstandard"
                                                 : "null";
    const char *pairs[] = {"avro.codec", codec, "avro.schema", evs_schema_text(c->schema)};
    evs_status status = evs__file_append(out, magic, sizeof(magic), reterr);

    if (!status)
        status = put_long(out, 2, reterr);
    for (size_t i = 0; !status && i < 4; i++) {
        size_t len = strlen(pairs[i]);
        if (!(status = put_long(out, (int64_t)len, reterr)))
            status = evs__file_append(out, pairs[i], len, reterr);
    }
    if (!status)
        status = put_long(out, 0, reterr);
    return status ? status : evs__file_append(out, c->sync, FILE_SYNC_SIZE, reterr);
}

/* ---- blocks ---- */

evs_status evs__file_container_block(const file_container *c,
                                     const char *path,
                                     const char *data,
                                     size_t len,
                                     size_t max,
                                     file_avro_block *ret,
                                     size_t *ret_len,
                                     evs_error **reterr)
{
    size_t at = 0;
    int64_t size = 0;
    evs_status status = take_long(data, len, &at, &ret->records);

    if (!status)
        status = take_long(data, len, &at, &size);
    if (status == EVS_AGAIN) {
        *ret_len = len + 1;
        return EVS_AGAIN;
    }
    if (status || ret->records < 0 || size < 0)
        return damaged(c->ctx, path, "the lengths of a block are damaged", reterr);
    if ((uint64_t)size > max)
        return evs_error_set(c->ctx, reterr, EVS_ERR_LIMIT,
                             "\"%s\": a block of %lld bytes is more than block.bytes.max (%zu)",
                             path, (long long)size, max);
    *ret_len = at + (size_t)size + FILE_SYNC_SIZE;
    if (len < *ret_len)
        return EVS_AGAIN;
    if (memcmp(data + at + size, c->sync, FILE_SYNC_SIZE) != 0)
        return damaged(c->ctx, path, "the marker behind a block is not the file's", reterr);
    ret->data = data + at;
    ret->len = (size_t)size;
    return EVS_OK;
}

/* a coder for one block after the other */
static evs_status need_coder(file_container *c, bool compress, const char *path, evs_error **reterr)
{
    evs_status status;
    if (c->coder) {
        evs__file_coder_reset(c->coder);
        return EVS_OK;
    }
    status = evs__file_coder_new(c->ctx, c->codec, compress, &c->coder, reterr);
    if (status)
        evs_error_prefix(c->ctx, reterr, "\"%s\": ", path);
    return status;
}

evs_status evs__file_container_unpack(file_container *c,
                                      const char *path,
                                      const file_avro_block *block,
                                      size_t max,
                                      file_bytes *out,
                                      evs_error **reterr)
{
    file_step step = {.in = block->data, .in_len = block->len};
    evs_status status;

    out->len = 0;
    if (c->codec == FILE_PLAIN)
        return evs__file_append(out, block->data, block->len, reterr);
    if ((status = need_coder(c, false, path, reterr)))
        return status;
    while (!step.done) {
        size_t in_left = step.in_len;
        if ((status = evs__file_reserve(out, PACKED_CHUNK, reterr)))
            return status;
        step.out = out->data + out->len;
        step.out_len = out->capacity - out->len;
        if ((status = evs__file_coder_step(c->coder, &step, path, reterr)))
            return status;
        if (!step.done && step.in_len == in_left && step.out == out->data + out->len)
            return damaged(c->ctx, path, "the compressed data of a block is cut short", reterr);
        out->len = out->capacity - step.out_len;
        if (out->len > max)
            return evs_error_set(c->ctx, reterr, EVS_ERR_LIMIT,
                                 "\"%s\": a block has more than block.bytes.max (%zu) bytes when "
                                 "decompressed",
                                 path, max);
    }
    return EVS_OK;
}

evs_status evs__file_container_put_block(file_container *c,
                                         int64_t records,
                                         const char *data,
                                         size_t len,
                                         file_bytes *out,
                                         evs_error **reterr)
{
    file_bytes packed = {.ctx = c->ctx};
    file_step step = {.in = data, .in_len = len, .finish = true};
    size_t before = out->len;
    evs_status status = EVS_OK;

    if (c->codec != FILE_PLAIN)
        status = need_coder(c, true, "container", reterr);
    while (!status && c->codec != FILE_PLAIN && !step.done) {
        if ((status = evs__file_reserve(&packed, PACKED_CHUNK, reterr)))
            break;
        step.out = packed.data + packed.len;
        step.out_len = packed.capacity - packed.len;
        status = evs__file_coder_step(c->coder, &step, "container", reterr);
        packed.len = packed.capacity - step.out_len;
    }
    if (c->codec != FILE_PLAIN) {
        data = packed.data;
        len = packed.len;
    }
    if (!status)
        status = put_long(out, records, reterr);
    if (!status)
        status = put_long(out, (int64_t)len, reterr);
    if (!status)
        status = evs__file_append(out, data, len, reterr);
    if (!status)
        status = evs__file_append(out, c->sync, FILE_SYNC_SIZE, reterr);
    if (status)
        out->len = before;
    evs_free(c->ctx, packed.data);
    return status;
}
