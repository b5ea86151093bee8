/*
 * fuzz_delimited.c: any bytes as a record of delimited text. What decodes must encode, and decode
 * again to an equal row.
 */
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "fuzz.h"

static const char columns[] = "s VARCHAR, i BIGINT, n INT, d DOUBLE, p DECIMAL(9,2), t TIMESTAMP, "
                              "e DATE, c TIME, b BOOLEAN, y BYTES, z VARCHAR";

static evs_batch *decode(evs_decoder *decoder, const void *data, size_t size)
{
    evs_input input = {.value = data, .value_len = (uint32_t)size};
    evs_batch *batch = NULL;

    FUZZ_CHECK(!evs_decoder_decode(decoder, &input, 1, NULL, NULL, &batch, NULL));
    return batch;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    evs_context *ctx = NULL;
    evs_schema *schema = NULL;
    evs_decoder *decoder = NULL;
    evs_encoder *encoder = NULL;
    evs_batch *batch, *again;
    evs_string_view out;

    FUZZ_CHECK(!evs_context_new(NULL, &ctx, NULL));
    FUZZ_CHECK(!evs_schema_columns(ctx, columns, &schema, NULL));
    FUZZ_CHECK(!evs_decoder_new(ctx, schema, EVS_OPTIONS("format", "delimited"), &decoder, NULL));
    FUZZ_CHECK(!evs_encoder_new(ctx, evs_schema_type(schema), schema,
                                EVS_OPTIONS("format", "delimited"), &encoder, NULL));
    batch = decode(decoder, data, size);
    if (evs_batch_rows(batch)) {
        FUZZ_CHECK(!evs_encoder_encode(encoder, batch, 0, &out, NULL));
        again = decode(decoder, out.data, out.len);
        FUZZ_CHECK(evs_batch_rows(again) == 1);
        for (uint32_t c = 0; c < batch->column_count; c++)
            FUZZ_CHECK(evs__column_equal_rows(batch->columns[c], 0, again->columns[c], 0));
        evs_batch_unref(again);
    }
    evs_batch_unref(batch);
    evs_encoder_unref(encoder);
    evs_decoder_unref(decoder);
    evs_schema_unref(schema);
    evs_context_unref(ctx);
    return 0;
}
