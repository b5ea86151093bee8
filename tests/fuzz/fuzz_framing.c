/*
 * fuzz_framing.c: any sequence of events, framed with schema ids or not, through one decoder.
 *
 * The bytes are cut into events by a length byte before each (255: a null value). Each event either
 * is told as failed with a message or makes one row, in order, and what one event does depends on
 * it alone: the second pass, with every other event left out, gives the same verdicts and rows.
 */
#include <string.h>

#include "codec/codec.h"
#include "data/batch.h"
#include "fuzz.h"

#define EVENTS_MAX 64
#define RECORD(fields) "{\"type\":\"record\",\"name\":\"r\",\"fields\":[" fields "]}"

static const char *const texts[] = {
    RECORD("{\"name\":\"a\",\"type\":[\"null\",\"long\"]},{\"name\":\"b\",\"type\":[\"null\",{"
           "\"type\":"
           "\"array\",\"items\":\"string\"}]}"),
    RECORD("{\"name\":\"b\",\"type\":{\"type\":\"array\",\"items\":\"string\"}},{\"name\":\"x\","
           "\"type\":"
           "\"bytes\"}"),
    RECORD("{\"name\":\"a\",\"type\":\"int\"}"),
    RECORD("{\"name\":\"a\",\"type\":\"string\"}"),
};

typedef struct outcome {
    size_t failures;
    bool failed[EVENTS_MAX];
} outcome;

static void failed(size_t index, evs_status status, const char *message, void *user_data)
{
    outcome *o = user_data;

    FUZZ_CHECK(index < EVENTS_MAX && !o->failed[index]);
    FUZZ_CHECK(status < 0 && message && message[0]);
    o->failed[index] = true;
    o->failures++;
}

static size_t split(const uint8_t *data, size_t size, evs_input *inputs)
{
    size_t count = 0;

    while (size && count < EVENTS_MAX) {
        size_t len = *data++;
        size--;
        inputs[count] = (evs_input){.offset = (int64_t)count};
        if (len < 255) {
            len = len < size ? len : size;
            inputs[count].value = data;
            inputs[count].value_len = (uint32_t)len;
            data += len;
            size -= len;
        }
        count++;
    }
    return count;
}

static evs_batch *decode(evs_decoder *d, const evs_input *inputs, size_t count, outcome *o)
{
    evs_batch *batch = NULL;
    uint32_t row = 0;

    memset(o, 0, sizeof(*o));
    FUZZ_CHECK(!evs_decoder_decode(d, inputs, count, failed, o, &batch, NULL));
    FUZZ_CHECK(evs_batch_rows(batch) == count - o->failures);
    for (uint32_t i = 0; i < count; i++) {
        if (!o->failed[i])
            FUZZ_CHECK(batch->origin[row++] == i);
    }
    return batch;
}

static void run(evs_context *ctx, const uint8_t *data, size_t size)
{
    static evs_input inputs[EVENTS_MAX], odd[EVENTS_MAX];
    evs_schema *reader = NULL;
    evs_decoder *d = NULL;
    evs_batch *all, *some;
    outcome o, p;
    size_t count = split(data, size, inputs);
    uint32_t row = 0, odd_row = 0;

    for (int32_t i = 0; i < 4; i++) {
        evs_schema *s = NULL;
        FUZZ_CHECK(!evs_schema_parse(ctx, EVS_FORMAT_AVRO, texts[i], strlen(texts[i]), &s, NULL));
        FUZZ_CHECK(!evs_registry_put(ctx, "s", i + 1, s, NULL));
        reader = i ? reader : evs_schema_ref(s);
        evs_schema_unref(s);
    }
    FUZZ_CHECK(!evs_decoder_new(ctx, reader, NULL, &d, NULL));
    all = decode(d, inputs, count, &o);
    for (size_t i = 1; i < count; i += 2)
        odd[i / 2] = inputs[i];
    some = decode(d, odd, count / 2, &p);
    for (size_t i = 0; i < count; i++) {
        if (i % 2)
            FUZZ_CHECK(o.failed[i] == p.failed[i / 2]);
        for (uint32_t c = 0; i % 2 && !o.failed[i] && c < all->column_count; c++)
            FUZZ_CHECK(evs__column_equal_rows(all->columns[c], row, some->columns[c], odd_row));
        row += !o.failed[i];
        odd_row += i % 2 && !o.failed[i];
    }
    evs_batch_unref(all);
    evs_batch_unref(some);
    evs_decoder_unref(d);
    evs_schema_unref(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    evs_context *ctx = NULL;

    FUZZ_CHECK(!evs_context_new(NULL, &ctx, NULL));
    run(ctx, data, size);
    evs_context_unref(ctx);
    return 0;
}
