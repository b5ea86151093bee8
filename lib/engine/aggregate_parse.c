/*
 * engine/aggregate_parse.c: the list "count(*) AS n, sum(DISTINCT x) FILTER (WHERE y > 0)" parsed
 * and typed against the table of aggregate.c.
 *
 *   f(x, y, 0.9) FILTER (WHERE c)
 *     x, y   as many columns as the function's rows in the table have; x picks the row by its type
 *     0.9    constants, checked against the function's own list of them
 *     c      since every aggregate leaves out rows whose first argument is NULL, the filter becomes
 *            part of it: f(CASE WHEN c THEN x END, y, 0.9); count(*) becomes count_if(c)
 *
 * DISTINCT is what the function says it is: nothing, another function, or a set of values in front
 * of it (aggregate_once.c).
 *
 * States are laid out one behind the other in the order of the list, each aligned; the row is a
 * multiple of the largest alignment, so that rows can stand in an array.
 */
#include <math.h>
#include <stdio.h>

#include "base/config.h"
#include "engine/aggregate.h"
#include "expr/ast.h"
#include "expr/functions.h"

#define MESSAGE_MAX 400

typedef struct binder {
    evs_context *ctx;
    evs__ast_list *list;
    const evs__ast *call; /* the item at hand */
    const evs_type *row;
    evs__aggregate *a;
    evs_error **reterr;
} binder;

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

static evs_status
fail_at(const binder *b, evs_status status, const evs__ast *where, const char *message)
{
    char origin[32];
    snprintf(origin, sizeof(origin), "column %u", where->position + 1);
    return evs__fail_at(b->ctx, b->reterr, status, origin, "%s", message);
}

/* `"topk(l, 0)": message` */
static evs_status
fail_call(const binder *b, evs_status status, const evs__ast *where, const char *message)
{
    const evs__ast *call = b->call;
    uint32_t len = call->end - call->position;
    char text[MESSAGE_MAX];
    const char *from = b->list->text + call->position;
    bool cut = len > 60;

    len = cut ? (uint32_t)evs__utf8_valid_prefix(from, 60) : len;
    snprintf(text, sizeof(text), "\"%.*s%s\": %s", (int)len, from, cut ? "..." : "", message);
    return fail_at(b, status, where, text);
}

static evs_status fail_unknown(const binder *b)
{
    const evs__ast *call = b->call;
    size_t count, hosts = 0;
    const evs__aggregate_functions *const *table = evs__aggregate_table(&count);
    const char **names, *close;
    char message[256];

    if (call->kind != EVS__AST_CALL)
        return fail_call(b, EVS_ERR_EXPRESSION, call,
                         "expected an aggregate (count, sum, avg, min, max, ...)");
    for (const evs__agg_host *h = evs__agg_hosts(b->ctx); h; h = evs__agg_host_next(h))
        hosts++;
    names = evs__calloc(b->ctx, count + hosts, sizeof(*names));
    if (!names)
        return evs__nomem(b->reterr);
    for (size_t i = 0; i < count; i++)
        names[i] = table[i]->name;
    for (const evs__agg_host *h = evs__agg_hosts(b->ctx); h; h = evs__agg_host_next(h))
        names[count++] = evs__agg_host_signature(h)->name;
    close = evs__did_you_mean(call->name, names, count);
    evs__free(b->ctx, (void *)names);
    snprintf(message, sizeof(message), "\"%.*s\" is not an aggregate%s%s%s",
             call->name_len > 60 ? 60 : (int)call->name_len, call->name,
             close ? " (did you mean \"" : "", close ? close : "", close ? "\"?)" : "");
    return fail_at(b, EVS_ERR_EXPRESSION, call, message);
}

/* ---- the function ---- */

static uint32_t column_args(const evs__aggregate_functions *f)
{
    return !f->arg_types ? 0 : f->arg2_types ? 2 : 1;
}

/* columns that the functions of a name take, count(*) aside; -1: no such name */
static int args_of(const char *name, size_t len)
{
    size_t count;
    const evs__aggregate_functions *const *table = evs__aggregate_table(&count);
    int args = -1;

    for (size_t i = 0; i < count; i++) {
        if (same_word(table[i]->name, name, len) && (int)column_args(table[i]) > args)
            args = (int)column_args(table[i]);
    }
    return args;
}

static bool type_fits(uint32_t types, const evs_type *type)
{
    return types >> type->id & 1;
}

static const evs__aggregate_functions *find(const char *name, size_t len, const evs__aggregate *a)
{
    size_t count;
    const evs__aggregate_functions *const *table = evs__aggregate_table(&count);

    for (size_t i = 0; i < count; i++) {
        const evs__aggregate_functions *f = table[i];
        if (!same_word(f->name, name, len) || column_args(f) != a->arg_count)
            continue;
        if ((a->arg_count < 1 || type_fits(f->arg_types, a->arg_types[0])) &&
            (a->arg_count < 2 || type_fits(f->arg2_types, a->arg_types[1])))
            return f;
    }
    return NULL;
}

/* CASE WHEN filter THEN x END */
static evs_status filtered(const binder *b, evs__ast *x, evs__ast **ret)
{
    evs__ast *parts[2] = {b->call->filter, x};
    evs_status status = evs__ast_node(b->list, EVS__AST_CASE, x->position, x->end, parts, 2, ret);

    if (status == EVS_ERR_LIMIT)
        return fail_call(b, EVS_ERR_EXPRESSION, x, "the expression is too deep");
    return status ? evs__nomem(b->reterr) : EVS_OK;
}

static evs_status compile_arg(binder *b, evs__ast *ast)
{
    evs__aggregate *a = b->a;
    evs_status status =
        evs__expr_compile(b->ctx, b->list, ast, b->row, &a->args[a->arg_count], b->reterr);

    if (status)
        return status;
    a->arg_types[a->arg_count] = evs__expr_type(a->args[a->arg_count]);
    a->arg_count++;
    a->arg_type = a->arg_types[0];
    return EVS_OK;
}

/* the filter alone first: faults in it are told as its own */
static evs_status check_filter(const binder *b)
{
    evs__expr *condition = NULL;
    evs_status status =
        evs__expr_compile(b->ctx, b->list, b->call->filter, b->row, &condition, b->reterr);

    if (!status && evs__expr_type(condition)->id != EVS_TYPE_BOOLEAN)
        status = fail_call(b, EVS_ERR_TYPE, b->call->filter, "a FILTER's condition is BOOLEAN");
    evs__expr_free(condition);
    return status;
}

static evs_status compile_args(binder *b, uint32_t count)
{
    evs_status status = b->call->filter ? check_filter(b) : EVS_OK;

    for (uint32_t i = 0; i < count && !status; i++) {
        evs__ast *arg = b->call->args[i];
        if (arg->kind == EVS__AST_STAR)
            return fail_call(b, EVS_ERR_EXPRESSION, arg, "* is for count only");
        if (i == 0 && b->call->filter)
            status = filtered(b, arg, &arg);
        if (!status)
            status = compile_arg(b, arg);
    }
    return status;
}

static evs_status fail_types(const binder *b)
{
    const evs__aggregate *a = b->a;
    char message[MESSAGE_MAX];

    if (a->arg_count > 1)
        snprintf(message, sizeof(message), "%.60s does not take %.100s and %.100s", b->call->name,
                 evs_type_print(a->arg_types[0]), evs_type_print(a->arg_types[1]));
    else
        snprintf(message, sizeof(message), "%.60s does not take %.100s", b->call->name,
                 evs_type_print(a->arg_types[0]));
    return fail_call(b, EVS_ERR_TYPE, b->call, message);
}

/* count(*), and with a filter count_if(condition) */
static evs_status bind_star(binder *b)
{
    const evs__ast *call = b->call;
    evs_status status;

    if (call->distinct || call->arg_count != 1 ||
        !same_word(evs__agg_count_all.name, call->name, call->name_len))
        return fail_call(b, EVS_ERR_EXPRESSION, call, "* is for count only");
    b->a->fn = &evs__agg_count_all;
    if (!call->filter)
        return EVS_OK;
    status = check_filter(b);
    if (!status)
        status = compile_arg(b, call->filter);
    b->a->fn = &evs__agg_count_if;
    return status;
}

/* one of the host's */
static evs_status bind_host(binder *b)
{
    const evs__host_function *signature = evs__agg_host_signature(b->a->host);
    char message[MESSAGE_MAX];
    evs_status status;

    if (b->call->arg_count != signature->arg_count) {
        snprintf(message, sizeof(message), "%.60s takes %zu argument%s", signature->name,
                 signature->arg_count, signature->arg_count == 1 ? "" : "s");
        return fail_call(b, EVS_ERR_EXPRESSION, b->call, message);
    }
    status = compile_args(b, b->call->arg_count);
    if (status)
        return status;
    if (!evs__agg_host_fits(b->a->host, b->a))
        return fail_types(b);
    b->a->fn = &evs__agg_host_functions;
    b->a->reason = evs__calloc(b->ctx, EVS__AGG_REASON_MAX, 1);
    return b->a->reason ? EVS_OK : evs__nomem(b->reterr);
}

static evs_status bind_function(binder *b)
{
    const evs__ast *call = b->call;
    char message[MESSAGE_MAX];
    int args;
    evs_status status;

    if (call->kind == EVS__AST_CALL)
        b->a->host = evs__agg_host_find(b->ctx, call->name);
    if (b->a->host)
        return bind_host(b);
    if (call->kind != EVS__AST_CALL || (args = args_of(call->name, call->name_len)) < 0)
        return fail_unknown(b);
    if (call->arg_count && call->args[0]->kind == EVS__AST_STAR)
        return bind_star(b);
    if (call->arg_count < (uint32_t)args) {
        snprintf(message, sizeof(message), "%.60s takes %s", call->name,
                 args == 1 ? "an argument" : "two arguments");
        return fail_call(b, EVS_ERR_EXPRESSION, call, message);
    }
    status = compile_args(b, (uint32_t)args);
    if (status)
        return status;
    b->a->fn = find(call->name, call->name_len, b->a);
    return b->a->fn ? EVS_OK : fail_types(b);
}

/* ---- constants ---- */

static evs_status
fail_param(const binder *b, const evs__ast *where, const evs__agg_param_info *info)
{
    char message[MESSAGE_MAX];

    if (info->kind == 's')
        snprintf(message, sizeof(message), "%s must be a text of at most %.0f bytes", info->name,
                 info->max);
    else
        snprintf(message, sizeof(message), "%s must be a %s from %.15g to %.15g", info->name,
                 info->kind == 'i' ? "whole number" : "number", info->min, info->max);
    return fail_call(b, EVS_ERR_EXPRESSION, where, message);
}

/* whether the literal is what the function wants */
static bool read_param(const evs__ast *lit, const evs__agg_param_info *info, evs__agg_param *p)
{
    if (lit->kind != EVS__AST_LITERAL || !lit->type)
        return false;
    if (info->kind == 's') {
        p->len = lit->text_len;
        return lit->type->id == EVS_TYPE_VARCHAR && (double)p->len <= info->max;
    }
    switch (lit->type->id) {
    case EVS_TYPE_INT:
    case EVS_TYPE_BIGINT:
        p->integer = (int64_t)lit->integer;
        p->number = (double)lit->integer;
        break;
    case EVS_TYPE_DECIMAL:
        p->number = evs__decimal_to_double(lit->integer, lit->type->scale);
        break;
    case EVS_TYPE_DOUBLE:
        p->number = lit->number;
        break;
    default:
        return false;
    }
    if (info->kind == 'i' && lit->type->id != EVS_TYPE_INT && lit->type->id != EVS_TYPE_BIGINT)
        return false;
    return p->number >= info->min && p->number <= info->max;
}

static evs_status bind_params(binder *b)
{
    static const evs__agg_param_info none[] = {{.name = NULL}};
    const evs__agg_param_info *info = b->a->fn->params ? b->a->fn->params : none;
    evs__aggregate *a = b->a;
    char message[MESSAGE_MAX];
    uint32_t i = b->call->args[0]->kind == EVS__AST_STAR ? 1 : a->arg_count;

    for (; i < b->call->arg_count; i++) {
        const evs__ast *lit = b->call->args[i];
        evs__agg_param *p = &a->params[a->param_count];
        if (!info->name || a->param_count == EVS__AGG_PARAMS_MAX) {
            snprintf(message, sizeof(message), "%s has too many arguments (%s)", a->fn->name,
                     a->fn->usage);
            return fail_call(b, EVS_ERR_EXPRESSION, lit, message);
        }
        if (!read_param(lit, info, p))
            return fail_param(b, lit, info);
        if (info->kind == 's' && !(p->text = evs__strndup(b->ctx, lit->text, lit->text_len)))
            return evs__nomem(b->reterr);
        a->param_count++;
        info += !info->many;
    }
    if (!info->name || info->optional || (info->many && a->param_count))
        return EVS_OK;
    snprintf(message, sizeof(message), "%s is missing (%s)", info->name, a->fn->usage);
    return fail_call(b, EVS_ERR_EXPRESSION, b->call, message);
}

/* ---- DISTINCT ---- */

static evs_status bind_distinct(binder *b)
{
    evs__aggregate *a = b->a;
    char message[MESSAGE_MAX];

    if (!b->call->distinct)
        return EVS_OK;
    switch (a->fn->distinct) {
    case EVS__DISTINCT_ONCE:
        break;
    case EVS__DISTINCT_SAME:
        return EVS_OK;
    case EVS__DISTINCT_AS:
        a->fn = a->fn->distinct_as;
        return EVS_OK;
    case EVS__DISTINCT_NEVER:
        snprintf(message, sizeof(message), "DISTINCT has no meaning for %s", a->fn->name);
        return fail_call(b, EVS_ERR_EXPRESSION, b->call, message);
    }
    a->inner = evs__calloc(b->ctx, 1, sizeof(*a->inner));
    if (!a->inner)
        return evs__nomem(b->reterr);
    return EVS_OK;
}

/* the set stands in front of the finished function */
static void wrap_distinct(evs__aggregate *a)
{
    evs__aggregate *inner = a->inner;

    if (!inner)
        return;
    *inner = *a;
    inner->inner = NULL;
    evs__agg_once_wrap(a);
}

/* ---- result ---- */

static evs_status bind_type(evs_context *ctx, evs__aggregate *a)
{
    bool nullable = a->fn->may_be_null;
    const evs_type *type = NULL;
    evs_status status;

    for (uint32_t i = 0; i < a->arg_count && !a->fn->keeps_null_arg; i++)
        nullable = nullable || evs_type_is_nullable(a->arg_types[i]);
    if (a->fn->type)
        status = a->fn->type(ctx, a, &type);
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
        at = (at + a->align - 1) / a->align * a->align;
        a->offset = at;
        at += a->size;
        align = a->align > align ? a->align : align;
        all->extra_free[i] = a->fn->extra_free;
    }
    all->stride = (at + align - 1) / align * align;
}

/* ---- the list ---- */

static evs_status bind_item(binder *b, const evs__ast_item *item)
{
    evs__aggregate *a = b->a;
    evs_status status = bind_function(b);

    if (!status)
        status = bind_params(b);
    if (!status)
        status = bind_distinct(b);
    if (status)
        return status;
    a->size = a->fn->size;
    a->align = a->fn->align;
    if (bind_type(b->ctx, a) || bind_names(b->ctx, item, a))
        return evs__nomem(b->reterr);
    wrap_distinct(a);
    return EVS_OK;
}

static evs_status
bind_all(evs__aggregates *all, evs__ast_list *list, const evs_type *row, evs_error **reterr)
{
    evs_status status = EVS_OK;

    for (size_t i = 0; i < list->count && !status; i++) {
        evs__aggregate *a = &all->items[all->count++];
        binder b = {all->ctx, list, list->items[i].expr, row, a, reterr};
        a->arrivals = all->arrivals;
        a->column = all->column_count;
        status = bind_item(&b, &list->items[i]);
        all->column_count += a->arg_count;
    }
    return status;
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
    all.arrivals = evs__calloc(ctx, 1, sizeof(*all.arrivals));
    if (!all.items || !all.extra_free || !all.arrivals) {
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
        for (uint32_t k = 0; k < a->arg_count; k++)
            evs__expr_free(a->args[k]);
        for (uint32_t k = 0; k < a->param_count; k++)
            evs__free(all->ctx, a->params[k].text);
        evs_type_unref(a->type);
        evs__free(all->ctx, (void *)a->name);
        evs__free(all->ctx, a->text);
        evs__free(all->ctx, a->inner);
        evs__free(all->ctx, a->reason);
    }
    evs__free(all->ctx, all->items);
    evs__free(all->ctx, all->extra_free);
    evs__free(all->ctx, all->arrivals);
    memset(all, 0, sizeof(*all));
}
