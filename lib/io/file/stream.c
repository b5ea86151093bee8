/*
 * io/file/stream.c: the bytes of a file, plain or decompressed, from any position.
 *
 * A position counts bytes after decompression, so it means the same in a file and in its compressed
 * form. Going to a position is a seek in a plain file; in a compressed one everything before it is
 * read and thrown away. A pipe goes on only.
 *
 * The end is the end of what exists now: a plain file may grow and reading goes on. A compressed
 * file whose last frame is not complete at the end is damaged.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file/file.h"
#include "io/os.h"

#define IN_SIZE ((size_t)64 << 10)
#define SKIP_SIZE ((size_t)16 << 10)

evs_status evs__file_stream_open(evs_context *ctx,
                                 const char *path,
                                 file_compression compression,
                                 file_stream *ret,
                                 evs_error **reterr)
{
    struct stat st;
    evs_status status;

    *ret = (file_stream){.ctx = ctx, .path = path, .fd = -1, .compression = compression};
    if (compression != FILE_PLAIN) {
        if ((status = evs__file_coder_new(ctx, compression, false, &ret->coder, reterr))) {
            evs_error_prefix(ctx, reterr, "\"%s\": ", path);
            return status;
        }
        if (!(ret->in = evs_alloc(ctx, IN_SIZE))) {
            evs__file_stream_close(ret);
            return evs_error_set(ctx, reterr, EVS_ERR_NOMEM, "out of memory");
        }
    }
    /* not to wait for a writer when it is a named pipe */
    ret->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (ret->fd < 0 || fstat(ret->fd, &st) != 0) {
        status = evs__os_fail(ctx, reterr, path, "open", errno);
        evs__file_stream_close(ret);
        return status;
    }
    if (S_ISDIR(st.st_mode)) {
        evs__file_stream_close(ret);
        return evs__os_fail(ctx, reterr, path, "open", EISDIR);
    }
    ret->seekable = S_ISREG(st.st_mode);
    if (ret->seekable && strcmp(path, "-") == 0) /* `< file`: unless it was read from before */
        ret->seekable = lseek(ret->fd, 0, SEEK_CUR) == 0;
    return EVS_OK;
}

void evs__file_stream_close(file_stream *s)
{
    if (s->fd >= 0 && strcmp(s->path, "-") != 0)
        close(s->fd);
    s->fd = -1;
    evs__file_coder_free(s->coder);
    evs_free(s->ctx, s->in);
    s->coder = NULL;
    s->in = NULL;
}

/* bytes as they are in the file */
static evs_status read_raw(
    file_stream *s, char *to, size_t size, int64_t wait_ms, size_t *ret_len, evs_error **reterr)
{
    struct pollfd p = {s->fd, POLLIN, 0};
    ssize_t n;

    if (!s->seekable) {
        int ready = poll(&p, 1, wait_ms > INT32_MAX ? -1 : (int)wait_ms);
        if (ready == 0 || (ready < 0 && errno == EINTR))
            return EVS_AGAIN;
    }
    do {
        n = read(s->fd, to, size);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return EVS_AGAIN;
    if (n < 0)
        return evs__os_fail(s->ctx, reterr, s->path, "read", errno);
    *ret_len = (size_t)n;
    return n ? EVS_OK : EVS_END;
}

static evs_status read_packed(
    file_stream *s, char *to, size_t size, int64_t wait_ms, size_t *ret_len, evs_error **reterr)
{
    file_step step = {.out = to, .out_len = size};
    bool ended = false;
    evs_status status;

    while (step.out_len == size) {
        if (s->in_at == s->in_len) {
            s->in_at = s->in_len = 0;
            status = read_raw(s, s->in, IN_SIZE, wait_ms, &s->in_len, reterr);
            if (status == EVS_END && s->mid_frame && !ended)
                ended = true; /* what the decoder still holds */
            else if (status == EVS_END && s->mid_frame)
                return evs_error_set(s->ctx, reterr, EVS_ERR_CORRUPT,
                                     "\"%s\": the compressed data is cut short", s->path);
            else if (status)
                return status;
        }
        step.in = s->in + s->in_at;
        step.in_len = s->in_len - s->in_at;
        s->mid_frame = true;
        if ((status = evs__file_coder_step(s->coder, &step, s->path, reterr)))
            return status;
        s->in_at = s->in_len - step.in_len;
        if (step.done) {
            evs__file_coder_reset(s->coder);
            s->mid_frame = false;
        }
    }
    *ret_len = size - step.out_len;
    return EVS_OK;
}

evs_status evs__file_stream_read(
    file_stream *s, char *to, size_t size, int64_t wait_ms, size_t *ret_len, evs_error **reterr)
{
    evs_status status = s->compression == FILE_PLAIN
                            ? read_raw(s, to, size, wait_ms, ret_len, reterr)
                            : read_packed(s, to, size, wait_ms, ret_len, reterr);
    if (!status)
        s->position += (int64_t)*ret_len;
    return status;
}

static evs_status rewind_stream(file_stream *s, evs_error **reterr)
{
    if (lseek(s->fd, 0, SEEK_SET) != 0)
        return evs__os_fail(s->ctx, reterr, s->path, "seek", errno);
    s->position = 0;
    s->in_at = s->in_len = 0;
    s->mid_frame = false;
    if (s->coder)
        evs__file_coder_reset(s->coder);
    return EVS_OK;
}

static evs_status too_short(file_stream *s, int64_t position, int64_t size, evs_error **reterr)
{
    return evs_error_set(s->ctx, reterr, EVS_ERR_STATE,
                         "\"%s\": position %lld is behind the end, %lld: it is another file or was "
                         "cut; put the file back or begin anew",
                         s->path, (long long)position, (long long)size);
}

evs_status evs__file_stream_seek(file_stream *s, int64_t position, evs_error **reterr)
{
    char *scrap;
    evs_status status = EVS_OK;

    if (!s->seekable)
        return evs_error_set(s->ctx, reterr, EVS_ERR_STATE,
                             "\"%s\": a pipe is read once, it cannot go on from a stored position",
                             s->path);
    if (position == s->position)
        return EVS_OK;
    if (s->compression == FILE_PLAIN) {
        int64_t size = evs__file_stream_size(s);
        if (position > size)
            return too_short(s, position, size, reterr);
        if (lseek(s->fd, position, SEEK_SET) < 0)
            return evs__os_fail(s->ctx, reterr, s->path, "seek", errno);
        s->position = position;
        return EVS_OK;
    }
    if (position < s->position && (status = rewind_stream(s, reterr)))
        return status;
    if (!(scrap = evs_alloc(s->ctx, SKIP_SIZE)))
        return evs_error_set(s->ctx, reterr, EVS_ERR_NOMEM, "out of memory");
    while (!status && s->position < position) {
        int64_t left = position - s->position;
        size_t n = 0;
        status = evs__file_stream_read(
            s, scrap, left < (int64_t)SKIP_SIZE ? (size_t)left : SKIP_SIZE, 0, &n, reterr);
    }
    evs_free(s->ctx, scrap);
    return status == EVS_END ? too_short(s, position, s->position, reterr) : status;
}

int64_t evs__file_stream_size(const file_stream *s)
{
    struct stat st;
    if (s->compression != FILE_PLAIN || !s->seekable || fstat(s->fd, &st) != 0)
        return -1;
    return st.st_size;
}
