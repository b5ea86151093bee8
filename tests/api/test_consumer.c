/*
 * evstream/consumer.h from outside: each function called into each failure that its comment names.
 */
#include "api_kit.h"

static evs_consumer *c;

static void test_new_faulty(void **state)
{
    (void)state;
    FAILS(evs_consumer_new(NULL, EVS_OPTIONS("connector", "memory"), NULL, &c, &err),
          EVS_ERR_INVALID, "");
    FAILS(evs_consumer_new(ctx, EVS_OPTIONS("connector", "memory"), NULL, NULL, &err),
          EVS_ERR_INVALID, "");
    FAILS(evs_consumer_new(ctx, EVS_OPTIONS("connector", "nowhere"), NULL, &c, &err),
          EVS_ERR_NOT_FOUND, "nowhere");
    FAILS(evs_consumer_new(ctx, EVS_OPTIONS("connector", "memory", "no.such", "1"), NULL, &c, &err),
          EVS_ERR_CONFIG, "no.such");
    FAILS(evs_consumer_new(ctx, EVS_OPTIONS("topic", "t"), NULL, &c, &err), EVS_ERR_CONFIG,
          "bootstrap.servers");
    FAILS(evs_consumer_new(ctx, EVS_OPTIONS("connector", "memory", "columns", "a NUMBER"), NULL, &c,
                           &err),
          EVS_ERR_SCHEMA, "NUMBER");
    assert_null(c);
    assert_null(evs_consumer_close(NULL));
}

static void test_calls_faulty(void **state)
{
    evs_batch *batch = NULL;
    (void)state;
    FAILS(evs_consumer_poll(NULL, 0, &batch, &err), EVS_ERR_INVALID, "");
    FAILS(evs_consumer_commit(NULL, &err), EVS_ERR_INVALID, "");
    OK(evs_consumer_new(ctx,
                        EVS_OPTIONS("connector", "memory", "name", "quiet", "columns", "a INT"),
                        NULL, &c, &err));
    FAILS(evs_consumer_poll(c, 0, NULL, &err), EVS_ERR_INVALID, "ret_batch");
    assert_int_equal(evs_consumer_poll(c, 0, &batch, &err), EVS_AGAIN);
    assert_null(evs_consumer_close(c));
    c = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        API_TEST(test_new_faulty),
        API_TEST(test_calls_faulty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
