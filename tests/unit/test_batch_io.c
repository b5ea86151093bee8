/*
 * Batches as bytes: round trips of every type; every single changed byte and every cut is found;
 * crafted bytes with a right checksum are refused or give a batch that keeps its promises.
 */
#include "evs_test.h"

#include "base/hash.h"
#include "data/batch.h"

typedef struct fixture {
    evs_context *ctx;
    evs_type *type;
    evs__buffer out;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    evs_context_new(NULL, &f->ctx, NULL);
    f->type = evs_test_type(f->ctx, EVS_TEST_TYPE_ALL);
    evs__buffer_init(&f->out, f->ctx, 1 << 24);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    evs__buffer_free(&f->out);
    evs_type_unref(f->type);
    evs_context_unref(f->ctx);
    free(f);
    return 0;
}

/* the checksum right again after the body was changed */
static void seal(char *data, size_t len)
{
    uint32_t crc = evs__crc32c(0, data + 16, len - 16);
    memcpy(data + 4, &crc, 4);
}

static void test_write_read_gives_the_same_rows(void **state)
{
    fixture *f = *state;
    for (size_t rows = 1; rows < 600; rows = rows * 2 + 1) {
        evs_batch *b = evs_test_random_batch(f->ctx, f->type, rows, rows), *back = NULL;
        char *want = evs_test_batch_text(b);
        size_t used = 0;
        evs__buffer_reset(&f->out);
        assert_int_equal(evs__batch_write(b, &f->out), EVS_OK);
        evs__buffer_text(&f->out, "what follows");
        assert_int_equal(evs__batch_read(f->ctx, f->type, f->out.data, f->out.len, &used, &back),
                         EVS_OK);
        assert_int_equal(used, f->out.len - 12);
        assert_batch(back, want);
        free(want);
        evs_batch_unref(b);
        evs_batch_unref(back);
    }
}

static void test_write_gathers_selection_and_views(void **state)
{
    fixture *f = *state;
    evs_type *t = evs_test_type(f->ctx, "STRUCT<s VARCHAR> NOT NULL");
    evs_batch *b = NULL, *selected = NULL, *back = NULL;
    uint32_t sel[] = {1};

    evs__batch_new(f->ctx, t, EVS_LAYOUT_VIEW, 2, &b);
    evs__column_append_view(b->columns[0], "one", 3);
    evs__column_append_view(b->columns[0], "two", 3);
    b->rows = b->count = 2;
    evs__batch_select(b, sel, 1, &selected);
    assert_int_equal(evs__batch_write(selected, &f->out), EVS_OK);
    assert_int_equal(evs__batch_read(f->ctx, t, f->out.data, f->out.len, NULL, &back), EVS_OK);
    assert_batch(back, "two");
    evs_batch_unref(b);
    evs_batch_unref(selected);
    evs_batch_unref(back);
    evs_type_unref(t);
}

static void test_write_empty_batch_and_empty_struct(void **state)
{
    fixture *f = *state;
    evs_type *t = evs_test_type(f->ctx, "STRUCT<> NOT NULL");
    evs_batch *b = NULL, *back = NULL;

    evs__batch_shell(f->ctx, t, 3, &b);
    assert_int_equal(evs__batch_write(b, &f->out), EVS_OK);
    assert_int_equal(evs__batch_read(f->ctx, t, f->out.data, f->out.len, NULL, &back), EVS_OK);
    assert_int_equal(evs_batch_rows(back), 3);
    evs_batch_unref(b);
    evs_batch_unref(back);
    evs__buffer_reset(&f->out);
    evs__batch_new(f->ctx, f->type, EVS_LAYOUT_OWNED, 0, &b);
    assert_int_equal(evs__batch_write(b, &f->out), EVS_OK);
    assert_int_equal(evs__batch_read(f->ctx, f->type, f->out.data, f->out.len, NULL, &back),
                     EVS_OK);
    assert_int_equal(evs_batch_rows(back), 0);
    evs_batch_unref(b);
    evs_batch_unref(back);
    evs_type_unref(t);
}

static void test_write_over_the_bound_leaves_the_buffer(void **state)
{
    fixture *f = *state;
    evs_batch *b = evs_test_random_batch(f->ctx, f->type, 50, 1);
    evs__buffer small;

    evs__buffer_init(&small, f->ctx, 1000);
    evs__buffer_text(&small, "x");
    assert_int_equal(evs__batch_write(b, &small), EVS_ERR_LIMIT);
    assert_int_equal(small.len, 1);
    evs__buffer_free(&small);
    evs_batch_unref(b);
}

static void test_read_every_changed_byte_and_cut_is_corrupt(void **state)
{
    fixture *f = *state;
    evs_batch *b = evs_test_random_batch(f->ctx, f->type, 20, 2), *back = NULL;
    char *copy;

    assert_int_equal(evs__batch_write(b, &f->out), EVS_OK);
    copy = malloc(f->out.len);
    for (size_t n = 0; n < f->out.len; n++) {
        memcpy(copy, f->out.data, f->out.len);
        assert_int_equal(evs__batch_read(f->ctx, f->type, copy, n, NULL, &back), EVS_ERR_CORRUPT);
        copy[n] ^= 0x04;
        assert_int_equal(evs__batch_read(f->ctx, f->type, copy, f->out.len, NULL, &back),
                         EVS_ERR_CORRUPT);
    }
    assert_null(back);
    free(copy);
    evs_batch_unref(b);
}

static void test_read_another_type_is_corrupt(void **state)
{
    fixture *f = *state;
    evs_type *a = evs_test_type(f->ctx, "STRUCT<a INT, b INT> NOT NULL");
    evs_type *c = evs_test_type(f->ctx, "STRUCT<a INT, c INT> NOT NULL");
    evs_batch *b = evs_test_random_batch(f->ctx, a, 3, 3), *back = NULL;

    assert_int_equal(evs__batch_write(b, &f->out), EVS_OK);
    assert_int_equal(evs__batch_read(f->ctx, c, f->out.data, f->out.len, NULL, &back),
                     EVS_ERR_CORRUPT);
    evs_batch_unref(b);
    evs_type_unref(a);
    evs_type_unref(c);
}

/* bytes behind a right checksum: a batch that can be used whole, or EVS_ERR_CORRUPT */
static void test_read_crafted_bytes_never_break_promises(void **state)
{
    fixture *f = *state;
    evs_batch *b = evs_test_random_batch(f->ctx, f->type, 20, 4);
    uint64_t seed = 99;
    size_t good = 0;
    char *copy;

    assert_int_equal(evs__batch_write(b, &f->out), EVS_OK);
    copy = malloc(f->out.len);
    for (int step = 0; step < 4000; step++) {
        evs_batch *back = NULL;
        evs_status status;
        size_t at = 16 + evs_test_random(&seed) % (f->out.len - 16);
        memcpy(copy, f->out.data, f->out.len);
        copy[at] = (char)evs_test_random(&seed);
        if (step % 3 == 0)
            memset(copy + at, step % 2 ? 0xff : 0x7f, f->out.len - at < 4 ? f->out.len - at : 4);
        seal(copy, f->out.len);
        status = evs__batch_read(f->ctx, f->type, copy, f->out.len, NULL, &back);
        if (status) {
            assert_int_equal(status, EVS_ERR_CORRUPT);
            continue;
        }
        good++;
        for (uint32_t k = 0; k < back->column_count; k++) {
            uint64_t hashes[20] = {0};
            assert_int_equal(back->columns[k]->length, 20);
            evs__column_hash(back->columns[k], NULL, 20, hashes);
        }
        free(evs_test_batch_text(back));
        evs_batch_unref(back);
    }
    assert_true(good > 0);
    free(copy);
    evs_batch_unref(b);
}

static void test_read_huge_row_count_takes_no_memory(void **state)
{
    evs_test_memory memory = {.fail_at = -1};
    evs_context *ctx = evs_test_context(&memory);
    evs_type *t = evs_test_type(ctx, "STRUCT<a ARRAY<STRUCT<x BIGINT>>, b STRUCT<>> NOT NULL");
    evs_batch *b = evs_test_random_batch(ctx, t, 3, 3), *back = NULL;
    uint32_t huge = INT32_MAX;
    evs__buffer out;

    (void)state;
    evs__buffer_init(&out, ctx, 10000);
    assert_int_equal(evs__batch_write(b, &out), EVS_OK);
    memcpy(out.data + 24, &huge, 4);
    seal(out.data, out.len);
    assert_int_equal(evs__batch_read(ctx, t, out.data, out.len, NULL, &back), EVS_ERR_CORRUPT);
    evs__buffer_free(&out);
    evs_batch_unref(b);
    evs_type_unref(t);
    evs_context_unref(ctx);
    assert_int_equal(memory.live, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_write_read_gives_the_same_rows),
        T(test_write_gathers_selection_and_views),
        T(test_write_empty_batch_and_empty_struct),
        T(test_write_over_the_bound_leaves_the_buffer),
        T(test_read_every_changed_byte_and_cut_is_corrupt),
        T(test_read_another_type_is_corrupt),
        T(test_read_crafted_bytes_never_break_promises),
        T(test_read_huge_row_count_takes_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
