/*
 * io/os.h: what connectors need of the operating system in one form: an error from errno, writing
 * all of a run of bytes, the monotonic clock.
 */
#ifndef EVS_IO_OS_H
#define EVS_IO_OS_H

#include "evstream/connector.h"

/*
 * `"PATH": WHAT: text of errno`. ENOENT is EVS_ERR_NOT_FOUND, everything else EVS_ERR_IO; no room
 * on the disk, in a quota or below a size limit is retriable.
 */
evs_status
evs__os_fail(evs_context *ctx, evs_error **reterr, const char *path, const char *what, int code);
/* whether writing to it may wait for somebody (pipe, terminal, socket) */
bool evs__os_may_wait(int fd);
/*
 * Write until all is written; waits for a slow reader up to `wait_ms` without progress (EAGAIN
 * then), also when the descriptor is a blocking one. Returns 0 or errno; *ret_done counts what went
 * out, also on failure.
 */
int evs__os_write(
    int fd, bool may_wait, const char *data, size_t len, int64_t wait_ms, size_t *ret_done);
int64_t evs__os_clock_ms(void);

#endif
