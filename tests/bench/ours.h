/*
 * What the programs of our side share: a context that finds its connector modules in the build
 * directory, and failures that end the program with the library's message.
 */
#ifndef EVS_BENCH_OURS_H
#define EVS_BENCH_OURS_H

#include "bench.h"

#include <evstream/evstream.h>
#include <stdlib.h>

static inline void bench_fail(const char *what, evs_status status, evs_error *error)
{
    bench_die("%s: %s: %s", what, evs_status_name(status), error ? evs_error_message(error) : "");
}

/* Runs a call whose last argument is `&error`; anything but EVS_OK ends the program. */
#define BENCH_OK(call)                                                                             \
    do {                                                                                           \
        evs_error *error = NULL;                                                                   \
        evs_status bench_status = (call);                                                          \
                                                                                                   \
        if (bench_status)                                                                          \
            bench_fail(#call, bench_status, error);                                                \
    } while (0)

/* scripts/bench tells where the modules (redis, sqlite) were built. */
static inline evs_context *bench_context(void)
{
    evs_context_options options = EVS_CONTEXT_OPTIONS_INIT;
    evs_context *context = NULL;

    options.module_dir = getenv("EVS_BENCH_MODULES");
    BENCH_OK(evs_context_new(&options, &context, &error));
    return context;
}

#endif
