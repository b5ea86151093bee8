/*
 * engine/window_sliced.c: windows that are runs of slices of time: tumbling, hopping, cumulating.
 *
 * Time is cut where any window begins or ends. A row goes to the one slice that has its time,
 * whatever number of windows that slice is in; a window is made of its slices when it is over or
 * has changed (window_merge.c). So a row costs the same for an overlap of 1 and of 600.
 *
 *   hopping, size 5, advance 2     |--|-|--|-|--|-|      slices: advance - rest and rest, with rest
 *                                  [---- 0 ----)          = size % advance; two an advance at most
 *                                     [---- 1 ----)       (Krishnamurthy, Wu, Franklin: On-the-Fly
 *                                        [---- 2 ----)    Sharing for Streamed Aggregation, 2006)
 *   cumulating, size 6, step 2     |--|--|--|             slices: steps
 *                                  [0 )
 *                                  [- 1 -)
 *                                  [-- 2 ---)
 *
 * Calendar windows (window_calendar.c) are of one slice each, with bounds that a zone knows.
 *
 * Windows have numbers, in order of their end, one more for each: hopping n = [offset + n advance,
 * + size), cumulating the end offset + n step. Which windows a slice is in is then a range of
 * numbers, which windows are over at a watermark is a number, and bounds that would not fit int64
 * saturate without two windows becoming one (but for windows that begin every millisecond: those
 * whose number does not fit are one with the first or the last).
 *
 * Lateness is each window's own matter. A row that all its windows take goes to the slice. A row
 * that only the newer ones take, since windows up to number r are over, must not be seen by those:
 * it goes to another piece of the slice, with floor r, which counts for windows above r only. So
 * what a window contains does not depend on when its result is made, a batch is never cut, a failed
 * batch changes nothing, and results can wait until there is memory for them. Once the refusing
 * windows have been made the distinction is moot and rows go to the newest piece, so pieces are
 * few: at most one for each window that closed within a batch. Watermarks rise, so pieces of a
 * slice, by floor, are in order of arrival, whichever row opened one: groups of a slice come in
 * order of first sight for every batch size.
 *
 * Closing. A window of one slice (`whole`) is the slice: it moves to the closed queue. Otherwise
 * windows that are over are due, and made one after the other when results are asked for; a slice
 * goes with the last window that it is in.
 *
 * Changes of overlapping windows. A flush is a pass over the windows in order: what is dirty when
 * it begins is marked as flushing; each window gives out its keys with such a group in any slice;
 * at the end they count as emitted. A pass can stop anywhere (downstream has no room, a snapshot)
 * and goes on later behind `flushed`. A key was given out before in a window when any of its groups
 * there was: slices only ever join the end of what a window has, and each flush gives out all open
 * windows of a group.
 */
#include "engine/window.h"

/* ---- arithmetic ---- */

static int64_t clamp(evs__int128 v)
{
    if (v > INT64_MAX)
        return INT64_MAX;
    return v < INT64_MIN ? INT64_MIN : (int64_t)v;
}

/* floor(v / by), by > 0 */
static evs__int128 floor_div(evs__int128 v, int64_t by)
{
    if (v >= INT64_MIN && v <= INT64_MAX) {
        int64_t small = (int64_t)v, q = small / by;
        return q - (small % by < 0);
    }
    return v / by - (v % by < 0);
}

static void slice_bounds(const evs__slicing *s, int64_t t, int64_t *ret_start, int64_t *ret_end)
{
    int64_t at, from, to;

    if (s->calendar) {
        evs__calendar_at(s, t, ret_start, ret_end);
        return;
    }
    at = evs__window_rest(t, s->offset, s->advance);
    from = s->rest && at >= s->rest ? s->rest : 0;
    to = s->rest && at < s->rest ? s->rest : s->advance;
    *ret_start = evs__time_sub(t, at - from);
    *ret_end = evs__time_add(t, to - at);
}

/* a window's number is never EVS__NO_WINDOW */
static int64_t clamp_window(evs__int128 v)
{
    return v <= EVS__NO_WINDOW ? EVS__NO_WINDOW + 1 : clamp(v);
}

void evs__slicing_at(const evs__slicing *s, int64_t t, evs__slice_bounds *ret)
{
    evs__int128 at = (evs__int128)t - s->offset;

    ret->floor = EVS__NO_WINDOW;
    if (s->calendar) {
        ret->first_window = evs__calendar_at(s, t, &ret->start, &ret->end);
        ret->last_window = ret->first_window;
        return;
    }
    slice_bounds(s, t, &ret->start, &ret->end);
    if (s->cumulating) {
        ret->first_window = clamp_window(floor_div(at, s->advance) + 1);
        ret->last_window = clamp_window((floor_div(at, s->size) + 1) * s->steps);
    } else {
        ret->last_window = clamp_window(floor_div(at, s->advance));
        ret->first_window =
            s->whole ? ret->last_window : clamp_window(floor_div(at - s->size, s->advance) + 1);
    }
}

void evs__slicing_window(const evs__slicing *s,
                         int64_t number,
                         int64_t *ret_start,
                         int64_t *ret_end)
{
    evs__int128 start, end;

    if (s->calendar) {
        evs__calendar_window(s, number, ret_start, ret_end);
        return;
    }
    if (s->cumulating) {
        end = (evs__int128)number * s->advance + s->offset;
        start = floor_div((evs__int128)number - 1, s->steps) * s->size + s->offset;
    } else {
        start = (evs__int128)number * s->advance + s->offset;
        end = start + s->size;
    }
    *ret_start = clamp(start);
    *ret_end = clamp(end);
}

int64_t evs__slicing_closed(const evs__window_op *w, int64_t watermark)
{
    const evs__slicing *s = &w->slicing;
    evs__int128 at = (evs__int128)watermark - w->opt.grace_ms - s->offset;

    if (watermark == EVS_TIME_NONE)
        return EVS__NO_WINDOW;
    if (watermark == INT64_MAX)
        return INT64_MAX;
    if (s->calendar) {
        int64_t start, end;
        return evs__calendar_at(s, evs__time_sub(watermark, w->opt.grace_ms), &start, &end) - 1;
    }
    return clamp(floor_div(s->cumulating ? at : at - s->size, s->advance));
}

/* the watermark at which a window is over */
static int64_t close_time(const evs__window_op *w, int64_t number)
{
    int64_t start, end;
    evs__slicing_window(&w->slicing, number, &start, &end);
    return evs__time_add(end, w->opt.grace_ms);
}

/* newest window that is over at this watermark; watermarks mostly rise, and little */
static inline int64_t closed_at(evs__window_op *w, int64_t watermark)
{
    evs__slicing *s = &w->slicing;

    if (watermark < s->next_mark)
        return s->closed;
    s->closed = evs__slicing_closed(w, watermark);
    s->next_mark = s->closed == INT64_MAX ? INT64_MAX : close_time(w, s->closed + 1);
    return s->closed;
}

static void forget_closed(evs__slicing *s)
{
    s->closed = EVS__NO_WINDOW;
    s->next_mark = EVS_TIME_NONE;
}

/* ---- options ---- */

static void setup(evs__window_op *w)
{
    evs__slicing *s = &w->slicing;
    const evs_window_options *o = &w->opt;

    s->calendar = o->calendar;
    s->size = s->advance = s->calendar ? 1 : o->size_ms;
    s->cumulating = o->kind == EVS_WINDOW_CUMULATING;
    if (o->kind == EVS_WINDOW_HOPPING)
        s->advance = o->advance_ms;
    if (s->cumulating)
        s->advance = o->step_ms;
    s->offset = s->calendar
                    ? o->offset_ms
                    : evs__window_rest(o->offset_ms, 0, s->cumulating ? s->size : s->advance);
    s->rest = s->size % s->advance;
    s->steps = s->size / s->advance;
    s->whole = s->size == s->advance;
    s->made = EVS__NO_WINDOW;
    forget_closed(s);
}

static void describe(const evs__window_op *w, evs__buffer *text)
{
    const evs_window_options *o = &w->opt;
    const char *kind = "tumbling";

    if (o->kind == EVS_WINDOW_CALENDAR) {
        evs__buffer_printf(text, "calendar unit=%s zone=%s offset=%lld",
                           evs__calendar_name(o->calendar), o->zone ? o->zone : "UTC",
                           (long long)o->offset_ms);
        return;
    }
    if (o->kind == EVS_WINDOW_HOPPING)
        kind = "hopping";
    else if (o->kind == EVS_WINDOW_CUMULATING)
        kind = "cumulating";
    evs__buffer_printf(text, "%s size=%lld offset=%lld", kind, (long long)o->size_ms,
                       (long long)o->offset_ms);
    if (o->kind == EVS_WINDOW_HOPPING)
        evs__buffer_printf(text, " advance=%lld", (long long)o->advance_ms);
    if (o->kind == EVS_WINDOW_CUMULATING)
        evs__buffer_printf(text, " step=%lld", (long long)o->step_ms);
}

/* ---- a batch ---- */

static void slice_of(const evs__window_op *w, int64_t t, int64_t *ret_start, int64_t *ret_end)
{
    slice_bounds(&w->slicing, t, ret_start, ret_end);
}

/* the piece for rows that the windows up to bounds->floor refused */
static evs_status find_piece(evs__window_work *k, const evs__slice_bounds *bounds, evs__slice **ret)
{
    evs__window_op *w = k->w;
    evs__slice *slice = evs__state_find(w->state, bounds->start);
    evs_status status = EVS_OK;

    if (!slice || (slice->floor < bounds->floor && bounds->floor > w->slicing.made))
        status = evs__state_open(w->state, bounds, &slice);
    if (!status)
        status = evs__work_touch(k, slice);
    if (!status)
        *ret = slice;
    return status;
}

static evs_status
refuse(evs__window_work *k, uint32_t row, const evs__slice_bounds *at, int64_t closed, int64_t mark)
{
    int64_t newest = closed < at->last_window ? closed : at->last_window;
    evs__late_row late = {.row = row, .watermark = mark};

    if (newest < at->last_window && k->w->opt.late == EVS_LATE_ALL_WINDOWS)
        return EVS_OK;
    late.refused = (int32_t)(newest - at->first_window + 1);
    late.accepted = (int32_t)(at->last_window - newest);
    evs__slicing_window(&k->w->slicing, newest, &late.start, &late.end);
    return evs__work_late(k, &late);
}

/* one row: *slice is that of the row before with the same `at`, or NULL */
static evs_status assign_row(
    evs__window_work *k, uint32_t row, evs__slice_bounds *at, int64_t mark, evs__slice **slice)
{
    int64_t closed = closed_at(k->w, mark);
    evs_status status = EVS_OK;

    if (closed >= at->first_window) {
        status = refuse(k, row, at, closed, mark);
        if (closed >= at->last_window || status) {
            *slice = NULL;
            return status;
        }
        if (closed != at->floor)
            *slice = NULL;
        at->floor = closed;
    }
    return *slice ? EVS_OK : find_piece(k, at, slice);
}

static evs_status assign_each(evs__window_work *k)
{
    evs__slice_bounds at = {0};
    int64_t mark = k->base;
    uint32_t kept = 0;
    evs__slice *slice = NULL;

    for (uint32_t i = 0; i < k->n; i++) {
        uint32_t row = k->rows[i];
        int64_t t = evs__work_time(k, row), now = evs__work_mark(k, row);
        evs_status status;
        mark = now > mark ? now : mark;
        /* a slice before the last one of time may end at INT64_MAX as well */
        if (!i || t == INT64_MAX || !evs__window_has(at.start, at.end, t)) {
            evs__slicing_at(&k->w->slicing, t, &at);
            slice = NULL;
        }
        status = assign_row(k, row, &at, mark, &slice);
        if (status)
            return status;
        if (slice) {
            slice->batch_rows++;
            k->rows[kept] = row;
            k->temp[kept++] = slice->batch_index;
        }
    }
    k->n = kept;
    return EVS_OK;
}

static evs_status assign(evs__window_work *k)
{
    evs__slice_bounds at;
    evs_status status;

    if (k->one_slice) {
        evs__slice *slice = NULL;
        evs__slicing_at(&k->w->slicing, evs__work_time(k, k->rows[0]), &at);
        if (closed_at(k->w, evs__work_mark(k, k->in->rows - 1)) < at.first_window) {
            status = find_piece(k, &at, &slice);
            if (!status)
                slice->batch_rows = k->n;
            return status;
        }
        forget_closed(&k->w->slicing); /* the rows before the last one have lower marks */
    }
    status = assign_each(k);
    if (!status && k->slice_count > 1)
        evs__work_bucket(k);
    return status;
}

static void taken(evs__window_work *k)
{
    evs__slicing *s = &k->w->slicing;

    if (s->whole)
        return;
    s->changed = s->changed || k->slice_count;
    for (uint32_t i = 0; i < k->slice_count; i++)
        s->slider.valid = s->slider.valid && k->slices[i]->start >= s->slider.back_end;
}

static void dropped(evs__window_work *k)
{
    forget_closed(&k->w->slicing); /* its watermarks did not happen */
}

/* ---- close ---- */

static void close_windows(evs__window_op *w)
{
    int64_t closed = closed_at(w, evs__window_now(w));
    const evs__slice *first;

    if (!w->slicing.whole)
        return;
    while ((first = evs__state_first(w->state)) && first->last_window <= closed)
        evs__state_close_first(w->state);
}

/* the first window after those made that has a slice; windows without rows do not exist */
static bool next_window(const evs__window_op *w, int64_t *ret)
{
    const evs__slice *first = evs__state_first(w->state);
    int64_t made = w->slicing.made;

    if (!first || made == INT64_MAX)
        return false;
    *ret = first->first_window > made ? first->first_window : made + 1;
    return true;
}

static bool next_due(const evs__window_op *w, int64_t *ret)
{
    return !w->slicing.whole && next_window(w, ret) &&
           *ret <= evs__slicing_closed(w, evs__window_now(w));
}

static bool is_due(const evs__window_op *w)
{
    int64_t number;
    return next_due(w, &number);
}

static int64_t due_time(const evs__window_op *w)
{
    int64_t number, start, end;

    if (!next_due(w, &number))
        return INT64_MAX;
    evs__slicing_window(&w->slicing, number, &start, &end);
    return evs__time_sub(end, 1);
}

static int64_t first_close(const evs__window_op *w)
{
    int64_t number;
    return next_window(w, &number) ? close_time(w, number) : INT64_MAX;
}

static int64_t last_close(const evs__window_op *w)
{
    int64_t last = EVS_TIME_NONE;

    for (size_t i = 0; i < w->state->order.count; i++) {
        const evs__slice *slice = w->state->order.items[i].value;
        int64_t at = close_time(w, slice->last_window);
        last = at > last ? at : last;
    }
    return last;
}

/* overlapping: from the oldest to the newest, those between without rows included */
static int64_t open_count(const evs__window_op *w)
{
    int64_t first, last = EVS__NO_WINDOW;

    if (w->slicing.whole)
        return (int64_t)w->state->open_count;
    if (!next_window(w, &first))
        return 0;
    for (size_t i = 0; i < w->state->order.count; i++) {
        const evs__slice *slice = w->state->order.items[i].value;
        last = slice->last_window > last ? slice->last_window : last;
    }
    return last < first ? 0 : clamp((evs__int128)last - first + 1);
}

/* ---- results of overlapping windows ---- */

/* what next() does with a window: its groups' flags say which keys are given out, and as what */
static void choose_groups(evs__window_op *w, evs__slice *result, int64_t number, bool pass)
{
    const evs__slicing *s = &w->slicing;
    bool given = s->flushing && number <= s->flushed && !pass;

    result->dirty = 0;
    for (uint32_t g = 0; g < result->count; g++) {
        uint8_t was = result->flags[g], flags = 0;
        bool changed = was & EVS__GROUP_FLUSHING && !given;
        changed = changed || (was & EVS__GROUP_DIRTY && !pass) || !w->state->flagged;
        if (changed && !(was & EVS__GROUP_OVERFLOW)) {
            flags = EVS__GROUP_DIRTY;
            result->dirty++;
        } else if (changed) {
            evs__window_left_out(w);
        }
        if (was & EVS__GROUP_EMITTED || (was & EVS__GROUP_FLUSHING && given))
            flags |= EVS__GROUP_EMITTED;
        result->flags[g] = flags;
    }
    result->done = 0;
}

/* the window's results into the closed queue; *ret_any: it has some */
static evs_status make_window(evs__window_op *w, int64_t number, bool pass, bool *ret_any)
{
    evs__slice *result = NULL;
    evs_status status = evs__slider_window(w, number, &result);

    *ret_any = false;
    if (status || !result)
        return status;
    choose_groups(w, result, number, pass);
    if (!result->dirty) {
        evs__slice_free(w->state, result);
        return EVS_OK;
    }
    *ret_any = true;
    evs__state_add_closed(w->state, result);
    return EVS_OK;
}

static evs_status next_closed(evs__window_op *w)
{
    evs__slicing *s = &w->slicing;
    const evs__slice *first;
    int64_t number;

    while (next_due(w, &number)) {
        bool any = false;
        evs_status status = EVS_OK;
        if (!w->state->flagged || s->changed)
            status = make_window(w, number, false, &any);
        if (status)
            return status;
        s->made = number;
        while ((first = evs__state_first(w->state)) && first->last_window <= number)
            evs__state_drop_first(w->state);
        if (any)
            return EVS_OK;
    }
    return EVS_END;
}

/* every group in state `from` becomes `to`; whether there was one */
static bool turn_flags(evs__window_op *w, uint8_t from, uint8_t to)
{
    bool any = false;

    for (size_t i = 0; i < w->state->order.count; i++) {
        evs__slice *slice = w->state->order.items[i].value;
        uint32_t n = from == EVS__GROUP_DIRTY ? slice->dirty : slice->flushing;
        if (!n)
            continue;
        any = true;
        for (uint32_t g = 0; g < slice->count; g++) {
            if (slice->flags[g] & from)
                slice->flags[g] = (uint8_t)((slice->flags[g] & ~from) | to);
        }
        if (from == EVS__GROUP_DIRTY) {
            slice->flushing = n;
            slice->dirty = 0;
            slice->done = slice->count;
        } else {
            slice->flushing = 0;
        }
    }
    w->slicing.slider.valid = false; /* its tables have the flags of before */
    return any;
}

static evs_status know_flushing(evs__window_op *w)
{
    evs__result_scratch *r = &w->result;
    evs_status status = EVS_OK;

    if (r->dirty_known)
        return EVS_OK;
    r->dirty.count = 0;
    for (size_t i = 0; i < w->state->order.count && !status; i++) {
        evs__slice *slice = w->state->order.items[i].value;
        if (slice->flushing)
            status = evs__heap_push(&r->dirty, slice->start, slice);
    }
    r->dirty_known = !status;
    return status;
}

/* the first window behind `flushed` with a group that is flushing */
static bool next_flushing(evs__window_op *w, int64_t *ret)
{
    const evs__slicing *s = &w->slicing;
    int64_t behind = s->flushed > s->made ? s->flushed : s->made;
    const evs__heap_item *top;
    evs__heap_item done;

    while ((top = evs__heap_top(&w->result.dirty))) {
        const evs__slice *slice = top->value;
        if (slice->last_window > behind) {
            *ret = slice->first_window > behind ? slice->first_window : behind + 1;
            return true;
        }
        evs__heap_pop(&w->result.dirty, &done);
    }
    return false;
}

static evs_status next_changed(evs__window_op *w)
{
    evs__slicing *s = &w->slicing;
    int64_t number;

    for (;;) {
        evs_status status;
        if (!s->flushing) {
            s->changed = turn_flags(w, EVS__GROUP_DIRTY, EVS__GROUP_FLUSHING);
            if (!s->changed)
                return EVS_END;
            s->flushing = true;
            s->flushed = EVS__NO_WINDOW;
            w->result.dirty_known = false;
        }
        status = know_flushing(w);
        while (!status && next_flushing(w, &number)) {
            bool any = false;
            status = make_window(w, number, true, &any);
            if (status)
                break;
            s->flushed = number;
            if (any)
                return EVS_OK;
        }
        if (status)
            return status;
        turn_flags(w, EVS__GROUP_FLUSHING, EVS__GROUP_EMITTED);
        s->flushing = false;
    }
}

static evs_status next(evs__window_op *w, bool changes)
{
    evs_status status;

    if (w->slicing.whole)
        return EVS_END;
    status = next_closed(w);
    if (status == EVS_END && changes && w->state->flagged && w->slicing.changed)
        status = next_changed(w);
    return status;
}

/* ---- the rest ---- */

static void reset(evs__window_op *w)
{
    evs__slider_drop(w);
    forget_closed(&w->slicing);
    w->slicing.made = EVS__NO_WINDOW;
    w->slicing.flushing = w->slicing.changed = false;
}

static bool check(const evs__window_op *w, evs__slice_bounds *b, bool closed)
{
    const evs__slicing *s = &w->slicing;
    evs__slice_bounds at;
    int64_t start, end;

    evs__slicing_at(s, b->start, &at);
    if (closed && !s->whole) {
        /* results of a window; bounds that saturated do not tell which */
        if (b->start == INT64_MIN || b->end == INT64_MAX)
            return b->start <= b->end;
        evs__slicing_at(s, s->cumulating ? evs__time_sub(b->end, 1) : b->start, &at);
        evs__slicing_window(s, s->cumulating ? at.first_window : at.last_window, &start, &end);
        return start == b->start && end == b->end;
    }
    if (at.start != b->start || at.end != b->end)
        return false;
    b->first_window = at.first_window;
    b->last_window = at.last_window;
    return b->floor == EVS__NO_WINDOW || (b->floor >= at.first_window && b->floor < at.last_window);
}

/* ---- read ---- */

/* the window's pieces of the key to the front of r->picked; they are in order of time already */
static size_t pieces_of(const evs__reading *r, int64_t number, evs__read_piece *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < r->piece_count; i++) {
        const evs__slice *slice = r->pieces[i].slice;
        if (slice->first_window <= number && number <= slice->last_window && slice->floor < number)
            ret[n++] = r->pieces[i];
    }
    return n;
}

/* the first window above `number` that some piece is in; false: there is none */
static bool next_number(const evs__reading *r, int64_t *number)
{
    int64_t least = INT64_MAX;
    bool any = false;
    for (size_t i = 0; i < r->piece_count; i++) {
        const evs__slice *slice = r->pieces[i].slice;
        int64_t first = slice->first_window > *number ? slice->first_window : *number + 1;
        if (first > slice->last_window || *number == INT64_MAX)
            continue;
        least = first < least ? first : least;
        any = true;
    }
    *number = least;
    return any;
}

/* a window of one slice is the slice */
static evs_status read_number(evs__window_op *w, evs__reading *r, int64_t number)
{
    evs__read_piece few[16], *pieces = few;
    int64_t start, end;
    size_t n;
    evs_status status = EVS_OK;

    evs__slicing_window(&w->slicing, number, &start, &end);
    r->work += r->piece_count;
    r->moved = true;
    if (start < r->from || start >= r->to)
        return EVS_OK;
    if (r->piece_count > sizeof(few) / sizeof(*few))
        pieces = evs__realloc_array(w->base.ctx, NULL, r->piece_count, sizeof(*pieces));
    if (!pieces)
        return EVS_ERR_NOMEM;
    n = pieces_of(r, number, pieces);
    if (n)
        status = evs__reading_add(w, r, pieces, n, start, end);
    if (pieces != few)
        evs__free(w->base.ctx, pieces);
    return status;
}

static evs_status read_windows(evs__window_op *w, evs__reading *r)
{
    int64_t number = evs__slicing_closed(w, evs__window_now(w));

    if (r->place->window > number)
        number = r->place->window - 1;
    while (next_number(r, &number)) {
        evs_status status;
        r->place->window = number;
        if (evs__reading_is_full(r))
            return EVS_AGAIN;
        status = read_number(w, r, number);
        if (status)
            return status;
    }
    return EVS_OK;
}

/* ---- explain ---- */

static bool
explain(const evs__window_op *w, int64_t window_start, evs__buffer *out, int64_t *ret_end)
{
    const evs__slicing *s = &w->slicing;
    uint32_t slices = 0;
    uint64_t keys = 0;
    evs__slice_bounds at;
    int64_t number, start, end, closed = evs__slicing_closed(w, evs__window_now(w));

    evs__slicing_at(s, window_start, &at);
    /* of the windows that begin together the one that closes next */
    number = s->cumulating ? at.first_window : at.last_window;
    if (s->cumulating && closed >= number)
        number = closed < at.last_window ? closed + 1 : at.last_window;
    evs__slicing_window(s, number, &start, &end);
    evs__window_explain_bounds(w, start, end, out);
    if (number <= closed) {
        evs__buffer_text(out, "closed: rows for it are late\n");
        return false;
    }
    for (size_t i = 0; i < w->state->order.count; i++) {
        const evs__slice *slice = w->state->order.items[i].value;
        if (slice->first_window > number || slice->last_window < number || slice->floor >= number)
            continue;
        slices++;
        keys += slice->count;
    }
    if (!slices)
        evs__buffer_text(out, "open: no rows yet\n");
    else if (s->whole)
        evs__buffer_printf(out, "open: %llu keys\n", (unsigned long long)keys);
    else
        evs__buffer_printf(out, "open: %llu keys in %u slices\n", (unsigned long long)keys, slices);
    *ret_end = end;
    return true;
}

const evs__window_family evs__window_sliced = {
    .setup = setup,
    .describe = describe,
    .slice_of = slice_of,
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
    .read = read_windows,
    .explain = explain,
};
