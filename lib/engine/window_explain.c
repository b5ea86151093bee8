/*
 * engine/window_explain.c: why a window is open: facts, one a line, for people.
 */
#include "base/time.h"
#include "engine/window.h"

static void put_time(evs__buffer *out, int64_t ms)
{
    char text[EVS__TIME_TEXT_MAX];
    if (ms == EVS_TIME_NONE)
        evs__buffer_text(out, "none yet");
    else if (ms == INT64_MAX)
        evs__buffer_text(out, "the end of time");
    else
        evs__buffer_append(out, text, evs__time_format(ms, text));
}

static void put_fact(evs__buffer *out, const char *name, int64_t ms)
{
    evs__buffer_text(out, name);
    put_time(out, ms);
    evs__buffer_byte(out, '\n');
}

static void put_duration(evs__buffer *out, int64_t ms)
{
    char text[EVS__TIME_TEXT_MAX];
    evs__buffer_append(out, text, evs__duration_format(ms, text));
}

static void put_missing(const evs__window_op *w, int64_t end, evs__buffer *out)
{
    int64_t close_at = evs__time_add(end, w->opt.grace_ms);
    int64_t now = evs__window_now(w);

    evs__buffer_text(out, "closes when the watermark reaches ");
    put_time(out, close_at);
    evs__buffer_text(out, " (its end and a grace of ");
    put_duration(out, w->opt.grace_ms);
    evs__buffer_text(out, ")");
    if (now != EVS_TIME_NONE) {
        evs__buffer_text(out, ", ");
        put_duration(out, evs__time_sub(close_at, now));
        evs__buffer_text(out, " from now");
    }
    evs__buffer_text(out, "\ngrace left: ");
    put_duration(out, now > end ? evs__time_sub(close_at, now) : w->opt.grace_ms);
    evs__buffer_text(out, " of ");
    put_duration(out, w->opt.grace_ms);
    evs__buffer_byte(out, '\n');
}

static void
put_holder(const evs__window_op *w, uint32_t i, const evs__slot_names *names, evs__buffer *out)
{
    int64_t since, now;

    evs__buffer_text(out, "held by ");
    if (names)
        names->name(names->user, i, out);
    else
        evs__buffer_printf(out, "slot %u", i);
    evs__buffer_text(out, " at ");
    put_time(out, w->time.slots[i].watermark);
    if (names && names->since(names->user, i, &since, &now)) {
        evs__buffer_text(out, ", for ");
        put_duration(out, now > since ? evs__time_sub(now, since) : 0);
        evs__buffer_text(out, " (since ");
        put_time(out, since);
        evs__buffer_byte(out, ')');
    }
    evs__buffer_byte(out, '\n');
}

/* slots that stand where the task stands */
static void put_holders(const evs__window_op *w, const evs__slot_names *names, evs__buffer *out)
{
    int64_t low = INT64_MAX;
    uint32_t idle = 0;

    for (uint32_t i = 0; i < w->time.count; i++) {
        const evs__merge_slot *slot = &w->time.slots[i];
        idle += slot->idle;
        if (!slot->idle && slot->watermark < low)
            low = slot->watermark;
    }
    for (uint32_t i = 0; i < w->time.count; i++) {
        const evs__merge_slot *slot = &w->time.slots[i];
        if (w->time.rule == EVS_TIME_STREAM || slot->idle || slot->watermark != low)
            continue;
        put_holder(w, i, names, out);
    }
    if (idle)
        evs__buffer_printf(out, "idle, which hold nobody: %u of %u\n", idle, w->time.count);
}

void evs__window_explain_bounds(const evs__window_op *w,
                                int64_t start,
                                int64_t end,
                                evs__buffer *out)
{
    put_fact(out, "window_start: ", start);
    put_fact(out, "window_end: ", end);
    put_fact(out,
             w->opt.time == EVS_TIME_PROCESSING ? "clock: " : "watermark: ", evs__window_now(w));
}

evs_status evs__window_op_explain(const evs__operator *op,
                                  int64_t window_start,
                                  const evs__slot_names *names,
                                  evs__buffer *out)
{
    const evs__window_op *w = evs__window_of(op);
    int64_t end;

    if (!w->family->explain(w, window_start, out, &end))
        return out->status;
    put_missing(w, end, out);
    if (w->opt.time != EVS_TIME_PROCESSING)
        put_holders(w, names, out);
    return out->status;
}
