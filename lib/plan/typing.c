/*
 * plan/typing.c: from texts to types. Each operator is made once over the type of its input and
 * thrown away: that is the whole check of its texts, and gives the type of its output.
 *
 * Types that a host may have seen through evs_stream_type() stay alive: a type that resolving again
 * replaces by another goes to plan->kept.
 */
#include "plan/plan.h"

static evs_status
make_apply(const evs__node *node, const evs_type *in, evs__operator **ret, evs_error **reterr)
{
    evs_context *ctx = node->plan->ctx;
    const evs_type *out = NULL;
    char **paths = NULL;
    evs_status status = evs__columns_parse(ctx, node->text, &out, &paths, reterr);

    if (status)
        return status;
    for (uint32_t i = 0; paths && i < out->child_count; i++) {
        if (paths[i])
            status = EVS_ERR_SCHEMA;
        evs__free(ctx, paths[i]);
    }
    evs__free(ctx, paths);
    if (status)
        status = evs__fail(ctx, reterr, status,
                           "columns of rows that a function makes have no JSON path");
    else
        status = evs__apply_new(ctx, in, out, node->apply, node->user_data, ret, reterr);
    evs_type_unref(out);
    return status;
}

evs_status evs__plan_make_operator(const evs__node *node,
                                   const evs_type *in,
                                   uint32_t slots,
                                   evs__operator **ret,
                                   evs_error **reterr)
{
    evs_context *ctx = node->plan->ctx;
    evs__time_options time;

    switch (node->kind) {
    case EVS__NODE_FILTER:
        return evs__filter_new(ctx, in, node->text, ret, reterr);
    case EVS__NODE_PROJECT:
        return evs__project_new(ctx, in, node->text, ret, reterr);
    case EVS__NODE_EXPLODE:
        return evs__explode_new(ctx, in, node->text, node->text2, ret, reterr);
    case EVS__NODE_APPLY:
        return make_apply(node, in, ret, reterr);
    case EVS__NODE_SAMPLE:
        return evs__sample_new(ctx, in, node->text, node->number, ret, reterr);
    case EVS__NODE_DEDUP:
        evs__plan_time_options(evs__node_root(node), &time);
        return evs__dedup_new(ctx, in, node->text, &node->dedup, slots, time.rule, ret, reterr);
    case EVS__NODE_LIMIT:
        evs__plan_time_options(evs__node_root(node), &time);
        return evs__limit_new(ctx, in, node->text, &node->limit, slots, time.rule, ret, reterr);
    case EVS__NODE_TOP:
        evs__plan_time_options(evs__node_root(node), &time);
        return evs__top_new(ctx, in, node->text, node->text2, node->number, EVS__TOP_BYTES_MAX,
                            slots, time.rule, ret, reterr);
    case EVS__NODE_WINDOW:
        if (node->window.zone && *node->window.zone && node->plan->load_zone) {
            evs_status status = node->plan->load_zone(ctx, node->window.zone, reterr);
            if (status)
                return status;
        }
        evs__plan_time_options(evs__node_root(node), &time);
        return evs__window_op_new(ctx, in, node->text, node->text2, &node->window, slots, time.rule,
                                  ret, reterr);
    default:
        return evs__fail(ctx, reterr, EVS_ERR_INTERNAL, "step \"%s\" is no operator", node->name);
    }
}

/* ---- types that may be in a host's hands ---- */

/* room for the types that one node may give up */
static evs_status kept_reserve(evs__plan *plan, evs_error **reterr)
{
    const evs_type **kept;
    uint32_t capacity = plan->kept_capacity ? plan->kept_capacity * 2 : 8;
    if (plan->kept_count + 2 <= plan->kept_capacity)
        return EVS_OK;
    kept = evs__realloc_array(plan->ctx, plan->kept, capacity, sizeof(*kept));
    if (!kept)
        return evs__nomem(reterr);
    plan->kept = kept;
    plan->kept_capacity = capacity;
    return EVS_OK;
}

/* *type becomes `now` (transferred), or stays when it says the same; kept_reserve() was called */
static void replace_type(evs__plan *plan, const evs_type **type, const evs_type *now)
{
    if (*type && now && evs_type_equal(*type, now)) {
        evs_type_unref(now);
        return;
    }
    if (*type)
        plan->kept[plan->kept_count++] = *type;
    *type = now;
}

/* ---- what a node gives on ---- */

/* how many leading items of a projection are the leading columns of its input, as they are */
static uint32_t unchanged_front(const evs__ast_list *list, const evs_type *in)
{
    uint32_t i = 0;
    if (list->count && list->items[0].expr->kind == EVS__AST_STAR)
        return in->child_count;
    for (; i < list->count && i < in->child_count; i++) {
        const evs__ast *a = list->items[i].expr;
        const char *name = in->children[i].name;
        if (a->kind != EVS__AST_COLUMN || strlen(name) != a->name_len ||
            memcmp(name, a->name, a->name_len) != 0)
            break;
    }
    return i;
}

/* a projection keeps the key when its first columns are the key's */
static evs_status project_key(evs__node *n, evs_error **reterr)
{
    const evs__node *in = n->input;
    evs__ast_list *list = NULL;
    uint32_t front;
    evs_status status;

    n->key_count = 0;
    n->windowed = false;
    if (!in->key_count)
        return EVS_OK;
    status = evs__ast_parse(n->plan->ctx, n->text, true, &list, reterr);
    if (status)
        return status;
    front = unchanged_front(list, in->type);
    n->key_count = front >= in->key_count ? in->key_count : 0;
    n->windowed = in->windowed && front > in->key_count;
    evs__ast_free(list);
    return EVS_OK;
}

/* a step with time and state needs rows that come once, and in time */
static evs_status check_staged(const evs__node *n, evs_error **reterr)
{
    bool window = n->kind == EVS__NODE_WINDOW;

    if (n->kind == EVS__NODE_TOP && !n->input->windowed)
        return evs__fail(n->plan->ctx, reterr, EVS_ERR_UNSUPPORTED,
                         "it needs rows of windows: keep keys, window_start, window_end in front");

    for (const evs__node *up = n->input; up; up = up->input) {
        if (up->kind == EVS__NODE_LATE)
            return evs__fail(n->plan->ctx, reterr, EVS_ERR_UNSUPPORTED,
                             window ? "a window over late rows would refuse them all"
                                    : "late rows are too late for it to judge");
        if (up->kind == EVS__NODE_WINDOW && up->window.emit != EVS_EMIT_FINAL)
            return evs__fail(
                n->plan->ctx, reterr, EVS_ERR_UNSUPPORTED,
                window ? "it would count each update of \"%s\" again: use emit final there"
                       : "it would take each update of \"%s\" for another row: use "
                         "emit final there",
                up->name);
    }
    return EVS_OK;
}

static evs_status type_operator(evs__node *n, evs_error **reterr)
{
    evs__plan *plan = n->plan;
    evs__operator *op = NULL;
    evs_status status = EVS_OK;

    if (evs__node_is_staged(n))
        status = check_staged(n, reterr);
    if (!status)
        status = evs__plan_make_operator(n, n->input->type, 1, &op, reterr);
    if (status)
        return status;
    replace_type(plan, &n->type, evs_type_ref(op->out_type));
    if (n->kind == EVS__NODE_WINDOW) {
        replace_type(plan, &n->late_type, evs_type_ref(op->late_type));
        n->key_count = evs__window_op_key_count(op) + 1;
        n->windowed = true;
    } else if (n->kind == EVS__NODE_FILTER || n->kind == EVS__NODE_SAMPLE ||
               evs__node_is_staged(n)) {
        n->key_count = n->input->key_count;
        n->windowed = n->input->windowed;
    } else if (n->kind == EVS__NODE_PROJECT) {
        status = project_key(n, reterr);
    }
    if (!status && evs__node_is_staged(n))
        status = evs__plan_is_co_partitioned(n, &n->in_place, reterr);
    evs__operator_free(op);
    return status;
}

static evs_status type_source(evs__node *n, evs_error **reterr)
{
    const evs_type *old = n->type;
    evs_status status;

    n->needs_time = evs__plan_needs_time(n);
    if (!n->schema) {
        status =
            evs__plan_source_schema(n->plan->ctx, n->config, n->given_schema, &n->schema, reterr);
        if (status || !n->schema)
            return status;
    }
    n->type = NULL;
    status = evs__plan_type_source(n, reterr);
    if (status) {
        n->type = old;
    } else {
        const evs_type *now = n->type;
        n->type = old;
        replace_type(n->plan, &n->type, now);
    }
    return status;
}

static evs_status type_node(evs__node *n, bool final, evs_error **reterr)
{
    evs_status status = kept_reserve(n->plan, reterr);
    const evs__node *in = n->input;
    const evs_type *envelope = NULL;

    if (status)
        return status;
    switch (n->kind) {
    case EVS__NODE_SOURCE:
        status = type_source(n, reterr);
        break;
    case EVS__NODE_DEAD_LETTERS:
        if (evs__envelope_type(n->plan->ctx, &envelope))
            return evs__nomem(reterr);
        replace_type(n->plan, &n->type, envelope);
        break;
    case EVS__NODE_LATE:
        replace_type(n->plan, &n->type, evs_type_ref(in->late_type));
        break;
    case EVS__NODE_SINK:
    case EVS__NODE_EACH:
        replace_type(n->plan, &n->type, evs_type_ref(in->type));
        n->key_count = in->key_count;
        n->windowed = in->windowed;
        break;
    default:
        if (in->type)
            status = type_operator(n, reterr);
    }
    if (!status && final && !n->type)
        status = evs__fail(n->plan->ctx, reterr, EVS_ERR_SCHEMA,
                           "the columns are not known: set \"columns\" or a schema");
    return status;
}

evs_status evs__plan_resolve(evs__plan *plan, bool final, evs_error **reterr)
{
    evs_status status = EVS_OK;

    if (plan->resolved && !final)
        return EVS_OK;
    if (!plan->frozen)
        status = evs__plan_configure(plan, reterr);
    /* options may have changed the schema */
    for (uint32_t i = 0; !status && !plan->frozen && i < plan->node_count; i++) {
        evs_schema_unref(plan->nodes[i]->schema);
        plan->nodes[i]->schema = NULL;
    }
    for (uint32_t i = 0; !status && i < plan->node_count; i++) {
        status = type_node(plan->nodes[i], final, reterr);
        if (status)
            evs__node_prefix(plan->nodes[i], reterr);
    }
    plan->resolved = !status;
    return status;
}

evs_status evs__plan_check(evs__plan *plan, evs_error **reterr)
{
    evs_status status;
    bool typed = true;

    if (plan->error)
        return evs__error_move(reterr, evs__error_ref(plan->error));
    if (!plan->kind_counts[EVS__NODE_SOURCE])
        return evs__fail(plan->ctx, reterr, EVS_ERR_CONFIG, "pipeline \"%s\" has no source",
                         plan->name);
    status = evs__plan_resolve(plan, false, reterr);
    for (uint32_t i = 0; i < plan->node_count; i++)
        typed = typed && plan->nodes[i]->type;
    if (!status && typed)
        status = evs__plan_fingerprint(plan, reterr);
    return status;
}

static evs_status header_list_type(evs_context *ctx, const evs_type **ret)
{
    const evs_type *name = NULL, *value = NULL, *entry = NULL;
    evs_status status = evs__type_simple(ctx, EVS_TYPE_VARCHAR, false, &name);

    if (!status)
        status = evs__type_simple(ctx, EVS_TYPE_BYTES, true, &value);
    if (!status) {
        evs__field fields[] = {{"name", name}, {"value", value}};
        status = evs__type_struct(ctx, fields, 2, false, &entry);
    }
    if (!status)
        status = evs__type_array(ctx, entry, true, ret);
    evs_type_unref(name);
    evs_type_unref(value);
    evs_type_unref(entry);
    return status;
}

evs_status evs__envelope_type(evs_context *ctx, const evs_type **ret)
{
    static const struct {
        const char *name;
        evs_type_id id; /* 0: the headers */
        bool nullable;
    } columns[] = {
        {"stage", EVS_TYPE_VARCHAR, false},      {"code", EVS_TYPE_VARCHAR, false},
        {"message", EVS_TYPE_VARCHAR, false},    {"topic", EVS_TYPE_VARCHAR, true},
        {"partition", EVS_TYPE_INT, true},       {"offset", EVS_TYPE_BIGINT, true},
        {"timestamp", EVS_TYPE_TIMESTAMP, true}, {"key", EVS_TYPE_BYTES, true},
        {"payload", EVS_TYPE_BYTES, true},       {"headers", 0, true},
    };
    enum { COUNT = sizeof(columns) / sizeof(columns[0]) };
    evs__field fields[COUNT] = {{NULL, NULL}};
    evs_status status = EVS_OK;

    for (size_t i = 0; !status && i < COUNT; i++) {
        fields[i].name = columns[i].name;
        status = columns[i].id
                     ? evs__type_simple(ctx, columns[i].id, columns[i].nullable, &fields[i].type)
                     : header_list_type(ctx, &fields[i].type);
    }
    if (!status)
        status = evs__type_struct(ctx, fields, COUNT, false, ret);
    for (size_t i = 0; i < COUNT; i++)
        evs_type_unref(fields[i].type);
    return status;
}
