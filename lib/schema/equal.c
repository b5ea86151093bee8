/*
 * schema/equal.c: whether two schemas describe the same bytes.
 *
 * Avro schemas are graphs: a named type may stand inside itself. Both are walked side by side; a
 * pair of nodes that is on the path already is taken to be equal, which is right when the rest is.
 * The path is bounded, so graphs that nest deeper than any value may are unequal.
 */
#include "schema/schema.h"

typedef struct pair {
    const struct pair *up;
    const evs__avro_node *a, *b;
    uint32_t depth;
} pair;

static bool text_equal(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool node_equal(const evs__avro_node *a, const evs__avro_node *b, const pair *up)
{
    pair here = {up, a, b, up ? up->depth + 1 : 0};

    for (const pair *p = up; p; p = p->up) {
        if (p->a == a && p->b == b)
            return true;
    }
    if (a->kind != b->kind || a->logical != b->logical || a->precision != b->precision ||
        a->scale != b->scale || a->fixed_size != b->fixed_size ||
        a->child_count != b->child_count || !text_equal(a->fullname, b->fullname) ||
        here.depth > 2 * EVS__AVRO_DEPTH_MAX)
        return false;
    for (size_t i = 0; i < a->child_count; i++) {
        if (a->names && !text_equal(a->names[i], b->names[i]))
            return false;
        if (a->children && !node_equal(a->children[i], b->children[i], &here))
            return false;
    }
    return true;
}

bool evs_schema_equal(const evs_schema *a, const evs_schema *b)
{
    if (!a || !b || a == b)
        return a == b;
    if (!evs_type_equal(a->type, b->type) || !a->avro != !b->avro)
        return false;
    if (a->avro)
        return node_equal(a->avro, b->avro, NULL);
    for (size_t i = 0; i < evs_type_child_count(a->type); i++) {
        if (!text_equal(a->paths ? a->paths[i] : NULL, b->paths ? b->paths[i] : NULL))
            return false;
    }
    return a->format == b->format;
}
