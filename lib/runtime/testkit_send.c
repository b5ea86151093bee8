/*
 * runtime/testkit_send.c: events of a test into the logs of sources.
 *
 *   JSON text --(event time added)--(written in the source's form)--> held back --> log
 *
 * What is held back is delivered by the time it is due: the event's own time, or later by chance
 * when order is to be disturbed. Choosing the next one looks at all that are held.
 */
#include <jansson.h>

#include "base/time.h"
#include "runtime/testkit.h"

/* ---- events ---- */

static void hold(evs_testkit *kit, evs__kit_event *e)
{
    *kit->held_tail = e;
    kit->held_tail = &e->next;
}

/* held events into their logs, by the time they are due; equal ones as they were sent */
evs_status evs__kit_deliver(evs_testkit *kit)
{
    evs_status status = EVS_OK;

    while (kit->held && !status) {
        evs__kit_event **first = &kit->held, *e;
        for (evs__kit_event **at = &kit->held; *at; at = &(*at)->next) {
            if ((*at)->due < (*first)->due)
                first = at;
        }
        e = *first;
        *first = e->next;
        if (kit->held_tail == &e->next)
            kit->held_tail = first;
        status = evs__log_append(e->end->log, &e->input, NULL, 0, &kit->error);
        evs__free(kit->ctx, e);
    }
    return status;
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static evs_status take_event(evs_testkit *kit, evs__kit_end *end, const evs_input *in)
{
    size_t key_len = in->key ? in->key_len : 0, value_len = in->value ? in->value_len : 0;
    evs__kit_event *e = evs__alloc(kit->ctx, sizeof(*e) + key_len + value_len);
    char *bytes = (char *)(e + 1);

    if (!e)
        return evs__nomem(&kit->error);
    *e = (evs__kit_event){.end = end, .input = *in};
    if (value_len)
        memcpy(bytes, in->value, value_len);
    if (key_len)
        memcpy(bytes + value_len, in->key, key_len);
    e->input.value = in->value ? bytes : NULL;
    e->input.key = in->key ? bytes + value_len : NULL;
    e->due = in->timestamp == EVS_TIME_NONE ? kit->now_ms : in->timestamp;
    if (kit->reorder_ms)
        e->due = evs__time_add(
            e->due, (int64_t)(next_random(&kit->random) % ((uint64_t)kit->reorder_ms + 1)));
    hold(kit, e);
    return EVS_OK;
}

/* an event is there: the clock is not behind it; then it is taken up, unless order is disturbed */
static evs_status after_send(evs_testkit *kit, int64_t timestamp_ms)
{
    evs_status status = EVS_OK;

    if (kit->reorder_ms)
        return EVS_OK;
    if (timestamp_ms != EVS_TIME_NONE && timestamp_ms > kit->now_ms && kit->begun)
        status = evs__kit_run_to(kit, timestamp_ms);
    if (timestamp_ms != EVS_TIME_NONE && !kit->begun) {
        kit->now_ms = timestamp_ms;
        kit->begun = true;
    }
    if (!status)
        status = evs__kit_deliver(kit);
    return status ? status : evs__kit_settle(kit);
}

/* ---- JSON to the source's own form ---- */

/* whether JSON text is what the source reads */
static bool reads_json(const evs__node *n)
{
    const char *format = evs_config_string(n->config, "format");
    evs_format id = n->schema ? evs_schema_format(n->schema) : EVS_FORMAT_JSON;
    return format ? strcmp(format, "json") == 0 : id == EVS_FORMAT_JSON || id == EVS_FORMAT_NONE;
}

static evs_status make_codec(evs_testkit *kit, evs__kit_end *end)
{
    const evs__node *n = end->node;
    const char *format = evs_config_string(n->config, "format");
    const char *delimiter = evs_config_string(n->config, "delimiter");
    evs_options *o = NULL;
    evs_status status;

    if (end->encoder)
        return EVS_OK;
    if (!n->schema)
        return evs__fail(kit->ctx, &kit->error, EVS_ERR_SCHEMA,
                         "step \"%s\": its columns are not known", n->name);
    status = evs_options_new(kit->ctx, &o, &kit->error);
    if (!status)
        status = evs_options_set(o, "framing", "none", &kit->error);
    if (!status && format)
        status = evs_options_set(o, "format", format, &kit->error);
    if (!status && delimiter)
        status = evs_options_set(o, "delimiter", delimiter, &kit->error);
    if (!status && !end->json)
        status =
            evs_decoder_new(kit->ctx, n->schema, EVS_OPTIONS("format", "json", "framing", "none"),
                            &end->json, &kit->error);
    if (!status)
        status = evs_encoder_new(kit->ctx, evs_schema_type(n->schema), n->schema, o, &end->encoder,
                                 &kit->error);
    evs_options_unref(o);
    return status;
}

static void on_refused(size_t index, evs_status status, const char *message, void *user_data)
{
    evs_testkit *kit = user_data;
    (void)index;
    evs__fail(kit->ctx, &kit->error, status, "event: %s", message);
}

/* *in holds JSON; from now on, until the next call, the source's form */
static evs_status convert(evs_testkit *kit, evs__kit_end *end, evs_input *in)
{
    evs_batch *batch = NULL;
    evs_string_view bytes;
    evs_status status = make_codec(kit, end);

    if (!status)
        status = evs_decoder_decode(end->json, in, 1, on_refused, kit, &batch, &kit->error);
    if (!status && kit->error)
        status = evs_error_status(kit->error);
    if (!status)
        status = evs_encoder_encode(end->encoder, batch, evs_batch_row(batch, 0).index, &bytes,
                                    &kit->error);
    evs_batch_unref(batch);
    if (status)
        return status;
    in->value = bytes.data;
    in->value_len = (uint32_t)bytes.len;
    return EVS_OK;
}

/* ---- event time ---- */

/* the column of event.time that is missing in the object; NULL: nothing to add */
static const char *missing_time(const evs__node *n, const char *json)
{
    const char *name = evs_config_string(n->config, "event.time");
    json_t *object;
    bool missing;

    if (!name || !n->schema ||
        evs_type_field_index(evs_schema_type(n->schema), name, strlen(name)) < 0)
        return NULL;
    object = json_loads(json, 0, NULL);
    missing = json_is_object(object) && !json_object_get(object, name);
    json_decref(object);
    return missing ? name : NULL;
}

/* the value of a time in the unit of event.time, as the column's JSON */
static evs_status put_time(const evs__node *n, const char *name, int64_t ms, evs__buffer *out)
{
    const evs_type *row = evs_schema_type(n->schema);
    const evs_type *type =
        evs_type_child(row, (size_t)evs_type_field_index(row, name, strlen(name)));
    evs_type_id id = evs_type_get_id(type);
    char text[EVS__TIME_TEXT_MAX];

    if (id == EVS_TYPE_VARCHAR || id == EVS_TYPE_TIMESTAMP)
        return evs__buffer_json_string(out, text, evs__time_format(ms, text));
    switch (n->time_unit) {
    case EVS__UNIT_S:
        return id == EVS_TYPE_DOUBLE ? evs__buffer_double(out, (double)ms / 1000)
                                     : evs__buffer_int(out, ms / 1000);
    case EVS__UNIT_US:
        return evs__buffer_printf(out, "%lld000", (long long)ms);
    case EVS__UNIT_NS:
        return evs__buffer_printf(out, "%lld000000", (long long)ms);
    default:
        return evs__buffer_int(out, ms);
    }
}

/* *json with the time in front of its members, in kit->row */
static evs_status add_time(evs_testkit *kit, const evs__node *n, int64_t ms, const char **json)
{
    const char *name = ms == EVS_TIME_NONE ? NULL : missing_time(n, *json);
    const char *rest;
    evs__buffer *out = &kit->row;

    if (!name)
        return EVS_OK;
    rest = strchr(*json, '{') + 1; /* it is an object */
    evs__buffer_reset(out);
    evs__buffer_byte(out, '{');
    evs__buffer_json_string(out, name, strlen(name));
    evs__buffer_byte(out, ':');
    put_time(n, name, ms, out);
    if (rest[strspn(rest, " \t\r\n")] != '}')
        evs__buffer_byte(out, ',');
    evs__buffer_text(out, rest);
    *json = evs__buffer_cstr(out);
    return *json ? EVS_OK : evs__nomem(&kit->error);
}

/* ---- sending ---- */

evs_status
evs_testkit_send(evs_testkit *kit, const char *source, int64_t timestamp_ms, const char *json)
{
    evs_input in = {.offset = -1, .timestamp = timestamp_ms};
    evs__kit_end *end;
    evs_status status = evs__kit_begin(kit);

    if (status)
        return status;
    if (!json)
        return evs__fail(kit->ctx, &kit->error, EVS_ERR_INVALID, "json is NULL");
    end = evs__kit_find(kit, source, true);
    if (!end)
        return evs_error_status(kit->error);
    if (!kit->begun && timestamp_ms != EVS_TIME_NONE && !kit->pipeline->runtime) {
        kit->now_ms = timestamp_ms;
        kit->begun = true;
    }
    status = evs__kit_open(kit);
    if (!status)
        status = add_time(kit, end->node, timestamp_ms, &json);
    in.value = json;
    if (!status && strlen(json) > UINT32_MAX)
        status = evs__fail(kit->ctx, &kit->error, EVS_ERR_LIMIT, "the event is 4 GiB or larger");
    in.value_len = status ? 0 : (uint32_t)strlen(json);
    if (!status && !reads_json(end->node))
        status = convert(kit, end, &in);
    if (!status)
        status = take_event(kit, end, &in);
    return status ? status : after_send(kit, timestamp_ms);
}

evs_status evs_testkit_send_bytes(evs_testkit *kit,
                                  const char *source,
                                  int64_t timestamp_ms,
                                  const void *value,
                                  size_t value_len,
                                  const void *key,
                                  size_t key_len)
{
    evs_input in = {.value = value, .key = key, .offset = -1, .timestamp = timestamp_ms};
    evs__kit_end *end;
    evs_status status = evs__kit_begin(kit);

    if (status)
        return status;
    end = evs__kit_find(kit, source, true);
    if (!end)
        return evs_error_status(kit->error);
    if (value_len > UINT32_MAX || key_len > UINT32_MAX)
        return evs__fail(kit->ctx, &kit->error, EVS_ERR_LIMIT, "value or key is 4 GiB or larger");
    in.value_len = (uint32_t)value_len;
    in.key_len = (uint32_t)key_len;
    status = take_event(kit, end, &in);
    return status ? status : after_send(kit, timestamp_ms);
}
