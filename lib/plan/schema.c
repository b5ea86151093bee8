/*
 * plan/schema.c: the schema of a source's events: given as an object, described by options, or the
 * registry's for the topic; and the error when it is none of these.
 */
#include "codec/codec.h"
#include "plan/plan.h"

evs_status evs__plan_source_schema(evs_context *ctx,
                                   const evs_config *config,
                                   evs_schema *given,
                                   evs_schema **ret,
                                   evs_error **reterr)
{
    const char *topic = evs_config_string(config, "topic");

    if (given) {
        *ret = evs_schema_ref(given);
        return EVS_OK;
    }
    return evs__codec_schema(ctx, evs_config_options(config), topic, ret, reterr);
}

evs_status evs__plan_no_columns(evs_context *ctx,
                                const evs_config *config,
                                const evs_input *samples,
                                size_t count,
                                evs_error **reterr)
{
    const char *format = evs_config_string(config, "format");
    const char *topic = evs_config_string(config, "topic");
    evs__buffer columns;
    evs_status status;

    if (format && strcmp(format, "avro") == 0)
        return evs__fail(ctx, reterr, EVS_ERR_SCHEMA,
                         "no schema: set \"schema.file\" or \"schema\", or register subject "
                         "\"%s-value\"",
                         topic ? topic : "TOPIC");
    if ((format && strcmp(format, "json") != 0) || !count)
        return evs__fail(ctx, reterr, EVS_ERR_SCHEMA,
                         "the columns are not known: set \"columns\" or a schema");
    evs__buffer_init(&columns, ctx, 1 << 20);
    status = evs__json_infer_columns(ctx, samples, count, &columns);
    if (!status && evs__buffer_cstr(&columns))
        status = evs__fail(ctx, reterr, EVS_ERR_SCHEMA,
                           "the columns are not known: set \"columns\" or a schema; the first %zu "
                           "events have columns = %s",
                           count, columns.data);
    else if (status == EVS_ERR_NOMEM || columns.status == EVS_ERR_NOMEM)
        status = evs__nomem(reterr);
    else
        status =
            evs__fail(ctx, reterr, EVS_ERR_SCHEMA,
                      "the columns are not known, and the first events are no JSON objects: set "
                      "\"columns\" or a schema");
    evs__buffer_free(&columns);
    return status;
}
