/*
 * io/memory.h: the log in memory that the memory and callback connectors share.
 *
 *   evs_stream_push()  -->  partition 0: [entry][entry][entry] ...  -->  read
 *   memory sink        -->  partition 1: ...
 *
 * An entry is one event (bytes) or one batch of rows; offsets count rows. Entries are shared by
 * reference: a read holds those it shows until release, so trimming never pulls bytes away. A log
 * without a name belongs to one source; a named one hangs on the context, so that a pipeline's sink
 * and another's source, or a host's consumer, meet there.
 */
#ifndef EVS_IO_MEMORY_H
#define EVS_IO_MEMORY_H

#include <pthread.h>
#include <stdatomic.h>

#include "evstream/connector.h"

typedef struct evs__log_entry evs__log_entry;
struct evs__log_entry {
    atomic_int refs;
    evs_context *ctx;
    evs__log_entry *next;
    int64_t offset; /* of its first row */
    int64_t rows;
    evs_batch *batch; /* or NULL: bytes */
    int64_t timestamp;
    uint32_t value_len, key_len;
    bool has_value, has_key;
    char bytes[]; /* value, then key */
};

typedef struct evs__log_partition {
    evs__log_entry *first, *last;
    int64_t end; /* offset behind the last row */
} evs__log_partition;

/* who wants to know that rows came */
typedef struct evs__log_listener {
    struct evs__log_listener *next;
    const evs_source_host *host;
} evs__log_listener;

typedef struct evs__memory_log {
    evs_context *ctx;
    pthread_mutex_t lock;
    evs__log_partition *partitions;
    int32_t partition_count;
    int64_t rows;
    int64_t rows_max;
    bool ended;
    evs_schema *schema; /* of what a sink writes; or NULL */
    evs__log_listener *listeners;
} evs__memory_log;

evs_status evs__log_new(evs_context *ctx,
                        int32_t partitions,
                        int64_t rows_max,
                        evs__memory_log **ret,
                        evs_error **reterr);
void evs__log_free(evs_context *ctx, void *log);
/* the context's log of that name, made when there is none; borrowed until the context goes */
evs_status evs__log_named(evs_context *ctx,
                          const char *name,
                          int32_t partitions,
                          int64_t rows_max,
                          evs__memory_log **ret,
                          evs_error **reterr);
/* one event (copied), or a batch (new reference); EVS_AGAIN: full */
evs_status evs__log_append(evs__memory_log *log,
                           const evs_input *input,
                           evs_batch *batch,
                           int32_t partition,
                           evs_error **reterr);
void evs__log_end(evs__memory_log *log);
/* forget entries that end before `offset` */
void evs__log_trim(evs__memory_log *log, int32_t partition, int64_t offset);
/* the entry that holds `offset`, or the first behind it; a new reference, NULL at the end */
evs__log_entry *evs__log_at(evs__memory_log *log, int32_t partition, int64_t offset);
/* the one behind `entry`, a new reference, for which the reference to `entry` is NOT given up */
evs__log_entry *evs__log_next(evs__memory_log *log, evs__log_entry *entry);
void evs__log_entry_unref(evs__log_entry *entry);

/* the source over a log; `retain`: rows stay until they are committed */
evs_status evs__memory_source_open(evs_context *context,
                                   const evs_config *config,
                                   const evs_source_host *host,
                                   bool retain,
                                   void **ret_source,
                                   evs_error **reterr);
/* the source over a log of somebody else's, which outlives it and is never trimmed */
evs_status evs__memory_source_over(evs_context *context,
                                   evs__memory_log *log,
                                   const char *topic,
                                   const evs_source_host *host,
                                   void **ret_source,
                                   evs_error **reterr);
extern const evs_source_functions evs__memory_source;

#endif
