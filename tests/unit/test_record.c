/*
 * The record builder and bound C structs: what is set arrives, defaults are filled in, the first
 * fault is told with its path, and a warm builder allocates nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "codec/record.h"

static evs_context *ctx;
static size_t allocations;

static void *count_malloc(size_t size, void *user_data)
{
    (void)user_data;
    allocations++;
    return malloc(size);
}

static void *count_realloc(void *ptr, size_t size, void *user_data)
{
    (void)user_data;
    allocations++;
    return realloc(ptr, size);
}

static void count_free(void *ptr, void *user_data)
{
    (void)user_data;
    free(ptr);
}

static int setup(void **state)
{
    evs_context_options o = EVS_CONTEXT_OPTIONS_INIT;

    (void)state;
    o.allocator = (evs_allocator){count_malloc, count_realloc, count_free, NULL};
    return evs_context_new(&o, &ctx, NULL);
}

static int teardown(void **state)
{
    (void)state;
    ctx = evs_context_unref(ctx);
    return 0;
}

static const char purchase[] =
    "{\"type\":\"record\",\"name\":\"purchase\",\"fields\":["
    "{\"name\":\"user_id\",\"type\":\"string\"},"
    "{\"name\":\"total\",\"type\":[\"null\",\"double\"],\"default\":null},"
    "{\"name\":\"currency\",\"type\":\"string\",\"default\":\"EUR\"},"
    "{\"name\":\"items\",\"type\":{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":"
    "\"item\","
    "\"fields\":[{\"name\":\"sku\",\"type\":\"string\"},{\"name\":\"quantity\",\"type\":\"int\"},"
    "{\"name\":\"price\",\"type\":[\"null\",{\"type\":\"bytes\",\"logicalType\":\"decimal\","
    "\"precision\":9,\"scale\":2}]},{\"name\":\"tags\",\"type\":{\"type\":\"array\",\"items\":"
    "\"string\"},"
    "\"default\":[\"a\",\"b\"]}]}}},"
    "{\"name\":\"at\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"place\",\"fields\":["
    "{\"name\":\"city\",\"type\":\"string\"},{\"name\":\"zip\",\"type\":\"int\",\"default\":7}]}]},"
    "{\"name\":\"paid\",\"type\":\"boolean\",\"default\":true}]}";

static evs_schema *schema_of(const char *text)
{
    evs_schema *s = NULL;

    if (*text == '{')
        assert_int_equal(evs_schema_parse(ctx, EVS_FORMAT_AVRO, text, strlen(text), &s, NULL),
                         EVS_OK);
    else
        assert_int_equal(evs_schema_columns(ctx, text, &s, NULL), EVS_OK);
    return s;
}

static evs_record *record_of(const char *text)
{
    evs_schema *s = schema_of(text);
    evs_record *r = NULL;
    evs_error *err = NULL;

    if (evs__record_new(ctx, s, &r, &err))
        print_message("%s\n", evs_error_message(err));
    assert_non_null(r);
    evs_schema_unref(s);
    return r;
}

static void assert_row(evs_record *r, const char *expected)
{
    evs_batch *batch = NULL;
    evs_error *err = NULL;
    evs__buffer text;

    if (evs__record_finish(r, &batch, &err))
        print_message("%s\n", evs_error_message(err));
    assert_non_null(batch);
    assert_int_equal(batch->rows, 1);
    evs__buffer_init(&text, ctx, 65536);
    assert_int_equal(evs__batch_row_json(batch, 0, &text), EVS_OK);
    assert_string_equal(evs__buffer_cstr(&text), expected);
    evs__buffer_free(&text);
}

static void assert_fault(evs_record *r, evs_status status, const char *origin, const char *message)
{
    evs_batch *batch = NULL;
    evs_error *err = NULL;

    assert_int_equal(evs__record_finish(r, &batch, &err), status);
    assert_null(batch);
    assert_string_equal(evs_error_message(err), message);
    assert_string_equal(evs_error_origin(err), origin);
    evs_error_unref(err);
    evs__record_reset(r);
}

static void fill(evs_record *r)
{
    evs_record *item;

    evs_record_set_string(r, "user_id", "u-17", 4);
    evs_record_set_double(r, "total", 39.8);
    item = evs_record_append(r, "items");
    evs_record_set_string(item, "sku", "A-1", 3);
    evs_record_set_int(item, "quantity", 2);
    evs_record_set_decimal(item, "price", "19.90");
    item = evs_record_append(r, "items");
    evs_record_set_string(item, "sku", "B", 1);
    evs_record_set_int(item, "quantity", 1);
    evs_record_append_string(item, "tags", "x", 1);
    evs_record_append_string(item, "tags", "yy", 2);
    evs_record_set_string(evs_record_struct(r, "at"), "city", "Bonn", 4);
}

#define FILLED                                                                                     \
    "{\"user_id\":\"u-17\",\"total\":39.8,\"currency\":\"EUR\",\"items\":[{\"sku\":\"A-1\","       \
    "\"quantity\":2,\"price\":19.90,\"tags\":[\"a\",\"b\"]},{\"sku\":\"B\",\"quantity\":1,"        \
    "\"price\":null,\"tags\":[\"x\",\"yy\"]}],\"at\":{\"city\":\"Bonn\",\"zip\":7},\"paid\":true}"

static void test_record_nested_values_and_defaults_arrive(void **state)
{
    evs_record *r = record_of(purchase);

    (void)state;
    fill(r);
    assert_row(r, FILLED);
    /* what was set before is not there again */
    evs__record_reset(r);
    evs_record_set_string_at(r, 0, "v", 1);
    assert_row(r, "{\"user_id\":\"v\",\"total\":null,\"currency\":\"EUR\",\"items\":[],\"at\":null,"
                  "\"paid\":true}");
    evs__record_free(r);
}

static void test_record_set_twice_keeps_the_last(void **state)
{
    evs_record *r = record_of("a INT, b VARCHAR, c STRUCT<x INT>");

    (void)state;
    evs_record_set_int(r, "a", 1);
    evs_record_set_null(r, "a");
    evs_record_set_string(r, "b", "first", 5);
    evs_record_set_string(r, "b", "second", 6);
    evs_record_set_int(evs_record_struct(r, "c"), "x", 1);
    evs_record_set_int(evs_record_struct(r, "c"), "x", 2);
    assert_row(r, "{\"a\":null,\"b\":\"second\",\"c\":{\"x\":2}}");
    evs__record_free(r);
}

static void test_record_warm_builder_allocates_nothing(void **state)
{
    evs_record *r = record_of(purchase);
    evs_batch *batch = NULL;
    size_t before;

    (void)state;
    for (int i = 0; i < 3; i++) {
        evs__record_reset(r);
        fill(r);
        assert_int_equal(evs__record_finish(r, &batch, NULL), EVS_OK);
    }
    before = allocations;
    evs__record_reset(r);
    fill(r);
    assert_int_equal(evs__record_finish(r, &batch, NULL), EVS_OK);
    assert_int_equal(allocations, before);
    evs__record_free(r);
}

static void test_record_first_fault_is_kept_with_its_path(void **state)
{
    evs_record *r = record_of(purchase);
    evs_record *item;

    (void)state;
    assert_fault(r, EVS_ERR_SCHEMA, "user_id", "field \"user_id\": required, no default");
    evs_record_set_string(r, "user_id", "u", 1);
    item = evs_record_append(r, "items");
    evs_record_set_string(item, "sku", "A", 1);
    assert_fault(r, EVS_ERR_SCHEMA, "items[0].quantity",
                 "field \"items[0].quantity\": required, no default");
    item = evs_record_append(r, "items");
    item = evs_record_append(r, "items");
    evs_record_set_int(item, "quantity", (int64_t)1 << 31);
    evs_record_set_int(item, "quantitty", 1);
    assert_fault(r, EVS_ERR_OVERFLOW, "items[1].quantity",
                 "field \"items[1].quantity\": 2147483648 does not fit into INT NOT NULL");
    evs_record_set_int(r, "userid", 1);
    assert_fault(r, EVS_ERR_SCHEMA, "userid",
                 "field \"userid\": no such field (did you mean \"user_id\"?)");
    evs_record_set_int(r, "user_id", 1);
    assert_fault(r, EVS_ERR_TYPE, "user_id",
                 "field \"user_id\": an integer does not fit into VARCHAR NOT NULL");
    evs_record_set_string(r, "user_id", "a\xff", 2);
    assert_fault(r, EVS_ERR_SCHEMA, "user_id", "field \"user_id\": invalid UTF-8 at byte 1");
    evs_record_set_null(r, "user_id");
    assert_fault(r, EVS_ERR_SCHEMA, "user_id",
                 "field \"user_id\": NULL does not fit into VARCHAR NOT NULL");
    evs_record_set_decimal(evs_record_append(r, "items"), "price", "1.999");
    assert_fault(r, EVS_ERR_OVERFLOW, "items[0].price",
                 "field \"items[0].price\": \"1.999\" does not fit into DECIMAL(9,2)");
    evs_record_set_decimal(evs_record_append(r, "items"), "price", "x");
    assert_fault(r, EVS_ERR_INVALID, "items[0].price",
                 "field \"items[0].price\": \"x\" is no number for DECIMAL(9,2)");
    evs__record_free(r);
}

static void test_record_wrong_use_is_a_fault(void **state)
{
    evs_record *r = record_of(purchase);

    (void)state;
    assert_null(evs_record_struct(r, "user_id"));
    assert_fault(r, EVS_ERR_TYPE, "user_id",
                 "field \"user_id\": a record does not fit into VARCHAR NOT NULL");
    assert_null(evs_record_append(r, "at"));
    assert_int_equal(evs__record_finish(r, &(evs_batch *){NULL}, NULL), EVS_ERR_TYPE);
    evs__record_reset(r);
    evs_record_append_int(r, "items", 1);
    assert_int_equal(evs__record_finish(r, &(evs_batch *){NULL}, NULL), EVS_ERR_TYPE);
    evs__record_reset(r);
    evs_record_set_bool_at(r, 99, true);
    assert_int_equal(evs__record_finish(r, &(evs_batch *){NULL}, NULL), EVS_ERR_INVALID);
    evs__record_reset(r);
    evs_record_set_string(r, NULL, "x", 1);
    assert_int_equal(evs__record_finish(r, &(evs_batch *){NULL}, NULL), EVS_ERR_INVALID);
    /* a NULL record is passed over */
    evs_record_set_int(NULL, "a", 1);
    evs_record_set_int_at(NULL, 0, 1);
    evs_record_append_double(NULL, "a", 1);
    assert_null(evs_record_struct(NULL, "a"));
    assert_null(evs_record_append(NULL, "a"));
    assert_null(evs__record_free(NULL));
    evs__record_free(r);
}

static void test_record_every_simple_type(void **state)
{
    evs_record *r =
        record_of("a BOOLEAN, b INT, c BIGINT, d DOUBLE, e DECIMAL(9,2), f VARCHAR, g "
                  "BYTES, h TIMESTAMP, i DATE, j TIME, k ARRAY<INT>, l ARRAY<DOUBLE>, m "
                  "MAP<INT> NOT NULL, n DECIMAL(5,1), o DOUBLE");

    (void)state;
    evs_record_set_bool(r, "a", true);
    evs_record_set_int(r, "b", -1);
    evs_record_set_int(r, "c", INT64_MIN);
    evs_record_set_double(r, "d", 1.5);
    evs_record_set_decimal(r, "e", "-1.05");
    evs_record_set_string(r, "f", "", 0);
    evs_record_set_string(r, "g", "\xff", 1);
    evs_record_set_int(r, "h", 1);
    evs_record_set_int(r, "i", 1);
    evs_record_set_int(r, "j", 1);
    evs_record_append_int(r, "k", 1);
    evs_record_append_int(r, "k", 2);
    evs_record_append_double(r, "l", 0.5);
    evs_record_set_int(r, "n", 12);
    evs_record_set_int(r, "o", 12);
    assert_row(r,
               "{\"a\":true,\"b\":-1,\"c\":-9223372036854775808,\"d\":1.5,\"e\":-1.05,\"f\":\"\","
               "\"g\":\"/w==\",\"h\":\"1970-01-01T00:00:00.001Z\",\"i\":\"1970-01-02\",\"j\":"
               "\"00:00:00.001\",\"k\":[1,2],\"l\":[0.5],\"m\":{},\"n\":12.0,\"o\":12.0}");
    evs__record_reset(r);
    evs_record_set_int(r, "n", 10000);
    assert_fault(r, EVS_ERR_OVERFLOW, "n", "field \"n\": 10000 does not fit into DECIMAL(5,1)");
    evs__record_free(r);
}

/* the row is what the encoder writes */
static void test_record_is_encoded_as_avro(void **state)
{
    evs_schema *s = schema_of(purchase);
    evs_record *r = NULL;
    evs_encoder *e = NULL;
    evs_batch *batch = NULL;
    evs_string_view bytes;
    static const char expected[] = "\x08u-17\2\x66\x66\x66\x66\x66\xe6\x43\x40\6EUR"
                                   "\4\6A-1\4\2\4\7\xc6\4\2a\2b\0\2B\2\0\4\2x\4yy\0\0"
                                   "\2\x08"
                                   "Bonn\x0e\1";

    (void)state;
    assert_int_equal(evs__record_new(ctx, s, &r, NULL), EVS_OK);
    assert_int_equal(
        evs_encoder_new(ctx, evs_schema_type(s), s, EVS_OPTIONS("framing", "none"), &e, NULL),
        EVS_OK);
    fill(r);
    assert_int_equal(evs__record_finish(r, &batch, NULL), EVS_OK);
    assert_int_equal(evs_encoder_encode(e, batch, 0, &bytes, NULL), EVS_OK);
    assert_int_equal(bytes.len, sizeof(expected) - 1);
    assert_memory_equal(bytes.data, expected, bytes.len);
    assert_int_equal(evs_schema_validate(s, bytes.data, bytes.len, NULL), EVS_OK);
    evs_encoder_unref(e);
    evs__record_free(r);
    evs_schema_unref(s);
}

/* ---- bindings ---- */

struct order {
    int64_t at;
    const char *user;
    char page[8];
    double load;
    int32_t count;
    bool paid;
    const char *price;
    int64_t big;
};

static const evs_field_binding order_fields[] = {
    EVS_BIND(struct order, at, EVS_BIND_TIME_MS),  EVS_BIND(struct order, user, EVS_BIND_CSTR),
    EVS_BIND(struct order, page, EVS_BIND_CHARS),  EVS_BIND(struct order, load, EVS_BIND_DOUBLE),
    EVS_BIND(struct order, count, EVS_BIND_INT32), EVS_BIND(struct order, paid, EVS_BIND_BOOL),
    EVS_BIND(struct order, price, EVS_BIND_CSTR),  EVS_BIND(struct order, big, EVS_BIND_INT64),
};
#define ORDER_FIELDS (sizeof(order_fields) / sizeof(order_fields[0]))
static const char order_columns[] =
    "at TIMESTAMP, user VARCHAR, page VARCHAR NOT NULL, load DOUBLE, count INT NOT NULL, paid "
    "BOOLEAN, price DECIMAL(9,2), big BIGINT, tags ARRAY<VARCHAR> NOT NULL, note VARCHAR";

static void test_binding_rows_from_a_struct(void **state)
{
    struct order o = {1, "u", "/a", 1.5, 2, true, "9.95", 3};
    evs_schema *s = schema_of(order_columns);
    evs__binding *b = NULL;
    evs_batch *batch = NULL;
    evs_error *err = NULL;
    evs__buffer text;

    (void)state;
    assert_int_equal(evs__binding_new(ctx, s, order_fields, ORDER_FIELDS, &b, NULL), EVS_OK);
    evs__buffer_init(&text, ctx, 4096);
    assert_int_equal(evs__binding_row(b, &o, &batch, NULL), EVS_OK);
    evs__batch_row_json(batch, 0, &text);
    assert_string_equal(
        evs__buffer_cstr(&text),
        "{\"at\":\"1970-01-01T00:00:00.001Z\",\"user\":\"u\",\"page\":\"/a\",\"load\":"
        "1.5,\"count\":2,\"paid\":true,\"price\":9.95,\"big\":3,\"tags\":[],\"note\":"
        "null}");
    /* an array of characters needs no NUL; a NULL pointer is null */
    memcpy(o.page, "/abcdefg", 8);
    o.user = o.price = NULL;
    assert_int_equal(evs__binding_row(b, &o, &batch, NULL), EVS_OK);
    evs__buffer_reset(&text);
    evs__column_print(batch->columns[2], 0, false, &text);
    assert_string_equal(evs__buffer_cstr(&text), "/abcdefg");
    assert_true(evs__column_is_null(batch->columns[1], 0));
    o.price = "12345678.901";
    assert_int_equal(evs__binding_row(b, &o, &batch, &err), EVS_ERR_OVERFLOW);
    assert_string_equal(evs_error_origin(err), "price");
    evs_error_unref(err);
    evs__buffer_free(&text);
    evs__binding_free(b);
    evs_schema_unref(s);
}

static void assert_bind_fails(const evs_field_binding *bindings,
                              size_t count,
                              evs_status status,
                              const char *message)
{
    evs_schema *s = schema_of("a INT NOT NULL, b VARCHAR, c BIGINT");
    evs__binding *b = NULL;
    evs_error *err = NULL;

    assert_int_equal(evs__binding_new(ctx, s, bindings, count, &b, &err), status);
    assert_string_equal(evs_error_message(err), message);
    evs_error_unref(err);
    evs_schema_unref(s);
}

static void test_binding_is_checked_against_the_schema(void **state)
{
    evs_field_binding f[2] = {{"a", 0, 4, EVS_BIND_INT32, 0}, {"b", 8, 8, EVS_BIND_CSTR, 0}};

    (void)state;
    assert_bind_fails(f + 1, 1, EVS_ERR_SCHEMA,
                      "binding: field \"a\": required, no default, not bound");
    assert_bind_fails(NULL, 0, EVS_ERR_INVALID, "no bindings are given");
    f[1].field = "x";
    assert_bind_fails(f, 2, EVS_ERR_SCHEMA,
                      "binding: no field \"x\"; fields are \"a\", \"b\", \"c\"");
    f[1].field = "a";
    f[1].kind = EVS_BIND_INT64;
    assert_bind_fails(f, 2, EVS_ERR_SCHEMA, "binding \"a\": the field is bound twice");
    f[1].field = "b";
    assert_bind_fails(f, 2, EVS_ERR_SCHEMA, "binding \"b\": int64_t does not fit into VARCHAR");
    f[1].kind = EVS_BIND_CSTR;
    f[1].size = 4;
    assert_bind_fails(f, 2, EVS_ERR_SCHEMA, "binding \"b\": a member of 4 bytes is no char *");
    f[1].kind = 77;
    assert_bind_fails(f, 2, EVS_ERR_INVALID, "binding \"b\": 77 is no kind of member");
    f[1].field = NULL;
    assert_bind_fails(f, 2, EVS_ERR_INVALID, "binding 1: the field's name is NULL");
}

static void test_field_binding_init_is_the_macros_twin(void **state)
{
    evs_field_binding b;

    (void)state;
    evs_field_binding_init(&b, "count", offsetof(struct order, count), sizeof(int32_t),
                           EVS_BIND_INT32);
    assert_string_equal(b.field, order_fields[4].field);
    assert_int_equal(b.offset, order_fields[4].offset);
    assert_int_equal(b.size, order_fields[4].size);
    assert_int_equal(b.kind, order_fields[4].kind);
    assert_int_equal(b.reserved, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_record_nested_values_and_defaults_arrive),
        T(test_record_set_twice_keeps_the_last),
        T(test_record_warm_builder_allocates_nothing),
        T(test_record_first_fault_is_kept_with_its_path),
        T(test_record_wrong_use_is_a_fault),
        T(test_record_every_simple_type),
        T(test_record_is_encoded_as_avro),
        T(test_binding_rows_from_a_struct),
        T(test_binding_is_checked_against_the_schema),
        T(test_field_binding_init_is_the_macros_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
