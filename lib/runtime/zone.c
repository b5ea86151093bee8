/*
 * runtime/zone.c: time zones from the system's zoneinfo, read once per context, on first use.
 *
 * A name is a path in that folder ("Europe/Berlin"); what could lead out of it is refused before a
 * file is opened. Below here zones are tables: whoever may need one by name (evs_window_new, the
 * plan) has it loaded first.
 *
 * Windows that need a zone are made here, since the operator itself opens no files.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "engine/window.h"
#include "io/os.h"
#include "runtime/zone.h"

/* as tzset(3) and others look for them */
static const char *const folders[] = {"/usr/share/zoneinfo", "/usr/lib/zoneinfo",
                                      "/usr/share/lib/zoneinfo", "/etc/zoneinfo"};

static bool is_name(const char *name)
{
    size_t len = strlen(name);

    return len && len <= EVS__ZONE_NAME_MAX && name[0] != '/' && name[len - 1] != '/' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_+-") ==
               len;
}

/* errno, 0 */
static int read_file(const char *path, evs__buffer *out)
{
    int code = 0, fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 1;

    if (fd < 0)
        return errno;
    while (n > 0 && !code) {
        if (evs__buffer_reserve(out, 1 << 14)) {
            code = out->len >= EVS__ZONE_BYTES_MAX ? EFBIG : ENOMEM;
            break;
        }
        n = read(fd, out->data + out->len, 1 << 14);
        if (n > 0)
            out->len += (size_t)n;
        else if (n < 0 && errno == EINTR)
            n = 1;
        else if (n < 0)
            code = errno;
    }
    close(fd);
    return code;
}

static evs_status not_found(evs_context *ctx, const char *name, evs_error **reterr)
{
    return evs__fail(ctx, reterr, EVS_ERR_NOT_FOUND,
                     "time zone \"%.200s\" is not known: there is no %s/%.200s (names are like "
                     "\"Europe/Berlin\"; the system's package tzdata has them)",
                     name, folders[0], name);
}

evs_status evs__zone_load(evs_context *ctx, const char *name, evs_error **reterr)
{
    char path[sizeof("/usr/share/lib/zoneinfo/") + EVS__ZONE_NAME_MAX];
    evs__buffer bytes;
    evs__zone *zone = NULL;
    evs_status status;
    int code = ENOENT;

    if (!is_name(name))
        return evs__fail(ctx, reterr, EVS_ERR_INVALID,
                         "\"%.200s\" is no name of a time zone (names are like \"Europe/Berlin\")",
                         name);
    if (evs__zone_find(ctx, name))
        return EVS_OK;
    evs__buffer_init(&bytes, ctx, EVS__ZONE_BYTES_MAX + (1 << 14));
    for (size_t i = 0; i < sizeof(folders) / sizeof(*folders) && code == ENOENT; i++) {
        strcpy(path, folders[i]);
        strcat(strcat(path, "/"), name);
        code = read_file(path, &bytes);
    }
    /* a folder of zones is none */
    if (code == ENOENT || code == ENOTDIR || code == EISDIR)
        status = not_found(ctx, name, reterr);
    else if (code == ENOMEM)
        status = evs__nomem(reterr);
    else if (code)
        status = evs__os_fail(ctx, reterr, path, "cannot read the time zone", code);
    else
        status = evs__zone_new(ctx, name, bytes.data, bytes.len, &zone, reterr);
    evs__buffer_free(&bytes);
    return status ? status : evs__zone_keep(ctx, zone, reterr);
}

evs_status evs_window_new(evs_context *context,
                          evs_schema *schema,
                          const char *keys,
                          const char *aggregates,
                          const evs_window_options *options,
                          evs_window **ret_window,
                          evs_error **reterr)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;

    /* options that cannot be copied are told below */
    if (context && options && !evs__options_copy(&o, sizeof(o), options) && o.zone && *o.zone) {
        evs_status status = evs__zone_load(context, o.zone, reterr);
        if (status)
            return status;
    }
    return evs__window_new(context, schema, keys, aggregates, options, ret_window, reterr);
}
