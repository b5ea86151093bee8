/*
 * evstream/aggregate.h: aggregates of the host's own, usable in windows like the built-in ones:
 * with DISTINCT and FILTER, merged, stored in snapshots, rows refused into the dead letters.
 */
#ifndef EVSTREAM_AGGREGATE_H
#define EVSTREAM_AGGREGATE_H

#include "evstream/function.h"

/** Where `serialise` writes to. */
typedef struct evs_aggregate_out evs_aggregate_out;

/**
 * An aggregate: functions over a state of `state_size` bytes, which the library keeps, one for each
 * group; aligned to 16. It does not move while it lives. It is zero bytes before `init`.
 *
 * A *plain* state is all there is to it: numbers, no pointers. The library copies and stores it by
 * its bytes; serialise, restore, destroy and retract may be NULL. A state that *owns* something
 * (memory, handles) has `destroy`, and then needs serialise, restore and retract as well: retract
 * takes back a row that another aggregate of the window has refused.
 *
 * Rows in which an argument is NULL are not given; without any row the result is NULL.
 *
 * `reason` is room for a line of text, NUL-terminated, that says why. All functions may run on any
 * thread that runs the window, on one state by one thread at a time, on several states at once;
 * they must not call the window or pipeline that they run in. What a state owns is not counted in
 * state_bytes.
 */
typedef struct evs_aggregate {
    size_t struct_size;
    const char *signature; /* "geometric_mean(DOUBLE) RETURNS DOUBLE": 1 to 8 scalar types; INT is
                              taken for BIGINT, numbers for DOUBLE; *copied* */
    size_t state_size;     /* 1 to 4096 */
    void *user_data;       /* of all functions; *borrowed until* the context is released */
    /* makes the empty state; NULL: zero bytes are it. A failure refuses the row, EVS_ERR_CALLBACK
     */
    evs_status (*init)(void *state, void *user_data);
    /* A row. A failure refuses it as a whole: stage "expression", EVS_ERR_CALLBACK; a state that
     * owns something must then be as before. Text is *borrowed until* return. */
    evs_status (*add)(void *state,
                      const evs_value *args,
                      size_t arg_count,
                      char *reason,
                      size_t reason_size,
                      void *user_data);
    /* the rows of `from` too; the order of merging must not matter. A failure (the group has no
     * result then) leaves the state as before */
    evs_status (*merge)(void *state, const void *from, void *user_data);
    /* the opposite of add of the same values, or NULL */
    void (*retract)(void *state, const evs_value *args, size_t arg_count, void *user_data);
    /* sets *ret_value: its type is preset, is_null is 1. Text must stay valid until the next call.
     * What does not fit its type (an INT too large, VARCHAR that is not UTF-8) becomes NULL and is
     * logged */
    void (*result)(const void *state, evs_value *ret_value, void *user_data);
    /* the state as bytes, with evs_aggregate_write(); or NULL */
    evs_status (*serialise)(const void *state, evs_aggregate_out *out, void *user_data);
    /* a state (init was called) from such bytes, which a damaged snapshot may hold in any form:
     * a failure is EVS_ERR_CORRUPT. NULL: plain bytes */
    evs_status (*restore)(void *state, const void *data, size_t len, void *user_data);
    /* gives back what the state owns; or NULL: it owns nothing */
    void (*destroy)(void *state, void *user_data);
} evs_aggregate;

EVS_BEGIN_DECLS

/**
 * Make an aggregate known to windows of this context that are made later.
 *
 * @param aggregate struct_size, signature, state_size, add, merge and result are required; *copied*
 * @returns EVS_OK; EVS_ERR_INVALID (something required is missing, a size out of range, an owning
 * state without serialise, restore or retract); EVS_ERR_EXPRESSION (signature; or the name is
 * taken); EVS_ERR_NOMEM
 * @threads one at a time, before it is used
 * @callback none here; later inside push, take, advance, snapshot, restore, poll, or a started
 * worker: then on any worker, several at once
 * @since 0.1
 */
EVS_API evs_status evs_aggregate_register(evs_context *context,
                                          const evs_aggregate *aggregate,
                                          evs_error **reterr);

/** Append to what `serialise` makes (*copied*). @returns EVS_OK; EVS_ERR_INVALID; EVS_ERR_NOMEM,
 * EVS_ERR_LIMIT: to be returned by `serialise` @threads inside serialise @since 0.1 */
EVS_API evs_status evs_aggregate_write(evs_aggregate_out *out, const void *data, size_t len);

EVS_END_DECLS

#endif
