/*
 * The public test kit: the pipeline in it is the real one, so what is looked at here is what the
 * kit adds: names, expectations and their texts, the clock, order, crashes at every step.
 */
#include <stdio.h>

#include "evs_test.h"

#include "evstream/evstream.h"

typedef struct fixture {
    evs_context *ctx;
    evs_pipeline *p;
    evs_testkit *t;
    evs_error *err;
    const char *why;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    assert_int_equal(evs_context_new(NULL, &f->ctx, NULL), EVS_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    evs_testkit_close(f->t);
    evs_pipeline_unref(f->p);
    evs_error_unref(f->err);
    evs_context_unref(f->ctx);
    free(f);
    return 0;
}

/* first the call, then its error: the arguments of one call are evaluated in any order */
#define FAILS(call, want, part)                                                                    \
    do {                                                                                           \
        evs_status fails_status = (call);                                                          \
        evs_error *fails_error = f->err;                                                           \
        f->err = NULL;                                                                             \
        assert_evs_error(fails_status, fails_error, want, part, NULL);                             \
    } while (0)
#define EXPECT(sink, json)                                                                         \
    do {                                                                                           \
        if (!evs_testkit_expect(f->t, sink, json, &f->why))                                        \
            fail_msg("%s", f->why);                                                                \
    } while (0)
#define NOTHING(sink)                                                                              \
    do {                                                                                           \
        if (!evs_testkit_expect_none(f->t, sink, &f->why))                                         \
            fail_msg("%s", f->why);                                                                \
    } while (0)
#define REFUSED(sink, json, want)                                                                  \
    do {                                                                                           \
        assert_false(evs_testkit_expect(f->t, sink, json, &f->why));                               \
        assert_string_equal(f->why, want);                                                         \
    } while (0)

/* Kafka on both sides, and nobody there: the kit asks no broker */
static void kafka_views(fixture *f, int32_t emit)
{
    evs_window_options minute = EVS_WINDOW_OPTIONS_INIT;
    evs_stream *views;
    minute.size_ms = 60000;
    minute.emit = emit;
    assert_int_equal(evs_pipeline_new(f->ctx, "views", &f->p, &f->err), EVS_OK);
    evs_pipeline_set(f->p, "kafka.bootstrap.servers", "127.0.0.1:1");
    evs_pipeline_set(f->p, "state.dir", "/nonexistent/never/made");
    views = evs_source(f->p, "kafka",
                       EVS_OPTIONS("topic", "page_views", "format", "json", "columns",
                                   "page VARCHAR, user_id VARCHAR, viewed_at TIMESTAMP",
                                   "event.time", "viewed_at"));
    evs_sink(evs_window_by(views, "page", &minute, "count(*) AS views"), "kafka",
             EVS_OPTIONS("topic", "views_per_minute", "format", "json"));
    assert_int_equal(evs_testkit_new(f->p, &f->t, &f->err), EVS_OK);
}

static void test_kafka_pipeline_without_kafka(void **state)
{
    fixture *f = *state;
    kafka_views(f, EVS_EMIT_FINAL);
    evs_testkit_send(f->t, "page_views", 1000, "{\"page\":\"/a\",\"user_id\":\"u1\"}");
    NOTHING("views_per_minute");
    evs_testkit_advance(f->t, 66000);
    EXPECT("views_per_minute", "{\"page\":\"/a\",\"views\":1}");
    NOTHING("views_per_minute");
    assert_null(evs_testkit_error(f->t));
    assert_int_equal(evs_testkit_now(f->t), 67000);
}

static void test_crash_anywhere_changes_no_result(void **state)
{
    static const char *const events[] = {"{\"page\":\"/a\"}", "{\"page\":\"/b\"}",
                                         "{\"page\":\"/a\"}", "{\"page\":\"/a\"}"};
    fixture *f = *state;
    /* crash: after this event; step of a commit: -1: between commits */
    for (int emit = EVS_EMIT_FINAL; emit <= EVS_EMIT_CHANGES; emit++) {
        for (int crash = 0; crash < 5; crash++) {
            for (int step = -1; step < 8; step++) {
                kafka_views(f, emit);
                for (int i = 0; i < 4; i++) {
                    evs_testkit_send(f->t, "page_views", 1000 + i * 10000, events[i]);
                    if (i == 1 && emit == EVS_EMIT_CHANGES)
                        EXPECT("views_per_minute", "{\"page\":\"/a\",\"views\":1}");
                    if (i == crash && step < 0)
                        assert_int_equal(evs_testkit_crash_and_restore(f->t), EVS_OK);
                    else if (i == crash)
                        assert_true(evs_testkit_crash_in_commit(f->t, step) >= 0);
                }
                evs_testkit_end(f->t);
                if (crash == 4 && step < 0)
                    assert_int_equal(evs_testkit_crash_and_restore(f->t), EVS_OK);
                EXPECT("views_per_minute", "{\"page\":\"/a\",\"views\":3}");
                EXPECT("views_per_minute", "{\"page\":\"/b\",\"views\":1}");
                if (emit == EVS_EMIT_FINAL)
                    NOTHING("views_per_minute");
                f->t = evs_testkit_close(f->t);
                f->p = evs_pipeline_unref(f->p);
            }
        }
    }
}

static void test_crash_in_commit_says_when_there_is_no_such_step(void **state)
{
    fixture *f = *state;
    int steps = 0;
    kafka_views(f, EVS_EMIT_FINAL);
    do
        evs_testkit_send(f->t, "page_views", 1000 + steps, "{\"page\":\"/a\"}");
    while (evs_testkit_crash_in_commit(f->t, steps) == EVS_OK && ++steps < 100);
    assert_null(evs_testkit_error(f->t));
    assert_in_range(steps, 5, 10);
    /* nothing to commit */
    assert_int_equal(evs_testkit_crash_in_commit(f->t, 0), EVS_END);
    evs_testkit_end(f->t);
    evs_testkit_next(f->t, "views_per_minute", &f->why);
    assert_non_null(strstr(f->why, "\"views\":"));
}

static void test_expect_tells_the_nearest_row(void **state)
{
    fixture *f = *state;
    kafka_views(f, EVS_EMIT_CHANGES);
    evs_testkit_send(f->t, "page_views", 1000, "{\"page\":\"/a\"}");
    evs_testkit_send(f->t, "page_views", 1000, "{\"page\":\"/a\"}");
    REFUSED("views_per_minute", "{\"page\":\"/a\",\"views\":1}",
            "step \"sink_1\": none of 1 rows is {\"page\":\"/a\",\"views\":1}; the nearest, "
            "{\"page\":\"/a\",\"window_start\":\"1970-01-01T00:00:00.000Z\",\"window_end\":"
            "\"1970-01-01T00:01:00.000Z\",\"views\":2} (insert), has another \"views\" than 1");
    assert_false(evs_testkit_expect_none(f->t, "views_per_minute", &f->why));
    assert_non_null(strstr(f->why, "step \"sink_1\": a row that was not expected: {\"page\""));
    /* times as text or numbers; the row's kind */
    EXPECT("views_per_minute", "{\"views\":2.0,\"window_start\":0,\"_kind\":\"insert\"}");
    evs_testkit_send(f->t, "page_views", 2000, "{\"page\":\"/a\"}");
    REFUSED("sink_1", "{\"_kind\":\"insert\"}",
            "step \"sink_1\": none of 1 rows is {\"_kind\":\"insert\"}; the nearest, "
            "{\"page\":\"/a\",\"window_start\":\"1970-01-01T00:00:00.000Z\",\"window_end\":"
            "\"1970-01-01T00:01:00.000Z\",\"views\":3} (update), has another \"_kind\" than "
            "\"insert\"");
    EXPECT("window_1",
           "{\"_kind\":\"update\",\"window_end\":\"1970-01-01T00:01:00.000Z\",\"views\":3}");
    REFUSED("views_per_minute", "{}", "step \"sink_1\": no row is left for {}");
    assert_null(evs_testkit_error(f->t));
}

static void test_mistakes_are_kept_and_told(void **state)
{
    static const struct {
        const char *source, *event, *sink, *expected, *error;
    } cases[] = {
        {"page_view", "{}", NULL, NULL, "\"page_view\" names no source"},
        {NULL, "{}", NULL, NULL, "the name of a source is NULL"},
        {"page_views", NULL, NULL, NULL, "json is NULL"},
        {"page_views", "{}", "page_views", "{}", "\"page_views\" names no sink"},
        {"page_views", "{}", "sink_1", "[1]", "the expectation is no JSON object: [1]"},
        {"page_views", "{}", "sink_1", "{\"viws\":1}",
         "step \"sink_1\" has no field \"viws\"; fields are \"page\", \"window_start\", "
         "\"window_end\", \"views\""},
    };
    fixture *f = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        kafka_views(f, EVS_EMIT_FINAL);
        evs_testkit_send(f->t, cases[i].source, 1000, cases[i].event);
        if (cases[i].sink)
            assert_false(evs_testkit_expect(f->t, cases[i].sink, cases[i].expected, &f->why));
        assert_non_null(evs_testkit_error(f->t));
        if (strncmp(evs_testkit_error(f->t), cases[i].error, strlen(cases[i].error)) != 0)
            fail_msg("%s instead of %s", evs_testkit_error(f->t), cases[i].error);
        /* later calls do nothing and say the same */
        assert_true(evs_testkit_advance(f->t, 1) < 0);
        assert_false(evs_testkit_expect_none(f->t, "sink_1", &f->why));
        assert_ptr_equal(f->why, evs_testkit_error(f->t));
        f->t = evs_testkit_close(f->t);
        f->p = evs_pipeline_unref(f->p);
    }
}

static void test_misuse(void **state)
{
    fixture *f = *state;
    evs_testkit *other = NULL;
    kafka_views(f, EVS_EMIT_FINAL);
    FAILS(evs_testkit_new(f->p, &other, &f->err), EVS_ERR_MISUSE, "in a test kit already");
    FAILS(evs_pipeline_start(f->p, 1, &f->err), EVS_ERR_MISUSE, "no threads");
    evs_testkit_send(f->t, "page_views", 1000, "{\"page\":\"/a\"}");
    f->t = evs_testkit_close(f->t);
    FAILS(evs_pipeline_poll(f->p, 0, &f->err), EVS_ERR_MISUSE, "make another one");
    f->p = evs_pipeline_unref(f->p);
    /* the pipeline goes first */
    kafka_views(f, EVS_EMIT_FINAL);
    evs_testkit_send(f->t, "page_views", 1000, "{\"page\":\"/a\"}");
    f->p = evs_pipeline_unref(f->p);
    assert_int_equal(evs_testkit_advance(f->t, 5), EVS_ERR_MISUSE);
    assert_string_equal(evs_testkit_error(f->t), "the pipeline was released");
    assert_null(evs_testkit_close(NULL));
    assert_int_equal(evs_testkit_new(NULL, &other, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_testkit_send(NULL, "a", 0, "{}"), EVS_ERR_INVALID);
    assert_false(evs_testkit_expect(NULL, "a", "{}", &f->why));
    assert_string_equal(f->why, "kit is NULL");
}

static void test_bad_and_late_events(void **state)
{
    fixture *f = *state;
    kafka_views(f, EVS_EMIT_FINAL);
    evs_testkit_send(f->t, "page_views", 1000, "{\"page\":7}");
    evs_testkit_send_bytes(f->t, "page_views", 1000, NULL, 0, "k", 1);
    if (!evs_testkit_expect_dead_letter(f->t,
                                        "{\"stage\":\"schema\",\"payload\":\"{\\\"viewed_at\\\":"
                                        "\\\"1970-01-01T00:00:01.000Z\\\",\\\"page\\\":7}\"}",
                                        &f->why))
        fail_msg("%s", f->why);
    if (!evs_testkit_expect_dead_letter(f->t, "{\"topic\":\"page_views\",\"key\":\"k\"}", &f->why))
        fail_msg("%s", f->why);
    assert_false(evs_testkit_expect_dead_letter(f->t, "{\"stage\":\"decode\"}", &f->why));
    assert_string_equal(f->why, "dead letters: no row is left for {\"stage\":\"decode\"}");
    evs_testkit_send(f->t, "page_views", 100000, "{\"page\":\"/a\"}");
    evs_testkit_send(f->t, "page_views", 2000, "{\"page\":\"/late\"}");
    assert_false(evs_testkit_expect_late(f->t, "{\"page\":\"/a\"}", &f->why));
    if (!evs_testkit_expect_late(f->t, "{\"page\":\"/late\"}", &f->why))
        fail_msg("%s", f->why);
    assert_false(evs_testkit_expect_late(f->t, "{\"page\":\"/late\"}", &f->why));
    assert_null(evs_testkit_error(f->t));
}

static void test_late_rows_of_a_late_sink(void **state)
{
    fixture *f = *state;
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    evs_stream *rows, *counts;
    o.size_ms = 1000;
    o.emit = EVS_EMIT_FINAL;
    assert_int_equal(evs_pipeline_new(f->ctx, "p", &f->p, &f->err), EVS_OK);
    rows = evs_source(f->p, "memory",
                      EVS_OPTIONS("columns", "a VARCHAR, n INT", "out_of_orderness", "0"));
    counts = evs_window_by(rows, "a", &o, "count(*) AS c");
    evs_stream_name(counts, "counts");
    evs_sink(counts, "console", NULL);
    evs_sink(evs_late(counts), "memory", EVS_OPTIONS("name", "late"));
    assert_int_equal(evs_testkit_new(f->p, &f->t, &f->err), EVS_OK);
    evs_testkit_send(f->t, "source_1", 5000, "{\"a\":\"x\",\"n\":1}");
    evs_testkit_send(f->t, "source_1", 1000, "{\"a\":\"x\",\"n\":2}");
    if (!evs_testkit_expect_late(f->t, "{\"n\":2}", &f->why))
        fail_msg("%s", f->why);
    NOTHING("late");
    NOTHING("counts");
    evs_testkit_end(f->t);
    EXPECT("counts", "{\"c\":1}");
    assert_int_equal(evs_testkit_send(f->t, "source_1", 1, "{}"), EVS_ERR_MISUSE);
}

/* order within out_of_orderness is nobody's business: every seed gives the same counts */
static void test_reorder_within_bounds_changes_no_result(void **state)
{
    fixture *f = *state;
    int moved = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        const char *row = NULL;
        kafka_views(f, EVS_EMIT_FINAL);
        evs_testkit_reorder(f->t, seed, 5000);
        for (int i = 0; i < 200; i++)
            evs_testkit_send(f->t, "page_views", i * 1000, "{\"page\":\"/a\"}");
        assert_int_equal(evs_testkit_crash_and_restore(f->t), EVS_OK);
        evs_testkit_end(f->t);
        for (int w = 0; w < 4; w++) {
            char json[96];
            snprintf(json, sizeof(json), "{\"window_start\":%d,\"views\":%d}", w * 60000,
                     w < 3 ? 60 : 20);
            EXPECT("views_per_minute", json);
        }
        NOTHING("views_per_minute");
        assert_false(evs_testkit_expect_late(f->t, "{}", &f->why));
        assert_int_equal(evs_testkit_next(f->t, "views_per_minute", &row), EVS_END);
        f->t = evs_testkit_close(f->t);
        f->p = evs_pipeline_unref(f->p);
    }
    /* and it is disturbed: beyond the bound some rows are late */
    for (uint64_t seed = 1; seed <= 5; seed++) {
        kafka_views(f, EVS_EMIT_FINAL);
        evs_testkit_reorder(f->t, seed, 60000);
        for (int i = 0; i < 200; i++)
            evs_testkit_send(f->t, "page_views", i * 1000, "{\"page\":\"/a\"}");
        moved += evs_testkit_expect_late(f->t, "{}", NULL);
        f->t = evs_testkit_close(f->t);
        f->p = evs_pipeline_unref(f->p);
    }
    assert_int_equal(moved, 5);
}

static void test_avro_source_gets_avro(void **state)
{
    static const char schema[] =
        "{\"type\":\"record\",\"name\":\"v\",\"fields\":[{\"name\":\"page\",\"type\":\"string\"},"
        "{\"name\":\"n\",\"type\":[\"null\",\"int\"],\"default\":null}]}";
    fixture *f = *state;
    assert_int_equal(evs_pipeline_new(f->ctx, "p", &f->p, &f->err), EVS_OK);
    evs_sink(evs_source(f->p, "kafka",
                        EVS_OPTIONS("topic", "in", "format", "avro", "schema", schema,
                                    "kafka.bootstrap.servers", "127.0.0.1:1")),
             "console", NULL);
    assert_int_equal(evs_testkit_new(f->p, &f->t, &f->err), EVS_OK);
    evs_testkit_send(f->t, "in", 1000, "{\"page\":\"/a\",\"n\":5}");
    EXPECT("sink_1", "{\"page\":\"/a\",\"n\":5}");
    evs_testkit_send(f->t, "in", 1000, "{\"page\":\"/b\",\"n\":null}");
    EXPECT("sink_1", "{\"page\":\"/b\",\"n\":null}");
    assert_null(evs_testkit_error(f->t));
    assert_true(evs_testkit_send(f->t, "in", 1000, "{\"n\":5}") < 0);
    assert_non_null(strstr(evs_testkit_error(f->t), "page"));
}

static evs_status from_inside(const evs_row *row, void *user_data)
{
    fixture *f = user_data;
    (void)row;
    if (evs_testkit_advance(f->t, 1) != EVS_ERR_MISUSE ||
        evs_testkit_crash_and_restore(f->t) != EVS_ERR_MISUSE ||
        evs_testkit_expect(f->t, "sink_1", "{}", NULL))
        return EVS_ERR_INTERNAL;
    return EVS_OK;
}

static void test_calls_from_a_callback_are_refused(void **state)
{
    fixture *f = *state;
    evs_stream *rows;
    assert_int_equal(evs_pipeline_new(f->ctx, "p", &f->p, &f->err), EVS_OK);
    rows = evs_source(f->p, "memory", EVS_OPTIONS("columns", "n INT"));
    evs_each(rows, from_inside, f);
    evs_sink(rows, "console", NULL);
    assert_int_equal(evs_testkit_new(f->p, &f->t, &f->err), EVS_OK);
    evs_testkit_send(f->t, "source_1", 1, "{\"n\":1}");
    EXPECT("sink_1", "{\"n\":1}");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_kafka_pipeline_without_kafka),
        T(test_crash_anywhere_changes_no_result),
        T(test_crash_in_commit_says_when_there_is_no_such_step),
        T(test_expect_tells_the_nearest_row),
        T(test_mistakes_are_kept_and_told),
        T(test_misuse),
        T(test_bad_and_late_events),
        T(test_late_rows_of_a_late_sink),
        T(test_reorder_within_bounds_changes_no_result),
        T(test_avro_source_gets_avro),
        T(test_calls_from_a_callback_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
