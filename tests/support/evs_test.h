/*
 * tests/support/evs_test.h: what C tests share: cmocka's includes, an allocator that counts and
 * fails on demand, the out-of-memory sweep, texts of batches.
 *
 * Only public headers are used, so tests of the shared library may use it as well.
 */
#ifndef EVS_TEST_H
#define EVS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <stdatomic.h>

#include <evstream/evstream.h>

/* ---- memory ---- */

/*
 * Memory functions for evs_context_options.allocator. Every block is filled with rubbish when it is
 * given and when it is taken back, and realloc always moves, so that stale pointers and values that
 * nobody set show up.
 */
typedef struct evs_test_memory {
    atomic_long live;     /* blocks that were given and not taken back */
    atomic_long calls;    /* allocations asked for so far */
    atomic_long fail_at;  /* number of the allocation that fails, from 0; -1: none */
    atomic_bool fail_all; /* all from then on fail, too */
    atomic_long failed;   /* how many failed */
} evs_test_memory;

evs_allocator evs_test_allocator(evs_test_memory *memory);
/* a context on that memory; NULL when it gave none */
evs_context *evs_test_context(evs_test_memory *memory);

/*
 * Out-of-memory sweep. The scenario does its work with the context, releases all that it made and
 * returns the status that ended it, EVS_OK when all went well; it must go well without failures. It
 * is run with allocation 0, 1, 2, ... failing, once each alone and once each with all that follow,
 * until a run needs fewer allocations. Each run has to end with EVS_OK or EVS_ERR_NOMEM, and with
 * every block given back. Returns the number of allocations of a whole run.
 *
 * Code that never sees a failure through (it drops work and returns EVS_OK) is a defect that only
 * the scenario can see: it compares results before it returns EVS_OK.
 */
typedef evs_status (*evs_test_scenario)(evs_context *context, void *user_data);
long evs_test_oom_sweep(evs_test_scenario scenario, void *user_data);
/* the same with every `step`-th allocation only, for scenarios of many thousand allocations */
long evs_test_oom_sweep_step(evs_test_scenario scenario, void *user_data, long step);

/* ---- shorthand ---- */

/* fails the test with the error's text when status is not EVS_OK, and releases the error */
void evs_test_ok_at(evs_status status, evs_error *error, const char *file, int line);
#define assert_evs_ok(status, error) evs_test_ok_at((status), (error), __FILE__, __LINE__)
/* the status, a part of the message and the origin (NULL: not looked at) are as expected; releases
 */
void evs_test_error_at(evs_status status,
                       evs_error *error,
                       evs_status want,
                       const char *part,
                       const char *origin,
                       const char *file,
                       int line);
#define assert_evs_error(status, error, want, part, origin)                                        \
    evs_test_error_at((status), (error), (want), (part), (origin), __FILE__, __LINE__)

/* a type from its text; fails the test when it cannot be parsed */
evs_type *evs_test_type(evs_context *context, const char *text);
/*
 * The selected rows as text: fields separated by "|", rows by "\n", NULL as "null", each row that
 * has one preceded by its event time and "@", updates and deletes by "u " and "d ". malloc'ed.
 */
char *evs_test_batch_text(const evs_batch *batch);
/* evs_test_batch_text() equals `want` */
void evs_test_batch_at(const evs_batch *batch, const char *want, const char *file, int line);
#define assert_batch(batch, want) evs_test_batch_at((batch), (want), __FILE__, __LINE__)

/* ---- randomness ---- */

/* `rows` rows of random values, NULLs where the type allows, times and kinds; a new reference */
evs_batch *
evs_test_random_batch(evs_context *context, const evs_type *type, size_t rows, uint64_t seed);
/* a type with every kind of column, nested ones three deep */
#define EVS_TEST_TYPE_ALL                                                                          \
    "STRUCT<b BOOLEAN, i INT, l BIGINT NOT NULL, d DOUBLE, m DECIMAL(9,2), s VARCHAR, y BYTES, "   \
    "t TIMESTAMP, da DATE, ti TIME, a ARRAY<VARCHAR>, mp MAP<INT>, "                               \
    "st STRUCT<x INT NOT NULL, y ARRAY<STRUCT<z VARCHAR NOT NULL, w MAP<DOUBLE>>>>> NOT NULL"

/* splitmix64: the same stream for the same seed everywhere */
static inline uint64_t evs_test_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

#endif
