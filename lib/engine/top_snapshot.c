/*
 * engine/top_snapshot.c: the state of a top as bytes.
 *
 *   frame (engine/frame.h) | groups: count, (key, time, rows) each | rows of all, as one batch
 *
 * Groups come in rising order of their number, each with its key. The state is built beside the old
 * one and takes its place when all of it was good: rows in order, times of their group.
 */
#include <string.h>

#include "engine/frame.h"
#include "engine/top.h"

#define MAGIC 0x54535645u /* "EVST" */

evs_status evs__top_snapshot(evs__operator *op, evs__buffer *out, evs_error **reterr)
{
    const evs__top *t = evs__top_of(op);
    uint32_t *open = evs__realloc_array(op->ctx, NULL, (size_t)t->open + 1, sizeof(*open));
    evs_batch *b = NULL;
    uint32_t count = 0;
    size_t begin;
    evs_status status = open ? EVS_OK : EVS_ERR_NOMEM;

    for (uint32_t i = 0; !status && i < t->group_count; i++) {
        if (t->groups[i].count)
            open[count++] = i;
    }
    if (!status)
        status = evs__top_rows(t, open, count, t->live_rows, &b);
    if (!status) {
        begin = evs__frame_begin(out, MAGIC, t->plan, &t->time);
        evs__put_u32(out, count);
        for (uint32_t i = 0; i < count; i++) {
            const evs__top_group *g = &t->groups[open[i]];
            evs__frame_put_key(out, &t->keys, g->key);
            evs__put_i64(out, g->time);
            evs__put_u32(out, g->count);
        }
        status = evs__batch_write(b, out);
    }
    evs_batch_unref(b);
    evs__free(op->ctx, open);
    if (status == EVS_ERR_NOMEM)
        return evs__nomem(reterr);
    if (status)
        return evs__fail(op->ctx, reterr, status, "the snapshot is too large");
    return evs__frame_end(op->ctx, out, begin, reterr);
}

/* ---- read ---- */

static evs_status read_group(evs__top *to, evs__reader *in, uint32_t *row)
{
    evs__intern_probe probe;
    evs__top_group *g;
    char bytes[12];
    uint32_t key, slot, count, before;
    int64_t time;
    evs_status status = evs__frame_read_key(in, &to->per, &to->keys, &key);

    if (status)
        return status;
    if (!evs__read(in, &time, 8) || !evs__read(in, &count, 4) || !count || count > to->n ||
        time == EVS_TIME_NONE || count > evs__reader_left(in))
        return EVS_ERR_CORRUPT;
    memcpy(bytes, &key, 4);
    memcpy(bytes + 4, &time, 8);
    probe = evs__intern_probe_bytes(bytes, 12);
    before = to->slots.count;
    status = evs__intern_add(&to->slots, &probe, 1, &slot);
    if (!status && to->slots.count == before)
        return EVS_ERR_CORRUPT; /* a group twice */
    if (!status)
        status = evs__top_reserve(to);
    g = status ? NULL : &to->groups[slot];
    if (!status)
        status = evs__top_reserve_refs(to, g, count);
    for (uint32_t i = 0; !status && i < count; i++)
        g->refs[i] = (evs__top_ref){0, (*row)++};
    if (!status) {
        g->time = time;
        g->key = key;
        g->count = count;
        to->open++;
        to->live_rows += count;
    }
    return status;
}

/* rows are as many as the groups say, of their time, in order */
static bool is_whole(const evs__top *to)
{
    const evs_batch *b = to->chunks[0];

    if (b->rows != to->live_rows || b->count != b->rows || b->sel || !b->times)
        return false;
    for (uint32_t i = 0; i < to->group_count; i++) {
        const evs__top_group *g = &to->groups[i];
        for (uint32_t k = 0; k < g->count; k++) {
            if (b->times[g->refs[k].row] != g->time ||
                (k && evs__top_compare(to, g->refs[k - 1], g->refs[k]) > 0))
                return false;
        }
    }
    return true;
}

static evs_status read_body(evs__top *to, evs__reader *in)
{
    evs_batch *b = NULL;
    uint32_t count, row = 0;
    size_t used = 0;
    evs_status status = EVS_OK;

    if (!evs__read(in, &count, 4))
        return EVS_ERR_CORRUPT;
    for (uint32_t i = 0; !status && i < count; i++)
        status = read_group(to, in, &row);
    if (!status)
        status = evs__batch_read(to->op.ctx, to->kept, in->at, evs__reader_left(in), &used, &b);
    if (status)
        return status;
    if (used != evs__reader_left(in)) {
        evs_batch_unref(b);
        return EVS_ERR_CORRUPT;
    }
    if (!row && !b->rows) {
        evs_batch_unref(b);
        return EVS_OK;
    }
    status = evs__top_add_chunk(to, b);
    return status || is_whole(to) ? status : EVS_ERR_CORRUPT;
}

evs_status evs__top_restore(evs__operator *op, const void *data, size_t len, evs_error **reterr)
{
    evs__top *t = evs__top_of(op);
    evs__top to = *t;
    evs__reader in;
    evs_error *err = NULL;
    evs_status status = EVS_ERR_NOMEM;

    to.account.used = 0;
    evs__intern_init(&to.keys, &to.account);
    evs__intern_init(&to.slots, &to.account);
    to.groups = NULL;
    to.chunks = NULL;
    to.group_count = to.group_capacity = to.chunk_count = to.chunk_capacity = to.open = 0;
    to.chunk_bytes = to.kept_rows = to.live_rows = 0;
    if (!evs__merge_time_init(&to.time, op->ctx, t->time.count, t->time.rule))
        status = evs__frame_open(op->ctx, data, len, MAGIC, t->plan, &to.time, &in, &err);
    if (!status)
        status = read_body(&to, &in);
    if (status) {
        evs__top_clear(&to);
        evs__merge_time_free(&to.time);
        return err ? evs__error_move(reterr, err)
                   : evs__frame_fail(op->ctx, "top", to.account.max, status, reterr);
    }
    evs__top_clear(t);
    evs__merge_time_free(&t->time);
    *t = to;
    t->keys.account = t->slots.account = &t->account;
    return EVS_OK;
}
