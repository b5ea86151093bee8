/*
 * schema/schema.h: inside of evs_schema: the row type (STRUCT of columns) and, for Avro, the wire
 * tree it was derived from.
 *
 * Avro to column types: boolean BOOLEAN, int INT, long BIGINT, float and double DOUBLE, bytes
 * BYTES, string VARCHAR, enum VARCHAR, fixed BYTES, array ARRAY, map MAP, record STRUCT, [null, X]
 * nullable X; other unions: STRUCT of one nullable field per branch, named by the branch's type
 * (the last part of a named one's, or all of it where two would be the same); null VARCHAR; decimal
 * DECIMAL (BYTES beyond 38 digits), date DATE, time-* TIME (ms), timestamp-* and local-timestamp-*
 * TIMESTAMP (ms), uuid VARCHAR, duration BYTES.
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

/* nodes that may nest in each other, and bytes that the defaults of one record may take */
#define EVS__AVRO_DEPTH_MAX 64
#define EVS__AVRO_DEFAULT_MAX (1u << 20)

typedef struct evs__avro_tree evs__avro_tree;

struct evs_schema {
    atomic_int refs;
    evs_context *ctx; /* held, not referenced: the context's registry owns schemas */
    evs_format format;
    const evs_type *type; /* STRUCT */
    char *text;
    char *warnings;
    char **paths;               /* per column: JSON path as given ("$.order.total"), or NULL */
    evs__avro_node *avro;       /* root record, EVS_FORMAT_AVRO only */
    evs__avro_tree *avro_owner; /* of the nodes */
    atomic_intptr_t validator;  /* lazily compiled codec of evs_schema_validate; owned by codec
                                   through validator_free */
    void (*validator_free)(void *validator);
};

/*
 * A parsed Avro schema of any root. The nodes live in an arena of the tree and may point at
 * enclosing ones; defaults point into `document`.
 */
evs_status evs__avro_parse(evs_context *ctx,
                           const char *text,
                           size_t len,
                           evs__buffer *warnings,
                           evs__avro_tree **ret,
                           evs_error **reterr);
evs__avro_node *evs__avro_root(evs__avro_tree *tree);
void evs__avro_tree_free(evs__avro_tree *tree);

/*
 * Column type of an Avro node; *ret gets a new reference. A record field whose type holds an
 * enclosing record again (a list node, a tree) has no finite type: it is left out of its STRUCT,
 * decoders skip it, encoders write its default, and `warnings` (may be NULL) gets a line.
 * EVS_ERR_UNSUPPORTED: a union without a branch, a recursive node that no field holds;
 * EVS_ERR_LIMIT: more columns or levels than a type may have.
 */
evs_status evs__avro_type(evs_context *ctx,
                          const evs__avro_node *node,
                          evs__buffer *warnings,
                          const evs_type **ret,
                          evs_error **reterr);

/*
 * A union as columns see it: index of its null branch (-1: none), the one other branch (NULL: it
 * has none or several), and the name of the STRUCT field of branch `i`.
 */
int32_t evs__avro_union_null(const evs__avro_node *node);
const evs__avro_node *evs__avro_union_single(const evs__avro_node *node);
const char *evs__avro_branch_name(const evs__avro_node *node, size_t i);
/* "int", "record" */
const char *evs__avro_kind_name(evs__avro_kind kind);

/*
 * A JSON default as the bytes of `node`. EVS_ERR_SCHEMA with what is wrong in `why` (a union takes
 * its first branch), EVS_ERR_LIMIT, EVS_ERR_NOMEM.
 */
evs_status evs__avro_default_write(
    const evs__avro_node *node, const void *json, evs__buffer *out, char *why, size_t why_size);

/* Avro record text for rows of `type`, see evs_schema_of_type() */
evs_status evs__avro_text_of_type(
    evs_context *ctx, const char *name, const evs_type *type, evs__buffer *out, evs_error **reterr);

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
