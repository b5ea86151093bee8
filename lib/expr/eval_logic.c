/*
 * expr/eval_logic.c: AND, OR, NOT, IS NULL, in three-valued logic on bitmaps.
 *
 * AND and OR take any number of arguments, from left to right. What is known of a row is kept in
 * two bits: T, the result is TRUE; F, it is FALSE; neither: NULL so far.
 *
 *              AND                               OR
 *   start      T = 1, F = 0                      T = 0, F = 1
 *   argument   T = T & true                      T = T | true
 *              F = F | false                     F = F & false
 *   decided    where F                           where T
 *
 * F is kept only once a NULL was seen (until then it is ~T). An argument that may fail, or is dear,
 * is evaluated only for the rows that are not decided yet: `x <> 0 AND 10 / x > 1` never divides by
 * zero. Others are evaluated for all rows, which is cheaper than picking some.
 */
#include <string.h>

#include "expr/term.h"

typedef struct logic {
    bool is_and;
    evs__column *out; /* bits: T; validity: F, when has_nulls */
    bool has_nulls;
    uint32_t total;
} logic;

static uint8_t byte_at(const uint8_t *bits, size_t stride, size_t i)
{
    return stride ? bits[i] : bits[0] & 1 ? 0xff : 0;
}

static evs_status begin_nulls(logic *l)
{
    size_t bytes = (l->total + 7) / 8;
    evs_status status = evs__column_need_validity(l->out);

    if (status)
        return status;
    for (size_t i = 0; i < bytes; i++)
        l->out->validity[i] = (uint8_t)~l->out->bits[i];
    l->has_nulls = true;
    return EVS_OK;
}

/* one more argument; its bits of decided rows may be anything */
static evs_status logic_add(logic *l, const evs__column *c, size_t stride)
{
    size_t bytes = (l->total + 7) / 8;
    uint8_t *t = l->out->bits;
    evs_status status;

    if (c->validity && !l->has_nulls && (status = begin_nulls(l)))
        return status;
    for (size_t i = 0; i < bytes; i++) {
        uint8_t is_true = byte_at(c->bits, stride, i);
        uint8_t valid = c->validity ? byte_at(c->validity, stride, i) : 0xff;
        uint8_t is_false = valid & (uint8_t)~is_true;
        if (l->has_nulls) {
            uint8_t *f = &l->out->validity[i];
            *f = l->is_and ? *f | is_false : *f & is_false;
        }
        t[i] = l->is_and ? t[i] & is_true : t[i] | is_true;
    }
    return EVS_OK;
}

static bool is_decided(const logic *l, uint32_t row)
{
    if (!l->is_and)
        return evs__bit_get(l->out->bits, row);
    return l->has_nulls ? evs__bit_get(l->out->validity, row) : !evs__bit_get(l->out->bits, row);
}

static uint32_t undecided_rows(const logic *l, const evs__rows *rows, uint32_t *sel)
{
    uint32_t count = 0;

    EVS__FOR_ROWS(rows, i)
    {
        sel[count] = i;
        count += !is_decided(l, i);
    }
    return count;
}

/* validity from F; rows beyond the last stay valid, values of NULL rows are FALSE already */
static void logic_finish(logic *l)
{
    size_t bytes = (l->total + 7) / 8;

    for (size_t i = 0; i < bytes && l->has_nulls; i++)
        l->out->validity[i] |= l->out->bits[i];
    if (l->has_nulls && l->total % 8)
        l->out->validity[bytes - 1] |= (uint8_t)(0xffu << l->total % 8);
}

evs_status evs__eval_logic(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    logic l = {.is_and = n->op == EVS__OP_AND, .total = rows->total};
    evs__rows part = *rows;
    uint32_t *sel = NULL;
    evs__column *c = NULL;
    evs_status status = evs__term_out(ev, n, rows, &l.out);

    if (status)
        return status;
    memset(l.out->bits, l.is_and ? 0xff : 0, (rows->total + 7) / 8);
    for (uint32_t k = 0; k < n->arg_count; k++) {
        if (k && n->args[k]->partial) {
            /* rows decided once stay so: the selection shrinks in place */
            if (!sel && (status = evs__term_scratch(ev, n, rows->count, &sel)))
                return status;
            part.count = undecided_rows(&l, &part, sel);
            part.sel = sel;
            if (part.count == 0)
                break;
            if (part.count == rows->count)
                part = *rows;
        }
        status = evs__term_eval(ev, n->args[k], &part, &c);
        if (!status)
            status = logic_add(&l, c, EVS__STRIDE(n->args[k]));
        if (status)
            return status;
    }
    logic_finish(&l);
    *ret = l.out;
    return EVS_OK;
}

evs_status evs__eval_not(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *c = NULL;
    evs_status status = evs__eval_strict(ev, n, rows, &c, ret);

    if (status)
        return status;
    for (size_t i = 0; i < (rows->total + 7) / 8; i++)
        (*ret)->bits[i] = (uint8_t)~byte_at(c->bits, EVS__STRIDE(n->args[0]), i);
    evs__zero_nulls(*ret);
    return EVS_OK;
}

evs_status evs__eval_is_null(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *c = NULL;
    evs_status status = evs__term_eval(ev, n->args[0], rows, &c);

    if (!status)
        status = evs__term_out(ev, n, rows, ret);
    if (status)
        return status;
    for (size_t i = 0; i < (rows->total + 7) / 8; i++) {
        uint8_t valid = c->validity ? byte_at(c->validity, EVS__STRIDE(n->args[0]), i) : 0xff;
        (*ret)->bits[i] = n->negated ? valid : (uint8_t)~valid;
    }
    return EVS_OK;
}
