/*
 * engine/watermark.h: how time moves. Two small state machines, both pure functions of their
 * inputs.
 *
 *   evs__partition_time   one source partition: event times of rows -> row watermarks (running
 *                         maximum - out_of_orderness); idle; close_after; future guard
 *   evs__merge_time       one task: slots (partitions) -> minimum over those that are not idle,
 *                         never back. rule=stream: the maximum of all
 *
 * Laws (design): a row is judged against the watermark including that row. idle_timeout and
 * close_after run only while the partition is assigned, connected, not paused and at its end; after
 * a gap between polls fetched data comes first. close_after moves the watermark by the elapsed time
 * of the host's clock from where it stood, never to now.
 */
#ifndef EVS_ENGINE_WATERMARK_H
#define EVS_ENGINE_WATERMARK_H

#include "engine/operator.h"

typedef enum evs__future_action {
    EVS__FUTURE_OFF,
    EVS__FUTURE_REFUSE,
    EVS__FUTURE_CLAMP
} evs__future_action;

typedef struct evs__time_options {
    int64_t out_of_orderness_ms;
    int64_t idle_timeout_ms; /* EVS_FOREVER: off */
    int64_t close_after_ms;  /* EVS_FOREVER: off */
    int64_t future_max_ms;   /* EVS_FOREVER: off */
    int32_t future_action;   /* evs__future_action */
    int32_t rule;            /* evs_time_rule */
    bool time_optional;      /* rows without time go on: nothing behind the source needs one */
} evs__time_options;

typedef struct evs__partition_time {
    int64_t max_time;       /* highest event time seen; EVS_TIME_NONE before the first */
    int64_t watermark;      /* EVS_TIME_NONE before the first */
    int64_t quiet_since_ms; /* host clock since which the partition is connected, at its end and
                               silent; EVS_TIME_NONE: not now */
    int64_t advanced_ms;    /* host clock up to which close_after has already moved the watermark */
    bool idle;
} evs__partition_time;

/* while close_after moves a watermark, next_ms() asks to be called this often */
#define EVS__CLOSE_STEP_MS 100

void evs__partition_time_init(evs__partition_time *p);
/* Its clocks begin anew: after a gap, a restart, a replay. */
void evs__partition_time_resume(evs__partition_time *p);
/*
 * The running maximum alone: watermarks of `rows` physical rows, of which the `count` of `sel`
 * (NULL: all) count. Rows without time (`times` NULL: all), or beyond `limit`, do not move it.
 */
void evs__partition_time_run(evs__partition_time *p,
                             const evs__time_options *o,
                             const int64_t *times,
                             const uint32_t *sel,
                             uint32_t count,
                             uint32_t rows,
                             int64_t limit,
                             int64_t *row_watermark);
/*
 * Judge a batch of this partition (times filled): fills batch->row_watermark for all physical rows,
 * drops refused rows from the selection through reject (stages event_time: no time, unless
 * time_optional; future), clamps if so configured. Moves p.
 */
evs_status evs__partition_time_observe(evs__partition_time *p,
                                       const evs__time_options *o,
                                       evs_batch *batch,
                                       int64_t now_ms,
                                       const evs__out *out,
                                       evs_error **reterr);
/* The clock went on; `at_end`: assigned, connected, not paused, read to its end, and no fetched
 * data waits. Returns whether watermark or idle changed. */
bool evs__partition_time_tick(evs__partition_time *p,
                              const evs__time_options *o,
                              bool at_end,
                              int64_t now_ms);
/* host clock time of its next change; INT64_MAX: none */
int64_t evs__partition_time_next_ms(const evs__partition_time *p, const evs__time_options *o);

typedef struct evs__merge_slot {
    int64_t watermark;
    bool idle;
} evs__merge_slot;

typedef struct evs__merge_time {
    evs_context *ctx;
    evs__merge_slot *slots;
    uint32_t count;
    int32_t rule;
    int64_t watermark; /* the task's; never falls */
} evs__merge_time;

evs_status evs__merge_time_init(evs__merge_time *m, evs_context *ctx, uint32_t slots, int32_t rule);
void evs__merge_time_free(evs__merge_time *m);
/* minimum over the other slots that are not idle (INT64_MAX if there are none, and for
 * rule=stream): the task's watermark at row r of a batch of `slot` is max(m->watermark,
 * min(row_watermark[r], this)) */
int64_t evs__merge_time_others(const evs__merge_time *m, uint32_t slot);
/* New slot watermark (one that goes back is ignored); returns the task's watermark. When all slots
 * are idle the task's is the highest of them, whatever the order in which they fell silent. */
int64_t evs__merge_time_set(evs__merge_time *m, uint32_t slot, int64_t watermark, bool idle);

#endif
