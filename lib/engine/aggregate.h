/*
 * engine/aggregate.h: aggregate functions: one table, one row a function and argument type.
 *
 *   reserve(rows)          what adding them may need; may fail, changes nothing that can be seen
 *   add(groups, rows)      each row to its group; a vector at a time
 *   merge(to, from)        groups of one slice into groups of another
 *   result(groups, column)
 *   write, read            for snapshots
 *
 * The state of a group is a run of bytes in the slice's row; zero bytes are the empty state. What
 * does not fit (text, sets of values) hangs on the slice, one `extra` for all groups of it.
 * To add a function: write its operations, put a row into the table of aggregate.c.
 */
#ifndef EVS_ENGINE_AGGREGATE_H
#define EVS_ENGINE_AGGREGATE_H

#include "engine/reader.h"
#include "engine/state.h"
#include "evstream/aggregate.h"
#include "expr/expr.h"

/* n groups of one slice, as one aggregate sees them */
typedef struct evs__agg_groups {
    evs__account *account;
    void **extra;
    char *states; /* state of group 0; the others `stride` apart */
    uint32_t stride;
    uint32_t total; /* groups of the slice */
    uint32_t most;  /* for reserve(): groups it can have after the rows are added */
    const uint32_t *index;
    uint32_t n;
} evs__agg_groups;

/* the rows for them: the i-th row of `rows` (physical) belongs to the i-th group */
typedef struct evs__agg_rows {
    const evs__column *arg;         /* the first argument; NULL: count(*) */
    const evs__column *const *args; /* all of them */
    const uint32_t *rows;
    uint32_t *ids; /* room for one number a row, from reserve() to add() */
    evs__buffer *scratch;
    const int64_t *times; /* event time by physical row; NULL: all at `now` */
    int64_t now;
    int64_t first; /* order of arrival of physical row 0; row r came as first + r */
} evs__agg_rows;

#define EVS__AGG_ARGS_MAX 8    /* columns; of the table's functions 2 at most */
#define EVS__AGG_PARAMS_MAX 16 /* constants behind them */

typedef struct evs__aggregate evs__aggregate;
typedef struct evs__agg_host evs__agg_host;

/* a constant behind the arguments: topk(x, 3) */
typedef struct evs__agg_param_info {
    const char *name; /* NULL ends the list */
    char kind;        /* 'i' whole number, 'd' number, 's' text */
    bool optional;
    bool many;       /* this one may stand again, to the end */
    double min, max; /* of numbers; bytes of a text */
} evs__agg_param_info;

typedef struct evs__agg_param {
    int64_t integer;
    double number;
    char *text; /* owned */
    size_t len;
} evs__agg_param;

/* what f(DISTINCT x) is */
typedef enum evs__agg_distinct_rule {
    EVS__DISTINCT_ONCE, /* f over each value once: a set of values in front of it */
    EVS__DISTINCT_SAME, /* f(x): it makes no difference */
    EVS__DISTINCT_AS,   /* the function `distinct_as` */
    EVS__DISTINCT_NEVER /* a fault */
} evs__agg_distinct_rule;

typedef struct evs__aggregate_functions {
    const char *name;
    uint32_t arg_types;  /* bits 1 << evs_type_id that the argument may have; 0: no argument */
    uint32_t arg2_types; /* of the second argument; 0: there is none */
    const evs__agg_param_info *params; /* or NULL: none */
    uint32_t size, align;
    bool undoes_last;    /* undo() knows one add() only: DISTINCT hands on one row at a time */
    bool keeps_null_arg; /* the result is NOT NULL whatever the argument (counts) */
    bool may_be_null;    /* the result may be NULL though no argument is */
    evs__agg_distinct_rule distinct;
    const struct evs__aggregate_functions *distinct_as;
    /* of the reference: rows of one usage stand together, the first one's doc is printed */
    const char *group; /* "count", "number", "choice", "collection", "statistics", "sketch" */
    const char *usage; /* "min_by(x, by)" */
    const char *gives; /* "BIGINT"; NULL: the type of x */
    const char *doc;   /* a sentence, no trailing dot */
    const struct evs__sketch_kind *sketch; /* engine/sketch.h, or NULL */
    /* result type for the arguments' (NOT NULL); NULL: the same as the first argument's */
    evs_status (*type)(evs_context *ctx, const evs__aggregate *a, const evs_type **ret);
    /* groups->index is not known yet; NULL: needs nothing */
    evs_status (*reserve)(const evs__aggregate *a,
                          const evs__agg_groups *groups,
                          const evs__agg_rows *rows);
    /* number of rows added: fewer than n when the next one must be refused */
    uint32_t (*add)(const evs__aggregate *a,
                    const evs__agg_groups *groups,
                    const evs__agg_rows *rows);
    /* take back what the last add() did with its first n rows; NULL: add() never stops early */
    void (*undo)(const evs__aggregate *a,
                 const evs__agg_groups *groups,
                 const evs__agg_rows *rows,
                 uint32_t n);
    /* EVS_ERR_OVERFLOW: the whole does not fit (a sum its type, a list its bound); groups before it
     * are merged. Other failures too may leave some groups merged */
    evs_status (*merge)(const evs__aggregate *a,
                        const evs__agg_groups *to,
                        const evs__agg_groups *from);
    evs_status (*result)(const evs__aggregate *a, const evs__agg_groups *groups, evs__column *out);
    /* NULL: the bytes of the state */
    evs_status (*write)(const evs__aggregate *a, const evs__agg_groups *groups, evs__buffer *out);
    /* EVS_ERR_CORRUPT on bytes that write() cannot have made */
    evs_status (*read)(const evs__aggregate *a, const evs__agg_groups *groups, evs__reader *in);
    evs__extra_free_fn extra_free;
    /* why add() stopped early: the status and message of the row's dead letter; NULL: a sum does
     * not fit its type, EVS_ERR_OVERFLOW */
    evs_status (*refusal)(const evs__aggregate *a, evs__buffer *message);
} evs__aggregate_functions;

struct evs__aggregate {
    const evs__aggregate_functions *fn;
    evs__expr *args[EVS__AGG_ARGS_MAX];
    uint32_t arg_count;   /* 0: count(*) */
    uint32_t column;      /* of the first argument among those of evs__aggregates_eval() */
    const evs_type *type; /* of the result; referenced */
    const char *name;     /* of the result column; owned */
    char *text;           /* canonical text; owned */
    uint32_t size, align; /* of a group's state */
    uint32_t offset;      /* of its state in a row */
    int32_t scale_up;     /* avg of DECIMAL: more digits after the point than the argument has */
    const evs_type *arg_type; /* the first expression's; borrowed */
    const evs_type *arg_types[EVS__AGG_ARGS_MAX];
    evs__agg_param params[EVS__AGG_PARAMS_MAX];
    uint32_t param_count;
    evs__aggregate *inner;     /* f of f(DISTINCT x); owned, its arguments are borrowed */
    int64_t *arrivals;         /* of the list: rows that came so far */
    const evs__agg_host *host; /* of the host's own; borrowed */
    char *reason;              /* of the host's: why it refused the last row; owned */
};

typedef struct evs__aggregates {
    evs_context *ctx;
    evs__aggregate *items;
    uint32_t count;
    uint32_t column_count; /* arguments of all of them */
    uint32_t stride;       /* bytes of all states of a group */
    evs__extra_free_fn *extra_free;
    int64_t *arrivals; /* order of arrival; a restored snapshot moves it on */
} evs__aggregates;

/* "count(*) AS views, avg(load_ms)" against a row type; EVS_ERR_EXPRESSION, EVS_ERR_TYPE */
evs_status evs__aggregates_parse(evs_context *ctx,
                                 const char *text,
                                 const evs_type *row,
                                 evs__aggregates *ret,
                                 evs_error **reterr);
void evs__aggregates_free(evs__aggregates *a);
/* the arguments for a batch: columns[0..column_count), new references, NULL before */
evs_status evs__aggregates_eval(const evs__aggregates *all,
                                const evs_batch *in,
                                evs__row_failed_fn failed,
                                void *user_data,
                                evs__column **columns,
                                evs_error **reterr);

static inline void *evs__agg_state(const evs__agg_groups *g, uint32_t i)
{
    return g->states + (size_t)g->index[i] * g->stride;
}

static inline evs__agg_groups
evs__agg_view(evs__state *s, evs__slice *slice, const evs__aggregates *all, uint32_t which)
{
    return (evs__agg_groups){.account = &s->account,
                             .extra = &slice->extra[which],
                             .states = slice->rows + all->items[which].offset,
                             .stride = s->stride,
                             .total = slice->count};
}

/* The rows of a batch as one aggregate sees them; the caller adds rows, ids and scratch. Event
 * times are those of the batch, or all `now` (processing time: `times` NULL). */
static inline evs__agg_rows evs__agg_rows_of(const evs__aggregates *all,
                                             uint32_t which,
                                             const evs_batch *in,
                                             evs__column *const *columns,
                                             const int64_t *times,
                                             int64_t now)
{
    const evs__aggregate *a = &all->items[which];
    evs__column *const *args = columns + a->column;
    return (evs__agg_rows){.arg = a->arg_count ? args[0] : NULL,
                           .args = (const evs__column *const *)args,
                           .times = times,
                           .now = now,
                           .first = *all->arrivals - in->rows};
}

static inline int64_t evs__agg_time(const evs__agg_rows *r, uint32_t row)
{
    return r->times ? r->times[row] : r->now;
}

/* beyond it, which only a damaged snapshot can bring about, rows are told apart no more */
#define EVS__AGG_ARRIVALS_MAX (INT64_C(1) << 62)

/* a restored state knows of a row: later ones come later; false: no row came then */
static inline bool evs__agg_arrived(const evs__aggregate *a, int64_t arrived)
{
    if (arrived < 0 || arrived > EVS__AGG_ARRIVALS_MAX + UINT32_MAX)
        return false;
    if (*a->arrivals <= arrived)
        *a->arrivals = arrived + 1;
    return true;
}

/* a->inner becomes f(DISTINCT x) */
void evs__agg_once_wrap(evs__aggregate *a);

/* why a row was refused: status and, in `message`, one line */
evs_status evs__aggregate_refusal(const evs__aggregate *a, evs__buffer *message);
evs_status
evs__aggregate_write(const evs__aggregate *a, const evs__agg_groups *g, evs__buffer *out);
evs_status evs__aggregate_read(const evs__aggregate *a, const evs__agg_groups *g, evs__reader *in);

/* Aggregates of the host, kept by the context; NULL ends the list. */
const evs__agg_host *evs__agg_hosts(evs_context *ctx);
const evs__agg_host *evs__agg_host_next(const evs__agg_host *h);
const struct evs__host_function *evs__agg_host_signature(const evs__agg_host *h);
const evs__agg_host *evs__agg_host_find(evs_context *ctx, const char *name);
/* whether the arguments' types are those of its signature */
bool evs__agg_host_fits(const evs__agg_host *h, const evs__aggregate *a);
#define EVS__AGG_REASON_MAX 200
extern const evs__aggregate_functions evs__agg_host_functions;

/* the table; rows of one name stand together */
const evs__aggregate_functions *const *evs__aggregate_table(size_t *ret_count);

/* the rows of the table, by file */
extern const evs__aggregate_functions evs__agg_count_all, evs__agg_count, evs__agg_count_if;
extern const evs__aggregate_functions evs__agg_sum_int, evs__agg_sum_double, evs__agg_sum_decimal;
extern const evs__aggregate_functions evs__agg_avg_int, evs__agg_avg_double, evs__agg_avg_decimal;
extern const evs__aggregate_functions evs__agg_min_int, evs__agg_min_double, evs__agg_min_decimal,
    evs__agg_min_text;
extern const evs__aggregate_functions evs__agg_max_int, evs__agg_max_double, evs__agg_max_decimal,
    evs__agg_max_text;
extern const evs__aggregate_functions evs__agg_count_distinct;
extern const evs__aggregate_functions evs__agg_first, evs__agg_last, evs__agg_first_by_offset,
    evs__agg_earliest_by_offset, evs__agg_last_by_offset, evs__agg_latest_by_offset,
    evs__agg_any_value, evs__agg_min_by, evs__agg_max_by;
extern const evs__aggregate_functions evs__agg_bool_and, evs__agg_bool_or;
extern const evs__aggregate_functions evs__agg_var_samp, evs__agg_variance, evs__agg_var_pop,
    evs__agg_stddev_samp, evs__agg_stddev, evs__agg_stddev_pop;
extern const evs__aggregate_functions evs__agg_covar_samp, evs__agg_covar_pop, evs__agg_corr,
    evs__agg_decayed_rate;
extern const evs__aggregate_functions evs__agg_collect_list, evs__agg_collect_set,
    evs__agg_histogram, evs__agg_string_agg, evs__agg_string_agg_distinct, evs__agg_median;
extern const evs__aggregate_functions evs__agg_topk, evs__agg_topk_distinct;
extern const evs__aggregate_functions evs__agg_approx_count_distinct, evs__agg_hll,
    evs__agg_approx_quantile, evs__agg_approx_quantiles, evs__agg_approx_top_k;

/* result types that many have */
evs_status evs__agg_type_bigint(evs_context *ctx, const evs__aggregate *a, const evs_type **ret);
evs_status evs__agg_type_double(evs_context *ctx, const evs__aggregate *a, const evs_type **ret);

#define EVS__AGG_TYPE(id) (1u << (id))
#define EVS__AGG_INTS (EVS__AGG_TYPE(EVS_TYPE_INT) | EVS__AGG_TYPE(EVS_TYPE_BIGINT))
#define EVS__AGG_TIMES                                                                             \
    (EVS__AGG_TYPE(EVS_TYPE_TIMESTAMP) | EVS__AGG_TYPE(EVS_TYPE_DATE) |                            \
     EVS__AGG_TYPE(EVS_TYPE_TIME))
#define EVS__AGG_NUMBERS                                                                           \
    (EVS__AGG_INTS | EVS__AGG_TYPE(EVS_TYPE_DOUBLE) | EVS__AGG_TYPE(EVS_TYPE_DECIMAL))
/* what has an order and no parts */
#define EVS__AGG_ORDERED                                                                           \
    (EVS__AGG_NUMBERS | EVS__AGG_TIMES | EVS__AGG_TEXTS | EVS__AGG_TYPE(EVS_TYPE_BOOLEAN))
#define EVS__AGG_TEXTS (EVS__AGG_TYPE(EVS_TYPE_VARCHAR) | EVS__AGG_TYPE(EVS_TYPE_BYTES))

/* integer value of a row of a BOOLEAN, INT, BIGINT, TIMESTAMP, DATE or TIME column; NULL rows: 0 */
static inline int64_t evs__agg_int(const evs__column *c, evs_type_id id, uint32_t row)
{
    if (id == EVS_TYPE_BIGINT || id == EVS_TYPE_TIMESTAMP)
        return c->i64[row];
    return id == EVS_TYPE_BOOLEAN ? evs__bit_get(c->bits, row) : c->i32[row];
}

/* value of a row of an INT, BIGINT, DOUBLE or DECIMAL column */
static inline double evs__agg_double(const evs__column *c, uint32_t row)
{
    switch (c->type->id) {
    case EVS_TYPE_DOUBLE:
        return c->f64[row];
    case EVS_TYPE_DECIMAL:
        return evs__decimal_to_double(c->i128[row], c->type->scale);
    case EVS_TYPE_INT:
        return c->i32[row];
    default:
        return (double)c->i64[row];
    }
}

#endif
