/*
 * base/heap.c: binary min-heap in an array; children of i are 2i + 1 and 2i + 2.
 *
 * Push and pop are O(log n). Items of equal priority come out in no particular, but for the same
 * history always the same, order.
 */
#include "base/heap.h"

#define HEAP_FIRST 16

void evs__heap_init(evs__heap *h, evs_context *ctx, size_t max)
{
    *h = (evs__heap){.ctx = ctx, .max = max};
}

void evs__heap_free(evs__heap *h)
{
    if (h->ctx)
        evs__free(h->ctx, h->items);
    h->items = NULL;
    h->count = h->capacity = 0;
}

evs_status evs__heap_push(evs__heap *h, int64_t priority, void *value)
{
    size_t i = h->count;

    if (h->count >= h->max)
        return EVS_ERR_LIMIT;
    if (h->count == h->capacity) {
        size_t capacity = h->capacity ? h->capacity * 2 : HEAP_FIRST;
        evs__heap_item *items = evs__realloc_array(h->ctx, h->items, capacity, sizeof(*items));
        if (!items)
            return EVS_ERR_NOMEM;
        h->items = items;
        h->capacity = capacity;
    }
    h->count++;
    while (i > 0 && h->items[(i - 1) / 2].priority > priority) {
        h->items[i] = h->items[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h->items[i] = (evs__heap_item){priority, value};
    return EVS_OK;
}

const evs__heap_item *evs__heap_top(const evs__heap *h)
{
    return h->count ? &h->items[0] : NULL;
}

bool evs__heap_pop(evs__heap *h, evs__heap_item *ret)
{
    evs__heap_item last;
    size_t i = 0;

    if (!h->count)
        return false;
    if (ret)
        *ret = h->items[0];
    last = h->items[--h->count];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->count)
            break;
        if (child + 1 < h->count && h->items[child + 1].priority < h->items[child].priority)
            child++;
        if (h->items[child].priority >= last.priority)
            break;
        h->items[i] = h->items[child];
        i = child;
    }
    if (h->count)
        h->items[i] = last;
    return true;
}
