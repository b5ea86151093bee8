/*
 * engine/keyed.c: keys of a batch and rows that are set aside. See the header.
 *
 * Cost a row: the expressions as columns; a batch whose rows are all good allocates nothing here.
 */
#include <string.h>

#include "engine/keyed.h"
#include "evstream/window.h"

/* ---- rows aside ---- */

void evs__aside_init(evs__aside *a, evs_context *ctx, const evs_batch *in)
{
    *a = (evs__aside){.ctx = ctx, .in = in};
    evs__buffer_init(&a->messages, ctx, SIZE_MAX);
}

void evs__aside_free(evs__aside *a)
{
    evs__free(a->ctx, a->bad);
    evs__free(a->ctx, a->rows);
    evs__buffer_free(&a->messages);
}

static evs_status aside_reserve(evs__aside *a)
{
    evs__aside_row *rows;
    uint32_t capacity = a->capacity ? a->capacity * 2 : 64;

    if (!a->bad && !(a->bad = evs__calloc(a->ctx, a->in->rows, 1)))
        return EVS_ERR_NOMEM;
    if (a->count < a->capacity)
        return EVS_OK;
    rows = evs__realloc_array(a->ctx, a->rows, capacity, sizeof(*rows));
    if (!rows)
        return EVS_ERR_NOMEM;
    a->rows = rows;
    a->capacity = capacity;
    return EVS_OK;
}

void evs__aside_put(
    evs__aside *a, uint32_t row, const char *stage, evs_status status, const char *message)
{
    if (a->status || evs__aside_has(a, row))
        return;
    a->status = aside_reserve(a);
    if (a->status)
        return;
    a->rows[a->count] = (evs__aside_row){row, status, stage, a->messages.len};
    a->status = evs__buffer_append(&a->messages, message, strlen(message) + 1);
    if (a->status)
        return;
    a->bad[row] = 1;
    a->count++;
}

void evs__aside_tell(const evs__aside *a, const evs__out *out)
{
    for (uint32_t i = 0; out && out->reject && i < a->count; i++) {
        const evs__aside_row *r = &a->rows[i];
        out->reject(out->user, a->in, r->row, r->stage, r->status, a->messages.data + r->message);
    }
}

static void expression_failed(void *user_data, uint32_t row, evs_status status, const char *message)
{
    evs__aside_put(user_data, row, EVS__STAGE_EXPRESSION, status, message);
}

/* ---- keys ---- */

static bool is_blank(const char *text)
{
    return !text || text[strspn(text, " \t\r\n")] == '\0';
}

static evs_status
compile(evs__keyed *k, const evs__ast_list *list, const evs_type *in, evs_error **reterr)
{
    evs_status status = EVS_OK;

    k->exprs = evs__calloc(k->ctx, list->count, sizeof(*k->exprs));
    k->types = evs__calloc(k->ctx, list->count, sizeof(*k->types));
    k->columns = evs__calloc(k->ctx, list->count, sizeof(*k->columns));
    if (!k->exprs || !k->types || !k->columns)
        return evs__nomem(reterr);
    for (size_t i = 0; !status && i < list->count; i++) {
        status = evs__expr_compile(k->ctx, list, list->items[i].expr, in, &k->exprs[i], reterr);
        if (!status)
            k->types[k->count++] = evs_type_ref(evs__expr_type(k->exprs[i]));
    }
    return status;
}

evs_status evs__keyed_init(evs__keyed *k,
                           evs_context *ctx,
                           const evs_type *in,
                           const char *keys,
                           int32_t null_key,
                           evs_error **reterr)
{
    evs__ast_list *list = NULL;
    evs_status status = EVS_OK;

    *k = (evs__keyed){.ctx = ctx};
    evs__buffer_init(&k->bytes, ctx, SIZE_MAX);
    if (!is_blank(keys)) {
        status = evs__ast_parse(ctx, keys, true, &list, reterr);
        if (!status)
            status = compile(k, list, in, reterr);
        evs__ast_free(list);
    }
    k->form = evs__key_form_of(k->types, k->count);
    k->refuses_null = null_key == EVS_NULL_KEY_DEAD_LETTER;
    return status;
}

void evs__keyed_free(evs__keyed *k)
{
    if (!k->ctx)
        return;
    for (uint32_t i = 0; i < k->count; i++) {
        evs__expr_free(k->exprs[i]);
        evs_type_unref(k->types[i]);
    }
    evs__free(k->ctx, k->exprs);
    evs__free(k->ctx, (void *)k->types);
    evs__free(k->ctx, k->columns);
    evs__buffer_free(&k->bytes);
}

evs_status
evs__keyed_eval(evs__keyed *k, const evs_batch *in, evs__aside *aside, evs_error **reterr)
{
    evs_status status = EVS_OK;

    for (uint32_t i = 0; !status && i < k->count; i++)
        status = evs__expr_eval(k->exprs[i], in, expression_failed, aside, &k->columns[i], reterr);
    if (!status && aside->status)
        status = evs__nomem(reterr);
    return status;
}

void evs__keyed_drop(evs__keyed *k)
{
    for (uint32_t i = 0; i < k->count; i++) {
        evs__column_unref(k->columns[i]);
        k->columns[i] = NULL;
    }
}

bool evs__keyed_check(const evs__keyed *k, evs__aside *aside, uint32_t row)
{
    for (uint32_t i = 0; k->refuses_null && i < k->count; i++) {
        if (k->columns[i]->validity && evs__column_is_null(k->columns[i], row))
            evs__aside_put(aside, row, EVS__STAGE_NULL_KEY, EVS_ERR_INVALID, "the key is NULL");
    }
    return !evs__aside_has(aside, row);
}

evs_status
evs__keyed_probes(evs__keyed *k, const uint32_t *rows, uint32_t n, evs__intern_probe *probes)
{
    return evs__key_probes(k->form, k->columns, k->count, rows, n, &k->bytes, probes);
}
