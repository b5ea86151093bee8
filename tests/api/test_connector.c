/*
 * evstream/connector.h from outside: registration, attachments, a sink without a pipeline.
 */
#include "api_kit.h"

static evs_schema *schema;

static void columns(const char *text)
{
    OK(evs_schema_columns(ctx, text, &schema, &err));
}

static void free_columns(void)
{
    evs_schema_unref(schema);
    schema = NULL;
}

static void test_register_faulty_connectors(void **state)
{
    static const evs_sink_functions no_functions = {.struct_size = sizeof(no_functions)};
    static const evs_connector taken = {sizeof(taken), "memory", "", NULL, &no_functions};
    static const evs_connector small = {3, "mine", "", NULL, &no_functions};
    static const evs_connector empty = {sizeof(empty), "mine", "", NULL, NULL};
    (void)state;
    FAILS(evs_connector_register(NULL, &taken, &err), EVS_ERR_INVALID, "");
    FAILS(evs_connector_register(ctx, NULL, &err), EVS_ERR_INVALID, "");
    FAILS(evs_connector_register(ctx, &taken, &err), EVS_ERR_INVALID, "memory");
    FAILS(evs_connector_register(ctx, &small, &err), EVS_ERR_INVALID, "");
    FAILS(evs_connector_register(ctx, &empty, &err), EVS_ERR_INVALID, "");
}

static void test_attach_takes_a_name_once(void **state)
{
    int a = 1, b = 2;
    (void)state;
    FAILS(evs_context_attach(NULL, "x", &a, NULL, &err), EVS_ERR_INVALID, "");
    FAILS(evs_context_attach(ctx, NULL, &a, NULL, &err), EVS_ERR_INVALID, "");
    OK(evs_context_attach(ctx, "x", &a, NULL, &err));
    FAILS(evs_context_attach(ctx, "x", &b, NULL, &err), EVS_ERR_MISUSE, "x");
    assert_ptr_equal(evs_context_attached(ctx, "x"), &a);
    assert_null(evs_context_attached(ctx, "y"));
}

static void test_sink_open_faulty(void **state)
{
    evs_sink_handle *sink = NULL;
    (void)state;
    columns("a INT");
    FAILS(evs_sink_open(NULL, "memory", NULL, schema, 0, &sink, &err), EVS_ERR_INVALID, "context");
    FAILS(evs_sink_open(ctx, NULL, NULL, schema, 0, &sink, &err), EVS_ERR_INVALID, "connector");
    FAILS(evs_sink_open(ctx, "memory", NULL, NULL, 0, &sink, &err), EVS_ERR_INVALID, "schema");
    FAILS(evs_sink_open(ctx, "memory", NULL, schema, 0, NULL, &err), EVS_ERR_INVALID, "ret_sink");
    FAILS(evs_sink_open(ctx, "memory", NULL, schema, 2, &sink, &err), EVS_ERR_INVALID,
          "2 key columns of 1");
    FAILS(evs_sink_open(ctx, "memory", NULL, schema, -1, &sink, &err), EVS_ERR_INVALID,
          "-1 key columns");
    FAILS(evs_sink_open(ctx, "nowhere", NULL, schema, 0, &sink, &err), EVS_ERR_NOT_FOUND, "memory");
    FAILS(evs_sink_open(ctx, "memory", EVS_OPTIONS("rows.maxx", "1"), schema, 0, &sink, &err),
          EVS_ERR_CONFIG, "rows.max");
    assert_null(sink);
    assert_null(evs_sink_close(NULL));
    free_columns();
}

static void test_sink_calls_faulty(void **state)
{
    evs_sink_handle *sink = NULL;
    evs_schema *other = NULL;
    evs_appender *a = NULL;
    evs_batch *batch = NULL;
    int64_t epoch = 7;
    (void)state;
    columns("a INT");
    OK(evs_schema_columns(ctx, "b VARCHAR", &other, &err));
    OK(evs_appender_new(ctx, evs_schema_type(other), &a, &err));
    evs_append_null(a);
    OK(evs_append_end_row(a, &err));
    OK(evs_appender_take(a, &batch, &err));
    OK(evs_sink_open(ctx, "memory", EVS_OPTIONS("name", "t"), schema, 0, &sink, &err));
    FAILS(evs_sink_write(NULL, batch, &err), EVS_ERR_INVALID, "sink");
    FAILS(evs_sink_write(sink, NULL, &err), EVS_ERR_INVALID, "batch");
    FAILS(evs_sink_write(sink, batch, &err), EVS_ERR_TYPE, "the sink takes rows of");
    FAILS(evs_sink_commit(NULL, 1, &err), EVS_ERR_INVALID, "sink");
    FAILS(evs_sink_recover(NULL, &epoch, &err), EVS_ERR_INVALID, "sink");
    FAILS(evs_sink_recover(sink, NULL, &err), EVS_ERR_INVALID, "ret_epoch");
    OK(evs_sink_recover(sink, &epoch, &err));
    assert_int_equal(epoch, -1);
    assert_null(evs_sink_close(sink));
    evs_batch_unref(batch);
    evs_appender_unref(a);
    evs_schema_unref(other);
    free_columns();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        API_TEST(test_register_faulty_connectors),
        API_TEST(test_attach_takes_a_name_once),
        API_TEST(test_sink_open_faulty),
        API_TEST(test_sink_calls_faulty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
