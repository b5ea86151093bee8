/*
 * Hashes are fixed for ever: CRC-32C by the RFC 3720 vectors, our own by values written down here
 * once.
 */
#include "evs_test.h"

#include "base/hash.h"

static void test_crc32c_rfc3720_vectors(void **state)
{
    unsigned char bytes[32];

    (void)state;
    assert_int_equal(evs__crc32c(0, "", 0), 0);
    assert_int_equal(evs__crc32c(0, "123456789", 9), 0xe3069283u);
    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(evs__crc32c(0, bytes, 32), 0x8a9136aau);
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(evs__crc32c(0, bytes, 32), 0x62a8ab43u);
    for (int i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    assert_int_equal(evs__crc32c(0, bytes, 32), 0x46dd794eu);
}

static void test_crc32c_instruction_and_table_agree_in_any_pieces(void **state)
{
    unsigned char bytes[300];
    uint64_t seed = 1;

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)evs_test_random(&seed);
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        uint32_t whole = evs__crc32c_portable(0, bytes, n);
        assert_int_equal(evs__crc32c(0, bytes, n), whole);
        assert_int_equal(evs__crc32c(evs__crc32c(0, bytes, n / 3), bytes + n / 3, n - n / 3),
                         whole);
    }
}

static void test_hash_bytes_and_u64_never_change(void **state)
{
    (void)state;
    assert_true(evs__hash_bytes("", 0, 0) == UINT64_C(0xdbb92e602a1c78f9));
    assert_true(evs__hash_bytes("user-1", 6, 0) == UINT64_C(0x4ac99677466f0b1c));
    assert_true(evs__hash_bytes("a longer key of 30 characters.", 30, 7) ==
                UINT64_C(0x015caaa7b3386177));
    assert_true(evs__hash_u64(42, 0) == UINT64_C(0xe7115fea313bb55e));
}

static void test_hash_bytes_each_length_and_byte_counts(void **state)
{
    unsigned char bytes[70] = {0};

    (void)state;
    for (size_t n = 1; n < sizeof(bytes); n++) {
        uint64_t before = evs__hash_bytes(bytes, n, 0);
        assert_true(before != evs__hash_bytes(bytes, n - 1, 0));
        for (size_t i = 0; i < n; i++) {
            bytes[i] ^= 0x10;
            assert_true(before != evs__hash_bytes(bytes, n, 0));
            bytes[i] ^= 0x10;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32c_rfc3720_vectors),
        cmocka_unit_test(test_crc32c_instruction_and_table_agree_in_any_pieces),
        cmocka_unit_test(test_hash_bytes_and_u64_never_change),
        cmocka_unit_test(test_hash_bytes_each_length_and_byte_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
