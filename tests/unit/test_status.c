/*
 * Statuses and errors: names from the one list, NULL-safe accessors, prefixes and annotations.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "base/context.h"

static void test_status_name_known_and_unknown(void **state)
{
    (void)state;
    assert_string_equal(evs_status_name(EVS_ERR_INVALID), "EVS_ERR_INVALID");
    assert_string_equal(evs_status_name(EVS_END), "EVS_END");
    assert_string_equal(evs_status_name(12345), "EVS_UNKNOWN");
}

static void test_error_accessors_null_give_defaults(void **state)
{
    (void)state;
    assert_int_equal(evs_error_status(NULL), EVS_OK);
    assert_string_equal(evs_error_message(NULL), "");
    assert_string_equal(evs_error_origin(NULL), "");
    assert_false(evs_error_is_fatal(NULL));
    assert_null(evs_error_unref(NULL));
}

static void test_error_prefix_keeps_status_and_origin(void **state)
{
    evs_context *ctx = NULL;
    evs_error *err = NULL;
    (void)state;
    assert_int_equal(evs_context_new(NULL, &ctx, NULL), EVS_OK);
    assert_int_equal(evs__fail_at(ctx, &err, EVS_ERR_IO, "f:1:2", "no \"%s\"", "x"), EVS_ERR_IO);
    evs_error_prefix(ctx, &err, "sink \"%s\": ", "out");
    evs_error_annotate(ctx, &err, true, false, 7, NULL);
    assert_string_equal(evs_error_message(err), "sink \"out\": no \"x\"");
    assert_string_equal(evs_error_origin(err), "f:1:2");
    assert_true(evs_error_is_retriable(err));
    assert_int_equal(evs_error_kafka_code(err), 7);
    evs_error_unref(err);
    evs_context_unref(ctx);
}

static int freed;

static void count_free(evs_context *ctx, void *value)
{
    (void)ctx;
    (void)value;
    freed++;
}

static void test_context_attach_same_name_twice_is_misuse(void **state)
{
    evs_context *ctx = NULL;
    (void)state;
    freed = 0;
    assert_int_equal(evs_context_new(NULL, &ctx, NULL), EVS_OK);
    assert_int_equal(evs_context_attach(ctx, "a", &freed, count_free, NULL), EVS_OK);
    assert_int_equal(evs_context_attach(ctx, "a", &freed, count_free, NULL), EVS_ERR_MISUSE);
    assert_ptr_equal(evs_context_attached(ctx, "a"), &freed);
    assert_null(evs_context_attached(ctx, "b"));
    evs_context_unref(ctx);
    assert_int_equal(freed, 1);
}

static void test_context_new_half_an_allocator_is_refused(void **state)
{
    evs_context_options o = EVS_CONTEXT_OPTIONS_INIT;
    evs_context *ctx = NULL;
    evs_error *err = NULL;
    (void)state;
    o.allocator.free_fn = (void (*)(void *, void *))count_free;
    assert_int_equal(evs_context_new(&o, &ctx, &err), EVS_ERR_INVALID);
    assert_non_null(strstr(evs_error_message(err), "malloc_fn"));
    evs_error_unref(err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_name_known_and_unknown),
        cmocka_unit_test(test_error_accessors_null_give_defaults),
        cmocka_unit_test(test_error_prefix_keeps_status_and_origin),
        cmocka_unit_test(test_context_attach_same_name_twice_is_misuse),
        cmocka_unit_test(test_context_new_half_an_allocator_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
