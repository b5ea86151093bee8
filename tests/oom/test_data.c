/*
 * Out-of-memory sweeps over data: types, appender, rows, gather, batches as bytes.
 */
#include <stdio.h>

#include "evs_test.h"

#include "data/batch.h"

#define TYPE                                                                                       \
    "STRUCT<id INT NOT NULL, name VARCHAR, price DECIMAL(9,2), tags ARRAY<VARCHAR>, "              \
    "items ARRAY<STRUCT<sku VARCHAR, attrs MAP<DOUBLE>>>> NOT NULL"

static evs_status type_scenario(evs_context *ctx, void *user_data)
{
    evs_type *type = NULL;
    const evs_type *columns = NULL, *strict = NULL;
    char **paths = NULL;
    evs_error *err = NULL;
    evs_status status = evs_type_parse(ctx, TYPE, &type, &err);

    (void)user_data;
    if (!status)
        status = evs__columns_parse(ctx, "a INT '$.x', \"b c\" MAP<INT> NOT NULL, c VARCHAR",
                                    &columns, &paths, &err);
    if (!status)
        status = evs__type_with_nullable(columns, true, &strict);
    evs_error_unref(err);
    err = NULL;
    if (!status && evs_type_parse(ctx, "STRUCT<a BIGNIT>", NULL, &err) != EVS_ERR_INVALID)
        status = EVS_ERR_INTERNAL;
    evs_error_unref(err);
    evs__columns_free_paths(ctx, paths, columns ? columns->child_count : 0);
    evs_type_unref(strict);
    evs_type_unref(columns);
    evs_type_unref(type);
    return status;
}

static evs_status append_rows(evs_appender *a, int rows, evs_error **reterr)
{
    evs_status status = EVS_OK;

    for (int i = 0; i < rows && !status; i++) {
        char name[100];
        int n = snprintf(name, sizeof(name), "name %0*d", i % 60, i);
        evs_append_time(a, i);
        evs_append_kind(a, i % 7 ? EVS_ROW_INSERT : EVS_ROW_UPDATE);
        evs_append_int(a, i);
        if (i % 5)
            evs_append_string(a, name, (size_t)n);
        else
            evs_append_null(a);
        evs_append_decimal(a, "12.5");
        evs_append_begin(a);
        for (int k = 0; k < i % 20; k++)
            evs_append_string(a, name, (size_t)n);
        evs_append_end(a);
        evs_append_begin(a);
        evs_append_begin(a);
        evs_append_string(a, "sku", 3);
        evs_append_begin(a);
        evs_append_string(a, "k", 1);
        evs_append_double(a, i);
        evs_append_end(a);
        evs_append_end(a);
        evs_append_end(a);
        status = evs_append_end_row(a, reterr);
    }
    return status;
}

/* rows of a batch, selected, owned, written, read back: the same text */
static evs_status round_trip(evs_context *ctx, evs_batch *batch)
{
    uint32_t sel[] = {3, 1, 0, 20};
    evs_batch *selected = NULL, *own = NULL, *back = NULL, *like = NULL;
    evs__buffer out;
    evs_status status = evs__batch_select(batch, sel, 4, &selected);

    evs__buffer_init(&out, ctx, 1 << 20);
    if (!status)
        status = evs_batch_keep(selected, &own, NULL);
    if (!status)
        status = evs__batch_like(selected, batch->type, &like);
    if (!status)
        status = evs__batch_write(own, &out);
    if (!status)
        status = evs__batch_read(ctx, batch->type, out.data, out.len, NULL, &back);
    for (uint32_t k = 0; !status && k < batch->column_count; k++) {
        for (uint32_t i = 0; i < 4; i++) {
            if (!evs__column_equal_rows(back->columns[k], i, batch->columns[k], sel[i]))
                status = EVS_ERR_INTERNAL;
        }
    }
    if (!status) {
        evs__buffer_reset(&out);
        status = evs__batch_row_json(back, 1, &out);
    }
    evs__buffer_free(&out);
    evs_batch_unref(selected);
    evs_batch_unref(own);
    evs_batch_unref(like);
    evs_batch_unref(back);
    return status;
}

static evs_status batch_scenario(evs_context *ctx, void *user_data)
{
    evs_type *type = NULL;
    evs_appender *a = NULL;
    evs_batch *batch = NULL;
    evs_error *err = NULL;
    evs_status status = evs_type_parse(ctx, TYPE, &type, &err);

    (void)user_data;
    if (!status)
        status = evs_appender_new(ctx, type, &a, &err);
    if (!status)
        status = append_rows(a, 50, &err);
    if (!status)
        status = evs_appender_take(a, &batch, &err);
    if (!status)
        status = round_trip(ctx, batch);
    evs_error_unref(err);
    evs_batch_unref(batch);
    evs_appender_unref(a);
    evs_type_unref(type);
    return status;
}

/* a row that found no memory is dropped; the same appender takes the next ones */
static evs_status retry_scenario(evs_context *ctx, void *user_data)
{
    evs_type *type = NULL;
    evs_appender *a = NULL;
    evs_batch *batch = NULL;
    evs_status status = evs_type_parse(ctx, TYPE, &type, NULL);
    int dropped = 0;

    (void)user_data;
    if (!status)
        status = evs_appender_new(ctx, type, &a, NULL);
    for (int i = 0; !status && i < 30; i++) {
        evs_error *err = NULL;
        evs_status row = append_rows(a, 1, &err);
        if (row != (evs_status)evs_error_status(err) || (row && row != EVS_ERR_NOMEM))
            status = EVS_ERR_INTERNAL;
        dropped += row != EVS_OK;
        evs_error_unref(err);
    }
    if (!status && evs_appender_rows(a) != (size_t)(30 - dropped))
        status = EVS_ERR_INTERNAL;
    if (!status && evs_appender_rows(a))
        status = evs_appender_take(a, &batch, NULL);
    for (uint32_t k = 0; batch && k < batch->column_count; k++) {
        if (batch->columns[k]->length != batch->rows)
            status = EVS_ERR_INTERNAL;
    }
    evs_batch_unref(batch);
    evs_appender_unref(a);
    evs_type_unref(type);
    return status;
}

/* out as Arrow and in again, with and without conversion on the way */
static evs_status arrow_scenario(evs_context *ctx, void *user_data)
{
    struct ArrowSchema schema = {.release = NULL};
    struct ArrowArray array = {.release = NULL};
    evs_type *type = NULL;
    evs_appender *a = NULL;
    evs_batch *batch = NULL, *back = NULL;
    evs_error *err = NULL;
    evs_status status = evs_type_parse(ctx, TYPE, &type, &err);

    (void)user_data;
    if (!status)
        status = evs_appender_new(ctx, type, &a, &err);
    if (!status)
        status = append_rows(a, 20, &err);
    if (!status)
        status = evs_appender_take(a, &batch, &err);
    if (!status)
        status = evs_batch_export_arrow(batch, true, &schema, &array, &err);
    if (!status) {
        array.offset = 3; /* a slice: bits and offsets have to be copied */
        array.length = 15;
        status = evs_batch_import_arrow(ctx, &schema, &array, "_time", &back, &err);
    }
    for (uint32_t k = 0; !status && k < batch->column_count; k++) {
        for (uint32_t i = 0; i < 15; i++) {
            if (!evs__column_equal_rows(back->columns[k], i, batch->columns[k], i + 3))
                status = EVS_ERR_INTERNAL;
        }
    }
    if (status && back)
        status = EVS_ERR_INTERNAL;
    if (schema.release)
        schema.release(&schema);
    if (array.release)
        array.release(&array);
    evs_error_unref(err);
    evs_batch_unref(back);
    evs_batch_unref(batch);
    evs_appender_unref(a);
    evs_type_unref(type);
    return status;
}

/* a stream that is drained by its callbacks, which have no error but a number */
static evs_status stream_scenario(evs_context *ctx, void *user_data)
{
    struct ArrowArrayStream stream = {.release = NULL};
    struct ArrowSchema schema = {.release = NULL};
    struct ArrowArray array = {.release = NULL};
    evs_type *type = NULL;
    evs_appender *a = NULL;
    evs_batch *batch = NULL;
    evs_error *err = NULL;
    evs_status status = evs_type_parse(ctx, TYPE, &type, &err);

    (void)user_data;
    if (!status)
        status = evs_appender_new(ctx, type, &a, &err);
    if (!status)
        status = append_rows(a, 3, &err);
    if (!status)
        status = evs_appender_take(a, &batch, &err);
    if (!status)
        status = evs_batches_export_arrow(evs_batch_type(batch), &batch, 1, true, &stream, &err);
    if (!status && (stream.get_schema(&stream, &schema) || stream.get_next(&stream, &array)))
        status = stream.get_last_error(&stream) ? EVS_ERR_NOMEM : EVS_ERR_INTERNAL;
    if (schema.release)
        schema.release(&schema);
    if (array.release)
        array.release(&array);
    if (stream.release)
        stream.release(&stream);
    evs_error_unref(err);
    evs_batch_unref(batch);
    evs_appender_unref(a);
    evs_type_unref(type);
    return status;
}

static void test_arrow_without_memory(void **state)
{
    (void)state;
    assert_true(evs_test_oom_sweep(arrow_scenario, NULL) > 100);
    assert_true(evs_test_oom_sweep(stream_scenario, NULL) > 50);
}

static void test_types_without_memory(void **state)
{
    (void)state;
    assert_true(evs_test_oom_sweep(type_scenario, NULL) > 30);
}

static void test_batches_without_memory(void **state)
{
    (void)state;
    assert_true(evs_test_oom_sweep(batch_scenario, NULL) > 100);
}

static void test_appender_goes_on_after_a_row_without_memory(void **state)
{
    (void)state;
    assert_true(evs_test_oom_sweep(retry_scenario, NULL) > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types_without_memory),
        cmocka_unit_test(test_batches_without_memory),
        cmocka_unit_test(test_arrow_without_memory),
        cmocka_unit_test(test_appender_goes_on_after_a_row_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
