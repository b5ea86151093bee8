/*
 * tests/api/api_kit.h: a context, and calls that must succeed or fail as documented.
 */
#ifndef EVS_API_KIT_H
#define EVS_API_KIT_H

#include "evs_test.h"

#include <stdio.h>

static evs_context *ctx;
static evs_error *err;

static inline int api_setup(void **state)
{
    evs_context_options o = EVS_CONTEXT_OPTIONS_INIT;
    (void)state;
    o.log_level = EVS_LOG_ERROR;
    return evs_context_new(&o, &ctx, NULL);
}

static inline int api_teardown(void **state)
{
    (void)state;
    err = evs_error_unref(err);
    ctx = evs_context_unref(ctx);
    return 0;
}

/* first the call, then its error: the arguments of one call are evaluated in any order */
#define OK(call)                                                                                   \
    do {                                                                                           \
        evs_status ok_status = (call);                                                             \
        evs_error *ok_error = err;                                                                 \
        err = NULL;                                                                                \
        assert_evs_ok(ok_status, ok_error);                                                        \
    } while (0)
#define FAILS(call, want, part)                                                                    \
    do {                                                                                           \
        evs_status fails_status = (call);                                                          \
        evs_error *fails_error = err;                                                              \
        err = NULL;                                                                                \
        assert_evs_error(fails_status, fails_error, want, part, NULL);                             \
    } while (0)

#define API_TEST(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)

#endif
