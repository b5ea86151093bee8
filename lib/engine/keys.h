/*
 * engine/keys.h: values of columns as byte keys of an interner, and back.
 *
 *   one string column          its bytes
 *   one column of <= 8 bytes   the value, 8 bytes
 *   no column                  the empty key
 *   anything else              each value after the other: a byte "not NULL", then the value:
 *                              fixed width | uint32 length, bytes | uint32 count, elements ...
 *
 * Two rows get the same bytes exactly when their values are equal: -0.0 is 0.0, every NaN is the
 * same. NULL of a single column is a key of its own.
 */
#ifndef EVS_ENGINE_KEYS_H
#define EVS_ENGINE_KEYS_H

#include "data/batch.h"
#include "engine/intern.h"

typedef enum evs__key_form {
    EVS__KEY_EMPTY,
    EVS__KEY_STRING,
    EVS__KEY_FIXED,
    EVS__KEY_ENCODED
} evs__key_form;

evs__key_form evs__key_form_of(const evs_type *const *types, uint32_t count);

/*
 * Probes of rows[0..n), n at most EVS__INTERN_BLOCK. `scratch` holds encoded bytes until the
 * look-up. EVS_ERR_NOMEM; EVS_ERR_LIMIT: a key of more than 2 GiB.
 */
evs_status evs__key_probes(evs__key_form form,
                           evs__column *const *columns,
                           uint32_t count,
                           const uint32_t *rows,
                           uint32_t n,
                           evs__buffer *scratch,
                           evs__intern_probe *probes);
/* append keys ids[0..n) to empty owned columns of the types they were made from */
evs_status evs__key_columns(evs__key_form form,
                            const evs__intern *keys,
                            const uint32_t *ids,
                            uint32_t n,
                            evs__column *const *columns,
                            uint32_t count);
/* Probe of bytes that came from outside (a snapshot); false when they are not a key of these types.
 * len may be EVS__INTERN_NULL_LEN. */
bool evs__key_check(evs__key_form form,
                    const evs_type *const *types,
                    uint32_t count,
                    const char *data,
                    uint32_t len,
                    evs__intern_probe *ret);

#endif
