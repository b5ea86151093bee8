/*
 * plan/explain.c: the plan as text for people: steps as a tree, types, options that were set
 * (secrets masked), and what each sink really gives.
 */
#include "base/time.h"
#include "plan/plan.h"

static void indent(evs__buffer *out, uint32_t depth)
{
    for (uint32_t i = 0; i < depth; i++)
        evs__buffer_text(out, "  ");
}

/* the "key = value" lines of a config, indented */
static void
explain_options(const evs__plan *plan, const evs_config *config, uint32_t depth, evs__buffer *out)
{
    evs__buffer lines;
    const char *text;

    evs__buffer_init(&lines, plan->ctx, 1 << 20);
    if (evs__config_dump(config, false, &lines))
        out->status = out->status ? out->status : lines.status;
    text = evs__buffer_cstr(&lines);
    while (text && *text) {
        size_t len = strcspn(text, "\n");
        indent(out, depth);
        evs__buffer_append(out, text, len);
        evs__buffer_text(out, "\n");
        text += len + (text[len] == '\n');
    }
    evs__buffer_free(&lines);
}

static void explain_type(const evs_type *type, uint32_t depth, evs__buffer *out)
{
    indent(out, depth);
    if (!type) {
        evs__buffer_text(out, "columns: not known before start\n");
        return;
    }
    evs__buffer_text(out, "columns:");
    for (uint32_t i = 0; i < type->child_count; i++)
        evs__buffer_printf(out, "%s %s %s", i ? "," : "", type->children[i].name,
                           evs_type_print(type->children[i].type));
    evs__buffer_text(out, "\n");
}

static void explain_guarantee(const evs__node *n, uint32_t depth, evs__buffer *out)
{
    const char *why = "";
    evs_guarantee g = evs__plan_guarantee(n, &why);
    indent(out, depth);
    evs__buffer_printf(out, "guarantee: %s (%s)\n",
                       g == EVS__GUARANTEE_NONE           ? "none"
                       : g == EVS_GUARANTEE_AT_LEAST_ONCE ? "at least once"
                       : g == EVS_GUARANTEE_TRANSACTIONAL ? "exactly once"
                                                          : "exactly once in effect",
                       why);
}

static void duration(evs__buffer *out, const char *label, int64_t ms)
{
    char text[EVS__TIME_TEXT_MAX];
    size_t len = evs__duration_format(ms, text);
    evs__buffer_printf(out, "%s%.*s", label, (int)len, text);
}

static void explain_kind(const evs_window_options *w, evs__buffer *out)
{
    if (w->kind == EVS_WINDOW_HOPPING) {
        duration(out, "hopping ", w->size_ms);
        duration(out, ", advance ", w->advance_ms);
    } else if (w->kind == EVS_WINDOW_CUMULATING) {
        duration(out, "cumulating ", w->size_ms);
        duration(out, ", step ", w->step_ms);
    } else if (w->kind == EVS_WINDOW_SESSION) {
        duration(out, "session, gap ", w->gap_ms);
    } else if (w->kind == EVS_WINDOW_SLIDING) {
        duration(out, "sliding ", w->size_ms);
    } else if (w->kind == EVS_WINDOW_CALENDAR) {
        evs__buffer_printf(out, "calendar %s, zone %s", evs__calendar_name(w->calendar),
                           w->zone && *w->zone ? w->zone : "UTC");
    } else if (w->kind == EVS_WINDOW_COUNT) {
        evs__buffer_printf(out, "of %lld rows", (long long)w->size_rows);
        if (w->advance_rows)
            evs__buffer_printf(out, ", each %lld rows", (long long)w->advance_rows);
    } else {
        duration(out, "tumbling ", w->size_ms);
    }
}

static void explain_exchange(const evs__node *n, uint32_t depth, evs__buffer *out)
{
    indent(out, depth);
    if (n->in_place)
        evs__buffer_text(out, "in place: the source is partitioned by this key\n");
    else
        evs__buffer_printf(out, "exchange: %lld shards by key\n",
                           (long long)evs_config_int(n->plan->config, "exchange.partitions"));
}

static void explain_dedup(const evs__node *n, uint32_t depth, evs__buffer *out)
{
    const evs_dedup_options *o = &n->dedup;

    evs__buffer_printf(out, ": by (%s)\n", n->text);
    indent(out, depth + 1);
    duration(out, "within ", o->within_ms);
    evs__buffer_printf(out, " of the %s", o->since == EVS_DEDUP_SINCE_LAST ? "last" : "first");
    duration(out, ", grace ", o->grace_ms);
    evs__buffer_text(out, ", event time\n");
    explain_exchange(n, depth + 1, out);
}

static void explain_limit(const evs__node *n, uint32_t depth, evs__buffer *out)
{
    const evs_limit_options *o = &n->limit;

    evs__buffer_printf(out, ": by (%s)\n", n->text);
    indent(out, depth + 1);
    evs__buffer_printf(out, "%lld rows ", (long long)o->rows);
    duration(out, "per ", o->per_ms);
    duration(out, ", grace ", o->grace_ms);
    evs__buffer_text(out, ", event time\n");
    explain_exchange(n, depth + 1, out);
}

static void explain_window(const evs__node *n, uint32_t depth, evs__buffer *out)
{
    const evs_window_options *w = &n->window;
    evs__buffer_printf(out, ": %s by (%s)\n", n->text2, n->text);
    indent(out, depth + 1);
    explain_kind(w, out);
    if (w->offset_ms)
        duration(out, ", offset ", w->offset_ms);
    duration(out, ", grace ", w->grace_ms);
    evs__buffer_printf(out, ", emit %s, %s time\n", w->emit == EVS_EMIT_FINAL ? "final" : "changes",
                       w->time == EVS_TIME_PROCESSING ? "processing" : "event");
    explain_exchange(n, depth + 1, out);
    if (w->emit_every_ms) {
        indent(out, depth + 1);
        duration(out, "changes every ", w->emit_every_ms);
        evs__buffer_byte(out, '\n');
    }
    if (w->emit_count) {
        indent(out, depth + 1);
        evs__buffer_printf(out, "changes every %lld rows\n", (long long)w->emit_count);
    }
    if (w->late == EVS_LATE_ALL_WINDOWS) {
        indent(out, depth + 1);
        evs__buffer_text(out, "late: refused by all windows\n");
    }
    if (!evs__node_late(n)) {
        indent(out, depth + 1);
        evs__buffer_text(out, "late rows: dead letters\n");
    }
}

static void explain_node(const evs__node *n, uint32_t depth, evs__buffer *out)
{
    indent(out, depth);
    evs__buffer_printf(out, "%s", n->name);
    if (n->connector_name) {
        evs__buffer_printf(out, ": %s\n", n->connector_name);
        explain_options(n->plan, n->config, depth + 1, out);
    } else if (n->kind == EVS__NODE_WINDOW) {
        explain_window(n, depth, out);
    } else if (n->kind == EVS__NODE_DEDUP) {
        explain_dedup(n, depth, out);
    } else if (n->kind == EVS__NODE_LIMIT) {
        explain_limit(n, depth, out);
    } else if (n->kind == EVS__NODE_TOP) {
        evs__buffer_printf(out, ": the best %lld of each window by %s%s%s\n", (long long)n->number,
                           n->text2, *n->text ? ", per " : "", n->text);
    } else if (n->kind == EVS__NODE_SAMPLE) {
        evs__buffer_printf(out, ": one key of (%s) in %lld\n", n->text, (long long)n->number);
    } else if (n->kind == EVS__NODE_EACH) {
        evs__buffer_text(out, ": function of the host\n");
    } else {
        evs__buffer_printf(out, "%s%s\n", n->text ? ": " : "", n->text ? n->text : "");
    }
    if (n->kind == EVS__NODE_SINK || n->kind == EVS__NODE_EACH || n->kind == EVS__NODE_DEAD_LETTERS)
        explain_guarantee(n, depth + 1, out);
    else if (n->kind != EVS__NODE_FILTER)
        explain_type(n->type, depth + 1, out);
    for (uint32_t i = 0; i < n->output_count; i++)
        explain_node(n->outputs[i], depth + 1, out);
}

evs_status evs__plan_explain(evs__plan *plan, evs__buffer *out, evs_error **reterr)
{
    /* one that was started has been checked */
    evs_status status = plan->frozen ? EVS_OK : evs__plan_check(plan, reterr);
    if (status)
        return status;
    evs__buffer_printf(out, "pipeline \"%s\"\n", plan->name);
    if (*plan->fingerprint)
        evs__buffer_printf(out, "  fingerprint: %s\n", plan->fingerprint);
    explain_options(plan, plan->config, 1, out);
    if (evs__plan_has_state(plan) && !evs_config_string(plan->config, "state.dir"))
        evs__buffer_text(out,
                         "  warning: no state.dir: what steps remember is lost with the process\n");
    for (uint32_t i = 0; i < plan->node_count; i++) {
        if (!plan->nodes[i]->input)
            explain_node(plan->nodes[i], 0, out);
    }
    if (!plan->dead_letters)
        evs__buffer_text(out, "dead letters: counted and logged\n");
    if (out->status)
        return evs__fail(plan->ctx, reterr, out->status, "explain: %s",
                         evs_status_text(out->status));
    return EVS_OK;
}
