/*
 * data/arrow_export.c: a batch as an Arrow array and schema (Arrow C Data Interface).
 *
 * Columns have the Arrow layout already, so exporting is pointing. Every node of the array, not
 * only the root, holds a reference to the batch: a consumer may move a child out and release the
 * root, and the child must live on. The structs of children belong to their parent, as the
 * interface says; a moved child was copied by the consumer. Nodes are made with the context's
 * allocator and hold it, so they may be released when all else is gone, on any thread.
 *
 *   node = [ array_node: batch, buffers[3] | child pointers | child structs ]
 *
 * Schemas copy names and formats and refer to nothing.
 */
#include <stdio.h>
#include <string.h>

#include "data/arrow.h"

#define META_COLUMNS 2 /* _time, _kind */

/* ---- schema ---- */

typedef struct schema_node {
    evs_context *ctx;
    struct ArrowSchema **children; /* and their structs, in one block */
    char text[];                   /* format, NUL, name, NUL */
} schema_node;

static void schema_release(struct ArrowSchema *schema)
{
    schema_node *node = schema->private_data;
    evs_context *ctx = node->ctx;

    for (int64_t i = 0; i < schema->n_children; i++) {
        if (schema->children[i]->release)
            schema->children[i]->release(schema->children[i]);
    }
    evs__free(ctx, node->children);
    evs__free(ctx, node);
    schema->release = NULL;
    evs__context_drop(ctx);
}

/* a schema with `children` released ones */
static evs_status schema_make(evs_context *ctx,
                              const char *format,
                              const char *name,
                              int64_t flags,
                              size_t children,
                              struct ArrowSchema *ret)
{
    size_t n_format = strlen(format) + 1, n_name = strlen(name) + 1;
    schema_node *node = evs__alloc(ctx, sizeof(*node) + n_format + n_name);
    struct ArrowSchema *structs;

    if (!node)
        return EVS_ERR_NOMEM;
    node->children = evs__calloc(ctx, children, sizeof(void *) + sizeof(*structs));
    if (!node->children) {
        evs__free(ctx, node);
        return EVS_ERR_NOMEM;
    }
    structs = (struct ArrowSchema *)(node->children + children);
    for (size_t i = 0; i < children; i++)
        node->children[i] = &structs[i];
    node->ctx = evs__context_hold(ctx);
    memcpy(node->text, format, n_format);
    memcpy(node->text + n_format, name, n_name);
    *ret = (struct ArrowSchema){
        .format = node->text,
        .name = node->text + n_format,
        .flags = flags,
        .n_children = (int64_t)children,
        .children = children ? node->children : NULL,
        .release = schema_release,
        .private_data = node,
    };
    return EVS_OK;
}

static const char *type_format(const evs_type *type, char *scratch, size_t size)
{
    static const char *const formats[] = {
        [EVS_TYPE_BOOLEAN] = "b", [EVS_TYPE_INT] = "i",
        [EVS_TYPE_BIGINT] = "l",  [EVS_TYPE_DOUBLE] = "g",
        [EVS_TYPE_DECIMAL] = "",  [EVS_TYPE_VARCHAR] = "u",
        [EVS_TYPE_BYTES] = "z",   [EVS_TYPE_TIMESTAMP] = "tsm:UTC",
        [EVS_TYPE_DATE] = "tdD",  [EVS_TYPE_TIME] = "ttm",
        [EVS_TYPE_ARRAY] = "+l",  [EVS_TYPE_MAP] = "+m",
        [EVS_TYPE_STRUCT] = "+s",
    };

    if (type->id != EVS_TYPE_DECIMAL)
        return formats[type->id];
    snprintf(scratch, size, "d:%d,%d", (int)type->precision, (int)type->scale);
    return scratch;
}

/* in_null: a parent STRUCT may be NULL, and with it fields that are NOT NULL by themselves */
static evs_status export_schema(evs_context *ctx,
                                const evs_type *type,
                                const char *name,
                                bool in_null,
                                size_t extra_children,
                                struct ArrowSchema *ret)
{
    char scratch[32];
    bool nullable = type->nullable || in_null;
    evs_status status =
        schema_make(ctx, type_format(type, scratch, sizeof(scratch)), name,
                    nullable ? ARROW_FLAG_NULLABLE : 0, type->child_count + extra_children, ret);

    for (uint32_t i = 0; i < type->child_count && !status; i++)
        status = export_schema(ctx, type->children[i].type, type->children[i].name,
                               type->id == EVS_TYPE_STRUCT && nullable, 0, ret->children[i]);
    return status;
}

static evs_status
export_root_schema(evs_context *ctx, const evs_type *type, bool with_meta, struct ArrowSchema *ret)
{
    uint32_t n = type->child_count;
    const evs_type *row = NULL;
    evs_status status = evs__type_with_nullable(type, false, &row);

    if (!status)
        status = export_schema(ctx, row, "", false, with_meta ? META_COLUMNS : 0, ret);
    if (!status && with_meta)
        status = schema_make(ctx, "tsm:UTC", "_time", ARROW_FLAG_NULLABLE, 0, ret->children[n]);
    if (!status && with_meta)
        status = schema_make(ctx, "c", "_kind", 0, 0, ret->children[n + 1]);
    evs_type_unref(row);
    return status;
}

/* ---- array ---- */

typedef struct array_node {
    evs_batch *batch;
    evs_context *ctx;
    struct ArrowArray **children; /* and their structs, in one block */
    void *owned;                  /* a buffer made for the export, or NULL */
    const void *buffers[3];
} array_node;

static void array_release(struct ArrowArray *array)
{
    array_node *node = array->private_data;
    evs_context *ctx = node->ctx;

    for (int64_t i = 0; i < array->n_children; i++) {
        if (array->children[i]->release)
            array->children[i]->release(array->children[i]);
    }
    evs_batch_unref(node->batch);
    evs__free(ctx, node->owned);
    evs__free(ctx, node->children);
    evs__free(ctx, node);
    array->release = NULL;
    evs__context_drop(ctx);
}

static evs_status array_make(
    evs_batch *batch, int64_t length, int64_t n_buffers, size_t children, struct ArrowArray *ret)
{
    evs_context *ctx = batch->ctx;
    array_node *node = evs__calloc(ctx, 1, sizeof(*node));
    struct ArrowArray *structs;

    if (!node)
        return EVS_ERR_NOMEM;
    node->children = evs__calloc(ctx, children, sizeof(void *) + sizeof(*structs));
    if (!node->children) {
        evs__free(ctx, node);
        return EVS_ERR_NOMEM;
    }
    structs = (struct ArrowArray *)(node->children + children);
    for (size_t i = 0; i < children; i++)
        node->children[i] = &structs[i];
    node->ctx = evs__context_hold(ctx);
    node->batch = evs_batch_ref(batch);
    *ret = (struct ArrowArray){
        .length = length,
        .n_buffers = n_buffers,
        .n_children = (int64_t)children,
        .buffers = node->buffers,
        .children = children ? node->children : NULL,
        .release = array_release,
        .private_data = node,
    };
    return EVS_OK;
}

static int64_t count_nulls(const uint8_t *bits, uint32_t rows)
{
    int64_t valid = 0;

    if (!bits)
        return 0;
    for (uint32_t i = 0; i < rows / 8; i++)
        valid += __builtin_popcount(bits[i]);
    for (uint32_t i = rows / 8 * 8; i < rows; i++)
        valid += evs__bit_get(bits, i);
    return rows - valid;
}

static evs_status export_column(evs_batch *batch, const evs__column *c, struct ArrowArray *ret)
{
    bool text = evs__type_is_string(c->type->id);
    bool list = c->type->id == EVS_TYPE_ARRAY || c->type->id == EVS_TYPE_MAP;
    int64_t buffers = text ? 3 : c->type->id == EVS_TYPE_STRUCT ? 1 : 2;
    array_node *node;
    evs_status status = array_make(batch, c->length, buffers, c->child_count, ret);

    if (status)
        return status;
    node = ret->private_data;
    ret->null_count = count_nulls(c->validity, c->length);
    node->buffers[0] = c->validity;
    if (text || list)
        node->buffers[1] = c->offsets;
    else if (buffers == 2)
        node->buffers[1] = c->values;
    if (text)
        node->buffers[2] = c->bytes;
    for (uint32_t i = 0; i < c->child_count && !status; i++)
        status = export_column(batch, c->children[i], ret->children[i]);
    return status;
}

/* event times; EVS_TIME_NONE is NULL. The batch may be shared: what is missing is made here. */
static evs_status export_times(evs_batch *batch, struct ArrowArray *ret)
{
    size_t bit_bytes = ((size_t)batch->rows + 63) / 64 * 8;
    array_node *node;
    evs_status status = array_make(batch, batch->rows, 2, 0, ret);

    if (status)
        return status;
    node = ret->private_data;
    node->buffers[1] = batch->times;
    for (uint32_t i = 0; i < batch->rows; i++)
        ret->null_count += !batch->times || batch->times[i] == EVS_TIME_NONE;
    if (batch->times && !ret->null_count)
        return EVS_OK;
    node->owned =
        evs__calloc(batch->ctx, bit_bytes + (batch->times ? 0 : 8 * (size_t)batch->rows), 1);
    if (!node->owned)
        return EVS_ERR_NOMEM;
    node->buffers[0] = node->owned;
    if (!batch->times)
        node->buffers[1] = (char *)node->owned + bit_bytes;
    for (uint32_t i = 0; batch->times && i < batch->rows; i++) {
        if (batch->times[i] != EVS_TIME_NONE)
            evs__bit_set(node->owned, i);
    }
    return EVS_OK;
}

static evs_status export_kinds(evs_batch *batch, struct ArrowArray *ret)
{
    array_node *node;
    evs_status status = array_make(batch, batch->rows, 2, 0, ret);

    if (status)
        return status;
    node = ret->private_data;
    node->buffers[1] = batch->kinds;
    if (batch->kinds)
        return EVS_OK;
    node->owned = evs__calloc(batch->ctx, batch->rows, 1);
    node->buffers[1] = node->owned;
    return node->owned ? EVS_OK : EVS_ERR_NOMEM;
}

static evs_status export_root(evs_batch *batch, bool with_meta, struct ArrowArray *ret)
{
    uint32_t n = batch->column_count;
    evs_status status = array_make(batch, batch->rows, 1, n + (with_meta ? META_COLUMNS : 0), ret);

    for (uint32_t i = 0; i < n && !status; i++)
        status = export_column(batch, batch->columns[i], ret->children[i]);
    if (!status && with_meta)
        status = export_times(batch, ret->children[n]);
    if (!status && with_meta)
        status = export_kinds(batch, ret->children[n + 1]);
    return status;
}

evs_status evs__arrow_export_type(const evs_type *type, bool with_meta, struct ArrowSchema *ret)
{
    struct ArrowSchema schema = {.release = NULL};
    evs_status status = export_root_schema(type->ctx, type, with_meta, &schema);

    if (!status)
        *ret = schema;
    else if (schema.release)
        schema.release(&schema);
    return status;
}

evs_status evs_batch_export_arrow(evs_batch *batch,
                                  bool with_meta,
                                  struct ArrowSchema *ret_schema,
                                  struct ArrowArray *ret_array,
                                  evs_error **reterr)
{
    struct ArrowSchema schema = {.release = NULL};
    struct ArrowArray array = {.release = NULL};
    evs_batch *own = NULL;
    evs_status status;

    if (!batch || !ret_array)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "batch or ret_array is NULL");
    status = evs_batch_keep(batch, &own, reterr);
    if (status)
        return status;
    status = export_root(own, with_meta, &array);
    if (!status && ret_schema)
        status = export_root_schema(own->ctx, own->type, with_meta, &schema);
    evs_batch_unref(own);
    if (status) {
        if (schema.release)
            schema.release(&schema);
        if (array.release)
            array.release(&array);
        return status == EVS_ERR_NOMEM
                   ? evs__nomem(reterr)
                   : evs__fail(batch->ctx, reterr, status, "the type of the batch is too large");
    }
    if (ret_schema)
        *ret_schema = schema;
    *ret_array = array;
    return EVS_OK;
}
