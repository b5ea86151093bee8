/*
 * engine/gate.c: dedup and limit. The idea is in gate.h.
 *
 *   judge rows   keys as columns; rows without time, of kind delete, with a NULL key set aside
 *   reserve      numbers of keys and of (key, slice), room for their entries
 *   ----------------------------------------- until here everything may fail and nothing is taken
 *   choose       row after row, with a note of every entry that changes
 *   emit         what passes; a failure takes the notes back
 *   go on        what was set aside is told, time moves, a sweep when it is due
 */
#include <string.h>

#include "engine/frame.h"
#include "engine/gate.h"
#include "evstream/pipeline.h"

#define BLOCK EVS__INTERN_BLOCK
#define SCRATCH_KEEP 65536u /* larger batches give their scratch back */

static const char *name_of(const evs__gate *g)
{
    return g->op.fn->kind;
}

/* ---- state ---- */

evs_status evs__gate_reserve(evs__gate *g)
{
    uint32_t need = g->slots.high;

    if (need > g->entry_capacity) {
        uint32_t capacity = g->entry_capacity * 2 > need ? g->entry_capacity * 2 : need + 64;
        evs_status status = evs__account_resize(&g->account, (void **)&g->entries,
                                                g->entry_capacity, capacity, sizeof(*g->entries));
        if (status)
            return status;
        g->entry_capacity = capacity;
    }
    for (; g->entry_count < need; g->entry_count++)
        g->entries[g->entry_count] = EVS__GATE_NONE;
    return EVS_OK;
}

static void set_bit(uint8_t *bits, uint32_t at)
{
    bits[at >> 3] = (uint8_t)(bits[at >> 3] | 1u << (at & 7));
}

static bool has_bit(const uint8_t *bits, uint32_t at)
{
    return bits[at >> 3] >> (at & 7) & 1;
}

/* bits of slots whose entries live, and of their keys; returns how many slots */
static uint32_t mark_live(const evs__gate *g, uint8_t *live, uint8_t *live_keys)
{
    uint32_t count = 0;

    for (uint32_t slot = 0; slot < g->entry_count; slot++) {
        uint32_t key;
        if (!evs__gate_is_live(g, slot))
            continue;
        memcpy(&key, evs__intern_data(&g->slots, slot), sizeof(key));
        set_bit(live, slot);
        set_bit(live_keys, key);
        count++;
    }
    return count;
}

static void shrink_entries(evs__gate *g)
{
    uint32_t need = g->slots.high;

    if (g->entry_count > need)
        g->entry_count = need;
    if (need && need >= g->entry_capacity / 4)
        return;
    if (!need) {
        evs__account_free(&g->account, g->entries, g->entry_capacity, sizeof(*g->entries));
        g->entries = NULL;
        g->entry_capacity = 0;
    } else if (!evs__account_resize(&g->account, (void **)&g->entries, g->entry_capacity, need,
                                    sizeof(*g->entries))) {
        g->entry_capacity = need;
    }
}

void evs__gate_sweep(evs__gate *g)
{
    evs_context *ctx = g->op.ctx;
    uint8_t *live = evs__calloc(ctx, (size_t)g->slots.high / 8 + 1, 1);
    uint8_t *live_keys = evs__calloc(ctx, (size_t)g->keys.high / 8 + 1, 1);
    uint32_t count;

    g->swept = g->time.watermark;
    if (live && live_keys) {
        count = mark_live(g, live, live_keys);
        evs__intern_sweep(&g->slots, live);
        /* slots that could not be forgotten still name their keys */
        if (g->slots.count == count) {
            for (uint32_t slot = 0; slot < g->entry_count && slot < g->slots.high; slot++) {
                if (!has_bit(live, slot))
                    g->entries[slot] = EVS__GATE_NONE;
            }
            shrink_entries(g);
            evs__intern_sweep(&g->keys, live_keys);
        }
    }
    evs__free(ctx, live);
    evs__free(ctx, live_keys);
}

void evs__gate_clear(evs__gate *g)
{
    evs__intern_free(&g->keys);
    evs__intern_free(&g->slots);
    evs__account_free(&g->account, g->entries, g->entry_capacity, sizeof(*g->entries));
    g->entries = NULL;
    g->entry_capacity = g->entry_count = 0;
}

/* ---- one batch ---- */

typedef struct work {
    evs__gate *g;
    evs_batch *in;
    evs__aside aside;
    int64_t base, others; /* see evs__merge_time_others() */
    uint32_t n;           /* rows that are judged */
    uint32_t passed, undo_count;
    uint32_t late;
} work;

/* the task's watermark including this row */
static int64_t mark_at(const work *k, uint32_t row)
{
    int64_t mark;

    if (!k->in->row_watermark)
        return k->base;
    mark = k->in->row_watermark[row] < k->others ? k->in->row_watermark[row] : k->others;
    return mark > k->base ? mark : k->base;
}

static evs_status scratch_reserve(evs__gate *g, uint32_t rows)
{
    evs__gate_scratch *s = &g->scratch;
    evs_context *ctx = g->op.ctx;
    uint32_t *all;

    if (rows <= s->capacity)
        return EVS_OK;
    rows = rows < EVS_BATCH_ROWS_MAX ? EVS_BATCH_ROWS_MAX : rows;
    evs__free(ctx, s->rows);
    evs__free(ctx, s->undo);
    *s = (evs__gate_scratch){0};
    all = evs__realloc_array(ctx, NULL, rows, 4 * sizeof(*all));
    s->rows = all;
    s->undo = evs__realloc_array(ctx, NULL, rows, sizeof(*s->undo));
    if (!all || !s->undo)
        return EVS_ERR_NOMEM;
    s->keys = all + rows;
    s->slots = s->keys + rows;
    s->sel = s->slots + rows;
    s->capacity = rows;
    return EVS_OK;
}

/* scratch.rows[0..n): physical rows that are judged */
static evs_status choose_rows(work *k)
{
    evs__gate *g = k->g;
    const evs_batch *in = k->in;

    for (uint32_t i = 0; i < in->count; i++) {
        uint32_t row = evs__batch_row_at(in, i);
        if (in->kinds && in->kinds[row] == EVS_ROW_DELETE)
            evs__aside_put(&k->aside, row, EVS__STAGE_EXPRESSION, EVS_ERR_UNSUPPORTED,
                           "this step cannot take a row back (row kind delete)");
        if (!in->times || in->times[row] == EVS_TIME_NONE)
            evs__aside_put(&k->aside, row, EVS__STAGE_EVENT_TIME, EVS_ERR_TIME,
                           "the row has no event time");
        if (evs__keyed_check(&g->keyed, &k->aside, row))
            g->scratch.rows[k->n++] = row;
    }
    return k->aside.status;
}

static evs_status number_slots(work *k, uint32_t from, uint32_t n)
{
    evs__gate *g = k->g;
    evs__intern_probe probes[BLOCK];
    char bytes[12];
    int64_t end;

    for (uint32_t i = 0; i < n; i++) {
        int64_t t = k->in->times[g->scratch.rows[from + i]];
        probes[i] = evs__gate_probe(bytes, g->scratch.keys[from + i], evs__gate_slice(g, t, &end));
    }
    return evs__intern_add(&g->slots, probes, n, g->scratch.slots + from);
}

static evs_status reserve(work *k)
{
    evs__gate *g = k->g;
    evs__intern_probe probes[BLOCK];
    evs_status status = EVS_OK;

    for (uint32_t i = 0; !status && i < k->n; i += BLOCK) {
        uint32_t n = k->n - i < BLOCK ? k->n - i : BLOCK;
        status = evs__keyed_probes(&g->keyed, g->scratch.rows + i, n, probes);
        if (!status)
            status = evs__intern_add(&g->keys, probes, n, g->scratch.keys + i);
        if (!status)
            status = number_slots(k, i, n);
    }
    /* also after a failure: slots that were made stand for nothing */
    if (status) {
        evs__gate_reserve(g);
        return status;
    }
    return evs__gate_reserve(g);
}

static evs_status prepare(work *k, evs_error **reterr)
{
    evs__gate *g = k->g;
    evs_status status;

    if (scratch_reserve(g, k->in->count))
        return evs__nomem(reterr);
    status = evs__keyed_eval(&g->keyed, k->in, &k->aside, reterr);
    if (status)
        return status;
    status = choose_rows(k);
    if (!status)
        status = reserve(k);
    if (status == EVS_ERR_LIMIT) {
        evs__gate_sweep(g);
        status = reserve(k);
    }
    return status ? evs__frame_fail(g->op.ctx, name_of(g), g->account.max, status, reterr) : EVS_OK;
}

/* ---- the rules ---- */

static const evs__gate_entry *neighbour(const evs__gate *g, uint32_t key, int64_t slice, int by)
{
    static const evs__gate_entry none = {INT64_MAX, INT64_MIN, 0};
    char bytes[12];
    /* past the ends of time there is a slice without rows, too */
    evs__intern_probe probe =
        evs__gate_probe(bytes, key, (int64_t)((uint64_t)slice + (uint64_t)by));
    uint32_t slot = evs__intern_find(&g->slots, &probe);

    return slot == EVS__INTERN_ABSENT ? &none : &g->entries[slot];
}

static bool is_near(const evs__gate *g, int64_t low, int64_t high)
{
    return (uint64_t)high - (uint64_t)low < (uint64_t)g->span;
}

/* the slice of the row itself is not over */
static bool is_repeated(const evs__gate *g, uint32_t i, int64_t t, int64_t mark)
{
    uint32_t key = g->scratch.keys[i];
    const evs__gate_entry *e = &g->entries[g->scratch.slots[i]];
    int64_t end, slice = evs__gate_slice(g, t, &end);

    if (e->count)
        return true;
    e = neighbour(g, key, slice, -1);
    if (e->count && is_near(g, e->max, t) &&
        !evs__gate_is_over(g, evs__time_sub(end, g->span), mark))
        return true;
    e = neighbour(g, key, slice, 1);
    return e->count && is_near(g, t, e->min);
}

static void remember(work *k, uint32_t slot, int64_t t)
{
    evs__gate_entry *e = &k->g->entries[slot];

    k->g->scratch.undo[k->undo_count++] = (evs__gate_undo){slot, *e};
    e->min = t < e->min ? t : e->min;
    e->max = t > e->max ? t : e->max;
    e->count++;
}

/* whether the i-th row passes; what is remembered of it changes */
static bool passes(work *k, uint32_t i)
{
    evs__gate *g = k->g;
    uint32_t row = g->scratch.rows[i], slot = g->scratch.slots[i];
    int64_t t = k->in->times[row], mark = mark_at(k, row), end;
    bool pass;

    evs__gate_slice(g, t, &end);
    if (evs__gate_is_over(g, end, mark)) {
        k->late++;
        return g->rule == EVS__GATE_DEDUP;
    }
    if (g->rule == EVS__GATE_LIMIT)
        pass = g->entries[slot].count < g->most;
    else
        pass = !is_repeated(g, i, t, mark);
    if (pass || g->renews)
        remember(k, slot, t);
    return pass;
}

static void undo(work *k)
{
    evs__gate *g = k->g;

    while (k->undo_count) {
        const evs__gate_undo *u = &g->scratch.undo[--k->undo_count];
        g->entries[u->slot] = u->old;
    }
}

/* rows behind have the task's time, no longer one input's */
static evs_status emit(work *k, const evs__out *out, evs_error **reterr)
{
    evs_batch *batch = NULL;
    evs_status status;

    if (!k->passed)
        return EVS_OK;
    if (evs__batch_select(k->in, k->g->scratch.sel, k->passed, &batch))
        return evs__nomem(reterr);
    for (uint32_t row = 0; batch->row_watermark && row < batch->rows; row++)
        batch->row_watermark[row] = mark_at(k, row);
    batch->slot = 0;
    status = out->emit(out->user, EVS__PORT_MAIN, batch, reterr);
    evs_batch_unref(batch);
    return status;
}

static void sweep_when_due(evs__gate *g)
{
    int64_t step = evs__time_add(g->span, g->grace) / 2;

    if (g->time.watermark == EVS_TIME_NONE)
        return;
    if (g->swept == EVS_TIME_NONE || evs__time_add(g->swept, step) < g->time.watermark)
        evs__gate_sweep(g);
}

static void taken(work *k, const evs__out *out)
{
    evs__gate *g = k->g;
    uint32_t left_out = k->n - k->passed;

    evs__aside_tell(&k->aside, out);
    g->rows += k->in->count;
    g->left_out += left_out;
    g->late += k->late;
    g->rejected += k->aside.count;
    if (out->counted)
        out->counted(out->user, left_out, k->late);
    if (k->in->row_watermark && k->in->rows)
        evs__merge_time_set(&g->time, k->in->slot, k->in->row_watermark[k->in->rows - 1], false);
    sweep_when_due(g);
}

static void scratch_trim(evs__gate *g)
{
    if (g->scratch.capacity <= SCRATCH_KEEP)
        return;
    evs__free(g->op.ctx, g->scratch.rows);
    evs__free(g->op.ctx, g->scratch.undo);
    g->scratch = (evs__gate_scratch){0};
}

static evs_status
process(evs__operator *op, evs_batch *in, int64_t now_ms, const evs__out *out, evs_error **reterr)
{
    evs__gate *g = evs__gate_of(op);
    work k = {.g = g, .in = in, .base = g->time.watermark};
    evs_status status;
    (void)now_ms;

    k.others = evs__merge_time_others(&g->time, in->slot);
    evs__aside_init(&k.aside, op->ctx, in);
    status = prepare(&k, reterr);
    for (uint32_t i = 0; !status && i < k.n; i++) {
        if (passes(&k, i))
            g->scratch.sel[k.passed++] = g->scratch.rows[i];
    }
    if (!status) {
        status = emit(&k, out, reterr);
        if (status)
            undo(&k);
    }
    if (!status)
        taken(&k, out);
    evs__keyed_drop(&g->keyed);
    evs__aside_free(&k.aside);
    scratch_trim(g);
    return status;
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
    evs__gate *g = evs__gate_of(op);
    (void)now_ms;
    (void)out;
    (void)reterr;

    evs__merge_time_set(&g->time, slot, watermark, idle);
    sweep_when_due(g);
    return EVS_OK;
}

static int64_t watermark(const evs__operator *op)
{
    return evs__gate_of(op)->time.watermark;
}

static int64_t counter(const evs__operator *op, const char *name)
{
    const evs__gate *g = evs__gate_of(op);
    const struct {
        const char *name;
        int64_t value;
    } counters[] = {
        {"rows", g->rows},       {"left_out", g->left_out},
        {"late", g->late},       {"rejected", g->rejected},
        {"keys", g->keys.count}, {"state_bytes", (int64_t)g->account.used},
        {"open_windows", 0},
    };

    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        if (strcmp(counters[i].name, name) == 0)
            return counters[i].value;
    }
    return -1;
}

static void reset(evs__operator *op)
{
    evs__gate *g = evs__gate_of(op);

    evs__gate_clear(g);
    for (uint32_t i = 0; i < g->time.count; i++)
        g->time.slots[i] = (evs__merge_slot){EVS_TIME_NONE, false};
    g->time.watermark = EVS_TIME_NONE;
    g->swept = EVS_TIME_NONE;
}

static void free_op(evs__operator *op)
{
    evs__gate *g = evs__gate_of(op);
    evs_context *ctx = op->ctx;

    evs__gate_clear(g);
    evs__merge_time_free(&g->time);
    evs__keyed_free(&g->keyed);
    evs__free(ctx, g->plan);
    evs__free(ctx, g->scratch.rows);
    evs__free(ctx, g->scratch.undo);
    evs_type_unref(op->in_type);
    evs_type_unref(op->out_type);
    evs__free(ctx, g);
    evs_context_unref(ctx);
}

static const evs__operator_functions dedup_functions = {
    .kind = "dedup",
    .process = process,
    .advance = advance,
    .snapshot = evs__gate_snapshot,
    .restore = evs__gate_restore,
    .reset = reset,
    .watermark = watermark,
    .counter = counter,
    .free = free_op,
};

static const evs__operator_functions limit_functions = {
    .kind = "limit",
    .process = process,
    .advance = advance,
    .snapshot = evs__gate_snapshot,
    .restore = evs__gate_restore,
    .reset = reset,
    .watermark = watermark,
    .counter = counter,
    .free = free_op,
};

/* ---- making ---- */

typedef struct range {
    const char *name;
    int64_t value, min, max;
} range;

static evs_status check_ranges(
    evs_context *ctx, const char *what, const range *ranges, size_t count, evs_error **reterr)
{
    for (size_t i = 0; i < count; i++) {
        const range *r = &ranges[i];
        if (r->value >= r->min && r->value <= r->max)
            continue;
        if (r->max == INT64_MAX)
            return evs__fail_at(ctx, reterr, EVS_ERR_INVALID, r->name,
                                "%s of a %s is %lld, it must be %lld or more", r->name, what,
                                (long long)r->value, (long long)r->min);
        return evs__fail_at(ctx, reterr, EVS_ERR_INVALID, r->name,
                            "%s of a %s is %lld, it must be %lld to %lld", r->name, what,
                            (long long)r->value, (long long)r->min, (long long)r->max);
    }
    return EVS_OK;
}

/* what snapshots of two gates must have in common */
static evs_status make_plan(evs__gate *g)
{
    evs_context *ctx = g->op.ctx;
    evs__buffer text;

    evs__buffer_init(&text, ctx, 1 << 20);
    evs__buffer_printf(&text, "%s span=%lld grace=%lld most=%lld renews=%d keys=[", g->op.fn->kind,
                       (long long)g->span, (long long)g->grace, (long long)g->most, g->renews);
    for (uint32_t i = 0; i < g->keyed.count; i++)
        evs__buffer_printf(&text, "%s%s", i ? ", " : "", evs_type_print(g->keyed.types[i]));
    evs__buffer_text(&text, "]");
    g->plan = evs__buffer_cstr(&text) ? evs__strdup(ctx, text.data) : NULL;
    evs__buffer_free(&text);
    return g->plan ? EVS_OK : EVS_ERR_NOMEM;
}

static evs_status gate_new(evs_context *ctx,
                           const evs_type *in,
                           const char *keys,
                           int32_t null_key,
                           int64_t state_bytes_max,
                           uint32_t slots,
                           int32_t time_rule,
                           const evs__gate *like,
                           evs__operator **ret,
                           evs_error **reterr)
{
    evs__gate *g = evs__calloc(ctx, 1, sizeof(*g));
    evs_status status;

    if (!g)
        return evs__nomem(reterr);
    *g = *like;
    g->op.ctx = evs_context_ref(ctx);
    g->op.in_type = evs_type_ref(in);
    g->op.out_type = evs_type_ref(in);
    g->account = (evs__account){ctx, 0, (size_t)state_bytes_max};
    evs__intern_init(&g->keys, &g->account);
    evs__intern_init(&g->slots, &g->account);
    g->swept = EVS_TIME_NONE;
    status = evs__keyed_init(&g->keyed, ctx, in, keys, null_key, reterr);
    if (!status && (evs__merge_time_init(&g->time, ctx, slots, time_rule) || make_plan(g)))
        status = evs__nomem(reterr);
    if (!status && g->rule == EVS__GATE_DEDUP && !g->keyed.count)
        status = evs__fail(ctx, reterr, EVS_ERR_EXPRESSION, "a dedup needs a key");
    if (status) {
        free_op(&g->op);
        return status;
    }
    *ret = &g->op;
    return EVS_OK;
}

evs_status evs__dedup_new(evs_context *ctx,
                          const evs_type *in,
                          const char *keys,
                          const evs_dedup_options *o,
                          uint32_t slots,
                          int32_t rule,
                          evs__operator **ret,
                          evs_error **reterr)
{
    const range ranges[] = {
        {"within_ms", o->within_ms, 1, INT64_MAX},
        {"grace_ms", o->grace_ms, 0, INT64_MAX},
        {"state_bytes_max", o->state_bytes_max, 1, INT64_MAX},
        {"since", o->since, EVS_DEDUP_SINCE_FIRST, EVS_DEDUP_SINCE_LAST},
        {"null_key", o->null_key, EVS_NULL_KEY_DEAD_LETTER, EVS_NULL_KEY_GROUP},
    };
    const evs__gate like = {.op.fn = &dedup_functions,
                            .rule = EVS__GATE_DEDUP,
                            .span = o->within_ms,
                            .grace = o->grace_ms,
                            .renews = o->since == EVS_DEDUP_SINCE_LAST};
    evs_status status =
        check_ranges(ctx, "dedup", ranges, sizeof(ranges) / sizeof(ranges[0]), reterr);

    return status ? status
                  : gate_new(ctx, in, keys, o->null_key, o->state_bytes_max, slots, rule, &like,
                             ret, reterr);
}

evs_status evs__limit_new(evs_context *ctx,
                          const evs_type *in,
                          const char *keys,
                          const evs_limit_options *o,
                          uint32_t slots,
                          int32_t rule,
                          evs__operator **ret,
                          evs_error **reterr)
{
    const range ranges[] = {
        {"rows", o->rows, 1, INT64_MAX},
        {"per_ms", o->per_ms, 1, INT64_MAX},
        {"grace_ms", o->grace_ms, 0, INT64_MAX},
        {"state_bytes_max", o->state_bytes_max, 1, INT64_MAX},
        {"null_key", o->null_key, EVS_NULL_KEY_DEAD_LETTER, EVS_NULL_KEY_GROUP},
        {"reserved", o->reserved, 0, 0},
    };
    const evs__gate like = {.op.fn = &limit_functions,
                            .rule = EVS__GATE_LIMIT,
                            .span = o->per_ms,
                            .grace = o->grace_ms,
                            .most = o->rows};
    evs_status status =
        check_ranges(ctx, "limit", ranges, sizeof(ranges) / sizeof(ranges[0]), reterr);

    return status ? status
                  : gate_new(ctx, in, keys, o->null_key, o->state_bytes_max, slots, rule, &like,
                             ret, reterr);
}
