/*
 * expr/compile_operators.c: arithmetic, comparison, logic, joining of texts.
 *
 * Operands are brought to one type first: see compile_types.c for numbers that widen, decimal.c for
 * decimals, eval_number.c for times. A chain of AND, OR or || becomes one term over all its
 * members.
 * `||` takes text and casts the other side; AND, OR, NOT want BOOLEAN.
 */
#include <string.h>

#include "expr/compile.h"

/* ---- arithmetic ---- */

static const struct op_word {
    const char *name;
    evs__op op;
} op_words[] = {{"=", EVS__OP_EQ},
                {"<>", EVS__OP_NE},
                {"<", EVS__OP_LT},
                {"<=", EVS__OP_LE},
                {">", EVS__OP_GT},
                {">=", EVS__OP_GE},
                {"IS DISTINCT FROM", EVS__OP_DISTINCT},
                {"IS NOT DISTINCT FROM", EVS__OP_NOT_DISTINCT},
                {"+", EVS__OP_ADD},
                {"-", EVS__OP_SUB},
                {"*", EVS__OP_MUL},
                {"/", EVS__OP_DIV},
                {"%", EVS__OP_MOD},
                {"AND", EVS__OP_AND},
                {"OR", EVS__OP_OR}};

/* -1: "||", which is a function */
static int op_of(const evs__ast *a)
{
    for (size_t i = 0; i < sizeof(op_words) / sizeof(op_words[0]); i++) {
        if (strcmp(op_words[i].name, a->name) == 0)
            return (int)op_words[i].op;
    }
    return -1;
}

static evs_status no_operator(evs__compiler *c, const evs__ast *a, evs__term *const *args)
{
    bool text = args[0]->type && args[1]->type &&
                (args[0]->type->id == EVS_TYPE_VARCHAR || args[1]->type->id == EVS_TYPE_VARCHAR);
    return evs__compile_fault(c, a->position, EVS_ERR_TYPE, "\"%s\" does not take %.*s and %.*s%s",
                              a->name, evs__term_type_len(args[0]), evs__term_type_text(args[0]),
                              evs__term_type_len(args[1]), evs__term_type_text(args[1]),
                              text && a->name[0] == '+' ? " (texts are joined with ||)" : "");
}

/* one type for both operands, and that of the result; 0: not times */
static evs_type_id times_result(evs__op op, evs__term *const *args, evs_type_id *ret_operands)
{
    evs_type_id a = args[0]->type->id, b = args[1]->type->id;

    if (op == EVS__OP_ADD && (b == EVS_TYPE_TIMESTAMP || b == EVS_TYPE_DATE)) {
        evs_type_id swap = a;
        a = b;
        b = swap;
    }
    if (a == EVS_TYPE_TIMESTAMP) {
        *ret_operands = EVS_TYPE_BIGINT;
        if (op == EVS__OP_SUB && (b == EVS_TYPE_TIMESTAMP || b == EVS_TYPE_DATE))
            return EVS_TYPE_BIGINT;
        if (b == EVS_TYPE_INT || b == EVS_TYPE_BIGINT)
            return op == EVS__OP_ADD || op == EVS__OP_SUB ? EVS_TYPE_TIMESTAMP : (evs_type_id)0;
    }
    if (a == EVS_TYPE_DATE && op == EVS__OP_SUB && b == EVS_TYPE_TIMESTAMP) {
        *ret_operands = EVS_TYPE_BIGINT;
        return EVS_TYPE_BIGINT;
    }
    if (a == EVS_TYPE_DATE) {
        *ret_operands = EVS_TYPE_INT;
        if (op == EVS__OP_SUB && b == EVS_TYPE_DATE)
            return EVS_TYPE_INT;
        if (b == EVS_TYPE_INT)
            return op == EVS__OP_ADD || op == EVS__OP_SUB ? EVS_TYPE_DATE : (evs_type_id)0;
    }
    return (evs_type_id)0;
}

/* operands as integers of one width: a DATE with a TIMESTAMP goes through TIMESTAMP */
static evs_status time_operands(evs__compiler *c, evs__term **args, evs_type_id operands)
{
    for (int i = 0; i < 2; i++) {
        evs_type_id id = args[i]->type->id;
        const evs_type *type;
        evs_status status;
        if (operands == EVS_TYPE_INT || id == EVS_TYPE_TIMESTAMP || id == EVS_TYPE_BIGINT)
            continue;
        type = evs__simple_type(c, id == EVS_TYPE_DATE ? EVS_TYPE_TIMESTAMP : EVS_TYPE_BIGINT,
                                args[i]->type->nullable);
        if (!type)
            return evs__compile_nomem(c);
        status = evs__coerce(c, args[i], type, &args[i]);
        if (status)
            return status;
    }
    return EVS_OK;
}

/* cast numbers to what the operator computes in; *ret_type gets a new reference */
static evs_status
number_operands(evs__compiler *c, evs__op op, evs__term **args, const evs_type **ret_type)
{
    const evs_type *type = NULL;
    bool nullable = evs__any_nullable(args, 2);
    int32_t precision, scale;
    evs_status status = evs__common_type(c, args, 2, &type);

    if (status)
        return evs__compile_nomem(c);
    if (type->id != EVS_TYPE_DECIMAL) {
        for (int i = 0; i < 2 && !status; i++)
            status = evs__coerce(c, args[i], type, &args[i]);
        if (status) {
            evs_type_unref(type);
            return status;
        }
        *ret_type = type;
        return EVS_OK;
    }
    evs_type_unref(type);
    evs__decimal_type(op, args[0]->type, args[1]->type, &precision, &scale);
    for (int i = 0; i < 2 && !status; i++) {
        if (args[i]->type->id == EVS_TYPE_DECIMAL)
            continue;
        if (evs__type_decimal(c->ctx, args[i]->type->id == EVS_TYPE_INT ? 10 : 19, 0, nullable,
                              &type))
            return evs__compile_nomem(c);
        status = evs__coerce(c, args[i], type, &args[i]);
        evs_type_unref(type);
    }
    if (!status && evs__type_decimal(c->ctx, precision, scale, nullable, ret_type))
        return evs__compile_nomem(c);
    return status;
}

static evs_status compile_arithmetic(
    evs__compiler *c, const evs__ast *a, evs__op op, evs__term **args, evs__term **ret)
{
    const evs_type *type = NULL;
    evs_type_id operands = EVS_TYPE_INT, result = (evs_type_id)0;
    evs_status status = EVS_OK;

    for (int i = 0; i < 2 && !status; i++) { /* NULL is what the other side is, else INT */
        evs_type_id id = args[!i]->type ? args[!i]->type->id : EVS_TYPE_INT;
        if (args[i]->type)
            continue;
        if (id == EVS_TYPE_TIMESTAMP || id == EVS_TYPE_DATE)
            id = EVS_TYPE_INT;
        type = id == EVS_TYPE_DECIMAL ? args[!i]->type : evs__simple_type(c, id, true);
        if (id >= EVS_TYPE_ARRAY)
            return no_operator(c, a, args);
        status = type ? evs__coerce(c, args[i], type, &args[i]) : evs__compile_nomem(c);
    }
    if (status)
        return status;
    if (evs__is_number(args[0]) && evs__is_number(args[1])) {
        status = number_operands(c, op, args, &type);
    } else {
        result = times_result(op, args, &operands);
        if (!result)
            return no_operator(c, a, args);
        status = time_operands(c, args, operands);
        if (!status) {
            type = evs_type_ref(evs__simple_type(c, result, evs__any_nullable(args, 2)));
            status = type ? EVS_OK : evs__compile_nomem(c);
        }
    }
    if (status)
        return status;
    status = evs__term_new(c, a->position, evs__number_evaluator(op, type->id), type, args, 2, ret);
    evs_type_unref(type);
    if (status)
        return status;
    (*ret)->op = op;
    (*ret)->partial |=
        (*ret)->type->id != EVS_TYPE_DOUBLE || op == EVS__OP_DIV || op == EVS__OP_MOD;
    return evs__finish_strict(c, *ret);
}

/* ---- comparison and logic ---- */

evs_status evs__compile_compare(
    evs__compiler *c, uint32_t position, evs__op op, evs__term *a, evs__term *b, evs__term **ret)
{
    evs__term *args[2] = {a, b};
    bool distinct = op == EVS__OP_DISTINCT || op == EVS__OP_NOT_DISTINCT;
    bool decimals = evs__is_number(a) && evs__is_number(b) && a->type->id != EVS_TYPE_DOUBLE &&
                    b->type->id != EVS_TYPE_DOUBLE &&
                    (a->type->id == EVS_TYPE_DECIMAL || b->type->id == EVS_TYPE_DECIMAL);
    const evs_type *type = NULL;
    evs_status status;

    if (decimals) { /* of any scales; integers become decimals */
        status = number_operands(c, EVS__OP_ADD, args, &type);
    } else {
        status = evs__unify(c, position, "a comparison", args, 2, &type);
        if (!status && type->id >= EVS_TYPE_ARRAY && op >= EVS__OP_LT && op <= EVS__OP_GE)
            status = evs__compile_fault(c, position, EVS_ERR_TYPE, "%.*s has no order",
                                        evs__term_type_len(args[0]), evs__term_type_text(args[0]));
    }
    evs_type_unref(type);
    if (status)
        return status;
    if (!distinct) {
        status = evs__boolean(c, position, evs__eval_compare, op, args, 2, ret);
        return status ? status : evs__finish_strict(c, *ret);
    }
    status = evs__boolean(c, position, evs__eval_compare, op, args, 2, ret);
    if (status)
        return status;
    evs_type_unref((*ret)->type);
    (*ret)->type = evs_type_ref(evs__simple_type(c, EVS_TYPE_BOOLEAN, false));
    return (*ret)->type ? evs__fold(c, *ret) : evs__compile_nomem(c);
}

/* a condition: BOOLEAN, or the literal NULL as one */
evs_status evs__compile_condition(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    const evs_type *type = evs__simple_type(c, EVS_TYPE_BOOLEAN, true);
    evs__term *n = NULL;
    evs_status status = type ? evs__compile(c, a, &n) : evs__compile_nomem(c);

    if (status)
        return status;
    if (n->type && n->type->id != EVS_TYPE_BOOLEAN)
        return evs__compile_fault(c, a->position, EVS_ERR_TYPE,
                                  "expected a condition (BOOLEAN), this is %.*s",
                                  evs__term_type_len(n), evs__term_type_text(n));
    return evs__coerce(c, n, type, ret);
}

/* operands of a chain `a op b op c`, which leans to the left */
static uint32_t chain_length(const evs__ast *a, const char *name)
{
    uint32_t n = 1;
    for (; a->kind == EVS__AST_BINARY && strcmp(a->name, name) == 0; a = a->args[0])
        n++;
    return n;
}

static const evs__ast *chain_at(const evs__ast *a, uint32_t length, uint32_t i)
{
    for (uint32_t steps = length - 1 - i; steps && i; steps--)
        a = a->args[0];
    for (uint32_t k = 1; !i && k < length; k++)
        a = a->args[0];
    return i ? a->args[1] : a;
}

evs_status evs__compile_junction(evs__compiler *c,
                                 uint32_t position,
                                 evs__op op,
                                 evs__term *const *args,
                                 size_t count,
                                 evs__term **ret)
{
    evs_status status = evs__boolean(c, position, evs__eval_logic, op, args, count, ret);
    return status ? status : evs__fold(c, *ret);
}

static evs_status compile_logic(evs__compiler *c, const evs__ast *a, evs__op op, evs__term **ret)
{
    uint32_t count = chain_length(a, a->name);
    evs__term **args = evs__calloc(c->ctx, count, sizeof(evs__term *));
    evs_status status = args ? EVS_OK : evs__compile_nomem(c);

    for (uint32_t i = 0; i < count && !status; i++)
        status = evs__compile_condition(c, chain_at(a, count, i), &args[i]);
    if (!status)
        status = evs__compile_junction(c, a->position, op, args, count, ret);
    evs__free(c->ctx, args);
    return status;
}

evs_status
evs__compile_not(evs__compiler *c, uint32_t position, bool wanted, evs__term *n, evs__term **ret)
{
    evs_status status;

    *ret = n;
    if (!wanted)
        return EVS_OK;
    status = evs__boolean(c, position, evs__eval_not, EVS__OP_AND, &n, 1, ret);
    return status ? status : evs__finish_strict(c, *ret);
}

static evs_status compile_concat(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    uint32_t count = chain_length(a, "||");
    evs__term *args[EVS__ARGS_MAX] = {NULL};
    const evs_type *type;
    bool bytes = false, text = false;
    evs_status status = EVS_OK;

    if (count > EVS__ARGS_MAX)
        return evs__compile_fault(c, a->position, EVS_ERR_EXPRESSION,
                                  "at most %d texts are joined at once (use parentheses)",
                                  EVS__ARGS_MAX);
    for (uint32_t i = 0; i < count && !status; i++) {
        status = evs__compile(c, chain_at(a, count, i), &args[i]);
        if (status)
            return status;
        text |= !args[i]->type || args[i]->type->id == EVS_TYPE_VARCHAR;
        bytes |= args[i]->type && args[i]->type->id == EVS_TYPE_BYTES;
    }
    for (uint32_t i = 0; i < count; i++) {
        bool fits = bytes ? !args[i]->type || args[i]->type->id == EVS_TYPE_BYTES : text;
        if (!fits)
            return no_operator(c, a, i ? args + i - 1 : args);
    }
    type = evs__simple_type(c, bytes ? EVS_TYPE_BYTES : EVS_TYPE_VARCHAR,
                            evs__any_nullable(args, count));
    if (!type)
        return evs__compile_nomem(c);
    for (uint32_t i = 0; i < count && !status; i++)
        status = evs__coerce(c, args[i], type, &args[i]);
    if (!status)
        status = evs__term_new(c, a->position, evs__fn_concat_strict, type, args, count, ret);
    if (status)
        return status;
    (*ret)->partial = true;
    return evs__finish_strict(c, *ret);
}

evs_status evs__compile_binary(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    evs__term *args[2] = {NULL, NULL};
    int op = op_of(a);
    evs_status status;

    if (op < 0)
        return compile_concat(c, a, ret);
    if (op == EVS__OP_AND || op == EVS__OP_OR)
        return compile_logic(c, a, (evs__op)op, ret);
    status = evs__compile(c, a->args[0], &args[0]);
    if (!status)
        status = evs__compile(c, a->args[1], &args[1]);
    if (status)
        return status;
    if (op >= EVS__OP_ADD)
        return compile_arithmetic(c, a, (evs__op)op, args, ret);
    return evs__compile_compare(c, a->position, (evs__op)op, args[0], args[1], ret);
}

evs_status evs__compile_unary(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    evs__term *n = NULL;
    evs_status status;

    if (a->name[0] != '-') {
        status = evs__compile_condition(c, a->args[0], &n);
        return status ? status : evs__compile_not(c, a->position, true, n, ret);
    }
    status = evs__compile(c, a->args[0], &n);
    if (status)
        return status;
    if (!n->type) {
        *ret = n;
        return EVS_OK;
    }
    if (!evs__is_number(n))
        return evs__compile_fault(c, a->position, EVS_ERR_TYPE,
                                  "\"-\" needs a number, this is %.*s", evs__term_type_len(n),
                                  evs__term_type_text(n));
    status = evs__term_new(c, a->position, evs__eval_negate, n->type, &n, 1, ret);
    if (status)
        return status;
    (*ret)->partial = true;
    return evs__finish_strict(c, *ret);
}
