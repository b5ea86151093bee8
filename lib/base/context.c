/*
 * base/context.c: the context and the memory functions that everything else allocates with.
 *
 * Reference counted and atomic, because children (batches, exported Arrow arrays) may be released
 * on any thread long after the host dropped its own reference. Two counts: references keep the
 * whole context, holds (of plain data) only its memory functions; so a registry that is attached to
 * the context and owns types is no cycle. Attachments are released newest first with the last
 * reference, the struct with the last hold.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"

static void *default_malloc(size_t size, void *user_data)
{
    (void)user_data;
    return malloc(size);
}

static void *default_realloc(void *ptr, size_t size, void *user_data)
{
    (void)user_data;
    return realloc(ptr, size);
}

static void default_free(void *ptr, void *user_data)
{
    (void)user_data;
    free(ptr);
}

void evs_context_options_init(evs_context_options *options)
{
    if (options)
        *options = (evs_context_options)EVS_CONTEXT_OPTIONS_INIT;
}

static bool allocator_is_mixed(const evs_allocator *a)
{
    int set = (a->malloc_fn != NULL) + (a->realloc_fn != NULL) + (a->free_fn != NULL);
    return set != 0 && set != 3;
}

evs_status
evs_context_new(const evs_context_options *options, evs_context **ret_context, evs_error **reterr)
{
    evs_context_options opt = EVS_CONTEXT_OPTIONS_INIT;
    evs_context *ctx = NULL;
    evs_allocator a = {default_malloc, default_realloc, default_free, NULL};

    if (!ret_context)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "ret_context is NULL");
    if (options && evs__options_copy(&opt, sizeof(opt), options))
        return evs__fail(NULL, reterr, EVS_ERR_INVALID,
                         "evs_context_options has a struct_size this library does not know");
    if (allocator_is_mixed(&opt.allocator))
        return evs__fail(NULL, reterr, EVS_ERR_INVALID,
                         "an allocator needs malloc_fn, realloc_fn and free_fn, or none");
    if (opt.allocator.malloc_fn)
        a = opt.allocator;
    ctx = a.malloc_fn(sizeof(*ctx), a.user_data);
    if (!ctx)
        return evs__nomem(reterr);
    memset(ctx, 0, sizeof(*ctx));
    atomic_init(&ctx->refs, 1);
    atomic_init(&ctx->holds, 1);
    atomic_init(&ctx->commit_groups, 0);
    ctx->allocator = a;
    ctx->log = opt.log;
    ctx->log_user_data = opt.log_user_data;
    ctx->log_level = opt.log_level;
    pthread_mutex_init(&ctx->lock, NULL);
    if (opt.module_dir && !(ctx->module_dir = evs__strdup(ctx, opt.module_dir))) {
        evs_context_unref(ctx);
        return evs__nomem(reterr);
    }
    *ret_context = ctx;
    return EVS_OK;
}

evs_context *evs_context_ref(evs_context *context)
{
    if (context)
        atomic_fetch_add_explicit(&context->refs, 1, memory_order_relaxed);
    return context;
}

struct evs__attachment {
    evs__attachment *next;
    void *value;
    void (*free_fn)(evs_context *context, void *value);
    char name[];
};

static void *attached_locked(evs_context *context, const char *name)
{
    for (evs__attachment *a = context->attachments; a; a = a->next) {
        if (strcmp(a->name, name) == 0)
            return a->value;
    }
    return NULL;
}

evs_status evs_context_attach(evs_context *context,
                              const char *name,
                              void *value,
                              void (*free_fn)(evs_context *context, void *value),
                              evs_error **reterr)
{
    evs__attachment *a;
    evs_status status = EVS_OK;

    if (!context || !name || !value)
        return evs__fail(context, reterr, EVS_ERR_INVALID, "context, name or value is NULL");
    a = evs__alloc(context, sizeof(*a) + strlen(name) + 1);
    if (!a)
        return evs__nomem(reterr);
    a->value = value;
    a->free_fn = free_fn;
    strcpy(a->name, name);
    pthread_mutex_lock(&context->lock);
    if (attached_locked(context, name)) {
        status = EVS_ERR_MISUSE;
    } else {
        a->next = context->attachments;
        context->attachments = a;
    }
    pthread_mutex_unlock(&context->lock);
    if (status) {
        evs__free(context, a);
        return evs__fail(context, reterr, status, "\"%s\" is already attached", name);
    }
    return EVS_OK;
}

void *evs_context_attached(evs_context *context, const char *name)
{
    void *value;
    if (!context || !name)
        return NULL;
    pthread_mutex_lock(&context->lock);
    value = attached_locked(context, name);
    pthread_mutex_unlock(&context->lock);
    return value;
}

evs_context *evs_context_unref(evs_context *context)
{
    evs__attachment *a;
    if (!context || atomic_fetch_sub_explicit(&context->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    while ((a = context->attachments)) {
        context->attachments = a->next;
        if (a->free_fn)
            a->free_fn(context, a->value);
        evs__free(context, a);
    }
    evs__context_drop(context);
    return NULL;
}

evs_context *evs__context_hold(evs_context *ctx)
{
    atomic_fetch_add_explicit(&ctx->holds, 1, memory_order_relaxed);
    return ctx;
}

void evs__context_drop(evs_context *ctx)
{
    if (atomic_fetch_sub_explicit(&ctx->holds, 1, memory_order_acq_rel) != 1)
        return;
    evs__free(ctx, ctx->module_dir);
    pthread_mutex_destroy(&ctx->lock);
    ctx->allocator.free_fn(ctx, ctx->allocator.user_data);
}

/*
 * Accept a per-call option struct of an older or newer caller: a shorter one keeps our defaults for
 * the rest, a longer one is accepted when its unknown tail is zero. Every such struct starts with
 * size_t struct_size.
 */
evs_status evs__options_copy(void *known, size_t known_size, const void *given)
{
    size_t size;
    memcpy(&size, given, sizeof(size));
    if (size < sizeof(size_t) || size > 4096)
        return EVS_ERR_INVALID;
    for (size_t i = known_size; i < size; i++) {
        if (((const unsigned char *)given)[i])
            return EVS_ERR_INVALID;
    }
    memcpy(known, given, size < known_size ? size : known_size);
    memcpy(known, &known_size, sizeof(known_size));
    return EVS_OK;
}

void *evs__alloc(evs_context *ctx, size_t size)
{
    return ctx->allocator.malloc_fn(size ? size : 1, ctx->allocator.user_data);
}

void *evs__calloc(evs_context *ctx, size_t count, size_t size)
{
    size_t bytes;
    void *p;
    if (evs__mul_overflow(count, size, &bytes))
        return NULL;
    p = evs__alloc(ctx, bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

void *evs__realloc(evs_context *ctx, void *ptr, size_t size)
{
    return ctx->allocator.realloc_fn(ptr, size ? size : 1, ctx->allocator.user_data);
}

void *evs__realloc_array(evs_context *ctx, void *ptr, size_t count, size_t size)
{
    size_t bytes;
    if (evs__mul_overflow(count, size, &bytes))
        return NULL;
    return evs__realloc(ctx, ptr, bytes);
}

void evs__free(evs_context *ctx, void *ptr)
{
    if (ptr)
        ctx->allocator.free_fn(ptr, ctx->allocator.user_data);
}

char *evs__strndup(evs_context *ctx, const char *text, size_t len)
{
    size_t bytes;
    char *p;
    if (evs__add_overflow(len, 1, &bytes) || !(p = evs__alloc(ctx, bytes)))
        return NULL;
    if (len)
        memcpy(p, text, len);
    p[len] = '\0';
    return p;
}

char *evs__strdup(evs_context *ctx, const char *text)
{
    return evs__strndup(ctx, text, strlen(text));
}

/* the public twins, for connectors */
void *evs_alloc(evs_context *context, size_t size)
{
    return context ? evs__alloc(context, size) : NULL;
}

void *evs_alloc_array(evs_context *context, size_t count, size_t size)
{
    return context ? evs__calloc(context, count, size) : NULL;
}

void *evs_realloc_array(evs_context *context, void *ptr, size_t count, size_t size)
{
    return context ? evs__realloc_array(context, ptr, count, size) : NULL;
}

char *evs_strdup(evs_context *context, const char *text)
{
    return context && text ? evs__strdup(context, text) : NULL;
}

void evs_free(evs_context *context, void *ptr)
{
    if (context)
        evs__free(context, ptr);
}

static void
log_va(evs_context *ctx, int32_t level, const char *where, const char *format, va_list ap)
{
    char line[1024];
    if (!ctx || !ctx->log || level > ctx->log_level)
        return;
    vsnprintf(line, sizeof(line), format, ap);
    ctx->log(level, where ? where : "", line, ctx->log_user_data);
}

void evs__log(evs_context *ctx, int32_t level, const char *where, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    log_va(ctx, level, where, format, ap);
    va_end(ap);
}

void evs_log(evs_context *context, int32_t level, const char *where, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    log_va(context, level, where, format, ap);
    va_end(ap);
}
