/*
 * base/context.h: inside of evs_context: allocator, log, and slots for what upper layers register.
 *
 * Upper layers and connectors hang what a context shares (registries, an embedded cluster) on it
 * with evs_context_attach(), so that base knows nothing of them. Attachments are released, newest
 * first, with the context.
 */
#ifndef EVS_BASE_CONTEXT_H
#define EVS_BASE_CONTEXT_H

#include <pthread.h>
#include <stdatomic.h>

#include "evstream/context.h"
#include "evstream/connector.h"

#define EVS__LIKELY(x) __builtin_expect(!!(x), 1)
#define EVS__UNLIKELY(x) __builtin_expect(!!(x), 0)

typedef struct evs__attachment evs__attachment;

struct evs_context {
    atomic_int refs;  /* of the host and of objects; the last one releases the attachments */
    atomic_int holds; /* of plain data (types, columns, batches), + 1 for all refs together */
    evs_allocator allocator;
    evs_log_fn log;
    void *log_user_data;
    int32_t log_level;
    char *module_dir;
    atomic_int commit_groups; /* counts pipelines, for evs_sink_identity */
    pthread_mutex_t lock; /* of the attachments and the registries among them; never held while host
                             code runs */
    evs__attachment *attachments; /* newest first: released in that order */
};

/*
 * Plain data holds the context's allocator, not the context: an attachment (a registry of schemas)
 * may own types without keeping its own context alive. What is held may only allocate, free and
 * log. Attached objects hold; everything else takes a reference.
 */
evs_context *evs__context_hold(evs_context *ctx);
void evs__context_drop(evs_context *ctx);

/* Memory. Sizes are overflow-checked; zero bytes give a valid pointer; evs__free(NULL) is fine. */
void *evs__alloc(evs_context *ctx, size_t size);
void *evs__calloc(evs_context *ctx, size_t count, size_t size);
void *evs__realloc(evs_context *ctx, void *ptr, size_t size);
void *evs__realloc_array(evs_context *ctx, void *ptr, size_t count, size_t size);
void evs__free(evs_context *ctx, void *ptr);
char *evs__strdup(evs_context *ctx, const char *text);
char *evs__strndup(evs_context *ctx, const char *text, size_t len);

/* true on overflow; *ret then saturates */
static inline bool evs__add_overflow(size_t a, size_t b, size_t *ret)
{
    if (__builtin_add_overflow(a, b, ret)) {
        *ret = SIZE_MAX;
        return true;
    }
    return false;
}

static inline bool evs__mul_overflow(size_t a, size_t b, size_t *ret)
{
    if (__builtin_mul_overflow(a, b, ret)) {
        *ret = SIZE_MAX;
        return true;
    }
    return false;
}

/* time arithmetic saturates: INT64_MIN and INT64_MAX are "before" and "after" everything */
static inline int64_t evs__time_add(int64_t a, int64_t b)
{
    int64_t r;
    if (__builtin_add_overflow(a, b, &r))
        return b > 0 ? INT64_MAX : INT64_MIN;
    return r;
}

static inline int64_t evs__time_sub(int64_t a, int64_t b)
{
    int64_t r;
    if (__builtin_sub_overflow(a, b, &r))
        return b > 0 ? INT64_MIN : INT64_MAX;
    return r;
}

/*
 * Accept a per-call option struct of an older or newer caller: a shorter one keeps our defaults for
 * the rest, a longer one is accepted when its unknown tail is zero. Every such struct starts with
 * size_t struct_size.
 */
evs_status evs__options_copy(void *known, size_t known_size, const void *given);

/*
 * Errors. `return evs__fail(ctx, reterr, EVS_ERR_X, "...", ...)`: fills *reterr when wanted and
 * returns the status. When there is no memory for the error, *reterr gets the constant
 * out-of-memory error. evs_error_annotate/prefix (connector.h) work on it.
 */
evs_status
evs__fail(evs_context *ctx, evs_error **reterr, evs_status status, const char *format, ...)
    EVS_PRINTF(4, 5);
evs_status evs__fail_at(evs_context *ctx,
                        evs_error **reterr,
                        evs_status status,
                        const char *origin,
                        const char *format,
                        ...) EVS_PRINTF(5, 6);
evs_status evs__nomem(evs_error **reterr);
/* move `from` into *reterr (or drop it); returns its status; from may be NULL (EVS_OK) */
evs_status evs__error_move(evs_error **reterr, evs_error *from);
/* one more reference, for an error that is kept and told again */
evs_error *evs__error_ref(evs_error *error);

void evs__log(evs_context *ctx, int32_t level, const char *where, const char *format, ...)
    EVS_PRINTF(4, 5);

#endif
