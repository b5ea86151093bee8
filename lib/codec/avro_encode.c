/*
 * codec/avro_encode.c: rows to Avro: a walk over the plan (avro_plan.h) that appends to a buffer.
 *
 * Every put reserves what it may write and then writes without checks. The buffer remembers that it
 * failed, so memory is checked once at the end. A value that cannot be written (NULL without a null
 * branch, a number out of range, a text that is no symbol) ends the walk; the steps of its path are
 * collected on the way out.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "codec/avro_plan.h"

#define TEXT_MAX 256

typedef struct avro_encoder {
    evs__format_encoder base;
    evs_context *ctx;
    evs__avro_plan plan;
    /* of the row at hand */
    evs__buffer *out;
    evs_status status;
    uint32_t trail_count;
    evs__avro_step trail[EVS__AVRO_TRAIL_MAX];
    char text[TEXT_MAX];
} avro_encoder;

static bool put(avro_encoder *e, const evs__avro_plan *plan, const evs__column *c, uint32_t row);

static bool refuse(avro_encoder *e, evs_status status, const char *format, ...) EVS_PRINTF(3, 4);

static bool refuse(avro_encoder *e, evs_status status, const char *format, ...)
{
    va_list ap;

    e->status = status;
    va_start(ap, format);
    vsnprintf(e->text, sizeof(e->text), format, ap);
    va_end(ap);
    return false;
}

static bool add_step(avro_encoder *e, const char *name, int64_t index)
{
    if (e->trail_count < EVS__AVRO_TRAIL_MAX)
        e->trail[e->trail_count++] = (evs__avro_step){name, index};
    return false;
}

/* ---- primitives ---- */

static inline bool put_long(avro_encoder *e, int64_t value)
{
    uint64_t z = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
    evs__buffer *out = e->out;

    if (evs__buffer_reserve(out, 10))
        return false;
    while (z >= 0x80) {
        out->data[out->len++] = (char)(z | 0x80);
        z >>= 7;
    }
    out->data[out->len++] = (char)z;
    return true;
}

static bool put_double(avro_encoder *e, double value)
{
    return !evs__buffer_append(e->out, &value, sizeof(value));
}

static bool put_float(avro_encoder *e, double value)
{
    float narrow = (float)value;

    if (isinf(narrow) && !isinf(value))
        return refuse(e, EVS_ERR_ENCODE, "the number does not fit into a float");
    return !evs__buffer_append(e->out, &narrow, sizeof(narrow));
}

static bool put_text(avro_encoder *e, evs_string_view text)
{
    return put_long(e, (int64_t)text.len) && !evs__buffer_append(e->out, text.data, text.len);
}

static bool put_fixed(avro_encoder *e, const evs__avro_node *node, evs_string_view bytes)
{
    if (bytes.len != (size_t)node->fixed_size)
        return refuse(e, EVS_ERR_ENCODE, "%zu bytes where %s has %d", bytes.len, node->fullname,
                      (int)node->fixed_size);
    return !evs__buffer_append(e->out, bytes.data, bytes.len);
}

static bool put_enum(avro_encoder *e, const evs__avro_node *node, evs_string_view text)
{
    for (size_t i = 0; i < node->child_count; i++) {
        if (strlen(node->names[i]) == text.len && memcmp(node->names[i], text.data, text.len) == 0)
            return put_long(e, (int64_t)i);
    }
    return refuse(e, EVS_ERR_ENCODE, "\"%.*s\" is no symbol of %s",
                  (int)(text.len < 64 ? text.len : 64), text.data, node->fullname);
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool put_uuid(avro_encoder *e, evs_string_view text)
{
    uint8_t bytes[16];
    size_t n = 0;

    for (size_t i = 0; i < text.len && text.len == 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        int high, low;
        if (dash && text.data[i] == '-')
            continue;
        high = hex_value(text.data[i]);
        low = high >= 0 && !dash ? hex_value(text.data[++i]) : -1;
        if (low < 0)
            break;
        bytes[n++] = (uint8_t)(high << 4 | low);
    }
    if (n != 16)
        return refuse(e, EVS_ERR_ENCODE, "the text is no UUID");
    return !evs__buffer_append(e->out, bytes, sizeof(bytes));
}

static bool put_factor(avro_encoder *e, int64_t value, int64_t factor)
{
    int64_t scaled;

    if (__builtin_mul_overflow(value, factor, &scaled))
        return refuse(e, EVS_ERR_ENCODE, "the time is out of range");
    return put_long(e, scaled);
}

/* two's complement, big endian: as few bytes as hold it, or all of a fixed */
static bool put_decimal(avro_encoder *e, const evs__avro_plan *plan, evs__int128 value)
{
    const evs__avro_node *node = plan->node;
    uint8_t bytes[16];
    size_t n = 1;
    evs__int128 limit = evs__pow10_128(node->precision);

    if (__builtin_mul_overflow(value, evs__pow10_128((int32_t)plan->factor), &value) ||
        value >= limit || value <= -limit)
        return refuse(e, EVS_ERR_ENCODE, "the decimal has more than %d digits",
                      (int)node->precision);
    for (size_t i = 0; i < 16; i++)
        bytes[15 - i] = (uint8_t)((evs__uint128)value >> (8 * i));
    while (n < 16 && value >> (8 * n - 1) != (value < 0 ? -1 : 0))
        n++;
    if (plan->put == EVS__PUT_DECIMAL_BYTES)
        return put_long(e, (int64_t)n) && !evs__buffer_append(e->out, bytes + 16 - n, n);
    /* the schema's precision fits into its size */
    for (size_t i = 16; i < (size_t)node->fixed_size; i++)
        evs__buffer_byte(e->out, value < 0 ? 0xff : 0);
    n = node->fixed_size < 16 ? (size_t)node->fixed_size : 16;
    return !evs__buffer_append(e->out, bytes + 16 - n, n);
}

/* ---- nested ---- */

static bool
put_record(avro_encoder *e, const evs__avro_plan *plan, evs__column *const *columns, uint32_t row)
{
    for (size_t i = 0; i < plan->child_count; i++) {
        const evs__avro_plan *field = &plan->children[i];
        bool ok = field->put == EVS__PUT_DEFAULT
                      ? !evs__buffer_append(e->out, field->bytes, field->bytes_len)
                      : put(e, field, columns[field->column], row);
        if (!ok)
            return add_step(e, field->name, 0);
    }
    return true;
}

static bool
put_list(avro_encoder *e, const evs__avro_plan *plan, const evs__column *c, uint32_t row)
{
    uint32_t first = (uint32_t)c->offsets[row];
    uint32_t end = (uint32_t)c->offsets[row + 1];
    const evs__column *element = c->children[0];
    const evs__column *key = plan->put == EVS__PUT_MAP ? element->children[0] : NULL;
    const evs__column *value = key ? element->children[1] : element;

    if (end > first && !put_long(e, (int64_t)end - first))
        return false;
    for (uint32_t i = first; i < end; i++) {
        if ((key && !put_text(e, evs__column_str(key, i))) || !put(e, &plan->children[0], value, i))
            return add_step(e, NULL, i - first);
    }
    return put_long(e, 0);
}

static bool
put_union(avro_encoder *e, const evs__avro_plan *plan, const evs__column *c, uint32_t row)
{
    const evs__avro_plan *found = NULL;

    for (size_t i = 0; i < plan->child_count; i++) {
        if (evs__column_is_null(c->children[i], row))
            continue;
        if (found)
            return refuse(e, EVS_ERR_ENCODE, "branches \"%s\" and \"%s\" of the union have a value",
                          found->name, plan->children[i].name);
        found = &plan->children[i];
    }
    if (!found && plan->null_branch >= 0)
        return put_long(e, plan->null_branch);
    if (!found)
        return refuse(e, EVS_ERR_SCHEMA, "no branch of the union has a value");
    return put(e, found, c->children[found->column], row) || add_step(e, found->name, 0);
}

static bool
put_value(avro_encoder *e, const evs__avro_plan *plan, const evs__column *c, uint32_t row)
{
    switch (plan->put) {
    case EVS__PUT_DEFAULT:
        return !evs__buffer_append(e->out, plan->bytes, plan->bytes_len);
    case EVS__PUT_NULL:
        return refuse(e, EVS_ERR_ENCODE, "a value, but the schema has null there");
    case EVS__PUT_BOOLEAN:
        return !evs__buffer_byte(e->out, evs__bit_get(c->bits, row));
    case EVS__PUT_INT:
        return put_long(e, c->i32[row]);
    case EVS__PUT_LONG:
        return put_long(e, c->i64[row]);
    case EVS__PUT_LONG_INT:
        if (c->i64[row] != (int32_t)c->i64[row])
            return refuse(e, EVS_ERR_ENCODE, "%lld does not fit into an int",
                          (long long)c->i64[row]);
        return put_long(e, c->i64[row]);
    case EVS__PUT_FACTOR:
        return put_factor(e, c->i64[row], plan->factor);
    case EVS__PUT_INT_FACTOR:
        return put_factor(e, c->i32[row], plan->factor);
    case EVS__PUT_DOUBLE:
        return put_double(e, c->f64[row]);
    case EVS__PUT_FLOAT:
        return put_float(e, c->f64[row]);
    case EVS__PUT_INT_DOUBLE:
        return put_double(e, c->i32[row]);
    case EVS__PUT_INT_FLOAT:
        return put_float(e, c->i32[row]);
    case EVS__PUT_LONG_DOUBLE:
        return put_double(e, (double)c->i64[row]);
    case EVS__PUT_TEXT:
        return put_text(e, evs__column_str(c, row));
    case EVS__PUT_FIXED:
        return put_fixed(e, plan->node, evs__column_str(c, row));
    case EVS__PUT_ENUM:
        return put_enum(e, plan->node, evs__column_str(c, row));
    case EVS__PUT_UUID:
        return put_uuid(e, evs__column_str(c, row));
    case EVS__PUT_DECIMAL_BYTES:
    case EVS__PUT_DECIMAL_FIXED:
        return put_decimal(e, plan, c->i128[row]);
    case EVS__PUT_RECORD:
        return put_record(e, plan, c->children, row);
    case EVS__PUT_ARRAY:
    case EVS__PUT_MAP:
        return put_list(e, plan, c, row);
    case EVS__PUT_UNION:
        return put_union(e, plan, c, row);
    }
    return false;
}

static bool put(avro_encoder *e, const evs__avro_plan *plan, const evs__column *c, uint32_t row)
{
    if (evs__column_is_null(c, row)) {
        if (plan->null_branch >= 0)
            return put_long(e, plan->null_branch);
        return plan->put == EVS__PUT_NULL ||
               refuse(e, EVS_ERR_SCHEMA, "required by the schema, but NULL");
    }
    if (plan->branch >= 0 && !put_long(e, plan->branch))
        return false;
    return put_value(e, plan, c, row);
}

/* ---- the format ---- */

static evs_status tell(avro_encoder *e, evs_error **reterr)
{
    evs__buffer path;
    const char *text;

    if (!e->status) /* the buffer failed: the frame tells it */
        return EVS_OK;
    evs__buffer_init(&path, e->ctx, 512);
    for (uint32_t i = e->trail_count; i-- > 0;) {
        if (e->trail[i].name)
            evs__buffer_printf(&path, "%s%s", path.len ? "." : "", e->trail[i].name);
        else
            evs__buffer_printf(&path, "[%lld]", (long long)e->trail[i].index);
    }
    path.status = EVS_OK;
    text = evs__buffer_cstr(&path);
    evs__fail_at(e->ctx, reterr, e->status, text ? text : "", "field \"%s\": %s", text ? text : "",
                 e->text);
    evs__buffer_free(&path);
    return e->status;
}

static evs_status encode_row(evs__format_encoder *base,
                             const evs_batch *batch,
                             uint32_t row,
                             evs__buffer *out,
                             evs_error **reterr)
{
    avro_encoder *e = (avro_encoder *)base;

    e->out = out;
    e->status = EVS_OK;
    e->trail_count = 0;
    if (!put_record(e, &e->plan, batch->columns, row))
        return tell(e, reterr);
    return EVS_OK;
}

static void encoder_free(evs__format_encoder *base)
{
    avro_encoder *e = (avro_encoder *)base;

    evs__avro_plan_free(e->ctx, &e->plan);
    evs__free(e->ctx, e);
}

evs_status evs__avro_encoder_new(evs_context *ctx,
                                 const evs_type *type,
                                 evs_schema *schema,
                                 const evs__codec_options *o,
                                 evs__format_encoder **ret,
                                 evs_error **reterr)
{
    avro_encoder *e;
    evs_status status;

    (void)o;
    if (!schema->avro)
        return evs__fail(ctx, reterr, EVS_ERR_CONFIG, "format \"avro\" needs an Avro schema");
    if (!(e = evs__calloc(ctx, 1, sizeof(*e))))
        return evs__nomem(reterr);
    e->ctx = ctx;
    e->base = (evs__format_encoder){&evs__format_avro, encode_row, encoder_free};
    status = evs__avro_plan_make(ctx, schema->avro, type, &e->plan, reterr);
    if (status)
        encoder_free(&e->base);
    else
        *ret = &e->base;
    return status;
}
