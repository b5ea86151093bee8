/*
 * fuzz_batch.c: a serialised batch, as in snapshots. The input is the body; the header in front of
 * it, with a right checksum, is made here, because every other one is refused at once. What is read
 * must keep all that columns promise: it is printed, hashed, compared, exported as Arrow and taken
 * back (which checks again), and written to the same bytes' meaning.
 */
#include "fuzz.h"

#include <string.h>

#include "base/hash.h"
#include "data/batch.h"

#define TYPE                                                                                       \
    "STRUCT<b BOOLEAN, i INT, d DOUBLE, m DECIMAL(9,2), s VARCHAR, y BYTES, ti TIME, "             \
    "a ARRAY<VARCHAR>, mp MAP<INT>, st STRUCT<x INT, y ARRAY<STRUCT<z VARCHAR>>>> NOT NULL"

static void use_batch(evs_context *ctx, const evs_batch *b)
{
    evs__buffer out;

    evs__buffer_init(&out, ctx, 1 << 24);
    for (uint32_t row = 0; row < b->rows; row++) {
        evs__buffer_reset(&out);
        FUZZ_CHECK(evs__batch_row_json(b, row, &out) != EVS_ERR_NOMEM);
    }
    for (uint32_t k = 0; k < b->column_count; k++) {
        for (uint32_t row = 0; row < b->rows; row++) {
            uint64_t hash = 0;
            evs__column_hash(b->columns[k], &row, 1, &hash);
            FUZZ_CHECK(evs__column_equal_rows(b->columns[k], row, b->columns[k], row));
        }
    }
    evs__buffer_free(&out);
}

static void round_trips(evs_context *ctx, evs_batch *b)
{
    struct ArrowSchema schema;
    struct ArrowArray array;
    evs_batch *again = NULL;
    evs_error *error = NULL;
    evs__buffer out;

    evs__buffer_init(&out, ctx, 1 << 26);
    FUZZ_CHECK(!evs__batch_write(b, &out));
    FUZZ_CHECK(!evs__batch_read(ctx, b->type, out.data, out.len, NULL, &again));
    FUZZ_CHECK(again->rows == b->rows);
    for (uint32_t k = 0; k < b->column_count; k++) {
        for (uint32_t row = 0; row < b->rows; row++)
            FUZZ_CHECK(evs__column_equal_rows(b->columns[k], row, again->columns[k], row));
    }
    evs_batch_unref(again);
    FUZZ_CHECK(!evs_batch_export_arrow(b, true, &schema, &array, NULL));
    FUZZ_CHECK(!evs_batch_import_arrow(ctx, &schema, &array, "_time", &again, &error));
    use_batch(ctx, again);
    evs_batch_unref(again);
    evs__buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    evs_context *ctx = NULL;
    evs_type *type = NULL;
    evs_batch *batch = NULL;
    char *bytes = malloc(size + 16);
    uint32_t magic = 0x31425645u, crc = evs__crc32c(0, data, size);
    uint64_t length = size, hash;

    if (!bytes || evs_context_new(NULL, &ctx, NULL))
        abort();
    FUZZ_CHECK(!evs_type_parse(ctx, TYPE, &type, NULL));
    if (size)
        memcpy(bytes + 16, data, size);
    if (size >= 8) { /* the type's hash, too */
        hash = evs__hash_bytes(evs_type_print(type), strlen(evs_type_print(type)), magic);
        memcpy(bytes + 16, &hash, 8);
        crc = evs__crc32c(0, bytes + 16, size);
    }
    memcpy(bytes, &magic, 4);
    memcpy(bytes + 4, &crc, 4);
    memcpy(bytes + 8, &length, 8);
    if (!evs__batch_read(ctx, type, bytes, size + 16, NULL, &batch)) {
        use_batch(ctx, batch);
        round_trips(ctx, batch);
    }
    evs_batch_unref(batch);
    evs_type_unref(type);
    evs_context_unref(ctx);
    free(bytes);
    return 0;
}
