/*
 * fuzz_avro.c: any bytes through the Avro codec.
 *
 * The first byte chooses a schema, the second which columns are wanted, the rest is one event. It
 * is decoded three times, between good neighbours: each time the same verdict and the same row.
 * What decodes with all columns must encode, decode again to an equal row, and be valid; what is
 * valid must decode. The size of the value at the front must be that of an event that decodes.
 */
#include <string.h>

#include "codec/codec.h"
#include "data/batch.h"
#include "fuzz.h"

#define RECORD(fields) "{\"type\":\"record\",\"name\":\"r\",\"fields\":[" fields "]}"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define LOGICAL(type, logical) "{\"type\":\"" type "\",\"logicalType\":\"" logical "\"}"

static const struct {
    const char *text;
    const char *columns[3]; /* all, then some; NULL: the same */
} schemas[] = {
    {RECORD(FIELD("id", "\"string\"") "," FIELD("page", "\"string\"") "," FIELD(
         "at", LOGICAL("long", "timestamp-millis")) "," FIELD("load", "\"double\"")),
     {NULL, "id,load", "at"}},
    {RECORD(FIELD("a", "[\"null\",\"string\"]") "," FIELD("b", "[\"long\",\"null\"]") "," FIELD(
         "c", "\"boolean\"") "," FIELD("d",
                                       "\"float\"") "," FIELD("e",
                                                              "\"bytes\"") "," FIELD("f",
                                                                                     "\"int\"")),
     {NULL, "b,f", "e"}},
    {RECORD(FIELD("items",
                  "{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"item\","
                  "\"fields\":"
                  "[" FIELD("sku", "\"string\"") "," FIELD(
                      "tags",
                      "{\"type\":\"array\",\"items\":"
                      "[\"null\",\"int\"]}") "," FIELD("more",
                                                       "{\"type\":\"map\",\"values\":"
                                                       "\"double\"}") "]}}") "," FIELD("n",
                                                                                       "\"int"
                                                                                       "\"")),
     {NULL, "n", "items"}},
    {RECORD(FIELD("u",
                  "[\"string\",\"null\",\"long\",{\"type\":\"array\",\"items\":\"int\"},{\"type\":"
                  "\"record\",\"name\":\"x\",\"fields\":[" FIELD(
                      "y", "\"int\"") "]}]") "," FIELD("nulls",
                                                       "{\"type\":\"array\",\"items\":\"null\"}")),
     {NULL, "nulls", "u"}},
    {RECORD(FIELD("label", "\"string\"") "," FIELD("next", "[\"null\",\"r\"]") "," FIELD(
         "all", "{\"type\":\"array\",\"items\":\"r\"}")),
     {NULL, NULL, NULL}},
    {RECORD(FIELD("p", "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":38,\"scale\":2}") "," FIELD(
         "q",
         "{\"type\":\"fixed\",\"name\":\"q\",\"size\":5,\"logicalType\":\"decimal\","
         "\"precision\":9}") "," FIELD("e",
                                       "{\"type\":\"enum\",\"name\":\"e\",\"symbols\":["
                                       "\"A\",\"BB\"]}") "," FIELD("u",
                                                                   "{\"type\":\"fixed\","
                                                                   "\"name\":\"u\","
                                                                   "\"size\":16,"
                                                                   "\"logicalType\":"
                                                                   "\"uuid\"}") "," FIELD("t",
                                                                                          LOGICAL(
                                                                                              "lon"
                                                                                              "g",
                                                                                              "time"
                                                                                              "-mic"
                                                                                              "ro"
                                                                                              "s")) "," FIELD("m",
                                                                                                              LOGICAL(
                                                                                                                  "long",
                                                                                                                  "timestamp-micros")) "," FIELD("d",
                                                                                                                                                 LOGICAL(
                                                                                                                                                     "int",
                                                                                                                                                     "date"))),
     {NULL, "e,t", "u,p"}},
};
#define SCHEMAS (sizeof(schemas) / sizeof(schemas[0]))

static void failed(size_t index, evs_status status, const char *message, void *user_data)
{
    size_t *count = user_data;

    FUZZ_CHECK(status < 0 && message && message[0]);
    (void)index;
    ++*count;
}

static evs_batch *
decode(evs_decoder *d, const uint8_t *data, size_t size, size_t times, size_t *failures)
{
    evs_input inputs[3];
    evs_batch *batch = NULL;

    for (size_t i = 0; i < times; i++)
        inputs[i] = (evs_input){.value = data, .value_len = (uint32_t)size};
    *failures = 0;
    FUZZ_CHECK(!evs_decoder_decode(d, inputs, times, failed, failures, &batch, NULL));
    FUZZ_CHECK(*failures == 0 || *failures == times);
    FUZZ_CHECK(evs_batch_rows(batch) == times - *failures);
    return batch;
}

static void check_equal_rows(const evs_batch *a, uint32_t i, const evs_batch *b, uint32_t k)
{
    FUZZ_CHECK(a->column_count == b->column_count);
    for (uint32_t c = 0; c < a->column_count; c++)
        FUZZ_CHECK(evs__column_equal_rows(a->columns[c], i, b->columns[c], k));
}

/* the row, written and read again; a field that is no column may not be writable */
static void check_encode(evs_context *ctx, evs_schema *schema, evs_decoder *d, evs_batch *batch)
{
    evs_encoder *e = NULL;
    evs_string_view bytes;
    evs_batch *again = NULL;
    evs_error *err = NULL;
    size_t failures = 0;

    if (evs_encoder_new(ctx, evs_decoder_type(d), schema, EVS_OPTIONS("framing", "none"), &e,
                        NULL)) {
        FUZZ_CHECK(*evs_schema_warnings(schema));
        return;
    }
    if (evs_encoder_encode(e, batch, 0, &bytes, &err)) {
        /* a time in ms may have been cut from one in us that was out of range */
        FUZZ_CHECK(strstr(evs_error_message(err), "out of range"));
        evs_error_unref(err);
    } else {
        again = decode(d, (const uint8_t *)bytes.data, bytes.len, 1, &failures);
        FUZZ_CHECK(!failures);
        check_equal_rows(batch, 0, again, 0);
        FUZZ_CHECK(!evs_schema_validate(schema, bytes.data, bytes.len, NULL));
    }
    evs_batch_unref(again);
    evs_encoder_unref(e);
}

static void run(evs_context *ctx, size_t which, size_t mode, const uint8_t *data, size_t size)
{
    const char *columns = schemas[which].columns[mode];
    const char *pairs[] = {"framing", "none", "columns", columns};
    evs_options options = {pairs, columns ? 2 : 1};
    evs_schema *schema = NULL;
    evs_decoder *d = NULL;
    evs_batch *batch;
    size_t failures = 0, value_size = 0;
    evs_status valid;

    FUZZ_CHECK(!evs_schema_parse(ctx, EVS_FORMAT_AVRO, schemas[which].text,
                                 strlen(schemas[which].text), &schema, NULL));
    FUZZ_CHECK(!evs_decoder_new(ctx, schema, &options, &d, NULL));
    valid = evs_schema_validate(schema, data, size, NULL);
    batch = decode(d, data, size, 3, &failures);
    /* decoding looks at less than validation */
    FUZZ_CHECK(valid || !failures);
    if (!failures) {
        check_equal_rows(batch, 0, batch, 1);
        check_equal_rows(batch, 0, batch, 2);
        FUZZ_CHECK(!evs_schema_value_size(schema, data, size, &value_size, NULL));
        FUZZ_CHECK(value_size == size);
        if (!columns)
            check_encode(ctx, schema, d, batch);
    }
    evs_batch_unref(batch);
    evs_decoder_unref(d);
    evs_schema_unref(schema);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    evs_context *ctx = NULL;

    if (size < 2 || size > 1 << 16)
        return 0;
    FUZZ_CHECK(!evs_context_new(NULL, &ctx, NULL));
    run(ctx, data[0] % SCHEMAS, data[1] % 3, data + 2, size - 2);
    evs_context_unref(ctx);
    return 0;
}
