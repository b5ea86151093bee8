/*
 * plan/plan.c: the nodes of a plan and their memory.
 *
 * A node is owned by plan->nodes and never moves. Names are made as "filter_1", "window_2", one
 * count a kind. After a failure of a builder call the plan has one error stream, which swallows
 * everything that is built on it.
 */
#include <stdio.h>

#include "plan/plan.h"

static const char *const kind_names[EVS__NODE_KINDS] = {
    "error", "source", "filter", "project", "explode", "apply", "sample",       "dedup",
    "limit", "top",    "window", "late",    "sink",    "each",  "dead_letters",
};

const char *evs__node_kind_name(evs__node_kind kind)
{
    return kind_names[kind];
}

static void node_free(evs_context *ctx, evs__node *n)
{
    if (!n)
        return;
    evs__free(ctx, n->name);
    evs__free(ctx, n->outputs);
    evs__free(ctx, n->text);
    evs__free(ctx, n->text2);
    evs__free(ctx, n->zone);
    evs__free(ctx, n->connector_name);
    evs_options_unref(n->options);
    evs_schema_unref(n->given_schema);
    evs__config_unref(n->config);
    evs_schema_unref(n->schema);
    evs_type_unref(n->type);
    evs_type_unref(n->late_type);
    evs_type_unref(n->wanted);
    evs__free(ctx, n);
}

evs_status evs__plan_init(
    evs__plan *plan, evs_context *ctx, const char *name, evs__plan_find_fn find, evs_error **reterr)
{
    *plan = (evs__plan){.ctx = evs_context_ref(ctx), .find = find};
    plan->name = evs__strdup(ctx, name);
    plan->error_stream = evs__calloc(ctx, 1, sizeof(*plan->error_stream));
    if (!plan->name || !plan->error_stream || evs_options_new(ctx, &plan->options, NULL)) {
        evs__plan_free(plan);
        return evs__nomem(reterr);
    }
    plan->error_stream->plan = plan;
    return EVS_OK;
}

void evs__plan_free(evs__plan *plan)
{
    evs_context *ctx = plan->ctx;
    if (!ctx)
        return;
    for (uint32_t i = 0; i < plan->node_count; i++)
        node_free(ctx, plan->nodes[i]);
    for (uint32_t i = 0; i < plan->kept_count; i++)
        evs_type_unref(plan->kept[i]);
    evs__free(ctx, plan->nodes);
    evs__free(ctx, plan->kept);
    evs__free(ctx, plan->name);
    node_free(ctx, plan->error_stream);
    evs_options_unref(plan->options);
    evs__config_unref(plan->config);
    evs_error_unref(plan->error);
    *plan = (evs__plan){0};
    evs_context_unref(ctx);
}

static evs_status add_output(evs__node *input, evs__node *output)
{
    evs__node **outputs = evs__realloc_array(input->plan->ctx, input->outputs,
                                             input->output_count + 1, sizeof(*outputs));
    if (!outputs)
        return EVS_ERR_NOMEM;
    input->outputs = outputs;
    outputs[input->output_count++] = output;
    return EVS_OK;
}

static evs_status nodes_reserve(evs__plan *plan, evs_error **reterr)
{
    evs__node **nodes;
    uint32_t capacity = plan->node_capacity ? plan->node_capacity * 2 : 8;
    if (plan->node_count == EVS__PLAN_NODES_MAX)
        return evs__fail(plan->ctx, reterr, EVS_ERR_LIMIT, "more than %d steps",
                         EVS__PLAN_NODES_MAX);
    if (plan->node_count < plan->node_capacity)
        return EVS_OK;
    nodes = evs__realloc_array(plan->ctx, plan->nodes, capacity, sizeof(*nodes));
    if (!nodes)
        return evs__nomem(reterr);
    plan->nodes = nodes;
    plan->node_capacity = capacity;
    return EVS_OK;
}

static bool name_is_taken(const evs__plan *plan, const char *name)
{
    for (uint32_t i = 0; i < plan->node_count; i++) {
        if (strcmp(plan->nodes[i]->name, name) == 0)
            return true;
    }
    return false;
}

/* "filter_1"; hosts may have given that name to another step */
static char *make_name(const evs__plan *plan, evs__node_kind kind)
{
    char name[40];
    uint32_t number = plan->kind_counts[kind];
    if (kind == EVS__NODE_DEAD_LETTERS)
        return evs__strdup(plan->ctx, kind_names[kind]);
    do
        snprintf(name, sizeof(name), "%s_%u", kind_names[kind], ++number);
    while (name_is_taken(plan, name));
    return evs__strdup(plan->ctx, name);
}

evs__node *evs__plan_add(evs__plan *plan, evs__node_kind kind, evs__node *input, evs_error **reterr)
{
    evs_context *ctx = plan->ctx;
    evs__node *n = NULL;

    if (nodes_reserve(plan, reterr))
        return NULL;
    n = evs__calloc(ctx, 1, sizeof(*n));
    if (!n || !(n->name = make_name(plan, kind)))
        goto nomem;
    n->plan = plan;
    n->kind = kind;
    n->input = input;
    n->index = plan->node_count;
    if (input && add_output(input, n))
        goto nomem;
    plan->nodes[plan->node_count++] = n;
    plan->kind_counts[kind]++;
    plan->resolved = false;
    return n;
nomem:
    node_free(ctx, n);
    evs__nomem(reterr);
    return NULL;
}

void evs__plan_drop_last(evs__plan *plan)
{
    evs__node *n = plan->nodes[--plan->node_count];
    plan->kind_counts[n->kind]--;
    if (n->input)
        n->input->output_count--;
    if (plan->dead_letters == n)
        plan->dead_letters = NULL;
    node_free(plan->ctx, n);
}

void evs__node_prefix(const evs__node *node, evs_error **reterr)
{
    static const char begin[] = "step \"";
    if (reterr && strncmp(evs_error_message(*reterr), begin, sizeof(begin) - 1) != 0)
        evs_error_prefix(node->plan->ctx, reterr, "step \"%s\": ", node->name);
}

const evs__node *evs__node_root(const evs__node *node)
{
    while (node->input)
        node = node->input;
    return node;
}

evs__node *evs__node_late(const evs__node *window)
{
    for (uint32_t i = 0; i < window->output_count; i++) {
        evs__node *late = window->outputs[i];
        if (late->kind == EVS__NODE_LATE && late->output_count)
            return late;
    }
    return NULL;
}

bool evs__node_is_staged(const evs__node *n)
{
    return n->kind >= EVS__NODE_DEDUP && n->kind <= EVS__NODE_WINDOW;
}

bool evs__plan_has_state(const evs__plan *plan)
{
    for (uint32_t i = 0; i < plan->node_count; i++) {
        if (evs__node_is_staged(plan->nodes[i]))
            return true;
    }
    return false;
}
