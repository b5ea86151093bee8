/*
 * schema/avro_text.c: an Avro record for rows of a type: the schema of a sink that was given none.
 *
 * BOOLEAN boolean, INT int, BIGINT long, DOUBLE double, DECIMAL bytes/decimal, VARCHAR string,
 * BYTES bytes, TIMESTAMP long/timestamp-millis, DATE int/date, TIME int/time-millis, ARRAY, MAP,
 * STRUCT a record named after the path that leads to it. Nullable: ["null", X] with default null.
 * Parsed again, the text gives the same type.
 */
#include "schema/schema.h"

#define TEXT_MAX ((size_t)16 << 20)
#define NAME_MAX_BYTES 4096

typedef struct printer {
    evs_context *ctx;
    evs__buffer *out;
    evs__buffer name; /* record name of where we are: "row_items_product" */
    uint32_t records; /* made so far: keeps names apart */
    evs_error **reterr;
} printer;

static evs_status print_type(printer *p, const evs_type *type);

static bool is_avro_name(const char *name)
{
    for (const char *c = name; *c; c++) {
        bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '_';
        if (!letter && !(c > name && *c >= '0' && *c <= '9'))
            return false;
    }
    return *name != '\0';
}

static evs_status print_fields(printer *p, const evs_type *type)
{
    evs_status status = EVS_OK;

    evs__buffer_text(p->out, ",\"fields\":[");
    for (uint32_t i = 0; i < type->child_count && !status; i++) {
        const evs__field *field = &type->children[i];
        size_t before = p->name.len;
        if (!is_avro_name(field->name))
            return evs__fail_at(p->ctx, p->reterr, EVS_ERR_UNSUPPORTED, field->name,
                                "\"%s\" is no Avro name (letters, digits and _): rename the column",
                                field->name);
        evs__buffer_printf(p->out, "%s{\"name\":\"%s\",\"type\":", i ? "," : "", field->name);
        evs__buffer_printf(&p->name, "_%s", field->name);
        status = print_type(p, field->type);
        p->name.len = before;
        evs__buffer_text(p->out, field->type->nullable ? ",\"default\":null}" : "}");
    }
    evs__buffer_text(p->out, "]}");
    return status;
}

static evs_status print_record(printer *p, const evs_type *type)
{
    const char *name = evs__buffer_cstr(&p->name);

    if (!name)
        return evs__fail(p->ctx, p->reterr, p->name.status,
                         "the name of a nested record is too long");
    /* "a_b" of field a_b and of field b inside a: the number tells them apart */
    if (p->records++)
        evs__buffer_printf(p->out, "{\"type\":\"record\",\"name\":\"%s_%u\"", name,
                           (unsigned)p->records);
    else
        evs__buffer_printf(p->out, "{\"type\":\"record\",\"name\":\"%s\"", name);
    return print_fields(p, type);
}

static evs_status print_plain(printer *p, const evs_type *type)
{
    static const char *const texts[] = {
        [EVS_TYPE_BOOLEAN] = "\"boolean\"",
        [EVS_TYPE_INT] = "\"int\"",
        [EVS_TYPE_BIGINT] = "\"long\"",
        [EVS_TYPE_DOUBLE] = "\"double\"",
        [EVS_TYPE_VARCHAR] = "\"string\"",
        [EVS_TYPE_BYTES] = "\"bytes\"",
        [EVS_TYPE_TIMESTAMP] = "{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}",
        [EVS_TYPE_DATE] = "{\"type\":\"int\",\"logicalType\":\"date\"}",
        [EVS_TYPE_TIME] = "{\"type\":\"int\",\"logicalType\":\"time-millis\"}",
    };
    evs_status status = EVS_OK;

    switch (type->id) {
    case EVS_TYPE_DECIMAL:
        evs__buffer_printf(p->out,
                           "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":%d,"
                           "\"scale\":%d}",
                           (int)type->precision, (int)type->scale);
        return EVS_OK;
    case EVS_TYPE_ARRAY:
        evs__buffer_text(p->out, "{\"type\":\"array\",\"items\":");
        status = print_type(p, type->children[0].type);
        evs__buffer_text(p->out, "}");
        return status;
    case EVS_TYPE_MAP:
        evs__buffer_text(p->out, "{\"type\":\"map\",\"values\":");
        status = print_type(p, type->children[0].type->children[1].type);
        evs__buffer_text(p->out, "}");
        return status;
    case EVS_TYPE_STRUCT:
        return print_record(p, type);
    default:
        evs__buffer_text(p->out, texts[type->id]);
        return EVS_OK;
    }
}

static evs_status print_type(printer *p, const evs_type *type)
{
    evs_status status;

    if (!type->nullable)
        return print_plain(p, type);
    evs__buffer_text(p->out, "[\"null\",");
    status = print_plain(p, type);
    evs__buffer_text(p->out, "]");
    return status;
}

/* letters, digits and _ of a name that may be a topic's; dots part namespaces */
static void add_record_name(evs__buffer *out, const char *name)
{
    bool first = true;

    for (const char *c = name; *c; c++) {
        bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '_';
        bool digit = *c >= '0' && *c <= '9';
        if (first && !letter)
            evs__buffer_byte(out, '_');
        if (*c == '.' && !first && c[1] && c[1] != '.') {
            evs__buffer_byte(out, '.');
            first = true;
            continue;
        }
        if (letter || digit)
            evs__buffer_byte(out, (uint8_t)*c);
        else if (!first)
            evs__buffer_byte(out, '_');
        first = false;
    }
    if (!out->len)
        evs__buffer_text(out, "row");
}

evs_status evs__avro_text_of_type(
    evs_context *ctx, const char *name, const evs_type *type, evs__buffer *out, evs_error **reterr)
{
    printer p = {.ctx = ctx, .out = out, .reterr = reterr};
    evs_status status;

    evs__buffer_init(&p.name, ctx, NAME_MAX_BYTES);
    add_record_name(&p.name, name);
    status = print_record(&p, type);
    evs__buffer_free(&p.name);
    if (!status && out->status)
        status =
            evs__fail(ctx, reterr, out->status, "%s",
                      out->status == EVS_ERR_NOMEM ? "out of memory" : "the schema is too large");
    return status;
}
