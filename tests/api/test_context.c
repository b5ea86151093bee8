/*
 * evs_context, and the tools for connectors, with their documented failures.
 */
#include <stdio.h>

#include "evs_test.h"

static void test_context_new_documented_failures(void **state)
{
    evs_context_options opt = EVS_CONTEXT_OPTIONS_INIT;
    evs_context *ctx = NULL;
    evs_error *err = NULL;
    evs_status status;

    (void)state;
    status = evs_context_new(NULL, NULL, &err);
    assert_evs_error(status, err, EVS_ERR_INVALID, "ret_context", NULL);
    err = NULL;
    opt.struct_size = 3;
    status = evs_context_new(&opt, &ctx, &err);
    assert_evs_error(status, err, EVS_ERR_INVALID, "struct_size", NULL);
    err = NULL;
    evs_context_options_init(&opt);
    opt.allocator.free_fn = (void (*)(void *, void *))(void (*)(void))evs_free;
    status = evs_context_new(&opt, &ctx, &err);
    assert_evs_error(status, err, EVS_ERR_INVALID, "malloc_fn, realloc_fn and free_fn", NULL);
    assert_null(ctx);
}

static void test_context_new_no_memory_is_the_constant_error(void **state)
{
    evs_test_memory memory = {.fail_at = 0};
    evs_context_options opt = EVS_CONTEXT_OPTIONS_INIT;
    evs_context *ctx = NULL;
    evs_error *err = NULL;
    evs_status status;

    (void)state;
    opt.allocator = evs_test_allocator(&memory);
    status = evs_context_new(&opt, &ctx, &err);
    assert_evs_error(status, err, EVS_ERR_NOMEM, "out of memory", NULL);
    err = NULL;
    memory.fail_at = 2;
    memory.calls = 0;
    opt.module_dir = "/modules";
    for (memory.fail_at = 0; evs_context_new(&opt, &ctx, &err); memory.fail_at++) {
        assert_int_equal(evs_error_status(err), EVS_ERR_NOMEM);
        err = evs_error_unref(err);
        assert_int_equal(memory.live, 0);
        memory.calls = 0;
    }
    assert_true(memory.fail_at >= 2);
    evs_context_unref(ctx);
    assert_int_equal(memory.live, 0);
}

static void test_context_options_longer_struct_is_accepted_when_its_tail_is_zero(void **state)
{
    struct newer {
        evs_context_options known;
        int64_t unknown;
    } opt = {EVS_CONTEXT_OPTIONS_INIT, 0};
    evs_context *ctx = NULL;
    evs_error *err = NULL;
    evs_status status;

    (void)state;
    opt.known.struct_size = sizeof(opt);
    assert_int_equal(evs_context_new(&opt.known, &ctx, NULL), EVS_OK);
    ctx = evs_context_unref(ctx);
    opt.unknown = 1;
    status = evs_context_new(&opt.known, &ctx, &err);
    assert_evs_error(status, err, EVS_ERR_INVALID, "struct_size", NULL);
    assert_null(ctx);
}

static void test_context_options_init_is_the_macro(void **state)
{
    evs_context_options a = EVS_CONTEXT_OPTIONS_INIT, b;

    (void)state;
    memset(&b, 0xff, sizeof(b));
    evs_context_options_init(&b);
    assert_memory_equal(&a, &b, sizeof(a));
    evs_context_options_init(NULL);
}

static void test_context_ref_counts(void **state)
{
    evs_test_memory memory = {.fail_at = -1};
    evs_context *ctx = evs_test_context(&memory);

    (void)state;
    assert_ptr_equal(evs_context_ref(ctx), ctx);
    assert_null(evs_context_unref(ctx));
    assert_true(memory.live > 0);
    assert_null(evs_context_unref(ctx));
    assert_int_equal(memory.live, 0);
    assert_null(evs_context_unref(NULL));
    assert_null(evs_context_ref(NULL));
}

static char order[8];

static void on_free(evs_context *context, void *value)
{
    (void)context;
    strcat(order, value);
}

static void test_attach_documented_failures_and_order(void **state)
{
    evs_context *ctx = NULL;
    evs_error *err = NULL;
    char a[] = "a", b[] = "b";
    evs_status status;

    (void)state;
    order[0] = '\0';
    evs_context_new(NULL, &ctx, NULL);
    status = evs_context_attach(ctx, NULL, a, on_free, &err);
    assert_evs_error(status, err, EVS_ERR_INVALID, "NULL", NULL);
    err = NULL;
    assert_int_equal(evs_context_attach(ctx, "x.a", a, on_free, NULL), EVS_OK);
    assert_int_equal(evs_context_attach(ctx, "x.b", b, on_free, NULL), EVS_OK);
    status = evs_context_attach(ctx, "x.a", b, on_free, &err);
    assert_evs_error(status, err, EVS_ERR_MISUSE, "\"x.a\" is already attached", NULL);
    assert_ptr_equal(evs_context_attached(ctx, "x.a"), a);
    assert_null(evs_context_attached(ctx, "x.c"));
    assert_null(evs_context_attached(NULL, "x.a"));
    evs_context_unref(ctx);
    assert_string_equal(order, "ba");
}

/* an attachment that owns plain data of its own context is no cycle */
static void free_type(evs_context *context, void *value)
{
    (void)context;
    evs_type_unref(value);
}

static void test_attached_type_does_not_keep_the_context(void **state)
{
    evs_test_memory memory = {.fail_at = -1};
    evs_context *ctx = evs_test_context(&memory);

    (void)state;
    assert_int_equal(
        evs_context_attach(ctx, "t", evs_test_type(ctx, "ARRAY<INT>"), free_type, NULL), EVS_OK);
    evs_context_unref(ctx);
    assert_int_equal(memory.live, 0);
}

static char logged[200];

static void on_log(int32_t level, const char *where, const char *message, void *user_data)
{
    (void)user_data;
    snprintf(logged, sizeof(logged), "%d %s %s", (int)level, where, message);
}

static void test_log_is_delivered_up_to_the_level(void **state)
{
    evs_context_options opt = EVS_CONTEXT_OPTIONS_INIT;
    evs_context *ctx = NULL;

    (void)state;
    opt.log = on_log;
    assert_int_equal(evs_context_new(&opt, &ctx, NULL), EVS_OK);
    evs_log(ctx, EVS_LOG_WARNING, "test", "%d items", 3);
    assert_string_equal(logged, "4 test 3 items");
    evs_log(ctx, EVS_LOG_INFO, "test", "quiet");
    assert_string_equal(logged, "4 test 3 items");
    evs_log(NULL, EVS_LOG_ERROR, "test", "nobody");
    evs_context_unref(ctx);
}

static void test_memory_tools_null_context_and_overflow(void **state)
{
    evs_context *ctx = NULL;
    int64_t *p;
    char *text;

    (void)state;
    evs_context_new(NULL, &ctx, NULL);
    assert_null(evs_alloc(NULL, 1));
    assert_null(evs_alloc_array(ctx, SIZE_MAX, 16));
    p = evs_alloc_array(ctx, 3, sizeof(*p));
    assert_true(p && p[0] == 0 && p[2] == 0);
    p[2] = 5;
    assert_null(evs_realloc_array(ctx, p, SIZE_MAX, 16));
    p = evs_realloc_array(ctx, p, 100, sizeof(*p));
    assert_int_equal(p[2], 5);
    evs_free(ctx, p);
    evs_free(ctx, NULL);
    evs_free(NULL, NULL);
    assert_null(evs_strdup(ctx, NULL));
    text = evs_strdup(ctx, "abc");
    assert_string_equal(text, "abc");
    evs_free(ctx, text);
    evs_context_unref(ctx);
}

static void test_error_tools(void **state)
{
    evs_context *ctx = NULL;
    evs_error *err = NULL;
    evs_status status;

    (void)state;
    evs_context_new(NULL, &ctx, NULL);
    assert_int_equal(evs_error_set(ctx, NULL, EVS_ERR_IO, "x"), EVS_ERR_IO);
    status = evs_error_set(ctx, &err, EVS_ERR_IO, "cannot open \"%s\"", "f");
    evs_error_prefix(ctx, &err, "sink \"%s\": ", "out");
    evs_error_annotate(ctx, &err, true, true, 5, "f:1:2");
    evs_context_unref(ctx);
    assert_true(evs_error_is_retriable(err));
    assert_true(evs_error_is_fatal(err));
    assert_int_equal(evs_error_kafka_code(err), 5);
    assert_evs_error(status, err, EVS_ERR_IO, "sink \"out\": cannot open \"f\"", "f:1:2");
    err = NULL;
    evs_error_annotate(ctx, &err, true, true, 5, NULL);
    evs_error_prefix(ctx, NULL, "x");
    assert_null(err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_context_new_documented_failures),
        cmocka_unit_test(test_context_new_no_memory_is_the_constant_error),
        cmocka_unit_test(test_context_options_longer_struct_is_accepted_when_its_tail_is_zero),
        cmocka_unit_test(test_context_options_init_is_the_macro),
        cmocka_unit_test(test_context_ref_counts),
        cmocka_unit_test(test_attach_documented_failures_and_order),
        cmocka_unit_test(test_attached_type_does_not_keep_the_context),
        cmocka_unit_test(test_log_is_delivered_up_to_the_level),
        cmocka_unit_test(test_memory_tools_null_context_and_overflow),
        cmocka_unit_test(test_error_tools),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
