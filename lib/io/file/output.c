/*
 * io/file/output.c: see output.h.
 *
 *   put -> [compress] -> pending -> write -> file
 *
 * What a full disk or a slow pipe does not take stays in `pending` and is written by the next call,
 * so the file never has a hole or half a row followed by another one. A regular file is locked
 * (flock), so that two processes do not write into each other; that makes cutting it safe too: an
 * abort goes back to the size at the last commit.
 *
 * After a crash the end of the file may be torn. In plain text the sink puts a line end behind it.
 * In a compressed file nothing behind a torn frame could be read, so opening reads the file to the
 * last complete frame and cuts the rest off; its rows are written again by whoever replays.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file/output.h"
#include "io/os.h"

#define STEP_SIZE ((size_t)64 << 10)

/* where the last complete frame of a compressed file ends */
static evs_status find_last_frame(file_output *o, int64_t *ret_end, evs_error **reterr)
{
    char *in = evs_alloc(o->ctx, STEP_SIZE), *out = evs_alloc(o->ctx, STEP_SIZE);
    file_coder *coder = NULL;
    file_step step = {0};
    int64_t position = 0;
    evs_status status = EVS_OK;

    *ret_end = 0;
    if (!in || !out)
        status = evs_error_set(o->ctx, reterr, EVS_ERR_NOMEM, "out of memory");
    else
        status = evs__file_coder_new(o->ctx, o->compression, false, &coder, reterr);
    while (!status) {
        if (!step.in_len) {
            ssize_t n = pread(o->fd, in, STEP_SIZE, position);
            if (n < 0)
                status = evs__os_fail(o->ctx, reterr, o->path, "read", errno);
            if (n <= 0)
                break;
            position += n;
            step.in = in;
            step.in_len = (size_t)n;
        }
        step.out = out;
        step.out_len = STEP_SIZE;
        if (evs__file_coder_step(coder, &step, o->path, NULL))
            break; /* damaged from here on */
        if (step.done) {
            *ret_end = position - (int64_t)step.in_len;
            evs__file_coder_reset(coder);
        }
    }
    evs__file_coder_free(coder);
    evs_free(o->ctx, in);
    evs_free(o->ctx, out);
    return status;
}

static evs_status repair(file_output *o, evs_error **reterr)
{
    int64_t end = 0;
    evs_status status;
    if (o->compression == FILE_PLAIN || !o->regular || !o->size)
        return EVS_OK;
    if ((status = find_last_frame(o, &end, reterr)) || end == o->size)
        return status;
    if (!end)
        return evs_error_set(o->ctx, reterr, EVS_ERR_CORRUPT,
                             "\"%s\": the file exists and is not compressed like this", o->path);
    evs_log(o->ctx, EVS_LOG_WARNING, "file", "\"%s\": %lld bytes of an incomplete end were cut off",
            o->path, (long long)(o->size - end));
    return evs__file_output_cut(o, end, reterr);
}

static evs_status open_file(file_output *o, bool truncate, evs_error **reterr)
{
    struct stat st;
    if (strcmp(o->path, "-") == 0)
        o->fd = STDOUT_FILENO;
    else
        o->fd = open(o->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
    if (o->fd < 0 && (errno == ENXIO || errno == EACCES)) /* write-only things */
        o->fd = open(o->path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY);
    if (o->fd < 0 || fstat(o->fd, &st) != 0)
        return evs__os_fail(o->ctx, reterr, o->path, "open", errno);
    o->regular = S_ISREG(st.st_mode) && o->fd != STDOUT_FILENO;
    if (o->regular && flock(o->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        evs_error_set(o->ctx, reterr, EVS_ERR_UNAVAILABLE, "\"%s\": another sink writes this file",
                      o->path);
        evs_error_annotate(o->ctx, reterr, true, false, 0, o->path);
        return EVS_ERR_UNAVAILABLE;
    }
    o->may_wait = evs__os_may_wait(o->fd);
    o->size = o->regular ? st.st_size : 0;
    if (o->regular && truncate && o->size)
        return evs__file_output_cut(o, 0, reterr);
    return EVS_OK;
}

evs_status evs__file_output_open(evs_context *ctx,
                                 const char *path,
                                 file_compression compression,
                                 bool truncate,
                                 file_output *ret,
                                 evs_error **reterr)
{
    evs_status status = EVS_OK;

    *ret = (file_output){.ctx = ctx, .fd = -1, .compression = compression};
    ret->pending.ctx = ctx;
    if (!(ret->path = evs_strdup(ctx, path)))
        return evs_error_set(ctx, reterr, EVS_ERR_NOMEM, "out of memory");
    if (compression != FILE_PLAIN &&
        (status = evs__file_coder_new(ctx, compression, true, &ret->coder, reterr)))
        evs_error_prefix(ctx, reterr, "\"%s\": ", path);
    if (!status && !(status = open_file(ret, truncate, reterr)))
        status = repair(ret, reterr);
    ret->committed = ret->size;
    return status;
}

void evs__file_output_close(file_output *o)
{
    if (!o->ctx)
        return;
    if (o->fd >= 0 && strcmp(o->path, "-") != 0)
        close(o->fd);
    evs__file_coder_free(o->coder);
    evs_free(o->ctx, o->pending.data);
    evs_free(o->ctx, o->path);
    *o = (file_output){.fd = -1};
}

static evs_status compress(file_output *o, evs_string_view *bytes, bool finish, evs_error **reterr)
{
    file_step step = {.in = bytes->data, .in_len = bytes->len, .finish = finish};
    evs_status status = EVS_OK;
    do {
        if ((status = evs__file_reserve(&o->pending, STEP_SIZE, reterr)))
            break;
        step.out = o->pending.data + o->pending.len;
        step.out_len = o->pending.capacity - o->pending.len;
        if ((status = evs__file_coder_step(o->coder, &step, o->path, reterr)))
            break;
        o->pending.len = o->pending.capacity - step.out_len;
        o->in_frame = !step.done;
    } while (finish ? !step.done : step.in_len > 0);
    *bytes = (evs_string_view){step.in, step.in_len};
    if (finish && !status)
        evs__file_coder_reset(o->coder);
    return status;
}

evs_status evs__file_output_put(file_output *o, evs_string_view *bytes, evs_error **reterr)
{
    evs_status status;
    if (!bytes->len)
        return EVS_OK;
    if (o->compression != FILE_PLAIN)
        return compress(o, bytes, false, reterr);
    status = evs__file_append(&o->pending, bytes->data, bytes->len, reterr);
    if (!status)
        bytes->len = 0;
    return status;
}

evs_status evs__file_output_write(file_output *o, int64_t wait_ms, evs_error **reterr)
{
    size_t done = 0;
    int code = evs__os_write(o->fd, o->may_wait, o->pending.data + o->written,
                             o->pending.len - o->written, wait_ms, &done);
    o->written += done;
    o->size += (int64_t)done;
    if (o->written == o->pending.len)
        o->written = o->pending.len = 0;
    if (code == EAGAIN)
        return EVS_AGAIN;
    return code ? evs__os_fail(o->ctx, reterr, o->path, "write", code) : EVS_OK;
}

evs_status evs__file_output_finish(file_output *o, evs_error **reterr)
{
    evs_string_view nothing = {NULL, 0};
    return o->in_frame ? compress(o, &nothing, true, reterr) : EVS_OK;
}

evs_status evs__file_output_cut(file_output *o, int64_t size, evs_error **reterr)
{
    o->pending.len = o->written = 0;
    o->in_frame = false;
    if (o->coder)
        evs__file_coder_reset(o->coder);
    if (!o->regular)
        return EVS_OK;
    if (ftruncate(o->fd, size) != 0)
        return evs__os_fail(o->ctx, reterr, o->path, "truncate", errno);
    o->size = size;
    return EVS_OK;
}
