/*
 * plan/options.c: the option tables of pipelines and of sources' time, and how options reach a
 * step.
 *
 *   pipeline option  -> the pipeline's own table
 *                    -> or inherited: NAME.* by the connector NAME, and whatever else a connector's
 *                       or codec's table knows by that name (schema.registry.url, close.timeout.ms)
 *   step option      -> tables of its connector, the codec, the step; a source: time
 *
 * What a step sets itself wins over what it inherits.
 */
#include "codec/codec.h"
#include "expr/expr.h"
#include "plan/plan.h"

const evs_option_info evs__pipeline_option_table[] = {
    {"application.id", NULL, NULL,
     "Who this pipeline is to the outside: consumer group, state folder, epochs in sinks; default: "
     "the pipeline's name",
     "0.1", 0, 0, EVS_OPTION_STRING, 0},
    {"state.dir", NULL, NULL,
     "Folder for snapshots; without one, state and the positions that belong to it are lost with "
     "the process",
     "0.1", 0, 0, EVS_OPTION_STRING, 0},
    {"state.missing", "refuse", "refuse|begin",
     "What happens at a start when the plan has windows, the consumer group has a position and "
     "state.dir has no state that belongs to it: the start is refused, or windows begin there, "
     "empty",
     "0.1", 0, 0, EVS_OPTION_ENUM, 0},
    {"commit.interval.ms", "1s", NULL, "Time between commits", "0.1", 1, 86400000,
     EVS_OPTION_DURATION, 0},
    {"connect.timeout.ms", "60s", NULL,
     "How long a server may be unreachable at start before it is an error", "0.1", 0, 0,
     EVS_OPTION_DURATION, 0},
    {"group.wait.ms", "60s", NULL,
     "How long another member of the consumer group may hold partitions that a window needs before "
     "it is an error; a killed process stays a member until its session times out",
     "0.1", 0, 0, EVS_OPTION_DURATION, 0},
    {"close.timeout.ms", "10s", NULL, "How long closing and a forced commit may take", "0.1", 0,
     86400000, EVS_OPTION_DURATION, 0},
    {"retry.backoff.ms", "100ms", NULL,
     "First pause before a failed write or commit is tried again; it doubles each time", "0.1", 1,
     3600000, EVS_OPTION_DURATION, 0},
    {"retry.backoff.max.ms", "10s", NULL,
     "Longest pause before a failed write or commit is tried again", "0.1", 1, 3600000,
     EVS_OPTION_DURATION, 0},
    {"exchange.partitions", "4", NULL,
     "Shards that rows are spread over by their grouping key; fixed for the life of a state "
     "folder, "
     "whatever the number of workers",
     "0.1", 1, 1024, EVS_OPTION_INT, 0},
    {"on_error", "dead_letter", "dead_letter|skip|fail",
     "What happens with an event that cannot be processed: to the dead letters, only counted, or "
     "the pipeline stops",
     "0.1", 0, 0, EVS_OPTION_ENUM, 0},
    {"end.close_windows", "true", NULL,
     "Whether open windows close when all sources have ended; events that a later run brings for "
     "them "
     "are late",
     "0.1", 0, 0, EVS_OPTION_BOOL, 0},
    {NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0},
};

const evs_option_info evs__time_option_table[] = {
    {"event.time", NULL, NULL,
     "Column, or expression over columns, with the event time; default: the record's timestamp. An "
     "event without one (missing, NULL, -1, not readable) goes to the dead letters, stage "
     "event_time, when a window of event time is behind the source, and is taken otherwise",
     "0.1", 0, 0, EVS_OPTION_STRING, 0},
    {"event.time.unit", NULL, "s|ms|us|ns|iso",
     "Unit of event.time; default: ms for numbers, iso for text", "0.1", 0, 0, EVS_OPTION_ENUM, 0},
    {"out_of_orderness", "5s", NULL,
     "How far events of one partition may be behind its newest one; its watermark stays so far "
     "behind",
     "0.1", 0, 0, EVS_OPTION_DURATION, 0},
    {"idle_timeout", "30s", NULL,
     "A partition at its end without events for so long no longer holds time back", "0.1", 0, 0,
     EVS_OPTION_DURATION, 0},
    {"close_after", "60s", NULL,
     "With no event at a partition's end for so long, its time goes on with the host's clock, so "
     "that "
     "windows close; forever: only events move time",
     "0.1", 0, 0, EVS_OPTION_DURATION, 0},
    {"future_max", "forever", NULL, "How far an event may be ahead of the host's clock", "0.1", 0,
     0, EVS_OPTION_DURATION, 0},
    {"future_action", "refuse", "refuse|clamp",
     "What happens with an event beyond future_max: to the dead letters, or its time becomes the "
     "limit",
     "0.1", 0, 0, EVS_OPTION_ENUM, 0},
    {"alignment", "forever", NULL,
     "How far in event time a partition may run ahead of the slowest before it waits", "0.1", 0, 0,
     EVS_OPTION_DURATION, 0},
    {"time", "watermark", "watermark|stream",
     "watermark: time is the slowest partition's; stream: the highest event time seen, without "
     "delay "
     "(Kafka Streams, ksqlDB)",
     "0.1", 0, 0, EVS_OPTION_ENUM, 0},
    {"key.partitioned_by", NULL, NULL,
     "Expressions that equal events share a partition by; a window grouped by exactly these needs "
     "no "
     "exchange",
     "0.1", 0, 0, EVS_OPTION_STRING, 0},
    {"key.type", "varchar", "varchar|bytes", "Type of the column _key", "0.1", 0, 0,
     EVS_OPTION_ENUM, 0},
    {NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0},
};

const evs_option_info evs__step_option_table[] = {
    {"step.name", NULL, NULL, "Name of the step in errors, metrics and explain", "0.1", 0, 0,
     EVS_OPTION_STRING, 0},
    {NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0},
};

static bool has_prefix(const char *key, const char *prefix)
{
    size_t len = strlen(prefix);
    return strncmp(key, prefix, len) == 0 && key[len] == '.';
}

/* whether a connector of the plan passes `key` through */
static bool is_passed_through(const evs__plan *plan, const char *key)
{
    if (has_prefix(key, "kafka"))
        return true;
    for (uint32_t i = 0; i < plan->node_count; i++) {
        const evs__node *n = plan->nodes[i];
        if (n->connector_name && has_prefix(key, n->connector_name))
            return true;
    }
    return false;
}

bool evs__is_application_id(const char *id)
{
    size_t len = strlen(id);
    return len && len <= 200 && id[0] != '.' &&
           strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == len;
}

/* it names a folder, a consumer group and rows of sinks */
static evs_status
check_application_id(evs_context *ctx, const evs_config *config, evs_error **reterr)
{
    const char *id = evs_config_string(config, "application.id");
    if (!id || evs__is_application_id(id))
        return EVS_OK;
    return evs__fail(
        ctx, reterr, EVS_ERR_CONFIG,
        "option \"application.id\": \"%s\" is not made of letters, digits, '.', '_' and "
        "'-' (the first no '.')",
        id);
}

/* options of the registry are the codec's; every step that has one inherits them */
static evs_status
check_registry_option(evs_context *ctx, const char *key, const char *value, evs_error **reterr)
{
    const evs_option_info *tables[] = {evs__codec_option_table};
    evs_config *config = NULL;
    evs_status status = evs__config_new(ctx, "pipeline", tables, 1, NULL, &config, reterr);
    if (!status)
        status = evs__config_set(config, key, value, reterr);
    evs__config_unref(config);
    return status;
}

static evs_status set_pipeline_options(evs__plan *plan, evs_config *config, evs_error **reterr)
{
    evs_status status = EVS_OK;
    for (size_t i = 0; !status && i < plan->options->count; i++) {
        const char *key = plan->options->pairs[2 * i];
        const char *value = plan->options->pairs[2 * i + 1];
        if (evs__config_knows(config, key) || !is_passed_through(plan, key))
            status = has_prefix(key, "schema.registry")
                         ? check_registry_option(plan->ctx, key, value, reterr)
                         : evs__config_set(config, key, value, reterr);
    }
    return status;
}

static evs_status configure_pipeline(evs__plan *plan, evs_error **reterr)
{
    const evs_option_info *tables[] = {evs__pipeline_option_table};
    evs_context *ctx = plan->ctx;
    evs_config *config = NULL;
    evs_status status = evs__config_new(ctx, "pipeline", tables, 1, NULL, &config, reterr);

    if (!status)
        status = set_pipeline_options(plan, config, reterr);
    if (!status)
        status = evs__config_check(config, reterr);
    if (!status)
        status = check_application_id(ctx, config, reterr);
    if (status) {
        evs__config_unref(config);
        return status;
    }
    evs__config_unref(plan->config);
    plan->config = config;
    return EVS_OK;
}

/* options of the pipeline that this step's tables know, unless the step has its own */
static evs_status inherit(const evs__node *n, evs_config *config, evs_error **reterr)
{
    const evs_options *from = n->plan->options;
    evs_status status = EVS_OK;
    for (size_t i = 0; !status && i < from->count; i++) {
        const char *key = from->pairs[2 * i];
        bool theirs = has_prefix(key, n->connector_name) || evs__config_knows(config, key);
        if (theirs && !evs_options_get(n->options, key))
            status = evs__config_set(config, key, from->pairs[2 * i + 1], reterr);
    }
    return status;
}

static evs_status
config_new(const evs__node *n, const evs_option_info *own, evs_config **ret, evs_error **reterr)
{
    const evs_option_info *tables[4] = {own, evs__codec_option_table, evs__step_option_table,
                                        evs__time_option_table};
    evs_context *ctx = n->plan->ctx;
    bool source = n->kind == EVS__NODE_SOURCE;
    evs__buffer what;
    evs__buffer prefix;
    evs_status status = EVS_ERR_NOMEM;

    evs__buffer_init(&what, ctx, 1024);
    evs__buffer_init(&prefix, ctx, 1024);
    evs__buffer_printf(&what, "%s \"%s\"", source ? "source" : "sink", n->connector_name);
    evs__buffer_printf(&prefix, "%s.", n->connector_name);
    if (evs__buffer_cstr(&what) && evs__buffer_cstr(&prefix))
        status = evs__config_new(ctx, what.data, tables, source ? 4 : 3, prefix.data, ret, reterr);
    else
        evs__nomem(reterr);
    evs__buffer_free(&what);
    evs__buffer_free(&prefix);
    return status;
}

static evs_status configure_node(evs__node *n, evs_error **reterr)
{
    evs__plan *plan = n->plan;
    evs_config *config = NULL;
    bool source = n->kind == EVS__NODE_SOURCE;
    evs_status status;

    n->connector = plan->find(plan->ctx, n->connector_name, reterr);
    if (!n->connector)
        return reterr && *reterr ? evs_error_status(*reterr) : EVS_ERR_NOT_FOUND;
    if (source ? !n->connector->source : !n->connector->sink)
        return evs__fail(plan->ctx, reterr, EVS_ERR_UNSUPPORTED, "connector \"%s\" is no %s",
                         n->connector_name, source ? "source" : "sink");
    status = config_new(n, source ? n->connector->source->options : n->connector->sink->options,
                        &config, reterr);
    if (!status && !(status = inherit(n, config, reterr)))
        status = evs__config_set_all(config, n->options, reterr);
    if (status) {
        evs__config_unref(config);
        return status;
    }
    evs__config_unref(n->config);
    n->config = config;
    if (plan->stand_in && !(n->connector = plan->stand_in(plan->stand_in_user, n)))
        return evs__nomem(reterr);
    return EVS_OK;
}

evs_status evs__plan_configure(evs__plan *plan, evs_error **reterr)
{
    evs_status status = configure_pipeline(plan, reterr);
    for (uint32_t i = 0; !status && i < plan->node_count; i++) {
        evs__node *n = plan->nodes[i];
        if (!n->connector_name)
            continue;
        status = configure_node(n, reterr);
        if (status)
            evs__node_prefix(n, reterr);
    }
    return status;
}

void evs__plan_time_options(const evs__node *source, evs__time_options *ret)
{
    const evs_config *c = source->config;
    bool clamp = strcmp(evs_config_string(c, "future_action"), "clamp") == 0;
    *ret = (evs__time_options){
        .out_of_orderness_ms = evs_config_int(c, "out_of_orderness"),
        .idle_timeout_ms = evs_config_int(c, "idle_timeout"),
        .close_after_ms = evs_config_int(c, "close_after"),
        .future_max_ms = evs_config_int(c, "future_max"),
        .rule = strcmp(evs_config_string(c, "time"), "stream") == 0 ? EVS_TIME_STREAM
                                                                    : EVS_TIME_WATERMARK,
        .time_optional = !source->needs_time,
    };
    if (ret->future_max_ms == EVS_FOREVER)
        ret->future_action = EVS__FUTURE_OFF;
    else
        ret->future_action = clamp ? EVS__FUTURE_CLAMP : EVS__FUTURE_REFUSE;
}

/* whether two parsed lists of expressions are the same but for their aliases */
static evs_status
same_lists(evs_context *ctx, const evs__ast_list *la, const evs__ast_list *lb, bool *ret)
{
    evs__buffer ta, tb;
    evs_status status = EVS_OK;

    evs__buffer_init(&ta, ctx, 1 << 20);
    evs__buffer_init(&tb, ctx, 1 << 20);
    *ret = la->count == lb->count;
    for (size_t i = 0; !status && *ret && i < la->count; i++) {
        evs__buffer_reset(&ta);
        evs__buffer_reset(&tb);
        status = evs__ast_print(la->items[i].expr, &ta);
        if (!status)
            status = evs__ast_print(lb->items[i].expr, &tb);
        *ret = ta.len == tb.len && (!ta.len || memcmp(ta.data, tb.data, ta.len) == 0);
    }
    evs__buffer_free(&ta);
    evs__buffer_free(&tb);
    return status;
}

evs_status evs__plan_is_co_partitioned(const evs__node *node, bool *ret, evs_error **reterr)
{
    const evs__node *root = evs__node_root(node);
    const char *by = evs_config_string(root->config, "key.partitioned_by");
    evs_context *ctx = node->plan->ctx;
    evs__ast_list *la = NULL, *lb = NULL;
    evs_status status;

    *ret = false;
    if (!by || !*node->text)
        return EVS_OK;
    status = evs__ast_parse(ctx, by, true, &la, reterr);
    if (status) {
        evs_error_prefix(ctx, reterr, "option \"key.partitioned_by\": ");
        return status;
    }
    /* columns keep their meaning, and rows their partition, through these only */
    for (const evs__node *n = node->input; n != root; n = n->input) {
        if (n->kind != EVS__NODE_FILTER && n->kind != EVS__NODE_SAMPLE)
            goto out;
    }
    status = evs__ast_parse(ctx, node->text, true, &lb, reterr);
    if (!status && same_lists(ctx, la, lb, ret))
        status = evs__nomem(reterr);
out:
    evs__ast_free(la);
    evs__ast_free(lb);
    return status;
}

evs__on_error evs__plan_on_error(const evs__plan *plan)
{
    const char *value = evs_config_string(plan->config, "on_error");
    if (strcmp(value, "skip") == 0)
        return EVS__ON_ERROR_SKIP;
    return strcmp(value, "fail") == 0 ? EVS__ON_ERROR_FAIL : EVS__ON_ERROR_DEAD_LETTER;
}

const char *evs__plan_application_id(const evs__plan *plan)
{
    const char *id = evs_config_string(plan->config, "application.id");
    return id ? id : plan->name;
}
