/*
 * engine/window_counted.c: windows of a number of rows: of each key the last size_rows rows, each
 * time that advance_rows more have come (tumbling: each row is in one window). Order is that of
 * arrival, so no row is late and time closes nothing.
 *
 *   rows of a key    1 2 3 4 5 6 7 8 9       size 4, advance 2: parts of gcd(4, 2) rows
 *   parts            |---|---|---|---|-
 *   windows          [---)                   the first ones have what has come so far
 *                    [-------)
 *                        [-------)
 *
 * A part is a pane of window_sliding.h: `time` is the event time of its first row, spans 0 has that
 * of the last one at the same place. Parts of a window are merged by the two stacks of sliding
 * windows, so the cost of a row does not grow with the windows it is in. A window is due with its
 * last row, and its parts do not change any more, so results can wait and batches are not cut:
 * `changed` has the key of each window that is due, in order of those rows.
 *
 * Bounds of a result are the event times of its first and last row to arrive; its event time is
 * that of the last one. Windows that are not full at the end of the input are not given out. A key
 * keeps its last rows for ever, unless windows are side by side and none is begun. A row that an
 * aggregate refuses is still one of the rows of its window.
 */
#include "engine/window_sliding.h"

#define GARBAGE_MIN 1024u

typedef evs__sliding sliding;
typedef evs__pane_key keyed;

static inline sliding *own_of(const evs__window_op *w)
{
    return evs__sliding_of(w);
}

static uint64_t size_of(const evs__window_op *w)
{
    return (uint64_t)w->opt.size_rows;
}

static uint64_t advance_of(const evs__window_op *w)
{
    return (uint64_t)(w->opt.advance_rows ? w->opt.advance_rows : w->opt.size_rows);
}

/* rows of a part */
static uint64_t part_of(const evs__window_op *w)
{
    return (uint64_t)w->slicing.rest;
}

static uint64_t parts_of(const evs__window_op *w, uint64_t rows)
{
    return rows / part_of(w) + (rows % part_of(w) != 0);
}

/* parts [low, high) of the next window to be given out */
static void next_parts(const evs__window_op *w, const keyed *x, uint64_t *low, uint64_t *high)
{
    uint64_t rows = (x->given + 1) * advance_of(w);

    *low = rows > size_of(w) ? (rows - size_of(w)) / part_of(w) : 0;
    *high = rows / part_of(w);
}

/* ---- a batch ---- */

/* a key as it was before the batch: `floor` is its rows, `at` the time of its last one */
static evs_status log_key(evs__window_op *w, keyed *x, bool is_new)
{
    sliding *s = own_of(w);
    evs_status status = evs__sliding_room(&w->state->account, (void **)&s->log, &s->log_capacity,
                                          (uint64_t)s->log_count + 1, sizeof(*s->log));

    if (status)
        return status;
    s->log[s->log_count++] = (evs__sliding_log){
        .at = x->spans[0].count ? evs__span_at(&x->spans[0], x->spans[0].count - 1)->start : 0,
        .floor = (int64_t)x->seen,
        .key = x->key,
        .step = is_new ? EVS__MADE_KEY : EVS__MADE_PANE};
    x->batch = s->batch;
    return EVS_OK;
}

static void take_back(evs__window_op *w, const evs__sliding_log *e)
{
    sliding *s = own_of(w);
    keyed *x = s->keyed[e->key];
    uint32_t count = (uint32_t)(parts_of(w, (uint64_t)e->floor) - x->base);

    s->live -= x->panes.count - count;
    x->panes.count = x->spans[0].count = count;
    x->seen = (uint64_t)e->floor;
    if (count)
        evs__span_at(&x->spans[0], count - 1)->start = e->at;
    if (e->step == EVS__MADE_KEY)
        evs__pane_key_free(w->state, s, x);
}

static void dropped(evs__window_work *k)
{
    evs__window_op *w = k->w;
    sliding *s = own_of(w);

    if (!s->in_batch)
        return;
    while (s->log_count)
        take_back(w, &s->log[--s->log_count]);
    w->state->pool->count = s->groups_before;
    s->changed_count = s->changed_before;
    s->in_batch = false;
}

static evs_status find_key(evs__window_op *w, uint32_t key, keyed **ret)
{
    sliding *s = own_of(w);
    keyed *x = s->keyed[key];
    bool is_new = !x;
    evs_status status = is_new ? evs__pane_key_new(w, key, &x) : EVS_OK;

    if (!status && x->batch != s->batch) {
        status = log_key(w, x, is_new);
        if (status && is_new)
            evs__pane_key_free(w->state, s, x);
    }
    *ret = x;
    return status;
}

static evs_status begin_part(evs__window_op *w, keyed *x, int64_t t)
{
    evs__slice *pool = w->state->pool;
    evs__account *a = &w->state->account;
    evs__panes *p = &x->panes;
    evs__spans *last = &x->spans[0];
    evs_status status = evs__sliding_queue_room(a, (void **)&p->items, &p->head, p->count,
                                                &p->capacity, sizeof(*p->items));

    if (!status)
        status = evs__sliding_queue_room(a, (void **)&last->items, &last->head, last->count,
                                         &last->capacity, sizeof(*last->items));
    if (!status)
        status = evs__slice_reserve_groups(w->state, pool, 1);
    if (status)
        return status;
    *evs__pane_at(x, p->count++) =
        (evs__pane){t, EVS_TIME_NONE, evs__slice_append(pool, x->key), 0};
    *evs__span_at(last, last->count++) = (evs__span){.start = t};
    memset(evs__slice_row(w->state, pool, pool->count - 1), 0, w->state->stride);
    pool->flags[pool->count - 1] = 0;
    own_of(w)->live++;
    return EVS_OK;
}

static evs_status take_row(evs__window_op *w, uint32_t key, int64_t t, uint32_t *ret_group)
{
    sliding *s = own_of(w);
    keyed *x = NULL;
    evs_status status = find_key(w, key, &x);

    if (!status && x->seen % part_of(w) == 0)
        status = begin_part(w, x, t);
    if (!status)
        status = evs__sliding_room(&w->state->account, (void **)&s->changed, &s->changed_capacity,
                                   (uint64_t)s->changed_count + 1, sizeof(*s->changed));
    if (status)
        return status;
    evs__span_at(&x->spans[0], x->spans[0].count - 1)->start = t;
    *ret_group = evs__pane_at(x, x->panes.count - 1)->group;
    if (++x->seen % advance_of(w) == 0)
        s->changed[s->changed_count++] = key;
    return EVS_OK;
}

static evs_status assign(evs__window_work *k)
{
    evs__window_op *w = k->w;
    sliding *s = own_of(w);
    evs_status status = evs__sliding_prepare(k);

    s->batch++;
    s->changed_before = s->changed_count;
    for (uint32_t i = 0; i < k->n && !status; i++)
        status = take_row(w, k->key_ids[i], evs__work_time(k, k->rows[i]), &k->groups[i]);
    if (!status && k->n) {
        status = evs__work_touch(k, w->state->pool);
        w->state->pool->batch_rows = status ? 0 : k->n;
    }
    return status;
}

static void taken(evs__window_work *k)
{
    own_of(k->w)->log_count = 0;
    own_of(k->w)->in_batch = false;
}

/* ---- results ---- */

/* parts that no window to come has, and the key with the last of them */
static void drop_parts(evs__window_op *w, keyed *x)
{
    uint64_t low, high;

    next_parts(w, x, &low, &high);
    while (x->panes.count && x->base < low) {
        w->state->pool->order[evs__pane_at(x, 0)->group] = EVS__NO_KEY;
        own_of(w)->live--;
        x->base++;
        x->panes.head++;
        x->panes.count--;
        x->spans[0].head++;
        x->spans[0].count--;
    }
    if (!x->panes.count)
        evs__pane_key_free(w->state, own_of(w), x);
}

static evs_status put_window(evs__window_op *w, keyed *x, evs__slice *to)
{
    uint64_t low, high;
    uint32_t group;
    int64_t *bounds;
    evs_status status = evs__slice_reserve_groups(w->state, to, 1);

    if (status)
        return status;
    next_parts(w, x, &low, &high);
    group = evs__slice_append(to, x->key);
    bounds = evs__slice_group_bounds(to, group);
    bounds[0] = evs__pane_at(x, (uint32_t)(low - x->base))->time;
    bounds[1] = bounds[2] = evs__span_at(&x->spans[0], (uint32_t)(high - 1 - x->base))->start;
    status = evs__sliding_merge(w, x, low, high, to, group);
    if (status || to->flags[group] & EVS__GROUP_OVERFLOW) {
        to->flags[group] = 0;
        if (!status)
            evs__window_left_out(w);
    } else {
        to->flags[group] = EVS__GROUP_DIRTY;
        to->dirty++;
    }
    return status;
}

/* EVS_OK: some; EVS_END: none of those that were due has a result */
static evs_status next_due(evs__window_op *w)
{
    sliding *s = own_of(w);
    evs__slice *to = NULL;
    uint32_t done = 0;
    bool any;
    evs_status status;

    status = evs__sliding_new_results(w, &to);
    for (; !status && done < s->changed_count && to->count < EVS_BATCH_ROWS_MAX; done++) {
        keyed *x = s->keyed[s->changed[done]];
        status = put_window(w, x, to);
        if (status)
            break;
        x->given++;
        drop_parts(w, x);
    }
    memmove(s->changed, s->changed + done, (s->changed_count - done) * sizeof(*s->changed));
    s->changed_count -= done;
    any = to && to->dirty;
    if (to)
        evs__sliding_finish(w, to);
    if (any)
        return EVS_OK; /* a failure is met again after these */
    return status ? status : EVS_END;
}

/* Results may go beyond the bound of state: giving them out makes room. */
static evs_status next(evs__window_op *w, bool changes)
{
    size_t bound = w->state->account.max;
    evs_status status = EVS_END;

    (void)changes;
    w->state->account.max = SIZE_MAX;
    while (status == EVS_END && own_of(w)->changed_count)
        status = next_due(w);
    w->state->account.max = bound;
    return status;
}

static void close_windows(evs__window_op *w)
{
    const sliding *s = own_of(w);
    const evs__slice *pool = w->state->pool;

    if (pool && pool->count - s->live > s->live + GARBAGE_MIN)
        evs__sliding_move_pool(w);
}

/* ---- the rest ---- */

static void setup(evs__window_op *w)
{
    uint64_t a = size_of(w), b = advance_of(w);

    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    w->slicing.rest = (int64_t)a;
    w->slicing.whole = false;
}

static void describe(const evs__window_op *w, evs__buffer *text)
{
    evs__buffer_printf(text, "count rows=%lld advance=%lld", (long long)w->opt.size_rows,
                       (long long)advance_of(w));
}

static bool is_due(const evs__window_op *w)
{
    return own_of(w)->changed_count != 0;
}

static int64_t due_time(const evs__window_op *w)
{
    return is_due(w) ? EVS_TIME_NONE : INT64_MAX;
}

static int64_t first_close(const evs__window_op *w)
{
    (void)w;
    return INT64_MAX;
}

static int64_t last_close(const evs__window_op *w)
{
    (void)w;
    return EVS_TIME_NONE;
}

static int64_t open_count(const evs__window_op *w)
{
    return own_of(w)->keys;
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
    (void)ret_end;
    evs__window_explain_bounds(w, window_start, window_start, out);
    evs__buffer_printf(out, "windows of %lld rows: rows close them, not time\n",
                       (long long)w->opt.size_rows);
    return false;
}

/* ---- snapshots ---- */

/* keys in order of groups: rows, windows given out, parts | windows that are due, by the first
 * group of their key */
static evs_status own_write(const evs__window_op *w, evs__buffer *out)
{
    const sliding *s = own_of(w);

    for (uint32_t i = 0; i < s->keyed_capacity; i++) {
        const keyed *x = s->keyed[i];
        if (!x)
            continue;
        evs__buffer_append(out, &x->seen, 8);
        evs__buffer_append(out, &x->given, 8);
        evs__buffer_append(out, &x->panes.count, 4);
        for (uint32_t j = 0; j < x->panes.count; j++) {
            evs__buffer_append(out, &evs__pane_at(x, j)->time, 8);
            evs__buffer_append(out, &evs__span_at(&x->spans[0], j)->start, 8);
        }
    }
    evs__buffer_append(out, &s->changed_count, 4);
    for (uint32_t i = 0; i < s->changed_count; i++)
        evs__buffer_append(out, &evs__pane_at(s->keyed[s->changed[i]], 0)->group, 4);
    return out->status;
}

static evs_status
read_parts(evs__state *state, sliding *s, keyed *x, uint32_t count, evs__reader *in)
{
    evs__account *a = &state->account;
    evs_status status = evs__sliding_room(a, (void **)&x->panes.items, &x->panes.capacity, count,
                                          sizeof(*x->panes.items));

    if (!status)
        status = evs__sliding_room(a, (void **)&x->spans[0].items, &x->spans[0].capacity, count,
                                   sizeof(*x->spans[0].items));
    for (uint32_t i = 0; i < count && !status; i++) {
        evs__pane *pane = &x->panes.items[i];
        evs__span *last = &x->spans[0].items[i];
        *pane = (evs__pane){.floor = EVS_TIME_NONE, .group = s->live + i};
        *last = (evs__span){.start = 0};
        if (state->pool->order[s->live + i] != x->key || !evs__read(in, &pane->time, 8) ||
            !evs__read(in, &last->start, 8))
            return EVS_ERR_CORRUPT;
    }
    x->panes.count = x->spans[0].count = status ? 0 : count;
    return status;
}

static evs_status
read_keyed(const evs__window_op *w, evs__state *state, sliding *s, evs__reader *in)
{
    uint32_t key = state->pool->order[s->live], count;
    uint64_t low, high, parts;
    keyed *x = NULL;
    evs_status status;

    if (s->keyed[key])
        return EVS_ERR_CORRUPT;
    status = evs__account_resize(&state->account, (void **)&x, 0, 1, sizeof(*x));
    if (status)
        return status;
    *x = (keyed){.key = key};
    s->keyed[key] = x;
    s->keys++;
    if (!evs__read(in, &x->seen, 8) || !evs__read(in, &x->given, 8) || !evs__read(in, &count, 4) ||
        x->seen > INT64_MAX || x->given > x->seen / advance_of(w) || !count ||
        count > state->pool->count - s->live)
        return EVS_ERR_CORRUPT;
    parts = parts_of(w, x->seen);
    next_parts(w, x, &low, &high);
    if (count > parts || parts - count > low)
        return EVS_ERR_CORRUPT;
    x->base = parts - count;
    status = read_parts(state, s, x, count, in);
    if (!status)
        s->live += count;
    return status;
}

/* each window that is due once */
static evs_status read_due(const evs__window_op *w, evs__state *state, sliding *s, evs__reader *in)
{
    uint32_t n;
    evs_status status;

    if (!evs__read(in, &n, 4) || n > evs__reader_left(in) / 4)
        return EVS_ERR_CORRUPT;
    status = evs__sliding_room(&state->account, (void **)&s->changed, &s->changed_capacity, n,
                               sizeof(*s->changed));
    for (uint32_t i = 0; i < n && !status; i++) {
        uint32_t group;
        keyed *x;
        if (!evs__read(in, &group, 4) || group >= state->pool->count)
            return EVS_ERR_CORRUPT;
        x = s->keyed[state->pool->order[group]];
        if (evs__pane_at(x, 0)->group != group)
            return EVS_ERR_CORRUPT;
        x->batch++;
        s->changed[s->changed_count++] = x->key;
    }
    for (uint32_t i = 0; i < s->keyed_capacity && !status; i++) {
        keyed *x = s->keyed[i];
        if (!x)
            continue;
        if (x->batch != x->seen / advance_of(w) - x->given)
            return EVS_ERR_CORRUPT;
        x->batch = 0;
    }
    return status;
}

static evs_status own_read(const evs__window_op *w, evs__state *state, void *own, evs__reader *in)
{
    sliding *s = own;
    uint32_t n = state->pool ? state->pool->count : 0;
    evs_status status = evs__sliding_room(&state->account, (void **)&s->keyed, &s->keyed_capacity,
                                          state->keys.high, sizeof(*s->keyed));

    if (status)
        return status;
    for (uint32_t i = 0; i < s->keyed_capacity; i++)
        s->keyed[i] = NULL;
    while (s->live < n && !status)
        status = read_keyed(w, state, s, in);
    return status ? status : read_due(w, state, s, in);
}

const evs__window_family evs__window_counted = {
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
    .reset = evs__sliding_reset,
    .check = check,
    .explain = explain,
    .own_new = evs__sliding_own_new,
    .own_free = evs__sliding_own_free,
    .own_tidy = evs__sliding_own_tidy,
    .own_write = own_write,
    .own_read = own_read,
};
