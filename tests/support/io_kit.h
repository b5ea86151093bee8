/*
 * tests/support/io_kit.h: connectors without a pipeline: a source that is read event by event, a
 * sink that takes rows written as JSON. The connector's functions are called as the runtime calls
 * them, with a checked configuration.
 */
#ifndef EVS_TEST_IO_KIT_H
#define EVS_TEST_IO_KIT_H

#include "evs_test.h"

/* ---- source ---- */

typedef struct kit_event {
    uint32_t topic;
    int32_t partition;
    int64_t offset, timestamp;
    char *key, *value; /* malloc'ed copies, NUL-terminated; NULL as in the event */
    size_t key_len, value_len;
} kit_event;

typedef struct kit_source {
    evs_context *ctx;
    const evs_source_functions *f;
    evs_config *config;
    void *source;
    evs_source_host host;
    int64_t
        start[64]; /* what `assigned` answers, by topic * 16 + partition; -1 from the beginning */
    int assigned[64]; /* how often it asked */
    int revoked, lost;
    atomic_int wakes;
    char state[32];
    kit_event *events;
    size_t count, capacity;
} kit_source;

/* `schema` (may be NULL) goes to the host's schema; positions start at -1 */
evs_status kit_source_open(evs_context *ctx,
                           const evs_connector *connector,
                           const evs_options *options,
                           evs_schema *schema,
                           kit_source *ret,
                           evs_error **reterr);
/* read up to `max` events and keep copies; the status of read */
evs_status kit_source_read(kit_source *s, size_t max, int64_t wait_ms, evs_error **reterr);
/* read until EVS_END, or until `count` events are there, or `timeout_ms` pass (EVS_ERR_TIMEOUT) */
evs_status
kit_source_read_until(kit_source *s, size_t count, int64_t timeout_ms, evs_error **reterr);
/* events forgotten, the source stays */
void kit_source_clear(kit_source *s);
void kit_source_close(kit_source *s);
/* values joined by "\n"; malloc'ed */
char *kit_source_values(const kit_source *s);

/* ---- sink ---- */

typedef struct kit_sink {
    evs_context *ctx;
    const evs_sink_functions *f;
    evs_config *config;
    evs_schema *schema;
    evs_sink_identity identity;
    void *sink;
    int failed; /* rows told as failed, the last message */
    char failure[256];
} kit_sink;

typedef struct kit_sink_shape {
    const char *columns;
    int32_t key_count, windowed;
    const char *application, *name;
    int32_t commit_group;
} kit_sink_shape;

evs_status kit_sink_open(evs_context *ctx,
                         const evs_connector *connector,
                         const kit_sink_shape *shape,
                         const evs_options *options,
                         kit_sink *ret,
                         evs_error **reterr);
/* rows as JSON objects, one a line; a line may begin with "+" insert, "~" update, "-" delete; and
 * with "@ms " an event time. The batch is a new reference. */
evs_batch *kit_batch(evs_context *ctx, evs_schema *schema, const char *rows);
evs_status kit_sink_write(kit_sink *s, const char *rows, evs_error **reterr);
evs_status kit_sink_write_batch(kit_sink *s, evs_batch *batch, evs_error **reterr);
/* flush until done or `wait_ms` pass (EVS_ERR_TIMEOUT), then commit */
evs_status kit_sink_commit(kit_sink *s, int64_t epoch, const char *offsets, evs_error **reterr);
void kit_sink_close(kit_sink *s);

/* ---- the rest ---- */

int64_t kit_now_ms(void);
void kit_sleep_ms(int64_t ms);
/* a new folder for this test, removed by kit_remove(); static buffer */
const char *kit_folder(void);
void kit_remove(const char *folder);
void kit_write_file(const char *path, const void *data, size_t len);
/* malloc'ed, NUL-terminated */
char *kit_read_file(const char *path, size_t *ret_len);
/* "PREFIX-" and random hex digits, static buffer of the last few calls */
const char *kit_name(const char *prefix);

#endif
