/*
 * io/kafka/keys.c: the message key of a result row.
 *
 * From the grouping keys (or the columns named by `key`), in the form of `key.format`:
 *   kafka   one column: VARCHAR as UTF-8, BYTES as they are, INT 4 bytes, BIGINT and times 8 bytes,
 * DOUBLE 8 bytes, all big endian (Kafka's own serializers) text    columns as text, joined by '|'
 *   json    one JSON object of the columns
 * The default is kafka for one column and json for several. Windowed results append the window's
 * start as 8 bytes, big endian, as Kafka Streams' and ksqlDB's time-windowed serializers do;
 * `key.window=none` leaves it out. A NULL key column makes the key empty text (text), null (json)
 * or no key at all (kafka).
 */
#include <stdio.h>
#include <string.h>

#include "io/kafka/keys.h"

enum key_form { FORM_KAFKA, FORM_TEXT, FORM_JSON };

struct evs__kafka_keys {
    evs_context *ctx;
    enum key_form form;
    bool window;
    int32_t window_field;
    size_t count;
    int32_t *fields;
    evs_encoder *json; /* of FORM_JSON */
    char *buffer;
    size_t len, capacity;
};

static evs_status nomem(evs_context *ctx, evs_error **reterr)
{
    return evs_error_set(ctx, reterr, EVS_ERR_NOMEM, "out of memory");
}

static evs_status
name_fields(evs__kafka_keys *k, const char *names, const evs_type *type, evs_error **reterr)
{
    size_t capacity = 1;
    for (const char *p = names; *p; p++)
        capacity += *p == ',';
    k->fields = evs_alloc_array(k->ctx, capacity, sizeof(*k->fields));
    if (!k->fields)
        return nomem(k->ctx, reterr);
    for (const char *p = names;; p++) {
        size_t len;
        p += strspn(p, " ");
        len = strcspn(p, ",");
        while (len && p[len - 1] == ' ')
            len--;
        k->fields[k->count] = evs_type_field_index(type, p, len);
        if (k->fields[k->count] < 0)
            return evs_error_set(k->ctx, reterr, EVS_ERR_CONFIG,
                                 "option \"key\": there is no column \"%.*s\"", (int)len, p);
        k->count++;
        p += strcspn(p, ",");
        if (!*p)
            return EVS_OK;
    }
}

static bool kafka_can_hold(const evs_type *type)
{
    switch (evs_type_get_id(type)) {
    case EVS_TYPE_ARRAY:
    case EVS_TYPE_MAP:
    case EVS_TYPE_STRUCT:
    case EVS_TYPE_BOOLEAN:
    case EVS_TYPE_DECIMAL:
        return false;
    default:
        return true;
    }
}

static evs_status put(evs__kafka_keys *k, const void *data, size_t len, evs_error **reterr);

/* an encoder for a JSON object of the key's columns: a schema of them, "name" TYPE, ... */
static evs_status make_json(evs__kafka_keys *k, const evs_type *type, evs_error **reterr)
{
    evs_schema *schema = NULL;
    evs_status status = EVS_OK;

    for (size_t i = 0; !status && i < k->count; i++) {
        const char *name = evs_type_field_name(type, (size_t)k->fields[i]);
        const char *text = evs_type_print(evs_type_child(type, (size_t)k->fields[i]));
        status = put(k, i ? ", \"" : "\"", i ? 3 : 1, reterr);
        for (; !status && *name; name++)
            status = put(k, *name == '"' ? "\"\"" : name, *name == '"' ? 2 : 1, reterr);
        if (!status && !(status = put(k, "\" ", 2, reterr)))
            status = put(k, text, strlen(text), reterr);
    }
    if (!status && !(status = put(k, "", 1, reterr)) &&
        !(status = evs_schema_columns(k->ctx, k->buffer, &schema, reterr)))
        status =
            evs_encoder_new(k->ctx, type, schema, EVS_OPTIONS("format", "json", "framing", "none"),
                            &k->json, reterr);
    evs_schema_unref(schema);
    return status;
}

static evs_status
choose_form(evs__kafka_keys *k, const evs_config *config, const evs_type *type, evs_error **reterr)
{
    const char *form = evs_config_string(config, "key.format");
    bool fits = k->count == 1 && kafka_can_hold(evs_type_child(type, (size_t)k->fields[0]));
    if (strcmp(form, "auto") == 0)
        k->form = fits ? FORM_KAFKA : FORM_JSON;
    else
        k->form = strcmp(form, "kafka") == 0  ? FORM_KAFKA
                  : strcmp(form, "text") == 0 ? FORM_TEXT
                                              : FORM_JSON;
    if (k->form == FORM_KAFKA && !fits)
        return evs_error_set(
            k->ctx, reterr, EVS_ERR_CONFIG,
            "option \"key.format\": \"kafka\" holds one column of a plain type; use json or text");
    return k->form == FORM_JSON ? make_json(k, type, reterr) : EVS_OK;
}

evs_status evs__kafka_keys_new(evs_context *ctx,
                               const evs_config *config,
                               const evs_type *type,
                               int32_t key_count,
                               bool windowed,
                               evs__kafka_keys **ret,
                               evs_error **reterr)
{
    const char *names = evs_config_string(config, "key");
    evs_status status = EVS_OK;
    evs__kafka_keys *k = evs_alloc_array(ctx, 1, sizeof(*k));

    if (!k)
        return nomem(ctx, reterr);
    k->ctx = ctx;
    k->window_field = key_count - 1;
    k->window = windowed && strcmp(evs_config_string(config, "key.window"), "start") == 0;
    if (names && *names) {
        status = name_fields(k, names, type, reterr);
    } else {
        k->count = (size_t)(windowed ? key_count - 1 : key_count);
        k->fields = evs_alloc_array(ctx, k->count, sizeof(*k->fields));
        if (!k->fields)
            status = nomem(ctx, reterr);
        for (size_t i = 0; !status && i < k->count; i++)
            k->fields[i] = (int32_t)i;
    }
    if (!status && k->count)
        status = choose_form(k, config, type, reterr);
    if (status) {
        evs__kafka_keys_free(k);
        return status;
    }
    *ret = k;
    return EVS_OK;
}

void evs__kafka_keys_free(evs__kafka_keys *k)
{
    if (!k)
        return;
    evs_encoder_unref(k->json);
    evs_free(k->ctx, k->fields);
    evs_free(k->ctx, k->buffer);
    evs_free(k->ctx, k);
}

size_t evs__kafka_keys_suffix(const evs__kafka_keys *k)
{
    return k->window ? 8 : 0;
}

static evs_status put(evs__kafka_keys *k, const void *data, size_t len, evs_error **reterr)
{
    if (k->capacity - k->len < len) {
        size_t capacity = k->capacity * 2 > k->len + len + 64 ? k->capacity * 2 : k->len + len + 64;
        char *buffer = evs_realloc_array(k->ctx, k->buffer, capacity, 1);
        if (!buffer)
            return nomem(k->ctx, reterr);
        k->buffer = buffer;
        k->capacity = capacity;
    }
    if (len)
        memcpy(k->buffer + k->len, data, len);
    k->len += len;
    return EVS_OK;
}

static evs_status
put_big_endian(evs__kafka_keys *k, uint64_t value, size_t bytes, evs_error **reterr)
{
    unsigned char out[8];
    for (size_t i = 0; i < bytes; i++)
        out[i] = (unsigned char)(value >> (8 * (bytes - 1 - i)));
    return put(k, out, bytes, reterr);
}

static evs_status put_kafka(evs__kafka_keys *k, const evs_row *row, evs_error **reterr)
{
    evs_type_id id =
        evs_type_get_id(evs_type_child(evs_batch_type(row->batch), (size_t)k->fields[0]));
    const char *data = NULL;
    size_t len = 0;
    int64_t integer = 0;
    double number = 0;
    uint64_t bits;

    if (id == EVS_TYPE_VARCHAR || id == EVS_TYPE_BYTES) {
        evs_row_string(row, k->fields[0], &data, &len);
        return put(k, data, len, reterr);
    }
    if (id == EVS_TYPE_DOUBLE) {
        evs_row_double(row, k->fields[0], &number);
        memcpy(&bits, &number, 8);
        return put_big_endian(k, bits, 8, reterr);
    }
    evs_row_int(row, k->fields[0], &integer);
    return put_big_endian(k, (uint64_t)integer,
                          id == EVS_TYPE_INT || id == EVS_TYPE_DATE || id == EVS_TYPE_TIME ? 4 : 8,
                          reterr);
}

static evs_status put_text(evs__kafka_keys *k, const evs_row *row, evs_error **reterr)
{
    evs_status status = EVS_OK;
    for (size_t i = 0; !status && i < k->count; i++) {
        char small[512];
        size_t len = 0;
        if (i)
            status = put(k, "|", 1, reterr);
        if (status || evs_row_text(row, k->fields[i], small, sizeof(small), &len) == EVS_END)
            continue;
        if (len < sizeof(small)) {
            status = put(k, small, len, reterr);
        } else {
            char *large = evs_alloc(k->ctx, len + 1);
            if (!large)
                return nomem(k->ctx, reterr);
            evs_row_text(row, k->fields[i], large, len + 1, &len);
            status = put(k, large, len, reterr);
            evs_free(k->ctx, large);
        }
    }
    return status;
}

evs_status evs__kafka_keys_make(evs__kafka_keys *k,
                                const evs_batch *batch,
                                uint32_t index,
                                evs_string_view *ret,
                                evs_error **reterr)
{
    evs_row row = {batch, NULL, index, 0};
    evs_string_view json = {NULL, 0};
    int64_t start = 0;
    evs_status status = EVS_OK;

    *ret = (evs_string_view){NULL, 0};
    k->len = 0;
    if (!k->count && !k->window)
        return EVS_OK;
    if (k->count && k->form == FORM_KAFKA) {
        if (!k->window && evs_row_is_null(&row, k->fields[0]))
            return EVS_OK;
        status = put_kafka(k, &row, reterr);
    } else if (k->count && k->form == FORM_TEXT) {
        status = put_text(k, &row, reterr);
    } else if (k->count) {
        status = evs_encoder_encode(k->json, batch, index, &json, reterr);
        if (!status)
            status = put(k, json.data, json.len, reterr);
    }
    if (!status && k->window) {
        evs_row_int(&row, k->window_field, &start);
        status = put_big_endian(k, (uint64_t)start, 8, reterr);
    }
    if (!status && !k->len)
        status = put(k, "", 0, reterr);
    if (!status)
        *ret = (evs_string_view){k->buffer ? k->buffer : "", k->len};
    return status;
}
