/*
 * codec/avro_plan.h: how an encoder writes rows: a tree that follows the schema, each node with the
 * column that feeds it. Made by avro_plan.c, walked by avro_encode.c.
 */
#ifndef EVS_CODEC_AVRO_PLAN_H
#define EVS_CODEC_AVRO_PLAN_H

#include "codec/avro.h"

typedef enum evs__avro_put {
    EVS__PUT_DEFAULT, /* bytes: no column */
    EVS__PUT_NULL,    /* only NULL may be there */
    EVS__PUT_BOOLEAN,
    EVS__PUT_INT,        /* 32 bits */
    EVS__PUT_LONG,       /* 64 bits */
    EVS__PUT_LONG_INT,   /* 64 bits that must fit into 32 */
    EVS__PUT_FACTOR,     /* 64 bits times factor */
    EVS__PUT_INT_FACTOR, /* 32 bits times factor */
    EVS__PUT_DOUBLE,     /* from DOUBLE */
    EVS__PUT_FLOAT,
    EVS__PUT_INT_DOUBLE, /* from INT */
    EVS__PUT_INT_FLOAT,
    EVS__PUT_LONG_DOUBLE, /* from BIGINT */
    EVS__PUT_TEXT,
    EVS__PUT_FIXED,
    EVS__PUT_ENUM,
    EVS__PUT_UUID,
    EVS__PUT_DECIMAL_BYTES, /* times 10^factor */
    EVS__PUT_DECIMAL_FIXED,
    EVS__PUT_RECORD,
    EVS__PUT_ARRAY,
    EVS__PUT_MAP,
    EVS__PUT_UNION /* a STRUCT of branches */
} evs__avro_put;

typedef struct evs__avro_plan evs__avro_plan;
struct evs__avro_plan {
    evs__avro_put put;
    int32_t null_branch; /* index that stands for NULL; -1: NULL is not allowed */
    int32_t branch;      /* index before the value; -1: not in a union */
    uint32_t column;     /* within the parent */
    int64_t factor;
    const char *name; /* of the record's field */
    const evs__avro_node *node;
    evs__avro_plan *children; /* record: its fields; union: its branches; array, map: the element */
    size_t child_count;
    char *bytes; /* default */
    size_t bytes_len;
};

/* fill *ret for rows of `type` (STRUCT); on failure nothing is to be freed */
evs_status evs__avro_plan_make(evs_context *ctx,
                               const evs__avro_node *record,
                               const evs_type *type,
                               evs__avro_plan *ret,
                               evs_error **reterr);
void evs__avro_plan_free(evs_context *ctx, evs__avro_plan *plan);

#endif
