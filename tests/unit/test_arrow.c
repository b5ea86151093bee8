/*
 * Arrow C Data Interface in C: round trips without copies, moved children, slices, formats that are
 * converted, arrays that do not fit. tests/python checks the same against pyarrow.
 */
#include <stdio.h>

#include "evs_test.h"

#include "data/batch.h"

typedef struct fixture {
    evs_test_memory memory;
    evs_context *ctx;
    evs_error *err;
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

static evs_batch *random_batch(fixture *f, const char *type_text, size_t rows, uint64_t seed)
{
    evs_type *t = evs_test_type(f->ctx, type_text);
    evs_batch *b = evs_test_random_batch(f->ctx, t, rows, seed);
    evs_type_unref(t);
    return b;
}

/* ---- export ---- */

static void test_export_import_every_type_shares_buffers(void **state)
{
    fixture *f = *state;
    evs_batch *b = random_batch(f, EVS_TEST_TYPE_ALL, 100, 21), *back = NULL;
    evs_column_view before, after;
    struct ArrowSchema schema;
    struct ArrowArray array;
    char *want;

    assert_evs_ok(evs_batch_export_arrow(b, false, &schema, &array, &f->err), f->err);
    assert_string_equal(schema.format, "+s");
    assert_int_equal(array.n_children, b->column_count);
    assert_evs_ok(evs_batch_import_arrow(f->ctx, &schema, &array, NULL, &back, &f->err), f->err);
    assert_null(schema.release);
    assert_null(array.release);
    /* fields of a STRUCT that may be NULL are exported as nullable */
    assert_true(evs__type_same_shape(evs_batch_type(b), evs_batch_type(back)));
    for (size_t i = 0; i < b->column_count; i++) {
        evs_batch_column(b, i, &before);
        evs_batch_column(back, i, &after);
        assert_ptr_equal(before.values, after.values);
        assert_ptr_equal(before.offsets, after.offsets);
    }
    /* the batch that was exported lives in the array */
    b->times = (evs__free(f->ctx, b->times), NULL);
    b->kinds = (evs__free(f->ctx, b->kinds), NULL);
    want = evs_test_batch_text(b);
    evs_batch_unref(b);
    assert_batch(back, want);
    free(want);
    evs_batch_unref(back);
}

static void test_export_without_schema_and_null_arguments(void **state)
{
    fixture *f = *state;
    evs_batch *b = random_batch(f, "STRUCT<a INT> NOT NULL", 3, 1);
    struct ArrowSchema schema = {.release = NULL};
    struct ArrowArray array;
    evs_status status = evs_batch_export_arrow(NULL, false, &schema, &array, &f->err);

    assert_evs_error(status, f->err, EVS_ERR_INVALID, "NULL", NULL);
    assert_int_equal(evs_batch_export_arrow(b, false, &schema, NULL, NULL), EVS_ERR_INVALID);
    assert_null(schema.release);
    assert_int_equal(evs_batch_export_arrow(b, false, NULL, &array, NULL), EVS_OK);
    evs_batch_unref(b);
    array.release(&array);
    assert_null(array.release);
}

static bool same_schema(const struct ArrowSchema *a, const struct ArrowSchema *b)
{
    bool same = strcmp(a->format, b->format) == 0 && strcmp(a->name, b->name) == 0 &&
                a->flags == b->flags && a->n_children == b->n_children;
    for (int64_t i = 0; same && i < a->n_children; i++)
        same = same_schema(a->children[i], b->children[i]);
    return same;
}

/* what a consumer of the stream sees, and that it is the batches */
static void drain(struct ArrowArrayStream *stream, evs_batch **batches, size_t count, bool meta)
{
    struct ArrowSchema schema, wanted;
    struct ArrowArray array;

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(evs_batch_export_arrow(batches[i], meta, &wanted, &array, NULL), EVS_OK);
        array.release(&array);
        assert_int_equal(stream->get_schema(stream, &schema), 0);
        assert_true(same_schema(&schema, &wanted));
        schema.release(&schema);
        wanted.release(&wanted);
        assert_int_equal(stream->get_next(stream, &array), 0);
        assert_int_equal(array.length, evs_batch_rows(batches[i]));
        array.release(&array);
    }
    for (int i = 0; i < 2; i++) {
        array.release = (void (*)(struct ArrowArray *))(void (*)(void))drain; /* to be cleared */
        assert_int_equal(stream->get_next(stream, &array), 0);
        assert_null(array.release);
    }
    assert_null(stream->get_last_error(stream));
}

static void test_export_stream_gives_all_batches_then_the_end(void **state)
{
    fixture *f = *state;
    evs_batch *batches[3];
    struct ArrowArrayStream stream;

    for (size_t i = 0; i < 3; i++)
        batches[i] = random_batch(f, EVS_TEST_TYPE_ALL, 10 * (i + 1), i);
    for (size_t count = 0; count <= 3; count++) {
        assert_evs_ok(evs_batches_export_arrow(evs_batch_type(batches[0]), batches, count,
                                               count % 2, &stream, &f->err),
                      f->err);
        drain(&stream, batches, count, count % 2);
        stream.release(&stream);
        assert_null(stream.release);
    }
    for (size_t i = 0; i < 3; i++)
        evs_batch_unref(batches[i]);
}

static void test_export_stream_released_early_outlives_everything(void **state)
{
    fixture *f = *state;
    evs_batch *batches[2] = {random_batch(f, EVS_TEST_TYPE_ALL, 5, 1),
                             random_batch(f, EVS_TEST_TYPE_ALL, 5, 2)};
    struct ArrowArrayStream stream;
    struct ArrowSchema schema;
    struct ArrowArray array;

    assert_evs_ok(
        evs_batches_export_arrow(evs_batch_type(batches[0]), batches, 2, false, &stream, &f->err),
        f->err);
    evs_batch_unref(batches[0]);
    evs_batch_unref(batches[1]);
    f->ctx = evs_context_unref(f->ctx);
    assert_int_equal(stream.get_next(&stream, &array), 0);
    assert_int_equal(stream.get_schema(&stream, &schema), 0);
    stream.release(&stream);
    assert_int_equal(array.length, 5);
    array.release(&array);
    schema.release(&schema);
}

static void test_export_stream_wrong_arguments_are_refused(void **state)
{
    fixture *f = *state;
    evs_batch *batches[2] = {random_batch(f, "STRUCT<a INT> NOT NULL", 1, 1),
                             random_batch(f, "STRUCT<b INT> NOT NULL", 1, 1)};
    evs_batch *none[1] = {NULL};
    const evs_type *type = evs_batch_type(batches[0]);
    evs_type *scalar = evs_test_type(f->ctx, "BIGINT");
    struct ArrowArrayStream stream = {.release = NULL};
    evs_status status = evs_batches_export_arrow(type, batches, 2, false, &stream, &f->err);

    assert_evs_error(status, f->err, EVS_ERR_TYPE, "another type", NULL);
    assert_int_equal(evs_batches_export_arrow(NULL, batches, 1, 0, &stream, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_batches_export_arrow(type, NULL, 1, 0, &stream, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_batches_export_arrow(type, none, 1, 0, &stream, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_batches_export_arrow(scalar, NULL, 0, 0, &stream, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_batches_export_arrow(type, batches, 1, 0, NULL, NULL), EVS_ERR_INVALID);
    assert_null(stream.release);
    evs_type_unref(scalar);
    evs_batch_unref(batches[0]);
    evs_batch_unref(batches[1]);
}

static void test_export_moved_child_outlives_everything(void **state)
{
    fixture *f = *state;
    evs_batch *b = random_batch(f, "STRUCT<a BIGINT NOT NULL, s ARRAY<VARCHAR>> NOT NULL", 50, 3);
    int64_t first = b->columns[0]->i64[0];
    struct ArrowArray array, moved, inner;
    struct ArrowSchema schema, moved_schema;

    assert_int_equal(evs_batch_export_arrow(b, false, &schema, &array, NULL), EVS_OK);
    moved = *array.children[0];
    array.children[0]->release = NULL;
    inner = *array.children[1]->children[0];
    array.children[1]->children[0]->release = NULL;
    moved_schema = *schema.children[1];
    schema.children[1]->release = NULL;
    evs_batch_unref(b);
    array.release(&array);
    schema.release(&schema);
    f->ctx = evs_context_unref(f->ctx);
    assert_true(((const int64_t *)moved.buffers[1])[0] == first);
    assert_string_equal(moved_schema.name, "s");
    assert_string_equal(moved_schema.children[0]->format, "u");
    moved.release(&moved);
    assert_true(((const int32_t *)inner.buffers[1])[0] == 0);
    inner.release(&inner);
    moved_schema.release(&moved_schema);
    assert_int_equal(f->memory.live, 0);
}

static void test_export_selection_and_views_are_gathered(void **state)
{
    fixture *f = *state;
    evs_type *t = evs_test_type(f->ctx, "STRUCT<s VARCHAR> NOT NULL");
    evs_batch *b = NULL, *selected = NULL;
    uint32_t sel[] = {2, 0};
    char bytes[] = "abcdef";
    struct ArrowArray array;

    evs__batch_new(f->ctx, t, EVS_LAYOUT_VIEW, 3, &b);
    for (int i = 0; i < 3; i++)
        evs__column_append_view(b->columns[0], bytes + 2 * i, 2);
    b->rows = b->count = 3;
    evs__batch_select(b, sel, 2, &selected);
    assert_int_equal(evs_batch_export_arrow(selected, false, NULL, &array, NULL), EVS_OK);
    evs_batch_unref(b);
    evs_batch_unref(selected);
    memset(bytes, '?', sizeof(bytes));
    assert_int_equal(array.length, 2);
    assert_memory_equal(array.children[0]->buffers[2], "efab", 4);
    array.release(&array);
    evs_type_unref(t);
}

static void test_export_meta_columns(void **state)
{
    fixture *f = *state;
    evs_type *t = evs_test_type(f->ctx, "STRUCT<a INT> NOT NULL");
    evs_appender *a = NULL;
    evs_batch *b = NULL;
    struct ArrowArray array;
    struct ArrowSchema schema;

    evs_appender_new(f->ctx, t, &a, NULL);
    evs_append_time(a, 77);
    evs_append_end_row(a, NULL);
    evs_append_kind(a, EVS_ROW_DELETE);
    evs_append_end_row(a, NULL);
    evs_appender_take(a, &b, NULL);
    assert_int_equal(evs_batch_export_arrow(b, true, &schema, &array, NULL), EVS_OK);
    assert_int_equal(array.n_children, 3);
    assert_string_equal(schema.children[1]->name, "_time");
    assert_string_equal(schema.children[1]->format, "tsm:UTC");
    assert_string_equal(schema.children[2]->name, "_kind");
    assert_string_equal(schema.children[2]->format, "c");
    assert_int_equal(array.children[1]->null_count, 1);
    assert_int_equal(*(const uint8_t *)array.children[1]->buffers[0] & 3, 1);
    assert_int_equal(((const int64_t *)array.children[1]->buffers[1])[0], 77);
    assert_int_equal(((const int8_t *)array.children[2]->buffers[1])[1], EVS_ROW_DELETE);
    array.release(&array);
    schema.release(&schema);
    evs_batch_unref(b);
    /* a batch without times and kinds: all NULL, all inserts; the batch itself stays as it is */
    evs_append_end_row(a, NULL);
    evs_appender_take(a, &b, NULL);
    assert_int_equal(evs_batch_export_arrow(b, true, NULL, &array, NULL), EVS_OK);
    assert_null(b->times);
    assert_int_equal(array.children[1]->null_count, 1);
    assert_int_equal(*(const uint8_t *)array.children[1]->buffers[0] & 1, 0);
    assert_int_equal(((const int8_t *)array.children[2]->buffers[1])[0], 0);
    array.release(&array);
    evs_batch_unref(b);
    evs_appender_unref(a);
    evs_type_unref(t);
}

/* ---- import: arrays written down by hand ---- */

static int released;

static void release_schema(struct ArrowSchema *schema)
{
    released++;
    schema->release = NULL;
}

static void release_array(struct ArrowArray *array)
{
    released++;
    array->release = NULL;
}

/* a root with one child column "v" */
typedef struct hand {
    struct ArrowSchema root_schema, schema, inner_schema[2];
    struct ArrowArray root, array, inner[2];
    struct ArrowSchema *schema_children[1], *schema_inner[2];
    struct ArrowArray *children[1], *inner_children[2];
    const void *root_buffers[1], *buffers[3], *inner_buffers[2][3];
} hand;

static void hand_init(hand *h, const char *format, int64_t rows, int64_t n_buffers)
{
    memset(h, 0, sizeof(*h));
    released = 0;
    h->schema = (struct ArrowSchema){
        .format = format, .name = "v", .flags = ARROW_FLAG_NULLABLE, .release = release_schema};
    h->array = (struct ArrowArray){.length = rows,
                                   .null_count = -1,
                                   .n_buffers = n_buffers,
                                   .buffers = h->buffers,
                                   .release = release_array};
    h->schema_children[0] = &h->schema;
    h->children[0] = &h->array;
    h->root_schema = (struct ArrowSchema){
        .format = "+s", .n_children = 1, .children = h->schema_children, .release = release_schema};
    h->root = (struct ArrowArray){.length = rows,
                                  .n_buffers = 1,
                                  .n_children = 1,
                                  .buffers = h->root_buffers,
                                  .children = h->children,
                                  .release = release_array};
}

/* a child of v */
static void hand_inner(hand *h, int i, const char *name, const char *format, int64_t rows, int n)
{
    h->inner_schema[i] = (struct ArrowSchema){
        .format = format, .name = name, .flags = ARROW_FLAG_NULLABLE, .release = release_schema};
    h->inner[i] = (struct ArrowArray){
        .length = rows, .n_buffers = n, .buffers = h->inner_buffers[i], .release = release_array};
    h->schema_inner[i] = &h->inner_schema[i];
    h->inner_children[i] = &h->inner[i];
    h->schema.children = h->schema_inner;
    h->schema.n_children = i + 1;
    h->array.children = h->inner_children;
    h->array.n_children = i + 1;
}

static void import_is(fixture *f, hand *h, const char *type, const char *rows)
{
    evs_batch *b = NULL;
    char want[200];

    assert_evs_ok(evs_batch_import_arrow(f->ctx, &h->root_schema, &h->root, NULL, &b, &f->err),
                  f->err);
    snprintf(want, sizeof(want), "STRUCT<v %s> NOT NULL", type);
    assert_string_equal(evs_type_print(evs_batch_type(b)), want);
    assert_batch(b, rows);
    evs_batch_unref(b);
    assert_int_equal(released, 2); /* the roots'; ours release nothing else */
}

static void import_fails(fixture *f, hand *h, evs_status want, const char *part)
{
    evs_batch *b = NULL;
    evs_status status =
        evs_batch_import_arrow(f->ctx, &h->root_schema, &h->root, NULL, &b, &f->err);

    assert_evs_error(status, f->err, want, part, NULL);
    f->err = NULL;
    assert_null(b);
    assert_int_equal(released, 0);
    assert_non_null(h->root.release);
    assert_non_null(h->root_schema.release);
}

static void test_import_converted_numbers(void **state)
{
    static const int8_t i8[] = {-1, 127};
    static const uint8_t u8[] = {255, 0};
    static const int16_t i16[] = {-300, 1};
    static const uint16_t u16[] = {65535, 1};
    static const uint32_t u32[] = {UINT32_MAX, 1};
    static const uint64_t u64[] = {UINT64_MAX, 1};
    static const float f32[] = {0.5f, -2};
    static const int32_t i32[] = {-1234, 5};
    static const int64_t i64[] = {-1234567, 5};
    static const struct {
        const char *format;
        const void *values;
        const char *type, *rows;
    } cases[] = {
        {"c", i8, "INT", "-1\n127"},
        {"C", u8, "INT", "255\n0"},
        {"s", i16, "INT", "-300\n1"},
        {"S", u16, "INT", "65535\n1"},
        {"I", u32, "BIGINT", "4294967295\n1"},
        {"L", u64, "DECIMAL(20,0)", "18446744073709551615\n1"},
        {"f", f32, "DOUBLE", "0.5\n-2.0"},
        {"d:9,2,32", i32, "DECIMAL(9,2)", "-12.34\n0.05"},
        {"d:18,2,64", i64, "DECIMAL(18,2)", "-12345.67\n0.05"},
        {"tss:", i64, "TIMESTAMP", "1969-12-17T17:03:53.000Z\n1970-01-01T00:00:05.000Z"},
        {"tsu:Europe/Paris", i64, "TIMESTAMP",
         "1969-12-31T23:59:58.765Z\n1970-01-01T00:00:00.000Z"},
        {"tsn:", i64, "TIMESTAMP", "1969-12-31T23:59:59.998Z\n1970-01-01T00:00:00.000Z"},
        {"tdm", i64, "DATE", "1969-12-31\n1970-01-01"},
    };
    fixture *f = *state;
    hand h;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        hand_init(&h, cases[i].format, 2, 2);
        h.buffers[1] = cases[i].values;
        import_is(f, &h, cases[i].type, cases[i].rows);
    }
}

static void test_import_times_of_day(void **state)
{
    static const int32_t seconds[] = {61, 0};
    static const int64_t micros[] = {INT64_C(61000999), 0}, beyond[] = {INT64_C(86400000000), 0};
    fixture *f = *state;
    hand h;

    hand_init(&h, "tts", 2, 2);
    h.buffers[1] = seconds;
    import_is(f, &h, "TIME", "00:01:01.000\n00:00:00.000");
    hand_init(&h, "ttu", 2, 2);
    h.buffers[1] = micros;
    import_is(f, &h, "TIME", "00:01:01.000\n00:00:00.000");
    h.buffers[1] = beyond;
    released = 0;
    h.root_schema.release = release_schema;
    h.root.release = release_array;
    import_fails(f, &h, EVS_ERR_CORRUPT, "out of its type's range");
}

static void test_import_rubbish_under_nulls_becomes_zero(void **state)
{
    static const int64_t values[] = {1, 999, 3};
    static const uint8_t bits[] = {5};
    fixture *f = *state;
    evs_batch *b = NULL;
    hand h;

    hand_init(&h, "l", 3, 2);
    h.buffers[0] = bits;
    h.buffers[1] = values;
    assert_evs_ok(evs_batch_import_arrow(f->ctx, &h.root_schema, &h.root, NULL, &b, &f->err),
                  f->err);
    assert_batch(b, "1\nnull\n3");
    assert_int_equal(b->columns[0]->i64[1], 0);
    assert_int_equal(values[1], 999);
    /* nothing points into the foreign array: it is released at once */
    assert_int_equal(released, 2);
    evs_batch_unref(b);
}

static void test_import_slices_of_bits_and_values(void **state)
{
    static const uint8_t bools[] = {0xb4, 0x01}, valid[] = {0xf7, 0xff};
    static const int32_t ints[] = {0, 10, 20, 0, 40, 50, 60, 70, 80, 90};
    fixture *f = *state;
    hand h;

    /* the offset of the struct and the child's own add up */
    hand_init(&h, "b", 7, 2);
    h.buffers[0] = valid;
    h.buffers[1] = bools;
    h.array.offset = 1;
    h.root.offset = 1;
    h.root.length = 6;
    import_is(f, &h, "BOOLEAN", "true\nnull\ntrue\ntrue\nfalse\ntrue");
    hand_init(&h, "i", 9, 2);
    h.buffers[0] = valid;
    h.buffers[1] = ints;
    h.array.offset = 1;
    h.root.offset = 1;
    h.root.length = 4;
    import_is(f, &h, "INT", "20\nnull\n40\n50");
}

static void test_import_text_of_all_layouts(void **state)
{
    static const int32_t offsets[] = {0, 2, 3, 3, 6};
    static const int64_t large[] = {0, 2, 3, 3, 6};
    static const uint8_t bits[] = {0x0d};
    fixture *f = *state;
    hand h;

    hand_init(&h, "u", 4, 3);
    h.buffers[1] = offsets;
    h.buffers[2] = "aabccc";
    import_is(f, &h, "VARCHAR", "aa\nb\n\nccc");
    hand_init(&h, "u", 4, 3);
    h.buffers[1] = offsets;
    h.buffers[2] = "aabccc";
    h.root.offset = 1;
    h.root.length = 3;
    import_is(f, &h, "VARCHAR", "b\n\nccc");
    hand_init(&h, "u", 4, 3);
    h.buffers[0] = bits; /* row 1 is NULL, and not empty */
    h.buffers[1] = offsets;
    h.buffers[2] = "aabccc";
    import_is(f, &h, "VARCHAR", "aa\nnull\n\nccc");
    hand_init(&h, "U", 4, 3);
    h.buffers[1] = large;
    h.buffers[2] = "aabccc";
    import_is(f, &h, "VARCHAR", "aa\nb\n\nccc");
    hand_init(&h, "Z", 4, 3);
    h.buffers[1] = large;
    h.buffers[2] = "aabccc";
    import_is(f, &h, "BYTES", "YWE=\nYg==\n\nY2Nj");
    hand_init(&h, "w:3", 2, 2);
    h.buffers[1] = "abcdef";
    import_is(f, &h, "BYTES", "YWJj\nZGVm");
    hand_init(&h, "u", 0, 3);
    import_is(f, &h, "VARCHAR", "");
}

static void test_import_lists_with_gaps_and_slices(void **state)
{
    static const int32_t offsets[] = {0, 2, 3, 3, 5};
    static const int64_t large[] = {0, 2, 3, 3, 5};
    static const int32_t items[] = {1, 2, 3, 4, 5, 6, 7, 8};
    static const uint8_t bits[] = {0x0d};
    fixture *f = *state;
    hand h;

    hand_init(&h, "+l", 4, 2);
    hand_inner(&h, 0, "item", "i", 5, 2);
    h.buffers[1] = offsets;
    h.inner_buffers[0][1] = items;
    h.root.offset = 1;
    h.root.length = 3;
    import_is(f, &h, "ARRAY<INT>", "[3]\n[]\n[4,5]");
    hand_init(&h, "+L", 4, 2);
    hand_inner(&h, 0, "item", "i", 5, 2);
    h.buffers[0] = bits;
    h.buffers[1] = large;
    h.inner_buffers[0][1] = items;
    import_is(f, &h, "ARRAY<INT>", "[1,2]\nnull\n[]\n[4,5]");
    hand_init(&h, "+w:2", 4, 1);
    hand_inner(&h, 0, "item", "i", 8, 2);
    h.buffers[0] = bits;
    h.inner_buffers[0][1] = items;
    import_is(f, &h, "ARRAY<INT>", "[1,2]\nnull\n[5,6]\n[7,8]");
}

static void test_import_null_struct_nulls_its_fields(void **state)
{
    static const int32_t a[] = {1, 2, 3};
    static const uint8_t bits[] = {0x05};
    fixture *f = *state;
    evs_batch *b = NULL;
    hand h;

    hand_init(&h, "+s", 3, 1);
    hand_inner(&h, 0, "a", "i", 3, 2);
    h.inner_schema[0].flags = 0;
    h.inner_buffers[0][1] = a;
    h.buffers[0] = bits;
    assert_evs_ok(evs_batch_import_arrow(f->ctx, &h.root_schema, &h.root, NULL, &b, &f->err),
                  f->err);
    assert_batch(b, "{\"a\":1}\nnull\n{\"a\":3}");
    assert_true(evs__column_is_null(b->columns[0]->children[0], 1));
    assert_int_equal(b->columns[0]->children[0]->i32[1], 0);
    evs_batch_unref(b);
}

static void test_import_time_column(void **state)
{
    static const int64_t times[] = {5, 6};
    static const uint8_t bits[] = {1};
    static const char *const formats[] = {"tsm:", "l"};
    fixture *f = *state;
    evs_batch *b = NULL;
    evs_status status;
    hand h;

    for (int i = 0; i < 2; i++) {
        hand_init(&h, formats[i], 2, 2);
        h.buffers[0] = bits;
        h.buffers[1] = times;
        assert_evs_ok(evs_batch_import_arrow(f->ctx, &h.root_schema, &h.root, "v", &b, &f->err),
                      f->err);
        assert_int_equal(evs_batch_times(b)[0], 5);
        assert_true(evs_batch_times(b)[1] == EVS_TIME_NONE);
        evs_batch_unref(b);
    }
    hand_init(&h, "l", 2, 2);
    h.buffers[1] = times;
    status = evs_batch_import_arrow(f->ctx, &h.root_schema, &h.root, "at", &b, &f->err);
    assert_evs_error(status, f->err, EVS_ERR_INVALID,
                     "no time column \"at\": the only field is \"v\"", NULL);
    f->err = NULL;
    hand_init(&h, "g", 2, 2);
    h.buffers[1] = times;
    status = evs_batch_import_arrow(f->ctx, &h.root_schema, &h.root, "v", &b, &f->err);
    assert_evs_error(status, f->err, EVS_ERR_INVALID, "is DOUBLE, not TIMESTAMP", NULL);
}

static void test_import_types_without_counterpart_are_named(void **state)
{
    static const char *const formats[] = {
        "n",  "e",   "vu", "tDm",  "+us:0", "d:9", "d:39,0", "d:9,2,256",
        "w:", "w:x", "ts", "tsx:", "",      "+r",  "tiM",    "zz"};
    fixture *f = *state;
    hand h;

    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        char part[64];
        hand_init(&h, formats[i], 2, 2);
        snprintf(part, sizeof(part), "column \"v\": the Arrow type \"%s\"", formats[i]);
        import_fails(f, &h, EVS_ERR_UNSUPPORTED, part);
    }
    hand_init(&h, "i", 2, 2);
    h.schema.dictionary = &h.inner_schema[0];
    import_fails(f, &h, EVS_ERR_UNSUPPORTED, "with a dictionary");
    hand_init(&h, "+m", 2, 2);
    hand_inner(&h, 0, "entries", "i", 2, 2);
    import_fails(f, &h, EVS_ERR_UNSUPPORTED, "only maps with text keys");
}

static void test_import_invalid_arguments(void **state)
{
    fixture *f = *state;
    evs_batch *b = NULL;
    hand h;

    hand_init(&h, "i", 0, 2);
    assert_int_equal(evs_batch_import_arrow(NULL, &h.root_schema, &h.root, NULL, &b, NULL),
                     EVS_ERR_INVALID);
    assert_int_equal(evs_batch_import_arrow(f->ctx, NULL, &h.root, NULL, &b, NULL),
                     EVS_ERR_INVALID);
    assert_int_equal(evs_batch_import_arrow(f->ctx, &h.root_schema, NULL, NULL, &b, NULL),
                     EVS_ERR_INVALID);
    assert_int_equal(evs_batch_import_arrow(f->ctx, &h.root_schema, &h.root, NULL, NULL, NULL),
                     EVS_ERR_INVALID);
    h.root_schema.format = "i";
    import_fails(f, &h, EVS_ERR_INVALID, "a batch is a STRUCT array (\"+s\"), not \"i\"");
    h.root.release = NULL;
    assert_int_equal(evs_batch_import_arrow(f->ctx, &h.root_schema, &h.root, NULL, &b, NULL),
                     EVS_ERR_INVALID);
}

static void test_import_arrays_that_do_not_fit_are_corrupt(void **state)
{
    static const int32_t falling[] = {0, 3, 2}, negative[] = {-1, 0, 1}, far[] = {0, 1, 9};
    static const int32_t good[] = {0, 1, 2};
    static const uint8_t bits[] = {1};
    static const int64_t values[] = {1, 2, 3};
    static const evs__int128 digits[] = {1000, 1};
    fixture *f = *state;
    hand h;

    hand_init(&h, "u", 2, 3);
    h.buffers[1] = falling;
    h.buffers[2] = "abc";
    import_fails(f, &h, EVS_ERR_CORRUPT, "column \"v\": offsets do not rise");
    h.buffers[1] = negative;
    import_fails(f, &h, EVS_ERR_CORRUPT, "negative");
    h.buffers[1] = NULL;
    import_fails(f, &h, EVS_ERR_CORRUPT, "no offsets");
    h.buffers[1] = good;
    h.buffers[2] = NULL;
    import_fails(f, &h, EVS_ERR_CORRUPT, "no bytes");
    h.buffers[2] = "\xc3\xa9"; /* valid as a whole, cut by the offsets */
    import_fails(f, &h, EVS_ERR_CORRUPT, "UTF-8");
    h.array.n_buffers = 2;
    import_fails(f, &h, EVS_ERR_CORRUPT, "does not have the buffers");
    hand_init(&h, "l", 2, 2);
    import_fails(f, &h, EVS_ERR_CORRUPT, "no values");
    h.buffers[1] = values;
    h.root.length = 3;
    import_fails(f, &h, EVS_ERR_CORRUPT, "a child is shorter than its parent needs");
    h.root.length = -1;
    import_fails(f, &h, EVS_ERR_CORRUPT, "does not have");
    h.root.length = 2;
    h.root.offset = INT64_MAX;
    import_fails(f, &h, EVS_ERR_CORRUPT, "shorter");
    h.root.offset = 0;
    h.root.n_children = 0;
    import_fails(f, &h, EVS_ERR_CORRUPT, "does not have");
    hand_init(&h, "l", 2, 2);
    h.buffers[1] = values;
    h.buffers[0] = bits;
    h.schema.flags = 0;
    import_fails(f, &h, EVS_ERR_CORRUPT, "there is a NULL in a field without NULLs");
    hand_init(&h, "+l", 2, 2);
    hand_inner(&h, 0, "item", "l", 3, 2);
    h.buffers[1] = far;
    h.inner_buffers[0][1] = values;
    import_fails(f, &h, EVS_ERR_CORRUPT, "column \"v\": a child is shorter");
    hand_init(&h, "d:3,0", 2, 2);
    h.buffers[1] = digits;
    import_fails(f, &h, EVS_ERR_CORRUPT, "range");
    hand_init(&h, "+w:2000000000", 2, 1);
    hand_inner(&h, 0, "item", "l", 3, 2);
    h.array.offset = INT64_MAX / 2;
    import_fails(f, &h, EVS_ERR_CORRUPT, "offset is too large");
}

static void test_import_two_columns_of_one_name(void **state)
{
    fixture *f = *state;
    hand h;

    hand_init(&h, "+s", 2, 1);
    hand_inner(&h, 0, "a", "i", 2, 2);
    hand_inner(&h, 1, "a", "i", 2, 2);
    import_fails(f, &h, EVS_ERR_INVALID, "column \"v\": two fields have the same name");
}

static void test_import_column_keeps_the_array_beyond_the_batch(void **state)
{
    static const int64_t values[] = {1, 2, 3};
    fixture *f = *state;
    evs_batch *b = NULL;
    evs__column *c;
    hand h;

    hand_init(&h, "l", 3, 2);
    h.buffers[1] = values;
    assert_int_equal(evs_batch_import_arrow(f->ctx, &h.root_schema, &h.root, NULL, &b, NULL),
                     EVS_OK);
    c = evs__column_ref(b->columns[0]);
    assert_ptr_equal(c->i64, values);
    assert_false(evs__batch_reuse(b));
    evs_batch_unref(b);
    assert_int_equal(released, 0);
    evs__column_unref(c);
    assert_int_equal(released, 2);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_export_import_every_type_shares_buffers),
        T(test_export_without_schema_and_null_arguments),
        T(test_export_stream_gives_all_batches_then_the_end),
        T(test_export_stream_released_early_outlives_everything),
        T(test_export_stream_wrong_arguments_are_refused),
        T(test_export_moved_child_outlives_everything),
        T(test_export_selection_and_views_are_gathered),
        T(test_export_meta_columns),
        T(test_import_converted_numbers),
        T(test_import_times_of_day),
        T(test_import_rubbish_under_nulls_becomes_zero),
        T(test_import_slices_of_bits_and_values),
        T(test_import_text_of_all_layouts),
        T(test_import_lists_with_gaps_and_slices),
        T(test_import_null_struct_nulls_its_fields),
        T(test_import_time_column),
        T(test_import_types_without_counterpart_are_named),
        T(test_import_invalid_arguments),
        T(test_import_arrays_that_do_not_fit_are_corrupt),
        T(test_import_two_columns_of_one_name),
        T(test_import_column_keeps_the_array_beyond_the_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
