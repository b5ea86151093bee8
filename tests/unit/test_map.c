/*
 * The map against a linear list, on random insertions, replacements and removals.
 */
#include "evs_test.h"

#include <stdio.h>

#include "base/map.h"

static void test_map_random_work_equals_a_list(void **state)
{
    enum { KEYS = 300, STEPS = 20000 };
    evs_test_memory memory = {.fail_at = -1};
    evs_context *ctx = evs_test_context(&memory);
    uintptr_t list[KEYS] = {0};
    uint64_t seed = 7;
    size_t count = 0;
    evs__map m;

    (void)state;
    evs__map_init(&m, ctx, KEYS);
    for (int step = 0; step < STEPS; step++) {
        uint64_t r = evs_test_random(&seed);
        uint32_t k = (uint32_t)(r % KEYS);
        char key[8];
        int len = snprintf(key, sizeof(key), "k%u", k);
        void *old = NULL;
        uintptr_t value = 1 + (uintptr_t)step;
        assert_int_equal(evs__map_set(&m, key, (size_t)len, (void *)value, &old), EVS_OK);
        assert_int_equal((uintptr_t)old, list[k]);
        count += !list[k];
        list[k] = value;
        assert_int_equal(m.count, count);
        k = (uint32_t)(r >> 40) % KEYS;
        len = snprintf(key, sizeof(key), "k%u", k);
        assert_int_equal((uintptr_t)evs__map_get(&m, key, (size_t)len), list[k]);
    }
    evs__map_free(&m, NULL);
    evs_context_unref(ctx);
    assert_int_equal(memory.live, 0);
}

static void test_map_set_over_max_is_limit(void **state)
{
    evs_context *ctx = NULL;
    evs__map m;
    int x = 0;

    (void)state;
    evs_context_new(NULL, &ctx, NULL);
    evs__map_init(&m, ctx, 2);
    assert_null(evs__map_get(&m, "a", 1));
    assert_int_equal(evs__map_set(&m, "a", 1, &x, NULL), EVS_OK);
    assert_int_equal(evs__map_set(&m, "", 0, &x, NULL), EVS_OK);
    assert_int_equal(evs__map_set(&m, "c", 1, &x, NULL), EVS_ERR_LIMIT);
    assert_int_equal(evs__map_set(&m, "a", 1, &m, NULL), EVS_OK);
    assert_ptr_equal(evs__map_get(&m, "a", 1), &m);
    assert_ptr_equal(evs__map_get(&m, "", 0), &x);
    evs__map_free(&m, NULL);
    evs_context_unref(ctx);
}

static int freed;

static void count_free(evs_context *ctx, void *value)
{
    (void)ctx;
    freed += *(int *)value;
}

static void test_map_next_and_free_visit_each_once(void **state)
{
    evs_context *ctx = NULL;
    int values[40];
    char seen[40] = {0};
    const evs__map_entry *e;
    size_t pos = 0;
    evs__map m;

    (void)state;
    freed = 0;
    evs_context_new(NULL, &ctx, NULL);
    evs__map_init(&m, ctx, 100);
    for (int i = 0; i < 40; i++) {
        char key[2] = {'x', (char)i}; /* keys are bytes, NUL included */
        values[i] = 1;
        assert_int_equal(evs__map_set(&m, key, 2, &values[i], NULL), EVS_OK);
    }
    while ((e = evs__map_next(&m, &pos)))
        seen[(int)((int *)e->value - values)]++;
    for (int i = 0; i < 40; i++)
        assert_int_equal(seen[i], 1);
    evs__map_free(&m, count_free);
    assert_int_equal(freed, 40);
    evs_context_unref(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map_random_work_equals_a_list),
        cmocka_unit_test(test_map_set_over_max_is_limit),
        cmocka_unit_test(test_map_next_and_free_visit_each_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
