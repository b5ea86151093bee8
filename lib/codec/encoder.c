/*
 * codec/encoder.c: evs_encoder: rows to bytes, for any format, with or without framing.
 *
 * Two buffers: `single` holds the last evs_encoder_encode(), `gathered` what evs_encoder_append()
 * added since the last take. With Confluent framing the schema is registered once, when the encoder
 * is made, and its id goes before each value. A row that fails leaves nothing behind.
 */
#include <stdio.h>

#include "codec/frame.h"

#define SINGLE_MAX ((size_t)256 << 20)
#define GATHERED_MAX ((size_t)1 << 30)

struct evs_encoder {
    evs_context *ctx;
    evs_schema *schema;
    evs__format_encoder *encoder;
    uint8_t header[EVS__CONFLUENT_HEADER];
    uint32_t header_len;
    bool taken; /* the next append starts anew */
    evs__buffer single;
    evs__buffer gathered;
};

static evs_status choose_schema(evs_encoder *e,
                                const evs_type *type,
                                evs_schema *schema,
                                evs__codec_setup *setup,
                                evs_error **reterr)
{
    const char *name = NULL;
    evs_schema *given = evs_schema_ref(schema);
    evs_status status = EVS_OK;

    if (!given)
        status = evs__codec_schema_given(e->ctx, setup->config, &given, reterr);
    if (!status)
        status = evs__codec_setup_resolve(setup, e->ctx, "encoder", given, reterr);
    name = setup->name ? setup->name : setup->topic ? setup->topic : "row";
    /* a format without a wire form of its own takes any schema's rows; Avro needs its own */
    if (!status && given && (setup->format->id != EVS_FORMAT_AVRO || given->avro)) {
        e->schema = given;
        return EVS_OK;
    }
    if (!status)
        status = evs_schema_of_type(e->ctx, setup->format->id, name, given ? given->type : type,
                                    &e->schema, reterr);
    evs_schema_unref(given);
    return status;
}

static evs_status register_schema(evs_encoder *e, const evs__codec_setup *setup, evs_error **reterr)
{
    evs__registry *registry = NULL;
    evs__buffer subject;
    const char *text;
    int32_t id = 0;
    evs_status status = evs__registry_memory(e->ctx, &registry, reterr);

    if (status)
        return status;
    evs__buffer_init(&subject, e->ctx, 4096);
    if (setup->subject)
        evs__buffer_text(&subject, setup->subject);
    else if (setup->topic)
        evs__buffer_printf(&subject, "%s-value", setup->topic);
    else
        evs__buffer_text(&subject, e->schema->avro ? e->schema->avro->fullname : "row");
    text = evs__buffer_cstr(&subject);
    if (!text)
        status = evs__fail(e->ctx, reterr, subject.status, "encoder: the subject is too long");
    else
        status = registry->register_schema(registry, text, e->schema, &id, reterr);
    evs__buffer_free(&subject);
    if (status)
        return status;
    e->header[0] = 0;
    e->header[1] = (uint8_t)((uint32_t)id >> 24);
    e->header[2] = (uint8_t)((uint32_t)id >> 16);
    e->header[3] = (uint8_t)((uint32_t)id >> 8);
    e->header[4] = (uint8_t)id;
    e->header_len = EVS__CONFLUENT_HEADER;
    return EVS_OK;
}

evs_status evs_encoder_new(evs_context *context,
                           const evs_type *type,
                           evs_schema *schema,
                           const evs_options *options,
                           evs_encoder **ret_encoder,
                           evs_error **reterr)
{
    evs__codec_setup setup = {0};
    evs_encoder *e = NULL;
    evs_status status;

    if (!context || !ret_encoder || evs_type_get_id(type) != EVS_TYPE_STRUCT)
        return evs__fail(context, reterr, EVS_ERR_INVALID,
                         "context or ret_encoder is NULL, or the type is not a STRUCT");
    if ((status = evs__codec_setup_init(&setup, context, "encoder", options, reterr)))
        return status;
    if (!(e = evs__calloc(context, 1, sizeof(*e)))) {
        status = evs__nomem(reterr);
        goto out;
    }
    e->ctx = evs_context_ref(context);
    evs__buffer_init(&e->single, context, SINGLE_MAX);
    evs__buffer_init(&e->gathered, context, GATHERED_MAX);
    if ((status = choose_schema(e, type, schema, &setup, reterr)) ||
        (setup.confluent && (status = register_schema(e, &setup, reterr))) ||
        (status = setup.format->new_encoder(context, type, e->schema, &setup.options, &e->encoder,
                                            reterr)))
        goto out;
    *ret_encoder = e;
    e = NULL;
out:
    evs_encoder_unref(e);
    evs__codec_setup_free(&setup);
    return status;
}

evs_encoder *evs_encoder_unref(evs_encoder *e)
{
    evs_context *ctx;

    if (!e)
        return NULL;
    ctx = e->ctx;
    if (e->encoder)
        e->encoder->free(e->encoder);
    evs_schema_unref(e->schema);
    evs__buffer_free(&e->single);
    evs__buffer_free(&e->gathered);
    evs__free(ctx, e);
    evs_context_unref(ctx);
    return NULL;
}

evs_schema *evs_encoder_schema(const evs_encoder *encoder)
{
    return encoder ? encoder->schema : NULL;
}

/* one row at the end of `out`, or `out` as it was */
static evs_status encode_into(
    evs_encoder *e, const evs_batch *batch, uint32_t row, evs__buffer *out, evs_error **reterr)
{
    size_t before = out->len;
    evs_status status = evs__buffer_append(out, e->header, e->header_len);

    if (!status)
        status = e->encoder->encode_row(e->encoder, batch, row, out, reterr);
    else
        evs__fail(e->ctx, reterr, status, "encoder: %s", evs_status_text(status));
    if (!status && out->status) {
        status = out->status;
        evs__fail(e->ctx, reterr, status, "encoder: a row of more than %zu bytes", out->max);
    }
    if (status) {
        out->len = before;
        out->status = EVS_OK;
    }
    return status;
}

static evs_status
check_row(const evs_encoder *e, const evs_batch *batch, uint32_t row, evs_error **reterr)
{
    if (!e || !batch)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "encoder or batch is NULL");
    if (row >= batch->rows)
        return evs__fail(e->ctx, reterr, EVS_ERR_INVALID, "row %u is beyond the batch's %u",
                         (unsigned)row, (unsigned)batch->rows);
    return EVS_OK;
}

evs_status evs_encoder_encode(evs_encoder *encoder,
                              const evs_batch *batch,
                              uint32_t row,
                              evs_string_view *ret_bytes,
                              evs_error **reterr)
{
    evs_status status = check_row(encoder, batch, row, reterr);

    if (status)
        return status;
    if (!ret_bytes)
        return evs__fail(encoder->ctx, reterr, EVS_ERR_INVALID, "ret_bytes is NULL");
    evs__buffer_reset(&encoder->single);
    if ((status = encode_into(encoder, batch, row, &encoder->single, reterr)))
        return status;
    if (!evs__buffer_cstr(&encoder->single))
        return evs__fail(encoder->ctx, reterr, encoder->single.status, "encoder: %s",
                         evs_status_text(encoder->single.status));
    *ret_bytes = (evs_string_view){encoder->single.data, encoder->single.len};
    return EVS_OK;
}

evs_status evs_encoder_append(evs_encoder *encoder,
                              const evs_batch *batch,
                              uint32_t row,
                              const char *separator,
                              evs_error **reterr)
{
    evs_status status = check_row(encoder, batch, row, reterr);
    size_t before;

    if (status)
        return status;
    if (encoder->taken)
        evs__buffer_reset(&encoder->gathered);
    encoder->taken = false;
    before = encoder->gathered.len;
    if ((status = encode_into(encoder, batch, row, &encoder->gathered, reterr)))
        return status;
    if (separator && (status = evs__buffer_text(&encoder->gathered, separator))) {
        encoder->gathered.len = before;
        encoder->gathered.status = EVS_OK;
        return evs__fail(encoder->ctx, reterr, status, "encoder: %s", evs_status_text(status));
    }
    return EVS_OK;
}

evs_string_view evs_encoder_take(evs_encoder *encoder)
{
    evs_string_view view = {NULL, 0};

    if (!encoder || encoder->taken)
        return view;
    encoder->taken = true;
    return (evs_string_view){encoder->gathered.data, encoder->gathered.len};
}
