/*
 * Whole pipelines in driven mode: from pushed events to sinks.
 */
#include "pipeline_kit.h"

static const evs_window_options ten_seconds = {sizeof(evs_window_options),
                                               10000,
                                               0,
                                               0,
                                               INT64_MAX,
                                               INT64_C(1) << 30,
                                               EVS_WINDOW_TUMBLING,
                                               EVS_EMIT_FINAL,
                                               EVS_TIME_EVENT,
                                               EVS_NULL_KEY_DEAD_LETTER};

/* memory -> filter -> count per user and 10 s -> txn */
static void counting(kit *k)
{
    evs_pipeline *p = kit_pipeline(k);
    evs_pipeline_set(p, "state.dir", k->dir);
    k->source = evs_source(p, "memory",
                           EVS_OPTIONS("columns", "user VARCHAR, n INT", "partitions", "2",
                                       "out_of_orderness", "0", "idle_timeout", "forever",
                                       "close_after", "forever"));
    evs_sink(evs_window_by(evs_filter(k->source, "n >= 0"), "user", &ten_seconds,
                           "count(*) AS c, sum(n) AS s"),
             "txn", NULL);
}

static void test_poll_counts_per_key_and_window(void **state)
{
    kit *k = *state;
    counting(k);
    OK(evs_pipeline_check(k->p, &k->err));
    OK(kit_event(k, 0, 1000, 1, 5));
    OK(kit_event(k, 1, 2000, 1, 6));
    OK(kit_event(k, 0, 3000, 2, 7));
    OK(kit_event(k, 0, 4000, 2, -1));
    OK(kit_event(k, 1, 11000, 1, 8));
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    assert_table(&k->db.committed, "");
    OK(evs_stream_push_end(k->source, &k->err));
    assert_int_equal(kit_drain(k), EVS_END);
    assert_table(&k->db.committed, "u1|1970-01-01T00:00:00.000Z|1970-01-01T00:00:10.000Z|2|11\n"
                                   "u1|1970-01-01T00:00:10.000Z|1970-01-01T00:00:20.000Z|1|8\n"
                                   "u2|1970-01-01T00:00:00.000Z|1970-01-01T00:00:10.000Z|1|7");
    assert_int_equal(kit_metric(k, "events_in_total"), 5);
    OK(evs_pipeline_close(k->p, &k->err));
}

static void test_restart_goes_on_after_the_last_epoch(void **state)
{
    kit *k = *state;
    counting(k);
    OK(kit_event(k, 0, 1000, 1, 5));
    OK(kit_event(k, 1, 1000, 1, 5));
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    OK(evs_pipeline_commit(k->p, &k->err));
    OK(kit_event(k, 0, 2000, 1, 5));
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    /* no close: what came after the commit is lost with the process, and pushed again */
    counting(k);
    OK(kit_event(k, 0, 1000, 1, 5));
    OK(kit_event(k, 1, 1000, 1, 5));
    OK(kit_event(k, 0, 2000, 1, 5));
    OK(evs_stream_push_end(k->source, &k->err));
    assert_int_equal(kit_drain(k), EVS_END);
    assert_table(&k->db.committed, "u1|1970-01-01T00:00:00.000Z|1970-01-01T00:00:10.000Z|3|15");
    assert_int_equal(k->db.epoch, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_poll_counts_per_key_and_window),
        KIT_TEST(test_restart_goes_on_after_the_last_epoch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
