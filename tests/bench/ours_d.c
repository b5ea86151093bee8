/*
 * Our side of D1 and D2: a decoder for 4 of the 8 columns of a schema.
 *
 *   ours-d --format json|avro [--records N] [--repeat R]
 *
 * As the peers do, text ends up in columns of its own: evs_batch_keep() copies what the decoder
 * left as views into the payloads (in a pipeline that copy is not made).
 * With --views 1 it is left out.
 */
#include "ours.h"

struct ours {
    evs_decoder *decoder;
    bool views;
};

static void failed(size_t index, evs_status status, const char *message, void *user_data)
{
    bench_die("record %zu: %s: %s", index, evs_status_name(status), message);
}

/* Only in the pass that is checked, which is not measured. */
static void copy_columns(evs_batch *batch, struct bench_columns *columns)
{
    evs_column_view view[4];

    for (size_t c = 0; c < 4; c++)
        BENCH_OK(evs_batch_column(batch, c, &view[c]));
    for (int64_t i = 0; i < (int64_t)evs_batch_rows(batch); i++) {
        evs_string_view user_id = evs_column_string(&view[0], i);
        evs_string_view page = evs_column_string(&view[1], i);
        struct bench_wanted w = {user_id.data,
                                 page.data,
                                 user_id.len,
                                 page.len,
                                 ((const int64_t *)view[2].values)[i],
                                 ((const double *)view[3].values)[i]};

        bench_columns_add(columns, &w);
    }
}

static void decode(struct bench_decode *d, uint64_t first, uint64_t end)
{
    static evs_input inputs[BENCH_BATCH];
    struct ours *o = d->user_data;
    evs_batch *batch = NULL, *kept = NULL;

    for (uint64_t i = first; i < end; i++) {
        evs_input *input = &inputs[i - first];

        input->value = d->payloads.bytes + d->payloads.offsets[i];
        input->value_len = d->payloads.offsets[i + 1] - d->payloads.offsets[i];
        input->offset = (int64_t)i;
        input->timestamp = EVS_TIME_NONE;
    }
    BENCH_OK(evs_decoder_decode(o->decoder, inputs, (size_t)(end - first), failed, NULL, &batch,
                                &error));
    if (!o->views) {
        BENCH_OK(evs_batch_keep(batch, &kept, &error));
        evs_batch_unref(batch);
        batch = kept;
    }
    if (evs_batch_rows(batch) != end - first)
        bench_die("%zu rows of %llu", evs_batch_rows(batch), (unsigned long long)(end - first));
    if (d->checking)
        copy_columns(batch, d->columns);
    evs_batch_unref(batch);
}

int main(int argc, char **argv)
{
    bool avro = !strcmp(bench_arg(argc, argv, "--format", "json"), "avro");
    struct ours ours = {0};
    struct bench_decode d = {.decode = decode, .user_data = &ours};
    evs_context *context = bench_context();
    evs_schema *schema = NULL;

    if (avro)
        BENCH_OK(evs_schema_parse(context, EVS_FORMAT_AVRO, bench_record_avsc,
                                  strlen(bench_record_avsc), &schema, &error));
    else
        BENCH_OK(evs_schema_columns(context,
                                    "user_id VARCHAR, session_id VARCHAR, page VARCHAR, "
                                    "referrer VARCHAR, viewed_at BIGINT, status INT, "
                                    "load_ms DOUBLE, device VARCHAR",
                                    &schema, &error));
    BENCH_OK(evs_decoder_new(context, schema,
                             EVS_OPTIONS("format", avro ? "avro" : "json", "framing", "none",
                                         "columns", "user_id, page, viewed_at, load_ms"),
                             &ours.decoder, &error));
    ours.views = bench_arg_int(argc, argv, "--views", 0);
    d.repeat = (uint64_t)bench_arg_int(argc, argv, "--repeat", 8);
    bench_payloads_make(&d.payloads, (uint64_t)bench_arg_int(argc, argv, "--records", 131072),
                        avro ? bench_record_avro : bench_record_json);
    return bench_decode_serve(&d);
}
