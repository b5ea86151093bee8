/*
 * engine/window_sliding_emit.c: results of sliding windows: the panes of a window merged, sharing
 * work between windows of a key that follow each other.
 *
 * Two stacks as in window_merge.c, but of the panes of one key, kept from window to window:
 *
 *          low           mid       high
 *     p p | p  p  p  p  p | p  p  p |          front: for each pane before mid, itself up to mid
 *         [---- window -------------]          back: from mid on
 *
 * so a pane is merged twice (front, back) and each of those into a result, whatever the number of
 * panes a window has. Entry j of the front is that of pane mid - 1 - j; it takes entry j - 1, which
 * stands in the other of two slices, since an aggregate is never merged within one. Windows of few
 * panes are merged from those. Rows that come after the result of a window are in time for newer
 * windows only: they go behind what has been merged, or to panes with a floor, and then the stacks
 * of their key are made anew; as after a pane that did not count for one window and does for the
 * next.
 *
 * Final results come in order of window_end, then of the row that made the window. Changes come key
 * by key in order of the key's first change, for each in order of window_start; a key whose results
 * find no memory keeps its changes.
 */
#include <stdlib.h>

#include "engine/window_sliding.h"

#define FEW 8u

void evs__pane_slider_drop(evs__state *state, evs__pane_slider *s)
{
    for (int i = 0; i < 2; i++) {
        evs__slice_free(state, s->front[i]);
        s->front[i] = NULL;
    }
    evs__slice_free(state, s->back);
    s->back = NULL;
    s->has_back = s->skipped = false;
}

/* ---- merging ---- */

static evs_status
merge_one(evs__window_op *w, evs__slice *to, uint32_t group, const evs__slice *from, uint32_t g)
{
    const evs__aggregates *all = &w->aggregates;
    evs_status status = EVS_OK;

    if (from->flags)
        to->flags[group] |= from->flags[g] & EVS__GROUP_OVERFLOW;
    for (uint32_t i = 0; i < all->count && !status; i++) {
        evs__agg_groups a = evs__agg_view(w->state, to, all, i);
        evs__agg_groups b = evs__agg_view(w->state, (evs__slice *)from, all, i);
        a.index = &group;
        b.index = &g;
        a.n = b.n = 1;
        a.most = to->count;
        b.most = from->count;
        status = all->items[i].fn->merge(&all->items[i], &a, &b);
        if (status == EVS_ERR_OVERFLOW) {
            to->flags[group] |= EVS__GROUP_OVERFLOW;
            status = EVS_OK;
        }
    }
    return status;
}

static evs_status new_slice(evs__window_op *w, uint32_t groups, evs__slice **ret)
{
    evs__slice_bounds none = {.floor = EVS__NO_WINDOW};
    evs_status status = evs__slice_new(w->state, &none, true, ret);
    return status ? status : evs__slice_reserve_groups(w->state, *ret, groups);
}

/* one window of a key, while its result is made */
typedef struct frame {
    evs__pane_key *key;
    evs__pane_slider *slider;
    uint64_t low, high; /* its panes */
    int64_t start, end;
    int64_t time; /* of its newest row */
} frame;

static const evs__pane *pane_of(const frame *f, uint64_t number)
{
    return evs__pane_at(f->key, (uint32_t)(number - f->key->base));
}

/* The panes with a time in the window, from where those of the last one were. */
static void find_panes(frame *f)
{
    const evs__pane_key *x = f->key;
    uint64_t first = x->base, last = x->base + x->panes.count;
    uint64_t low = f->slider->low, high = f->slider->high;

    low = low < first ? first : low > last ? last : low;
    while (low > first && pane_of(f, low - 1)->time >= f->start)
        low--;
    while (low < last && pane_of(f, low)->time < f->start)
        low++;
    high = high < low ? low : high > last ? last : high;
    while (high > low && pane_of(f, high - 1)->time > f->end)
        high--;
    while (high < last && pane_of(f, high)->time <= f->end)
        high++;
    f->slider->low = f->low = low;
    f->slider->high = f->high = high;
}

static evs_status build_front(evs__window_op *w, frame *f)
{
    evs__pane_slider *s = f->slider;
    uint32_t n = (uint32_t)(f->high - f->low);
    evs_status status;

    evs__pane_slider_drop(w->state, s);
    s->mid = s->back_end = f->high;
    status = new_slice(w, n / 2 + 1, &s->front[0]);
    if (!status)
        status = new_slice(w, n / 2 + 1, &s->front[1]);
    for (uint32_t j = 0; j < n && !status; j++) {
        const evs__pane *pane = pane_of(f, f->high - 1 - j);
        evs__slice *to = s->front[j & 1];
        uint32_t g = evs__slice_append(to, f->key->key);
        if (evs__pane_counts(w, pane, f->end))
            status = merge_one(w, to, g, w->state->pool, pane->group);
        else
            s->skipped = true;
        if (!status && j)
            status = merge_one(w, to, g, s->front[(j - 1) & 1], (j - 1) / 2);
    }
    return status;
}

static evs_status extend_back(evs__window_op *w, frame *f)
{
    evs__pane_slider *s = f->slider;
    evs_status status = EVS_OK;

    if (s->back_end < f->high && !s->back) {
        status = new_slice(w, 1, &s->back);
        if (!status)
            evs__slice_append(s->back, f->key->key);
    }
    for (; s->back_end < f->high && !status; s->back_end++) {
        const evs__pane *pane = pane_of(f, s->back_end);
        if (evs__pane_counts(w, pane, f->end)) {
            status = merge_one(w, s->back, 0, w->state->pool, pane->group);
            s->has_back = true;
        } else {
            s->skipped = true;
        }
    }
    return status;
}

static evs_status merge_stacks(evs__window_op *w, frame *f, evs__slice *to, uint32_t group)
{
    evs__pane_slider *s = f->slider;
    bool stale = !s->front[0] || s->skipped || f->low >= s->mid || f->high < s->back_end;
    evs_status status = stale ? build_front(w, f) : extend_back(w, f);

    if (!status && f->low < s->mid) {
        uint64_t j = s->mid - 1 - f->low;
        status = merge_one(w, to, group, s->front[j & 1], (uint32_t)(j / 2));
    }
    if (!status && s->has_back)
        status = merge_one(w, to, group, s->back, 0);
    if (status)
        evs__pane_slider_drop(w->state, s);
    return status;
}

static evs_status merge_panes(evs__window_op *w, frame *f, evs__slice *to, uint32_t group)
{
    evs_status status = EVS_OK;

    if (f->slider->front[0] || f->high - f->low > FEW)
        return merge_stacks(w, f, to, group);
    for (uint64_t i = f->low; i < f->high && !status; i++) {
        if (evs__pane_counts(w, pane_of(f, i), f->end))
            status = merge_one(w, to, group, w->state->pool, pane_of(f, i)->group);
    }
    return status;
}

evs_status evs__sliding_merge(evs__window_op *w,
                              evs__pane_key *x,
                              uint64_t low,
                              uint64_t high,
                              evs__slice *to,
                              uint32_t group)
{
    frame f = {.key = x, .slider = &x->slider, .low = low, .high = high};
    return merge_panes(w, &f, to, group);
}

/* whether a pane that counts is dirty; panes before keyed.changed are not */
static bool has_changed(evs__window_op *w, const frame *f, const evs__span *span)
{
    evs__pane_key *x = f->key;
    uint64_t last = x->base + x->panes.count;
    uint64_t i = x->changed > f->low ? x->changed : f->low;

    if (!w->state->flagged || !span->emitted)
        return true;
    while (x->changed < last && (x->changed < x->base || !pane_of(f, x->changed)->dirty))
        x->changed++;
    for (i = x->changed > i ? x->changed : i; i < f->high; i++) {
        const evs__pane *pane = pane_of(f, i);
        if (pane->dirty && evs__pane_counts(w, pane, f->end))
            return true;
    }
    return false;
}

/* the row of a window as one more group of `to`, if there is something to tell */
static evs_status put_window(evs__window_op *w,
                             evs__pane_key *x,
                             evs__pane_slider *slider,
                             const evs__span *span,
                             evs__slice *to)
{
    frame f = {.key = x, .slider = slider, .start = span->start};
    uint64_t newest;
    uint32_t group;
    int64_t *bounds;
    evs_status status;

    f.end = evs__sliding_end(w, f.start);
    find_panes(&f);
    for (newest = f.high; newest > f.low && !evs__pane_counts(w, pane_of(&f, newest - 1), f.end);)
        newest--;
    if (newest == f.low || !has_changed(w, &f, span))
        return EVS_OK;
    status = evs__slice_reserve_groups(w->state, to, 1);
    if (status)
        return status;
    group = evs__slice_append(to, x->key);
    bounds = evs__slice_group_bounds(to, group);
    bounds[0] = f.start;
    bounds[1] = f.end;
    bounds[2] = pane_of(&f, newest - 1)->time;
    status = merge_panes(w, &f, to, group);
    if (!status && !(to->flags[group] & EVS__GROUP_OVERFLOW)) {
        to->flags[group] = EVS__GROUP_DIRTY | (span->emitted ? EVS__GROUP_EMITTED : 0);
        to->dirty++;
    } else {
        to->flags[group] = 0;
        if (!status)
            evs__window_left_out(w);
    }
    return status;
}

/* `to` into the closed queue, if it has a row */
void evs__sliding_finish(evs__window_op *w, evs__slice *to)
{
    if (!to->dirty) {
        evs__slice_free(w->state, to);
        return;
    }
    to->end = INT64_MAX;
    for (uint32_t g = 0; g < to->count; g++) {
        int64_t time = evs__slice_group_bounds(to, g)[2];
        if (time < to->end)
            to->end = evs__time_add(time, 1);
    }
    to->start = to->end;
    evs__state_add_closed(w->state, to);
}

evs_status evs__sliding_new_results(evs__window_op *w, evs__slice **ret)
{
    evs__slice_bounds none = {.floor = EVS__NO_WINDOW};
    evs_status status = evs__slice_new(w->state, &none, true, ret);

    if (!status)
        (*ret)->bounded = true;
    return status;
}

/* ---- windows that are over ---- */

/* back into the heap, which has room: an entry of the key has left it */
static void wait_again(evs__window_op *w, evs__pane_key *x)
{
    x->waiting = true;
    x->queued = evs__sliding_next_end(w, x);
    evs__sliding_push(evs__sliding_of(w), (evs__sliding_due){x->queued, x->key});
}

/* the heap's first entry that is right and over, put right on the way; NULL: there is none */
static evs__pane_key *first_over(evs__window_op *w)
{
    evs__sliding *s = evs__sliding_of(w);
    int64_t now = evs__window_now(w);

    while (s->due_count && evs__sliding_over(w, s->due[0].end, now)) {
        evs__sliding_due top = s->due[0];
        evs__pane_key *x = s->keyed[top.key];
        if (x && x->waiting && x->queued == top.end) {
            if (!x->spans[0].count && !x->spans[1].count)
                evs__sliding_prune(w, x);
            else if (evs__sliding_next_end(w, x) == top.end)
                return x;
            x = s->keyed[top.key];
            evs__sliding_pop(s);
            if (x)
                wait_again(w, x);
        } else {
            evs__sliding_pop(s);
        }
    }
    return NULL;
}

static const evs__span *first_span(const evs__pane_key *x)
{
    const evs__span *a = evs__span_at(&x->spans[0], 0), *b = evs__span_at(&x->spans[1], 0);

    if (!x->spans[1].count)
        return x->spans[0].count ? a : NULL;
    return !x->spans[0].count || b->start < a->start ? b : a;
}

static bool comes_before(const evs__pane_key *a, const evs__pane_key *b)
{
    const evs__span *x = first_span(a), *y = first_span(b);

    return x->start != y->start ? x->start < y->start : x->arrival < y->arrival;
}

/* the key's window has been made; its place in the heap is that of the next one */
static void go_on(evs__window_op *w, evs__pane_key *x)
{
    evs__sliding *s = evs__sliding_of(w);
    uint32_t key = x->key;

    evs__sliding_drop_first(w, x);
    if (!s->keyed[key])
        return;
    wait_again(w, x);
}

static int compare_keyed(const void *a, const void *b)
{
    const evs__pane_key *const *x = a, *const *y = b;
    return comes_before(*x, *y) ? -1 : 1;
}

/* Keys whose first windows end together: they leave the heap, so that they can be put in order. */
static evs_status take_ties(evs__window_op *w, evs__buffer *ties)
{
    evs__sliding *s = evs__sliding_of(w);
    evs__pane_key *x = first_over(w);
    int64_t end = x ? x->queued : 0;
    size_t n;
    evs_status status = EVS_OK;

    evs__buffer_reset(ties);
    for (; x && x->queued == end && !status; x = first_over(w)) {
        status = evs__buffer_append(ties, &x, sizeof(x));
        if (!status) {
            x->waiting = false;
            evs__sliding_pop(s);
        }
    }
    n = ties->len / sizeof(x);
    if (n > 1)
        qsort(ties->data, n, sizeof(x), compare_keyed);
    return ties->len ? EVS_OK : status ? status : EVS_END;
}

static evs_status next_final(evs__window_op *w)
{
    evs__slice *to = NULL;
    evs__buffer ties;
    evs_status status;

    if (!first_over(w))
        return EVS_END;
    status = evs__sliding_new_results(w, &to);
    if (status) {
        evs__slice_free(w->state, to);
        return status;
    }
    evs__buffer_init(&ties, w->base.ctx, SIZE_MAX);
    while (!status && to->count < EVS_BATCH_ROWS_MAX) {
        status = take_ties(w, &ties);
        for (size_t i = 0; i < ties.len / sizeof(evs__pane_key *); i++) {
            evs__pane_key *x;
            memcpy(&x, ties.data + i * sizeof(x), sizeof(x));
            if (!status)
                status = put_window(w, x, &x->slider, first_span(x), to);
            if (!status) {
                go_on(w, x);
            } else {
                wait_again(w, x);
            }
        }
    }
    evs__buffer_free(&ties);
    if (status && status != EVS_END && to->dirty)
        status = EVS_OK; /* met again after these */
    if (status == EVS_END && to->dirty)
        status = EVS_OK;
    evs__sliding_finish(w, to);
    return status;
}

/* ---- what changed ---- */

/* all windows of a key that changed, into `to`; on failure none of them */
static evs_status put_changes(evs__window_op *w, evs__pane_key *x, evs__slice *to)
{
    evs__pane_slider slider = {.low = 0};
    uint32_t at[2] = {0, 0}, before = to->count, dirty = to->dirty;
    evs_status status = EVS_OK;

    while (!status && (at[0] < x->spans[0].count || at[1] < x->spans[1].count)) {
        const evs__span *a = evs__span_at(&x->spans[0], at[0]);
        const evs__span *b = evs__span_at(&x->spans[1], at[1]);
        int which =
            at[0] == x->spans[0].count || (at[1] < x->spans[1].count && b->start < a->start);
        at[which]++;
        status = put_window(w, x, &slider, which ? b : a, to);
    }
    evs__pane_slider_drop(w->state, &slider);
    for (uint32_t g = before; status && g < to->count; g++)
        to->flags[g] = 0;
    if (status) {
        to->dirty = dirty;
        return status;
    }
    for (int i = 0; i < 2; i++) {
        for (uint32_t j = 0; j < x->spans[i].count; j++)
            evs__span_at(&x->spans[i], j)->emitted = 1;
    }
    for (uint32_t i = 0; i < x->panes.count; i++)
        evs__pane_at(x, i)->dirty = 0;
    x->changed = x->base + x->panes.count;
    x->listed = false;
    return EVS_OK;
}

static evs_status next_changed(evs__window_op *w)
{
    evs__sliding *s = evs__sliding_of(w);
    evs__slice *to = NULL;
    uint32_t done = 0;
    evs_status status;

    if (!s->changed_count)
        return EVS_END;
    status = evs__sliding_new_results(w, &to);
    for (; done < s->changed_count && !status && to->count < EVS_BATCH_ROWS_MAX; done++) {
        evs__pane_key *x = evs__sliding_changed(s, done);
        if (x)
            status = put_changes(w, x, to);
        if (status)
            break;
    }
    memmove(s->changed, s->changed + done, (s->changed_count - done) * sizeof(*s->changed));
    s->changed_count -= done;
    s->changed_base += done;
    if (to && to->dirty)
        status = EVS_OK;
    else if (!status)
        status = s->changed_count ? EVS_OK : EVS_END;
    if (to)
        evs__sliding_finish(w, to);
    return status;
}

/* Results may go beyond the bound of state: giving them out makes room. */
evs_status evs__sliding_next(evs__window_op *w, bool changes)
{
    size_t bound = w->state->account.max;
    evs_status status;

    w->state->account.max = SIZE_MAX;
    do {
        status = next_final(w);
    } while (!status && !w->state->closed);
    while (status == EVS_END && changes && w->state->flagged) {
        status = next_changed(w);
        if (status || w->state->closed)
            break;
        status = EVS_END;
    }
    w->state->account.max = bound;
    return status;
}
