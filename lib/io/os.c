/*
 * io/os.c: errno as an error, bytes to a descriptor, the clock; see os.h.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io/os.h"

evs_status
evs__os_fail(evs_context *ctx, evs_error **reterr, const char *path, const char *what, int code)
{
    char buffer[128] = "";
    const char *why = strerror_r(code, buffer, sizeof(buffer)); /* GNU: may be elsewhere */
    evs_status status = code == ENOENT ? EVS_ERR_NOT_FOUND : EVS_ERR_IO;
    bool retriable = code == ENOSPC || code == EDQUOT || code == EAGAIN || code == EINTR;

    evs_error_set(ctx, reterr, status, "\"%s\": %s: %s", path, what, why);
    evs_error_annotate(ctx, reterr, retriable, false, 0, path);
    return status;
}

int evs__os_write(int fd, const char *data, size_t len, int64_t wait_ms, size_t *ret_done)
{
    struct pollfd p = {fd, POLLOUT, 0};
    *ret_done = 0;
    while (*ret_done < len) {
        ssize_t n = write(fd, data + *ret_done, len - *ret_done);
        if (n >= 0) {
            *ret_done += (size_t)n;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return errno;
        if (poll(&p, 1, wait_ms > INT32_MAX ? -1 : (int)wait_ms) == 0)
            return EAGAIN;
    }
    return 0;
}

int64_t evs__os_clock_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
