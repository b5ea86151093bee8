/*
 * evstream/context.h: the one object that everything else is made from. It holds the host's
 * allocator, the log callback, the registered connectors, functions and schemas. There are no
 * globals: two contexts in one process know nothing of each other.
 */
#ifndef EVSTREAM_CONTEXT_H
#define EVSTREAM_CONTEXT_H

#include "evstream/error.h"

typedef struct evs_context evs_context;

/** The host's memory functions; each gets `user_data` last. They must be callable from every thread
 * the host uses. */
typedef struct evs_allocator {
    void *(*malloc_fn)(size_t size, void *user_data);
    void *(*realloc_fn)(void *ptr, size_t size, void *user_data);
    void (*free_fn)(void *ptr, void *user_data);
    void *user_data;
} evs_allocator;

typedef enum evs_log_level {
    EVS_LOG_ERROR = 3,
    EVS_LOG_WARNING = 4,
    EVS_LOG_INFO = 6,
    EVS_LOG_DEBUG = 7
} evs_log_level;

/**
 * One log line (no newline). `where` names the module ("kafka", "commit").
 * Called on the thread that is inside a libevstream call, never under a lock; must not call back
 * into the object.
 */
typedef void (*evs_log_fn)(int32_t level, const char *where, const char *message, void *user_data);

typedef struct evs_context_options {
    size_t struct_size;
    evs_allocator allocator; /* all NULL: malloc, realloc, free */
    evs_log_fn log;          /* NULL: nothing is logged */
    void *log_user_data;
    int32_t log_level; /* highest evs_log_level that is delivered; EVS_LOG_WARNING by default */
    int32_t reserved;
    const char *module_dir; /* where connector modules are (sqlite, redis); NULL: where they were
                               installed; copied */
} evs_context_options;

#define EVS_CONTEXT_OPTIONS_INIT                                                                   \
    {                                                                                              \
        sizeof(evs_context_options), {NULL, NULL, NULL, NULL}, NULL, NULL, EVS_LOG_WARNING, 0,     \
            NULL                                                                                   \
    }

EVS_BEGIN_DECLS

/** Function twin of EVS_CONTEXT_OPTIONS_INIT. @threads any @since 0.1 */
EVS_API void evs_context_options_init(evs_context_options *options);

/**
 * Make a context.
 *
 * @param options NULL for the defaults; *copied*
 * @param ret_context receives a *new reference*; untouched on failure
 * @returns EVS_OK; EVS_ERR_INVALID (ret_context NULL, unknown struct_size, only some allocator
 * functions); EVS_ERR_NOMEM
 * @threads any
 * @since 0.1
 */
EVS_API evs_status evs_context_new(const evs_context_options *options,
                                   evs_context **ret_context,
                                   evs_error **reterr);

/** One more reference; returns `context`. @threads any @since 0.1 */
EVS_API evs_context *evs_context_ref(evs_context *context);

/**
 * One reference less; objects made from the context hold their own. NULL is allowed.
 *
 * @returns NULL
 * @threads any
 * @since 0.1
 */
EVS_API evs_context *evs_context_unref(evs_context *context);

EVS_END_DECLS

#endif
