/*
 * io/file/file.h: what the file source and sink share.
 *
 *   source.c     open, read, release, seek         sink.c       write, flush, abort
 *   paths.c      "a.jsonl,logs/b*.csv" -> files    output.c     bytes -> file, whole rows only
 *   stream.c     file -> bytes, from any position
 *   split.c      bytes -> lines, CSV records
 *   header.c     CSV header: names -> columns
 *   container.c  Avro container: header, blocks, in both directions
 *   compress.c   gzip, zstd in both directions
 *
 * Nothing here knows the codec: an event's bytes go to it as they are.
 */
#ifndef EVS_IO_FILE_FILE_H
#define EVS_IO_FILE_FILE_H

#include "evstream/connector.h"

extern const evs_source_functions evs__file_source;
extern const evs_sink_functions evs__file_sink;

/* ---- compress.c ---- */

typedef enum file_compression {
    FILE_PLAIN,
    FILE_GZIP,
    FILE_ZSTD,
    FILE_DEFLATE /* raw, of Avro blocks */
} file_compression;

typedef struct file_coder file_coder;

/* by option `compression` (auto: by the name's end) */
file_compression evs__file_compression(const char *option, const char *path);
/* EVS_ERR_UNSUPPORTED: not in this build */
evs_status evs__file_coder_new(
    evs_context *ctx, file_compression kind, bool compress, file_coder **ret, evs_error **reterr);
void evs__file_coder_free(file_coder *c);
/* start a new frame */
void evs__file_coder_reset(file_coder *c);

typedef struct file_step {
    const char *in;
    size_t in_len;
    char *out;
    size_t out_len; /* both move on */
    bool finish;    /* compress: no more input, end the frame */
    bool done;      /* out: a frame has ended; the next step starts another */
} file_step;

/* as much as fits; EVS_ERR_CORRUPT: the input is no such thing. `path` is for the error. */
evs_status
evs__file_coder_step(file_coder *c, file_step *step, const char *path, evs_error **reterr);

/* ---- stream.c ---- */

typedef struct file_stream {
    evs_context *ctx;
    const char *path; /* borrowed; "-": stdin */
    int fd;           /* -1: closed */
    bool seekable, mid_frame;
    file_compression compression;
    int64_t position; /* of the next byte, counted after decompression */
    file_coder *coder;
    char *in; /* compressed bytes */
    size_t in_at, in_len;
} file_stream;

evs_status evs__file_stream_open(evs_context *ctx,
                                 const char *path,
                                 file_compression compression,
                                 file_stream *ret,
                                 evs_error **reterr);
void evs__file_stream_close(file_stream *s);
/* EVS_OK with *ret_len > 0; EVS_END: everything there is was read (a file may grow); EVS_AGAIN: a
 * pipe has nothing within wait_ms */
evs_status evs__file_stream_read(
    file_stream *s, char *to, size_t size, int64_t wait_ms, size_t *ret_len, evs_error **reterr);
/* EVS_ERR_STATE: the file ends before, or a pipe cannot go back */
evs_status evs__file_stream_seek(file_stream *s, int64_t position, evs_error **reterr);
/* bytes in the file, -1: not known */
int64_t evs__file_stream_size(const file_stream *s);

/* ---- paths.c ---- */

typedef struct file_paths {
    char **names;
    size_t count;
} file_paths;

/* EVS_ERR_NOT_FOUND: a pattern without a file; EVS_ERR_CONFIG: an empty or repeated name */
evs_status evs__file_paths(evs_context *ctx, const char *text, file_paths *ret, evs_error **reterr);
void evs__file_paths_free(evs_context *ctx, file_paths *p);

/* ---- split.c ---- */

typedef enum file_form {
    FILE_LINES,     /* a record a line */
    FILE_DELIMITED, /* RFC 4180: quoted fields may hold line ends */
    FILE_CONTAINER  /* Avro object container */
} file_form;

/* One record at the front of data: its length without the line's end, and where the next one
 * starts. false: its end is not there (with `last`: the rest is the record). */
bool evs__file_split(file_form form,
                     char delimiter,
                     const char *data,
                     size_t len,
                     bool last,
                     size_t *ret_len,
                     size_t *ret_next);
/* one field of a CSV record at data + *at, quotes kept; moves *at behind its delimiter; false:
 * there was none left */
bool evs__file_next_field(
    char delimiter, const char *data, size_t len, size_t *at, evs_string_view *ret);

/* ---- header.c ---- */

typedef struct file_header {
    evs_context *ctx;
    char delimiter;
    bool straight; /* columns stand in the schema's order: records pass as they are */
    int32_t *from; /* a schema's field -> column of the file, -1: the file has none */
    size_t field_count;
    size_t column_count;
    evs_string_view *fields; /* scratch: of one record */
} file_header;

/* columns of a header record, all VARCHAR */
evs_status evs__file_header_schema(evs_context *ctx,
                                   const char *path,
                                   char delimiter,
                                   const char *record,
                                   size_t len,
                                   evs_schema **ret,
                                   evs_error **reterr);
/* map the header's names to a schema's fields; EVS_ERR_SCHEMA: a column that must be there is not,
 * or a name stands twice */
evs_status evs__file_header_map(evs_context *ctx,
                                const char *path,
                                char delimiter,
                                const char *record,
                                size_t len,
                                const evs_schema *schema,
                                file_header *ret,
                                evs_error **reterr);
void evs__file_header_free(file_header *h);
/* the record with its fields in the schema's order into `out`, which has room for
 * evs__file_header_room(); a record with another number of columns than the header becomes one with
 * too many, which fails in the codec */
size_t evs__file_header_arrange(file_header *h, const char *record, size_t len, char *out);
size_t evs__file_header_room(const file_header *h, size_t len);

/* ---- container.c ---- */

#define FILE_SYNC_SIZE 16

typedef struct file_container {
    evs_context *ctx;
    evs_schema *schema;
    file_compression codec; /* FILE_PLAIN, FILE_DEFLATE, FILE_ZSTD */
    char sync[FILE_SYNC_SIZE];
    file_coder *coder;
} file_container;

/* One of a container's parts at the front of data. EVS_AGAIN: not all of it is there; *ret_len:
 * what it takes, or (EVS_AGAIN) how much is wanted at least. */
evs_status evs__file_container_header(evs_context *ctx,
                                      const char *path,
                                      const char *data,
                                      size_t len,
                                      file_container *ret,
                                      size_t *ret_len,
                                      evs_error **reterr);
void evs__file_container_free(file_container *c);

typedef struct file_avro_block {
    int64_t records;
    const char *data; /* as it is in the file */
    size_t len;
} file_avro_block;

/* EVS_ERR_CORRUPT: lengths or the marker behind it are wrong; EVS_ERR_LIMIT: above `max` bytes */
evs_status evs__file_container_block(const file_container *c,
                                     const char *path,
                                     const char *data,
                                     size_t len,
                                     size_t max,
                                     file_avro_block *ret,
                                     size_t *ret_len,
                                     evs_error **reterr);

/* growable bytes */
typedef struct file_bytes {
    evs_context *ctx;
    char *data;
    size_t len, capacity;
} file_bytes;
/* room for `extra` more */
evs_status evs__file_reserve(file_bytes *b, size_t extra, evs_error **reterr);
evs_status evs__file_append(file_bytes *b, const void *data, size_t len, evs_error **reterr);

/* decompress a block's data into `out` (emptied first), at most `max` bytes */
evs_status evs__file_container_unpack(file_container *c,
                                      const char *path,
                                      const file_avro_block *block,
                                      size_t max,
                                      file_bytes *out,
                                      evs_error **reterr);
/* header of a new file: `c` has schema, codec and sync */
evs_status
evs__file_container_put_header(const file_container *c, file_bytes *out, evs_error **reterr);
/* a block of `records` values that stand in `data` */
evs_status evs__file_container_put_block(file_container *c,
                                         int64_t records,
                                         const char *data,
                                         size_t len,
                                         file_bytes *out,
                                         evs_error **reterr);

#endif
