/*
 * engine/aggregate.c: the table of aggregate functions, their arguments for a batch, and their
 * states in snapshots. The list "count(*) AS n, sum(x)" is parsed in aggregate_parse.c.
 *
 * Order of arrival is counted here, once for all aggregates of an operator: each batch takes as
 * many numbers as it has rows. What keeps such a number in its state moves the counter on when it
 * is restored, so that rows of a later run come later.
 */
#include "engine/aggregate.h"

/* functions of one name stand together; the first whose argument types fit is taken */
static const evs__aggregate_functions *const table[] = {
    &evs__agg_count_all,
    &evs__agg_count,
    &evs__agg_count_if,
    &evs__agg_count_distinct,
    &evs__agg_sum_int,
    &evs__agg_sum_double,
    &evs__agg_sum_decimal,
    &evs__agg_avg_int,
    &evs__agg_avg_double,
    &evs__agg_avg_decimal,
    &evs__agg_min_int,
    &evs__agg_min_double,
    &evs__agg_min_decimal,
    &evs__agg_min_text,
    &evs__agg_max_int,
    &evs__agg_max_double,
    &evs__agg_max_decimal,
    &evs__agg_max_text,
    &evs__agg_first,
    &evs__agg_last,
    &evs__agg_first_by_offset,
    &evs__agg_earliest_by_offset,
    &evs__agg_last_by_offset,
    &evs__agg_latest_by_offset,
    &evs__agg_any_value,
    &evs__agg_min_by,
    &evs__agg_max_by,
    &evs__agg_bool_and,
    &evs__agg_bool_or,
    &evs__agg_collect_list,
    &evs__agg_collect_set,
    &evs__agg_string_agg,
    &evs__agg_histogram,
    &evs__agg_topk,
    &evs__agg_topk_distinct,
    &evs__agg_median,
    &evs__agg_variance,
    &evs__agg_var_samp,
    &evs__agg_var_pop,
    &evs__agg_stddev,
    &evs__agg_stddev_samp,
    &evs__agg_stddev_pop,
    &evs__agg_covar_samp,
    &evs__agg_covar_pop,
    &evs__agg_corr,
    &evs__agg_decayed_rate,
    &evs__agg_approx_count_distinct,
    &evs__agg_hll,
    &evs__agg_approx_quantile,
    &evs__agg_approx_quantiles,
    &evs__agg_approx_top_k,
};

const evs__aggregate_functions *const *evs__aggregate_table(size_t *ret_count)
{
    *ret_count = sizeof(table) / sizeof(table[0]);
    return table;
}

/* ---- types ---- */

evs_status evs__agg_type_bigint(evs_context *ctx, const evs__aggregate *a, const evs_type **ret)
{
    (void)a;
    return evs__type_simple(ctx, EVS_TYPE_BIGINT, false, ret);
}

evs_status evs__agg_type_double(evs_context *ctx, const evs__aggregate *a, const evs_type **ret)
{
    (void)a;
    return evs__type_simple(ctx, EVS_TYPE_DOUBLE, false, ret);
}

/* ---- arguments ---- */

evs_status evs__aggregates_eval(const evs__aggregates *all,
                                const evs_batch *in,
                                evs__row_failed_fn failed,
                                void *user_data,
                                evs__column **columns,
                                evs_error **reterr)
{
    evs_status status = EVS_OK;

    for (uint32_t i = 0; i < all->count && !status; i++) {
        const evs__aggregate *a = &all->items[i];
        for (uint32_t k = 0; k < a->arg_count && !status; k++)
            status =
                evs__expr_eval(a->args[k], in, failed, user_data, &columns[a->column + k], reterr);
    }
    if (*all->arrivals < EVS__AGG_ARRIVALS_MAX)
        *all->arrivals += in->rows;
    return status;
}

/* ---- refused rows ---- */

evs_status evs__aggregate_refusal(const evs__aggregate *a, evs__buffer *message)
{
    if (a->fn->refusal)
        return a->fn->refusal(a, message);
    evs__buffer_text(message, "a sum does not fit its type with this row");
    return EVS_ERR_OVERFLOW;
}

/* ---- snapshots of states that are plain bytes ---- */

evs_status evs__aggregate_write(const evs__aggregate *a, const evs__agg_groups *g, evs__buffer *out)
{
    if (a->fn->write)
        return a->fn->write(a, g, out);
    for (uint32_t i = 0; i < g->n; i++)
        evs__buffer_append(out, evs__agg_state(g, i), a->size);
    return out->status;
}

evs_status evs__aggregate_read(const evs__aggregate *a, const evs__agg_groups *g, evs__reader *in)
{
    if (a->fn->read)
        return a->fn->read(a, g, in);
    for (uint32_t i = 0; i < g->n; i++) {
        if (!evs__read(in, evs__agg_state(g, i), a->size))
            return EVS_ERR_CORRUPT;
    }
    return EVS_OK;
}
