/*
 * Reading the state of windows: against a model that counts, for kinds of windows that overlap or
 * not; nothing is given out or changed by it; and who may not read, is told.
 */
#include <stdio.h>

#include "evs_test.h"

#include "evstream/evstream.h"

#define KEYS 7
#define EVENTS 400

typedef struct fixture {
    evs_context *ctx;
    evs_pipeline *p;
    evs_testkit *t;
    evs_stream *w;
    evs_error *err;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    assert_int_equal(evs_context_new(NULL, &f->ctx, NULL), EVS_OK);
    *state = f;
    return 0;
}

static void stop(fixture *f)
{
    f->t = evs_testkit_close(f->t);
    f->p = evs_pipeline_unref(f->p);
}

static int teardown(void **state)
{
    fixture *f = *state;
    stop(f);
    evs_error_unref(f->err);
    evs_context_unref(f->ctx);
    free(f);
    return 0;
}

#define FAILS(call, want, part)                                                                    \
    do {                                                                                           \
        evs_status fails_status = (call);                                                          \
        evs_error *fails_error = f->err;                                                           \
        f->err = NULL;                                                                             \
        assert_evs_error(fails_status, fails_error, want, part, NULL);                             \
    } while (0)

static void start(fixture *f, const evs_window_options *o, const char *keys)
{
    assert_int_equal(evs_pipeline_new(f->ctx, "p", &f->p, &f->err), EVS_OK);
    f->w = evs_window_by(
        evs_source(f->p, "memory",
                   EVS_OPTIONS("columns", "k VARCHAR, i INT, d DECIMAL(9,2), n BIGINT",
                               "out_of_orderness", "1000s", "close_after", "forever")),
        keys, o, "count(*) AS c, sum(n) AS s, collect_list(n) AS l");
    evs_sink(f->w, "console", NULL);
    assert_int_equal(evs_testkit_new(f->p, &f->t, &f->err), EVS_OK);
}

static void send(fixture *f, int64_t time, int key, int n)
{
    char json[128];
    snprintf(json, sizeof(json), "{\"k\":\"key-%d\",\"i\":%d,\"d\":%d.5,\"n\":%d}", key, key, key,
             n);
    assert_int_equal(evs_testkit_send(f->t, "source_1", time, json), EVS_OK);
}

static evs_value text(const char *s)
{
    return (evs_value){.type = EVS_TYPE_VARCHAR, .data = s, .len = strlen(s)};
}

static int64_t field(const evs_batch *b, size_t i, const char *name)
{
    evs_row row = evs_batch_row(b, i);
    int64_t v = INT64_MIN;
    assert_int_equal(evs_row_int(&row, evs_row_field(&row, name), &v), EVS_OK);
    return v;
}

/* ---- against a model ---- */

typedef struct event {
    int64_t time;
    int key, n;
} event;

static int64_t counted(const event *e, int n, int key, int64_t start, int64_t end, int64_t *ret_sum)
{
    int64_t count = 0;
    *ret_sum = 0;
    for (int i = 0; i < n; i++) {
        if ((key < 0 || e[i].key == key) && e[i].time >= start && e[i].time < end) {
            count++;
            *ret_sum += e[i].n;
        }
    }
    return count;
}

static void check_row(const evs_batch *b, size_t i, const event *e, int n)
{
    evs_row row = evs_batch_row(b, i);
    int64_t start = field(b, i, "window_start"), end = field(b, i, "window_end"), sum;
    const char *key = NULL;
    size_t len = 0;
    int number;
    assert_int_equal(evs_row_string(&row, 0, &key, &len), EVS_OK);
    assert_int_equal(len, 5);
    number = key[4] - '0';
    assert_int_equal(field(b, i, "c"), counted(e, n, number, start, end, &sum));
    assert_int_equal(field(b, i, "s"), sum);
    assert_int_equal(evs_row_time(&row), end - 1);
    assert_int_equal(evs_row_get_kind(&row), EVS_ROW_INSERT);
}

/* all (key, window) pairs of events, by the windows of the options */
static int
pairs(const event *e, int n, const evs_window_options *o, int key, int64_t from, int64_t to)
{
    int count = 0;
    for (int64_t start = -100; start < 400; start++) {
        int64_t ends[16];
        int windows = 0;
        bool begins = false;
        if (o->kind == EVS_WINDOW_CUMULATING) {
            begins = (start + 1000) % o->size_ms == 0;
            for (int64_t end = start + o->step_ms; begins && end <= start + o->size_ms;
                 end += o->step_ms)
                ends[windows++] = end;
        } else {
            int64_t step = o->kind == EVS_WINDOW_HOPPING ? o->advance_ms : o->size_ms;
            begins = (start + step * 1000) % step == 0;
            ends[windows++] = start + o->size_ms;
        }
        for (int k = 0; k < KEYS && begins && start >= from && start < to; k++) {
            int64_t sum;
            for (int i = 0; i < windows && (key < 0 || k == key); i++)
                count += counted(e, n, k, start, ends[i], &sum) > 0;
        }
    }
    return count;
}

static int
read_range(fixture *f, const evs_value *key, int64_t from, int64_t to, const event *e, int n)
{
    evs_table_cursor cursor = EVS_TABLE_CURSOR_INIT;
    evs_batch *b = NULL;
    int rows = 0;
    evs_status status;
    while (!(status = evs_table_range(f->w, key, key ? 1 : 0, from, to, &cursor, &b, &f->err))) {
        assert_true(evs_batch_rows(b) > 0);
        for (size_t i = 0; i < evs_batch_rows(b); i++) {
            assert_in_range(field(b, i, "window_start") + 1000, from + 1000, to + 999);
            check_row(b, i, e, n);
        }
        rows += (int)evs_batch_rows(b);
        evs_batch_unref(b);
    }
    assert_int_equal(status, EVS_END);
    assert_int_equal(evs_table_range(f->w, key, key ? 1 : 0, from, to, &cursor, &b, &f->err),
                     EVS_END);
    return rows;
}

static void against_model(fixture *f, const evs_window_options *o)
{
    event e[EVENTS];
    uint64_t seed = 11;
    start(f, o, "k");
    for (int i = 0; i < EVENTS; i++) {
        e[i] = (event){(int64_t)(evs_test_random(&seed) % 200),
                       (int)(evs_test_random(&seed) % KEYS), i};
        send(f, e[i].time, e[i].key, e[i].n);
        if (i % 37 == 0 || i == EVENTS - 1) {
            char name[8];
            evs_value key = text(name);
            int who = i % KEYS;
            snprintf(name, sizeof(name), "key-%d", who);
            key.len = 5;
            assert_int_equal(read_range(f, NULL, -1000, 1000, e, i + 1),
                             pairs(e, i + 1, o, -1, -1000, 1000));
            assert_int_equal(read_range(f, &key, 20, 90, e, i + 1),
                             pairs(e, i + 1, o, who, 20, 90));
        }
    }
    stop(f);
}

static void test_range_is_what_a_model_counts(void **state)
{
    fixture *f = *state;
    for (int emit = EVS_EMIT_FINAL; emit <= EVS_EMIT_CHANGES; emit++) {
        evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
        o.emit = emit;
        o.size_ms = 50;
        against_model(f, &o);
        o.kind = EVS_WINDOW_HOPPING;
        o.advance_ms = 15;
        against_model(f, &o);
        o.kind = EVS_WINDOW_CUMULATING;
        o.advance_ms = 0;
        o.step_ms = 10;
        against_model(f, &o);
    }
}

/* ---- one row ---- */

static void test_get_gives_the_window_or_end(void **state)
{
    fixture *f = *state;
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    evs_value key = text("key-1"), nobody = text("key-9");
    evs_batch *b = NULL;
    char json[64];
    size_t len;
    evs_row row;
    o.size_ms = 100;
    start(f, &o, "k");
    send(f, 10, 1, 5);
    send(f, 20, 1, 6);
    send(f, 20, 2, 7);
    assert_int_equal(evs_table_get(f->w, &key, 1, 0, &b, &f->err), EVS_OK);
    assert_int_equal(evs_batch_rows(b), 1);
    assert_true(evs_type_equal(evs_batch_type(b), evs_stream_type(f->w)));
    row = evs_batch_row(b, 0);
    assert_int_equal(evs_row_text(&row, evs_row_field(&row, "l"), json, sizeof(json), &len),
                     EVS_OK);
    assert_string_equal(json, "[5,6]");
    assert_int_equal(field(b, 0, "c"), 2);
    b = evs_batch_unref(b);
    assert_int_equal(evs_table_get(f->w, &key, 1, 1, &b, &f->err), EVS_END);
    assert_int_equal(evs_table_get(f->w, &key, 1, 100, &b, &f->err), EVS_END);
    assert_int_equal(evs_table_get(f->w, &key, 1, INT64_MAX, &b, &f->err), EVS_END);
    assert_int_equal(evs_table_get(f->w, &key, 1, INT64_MIN, &b, &f->err), EVS_END);
    assert_int_equal(evs_table_get(f->w, &nobody, 1, 0, &b, &f->err), EVS_END);
    key.is_null = 1;
    assert_int_equal(evs_table_get(f->w, &key, 1, 0, &b, &f->err), EVS_END);
}

/* what is read stays to be given out, as the insert or update it is */
static void test_reading_changes_nothing(void **state)
{
    fixture *f = *state;
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    evs_value key = text("key-1");
    evs_batch *b = NULL;
    const char *why = NULL;
    o.size_ms = 100;
    o.emit = EVS_EMIT_CHANGES;
    for (int kind = 0; kind < 2; kind++) {
        if (kind) {
            o.kind = EVS_WINDOW_HOPPING;
            o.advance_ms = 100 * 2 / 4;
        }
        start(f, &o, "k");
        for (int i = 0; i < 3; i++) {
            char want[96];
            send(f, 10 + i, 1, i);
            assert_int_equal(evs_table_get(f->w, &key, 1, 0, &b, &f->err), EVS_OK);
            b = evs_batch_unref(b);
            snprintf(want, sizeof(want), "{\"window_start\":0,\"c\":%d,\"_kind\":\"%s\"}", i + 1,
                     i ? "update" : "insert");
            if (!evs_testkit_expect(f->t, "sink_1", want, &why))
                fail_msg("%s", why);
            assert_int_equal(evs_table_get(f->w, &key, 1, 0, &b, &f->err), EVS_OK);
            assert_int_equal(field(b, 0, "c"), i + 1);
            b = evs_batch_unref(b);
        }
        assert_int_equal(evs_testkit_crash_and_restore(f->t), EVS_OK);
        assert_int_equal(evs_table_get(f->w, &key, 1, 0, &b, &f->err), EVS_OK);
        assert_int_equal(field(b, 0, "c"), 3);
        b = evs_batch_unref(b);
        evs_testkit_end(f->t);
        assert_int_equal(evs_table_get(f->w, &key, 1, 0, &b, &f->err), EVS_END);
        stop(f);
    }
}

static void test_keys_of_several_columns_and_none(void **state)
{
    fixture *f = *state;
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    evs_value key[3] = {{.type = EVS_TYPE_BIGINT, .integer = 3},
                        {.type = EVS_TYPE_DECIMAL, .data = "3.5", .len = 3},
                        {.type = EVS_TYPE_VARCHAR, .data = "key-3", .len = 5}};
    evs_table_cursor cursor = EVS_TABLE_CURSOR_INIT;
    evs_batch *b = NULL;
    o.size_ms = 100;
    start(f, &o, "i, d, k");
    send(f, 10, 3, 5);
    assert_int_equal(evs_table_get(f->w, key, 3, 0, &b, &f->err), EVS_OK);
    assert_int_equal(field(b, 0, "s"), 5);
    b = evs_batch_unref(b);
    FAILS(evs_table_get(f->w, key, 2, 0, &b, &f->err), EVS_ERR_INVALID,
          "step \"window_1\": 2 values for a key of 3");
    key[1].data = "much";
    assert_true(evs_table_get(f->w, key, 3, 0, &b, &f->err) < 0);
    f->err = evs_error_unref(f->err);
    key[1].data = NULL;
    FAILS(evs_table_get(f->w, key, 3, 0, &b, &f->err), EVS_ERR_TYPE, "key \"d\" is DECIMAL(9,2)");
    key[0].type = EVS_TYPE_VARCHAR;
    FAILS(evs_table_get(f->w, key, 3, 0, &b, &f->err), EVS_ERR_TYPE, "key \"i\" is INT");
    key[0] = (evs_value){.type = EVS_TYPE_BIGINT, .integer = INT64_MAX};
    key[1].data = "3.5";
    assert_int_equal(evs_table_get(f->w, key, 3, 0, &b, &f->err), EVS_ERR_OVERFLOW);
    f->err = evs_error_unref(f->err);
    stop(f);
    start(f, &o, "");
    send(f, 10, 3, 5);
    send(f, 20, 4, 6);
    assert_int_equal(evs_table_get(f->w, NULL, 0, 0, &b, &f->err), EVS_OK);
    assert_int_equal(field(b, 0, "s"), 11);
    b = evs_batch_unref(b);
    /* any cursor is safe */
    cursor = (evs_table_cursor){{0, -1, INT64_MAX, 7}};
    assert_int_equal(evs_table_range(f->w, NULL, 0, 0, 100, &cursor, &b, &f->err), EVS_END);
    cursor = (evs_table_cursor){{-5, 3, 3, 3}};
    assert_int_equal(evs_table_range(f->w, NULL, 0, 0, 100, &cursor, &b, &f->err), EVS_END);
}

/* ---- many rows ---- */

static void test_range_goes_on_while_keys_come_and_go(void **state)
{
    enum { OLD = 6000 };
    static bool seen[OLD];
    fixture *f = *state;
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    evs_table_cursor cursor = EVS_TABLE_CURSOR_INIT;
    evs_batch *b = NULL;
    int calls = 0;
    o.size_ms = 1000000;
    memset(seen, 0, sizeof(seen));
    start(f, &o, "i");
    evs_testkit_reorder(f->t, 1, 1); /* not one by one */
    for (int i = 0; i < OLD; i++)
        send(f, 10, i, i);
    evs_testkit_reorder(f->t, 1, 0);
    evs_testkit_advance(f->t, 1);
    while (evs_table_range(f->w, NULL, 0, INT64_MIN, INT64_MAX, &cursor, &b, &f->err) == EVS_OK) {
        assert_true(evs_batch_rows(b) <= EVS_BATCH_ROWS_MAX);
        for (size_t i = 0; i < evs_batch_rows(b); i++) {
            int64_t k = field(b, i, "i");
            if (k >= OLD)
                continue;
            assert_false(seen[k]);
            seen[k] = true;
        }
        evs_batch_unref(b);
        send(f, 20, OLD + calls++, 1);
    }
    for (int i = 0; i < OLD; i++)
        assert_true(seen[i]);
    assert_true(calls >= 4);
}

/* ---- who may not ---- */

static evs_status read_inside(const evs_row *row, void *user_data)
{
    fixture *f = user_data;
    evs_batch *b = NULL;
    (void)row;
    return evs_table_get(f->w, NULL, 0, 0, &b, NULL) == EVS_ERR_MISUSE ? EVS_OK : EVS_ERR_INTERNAL;
}

static void test_misuse(void **state)
{
    fixture *f = *state;
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    evs_value key = text("key-1");
    evs_batch *b = NULL;
    evs_stream *source;
    o.size_ms = 100;
    assert_int_equal(evs_pipeline_new(f->ctx, "p", &f->p, &f->err), EVS_OK);
    source = evs_source(f->p, "memory", EVS_OPTIONS("columns", "k VARCHAR"));
    f->w = evs_window_by(source, "k", &o, "count(*) AS c");
    evs_each(source, read_inside, f);
    evs_sink(f->w, "console", NULL);
    FAILS(evs_table_get(source, &key, 1, 0, &b, &f->err), EVS_ERR_MISUSE,
          "step \"source_1\" is no window");
    FAILS(evs_table_get(f->w, &key, 1, 0, &b, &f->err), EVS_ERR_MISUSE, "is not running yet");
    assert_int_equal(evs_table_get(NULL, &key, 1, 0, &b, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_table_get(f->w, NULL, 1, 0, &b, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_table_get(f->w, &key, 1, 0, NULL, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_table_range(f->w, &key, 1, 0, 1, NULL, &b, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_testkit_new(f->p, &f->t, &f->err), EVS_OK);
    assert_int_equal(evs_testkit_send(f->t, "source_1", 10, "{\"k\":\"key-1\"}"), EVS_OK);
    FAILS(evs_table_get(source, &key, 1, 0, &b, &f->err), EVS_ERR_MISUSE,
          "step \"source_1\" is no window");
    assert_int_equal(evs_table_get(f->w, &key, 1, 0, &b, &f->err), EVS_OK);
    b = evs_batch_unref(b);
    assert_int_equal(evs_pipeline_close(f->p, &f->err), EVS_OK);
    FAILS(evs_table_get(f->w, &key, 1, 0, &b, &f->err), EVS_ERR_MISUSE, "was closed");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_range_is_what_a_model_counts),
        T(test_get_gives_the_window_or_end),
        T(test_reading_changes_nothing),
        T(test_keys_of_several_columns_and_none),
        T(test_range_goes_on_while_keys_come_and_go),
        T(test_misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
