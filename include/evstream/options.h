/*
 * evstream/options.h: text keys with text values, the form in which everything is configured.
 *
 *     EVS_OPTIONS("topic", "page_views", "format", "avro")      C99 and C++11; lives as long as the
 * full expression / block evs_options_new() + evs_options_set() + evs_options_unref()   for a
 * foreign-function interface
 *
 * The macro counts by sizeof; an odd number of strings does not compile. A NULL value is
 * EVS_ERR_INVALID where the options are used, naming the key.
 */
#ifndef EVSTREAM_OPTIONS_H
#define EVSTREAM_OPTIONS_H

#include "evstream/context.h"

/** A frozen read-only view: `pairs` holds 2 * count strings, key then value. */
typedef struct evs_options {
    const char *const *pairs;
    size_t count;
} evs_options;

#ifdef __cplusplus
namespace evstream_detail
{
template <typename... Args> struct options_temporary {
    const char *pairs[sizeof...(Args)];
    evs_options view;
    explicit options_temporary(Args... args) : pairs{args...}
    {
        static_assert(sizeof...(Args) % 2 == 0, "EVS_OPTIONS needs a value for each key");
        view.pairs = pairs;
        view.count = sizeof...(Args) / 2;
    }
    options_temporary(const options_temporary &) = delete;
    options_temporary(options_temporary &&other) : view(other.view)
    {
        for (size_t i = 0; i < sizeof...(Args); i++)
            pairs[i] = other.pairs[i];
        view.pairs = pairs;
    }
    operator const evs_options *() const
    {
        return &view;
    }
};
template <typename... Args> inline options_temporary<Args...> options(Args... args)
{
    return options_temporary<Args...>(args...);
}
} /* namespace evstream_detail */
#define EVS_OPTIONS(...) (static_cast<const evs_options *>(evstream_detail::options(__VA_ARGS__)))
#else
/* the array of negative size is what an odd number of strings runs into */
#define EVS_OPTIONS(...)                                                                           \
    (&(const evs_options){                                                                         \
        (const char *const[]){__VA_ARGS__},                                                        \
        sizeof((const char *const[]){__VA_ARGS__}) / (2 * sizeof(char *)) +                        \
            0 * sizeof(char[(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)) % 2 == 0 \
                                ? 1                                                                \
                                : -1])})
#endif

EVS_BEGIN_DECLS

/**
 * An empty, growable set of options for hosts without the macro.
 *
 * @returns a *new reference* through ret_options; pass it wherever `const evs_options *` is asked
 * for
 * @returns EVS_OK; EVS_ERR_INVALID; EVS_ERR_NOMEM
 * @threads one at a time
 * @since 0.1
 */
EVS_API evs_status evs_options_new(evs_context *context,
                                   evs_options **ret_options,
                                   evs_error **reterr);

/**
 * Set or replace a value in what evs_options_new() made; key and value are *copied*.
 *
 * @returns EVS_OK; EVS_ERR_INVALID (NULL); EVS_ERR_NOMEM
 * @threads one at a time
 * @since 0.1
 */
EVS_API evs_status evs_options_set(evs_options *options,
                                   const char *key,
                                   const char *value,
                                   evs_error **reterr);

/** Value of a key, or NULL; *borrowed until* options changes. @threads any, while nobody sets
 * @since 0.1 */
EVS_API const char *evs_options_get(const evs_options *options, const char *key);

/** Release what evs_options_new() made; NULL is allowed. @returns NULL @threads any @since 0.1 */
EVS_API evs_options *evs_options_unref(evs_options *options);

EVS_END_DECLS

#endif
