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
 */
#include "engine/window_session.h"

evs_status
evs__session_room(evs__account *a, void **array, uint32_t *capacity, uint32_t want, size_t item)
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
    evs_status status = evs__session_room(&w->state->account, (void **)&s->log, &s->log_capacity,
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
    status = evs__session_room(&w->state->account, (void **)&s->copies, &s->copy_capacity,
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

void evs__session_heap_up(sessions *s, uint32_t at, due item)
{
    while (at && due_before(&item, &s->heap[(at - 1) / 2])) {
        s->heap[at] = s->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    s->heap[at] = item;
}

void evs__session_heap_down(sessions *s, due item)
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

void evs__session_heap_pop(sessions *s)
{
    due last = s->heap[--s->at.due_count];
    if (s->at.due_count)
        evs__session_heap_down(s, last);
}

/* ---- lists ---- */

static evs_status new_group(evs__window_op *w, uint32_t key, uint32_t *ret)
{
    sessions *s = own_of(w);
    evs__slice *pool = w->state->pool;
    evs_status status = evs__slice_reserve_groups(w->state, pool, 1);

    if (!status)
        status = evs__session_room(&w->state->account, (void **)&s->link, &s->link_capacity,
                                   pool->capacity, sizeof(*s->link));
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
        status = evs__session_room(a, (void **)&s->items, &s->capacity, s->at.session_count + 1,
                                   sizeof(*s->items));
    if (at == NONE && !status)
        status = evs__session_room(a, (void **)&s->details, &s->details_capacity,
                                   s->at.session_count + 1, sizeof(*s->details));
    if (!status) /* sessions alive and dead ones that are still in the heap */
        status = evs__session_room(a, (void **)&s->heap, &s->heap_capacity, s->at.session_count + 1,
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
evs_status evs__session_unlink(evs__window_op *w, uint32_t index, bool logged)
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
        status = evs__session_room(&w->state->account, (void **)&s->gones, &s->gone_capacity,
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
    evs_status status = evs__session_unlink(w, from, true);

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
    status = evs__session_room(&w->state->account, (void **)&s->dirty, &s->dirty_capacity,
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
        status = evs__session_room(&state->account, (void **)&s->head, &s->head_capacity,
                                   state->keys.high, sizeof(*s->head));
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
            evs__session_heap_up(s, s->at.due_count++,
                                 (due){s->items[at].last, s->details[at].arrival, at});
    }
    s->log_count = 0;
    s->in_batch = false;
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
    return w->state->pool ? evs__session_move_pool(w) : EVS_OK;
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
    n = evs__session_clean_dirty(s, NONE);
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
        evs_status status =
            evs__session_room(&state->account, (void **)&s->gones, &s->gone_capacity,
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
    evs__session_heap_up(s, s->at.due_count++, (due){x->last, more(s, x)->arrival, i});
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
    status = evs__session_room(&state->account, (void **)&s->dirty, &s->dirty_capacity, n,
                               sizeof(*s->dirty));
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
    status = evs__session_room(a, (void **)&s->items, &s->capacity, n, sizeof(*s->items));
    if (!status)
        status = evs__session_room(a, (void **)&s->details, &s->details_capacity, n,
                                   sizeof(*s->details));
    if (!status)
        status = evs__session_room(a, (void **)&s->heap, &s->heap_capacity, n, sizeof(*s->heap));
    if (!status)
        status = evs__session_room(a, (void **)&s->link, &s->link_capacity,
                                   state->pool ? state->pool->capacity : 0, sizeof(*s->link));
    if (!status)
        status = evs__session_room(a, (void **)&s->head, &s->head_capacity, state->keys.high,
                                   sizeof(*s->head));
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
    .close = evs__session_close,
    .next = evs__session_next,
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
