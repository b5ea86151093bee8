/*
 * expr/compile_predicates.c: IS NULL, BETWEEN, IN, LIKE, CASE and CAST.
 *
 * What is short for something else is made so: BETWEEN of two comparisons, IN over other than
 * constants of comparisons and OR, CASE x WHEN of CASE WHEN x =. The operand they share is
 * evaluated once, by evs__let().
 */
#include "expr/compile.h"

/* ---- predicates ---- */

evs_status evs__compile_is_null(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    const evs_type *type = evs__simple_type(c, EVS_TYPE_BOOLEAN, false);
    const evs_type *any = evs__simple_type(c, EVS_TYPE_VARCHAR, true);
    evs__term *n = NULL;
    evs_status status = type && any ? evs__compile(c, a->args[0], &n) : evs__compile_nomem(c);

    if (!status && !n->type)
        status = evs__coerce(c, n, any, &n);
    if (!status)
        status = evs__term_new(c, a->position, evs__eval_is_null, type, &n, 1, ret);
    if (status)
        return status;
    (*ret)->negated = a->negated;
    return evs__fold(c, *ret);
}

evs_status evs__compile_between(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    evs__term *args[3], *keep = NULL, *x = NULL, *both[2] = {NULL, NULL}, *body = NULL;
    evs_status status = EVS_OK;

    for (int i = 0; i < 3 && !status; i++)
        status = evs__compile(c, a->args[i], &args[i]);
    if (!status)
        status = evs__let(c, args[0], &keep, &x);
    if (!status)
        status = evs__compile_compare(c, a->position, EVS__OP_GE, x, args[1], &both[0]);
    if (!status)
        status = evs__compile_compare(c, a->position, EVS__OP_LE, x, args[2], &both[1]);
    if (!status)
        status = evs__compile_junction(c, a->position, EVS__OP_AND, both, 2, &body);
    if (!status)
        status = evs__compile_not(c, a->position, a->negated, body, &body);
    if (status)
        return status;
    *ret = evs__let_body(keep, body);
    return EVS_OK;
}

/* x IN (constants of one type) */
static evs_status
in_constants(evs__compiler *c, const evs__ast *a, evs__term **args, size_t count, evs__term **ret)
{
    const evs_type *type = NULL;
    evs_status status = evs__unify(c, a->position, "IN", args, count, &type);

    if (status)
        return status;
    evs_type_unref(type);
    status = evs__boolean(c, a->position, evs__eval_in, EVS__OP_EQ, args, count, ret);
    if (status)
        return status;
    (*ret)->negated = a->negated;
    if (evs__in_prepare(c->ctx, *ret))
        return evs__compile_nomem(c);
    return evs__fold(c, *ret);
}

/* x = a OR x = b ... */
static evs_status
in_expressions(evs__compiler *c, const evs__ast *a, evs__term **args, size_t count, evs__term **ret)
{
    evs__term *keep = NULL, *x = NULL, *body = NULL;
    evs_status status = evs__let(c, args[0], &keep, &x);

    for (size_t i = 1; i < count && !status; i++)
        status = evs__compile_compare(c, a->position, EVS__OP_EQ, x, args[i], &args[i]);
    if (!status)
        status = evs__compile_junction(c, a->position, EVS__OP_OR, args + 1, count - 1, &body);
    if (!status)
        status = evs__compile_not(c, a->position, a->negated, body, &body);
    if (status)
        return status;
    *ret = evs__let_body(keep, body);
    return EVS_OK;
}

evs_status evs__compile_in(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    evs__term **args = evs__calloc(c->ctx, a->arg_count, sizeof(evs__term *));
    bool constants = true;
    evs_status status = args ? EVS_OK : evs__compile_nomem(c);

    for (uint32_t i = 0; i < a->arg_count && !status; i++) {
        status = evs__compile(c, a->args[i], &args[i]);
        constants &= i == 0 || (!status && args[i]->constant);
    }
    if (!status)
        status = constants ? in_constants(c, a, args, a->arg_count, ret)
                           : in_expressions(c, a, args, a->arg_count, ret);
    evs__free(c->ctx, args);
    return status;
}

evs_status evs__compile_like(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    const evs_type *type = evs__simple_type(c, EVS_TYPE_VARCHAR, true);
    evs__term *args[3] = {NULL, NULL, NULL};
    evs_error *why = NULL;
    evs_status status = type ? EVS_OK : evs__compile_nomem(c);

    for (uint32_t i = 0; i < a->arg_count && !status; i++) {
        status = evs__compile(c, a->args[i], &args[i]);
        if (!status && args[i]->type && args[i]->type->id != EVS_TYPE_VARCHAR)
            return evs__compile_fault(c, a->args[i]->position, EVS_ERR_TYPE,
                                      "LIKE needs text, this is %.*s", evs__term_type_len(args[i]),
                                      evs__term_type_text(args[i]));
        if (!status)
            status = evs__coerce(c, args[i], type, &args[i]);
    }
    if (!status)
        status = evs__boolean(c, a->position, evs__eval_like, EVS__OP_EQ, args, a->arg_count, ret);
    if (status)
        return status;
    (*ret)->negated = a->negated;
    (*ret)->partial = true;
    for (uint32_t i = 0; i < a->arg_count; i++) {
        if (evs__is_null_constant(args[i]))
            return evs__finish_strict(c, *ret);
    }
    status = evs__like_prepare(c->ctx, *ret, &why);
    if (status == EVS_ERR_EXPRESSION)
        (void)evs__compile_fault(c, a->args[a->arg_count - 1]->position, status, "%s",
                                 evs_error_message(why));
    else if (status)
        (void)evs__compile_nomem(c);
    evs_error_unref(why);
    return status ? status : evs__finish_strict(c, *ret);
}

/* ---- CASE, CAST ---- */

/* conditions and values in node order; values[] is scratch of count entries */
static evs_status case_args(evs__compiler *c,
                            const evs__ast *a,
                            evs__term *operand,
                            evs__term **args,
                            evs__term **values,
                            const evs_type **ret_type)
{
    uint32_t from = a->has_operand, count = a->arg_count - from, n_values = 0;
    bool has_else = count % 2;
    evs_status status = EVS_OK;

    for (uint32_t i = 0; i < count && !status; i++) {
        const evs__ast *at = a->args[from + i];
        bool value = i % 2 || (has_else && i == count - 1);
        if (value || operand)
            status = evs__compile(c, at, &args[i]);
        else
            status = evs__compile_condition(c, at, &args[i]);
        if (!status && value)
            values[n_values++] = args[i];
        else if (!status && operand)
            status = evs__compile_compare(c, at->position, EVS__OP_EQ, operand, args[i], &args[i]);
    }
    if (!status)
        status = evs__unify(c, a->position, "CASE", values, n_values, ret_type);
    n_values = 0;
    for (uint32_t i = 0; i < count && !status; i++) {
        if (i % 2 || (has_else && i == count - 1))
            args[i] = values[n_values++];
    }
    return status;
}

evs_status evs__compile_case(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    evs__term **args = evs__calloc(c->ctx, 2 * (size_t)a->arg_count, sizeof(evs__term *));
    evs__term *keep = NULL, *operand = NULL, *body = NULL;
    uint32_t count = a->arg_count - a->has_operand;
    const evs_type *type = NULL, *nullable = NULL;
    evs_status status = args ? EVS_OK : evs__compile_nomem(c);

    if (!status && a->has_operand && !(status = evs__compile(c, a->args[0], &operand)))
        status = evs__let(c, operand, &keep, &operand);
    if (!status)
        status = case_args(c, a, operand, args, args + a->arg_count, &type);
    if (!status && count % 2 == 0) { /* without ELSE it may be NULL */
        status = evs__type_with_nullable(type, true, &nullable) ? evs__compile_nomem(c) : EVS_OK;
        evs_type_unref(type);
        type = nullable;
    }
    if (!status)
        status = evs__term_new(c, a->position, evs__eval_case, type, args, count, &body);
    if (!status)
        status = evs__fold(c, body);
    if (!status)
        *ret = evs__let_body(keep, body);
    evs_type_unref(type);
    evs__free(c->ctx, args);
    return status;
}

evs_status evs__compile_cast(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    evs__term *n = NULL;
    evs_status status = evs__compile(c, a->args[0], &n);

    if (status)
        return status;
    if (n->type && evs__implicit_cost(n, a->type) != 0 && !evs__cast_exists(n->type, a->type))
        return evs__compile_fault(c, a->position, EVS_ERR_TYPE, "%.*s cannot be cast to %.*s",
                                  evs__term_type_len(n), evs__term_type_text(n),
                                  evs__type_len(a->type), evs_type_print(a->type));
    return evs__coerce(c, n, a->type, ret);
}
