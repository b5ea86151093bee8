/*
 * runtime/sink_handle.c: a sink without a pipeline: any connector's sink behind four calls.
 *
 * It is the sink as it is: no queue, no retry; EVS_AGAIN and retriable failures are the host's to
 * handle. Writes since the last commit are undone at close where the sink can.
 */
#include "codec/codec.h"
#include "runtime/runtime.h"

#define FLUSH_TIMEOUT_MS 30000

struct evs_sink_handle {
    evs_context *ctx;
    const evs_sink_functions *fn;
    void *sink;
    evs_config *config;
    evs_schema *schema;
    evs_sink_identity identity;
    bool written;      /* since the last commit */
    evs_error *failed; /* first row that can never be written, in a write */
};

static const evs_option_info options_table[] = {
    {"application.id", "evs_sink_open", NULL,
     "Whose epochs a transactional sink keeps (evs_sink_recover)", "0.1", 0, 0, EVS_OPTION_STRING,
     0},
    {NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0},
};

static evs_status make_config(evs_sink_handle *s,
                              const evs_connector *connector,
                              const evs_options *options,
                              evs_error **reterr)
{
    const evs_option_info *tables[] = {connector->sink->options, evs__codec_option_table,
                                       options_table};
    evs__buffer what, prefix;
    evs_status status;

    evs__buffer_init(&what, s->ctx, 1024);
    evs__buffer_init(&prefix, s->ctx, 1024);
    evs__buffer_printf(&what, "sink \"%s\"", connector->name);
    evs__buffer_printf(&prefix, "%s.", connector->name);
    if (!evs__buffer_cstr(&what) || !evs__buffer_cstr(&prefix))
        status = evs__nomem(reterr);
    else
        status = evs__config_new(s->ctx, what.data, tables, 3, prefix.data, &s->config, reterr);
    if (!status)
        status = evs__config_set_all(s->config, options, reterr);
    evs__buffer_free(&what);
    evs__buffer_free(&prefix);
    return status;
}

evs_status evs_sink_open(evs_context *context,
                         const char *connector,
                         const evs_options *options,
                         evs_schema *schema,
                         int32_t key_count,
                         evs_sink_handle **ret_sink,
                         evs_error **reterr)
{
    static const evs_options none = {NULL, 0};
    const evs_connector *c;
    evs_sink_handle *s = NULL;
    evs_error *e = NULL;
    evs_status status;

    if (!context || !connector || !schema || !ret_sink)
        return evs__fail(context, reterr, EVS_ERR_INVALID,
                         "context, connector, schema or ret_sink is NULL");
    if (key_count < 0 || (uint32_t)key_count > evs_schema_type(schema)->child_count)
        return evs__fail(context, reterr, EVS_ERR_INVALID, "%d key columns of %u columns",
                         key_count, evs_schema_type(schema)->child_count);
    c = evs__connector_find(context, connector, &e);
    if (!c)
        return evs__error_move(reterr, e);
    if (!c->sink)
        return evs__fail(context, reterr, EVS_ERR_UNSUPPORTED, "connector \"%s\" is no sink",
                         connector);
    s = evs__calloc(context, 1, sizeof(*s));
    if (!s)
        return evs__nomem(reterr);
    s->ctx = evs_context_ref(context);
    s->fn = c->sink;
    s->schema = evs_schema_ref(schema);
    status = make_config(s, c, options ? options : &none, reterr);
    if (!status) {
        s->identity =
            (evs_sink_identity){.application_id = evs_config_string(s->config, "application.id"),
                                .sink_name = c->name,
                                .task = -1,
                                .key_count = key_count};
        status = s->fn->open(context, s->config, schema, &s->identity, &s->sink, reterr);
        if (status)
            s->sink = NULL;
    }
    if (status)
        evs_sink_close(s);
    else
        *ret_sink = s;
    return status;
}

static void on_failed(size_t row, evs_status status, const char *message, void *user_data)
{
    evs_sink_handle *s = user_data;
    if (!s->failed)
        evs__fail(s->ctx, &s->failed, status, "row %zu: %s", row, message);
}

evs_status evs_sink_write(evs_sink_handle *sink, evs_batch *batch, evs_error **reterr)
{
    evs_error *failed;
    evs_status status;

    if (!sink || !batch)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "sink or batch is NULL");
    if (!evs__type_same_shape(batch->type, evs_schema_type(sink->schema)))
        return evs__fail(
            sink->ctx, reterr, EVS_ERR_TYPE, "the sink takes rows of %s, these are of %s",
            evs_type_print(evs_schema_type(sink->schema)), evs_type_print(batch->type));
    status = sink->fn->write(sink->sink, batch, on_failed, sink, reterr);
    failed = sink->failed;
    sink->failed = NULL;
    if (status == EVS_OK) {
        sink->written = true;
        return failed ? evs__error_move(reterr, failed) : EVS_OK;
    }
    evs_error_unref(failed);
    return status;
}

static void
on_refused(const evs_input *message, evs_status status, const char *reason, void *user_data)
{
    evs_sink_handle *s = user_data;
    (void)message;
    if (!s->failed)
        evs__fail(s->ctx, &s->failed, status, "%s", reason);
}

static void take_refused(evs_sink_handle *sink)
{
    if (sink->fn->struct_size > offsetof(evs_sink_functions, refused) && sink->fn->refused)
        sink->fn->refused(sink->sink, on_refused, sink);
}

static evs_status flush(evs_sink_handle *sink, evs_error **reterr)
{
    int64_t deadline = evs__monotonic_ms() + FLUSH_TIMEOUT_MS;
    evs_status status = sink->fn->flush ? EVS_AGAIN : EVS_OK;

    while (status == EVS_AGAIN) {
        int64_t left = deadline - evs__monotonic_ms(), next = -1;
        if (left <= 0)
            return evs__fail(sink->ctx, reterr, EVS_ERR_TIMEOUT, "not flushed within %d ms",
                             FLUSH_TIMEOUT_MS);
        if (sink->fn->poll &&
            (status = sink->fn->poll(sink->sink, evs__monotonic_ms(), &next, reterr)))
            return status;
        status = sink->fn->flush(sink->sink, left < 100 ? left : 100, reterr);
    }
    return status;
}

evs_status evs_sink_commit(evs_sink_handle *sink, int64_t epoch, evs_error **reterr)
{
    evs_error *failed;
    evs_status status;
    if (!sink)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "sink is NULL");
    status = flush(sink, reterr);
    take_refused(sink);
    if (!status && sink->fn->commit)
        status = sink->fn->commit(sink->sink, epoch, "", reterr);
    failed = sink->failed;
    sink->failed = NULL;
    if (status) {
        evs_error_unref(failed);
        return status;
    }
    sink->written = false;
    return failed ? evs__error_move(reterr, failed) : EVS_OK;
}

evs_status evs_sink_recover(evs_sink_handle *sink, int64_t *ret_epoch, evs_error **reterr)
{
    const char *offsets = NULL;
    int64_t epoch = -1;
    evs_status status = EVS_OK;
    if (!sink || !ret_epoch)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "sink or ret_epoch is NULL");
    if (sink->fn->recover)
        status = sink->fn->recover(sink->sink, &epoch, &offsets, reterr);
    if (!status)
        *ret_epoch = epoch;
    return status;
}

evs_sink_handle *evs_sink_close(evs_sink_handle *sink)
{
    evs_context *ctx;
    if (!sink)
        return NULL;
    ctx = sink->ctx;
    if (sink->sink && sink->written && sink->fn->abort)
        sink->fn->abort(sink->sink, NULL);
    if (sink->sink)
        sink->fn->close(sink->sink);
    evs__config_unref(sink->config);
    evs_schema_unref(sink->schema);
    evs__free(ctx, sink);
    evs_context_unref(ctx);
    return NULL;
}
