/*
 * engine/window_session.c: session windows: rows of a key that are no further apart than the gap.
 *
 *   head [key id] --> session --> session           of a key, newest first; they are disjoint
 *                       |
 *                       +-- first, last             times of its rows, both inclusive
 *                       +-- group --> group         of the state's pool: parts of its aggregates
 *                       +-- gone --> gone           bounds that were given out and are no more
 *                                                   (in `details`, away from what rows touch)
 *
 * A row joins the session that it is within the gap of (inclusive), begins one, or bridges two: the
 * older one (by its first row to arrive) then takes the other's groups into its list, and nothing
 * is merged until results are made. So a row never fails half-way. A session is over, and out of
 * sight for rows, when last + gap + grace < watermark; a row is late when the session it would be
 * in is over (the rule of Kafka Streams). Results carry first and last as window_start, window_end.
 *
 * A batch changes sessions while it may still fail: the old values go to a log that dropped() plays
 * backwards. Sessions are found by a list per key, since a key has one or two; those that are over
 * by a heap on (last, arrival), whose entries may be too early and are then put back.
 *
 * Changes: a session given out before with other bounds is deleted under those first; all deletes
 * of a batch of results stand before its other rows. Final results come in order of window_end,
 * then of arrival of the first row.
 *
 * Groups are not freed one by one, since aggregates keep things beside them. When more than half of
 * the pool is unused, the live groups, one a session, move to a new one.
 */
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

static evs_status
make_room(evs__account *a, void **array, uint32_t *capacity, uint32_t want, size_t item)
{
    uint64_t more = (uint64_t)*capacity * 2;
    evs_status status;

    if (want <= *capacity)
        return EVS_OK;
    more = more < want ? want : more;
    more = more < 64 ? 64 : more;
    if (more >= NONE)
        return EVS_ERR_LIMIT;
    status = evs__account_resize(a, array, *capacity, more, item);
    if (!status)
        *capacity = (uint32_t)more;
    return status;
}

/* ---- the log ---- */

static evs_status log_add(evs__window_op *w, log_kind kind, uint32_t index, int64_t value)
{
    sessions *s = own_of(w);
    evs_status status = make_room(&w->state->account, (void **)&s->log, &s->log_capacity,
                                  s->log_count + 1, sizeof(*s->log));
    log_entry *e;

    if (status)
        return status;
    e = &s->log[s->log_count++];
    e->kind = kind;
    e->index = index;
    e->value = value;
    return EVS_OK;
}

/* before a session changes */
static evs_status log_session(evs__window_op *w, uint32_t index)
{
    sessions *s = own_of(w);
    evs_status status = EVS_OK;

    if (s->items[index].batch == s->batch)
        return EVS_OK;
    status = make_room(&w->state->account, (void **)&s->copies, &s->copy_capacity,
                       s->copy_count + 1, sizeof(*s->copies));
    if (!status)
        status = log_add(w, LOG_SESSION, index, s->copy_count);
    if (status)
        return status;
    s->copies[s->copy_count++] = (saved){s->items[index], s->details[index]};
    s->items[index].batch = s->batch;
    return EVS_OK;
}

static void dropped(evs__window_work *k)
{
    sessions *s = own_of(k->w);
    evs__slice *pool = k->w->state->pool;

    if (!s->in_batch)
        return;
    while (s->log_count) {
        const log_entry *e = &s->log[--s->log_count];
        if (e->kind == LOG_SESSION) {
            s->items[e->index] = s->copies[e->value].session;
            s->details[e->index] = s->copies[e->value].details;
        } else if (e->kind == LOG_LAST) {
            s->items[e->index].last = e->value;
        } else if (e->kind == LOG_HEAD) {
            s->head[e->index] = (uint32_t)e->value;
        } else if (e->kind == LOG_LINK) {
            s->link[e->index] = (uint32_t)e->value;
        } else if (e->kind == LOG_GONE) {
            s->gones[e->index].next = (uint32_t)e->value;
        }
    }
    s->at = s->before;
    s->live_groups -= pool ? pool->count - s->at.group_count : 0;
    if (pool)
        pool->count = s->at.group_count;
    s->in_batch = false;
}

/* ---- the heap ---- */

static inline bool due_before(const due *a, const due *b)
{
    return a->last != b->last ? a->last < b->last : a->arrival < b->arrival;
}

static void heap_up(sessions *s, uint32_t at, due item)
{
    while (at && due_before(&item, &s->heap[(at - 1) / 2])) {
        s->heap[at] = s->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    s->heap[at] = item;
}

static void heap_down(sessions *s, due item)
{
    uint32_t at = 0, child;

    while ((child = 2 * at + 1) < s->at.due_count) {
        if (child + 1 < s->at.due_count && due_before(&s->heap[child + 1], &s->heap[child]))
            child++;
        if (!due_before(&s->heap[child], &item))
            break;
        s->heap[at] = s->heap[child];
        at = child;
    }
    s->heap[at] = item;
}

static void heap_pop(sessions *s)
{
    due last = s->heap[--s->at.due_count];
    if (s->at.due_count)
        heap_down(s, last);
}

/* ---- lists ---- */

static evs_status new_group(evs__window_op *w, uint32_t key, uint32_t *ret)
{
    sessions *s = own_of(w);
    evs__slice *pool = w->state->pool;
    evs_status status = evs__slice_reserve_groups(w->state, pool, 1);

    if (!status)
        status = make_room(&w->state->account, (void **)&s->link, &s->link_capacity, pool->capacity,
                           sizeof(*s->link));
    if (status)
        return status;
    *ret = evs__slice_append(pool, key);
    memset(evs__slice_row(w->state, pool, *ret), 0, w->state->stride);
    if (pool->flags)
        pool->flags[*ret] = 0;
    s->link[*ret] = NONE;
    s->live_groups++;
    return EVS_OK;
}

static evs_status new_session(evs__window_op *w, uint32_t key, int64_t t, uint32_t *ret)
{
    sessions *s = own_of(w);
    evs__account *a = &w->state->account;
    uint32_t at = s->at.session_free, group = 0;
    evs_status status = EVS_OK;

    if (at == NONE)
        status = make_room(a, (void **)&s->items, &s->capacity, s->at.session_count + 1,
                           sizeof(*s->items));
    if (at == NONE && !status)
        status = make_room(a, (void **)&s->details, &s->details_capacity, s->at.session_count + 1,
                           sizeof(*s->details));
    if (!status) /* sessions alive and dead ones that are still in the heap */
        status = make_room(a, (void **)&s->heap, &s->heap_capacity, s->at.session_count + 1,
                           sizeof(*s->heap));
    if (!status && at != NONE)
        status = log_session(w, at);
    if (!status)
        status = log_add(w, LOG_HEAD, key, s->head[key]);
    if (!status)
        status = new_group(w, key, &group);
    if (!status)
        status = log_add(w, LOG_NEW, at == NONE ? s->at.session_count : at, 0);
    if (status)
        return status;
    if (at == NONE)
        at = s->at.session_count++;
    else
        s->at.session_free = s->items[at].next;
    s->items[at] = (session){.first = t,
                             .last = t,
                             .next = s->head[key] - 1,
                             .group = group,
                             .batch = s->batch,
                             .flags = ALIVE};
    s->details[at] = (details){.arrival = s->at.arrivals, .key = key, .gone = NONE};
    s->head[key] = at + 1;
    s->at.session_live++;
    *ret = at;
    return EVS_OK;
}

/* out of its key's list; a loser of a merge stays in the heap until its time */
static evs_status unlink_session(evs__window_op *w, uint32_t index, bool logged)
{
    sessions *s = own_of(w);
    session *x = &s->items[index];
    uint32_t at = s->head[more(s, x)->key] - 1;
    evs_status status = EVS_OK;

    if (at == index) {
        if (logged)
            status = log_add(w, LOG_HEAD, more(s, x)->key, s->head[more(s, x)->key]);
        if (!status)
            s->head[more(s, x)->key] = x->next + 1;
        return status;
    }
    while (s->items[at].next != index)
        at = s->items[at].next;
    if (logged)
        status = log_session(w, at);
    if (!status)
        s->items[at].next = s->items[index].next;
    return status;
}

static evs_status
new_gone(evs__window_op *w, int64_t first, int64_t last, uint32_t next, uint32_t *ret)
{
    sessions *s = own_of(w);
    uint32_t at = s->at.gone_free;
    evs_status status = EVS_OK;

    if (at == NONE) {
        status = make_room(&w->state->account, (void **)&s->gones, &s->gone_capacity,
                           s->at.gone_count + 1, sizeof(*s->gones));
        at = s->at.gone_count;
        s->at.gone_count += !status;
    } else {
        status = log_add(w, LOG_GONE, at, s->gones[at].next);
        if (!status)
            s->at.gone_free = s->gones[at].next;
    }
    if (status)
        return status;
    s->gones[at] = (gone){first, last, next};
    *ret = at;
    return EVS_OK;
}

/* what was given out of `from` is to be deleted when `to` is given out */
static evs_status move_gone(evs__window_op *w, uint32_t to, uint32_t from)
{
    sessions *s = own_of(w);
    session *x = &s->items[to], *y = &s->items[from];
    uint32_t last = more(s, y)->gone;
    evs_status status = EVS_OK;

    if (last != NONE) {
        while (s->gones[last].next != NONE)
            last = s->gones[last].next;
        status = log_add(w, LOG_GONE, last, NONE);
        if (status)
            return status;
        s->gones[last].next = more(s, x)->gone;
        more(s, x)->gone = more(s, y)->gone;
    }
    if (y->flags & EMITTED)
        status = new_gone(w, more(s, y)->given_first, more(s, y)->given_last, more(s, x)->gone,
                          &more(s, x)->gone);
    return status;
}

/* ---- a row ---- */

/* two sessions become one; both are logged */
static evs_status join_sessions(evs__window_op *w, uint32_t to, uint32_t from)
{
    sessions *s = own_of(w);
    session *x = &s->items[to], *y = &s->items[from];
    uint32_t tail = y->group;
    evs_status status = unlink_session(w, from, true);

    if (!status)
        status = move_gone(w, to, from);
    while (!status && s->link[tail] != NONE)
        tail = s->link[tail];
    if (!status)
        status = log_add(w, LOG_LINK, tail, NONE);
    if (!status)
        status = log_add(w, LOG_LINK, x->group, s->link[x->group]);
    if (status)
        return status;
    s->link[tail] = s->link[x->group];
    s->link[x->group] = y->group;
    x->first = y->first < x->first ? y->first : x->first;
    x->last = y->last > x->last ? y->last : x->last;
    y->flags = 0;
    s->at.session_live--;
    return EVS_OK;
}

static evs_status set_dirty(evs__window_op *w, uint32_t index)
{
    sessions *s = own_of(w);
    evs_status status;

    if (!w->state->flagged || s->items[index].flags & DIRTY)
        return EVS_OK;
    status = make_room(&w->state->account, (void **)&s->dirty, &s->dirty_capacity,
                       s->at.dirty_count + 1, sizeof(*s->dirty));
    if (status)
        return status;
    s->dirty[s->at.dirty_count++] = (changed){s->details[index].arrival, index};
    s->items[index].flags |= DIRTY;
    return EVS_OK;
}

/* the sessions that a row at t of this key is within the gap of: there are two at most */
static uint32_t
find_sessions(const evs__window_op *w, uint32_t key, int64_t t, int64_t mark, uint32_t found[2])
{
    const sessions *s = own_of(w);
    int64_t low = evs__time_sub(t, w->opt.gap_ms), high = evs__time_add(t, w->opt.gap_ms);
    uint32_t n = 0;

    for (uint32_t at = s->head[key] - 1; at != NONE && n < 2; at = s->items[at].next) {
        const session *x = &s->items[at];
        if (x->last >= low && x->first <= high && !is_over(w, x->last, mark))
            found[n++] = at;
    }
    return n;
}

static evs_status take_row(
    evs__window_op *w, uint32_t key, int64_t t, int64_t mark, uint32_t *ret_group, bool *ret_late)
{
    sessions *s = own_of(w);
    uint32_t found[2], n = find_sessions(w, key, t, mark, found), to = found[0];
    evs_status status = EVS_OK;

    *ret_late = !n && is_over(w, t, mark);
    if (*ret_late)
        return EVS_OK;
    if (!n) {
        status = new_session(w, key, t, &to);
    } else {
        if (n == 2 && s->details[found[1]].arrival < s->details[to].arrival)
            to = found[1];
        status = log_session(w, to);
        if (!status && n == 2)
            status = log_session(w, found[to == found[0]]);
        if (!status && n == 2)
            status = join_sessions(w, to, found[to == found[0]]);
    }
    if (!status)
        status = set_dirty(w, to);
    if (status)
        return status;
    if (t < s->items[to].first)
        s->items[to].first = t;
    if (t > s->items[to].last)
        s->items[to].last = t;
    s->at.arrivals++;
    *ret_group = s->items[to].group;
    return EVS_OK;
}

/* The usual row: behind the end of its key's only session, or within the newest one. */
static inline session *usual_session(const evs__window_op *w, uint32_t key, int64_t t, int64_t mark)
{
    const sessions *s = own_of(w);
    uint32_t at = s->head[key] - 1;
    session *x;

    if (at == NONE)
        return NULL;
    x = &s->items[at];
    if (t < x->first || is_over(w, x->last, mark) || (w->state->flagged && !(x->flags & DIRTY)))
        return NULL;
    if (t > x->last && (x->next != NONE || t > evs__time_add(x->last, w->opt.gap_ms)))
        return NULL;
    return x;
}

static inline evs_status extend(evs__window_op *w, session *x, int64_t t, uint32_t *ret_group)
{
    sessions *s = own_of(w);
    evs_status status = EVS_OK;

    if (t > x->last) {
        if (x->batch != s->batch)
            status = log_add(w, LOG_LAST, (uint32_t)(x - s->items), x->last);
        x->last = status ? x->last : t;
    }
    s->at.arrivals++;
    *ret_group = x->group;
    return status;
}

/* ---- a batch ---- */

static evs_status prepare(evs__window_work *k)
{
    evs__window_op *w = k->w;
    evs__state *state = w->state;
    sessions *s = own_of(w);
    evs__slice_bounds bounds = {.floor = EVS__NO_WINDOW};
    uint32_t old = s->head_capacity;
    evs_status status = EVS_OK;

    if (!state->pool)
        status = evs__slice_new(state, &bounds, true, &state->pool);
    if (!status)
        status = evs__work_intern(k);
    if (status == EVS_ERR_LIMIT) {
        evs__state_sweep(state, true);
        status = evs__work_intern(k);
    }
    if (!status)
        status = make_room(&state->account, (void **)&s->head, &s->head_capacity, state->keys.high,
                           sizeof(*s->head));
    if (status)
        return status;
    memset(s->head + old, 0, (s->head_capacity - old) * sizeof(*s->head));
    k->interned = k->grouped = s->in_batch = true;
    s->at.group_count = state->pool->count;
    s->before = s->at;
    s->log_count = s->copy_count = 0;
    s->batch++;
    return EVS_OK;
}

/* Always inline: gcc takes a function that does nothing but prefetch for one that does nothing. */
__attribute__((always_inline)) static inline void look_ahead(const evs__window_work *k, uint32_t i)
{
    const sessions *s = own_of(k->w);
    uint32_t far = i + LOOK_AHEAD, near = i + LOOK_AHEAD / 2;

    if (far < k->n)
        __builtin_prefetch(&s->head[k->key_ids[far]]);
    if (near < k->n && s->head[k->key_ids[near]]) {
        __builtin_prefetch(&s->items[s->head[k->key_ids[near]] - 1]);
    }
}

static evs_status refuse(evs__window_work *k, uint32_t row, int64_t t, int64_t mark)
{
    evs__late_row late = {
        .row = row, .refused = 1, .accepted = 0, .start = t, .end = t, .watermark = mark};
    return evs__work_late(k, &late);
}

static evs_status assign(evs__window_work *k)
{
    evs__window_op *w = k->w;
    int64_t mark = k->base;
    uint32_t kept = 0;
    evs_status status = prepare(k);

    for (uint32_t i = 0; i < k->n && !status; i++) {
        uint32_t row = k->rows[i], group = 0;
        int64_t t = evs__work_time(k, row), now = evs__work_mark(k, row);
        bool late = false;
        session *usual;
        mark = now > mark ? now : mark;
        look_ahead(k, i);
        usual = usual_session(w, k->key_ids[i], t, mark);
        if (usual)
            status = extend(w, usual, t, &group);
        else
            status = take_row(w, k->key_ids[i], t, mark, &group, &late);
        if (!status && late)
            status = refuse(k, row, t, mark);
        if (status || late)
            continue;
        k->rows[kept] = row;
        k->key_ids[kept] = k->key_ids[i];
        k->groups[kept++] = group;
    }
    k->n = kept;
    if (!status && kept) {
        status = evs__work_touch(k, w->state->pool);
        w->state->pool->batch_rows = status ? 0 : kept;
    }
    return status;
}

static void taken(evs__window_work *k)
{
    sessions *s = own_of(k->w);

    for (uint32_t i = 0; i < s->log_count; i++) {
        uint32_t at = s->log[i].index;
        if (s->log[i].kind == LOG_NEW)
            heap_up(s, s->at.due_count++, (due){s->items[at].last, s->details[at].arrival, at});
    }
    s->log_count = 0;
    s->in_batch = false;
}

/* ---- results ---- */

/* all groups of sessions[i] into group groups[i] of `to` */
static evs_status merge_sessions(
    evs__window_op *w, evs__slice *to, const uint32_t *groups, const uint32_t *which, uint32_t n)
{
    const sessions *s = own_of(w);
    const evs__slice *pool = w->state->pool;
    uint32_t *from = evs__realloc_array(w->base.ctx, NULL, (size_t)n + 1, sizeof(*from));
    evs_status status = from ? EVS_OK : EVS_ERR_NOMEM;

    for (uint32_t i = 0; i < n && !status; i++)
        from[i] = s->items[which[i]].group;
    if (!status)
        status = evs__window_merge_groups(w, to, groups, pool, from, n);
    for (uint32_t i = 0; i < n && !status; i++) {
        for (uint32_t g = s->link[from[i]]; g != NONE && !status; g = s->link[g])
            status = evs__window_merge_groups(w, to, &groups[i], pool, &g, 1);
    }
    evs__free(w->base.ctx, from);
    return status;
}

/* the rows that a session makes */
static uint32_t rows_of(const evs__window_op *w, const session *x)
{
    const sessions *s = own_of(w);
    uint32_t n = 1;

    if (!w->state->flagged)
        return n;
    for (uint32_t g = more(s, x)->gone; g != NONE; g = s->gones[g].next)
        n++;
    return n + (x->flags & EMITTED &&
                (more(s, x)->given_first != x->first || more(s, x)->given_last != x->last));
}

typedef struct result {
    evs__slice *slice;
    uint32_t *groups, *which; /* rows so far, and their sessions */
} result;

static void
put_row(result *r, uint32_t key, uint32_t index, int64_t first, int64_t last, uint8_t flags)
{
    uint32_t g = evs__slice_append(r->slice, key);

    evs__slice_group_bounds(r->slice, g)[0] = first;
    evs__slice_group_bounds(r->slice, g)[1] = evs__slice_group_bounds(r->slice, g)[2] = last;
    r->slice->flags[g] = flags;
    r->groups[g] = g;
    r->which[g] = index;
}

static void put_deletes(const evs__window_op *w, result *r, uint32_t index)
{
    const sessions *s = own_of(w);
    const session *x = &s->items[index];

    for (uint32_t g = more(s, x)->gone; g != NONE; g = s->gones[g].next)
        put_row(r, more(s, x)->key, index, s->gones[g].first, s->gones[g].last, EVS__GROUP_DELETE);
    if (x->flags & EMITTED &&
        (more(s, x)->given_first != x->first || more(s, x)->given_last != x->last))
        put_row(r, more(s, x)->key, index, more(s, x)->given_first, more(s, x)->given_last,
                EVS__GROUP_DELETE);
}

static void put_session(const evs__window_op *w, result *r, uint32_t index)
{
    const sessions *s = own_of(w);
    const session *x = &s->items[index];
    bool same = x->flags & EMITTED && more(s, x)->given_first == x->first &&
                more(s, x)->given_last == x->last;

    put_row(r, more(s, x)->key, index, x->first, x->last, same ? EVS__GROUP_EMITTED : 0);
}

/* every group is given out but those that do not fit */
static void finish(evs__slice *slice)
{
    slice->dirty = 0;
    slice->start = slice->end = INT64_MAX;
    for (uint32_t g = 0; g < slice->count; g++) {
        if (evs__slice_group_bounds(slice, g)[2] < slice->end)
            slice->end = evs__time_add(evs__slice_group_bounds(slice, g)[2], 1);
        if (slice->flags[g] & EVS__GROUP_OVERFLOW && !(slice->flags[g] & EVS__GROUP_DELETE)) {
            slice->flags[g] = 0;
            continue;
        }
        slice->flags[g] &= (uint8_t)(EVS__GROUP_DELETE | EVS__GROUP_EMITTED);
        slice->flags[g] |= EVS__GROUP_DIRTY;
        slice->dirty++;
    }
    slice->start = slice->end;
}

/* results of list[0..n) into the closed queue */
static evs_status make_results(evs__window_op *w, const uint32_t *list, uint32_t n)
{
    sessions *s = own_of(w);
    evs__slice_bounds none = {.floor = EVS__NO_WINDOW};
    uint32_t rows = 0;
    result r = {NULL, NULL, NULL};
    evs_status status = evs__slice_new(w->state, &none, true, &r.slice);

    for (uint32_t i = 0; i < n; i++)
        rows += rows_of(w, &s->items[list[i]]);
    if (!status) {
        r.slice->bounded = true;
        status = evs__slice_reserve_groups(w->state, r.slice, rows);
    }
    r.groups = evs__realloc_array(w->base.ctx, NULL, (size_t)rows + 1, 2 * sizeof(*r.groups));
    if (status || !r.groups) {
        status = status ? status : EVS_ERR_NOMEM;
        goto out;
    }
    r.which = r.groups + rows;
    for (uint32_t i = 0; i < n && w->state->flagged; i++)
        put_deletes(w, &r, list[i]);
    for (uint32_t i = 0; i < n; i++)
        put_session(w, &r, list[i]);
    status = merge_sessions(w, r.slice, r.groups, r.which, rows);
out:
    evs__free(w->base.ctx, r.groups);
    if (status) {
        evs__slice_free(w->state, r.slice);
        return status;
    }
    finish(r.slice);
    evs__state_add_closed(w->state, r.slice);
    return EVS_OK;
}

static void free_gone(sessions *s, session *x)
{
    while (more(s, x)->gone != NONE) {
        uint32_t at = more(s, x)->gone;
        more(s, x)->gone = s->gones[at].next;
        s->gones[at].next = s->at.gone_free;
        s->at.gone_free = at;
    }
}

/* its groups are garbage from now on, itself a free slot when it leaves the heap */
static void end_session(evs__window_op *w, uint32_t index)
{
    sessions *s = own_of(w);
    session *x = &s->items[index];

    unlink_session(w, index, false);
    free_gone(s, x);
    for (uint32_t g = x->group; g != NONE; g = s->link[g]) {
        w->state->pool->order[g] = EVS__NO_KEY;
        s->live_groups--;
    }
    x->flags = 0;
    s->at.session_live--;
}

static void free_session(sessions *s, uint32_t index)
{
    s->items[index].next = s->at.session_free;
    s->at.session_free = index;
}

/* the session that is over first, or NONE: heap entries of before are put right on the way */
static uint32_t first_over(evs__window_op *w)
{
    sessions *s = own_of(w);
    int64_t now = evs__window_now(w);

    while (s->at.due_count && is_over(w, s->heap[0].last, now)) {
        due top = s->heap[0];
        const session *x = &s->items[top.session];
        if (!(x->flags & ALIVE)) {
            heap_pop(s);
            free_session(s, top.session);
        } else if (x->last != top.last) {
            heap_down(s, (due){x->last, more(s, x)->arrival, top.session});
        } else {
            return top.session;
        }
    }
    return NONE;
}

/* A list of those that are over cannot be made without taking them off the heap: if their results
 * then find no memory they are put back. */
static evs_status next_over(evs__window_op *w)
{
    sessions *s = own_of(w);
    uint32_t *list, n = 0, made = 0, at;
    evs_status status = EVS_OK;

    if (first_over(w) == NONE)
        return EVS_END;
    list = evs__realloc_array(w->base.ctx, NULL, EVS_BATCH_ROWS_MAX, 2 * sizeof(*list));
    if (!list)
        return EVS_ERR_NOMEM;
    for (; n < EVS_BATCH_ROWS_MAX && (at = first_over(w)) != NONE; n++) {
        list[n] = at;
        if (!w->state->flagged || s->items[at].flags & DIRTY)
            list[EVS_BATCH_ROWS_MAX + made++] = at;
        heap_pop(s);
    }
    if (made)
        status = make_results(w, list + EVS_BATCH_ROWS_MAX, made);
    for (uint32_t i = 0; i < n; i++) {
        const session *x = &s->items[list[i]];
        if (status) {
            heap_up(s, s->at.due_count++, (due){x->last, more(s, x)->arrival, list[i]});
        } else {
            end_session(w, list[i]);
            free_session(s, list[i]);
        }
    }
    evs__free(w->base.ctx, list);
    return status;
}

/* sessions that are not alive, or not dirty, leave the list */
static uint32_t clean_dirty(sessions *s, uint32_t most)
{
    uint32_t kept = 0, i = 0;

    for (; i < s->at.dirty_count && kept < most; i++) {
        const session *x = &s->items[s->dirty[i].session];
        if ((x->flags & (ALIVE | DIRTY)) == (ALIVE | DIRTY) &&
            more(s, x)->arrival == s->dirty[i].arrival)
            s->dirty[kept++] = s->dirty[i];
    }
    if (kept < i)
        memmove(s->dirty + kept, s->dirty + i, (s->at.dirty_count - i) * sizeof(*s->dirty));
    s->at.dirty_count -= i - kept;
    return kept;
}

static evs_status next_dirty(evs__window_op *w)
{
    sessions *s = own_of(w);
    uint32_t list[CHANGES_MAX], n = clean_dirty(s, CHANGES_MAX);
    evs_status status;

    if (!n)
        return EVS_END;
    for (uint32_t i = 0; i < n; i++)
        list[i] = s->dirty[i].session;
    status = make_results(w, list, n);
    if (status)
        return status;
    for (uint32_t i = 0; i < n; i++) {
        session *x = &s->items[list[i]];
        free_gone(s, x);
        x->flags = ALIVE | EMITTED;
        more(s, x)->given_first = x->first;
        more(s, x)->given_last = x->last;
    }
    memmove(s->dirty, s->dirty + n, (s->at.dirty_count - n) * sizeof(*s->dirty));
    s->at.dirty_count -= n;
    return EVS_OK;
}

/* Results may go beyond the bound of state: giving them out makes room. */
static evs_status next(evs__window_op *w, bool changes)
{
    size_t bound = w->state->account.max;
    evs_status status;

    w->state->account.max = SIZE_MAX;
    status = next_over(w);
    if (status == EVS_END && changes && w->state->flagged)
        status = next_dirty(w);
    w->state->account.max = bound;
    return status;
}

/* ---- the pool anew ---- */

/* one group a session, in order of sessions[] */
static evs_status move_pool(evs__window_op *w)
{
    sessions *s = own_of(w);
    evs__state *state = w->state;
    evs__slice_bounds none = {.floor = EVS__NO_WINDOW};
    evs__slice *pool = NULL;
    size_t bound = state->account.max;
    uint32_t n = 0, *list = NULL;
    evs_status status;

    state->account.max = SIZE_MAX;
    status = evs__slice_new(state, &none, true, &pool);
    if (!status)
        status = evs__slice_reserve_groups(state, pool, s->at.session_live);
    list = evs__realloc_array(w->base.ctx, NULL, (size_t)s->at.session_live + 1, 2 * sizeof(*list));
    if (!status && !list)
        status = EVS_ERR_NOMEM;
    if (!status)
        status = make_room(&state->account, (void **)&s->link, &s->link_capacity, pool->capacity,
                           sizeof(*s->link));
    for (uint32_t i = 0; i < s->at.session_count && !status; i++) {
        if (!(s->items[i].flags & ALIVE))
            continue;
        list[s->at.session_live + n] = evs__slice_append(pool, s->details[i].key);
        list[n++] = i;
    }
    if (!status)
        status = merge_sessions(w, pool, list + s->at.session_live, list, n);
    if (!status) {
        for (uint32_t i = 0; i < n; i++) {
            s->items[list[i]].group = i;
            s->link[i] = NONE;
        }
        evs__slice_free(state, state->pool);
        state->pool = pool;
        s->live_groups = n;
    } else {
        evs__slice_free(state, pool);
    }
    evs__free(w->base.ctx, list);
    state->account.max = bound;
    return status;
}

static void close_windows(evs__window_op *w)
{
    sessions *s = own_of(w);
    const evs__slice *pool = w->state->pool;

    if (s->at.dirty_count > 2 * s->at.session_live + GARBAGE_MIN)
        clean_dirty(s, NONE);
    /* if there is no memory for it now there will be later */
    if (pool && pool->count - s->live_groups > s->live_groups + GARBAGE_MIN)
        move_pool(w);
}

/* ---- the rest ---- */

static void setup(evs__window_op *w)
{
    w->delay_ms = w->opt.gap_ms;
    w->slicing.whole = false;
}

static void describe(const evs__window_op *w, evs__buffer *text)
{
    evs__buffer_printf(text, "session gap=%lld", (long long)w->opt.gap_ms);
}

static bool is_due(const evs__window_op *w)
{
    const sessions *s = own_of(w);
    return s->at.due_count && is_over(w, s->heap[0].last, evs__window_now(w));
}

static int64_t due_time(const evs__window_op *w)
{
    return is_due(w) ? own_of(w)->heap[0].last : INT64_MAX;
}

static int64_t first_close(const evs__window_op *w)
{
    const sessions *s = own_of(w);
    return s->at.due_count ? evs__time_add(over_after(w, s->heap[0].last), 1) : INT64_MAX;
}

static int64_t last_close(const evs__window_op *w)
{
    const sessions *s = own_of(w);
    int64_t last = EVS_TIME_NONE;

    for (uint32_t i = 0; i < s->at.session_count; i++) {
        const session *x = &s->items[i];
        if (x->flags & ALIVE && evs__time_add(over_after(w, x->last), 1) > last)
            last = evs__time_add(over_after(w, x->last), 1);
    }
    return last;
}

static int64_t open_count(const evs__window_op *w)
{
    return own_of(w)->at.session_live;
}

static void *own_new(const evs__window_op *w)
{
    sessions *s = evs__calloc(w->base.ctx, 1, sizeof(*s));

    if (s)
        s->at = (marks){.session_free = NONE, .gone_free = NONE};
    return s;
}

static void clear(evs__account *a, sessions *s)
{
    evs__account_free(a, s->items, s->capacity, sizeof(*s->items));
    evs__account_free(a, s->details, s->details_capacity, sizeof(*s->details));
    evs__account_free(a, s->head, s->head_capacity, sizeof(*s->head));
    evs__account_free(a, s->link, s->link_capacity, sizeof(*s->link));
    evs__account_free(a, s->gones, s->gone_capacity, sizeof(*s->gones));
    evs__account_free(a, s->dirty, s->dirty_capacity, sizeof(*s->dirty));
    evs__account_free(a, s->heap, s->heap_capacity, sizeof(*s->heap));
    evs__account_free(a, s->log, s->log_capacity, sizeof(*s->log));
    evs__account_free(a, s->copies, s->copy_capacity, sizeof(*s->copies));
    *s = (sessions){.at = {.session_free = NONE, .gone_free = NONE}};
}

static void own_free(const evs__window_op *w, evs__state *state, void *own)
{
    clear(&state->account, own);
    evs__free(w->base.ctx, own);
}

static void reset(evs__window_op *w)
{
    clear(&w->state->account, own_of(w));
}

static bool check(const evs__window_op *w, evs__slice_bounds *b, bool closed)
{
    (void)w;
    (void)closed;
    return b->start <= b->end;
}

static bool
explain(const evs__window_op *w, int64_t window_start, evs__buffer *out, int64_t *ret_end)
{
    const sessions *s = own_of(w);
    const session *found = NULL;
    uint32_t keys = 0;

    for (uint32_t i = 0; i < s->at.session_count; i++) {
        const session *x = &s->items[i];
        if (!(x->flags & ALIVE) || x->first > window_start || x->last < window_start)
            continue;
        keys++;
        if (!found || x->last > found->last)
            found = x;
    }
    evs__window_explain_bounds(w, found ? found->first : window_start,
                               found ? found->last : window_start, out);
    if (!found) {
        evs__buffer_text(out, "no session is open at this time\n");
        return false;
    }
    evs__buffer_printf(out, "open: %u keys\n", keys);
    *ret_end = evs__time_add(evs__time_add(found->last, w->opt.gap_ms), 1);
    return true;
}

/* ---- snapshots ---- */

static evs_status own_tidy(evs__window_op *w)
{
    return w->state->pool ? move_pool(w) : EVS_OK;
}

static void put(evs__buffer *out, const void *value, size_t len)
{
    evs__buffer_append(out, value, len);
}

static void write_session(const sessions *s, const session *x, evs__buffer *out)
{
    uint32_t n = 0;

    put(out, &x->first, 8);
    put(out, &x->last, 8);
    put(out, &more(s, x)->given_first, 8);
    put(out, &more(s, x)->given_last, 8);
    put(out, &more(s, x)->arrival, 8);
    put(out, &x->flags, 1);
    for (uint32_t g = more(s, x)->gone; g != NONE; g = s->gones[g].next)
        n++;
    put(out, &n, 4);
    for (uint32_t g = more(s, x)->gone; g != NONE; g = s->gones[g].next) {
        put(out, &s->gones[g].first, 8);
        put(out, &s->gones[g].last, 8);
    }
}

/* in order of groups, which is that of the slots; then the dirty ones in their order */
static evs_status own_write(const evs__window_op *w, evs__buffer *out)
{
    sessions *s = own_of(w);
    uint32_t n;

    put(out, &s->at.arrivals, 8);
    for (uint32_t i = 0; i < s->at.session_count; i++) {
        if (s->items[i].flags & ALIVE)
            write_session(s, &s->items[i], out);
    }
    n = clean_dirty(s, NONE);
    put(out, &n, 4);
    for (uint32_t i = 0; i < n; i++)
        put(out, &s->items[s->dirty[i].session].group, 4);
    return out->status;
}

static evs_status
read_session(const evs__window_op *w, evs__state *state, sessions *s, uint32_t i, evs__reader *in)
{
    session *x = &s->items[i];
    uint32_t n;

    *x = (session){.group = i};
    *more(s, x) = (details){.key = state->pool->order[i], .gone = NONE};
    if (!evs__read(in, &x->first, 8) || !evs__read(in, &x->last, 8) ||
        !evs__read(in, &more(s, x)->given_first, 8) || !evs__read(in, &more(s, x)->given_last, 8) ||
        !evs__read(in, &more(s, x)->arrival, 8) || !evs__read(in, &x->flags, 1) ||
        !evs__read(in, &n, 4))
        return EVS_ERR_CORRUPT;
    if (x->first > x->last || !(x->flags & ALIVE) || x->flags > (ALIVE | DIRTY | EMITTED) ||
        more(s, x)->given_first > more(s, x)->given_last || n > evs__reader_left(in) / 16 ||
        (!state->flagged && (n || x->flags != ALIVE)))
        return EVS_ERR_CORRUPT;
    for (; n; n--) {
        gone *g;
        evs_status status = make_room(&state->account, (void **)&s->gones, &s->gone_capacity,
                                      s->at.gone_count + 1, sizeof(*s->gones));
        if (status)
            return status;
        g = &s->gones[s->at.gone_count];
        if (!evs__read(in, &g->first, 8) || !evs__read(in, &g->last, 8))
            return EVS_ERR_CORRUPT;
        g->next = more(s, x)->gone;
        more(s, x)->gone = s->at.gone_count++;
    }
    x->next = s->head[more(s, x)->key] - 1;
    s->head[more(s, x)->key] = i + 1;
    s->link[i] = NONE;
    heap_up(s, s->at.due_count++, (due){x->last, more(s, x)->arrival, i});
    s->at.session_count = s->at.session_live = s->live_groups = i + 1;
    (void)w;
    return EVS_OK;
}

static evs_status read_dirty(evs__state *state, sessions *s, evs__reader *in)
{
    uint32_t n, dirty = 0;
    evs_status status;

    for (uint32_t i = 0; i < s->at.session_count; i++)
        dirty += (s->items[i].flags & DIRTY) != 0;
    if (!evs__read(in, &n, 4) || n != dirty)
        return EVS_ERR_CORRUPT;
    status =
        make_room(&state->account, (void **)&s->dirty, &s->dirty_capacity, n, sizeof(*s->dirty));
    for (uint32_t i = 0; i < n && !status; i++) {
        uint32_t at;
        if (!evs__read(in, &at, 4) || at >= s->at.session_count || !(s->items[at].flags & DIRTY))
            return EVS_ERR_CORRUPT;
        s->dirty[s->at.dirty_count++] = (changed){s->details[at].arrival, at};
    }
    return status;
}

static evs_status own_read(const evs__window_op *w, evs__state *state, void *own, evs__reader *in)
{
    sessions *s = own;
    evs__account *a = &state->account;
    uint32_t n = state->pool ? state->pool->count : 0;
    evs_status status = EVS_OK;

    if (!evs__read(in, &s->at.arrivals, 8))
        return EVS_ERR_CORRUPT;
    status = make_room(a, (void **)&s->items, &s->capacity, n, sizeof(*s->items));
    if (!status)
        status = make_room(a, (void **)&s->details, &s->details_capacity, n, sizeof(*s->details));
    if (!status)
        status = make_room(a, (void **)&s->heap, &s->heap_capacity, n, sizeof(*s->heap));
    if (!status)
        status = make_room(a, (void **)&s->link, &s->link_capacity,
                           state->pool ? state->pool->capacity : 0, sizeof(*s->link));
    if (!status)
        status =
            make_room(a, (void **)&s->head, &s->head_capacity, state->keys.high, sizeof(*s->head));
    if (status)
        return status;
    if (s->head_capacity)
        memset(s->head, 0, s->head_capacity * sizeof(*s->head));
    for (uint32_t i = 0; i < n && !status; i++)
        status = read_session(w, state, s, i, in);
    return status ? status : read_dirty(state, s, in);
}

const evs__window_family evs__window_session = {
    .setup = setup,
    .describe = describe,
    .assign = assign,
    .taken = taken,
    .dropped = dropped,
    .close = close_windows,
    .next = next,
    .is_due = is_due,
    .due_time = due_time,
    .first_close = first_close,
    .last_close = last_close,
    .open_count = open_count,
    .reset = reset,
    .check = check,
    .explain = explain,
    .own_new = own_new,
    .own_free = own_free,
    .own_tidy = own_tidy,
    .own_write = own_write,
    .own_read = own_read,
};
