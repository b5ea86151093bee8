/*
 * expr/term.h: the compiled form of an expression and the tools of its evaluators.
 *
 *   evs__expr -> root node -> args ...      each node: type, evaluator, its own result column
 *
 * An evaluator gets the rows that count (ascending) and gives a column whose values at those rows
 * are right; elsewhere they are defined memory, but mean nothing. A result is borrowed: from the
 * batch (plain column), or from the node, which writes it anew at its next evaluation. A node whose
 * column somebody still holds makes a new one; otherwise its memory is used again.
 *
 * A constant node's column has one row that stands for all: read column c of argument i at row r as
 * c[r * STRIDE(n->args[i])].
 *
 * Strict evaluators (most): NULL in, NULL out. evs__eval_strict() evaluates the arguments and
 * prepares the result with their NULLs; the loop then need not look at validity, because values of
 * NULL rows are zero, and evs__zero_nulls() keeps it so. A row that fails is told once per
 * evaluation of the expression, by evs__fail_row(), and becomes NULL.
 */
#ifndef EVS_EXPR_TERM_H
#define EVS_EXPR_TERM_H

#include "expr/expr.h"

#define EVS__EXPR_TEXT_MAX (16u << 20) /* bytes of one text that an expression makes */
#define EVS__ARGS_MAX 32 /* of strict nodes; AND, OR, CASE, IN and the like have no such bound */

typedef struct evs__term evs__term;
typedef struct evs__function evs__function;

/* the rows that count: sel ascending, or NULL: rows 0 .. count - 1, all of them */
typedef struct evs__rows {
    const uint32_t *sel;
    uint32_t count;
    uint32_t total; /* of the columns */
} evs__rows;

typedef struct evs__eval {
    evs__expr *expr;
    const evs_batch *in;
    evs__row_failed_fn failed;
    void *user_data;
} evs__eval;

typedef evs_status (*evs__term_fn)(evs__eval *ev,
                                   evs__term *n,
                                   const evs__rows *rows,
                                   evs__column **ret);

typedef enum evs__op {
    EVS__OP_EQ,
    EVS__OP_NE,
    EVS__OP_LT,
    EVS__OP_LE,
    EVS__OP_GT,
    EVS__OP_GE,
    EVS__OP_DISTINCT,
    EVS__OP_NOT_DISTINCT,
    EVS__OP_ADD,
    EVS__OP_SUB,
    EVS__OP_MUL,
    EVS__OP_DIV,
    EVS__OP_MOD,
    EVS__OP_AND,
    EVS__OP_OR
} evs__op;

struct evs__term {
    evs__term *next; /* all nodes of the expression */
    evs__term_fn eval;
    const evs_type *type; /* referenced; NULL: the literal NULL, before it got a type */
    evs__term **args;
    uint32_t arg_count;
    uint32_t position; /* in the text */
    evs__op op;
    uint32_t index; /* column, field */
    bool constant;  /* out has the one value */
    bool partial;   /* may fail, or is dear: evaluated only where it is needed */
    bool negated;
    evs__column *out;  /* result; NULL: none yet */
    evs__column *held; /* LET: its value while the body is evaluated, borrowed */
    uint32_t *scratch; /* selections, kept between calls */
    size_t scratch_capacity;
    const evs__function *function;
    void *state; /* prepared from constants, or the host's function; own of the node when free_state
                  */
    void (*free_state)(evs_context *ctx, void *state);
};

struct evs__expr {
    evs_context *ctx;
    const evs_type *row; /* referenced */
    evs__term *nodes;
    evs__term *root;
    evs__column *full; /* a constant, or a result that is not the root's own, for all rows */
    uint32_t *order;   /* the selection made ascending */
    size_t order_capacity;
    uint8_t *failed; /* rows told already, in this evaluation */
    size_t failed_capacity;
    bool any_failed;
    evs__buffer text;                               /* of rows' values, on their way to a column */
    const evs_type *simple[2][EVS_TYPE_STRUCT + 1]; /* by nullable, id: made once */
};

/* column memory that a loop reads: 0 for constants */
#define EVS__STRIDE(node) ((size_t) !(node)->constant)

/* `i` runs over the rows that count */
#define EVS__FOR_ROWS(rows, i)                                                                     \
    for (uint32_t i##_k = 0, i;                                                                    \
         i##_k < (rows)->count && (i = (rows)->sel ? (rows)->sel[i##_k] : i##_k, true); i##_k++)

static inline evs_status
evs__term_eval(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    return n->eval(ev, n, rows, ret);
}

/* n's result column, empty of NULLs, with `rows->total` rows; text columns have length 0 */
evs_status evs__term_out(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret);
/* as above, args evaluated into cols[], and the result NULL where one of them is */
evs_status evs__eval_strict(
    evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **cols, evs__column **ret);
/* out NULL also where c is (stride 0: its one row says it of all) */
evs_status evs__and_validity(evs__column *out, const evs__column *c, size_t stride, uint32_t total);
/* values of NULL rows to zero, as columns promise (fixed width) */
void evs__zero_nulls(evs__column *out);
/* the row failed: told (once), NULL and zero in `out`; text is left to the caller */
evs_status evs__fail_row(evs__eval *ev,
                         const evs__term *n,
                         evs__column *out,
                         uint32_t row,
                         evs_status status,
                         const char *format,
                         ...) EVS_PRINTF(6, 7);
/* tell it only */
evs_status
evs__tell_row(evs__eval *ev, const evs__term *n, uint32_t row, evs_status status, const char *why);
/* room for `count` row numbers that stays with the node */
evs_status evs__term_scratch(evs__eval *ev, evs__term *n, size_t count, uint32_t **ret);

/* length of a type's text without NOT NULL, for messages with "%.*s" */
static inline int evs__type_len(const evs_type *type)
{
    return (int)type->text_len - (type->nullable ? 0 : (int)sizeof(" NOT NULL") - 1);
}

/* Rows of an owned text column, in ascending order; rows in between become empty. */
evs_status evs__text_skip(evs__column *out, uint32_t row);
evs_status evs__text_put(evs__eval *ev,
                         const evs__term *n,
                         evs__column *out,
                         uint32_t row,
                         const char *data,
                         size_t len);

/* room for `len` bytes as the text of `row`, to be filled; NULL in *ret: the row failed */
evs_status evs__text_room(
    evs__eval *ev, const evs__term *n, evs__column *out, uint32_t row, size_t len, char **ret);

/* row i of *cols[choice[i]] for each row that counts; choice UINT32_MAX: NULL. strides[] as ever.
 */
evs_status evs__merge_rows(evs__eval *ev,
                           evs__term *n,
                           const evs__rows *rows,
                           evs__column *const *cols,
                           const size_t *strides,
                           const uint32_t *choice,
                           evs__column **ret);

/* rows of a BOOLEAN column that are TRUE, and those that are not, in order; either may be NULL, and
 * may be rows' own array */
uint32_t evs__split_rows(const evs__column *c,
                         size_t stride,
                         const evs__rows *rows,
                         uint32_t *ret_true,
                         uint32_t *ret_rest,
                         uint32_t *ret_rest_count);

/* ---- evaluators, by file ---- */

evs_status evs__eval_constant(evs__eval *, evs__term *, const evs__rows *, evs__column **);
evs_status evs__eval_column(evs__eval *, evs__term *, const evs__rows *, evs__column **);
evs_status evs__eval_let(evs__eval *, evs__term *, const evs__rows *, evs__column **);
evs_status evs__eval_local(evs__eval *, evs__term *, const evs__rows *, evs__column **);
/* eval_logic.c */
evs_status evs__eval_logic(evs__eval *, evs__term *, const evs__rows *, evs__column **);
evs_status evs__eval_not(evs__eval *, evs__term *, const evs__rows *, evs__column **);
evs_status evs__eval_is_null(evs__eval *, evs__term *, const evs__rows *, evs__column **);
/* eval_compare.c */
evs_status evs__eval_compare(evs__eval *, evs__term *, const evs__rows *, evs__column **);
/* eval_number.c, eval_decimal.c: picked by operator and type */
evs__term_fn evs__number_evaluator(evs__op op, evs_type_id id);
evs_status evs__eval_negate(evs__eval *, evs__term *, const evs__rows *, evs__column **);
evs_status evs__eval_decimal(evs__eval *, evs__term *, const evs__rows *, evs__column **);
/* eval_case.c */
evs_status evs__eval_case(evs__eval *, evs__term *, const evs__rows *, evs__column **);
evs_status evs__eval_coalesce(evs__eval *, evs__term *, const evs__rows *, evs__column **);
evs_status evs__eval_nullif(evs__eval *, evs__term *, const evs__rows *, evs__column **);
evs_status evs__eval_extreme(evs__eval *, evs__term *, const evs__rows *, evs__column **);
/* eval_in.c: args[0] in the constants args[1..); prepares n->state */
evs_status evs__eval_in(evs__eval *, evs__term *, const evs__rows *, evs__column **);
evs_status evs__in_prepare(evs_context *ctx, evs__term *n);
/* eval_like.c: prepares n->state of a constant pattern */
evs_status evs__eval_like(evs__eval *, evs__term *, const evs__rows *, evs__column **);
evs_status evs__like_prepare(evs_context *ctx, evs__term *n, evs_error **reterr);
/* eval_nested.c */
evs_status evs__eval_field(evs__eval *, evs__term *, const evs__rows *, evs__column **);
evs_status evs__eval_element(evs__eval *, evs__term *, const evs__rows *, evs__column **);
evs_status evs__eval_map_value(evs__eval *, evs__term *, const evs__rows *, evs__column **);
/* eval_cast.c */
bool evs__cast_exists(const evs_type *from, const evs_type *to);
evs_status evs__eval_cast(evs__eval *, evs__term *, const evs__rows *, evs__column **);

/* ---- decimals (decimal.c) ---- */

/* another scale, rounded half away from zero; false: more than 38 digits */
bool evs__decimal_rescale(evs__int128 v, int32_t from, int32_t to, evs__int128 *ret);
/* whether |v| has at most `precision` digits */
bool evs__decimal_fits(evs__int128 v, int32_t precision);
/* a + b with `scale` digits after the point; false: more than 38 digits */
bool evs__decimal_add(
    evs__int128 a, int32_t sa, evs__int128 b, int32_t sb, int32_t scale, evs__int128 *ret);
/* a % b, likewise; b is not zero */
bool evs__decimal_modulo(
    evs__int128 a, int32_t sa, evs__int128 b, int32_t sb, int32_t scale, evs__int128 *ret);
/* a * b, a / b with `scale` digits after the point; false: more than 38 digits, b zero */
bool evs__decimal_multiply(
    evs__int128 a, int32_t sa, evs__int128 b, int32_t sb, int32_t scale, evs__int128 *ret);
bool evs__decimal_divide(
    evs__int128 a, int32_t sa, evs__int128 b, int32_t sb, int32_t scale, evs__int128 *ret);
/* -1, 0, 1; exact for all scales */
int evs__decimal_compare(evs__int128 a, int32_t sa, evs__int128 b, int32_t sb);
/* precision and scale of a result; op ADD .. MOD */
void evs__decimal_type(
    evs__op op, const evs_type *a, const evs_type *b, int32_t *ret_precision, int32_t *ret_scale);

#endif
