/*
 * base/map.c: text to pointer; open addressing with linear probing, at most 3/4 full.
 *
 * Nothing is ever removed, so there are no tombstones and a look-up ends at the first empty slot.
 * Keys are copies. The order of iteration is that of the slots: fixed for the same history,
 * otherwise meaningless.
 */
#include "base/hash.h"
#include "base/map.h"

#define MAP_FIRST 16

void evs__map_init(evs__map *m, evs_context *ctx, size_t max)
{
    *m = (evs__map){.ctx = ctx, .max = max};
}

void evs__map_free(evs__map *m, void (*free_value)(evs_context *ctx, void *value))
{
    for (size_t i = 0; i < m->capacity; i++) {
        if (!m->entries[i].key)
            continue;
        if (free_value)
            free_value(m->ctx, m->entries[i].value);
        evs__free(m->ctx, m->entries[i].key);
    }
    if (m->ctx)
        evs__free(m->ctx, m->entries);
    m->entries = NULL;
    m->capacity = m->count = 0;
}

/* the entry of the key, or the empty slot where it belongs; capacity is not 0 */
static evs__map_entry *map_slot(const evs__map *m, const char *key, size_t len, uint64_t hash)
{
    size_t mask = m->capacity - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        evs__map_entry *e = &m->entries[i];
        if (!e->key || (e->hash == hash && e->key_len == len && memcmp(e->key, key, len) == 0))
            return e;
    }
}

void *evs__map_get(const evs__map *m, const char *key, size_t len)
{
    evs__map_entry *e;
    if (!m->count)
        return NULL;
    e = map_slot(m, key, len, evs__hash_bytes(key, len, 0));
    return e->key ? e->value : NULL;
}

static evs_status map_grow(evs__map *m)
{
    size_t capacity = m->capacity ? m->capacity * 2 : MAP_FIRST;
    evs__map bigger = *m;

    bigger.entries = evs__calloc(m->ctx, capacity, sizeof(*m->entries));
    if (!bigger.entries)
        return EVS_ERR_NOMEM;
    bigger.capacity = capacity;
    for (size_t i = 0; i < m->capacity; i++) {
        evs__map_entry *e = &m->entries[i];
        if (e->key)
            *map_slot(&bigger, e->key, e->key_len, e->hash) = *e;
    }
    evs__free(m->ctx, m->entries);
    *m = bigger;
    return EVS_OK;
}

evs_status evs__map_set(evs__map *m, const char *key, size_t len, void *value, void **ret_old)
{
    uint64_t hash = evs__hash_bytes(key, len, 0);
    evs__map_entry *e = m->count ? map_slot(m, key, len, hash) : NULL;
    char *copy;

    if (e && e->key) {
        if (ret_old)
            *ret_old = e->value;
        e->value = value;
        return EVS_OK;
    }
    if (m->count >= m->max)
        return EVS_ERR_LIMIT;
    if (m->count + 1 > m->capacity / 4 * 3 && map_grow(m))
        return EVS_ERR_NOMEM;
    copy = evs__strndup(m->ctx, key, len);
    if (!copy)
        return EVS_ERR_NOMEM;
    *map_slot(m, key, len, hash) =
        (evs__map_entry){.key = copy, .key_len = len, .hash = hash, .value = value};
    m->count++;
    if (ret_old)
        *ret_old = NULL;
    return EVS_OK;
}

const evs__map_entry *evs__map_next(const evs__map *m, size_t *pos)
{
    while (*pos < m->capacity) {
        const evs__map_entry *e = &m->entries[(*pos)++];
        if (e->key)
            return e;
    }
    return NULL;
}
