/*
 * codec/avro_compile.c: a writer's schema and the wanted columns to a flat program.
 *
 * One walk over the schema in wire order, beside the tree of wanted types: a field that is wanted
 * becomes value instructions for the slots of its column, any other becomes a skip; neighbouring
 * skips of one kind are one instruction. A wanted field that the writer lacks is set to NULL where
 * it may be.
 *
 *   record {id long, name [null,string], tags array<string>, x double, y float}     wanted: name,
 * tags SKIP_VARINTS 1 | OPTION_LEAF | STRING name | LIST tags -> STRING tags[] LIST_NEXT |
 *     SKIP_BYTES 12 | END
 *
 * Types that match: int to INT, BIGINT, DOUBLE; long to BIGINT, DOUBLE; float, double to DOUBLE;
 * string to VARCHAR, BYTES; bytes to BYTES, VARCHAR; enum, uuid to VARCHAR; decimals of the same
 * scale and at most the column's digits; times of any unit to theirs. Resolution in full (defaults
 * of the reader, aliases, unions against each other) is not done here.
 */
#include <stdarg.h>
#include <stdio.h>

#include "codec/avro.h"

#define OPS_MAX (1u << 18)
#define PATHS_MAX (1u << 24)
#define FLAT_SKIPS_MAX 256 /* fields of a record that are skipped one by one */

typedef struct compiler {
    evs_context *ctx;
    evs__avro_program *out;
    size_t op_room, slot_room, level_room, target_room;
    evs__buffer path;  /* where we are */
    evs__buffer paths; /* of all instructions, NUL-terminated */
    uint32_t barrier;  /* instructions before it are not to be merged with: a jump ends there */
    bool validate;
    evs_error **reterr;
} compiler;

static evs_status
compile(compiler *c, const evs__avro_node *node, const evs_type *type, uint32_t slot);
static evs_status compile_skip(compiler *c, const evs__avro_node *node, uint32_t depth);

/* ---- tables ---- */

static evs_status fail(compiler *c, evs_status status, const char *format, ...) EVS_PRINTF(3, 4);

static evs_status fail(compiler *c, evs_status status, const char *format, ...)
{
    const char *path = evs__buffer_cstr(&c->path);
    char line[512];
    va_list ap;

    if (status == EVS_ERR_NOMEM)
        return evs__nomem(c->reterr);
    va_start(ap, format);
    vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    if (!path || !*path)
        return evs__fail(c->ctx, c->reterr, status, "%s", line);
    return evs__fail_at(c->ctx, c->reterr, status, path, "field \"%s\": %s", path, line);
}

static evs_status
grow(compiler *c, void **array, size_t count, size_t *room, size_t size, size_t max)
{
    size_t want = *room ? *room * 2 : 16;
    void *grown;

    if (count < *room)
        return EVS_OK;
    if (count >= max)
        return fail(c, EVS_ERR_LIMIT, "the schema is too large to compile");
    if (!(grown = evs__realloc_array(c->ctx, *array, want, size)))
        return evs__nomem(c->reterr);
    *array = grown;
    *room = want;
    return EVS_OK;
}

static size_t path_step(compiler *c, const char *name)
{
    size_t before = c->path.len;

    if (before && name[0] != '[')
        evs__buffer_byte(&c->path, '.');
    evs__buffer_text(&c->path, name);
    return before;
}

/* a path that was too long loses its end, nothing else */
static void path_back(compiler *c, size_t before)
{
    c->path.len = before;
    if (c->path.status == EVS_ERR_LIMIT)
        c->path.status = EVS_OK;
}

/* add an instruction; its address is only good until the next one */
static evs_status emit(compiler *c, evs__avro_code code, evs__avro_op **ret)
{
    evs__avro_program *p = c->out;
    evs__avro_op *op;
    evs_status status =
        grow(c, (void **)&p->ops, p->op_count, &c->op_room, sizeof(*p->ops), OPS_MAX);

    if (status)
        return status;
    op = &p->ops[p->op_count];
    memset(op, 0, sizeof(*op));
    op->code = (uint8_t)code;
    op->path = (uint32_t)c->paths.len;
    evs__buffer_append(&c->paths, c->path.data, c->path.len);
    evs__buffer_byte(&c->paths, '\0');
    status = c->paths.status ? c->paths.status : c->path.status;
    if (status && status != EVS_ERR_LIMIT)
        return evs__nomem(c->reterr);
    if (c->paths.status)
        return fail(c, EVS_ERR_LIMIT, "the schema is too large to compile");
    p->op_count++;
    *ret = op;
    return EVS_OK;
}

static evs_status emit_slot(compiler *c, evs__avro_code code, uint32_t slot, evs__avro_op **ret)
{
    evs__avro_op *op = NULL;
    evs_status status = emit(c, code, &op);

    if (status)
        return status;
    op->slot = slot;
    op->level = c->out->places[slot].level;
    if (ret)
        *ret = op;
    return EVS_OK;
}

/* the next instruction is where a jump ends */
static uint32_t here(compiler *c)
{
    c->barrier = (uint32_t)c->out->op_count;
    return c->barrier;
}

static evs_status level_new(compiler *c, uint32_t *ret)
{
    evs__avro_program *p = c->out;
    evs_status status =
        grow(c, (void **)&p->levels, p->level_count, &c->level_room, sizeof(*p->levels), OPS_MAX);

    if (status)
        return status;
    memset(&p->levels[p->level_count], 0, sizeof(*p->levels));
    *ret = (uint32_t)p->level_count++;
    return EVS_OK;
}

/*
 * Slots of all wanted columns, breadth first, so that a slot's children stand side by side: the
 * children of each slot are added when its turn comes.
 */
static evs_status make_slots(compiler *c, const evs_type *wanted)
{
    evs__avro_program *p = c->out;
    const evs_type *type = wanted;
    int32_t parent = -1;
    uint32_t level = 0;
    evs_status status = level_new(c, &level);

    while (!status) {
        for (uint32_t i = 0; i < type->child_count && !status; i++) {
            status = grow(c, (void **)&p->places, p->slot_count, &c->slot_room, sizeof(*p->slots),
                          OPS_MAX);
            if (!status)
                p->places[p->slot_count++] = (evs__avro_place){
                    .type = type->children[i].type, .parent = parent, .child = i, .level = level};
        }
        if (status || (size_t)++parent == p->slot_count)
            break;
        type = p->places[parent].type;
        level = p->places[parent].level;
        p->places[parent].first_child = (uint32_t)p->slot_count;
        if (type->id == EVS_TYPE_ARRAY || type->id == EVS_TYPE_MAP)
            status = level_new(c, &level);
    }
    return status;
}

/* ---- NULL ---- */

static uint8_t width_of(evs_type_id id)
{
    switch (id) {
    case EVS_TYPE_BOOLEAN:
        return EVS__WIDTH_BIT;
    case EVS_TYPE_INT:
    case EVS_TYPE_DATE:
    case EVS_TYPE_TIME:
        return EVS__WIDTH_4;
    case EVS_TYPE_BIGINT:
    case EVS_TYPE_DOUBLE:
    case EVS_TYPE_TIMESTAMP:
        return EVS__WIDTH_8;
    case EVS_TYPE_DECIMAL:
        return EVS__WIDTH_16;
    case EVS_TYPE_VARCHAR:
    case EVS_TYPE_BYTES:
        return EVS__WIDTH_VIEW;
    default:
        return EVS__WIDTH_NONE;
    }
}

static uint32_t child_slot(const compiler *c, uint32_t parent, uint32_t child)
{
    return c->out->places[parent].first_child + child;
}

/* level of a list's elements */
static uint32_t element_level(const compiler *c, uint32_t list)
{
    return c->out->places[c->out->places[list].first_child].level;
}

/* NULL into a column and all that hangs below it on the same level */
static evs_status compile_null(compiler *c, const evs_type *type, uint32_t slot)
{
    evs__avro_op *op = NULL;
    evs_status status;

    if (type->id == EVS_TYPE_ARRAY || type->id == EVS_TYPE_MAP) {
        if ((status = emit_slot(c, EVS__OP_SET_NULL_LIST, slot, &op)))
            return status;
        op->level = element_level(c, slot);
        return EVS_OK;
    }
    if ((status = emit_slot(c, EVS__OP_SET_NULL, slot, &op)))
        return status;
    op->width = width_of(type->id);
    for (uint32_t i = 0; type->id == EVS_TYPE_STRUCT && i < type->child_count; i++) {
        if ((status = compile_null(c, type->children[i].type, child_slot(c, slot, i))))
            return status;
    }
    return EVS_OK;
}

/* ---- skips ---- */

/* one more of a kind of skip, merged with the instruction before where nothing jumps between */
static evs_status emit_skip(compiler *c, evs__avro_code code, uint32_t size)
{
    evs__avro_program *p = c->out;
    evs__avro_op *op = NULL;
    evs_status status;

    if (p->op_count > c->barrier && p->ops[p->op_count - 1].code == code &&
        size <= UINT32_MAX - p->ops[p->op_count - 1].size) {
        p->ops[p->op_count - 1].size += size;
        /* its paths stand one behind the other: `nth` finds the one that failed */
        evs__buffer_append(&c->paths, c->path.data, c->path.len);
        evs__buffer_byte(&c->paths, '\0');
        return c->paths.status ? fail(c, c->paths.status, "the schema is too large to compile")
                               : EVS_OK;
    }
    if ((status = emit(c, code, &op)))
        return status;
    op->size = size;
    return EVS_OK;
}

static evs_status skip_as_node(compiler *c, const evs__avro_node *node)
{
    evs__avro_op *op = NULL;
    evs_status status = emit(c, EVS__OP_SKIP_NODE, &op);

    if (!status)
        op->node = node;
    return status;
}

static evs_status skip_fields(compiler *c, const evs__avro_node *node, uint32_t depth)
{
    evs_status status = EVS_OK;

    for (size_t i = 0; i < node->child_count && !status; i++) {
        size_t before = path_step(c, node->names[i]);
        status = compile_skip(c, node->children[i], depth);
        path_back(c, before);
    }
    return status;
}

static evs_status skip_option(compiler *c, const evs__avro_node *node, uint32_t depth)
{
    uint32_t at = (uint32_t)c->out->op_count;
    evs__avro_op *op = NULL;
    evs_status status = emit(c, EVS__OP_SKIP_OPTION, &op);

    if (status)
        return status;
    op->flag = (uint8_t)evs__avro_union_null(node);
    here(c);
    status = compile_skip(c, evs__avro_union_single(node), depth);
    c->out->ops[at].target = here(c);
    return status;
}

static evs_status compile_skip(compiler *c, const evs__avro_node *node, uint32_t depth)
{
    if (c->validate)
        return skip_as_node(c, node);
    switch (node->kind) {
    case EVS__AVRO_NULL:
        return EVS_OK;
    case EVS__AVRO_BOOLEAN:
        return emit_skip(c, EVS__OP_SKIP_BYTES, 1);
    case EVS__AVRO_INT:
    case EVS__AVRO_LONG:
    case EVS__AVRO_ENUM:
        return emit_skip(c, EVS__OP_SKIP_VARINTS, 1);
    case EVS__AVRO_FLOAT:
        return emit_skip(c, EVS__OP_SKIP_BYTES, 4);
    case EVS__AVRO_DOUBLE:
        return emit_skip(c, EVS__OP_SKIP_BYTES, 8);
    case EVS__AVRO_FIXED:
        return emit_skip(c, EVS__OP_SKIP_BYTES, (uint32_t)node->fixed_size);
    case EVS__AVRO_BYTES:
    case EVS__AVRO_STRING:
        return emit_skip(c, EVS__OP_SKIP_TEXTS, 1);
    case EVS__AVRO_RECORD:
        /* records inside records may multiply: only the first levels are unfolded */
        if (depth < 2 && node->child_count <= FLAT_SKIPS_MAX)
            return skip_fields(c, node, depth + 1);
        return skip_as_node(c, node);
    case EVS__AVRO_UNION:
        if (evs__avro_union_single(node) && evs__avro_union_null(node) >= 0 && depth < 3)
            return skip_option(c, node, depth + 1);
        return skip_as_node(c, node);
    default:
        return skip_as_node(c, node);
    }
}

/* ---- values ---- */

static const char *node_text(const evs__avro_node *node)
{
    return node->fullname ? node->fullname : evs__avro_kind_name(node->kind);
}

static evs_status mismatch(compiler *c, const evs__avro_node *node, const evs_type *type)
{
    return fail(c, EVS_ERR_SCHEMA, "%s of the writer's schema is no %s", node_text(node),
                evs_type_print(type));
}

/* instruction for a long that counts units of time; divisor 0: not a time */
static uint32_t time_divisor(const evs__avro_node *node)
{
    switch (node->logical) {
    case EVS__LOGICAL_TIME_MICROS:
    case EVS__LOGICAL_TIMESTAMP_MICROS:
    case EVS__LOGICAL_LOCAL_TIMESTAMP_MICROS:
        return 1000;
    case EVS__LOGICAL_TIMESTAMP_NANOS:
    case EVS__LOGICAL_LOCAL_TIMESTAMP_NANOS:
        return 1000000;
    case EVS__LOGICAL_TIMESTAMP_MILLIS:
    case EVS__LOGICAL_LOCAL_TIMESTAMP_MILLIS:
    case EVS__LOGICAL_TIME_MILLIS:
        return 1;
    default:
        return 0;
    }
}

static evs__avro_code int_code(const evs__avro_node *node, const evs_type *type)
{
    switch (type->id) {
    case EVS_TYPE_INT:
        return EVS__OP_INT;
    case EVS_TYPE_DATE:
        return node->logical == EVS__LOGICAL_DATE ? EVS__OP_INT : EVS__OP_COUNT;
    case EVS_TYPE_TIME:
        return node->logical == EVS__LOGICAL_TIME_MILLIS ? EVS__OP_INT : EVS__OP_COUNT;
    case EVS_TYPE_BIGINT:
        return EVS__OP_INT_LONG;
    case EVS_TYPE_DOUBLE:
        return EVS__OP_INT_DOUBLE;
    default:
        return EVS__OP_COUNT;
    }
}

static evs__avro_code long_code(const evs__avro_node *node, const evs_type *type)
{
    uint32_t divisor = time_divisor(node);

    switch (type->id) {
    case EVS_TYPE_BIGINT:
        return EVS__OP_LONG;
    case EVS_TYPE_DOUBLE:
        return EVS__OP_LONG_DOUBLE;
    case EVS_TYPE_TIMESTAMP:
        if (node->logical == EVS__LOGICAL_TIME_MICROS)
            return EVS__OP_COUNT;
        /* a plain long is taken as milliseconds */
        return divisor > 1 ? EVS__OP_DIVIDE : EVS__OP_LONG;
    case EVS_TYPE_TIME:
        return node->logical == EVS__LOGICAL_TIME_MICROS ? EVS__OP_DIVIDE_INT : EVS__OP_COUNT;
    default:
        return EVS__OP_COUNT;
    }
}

static bool decimal_fits(const evs__avro_node *node, const evs_type *type)
{
    return node->logical == EVS__LOGICAL_DECIMAL && type->id == EVS_TYPE_DECIMAL &&
           node->scale == type->scale;
}

static evs__avro_code bytes_code(const evs__avro_node *node, const evs_type *type)
{
    bool fixed = node->kind == EVS__AVRO_FIXED;

    if (decimal_fits(node, type))
        return fixed ? EVS__OP_DECIMAL_FIXED : EVS__OP_DECIMAL_BYTES;
    if (type->id == EVS_TYPE_BYTES)
        return fixed ? EVS__OP_FIXED : EVS__OP_BYTES;
    if (type->id == EVS_TYPE_VARCHAR && fixed && node->logical == EVS__LOGICAL_UUID)
        return EVS__OP_UUID_FIXED;
    return type->id == EVS_TYPE_VARCHAR && !fixed ? EVS__OP_STRING : EVS__OP_COUNT;
}

/* EVS__OP_COUNT: the two do not fit, or it is not a leaf */
static evs__avro_code leaf_code(const evs__avro_node *node, const evs_type *type)
{
    switch (node->kind) {
    case EVS__AVRO_BOOLEAN:
        return type->id == EVS_TYPE_BOOLEAN ? EVS__OP_BOOLEAN : EVS__OP_COUNT;
    case EVS__AVRO_INT:
        return int_code(node, type);
    case EVS__AVRO_LONG:
        return long_code(node, type);
    case EVS__AVRO_FLOAT:
        return type->id == EVS_TYPE_DOUBLE ? EVS__OP_FLOAT : EVS__OP_COUNT;
    case EVS__AVRO_DOUBLE:
        return type->id == EVS_TYPE_DOUBLE ? EVS__OP_DOUBLE : EVS__OP_COUNT;
    case EVS__AVRO_STRING:
        return type->id == EVS_TYPE_VARCHAR ? EVS__OP_STRING
               : type->id == EVS_TYPE_BYTES ? EVS__OP_BYTES
                                            : EVS__OP_COUNT;
    case EVS__AVRO_ENUM:
        return type->id == EVS_TYPE_VARCHAR ? EVS__OP_ENUM : EVS__OP_COUNT;
    case EVS__AVRO_BYTES:
    case EVS__AVRO_FIXED:
        return bytes_code(node, type);
    default:
        return EVS__OP_COUNT;
    }
}

static evs_status
compile_leaf(compiler *c, const evs__avro_node *node, const evs_type *type, uint32_t slot)
{
    evs__avro_code code = leaf_code(node, type);
    evs__avro_op *op = NULL;
    evs_status status;

    if (code == EVS__OP_COUNT)
        return mismatch(c, node, type);
    if ((status = emit_slot(c, code, slot, &op)))
        return status;
    op->node = node;
    op->size = node->kind == EVS__AVRO_FIXED ? (uint32_t)node->fixed_size : time_divisor(node);
    op->flag = (uint8_t)type->precision;
    return EVS_OK;
}

/* ---- records ---- */

/*
 * Fields in wire order; those of `type` that the writer lacks are NULL. `first`: slot of the first
 * child.
 */
static evs_status
compile_record(compiler *c, const evs__avro_node *node, const evs_type *type, uint32_t first)
{
    bool *seen = evs__calloc(c->ctx, type->child_count, sizeof(*seen));
    evs_status status = seen ? EVS_OK : evs__nomem(c->reterr);

    for (size_t i = 0; !status && i < node->child_count; i++) {
        int32_t at = evs_type_field_index(type, node->names[i], strlen(node->names[i]));
        size_t before = path_step(c, node->names[i]);
        if (at < 0) {
            status = compile_skip(c, node->children[i], 0);
        } else {
            seen[at] = true;
            status = compile(c, node->children[i], type->children[at].type, first + (uint32_t)at);
        }
        path_back(c, before);
    }
    for (uint32_t i = 0; !status && i < type->child_count; i++) {
        const evs__field *field = &type->children[i];
        size_t before = path_step(c, field->name);
        if (!seen[i] && field->type->nullable)
            status = compile_null(c, field->type, first + i);
        else if (!seen[i])
            status =
                fail(c, EVS_ERR_SCHEMA, "the writer's schema lacks it, and the column is NOT NULL");
        path_back(c, before);
    }
    evs__free(c->ctx, seen);
    return status;
}

/* ---- ARRAY, MAP ---- */

static const evs__avro_node map_key = {.kind = EVS__AVRO_STRING};

static evs_status
compile_list(compiler *c, const evs__avro_node *node, const evs_type *type, uint32_t slot)
{
    bool map = node->kind == EVS__AVRO_MAP;
    const evs_type *element = type->children[0].type;
    uint32_t at = (uint32_t)c->out->op_count;
    uint32_t child = c->out->places[slot].first_child;
    size_t before;
    evs__avro_op *op = NULL;
    evs_status status;

    if (type->id != (map ? EVS_TYPE_MAP : EVS_TYPE_ARRAY))
        return mismatch(c, node, type);
    if ((status = emit_slot(c, EVS__OP_LIST, slot, &op)))
        return status;
    op->level = element_level(c, slot);
    op->size = evs__avro_min_size(node->children[0]) + map;
    here(c);
    before = path_step(c, "[]");
    if (map) {
        status = compile_leaf(c, &map_key, element->children[0].type, child_slot(c, child, 0));
        if (!status)
            status =
                compile(c, node->children[0], element->children[1].type, child_slot(c, child, 1));
    } else {
        status = compile(c, node->children[0], element, child);
    }
    if (!status)
        status = emit(c, EVS__OP_LIST_NEXT, &op);
    if (!status)
        op->target = at + 1;
    path_back(c, before);
    c->out->ops[at].target = here(c);
    return status;
}

/* ---- unions ---- */

/* [null, X], [X, null], [X], [null] */
static evs_status
compile_option(compiler *c, const evs__avro_node *node, const evs_type *type, uint32_t slot)
{
    const evs__avro_node *value = evs__avro_union_single(node);
    int32_t null = evs__avro_union_null(node);
    bool leaf = leaf_code(value, type) != EVS__OP_COUNT;
    uint32_t at = (uint32_t)c->out->op_count;
    uint32_t jump;
    evs__avro_op *op = NULL;
    evs_status status;

    if (leaf && type->nullable) {
        if ((status = emit_slot(c, EVS__OP_OPTION_LEAF, slot, &op)))
            return status;
        op->flag = (uint8_t)null;
        op->width = width_of(type->id);
        here(c);
        status = compile_leaf(c, value, type, slot);
        here(c);
        return status;
    }
    if ((status = emit(c, EVS__OP_OPTION, &op)))
        return status;
    op->flag = (uint8_t)null;
    here(c);
    if ((status = compile(c, value, type, slot)))
        return status;
    jump = (uint32_t)c->out->op_count;
    if ((status = emit(c, EVS__OP_JUMP, &op)))
        return status;
    c->out->ops[at].target = here(c);
    status = type->nullable ? compile_null(c, type, slot) : emit(c, EVS__OP_FAIL_NULL, &op);
    c->out->ops[jump].target = here(c);
    return status;
}

/* a branch: its own field gets the value, the others NULL */
static evs_status compile_branch(
    compiler *c, const evs__avro_node *node, size_t branch, const evs_type *type, uint32_t slot)
{
    const char *name = evs__avro_branch_name(node, branch);
    int32_t own = evs_type_field_index(type, name, strlen(name));
    evs__avro_op *op = NULL;
    evs_status status = EVS_OK;

    if (node->children[branch]->kind == EVS__AVRO_NULL)
        return type->nullable ? compile_null(c, type, slot) : emit(c, EVS__OP_FAIL_NULL, &op);
    for (uint32_t i = 0; i < type->child_count && !status; i++) {
        if ((int32_t)i == own)
            continue;
        if (!type->children[i].type->nullable)
            return fail(c, EVS_ERR_SCHEMA, "column \"%s\" of a union must not be NOT NULL",
                        type->children[i].name);
        status = compile_null(c, type->children[i].type, child_slot(c, slot, i));
    }
    if (status)
        return status;
    if (own < 0)
        return compile_skip(c, node->children[branch], 0);
    return compile(c, node->children[branch], type->children[own].type,
                   child_slot(c, slot, (uint32_t)own));
}

static evs_status add_targets(compiler *c, size_t count, uint32_t *ret)
{
    evs__avro_program *p = c->out;

    *ret = (uint32_t)p->target_count;
    for (size_t i = 0; i < count; i++) {
        evs_status status = grow(c, (void **)&p->targets, p->target_count, &c->target_room,
                                 sizeof(*p->targets), OPS_MAX);
        if (status)
            return status;
        p->targets[p->target_count++] = 0;
    }
    return EVS_OK;
}

static evs_status
compile_union(compiler *c, const evs__avro_node *node, const evs_type *type, uint32_t slot)
{
    uint32_t at = (uint32_t)c->out->op_count;
    uint32_t first = 0;
    uint32_t end;
    bool plain = node->child_count == 1 || type->id != EVS_TYPE_STRUCT;
    evs__avro_op *op = NULL;
    evs_status status;

    /* a union of several branches is a STRUCT of them; [X] and [null] are not */
    if (plain && node->child_count != 1)
        return mismatch(c, node, type);
    if ((status = add_targets(c, node->child_count, &first)) ||
        (status = emit(c, EVS__OP_UNION, &op)))
        return status;
    c->out->ops[at].node = node;
    c->out->ops[at].target = first;
    for (size_t i = 0; i < node->child_count && !status; i++) {
        c->out->targets[first + i] = here(c);
        status = plain ? compile(c, node->children[i], type, slot)
                       : compile_branch(c, node, i, type, slot);
        if (!status)
            status = emit(c, EVS__OP_JUMP, &op);
        if (!status)
            op->slot = at; /* marks the jumps of this union */
    }
    end = here(c);
    for (uint32_t i = at + 1; i < c->out->op_count; i++) {
        if (c->out->ops[i].code == EVS__OP_JUMP && c->out->ops[i].slot == at &&
            !c->out->ops[i].target)
            c->out->ops[i].target = end;
    }
    return status;
}

static evs_status
compile(compiler *c, const evs__avro_node *node, const evs_type *type, uint32_t slot)
{
    switch (node->kind) {
    case EVS__AVRO_NULL:
        if (!type->nullable)
            return mismatch(c, node, type);
        return compile_null(c, type, slot);
    case EVS__AVRO_RECORD:
        if (type->id != EVS_TYPE_STRUCT)
            return mismatch(c, node, type);
        return compile_record(c, node, type, c->out->places[slot].first_child);
    case EVS__AVRO_ARRAY:
    case EVS__AVRO_MAP:
        if (type->id != EVS_TYPE_ARRAY && type->id != EVS_TYPE_MAP)
            return mismatch(c, node, type);
        return compile_list(c, node, type, slot);
    case EVS__AVRO_UNION:
        if (evs__avro_union_single(node) && evs__avro_union_null(node) >= 0)
            return compile_option(c, node, type, slot);
        return compile_union(c, node, type, slot);
    default:
        return compile_leaf(c, node, type, slot);
    }
}

/* ---- the whole ---- */

/* slots of each level in a row, for growing and finishing */
static evs_status list_levels(compiler *c)
{
    evs__avro_program *p = c->out;
    uint32_t at = 0;

    p->slots = evs__calloc(c->ctx, p->slot_count, sizeof(*p->slots));
    p->level_slots = evs__calloc(c->ctx, p->slot_count, sizeof(*p->level_slots));
    if (!p->slots || !p->level_slots)
        return evs__nomem(c->reterr);
    for (size_t i = 0; i < p->slot_count; i++)
        p->levels[p->places[i].level].slot_count++;
    for (size_t i = 0; i < p->level_count; i++) {
        p->levels[i].slot_first = at;
        at += p->levels[i].slot_count;
        p->levels[i].slot_count = 0;
    }
    for (size_t i = 0; i < p->slot_count; i++) {
        evs__avro_level *level = &p->levels[p->places[i].level];
        p->level_slots[level->slot_first + level->slot_count++] = (uint32_t)i;
    }
    return EVS_OK;
}

evs_status evs__avro_compile(evs_context *ctx,
                             const evs__avro_node *record,
                             const evs_type *wanted,
                             bool validate,
                             evs__avro_program *ret,
                             evs_error **reterr)
{
    compiler c = {.ctx = ctx, .out = ret, .validate = validate, .reterr = reterr};
    evs__avro_op *op = NULL;
    evs_status status;

    memset(ret, 0, sizeof(*ret));
    ret->ctx = ctx;
    ret->validate = validate;
    evs__buffer_init(&c.path, ctx, 1024);
    evs__buffer_init(&c.paths, ctx, PATHS_MAX);
    status = make_slots(&c, wanted);
    if (!status)
        status = compile_record(&c, record, wanted, 0);
    if (!status)
        status = emit(&c, EVS__OP_END, &op);
    if (!status)
        status = list_levels(&c);
    evs__buffer_free(&c.path);
    if (status) {
        evs__buffer_free(&c.paths);
        evs__avro_program_free(ret);
        return status;
    }
    ret->paths = c.paths.data;
    ret->paths_len = c.paths.len;
    return EVS_OK;
}

void evs__avro_program_free(evs__avro_program *p)
{
    evs_context *ctx = p->ctx;

    if (!ctx)
        return;
    evs__free(ctx, p->ops);
    evs__free(ctx, p->places);
    evs__free(ctx, p->slots);
    evs__free(ctx, p->levels);
    evs__free(ctx, p->level_slots);
    evs__free(ctx, p->targets);
    evs__free(ctx, p->paths);
    memset(p, 0, sizeof(*p));
}
