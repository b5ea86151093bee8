/*
 * codec/record.h: one event built field by field (evs_record_* of evstream/producer.h) or taken
 * from a C struct (evs_field_binding), as a batch of one row that any encoder writes.
 */
#ifndef EVS_CODEC_RECORD_H
#define EVS_CODEC_RECORD_H

#include "codec/codec.h"
#include "evstream/producer.h"

/* A builder for rows of the schema; keeps a reference to it. Free it with evs__record_free(), not
 * the records that evs_record_struct() and evs_record_append() give. */
evs_status
evs__record_new(evs_context *ctx, evs_schema *schema, evs_record **ret, evs_error **reterr);
evs_record *evs__record_free(evs_record *record);
/* empty, without an error; memory is kept */
void evs__record_reset(evs_record *record);
/*
 * The record as a batch of one row, *borrowed until* the next reset, finish or free. The first
 * fault of the setters, or a field that is required, has no default and was not set: EVS_ERR_SCHEMA
 * and the like, origin = field path. A field that was not set is its default, else NULL where it
 * may be; an ARRAY or MAP that may not is empty. The record stays as it is.
 */
evs_status evs__record_finish(evs_record *record, evs_batch **ret, evs_error **reterr);
/* whether a top-level field has to be set */
bool evs__record_requires(const evs_record *record, int32_t field);

typedef struct evs__binding evs__binding;
/* EVS_ERR_SCHEMA: no such field, kind or size do not fit, a required field is not bound;
 * EVS_ERR_INVALID; EVS_ERR_NOMEM */
evs_status evs__binding_new(evs_context *ctx,
                            evs_schema *schema,
                            const evs_field_binding *bindings,
                            size_t count,
                            evs__binding **ret,
                            evs_error **reterr);
void evs__binding_free(evs__binding *binding);
/* the struct as a batch of one row, *borrowed until* the next call or free */
evs_status
evs__binding_row(evs__binding *binding, const void *object, evs_batch **ret, evs_error **reterr);

#endif
