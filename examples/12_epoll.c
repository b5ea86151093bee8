/*
 * 12: the library inside the host's own epoll loop: one level-triggered descriptor, no thread, no
 * busy waiting.
 *
 *     12_epoll [bootstrap.servers]
 */
#include "sample.h"
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

static evs_status on_result(const evs_row *row, void *user_data)
{
    int64_t views = 0;
    (void)evs_row_int(row, evs_row_field(row, "views"), &views);
    *(int64_t *)user_data += views;
    return EVS_OK;
}

int main(int argc, char **argv)
{
    const char *brokers = sample_brokers(argc, argv);
    struct itimerspec every_100ms = {{0, 100000000}, {0, 100000000}};
    struct epoll_event event = {.events = EPOLLIN};
    evs_window_options minute = EVS_WINDOW_OPTIONS_INIT;
    evs_context *ctx = NULL;
    evs_pipeline *p = NULL;
    evs_stream *views;
    evs_error *err = NULL;
    evs_status status = EVS_OK;
    int64_t total = 0;
    int loop = epoll_create1(EPOLL_CLOEXEC);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);

    minute.size_ms = 60000;
    minute.emit = EVS_EMIT_FINAL;
    if (evs_context_new(NULL, &ctx, &err) ||
        sample_send(ctx, brokers, "page_views", 400, sample_page_view, &err) ||
        evs_pipeline_new(ctx, "epoll", &p, &err))
        return sample_fail(err);
    evs_pipeline_set(p, "kafka.bootstrap.servers", brokers);
    views = evs_source(p, "kafka",
                       EVS_OPTIONS("topic", "page_views", "format", "json", "columns",
                                   "page VARCHAR, at TIMESTAMP", "event.time", "at", "bounded",
                                   "true"));
    evs_each(evs_window_by(views, "page", &minute, "count(*) AS views"), on_result, &total);

    status = evs_pipeline_poll(p, 0, &err); /* the first poll opens everything */
    event.data.fd = evs_pipeline_fd(p);
    epoll_ctl(loop, EPOLL_CTL_ADD, evs_pipeline_fd(p), &event);
    event.data.fd = timer; /* the host's own business: here, a timer */
    timerfd_settime(timer, 0, &every_100ms, NULL);
    epoll_ctl(loop, EPOLL_CTL_ADD, timer, &event);

    while (status == EVS_OK || status == EVS_AGAIN) {
        struct epoll_event ready[2];
        uint64_t ticks;
        int n = epoll_wait(loop, ready, 2, 1000);
        for (int i = 0; i < n; i++) {
            if (ready[i].data.fd == timer)
                (void)!read(timer, &ticks, sizeof(ticks));
            else
                status = evs_pipeline_poll(
                    p, 0, &err); /* works for a bounded time, then gives the loop back */
        }
    }
    if (status == EVS_END)
        status = evs_pipeline_close(p, &err);
    evs_pipeline_unref(p);
    evs_context_unref(ctx);
    close(timer);
    close(loop);
    if (status)
        return sample_fail(err);
    printf("%lld views\n", (long long)total);
    return 0;
}
