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
    const evs__column *arg; /* NULL: count(*) */
    const uint32_t *rows;
    uint32_t *ids; /* room for one number a row, from reserve() to add() */
    evs__buffer *scratch;
} evs__agg_rows;

typedef struct evs__aggregate evs__aggregate;

typedef struct evs__aggregate_functions {
    const char *name;
    uint32_t arg_types; /* bits 1 << evs_type_id that the argument may have; 0: no argument */
    uint32_t size, align;
    bool keeps_null_arg; /* the result is NOT NULL whatever the argument (counts) */
    /* result type for the argument's (NOT NULL); NULL: the same as the argument's */
    evs_status (*type)(evs_context *ctx, const evs_type *arg, const evs_type **ret);
    /* groups->index is not known yet; NULL: needs nothing */
    evs_status (*reserve)(const evs__aggregate *a,
                          const evs__agg_groups *groups,
                          const evs__agg_rows *rows);
    /* number of rows added: fewer than n when the next one would overflow */
    uint32_t (*add)(const evs__aggregate *a,
                    const evs__agg_groups *groups,
                    const evs__agg_rows *rows);
    /* take back what add() did with the first n rows; NULL: add() never stops early */
    void (*undo)(const evs__aggregate *a,
                 const evs__agg_groups *groups,
                 const evs__agg_rows *rows,
                 uint32_t n);
    /* EVS_ERR_OVERFLOW: a sum does not fit; groups before it are merged */
    evs_status (*merge)(const evs__aggregate *a,
                        const evs__agg_groups *to,
                        const evs__agg_groups *from);
    evs_status (*result)(const evs__aggregate *a, const evs__agg_groups *groups, evs__column *out);
    /* NULL: the bytes of the state */
    evs_status (*write)(const evs__aggregate *a, const evs__agg_groups *groups, evs__buffer *out);
    /* EVS_ERR_CORRUPT on bytes that write() cannot have made */
    evs_status (*read)(const evs__aggregate *a, const evs__agg_groups *groups, evs__reader *in);
    evs__extra_free_fn extra_free;
} evs__aggregate_functions;

struct evs__aggregate {
    const evs__aggregate_functions *fn;
    evs__expr *arg;       /* NULL: count(*) */
    const evs_type *type; /* of the result; referenced */
    const char *name;     /* of the result column; owned */
    char *text;           /* canonical text; owned */
    uint32_t offset;      /* of its state in a row */
    int32_t scale_up;     /* avg of DECIMAL: more digits after the point than the argument has */
    const evs_type *arg_type; /* the expression's; borrowed */
};

typedef struct evs__aggregates {
    evs_context *ctx;
    evs__aggregate *items;
    uint32_t count;
    uint32_t stride; /* bytes of all states of a group */
    evs__extra_free_fn *extra_free;
} evs__aggregates;

/* "count(*) AS views, avg(load_ms)" against a row type; EVS_ERR_EXPRESSION, EVS_ERR_TYPE */
evs_status evs__aggregates_parse(evs_context *ctx,
                                 const char *text,
                                 const evs_type *row,
                                 evs__aggregates *ret,
                                 evs_error **reterr);
void evs__aggregates_free(evs__aggregates *a);

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

evs_status
evs__aggregate_write(const evs__aggregate *a, const evs__agg_groups *g, evs__buffer *out);
evs_status evs__aggregate_read(const evs__aggregate *a, const evs__agg_groups *g, evs__reader *in);

/* the rows of the table, by file */
extern const evs__aggregate_functions evs__agg_count_all, evs__agg_count, evs__agg_count_if;
extern const evs__aggregate_functions evs__agg_sum_int, evs__agg_sum_double, evs__agg_sum_decimal;
extern const evs__aggregate_functions evs__agg_avg_int, evs__agg_avg_double, evs__agg_avg_decimal;
extern const evs__aggregate_functions evs__agg_min_int, evs__agg_min_double, evs__agg_min_decimal,
    evs__agg_min_text;
extern const evs__aggregate_functions evs__agg_max_int, evs__agg_max_double, evs__agg_max_decimal,
    evs__agg_max_text;
extern const evs__aggregate_functions evs__agg_count_distinct;

#define EVS__AGG_TYPE(id) (1u << (id))
#define EVS__AGG_INTS (EVS__AGG_TYPE(EVS_TYPE_INT) | EVS__AGG_TYPE(EVS_TYPE_BIGINT))
#define EVS__AGG_TIMES                                                                             \
    (EVS__AGG_TYPE(EVS_TYPE_TIMESTAMP) | EVS__AGG_TYPE(EVS_TYPE_DATE) |                            \
     EVS__AGG_TYPE(EVS_TYPE_TIME))
#define EVS__AGG_TEXTS (EVS__AGG_TYPE(EVS_TYPE_VARCHAR) | EVS__AGG_TYPE(EVS_TYPE_BYTES))

/* integer value of a row of a BOOLEAN, INT, BIGINT, TIMESTAMP, DATE or TIME column; NULL rows: 0 */
static inline int64_t evs__agg_int(const evs__column *c, evs_type_id id, uint32_t row)
{
    if (id == EVS_TYPE_BIGINT || id == EVS_TYPE_TIMESTAMP)
        return c->i64[row];
    return id == EVS_TYPE_BOOLEAN ? evs__bit_get(c->bits, row) : c->i32[row];
}

#endif
