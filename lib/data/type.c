/*
 * data/type.c: the tree of types.
 *
 * A type is immutable and shared, so its text is made once, when it is. The text is canonical: two
 * types are equal exactly when their texts are, which makes evs_type_equal() one memcmp and gives
 * snapshots and plans something to fingerprint. Depth, fields and text are bounded here, in the
 * constructors, so that nothing above has to guard its recursion over a type.
 *
 *   MAP<BIGINT>  ->  MAP [ entry STRUCT NOT NULL [ key VARCHAR NOT NULL, value BIGINT ] ]
 */
#include <string.h>

#include "base/map.h"
#include "data/type.h"

static const char *const type_words[] = {
    [EVS_TYPE_BOOLEAN] = "BOOLEAN", [EVS_TYPE_INT] = "INT",
    [EVS_TYPE_BIGINT] = "BIGINT",   [EVS_TYPE_DOUBLE] = "DOUBLE",
    [EVS_TYPE_DECIMAL] = "DECIMAL", [EVS_TYPE_VARCHAR] = "VARCHAR",
    [EVS_TYPE_BYTES] = "BYTES",     [EVS_TYPE_TIMESTAMP] = "TIMESTAMP",
    [EVS_TYPE_DATE] = "DATE",       [EVS_TYPE_TIME] = "TIME",
    [EVS_TYPE_ARRAY] = "ARRAY",     [EVS_TYPE_MAP] = "MAP",
    [EVS_TYPE_STRUCT] = "STRUCT",
};

const char *evs__type_word(evs_type_id id)
{
    return id >= EVS_TYPE_BOOLEAN && id <= EVS_TYPE_STRUCT ? type_words[id] : "";
}

int32_t evs__type_width(evs_type_id id)
{
    switch (id) {
    case EVS_TYPE_BOOLEAN:
        return 0;
    case EVS_TYPE_INT:
    case EVS_TYPE_DATE:
    case EVS_TYPE_TIME:
        return 4;
    case EVS_TYPE_BIGINT:
    case EVS_TYPE_DOUBLE:
    case EVS_TYPE_TIMESTAMP:
        return 8;
    case EVS_TYPE_DECIMAL:
        return 16;
    default:
        return -1;
    }
}

/* ---- text ---- */

static bool is_name_byte(unsigned char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

void evs__type_print_name(const char *name, evs__buffer *out)
{
    bool plain = *name != '\0';

    for (const char *p = name; *p; p++)
        plain = plain && is_name_byte((unsigned char)*p, p == name);
    if (plain) {
        evs__buffer_text(out, name);
        return;
    }
    evs__buffer_byte(out, '"');
    for (const char *p = name; *p; p++) {
        if (*p == '"')
            evs__buffer_byte(out, '"');
        evs__buffer_byte(out, (uint8_t)*p);
    }
    evs__buffer_byte(out, '"');
}

static void print_children(const evs_type *type, evs__buffer *out)
{
    if (type->id == EVS_TYPE_ARRAY) {
        evs__buffer_append(out, type->children[0].type->text, type->children[0].type->text_len);
    } else if (type->id == EVS_TYPE_MAP) {
        const evs_type *value = type->children[0].type->children[1].type;
        evs__buffer_append(out, value->text, value->text_len);
    } else {
        for (uint32_t i = 0; i < type->child_count; i++) {
            if (i)
                evs__buffer_text(out, ", ");
            evs__type_print_name(type->children[i].name, out);
            evs__buffer_byte(out, ' ');
            evs__buffer_append(out, type->children[i].type->text, type->children[i].type->text_len);
        }
    }
}

/* fill type->text from what is set already */
static evs_status type_make_text(evs_type *type)
{
    evs__buffer out;
    evs_status status;

    evs__buffer_init(&out, type->ctx, EVS__TYPE_TEXT_MAX);
    evs__buffer_text(&out, type_words[type->id]);
    if (type->id == EVS_TYPE_DECIMAL)
        evs__buffer_printf(&out, "(%d,%d)", (int)type->precision, (int)type->scale);
    if (type->id >= EVS_TYPE_ARRAY) {
        evs__buffer_byte(&out, '<');
        print_children(type, &out);
        evs__buffer_byte(&out, '>');
    }
    if (!type->nullable)
        evs__buffer_text(&out, " NOT NULL");
    evs__buffer_cstr(&out);
    status = out.status;
    if (status) {
        evs__buffer_free(&out);
        return status;
    }
    type->text_len = out.len;
    type->text = out.data;
    return EVS_OK;
}

/* ---- constructors ---- */

static evs_status type_alloc(evs_context *ctx, evs_type_id id, bool nullable, evs_type **ret)
{
    evs_type *type = evs__calloc(ctx, 1, sizeof(*type));
    if (!type)
        return EVS_ERR_NOMEM;
    atomic_init(&type->refs, 1);
    type->ctx = evs__context_hold(ctx);
    type->id = id;
    type->nullable = nullable;
    type->depth = 1;
    *ret = type;
    return EVS_OK;
}

evs_type *evs_type_ref(const evs_type *type)
{
    evs_type *t = (evs_type *)type;
    if (t)
        atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

evs_type *evs_type_unref(const evs_type *type)
{
    evs_type *t = (evs_type *)type;
    evs_context *ctx;

    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    ctx = t->ctx;
    for (uint32_t i = 0; i < t->child_count; i++) {
        evs_type_unref(t->children[i].type);
        evs__free(ctx, (char *)t->children[i].name);
    }
    evs__free(ctx, t->children);
    evs__free(ctx, t->text);
    evs__free(ctx, t);
    evs__context_drop(ctx);
    return NULL;
}

/* text of what was filled in, or release it */
static evs_status type_finish(evs_type *type, const evs_type **ret)
{
    evs_status status = EVS_OK;

    for (uint32_t i = 0; i < type->child_count; i++) {
        if (type->depth <= type->children[i].type->depth)
            type->depth = type->children[i].type->depth + 1;
    }
    if (type->depth > EVS__TYPE_DEPTH_MAX)
        status = EVS_ERR_LIMIT;
    if (!status)
        status = type_make_text(type);
    if (status) {
        evs_type_unref(type);
        return status;
    }
    *ret = type;
    return EVS_OK;
}

static evs_status type_add_children(evs_type *type, const evs__field *fields, size_t count)
{
    type->children = evs__calloc(type->ctx, count, sizeof(*type->children));
    if (!type->children)
        return EVS_ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        const char *name = evs__strdup(type->ctx, fields[i].name);
        if (!name)
            return EVS_ERR_NOMEM;
        type->children[i] = (evs__field){name, evs_type_ref(fields[i].type)};
        type->child_count++;
    }
    return EVS_OK;
}

evs_status evs__type_simple(evs_context *ctx, evs_type_id id, bool nullable, const evs_type **ret)
{
    evs_type *type;
    evs_status status;

    if (id < EVS_TYPE_BOOLEAN || id >= EVS_TYPE_ARRAY || id == EVS_TYPE_DECIMAL)
        return EVS_ERR_INVALID;
    status = type_alloc(ctx, id, nullable, &type);
    return status ? status : type_finish(type, ret);
}

evs_status evs__type_decimal(
    evs_context *ctx, int32_t precision, int32_t scale, bool nullable, const evs_type **ret)
{
    evs_type *type;
    evs_status status;

    if (precision < 1 || precision > 38 || scale < 0 || scale > precision)
        return EVS_ERR_SCHEMA;
    status = type_alloc(ctx, EVS_TYPE_DECIMAL, nullable, &type);
    if (status)
        return status;
    type->precision = precision;
    type->scale = scale;
    return type_finish(type, ret);
}

static evs_status type_nested(evs_context *ctx,
                              evs_type_id id,
                              const evs__field *fields,
                              size_t count,
                              bool nullable,
                              const evs_type **ret)
{
    evs_type *type;
    evs_status status = type_alloc(ctx, id, nullable, &type);

    if (status)
        return status;
    status = type_add_children(type, fields, count);
    if (status) {
        evs_type_unref(type);
        return status;
    }
    return type_finish(type, ret);
}

evs_status
evs__type_array(evs_context *ctx, const evs_type *element, bool nullable, const evs_type **ret)
{
    evs__field field = {"element", element};
    return type_nested(ctx, EVS_TYPE_ARRAY, &field, 1, nullable, ret);
}

evs_status
evs__type_map(evs_context *ctx, const evs_type *value, bool nullable, const evs_type **ret)
{
    evs__field fields[2] = {{"key", NULL}, {"value", value}};
    evs__field entry = {"entries", NULL};
    evs_status status = evs__type_simple(ctx, EVS_TYPE_VARCHAR, false, &fields[0].type);

    if (!status)
        status = type_nested(ctx, EVS_TYPE_STRUCT, fields, 2, false, &entry.type);
    if (!status)
        status = type_nested(ctx, EVS_TYPE_MAP, &entry, 1, nullable, ret);
    evs_type_unref(entry.type);
    evs_type_unref(fields[0].type);
    return status;
}

/* few fields are compared pairwise, many through a map */
static evs_status check_names(evs_context *ctx, const evs__field *fields, size_t count)
{
    evs__map names;
    evs_status status = EVS_OK;
    void *old = NULL;

    if (count <= 16) {
        for (size_t i = 1; i < count; i++) {
            for (size_t j = 0; j < i; j++) {
                if (strcmp(fields[i].name, fields[j].name) == 0)
                    return EVS_ERR_SCHEMA;
            }
        }
        return EVS_OK;
    }
    evs__map_init(&names, ctx, count);
    for (size_t i = 0; i < count && !status; i++) {
        status = evs__map_set(&names, fields[i].name, strlen(fields[i].name), &names, &old);
        if (!status && old)
            status = EVS_ERR_SCHEMA;
    }
    evs__map_free(&names, NULL);
    return status;
}

evs_status evs__type_struct(
    evs_context *ctx, const evs__field *fields, size_t count, bool nullable, const evs_type **ret)
{
    evs_status status;

    if (count > EVS__TYPE_FIELDS_MAX)
        return EVS_ERR_LIMIT;
    status = check_names(ctx, fields, count);
    return status ? status : type_nested(ctx, EVS_TYPE_STRUCT, fields, count, nullable, ret);
}

evs_status evs__type_with_nullable(const evs_type *type, bool nullable, const evs_type **ret)
{
    evs_type *copy;
    evs_status status;

    if (type->nullable == nullable) {
        *ret = evs_type_ref(type);
        return EVS_OK;
    }
    if (type->child_count)
        return type_nested(type->ctx, type->id, type->children, type->child_count, nullable, ret);
    status = type_alloc(type->ctx, type->id, nullable, &copy);
    if (status)
        return status;
    copy->precision = type->precision;
    copy->scale = type->scale;
    return type_finish(copy, ret);
}

/* ---- questions ---- */

bool evs__type_same_shape(const evs_type *a, const evs_type *b)
{
    if (a == b)
        return true;
    if (a->id != b->id || a->precision != b->precision || a->scale != b->scale ||
        a->child_count != b->child_count)
        return false;
    for (uint32_t i = 0; i < a->child_count; i++) {
        if (!evs__type_same_shape(a->children[i].type, b->children[i].type))
            return false;
    }
    return true;
}

bool evs_type_equal(const evs_type *a, const evs_type *b)
{
    if (a == b)
        return true;
    return a && b && a->text_len == b->text_len && memcmp(a->text, b->text, a->text_len) == 0;
}

evs_type_id evs_type_get_id(const evs_type *type)
{
    return type ? type->id : (evs_type_id)0;
}

bool evs_type_is_nullable(const evs_type *type)
{
    return type && type->nullable;
}

int32_t evs_type_precision(const evs_type *type)
{
    return type ? type->precision : 0;
}

int32_t evs_type_scale(const evs_type *type)
{
    return type ? type->scale : 0;
}

size_t evs_type_child_count(const evs_type *type)
{
    if (!type)
        return 0;
    return type->id == EVS_TYPE_MAP ? 2 : type->child_count;
}

const evs_type *evs_type_child(const evs_type *type, size_t index)
{
    if (index >= evs_type_child_count(type))
        return NULL;
    if (type->id == EVS_TYPE_MAP)
        type = type->children[0].type;
    return type->children[index].type;
}

const char *evs_type_field_name(const evs_type *type, size_t index)
{
    if (!type || type->id != EVS_TYPE_STRUCT || index >= type->child_count)
        return NULL;
    return type->children[index].name;
}

int32_t evs_type_field_index(const evs_type *type, const char *name, size_t name_len)
{
    if (!type || !name || type->id != EVS_TYPE_STRUCT)
        return -1;
    for (uint32_t i = 0; i < type->child_count; i++) {
        const char *n = type->children[i].name;
        if (strncmp(n, name, name_len) == 0 && n[name_len] == '\0')
            return (int32_t)i;
    }
    return -1;
}

const char *evs_type_print(const evs_type *type)
{
    return type ? type->text : "";
}

void evs__type_list_fields(const evs_type *type, evs__buffer *out)
{
    enum { SHOWN = 24 };
    if (type->id != EVS_TYPE_STRUCT || type->child_count == 0) {
        evs__buffer_text(out, "there are no fields");
        return;
    }
    evs__buffer_text(out, type->child_count == 1 ? "the only field is " : "fields are ");
    for (uint32_t i = 0; i < type->child_count && i < SHOWN; i++)
        evs__buffer_printf(out, "%s\"%s\"", i ? ", " : "", type->children[i].name);
    if (type->child_count > SHOWN)
        evs__buffer_printf(out, " and %u more", type->child_count - SHOWN);
}
