/*
 * Out-of-memory sweeps over base: options, config, map, heap.
 */
#include <stdio.h>

#include "evs_test.h"

#include "base/config.h"
#include "base/heap.h"
#include "base/map.h"

static const evs_option_info table[] = {
    {"topic", NULL, NULL, "Topic", "0.1", 0, 0, EVS_OPTION_STRING, 1},
    {"wait", "1s", NULL, "Wait", "0.1", 0, 60000, EVS_OPTION_DURATION, 0},
    {0},
};
static const evs_option_info *const tables[] = {table};

static evs_status config_scenario(evs_context *ctx, void *user_data)
{
    evs_options *options = NULL;
    evs_config *config = NULL;
    evs_error *err = NULL;
    evs__buffer out;
    evs_status status;

    (void)user_data;
    evs__buffer_init(&out, ctx, 10000);
    status = evs_options_new(ctx, &options, &err);
    if (!status)
        status = evs_options_set(options, "topic", "views", &err);
    if (!status)
        status = evs_options_set(options, "kafka.acks", "all", &err);
    if (!status)
        status = evs_options_set(options, "topic", "orders", &err);
    if (!status)
        status = evs__config_new(ctx, "source", tables, 1, "kafka.", &config, &err);
    if (!status)
        status = evs__config_set_all(config, options, &err);
    if (!status)
        status = evs__config_set(config, "kafka.acks", "1", &err);
    if (!status)
        status = evs__config_set(config, "wait", "10s", &err);
    if (!status && evs__config_set(config, "wiat", "x", &err) != EVS_ERR_CONFIG)
        status = EVS_ERR_INTERNAL; /* what is wrong is told even when why cannot be */
    if (!status)
        status = evs__config_dump(config, true, &out);
    if (!status && strcmp(evs_config_string(config, "topic"), "orders") != 0)
        status = EVS_ERR_INTERNAL;
    evs_error_unref(err);
    evs__buffer_free(&out);
    evs__config_unref(config);
    evs_options_unref(options);
    return status;
}

static evs_status map_scenario(evs_context *ctx, void *user_data)
{
    evs__map map;
    evs__heap heap;
    evs_status status = EVS_OK;
    char key[8];

    (void)user_data;
    evs__map_init(&map, ctx, 100);
    evs__heap_init(&heap, ctx, 100);
    for (int i = 0; i < 60 && !status; i++) {
        int n = snprintf(key, sizeof(key), "k%d", i);
        status = evs__map_set(&map, key, (size_t)n, &map, NULL);
        if (status && evs__map_get(&map, key, (size_t)n))
            status = EVS_ERR_INTERNAL;
        if (!status)
            status = evs__heap_push(&heap, -i, &heap);
    }
    evs__map_free(&map, NULL);
    evs__heap_free(&heap);
    return status;
}

static evs_status error_scenario(evs_context *ctx, void *user_data)
{
    evs_error *err = NULL;
    evs_status status = evs__fail_at(ctx, &err, EVS_ERR_IO, "f:1", "no \"%s\"", "x");

    (void)user_data;
    evs_error_prefix(ctx, &err, "a: ");
    evs_error_annotate(ctx, &err, true, false, 3, "f:2");
    if (!err || evs_error_message(err)[0] == '\0')
        status = EVS_ERR_INTERNAL;
    evs_error_unref(err);
    return status == EVS_ERR_IO ? EVS_OK : status;
}

static void test_config_without_memory(void **state)
{
    (void)state;
    assert_true(evs_test_oom_sweep(config_scenario, NULL) > 10);
}

static void test_map_and_heap_without_memory(void **state)
{
    (void)state;
    assert_true(evs_test_oom_sweep(map_scenario, NULL) > 60);
}

static void test_error_without_memory(void **state)
{
    (void)state;
    assert_true(evs_test_oom_sweep(error_scenario, NULL) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_without_memory),
        cmocka_unit_test(test_map_and_heap_without_memory),
        cmocka_unit_test(test_error_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
