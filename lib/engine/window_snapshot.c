/*
 * engine/window_snapshot.c: the window operator's state as bytes.
 *
 *   "EVSW" | version | length of the body | body | CRC-32C of all before
 *
 *   body: plan line | watermark, clock | slots | keys | progress | slices, closed ones first | late
 *         batches
 *   slice: bits start end floor | groups: key, flags, bounds | states of each aggregate
 *   pool: as a slice; behind the slices what the family keeps
 *
 * Keys are numbered anew: only those that some group has are written, each once. Of a closed slice
 * only what has not been given out is written. Numbers are little endian.
 *
 * Reading never trusts: the checksum finds accidents, and after it every count, index, order and
 * value is checked all the same, because a checksum is no proof against somebody who wants harm.
 * The state is built beside the old one and takes its place when all of it was good.
 */
#include "engine/window.h"

#define MAGIC 0x57535645u /* "EVSW" */
#define VERSION 2u
#define HEADER_BYTES 16u /* magic, version, length */
#define NO_KEY UINT32_MAX
#define BIT_CLOSED 1u
#define BIT_FLAGGED 2u
#define BIT_BOUNDED 4u /* closed: groups have bounds, and a key can have several */
#define BIT_POOL 8u
#define PROGRESS_FLUSHING 1u
#define PROGRESS_CHANGED 2u

/* ---- write ---- */

static void put_u8(evs__buffer *out, uint8_t v)
{
    evs__buffer_byte(out, v);
}

static void put_u32(evs__buffer *out, uint32_t v)
{
    evs__buffer_append(out, &v, sizeof(v));
}

static void put_i64(evs__buffer *out, int64_t v)
{
    evs__buffer_append(out, &v, sizeof(v));
}

/* groups of a slice that are in the snapshot */
static bool is_written(const evs__slice *slice, bool closed, uint32_t group)
{
    if (!closed)
        return true;
    return slice->flags ? (slice->flags[group] & EVS__GROUP_DIRTY) != 0 : group >= slice->done;
}

static uint32_t groups_written(const evs__slice *slice, bool closed)
{
    if (!closed)
        return slice->count;
    return slice->flags ? slice->dirty : slice->count - slice->done;
}

typedef struct writer {
    const evs__window_op *w;
    evs__buffer *out;
    uint32_t *numbers; /* by key id: its number in the snapshot */
    uint32_t key_count;
    uint32_t *index; /* groups of the slice being written */
    size_t index_capacity;
} writer;

static void write_keys_of(writer *s, const evs__slice *slice, bool closed)
{
    const evs__intern *keys = &s->w->state->keys;

    for (uint32_t g = 0; g < slice->count; g++) {
        uint32_t id = slice->order[g], len;
        if (!is_written(slice, closed, g) || s->numbers[id] != NO_KEY)
            continue;
        s->numbers[id] = s->key_count++;
        len = evs__intern_len(keys, id);
        put_u32(s->out, len);
        if (len != EVS__INTERN_NULL_LEN)
            evs__buffer_append(s->out, evs__intern_data(keys, id), len);
    }
}

static uint8_t bits_of(const evs__state *state, const evs__slice *slice, bool closed)
{
    return (uint8_t)((closed ? BIT_CLOSED : 0) | (slice->flagged ? BIT_FLAGGED : 0) |
                     (slice->bounded ? BIT_BOUNDED : 0) | (slice == state->pool ? BIT_POOL : 0));
}

static evs_status write_slice(writer *s, evs__slice *slice, bool closed)
{
    evs_context *ctx = s->w->base.ctx;
    uint32_t n = 0, count = groups_written(slice, closed);
    evs_status status = EVS_OK;

    if (slice->count > s->index_capacity) {
        uint32_t *index = evs__realloc_array(ctx, s->index, slice->count, sizeof(*index));
        if (!index)
            return EVS_ERR_NOMEM;
        s->index = index;
        s->index_capacity = slice->count;
    }
    put_u8(s->out, bits_of(s->w->state, slice, closed));
    put_i64(s->out, slice->start);
    put_i64(s->out, slice->end);
    put_i64(s->out, slice->floor);
    put_u32(s->out, count);
    for (uint32_t g = 0; g < slice->count; g++) {
        if (!is_written(slice, closed, g))
            continue;
        s->index[n++] = g;
        put_u32(s->out, s->numbers[slice->order[g]]);
        if (slice->flags)
            put_u8(s->out, slice->flags[g]);
        if (slice->bounds) {
            for (int i = 0; i < EVS__BOUNDS; i++)
                put_i64(s->out, evs__slice_group_bounds(slice, g)[i]);
        }
    }
    for (uint32_t i = 0; i < s->w->aggregates.count && !status; i++) {
        evs__agg_groups groups = evs__agg_view(s->w->state, slice, &s->w->aggregates, i);
        groups.index = s->index;
        groups.n = n;
        status = evs__aggregate_write(&s->w->aggregates.items[i], &groups, s->out);
    }
    return status;
}

/* of windows that overlap: which have been made, which the flush under way has given out */
static void write_progress(const evs__window_op *w, evs__buffer *out)
{
    const evs__slicing *p = &w->slicing;

    put_u8(out,
           (uint8_t)((p->flushing ? PROGRESS_FLUSHING : 0) | (p->changed ? PROGRESS_CHANGED : 0)));
    put_i64(out, p->made);
    put_i64(out, p->flushed);
    put_i64(out, w->emit_time);
    put_i64(out, w->rows - w->emit_rows);
}

static evs_status write_state(writer *s)
{
    const evs__state *state = s->w->state;
    uint32_t slices = (uint32_t)state->open_count + (state->pool != NULL);
    size_t count_at = s->out->len;
    evs_status status = EVS_OK;

    put_u32(s->out, 0);
    for (evs__slice *slice = state->closed; slice; slice = slice->next, slices++)
        write_keys_of(s, slice, true);
    for (size_t i = 0; i < state->order.count; i++)
        write_keys_of(s, state->order.items[i].value, false);
    if (state->pool)
        write_keys_of(s, state->pool, false);
    if (!s->out->status)
        memcpy(s->out->data + count_at, &s->key_count, sizeof(s->key_count));
    write_progress(s->w, s->out);
    put_u32(s->out, slices);
    for (evs__slice *slice = state->closed; slice && !status; slice = slice->next)
        status = write_slice(s, slice, true);
    for (size_t i = 0; i < state->order.count && !status; i++)
        status = write_slice(s, state->order.items[i].value, false);
    if (!status && state->pool)
        status = write_slice(s, state->pool, false);
    if (!status && s->w->own)
        status = s->w->family->own_write(s->w, s->out);
    return status;
}

static void write_time(const evs__window_op *w, evs__buffer *out)
{
    put_i64(out, w->time.watermark);
    put_i64(out, w->clock);
    put_u32(out, w->time.count);
    for (uint32_t i = 0; i < w->time.count; i++) {
        put_i64(out, w->time.slots[i].watermark);
        put_u8(out, w->time.slots[i].idle);
    }
}

static evs_status write_late(const evs__window_op *w, evs__buffer *out)
{
    evs_status status = EVS_OK;
    uint32_t count = 0;

    for (const evs__late_node *node = w->late; node; node = node->next)
        count++;
    put_u32(out, count);
    for (const evs__late_node *node = w->late; node && !status; node = node->next)
        status = evs__batch_write(node->batch, out);
    return status;
}

static evs_status write_body(writer *s)
{
    const evs__window_op *w = s->w;
    size_t plan_len = strlen(w->plan);
    evs_status status;

    put_u32(s->out, (uint32_t)plan_len);
    evs__buffer_append(s->out, w->plan, plan_len);
    write_time(w, s->out);
    status = write_state(s);
    if (!status)
        status = write_late(w, s->out);
    return status ? status : s->out->status;
}

evs_status evs__window_snapshot(evs__operator *op, evs__buffer *out, evs_error **reterr)
{
    evs__window_op *w = evs__window_of(op);
    writer s = {.w = w, .out = out};
    size_t from = out->len, ids = (size_t)w->state->keys.high + 1;
    uint64_t body;
    evs_status status = w->own ? w->family->own_tidy(w) : EVS_OK;

    if (status)
        return evs__nomem(reterr);
    status = EVS_ERR_NOMEM;
    s.numbers = evs__realloc_array(op->ctx, NULL, ids, sizeof(*s.numbers));
    if (!s.numbers)
        goto out;
    memset(s.numbers, 0xff, ids * sizeof(*s.numbers));
    put_u32(out, MAGIC);
    put_u32(out, VERSION);
    put_i64(out, 0);
    status = write_body(&s);
    if (!status)
        status = out->status;
    if (status)
        goto out;
    body = out->len - from - HEADER_BYTES;
    memcpy(out->data + from + 8, &body, sizeof(body));
    put_u32(out, evs__crc32c(0, out->data + from, out->len - from));
    status = out->status;
out:
    evs__free(op->ctx, s.numbers);
    evs__free(op->ctx, s.index);
    if (status == EVS_ERR_NOMEM)
        return evs__nomem(reterr);
    return status ? evs__fail(op->ctx, reterr, status, "the snapshot is too large") : EVS_OK;
}

/* ---- read ---- */

typedef struct restored {
    evs__window_op *w;
    evs__reader in;
    evs__state *state;
    evs__merge_time time;
    int64_t clock;
    uint8_t progress;
    int64_t made, flushed;
    int64_t emit_time, emit_rows;
    void *own;
    uint32_t *ids; /* by number in the snapshot */
    uint32_t key_count;
    evs__late_node *late, **late_tail;
} restored;

static evs_status read_keys(restored *s)
{
    evs__window_op *w = s->w;
    evs_status status = EVS_OK;

    if (!evs__read(&s->in, &s->key_count, sizeof(s->key_count)) ||
        s->key_count > evs__reader_left(&s->in) / sizeof(uint32_t))
        return EVS_ERR_CORRUPT;
    s->ids = evs__realloc_array(w->base.ctx, NULL, s->key_count, sizeof(*s->ids));
    if (!s->ids)
        return EVS_ERR_NOMEM;
    for (uint32_t i = 0; i < s->key_count && !status; i++) {
        evs__intern_probe probe;
        const char *data = NULL;
        uint32_t len;
        if (!evs__read(&s->in, &len, sizeof(len)) ||
            (len != EVS__INTERN_NULL_LEN && !evs__read_bytes(&s->in, len, &data)) ||
            !evs__key_check(w->key_form, w->key_types, w->key_count, data, len, &probe))
            return EVS_ERR_CORRUPT;
        status = evs__intern_add(&s->state->keys, &probe, 1, &s->ids[i]);
        if (!status && s->ids[i] != i)
            return EVS_ERR_CORRUPT; /* a key twice */
    }
    return status;
}

typedef struct slice_head {
    uint8_t bits;
    evs__slice_bounds bounds;
    uint32_t count;
} slice_head;

static bool is_known(const evs__state *s, const evs__slice_bounds *b)
{
    const evs__slice *slice = evs__state_find(s, b->start);

    while (slice && slice->floor != b->floor)
        slice = slice->older;
    return slice != NULL;
}

static bool read_head(restored *s, slice_head *h)
{
    bool closed, flagged;

    if (!evs__read(&s->in, &h->bits, 1) || !evs__read(&s->in, &h->bounds.start, 8) ||
        !evs__read(&s->in, &h->bounds.end, 8) || !evs__read(&s->in, &h->bounds.floor, 8) ||
        !evs__read(&s->in, &h->count, 4))
        return false;
    closed = h->bits & BIT_CLOSED;
    /* tables that were made of others have flags whatever is emitted */
    flagged = s->state->flagged || s->own || (closed && !s->w->slicing.whole);
    if (h->bits > (BIT_CLOSED | BIT_FLAGGED | BIT_BOUNDED | BIT_POOL) ||
        !(h->bits & BIT_FLAGGED) == flagged)
        return false;
    if (s->own ? closed != !(h->bits & BIT_POOL) || closed != !!(h->bits & BIT_BOUNDED)
               : h->bits & (BIT_BOUNDED | BIT_POOL))
        return false; /* what the family does not make */
    if (s->own)       /* its keys can repeat */
        return h->count <= evs__reader_left(&s->in) / sizeof(uint32_t) &&
               h->bounds.start <= h->bounds.end && (closed || !s->state->pool);
    /* a slice that can exist, once; never more groups than bytes for them */
    return s->w->family->check(s->w, &h->bounds, closed) &&
           h->count <= evs__reader_left(&s->in) / sizeof(uint32_t) && h->count <= s->key_count &&
           (closed || !is_known(s->state, &h->bounds));
}

static evs_status read_groups(restored *s, evs__slice *slice, uint32_t count, bool closed)
{
    for (uint32_t g = 0; g < count; g++) {
        uint32_t number, group;
        uint8_t flags = 0;
        if (!evs__read(&s->in, &number, sizeof(number)) || number >= s->key_count)
            return EVS_ERR_CORRUPT;
        if (slice->flags && (!evs__read(&s->in, &flags, 1) ||
                             flags > (EVS__GROUP_DIRTY | EVS__GROUP_EMITTED | EVS__GROUP_FLUSHING |
                                      (s->own ? EVS__GROUP_DELETE | EVS__GROUP_OVERFLOW : 0))))
            return EVS_ERR_CORRUPT;
        if (s->own)
            group = evs__slice_append(slice, s->ids[number]);
        else
            evs__slice_groups(s->state, slice, &s->ids[number], 1, &group);
        if (group != g)
            return EVS_ERR_CORRUPT; /* a key twice in a slice */
        if (slice->bounded &&
            !evs__read(&s->in, evs__slice_group_bounds(slice, g), 8 * EVS__BOUNDS))
            return EVS_ERR_CORRUPT;
        if (slice->flags) {
            if (closed && !(flags & EVS__GROUP_DIRTY))
                return EVS_ERR_CORRUPT;
            slice->flags[g] = flags;
            slice->dirty += (flags & EVS__GROUP_DIRTY) != 0;
            slice->flushing += (flags & EVS__GROUP_FLUSHING) != 0;
        }
    }
    return EVS_OK;
}

static evs_status read_states(restored *s, evs__slice *slice)
{
    evs_context *ctx = s->w->base.ctx;
    uint32_t *index = evs__realloc_array(ctx, NULL, slice->count, sizeof(*index));
    evs_status status = index ? EVS_OK : EVS_ERR_NOMEM;

    for (uint32_t g = 0; g < slice->count && !status; g++)
        index[g] = g;
    for (uint32_t i = 0; i < s->w->aggregates.count && !status; i++) {
        evs__agg_groups groups = evs__agg_view(s->state, slice, &s->w->aggregates, i);
        groups.index = index;
        groups.n = groups.most = slice->count;
        status = evs__aggregate_read(&s->w->aggregates.items[i], &groups, &s->in);
    }
    evs__free(ctx, index);
    return status;
}

static evs_status read_slice(restored *s, int64_t *last_closed)
{
    evs__slice *slice = NULL;
    slice_head h = {0};
    bool closed;
    uint64_t open_groups = s->state->open_groups;
    evs_status status;

    if (!read_head(s, &h))
        return EVS_ERR_CORRUPT;
    closed = h.bits & BIT_CLOSED;
    if (closed && s->w->slicing.whole && !s->own && h.bounds.end < *last_closed)
        return EVS_ERR_CORRUPT;
    status = evs__slice_new(s->state, &h.bounds, h.bits & BIT_FLAGGED, &slice);
    if (status)
        return status;
    slice->bounded = h.bits & BIT_BOUNDED;
    if (s->own)
        status = evs__slice_reserve_groups(s->state, slice, h.count);
    else
        status = evs__slice_reserve(s->state, slice, h.count);
    if (!status)
        status = read_groups(s, slice, h.count, closed);
    if (!status)
        status = read_states(s, slice);
    /* the slice is not in the state yet: adding it counts its groups */
    s->state->open_groups = open_groups;
    if (!status && h.bits & BIT_POOL)
        s->state->pool = slice;
    else if (!status && !closed)
        status = evs__state_add_open(s->state, slice);
    if (status) {
        evs__slice_free(s->state, slice);
        return status;
    }
    if (closed) {
        *last_closed = h.bounds.end;
        evs__state_add_closed(s->state, slice);
    }
    return EVS_OK;
}

static evs_status read_slices(restored *s)
{
    int64_t last_closed = INT64_MIN;
    uint32_t count;
    evs_status status = EVS_OK;

    if (!evs__read(&s->in, &s->progress, 1) || !evs__read(&s->in, &s->made, 8) ||
        !evs__read(&s->in, &s->flushed, 8) || !evs__read(&s->in, &s->emit_time, 8) ||
        !evs__read(&s->in, &s->emit_rows, 8) || !evs__read(&s->in, &count, sizeof(count)) ||
        s->emit_rows < 0 || s->progress > (PROGRESS_FLUSHING | PROGRESS_CHANGED))
        return EVS_ERR_CORRUPT;
    for (; count && !status; count--)
        status = read_slice(s, &last_closed);
    if (!status && s->own)
        status = s->w->family->own_read(s->w, s->state, s->own, &s->in);
    return status;
}

static evs_status read_late(restored *s)
{
    evs__window_op *w = s->w;
    uint32_t count;

    if (!evs__read(&s->in, &count, sizeof(count)))
        return EVS_ERR_CORRUPT;
    for (; count; count--) {
        evs__late_node *node = evs__calloc(w->base.ctx, 1, sizeof(*node));
        size_t used = 0;
        evs_status status = node ? EVS_OK : EVS_ERR_NOMEM;
        if (!status)
            status = evs__batch_read(w->base.ctx, w->base.late_type, s->in.at,
                                     evs__reader_left(&s->in), &used, &node->batch);
        if (status) {
            evs__free(w->base.ctx, node);
            return status;
        }
        *s->late_tail = node;
        s->late_tail = &node->next;
        s->in.at += used;
        status =
            evs__account_take(&s->state->account, evs__batch_bytes(node->batch) + sizeof(*node));
        if (status)
            return status;
        node->bytes = evs__batch_bytes(node->batch) + sizeof(*node);
    }
    return EVS_OK;
}

static evs_status read_time(restored *s, evs_error **reterr)
{
    const evs__window_op *w = s->w;
    uint32_t slots;

    if (!evs__read(&s->in, &s->time.watermark, 8) || !evs__read(&s->in, &s->clock, 8) ||
        !evs__read(&s->in, &slots, 4))
        return EVS_ERR_CORRUPT;
    if (slots != s->time.count)
        return evs__fail(w->base.ctx, reterr, EVS_ERR_STATE,
                         "the snapshot is of a window over %u inputs, this one has %u", slots,
                         s->time.count);
    for (uint32_t i = 0; i < slots; i++) {
        uint8_t idle;
        if (!evs__read(&s->in, &s->time.slots[i].watermark, 8) || !evs__read(&s->in, &idle, 1) ||
            idle > 1)
            return EVS_ERR_CORRUPT;
        s->time.slots[i].idle = idle;
    }
    return EVS_OK;
}

static evs_status check_plan(restored *s, evs_error **reterr)
{
    const evs__window_op *w = s->w;
    const char *plan;
    uint32_t len;

    if (!evs__read(&s->in, &len, sizeof(len)) || !evs__read_bytes(&s->in, len, &plan))
        return EVS_ERR_CORRUPT;
    if (len == strlen(w->plan) && memcmp(plan, w->plan, len) == 0)
        return EVS_OK;
    return evs__fail(w->base.ctx, reterr, EVS_ERR_STATE,
                     "the snapshot is of another window: \"%.*s\", this one is \"%.300s\"",
                     len > 300 ? 300 : (int)evs__utf8_valid_prefix(plan, len), plan, w->plan);
}

static evs_status read_body(restored *s, evs_error **reterr)
{
    evs_status status = check_plan(s, reterr);

    if (!status)
        status = read_time(s, reterr);
    if (!status)
        status = read_keys(s);
    if (!status)
        status = read_slices(s);
    if (!status)
        status = read_late(s);
    return !status && s->in.at != s->in.end ? EVS_ERR_CORRUPT : status;
}

/* header and checksum; the reader gets the body */
static bool open_body(evs__reader *in, const void *data, size_t len)
{
    uint32_t magic, version, crc;
    uint64_t body;

    *in = (evs__reader){data, (const char *)data + len};
    if (len < HEADER_BYTES + sizeof(crc) || !evs__read(in, &magic, 4) ||
        !evs__read(in, &version, 4) || !evs__read(in, &body, 8))
        return false;
    memcpy(&crc, (const char *)data + len - sizeof(crc), sizeof(crc));
    in->end -= sizeof(crc);
    return magic == MAGIC && version == VERSION && body == evs__reader_left(in) &&
           crc == evs__crc32c(0, data, len - sizeof(crc));
}

static void swap_in(evs__window_op *w, restored *s)
{
    evs__state *old_state = w->state;
    evs__merge_time old_time = w->time;

    evs__window_drop_late(w);
    w->family->reset(w);
    w->slicing.made = s->made;
    w->slicing.flushed = s->flushed;
    w->emit_time = s->emit_time;
    w->emit_rows = evs__time_sub(w->rows, s->emit_rows);
    w->emit_now = false;
    w->slicing.flushing = s->progress & PROGRESS_FLUSHING;
    w->slicing.changed = s->progress & PROGRESS_CHANGED;
    w->state = s->state;
    w->time = s->time;
    w->clock = s->clock;
    w->late = s->late;
    w->late_tail = s->late ? s->late_tail : &w->late;
    s->state = old_state;
    s->time = old_time;
    s->late = NULL;
    if (s->own) {
        void *old_own = w->own;
        w->own = s->own;
        s->own = old_own;
    }
}

evs_status evs__window_restore(evs__operator *op, const void *data, size_t len, evs_error **reterr)
{
    evs__window_op *w = evs__window_of(op);
    restored s = {.w = w, .clock = EVS_TIME_NONE};
    evs_error *err = NULL;
    evs_status status = EVS_ERR_CORRUPT;

    s.late_tail = &s.late;
    s.state = evs__window_new_state(w);
    if (!s.state || evs__merge_time_init(&s.time, op->ctx, w->time.count, w->time.rule))
        status = EVS_ERR_NOMEM;
    else if (w->own && !(s.own = w->family->own_new(w)))
        status = EVS_ERR_NOMEM;
    else if (data && open_body(&s.in, data, len))
        status = read_body(&s, &err);
    if (!status)
        swap_in(w, &s);
    while (s.late) {
        evs__late_node *node = s.late;
        s.late = node->next;
        evs_batch_unref(node->batch);
        evs__free(op->ctx, node);
    }
    if (s.own)
        w->family->own_free(w, s.state, s.own);
    evs__state_free(s.state);
    evs__merge_time_free(&s.time);
    evs__free(op->ctx, s.ids);
    if (err)
        return evs__error_move(reterr, err);
    if (status == EVS_ERR_CORRUPT)
        return evs__fail(op->ctx, reterr, status, "the snapshot is damaged");
    return status ? evs__window_fail(w, status, reterr) : EVS_OK;
}
