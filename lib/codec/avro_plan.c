/*
 * codec/avro_plan.c: rows of a type to an Avro schema: which column feeds which field.
 *
 * Fields are matched by name. A field without a column writes its default, or null where it may be;
 * a column without a field is refused, since it would be lost in silence. Types that match: what
 * decoding gives back without loss, and numbers into wider ones. A column that is no STRUCT goes
 * into the first branch of a union that takes it.
 */
#include <stdarg.h>
#include <stdio.h>

#include "codec/avro_plan.h"

#define BRANCH_NONE (-1)

typedef struct planner {
    evs_context *ctx;
    evs__buffer path;
    bool quiet; /* a branch of a union is tried: the fault is not told */
    evs_error **reterr;
} planner;

static evs_status
make(planner *pl, const evs__avro_node *node, const evs_type *type, evs__avro_plan *ret);

static evs_status fail(planner *pl, evs_status status, const char *format, ...) EVS_PRINTF(3, 4);

static evs_status fail(planner *pl, evs_status status, const char *format, ...)
{
    const char *path;
    char line[640];
    va_list ap;

    if (status == EVS_ERR_NOMEM)
        return evs__nomem(pl->reterr);
    if (pl->quiet)
        return status;
    path = evs__buffer_cstr(&pl->path);
    va_start(ap, format);
    vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    return evs__fail_at(pl->ctx, pl->reterr, status, path ? path : "", "encoder: field \"%s\": %s",
                        path ? path : "", line);
}

static size_t path_step(planner *pl, const char *name)
{
    size_t before = pl->path.len;

    if (before && name[0] != '[')
        evs__buffer_byte(&pl->path, '.');
    evs__buffer_text(&pl->path, name);
    pl->path.status = EVS_OK;
    return before;
}

void evs__avro_plan_free(evs_context *ctx, evs__avro_plan *plan)
{
    for (size_t i = 0; i < plan->child_count; i++)
        evs__avro_plan_free(ctx, &plan->children[i]);
    evs__free(ctx, plan->children);
    evs__free(ctx, plan->bytes);
    memset(plan, 0, sizeof(*plan));
}

static evs_status make_children(planner *pl, evs__avro_plan *ret, size_t count)
{
    ret->children = evs__calloc(pl->ctx, count, sizeof(*ret->children));
    if (!ret->children)
        return evs__nomem(pl->reterr);
    ret->child_count = count;
    return EVS_OK;
}

/* ---- leaves ---- */

static evs_status mismatch(planner *pl, const evs__avro_node *node, const evs_type *type)
{
    return fail(pl, EVS_ERR_SCHEMA, "%s cannot be written as %s", evs_type_print(type),
                node->fullname ? node->fullname : evs__avro_kind_name(node->kind));
}

static int64_t time_factor(evs__avro_logical logical)
{
    switch (logical) {
    case EVS__LOGICAL_TIME_MICROS:
    case EVS__LOGICAL_TIMESTAMP_MICROS:
    case EVS__LOGICAL_LOCAL_TIMESTAMP_MICROS:
        return 1000;
    case EVS__LOGICAL_TIMESTAMP_NANOS:
    case EVS__LOGICAL_LOCAL_TIMESTAMP_NANOS:
        return 1000000;
    default:
        return 1;
    }
}

/* -1: not possible */
static int int_put(const evs__avro_node *node, const evs_type *type)
{
    switch (type->id) {
    case EVS_TYPE_INT:
        return node->logical == EVS__LOGICAL_NONE ? EVS__PUT_INT : -1;
    case EVS_TYPE_BIGINT:
        return node->logical == EVS__LOGICAL_NONE ? EVS__PUT_LONG_INT : -1;
    case EVS_TYPE_DATE:
        return node->logical == EVS__LOGICAL_TIME_MILLIS ? -1 : EVS__PUT_INT;
    case EVS_TYPE_TIME:
        return node->logical == EVS__LOGICAL_DATE ? -1 : EVS__PUT_INT;
    default:
        return -1;
    }
}

static int long_put(const evs__avro_node *node, const evs_type *type)
{
    bool clock = node->logical == EVS__LOGICAL_TIME_MICROS;

    switch (type->id) {
    case EVS_TYPE_INT:
        return node->logical == EVS__LOGICAL_NONE ? EVS__PUT_INT : -1;
    case EVS_TYPE_BIGINT:
        return node->logical == EVS__LOGICAL_NONE ? EVS__PUT_LONG : -1;
    case EVS_TYPE_TIMESTAMP:
        return clock ? -1 : time_factor(node->logical) == 1 ? EVS__PUT_LONG : EVS__PUT_FACTOR;
    case EVS_TYPE_TIME:
        return clock || node->logical == EVS__LOGICAL_NONE ? EVS__PUT_INT_FACTOR : -1;
    case EVS_TYPE_DATE:
        return node->logical == EVS__LOGICAL_NONE ? EVS__PUT_INT : -1;
    default:
        return -1;
    }
}

static int floating_put(const evs__avro_node *node, const evs_type *type)
{
    bool narrow = node->kind == EVS__AVRO_FLOAT;

    switch (type->id) {
    case EVS_TYPE_DOUBLE:
        return narrow ? EVS__PUT_FLOAT : EVS__PUT_DOUBLE;
    case EVS_TYPE_INT:
        return narrow ? EVS__PUT_INT_FLOAT : EVS__PUT_INT_DOUBLE;
    case EVS_TYPE_BIGINT:
        return narrow ? -1 : EVS__PUT_LONG_DOUBLE;
    default:
        return -1;
    }
}

static int bytes_put(const evs__avro_node *node, const evs_type *type)
{
    bool fixed = node->kind == EVS__AVRO_FIXED;

    if (type->id == EVS_TYPE_DECIMAL && node->logical == EVS__LOGICAL_DECIMAL)
        return node->scale < type->scale ? -1
               : fixed                   ? EVS__PUT_DECIMAL_FIXED
                                         : EVS__PUT_DECIMAL_BYTES;
    if (node->logical == EVS__LOGICAL_DECIMAL)
        return -1;
    if (type->id == EVS_TYPE_BYTES)
        return fixed ? EVS__PUT_FIXED : EVS__PUT_TEXT;
    if (type->id == EVS_TYPE_VARCHAR && fixed && node->logical == EVS__LOGICAL_UUID)
        return EVS__PUT_UUID;
    return type->id == EVS_TYPE_VARCHAR && !fixed ? EVS__PUT_TEXT : -1;
}

static int leaf_put(const evs__avro_node *node, const evs_type *type)
{
    switch (node->kind) {
    case EVS__AVRO_NULL:
        return EVS__PUT_NULL;
    case EVS__AVRO_BOOLEAN:
        return type->id == EVS_TYPE_BOOLEAN ? EVS__PUT_BOOLEAN : -1;
    case EVS__AVRO_INT:
        return int_put(node, type);
    case EVS__AVRO_LONG:
        return long_put(node, type);
    case EVS__AVRO_FLOAT:
    case EVS__AVRO_DOUBLE:
        return floating_put(node, type);
    case EVS__AVRO_STRING:
        return type->id == EVS_TYPE_VARCHAR ? EVS__PUT_TEXT : -1;
    case EVS__AVRO_ENUM:
        return type->id == EVS_TYPE_VARCHAR ? EVS__PUT_ENUM : -1;
    case EVS__AVRO_BYTES:
    case EVS__AVRO_FIXED:
        return bytes_put(node, type);
    default:
        return -1;
    }
}

static evs_status
make_leaf(planner *pl, const evs__avro_node *node, const evs_type *type, evs__avro_plan *ret)
{
    int put = leaf_put(node, type);

    if (put < 0)
        return mismatch(pl, node, type);
    ret->put = (evs__avro_put)put;
    ret->factor =
        type->id == EVS_TYPE_DECIMAL ? node->scale - type->scale : time_factor(node->logical);
    return EVS_OK;
}

/* ---- records ---- */

static evs_status make_default(planner *pl, evs__avro_plan *ret, const void *json)
{
    evs__buffer bytes;
    char why[256] = "";
    evs_status status;

    evs__buffer_init(&bytes, pl->ctx, EVS__AVRO_DEFAULT_MAX);
    status = evs__avro_default_write(ret->node, json, &bytes, why, sizeof(why));
    if (status) {
        evs__buffer_free(&bytes);
        return fail(pl, status, "bad default: %s", why);
    }
    ret->put = EVS__PUT_DEFAULT;
    ret->bytes = bytes.data;
    ret->bytes_len = bytes.len;
    return EVS_OK;
}

/* a field that no column feeds */
static evs_status
make_absent(planner *pl, const evs__avro_node *record, size_t field, evs__avro_plan *ret)
{
    const evs__avro_node *node = record->children[field];
    int32_t null = node->kind == EVS__AVRO_UNION ? evs__avro_union_null(node) : -1;

    ret->node = node;
    ret->put = EVS__PUT_DEFAULT;
    if (record->has_default[field])
        return make_default(pl, ret, record->defaults[field]);
    if (node->kind == EVS__AVRO_NULL)
        return EVS_OK;
    if (null >= 0 && null < 64) {
        if (!(ret->bytes = evs__alloc(pl->ctx, 1)))
            return evs__nomem(pl->reterr);
        ret->bytes[0] = (char)(null << 1);
        ret->bytes_len = 1;
        return EVS_OK;
    }
    return fail(pl, EVS_ERR_SCHEMA, "required, no default, and there is no such column");
}

static evs_status check_columns(planner *pl, const evs__avro_node *node, const evs_type *type)
{
    for (uint32_t i = 0; i < type->child_count; i++) {
        bool found = false;
        for (size_t j = 0; j < node->child_count && !found; j++)
            found = strcmp(node->names[j], type->children[i].name) == 0;
        if (!found) {
            path_step(pl, type->children[i].name);
            return fail(pl, EVS_ERR_SCHEMA, "the schema's record %s has no such field",
                        node->fullname);
        }
    }
    return EVS_OK;
}

static evs_status
make_record(planner *pl, const evs__avro_node *node, const evs_type *type, evs__avro_plan *ret)
{
    evs_status status;

    if (type->id != EVS_TYPE_STRUCT)
        return mismatch(pl, node, type);
    ret->put = EVS__PUT_RECORD;
    if ((status = check_columns(pl, node, type)) ||
        (status = make_children(pl, ret, node->child_count)))
        return status;
    for (size_t i = 0; i < node->child_count && !status; i++) {
        evs__avro_plan *field = &ret->children[i];
        int32_t at = evs_type_field_index(type, node->names[i], strlen(node->names[i]));
        size_t before = path_step(pl, node->names[i]);
        field->name = node->names[i];
        if (at < 0)
            status = make_absent(pl, node, i, field);
        else
            status = make(pl, node->children[i], type->children[at].type, field);
        field->column = at < 0 ? 0 : (uint32_t)at;
        if (!status)
            pl->path.len = before;
    }
    return status;
}

/* ---- lists and unions ---- */

static evs_status
make_list(planner *pl, const evs__avro_node *node, const evs_type *type, evs__avro_plan *ret)
{
    bool map = node->kind == EVS__AVRO_MAP;
    const evs_type *element;
    size_t before;
    evs_status status;

    if (type->id != (map ? EVS_TYPE_MAP : EVS_TYPE_ARRAY))
        return mismatch(pl, node, type);
    element = type->children[0].type;
    ret->put = map ? EVS__PUT_MAP : EVS__PUT_ARRAY;
    if ((status = make_children(pl, ret, 1)))
        return status;
    before = path_step(pl, "[]");
    status =
        make(pl, node->children[0], map ? element->children[1].type : element, &ret->children[0]);
    if (!status)
        pl->path.len = before;
    return status;
}

/* a STRUCT of branches; each field of it must be one */
static evs_status
make_branches(planner *pl, const evs__avro_node *node, const evs_type *type, evs__avro_plan *ret)
{
    evs_status status = make_children(pl, ret, type->child_count);

    ret->put = EVS__PUT_UNION;
    ret->null_branch = evs__avro_union_null(node);
    for (uint32_t i = 0; i < type->child_count && !status; i++) {
        evs__avro_plan *plan = &ret->children[i];
        size_t before = path_step(pl, type->children[i].name);
        size_t branch = 0;
        while (branch < node->child_count &&
               strcmp(evs__avro_branch_name(node, branch), type->children[i].name) != 0)
            branch++;
        if (branch == node->child_count)
            return fail(pl, EVS_ERR_SCHEMA, "the union has no such branch");
        status = make(pl, node->children[branch], type->children[i].type, plan);
        plan->column = i;
        plan->name = type->children[i].name;
        plan->branch = (int32_t)branch;
        if (!status)
            pl->path.len = before;
    }
    return status;
}

/* the first branch that takes the column */
static evs_status
make_one_of(planner *pl, const evs__avro_node *node, const evs_type *type, evs__avro_plan *ret)
{
    bool quiet = pl->quiet;

    for (size_t i = 0; i < node->child_count; i++) {
        size_t before = pl->path.len;
        evs_status status;
        if (node->children[i]->kind == EVS__AVRO_NULL && node->child_count > 1)
            continue;
        pl->quiet = true;
        status = make(pl, node->children[i], type, ret);
        pl->quiet = quiet;
        if (status == EVS_ERR_NOMEM)
            return status;
        if (!status) {
            ret->branch = (int32_t)i;
            ret->null_branch = evs__avro_union_null(node);
            return EVS_OK;
        }
        evs__avro_plan_free(pl->ctx, ret);
        pl->path.len = before;
    }
    ret->node = node;
    return mismatch(pl, node, type);
}

static evs_status
make_union(planner *pl, const evs__avro_node *node, const evs_type *type, evs__avro_plan *ret)
{
    const evs__avro_node *single = evs__avro_union_single(node);
    evs_status status;

    if (single && evs__avro_union_null(node) >= 0) {
        if ((status = make(pl, single, type, ret)))
            return status;
        ret->null_branch = evs__avro_union_null(node);
        ret->branch = 1 - ret->null_branch;
        return EVS_OK;
    }
    if (type->id == EVS_TYPE_STRUCT && node->child_count > 1 && type->child_count) {
        const char *first = type->children[0].name;
        for (size_t i = 0; i < node->child_count; i++) {
            if (strcmp(evs__avro_branch_name(node, i), first) == 0)
                return make_branches(pl, node, type, ret);
        }
    }
    return make_one_of(pl, node, type, ret);
}

static evs_status
make(planner *pl, const evs__avro_node *node, const evs_type *type, evs__avro_plan *ret)
{
    ret->node = node;
    ret->null_branch = BRANCH_NONE;
    ret->branch = BRANCH_NONE;
    switch (node->kind) {
    case EVS__AVRO_RECORD:
        return make_record(pl, node, type, ret);
    case EVS__AVRO_ARRAY:
    case EVS__AVRO_MAP:
        return make_list(pl, node, type, ret);
    case EVS__AVRO_UNION:
        return make_union(pl, node, type, ret);
    default:
        return make_leaf(pl, node, type, ret);
    }
}

evs_status evs__avro_plan_make(evs_context *ctx,
                               const evs__avro_node *record,
                               const evs_type *type,
                               evs__avro_plan *ret,
                               evs_error **reterr)
{
    planner pl = {.ctx = ctx, .reterr = reterr};
    evs_status status;

    memset(ret, 0, sizeof(*ret));
    evs__buffer_init(&pl.path, ctx, 1024);
    status = make(&pl, record, type, ret);
    evs__buffer_free(&pl.path);
    if (status)
        evs__avro_plan_free(ctx, ret);
    return status;
}
