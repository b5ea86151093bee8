/*
 * Buffers: bounds, whole appends, the first failure kept, numbers, JSON strings, base64.
 */
#include "evs_test.h"

#include "base/buffer.h"

static evs_test_memory memory;

static int setup(void **state)
{
    memset(&memory, 0, sizeof(memory));
    memory.fail_at = -1;
    *state = evs_test_context(&memory);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    evs_context_unref(*state);
    return memory.live == 0 ? 0 : -1;
}

static void test_append_over_max_writes_nothing_and_is_kept(void **state)
{
    evs__buffer b;
    evs__buffer_init(&b, *state, 10);
    assert_int_equal(evs__buffer_text(&b, "12345678"), EVS_OK);
    assert_int_equal(evs__buffer_text(&b, "901"), EVS_ERR_LIMIT);
    assert_int_equal(b.len, 8);
    assert_int_equal(evs__buffer_text(&b, "90"), EVS_OK);
    assert_int_equal(b.status, EVS_ERR_LIMIT);
    assert_null(evs__buffer_cstr(&b));
    evs__buffer_reset(&b);
    assert_int_equal(b.status, EVS_OK);
    assert_string_equal(evs__buffer_cstr(&b), "");
    evs__buffer_free(&b);
}

static void test_cstr_full_buffer_has_room_for_the_terminator(void **state)
{
    evs__buffer b;
    evs__buffer_init(&b, *state, 3);
    assert_int_equal(evs__buffer_text(&b, "abc"), EVS_OK);
    assert_string_equal(evs__buffer_cstr(&b), "abc");
    assert_int_equal(b.len, 3);
    evs__buffer_free(&b);
}

static void test_append_many_keeps_all_bytes(void **state)
{
    evs__buffer b;
    evs__buffer_init(&b, *state, 1 << 20);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(evs__buffer_byte(&b, (uint8_t)(i * 7)), EVS_OK);
    for (int i = 0; i < 100000; i++)
        assert_int_equal((uint8_t)b.data[i], (uint8_t)(i * 7));
    evs__buffer_free(&b);
}

static void test_printf_grows_and_is_bounded(void **state)
{
    evs__buffer b;
    char wide[200];
    evs__buffer_init(&b, *state, 150);
    memset(wide, 'x', sizeof(wide));
    assert_int_equal(evs__buffer_printf(&b, "%d-%s", 42, "a"), EVS_OK);
    assert_int_equal(evs__buffer_printf(&b, "%.*s", 100, wide), EVS_OK);
    assert_int_equal(b.len, 104);
    assert_int_equal(evs__buffer_printf(&b, "%.*s", 47, wide), EVS_ERR_LIMIT);
    assert_int_equal(b.len, 104);
    evs__buffer_reset(&b);
    assert_int_equal(evs__buffer_printf(&b, "%.*s", 150, wide), EVS_OK);
    assert_int_equal(b.len, 150);
    evs__buffer_free(&b);
}

static void test_no_memory_is_kept(void **state)
{
    evs__buffer b;
    evs__buffer_init(&b, *state, 1 << 20);
    memory.fail_at = memory.calls;
    assert_int_equal(evs__buffer_text(&b, "x"), EVS_ERR_NOMEM);
    assert_int_equal(evs__buffer_text(&b, "x"), EVS_OK);
    assert_int_equal(b.status, EVS_ERR_NOMEM);
    evs__buffer_free(&b);
}

static void test_numbers(void **state)
{
    evs__buffer b;
    evs__buffer_init(&b, *state, 1000);
    evs__buffer_int(&b, INT64_MIN);
    evs__buffer_byte(&b, ' ');
    evs__buffer_int(&b, 0);
    evs__buffer_byte(&b, ' ');
    evs__buffer_double(&b, 0.1);
    assert_string_equal(evs__buffer_cstr(&b), "-9223372036854775808 0 0.1");
    evs__buffer_free(&b);
}

static void test_json_string_escapes(void **state)
{
    evs__buffer b;
    evs__buffer_init(&b, *state, 1000);
    evs__buffer_json_string(&b, "a\"b\\c\n\t\r\x01\x1f\0é", 13);
    assert_string_equal(evs__buffer_cstr(&b), "\"a\\\"b\\\\c\\n\\t\\r\\u0001\\u001f\\u0000é\"");
    evs__buffer_reset(&b);
    evs__buffer_json_string(&b, NULL, 0);
    assert_string_equal(evs__buffer_cstr(&b), "\"\"");
    evs__buffer_free(&b);
}

static void test_json_string_over_max_writes_nothing(void **state)
{
    evs__buffer b;
    evs__buffer_init(&b, *state, 6);
    evs__buffer_text(&b, "x");
    assert_int_equal(evs__buffer_json_string(&b, "ab\ncd", 5), EVS_ERR_LIMIT);
    assert_int_equal(b.len, 1);
    evs__buffer_free(&b);
}

static void test_base64_rfc4648_vectors(void **state)
{
    static const char *const want[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                       "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    evs__buffer b;
    evs__buffer_init(&b, *state, 1000);
    for (size_t n = 0; n <= 6; n++) {
        evs__buffer_reset(&b);
        assert_int_equal(evs__buffer_base64(&b, "foobar", n), EVS_OK);
        assert_string_equal(evs__buffer_cstr(&b), want[n]);
    }
    evs__buffer_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_append_over_max_writes_nothing_and_is_kept, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_cstr_full_buffer_has_room_for_the_terminator, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_append_many_keeps_all_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_printf_grows_and_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json_string_escapes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json_string_over_max_writes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_base64_rfc4648_vectors, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
