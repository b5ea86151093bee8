/*
 * Windows of a number of rows: by example, against a model on random streams, without memory,
 * forged snapshots.
 */
#include "evs_test.h"
#include "window_kit.h"

#include "base/hash.h"

#define ROWS "k VARCHAR, v BIGINT"
#define SUMS "count(*) AS n, sum(v) AS s, max(v) AS m"

static evs_window_options counted(int64_t size, int64_t advance)
{
    evs_window_options o = kit_options(0, EVS_EMIT_FINAL);
    o.kind = EVS_WINDOW_COUNT;
    o.size_rows = size;
    o.advance_rows = advance;
    return o;
}

static void open_counted(kit *k, int64_t size, int64_t advance)
{
    evs_window_options o = counted(size, advance);
    kit_open(k, ROWS, "k", SUMS, &o);
}

static void test_counted_rows_side_by_side(void **state)
{
    kit k;
    (void)state;

    open_counted(&k, 2, 0);
    kit_row(&k, 10, "a,1");
    kit_row(&k, 5, "b,2");
    kit_row(&k, 7, "a,4");
    kit_row(&k, 20, "a,8");
    assert_string_equal(kit_results(&k), "+a 10 7 2 5 4\n");
    assert_int_equal(evs_window_counter(k.window, "open_windows"), 2);
    kit_row(&k, 21, "b,16");
    kit_row(&k, 0, "a,32");
    kit_advance(&k, INT64_MAX);
    assert_string_equal(kit_results(&k), "+b 5 21 2 18 16\n+a 20 0 2 40 32\n");
    assert_int_equal(evs_window_counter(k.window, "open_windows"), 0);
    assert_string_equal(kit_late(&k), "");
    kit_close(&k);
}

static void test_counted_last_rows_each_advance(void **state)
{
    kit k;
    (void)state;

    open_counted(&k, 3, 1);
    kit_row(&k, 1, "a,1");
    kit_row(&k, 2, "a,9");
    kit_row(&k, 3, "a,4");
    kit_row(&k, 4, "a,3");
    kit_row(&k, 5, "a,2");
    assert_string_equal(kit_results(&k), "+a 1 1 1 1 1\n"
                                         "+a 1 2 2 10 9\n"
                                         "+a 1 3 3 14 9\n"
                                         "+a 2 4 3 16 9\n"
                                         "+a 3 5 3 9 4\n");
    kit_close(&k);
}

static void test_counted_bad_options_are_told(void **state)
{
    static const struct {
        int64_t size, advance, size_ms, grace;
        int32_t emit;
        const char *part;
    } bad[] = {
        {0, 0, 0, 0, EVS_EMIT_FINAL, "size_rows"},    {-1, 0, 0, 0, EVS_EMIT_FINAL, "size_rows"},
        {2, 3, 0, 0, EVS_EMIT_FINAL, "advance_rows"}, {2, -1, 0, 0, EVS_EMIT_FINAL, "advance_rows"},
        {2, 1, 5, 0, EVS_EMIT_FINAL, "size_ms"},      {2, 1, 0, 5, EVS_EMIT_FINAL, "grace_ms"},
        {2, 1, 0, 0, EVS_EMIT_CHANGES, "final"},
    };
    evs_window_options o = kit_options(10, EVS_EMIT_FINAL);
    evs_window *w = NULL;
    evs_error *err = NULL;
    kit k;
    (void)state;

    open_counted(&k, 2, 1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        evs_window_options b = counted(bad[i].size, bad[i].advance);
        b.size_ms = bad[i].size_ms;
        b.grace_ms = bad[i].grace;
        b.emit = bad[i].emit;
        assert_int_equal(evs_window_new(k.ctx, k.schema, "k", SUMS, &b, &w, &err), EVS_ERR_INVALID);
        assert_non_null(strstr(evs_error_message(err), bad[i].part));
        evs_error_unref(err);
        err = NULL;
    }
    o.size_rows = 5;
    assert_int_equal(evs_window_new(k.ctx, k.schema, "k", SUMS, &o, &w, &err), EVS_ERR_INVALID);
    evs_error_unref(err);
    kit_close(&k);
}

/* ---- the definition, on random streams ---- */

#define STREAM_MAX 300

static int64_t pick(uint64_t *random, int64_t low, int64_t high)
{
    return low + (int64_t)(evs_test_random(random) % (uint64_t)(high - low + 1));
}

typedef struct input {
    int64_t t, v;
    int key;
} input;

/* the result of row i if one is due with it */
static void model_row(const input *rows, int i, int64_t size, int64_t advance, char *out)
{
    int64_t n = 0, sum = 0, high = INT64_MIN, first = 0, seen = 0;

    for (int j = 0; j <= i; j++)
        seen += rows[j].key == rows[i].key;
    if (seen % advance)
        return;
    for (int j = i; j >= 0 && n < size; j--) {
        if (rows[j].key != rows[i].key)
            continue;
        n++;
        sum += rows[j].v;
        high = rows[j].v > high ? rows[j].v : high;
        first = rows[j].t;
    }
    sprintf(out + strlen(out), "+k%d %lld %lld %lld %lld %lld\n", rows[i].key, (long long)first,
            (long long)rows[i].t, (long long)n, (long long)sum, (long long)high);
}

static void restart(kit *k, const evs_window_options *o)
{
    evs_window *next = NULL;
    const void *data = NULL;
    size_t len = 0;

    assert_int_equal(evs_window_new(k->ctx, k->schema, "k", SUMS, o, &next, NULL), EVS_OK);
    assert_int_equal(evs_window_snapshot(k->window, &data, &len, NULL), EVS_OK);
    assert_int_equal(evs_window_restore(next, data, len, NULL), EVS_OK);
    evs_window_unref(k->window);
    k->window = next;
}

static void run_stream(uint64_t seed)
{
    static input rows[STREAM_MAX];
    static char want[KIT_TEXT], got[KIT_TEXT];
    uint64_t random = seed;
    int64_t advance = pick(&random, 1, 12), size = advance + pick(&random, 0, pick(&random, 0, 60));
    int n = (int)pick(&random, 0, STREAM_MAX), keys = (int)pick(&random, 1, 4);
    evs_window_options o;
    kit k;

    size = pick(&random, 0, 3) ? size : advance;
    o = counted(size, advance);
    kit_open(&k, ROWS, "k", SUMS, &o);
    *want = *got = '\0';
    for (int i = 0; i < n; i++) {
        char row[32];
        rows[i] =
            (input){pick(&random, -50, 50), pick(&random, -99, 99), (int)pick(&random, 1, keys)};
        snprintf(row, sizeof(row), "k%d,%lld", rows[i].key, (long long)rows[i].v);
        kit_row(&k, rows[i].t, row);
        model_row(rows, i, size, advance, want);
        if (!pick(&random, 0, 9)) /* pushes the rows */
            assert_int_equal(evs_window_advance(k.window, i, NULL), EVS_OK);
        if (!pick(&random, 0, 30))
            restart(&k, &o);
        if (!pick(&random, 0, 20))
            strcat(got, kit_results(&k));
    }
    strcat(got, kit_results(&k));
    if (strcmp(got, want) != 0)
        fprintf(stderr, "seed %llu\n--- model\n%s--- window\n%s", (unsigned long long)seed, want,
                got);
    assert_true(strcmp(got, want) == 0);
    kit_close(&k);
}

static void test_counted_random_streams_equal_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 500; seed++)
        run_stream(seed);
}

static void test_counted_many_rows_share_their_work(void **state)
{
    int64_t windows = 0, v;
    evs_batch *b = NULL;
    kit k;
    (void)state;

    open_counted(&k, 5000, 1);
    for (int64_t i = 0; i < 30000; i++)
        kit_row(&k, i, "a,1");
    kit_advance(&k, 0);
    while (evs_window_take(k.window, &b, NULL) == EVS_OK) {
        for (size_t i = 0; i < evs_batch_rows(b); i++, windows++) {
            evs_row row = evs_batch_row(b, i);
            assert_int_equal(evs_row_int(&row, 3, &v), EVS_OK);
            assert_int_equal(v, windows < 5000 ? windows + 1 : 5000);
        }
        evs_batch_unref(b);
    }
    assert_int_equal(windows, 30000);
    kit_close(&k);
}

/* ---- without memory ---- */

static evs_batch *make_batch(evs_context *ctx, evs_schema *schema, int64_t from)
{
    evs_appender *a = NULL;
    evs_batch *b = NULL;

    if (evs_appender_new(ctx, evs_schema_type(schema), &a, NULL))
        return NULL;
    for (int64_t i = from; i < from + 20; i++) {
        evs_append_time(a, i);
        evs_append_string(a, i % 3 ? "a" : "another key, which is longer", i % 3 ? 1 : 28);
        evs_append_int(a, i);
        if (evs_append_end_row(a, NULL))
            break;
    }
    if (evs_appender_rows(a) == 20)
        evs_appender_take(a, &b, NULL);
    evs_appender_unref(a);
    return b;
}

#define RETRY(call)                                                                                \
    do {                                                                                           \
        status = (call);                                                                           \
        if (status == EVS_ERR_NOMEM)                                                               \
            status = (call);                                                                       \
    } while (0)

static evs_status scenario(evs_context *ctx, void *user_data)
{
    evs_window_options o = counted(12, 2);
    evs_schema *schema = NULL;
    evs_window *w = NULL, *next = NULL;
    evs_batch *b = NULL;
    const void *data = NULL;
    size_t len = 0;
    int64_t results = 0;
    evs_status status = evs_schema_columns(ctx, ROWS, &schema, NULL);

    (void)user_data;
    for (int64_t i = 0; i < 100 && !status; i += 20) {
        status = evs_window_new(ctx, schema, "k", SUMS ", min(k)", &o, &next, NULL);
        if (!status && w) {
            RETRY(evs_window_snapshot(w, &data, &len, NULL));
            if (!status)
                RETRY(evs_window_restore(next, data, len, NULL));
        }
        evs_window_unref(w);
        w = next;
        next = NULL;
        b = status ? NULL : make_batch(ctx, schema, i);
        if (!status && !b)
            status = EVS_ERR_NOMEM;
        if (!status)
            RETRY(evs_window_push(w, b, NULL));
        b = evs_batch_unref(b);
        for (int failed = 0; !status && i != 40;) {
            status = evs_window_take(w, &b, NULL);
            if (status == EVS_ERR_NOMEM && !failed++)
                status = EVS_OK;
            else if (!status)
                results += (int64_t)evs_batch_rows(b);
            b = evs_batch_unref(b);
        }
        status = status == EVS_END ? EVS_OK : status;
    }
    if (!status && results != 34 / 2 + 66 / 2)
        status = EVS_ERR_INTERNAL;
    evs_window_unref(w);
    evs_window_unref(next);
    evs_schema_unref(schema);
    return status;
}

static void test_counted_every_allocation_failing_loses_nothing(void **state)
{
    (void)state;
    assert_true(evs_test_oom_sweep(scenario, NULL) > 50);
}

static void test_counted_restore_of_forged_bytes_does_no_harm(void **state)
{
    evs_window_options o = counted(6, 2);
    const void *data = NULL;
    size_t len = 0, good = 0;
    char *copy, row[32];
    kit k;
    (void)state;

    kit_open(&k, ROWS, "k", SUMS, &o);
    for (int i = 0; i < 60; i++) {
        snprintf(row, sizeof(row), "k%d,%d", i % 7 % 3, i);
        kit_row(&k, i, row);
        if (i == 40)
            kit_results(&k);
    }
    assert_int_equal(evs_window_snapshot(k.window, &data, &len, NULL), EVS_OK);
    copy = malloc(len);
    for (size_t i = 16; i + 4 < len; i++) {
        uint32_t crc;
        kit r;
        kit_open(&r, ROWS, "k", SUMS, &o);
        memcpy(copy, data, len);
        copy[i] ^= (char)(1 << i % 8);
        crc = evs__crc32c(0, copy, len - 4);
        memcpy(copy + len - 4, &crc, 4);
        if (evs_window_restore(r.window, copy, len, NULL) == EVS_OK) {
            good++;
            for (int j = 0; j < 9; j++)
                kit_row(&r, 90, "k1,1");
            evs_window_advance(r.window, INT64_MAX, NULL);
            for (evs_batch *b = NULL; evs_window_take(r.window, &b, NULL) == EVS_OK;)
                evs_batch_unref(b);
        }
        kit_close(&r);
    }
    assert_true(good > 0);
    free(copy);
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counted_rows_side_by_side),
        cmocka_unit_test(test_counted_last_rows_each_advance),
        cmocka_unit_test(test_counted_bad_options_are_told),
        cmocka_unit_test(test_counted_random_streams_equal_the_model),
        cmocka_unit_test(test_counted_many_rows_share_their_work),
        cmocka_unit_test(test_counted_every_allocation_failing_loses_nothing),
        cmocka_unit_test(test_counted_restore_of_forged_bytes_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
