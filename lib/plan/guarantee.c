/*
 * plan/guarantee.c: what each sink of a plan really gives.
 *
 * One transactional sink is the authority: its own transaction holds results, epoch and offsets,
 * and the results of other sinks when they share it. Everything beside it is repeated after a crash
 * between two commits, so the others must take the same result twice without a change (idempotent)
 * or show nothing before the commit (two-phase); else they give at least once, as host code and
 * dead letters always do. Nothing of this holds when state dies with the process or the source
 * cannot be read again.
 */
#include "plan/plan.h"

static bool is_late(const evs__node *n)
{
    for (; n; n = n->input) {
        if (n->kind == EVS__NODE_LATE)
            return true;
    }
    return false;
}

const evs__node *evs__plan_authority(const evs__plan *plan)
{
    const evs__node *late = NULL;
    for (uint32_t i = 0; i < plan->node_count; i++) {
        const evs__node *n = plan->nodes[i];
        if (n->kind != EVS__NODE_SINK || !n->connector || !n->connector->sink ||
            n->connector->sink->guarantee != EVS_GUARANTEE_TRANSACTIONAL)
            continue;
        if (!is_late(n))
            return n;
        late = late ? late : n;
    }
    return late;
}

static bool has_state_above(const evs__node *n, bool *processing_time)
{
    bool found = false;
    for (; n; n = n->input) {
        if (!evs__node_is_staged(n))
            continue;
        found = true;
        if (n->kind == EVS__NODE_WINDOW && n->window.time == EVS_TIME_PROCESSING)
            *processing_time = true;
    }
    return found;
}

/* what came after the first release may be missing in a host's connector */
static bool shares_transaction(const evs__node *a, const evs__node *b)
{
    const evs_sink_functions *f = a->connector->sink;
    if (b->connector->sink != f || f->struct_size < offsetof(evs_sink_functions, refused) ||
        !f->shares_transaction)
        return false;
    return f->shares_transaction(a->config, b->config);
}

static evs_guarantee of_sink(const evs__node *n, bool processing_time, const char **ret_why)
{
    const evs__node *authority;
    switch (n->connector->sink->guarantee) {
    case EVS_GUARANTEE_TRANSACTIONAL:
        authority = evs__plan_authority(n->plan);
        if (authority == n) {
            *ret_why = "results, epoch and offsets are one transaction of this sink";
            return EVS_GUARANTEE_TRANSACTIONAL;
        }
        if (shares_transaction(authority, n)) {
            *ret_why = "results are in the transaction that holds epoch and offsets";
            return EVS_GUARANTEE_TRANSACTIONAL;
        }
        *ret_why = "another sink's transaction is the authority";
        return EVS_GUARANTEE_AT_LEAST_ONCE;
    case EVS_GUARANTEE_IDEMPOTENT:
        if (processing_time) {
            *ret_why = "windows of processing time differ after a replay";
            return EVS_GUARANTEE_AT_LEAST_ONCE;
        }
        *ret_why = "writing the same result again changes nothing";
        return EVS_GUARANTEE_IDEMPOTENT;
    case EVS_GUARANTEE_TWO_PHASE:
        *ret_why = "results become visible with the commit";
        return EVS_GUARANTEE_TWO_PHASE;
    default:
        *ret_why = "this sink cannot tell a repeated row";
        return EVS_GUARANTEE_AT_LEAST_ONCE;
    }
}

evs_guarantee evs__plan_guarantee(const evs__node *node, const char **ret_why)
{
    const evs__node *root = evs__node_root(node);
    bool processing_time = false;
    bool state = has_state_above(node, &processing_time);

    if (root->kind == EVS__NODE_SOURCE && !root->connector->source->seek) {
        *ret_why = "the source cannot be read again: at most once";
        return EVS__GUARANTEE_NONE;
    }
    if (state && !evs_config_string(node->plan->config, "state.dir")) {
        *ret_why = "without state.dir what steps remember is lost with the process";
        return EVS__GUARANTEE_NONE;
    }
    if (node->kind == EVS__NODE_EACH) {
        *ret_why = "the host's code runs outside of any transaction";
        return EVS_GUARANTEE_AT_LEAST_ONCE;
    }
    if (node->kind == EVS__NODE_DEAD_LETTERS) {
        *ret_why = "dead letters are written outside of the commit";
        return EVS_GUARANTEE_AT_LEAST_ONCE;
    }
    return of_sink(node, processing_time, ret_why);
}
