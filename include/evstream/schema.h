/*
 * evstream/schema.h: the contract of a stream's events: a row type (columns) and, for Avro, the
 * wire form that belongs to it.
 *
 *     evs_schema_columns(ctx, "user_id VARCHAR NOT NULL, total DOUBLE '$.order.total', at
 * TIMESTAMP", ...) evs_schema_parse(ctx, EVS_FORMAT_AVRO, text, len, ...) evs_schema_load(ctx,
 * EVS_FORMAT_AVRO, "purchase.avsc", ...)
 */
#ifndef EVSTREAM_SCHEMA_H
#define EVSTREAM_SCHEMA_H

#include "evstream/batch.h"
#include "evstream/options.h"

typedef enum evs_format {
    EVS_FORMAT_NONE = 0, /* columns only: evs_schema_columns() */
    EVS_FORMAT_JSON = 1,
    EVS_FORMAT_AVRO = 2,
    EVS_FORMAT_DELIMITED = 3 /* CSV */
} evs_format;

typedef struct evs_schema evs_schema;

EVS_BEGIN_DECLS

/**
 * A schema from column definitions: `name TYPE [NOT NULL] ['$.json.path'], ...`. Names are
 * case-sensitive, words like `timestamp` need no quotes; other names stand in double quotes. The
 * path defaults to `$.name`.
 *
 * @param ret_schema receives a *new reference*
 * @returns EVS_OK; EVS_ERR_INVALID; EVS_ERR_SCHEMA (origin: column of the text); EVS_ERR_NOMEM
 * @threads any
 * @since 0.1
 */
EVS_API evs_status evs_schema_columns(evs_context *context,
                                      const char *columns,
                                      evs_schema **ret_schema,
                                      evs_error **reterr);

/**
 * Parse schema text. EVS_FORMAT_AVRO: a schema (.avsc) whose root is a record (specification 1.11);
 * a `logicalType` that stands beside `type` instead of inside it is ignored as the specification
 * says, and leaves a warning. EVS_FORMAT_NONE, EVS_FORMAT_JSON: column definitions as in
 * evs_schema_columns().
 *
 * @returns EVS_OK with a *new reference*; EVS_ERR_INVALID; EVS_ERR_SCHEMA (origin: "line:column" or
 * the path of the node); EVS_ERR_UNSUPPORTED; EVS_ERR_NOMEM
 * @threads any
 * @since 0.1
 */
EVS_API evs_status evs_schema_parse(evs_context *context,
                                    evs_format format,
                                    const char *text,
                                    size_t len,
                                    evs_schema **ret_schema,
                                    evs_error **reterr);

/** As evs_schema_parse(), from a file. @returns also EVS_ERR_NOT_FOUND, EVS_ERR_IO @threads any
 * @blocks on the file @since 0.1 */
EVS_API evs_status evs_schema_load(evs_context *context,
                                   evs_format format,
                                   const char *path,
                                   evs_schema **ret_schema,
                                   evs_error **reterr);

/** One more reference; returns `schema`. @threads any @since 0.1 */
EVS_API evs_schema *evs_schema_ref(evs_schema *schema);
/** One reference less; NULL is allowed. @returns NULL @threads any @since 0.1 */
EVS_API evs_schema *evs_schema_unref(evs_schema *schema);
/** Where it came from. @threads any @since 0.1 */
EVS_API evs_format evs_schema_format(const evs_schema *schema);
/** The STRUCT type of its rows, *borrowed until* the schema is released. @threads any @since 0.1 */
EVS_API const evs_type *evs_schema_type(const evs_schema *schema);
/**
 * Whether events of both are the same bytes: the same columns, and for Avro the same form on the
 * wire (names, order of fields and branches, logical types). Defaults, aliases and docs do not
 * count.
 *
 * @threads any
 * @since 0.1
 */
EVS_API bool evs_schema_equal(const evs_schema *a, const evs_schema *b);
/** Index of a top-level field, or -1. @threads any @since 0.1 */
EVS_API int32_t evs_schema_field(const evs_schema *schema, const char *name);
/** The text it was parsed from, *borrowed until* the schema is released. @threads any @since 0.1 */
EVS_API const char *evs_schema_text(const evs_schema *schema);
/** Warnings of the parser, one a line; "" when there are none; *borrowed until* the schema is
 * released. @threads any @since 0.1 */
EVS_API const char *evs_schema_warnings(const evs_schema *schema);
/**
 * A schema in `format` for rows of `type`: Avro record text for EVS_FORMAT_AVRO (name from `name`),
 * columns otherwise.
 *
 * @returns EVS_OK with a *new reference*; EVS_ERR_INVALID; EVS_ERR_UNSUPPORTED (a type the format
 * cannot hold); EVS_ERR_NOMEM
 * @threads any
 * @since 0.1
 */
EVS_API evs_status evs_schema_of_type(evs_context *context,
                                      evs_format format,
                                      const char *name,
                                      const evs_type *type,
                                      evs_schema **ret_schema,
                                      evs_error **reterr);

/*
 * Registry: subject and id to schema, in memory. The client of an HTTP registry is another
 * implementation of the same thing. A context has one (evs_context_registry());
 * `schema.registry.url=memory:` (the default) names it.
 */

/**
 * Register a schema under a subject ("page_views-value"); the same text gets the same id.
 *
 * @returns EVS_OK; EVS_ERR_INVALID; EVS_ERR_NOMEM
 * @threads any
 * @since 0.1
 */
EVS_API evs_status evs_registry_register(evs_context *context,
                                         const char *subject,
                                         evs_schema *schema,
                                         int32_t *ret_id,
                                         evs_error **reterr);
/** Give a schema an id of the host's choice. @returns EVS_OK; EVS_ERR_STATE (the id has another
 * schema); EVS_ERR_INVALID; EVS_ERR_NOMEM @threads any @since 0.1 */
EVS_API evs_status evs_registry_put(
    evs_context *context, const char *subject, int32_t id, evs_schema *schema, evs_error **reterr);
/** Schema of an id, a *new reference*. @returns EVS_OK; EVS_ERR_NOT_FOUND @threads any @since 0.1
 */
EVS_API evs_status evs_registry_get(evs_context *context,
                                    int32_t id,
                                    evs_schema **ret_schema,
                                    evs_error **reterr);
/** Latest schema of a subject, a *new reference*. @returns EVS_OK; EVS_ERR_NOT_FOUND @threads any
 * @since 0.1 */
EVS_API evs_status evs_registry_latest(evs_context *context,
                                       const char *subject,
                                       int32_t *ret_id,
                                       evs_schema **ret_schema,
                                       evs_error **reterr);

EVS_END_DECLS

#endif
