/*
 * engine/window_session_results.c: session windows to results.
 *
 * Changes: a session given out before with other bounds is deleted under those first; all deletes
 * of a batch of results stand before its other rows. Final results come in order of window_end,
 * then of arrival of the first row.
 *
 * Groups are not freed one by one, since aggregates keep things beside them. When more than half of
 * the pool is unused, the live groups, one a session, move to a new one.
 */
#include "engine/window_session.h"

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
static void finish(evs__window_op *w, evs__slice *slice)
{
    slice->dirty = 0;
    slice->start = slice->end = INT64_MAX;
    for (uint32_t g = 0; g < slice->count; g++) {
        if (evs__slice_group_bounds(slice, g)[2] < slice->end)
            slice->end = evs__time_add(evs__slice_group_bounds(slice, g)[2], 1);
        if (slice->flags[g] & EVS__GROUP_OVERFLOW && !(slice->flags[g] & EVS__GROUP_DELETE)) {
            slice->flags[g] = 0;
            evs__window_left_out(w);
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
    finish(w, r.slice);
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

    evs__session_unlink(w, index, false);
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
            evs__session_heap_pop(s);
            free_session(s, top.session);
        } else if (x->last != top.last) {
            evs__session_heap_down(s, (due){x->last, more(s, x)->arrival, top.session});
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
        evs__session_heap_pop(s);
    }
    if (made)
        status = make_results(w, list + EVS_BATCH_ROWS_MAX, made);
    for (uint32_t i = 0; i < n; i++) {
        const session *x = &s->items[list[i]];
        if (status) {
            evs__session_heap_up(s, s->at.due_count++,
                                 (due){x->last, more(s, x)->arrival, list[i]});
        } else {
            end_session(w, list[i]);
            free_session(s, list[i]);
        }
    }
    evs__free(w->base.ctx, list);
    return status;
}

/* sessions that are not alive, or not dirty, leave the list */
uint32_t evs__session_clean_dirty(sessions *s, uint32_t most)
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
    uint32_t list[CHANGES_MAX], n = evs__session_clean_dirty(s, CHANGES_MAX);
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
evs_status evs__session_next(evs__window_op *w, bool changes)
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
evs_status evs__session_move_pool(evs__window_op *w)
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
        status = evs__session_room(&state->account, (void **)&s->link, &s->link_capacity,
                                   pool->capacity, sizeof(*s->link));
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

void evs__session_close(evs__window_op *w)
{
    sessions *s = own_of(w);
    const evs__slice *pool = w->state->pool;

    if (s->at.dirty_count > 2 * s->at.session_live + GARBAGE_MIN)
        evs__session_clean_dirty(s, NONE);
    /* if there is no memory for it now there will be later */
    if (pool && pool->count - s->live_groups > s->live_groups + GARBAGE_MIN)
        evs__session_move_pool(w);
}
