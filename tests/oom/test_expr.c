/*
 * Out-of-memory sweeps over expressions and the stateless operators: parse, compile, evaluate
 * twice; functions of the host.
 */
#include "evs_test.h"

#include "engine/operator.h"

#define ROW_TYPE                                                                                   \
    "STRUCT<i INT, l BIGINT, m DECIMAL(9,2), s VARCHAR, b BOOLEAN, t TIMESTAMP, arr ARRAY<INT>, "  \
    "mp MAP<BIGINT>, st STRUCT<x INT, name VARCHAR>, items ARRAY<STRUCT<sku VARCHAR, n INT>>> "    \
    "NOT NULL"

static evs_status append_rows(evs_appender *a, evs_error **err)
{
    evs_status status = EVS_OK;

    for (int row = 0; row < 3 && !status; row++) {
        evs_append_time(a, 1000 + row);
        for (int f = 0; row < 2 && f < 3; f++)
            evs_append_int(a, row + f);
        for (int f = 0; row == 2 && f < 3; f++)
            evs_append_null(a);
        evs_append_string(a, row ? "a longer text than that" : "x", row ? 23 : 1);
        evs_append_bool(a, row == 1);
        evs_append_int(a, 1795453516123);
        for (int list = 0; list < 2; list++) {
            evs_append_begin(a);
            if (list)
                evs_append_string(a, "k", 1);
            evs_append_int(a, row);
            evs_append_end(a);
        }
        for (int nested = 0; nested < 2; nested++) {
            evs_append_begin(a);
            if (nested)
                evs_append_begin(a);
            if (nested)
                evs_append_string(a, "sku", 3);
            evs_append_int(a, 5);
            if (!nested)
                evs_append_string(a, "name", 4);
            if (nested)
                evs_append_end(a);
            evs_append_end(a);
        }
        status = evs_append_end_row(a, err);
    }
    return status;
}

static evs_status make_batch(evs_context *ctx, evs_batch **ret, evs_error **err)
{
    evs_type *type = NULL;
    evs_appender *a = NULL;
    evs_status status = evs_type_parse(ctx, ROW_TYPE, &type, err);

    if (!status)
        status = evs_appender_new(ctx, type, &a, err);
    if (!status)
        status = append_rows(a, err);
    if (!status)
        status = evs_appender_take(a, ret, err);
    evs_appender_unref(a);
    evs_type_unref(type);
    return status;
}

static evs_status host_twice(const evs_value *args,
                             size_t arg_count,
                             evs_value *ret,
                             char *reason,
                             size_t reason_size,
                             void *user_data)
{
    static char text[64];
    (void)arg_count;
    (void)reason;
    (void)reason_size;
    (void)user_data;
    ret->is_null = args[0].is_null;
    ret->len = args[0].len < 32 ? args[0].len * 2 : 0;
    memcpy(text, args[0].data, ret->len / 2);
    memcpy(text + ret->len / 2, args[0].data, ret->len / 2);
    ret->data = text;
    return EVS_OK;
}

static void count_failed(void *user_data, uint32_t row, evs_status status, const char *message)
{
    int *failed = user_data;
    (void)row;
    (void)status;
    (void)message;
    ++*failed;
}

/* "TEXT => row|row|row" */
static const char *const expressions[] = {
    "i + l * 2 => 2|5|null",
    "m * 1.5 - i => 3.000|3.500|null",
    "10 / i => null|10|null",
    "b AND 10 / i > 3 OR s LIKE 'a%' => false|true|true",
    "i BETWEEN 0 AND l + 1 => true|true|null",
    "i IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18) => false|true|null",
    "l IN (i + 1, 7) => true|true|null",
    "s LIKE s || '%' => true|true|true",
    "CASE i + 0 WHEN 0 THEN 'none' WHEN 1 THEN s ELSE 'x' || 'y' END => none|a longer text than "
    "that|xy",
    "coalesce(i, l, 7) => 0|1|7",
    "greatest(i, 1) => 1|1|1",
    "CAST(arr AS VARCHAR) || mp['k'] => [0]0|[1]1|[2]2",
    "arr[1] + st.x => 5|6|7",
    "items[1].sku => sku|sku|sku",
    "CASE WHEN b THEN items END => null|[{\"sku\":\"sku\",\"n\":5}]|null",
    "upper(substring(s, 1, 3)) => X|A L|A L",
    "date_trunc('hour', t) = '2026-11-23T17:00:00Z' => true|true|true",
    "hash64(i, s, arr) IS NULL => false|false|false",
    "twice(s) => xx|a longer text than thata longer text than that|a longer text than thata longer "
    "text than that",
    "'constant' => constant|constant|constant"};

static evs_status check_eval(evs_context *ctx, evs__expr *e, const evs_batch *in, const char *want)
{
    evs__column *c = NULL;
    evs_error *err = NULL;
    evs__buffer out;
    int failed = 0;
    evs_status status = evs__expr_eval(e, in, count_failed, &failed, &c, &err);

    evs__buffer_init(&out, ctx, 4096);
    for (uint32_t i = 0; i < in->rows && !status; i++) {
        if (i)
            status = evs__buffer_byte(&out, '|');
        if (!status)
            status = evs__column_print(c, i, false, &out);
    }
    if (!status && (out.len != strlen(want) || memcmp(out.data, want, out.len) != 0))
        fail_msg("%.*s instead of %s", (int)out.len, out.data, want);
    evs__buffer_free(&out);
    evs__column_unref(c);
    evs_error_unref(err);
    return status;
}

static evs_status expression_scenario(evs_context *ctx, void *user_data)
{
    evs_batch *batch = NULL;
    evs_error *err = NULL;
    evs_status status = make_batch(ctx, &batch, &err);
    (void)user_data;

    if (!status)
        status =
            evs_function_register(ctx, "twice(VARCHAR) RETURNS VARCHAR", host_twice, NULL, &err);
    for (size_t i = 0; i < sizeof(expressions) / sizeof(*expressions) && !status; i++) {
        const char *want = strstr(expressions[i], " => ");
        char *text = strndup(expressions[i], (size_t)(want - expressions[i]));
        evs__expr *e = NULL;
        status = evs__expr_new(ctx, text, batch->type, &e, &err);
        for (int round = 0; round < 2 && !status; round++)
            status = check_eval(ctx, e, batch, want + 4);
        evs__expr_free(e);
        free(text);
    }
    evs_error_unref(err);
    evs_batch_unref(batch);
    return status;
}

static void test_expressions_survive_every_failed_allocation(void **state)
{
    (void)state;
    assert_true(evs_test_oom_sweep(expression_scenario, NULL) > 500);
}

/* faults of texts are told also when there is no memory for the message */
static evs_status fault_scenario(evs_context *ctx, void *user_data)
{
    static const char *const texts[] = {"ii + 1",
                                        "lenght(s)",
                                        "length(i)",
                                        "i + s",
                                        "1 / 0",
                                        "CAST(s AS INTT)",
                                        "s LIKE 'a!' ESCAPE '!'",
                                        "(i",
                                        "CASE WHEN b THEN 1 ELSE 'x' END"};
    evs_batch *batch = NULL;
    evs_error *err = NULL;
    evs_status status = make_batch(ctx, &batch, &err);
    (void)user_data;

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts) && !status; i++) {
        evs__expr *e = NULL;
        status = evs__expr_new(ctx, texts[i], batch->type, &e, &err);
        assert_null(e);
        assert_true(status < 0);
        assert_true(strlen(evs_error_message(err)) > 0);
        if (status != EVS_ERR_NOMEM) {
            status = EVS_OK;
            err = evs_error_unref(err);
        }
    }
    evs_error_unref(err);
    evs_batch_unref(batch);
    return status;
}

static void test_faults_survive_every_failed_allocation(void **state)
{
    (void)state;
    assert_true(evs_test_oom_sweep(fault_scenario, NULL) > 100);
}

/* ---- operators ---- */

typedef struct sink {
    uint32_t rows;
    uint32_t rejected;
} sink;

static evs_status sink_emit(void *user, int port, evs_batch *batch, evs_error **reterr)
{
    sink *s = user;
    (void)port;
    (void)reterr;
    s->rows += batch->count;
    return EVS_OK;
}

static void sink_reject(void *user,
                        const evs_batch *batch,
                        uint32_t row,
                        const char *stage,
                        evs_status status,
                        const char *message)
{
    sink *s = user;
    (void)batch;
    (void)row;
    (void)stage;
    (void)status;
    (void)message;
    s->rejected++;
}

static evs_status apply_one(const evs_row *row, evs_apply_out *out, void *user_data)
{
    evs_appender *a = evs_apply_appender(out);
    (void)user_data;
    if (row->index == 1)
        evs_apply_reject(out, "one");
    for (int i = 0; i < 3; i++) {
        evs_status status;
        evs_append_string(a, "text of a row", 13);
        status = evs_append_end_row(a, NULL);
        if (status)
            return status;
    }
    return EVS_OK;
}

static evs_status
make_operator(evs_context *ctx, const evs_type *in, int which, evs__operator **ret, evs_error **err)
{
    evs_type *out = NULL;
    evs_status status;

    switch (which) {
    case 0:
        return evs__filter_new(ctx, in, "10 / i > 3", ret, err);
    case 1:
        return evs__project_new(ctx, in, "upper(s) AS s, 10 / i AS ten, *", ret, err);
    case 2:
        return evs__explode_new(ctx, in, "items", "item", ret, err);
    default:
        status = evs_type_parse(ctx, "STRUCT<s VARCHAR> NOT NULL", &out, err);
        if (!status)
            status = evs__apply_new(ctx, in, out, apply_one, NULL, ret, err);
        evs_type_unref(out);
        return status;
    }
}

static evs_status operator_scenario(evs_context *ctx, void *user_data)
{
    static const sink want[] = {{1, 1}, {2, 1}, {3, 0}, {6, 1}};
    int which = *(int *)user_data;
    evs__operator *op = NULL;
    evs_batch *batch = NULL;
    evs_error *err = NULL;
    evs_status status = make_batch(ctx, &batch, &err);

    if (!status && (evs__batch_need_origin(batch) || evs__batch_need_row_watermark(batch)))
        status = EVS_ERR_NOMEM;
    if (!status)
        status = make_operator(ctx, batch->type, which, &op, &err);
    for (int round = 0; round < 2 && !status; round++) {
        sink s = {0, 0};
        evs__out out = {&s, sink_emit, sink_reject, NULL};
        status = op->fn->process(op, batch, 0, &out, &err);
        /* the function of apply tells what its appender said */
        if (status == EVS_ERR_CALLBACK && which == 3)
            status = EVS_ERR_NOMEM;
        if (!status && (s.rows != want[which].rows || s.rejected != want[which].rejected))
            fail_msg("%s: %u rows, %u rejected", op->fn->kind, s.rows, s.rejected);
        if (status)
            assert_int_equal(s.rows, 0); /* has taken nothing */
    }
    evs__operator_free(op);
    evs_error_unref(err);
    evs_batch_unref(batch);
    return status;
}

static void test_operators_survive_every_failed_allocation(void **state)
{
    (void)state;
    for (int which = 0; which < 4; which++)
        assert_true(evs_test_oom_sweep(operator_scenario, &which) > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expressions_survive_every_failed_allocation),
        cmocka_unit_test(test_faults_survive_every_failed_allocation),
        cmocka_unit_test(test_operators_survive_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
