/*
 * Whole pipelines in driven mode: time, dead letters, columns from the record, host code, the
 * descriptor, what can be looked at.
 */
#include <poll.h>

#include "pipeline_kit.h"

static evs_window_options ten_seconds(int32_t emit)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    o.size_ms = 10000;
    o.emit = emit;
    return o;
}

/* a source of JSON events {user, n}: only events move its time */
#define SOURCE(...)                                                                                \
    EVS_OPTIONS("columns", "user VARCHAR, n INT", "out_of_orderness", "0", "idle_timeout",         \
                "forever", "close_after", "forever", __VA_ARGS__)

static evs_status push(kit *k, const char *text, const char *key, int64_t time_ms)
{
    return evs_stream_push_bytes(k->source, text, strlen(text), key, key ? strlen(key) : 0, time_ms,
                                 0, &k->err);
}

/* rows of a stream, collected by evs_each */
typedef struct collected {
    char text[8192];
    evs_status fail_with;
} collected;

static evs_status collect(const evs_row *row, void *user_data)
{
    collected *c = user_data;
    size_t fields = evs_type_child_count(evs_batch_type(row->batch)), at = strlen(c->text);
    char line[512];
    if (c->fail_with)
        return c->fail_with;
    row_text(row, 0, (int32_t)fields, line, sizeof(line));
    snprintf(c->text + at, sizeof(c->text) - at, "%s%s%s", at ? "\n" : "",
             evs_row_get_kind(row) == EVS_ROW_UPDATE ? "u " : "", line);
    return EVS_OK;
}

/* ---- counting ---- */

static void counting(kit *k, int32_t emit)
{
    evs_window_options o = ten_seconds(emit);
    evs_pipeline *p = kit_pipeline(k);
    evs_pipeline_set(p, "state.dir", k->dir);
    k->source = evs_source(p, "memory", SOURCE("partitions", "2"));
    evs_sink(
        evs_window_by(evs_filter(k->source, "n >= 0"), "user", &o, "count(*) AS c, sum(n) AS s"),
        "txn", NULL);
}

static void test_poll_counts_per_key_and_window(void **state)
{
    kit *k = *state;
    counting(k, EVS_EMIT_FINAL);
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
    assert_string_equal(evs_pipeline_state(k->p), "stopped");
    assert_int_equal(evs_pipeline_poll(k->p, 0, &k->err), EVS_END);
    OK(evs_pipeline_close(k->p, &k->err));
    FAILS(evs_pipeline_poll(k->p, 0, &k->err), EVS_ERR_MISUSE, "was closed");
}

static void test_restart_goes_on_after_the_last_epoch(void **state)
{
    kit *k = *state;
    counting(k, EVS_EMIT_FINAL);
    OK(kit_event(k, 0, 1000, 1, 5));
    OK(kit_event(k, 1, 1000, 1, 5));
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    OK(evs_pipeline_commit(k->p, &k->err));
    OK(kit_event(k, 0, 2000, 1, 5));
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    /* no close: what came after the commit is lost with the process, and pushed again */
    counting(k, EVS_EMIT_FINAL);
    OK(kit_event(k, 0, 1000, 1, 5));
    OK(kit_event(k, 1, 1000, 1, 5));
    OK(kit_event(k, 0, 2000, 1, 5));
    OK(evs_stream_push_end(k->source, &k->err));
    assert_int_equal(kit_drain(k), EVS_END);
    assert_table(&k->db.committed, "u1|1970-01-01T00:00:00.000Z|1970-01-01T00:00:10.000Z|3|15");
    assert_int_equal(k->db.epoch, 2);
}

static void test_close_commits_what_was_processed(void **state)
{
    kit *k = *state;
    counting(k, EVS_EMIT_CHANGES);
    OK(kit_event(k, 0, 1000, 1, 5));
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    OK(evs_pipeline_close(k->p, &k->err));
    assert_table(&k->db.committed, "u1|1970-01-01T00:00:00.000Z|1970-01-01T00:00:10.000Z|1|5");
    assert_string_equal(evs_pipeline_state(k->p), "stopped");
    OK(evs_pipeline_close(k->p, &k->err));
    counting(k, EVS_EMIT_CHANGES);
    OK(kit_event(k, 0, 1000, 1, 5));
    OK(kit_event(k, 0, 2000, 1, 6));
    OK(evs_stream_push_end(k->source, &k->err));
    assert_int_equal(kit_drain(k), EVS_END);
    assert_table(&k->db.committed, "u1|1970-01-01T00:00:00.000Z|1970-01-01T00:00:10.000Z|2|11");
}

static void test_end_without_closing_windows_leaves_them_open(void **state)
{
    kit *k = *state;
    counting(k, EVS_EMIT_FINAL);
    evs_pipeline_set(k->p, "end.close_windows", "false");
    OK(kit_event(k, 0, 1000, 1, 5));
    OK(evs_stream_push_end(k->source, &k->err));
    assert_int_equal(kit_drain(k), EVS_END);
    assert_table(&k->db.committed, "");
    assert_int_equal(kit_metric(k, "open_windows"), 1);
}

/* ---- time ---- */

static void timed(kit *k, const evs_options *options, collected *c)
{
    evs_window_options o = ten_seconds(EVS_EMIT_FINAL);
    k->source = evs_source(kit_pipeline(k), "memory", options);
    evs_each(evs_window_by(k->source, "user", &o, "count(*) AS c"), collect, c);
}

static void test_watermark_is_the_slowest_partition(void **state)
{
    kit *k = *state;
    collected c = {""};
    timed(k, SOURCE("partitions", "2"), &c);
    OK(kit_event(k, 0, 1000, 1, 0));
    OK(kit_event(k, 1, 5000, 1, 0));
    OK(kit_event(k, 0, 30000, 1, 0));
    kit_drain(k);
    assert_string_equal(c.text, "");
    OK(kit_event(k, 1, 10000, 1, 0));
    kit_drain(k);
    assert_string_equal(c.text, "u1|1970-01-01T00:00:00.000Z|1970-01-01T00:00:10.000Z|2");
}

static void test_idle_partition_does_not_hold_time_back(void **state)
{
    kit *k = *state;
    collected c = {""};
    timed(k,
          EVS_OPTIONS("columns", "user VARCHAR, n INT", "partitions", "2", "out_of_orderness", "0",
                      "idle_timeout", "5s", "close_after", "forever"),
          &c);
    OK(kit_event(k, 0, 1000, 1, 0));
    OK(kit_event(k, 0, 30000, 1, 0));
    kit_drain(k);
    for (int i = 0; i < 8; i++, kit_drain(k))
        k->now_ms += 500;
    assert_string_equal(c.text, "");
    for (int i = 0; i < 4; i++, kit_drain(k))
        k->now_ms += 500;
    OK(kit_event(k, 0, 30001, 1, 0));
    kit_drain(k);
    k->now_ms += 200;
    kit_drain(k);
    assert_string_equal(c.text, "u1|1970-01-01T00:00:00.000Z|1970-01-01T00:00:10.000Z|1");
}

static void test_close_after_closes_windows_without_events(void **state)
{
    kit *k = *state;
    collected c = {""};
    timed(k,
          EVS_OPTIONS("columns", "user VARCHAR, n INT", "out_of_orderness", "0", "idle_timeout",
                      "forever", "close_after", "2s"),
          &c);
    OK(kit_event(k, 0, 1000, 1, 0));
    for (int i = 0; i < 8; i++) {
        kit_drain(k);
        k->now_ms += 1000;
    }
    assert_string_equal(c.text, "");
    for (int i = 0; i < 8; i++) {
        kit_drain(k);
        k->now_ms += 1000;
    }
    assert_string_equal(c.text, "u1|1970-01-01T00:00:00.000Z|1970-01-01T00:00:10.000Z|1");
}

static void test_gap_between_polls_reads_before_the_clock_counts(void **state)
{
    kit *k = *state;
    collected c = {""};
    evs_window_options o = ten_seconds(EVS_EMIT_FINAL);
    k->source = evs_source(kit_pipeline(k), "memory",
                           EVS_OPTIONS("columns", "user VARCHAR, n INT", "out_of_orderness", "0",
                                       "idle_timeout", "1s", "close_after", "1s"));
    evs_each(evs_window_by(k->source, "user", &o, "count(*) AS c"), collect, &c);
    OK(kit_event(k, 0, 1000, 1, 0));
    kit_drain(k);
    k->now_ms += 3600000; /* the host was away for an hour; this came meanwhile */
    OK(kit_event(k, 0, 2000, 1, 0));
    kit_drain(k);
    assert_int_equal(kit_metric(k, "late_total"), 0);
    OK(evs_stream_push_end(k->source, &k->err));
    assert_int_equal(kit_drain(k), EVS_END);
    assert_string_equal(c.text, "u1|1970-01-01T00:00:00.000Z|1970-01-01T00:00:10.000Z|2");
}

static void test_event_time_units(void **state)
{
    kit *k = *state;
    static const struct {
        const char *type, *unit, *value, *want;
    } cases[] = {
        {"BIGINT", NULL, "25000", "1970-01-01T00:00:20.000Z"},
        {"BIGINT", "s", "25", "1970-01-01T00:00:20.000Z"},
        {"BIGINT", "us", "25000000", "1970-01-01T00:00:20.000Z"},
        {"BIGINT", "ns", "25000000000", "1970-01-01T00:00:20.000Z"},
        {"DOUBLE", "s", "25.5", "1970-01-01T00:00:20.000Z"},
        {"VARCHAR", NULL, "\"1970-01-01T00:00:25+00:00\"", "1970-01-01T00:00:20.000Z"},
        {"TIMESTAMP", NULL, "\"1970-01-01T00:00:25Z\"", "1970-01-01T00:00:20.000Z"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char columns[64], text[128];
        collected c = {""};
        evs_window_options o = ten_seconds(EVS_EMIT_FINAL);
        evs_pipeline *p = kit_pipeline(k);
        snprintf(columns, sizeof(columns), "at %s", cases[i].type);
        snprintf(text, sizeof(text), "{\"at\":%s}", cases[i].value);
        k->source = evs_source(p, "memory",
                               cases[i].unit ? EVS_OPTIONS("columns", columns, "event.time", "at",
                                                           "event.time.unit", cases[i].unit)
                                             : EVS_OPTIONS("columns", columns, "event.time", "at"));
        evs_each(evs_project(evs_window_by(k->source, "", &o, "count(*) AS c"), "window_start"),
                 collect, &c);
        OK(push(k, text, NULL, EVS_TIME_NONE));
        OK(evs_stream_push_end(k->source, &k->err));
        assert_int_equal(kit_drain(k), EVS_END);
        assert_string_equal(c.text, cases[i].want);
    }
}

static void test_event_time_before_1990_warns_once(void **state)
{
    kit *k = *state;
    k->source = evs_source(kit_pipeline(k), "memory",
                           EVS_OPTIONS("columns", "at BIGINT", "event.time", "at"));
    OK(push(k, "{\"at\":1700000000}", NULL, 0));
    kit_drain(k);
    assert_non_null(
        strstr(k->logged, "event.time gives 1970-01-20T16:13:20.000Z: are these seconds?"));
    k->logged[0] = '\0';
    OK(push(k, "{\"at\":1700000001}", NULL, 0));
    kit_drain(k);
    assert_string_equal(k->logged, "");
}

static void test_processing_time_windows_follow_the_clock(void **state)
{
    kit *k = *state;
    collected c = {""};
    evs_window_options o = ten_seconds(EVS_EMIT_FINAL);
    o.time = EVS_TIME_PROCESSING;
    k->source = evs_source(kit_pipeline(k), "memory", SOURCE("partitions", "2"));
    evs_each(evs_window_by(k->source, "user", &o, "count(*) AS c"), collect, &c);
    k->now_ms = 1001000;
    OK(kit_event(k, 0, 77, 1, 0));
    OK(kit_event(k, 1, 99999, 1, 0));
    kit_drain(k);
    k->now_ms = 1009999;
    kit_drain(k);
    assert_string_equal(c.text, "");
    k->now_ms = 1010000;
    kit_drain(k);
    assert_string_equal(c.text, "u1|1970-01-01T00:16:40.000Z|1970-01-01T00:16:50.000Z|2");
}

/* the partitions whose runs came by, one digit a run */
static evs_status note_partition(const evs_row *row, void *user_data)
{
    char *text = user_data;
    int64_t partition = -1, offset = -1;
    evs_row_int(row, evs_row_field(row, "_partition"), &partition);
    evs_row_int(row, evs_row_field(row, "_offset"), &offset);
    if (offset % EVS_BATCH_ROWS_MAX == 0)
        text[strlen(text)] = (char)('0' + partition);
    return EVS_OK;
}

static void aligned(kit *k, const char *alignment, const char *want)
{
    char runs[64] = "";
    k->source =
        evs_source(kit_pipeline(k), "memory", SOURCE("partitions", "2", "alignment", alignment));
    evs_each(evs_project(k->source, "_partition, _offset"), note_partition, runs);
    for (int i = 0; i < 3 * EVS_BATCH_ROWS_MAX; i++) {
        OK(kit_event(k, 0, i, 1, 0));
        OK(kit_event(k, 1, 1000000 + i, 1, 0));
    }
    kit_drain(k);
    /* the slow one is at its end now: nobody waits for it */
    k->now_ms += 200;
    kit_drain(k);
    k->now_ms += 200;
    kit_drain(k);
    assert_string_equal(runs, want);
}

static void test_alignment_lets_the_fast_partition_wait(void **state)
{
    kit *k = *state;
    aligned(k, "forever", "010101");
    aligned(k, "10s", "010011");
}

static void test_window_of_windows(void **state)
{
    kit *k = *state;
    collected c = {""};
    evs_window_options small = ten_seconds(EVS_EMIT_FINAL), large = small;
    large.size_ms = 60000;
    k->source = evs_source(kit_pipeline(k), "memory", SOURCE("partitions", "2"));
    evs_each(evs_window_by(evs_window_by(k->source, "user", &small, "count(*) AS c"), "", &large,
                           "count(*) AS groups, sum(c) AS events"),
             collect, &c);
    for (int i = 0; i < 60; i++)
        OK(kit_event(k, i % 2, i * 1000, i % 3, 0));
    OK(kit_event(k, 0, 200000, 1, 0));
    OK(kit_event(k, 1, 200000, 1, 0));
    kit_drain(k);
    assert_string_equal(c.text, "1970-01-01T00:00:00.000Z|1970-01-01T00:01:00.000Z|18|60");
}

static void test_source_partitioned_by_the_key_needs_no_exchange(void **state)
{
    kit *k = *state;
    collected c = {""};
    const char *text = NULL;
    timed(k, SOURCE("partitions", "2", "key.partitioned_by", "user"), &c);
    OK(evs_pipeline_explain(k->p, &text, &k->err));
    assert_non_null(strstr(text, "in place: the source is partitioned by this key"));
    OK(kit_event(k, 0, 1000, 1, 0));
    OK(kit_event(k, 1, 1000, 2, 0));
    /* each partition has its own time: the other one does not hold it back */
    OK(kit_event(k, 0, 10000, 1, 0));
    kit_drain(k);
    assert_string_equal(c.text, "u1|1970-01-01T00:00:00.000Z|1970-01-01T00:00:10.000Z|1");
}

/* ---- dead letters ---- */

static void with_letters(kit *k)
{
    evs_dead_letters(k->p, "upsert", EVS_OPTIONS("db", "evs.test.letters"));
}

static void test_dead_letters_of_each_stage(void **state)
{
    kit *k = *state;
    evs_window_options o = ten_seconds(EVS_EMIT_FINAL);
    evs_pipeline *p = kit_pipeline(k);
    k->now_ms = 1000000;
    k->source = evs_source(p, "memory", SOURCE("future_max", "1h"));
    evs_sink(evs_window_by(evs_filter(k->source, "10 / n > 0"), "user", &o, "count(*) AS c"), "txn",
             NULL);
    with_letters(k);
    OK(push(k, "{\"user\":\"a\",\"n\":", "k0", 1));
    OK(push(k, "{\"user\":\"a\",\"n\":1}", NULL, -1));
    OK(push(k, "{\"user\":\"a\",\"n\":1}", "k2", 99999999));
    OK(push(k, "{\"user\":\"a\",\"n\":0}", "k3", 3));
    OK(push(k, "{\"user\":null,\"n\":1}", "k4", 4));
    OK(push(k, "{\"user\":\"a\",\"n\":1}", "k5", 50000));
    OK(push(k, "{\"user\":\"a\",\"n\":1}", "k6", 6));
    OK(evs_stream_push_bytes(k->source, NULL, 0, "k7", 2, 7, 0, &k->err));
    kit_drain(k);
    assert_int_equal(kit_metric(k, "dead_letters_total"), 7);
    assert_int_equal(kit_metric(k, "late_total"), 1);
    assert_table(
        &k->letters.committed,
        "decode|EVS_ERR_DECODE|invalid JSON at byte 16: it ends too early|memory|0|0|"
        "1970-01-01T00:00:00.001Z|azA=|eyJ1c2VyIjoiYSIsIm4iOg==|null\n"
        "decode|EVS_ERR_DECODE|null payload|memory|0|7|1970-01-01T00:00:00.007Z|azc=|null|null\n"
        "event_time|EVS_ERR_TIME|the row has no event time|memory|0|1|null|null|"
        "eyJ1c2VyIjoiYSIsIm4iOjF9|null\n"
        "expression|EVS_ERR_EXPRESSION|division by zero (column 1)|memory|0|3|"
        "1970-01-01T00:00:00.003Z|azM=|eyJ1c2VyIjoiYSIsIm4iOjB9|null\n"
        "future|EVS_ERR_TIME|the event time is further ahead of the clock than "
        "future_max|memory|0|2|"
        "1970-01-02T03:46:39.999Z|azI=|eyJ1c2VyIjoiYSIsIm4iOjF9|null\n"
        "late|EVS_ERR_TIME|its window ended at 1970-01-01T00:00:10.000Z, the watermark is at "
        "1970-01-01T00:00:50.000Z|memory|0|6|1970-01-01T00:00:00.006Z|azY=|"
        "eyJ1c2VyIjoiYSIsIm4iOjF9|null\n"
        "null_key|EVS_ERR_INVALID|the grouping key is "
        "NULL|memory|0|4|1970-01-01T00:00:00.004Z|azQ=|"
        "eyJ1c2VyIjpudWxsLCJuIjoxfQ==|null");
}

static void test_rows_the_sink_cannot_write_are_dead_letters(void **state)
{
    kit *k = *state;
    evs_pipeline *p = kit_pipeline(k);
    k->source = evs_source(p, "memory", SOURCE("start", "earliest"));
    evs_sink(k->source, "txn", NULL);
    with_letters(k);
    k->db.bad_row = "u2|";
    OK(kit_event(k, 0, 1000, 1, 1));
    OK(kit_event(k, 0, 1000, 2, 2));
    OK(kit_event(k, 0, 1000, 3, 3));
    kit_drain(k);
    OK(evs_pipeline_commit(k->p, &k->err));
    assert_table(&k->db.committed, "u1|1\nu3|3");
    assert_table(&k->letters.committed,
                 "sink|EVS_ERR_ENCODE|a bad row|memory|0|1|1970-01-01T00:00:01.000Z|dTI=|"
                 "eyJ1c2VyIjoidTIiLCJuIjoyfQ==|null");
}

static void test_rows_the_server_refuses_afterwards_are_dead_letters(void **state)
{
    kit *k = *state;
    evs_pipeline *p = kit_pipeline(k);
    k->source = evs_source(p, "memory", SOURCE("start", "earliest"));
    evs_sink(k->source, "txn", NULL);
    with_letters(k);
    k->db.refused_row = "u2|";
    OK(kit_event(k, 0, 1000, 1, 1));
    OK(kit_event(k, 0, 1000, 2, 2));
    kit_drain(k);
    OK(evs_pipeline_commit(k->p, &k->err));
    assert_table(&k->db.committed, "u1|1");
    /* safe within the epoch of the row; the bytes are those that were sent, base64 */
    assert_table(&k->letters.committed,
                 "sink|EVS_ERR_LIMIT|too large|null|null|null|1970-01-01T00:00:07.000Z|aw==|"
                 "dTJ8Mg==|null");
    assert_int_equal(kit_metric(k, "dead_letters_total"), 1);
    OK(kit_event(k, 0, 1000, 3, 3));
    kit_drain(k);
    OK(evs_pipeline_commit(k->p, &k->err));
    assert_table(&k->db.committed, "u1|1\nu3|3");
}

static void test_row_refused_afterwards_with_on_error_fail_stops(void **state)
{
    kit *k = *state;
    evs_pipeline *p = kit_pipeline(k);
    evs_pipeline_set(p, "on_error", "fail");
    k->source = evs_source(p, "memory", SOURCE("start", "earliest"));
    evs_sink(k->source, "txn", NULL);
    k->db.refused_row = "u2|";
    OK(kit_event(k, 0, 1000, 2, 2));
    kit_drain(k);
    FAILS(evs_pipeline_commit(k->p, &k->err), EVS_ERR_LIMIT, "stage sink: too large");
    assert_table(&k->db.committed, "");
}

static void test_on_error_skip_counts_only_and_fail_stops(void **state)
{
    kit *k = *state;
    evs_pipeline *p = kit_pipeline(k);
    evs_pipeline_set(p, "on_error", "skip");
    k->source = evs_source(p, "memory", SOURCE("start", "earliest"));
    with_letters(k);
    OK(push(k, "nonsense", NULL, 1));
    kit_drain(k);
    assert_int_equal(kit_metric(k, "dead_letters_total"), 1);
    assert_table(&k->letters.committed, "");
    p = kit_pipeline(k);
    evs_pipeline_set(p, "on_error", "fail");
    k->source = evs_source(p, "memory", SOURCE("start", "earliest"));
    OK(push(k, "nonsense", NULL, 1));
    FAILS(kit_drain(k), EVS_ERR_DECODE, "step \"source_1\": stage decode: ");
}

static void test_dead_letters_without_an_output_are_logged(void **state)
{
    kit *k = *state;
    k->source = evs_source(kit_pipeline(k), "memory", SOURCE("start", "earliest"));
    OK(push(k, "nonsense", NULL, 1));
    kit_drain(k);
    assert_non_null(
        strstr(k->logged, "source_1: dead letter, stage decode: partition 0 offset 0: "));
}

/* host code that rejects and multiplies */
static evs_status multiply(const evs_row *row, evs_apply_out *out, void *user_data)
{
    int64_t n = 0;
    (void)user_data;
    evs_row_int(row, evs_row_field(row, "n"), &n);
    if (n < 0) {
        evs_apply_reject(out, "negative");
        return EVS_OK;
    }
    if (n > 100)
        return EVS_ERR_INTERNAL;
    for (int64_t i = 0; i < n; i++) {
        evs_append_int(evs_apply_appender(out), i);
        evs_append_end_row(evs_apply_appender(out), NULL);
    }
    return EVS_OK;
}

static void test_apply_rejects_to_the_dead_letters_and_may_fail(void **state)
{
    kit *k = *state;
    collected c = {""};
    evs_pipeline *p = kit_pipeline(k);
    k->source = evs_source(p, "memory", SOURCE("start", "earliest"));
    evs_each(evs_apply(k->source, "i INT", multiply, NULL), collect, &c);
    with_letters(k);
    OK(kit_event(k, 0, 1000, 1, 2));
    OK(kit_event(k, 0, 1000, 1, -1));
    OK(kit_event(k, 0, 1000, 1, 1));
    kit_drain(k);
    assert_string_equal(c.text, "0\n1\n0");
    assert_int_equal(k->letters.committed.count, 1);
    assert_non_null(
        strstr(k->letters.committed.rows[0].text, "host|EVS_ERR_CALLBACK|negative|memory|0|1|"));
    OK(kit_event(k, 0, 1000, 1, 101));
    assert_true(kit_drain(k) < 0);
    assert_int_equal(evs_error_status(k->err), EVS_ERR_CALLBACK);
}

static void test_each_failure_stops_the_pipeline(void **state)
{
    kit *k = *state;
    collected c = {"", EVS_ERR_IO};
    k->source = evs_source(kit_pipeline(k), "memory", SOURCE("start", "earliest"));
    evs_each(k->source, collect, &c);
    OK(kit_event(k, 0, 1000, 1, 1));
    FAILS(kit_drain(k), EVS_ERR_CALLBACK, "step \"each_1\": the function returned EVS_ERR_IO");
}

static void test_late_stream_takes_the_late_rows(void **state)
{
    kit *k = *state;
    collected c = {""};
    evs_window_options o = ten_seconds(EVS_EMIT_FINAL);
    evs_stream *w;
    k->source = evs_source(kit_pipeline(k), "memory", SOURCE("start", "earliest"));
    w = evs_window_by(k->source, "user", &o, "count(*) AS c");
    evs_each(evs_project(evs_late(w), "user, n, lateness_ms"), collect, &c);
    with_letters(k);
    OK(kit_event(k, 0, 1000, 1, 1));
    OK(kit_event(k, 0, 20000, 1, 2));
    OK(kit_event(k, 0, 5000, 1, 3));
    kit_drain(k);
    assert_string_equal(c.text, "u1|3|15000");
    assert_int_equal(kit_metric(k, "dead_letters_total"), 0);
    assert_int_equal(kit_metric(k, "late_total"), 1);
}

/* ---- columns from the record ---- */

static void test_meta_columns_hold_what_the_record_says(void **state)
{
    kit *k = *state;
    collected c = {""};
    k->source = evs_source(kit_pipeline(k), "memory", SOURCE("partitions", "2"));
    evs_each(evs_project(evs_filter(k->source, "_offset >= 0"),
                         "_key, _partition, _offset, _timestamp, user, _headers"),
             collect, &c);
    OK(kit_event(k, 1, 1000, 1, 1));
    OK(evs_stream_push_bytes(k->source, "{\"user\":\"x\"}", 12, NULL, 0, 2000, 1, &k->err));
    kit_drain(k);
    assert_string_equal(c.text, "u1|1|0|1970-01-01T00:00:01.000Z|u1|{}\n"
                                "null|1|1|1970-01-01T00:00:02.000Z|x|{}");
}

static void test_key_that_is_no_text_is_a_dead_letter_unless_bytes(void **state)
{
    kit *k = *state;
    collected c = {""};
    k->source = evs_source(kit_pipeline(k), "memory", SOURCE("start", "earliest"));
    evs_each(evs_project(k->source, "_key, n"), collect, &c);
    OK(evs_stream_push_bytes(k->source, "{\"n\":1}", 7, "\xff", 1, 1000, 0, &k->err));
    OK(evs_stream_push_bytes(k->source, "{\"n\":2}", 7, "a", 1, 1000, 0, &k->err));
    kit_drain(k);
    assert_string_equal(c.text, "a|2");
    assert_int_equal(kit_metric(k, "dead_letters_total"), 1);
    c.text[0] = '\0';
    k->source = evs_source(kit_pipeline(k), "memory", SOURCE("key.type", "bytes"));
    evs_each(evs_project(k->source, "_key, n"), collect, &c);
    OK(evs_stream_push_bytes(k->source, "{\"n\":1}", 7, "\xff", 1, 1000, 0, &k->err));
    kit_drain(k);
    assert_string_equal(c.text, "/w==|1");
}

/* ---- rows of the host ---- */

static evs_batch *user_rows(kit *k, const char *columns, int first, int count)
{
    evs_schema *schema = NULL;
    evs_appender *a = NULL;
    evs_batch *b = NULL;
    OK(evs_schema_columns(k->ctx, columns, &schema, &k->err));
    OK(evs_appender_new(k->ctx, evs_schema_type(schema), &a, &k->err));
    for (int i = first; i < first + count; i++) {
        evs_append_time(a, i * 1000);
        evs_append_string(a, "u", 1);
        evs_append_int(a, i);
        OK(evs_append_end_row(a, &k->err));
    }
    OK(evs_appender_take(a, &b, &k->err));
    evs_appender_unref(a);
    evs_schema_unref(schema);
    return b;
}

static void test_push_batches_with_their_own_times(void **state)
{
    kit *k = *state;
    evs_batch *b = user_rows(k, "user VARCHAR, n INT", 0, 25);
    counting(k, EVS_EMIT_FINAL);
    OK(evs_stream_push(k->source, b, 1, &k->err));
    OK(evs_stream_push_end(k->source, &k->err));
    assert_int_equal(kit_drain(k), EVS_END);
    assert_table(&k->db.committed, "u|1970-01-01T00:00:00.000Z|1970-01-01T00:00:10.000Z|10|45\n"
                                   "u|1970-01-01T00:00:10.000Z|1970-01-01T00:00:20.000Z|10|145\n"
                                   "u|1970-01-01T00:00:20.000Z|1970-01-01T00:00:30.000Z|5|110");
    evs_batch_unref(b);
}

static void test_push_after_restart_skips_rows_that_are_committed(void **state)
{
    kit *k = *state;
    evs_batch *b = user_rows(k, "user VARCHAR, n INT", 0, 3),
              *more = user_rows(k, "user VARCHAR, n INT", 0, 5);
    counting(k, EVS_EMIT_CHANGES);
    OK(evs_stream_push(k->source, b, 0, &k->err));
    kit_drain(k);
    OK(evs_pipeline_close(k->p, &k->err));
    /* the same rows, cut otherwise: the position is inside of the batch */
    counting(k, EVS_EMIT_CHANGES);
    OK(evs_stream_push(k->source, more, 0, &k->err));
    OK(evs_stream_push_end(k->source, &k->err));
    assert_int_equal(kit_drain(k), EVS_END);
    assert_table(&k->db.committed, "u|1970-01-01T00:00:00.000Z|1970-01-01T00:00:10.000Z|5|10");
    evs_batch_unref(b);
    evs_batch_unref(more);
}

static void test_push_failures(void **state)
{
    kit *k = *state;
    evs_batch *b = user_rows(k, "other VARCHAR, n INT", 0, 1);
    evs_stream *s;
    counting(k, EVS_EMIT_FINAL);
    s = evs_filter(k->source, "n > 1");
    FAILS(evs_stream_push(NULL, b, 0, &k->err), EVS_ERR_INVALID, "source is NULL");
    FAILS(evs_stream_push(k->source, NULL, 0, &k->err), EVS_ERR_INVALID, "batch is NULL");
    FAILS(evs_stream_push(s, b, 0, &k->err), EVS_ERR_UNSUPPORTED, "takes no rows");
    FAILS(evs_stream_push(k->source, b, 2, &k->err), EVS_ERR_INVALID, "partition 2: there are 2");
    OK(evs_stream_push(k->source, b, 0, &k->err));
    FAILS(kit_drain(k), EVS_ERR_TYPE, "column \"user\"");
    FAILS(evs_stream_push(k->source, b, 0, &k->err), EVS_ERR_TYPE, "column \"user\"");
    counting(k, EVS_EMIT_FINAL);
    OK(evs_stream_push_end(k->source, &k->err));
    FAILS(evs_stream_push(k->source, b, 0, &k->err), EVS_ERR_MISUSE, "the end was told");
    evs_batch_unref(b);
}

static void test_callback_source_goes_on_with_new_rows(void **state)
{
    kit *k = *state;
    for (int run = 0; run < 2; run++) {
        evs_batch *b = user_rows(k, "user VARCHAR, n INT", run * 3, 3);
        evs_pipeline *p = kit_pipeline(k);
        evs_pipeline_set(p, "state.dir", k->dir);
        k->source = evs_source(p, "callback", EVS_OPTIONS("columns", "user VARCHAR, n INT"));
        evs_sink(k->source, "txn", NULL);
        OK(evs_stream_push(k->source, b, 0, &k->err));
        kit_drain(k);
        OK(evs_pipeline_close(k->p, &k->err));
        evs_batch_unref(b);
    }
    assert_table(&k->db.committed, "u|0\nu|1\nu|2\nu|3\nu|4\nu|5");
}

static void test_named_log_joins_two_pipelines(void **state)
{
    kit *k = *state;
    collected c = {""};
    evs_pipeline *first;
    k->source = evs_source(kit_pipeline(k), "memory", SOURCE("partitions", "2"));
    evs_sink(evs_filter(k->source, "n > 1"), "memory", EVS_OPTIONS("name", "between"));
    OK(kit_event(k, 0, 1000, 1, 1));
    OK(kit_event(k, 1, 2000, 2, 2));
    kit_drain(k);
    first = k->p;
    k->p = NULL;
    evs_each(
        evs_source(kit_pipeline(k), "memory", EVS_OPTIONS("name", "between", "bounded", "true")),
        collect, &c);
    assert_int_equal(kit_drain(k), EVS_END);
    assert_string_equal(c.text, "u2|2");
    evs_pipeline_unref(first);
}

static void test_json_without_columns_is_told_which_there_are(void **state)
{
    kit *k = *state;
    k->source = evs_source(kit_pipeline(k), "memory", NULL);
    OK(evs_pipeline_check(k->p, &k->err));
    assert_int_equal(push(k, "{\"page\":\"/a\",\"ms\":12}", NULL, 1), EVS_OK);
    assert_int_equal(kit_drain(k), EVS_ERR_SCHEMA);
    assert_non_null(
        strstr(evs_error_message(k->err), "step \"source_1\": the columns are not known"));
    assert_non_null(
        strstr(evs_error_message(k->err), "first 1 events have columns = page VARCHAR, ms BIGINT"));
}

/* ---- the host's loop ---- */

static bool readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void test_descriptor_is_readable_while_there_is_work(void **state)
{
    kit *k = *state;
    evs_pipeline *p = kit_pipeline(k);
    int fd;
    assert_int_equal(evs_pipeline_fd(p), -1);
    k->source = evs_source(p, "memory", SOURCE("start", "earliest"));
    evs_sink(k->source, "txn", NULL);
    assert_int_equal(evs_pipeline_next_ms(p), 0);
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    fd = evs_pipeline_fd(p);
    assert_true(fd >= 0);
    assert_false(readable(fd));
    assert_true(evs_pipeline_next_ms(p) > 0);
    OK(kit_event(k, 0, 1000, 1, 1));
    /* level-triggered: it stays readable until somebody polls */
    assert_true(readable(fd));
    assert_true(readable(fd));
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    assert_false(readable(fd));
    OK(evs_stream_push_end(k->source, &k->err));
    assert_int_equal(kit_drain(k), EVS_END);
    assert_true(readable(fd));
    assert_int_equal(evs_pipeline_next_ms(p), -1);
}

static void test_poll_waits_for_its_budget_only(void **state)
{
    kit *k = *state;
    int64_t begin;
    k->source = evs_source(kit_pipeline(k), "memory", SOURCE("start", "earliest"));
    k->p->hooks.now_ms = NULL; /* the real clock */
    kit_drain(k);
    begin = evs__monotonic_ms();
    assert_int_equal(evs_pipeline_poll(k->p, 60, &k->err), EVS_AGAIN);
    assert_in_range(evs__monotonic_ms() - begin, 50, 1000);
}

static void test_state_and_metrics_before_start(void **state)
{
    kit *k = *state;
    double v = 1;
    evs_pipeline *p = kit_pipeline(k);
    assert_string_equal(evs_pipeline_state(p), "new");
    assert_int_equal(evs_pipeline_metric(p, "events_in_total", &v), EVS_ERR_NOT_FOUND);
    k->source = evs_source(p, "memory", SOURCE("start", "earliest"));
    kit_drain(k);
    assert_int_equal(evs_pipeline_metric(p, "nonsense", &v), EVS_ERR_NOT_FOUND);
    assert_int_equal(evs_pipeline_metric(p, "evstream_events_in_total", &v), EVS_OK);
    assert_true(v == 0);
    assert_int_equal(evs_pipeline_metric(p, "batch_rows_count", &v), EVS_OK);
}

static void test_metrics_text_is_clean_for_promtool(void **state)
{
    kit *k = *state;
    const char *text = NULL;
    FILE *tool;
    counting(k, EVS_EMIT_CHANGES);
    OK(kit_event(k, 0, 1000, 1, 5));
    kit_drain(k);
    OK(evs_pipeline_commit(k->p, &k->err));
    OK(evs_pipeline_metrics_text(k->p, &text, &k->err));
    assert_non_null(strstr(text,
                           "\nevstream_events_in_total{pipeline=\"p\",source=\"source_1\",topic="
                           "\"memory\",partition=\"0\"} 1\n"));
    assert_non_null(strstr(text, "# TYPE evstream_commit_duration_seconds histogram\n"));
    assert_non_null(
        strstr(text, "evstream_commit_duration_seconds_bucket{pipeline=\"p\",le=\"+Inf\"} 1\n"));
    if (system("command -v promtool >/dev/null 2>&1") != 0) {
        assert_null(getenv("CI")); /* scripts/deps test unpacks it */
        skip();
    }
    tool = popen("promtool check metrics 2>&1", "w");
    assert_non_null(tool);
    fputs(text, tool);
    assert_int_equal(pclose(tool), 0);
}

static void test_explain_window_says_who_holds_it(void **state)
{
    kit *k = *state;
    const char *text = NULL;
    evs_window_options o = ten_seconds(EVS_EMIT_FINAL);
    evs_stream *w;
    evs_pipeline_set(kit_pipeline(k), "exchange.partitions", "1");
    k->source = evs_source(k->p, "memory", SOURCE("partitions", "2"));
    w = evs_window_by(k->source, "user", &o, "count(*) AS c");
    FAILS(evs_pipeline_explain_window(w, 0, &text, &k->err), EVS_ERR_MISUSE, "not running");
    OK(kit_event(k, 0, 1000, 1, 1));
    kit_drain(k);
    OK(evs_pipeline_explain_window(w, 0, &text, &k->err));
    assert_non_null(strstr(text, "held by step \"source_1\" topic \"memory\" partition 1"));
    FAILS(evs_pipeline_explain_window(k->source, 0, &text, &k->err), EVS_ERR_MISUSE,
          "is no window");
    OK(evs_pipeline_close(k->p, &k->err));
    FAILS(evs_pipeline_explain_window(w, 0, &text, &k->err), EVS_ERR_MISUSE, "not running");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_poll_counts_per_key_and_window),
        KIT_TEST(test_restart_goes_on_after_the_last_epoch),
        KIT_TEST(test_close_commits_what_was_processed),
        KIT_TEST(test_end_without_closing_windows_leaves_them_open),
        KIT_TEST(test_watermark_is_the_slowest_partition),
        KIT_TEST(test_idle_partition_does_not_hold_time_back),
        KIT_TEST(test_close_after_closes_windows_without_events),
        KIT_TEST(test_gap_between_polls_reads_before_the_clock_counts),
        KIT_TEST(test_event_time_units),
        KIT_TEST(test_event_time_before_1990_warns_once),
        KIT_TEST(test_processing_time_windows_follow_the_clock),
        KIT_TEST(test_alignment_lets_the_fast_partition_wait),
        KIT_TEST(test_window_of_windows),
        KIT_TEST(test_source_partitioned_by_the_key_needs_no_exchange),
        KIT_TEST(test_dead_letters_of_each_stage),
        KIT_TEST(test_rows_the_sink_cannot_write_are_dead_letters),
        KIT_TEST(test_rows_the_server_refuses_afterwards_are_dead_letters),
        KIT_TEST(test_row_refused_afterwards_with_on_error_fail_stops),
        KIT_TEST(test_on_error_skip_counts_only_and_fail_stops),
        KIT_TEST(test_dead_letters_without_an_output_are_logged),
        KIT_TEST(test_apply_rejects_to_the_dead_letters_and_may_fail),
        KIT_TEST(test_each_failure_stops_the_pipeline),
        KIT_TEST(test_late_stream_takes_the_late_rows),
        KIT_TEST(test_meta_columns_hold_what_the_record_says),
        KIT_TEST(test_key_that_is_no_text_is_a_dead_letter_unless_bytes),
        KIT_TEST(test_push_batches_with_their_own_times),
        KIT_TEST(test_push_after_restart_skips_rows_that_are_committed),
        KIT_TEST(test_push_failures),
        KIT_TEST(test_callback_source_goes_on_with_new_rows),
        KIT_TEST(test_named_log_joins_two_pipelines),
        KIT_TEST(test_json_without_columns_is_told_which_there_are),
        KIT_TEST(test_descriptor_is_readable_while_there_is_work),
        KIT_TEST(test_poll_waits_for_its_budget_only),
        KIT_TEST(test_state_and_metrics_before_start),
        KIT_TEST(test_metrics_text_is_clean_for_promtool),
        KIT_TEST(test_explain_window_says_who_holds_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
