/*
 * engine/sketch.h: aggregates whose state is a small program of its own: for each group an object
 * that grows, and in front of all of them a log.
 *
 *   state of a group    number of its object + 1, or 0
 *   extra of a slice    objects [number], log of (group, value)
 *
 * add() must not fail and does not know its groups when room is reserved, so it only writes to the
 * log; the log is folded into the objects, where memory may run out and nothing is lost, before the
 * next rows come (when it is long) and before anything is read. So adding costs one store a row,
 * and objects are touched in runs.
 *
 * Folding before a result may pass the state's bound by the log's few rows: taking results is what
 * makes room and must not fail for want of it.
 */
#ifndef EVS_ENGINE_SKETCH_H
#define EVS_ENGINE_SKETCH_H

#include "engine/aggregate.h"
#include "engine/values.h"

#define EVS__SKETCH_LOG 4096 /* entries that wait at most, besides those of a batch */

typedef struct evs__sketches evs__sketches;

/* what a kind of sketch does with one object; *object NULL: none yet. Failing leaves it as it was.
 */
typedef struct evs__sketch_kind {
    evs_status (*put)(evs__sketches *s, const evs__aggregate *a, void **object, uint64_t value);
    /* EVS_ERR_OVERFLOW: counts beyond 63 bits */
    evs_status (*merge)(evs__sketches *s,
                        const evs__aggregate *a,
                        void **object,
                        const evs__sketches *source,
                        const void *from);
    void (*write)(const evs__sketches *s, const void *object, evs__buffer *out);
    evs_status (*read)(evs__sketches *s, const evs__aggregate *a, void **object, evs__reader *in);
    size_t (*size)(const void *object); /* bytes it was allocated with */
    /* the part of an object that a value will touch is fetched; or NULL */
    void (*prefetch)(const void *object, uint64_t value);
    bool keeps_values; /* log entries are numbers of evs__sketches.values */
    /* numbers of values that the object has: bits of live */
    void (*mark)(const void *object, uint8_t *live);
} evs__sketch_kind;

typedef struct evs__sketch_entry {
    uint64_t value;
    uint32_t group;
} evs__sketch_entry;

struct evs__sketches {
    const evs__sketch_kind *kind;
    evs__account *account;
    void **objects;
    uint32_t object_count, object_capacity;
    evs__sketch_entry *log;
    uint32_t log_count, log_capacity;
    evs__values values;
    uint32_t values_live; /* after the last sweep */
};

/* the aggregate's functions; `add` is each one's own and ends in evs__sketch_log() */
evs_status
evs__sketch_reserve(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r);
evs_status
evs__sketch_merge(const evs__aggregate *a, const evs__agg_groups *to, const evs__agg_groups *from);
evs_status evs__sketch_write(const evs__aggregate *a, const evs__agg_groups *g, evs__buffer *out);
evs_status evs__sketch_read(const evs__aggregate *a, const evs__agg_groups *g, evs__reader *in);
void evs__sketch_extra_free(evs__account *account, void *extra);

static inline void evs__sketch_log(evs__sketches *s, uint32_t group, uint64_t value)
{
    s->log[s->log_count++] = (evs__sketch_entry){value, group};
}
/* fold, for a result; afterwards objects are up to date */
evs_status evs__sketch_ready(const evs__aggregate *a, const evs__agg_groups *g);
/* of the i-th group, or NULL: nothing was added */
static inline const void *evs__sketch_object(const evs__agg_groups *g, uint32_t i)
{
    const evs__sketches *s = *g->extra;
    uint32_t number = *(const uint32_t *)evs__agg_state(g, i);
    return number ? s->objects[number - 1] : NULL;
}
/* an object's memory: zeroed; EVS_ERR_LIMIT, EVS_ERR_NOMEM */
evs_status evs__sketch_alloc(evs__sketches *s, size_t size, void **ret);
void evs__sketch_free(evs__sketches *s, void *object);

#define EVS__SKETCH_COMMON                                                                         \
    .size = sizeof(uint64_t), .align = sizeof(uint64_t), .group = "sketch",                        \
    .reserve = evs__sketch_reserve, .merge = evs__sketch_merge, .write = evs__sketch_write,        \
    .read = evs__sketch_read, .extra_free = evs__sketch_extra_free

#endif
