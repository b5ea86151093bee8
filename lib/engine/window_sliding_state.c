/*
 * engine/window_sliding_state.c: what sliding windows and windows of a number of rows keep: by key,
 * in a heap, in the pool; and the snapshots of sliding windows.
 *
 * A pane is a group of the pool. Groups are not freed one by one, since aggregates keep things
 * beside them: when more than half of the pool is unused, the live ones move to a new one.
 */
#include "engine/window_sliding.h"

typedef evs__sliding sliding;
typedef evs__pane_key keyed;

static inline sliding *own_of(const evs__window_op *w)
{
    return evs__sliding_of(w);
}

evs_status
evs__sliding_room(evs__account *a, void **array, uint32_t *capacity, uint64_t want, size_t item)
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

evs_status evs__sliding_queue_room(
    evs__account *a, void **items, uint32_t *head, uint32_t count, uint32_t *capacity, size_t item)
{
    if (*head + count < *capacity)
        return EVS_OK;
    if (*head > count) {
        memmove(*items, (char *)*items + *head * item, count * item);
        *head = 0;
        return EVS_OK;
    }
    return evs__sliding_room(a, items, capacity, (uint64_t)*head + count + 1, item);
}

/* ---- keys ---- */

evs_status evs__pane_key_new(evs__window_op *w, uint32_t key, keyed **ret)
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

void evs__pane_key_free(evs__state *state, sliding *s, keyed *x)
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

evs_status evs__sliding_prepare(evs__window_work *k)
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
        status = evs__sliding_room(&state->account, (void **)&s->keyed, &s->keyed_capacity,
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

/* ---- the pool anew ---- */

/* live groups by key, in order of time */
evs_status evs__sliding_move_pool(evs__window_op *w)
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
void evs__sliding_tidy_changed(sliding *s)
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

/* ---- whole ---- */

void *evs__sliding_own_new(const evs__window_op *w)
{
    return evs__calloc(w->base.ctx, 1, sizeof(sliding));
}

static void clear(evs__state *state, sliding *s)
{
    evs__account *a = &state->account;

    for (uint32_t i = 0; i < s->keyed_capacity; i++) {
        if (s->keyed[i])
            evs__pane_key_free(state, s, s->keyed[i]);
    }
    evs__account_free(a, s->keyed, s->keyed_capacity, sizeof(*s->keyed));
    evs__account_free(a, s->due, s->due_capacity, sizeof(*s->due));
    evs__account_free(a, s->changed, s->changed_capacity, sizeof(*s->changed));
    evs__account_free(a, s->log, s->log_capacity, sizeof(*s->log));
    memset(s, 0, sizeof(*s));
}

void evs__sliding_own_free(const evs__window_op *w, evs__state *state, void *own)
{
    clear(state, own);
    evs__free(w->base.ctx, own);
}

void evs__sliding_reset(evs__window_op *w)
{
    clear(w->state, own_of(w));
}

/* ---- snapshots ---- */

evs_status evs__sliding_own_tidy(evs__window_op *w)
{
    return w->state->pool ? evs__sliding_move_pool(w) : EVS_OK;
}

static void put(evs__buffer *out, const void *value, size_t len)
{
    evs__buffer_append(out, value, len);
}

/* arrivals | keys in order of groups: panes, windows | those with changes, by their first group */
evs_status evs__sliding_own_write(const evs__window_op *w, evs__buffer *out)
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
    evs__sliding_tidy_changed(s);
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
    status = evs__sliding_room(&state->account, (void **)&x->panes.items, &x->panes.capacity, count,
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
    status = evs__sliding_room(&state->account, (void **)&spans->items, &spans->capacity, count,
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
        status = evs__sliding_room(&state->account, (void **)&s->due, &s->due_capacity,
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
    status = evs__sliding_room(&state->account, (void **)&s->changed, &s->changed_capacity, n,
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

evs_status
evs__sliding_own_read(const evs__window_op *w, evs__state *state, void *own, evs__reader *in)
{
    sliding *s = own;
    uint32_t n = state->pool ? state->pool->count : 0;
    evs_status status = EVS_OK;

    if (!evs__read(in, &s->arrivals, 8))
        return EVS_ERR_CORRUPT;
    status = evs__sliding_room(&state->account, (void **)&s->keyed, &s->keyed_capacity,
                               state->keys.high, sizeof(*s->keyed));
    if (status)
        return status;
    for (uint32_t i = 0; i < s->keyed_capacity; i++)
        s->keyed[i] = NULL;
    while (s->live < n && !status)
        status = read_keyed(w, state, s, s->live, in);
    return status ? status : read_changed(state, s, in);
}
