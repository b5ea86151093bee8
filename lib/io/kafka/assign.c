/*
 * io/kafka/assign.c: which partitions are ours, from where they are read, and how far we tell the
 * group we are.
 *
 * The runtime owns positions: for each partition it answers with the offset of its snapshot, or -1.
 * Then, and only then, the group's committed offset counts, and without one `start` (earliest or
 * latest). librdkafka's auto.offset.reset is set to "error", so an offset that does not exist any
 * more is told and never jumped over in silence.
 *
 * Each partition's queue is forwarded to the one data queue before it is assigned, so that control
 * events never wait behind messages; `pause` cuts the queue off, which keeps what was fetched.
 */
#include <string.h>

#include "io/kafka/source.h"

static void set_forward(kafka_source *s, const char *topic, int32_t partition, bool forward)
{
    rd_kafka_queue_t *q = rd_kafka_queue_get_partition(s->rk, topic, partition);
    if (!q)
        return;
    rd_kafka_queue_forward(q, forward ? s->data : NULL);
    rd_kafka_queue_destroy(q);
}

/* fill offsets that the runtime leaves to us: committed ones, else the start of the host's choice
 */
static evs_status
default_positions(kafka_source *s, rd_kafka_topic_partition_list_t *list, evs_error **reterr)
{
    int64_t start = s->latest ? RD_KAFKA_OFFSET_END : RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_topic_partition_list_t *ask = rd_kafka_topic_partition_list_new(list->cnt);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;

    for (int i = 0; i < list->cnt; i++) {
        if (list->elems[i].offset == RD_KAFKA_OFFSET_INVALID)
            rd_kafka_topic_partition_list_add(ask, list->elems[i].topic, list->elems[i].partition);
    }
    if (s->group && ask->cnt)
        code = rd_kafka_committed(s->rk, ask, 10000);
    for (int i = 0; !code && i < ask->cnt; i++) {
        rd_kafka_topic_partition_t *to =
            rd_kafka_topic_partition_list_find(list, ask->elems[i].topic, ask->elems[i].partition);
        to->offset = ask->elems[i].offset >= 0 ? ask->elems[i].offset : start;
    }
    rd_kafka_topic_partition_list_destroy(ask);
    if (code)
        return evs__kafka_fail(s->ctx, reterr, code, "committed offsets of the group");
    return EVS_OK;
}

/* ask the runtime for positions, mark, forward; false: it refuses this assignment */
static bool take_partitions(kafka_source *s, rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        rd_kafka_topic_partition_t *e = &list->elems[i];
        int topic = evs__kafka_topic_index(s, e->topic);
        kafka_partition *p =
            topic < 0 ? NULL : evs__kafka_partition(s, (uint32_t)topic, e->partition);
        evs_error *err = NULL;
        int64_t offset;
        if (!p) {
            evs_error_set(
                s->ctx, &err, EVS_ERR_STATE,
                "topic \"%s\" has more partitions than when reading began: restart to take "
                "them in",
                e->topic);
            evs__kafka_source_error(s, err);
            return false;
        }
        offset = s->host->assigned(s->host->runtime, (uint32_t)topic, e->partition);
        if (offset < -1)
            return false;
        e->offset = offset >= 0 ? offset : RD_KAFKA_OFFSET_INVALID;
        *p = (kafka_partition){.assigned = true, .next_offset = offset};
        set_forward(s, e->topic, e->partition, true);
    }
    return true;
}

static void drop_partitions(kafka_source *s, rd_kafka_topic_partition_list_t *list, bool lost)
{
    for (int i = 0; i < list->cnt; i++) {
        int topic = evs__kafka_topic_index(s, list->elems[i].topic);
        kafka_partition *p =
            topic < 0 ? NULL : evs__kafka_partition(s, (uint32_t)topic, list->elems[i].partition);
        if (!p || !p->assigned)
            continue;
        if (!s->closing)
            s->host->revoking(s->host->runtime, (uint32_t)topic, list->elems[i].partition, lost);
        p->assigned = false;
    }
}

static void
assign(kafka_source *s, rd_kafka_topic_partition_list_t *list, bool add, bool incremental)
{
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_error_t *failure = NULL;
    evs_error *err = NULL;
    if (incremental)
        failure = add ? rd_kafka_incremental_assign(s->rk, list)
                      : rd_kafka_incremental_unassign(s->rk, list);
    else
        code = rd_kafka_assign(s->rk, add ? list : NULL);
    if (failure) {
        code = rd_kafka_error_code(failure);
        rd_kafka_error_destroy(failure);
    }
    if (code && !s->closing) {
        evs__kafka_fail(s->ctx, &err, code, "assignment of partitions");
        evs__kafka_source_error(s, err);
    }
}

void evs__kafka_on_rebalance(rd_kafka_t *rk,
                             rd_kafka_resp_err_t code,
                             rd_kafka_topic_partition_list_t *list,
                             void *opaque)
{
    kafka_source *s = opaque;
    const char *protocol = rd_kafka_rebalance_protocol(rk);
    bool incremental = protocol && strcmp(protocol, "COOPERATIVE") == 0;
    evs_error *err = NULL;

    if (code != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        drop_partitions(s, list, rd_kafka_assignment_lost(rk));
        assign(s, list, false, incremental);
        return;
    }
    if (s->closing || !take_partitions(s, list)) {
        assign(s, list, false, false);
        return;
    }
    if (default_positions(s, list, &err)) {
        evs__kafka_source_error(s, err);
        assign(s, list, false, false);
        return;
    }
    assign(s, list, true, incremental);
}

static evs_status assign_all(kafka_source *s, evs_error **reterr)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    evs_status status = EVS_OK;
    for (size_t t = 0; t < s->topic_count; t++)
        rd_kafka_topic_partition_list_add_range(list, s->topics[t].name, 0,
                                                s->partition_counts[t] - 1);
    if (take_partitions(s, list) && !(status = default_positions(s, list, reterr)))
        assign(s, list, true, false);
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

static evs_status subscribe(kafka_source *s, evs_error **reterr)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)s->topic_count);
    rd_kafka_resp_err_t code;
    for (size_t t = 0; t < s->topic_count; t++)
        rd_kafka_topic_partition_list_add(list, s->topics[t].name, RD_KAFKA_PARTITION_UA);
    code = rd_kafka_subscribe(s->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code ? evs__kafka_fail(s->ctx, reterr, code, "subscribe") : EVS_OK;
}

evs_status evs__kafka_start(kafka_source *s, evs_error **reterr)
{
    evs_status status = s->member ? subscribe(s, reterr) : assign_all(s, reterr);
    if (!status)
        s->started = true;
    return status;
}

static evs_status
no_partition(kafka_source *s, uint32_t topic, int32_t partition, evs_error **reterr)
{
    return evs_error_set(s->ctx, reterr, EVS_ERR_INVALID, "no partition %u/%d", topic, partition);
}

evs_status evs__kafka_source_seek(
    void *source, uint32_t topic, int32_t partition, int64_t offset, evs_error **reterr)
{
    kafka_source *s = source;
    kafka_partition *p = evs__kafka_partition(s, topic, partition);
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_error_t *failure;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;

    if (!p)
        return no_partition(s, topic, partition, reterr);
    if (!p->assigned)
        return EVS_OK; /* `assigned` will ask for the position */
    list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, s->topics[topic].name, partition)->offset =
        offset >= 0 ? offset
        : s->latest ? RD_KAFKA_OFFSET_END
                    : RD_KAFKA_OFFSET_BEGINNING;
    failure = rd_kafka_seek_partitions(s->rk, list, 5000);
    if (failure) {
        code = rd_kafka_error_code(failure);
        rd_kafka_error_destroy(failure);
    } else {
        code = list->elems[0].err;
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (code)
        return evs__kafka_fail(s->ctx, reterr, code, "seek in topic \"%s\" partition %d",
                               s->topics[topic].name, partition);
    p->at_end = false;
    p->next_offset = offset;
    return EVS_OK;
}

evs_status evs__kafka_source_pause(
    void *source, uint32_t topic, int32_t partition, bool paused, evs_error **reterr)
{
    kafka_source *s = source;
    kafka_partition *p = evs__kafka_partition(s, topic, partition);
    if (!p)
        return no_partition(s, topic, partition, reterr);
    if (p->held != paused)
        set_forward(s, s->topics[topic].name, partition, !paused);
    p->held = paused;
    return EVS_OK;
}

void evs__kafka_serve_commits(kafka_source *s, int wait_ms)
{
    while (s->commits_pending > 0) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(s->commits, wait_ms);
        rd_kafka_resp_err_t code;
        if (!event)
            return;
        code = rd_kafka_event_error(event);
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_OFFSET_COMMIT) {
            s->commits_pending--;
            if (code && code != RD_KAFKA_RESP_ERR__NO_OFFSET && !s->closing)
                evs_log(s->ctx, EVS_LOG_WARNING, "kafka", "commit of group offsets: %s",
                        rd_kafka_err2str(code));
        }
        rd_kafka_event_destroy(event);
        wait_ms = 0;
    }
}

evs_status evs__kafka_source_commit(void *source,
                                    const uint32_t *topics,
                                    const int32_t *partitions,
                                    const int64_t *offsets,
                                    size_t count,
                                    evs_error **reterr)
{
    kafka_source *s = source;
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t code;
    int64_t deadline = evs__kafka_clock_ms() + 100;

    if (!s->group)
        return EVS_OK;
    if (!s->connected)
        return EVS_AGAIN; /* the next commit tells more; see leave_group() */
    list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        kafka_partition *p = evs__kafka_partition(s, topics[i], partitions[i]);
        if (p && p->assigned && offsets[i] >= 0)
            rd_kafka_topic_partition_list_add(list, s->topics[topics[i]].name, partitions[i])
                ->offset = offsets[i];
    }
    code = list->cnt ? rd_kafka_commit_queue(s->rk, list, s->commits, NULL, NULL)
                     : RD_KAFKA_RESP_ERR__NO_OFFSET;
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR__NO_OFFSET)
        return EVS_OK;
    if (code)
        return evs__kafka_fail(s->ctx, reterr, code, "commit of group offsets");
    s->commits_pending++;
    while (s->commits_pending > 0 && evs__kafka_clock_ms() < deadline)
        evs__kafka_serve_commits(s, 5);
    return s->commits_pending > 0 ? EVS_AGAIN : EVS_OK;
}

evs_status evs__kafka_source_committed(
    void *source, uint32_t topic, int32_t partition, int64_t *ret_offset, evs_error **reterr)
{
    kafka_source *s = source;
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t code;

    *ret_offset = -1;
    if (!s->group)
        return EVS_OK;
    if (!evs__kafka_partition(s, topic, partition))
        return no_partition(s, topic, partition, reterr);
    list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, s->topics[topic].name, partition);
    code = rd_kafka_committed(s->rk, list, 10000);
    if (!code && list->elems[0].offset >= 0)
        *ret_offset = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    return code ? evs__kafka_fail(s->ctx, reterr, code, "committed offsets of the group") : EVS_OK;
}
