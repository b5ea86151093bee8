/*
 * io/callback.c: the `callback` connector: rows that the host hands in (evs_stream_push) and that
 * nobody keeps. It is the memory source without its memory: what was read is gone, so it cannot go
 * back to an earlier position; an epoch that is given up is an error, and explain says so.
 */
#include "io/connectors.h"
#include "io/memory.h"

static evs_status callback_open(evs_context *context,
                                const evs_config *config,
                                const evs_source_host *host,
                                void **ret_source,
                                evs_error **reterr)
{
    return evs__memory_source_open(context, config, host, false, ret_source, reterr);
}

static const evs_option_info options[] = {
    {"partitions", "1", NULL, "Partitions of the rows", "0.1", 1, 4096, EVS_OPTION_INT, 0},
    {"rows.max", "1000000", NULL, "Rows that may wait for the next poll", "0.1", 1, 0x7fffffff,
     EVS_OPTION_INT, 0},
    {0},
};

/* the functions of memory but for seek and commit; an initialiser must be constant, so they are
 * wrapped */
static evs_status callback_describe(void *source,
                                    const char *const **ret_topics,
                                    const int32_t **ret_partitions,
                                    size_t *ret_count,
                                    evs_error **reterr)
{
    return evs__memory_source.describe(source, ret_topics, ret_partitions, ret_count, reterr);
}

static evs_status callback_identity(void *source, const char **ret_identity, evs_error **reterr)
{
    return evs__memory_source.identity(source, ret_identity, reterr);
}

static evs_status
callback_read(void *source, size_t max, int64_t wait_ms, evs_read *ret_read, evs_error **reterr)
{
    return evs__memory_source.read(source, max, wait_ms, ret_read, reterr);
}

static void callback_release(void *source, void *handle)
{
    evs__memory_source.release(source, handle);
}

static evs_partition_state callback_state(void *source, uint32_t topic, int32_t partition)
{
    return evs__memory_source.partition_state(source, topic, partition);
}

static int64_t callback_end_offset(void *source, uint32_t topic, int32_t partition)
{
    return evs__memory_source.end_offset(source, topic, partition);
}

static evs_status callback_push(
    void *source, const evs_input *input, evs_batch *batch, int32_t partition, evs_error **reterr)
{
    return evs__memory_source.push(source, input, batch, partition, reterr);
}

static void callback_close(void *source)
{
    evs__memory_source.close(source);
}

static const evs_source_functions callback_source = {
    .struct_size = sizeof(evs_source_functions),
    .options = options,
    .open = callback_open,
    .describe = callback_describe,
    .identity = callback_identity,
    .read = callback_read,
    .release = callback_release,
    .partition_state = callback_state,
    .end_offset = callback_end_offset,
    .push = callback_push,
    .close = callback_close,
};

const evs_connector evs__callback_connector = {
    .struct_size = sizeof(evs_connector),
    .name = "callback",
    .doc = "rows of the host that are not kept for a replay",
    .source = &callback_source,
};
