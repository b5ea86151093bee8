/*
 * engine/project.c: other columns: "page, load_ms / 1000.0 AS load_s, *".
 *
 * Plain columns are passed by reference, others are computed once a batch; selection, times, kinds
 * and origin of the rows stay. `*` stands for the input's columns that no other item names, so
 * `*, upper(page) AS page` replaces one. An item without AS is named after its column or last
 * field, otherwise by its canonical text.
 *
 * A row for which any item fails goes to the dead letters, once, and is left out.
 */
#include <stdio.h>
#include <string.h>

#include "engine/operator.h"

#define NAME_MAX_BYTES 1024

typedef struct project_item {
    evs__expr *expr; /* NULL: column of the input */
    uint32_t column;
} project_item;

typedef struct project {
    evs__operator op;
    project_item *items;
    uint32_t count;
    uint8_t *failed; /* bits by physical row, of the batch at hand */
    size_t failed_capacity;
    uint32_t failed_count;
} project;

/* ---- rows ---- */

typedef struct failures {
    project *p;
    const evs__out *out;
    const evs_batch *batch;
} failures;

static void project_failed(void *user_data, uint32_t row, evs_status status, const char *message)
{
    failures *f = user_data;

    if (evs__bit_get(f->p->failed, row))
        return;
    evs__bit_set(f->p->failed, row);
    f->p->failed_count++;
    f->out->reject(f->out->user, f->batch, row, EVS__STAGE_EXPRESSION, status, message);
}

static evs_status clear_failed(project *p, uint32_t rows)
{
    size_t bytes = ((size_t)rows + 7) / 8;
    uint8_t *failed;

    if (bytes > p->failed_capacity) {
        failed = evs__realloc(p->op.ctx, p->failed, bytes);
        if (!failed)
            return EVS_ERR_NOMEM;
        p->failed = failed;
        p->failed_capacity = bytes;
    }
    memset(p->failed, 0, bytes);
    p->failed_count = 0;
    return EVS_OK;
}

/* the rows of `in` without those that failed become batch's */
static evs_status leave_failed_out(project *p, const evs_batch *in, evs_batch *batch)
{
    uint32_t *sel = evs__realloc_array(p->op.ctx, NULL, in->count, sizeof(*sel));
    uint32_t count = 0;

    if (!sel)
        return EVS_ERR_NOMEM;
    for (uint32_t k = 0; k < in->count; k++) {
        uint32_t row = evs__batch_row_at(in, k);
        if (!evs__bit_get(p->failed, row))
            sel[count++] = row;
    }
    evs__free(p->op.ctx, batch->sel);
    batch->sel = sel;
    batch->count = count;
    return EVS_OK;
}

static evs_status project_process(
    evs__operator *op, evs_batch *in, int64_t now_ms, const evs__out *out, evs_error **reterr)
{
    project *p = (project *)op;
    failures failed = {p, out, in};
    evs_batch *batch = NULL;
    evs_status status = EVS_OK;
    (void)now_ms;

    if (in->count == 0)
        return EVS_OK;
    if (clear_failed(p, in->rows) || evs__batch_like(in, op->out_type, &batch))
        return evs__nomem(reterr);
    for (uint32_t i = 0; i < p->count && !status; i++) {
        if (p->items[i].expr)
            status = evs__expr_eval(p->items[i].expr, in, project_failed, &failed,
                                    &batch->columns[i], reterr);
        else
            batch->columns[i] = evs__column_ref(in->columns[p->items[i].column]);
    }
    if (!status && p->failed_count && leave_failed_out(p, in, batch))
        status = evs__nomem(reterr);
    if (!status && batch->count)
        status = out->emit(out->user, EVS__PORT_MAIN, batch, reterr);
    evs_batch_unref(batch);
    return status;
}

/* ---- making ---- */

static void project_free(evs__operator *op)
{
    project *p = (project *)op;
    evs_context *ctx = op->ctx;

    for (uint32_t i = 0; i < p->count; i++)
        evs__expr_free(p->items[i].expr);
    evs__free(ctx, p->items);
    evs__free(ctx, p->failed);
    evs_type_unref(op->in_type);
    evs_type_unref(op->out_type);
    evs__free(ctx, p);
    evs_context_unref(ctx);
}

static const evs__operator_functions project_functions = {
    .kind = "project", .process = project_process, .free = project_free};

static evs_status fault_at(
    evs_context *ctx, uint32_t position, const char *format, const char *name, evs_error **reterr)
{
    char origin[32];
    snprintf(origin, sizeof(origin), "column %u", position + 1);
    return evs__fail_at(ctx, reterr, EVS_ERR_EXPRESSION, origin, format, name);
}

/* the item's name, *copied* */
static evs_status
item_name(evs_context *ctx, const evs__ast_item *item, char **ret, evs_error **reterr)
{
    const evs__ast *a = item->expr;
    const char *name = item->alias;
    evs__buffer text;
    evs_status status = EVS_OK;

    if (!name && (a->kind == EVS__AST_COLUMN || a->kind == EVS__AST_FIELD))
        name = a->name;
    evs__buffer_init(&text, ctx, NAME_MAX_BYTES);
    if (!name) {
        status = evs__ast_print(a, &text);
        name = evs__buffer_cstr(&text);
    }
    if (status == EVS_ERR_LIMIT) {
        evs__buffer_free(&text);
        return fault_at(ctx, a->position, "this long expression needs a name: AS %s", "name",
                        reterr);
    }
    *ret = name ? evs__strdup(ctx, name) : NULL;
    evs__buffer_free(&text);
    return *ret ? EVS_OK : evs__nomem(reterr);
}

/* names of all items but stars; twice the same is a fault */
static evs_status
name_items(evs_context *ctx, const evs__ast_list *list, char **names, evs_error **reterr)
{
    evs_status status = EVS_OK;

    for (size_t i = 0; i < list->count && !status; i++) {
        const evs__ast *a = list->items[i].expr;
        if (a->kind == EVS__AST_STAR)
            continue;
        status = item_name(ctx, &list->items[i], &names[i], reterr);
        for (size_t j = 0; j < i && !status; j++) {
            if (names[j] && strcmp(names[i], names[j]) == 0)
                status = fault_at(ctx, a->position, "there are two columns named \"%s\"", names[i],
                                  reterr);
        }
    }
    return status;
}

static bool is_named(char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (names[i] && strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

static evs_status
add_expr(project *p, const evs__ast_list *list, size_t i, evs__field *field, evs_error **reterr)
{
    project_item *item = &p->items[p->count];
    evs_status status =
        evs__expr_compile(p->op.ctx, list, list->items[i].expr, p->op.in_type, &item->expr, reterr);
    if (status)
        return status;
    field->type = evs__expr_type(item->expr);
    p->count++;
    return EVS_OK;
}

/* fields of the result, with borrowed names and types; items of p filled beside them */
static evs_status add_items(project *p,
                            const evs__ast_list *list,
                            char *const *names,
                            evs__field *fields,
                            evs_error **reterr)
{
    const evs_type *in = p->op.in_type;
    bool star = false;
    evs_status status = EVS_OK;

    for (size_t i = 0; i < list->count && !status; i++) {
        if (list->items[i].expr->kind != EVS__AST_STAR) {
            fields[p->count].name = names[i];
            status = add_expr(p, list, i, &fields[p->count], reterr);
            continue;
        }
        if (star)
            return fault_at(p->op.ctx, list->items[i].expr->position, "there is a second \"%s\"",
                            "*", reterr);
        star = true;
        for (uint32_t k = 0; k < in->child_count; k++) {
            if (is_named(names, list->count, in->children[k].name))
                continue;
            fields[p->count] = in->children[k];
            p->items[p->count++] = (project_item){NULL, k};
        }
    }
    return status;
}

static evs_status build(project *p, const evs__ast_list *list, evs_error **reterr)
{
    evs_context *ctx = p->op.ctx;
    size_t most = list->count + p->op.in_type->child_count;
    evs__field *fields = evs__calloc(ctx, most, sizeof(*fields));
    char **names = evs__calloc(ctx, list->count, sizeof(*names));
    evs_status status = EVS_OK;

    p->items = evs__calloc(ctx, most, sizeof(*p->items));
    if (!fields || !names || !p->items)
        status = evs__nomem(reterr);
    if (!status)
        status = name_items(ctx, list, names, reterr);
    if (!status)
        status = add_items(p, list, names, fields, reterr);
    if (!status) {
        status = evs__type_struct(ctx, fields, p->count, false, &p->op.out_type);
        if (status == EVS_ERR_NOMEM)
            (void)evs__nomem(reterr);
        else if (status)
            (void)evs__fail(ctx, reterr, status, "the row type is too large");
    }
    for (size_t i = 0; names && i < list->count; i++)
        evs__free(ctx, names[i]);
    evs__free(ctx, names);
    evs__free(ctx, fields);
    return status;
}

evs_status evs__project_new(evs_context *ctx,
                            const evs_type *in,
                            const char *expressions,
                            evs__operator **ret,
                            evs_error **reterr)
{
    project *p = evs__calloc(ctx, 1, sizeof(*p));
    evs__ast_list *list = NULL;
    evs_status status;

    if (!p)
        return evs__nomem(reterr);
    p->op = (evs__operator){
        .fn = &project_functions, .ctx = evs_context_ref(ctx), .in_type = evs_type_ref(in)};
    status = evs__ast_parse(ctx, expressions, true, &list, reterr);
    if (!status)
        status = build(p, list, reterr);
    evs__ast_free(list);
    if (status) {
        project_free(&p->op);
        return status;
    }
    *ret = &p->op;
    return EVS_OK;
}
