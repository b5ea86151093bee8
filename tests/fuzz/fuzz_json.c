/*
 * fuzz_json.c: any bytes through the JSON codec.
 *
 * All builds of the reader must give the same answer to the check of whole values and the same rows
 * from the decoder, the first time and with what was learned. What decodes must encode, and decode
 * again to an equal row. Columns that are inferred from the bytes must be readable as columns.
 */
#include <stdlib.h>
#include <string.h>

#include "codec/frame.h"
#include "codec/json.h"
#include "fuzz.h"

static const char columns[] =
    "s VARCHAR, i BIGINT, n INT, d DOUBLE, p DECIMAL(9,2), t TIMESTAMP, e DATE, c TIME, b BOOLEAN, "
    "y BYTES, l ARRAY<STRUCT<k VARCHAR, v ARRAY<INT>>>, m MAP<DOUBLE>, z STRUCT<q INT NOT NULL>, "
    "x BIGINT '$.o.x', w VARCHAR '$.o.u.w', \"long name of a member\" VARCHAR";

static const evs__json_walk *const walks[] = {&evs__json_walk_plain,
#ifdef EVS__JSON_X86
                                              &evs__json_walk_sse2, &evs__json_walk_avx2
#endif
};
#define WALKS (sizeof(walks) / sizeof(walks[0]))

static bool walk_runs(const evs__json_walk *walk)
{
    return strcmp(walk->name, "avx2") || !strcmp(evs__json_walk_best()->name, "avx2");
}

static void check_any_value(const uint8_t *data, size_t size)
{
    char first[200] = "", message[200] = "";
    evs_status status = evs__json_check(walks[0], data, size, first, sizeof(first));

    for (size_t i = 1; i < WALKS; i++) {
        if (!walk_runs(walks[i]))
            continue;
        FUZZ_CHECK(evs__json_check(walks[i], data, size, message, sizeof(message)) == status);
        FUZZ_CHECK(!status || !strcmp(first, message));
    }
}

static evs_batch *decode(evs_context *ctx,
                         evs_schema *schema,
                         const evs__json_walk *walk,
                         const uint8_t *data,
                         size_t size,
                         evs__scratch *scratch,
                         evs_status *ret_status)
{
    evs__codec_options o = {0};
    evs__format_decoder *decoder = NULL;
    evs_batch *batch = NULL;
    char message[200];

    FUZZ_CHECK(!evs__format_json.new_decoder(ctx, schema, schema->type, &o, &decoder, NULL));
    evs__json_decoder_use(decoder, walk);
    FUZZ_CHECK(!evs__batch_new(ctx, schema->type, EVS_LAYOUT_VIEW, 1, &batch));
    for (int i = 0; i < 3; i++) {
        message[0] = '\0';
        *ret_status = decoder->decode_row(decoder, data, size, batch->columns, scratch, message,
                                          sizeof(message));
        if (*ret_status) {
            FUZZ_CHECK(message[0]);
            continue;
        }
        batch->rows++;
        batch->count++;
    }
    FUZZ_CHECK(batch->rows == (*ret_status ? 0 : 3));
    decoder->free(decoder);
    return batch;
}

static void check_same_rows(const evs_batch *a, uint32_t i, const evs_batch *b, uint32_t k)
{
    for (uint32_t c = 0; c < a->column_count; c++)
        FUZZ_CHECK(evs__column_equal_rows(a->columns[c], i, b->columns[c], k));
}

static void check_encoded(evs_context *ctx, evs_schema *schema, const evs_batch *batch)
{
    evs__codec_options o = {0};
    evs__format_encoder *encoder = NULL;
    evs_batch *again = NULL;
    evs_status status;
    evs__buffer out;
    evs__scratch scratch;

    evs__scratch_init(&scratch, ctx);
    evs__buffer_init(&out, ctx, 1 << 26);
    FUZZ_CHECK(!evs__format_json.new_encoder(ctx, schema->type, schema, &o, &encoder, NULL));
    FUZZ_CHECK(!encoder->encode_row(encoder, batch, 0, &out, NULL));
    again =
        decode(ctx, schema, evs__json_walk_best(), (uint8_t *)out.data, out.len, &scratch, &status);
    FUZZ_CHECK(!status);
    check_same_rows(batch, 0, again, 0);
    evs_batch_unref(again);
    encoder->free(encoder);
    evs__buffer_free(&out);
    evs__scratch_free(&scratch);
}

static void check_inferred(evs_context *ctx, const uint8_t *data, size_t size)
{
    evs_input input = {.value = data, .value_len = (uint32_t)size};
    evs_schema *schema = NULL;
    evs__buffer out;

    evs__buffer_init(&out, ctx, 1 << 20);
    FUZZ_CHECK(!evs__json_infer_columns(ctx, &input, 1, &out));
    if (out.len)
        FUZZ_CHECK(!evs_schema_columns(ctx, evs__buffer_cstr(&out), &schema, NULL));
    evs_schema_unref(schema);
    evs__buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    evs_context *ctx = NULL;
    evs_schema *schema = NULL;
    evs_batch *first = NULL;
    evs_status first_status = EVS_OK;
    evs__scratch scratch;

    FUZZ_CHECK(!evs_context_new(NULL, &ctx, NULL));
    FUZZ_CHECK(!evs_schema_columns(ctx, columns, &schema, NULL));
    evs__scratch_init(&scratch, ctx);
    check_any_value(data, size);
    for (size_t i = 0; i < WALKS; i++) {
        evs_status status;
        evs_batch *batch;

        if (!walk_runs(walks[i]))
            continue;
        batch = decode(ctx, schema, walks[i], data, size, &scratch, &status);
        FUZZ_CHECK(!i || status == first_status);
        if (!status && first) {
            check_same_rows(first, 0, batch, 0);
            check_same_rows(first, 1, batch, 2);
        }
        if (!first) {
            first = batch;
            first_status = status;
        } else {
            evs_batch_unref(batch);
        }
    }
    if (!first_status)
        check_encoded(ctx, schema, first);
    check_inferred(ctx, data, size);
    evs_batch_unref(first);
    evs__scratch_free(&scratch);
    evs_schema_unref(schema);
    evs_context_unref(ctx);
    return 0;
}
