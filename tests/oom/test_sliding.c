/*
 * Out-of-memory sweeps over sliding windows: batches with disorder and late rows, closing, taking,
 * changes, snapshots. A batch that found no memory was not taken and is pushed again; results must
 * be those of a run without failures.
 */
#include "evs_test.h"

#define COLUMNS "k VARCHAR NOT NULL, v BIGINT NOT NULL, s VARCHAR"
#define AGGREGATES "count(*) AS n, sum(v), max(v), min(s), collect_list(v), count_distinct(v)"
#define ROWS 90

typedef struct scenario {
    int32_t emit;
    int64_t counted, rows, late; /* of the run before */
    bool known;
} scenario;

static evs_status open_window(evs_context *ctx, evs_schema *schema, int32_t emit, evs_window **ret)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    o.kind = EVS_WINDOW_SLIDING;
    o.size_ms = 20;
    o.grace_ms = 3;
    o.emit = emit;
    o.out_of_orderness_ms = 5;
    return evs_window_new(ctx, schema, "k", AGGREGATES, &o, ret, NULL);
}

static evs_batch *make_batch(evs_context *ctx, evs_schema *schema, int64_t from, int64_t to)
{
    evs_appender *a = NULL;
    evs_batch *b = NULL;

    if (evs_appender_new(ctx, evs_schema_type(schema), &a, NULL))
        return NULL;
    for (int64_t i = from; i < to; i++) {
        evs_append_time(a, i % 11 == 10 ? i - 9 : i % 17 == 16 ? i - 25 : i);
        evs_append_string(a, i % 5 ? "a" : "a longer key than fits inline", i % 5 ? 1 : 29);
        evs_append_int(a, i % 7);
        evs_append_string(a, "some text that is long", (size_t)(3 + i % 19));
        if (evs_append_end_row(a, NULL))
            break;
    }
    if (evs_appender_rows(a) == (size_t)(to - from))
        evs_appender_take(a, &b, NULL);
    evs_appender_unref(a);
    return b;
}

typedef struct totals {
    int64_t counted, rows, late;
} totals;

static evs_status take_all(totals *t, evs_window *w)
{
    evs_batch *b = NULL;
    evs_status status;

    while ((status = evs_window_take(w, &b, NULL)) == EVS_OK) {
        evs_column_view n;
        evs_batch_column(b, 3, &n);
        for (size_t i = 0; i < evs_batch_rows(b); i++)
            t->counted += ((const int64_t *)n.values)[i];
        t->rows += (int64_t)evs_batch_rows(b);
        evs_batch_unref(b);
    }
    while (status == EVS_END && (status = evs_window_take_late(w, &b, NULL)) == EVS_OK) {
        t->late += (int64_t)evs_batch_rows(b);
        evs_batch_unref(b);
        status = EVS_END;
    }
    return status == EVS_END ? EVS_OK : status;
}

/* one failure is told, nothing is lost: the same call goes well afterwards */
#define RETRY(call)                                                                                \
    do {                                                                                           \
        status = (call);                                                                           \
        if (status == EVS_ERR_NOMEM)                                                               \
            status = (call);                                                                       \
        if (status)                                                                                \
            goto out;                                                                              \
    } while (0)

static evs_status push(evs_window *w, evs_batch *b)
{
    int64_t rows = evs_window_counter(w, "rows"), open = evs_window_counter(w, "open_windows");
    int64_t late = evs_window_counter(w, "late");
    evs_status status = evs_window_push(w, b, NULL);

    if (status != EVS_ERR_NOMEM)
        return status;
    if (evs_window_counter(w, "rows") != rows || evs_window_counter(w, "open_windows") != open ||
        evs_window_counter(w, "late") != late)
        return EVS_ERR_INTERNAL;
    return evs_window_push(w, b, NULL);
}

static evs_status sliding_scenario(evs_context *ctx, void *user_data)
{
    scenario *s = user_data;
    evs_schema *schema = NULL;
    evs_window *w = NULL, *other = NULL;
    evs_batch *b = NULL;
    totals t = {0, 0, 0};
    evs_status status = evs_schema_columns(ctx, COLUMNS, &schema, NULL);

    if (!status)
        status = open_window(ctx, schema, s->emit, &w);
    for (int64_t i = 0; i < ROWS && !status; i += 15) {
        const void *data = NULL;
        size_t len = 0;
        b = make_batch(ctx, schema, i, i + 15);
        status = b ? EVS_OK : EVS_ERR_NOMEM;
        if (status)
            goto out;
        RETRY(push(w, b));
        b = evs_batch_unref(b);
        RETRY(take_all(&t, w));
        if (i != 45)
            continue;
        status = open_window(ctx, schema, s->emit, &other);
        if (status)
            goto out;
        RETRY(evs_window_snapshot(w, &data, &len, NULL));
        RETRY(evs_window_restore(other, data, len, NULL));
        evs_window_unref(w);
        w = other;
        other = NULL;
    }
    if (status)
        goto out;
    RETRY(evs_window_advance(w, INT64_MAX, NULL));
    RETRY(take_all(&t, w));
    if (s->known && (t.counted != s->counted || t.rows != s->rows || t.late != s->late))
        status = EVS_ERR_INTERNAL;
    s->counted = t.counted;
    s->rows = t.rows;
    s->late = t.late;
    s->known = true;
out:
    evs_batch_unref(b);
    evs_window_unref(w);
    evs_window_unref(other);
    evs_schema_unref(schema);
    return status;
}

static void sweep(int32_t emit)
{
    scenario s = {.emit = emit};
    evs_context *ctx = NULL;

    assert_int_equal(evs_context_new(NULL, &ctx, NULL), EVS_OK);
    assert_int_equal(sliding_scenario(ctx, &s), EVS_OK);
    evs_context_unref(ctx);
    assert_true(s.rows > ROWS && s.late > 2);
    assert_true(evs_test_oom_sweep(sliding_scenario, &s) > 100);
}

static void test_sliding_every_allocation_failing_loses_nothing(void **state)
{
    (void)state;
    sweep(EVS_EMIT_FINAL);
}

static void test_sliding_changes_every_allocation_failing_loses_nothing(void **state)
{
    (void)state;
    sweep(EVS_EMIT_CHANGES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sliding_every_allocation_failing_loses_nothing),
        cmocka_unit_test(test_sliding_changes_every_allocation_failing_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
