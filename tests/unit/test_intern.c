/*
 * The interner, and columns as its keys: equal values are one key, others are not, and keys come
 * back as the values they were.
 */
#include "evs_test.h"

#include <stdio.h>

#include "engine/keys.h"

typedef struct rig {
    evs_context *ctx;
    evs__account account;
    evs__intern keys;
} rig;

static void open_rig(rig *r, size_t max)
{
    assert_int_equal(evs_context_new(NULL, &r->ctx, NULL), EVS_OK);
    r->account = (evs__account){r->ctx, 0, max};
    evs__intern_init(&r->keys, &r->account);
}

static void close_rig(rig *r)
{
    evs__intern_free(&r->keys);
    assert_int_equal(r->account.used, 0);
    evs_context_unref(r->ctx);
}

static uint32_t id_of(rig *r, const char *data, uint32_t len)
{
    evs__intern_probe p = evs__intern_probe_bytes(data, len);
    uint32_t id = UINT32_MAX;
    assert_int_equal(evs__intern_add(&r->keys, &p, 1, &id), EVS_OK);
    return id;
}

/* ---- keys ---- */

static void test_add_every_length_is_one_key_and_comes_back(void **state)
{
    char text[40];
    rig r;
    (void)state;
    open_rig(&r, SIZE_MAX);
    for (int round = 0; round < 2; round++) {
        for (uint32_t len = 0; len < sizeof(text); len++) {
            for (uint32_t i = 0; i < len; i++)
                text[i] = (char)('a' + i % 26);
            assert_int_equal(id_of(&r, text, len), len);
            assert_int_equal(evs__intern_len(&r.keys, len), len);
            assert_memory_equal(evs__intern_data(&r.keys, len), text, len);
        }
    }
    assert_int_equal(r.keys.count, sizeof(text));
    close_rig(&r);
}

static void test_add_keys_that_differ_in_zeros_or_one_byte_are_different(void **state)
{
    char a[32] = {0}, b[32] = {0};
    rig r;
    (void)state;
    open_rig(&r, SIZE_MAX);
    for (uint32_t len = 0; len < 32; len++)
        assert_int_equal(id_of(&r, a, len), len);
    for (uint32_t at = 0; at < 32; at++) {
        b[at] = 1;
        assert_int_equal(id_of(&r, b, 32), 32 + at);
        b[at] = 0;
    }
    close_rig(&r);
}

static void test_add_does_not_read_past_the_key(void **state)
{
    rig r;
    (void)state;
    open_rig(&r, SIZE_MAX);
    for (uint32_t len = 1; len < 40; len++) {
        char *exact = malloc(len); /* AddressSanitizer sees what is read behind it */
        memset(exact, 'x', len);
        assert_int_equal(id_of(&r, exact, len), len - 1);
        free(exact);
    }
    close_rig(&r);
}

static void test_add_null_is_a_key_of_its_own(void **state)
{
    evs__intern_probe null = evs__intern_probe_null(), zero = evs__intern_probe_u64(0);
    uint32_t ids[3];
    rig r;
    (void)state;
    open_rig(&r, SIZE_MAX);
    assert_int_equal(evs__intern_add(&r.keys, &null, 1, &ids[0]), EVS_OK);
    assert_int_equal(evs__intern_add(&r.keys, &zero, 1, &ids[1]), EVS_OK);
    assert_int_equal(evs__intern_add(&r.keys, &null, 1, &ids[2]), EVS_OK);
    assert_int_equal(ids[0], ids[2]);
    assert_int_not_equal(ids[0], ids[1]);
    assert_int_equal(evs__intern_len(&r.keys, ids[0]), EVS__INTERN_NULL_LEN);
    close_rig(&r);
}

static void test_add_block_with_repeated_new_keys(void **state)
{
    evs__intern_probe probes[EVS__INTERN_BLOCK];
    uint32_t ids[EVS__INTERN_BLOCK];
    rig r;
    (void)state;
    open_rig(&r, SIZE_MAX);
    for (uint32_t i = 0; i < EVS__INTERN_BLOCK; i++)
        probes[i] = evs__intern_probe_u64(i % 7);
    assert_int_equal(evs__intern_add(&r.keys, probes, EVS__INTERN_BLOCK, ids), EVS_OK);
    for (uint32_t i = 0; i < EVS__INTERN_BLOCK; i++)
        assert_int_equal(ids[i], i % 7);
    close_rig(&r);
}

static void test_add_many_grows_and_finds_all(void **state)
{
    rig r;
    (void)state;
    open_rig(&r, SIZE_MAX);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 50000; i++) {
            char text[32];
            int len = snprintf(text, sizeof(text), "%s%u", i % 3 ? "k" : "a longer key: ", i);
            assert_int_equal(id_of(&r, text, (uint32_t)len), i);
        }
    }
    close_rig(&r);
}

static void test_add_beyond_the_bound_is_limit_and_keeps_what_was(void **state)
{
    evs__intern_probe p;
    uint32_t id, n = 0;
    evs_status status = EVS_OK;
    rig r;
    (void)state;
    open_rig(&r, 100000);
    while (!status) {
        p = evs__intern_probe_u64(n);
        status = evs__intern_add(&r.keys, &p, 1, &id);
        n += !status;
    }
    assert_int_equal(status, EVS_ERR_LIMIT);
    assert_true(n > 1000);
    assert_true(r.account.used <= 100000);
    for (uint32_t i = 0; i < n; i++) {
        p = evs__intern_probe_u64(i);
        if (r.keys.count + 1 < n) /* reserve() asks for room before it looks */
            assert_int_equal(evs__intern_add(&r.keys, &p, 1, &id), EVS_OK);
        assert_int_equal(r.keys.keys[i].lo, i);
    }
    close_rig(&r);
}

/* ---- sweep ---- */

static void test_sweep_forgets_dead_keys_and_gives_their_ids_again(void **state)
{
    uint8_t live[2000 / 8 + 1] = {0};
    char text[64];
    size_t before;
    rig r;
    (void)state;
    open_rig(&r, SIZE_MAX);
    for (uint32_t i = 0; i < 2000; i++)
        id_of(&r, text,
              (uint32_t)snprintf(text, sizeof(text), "key %s%u", i % 2 ? "" : "long......", i));
    before = r.account.used;
    for (uint32_t i = 0; i < 1000; i += 10)
        live[i / 8] |= (uint8_t)(1u << i % 8);
    evs__intern_sweep(&r.keys, live);
    assert_int_equal(r.keys.count, 100);
    assert_true(r.account.used < before / 2);
    for (uint32_t i = 0; i < 1000; i += 10) {
        uint32_t len = (uint32_t)snprintf(text, sizeof(text), "key long......%u", i);
        assert_int_equal(id_of(&r, text, len), i);
        assert_memory_equal(evs__intern_data(&r.keys, i), text, len);
    }
    assert_int_equal(r.keys.count, 100);
    assert_int_equal(id_of(&r, "new", 3), 1); /* the lowest free one */
    assert_int_equal(id_of(&r, "newer", 5), 2);
    close_rig(&r);
}

static void test_sweep_of_all_gives_everything_back(void **state)
{
    uint8_t live[16] = {0};
    char text[64];
    rig r;
    (void)state;
    open_rig(&r, SIZE_MAX);
    for (uint32_t i = 0; i < 100; i++)
        id_of(&r, text, (uint32_t)snprintf(text, sizeof(text), "some key that is long %u", i));
    evs__intern_sweep(&r.keys, live);
    assert_int_equal(r.account.used, 0);
    assert_int_equal(id_of(&r, "a", 1), 0);
    close_rig(&r);
}

/* ---- columns ---- */

typedef struct columns {
    evs_batch *batch;
    const evs_type *types[16];
    uint32_t count;
    evs__key_form form;
} columns;

static columns random_columns(rig *r, const char *type_text, uint64_t seed)
{
    evs_type *type = evs_test_type(r->ctx, type_text);
    columns c = {.batch = evs_test_random_batch(r->ctx, type, 200, seed)};
    c.count = type->child_count;
    for (uint32_t i = 0; i < c.count; i++)
        c.types[i] = c.batch->type->children[i].type;
    c.form = evs__key_form_of(c.types, c.count);
    evs_type_unref(type);
    return c;
}

static void ids_of(rig *r, const columns *c, const uint32_t *rows, uint32_t n, uint32_t *ids)
{
    evs__intern_probe probes[EVS__INTERN_BLOCK];
    evs__buffer scratch;
    evs__buffer_init(&scratch, r->ctx, SIZE_MAX);
    assert_int_equal(
        evs__key_probes(c->form, c->batch->columns, c->count, rows, n, &scratch, probes), EVS_OK);
    assert_int_equal(evs__intern_add(&r->keys, probes, n, ids), EVS_OK);
    evs__buffer_free(&scratch);
}

static bool equal_rows(const columns *a, uint32_t i, evs__column *const *b, uint32_t j)
{
    for (uint32_t c = 0; c < a->count; c++) {
        if (!evs__column_equal_rows(a->batch->columns[c], i, b[c], j))
            return false;
    }
    return true;
}

static void check_columns(const char *type_text, uint64_t seed)
{
    uint32_t rows[200], ids[200];
    evs_batch *back = NULL;
    columns c;
    rig r;
    open_rig(&r, SIZE_MAX);
    c = random_columns(&r, type_text, seed);
    for (uint32_t i = 0; i < 200; i++)
        rows[i] = i;
    ids_of(&r, &c, rows, 200, ids);
    for (uint32_t i = 0; i < 200; i++) {
        for (uint32_t j = 0; j < i; j++)
            assert_int_equal(ids[i] == ids[j], equal_rows(&c, i, c.batch->columns, j));
    }
    assert_int_equal(evs__batch_new(r.ctx, c.batch->type, EVS_LAYOUT_OWNED, 1, &back), EVS_OK);
    assert_int_equal(evs__key_columns(c.form, &r.keys, ids, 200, back->columns, c.count), EVS_OK);
    for (uint32_t i = 0; i < 200; i++) {
        uint32_t len = evs__intern_len(&r.keys, ids[i]);
        evs__intern_probe p;
        assert_true(equal_rows(&c, i, back->columns, i));
        assert_true(
            evs__key_check(c.form, c.types, c.count, evs__intern_data(&r.keys, ids[i]), len, &p));
        assert_int_equal(p.lo, r.keys.keys[ids[i]].lo);
    }
    evs_batch_unref(back);
    evs_batch_unref(c.batch);
    close_rig(&r);
}

static void test_columns_equal_rows_are_one_key_of_every_type(void **state)
{
    static const char *const types[] = {
        "STRUCT<a VARCHAR> NOT NULL",
        "STRUCT<a BYTES NOT NULL> NOT NULL",
        "STRUCT<a BIGINT> NOT NULL",
        "STRUCT<a BOOLEAN> NOT NULL",
        "STRUCT<a DOUBLE> NOT NULL",
        "STRUCT<a DATE> NOT NULL",
        "STRUCT<a DECIMAL(9,2)> NOT NULL",
        "STRUCT<a BOOLEAN, b INT> NOT NULL",
        "STRUCT<a ARRAY<BOOLEAN>> NOT NULL",
        "STRUCT<a MAP<INT>, b STRUCT<x BOOLEAN, y BOOLEAN>> NOT NULL",
        EVS_TEST_TYPE_ALL,
    };
    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        for (uint64_t seed = 0; seed < 5; seed++)
            check_columns(types[i], seed);
    }
}

static void test_check_any_bytes_is_safe(void **state)
{
    uint64_t random = 7;
    columns c;
    rig r;
    (void)state;
    open_rig(&r, SIZE_MAX);
    c = random_columns(&r, EVS_TEST_TYPE_ALL, 1);
    for (int i = 0; i < 100000; i++) {
        uint32_t len = (uint32_t)(evs_test_random(&random) % 64);
        char *bytes = malloc(len + 1);
        evs__intern_probe p;
        for (uint32_t j = 0; j < len; j++) {
            uint64_t v = evs_test_random(&random);
            bytes[j] = (char)(v % 3 ? v >> 8 & 1 : v >> 8);
        }
        evs__key_check(c.form, c.types, c.count, bytes, len, &p);
        for (uint32_t k = 0; k < c.count; k++)
            evs__key_check(evs__key_form_of(&c.types[k], 1), &c.types[k], 1, bytes, len, &p);
        free(bytes);
    }
    evs_batch_unref(c.batch);
    close_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add_every_length_is_one_key_and_comes_back),
        cmocka_unit_test(test_add_keys_that_differ_in_zeros_or_one_byte_are_different),
        cmocka_unit_test(test_add_does_not_read_past_the_key),
        cmocka_unit_test(test_add_null_is_a_key_of_its_own),
        cmocka_unit_test(test_add_block_with_repeated_new_keys),
        cmocka_unit_test(test_add_many_grows_and_finds_all),
        cmocka_unit_test(test_add_beyond_the_bound_is_limit_and_keeps_what_was),
        cmocka_unit_test(test_sweep_forgets_dead_keys_and_gives_their_ids_again),
        cmocka_unit_test(test_sweep_of_all_gives_everything_back),
        cmocka_unit_test(test_columns_equal_rows_are_one_key_of_every_type),
        cmocka_unit_test(test_check_any_bytes_is_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
