/*
 * expr/eval_case.c: expressions that pick one of their arguments per row: CASE, if, coalesce,
 * nullif, greatest, least.
 *
 * Each argument is evaluated only for the rows that come to it: rows not decided yet are kept in a
 * selection that shrinks, and a row's choice is remembered by number. In the end one pass copies
 * the chosen values. So an argument that would fail for a row that does not take it never fails.
 *
 * Scratch of a node: choice per physical row, the open rows, the rows of the branch at hand.
 */
#include "expr/term.h"

typedef struct choices {
    uint32_t *choice; /* by physical row: index into cols */
    uint32_t *open;
    uint32_t *taken;
    uint32_t open_count;
    uint32_t col_count;
    evs__column **cols;
    size_t *strides;
} choices;

/* cols and strides, one for each argument that may give the value: made once */
static evs_status choices_begin(evs__eval *ev, evs__term *n, const evs__rows *rows, choices *c)
{
    evs_context *ctx = ev->expr->ctx;
    size_t total = rows->total, width = sizeof(evs__column *) + sizeof(size_t);
    evs_status status = evs__term_scratch(ev, n, 3 * total + 1, &c->choice);

    if (status)
        return status;
    if (!n->state) {
        n->state = evs__calloc(ctx, (size_t)n->arg_count + 1, width);
        n->free_state = evs__free;
        if (!n->state)
            return EVS_ERR_NOMEM;
    }
    c->cols = n->state;
    c->strides = (size_t *)(void *)(c->cols + n->arg_count + 1);
    c->open = c->choice + total;
    c->taken = c->open + total;
    c->open_count = 0;
    c->col_count = 0;
    EVS__FOR_ROWS(rows, i)
    {
        c->choice[i] = UINT32_MAX;
        c->open[c->open_count++] = i;
    }
    return EVS_OK;
}

/* the rows take the value of `arg` */
static evs_status choose(evs__eval *ev, evs__term *arg, choices *c, const evs__rows *rows)
{
    evs_status status;

    if (rows->count == 0)
        return EVS_OK;
    c->strides[c->col_count] = EVS__STRIDE(arg);
    status = evs__term_eval(ev, arg, rows, &c->cols[c->col_count]);
    EVS__FOR_ROWS(rows, i)
    c->choice[i] = c->col_count;
    c->col_count++;
    return status;
}

/* args: condition, value, ..., [else] */
evs_status evs__eval_case(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    choices c;
    evs__column *condition = NULL;
    uint32_t k = 0;
    evs_status status = choices_begin(ev, n, rows, &c);

    for (; !status && k + 1 < n->arg_count && c.open_count; k += 2) {
        evs__rows open = {c.open, c.open_count, rows->total};
        evs__rows taken = {c.taken, 0, rows->total};
        status = evs__term_eval(ev, n->args[k], &open, &condition);
        if (status)
            break;
        taken.count = evs__split_rows(condition, EVS__STRIDE(n->args[k]), &open, c.taken, c.open,
                                      &c.open_count);
        status = choose(ev, n->args[k + 1], &c, &taken);
    }
    if (!status && c.open_count && n->arg_count % 2) {
        evs__rows open = {c.open, c.open_count, rows->total};
        status = choose(ev, n->args[n->arg_count - 1], &c, &open);
    }
    if (status)
        return status;
    return evs__merge_rows(ev, n, rows, c.cols, c.strides, c.choice, ret);
}

evs_status evs__eval_coalesce(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    choices c;
    evs_status status = choices_begin(ev, n, rows, &c);

    for (uint32_t k = 0; !status && k < n->arg_count && c.open_count; k++) {
        evs__rows open = {c.open, c.open_count, rows->total};
        size_t stride = EVS__STRIDE(n->args[k]);
        const evs__column *col;
        uint32_t left = 0;
        status = choose(ev, n->args[k], &c, &open);
        if (status)
            break;
        col = c.cols[c.col_count - 1];
        for (uint32_t j = 0; j < c.open_count; j++) {
            uint32_t i = c.open[j];
            c.open[left] = i;
            left += evs__column_is_null(col, i * stride);
        }
        c.open_count = left;
    }
    if (status)
        return status;
    return evs__merge_rows(ev, n, rows, c.cols, c.strides, c.choice, ret);
}

/* args: value, value = other */
evs_status evs__eval_nullif(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    choices c;
    evs__column *equal = NULL;
    evs_status status = choices_begin(ev, n, rows, &c);

    if (!status)
        status = choose(ev, n->args[0], &c, rows);
    if (!status)
        status = evs__term_eval(ev, n->args[1], rows, &equal);
    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    {
        if (evs__bit_get(equal->bits, i * EVS__STRIDE(n->args[1])))
            c.choice[i] = UINT32_MAX;
    }
    return evs__merge_rows(ev, n, rows, c.cols, c.strides, c.choice, ret);
}

/* greatest (op GT) and least (op LT) of what is not NULL */
evs_status evs__eval_extreme(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    choices c;
    evs_status status = choices_begin(ev, n, rows, &c);

    for (uint32_t k = 0; !status && k < n->arg_count; k++) {
        c.strides[k] = EVS__STRIDE(n->args[k]);
        status = evs__term_eval(ev, n->args[k], rows, &c.cols[k]);
    }
    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    {
        for (uint32_t k = 0; k < n->arg_count; k++) {
            uint32_t best = c.choice[i], row = i * (uint32_t)c.strides[k];
            int order = 1;
            if (evs__column_is_null(c.cols[k], row))
                continue;
            if (best != UINT32_MAX)
                order = evs__column_compare_rows(c.cols[k], row, c.cols[best],
                                                 i * (uint32_t)c.strides[best]) *
                        (n->op == EVS__OP_GT ? 1 : -1);
            if (order > 0)
                c.choice[i] = k;
        }
    }
    return evs__merge_rows(ev, n, rows, c.cols, c.strides, c.choice, ret);
}
