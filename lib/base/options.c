/*
 * base/options.c: the growable evs_options for hosts without the EVS_OPTIONS macro.
 *
 * The public view is the first member, so the same pointer serves everywhere a constant set does.
 * Look-up is linear: sets have a handful of keys, and OPTIONS_MAX at most.
 */
#include <string.h>

#include "base/context.h"
#include "evstream/options.h"

#define OPTIONS_MAX 4096

typedef struct options_owned {
    evs_options view;
    evs_context *ctx;
    char **pairs;
    size_t capacity; /* pairs there is room for */
} options_owned;

evs_status evs_options_new(evs_context *context, evs_options **ret_options, evs_error **reterr)
{
    options_owned *o;

    if (!context || !ret_options)
        return evs__fail(context, reterr, EVS_ERR_INVALID, "context or ret_options is NULL");
    o = evs__calloc(context, 1, sizeof(*o));
    if (!o)
        return evs__nomem(reterr);
    o->ctx = evs_context_ref(context);
    *ret_options = &o->view;
    return EVS_OK;
}

static evs_status options_grow(options_owned *o)
{
    size_t capacity = o->capacity ? o->capacity * 2 : 8;
    char **pairs = evs__realloc_array(o->ctx, o->pairs, capacity, 2 * sizeof(*pairs));
    if (!pairs)
        return EVS_ERR_NOMEM;
    o->pairs = pairs;
    o->view.pairs = (const char *const *)pairs;
    o->capacity = capacity;
    return EVS_OK;
}

/* index of the key, or count; a set that the host wrote down itself may hold NULL keys */
static size_t options_find(const evs_options *options, const char *key)
{
    size_t i = 0;
    for (; i < options->count; i++) {
        const char *k = options->pairs[2 * i];
        if (k && strcmp(k, key) == 0)
            break;
    }
    return i;
}

evs_status
evs_options_set(evs_options *options, const char *key, const char *value, evs_error **reterr)
{
    options_owned *o = (options_owned *)options;
    char *k = NULL, *v = NULL;
    size_t i;

    if (!options || !key)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "options or key is NULL");
    if (!value)
        return evs__fail(o->ctx, reterr, EVS_ERR_INVALID, "option \"%s\": the value is NULL", key);
    i = options_find(options, key);
    if (i == options->count && i == OPTIONS_MAX)
        return evs__fail(o->ctx, reterr, EVS_ERR_INVALID, "more than %d options", OPTIONS_MAX);
    v = evs__strdup(o->ctx, value);
    if (!v)
        goto nomem;
    if (i < options->count) {
        evs__free(o->ctx, o->pairs[2 * i + 1]);
        o->pairs[2 * i + 1] = v;
        return EVS_OK;
    }
    k = evs__strdup(o->ctx, key);
    if (!k || (i == o->capacity && options_grow(o)))
        goto nomem;
    o->pairs[2 * i] = k;
    o->pairs[2 * i + 1] = v;
    o->view.count++;
    return EVS_OK;

nomem:
    evs__free(o->ctx, k);
    evs__free(o->ctx, v);
    return evs__nomem(reterr);
}

const char *evs_options_get(const evs_options *options, const char *key)
{
    size_t i;
    if (!options || !key)
        return NULL;
    i = options_find(options, key);
    return i < options->count ? options->pairs[2 * i + 1] : NULL;
}

evs_options *evs_options_unref(evs_options *options)
{
    options_owned *o = (options_owned *)options;
    evs_context *ctx;

    if (!o)
        return NULL;
    ctx = o->ctx;
    for (size_t i = 0; i < 2 * o->view.count; i++)
        evs__free(ctx, o->pairs[i]);
    evs__free(ctx, o->pairs);
    evs__free(ctx, o);
    evs_context_unref(ctx);
    return NULL;
}
