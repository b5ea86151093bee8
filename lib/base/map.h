/*
 * base/map.h: text to pointer, for registries and name look-ups off the hot path. Open addressing,
 * bounded.
 */
#ifndef EVS_BASE_MAP_H
#define EVS_BASE_MAP_H

#include "base/context.h"

typedef struct evs__map_entry {
    char *key;
    size_t key_len;
    uint64_t hash;
    void *value;
} evs__map_entry;

typedef struct evs__map {
    evs_context *ctx;
    evs__map_entry *entries; /* power of two; key NULL: empty */
    size_t capacity;
    size_t count;
    size_t max;
} evs__map;

void evs__map_init(evs__map *m, evs_context *ctx, size_t max);
void evs__map_free(evs__map *m, void (*free_value)(evs_context *ctx, void *value));
void *evs__map_get(const evs__map *m, const char *key, size_t len);
/* EVS_ERR_LIMIT, EVS_ERR_NOMEM; an existing value is replaced and returned through ret_old (may be
 * NULL) */
evs_status evs__map_set(evs__map *m, const char *key, size_t len, void *value, void **ret_old);
/* iterate: start with *pos = 0; NULL at the end */
const evs__map_entry *evs__map_next(const evs__map *m, size_t *pos);

#endif
