/*
 * io/schema_file.c: evs_schema_load(): a schema from a file. Everything below io/ works on text;
 * this is the file access of schema/, on public headers only.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "evstream/connector.h"
#include "evstream/schema.h"

#define FILE_MAX ((size_t)16 << 20)

/* what is in the file, up to FILE_MAX + 1 bytes */
static evs_status read_all(evs_context *ctx, int fd, char **ret, size_t *ret_len, int *ret_errno)
{
    size_t room = 0;
    size_t len = 0;
    char *text = NULL;

    for (;;) {
        ssize_t n;
        if (len == room) {
            char *grown = evs_realloc_array(ctx, text, 1, room ? room * 2 : 4096);
            if (!grown) {
                evs_free(ctx, text);
                return EVS_ERR_NOMEM;
            }
            text = grown;
            room = room ? room * 2 : 4096;
        }
        n = read(fd, text + len, room - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            *ret_errno = errno;
            evs_free(ctx, text);
            return EVS_ERR_IO;
        }
        len += (size_t)n;
        if (n == 0 || len > FILE_MAX)
            break;
    }
    *ret = text;
    *ret_len = len;
    return EVS_OK;
}

static evs_status
file_error(evs_context *ctx, const char *path, evs_status status, int code, evs_error **reterr)
{
    char text[128] = "out of memory";

    if (status == EVS_ERR_IO && code == ENOENT)
        status = EVS_ERR_NOT_FOUND;
    if (status != EVS_ERR_NOMEM) {
        /* the GNU one: the text may be elsewhere */
        const char *why = strerror_r(code, text, sizeof(text));
        if (why != text)
            snprintf(text, sizeof(text), "%s", why);
    }
    evs_error_set(ctx, reterr, status, "schema file \"%s\": %s", path, text);
    evs_error_annotate(ctx, reterr, false, false, 0, path);
    return status;
}

/* "purchase.avsc:3:17", "purchase.avsc:fields[2].type" */
static void add_place(evs_context *ctx, const char *path, evs_error **reterr)
{
    char origin[512];

    if (!reterr || !*reterr)
        return;
    snprintf(origin, sizeof(origin), "%s%s%s", path, *evs_error_origin(*reterr) ? ":" : "",
             evs_error_origin(*reterr));
    evs_error_prefix(ctx, reterr, "\"%s\": ", path);
    evs_error_annotate(ctx, reterr, false, false, 0, origin);
}

evs_status evs_schema_load(evs_context *context,
                           evs_format format,
                           const char *path,
                           evs_schema **ret_schema,
                           evs_error **reterr)
{
    char *text = NULL;
    size_t len = 0;
    int fd, code = 0;
    evs_status status;

    if (!context || !path || !ret_schema)
        return evs_error_set(context, reterr, EVS_ERR_INVALID,
                             "context, path or ret_schema is NULL");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return file_error(context, path, EVS_ERR_IO, errno, reterr);
    status = read_all(context, fd, &text, &len, &code);
    close(fd);
    if (status)
        return file_error(context, path, status, code, reterr);
    /* an editor's last newline is no part of column definitions, and harmless in JSON */
    while (len && strchr(" \t\r\n", text[len - 1]) && text[len - 1])
        len--;
    status = evs_schema_parse(context, format, text, len, ret_schema, reterr);
    if (status)
        add_place(context, path, reterr);
    evs_free(context, text);
    return status;
}
