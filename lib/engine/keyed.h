/*
 * engine/keyed.h: what operators with keys share: key expressions evaluated on a batch, rows that
 * cannot take part, and both kept apart until the batch is known to fit.
 *
 * A row is set aside once, with its first reason. Whom it is told to is decided when the batch has
 * been taken (evs__aside_tell), so a batch that is offered again is not told twice.
 */
#ifndef EVS_ENGINE_KEYED_H
#define EVS_ENGINE_KEYED_H

#include "engine/keys.h"
#include "engine/operator.h"

typedef struct evs__keyed {
    evs_context *ctx;
    evs__expr **exprs;
    const evs_type **types; /* of the expressions */
    evs__column **columns;  /* of the batch at hand */
    uint32_t count;
    evs__key_form form;
    bool refuses_null; /* a row with a NULL key is set aside */
    evs__buffer bytes; /* scratch of look-ups */
} evs__keyed;

typedef struct evs__aside_row {
    uint32_t row;
    evs_status status;
    const char *stage;
    size_t message; /* offset in messages */
} evs__aside_row;

typedef struct evs__aside {
    evs_context *ctx;
    const evs_batch *in;
    uint8_t *bad; /* by physical row, or NULL: none yet */
    evs__aside_row *rows;
    uint32_t count, capacity;
    evs__buffer messages;
    evs_status status; /* EVS_ERR_NOMEM: a row could not be set aside */
} evs__aside;

/* `keys`: expressions, aliases are ignored; blank: no key, all rows have the same */
evs_status evs__keyed_init(evs__keyed *k,
                           evs_context *ctx,
                           const evs_type *in,
                           const char *keys,
                           int32_t null_key,
                           evs_error **reterr);
void evs__keyed_free(evs__keyed *k);
/* columns of the batch; rows that fail are set aside. Undone by evs__keyed_drop(). */
evs_status
evs__keyed_eval(evs__keyed *k, const evs_batch *in, evs__aside *aside, evs_error **reterr);
void evs__keyed_drop(evs__keyed *k);
/* whether the row's key is one; if not it is set aside */
bool evs__keyed_check(const evs__keyed *k, evs__aside *aside, uint32_t row);
/* probes of rows[0..n), n at most EVS__INTERN_BLOCK; borrowed until the next call */
evs_status
evs__keyed_probes(evs__keyed *k, const uint32_t *rows, uint32_t n, evs__intern_probe *probes);

void evs__aside_init(evs__aside *a, evs_context *ctx, const evs_batch *in);
void evs__aside_free(evs__aside *a);
void evs__aside_put(
    evs__aside *a, uint32_t row, const char *stage, evs_status status, const char *message);
static inline bool evs__aside_has(const evs__aside *a, uint32_t row)
{
    return a->bad && a->bad[row];
}
void evs__aside_tell(const evs__aside *a, const evs__out *out);

#endif
