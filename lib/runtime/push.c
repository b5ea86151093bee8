/*
 * runtime/push.c: rows and events from the host into a memory or callback source.
 *
 * The first push opens the pipeline as the first poll would. Sources that take pushes are opened
 * before all others, in threaded mode by evs_pipeline_start() itself: what is pushed while the rest
 * still connects waits in the connector.
 */
#include "runtime/runtime.h"

static evs_status find(evs_stream *stream, evs__source **ret, evs_error **reterr)
{
    evs_pipeline *pipeline;
    evs__runtime *rt;
    evs_error *e = NULL;
    evs__phase phase;
    evs_status status;

    if (!stream || !stream->plan)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "source is NULL");
    pipeline = (evs_pipeline *)stream->plan; /* its first member */
    if (!pipeline->runtime && (status = evs__runtime_new(pipeline, reterr)))
        return status;
    rt = pipeline->runtime;
    if (stream->kind != EVS__NODE_SOURCE || !stream->connector->source->push)
        return evs__fail(rt->ctx, reterr, EVS_ERR_UNSUPPORTED,
                         "step \"%s\" takes no rows from the host", stream->name);
    phase = evs__runtime_phase(rt);
    if (!rt->threaded && phase == EVS__PHASE_OPENING) {
        if ((status = evs__enter(rt, "a push into a pipeline that opens", reterr)))
            return status;
        status = evs__runtime_open(rt, &e);
        evs__leave(rt);
        if (status < 0) {
            evs__runtime_fail(rt, evs__error_ref(e));
            return evs__error_move(reterr, e);
        }
    }
    if (phase > EVS__PHASE_ENDING)
        return phase == EVS__PHASE_FAILED
                   ? evs__error_move(reterr, evs__error_ref(rt->error))
                   : evs__fail(rt->ctx, reterr, EVS_ERR_MISUSE, "the pipeline was stopped");
    for (uint32_t i = 0; i < rt->source_count; i++) {
        if (rt->sources[i].node == stream)
            *ret = &rt->sources[i];
    }
    return EVS_OK;
}

static evs_status hand_in(evs_stream *stream,
                          const evs_input *input,
                          evs_batch *batch,
                          int32_t partition,
                          evs_error **reterr)
{
    evs__source *s = NULL;
    evs_status status = find(stream, &s, reterr);
    if (status)
        return status;
    pthread_mutex_lock(&s->lock);
    /* a source whose opening failed, and is tried again */
    status = s->handle ? s->fn->push(s->handle, input, batch, partition, reterr) : EVS_AGAIN;
    pthread_mutex_unlock(&s->lock);
    return status;
}

evs_status
evs_stream_push(evs_stream *source, evs_batch *batch, int32_t partition, evs_error **reterr)
{
    evs_batch *kept = NULL;
    evs_status status;

    if (!batch)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "batch is NULL");
    status = evs_batch_keep(batch, &kept, reterr);
    if (!status)
        status = hand_in(source, NULL, kept, partition, reterr);
    evs_batch_unref(kept);
    return status;
}

evs_status evs_stream_push_bytes(evs_stream *source,
                                 const void *value,
                                 size_t value_len,
                                 const void *key,
                                 size_t key_len,
                                 int64_t timestamp_ms,
                                 int32_t partition,
                                 evs_error **reterr)
{
    evs_input input = {.value = value,
                       .key = key,
                       .offset = -1,
                       .timestamp = timestamp_ms,
                       .value_len = (uint32_t)value_len,
                       .key_len = (uint32_t)key_len,
                       .partition = partition};
    if (value_len > UINT32_MAX || key_len > UINT32_MAX)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "value or key is 4 GiB or larger");
    return hand_in(source, &input, NULL, partition, reterr);
}

evs_status evs_stream_push_end(evs_stream *source, evs_error **reterr)
{
    return hand_in(source, NULL, NULL, 0, reterr);
}
