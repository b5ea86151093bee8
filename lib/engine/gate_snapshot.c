/*
 * engine/gate_snapshot.c: a gate's state as bytes.
 *
 *   frame (engine/frame.h) | keys: count, each | entries: count, (number of the key, slice, count,
 *   lowest, highest time) each
 *
 * Keys are numbered anew: those that an entry has, each once. What is over is left out. The state
 * is built beside the old one and takes its place when all of it was good.
 */
#include <string.h>

#include "engine/frame.h"
#include "engine/gate.h"

#define MAGIC 0x47535645u /* "EVSG" */
#define NO_KEY UINT32_MAX
#define ENTRY_BYTES 36u

static void slot_parts(const evs__gate *g, uint32_t slot, uint32_t *ret_key, int64_t *ret_slice)
{
    const char *bytes = evs__intern_data(&g->slots, slot);

    memcpy(ret_key, bytes, 4);
    memcpy(ret_slice, bytes + 4, 8);
}

static void put_count(evs__buffer *out, size_t at, uint32_t count)
{
    if (!out->status)
        memcpy(out->data + at, &count, sizeof(count));
}

static void write_entries(const evs__gate *g, uint32_t *numbers, evs__buffer *out)
{
    uint32_t key, keys = 0, entries = 0;
    int64_t slice;
    size_t at = out->len;

    evs__put_u32(out, 0);
    for (uint32_t slot = 0; slot < g->entry_count; slot++) {
        if (!evs__gate_is_live(g, slot))
            continue;
        entries++;
        slot_parts(g, slot, &key, &slice);
        if (numbers[key] != NO_KEY)
            continue;
        numbers[key] = keys++;
        evs__frame_put_key(out, &g->keys, key);
    }
    put_count(out, at, keys);
    evs__put_u32(out, entries);
    for (uint32_t slot = 0; slot < g->entry_count; slot++) {
        const evs__gate_entry *e = &g->entries[slot];
        if (!evs__gate_is_live(g, slot))
            continue;
        slot_parts(g, slot, &key, &slice);
        evs__put_u32(out, numbers[key]);
        evs__put_i64(out, slice);
        evs__put_i64(out, e->count);
        evs__put_i64(out, e->min);
        evs__put_i64(out, e->max);
    }
}

evs_status evs__gate_snapshot(evs__operator *op, evs__buffer *out, evs_error **reterr)
{
    const evs__gate *g = evs__gate_of(op);
    size_t ids = (size_t)g->keys.high + 1, begin;
    uint32_t *numbers = evs__realloc_array(op->ctx, NULL, ids, sizeof(*numbers));

    if (!numbers)
        return evs__nomem(reterr);
    memset(numbers, 0xff, ids * sizeof(*numbers));
    begin = evs__frame_begin(out, MAGIC, g->plan, &g->time);
    write_entries(g, numbers, out);
    evs__free(op->ctx, numbers);
    return evs__frame_end(op->ctx, out, begin, reterr);
}

/* ---- read ---- */

/* The entry can exist: its times are those of its slice, and a dedup that does not renew has one
 * time. */
static bool is_possible(const evs__gate *g, int64_t slice, const evs__gate_entry *e)
{
    int64_t end;

    if (e->count < 1 || e->min > e->max || e->min == EVS_TIME_NONE ||
        evs__gate_slice(g, e->min, &end) != slice || evs__gate_slice(g, e->max, &end) != slice)
        return false;
    if (g->rule == EVS__GATE_LIMIT)
        return e->count <= g->most;
    return g->renews || e->count == 1;
}

static evs_status read_entry(evs__gate *to, evs__reader *in, const uint32_t *ids, uint32_t keys)
{
    evs__intern_probe probe;
    evs__gate_entry e;
    uint32_t number, slot, before = to->slots.count;
    int64_t slice;
    char bytes[12];
    evs_status status;

    if (!evs__read(in, &number, 4) || number >= keys || !evs__read(in, &slice, 8) ||
        !evs__read(in, &e.count, 8) || !evs__read(in, &e.min, 8) || !evs__read(in, &e.max, 8) ||
        !is_possible(to, slice, &e))
        return EVS_ERR_CORRUPT;
    probe = evs__gate_probe(bytes, ids[number], slice);
    status = evs__intern_add(&to->slots, &probe, 1, &slot);
    if (!status && to->slots.count == before)
        return EVS_ERR_CORRUPT; /* twice */
    if (!status)
        status = evs__gate_reserve(to);
    if (!status)
        to->entries[slot] = e;
    return status;
}

static evs_status read_body(evs__gate *to, evs__reader *in, uint32_t **ret_ids)
{
    uint32_t keys, entries;
    uint32_t *ids;
    evs_status status = EVS_OK;

    if (!evs__read(in, &keys, 4) || keys > evs__reader_left(in) / sizeof(uint32_t))
        return EVS_ERR_CORRUPT;
    *ret_ids = ids = evs__realloc_array(to->op.ctx, NULL, (size_t)keys + 1, sizeof(*ids));
    if (!ids)
        return EVS_ERR_NOMEM;
    for (uint32_t i = 0; !status && i < keys; i++) {
        status = evs__frame_read_key(in, &to->keyed, &to->keys, &ids[i]);
        if (!status && ids[i] != i)
            return EVS_ERR_CORRUPT; /* a key twice */
    }
    if (status)
        return status;
    if (!evs__read(in, &entries, 4) || entries != evs__reader_left(in) / ENTRY_BYTES)
        return EVS_ERR_CORRUPT;
    for (uint32_t i = 0; !status && i < entries; i++)
        status = read_entry(to, in, ids, keys);
    return !status && in->at != in->end ? EVS_ERR_CORRUPT : status;
}

evs_status evs__gate_restore(evs__operator *op, const void *data, size_t len, evs_error **reterr)
{
    evs__gate *g = evs__gate_of(op);
    evs__gate to = *g;
    evs__reader in;
    evs_error *err = NULL;
    uint32_t *ids = NULL;
    evs_status status = EVS_ERR_NOMEM;

    to.account.used = 0;
    evs__intern_init(&to.keys, &to.account);
    evs__intern_init(&to.slots, &to.account);
    to.entries = NULL;
    to.entry_count = to.entry_capacity = 0;
    if (!evs__merge_time_init(&to.time, op->ctx, g->time.count, g->time.rule))
        status = evs__frame_open(op->ctx, data, len, MAGIC, g->plan, &to.time, &in, &err);
    if (!status)
        status = read_body(&to, &in, &ids);
    evs__free(op->ctx, ids);
    if (status) {
        evs__gate_clear(&to);
        evs__merge_time_free(&to.time);
        return err ? evs__error_move(reterr, err)
                   : evs__frame_fail(op->ctx, op->fn->kind, to.account.max, status, reterr);
    }
    evs__gate_clear(g);
    evs__merge_time_free(&g->time);
    to.swept = to.time.watermark;
    *g = to;
    g->keys.account = g->slots.account = &g->account;
    return EVS_OK;
}
