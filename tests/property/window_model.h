/*
 * window_model.h: windows as the definition reads, row by row, without any cleverness.
 */
#ifndef EVS_TESTS_WINDOW_MODEL_H
#define EVS_TESTS_WINDOW_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/number.h"

#define MODEL_NO_TIME INT64_MIN
#define MODEL_SLOTS_MAX 4
#define MODEL_ROWS_MAX 400
#define MODEL_WINDOWS_MAX 64 /* that a row is in */

typedef struct model_window {
    int64_t start, end;
    int session; /* number of its first row, of session windows */
} model_window;

typedef struct model_row {
    int slot;
    int64_t time;
    const char *key; /* NULL: the NULL key */
    bool has_value;
    int64_t value;
    int64_t other;         /* of a second sum, never NULL */
    int64_t watermark;     /* of the task, including this row */
    int refused, accepted; /* windows */
    model_window newest;   /* refused */
    int session;           /* number of the first row of its session */
    int since;             /* number of the flush that shows it first */
} model_row;

typedef struct model {
    int64_t size, advance, offset, grace, out_of_orderness; /* tumbling: advance is size */
    int64_t gap;                                            /* sessions: above 0 */
    bool cumulating;                                        /* advance is the step */
    bool group_null_key, stream_time, late_all;
    int slots;
    struct {
        int64_t watermark;
        bool idle;
    } slot[MODEL_SLOTS_MAX];
    int64_t watermark;
    model_row *taken, *late; /* room for all rows */
    int taken_count, late_count, rejected, flushes;
} model;

void model_push(model *m, model_row row);
void model_slot(model *m, int slot, int64_t watermark, bool idle);
/* windows that are over, each once, as text */
void model_final(const model *m, evs__buffer *out);
/* what changed since the last flush */
void model_changes(model *m, evs__buffer *out);
/* sessions as they are, in order of their end, of first row: those that are over, or all */
void model_sessions(const model *m, bool all, evs__buffer *out);
void model_late(const model *m, evs__buffer *out);

#endif
