/*
 * schema/registry.c: the registry of a context, in memory: ids and subjects to schemas.
 *
 *   schemas  [id, schema] in order of arrival          subjects  [name, id], the last one is latest
 *
 * It hangs on the context and is made on first use. A mutex guards both lists; looking up is linear
 * and off the hot path: decoders keep what they found. Schemas hold their context without a
 * reference, so the registry does not keep the context alive that owns it.
 */
#include "evstream/connector.h"
#include "schema/schema.h"

#define REGISTRY_NAME "evs.registry"
#define SCHEMAS_MAX 100000

typedef struct registered {
    int32_t id;
    evs_schema *schema;
} registered;

typedef struct version {
    char *subject;
    int32_t id;
} version;

typedef struct memory_registry {
    evs__registry base;
    evs_context *ctx;
    pthread_mutex_t lock;
    registered *schemas;
    version *versions;
    size_t schema_count, schema_room;
    size_t version_count, version_room;
    int32_t last_id;
} memory_registry;

static evs_schema *find_id(const memory_registry *m, int32_t id)
{
    for (size_t i = 0; i < m->schema_count; i++) {
        if (m->schemas[i].id == id)
            return m->schemas[i].schema;
    }
    return NULL;
}

static int32_t find_text(const memory_registry *m, const evs_schema *schema)
{
    for (size_t i = 0; i < m->schema_count; i++) {
        const evs_schema *s = m->schemas[i].schema;
        if (s->format == schema->format && strcmp(s->text, schema->text) == 0)
            return m->schemas[i].id;
    }
    return -1;
}

/* newest version of a subject, or -1 */
static int32_t find_latest(const memory_registry *m, const char *subject)
{
    for (size_t i = m->version_count; i-- > 0;) {
        if (strcmp(m->versions[i].subject, subject) == 0)
            return m->versions[i].id;
    }
    return -1;
}

static evs_status reserve(memory_registry *m, void **array, size_t *room, size_t count, size_t size)
{
    size_t want = *room ? *room * 2 : 8;
    void *grown;

    if (count < *room)
        return EVS_OK;
    if (count >= SCHEMAS_MAX)
        return EVS_ERR_LIMIT;
    if (!(grown = evs__realloc_array(m->ctx, *array, want, size)))
        return EVS_ERR_NOMEM;
    *array = grown;
    *room = want;
    return EVS_OK;
}

/* enter a schema under an id (when it is new) and a subject (when that has another latest) */
static evs_status
enter(memory_registry *m, const char *subject, int32_t id, evs_schema *schema, bool is_new)
{
    bool new_version = subject && find_latest(m, subject) != id;
    evs_status status = EVS_OK;
    char *name = NULL;

    if (is_new)
        status =
            reserve(m, (void **)&m->schemas, &m->schema_room, m->schema_count, sizeof(*m->schemas));
    if (!status && new_version)
        status = reserve(m, (void **)&m->versions, &m->version_room, m->version_count,
                         sizeof(*m->versions));
    if (!status && new_version && !(name = evs__strdup(m->ctx, subject)))
        status = EVS_ERR_NOMEM;
    if (status)
        return status;
    if (is_new)
        m->schemas[m->schema_count++] = (registered){id, evs_schema_ref(schema)};
    if (new_version)
        m->versions[m->version_count++] = (version){name, id};
    return EVS_OK;
}

static evs_status fail(memory_registry *m, evs_error **reterr, evs_status status)
{
    if (status == EVS_ERR_NOMEM)
        return evs__nomem(reterr);
    return evs__fail(m->ctx, reterr, status, "registry: more than %d schemas", SCHEMAS_MAX);
}

/* ---- the interface ---- */

static evs_status memory_by_id(evs__registry *r, int32_t id, evs_schema **ret, evs_error **reterr)
{
    memory_registry *m = (memory_registry *)r;
    evs_schema *schema;

    pthread_mutex_lock(&m->lock);
    schema = evs_schema_ref(find_id(m, id));
    pthread_mutex_unlock(&m->lock);
    if (!schema)
        return evs__fail(m->ctx, reterr, EVS_ERR_NOT_FOUND, "registry: no schema has id %d",
                         (int)id);
    *ret = schema;
    return EVS_OK;
}

static evs_status memory_latest(
    evs__registry *r, const char *subject, int32_t *ret_id, evs_schema **ret, evs_error **reterr)
{
    memory_registry *m = (memory_registry *)r;
    evs_schema *schema = NULL;
    int32_t id;

    pthread_mutex_lock(&m->lock);
    id = find_latest(m, subject);
    if (id >= 0)
        schema = evs_schema_ref(find_id(m, id));
    pthread_mutex_unlock(&m->lock);
    if (!schema)
        return evs__fail(m->ctx, reterr, EVS_ERR_NOT_FOUND, "registry: no subject \"%s\"", subject);
    if (ret_id)
        *ret_id = id;
    if (ret)
        *ret = schema;
    else
        evs_schema_unref(schema);
    return EVS_OK;
}

static evs_status memory_register(
    evs__registry *r, const char *subject, evs_schema *schema, int32_t *ret_id, evs_error **reterr)
{
    memory_registry *m = (memory_registry *)r;
    evs_status status;
    int32_t id;
    bool is_new;

    pthread_mutex_lock(&m->lock);
    id = find_text(m, schema);
    is_new = id < 0;
    /* ids count up; those that the host gave away are stepped over */
    for (int32_t next = m->last_id; is_new && id < 0;) {
        next = next == INT32_MAX ? 1 : next + 1;
        if (!find_id(m, next))
            id = next;
    }
    status = enter(m, subject, id, schema, is_new);
    if (!status && is_new)
        m->last_id = id;
    pthread_mutex_unlock(&m->lock);
    if (status)
        return fail(m, reterr, status);
    if (ret_id)
        *ret_id = id;
    return EVS_OK;
}

static evs_status memory_put(
    memory_registry *m, const char *subject, int32_t id, evs_schema *schema, evs_error **reterr)
{
    const evs_schema *there;
    evs_status status = EVS_OK;
    bool taken = false;

    pthread_mutex_lock(&m->lock);
    there = find_id(m, id);
    taken = there && (there->format != schema->format || strcmp(there->text, schema->text) != 0);
    if (!taken)
        status = enter(m, subject, id, schema, !there);
    pthread_mutex_unlock(&m->lock);
    if (taken)
        return evs__fail(m->ctx, reterr, EVS_ERR_STATE, "registry: id %d has another schema",
                         (int)id);
    return status ? fail(m, reterr, status) : EVS_OK;
}

static void memory_free(evs__registry *r)
{
    memory_registry *m = (memory_registry *)r;
    evs_context *ctx = m->ctx;

    for (size_t i = 0; i < m->schema_count; i++)
        evs_schema_unref(m->schemas[i].schema);
    for (size_t i = 0; i < m->version_count; i++)
        evs__free(ctx, m->versions[i].subject);
    evs__free(ctx, m->schemas);
    evs__free(ctx, m->versions);
    pthread_mutex_destroy(&m->lock);
    evs__free(ctx, m);
    evs__context_drop(ctx);
}

static void free_attached(evs_context *ctx, void *value)
{
    (void)ctx;
    memory_free(value);
}

evs_status evs__registry_memory(evs_context *ctx, evs__registry **ret, evs_error **reterr)
{
    memory_registry *m = evs_context_attached(ctx, REGISTRY_NAME);
    evs_error *err = NULL;
    evs_status status = EVS_OK;

    if (!m) {
        if (!(m = evs__calloc(ctx, 1, sizeof(*m))))
            return evs__nomem(reterr);
        m->base = (evs__registry){memory_by_id, memory_latest, memory_register, memory_free};
        m->ctx = evs__context_hold(ctx);
        pthread_mutex_init(&m->lock, NULL);
        status = evs_context_attach(ctx, REGISTRY_NAME, m, free_attached, &err);
        if (status) {
            memory_free(&m->base);
            m = NULL;
        }
    }
    /* another thread was faster: its registry is the one */
    if (status == EVS_ERR_MISUSE) {
        evs_error_unref(err);
        m = evs_context_attached(ctx, REGISTRY_NAME);
        status = EVS_OK;
    } else if (status) {
        return evs__error_move(reterr, err);
    }
    *ret = &m->base;
    return EVS_OK;
}

/* ---- public ---- */

evs_status evs_registry_register(evs_context *context,
                                 const char *subject,
                                 evs_schema *schema,
                                 int32_t *ret_id,
                                 evs_error **reterr)
{
    evs__registry *r = NULL;
    evs_status status;

    if (!context || !subject || !schema)
        return evs__fail(context, reterr, EVS_ERR_INVALID, "context, subject or schema is NULL");
    if ((status = evs__registry_memory(context, &r, reterr)))
        return status;
    return r->register_schema(r, subject, schema, ret_id, reterr);
}

evs_status evs_registry_put(
    evs_context *context, const char *subject, int32_t id, evs_schema *schema, evs_error **reterr)
{
    evs__registry *r = NULL;
    evs_status status;

    if (!context || !schema || id < 0)
        return evs__fail(context, reterr, EVS_ERR_INVALID,
                         "context or schema is NULL, or the id is negative");
    if ((status = evs__registry_memory(context, &r, reterr)))
        return status;
    return memory_put((memory_registry *)r, subject, id, schema, reterr);
}

evs_status
evs_registry_get(evs_context *context, int32_t id, evs_schema **ret_schema, evs_error **reterr)
{
    evs__registry *r = NULL;
    evs_status status;

    if (!context || !ret_schema)
        return evs__fail(context, reterr, EVS_ERR_INVALID, "context or ret_schema is NULL");
    if ((status = evs__registry_memory(context, &r, reterr)))
        return status;
    return r->by_id(r, id, ret_schema, reterr);
}

evs_status evs_registry_latest(evs_context *context,
                               const char *subject,
                               int32_t *ret_id,
                               evs_schema **ret_schema,
                               evs_error **reterr)
{
    evs__registry *r = NULL;
    evs_status status;

    if (!context || !subject)
        return evs__fail(context, reterr, EVS_ERR_INVALID, "context or subject is NULL");
    if ((status = evs__registry_memory(context, &r, reterr)))
        return status;
    return r->latest(r, subject, ret_id, ret_schema, reterr);
}
