/*
 * fuzz_avro_schema.c: any text as an Avro schema, and any bytes behind a NUL as an event of it.
 *
 * What parses must parse again to the same type, give a type whose text parses, compile into a
 * decoder, and, when every field has a column, into an encoder; what of its type Avro can name must
 * give a schema of the same type. Decoding must not crash, and a valid event must decode.
 */
#include <string.h>

#include "codec/codec.h"
#include "data/batch.h"
#include "fuzz.h"

static void failed(size_t index, evs_status status, const char *message, void *user_data)
{
    (void)index;
    FUZZ_CHECK(status < 0 && message && message[0]);
    ++*(size_t *)user_data;
}

static void check_event(evs_schema *s, evs_decoder *d, const uint8_t *data, size_t size)
{
    evs_input input = {.value = data, .value_len = (uint32_t)size};
    evs_batch *batch = NULL;
    size_t failures = 0;
    evs_status valid = evs_schema_validate(s, data, size, NULL);

    FUZZ_CHECK(!evs_decoder_decode(d, &input, 1, failed, &failures, &batch, NULL));
    FUZZ_CHECK(evs_batch_rows(batch) + failures == 1);
    FUZZ_CHECK(valid || !failures);
    evs_batch_unref(batch);
}

static void check_schema(evs_context *ctx, evs_schema *s, const uint8_t *data, size_t size)
{
    const evs_type *type = evs_schema_type(s);
    evs_schema *again = NULL, *made = NULL;
    evs_type *parsed = NULL;
    evs_decoder *d = NULL;
    evs_encoder *e = NULL;
    evs_status status;

    FUZZ_CHECK(!evs_schema_parse(ctx, EVS_FORMAT_AVRO, evs_schema_text(s),
                                 strlen(evs_schema_text(s)), &again, NULL));
    FUZZ_CHECK(evs_schema_equal(s, again));
    status = evs_type_parse(ctx, evs_type_print(type), &parsed, NULL);
    FUZZ_CHECK(!status && evs_type_equal(type, parsed));
    status = evs_decoder_new(ctx, s, EVS_OPTIONS("framing", "none"), &d, NULL);
    FUZZ_CHECK(!status || status == EVS_ERR_LIMIT);
    if (!status)
        check_event(s, d, data, size);
    status = evs_encoder_new(ctx, type, s, EVS_OPTIONS("framing", "none"), &e, NULL);
    FUZZ_CHECK(!status || *evs_schema_warnings(s));
    /* branches of unions may have names with dots */
    status = evs_schema_of_type(ctx, EVS_FORMAT_AVRO, "row", type, &made, NULL);
    FUZZ_CHECK(status == EVS_ERR_UNSUPPORTED || status == EVS_ERR_SCHEMA ||
               status == EVS_ERR_LIMIT || (!status && evs_type_equal(type, evs_schema_type(made))));
    evs_encoder_unref(e);
    evs_decoder_unref(d);
    evs_type_unref(parsed);
    evs_schema_unref(made);
    evs_schema_unref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size ? memchr(data, '\0', size) : NULL;
    size_t len = nul ? (size_t)(nul - data) : size;
    evs_context *ctx = NULL;
    evs_schema *s = NULL;
    evs_error *err = NULL;

    if (size > 1 << 15)
        return 0;
    FUZZ_CHECK(!evs_context_new(NULL, &ctx, NULL));
    if (evs_schema_parse(ctx, EVS_FORMAT_AVRO, (const char *)data, len, &s, &err)) {
        FUZZ_CHECK(!s && *evs_error_message(err));
        evs_error_unref(err);
    } else {
        check_schema(ctx, s, nul ? nul + 1 : data + size, nul ? size - len - 1 : 0);
        evs_schema_unref(s);
    }
    evs_context_unref(ctx);
    return 0;
}
