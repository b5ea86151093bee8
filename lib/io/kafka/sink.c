/*
 * io/kafka/sink.c: rows to a topic through the outlet: value by the codec, key by keys.c, deletes
 * as tombstones, the row's event time as timestamp.
 *
 * At least once: a flush that ends well means that every row is acknowledged by the brokers. An
 * abort cannot take anything back; the epoch is written again. A message that the brokers refuse
 * for good is told to the pipeline, which makes it a dead letter; those that came back with it, or
 * ran out of time, are sent again (resend.c). Any other delivery failure after librdkafka's own
 * retries fails the flush, and with it the commit, so nothing is lost. Kafka transactions would be
 * another guarantee; this sink does not use them.
 */
#include <string.h>

#include "io/kafka/kafka.h"
#include "io/connectors.h"
#include "io/kafka/keys.h"
#include "io/kafka/outlet.h"
#include "io/kafka/resend.h"

typedef struct kafka_sink {
    evs_context *ctx;
    evs__outlet *outlet;
    evs__resend *resend;
    evs__kafka_keys *keys;
    evs_encoder *encoder;
    const evs_batch *resume; /* batch that did not fit as a whole, and where to go on */
    size_t resume_at;
    evs_error *failure; /* first delivery failure since the last flush */
    int64_t close_timeout_ms;
} kafka_sink;

static const evs_option_info options[] = {
    EVS__OUTLET_OPTION_ROWS,
    EVS__KAFKA_KEY_OPTION_ROWS("Columns of the message key; the grouping keys by default"),
    {"key.window", "start", "start|none",
     "Whether a windowed key ends with the window's start (8 bytes)", "0.1", 0, 0, EVS_OPTION_ENUM,
     0},
    {0},
};

static void delivered(const evs_delivery *d, void *message_opaque, void *user_data)
{
    kafka_sink *s = user_data;
    evs_error *err = NULL;
    if (evs__resend_report(s->resend, d, message_opaque, &err) && !s->failure)
        s->failure = err;
    else
        evs_error_unref(err);
}

static void sink_close(void *sink)
{
    kafka_sink *s = sink;
    evs__outlet_close(s->outlet, s->close_timeout_ms);
    evs__resend_free(s->resend);
    evs__kafka_keys_free(s->keys);
    evs_encoder_unref(s->encoder);
    evs_error_unref(s->failure);
    evs_free(s->ctx, s);
}

static evs_status sink_open(evs_context *context,
                            const evs_config *config,
                            evs_schema *schema,
                            const evs_sink_identity *identity,
                            void **ret_sink,
                            evs_error **reterr)
{
    const evs_type *type = evs_schema_type(schema);
    evs_status status;
    kafka_sink *s = evs_alloc_array(context, 1, sizeof(*s));
    if (!s)
        return evs_error_set(context, reterr, EVS_ERR_NOMEM, "out of memory");
    s->ctx = context;
    s->close_timeout_ms = evs_config_int(config, "close.timeout.ms");
    if ((status = evs_encoder_new(context, type, NULL, evs_config_options(config), &s->encoder,
                                  reterr)) ||
        (status = evs__kafka_keys_new(context, config, type, identity->key_count,
                                      identity->windowed != 0, &s->keys, reterr)) ||
        (status = evs__outlet_open(context, config, evs__kafka_keys_suffix(s->keys), delivered, s,
                                   &s->outlet, reterr))) {
        sink_close(s);
        return status;
    }
    s->resend = evs__resend_new(context, s->outlet);
    if (!s->resend) {
        sink_close(s);
        return evs_error_set(context, reterr, EVS_ERR_NOMEM, "out of memory");
    }
    *ret_sink = s;
    return EVS_OK;
}

static evs_status send_row(kafka_sink *s, const evs_batch *batch, uint32_t row, evs_error **reterr)
{
    const uint8_t *kinds = evs_batch_kinds(batch);
    const int64_t *times = evs_batch_times(batch);
    evs_string_view key = {NULL, 0};
    evs_string_view value = {NULL, 0};
    evs__outlet_message m = {.timestamp_ms = times ? times[row] : EVS_TIME_NONE, .partition = -1};
    evs_status status = evs__kafka_keys_make(s->keys, batch, row, &key, reterr);
    if (!status && !(kinds && kinds[row] == EVS_ROW_DELETE))
        status = evs_encoder_encode(s->encoder, batch, row, &value, reterr);
    if (status)
        return status;
    if (m.timestamp_ms < 0)
        m.timestamp_ms = EVS_TIME_NONE; /* Kafka has no time before 1970 */
    m.opaque = evs__resend_opaque(m.timestamp_ms);
    m.key = key.data;
    m.key_len = key.len;
    m.value = value.data;
    m.value_len = value.len;
    return evs__outlet_send(s->outlet, &m, reterr);
}

/* a row that no retry will save: it does not encode, or it is larger than a message may be */
static bool row_is_hopeless(evs_status status)
{
    return status == EVS_ERR_ENCODE || status == EVS_ERR_SCHEMA || status == EVS_ERR_LIMIT ||
           status == EVS_ERR_OVERFLOW;
}

/* Nothing new passes by what came back. EVS_AGAIN: not through with it. */
static evs_status sink_resend(kafka_sink *s, evs_error **reterr)
{
    if (!evs__resend_busy(s->resend))
        return EVS_OK;
    evs__outlet_poll(s->outlet, 0);
    return evs__resend_step(s->resend, reterr);
}

static evs_status sink_write(
    void *sink, evs_batch *batch, evs_decode_failed_fn failed, void *user_data, evs_error **reterr)
{
    kafka_sink *s = sink;
    const uint32_t *sel = evs_batch_selection(batch);
    size_t rows = evs_batch_rows(batch);
    size_t i = s->resume == batch ? s->resume_at : 0;

    evs_status again = sink_resend(s, reterr);

    if (again)
        return again;
    s->resume = NULL;
    for (; i < rows; i++) {
        evs_error *err = NULL;
        uint32_t row = sel ? sel[i] : (uint32_t)i;
        evs_status status = send_row(s, batch, row, &err);
        if (!status)
            continue;
        if (row_is_hopeless(status) && failed) {
            failed(row, status, evs_error_message(err), user_data);
            evs_error_unref(err);
            continue;
        }
        s->resume = batch;
        s->resume_at = i;
        if (status == EVS_AGAIN)
            evs__outlet_poll(s->outlet, 0);
        else if (reterr)
            *reterr = err;
        else
            evs_error_unref(err);
        return status;
    }
    evs__outlet_poll(s->outlet, 0);
    return EVS_OK;
}

static evs_status sink_flush(void *sink, int64_t wait_ms, evs_error **reterr)
{
    kafka_sink *s = sink;
    int64_t now = evs__kafka_clock_ms();
    int64_t deadline = wait_ms > INT64_MAX - now ? INT64_MAX : now + wait_ms;
    evs_status status;

    do {
        int64_t left = deadline - evs__kafka_clock_ms();
        status = evs__outlet_flush(s->outlet, left > 0 ? left : 0);
        if (!s->failure && !status)
            status = evs__resend_step(s->resend, reterr);
    } while (!s->failure && status == EVS_AGAIN && evs__kafka_clock_ms() < deadline);
    if (!s->failure)
        return status;
    status = evs_error_status(s->failure);
    if (reterr)
        *reterr = s->failure;
    else
        evs_error_unref(s->failure);
    s->failure = NULL;
    return status;
}

static evs_status sink_abort(void *sink, evs_error **reterr)
{
    kafka_sink *s = sink;
    (void)reterr;
    s->resume = NULL;
    evs__resend_drop(s->resend);
    s->failure = evs_error_unref(s->failure);
    return EVS_OK;
}

static evs_status sink_poll(void *sink, int64_t now_ms, int64_t *ret_next_ms, evs_error **reterr)
{
    kafka_sink *s = sink;
    evs_status status;
    evs__outlet_poll(s->outlet, 0);
    status = sink_resend(s, reterr);
    if (evs__resend_busy(s->resend))
        *ret_next_ms = now_ms + 5;
    else
        *ret_next_ms = evs__outlet_pending(s->outlet) ? now_ms + 100 : -1;
    return status < 0 ? status : EVS_OK;
}

static void sink_refused(void *sink, evs_refused_fn refused, void *user_data)
{
    kafka_sink *s = sink;
    evs__resend_refused(s->resend, refused, user_data);
}

const evs_sink_functions evs__kafka_sink = {
    .struct_size = sizeof(evs_sink_functions),
    .options = options,
    .guarantee = EVS_GUARANTEE_AT_LEAST_ONCE,
    .open = sink_open,
    .write = sink_write,
    .flush = sink_flush,
    .abort = sink_abort,
    .poll = sink_poll,
    .close = sink_close,
    .refused = sink_refused,
};

const evs_connector evs__kafka_connector = {
    .struct_size = sizeof(evs_connector),
    .name = "kafka",
    .doc = "Apache Kafka, or with kafka.bootstrap.servers=embedded: a volatile cluster inside the "
           "process",
    .source = &evs__kafka_source,
    .sink = &evs__kafka_sink,
};
