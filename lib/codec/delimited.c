/*
 * codec/delimited.c: delimited text (RFC 4180), one record an event, fields in the schema's order.
 *
 *   u1,"Hall, Anna","say ""hi""",,19.90        NULL is nothing at all; "" is empty text
 *
 * A line end behind the record belongs to no field; inside quotes it is text. The line of column
 * names that a file may begin with is the file connector's affair. Nothing is guessed: a record
 * with too few or too many fields, a quote inside an unquoted field, text behind a closing quote or
 * blanks around a number are failures of the row.
 *
 * INT, BIGINT, DOUBLE as in JSON; DECIMAL with at most the type's digits; BOOLEAN true or false in
 * any case; TIMESTAMP, DATE, TIME as ISO text or as a number (ms, days, ms); BYTES in base64.
 * Nested types have no form here.
 */
#include <math.h>
#include <string.h>

#include "base/base64.h"
#include "base/time.h"
#include "codec/codec.h"

#define DAY_MS 86400000
#define FIXED_TEXT_MAX 64

/* a field of the schema and the column it belongs to */
typedef struct column_map {
    const char *name;     /* borrowed from the schema's type */
    const evs_type *type; /* encoder: the schema's */
    int32_t column;       /* -1: none; a decoder skips the field, an encoder writes NULL */
} column_map;

typedef struct delimited_decoder {
    evs__format_decoder base;
    evs_context *ctx;
    const evs_type *wanted, *schema;
    column_map *fields;
    uint32_t field_count;
    char delimiter;
} delimited_decoder;

typedef struct delimited_encoder {
    evs__format_encoder base;
    evs_context *ctx;
    const evs_type *schema;
    column_map *fields;
    uint32_t field_count;
    char delimiter;
} delimited_encoder;

/* one field of a record, found but not yet read */
typedef struct field_text {
    const char *data; /* between the quotes, if any */
    size_t len;
    bool quoted;
    bool doubled; /* has doubled quotes */
} field_text;

/* where a row's failure goes */
typedef struct row_report {
    char *message;
    size_t size;
    const char *field;
} row_report;

static evs_status report(const row_report *r, evs_status status, const char *what)
{
    return evs__row_fail(r->message, r->size, status, r->field, "%s", what);
}

static evs_status
check_columns(evs_context *ctx, const evs_type *schema, char delimiter, evs_error **reterr)
{
    if (delimiter == '"' || delimiter == '\r' || delimiter == '\n' || !delimiter)
        return evs__fail(ctx, reterr, EVS_ERR_CONFIG,
                         "option \"delimiter\": a quote or line end cannot be it");
    for (uint32_t i = 0; i < schema->child_count; i++) {
        const evs__field *field = &schema->children[i];
        if (field->type->child_count)
            return evs__fail_at(ctx, reterr, EVS_ERR_UNSUPPORTED, field->name,
                                "column \"%s\": %s has no form in delimited text", field->name,
                                evs_type_print(field->type));
    }
    return EVS_OK;
}

/* ---- taking a record apart ---- */

/* the field at *pp, which moves to the delimiter behind it or to the end */
static evs_status
take_field(const char **pp, const char *end, char delimiter, field_text *f, const row_report *r)
{
    const char *p = *pp;

    *f = (field_text){.data = p};
    if (p == end || *p != '"') {
        for (; p < end && *p != delimiter; p++) {
            if (*p == '"')
                return report(r, EVS_ERR_DECODE, "a quote inside an unquoted field");
            if (*p == '\n' || *p == '\r')
                return report(r, EVS_ERR_DECODE, "a line end inside an unquoted field");
        }
        f->len = (size_t)(p - f->data);
        *pp = p;
        return EVS_OK;
    }
    f->quoted = true;
    f->data = ++p;
    for (;;) {
        p = memchr(p, '"', (size_t)(end - p));
        if (!p)
            return report(r, EVS_ERR_DECODE, "the closing quote is missing");
        if (p + 1 == end || p[1] != '"')
            break;
        f->doubled = true;
        p += 2;
    }
    f->len = (size_t)(p - f->data);
    *pp = ++p;
    if (p < end && *p != delimiter)
        return report(r, EVS_ERR_DECODE, "text follows the closing quote");
    return EVS_OK;
}

/* the text without doubled quotes, in the batch's scratch; false: no memory */
static bool undouble(field_text *f, evs__scratch *scratch)
{
    char *to, *start;

    if (!f->doubled)
        return true;
    start = to = evs__scratch_alloc(scratch, f->len);
    if (!start)
        return false;
    for (size_t i = 0; i < f->len; i++) {
        *to++ = f->data[i];
        i += f->data[i] == '"';
    }
    f->data = start;
    f->len = (size_t)(to - start);
    evs__scratch_shrink(scratch, start, f->len);
    return true;
}

/* ---- values ---- */

static bool is_word(const field_text *f, const char *word)
{
    size_t i = 0;

    for (; i < f->len && word[i] && (f->data[i] | 0x20) == word[i]; i++)
        ;
    return i == f->len && !word[i];
}

/* INT and DATE, TIME, and as numbers all that is kept as an integer */
static evs_status
append_integer(evs__column *c, const field_text *f, int64_t low, int64_t high, const row_report *r)
{
    int64_t value = 0;
    evs_status status = evs__parse_int(f->data, f->len, &value);

    if (status == EVS_ERR_DECODE)
        return report(r, EVS_ERR_SCHEMA, "not a number");
    if (status || value < low || value > high)
        return report(r, EVS_ERR_OVERFLOW, "the number does not fit the type");
    if (evs__type_width(c->type->id) == 8)
        evs__column_append_i64(c, value);
    else
        evs__column_append_i32(c, (int32_t)value);
    return EVS_OK;
}

static evs_status append_time(evs__column *c, const field_text *f, const row_report *r)
{
    int64_t ms = 0;
    int32_t i32 = 0;

    switch (c->type->id) {
    case EVS_TYPE_TIMESTAMP:
        if (evs__time_parse(f->data, f->len, &ms))
            return append_integer(c, f, INT64_MIN, INT64_MAX, r);
        evs__column_append_i64(c, ms);
        return EVS_OK;
    case EVS_TYPE_DATE:
        if (evs__date_parse(f->data, f->len, &i32))
            return append_integer(c, f, INT32_MIN, INT32_MAX, r);
        break;
    default:
        if (evs__clock_parse(f->data, f->len, &i32))
            return append_integer(c, f, 0, DAY_MS - 1, r);
        break;
    }
    evs__column_append_i32(c, i32);
    return EVS_OK;
}

static evs_status
append_bytes(evs__column *c, const field_text *f, evs__scratch *scratch, const row_report *r)
{
    char *bytes = evs__scratch_alloc(scratch, evs__base64_room(f->len));
    size_t len = 0;

    if (!bytes)
        return report(r, EVS_ERR_NOMEM, "out of memory");
    if (!evs__base64_decode(f->data, f->len, bytes, &len)) {
        evs__scratch_shrink(scratch, bytes, 0);
        return report(r, EVS_ERR_SCHEMA, "not base64");
    }
    evs__scratch_shrink(scratch, bytes, len);
    return evs__column_append_str(c, bytes, len);
}

static evs_status append_number(evs__column *c, const field_text *f, const row_report *r)
{
    evs_status status;
    double d = 0;
    evs__int128 n = 0;

    if (c->type->id == EVS_TYPE_DOUBLE)
        status = evs__parse_double(f->data, f->len, &d);
    else
        status = evs__parse_decimal(f->data, f->len, c->type->precision, c->type->scale, &n);
    if (status == EVS_ERR_OVERFLOW)
        return report(r, status, "the number does not fit the type");
    if (status)
        return report(r, EVS_ERR_SCHEMA, "not a number");
    if (c->type->id == EVS_TYPE_DOUBLE)
        evs__column_append_f64(c, d);
    else
        evs__column_append_i128(c, n);
    return EVS_OK;
}

static evs_status
append_value(evs__column *c, field_text *f, evs__scratch *scratch, const row_report *r)
{
    if (!f->quoted && !f->len) {
        if (!c->type->nullable)
            return report(r, EVS_ERR_SCHEMA, "required, is empty");
        return evs__column_append_null(c);
    }
    if (!undouble(f, scratch))
        return report(r, EVS_ERR_NOMEM, "out of memory");
    switch (c->type->id) {
    case EVS_TYPE_VARCHAR:
        return evs__column_append_str(c, f->data, f->len);
    case EVS_TYPE_BYTES:
        return append_bytes(c, f, scratch, r);
    case EVS_TYPE_BOOLEAN:
        if (!is_word(f, "true") && !is_word(f, "false"))
            return report(r, EVS_ERR_SCHEMA, "neither true nor false");
        evs__column_append_bool(c, is_word(f, "true"));
        return EVS_OK;
    case EVS_TYPE_INT:
        return append_integer(c, f, INT32_MIN, INT32_MAX, r);
    case EVS_TYPE_BIGINT:
        return append_integer(c, f, INT64_MIN, INT64_MAX, r);
    case EVS_TYPE_DOUBLE:
    case EVS_TYPE_DECIMAL:
        return append_number(c, f, r);
    default:
        return append_time(c, f, r);
    }
}

/* ---- rows ---- */

static evs_status read_fields(delimited_decoder *d,
                              const char *p,
                              const char *end,
                              evs__column **columns,
                              evs__scratch *scratch,
                              row_report *r)
{
    evs_status status = EVS_OK;
    uint32_t i = 0;

    for (;; i++) {
        const column_map *map = &d->fields[i];
        field_text f;

        if (i == d->field_count)
            return evs__row_fail(r->message, r->size, EVS_ERR_SCHEMA, NULL, "more than %u fields",
                                 (unsigned)d->field_count);
        r->field = map->name;
        status = take_field(&p, end, d->delimiter, &f, r);
        if (!status && map->column >= 0) {
            evs__column *c = columns[map->column];
            status = evs__column_reserve(c, c->length + 1);
            if (!status)
                status = append_value(c, &f, scratch, r);
        }
        if (status)
            return status;
        if (p == end)
            break;
        p++;
    }
    if (i + 1 < d->field_count)
        return evs__row_fail(r->message, r->size, EVS_ERR_SCHEMA, NULL, "%u fields instead of %u",
                             (unsigned)i + 1, (unsigned)d->field_count);
    return EVS_OK;
}

static evs_status decode_row(evs__format_decoder *base,
                             const uint8_t *data,
                             size_t len,
                             evs__column **columns,
                             evs__scratch *scratch,
                             char *message,
                             size_t message_size)
{
    delimited_decoder *d = (delimited_decoder *)base;
    const char *text = (const char *)data;
    uint32_t row = d->wanted->child_count ? columns[0]->length : 0;
    row_report r = {message, message_size, NULL};
    size_t valid;
    evs_status status;

    if (len && text[len - 1] == '\n')
        len--;
    if (len && text[len - 1] == '\r')
        len--;
    valid = evs__utf8_valid_prefix(text, len);
    if (valid != len)
        return evs__row_fail(message, message_size, EVS_ERR_DECODE, NULL,
                             "invalid UTF-8 at byte %zu", valid);
    message[0] = '\0';
    status = read_fields(d, text, text + len, columns, scratch, &r);
    if (!status)
        return EVS_OK;
    for (uint32_t i = 0; i < d->wanted->child_count; i++)
        evs__column_truncate(columns[i], row);
    if (!message[0])
        report(&r, status, evs_status_text(status));
    return status;
}

static void decoder_free(evs__format_decoder *base)
{
    delimited_decoder *d = (delimited_decoder *)base;

    evs__free(d->ctx, d->fields);
    evs_type_unref(d->wanted);
    evs_type_unref(d->schema);
    evs__free(d->ctx, d);
}

/* which fields of the schema the columns of `wanted` are; all of them must be */
static evs_status map_wanted(delimited_decoder *d, evs_context *ctx, evs_error **reterr)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < d->field_count; i++) {
        column_map *map = &d->fields[i];

        map->name = d->schema->children[i].name;
        map->column = evs_type_field_index(d->wanted, map->name, strlen(map->name));
        found += map->column >= 0;
    }
    for (uint32_t i = 0; i < d->wanted->child_count && found < d->wanted->child_count; i++) {
        const char *name = d->wanted->children[i].name;
        if (evs_type_field_index(d->schema, name, strlen(name)) < 0)
            return evs__fail_at(ctx, reterr, EVS_ERR_SCHEMA, name,
                                "column \"%s\": the schema has no such field", name);
    }
    return EVS_OK;
}

static evs_status new_decoder(evs_context *ctx,
                              evs_schema *schema,
                              const evs_type *wanted,
                              const evs__codec_options *o,
                              evs__format_decoder **ret,
                              evs_error **reterr)
{
    delimited_decoder *d = NULL;
    evs_status status = check_columns(ctx, schema->type, o->delimiter, reterr);

    if (status)
        return status;
    if (!(d = evs__calloc(ctx, 1, sizeof(*d))))
        return evs__nomem(reterr);
    d->base.format = &evs__format_delimited;
    d->base.decode_row = decode_row;
    d->base.free = decoder_free;
    d->ctx = ctx;
    d->wanted = evs_type_ref(wanted);
    d->schema = evs_type_ref(schema->type);
    d->delimiter = o->delimiter;
    d->field_count = schema->type->child_count;
    d->fields = evs__calloc(ctx, d->field_count, sizeof(*d->fields));
    status = d->fields ? map_wanted(d, ctx, reterr) : evs__nomem(reterr);
    if (status) {
        decoder_free(&d->base);
        return status;
    }
    *ret = &d->base;
    return EVS_OK;
}

/* ---- encoding ---- */

static void put_text(evs__buffer *out, char delimiter, const char *data, size_t len)
{
    bool quote = len == 0;

    for (size_t i = 0; i < len && !quote; i++)
        quote = data[i] == delimiter || data[i] == '"' || data[i] == '\n' || data[i] == '\r';
    if (!quote) {
        evs__buffer_append(out, data, len);
        return;
    }
    evs__buffer_byte(out, '"');
    while (len) {
        const char *next = memchr(data, '"', len);
        size_t n = next ? (size_t)(next - data) + 1 : len;

        evs__buffer_append(out, data, n);
        if (next)
            evs__buffer_byte(out, '"');
        data += n;
        len -= n;
    }
    evs__buffer_byte(out, '"');
}

/* a value of fixed width; at most FIXED_TEXT_MAX bytes */
static size_t fixed_text(const evs__column *c, uint32_t row, char *p)
{
    switch (c->type->id) {
    case EVS_TYPE_BOOLEAN:
        memcpy(p, evs__bit_get(c->bits, row) ? "true " : "false", 5);
        return evs__bit_get(c->bits, row) ? 4 : 5;
    case EVS_TYPE_INT:
        return evs__format_int(c->i32[row], p);
    case EVS_TYPE_BIGINT:
        return evs__format_int(c->i64[row], p);
    case EVS_TYPE_DOUBLE:
        return evs__format_double(c->f64[row], p);
    case EVS_TYPE_DECIMAL:
        return evs__format_decimal(c->i128[row], c->type->scale, p);
    case EVS_TYPE_TIMESTAMP:
        return evs__time_format(c->i64[row], p);
    case EVS_TYPE_DATE:
        return evs__date_format(c->i32[row], p);
    default:
        return evs__clock_format(c->i32[row], p);
    }
}

static evs_status
put_value(delimited_encoder *e, const evs__column *c, uint32_t row, evs__buffer *out)
{
    evs_string_view text;
    char fixed[FIXED_TEXT_MAX];

    if (c->type->id == EVS_TYPE_VARCHAR) {
        text = evs__column_str(c, row);
        put_text(out, e->delimiter, text.data, text.len);
    } else if (c->type->id == EVS_TYPE_BYTES) {
        /* in quotes: the delimiter may be one of base64's digits */
        text = evs__column_str(c, row);
        evs__buffer_byte(out, '"');
        evs__buffer_base64(out, text.data, text.len);
        evs__buffer_byte(out, '"');
    } else {
        if (c->type->id == EVS_TYPE_DOUBLE && !isfinite(c->f64[row]))
            return EVS_ERR_ENCODE;
        put_text(out, e->delimiter, fixed, fixed_text(c, row, fixed));
    }
    return EVS_OK;
}

static evs_status encode_row(evs__format_encoder *base,
                             const evs_batch *batch,
                             uint32_t row,
                             evs__buffer *out,
                             evs_error **reterr)
{
    delimited_encoder *e = (delimited_encoder *)base;
    size_t begin = out->len;
    const column_map *map = e->fields;
    evs_status status = EVS_OK;

    for (uint32_t i = 0; i < e->field_count && !status; i++) {
        const evs__column *c = NULL;

        map = &e->fields[i];
        if (map->column >= 0 && !evs__column_is_null(batch->columns[map->column], row))
            c = batch->columns[map->column];
        if (i)
            evs__buffer_byte(out, (uint8_t)e->delimiter);
        if (c)
            status = put_value(e, c, row, out);
        else if (!map->type->nullable)
            status = EVS_ERR_SCHEMA;
    }
    if (!status && !out->status)
        return EVS_OK;
    out->len = begin;
    if (!status)
        return evs__fail(e->ctx, reterr, out->status,
                         out->status == EVS_ERR_NOMEM ? "out of memory" : "the row is too long");
    return evs__fail_at(e->ctx, reterr, status, map->name, "field \"%s\": %s", map->name,
                        status == EVS_ERR_SCHEMA ? "required, is NULL"
                                                 : "NaN and infinities have no form here");
}

static void encoder_free(evs__format_encoder *base)
{
    delimited_encoder *e = (delimited_encoder *)base;

    evs__free(e->ctx, e->fields);
    evs_type_unref(e->schema);
    evs__free(e->ctx, e);
}

static evs_status
map_rows(delimited_encoder *e, evs_context *ctx, const evs_type *rows, evs_error **reterr)
{
    for (uint32_t i = 0; i < e->field_count; i++) {
        const evs__field *field = &e->schema->children[i];
        column_map *map = &e->fields[i];

        map->name = field->name;
        map->type = field->type;
        map->column = evs_type_field_index(rows, field->name, strlen(field->name));
        if (map->column < 0 && !field->type->nullable)
            return evs__fail_at(ctx, reterr, EVS_ERR_SCHEMA, field->name,
                                "field \"%s\": required by the schema, the rows do not have it",
                                field->name);
        if (map->column >= 0 && !evs__codec_fits(rows->children[map->column].type, field->type))
            return evs__fail_at(ctx, reterr, EVS_ERR_SCHEMA, field->name,
                                "field \"%s\": rows have %s, the schema %s", field->name,
                                evs_type_print(rows->children[map->column].type),
                                evs_type_print(field->type));
    }
    return EVS_OK;
}

static evs_status new_encoder(evs_context *ctx,
                              const evs_type *type,
                              evs_schema *schema,
                              const evs__codec_options *o,
                              evs__format_encoder **ret,
                              evs_error **reterr)
{
    delimited_encoder *e = NULL;
    evs_status status = check_columns(ctx, schema->type, o->delimiter, reterr);

    if (status)
        return status;
    if (!(e = evs__calloc(ctx, 1, sizeof(*e))))
        return evs__nomem(reterr);
    e->base.format = &evs__format_delimited;
    e->base.encode_row = encode_row;
    e->base.free = encoder_free;
    e->ctx = ctx;
    e->schema = evs_type_ref(schema->type);
    e->delimiter = o->delimiter;
    e->field_count = schema->type->child_count;
    e->fields = evs__calloc(ctx, e->field_count, sizeof(*e->fields));
    status = e->fields ? map_rows(e, ctx, type, reterr) : evs__nomem(reterr);
    if (status) {
        encoder_free(&e->base);
        return status;
    }
    *ret = &e->base;
    return EVS_OK;
}

const evs__format evs__format_delimited = {
    .name = "delimited",
    .id = EVS_FORMAT_DELIMITED,
    .confluent_by_default = false,
    .new_decoder = new_decoder,
    .new_encoder = new_encoder,
};
