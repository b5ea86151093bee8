/*
 * plan/uses.c: which columns of a source something behind it needs, so that only those are decoded,
 * and whether its rows must have a time.
 *
 * Walked backwards: a sink, each, apply and a consumed late stream need every column; a projection
 * and a window need what their texts name; a filter, a dedup and the like, and an explode need that
 * and what their outputs need. Names are taken from the parsed texts, so an unknown name simply
 * marks nothing.
 */
#include "plan/plan.h"

static void mark(const evs_type *type, bool *used, const char *name, size_t len)
{
    int32_t at = evs_type_field_index(type, name, len);
    if (at >= 0)
        used[at] = true;
}

static void walk(const evs__ast *a, const evs_type *type, bool *used)
{
    if (a->kind == EVS__AST_COLUMN)
        mark(type, used, a->name, a->name_len);
    for (uint32_t i = 0; i < a->arg_count; i++) {
        if (a->args[i])
            walk(a->args[i], type, used);
    }
}

evs_status evs__plan_text_uses(
    evs_context *ctx, const char *text, const evs_type *type, bool *used, bool *star)
{
    evs__ast_list *list = NULL;
    evs_status status;

    if (!text || !*text)
        return EVS_OK;
    status = evs__ast_parse(ctx, text, true, &list, NULL);
    if (status)
        return status;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].expr->kind == EVS__AST_STAR)
            *star = true;
        walk(list->items[i].expr, type, used);
    }
    evs__ast_free(list);
    return EVS_OK;
}

/* ---- meta columns ---- */

static uint32_t meta_in_tree(const evs__ast *a)
{
    uint32_t mask = 0;
    for (int m = 0; a->kind == EVS__AST_COLUMN && m < EVS__META_COUNT; m++) {
        const char *name = evs__meta_name((evs__meta)m);
        if (strlen(name) == a->name_len && memcmp(name, a->name, a->name_len) == 0)
            mask |= 1u << m;
    }
    for (uint32_t i = 0; i < a->arg_count; i++) {
        if (a->args[i])
            mask |= meta_in_tree(a->args[i]);
    }
    return mask;
}

static evs_status meta_in_text(evs_context *ctx, const char *text, uint32_t *mask)
{
    evs__ast_list *list = NULL;
    evs_status status;

    if (!text || !strchr(text, '_'))
        return EVS_OK;
    status = evs__ast_parse(ctx, text, true, &list, NULL);
    /* a text that is wrong, or is no expression, is told where it is typed */
    if (status)
        return status == EVS_ERR_NOMEM ? status : EVS_OK;
    for (size_t i = 0; i < list->count; i++)
        *mask |= meta_in_tree(list->items[i].expr);
    evs__ast_free(list);
    return EVS_OK;
}

/* behind these the record's columns are gone, unless they name them; late rows have them still */
static bool hides_record(const evs__node *n, const evs__node *output)
{
    if (n->kind == EVS__NODE_WINDOW)
        return output->kind != EVS__NODE_LATE;
    return n->kind == EVS__NODE_PROJECT || n->kind == EVS__NODE_APPLY;
}

static evs_status meta_below(const evs__node *n, uint32_t *mask)
{
    evs_context *ctx = n->plan->ctx;
    evs_status status = EVS_OK;

    if (n->kind == EVS__NODE_FILTER || n->kind == EVS__NODE_PROJECT ||
        n->kind == EVS__NODE_SAMPLE || evs__node_is_staged(n)) {
        status = meta_in_text(ctx, n->text, mask);
        if (!status)
            status = meta_in_text(ctx, n->text2, mask);
    }
    for (uint32_t i = 0; !status && i < n->output_count; i++) {
        if (!hides_record(n, n->outputs[i]))
            status = meta_below(n->outputs[i], mask);
    }
    return status;
}

evs_status evs__plan_meta_uses(const evs__node *source, uint32_t *ret_mask)
{
    const char *time = evs_config_string(source->config, "event.time");
    evs_status status;

    *ret_mask = 0;
    status = meta_below(source, ret_mask);
    if (!status)
        status = meta_in_text(source->plan->ctx, time, ret_mask);
    return status;
}

/* ---- time ---- */

bool evs__plan_needs_time(const evs__node *n)
{
    if (n->kind == EVS__NODE_WINDOW)
        return n->window.time == EVS_TIME_EVENT;
    if (evs__node_is_staged(n))
        return true;
    if (n->kind == EVS__NODE_APPLY)
        return false;
    for (uint32_t i = 0; i < n->output_count; i++) {
        if (evs__plan_needs_time(n->outputs[i]))
            return true;
    }
    return false;
}

/* ---- push-down ---- */

static evs_status needs(const evs__node *n, const evs_type *type, bool *used);

static evs_status outputs_need(const evs__node *n, const evs_type *type, bool *used)
{
    evs_status status = EVS_OK;
    for (uint32_t i = 0; !status && i < n->output_count; i++)
        status = needs(n->outputs[i], type, used);
    return status;
}

static void all(const evs_type *type, bool *used)
{
    memset(used, 1, type->child_count * sizeof(*used));
}

/* an explode's outputs see the element's fields instead of the array: only names count */
static evs_status explode_needs(const evs__node *n, const evs_type *type, bool *used)
{
    bool *below = evs__calloc(n->plan->ctx, n->type->child_count + 1, sizeof(*below));
    bool star = false;
    evs_status status;

    if (!below)
        return EVS_ERR_NOMEM;
    status = outputs_need(n, n->type, below);
    for (uint32_t i = 0; !status && i < n->type->child_count; i++) {
        if (below[i])
            mark(type, used, n->type->children[i].name, strlen(n->type->children[i].name));
    }
    if (!status)
        status = evs__plan_text_uses(n->plan->ctx, n->text, type, used, &star);
    evs__free(n->plan->ctx, below);
    return status;
}

/* mark the columns of n's input that n and what is behind it need */
static evs_status needs(const evs__node *n, const evs_type *type, bool *used)
{
    evs_context *ctx = n->plan->ctx;
    bool star = false;
    evs_status status = EVS_OK;

    switch (n->kind) {
    case EVS__NODE_FILTER:
    case EVS__NODE_SAMPLE:
    case EVS__NODE_DEDUP:
    case EVS__NODE_LIMIT:
        status = evs__plan_text_uses(ctx, n->text, type, used, &star);
        if (!status)
            status = outputs_need(n, type, used);
        break;
    case EVS__NODE_EXPLODE:
        status = explode_needs(n, type, used);
        break;
    case EVS__NODE_PROJECT:
        status = evs__plan_text_uses(ctx, n->text, type, used, &star);
        break;
    case EVS__NODE_WINDOW:
        status = evs__plan_text_uses(ctx, n->text, type, used, &star);
        star = false;
        if (!status)
            status = evs__plan_text_uses(ctx, n->text2, type, used, &star);
        star = evs__node_late(n) != NULL;
        break;
    default:
        star = true;
    }
    if (star)
        all(type, used);
    return status;
}

/* the cheapest column to decode when none is needed: rows must exist */
static uint32_t cheapest(const evs_type *type, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (evs__type_width(type->children[i].type->id) >= 0)
            return i;
    }
    return 0;
}

static evs_status prune_source(evs__node *n, bool *used, evs_error **reterr)
{
    const char *time = evs_config_string(n->config, "event.time");
    evs_context *ctx = n->plan->ctx;
    uint32_t metas = (uint32_t)__builtin_popcount(n->meta_mask);
    uint32_t own = n->type->child_count - metas;
    evs__field *fields = NULL;
    const evs_type *wanted = NULL;
    bool star = false;
    uint32_t count = 0;
    evs_status status = outputs_need(n, n->type, used);

    if (!status)
        status = evs__plan_text_uses(ctx, time, n->type, used, &star);
    if (!status && !(fields = evs__calloc(ctx, own + 1, sizeof(*fields))))
        status = EVS_ERR_NOMEM;
    if (status)
        return evs__fail(ctx, reterr, status, "%s", evs_status_text(status));
    for (uint32_t i = 0; i < own; i++) {
        if (used[i])
            fields[count++] = n->type->children[i];
    }
    if (!count && own)
        fields[count++] = n->type->children[cheapest(n->type, own)];
    if (evs__type_struct(ctx, fields, count, false, &wanted)) {
        status = evs__nomem(reterr);
    } else {
        evs_type_unref(n->wanted);
        n->wanted = wanted;
    }
    evs__free(ctx, fields);
    return status;
}

evs_status evs__plan_prune(evs__plan *plan, evs_error **reterr)
{
    evs_status status = EVS_OK;
    for (uint32_t i = 0; !status && i < plan->node_count; i++) {
        evs__node *n = plan->nodes[i];
        bool *used;
        if (n->kind != EVS__NODE_SOURCE)
            continue;
        used = evs__calloc(plan->ctx, n->type->child_count + 1, sizeof(*used));
        if (!used)
            return evs__nomem(reterr);
        status = prune_source(n, used, reterr);
        evs__free(plan->ctx, used);
    }
    return status;
}
