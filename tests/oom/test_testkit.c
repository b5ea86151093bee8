/*
 * Out-of-memory sweeps over a test kit: sends, expectations, a crash inside a commit. A run without
 * memory says so; what an expectation saw before stays true. jansson has memory of its own.
 */
#include "evs_test.h"

#include "evstream/evstream.h"

static evs_status told(const evs_testkit *kit, evs_status status)
{
    const char *error = evs_testkit_error(kit);
    if (!error)
        return status;
    return strstr(error, "memory") ? EVS_ERR_NOMEM : EVS_ERR_INTERNAL;
}

static evs_status expectations(evs_testkit *kit)
{
    const char *why = NULL, *row = NULL;
    evs_status status = EVS_OK;

    evs_testkit_reorder(kit, 7, 100);
    for (int i = 0; i < 5; i++)
        evs_testkit_send(kit, "source_1", 1000 + i, "{\"a\":\"x\"}");
    if (evs_testkit_expect(kit, "sink_1", "{\"c\":4}", &why))
        return EVS_ERR_INTERNAL;
    for (int32_t step = 0; step < 3; step++) {
        evs_testkit_send(kit, "source_1", 2000, "{\"a\":\"y\"}");
        evs_testkit_crash_in_commit(kit, step);
    }
    evs_testkit_end(kit);
    if (!evs_testkit_expect(kit, "sink_1", "{\"a\":\"x\",\"c\":5}", &why))
        return told(kit, strstr(why, "memory") ? EVS_ERR_NOMEM : EVS_ERR_INTERNAL);
    status = evs_testkit_next(kit, "sink_1", &row);
    if (status)
        return told(kit, status < 0 ? status : EVS_ERR_INTERNAL);
    return strstr(row, "\"c\":3") ? EVS_OK : EVS_ERR_INTERNAL;
}

static evs_status scenario(evs_context *ctx, void *user_data)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    evs_pipeline *p = NULL;
    evs_testkit *kit = NULL;
    evs_status status = evs_pipeline_new(ctx, "p", &p, NULL);

    (void)user_data;
    o.size_ms = 10000;
    o.emit = EVS_EMIT_FINAL;
    if (!status) {
        evs_pipeline_set(p, "exchange.partitions", "1");
        evs_sink(evs_window_by(evs_source(p, "memory", EVS_OPTIONS("columns", "a VARCHAR")), "a",
                               &o, "count(*) AS c"),
                 "console", NULL);
        status = evs_testkit_new(p, &kit, NULL);
    }
    if (!status)
        status = expectations(kit);
    evs_testkit_close(kit);
    evs_pipeline_unref(p);
    return status;
}

static void test_testkit_without_memory_ends_cleanly(void **state)
{
    (void)state;
    assert_true(evs_test_oom_sweep_step(scenario, NULL, 1) > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_testkit_without_memory_ends_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
