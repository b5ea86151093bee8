/*
 * evstream/codec.h: bytes to columns and back, for hosts that have their own consumer and for
 * connectors. A decoder is compiled from the schema and the columns that are wanted: other fields
 * are skipped, not built.
 *
 * Options of decoder and encoder; what is not one of theirs is passed over, so that connectors can
 * hand in all of their own (docs/reference/configuration.md has them all):
 *
 *   format    json | avro | delimited; default: the schema's own
 *
 *   framing   confluent (magic 0, schema id, big endian) | none; default: confluent for avro, none
 *             otherwise
 *
 *   columns   with a schema, names of the top-level columns that are wanted, comma-separated (all
 *             by default); without one, column definitions as in evs_schema_columns()
 *
 *   schema, schema.file, subject   where the schema is when the call gives none
 */
#ifndef EVSTREAM_CODEC_H
#define EVSTREAM_CODEC_H

#include "evstream/schema.h"

typedef struct evs_header {
    const char *name;
    const void *value; /* NULL: a null header */
    size_t value_len;
} evs_header;

/**
 * One event as it came from a source: a frozen view, *borrowed until* the source's release (or the
 * call's return). `value` NULL is a null payload (tombstone), which is not the same as an empty
 * one.
 */
typedef struct evs_input {
    const void *value;
    const void *key;    /* NULL: no key */
    const void *handle; /* of the source, for evs_source_functions.headers */
    int64_t offset;     /* -1: none */
    int64_t timestamp;  /* ms; EVS_TIME_NONE: none */
    uint32_t value_len;
    uint32_t key_len;
    int32_t partition; /* index within the source, from 0 */
    uint32_t topic;    /* index into the source's topics */
} evs_input;

typedef struct evs_decoder evs_decoder;
typedef struct evs_encoder evs_encoder;

/** A record that could not be decoded: its index in the call, why. The message is *borrowed until*
 * return. */
typedef void (*evs_decode_failed_fn)(size_t index,
                                     evs_status status,
                                     const char *message,
                                     void *user_data);

EVS_BEGIN_DECLS

/**
 * Compile a decoder.
 *
 * @param schema what the events conform to; *new reference* kept. NULL: as the options say; with
 * framing=confluent and none there, the first event's writer's schema, looked up by id
 * @returns EVS_OK with a *new reference*; EVS_ERR_INVALID; EVS_ERR_CONFIG; EVS_ERR_SCHEMA;
 * EVS_ERR_NOT_FOUND (a wanted column; the message lists those that exist); EVS_ERR_NOMEM
 * @threads any
 * @since 0.1
 */
EVS_API evs_status evs_decoder_new(evs_context *context,
                                   evs_schema *schema,
                                   const evs_options *options,
                                   evs_decoder **ret_decoder,
                                   evs_error **reterr);
/** Release; NULL is allowed. @returns NULL @threads one at a time @since 0.1 */
EVS_API evs_decoder *evs_decoder_unref(evs_decoder *decoder);
/** STRUCT type of the rows it makes, *borrowed until* the decoder is released; NULL while no schema
 * is known. @threads any @since 0.1 */
EVS_API const evs_type *evs_decoder_type(const evs_decoder *decoder);
/**
 * Decode `count` events into a batch, in order; those that cannot be decoded are told to `failed`
 * and leave no row; a null value is one of them. Strings of the batch are views into the inputs, or
 * into memory of the decoder where the bytes do not allow it: the batch is *borrowed until* the
 * inputs go away or the decoder is released, evs_batch_keep() makes it independent.
 *
 * With framing=confluent the schema of each event's id decodes it: columns are matched by name and
 * type, those that the writer's schema lacks are NULL where they may be.
 *
 * @param ret_batch receives a *new reference*; the decoder reuses its memory once the host has
 * released the batch
 * @returns EVS_OK (also when some failed); EVS_ERR_INVALID (count above EVS_BATCH_ROWS_MAX);
 * EVS_ERR_NOT_FOUND (no schema was given, and none of the events has a known one); EVS_AGAIN,
 * EVS_ERR_UNAVAILABLE (the registry cannot tell now: call again with the same events);
 * EVS_ERR_NOMEM
 * @threads one at a time
 * @callback `failed`, in this call
 * @since 0.1
 */
EVS_API evs_status evs_decoder_decode(evs_decoder *decoder,
                                      const evs_input *inputs,
                                      size_t count,
                                      evs_decode_failed_fn failed,
                                      void *user_data,
                                      evs_batch **ret_batch,
                                      evs_error **reterr);

/** Whether one event's bytes conform (whole value, no trailing bytes). @returns EVS_OK;
 * EVS_ERR_DECODE, EVS_ERR_SCHEMA (origin: field path) @threads one at a time @since 0.1 */
EVS_API evs_status evs_schema_validate(evs_schema *schema,
                                       const void *data,
                                       size_t len,
                                       evs_error **reterr);

/**
 * Size of the one value at the front of `data`, for forms that put values one after another without
 * a length (Avro container files). The structure is followed, contents are not checked.
 *
 * @param schema an Avro schema
 * @param ret_size receives at most `len`
 * @returns EVS_OK; EVS_ERR_DECODE (cut short, or no value of the schema); EVS_ERR_UNSUPPORTED (not
 * an Avro schema); EVS_ERR_INVALID
 * @threads any
 * @since 0.1
 */
EVS_API evs_status evs_schema_value_size(
    evs_schema *schema, const void *data, size_t len, size_t *ret_size, evs_error **reterr);

/**
 * Compile an encoder from rows of `type` to the schema's form: fields are matched by name.
 *
 * @param schema NULL: made from `type` (evs_schema_of_type())
 * @returns EVS_OK with a *new reference*; EVS_ERR_INVALID; EVS_ERR_CONFIG; EVS_ERR_SCHEMA (a
 * required field is missing, a type does not fit); EVS_ERR_NOMEM
 * @threads any
 * @since 0.1
 */
EVS_API evs_status evs_encoder_new(evs_context *context,
                                   const evs_type *type,
                                   evs_schema *schema,
                                   const evs_options *options,
                                   evs_encoder **ret_encoder,
                                   evs_error **reterr);
/** Release; NULL is allowed. @returns NULL @threads one at a time @since 0.1 */
EVS_API evs_encoder *evs_encoder_unref(evs_encoder *encoder);
/** The schema it writes, *borrowed until* the encoder is released. @threads any @since 0.1 */
EVS_API evs_schema *evs_encoder_schema(const evs_encoder *encoder);
/**
 * Encode one row.
 *
 * @param row physical row of the batch
 * @param ret_bytes *borrowed until* the next call on the encoder; NUL-terminated for text formats
 * (not counted)
 * @returns EVS_OK; EVS_ERR_ENCODE, EVS_ERR_SCHEMA (origin: field path); EVS_ERR_LIMIT;
 * EVS_ERR_NOMEM
 * @threads one at a time
 * @since 0.1
 */
EVS_API evs_status evs_encoder_encode(evs_encoder *encoder,
                                      const evs_batch *batch,
                                      uint32_t row,
                                      evs_string_view *ret_bytes,
                                      evs_error **reterr);
/** As evs_encoder_encode(), appended to a buffer of the encoder that evs_encoder_take() empties;
 * for writers of many rows. `separator` follows each row ("\n"). @threads one at a time @since 0.1
 */
EVS_API evs_status evs_encoder_append(evs_encoder *encoder,
                                      const evs_batch *batch,
                                      uint32_t row,
                                      const char *separator,
                                      evs_error **reterr);
/** What evs_encoder_append() gathered, *borrowed until* the next call on the encoder; the next
 * append starts anew. @threads one at a time @since 0.1 */
EVS_API evs_string_view evs_encoder_take(evs_encoder *encoder);

EVS_END_DECLS

#endif
