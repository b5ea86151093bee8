/*
 * engine/window.c: the window operator's way with a batch.
 *
 *   judge     keys and arguments evaluated as columns; rows without time, with a NULL key or a
 *             failed expression set aside
 *   assign    each row to its slice, or to the late rows, by the watermark including that row: the
 *             family's part
 *   reserve   keys interned, room for groups and states, late rows copied
 *   ----------------------------------------- until here everything may fail and nothing is taken
 *   apply     rows to groups, groups to aggregates; rejected rows told
 *   close     the task's watermark after the batch; windows that are over become due
 *   drain     results and late rows to whoever is downstream
 *
 * Why a batch need not be cut where a window closes: whether a row is taken, and by which windows,
 * was decided row by row, so every row that is added to a window comes before the row that closes
 * it; adding first and closing afterwards gives each window the same rows, and windows close in the
 * same order either way. Results are therefore the same for every batch size. (A row that only the
 * newer ones of its windows take: see window_sliced.c.)
 *
 * Cost: the usual batch, all rows in one slice that stays open, takes one pass for the smallest
 * and largest time and then whole-batch loops: hash, intern, group, add. Rows of several slices
 * are bucketed by slice with a counting sort.
 *
 * A row that would overflow a sum is found while adding. Then the block is undone and added again
 * row by row, since whether a row fits depends on the rows before it, and only on those taken.
 */
#include "engine/window.h"

#define BLOCK 512
#define SCRATCH_KEEP 65536 /* larger batches give their scratch back */

typedef evs__window_work work;
typedef evs__rejected rejected;

evs_status evs__window_fail(const evs__window_op *w, evs_status status, evs_error **reterr)
{
    if (status == EVS_ERR_NOMEM)
        return evs__nomem(reterr);
    return evs__fail(w->base.ctx, reterr, status,
                     "the window's state has reached its bound of %zu bytes (state_bytes_max)",
                     w->state->account.max);
}

/* an array that grows by doubling, outside the account: scratch of one call */
static evs_status grow(evs_context *ctx, void **array, uint32_t *capacity, size_t item)
{
    uint32_t more = *capacity ? *capacity * 2 : 64;
    void *p = evs__realloc_array(ctx, *array, more, item);
    if (!p)
        return EVS_ERR_NOMEM;
    *array = p;
    *capacity = more;
    return EVS_OK;
}

/* ---- judge ---- */

static void
set_aside(work *k, uint32_t row, const char *stage, evs_status status, const char *message)
{
    evs_context *ctx = k->w->base.ctx;

    if (k->status || (k->bad && k->bad[row]))
        return;
    if (!k->bad && !(k->bad = evs__calloc(ctx, k->in->rows, 1))) {
        k->status = EVS_ERR_NOMEM;
        return;
    }
    if (k->reject_count == k->reject_capacity)
        k->status = grow(ctx, (void **)&k->rejects, &k->reject_capacity, sizeof(*k->rejects));
    if (k->status)
        return;
    k->rejects[k->reject_count] = (rejected){row, status, stage, k->messages.len};
    k->status = evs__buffer_append(&k->messages, message, strlen(message) + 1);
    if (k->status)
        return;
    k->bad[row] = 1;
    k->reject_count++;
}

static void expression_failed(void *user_data, uint32_t row, evs_status status, const char *message)
{
    set_aside(user_data, row, EVS__STAGE_EXPRESSION, status, message);
}

static evs_status evaluate(work *k, evs_error **reterr)
{
    evs__window_op *w = k->w;
    evs_status status = EVS_OK;

    for (uint32_t i = 0; i < w->key_count && !status; i++)
        status = evs__expr_eval(w->keys[i], k->in, expression_failed, k, &k->keys[i], reterr);
    if (!status)
        status = evs__aggregates_eval(&w->aggregates, k->in, expression_failed, k, k->args, reterr);
    if (!status && k->status)
        status = evs__nomem(reterr);
    return status;
}

static void check_row(work *k, uint32_t row)
{
    const evs__window_op *w = k->w;

    if (k->in->kinds && k->in->kinds[row] == EVS_ROW_DELETE)
        set_aside(k, row, EVS__STAGE_EXPRESSION, EVS_ERR_UNSUPPORTED,
                  "a window cannot take a row back (row kind delete)");
    if (w->opt.time == EVS_TIME_EVENT && (!k->in->times || k->in->times[row] == EVS_TIME_NONE))
        set_aside(k, row, EVS__STAGE_EVENT_TIME, EVS_ERR_TIME, "the row has no event time");
    for (uint32_t i = 0; w->key_may_be_null && i < w->key_count; i++) {
        if (evs__column_is_null(k->keys[i], row))
            set_aside(k, row, EVS__STAGE_NULL_KEY, EVS_ERR_INVALID, "the grouping key is NULL");
    }
}

/* Whether all rows have a time, in the slice of the first one. The slice is kept. */
static bool in_one_slice(work *k)
{
    const int64_t *times = k->in->times;
    uint64_t width;
    uint32_t outside = 0;

    k->start = k->end = 0;
    if (k->w->opt.time == EVS_TIME_PROCESSING)
        return true;
    if (!times || !k->n || !k->w->family->slice_of || times[k->rows[0]] == EVS_TIME_NONE)
        return false;
    k->w->family->slice_of(k->w, times[k->rows[0]], &k->start, &k->end);
    if (k->start == EVS_TIME_NONE)
        return false;
    width = (uint64_t)k->end - (uint64_t)k->start;
    if (k->in->sel) {
        for (uint32_t i = 0; i < k->n; i++)
            outside |= (uint64_t)times[k->rows[i]] - (uint64_t)k->start >= width;
    } else {
        for (uint32_t i = 0; i < k->n; i++)
            outside |= (uint64_t)times[i] - (uint64_t)k->start >= width;
    }
    return !outside;
}

static bool must_check(const work *k)
{
    bool check = k->bad || k->in->kinds;

    /* a row without time is in no window with others */
    if (k->w->opt.time == EVS_TIME_EVENT && !k->one_slice)
        return true;
    for (uint32_t i = 0; k->w->key_may_be_null && i < k->w->key_count; i++)
        check = check || k->keys[i]->validity;
    return check;
}

/* rows[0..n): physical rows that are to be counted */
static evs_status choose_rows(work *k)
{
    uint32_t kept = 0;

    k->n = k->in->count;
    for (uint32_t i = 0; i < k->n; i++)
        k->rows[i] = k->in->sel ? k->in->sel[i] : i;
    k->one_slice = in_one_slice(k);
    if (!must_check(k))
        return EVS_OK;
    for (uint32_t i = 0; i < k->n; i++) {
        uint32_t row = k->rows[i];
        check_row(k, row);
        if (!k->bad || !k->bad[row])
            k->rows[kept++] = row;
    }
    k->n = kept;
    return k->status;
}

/* ---- assign ---- */

evs_status evs__work_touch(work *k, evs__slice *slice)
{
    evs_status status = EVS_OK;

    if (slice->batch_rows)
        return EVS_OK;
    if (k->slice_count == k->slice_capacity)
        status = grow(k->w->base.ctx, (void **)&k->slices, &k->slice_capacity, sizeof(*k->slices));
    if (status)
        return status;
    slice->batch_index = k->slice_count;
    k->slices[k->slice_count++] = slice;
    return EVS_OK;
}

evs_status evs__work_late(work *k, const evs__late_row *late)
{
    evs_status status = EVS_OK;

    if (k->late_count == k->late_capacity)
        status = grow(k->w->base.ctx, (void **)&k->late, &k->late_capacity, sizeof(*k->late));
    if (!status)
        k->late[k->late_count++] = *late;
    return status;
}

/* stable counting sort of rows by the slice index in temp */
void evs__work_bucket(work *k)
{
    uint32_t *sorted = k->groups; /* not yet in use */
    uint32_t at = 0;

    for (uint32_t s = 0; s < k->slice_count; s++) {
        k->slices[s]->batch_index = at;
        at += k->slices[s]->batch_rows;
    }
    for (uint32_t i = 0; i < k->n; i++)
        sorted[k->slices[k->temp[i]]->batch_index++] = k->rows[i];
    memcpy(k->rows, sorted, k->n * sizeof(*sorted));
}

/* ---- reserve ---- */

evs_status evs__work_intern(work *k)
{
    evs__window_op *w = k->w;
    evs__intern_probe probes[EVS__INTERN_BLOCK];
    evs_status status = EVS_OK;

    if (w->key_form == EVS__KEY_EMPTY && k->n) {
        probes[0] = evs__intern_probe_bytes("", 0);
        status = evs__intern_add(&w->state->keys, probes, 1, k->key_ids);
        for (uint32_t i = 1; i < k->n; i++)
            k->key_ids[i] = k->key_ids[0];
        return status;
    }
    for (uint32_t i = 0; i < k->n && !status; i += EVS__INTERN_BLOCK) {
        uint32_t n = k->n - i < EVS__INTERN_BLOCK ? k->n - i : EVS__INTERN_BLOCK;
        status = evs__key_probes(w->key_form, k->keys, w->key_count, k->rows + i, n, &w->key_bytes,
                                 probes);
        if (!status)
            status = evs__intern_add(&w->state->keys, probes, n, k->key_ids + i);
    }
    return status;
}

static evs__agg_rows rows_view(work *k, uint32_t aggregate, uint32_t first)
{
    const evs__window_op *w = k->w;
    const int64_t *times = w->opt.time == EVS_TIME_PROCESSING ? NULL : k->in->times;
    evs__agg_rows r = evs__agg_rows_of(&w->aggregates, aggregate, k->in, k->args, times, k->clock);

    r.rows = k->rows + first;
    r.ids = k->ids + (size_t)aggregate * k->in->count + first;
    r.scratch = &k->w->key_bytes;
    return r;
}

static evs_status reserve_slice(work *k, evs__slice *slice, uint32_t first)
{
    evs__window_op *w = k->w;
    uint64_t most = (uint64_t)slice->count + slice->batch_rows;
    evs_status status = EVS_OK;

    if (k->grouped) {
        most = slice->count; /* made by assign() */
    } else {
        status = evs__slice_reserve(w->state, slice, slice->batch_rows);
        most = most < w->state->keys.count ? most : w->state->keys.count;
    }
    for (uint32_t i = 0; i < w->aggregates.count && !status; i++) {
        const evs__aggregate *a = &w->aggregates.items[i];
        evs__agg_groups groups = evs__agg_view(w->state, slice, &w->aggregates, i);
        evs__agg_rows rows = rows_view(k, i, first);
        groups.n = slice->batch_rows;
        groups.most = (uint32_t)most;
        if (a->fn->reserve)
            status = a->fn->reserve(a, &groups, &rows);
    }
    return status;
}

static evs_status reserve_rows(work *k)
{
    uint32_t first = 0;
    evs_status status = k->interned ? EVS_OK : evs__work_intern(k);

    for (uint32_t s = 0; s < k->slice_count && !status; s++) {
        status = reserve_slice(k, k->slices[s], first);
        first += k->slices[s]->batch_rows;
    }
    return status;
}

static evs_status reserve_late(work *k)
{
    evs__window_op *w = k->w;
    evs__late_node *node;
    evs_status status;

    if (!k->late_count)
        return EVS_OK;
    node = evs__calloc(w->base.ctx, 1, sizeof(*node));
    if (!node)
        return EVS_ERR_NOMEM;
    k->late_node = node;
    status = evs__window_late_batch(w, k->in, k->late, k->late_count, k->clock, &node->batch);
    if (status)
        return status;
    node->bytes = evs__batch_bytes(node->batch) + sizeof(*node);
    status = evs__account_take(&w->state->account, node->bytes);
    if (status)
        node->bytes = 0;
    return status;
}

static evs_status reserve(work *k)
{
    evs_status status = reserve_late(k);

    if (status)
        return status;
    status = reserve_rows(k);
    if (status == EVS_ERR_LIMIT) {
        /* what can be made again, and keys that are only remembered, make room */
        evs__slider_drop(k->w);
        if (!k->interned)
            evs__state_sweep(k->w->state, true);
        status = reserve_rows(k);
    }
    return status;
}

/* ---- apply ---- */

static void tell(const work *k, const evs__out *out, const rejected *r, const char *message)
{
    k->w->rejected++;
    if (out && out->reject)
        out->reject(out->user, k->in, r->row, r->stage, r->status, message);
}

static void tell_rejects(work *k, const evs__out *out)
{
    for (uint32_t i = 0; i < k->reject_count; i++)
        tell(k, out, &k->rejects[i], k->messages.data + k->rejects[i].message);
}

typedef struct block {
    evs__slice *slice;
    uint32_t first, n; /* in work.rows */
} block;

static uint32_t add_aggregate(work *k, const block *b, uint32_t i)
{
    evs__agg_groups groups = evs__agg_view(k->w->state, b->slice, &k->w->aggregates, i);
    evs__agg_rows rows = rows_view(k, i, b->first);
    groups.index = k->groups + b->first;
    groups.n = b->n;
    return k->w->aggregates.items[i].fn->add(&k->w->aggregates.items[i], &groups, &rows);
}

static void undo_aggregate(work *k, const block *b, uint32_t i, uint32_t n)
{
    evs__agg_groups groups = evs__agg_view(k->w->state, b->slice, &k->w->aggregates, i);
    evs__agg_rows rows = rows_view(k, i, b->first);
    groups.index = k->groups + b->first;
    groups.n = n;
    k->w->aggregates.items[i].fn->undo(&k->w->aggregates.items[i], &groups, &rows, n);
}

/* all aggregates that may refuse a row, or none; returns the one that did, NULL: all were taken */
static const evs__aggregate *add_refusing(work *k, const block *b)
{
    const evs__aggregates *all = &k->w->aggregates;

    for (uint32_t i = 0; i < all->count; i++) {
        const evs__aggregate *a = &all->items[i];
        uint32_t done;
        if (!a->fn->undo)
            continue;
        done = add_aggregate(k, b, i);
        if (done == b->n)
            continue;
        undo_aggregate(k, b, i, done);
        while (i-- > 0) {
            if (all->items[i].fn->undo)
                undo_aggregate(k, b, i, b->n);
        }
        return a;
    }
    return NULL;
}

static void move_row(work *k, uint32_t to, uint32_t from)
{
    k->rows[to] = k->rows[from];
    k->groups[to] = k->groups[from];
    for (uint32_t i = 0; i < k->w->aggregates.count; i++) {
        uint32_t *ids = k->ids + (size_t)i * k->in->count;
        ids[to] = ids[from];
    }
}

static void group_rows(work *k, const block *b)
{
    if (!k->grouped)
        evs__slice_groups(k->w->state, b->slice, k->key_ids + b->first, b->n, k->groups + b->first);
}

/* a key whose rows were all refused is no group: it would be a result of nothing */
static void ungroup_rows(work *k, const block *b, uint32_t groups)
{
    if (!k->grouped)
        evs__slice_ungroup(k->w->state, b->slice, groups);
}

/* row by row; rows that are refused are told and leave the block */
static void add_singly(work *k, block *b, const evs__out *out)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < b->n; i++) {
        block one = {b->slice, b->first + i, 1};
        const evs__aggregate *refused;
        uint32_t groups = b->slice->count;
        group_rows(k, &one);
        refused = add_refusing(k, &one);
        if (refused)
            ungroup_rows(k, &one, groups);
        if (!refused) {
            move_row(k, b->first + kept++, b->first + i);
        } else {
            rejected r = {k->rows[b->first + i], EVS_OK, EVS__STAGE_EXPRESSION, 0};
            const char *message;
            evs__buffer_reset(&k->messages);
            r.status = evs__aggregate_refusal(refused, &k->messages);
            message = evs__buffer_cstr(&k->messages);
            tell(k, out, &r, message ? message : "an aggregate cannot take this row");
        }
    }
    b->n = kept;
}

static void apply_block(work *k, block *b, const evs__out *out)
{
    evs__window_op *w = k->w;
    uint32_t groups = b->slice->count;

    group_rows(k, b);
    for (uint32_t i = 0; i < b->n && k->grouped; i++)
        __builtin_prefetch(evs__slice_row(w->state, b->slice, k->groups[b->first + i]));
    if (add_refusing(k, b)) {
        ungroup_rows(k, b, groups);
        add_singly(k, b, out);
    }
    for (uint32_t i = 0; i < w->aggregates.count; i++) {
        if (!w->aggregates.items[i].fn->undo)
            add_aggregate(k, b, i);
    }
    if (w->state->flagged && !k->grouped)
        evs__slice_touch(b->slice, k->groups + b->first, b->n);
}

static void apply(work *k, const evs__out *out)
{
    evs__window_op *w = k->w;
    uint32_t first = 0;

    tell_rejects(k, out);
    for (uint32_t s = 0; s < k->slice_count; s++) {
        evs__slice *slice = k->slices[s];
        for (uint32_t i = 0; i < slice->batch_rows; i += BLOCK) {
            uint32_t n = slice->batch_rows - i < BLOCK ? slice->batch_rows - i : BLOCK;
            block b = {slice, first + i, n};
            apply_block(k, &b, out);
        }
        first += slice->batch_rows;
    }
    if (w->family->taken)
        w->family->taken(k);
    w->rows += k->in->count;
    w->late_rows += k->late_count;
    if (k->late_node) {
        *w->late_tail = k->late_node;
        w->late_tail = &k->late_node->next;
        k->late_node = NULL;
    }
}

/* ---- the call ---- */

static evs_status take_scratch(work *k)
{
    evs__window_op *w = k->w;
    evs_context *ctx = w->base.ctx;
    uint32_t columns = w->key_count + w->aggregates.column_count;
    size_t rows = k->in->count, arrays = 4 + (size_t)w->aggregates.count;

    if (rows > w->scratch_rows) {
        uint32_t *scratch;
        size_t room = rows < EVS_BATCH_ROWS_MAX ? EVS_BATCH_ROWS_MAX : rows;
        evs__free(ctx, w->scratch);
        w->scratch_rows = 0;
        w->scratch = scratch = evs__realloc_array(ctx, NULL, room, arrays * sizeof(*scratch));
        if (!scratch)
            return EVS_ERR_NOMEM;
        w->scratch_rows = room;
    }
    k->keys = evs__calloc(ctx, columns, sizeof(*k->keys));
    if (!k->keys)
        return EVS_ERR_NOMEM;
    k->args = k->keys + w->key_count;
    k->rows = w->scratch;
    k->key_ids = k->rows + w->scratch_rows;
    k->groups = k->key_ids + w->scratch_rows;
    k->temp = k->groups + w->scratch_rows;
    k->ids = k->temp + w->scratch_rows;
    return EVS_OK;
}

static void drop_work(work *k)
{
    evs__window_op *w = k->w;
    evs_context *ctx = w->base.ctx;

    for (uint32_t i = 0; i < k->slice_count; i++)
        k->slices[i]->batch_rows = 0;
    for (uint32_t i = 0; k->keys && i < w->key_count + w->aggregates.column_count; i++)
        evs__column_unref(k->keys[i]);
    if (k->late_node) {
        evs__account_give(&w->state->account, k->late_node->bytes);
        evs_batch_unref(k->late_node->batch);
        evs__free(ctx, k->late_node);
    }
    evs__free(ctx, k->keys);
    evs__free(ctx, k->slices);
    evs__free(ctx, k->bad);
    evs__free(ctx, k->rejects);
    evs__free(ctx, k->late);
    evs__buffer_free(&k->messages);
    if (w->scratch_rows > SCRATCH_KEEP) {
        evs__free(ctx, w->scratch);
        w->scratch = NULL;
        w->scratch_rows = 0;
    }
}

/* everything that may fail */
static evs_status prepare(work *k, evs_error **reterr)
{
    evs_status status = take_scratch(k);

    if (status)
        return evs__nomem(reterr);
    status = evaluate(k, reterr);
    if (status)
        return status;
    status = choose_rows(k);
    if (!status)
        status = k->n ? k->w->family->assign(k) : EVS_OK;
    if (!status)
        status = reserve(k);
    return status ? evs__window_fail(k->w, status, reterr) : EVS_OK;
}

static void move_time(evs__window_op *w, const evs_batch *in, uint32_t slot, const int64_t *marks)
{
    if (marks && in->rows)
        evs__merge_time_set(&w->time, slot, marks[in->rows - 1], false);
}

/* results that found no room downstream are kept and offered again by the next call, before it
 * takes anything: this batch has been taken */
static evs_status drain_after(evs__window_op *w, const evs__out *out, evs_error **reterr)
{
    evs_error *err = NULL;
    evs_status status = evs__window_drain(w, false, out, &err);

    if (status == EVS_ERR_NOMEM || status == EVS_ERR_LIMIT) {
        evs_error_unref(err);
        return EVS_OK;
    }
    evs__error_move(reterr, err);
    return status;
}

evs_status evs__window_process(evs__window_op *w,
                               const evs_batch *in,
                               uint32_t slot,
                               const int64_t *row_watermark,
                               int64_t now_ms,
                               const evs__out *out,
                               evs_error **reterr)
{
    work k = {.w = w, .in = in, .marks = row_watermark};
    evs_status status = evs__window_drain(w, false, out, reterr);

    if (status)
        return status;
    if (w->opt.time == EVS_TIME_PROCESSING) {
        w->clock = now_ms > w->clock ? now_ms : w->clock;
        k.marks = NULL;
    }
    k.clock = w->clock;
    k.base = evs__window_now(w);
    k.others = k.marks ? evs__merge_time_others(&w->time, slot) : INT64_MAX;
    evs__buffer_init(&k.messages, w->base.ctx, SIZE_MAX);
    if (in->count) {
        status = prepare(&k, reterr);
        if (!status)
            apply(&k, out);
    }
    if (status && w->family->dropped)
        w->family->dropped(&k);
    drop_work(&k);
    if (status) {
        evs__state_drop_empty(w->state);
        return status;
    }
    move_time(w, in, slot, row_watermark);
    w->family->close(w);
    return drain_after(w, out, reterr);
}

/* ---- the operator ---- */

static evs_status
process(evs__operator *op, evs_batch *in, int64_t now_ms, const evs__out *out, evs_error **reterr)
{
    return evs__window_process(evs__window_of(op), in, in->slot, in->row_watermark, now_ms, out,
                               reterr);
}

static evs_status advance(evs__operator *op,
                          uint32_t slot,
                          int64_t watermark,
                          bool idle,
                          int64_t now_ms,
                          const evs__out *out,
                          evs_error **reterr)
{
    evs__window_op *w = evs__window_of(op);

    if (w->opt.time == EVS_TIME_PROCESSING)
        w->clock = now_ms > w->clock ? now_ms : w->clock;
    evs__merge_time_set(&w->time, slot, watermark, idle);
    w->family->close(w);
    return evs__window_drain(w, false, out, reterr);
}

static evs_status flush(evs__operator *op, int64_t now_ms, const evs__out *out, evs_error **reterr)
{
    (void)now_ms;
    return evs__window_drain(evs__window_of(op), true, out, reterr);
}

static evs_status end(evs__operator *op, int64_t now_ms, const evs__out *out, evs_error **reterr)
{
    evs__window_op *w = evs__window_of(op);
    int64_t *now = w->opt.time == EVS_TIME_PROCESSING ? &w->clock : &w->time.watermark;
    int64_t closed_at = w->family->last_close(w);
    (void)now_ms;

    *now = closed_at > *now ? closed_at : *now;
    w->family->close(w);
    return evs__window_drain(w, false, out, reterr);
}

/* Whatever comes later is of a window with end + grace > now, and has the time end - 1. */
static int64_t watermark(const evs__operator *op)
{
    const evs__window_op *w = evs__window_of(op);
    int64_t now = evs__window_now(w), passed, due;

    if (now == EVS_TIME_NONE || now == INT64_MAX)
        passed = now;
    else
        passed = evs__time_sub(evs__time_sub(now, w->opt.grace_ms), w->delay_ms);
    if (w->state->closed && passed >= w->state->closed->end)
        passed = w->state->closed->end - 1;
    due = w->family->due_time ? w->family->due_time(w) : INT64_MAX;
    return passed < due ? passed : due;
}

static int64_t next_ms(const evs__operator *op)
{
    const evs__window_op *w = evs__window_of(op);

    return w->opt.time == EVS_TIME_PROCESSING ? w->family->first_close(w) : INT64_MAX;
}

static int64_t counter(const evs__operator *op, const char *name)
{
    const evs__window_op *w = evs__window_of(op);
    const struct {
        const char *name;
        int64_t value;
    } counters[] = {
        {"rows", w->rows},
        {"late", w->late_rows},
        {"rejected", w->rejected},
        {"open_windows", w->family->open_count(w)},
        {"keys", w->state->keys.count},
        {"state_bytes", (int64_t)w->state->account.used},
    };

    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        if (strcmp(counters[i].name, name) == 0)
            return counters[i].value;
    }
    return -1;
}

void evs__window_drop_late(evs__window_op *w)
{
    while (w->late) {
        evs__late_node *node = w->late;
        w->late = node->next;
        evs__account_give(&w->state->account, node->bytes);
        evs_batch_unref(node->batch);
        evs__free(w->base.ctx, node);
    }
    w->late_tail = &w->late;
}

evs__state *evs__window_new_state(const evs__window_op *w)
{
    return evs__state_new(w->base.ctx, (size_t)w->opt.state_bytes_max, w->aggregates.stride,
                          w->opt.emit == EVS_EMIT_CHANGES, w->aggregates.extra_free,
                          w->aggregates.count);
}

static void reset(evs__operator *op)
{
    evs__window_op *w = evs__window_of(op);

    evs__window_drop_late(w);
    w->family->reset(w);
    evs__state_clear(w->state);
    for (uint32_t i = 0; i < w->time.count; i++)
        w->time.slots[i] = (evs__merge_slot){EVS_TIME_NONE, false};
    w->time.watermark = EVS_TIME_NONE;
    w->clock = w->emit_time = EVS_TIME_NONE;
    w->emit_rows = w->rows;
    w->emit_now = false;
}

static void free_op(evs__operator *op)
{
    evs__window_op *w = evs__window_of(op);
    evs_context *ctx = op->ctx;

    evs__window_drop_late(w);
    if (w->state)
        evs__slider_drop(w);
    evs__free(ctx, w->slicing.slider.front);
    evs__free(ctx, w->slicing.slider.pieces);
    if (w->own)
        w->family->own_free(w, w->state, w->own);
    evs__state_free(w->state);
    evs__merge_time_free(&w->time);
    for (uint32_t i = 0; w->keys && i < w->key_count; i++)
        evs__expr_free(w->keys[i]);
    evs__free(ctx, w->keys);
    evs__free(ctx, w->key_types);
    evs__aggregates_free(&w->aggregates);
    evs__free(ctx, w->plan);
    evs__free(ctx, w->result.picks);
    evs__free(ctx, w->result.ids);
    evs__free(ctx, w->result.runs);
    evs__heap_free(&w->result.dirty);
    evs__column_unref(w->result.bounds[0]);
    evs__column_unref(w->result.bounds[1]);
    evs__free(ctx, w->scratch);
    evs__buffer_free(&w->key_bytes);
    evs_type_unref(op->in_type);
    evs_type_unref(op->out_type);
    evs_type_unref(op->late_type);
    evs__free(ctx, w);
    evs__context_drop(ctx);
}

const evs__operator_functions evs__window_functions = {
    .kind = "window",
    .process = process,
    .advance = advance,
    .flush = flush,
    .end = end,
    .snapshot = evs__window_snapshot,
    .restore = evs__window_restore,
    .reset = reset,
    .watermark = watermark,
    .next_ms = next_ms,
    .counter = counter,
    .free = free_op,
};
