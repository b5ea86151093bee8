/*
 * The appender inside: what windows and pipelines use. Its public side is in tests/api.
 */
#include <stdio.h>

#include "evs_test.h"

#include "data/batch.h"

typedef struct sink {
    size_t calls;
    size_t rows;
    size_t largest;
    evs_status answer;
    evs_batch *keep; /* keeps the first batch when `keeping` */
    bool keeping;
} sink;

static evs_status on_full(evs_batch *batch, void *user_data, evs_error **reterr)
{
    sink *s = user_data;

    s->calls++;
    if (s->answer)
        return evs_error_set(NULL, reterr, s->answer, "not now");
    s->rows += evs_batch_rows(batch);
    if (evs_batch_rows(batch) > s->largest)
        s->largest = evs_batch_rows(batch);
    if (s->keeping && !s->keep)
        s->keep = evs_batch_ref(batch);
    return EVS_OK;
}

typedef struct fixture {
    evs_test_memory memory;
    evs_context *ctx;
    evs_type *type;
    evs_appender *a;
    sink s;
    evs_error *err;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    f->memory.fail_at = -1;
    f->ctx = evs_test_context(&f->memory);
    f->type = evs_test_type(f->ctx, "STRUCT<n INT NOT NULL, s VARCHAR> NOT NULL");
    *state = f;
    return evs__appender_new(f->ctx, f->type, on_full, &f->s, &f->a);
}

static int teardown(void **state)
{
    fixture *f = *state;
    long live;
    evs_batch_unref(f->s.keep);
    evs_appender_unref(f->a);
    evs_type_unref(f->type);
    evs_context_unref(f->ctx);
    live = f->memory.live;
    free(f);
    return live == 0 ? 0 : -1;
}

static evs_status append(fixture *f, int n)
{
    evs_append_int(f->a, n);
    evs_append_string(f->a, "text", 4);
    return evs_append_end_row(f->a, &f->err);
}

static void test_full_batches_are_pushed_and_reused(void **state)
{
    fixture *f = *state;
    long calls;

    for (int i = 0; i < EVS_BATCH_ROWS_MAX; i++)
        assert_int_equal(append(f, i), EVS_OK);
    calls = f->memory.calls;
    for (int i = 0; i < EVS_BATCH_ROWS_MAX; i++)
        assert_int_equal(append(f, i), EVS_OK);
    assert_int_equal(f->memory.calls, calls);
    for (int i = 2 * EVS_BATCH_ROWS_MAX; i < 3 * EVS_BATCH_ROWS_MAX + 7; i++)
        assert_int_equal(append(f, i), EVS_OK);
    assert_int_equal(f->s.calls, 3);
    assert_int_equal(f->s.rows, 3 * EVS_BATCH_ROWS_MAX);
    assert_int_equal(evs_appender_rows(f->a), 7);
    assert_int_equal(evs__appender_flush(f->a, NULL), EVS_OK);
    assert_int_equal(evs__appender_flush(f->a, NULL), EVS_OK);
    assert_int_equal(f->s.calls, 4);
    assert_int_equal(f->s.rows, 3 * EVS_BATCH_ROWS_MAX + 7);
}

static void test_kept_batch_is_not_written_again(void **state)
{
    fixture *f = *state;
    evs_row row;
    int64_t n = 0;

    f->s.keeping = true;
    for (int i = 0; i < 2 * EVS_BATCH_ROWS_MAX; i++)
        assert_int_equal(append(f, i), EVS_OK);
    row = evs_batch_row(f->s.keep, 5);
    assert_int_equal(evs_row_int(&row, 0, &n), EVS_OK);
    assert_int_equal(n, 5);
}

static void test_refused_push_keeps_rows_and_pushes_again(void **state)
{
    fixture *f = *state;

    for (int i = 0; i < EVS_BATCH_ROWS_MAX - 1; i++)
        assert_int_equal(append(f, i), EVS_OK);
    f->s.answer = EVS_ERR_LIMIT;
    for (int i = 0; i < 5000; i++) {
        evs_status status = append(f, i);
        assert_evs_error(status, f->err, EVS_ERR_LIMIT, "not now", NULL);
        f->err = NULL;
    }
    assert_int_equal(evs_appender_rows(f->a), EVS_BATCH_ROWS_MAX - 1 + 5000);
    f->s.answer = EVS_OK;
    assert_int_equal(append(f, 1), EVS_OK);
    assert_int_equal(f->s.rows, EVS_BATCH_ROWS_MAX + 5000);
    assert_int_equal(evs_appender_rows(f->a), 0);
    for (int i = 0; i < EVS_BATCH_ROWS_MAX; i++)
        assert_int_equal(append(f, i), EVS_OK);
    assert_int_equal(f->s.rows, 2 * EVS_BATCH_ROWS_MAX + 5000);
}

static void test_take_of_a_pushing_appender_is_misuse(void **state)
{
    fixture *f = *state;
    evs_batch *b = NULL;
    evs_status status = evs_appender_take(f->a, &b, &f->err);
    assert_evs_error(status, f->err, EVS_ERR_MISUSE, "belongs to a window", NULL);
}

static void test_default_time_for_rows_without_one(void **state)
{
    fixture *f = *state;

    f->s.keeping = true;
    append(f, 0);
    evs__appender_default_time(f->a, 50);
    append(f, 1);
    evs_append_time(f->a, 60);
    append(f, 2);
    append(f, 3);
    evs__appender_default_time(f->a, EVS_TIME_NONE);
    append(f, 4);
    assert_int_equal(evs__appender_flush(f->a, NULL), EVS_OK);
    assert_batch(f->s.keep, "0|text\n50@1|text\n60@2|text\n50@3|text\n4|text");
}

static void test_truncate_drops_rows_and_the_open_one(void **state)
{
    fixture *f = *state;

    f->s.keeping = true;
    for (int i = 0; i < 5; i++)
        append(f, i);
    evs_append_int(f->a, 99);
    evs__appender_truncate(f->a, 3);
    append(f, 7);
    evs__appender_truncate(f->a, 100);
    assert_int_equal(evs_appender_rows(f->a), 4);
    assert_int_equal(evs__appender_flush(f->a, NULL), EVS_OK);
    assert_batch(f->s.keep, "0|text\n1|text\n2|text\n7|text");
}

static void test_no_memory_drops_the_row_and_the_next_goes_on(void **state)
{
    fixture *f = *state;

    f->s.keeping = true;
    for (long n = 0;; n++) {
        evs_status status;
        f->memory.fail_at = f->memory.calls + n;
        status = append(f, 1);
        f->memory.fail_at = -1;
        if (status == EVS_OK)
            break;
        assert_int_equal(status, EVS_ERR_NOMEM);
        f->err = evs_error_unref(f->err);
        assert_int_equal(evs_appender_rows(f->a), 0);
    }
    append(f, 2);
    assert_int_equal(evs__appender_flush(f->a, NULL), EVS_OK);
    assert_batch(f->s.keep, "1|text\n2|text");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_full_batches_are_pushed_and_reused),
        T(test_kept_batch_is_not_written_again),
        T(test_refused_push_keeps_rows_and_pushes_again),
        T(test_take_of_a_pushing_appender_is_misuse),
        T(test_default_time_for_rows_without_one),
        T(test_truncate_drops_rows_and_the_open_one),
        T(test_no_memory_drops_the_row_and_the_next_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
