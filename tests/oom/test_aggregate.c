/*
 * Out-of-memory sweeps over aggregates, a few at a time: parsing, rows, restart, results, merging.
 * What failed for want of memory goes well when it is tried again.
 */
#include <stdio.h>

#include "evs_test.h"

#include "engine/window.h"

#define COLUMNS "page VARCHAR, user BIGINT, ms DOUBLE, price DECIMAL(9,2)"
#define ROWS 24

static const char *const lists[] = {
    ("count(*) FILTER (WHERE ms > 1), sum(DISTINCT user) FILTER (WHERE ms > 0), avg(DISTINCT "
     "price), median(DISTINCT user)"),
    "first(page), last(user), min_by(page, user), max_by(user, page), any_value(price)",
    "collect_list(page), collect_set(user), histogram(price)",
    "string_agg(page, ','), string_agg(DISTINCT page, ','), topk(page, 3), median(price)",
    "stddev(ms), corr(ms, user), bool_and(ms > 0), decayed_rate(1, 10), approx_top_k(page, 2)",
    "approx_count_distinct(user), approx_quantile(ms, 0.5), approx_quantiles(price, 0.1, 0.9)",
    "hll(page)",
    "total(user), total(DISTINCT user), handles(page), sum(DISTINCT user) FILTER (WHERE ms > 0)",
};

/* ---- of the host: plain, and one that owns something ---- */

static int alive;

static evs_status handle_init(void *state, void *user_data)
{
    (void)state;
    ++*(int *)user_data;
    return EVS_OK;
}

static void handle_destroy(void *state, void *user_data)
{
    (void)state;
    --*(int *)user_data;
}

static evs_status
total_add(void *state, const evs_value *args, size_t n, char *reason, size_t size, void *user_data)
{
    (void)n;
    (void)reason;
    (void)size;
    (void)user_data;
    *(int64_t *)state += args[0].integer + (int64_t)args[0].len;
    return EVS_OK;
}

static void total_retract(void *state, const evs_value *args, size_t n, void *user_data)
{
    (void)n;
    (void)user_data;
    *(int64_t *)state -= args[0].integer + (int64_t)args[0].len;
}

static evs_status total_merge(void *state, const void *from, void *user_data)
{
    (void)user_data;
    *(int64_t *)state += *(const int64_t *)from;
    return EVS_OK;
}

static void total_result(const void *state, evs_value *ret_value, void *user_data)
{
    (void)user_data;
    ret_value->is_null = 0;
    ret_value->integer = *(const int64_t *)state;
}

static evs_status total_serialise(const void *state, evs_aggregate_out *out, void *user_data)
{
    (void)user_data;
    return evs_aggregate_write(out, state, sizeof(int64_t));
}

static evs_status total_restore(void *state, const void *data, size_t len, void *user_data)
{
    (void)user_data;
    if (len != sizeof(int64_t))
        return EVS_ERR_CORRUPT;
    memcpy(state, data, len);
    return EVS_OK;
}

static evs_status register_hosts(evs_context *ctx)
{
    evs_aggregate a = {.struct_size = sizeof(a),
                       .signature = "total(BIGINT) RETURNS BIGINT",
                       .state_size = sizeof(int64_t),
                       .user_data = &alive,
                       .add = total_add,
                       .merge = total_merge,
                       .result = total_result};
    evs_status status = evs_aggregate_register(ctx, &a, NULL);

    a.signature = "handles(VARCHAR) RETURNS BIGINT";
    a.init = handle_init;
    a.destroy = handle_destroy;
    a.retract = total_retract;
    a.serialise = total_serialise;
    a.restore = total_restore;
    return status ? status : evs_aggregate_register(ctx, &a, NULL);
}

typedef struct scenario {
    evs_context *ctx;
    evs_schema *schema;
    const char *aggregates;
    evs_batch *batches[2];
    evs__operator *op[2];
} scenario;

static evs_status make_batch(scenario *s, int part)
{
    evs_appender *a = NULL;
    evs_status status = evs_appender_new(s->ctx, evs_schema_type(s->schema), &a, NULL);

    for (int i = 0; i < ROWS && !status; i++) {
        char page[64];
        int n = snprintf(page, sizeof(page), i % 2 ? "/%d" : "/a/page/with/a/longer/name/%d",
                         i % 5 + part);
        evs_append_time(a, i);
        evs_append_string(a, page, (size_t)n);
        evs_append_int(a, i % 7);
        evs_append_double(a, i * 0.5);
        evs_append_decimal(a, i % 3 ? "1.25" : "7.5");
        status = evs_append_end_row(a, NULL);
    }
    if (!status)
        status = evs_appender_take(a, &s->batches[part], NULL);
    evs_appender_unref(a);
    return status;
}

static evs_status make_operator(scenario *s, evs__operator **ret)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    o.size_ms = 1000;
    o.emit = EVS_EMIT_FINAL;
    return evs__window_op_new(s->ctx, evs_schema_type(s->schema), "user % 2", s->aggregates, &o, 1,
                              EVS_TIME_WATERMARK, ret, NULL);
}

#define RETRY(call)                                                                                \
    do {                                                                                           \
        status = (call);                                                                           \
        if (status == EVS_ERR_NOMEM)                                                               \
            status = (call);                                                                       \
        if (status)                                                                                \
            goto out;                                                                              \
    } while (0)

static evs_status merge_all(evs__window_op *to, evs__window_op *from)
{
    static const uint32_t groups[] = {0, 1};
    evs_status status = EVS_OK;

    for (uint32_t i = 0; i < to->aggregates.count && !status; i++) {
        const evs__aggregate *a = &to->aggregates.items[i];
        evs__agg_groups x =
            evs__agg_view(to->state, evs__state_first(to->state), &to->aggregates, i);
        evs__agg_groups y =
            evs__agg_view(from->state, evs__state_first(from->state), &from->aggregates, i);
        x.index = y.index = groups;
        x.n = y.n = x.most = y.most = 2;
        status = a->fn->merge(a, &x, &y);
    }
    return status;
}

static evs_status take(evs__window_op *w)
{
    evs_batch *batch = NULL;
    evs_status status = evs__window_result(w, false, &batch);

    if (!status && evs_batch_rows(batch) != 2)
        status = EVS_ERR_INTERNAL;
    evs_batch_unref(batch);
    return status;
}

static evs_status aggregate_scenario(evs_context *ctx, void *user_data)
{
    scenario s = {.ctx = ctx, .aggregates = user_data};
    evs__operator *restored = NULL;
    evs__buffer bytes;
    evs_status status = evs_schema_columns(ctx, COLUMNS, &s.schema, NULL);

    evs__buffer_init(&bytes, ctx, SIZE_MAX);
    if (!status)
        status = register_hosts(ctx);
    for (int i = 0; i < 2 && !status; i++) {
        status = make_batch(&s, i);
        if (!status)
            status = make_operator(&s, &s.op[i]);
    }
    if (!status)
        status = make_operator(&s, &restored);
    if (status)
        goto out;
    for (int i = 0; i < 2; i++)
        RETRY(s.op[i]->fn->process(s.op[i], s.batches[i], 0, NULL, NULL));
    RETRY(s.op[0]->fn->process(s.op[0], s.batches[1], 0, NULL, NULL));
    evs__buffer_reset(&bytes);
    status = s.op[0]->fn->snapshot(s.op[0], &bytes, NULL);
    if (status)
        goto out;
    RETRY(restored->fn->restore(restored, bytes.data, bytes.len, NULL));
    /* half merged is not tried again: it may only fail cleanly */
    status = merge_all(evs__window_of(restored), evs__window_of(s.op[1]));
    if (status)
        goto out;
    RETRY(restored->fn->advance(restored, 0, INT64_MAX, false, 0, NULL, NULL));
    RETRY(take(evs__window_of(restored)));
out:
    evs__buffer_free(&bytes);
    for (int i = 0; i < 2; i++) {
        evs__operator_free(s.op[i]);
        evs_batch_unref(s.batches[i]);
    }
    evs__operator_free(restored);
    evs_schema_unref(s.schema);
    return alive ? EVS_ERR_INTERNAL : status;
}

static void test_aggregates_every_allocation_failing_is_clean(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        assert_true(evs_test_oom_sweep(aggregate_scenario, (void *)lists[i]) > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_aggregates_every_allocation_failing_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
