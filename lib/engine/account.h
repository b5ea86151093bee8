/*
 * engine/account.h: memory of an operator's state, counted to the byte against its bound.
 *
 * Everything state keeps is allocated here with its size told again when it is resized or freed, so
 * `used` is exact without headers. A request beyond the bound is EVS_ERR_LIMIT and allocates
 * nothing; what does not count (scratch of one call) comes from the context directly.
 */
#ifndef EVS_ENGINE_ACCOUNT_H
#define EVS_ENGINE_ACCOUNT_H

#include "base/context.h"

typedef struct evs__account {
    evs_context *ctx;
    size_t used;
    size_t max;
} evs__account;

static inline evs_status evs__account_take(evs__account *a, size_t bytes)
{
    if (bytes > a->max || a->used > a->max - bytes)
        return EVS_ERR_LIMIT;
    a->used += bytes;
    return EVS_OK;
}

static inline void evs__account_give(evs__account *a, size_t bytes)
{
    a->used -= bytes;
}

/* *ptr (NULL: none yet) of `count` items becomes one of `new_count`; untouched on failure */
static inline evs_status
evs__account_resize(evs__account *a, void **ptr, size_t count, size_t new_count, size_t item)
{
    size_t bytes = count * item, new_bytes;
    void *p;

    if (evs__mul_overflow(new_count, item, &new_bytes))
        return EVS_ERR_LIMIT;
    if (new_bytes > bytes && evs__account_take(a, new_bytes - bytes))
        return EVS_ERR_LIMIT;
    p = evs__realloc(a->ctx, *ptr, new_bytes);
    if (!p) {
        if (new_bytes > bytes)
            evs__account_give(a, new_bytes - bytes);
        return EVS_ERR_NOMEM;
    }
    if (new_bytes < bytes)
        evs__account_give(a, bytes - new_bytes);
    *ptr = p;
    return EVS_OK;
}

static inline void evs__account_free(evs__account *a, void *ptr, size_t count, size_t item)
{
    if (!ptr)
        return;
    evs__free(a->ctx, ptr);
    evs__account_give(a, count * item);
}

#endif
