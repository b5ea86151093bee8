/*
 * runtime/store.c: the folder of snapshots: one file an epoch, the newest two are kept.
 *
 *   STATE.DIR/APPLICATION.ID/lock              held while a pipeline uses the folder
 *                           /epoch-41.snapshot
 *                           /epoch-42.snapshot
 *                           /next.tmp          being written
 *
 * write -> fsync -> rename -> fsync of the folder: after a crash an epoch's file is whole or not
 * there. A file for all tasks, not one for each: a single rename makes the epoch true, so half of
 * the tasks can never be newer than the others.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/snapshot.h"

#define PREFIX "epoch-"
#define SUFFIX ".snapshot"
#define TEMPORARY "next.tmp"

struct evs__store {
    evs_context *ctx;
    char *dir;
    int lock_fd;
    evs__buffer path;
};

/* a file operation failed: may pass (space, permissions come back) */
static evs_status
io_fail(evs_context *ctx, const char *what, const char *path, int error, evs_error **reterr)
{
    char text[128];
    evs_status status = evs__fail(ctx, reterr, EVS_ERR_IO, "%s \"%s\": %s", what, path,
                                  strerror_r(error, text, sizeof(text)));
    evs_error_annotate(ctx, reterr, true, false, 0, NULL);
    return status;
}

static const char *path_of(evs__store *store, const char *name)
{
    evs__buffer_reset(&store->path);
    evs__buffer_printf(&store->path, "%s/%s", store->dir, name);
    return evs__buffer_cstr(&store->path);
}

const char *evs__store_path(evs__store *store, int64_t epoch)
{
    char name[64];
    snprintf(name, sizeof(name), PREFIX "%lld" SUFFIX, (long long)epoch);
    return path_of(store, name);
}

/* mkdir -p */
static evs_status make_dirs(evs_context *ctx, char *path, evs_error **reterr)
{
    for (char *p = path + 1;; p++) {
        char c = *p;
        if (c && c != '/')
            continue;
        *p = '\0';
        if (mkdir(path, 0777) && errno != EEXIST) {
            int error = errno;
            evs_status status = io_fail(ctx, "state.dir: cannot make folder", path, error, reterr);
            *p = c;
            return status;
        }
        *p = c;
        if (!c)
            return EVS_OK;
    }
}

static evs_status take_lock(evs__store *store, evs_error **reterr)
{
    const char *path = path_of(store, "lock");
    if (!path)
        return evs__nomem(reterr);
    store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (store->lock_fd < 0)
        return io_fail(store->ctx, "state.dir: cannot open", path, errno, reterr);
    if (!flock(store->lock_fd, LOCK_EX | LOCK_NB))
        return EVS_OK;
    if (errno != EWOULDBLOCK)
        return io_fail(store->ctx, "state.dir: cannot lock", path, errno, reterr);
    return evs__fail(store->ctx, reterr, EVS_ERR_STATE,
                     "state.dir: \"%s\" is in use by another pipeline with this application.id",
                     store->dir);
}

evs_status evs__store_open(evs_context *ctx,
                           const char *dir,
                           const char *application_id,
                           evs__store **ret,
                           evs_error **reterr)
{
    evs__store *store = evs__calloc(ctx, 1, sizeof(*store));
    evs_status status;

    if (!store)
        return evs__nomem(reterr);
    store->ctx = ctx;
    store->lock_fd = -1;
    evs__buffer_init(&store->path, ctx, 1 << 16);
    evs__buffer_printf(&store->path, "%s/%s", dir, application_id);
    if (!*dir || !evs__buffer_cstr(&store->path) ||
        !(store->dir = evs__strdup(ctx, store->path.data))) {
        evs__store_close(store);
        return *dir ? evs__nomem(reterr)
                    : evs__fail(ctx, reterr, EVS_ERR_CONFIG, "option \"state.dir\" is empty");
    }
    status = make_dirs(ctx, store->dir, reterr);
    if (!status)
        status = take_lock(store, reterr);
    if (status) {
        evs__store_close(store);
        return status;
    }
    *ret = store;
    return EVS_OK;
}

void evs__store_close(evs__store *store)
{
    if (!store)
        return;
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    evs__buffer_free(&store->path);
    evs__free(store->ctx, store->dir);
    evs__free(store->ctx, store);
}

/* epoch of a file name; 0: it is none of ours */
static int64_t epoch_of(const char *name)
{
    size_t len = strlen(name), before = sizeof(PREFIX) - 1, behind = sizeof(SUFFIX) - 1;
    int64_t epoch;
    if (len <= before + behind || memcmp(name, PREFIX, before) != 0 ||
        memcmp(name + len - behind, SUFFIX, behind) != 0 ||
        evs__parse_int(name + before, len - before - behind, &epoch) || epoch < 0)
        return 0;
    return epoch;
}

evs_status
evs__store_epochs(evs__store *store, int64_t *ret_newest, int64_t *ret_before, evs_error **reterr)
{
    DIR *dir = opendir(store->dir);
    const struct dirent *e;
    int64_t newest = 0, before = 0;

    if (!dir)
        return io_fail(store->ctx, "state.dir: cannot read", store->dir, errno, reterr);
    while ((e = readdir(dir))) {
        int64_t epoch = epoch_of(e->d_name);
        if (epoch > newest) {
            before = newest;
            newest = epoch;
        } else if (epoch > before) {
            before = epoch;
        }
    }
    closedir(dir);
    *ret_newest = newest;
    *ret_before = before;
    return EVS_OK;
}

evs_status evs__store_read(evs__store *store, int64_t epoch, evs__buffer *out, evs_error **reterr)
{
    const char *path = evs__store_path(store, epoch);
    evs_status status = EVS_OK;
    ssize_t n = 1;
    int fd;

    if (!path)
        return evs__nomem(reterr);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return io_fail(store->ctx, "state.dir: cannot open", path, errno, reterr);
    while (n > 0) {
        status = evs__buffer_reserve(out, 1 << 16);
        if (status) {
            close(fd);
            return evs__fail(store->ctx, reterr, status, "snapshot \"%s\": %s", path,
                             evs_status_text(status));
        }
        n = read(fd, out->data + out->len,
                 out->capacity - out->len < out->max - out->len ? out->capacity - out->len
                                                                : out->max - out->len);
        if (n > 0)
            out->len += (size_t)n;
        else if (n < 0 && errno == EINTR)
            n = 1;
    }
    if (n < 0)
        status = io_fail(store->ctx, "state.dir: cannot read", path, errno, reterr);
    close(fd);
    return status;
}

evs_status evs__store_begin(evs__store *store, int *ret_fd, evs_error **reterr)
{
    const char *path = path_of(store, TEMPORARY);
    if (!path)
        return evs__nomem(reterr);
    *ret_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (*ret_fd < 0)
        return io_fail(store->ctx, "state.dir: cannot write", path, errno, reterr);
    return EVS_OK;
}

static evs_status sync_dir(evs__store *store, evs_error **reterr)
{
    int fd = open(store->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = 0;
    if (fd < 0 || fsync(fd))
        error = errno;
    if (fd >= 0)
        close(fd);
    return error ? io_fail(store->ctx, "state.dir: cannot sync", store->dir, error, reterr)
                 : EVS_OK;
}

/* what is older than the epoch before `epoch` is not needed any more */
static void remove_old(evs__store *store, int64_t epoch)
{
    DIR *dir = opendir(store->dir);
    const struct dirent *e;
    while (dir && (e = readdir(dir))) {
        int64_t old = epoch_of(e->d_name);
        const char *path = old && old < epoch - 1 ? path_of(store, e->d_name) : NULL;
        if (path)
            unlink(path);
    }
    if (dir)
        closedir(dir);
}

/* TEMPORARY -> the epoch's file; both paths are needed at once */
static evs_status publish(evs__store *store, int64_t epoch, evs_error **reterr)
{
    const char *path = path_of(store, TEMPORARY);
    char *from = path ? evs__strdup(store->ctx, path) : NULL;
    const char *to = from ? evs__store_path(store, epoch) : NULL;
    evs_status status = EVS_OK;

    if (!to)
        status = evs__nomem(reterr);
    else if (rename(from, to))
        status = io_fail(store->ctx, "state.dir: cannot write", to, errno, reterr);
    evs__free(store->ctx, from);
    return status;
}

evs_status evs__store_end(evs__store *store, int fd, int64_t epoch, bool keep, evs_error **reterr)
{
    const char *path;
    evs_status status = EVS_OK;

    if (keep && fsync(fd))
        status = io_fail(store->ctx, "state.dir: cannot sync", store->dir, errno, reterr);
    close(fd);
    if (keep && !status && !(status = publish(store, epoch, reterr)) &&
        !(status = sync_dir(store, reterr)))
        remove_old(store, epoch);
    if ((!keep || status) && (path = path_of(store, TEMPORARY)))
        unlink(path);
    return status;
}
