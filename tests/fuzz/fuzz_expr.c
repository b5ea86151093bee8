/*
 * fuzz_expr.c: text of expressions. What parses prints as canonical text that parses to the same
 * text; what types evaluates, on both layouts, to columns of its type and as many rows, with NULL
 * where a row failed; a condition selects rows of the batch.
 */
#include "fuzz.h"

#include "expr/ast.h"

#include <string.h>

#define ROW_TYPE                                                                                   \
    "STRUCT<i INT, l BIGINT, d DOUBLE, m DECIMAL(9,2), s VARCHAR, y BYTES, b BOOLEAN, "            \
    "t TIMESTAMP, e DATE, c TIME, arr ARRAY<INT>, mp MAP<BIGINT>, st STRUCT<x INT>> NOT NULL"
#define ROWS 3

static void append_row(evs_appender *a, int row)
{
    if (row == 1) {
        FUZZ_CHECK(!evs_append_end_row(a, NULL)); /* all NULL */
        return;
    }
    evs_append_int(a, row ? INT32_MAX : 1);
    evs_append_int(a, row ? INT64_MIN : 10);
    evs_append_double(a, row ? -1e300 : 0.5);
    evs_append_decimal(a, row ? "-9999999.99" : "1.25");
    evs_append_string(a, row ? "" : "a\xc3\xa9z", row ? 0 : 4);
    evs_append_string(a, "\xff", 1);
    evs_append_bool(a, row == 0);
    evs_append_int(a, row ? INT64_MAX : 1795453516123);
    evs_append_int(a, row ? INT32_MIN : 20780);
    evs_append_int(a, 61516123);
    for (int i = 0; i < 3; i++) {
        evs_append_begin(a);
        if (i == 1)
            evs_append_string(a, "k", 1);
        evs_append_int(a, 7);
        evs_append_end(a);
    }
    FUZZ_CHECK(!evs_append_end_row(a, NULL));
}

static evs_batch *make_batch(evs_context *ctx)
{
    evs_type *type = NULL;
    evs_appender *a = NULL;
    evs_batch *batch = NULL;

    FUZZ_CHECK(!evs_type_parse(ctx, ROW_TYPE, &type, NULL));
    FUZZ_CHECK(!evs_appender_new(ctx, type, &a, NULL));
    for (int i = 0; i < ROWS; i++)
        append_row(a, i);
    FUZZ_CHECK(!evs_appender_take(a, &batch, NULL));
    evs_appender_unref(a);
    evs_type_unref(type);
    return batch;
}

static void note_failed(void *user_data, uint32_t row, evs_status status, const char *message)
{
    bool *failed = user_data;
    FUZZ_CHECK(row < ROWS && !failed[row] && status < 0 && *message);
    FUZZ_CHECK(evs__utf8_valid(message, strlen(message)));
    failed[row] = true;
}

static void check_eval(evs_context *ctx, evs__expr *e, const evs_batch *in)
{
    bool failed[ROWS] = {false};
    uint32_t sel[ROWS], count = 0;
    evs__column *c = NULL;
    evs__buffer out;

    FUZZ_CHECK(!evs__expr_eval(e, in, note_failed, failed, &c, NULL));
    FUZZ_CHECK(c->length == ROWS && evs__type_same_shape(c->type, evs__expr_type(e)));
    evs__buffer_init(&out, ctx, 64u << 20);
    for (uint32_t i = 0; i < ROWS; i++) {
        FUZZ_CHECK(!failed[i] || evs__column_is_null(c, i));
        FUZZ_CHECK(evs_type_is_nullable(evs__expr_type(e)) || failed[i] ||
                   !evs__column_is_null(c, i));
        FUZZ_CHECK(!evs__column_print(c, i, true, &out));
    }
    evs__buffer_free(&out);
    evs__column_unref(c);
    if (evs_type_get_id(evs__expr_type(e)) != EVS_TYPE_BOOLEAN)
        return;
    FUZZ_CHECK(!evs__expr_select(e, in, NULL, NULL, sel, &count, NULL));
    FUZZ_CHECK(count <= ROWS);
    for (uint32_t k = 0; k < count; k++)
        FUZZ_CHECK(sel[k] < ROWS && !failed[sel[k]]);
}

static void check_item(evs_context *ctx, const evs__ast_list *list, size_t i, const evs_batch *in)
{
    evs__ast_list *again = NULL;
    evs__expr *e = NULL;
    evs_error *error = NULL;
    evs__buffer first, second;

    evs__buffer_init(&first, ctx, EVS__AST_TEXT_MAX);
    evs__buffer_init(&second, ctx, EVS__AST_TEXT_MAX);
    if (!evs__ast_print(list->items[i].expr, &first)) {
        FUZZ_CHECK(!evs__ast_parse(ctx, evs__buffer_cstr(&first), true, &again, NULL));
        FUZZ_CHECK(again->count == 1);
        FUZZ_CHECK(!evs__ast_print(again->items[0].expr, &second));
        FUZZ_CHECK(strcmp(evs__buffer_cstr(&first), evs__buffer_cstr(&second)) == 0);
    }
    if (!evs__expr_compile(ctx, list, list->items[i].expr, in->type, &e, &error)) {
        check_eval(ctx, e, in);
        check_eval(ctx, e, in);
    } else {
        FUZZ_CHECK(error && *evs_error_message(error) && !e);
    }
    evs_error_unref(error);
    evs__expr_free(e);
    evs__ast_free(again);
    evs__buffer_free(&first);
    evs__buffer_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    evs_context *ctx = NULL;
    evs__ast_list *list = NULL;
    evs_error *error = NULL;
    evs_batch *batch;
    char *text;

    if (size > 2000)
        return 0;
    text = malloc(size + 1);
    FUZZ_CHECK(text && !evs_context_new(NULL, &ctx, NULL));
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    if (!evs__ast_parse(ctx, text, true, &list, &error)) {
        batch = make_batch(ctx);
        for (size_t i = 0; i < list->count; i++)
            check_item(ctx, list, i, batch);
        evs_batch_unref(batch);
    } else {
        FUZZ_CHECK(error && *evs_error_message(error) && !list);
    }
    evs_error_unref(error);
    evs__ast_free(list);
    evs_context_unref(ctx);
    free(text);
    return 0;
}
