/*
 * 11: a sink of one's own: one struct of functions, registered under a name; from then on it is
 * used like a built-in one.
 */
#include "sample.h"

struct tally {
    evs_context *ctx;
    const char *label;
    size_t rows;
};

static const evs_option_info options[] = {
    {"label", "tally", NULL, "Word in front of the count", "1.0", 0, 0, EVS_OPTION_STRING, 0},
    {0},
};

static evs_status tally_open(evs_context *ctx,
                             const evs_config *config,
                             evs_schema *schema,
                             const evs_sink_identity *identity,
                             void **ret_sink,
                             evs_error **reterr)
{
    struct tally *t = evs_alloc_array(ctx, 1, sizeof(*t));
    (void)schema;
    (void)identity;
    if (!t)
        return evs_error_set(ctx, reterr, EVS_ERR_NOMEM, "out of memory");
    t->ctx = ctx;
    t->label = evs_config_string(config, "label");
    *ret_sink = t;
    return EVS_OK;
}

static evs_status tally_write(
    void *sink, evs_batch *batch, evs_decode_failed_fn failed, void *user_data, evs_error **reterr)
{
    struct tally *t = sink;
    (void)failed;
    (void)user_data;
    (void)reterr;
    t->rows += evs_batch_rows(batch);
    return EVS_OK;
}

static void tally_close(void *sink)
{
    struct tally *t = sink;
    printf("%s: %zu rows\n", t->label, t->rows);
    evs_free(t->ctx, t);
}

static const evs_sink_functions functions = {
    .struct_size = sizeof(evs_sink_functions),
    .options = options,
    .guarantee = EVS_GUARANTEE_AT_LEAST_ONCE,
    .open = tally_open,
    .write = tally_write,
    .close = tally_close,
};

static const evs_connector tally = {.struct_size = sizeof(evs_connector),
                                    .name = "tally",
                                    .doc = "Counts rows",
                                    .sink = &functions};

int main(void)
{
    evs_context *ctx = NULL;
    evs_pipeline *p = NULL;
    evs_stream *views;
    evs_error *err = NULL;
    evs_status status;
    char json[512], key[64];

    if (evs_context_new(NULL, &ctx, &err) || evs_connector_register(ctx, &tally, &err) ||
        evs_pipeline_new(ctx, "own-sink", &p, &err))
        return sample_fail(err);
    views = evs_source(p, "memory",
                       EVS_OPTIONS("format", "json", "columns", "page VARCHAR, device VARCHAR"));
    evs_sink(evs_filter(views, "device <> 'bot'"), "tally", EVS_OPTIONS("label", "views"));
    for (int i = 0; i < 100; i++) {
        sample_page_view(i, json, key);
        if (evs_stream_push_bytes(views, json, strlen(json), NULL, 0, SAMPLE_START_MS, 0, &err))
            return sample_fail(err);
    }
    evs_stream_push_end(views, NULL);
    do {
        status = evs_pipeline_poll(p, 100, &err);
    } while (status == EVS_OK || status == EVS_AGAIN);
    if (status == EVS_END)
        status = evs_pipeline_close(p, &err);
    evs_pipeline_unref(p);
    evs_context_unref(ctx);
    return status ? sample_fail(err) : 0;
}
