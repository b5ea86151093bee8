/*
 * evstream/type.h: the types of columns. A type is immutable, shared by reference and printed as
 * text: `BIGINT`, `DECIMAL(9,2) NOT NULL`, `ARRAY<STRUCT<sku VARCHAR, quantity INT>>`,
 * `MAP<BIGINT>` (keys are VARCHAR).
 *
 * | type      | value in a column (Arrow layout)          |
 * |-----------|-------------------------------------------|
 * | BOOLEAN   | one bit, least significant first          |
 * | INT       | int32                                     |
 * | BIGINT    | int64                                     |
 * | DOUBLE    | double                                    |
 * | DECIMAL   | 128-bit two's complement, little endian: unscaled value; precision 1..38, scale
 * 0..precision | | VARCHAR   | UTF-8                                     | | BYTES     | bytes | |
 * TIMESTAMP | int64 milliseconds since the epoch, UTC   | | DATE      | int32 days since the epoch
 * | | TIME      | int32 milliseconds since midnight         | | ARRAY     | int32 offsets and one
 * child               | | MAP       | int32 offsets and one STRUCT child (key VARCHAR NOT NULL,
 * value) | | STRUCT    | a child per field                         |
 */
#ifndef EVSTREAM_TYPE_H
#define EVSTREAM_TYPE_H

#include "evstream/context.h"

typedef enum evs_type_id {
    EVS_TYPE_BOOLEAN = 1,
    EVS_TYPE_INT = 2,
    EVS_TYPE_BIGINT = 3,
    EVS_TYPE_DOUBLE = 4,
    EVS_TYPE_DECIMAL = 5,
    EVS_TYPE_VARCHAR = 6,
    EVS_TYPE_BYTES = 7,
    EVS_TYPE_TIMESTAMP = 8,
    EVS_TYPE_DATE = 9,
    EVS_TYPE_TIME = 10,
    EVS_TYPE_ARRAY = 11,
    EVS_TYPE_MAP = 12,
    EVS_TYPE_STRUCT = 13
} evs_type_id;

typedef struct evs_type evs_type;

EVS_BEGIN_DECLS

/**
 * Parse a type's text, as evs_type_print() writes it; words are not case-sensitive, field names
 * are.
 *
 * @param ret_type receives a *new reference*
 * @returns EVS_OK; EVS_ERR_INVALID; EVS_ERR_SCHEMA (with the column of the fault as origin);
 * EVS_ERR_NOMEM
 * @threads any
 * @since 0.1
 */
EVS_API evs_status evs_type_parse(evs_context *context,
                                  const char *text,
                                  evs_type **ret_type,
                                  evs_error **reterr);

/** One more reference; returns `type`. @threads any @since 0.1 */
EVS_API evs_type *evs_type_ref(const evs_type *type);
/** One reference less; NULL is allowed. @returns NULL @threads any @since 0.1 */
EVS_API evs_type *evs_type_unref(const evs_type *type);

/** Which type; 0 for NULL. @threads any @since 0.1 */
EVS_API evs_type_id evs_type_get_id(const evs_type *type);
/** Whether NULL is a value of it. @threads any @since 0.1 */
EVS_API bool evs_type_is_nullable(const evs_type *type);
/** DECIMAL: digits in all; otherwise 0. @threads any @since 0.1 */
EVS_API int32_t evs_type_precision(const evs_type *type);
/** DECIMAL: digits after the point; otherwise 0. @threads any @since 0.1 */
EVS_API int32_t evs_type_scale(const evs_type *type);
/** STRUCT: number of fields; ARRAY: 1 (element); MAP: 2 (key, value); otherwise 0. @threads any
 * @since 0.1 */
EVS_API size_t evs_type_child_count(const evs_type *type);
/** A child type, *borrowed until* `type` is released; NULL when out of range. @threads any @since
 * 0.1 */
EVS_API const evs_type *evs_type_child(const evs_type *type, size_t index);
/** STRUCT: a field's name, *borrowed until* `type` is released; otherwise NULL. @threads any @since
 * 0.1 */
EVS_API const char *evs_type_field_name(const evs_type *type, size_t index);
/** STRUCT: index of a field (case-sensitive), or -1. @threads any @since 0.1 */
EVS_API int32_t evs_type_field_index(const evs_type *type, const char *name, size_t name_len);
/** The text, *borrowed until* `type` is released; "" for NULL. @threads any @since 0.1 */
EVS_API const char *evs_type_print(const evs_type *type);
/** Same shape, names and nullability. @threads any @since 0.1 */
EVS_API bool evs_type_equal(const evs_type *a, const evs_type *b);

EVS_END_DECLS

#endif
