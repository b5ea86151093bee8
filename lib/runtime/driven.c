/*
 * runtime/driven.c: the pipeline in the host's own loop.
 *
 * The descriptor is an epoll instance over two: an eventfd, written by connectors' wake-ups from
 * any thread and left set while work is waiting, and a timerfd for the next deadline. epoll is
 * level triggered, so the host cannot miss a wake-up, whatever its loop does.
 */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "runtime/runtime.h"

#define ZERO_BUDGET_MS 1 /* what a budget of 0 may take when there is much to do */

evs_status evs__wake_init(evs__runtime *rt, evs_error **reterr)
{
    struct epoll_event event = {.events = EPOLLIN};

    rt->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    rt->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    rt->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (rt->wake_fd < 0 || rt->timer_fd < 0 || rt->epoll_fd < 0 ||
        epoll_ctl(rt->epoll_fd, EPOLL_CTL_ADD, rt->wake_fd, &event) ||
        epoll_ctl(rt->epoll_fd, EPOLL_CTL_ADD, rt->timer_fd, &event))
        return evs__fail(rt->ctx, reterr, EVS_ERR_IO,
                         "cannot make the pipeline's descriptor: errno %d", errno);
    return EVS_OK;
}

void evs__wake_free(evs__runtime *rt)
{
    if (rt->epoll_fd >= 0)
        close(rt->epoll_fd);
    if (rt->timer_fd >= 0)
        close(rt->timer_fd);
    if (rt->wake_fd >= 0)
        close(rt->wake_fd);
    rt->epoll_fd = rt->timer_fd = rt->wake_fd = -1;
}

static void signal_fd(evs__runtime *rt)
{
    uint64_t one = 1;
    if (!atomic_exchange(&rt->wake_set, true) && write(rt->wake_fd, &one, sizeof(one)) < 0)
        atomic_store(&rt->wake_set, false);
}

void evs__wake(evs__runtime *rt)
{
    signal_fd(rt);
    if (!rt->threaded)
        return;
    pthread_mutex_lock(&rt->lock);
    rt->wakes++;
    pthread_cond_broadcast(&rt->cond);
    pthread_mutex_unlock(&rt->lock);
}

static void drain(evs__runtime *rt)
{
    uint64_t count;
    ssize_t n;
    if (!atomic_load(&rt->wake_set))
        return;
    n = read(rt->wake_fd, &count, sizeof(count));
    (void)n;
    atomic_store(&rt->wake_set, false);
}

static void set_timer(evs__runtime *rt, int64_t wait_ms)
{
    struct itimerspec t = {{0, 0}, {0, 0}};
    if (wait_ms >= 0) {
        t.it_value.tv_sec = wait_ms / 1000;
        t.it_value.tv_nsec = wait_ms % 1000 * 1000000 + (wait_ms == 0);
    }
    timerfd_settime(rt->timer_fd, 0, &t, NULL);
}

void evs__pause_ms(int64_t ms)
{
    if (ms > 0)
        poll(NULL, 0, ms > 60000 ? 60000 : (int)ms);
}

/* wait for a wake-up, a deadline or the end of the budget */
static void wait_for_work(evs__runtime *rt, int64_t next_ms, int64_t left_ms)
{
    struct pollfd p = {.fd = rt->wake_fd, .events = POLLIN};
    int64_t wait = next_ms == INT64_MAX ? left_ms : evs__time_sub(next_ms, evs__now_ms(rt));
    if (wait > left_ms)
        wait = left_ms;
    if (wait > EVS__IDLE_POLL_MS && rt->hooks.now_ms)
        wait = EVS__IDLE_POLL_MS;
    if (wait > 0)
        poll(&p, 1, wait > 60000 ? 60000 : (int)wait);
}

/* one step, the opening included */
static evs__did step(evs__runtime *rt, int64_t *ret_next)
{
    evs_error *e = NULL;
    evs_status status;

    if (rt->phase != EVS__PHASE_OPENING)
        return evs__work(&rt->workers[0], ret_next);
    status = evs__runtime_open(rt, &e);
    if (status == EVS_OK)
        return EVS__DID_WORK;
    if (status < 0) {
        evs__runtime_fail(rt, e);
        return EVS__DID_END;
    }
    *ret_next = evs__now_ms(rt) + 10;
    if (rt->open_retry_ms > *ret_next)
        *ret_next = rt->open_retry_ms;
    return EVS__DID_NOTHING;
}

static evs_status outcome(evs__runtime *rt, evs__did did, bool worked, evs_error **reterr)
{
    if (did != EVS__DID_END)
        return worked ? EVS_OK : EVS_AGAIN;
    if (rt->phase == EVS__PHASE_FAILED)
        return evs__error_move(reterr, evs__error_ref(rt->error));
    return EVS_END;
}

/* the descriptor says what is left to do */
static void arm(evs__runtime *rt, evs__did did, int64_t next_ms)
{
    if (did == EVS__DID_WORK) {
        rt->next_ms = INT64_MIN;
        signal_fd(rt);
    } else if (did == EVS__DID_END) {
        rt->next_ms = INT64_MAX;
        signal_fd(rt); /* so that a loop notices */
    } else {
        rt->next_ms = next_ms;
    }
    set_timer(rt, did != EVS__DID_NOTHING || next_ms == INT64_MAX ? -1
                  : evs__time_sub(next_ms, evs__now_ms(rt)) < 0
                      ? 0
                      : evs__time_sub(next_ms, evs__now_ms(rt)));
}

static evs_status poll_runtime(evs__runtime *rt, int64_t budget_ms, evs_error **reterr)
{
    int64_t end = evs__time_add(evs__monotonic_ms(), budget_ms > 0 ? budget_ms : ZERO_BUDGET_MS);
    int64_t next = INT64_MAX;
    bool worked = false;
    evs__did did;

    drain(rt);
    for (;;) {
        int64_t left;
        did = step(rt, &next);
        worked = worked || did == EVS__DID_WORK;
        if (did == EVS__DID_END)
            break;
        left = end - evs__monotonic_ms();
        if (left <= 0 || (did == EVS__DID_NOTHING && (budget_ms <= 0 || worked)))
            break;
        if (did == EVS__DID_NOTHING) {
            wait_for_work(rt, next, left);
            drain(rt);
        }
    }
    arm(rt, did, next);
    return outcome(rt, did, worked, reterr);
}

evs_status evs_pipeline_poll(evs_pipeline *pipeline, int64_t budget_ms, evs_error **reterr)
{
    evs__runtime *rt;
    evs_status status;
    if (!pipeline)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "pipeline is NULL");
    if (!pipeline->runtime && (status = evs__runtime_new(pipeline, reterr)))
        return status;
    rt = pipeline->runtime;
    if ((status = evs__refuse_inside(rt, "evs_pipeline_poll()", reterr)))
        return status;
    if (evs__runtime_phase(rt) == EVS__PHASE_CLOSED)
        return evs__fail(rt->ctx, reterr, EVS_ERR_MISUSE, "the pipeline was closed");
    if (rt->threaded)
        return evs__fail(rt->ctx, reterr, EVS_ERR_MISUSE,
                         "the pipeline was started with threads of its own");
    if ((status = evs__enter(rt, "evs_pipeline_poll()", reterr)))
        return status;
    status = poll_runtime(rt, budget_ms, reterr);
    evs__leave(rt);
    return status;
}

int evs_pipeline_fd(evs_pipeline *pipeline)
{
    if (!pipeline || !pipeline->runtime || pipeline->runtime->threaded)
        return -1;
    return pipeline->runtime->epoll_fd;
}

int64_t evs_pipeline_next_ms(evs_pipeline *pipeline)
{
    const evs__runtime *rt = pipeline ? pipeline->runtime : NULL;
    int64_t left;

    if (!rt)
        return 0;
    if (rt->threaded || rt->next_ms == INT64_MAX)
        return -1;
    left = rt->next_ms == INT64_MIN ? 0 : evs__time_sub(rt->next_ms, evs__now_ms(rt));
    return left > 0 ? left : 0;
}
