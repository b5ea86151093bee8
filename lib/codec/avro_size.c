/*
 * codec/avro_size.c: how many bytes the Avro value at the front of some bytes takes.
 *
 * Container files put values one after another without a length; a reader that wants each one by
 * itself has to walk it. The walk follows the schema's nodes and moves a pointer: nothing is built
 * or allocated, about as fast as the bytes can be read. It looks at structure only (a text may be
 * invalid UTF-8, an enum index out of range): decoding tells that. Safe for any bytes: depth is
 * bounded, and so is the number of items that take no bytes.
 */
#include "codec/codec.h"

/* items of arrays of null or of empty records and fixed, which no input length bounds */
#define EMPTY_ITEMS_MAX (1 << 20)

typedef struct walk {
    const uint8_t *p, *end;
    uint32_t depth;
    uint32_t empty_items;
    const char *why; /* what is wrong */
} walk;

static bool walk_value(walk *w, const evs__avro_node *n);

static bool fault(walk *w, const char *why)
{
    w->why = why;
    return false;
}

static bool take_long(walk *w, int64_t *ret)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (w->p == w->end)
            return fault(w, "it is cut short");
        value |= (uint64_t)(*w->p & 0x7f) << shift;
        if (!(*w->p++ & 0x80)) {
            *ret = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
            return true;
        }
    }
    return fault(w, "an integer has more than 10 bytes");
}

static bool step(walk *w, int64_t bytes)
{
    if (bytes < 0)
        return fault(w, "a length is negative");
    if (bytes > w->end - w->p)
        return fault(w, "it is cut short");
    w->p += bytes;
    return true;
}

static bool walk_text(walk *w)
{
    int64_t len;
    return take_long(w, &len) && step(w, len);
}

/* blocks of items; a negative count is followed by the block's size in bytes */
static bool walk_blocks(walk *w, const evs__avro_node *item, bool keys)
{
    for (;;) {
        int64_t count, size;
        if (!take_long(w, &count))
            return false;
        if (count == 0)
            return true;
        if (count < 0) {
            if (!take_long(w, &size) || !step(w, size))
                return false;
            continue;
        }
        for (; count > 0; count--) {
            const uint8_t *before = w->p;
            if ((keys && !walk_text(w)) || !walk_value(w, item))
                return false;
            if (w->p == before && ++w->empty_items > EMPTY_ITEMS_MAX)
                return fault(w, "it has too many items without content");
        }
    }
}

static bool walk_nested(walk *w, const evs__avro_node *n)
{
    int64_t index;
    switch (n->kind) {
    case EVS__AVRO_RECORD:
        for (size_t i = 0; i < n->child_count; i++) {
            if (!walk_value(w, n->children[i]))
                return false;
        }
        return true;
    case EVS__AVRO_ARRAY:
        return walk_blocks(w, n->children[0], false);
    case EVS__AVRO_MAP:
        return walk_blocks(w, n->children[0], true);
    default: /* union */
        if (!take_long(w, &index))
            return false;
        if (index < 0 || (uint64_t)index >= n->child_count)
            return fault(w, "a union has no such branch");
        return walk_value(w, n->children[index]);
    }
}

static bool walk_value(walk *w, const evs__avro_node *n)
{
    int64_t ignored;
    bool ok;
    switch (n->kind) {
    case EVS__AVRO_NULL:
        return true;
    case EVS__AVRO_BOOLEAN:
        return step(w, 1);
    case EVS__AVRO_INT:
    case EVS__AVRO_LONG:
    case EVS__AVRO_ENUM:
        return take_long(w, &ignored);
    case EVS__AVRO_FLOAT:
        return step(w, 4);
    case EVS__AVRO_DOUBLE:
        return step(w, 8);
    case EVS__AVRO_BYTES:
    case EVS__AVRO_STRING:
        return walk_text(w);
    case EVS__AVRO_FIXED:
        return step(w, n->fixed_size);
    default:
        if (w->depth == EVS__AVRO_DEPTH_MAX)
            return fault(w, "it is nested too deeply");
        w->depth++;
        ok = walk_nested(w, n);
        w->depth--;
        return ok;
    }
}

evs_status evs_schema_value_size(
    evs_schema *schema, const void *data, size_t len, size_t *ret_size, evs_error **reterr)
{
    walk w = {.p = data, .end = (const uint8_t *)data + len};

    if (!schema || !ret_size || (!data && len))
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "schema, data or ret_size is NULL");
    if (!schema->avro)
        return evs__fail(schema->ctx, reterr, EVS_ERR_UNSUPPORTED,
                         "only values of an Avro schema follow each other without a length");
    if (!walk_value(&w, schema->avro))
        return evs__fail(schema->ctx, reterr, EVS_ERR_DECODE, "no Avro value: %s after %zu bytes",
                         w.why, (size_t)(w.p - (const uint8_t *)data));
    *ret_size = (size_t)(w.p - (const uint8_t *)data);
    return EVS_OK;
}
