/*
 * The plan: builder errors, options, typing, what is decoded, guarantees, fingerprint, explain.
 */
#include "pipeline_kit.h"

static evs_status no_event(const evs_row *row, void *user_data)
{
    (void)row;
    (void)user_data;
    return EVS_OK;
}

static evs_window_options minute(void)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    o.size_ms = 60000;
    return o;
}

#define COLUMNS                                                                                    \
    "page VARCHAR, user VARCHAR NOT NULL, ms BIGINT, items ARRAY<STRUCT<sku VARCHAR, q INT>>"

static evs_stream *source(kit *k)
{
    return evs_source(kit_pipeline(k), "memory", EVS_OPTIONS("columns", COLUMNS));
}

/* ---- builder ---- */

static void test_builder_without_a_pipeline_gives_a_stream_that_swallows(void **state)
{
    evs_window_options o = minute();
    evs_stream *s = evs_source(NULL, "memory", NULL);
    (void)state;
    assert_non_null(s);
    s = evs_window_by(evs_project(evs_filter(s, "x"), "y"), "z", &o, "count(*)");
    s = evs_late(evs_explode(evs_apply(s, "a INT", NULL, NULL), "b", NULL));
    assert_non_null(s);
    assert_non_null(evs_filter(NULL, "x"));
    evs_sink(s, "memory", NULL);
    evs_each(s, no_event, NULL);
    evs_stream_name(s, "n");
    evs_dead_letters(NULL, "memory", NULL);
    evs_pipeline_set(NULL, "a", "b");
    assert_null(evs_stream_type(s));
}

static void test_builder_keeps_the_first_error(void **state)
{
    kit *k = *state;
    evs_stream *bad, *s = source(k);
    bad = evs_filter(s, NULL);
    assert_non_null(bad);
    assert_ptr_equal(evs_filter(bad, "x > 1"), bad);
    evs_project(s, NULL);
    FAILS(evs_pipeline_check(k->p, &k->err), EVS_ERR_INVALID, "filter: condition is NULL");
    FAILS(evs_pipeline_poll(k->p, 0, &k->err), EVS_ERR_INVALID, "filter: condition is NULL");
    FAILS(evs_pipeline_start(k->p, 1, &k->err), EVS_ERR_INVALID, "filter: condition is NULL");
}

static void build_nothing(kit *k, evs_stream *s)
{
    (void)k;
    (void)s;
}
static void build_source(kit *k, evs_stream *s)
{
    (void)s;
    evs_source(k->p, NULL, NULL);
}
static void build_null_option(kit *k, evs_stream *s)
{
    (void)s;
    evs_source(k->p, "memory", EVS_OPTIONS("columns", NULL));
}
static void build_apply(kit *k, evs_stream *s)
{
    (void)k;
    evs_apply(s, "a INT", NULL, NULL);
}
static void build_window(kit *k, evs_stream *s)
{
    (void)k;
    evs_window_by(s, "page", NULL, "count(*)");
}
static void build_window_size(kit *k, evs_stream *s)
{
    evs_window_options o = minute();
    (void)k;
    o.struct_size = 3;
    evs_window_by(s, "page", &o, "count(*)");
}
static void build_late(kit *k, evs_stream *s)
{
    (void)k;
    evs_late(s);
}
static void build_each(kit *k, evs_stream *s)
{
    (void)k;
    evs_each(s, NULL, NULL);
}
static void build_letters_twice(kit *k, evs_stream *s)
{
    (void)s;
    evs_dead_letters(k->p, "memory", EVS_OPTIONS("name", "a"));
    evs_dead_letters(k->p, "memory", EVS_OPTIONS("name", "b"));
}
static void build_set(kit *k, evs_stream *s)
{
    (void)s;
    evs_pipeline_set(k->p, "state.dir", NULL);
}
static void build_same_name(kit *k, evs_stream *s)
{
    (void)k;
    evs_stream_name(evs_filter(s, "ms > 1"), "source_1");
}
static void build_unknown_option(kit *k, evs_stream *s)
{
    (void)s;
    evs_source(k->p, "memory", EVS_OPTIONS("columns", "a INT", "out_of_ordernes", "1s"));
}
static void build_unknown_pipeline_option(kit *k, evs_stream *s)
{
    (void)s;
    evs_pipeline_set(k->p, "commit.interval", "1s");
}
static void build_bad_value(kit *k, evs_stream *s)
{
    (void)s;
    evs_pipeline_set(k->p, "commit.interval.ms", "soon");
}
static void build_bad_application(kit *k, evs_stream *s)
{
    (void)s;
    evs_pipeline_set(k->p, "application.id", "../x");
}
static void build_unknown_connector(kit *k, evs_stream *s)
{
    (void)k;
    evs_sink(s, "upsrt", NULL);
}
static void build_sink_as_source(kit *k, evs_stream *s)
{
    (void)s;
    evs_source(k->p, "txn", NULL);
}
static void build_source_as_sink(kit *k, evs_stream *s)
{
    (void)k;
    evs_sink(s, "callback", NULL);
}
static void build_missing_option(kit *k, evs_stream *s)
{
    (void)k;
    evs_sink(s, "memory", NULL);
}
static void build_unknown_field(kit *k, evs_stream *s)
{
    (void)k;
    evs_filter(s, "pag = 'x'");
}
static void build_wrong_type(kit *k, evs_stream *s)
{
    (void)k;
    evs_filter(s, "ms");
}
static void build_unknown_aggregate_field(kit *k, evs_stream *s)
{
    evs_window_options o = minute();
    (void)k;
    evs_stream_name(evs_window_by(s, "page", &o, "sum(mss) AS x"), "per_page");
}
static void build_window_over_changes(kit *k, evs_stream *s)
{
    evs_window_options o = minute();
    (void)k;
    evs_window_by(evs_window_by(s, "page", &o, "count(*) AS c"), "page", &o, "sum(c) AS s");
}
static void build_window_over_late(kit *k, evs_stream *s)
{
    evs_window_options o = minute();
    (void)k;
    evs_window_by(evs_late(evs_window_by(s, "page", &o, "count(*) AS c")), "page", &o, "count(*)");
}
static void build_event_time_field(kit *k, evs_stream *s)
{
    (void)s;
    evs_source(k->p, "memory", EVS_OPTIONS("columns", "a INT", "event.time", "at"));
}
static void build_event_time_type(kit *k, evs_stream *s)
{
    (void)s;
    evs_source(k->p, "memory", EVS_OPTIONS("columns", "a BOOLEAN", "event.time", "a"));
}
static void build_event_time_iso_number(kit *k, evs_stream *s)
{
    (void)s;
    evs_source(k->p, "memory",
               EVS_OPTIONS("columns", "a BIGINT", "event.time", "a", "event.time.unit", "iso"));
}
static void build_event_time_text_ms(kit *k, evs_stream *s)
{
    (void)s;
    evs_source(k->p, "memory",
               EVS_OPTIONS("columns", "a VARCHAR", "event.time", "a", "event.time.unit", "ms"));
}
static void build_unit_alone(kit *k, evs_stream *s)
{
    (void)s;
    evs_source(k->p, "memory", EVS_OPTIONS("columns", "a INT", "event.time.unit", "ms"));
}
static void build_apply_path(kit *k, evs_stream *s)
{
    (void)k;
    evs_apply(s, "a INT '$.x'", (evs_apply_fn)(void (*)(void))no_event, NULL);
}
static void build_registry_option(kit *k, evs_stream *s)
{
    (void)s;
    evs_pipeline_set(k->p, "schema.registry.ulr", "memory:");
}

static void test_check_says_what_and_where(void **state)
{
    kit *k = *state;
    static const struct {
        void (*build)(kit *k, evs_stream *s);
        evs_status status;
        const char *part;
    } cases[] = {
        {build_nothing, EVS_OK, NULL},
        {build_source, EVS_ERR_INVALID, "source: connector is NULL"},
        {build_null_option, EVS_ERR_INVALID,
         "step \"source_2\": option \"columns\": the value is NULL"},
        {build_apply, EVS_ERR_INVALID, "apply: fn is NULL"},
        {build_window, EVS_ERR_INVALID, "window: options is NULL"},
        {build_window_size, EVS_ERR_INVALID, "struct_size"},
        {build_late, EVS_ERR_MISUSE, "source_1: only a window has late rows"},
        {build_each, EVS_ERR_INVALID, "each: fn is NULL"},
        {build_letters_twice, EVS_ERR_MISUSE, "dead_letters: the pipeline has an output"},
        {build_set, EVS_ERR_INVALID, "option \"state.dir\": the value is NULL"},
        {build_same_name, EVS_ERR_INVALID, "another step is named \"source_1\""},
        {build_unknown_option, EVS_ERR_CONFIG,
         "step \"source_2\": source \"memory\": unknown option \"out_of_ordernes\" (did you mean "
         "\"out_of_orderness\"?)"},
        {build_unknown_pipeline_option, EVS_ERR_CONFIG, "did you mean \"commit.interval.ms\""},
        {build_bad_value, EVS_ERR_CONFIG, "\"soon\" is not a duration"},
        {build_bad_application, EVS_ERR_CONFIG, "option \"application.id\": \"../x\""},
        {build_unknown_connector, EVS_ERR_NOT_FOUND,
         "step \"sink_1\": unknown connector \"upsrt\" (did you mean \"upsert\"?)"},
        {build_sink_as_source, EVS_ERR_UNSUPPORTED,
         "step \"source_2\": connector \"txn\" is no source"},
        {build_source_as_sink, EVS_ERR_UNSUPPORTED, "connector \"callback\" is no sink"},
        {build_missing_option, EVS_ERR_CONFIG, "step \"sink_1\": sink \"memory\""},
        {build_unknown_field, EVS_ERR_EXPRESSION, "step \"filter_1\": "},
        {build_wrong_type, EVS_ERR_TYPE, "step \"filter_1\": "},
        {build_unknown_aggregate_field, EVS_ERR_EXPRESSION, "step \"per_page\": "},
        {build_window_over_changes, EVS_ERR_UNSUPPORTED,
         "step \"window_2\": it would count each update"},
        {build_window_over_late, EVS_ERR_UNSUPPORTED, "late rows would refuse"},
        {build_event_time_field, EVS_ERR_EXPRESSION, "step \"source_2\": option \"event.time\": "},
        {build_event_time_type, EVS_ERR_TYPE, "neither a time, a number nor text"},
        {build_event_time_iso_number, EVS_ERR_CONFIG, "iso is text"},
        {build_event_time_text_ms, EVS_ERR_CONFIG, "ms is for numbers"},
        {build_unit_alone, EVS_ERR_CONFIG, "\"event.time\" is not"},
        {build_apply_path, EVS_ERR_SCHEMA, "have no JSON path"},
        {build_registry_option, EVS_ERR_CONFIG, "schema.registry.url"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        cases[i].build(k, source(k));
        if (cases[i].status)
            FAILS(evs_pipeline_check(k->p, &k->err), cases[i].status, cases[i].part);
        else
            OK(evs_pipeline_check(k->p, &k->err));
    }
}

static void test_check_without_a_source_is_an_error(void **state)
{
    kit *k = *state;
    FAILS(evs_pipeline_check(kit_pipeline(k), &k->err), EVS_ERR_CONFIG, "\"p\" has no source");
}

static void test_check_unknown_field_lists_fields_and_position(void **state)
{
    kit *k = *state;
    evs_filter(source(k), "ms > 1 AND pag = 'x'");
    assert_int_equal(evs_pipeline_check(k->p, &k->err), EVS_ERR_EXPRESSION);
    assert_non_null(strstr(evs_error_message(k->err), "\"page\""));
    assert_string_equal(evs_error_origin(k->err), "column 12");
}

static void test_builder_after_start_is_misuse(void **state)
{
    kit *k = *state;
    evs_stream *s = source(k);
    assert_int_equal(evs_pipeline_poll(k->p, 0, &k->err), EVS_OK);
    assert_non_null(evs_filter(s, "ms > 1"));
    evs_pipeline_set(k->p, "on_error", "skip");
    evs_sink(s, "memory", NULL);
    assert_int_equal(evs_pipeline_poll(k->p, 0, &k->err), EVS_AGAIN);
    assert_string_equal(evs_pipeline_state(k->p), "running");
    assert_int_equal(evs_error_status(k->p->plan.error), EVS_ERR_MISUSE);
}

/* ---- types ---- */

static void test_stream_type_follows_the_steps(void **state)
{
    kit *k = *state;
    evs_window_options o = minute();
    evs_stream *s = source(k);
    evs_stream *w = evs_window_by(s, "page", &o, "count(*) AS c, max(ms) AS m");
    assert_string_equal(
        evs_type_print(evs_stream_type(w)),
        "STRUCT<page VARCHAR NOT NULL, window_start TIMESTAMP NOT NULL, window_end TIMESTAMP NOT "
        "NULL, c BIGINT NOT NULL, m BIGINT> NOT NULL");
    assert_true(evs_type_field_index(evs_stream_type(evs_late(w)), "lateness_ms", 11) >= 0);
}

static void test_stream_type_unknown_until_start_is_null(void **state)
{
    kit *k = *state;
    evs_stream *s = evs_source(kit_pipeline(k), "memory", NULL);
    assert_null(evs_stream_type(s));
    assert_null(evs_stream_type(evs_filter(s, "a > 1")));
    OK(evs_pipeline_check(k->p, &k->err));
    assert_string_equal(evs_pipeline_fingerprint(k->p), "");
}

static void test_meta_columns_appear_when_they_are_named(void **state)
{
    kit *k = *state;
    evs_stream *s = source(k);
    const evs_type *before = evs_stream_type(s);
    size_t count = evs_type_child_count(before);
    evs_filter(s, "_partition = 1 AND _key IS NOT NULL");
    assert_int_equal(evs_type_child_count(evs_stream_type(s)), count + 2);
    /* the type that was given before lives on */
    assert_int_equal(evs_type_child_count(before), count);
    OK(evs_pipeline_check(k->p, &k->err));
}

/* ---- what is decoded ---- */

static void wanted(kit *k, evs_stream *s, const char *want)
{
    OK(evs__plan_resolve(&k->p->plan, true, &k->err));
    OK(evs__plan_prune(&k->p->plan, &k->err));
    assert_string_equal(evs_type_print(s->wanted), want);
}

static void test_prune_window_needs_keys_and_arguments(void **state)
{
    kit *k = *state;
    evs_window_options o = minute();
    evs_stream *s = source(k);
    evs_window_by(evs_filter(s, "ms > 1"), "page", &o, "count(*) AS c");
    wanted(k, s, "STRUCT<page VARCHAR, ms BIGINT> NOT NULL");
}

static void test_prune_nothing_needed_keeps_the_cheapest(void **state)
{
    kit *k = *state;
    evs_window_options o = minute();
    evs_stream *s = source(k);
    evs_window_by(s, "", &o, "count(*) AS c");
    wanted(k, s, "STRUCT<ms BIGINT> NOT NULL");
}

static void test_prune_sink_late_and_star_need_all(void **state)
{
    kit *k = *state;
    evs_window_options o = minute();
    evs_stream *s = source(k);
    size_t all;
    evs_each(s, no_event, NULL);
    OK(evs__plan_resolve(&k->p->plan, true, &k->err));
    OK(evs__plan_prune(&k->p->plan, &k->err));
    all = s->wanted->child_count;
    assert_int_equal(all, 4);
    s = source(k);
    evs_each(evs_late(evs_window_by(s, "page", &o, "count(*) AS c")), no_event, NULL);
    OK(evs__plan_resolve(&k->p->plan, true, &k->err));
    OK(evs__plan_prune(&k->p->plan, &k->err));
    assert_int_equal(s->wanted->child_count, all);
    s = source(k);
    evs_each(evs_project(s, "*, ms + 1 AS more"), no_event, NULL);
    OK(evs__plan_resolve(&k->p->plan, true, &k->err));
    OK(evs__plan_prune(&k->p->plan, &k->err));
    assert_int_equal(s->wanted->child_count, all);
}

static void test_prune_explode_needs_its_array(void **state)
{
    kit *k = *state;
    evs_window_options o = minute();
    evs_stream *s = source(k);
    evs_window_by(evs_explode(s, "items", "i"), "user", &o, "count(*) AS c");
    wanted(k, s, "STRUCT<user VARCHAR NOT NULL, items ARRAY<STRUCT<sku VARCHAR, q INT>>> NOT NULL");
}

static void test_prune_event_time_is_needed(void **state)
{
    kit *k = *state;
    evs_window_options o = minute();
    evs_stream *s =
        evs_source(kit_pipeline(k), "memory", EVS_OPTIONS("columns", COLUMNS, "event.time", "ms"));
    evs_window_by(s, "page", &o, "count(*) AS c");
    wanted(k, s, "STRUCT<page VARCHAR, ms BIGINT> NOT NULL");
}

/* ---- fingerprint ---- */

static const char *print_of(kit *k,
                            const char *condition,
                            const char *keys,
                            const char *aggregates,
                            const char *extra,
                            const char *value)
{
    static char copy[40];
    evs_window_options o = minute();
    evs_stream *s = evs_source(kit_pipeline(k), "memory",
                               extra ? EVS_OPTIONS("columns", COLUMNS, extra, value)
                                     : EVS_OPTIONS("columns", COLUMNS));
    evs_stream *w = evs_window_by(evs_filter(s, condition), keys, &o, aggregates);
    evs_sink(w, value && strcmp(value, "3") == 0 ? "upsert" : "txn", NULL);
    OK(evs_pipeline_check(k->p, &k->err));
    strcpy(copy, evs_pipeline_fingerprint(k->p));
    assert_int_equal(strlen(copy), 32);
    return copy;
}

static void test_fingerprint_is_of_what_is_computed(void **state)
{
    kit *k = *state;
    char base[40];
    strcpy(base, print_of(k, "ms > 1", "page", "count(*) AS c", NULL, NULL));
    /* spelling, sinks, and how it runs do not matter */
    assert_string_equal(print_of(k, "ms  >1", " page ", "COUNT( * )  as c", NULL, NULL), base);
    assert_string_equal(print_of(k, "ms > 1", "page", "count(*) AS c", "partitions", "3"), base);
    /* what is computed does */
    assert_string_not_equal(print_of(k, "ms > 2", "page", "count(*) AS c", NULL, NULL), base);
    assert_string_not_equal(print_of(k, "ms > 1", "user", "count(*) AS c", NULL, NULL), base);
    assert_string_not_equal(print_of(k, "ms > 1", "page", "count(*) AS d", NULL, NULL), base);
    assert_string_not_equal(print_of(k, "ms > 1", "page", "count(*) AS c", "event.time", "ms"),
                            base);
    assert_string_not_equal(print_of(k, "ms > 1", "page", "count(*) AS c", "time", "stream"), base);
}

/* ---- guarantees and explain ---- */

static evs_guarantee guarantee_of(kit *k, const char *step)
{
    const char *why = NULL;
    for (uint32_t i = 0; i < k->p->plan.node_count; i++) {
        if (strcmp(k->p->plan.nodes[i]->name, step) == 0)
            return evs__plan_guarantee(k->p->plan.nodes[i], &why);
    }
    fail_msg("no step %s", step);
    return EVS__GUARANTEE_NONE;
}

static void test_guarantee_of_each_sink(void **state)
{
    kit *k = *state;
    evs_window_options o = minute();
    evs_stream *s = source(k);
    evs_stream *w = evs_window_by(s, "page", &o, "count(*) AS c");
    evs_sink(w, "upsert", NULL);
    evs_sink(w, "txn", NULL);
    evs_sink(w, "txn", NULL);
    evs_sink(evs_late(w), "txn", NULL);
    evs_each(w, no_event, NULL);
    evs_dead_letters(k->p, "memory", EVS_OPTIONS("name", "letters"));
    evs_sink(s, "memory", EVS_OPTIONS("name", "raw"));
    OK(evs_pipeline_check(k->p, &k->err));
    assert_int_equal(guarantee_of(k, "sink_1"), EVS__GUARANTEE_NONE);
    assert_int_equal(guarantee_of(k, "sink_5"), EVS_GUARANTEE_AT_LEAST_ONCE);
    evs_pipeline_set(k->p, "state.dir", k->dir);
    OK(evs_pipeline_check(k->p, &k->err));
    assert_int_equal(guarantee_of(k, "sink_1"), EVS_GUARANTEE_IDEMPOTENT);
    assert_int_equal(guarantee_of(k, "sink_2"), EVS_GUARANTEE_TRANSACTIONAL);
    assert_int_equal(guarantee_of(k, "sink_3"), EVS_GUARANTEE_AT_LEAST_ONCE);
    assert_int_equal(guarantee_of(k, "sink_4"), EVS_GUARANTEE_AT_LEAST_ONCE);
    assert_int_equal(guarantee_of(k, "each_1"), EVS_GUARANTEE_AT_LEAST_ONCE);
    assert_int_equal(guarantee_of(k, "dead_letters"), EVS_GUARANTEE_AT_LEAST_ONCE);
}

static bool is_one_database(const evs_config *a, const evs_config *b)
{
    return strcmp(evs_config_string(a, "db"), evs_config_string(b, "db")) == 0;
}

/* sinks of one store are as good as the one that holds the offsets */
static void test_guarantee_of_sinks_that_share_a_transaction(void **state)
{
    kit *k = *state;
    static evs_sink_functions functions;
    static const evs_connector store = {sizeof(store), "store", "", NULL, &functions};
    const char *text = NULL;
    evs_stream *s = source(k);

    functions = txn_functions;
    functions.shares_transaction = is_one_database;
    OK(evs_connector_register(k->ctx, &store, &k->err));
    evs_sink(s, "store", EVS_OPTIONS("db", "one"));
    evs_sink(s, "store", EVS_OPTIONS("db", "one"));
    evs_sink(s, "store", EVS_OPTIONS("db", "two"));
    evs_sink(s, "store", EVS_OPTIONS("db", "two"));
    evs_sink(s, "txn", EVS_OPTIONS("db", "one"));
    OK(evs_pipeline_check(k->p, &k->err));
    assert_int_equal(guarantee_of(k, "sink_1"), EVS_GUARANTEE_TRANSACTIONAL);
    assert_int_equal(guarantee_of(k, "sink_2"), EVS_GUARANTEE_TRANSACTIONAL);
    assert_int_equal(guarantee_of(k, "sink_3"), EVS_GUARANTEE_AT_LEAST_ONCE);
    assert_int_equal(guarantee_of(k, "sink_4"), EVS_GUARANTEE_AT_LEAST_ONCE);
    assert_int_equal(guarantee_of(k, "sink_5"), EVS_GUARANTEE_AT_LEAST_ONCE);
    OK(evs_pipeline_explain(k->p, &text, &k->err));
    assert_non_null(strstr(text, "exactly once (results are in the transaction that holds epoch"));
    /* a connector built before there was such a function */
    functions.struct_size = offsetof(evs_sink_functions, shares_transaction);
    assert_int_equal(guarantee_of(k, "sink_1"), EVS_GUARANTEE_TRANSACTIONAL);
    assert_int_equal(guarantee_of(k, "sink_2"), EVS_GUARANTEE_AT_LEAST_ONCE);
}

static void test_guarantee_of_a_source_that_forgets(void **state)
{
    kit *k = *state;
    evs_sink(evs_source(kit_pipeline(k), "callback", EVS_OPTIONS("columns", "a INT")), "txn", NULL);
    OK(evs_pipeline_check(k->p, &k->err));
    assert_int_equal(guarantee_of(k, "sink_1"), EVS__GUARANTEE_NONE);
}

static void test_guarantee_processing_time_is_not_repeatable(void **state)
{
    kit *k = *state;
    evs_window_options o = minute();
    o.time = EVS_TIME_PROCESSING;
    evs_sink(evs_window_by(source(k), "page", &o, "count(*) AS c"), "upsert", NULL);
    evs_pipeline_set(k->p, "state.dir", k->dir);
    OK(evs_pipeline_check(k->p, &k->err));
    assert_int_equal(guarantee_of(k, "sink_1"), EVS_GUARANTEE_AT_LEAST_ONCE);
}

static const evs_option_info secret_options[] = {
    {"password", NULL, NULL, "Secret", "0.1", 0, 0, EVS_OPTION_SECRET, 0},
    {"url", NULL, NULL, "Where", "0.1", 0, 0, EVS_OPTION_STRING, 0},
    {0},
};

static void test_explain_shows_the_plan_and_no_secrets(void **state)
{
    kit *k = *state;
    static evs_sink_functions functions;
    static const evs_connector vault = {sizeof(vault), "vault", "", NULL, &functions};
    evs_window_options o = minute();
    const char *text = NULL;
    evs_stream *w;

    functions = upsert_functions;
    functions.options = secret_options;
    OK(evs_connector_register(k->ctx, &vault, &k->err));
    w = evs_window_by(evs_filter(source(k), "ms > 1"), "page", &o, "count(*) AS c");
    evs_sink(w, "vault", EVS_OPTIONS("password", "hush", "url", "db://x"));
    evs_pipeline_set(k->p, "vault.retries", "7");
    OK(evs_pipeline_explain(k->p, &text, &k->err));
    assert_null(strstr(text, "hush"));
    assert_non_null(strstr(text, "url = db://x"));
    assert_non_null(strstr(text, "vault.retries = 7"));
    assert_non_null(strstr(text, "source_1: memory"));
    assert_non_null(strstr(text, "  filter_1: ms > 1"));
    assert_non_null(strstr(text, "    window_1: count(*) AS c by (page)"));
    assert_non_null(strstr(text, "exchange: 4 shards by key"));
    assert_non_null(strstr(text, "late rows: dead letters"));
    assert_non_null(strstr(text, "      sink_1: vault"));
    assert_non_null(strstr(text, "guarantee: none (without state.dir"));
    assert_non_null(strstr(text, "warning: no state.dir"));
    assert_non_null(strstr(text, "dead letters: counted and logged"));
    evs_pipeline_set(k->p, "state.dir", k->dir);
    OK(evs_pipeline_explain(k->p, &text, &k->err));
    assert_non_null(strstr(text, "guarantee: exactly once in effect"));
}

static void test_explain_of_a_wrong_plan_is_its_error(void **state)
{
    kit *k = *state;
    const char *text = NULL;
    evs_filter(source(k), "nope");
    FAILS(evs_pipeline_explain(k->p, &text, &k->err), EVS_ERR_EXPRESSION, "filter_1");
    assert_null(text);
}

static void test_key_of_results_survives_filter_and_projection_of_it(void **state)
{
    kit *k = *state;
    evs_window_options o = minute();
    evs_stream *w = evs_window_by(source(k), "page", &o, "count(*) AS c");
    evs_stream *a =
        evs_project(evs_filter(w, "c > 1"), "page, window_start, window_end, c * 2 AS d");
    evs_stream *b = evs_project(w, "page, window_start, c");
    evs_stream *c = evs_project(w, "window_start, page");
    OK(evs_pipeline_check(k->p, &k->err));
    assert_int_equal(a->key_count, 2);
    assert_true(a->windowed);
    assert_int_equal(b->key_count, 2);
    assert_false(b->windowed);
    assert_int_equal(c->key_count, 0);
}

static void test_options_are_inherited_where_they_are_known(void **state)
{
    kit *k = *state;
    evs_stream *s = source(k);
    evs_pipeline_set(k->p, "memory.hint", "x");
    evs_pipeline_set(k->p, "kafka.bootstrap.servers", "nowhere:9092");
    OK(evs_pipeline_check(k->p, &k->err));
    assert_string_equal(evs_config_extra(s->config, 0, NULL), "hint");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_builder_without_a_pipeline_gives_a_stream_that_swallows),
        KIT_TEST(test_builder_keeps_the_first_error),
        KIT_TEST(test_check_says_what_and_where),
        KIT_TEST(test_check_without_a_source_is_an_error),
        KIT_TEST(test_check_unknown_field_lists_fields_and_position),
        KIT_TEST(test_builder_after_start_is_misuse),
        KIT_TEST(test_stream_type_follows_the_steps),
        KIT_TEST(test_stream_type_unknown_until_start_is_null),
        KIT_TEST(test_meta_columns_appear_when_they_are_named),
        KIT_TEST(test_prune_window_needs_keys_and_arguments),
        KIT_TEST(test_prune_nothing_needed_keeps_the_cheapest),
        KIT_TEST(test_prune_sink_late_and_star_need_all),
        KIT_TEST(test_prune_explode_needs_its_array),
        KIT_TEST(test_prune_event_time_is_needed),
        KIT_TEST(test_fingerprint_is_of_what_is_computed),
        KIT_TEST(test_guarantee_of_each_sink),
        KIT_TEST(test_guarantee_of_sinks_that_share_a_transaction),
        KIT_TEST(test_guarantee_of_a_source_that_forgets),
        KIT_TEST(test_guarantee_processing_time_is_not_repeatable),
        KIT_TEST(test_explain_shows_the_plan_and_no_secrets),
        KIT_TEST(test_explain_of_a_wrong_plan_is_its_error),
        KIT_TEST(test_key_of_results_survives_filter_and_projection_of_it),
        KIT_TEST(test_options_are_inherited_where_they_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
