/*
 * engine/aggregate_bool.c: bool_and(c), bool_or(c). The state counts TRUE and FALSE.
 */
#include "engine/aggregate.h"

typedef struct votes {
    int64_t yes, no;
} votes;

static uint32_t bool_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    (void)a;
    for (uint32_t i = 0; i < g->n; i++) {
        votes *s = evs__agg_state(g, i);
        bool present = !evs__column_is_null(r->arg, r->rows[i]);
        bool value = evs__bit_get(r->arg->bits, r->rows[i]);
        s->yes += present && value;
        s->no += present && !value;
    }
    return g->n;
}

static evs_status
bool_merge(const evs__aggregate *a, const evs__agg_groups *to, const evs__agg_groups *from)
{
    (void)a;
    for (uint32_t i = 0; i < to->n; i++) {
        votes *x = evs__agg_state(to, i);
        const votes *y = evs__agg_state(from, i);
        if (__builtin_add_overflow(x->yes, y->yes, &x->yes) ||
            __builtin_add_overflow(x->no, y->no, &x->no))
            return EVS_ERR_OVERFLOW;
    }
    return EVS_OK;
}

static evs_status bool_out(const evs__agg_groups *g, bool all, evs__column *out)
{
    evs_status status = EVS_OK;
    for (uint32_t i = 0; i < g->n && !status; i++) {
        const votes *s = evs__agg_state(g, i);
        if (!s->yes && !s->no)
            status = evs__column_append_null(out);
        else
            evs__column_append_bool(out, all ? !s->no : s->yes != 0);
    }
    return status;
}

static evs_status and_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    (void)a;
    return bool_out(g, true, out);
}

static evs_status or_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    (void)a;
    return bool_out(g, false, out);
}

#define BOOL_COMMON                                                                                \
    .arg_types = EVS__AGG_TYPE(EVS_TYPE_BOOLEAN), .size = sizeof(votes), .align = _Alignof(votes), \
    .distinct = EVS__DISTINCT_SAME, .group = "choice", .add = bool_add, .merge = bool_merge

const evs__aggregate_functions evs__agg_bool_and = {
    .name = "bool_and",
    .usage = "bool_and(condition)",
    .doc = "Whether it is TRUE for all rows",
    .result = and_result,
    BOOL_COMMON,
};

const evs__aggregate_functions evs__agg_bool_or = {
    .name = "bool_or",
    .usage = "bool_or(condition)",
    .doc = "Whether it is TRUE for some row",
    .result = or_result,
    BOOL_COMMON,
};
