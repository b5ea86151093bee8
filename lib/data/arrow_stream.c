/*
 * data/arrow_stream.c: batches as an Arrow stream (Arrow C Stream Interface).
 *
 * The batches are there before the stream is: it is a list with a position, and none of its
 * callbacks runs code of the host. That matters: an interpreter's consumer releases streams while
 * an exception is on its way, when host code must not run.
 *
 *   stream = [ list: type, next, count, batches... ]
 *
 * A batch is let go when its array was given: the array holds it from then on. The list is made
 * with the context's allocator and holds it, as the arrays do.
 */
#include <errno.h>

#include "data/arrow.h"

typedef struct list {
    evs_context *ctx;
    evs_type *type;
    bool with_meta;
    const char *error; /* constant text, or NULL */
    size_t next, count;
    evs_batch *batches[];
} list;

static int failed(list *l, evs_status status)
{
    l->error = evs_status_text(status);
    return status == EVS_ERR_NOMEM ? ENOMEM : EINVAL;
}

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *ret)
{
    list *l = stream->private_data;
    evs_status status = evs__arrow_export_type(l->type, l->with_meta, ret);

    return status ? failed(l, status) : 0;
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *ret)
{
    list *l = stream->private_data;
    evs_status status;

    if (l->next == l->count) {
        *ret = (struct ArrowArray){.release = NULL}; /* the end */
        return 0;
    }
    status = evs_batch_export_arrow(l->batches[l->next], l->with_meta, NULL, ret, NULL);
    if (status)
        return failed(l, status);
    l->batches[l->next] = evs_batch_unref(l->batches[l->next]);
    l->next++;
    return 0;
}

static const char *get_last_error(struct ArrowArrayStream *stream)
{
    const list *l = stream->private_data;

    return l->error;
}

static void release(struct ArrowArrayStream *stream)
{
    list *l = stream->private_data;
    evs_context *ctx = l->ctx;

    for (size_t i = l->next; i < l->count; i++)
        evs_batch_unref(l->batches[i]);
    evs_type_unref(l->type);
    evs__free(ctx, l);
    stream->release = NULL;
    evs__context_drop(ctx);
}

static evs_status check(const evs_type *type, evs_batch *const *batches, size_t count)
{
    if (!type || type->id != EVS_TYPE_STRUCT || (count && !batches))
        return EVS_ERR_INVALID;
    for (size_t i = 0; i < count; i++) {
        if (!batches[i])
            return EVS_ERR_INVALID;
        if (!evs_type_equal(type, batches[i]->type))
            return EVS_ERR_TYPE;
    }
    return EVS_OK;
}

evs_status evs_batches_export_arrow(const evs_type *type,
                                    evs_batch *const *batches,
                                    size_t count,
                                    bool with_meta,
                                    struct ArrowArrayStream *ret_stream,
                                    evs_error **reterr)
{
    evs_status status = ret_stream ? check(type, batches, count) : EVS_ERR_INVALID;
    size_t bytes;
    list *l;

    if (status)
        return evs__fail(NULL, reterr, status,
                         status == EVS_ERR_TYPE
                             ? "a batch is of another type than the stream"
                             : "ret_stream or a batch is NULL, or type is no STRUCT");
    if (evs__mul_overflow(count, sizeof(evs_batch *), &bytes) ||
        evs__add_overflow(bytes, sizeof(*l), &bytes))
        return evs__nomem(reterr);
    l = evs__alloc(type->ctx, bytes);
    if (!l)
        return evs__nomem(reterr);
    l->ctx = evs__context_hold(type->ctx);
    l->type = evs_type_ref(type);
    l->with_meta = with_meta;
    l->error = NULL;
    l->next = 0;
    l->count = count;
    for (size_t i = 0; i < count; i++)
        l->batches[i] = evs_batch_ref(batches[i]);
    *ret_stream = (struct ArrowArrayStream){
        .get_schema = get_schema,
        .get_next = get_next,
        .get_last_error = get_last_error,
        .release = release,
        .private_data = l,
    };
    return EVS_OK;
}
