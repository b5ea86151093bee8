/*
 * engine/aggregate_topk.c: topk(x, k), topk_distinct(x, k): the k largest values, exact.
 *
 * A group's run of values (bag.h) is kept sorted, smallest on top: most rows are decided by one
 * comparison with it, a better one walks to its place, at most k steps. Values that have left are
 * swept when they are more than those that are kept. Equal values are equal, so neither the order
 * of rows nor that of merging shows.
 */
#include "engine/bag.h"

#define K_MAX 1000

static const evs__agg_param_info k_params[] = {{.name = "k", .kind = 'i', .min = 1, .max = K_MAX},
                                               {.name = NULL}};

static bool keeps_equals(const evs__aggregate *a)
{
    return a->fn == &evs__agg_topk;
}

static evs_status
topk_reserve(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    evs__bag *b = NULL;
    evs_status status = evs__bag_of(a, g, false, &b);
    return status ? status : evs__bag_reserve(b, g, r);
}

/* a value into the sorted run */
static void put(const evs__aggregate *a, evs__bag *b, evs__bag_run *run, uint32_t value)
{
    uint32_t k = (uint32_t)a->params[0].integer, *link = &run->top, node;
    bool full = run->count == k;

    if (full && evs__values_compare(&b->values, value, b->nodes[run->top - 1].value) <= 0)
        return;
    for (; *link; link = &b->nodes[*link - 1].below) {
        int order = evs__values_compare(&b->values, b->nodes[*link - 1].value, value);
        if (order == 0 && !keeps_equals(a))
            return;
        if (order >= 0)
            break;
    }
    node = evs__bag_take_node(b, value, 0);
    b->nodes[node].below = *link;
    *link = node + 1;
    run->count++;
    if (!full)
        return;
    node = run->top - 1;
    run->top = b->nodes[node].below;
    run->count--;
    evs__bag_drop_node(b, node);
}

static uint32_t topk_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    for (uint32_t i = 0; i < g->n; i++) {
        if (!evs__column_is_null(r->arg, r->rows[i]))
            put(a, *g->extra, evs__agg_state(g, i), r->ids[i]);
    }
    return g->n;
}

static evs_status
topk_merge(const evs__aggregate *a, const evs__agg_groups *to, const evs__agg_groups *from)
{
    const evs__bag *source = *from->extra;
    evs__bag *b = NULL;
    evs_status status;

    if (!source)
        return EVS_OK;
    status = evs__bag_of(a, to, false, &b);
    if (!status)
        evs__bag_sweep(b, to->account);
    for (uint32_t i = 0; i < to->n && !status; i++) {
        const evs__bag_run *run = evs__agg_state(from, i);
        status = evs__bag_reserve_nodes(b, to->account, (size_t)run->count + 1);
        for (uint32_t node = run->top; node && !status; node = source->nodes[node - 1].below) {
            uint32_t value = 0;
            status = evs__values_translate(&source->values, &b->values,
                                           source->nodes[node - 1].value, &value);
            if (!status)
                put(a, b, evs__agg_state(to, i), value);
        }
    }
    return status;
}

static evs_status topk_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    const evs__bag *b = *g->extra;
    uint32_t ids[K_MAX];
    evs_status status = EVS_OK;

    (void)a;
    for (uint32_t i = 0; i < g->n && !status; i++) {
        const evs__bag_run *run = evs__agg_state(g, i);
        uint32_t at = run->count;
        for (uint32_t node = run->top; node; node = b->nodes[node - 1].below)
            ids[--at] = b->nodes[node - 1].value;
        if (run->count)
            status = evs__values_get(&b->values, ids, run->count, &out->children[0]);
        if (!status)
            evs__column_end_list(out);
    }
    return status;
}

static evs_status topk_write(const evs__aggregate *a, const evs__agg_groups *g, evs__buffer *out)
{
    const evs__bag *b = *g->extra;
    static const evs__bag none;
    (void)a;
    return evs__bag_write(b ? b : &none, g, 0, out);
}

/* largest first, as it was written: all came at the same time, and the order is the run's */
static evs_status topk_read(const evs__aggregate *a, const evs__agg_groups *g, evs__reader *in)
{
    evs__bag *b = NULL;
    evs_status status = evs__bag_of(a, g, false, &b);

    if (!status)
        status = evs__bag_read(b, a, g, 0, (uint64_t)a->params[0].integer, in);
    for (uint32_t i = 0; !status && i < b->node_high; i++) {
        if (b->nodes[i].arrived)
            return EVS_ERR_CORRUPT; /* they would be written in another order */
    }
    for (uint32_t i = 0; i < g->n && !status; i++) {
        const evs__bag_run *run = evs__agg_state(g, i);
        for (uint32_t node = run->top; node; node = b->nodes[node - 1].below) {
            if (b->nodes[node - 1].arrived)
                return EVS_ERR_CORRUPT;
        }
        for (uint32_t node = run->top; node && b->nodes[node - 1].below;
             node = b->nodes[node - 1].below) {
            int order = evs__values_compare(&b->values, b->nodes[node - 1].value,
                                            b->nodes[b->nodes[node - 1].below - 1].value);
            if (order > 0 || (order == 0 && !keeps_equals(a)))
                return EVS_ERR_CORRUPT;
        }
    }
    return status;
}

static evs_status type_array(evs_context *ctx, const evs__aggregate *a, const evs_type **ret)
{
    const evs_type *element = NULL;
    evs_status status = evs__type_with_nullable(a->arg_type, false, &element);

    if (!status)
        status = evs__type_array(ctx, element, false, ret);
    evs_type_unref(element);
    return status;
}

#define TOPK_COMMON                                                                                \
    .arg_types = EVS__AGG_ORDERED, .params = k_params, .size = sizeof(evs__bag_run),               \
    .align = _Alignof(evs__bag_run), .keeps_null_arg = true, .group = "collection",                \
    .gives = "ARRAY NOT NULL", .type = type_array, .reserve = topk_reserve, .add = topk_add,       \
    .merge = topk_merge, .result = topk_result, .write = topk_write, .read = topk_read,            \
    .extra_free = evs__bag_extra_free

const evs__aggregate_functions evs__agg_topk = {
    .name = "topk",
    .distinct = EVS__DISTINCT_AS,
    .distinct_as = &evs__agg_topk_distinct,
    .usage = "topk(x, k)",
    .doc = "The k largest values (k to 1000), largest first; order as max's",
    TOPK_COMMON,
};

const evs__aggregate_functions evs__agg_topk_distinct = {
    .name = "topk_distinct",
    .distinct = EVS__DISTINCT_SAME,
    .usage = "topk_distinct(x, k)",
    .doc = "The k largest different values (k to 1000), largest first",
    TOPK_COMMON,
};
