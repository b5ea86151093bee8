/*
 * runtime/producer.c: evs_producer: one event in, checked, encoded, queued.
 *
 *   record, C struct, JSON text -> batch of one row -> encoder -> value |
 *                                                   -> keys.c  -> key   |-> outlet -> librdkafka
 *   raw bytes, JSON without a schema -----------------------------------|
 *
 * Whatever an event is made of, it becomes a row of the schema's type, so that there is one way to
 * check, to encode and to make the key. A JSON producer passes JSON text that was checked through
 * as it is.
 *
 * Each accepted event has a token with the host's callback; tokens are pooled, so that a warm
 * producer allocates nothing per event. The outlet reports every accepted message exactly once,
 * inside poll, flush and close: the token goes back to the pool before the callback runs, which may
 * send again.
 */
#include "base/config.h"
#include "codec/record.h"
#include "io/kafka/keys.h"
#include "io/kafka/outlet.h"

typedef struct token {
    struct token *next;
    evs_delivery_fn fn;
    void *user_data;
} token;

struct evs_producer {
    evs_context *ctx;
    evs_config *config;
    evs_schema *schema; /* NULL: bytes and unchecked JSON */
    evs__outlet *outlet;
    evs__kafka_keys *keys; /* NULL: option `key` is not set */
    evs_encoder *encoder;
    evs_decoder *json; /* made by the first evs_producer_send_json() */
    bool json_passes;  /* checked JSON text is the value */
    evs_record *record;
    evs__binding *binding;
    token *free_tokens;
};

static const evs_option_info options[] = {
    EVS__OUTLET_OPTION_ROWS,
    EVS__KAFKA_KEY_OPTION_ROWS("Fields of the message key, separated by commas; none by default"),
    {0},
};

/* ---- small things ---- */

void evs_message_init(evs_message *message)
{
    static const evs_message initial = EVS_MESSAGE_INIT;
    if (message)
        *message = initial;
}

static evs_status invalid(const evs_producer *p, evs_error **reterr, const char *what)
{
    return evs__fail(p ? p->ctx : NULL, reterr, EVS_ERR_INVALID, "producer: %s", what);
}

/* ---- open and close ---- */

static evs_status configure(evs_producer *p, const evs_options *given, evs_error **reterr)
{
    const evs_option_info *tables[] = {options, evs__codec_option_table};
    const evs_options none = {NULL, 0};
    evs_status status =
        evs__config_new(p->ctx, "producer", tables, 2, "kafka.", &p->config, reterr);
    return status ? status : evs__config_set_all(p->config, given ? given : &none, reterr);
}

/* encoder, keys and record builder of a producer with a schema */
static evs_status make_parts(evs_producer *p, evs_error **reterr)
{
    const char *framing = evs_config_string(p->config, "framing");
    const char *key = evs_config_string(p->config, "key");
    const char *format = evs_config_string(p->config, "format");
    const evs_type *type = evs_schema_type(p->schema);
    evs_format id = evs_schema_format(p->schema);
    evs_status status = evs_encoder_new(p->ctx, type, p->schema, evs_config_options(p->config),
                                        &p->encoder, reterr);
    if (!status)
        status = evs__record_new(p->ctx, p->schema, &p->record, reterr);
    if (!status && key)
        status = evs__kafka_keys_new(p->ctx, p->config, type, 0, false, &p->keys, reterr);
    p->json_passes =
        (format ? strcmp(format, "json") == 0 : id == EVS_FORMAT_JSON || id == EVS_FORMAT_NONE) &&
        !(framing && strcmp(framing, "none") != 0);
    return status;
}

static void on_delivered(const evs_delivery *delivery, void *message_opaque, void *user_data)
{
    evs_producer *p = user_data;
    token *t = message_opaque;
    token copy;
    if (!t)
        return;
    copy = *t;
    t->next = p->free_tokens;
    p->free_tokens = t;
    copy.fn(delivery, copy.user_data);
}

evs_status evs_producer_new(evs_context *context,
                            const evs_options *given,
                            evs_schema *schema,
                            evs_producer **ret_producer,
                            evs_error **reterr)
{
    evs_producer *p;
    evs_status status;

    if (!context || !ret_producer)
        return evs__fail(context, reterr, EVS_ERR_INVALID,
                         "producer: context or ret_producer is NULL");
    if (!(p = evs__calloc(context, 1, sizeof(*p))))
        return evs__nomem(reterr);
    p->ctx = evs_context_ref(context);
    p->schema = evs_schema_ref(schema);
    status = configure(p, given, reterr);
    if (!status && !schema)
        status =
            evs__codec_schema(context, evs_config_options(p->config), NULL, &p->schema, reterr);
    if (!status && p->schema)
        status = make_parts(p, reterr);
    if (!status && !p->schema && evs_config_string(p->config, "key"))
        status = evs__fail(context, reterr, EVS_ERR_CONFIG,
                           "producer: option \"key\" names a field, which takes a schema");
    if (!status)
        status = evs__outlet_open(context, p->config, 0, on_delivered, p, &p->outlet, reterr);
    if (status)
        evs_producer_close(p);
    else
        *ret_producer = p;
    return status;
}

evs_producer *evs_producer_close(evs_producer *p)
{
    evs_context *ctx;
    token *t;

    if (!p)
        return NULL;
    ctx = p->ctx;
    if (p->outlet)
        evs__outlet_close(p->outlet, evs_config_int(p->config, "close.timeout.ms"));
    while ((t = p->free_tokens)) {
        p->free_tokens = t->next;
        evs__free(ctx, t);
    }
    evs__binding_free(p->binding);
    evs__record_free(p->record);
    evs__kafka_keys_free(p->keys);
    evs_encoder_unref(p->encoder);
    evs_decoder_unref(p->json);
    evs_schema_unref(p->schema);
    evs__config_unref(p->config);
    evs__free(ctx, p);
    evs_context_unref(ctx);
    return NULL;
}

evs_record *evs_producer_record(evs_producer *p)
{
    if (!p || !p->record)
        return NULL;
    evs__record_reset(p->record);
    return p->record;
}

/* ---- send ---- */

static evs_status
take_message(evs_producer *p, const evs_message *given, evs__outlet_message *m, evs_error **reterr)
{
    evs_message known = EVS_MESSAGE_INIT;

    if (given && evs__options_copy(&known, sizeof(known), given))
        return invalid(p, reterr, "struct_size of the message is unknown");
    if (known.key_len && !known.key)
        return invalid(p, reterr, "key is NULL and has a length");
    if (known.header_count && !known.headers)
        return invalid(p, reterr, "headers is NULL and has a count");
    for (size_t i = 0; i < known.header_count; i++) {
        if (!known.headers[i].name || (known.headers[i].value_len && !known.headers[i].value))
            return invalid(p, reterr, "a header has no name or no value");
    }
    if (known.timestamp_ms < 0 && known.timestamp_ms != EVS_TIME_NONE)
        return invalid(p, reterr, "timestamp_ms is before 1970, which Kafka does not have");
    if (known.partition < -1)
        return invalid(p, reterr, "partition is negative");
    *m = (evs__outlet_message){.key = known.key,
                               .key_len = known.key_len,
                               .headers = known.headers,
                               .header_count = known.header_count,
                               .timestamp_ms = known.timestamp_ms,
                               .partition = known.partition};
    return EVS_OK;
}

static evs_status queue(evs_producer *p,
                        evs__outlet_message *m,
                        evs_delivery_fn on_delivery,
                        void *user_data,
                        evs_error **reterr)
{
    token *t = NULL;
    evs_status status;

    if (on_delivery) {
        t = p->free_tokens;
        if (t)
            p->free_tokens = t->next;
        else if (!(t = evs__alloc(p->ctx, sizeof(*t))))
            return evs__nomem(reterr);
        *t = (token){NULL, on_delivery, user_data};
    }
    m->opaque = t;
    status = evs__outlet_send(p->outlet, m, reterr);
    if (status && t) {
        t->next = p->free_tokens;
        p->free_tokens = t;
    }
    return status;
}

/* one row of the schema's type; `text`: what it was made of, when that is its value already */
static evs_status send_row(evs_producer *p,
                           const evs_batch *batch,
                           const evs_string_view *text,
                           evs__outlet_message *m,
                           evs_delivery_fn on_delivery,
                           void *user_data,
                           evs_error **reterr)
{
    evs_string_view key = {NULL, 0};
    evs_string_view value = {NULL, 0};
    evs_status status = EVS_OK;

    if (!m->key && p->keys) {
        if ((status = evs__kafka_keys_make(p->keys, batch, 0, &key, reterr)))
            return status;
        m->key = key.data;
        m->key_len = key.len;
    }
    if (text)
        value = *text;
    else
        status = evs_encoder_encode(p->encoder, batch, 0, &value, reterr);
    if (status)
        return status;
    m->value = value.data;
    m->value_len = value.len;
    return queue(p, m, on_delivery, user_data, reterr);
}

evs_status evs_producer_send(evs_producer *p,
                             evs_record *record,
                             const evs_message *message,
                             evs_delivery_fn on_delivery,
                             void *user_data,
                             evs_error **reterr)
{
    evs__outlet_message m;
    evs_batch *batch = NULL;
    evs_status status;

    if (!p)
        return invalid(NULL, reterr, "producer is NULL");
    if (!p->record)
        return evs__fail(p->ctx, reterr, EVS_ERR_MISUSE,
                         "producer: it was made without a schema and has no records");
    if (record != p->record)
        return invalid(p, reterr, "the record is not the one of evs_producer_record()");
    status = take_message(p, message, &m, reterr);
    if (!status)
        status = evs__record_finish(record, &batch, reterr);
    if (!status)
        status = send_row(p, batch, NULL, &m, on_delivery, user_data, reterr);
    evs__record_reset(record);
    return status;
}

/* ---- JSON ---- */

typedef struct refusal {
    evs_context *ctx;
    evs_status status;
    evs_error **reterr;
} refusal;

/* `field "a.b": why` gives the path as origin */
static void on_refused(size_t index, evs_status status, const char *message, void *user_data)
{
    refusal *r = user_data;
    const char *path = strncmp(message, "field \"", 7) == 0 ? message + 7 : NULL;
    const char *end = path ? strstr(path, "\": ") : NULL;
    char origin[256] = "";

    (void)index;
    if (end && (size_t)(end - path) < sizeof(origin))
        memcpy(origin, path, (size_t)(end - path));
    r->status = evs__fail_at(r->ctx, r->reterr, status, origin, "%s", message);
}

static evs_status
decode_json(evs_producer *p, const char *json, size_t len, evs_batch **ret, evs_error **reterr)
{
    evs_input in = {.value = json, .value_len = (uint32_t)len, .offset = -1};
    refusal r = {.ctx = p->ctx, .reterr = reterr};
    evs_status status;

    if (!p->json && (status = evs_decoder_new(p->ctx, p->schema,
                                              EVS_OPTIONS("format", "json", "framing", "none"),
                                              &p->json, reterr)))
        return status;
    if ((status = evs_decoder_decode(p->json, &in, 1, on_refused, &r, ret, reterr)))
        return status;
    if (r.status)
        *ret = evs_batch_unref(*ret);
    return r.status;
}

evs_status evs_producer_send_json(evs_producer *p,
                                  const char *json,
                                  size_t len,
                                  const evs_message *message,
                                  evs_delivery_fn on_delivery,
                                  void *user_data,
                                  evs_error **reterr)
{
    evs__outlet_message m;
    evs_string_view text = {json, len};
    evs_batch *batch = NULL;
    evs_status status;

    if (!p || !json)
        return invalid(p, reterr, "producer or json is NULL");
    if (len > UINT32_MAX)
        return evs__fail(p->ctx, reterr, EVS_ERR_LIMIT, "producer: %zu bytes are too many", len);
    if ((status = take_message(p, message, &m, reterr)))
        return status;
    if (!p->schema) {
        m.value = json;
        m.value_len = len;
        return queue(p, &m, on_delivery, user_data, reterr);
    }
    if ((status = decode_json(p, json, len, &batch, reterr)))
        return status;
    status = send_row(p, batch, p->json_passes ? &text : NULL, &m, on_delivery, user_data, reterr);
    evs_batch_unref(batch);
    return status;
}

/* ---- bytes, structs ---- */

evs_status evs_producer_send_bytes(evs_producer *p,
                                   const void *value,
                                   size_t len,
                                   const evs_message *message,
                                   evs_delivery_fn on_delivery,
                                   void *user_data,
                                   evs_error **reterr)
{
    evs__outlet_message m;
    evs_status status;

    if (!p || (!value && len))
        return invalid(p, reterr, "producer is NULL, or value is NULL and has a length");
    if (p->schema)
        return evs__fail(p->ctx, reterr, EVS_ERR_MISUSE,
                         "producer: it has a schema, so bytes cannot be sent unchecked");
    if ((status = take_message(p, message, &m, reterr)))
        return status;
    m.value = value;
    m.value_len = len;
    return queue(p, &m, on_delivery, user_data, reterr);
}

evs_status evs_producer_bind(evs_producer *p,
                             const evs_field_binding *bindings,
                             size_t count,
                             evs_error **reterr)
{
    evs__binding *binding = NULL;
    evs_status status;

    if (!p || (!bindings && count))
        return invalid(p, reterr, "producer or bindings is NULL");
    if (!p->schema)
        return evs__fail(p->ctx, reterr, EVS_ERR_MISUSE,
                         "producer: it was made without a schema, there is nothing to bind to");
    status = evs__binding_new(p->ctx, p->schema, bindings, count, &binding, reterr);
    if (status)
        return status;
    evs__binding_free(p->binding);
    p->binding = binding;
    return EVS_OK;
}

evs_status evs_producer_send_struct(evs_producer *p,
                                    const void *object,
                                    const evs_message *message,
                                    evs_delivery_fn on_delivery,
                                    void *user_data,
                                    evs_error **reterr)
{
    evs__outlet_message m;
    evs_batch *batch = NULL;
    evs_status status;

    if (!p || !object)
        return invalid(p, reterr, "producer or object is NULL");
    if (!p->binding)
        return evs__fail(p->ctx, reterr, EVS_ERR_MISUSE,
                         "producer: evs_producer_bind() comes first");
    if ((status = take_message(p, message, &m, reterr)) ||
        (status = evs__binding_row(p->binding, object, &batch, reterr)))
        return status;
    return send_row(p, batch, NULL, &m, on_delivery, user_data, reterr);
}

/* ---- delivery ---- */

evs_status evs_producer_poll(evs_producer *p, int64_t timeout_ms, evs_error **reterr)
{
    if (!p)
        return invalid(NULL, reterr, "producer is NULL");
    return evs__outlet_poll(p->outlet, timeout_ms) ? EVS_OK : EVS_AGAIN;
}

evs_status evs_producer_flush(evs_producer *p, int64_t timeout_ms, evs_error **reterr)
{
    if (!p)
        return invalid(NULL, reterr, "producer is NULL");
    if (evs__outlet_flush(p->outlet, timeout_ms) == EVS_OK)
        return EVS_OK;
    return evs__fail(p->ctx, reterr, EVS_ERR_TIMEOUT,
                     "producer: %zu events are not delivered after %lld ms",
                     evs__outlet_pending(p->outlet), (long long)timeout_ms);
}

size_t evs_producer_pending(const evs_producer *p)
{
    return p ? evs__outlet_pending(p->outlet) : 0;
}
