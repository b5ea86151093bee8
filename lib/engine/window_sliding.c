/*
 * engine/window_sliding.c: sliding windows: every distinct set of rows of a key within a duration,
 * both ends inclusive; the semantics of Kafka Streams' sliding windows (KIP-450).
 *
 * For a row at t there are the window [t - size, t], and the window [t + 1, t + 1 + size] as soon
 * as it has a row. Times are not below 0: for a row at 0 <= t < size the first is [0, size]. A row
 * goes to every window of its key that has its time and is not over (window_end + grace <
 * watermark). What is over is never made: a row whose own window is over counts for those newer
 * ones that there are, and is late; a row that no window takes leaves nothing behind, so no later
 * window has it.
 *
 * Rows are added once, to the pane of their time, whatever the number of windows it is in; windows
 * are starts in two lists (window_sliding.h) and get their panes when results are made. In order of
 * time a row appends to the end of all lists; out of order it costs moving what is behind.
 *
 * A batch changes all this while it may still fail: what it made is logged and taken back by
 * dropped(). Keys with windows are in a heap by the end of the first one; its entries are put right
 * when they come up (window_sliding_emit.c). A pane goes with the last window that could have it:
 * until then the window behind it could still be made. Groups are not freed one by one, since
 * aggregates keep things beside them: when more than half of the pool is unused, the live ones move
 * to a new one.
 */
#include "engine/window_sliding.h"

#define GARBAGE_MIN 1024u

typedef evs__sliding sliding;
typedef evs__keyed keyed;

static inline sliding *own_of(const evs__window_op *w)
{
    return evs__sliding_of(w);
}

static evs_status
make_room(evs__account *a, void **array, uint32_t *capacity, uint64_t want, size_t item)
{
    uint64_t more = (uint64_t)*capacity * 2;
    evs_status status;

    if (want <= *capacity)
        return EVS_OK;
    more = more < want ? want : more;
    more = more < 4 ? 4 : more;
    if (more >= UINT32_MAX)
        return EVS_ERR_LIMIT;
    status = evs__account_resize(a, array, *capacity, more, item);
    if (!status)
        *capacity = (uint32_t)more;
    return status;
}

/* ---- the two kinds of queues: items move to the front when half of the array is free ---- */

static evs_status queue_room(
    evs__account *a, void **items, uint32_t *head, uint32_t count, uint32_t *capacity, size_t item)
{
    if (*head + count < *capacity)
        return EVS_OK;
    if (*head > count) {
        memmove(*items, (char *)*items + *head * item, count * item);
        *head = 0;
        return EVS_OK;
    }
    return make_room(a, items, capacity, (uint64_t)*head + count + 1, item);
}

/* the first pane not before (time, floor) */
static uint32_t find_pane(const keyed *x, int64_t time, int64_t floor)
{
    uint32_t low = 0, high = x->panes.count;

    if (high) { /* usually behind or at the last one */
        const evs__pane *last = evs__pane_at(x, high - 1);
        if (last->time < time || (last->time == time && last->floor < floor))
            return high;
        if (last->time == time && last->floor == floor &&
            (high == 1 || evs__pane_at(x, high - 2)->time < time))
            return high - 1;
    }
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        const evs__pane *pane = evs__pane_at(x, mid);
        if (pane->time < time || (pane->time == time && pane->floor < floor))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static uint32_t find_span(const evs__spans *s, int64_t start)
{
    uint32_t low = 0, high = s->count;

    if (high && evs__span_at(s, high - 1)->start < start)
        return high;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (evs__span_at(s, mid)->start < start)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool has_span(const evs__spans *s, int64_t start)
{
    uint32_t at = find_span(s, start);
    return at < s->count && evs__span_at(s, at)->start == start;
}

static bool has_window(const keyed *x, int64_t start)
{
    return has_span(&x->spans[0], start) || has_span(&x->spans[1], start);
}

/* The same, for rows in order: their windows are behind all of spans 0, and in spans 1 each is
 * looked for near the last one. */
static bool has_next_window(keyed *x, int64_t start)
{
    const evs__spans *s = &x->spans[1];
    uint32_t at = x->hint < s->count ? x->hint : s->count;

    for (int steps = 0; steps < 3 && at < s->count && evs__span_at(s, at)->start < start; steps++)
        at++;
    if ((at < s->count && evs__span_at(s, at)->start < start) ||
        (at && evs__span_at(s, at - 1)->start >= start))
        at = find_span(s, start);
    x->hint = at;
    return has_span(&x->spans[0], start) || (at < s->count && evs__span_at(s, at)->start == start);
}

static void remove_pane(keyed *x, uint32_t at)
{
    evs__panes *p = &x->panes;
    memmove(p->items + p->head + at, p->items + p->head + at + 1,
            (p->count - at - 1) * sizeof(*p->items));
    p->count--;
}

static void remove_span(evs__spans *s, uint32_t at)
{
    memmove(s->items + s->head + at, s->items + s->head + at + 1,
            (s->count - at - 1) * sizeof(*s->items));
    s->count--;
}

/* ---- keys ---- */

static evs_status new_keyed(evs__window_op *w, uint32_t key, keyed **ret)
{
    keyed *x = NULL;
    evs_status status = evs__account_resize(&w->state->account, (void **)&x, 0, 1, sizeof(*x));

    if (status)
        return status;
    *x = (keyed){.key = key};
    own_of(w)->keyed[key] = x;
    own_of(w)->keys++;
    *ret = x;
    return EVS_OK;
}

static void free_keyed(evs__state *state, sliding *s, keyed *x)
{
    evs__account *a = &state->account;

    evs__pane_slider_drop(state, &x->slider);
    evs__account_free(a, x->panes.items, x->panes.capacity, sizeof(*x->panes.items));
    for (int i = 0; i < 2; i++)
        evs__account_free(a, x->spans[i].items, x->spans[i].capacity, sizeof(*x->spans[i].items));
    s->keyed[x->key] = NULL;
    s->keys--;
    evs__account_free(a, x, 1, sizeof(*x));
}

int64_t evs__sliding_next_end(const evs__window_op *w, const keyed *x)
{
    const evs__spans *a = &x->spans[0], *b = &x->spans[1];

    if (a->count && (!b->count || evs__span_at(a, 0)->start < evs__span_at(b, 0)->start))
        return evs__sliding_end(w, evs__span_at(a, 0)->start);
    if (b->count)
        return evs__sliding_end(w, evs__span_at(b, 0)->start);
    return evs__time_add(evs__sliding_end(w, evs__pane_at(x, x->panes.count - 1)->time), 1);
}

void evs__sliding_prune(evs__window_op *w, keyed *x)
{
    sliding *s = own_of(w);
    int64_t now = evs__window_now(w), needed = INT64_MAX;

    for (int i = 0; i < 2; i++) {
        if (x->spans[i].count && evs__span_at(&x->spans[i], 0)->start < needed)
            needed = evs__span_at(&x->spans[i], 0)->start;
    }
    while (x->panes.count) {
        const evs__pane *pane = evs__pane_at(x, 0);
        bool open = x->spans[0].count || x->spans[1].count;
        if ((open && pane->time >= needed) ||
            !evs__sliding_over(w, evs__time_add(evs__sliding_end(w, pane->time), 1), now))
            break;
        w->state->pool->order[pane->group] = EVS__NO_KEY;
        s->live--;
        x->panes.head++;
        x->panes.count--;
        x->base++;
    }
    if (!x->panes.count)
        free_keyed(w->state, s, x);
}

void evs__sliding_drop_first(evs__window_op *w, keyed *x)
{
    evs__spans *a = &x->spans[0], *b = &x->spans[1];

    if (!b->count || (a->count && evs__span_at(a, 0)->start < evs__span_at(b, 0)->start))
        b = a;
    b->head++;
    b->count--;
    own_of(w)->windows--;
    evs__sliding_prune(w, x);
}

/* ---- the heap ---- */

static void heap_up(sliding *s, uint32_t at, evs__sliding_due item)
{
    while (at && item.end < s->due[(at - 1) / 2].end) {
        s->due[at] = s->due[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    s->due[at] = item;
}

void evs__sliding_push(sliding *s, evs__sliding_due due)
{
    heap_up(s, s->due_count++, due);
}

void evs__sliding_pop(sliding *s)
{
    evs__sliding_due item = s->due[--s->due_count];
    uint32_t at = 0, child;

    while ((child = 2 * at + 1) < s->due_count) {
        if (child + 1 < s->due_count && s->due[child + 1].end < s->due[child].end)
            child++;
        if (item.end <= s->due[child].end)
            break;
        s->due[at] = s->due[child];
        at = child;
    }
    s->due[at] = item;
}

/* the key's place in the heap is not behind `end` */
static evs_status need_due(evs__window_op *w, keyed *x, int64_t end)
{
    sliding *s = own_of(w);
    evs_status status;

    if (x->waiting && x->queued <= end)
        return EVS_OK;
    status = make_room(&w->state->account, (void **)&s->due, &s->due_capacity,
                       (uint64_t)s->due_count + 1, sizeof(*s->due));
    if (status)
        return status;
    x->queued = end;
    x->waiting = true;
    evs__sliding_push(s, (evs__sliding_due){end, x->key});
    return EVS_OK;
}

/* ---- the log ---- */

static evs_status log_add(
    evs__window_op *w, evs__sliding_step step, uint32_t key, int64_t at, int64_t floor, int which)
{
    sliding *s = own_of(w);
    evs_status status = make_room(&w->state->account, (void **)&s->log, &s->log_capacity,
                                  (uint64_t)s->log_count + 1, sizeof(*s->log));

    if (!status)
        s->log[s->log_count++] = (evs__sliding_log){at, floor, key, (uint8_t)step, (uint8_t)which};
    return status;
}

static void take_back(evs__window_op *w, const evs__sliding_log *e)
{
    sliding *s = own_of(w);
    keyed *x = s->keyed[e->key];

    switch ((evs__sliding_step)e->step) {
    case EVS__MADE_KEY:
        free_keyed(w->state, s, x);
        break;
    case EVS__MADE_PANE:
        remove_pane(x, find_pane(x, e->at, e->floor));
        s->live--;
        break;
    case EVS__MADE_SPAN:
        remove_span(&x->spans[e->which], find_span(&x->spans[e->which], e->at));
        s->windows--;
        break;
    case EVS__MADE_DIRTY:
        evs__pane_at(x, find_pane(x, e->at, e->floor))->dirty = 0;
        break;
    case EVS__MADE_LISTED:
        x->listed = false;
        s->changed_count--;
        break;
    }
}

/* caches are dropped too: the next attempt may need their memory */
static void dropped(evs__window_work *k)
{
    evs__window_op *w = k->w;
    sliding *s = own_of(w);

    if (!s->in_batch)
        return;
    while (s->log_count)
        take_back(w, &s->log[--s->log_count]);
    w->state->pool->count = s->groups_before;
    s->arrivals = s->arrivals_before;
    s->in_batch = false;
    for (uint32_t i = 0; i < s->keyed_capacity; i++) {
        if (s->keyed[i])
            evs__pane_slider_drop(w->state, &s->keyed[i]->slider);
    }
}

/* ---- a row ---- */

/* the pane takes a row: results made before are stale */
static evs_status touch_pane(evs__window_op *w, keyed *x, uint32_t at)
{
    evs__pane *pane = evs__pane_at(x, at);
    uint64_t number = x->base + at;
    evs_status status = EVS_OK;

    if (x->slider.front[0] && number < x->slider.back_end)
        evs__pane_slider_drop(w->state, &x->slider);
    if (!w->state->flagged || pane->dirty)
        return EVS_OK;
    status = log_add(w, EVS__MADE_DIRTY, x->key, pane->time, pane->floor, 0);
    if (status)
        return status;
    pane->dirty = 1;
    if (number < x->changed)
        x->changed = number;
    return EVS_OK;
}

/* something of the key is to be told at the next flush */
static evs_status list_key(evs__window_op *w, keyed *x)
{
    sliding *s = own_of(w);
    evs_status status;

    if (!w->state->flagged || x->listed)
        return EVS_OK;
    status = make_room(&w->state->account, (void **)&s->changed, &s->changed_capacity,
                       (uint64_t)s->changed_count + 1, sizeof(*s->changed));
    if (!status)
        status = log_add(w, EVS__MADE_LISTED, x->key, 0, 0, 0);
    if (status)
        return status;
    x->listed_at = s->changed_base + s->changed_count;
    s->changed[s->changed_count++] = x->key;
    x->listed = true;
    return EVS_OK;
}

static evs_status add_pane(evs__window_op *w, keyed *x, uint32_t at, int64_t time, int64_t floor)
{
    sliding *s = own_of(w);
    evs__slice *pool = w->state->pool;
    evs__panes *p = &x->panes;
    evs_status status = queue_room(&w->state->account, (void **)&p->items, &p->head, p->count,
                                   &p->capacity, sizeof(*p->items));

    if (!status)
        status = evs__slice_reserve_groups(w->state, pool, 1);
    if (!status)
        status = log_add(w, EVS__MADE_PANE, x->key, time, floor, 0);
    if (status)
        return status;
    memmove(p->items + p->head + at + 1, p->items + p->head + at,
            (p->count - at) * sizeof(*p->items));
    p->count++;
    *evs__pane_at(x, at) = (evs__pane){time, floor, evs__slice_append(pool, x->key), 0};
    memset(evs__slice_row(w->state, pool, pool->count - 1), 0, w->state->stride);
    pool->flags[pool->count - 1] = 0;
    s->live++;
    if (x->base + at < x->changed)
        x->changed = x->base + at;
    return EVS_OK;
}

static evs_status add_window(evs__window_op *w, keyed *x, int which, int64_t start)
{
    sliding *s = own_of(w);
    evs__spans *spans = &x->spans[which];
    uint32_t at;
    evs_status status;

    if (which ? has_window(x, start) : has_next_window(x, start))
        return EVS_OK;
    status = queue_room(&w->state->account, (void **)&spans->items, &spans->head, spans->count,
                        &spans->capacity, sizeof(*spans->items));
    if (!status)
        status = need_due(w, x, evs__sliding_end(w, start));
    if (!status)
        status = log_add(w, EVS__MADE_SPAN, x->key, start, 0, which);
    if (status)
        return status;
    at = find_span(spans, start);
    memmove(spans->items + spans->head + at + 1, spans->items + spans->head + at,
            (spans->count - at) * sizeof(*spans->items));
    spans->count++;
    *evs__span_at(spans, at) = (evs__span){.start = start, .arrival = s->arrivals, .emitted = 0};
    s->windows++;
    return list_key(w, x);
}

typedef struct row {
    int64_t t, mark;
    int64_t start, end; /* its own window */
    bool in_time;       /* for that one */
    uint32_t group;
    bool taken;
} row;

static row row_of(const evs__window_op *w, int64_t t, int64_t mark)
{
    row r = {.t = t, .mark = mark, .start = evs__time_sub(t, w->opt.size_ms)};

    if (t >= 0 && r.start < 0)
        r.start = 0;
    r.end = evs__sliding_end(w, r.start);
    r.in_time = !evs__sliding_over(w, r.end, mark);
    return r;
}

/* windows there are that take a row whose own window is over */
static uint32_t windows_taking(const evs__window_op *w, const keyed *x, const row *r)
{
    uint32_t n = 0;

    for (int i = 0; i < 2; i++) {
        const evs__spans *s = &x->spans[i];
        for (uint32_t at = find_span(s, r->start); at < s->count; at++) {
            int64_t start = evs__span_at(s, at)->start;
            if (start > r->t)
                break;
            n += !evs__sliding_over(w, evs__sliding_end(w, start), r->mark);
        }
    }
    return n;
}

/* windows that begin to exist: behind the row before, the row's own, behind the row */
static evs_status make_windows(evs__window_op *w, keyed *x, const row *r, uint32_t at)
{
    uint32_t behind = at;
    int64_t start, end;
    evs_status status = EVS_OK;

    if (at) {
        start = evs__pane_at(x, at - 1)->time + 1;
        end = evs__sliding_end(w, start);
        if (end >= r->t && !evs__sliding_over(w, end, r->mark))
            status = add_window(w, x, 1, start);
    }
    if (!status && r->in_time)
        status = add_window(w, x, 0, r->start);
    while (behind < x->panes.count && evs__pane_at(x, behind)->time == r->t)
        behind++;
    if (status || behind == x->panes.count)
        return status;
    start = r->t + 1; /* there is a later time */
    if (evs__pane_at(x, behind)->time <= evs__sliding_end(w, start))
        status = add_window(w, x, 1, start);
    return status;
}

static evs_status take_row(evs__window_op *w, uint32_t key, row *r)
{
    sliding *s = own_of(w);
    keyed *x = s->keyed[key];
    int64_t floor = evs__sliding_over(w, r->t, r->mark) ? r->mark : EVS_TIME_NONE;
    uint32_t at;
    evs_status status = EVS_OK;

    if (!x) {
        if (!r->in_time)
            return EVS_OK;
        status = new_keyed(w, key, &x);
        if (!status && (status = log_add(w, EVS__MADE_KEY, key, 0, 0, 0)))
            free_keyed(w->state, s, x);
        if (status)
            return status;
    }
    at = find_pane(x, r->t, EVS_TIME_NONE);
    if (floor != EVS_TIME_NONE || at == x->panes.count || evs__pane_at(x, at)->time != r->t ||
        evs__pane_at(x, at)->floor != floor)
        status = make_windows(w, x, r, at);
    r->taken = r->in_time || windows_taking(w, x, r);
    if (status || !r->taken)
        return status;
    at = find_pane(x, r->t, floor);
    if (at == x->panes.count || evs__pane_at(x, at)->time != r->t ||
        evs__pane_at(x, at)->floor != floor)
        status = add_pane(w, x, at, r->t, floor);
    if (!status)
        status = touch_pane(w, x, at);
    if (!status)
        status = list_key(w, x);
    r->group = status ? 0 : evs__pane_at(x, at)->group;
    return status;
}

/* ---- a batch ---- */

static evs_status prepare(evs__window_work *k)
{
    evs__window_op *w = k->w;
    evs__state *state = w->state;
    sliding *s = own_of(w);
    evs__slice_bounds bounds = {.floor = EVS__NO_WINDOW};
    uint32_t old = s->keyed_capacity;
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
        status = make_room(&state->account, (void **)&s->keyed, &s->keyed_capacity,
                           state->keys.high, sizeof(*s->keyed));
    if (status)
        return status;
    for (uint32_t i = old; i < s->keyed_capacity; i++)
        s->keyed[i] = NULL;
    k->interned = k->grouped = s->in_batch = true;
    s->groups_before = state->pool->count;
    s->arrivals_before = s->arrivals;
    s->log_count = 0;
    return EVS_OK;
}

static evs_status refuse(evs__window_work *k, uint32_t index, uint32_t key, const row *r)
{
    const keyed *x = own_of(k->w)->keyed[key];
    evs__late_row late = {.row = index,
                          .refused = 1,
                          .accepted = x ? (int32_t)windows_taking(k->w, x, r) : 0,
                          .start = r->start,
                          .end = r->end,
                          .watermark = r->mark};

    if (late.accepted && k->w->opt.late == EVS_LATE_ALL_WINDOWS)
        return EVS_OK;
    return evs__work_late(k, &late);
}

static evs_status assign(evs__window_work *k)
{
    evs__window_op *w = k->w;
    sliding *s = own_of(w);
    int64_t mark = k->base;
    uint32_t kept = 0;
    evs_status status = prepare(k);

    for (uint32_t i = 0; i < k->n && !status; i++) {
        uint32_t index = k->rows[i];
        int64_t now = evs__work_mark(k, index);
        row r;
        mark = now > mark ? now : mark;
        r = row_of(w, evs__work_time(k, index), mark);
        s->arrivals++;
        if (!evs__sliding_over(w, evs__sliding_end(w, r.t), mark))
            status = take_row(w, k->key_ids[i], &r);
        if (!status && !r.in_time)
            status = refuse(k, index, k->key_ids[i], &r);
        if (status || !r.taken)
            continue;
        k->rows[kept] = index;
        k->key_ids[kept] = k->key_ids[i];
        k->groups[kept++] = r.group;
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
    own_of(k->w)->log_count = 0;
    own_of(k->w)->in_batch = false;
}

/* ---- the pool anew ---- */

/* live groups by key, in order of time */
static evs_status move_pool(evs__window_op *w)
{
    sliding *s = own_of(w);
    evs__state *state = w->state;
    evs__slice_bounds none = {.floor = EVS__NO_WINDOW};
    evs__slice *pool = NULL;
    size_t bound = state->account.max;
    uint32_t n = 0, *from, *to;
    evs_status status;

    state->account.max = SIZE_MAX;
    status = evs__slice_new(state, &none, true, &pool);
    if (!status)
        status = evs__slice_reserve_groups(state, pool, s->live);
    from = evs__realloc_array(w->base.ctx, NULL, (size_t)s->live + 1, 2 * sizeof(*from));
    if (!status && !from)
        status = EVS_ERR_NOMEM;
    to = from ? from + s->live : NULL;
    for (uint32_t i = 0; i < s->keyed_capacity && !status; i++) {
        const keyed *x = s->keyed[i];
        for (uint32_t j = 0; x && j < x->panes.count; j++) {
            from[n] = evs__pane_at(x, j)->group;
            to[n++] = evs__slice_append(pool, i);
        }
    }
    if (!status)
        status = evs__window_merge_groups(w, pool, to, state->pool, from, n);
    n = 0;
    for (uint32_t i = 0; i < s->keyed_capacity && !status; i++) {
        for (uint32_t j = 0; s->keyed[i] && j < s->keyed[i]->panes.count; j++)
            evs__pane_at(s->keyed[i], j)->group = n++;
    }
    evs__slice_free(state, status ? pool : state->pool);
    if (!status)
        state->pool = pool;
    evs__free(w->base.ctx, from);
    state->account.max = bound;
    return status;
}

/* only entries that are right */
static void tidy_changed(sliding *s)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < s->changed_count; i++) {
        keyed *x = evs__sliding_changed(s, i);
        if (!x)
            continue;
        x->listed_at = s->changed_base + kept;
        s->changed[kept++] = x->key;
    }
    s->changed_count = kept;
}

static void close_windows(evs__window_op *w)
{
    sliding *s = own_of(w);
    const evs__slice *pool = w->state->pool;

    if (s->changed_count > 2 * s->keys + GARBAGE_MIN)
        tidy_changed(s);

    /* if there is no memory for it now there will be later */
    if (pool && pool->count - s->live > s->live + GARBAGE_MIN)
        move_pool(w);
}

/* ---- the rest ---- */

static void setup(evs__window_op *w)
{
    w->delay_ms = w->opt.size_ms;
    w->slicing.whole = false;
}

static void describe(const evs__window_op *w, evs__buffer *text)
{
    evs__buffer_printf(text, "sliding size=%lld", (long long)w->opt.size_ms);
}

static bool is_due(const evs__window_op *w)
{
    const sliding *s = own_of(w);
    return s->due_count && evs__sliding_over(w, s->due[0].end, evs__window_now(w));
}

/* a window's rows are not older than its start */
static int64_t due_time(const evs__window_op *w)
{
    return is_due(w) ? evs__time_sub(own_of(w)->due[0].end, w->opt.size_ms) : INT64_MAX;
}

static int64_t over_at(const evs__window_op *w, int64_t end)
{
    return evs__time_add(evs__time_add(end, w->opt.grace_ms), 1);
}

static int64_t first_close(const evs__window_op *w)
{
    const sliding *s = own_of(w);
    return s->due_count ? over_at(w, s->due[0].end) : INT64_MAX;
}

static int64_t last_close(const evs__window_op *w)
{
    const sliding *s = own_of(w);
    int64_t last = EVS_TIME_NONE;

    for (uint32_t i = 0; i < s->keyed_capacity; i++) {
        for (int j = 0; s->keyed[i] && j < 2; j++) {
            const evs__spans *spans = &s->keyed[i]->spans[j];
            int64_t at;
            if (!spans->count)
                continue;
            at = over_at(w, evs__sliding_end(w, evs__span_at(spans, spans->count - 1)->start));
            last = at > last ? at : last;
        }
    }
    return last;
}

static int64_t open_count(const evs__window_op *w)
{
    return (int64_t)own_of(w)->windows;
}

static void *own_new(const evs__window_op *w)
{
    return evs__calloc(w->base.ctx, 1, sizeof(sliding));
}

static void clear(evs__state *state, sliding *s)
{
    evs__account *a = &state->account;

    for (uint32_t i = 0; i < s->keyed_capacity; i++) {
        if (s->keyed[i])
            free_keyed(state, s, s->keyed[i]);
    }
    evs__account_free(a, s->keyed, s->keyed_capacity, sizeof(*s->keyed));
    evs__account_free(a, s->due, s->due_capacity, sizeof(*s->due));
    evs__account_free(a, s->changed, s->changed_capacity, sizeof(*s->changed));
    evs__account_free(a, s->log, s->log_capacity, sizeof(*s->log));
    memset(s, 0, sizeof(*s));
}

static void own_free(const evs__window_op *w, evs__state *state, void *own)
{
    clear(state, own);
    evs__free(w->base.ctx, own);
}

static void reset(evs__window_op *w)
{
    clear(w->state, own_of(w));
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
    const sliding *s = own_of(w);
    uint32_t keys = 0;

    *ret_end = evs__sliding_end(w, window_start);
    for (uint32_t i = 0; i < s->keyed_capacity; i++)
        keys += s->keyed[i] && has_window(s->keyed[i], window_start);
    evs__window_explain_bounds(w, window_start, *ret_end, out);
    if (evs__sliding_over(w, *ret_end, evs__window_now(w))) {
        evs__buffer_text(out, "closed: rows for it are late\n");
        return false;
    }
    if (keys)
        evs__buffer_printf(out, "open: %u keys\n", keys);
    else
        evs__buffer_text(out, "no key has a window that begins there\n");
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

/* arrivals | keys in order of groups: panes, windows | those with changes, by their first group */
static evs_status own_write(const evs__window_op *w, evs__buffer *out)
{
    sliding *s = own_of(w);

    put(out, &s->arrivals, 8);
    for (uint32_t i = 0; i < s->keyed_capacity; i++) {
        const keyed *x = s->keyed[i];
        if (!x)
            continue;
        put(out, &x->panes.count, 4);
        for (uint32_t j = 0; j < x->panes.count; j++) {
            uint8_t dirty = (uint8_t)evs__pane_at(x, j)->dirty;
            put(out, &evs__pane_at(x, j)->time, 8);
            put(out, &evs__pane_at(x, j)->floor, 8);
            put(out, &dirty, 1);
        }
        for (int which = 0; which < 2; which++) {
            put(out, &x->spans[which].count, 4);
            for (uint32_t j = 0; j < x->spans[which].count; j++) {
                const evs__span *span = evs__span_at(&x->spans[which], j);
                uint64_t made = span->arrival << 1 | span->emitted;
                put(out, &span->start, 8);
                put(out, &made, 8);
            }
        }
    }
    tidy_changed(s);
    put(out, &s->changed_count, 4);
    for (uint32_t i = 0; i < s->changed_count; i++)
        put(out, &evs__pane_at(s->keyed[s->changed[i]], 0)->group, 4);
    return out->status;
}

static evs_status
read_panes(evs__state *state, sliding *s, keyed *x, uint32_t first, evs__reader *in)
{
    uint32_t count;
    evs_status status;

    if (!evs__read(in, &count, 4) || !count || count > state->pool->count - first)
        return EVS_ERR_CORRUPT;
    status = make_room(&state->account, (void **)&x->panes.items, &x->panes.capacity, count,
                       sizeof(*x->panes.items));
    if (status)
        return status;
    for (uint32_t i = 0; i < count; i++) {
        evs__pane *pane = &x->panes.items[i];
        uint8_t dirty = 0;
        if (state->pool->order[first + i] != x->key || !evs__read(in, &pane->time, 8) ||
            !evs__read(in, &pane->floor, 8) || !evs__read(in, &dirty, 1) || dirty > state->flagged)
            return EVS_ERR_CORRUPT;
        if (pane->time == EVS_TIME_NONE ||
            (i && (pane->time < pane[-1].time ||
                   (pane->time == pane[-1].time && pane->floor <= pane[-1].floor))))
            return EVS_ERR_CORRUPT;
        pane->dirty = dirty;
        pane->group = first + i;
        x->panes.count++;
    }
    s->live += count;
    return EVS_OK;
}

static evs_status read_spans(evs__state *state, sliding *s, evs__spans *spans, evs__reader *in)
{
    uint32_t count;
    evs_status status;

    if (!evs__read(in, &count, 4) || count > evs__reader_left(in) / 16)
        return EVS_ERR_CORRUPT;
    status = make_room(&state->account, (void **)&spans->items, &spans->capacity, count,
                       sizeof(*spans->items));
    if (status)
        return status;
    for (uint32_t i = 0; i < count; i++) {
        evs__span *span = &spans->items[i];
        uint64_t made;
        if (!evs__read(in, &span->start, 8) || !evs__read(in, &made, 8) ||
            (i && span->start <= span[-1].start) || (made & 1 && !state->flagged))
            return EVS_ERR_CORRUPT;
        span->arrival = made >> 1;
        span->emitted = made & 1;
        spans->count++;
    }
    s->windows += count;
    return EVS_OK;
}

static evs_status
read_keyed(const evs__window_op *w, evs__state *state, sliding *s, uint32_t first, evs__reader *in)
{
    uint32_t key = state->pool->order[first];
    keyed *x = NULL;
    evs_status status;

    if (s->keyed[key])
        return EVS_ERR_CORRUPT;
    status = evs__account_resize(&state->account, (void **)&x, 0, 1, sizeof(*x));
    if (status)
        return status;
    *x = (keyed){.key = key, .waiting = true};
    s->keyed[key] = x;
    s->keys++;
    status = read_panes(state, s, x, first, in);
    for (int i = 0; i < 2 && !status; i++)
        status = read_spans(state, s, &x->spans[i], in);
    if (!status)
        status = make_room(&state->account, (void **)&s->due, &s->due_capacity,
                           (uint64_t)s->due_count + 1, sizeof(*s->due));
    if (status)
        return status;
    x->queued = evs__sliding_next_end(w, x);
    evs__sliding_push(s, (evs__sliding_due){x->queued, key});
    return EVS_OK;
}

static evs_status read_changed(evs__state *state, sliding *s, evs__reader *in)
{
    uint32_t n;
    evs_status status;

    if (!evs__read(in, &n, 4) || n > evs__reader_left(in) / 4 || (n && !state->flagged))
        return EVS_ERR_CORRUPT;
    status = make_room(&state->account, (void **)&s->changed, &s->changed_capacity, n,
                       sizeof(*s->changed));
    for (uint32_t i = 0; i < n && !status; i++) {
        uint32_t group;
        keyed *x;
        if (!evs__read(in, &group, 4) || group >= state->pool->count)
            return EVS_ERR_CORRUPT;
        x = s->keyed[state->pool->order[group]];
        if (x->listed || evs__pane_at(x, 0)->group != group)
            return EVS_ERR_CORRUPT;
        x->listed = true;
        x->listed_at = s->changed_count;
        s->changed[s->changed_count++] = x->key;
    }
    return status;
}

static evs_status own_read(const evs__window_op *w, evs__state *state, void *own, evs__reader *in)
{
    sliding *s = own;
    uint32_t n = state->pool ? state->pool->count : 0;
    evs_status status = EVS_OK;

    if (!evs__read(in, &s->arrivals, 8))
        return EVS_ERR_CORRUPT;
    status = make_room(&state->account, (void **)&s->keyed, &s->keyed_capacity, state->keys.high,
                       sizeof(*s->keyed));
    if (status)
        return status;
    for (uint32_t i = 0; i < s->keyed_capacity; i++)
        s->keyed[i] = NULL;
    while (s->live < n && !status)
        status = read_keyed(w, state, s, s->live, in);
    return status ? status : read_changed(state, s, in);
}

const evs__window_family evs__window_sliding = {
    .setup = setup,
    .describe = describe,
    .assign = assign,
    .taken = taken,
    .dropped = dropped,
    .close = close_windows,
    .next = evs__sliding_next,
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
