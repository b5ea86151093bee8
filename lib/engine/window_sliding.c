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
 * until then the window behind it could still be made.
 */
#include "engine/window_sliding.h"

#define GARBAGE_MIN 1024u

typedef evs__sliding sliding;
typedef evs__pane_key keyed;

static inline sliding *own_of(const evs__window_op *w)
{
    return evs__sliding_of(w);
}

/* ---- the lists of a key ---- */

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
        evs__pane_key_free(w->state, s, x);
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

/* the key's place in the heap is not behind `end` */
static evs_status need_due(evs__window_op *w, keyed *x, int64_t end)
{
    sliding *s = own_of(w);
    evs_status status;

    if (x->waiting && x->queued <= end)
        return EVS_OK;
    status = evs__sliding_room(&w->state->account, (void **)&s->due, &s->due_capacity,
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
    evs_status status = evs__sliding_room(&w->state->account, (void **)&s->log, &s->log_capacity,
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
        evs__pane_key_free(w->state, s, x);
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
    status = evs__sliding_room(&w->state->account, (void **)&s->changed, &s->changed_capacity,
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
    evs_status status = evs__sliding_queue_room(&w->state->account, (void **)&p->items, &p->head,
                                                p->count, &p->capacity, sizeof(*p->items));

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
    status = evs__sliding_queue_room(&w->state->account, (void **)&spans->items, &spans->head,
                                     spans->count, &spans->capacity, sizeof(*spans->items));
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
        status = evs__pane_key_new(w, key, &x);
        if (!status && (status = log_add(w, EVS__MADE_KEY, key, 0, 0, 0)))
            evs__pane_key_free(w->state, s, x);
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
    evs_status status = evs__sliding_prepare(k);

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

/* ---- the rest ---- */

static void close_windows(evs__window_op *w)
{
    sliding *s = own_of(w);
    const evs__slice *pool = w->state->pool;

    if (s->changed_count > 2 * s->keys + GARBAGE_MIN)
        evs__sliding_tidy_changed(s);

    /* if there is no memory for it now there will be later */
    if (pool && pool->count - s->live > s->live + GARBAGE_MIN)
        evs__sliding_move_pool(w);
}

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
    .reset = evs__sliding_reset,
    .check = check,
    .explain = explain,
    .own_new = evs__sliding_own_new,
    .own_free = evs__sliding_own_free,
    .own_tidy = evs__sliding_own_tidy,
    .own_write = evs__sliding_own_write,
    .own_read = evs__sliding_own_read,
};
