/*
 * base/heap.h: binary min-heap of (int64 priority, pointer), for deadlines and closing windows.
 */
#ifndef EVS_BASE_HEAP_H
#define EVS_BASE_HEAP_H

#include "base/context.h"

typedef struct evs__heap_item {
    int64_t priority;
    void *value;
} evs__heap_item;

typedef struct evs__heap {
    evs_context *ctx;
    evs__heap_item *items;
    size_t count;
    size_t capacity;
    size_t max;
} evs__heap;

void evs__heap_init(evs__heap *h, evs_context *ctx, size_t max);
void evs__heap_free(evs__heap *h);
evs_status
evs__heap_push(evs__heap *h, int64_t priority, void *value); /* EVS_ERR_LIMIT, EVS_ERR_NOMEM */
const evs__heap_item *evs__heap_top(const evs__heap *h);     /* NULL: empty */
bool evs__heap_pop(evs__heap *h, evs__heap_item *ret);

#endif
