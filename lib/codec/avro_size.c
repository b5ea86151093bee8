/*
 * codec/avro_size.c: how many bytes the Avro value at the front of some bytes takes, for container
 * files, which put values one after another without a length.
 */
#include "codec/avro.h"

evs_status evs_schema_value_size(
    evs_schema *schema, const void *data, size_t len, size_t *ret_size, evs_error **reterr)
{
    const uint8_t *begin = data ? data : (const uint8_t *)"";
    evs__avro_failure f = {.fault = EVS__FAULT_NONE};
    const uint8_t *end;
    char text[160] = "";
    evs_status status;

    if (!schema || (!data && len) || !ret_size)
        return evs__fail(schema ? schema->ctx : NULL, reterr, EVS_ERR_INVALID,
                         "schema, data or ret_size is NULL");
    if (!schema->avro)
        return evs__fail(schema->ctx, reterr, EVS_ERR_UNSUPPORTED,
                         "only values of Avro schemas have a size of their own");
    end = evs__avro_skip(schema->avro, begin, begin + len, false, &f);
    if (!end) {
        status = evs__avro_fault_text(&f, "string", text, sizeof(text));
        return evs__fail(schema->ctx, reterr, status, "not a value of %s: %s",
                         schema->avro->fullname, text);
    }
    *ret_size = (size_t)(end - begin);
    return EVS_OK;
}
