/*
 * data/arrow_type.c: formats and schemas of the Arrow C Data Interface as types.
 *
 * The table says for each format which type it becomes and how its values are stored; parametrised
 * formats (decimals, fixed sizes, timestamps) are parsed. Formats without counterpart (dictionary,
 * union, interval, run-end, view, half float, null) are refused by name.
 */
#include <string.h>

#include "base/number.h"
#include "data/arrow.h"

static const struct {
    const char *text;
    evs__arrow_format format;
} plain_formats[] = {
    {"b", {EVS_TYPE_BOOLEAN, EVS__ARROW_SAME, 0, 0, 0, 0, 0}},
    {"c", {EVS_TYPE_INT, EVS__ARROW_I8, 0, 0, 0, 0, 0}},
    {"C", {EVS_TYPE_INT, EVS__ARROW_U8, 0, 0, 0, 0, 0}},
    {"s", {EVS_TYPE_INT, EVS__ARROW_I16, 0, 0, 0, 0, 0}},
    {"S", {EVS_TYPE_INT, EVS__ARROW_U16, 0, 0, 0, 0, 0}},
    {"i", {EVS_TYPE_INT, EVS__ARROW_SAME, 0, 0, 0, 0, 0}},
    {"I", {EVS_TYPE_BIGINT, EVS__ARROW_U32, 0, 0, 0, 0, 0}},
    {"l", {EVS_TYPE_BIGINT, EVS__ARROW_SAME, 0, 0, 0, 0, 0}},
    {"L", {EVS_TYPE_DECIMAL, EVS__ARROW_U64, 20, 0, 0, 0, 0}},
    {"f", {EVS_TYPE_DOUBLE, EVS__ARROW_F32, 0, 0, 0, 0, 0}},
    {"g", {EVS_TYPE_DOUBLE, EVS__ARROW_SAME, 0, 0, 0, 0, 0}},
    {"u", {EVS_TYPE_VARCHAR, EVS__ARROW_SAME, 0, 0, 0, 0, 0}},
    {"U", {EVS_TYPE_VARCHAR, EVS__ARROW_LARGE, 0, 0, 0, 0, 0}},
    {"z", {EVS_TYPE_BYTES, EVS__ARROW_SAME, 0, 0, 0, 0, 0}},
    {"Z", {EVS_TYPE_BYTES, EVS__ARROW_LARGE, 0, 0, 0, 0, 0}},
    {"tdD", {EVS_TYPE_DATE, EVS__ARROW_SAME, 0, 0, 0, 0, 0}},
    {"tdm", {EVS_TYPE_DATE, EVS__ARROW_I64, 0, 0, 0, 0, EVS__DAY_MS}},
    {"tts", {EVS_TYPE_TIME, EVS__ARROW_I32, 0, 0, 0, 1000, 0}},
    {"ttm", {EVS_TYPE_TIME, EVS__ARROW_SAME, 0, 0, 0, 0, 0}},
    {"ttu", {EVS_TYPE_TIME, EVS__ARROW_I64, 0, 0, 0, 0, 1000}},
    {"ttn", {EVS_TYPE_TIME, EVS__ARROW_I64, 0, 0, 0, 0, 1000000}},
    {"+l", {EVS_TYPE_ARRAY, EVS__ARROW_SAME, 0, 0, 0, 0, 0}},
    {"+L", {EVS_TYPE_ARRAY, EVS__ARROW_LARGE, 0, 0, 0, 0, 0}},
    {"+m", {EVS_TYPE_MAP, EVS__ARROW_SAME, 0, 0, 0, 0, 0}},
    {"+s", {EVS_TYPE_STRUCT, EVS__ARROW_SAME, 0, 0, 0, 0, 0}},
};

/* "N[,N...]": up to three numbers; returns how many, 0 when there is something else */
static int parse_numbers(const char *p, int64_t out[3])
{
    for (int n = 0; n < 3; n++) {
        size_t len = strcspn(p, ",");
        if (evs__parse_int(p, len, &out[n]))
            return 0;
        p += len;
        if (!*p++)
            return n + 1;
    }
    return 0;
}

static bool parse_decimal_format(const char *p, evs__arrow_format *ret)
{
    int64_t v[3] = {0, 0, 128};
    int n = parse_numbers(p, v);

    if (n < 2 || v[0] < 1 || v[0] > 38 || v[1] < 0 || v[1] > v[0])
        return false;
    *ret = (evs__arrow_format){.id = EVS_TYPE_DECIMAL,
                               .from = v[2] == 32   ? EVS__ARROW_I32
                                       : v[2] == 64 ? EVS__ARROW_I64
                                                    : EVS__ARROW_SAME,
                               .precision = (int32_t)v[0],
                               .scale = (int32_t)v[1]};
    return v[2] == 128 || v[2] == 64 || v[2] == 32;
}

static bool parse_fixed_format(const char *p, evs_type_id id, evs__arrow_format *ret)
{
    int64_t v[3];

    if (parse_numbers(p, v) != 1 || v[0] < 0 || v[0] > INT32_MAX)
        return false;
    *ret = (evs__arrow_format){.id = id, .from = EVS__ARROW_FIXED, .fixed = (int32_t)v[0]};
    return true;
}

bool evs__arrow_parse_format(const char *text, evs__arrow_format *ret)
{
    for (size_t i = 0; i < sizeof(plain_formats) / sizeof(plain_formats[0]); i++) {
        if (strcmp(plain_formats[i].text, text) == 0) {
            *ret = plain_formats[i].format;
            return true;
        }
    }
    if (strncmp(text, "d:", 2) == 0)
        return parse_decimal_format(text + 2, ret);
    if (strncmp(text, "w:", 2) == 0)
        return parse_fixed_format(text + 2, EVS_TYPE_BYTES, ret);
    if (strncmp(text, "+w:", 3) == 0)
        return parse_fixed_format(text + 3, EVS_TYPE_ARRAY, ret);
    if (text[0] != 't' || text[1] != 's' || !text[2] || text[3] != ':')
        return false;
    *ret = (evs__arrow_format){.id = EVS_TYPE_TIMESTAMP, .from = EVS__ARROW_I64};
    switch (text[2]) {
    case 's':
        ret->multiply = 1000;
        return true;
    case 'm':
        ret->from = EVS__ARROW_SAME;
        return true;
    case 'u':
        ret->divide = 1000;
        return true;
    case 'n':
        ret->divide = 1000000;
        return true;
    default:
        return false;
    }
}

evs_status evs__arrow_fault(evs__arrow_importer *im,
                            evs_status status,
                            const struct ArrowSchema *schema,
                            const char *text)
{
    return evs__fail(im->ctx, im->reterr, status, "column \"%s\": %s",
                     schema->name ? schema->name : "", text);
}

evs_status evs__arrow_failed(evs__arrow_importer *im, evs_status status)
{
    if (status == EVS_ERR_NOMEM)
        return evs__nomem(im->reterr);
    return evs__fail(im->ctx, im->reterr, status, "the array is too large or too deep");
}

static evs_status unsupported(evs__arrow_importer *im, const struct ArrowSchema *schema)
{
    return evs__fail(im->ctx, im->reterr, EVS_ERR_UNSUPPORTED,
                     "column \"%s\": the Arrow type \"%s\"%s has no counterpart",
                     schema->name ? schema->name : "", schema->format ? schema->format : "",
                     schema->dictionary ? " with a dictionary" : "");
}

/* the value type of a MAP, whose child is a STRUCT of a text key and a value */
static evs_status import_map_type(evs__arrow_importer *im,
                                  const struct ArrowSchema *schema,
                                  bool nullable,
                                  const evs_type **ret)
{
    const struct ArrowSchema *entries = schema->children[0];
    const evs_type *value = NULL;
    evs__arrow_format key;
    evs_status status;

    if (!entries->format || strcmp(entries->format, "+s") != 0 || entries->n_children != 2 ||
        entries->dictionary || !entries->children[0]->format || entries->children[0]->dictionary ||
        !evs__arrow_parse_format(entries->children[0]->format, &key) || key.id != EVS_TYPE_VARCHAR)
        return evs__arrow_fault(im, EVS_ERR_UNSUPPORTED, schema,
                                "only maps with text keys are known");
    status = evs__arrow_import_type(im, entries->children[1], &value);
    if (!status && evs__type_map(im->ctx, value, nullable, ret))
        status = evs__nomem(im->reterr);
    evs_type_unref(value);
    return status;
}

static evs_status import_struct_type(evs__arrow_importer *im,
                                     const struct ArrowSchema *schema,
                                     bool nullable,
                                     const evs_type **ret)
{
    size_t count = (size_t)schema->n_children;
    evs__field *fields;
    evs_status status = EVS_OK;

    if (schema->n_children < 0 || schema->n_children > EVS__TYPE_FIELDS_MAX)
        return evs__arrow_fault(im, EVS_ERR_UNSUPPORTED, schema,
                                "more fields than a STRUCT may have");
    fields = evs__calloc(im->ctx, count, sizeof(*fields));
    if (!fields)
        return evs__nomem(im->reterr);
    for (size_t i = 0; i < count && !status; i++) {
        const struct ArrowSchema *child = schema->children[i];
        fields[i].name = child->name ? child->name : "";
        status = evs__arrow_import_type(im, child, &fields[i].type);
    }
    if (!status) {
        status = evs__type_struct(im->ctx, fields, count, nullable, ret);
        if (status == EVS_ERR_SCHEMA)
            status = evs__arrow_fault(im, EVS_ERR_INVALID, schema, "two fields have the same name");
        else if (status)
            status = evs__arrow_failed(im, status);
    }
    for (size_t i = 0; i < count; i++)
        evs_type_unref(fields[i].type);
    evs__free(im->ctx, fields);
    return status;
}

evs_status evs__arrow_import_type(evs__arrow_importer *im,
                                  const struct ArrowSchema *schema,
                                  const evs_type **ret)
{
    bool nullable = schema->flags & ARROW_FLAG_NULLABLE;
    const evs_type *element = NULL;
    evs__arrow_format f;
    evs_status status;

    if (!schema->format || schema->dictionary || !evs__arrow_parse_format(schema->format, &f))
        return unsupported(im, schema);
    if (im->depth >= EVS__TYPE_DEPTH_MAX)
        return evs__arrow_fault(im, EVS_ERR_UNSUPPORTED, schema, "the type is too deep");
    if ((f.id == EVS_TYPE_ARRAY || f.id == EVS_TYPE_MAP) && schema->n_children != 1)
        return evs__arrow_fault(im, EVS_ERR_INVALID, schema, "a list needs one child");
    im->depth++;
    if (f.id == EVS_TYPE_STRUCT) {
        status = import_struct_type(im, schema, nullable, ret);
    } else if (f.id == EVS_TYPE_MAP) {
        status = import_map_type(im, schema, nullable, ret);
    } else if (f.id == EVS_TYPE_ARRAY) {
        status = evs__arrow_import_type(im, schema->children[0], &element);
        if (!status) {
            status = evs__type_array(im->ctx, element, nullable, ret);
            status = status ? evs__arrow_failed(im, status) : EVS_OK;
        }
        evs_type_unref(element);
    } else {
        status = f.id == EVS_TYPE_DECIMAL
                     ? evs__type_decimal(im->ctx, f.precision, f.scale, nullable, ret)
                     : evs__type_simple(im->ctx, f.id, nullable, ret);
        status = status ? evs__arrow_failed(im, status) : EVS_OK;
    }
    im->depth--;
    return status;
}
