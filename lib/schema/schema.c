/*
 * schema/schema.c: evs_schema: a row type, the text it came from and, for Avro, the nodes of the
 * wire form. Immutable and shared by reference; codecs compile from it.
 */
#include "schema/schema.h"

#define TEXT_MAX ((size_t)16 << 20)
#define WARNINGS_MAX 65536

static void free_paths(evs_context *ctx, char **paths, size_t count)
{
    for (size_t i = 0; paths && i < count; i++)
        evs__free(ctx, paths[i]);
    evs__free(ctx, paths);
}

static evs_status
schema_new(evs_context *ctx, evs_format format, const char *text, size_t len, evs_schema **ret)
{
    evs_schema *s = evs__calloc(ctx, 1, sizeof(*s));

    if (!s)
        return EVS_ERR_NOMEM;
    atomic_init(&s->refs, 1);
    atomic_init(&s->validator, 0);
    s->ctx = evs__context_hold(ctx);
    s->format = format;
    if (!(s->text = evs__strndup(ctx, text, len))) {
        evs_schema_unref(s);
        return EVS_ERR_NOMEM;
    }
    *ret = s;
    return EVS_OK;
}

evs_schema *evs_schema_ref(evs_schema *schema)
{
    if (schema)
        atomic_fetch_add_explicit(&schema->refs, 1, memory_order_relaxed);
    return schema;
}

evs_schema *evs_schema_unref(evs_schema *schema)
{
    evs_context *ctx;
    void *validator;

    if (!schema || atomic_fetch_sub_explicit(&schema->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    ctx = schema->ctx;
    validator = (void *)atomic_load_explicit(&schema->validator, memory_order_acquire);
    if (validator)
        schema->validator_free(validator);
    free_paths(ctx, schema->paths, schema->type ? schema->type->child_count : 0);
    evs_type_unref(schema->type);
    evs__avro_tree_free(schema->avro_owner);
    evs__free(ctx, schema->text);
    evs__free(ctx, schema->warnings);
    evs__free(ctx, schema);
    evs__context_drop(ctx);
    return NULL;
}

/* ---- parsing ---- */

static evs_status parse_columns(evs_schema *s, evs_error **reterr)
{
    return evs__columns_parse(s->ctx, s->text, &s->type, &s->paths, reterr);
}

static evs_status parse_avro(evs_schema *s, size_t len, evs_error **reterr)
{
    evs__buffer warnings;
    evs_status status;

    evs__buffer_init(&warnings, s->ctx, WARNINGS_MAX);
    status = evs__avro_parse(s->ctx, s->text, len, &warnings, &s->avro_owner, reterr);
    if (status)
        goto out;
    s->avro = evs__avro_root(s->avro_owner);
    if (s->avro->kind != EVS__AVRO_RECORD) {
        status = evs__fail(s->ctx, reterr, EVS_ERR_SCHEMA,
                           "Avro schema: the root must be a record, not %s",
                           evs__avro_kind_name(s->avro->kind));
        goto out;
    }
    if ((status = evs__avro_type(s->ctx, s->avro, &warnings, &s->type, reterr)))
        goto out;
    /* too many warnings for their buffer are no reason to refuse a schema */
    if (warnings.status == EVS_ERR_LIMIT)
        warnings.status = EVS_OK;
    if (warnings.len && !(s->warnings = evs__strndup(s->ctx, warnings.data, warnings.len)))
        status = evs__nomem(reterr);
    if (!status && warnings.status)
        status = evs__nomem(reterr);
out:
    evs__buffer_free(&warnings);
    return status;
}

evs_status evs_schema_parse(evs_context *context,
                            evs_format format,
                            const char *text,
                            size_t len,
                            evs_schema **ret_schema,
                            evs_error **reterr)
{
    evs_schema *s = NULL;
    evs_status status;

    if (!context || !text || !ret_schema)
        return evs__fail(context, reterr, EVS_ERR_INVALID, "context, text or ret_schema is NULL");
    if (format < EVS_FORMAT_NONE || format > EVS_FORMAT_DELIMITED)
        return evs__fail(context, reterr, EVS_ERR_INVALID, "%d is no format", (int)format);
    if (len > TEXT_MAX)
        return evs__fail(context, reterr, EVS_ERR_SCHEMA, "schema: %zu bytes are more than %zu",
                         len, TEXT_MAX);
    if (memchr(text, '\0', len))
        return evs__fail(context, reterr, EVS_ERR_SCHEMA, "schema: a NUL byte in the text");
    if (schema_new(context, format, text, len, &s))
        return evs__nomem(reterr);
    status = format == EVS_FORMAT_AVRO ? parse_avro(s, len, reterr) : parse_columns(s, reterr);
    if (status)
        evs_schema_unref(s);
    else
        *ret_schema = s;
    return status;
}

evs_status evs_schema_columns(evs_context *context,
                              const char *columns,
                              evs_schema **ret_schema,
                              evs_error **reterr)
{
    if (!columns)
        return evs__fail(context, reterr, EVS_ERR_INVALID, "columns is NULL");
    return evs_schema_parse(context, EVS_FORMAT_NONE, columns, strlen(columns), ret_schema, reterr);
}

/* ---- made from a type ---- */

static evs_status columns_text(const evs_type *type, evs__buffer *out)
{
    for (uint32_t i = 0; i < type->child_count; i++) {
        if (i)
            evs__buffer_text(out, ", ");
        evs__type_print_name(type->children[i].name, out);
        evs__buffer_byte(out, ' ');
        evs__buffer_text(out, evs_type_print(type->children[i].type));
    }
    return out->status;
}

evs_status evs_schema_of_type(evs_context *context,
                              evs_format format,
                              const char *name,
                              const evs_type *type,
                              evs_schema **ret_schema,
                              evs_error **reterr)
{
    evs__buffer text;
    evs_schema *s = NULL;
    evs_status status;

    if (!context || !ret_schema || evs_type_get_id(type) != EVS_TYPE_STRUCT)
        return evs__fail(context, reterr, EVS_ERR_INVALID,
                         "context or ret_schema is NULL, or the type is not a STRUCT");
    if (format < EVS_FORMAT_NONE || format > EVS_FORMAT_DELIMITED)
        return evs__fail(context, reterr, EVS_ERR_INVALID, "%d is no format", (int)format);
    evs__buffer_init(&text, context, TEXT_MAX);
    if (format == EVS_FORMAT_AVRO) {
        status = evs__avro_text_of_type(context, name ? name : "row", type, &text, reterr);
        if (!status)
            status = evs_schema_parse(context, format, text.data, text.len, ret_schema, reterr);
        goto out;
    }
    /* columns need no parsing again: the type is there */
    status = columns_text(type, &text);
    if (!status)
        status = schema_new(context, format, text.data ? text.data : "", text.len, &s);
    if (status) {
        evs__fail(context, reterr, status, "schema: %s", evs_status_text(status));
        goto out;
    }
    s->type = evs_type_ref(type);
    *ret_schema = s;
out:
    evs__buffer_free(&text);
    return status;
}

/* ---- questions ---- */

evs_format evs_schema_format(const evs_schema *schema)
{
    return schema ? schema->format : EVS_FORMAT_NONE;
}

const evs_type *evs_schema_type(const evs_schema *schema)
{
    return schema ? schema->type : NULL;
}

int32_t evs_schema_field(const evs_schema *schema, const char *name)
{
    return schema && name ? evs_type_field_index(schema->type, name, strlen(name)) : -1;
}

const char *evs_schema_text(const evs_schema *schema)
{
    return schema ? schema->text : "";
}

const char *evs_schema_warnings(const evs_schema *schema)
{
    return schema && schema->warnings ? schema->warnings : "";
}
