/*
 * Out-of-memory sweeps over windows: rows through the appender and as columns, late rows, closing,
 * taking, snapshots. What succeeded must have counted every row, whatever failed in between.
 */
#include <stdio.h>

#include "evs_test.h"

#include "engine/operator.h"

#define COLUMNS "page VARCHAR, user BIGINT, ms DOUBLE, price DECIMAL(9,2)"
#define AGGREGATES                                                                                 \
    "count(*) AS n, sum(user), avg(ms), sum(price), min(page), max(page), count_distinct(page), "  \
    "count(DISTINCT user)"
/* merging allocates a lot, and the sweep is quadratic in that */
#define FEW "count(*) AS n, min(page), collect_list(user)"

typedef struct scenario {
    evs_context *ctx;
    evs_schema *schema;
    evs_window *window;
    int64_t counted; /* rows in results */
    int64_t late;    /* refusals: a row of windows that overlap can be refused by several */
    int32_t kind;
} scenario;

/* windows that a row is in */
static int64_t overlap_of(int32_t kind)
{
    return kind == EVS_WINDOW_HOPPING ? 5 : 1;
}

static evs_status open_window(scenario *s, int32_t emit, evs_window **ret)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    o.kind = s->kind;
    o.size_ms = s->kind == EVS_WINDOW_SESSION ? 0 : 10;
    o.advance_ms = s->kind == EVS_WINDOW_HOPPING ? 2 : 0;
    o.gap_ms = s->kind == EVS_WINDOW_SESSION ? 3 : 0;
    o.emit = emit;
    o.out_of_orderness_ms = 20;
    return evs_window_new(s->ctx, s->schema, "page, user % 3 AS third",
                          s->kind == EVS_WINDOW_TUMBLING ? AGGREGATES : FEW, &o, ret, NULL);
}

static void append(evs_appender *a, int64_t i)
{
    char page[64];
    int n =
        snprintf(page, sizeof(page), i % 2 ? "/%d" : "/a/page/with/a/longer/name/%d", (int)(i % 7));
    evs_append_time(a, i % 29 == 28 ? 0 : i);
    evs_append_string(a, page, (size_t)n);
    evs_append_int(a, i);
    evs_append_double(a, 0.5);
    evs_append_decimal(a, "1.25");
}

/* a row that found no memory may be appended again */
static evs_status append_rows(evs_window *w, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++) {
        evs_status status = EVS_ERR_NOMEM;
        for (int tries = 0; status == EVS_ERR_NOMEM && tries < 2; tries++) {
            append(evs_window_appender(w), i);
            status = evs_append_end_row(evs_window_appender(w), NULL);
        }
        if (status)
            return status;
    }
    return EVS_OK;
}

static evs_status take_all(scenario *s, evs_window *w)
{
    evs_batch *b = NULL;
    evs_status status;

    while ((status = evs_window_take(w, &b, NULL)) == EVS_OK) {
        evs_column_view n;
        evs_batch_column(b, 4, &n);
        for (size_t i = 0; i < evs_batch_rows(b); i++)
            s->counted += ((const int64_t *)n.values)[i];
        evs_batch_unref(b);
    }
    while (status == EVS_END && (status = evs_window_take_late(w, &b, NULL)) == EVS_OK) {
        evs_column_view n;
        evs_batch_column(b, 6, &n);
        for (size_t i = 0; i < evs_batch_rows(b); i++)
            s->late += ((const int32_t *)n.values)[i];
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

static evs_status window_scenario(evs_context *ctx, void *user_data)
{
    scenario s = {.ctx = ctx, .kind = *(const int32_t *)user_data};
    evs_window *other = NULL;
    const void *data = NULL;
    size_t len = 0;
    evs_status status = evs_schema_columns(ctx, COLUMNS, &s.schema, NULL);
    int64_t rows = 0;

    if (!status)
        status = open_window(&s, EVS_EMIT_FINAL, &s.window);
    if (!status)
        status = open_window(&s, EVS_EMIT_FINAL, &other);
    if (status)
        goto out;
    status = append_rows(s.window, 0, 60);
    if (status)
        goto out;
    RETRY(evs_window_advance(s.window, 45, NULL));
    RETRY(take_all(&s, s.window));
    status = append_rows(s.window, 60, 90);
    if (status)
        goto out;
    RETRY(evs_window_snapshot(s.window, &data, &len, NULL));
    RETRY(evs_window_restore(other, data, len, NULL));
    RETRY(evs_window_advance(other, INT64_MAX, NULL));
    RETRY(take_all(&s, other));
    rows = evs_window_counter(s.window, "rows");
    if (rows != 90 || s.counted + s.late != 90 * overlap_of(s.kind) || s.late == 0)
        status = EVS_ERR_INTERNAL;
out:
    evs_window_unref(s.window);
    evs_window_unref(other);
    evs_schema_unref(s.schema);
    return status;
}

/* every call may fail for ever: what is left must still be releasable, and usable when memory is
 * back */
static evs_status changes_scenario(evs_context *ctx, void *user_data)
{
    scenario s = {.ctx = ctx, .kind = *(const int32_t *)user_data};
    evs_status status = evs_schema_columns(ctx, COLUMNS, &s.schema, NULL);

    if (!status)
        status = open_window(&s, EVS_EMIT_CHANGES, &s.window);
    for (int64_t i = 0; i < 90 && !status; i += 10) {
        status = append_rows(s.window, i, i + 10);
        if (!status)
            status = take_all(&s, s.window);
    }
    if (!status)
        status = evs_window_advance(s.window, INT64_MAX, NULL);
    if (!status)
        status = take_all(&s, s.window);
    evs_window_unref(s.window);
    evs_schema_unref(s.schema);
    return status;
}

/* ---- a batch that found no memory was not taken ---- */

static evs_batch *make_batch(evs_context *ctx, evs_schema *schema, int64_t from, int64_t to)
{
    evs_appender *a = NULL;
    evs_batch *b = NULL;
    if (evs_appender_new(ctx, evs_schema_type(schema), &a, NULL))
        return NULL;
    for (int64_t i = from; i < to; i++) {
        append(a, i);
        if (evs_append_end_row(a, NULL))
            break;
    }
    if (evs_appender_rows(a) == (size_t)(to - from))
        evs_appender_take(a, &b, NULL);
    evs_appender_unref(a);
    return b;
}

static evs_status push_twice(evs_window *w, evs_batch *b)
{
    int64_t rows = evs_window_counter(w, "rows"), late = evs_window_counter(w, "late");
    int64_t open = evs_window_counter(w, "open_windows"), mark = evs_window_watermark(w);
    evs_status status = evs_window_push(w, b, NULL);

    if (status != EVS_ERR_NOMEM)
        return status;
    if (evs_window_counter(w, "rows") != rows || evs_window_counter(w, "late") != late ||
        evs_window_counter(w, "open_windows") != open || evs_window_watermark(w) != mark)
        return EVS_ERR_INTERNAL;
    return evs_window_push(w, b, NULL);
}

static evs_status batch_scenario(evs_context *ctx, void *user_data)
{
    scenario s = {.ctx = ctx, .kind = *(const int32_t *)user_data};
    evs_status status = evs_schema_columns(ctx, COLUMNS, &s.schema, NULL);

    if (!status)
        status = open_window(&s, EVS_EMIT_FINAL, &s.window);
    for (int64_t i = 0; i < 300 && !status; i += 100) {
        evs_batch *b = make_batch(ctx, s.schema, i, i + 100);
        status = b ? push_twice(s.window, b) : EVS_ERR_NOMEM;
        evs_batch_unref(b);
    }
    if (!status)
        status = evs_window_advance(s.window, INT64_MAX, NULL);
    if (!status)
        status = take_all(&s, s.window);
    if (!status && (s.counted + s.late != 300 * overlap_of(s.kind) || s.late < 5))
        status = EVS_ERR_INTERNAL;
    evs_window_unref(s.window);
    evs_schema_unref(s.schema);
    return status;
}

static evs_status hasher_scenario(evs_context *ctx, void *user_data)
{
    evs_schema *schema = NULL;
    evs__key_hasher *h = NULL;
    evs_batch *b = NULL;
    uint64_t hashes[10];
    evs_status status = evs_schema_columns(ctx, COLUMNS, &schema, NULL);

    (void)user_data;
    if (!status)
        status = evs__key_hasher_new(ctx, evs_schema_type(schema), "page, user + 1", &h, NULL);
    if (!status) {
        b = make_batch(ctx, schema, 0, 10);
        status = b ? evs__key_hasher_run(h, b, hashes, NULL) : EVS_ERR_NOMEM;
    }
    evs__key_hasher_free(h);
    evs_batch_unref(b);
    evs_schema_unref(schema);
    return status;
}

static void sweep(evs_test_scenario run, long least)
{
    int32_t kinds[] = {EVS_WINDOW_TUMBLING, EVS_WINDOW_HOPPING, EVS_WINDOW_SESSION};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        long calls = evs_test_oom_sweep(run, &kinds[i]);
        assert_true(calls > least);
    }
}

static void test_window_every_allocation_failing_loses_no_row(void **state)
{
    (void)state;
    sweep(window_scenario, 100);
}

static void test_changes_every_allocation_failing_is_clean(void **state)
{
    (void)state;
    sweep(changes_scenario, 100);
}

static void test_push_every_allocation_failing_takes_nothing(void **state)
{
    (void)state;
    sweep(batch_scenario, 100);
}

static void test_key_hasher_every_allocation_failing_is_clean(void **state)
{
    (void)state;
    sweep(hasher_scenario, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window_every_allocation_failing_loses_no_row),
        cmocka_unit_test(test_changes_every_allocation_failing_is_clean),
        cmocka_unit_test(test_push_every_allocation_failing_takes_nothing),
        cmocka_unit_test(test_key_hasher_every_allocation_failing_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
