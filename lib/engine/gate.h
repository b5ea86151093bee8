/*
 * engine/gate.h: inside of the gate: rows pass or are left out by what was seen of their key.
 *
 * Two rules, one operator:
 *
 *   dedup   a row passes when no row of its key is remembered less than `span` away in event time
 *   limit   a row passes when fewer than `most` rows of its key have passed in its slice of time
 *           [k * span, (k + 1) * span)
 *
 * State: event time is cut into slices of `span`. (key, slice) is a number of an interner, and an
 * entry stands at that number: how many rows are remembered, their lowest and highest time. A
 * dedup's question needs the row's own slice and its two neighbours only, however many rows a key
 * has: within one slice any two times are less than span apart, and the neighbours' nearest times
 * are their bounds. So a row costs one or three look-ups.
 *
 * Time: a slice is over when the task's watermark (including the row that asks) has passed its end
 * by the grace, and of a dedup by one more span: then nothing of it is remembered, and a row of it
 * is too late to be judged (a dedup lets it pass, a limit leaves it out). So a repeated row is
 * known however late it comes, until the watermark is a span or more ahead of it. What is over is
 * freed by a sweep, whenever the watermark has gone on by half of what an entry lives: each entry
 * is looked at a fixed number of times, and when a sweep comes is never seen in a result.
 *
 * A batch is judged in order of arrival, then emitted; an emit that fails undoes it, so that the
 * batch can be offered again.
 */
#ifndef EVS_ENGINE_GATE_H
#define EVS_ENGINE_GATE_H

#include "engine/keyed.h"
#include "engine/watermark.h"

typedef enum evs__gate_rule { EVS__GATE_DEDUP, EVS__GATE_LIMIT } evs__gate_rule;

typedef struct evs__gate_entry {
    int64_t min, max; /* of the times remembered */
    int64_t count;    /* 0: nothing is remembered */
} evs__gate_entry;

typedef struct evs__gate_undo {
    uint32_t slot;
    evs__gate_entry old;
} evs__gate_undo;

/* of one call, kept between calls */
typedef struct evs__gate_scratch {
    uint32_t *rows, *keys, *slots, *sel; /* [capacity] each, one allocation */
    evs__gate_undo *undo;
    uint32_t capacity;
} evs__gate_scratch;

typedef struct evs__gate {
    evs__operator op;
    evs__keyed keyed;
    evs__gate_rule rule;
    int64_t span, grace, most;
    bool renews; /* dedup: rows left out are remembered, too */
    char *plan;  /* one line; two gates with the same line understand each other's snapshots */
    /* state */
    evs__account account;
    evs__intern keys;
    evs__intern slots;        /* of key number and slice: 12 bytes */
    evs__gate_entry *entries; /* by slot */
    uint32_t entry_capacity;
    uint32_t entry_count; /* entries below are valid */
    evs__merge_time time;
    int64_t swept; /* the watermark at the last sweep */
    int64_t rows, left_out, late, rejected;
    evs__gate_scratch scratch;
} evs__gate;

#define EVS__GATE_NONE ((evs__gate_entry){INT64_MAX, INT64_MIN, 0})

static inline evs__gate *evs__gate_of(const evs__operator *op)
{
    return (evs__gate *)op;
}

/* the slice of a time and its end */
static inline int64_t evs__gate_slice(const evs__gate *g, int64_t t, int64_t *ret_end)
{
    int64_t slice = t / g->span, rest = t % g->span;

    if (rest < 0) {
        rest += g->span;
        slice--;
    }
    *ret_end = evs__time_add(t, g->span - rest);
    return slice;
}

static inline evs__intern_probe evs__gate_probe(char bytes[12], uint32_t key, int64_t slice)
{
    memcpy(bytes, &key, 4);
    memcpy(bytes + 4, &slice, 8);
    return evs__intern_probe_bytes(bytes, 12);
}

/* whether the slice that ends there is over at this watermark */
static inline bool evs__gate_is_over(const evs__gate *g, int64_t end, int64_t watermark)
{
    if (g->rule == EVS__GATE_DEDUP)
        end = evs__time_add(end, g->span);
    return evs__time_add(end, g->grace) <= watermark;
}

static inline bool evs__gate_is_live(const evs__gate *g, uint32_t slot)
{
    const evs__gate_entry *e = &g->entries[slot];
    int64_t end;

    if (!e->count)
        return false;
    evs__gate_slice(g, e->min, &end);
    return !evs__gate_is_over(g, end, g->time.watermark);
}

/* entries for all slots there are; EVS_ERR_NOMEM, EVS_ERR_LIMIT */
evs_status evs__gate_reserve(evs__gate *g);
/* forget what is over; as much of it as there is memory for */
void evs__gate_sweep(evs__gate *g);
void evs__gate_clear(evs__gate *g);

/* ---- gate_snapshot.c ---- */

evs_status evs__gate_snapshot(evs__operator *op, evs__buffer *out, evs_error **reterr);
evs_status evs__gate_restore(evs__operator *op, const void *data, size_t len, evs_error **reterr);

#endif
