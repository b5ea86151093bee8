/*
 * Out-of-memory sweeps over a whole pipeline, a consumer and a sink handle: every allocation fails
 * once, alone and with all that follow. A run ends well or with EVS_ERR_NOMEM, gives everything
 * back, and what it committed before is right.
 */
#include "pipeline_kit.h"

static database *db_of(void *user_data)
{
    return user_data;
}

static evs_status register_all(evs_context *ctx, void *user_data, evs_error **reterr)
{
    evs_status status = evs_connector_register(ctx, &txn_connector, reterr);
    if (!status)
        status = evs_connector_register(ctx, &upsert_connector, reterr);
    if (!status)
        status = evs_context_attach(ctx, "evs.test.db", user_data, NULL, reterr);
    return status;
}

static int64_t standing_clock(void *user)
{
    (void)user;
    return 1000000;
}

static evs_stream *build(evs_pipeline *p, const char *dir)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    evs_stream *source, *w;

    p->hooks.now_ms = standing_clock;
    o.size_ms = 10000;
    evs_pipeline_set(p, "state.dir", dir);
    evs_pipeline_set(p, "exchange.partitions", "2");
    source = evs_source(p, "memory",
                        EVS_OPTIONS("columns", "user VARCHAR, n INT", "partitions", "2",
                                    "out_of_orderness", "0", "close_after", "forever"));
    w = evs_window_by(evs_filter(source, "n >= 0 AND _partition < 9"), "user", &o,
                      "count(*) AS c, sum(n) AS s");
    evs_sink(evs_project(w, "user, window_start, window_end, c, s"), "txn", NULL);
    evs_sink(evs_late(w), "memory", EVS_OPTIONS("name", "late"));
    evs_dead_letters(p, "memory", EVS_OPTIONS("name", "letters"));
    return source;
}

static evs_status push(evs_stream *source, const char *text, int64_t time, int32_t partition)
{
    return evs_stream_push_bytes(source, text, strlen(text), "k", 1, time, partition, NULL);
}

static evs_status run(evs_pipeline *p, evs_stream *source)
{
    static const char *const events[] = {"{\"user\":\"a\",\"n\":1}", "{\"user\":\"b\",\"n\":2}",
                                         "nonsense", "{\"user\":null,\"n\":3}",
                                         "{\"user\":\"a\",\"n\":4}"};
    evs_status status = EVS_OK;
    const char *text;

    for (int i = 0; !status && i < 20; i++)
        status = push(source, events[i % 5], i == 19 ? 1 : i * 1000, i % 2);
    while (!status)
        status = evs_pipeline_poll(p, 0, NULL);
    if (status == EVS_AGAIN)
        status = evs_pipeline_commit(p, NULL);
    if (!status)
        status = evs_pipeline_metrics_text(p, &text, NULL);
    if (!status)
        status = evs_pipeline_explain(p, &text, NULL);
    if (!status)
        status = evs_stream_push_end(source, NULL);
    while (!status)
        status = evs_pipeline_poll(p, 0, NULL);
    return status == EVS_END ? evs_pipeline_close(p, NULL) : status;
}

#define RESULTS                                                                                    \
    "a|1970-01-01T00:00:00.000Z|1970-01-01T00:00:10.000Z|4|10\n"                                   \
    "a|1970-01-01T00:00:10.000Z|1970-01-01T00:00:20.000Z|3|6\n"                                    \
    "b|1970-01-01T00:00:00.000Z|1970-01-01T00:00:10.000Z|2|4\n"                                    \
    "b|1970-01-01T00:00:10.000Z|1970-01-01T00:00:20.000Z|2|4"

static bool is_table(const table *t, const char *want)
{
    char *text = table_text(t);
    bool same = strcmp(text, want) == 0;

    if (!same)
        print_error("got\n%s\n", text);
    free(text);
    return same;
}

static evs_status pipeline_scenario(evs_context *ctx, void *user_data)
{
    database *db = db_of(user_data);
    evs_pipeline *p = NULL;
    evs_error *err = NULL;
    char dir[] = "/dev/shm/evs-test-XXXXXX";
    evs_status status;

    database_clear(db);
    if (!mkdtemp(dir))
        return EVS_ERR_IO;
    status = register_all(ctx, user_data, &err);
    if (!status)
        status = evs_pipeline_new(ctx, "p", &p, &err);
    if (!status)
        status = run(p, build(p, dir));
    /* 7 of "a" and 4 of "b" in two windows; the last event is late */
    if (!status && !is_table(&db->committed, RESULTS))
        status = EVS_ERR_INTERNAL;
    evs_error_unref(err);
    evs_pipeline_unref(p);
    remove_dir(dir);
    return status == EVS_AGAIN ? EVS_ERR_INTERNAL : status;
}

static void test_pipeline_without_memory_ends_cleanly(void **state)
{
    database db = {.epoch = -1};
    (void)state;
    assert_true(evs_test_oom_sweep_step(pipeline_scenario, &db, 1) > 100);
    database_clear(&db);
}

/* ---- Avro, stateless steps, rows to the host ---- */

static const char basket_text[] =
    ("{\"type\":\"record\",\"name\":\"basket\",\"fields\":["
     "{\"name\":\"user\",\"type\":\"string\"},"
     "{\"name\":\"items\",\"type\":{\"type\":\"array\",\"items\":{\"type\":\"record\","
     "\"name\":\"item\",\"fields\":[{\"name\":\"sku\",\"type\":\"string\"},"
     "{\"name\":\"n\",\"type\":\"int\"}]}}}]}");
/* u: {a 1} {b 2}; u: {c -1}, which the host refuses; v: nothing; the last one is no Avro */
static const char *const baskets[] = {"\2u\4\2a\2\2b\4", "\2u\2\2c\1", "\2v", "\2"};
static const size_t basket_sizes[] = {10, 7, 3, 1};

static evs_status twice(const evs_row *row, evs_apply_out *out, void *user_data)
{
    evs_string_view user = {NULL, 0};
    int64_t n = 0;
    evs_status status = evs_row_string(row, 0, &user.data, &user.len);

    (void)user_data;
    if (!status)
        status = evs_row_int(row, 1, &n);
    if (n < 0)
        evs_apply_reject(out, "negative");
    for (int i = 0; !status && n >= 0 && i < 2; i++) {
        evs_append_string(evs_apply_appender(out), user.data, user.len);
        evs_append_int(evs_apply_appender(out), n);
        status = evs_append_end_row(evs_apply_appender(out), NULL);
    }
    return status;
}

static evs_status add_up(const evs_row *row, void *user_data)
{
    int64_t *sums = user_data, n = 0;
    evs_status status = evs_row_int(row, evs_row_field(row, "s"), &n);

    sums[0]++;
    sums[1] += n;
    return status;
}

static evs_status steps_run(evs_pipeline *p, int64_t *sums)
{
    const evs_options *source_options =
        EVS_OPTIONS("format", "avro", "framing", "none", "schema", basket_text, "out_of_orderness",
                    "0", "close_after", "forever");
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    evs_stream *source, *s;
    evs_status status = EVS_OK;

    p->hooks.now_ms = standing_clock;
    o.size_ms = 10000;
    o.emit = EVS_EMIT_FINAL;
    source = evs_source(p, "memory", source_options);
    s = evs_project(evs_explode(evs_filter(source, "user <> 'w'"), "items", "item"),
                    "user, item.n * 10 AS n");
    s = evs_window_by(evs_apply(s, "user VARCHAR, n BIGINT", twice, NULL), "user", &o,
                      "sum(n) AS s");
    evs_each(s, add_up, sums);
    evs_dead_letters(p, "upsert", NULL);
    for (int i = 0; !status && i < 4; i++)
        status = evs_stream_push_bytes(source, baskets[i], basket_sizes[i], NULL, 0, i, 0, NULL);
    if (!status)
        status = evs_stream_push_end(source, NULL);
    while (!status)
        status = evs_pipeline_poll(p, 0, NULL);
    return status == EVS_END ? evs_pipeline_close(p, NULL) : status;
}

static evs_status steps_scenario(evs_context *ctx, void *user_data)
{
    database *db = db_of(user_data);
    evs_pipeline *p = NULL;
    int64_t sums[2] = {0, 0};
    evs_status status;

    database_clear(db);
    status = register_all(ctx, user_data, NULL);
    if (!status)
        status = evs_pipeline_new(ctx, "steps", &p, NULL);
    if (!status)
        status = steps_run(p, sums);
    /* the host's step had no memory for its rows, and said so: that is how it is told */
    if (status == EVS_ERR_CALLBACK)
        status = EVS_ERR_NOMEM;
    /* one group: 2 * (10 + 20); letters: one that the host refused, one that is no Avro */
    if (!status && (sums[0] != 1 || sums[1] != 60 || db->committed.count != 2))
        status = EVS_ERR_INTERNAL;
    evs_pipeline_unref(p);
    return status == EVS_AGAIN ? EVS_ERR_INTERNAL : status;
}

static void test_steps_without_memory_end_cleanly(void **state)
{
    database db = {.epoch = -1};
    (void)state;
    assert_true(evs_test_oom_sweep(steps_scenario, &db) > 100);
    database_clear(&db);
}

/* ---- restart ---- */

/* a second start from a snapshot, an epoch that is given up, and the plan's texts */
static evs_status restart_scenario(evs_context *ctx, void *user_data)
{
    database *db = db_of(user_data);
    evs_pipeline *p = NULL;
    evs_stream *source = NULL;
    evs_error *err = NULL;
    char dir[] = "/dev/shm/evs-test-XXXXXX";
    evs_status status;

    database_clear(db);
    if (!mkdtemp(dir))
        return EVS_ERR_IO;
    status = register_all(ctx, user_data, &err);
    for (int i = 0; !status && i < 2; i++) {
        status = evs_pipeline_new(ctx, "p", &p, &err);
        if (status)
            break;
        source = build(p, dir);
        status = push(source, "{\"user\":\"a\",\"n\":1}", 1000, 0);
        if (!status && i)
            status = push(source, "{\"user\":\"a\",\"n\":2}", 2000, 0);
        while (!status)
            status = evs_pipeline_poll(p, 0, NULL);
        db->for_good = true;
        db->fail_commits = i;
        if (status == EVS_AGAIN)
            status = evs_pipeline_commit(p, NULL);
        /* given up on purpose: the replay follows */
        if (i && status == EVS_ERR_IO)
            status = evs_pipeline_commit(p, NULL);
        if (!status)
            status = evs_pipeline_close(p, NULL);
        p = evs_pipeline_unref(p);
    }
    evs_error_unref(err);
    evs_pipeline_unref(p);
    remove_dir(dir);
    return status;
}

static void test_restart_without_memory_ends_cleanly(void **state)
{
    database db = {.epoch = -1};
    (void)state;
    assert_true(evs_test_oom_sweep_step(restart_scenario, &db, 1) > 100);
    database_clear(&db);
}

static evs_status handles_scenario(evs_context *ctx, void *user_data)
{
    evs_schema *schema = NULL;
    evs_appender *a = NULL;
    evs_batch *b = NULL, *got = NULL;
    evs_sink_handle *s = NULL;
    evs_consumer *c = NULL;
    evs_status status = evs_schema_columns(ctx, "user VARCHAR, n INT", &schema, NULL);

    (void)user_data;
    if (!status)
        status = evs_appender_new(ctx, evs_schema_type(schema), &a, NULL);
    if (!status) {
        evs_append_string(a, "u", 1);
        evs_append_int(a, 1);
        status = evs_append_end_row(a, NULL);
    }
    if (!status)
        status = evs_appender_take(a, &b, NULL);
    if (!status)
        status = evs_sink_open(ctx, "memory", EVS_OPTIONS("name", "log"), schema, 1, &s, NULL);
    if (!status)
        status = evs_sink_write(s, b, NULL);
    if (!status)
        status = evs_sink_commit(s, 1, NULL);
    if (!status)
        status = evs_consumer_new(
            ctx, EVS_OPTIONS("connector", "memory", "name", "log", "bounded", "true"), NULL, &c,
            NULL);
    if (!status)
        status = evs_consumer_poll(c, 0, &got, NULL);
    if (!status && evs_batch_rows(got) != 1)
        status = EVS_ERR_INTERNAL;
    if (!status)
        status = evs_consumer_commit(c, NULL);
    evs_sink_close(s);
    evs_consumer_close(c);
    evs_batch_unref(b);
    evs_appender_unref(a);
    evs_schema_unref(schema);
    return status;
}

static void test_handles_without_memory_end_cleanly(void **state)
{
    (void)state;
    assert_true(evs_test_oom_sweep(handles_scenario, NULL) > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handles_without_memory_end_cleanly),
        cmocka_unit_test(test_steps_without_memory_end_cleanly),
        cmocka_unit_test(test_pipeline_without_memory_ends_cleanly),
        cmocka_unit_test(test_restart_without_memory_ends_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
