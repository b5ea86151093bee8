/*
 * io/kafka/source.h: inside of the Kafka source, for its files: source.c (open, read, close),
 * assign.c (partitions, positions, commits), stats.c (who is connected and at its end).
 */
#ifndef EVS_IO_KAFKA_SOURCE_H
#define EVS_IO_KAFKA_SOURCE_H

#include <pthread.h>

#include "io/kafka/kafka.h"

typedef struct kafka_partition {
    bool assigned;
    bool at_end;          /* PARTITION_EOF seen, nothing since */
    bool held;            /* its queue is cut off from `data` */
    int64_t next_offset;  /* behind the last message taken; -1 unknown */
    int64_t confirmed_ms; /* when at_end was last known to be true */
} kafka_partition;

typedef struct kafka_topic {
    char *name;
    rd_kafka_topic_t *handle;
    int64_t unknown_since_ms; /* the broker says there is no such topic; 0: it did not */
    kafka_partition *partitions;
} kafka_topic;

typedef struct read_block {
    struct read_block *next;
    rd_kafka_message_t **messages;
    evs_input *inputs;
    size_t count;
    size_t capacity;
    evs_header **header_lists; /* of evs_source_functions.headers; count entries or NULL */
} read_block;

typedef struct kafka_source {
    evs_context *ctx; /* first: conf.c's log callback */
    const evs_source_host *host;
    rd_kafka_t *rk;
    rd_kafka_queue_t *control; /* rebalances, errors, statistics, logs: always served */
    rd_kafka_queue_t
        *data; /* all partition queues are forwarded here; not read under back-pressure */
    rd_kafka_queue_t *commits; /* answers to commits: apart from control, so that waiting for one
                                  does not start a rebalance inside of a commit */
    kafka_topic *topics;
    size_t topic_count;
    const char **topic_names;
    int32_t *partition_counts;
    char *identity; /* cluster id */
    char *group;    /* that offsets are committed to; NULL: none */
    bool member;    /* partitions come from the group; otherwise all are ours */
    size_t joined;  /* embedded: topics that the group's member was noted for */
    bool described, started, bounded, latest, embedded, closing, connected;
    int64_t opened_ms, connect_timeout_ms;
    const char *servers; /* for errors; the configuration's */
    evs_error *error;    /* from a callback, told by the next read */
    int32_t commits_pending;
    int64_t rx_seen;      /* bytes received by all brokers at the last statistics */
    pthread_mutex_t lock; /* of the blocks and `woken` */
    pthread_cond_t wake;
    bool woken;
    read_block *free_blocks, *used_blocks;
} kafka_source;

kafka_partition *evs__kafka_partition(kafka_source *s, uint32_t topic, int32_t partition);
int evs__kafka_topic_index(const kafka_source *s, const char *name);
void evs__kafka_source_error(kafka_source *s,
                             evs_error *error); /* transferred; the first one stays */
void evs__kafka_source_state(kafka_source *s, bool connected);

/* assign.c */
evs_status evs__kafka_start(kafka_source *s, evs_error **reterr);
void evs__kafka_on_rebalance(rd_kafka_t *rk,
                             rd_kafka_resp_err_t code,
                             rd_kafka_topic_partition_list_t *list,
                             void *opaque);
/* take answers to commits, waiting for one up to wait_ms */
void evs__kafka_serve_commits(kafka_source *s, int wait_ms);
evs_status evs__kafka_source_seek(
    void *source, uint32_t topic, int32_t partition, int64_t offset, evs_error **reterr);
evs_status evs__kafka_source_pause(
    void *source, uint32_t topic, int32_t partition, bool paused, evs_error **reterr);
evs_status evs__kafka_source_commit(void *source,
                                    const uint32_t *topics,
                                    const int32_t *partitions,
                                    const int64_t *offsets,
                                    size_t count,
                                    evs_error **reterr);
evs_status evs__kafka_source_committed(
    void *source, uint32_t topic, int32_t partition, int64_t *ret_offset, evs_error **reterr);

/* stats.c */
int evs__kafka_on_stats(rd_kafka_t *rk, char *json, size_t len, void *opaque);
evs_partition_state
evs__kafka_source_partition_state(void *source, uint32_t topic, int32_t partition);
int64_t evs__kafka_source_end_offset(void *source, uint32_t topic, int32_t partition);

#endif
