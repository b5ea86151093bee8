/*
 * codec/frame.h: what codec.c, decoder.c and encoder.c share: checked options and the scratch
 * memory. Formats include codec.h only.
 */
#ifndef EVS_CODEC_FRAME_H
#define EVS_CODEC_FRAME_H

#include "base/config.h"
#include "codec/codec.h"

#define EVS__CONFLUENT_HEADER 5 /* magic 0, schema id (4 bytes, big endian) */

/* Options of one decoder or encoder, checked. Texts belong to `config`. */
typedef struct evs__codec_setup {
    evs_config *config;
    const evs__format *format;
    evs__codec_options options;
    bool confluent;
    const char *columns; /* NULL: not set */
    const char *subject;
    const char *topic; /* the connector's, for the default subject */
    const char *name;
} evs__codec_setup;

/*
 * `what`: "decoder", "encoder". Keys that are no codec options are passed over: connectors hand in
 * theirs too. Format and framing depend on the schema, which may be among the options itself:
 * evs__codec_setup_resolve() sets them when it is known (NULL: none is).
 */
evs_status evs__codec_setup_init(evs__codec_setup *s,
                                 evs_context *ctx,
                                 const char *what,
                                 const evs_options *options,
                                 evs_error **reterr);
evs_status evs__codec_setup_resolve(evs__codec_setup *s,
                                    evs_context *ctx,
                                    const char *what,
                                    const evs_schema *schema,
                                    evs_error **reterr);
void evs__codec_setup_free(evs__codec_setup *s);

/* the schema that the options hold (`schema`, `schema.file`, `columns`), NULL when none */
evs_status evs__codec_schema_given(evs_context *ctx,
                                   const evs_config *config,
                                   evs_schema **ret,
                                   evs_error **reterr);
/* the same, else the registry's latest of `subject`, else of "TOPIC-value" (`topic` may be NULL),
 * which need not be there */
evs_status evs__codec_schema_of(evs_context *ctx,
                                const evs_config *config,
                                const char *topic,
                                evs_schema **ret,
                                evs_error **reterr);

/* the format of an id, or NULL */
const evs__format *evs__format_find(evs_format id);

struct evs__scratch {
    evs_context *ctx;
    struct evs__scratch_chunk *chunks; /* newest first */
};
void evs__scratch_init(evs__scratch *s, evs_context *ctx);
/* all bytes are free again; the largest chunk is kept */
void evs__scratch_reset(evs__scratch *s);
void evs__scratch_free(evs__scratch *s);

/*
 * A decoder over a schema that it does not reference, without framing, that checks what it skips:
 * evs_schema_validate() hangs it on the schema.
 */
evs_status evs__decoder_new_validator(evs_schema *schema, evs_decoder **ret, evs_error **reterr);

#endif
