/*
 * runtime/clock.c: the only clock of the library. Everything below runtime gets `now` as an input.
 *
 * The wall clock is read once, at start; from then on it moves with the monotonic clock. So a host
 * whose clock is set back or forth while the pipeline lives neither makes partitions idle nor
 * events late. CLOCK_BOOTTIME counts while the machine sleeps.
 */
#include <time.h>

#include "runtime/runtime.h"

static int64_t read_ms(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t evs__monotonic_ms(void)
{
    return read_ms(CLOCK_BOOTTIME);
}

int64_t evs__now_ms(const evs__runtime *rt)
{
    if (rt->hooks.now_ms)
        return rt->hooks.now_ms(rt->hooks.user);
    return rt->clock_base_ms + evs__monotonic_ms();
}

int64_t evs__clock_base_ms(void)
{
    return read_ms(CLOCK_REALTIME) - evs__monotonic_ms();
}

int64_t evs__next_backoff(const evs__runtime *rt, int64_t *backoff)
{
    int64_t first = evs_config_int(rt->plan->config, "retry.backoff.ms");
    int64_t most = evs_config_int(rt->plan->config, "retry.backoff.max.ms");
    *backoff = *backoff ? evs__time_add(*backoff, *backoff) : first;
    if (*backoff > most)
        *backoff = most;
    return *backoff;
}
