/*
 * runtime/testkit.c: a pipeline between memory ends, driven by a test (evstream/testkit.h).
 *
 * The kit is a host like any other: it polls the pipeline until there is nothing to do, moves the
 * clock through the hook that the library's own tests use, and has the pipeline commit before it
 * looks at rows. A crash releases the runtime, which is what a process that dies does to it, and
 * the next call makes another one of the same plan; what survives is in the ends and in the copy of
 * the last snapshot.
 *
 *   send --(held back, reordered)--> log of the source --poll--> rows of the sink --commit-->
 * expect
 *
 * A failure is kept: whatever is called behind it returns it.
 */
#include "runtime/testkit.h"

#define STEP_MS 500        /* of the clock, when it moves by itself */
#define STEPS_MAX 4096     /* then steps are longer */
#define POLLS_MAX 10000000 /* a pipeline that is never through */
#define OPEN_WAITS 30000   /* milliseconds for what a plan may ask for outside (schema registry) */
#define WHY_MAX ((size_t)64 << 20)

/* ---- hooks ---- */

static int64_t hook_now(void *user)
{
    return ((const evs_testkit *)user)->now_ms;
}

static bool hook_dies(void *user, const char *step)
{
    evs_testkit *kit = user;
    (void)step;
    return kit->dies_in >= 0 && kit->dies_in-- == 0;
}

static evs_status hook_keep(void *user, int64_t epoch, const void *image, size_t len)
{
    evs_testkit *kit = user;

    if (evs__buffer_reserve(&kit->image, len))
        return EVS_ERR_NOMEM;
    evs__buffer_reset(&kit->image);
    evs__buffer_append(&kit->image, image, len);
    kit->epoch = epoch;
    evs__kit_ends_keep(kit);
    return EVS_OK;
}

static int64_t hook_kept(void *user, const void **ret_image, size_t *ret_len)
{
    const evs_testkit *kit = user;
    *ret_image = kit->image.data;
    *ret_len = kit->image.len;
    return kit->epoch;
}

/* ---- making ---- */

static evs_status check_new(const evs_pipeline *pipeline, evs_testkit **ret_kit, evs_error **reterr)
{
    if (!pipeline || !ret_kit)
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "pipeline or ret_kit is NULL");
    if (pipeline->runtime || pipeline->testkit)
        return evs__fail(pipeline->plan.ctx, reterr, EVS_ERR_MISUSE,
                         pipeline->testkit ? "the pipeline is in a test kit already"
                                           : "the pipeline was started already");
    return EVS_OK;
}

/* without its kit a pipeline has nothing to run with */
static void let_go(evs_testkit *kit)
{
    evs_pipeline *pipeline = kit->pipeline;

    if (!pipeline)
        return;
    evs__runtime_free(pipeline->runtime);
    atomic_store(&pipeline->runtime, NULL);
    pipeline->plan.stand_in = NULL;
    pipeline->plan.stand_in_user = NULL;
    pipeline->hooks = (evs__hooks){0};
    pipeline->testkit = NULL;
    if (!pipeline->plan.error)
        evs__fail(kit->ctx, &pipeline->plan.error, EVS_ERR_MISUSE,
                  "the pipeline was in a test kit: make another one");
}

evs_testkit *evs_testkit_close(evs_testkit *kit)
{
    evs_context *ctx;
    evs__kit_event *next;

    if (!kit)
        return NULL;
    ctx = kit->ctx;
    if (kit->pipeline && kit->pipeline->runtime && evs__is_inside(kit->pipeline->runtime)) {
        evs__log(ctx, EVS_LOG_ERROR, "testkit",
                 "evs_testkit_close() was called inside a callback of the pipeline: it is not "
                 "closed");
        return NULL;
    }
    let_go(kit);
    for (evs__kit_event *e = kit->held; e; e = next) {
        next = e->next;
        evs__free(ctx, e);
    }
    evs__kit_ends_free(kit);
    evs__buffer_free(&kit->image);
    evs__buffer_free(&kit->why);
    evs__buffer_free(&kit->row);
    evs_error_unref(kit->error);
    evs__free(ctx, kit);
    evs_context_unref(ctx);
    return NULL;
}

static void put_in(evs_testkit *kit, evs_pipeline *pipeline)
{
    kit->pipeline = pipeline;
    pipeline->testkit = kit;
    pipeline->hooks = (evs__hooks){.now_ms = hook_now,
                                   .dies = hook_dies,
                                   .keep = hook_keep,
                                   .kept = hook_kept,
                                   .no_gaps = true,
                                   .user = kit};
    if (!pipeline->plan.dead_letters)
        evs_dead_letters(pipeline, "memory", EVS_OPTIONS("name", "dead_letters"));
    pipeline->plan.stand_in = evs__kit_stand_in;
    pipeline->plan.stand_in_user = kit;
    pipeline->plan.resolved = false; /* anew, with the stand-ins */
}

evs_status evs_testkit_new(evs_pipeline *pipeline, evs_testkit **ret_kit, evs_error **reterr)
{
    evs_status status = check_new(pipeline, ret_kit, reterr);
    evs_testkit *kit;

    if (!status) /* options, by the real connectors */
        status = evs__plan_check(&pipeline->plan, reterr);
    if (status)
        return status;
    kit = evs__calloc(pipeline->plan.ctx, 1, sizeof(*kit));
    if (!kit)
        return evs__nomem(reterr);
    kit->ctx = evs_context_ref(pipeline->plan.ctx);
    kit->held_tail = &kit->held;
    kit->dies_in = -1;
    evs__buffer_init(&kit->image, kit->ctx, (size_t)16 << 30);
    evs__buffer_init(&kit->why, kit->ctx, WHY_MAX);
    evs__buffer_init(&kit->row, kit->ctx, WHY_MAX);
    put_in(kit, pipeline);
    status = evs__plan_check(&pipeline->plan, reterr);
    if (status)
        evs_testkit_close(kit);
    else
        *ret_kit = kit;
    return status;
}

const char *evs_testkit_error(const evs_testkit *kit)
{
    return kit && kit->error ? evs_error_message(kit->error) : NULL;
}

int64_t evs_testkit_now(const evs_testkit *kit)
{
    return kit ? kit->now_ms : EVS_TIME_NONE;
}

/* ---- running ---- */

/* what every call begins with: EVS_OK, or what failed before */
evs_status evs__kit_begin(evs_testkit *kit)
{
    evs_status status;

    if (!kit)
        return EVS_ERR_INVALID;
    if (kit->error)
        return evs_error_status(kit->error);
    if (!kit->pipeline)
        return evs__fail(kit->ctx, &kit->error, EVS_ERR_MISUSE, "the pipeline was released");
    if (!kit->pipeline->runtime)
        return EVS_OK;
    /* told, but not kept: the pipeline would fail of it */
    status = evs__refuse_inside(kit->pipeline->runtime, "a call of the test kit", NULL);
    return status;
}

/* poll until there is nothing to do */
evs_status evs__kit_settle(evs_testkit *kit)
{
    evs_pipeline *p = kit->pipeline;
    int waits = 0;

    for (int i = 0; i < POLLS_MAX; i++) {
        evs_status status = evs_pipeline_poll(p, 0, &kit->error);
        if (status < 0 || status == EVS_END)
            return status < 0 ? status : EVS_OK;
        if (status == EVS_OK)
            continue;
        if (evs__runtime_phase(p->runtime) != EVS__PHASE_OPENING)
            return EVS_OK;
        if (waits++ == OPEN_WAITS)
            break;
        evs__pause_ms(1);
        kit->now_ms += waits > 100; /* pauses between attempts are on the kit's clock */
    }
    return evs__fail(kit->ctx, &kit->error, EVS_ERR_TIMEOUT, "the pipeline does not get on: %s",
                     evs_pipeline_state(p));
}

evs_status evs__kit_open(evs_testkit *kit)
{
    evs_pipeline *p = kit->pipeline;
    if (p->runtime && evs__runtime_phase(p->runtime) != EVS__PHASE_OPENING)
        return EVS_OK;
    return evs__kit_settle(kit);
}

evs_status evs__kit_run_to(evs_testkit *kit, int64_t time_ms)
{
    int64_t step = evs__time_sub(time_ms, kit->now_ms) / STEPS_MAX;
    evs_status status = EVS_OK;

    if (step < STEP_MS)
        step = STEP_MS;
    while (!status && kit->now_ms < time_ms) {
        int64_t next = evs__time_add(kit->now_ms, step);
        kit->now_ms = next < time_ms ? next : time_ms;
        status = evs__kit_settle(kit);
    }
    return status;
}

/* ---- steps by name ---- */

static bool has_option(const evs__node *n, const char *text)
{
    static const char *const names[] = {"topic", "name", "table", "path", "key", "url"};
    for (size_t i = 0; n->options && i < sizeof(names) / sizeof(*names); i++) {
        const char *value = evs_options_get(n->options, names[i]);
        if (value && strcmp(value, text) == 0)
            return true;
    }
    return false;
}

/* how well a step is named by a text: 3 best, 0 not */
static int named(const evs__node *n, const char *text)
{
    if (strcmp(n->name, text) == 0)
        return 3;
    if (has_option(n, text))
        return 2;
    return n->input && strcmp(n->input->name, text) == 0;
}

evs__kit_end *evs__kit_find(evs_testkit *kit, const char *text, bool source)
{
    const evs__plan *plan = &kit->pipeline->plan;
    const evs__node *found = NULL;
    int best = 0, count = 0;

    if (!text) {
        evs__fail(kit->ctx, &kit->error, EVS_ERR_INVALID, "the name of a %s is NULL",
                  source ? "source" : "sink");
        return NULL;
    }
    for (uint32_t i = 0; i < plan->node_count; i++) {
        const evs__node *n = plan->nodes[i];
        int how;
        if (!n->connector_name || (n->kind == EVS__NODE_SOURCE) != source)
            continue;
        how = named(n, text);
        if (how > best) {
            best = how;
            count = 0;
            found = n;
        }
        count += how && how == best;
    }
    if (count == 1)
        return evs__kit_end_of(kit, found);
    evs__fail(kit->ctx, &kit->error, count ? EVS_ERR_INVALID : EVS_ERR_NOT_FOUND,
              count ? "\"%s\" names several %s: set step.name" : "\"%s\" names no %s", text,
              count ? (source ? "sources" : "sinks") : (source ? "source" : "sink"));
    return NULL;
}

/* ---- time ---- */

evs_status evs_testkit_advance(evs_testkit *kit, int64_t ms)
{
    evs_status status = evs__kit_begin(kit);

    if (status)
        return status;
    if (ms < 0)
        return evs__fail(kit->ctx, &kit->error, EVS_ERR_INVALID, "time does not go back");
    kit->begun = true;
    status = evs__kit_deliver(kit);
    if (!status)
        status = evs__kit_settle(kit);
    return status ? status : evs__kit_run_to(kit, evs__time_add(kit->now_ms, ms));
}

evs_status evs_testkit_end(evs_testkit *kit)
{
    evs_status status = evs__kit_begin(kit);

    if (!status)
        status = evs__kit_deliver(kit);
    if (status)
        return status;
    for (evs__kit_end *end = kit->ends; end; end = end->next) {
        if (end->log)
            evs__log_end(end->log);
    }
    return evs__kit_settle(kit);
}

/* ---- expectations ---- */

/* everything that was sent is processed and committed */
static evs_status commit(evs_testkit *kit)
{
    evs_status status = evs__kit_deliver(kit);

    if (!status)
        status = evs__kit_settle(kit);
    if (!status)
        status = evs_pipeline_commit(kit->pipeline, &kit->error);
    return status;
}

static bool explain(evs_testkit *kit, evs_status status, const char **ret_why)
{
    const char *why = kit ? evs_testkit_error(kit) : "kit is NULL";

    if (!why && status < 0)
        why = evs_status_text(status);
    if (!why && status)
        why = evs__buffer_cstr(&kit->why);
    if (ret_why)
        *ret_why = status ? (why ? why : "out of memory") : NULL;
    return status == EVS_OK;
}

/* "sink \"views\"" into kit->row, for texts */
static const char *call_it(evs_testkit *kit, const evs__kit_end *end)
{
    const char *text;
    evs__buffer_reset(&kit->row);
    evs__buffer_printf(&kit->row, "step \"%s\"", end->node->name);
    text = evs__buffer_cstr(&kit->row);
    return text ? text : "sink";
}

bool evs_testkit_expect(evs_testkit *kit, const char *sink, const char *json, const char **ret_why)
{
    evs_status status = evs__kit_begin(kit);
    evs__kit_end *end;

    if (!status && !json)
        status = evs__fail(kit->ctx, &kit->error, EVS_ERR_INVALID, "json is NULL");
    if (!status)
        status = commit(kit);
    if (!status) {
        end = evs__kit_find(kit, sink, false);
        status = end ? evs__kit_match(kit, &end, 1, false, call_it(kit, end), json, &kit->error)
                     : evs_error_status(kit->error);
    }
    return explain(kit, status, ret_why);
}

static evs__kit_row *next_row(evs__kit_end *end)
{
    for (size_t i = 0; i < end->count; i++) {
        if (!end->rows[i].taken)
            return &end->rows[i];
    }
    return NULL;
}

bool evs_testkit_expect_none(evs_testkit *kit, const char *sink, const char **ret_why)
{
    evs_status status = evs__kit_begin(kit);
    evs__kit_end *end = NULL;
    evs__kit_row *row = NULL;

    if (!status)
        status = commit(kit);
    if (!status && !(end = evs__kit_find(kit, sink, false)))
        status = evs_error_status(kit->error);
    if (!status && (row = next_row(end))) {
        const char *text = evs__kit_row_text(end, row, &kit->error);
        status = EVS_END;
        evs__buffer_reset(&kit->why);
        evs__buffer_printf(&kit->why, "%s: a row that was not expected: %s", call_it(kit, end),
                           text ? text : "");
    }
    return explain(kit, status, ret_why);
}

static evs__kit_end *letters_of(evs_testkit *kit)
{
    return evs__kit_end_of(kit, kit->pipeline->plan.dead_letters);
}

bool evs_testkit_expect_dead_letter(evs_testkit *kit, const char *json, const char **ret_why)
{
    evs_status status = evs__kit_begin(kit);

    if (!status && !json)
        status = evs__fail(kit->ctx, &kit->error, EVS_ERR_INVALID, "json is NULL");
    if (!status)
        status = commit(kit);
    if (!status) {
        evs__kit_end *end = letters_of(kit);
        status = evs__kit_match(kit, &end, 1, false, "dead letters", json, &kit->error);
    }
    return explain(kit, status, ret_why);
}

static bool is_late(const evs__node *n)
{
    for (; n; n = n->input) {
        if (n->kind == EVS__NODE_LATE)
            return true;
    }
    return false;
}

/* sinks behind evs_late(), and the dead letters */
static evs_status match_late(evs_testkit *kit, const char *json)
{
    const evs__plan *plan = &kit->pipeline->plan;
    evs__kit_end **ends = evs__calloc(kit->ctx, plan->node_count, sizeof(evs__kit_end *));
    size_t count = 0;
    evs_status status;

    if (!ends)
        return evs__nomem(&kit->error);
    for (uint32_t i = 0; i < plan->node_count; i++) {
        const evs__node *n = plan->nodes[i];
        if (n->kind == EVS__NODE_DEAD_LETTERS || (n->kind == EVS__NODE_SINK && is_late(n)))
            ends[count++] = evs__kit_end_of(kit, n);
    }
    status = evs__kit_match(kit, ends, count, true, "late rows", json, &kit->error);
    evs__free(kit->ctx, ends);
    return status;
}

bool evs_testkit_expect_late(evs_testkit *kit, const char *json, const char **ret_why)
{
    evs_status status = evs__kit_begin(kit);

    if (!status && !json)
        status = evs__fail(kit->ctx, &kit->error, EVS_ERR_INVALID, "json is NULL");
    if (!status)
        status = commit(kit);
    if (!status)
        status = match_late(kit, json);
    return explain(kit, status, ret_why);
}

evs_status evs_testkit_next(evs_testkit *kit, const char *sink, const char **ret_json)
{
    evs_status status = evs__kit_begin(kit);
    evs__kit_end *end;
    evs__kit_row *row;

    if (!status && !ret_json)
        status = EVS_ERR_INVALID;
    if (!status)
        status = commit(kit);
    if (status)
        return status;
    end = evs__kit_find(kit, sink, false);
    if (!end)
        return evs_error_status(kit->error);
    row = next_row(end);
    if (!row)
        return EVS_END;
    *ret_json = evs__kit_row_text(end, row, &kit->error);
    if (!*ret_json)
        return evs_error_status(kit->error);
    row->taken = true;
    return EVS_OK;
}

/* ---- injections ---- */

evs_status evs_testkit_reorder(evs_testkit *kit, uint64_t seed, int64_t max_ms)
{
    evs_status status = evs__kit_begin(kit);

    if (!status && max_ms < 0)
        status = evs__fail(kit->ctx, &kit->error, EVS_ERR_INVALID, "max_ms is negative");
    if (status)
        return status;
    kit->random = seed;
    kit->reorder_ms = max_ms;
    return max_ms ? EVS_OK : evs__kit_deliver(kit);
}

/* the process is gone, and there again */
static evs_status restart(evs_testkit *kit)
{
    evs_pipeline *p = kit->pipeline;

    evs__runtime_free(p->runtime);
    atomic_store(&p->runtime, NULL);
    evs__kit_ends_crash(kit);
    return evs__kit_settle(kit);
}

evs_status evs_testkit_crash_and_restore(evs_testkit *kit)
{
    evs_status status = evs__kit_begin(kit);
    return status ? status : restart(kit);
}

evs_status evs_testkit_crash_in_commit(evs_testkit *kit, int32_t step)
{
    evs_status status = evs__kit_begin(kit);
    evs_error *e = NULL;

    if (!status && step < 0)
        status = evs__fail(kit->ctx, &kit->error, EVS_ERR_INVALID, "step is negative");
    if (!status)
        status = evs__kit_deliver(kit);
    if (!status)
        status = evs__kit_settle(kit);
    if (status)
        return status;
    kit->dies_in = step;
    status = evs_pipeline_commit(kit->pipeline, &e);
    kit->dies_in = -1;
    if (kit->pipeline->runtime->died) {
        evs_error_unref(e);
        return restart(kit);
    }
    return status ? evs__error_move(&kit->error, e) : EVS_END;
}
