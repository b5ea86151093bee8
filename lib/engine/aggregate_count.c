/*
 * engine/aggregate_count.c: count(*), count(x), count_if(condition). State: one 64-bit number.
 *
 * 2^63 rows do not arrive, so counts do not overflow; merging checks, since a snapshot may hold
 * anything.
 */
#include "engine/aggregate.h"

static uint32_t
count_all_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    (void)a;
    (void)r;
    for (uint32_t i = 0; i < g->n; i++)
        ++*(int64_t *)evs__agg_state(g, i);
    return g->n;
}

static uint32_t count_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    const uint8_t *validity = r->arg->validity;

    if (!validity)
        return count_all_add(a, g, r);
    for (uint32_t i = 0; i < g->n; i++)
        *(int64_t *)evs__agg_state(g, i) += evs__bit_get(validity, r->rows[i]);
    return g->n;
}

/* NULL rows have the value false */
static uint32_t
count_if_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    (void)a;
    for (uint32_t i = 0; i < g->n; i++)
        *(int64_t *)evs__agg_state(g, i) += evs__bit_get(r->arg->bits, r->rows[i]);
    return g->n;
}

static evs_status
count_merge(const evs__aggregate *a, const evs__agg_groups *to, const evs__agg_groups *from)
{
    (void)a;
    for (uint32_t i = 0; i < to->n; i++) {
        int64_t *sum = evs__agg_state(to, i), total;
        if (__builtin_add_overflow(*sum, *(int64_t *)evs__agg_state(from, i), &total))
            return EVS_ERR_OVERFLOW;
        *sum = total;
    }
    return EVS_OK;
}

static evs_status count_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    (void)a;
    for (uint32_t i = 0; i < g->n; i++)
        evs__column_append_i64(out, *(int64_t *)evs__agg_state(g, i));
    return EVS_OK;
}

#define COUNT_COMMON                                                                               \
    .size = sizeof(int64_t), .align = sizeof(int64_t), .keeps_null_arg = true,                     \
    .type = evs__agg_type_bigint, .merge = count_merge, .result = count_result

const evs__aggregate_functions evs__agg_count_all = {
    .name = "count",
    .group = "count",
    .usage = "count(*)",
    .gives = "BIGINT NOT NULL",
    .doc = "Rows",
    .arg_types = 0,
    .add = count_all_add,
    COUNT_COMMON,
};

const evs__aggregate_functions evs__agg_count = {
    .name = "count",
    .group = "count",
    .usage = "count(x)",
    .gives = "BIGINT NOT NULL",
    .doc = "Rows where x is not NULL",
    .distinct = EVS__DISTINCT_AS,
    .distinct_as = &evs__agg_count_distinct,
    .arg_types = UINT32_MAX,
    .add = count_add,
    COUNT_COMMON,
};

const evs__aggregate_functions evs__agg_count_if = {
    .name = "count_if",
    .group = "count",
    .usage = "count_if(condition)",
    .gives = "BIGINT NOT NULL",
    .doc = "Rows for which the condition is TRUE",
    .arg_types = EVS__AGG_TYPE(EVS_TYPE_BOOLEAN),
    .add = count_if_add,
    COUNT_COMMON,
};
