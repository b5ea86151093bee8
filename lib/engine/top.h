/*
 * engine/top.h: inside of the top-N operator, shared by its files.
 *
 * Rows are those of windows that have closed; rows of one window have one event time. A group is a
 * window and the values of further keys (one group a window without). It keeps its best n rows in
 * order and gives them out when the watermark has passed its time: then its window has no more.
 *
 *   chunks [c]: owned batches, columns of the input | columns of the order
 *   groups [g]: time, key, refs [i] = (chunk, row) of the i-th best
 *
 * A batch becomes a chunk of its own; rows that fall out of their group are garbage there until
 * chunks are melted into one, when half of all rows are garbage or there are many chunks. The order
 * is total up to equal rows (the order's expressions, then every column), so results depend neither
 * on the order of arrival nor on workers.
 *
 * Cost a row: a look-up, one comparison with the group's last when it does not get in; a binary
 * search and a move of at most n refs when it does.
 */
#ifndef EVS_ENGINE_TOP_H
#define EVS_ENGINE_TOP_H

#include "engine/keyed.h"
#include "engine/watermark.h"

#define EVS__TOP_MAX 10000

typedef struct evs__top_ref {
    uint32_t chunk, row;
} evs__top_ref;

typedef struct evs__top_group {
    int64_t time;
    uint32_t key;
    uint32_t count, capacity;
    uint32_t coming;    /* rows of the batch at hand */
    evs__top_ref *refs; /* best first; NULL: nothing is here */
} evs__top_group;

typedef struct evs__top {
    evs__operator op;
    evs__keyed per, order;
    bool *descending;     /* by column of the order */
    const evs_type *kept; /* type of chunks */
    uint32_t n;
    char *plan;
    /* state */
    evs__account account;
    evs__intern keys;
    evs__intern slots; /* of key number and time; a group each */
    evs__top_group *groups;
    uint32_t group_count, group_capacity; /* valid, allocated */
    uint32_t open;                        /* groups with rows */
    evs_batch **chunks;
    uint32_t chunk_count, chunk_capacity;
    size_t chunk_bytes;          /* counted in account */
    size_t kept_rows, live_rows; /* in chunks, in groups */
    evs__merge_time time;
    int64_t rows, rejected;
} evs__top;

static inline evs__top *evs__top_of(const evs__operator *op)
{
    return (evs__top *)op;
}

/* below 0: the row is better */
int evs__top_compare(const evs__top *t, evs__top_ref a, evs__top_ref b);
/* groups for all slots there are */
evs_status evs__top_reserve(evs__top *t);
/* room for `count` more refs in all */
evs_status evs__top_reserve_refs(evs__top *t, evs__top_group *g, uint32_t count);
/* a chunk is added; its reference is transferred in any case */
evs_status evs__top_add_chunk(evs__top *t, evs_batch *chunk);
void evs__top_drop_chunk(evs__top *t); /* the last one */
void evs__top_clear(evs__top *t);
/* rows of groups [0..count), in order, as one owned batch of type `kept` */
evs_status evs__top_rows(
    const evs__top *t, const uint32_t *groups, uint32_t count, size_t rows, evs_batch **ret);

/* ---- top_snapshot.c ---- */

evs_status evs__top_snapshot(evs__operator *op, evs__buffer *out, evs_error **reterr);
evs_status evs__top_restore(evs__operator *op, const void *data, size_t len, evs_error **reterr);

#endif
