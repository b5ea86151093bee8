/*
 * runtime/recover.c: where a pipeline goes on: at start, and after an epoch that was given up.
 *
 * Who says which epoch is the last one:
 *   transactional sink   the epoch in its own tables; the folder must have that epoch's snapshot
 *                        (N, or N-1 after a crash between snapshot and the sink's commit). Without
 * a folder the offsets it keeps beside its epoch are the positions. else state.dir       the newest
 * snapshot; one that is damaged is told, never skipped in silence else                 the sources'
 * own positions (consumer group)
 */
#include "runtime/snapshot.h"

#define IMAGE_MAX ((size_t)16 << 30)

static evs_status load_file(evs__runtime *rt, int64_t epoch, bool positions, evs_error **reterr)
{
    evs__buffer image;
    evs__buffer what;
    int64_t loaded = 0;
    evs_status status;

    evs__buffer_init(&image, rt->ctx, IMAGE_MAX);
    evs__buffer_init(&what, rt->ctx, 1 << 16);
    status = evs__store_read(rt->store, epoch, &image, reterr);
    if (!status) {
        const char *path = evs__store_path(rt->store, epoch);
        evs__buffer_printf(&what, "snapshot \"%s\"", path ? path : "");
        status = evs__buffer_cstr(&what) ? EVS_OK : evs__nomem(reterr);
    }
    if (!status)
        status = evs__image_load(rt, image.data, image.len, positions, what.data, &loaded, reterr);
    if (!status && loaded != epoch)
        status = evs__fail(rt->ctx, reterr, EVS_ERR_CORRUPT, "%s holds epoch %lld: was it renamed?",
                           what.data, (long long)loaded);
    evs__buffer_free(&image);
    evs__buffer_free(&what);
    return status;
}

/* the folder against what the sink says; *ret_epoch 0: begin anew */
static evs_status
epoch_of_authority(evs__runtime *rt, int64_t sink_epoch, int64_t *ret_epoch, evs_error **reterr)
{
    const char *sink = rt->authority->node->name;
    int64_t newest = 0, before = 0;
    evs_status status = evs__store_epochs(rt->store, &newest, &before, reterr);

    if (status)
        return status;
    *ret_epoch = sink_epoch > 0 ? sink_epoch : 0;
    if (newest == *ret_epoch || before == *ret_epoch || (!*ret_epoch && newest <= 1))
        return EVS_OK;
    if (!*ret_epoch)
        return evs__fail(
            rt->ctx, reterr, EVS_ERR_STATE,
            "step \"%s\" has no epoch of \"%s\", the state folder has epoch %lld: bring "
            "the sink's data back, or begin anew without the folder",
            sink, evs__plan_application_id(rt->plan), (long long)newest);
    return evs__fail(rt->ctx, reterr, EVS_ERR_STATE,
                     "step \"%s\" is at epoch %lld, the state folder's newest is %lld: bring the "
                     "folder of that epoch back, or begin anew with another application.id",
                     sink, (long long)*ret_epoch, (long long)newest);
}

static evs_status recover_authority(evs__runtime *rt, evs_error **reterr)
{
    evs__sink *s = rt->authority;
    const char *offsets = NULL;
    int64_t epoch = -1;
    evs_status status;

    pthread_mutex_lock(&s->lock);
    status = s->fn->recover(s->handle, &epoch, &offsets, reterr);
    pthread_mutex_unlock(&s->lock);
    if (status) {
        evs__node_prefix(s->node, reterr);
        return status;
    }
    if (rt->store) {
        status = epoch_of_authority(rt, epoch, &rt->epoch, reterr);
        return status || !rt->epoch ? status : load_file(rt, rt->epoch, true, reterr);
    }
    if (epoch < 0)
        return EVS_OK;
    rt->epoch = epoch;
    if (offsets)
        status = evs__offsets_load(rt, offsets, "offsets in the sink", reterr);
    if (!status && evs__plan_has_state(rt->plan))
        evs__log(rt->ctx, EVS_LOG_WARNING, "recovery",
                 "no state.dir: windows that were open at epoch %lld begin again, empty",
                 (long long)epoch);
    return status;
}

/* the epoch that hooks keep in place of a folder; *ret_epoch 0: none */
static evs_status
load_kept(evs__runtime *rt, bool positions, int64_t *ret_epoch, evs_error **reterr)
{
    const void *image = NULL;
    size_t len = 0;
    int64_t epoch = rt->hooks.kept(rt->hooks.user, &image, &len);
    evs_status status = EVS_OK;

    if (epoch)
        status = evs__image_load(rt, image, len, positions, "the last epoch", ret_epoch, reterr);
    return status;
}

evs_status evs__recover(evs__runtime *rt, evs_error **reterr)
{
    int64_t newest = 0, before = 0;
    evs_status status = EVS_OK;

    if (rt->authority) {
        status = recover_authority(rt, reterr);
    } else if (rt->hooks.kept) {
        status = load_kept(rt, true, &rt->epoch, reterr);
    } else if (rt->store) {
        status = evs__store_epochs(rt->store, &newest, &before, reterr);
        if (!status && newest)
            status = load_file(rt, newest, true, reterr);
        if (!status)
            rt->epoch = newest;
    }
    if (status)
        return status;
    evs__metric_set(rt->epoch_gauge, (double)rt->epoch);
    if (rt->epoch)
        evs__log(rt->ctx, EVS_LOG_INFO, "recovery", "going on after epoch %lld",
                 (long long)rt->epoch);
    rt->recovered = true;
    return EVS_OK;
}

/* ---- back to the last epoch ---- */

static evs_status restore_state(evs__runtime *rt, evs_error **reterr)
{
    int64_t epoch;

    if (!evs__plan_has_state(rt->plan))
        return EVS_OK;
    /* a pipeline that started without an epoch began with empty windows */
    if (!rt->committed && !((rt->store || rt->hooks.kept) && rt->epoch)) {
        evs__stages_reset(rt);
        return EVS_OK;
    }
    if (rt->store)
        return load_file(rt, rt->epoch, false, reterr);
    if (rt->hooks.kept)
        return load_kept(rt, false, &epoch, reterr);
    if (rt->keep_image)
        return evs__image_load(rt, rt->image.data, rt->image.len, false, "the last epoch in memory",
                               &epoch, reterr);
    return evs__fail(rt->ctx, reterr, EVS_ERR_STATE,
                     "the state of epoch %lld cannot be brought back: there is no state.dir",
                     (long long)rt->epoch);
}

evs_status evs__rollback(evs__runtime *rt, uint32_t *at, evs_error **reterr)
{
    evs_status status;

    for (; *at < rt->sink_count; ++*at) {
        if ((status = evs__sink_abort(&rt->sinks[*at], reterr)))
            return status;
    }
    status = restore_state(rt, reterr);
    for (uint32_t n = 0; n < rt->plan->node_count; n++) {
        for (uint32_t i = 0; rt->stages[n] && i < rt->stages[n]->shard_count; i++)
            evs__shard_restored(&rt->stages[n]->shards[i]);
    }
    for (uint32_t i = 0; !status && i < rt->source_count; i++)
        status = evs__source_seek_back(&rt->sources[i], reterr);
    if (status)
        return status;
    pthread_mutex_lock(&rt->lock);
    if (rt->phase == EVS__PHASE_ENDING)
        rt->phase = EVS__PHASE_RUNNING;
    pthread_mutex_unlock(&rt->lock);
    rt->windows_ended = false;
    atomic_store(&rt->dirty, false);
    return EVS_OK;
}
