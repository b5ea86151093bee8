/*
 * engine/aggregate.c: the table of aggregate functions, and the list "count(*) AS n, sum(x)" parsed
 * and typed against it.
 *
 * States are laid out one behind the other in the order of the list, each aligned; the row is a
 * multiple of the largest alignment, so that rows can stand in an array.
 */
#include "engine/aggregate.h"

#include <stdio.h>

#include "base/config.h"

/* functions of one name stand together; the first whose argument type fits is taken */
static const evs__aggregate_functions *const table[] = {
    &evs__agg_count_all,   &evs__agg_count,       &evs__agg_count_if,    &evs__agg_count_distinct,
    &evs__agg_sum_int,     &evs__agg_sum_double,  &evs__agg_sum_decimal, &evs__agg_avg_int,
    &evs__agg_avg_double,  &evs__agg_avg_decimal, &evs__agg_min_int,     &evs__agg_min_double,
    &evs__agg_min_decimal, &evs__agg_min_text,    &evs__agg_max_int,     &evs__agg_max_double,
    &evs__agg_max_decimal, &evs__agg_max_text,
};
#define TABLE_COUNT (sizeof(table) / sizeof(table[0]))

static bool same_word(const char *name, const char *text, size_t len)
{
    size_t i = 0;
    for (; i < len && name[i]; i++) {
        char c = text[i];
        c = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        if (c != name[i])
            return false;
    }
    return i == len && !name[i];
}

/* ---- errors ---- */

static evs_status fail_at(evs_context *ctx,
                          evs_error **reterr,
                          evs_status status,
                          const evs__ast *where,
                          const char *message)
{
    char origin[32];
    snprintf(origin, sizeof(origin), "column %u", where->position + 1);
    return evs__fail_at(ctx, reterr, status, origin, "%s", message);
}

/* the part of the list that `where` is, for messages */
static int text_len(const evs__ast *where)
{
    uint32_t len = where->end - where->position;
    return len > 60 ? 60 : (int)len;
}

static evs_status
fail_unknown(evs_context *ctx, const evs__ast_list *list, const evs__ast *ast, evs_error **reterr)
{
    const char *names[TABLE_COUNT], *close = NULL;
    char message[256];
    evs__buffer word;

    if (ast->kind != EVS__AST_CALL) {
        snprintf(message, sizeof(message),
                 "\"%.*s\": expected an aggregate (count, count_if, count_distinct, sum, avg, min, "
                 "max)",
                 text_len(ast), list->text + ast->position);
        return fail_at(ctx, reterr, EVS_ERR_EXPRESSION, ast, message);
    }
    for (size_t i = 0; i < TABLE_COUNT; i++)
        names[i] = table[i]->name;
    evs__buffer_init(&word, ctx, 256);
    evs__buffer_append(&word, ast->name, ast->name_len);
    if (evs__buffer_cstr(&word))
        close = evs__did_you_mean(evs__buffer_cstr(&word), names, TABLE_COUNT);
    evs__buffer_free(&word);
    snprintf(message, sizeof(message), "\"%.*s\" is not an aggregate%s%s%s",
             ast->name_len > 60 ? 60 : (int)ast->name_len, ast->name,
             close ? " (did you mean \"" : "", close ? close : "", close ? "\"?)" : "");
    return fail_at(ctx, reterr, EVS_ERR_EXPRESSION, ast, message);
}

/* ---- one aggregate ---- */

static const evs__aggregate_functions *find(const char *name, size_t len, const evs_type *arg)
{
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        bool fits = arg ? (table[i]->arg_types >> arg->id & 1) != 0 : !table[i]->arg_types;
        if (fits && same_word(table[i]->name, name, len))
            return table[i];
    }
    return NULL;
}

static bool name_is_known(const evs__ast *ast)
{
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        if (same_word(table[i]->name, ast->name, ast->name_len))
            return true;
    }
    return false;
}

/* count(DISTINCT x) is count_distinct(x) */
static evs_status function_name(evs_context *ctx,
                                const evs__ast_list *list,
                                const evs__ast *ast,
                                const char **ret_name,
                                size_t *ret_len,
                                evs_error **reterr)
{
    if (ast->kind != EVS__AST_CALL || !name_is_known(ast))
        return fail_unknown(ctx, list, ast, reterr);
    *ret_name = ast->name;
    *ret_len = ast->name_len;
    if (!ast->distinct)
        return EVS_OK;
    if (!same_word("count", ast->name, ast->name_len))
        return fail_at(ctx, reterr, EVS_ERR_EXPRESSION, ast, "DISTINCT is for count only");
    *ret_name = evs__agg_count_distinct.name;
    *ret_len = strlen(*ret_name);
    return EVS_OK;
}

static evs_status bind_function(evs_context *ctx,
                                const evs__ast_list *list,
                                const evs__ast *ast,
                                const evs_type *row,
                                evs__aggregate *a,
                                evs_error **reterr)
{
    bool star = ast->arg_count == 1 && ast->args && ast->args[0]->kind == EVS__AST_STAR;
    const char *name = NULL;
    size_t len = 0;
    char message[256];
    evs_status status = function_name(ctx, list, ast, &name, &len, reterr);

    if (status)
        return status;
    if (ast->arg_count != 1) {
        snprintf(message, sizeof(message), "%.*s takes one argument", (int)len, name);
        return fail_at(ctx, reterr, EVS_ERR_EXPRESSION, ast, message);
    }
    if (!star) {
        status = evs__expr_compile(ctx, list, ast->args[0], row, &a->arg, reterr);
        if (status)
            return status;
        a->arg_type = evs__expr_type(a->arg);
    }
    a->fn = find(name, len, a->arg_type);
    if (a->fn)
        return EVS_OK;
    snprintf(message, sizeof(message), "\"%.*s\": %.*s does not take %.100s", text_len(ast),
             list->text + ast->position, (int)len, name, star ? "*" : evs_type_print(a->arg_type));
    return fail_at(ctx, reterr, star ? EVS_ERR_EXPRESSION : EVS_ERR_TYPE, ast, message);
}

static evs_status bind_type(evs_context *ctx, evs__aggregate *a)
{
    bool nullable = !a->fn->keeps_null_arg && evs_type_is_nullable(a->arg_type);
    const evs_type *type = NULL;
    evs_status status;

    if (a->fn->type)
        status = a->fn->type(ctx, a->arg_type, &type);
    else
        status = evs__type_with_nullable(a->arg_type, false, &type);
    if (!status)
        status = evs__type_with_nullable(type, nullable, &a->type);
    if (!status && a->arg_type && type->scale > a->arg_type->scale)
        a->scale_up = type->scale - a->arg_type->scale;
    evs_type_unref(type);
    return status;
}

static evs_status bind_names(evs_context *ctx, const evs__ast_item *item, evs__aggregate *a)
{
    evs__buffer text;
    const char *canonical;
    evs_status status = EVS_ERR_NOMEM;

    evs__buffer_init(&text, ctx, 1 << 20);
    evs__ast_print(item->expr, &text);
    canonical = evs__buffer_cstr(&text);
    if (!canonical)
        goto out;
    a->text = evs__strdup(ctx, canonical);
    a->name = evs__strdup(ctx, item->alias ? item->alias : canonical);
    if (a->text && a->name)
        status = EVS_OK;
out:
    evs__buffer_free(&text);
    return status;
}

static void layout(evs__aggregates *all)
{
    uint32_t at = 0, align = 8;
    for (uint32_t i = 0; i < all->count; i++) {
        evs__aggregate *a = &all->items[i];
        at = (at + a->fn->align - 1) / a->fn->align * a->fn->align;
        a->offset = at;
        at += a->fn->size;
        align = a->fn->align > align ? a->fn->align : align;
        all->extra_free[i] = a->fn->extra_free;
    }
    all->stride = (at + align - 1) / align * align;
}

/* ---- the list ---- */

static evs_status
bind_all(evs__aggregates *all, const evs__ast_list *list, const evs_type *row, evs_error **reterr)
{
    evs_status status = EVS_OK;

    for (size_t i = 0; i < list->count && !status; i++) {
        evs__aggregate *a = &all->items[all->count++];
        status = bind_function(all->ctx, list, list->items[i].expr, row, a, reterr);
        if (status)
            return status;
        status = bind_type(all->ctx, a);
        if (!status)
            status = bind_names(all->ctx, &list->items[i], a);
    }
    return status ? evs__nomem(reterr) : EVS_OK;
}

evs_status evs__aggregates_parse(evs_context *ctx,
                                 const char *text,
                                 const evs_type *row,
                                 evs__aggregates *ret,
                                 evs_error **reterr)
{
    evs__aggregates all = {.ctx = ctx};
    evs__ast_list *list = NULL;
    evs_status status = evs__ast_parse(ctx, text, true, &list, reterr);

    if (status)
        goto out;
    if (list->count > EVS__AGGREGATES_MAX) {
        status = evs__fail(ctx, reterr, EVS_ERR_EXPRESSION, "%zu aggregates are more than %d",
                           list->count, EVS__AGGREGATES_MAX);
        goto out;
    }
    all.items = evs__calloc(ctx, list->count, sizeof(*all.items));
    all.extra_free = evs__calloc(ctx, list->count, sizeof(*all.extra_free));
    if (!all.items || !all.extra_free) {
        status = evs__nomem(reterr);
        goto out;
    }
    status = bind_all(&all, list, row, reterr);
    if (status)
        goto out;
    layout(&all);
    *ret = all;
    memset(&all, 0, sizeof(all));
out:
    evs__ast_free(list);
    evs__aggregates_free(&all);
    return status;
}

void evs__aggregates_free(evs__aggregates *all)
{
    if (!all->ctx)
        return;
    for (uint32_t i = 0; all->items && i < all->count; i++) {
        evs__aggregate *a = &all->items[i];
        evs__expr_free(a->arg);
        evs_type_unref(a->type);
        evs__free(all->ctx, (void *)a->name);
        evs__free(all->ctx, a->text);
    }
    evs__free(all->ctx, all->items);
    evs__free(all->ctx, all->extra_free);
    memset(all, 0, sizeof(*all));
}

/* ---- snapshots of states that are plain bytes ---- */

evs_status evs__aggregate_write(const evs__aggregate *a, const evs__agg_groups *g, evs__buffer *out)
{
    if (a->fn->write)
        return a->fn->write(a, g, out);
    for (uint32_t i = 0; i < g->n; i++)
        evs__buffer_append(out, evs__agg_state(g, i), a->fn->size);
    return out->status;
}

evs_status evs__aggregate_read(const evs__aggregate *a, const evs__agg_groups *g, evs__reader *in)
{
    if (a->fn->read)
        return a->fn->read(a, g, in);
    for (uint32_t i = 0; i < g->n; i++) {
        if (!evs__read(in, evs__agg_state(g, i), a->fn->size))
            return EVS_ERR_CORRUPT;
    }
    return EVS_OK;
}
