/*
 * engine/window_merge.c: the slices of a window merged into one table of results.
 *
 * Windows are made in rising order and share most of their slices, so what was merged for one is
 * kept for the next: two stacks (a queue with aggregates that need no inverse; Tangwongsan, Hirzel,
 * Schneider: Low-Latency Sliding-Window Aggregation in Worst-Case Constant Time, 2017), each item a
 * table of groups:
 *
 *            mid                    front[i]: slices from its start up to mid, merged; the top of
 *    s1 s2 s3 | s4 s5               the stack is the longest. When a window begins behind s1, the
 *    [---- front[2]                 top is thrown away.
 *       [- front[1]  back           back: slices from mid on, merged as windows reach them.
 *          front[0]                 window = top of front, then back
 *
 * When the front is used up all slices of the window become a new front. So each group of a slice
 * is merged about four times (front, back, and each of them into the result), whatever the overlap.
 * Groups of a result are in order of the earliest slice that has their key, then of first sight.
 *
 * The tables are a cache: a row more before back_end, or other flags, make them stale, and the next
 * window is made from the slices anew; so they are in no snapshot. A result may go beyond
 * the bound of state, because giving it out is what makes room.
 *
 * A sum can fit in every slice and not in the window. Such a group is marked and is no result.
 */
#include "engine/window.h"

#define CHUNK 512u

/* ---- one table into another ---- */

typedef struct merging {
    evs__window_op *w;
    evs__slice *to, *from;
    uint32_t to_index[CHUNK], from_index[CHUNK];
    uint32_t n;
} merging;

static evs_status merge_range(merging *m, uint32_t aggregate, uint32_t first, uint32_t n)
{
    const evs__aggregates *all = &m->w->aggregates;
    evs__agg_groups to = evs__agg_view(m->w->state, m->to, all, aggregate);
    evs__agg_groups from = evs__agg_view(m->w->state, m->from, all, aggregate);

    to.index = m->to_index + first;
    from.index = m->from_index + first;
    to.n = from.n = n;
    to.most = m->to->count;
    from.most = m->from->count;
    return all->items[aggregate].fn->merge(&all->items[aggregate], &to, &from);
}

/* an aggregate that can refuse a row can refuse a merge: group by group, to know which */
static evs_status merge_refusing(merging *m, uint32_t aggregate)
{
    evs_status status = EVS_OK;

    for (uint32_t i = 0; i < m->n && !status; i++) {
        status = merge_range(m, aggregate, i, 1);
        if (status == EVS_ERR_OVERFLOW) {
            m->to->flags[m->to_index[i]] |= EVS__GROUP_OVERFLOW;
            status = EVS_OK;
        }
    }
    return status;
}

static evs_status merge_all(merging *m)
{
    const evs__aggregates *all = &m->w->aggregates;
    evs_status status = EVS_OK;

    for (uint32_t i = 0; i < m->n; i++) {
        if (m->from->flags)
            m->to->flags[m->to_index[i]] |= m->from->flags[m->from_index[i]];
    }
    for (uint32_t i = 0; i < all->count && !status; i++) {
        if (all->items[i].fn->undo)
            status = merge_refusing(m, i);
        else
            status = merge_range(m, i, 0, m->n);
    }
    return status;
}

evs_status evs__window_merge_groups(evs__window_op *w,
                                    evs__slice *to,
                                    const uint32_t *to_index,
                                    const evs__slice *from,
                                    const uint32_t *from_index,
                                    uint32_t n)
{
    merging m = {.w = w, .to = to, .from = (evs__slice *)from};
    evs_status status = EVS_OK;

    for (uint32_t first = 0; first < n && !status; first += CHUNK) {
        m.n = n - first < CHUNK ? n - first : CHUNK;
        memcpy(m.to_index, to_index + first, m.n * sizeof(*to_index));
        memcpy(m.from_index, from_index + first, m.n * sizeof(*from_index));
        status = merge_all(&m);
    }
    return status;
}

static evs_status merge_chunk(merging *m, uint32_t first)
{
    evs__window_op *w = m->w;
    uint64_t open_groups = w->state->open_groups;
    evs_status status = evs__slice_reserve(w->state, m->to, m->n);

    if (status)
        return status;
    evs__slice_groups(w->state, m->to, m->from->order + first, m->n, m->to_index);
    w->state->open_groups = open_groups; /* the table is not an open slice */
    for (uint32_t i = 0; i < m->n; i++)
        m->from_index[i] = first + i;
    return merge_all(m);
}

evs_status evs__window_merge(evs__window_op *w, evs__slice *to, const evs__slice *from)
{
    merging m = {.w = w, .to = to, .from = (evs__slice *)from};
    evs_status status = EVS_OK;

    for (uint32_t first = 0; first < from->count && !status; first += CHUNK) {
        m.n = from->count - first < CHUNK ? from->count - first : CHUNK;
        status = merge_chunk(&m, first);
    }
    return status;
}

evs_status
evs__window_merge_group(evs__window_op *w, evs__slice *to, const evs__slice *from, uint32_t group)
{
    merging m = {.w = w, .to = to, .from = (evs__slice *)from, .n = 1};
    return merge_chunk(&m, group);
}

static evs_status new_table(evs__window_op *w, int64_t start, int64_t end, evs__slice **ret)
{
    evs__slice_bounds bounds = {.start = start, .end = end, .floor = EVS__NO_WINDOW};
    return evs__slice_new(w->state, &bounds, true, ret);
}

/* ---- slices of a window ---- */

static evs_status add_piece(evs__window_op *w, evs__slice *piece)
{
    evs__slider *s = &w->slicing.slider;

    if (s->piece_count == s->piece_capacity) {
        uint32_t more = s->piece_capacity ? s->piece_capacity * 2 : 64;
        evs__slice **pieces =
            evs__realloc_array(w->base.ctx, s->pieces, more, sizeof(evs__slice *));
        if (!pieces)
            return EVS_ERR_NOMEM;
        s->pieces = pieces;
        s->piece_capacity = more;
    }
    s->pieces[s->piece_count++] = piece;
    return EVS_OK;
}

/* the pieces of one slice, oldest first; those that do not count for this window
 * make what is merged wrong for windows above their floor */
static evs_status add_slice(evs__window_op *w, int64_t start, int64_t number)
{
    evs__slider *s = &w->slicing.slider;
    uint32_t from = s->piece_count;
    evs_status status = EVS_OK;

    for (evs__slice *p = evs__state_find(w->state, start); p && !status; p = p->older) {
        if (p->floor < number)
            status = add_piece(w, p);
        else if (p->floor < s->until)
            s->until = p->floor;
    }
    for (uint32_t i = from, j = s->piece_count; i + 1 < j; i++) {
        evs__slice *swap = s->pieces[i];
        s->pieces[i] = s->pieces[--j];
        s->pieces[j] = swap;
    }
    return status;
}

/* s->pieces: of slices from `from` up to `to`, in order of time. An end that saturated does not
 * tell whether the last slice of time is in the window: its numbers do. */
static evs_status list_pieces(evs__window_op *w, int64_t from, int64_t to, int64_t number)
{
    evs__slice_bounds at;
    evs_status status = EVS_OK;

    w->slicing.slider.piece_count = 0;
    for (int64_t t = from; t < to && !status; t = at.end) {
        evs__slicing_at(&w->slicing, t, &at);
        status = add_slice(w, at.start, number);
    }
    if (status || to != INT64_MAX)
        return status;
    evs__slicing_at(&w->slicing, INT64_MAX, &at);
    if (at.start == INT64_MAX && at.first_window <= number && number <= at.last_window)
        status = add_slice(w, at.start, number);
    return status;
}

/* ---- two stacks ---- */

void evs__slider_drop(evs__window_op *w)
{
    evs__slider *s = &w->slicing.slider;

    while (s->front_count)
        evs__slice_free(w->state, s->front[--s->front_count]);
    if (s->back)
        evs__slice_free(w->state, s->back);
    s->back = NULL;
    s->valid = false;
}

static evs_status push_front(evs__window_op *w, evs__slice *table)
{
    evs__slider *s = &w->slicing.slider;

    if (s->front_count == s->front_capacity) {
        uint32_t more = s->front_capacity ? s->front_capacity * 2 : 16;
        evs__slice **front = evs__realloc_array(w->base.ctx, s->front, more, sizeof(evs__slice *));
        if (!front)
            return EVS_ERR_NOMEM;
        s->front = front;
        s->front_capacity = more;
    }
    s->front[s->front_count++] = table;
    return EVS_OK;
}

/* pieces[first..first + n) are one slice; the new top of the stack */
static evs_status stack_slice(evs__window_op *w, uint32_t first, uint32_t n)
{
    evs__slider *s = &w->slicing.slider;
    evs__slice *table = NULL;
    evs_status status = new_table(w, s->pieces[first]->start, s->mid, &table);

    for (uint32_t i = 0; i < n && !status; i++)
        status = evs__window_merge(w, table, s->pieces[first + i]);
    if (!status && s->front_count)
        status = evs__window_merge(w, table, s->front[s->front_count - 1]);
    if (!status)
        status = push_front(w, table);
    if (status)
        evs__slice_free(w->state, table);
    else
        evs__slice_seal(w->state, table);
    return status;
}

static evs_status rebuild(evs__window_op *w, int64_t start, int64_t end, int64_t number)
{
    evs__slider *s = &w->slicing.slider;
    evs_status status;

    evs__slider_drop(w);
    s->until = INT64_MAX;
    s->mid = s->back_end = end;
    status = list_pieces(w, start, end, number);
    for (uint32_t to = s->piece_count; to && !status;) {
        uint32_t from = to - 1;
        while (from && s->pieces[from - 1]->start == s->pieces[to - 1]->start)
            from--;
        status = stack_slice(w, from, to - from);
        to = from;
    }
    s->valid = !status;
    return status;
}

/* slices that the window before did not reach */
static evs_status extend(evs__window_op *w, int64_t end, int64_t number)
{
    evs__slider *s = &w->slicing.slider;
    evs_status status = list_pieces(w, s->back_end, end, number);

    if (!status && s->piece_count && !s->back)
        status = new_table(w, s->back_end, end, &s->back);
    for (uint32_t i = 0; i < s->piece_count && !status; i++)
        status = evs__window_merge(w, s->back, s->pieces[i]);
    s->back_end = end;
    s->valid = !status;
    return status;
}

static evs_status join(evs__window_op *w, int64_t start, int64_t end, evs__slice **ret)
{
    evs__slider *s = &w->slicing.slider;
    evs__slice *result = NULL;
    evs_status status;

    if (!s->front_count && !s->back)
        return EVS_OK;
    status = new_table(w, start, end, &result);
    if (!status && s->front_count)
        status = evs__window_merge(w, result, s->front[s->front_count - 1]);
    if (!status && s->back)
        status = evs__window_merge(w, result, s->back);
    if (status) {
        evs__slice_free(w->state, result);
        return status;
    }
    evs__slice_seal(w->state, result);
    *ret = result;
    return EVS_OK;
}

evs_status evs__slider_window(evs__window_op *w, int64_t number, evs__slice **ret)
{
    evs__slider *s = &w->slicing.slider;
    size_t bound = w->state->account.max;
    int64_t start, end;
    evs_status status;

    evs__slicing_window(&w->slicing, number, &start, &end);
    w->state->account.max = SIZE_MAX;
    while (s->valid && s->front_count && s->front[s->front_count - 1]->start < start)
        evs__slice_free(w->state, s->front[--s->front_count]);
    if (!s->valid || number <= s->window || number > s->until || start > s->mid)
        status = rebuild(w, start, end, number);
    else
        status = extend(w, end, number);
    if (!status)
        status = join(w, start, end, ret);
    s->window = number;
    s->valid = s->valid && !status && end != INT64_MAX;
    w->state->account.max = bound;
    return status;
}
