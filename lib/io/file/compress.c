/*
 * io/file/compress.c: gzip, raw deflate and zstd behind one stepping function, as streams: input
 * and output move on as far as they fit, so memory does not depend on the data.
 *
 * A frame is a gzip member or a zstd frame. Files may hold several, one behind the other; a frame
 * that ended is followed by another or by the end of the file. Either library may be missing from a
 * build; then asking for it is an error that says so. zstd takes its memory from malloc: its stable
 * interface has no other way.
 */
#include <string.h>

#include "io/file/file.h"

#ifdef HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

struct file_coder {
    evs_context *ctx;
    file_compression kind;
    bool compress, made;
#ifdef HAVE_ZLIB
    z_stream z;
#endif
#ifdef HAVE_ZSTD
    ZSTD_CCtx *c;
    ZSTD_DCtx *d;
#endif
};

file_compression evs__file_compression(const char *option, const char *path)
{
    size_t len = strlen(path);
    if (strcmp(option, "gzip") == 0)
        return FILE_GZIP;
    if (strcmp(option, "zstd") == 0)
        return FILE_ZSTD;
    if (strcmp(option, "auto") == 0 && len > 3 && strcmp(path + len - 3, ".gz") == 0)
        return FILE_GZIP;
    if (strcmp(option, "auto") == 0 && len > 4 && strcmp(path + len - 4, ".zst") == 0)
        return FILE_ZSTD;
    return FILE_PLAIN;
}

/* ---- zlib ---- */

#ifdef HAVE_ZLIB
static void *z_alloc(void *opaque, unsigned count, unsigned size)
{
    return evs_alloc_array(opaque, count, size);
}

static void z_free(void *opaque, void *ptr)
{
    evs_free(opaque, ptr);
}

static evs_status z_new(file_coder *c, evs_error **reterr)
{
    int code;
    c->z.zalloc = z_alloc;
    c->z.zfree = z_free;
    c->z.opaque = c->ctx;
    if (c->compress)
        code = deflateInit2(&c->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
                            c->kind == FILE_GZIP ? 15 + 16 : -15, 8, Z_DEFAULT_STRATEGY);
    else
        code = inflateInit2(&c->z, c->kind == FILE_GZIP ? 15 + 16 : -15);
    c->made = code == Z_OK;
    return c->made ? EVS_OK : evs_error_set(c->ctx, reterr, EVS_ERR_NOMEM, "out of memory");
}

static evs_status z_step(file_coder *c, file_step *s, const char *path, evs_error **reterr)
{
    /* zlib counts in unsigned int; the rest follows in the next step */
    unsigned in = s->in_len > 1u << 30 ? 1u << 30 : (unsigned)s->in_len;
    unsigned out = s->out_len > 1u << 30 ? 1u << 30 : (unsigned)s->out_len;
    int code;
    c->z.next_in = (Bytef *)(uintptr_t)s->in;
    c->z.avail_in = in;
    c->z.next_out = (Bytef *)s->out;
    c->z.avail_out = out;
    code = c->compress ? deflate(&c->z, s->finish && in == s->in_len ? Z_FINISH : Z_NO_FLUSH)
                       : inflate(&c->z, Z_NO_FLUSH);
    s->in += in - c->z.avail_in;
    s->in_len -= in - c->z.avail_in;
    s->out += out - c->z.avail_out;
    s->out_len -= out - c->z.avail_out;
    s->done = code == Z_STREAM_END;
    if (code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR)
        return EVS_OK;
    if (code == Z_MEM_ERROR)
        return evs_error_set(c->ctx, reterr, EVS_ERR_NOMEM, "out of memory");
    return evs_error_set(c->ctx, reterr, EVS_ERR_CORRUPT, "\"%s\": damaged %s data: %s", path,
                         c->kind == FILE_GZIP ? "gzip" : "deflate",
                         c->z.msg ? c->z.msg : "no such data");
}

static void z_free_coder(file_coder *c)
{
    if (c->made && c->compress)
        deflateEnd(&c->z);
    else if (c->made)
        inflateEnd(&c->z);
}

static void z_reset(file_coder *c)
{
    if (c->compress)
        deflateReset(&c->z);
    else
        inflateReset(&c->z);
}
#endif

/* ---- zstd ---- */

#ifdef HAVE_ZSTD
static evs_status zstd_new(file_coder *c, evs_error **reterr)
{
    if (c->compress)
        c->c = ZSTD_createCCtx();
    else
        c->d = ZSTD_createDCtx();
    if (!c->c && !c->d)
        return evs_error_set(c->ctx, reterr, EVS_ERR_NOMEM, "out of memory");
    if (c->compress)
        ZSTD_CCtx_setParameter(c->c, ZSTD_c_checksumFlag, 1);
    return EVS_OK;
}

static evs_status zstd_step(file_coder *c, file_step *s, const char *path, evs_error **reterr)
{
    ZSTD_inBuffer in = {s->in, s->in_len, 0};
    ZSTD_outBuffer out = {s->out, s->out_len, 0};
    size_t left = c->compress ? ZSTD_compressStream2(c->c, &out, &in,
                                                     s->finish ? ZSTD_e_end : ZSTD_e_continue)
                              : ZSTD_decompressStream(c->d, &out, &in);
    if (ZSTD_isError(left))
        return evs_error_set(c->ctx, reterr, EVS_ERR_CORRUPT, "\"%s\": damaged zstd data: %s", path,
                             ZSTD_getErrorName(left));
    s->in += in.pos;
    s->in_len -= in.pos;
    s->out += out.pos;
    s->out_len -= out.pos;
    s->done = left == 0 && (!c->compress || s->finish);
    return EVS_OK;
}

static void zstd_free(file_coder *c)
{
    ZSTD_freeCCtx(c->c);
    ZSTD_freeDCtx(c->d);
}

static void zstd_reset(file_coder *c)
{
    if (c->compress)
        ZSTD_CCtx_reset(c->c, ZSTD_reset_session_only);
    else
        ZSTD_DCtx_reset(c->d, ZSTD_reset_session_only);
}
#endif

/* ---- either ---- */

evs_status evs__file_coder_new(
    evs_context *ctx, file_compression kind, bool compress, file_coder **ret, evs_error **reterr)
{
    evs_status status = EVS_ERR_UNSUPPORTED;
    file_coder *c = evs_alloc_array(ctx, 1, sizeof(*c));
    if (!c)
        return evs_error_set(ctx, reterr, EVS_ERR_NOMEM, "out of memory");
    c->ctx = ctx;
    c->kind = kind;
    c->compress = compress;
#ifdef HAVE_ZLIB
    if (kind != FILE_ZSTD)
        status = z_new(c, reterr);
#endif
#ifdef HAVE_ZSTD
    if (kind == FILE_ZSTD)
        status = zstd_new(c, reterr);
#endif
    if (status == EVS_ERR_UNSUPPORTED)
        evs_error_set(ctx, reterr, status, "%s is not in this build: it was made without %s",
                      kind == FILE_ZSTD      ? "zstd"
                      : kind == FILE_DEFLATE ? "deflate"
                                             : "gzip",
                      kind == FILE_ZSTD ? "libzstd" : "zlib");
    if (status)
        evs__file_coder_free(c);
    else
        *ret = c;
    return status;
}

void evs__file_coder_free(file_coder *c)
{
    if (!c)
        return;
#ifdef HAVE_ZLIB
    if (c->kind != FILE_ZSTD)
        z_free_coder(c);
#endif
#ifdef HAVE_ZSTD
    if (c->kind == FILE_ZSTD)
        zstd_free(c);
#endif
    evs_free(c->ctx, c);
}

void evs__file_coder_reset(file_coder *c)
{
#ifdef HAVE_ZLIB
    if (c->kind != FILE_ZSTD)
        z_reset(c);
#endif
#ifdef HAVE_ZSTD
    if (c->kind == FILE_ZSTD)
        zstd_reset(c);
#endif
}

evs_status
evs__file_coder_step(file_coder *c, file_step *step, const char *path, evs_error **reterr)
{
    step->done = false;
#ifdef HAVE_ZSTD
    if (c->kind == FILE_ZSTD)
        return zstd_step(c, step, path, reterr);
#endif
#ifdef HAVE_ZLIB
    return z_step(c, step, path, reterr);
#else
    return evs_error_set(c->ctx, reterr, EVS_ERR_INTERNAL, "\"%s\": no zlib", path);
#endif
}
