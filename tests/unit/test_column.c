/*
 * Columns: NULLs, growth, truncation; gather, hash and order checked row by row against the values'
 * texts on random rows of every type, in both layouts.
 */
#include <math.h>
#include <stdio.h>

#include "evs_test.h"

#include "data/batch.h"

typedef struct fixture {
    evs_test_memory memory;
    evs_context *ctx;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    f->memory.fail_at = -1;
    f->ctx = evs_test_context(&f->memory);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    long live;
    evs_context_unref(f->ctx);
    live = f->memory.live;
    free(f);
    return live == 0 ? 0 : -1;
}

static evs__column *column_new(fixture *f, const char *text, evs_layout layout, uint32_t capacity)
{
    evs_type *t = evs_test_type(f->ctx, text);
    evs__column *c = NULL;
    assert_int_equal(evs__column_new(f->ctx, t, layout, capacity, &c), EVS_OK);
    evs_type_unref(t);
    return c;
}

static char *print(fixture *f, const evs__column *c, uint32_t row)
{
    evs__buffer out;
    char *text;
    evs__buffer_init(&out, f->ctx, 1 << 20);
    assert_int_equal(evs__column_print(c, row, true, &out), EVS_OK);
    text = strdup(evs__buffer_cstr(&out));
    evs__buffer_free(&out);
    return text;
}

static void assert_row(fixture *f, const evs__column *c, uint32_t row, const char *want)
{
    char *got = print(f, c, row);
    assert_string_equal(got, want);
    free(got);
}

static void test_append_null_then_value_keeps_bits(void **state)
{
    fixture *f = *state;
    evs__column *c = column_new(f, "BIGINT", EVS_LAYOUT_OWNED, 4);

    for (int64_t i = 0; i < 1000; i++) {
        assert_int_equal(evs__column_reserve(c, c->length + 1), EVS_OK);
        if (i % 3 == 1)
            assert_int_equal(evs__column_append_null(c), EVS_OK);
        else
            evs__column_append_i64(c, i);
    }
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(evs__column_is_null(c, i), i % 3 == 1);
        assert_int_equal(c->i64[i], i % 3 == 1 ? 0 : i);
    }
    evs__column_reset(c);
    assert_null(c->validity);
    evs__column_append_null(c);
    evs__column_append_i64(c, 5);
    assert_true(evs__column_is_null(c, 0));
    assert_false(evs__column_is_null(c, 1));
    evs__column_unref(c);
}

static void test_append_null_nested_keeps_children_aligned(void **state)
{
    fixture *f = *state;
    evs__column *c = column_new(f, "STRUCT<x INT NOT NULL, y ARRAY<INT>>", EVS_LAYOUT_OWNED, 1);

    assert_int_equal(evs__column_append_null(c), EVS_OK);
    assert_int_equal(evs__column_append_null(c), EVS_OK);
    assert_int_equal(c->length, 2);
    assert_int_equal(c->children[0]->length, 2);
    assert_int_equal(c->children[1]->length, 2);
    /* also a NOT NULL child of a NULL row is NULL: a projection of the field must be */
    assert_true(evs__column_is_null(c->children[0], 1));
    assert_row(f, c, 1, "null");
    evs__column_unref(c);
}

static void test_truncate_half_a_row_of_a_list(void **state)
{
    fixture *f = *state;
    evs__column *c = column_new(f, "ARRAY<STRUCT<k VARCHAR, v INT>>", EVS_LAYOUT_OWNED, 8);
    evs__column *e = c->children[0];

    evs__column_reserve(e, 10);
    evs__column_append_str(e->children[0], "one", 3);
    evs__column_append_null(e->children[1]);
    evs__column_end_struct(e);
    evs__column_end_list(c);
    evs__column_append_str(e->children[0], "half", 4);
    evs__column_truncate(c, c->length);
    assert_int_equal(e->children[0]->length, 1);
    evs__column_append_str(e->children[0], "two", 3);
    evs__column_append_i32(e->children[1], 2);
    evs__column_end_struct(e);
    evs__column_end_list(c);
    assert_row(f, c, 0, "[{\"k\":\"one\",\"v\":null}]");
    assert_row(f, c, 1, "[{\"k\":\"two\",\"v\":2}]");
    evs__column_truncate(c, 0);
    assert_int_equal(e->length, 0);
    evs__column_append_null(e->children[0]);
    evs__column_append_i32(e->children[1], 3);
    evs__column_end_struct(e);
    evs__column_end_list(c);
    assert_row(f, c, 0, "[{\"k\":null,\"v\":3}]");
    evs__column_unref(c);
}

static void test_reserve_bytes_over_two_gib_is_limit(void **state)
{
    fixture *f = *state;
    evs__column *c = column_new(f, "VARCHAR", EVS_LAYOUT_OWNED, 1);
    assert_int_equal(evs__column_reserve_bytes(c, (size_t)INT32_MAX + 1), EVS_ERR_LIMIT);
    assert_int_equal(evs__column_reserve_bytes(c, SIZE_MAX), EVS_ERR_LIMIT);
    assert_int_equal(evs__column_reserve(c, UINT32_MAX), EVS_ERR_LIMIT);
    evs__column_unref(c);
}

static void test_copy_short_every_length(void **state)
{
    char from[80], to[82];
    (void)state;
    for (int i = 0; i < 80; i++)
        from[i] = (char)(i + 1);
    for (size_t n = 0; n <= 80; n++) {
        memset(to, 0, sizeof(to));
        evs__copy_short(to + 1, from, n);
        assert_int_equal(to[0], 0);
        assert_memory_equal(to + 1, from, n);
        assert_int_equal(to[n + 1], 0);
    }
}

/* a view-layout copy of a column of any type */
static evs__column *as_views(fixture *f, const evs__column *c)
{
    evs__column *views = NULL;
    assert_int_equal(evs__column_new(f->ctx, c->type, EVS_LAYOUT_VIEW, 0, &views), EVS_OK);
    assert_int_equal(evs__column_gather(views, c, NULL, c->length), EVS_OK);
    return views;
}

/* dst has `before` + the picked rows of src; texts, hashes and equality agree */
static void check_gather(fixture *f,
                         const evs__column *src,
                         evs_layout layout,
                         const uint32_t *sel,
                         uint32_t count,
                         uint32_t before)
{
    evs__column *dst = NULL;
    uint64_t *from = calloc(count + 1, 8), *to = calloc(count + 1, 8);

    assert_int_equal(evs__column_new(f->ctx, src->type, layout, 0, &dst), EVS_OK);
    assert_int_equal(evs__column_gather(dst, src, NULL, before), EVS_OK);
    assert_int_equal(evs__column_gather(dst, src, sel, count), EVS_OK);
    assert_int_equal(dst->length, before + count);
    evs__column_hash(src, sel, count, from);
    for (uint32_t k = 0; k < count; k++) {
        uint32_t row = sel ? sel[k] : k;
        char *want = print(f, src, row), *got = print(f, dst, before + k);
        uint32_t at = before + k;
        assert_string_equal(got, want);
        assert_true(evs__column_equal_rows(src, row, dst, at));
        assert_int_equal(evs__column_compare_rows(src, row, dst, at), 0);
        to[k] = 0;
        evs__column_hash(dst, &at, 1, &to[k]);
        assert_true(from[k] == to[k]);
        free(want);
        free(got);
    }
    free(from);
    free(to);
    evs__column_unref(dst);
}

static void test_gather_random_rows_of_every_type_and_layout(void **state)
{
    fixture *f = *state;
    evs_type *t = evs_test_type(f->ctx, EVS_TEST_TYPE_ALL);
    evs_batch *b = evs_test_random_batch(f->ctx, t, 200, 11);
    uint64_t seed = 5;
    uint32_t sel[300];

    for (int i = 0; i < 300; i++)
        sel[i] = (uint32_t)(evs_test_random(&seed) % 200);
    for (uint32_t k = 0; k < b->column_count; k++) {
        evs__column *views = as_views(f, b->columns[k]);
        for (int layout = EVS_LAYOUT_OWNED; layout <= EVS_LAYOUT_VIEW; layout++) {
            for (uint32_t before = 0; before < 16; before += 5) {
                check_gather(f, b->columns[k], (evs_layout)layout, sel, 300, before);
                check_gather(f, b->columns[k], (evs_layout)layout, NULL, 200, before);
                check_gather(f, views, (evs_layout)layout, sel, 300, before);
                check_gather(f, views, (evs_layout)layout, NULL, 77, before);
            }
            check_gather(f, views, (evs_layout)layout, sel, 0, 0);
        }
        evs__column_unref(views);
    }
    evs_batch_unref(b);
    evs_type_unref(t);
}

static void test_gather_without_memory_leaves_dst_as_it_was(void **state)
{
    fixture *f = *state;
    evs_type *t = evs_test_type(f->ctx, EVS_TEST_TYPE_ALL);
    evs_batch *b = evs_test_random_batch(f->ctx, t, 50, 12);

    for (uint32_t k = 0; k < b->column_count; k++) {
        for (long n = 0;; n++) {
            evs__column *dst = NULL;
            evs_status status;
            evs__column_new(f->ctx, b->columns[k]->type, EVS_LAYOUT_OWNED, 0, &dst);
            assert_int_equal(evs__column_gather(dst, b->columns[k], NULL, 10), EVS_OK);
            f->memory.fail_at = f->memory.calls + n;
            status = evs__column_gather(dst, b->columns[k], NULL, 50);
            f->memory.fail_at = -1;
            assert_int_equal(dst->length, status ? 10 : 60);
            if (status)
                assert_int_equal(evs__column_gather(dst, b->columns[k], NULL, 50), EVS_OK);
            for (uint32_t i = 0; i < 50; i++)
                assert_true(evs__column_equal_rows(dst, 10 + i, b->columns[k], i));
            evs__column_unref(dst);
            if (!status)
                break;
        }
    }
    evs_batch_unref(b);
    evs_type_unref(t);
}

static void test_compare_is_a_total_order_that_equality_and_hash_share(void **state)
{
    enum { N = 60 };
    fixture *f = *state;
    evs_type *t = evs_test_type(f->ctx, EVS_TEST_TYPE_ALL);
    evs_batch *b = evs_test_random_batch(f->ctx, t, N, 13);
    uint64_t hashes[N];

    for (uint32_t k = 0; k < b->column_count; k++) {
        const evs__column *c = b->columns[k];
        memset(hashes, 0, sizeof(hashes));
        evs__column_hash(c, NULL, N, hashes);
        for (uint32_t i = 0; i < N; i++) {
            for (uint32_t j = 0; j < N; j++) {
                int r = evs__column_compare_rows(c, i, c, j);
                assert_true(r >= -1 && r <= 1);
                assert_int_equal(evs__column_compare_rows(c, j, c, i), -r);
                assert_int_equal(evs__column_equal_rows(c, i, c, j), r == 0);
                assert_int_equal(hashes[i] == hashes[j], r == 0);
                for (uint32_t l = 0; r <= 0 && l < N; l++) {
                    if (evs__column_compare_rows(c, j, c, l) <= 0)
                        assert_true(evs__column_compare_rows(c, i, c, l) <= 0);
                }
            }
        }
    }
    evs_batch_unref(b);
    evs_type_unref(t);
}

static void test_compare_doubles_nan_last_zeros_equal(void **state)
{
    static const double order[] = {-INFINITY, -1, 0, 1e-300, INFINITY, NAN};
    fixture *f = *state;
    evs__column *c = column_new(f, "DOUBLE", EVS_LAYOUT_OWNED, 10);
    uint64_t h[2] = {0, 0};
    uint32_t zeros[] = {7, 3};

    evs__column_append_null(c);
    for (int i = 0; i < 6; i++)
        evs__column_append_f64(c, order[i]);
    evs__column_append_f64(c, -0.0);
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(evs__column_compare_rows(c, i, c, i + 1), -1);
    assert_int_equal(evs__column_compare_rows(c, 7, c, 3), 0);
    assert_true(evs__column_equal_rows(c, 6, c, 6));
    evs__column_hash(c, zeros, 2, h);
    assert_true(h[0] == h[1]);
    evs__column_unref(c);
}

static void test_compare_text_by_unsigned_bytes(void **state)
{
    static const char *const order[] = {"", "a", "aa", "b", "\xc3\xa9"};
    fixture *f = *state;
    evs__column *c = column_new(f, "VARCHAR", EVS_LAYOUT_VIEW, 5);

    for (int i = 0; i < 5; i++)
        evs__column_append_str(c, order[i], strlen(order[i]));
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(evs__column_compare_rows(c, i, c, i + 1), -1);
    evs__column_unref(c);
}

static void test_hash_null_is_not_zero_and_int_is_bigint(void **state)
{
    fixture *f = *state;
    evs__column *i = column_new(f, "INT", EVS_LAYOUT_OWNED, 4);
    evs__column *l = column_new(f, "BIGINT", EVS_LAYOUT_OWNED, 4);
    evs__column *s = column_new(f, "VARCHAR", EVS_LAYOUT_OWNED, 4);
    uint64_t a[3] = {0}, b[3] = {0}, c[2] = {0};

    evs__column_append_i32(i, -5);
    evs__column_append_i32(i, 0);
    evs__column_append_null(i);
    evs__column_append_i64(l, -5);
    evs__column_append_i64(l, 0);
    evs__column_append_null(l);
    evs__column_append_null(s);
    evs__column_append_str(s, "", 0);
    evs__column_hash(i, NULL, 3, a);
    evs__column_hash(l, NULL, 3, b);
    evs__column_hash(s, NULL, 2, c);
    assert_memory_equal(a, b, sizeof(a));
    assert_true(a[1] != a[2]);
    assert_true(c[0] != c[1]);
    assert_false(evs__column_equal_rows(s, 0, s, 1));
    evs__column_unref(i);
    evs__column_unref(l);
    evs__column_unref(s);
}

static void test_private_and_views_look_inside(void **state)
{
    fixture *f = *state;
    evs__column *c = column_new(f, "STRUCT<a ARRAY<VARCHAR>>", EVS_LAYOUT_VIEW, 1);
    evs__column *inner = evs__column_ref(c->children[0]->children[0]);

    assert_true(evs__column_has_views(c));
    assert_false(evs__column_is_private(c));
    evs__column_unref(inner);
    assert_true(evs__column_is_private(c));
    assert_true(evs__column_bytes(c) > sizeof(evs__column));
    evs__column_unref(c);
    c = column_new(f, "STRUCT<a ARRAY<INT>>", EVS_LAYOUT_VIEW, 1);
    assert_false(evs__column_has_views(c));
    evs__column_unref(c);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_append_null_then_value_keeps_bits),
        T(test_append_null_nested_keeps_children_aligned),
        T(test_truncate_half_a_row_of_a_list),
        T(test_reserve_bytes_over_two_gib_is_limit),
        T(test_copy_short_every_length),
        T(test_gather_random_rows_of_every_type_and_layout),
        T(test_gather_without_memory_leaves_dst_as_it_was),
        T(test_compare_is_a_total_order_that_equality_and_hash_share),
        T(test_compare_doubles_nan_last_zeros_equal),
        T(test_compare_text_by_unsigned_bytes),
        T(test_hash_null_is_not_zero_and_int_is_bigint),
        T(test_private_and_views_look_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
