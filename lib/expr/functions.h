/*
 * expr/functions.h: the table of functions. One row is one signature: it types calls, evaluates
 * them and makes the reference page.
 *
 * Argument types are a string of letters, one an argument:
 *
 *   b BOOLEAN  i INT  l BIGINT  d DOUBLE  m DECIMAL  s VARCHAR  y BYTES  t TIMESTAMP  e DATE
 *   c TIME     T the common type of all T arguments   A ARRAY of T   M MAP of T   X any type
 *
 *   ? behind a letter: the argument, and those after it, may be left out
 *   * behind a letter: once or more
 *
 * `result` is one of these letters, or "=": the type of the first argument, or NULL with
 * `result_type` set. Arguments are widened to fit (INT -> BIGINT -> DECIMAL -> DOUBLE, DATE ->
 * TIMESTAMP, text literals to times); the signature with the fewest widenings is taken, the first
 * of equals. A strict function is NULL when an argument is, without being called.
 */
#ifndef EVS_EXPR_FUNCTIONS_H
#define EVS_EXPR_FUNCTIONS_H

#include "expr/term.h"

struct evs__function {
    const char *name;
    const char *args;
    const char *result;
    evs__term_fn eval; /* NULL: another name of the operator `alias` */
    const char *alias;
    evs_status (*result_type)(evs_context *ctx,
                              const evs__term *call,
                              bool nullable,
                              const evs_type **ret);
    const char *group; /* of the reference: "number", "text", "time", "choice", "nested", "other" */
    const char *usage; /* "round(x, digits)" */
    const char *doc;   /* one sentence, no trailing dot */
    bool lazy;         /* not strict: looks at NULLs and evaluates arguments itself */
    bool nullable;     /* the result may be NULL though no argument is */
};

/* all rows; those of one name stand together */
const evs__function *evs__functions(size_t *ret_count);
/* "round(DOUBLE, INT) -> DOUBLE" */
evs_status evs__function_signature(const evs__function *f, evs__buffer *out);

/* Functions of the host, kept by the context. */
typedef struct evs__host_function evs__host_function;
struct evs__host_function {
    const char *name; /* lower case */
    const evs_type **args;
    size_t arg_count;
    const evs_type *result;
    evs_scalar_fn fn;
    void *user_data;
    evs__host_function *next;
};
const evs__host_function *evs__host_functions(evs_context *ctx);
/* name, arguments and result of "name(TYPE, ...) RETURNS TYPE"; EVS_ERR_EXPRESSION, EVS_ERR_NOMEM
 */
evs_status evs__host_signature(evs_context *ctx,
                               const char *text,
                               evs__host_function **ret,
                               evs_error **reterr);
void evs__host_function_free(evs_context *ctx, evs__host_function *f);
/* a row of a column of a type without parts, as the host gets it */
void evs__value_get(const evs__column *c, size_t row, evs_value *v);
evs_status evs__eval_host(evs__eval *, evs__term *, const evs__rows *, evs__column **);

/* functions_*.c, referred to by the table only */
#define EVS__EVALUATOR(name)                                                                       \
    evs_status name(evs__eval *, evs__term *, const evs__rows *, evs__column **)
EVS__EVALUATOR(evs__fn_same);
EVS__EVALUATOR(evs__fn_abs);
EVS__EVALUATOR(evs__fn_sign);
EVS__EVALUATOR(evs__fn_round);
EVS__EVALUATOR(evs__fn_round_decimal);
EVS__EVALUATOR(evs__fn_real);
EVS__EVALUATOR(evs__fn_power);
EVS__EVALUATOR(evs__fn_length);
EVS__EVALUATOR(evs__fn_change_case);
EVS__EVALUATOR(evs__fn_trim);
EVS__EVALUATOR(evs__fn_substring);
EVS__EVALUATOR(evs__fn_position);
EVS__EVALUATOR(evs__fn_replace);
EVS__EVALUATOR(evs__fn_concat);
EVS__EVALUATOR(evs__fn_concat_strict);
EVS__EVALUATOR(evs__fn_contains);
EVS__EVALUATOR(evs__fn_split_part);
EVS__EVALUATOR(evs__fn_date_trunc);
EVS__EVALUATOR(evs__fn_extract);
EVS__EVALUATOR(evs__fn_time_part);
EVS__EVALUATOR(evs__fn_cardinality);
EVS__EVALUATOR(evs__fn_array_contains);
EVS__EVALUATOR(evs__fn_hash64);

#endif
