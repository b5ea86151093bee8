/*
 * engine/aggregate_collect.c: collections of the group's values, in order of arrival.
 *
 *   collect_list(x)      ARRAY of all
 *   collect_set(x)       ARRAY of the different ones
 *   histogram(x)         MAP of the different ones to how often each came
 *   string_agg(x, sep)   VARCHAR: the texts, joined
 *   median(x)            the middle one, or the mean of the middle two; exact
 *
 * All are runs of values (bag.h); set and histogram find a value's node by the bag's index. Each
 * has a bound, of values or bytes: a row with which it would be passed is refused, nothing is ever
 * cut off in silence. Parts merge by order of arrival, so the order of merging does not show.
 *
 * Cost: adding is one interning and one node; giving out sorts runs only where merging has mixed
 * them. median sorts its values each time it is given out: n log n.
 */
#include "engine/bag.h"

#define VALUES_DEFAULT 1000
#define VALUES_MAX 10000000
#define BYTES_DEFAULT 65536
#define BYTES_MAX (16 << 20) /* of any text in expressions */

typedef struct joined {
    evs__bag_run run;
    uint64_t bytes; /* string_agg: of the result */
} joined;

static const evs__agg_param_info values_params[] = {
    {.name = "max", .kind = 'i', .optional = true, .min = 1, .max = VALUES_MAX}, {.name = NULL}};
static const evs__agg_param_info string_params[] = {
    {.name = "separator", .kind = 's', .max = 1024},
    {.name = "max_bytes", .kind = 'i', .optional = true, .min = 1, .max = BYTES_MAX},
    {.name = NULL}};

static uint32_t most_of(const evs__aggregate *a)
{
    return a->param_count ? (uint32_t)a->params[0].integer : VALUES_DEFAULT;
}

static uint64_t most_bytes(const evs__aggregate *a)
{
    return a->param_count > 1 ? (uint64_t)a->params[1].integer : BYTES_DEFAULT;
}

static evs_status collect_refusal(const evs__aggregate *a, evs__buffer *message)
{
    if (a->fn->params == string_params)
        evs__buffer_printf(message, "%s has reached its bound of %llu bytes with this row",
                           a->fn->name, (unsigned long long)most_bytes(a));
    else
        evs__buffer_printf(message, "%s has reached its bound of %u values with this row",
                           a->fn->name, most_of(a));
    return EVS_ERR_LIMIT;
}

/* ---- lists: collect_list, median ---- */

static evs_status
list_reserve(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    evs__bag *b = NULL;
    evs_status status = evs__bag_of(a, g, false, &b);
    return status ? status : evs__bag_reserve(b, g, r);
}

static uint32_t list_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    uint32_t most = most_of(a);
    evs__bag *b = *g->extra;

    for (uint32_t i = 0; i < g->n; i++) {
        evs__bag_run *run = evs__agg_state(g, i);
        if (evs__column_is_null(r->arg, r->rows[i]))
            continue;
        if (run->count >= most)
            return i;
        evs__bag_push(b, run, g->index[i], r->ids[i], r->first + r->rows[i]);
    }
    return g->n;
}

static void
list_undo(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r, uint32_t n)
{
    (void)a;
    while (n-- > 0) {
        if (!evs__column_is_null(r->arg, r->rows[n]))
            evs__bag_pop(*g->extra, evs__agg_state(g, n), g->index[n]);
    }
}

/* one group's run of `from`, oldest first, to the end of the run in `to` */
typedef evs_status (*take_fn)(const evs__aggregate *a,
                              evs__bag *b,
                              evs__bag_run *run,
                              uint32_t group,
                              uint32_t value,
                              const evs__bag_node *node);

static evs_status merge_runs(const evs__aggregate *a,
                             const evs__agg_groups *to,
                             const evs__agg_groups *from,
                             bool indexed,
                             take_fn take)
{
    const evs__bag *source = *from->extra;
    evs_context *ctx = to->account->ctx;
    evs__bag *b = NULL;
    evs_status status;

    if (!source)
        return EVS_OK;
    status = evs__bag_of(a, to, indexed, &b);
    for (uint32_t i = 0; i < to->n && !status; i++) {
        const evs__bag_run *run = evs__agg_state(from, i);
        uint32_t *nodes = NULL;
        status = evs__bag_reserve_nodes(b, to->account, run->count);
        if (!status)
            status = evs__bag_ordered(source, run, ctx, &nodes);
        for (uint32_t k = 0; k < run->count && !status; k++) {
            const evs__bag_node *node = &source->nodes[nodes[k]];
            uint32_t value = 0;
            status = evs__values_translate(&source->values, &b->values, node->value, &value);
            if (!status)
                status = take(a, b, evs__agg_state(to, i), to->index[i], value, node);
        }
        evs__free(ctx, nodes);
    }
    return status;
}

static evs_status list_take(const evs__aggregate *a,
                            evs__bag *b,
                            evs__bag_run *run,
                            uint32_t group,
                            uint32_t value,
                            const evs__bag_node *node)
{
    if (run->count >= most_of(a))
        return EVS_ERR_OVERFLOW;
    evs__bag_push(b, run, group, value, node->arrived);
    return EVS_OK;
}

static evs_status
list_merge(const evs__aggregate *a, const evs__agg_groups *to, const evs__agg_groups *from)
{
    return merge_runs(a, to, from, false, list_take);
}

static evs_status collect_write(const evs__aggregate *a, const evs__agg_groups *g, evs__buffer *out)
{
    const evs__bag *b = *g->extra;
    static const evs__bag none;
    (void)a;
    return evs__bag_write(b ? b : &none, g, 0, out);
}

static evs_status list_read(const evs__aggregate *a, const evs__agg_groups *g, evs__reader *in)
{
    evs__bag *b = NULL;
    evs_status status = evs__bag_of(a, g, false, &b);
    return status ? status : evs__bag_read(b, a, g, 0, most_of(a), in);
}

/* numbers of the run's values, oldest first, in place of its nodes */
static evs_status
ordered_values(const evs__bag *b, const evs__bag_run *run, evs_context *ctx, uint32_t **ret)
{
    evs_status status = evs__bag_ordered(b, run, ctx, ret);
    for (uint32_t k = 0; k < run->count && !status; k++)
        (*ret)[k] = b->nodes[(*ret)[k]].value;
    return status;
}

static evs_status list_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    const evs__bag *b = *g->extra;
    evs_context *ctx = g->account->ctx;
    evs_status status = EVS_OK;

    (void)a;
    for (uint32_t i = 0; i < g->n && !status; i++) {
        const evs__bag_run *run = evs__agg_state(g, i);
        uint32_t *ids = NULL;
        if (run->count) {
            status = ordered_values(b, run, ctx, &ids);
            if (!status)
                status = evs__values_get(&b->values, ids, run->count, &out->children[0]);
            evs__free(ctx, ids);
        }
        if (!status)
            evs__column_end_list(out);
    }
    return status;
}

/* ARRAY of the argument's type, NOT NULL */
static evs_status type_array(evs_context *ctx, const evs__aggregate *a, const evs_type **ret)
{
    const evs_type *element = NULL;
    evs_status status = evs__type_with_nullable(a->arg_type, false, &element);

    if (!status)
        status = evs__type_array(ctx, element, false, ret);
    evs_type_unref(element);
    return status;
}

/* ---- sets: collect_set, histogram ---- */

static evs_status
set_reserve(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    evs__bag *b = NULL;
    evs_status status = evs__bag_of(a, g, true, &b);
    return status ? status : evs__bag_reserve(b, g, r);
}

static uint32_t set_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    uint32_t most = most_of(a);
    evs__bag *b = *g->extra;

    for (uint32_t i = 0; i < g->n; i++) {
        evs__bag_run *run = evs__agg_state(g, i);
        evs__bag_node *node;
        if (evs__column_is_null(r->arg, r->rows[i]))
            continue;
        node = evs__bag_find(b, g->index[i], r->ids[i]);
        if (!node && run->count >= most)
            return i;
        if (!node)
            node = evs__bag_push(b, run, g->index[i], r->ids[i], r->first + r->rows[i]);
        node->count++;
    }
    return g->n;
}

/* backwards: a value whose count falls to nothing is the run's newest */
static void
set_undo(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r, uint32_t n)
{
    evs__bag *b = *g->extra;
    (void)a;
    while (n-- > 0) {
        evs__bag_node *node;
        if (evs__column_is_null(r->arg, r->rows[n]))
            continue;
        node = evs__bag_find(b, g->index[n], r->ids[n]);
        if (node && --node->count == 0)
            evs__bag_pop(b, evs__agg_state(g, n), g->index[n]);
    }
}

static evs_status set_take(const evs__aggregate *a,
                           evs__bag *b,
                           evs__bag_run *run,
                           uint32_t group,
                           uint32_t value,
                           const evs__bag_node *from)
{
    evs__bag_node *node = evs__bag_find(b, group, value);

    if (!node) {
        if (run->count >= most_of(a))
            return EVS_ERR_OVERFLOW;
        node = evs__bag_push(b, run, group, value, from->arrived);
    }
    node->arrived = from->arrived < node->arrived ? from->arrived : node->arrived;
    return __builtin_add_overflow(node->count, from->count, &node->count) ? EVS_ERR_OVERFLOW
                                                                          : EVS_OK;
}

static evs_status
set_merge(const evs__aggregate *a, const evs__agg_groups *to, const evs__agg_groups *from)
{
    return merge_runs(a, to, from, true, set_take);
}

static evs_status set_read(const evs__aggregate *a, const evs__agg_groups *g, evs__reader *in)
{
    evs__bag *b = NULL;
    evs_status status = evs__bag_of(a, g, true, &b);

    if (!status)
        status = evs__bag_read(b, a, g, 0, most_of(a), in);
    for (uint32_t i = 0; !status && i < b->node_high; i++) {
        if (b->nodes[i].count < 1)
            return EVS_ERR_CORRUPT;
    }
    return status;
}

/* keys of a MAP are VARCHAR: other values as text */
static evs_status append_entry(const evs__bag *b,
                               const evs__bag_node *node,
                               evs__column *value,
                               evs__buffer *text,
                               evs__column *entries)
{
    evs_status status;

    evs__column_reset(value);
    evs__buffer_reset(text);
    status = evs__values_get(&b->values, &node->value, 1, &value);
    if (!status)
        status = evs__column_print(value, 0, false, text);
    if (!status)
        status = evs__column_reserve(entries, entries->length + 1);
    if (!status)
        status = evs__column_append_str(entries->children[0], text->data, text->len);
    if (status)
        return status;
    evs__column_append_i64(entries->children[1], node->count);
    evs__column_end_struct(entries);
    return EVS_OK;
}

static evs_status map_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    const evs__bag *b = *g->extra;
    evs_context *ctx = g->account->ctx;
    evs__column *value = NULL;
    evs__buffer text;
    evs_status status = evs__column_new(ctx, a->arg_type, EVS_LAYOUT_OWNED, 1, &value);

    evs__buffer_init(&text, ctx, INT32_MAX);
    for (uint32_t i = 0; i < g->n && !status; i++) {
        const evs__bag_run *run = evs__agg_state(g, i);
        uint32_t *nodes = NULL;
        if (run->count)
            status = evs__bag_ordered(b, run, ctx, &nodes);
        for (uint32_t k = 0; k < run->count && !status; k++)
            status = append_entry(b, &b->nodes[nodes[k]], value, &text, out->children[0]);
        evs__free(ctx, nodes);
        if (!status)
            evs__column_end_list(out);
    }
    evs__buffer_free(&text);
    evs__column_unref(value);
    return status;
}

static evs_status type_map(evs_context *ctx, const evs__aggregate *a, const evs_type **ret)
{
    const evs_type *count = NULL;
    evs_status status = evs__type_simple(ctx, EVS_TYPE_BIGINT, false, &count);

    (void)a;
    if (!status)
        status = evs__type_map(ctx, count, false, ret);
    evs_type_unref(count);
    return status;
}

/* ---- string_agg; of DISTINCT texts it is a set ---- */

static bool is_set(const evs__aggregate *a)
{
    return a->fn == &evs__agg_string_agg_distinct;
}

static evs_status
string_reserve(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    return is_set(a) ? set_reserve(a, g, r) : list_reserve(a, g, r);
}

/* bytes that one more text adds */
static uint64_t joined_more(const evs__aggregate *a, const joined *s, uint64_t len)
{
    return len + (s->run.count ? a->params[0].len : 0);
}

/* a new node, or NULL: it would be too long */
static evs__bag_node *string_push(const evs__aggregate *a,
                                  evs__bag *b,
                                  joined *s,
                                  uint32_t group,
                                  uint32_t value,
                                  int64_t arrived)
{
    uint64_t more = joined_more(a, s, evs__intern_len(&b->values.intern, value));

    if (s->bytes + more > most_bytes(a) || s->run.count == VALUES_MAX)
        return NULL;
    s->bytes += more;
    return evs__bag_push(b, &s->run, group, value, arrived);
}

static uint32_t
string_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    evs__bag *b = *g->extra;

    for (uint32_t i = 0; i < g->n; i++) {
        joined *s = evs__agg_state(g, i);
        uint32_t group = g->index[i], row = r->rows[i];
        evs__bag_node *node = NULL;
        if (evs__column_is_null(r->arg, row))
            continue;
        if (is_set(a))
            node = evs__bag_find(b, group, r->ids[i]);
        if (!node)
            node = string_push(a, b, s, group, r->ids[i], r->first + row);
        if (!node)
            return i;
        node->count++;
    }
    return g->n;
}

/* backwards: a text whose count falls to nothing is the run's newest */
static void
string_undo(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r, uint32_t n)
{
    evs__bag *b = *g->extra;

    while (n-- > 0) {
        joined *s = evs__agg_state(g, n);
        evs__bag_node *node;
        if (evs__column_is_null(r->arg, r->rows[n]))
            continue;
        node = is_set(a) ? evs__bag_find(b, g->index[n], r->ids[n]) : &b->nodes[s->run.top - 1];
        if (!node || --node->count)
            continue;
        evs__bag_pop(b, &s->run, g->index[n]);
        s->bytes -= joined_more(a, s, evs__intern_len(&b->values.intern, r->ids[n]));
    }
}

static evs_status string_take(const evs__aggregate *a,
                              evs__bag *b,
                              evs__bag_run *run,
                              uint32_t group,
                              uint32_t value,
                              const evs__bag_node *from)
{
    evs__bag_node *node = is_set(a) ? evs__bag_find(b, group, value) : NULL;

    if (!node)
        node = string_push(a, b, (joined *)run, group, value, from->arrived);
    if (!node)
        return EVS_ERR_OVERFLOW;
    node->count = 1; /* what is merged is not undone */
    node->arrived = from->arrived < node->arrived ? from->arrived : node->arrived;
    return EVS_OK;
}

static evs_status
string_merge(const evs__aggregate *a, const evs__agg_groups *to, const evs__agg_groups *from)
{
    return merge_runs(a, to, from, is_set(a), string_take);
}

static evs_status string_read(const evs__aggregate *a, const evs__agg_groups *g, evs__reader *in)
{
    evs__bag *b = NULL;
    evs_status status = evs__bag_of(a, g, is_set(a), &b);

    if (!status)
        status = evs__bag_read(b, a, g, 0, VALUES_MAX, in);
    for (uint32_t i = 0; i < g->n && !status; i++) {
        joined *s = evs__agg_state(g, i);
        if (s->run.count)
            s->bytes = (uint64_t)(s->run.count - 1) * a->params[0].len;
        for (uint32_t node = s->run.top; node; node = b->nodes[node - 1].below) {
            s->bytes += evs__intern_len(&b->values.intern, b->nodes[node - 1].value);
            b->nodes[node - 1].count = 1;
        }
        if (s->bytes > most_bytes(a))
            return EVS_ERR_CORRUPT;
    }
    return status;
}

static evs_status
join_text(const evs__aggregate *a, const evs__bag *b, const evs__bag_run *run, evs__buffer *text)
{
    uint32_t *ids = NULL;
    evs_status status = ordered_values(b, run, text->ctx, &ids);

    evs__buffer_reset(text);
    for (uint32_t k = 0; k < run->count && !status; k++) {
        if (k)
            evs__buffer_append(text, a->params[0].text, a->params[0].len);
        evs__buffer_append(text, evs__intern_data(&b->values.intern, ids[k]),
                           evs__intern_len(&b->values.intern, ids[k]));
    }
    evs__free(text->ctx, ids);
    return status ? status : text->status;
}

static evs_status string_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    evs__buffer text;
    evs_status status = EVS_OK;

    evs__buffer_init(&text, g->account->ctx, INT32_MAX);
    for (uint32_t i = 0; i < g->n && !status; i++) {
        const joined *s = evs__agg_state(g, i);
        if (!s->run.count) {
            status = evs__column_append_null(out);
            continue;
        }
        status = join_text(a, *g->extra, &s->run, &text);
        if (!status)
            status = evs__column_append_str(out, text.data, text.len);
    }
    evs__buffer_free(&text);
    return status;
}

/* ---- median ---- */

static int by_value(const void *data, uint32_t a, uint32_t b)
{
    return evs__values_compare(data, a, b);
}

static evs__int128 decimal_of(const evs__values *v, uint32_t id)
{
    evs__int128 value;
    memcpy(&value, evs__intern_data(&v->intern, id) + 1, sizeof(value));
    return value;
}

/* the mean of two; DECIMAL: one digit more (scale_up), or rounded half away from zero */
static void append_middle(
    const evs__aggregate *a, const evs__values *v, uint32_t low, uint32_t high, evs__column *out)
{
    if (a->arg_type->id == EVS_TYPE_DECIMAL) {
        evs__int128 sum = decimal_of(v, low) + decimal_of(v, high);
        if (a->scale_up)
            evs__column_append_i128(out, sum * 5);
        else
            evs__column_append_i128(out, sum / 2 + sum % 2);
    } else if (a->arg_type->id == EVS_TYPE_DOUBLE) {
        double x = evs__values_double(v, low), y = evs__values_double(v, high);
        evs__column_append_f64(out, low == high ? x : x / 2 + y / 2);
    } else {
        const char *x = evs__intern_data(&v->intern, low), *y = evs__intern_data(&v->intern, high);
        evs__int128 sum =
            (evs__int128)evs__values_integer(v->types[0], x) + evs__values_integer(v->types[0], y);
        evs__column_append_f64(out, (double)sum / 2);
    }
}

static evs_status median_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    const evs__bag *b = *g->extra;
    evs_context *ctx = g->account->ctx;
    evs_status status = EVS_OK;

    for (uint32_t i = 0; i < g->n && !status; i++) {
        const evs__bag_run *run = evs__agg_state(g, i);
        uint32_t *ids = NULL;
        if (!run->count) {
            status = evs__column_append_null(out);
            continue;
        }
        status = ordered_values(b, run, ctx, &ids);
        if (!status) {
            evs__sort_ids(ids, ids + run->count, run->count, by_value, &b->values);
            append_middle(a, &b->values, ids[(run->count - 1) / 2], ids[run->count / 2], out);
        }
        evs__free(ctx, ids);
    }
    return status;
}

static evs_status type_median(evs_context *ctx, const evs__aggregate *a, const evs_type **ret)
{
    const evs_type *x = a->arg_type;
    if (x->id != EVS_TYPE_DECIMAL)
        return evs__type_simple(ctx, EVS_TYPE_DOUBLE, false, ret);
    if (x->precision == 38)
        return evs__type_decimal(ctx, 38, x->scale, false, ret);
    return evs__type_decimal(ctx, x->precision + 1, x->scale + 1, false, ret);
}

/* decimals of a damaged snapshot must not overflow when two are added */
static evs_status median_read(const evs__aggregate *a, const evs__agg_groups *g, evs__reader *in)
{
    const evs__bag *b;
    evs_status status = list_read(a, g, in);

    b = *g->extra;
    for (uint32_t i = 0; !status && a->arg_type->id == EVS_TYPE_DECIMAL && i < b->node_high; i++) {
        evs__int128 v = decimal_of(&b->values, b->nodes[i].value);
        evs__int128 limit = evs__pow10_128(a->arg_type->precision);
        if (v >= limit || v <= -limit)
            return EVS_ERR_CORRUPT;
    }
    return status;
}

/* ---- the rows ---- */

#define COLLECT_COMMON                                                                             \
    .size = sizeof(joined), .align = _Alignof(joined), .group = "collection",                      \
    .write = collect_write, .extra_free = evs__bag_extra_free, .refusal = collect_refusal

const evs__aggregate_functions evs__agg_collect_list = {
    .name = "collect_list",
    .arg_types = UINT32_MAX,
    .params = values_params,
    .keeps_null_arg = true,
    .distinct = EVS__DISTINCT_AS,
    .distinct_as = &evs__agg_collect_set,
    .usage = "collect_list(x[, max])",
    .gives = "ARRAY NOT NULL",
    .doc = "All values in order of arrival; a row with which there would be more than max (1000) "
           "is refused",
    .type = type_array,
    .reserve = list_reserve,
    .add = list_add,
    .undo = list_undo,
    .merge = list_merge,
    .result = list_result,
    .read = list_read,
    COLLECT_COMMON,
};

const evs__aggregate_functions evs__agg_collect_set = {
    .name = "collect_set",
    .arg_types = UINT32_MAX,
    .params = values_params,
    .keeps_null_arg = true,
    .distinct = EVS__DISTINCT_SAME,
    .usage = "collect_set(x[, max])",
    .gives = "ARRAY NOT NULL",
    .doc = "The different values in order of arrival; a row with which there would be more than "
           "max (1000) is refused",
    .type = type_array,
    .reserve = set_reserve,
    .add = set_add,
    .undo = set_undo,
    .merge = set_merge,
    .result = list_result,
    .read = set_read,
    COLLECT_COMMON,
};

const evs__aggregate_functions evs__agg_histogram = {
    .name = "histogram",
    .arg_types = EVS__AGG_ORDERED,
    .params = values_params,
    .keeps_null_arg = true,
    .usage = "histogram(x[, max])",
    .gives = "MAP<BIGINT> NOT NULL",
    .doc = "How often each value came, keys as text; a row with which there would be more than "
           "max (1000) different ones is refused",
    .type = type_map,
    .reserve = set_reserve,
    .add = set_add,
    .undo = set_undo,
    .merge = set_merge,
    .result = map_result,
    .read = set_read,
    COLLECT_COMMON,
};

#define STRING_COMMON                                                                              \
    .name = "string_agg", .arg_types = EVS__AGG_TYPE(EVS_TYPE_VARCHAR), .params = string_params,   \
    .reserve = string_reserve, .add = string_add, .undo = string_undo, .merge = string_merge,      \
    .result = string_result, .read = string_read

const evs__aggregate_functions evs__agg_string_agg = {
    .distinct = EVS__DISTINCT_AS,
    .distinct_as = &evs__agg_string_agg_distinct,
    .usage = "string_agg(x, separator[, max_bytes])",
    .doc = "The texts in order of arrival with the separator between them; a row with which the "
           "result would be longer than max_bytes (65536) is refused",
    STRING_COMMON,
    COLLECT_COMMON,
};

/* not in the table: its name is string_agg(DISTINCT x, separator) */
const evs__aggregate_functions evs__agg_string_agg_distinct = {
    STRING_COMMON,
    COLLECT_COMMON,
};

const evs__aggregate_functions evs__agg_median = {
    .name = "median",
    .arg_types = EVS__AGG_NUMBERS,
    .params = values_params,
    .usage = "median(x[, max])",
    .gives = "DOUBLE; of DECIMAL(p,s) DECIMAL(p+1,s+1)",
    .doc = "The middle value, of an even number the mean of the middle two, exact; a row with "
           "which there would be more than max (1000) is refused",
    .type = type_median,
    .reserve = list_reserve,
    .add = list_add,
    .undo = list_undo,
    .merge = list_merge,
    .result = median_result,
    .read = median_read,
    COLLECT_COMMON,
};
