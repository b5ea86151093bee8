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
/* of the text: named types of a schema may share children, so that a small schema text could
 * describe a tree of any size */
#define EVS__TYPE_TEXT_MAX (1u << 20)

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
    uint32_t depth;       /* 1 without children */
    size_t text_len;
    char *text; /* evs_type_print(): canonical, so equal types are those of equal text */
};

/*
 * Constructors: *ret gets a new reference; children are referenced, names copied.
 * EVS_ERR_SCHEMA: precision or scale out of range, duplicate names; EVS_ERR_LIMIT: deeper than
 * EVS__TYPE_DEPTH_MAX, more fields or text than the bounds above; EVS_ERR_NOMEM.
 */
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
/* same layout: ids, precision, scale and children; names and nullability at any level may differ */
bool evs__type_same_shape(const evs_type *a, const evs_type *b);
/* bytes per value of fixed-width types (BOOLEAN: 0 = bits); -1 for the others */
int32_t evs__type_width(evs_type_id id);
static inline bool evs__type_is_string(evs_type_id id)
{
    return id == EVS_TYPE_VARCHAR || id == EVS_TYPE_BYTES;
}
/* "BIGINT" of an id; "" for what is none */
const char *evs__type_word(evs_type_id id);
/* a field's name as the parser reads it back: in double quotes where it has to be */
void evs__type_print_name(const char *name, evs__buffer *out);
/*
 * "name TYPE [NOT NULL] ['path'], ..." -> STRUCT NOT NULL; paths (one a field, NULL where none) are
 * released with evs__columns_free_paths(); ret_paths NULL: a path is a fault. Used by
 * evs_schema_columns, evs_apply. EVS_ERR_SCHEMA with origin "column N".
 */
evs_status evs__columns_parse(evs_context *ctx,
                              const char *text,
                              const evs_type **ret_struct,
                              char ***ret_paths,
                              evs_error **reterr);
void evs__columns_free_paths(evs_context *ctx, char **paths, size_t count);
/* message tail for "no such field": `fields are "a", "b", ...` (cut after some) */
void evs__type_list_fields(const evs_type *type, evs__buffer *out);

#endif
