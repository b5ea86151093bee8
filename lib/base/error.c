/*
 * base/error.c: the error object: a status, one line of text, and where.
 *
 * One allocation holds the struct, the message and the origin. Errors outlive contexts (a failed
 * evs_context_new has none), so an error remembers the allocator's free function, not the context.
 * When there is no memory for an error, a constant one stands in for it; it is never freed.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"

struct evs_error {
    atomic_int refs; /* 0: the constant out-of-memory error */
    evs_status status;
    bool retriable;
    bool fatal;
    int32_t kafka_code;
    evs_allocator allocator;
    const char *origin;
    const char *message;
};

static const evs_error nomem_error = {
    .status = EVS_ERR_NOMEM, .origin = "", .message = "out of memory"};

static void *plain_malloc(size_t size, void *user_data)
{
    (void)user_data;
    return malloc(size);
}

static void plain_free(void *ptr, void *user_data)
{
    (void)user_data;
    free(ptr);
}

evs_status evs__nomem(evs_error **reterr)
{
    if (reterr)
        *reterr = (evs_error *)&nomem_error;
    return EVS_ERR_NOMEM;
}

static evs_error *error_make(evs_context *ctx,
                             evs_status status,
                             const char *origin,
                             const char *prefix,
                             const char *message)
{
    evs_allocator a = {plain_malloc, NULL, plain_free, NULL};
    size_t n_origin = strlen(origin) + 1;
    size_t n_prefix = strlen(prefix);
    size_t n_message = strlen(message) + 1;
    evs_error *e;
    char *text;

    if (ctx)
        a = ctx->allocator;
    e = a.malloc_fn(sizeof(*e) + n_origin + n_prefix + n_message, a.user_data);
    if (!e)
        return NULL;
    memset(e, 0, sizeof(*e));
    atomic_init(&e->refs, 1);
    e->status = status;
    e->allocator = a;
    text = (char *)(e + 1);
    memcpy(text, origin, n_origin);
    e->origin = text;
    text += n_origin;
    memcpy(text, prefix, n_prefix);
    memcpy(text + n_prefix, message, n_message);
    e->message = text;
    return e;
}

static evs_status fail_va(evs_context *ctx,
                          evs_error **reterr,
                          evs_status status,
                          const char *origin,
                          const char *format,
                          va_list ap)
{
    char line[1024];
    if (!reterr)
        return status;
    vsnprintf(line, sizeof(line), format, ap);
    *reterr = error_make(ctx, status, origin ? origin : "", "", line);
    if (!*reterr)
        *reterr = (evs_error *)&nomem_error;
    return status;
}

evs_status
evs__fail(evs_context *ctx, evs_error **reterr, evs_status status, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    status = fail_va(ctx, reterr, status, NULL, format, ap);
    va_end(ap);
    return status;
}

evs_status evs__fail_at(evs_context *ctx,
                        evs_error **reterr,
                        evs_status status,
                        const char *origin,
                        const char *format,
                        ...)
{
    va_list ap;
    va_start(ap, format);
    status = fail_va(ctx, reterr, status, origin, format, ap);
    va_end(ap);
    return status;
}

evs_status
evs_error_set(evs_context *context, evs_error **reterr, evs_status status, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    status = fail_va(context, reterr, status, NULL, format, ap);
    va_end(ap);
    return status;
}

/* replace *reterr by a copy with other texts, keeping the rest; on no memory the old one stays */
static void
error_rewrite(evs_context *ctx, evs_error **reterr, const char *origin, const char *prefix)
{
    evs_error *old = *reterr;
    evs_error *e = error_make(ctx, old->status, origin, prefix, old->message);
    if (!e)
        return;
    e->retriable = old->retriable;
    e->fatal = old->fatal;
    e->kafka_code = old->kafka_code;
    evs_error_unref(old);
    *reterr = e;
}

void evs_error_annotate(evs_context *context,
                        evs_error **reterr,
                        bool retriable,
                        bool fatal,
                        int32_t kafka_code,
                        const char *origin)
{
    if (!reterr || !*reterr || *reterr == &nomem_error)
        return;
    if (origin)
        error_rewrite(context, reterr, origin, "");
    (*reterr)->retriable = retriable;
    (*reterr)->fatal = fatal;
    (*reterr)->kafka_code = kafka_code;
}

void evs_error_prefix(evs_context *context, evs_error **reterr, const char *format, ...)
{
    char prefix[512];
    va_list ap;
    if (!reterr || !*reterr || *reterr == &nomem_error)
        return;
    va_start(ap, format);
    vsnprintf(prefix, sizeof(prefix), format, ap);
    va_end(ap);
    error_rewrite(context, reterr, (*reterr)->origin, prefix);
}

evs_status evs__error_move(evs_error **reterr, evs_error *from)
{
    evs_status status = evs_error_status(from);
    if (reterr)
        *reterr = from;
    else
        evs_error_unref(from);
    return status;
}

evs_error *evs__error_ref(evs_error *error)
{
    if (error && error != &nomem_error)
        atomic_fetch_add_explicit(&error->refs, 1, memory_order_relaxed);
    return error;
}

evs_error *evs_error_unref(evs_error *error)
{
    if (!error || error == &nomem_error)
        return NULL;
    if (atomic_fetch_sub_explicit(&error->refs, 1, memory_order_acq_rel) == 1)
        error->allocator.free_fn(error, error->allocator.user_data);
    return NULL;
}

evs_status evs_error_status(const evs_error *error)
{
    return error ? error->status : EVS_OK;
}

const char *evs_error_message(const evs_error *error)
{
    return error ? error->message : "";
}

bool evs_error_is_retriable(const evs_error *error)
{
    return error && error->retriable;
}

bool evs_error_is_fatal(const evs_error *error)
{
    return error && error->fatal;
}

int32_t evs_error_kafka_code(const evs_error *error)
{
    return error ? error->kafka_code : 0;
}

const char *evs_error_origin(const evs_error *error)
{
    return error ? error->origin : "";
}
