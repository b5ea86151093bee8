/*
 * codec/json_plan.c: what to look for in a JSON object, compiled from schema and wanted columns,
 * and what past events taught about how it is written.
 *
 *   user_id VARCHAR, total DOUBLE '$.order.total'
 *
 *   root ---- "user_id" -> column 0
 *        \--- "order" (on the way) ---- "total" -> column 1
 *
 * Nodes on the way of a path share the scope of the root; a STRUCT value has a node and a scope of
 * its own. Two columns may be made of the same member, also when one is inside the other: the
 * second target hangs on `also` of the first.
 *
 * Lexemes live in chunks that never move, found by hash when an event leaves the predicted order.
 * What is learned is a cache and nothing else: no memory for it, or a full table, costs speed only.
 * A table that stays full while many lexemes are not in it (the producer changed, or names are
 * data) is cleared.
 */
#include <string.h>

#include "base/hash.h"
#include "codec/json.h"

#define LEXEMES_MAX (EVS__JSON_LEXEME_CHUNK * EVS__JSON_LEXEME_CHUNKS)
#define MISSES_MAX 4096
#define SEGMENTS_MAX 64

static evs_status
value_init(evs_context *ctx, const evs_type *type, evs__json_value *v, evs_error **reterr);

/* ---- nodes ---- */

static void node_forget(evs__json_node *node)
{
    evs__json_lexeme *none = &node->none;

    none->len = 0;
    none->kind = EVS__JSON_SKIP;
    none->next[0] = none->next[1] = none;
    node->start = node->spare = *none;
    node->lexeme_count = 0;
    node->misses = 0;
    memset(node->index, 0, sizeof(node->index));
}

static evs__json_node *node_new(evs_context *ctx)
{
    evs__json_node *node = evs__calloc(ctx, 1, sizeof(*node));

    if (node)
        node_forget(node);
    return node;
}

static void value_release(evs_context *ctx, evs__json_value *v)
{
    evs__json_plan_free(ctx, v->node);
    if (v->element) {
        value_release(ctx, v->element);
        evs__free(ctx, v->element);
    }
}

static void field_free(evs_context *ctx, evs__json_field *field)
{
    while (field) {
        evs__json_field *also = field->also;

        value_release(ctx, &field->value);
        evs__free(ctx, field->name);
        evs__free(ctx, field);
        field = also;
    }
}

void evs__json_plan_free(evs_context *ctx, evs__json_node *node)
{
    if (!node)
        return;
    for (uint32_t i = 0; i < node->field_count; i++)
        field_free(ctx, node->fields[i]);
    for (size_t i = 0; i < EVS__JSON_LEXEME_CHUNKS; i++)
        evs__free(ctx, node->chunks[i]);
    evs__free(ctx, node->fields);
    evs__free(ctx, node->table);
    evs__free(ctx, node->column_names);
    evs__free(ctx, node);
}

evs__json_field *evs__json_find(const evs__json_node *node, const char *name, size_t len)
{
    uint32_t i = (uint32_t)evs__hash_bytes(name, len, 0);

    for (;; i++) {
        evs__json_field *field = node->table[i & node->table_mask];

        if (!field || (field->len == len && !memcmp(field->name, name, len)))
            return field;
    }
}

/* the table of a node whose fields are complete, and of the nodes on the way of paths */
static evs_status node_finish(evs_context *ctx, evs__json_node *node)
{
    size_t size = 4;
    evs_status status = EVS_OK;

    while (size < 2 * (size_t)node->field_count)
        size *= 2;
    node->table = evs__calloc(ctx, size, sizeof(*node->table));
    if (!node->table)
        return EVS_ERR_NOMEM;
    node->table_mask = (uint32_t)size - 1;
    for (uint32_t i = 0; i < node->field_count && !status; i++) {
        evs__json_field *field = node->fields[i];
        uint32_t at = (uint32_t)evs__hash_bytes(field->name, field->len, 0);

        while (node->table[at & node->table_mask])
            at++;
        node->table[at & node->table_mask] = field;
        if (field->len > node->name_max)
            node->name_max = field->len;
        field->kind = field->also || field->value.kind == EVS__JSON_OBJECT ? EVS__JSON_MANY
                                                                           : field->value.kind;
        for (evs__json_field *f = field; f && !status; f = f->also) {
            if (f->value.kind == EVS__JSON_OBJECT)
                status = node_finish(ctx, f->value.node);
        }
    }
    return status;
}

/* one more target of the member `name`, without a value yet */
static evs_status
node_add(evs_context *ctx, evs__json_node *node, const char *name, evs__json_field **ret)
{
    evs__json_field **fields = NULL;
    evs__json_field *field = evs__calloc(ctx, 1, sizeof(*field));

    if (!field)
        return EVS_ERR_NOMEM;
    field->len = strlen(name);
    field->name = evs__strdup(ctx, name);
    if (!field->name)
        goto fail;
    *ret = field;
    for (uint32_t i = 0; i < node->field_count; i++) {
        if (!strcmp(node->fields[i]->name, name)) {
            field->also = node->fields[i]->also;
            node->fields[i]->also = field;
            return EVS_OK;
        }
    }
    /* by powers of two */
    if (!(node->field_count & (node->field_count - 1))) {
        size_t capacity = node->field_count ? 2 * (size_t)node->field_count : 1;

        fields = evs__realloc_array(ctx, node->fields, capacity, sizeof(*fields));
        if (!fields)
            goto fail;
        node->fields = fields;
    }
    node->fields[node->field_count++] = field;
    return EVS_OK;

fail:
    field_free(ctx, field);
    return EVS_ERR_NOMEM;
}

/* the node that members of `name` are looked for in, made when there is none */
static evs_status
node_enter(evs_context *ctx, evs__json_node *node, const char *name, evs__json_node **ret)
{
    evs__json_field *field = NULL;
    evs_status status;

    for (uint32_t i = 0; i < node->field_count; i++) {
        if (strcmp(node->fields[i]->name, name))
            continue;
        for (field = node->fields[i]; field; field = field->also) {
            if (field->value.kind == EVS__JSON_OBJECT) {
                *ret = field->value.node;
                return EVS_OK;
            }
        }
    }
    status = node_add(ctx, node, name, &field);
    if (status)
        return status;
    field->value.kind = EVS__JSON_OBJECT;
    field->value.node = node_new(ctx);
    *ret = field->value.node;
    return *ret ? EVS_OK : EVS_ERR_NOMEM;
}

/* ---- paths ---- */

/* `.name` up to the next point or bracket; *pp moves behind it */
static const char *take_name(char **pp, char **ret)
{
    char *p = *pp + 1;
    size_t len = strcspn(p, ".[");

    if (!len)
        return "a name is missing";
    *ret = p;
    *pp = p + len;
    return NULL;
}

/* `['name']` or `["name"]` */
static const char *take_bracket(char **pp, char **ret)
{
    char *p = *pp + 1;
    char quote = *p;
    char *close;

    if (quote != '\'' && quote != '"')
        return "array indexes are not supported";
    close = strchr(p + 1, quote);
    if (!close || close[1] != ']')
        return "\"[\" is not closed";
    *close = '\0';
    *ret = p + 1;
    *pp = close + 2;
    return NULL;
}

const char *evs__json_path_split(char *copy, char **segments, size_t max, size_t *ret_count)
{
    const char *wrong;
    size_t count = 0;
    char *p = copy + 1;

    if (*copy != '$')
        return "it does not begin with \"$\"";
    while (*p) {
        char first = *p;

        if (count == max)
            return "it has too many steps";
        if (first != '.' && first != '[')
            return "expected \".\" or \"[\"";
        *p = '\0'; /* ends the name before */
        wrong = first == '.' ? take_name(&p, &segments[count]) : take_bracket(&p, &segments[count]);
        if (wrong)
            return wrong;
        count++;
    }
    if (!count)
        return "it names no member";
    *ret_count = count;
    return NULL;
}

/* ---- compile ---- */

static evs_status no_memory(evs_error **reterr)
{
    return evs__nomem(reterr);
}

/* a node for the fields of a STRUCT */
static evs_status
struct_node(evs_context *ctx, const evs_type *type, evs__json_node **ret, evs_error **reterr)
{
    evs__json_node *node = node_new(ctx);
    evs_status status = node ? EVS_OK : no_memory(reterr);

    *ret = node;
    if (status)
        return status;
    node->type = type;
    node->column_count = type->child_count;
    node->column_names = evs__calloc(ctx, type->child_count, sizeof(*node->column_names));
    if (!node->column_names)
        return no_memory(reterr);
    for (uint32_t i = 0; i < type->child_count && !status; i++) {
        evs__json_field *field = NULL;

        if (node_add(ctx, node, type->children[i].name, &field))
            return no_memory(reterr);
        field->column = i;
        node->column_names[i] = field->name;
        status = value_init(ctx, type->children[i].type, &field->value, reterr);
    }
    if (!status && node_finish(ctx, node))
        status = no_memory(reterr);
    return status;
}

/* what is left half-made goes with the field that holds it */
static evs_status
value_init(evs_context *ctx, const evs_type *type, evs__json_value *v, evs_error **reterr)
{
    const evs_type *element = NULL;

    v->kind = (uint8_t)type->id;
    v->nullable = type->nullable;
    v->type = type;
    if (type->id == EVS_TYPE_STRUCT)
        return struct_node(ctx, type, &v->node, reterr);
    if (type->id == EVS_TYPE_ARRAY)
        element = type->children[0].type;
    else if (type->id == EVS_TYPE_MAP)
        element = type->children[0].type->children[1].type;
    if (!element)
        return EVS_OK;
    v->element = evs__calloc(ctx, 1, sizeof(*v->element));
    if (!v->element)
        return no_memory(reterr);
    return value_init(ctx, element, v->element, reterr);
}

/* column i of `wanted`, found at `path` or under its own name */
static evs_status root_add(evs_context *ctx,
                           evs__json_node *root,
                           const evs_type *wanted,
                           uint32_t i,
                           const char *path,
                           evs_error **reterr)
{
    char *segments[SEGMENTS_MAX] = {(char *)wanted->children[i].name};
    size_t count = 1;
    char *copy = NULL;
    const char *wrong = NULL;
    evs__json_node *node = root;
    evs__json_field *field = NULL;
    evs_status status = EVS_OK;

    if (path) {
        copy = evs__strdup(ctx, path);
        if (!copy)
            return no_memory(reterr);
        wrong = evs__json_path_split(copy, segments, SEGMENTS_MAX, &count);
    }
    if (wrong) {
        status =
            evs__fail_at(ctx, reterr, EVS_ERR_SCHEMA, wanted->children[i].name,
                         "column \"%s\": path \"%s\": %s", wanted->children[i].name, path, wrong);
        goto out;
    }
    for (size_t k = 0; k + 1 < count && !status; k++)
        status = node_enter(ctx, node, segments[k], &node);
    if (!status)
        status = node_add(ctx, node, segments[count - 1], &field);
    if (status) {
        status = no_memory(reterr);
        goto out;
    }
    field->column = i;
    root->column_names[i] = path ? path : wanted->children[i].name;
    status = value_init(ctx, wanted->children[i].type, &field->value, reterr);

out:
    evs__free(ctx, copy);
    return status;
}

evs_status evs__json_plan_new(evs_context *ctx,
                              const evs_schema *schema,
                              const evs_type *wanted,
                              evs__json_node **ret,
                              evs_error **reterr)
{
    evs__json_node *root = node_new(ctx);
    evs_status status = EVS_OK;

    if (!root)
        return no_memory(reterr);
    root->type = wanted;
    root->column_count = wanted->child_count;
    root->column_names = evs__calloc(ctx, wanted->child_count, sizeof(*root->column_names));
    if (!root->column_names)
        status = no_memory(reterr);
    for (uint32_t i = 0; i < wanted->child_count && !status; i++) {
        const char *name = wanted->children[i].name;
        int32_t at = evs_type_field_index(schema->type, name, strlen(name));

        status = root_add(ctx, root, wanted, i, schema->paths && at >= 0 ? schema->paths[at] : NULL,
                          reterr);
    }
    if (!status && node_finish(ctx, root))
        status = no_memory(reterr);
    if (status) {
        evs__json_plan_free(ctx, root);
        return status;
    }
    *ret = root;
    return EVS_OK;
}

/* ---- learning ---- */

static evs__json_lexeme *lexeme_at(const evs__json_node *node, uint32_t i)
{
    return node->chunks[i / EVS__JSON_LEXEME_CHUNK] + i % EVS__JSON_LEXEME_CHUNK;
}

/* slot of the lexeme in the index, or of the free place for it */
static uint32_t lexeme_slot(const evs__json_node *node, const uint8_t *p, size_t len)
{
    uint32_t i = (uint32_t)evs__hash_bytes(p, len, 1);

    for (;; i++) {
        uint16_t entry = node->index[i & (EVS__JSON_LEXEME_INDEX - 1)];
        const evs__json_lexeme *x = entry ? lexeme_at(node, entry - 1u) : NULL;

        if (!x || (x->len == len && !memcmp(x->bytes, p, len)))
            return i & (EVS__JSON_LEXEME_INDEX - 1);
    }
}

/* room for one more lexeme, or NULL */
static evs__json_lexeme *lexeme_new(evs_context *ctx, evs__json_node *node)
{
    evs__json_lexeme **chunk = &node->chunks[node->lexeme_count / EVS__JSON_LEXEME_CHUNK];

    if (!*chunk) {
        *chunk = evs__calloc(ctx, EVS__JSON_LEXEME_CHUNK, sizeof(**chunk));
        if (!*chunk)
            return NULL;
    }
    return lexeme_at(node, node->lexeme_count++);
}

evs__json_lexeme *evs__json_learn(evs_context *ctx,
                                  evs__json_node *node,
                                  evs__json_lexeme *after,
                                  const uint8_t *p,
                                  size_t len,
                                  uint8_t kind,
                                  evs__json_field *field)
{
    evs__json_lexeme *x = NULL;
    uint32_t slot;

    if (len > EVS__JSON_LEXEME_BYTES)
        goto spare;
    slot = lexeme_slot(node, p, len);
    if (node->index[slot]) {
        x = lexeme_at(node, node->index[slot] - 1u);
    } else {
        if (node->lexeme_count == LEXEMES_MAX) {
            if (++node->misses < MISSES_MAX)
                goto spare;
            node_forget(node);
            after = &node->spare;
            slot = lexeme_slot(node, p, len);
        }
        x = lexeme_new(ctx, node);
        if (!x)
            goto spare;
        memset(x->bytes, 0, sizeof(x->bytes));
        memcpy(x->bytes, p, len);
        x->len = (uint8_t)len;
        x->ignore = len < 32 ? ~(uint32_t)0 << len : 0;
        x->column = field ? (uint16_t)field->column : 0;
        x->kind = kind;
        x->field = field;
        x->next[0] = x->next[1] = &node->none;
        node->index[slot] = (uint16_t)node->lexeme_count;
    }
    if (after != &node->spare) {
        after->next[1] = after->next[0];
        after->next[0] = x;
    }
    return x;

spare:
    /* nothing follows the spare one: each next member is parsed and looked up */
    node->spare.kind = kind;
    node->spare.field = field;
    node->spare.column = field ? (uint16_t)field->column : 0;
    return &node->spare;
}
