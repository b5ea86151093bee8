/*
 * evs_batch_export_arrow() and evs_batch_import_arrow(): documented failures, ownership. Values are
 * checked in tests/unit/test_arrow.c and against pyarrow in tests/python.
 */
#include "evs_test.h"

typedef struct fixture {
    evs_context *ctx;
    evs_batch *batch;
    evs_error *err;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    evs_type *t;

    *state = f;
    evs_context_new(NULL, &f->ctx, NULL);
    t = evs_test_type(f->ctx, "STRUCT<n BIGINT, s VARCHAR, l ARRAY<INT>, at TIMESTAMP> NOT NULL");
    f->batch = evs_test_random_batch(f->ctx, t, 10, 1);
    evs_type_unref(t);
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    evs_batch_unref(f->batch);
    evs_context_unref(f->ctx);
    free(f);
    return 0;
}

static void test_export_documented_failures(void **state)
{
    fixture *f = *state;
    struct ArrowSchema schema = {.release = NULL};
    struct ArrowArray array = {.release = NULL};
    evs_status status = evs_batch_export_arrow(NULL, false, &schema, &array, &f->err);

    assert_evs_error(status, f->err, EVS_ERR_INVALID, "NULL", NULL);
    f->err = NULL;
    status = evs_batch_export_arrow(f->batch, false, &schema, NULL, &f->err);
    assert_evs_error(status, f->err, EVS_ERR_INVALID, "NULL", NULL);
    assert_null(schema.release);
    assert_null(array.release);
}

static void test_export_then_import_gives_the_rows(void **state)
{
    fixture *f = *state;
    struct ArrowSchema schema;
    struct ArrowArray array;
    evs_batch *back = NULL;
    char *want;

    assert_evs_ok(evs_batch_export_arrow(f->batch, false, &schema, &array, &f->err), f->err);
    f->batch = evs_batch_unref(f->batch);
    assert_evs_ok(evs_batch_import_arrow(f->ctx, &schema, &array, "at", &back, &f->err), f->err);
    assert_null(schema.release);
    assert_null(array.release);
    assert_int_equal(evs_batch_rows(back), 10);
    f->ctx = evs_context_unref(f->ctx);
    want = evs_test_batch_text(back);
    assert_int_equal(evs_batch_export_arrow(back, false, NULL, &array, NULL), EVS_OK);
    array.release(&array);
    assert_batch(back, want);
    free(want);
    evs_batch_unref(back);
}

static void test_import_failure_leaves_the_array_to_the_caller(void **state)
{
    fixture *f = *state;
    struct ArrowSchema schema;
    struct ArrowArray array;
    evs_batch *back = NULL;
    const char *format;
    evs_status status;

    assert_int_equal(evs_batch_export_arrow(f->batch, false, &schema, &array, NULL), EVS_OK);
    status = evs_batch_import_arrow(f->ctx, &schema, &array, "nope", &back, &f->err);
    assert_evs_error(status, f->err, EVS_ERR_INVALID, "fields are \"n\", \"s\"", NULL);
    f->err = NULL;
    status = evs_batch_import_arrow(f->ctx, &schema, &array, "s", &back, &f->err);
    assert_evs_error(status, f->err, EVS_ERR_INVALID, "VARCHAR, not TIMESTAMP", NULL);
    f->err = NULL;
    format = schema.children[0]->format;
    schema.children[0]->format = "n";
    status = evs_batch_import_arrow(f->ctx, &schema, &array, NULL, &back, &f->err);
    assert_evs_error(status, f->err, EVS_ERR_UNSUPPORTED, "column \"n\": the Arrow type \"n\"",
                     NULL);
    f->err = NULL;
    schema.children[0]->format = format;
    array.length = 11;
    status = evs_batch_import_arrow(f->ctx, &schema, &array, NULL, &back, &f->err);
    assert_evs_error(status, f->err, EVS_ERR_CORRUPT, "shorter than its parent", NULL);
    f->err = NULL;
    assert_int_equal(evs_batch_import_arrow(NULL, &schema, &array, NULL, &back, NULL),
                     EVS_ERR_INVALID);
    assert_int_equal(evs_batch_import_arrow(f->ctx, &schema, &array, NULL, NULL, NULL),
                     EVS_ERR_INVALID);
    assert_null(back);
    schema.release(&schema);
    array.release(&array);
    status = evs_batch_import_arrow(f->ctx, &schema, &array, NULL, &back, &f->err);
    assert_evs_error(status, f->err, EVS_ERR_INVALID, "released", NULL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_export_documented_failures),
        T(test_export_then_import_gives_the_rows),
        T(test_import_failure_leaves_the_array_to_the_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
