/*
 * codec/codec.c: the frame that every format plugs into: the table of formats, the options, the
 * memory of decoded text, and validation of single events.
 *
 *   options -> setup -> decoder.c: framing, decoder per schema id, batches   -> format: columns
 *                    -> encoder.c: framing, schema id, output buffers        <- format: bytes
 *
 * Adding a format: one file with an evs__format, one line in `formats` below, one value in the
 * option table's enum.
 */
#include <stdarg.h>
#include <stdio.h>

#include "codec/frame.h"

static const evs__format *const formats[] = {
    &evs__format_avro,
    &evs__format_json,
    &evs__format_delimited,
    NULL,
};

/* ---- options ---- */

const evs_option_info evs__codec_option_table[] = {
    {"format", NULL, "json|avro|delimited",
     "form of the events; default: the schema's own, or json", "0.1", 0, 0, EVS_OPTION_ENUM, 0},
    {"framing", NULL, "confluent|none",
     "confluent: magic byte 0 and the schema's id (4 bytes, big endian) before each value; "
     "default: "
     "confluent for avro, none otherwise",
     "0.1", 0, 0, EVS_OPTION_ENUM, 0},
    {"columns", NULL, NULL,
     "without a schema: column definitions, `user_id VARCHAR NOT NULL, total DOUBLE "
     "'$.order.total', at TIMESTAMP`; with one: names of the columns that are wanted, all by "
     "default",
     "0.1", 0, 0, EVS_OPTION_STRING, 0},
    {"schema", NULL, NULL, "text of the schema (Avro: the .avsc document)", "0.1", 0, 0,
     EVS_OPTION_STRING, 0},
    {"schema.file", NULL, NULL, "file with the text of the schema", "0.1", 0, 0, EVS_OPTION_STRING,
     0},
    {"schema.registry.url", "memory:", NULL,
     "registry of schemas by id and subject; memory: is the context's own", "0.1", 0, 0,
     EVS_OPTION_STRING, 0},
    {"subject", NULL, NULL,
     "subject in the registry; default: `TOPIC-value`, or the record's name without a topic", "0.1",
     0, 0, EVS_OPTION_STRING, 0},
    {"name", NULL, NULL, "name of the Avro record when the schema is made from the columns", "0.1",
     0, 0, EVS_OPTION_STRING, 0},
    {"delimiter", ",", NULL, "one character between the fields of delimited text", "0.1", 0, 0,
     EVS_OPTION_STRING, 0},
    {"header", "false", NULL, "whether delimited text begins with a line of column names", "0.1", 0,
     0, EVS_OPTION_BOOL, 0},
    {NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0},
};

const evs__format *evs__format_find(evs_format id)
{
    for (size_t i = 0; formats[i]; i++) {
        if (formats[i]->id == id)
            return formats[i];
    }
    return NULL;
}

static const evs__format *format_named(const char *name)
{
    for (size_t i = 0; formats[i]; i++) {
        if (strcmp(formats[i]->name, name) == 0)
            return formats[i];
    }
    return NULL;
}

evs_status evs__codec_setup_resolve(evs__codec_setup *s,
                                    evs_context *ctx,
                                    const char *what,
                                    const evs_schema *schema,
                                    evs_error **reterr)
{
    const char *format = evs_config_string(s->config, "format");
    const char *framing = evs_config_string(s->config, "framing");
    const char *url = evs_config_string(s->config, "schema.registry.url");
    const char *delimiter = evs_config_string(s->config, "delimiter");

    if (format)
        s->format = format_named(format);
    else
        s->format = evs__format_find(schema && schema->format != EVS_FORMAT_NONE ? schema->format
                                                                                 : EVS_FORMAT_JSON);
    if (!s->format)
        return evs__fail(ctx, reterr, EVS_ERR_UNSUPPORTED, "%s: format \"%s\" is not in this build",
                         what, format ? format : "json");
    if (url && strcmp(url, "memory:") != 0)
        return evs__fail(ctx, reterr, EVS_ERR_UNSUPPORTED,
                         "%s: option \"schema.registry.url\": only \"memory:\" is in this build",
                         what);
    if (delimiter && strlen(delimiter) != 1 && strcmp(delimiter, "\\t") != 0)
        return evs__fail(ctx, reterr, EVS_ERR_CONFIG,
                         "%s: option \"delimiter\": \"%s\" is not one character", what, delimiter);
    s->confluent = framing ? strcmp(framing, "confluent") == 0 : s->format->confluent_by_default;
    s->options.delimiter = !delimiter                             ? ','
                           : delimiter[0] == '\\' && delimiter[1] ? '\t'
                                                                  : *delimiter;
    s->options.header = evs_config_bool(s->config, "header");
    s->columns = evs_config_string(s->config, "columns");
    s->subject = evs_config_string(s->config, "subject");
    s->name = evs_config_string(s->config, "name");
    return EVS_OK;
}

/* a checked config of the codec options among `options` */
static evs_status config_new(evs_context *ctx,
                             const char *what,
                             const evs_options *options,
                             evs_config **ret,
                             evs_error **reterr)
{
    const evs_option_info *tables[] = {evs__codec_option_table};
    evs_config *config = NULL;
    evs_status status = evs__config_new(ctx, what, tables, 1, NULL, &config, reterr);

    for (size_t i = 0; !status && options && i < options->count; i++) {
        const char *key = options->pairs[2 * i];
        if (!key)
            status =
                evs__fail(ctx, reterr, EVS_ERR_INVALID, "%s: the name of an option is NULL", what);
        else if (evs__config_knows(config, key) && !options->pairs[2 * i + 1])
            status = evs__fail(ctx, reterr, EVS_ERR_INVALID, "%s: option \"%s\": the value is NULL",
                               what, key);
        else if (evs__config_knows(config, key))
            status = evs__config_set(config, key, options->pairs[2 * i + 1], reterr);
    }
    if (status)
        evs__config_unref(config);
    else
        *ret = config;
    return status;
}

static const char *topic_of(const evs_options *options)
{
    for (size_t i = 0; options && i < options->count; i++) {
        if (options->pairs[2 * i] && strcmp(options->pairs[2 * i], "topic") == 0)
            return options->pairs[2 * i + 1];
    }
    return NULL;
}

evs_status evs__codec_setup_init(evs__codec_setup *s,
                                 evs_context *ctx,
                                 const char *what,
                                 const evs_options *options,
                                 evs_error **reterr)
{
    memset(s, 0, sizeof(*s));
    s->topic = topic_of(options);
    return config_new(ctx, what, options, &s->config, reterr);
}

void evs__codec_setup_free(evs__codec_setup *s)
{
    evs__config_unref(s->config);
    memset(s, 0, sizeof(*s));
}

/* the registry's latest of a subject; by default of the topic's, which need not be there */
static evs_status schema_of_subject(
    evs_context *ctx, const char *subject, const char *topic, evs_schema **ret, evs_error **reterr)
{
    evs_error *err = NULL;
    evs__buffer name;
    evs_status status;

    if (subject)
        return evs_registry_latest(ctx, subject, NULL, ret, reterr);
    /* a list of topics has no subject of its own */
    if (!topic || strchr(topic, ','))
        return EVS_OK;
    evs__buffer_init(&name, ctx, 4096);
    evs__buffer_printf(&name, "%s-value", topic);
    if (evs__buffer_cstr(&name))
        status = evs_registry_latest(ctx, name.data, NULL, ret, &err);
    else
        status = evs__fail(ctx, &err, name.status, "the name of the topic is too long");
    evs__buffer_free(&name);
    if (status != EVS_ERR_NOT_FOUND)
        return status ? evs__error_move(reterr, err) : EVS_OK;
    evs_error_unref(err);
    return EVS_OK;
}

static evs_format format_of(const char *name)
{
    return !name                            ? EVS_FORMAT_JSON
           : strcmp(name, "avro") == 0      ? EVS_FORMAT_AVRO
           : strcmp(name, "delimited") == 0 ? EVS_FORMAT_DELIMITED
                                            : EVS_FORMAT_JSON;
}

evs_status evs__codec_schema_given(evs_context *ctx,
                                   const evs_config *config,
                                   evs_schema **ret,
                                   evs_error **reterr)
{
    const char *text = evs_config_string(config, "schema");
    const char *file = evs_config_string(config, "schema.file");
    const char *columns = evs_config_string(config, "columns");
    evs_format id = format_of(evs_config_string(config, "format"));

    *ret = NULL;
    if (text && file)
        return evs__fail(ctx, reterr, EVS_ERR_CONFIG,
                         "options \"schema\" and \"schema.file\" exclude each other");
    /* the text of an Avro schema is a JSON document, column definitions never are */
    if (text)
        return evs_schema_parse(ctx, text[strspn(text, " \t\r\n")] == '{' ? EVS_FORMAT_AVRO : id,
                                text, strlen(text), ret, reterr);
    if (file) {
        size_t len = strlen(file);
        bool avsc = len > 5 && strcmp(file + len - 5, ".avsc") == 0;
        return evs_schema_load(ctx, avsc ? EVS_FORMAT_AVRO : id, file, ret, reterr);
    }
    return columns ? evs_schema_columns(ctx, columns, ret, reterr) : EVS_OK;
}

evs_status evs__codec_schema_of(evs_context *ctx,
                                const evs_config *config,
                                const char *topic,
                                evs_schema **ret,
                                evs_error **reterr)
{
    evs_status status = evs__codec_schema_given(ctx, config, ret, reterr);

    if (status || *ret || format_of(evs_config_string(config, "format")) != EVS_FORMAT_AVRO)
        return status;
    return schema_of_subject(ctx, evs_config_string(config, "subject"), topic, ret, reterr);
}

evs_status evs__codec_schema(evs_context *ctx,
                             const evs_options *options,
                             const char *topic,
                             evs_schema **ret,
                             evs_error **reterr)
{
    evs_config *config = NULL;
    evs_status status = config_new(ctx, "schema", options, &config, reterr);

    if (!status)
        status = evs__codec_schema_of(ctx, config, topic, ret, reterr);
    evs__config_unref(config);
    return status;
}

/* ---- scratch memory ---- */

#define SCRATCH_CHUNK (16 * 1024)

struct evs__scratch_chunk {
    struct evs__scratch_chunk *next;
    size_t used;
    size_t size;
    char bytes[];
};

void evs__scratch_init(evs__scratch *s, evs_context *ctx)
{
    s->ctx = ctx;
    s->chunks = NULL;
}

static void scratch_free_from(evs__scratch *s, struct evs__scratch_chunk *c)
{
    while (c) {
        struct evs__scratch_chunk *next = c->next;
        evs__free(s->ctx, c);
        c = next;
    }
}

void evs__scratch_free(evs__scratch *s)
{
    scratch_free_from(s, s->chunks);
    s->chunks = NULL;
}

void evs__scratch_reset(evs__scratch *s)
{
    /* chunks double in size: the newest is the largest */
    if (!s->chunks)
        return;
    scratch_free_from(s, s->chunks->next);
    s->chunks->next = NULL;
    s->chunks->used = 0;
}

char *evs__scratch_alloc(evs__scratch *s, size_t len)
{
    struct evs__scratch_chunk *c = s->chunks;
    size_t size;
    size_t bytes;

    if (!c || c->size - c->used < len) {
        size = c ? c->size : SCRATCH_CHUNK / 2;
        if (evs__mul_overflow(size, 2, &size))
            return NULL;
        if (size < len)
            size = len;
        if (evs__add_overflow(size, sizeof(*c), &bytes) || !(c = evs__alloc(s->ctx, bytes)))
            return NULL;
        c->next = s->chunks;
        c->used = 0;
        c->size = size;
        s->chunks = c;
    }
    c->used += len;
    return c->bytes + c->used - len;
}

void evs__scratch_shrink(evs__scratch *s, char *ptr, size_t used)
{
    /* the last allocation ends where its chunk's used part does */
    s->chunks->used = (size_t)(ptr - s->chunks->bytes) + used;
}

/* ---- failures and validation ---- */

evs_status evs__row_fail(char *message,
                         size_t message_size,
                         evs_status status,
                         const char *path,
                         const char *format,
                         ...)
{
    size_t used = 0;
    va_list ap;

    if (!message_size)
        return status;
    message[0] = '\0';
    if (path && *path) {
        int n = snprintf(message, message_size, "field \"%s\": ", path);
        used = n < 0 ? 0 : (size_t)n < message_size ? (size_t)n : message_size - 1;
    }
    va_start(ap, format);
    vsnprintf(message + used, message_size - used, format, ap);
    va_end(ap);
    return status;
}

typedef struct validation {
    evs_context *ctx;
    evs_status status;
    evs_error **reterr;
} validation;

static void validate_failed(size_t index, evs_status status, const char *message, void *user_data)
{
    validation *v = user_data;
    const char *begin = strstr(message, "field \"");
    const char *end = begin ? strstr(begin + 7, "\": ") : NULL;
    char path[256] = "";

    (void)index;
    if (begin == message && end && (size_t)(end - begin - 7) < sizeof(path))
        memcpy(path, begin + 7, (size_t)(end - begin - 7));
    v->status = evs__fail_at(v->ctx, v->reterr, status, path, "%s", message);
}

static void validator_free(void *validator)
{
    evs_decoder_unref(validator);
}

evs_status evs_schema_validate(evs_schema *schema, const void *data, size_t len, evs_error **reterr)
{
    evs_input input = {.value = data, .offset = -1, .timestamp = EVS_TIME_NONE, .partition = 0};
    evs_decoder *decoder = NULL;
    evs_batch *batch = NULL;
    validation v = {.reterr = reterr};
    evs_status status;

    if (!schema || (!data && len))
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "schema or data is NULL");
    if (len > UINT32_MAX)
        return evs__fail(schema->ctx, reterr, EVS_ERR_INVALID, "%zu bytes are too many", len);
    v.ctx = schema->ctx;
    decoder = (evs_decoder *)atomic_load_explicit(&schema->validator, memory_order_acquire);
    if (!decoder) {
        if ((status = evs__decoder_new_validator(schema, &decoder, reterr)))
            return status;
        schema->validator_free = validator_free;
        atomic_store_explicit(&schema->validator, (intptr_t)decoder, memory_order_release);
    }
    input.value = data ? data : "";
    input.value_len = (uint32_t)len;
    status = evs__decoder_run(decoder, &input, 1, validate_failed, &v, &batch, reterr);
    evs_batch_unref(batch);
    return status ? status : v.status;
}
