/*
 * runtime/metrics.h: the registry of counters, gauges and histograms of one pipeline.
 *
 * A metric is added once, when what it measures is made, and kept as a pointer; changing one is an
 * atomic add. All functions accept a NULL metric. Reading takes the registry's lock and none else,
 * so any thread may ask at any time. The names are the rows of one table, from which
 * docs/reference/metrics.md is made.
 */
#ifndef EVS_RUNTIME_METRICS_H
#define EVS_RUNTIME_METRICS_H

#include <pthread.h>

#include "base/buffer.h"

/* id, Prometheus name without the prefix, type, labels, help */
/* clang-format off */
#define EVS__METRIC_MAP(X)                                                                         \
    X(EVENTS_IN, "events_in_total", COUNTER, "source, topic, partition", "Events taken from sources") \
    X(BYTES_IN, "bytes_in_total", COUNTER, "source, topic, partition", "Bytes of the values of events taken from sources") \
    X(EVENTS_OUT, "events_out_total", COUNTER, "sink", "Rows that sinks took, replays included")   \
    X(DEAD_LETTERS, "dead_letters_total", COUNTER, "stage", "Events and rows that could not be processed") \
    X(LATE, "late_total", COUNTER, "step", "Events that came after a window had closed, or too late for a dedup or a limit to judge") \
    X(LEFT_OUT, "left_out_total", COUNTER, "step", "Rows that a dedup, a sample or a limit dropped") \
    X(SINK_RETRIES, "sink_retries_total", COUNTER, "sink", "Writes and flushes of sinks that failed and were tried again") \
    X(COMMITS, "commits_total", COUNTER, "", "Epochs committed")                                   \
    X(COMMIT_FAILURES, "commit_failures_total", COUNTER, "", "Attempts to commit that failed")     \
    X(ABORTS, "aborts_total", COUNTER, "", "Epochs given up: state went back to the one before")   \
    X(BATCHES, "batches_total", COUNTER, "", "Batches of rows processed")                          \
    X(EPOCH, "epoch", GAUGE, "", "Last committed epoch")                                           \
    X(WATERMARK, "watermark_timestamp_seconds", GAUGE, "source, topic, partition", "Event time up to which a partition is complete") \
    X(EVENT_LAG, "watermark_lag_seconds", GAUGE, "source, topic, partition", "Host clock minus watermark of a partition") \
    X(CONSUMER_LAG, "consumer_lag_events", GAUGE, "source, topic, partition", "Events known to exist that were not processed yet") \
    X(SINK_WAITING, "sink_waiting", GAUGE, "sink", "1 while rows wait for a sink that takes no more, and inputs with them") \
    X(STATE_BYTES, "state_size_bytes", GAUGE, "step", "Memory of the state of a step")             \
    X(OPEN_WINDOWS, "open_windows", GAUGE, "step", "Windows that are open")                        \
    X(KEYS, "state_keys", GAUGE, "step", "Keys in the state of a step")                            \
    X(BATCH_ROWS, "batch_rows", HISTOGRAM, "", "Rows of a batch as read")                          \
    X(COMMIT_SECONDS, "commit_duration_seconds", HISTOGRAM, "", "Time from the begin of a commit to its end, in which inputs wait") \
    X(LATENCY, "end_to_end_latency_seconds", HISTOGRAM, "", "Time from the record timestamp of a batch's newest event until it was processed")
/* clang-format on */

typedef enum evs__metric_id {
#define EVS__METRIC_ENUM(id, name, type, labels, help) EVS__METRIC_##id,
    EVS__METRIC_MAP(EVS__METRIC_ENUM)
#undef EVS__METRIC_ENUM
        EVS__METRIC_IDS
} evs__metric_id;

typedef struct evs__metric evs__metric;

typedef struct evs__metrics {
    evs_context *ctx;
    pthread_mutex_t lock;
    evs__metric *first, *last; /* in the order they were added */
    evs__buffer text;
} evs__metrics;

void evs__metrics_init(evs__metrics *m, evs_context *ctx);
void evs__metrics_free(evs__metrics *m);
/*
 * Add one. Labels: pairs of name and value, ending with NULL: "source", "source_1", NULL. The same
 * id and labels give the metric that is there. NULL: no memory.
 */
evs__metric *evs__metrics_add(evs__metrics *m, evs__metric_id id, ...);
void evs__metric_add(evs__metric *m, uint64_t n);
void evs__metric_set(evs__metric *m, double value);
void evs__metric_observe(evs__metric *m, double value);
/* sum over the labels; a histogram by NAME_sum or NAME_count; names with or without "evstream_" */
bool evs__metrics_get(evs__metrics *m, const char *name, double *ret);
/* Prometheus text, version 0.0.4 */
evs_status evs__metrics_text(evs__metrics *m, const char *pipeline, evs__buffer *out);
/* the table of docs/reference/metrics.md */
evs_status evs__metrics_reference(evs__buffer *out);

#endif
