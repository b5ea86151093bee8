/*
 * Connectors by name, the memory connector, a sink and a consumer without a pipeline.
 */
#include "evs_test.h"

#include "base/context.h"

#define TYPE "STRUCT<page VARCHAR, n INT> NOT NULL"

/* the arguments of one call are evaluated in any order: first the call, then its error */
#define OK(call)                                                                                   \
    do {                                                                                           \
        evs_status ok_status = (call);                                                             \
        assert_evs_ok(ok_status, f->err);                                                          \
        f->err = NULL;                                                                             \
    } while (0)
#define FAILS(call, want, part)                                                                    \
    do {                                                                                           \
        evs_status fails_status = (call);                                                          \
        assert_evs_error(fails_status, f->err, want, part, NULL);                                  \
        f->err = NULL;                                                                             \
    } while (0)

typedef struct fixture {
    evs_context *ctx;
    evs_schema *schema;
    evs_error *err;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    if (!f || evs_context_new(NULL, &f->ctx, NULL) ||
        evs_schema_columns(f->ctx, "page VARCHAR, n INT", &f->schema, NULL))
        return -1;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    evs_error_unref(f->err);
    evs_schema_unref(f->schema);
    evs_context_unref(f->ctx);
    free(f);
    return 0;
}

static evs_batch *rows(fixture *f, int first, int count)
{
    evs_appender *a = NULL;
    evs_batch *b = NULL;
    OK(evs_appender_new(f->ctx, evs_schema_type(f->schema), &a, &f->err));
    for (int i = first; i < first + count; i++) {
        evs_append_time(a, i * 1000);
        evs_append_string(a, "/a", 2);
        evs_append_int(a, i);
        OK(evs_append_end_row(a, &f->err));
    }
    OK(evs_appender_take(a, &b, &f->err));
    evs_appender_unref(a);
    return b;
}

/* ---- names ---- */

static evs_status no_open(evs_context *ctx,
                          const evs_config *config,
                          evs_schema *schema,
                          const evs_sink_identity *identity,
                          void **ret,
                          evs_error **reterr)
{
    (void)config;
    (void)schema;
    (void)identity;
    (void)ret;
    return evs_error_set(ctx, reterr, EVS_ERR_UNAVAILABLE, "nobody there");
}
static evs_status
no_write(void *s, evs_batch *b, evs_decode_failed_fn failed, void *user_data, evs_error **reterr)
{
    (void)s;
    (void)b;
    (void)failed;
    (void)user_data;
    (void)reterr;
    return EVS_OK;
}
static evs_status no_flush(void *s, int64_t wait_ms, evs_error **reterr)
{
    (void)s;
    (void)wait_ms;
    (void)reterr;
    return EVS_OK;
}
static void no_close(void *s)
{
    (void)s;
}
static const evs_option_info no_options[] = {{0}};

static evs_sink_functions mine_sink = {
    .struct_size = sizeof(evs_sink_functions),
    .options = no_options,
    .guarantee = EVS_GUARANTEE_AT_LEAST_ONCE,
    .open = no_open,
    .write = no_write,
    .flush = no_flush,
    .close = no_close,
};

static void test_connector_register_faults_are_named(void **state)
{
    fixture *f = *state;
    evs_sink_functions s = mine_sink;
    evs_connector c = {sizeof(c), "mine", "a test", NULL, &s};

    FAILS(evs_connector_register(NULL, &c, &f->err), EVS_ERR_INVALID, "NULL");
    c.name = "Mine";
    FAILS(evs_connector_register(f->ctx, &c, &f->err), EVS_ERR_INVALID, "a-z");
    c.name = "mine";
    s.write = NULL;
    FAILS(evs_connector_register(f->ctx, &c, &f->err), EVS_ERR_INVALID, "write");
    s.write = no_write;
    s.guarantee = EVS_GUARANTEE_TRANSACTIONAL;
    FAILS(evs_connector_register(f->ctx, &c, &f->err), EVS_ERR_INVALID, "recover");
    s.guarantee = EVS_GUARANTEE_IDEMPOTENT;
    c.sink = NULL;
    FAILS(evs_connector_register(f->ctx, &c, &f->err), EVS_ERR_INVALID, "neither");
    c.sink = &s;
    c.name = "memory";
    FAILS(evs_connector_register(f->ctx, &c, &f->err), EVS_ERR_INVALID, "already");
}

static void test_connector_register_twice_is_refused(void **state)
{
    fixture *f = *state;
    static const evs_connector c = {sizeof(c), "mine", "a test", NULL, &mine_sink};
    OK(evs_connector_register(f->ctx, &c, &f->err));
    FAILS(evs_connector_register(f->ctx, &c, &f->err), EVS_ERR_INVALID, "already");
}

/* a connector compiled against the first release, whose struct ended earlier */
static void test_connector_register_of_the_first_release_is_taken(void **state)
{
    fixture *f = *state;
    static evs_sink_functions s;
    static const evs_connector c = {sizeof(c), "mine", "a test", NULL, &s};
    static const evs_connector d = {sizeof(d), "mine2", "a test", NULL, &s};
    s = mine_sink;
    s.struct_size = 88;
    memset((char *)&s + 88, 0xff, sizeof(s) - 88);
    OK(evs_connector_register(f->ctx, &c, &f->err));
    s.struct_size = 80;
    FAILS(evs_connector_register(f->ctx, &d, &f->err), EVS_ERR_INVALID, "struct_size");
}

static void test_sink_open_unknown_connector_lists_known_ones(void **state)
{
    fixture *f = *state;
    static const evs_connector c = {sizeof(c), "mine", "a test", NULL, &mine_sink};
    evs_sink_handle *s = NULL;
    OK(evs_connector_register(f->ctx, &c, &f->err));
    assert_int_equal(evs_sink_open(f->ctx, "memori", NULL, f->schema, 0, &s, &f->err),
                     EVS_ERR_NOT_FOUND);
    assert_non_null(strstr(evs_error_message(f->err), "did you mean \"memory\"?"));
    assert_non_null(strstr(evs_error_message(f->err), "\"mine\""));
    assert_null(s);
}

static void test_sink_open_of_a_source_is_refused(void **state)
{
    fixture *f = *state;
    evs_sink_handle *s = NULL;
    FAILS(evs_sink_open(f->ctx, "callback", NULL, f->schema, 0, &s, &f->err), EVS_ERR_UNSUPPORTED,
          "is no sink");
}

static void test_sink_open_unknown_option_names_the_closest(void **state)
{
    fixture *f = *state;
    evs_sink_handle *s = NULL;
    FAILS(evs_sink_open(f->ctx, "memory", EVS_OPTIONS("nmae", "x"), f->schema, 0, &s, &f->err),
          EVS_ERR_CONFIG, "did you mean \"name\"");
}

static void test_sink_open_failure_of_the_connector_is_passed_on(void **state)
{
    fixture *f = *state;
    static const evs_connector c = {sizeof(c), "mine", "a test", NULL, &mine_sink};
    evs_sink_handle *s = NULL;
    OK(evs_connector_register(f->ctx, &c, &f->err));
    FAILS(evs_sink_open(f->ctx, "mine", NULL, f->schema, 0, &s, &f->err), EVS_ERR_UNAVAILABLE,
          "nobody there");
}

static evs_status any_open(evs_context *ctx,
                           const evs_config *config,
                           evs_schema *schema,
                           const evs_sink_identity *identity,
                           void **ret,
                           evs_error **reterr)
{
    (void)ctx;
    (void)config;
    (void)schema;
    (void)identity;
    (void)reterr;
    *ret = &mine_sink;
    return EVS_OK;
}

static void two_refused(void *s, evs_refused_fn refused, void *user_data)
{
    static const evs_input in = {.offset = -1, .partition = -1};
    (void)s;
    refused(&in, EVS_ERR_LIMIT, "the first is too large", user_data);
    refused(&in, EVS_ERR_KAFKA, "the second, too", user_data);
}

static void test_sink_commit_tells_what_the_server_refused(void **state)
{
    fixture *f = *state;
    static evs_sink_functions functions;
    static const evs_connector c = {sizeof(c), "mine", "a test", NULL, &functions};
    evs_sink_handle *s = NULL;
    evs_batch *b = rows(f, 1, 2);
    functions = mine_sink;
    functions.open = any_open;
    functions.refused = two_refused;
    OK(evs_connector_register(f->ctx, &c, &f->err));
    OK(evs_sink_open(f->ctx, "mine", NULL, f->schema, 0, &s, &f->err));
    OK(evs_sink_write(s, b, &f->err));
    FAILS(evs_sink_commit(s, 1, &f->err), EVS_ERR_LIMIT, "the first is too large");
    /* one that ends before it is never asked */
    functions.struct_size = offsetof(evs_sink_functions, refused);
    OK(evs_sink_commit(s, 2, &f->err));
    evs_sink_close(s);
    evs_batch_unref(b);
}

/* ---- a named log between a sink and a consumer ---- */

static void test_consumer_reads_what_a_memory_sink_wrote(void **state)
{
    fixture *f = *state;
    evs_sink_handle *s = NULL;
    evs_consumer *c = NULL;
    evs_batch *b = rows(f, 1, 2), *got = NULL;
    int64_t epoch = 0;

    OK(evs_sink_open(f->ctx, "memory", EVS_OPTIONS("name", "log"), f->schema, 0, &s, &f->err));
    OK(evs_sink_write(s, b, &f->err));
    OK(evs_sink_commit(s, 1, &f->err));
    OK(evs_sink_recover(s, &epoch, &f->err));
    assert_int_equal(epoch, -1);
    assert_null(evs_sink_close(s));
    OK(evs_consumer_new(f->ctx,
                        EVS_OPTIONS("connector", "memory", "name", "log", "bounded", "true"), NULL,
                        &c, &f->err));
    OK(evs_consumer_poll(c, 0, &got, &f->err));
    assert_batch(got, "1000@/a|1\n2000@/a|2");
    assert_int_equal(evs_consumer_poll(c, 0, &got, &f->err), EVS_END);
    OK(evs_consumer_commit(c, &f->err));
    evs_consumer_close(c);
    evs_batch_unref(b);
}

static void test_sink_write_of_other_rows_is_refused(void **state)
{
    fixture *f = *state;
    evs_sink_handle *s = NULL;
    evs_type *type = evs_test_type(f->ctx, "STRUCT<x INT> NOT NULL");
    evs_batch *b = evs_test_random_batch(f->ctx, type, 3, 1);
    OK(evs_sink_open(f->ctx, "memory", EVS_OPTIONS("name", "log"), f->schema, 0, &s, &f->err));
    FAILS(evs_sink_write(s, b, &f->err), EVS_ERR_TYPE, "the sink takes");
    evs_sink_close(s);
    evs_batch_unref(b);
    evs_type_unref(type);
}

static void test_memory_sink_full_log_says_again(void **state)
{
    fixture *f = *state;
    evs_sink_handle *s = NULL;
    evs_batch *b = rows(f, 1, 3);
    OK(evs_sink_open(f->ctx, "memory", EVS_OPTIONS("name", "small", "rows.max", "5"), f->schema, 0,
                     &s, &f->err));
    OK(evs_sink_write(s, b, &f->err));
    assert_int_equal(evs_sink_write(s, b, &f->err), EVS_AGAIN);
    evs_sink_close(s);
    evs_batch_unref(b);
}

static void test_consumer_poll_empty_log_waits_and_says_again(void **state)
{
    fixture *f = *state;
    evs_consumer *c = NULL;
    evs_batch *got = NULL;
    OK(evs_consumer_new(f->ctx, EVS_OPTIONS("connector", "memory", "name", "none"), NULL, &c,
                        &f->err));
    assert_int_equal(evs_consumer_poll(c, 20, &got, &f->err), EVS_AGAIN);
    evs_consumer_close(c);
}

static void test_consumer_new_unknown_option_is_an_error(void **state)
{
    fixture *f = *state;
    evs_consumer *c = NULL;
    FAILS(evs_consumer_new(f->ctx, EVS_OPTIONS("connector", "memory", "partition", "2"), NULL, &c,
                           &f->err),
          EVS_ERR_CONFIG, "did you mean \"partitions\"");
    FAILS(evs_consumer_new(f->ctx, EVS_OPTIONS("connector", "x/../y"), NULL, &c, &f->err),
          EVS_ERR_NOT_FOUND, "unknown connector");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_connector_register_faults_are_named),
        T(test_connector_register_twice_is_refused),
        T(test_connector_register_of_the_first_release_is_taken),
        T(test_sink_open_unknown_connector_lists_known_ones),
        T(test_sink_open_of_a_source_is_refused),
        T(test_sink_open_unknown_option_names_the_closest),
        T(test_sink_open_failure_of_the_connector_is_passed_on),
        T(test_sink_commit_tells_what_the_server_refused),
        T(test_consumer_reads_what_a_memory_sink_wrote),
        T(test_sink_write_of_other_rows_is_refused),
        T(test_memory_sink_full_log_says_again),
        T(test_consumer_poll_empty_log_waits_and_says_again),
        T(test_consumer_new_unknown_option_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
