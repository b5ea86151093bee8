/*
 * engine/top.c: the best n rows of each window. The idea is in top.h.
 *
 *   order, keys   as columns; rows without time, of kind update or delete set aside
 *   reserve       a chunk of the batch's rows, numbers of groups, room for their refs
 *   ----------------------------------------- until here everything may fail and nothing is taken
 *   insert        row after row
 *   give          groups whose time the watermark has passed, in order of time; what finds no room
 *                 downstream stays and is offered again by the next call
 */
#include <string.h>

#include "engine/frame.h"
#include "engine/top.h"
#include "engine/values.h"
#include "evstream/window.h"

#define BLOCK EVS__INTERN_BLOCK
#define CHUNKS_MANY 64u

/* ---- state ---- */

int evs__top_compare(const evs__top *t, evs__top_ref a, evs__top_ref b)
{
    const evs_batch *ca = t->chunks[a.chunk], *cb = t->chunks[b.chunk];
    uint32_t own = t->op.in_type->child_count;

    for (uint32_t i = 0; i < t->order.count; i++) {
        int c = evs__column_compare_rows(ca->columns[own + i], a.row, cb->columns[own + i], b.row);
        if (c)
            return t->descending[i] ? -c : c;
    }
    for (uint32_t i = 0; i < own; i++) {
        int c = evs__column_compare_rows(ca->columns[i], a.row, cb->columns[i], b.row);
        if (c)
            return c;
    }
    return 0;
}

evs_status evs__top_reserve(evs__top *t)
{
    uint32_t need = t->slots.high;

    if (need > t->group_capacity) {
        uint32_t capacity = t->group_capacity * 2 > need ? t->group_capacity * 2 : need + 8;
        evs_status status = evs__account_resize(&t->account, (void **)&t->groups, t->group_capacity,
                                                capacity, sizeof(*t->groups));
        if (status)
            return status;
        t->group_capacity = capacity;
    }
    for (; t->group_count < need; t->group_count++)
        t->groups[t->group_count] = (evs__top_group){0};
    return EVS_OK;
}

evs_status evs__top_reserve_refs(evs__top *t, evs__top_group *g, uint32_t count)
{
    uint32_t capacity;
    evs_status status;

    count = count < t->n ? count : t->n;
    if (count <= g->capacity)
        return EVS_OK;
    capacity = g->capacity * 2 > count ? g->capacity * 2 : count;
    status = evs__account_resize(&t->account, (void **)&g->refs, g->capacity, capacity,
                                 sizeof(*g->refs));
    if (!status)
        g->capacity = capacity;
    return status;
}

evs_status evs__top_add_chunk(evs__top *t, evs_batch *chunk)
{
    size_t bytes = evs__batch_bytes(chunk);
    evs_status status = EVS_OK;

    if (t->chunk_count == t->chunk_capacity) {
        status = evs__account_resize(&t->account, (void **)&t->chunks, t->chunk_capacity,
                                     t->chunk_capacity + CHUNKS_MANY, sizeof(evs_batch *));
        t->chunk_capacity += status ? 0 : CHUNKS_MANY;
    }
    if (!status)
        status = evs__account_take(&t->account, bytes);
    if (status) {
        evs_batch_unref(chunk);
        return status;
    }
    t->chunks[t->chunk_count++] = chunk;
    t->chunk_bytes += bytes;
    t->kept_rows += chunk->rows;
    return EVS_OK;
}

void evs__top_drop_chunk(evs__top *t)
{
    evs_batch *chunk = t->chunks[--t->chunk_count];
    size_t bytes = evs__batch_bytes(chunk);

    t->kept_rows -= chunk->rows;
    t->chunk_bytes -= bytes;
    evs__account_give(&t->account, bytes);
    evs_batch_unref(chunk);
}

static void drop_group(evs__top *t, evs__top_group *g)
{
    t->open -= g->count > 0;
    t->live_rows -= g->count;
    evs__account_free(&t->account, g->refs, g->capacity, sizeof(*g->refs));
    *g = (evs__top_group){0};
}

void evs__top_clear(evs__top *t)
{
    for (uint32_t i = 0; i < t->group_count; i++)
        drop_group(t, &t->groups[i]);
    while (t->chunk_count)
        evs__top_drop_chunk(t);
    evs__account_free(&t->account, t->groups, t->group_capacity, sizeof(*t->groups));
    evs__account_free(&t->account, t->chunks, t->chunk_capacity, sizeof(evs_batch *));
    evs__intern_free(&t->keys);
    evs__intern_free(&t->slots);
    t->groups = NULL;
    t->chunks = NULL;
    t->group_count = t->group_capacity = t->chunk_capacity = 0;
}

evs_status evs__top_rows(
    const evs__top *t, const uint32_t *groups, uint32_t count, size_t rows, evs_batch **ret)
{
    evs_batch *b = NULL;
    evs_status status =
        rows > INT32_MAX ? EVS_ERR_LIMIT
                         : evs__batch_new(t->op.ctx, t->kept, EVS_LAYOUT_OWNED, (uint32_t)rows, &b);

    if (!status)
        status = evs__batch_need_times(b);
    for (uint32_t i = 0; !status && i < count; i++) {
        const evs__top_group *g = &t->groups[groups[i]];
        for (uint32_t k = 0; !status && k < g->count && b->rows < rows; k++)
            status = evs__batch_gather(b, t->chunks[g->refs[k].chunk], &g->refs[k].row, 1);
    }
    if (status) {
        evs_batch_unref(b);
        return status;
    }
    *ret = b;
    return EVS_OK;
}

static int compare_times(const void *data, uint32_t a, uint32_t b)
{
    const evs__top *t = data;
    int64_t ta = t->groups[a].time, tb = t->groups[b].time;
    return (ta > tb) - (ta < tb);
}

/* numbers of open groups up to `most` in time, by time; NULL: no memory */
static uint32_t *open_groups(const evs__top *t, int64_t most, uint32_t *ret_count)
{
    uint32_t *all = evs__realloc_array(t->op.ctx, NULL, (size_t)t->open + 1, 2 * sizeof(*all));
    uint32_t count = 0;

    for (uint32_t i = 0; all && i < t->group_count; i++) {
        if (t->groups[i].count && t->groups[i].time <= most)
            all[count++] = i;
    }
    if (count)
        evs__sort_ids(all, all + count, count, compare_times, t);
    *ret_count = count;
    return all;
}

/* one chunk without garbage instead of all; nothing happens without memory for it */
static void melt(evs__top *t)
{
    evs_batch *b = NULL;
    uint32_t count = 0, row = 0;
    uint32_t *all = open_groups(t, INT64_MAX, &count);

    if (all)
        evs__top_rows(t, all, count, t->live_rows, &b);
    if (b && evs__batch_bytes(b) > t->chunk_bytes) {
        evs_batch_unref(b);
    } else if (b) {
        while (t->chunk_count)
            evs__top_drop_chunk(t);
        for (uint32_t i = 0; i < count; i++) {
            for (uint32_t k = 0; k < t->groups[all[i]].count; k++)
                t->groups[all[i]].refs[k] = (evs__top_ref){0, row++};
        }
        /* there is room and a place for it */
        evs__top_add_chunk(t, b);
    }
    evs__free(t->op.ctx, all);
}

static void set_bit(uint8_t *bits, uint32_t at)
{
    bits[at >> 3] = (uint8_t)(bits[at >> 3] | 1u << (at & 7));
}

/* forget numbers of groups that were given out, and keys that no group has */
static void sweep(evs__top *t)
{
    evs_context *ctx = t->op.ctx;
    uint8_t *live = evs__calloc(ctx, (size_t)t->slots.high / 8 + 1, 1);
    uint8_t *live_keys = evs__calloc(ctx, (size_t)t->keys.high / 8 + 1, 1);

    if (live && live_keys) {
        for (uint32_t i = 0; i < t->group_count; i++) {
            if (!t->groups[i].count)
                continue;
            set_bit(live, i);
            set_bit(live_keys, t->groups[i].key);
        }
        /* room that was made for a batch that failed */
        for (uint32_t i = 0; i < t->group_count; i++) {
            if (!t->groups[i].count)
                drop_group(t, &t->groups[i]);
        }
        evs__intern_sweep(&t->slots, live);
        /* numbers that could not be forgotten still name their keys */
        if (t->slots.count == t->open) {
            t->group_count = t->group_count < t->slots.high ? t->group_count : t->slots.high;
            evs__intern_sweep(&t->keys, live_keys);
        }
    }
    evs__free(ctx, live);
    evs__free(ctx, live_keys);
}

static void tidy(evs__top *t)
{
    if (!t->open) {
        evs__top_clear(t);
        return;
    }
    if (t->slots.count > 2 * t->open + 256)
        sweep(t);
    if (t->chunk_count > 1 &&
        (t->chunk_count >= CHUNKS_MANY || t->kept_rows > 2 * t->live_rows + EVS_BATCH_ROWS_MAX))
        melt(t);
}

/* ---- give ---- */

/* of the oldest open group; INT64_MAX: none */
static int64_t first_time(const evs__top *t)
{
    int64_t first = INT64_MAX;
    for (uint32_t i = 0; t->open && i < t->group_count; i++) {
        if (t->groups[i].count && t->groups[i].time < first)
            first = t->groups[i].time;
    }
    return first;
}

/* the first `rows` rows of these groups have been given out */
static void given(evs__top *t, const uint32_t *groups, uint32_t count, size_t rows)
{
    for (uint32_t i = 0; i < count && rows; i++) {
        evs__top_group *g = &t->groups[groups[i]];
        if (rows >= g->count) {
            rows -= g->count;
            drop_group(t, g);
            continue;
        }
        g->count -= (uint32_t)rows;
        t->live_rows -= rows;
        memmove(g->refs, g->refs + rows, g->count * sizeof(*g->refs));
        rows = 0;
    }
}

static evs_status give_batch(evs__top *t, evs_batch *kept, const evs__out *out, evs_error **reterr)
{
    evs_batch *b = NULL;
    evs_status status = evs__batch_shell(t->op.ctx, t->op.out_type, kept->rows, &b);

    if (!status)
        status = evs__batch_need_times(b);
    if (status) {
        evs_batch_unref(b);
        return evs__nomem(reterr);
    }
    for (uint32_t i = 0; i < b->column_count; i++)
        b->columns[i] = evs__column_ref(kept->columns[i]);
    memcpy(b->times, kept->times, kept->rows * sizeof(*b->times));
    status = out->emit(out->user, EVS__PORT_MAIN, b, reterr);
    evs_batch_unref(b);
    return status;
}

/* groups before the watermark; nothing is lost when it fails */
static evs_status give(evs__top *t, const evs__out *out, evs_error **reterr)
{
    uint32_t count = 0, *due;
    evs_status status = EVS_OK;

    if (!out || first_time(t) >= t->time.watermark)
        return EVS_OK;
    due = open_groups(t, t->time.watermark - 1, &count);
    if (!due)
        return evs__nomem(reterr);
    for (uint32_t from = 0; !status && from < count;) {
        evs_batch *b = NULL;
        size_t rows = 0;
        uint32_t to = from;
        while (to < count && rows < EVS_BATCH_ROWS_MAX)
            rows += t->groups[due[to++]].count;
        rows = rows < EVS_BATCH_ROWS_MAX ? rows : EVS_BATCH_ROWS_MAX;
        status = evs__top_rows(t, due + from, to - from, rows, &b);
        if (status)
            status = evs__frame_fail(t->op.ctx, "top", t->account.max, status, reterr);
        else
            status = give_batch(t, b, out, reterr);
        evs_batch_unref(b);
        if (!status)
            given(t, due + from, to - from, rows);
        while (from < count && !t->groups[due[from]].count)
            from++;
    }
    evs__free(t->op.ctx, due);
    tidy(t);
    return status;
}

/* ---- one batch ---- */

typedef struct work {
    evs__top *t;
    evs_batch *in;
    evs__aside aside;
    uint32_t *rows, *keys, *groups; /* [in->count] each, one allocation */
    uint32_t n;
    bool chunk; /* the batch's rows are a chunk, not yet taken */
} work;

static void choose_rows(work *k)
{
    const evs_batch *in = k->in;

    for (uint32_t i = 0; i < in->count; i++) {
        uint32_t row = evs__batch_row_at(in, i);
        if (in->kinds && in->kinds[row] != EVS_ROW_INSERT)
            evs__aside_put(&k->aside, row, EVS__STAGE_EXPRESSION, EVS_ERR_UNSUPPORTED,
                           "this step takes final rows only (row kind update or delete)");
        else if (!in->times || in->times[row] == EVS_TIME_NONE)
            evs__aside_put(&k->aside, row, EVS__STAGE_EVENT_TIME, EVS_ERR_TIME,
                           "the row has no event time");
        else if (in->times[row] < k->t->time.watermark)
            evs__aside_put(&k->aside, row, EVS__STAGE_LATE, EVS_ERR_TIME,
                           "the best rows of its window were given out");
        if (!evs__aside_has(&k->aside, row))
            k->rows[k->n++] = row;
    }
}

/* the rows with the columns of the order, owned: a chunk */
static evs_status make_chunk(work *k)
{
    evs__top *t = k->t;
    uint32_t own = t->op.in_type->child_count;
    evs_batch *all = NULL, *chunk = NULL;
    evs_status status = evs__batch_shell(t->op.ctx, t->kept, k->in->rows, &all);

    for (uint32_t i = 0; !status && i < own + t->order.count; i++)
        all->columns[i] = evs__column_ref(i < own ? k->in->columns[i] : t->order.columns[i - own]);
    if (!status)
        status = evs__batch_need_times(all);
    if (!status) {
        memcpy(all->times, k->in->times, k->in->rows * sizeof(*all->times));
        status = evs__batch_new(t->op.ctx, t->kept, EVS_LAYOUT_OWNED, k->n, &chunk);
    }
    if (!status)
        status = evs__batch_gather(chunk, all, k->rows, k->n);
    evs_batch_unref(all);
    if (status) {
        evs_batch_unref(chunk);
        return status;
    }
    status = evs__top_add_chunk(t, chunk);
    k->chunk = !status;
    return status;
}

/* numbers of the groups of rows [from, from + n) */
static evs_status number_groups(work *k, uint32_t from, uint32_t n)
{
    evs__top *t = k->t;
    evs__intern_probe probes[BLOCK];
    evs_status status = evs__keyed_probes(&t->per, k->rows + from, n, probes);

    if (!status)
        status = evs__intern_add(&t->keys, probes, n, k->keys + from);
    for (uint32_t i = 0; !status && i < n; i++) {
        char bytes[12];
        memcpy(bytes, &k->keys[from + i], 4);
        memcpy(bytes + 4, &k->in->times[k->rows[from + i]], 8);
        probes[i] = evs__intern_probe_bytes(bytes, 12);
    }
    if (!status)
        status = evs__intern_add(&t->slots, probes, n, k->groups + from);
    return status;
}

static evs_status reserve(work *k)
{
    evs__top *t = k->t;
    evs_status status = EVS_OK, more;

    for (uint32_t i = 0; !status && i < k->n; i += BLOCK)
        status = number_groups(k, i, k->n - i < BLOCK ? k->n - i : BLOCK);
    more = evs__top_reserve(t); /* also after a failure: groups that were numbered are empty */
    status = status ? status : more;
    if (status)
        return status;
    for (uint32_t i = 0; i < k->n; i++)
        t->groups[k->groups[i]].coming++;
    for (uint32_t i = 0; i < k->n; i++) {
        evs__top_group *g = &t->groups[k->groups[i]];
        uint32_t coming = g->coming;
        g->coming = 0;
        if (!status && coming)
            status = evs__top_reserve_refs(t, g, g->count + coming);
    }
    return status ? status : make_chunk(k);
}

static void insert(evs__top *t, evs__top_group *g, evs__top_ref ref)
{
    uint32_t low = 0, high = g->count;

    if (g->count == t->n && evs__top_compare(t, ref, g->refs[g->count - 1]) >= 0)
        return;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (evs__top_compare(t, ref, g->refs[middle]) < 0)
            high = middle;
        else
            low = middle + 1;
    }
    t->open += !g->count;
    if (g->count < t->n) {
        g->count++;
        t->live_rows++;
    }
    memmove(g->refs + low + 1, g->refs + low, (g->count - 1 - low) * sizeof(*g->refs));
    g->refs[low] = ref;
}

static void take(work *k, const evs__out *out)
{
    evs__top *t = k->t;

    evs__aside_tell(&k->aside, out);
    for (uint32_t i = 0; i < k->n; i++) {
        evs__top_group *g = &t->groups[k->groups[i]];
        g->time = k->in->times[k->rows[i]];
        g->key = k->keys[i];
        insert(t, g, (evs__top_ref){t->chunk_count - 1, i});
    }
    t->rows += k->in->count;
    t->rejected += k->aside.count;
}

static evs_status prepare(work *k, evs_error **reterr)
{
    evs__top *t = k->t;
    evs_status status;

    k->rows = evs__realloc_array(t->op.ctx, NULL, (size_t)k->in->count + 1, 3 * sizeof(*k->rows));
    if (!k->rows)
        return evs__nomem(reterr);
    k->keys = k->rows + k->in->count;
    k->groups = k->keys + k->in->count;
    status = evs__keyed_eval(&t->per, k->in, &k->aside, reterr);
    if (!status)
        status = evs__keyed_eval(&t->order, k->in, &k->aside, reterr);
    if (status)
        return status;
    choose_rows(k);
    status = k->aside.status;
    if (!status && k->n)
        status = reserve(k);
    return status ? evs__frame_fail(t->op.ctx, "top", t->account.max, status, reterr) : EVS_OK;
}

/* what was not given stays, and is offered again before the next batch is taken */
static evs_status give_after(evs__top *t, const evs__out *out, evs_error **reterr)
{
    evs_error *err = NULL;
    evs_status status = give(t, out, &err);

    if (status == EVS_ERR_NOMEM || status == EVS_ERR_LIMIT) {
        evs_error_unref(err);
        return EVS_OK;
    }
    evs__error_move(reterr, err);
    return status;
}

static evs_status
process(evs__operator *op, evs_batch *in, int64_t now_ms, const evs__out *out, evs_error **reterr)
{
    evs__top *t = evs__top_of(op);
    work k = {.t = t, .in = in};
    evs_status status = give(t, out, reterr);
    (void)now_ms;

    if (status)
        return status;
    evs__aside_init(&k.aside, op->ctx, in);
    status = prepare(&k, reterr);
    if (!status)
        take(&k, out);
    else if (k.chunk)
        evs__top_drop_chunk(t);
    evs__keyed_drop(&t->per);
    evs__keyed_drop(&t->order);
    evs__aside_free(&k.aside);
    evs__free(op->ctx, k.rows);
    if (status)
        return status;
    if (in->row_watermark && in->rows)
        evs__merge_time_set(&t->time, in->slot, in->row_watermark[in->rows - 1], false);
    tidy(t);
    return give_after(t, out, reterr);
}

/* ---- the operator ---- */

static evs_status advance(evs__operator *op,
                          uint32_t slot,
                          int64_t watermark,
                          bool idle,
                          int64_t now_ms,
                          const evs__out *out,
                          evs_error **reterr)
{
    evs__top *t = evs__top_of(op);
    (void)now_ms;

    evs__merge_time_set(&t->time, slot, watermark, idle);
    return give(t, out, reterr);
}

static evs_status end(evs__operator *op, int64_t now_ms, const evs__out *out, evs_error **reterr)
{
    evs__top *t = evs__top_of(op);
    int64_t last = EVS_TIME_NONE;
    (void)now_ms;

    for (uint32_t i = 0; t->open && i < t->group_count; i++) {
        if (t->groups[i].count && t->groups[i].time > last)
            last = t->groups[i].time;
    }
    if (last != EVS_TIME_NONE && evs__time_add(last, 1) > t->time.watermark)
        t->time.watermark = evs__time_add(last, 1);
    return give(t, out, reterr);
}

/* rows to come are of groups at or above the watermark, or wait to be given out */
static int64_t watermark(const evs__operator *op)
{
    const evs__top *t = evs__top_of(op);
    int64_t first = first_time(t);
    return first < t->time.watermark ? first : t->time.watermark;
}

static int64_t counter(const evs__operator *op, const char *name)
{
    const evs__top *t = evs__top_of(op);
    const struct {
        const char *name;
        int64_t value;
    } counters[] = {
        {"rows", t->rows},
        {"rejected", t->rejected},
        {"keys", t->keys.count},
        {"open_windows", t->open},
        {"state_bytes", (int64_t)t->account.used},
    };

    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        if (strcmp(counters[i].name, name) == 0)
            return counters[i].value;
    }
    return -1;
}

static void reset(evs__operator *op)
{
    evs__top *t = evs__top_of(op);

    evs__top_clear(t);
    for (uint32_t i = 0; i < t->time.count; i++)
        t->time.slots[i] = (evs__merge_slot){EVS_TIME_NONE, false};
    t->time.watermark = EVS_TIME_NONE;
}

static void free_op(evs__operator *op)
{
    evs__top *t = evs__top_of(op);
    evs_context *ctx = op->ctx;

    evs__top_clear(t);
    evs__merge_time_free(&t->time);
    evs__keyed_free(&t->per);
    evs__keyed_free(&t->order);
    evs__free(ctx, t->descending);
    evs__free(ctx, t->plan);
    evs_type_unref(t->kept);
    evs_type_unref(op->in_type);
    evs_type_unref(op->out_type);
    evs__free(ctx, t);
    evs_context_unref(ctx);
}

static const evs__operator_functions top_functions = {
    .kind = "top",
    .process = process,
    .advance = advance,
    .snapshot = evs__top_snapshot,
    .restore = evs__top_restore,
    .end = end,
    .reset = reset,
    .watermark = watermark,
    .counter = counter,
    .free = free_op,
};

/* ---- making ---- */

static bool is_word(const char *at, size_t len, const char *word)
{
    if (len != strlen(word))
        return false;
    for (size_t i = 0; i < len; i++) {
        if ((at[i] | 0x20) != word[i])
            return false;
    }
    return true;
}

static size_t word_length(const char *at)
{
    size_t len = 0;
    while ((at[len] >= 'a' && at[len] <= 'z') || (at[len] >= 'A' && at[len] <= 'Z') ||
           (at[len] >= '0' && at[len] <= '9') || at[len] == '_' || (at[len] & 0x80))
        len++;
    return len;
}

/* whether the item of a list ends here */
static bool ends_item(const char *at)
{
    at += strspn(at, " \t\r\n");
    return !*at || *at == ',';
}

/* ASC and DESC behind an item become blanks; flags[i] of the i-th item. Returns how many items. */
static size_t take_directions(char *text, bool *flags)
{
    size_t item = 0;
    int depth = 0;

    for (char *at = text; *at;) {
        size_t len = word_length(at);
        if (len) {
            bool down = is_word(at, len, "desc");
            if (at > text && !depth && (down || is_word(at, len, "asc")) && ends_item(at + len)) {
                memset(at, ' ', len);
                flags[item] = down;
            }
            at += len;
            continue;
        }
        if (*at == '\'' || *at == '"' || *at == '`') {
            const char *close = strchr(at + 1, *at);
            if (!close)
                break;
            at = text + (close - text) + 1;
            continue;
        }
        depth += (*at == '(' || *at == '[') - (*at == ')' || *at == ']');
        item += *at == ',' && !depth;
        at++;
    }
    return item + 1;
}

static evs_status bind_order(evs__top *t, const char *order, evs_error **reterr)
{
    evs_context *ctx = t->op.ctx;
    char *text = evs__strdup(ctx, order);
    evs_status status;

    t->descending = evs__calloc(ctx, strlen(order) + 1, sizeof(*t->descending));
    if (!text || !t->descending) {
        evs__free(ctx, text);
        return evs__nomem(reterr);
    }
    take_directions(text, t->descending);
    status = evs__keyed_init(&t->order, ctx, t->op.in_type, text, EVS_NULL_KEY_GROUP, reterr);
    evs__free(ctx, text);
    if (!status && !t->order.count)
        status = evs__fail(ctx, reterr, EVS_ERR_EXPRESSION, "a top needs an order: \"views DESC\"");
    for (uint32_t i = 0; !status && i < t->order.count; i++) {
        evs_type_id id = t->order.types[i]->id;
        if (id == EVS_TYPE_ARRAY || id == EVS_TYPE_MAP || id == EVS_TYPE_STRUCT)
            status = evs__fail(ctx, reterr, EVS_ERR_TYPE, "rows cannot be put in order of %s",
                               evs_type_print(t->order.types[i]));
    }
    return status;
}

static evs_status bind_type(evs__top *t)
{
    evs_context *ctx = t->op.ctx;
    const evs_type *in = t->op.in_type;
    uint32_t count = in->child_count + t->order.count;
    evs__field *fields = evs__calloc(ctx, count, sizeof(*fields));
    char(*names)[16] = evs__calloc(ctx, t->order.count, sizeof(*names));
    evs_status status = fields && names ? EVS_OK : EVS_ERR_NOMEM;

    for (uint32_t i = 0; !status && i < count; i++) {
        uint32_t at = i - in->child_count, len = 0;
        if (i < in->child_count) {
            fields[i] = in->children[i];
            continue;
        }
        /* no column of anybody's has such a name */
        names[at][len++] = ' ';
        do
            names[at][len++] = (char)('0' + at % 10);
        while (at /= 10);
        fields[i] = (evs__field){names[i - in->child_count], t->order.types[i - in->child_count]};
    }
    if (!status)
        status = evs__type_struct(ctx, fields, count, false, &t->kept);
    evs__free(ctx, fields);
    evs__free(ctx, names);
    return status;
}

static evs_status bind_plan(evs__top *t, const char *order)
{
    evs__buffer text;

    evs__buffer_init(&text, t->op.ctx, 1 << 20);
    evs__buffer_printf(&text, "top %u order=[%s] rows=%s per=[", t->n, order,
                       evs_type_print(t->op.in_type));
    for (uint32_t i = 0; i < t->per.count; i++)
        evs__buffer_printf(&text, "%s%s", i ? ", " : "", evs_type_print(t->per.types[i]));
    evs__buffer_text(&text, "]");
    t->plan = evs__buffer_cstr(&text) ? evs__strdup(t->op.ctx, text.data) : NULL;
    evs__buffer_free(&text);
    return t->plan ? EVS_OK : EVS_ERR_NOMEM;
}

evs_status evs__top_new(evs_context *ctx,
                        const evs_type *in,
                        const char *per,
                        const char *order,
                        int64_t n,
                        size_t state_bytes_max,
                        uint32_t slots,
                        int32_t rule,
                        evs__operator **ret,
                        evs_error **reterr)
{
    evs__top *t;
    evs_status status;

    if (n < 1 || n > EVS__TOP_MAX)
        return evs__fail_at(ctx, reterr, EVS_ERR_INVALID, "n",
                            "n of a top is %lld, it must be 1 to %d", (long long)n, EVS__TOP_MAX);
    t = evs__calloc(ctx, 1, sizeof(*t));
    if (!t)
        return evs__nomem(reterr);
    t->op = (evs__operator){.fn = &top_functions,
                            .ctx = evs_context_ref(ctx),
                            .in_type = evs_type_ref(in),
                            .out_type = evs_type_ref(in)};
    t->n = (uint32_t)n;
    t->account = (evs__account){ctx, 0, state_bytes_max};
    evs__intern_init(&t->keys, &t->account);
    evs__intern_init(&t->slots, &t->account);
    status = evs__keyed_init(&t->per, ctx, in, per, EVS_NULL_KEY_GROUP, reterr);
    if (!status)
        status = bind_order(t, order, reterr);
    if (!status &&
        (evs__merge_time_init(&t->time, ctx, slots, rule) || bind_type(t) || bind_plan(t, order)))
        status = evs__nomem(reterr);
    if (status) {
        free_op(&t->op);
        return status;
    }
    *ret = &t->op;
    return EVS_OK;
}
