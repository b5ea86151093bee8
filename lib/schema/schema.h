/*
 * schema/schema.h: inside of evs_schema: the row type (STRUCT of columns) and, for Avro, the wire
 * tree it was derived from.
 *
 * Avro to column types: boolean BOOLEAN, int INT, long BIGINT, float and double DOUBLE, bytes
 * BYTES, string VARCHAR, enum VARCHAR, fixed BYTES, array ARRAY, map MAP, record STRUCT, [null, X]
 * nullable X; other unions: STRUCT of one nullable field per branch, named by the branch's type;
 * decimal DECIMAL, date DATE, time-* TIME (ms), timestamp-* and local-timestamp-* TIMESTAMP (ms),
 * uuid VARCHAR.
 */
#ifndef EVS_SCHEMA_SCHEMA_H
#define EVS_SCHEMA_SCHEMA_H

#include "data/batch.h"
#include "evstream/schema.h"

typedef enum evs__avro_kind {
    EVS__AVRO_NULL,
    EVS__AVRO_BOOLEAN,
    EVS__AVRO_INT,
    EVS__AVRO_LONG,
    EVS__AVRO_FLOAT,
    EVS__AVRO_DOUBLE,
    EVS__AVRO_BYTES,
    EVS__AVRO_STRING,
    EVS__AVRO_RECORD,
    EVS__AVRO_ENUM,
    EVS__AVRO_ARRAY,
    EVS__AVRO_MAP,
    EVS__AVRO_UNION,
    EVS__AVRO_FIXED
} evs__avro_kind;

typedef enum evs__avro_logical {
    EVS__LOGICAL_NONE,
    EVS__LOGICAL_DECIMAL,
    EVS__LOGICAL_UUID,
    EVS__LOGICAL_DATE,
    EVS__LOGICAL_TIME_MILLIS,
    EVS__LOGICAL_TIME_MICROS,
    EVS__LOGICAL_TIMESTAMP_MILLIS,
    EVS__LOGICAL_TIMESTAMP_MICROS,
    EVS__LOGICAL_TIMESTAMP_NANOS,
    EVS__LOGICAL_LOCAL_TIMESTAMP_MILLIS,
    EVS__LOGICAL_LOCAL_TIMESTAMP_MICROS,
    EVS__LOGICAL_LOCAL_TIMESTAMP_NANOS,
    EVS__LOGICAL_DURATION
} evs__avro_logical;

typedef struct evs__avro_node evs__avro_node;
struct evs__avro_node {
    evs__avro_kind kind;
    evs__avro_logical logical;
    int32_t precision, scale, fixed_size;
    char *fullname;            /* record, enum, fixed */
    size_t child_count;        /* fields, branches, symbols; array, map: 1 */
    evs__avro_node **children; /* record fields, union branches, array items, map values; may point
                                  to an enclosing named node (recursive) */
    char **names;              /* record field names or enum symbols */
    bool *has_default;         /* record fields */
    void **defaults; /* record fields: json_t * (jansson), kept by the schema; NULL when has_default
                        is false */
    int32_t enum_default; /* symbol index or -1 */
};

struct evs_schema {
    atomic_int refs;
    evs_context *ctx;
    evs_format format;
    const evs_type *type; /* STRUCT */
    char *text;
    char *warnings;
    char **paths;              /* per column: JSON path as given ("$.order.total"), or NULL */
    evs__avro_node *avro;      /* root record, EVS_FORMAT_AVRO only */
    void *avro_owner;          /* arena of nodes; released with the schema */
    atomic_intptr_t validator; /* lazily compiled codec of evs_schema_validate; owned by codec
                                  through validator_free */
    void (*validator_free)(void *validator);
};

/* Recursive Avro types have no finite column type: EVS_ERR_UNSUPPORTED naming the path, unless the
 * recursive field is not wanted (see evs__schema_prune). */

/* column type of an Avro node; new reference */
evs_status evs__avro_type(evs_context *ctx,
                          const evs__avro_node *node,
                          const evs_type **ret,
                          evs_error **reterr);

/* registry interface; the in-memory one below, an HTTP client later */
typedef struct evs__registry evs__registry;
struct evs__registry {
    /* a new reference; EVS_AGAIN: being looked up, ask again; EVS_ERR_NOT_FOUND;
     * EVS_ERR_UNAVAILABLE */
    evs_status (*by_id)(evs__registry *r, int32_t id, evs_schema **ret, evs_error **reterr);
    evs_status (*latest)(evs__registry *r,
                         const char *subject,
                         int32_t *ret_id,
                         evs_schema **ret,
                         evs_error **reterr);
    evs_status (*register_schema)(evs__registry *r,
                                  const char *subject,
                                  evs_schema *schema,
                                  int32_t *ret_id,
                                  evs_error **reterr);
    void (*free)(evs__registry *r);
};
/* the context's in-memory registry, made on first use; borrowed until the context goes */
evs_status evs__registry_memory(evs_context *ctx, evs__registry **ret, evs_error **reterr);

#endif
