/*
 * runtime/connectors.c: names to connectors: those of the host (evs_connector_register), those in
 * the library, and modules, which are loaded on first use so that a host links only what it needs.
 *
 * A module is `libevstream-NAME.so` in the context's module_dir (default: where the library was
 * installed) and exports evs_module_connector(). It is never unloaded: objects of it may outlive
 * the context, and code must not vanish under them.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

#include "base/config.h"
#include "base/map.h"
#include "io/connectors.h"
#include "runtime/runtime.h"

#define REGISTRY "evstream.connectors"
#define CONNECTORS_MAX 256
#define NAME_LEN_MAX 64
#define MODULE_PREFIX "libevstream-"
#define MODULE_SUFFIX ".so"

static const evs_connector *const built_in[] = {
    &evs__callback_connector, &evs__console_connector, &evs__file_connector,
    &evs__kafka_connector,    &evs__memory_connector,
};

/* under the context's lock */
typedef struct registry {
    evs__map map; /* name -> const evs_connector *; values are not owned */
} registry;

static void registry_free(evs_context *ctx, void *value)
{
    registry *r = value;
    evs__map_free(&r->map, NULL);
    evs__free(ctx, r);
}

static registry *registry_get(evs_context *ctx)
{
    registry *r = evs_context_attached(ctx, REGISTRY);
    if (r)
        return r;
    r = evs__alloc(ctx, sizeof(*r));
    if (!r)
        return NULL;
    evs__map_init(&r->map, ctx, CONNECTORS_MAX);
    if (evs_context_attach(ctx, REGISTRY, r, registry_free, NULL)) {
        registry_free(ctx, r);
        r = evs_context_attached(ctx, REGISTRY); /* another thread was faster, or no memory */
    }
    return r;
}

static const evs_connector *find_built_in(const char *name)
{
    for (size_t i = 0; i < sizeof(built_in) / sizeof(*built_in); i++) {
        if (strcmp(built_in[i]->name, name) == 0)
            return built_in[i];
    }
    return NULL;
}

static const evs_connector *find_registered(evs_context *ctx, const char *name)
{
    registry *r = evs_context_attached(ctx, REGISTRY);
    const evs_connector *c = NULL;
    if (r) {
        pthread_mutex_lock(&ctx->lock);
        c = evs__map_get(&r->map, name, strlen(name));
        pthread_mutex_unlock(&ctx->lock);
    }
    return c;
}

static evs_status add(evs_context *ctx, const evs_connector *connector, evs_error **reterr)
{
    registry *r = registry_get(ctx);
    evs_status status;
    if (!r)
        return evs__nomem(reterr);
    pthread_mutex_lock(&ctx->lock);
    status =
        evs__map_set(&r->map, connector->name, strlen(connector->name), (void *)connector, NULL);
    pthread_mutex_unlock(&ctx->lock);
    if (status)
        return evs__fail(ctx, reterr, status, "connector \"%s\": %s", connector->name,
                         evs_status_text(status));
    return EVS_OK;
}

/* ---- validation ---- */

static bool is_name(const char *name)
{
    size_t len = strlen(name);
    return len && len <= NAME_LEN_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

static const char *source_fault(const evs_source_functions *f)
{
    if (f->struct_size < sizeof(*f))
        return "the source's struct_size is smaller than this library's";
    if (!f->options || !f->open || !f->describe || !f->identity || !f->read ||
        !f->partition_state || !f->close)
        return "the source lacks options, open, describe, identity, read, partition_state or close";
    return NULL;
}

static const char *sink_fault(const evs_sink_functions *f)
{
    /* what came after the first release may be missing */
    if (f->struct_size < offsetof(evs_sink_functions, shares_transaction))
        return "the sink's struct_size is smaller than this library's";
    if (!f->options || !f->open || !f->write || !f->close)
        return "the sink lacks options, open, write or close";
    if (f->guarantee < EVS_GUARANTEE_TRANSACTIONAL || f->guarantee > EVS_GUARANTEE_AT_LEAST_ONCE)
        return "the sink's guarantee is none of evs_guarantee";
    if (f->guarantee == EVS_GUARANTEE_TRANSACTIONAL && (!f->recover || !f->commit || !f->abort))
        return "a transactional sink needs recover, commit and abort";
    return NULL;
}

static const char *fault(const evs_connector *c)
{
    const char *text = NULL;
    if (c->struct_size < sizeof(*c))
        return "its struct_size is smaller than this library's";
    if (!c->name || !is_name(c->name))
        return "its name is not made of a-z, 0-9, _ and -";
    if (!c->source && !c->sink)
        return "it is neither source nor sink";
    if (c->source)
        text = source_fault(c->source);
    if (!text && c->sink)
        text = sink_fault(c->sink);
    return text;
}

evs_status
evs_connector_register(evs_context *context, const evs_connector *connector, evs_error **reterr)
{
    const char *text;
    if (!context || !connector)
        return evs__fail(context, reterr, EVS_ERR_INVALID, "context or connector is NULL");
    text = fault(connector);
    if (text)
        return evs__fail(
            context, reterr, EVS_ERR_INVALID, "connector \"%s\": %s",
            connector->struct_size >= sizeof(*connector) && connector->name ? connector->name : "",
            text);
    if (find_built_in(connector->name) || find_registered(context, connector->name))
        return evs__fail(context, reterr, EVS_ERR_INVALID,
                         "connector \"%s\": there is one of that name already", connector->name);
    return add(context, connector, reterr);
}

/* ---- modules ---- */

static const char *module_dir(const evs_context *ctx)
{
#ifdef EVS_MODULE_DIR
    return ctx->module_dir ? ctx->module_dir : EVS_MODULE_DIR;
#else
    return ctx->module_dir ? ctx->module_dir : "";
#endif
}

/* EVS_OK with *ret NULL: there is no such module */
static evs_status
load_module(evs_context *ctx, const char *name, const evs_connector **ret, evs_error **reterr)
{
    evs_module_connector_fn fn = NULL;
    const evs_connector *c = NULL;
    const char *why;
    void *handle, *symbol;
    char path[4096];

    if (snprintf(path, sizeof(path), "%s/" MODULE_PREFIX "%s" MODULE_SUFFIX, module_dir(ctx),
                 name) >= (int)sizeof(path))
        return EVS_OK;
    if (access(path, F_OK))
        return EVS_OK;
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle) {
        why = dlerror();
        return evs__fail(ctx, reterr, EVS_ERR_UNSUPPORTED, "connector \"%s\": %s", name,
                         why ? why : path);
    }
    symbol = dlsym(handle, "evs_module_connector");
    memcpy(&fn, &symbol, sizeof(fn));
    if (fn)
        c = fn();
    why = !fn  ? "the module does not export evs_module_connector"
          : !c ? "the module gives none"
               : fault(c);
    if (!why && strcmp(c->name, name) != 0)
        why = "the module is of another name";
    if (why)
        return evs__fail(ctx, reterr, EVS_ERR_UNSUPPORTED, "connector \"%s\": %s: \"%s\"", name,
                         why, path);
    *ret = c;
    return add(ctx, c, reterr);
}

/* ---- names that exist, for errors ---- */

typedef struct names {
    const char *list[CONNECTORS_MAX];
    size_t count;
    char *owned[CONNECTORS_MAX]; /* of modules' file names */
    size_t owned_count;
} names;

static void names_add(names *n, const char *name)
{
    size_t at = 0;
    while (at < n->count && strcmp(n->list[at], name) < 0)
        at++;
    if (n->count == CONNECTORS_MAX || (at < n->count && strcmp(n->list[at], name) == 0))
        return;
    memmove(&n->list[at + 1], &n->list[at], (n->count - at) * sizeof(n->list[0]));
    n->list[at] = name;
    n->count++;
}

static void names_of_modules(evs_context *ctx, names *n)
{
    size_t before = sizeof(MODULE_PREFIX) - 1, behind = sizeof(MODULE_SUFFIX) - 1;
    DIR *dir = opendir(module_dir(ctx));
    struct dirent *e;
    if (!dir)
        return;
    while ((e = readdir(dir)) && n->owned_count < CONNECTORS_MAX) {
        size_t len = strlen(e->d_name);
        if (len <= before + behind || memcmp(e->d_name, MODULE_PREFIX, before) != 0 ||
            memcmp(e->d_name + len - behind, MODULE_SUFFIX, behind) != 0)
            continue;
        n->owned[n->owned_count] = evs__strndup(ctx, e->d_name + before, len - before - behind);
        if (n->owned[n->owned_count])
            names_add(n, n->owned[n->owned_count++]);
    }
    closedir(dir);
}

static void names_of_registry(evs_context *ctx, names *n)
{
    registry *r = evs_context_attached(ctx, REGISTRY);
    const evs__map_entry *e;
    size_t pos = 0;
    if (!r)
        return;
    pthread_mutex_lock(&ctx->lock);
    while ((e = evs__map_next(&r->map, &pos)))
        names_add(n, e->key);
    pthread_mutex_unlock(&ctx->lock);
}

static void unknown(evs_context *ctx, const char *name, evs_error **reterr)
{
    names *n = evs__calloc(ctx, 1, sizeof(*n));
    const char *close;
    evs__buffer text;

    if (!n) {
        evs__nomem(reterr);
        return;
    }
    for (size_t i = 0; i < sizeof(built_in) / sizeof(*built_in); i++)
        names_add(n, built_in[i]->name);
    names_of_registry(ctx, n);
    names_of_modules(ctx, n);
    evs__buffer_init(&text, ctx, 4096);
    close = evs__did_you_mean(name, n->list, n->count);
    if (close)
        evs__buffer_printf(&text, " (did you mean \"%s\"?)", close);
    evs__buffer_text(&text, "; known are");
    for (size_t i = 0; i < n->count; i++)
        evs__buffer_printf(&text, "%s \"%s\"", i ? "," : "", n->list[i]);
    evs__fail(ctx, reterr, EVS_ERR_NOT_FOUND, "unknown connector \"%s\"%s", name,
              evs__buffer_cstr(&text) ? text.data : "");
    evs__buffer_free(&text);
    for (size_t i = 0; i < n->owned_count; i++)
        evs__free(ctx, n->owned[i]);
    evs__free(ctx, n);
}

const evs_connector *evs__connector_find(evs_context *ctx, const char *name, evs_error **reterr)
{
    const evs_connector *c = find_registered(ctx, name);
    if (!c)
        c = find_built_in(name);
    if (!c && is_name(name) && load_module(ctx, name, &c, reterr))
        return NULL;
    if (!c)
        unknown(ctx, name, reterr);
    return c;
}
