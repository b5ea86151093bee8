/*
 * engine/window_emit.c: groups to result batches, refused rows to late batches.
 *
 * Results are made when somebody takes them, a batch at a time, straight from the state: a closed
 * slice stays in the closed queue until its last group has been given out, so closing needs no
 * memory and a failure to allocate a batch loses nothing.
 *
 *   pick     up to EVS_BATCH_ROWS_MAX groups: closed slices in order of end, then (flush) changed
 *            groups of open slices in order of start; within a slice in order of first sight
 *   make     keys, window_start, window_end, aggregates as columns
 *   given    cursors move on, flags are cleared, slices that are done are freed
 *
 * emit=final: all groups of a closed slice, once. emit=changes: groups with the dirty flag, an
 * insert the first time, then updates; a slice that closes with changes gives them out as it
 * closes.
 */
#include "engine/window.h"

void evs__window_left_out(evs__window_op *w)
{
    w->rejected++;
    evs__log(w->base.ctx, EVS_LOG_ERROR, "window",
             "a result is left out: a sum over the window does not fit its type");
}

/* ---- pick ---- */

static evs_status result_scratch(evs__window_op *w)
{
    evs__result_scratch *r = &w->result;
    evs_context *ctx = w->base.ctx;

    if (r->runs)
        return EVS_OK;
    if (!r->picks)
        r->picks = evs__calloc(ctx, EVS_BATCH_ROWS_MAX, sizeof(*r->picks));
    if (!r->ids)
        r->ids = evs__calloc(ctx, EVS_BATCH_ROWS_MAX, sizeof(*r->ids));
    if (r->picks && r->ids)
        r->runs = evs__calloc(ctx, EVS_BATCH_ROWS_MAX, sizeof(*r->runs));
    return r->runs ? EVS_OK : EVS_ERR_NOMEM;
}

/* groups from slice->done on, as many as there is room for */
static void pick_slice(evs__result_scratch *r, evs__slice *slice)
{
    evs__result_run run = {slice, r->pick_count, 0, slice->done};
    uint32_t group = slice->done;

    for (; group < slice->count && r->pick_count < EVS_BATCH_ROWS_MAX; group++) {
        if (slice->flags && !(slice->flags[group] & EVS__GROUP_DIRTY))
            continue;
        r->ids[r->pick_count] = slice->order[group];
        r->picks[r->pick_count++] = group;
    }
    run.n = r->pick_count - run.from;
    run.done_after = group;
    if (run.n)
        r->runs[r->run_count++] = run;
}

static bool nothing_left(const evs__slice *slice)
{
    return slice->flags ? slice->dirty == 0 : slice->done == slice->count;
}

/* what is in the queue, and what the family puts there as long as there is room in the batch */
static evs_status pick_closed(evs__window_op *w, bool changes)
{
    evs__result_scratch *r = &w->result;
    evs__slice **at = &w->state->closed;
    evs_status status = EVS_OK;

    while (w->state->closed && nothing_left(w->state->closed))
        evs__state_release(w->state);
    while (r->pick_count < EVS_BATCH_ROWS_MAX) {
        if (!*at && w->family->next)
            status = w->family->next(w, changes);
        if (status || !*at)
            break;
        pick_slice(r, *at);
        at = &(*at)->next;
    }
    if (status == EVS_END || r->pick_count) /* a failure is met again after this batch */
        return EVS_OK;
    return status;
}

static evs_status pick_changed(evs__window_op *w)
{
    evs__result_scratch *r = &w->result;
    evs__heap_item item;
    evs_status status = EVS_OK;

    if (r->pick_count == EVS_BATCH_ROWS_MAX)
        return EVS_OK;
    for (size_t i = 0; i < w->state->order.count && !status; i++) {
        evs__slice *slice = w->state->order.items[i].value;
        if (slice->dirty)
            status = evs__heap_push(&r->dirty, slice->start, slice);
    }
    while (evs__heap_pop(&r->dirty, &item)) {
        if (!status && r->pick_count < EVS_BATCH_ROWS_MAX)
            pick_slice(r, item.value);
    }
    return status;
}

/* ---- make ---- */

/* A slice of many groups fills batch after batch with the same bounds: they share two columns. */
static bool share_bounds(evs__window_op *w, const evs__result_run *run, evs_batch *b)
{
    evs__column **shared = w->result.bounds, **columns = b->columns + w->key_count;

    if (run->n < EVS_BATCH_ROWS_MAX || run->slice->bounds)
        return false;
    if (shared[0] && shared[0]->i64[0] == run->slice->start &&
        shared[1]->i64[0] == run->slice->end) {
        for (int i = 0; i < 2; i++) {
            evs__column_unref(columns[i]);
            columns[i] = evs__column_ref(shared[i]);
        }
        return true;
    }
    for (int i = 0; i < 2; i++) {
        evs__column_unref(shared[i]);
        shared[i] = evs__column_ref(columns[i]);
    }
    return false;
}

/* groups with bounds of their own, whose end is in the window */
static void append_bounds(evs__window_op *w, const evs__result_run *run, evs_batch *b)
{
    for (uint32_t i = 0; i < run->n; i++) {
        const int64_t *bounds = evs__slice_group_bounds(run->slice, w->result.picks[run->from + i]);
        evs__column_append_i64(b->columns[w->key_count], bounds[0]);
        evs__column_append_i64(b->columns[w->key_count + 1], bounds[1]);
        b->times[run->from + i] = bounds[2];
    }
}

static void append_window(evs__window_op *w, const evs__result_run *run, evs_batch *b)
{
    evs__column *start = b->columns[w->key_count], *end = b->columns[w->key_count + 1];
    int64_t time = evs__time_sub(run->slice->end, 1);

    if (run->slice->bounds) {
        append_bounds(w, run, b);
    } else if (!share_bounds(w, run, b)) {
        for (uint32_t i = 0; i < run->n; i++) {
            evs__column_append_i64(start, run->slice->start);
            evs__column_append_i64(end, run->slice->end);
        }
    }
    for (uint32_t i = 0; i < run->n && !run->slice->bounds; i++)
        b->times[run->from + i] = time;
    for (uint32_t i = 0; i < run->n && b->kinds; i++) {
        uint8_t flags = run->slice->flags[w->result.picks[run->from + i]];
        b->kinds[run->from + i] = flags & EVS__GROUP_EMITTED ? EVS_ROW_UPDATE : EVS_ROW_INSERT;
        if (flags & EVS__GROUP_DELETE)
            b->kinds[run->from + i] = EVS_ROW_DELETE;
    }
}

static evs_status append_run(evs__window_op *w, const evs__result_run *run, evs_batch *b)
{
    evs_status status = EVS_OK;

    append_window(w, run, b);
    for (uint32_t i = 0; i < w->aggregates.count && !status; i++) {
        const evs__aggregate *a = &w->aggregates.items[i];
        evs__agg_groups groups = evs__agg_view(w->state, run->slice, &w->aggregates, i);
        groups.index = w->result.picks + run->from;
        groups.n = run->n;
        status = a->fn->result(a, &groups, b->columns[w->key_count + 2 + i]);
    }
    return status;
}

static evs_status make_batch(evs__window_op *w, evs_batch **ret)
{
    const evs__result_scratch *r = &w->result;
    evs_batch *b = NULL;
    evs_status status =
        evs__batch_new(w->base.ctx, w->base.out_type, EVS_LAYOUT_OWNED, r->pick_count, &b);

    if (!status)
        status = evs__batch_need_times(b);
    if (!status && w->state->flagged)
        status = evs__batch_need_kinds(b);
    if (!status)
        status = evs__key_columns(w->key_form, &w->state->keys, r->ids, r->pick_count, b->columns,
                                  w->key_count);
    for (uint32_t i = 0; i < r->run_count && !status; i++)
        status = append_run(w, &r->runs[i], b);
    if (status) {
        evs_batch_unref(b);
        return status;
    }
    b->rows = b->count = r->pick_count;
    *ret = b;
    return EVS_OK;
}

/* ---- when changes are given out ---- */

static bool passed_multiple(int64_t last, int64_t now, int64_t every)
{
    return last != EVS_TIME_NONE && now != EVS_TIME_NONE &&
           evs__time_sub(now, evs__window_rest(now, 0, every)) > last;
}

/* emit_every_ms and emit_count; once it has begun a flush goes on to its end */
static bool is_time_for_changes(evs__window_op *w)
{
    const evs_window_options *o = &w->opt;
    int64_t now = evs__window_now(w);

    if (w->emit_now || (!o->emit_every_ms && !o->emit_count))
        return true;
    if (w->emit_time == EVS_TIME_NONE)
        w->emit_time = now;
    w->emit_now = (o->emit_every_ms && passed_multiple(w->emit_time, now, o->emit_every_ms)) ||
                  (o->emit_count && w->rows - w->emit_rows >= o->emit_count);
    if (w->emit_now) {
        w->emit_time = now;
        w->emit_rows = w->rows;
    }
    return w->emit_now;
}

static evs_status next_result(evs__window_op *w, bool changes, evs_batch **ret);

evs_status evs__window_result(evs__window_op *w, bool changes, evs_batch **ret)
{
    bool all = changes && w->state->flagged && is_time_for_changes(w);
    evs_status status = next_result(w, all, ret);

    if (status == EVS_END && all)
        w->emit_now = false;
    return status;
}

static evs_status next_result(evs__window_op *w, bool changes, evs_batch **ret)
{
    evs__result_scratch *r = &w->result;
    evs_status status;

    if (!w->state->closed && !(w->family->is_due && w->family->is_due(w)) &&
        !(changes && w->state->flagged && (w->state->open_count || w->state->pool)))
        return EVS_END;
    status = result_scratch(w);
    if (status)
        return status;
    r->pick_count = r->run_count = 0;
    r->dirty_known = false;
    status = pick_closed(w, changes);
    if (!status && changes && w->state->flagged && w->slicing.whole)
        status = pick_changed(w);
    if (status)
        return status;
    return r->pick_count ? make_batch(w, ret) : EVS_END;
}

/* ---- given ---- */

void evs__window_result_given(evs__window_op *w)
{
    evs__result_scratch *r = &w->result;

    for (uint32_t i = 0; i < r->run_count; i++) {
        const evs__result_run *run = &r->runs[i];
        run->slice->done = run->done_after;
        if (!run->slice->flags)
            continue;
        for (uint32_t j = 0; j < run->n; j++)
            run->slice->flags[r->picks[run->from + j]] = EVS__GROUP_EMITTED;
        run->slice->dirty -= run->n;
    }
    r->run_count = r->pick_count = 0;
    while (w->state->closed && nothing_left(w->state->closed))
        evs__state_release(w->state);
}

/* ---- late rows ---- */

static evs_status late_columns(const evs__window_op *w,
                               const evs__late_row *rows,
                               uint32_t n,
                               const int64_t *times,
                               evs_batch *b)
{
    evs__column **c = b->columns + w->base.in_type->child_count;

    for (uint32_t i = 0; i < n; i++) {
        evs__column_append_i64(c[0], rows[i].start);
        evs__column_append_i64(c[1], rows[i].end);
        evs__column_append_i32(c[2], rows[i].refused);
        evs__column_append_i32(c[3], rows[i].accepted);
        evs__column_append_i64(c[4], evs__time_sub(rows[i].watermark, times[i]));
        evs__column_append_i64(c[5], rows[i].watermark);
    }
    return EVS_OK;
}

evs_status evs__window_late_batch(const evs__window_op *w,
                                  const evs_batch *in,
                                  const evs__late_row *rows,
                                  uint32_t n,
                                  int64_t clock,
                                  evs_batch **ret)
{
    evs_context *ctx = w->base.ctx;
    uint32_t *sel = evs__realloc_array(ctx, NULL, n, sizeof(*sel));
    evs_batch *b = NULL;
    evs_status status = EVS_ERR_NOMEM;

    if (!sel)
        return status;
    for (uint32_t i = 0; i < n; i++)
        sel[i] = rows[i].row;
    status = evs__batch_new(ctx, w->base.late_type, EVS_LAYOUT_OWNED, n, &b);
    if (!status)
        status = evs__batch_need_times(b);
    if (!status && in->kinds)
        status = evs__batch_need_kinds(b);
    if (!status && in->lease && in->origin)
        status = evs__batch_need_origin(b);
    for (uint32_t i = 0; i < in->column_count && !status; i++)
        status = evs__column_gather(b->columns[i], in->columns[i], sel, n);
    if (status)
        goto out;
    /* a late row may become a dead letter, which shows the event it came from */
    for (uint32_t i = 0; i < n && b->origin; i++)
        b->origin[i] = in->origin[sel[i]];
    if (b->origin)
        b->lease = evs__lease_ref(in->lease);
    for (uint32_t i = 0; i < n; i++) {
        b->times[i] = w->opt.time == EVS_TIME_PROCESSING ? clock : in->times[sel[i]];
        if (b->kinds)
            b->kinds[i] = in->kinds[sel[i]];
    }
    status = late_columns(w, rows, n, b->times, b);
    b->rows = b->count = n;
out:
    evs__free(ctx, sel);
    if (status)
        evs_batch_unref(b);
    else
        *ret = b;
    return status;
}

evs_batch *evs__window_late(evs__window_op *w)
{
    evs__late_node *node = w->late;
    evs_batch *batch;

    if (!node)
        return NULL;
    batch = node->batch;
    w->late = node->next;
    if (!w->late)
        w->late_tail = &w->late;
    evs__account_give(&w->state->account, node->bytes);
    evs__free(w->base.ctx, node);
    return batch;
}

/* ---- drain ---- */

static evs_status drain_late(evs__window_op *w, const evs__out *out, evs_error **reterr)
{
    evs_status status = EVS_OK;

    while (w->late && !status) {
        status = out->emit(out->user, EVS__PORT_LATE, w->late->batch, reterr);
        if (!status)
            evs_batch_unref(evs__window_late(w));
    }
    return status;
}

evs_status
evs__window_drain(evs__window_op *w, bool changes, const evs__out *out, evs_error **reterr)
{
    evs_status status;

    if (!out || !out->emit)
        return EVS_OK;
    status = drain_late(w, out, reterr);
    while (!status) {
        evs_batch *batch = NULL;
        status = evs__window_result(w, changes, &batch);
        if (status == EVS_END)
            return EVS_OK;
        if (status)
            return evs__window_fail(w, status, reterr);
        status = out->emit(out->user, EVS__PORT_MAIN, batch, reterr);
        evs_batch_unref(batch);
        if (!status)
            evs__window_result_given(w);
    }
    return status;
}
