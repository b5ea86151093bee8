/*
 * Stateless operators: filter, project, explode, apply: rows, types, what travels beside the rows,
 * rows that are rejected.
 */
#include <stdio.h>

#include "../support/evs_test.h"

#include "engine/operator.h"

#define IN_TYPE                                                                                    \
    "STRUCT<page VARCHAR, ms INT, items ARRAY<STRUCT<sku VARCHAR, qty INT>>, n INT NOT NULL> NOT " \
    "NULL"

static evs_test_memory memory = {.fail_at = -1};
static evs_context *ctx;
static evs_type *in_type;
static evs_batch *in; /* 4 rows; row 1 is not selected in `some` */
static evs_batch *some;
static int leases;

static void lease_release(evs__lease *lease)
{
    leases--;
    free(lease);
}

static void append_row(evs_appender *a, const char *page, int ms, int items, int n)
{
    evs_append_time(a, 1000 + n);
    evs_append_kind(a, n == 2 ? EVS_ROW_DELETE : EVS_ROW_INSERT);
    if (page)
        evs_append_string(a, page, strlen(page));
    else
        evs_append_null(a);
    evs_append_int(a, ms);
    if (items < 0) {
        evs_append_null(a);
    } else {
        evs_append_begin(a);
        for (int i = 0; i < items; i++) {
            char sku[16];
            snprintf(sku, sizeof(sku), "s%d", i);
            evs_append_begin(a);
            evs_append_string(a, sku, strlen(sku));
            evs_append_int(a, i);
            evs_append_end(a);
        }
        evs_append_end(a);
    }
    evs_append_int(a, n);
    assert_int_equal(evs_append_end_row(a, NULL), EVS_OK);
}

static int make_input(void **state)
{
    static const uint32_t sel[] = {0, 2, 3};
    evs_appender *a = NULL;
    evs__lease *lease = calloc(1, sizeof(*lease));
    (void)state;

    ctx = evs_test_context(&memory);
    in_type = evs_test_type(ctx, IN_TYPE);
    assert_int_equal(evs_appender_new(ctx, in_type, &a, NULL), EVS_OK);
    append_row(a, "/a", 10, 2, 0);
    append_row(a, "/b", 0, 1, 1);
    append_row(a, NULL, -5, -1, 2);
    append_row(a, "/c", 0, 0, 3);
    assert_int_equal(evs_appender_take(a, &in, NULL), EVS_OK);
    evs_appender_unref(a);
    assert_int_equal(evs__batch_need_origin(in), EVS_OK);
    assert_int_equal(evs__batch_need_row_watermark(in), EVS_OK);
    for (uint32_t i = 0; i < 4; i++) {
        in->origin[i] = 40 + i;
        in->row_watermark[i] = 900 + i;
    }
    in->slot = 7;
    lease->release = lease_release;
    atomic_init(&lease->refs, 1);
    in->lease = lease;
    leases = 1;
    assert_int_equal(evs__batch_select(in, sel, 3, &some), EVS_OK);
    return 0;
}

static int drop_input(void **state)
{
    (void)state;
    some = evs_batch_unref(some);
    in = evs_batch_unref(in);
    assert_int_equal(leases, 0);
    in_type = evs_type_unref(in_type);
    ctx = evs_context_unref(ctx);
    assert_int_equal(memory.live, 0);
    return 0;
}

/* ---- what comes out ---- */

typedef struct sink {
    char text[4096];
    char rejected[1024];
    int batches;
    evs_status fail; /* of emit */
    bool meta;       /* append origin, watermark and slot */
} sink;

static evs_status sink_emit(void *user, int port, evs_batch *batch, evs_error **reterr)
{
    sink *s = user;
    char *rows = evs_test_batch_text(batch);
    (void)reterr;

    assert_int_equal(port, EVS__PORT_MAIN);
    assert_true(batch->count > 0);
    s->batches++;
    if (strlen(s->text) + strlen(rows) + 2 < sizeof(s->text))
        strcat(strcat(s->text, rows), ";");
    for (uint32_t k = 0; s->meta && k < batch->count; k++) {
        uint32_t row = evs__batch_row_at(batch, k);
        sprintf(s->text + strlen(s->text), "%u:%ld:%u ", batch->origin[row],
                (long)batch->row_watermark[row], batch->slot);
        assert_ptr_equal(batch->lease, in->lease);
    }
    free(rows);
    return s->fail;
}

static void sink_reject(void *user,
                        const evs_batch *batch,
                        uint32_t row,
                        const char *stage,
                        evs_status status,
                        const char *message)
{
    sink *s = user;
    assert_true(row < batch->rows);
    sprintf(s->rejected + strlen(s->rejected), "%u %s %s: %s;", row, stage, evs_status_name(status),
            message);
}

static evs_status run(evs__operator *op, evs_batch *batch, sink *s)
{
    evs__out out = {s, sink_emit, sink_reject, NULL};
    return op->fn->process(op, batch, 0, &out, NULL);
}

static void check(evs__operator *op, evs_batch *batch, const char *rows, const char *rejected)
{
    for (int round = 0; round < 2; round++) { /* nothing may depend on the batch before */
        sink s = {.fail = EVS_OK};
        assert_int_equal(run(op, batch, &s), EVS_OK);
        assert_string_equal(s.text, rows);
        assert_string_equal(s.rejected, rejected);
    }
}

/* ---- filter ---- */

static evs__operator *make_filter(const char *condition)
{
    evs__operator *op = NULL;
    evs_error *err = NULL;
    assert_evs_ok(evs__filter_new(ctx, in_type, condition, &op, &err), err);
    return op;
}

static void test_filter_keeps_true_rows_with_what_they_carry(void **state)
{
    evs__operator *op = make_filter("page <> '/b'");
    sink s = {.meta = true};
    (void)state;
    assert_string_equal(op->fn->kind, "filter");
    assert_ptr_equal(op->out_type, in_type);
    check(op, in,
          "1000@/a|10|[{\"sku\":\"s0\",\"qty\":0},{\"sku\":\"s1\",\"qty\":1}]|0\n1003@/c|0|[]|3;",
          "");
    check(op, some,
          "1000@/a|10|[{\"sku\":\"s0\",\"qty\":0},{\"sku\":\"s1\",\"qty\":1}]|0\n1003@/c|0|[]|3;",
          "");
    assert_int_equal(run(op, in, &s), EVS_OK);
    assert_non_null(strstr(s.text, ";40:900:7 43:903:7 "));
    evs__operator_free(op);
}

static void test_filter_nothing_left_emits_nothing(void **state)
{
    evs__operator *op = make_filter("n > 100");
    sink s = {.fail = EVS_OK};
    (void)state;
    assert_int_equal(run(op, in, &s), EVS_OK);
    assert_int_equal(s.batches, 0);
    evs__operator_free(op);
}

static void test_filter_failed_row_is_rejected_and_left_out(void **state)
{
    evs__operator *op = make_filter("100 / ms > 0");
    (void)state;
    check(op, in, "1000@/a|10|[{\"sku\":\"s0\",\"qty\":0},{\"sku\":\"s1\",\"qty\":1}]|0;",
          "1 expression EVS_ERR_EXPRESSION: division by zero (column 1);3 expression "
          "EVS_ERR_EXPRESSION: division by zero (column 1);");
    evs__operator_free(op);
}

static void test_filter_failure_of_emit_is_passed_on(void **state)
{
    evs__operator *op = make_filter("TRUE");
    sink s = {.fail = EVS_ERR_LIMIT};
    (void)state;
    assert_int_equal(run(op, in, &s), EVS_ERR_LIMIT);
    evs__operator_free(op);
}

static void test_filter_new_wrong_texts_are_refused(void **state)
{
    evs__operator *op = NULL;
    evs_error *err = NULL;
    evs_status status;
    (void)state;
    status = evs__filter_new(ctx, in_type, "ms + 1", &op, &err);
    assert_evs_error(status, err, EVS_ERR_TYPE, "expected a condition (BOOLEAN), this is INT",
                     "column 1");
    err = NULL;
    status = evs__filter_new(ctx, in_type, "pagee = 'x'", &op, &err);
    assert_evs_error(status, err, EVS_ERR_EXPRESSION, "did you mean \"page\"?", "column 1");
    assert_null(op);
}

/* ---- project ---- */

static evs__operator *make_project(const char *items)
{
    evs__operator *op = NULL;
    evs_error *err = NULL;
    assert_evs_ok(evs__project_new(ctx, in_type, items, &op, &err), err);
    return op;
}

static void test_project_computes_names_and_passes_columns(void **state)
{
    evs__operator *op = make_project("page, ms*2, ms + n AS sum, items[1].sku, 'x' AS x");
    sink s = {.meta = true};
    (void)state;
    assert_string_equal(evs_type_print(op->out_type),
                        "STRUCT<page VARCHAR, \"ms * 2\" INT, sum INT, sku VARCHAR, x VARCHAR NOT "
                        "NULL> NOT NULL");
    check(op, some, "1000@/a|20|10|s0|x\nd 1002@null|-10|-3|null|x\n1003@/c|0|3|null|x;", "");
    assert_int_equal(run(op, some, &s), EVS_OK);
    assert_non_null(strstr(s.text, ";40:900:7 42:902:7 43:903:7 "));
    evs__operator_free(op);
}

static void test_project_star_is_what_no_item_names(void **state)
{
    evs__operator *op = make_project("n + 1 AS next, *, upper(page) AS page");
    (void)state;
    assert_string_equal(evs_type_print(op->out_type),
                        "STRUCT<next INT NOT NULL, ms INT, items ARRAY<STRUCT<sku VARCHAR, qty "
                        "INT>>, n INT NOT NULL, page VARCHAR> NOT NULL");
    check(op, some,
          "1000@1|10|[{\"sku\":\"s0\",\"qty\":0},{\"sku\":\"s1\",\"qty\":1}]|0|/A\nd "
          "1002@3|-5|null|2|null\n1003@4|0|[]|3|/C;",
          "");
    evs__operator_free(op);
}

static void test_project_failed_row_is_rejected_once(void **state)
{
    evs__operator *op = make_project("100 / ms AS a, 10 / ms AS b, page");
    (void)state;
    check(op, in, "1000@10|1|/a\nd 1002@-20|-2|null;",
          "1 expression EVS_ERR_EXPRESSION: division by zero (column 1);3 expression "
          "EVS_ERR_EXPRESSION: division by zero (column 1);");
    evs__operator_free(op);
    op = make_project("1 / (n - n) AS a");
    check(op, some, "",
          "0 expression EVS_ERR_EXPRESSION: division by zero (column 1);2 expression "
          "EVS_ERR_EXPRESSION: division by zero (column 1);3 expression EVS_ERR_EXPRESSION: "
          "division by zero (column 1);");
    evs__operator_free(op);
}

static void test_project_new_wrong_texts_are_refused(void **state)
{
    static const struct {
        const char *text;
        evs_status status;
        const char *message;
        const char *origin;
    } cases[] = {{"page, ms AS page", EVS_ERR_EXPRESSION, "there are two columns named \"page\"",
                  "column 7"},
                 {"*, *", EVS_ERR_EXPRESSION, "there is a second \"*\"", "column 4"},
                 {"page, nn", EVS_ERR_EXPRESSION, "unknown field \"nn\"", "column 7"},
                 {"count(*)", EVS_ERR_EXPRESSION, "aggregates", "column 1"},
                 {"", EVS_ERR_EXPRESSION, "expected an expression", "column 1"}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        evs__operator *op = NULL;
        evs_error *err = NULL;
        evs_status status = evs__project_new(ctx, in_type, cases[i].text, &op, &err);
        assert_evs_error(status, err, cases[i].status, cases[i].message, cases[i].origin);
        assert_null(op);
    }
}

/* ---- explode ---- */

static void test_explode_column_is_replaced_by_its_elements(void **state)
{
    evs__operator *op = NULL;
    sink s = {.meta = true};
    (void)state;
    assert_int_equal(evs__explode_new(ctx, in_type, "items", "item", &op, NULL), EVS_OK);
    assert_string_equal(evs_type_print(op->out_type),
                        "STRUCT<page VARCHAR, ms INT, item STRUCT<sku VARCHAR, qty INT>, n INT NOT "
                        "NULL> NOT NULL");
    check(op, in,
          "1000@/a|10|{\"sku\":\"s0\",\"qty\":0}|0\n1000@/a|10|{\"sku\":\"s1\",\"qty\":1}|0\n1001@/"
          "b|0|{\"sku\":\"s0\",\"qty\":0}|1;",
          "");
    assert_int_equal(run(op, some, &s), EVS_OK);
    assert_non_null(strstr(s.text, ";40:900:7 40:900:7 "));
    evs__operator_free(op);
}

static void test_explode_expression_adds_a_column(void **state)
{
    evs__operator *op = NULL;
    (void)state;
    assert_int_equal(
        evs__explode_new(ctx, in_type, "CASE WHEN 10 / ms > 0 THEN items END", "i", &op, NULL),
        EVS_OK);
    assert_int_equal(op->out_type->child_count, 5);
    check(
        op, in,
        "1000@/a|10|[{\"sku\":\"s0\",\"qty\":0},{\"sku\":\"s1\",\"qty\":1}]|0|{\"sku\":\"s0\","
        "\"qty\":0}\n1000@/a|10|[{\"sku\":\"s0\",\"qty\":0},{\"sku\":\"s1\",\"qty\":1}]|0|{\"sku\":"
        "\"s1\",\"qty\":1};",
        "1 expression EVS_ERR_EXPRESSION: division by zero (column 11);3 expression "
        "EVS_ERR_EXPRESSION: division by zero (column 11);");
    evs__operator_free(op);
}

static void test_explode_nothing_left_emits_nothing(void **state)
{
    static const uint32_t sel[] = {2, 3};
    evs__operator *op = NULL;
    evs_batch *empty = NULL;
    sink s = {.fail = EVS_OK};
    (void)state;
    assert_int_equal(evs__explode_new(ctx, in_type, "items", NULL, &op, NULL), EVS_OK);
    assert_int_equal(evs__batch_select(in, sel, 2, &empty), EVS_OK);
    assert_int_equal(run(op, empty, &s), EVS_OK);
    assert_int_equal(s.batches, 0);
    evs_batch_unref(empty);
    evs__operator_free(op);
}

static void test_explode_long_arrays_make_several_batches(void **state)
{
    evs_type *type = evs_test_type(ctx, "STRUCT<a ARRAY<INT>> NOT NULL");
    evs_appender *a = NULL;
    evs_batch *batch = NULL;
    evs__operator *op = NULL;
    sink s = {.fail = EVS_OK};
    (void)state;
    assert_int_equal(evs_appender_new(ctx, type, &a, NULL), EVS_OK);
    evs_append_begin(a);
    for (int i = 0; i < 2 * EVS_BATCH_ROWS_MAX + 1; i++)
        evs_append_int(a, i);
    evs_append_end(a);
    assert_int_equal(evs_append_end_row(a, NULL), EVS_OK);
    assert_int_equal(evs_appender_take(a, &batch, NULL), EVS_OK);
    assert_int_equal(evs__explode_new(ctx, type, "a", NULL, &op, NULL), EVS_OK);
    assert_int_equal(run(op, batch, &s), EVS_OK);
    assert_int_equal(s.batches, 3);
    assert_non_null(strstr(s.text, "8192;"));
    evs__operator_free(op);
    evs_batch_unref(batch);
    evs_appender_unref(a);
    evs_type_unref(type);
}

static void test_explode_new_wrong_texts_are_refused(void **state)
{
    static const struct {
        const char *array;
        const char *alias;
        evs_status status;
        const char *message;
    } cases[] = {{"ms", NULL, EVS_ERR_TYPE, "explode needs an ARRAY, \"ms\" is INT"},
                 {"item", NULL, EVS_ERR_EXPRESSION, "did you mean \"items\"?"},
                 {"items", "page", EVS_ERR_EXPRESSION, "there is a column \"page\" already"},
                 {"coalesce(items, items)", NULL, EVS_ERR_EXPRESSION, "needs an alias"},
                 {"coalesce(items, items)", "n", EVS_ERR_EXPRESSION, "column \"n\" already"}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        evs__operator *op = NULL;
        evs_error *err = NULL;
        evs_status status =
            evs__explode_new(ctx, in_type, cases[i].array, cases[i].alias, &op, &err);
        assert_evs_error(status, err, cases[i].status, cases[i].message, NULL);
        assert_null(op);
    }
}

/* ---- apply ---- */

/* n rows for row n; rejects row 2; row 1 sets a time and leaves a row open */
static evs_status several(const evs_row *row, evs_apply_out *out, void *user_data)
{
    evs_appender *a = evs_apply_appender(out);
    int64_t n = -1;

    assert_ptr_equal(user_data, &leases);
    assert_int_equal(evs_row_int(row, evs_row_field(row, "n"), &n), EVS_OK);
    for (int64_t i = 0; i < n; i++) {
        if (n == 1)
            evs_append_time(a, 5);
        evs_append_int(a, n * 10 + i);
        assert_int_equal(evs_append_end_row(a, NULL), EVS_OK);
    }
    if (n == 1)
        evs_append_int(a, 77);
    if (n == 2)
        evs_apply_reject(out, "two is bad");
    return EVS_OK;
}

static void test_apply_rows_carry_their_input_and_rejects_are_told(void **state)
{
    evs_type *type = evs_test_type(ctx, "STRUCT<v BIGINT> NOT NULL");
    evs__operator *op = NULL;
    sink s = {.meta = true};
    (void)state;
    assert_int_equal(evs__apply_new(ctx, in_type, type, several, &leases, &op, NULL), EVS_OK);
    check(op, in, "5@10\n1003@30\n1003@31\n1003@32;", "2 host EVS_ERR_CALLBACK: two is bad;");
    check(op, some, "1003@30\n1003@31\n1003@32;", "2 host EVS_ERR_CALLBACK: two is bad;");
    assert_int_equal(run(op, in, &s), EVS_OK);
    assert_non_null(strstr(s.text, ";41:901:7 43:903:7 43:903:7 43:903:7 "));
    evs__operator_free(op);
    evs_type_unref(type);
}

static evs_status failing(const evs_row *row, evs_apply_out *out, void *user_data)
{
    int64_t n = -1;
    (void)user_data;
    assert_int_equal(evs_row_int(row, 3, &n), EVS_OK);
    evs_append_int(evs_apply_appender(out), n);
    assert_int_equal(evs_append_end_row(evs_apply_appender(out), NULL), EVS_OK);
    return n == 3 ? EVS_ERR_IO : EVS_OK;
}

static void test_apply_failure_stops_and_emits_nothing(void **state)
{
    evs_type *type = evs_test_type(ctx, "STRUCT<v BIGINT> NOT NULL");
    static const uint32_t sel[] = {0, 1};
    evs__operator *op = NULL;
    evs_batch *good = NULL;
    sink s = {.fail = EVS_OK};
    (void)state;
    assert_int_equal(evs__apply_new(ctx, in_type, type, failing, NULL, &op, NULL), EVS_OK);
    assert_int_equal(run(op, in, &s), EVS_ERR_CALLBACK);
    assert_int_equal(s.batches, 0);
    assert_int_equal(evs__batch_select(in, sel, 2, &good), EVS_OK);
    check(op, good, "1000@0\n1001@1;", "");
    evs_batch_unref(good);
    evs__operator_free(op);
    evs_type_unref(type);
}

static evs_status many(const evs_row *row, evs_apply_out *out, void *user_data)
{
    (void)row;
    (void)user_data;
    for (int i = 0; i < 1500; i++) {
        evs_append_int(evs_apply_appender(out), i);
        assert_int_equal(evs_append_end_row(evs_apply_appender(out), NULL), EVS_OK);
    }
    return EVS_OK;
}

static void test_apply_many_rows_make_several_batches(void **state)
{
    evs_type *type = evs_test_type(ctx, "STRUCT<v BIGINT> NOT NULL");
    evs__operator *op = NULL;
    sink s = {.fail = EVS_OK};
    (void)state;
    assert_int_equal(evs__apply_new(ctx, in_type, type, many, NULL, &op, NULL), EVS_OK);
    assert_int_equal(run(op, in, &s), EVS_OK);
    assert_int_equal(s.batches, 2);
    evs__operator_free(op);
    evs_type_unref(type);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter_keeps_true_rows_with_what_they_carry),
        cmocka_unit_test(test_filter_nothing_left_emits_nothing),
        cmocka_unit_test(test_filter_failed_row_is_rejected_and_left_out),
        cmocka_unit_test(test_filter_failure_of_emit_is_passed_on),
        cmocka_unit_test(test_filter_new_wrong_texts_are_refused),
        cmocka_unit_test(test_project_computes_names_and_passes_columns),
        cmocka_unit_test(test_project_star_is_what_no_item_names),
        cmocka_unit_test(test_project_failed_row_is_rejected_once),
        cmocka_unit_test(test_project_new_wrong_texts_are_refused),
        cmocka_unit_test(test_explode_column_is_replaced_by_its_elements),
        cmocka_unit_test(test_explode_expression_adds_a_column),
        cmocka_unit_test(test_explode_nothing_left_emits_nothing),
        cmocka_unit_test(test_explode_long_arrays_make_several_batches),
        cmocka_unit_test(test_explode_new_wrong_texts_are_refused),
        cmocka_unit_test(test_apply_rows_carry_their_input_and_rejects_are_told),
        cmocka_unit_test(test_apply_failure_stops_and_emits_nothing),
        cmocka_unit_test(test_apply_many_rows_make_several_batches),
    };
    return cmocka_run_group_tests(tests, make_input, drop_input);
}
