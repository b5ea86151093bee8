/*
 * engine/window_session.h: inside of the family of session windows, shared by its two files.
 *
 *   window_session.c          rows to sessions, with a log to undo a batch; snapshots
 *   window_session_results.c  sessions that are over or changed, to results; the pool anew
 */
#ifndef EVS_ENGINE_WINDOW_SESSION_H
#define EVS_ENGINE_WINDOW_SESSION_H

#include "engine/window.h"

#define NONE UINT32_MAX
#define ALIVE 1u
#define DIRTY 2u   /* changed since it was given out; in the list */
#define EMITTED 4u /* was given out as given_first, given_last */
#define GARBAGE_MIN 1024u
#define LOOK_AHEAD 64u
#define CHANGES_MAX 1024u /* sessions given out together */

/* what every row touches, two in a cache line; the rest is in `details` of the same number */
typedef struct session {
    int64_t first, last;
    uint32_t next;  /* of the key; when not alive: the next one that is free */
    uint32_t group; /* the first of its list */
    uint32_t batch; /* the last batch that logged it */
    uint32_t flags;
} session;

typedef struct details {
    int64_t given_first, given_last;
    uint64_t arrival; /* of its first row */
    uint32_t key;
    uint32_t gone;
} details;

typedef struct saved {
    session session;
    details details;
} saved;

typedef struct gone {
    int64_t first, last;
    uint32_t next;
} gone;

typedef struct changed {
    uint64_t arrival; /* whose session it was: slots are used again */
    uint32_t session;
} changed;

typedef struct due {
    int64_t last;
    uint64_t arrival;
    uint32_t session;
} due;

typedef enum log_kind { LOG_NEW, LOG_SESSION, LOG_LAST, LOG_HEAD, LOG_LINK, LOG_GONE } log_kind;

/* small, since the usual row writes one: an old `last`, an old number, a place in copies */
typedef struct log_entry {
    log_kind kind;
    uint32_t index;
    int64_t value;
} log_entry;

/* where counters stood before a batch */
typedef struct marks {
    uint32_t session_count, session_free, session_live, gone_count, gone_free, dirty_count;
    uint32_t group_count, due_count;
    uint64_t arrivals;
} marks;

typedef struct sessions {
    session *items;
    details *details;
    uint32_t *head; /* by key id: session + 1 */
    uint32_t *link; /* by group: the next of the session's list */
    gone *gones;
    changed *dirty; /* in order of their first change; some have left */
    due *heap;
    uint32_t capacity, details_capacity, head_capacity, link_capacity, gone_capacity,
        dirty_capacity, heap_capacity;
    marks at;
    uint32_t live_groups;
    /* between prepare and taken */
    bool in_batch;
    uint32_t batch;
    marks before;
    log_entry *log;
    uint32_t log_count, log_capacity;
    saved *copies;
    uint32_t copy_count, copy_capacity;
} sessions;

static inline sessions *own_of(const evs__window_op *w)
{
    return w->own;
}

static inline details *more(const sessions *s, const session *x)
{
    return &s->details[x - s->items];
}

/* the highest watermark at which a session with this last row is not over */
static inline int64_t over_after(const evs__window_op *w, int64_t last)
{
    return evs__time_add(evs__time_add(last, w->opt.gap_ms), w->opt.grace_ms);
}

/* nothing is left open at the end of time */
static inline bool is_over(const evs__window_op *w, int64_t last, int64_t watermark)
{
    return over_after(w, last) < watermark || watermark == INT64_MAX;
}

/* ---- window_session.c ---- */

evs_status
evs__session_room(evs__account *a, void **array, uint32_t *capacity, uint32_t want, size_t item);
void evs__session_heap_up(sessions *s, uint32_t at, due item);
void evs__session_heap_down(sessions *s, due item);
void evs__session_heap_pop(sessions *s);
/* out of its key's list; a loser of a merge stays in the heap until its time */
evs_status evs__session_unlink(evs__window_op *w, uint32_t index, bool logged);

/* ---- window_session_results.c ---- */

/* sessions that are not alive, or not dirty, leave the list, until `most` that stay were seen */
uint32_t evs__session_clean_dirty(sessions *s, uint32_t most);
evs_status evs__session_next(evs__window_op *w, bool changes);
/* one group a session, in order of sessions[] */
evs_status evs__session_move_pool(evs__window_op *w);
void evs__session_close(evs__window_op *w);

#endif
