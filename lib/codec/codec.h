/*
 * codec/codec.h: the frame every format plugs into. A decoder turns inputs into rows of a batch, an
 * encoder rows into bytes.
 *
 * codec.c owns framing (Confluent magic and id, or none), the per-id cache of compiled decoders,
 * batch reuse, failure reports, and the public functions of evstream/codec.h; a format fills the
 * two small tables below. Adding a format: one file, one line in codec.c's table of formats.
 */
#ifndef EVS_CODEC_CODEC_H
#define EVS_CODEC_CODEC_H

#include "schema/schema.h"

struct evs__scratch;
struct evs__format;

/*
 * A run of inputs for decode_batch. Rows are appended to the columns in input order; origin[row]
 * tells which input a row came from.
 */
typedef struct evs__decode_run {
    const evs_input *inputs;
    size_t count;
    size_t at;             /* in: first input to decode; out: first one that was not decoded */
    const uint8_t *header; /* bytes before each value; the run ends before the first input that does
                              not start with them or has no value */
    uint32_t header_len;
    uint32_t row; /* in, out: rows of the columns */
    uint32_t *origin;
} evs__decode_run;

/* One compiled decoder of one writer schema. decode_row appends exactly one row to columns, or
 * leaves them as they were and fails. It borrows its schema: the frame keeps the reference. */
typedef struct evs__format_decoder evs__format_decoder;
struct evs__format_decoder {
    const struct evs__format *format;
    /*
     * `columns` match the wanted type (view layout for strings; formats that cannot give a view
     * append to `scratch`, which lives as long as the batch). On failure: EVS_ERR_DECODE /
     * EVS_ERR_SCHEMA / EVS_ERR_OVERFLOW / EVS_ERR_NOMEM with `message` filled (NUL-terminated).
     */
    evs_status (*decode_row)(evs__format_decoder *d,
                             const uint8_t *data,
                             size_t len,
                             evs__column **columns,
                             struct evs__scratch *scratch,
                             char *message,
                             size_t message_size);
    /*
     * Optional: decode inputs until the run ends (EVS_OK) or one fails: then `at` is its index, the
     * columns hold the rows before it, status and message are as of decode_row. Columns must have
     * room for all of the run's inputs.
     */
    evs_status (*decode_batch)(evs__format_decoder *d,
                               evs__decode_run *run,
                               evs__column **columns,
                               struct evs__scratch *scratch,
                               char *message,
                               size_t message_size);
    void (*free)(evs__format_decoder *d);
};

typedef struct evs__format_encoder evs__format_encoder;
struct evs__format_encoder {
    const struct evs__format *format;
    evs_status (*encode_row)(evs__format_encoder *e,
                             const evs_batch *batch,
                             uint32_t row,
                             evs__buffer *out,
                             evs_error **reterr);
    void (*free)(evs__format_encoder *e);
};

/* Options that a format may look at. */
typedef struct evs__codec_options {
    char delimiter;
    bool header;
    bool validate; /* check what is skipped as strictly as what is decoded */
} evs__codec_options;

typedef struct evs__format {
    const char *name;
    evs_format id;
    bool confluent_by_default;
    /*
     * `schema`: the writer's. `wanted`: STRUCT of the columns, in order; matched by name. Without a
     * registry it is a subset of schema->type's fields; a writer's schema of the registry may lack
     * some or have other types: EVS_ERR_SCHEMA when the two do not fit.
     */
    evs_status (*new_decoder)(evs_context *ctx,
                              evs_schema *schema,
                              const evs_type *wanted,
                              const evs__codec_options *o,
                              evs__format_decoder **ret,
                              evs_error **reterr);
    /* `type`: rows to come; `schema`: what to write (never NULL) */
    evs_status (*new_encoder)(evs_context *ctx,
                              const evs_type *type,
                              evs_schema *schema,
                              const evs__codec_options *o,
                              evs__format_encoder **ret,
                              evs_error **reterr);
} evs__format;

extern const evs__format evs__format_json, evs__format_avro, evs__format_delimited;

/* Bytes that must live as long as a batch and are not in the input (unescaped JSON strings, uuid
 * text): chunks, never moved. They belong to the decoder, which reuses them with the batch. */
typedef struct evs__scratch evs__scratch;
char *evs__scratch_alloc(evs__scratch *s, size_t len); /* NULL: no memory */
/* give back the tail of the last allocation */
void evs__scratch_shrink(evs__scratch *s, char *ptr, size_t used);

/* message of a failed row: "field "a.b": text", cut to fit; returns `status` */
evs_status evs__row_fail(char *message,
                         size_t message_size,
                         evs_status status,
                         const char *path,
                         const char *format,
                         ...) EVS_PRINTF(5, 6);

/* text formats: whether a value of a row's type is one of the schema's, by itself or widened; of
 * nested types only the kind is compared */
static inline bool evs__codec_fits(const evs_type *rows, const evs_type *schema)
{
    if (schema->id == EVS_TYPE_DECIMAL)
        return rows->id == EVS_TYPE_DECIMAL && rows->scale <= schema->scale &&
               rows->precision - rows->scale <= schema->precision - schema->scale;
    if (schema->id == EVS_TYPE_BIGINT)
        return rows->id == EVS_TYPE_BIGINT || rows->id == EVS_TYPE_INT;
    if (schema->id == EVS_TYPE_DOUBLE && (rows->id == EVS_TYPE_BIGINT || rows->id == EVS_TYPE_INT))
        return true;
    return rows->id == schema->id;
}

/*
 * Options table rows shared by everything that decodes or encodes (format, framing, columns,
 * schema, schema.file, schema.registry.url, subject, delimiter ...); connectors' tables are checked
 * together with it. Ends with name NULL.
 */
extern const evs_option_info evs__codec_option_table[];

/*
 * The schema that options describe: `schema` (text), `schema.file`, `columns` (definitions) or the
 * registry's latest of `subject`, else of "TOPIC-value" (`topic` may be NULL), which need not be
 * there. *ret is NULL when they describe none. Keys of other tables are passed over.
 */
evs_status evs__codec_schema(evs_context *ctx,
                             const evs_options *options,
                             const char *topic,
                             evs_schema **ret,
                             evs_error **reterr);

/* evs_decoder_new() for `wanted` columns (STRUCT, a subset by name of the schema's type) instead of
 * option `columns`; NULL: as evs_decoder_new() */
evs_status evs__decoder_new(evs_context *ctx,
                            evs_schema *schema,
                            const evs_type *wanted,
                            const evs_options *options,
                            evs_decoder **ret,
                            evs_error **reterr);

/* internal decode into a batch of the decoder's (see evs_decoder_decode); also sets batch->origin,
 * so that row r came from inputs[origin[r]] */
evs_status evs__decoder_run(evs_decoder *d,
                            const evs_input *inputs,
                            size_t count,
                            evs_decode_failed_fn failed,
                            void *user_data,
                            evs_batch **ret_batch,
                            evs_error **reterr);

/* columns of a JSON object as `columns` text, guessed from sample events, for the error when a
 * source has neither schema nor columns */
evs_status
evs__json_infer_columns(evs_context *ctx, const evs_input *samples, size_t count, evs__buffer *out);

#endif
