/*
 * runtime/calls.c: who is inside the pipeline, so that calls that host code must not make from a
 * callback are errors instead of deadlocks.
 *
 * Host code (evs_each, evs_apply, functions, the log) runs on the thread that drives the pipeline
 * or on a worker. Each such thread leaves its name before it may call the host: the driver on entry
 * of a call, a worker when it starts. A thread only ever finds its own name, so the order in which
 * the others leave theirs does not matter.
 */
#include "runtime/runtime.h"

bool evs__is_inside(const evs__runtime *rt)
{
    pthread_t self = pthread_self();

    if (atomic_load(&rt->driving) && pthread_equal(atomic_load(&rt->driver), self))
        return true;
    for (uint32_t i = 0; atomic_load(&rt->threaded) && i < rt->workers_wanted; i++) {
        const evs__worker *w = &rt->workers[i];
        if (atomic_load(&w->alive) && pthread_equal(w->self, self))
            return true;
    }
    return false;
}

evs_status evs__refuse_inside(const evs__runtime *rt, const char *what, evs_error **reterr)
{
    if (!evs__is_inside(rt))
        return EVS_OK;
    return evs__fail(rt->ctx, reterr, EVS_ERR_MISUSE,
                     "%s was called inside a callback of the pipeline: call it when the callback "
                     "has returned",
                     what);
}

evs_status evs__enter(evs__runtime *rt, const char *what, evs_error **reterr)
{
    evs_status status = evs__refuse_inside(rt, what, reterr);
    if (status)
        return status;
    atomic_store(&rt->driver, pthread_self());
    atomic_store(&rt->driving, true);
    return EVS_OK;
}

void evs__leave(evs__runtime *rt)
{
    atomic_store(&rt->driving, false);
}
