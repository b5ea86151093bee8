/*
 * runtime/testkit.h: inside of evs_testkit.
 *
 *   testkit.c        the kit: clock, expectations, crashes
 *   testkit_send.c   events
 *   testkit_ends.c   memory ends that stand in for the connectors of a plan
 *   testkit_match.c  rows against JSON text
 *
 * An end outlives the runtime, as Kafka and a database outlive a process. A source's log keeps all
 * that was sent; a sink keeps its rows, and how many of them the last epoch has (`kept`), which is
 * written in the same moment as the kit's copy of the snapshot.
 */
#ifndef EVS_RUNTIME_TESTKIT_H
#define EVS_RUNTIME_TESTKIT_H

#include "evstream/testkit.h"
#include "io/memory.h"
#include "runtime/runtime.h"

typedef struct evs__kit_row {
    evs_batch *batch;
    uint32_t index;
    bool taken; /* by an expectation */
} evs__kit_row;

typedef struct evs__kit_end evs__kit_end;
struct evs__kit_end {
    evs__kit_end *next;
    const evs__node *node;
    evs_connector connector; /* the real one's name and options, functions below */
    evs_source_functions source;
    evs_sink_functions sink;
    evs_context *ctx;
    /* source */
    evs__memory_log *log;
    const char *topic;
    evs_decoder *json; /* of an event that is sent in another form */
    evs_encoder *encoder;
    /* sink */
    evs__kit_row *rows;
    size_t count, capacity, kept;
    evs_encoder *text;
};

/* an event that is held back */
typedef struct evs__kit_event {
    struct evs__kit_event *next;
    evs__kit_end *end;
    evs_input input; /* key and value behind this struct */
    int64_t due;
} evs__kit_event;

struct evs_testkit {
    evs_context *ctx;       /* referenced */
    evs_pipeline *pipeline; /* NULL: it was released */
    evs__kit_end *ends;
    int64_t now_ms;
    bool begun; /* an event has set the clock */
    bool ended;
    evs_error *error; /* the first failure */
    /* the last epoch */
    evs__buffer image;
    int64_t epoch;
    /* injections */
    uint64_t random;
    int64_t reorder_ms;
    evs__kit_event *held, **held_tail;
    int32_t dies_in; /* steps of a commit; -1: it does not */
    evs__buffer why; /* behind texts that are given out */
    evs__buffer row;
};

/* ---- testkit.c ---- */

/* what every call begins with: EVS_OK, or what failed before */
evs_status evs__kit_begin(evs_testkit *kit);
evs_status evs__kit_open(evs_testkit *kit);
/* poll until there is nothing to do */
evs_status evs__kit_settle(evs_testkit *kit);
/* the clock goes to `time_ms` in steps */
evs_status evs__kit_run_to(evs_testkit *kit, int64_t time_ms);
/* the source or sink that a text names; NULL: none, or several (kit->error) */
evs__kit_end *evs__kit_find(evs_testkit *kit, const char *text, bool source);

/* ---- testkit_send.c ---- */

/* held events into their logs, by the time they are due; equal ones as they were sent */
evs_status evs__kit_deliver(evs_testkit *kit);

/* ---- testkit_ends.c ---- */

/* evs__plan.stand_in of a kit */
const evs_connector *evs__kit_stand_in(void *kit, const evs__node *node);
evs__kit_end *evs__kit_end_of(const evs_testkit *kit, const evs__node *node);
void evs__kit_ends_free(evs_testkit *kit);
/* rows that no epoch has are taken back */
void evs__kit_ends_crash(evs_testkit *kit);
/* all rows are of the epoch that becomes true now */
void evs__kit_ends_keep(evs_testkit *kit);

/* ---- testkit_match.c ---- */

/* a row as JSON text, `borrowed until` the next call; NULL: it has none, *reterr says why */
const char *evs__kit_row_text(evs__kit_end *end, const evs__kit_row *row, evs_error **reterr);
/* the first row of these ends that is not taken and has these fields; the end's rows that are dead
 * letters of stage "late" are looked into with `letters`. EVS_END: none, kit->why tells. */
evs_status evs__kit_match(evs_testkit *kit,
                          evs__kit_end *const *ends,
                          size_t count,
                          bool letters,
                          const char *what,
                          const char *json,
                          evs_error **reterr);

#endif
