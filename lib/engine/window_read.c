/*
 * engine/window_read.c: what open windows hold now, without giving it out.
 *
 * A reading goes from key to key, and within a key from window to window, and can stop and go on at
 * any of them (evs__table_place): a key keeps its id as long as some slice has it, so one that is
 * there all the time is met exactly once, whatever else comes and goes between two calls.
 *
 *   key id --find in each open slice--> groups, in order of time --> a window's own ones
 *                                                                    one: a row as it is
 *                                                                    several: merged in a table of
 *                                                                    one group, which lives for the
 *                                                                    call
 *
 * Flags, cursors and the caches of results stay as they are; the account may go beyond its bound
 * while the call lasts. Cost: a look-up in every open slice a key, and in overlapping windows the
 * merges of each; a call does at most WORK_MAX of both.
 */
#include "engine/window.h"

#define WORK_MAX 100000u
#define KEY_ROWS_MAX 256u /* rows of a call for one key */

/* ---- one key ---- */

static int in_time(const evs__read_piece *a, const evs__read_piece *b)
{
    if (a->slice->start != b->slice->start)
        return a->slice->start < b->slice->start ? -1 : 1;
    return (a->slice->floor > b->slice->floor) - (a->slice->floor < b->slice->floor);
}

/* the key's groups in open slices, in order of time; false: it has none */
static evs_status find_pieces(evs__window_op *w, evs__reading *r, uint32_t key_id)
{
    size_t open = w->state->order.count;

    if (open > r->piece_capacity) {
        evs__read_piece *pieces = evs__realloc_array(w->base.ctx, r->pieces, open, sizeof(*pieces));
        if (!pieces)
            return EVS_ERR_NOMEM;
        r->pieces = pieces;
        r->piece_capacity = open;
    }
    r->piece_count = 0;
    r->work += open;
    for (size_t i = 0; i < open; i++) {
        evs__slice *slice = w->state->order.items[i].value;
        evs__read_piece piece = {slice, evs__slice_find(slice, key_id)};
        size_t at = r->piece_count;
        if (piece.group == EVS__NO_GROUP)
            continue;
        for (; at && in_time(&piece, &r->pieces[at - 1]) < 0; at--)
            r->pieces[at] = r->pieces[at - 1];
        r->pieces[at] = piece;
        r->piece_count++;
    }
    return EVS_OK;
}

/* pieces [from, from + n) are one row */
evs_status evs__reading_add(evs__window_op *w,
                            evs__reading *r,
                            const evs__read_piece *pieces,
                            size_t n,
                            int64_t start,
                            int64_t end)
{
    evs__slice_bounds bounds = {.start = start, .end = end, .floor = EVS__NO_WINDOW};
    evs__read_row row = {pieces[0].slice, pieces[0].group, r->key_id, start, end, false};
    evs_status status = EVS_OK;

    r->work += n;
    if (n > 1) {
        status = evs__slice_new(w->state, &bounds, true, &row.slice);
        row.group = 0;
        row.made = true;
        for (size_t i = 0; i < n && !status; i++)
            status = evs__window_merge_group(w, row.slice, pieces[i].slice, pieces[i].group);
        /* a sum that does not fit is no result either */
        if (status || row.slice->flags[0] & EVS__GROUP_OVERFLOW) {
            if (row.made && row.slice)
                evs__slice_free(w->state, row.slice);
            return status;
        }
    }
    r->rows[r->row_count++] = row;
    return EVS_OK;
}

/* ---- rows ---- */

static void append_bounds(const evs__window_op *w, const evs__reading *r, evs_batch *b)
{
    for (uint32_t i = 0; i < r->row_count; i++) {
        evs__column_append_i64(b->columns[w->key_count], r->rows[i].start);
        evs__column_append_i64(b->columns[w->key_count + 1], r->rows[i].end);
        b->times[i] = evs__time_sub(r->rows[i].end, 1);
    }
}

/* one aggregate; rows of one slice that follow each other go together */
static evs_status
append_values(evs__window_op *w, const evs__reading *r, uint32_t which, evs__column *out)
{
    const evs__aggregate *a = &w->aggregates.items[which];
    evs_status status = EVS_OK;

    for (uint32_t i = 0, n; i < r->row_count && !status; i += n) {
        evs__slice *slice = r->rows[i].slice;
        evs__agg_groups groups = evs__agg_view(w->state, slice, &w->aggregates, which);
        for (n = 0; i + n < r->row_count && r->rows[i + n].slice == slice; n++)
            r->picks[n] = r->rows[i + n].group;
        groups.index = r->picks;
        groups.n = n;
        status = a->fn->result(a, &groups, out);
    }
    return status;
}

static evs_status make_batch(evs__window_op *w, evs__reading *r, evs_batch **ret)
{
    evs_batch *b = NULL;
    evs_status status =
        evs__batch_new(w->base.ctx, w->base.out_type, EVS_LAYOUT_OWNED, r->row_count, &b);

    if (!status)
        status = evs__batch_need_times(b);
    for (uint32_t i = 0; i < r->row_count && !status; i++)
        r->picks[i] = r->rows[i].key_id;
    if (!status)
        status = evs__key_columns(w->key_form, &w->state->keys, r->picks, r->row_count, b->columns,
                                  w->key_count);
    if (!status)
        append_bounds(w, r, b);
    for (uint32_t i = 0; i < w->aggregates.count && !status; i++)
        status = append_values(w, r, i, b->columns[w->key_count + 2 + i]);
    if (status) {
        evs_batch_unref(b);
        return status;
    }
    b->rows = b->count = r->row_count;
    *ret = b;
    return EVS_OK;
}

/* ---- keys ---- */

/* the id of a row of key columns; false: no slice has seen it */
static evs_status
find_key(evs__window_op *w, evs__column *const *key, bool *ret_found, uint32_t *ret_id)
{
    static const uint32_t first = 0;
    evs__intern_probe probe;
    evs__buffer bytes;
    evs_status status;

    evs__buffer_init(&bytes, w->base.ctx, SIZE_MAX / 2);
    status = evs__key_probes(w->key_form, key, w->key_count, &first, 1, &bytes, &probe);
    *ret_id = status ? EVS__INTERN_ABSENT : evs__intern_find(&w->state->keys, &probe);
    *ret_found = *ret_id != EVS__INTERN_ABSENT;
    evs__buffer_free(&bytes);
    return status;
}

/* rows from r->place on, until the batch is full or enough was done; EVS_END: that was all */
static evs_status read_keys(evs__window_op *w, evs__reading *r, uint32_t last)
{
    evs__table_place *p = r->place;

    while (p->key_id < last) {
        evs_status status;
        if (r->row_count == r->max || r->work >= WORK_MAX)
            return EVS_OK;
        r->key_id = p->key_id;
        status = find_pieces(w, r, p->key_id);
        if (!status && r->piece_count)
            status = w->family->read(w, r);
        if (status == EVS_AGAIN)
            return EVS_OK;
        if (status)
            return status;
        p->key_id++;
        p->window = EVS__NO_WINDOW;
    }
    return EVS_END;
}

bool evs__reading_is_full(const evs__reading *r)
{
    return r->row_count == r->max || (r->moved && r->work >= WORK_MAX);
}

evs_status evs__window_op_read(evs__operator *op,
                               evs__column *const *key,
                               int64_t from,
                               int64_t to,
                               evs__table_place *place,
                               evs_batch **ret)
{
    evs__window_op *w = evs__window_of(op);
    evs__reading r = {.from = from, .to = to, .place = place};
    uint32_t max = key ? KEY_ROWS_MAX : EVS_BATCH_ROWS_MAX;
    uint32_t last = w->state->keys.high;
    size_t bound = w->state->account.max;
    bool found = true;
    evs_status status = EVS_OK;

    if (!w->family->read)
        return EVS_ERR_UNSUPPORTED;
    if (key) {
        uint32_t id = 0;
        status = find_key(w, key, &found, &id);
        if (status || !found)
            return status ? status : EVS_END;
        if (place->key_id > id) /* it was read */
            return EVS_END;
        if (place->key_id < id)
            *place = (evs__table_place){.key_id = id, .window = EVS__NO_WINDOW};
        last = id + 1;
    }
    r.max = max;
    r.rows = evs__realloc_array(w->base.ctx, NULL, max, sizeof(*r.rows));
    r.picks = evs__realloc_array(w->base.ctx, NULL, max, sizeof(*r.picks));
    w->state->account.max = SIZE_MAX;
    status = r.rows && r.picks ? read_keys(w, &r, last) : EVS_ERR_NOMEM;
    if (status >= 0 && r.row_count) {
        status = make_batch(w, &r, ret);
    } else if (status == EVS_OK) {
        status = EVS_AGAIN;
    }
    for (uint32_t i = 0; i < r.row_count; i++) {
        if (r.rows[i].made)
            evs__slice_free(w->state, r.rows[i].slice);
    }
    w->state->account.max = bound;
    evs__free(w->base.ctx, r.pieces);
    evs__free(w->base.ctx, r.rows);
    evs__free(w->base.ctx, r.picks);
    return status;
}
