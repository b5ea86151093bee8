/*
 * plan/plan.h: the one logical plan. Every front door (the C builder, later SQL and YAML) makes
 * these nodes; everything behind it (explain, fingerprint, runtime) reads them.
 *
 *   source_1 -- filter_1 -- window_1 -+- sink_1          a forest: every node but a source has one
 *                                     +- each_1          input; a node may have several outputs
 *                                     +- late_1 -- sink_2
 *
 * Nodes stand in plan->nodes in the order they were made, so an input always comes before its
 * outputs. A plan is checked by evs__plan_check(): options against the connectors' tables, texts by
 * making each operator once. Types may be unknown (NULL) until a source was opened and told its
 * columns; evs__plan_resolve() is then called again.
 *
 * The plan does no I/O and knows no connector but through plan->find.
 */
#ifndef EVS_PLAN_PLAN_H
#define EVS_PLAN_PLAN_H

#include "base/config.h"
#include "engine/watermark.h"
#include "evstream/pipeline.h"

#define EVS__PLAN_NODES_MAX 1024

typedef enum evs__node_kind {
    EVS__NODE_ERROR, /* where builder calls end after a failure */
    EVS__NODE_SOURCE,
    EVS__NODE_FILTER,
    EVS__NODE_PROJECT,
    EVS__NODE_EXPLODE,
    EVS__NODE_APPLY,
    EVS__NODE_SAMPLE,
    EVS__NODE_DEDUP,
    EVS__NODE_LIMIT,
    EVS__NODE_TOP,
    EVS__NODE_WINDOW,
    EVS__NODE_LATE, /* the late rows of its input, a window */
    EVS__NODE_SINK,
    EVS__NODE_EACH,
    EVS__NODE_DEAD_LETTERS, /* a sink without input */
    EVS__NODE_KINDS
} evs__node_kind;

/* columns of a source's rows that come from the record around the event; made when referred to */
typedef enum evs__meta {
    EVS__META_KEY,
    EVS__META_PARTITION,
    EVS__META_OFFSET,
    EVS__META_TIMESTAMP,
    EVS__META_HEADERS,
    EVS__META_COUNT
} evs__meta;

typedef enum evs__time_unit {
    EVS__UNIT_S,
    EVS__UNIT_MS,
    EVS__UNIT_US,
    EVS__UNIT_NS,
    EVS__UNIT_ISO,
    EVS__UNIT_NATIVE /* TIMESTAMP, DATE: the type says it */
} evs__time_unit;

typedef enum evs__on_error {
    EVS__ON_ERROR_DEAD_LETTER,
    EVS__ON_ERROR_SKIP,
    EVS__ON_ERROR_FAIL
} evs__on_error;

typedef struct evs__plan evs__plan;
typedef struct evs_stream evs__node;

struct evs_stream {
    evs__plan *plan; /* NULL: the stream of no pipeline */
    evs__node_kind kind;
    uint32_t index; /* in plan->nodes */
    char *name;
    evs__node *input; /* NULL: source, dead letters */
    evs__node **outputs;
    uint32_t output_count;

    /* as the host gave it */
    char *text;  /* condition, expressions, array, out_columns, keys */
    char *text2; /* alias, aggregates, order */
    evs_window_options window;
    evs_dedup_options dedup;
    evs_limit_options limit;
    int64_t number; /* sample: one_in; top: n */
    char *zone;     /* of `window` */
    evs_apply_fn apply;
    evs_each_fn each;
    void *user_data;
    char *connector_name;
    evs_options *options;
    evs_schema *given_schema; /* evs_source_with_schema() */

    /* after resolve */
    const evs_connector *connector; /* borrowed */
    evs_config *config;             /* source, sink: checked options, inherited ones included */
    evs_schema *schema;             /* source */
    const evs_type *type;           /* rows out, or NULL */
    const evs_type *late_type;      /* window */
    bool in_place;                  /* staged: its rows need no exchange */
    uint32_t key_count;             /* leading columns that identify a row; 0: none */
    bool windowed;                  /* the last key column is window_start */
    uint32_t meta_mask;             /* source: bit per evs__meta that is a column of `type` */
    evs__time_unit time_unit;       /* source with event.time */
    bool needs_time;                /* source: a step behind it decides by its rows' times */
    /* after prune: columns of the events that something needs */
    const evs_type *wanted;
};

typedef const evs_connector *(*evs__plan_find_fn)(evs_context *ctx,
                                                  const char *name,
                                                  evs_error **reterr);

struct evs__plan {
    evs_context *ctx; /* referenced */
    char *name;
    evs__plan_find_fn find;
    /* a time zone by name into the context (evs__zone_find); NULL: none can be loaded */
    evs_status (*load_zone)(evs_context *ctx, const char *name, evs_error **reterr);
    /* what takes a connector's place (a test kit); NULL, or it returns NULL: no memory */
    const evs_connector *(*stand_in)(void *user, const evs__node *node);
    void *stand_in_user;
    evs_options *options; /* as set, inherited ones included */
    evs_config *config;   /* checked options of the pipeline; after resolve */
    evs__node **nodes;
    uint32_t node_count;
    uint32_t node_capacity;
    evs__node *dead_letters; /* also in nodes; or NULL */
    evs__node *error_stream;
    uint32_t kind_counts[EVS__NODE_KINDS];
    evs_error *error;      /* the first failure of a builder call */
    bool frozen;           /* started: the builder is closed */
    bool resolved;         /* nothing changed since */
    evs_type const **kept; /* types that hosts may still hold: released with the plan */
    uint32_t kept_count;
    uint32_t kept_capacity;
    char fingerprint[33]; /* "" before a successful check */
};

/* What tests put in place of the world. NULL members: the real one. */
typedef struct evs__hooks {
    int64_t (*now_ms)(void *user);
    /* whether the process "dies" at this step of a commit: nothing after it happens */
    bool (*dies)(void *user, const char *step);
    void *user;
    /* keeps the snapshot of an epoch in place of state.dir, which is not used; NULL: state.dir */
    evs_status (*keep)(void *user, int64_t epoch, const void *image, size_t len);
    /* the epoch that was kept last; 0: none */
    int64_t (*kept)(void *user, const void **ret_image, size_t *ret_len);
    bool no_gaps; /* the clock moves as it likes: no step of it is a gap between polls */
} evs__hooks;

struct evs__runtime;
struct evs_testkit;
/* What the host holds: the plan, and what runs it. Made in runtime/pipeline.c. */
struct evs_pipeline {
    evs__plan plan;
    _Atomic(struct evs__runtime *) runtime; /* NULL before the first poll or start */
    evs__hooks hooks;
    struct evs_testkit *testkit; /* that has it, or NULL */
    evs__buffer text;            /* behind the `borrowed until the next call` texts */
    evs__buffer state_text;
    char fingerprint[33]; /* as it was last told */
};

/* option tables (options.c); end with name NULL */
extern const evs_option_info evs__pipeline_option_table[];
extern const evs_option_info evs__time_option_table[]; /* of sources */
extern const evs_option_info evs__step_option_table[]; /* of sources and sinks */

/* ---- plan.c ---- */
evs_status evs__plan_init(evs__plan *plan,
                          evs_context *ctx,
                          const char *name,
                          evs__plan_find_fn find,
                          evs_error **reterr);
void evs__plan_free(evs__plan *plan);
/* a node behind `input`; its name is made. NULL: no memory or too many (*reterr) */
evs__node *
evs__plan_add(evs__plan *plan, evs__node_kind kind, evs__node *input, evs_error **reterr);
/* undo of the last evs__plan_add() */
void evs__plan_drop_last(evs__plan *plan);
const char *evs__node_kind_name(evs__node_kind kind);
/* `step "NAME": ` before an error that no step has put its name on yet */
void evs__node_prefix(const evs__node *node, evs_error **reterr);
/* operators with state and time: rows come to them through the exchange, by their keys (text) */
bool evs__node_is_staged(const evs__node *node);
/* the source that a node hangs on */
const evs__node *evs__node_root(const evs__node *node);
/* the node's output that takes late rows, if one with a consumer exists */
evs__node *evs__node_late(const evs__node *window);
/* whether a step keeps something from batch to batch */
bool evs__plan_has_state(const evs__plan *plan);

/* ---- options.c ---- */
/* configs of the pipeline and of every source and sink */
evs_status evs__plan_configure(evs__plan *plan, evs_error **reterr);
void evs__plan_time_options(const evs__node *source, evs__time_options *ret);
/* whether key.partitioned_by of the source equals the keys of a staged step behind it: no exchange
 * is needed. EVS_ERR_EXPRESSION: the option cannot be parsed. */
evs_status evs__plan_is_co_partitioned(const evs__node *node, bool *ret, evs_error **reterr);
evs__on_error evs__plan_on_error(const evs__plan *plan);
const char *evs__plan_application_id(const evs__plan *plan);
/* letters, digits, '.', '_', '-': fit for a file name */
bool evs__is_application_id(const char *id);

/* ---- source.c ---- */
/* schema of a source from its options and the registry; EVS_OK with NULL: not known yet */
evs_status evs__plan_source_schema(evs_context *ctx,
                                   const evs_config *config,
                                   evs_schema *given,
                                   evs_schema **ret,
                                   evs_error **reterr);
/* the error of a source whose columns nobody knows, with those guessed from the first events */
evs_status evs__plan_no_columns(evs_context *ctx,
                                const evs_config *config,
                                const evs_input *samples,
                                size_t count,
                                evs_error **reterr);
/* node->type, meta columns and event time of a source whose schema is known */
evs_status evs__plan_type_source(evs__node *node, evs_error **reterr);
const char *evs__meta_name(evs__meta meta);
/* type of a meta column; new reference */
evs_status
evs__meta_type(evs_context *ctx, const evs__node *source, evs__meta meta, const evs_type **ret);

/* ---- typing.c ---- */
/* make the operator of a node over rows of `in`; slots: see evs__window_op_new
 */
evs_status evs__plan_make_operator(const evs__node *node,
                                   const evs_type *in,
                                   uint32_t slots,
                                   evs__operator **ret,
                                   evs_error **reterr);
/* configure and type every node; `final`: types must be known by now. Errors start with
 * `step "NAME": `. */
evs_status evs__plan_resolve(evs__plan *plan, bool final, evs_error **reterr);
/* the kept builder error, else evs__plan_resolve(), then the fingerprint when all is typed */
evs_status evs__plan_check(evs__plan *plan, evs_error **reterr);
/* type of dead letters; new reference */
evs_status evs__envelope_type(evs_context *ctx, const evs_type **ret);

/* ---- uses.c ---- */
/* mark the columns of `type` that a text of expressions names; `star`: a top-level * is there */
evs_status evs__plan_text_uses(
    evs_context *ctx, const char *text, const evs_type *type, bool *used, bool *star);
/*
 * Whether rows of a source must have an event time: a step that goes by event time is behind it.
 * Behind a window of processing time rows have that window's time; behind a function of the host,
 * which may set times itself, the window refuses rows without one.
 */
bool evs__plan_needs_time(const evs__node *source);
/* which meta columns a text behind a source names: bit per evs__meta */
evs_status evs__plan_meta_uses(const evs__node *source, uint32_t *ret_mask);
/* node->wanted of every source; the plan is typed */
evs_status evs__plan_prune(evs__plan *plan, evs_error **reterr);

/* ---- guarantee.c ---- */
#define EVS__GUARANTEE_NONE ((evs_guarantee)0)
/* the one transactional sink that stores epoch and offsets, or NULL */
const evs__node *evs__plan_authority(const evs__plan *plan);
/* what a sink or each node really gives: evs_guarantee, and why in one phrase. TRANSACTIONAL,
 * IDEMPOTENT and TWO_PHASE mean exactly once, in that way. */
evs_guarantee evs__plan_guarantee(const evs__node *node, const char **ret_why);

/* ---- fingerprint.c, explain.c ---- */
/* number of a source or operator among those that the fingerprint counts: fixed for equal plans */
uint32_t evs__node_ordinal(const evs__node *node);
evs_status evs__plan_canonical(const evs__plan *plan, evs__buffer *out);
evs_status evs__plan_fingerprint(evs__plan *plan, evs_error **reterr);
evs_status evs__plan_explain(evs__plan *plan, evs__buffer *out, evs_error **reterr);

#endif
