/*
 * io/os.c: errno as an error, bytes to a descriptor, the clock; see os.h.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "io/os.h"

evs_status
evs__os_fail(evs_context *ctx, evs_error **reterr, const char *path, const char *what, int code)
{
    char buffer[128] = "";
    const char *why = strerror_r(code, buffer, sizeof(buffer)); /* GNU: may be elsewhere */
    evs_status status = code == ENOENT ? EVS_ERR_NOT_FOUND : EVS_ERR_IO;
    bool retriable =
        code == ENOSPC || code == EDQUOT || code == EFBIG || code == EAGAIN || code == EINTR;

    evs_error_set(ctx, reterr, status, "\"%s\": %s: %s", path, what, why);
    evs_error_annotate(ctx, reterr, retriable, false, 0, path);
    return status;
}

bool evs__os_may_wait(int fd)
{
    struct stat st;
    return fstat(fd, &st) != 0 || !S_ISREG(st.st_mode);
}

int evs__os_write(
    int fd, bool may_wait, const char *data, size_t len, int64_t wait_ms, size_t *ret_done)
{
    struct pollfd p = {fd, POLLOUT, 0};
    *ret_done = 0;
    while (*ret_done < len) {
        size_t size = len - *ret_done;
        ssize_t n;
        if (may_wait) {
            /* a pipe that is ready takes this much without waiting */
            size = size < PIPE_BUF ? size : PIPE_BUF;
            if (poll(&p, 1, wait_ms > INT32_MAX ? -1 : (int)wait_ms) == 0)
                return EAGAIN;
        }
        n = write(fd, data + *ret_done, size);
        if (n >= 0)
            *ret_done += (size_t)n;
        else if (errno != EINTR && !(errno == EAGAIN && may_wait && wait_ms))
            return errno;
    }
    return 0;
}

int64_t evs__os_clock_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
