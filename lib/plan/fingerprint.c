/*
 * plan/fingerprint.c: the plan as canonical text, and its hash: what a snapshot belongs to.
 *
 * In: the columns and time rules of each source, every operator with its texts as parsed (so white
 * space and the case of keywords do not count), window options, the order of steps. Out: names of
 * steps, sinks, host functions' addresses, and everything about how and where (brokers, topics,
 * passwords, intervals): topics, partitions and the number of shards stand in the snapshot
 * themselves and get their own, clearer refusal.
 */
#include <stdio.h>

#include "base/hash.h"
#include "plan/plan.h"

/* each item of a list as parsed; texts that are no expressions go in as they are */
static void canonical_text(const evs__plan *plan, const char *text, evs__buffer *out)
{
    evs__ast_list *list = NULL;
    evs_status status;

    if (!text || !*text)
        return;
    status = evs__ast_parse(plan->ctx, text, true, &list, NULL);
    if (status) {
        evs__buffer_text(out, text);
        if (status == EVS_ERR_NOMEM)
            out->status = status;
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (i)
            evs__buffer_text(out, ", ");
        evs__ast_print(list->items[i].expr, out);
        if (list->items[i].alias)
            evs__buffer_printf(out, " AS %s", list->items[i].alias);
    }
    evs__ast_free(list);
}

static void canonical_source(const evs__node *n, evs__buffer *out)
{
    const char *time = evs_config_string(n->config, "event.time");
    evs__time_options o;

    evs__plan_time_options(n, &o);
    evs__buffer_printf(out, " %s %s time(", n->connector_name, evs_type_print(n->type));
    canonical_text(n->plan, time, out);
    if (time)
        evs__buffer_printf(out, " unit %d", (int)n->time_unit);
    evs__buffer_printf(out, ") rule %d", o.rule);
}

static void canonical_window(const evs__node *n, evs__buffer *out)
{
    const evs_window_options *w = &n->window;
    evs__buffer_printf(out, " kind %d size %lld offset %lld grace %lld emit %d time %d null %d",
                       w->kind, (long long)w->size_ms, (long long)w->offset_ms,
                       (long long)w->grace_ms, w->emit, w->time, w->null_key);
    if (w->advance_ms)
        evs__buffer_printf(out, " advance %lld", (long long)w->advance_ms);
    if (w->step_ms)
        evs__buffer_printf(out, " step %lld", (long long)w->step_ms);
    if (w->gap_ms)
        evs__buffer_printf(out, " gap %lld", (long long)w->gap_ms);
    if (w->size_rows)
        evs__buffer_printf(out, " rows %lld advance %lld", (long long)w->size_rows,
                           (long long)w->advance_rows);
    if (w->emit_every_ms || w->emit_count)
        evs__buffer_printf(out, " every %lld count %lld", (long long)w->emit_every_ms,
                           (long long)w->emit_count);
    if (w->calendar)
        evs__buffer_printf(out, " calendar %d zone %s", w->calendar,
                           w->zone && *w->zone ? w->zone : "UTC");
    if (w->late == EVS_LATE_ALL_WINDOWS)
        evs__buffer_text(out, " late all");
    evs__buffer_text(out, " by (");
    canonical_text(n->plan, n->text, out);
    evs__buffer_text(out, ") aggregate (");
    canonical_text(n->plan, n->text2, out);
    evs__buffer_text(out, ")");
    if (n->in_place)
        evs__buffer_text(out, " in place");
}

/* of operators whose text is their keys; plans without them read as they always did */
static void canonical_numbers(const evs__node *n, evs__buffer *out)
{
    if (n->kind == EVS__NODE_SAMPLE)
        evs__buffer_printf(out, " one in %lld", (long long)n->number);
    else if (n->kind == EVS__NODE_TOP)
        evs__buffer_printf(out, " best %lld", (long long)n->number);
    else if (n->kind == EVS__NODE_DEDUP)
        evs__buffer_printf(out, " within %lld grace %lld since %d null %d",
                           (long long)n->dedup.within_ms, (long long)n->dedup.grace_ms,
                           n->dedup.since, n->dedup.null_key);
    else if (n->kind == EVS__NODE_LIMIT)
        evs__buffer_printf(out, " rows %lld per %lld grace %lld null %d", (long long)n->limit.rows,
                           (long long)n->limit.per_ms, (long long)n->limit.grace_ms,
                           n->limit.null_key);
    if (n->in_place)
        evs__buffer_text(out, " in place");
}

uint32_t evs__node_ordinal(const evs__node *n)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < n->index; i++)
        at += n->plan->nodes[i]->kind <= EVS__NODE_WINDOW;
    return at;
}

evs_status evs__plan_canonical(const evs__plan *plan, evs__buffer *out)
{
    for (uint32_t i = 0; i < plan->node_count; i++) {
        const evs__node *n = plan->nodes[i];
        const evs__node *in = n->input;
        if (n->kind > EVS__NODE_WINDOW)
            continue;
        evs__buffer_printf(out, "%u %s", evs__node_ordinal(n), evs__node_kind_name(n->kind));
        if (in && in->kind == EVS__NODE_LATE)
            evs__buffer_printf(out, " <- late of %u", evs__node_ordinal(in->input));
        else if (in)
            evs__buffer_printf(out, " <- %u", evs__node_ordinal(in));
        if (n->kind == EVS__NODE_SOURCE) {
            canonical_source(n, out);
        } else if (n->kind == EVS__NODE_WINDOW) {
            canonical_window(n, out);
        } else {
            evs__buffer_text(out, " (");
            canonical_text(plan, n->text, out);
            evs__buffer_printf(out, ") %s", n->text2 ? n->text2 : "");
            canonical_numbers(n, out);
        }
        evs__buffer_text(out, "\n");
    }
    return out->status;
}

evs_status evs__plan_fingerprint(evs__plan *plan, evs_error **reterr)
{
    evs__buffer text;
    evs_status status;

    evs__buffer_init(&text, plan->ctx, 64 << 20);
    status = evs__plan_canonical(plan, &text);
    if (status) {
        evs__fail(plan->ctx, reterr, status, "fingerprint of the plan: %s",
                  evs_status_text(status));
    } else {
        snprintf(plan->fingerprint, sizeof(plan->fingerprint), "%016llx%016llx",
                 (unsigned long long)evs__hash_bytes(text.data, text.len, 1),
                 (unsigned long long)evs__hash_bytes(text.data, text.len, 2));
    }
    evs__buffer_free(&text);
    return status;
}
