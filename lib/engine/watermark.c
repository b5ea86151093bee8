/*
 * engine/watermark.c: how time moves (the laws are in the header).
 *
 *   times of rows --running maximum--> max_time --- out_of_orderness --> partition watermark
 *                                                                            |
 *   host clock while silent and at the end: idle, close_after ---------------+
 *                                                                            v
 *   partition watermarks ------------- minimum of those not idle ------> task watermark
 *
 * Invariants: neither a partition's nor a task's watermark ever falls; EVS_TIME_NONE (INT64_MIN) is
 * "before everything" and a partition that never had an event stays there, so it holds the task
 * until it is idle. All arithmetic saturates. close_after counts the whole silence: events that
 * resume at the pace of the clock find the watermark where the last event, moved by that silence,
 * would have put it, and are as late or early as they would have been.
 *
 * Cost: one maximum a row; one pass over the slots a batch.
 */
#include "engine/watermark.h"

#include "evstream/window.h"

void evs__partition_time_init(evs__partition_time *p)
{
    *p = (evs__partition_time){EVS_TIME_NONE, EVS_TIME_NONE, EVS_TIME_NONE, EVS_TIME_NONE, false};
}

void evs__partition_time_resume(evs__partition_time *p)
{
    p->idle = false;
    p->quiet_since_ms = EVS_TIME_NONE;
    p->advanced_ms = EVS_TIME_NONE;
}

/* delay of the watermark behind the highest event time */
static int64_t partition_delay(const evs__time_options *o)
{
    return o->rule == EVS_TIME_STREAM ? 0 : o->out_of_orderness_ms;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/*
 * All rows count: no branch that the data decides. The mark is high - delay for a `high` that
 * starts where its mark is the present one (or "none"), so one running maximum does it; four rows
 * at a time, since each maximum waits for the one before.
 */
static void run_all(evs__partition_time *p,
                    int64_t delay,
                    const int64_t *times,
                    uint32_t rows,
                    int64_t *row_watermark)
{
    int64_t first =
        later(later(p->max_time, INT64_MIN + delay), evs__time_add(p->watermark, delay));
    int64_t high = first;
    uint32_t row = 0;

    for (; row + 4 <= rows; row += 4) {
        int64_t a = times[row], b = later(a, times[row + 1]), c = later(b, times[row + 2]);
        int64_t d = later(c, times[row + 3]);
        __builtin_prefetch(times + row + 256);
        row_watermark[row] = later(high, a) - delay;
        row_watermark[row + 1] = later(high, b) - delay;
        row_watermark[row + 2] = later(high, c) - delay;
        high = later(high, d);
        row_watermark[row + 3] = high - delay;
    }
    for (; row < rows; row++) {
        high = later(high, times[row]);
        row_watermark[row] = high - delay;
    }
    if (high > first) {
        p->max_time = high;
        p->watermark = high - delay;
        return;
    }
    for (row = 0; row < rows && p->max_time < first; row++)
        p->max_time = later(p->max_time, times[row]);
}

static int64_t watermark_of(int64_t max_time, int64_t delay)
{
    /* a delay of "forever" never gives a watermark */
    if (max_time == EVS_TIME_NONE || delay == EVS_FOREVER)
        return EVS_TIME_NONE;
    return evs__time_sub(max_time, delay);
}

void evs__partition_time_run(evs__partition_time *p,
                             const evs__time_options *o,
                             const int64_t *times,
                             const uint32_t *sel,
                             uint32_t count,
                             uint32_t rows,
                             int64_t limit,
                             int64_t *row_watermark)
{
    int64_t delay = partition_delay(o);
    int64_t high = p->max_time, mark = p->watermark;
    uint32_t filled = 0;

    if (!times)
        count = 0;
    /* a mark so high that the time for it is beyond all times goes the slow way */
    if (times && !sel && limit == INT64_MAX && delay != EVS_FOREVER && mark <= INT64_MAX - delay) {
        run_all(p, delay, times, rows, row_watermark);
        return;
    }
    for (uint32_t k = 0; k < count; k++) {
        uint32_t row = sel ? sel[k] : k;
        /* rows that do not count carry what was before them */
        while (filled < row)
            row_watermark[filled++] = mark;
        if (times[row] > high && times[row] <= limit) {
            int64_t moved = watermark_of(times[row], delay);
            high = times[row];
            mark = moved > mark ? moved : mark;
        }
        row_watermark[row] = mark;
        filled = row >= filled ? row + 1 : filled;
    }
    while (filled < rows)
        row_watermark[filled++] = mark;
    p->max_time = high;
    p->watermark = mark;
}

typedef enum verdict { VERDICT_TAKE, VERDICT_NO_TIME, VERDICT_FUTURE } verdict;

static verdict judge(const evs__time_options *o, const evs_batch *b, uint32_t row, int64_t limit)
{
    if (!b->times || b->times[row] == EVS_TIME_NONE)
        return o->time_optional ? VERDICT_TAKE : VERDICT_NO_TIME;
    if (b->times[row] > limit && o->future_action == EVS__FUTURE_REFUSE)
        return VERDICT_FUTURE;
    return VERDICT_TAKE;
}

static void tell_refused(const evs_batch *batch, uint32_t row, verdict v, const evs__out *out)
{
    if (!out || !out->reject)
        return;
    if (v == VERDICT_NO_TIME)
        out->reject(out->user, batch, row, EVS__STAGE_EVENT_TIME, EVS_ERR_TIME,
                    "the row has no event time");
    else
        out->reject(out->user, batch, row, EVS__STAGE_FUTURE, EVS_ERR_TIME,
                    "the event time is further ahead of the clock than future_max");
}

/* selection without the refused rows; `sel` has room for batch->count entries */
static uint32_t refuse_rows(const evs__time_options *o,
                            const evs_batch *batch,
                            int64_t limit,
                            const evs__out *out,
                            uint32_t *sel)
{
    uint32_t kept = 0;
    for (uint32_t k = 0; k < batch->count; k++) {
        uint32_t row = evs__batch_row_at(batch, k);
        verdict v = judge(o, batch, row, limit);
        if (v == VERDICT_TAKE)
            sel[kept++] = row;
        else
            tell_refused(batch, row, v, out);
    }
    return kept;
}

static bool any_refused(const evs__time_options *o, const evs_batch *batch, int64_t limit)
{
    for (uint32_t k = 0; k < batch->count; k++) {
        if (judge(o, batch, evs__batch_row_at(batch, k), limit) != VERDICT_TAKE)
            return true;
    }
    return false;
}

static void clamp_times(evs_batch *batch, int64_t limit)
{
    for (uint32_t k = 0; k < batch->count && batch->times; k++) {
        uint32_t row = evs__batch_row_at(batch, k);
        if (batch->times[row] > limit)
            batch->times[row] = limit;
    }
}

evs_status evs__partition_time_observe(evs__partition_time *p,
                                       const evs__time_options *o,
                                       evs_batch *batch,
                                       int64_t now_ms,
                                       const evs__out *out,
                                       evs_error **reterr)
{
    bool guarded = o->future_action != EVS__FUTURE_OFF && o->future_max_ms != EVS_FOREVER;
    int64_t limit = guarded ? evs__time_add(now_ms, o->future_max_ms) : INT64_MAX;

    if (batch->count)
        evs__partition_time_resume(p);
    if (evs__batch_need_row_watermark(batch))
        return evs__nomem(reterr);
    if (any_refused(o, batch, limit)) {
        uint32_t *sel =
            batch->sel ? batch->sel : evs__alloc(batch->ctx, batch->count * sizeof(*batch->sel));
        if (!sel)
            return evs__nomem(reterr);
        batch->count = refuse_rows(o, batch, limit, out, sel);
        batch->sel = sel;
    }
    evs__partition_time_run(p, o, batch->times, batch->sel, batch->count, batch->rows, limit,
                            batch->row_watermark);
    if (guarded && o->future_action == EVS__FUTURE_CLAMP)
        clamp_times(batch, limit);
    return EVS_OK;
}

static bool tick_close_after(evs__partition_time *p, const evs__time_options *o, int64_t now_ms)
{
    if (o->close_after_ms == EVS_FOREVER || p->watermark == EVS_TIME_NONE ||
        evs__time_sub(now_ms, p->quiet_since_ms) < o->close_after_ms || now_ms <= p->advanced_ms)
        return false;
    p->watermark = evs__time_add(p->watermark, evs__time_sub(now_ms, p->advanced_ms));
    p->advanced_ms = now_ms;
    return true;
}

bool evs__partition_time_tick(evs__partition_time *p,
                              const evs__time_options *o,
                              bool at_end,
                              int64_t now_ms)
{
    bool changed = false;

    if (!at_end) {
        /* whatever comes after an outage or a pause must not find that time went on without it */
        changed = p->idle;
        evs__partition_time_resume(p);
        return changed;
    }
    if (p->quiet_since_ms == EVS_TIME_NONE) {
        p->quiet_since_ms = now_ms;
        p->advanced_ms = now_ms;
    }
    if (!p->idle && o->idle_timeout_ms != EVS_FOREVER &&
        evs__time_sub(now_ms, p->quiet_since_ms) >= o->idle_timeout_ms) {
        p->idle = true;
        changed = true;
    }
    return tick_close_after(p, o, now_ms) || changed;
}

int64_t evs__partition_time_next_ms(const evs__partition_time *p, const evs__time_options *o)
{
    int64_t next = INT64_MAX;

    if (p->quiet_since_ms == EVS_TIME_NONE)
        return INT64_MAX;
    if (!p->idle && o->idle_timeout_ms != EVS_FOREVER)
        next = evs__time_add(p->quiet_since_ms, o->idle_timeout_ms);
    if (o->close_after_ms != EVS_FOREVER && p->watermark != EVS_TIME_NONE) {
        int64_t first = evs__time_add(p->quiet_since_ms, o->close_after_ms);
        int64_t step = evs__time_add(p->advanced_ms, EVS__CLOSE_STEP_MS);
        int64_t close = first > step ? first : step;
        next = close < next ? close : next;
    }
    return next;
}

evs_status evs__merge_time_init(evs__merge_time *m, evs_context *ctx, uint32_t slots, int32_t rule)
{
    *m = (evs__merge_time){ctx, NULL, slots, rule, EVS_TIME_NONE};
    m->slots = evs__calloc(ctx, slots, sizeof(*m->slots));
    if (!m->slots)
        return EVS_ERR_NOMEM;
    for (uint32_t i = 0; i < slots; i++)
        m->slots[i].watermark = EVS_TIME_NONE;
    return EVS_OK;
}

void evs__merge_time_free(evs__merge_time *m)
{
    if (m->ctx)
        evs__free(m->ctx, m->slots);
    m->slots = NULL;
    m->count = 0;
}

int64_t evs__merge_time_others(const evs__merge_time *m, uint32_t slot)
{
    int64_t low = INT64_MAX;

    if (m->rule == EVS_TIME_STREAM)
        return INT64_MAX;
    for (uint32_t i = 0; i < m->count; i++) {
        if (i != slot && !m->slots[i].idle && m->slots[i].watermark < low)
            low = m->slots[i].watermark;
    }
    return low;
}

int64_t evs__merge_time_set(evs__merge_time *m, uint32_t slot, int64_t watermark, bool idle)
{
    int64_t low = INT64_MAX, high = EVS_TIME_NONE, merged;
    bool all_idle = true;

    if (slot >= m->count)
        return m->watermark;
    if (watermark > m->slots[slot].watermark)
        m->slots[slot].watermark = watermark;
    m->slots[slot].idle = idle;
    for (uint32_t i = 0; i < m->count; i++) {
        int64_t mark = m->slots[i].watermark;
        high = mark > high ? mark : high;
        if (!m->slots[i].idle) {
            all_idle = false;
            low = mark < low ? mark : low;
        }
    }
    merged = m->rule == EVS_TIME_STREAM || all_idle ? high : low;
    if (merged > m->watermark)
        m->watermark = merged;
    return m->watermark;
}
