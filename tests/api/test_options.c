/*
 * evs_options: the growable set and the macro.
 */
#include <stdio.h>

#include "evs_test.h"

static void test_options_documented_failures(void **state)
{
    evs_context *ctx = NULL;
    evs_options *o = NULL;
    evs_error *err = NULL;
    evs_status status;

    (void)state;
    evs_context_new(NULL, &ctx, NULL);
    status = evs_options_new(NULL, &o, &err);
    assert_evs_error(status, err, EVS_ERR_INVALID, "NULL", NULL);
    err = NULL;
    status = evs_options_new(ctx, NULL, &err);
    assert_evs_error(status, err, EVS_ERR_INVALID, "NULL", NULL);
    err = NULL;
    assert_int_equal(evs_options_new(ctx, &o, NULL), EVS_OK);
    status = evs_options_set(o, NULL, "v", &err);
    assert_evs_error(status, err, EVS_ERR_INVALID, "NULL", NULL);
    err = NULL;
    status = evs_options_set(o, "topic", NULL, &err);
    assert_evs_error(status, err, EVS_ERR_INVALID, "option \"topic\": the value is NULL", NULL);
    err = NULL;
    status = evs_options_set(NULL, "topic", "v", &err);
    assert_evs_error(status, err, EVS_ERR_INVALID, "NULL", NULL);
    assert_int_equal(o->count, 0);
    evs_options_unref(o);
    evs_context_unref(ctx);
}

static void test_options_set_get_replace_many(void **state)
{
    evs_context *ctx = NULL;
    evs_options *o = NULL;
    char key[16], value[16];

    (void)state;
    evs_context_new(NULL, &ctx, NULL);
    assert_int_equal(evs_options_new(ctx, &o, NULL), EVS_OK);
    evs_context_unref(ctx); /* the set holds its own reference */
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "k%d", i % 50);
        snprintf(value, sizeof(value), "v%d", i);
        assert_int_equal(evs_options_set(o, key, value, NULL), EVS_OK);
    }
    assert_int_equal(o->count, 50);
    assert_string_equal(evs_options_get(o, "k7"), "v57");
    assert_string_equal(o->pairs[0], "k0");
    assert_string_equal(o->pairs[1], "v50");
    assert_null(evs_options_get(o, "k50"));
    assert_null(evs_options_get(o, NULL));
    assert_null(evs_options_get(NULL, "k7"));
    assert_null(evs_options_unref(o));
    assert_null(evs_options_unref(NULL));
}

static void test_options_no_memory_changes_nothing(void **state)
{
    evs_test_memory memory = {.fail_at = -1};
    evs_context *ctx = evs_test_context(&memory);
    evs_options *o = NULL;
    evs_error *err = NULL;

    (void)state;
    assert_int_equal(evs_options_new(ctx, &o, NULL), EVS_OK);
    for (long n = 0;; n++) {
        evs_status status;
        memory.fail_at = memory.calls + n;
        status = evs_options_set(o, "a", "1", &err);
        memory.fail_at = -1;
        if (!status)
            break;
        assert_evs_error(status, err, EVS_ERR_NOMEM, "out of memory", NULL);
        err = NULL;
        assert_int_equal(o->count, 0);
    }
    memory.fail_at = memory.calls;
    assert_int_equal(evs_options_set(o, "a", "2", NULL), EVS_ERR_NOMEM);
    assert_string_equal(evs_options_get(o, "a"), "1");
    evs_options_unref(o);
    evs_context_unref(ctx);
    assert_int_equal(memory.live, 0);
}

static void test_options_macro_counts_and_may_hold_null(void **state)
{
    const evs_options *o = EVS_OPTIONS("topic", "views", NULL, "x", "format", NULL);

    (void)state;
    assert_int_equal(o->count, 3);
    assert_string_equal(evs_options_get(o, "topic"), "views");
    assert_null(evs_options_get(o, "format"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_documented_failures),
        cmocka_unit_test(test_options_set_get_replace_many),
        cmocka_unit_test(test_options_no_memory_changes_nothing),
        cmocka_unit_test(test_options_macro_counts_and_may_hold_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
