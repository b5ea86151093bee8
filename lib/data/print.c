/*
 * data/print.c: values as text, for evs_row_text(), tests, consoles and dead letters. Not the JSON
 * codec, which is compiled for a schema and knows its conventions; this is the same for every type:
 *
 *   numbers plain (NaN and infinities in quotes inside JSON), DECIMAL with all digits of its scale,
 *   VARCHAR as it is, BYTES in base64, TIMESTAMP, DATE, TIME as ISO text, ARRAY [..], MAP and
 *   STRUCT {..}
 */
#include "base/time.h"
#include "data/batch.h"

static void print_double(double v, bool quote, evs__buffer *out)
{
    bool special = v != v || v - v != 0;
    if (quote && special)
        evs__buffer_byte(out, '"');
    evs__buffer_double(out, v);
    if (quote && special)
        evs__buffer_byte(out, '"');
}

static void print_number(const evs__column *c, uint32_t row, bool quote, evs__buffer *out)
{
    char text[EVS__DECIMAL_TEXT_MAX];

    switch (c->type->id) {
    case EVS_TYPE_BOOLEAN:
        evs__buffer_text(out, evs__bit_get(c->bits, row) ? "true" : "false");
        break;
    case EVS_TYPE_INT:
        evs__buffer_int(out, c->i32[row]);
        break;
    case EVS_TYPE_BIGINT:
        evs__buffer_int(out, c->i64[row]);
        break;
    case EVS_TYPE_DOUBLE:
        print_double(c->f64[row], quote, out);
        break;
    default:
        evs__buffer_append(out, text, evs__format_decimal(c->i128[row], c->type->scale, text));
        break;
    }
}

static void print_time(const evs__column *c, uint32_t row, bool quote, evs__buffer *out)
{
    char text[EVS__TIME_TEXT_MAX];
    size_t len;

    if (c->type->id == EVS_TYPE_TIMESTAMP)
        len = evs__time_format(c->i64[row], text);
    else if (c->type->id == EVS_TYPE_DATE)
        len = evs__date_format(c->i32[row], text);
    else
        len = evs__clock_format(c->i32[row], text);
    if (quote)
        evs__buffer_byte(out, '"');
    evs__buffer_append(out, text, len);
    if (quote)
        evs__buffer_byte(out, '"');
}

static void print_text(const evs__column *c, uint32_t row, bool quote, evs__buffer *out)
{
    evs_string_view v = evs__column_str(c, row);

    if (c->type->id == EVS_TYPE_VARCHAR) {
        if (quote)
            evs__buffer_json_string(out, v.data, v.len);
        else
            evs__buffer_append(out, v.data, v.len);
        return;
    }
    if (quote)
        evs__buffer_byte(out, '"');
    evs__buffer_base64(out, v.data, v.len);
    if (quote)
        evs__buffer_byte(out, '"');
}

static void print_list(const evs__column *c, uint32_t row, evs__buffer *out)
{
    uint32_t begin = (uint32_t)c->offsets[row], end = (uint32_t)c->offsets[row + 1];
    const evs__column *items = c->children[0];
    bool map = c->type->id == EVS_TYPE_MAP;

    evs__buffer_byte(out, map ? '{' : '[');
    for (uint32_t i = begin; i < end && !out->status; i++) {
        if (i > begin)
            evs__buffer_byte(out, ',');
        if (map) {
            evs__column_print(items->children[0], i, true, out);
            evs__buffer_byte(out, ':');
            evs__column_print(items->children[1], i, true, out);
        } else {
            evs__column_print(items, i, true, out);
        }
    }
    evs__buffer_byte(out, map ? '}' : ']');
}

static void
print_fields(const evs_type *type, evs__column *const *columns, uint32_t row, evs__buffer *out)
{
    evs__buffer_byte(out, '{');
    for (uint32_t i = 0; i < type->child_count && !out->status; i++) {
        const char *name = type->children[i].name;
        if (i)
            evs__buffer_byte(out, ',');
        evs__buffer_json_string(out, name, strlen(name));
        evs__buffer_byte(out, ':');
        evs__column_print(columns[i], row, true, out);
    }
    evs__buffer_byte(out, '}');
}

evs_status evs__column_print(const evs__column *c, uint32_t row, bool quote, evs__buffer *out)
{
    if (evs__column_is_null(c, row))
        return evs__buffer_text(out, "null");
    switch (c->type->id) {
    case EVS_TYPE_TIMESTAMP:
    case EVS_TYPE_DATE:
    case EVS_TYPE_TIME:
        print_time(c, row, quote, out);
        break;
    case EVS_TYPE_VARCHAR:
    case EVS_TYPE_BYTES:
        print_text(c, row, quote, out);
        break;
    case EVS_TYPE_ARRAY:
    case EVS_TYPE_MAP:
        print_list(c, row, out);
        break;
    case EVS_TYPE_STRUCT:
        print_fields(c->type, c->children, row, out);
        break;
    default:
        print_number(c, row, quote, out);
        break;
    }
    return out->status;
}

evs_status evs__batch_row_json(const evs_batch *b, uint32_t row, evs__buffer *out)
{
    print_fields(b->type, b->columns, row, out);
    return out->status;
}
