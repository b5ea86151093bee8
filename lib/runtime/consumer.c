/*
 * runtime/consumer.c: a plain loop over decoded rows of any source, without a pipeline.
 *
 * read -> decode -> batch, which is the host's until the next call; its events go back to the
 * connector then. Positions are counted for evs_consumer_commit() only. A source of ready columns
 * (Avro container file, memory) gives its batches as they are.
 */
#include <time.h>

#include "codec/codec.h"
#include "evstream/consumer.h"
#include "runtime/runtime.h"

#define IDLE_POLL_MS 100 /* connectors that do not wake are asked so often */

typedef struct position {
    uint32_t topic;
    int32_t partition;
    int64_t next;
} position;

struct evs_consumer {
    evs_context *ctx;
    const evs_connector *connector;
    evs_config *config;
    evs_source_host host;
    void *source;
    evs_schema *schema;
    evs_decoder *decoder;
    evs_consumer_failed_fn failed_fn;
    void *failed_data;
    uint64_t failed;
    evs_batch *batch; /* the host's until the next call */
    evs_read read;
    bool untaken; /* `read` is not decoded: the last poll failed */
    position *positions;
    size_t position_count;
    const evs_input *inputs; /* of the decode that goes on */
    pthread_mutex_t lock;    /* of `woken` */
    pthread_cond_t wake;
    bool woken;
};

static const evs_option_info options_table[] = {
    {"connector", "kafka", NULL, "Source to read from", "0.1", 0, 0, EVS_OPTION_STRING, 0},
    {NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0},
};

/* ---- host of the source ---- */

static int64_t on_assigned(void *runtime, uint32_t topic, int32_t partition)
{
    (void)runtime;
    (void)topic;
    (void)partition;
    return -1;
}

static void on_revoking(void *runtime, uint32_t topic, int32_t partition, bool lost)
{
    evs_consumer *c = runtime;
    (void)lost;
    /* what was read of it is not ours to commit any more */
    for (size_t i = 0; i < c->position_count; i++) {
        if (c->positions[i].topic == topic && c->positions[i].partition == partition)
            c->positions[i] = c->positions[--c->position_count];
    }
}

static void on_wake(void *runtime)
{
    evs_consumer *c = runtime;
    pthread_mutex_lock(&c->lock);
    c->woken = true;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
}

static void on_state(void *runtime, const char *state)
{
    evs_consumer *c = runtime;
    evs__log(c->ctx, EVS_LOG_DEBUG, "consumer", "%s", state);
}

/* up to `ms`, or until the source wakes us */
static void wait_for_wake(evs_consumer *c, int64_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&c->lock);
    while (!c->woken && pthread_cond_timedwait(&c->wake, &c->lock, &t) == 0)
        ;
    c->woken = false;
    pthread_mutex_unlock(&c->lock);
}

/* ---- making ---- */

static evs_status configure(evs_consumer *c, const evs_options *options, evs_error **reterr)
{
    const char *name = options ? evs_options_get(options, "connector") : NULL;
    const evs_option_info *tables[3] = {NULL, evs__codec_option_table, options_table};
    static const evs_options none = {NULL, 0};
    evs_error *e = NULL;
    evs__buffer what, prefix;
    evs_status status;

    c->connector = evs__connector_find(c->ctx, name ? name : "kafka", &e);
    if (!c->connector)
        return evs__error_move(reterr, e);
    if (!c->connector->source)
        return evs__fail(c->ctx, reterr, EVS_ERR_UNSUPPORTED, "connector \"%s\" is no source",
                         c->connector->name);
    tables[0] = c->connector->source->options;
    evs__buffer_init(&what, c->ctx, 1024);
    evs__buffer_init(&prefix, c->ctx, 1024);
    evs__buffer_printf(&what, "source \"%s\"", c->connector->name);
    evs__buffer_printf(&prefix, "%s.", c->connector->name);
    if (!evs__buffer_cstr(&what) || !evs__buffer_cstr(&prefix))
        status = evs__nomem(reterr);
    else
        status = evs__config_new(c->ctx, what.data, tables, 3, prefix.data, &c->config, reterr);
    if (!status)
        status = evs__config_set_all(c->config, options ? options : &none, reterr);
    evs__buffer_free(&what);
    evs__buffer_free(&prefix);
    return status;
}

static void init_wake(evs_consumer *c)
{
    pthread_condattr_t attr;
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->wake, &attr);
    pthread_condattr_destroy(&attr);
}

evs_status evs_consumer_new(evs_context *context,
                            const evs_options *options,
                            evs_schema *schema,
                            evs_consumer **ret_consumer,
                            evs_error **reterr)
{
    evs_consumer *c;
    evs_status status;

    if (!context || !ret_consumer)
        return evs__fail(context, reterr, EVS_ERR_INVALID, "context or ret_consumer is NULL");
    c = evs__calloc(context, 1, sizeof(*c));
    if (!c)
        return evs__nomem(reterr);
    c->ctx = evs_context_ref(context);
    init_wake(c);
    c->host = (evs_source_host){.struct_size = sizeof(c->host),
                                .runtime = c,
                                .assigned = on_assigned,
                                .revoking = on_revoking,
                                .wake = on_wake,
                                .state = on_state};
    status = configure(c, options, reterr);
    if (!status)
        status = evs__plan_source_schema(context, c->config, schema, &c->schema, reterr);
    if (!status) {
        c->host.schema = c->schema;
        status = c->connector->source->open(context, c->config, &c->host, &c->source, reterr);
        if (status)
            c->source = NULL;
    }
    if (status)
        evs_consumer_close(c);
    else
        *ret_consumer = c;
    return status;
}

void evs_consumer_on_failed(evs_consumer *consumer, evs_consumer_failed_fn fn, void *user_data)
{
    if (!consumer)
        return;
    consumer->failed_fn = fn;
    consumer->failed_data = user_data;
}

/* ---- reading ---- */

static void give_back(evs_consumer *c)
{
    c->batch = evs_batch_unref(c->batch);
    if (c->read.handle && c->connector->source->release)
        c->connector->source->release(c->source, c->read.handle);
    c->read = (evs_read){0};
}

static evs_status advance(evs_consumer *c, uint32_t topic, int32_t partition, int64_t next)
{
    position *p;
    for (size_t i = 0; i < c->position_count; i++) {
        p = &c->positions[i];
        if (p->partition == partition && p->topic == topic) {
            p->next = next;
            return EVS_OK;
        }
    }
    p = evs__realloc_array(c->ctx, c->positions, c->position_count + 1, sizeof(*p));
    if (!p)
        return EVS_ERR_NOMEM;
    c->positions = p;
    p[c->position_count++] = (position){topic, partition, next};
    return EVS_OK;
}

static void on_failed(size_t index, evs_status status, const char *message, void *user_data)
{
    evs_consumer *c = user_data;
    const evs_input *in = &c->inputs[index];
    c->failed++;
    if (c->failed_fn)
        c->failed_fn(in, status, message, c->failed_data);
    else
        evs__log(c->ctx, EVS_LOG_WARNING, "consumer", "partition %d offset %lld: %s", in->partition,
                 (long long)in->offset, message);
}

/* the decoder is made with the first events: only then it is known whether one is needed */
static evs_status need_decoder(evs_consumer *c, evs_error **reterr)
{
    const char *framing = evs_config_string(c->config, "framing");
    const char *format = evs_config_string(c->config, "format");
    bool framed =
        framing ? strcmp(framing, "confluent") == 0 : format && strcmp(format, "avro") == 0;
    evs_status status;
    if (c->decoder)
        return EVS_OK;
    if (!c->schema && c->connector->source->schema &&
        (status = c->connector->source->schema(c->source, &c->schema, reterr)) < 0)
        return status;
    if (!c->schema && !framed)
        return evs__plan_no_columns(c->ctx, c->config, c->read.inputs, c->read.count, reterr);
    return evs_decoder_new(c->ctx, c->schema, evs_config_options(c->config), &c->decoder, reterr);
}

static evs_status take(evs_consumer *c, evs_error **reterr)
{
    const evs_read *r = &c->read;
    evs_status status = EVS_OK;

    if (r->batch) {
        c->batch = r->batch;
        if (advance(c, 0, r->batch_partition, r->batch_offset + (int64_t)evs_batch_rows(r->batch)))
            return evs__nomem(reterr);
        return EVS_OK;
    }
    status = need_decoder(c, reterr);
    if (status)
        return status;
    c->inputs = r->inputs;
    c->batch = evs_batch_unref(c->batch);
    status = evs__decoder_run(c->decoder, r->inputs, r->count, on_failed, c, &c->batch, reterr);
    for (size_t i = 0; !status && i < r->count; i++) {
        const evs_input *in = &r->inputs[i], *next = in + 1;
        bool last =
            i + 1 == r->count || next->partition != in->partition || next->topic != in->topic;
        if (last && advance(c, in->topic, in->partition, in->offset + 1))
            status = evs__nomem(reterr);
    }
    return status;
}

/* topics and partitions must be known before the first read */
static evs_status describe(evs_consumer *c, evs_error **reterr)
{
    const char *const *topics;
    const int32_t *partitions;
    size_t count;
    return c->connector->source->describe(c->source, &topics, &partitions, &count, reterr);
}

/* the next events; after a failure those that could not be taken, so that none is passed over */
static evs_status read_next(evs_consumer *c, evs_error **reterr)
{
    evs_status status;
    if (c->untaken)
        return EVS_OK;
    give_back(c);
    status = describe(c, reterr);
    if (!status)
        status = c->connector->source->read(c->source, EVS_BATCH_ROWS_MAX, 0, &c->read, reterr);
    c->untaken = !status;
    return status;
}

evs_status evs_consumer_poll(evs_consumer *consumer,
                             int64_t timeout_ms,
                             evs_batch **ret_batch,
                             evs_error **reterr)
{
    int64_t end = evs__time_add(evs__monotonic_ms(), timeout_ms > 0 ? timeout_ms : 0);
    evs_consumer *c = consumer;
    evs_status status;

    if (!c || !ret_batch)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "consumer or ret_batch is NULL");
    for (;;) {
        int64_t left = end - evs__monotonic_ms();
        status = read_next(c, reterr);
        if (!status)
            status = take(c, reterr);
        if (!status)
            c->untaken = false;
        /* events that all failed are no rows: go on */
        if (!status && c->batch && evs_batch_rows(c->batch)) {
            *ret_batch = c->batch;
            return EVS_OK;
        }
        if (status < 0 || status == EVS_END)
            return status;
        if (status == EVS_AGAIN && left <= 0)
            return EVS_AGAIN;
        if (status == EVS_AGAIN)
            wait_for_wake(c, left < IDLE_POLL_MS ? left : IDLE_POLL_MS);
    }
}

evs_status evs_consumer_commit(evs_consumer *consumer, evs_error **reterr)
{
    evs_consumer *c = consumer;
    size_t n = c ? c->position_count : 0;
    uint32_t *topics = NULL;
    int32_t *partitions = NULL;
    int64_t *offsets = NULL;
    evs_status status = EVS_OK;

    if (!c)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "consumer is NULL");
    if (!c->connector->source->commit)
        return evs__fail(c->ctx, reterr, EVS_ERR_UNSUPPORTED, "connector \"%s\" keeps no positions",
                         c->connector->name);
    if (!n)
        return EVS_OK;
    topics = evs__calloc(c->ctx, n, sizeof(*topics));
    partitions = evs__calloc(c->ctx, n, sizeof(*partitions));
    offsets = evs__calloc(c->ctx, n, sizeof(*offsets));
    if (!topics || !partitions || !offsets) {
        status = evs__nomem(reterr);
    } else {
        for (size_t i = 0; i < n; i++) {
            topics[i] = c->positions[i].topic;
            partitions[i] = c->positions[i].partition;
            offsets[i] = c->positions[i].next;
        }
        status = c->connector->source->commit(c->source, topics, partitions, offsets, n, reterr);
    }
    evs__free(c->ctx, topics);
    evs__free(c->ctx, partitions);
    evs__free(c->ctx, offsets);
    return status;
}

evs_consumer *evs_consumer_close(evs_consumer *consumer)
{
    evs_consumer *c = consumer;
    evs_context *ctx;
    if (!c)
        return NULL;
    ctx = c->ctx;
    if (c->source)
        give_back(c);
    evs_decoder_unref(c->decoder);
    if (c->source)
        c->connector->source->close(c->source);
    evs_schema_unref(c->schema);
    evs__config_unref(c->config);
    evs__free(ctx, c->positions);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->lock);
    evs__free(ctx, c);
    evs_context_unref(ctx);
    return NULL;
}
