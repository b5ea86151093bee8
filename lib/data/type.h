/*
 * data/type.h: inside of evs_type: an immutable, reference-counted tree. Operators compare pointers
 * first, then evs_type_equal().
 */
#ifndef EVS_DATA_TYPE_H
#define EVS_DATA_TYPE_H

#include "base/buffer.h"
#include "evstream/type.h"

#define EVS__TYPE_DEPTH_MAX 64
#define EVS__TYPE_FIELDS_MAX 4096

typedef struct evs__field {
    const char *name; /* STRUCT fields; "element" of ARRAY; "key", "value" inside MAP's STRUCT */
    const evs_type *type;
} evs__field;

struct evs_type {
    atomic_int refs;
    evs_context *ctx;
    evs_type_id id;
    bool nullable;
    int32_t precision, scale;
    uint32_t child_count; /* STRUCT: fields; ARRAY: 1; MAP: 1 (the entry STRUCT: key, value) */
    evs__field *children; /* names owned */
    char *text;           /* evs_type_print() */
};

/* constructors: *ret gets a new reference; children are referenced, names copied */
evs_status evs__type_simple(evs_context *ctx, evs_type_id id, bool nullable, const evs_type **ret);
evs_status evs__type_decimal(
    evs_context *ctx, int32_t precision, int32_t scale, bool nullable, const evs_type **ret);
evs_status
evs__type_array(evs_context *ctx, const evs_type *element, bool nullable, const evs_type **ret);
evs_status
evs__type_map(evs_context *ctx, const evs_type *value, bool nullable, const evs_type **ret);
evs_status evs__type_struct(evs_context *ctx,
                            const evs__field *fields,
                            size_t count,
                            bool nullable,
                            const evs_type **ret); /* duplicate names: EVS_ERR_SCHEMA */
/* same type, other nullability; a new reference */
evs_status evs__type_with_nullable(const evs_type *type, bool nullable, const evs_type **ret);
/* same shape whatever the nullability at any level */
bool evs__type_same_shape(const evs_type *a, const evs_type *b);
/* bytes per value of fixed-width types (BOOLEAN: 0 = bits); -1 for the others */
int32_t evs__type_width(evs_type_id id);
static inline bool evs__type_is_string(evs_type_id id)
{
    return id == EVS_TYPE_VARCHAR || id == EVS_TYPE_BYTES;
}
/*
 * "name TYPE [NOT NULL] ['path'], ..." -> STRUCT; paths (NULL where none) and their array are
 * allocated, released by the caller. Used by evs_type_parse, evs_schema_columns, evs_apply.
 * EVS_ERR_SCHEMA with origin "column N".
 */
evs_status evs__columns_parse(evs_context *ctx,
                              const char *text,
                              const evs_type **ret_struct,
                              char ***ret_paths,
                              evs_error **reterr);
/* message tail for "no such field": `fields are "a", "b", ...` (cut after some) */
void evs__type_list_fields(const evs_type *type, evs__buffer *out);

#endif
