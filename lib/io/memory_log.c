/*
 * io/memory_log.c: the log behind io/memory.h. See there.
 *
 * Each partition is a singly linked list, appended at its end and trimmed at its front; finding an
 * offset walks it, which happens after a seek only. One lock a log: appends are a few pointers.
 */
#include <string.h>

#include "io/memory.h"

#define NAME_MAX_LEN 200

static evs_status nomem(evs_context *ctx, evs_error **reterr)
{
    return evs_error_set(ctx, reterr, EVS_ERR_NOMEM, "out of memory");
}

evs_status evs__log_new(evs_context *ctx,
                        int32_t partitions,
                        int64_t rows_max,
                        evs__memory_log **ret,
                        evs_error **reterr)
{
    evs__memory_log *log = evs_alloc_array(ctx, 1, sizeof(*log));
    if (!log)
        return nomem(ctx, reterr);
    log->ctx = ctx;
    log->partition_count = partitions;
    log->rows_max = rows_max;
    pthread_mutex_init(&log->lock, NULL);
    log->partitions = evs_alloc_array(ctx, (size_t)partitions, sizeof(*log->partitions));
    if (!log->partitions) {
        evs__log_free(ctx, log);
        return nomem(ctx, reterr);
    }
    *ret = log;
    return EVS_OK;
}

void evs__log_entry_unref(evs__log_entry *e)
{
    if (!e || atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) != 1)
        return;
    evs_batch_unref(e->batch);
    evs_free(e->ctx, e);
}

void evs__log_free(evs_context *ctx, void *value)
{
    evs__memory_log *log = value;
    evs__log_entry *next;

    if (!log)
        return;
    for (int32_t i = 0; log->partitions && i < log->partition_count; i++) {
        for (evs__log_entry *e = log->partitions[i].first; e; e = next) {
            next = e->next;
            evs__log_entry_unref(e);
        }
    }
    evs_schema_unref(log->schema);
    pthread_mutex_destroy(&log->lock);
    evs_free(ctx, log->partitions);
    evs_free(ctx, log);
}

evs_status evs__log_named(evs_context *ctx,
                          const char *name,
                          int32_t partitions,
                          int64_t rows_max,
                          evs__memory_log **ret,
                          evs_error **reterr)
{
    static const char prefix[] = "memory.";
    char key[sizeof(prefix) + NAME_MAX_LEN];
    size_t len = strlen(name);
    evs__memory_log *log;
    evs_status status;

    if (!len || len > NAME_MAX_LEN)
        return evs_error_set(ctx, reterr, EVS_ERR_CONFIG,
                             "option \"name\": 1 to %d bytes are allowed", NAME_MAX_LEN);
    memcpy(key, prefix, sizeof(prefix) - 1);
    memcpy(key + sizeof(prefix) - 1, name, len + 1);
    if ((*ret = evs_context_attached(ctx, key)))
        return EVS_OK;
    status = evs__log_new(ctx, partitions, rows_max, &log, reterr);
    if (status)
        return status;
    status = evs_context_attach(ctx, key, log, evs__log_free, NULL);
    if (!status) {
        *ret = log;
        return EVS_OK;
    }
    evs__log_free(ctx, log);
    /* another thread was faster */
    *ret = status == EVS_ERR_MISUSE ? evs_context_attached(ctx, key) : NULL;
    return *ret ? EVS_OK : nomem(ctx, reterr);
}

static evs__log_entry *entry_of_input(evs_context *ctx, const evs_input *in)
{
    size_t key_len = in->key ? in->key_len : 0;
    size_t value_len = in->value ? in->value_len : 0;
    evs__log_entry *e = evs_alloc(ctx, sizeof(*e) + value_len + key_len);
    if (!e)
        return NULL;
    *e = (evs__log_entry){.ctx = ctx,
                          .rows = 1,
                          .timestamp = in->timestamp,
                          .value_len = (uint32_t)value_len,
                          .key_len = (uint32_t)key_len,
                          .has_value = in->value != NULL,
                          .has_key = in->key != NULL};
    if (value_len)
        memcpy(e->bytes, in->value, value_len);
    if (key_len)
        memcpy(e->bytes + value_len, in->key, key_len);
    return e;
}

static evs__log_entry *entry_of_batch(evs_context *ctx, evs_batch *batch)
{
    evs__log_entry *e = evs_alloc_array(ctx, 1, sizeof(*e));
    if (!e)
        return NULL;
    e->ctx = ctx;
    e->batch = evs_batch_ref(batch);
    e->rows = (int64_t)evs_batch_rows(batch);
    return e;
}

static void wake_all(evs__memory_log *log)
{
    pthread_mutex_lock(&log->lock);
    for (evs__log_listener *l = log->listeners; l; l = l->next)
        l->host->wake(l->host->runtime);
    pthread_mutex_unlock(&log->lock);
}

evs_status evs__log_append(evs__memory_log *log,
                           const evs_input *input,
                           evs_batch *batch,
                           int32_t partition,
                           evs_error **reterr)
{
    evs__log_partition *p;
    evs__log_entry *e;
    evs_status status = EVS_OK;

    if (partition < 0 || partition >= log->partition_count)
        return evs_error_set(log->ctx, reterr, EVS_ERR_INVALID,
                             "partition %d: there are %d (option \"partitions\")", partition,
                             log->partition_count);
    e = input ? entry_of_input(log->ctx, input) : entry_of_batch(log->ctx, batch);
    if (!e)
        return nomem(log->ctx, reterr);
    atomic_init(&e->refs, 1);
    p = &log->partitions[partition];
    pthread_mutex_lock(&log->lock);
    if (log->ended) {
        status = EVS_ERR_MISUSE;
    } else if (log->rows && log->rows + e->rows > log->rows_max) {
        status = EVS_AGAIN;
    } else {
        e->offset = p->end;
        p->end += e->rows;
        log->rows += e->rows;
        *(p->last ? &p->last->next : &p->first) = e;
        p->last = e;
    }
    pthread_mutex_unlock(&log->lock);
    if (status) {
        evs__log_entry_unref(e);
        return status == EVS_AGAIN ? status
                                   : evs_error_set(log->ctx, reterr, status,
                                                   "the end was told already: no more rows");
    }
    wake_all(log);
    return EVS_OK;
}

void evs__log_end(evs__memory_log *log)
{
    pthread_mutex_lock(&log->lock);
    log->ended = true;
    pthread_mutex_unlock(&log->lock);
    wake_all(log);
}

void evs__log_trim(evs__memory_log *log, int32_t partition, int64_t offset)
{
    evs__log_partition *p = &log->partitions[partition];
    evs__log_entry *e, *next, *stop;

    pthread_mutex_lock(&log->lock);
    e = stop = p->first;
    /* the last one stays: a reader that stands on it goes on from there */
    while (stop && stop->next && stop->offset + stop->rows <= offset) {
        log->rows -= stop->rows;
        stop = stop->next;
    }
    p->first = stop;
    pthread_mutex_unlock(&log->lock);
    for (; e != stop; e = next) {
        next = e->next;
        evs__log_entry_unref(e);
    }
}

static evs__log_entry *ref(evs__log_entry *e)
{
    if (e)
        atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    return e;
}

evs__log_entry *evs__log_at(evs__memory_log *log, int32_t partition, int64_t offset)
{
    evs__log_entry *e;
    pthread_mutex_lock(&log->lock);
    e = log->partitions[partition].first;
    while (e && e->offset + e->rows <= offset)
        e = e->next;
    ref(e);
    pthread_mutex_unlock(&log->lock);
    return e;
}

evs__log_entry *evs__log_next(evs__memory_log *log, evs__log_entry *entry)
{
    evs__log_entry *e;
    pthread_mutex_lock(&log->lock);
    e = ref(entry->next);
    pthread_mutex_unlock(&log->lock);
    return e;
}
