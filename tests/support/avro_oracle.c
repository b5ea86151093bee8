#include "avro_oracle.h"

#include <stdarg.h>
#include <stdio.h>

typedef struct comparison {
    char *why;
    size_t size;
} comparison;

static bool equal(comparison *c,
                  avro_value_t *v,
                  const evs__avro_node *node,
                  const evs__column *col,
                  uint32_t row);

static bool differ(comparison *c, const char *format, ...) EVS_PRINTF(2, 3);

static bool differ(comparison *c, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vsnprintf(c->why, c->size, format, ap);
    va_end(ap);
    return false;
}

/* put "name." before what is in `why` */
static bool inside(comparison *c, const char *name, long index)
{
    char text[1024];

    snprintf(text, sizeof(text), "%s", c->why);
    if (name)
        snprintf(c->why, c->size, "%s.%s", name, text);
    else
        snprintf(c->why, c->size, "[%ld].%s", index, text);
    return false;
}

static int64_t floor_div(int64_t v, int64_t d)
{
    return v / d - (v % d < 0);
}

/* a long of avro-c as the column has it */
static int64_t as_column(const evs__avro_node *node, int64_t v)
{
    switch (node->logical) {
    case EVS__LOGICAL_TIME_MICROS:
    case EVS__LOGICAL_TIMESTAMP_MICROS:
    case EVS__LOGICAL_LOCAL_TIMESTAMP_MICROS:
        return floor_div(v, 1000);
    case EVS__LOGICAL_TIMESTAMP_NANOS:
    case EVS__LOGICAL_LOCAL_TIMESTAMP_NANOS:
        return floor_div(v, 1000000);
    default:
        return v;
    }
}

static bool equal_integer(comparison *c,
                          avro_value_t *v,
                          const evs__avro_node *node,
                          const evs__column *col,
                          uint32_t row)
{
    int64_t want = 0, got;
    int32_t narrow = 0;

    if (node->kind == EVS__AVRO_INT) {
        avro_value_get_int(v, &narrow);
        want = narrow;
    } else {
        avro_value_get_long(v, &want);
        want = as_column(node, want);
    }
    got = evs__type_width(col->type->id) == 4 ? col->i32[row] : col->i64[row];
    return want == got || differ(c, "%lld is not %lld", (long long)got, (long long)want);
}

static bool equal_double(comparison *c,
                         avro_value_t *v,
                         const evs__avro_node *node,
                         const evs__column *col,
                         uint32_t row)
{
    double want = 0;
    float narrow = 0;

    if (node->kind == EVS__AVRO_FLOAT) {
        avro_value_get_float(v, &narrow);
        want = (double)narrow;
    } else {
        avro_value_get_double(v, &want);
    }
    return memcmp(&want, &col->f64[row], 8) == 0 || differ(c, "%g is not %g", col->f64[row], want);
}

static bool equal_decimal(comparison *c, const uint8_t *data, size_t len, evs__int128 got)
{
    evs__uint128 want = len && data[0] & 0x80 ? ~(evs__uint128)0 : 0;

    for (size_t i = 0; i < len; i++)
        want = want << 8 | data[i];
    return (evs__int128)want == got || differ(c, "another decimal");
}

static bool equal_uuid(comparison *c, const uint8_t *data, evs_string_view got)
{
    char want[40];

    snprintf(want, sizeof(want),
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", data[0],
             data[1], data[2], data[3], data[4], data[5], data[6], data[7], data[8], data[9],
             data[10], data[11], data[12], data[13], data[14], data[15]);
    return (got.len == 36 && memcmp(got.data, want, 36) == 0) || differ(c, "another uuid");
}

static bool equal_bytes(comparison *c,
                        avro_value_t *v,
                        const evs__avro_node *node,
                        const evs__column *col,
                        uint32_t row)
{
    const void *data = NULL;
    const char *text = NULL;
    size_t len = 0;
    evs_string_view got;

    if (node->kind == EVS__AVRO_FIXED) {
        avro_value_get_fixed(v, &data, &len);
    } else if (node->kind == EVS__AVRO_BYTES) {
        avro_value_get_bytes(v, &data, &len);
    } else {
        avro_value_get_string(v, &text, &len);
        data = text;
        len--; /* avro-c counts the NUL */
    }
    if (node->logical == EVS__LOGICAL_DECIMAL)
        return equal_decimal(c, data, len, col->i128[row]);
    got = evs__column_str(col, row);
    if (node->logical == EVS__LOGICAL_UUID && node->kind == EVS__AVRO_FIXED)
        return equal_uuid(c, data, got);
    return (got.len == len && (!len || memcmp(got.data, data, len) == 0)) ||
           differ(c, "\"%.*s\" is not \"%.*s\"", (int)got.len, got.data, (int)len,
                  (const char *)data);
}

static bool equal_enum(comparison *c,
                       avro_value_t *v,
                       const evs__avro_node *node,
                       const evs__column *col,
                       uint32_t row)
{
    evs_string_view got = evs__column_str(col, row);
    int symbol = -1;

    avro_value_get_enum(v, &symbol);
    return (strlen(node->names[symbol]) == got.len &&
            memcmp(node->names[symbol], got.data, got.len) == 0) ||
           differ(c, "another symbol than %s", node->names[symbol]);
}

static bool equal_list(comparison *c,
                       avro_value_t *v,
                       const evs__avro_node *node,
                       const evs__column *col,
                       uint32_t row)
{
    uint32_t first = (uint32_t)col->offsets[row];
    size_t count = (size_t)(col->offsets[row + 1] - col->offsets[row]);
    const evs__column *element = col->children[0];
    size_t want = 0;

    avro_value_get_size(v, &want);
    if (want != count)
        return differ(c, "%zu elements instead of %zu", count, want);
    for (size_t i = 0; i < count; i++) {
        avro_value_t item;
        const char *key = NULL;
        uint32_t at = first + (uint32_t)i;
        avro_value_get_by_index(v, i, &item, &key);
        if (node->kind == EVS__AVRO_MAP) {
            evs_string_view got = evs__column_str(element->children[0], at);
            if (strlen(key) != got.len || memcmp(key, got.data, got.len) != 0)
                return differ(c, "key %zu is not \"%s\"", i, key);
            if (!equal(c, &item, node->children[0], element->children[1], at))
                return inside(c, NULL, (long)i);
        } else if (!equal(c, &item, node->children[0], element, at)) {
            return inside(c, NULL, (long)i);
        }
    }
    return true;
}

static bool equal_record(comparison *c,
                         avro_value_t *v,
                         const evs__avro_node *node,
                         const evs_type *type,
                         evs__column *const *columns,
                         uint32_t row)
{
    for (size_t i = 0; i < node->child_count; i++) {
        int32_t at = evs_type_field_index(type, node->names[i], strlen(node->names[i]));
        avro_value_t field;
        if (at < 0)
            continue;
        avro_value_get_by_index(v, i, &field, NULL);
        if (!equal(c, &field, node->children[i], columns[at], row))
            return inside(c, node->names[i], 0);
    }
    return true;
}

static bool equal_union(comparison *c,
                        avro_value_t *v,
                        const evs__avro_node *node,
                        const evs__column *col,
                        uint32_t row)
{
    int branch = -1;
    avro_value_t value;
    const char *name;

    avro_value_get_discriminant(v, &branch);
    avro_value_get_current_branch(v, &value);
    if (node->children[branch]->kind == EVS__AVRO_NULL)
        return evs__column_is_null(col, row) || differ(c, "a value instead of null");
    if (evs__avro_union_single(node))
        return equal(c, &value, node->children[branch], col, row);
    if (evs__column_is_null(col, row))
        return differ(c, "null instead of a branch");
    name = evs__avro_branch_name(node, (size_t)branch);
    for (uint32_t i = 0; i < col->child_count; i++) {
        if (strcmp(col->type->children[i].name, name) == 0) {
            if (!equal(c, &value, node->children[branch], col->children[i], row))
                return inside(c, name, 0);
        } else if (!evs__column_is_null(col->children[i], row)) {
            return differ(c, "branch %s has a value, too", col->type->children[i].name);
        }
    }
    return true;
}

static bool equal_value(comparison *c,
                        avro_value_t *v,
                        const evs__avro_node *node,
                        const evs__column *col,
                        uint32_t row)
{
    int flag = 0;

    switch (node->kind) {
    case EVS__AVRO_NULL:
        return evs__column_is_null(col, row) || differ(c, "a value instead of null");
    case EVS__AVRO_BOOLEAN:
        avro_value_get_boolean(v, &flag);
        return evs__bit_get(col->bits, row) == (flag != 0) || differ(c, "another boolean");
    case EVS__AVRO_INT:
    case EVS__AVRO_LONG:
        return equal_integer(c, v, node, col, row);
    case EVS__AVRO_FLOAT:
    case EVS__AVRO_DOUBLE:
        return equal_double(c, v, node, col, row);
    case EVS__AVRO_BYTES:
    case EVS__AVRO_STRING:
    case EVS__AVRO_FIXED:
        return equal_bytes(c, v, node, col, row);
    case EVS__AVRO_ENUM:
        return equal_enum(c, v, node, col, row);
    case EVS__AVRO_ARRAY:
    case EVS__AVRO_MAP:
        return equal_list(c, v, node, col, row);
    case EVS__AVRO_RECORD:
        return equal_record(c, v, node, col->type, col->children, row);
    case EVS__AVRO_UNION:
        break;
    }
    return false;
}

static bool equal(comparison *c,
                  avro_value_t *v,
                  const evs__avro_node *node,
                  const evs__column *col,
                  uint32_t row)
{
    if (node->kind == EVS__AVRO_UNION)
        return equal_union(c, v, node, col, row);
    if (node->kind != EVS__AVRO_NULL && evs__column_is_null(col, row))
        return differ(c, "null instead of a value");
    return equal_value(c, v, node, col, row);
}

bool evs_test_avro_equal(avro_value_t *value,
                         const evs__avro_node *node,
                         const evs__column *column,
                         uint32_t row,
                         char *why,
                         size_t why_size)
{
    comparison c = {why, why_size};

    why[0] = '\0';
    return equal(&c, value, node, column, row);
}

bool evs_test_avro_row_equal(avro_value_t *record,
                             const evs__avro_node *node,
                             const evs_batch *batch,
                             uint32_t row,
                             char *why,
                             size_t why_size)
{
    comparison c = {why, why_size};

    why[0] = '\0';
    return equal_record(&c, record, node, batch->type, batch->columns, row);
}
