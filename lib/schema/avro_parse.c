/*
 * schema/avro_parse.c: an Avro schema document (specification 1.11) to nodes.
 *
 * jansson reads the JSON; one recursive descent makes a node for each type and keeps a table of
 * named types by full name, so that a later use of a name, also inside its own definition, is the
 * same node: the result is a graph. Nodes, names and paths live in an arena that is freed as a
 * whole, so a half-built graph needs no care.
 *
 *   tree -> arena chunks [node][names]...        names: "com.acme.Item" -> node
 *        -> document (json_t), which the defaults point into
 *
 * Defaults are checked after everything else, since one may need a type that ends later. A fault
 * carries the path of its node ("fields[2].type.items"); faults of the JSON itself line and column.
 * Depth and number of nodes are bounded; a document is at most DOCUMENT_MAX bytes.
 *
 * Not done: resolution of aliases (their form is checked).
 */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/config.h"
#include "base/map.h"
#include "schema/schema.h"

#define DOCUMENT_MAX ((size_t)16 << 20)
#define NODES_MAX (1u << 16)
#define CHUNK_SIZE 4096
#define PATH_MAX_BYTES 4096
#define DECIMAL_DIGITS_MAX 38

typedef struct chunk {
    struct chunk *next;
    size_t used, size;
    _Alignas(16) char bytes[];
} chunk;

/* a default to be checked when all types are known */
typedef struct pending {
    struct pending *next;
    const evs__avro_node *record;
    size_t field;
    const char *path;
} pending;

struct evs__avro_tree {
    evs_context *ctx;
    chunk *chunks;
    json_t *document;
    evs__avro_node *root;
};

typedef struct parser {
    evs_context *ctx;
    evs__avro_tree *tree;
    evs__map names; /* full name -> node */
    evs__buffer path;
    evs__buffer *warnings;
    pending *pending;
    uint32_t depth;
    uint32_t nodes;
    evs_error **reterr;
} parser;

static evs_status
parse_node(parser *ps, const json_t *json, const char *space, evs__avro_node **ret);

static const char *const kind_names[] = {
    [EVS__AVRO_NULL] = "null",   [EVS__AVRO_BOOLEAN] = "boolean", [EVS__AVRO_INT] = "int",
    [EVS__AVRO_LONG] = "long",   [EVS__AVRO_FLOAT] = "float",     [EVS__AVRO_DOUBLE] = "double",
    [EVS__AVRO_BYTES] = "bytes", [EVS__AVRO_STRING] = "string",   [EVS__AVRO_RECORD] = "record",
    [EVS__AVRO_ENUM] = "enum",   [EVS__AVRO_ARRAY] = "array",     [EVS__AVRO_MAP] = "map",
    [EVS__AVRO_UNION] = "union", [EVS__AVRO_FIXED] = "fixed",
};
#define PRIMITIVES (EVS__AVRO_STRING + 1)

const char *evs__avro_kind_name(evs__avro_kind kind)
{
    return kind_names[kind];
}

/* ---- arena, path, faults ---- */

static void *arena_alloc(evs__avro_tree *tree, size_t size)
{
    chunk *c = tree->chunks;
    size_t rounded;
    size_t bytes;

    if (evs__add_overflow(size, 15, &rounded))
        return NULL;
    rounded &= ~(size_t)15;
    if (!c || c->size - c->used < rounded) {
        size_t room = rounded > CHUNK_SIZE ? rounded : CHUNK_SIZE;
        if (evs__add_overflow(room, sizeof(*c), &bytes) || !(c = evs__alloc(tree->ctx, bytes)))
            return NULL;
        c->next = tree->chunks;
        c->used = 0;
        c->size = room;
        tree->chunks = c;
    }
    memset(c->bytes + c->used, 0, rounded);
    c->used += rounded;
    return c->bytes + c->used - rounded;
}

static void *arena_array(evs__avro_tree *tree, size_t count, size_t size)
{
    size_t bytes;
    return evs__mul_overflow(count, size, &bytes) ? NULL : arena_alloc(tree, bytes);
}

static char *arena_text(evs__avro_tree *tree, const char *text, size_t len)
{
    char *copy = arena_alloc(tree, len + 1);
    if (copy)
        memcpy(copy, text, len);
    return copy;
}

/* Steps of the path: the caller keeps the length before and cuts back to it. A path that is too
 * long only loses its end. */
static size_t path_step(parser *ps, const char *name, int64_t index)
{
    size_t before = ps->path.len;

    if (name && before)
        evs__buffer_byte(&ps->path, '.');
    if (name)
        evs__buffer_text(&ps->path, name);
    if (index >= 0)
        evs__buffer_printf(&ps->path, "[%lld]", (long long)index);
    ps->path.status = EVS_OK;
    return before;
}

static void path_back(parser *ps, size_t before)
{
    ps->path.len = before;
}

static const char *path_text(parser *ps)
{
    const char *text = evs__buffer_cstr(&ps->path);
    ps->path.status = EVS_OK;
    return text ? text : "";
}

static evs_status fault(parser *ps, const char *format, ...) EVS_PRINTF(2, 3);

static evs_status fault(parser *ps, const char *format, ...)
{
    const char *path = path_text(ps);
    char line[512];
    va_list ap;

    va_start(ap, format);
    vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    return evs__fail_at(ps->ctx, ps->reterr, EVS_ERR_SCHEMA, path, "Avro schema%s%s: %s",
                        *path ? ", " : "", path, line);
}

static void warn(parser *ps, const char *format, ...) EVS_PRINTF(2, 3);

static void warn(parser *ps, const char *format, ...)
{
    const char *path = path_text(ps);
    char line[512];
    va_list ap;

    if (!ps->warnings)
        return;
    va_start(ap, format);
    vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    evs__buffer_printf(ps->warnings, "%s%s%s%s", ps->warnings->len ? "\n" : "", path,
                       *path ? ": " : "", line);
}

/* what a JSON value is, for messages */
static const char *json_kind(const json_t *json)
{
    switch (json ? json_typeof(json) : JSON_NULL) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    default:
        return json ? "null" : "nothing";
    }
}

/* ---- names ---- */

static bool name_is_valid(const char *name, size_t len)
{
    if (!len)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i && c >= '0' && c <= '9'))
            return false;
    }
    return true;
}

/* names joined by dots */
static bool fullname_is_valid(const char *name)
{
    for (;;) {
        size_t len = strcspn(name, ".");
        if (!name_is_valid(name, len))
            return false;
        if (!name[len])
            return true;
        name += len + 1;
    }
}

static int32_t primitive_find(const char *name)
{
    for (int32_t i = 0; i < PRIMITIVES; i++) {
        if (strcmp(kind_names[i], name) == 0)
            return i;
    }
    return -1;
}

/* a name as it is known: its own namespace, else `space`, before it */
static char *qualify(parser *ps, const char *name, const char *space)
{
    size_t n_space = strlen(space);
    size_t n_name = strlen(name);
    char *full;

    if (!n_space || strchr(name, '.'))
        return arena_text(ps->tree, name, n_name);
    full = arena_alloc(ps->tree, n_space + n_name + 2);
    if (full) {
        memcpy(full, space, n_space);
        full[n_space] = '.';
        memcpy(full + n_space + 1, name, n_name + 1);
    }
    return full;
}

/* the namespace part of a full name */
static const char *space_of(parser *ps, const char *fullname)
{
    const char *dot = strrchr(fullname, '.');
    return dot ? arena_text(ps->tree, fullname, (size_t)(dot - fullname)) : "";
}

static evs_status check_aliases(parser *ps, const json_t *json)
{
    const json_t *aliases = json_object_get(json, "aliases");
    size_t i;
    json_t *alias;

    if (!aliases)
        return EVS_OK;
    if (!json_is_array(aliases))
        return fault(ps, "\"aliases\" must be an array of names, not %s", json_kind(aliases));
    json_array_foreach(aliases, i, alias)
    {
        if (!json_is_string(alias) || !fullname_is_valid(json_string_value(alias)))
            return fault(ps, "\"aliases\" must be an array of names");
    }
    return EVS_OK;
}

/* Full name of a record, enum or fixed; the node is entered into the table. */
static evs_status
define_name(parser *ps, const json_t *json, const char *space, evs__avro_node *node)
{
    const json_t *name = json_object_get(json, "name");
    const json_t *own = json_object_get(json, "namespace");
    const char *text = json_string_value(name);
    void *old = NULL;
    evs_status status;

    if (!text)
        return fault(ps, "%s needs a \"name\", a string, not %s", kind_names[node->kind],
                     json_kind(name));
    if (!fullname_is_valid(text))
        return fault(ps, "\"%s\" is not a name (letters, digits and _, parts joined by dots)",
                     text);
    if (own && !json_is_null(own)) {
        const char *given = json_string_value(own);
        if (!given || (*given && !fullname_is_valid(given)))
            return fault(ps, "\"namespace\" must be names joined by dots");
        space = given;
    } else if (own) {
        space = "";
    }
    if (!(node->fullname = qualify(ps, text, space)))
        return evs__nomem(ps->reterr);
    if (primitive_find(node->fullname) >= 0)
        return fault(ps, "\"%s\" is the name of a primitive type", node->fullname);
    if (evs__map_get(&ps->names, node->fullname, strlen(node->fullname)))
        return fault(ps, "\"%s\" is defined twice", node->fullname);
    status = evs__map_set(&ps->names, node->fullname, strlen(node->fullname), node, &old);
    if (status)
        return status == EVS_ERR_NOMEM ? evs__nomem(ps->reterr) : fault(ps, "too many names");
    return check_aliases(ps, json);
}

static evs_status node_new(parser *ps, evs__avro_kind kind, evs__avro_node **ret)
{
    evs__avro_node *node;

    if (++ps->nodes > NODES_MAX)
        return fault(ps, "more than %u types", NODES_MAX);
    if (!(node = arena_alloc(ps->tree, sizeof(*node))))
        return evs__nomem(ps->reterr);
    node->kind = kind;
    node->enum_default = -1;
    *ret = node;
    return EVS_OK;
}

/* ---- logical types ---- */

static const struct logical_rule {
    const char *name;
    evs__avro_logical logical;
    evs__avro_kind kind;
    int32_t size; /* of a fixed; 0: any */
} logical_rules[] = {
    {"decimal", EVS__LOGICAL_DECIMAL, EVS__AVRO_BYTES, 0},
    {"decimal", EVS__LOGICAL_DECIMAL, EVS__AVRO_FIXED, 0},
    {"uuid", EVS__LOGICAL_UUID, EVS__AVRO_STRING, 0},
    {"uuid", EVS__LOGICAL_UUID, EVS__AVRO_FIXED, 16},
    {"date", EVS__LOGICAL_DATE, EVS__AVRO_INT, 0},
    {"time-millis", EVS__LOGICAL_TIME_MILLIS, EVS__AVRO_INT, 0},
    {"time-micros", EVS__LOGICAL_TIME_MICROS, EVS__AVRO_LONG, 0},
    {"timestamp-millis", EVS__LOGICAL_TIMESTAMP_MILLIS, EVS__AVRO_LONG, 0},
    {"timestamp-micros", EVS__LOGICAL_TIMESTAMP_MICROS, EVS__AVRO_LONG, 0},
    {"timestamp-nanos", EVS__LOGICAL_TIMESTAMP_NANOS, EVS__AVRO_LONG, 0},
    {"local-timestamp-millis", EVS__LOGICAL_LOCAL_TIMESTAMP_MILLIS, EVS__AVRO_LONG, 0},
    {"local-timestamp-micros", EVS__LOGICAL_LOCAL_TIMESTAMP_MICROS, EVS__AVRO_LONG, 0},
    {"local-timestamp-nanos", EVS__LOGICAL_LOCAL_TIMESTAMP_NANOS, EVS__AVRO_LONG, 0},
    {"duration", EVS__LOGICAL_DURATION, EVS__AVRO_FIXED, 12},
};
#define LOGICAL_RULES (sizeof(logical_rules) / sizeof(logical_rules[0]))

/* decimal digits that always fit into `size` bytes of two's complement: floor(log10(2^(8n-1) - 1))
 */
static int64_t decimal_digits_of(int32_t size)
{
    return size < 1 ? 0 : ((int64_t)size * 8 - 1) * 30103 / 100000;
}

/* precision and scale; what is not allowed leaves the plain type, as the specification says */
static void set_decimal(parser *ps, const json_t *json, evs__avro_node *node)
{
    const json_t *precision = json_object_get(json, "precision");
    const json_t *scale = json_object_get(json, "scale");
    json_int_t p = json_integer_value(precision);
    json_int_t s = json_integer_value(scale);

    if (!json_is_integer(precision) || p < 1)
        warn(ps, "decimal needs a \"precision\" of at least 1: ignored");
    else if (scale && (!json_is_integer(scale) || s < 0 || s > p))
        warn(ps, "\"scale\" of a decimal must be from 0 to its precision %lld: ignored",
             (long long)p);
    else if (node->kind == EVS__AVRO_FIXED && p > decimal_digits_of(node->fixed_size))
        warn(ps, "decimal of %lld digits does not fit into %d bytes: ignored", (long long)p,
             (int)node->fixed_size);
    else if (p > DECIMAL_DIGITS_MAX)
        warn(ps, "decimal of %lld digits is read as BYTES: at most %d are supported", (long long)p,
             DECIMAL_DIGITS_MAX);
    else {
        node->logical = EVS__LOGICAL_DECIMAL;
        node->precision = (int32_t)p;
        node->scale = (int32_t)s;
    }
}

static void set_logical(parser *ps, const json_t *json, evs__avro_node *node)
{
    const char *name = json_string_value(json_object_get(json, "logicalType"));
    bool known = false;

    if (!name)
        return;
    for (size_t i = 0; i < LOGICAL_RULES; i++) {
        const struct logical_rule *rule = &logical_rules[i];
        if (strcmp(rule->name, name) != 0)
            continue;
        known = true;
        if (rule->kind != node->kind || (rule->size && rule->size != node->fixed_size))
            continue;
        if (rule->logical == EVS__LOGICAL_DECIMAL)
            set_decimal(ps, json, node);
        else
            node->logical = rule->logical;
        return;
    }
    if (known)
        warn(ps, "logical type \"%s\" does not belong to %s: ignored", name,
             kind_names[node->kind]);
    else
        warn(ps, "logical type \"%s\" is unknown: ignored", name);
}

/* ---- the kinds ---- */

static evs_status child_of(parser *ps,
                           const json_t *json,
                           const char *key,
                           int64_t index,
                           const char *space,
                           evs__avro_node **ret)
{
    size_t before = path_step(ps, key, index);
    evs_status status;

    if (!json)
        status = fault(ps, "missing: expected a type");
    else
        status = parse_node(ps, json, space, ret);
    path_back(ps, before);
    return status;
}

/* array, map */
static evs_status parse_container(
    parser *ps, const json_t *json, evs__avro_kind kind, const char *space, evs__avro_node **ret)
{
    const char *key = kind == EVS__AVRO_ARRAY ? "items" : "values";
    evs__avro_node *node = NULL;
    evs_status status = node_new(ps, kind, &node);

    if (status)
        return status;
    if (!(node->children = arena_array(ps->tree, 1, sizeof(*node->children))))
        return evs__nomem(ps->reterr);
    node->child_count = 1;
    *ret = node;
    return child_of(ps, json_object_get(json, key), key, -1, space, &node->children[0]);
}

static evs_status
parse_enum(parser *ps, const json_t *json, const char *space, evs__avro_node **ret)
{
    const json_t *symbols = json_object_get(json, "symbols");
    const json_t *def = json_object_get(json, "default");
    evs__avro_node *node = NULL;
    evs__map seen;
    evs_status status = node_new(ps, EVS__AVRO_ENUM, &node);

    if (status || (status = define_name(ps, json, space, node)))
        return status;
    if (!json_is_array(symbols))
        return fault(ps, "enum needs \"symbols\", an array of names, not %s", json_kind(symbols));
    node->names = arena_array(ps->tree, json_array_size(symbols), sizeof(*node->names));
    if (!node->names)
        return evs__nomem(ps->reterr);
    evs__map_init(&seen, ps->ctx, json_array_size(symbols) + 1);
    for (size_t i = 0; !status && i < json_array_size(symbols); i++) {
        const json_t *symbol = json_array_get(symbols, i);
        const char *text = json_string_value(symbol);
        size_t len = text ? strlen(text) : 0;
        void *old = NULL;
        if (!text || !name_is_valid(text, len))
            status = fault(ps, "\"symbols[%zu]\" must be a name, not %s%s%s", i,
                           text ? "\"" : json_kind(symbol), text ? text : "", text ? "\"" : "");
        else if (!(node->names[i] = arena_text(ps->tree, text, len)))
            status = evs__nomem(ps->reterr);
        else if ((status = evs__map_set(&seen, text, len, node, &old)))
            status = evs__nomem(ps->reterr);
        else if (old)
            status = fault(ps, "symbol \"%s\" stands twice", text);
        if (!status && json_is_string(def) && strcmp(json_string_value(def), text) == 0)
            node->enum_default = (int32_t)i;
    }
    evs__map_free(&seen, NULL);
    node->child_count = json_array_size(symbols);
    if (!status && def && node->enum_default < 0)
        status = fault(ps, "\"default\" of an enum must be one of its symbols");
    *ret = node;
    return status;
}

static evs_status
parse_fixed(parser *ps, const json_t *json, const char *space, evs__avro_node **ret)
{
    const json_t *size = json_object_get(json, "size");
    evs__avro_node *node = NULL;
    evs_status status = node_new(ps, EVS__AVRO_FIXED, &node);

    if (status || (status = define_name(ps, json, space, node)))
        return status;
    if (!json_is_integer(size) || json_integer_value(size) < 0 ||
        json_integer_value(size) > INT32_MAX)
        return fault(ps, "fixed needs a \"size\", a number of bytes, not %s",
                     json_is_integer(size) ? "one out of range" : json_kind(size));
    node->fixed_size = (int32_t)json_integer_value(size);
    *ret = node;
    return EVS_OK;
}

static evs_status keep_default(parser *ps, evs__avro_node *record, size_t field, json_t *value)
{
    pending *p;
    const char *path = path_text(ps);

    if (!value)
        return EVS_OK;
    record->has_default[field] = true;
    record->defaults[field] = value;
    p = arena_alloc(ps->tree, sizeof(*p));
    if (!p || !(p->path = arena_text(ps->tree, path, strlen(path))))
        return evs__nomem(ps->reterr);
    p->record = record;
    p->field = field;
    p->next = ps->pending;
    ps->pending = p;
    return EVS_OK;
}

static void warn_beside(parser *ps, const json_t *field)
{
    const char *name = json_string_value(json_object_get(field, "logicalType"));
    const char *type = json_string_value(json_object_get(field, "type"));

    if (name && type)
        warn(ps,
             "\"logicalType\" stands beside \"type\" and is ignored: write \"type\": {\"type\": "
             "\"%s\", \"logicalType\": \"%s\"}",
             type, name);
    else if (name)
        warn(ps, "\"logicalType\": \"%s\" stands beside \"type\" and is ignored: it belongs inside",
             name);
}

static evs_status parse_field(parser *ps,
                              const json_t *json,
                              size_t i,
                              const char *space,
                              evs__map *seen,
                              evs__avro_node *record)
{
    const json_t *name = json_object_get(json, "name");
    const char *text = json_string_value(name);
    const char *order = json_string_value(json_object_get(json, "order"));
    void *old = NULL;
    evs_status status;

    if (!json_is_object(json))
        return fault(ps, "expected a field, an object, not %s", json_kind(json));
    if (!text)
        return fault(ps, "a field needs a \"name\", a string, not %s", json_kind(name));
    if (!name_is_valid(text, strlen(text)))
        return fault(ps, "\"%s\" is not a name (letters, digits and _)", text);
    if (order && strcmp(order, "ascending") != 0 && strcmp(order, "descending") != 0 &&
        strcmp(order, "ignore") != 0)
        return fault(ps, "\"order\" must be \"ascending\", \"descending\" or \"ignore\"");
    if (!(record->names[i] = arena_text(ps->tree, text, strlen(text))) ||
        evs__map_set(seen, text, strlen(text), record, &old))
        return evs__nomem(ps->reterr);
    if (old)
        return fault(ps, "field \"%s\" stands twice", text);
    if ((status = check_aliases(ps, json)) ||
        (status =
             child_of(ps, json_object_get(json, "type"), "type", -1, space, &record->children[i])))
        return status;
    warn_beside(ps, json);
    return keep_default(ps, record, i, json_object_get(json, "default"));
}

static evs_status
parse_record(parser *ps, const json_t *json, const char *space, evs__avro_node **ret)
{
    const json_t *fields = json_object_get(json, "fields");
    size_t count = json_array_size(fields);
    evs__avro_node *node = NULL;
    evs__map seen;
    evs_status status = node_new(ps, EVS__AVRO_RECORD, &node);

    if (status || (status = define_name(ps, json, space, node)))
        return status;
    if (!json_is_array(fields))
        return fault(ps, "record needs \"fields\", an array, not %s", json_kind(fields));
    node->children = arena_array(ps->tree, count, sizeof(*node->children));
    node->names = arena_array(ps->tree, count, sizeof(*node->names));
    node->has_default = arena_array(ps->tree, count, sizeof(*node->has_default));
    node->defaults = arena_array(ps->tree, count, sizeof(*node->defaults));
    space = space_of(ps, node->fullname);
    if (!node->children || !node->names || !node->has_default || !node->defaults || !space)
        return evs__nomem(ps->reterr);
    evs__map_init(&seen, ps->ctx, count + 1);
    for (size_t i = 0; i < count && !status; i++) {
        size_t before = path_step(ps, "fields", (int64_t)i);
        status = parse_field(ps, json_array_get(fields, i), i, space, &seen, node);
        path_back(ps, before);
    }
    evs__map_free(&seen, NULL);
    node->child_count = count;
    *ret = node;
    return status;
}

/* two branches that a reader could not tell apart */
static bool same_branch(const evs__avro_node *a, const evs__avro_node *b)
{
    if (a->kind != b->kind)
        return false;
    return !a->fullname || strcmp(a->fullname, b->fullname) == 0;
}

static evs_status
parse_union(parser *ps, const json_t *json, const char *space, evs__avro_node **ret)
{
    size_t count = json_array_size(json);
    evs__avro_node *node = NULL;
    evs_status status = node_new(ps, EVS__AVRO_UNION, &node);

    if (status)
        return status;
    if (!(node->children = arena_array(ps->tree, count, sizeof(*node->children))))
        return evs__nomem(ps->reterr);
    for (size_t i = 0; i < count; i++) {
        evs__avro_node *branch = NULL;
        status = child_of(ps, json_array_get(json, i), NULL, (int64_t)i, space, &branch);
        if (status)
            return status;
        if (branch->kind == EVS__AVRO_UNION)
            return fault(ps, "branch %zu is a union itself", i);
        for (size_t j = 0; j < i; j++) {
            if (same_branch(node->children[j], branch))
                return fault(ps, "branches %zu and %zu are both %s", j, i,
                             branch->fullname ? branch->fullname : kind_names[branch->kind]);
        }
        node->children[i] = branch;
        node->child_count = i + 1;
    }
    *ret = node;
    return EVS_OK;
}

/* ---- any type ---- */

static evs_status unknown_type(parser *ps, const char *name)
{
    const char *words[PRIMITIVES + 6];
    size_t count = 0;
    const char *closest;

    for (size_t i = 0; i <= EVS__AVRO_FIXED; i++) {
        if (i != EVS__AVRO_UNION)
            words[count++] = kind_names[i];
    }
    closest = evs__did_you_mean(name, words, count);
    if (closest)
        return fault(ps, "unknown type \"%s\" (did you mean \"%s\"?)", name, closest);
    return fault(ps,
                 "unknown type \"%s\": expected a primitive type, a name that was defined before, "
                 "an object or a union",
                 name);
}

static evs_status
parse_name(parser *ps, const char *name, const char *space, bool in_object, evs__avro_node **ret)
{
    int32_t primitive = primitive_find(name);
    char *full;

    if (primitive >= 0)
        return node_new(ps, (evs__avro_kind)primitive, ret);
    for (size_t kind = PRIMITIVES; !in_object && kind <= EVS__AVRO_FIXED; kind++) {
        if (kind != EVS__AVRO_UNION && strcmp(kind_names[kind], name) == 0 &&
            !evs__map_get(&ps->names, name, strlen(name)))
            return fault(ps, "\"%s\" needs an object: {\"type\": \"%s\", ...}", name, name);
    }
    if (!(full = qualify(ps, name, space)))
        return evs__nomem(ps->reterr);
    *ret = evs__map_get(&ps->names, full, strlen(full));
    return *ret ? EVS_OK : unknown_type(ps, name);
}

static evs_status
parse_object(parser *ps, const json_t *json, const char *space, evs__avro_node **ret)
{
    const json_t *type = json_object_get(json, "type");
    const char *name = json_string_value(type);
    evs_status status;

    if (!name)
        return fault(ps, "an object needs \"type\", a string, not %s", json_kind(type));
    if (strcmp(name, "record") == 0 || strcmp(name, "error") == 0)
        return parse_record(ps, json, space, ret);
    if (strcmp(name, "enum") == 0)
        return parse_enum(ps, json, space, ret);
    if (strcmp(name, "array") == 0)
        return parse_container(ps, json, EVS__AVRO_ARRAY, space, ret);
    if (strcmp(name, "map") == 0)
        return parse_container(ps, json, EVS__AVRO_MAP, space, ret);
    if (strcmp(name, "fixed") == 0)
        status = parse_fixed(ps, json, space, ret);
    else
        status = parse_name(ps, name, space, true, ret);
    /* a node that a name refers to keeps the logical type of its definition */
    if (!status && (primitive_find(name) >= 0 || strcmp(name, "fixed") == 0))
        set_logical(ps, json, *ret);
    return status;
}

static evs_status
parse_node(parser *ps, const json_t *json, const char *space, evs__avro_node **ret)
{
    evs_status status;

    if (++ps->depth > EVS__AVRO_DEPTH_MAX)
        status = fault(ps, "types nest deeper than %d levels", EVS__AVRO_DEPTH_MAX);
    else if (json_is_string(json))
        status = parse_name(ps, json_string_value(json), space, false, ret);
    else if (json_is_array(json))
        status = parse_union(ps, json, space, ret);
    else if (json_is_object(json))
        status = parse_object(ps, json, space, ret);
    else
        status =
            fault(ps, "expected a type (a name, an object or a union), not %s", json_kind(json));
    ps->depth--;
    return status;
}

/* ---- the whole document ---- */

static evs_status check_defaults(parser *ps)
{
    evs__buffer bytes;
    evs_status status = EVS_OK;

    evs__buffer_init(&bytes, ps->ctx, EVS__AVRO_DEFAULT_MAX);
    /* the list is newest first; the first fault of the document is told */
    for (pending *p = ps->pending; p; p = p->next) {
        char why[256] = "";
        evs_status found;
        evs__buffer_reset(&bytes);
        found = evs__avro_default_write(p->record->children[p->field],
                                        p->record->defaults[p->field], &bytes, why, sizeof(why));
        if (!found)
            continue;
        if (ps->reterr)
            *ps->reterr = status ? evs_error_unref(*ps->reterr) : *ps->reterr;
        path_back(ps, 0);
        path_step(ps, p->path, -1);
        status = found == EVS_ERR_NOMEM ? evs__nomem(ps->reterr)
                                        : fault(ps, "bad default of field \"%s\": %s",
                                                p->record->names[p->field], why);
        if (found == EVS_ERR_NOMEM)
            break;
    }
    evs__buffer_free(&bytes);
    return status;
}

static evs_status load_document(parser *ps, const char *text, size_t len)
{
    json_error_t e;
    char origin[48];

    if (len > DOCUMENT_MAX)
        return fault(ps, "%zu bytes are more than %zu", len, DOCUMENT_MAX);
    ps->tree->document = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    if (ps->tree->document)
        return EVS_OK;
    if (json_error_code(&e) == json_error_out_of_memory)
        return evs__nomem(ps->reterr);
    snprintf(origin, sizeof(origin), "%d:%d", e.line, e.column);
    return evs__fail_at(ps->ctx, ps->reterr, EVS_ERR_SCHEMA, origin, "Avro schema, %s: %s", origin,
                        e.text);
}

evs_status evs__avro_parse(evs_context *ctx,
                           const char *text,
                           size_t len,
                           evs__buffer *warnings,
                           evs__avro_tree **ret,
                           evs_error **reterr)
{
    parser ps = {.ctx = ctx, .warnings = warnings, .reterr = reterr};
    evs_status status;

    if (!(ps.tree = evs__calloc(ctx, 1, sizeof(*ps.tree))))
        return evs__nomem(reterr);
    ps.tree->ctx = evs__context_hold(ctx);
    evs__map_init(&ps.names, ctx, NODES_MAX);
    evs__buffer_init(&ps.path, ctx, PATH_MAX_BYTES);
    status = load_document(&ps, text, len);
    if (!status)
        status = parse_node(&ps, ps.tree->document, "", &ps.tree->root);
    if (!status)
        status = check_defaults(&ps);
    evs__buffer_free(&ps.path);
    evs__map_free(&ps.names, NULL);
    if (status)
        evs__avro_tree_free(ps.tree);
    else
        *ret = ps.tree;
    return status;
}

evs__avro_node *evs__avro_root(evs__avro_tree *tree)
{
    return tree->root;
}

void evs__avro_tree_free(evs__avro_tree *tree)
{
    evs_context *ctx;

    if (!tree)
        return;
    ctx = tree->ctx;
    while (tree->chunks) {
        chunk *next = tree->chunks->next;
        evs__free(ctx, tree->chunks);
        tree->chunks = next;
    }
    json_decref(tree->document);
    evs__free(ctx, tree);
    evs__context_drop(ctx);
}
