/*
 * The configuration table: each type's values and errors, did-you-mean, pass-through keys, dumps.
 */
#include "evs_test.h"

#include "base/config.h"

static const evs_option_info rows[] = {
    {"topic", NULL, NULL, "Topic to read", "0.1", 0, 0, EVS_OPTION_STRING, 1},
    {"start", "earliest", "earliest|latest", "Where to begin", "0.1", 0, 0, EVS_OPTION_ENUM, 0},
    {"wait", "100ms", NULL, "How long", "0.1", 0, 60000, EVS_OPTION_DURATION, 0},
    {"idle", "forever", NULL, "How long", "0.1", 1, INT64_MAX, EVS_OPTION_DURATION, 0},
    {"size", "64k", NULL, "How much", "0.1", 0, 0, EVS_OPTION_BYTES, 0},
    {"count", "3", NULL, "How many", "0.1", 1, 5, EVS_OPTION_INT, 0},
    {"ratio", "0.5", NULL, "Part", "0.1", 0, 1, EVS_OPTION_DOUBLE, 0},
    {"strict", "false", NULL, "Whether", "0.1", 0, 0, EVS_OPTION_BOOL, 0},
    {"password", NULL, NULL, "Word", "0.1", 0, 0, EVS_OPTION_SECRET, 0},
    {0},
};
static const evs_option_info more[] = {
    {"format", "json", "json|avro", "Form", "0.1", 0, 0, EVS_OPTION_ENUM, 0},
    {"count", "9", NULL, "Never seen: the first table's counts", "0.1", 0, 0, EVS_OPTION_INT, 0},
    {0},
};
static const evs_option_info *const tables[] = {rows, NULL, more};

typedef struct fixture {
    evs_test_memory memory;
    evs_context *ctx;
    evs_config *config;
    evs_error *err;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    f->memory.fail_at = -1;
    f->ctx = evs_test_context(&f->memory);
    *state = f;
    return evs__config_new(f->ctx, "source \"kafka\"", tables, 3, "kafka.", &f->config, NULL);
}

static int teardown(void **state)
{
    fixture *f = *state;
    long live;
    evs__config_unref(f->config);
    evs_context_unref(f->ctx);
    live = f->memory.live;
    free(f);
    return live == 0 ? 0 : -1;
}

static void test_config_new_has_checked_defaults(void **state)
{
    fixture *f = *state;
    assert_null(evs_config_string(f->config, "topic"));
    assert_string_equal(evs_config_string(f->config, "start"), "earliest");
    assert_int_equal(evs_config_int(f->config, "wait"), 100);
    assert_true(evs_config_int(f->config, "idle") == EVS_FOREVER);
    assert_int_equal(evs_config_int(f->config, "size"), 65536);
    assert_int_equal(evs_config_int(f->config, "count"), 3);
    assert_true(evs_config_double(f->config, "ratio") == 0.5);
    assert_false(evs_config_bool(f->config, "strict"));
    assert_string_equal(evs_config_string(f->config, "format"), "json");
    assert_false(evs_config_is_set(f->config, "wait"));
}

static void test_config_new_bad_default_is_an_error(void **state)
{
    static const evs_option_info bad[] = {
        {"n", "7", NULL, "", "0.1", 1, 5, EVS_OPTION_INT, 0},
        {0},
    };
    static const evs_option_info *const bad_tables[] = {bad};
    fixture *f = *state;
    evs_config *config = NULL;
    evs_status status = evs__config_new(f->ctx, "x", bad_tables, 1, NULL, &config, &f->err);
    assert_evs_error(status, f->err, EVS_ERR_CONFIG, "x: option \"n\": \"7\" is out of range",
                     NULL);
    assert_null(config);
}

static void test_config_set_good_values_are_read_back(void **state)
{
    fixture *f = *state;
    assert_int_equal(evs__config_set(f->config, "topic", "views", NULL), EVS_OK);
    assert_int_equal(evs__config_set(f->config, "topic", "page_views", NULL), EVS_OK);
    assert_int_equal(evs__config_set(f->config, "start", "latest", NULL), EVS_OK);
    assert_int_equal(evs__config_set(f->config, "wait", "1m", NULL), EVS_OK);
    assert_int_equal(evs__config_set(f->config, "size", "2G", NULL), EVS_OK);
    assert_int_equal(evs__config_set(f->config, "ratio", "1", NULL), EVS_OK);
    assert_int_equal(evs__config_set(f->config, "strict", "true", NULL), EVS_OK);
    assert_string_equal(evs_config_string(f->config, "topic"), "page_views");
    assert_int_equal(evs_config_int(f->config, "wait"), 60000);
    assert_true(evs_config_int(f->config, "size") == INT64_C(2) << 30);
    assert_true(evs_config_double(f->config, "ratio") == 1);
    assert_true(evs_config_bool(f->config, "strict"));
    assert_true(evs_config_is_set(f->config, "strict"));
    assert_int_equal(evs__config_check(f->config, NULL), EVS_OK);
}

static void test_config_set_bad_value_names_option_and_form(void **state)
{
    static const struct {
        const char *key, *value, *want;
    } cases[] = {
        {"start", "newest", "option \"start\": \"newest\" is not one of earliest|latest"},
        {"start", "", "is not one of"},
        {"start", "earliest|latest", "is not one of"},
        {"wait", "y", "\"y\" is not a duration (250ms, 10s"},
        {"wait", "61s", "\"61s\" is out of range (0ms to 1m)"},
        {"wait", "forever", "out of range"},
        {"idle", "0", "\"0\" is out of range (at least 1ms)"},
        {"size", "64q", "is not a size"},
        {"size", "-1", "is not a size"},
        {"size", "k", "is not a size"},
        {"size", "99999999999g", "is not a size"},
        {"count", "6", "\"6\" is out of range (1 to 5)"},
        {"count", "2.5", "is not a whole number"},
        {"count", "", "is not a whole number"},
        {"ratio", "1.01", "out of range"},
        {"ratio", "half", "is not a number"},
        {"strict", "yes", "is neither true nor false"},
    };
    fixture *f = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        evs_status status = evs__config_set(f->config, cases[i].key, cases[i].value, &f->err);
        assert_evs_error(status, f->err, EVS_ERR_CONFIG, cases[i].want, NULL);
        f->err = NULL;
        assert_false(evs_config_is_set(f->config, cases[i].key));
    }
}

static void test_config_set_unknown_suggests(void **state)
{
    fixture *f = *state;
    evs_status status = evs__config_set(f->config, "topik", "x", &f->err);
    assert_evs_error(status, f->err, EVS_ERR_CONFIG,
                     "source \"kafka\": unknown option \"topik\" (did you mean \"topic\"?)", NULL);
    f->err = NULL;
    status = evs__config_set(f->config, "zzzzzzzz", "x", &f->err);
    assert_evs_error(status, f->err, EVS_ERR_CONFIG, "(options are \"topic\", \"start\"", NULL);
    f->err = NULL;
    status = evs__config_set(f->config, "kafka.", "x", &f->err);
    assert_evs_error(status, f->err, EVS_ERR_CONFIG, "unknown option \"kafka.\"", NULL);
}

static void test_config_set_all_null_value_names_the_key(void **state)
{
    fixture *f = *state;
    evs_status status =
        evs__config_set_all(f->config, EVS_OPTIONS("topic", "a", "start", NULL), &f->err);
    assert_evs_error(status, f->err, EVS_ERR_INVALID, "\"start\" is NULL", NULL);
    f->err = NULL;
    status = evs__config_set_all(f->config, EVS_OPTIONS(NULL, "a"), &f->err);
    assert_evs_error(status, f->err, EVS_ERR_INVALID, "name of an option is NULL", NULL);
}

static void test_config_set_all_required_is_missing(void **state)
{
    fixture *f = *state;
    evs_status status = evs__config_set_all(f->config, EVS_OPTIONS("wait", "1s"), &f->err);
    assert_evs_error(status, f->err, EVS_ERR_CONFIG,
                     "source \"kafka\": option \"topic\" is required", NULL);
    assert_int_equal(evs__config_set_all(f->config, EVS_OPTIONS("topic", "t"), NULL), EVS_OK);
}

static void test_config_extra_keys_pass_through(void **state)
{
    fixture *f = *state;
    const char *value = NULL;
    const evs_options *view;

    assert_null(evs_config_extra(f->config, 0, &value));
    evs__config_set(f->config, "kafka.linger.ms", "5", NULL);
    evs__config_set(f->config, "topic", "t", NULL);
    evs__config_set(f->config, "kafka.acks", "all", NULL);
    evs__config_set(f->config, "kafka.linger.ms", "7", NULL);
    assert_string_equal(evs_config_extra(f->config, 0, &value), "linger.ms");
    assert_string_equal(value, "7");
    assert_string_equal(evs_config_extra(f->config, 1, &value), "acks");
    assert_null(evs_config_extra(f->config, 2, NULL));
    view = evs_config_options(f->config);
    assert_int_equal(view->count, 3);
    assert_string_equal(evs_options_get(view, "topic"), "t");
    assert_string_equal(evs_options_get(view, "kafka.acks"), "all");
    assert_null(evs_options_get(view, "wait"));
}

static void test_config_dump_hides_secrets(void **state)
{
    fixture *f = *state;
    evs__buffer out;

    evs__buffer_init(&out, f->ctx, 10000);
    evs__config_set(f->config, "topic", "t", NULL);
    evs__config_set(f->config, "password", "hush", NULL);
    evs__config_set(f->config, "kafka.sasl.password", "hush", NULL);
    evs__config_set(f->config, "kafka.acks", "all", NULL);
    assert_int_equal(evs__config_dump(f->config, false, &out), EVS_OK);
    assert_string_equal(evs__buffer_cstr(&out), "topic = t\npassword = ********\n"
                                                "kafka.sasl.password = ********\n"
                                                "kafka.acks = all\n");
    evs__buffer_reset(&out);
    evs__config_dump(f->config, true, &out);
    assert_non_null(strstr(evs__buffer_cstr(&out), "idle = forever\n"));
    assert_null(strstr(evs__buffer_cstr(&out), "hush"));
    evs__buffer_free(&out);
}

static void test_config_accessors_unknown_name_give_nothing(void **state)
{
    fixture *f = *state;
    assert_null(evs_config_string(f->config, "nope"));
    assert_int_equal(evs_config_int(f->config, "nope"), 0);
    assert_true(evs_config_double(f->config, "nope") == 0);
    assert_false(evs_config_bool(f->config, "count"));
    assert_false(evs_config_is_set(f->config, NULL));
    assert_null(evs_config_string(NULL, "topic"));
    assert_null(evs_config_options(NULL));
    assert_false(evs__config_knows(f->config, "nope"));
    assert_true(evs__config_knows(f->config, "format"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_config_new_has_checked_defaults),
        T(test_config_new_bad_default_is_an_error),
        T(test_config_set_good_values_are_read_back),
        T(test_config_set_bad_value_names_option_and_form),
        T(test_config_set_unknown_suggests),
        T(test_config_set_all_null_value_names_the_key),
        T(test_config_set_all_required_is_missing),
        T(test_config_extra_keys_pass_through),
        T(test_config_dump_hides_secrets),
        T(test_config_accessors_unknown_name_give_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
