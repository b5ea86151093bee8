/*
 * schema/avro_type.c: the column type of an Avro type.
 *
 * A walk over the graph of nodes that keeps the chain of enclosing records: a node that is in the
 * chain already has no finite type, and the closest record field that leads to it is left out. The
 * type constructors bound depth and size, so a small schema whose records hold each other many
 * times over is refused, not unfolded.
 */
#include <stdio.h>

#include "schema/schema.h"

/* enclosing records, innermost first */
typedef struct frame {
    const struct frame *outer;
    const evs__avro_node *record;
    const char *field; /* whose type is being made */
} frame;

typedef struct maker {
    evs_context *ctx;
    evs__buffer *warnings;
    uint32_t depth;
    const evs__avro_node *recursive; /* why the last EVS_END was returned */
    evs_error **reterr;
} maker;

static evs_status
make(maker *m, const evs__avro_node *node, bool nullable, const frame *in, const evs_type **ret);

/* "items.price": fields that lead here */
static void path_of(const frame *in, char *path, size_t size)
{
    size_t used = 0;

    path[0] = '\0';
    if (!in)
        return;
    path_of(in->outer, path, size);
    used = strlen(path);
    if (in->field)
        snprintf(path + used, size - used, "%s%s", used ? "." : "", in->field);
}

static evs_status
fail_at(maker *m, const frame *in, evs_status status, const char *what, const char *name)
{
    char path[256];

    if (status == EVS_ERR_NOMEM)
        return evs__nomem(m->reterr);
    path_of(in, path, sizeof(path));
    return evs__fail_at(m->ctx, m->reterr, status, path, "Avro schema%s%s: %s%s",
                        *path ? ", field " : "", path, what, name);
}

static evs_type_id simple_id(const evs__avro_node *node)
{
    switch (node->logical) {
    case EVS__LOGICAL_UUID:
        return EVS_TYPE_VARCHAR;
    case EVS__LOGICAL_DATE:
        return EVS_TYPE_DATE;
    case EVS__LOGICAL_TIME_MILLIS:
    case EVS__LOGICAL_TIME_MICROS:
        return EVS_TYPE_TIME;
    case EVS__LOGICAL_TIMESTAMP_MILLIS:
    case EVS__LOGICAL_TIMESTAMP_MICROS:
    case EVS__LOGICAL_TIMESTAMP_NANOS:
    case EVS__LOGICAL_LOCAL_TIMESTAMP_MILLIS:
    case EVS__LOGICAL_LOCAL_TIMESTAMP_MICROS:
    case EVS__LOGICAL_LOCAL_TIMESTAMP_NANOS:
        return EVS_TYPE_TIMESTAMP;
    default:
        break;
    }
    switch (node->kind) {
    case EVS__AVRO_BOOLEAN:
        return EVS_TYPE_BOOLEAN;
    case EVS__AVRO_INT:
        return EVS_TYPE_INT;
    case EVS__AVRO_LONG:
        return EVS_TYPE_BIGINT;
    case EVS__AVRO_FLOAT:
    case EVS__AVRO_DOUBLE:
        return EVS_TYPE_DOUBLE;
    case EVS__AVRO_BYTES:
    case EVS__AVRO_FIXED:
        return EVS_TYPE_BYTES;
    default:
        return EVS_TYPE_VARCHAR; /* string, enum, null */
    }
}

static void warn_left_out(maker *m, const frame *in)
{
    char path[256];

    if (!m->warnings)
        return;
    path_of(in, path, sizeof(path));
    evs__buffer_printf(m->warnings, "%sfield %s holds %s again and is no column: it is skipped",
                       m->warnings->len ? "\n" : "", path, m->recursive->fullname);
}

static void release_fields(evs_context *ctx, evs__field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++)
        evs_type_unref(fields[i].type);
    evs__free(ctx, fields);
}

static evs_status make_record(
    maker *m, const evs__avro_node *node, bool nullable, const frame *outer, const evs_type **ret)
{
    frame in = {outer, node, NULL};
    evs__field *fields = evs__calloc(m->ctx, node->child_count, sizeof(*fields));
    size_t count = 0;
    evs_status status = EVS_OK;

    if (!fields)
        return evs__nomem(m->reterr);
    for (size_t i = 0; i < node->child_count; i++) {
        in.field = node->names[i];
        fields[count].name = node->names[i];
        status = make(m, node->children[i], false, &in, &fields[count].type);
        if (status == EVS_END)
            warn_left_out(m, &in);
        else if (status)
            goto out;
        else
            count++;
    }
    status = evs__type_struct(m->ctx, fields, count, nullable, ret);
    if (status)
        fail_at(m, outer, status, "too many columns in ", node->fullname);
out:
    release_fields(m->ctx, fields, count);
    return status;
}

static evs_status make_container(
    maker *m, const evs__avro_node *node, bool nullable, const frame *in, const evs_type **ret)
{
    const evs_type *child = NULL;
    evs_status status = make(m, node->children[0], false, in, &child);

    if (status)
        return status;
    if (node->kind == EVS__AVRO_ARRAY)
        status = evs__type_array(m->ctx, child, nullable, ret);
    else
        status = evs__type_map(m->ctx, child, nullable, ret);
    evs_type_unref(child);
    return status ? fail_at(m, in, status, "too many columns", "") : EVS_OK;
}

/* ---- unions ---- */

int32_t evs__avro_union_null(const evs__avro_node *node)
{
    for (size_t i = 0; i < node->child_count; i++) {
        if (node->children[i]->kind == EVS__AVRO_NULL)
            return (int32_t)i;
    }
    return -1;
}

const evs__avro_node *evs__avro_union_single(const evs__avro_node *node)
{
    int32_t null = evs__avro_union_null(node);

    if (node->child_count - (null >= 0) != 1)
        return NULL;
    return node->children[null == 0 ? 1 : 0];
}

static const char *short_name(const evs__avro_node *node)
{
    const char *dot = node->fullname ? strrchr(node->fullname, '.') : NULL;

    if (!node->fullname)
        return evs__avro_kind_name(node->kind);
    return dot ? dot + 1 : node->fullname;
}

const char *evs__avro_branch_name(const evs__avro_node *node, size_t i)
{
    const char *name = short_name(node->children[i]);

    for (size_t j = 0; j < node->child_count; j++) {
        if (j != i && strcmp(short_name(node->children[j]), name) == 0)
            return node->children[i]->fullname ? node->children[i]->fullname : name;
    }
    return name;
}

/* several branches: a STRUCT with one field each, of which one has a value */
static evs_status make_branches(
    maker *m, const evs__avro_node *node, bool nullable, const frame *in, const evs_type **ret)
{
    evs__field *fields = evs__calloc(m->ctx, node->child_count, sizeof(*fields));
    size_t count = 0;
    evs_status status = EVS_OK;

    if (!fields)
        return evs__nomem(m->reterr);
    for (size_t i = 0; i < node->child_count && !status; i++) {
        if (node->children[i]->kind == EVS__AVRO_NULL)
            continue;
        fields[count].name = evs__avro_branch_name(node, i);
        status = make(m, node->children[i], true, in, &fields[count].type);
        count += !status;
    }
    if (!status) {
        status = evs__type_struct(m->ctx, fields, count, nullable, ret);
        if (status)
            fail_at(m, in, status, "too many columns in a union", "");
    }
    release_fields(m->ctx, fields, count);
    return status;
}

static evs_status make_union(
    maker *m, const evs__avro_node *node, bool nullable, const frame *in, const evs_type **ret)
{
    bool has_null = evs__avro_union_null(node) >= 0;
    const evs__avro_node *single = evs__avro_union_single(node);

    nullable = nullable || has_null;
    if (!node->child_count)
        return fail_at(m, in, EVS_ERR_UNSUPPORTED, "a union without branches has no value", "");
    if (single)
        return make(m, single, nullable, in, ret);
    if (node->child_count == 1)
        return make(m, node->children[0], true, in, ret);
    return make_branches(m, node, nullable, in, ret);
}

/* EVS_END: `node` leads back to an enclosing record */
static evs_status make_node(
    maker *m, const evs__avro_node *node, bool nullable, const frame *in, const evs_type **ret)
{
    evs_status status;

    switch (node->kind) {
    case EVS__AVRO_RECORD:
        for (const frame *f = in; f; f = f->outer) {
            if (f->record == node) {
                m->recursive = node;
                return EVS_END;
            }
        }
        return make_record(m, node, nullable, in, ret);
    case EVS__AVRO_ARRAY:
    case EVS__AVRO_MAP:
        return make_container(m, node, nullable, in, ret);
    case EVS__AVRO_UNION:
        return make_union(m, node, nullable, in, ret);
    default:
        break;
    }
    if (node->logical == EVS__LOGICAL_DECIMAL)
        status = evs__type_decimal(m->ctx, node->precision, node->scale, nullable, ret);
    else
        status = evs__type_simple(m->ctx, simple_id(node), nullable || node->kind == EVS__AVRO_NULL,
                                  ret);
    return status ? fail_at(m, in, status, "no column type", "") : EVS_OK;
}

static evs_status
make(maker *m, const evs__avro_node *node, bool nullable, const frame *in, const evs_type **ret)
{
    evs_status status;

    if (++m->depth > EVS__AVRO_DEPTH_MAX)
        status = fail_at(m, in, EVS_ERR_LIMIT, "types nest too deep", "");
    else
        status = make_node(m, node, nullable, in, ret);
    m->depth--;
    return status;
}

evs_status evs__avro_type(evs_context *ctx,
                          const evs__avro_node *node,
                          evs__buffer *warnings,
                          const evs_type **ret,
                          evs_error **reterr)
{
    maker m = {.ctx = ctx, .warnings = warnings, .reterr = reterr};
    evs_status status = make(&m, node, false, NULL, ret);

    /* only a record's own field leads back to it, and that one was left out */
    return status == EVS_END ? EVS_ERR_INTERNAL : status;
}
