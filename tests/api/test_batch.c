/*
 * evs_batch and evs_column_view as a host reads them.
 */
#include "evs_test.h"

typedef struct fixture {
    evs_context *ctx;
    evs_type *type;
    evs_batch *batch;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    evs_appender *a = NULL;

    *state = f;
    evs_context_new(NULL, &f->ctx, NULL);
    f->type = evs_test_type(f->ctx, "STRUCT<n BIGINT, s VARCHAR, l ARRAY<INT>> NOT NULL");
    evs_appender_new(f->ctx, f->type, &a, NULL);
    for (int64_t i = 0; i < 3; i++) {
        evs_append_time(a, 10 + i);
        if (i == 1) {
            evs_append_kind(a, EVS_ROW_UPDATE);
        } else {
            evs_append_int(a, i);
            evs_append_string(a, "text", (size_t)i + 1);
            evs_append_begin(a);
            evs_append_int(a, -i);
            evs_append_end(a);
        }
        evs_append_end_row(a, NULL);
    }
    evs_appender_take(a, &f->batch, NULL);
    evs_appender_unref(a);
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    evs_batch_unref(f->batch);
    evs_type_unref(f->type);
    evs_context_unref(f->ctx);
    free(f);
    return 0;
}

static void test_batch_arrays(void **state)
{
    fixture *f = *state;
    assert_int_equal(evs_batch_rows(f->batch), 3);
    assert_null(evs_batch_selection(f->batch));
    assert_int_equal(evs_batch_times(f->batch)[2], 12);
    assert_int_equal(evs_batch_kinds(f->batch)[1], EVS_ROW_UPDATE);
    assert_true(evs_type_equal(evs_batch_type(f->batch), f->type));
}

static void test_column_views_are_arrow_arrays(void **state)
{
    fixture *f = *state;
    evs_column_view n, s, l, e;
    evs_string_view text;

    assert_int_equal(evs_batch_column(f->batch, 0, &n), EVS_OK);
    assert_int_equal(n.length, 3);
    assert_int_equal(n.layout, EVS_LAYOUT_OWNED);
    assert_int_equal(n.validity[0] & 7, 5);
    assert_int_equal(((const int64_t *)n.values)[2], 2);
    assert_int_equal(((const int64_t *)n.values)[1], 0);
    assert_null(n.offsets);
    assert_int_equal(n.child_count, 0);
    assert_int_equal(evs_batch_column(f->batch, 1, &s), EVS_OK);
    assert_int_equal(s.offsets[3], 4);
    assert_memory_equal(s.values, "ttex", 4);
    text = evs_column_string(&s, 2);
    assert_int_equal(text.len, 3);
    assert_memory_equal(text.data, "tex", 3);
    assert_null(evs_column_string(&s, 1).data);
    assert_null(evs_column_string(&s, 3).data);
    assert_null(evs_column_string(&s, -1).data);
    assert_null(evs_column_string(&n, 0).data);
    assert_null(evs_column_string(NULL, 0).data);
    assert_int_equal(evs_batch_column(f->batch, 2, &l), EVS_OK);
    assert_int_equal(l.child_count, 1);
    assert_int_equal(evs_column_child(&l, 0, &e), EVS_OK);
    assert_int_equal(e.length, 2);
    assert_int_equal(((const int32_t *)e.values)[l.offsets[2]], -2);
}

static void test_documented_failures(void **state)
{
    fixture *f = *state;
    evs_column_view v, child;
    evs_batch *kept = NULL;
    evs_error *err = NULL;
    evs_status status;

    assert_int_equal(evs_batch_column(f->batch, 3, &v), EVS_ERR_INVALID);
    assert_int_equal(evs_batch_column(NULL, 0, &v), EVS_ERR_INVALID);
    assert_int_equal(evs_batch_column(f->batch, 0, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_batch_column(f->batch, 0, &v), EVS_OK);
    assert_int_equal(evs_column_child(&v, 0, &child), EVS_ERR_INVALID);
    assert_int_equal(evs_column_child(NULL, 0, &child), EVS_ERR_INVALID);
    status = evs_batch_keep(NULL, &kept, &err);
    assert_evs_error(status, err, EVS_ERR_INVALID, "NULL", NULL);
    assert_int_equal(evs_batch_keep(f->batch, NULL, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_batch_rows(NULL), 0);
    assert_null(evs_batch_type(NULL));
    assert_null(evs_batch_times(NULL));
    assert_null(evs_batch_kinds(NULL));
    assert_null(evs_batch_selection(NULL));
    assert_null(evs_batch_ref(NULL));
    assert_null(evs_batch_unref(NULL));
}

static void test_keep_of_owned_is_the_same_batch(void **state)
{
    fixture *f = *state;
    evs_batch *kept = NULL;

    assert_int_equal(evs_batch_keep(f->batch, &kept, NULL), EVS_OK);
    assert_ptr_equal(kept, f->batch);
    f->batch = evs_batch_unref(f->batch);
    assert_batch(kept, "10@0|t|[0]\nu 11@null|null|null\n12@2|tex|[-2]");
    f->batch = kept;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_batch_arrays),
        T(test_column_views_are_arrow_arrays),
        T(test_documented_failures),
        T(test_keep_of_owned_is_the_same_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
