/*
 * plan/builder.c: the builder calls of evstream/pipeline.h.
 *
 * Each copies its arguments into a node and checks nothing but that they are there: typing waits
 * for evs_pipeline_check(), when every option and every name is known. The first failure is kept in
 * the plan and the call returns the plan's error stream, on which further calls do nothing.
 */
#include "plan/plan.h"

/* the stream of builder calls without a pipeline; never written */
static const evs__node nowhere = {.kind = EVS__NODE_ERROR};

/* keep the first error; `error` is transferred */
static evs_stream *fail(evs__plan *plan, evs_error *error)
{
    if (plan->error)
        evs_error_unref(error);
    else
        plan->error = error;
    return plan->error_stream;
}

static evs_stream *
fail_text(evs__plan *plan, evs_status status, const char *what, const char *message)
{
    evs_error *e = NULL;
    evs__fail(plan->ctx, &e, status, "%s: %s", what, message);
    return fail(plan, e);
}

/* whether building on `input` may go on; otherwise *ret_end is what the call returns */
static bool may_build(evs__plan *plan, const char *what, evs_stream **ret_end)
{
    *ret_end = plan->error_stream;
    if (plan->frozen) {
        fail_text(plan, EVS_ERR_MISUSE, what, "the pipeline was started: its steps are fixed");
        return false;
    }
    return true;
}

static bool may_build_on(evs_stream *input, const char *what, evs_stream **ret_end)
{
    if (!input || !input->plan) {
        *ret_end = (evs_stream *)&nowhere;
        return false;
    }
    if (!may_build(input->plan, what, ret_end))
        return false;
    if (input->kind == EVS__NODE_ERROR)
        return false;
    return true;
}

/* a copy of `text`; NULL stays NULL */
static bool copy(evs_context *ctx, const char *text, char **ret)
{
    return !text || (*ret = evs__strdup(ctx, text)) != NULL;
}

static evs_stream *step(evs_stream *input, evs__node_kind kind, const char *text, const char *text2)
{
    const char *what = evs__node_kind_name(kind);
    evs_stream *end = NULL;
    evs_error *e = NULL;
    evs__node *n;

    if (!may_build_on(input, what, &end))
        return end;
    n = evs__plan_add(input->plan, kind, input, &e);
    if (!n)
        return fail(input->plan, e);
    if (!copy(n->plan->ctx, text, &n->text) || !copy(n->plan->ctx, text2, &n->text2)) {
        evs__plan_drop_last(n->plan);
        evs__nomem(&e);
        return fail(input->plan, e);
    }
    return n;
}

static evs_status copy_options(evs__node *n, const evs_options *options, evs_error **reterr)
{
    evs_status status = evs_options_new(n->plan->ctx, &n->options, reterr);
    for (size_t i = 0; !status && options && i < options->count; i++) {
        const char *key = options->pairs[2 * i];
        const char *value = options->pairs[2 * i + 1];
        if (!key)
            return evs__fail(n->plan->ctx, reterr, EVS_ERR_INVALID,
                             "the name of an option is NULL");
        status = evs_options_set(n->options, key, value, reterr);
    }
    return status;
}

/* `step.name` names steps that have no stream to name */
static evs_status name_from_options(evs__node *n, evs_error **reterr)
{
    const char *name = evs_options_get(n->options, "step.name");
    char *copied;
    if (!name)
        return EVS_OK;
    for (uint32_t i = 0; i + 1 < n->plan->node_count; i++) {
        if (strcmp(n->plan->nodes[i]->name, name) == 0)
            return evs__fail(n->plan->ctx, reterr, EVS_ERR_INVALID,
                             "option \"step.name\": another step is named \"%s\"", name);
    }
    copied = evs__strdup(n->plan->ctx, name);
    if (!copied)
        return evs__nomem(reterr);
    evs__free(n->plan->ctx, n->name);
    n->name = copied;
    return EVS_OK;
}

static evs_stream *connect_step(evs__plan *plan,
                                evs__node_kind kind,
                                evs__node *input,
                                const char *connector,
                                const evs_options *options)
{
    evs_error *e = NULL;
    evs__node *n;

    if (!connector)
        return fail_text(plan, EVS_ERR_INVALID, evs__node_kind_name(kind), "connector is NULL");
    n = evs__plan_add(plan, kind, input, &e);
    if (!n)
        return fail(plan, e);
    if (!copy(plan->ctx, connector, &n->connector_name))
        evs__nomem(&e);
    else if (!copy_options(n, options, &e))
        name_from_options(n, &e);
    if (e) {
        evs__node_prefix(n, &e);
        evs__plan_drop_last(plan);
        return fail(plan, e);
    }
    return n;
}

evs_stream *evs_source_with_schema(evs_pipeline *pipeline,
                                   const char *connector,
                                   evs_schema *schema,
                                   const evs_options *options)
{
    evs_stream *n, *end = NULL;
    if (!pipeline)
        return (evs_stream *)&nowhere;
    if (!may_build(&pipeline->plan, "source", &end))
        return end;
    n = connect_step(&pipeline->plan, EVS__NODE_SOURCE, NULL, connector, options);
    if (n->kind == EVS__NODE_SOURCE)
        n->given_schema = evs_schema_ref(schema);
    return n;
}

evs_stream *evs_source(evs_pipeline *pipeline, const char *connector, const evs_options *options)
{
    return evs_source_with_schema(pipeline, connector, NULL, options);
}

/* a step whose text must be there */
static evs_stream *
text_step(evs_stream *stream, evs__node_kind kind, const char *what, const char *text)
{
    evs_stream *end = NULL;
    if (!may_build_on(stream, evs__node_kind_name(kind), &end))
        return end;
    if (!text)
        return fail_text(stream->plan, EVS_ERR_INVALID, evs__node_kind_name(kind), what);
    return step(stream, kind, text, NULL);
}

evs_stream *evs_filter(evs_stream *stream, const char *condition)
{
    return text_step(stream, EVS__NODE_FILTER, "condition is NULL", condition);
}

evs_stream *evs_project(evs_stream *stream, const char *expressions)
{
    return text_step(stream, EVS__NODE_PROJECT, "expressions is NULL", expressions);
}

evs_stream *evs_explode(evs_stream *stream, const char *array, const char *alias)
{
    evs_stream *n = text_step(stream, EVS__NODE_EXPLODE, "array is NULL", array);
    evs_error *e = NULL;
    if (n->kind != EVS__NODE_EXPLODE || copy(n->plan->ctx, alias, &n->text2))
        return n;
    evs__plan_drop_last(n->plan);
    evs__nomem(&e);
    return fail(stream->plan, e);
}

evs_stream *evs_apply(evs_stream *stream, const char *out_columns, evs_apply_fn fn, void *user_data)
{
    evs_stream *n, *end = NULL;
    if (!may_build_on(stream, "apply", &end))
        return end;
    if (!fn)
        return fail_text(stream->plan, EVS_ERR_INVALID, "apply", "fn is NULL");
    n = text_step(stream, EVS__NODE_APPLY, "out_columns is NULL", out_columns);
    if (n->kind == EVS__NODE_APPLY) {
        n->apply = fn;
        n->user_data = user_data;
    }
    return n;
}

evs_stream *evs_window_by(evs_stream *stream,
                          const char *keys,
                          const evs_window_options *options,
                          const char *aggregates)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    evs_stream *n, *end = NULL;

    if (!may_build_on(stream, "window", &end))
        return end;
    if (!options || !aggregates)
        return fail_text(stream->plan, EVS_ERR_INVALID, "window",
                         options ? "aggregates is NULL" : "options is NULL");
    if (evs__options_copy(&o, sizeof(o), options))
        return fail_text(stream->plan, EVS_ERR_INVALID, "window",
                         "evs_window_options has a struct_size this library does not know");
    n = step(stream, EVS__NODE_WINDOW, keys ? keys : "", aggregates);
    if (n->kind != EVS__NODE_WINDOW)
        return n;
    if (!copy(n->plan->ctx, o.zone, &n->zone)) {
        evs_error *e = NULL;
        evs__plan_drop_last(stream->plan);
        evs__nomem(&e);
        return fail(stream->plan, e);
    }
    n->window = o;
    n->window.zone = n->zone;
    return n;
}

evs_stream *evs_sample(evs_stream *stream, const char *keys, int64_t one_in)
{
    evs_stream *n = text_step(stream, EVS__NODE_SAMPLE, "keys is NULL", keys);

    if (n->kind == EVS__NODE_SAMPLE)
        n->number = one_in;
    return n;
}

/* a step whose options are copied into `known`, which holds the defaults */
static evs_stream *options_step(evs_stream *stream,
                                evs__node_kind kind,
                                const char *keys,
                                void *known,
                                size_t known_size,
                                const void *options)
{
    const char *what = evs__node_kind_name(kind);
    evs_stream *end = NULL;

    if (!may_build_on(stream, what, &end))
        return end;
    if (!options)
        return fail_text(stream->plan, EVS_ERR_INVALID, what, "options is NULL");
    if (evs__options_copy(known, known_size, options))
        return fail_text(stream->plan, EVS_ERR_INVALID, what,
                         "the options have a struct_size this library does not know");
    return step(stream, kind, keys ? keys : "", NULL);
}

/* the caller's struct of `size` bytes becomes the defaults, as far as both know them */
static void options_init(void *options, size_t size, const void *known, size_t known_size)
{
    if (!options || size < sizeof(size_t))
        return;
    memset(options, 0, size);
    memcpy(options, known, size < known_size ? size : known_size);
    memcpy(options, &size, sizeof(size));
}

void evs_dedup_options_init(evs_dedup_options *options, size_t size)
{
    const evs_dedup_options known = EVS_DEDUP_OPTIONS_INIT;
    options_init(options, size, &known, sizeof(known));
}

evs_stream *evs_dedup(evs_stream *stream, const char *keys, const evs_dedup_options *options)
{
    evs_dedup_options o = EVS_DEDUP_OPTIONS_INIT;
    evs_stream *n = options_step(stream, EVS__NODE_DEDUP, keys, &o, sizeof(o), options);

    if (n->kind == EVS__NODE_DEDUP)
        n->dedup = o;
    return n;
}

void evs_limit_options_init(evs_limit_options *options, size_t size)
{
    const evs_limit_options known = EVS_LIMIT_OPTIONS_INIT;
    options_init(options, size, &known, sizeof(known));
}

evs_stream *evs_limit(evs_stream *stream, const char *keys, const evs_limit_options *options)
{
    evs_limit_options o = EVS_LIMIT_OPTIONS_INIT;
    evs_stream *n = options_step(stream, EVS__NODE_LIMIT, keys, &o, sizeof(o), options);

    if (n->kind == EVS__NODE_LIMIT)
        n->limit = o;
    return n;
}

evs_stream *evs_top(evs_stream *stream, int64_t n, const char *order, const char *per)
{
    evs_stream *s, *end = NULL;

    if (!may_build_on(stream, "top", &end))
        return end;
    if (!order)
        return fail_text(stream->plan, EVS_ERR_INVALID, "top", "order is NULL");
    s = step(stream, EVS__NODE_TOP, per ? per : "", order);
    if (s->kind == EVS__NODE_TOP)
        s->number = n;
    return s;
}

evs_stream *evs_late(evs_stream *window_stream)
{
    evs_stream *end = NULL;
    if (!may_build_on(window_stream, "late", &end))
        return end;
    if (window_stream->kind != EVS__NODE_WINDOW)
        return fail_text(window_stream->plan, EVS_ERR_MISUSE, window_stream->name,
                         "only a window has late rows");
    for (uint32_t i = 0; i < window_stream->output_count; i++) {
        if (window_stream->outputs[i]->kind == EVS__NODE_LATE)
            return window_stream->outputs[i];
    }
    return step(window_stream, EVS__NODE_LATE, NULL, NULL);
}

void evs_sink(evs_stream *stream, const char *connector, const evs_options *options)
{
    evs_stream *end = NULL;
    if (may_build_on(stream, "sink", &end))
        connect_step(stream->plan, EVS__NODE_SINK, stream, connector, options);
}

void evs_each(evs_stream *stream, evs_each_fn fn, void *user_data)
{
    evs_stream *n, *end = NULL;
    if (!may_build_on(stream, "each", &end))
        return;
    if (!fn) {
        fail_text(stream->plan, EVS_ERR_INVALID, "each", "fn is NULL");
        return;
    }
    n = step(stream, EVS__NODE_EACH, NULL, NULL);
    if (n->kind == EVS__NODE_EACH) {
        n->each = fn;
        n->user_data = user_data;
    }
}

void evs_dead_letters(evs_pipeline *pipeline, const char *connector, const evs_options *options)
{
    evs_stream *n, *end = NULL;
    if (!pipeline || !may_build(&pipeline->plan, "dead_letters", &end))
        return;
    if (pipeline->plan.dead_letters) {
        fail_text(&pipeline->plan, EVS_ERR_MISUSE, "dead_letters",
                  "the pipeline has an output for dead letters already");
        return;
    }
    n = connect_step(&pipeline->plan, EVS__NODE_DEAD_LETTERS, NULL, connector, options);
    if (n->kind == EVS__NODE_DEAD_LETTERS)
        pipeline->plan.dead_letters = n;
}

void evs_pipeline_set(evs_pipeline *pipeline, const char *key, const char *value)
{
    evs_error *e = NULL;
    evs_stream *end = NULL;
    if (!pipeline || !may_build(&pipeline->plan, "set", &end))
        return;
    if (!key)
        fail_text(&pipeline->plan, EVS_ERR_INVALID, "set", "the name of an option is NULL");
    else if (evs_options_set(pipeline->plan.options, key, value, &e))
        fail(&pipeline->plan, e);
    else
        pipeline->plan.resolved = false;
}

void evs_stream_name(evs_stream *stream, const char *name)
{
    evs_stream *end = NULL;
    evs__plan *plan;
    char *copied;
    evs_error *e = NULL;

    if (!may_build_on(stream, "name", &end))
        return;
    plan = stream->plan;
    if (!name || !*name) {
        fail_text(plan, EVS_ERR_INVALID, stream->name, "the name of a step is empty");
        return;
    }
    for (uint32_t i = 0; i < plan->node_count; i++) {
        if (plan->nodes[i] != stream && strcmp(plan->nodes[i]->name, name) == 0) {
            evs__fail(plan->ctx, &e, EVS_ERR_INVALID, "%s: another step is named \"%s\"",
                      stream->name, name);
            fail(plan, e);
            return;
        }
    }
    copied = evs__strdup(plan->ctx, name);
    if (!copied) {
        evs__nomem(&e);
        fail(plan, e);
        return;
    }
    evs__free(plan->ctx, stream->name);
    stream->name = copied;
}
