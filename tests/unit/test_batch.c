/*
 * Batches inside: what derived batches share and copy, owning, reuse, leases.
 */
#include "evs_test.h"

#include "data/batch.h"

typedef struct fixture {
    evs_test_memory memory;
    evs_context *ctx;
    evs_type *type;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    f->memory.fail_at = -1;
    f->ctx = evs_test_context(&f->memory);
    f->type = evs_test_type(f->ctx, "STRUCT<a INT, s VARCHAR> NOT NULL");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    long live;
    evs_type_unref(f->type);
    evs_context_unref(f->ctx);
    live = f->memory.live;
    free(f);
    return live == 0 ? 0 : -1;
}

/* rows (0, "r0"), (1, "r1"), ... with times 10, 11, ... */
static evs_batch *make(fixture *f, evs_layout layout, uint32_t rows)
{
    static const char texts[] = "r0r1r2r3r4r5r6r7r8r9";
    evs_batch *b = NULL;

    assert_int_equal(evs__batch_new(f->ctx, f->type, layout, rows, &b), EVS_OK);
    assert_int_equal(evs__batch_need_times(b), EVS_OK);
    for (uint32_t i = 0; i < rows; i++) {
        evs__column_append_i32(b->columns[0], (int32_t)i);
        assert_int_equal(evs__column_append_str(b->columns[1], texts + 2 * i, 2), EVS_OK);
        b->times[i] = 10 + i;
    }
    b->rows = b->count = rows;
    return b;
}

static int releases;

static void count_release(evs__lease *lease)
{
    releases++;
    free(lease);
}

static evs__lease *make_lease(void)
{
    evs__lease *l = calloc(1, sizeof(*l));
    atomic_init(&l->refs, 1);
    l->release = count_release;
    releases = 0;
    return l;
}

static void test_need_arrays_are_filled_and_grow_with_reserve(void **state)
{
    fixture *f = *state;
    evs_batch *b = NULL;

    assert_int_equal(evs__batch_new(f->ctx, f->type, EVS_LAYOUT_OWNED, 4, &b), EVS_OK);
    assert_int_equal(evs__batch_need_times(b), EVS_OK);
    assert_int_equal(evs__batch_need_kinds(b), EVS_OK);
    assert_int_equal(evs__batch_need_origin(b), EVS_OK);
    assert_int_equal(evs__batch_need_row_watermark(b), EVS_OK);
    b->times[3] = 7;
    b->origin[3] = 9;
    assert_int_equal(evs__batch_reserve(b, 100), EVS_OK);
    assert_true(b->aux_capacity >= 100);
    assert_int_equal(b->times[3], 7);
    assert_int_equal(b->origin[3], 9);
    for (uint32_t i = 4; i < 100; i++) {
        assert_true(b->times[i] == EVS_TIME_NONE && b->row_watermark[i] == EVS_TIME_NONE);
        assert_true(b->kinds[i] == EVS_ROW_INSERT && b->origin[i] == 0);
    }
    evs_batch_unref(b);
}

static void test_like_copies_arrays_and_shares_lease(void **state)
{
    fixture *f = *state;
    uint32_t sel[] = {2, 0};
    evs_batch *b = make(f, EVS_LAYOUT_OWNED, 3), *selected = NULL, *like = NULL;

    b->lease = make_lease();
    b->slot = 5;
    assert_int_equal(evs__batch_need_origin(b), EVS_OK);
    b->origin[2] = 8;
    assert_int_equal(evs__batch_select(b, sel, 2, &selected), EVS_OK);
    assert_int_equal(evs__batch_like(selected, f->type, &like), EVS_OK);
    evs_batch_unref(b);
    assert_batch(selected, "12@2|r2\n10@0|r0");
    evs_batch_unref(selected);
    assert_int_equal(releases, 0);
    assert_int_equal(like->rows, 3);
    assert_int_equal(like->count, 2);
    assert_int_equal(like->sel[0], 2);
    assert_int_equal(like->slot, 5);
    assert_int_equal(like->times[1], 11);
    assert_int_equal(like->origin[2], 8);
    assert_null(like->columns[0]);
    evs_batch_unref(like);
    assert_int_equal(releases, 1);
}

static void test_own_of_owned_is_the_same(void **state)
{
    fixture *f = *state;
    evs_batch *b = make(f, EVS_LAYOUT_OWNED, 3), *own = NULL;
    assert_int_equal(evs__batch_own(b, &own), EVS_OK);
    assert_ptr_equal(own, b);
    evs_batch_unref(own);
    evs_batch_unref(b);
}

static void test_own_of_leased_shares_columns_and_lets_the_lease_go(void **state)
{
    fixture *f = *state;
    evs_batch *b = make(f, EVS_LAYOUT_OWNED, 2), *own = NULL;

    b->lease = make_lease();
    assert_int_equal(evs__batch_need_origin(b), EVS_OK);
    assert_int_equal(evs__batch_own(b, &own), EVS_OK);
    assert_ptr_not_equal(own, b);
    assert_ptr_equal(own->columns[1], b->columns[1]);
    evs_batch_unref(b);
    assert_int_equal(releases, 1);
    assert_null(own->origin);
    assert_batch(own, "10@0|r0\n11@1|r1");
    evs_batch_unref(own);
}

static void test_own_of_views_copies_bytes(void **state)
{
    fixture *f = *state;
    uint32_t sel[] = {1, 1, 0};
    evs_batch *b = NULL, *selected = NULL, *own = NULL;
    char bytes[] = "xyz";

    evs__batch_new(f->ctx, f->type, EVS_LAYOUT_VIEW, 2, &b);
    for (int i = 0; i < 2; i++) {
        evs__column_append_i32(b->columns[0], i);
        evs__column_append_view(b->columns[1], bytes + i, 2);
    }
    b->rows = b->count = 2;
    assert_int_equal(evs__batch_select(b, sel, 3, &selected), EVS_OK);
    assert_int_equal(evs__batch_own(selected, &own), EVS_OK);
    evs_batch_unref(b);
    evs_batch_unref(selected);
    memset(bytes, '?', sizeof(bytes));
    assert_null(own->sel);
    assert_batch(own, "1|yz\n1|yz\n0|xy");
    evs_batch_unref(own);
}

static void test_gather_mixes_rows_with_and_without_times_and_kinds(void **state)
{
    fixture *f = *state;
    uint32_t sel[] = {2, 1};
    evs_batch *dst = make(f, EVS_LAYOUT_OWNED, 1), *src = make(f, EVS_LAYOUT_OWNED, 3);

    assert_int_equal(evs__batch_need_kinds(src), EVS_OK);
    src->kinds[2] = EVS_ROW_DELETE;
    assert_int_equal(evs__batch_gather(dst, src, sel, 2), EVS_OK);
    evs__free(f->ctx, src->times);
    src->times = NULL;
    assert_int_equal(evs__batch_gather(dst, src, NULL, 1), EVS_OK);
    assert_batch(dst, "10@0|r0\nd 12@2|r2\n11@1|r1\n0|r0");
    evs_batch_unref(dst);
    evs_batch_unref(src);
}

static void test_reuse_only_when_nobody_else_sees_it(void **state)
{
    fixture *f = *state;
    evs_batch *b = make(f, EVS_LAYOUT_OWNED, 3), *other;
    evs__column *c;

    other = evs_batch_ref(b);
    assert_false(evs__batch_reuse(b));
    evs_batch_unref(other);
    c = evs__column_ref(b->columns[1]);
    assert_false(evs__batch_reuse(b));
    assert_int_equal(b->rows, 3);
    evs__column_unref(c);
    b->lease = make_lease();
    assert_true(evs__batch_reuse(b));
    assert_int_equal(releases, 1);
    assert_int_equal(b->rows, 0);
    assert_null(b->times);
    assert_int_equal(b->columns[1]->length, 0);
    assert_false(evs__batch_reuse(NULL));
    evs_batch_unref(b);
}

static void test_gather_without_memory_leaves_dst_as_it_was(void **state)
{
    fixture *f = *state;
    evs_batch *src = make(f, EVS_LAYOUT_OWNED, 9);

    evs__batch_need_kinds(src);
    for (long n = 0;; n++) {
        evs_batch *dst = NULL;
        evs_status status;
        evs__batch_new(f->ctx, f->type, EVS_LAYOUT_OWNED, 0, &dst);
        assert_int_equal(evs__batch_gather(dst, src, NULL, 1), EVS_OK);
        f->memory.fail_at = f->memory.calls + n;
        status = evs__batch_gather(dst, src, NULL, 9);
        f->memory.fail_at = -1;
        if (status)
            assert_batch(dst, "10@0|r0");
        evs_batch_unref(dst);
        if (!status)
            break;
    }
    evs_batch_unref(src);
}

static void test_batch_outlives_context_and_type(void **state)
{
    fixture *f = *state;
    evs_batch *b = make(f, EVS_LAYOUT_OWNED, 1);
    f->type = evs_type_unref(f->type);
    f->ctx = evs_context_unref(f->ctx);
    assert_batch(b, "10@0|r0");
    evs_batch_unref(b);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_need_arrays_are_filled_and_grow_with_reserve),
        T(test_like_copies_arrays_and_shares_lease),
        T(test_own_of_owned_is_the_same),
        T(test_own_of_leased_shares_columns_and_lets_the_lease_go),
        T(test_own_of_views_copies_bytes),
        T(test_gather_mixes_rows_with_and_without_times_and_kinds),
        T(test_reuse_only_when_nobody_else_sees_it),
        T(test_gather_without_memory_leaves_dst_as_it_was),
        T(test_batch_outlives_context_and_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
