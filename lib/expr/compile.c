/*
 * expr/compile.c: tree to typed nodes.
 *
 * One pass, bottom up: arguments first, then the casts that bring them to one type, then the node.
 * What has only constants below it is evaluated at once, so a column is compared with a ready value
 * and a bad literal is a fault of the text, told with its position, instead of one of every row
 * (also in a branch of CASE that no row would take). Strict operators over the literal NULL are
 * NULL without looking at the other side.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/config.h"
#include "expr/ast.h"
#include "expr/compile.h"

/* ---- faults ---- */

evs_status evs__compile_nomem(evs__compiler *c)
{
    return evs__nomem(c->reterr);
}

evs_status
evs__compile_fault(evs__compiler *c, uint32_t position, evs_status status, const char *format, ...)
{
    char origin[32], message[768];
    va_list ap;

    snprintf(origin, sizeof(origin), "column %u", position + 1);
    va_start(ap, format);
    vsnprintf(message, sizeof(message), format, ap);
    va_end(ap);
    message[evs__utf8_valid_prefix(message, strlen(message))] = '\0';
    return evs__fail_at(c->ctx, c->reterr, status, origin, "%s", message);
}

/* `unknown field "pagee" (did you mean "page"?); fields are ...` */
static evs_status unknown_field(evs__compiler *c, const evs__ast *a, const evs_type *type)
{
    const char **names = evs__calloc(c->ctx, type->child_count + 1u, sizeof(*names));
    const char *hint;
    evs__buffer text;
    evs_status status;

    if (!names)
        return evs__compile_nomem(c);
    for (uint32_t i = 0; i < type->child_count; i++)
        names[i] = type->children[i].name;
    hint = evs__did_you_mean(a->name, names, type->child_count);
    evs__free(c->ctx, (void *)names);
    evs__buffer_init(&text, c->ctx, 4096);
    evs__buffer_printf(&text, "unknown field \"%s\"", a->name);
    if (hint)
        evs__buffer_printf(&text, " (did you mean \"%s\"?)", hint);
    evs__buffer_text(&text, "; ");
    evs__type_list_fields(type, &text);
    if (text.status == EVS_ERR_NOMEM)
        status = evs__compile_nomem(c);
    else
        status = evs__compile_fault(c, a->position, EVS_ERR_EXPRESSION, "%s",
                                    text.status ? "unknown field" : evs__buffer_cstr(&text));
    evs__buffer_free(&text);
    return status;
}

/* ---- nodes ---- */

evs_status evs__term_new(evs__compiler *c,
                         uint32_t position,
                         evs__term_fn eval,
                         const evs_type *type,
                         evs__term *const *args,
                         size_t count,
                         evs__term **ret)
{
    evs__term *n = evs__calloc(c->ctx, 1, sizeof(*n));

    if (!n)
        return evs__compile_nomem(c);
    n->next = c->expr->nodes;
    c->expr->nodes = n;
    n->eval = eval;
    n->position = position;
    n->type = evs_type_ref(type);
    if (count) {
        n->args = evs__realloc_array(c->ctx, NULL, count, sizeof(*n->args));
        if (!n->args)
            return evs__compile_nomem(c);
        memcpy(n->args, args, count * sizeof(*n->args));
        n->arg_count = (uint32_t)count;
    }
    for (size_t i = 0; i < count; i++)
        n->partial |= args[i] && args[i]->partial;
    *ret = n;
    return EVS_OK;
}

typedef struct fold_failure {
    evs_status status;
    char why[256];
} fold_failure;

static void note_failure(void *user_data, uint32_t row, evs_status status, const char *message)
{
    fold_failure *f = user_data;
    const char *where = strstr(message, " (column ");
    (void)row;
    f->status = status;
    snprintf(f->why, sizeof(f->why), "%.*s", where ? (int)(where - message) : (int)strlen(message),
             message);
}

evs_status evs__fold(evs__compiler *c, evs__term *n)
{
    static const evs__rows one = {NULL, 1, 1};
    fold_failure failure = {EVS_OK, ""};
    evs__eval ev = {c->expr, NULL, note_failure, &failure};
    evs__column *value = NULL;
    evs_status status;

    for (uint32_t i = 0; i < n->arg_count; i++) {
        if (!n->args[i]->constant)
            return EVS_OK;
    }
    c->expr->any_failed = false;
    status = evs__term_eval(&ev, n, &one, &value);
    if (status)
        return evs__compile_nomem(c);
    if (failure.status)
        return evs__compile_fault(c, n->position, EVS_ERR_EXPRESSION, "%s", failure.why);
    if (value != n->out) {
        evs__column_unref(n->out);
        n->out = evs__column_ref(value);
    }
    n->eval = evs__eval_constant;
    n->constant = true;
    n->partial = false;
    return EVS_OK;
}

evs_status evs__finish_strict(evs__compiler *c, evs__term *n)
{
    for (uint32_t i = 0; i < n->arg_count; i++) {
        if (!evs__is_null_constant(n->args[i]))
            continue;
        if (!n->type->nullable) {
            const evs_type *type = NULL;
            if (evs__type_with_nullable(n->type, true, &type))
                return evs__compile_nomem(c);
            evs_type_unref(n->type);
            n->type = type;
        }
        if (evs__column_new(c->ctx, n->type, EVS_LAYOUT_OWNED, 1, &n->out) ||
            evs__column_append_null(n->out))
            return evs__compile_nomem(c);
        n->eval = evs__eval_constant;
        n->constant = true;
        n->partial = false;
        return EVS_OK;
    }
    return evs__fold(c, n);
}

bool evs__any_nullable(evs__term *const *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!nodes[i]->type || nodes[i]->type->nullable)
            return true;
    }
    return false;
}

/* a BOOLEAN over args, strict */
evs_status evs__boolean(evs__compiler *c,
                        uint32_t position,
                        evs__term_fn eval,
                        evs__op op,
                        evs__term *const *args,
                        size_t count,
                        evs__term **ret)
{
    const evs_type *type = evs__simple_type(c, EVS_TYPE_BOOLEAN, evs__any_nullable(args, count));
    evs_status status;

    if (!type)
        return evs__compile_nomem(c);
    status = evs__term_new(c, position, eval, type, args, count, ret);
    if (!status)
        (*ret)->op = op;
    return status;
}

/* `n` once, for all uses of *ret_local; *ret_let NULL: it can simply be used again */
evs_status evs__let(evs__compiler *c, evs__term *n, evs__term **ret_let, evs__term **ret_local)
{
    evs__term *args[2] = {n, NULL};
    evs_status status;

    *ret_let = NULL;
    *ret_local = n;
    if (n->constant || n->eval == evs__eval_column)
        return EVS_OK;
    status = evs__term_new(c, n->position, evs__eval_let, NULL, args, 2, ret_let);
    if (!status)
        status = evs__term_new(c, n->position, evs__eval_local, n->type, NULL, 0, ret_local);
    if (!status)
        (*ret_local)->state = *ret_let;
    return status;
}

evs__term *evs__let_body(evs__term *let_node, evs__term *body)
{
    if (!let_node)
        return body;
    let_node->args[1] = body;
    let_node->type = evs_type_ref(body->type);
    let_node->partial |= body->partial;
    return let_node;
}

/* ---- leaves ---- */

static evs_status fill_literal(evs__column *out, const evs__ast *a)
{
    switch (out->type->id) {
    case EVS_TYPE_BOOLEAN:
        evs__column_append_bool(out, a->integer != 0);
        break;
    case EVS_TYPE_INT:
    case EVS_TYPE_DATE:
    case EVS_TYPE_TIME:
        evs__column_append_i32(out, (int32_t)a->integer);
        break;
    case EVS_TYPE_DECIMAL:
        evs__column_append_i128(out, a->integer);
        break;
    case EVS_TYPE_DOUBLE:
        evs__column_append_f64(out, a->number);
        break;
    case EVS_TYPE_VARCHAR:
        return evs__column_append_str(out, a->text, a->text_len);
    default:
        evs__column_append_i64(out, (int64_t)a->integer);
        break;
    }
    return EVS_OK;
}

static evs_status compile_literal(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    const evs_type *type = NULL;
    evs__term *n = NULL;
    evs_status status;

    if (a->type && evs__type_with_nullable(a->type, false, &type))
        return evs__compile_nomem(c);
    status = evs__term_new(c, a->position, evs__eval_constant, type, NULL, 0, &n);
    evs_type_unref(type);
    if (status)
        return status;
    n->constant = true;
    if (n->type &&
        (evs__column_new(c->ctx, n->type, EVS_LAYOUT_OWNED, 1, &n->out) || fill_literal(n->out, a)))
        return evs__compile_nomem(c);
    *ret = n;
    return EVS_OK;
}

static evs_status compile_column(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    int32_t index = evs_type_field_index(c->row, a->name, a->name_len);
    evs_status status;

    if (index < 0)
        return unknown_field(c, a, c->row);
    status =
        evs__term_new(c, a->position, evs__eval_column, c->row->children[index].type, NULL, 0, ret);
    if (!status)
        (*ret)->index = (uint32_t)index;
    return status;
}

static evs_status compile_field(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    evs__term *of = NULL;
    const evs_type *type = NULL;
    int32_t index;
    evs_status status = evs__compile(c, a->args[0], &of);

    if (status)
        return status;
    if (!of->type || of->type->id != EVS_TYPE_STRUCT)
        return evs__compile_fault(c, a->position, EVS_ERR_TYPE,
                                  "\".%s\" needs a STRUCT, this is %.*s", a->name,
                                  evs__term_type_len(of), evs__term_type_text(of));
    index = evs_type_field_index(of->type, a->name, a->name_len);
    if (index < 0)
        return unknown_field(c, a, of->type);
    type = of->type->children[index].type;
    if (evs__type_with_nullable(type, type->nullable || of->type->nullable, &type))
        return evs__compile_nomem(c);
    status = evs__term_new(c, a->position, evs__eval_field, type, &of, 1, ret);
    evs_type_unref(type);
    if (!status)
        (*ret)->index = (uint32_t)index;
    return status;
}

static evs_status compile_index(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    evs__term *args[2] = {NULL, NULL};
    const evs_type *type = NULL, *key;
    bool map;
    evs_status status = evs__compile(c, a->args[0], &args[0]);

    if (!status)
        status = evs__compile(c, a->args[1], &args[1]);
    if (status)
        return status;
    map = args[0]->type && args[0]->type->id == EVS_TYPE_MAP;
    if (!args[0]->type || (args[0]->type->id != EVS_TYPE_ARRAY && !map))
        return evs__compile_fault(c, a->position, EVS_ERR_TYPE,
                                  "[] needs an ARRAY or a MAP, this is %.*s",
                                  evs__term_type_len(args[0]), evs__term_type_text(args[0]));
    key = evs__simple_type(c, map ? EVS_TYPE_VARCHAR : EVS_TYPE_BIGINT, true);
    if (!key)
        return evs__compile_nomem(c);
    if (evs__implicit_cost(args[1], key) < 0)
        return evs__compile_fault(c, a->args[1]->position, EVS_ERR_TYPE,
                                  map ? "a MAP's key is a VARCHAR, this is %.*s"
                                      : "an ARRAY's index is an INT or BIGINT, this is %.*s",
                                  evs__term_type_len(args[1]), evs__term_type_text(args[1]));
    status = evs__coerce(c, args[1], key, &args[1]);
    if (status)
        return status;
    if (evs__type_with_nullable(evs_type_child(args[0]->type, map ? 1 : 0), true, &type))
        return evs__compile_nomem(c);
    status = evs__term_new(c, a->position, map ? evs__eval_map_value : evs__eval_element, type,
                           args, 2, ret);
    evs_type_unref(type);
    if (!status)
        (*ret)->partial = true;
    return status;
}

/* ---- the whole ---- */

evs_status evs__compile(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    switch (a->kind) {
    case EVS__AST_LITERAL:
        return compile_literal(c, a, ret);
    case EVS__AST_COLUMN:
        return compile_column(c, a, ret);
    case EVS__AST_FIELD:
        return compile_field(c, a, ret);
    case EVS__AST_INDEX:
        return compile_index(c, a, ret);
    case EVS__AST_UNARY:
        return evs__compile_unary(c, a, ret);
    case EVS__AST_BINARY:
        return evs__compile_binary(c, a, ret);
    case EVS__AST_IS_NULL:
        return evs__compile_is_null(c, a, ret);
    case EVS__AST_IN:
        return evs__compile_in(c, a, ret);
    case EVS__AST_BETWEEN:
        return evs__compile_between(c, a, ret);
    case EVS__AST_LIKE:
        return evs__compile_like(c, a, ret);
    case EVS__AST_CASE:
        return evs__compile_case(c, a, ret);
    case EVS__AST_CAST:
        return evs__compile_cast(c, a, ret);
    case EVS__AST_CALL:
        return evs__compile_call(c, a, ret);
    case EVS__AST_STAR:
        break;
    }
    return evs__compile_fault(c, a->position, EVS_ERR_EXPRESSION, "\"*\" has no place here");
}

evs_status evs__expr_compile(evs_context *ctx,
                             const evs__ast_list *list,
                             const evs__ast *ast,
                             const evs_type *row,
                             evs__expr **ret,
                             evs_error **reterr)
{
    evs__expr *e = evs__calloc(ctx, 1, sizeof(*e));
    evs__compiler c = {ctx, e, row, reterr};
    const evs_type *any;
    evs_status status;

    (void)list;
    if (!e)
        return evs__nomem(reterr);
    e->ctx = evs_context_ref(ctx);
    e->row = evs_type_ref(row);
    evs__buffer_init(&e->text, ctx, EVS__EXPR_TEXT_MAX);
    status = evs__compile(&c, ast, &e->root);
    if (!status && !e->root->type) { /* just NULL */
        any = evs__simple_type(&c, EVS_TYPE_VARCHAR, true);
        status = any ? evs__coerce(&c, e->root, any, &e->root) : evs__nomem(reterr);
    }
    if (status) {
        evs__expr_free(e);
        return status;
    }
    *ret = e;
    return EVS_OK;
}

evs_status evs__expr_new(
    evs_context *ctx, const char *text, const evs_type *row, evs__expr **ret, evs_error **reterr)
{
    evs__ast_list *list = NULL;
    evs_status status = evs__ast_parse(ctx, text, false, &list, reterr);

    if (!status)
        status = evs__expr_compile(ctx, list, list->items[0].expr, row, ret, reterr);
    evs__ast_free(list);
    return status;
}

void evs__expr_free(evs__expr *e)
{
    evs_context *ctx;

    if (!e)
        return;
    ctx = e->ctx;
    while (e->nodes) {
        evs__term *n = e->nodes;
        e->nodes = n->next;
        evs__column_unref(n->out);
        evs_type_unref(n->type);
        if (n->free_state && n->state)
            n->free_state(ctx, n->state);
        evs__free(ctx, n->scratch);
        evs__free(ctx, n->args);
        evs__free(ctx, n);
    }
    for (int i = 0; i < 2; i++) {
        for (int id = 0; id <= EVS_TYPE_STRUCT; id++)
            evs_type_unref(e->simple[i][id]);
    }
    evs__column_unref(e->full);
    evs__free(ctx, e->order);
    evs__free(ctx, e->failed);
    evs__buffer_free(&e->text);
    evs_type_unref(e->row);
    evs__free(ctx, e);
    evs_context_unref(ctx);
}

const evs_type *evs__expr_type(const evs__expr *e)
{
    return e->root->type;
}

int32_t evs__expr_column(const evs__expr *e)
{
    return e->root->eval == evs__eval_column ? (int32_t)e->root->index : -1;
}
