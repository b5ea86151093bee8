/*
 * tests/support/avro_oracle.h: values of avro-c held against rows of ours.
 */
#ifndef EVS_AVRO_ORACLE_H
#define EVS_AVRO_ORACLE_H

#include <avro.h>

#include "schema/schema.h"

/*
 * Whether row `row` of the column holds what the value does; `node` is the schema that both were
 * read by. `why` gets the path and both sides when it does not.
 */
bool evs_test_avro_equal(avro_value_t *value,
                         const evs__avro_node *node,
                         const evs__column *column,
                         uint32_t row,
                         char *why,
                         size_t why_size);
/* the same for a record and all columns of a batch; fields that are no column are passed over */
bool evs_test_avro_row_equal(avro_value_t *record,
                             const evs__avro_node *node,
                             const evs_batch *batch,
                             uint32_t row,
                             char *why,
                             size_t why_size);

#endif
