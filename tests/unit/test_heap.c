/*
 * The heap: items come out in order of priority; its bound holds.
 */
#include "evs_test.h"

#include "base/heap.h"

static int compare_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void test_heap_pop_random_pushes_comes_out_sorted(void **state)
{
    enum { N = 1000 };
    evs_context *ctx = NULL;
    int64_t want[N];
    uint64_t seed = 3;
    evs__heap_item item;
    evs__heap h;

    (void)state;
    evs_context_new(NULL, &ctx, NULL);
    evs__heap_init(&h, ctx, N);
    assert_null(evs__heap_top(&h));
    assert_false(evs__heap_pop(&h, &item));
    for (int i = 0; i < N; i++) {
        want[i] = (int64_t)(evs_test_random(&seed) % 200) - 100;
        assert_int_equal(evs__heap_push(&h, want[i], &want[i]), EVS_OK);
    }
    assert_int_equal(evs__heap_push(&h, 0, NULL), EVS_ERR_LIMIT);
    qsort(want, N, sizeof(want[0]), compare_i64);
    for (int i = 0; i < N; i++) {
        assert_int_equal(evs__heap_top(&h)->priority, want[i]);
        assert_true(evs__heap_pop(&h, i % 2 ? &item : NULL));
        if (i % 2)
            assert_int_equal(item.priority, want[i]);
    }
    assert_false(evs__heap_pop(&h, NULL));
    evs__heap_free(&h);
    evs_context_unref(ctx);
}

static void test_heap_extreme_priorities_keep_their_order(void **state)
{
    evs_context *ctx = NULL;
    int a, b, c;
    evs__heap_item item;
    evs__heap h;

    (void)state;
    evs_context_new(NULL, &ctx, NULL);
    evs__heap_init(&h, ctx, 10);
    evs__heap_push(&h, INT64_MAX, &a);
    evs__heap_push(&h, INT64_MIN, &b);
    evs__heap_push(&h, 0, &c);
    evs__heap_pop(&h, &item);
    assert_ptr_equal(item.value, &b);
    evs__heap_pop(&h, &item);
    assert_ptr_equal(item.value, &c);
    evs__heap_pop(&h, &item);
    assert_ptr_equal(item.value, &a);
    evs__heap_free(&h);
    evs_context_unref(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heap_pop_random_pushes_comes_out_sorted),
        cmocka_unit_test(test_heap_extreme_priorities_keep_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
