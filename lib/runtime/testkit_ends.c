/*
 * runtime/testkit_ends.c: memory ends in place of a plan's connectors.
 *
 * A stand-in has the options of the connector it stands for, so that a pipeline is checked as ever,
 * and functions over memory of the kit: a source reads the end's log by the memory connector's own
 * code, a sink keeps references to its batches. The functions find their end through the runtime's
 * object that they were opened for.
 *
 * Rows of a sink are of an epoch when the snapshot of that epoch is kept; a crash takes back the
 * others. So a stand-in gives what the best of real sinks give, whatever the real one promises.
 */
#include "runtime/testkit.h"

#define LOG_ROWS_MAX INT64_C(0x7fffffff)

static evs_testkit *kit_of(const evs__runtime *rt)
{
    return rt->pipeline->testkit;
}

evs__kit_end *evs__kit_end_of(const evs_testkit *kit, const evs__node *node)
{
    evs__kit_end *end = kit->ends;
    while (end && end->node != node)
        end = end->next;
    return end;
}

/* ---- source ---- */

static evs_status source_open(evs_context *context,
                              const evs_config *config,
                              const evs_source_host *host,
                              void **ret_source,
                              evs_error **reterr)
{
    const evs__source *s = host->runtime; /* source.c opens it for that */
    evs__kit_end *end = evs__kit_end_of(kit_of(s->rt), s->node);
    const char *topic = evs_config_string(config, "topic");

    end->topic = topic ? topic : s->node->name;
    return evs__memory_source_over(context, end->log, end->topic, host, ret_source, reterr);
}

/* ---- sink ---- */

static evs_status sink_open(evs_context *context,
                            const evs_config *config,
                            evs_schema *schema,
                            const evs_sink_identity *identity,
                            void **ret_sink,
                            evs_error **reterr)
{
    /* sink.c opens it with the identity that is part of it */
    const evs__sink *s =
        (const evs__sink *)((const char *)identity - offsetof(evs__sink, identity));
    evs__kit_end *end = evs__kit_end_of(kit_of(s->rt), s->node);
    evs_status status = EVS_OK;

    (void)config;
    if (!end->text)
        status =
            evs_encoder_new(context, evs_schema_type(schema), NULL,
                            EVS_OPTIONS("format", "json", "framing", "none"), &end->text, reterr);
    *ret_sink = end;
    return status;
}

static evs_status sink_reserve(evs__kit_end *end, size_t more)
{
    size_t capacity = end->capacity ? end->capacity : 64;
    evs__kit_row *rows;

    while (capacity < end->count + more)
        capacity *= 2;
    if (capacity == end->capacity)
        return EVS_OK;
    rows = evs__realloc_array(end->ctx, end->rows, capacity, sizeof(*rows));
    if (!rows)
        return EVS_ERR_NOMEM;
    end->rows = rows;
    end->capacity = capacity;
    return EVS_OK;
}

static evs_status sink_write(
    void *sink, evs_batch *batch, evs_decode_failed_fn failed, void *user_data, evs_error **reterr)
{
    evs__kit_end *end = sink;
    evs_batch *kept = NULL;
    size_t n = evs_batch_rows(batch);
    evs_status status = evs_batch_keep(batch, &kept, reterr);

    (void)failed;
    (void)user_data;
    if (!status && sink_reserve(end, n))
        status = evs__nomem(reterr);
    for (size_t i = 0; i < n && !status; i++) {
        evs_row row = evs_batch_row(kept, i);
        end->rows[end->count++] = (evs__kit_row){evs_batch_ref(kept), row.index, false};
    }
    evs_batch_unref(kept);
    return status;
}

static void sink_close(void *sink)
{
    (void)sink; /* the end stays */
}

/* ---- ends ---- */

static void take_back(evs__kit_end *end, size_t count)
{
    while (end->count > count)
        evs_batch_unref(end->rows[--end->count].batch);
}

void evs__kit_ends_crash(evs_testkit *kit)
{
    for (evs__kit_end *end = kit->ends; end; end = end->next)
        take_back(end, end->kept);
}

void evs__kit_ends_keep(evs_testkit *kit)
{
    for (evs__kit_end *end = kit->ends; end; end = end->next)
        end->kept = end->count;
}

void evs__kit_ends_free(evs_testkit *kit)
{
    evs__kit_end *next;
    for (evs__kit_end *end = kit->ends; end; end = next) {
        next = end->next;
        take_back(end, 0);
        evs__free(kit->ctx, end->rows);
        evs_encoder_unref(end->text);
        evs_encoder_unref(end->encoder);
        evs_decoder_unref(end->json);
        if (end->log)
            evs__log_free(kit->ctx, end->log);
        evs__free(kit->ctx, end);
    }
    kit->ends = NULL;
}

static void fill(evs__kit_end *end, const evs__node *node)
{
    const evs_connector *real = node->connector;

    end->connector = *real;
    end->connector.source = NULL;
    end->connector.sink = NULL;
    if (node->kind == EVS__NODE_SOURCE) {
        end->source = evs__memory_source;
        end->source.options = real->source->options;
        end->source.open = source_open;
        end->source.push = NULL;
        end->connector.source = &end->source;
        return;
    }
    end->sink = (evs_sink_functions){.struct_size = sizeof(end->sink),
                                     .options = real->sink->options,
                                     .guarantee = EVS_GUARANTEE_IDEMPOTENT,
                                     .open = sink_open,
                                     .write = sink_write,
                                     .close = sink_close};
    end->connector.sink = &end->sink;
}

const evs_connector *evs__kit_stand_in(void *user, const evs__node *node)
{
    evs_testkit *kit = user;
    evs__kit_end *end = evs__kit_end_of(kit, node);

    if (!end) {
        end = evs__calloc(kit->ctx, 1, sizeof(*end));
        if (!end)
            return NULL;
        end->ctx = kit->ctx;
        end->node = node;
        end->next = kit->ends;
        kit->ends = end;
    }
    if (node->kind == EVS__NODE_SOURCE && !end->log &&
        evs__log_new(kit->ctx, 1, LOG_ROWS_MAX, &end->log, NULL))
        return NULL;
    /* events are not framed: there is no registry to ask for the id */
    if (node->kind == EVS__NODE_SOURCE && evs__config_set(node->config, "framing", "none", NULL))
        return NULL;
    fill(end, node);
    return &end->connector;
}
