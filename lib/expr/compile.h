/*
 * expr/compile.h: between the parts of the compiler (compile.c, compile_types.c, compile_call.c).
 */
#ifndef EVS_EXPR_COMPILE_H
#define EVS_EXPR_COMPILE_H

#include "expr/functions.h"

typedef struct evs__compiler {
    evs_context *ctx;
    evs__expr *expr;
    const evs_type *row;
    evs_error **reterr;
} evs__compiler;

/* ---- compile.c ---- */

evs_status evs__compile(evs__compiler *c, const evs__ast *a, evs__term **ret);
/* EVS_ERR_TYPE, EVS_ERR_EXPRESSION or EVS_ERR_NOMEM, with the position as origin */
evs_status
evs__compile_fault(evs__compiler *c, uint32_t position, evs_status status, const char *format, ...)
    EVS_PRINTF(4, 5);
evs_status evs__compile_nomem(evs__compiler *c);
/* a node over args (copied); `type` is referenced; partial when an argument is */
evs_status evs__term_new(evs__compiler *c,
                         uint32_t position,
                         evs__term_fn eval,
                         const evs_type *type,
                         evs__term *const *args,
                         size_t count,
                         evs__term **ret);
/* evaluate a node over constants now; a failure is a fault of the text */
evs_status evs__fold(evs__compiler *c, evs__term *n);
/* a strict node is done: NULL when an argument is the constant NULL, folded when all are constant
 */
evs_status evs__finish_strict(evs__compiler *c, evs__term *n);

static inline bool evs__is_null_constant(const evs__term *n)
{
    return n->constant && (!n->type || evs__column_is_null(n->out, 0));
}

bool evs__any_nullable(evs__term *const *terms, size_t count);
/* a BOOLEAN over args, nullable when one is */
evs_status evs__boolean(evs__compiler *c,
                        uint32_t position,
                        evs__term_fn eval,
                        evs__op op,
                        evs__term *const *args,
                        size_t count,
                        evs__term **ret);
/* `n` once, for all uses of *ret_local; *ret_let NULL: it can simply be used again */
evs_status evs__let(evs__compiler *c, evs__term *n, evs__term **ret_let, evs__term **ret_local);
/* the whole, once what uses the local is made */
evs__term *evs__let_body(evs__term *let, evs__term *body);

/* ---- compile_operators.c ---- */

evs_status evs__compile_unary(evs__compiler *c, const evs__ast *a, evs__term **ret);
evs_status evs__compile_binary(evs__compiler *c, const evs__ast *a, evs__term **ret);
/* a condition: BOOLEAN, or the literal NULL as one */
evs_status evs__compile_condition(evs__compiler *c, const evs__ast *a, evs__term **ret);
evs_status evs__compile_compare(
    evs__compiler *c, uint32_t position, evs__op op, evs__term *a, evs__term *b, evs__term **ret);
/* AND or OR of conditions */
evs_status evs__compile_junction(evs__compiler *c,
                                 uint32_t position,
                                 evs__op op,
                                 evs__term *const *args,
                                 size_t count,
                                 evs__term **ret);
/* NOT n, where wanted */
evs_status
evs__compile_not(evs__compiler *c, uint32_t position, bool wanted, evs__term *n, evs__term **ret);

/* ---- compile_predicates.c ---- */

evs_status evs__compile_is_null(evs__compiler *c, const evs__ast *a, evs__term **ret);
evs_status evs__compile_between(evs__compiler *c, const evs__ast *a, evs__term **ret);
evs_status evs__compile_in(evs__compiler *c, const evs__ast *a, evs__term **ret);
evs_status evs__compile_like(evs__compiler *c, const evs__ast *a, evs__term **ret);
evs_status evs__compile_case(evs__compiler *c, const evs__ast *a, evs__term **ret);
evs_status evs__compile_cast(evs__compiler *c, const evs__ast *a, evs__term **ret);

/* ---- compile_types.c ---- */

/* a type without parameters, borrowed from the expression; NULL: no memory */
const evs_type *evs__simple_type(evs__compiler *c, evs_type_id id, bool nullable);
/* "INT", "NULL" for messages */
int evs__term_type_len(const evs__term *n);
const char *evs__term_type_text(const evs__term *n);
static inline bool evs__is_number(const evs__term *n)
{
    return n->type && n->type->id >= EVS_TYPE_INT && n->type->id <= EVS_TYPE_DECIMAL;
}
static inline bool evs__is_integer(const evs__term *n)
{
    return n->type && (n->type->id == EVS_TYPE_INT || n->type->id == EVS_TYPE_BIGINT);
}
/* how far an implicit cast is: 0 the same type, -1 there is none */
int evs__implicit_cost(const evs__term *n, const evs_type *to);
int evs__implicit_cost_id(const evs__term *n, evs_type_id to);
/* n as a `to`, by an implicit or explicit cast (the caller knows that it exists) */
evs_status evs__coerce(evs__compiler *c, evs__term *n, const evs_type *to, evs__term **ret);
/* the type all nodes can be cast to implicitly: a new reference, nullable when one is; NULL when
 * all are the literal NULL; EVS_ERR_TYPE: there is none */
evs_status
evs__common_type(evs__compiler *c, evs__term *const *nodes, size_t count, const evs_type **ret);
/* coerce all to their common type */
evs_status evs__unify(evs__compiler *c,
                      uint32_t position,
                      const char *what,
                      evs__term **nodes,
                      size_t count,
                      const evs_type **ret);

/* ---- compile_call.c ---- */

evs_status evs__compile_call(evs__compiler *c, const evs__ast *a, evs__term **ret);

#endif
