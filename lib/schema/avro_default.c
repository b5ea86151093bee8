/*
 * schema/avro_default.c: a default value of a schema, JSON, as the bytes of its type.
 *
 * The same walk checks defaults when a schema is parsed and gives encoders the bytes of a field
 * that no column fills. As in the specification: bytes and fixed are strings whose code points are
 * the bytes, a union's default is one of its first branch, a record's default may leave out fields
 * that have a default themselves. Depth and size are bounded, so a record that holds itself by
 * default is refused.
 */
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "schema/schema.h"

typedef struct writer {
    evs__buffer *out;
    char *why;
    size_t why_size;
    uint32_t depth;
} writer;

static evs_status write_value(writer *w, const evs__avro_node *node, const json_t *json);

static evs_status refuse(writer *w, const char *format, ...) EVS_PRINTF(2, 3);

static evs_status refuse(writer *w, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vsnprintf(w->why, w->why_size, format, ap);
    va_end(ap);
    return EVS_ERR_SCHEMA;
}

static const char *json_word(const json_t *json)
{
    static const char *const words[] = {"an object",  "an array", "a string", "an integer",
                                        "a fraction", "true",     "false",    "null"};
    return words[json_typeof(json)];
}

static void write_long(writer *w, int64_t value)
{
    uint64_t z = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);

    while (z >= 0x80) {
        evs__buffer_byte(w->out, (uint8_t)(z | 0x80));
        z >>= 7;
    }
    evs__buffer_byte(w->out, (uint8_t)z);
}

static evs_status write_integer(writer *w, const evs__avro_node *node, const json_t *json)
{
    json_int_t value = json_integer_value(json);

    if (!json_is_integer(json))
        return refuse(w, "expected %s, not %s", evs__avro_kind_name(node->kind), json_word(json));
    if (node->kind == EVS__AVRO_INT && (value < INT32_MIN || value > INT32_MAX))
        return refuse(w, "%lld does not fit into an int", (long long)value);
    write_long(w, value);
    return EVS_OK;
}

static evs_status write_floating(writer *w, const evs__avro_node *node, const json_t *json)
{
    double value = json_number_value(json);

    if (!json_is_number(json))
        return refuse(w, "expected %s, not %s", evs__avro_kind_name(node->kind), json_word(json));
    if (node->kind == EVS__AVRO_FLOAT) {
        float narrow = (float)value;
        if (isinf(narrow))
            return refuse(w, "the number does not fit into a float");
        evs__buffer_append(w->out, &narrow, sizeof(narrow));
    } else {
        evs__buffer_append(w->out, &value, sizeof(value));
    }
    return EVS_OK;
}

/* the bytes that the code points of a string stand for; false: one is above 255 */
static bool write_code_points(writer *w, const char *text, size_t len, bool count_only, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < len; i++, ++*n) {
        uint8_t byte = (uint8_t)text[i];
        if (byte >= 0x80) {
            /* jansson gives valid UTF-8: 0xc2 and 0xc3 lead the code points 0x80 to 0xff */
            if (byte > 0xc3)
                return false;
            byte = (uint8_t)((byte & 3) << 6 | ((uint8_t)text[++i] & 0x3f));
        }
        if (!count_only)
            evs__buffer_byte(w->out, byte);
    }
    return true;
}

static evs_status write_bytes(writer *w, const evs__avro_node *node, const json_t *json)
{
    const char *text = json_string_value(json);
    size_t n;

    if (!text)
        return refuse(w, "expected %s (a string of its bytes), not %s",
                      evs__avro_kind_name(node->kind), json_word(json));
    if (!write_code_points(w, text, json_string_length(json), true, &n))
        return refuse(w, "a code point above 255 is no byte");
    if (node->kind == EVS__AVRO_FIXED && n != (size_t)node->fixed_size)
        return refuse(w, "%zu bytes where %s has %d", n, node->fullname, (int)node->fixed_size);
    if (node->kind == EVS__AVRO_BYTES)
        write_long(w, (int64_t)n);
    write_code_points(w, text, json_string_length(json), false, &n);
    return EVS_OK;
}

static evs_status write_string(writer *w, const evs__avro_node *node, const json_t *json)
{
    const char *text = json_string_value(json);

    if (!text)
        return refuse(w, "expected %s, not %s", evs__avro_kind_name(node->kind), json_word(json));
    if (node->kind == EVS__AVRO_ENUM) {
        for (size_t i = 0; i < node->child_count; i++) {
            if (strcmp(node->names[i], text) == 0) {
                write_long(w, (int64_t)i);
                return EVS_OK;
            }
        }
        return refuse(w, "\"%s\" is no symbol of %s", text, node->fullname);
    }
    write_long(w, (int64_t)json_string_length(json));
    evs__buffer_append(w->out, text, json_string_length(json));
    return EVS_OK;
}

static evs_status write_array(writer *w, const evs__avro_node *node, const json_t *json)
{
    size_t count = json_array_size(json);

    if (!json_is_array(json))
        return refuse(w, "expected an array, not %s", json_word(json));
    if (count)
        write_long(w, (int64_t)count);
    for (size_t i = 0; i < count; i++) {
        evs_status status = write_value(w, node->children[0], json_array_get(json, i));
        if (status)
            return status;
    }
    evs__buffer_byte(w->out, 0);
    return EVS_OK;
}

static evs_status write_map(writer *w, const evs__avro_node *node, const json_t *json)
{
    const char *key;
    json_t *value;

    if (!json_is_object(json))
        return refuse(w, "expected a map (an object), not %s", json_word(json));
    if (json_object_size(json))
        write_long(w, (int64_t)json_object_size(json));
    json_object_foreach((json_t *)json, key, value)
    {
        evs_status status;
        write_long(w, (int64_t)strlen(key));
        evs__buffer_text(w->out, key);
        if ((status = write_value(w, node->children[0], value)))
            return status;
    }
    evs__buffer_byte(w->out, 0);
    return EVS_OK;
}

static evs_status write_record(writer *w, const evs__avro_node *node, const json_t *json)
{
    if (!json_is_object(json))
        return refuse(w, "expected a record (an object), not %s", json_word(json));
    for (size_t i = 0; i < node->child_count; i++) {
        const json_t *value = json_object_get(json, node->names[i]);
        evs_status status;
        if (!value && node->has_default[i])
            value = node->defaults[i];
        if (!value)
            return refuse(w, "field \"%s\" of %s is missing and has no default", node->names[i],
                          node->fullname);
        if ((status = write_value(w, node->children[i], value)))
            return status;
    }
    return EVS_OK;
}

static evs_status write_union(writer *w, const evs__avro_node *node, const json_t *json)
{
    if (!node->child_count)
        return refuse(w, "a union without branches has no value");
    write_long(w, 0);
    return write_value(w, node->children[0], json);
}

static evs_status write_kind(writer *w, const evs__avro_node *node, const json_t *json)
{
    switch (node->kind) {
    case EVS__AVRO_NULL:
        return json_is_null(json) ? EVS_OK : refuse(w, "expected null, not %s", json_word(json));
    case EVS__AVRO_BOOLEAN:
        if (!json_is_boolean(json))
            return refuse(w, "expected a boolean, not %s", json_word(json));
        evs__buffer_byte(w->out, json_is_true(json));
        return EVS_OK;
    case EVS__AVRO_INT:
    case EVS__AVRO_LONG:
        return write_integer(w, node, json);
    case EVS__AVRO_FLOAT:
    case EVS__AVRO_DOUBLE:
        return write_floating(w, node, json);
    case EVS__AVRO_BYTES:
    case EVS__AVRO_FIXED:
        return write_bytes(w, node, json);
    case EVS__AVRO_STRING:
    case EVS__AVRO_ENUM:
        return write_string(w, node, json);
    case EVS__AVRO_ARRAY:
        return write_array(w, node, json);
    case EVS__AVRO_MAP:
        return write_map(w, node, json);
    case EVS__AVRO_RECORD:
        return write_record(w, node, json);
    case EVS__AVRO_UNION:
        return write_union(w, node, json);
    }
    return EVS_ERR_INTERNAL;
}

static evs_status write_value(writer *w, const evs__avro_node *node, const json_t *json)
{
    evs_status status;

    if (++w->depth > EVS__AVRO_DEPTH_MAX)
        return refuse(w, "it nests deeper than %d levels", EVS__AVRO_DEPTH_MAX);
    status = write_kind(w, node, json);
    w->depth--;
    if (!status && w->out->status) {
        status = w->out->status;
        if (status == EVS_ERR_LIMIT)
            refuse(w, "it takes more than %zu bytes", w->out->max);
    }
    return status;
}

evs_status evs__avro_default_write(
    const evs__avro_node *node, const void *json, evs__buffer *out, char *why, size_t why_size)
{
    writer w = {.out = out, .why = why, .why_size = why_size};

    return write_value(&w, node, json);
}
