/*
 * expr/compile.c: tree to typed nodes.
 *
 * One pass, bottom up: arguments first, then the casts that bring them to one type, then the node.
 * What has only constants below it is evaluated at once, so a column is compared with a ready value
 * and a bad literal is a fault of the text, told with its position, instead of one of every row
 * (also in a branch of CASE that no row would take). Strict operators over the literal NULL are
 * NULL without looking at the other side.
 *
 * Operators that are short for others are made so here: BETWEEN of two comparisons, IN over other
 * than constants of comparisons and OR, CASE x WHEN of CASE WHEN x =. Their common operand is
 * evaluated once: a LET node keeps it for the LOCAL nodes below.
 *
 * Types of operators: see compile_types.c for numbers that widen, decimal.c for decimals,
 * eval_number.c for times. `||` takes text and casts the other side; AND, OR, NOT, WHEN want
 * BOOLEAN.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/config.h"
#include "expr/ast.h"
#include "expr/compile.h"

#define ROW_TEXT_MAX (16u << 20) /* of one row's value as text, on its way through a buffer */

/* ---- faults ---- */

evs_status evs__compile_nomem(evs__compiler *c)
{
    return evs__nomem(c->reterr);
}

evs_status
evs__compile_fault(evs__compiler *c, uint32_t position, evs_status status, const char *format, ...)
{
    char origin[32], message[768];
    va_list ap;

    snprintf(origin, sizeof(origin), "column %u", position + 1);
    va_start(ap, format);
    vsnprintf(message, sizeof(message), format, ap);
    va_end(ap);
    message[evs__utf8_valid_prefix(message, strlen(message))] = '\0';
    return evs__fail_at(c->ctx, c->reterr, status, origin, "%s", message);
}

/* `unknown field "pagee" (did you mean "page"?); fields are ...` */
static evs_status unknown_field(evs__compiler *c, const evs__ast *a, const evs_type *type)
{
    const char **names = evs__calloc(c->ctx, type->child_count + 1u, sizeof(*names));
    const char *hint;
    evs__buffer text;
    evs_status status;

    if (!names)
        return evs__compile_nomem(c);
    for (uint32_t i = 0; i < type->child_count; i++)
        names[i] = type->children[i].name;
    hint = evs__did_you_mean(a->name, names, type->child_count);
    evs__free(c->ctx, (void *)names);
    evs__buffer_init(&text, c->ctx, 4096);
    evs__buffer_printf(&text, "unknown field \"%s\"", a->name);
    if (hint)
        evs__buffer_printf(&text, " (did you mean \"%s\"?)", hint);
    evs__buffer_text(&text, "; ");
    evs__type_list_fields(type, &text);
    if (text.status == EVS_ERR_NOMEM)
        status = evs__compile_nomem(c);
    else
        status = evs__compile_fault(c, a->position, EVS_ERR_EXPRESSION, "%s",
                                    text.status ? "unknown field" : evs__buffer_cstr(&text));
    evs__buffer_free(&text);
    return status;
}

/* ---- nodes ---- */

evs_status evs__term_new(evs__compiler *c,
                         uint32_t position,
                         evs__term_fn eval,
                         const evs_type *type,
                         evs__term *const *args,
                         size_t count,
                         evs__term **ret)
{
    evs__term *n = evs__calloc(c->ctx, 1, sizeof(*n));

    if (!n)
        return evs__compile_nomem(c);
    n->next = c->expr->nodes;
    c->expr->nodes = n;
    n->eval = eval;
    n->position = position;
    n->type = evs_type_ref(type);
    if (count) {
        n->args = evs__realloc_array(c->ctx, NULL, count, sizeof(*n->args));
        if (!n->args)
            return evs__compile_nomem(c);
        memcpy(n->args, args, count * sizeof(*n->args));
        n->arg_count = (uint32_t)count;
    }
    for (size_t i = 0; i < count; i++)
        n->partial |= args[i] && args[i]->partial;
    *ret = n;
    return EVS_OK;
}

typedef struct fold_failure {
    evs_status status;
    char why[256];
} fold_failure;

static void note_failure(void *user_data, uint32_t row, evs_status status, const char *message)
{
    fold_failure *f = user_data;
    const char *where = strstr(message, " (column ");
    (void)row;
    f->status = status;
    snprintf(f->why, sizeof(f->why), "%.*s", where ? (int)(where - message) : (int)strlen(message),
             message);
}

evs_status evs__fold(evs__compiler *c, evs__term *n)
{
    static const evs__rows one = {NULL, 1, 1};
    fold_failure failure = {EVS_OK, ""};
    evs__eval ev = {c->expr, NULL, note_failure, &failure};
    evs__column *value = NULL;
    evs_status status;

    for (uint32_t i = 0; i < n->arg_count; i++) {
        if (!n->args[i]->constant)
            return EVS_OK;
    }
    c->expr->any_failed = false;
    status = evs__term_eval(&ev, n, &one, &value);
    if (status)
        return evs__compile_nomem(c);
    if (failure.status)
        return evs__compile_fault(c, n->position, EVS_ERR_EXPRESSION, "%s", failure.why);
    if (value != n->out) {
        evs__column_unref(n->out);
        n->out = evs__column_ref(value);
    }
    n->eval = evs__eval_constant;
    n->constant = true;
    n->partial = false;
    return EVS_OK;
}

evs_status evs__finish_strict(evs__compiler *c, evs__term *n)
{
    for (uint32_t i = 0; i < n->arg_count; i++) {
        if (!evs__is_null_constant(n->args[i]))
            continue;
        if (!n->type->nullable) {
            const evs_type *type = NULL;
            if (evs__type_with_nullable(n->type, true, &type))
                return evs__compile_nomem(c);
            evs_type_unref(n->type);
            n->type = type;
        }
        if (evs__column_new(c->ctx, n->type, EVS_LAYOUT_OWNED, 1, &n->out) ||
            evs__column_append_null(n->out))
            return evs__compile_nomem(c);
        n->eval = evs__eval_constant;
        n->constant = true;
        n->partial = false;
        return EVS_OK;
    }
    return evs__fold(c, n);
}

static bool any_nullable(evs__term *const *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!nodes[i]->type || nodes[i]->type->nullable)
            return true;
    }
    return false;
}

/* a BOOLEAN over args, strict */
static evs_status boolean_node(evs__compiler *c,
                               uint32_t position,
                               evs__term_fn eval,
                               evs__op op,
                               evs__term *const *args,
                               size_t count,
                               evs__term **ret)
{
    const evs_type *type = evs__simple_type(c, EVS_TYPE_BOOLEAN, any_nullable(args, count));
    evs_status status;

    if (!type)
        return evs__compile_nomem(c);
    status = evs__term_new(c, position, eval, type, args, count, ret);
    if (!status)
        (*ret)->op = op;
    return status;
}

/* `n` once, for all uses of *ret_local; *ret_let NULL: it can simply be used again */
static evs_status let(evs__compiler *c, evs__term *n, evs__term **ret_let, evs__term **ret_local)
{
    evs__term *args[2] = {n, NULL};
    evs_status status;

    *ret_let = NULL;
    *ret_local = n;
    if (n->constant || n->eval == evs__eval_column)
        return EVS_OK;
    status = evs__term_new(c, n->position, evs__eval_let, NULL, args, 2, ret_let);
    if (!status)
        status = evs__term_new(c, n->position, evs__eval_local, n->type, NULL, 0, ret_local);
    if (!status)
        (*ret_local)->state = *ret_let;
    return status;
}

static evs__term *let_body(evs__term *let_node, evs__term *body)
{
    if (!let_node)
        return body;
    let_node->args[1] = body;
    let_node->type = evs_type_ref(body->type);
    let_node->partial |= body->partial;
    return let_node;
}

/* ---- leaves ---- */

static evs_status fill_literal(evs__column *out, const evs__ast *a)
{
    switch (out->type->id) {
    case EVS_TYPE_BOOLEAN:
        evs__column_append_bool(out, a->integer != 0);
        break;
    case EVS_TYPE_INT:
    case EVS_TYPE_DATE:
    case EVS_TYPE_TIME:
        evs__column_append_i32(out, (int32_t)a->integer);
        break;
    case EVS_TYPE_DECIMAL:
        evs__column_append_i128(out, a->integer);
        break;
    case EVS_TYPE_DOUBLE:
        evs__column_append_f64(out, a->number);
        break;
    case EVS_TYPE_VARCHAR:
        return evs__column_append_str(out, a->text, a->text_len);
    default:
        evs__column_append_i64(out, (int64_t)a->integer);
        break;
    }
    return EVS_OK;
}

static evs_status compile_literal(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    const evs_type *type = NULL;
    evs__term *n = NULL;
    evs_status status;

    if (a->type && evs__type_with_nullable(a->type, false, &type))
        return evs__compile_nomem(c);
    status = evs__term_new(c, a->position, evs__eval_constant, type, NULL, 0, &n);
    evs_type_unref(type);
    if (status)
        return status;
    n->constant = true;
    if (n->type &&
        (evs__column_new(c->ctx, n->type, EVS_LAYOUT_OWNED, 1, &n->out) || fill_literal(n->out, a)))
        return evs__compile_nomem(c);
    *ret = n;
    return EVS_OK;
}

static evs_status compile_column(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    int32_t index = evs_type_field_index(c->row, a->name, a->name_len);
    evs_status status;

    if (index < 0)
        return unknown_field(c, a, c->row);
    status =
        evs__term_new(c, a->position, evs__eval_column, c->row->children[index].type, NULL, 0, ret);
    if (!status)
        (*ret)->index = (uint32_t)index;
    return status;
}

static evs_status compile_field(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    evs__term *of = NULL;
    const evs_type *type = NULL;
    int32_t index;
    evs_status status = evs__compile(c, a->args[0], &of);

    if (status)
        return status;
    if (!of->type || of->type->id != EVS_TYPE_STRUCT)
        return evs__compile_fault(c, a->position, EVS_ERR_TYPE,
                                  "\".%s\" needs a STRUCT, this is %.*s", a->name,
                                  evs__term_type_len(of), evs__term_type_text(of));
    index = evs_type_field_index(of->type, a->name, a->name_len);
    if (index < 0)
        return unknown_field(c, a, of->type);
    type = of->type->children[index].type;
    if (evs__type_with_nullable(type, type->nullable || of->type->nullable, &type))
        return evs__compile_nomem(c);
    status = evs__term_new(c, a->position, evs__eval_field, type, &of, 1, ret);
    evs_type_unref(type);
    if (!status)
        (*ret)->index = (uint32_t)index;
    return status;
}

static evs_status compile_index(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    evs__term *args[2] = {NULL, NULL};
    const evs_type *type = NULL, *key;
    bool map;
    evs_status status = evs__compile(c, a->args[0], &args[0]);

    if (!status)
        status = evs__compile(c, a->args[1], &args[1]);
    if (status)
        return status;
    map = args[0]->type && args[0]->type->id == EVS_TYPE_MAP;
    if (!args[0]->type || (args[0]->type->id != EVS_TYPE_ARRAY && !map))
        return evs__compile_fault(c, a->position, EVS_ERR_TYPE,
                                  "[] needs an ARRAY or a MAP, this is %.*s",
                                  evs__term_type_len(args[0]), evs__term_type_text(args[0]));
    key = evs__simple_type(c, map ? EVS_TYPE_VARCHAR : EVS_TYPE_BIGINT, true);
    if (!key)
        return evs__compile_nomem(c);
    if (evs__implicit_cost(args[1], key) < 0)
        return evs__compile_fault(c, a->args[1]->position, EVS_ERR_TYPE,
                                  map ? "a MAP's key is a VARCHAR, this is %.*s"
                                      : "an ARRAY's index is an INT or BIGINT, this is %.*s",
                                  evs__term_type_len(args[1]), evs__term_type_text(args[1]));
    status = evs__coerce(c, args[1], key, &args[1]);
    if (status)
        return status;
    if (evs__type_with_nullable(evs_type_child(args[0]->type, map ? 1 : 0), true, &type))
        return evs__compile_nomem(c);
    status = evs__term_new(c, a->position, map ? evs__eval_map_value : evs__eval_element, type,
                           args, 2, ret);
    evs_type_unref(type);
    if (!status)
        (*ret)->partial = true;
    return status;
}

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
    bool nullable = any_nullable(args, 2);
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
            type = evs_type_ref(evs__simple_type(c, result, any_nullable(args, 2)));
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

static evs_status compare(
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
        status = boolean_node(c, position, evs__eval_compare, op, args, 2, ret);
        return status ? status : evs__finish_strict(c, *ret);
    }
    status = boolean_node(c, position, evs__eval_compare, op, args, 2, ret);
    if (status)
        return status;
    evs_type_unref((*ret)->type);
    (*ret)->type = evs_type_ref(evs__simple_type(c, EVS_TYPE_BOOLEAN, false));
    return (*ret)->type ? evs__fold(c, *ret) : evs__compile_nomem(c);
}

/* a condition: BOOLEAN, or the literal NULL as one */
static evs_status compile_condition(evs__compiler *c, const evs__ast *a, evs__term **ret)
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

static evs_status logic(evs__compiler *c,
                        uint32_t position,
                        evs__op op,
                        evs__term *const *args,
                        size_t count,
                        evs__term **ret)
{
    evs_status status = boolean_node(c, position, evs__eval_logic, op, args, count, ret);
    return status ? status : evs__fold(c, *ret);
}

static evs_status compile_logic(evs__compiler *c, const evs__ast *a, evs__op op, evs__term **ret)
{
    uint32_t count = chain_length(a, a->name);
    evs__term **args = evs__calloc(c->ctx, count, sizeof(evs__term *));
    evs_status status = args ? EVS_OK : evs__compile_nomem(c);

    for (uint32_t i = 0; i < count && !status; i++)
        status = compile_condition(c, chain_at(a, count, i), &args[i]);
    if (!status)
        status = logic(c, a->position, op, args, count, ret);
    evs__free(c->ctx, args);
    return status;
}

static evs_status
negate(evs__compiler *c, uint32_t position, bool wanted, evs__term *n, evs__term **ret)
{
    evs_status status;

    *ret = n;
    if (!wanted)
        return EVS_OK;
    status = boolean_node(c, position, evs__eval_not, EVS__OP_AND, &n, 1, ret);
    return status ? status : evs__finish_strict(c, *ret);
}

static evs_status compile_concat(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    uint32_t count = chain_length(a, "||");
    evs__term *args[EVS__ARGS_MAX];
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
    type =
        evs__simple_type(c, bytes ? EVS_TYPE_BYTES : EVS_TYPE_VARCHAR, any_nullable(args, count));
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

static evs_status compile_binary(evs__compiler *c, const evs__ast *a, evs__term **ret)
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
    return compare(c, a->position, (evs__op)op, args[0], args[1], ret);
}

static evs_status compile_unary(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    evs__term *n = NULL;
    evs_status status;

    if (a->name[0] != '-') {
        status = compile_condition(c, a->args[0], &n);
        return status ? status : negate(c, a->position, true, n, ret);
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

/* ---- predicates ---- */

static evs_status compile_is_null(evs__compiler *c, const evs__ast *a, evs__term **ret)
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

static evs_status compile_between(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    evs__term *args[3], *keep = NULL, *x = NULL, *both[2] = {NULL, NULL}, *body = NULL;
    evs_status status = EVS_OK;

    for (int i = 0; i < 3 && !status; i++)
        status = evs__compile(c, a->args[i], &args[i]);
    if (!status)
        status = let(c, args[0], &keep, &x);
    if (!status)
        status = compare(c, a->position, EVS__OP_GE, x, args[1], &both[0]);
    if (!status)
        status = compare(c, a->position, EVS__OP_LE, x, args[2], &both[1]);
    if (!status)
        status = logic(c, a->position, EVS__OP_AND, both, 2, &body);
    if (!status)
        status = negate(c, a->position, a->negated, body, &body);
    if (status)
        return status;
    *ret = let_body(keep, body);
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
    status = boolean_node(c, a->position, evs__eval_in, EVS__OP_EQ, args, count, ret);
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
    evs_status status = let(c, args[0], &keep, &x);

    for (size_t i = 1; i < count && !status; i++)
        status = compare(c, a->position, EVS__OP_EQ, x, args[i], &args[i]);
    if (!status)
        status = logic(c, a->position, EVS__OP_OR, args + 1, count - 1, &body);
    if (!status)
        status = negate(c, a->position, a->negated, body, &body);
    if (status)
        return status;
    *ret = let_body(keep, body);
    return EVS_OK;
}

static evs_status compile_in(evs__compiler *c, const evs__ast *a, evs__term **ret)
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

static evs_status compile_like(evs__compiler *c, const evs__ast *a, evs__term **ret)
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
        status = boolean_node(c, a->position, evs__eval_like, EVS__OP_EQ, args, a->arg_count, ret);
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
            status = compile_condition(c, at, &args[i]);
        if (!status && value)
            values[n_values++] = args[i];
        else if (!status && operand)
            status = compare(c, at->position, EVS__OP_EQ, operand, args[i], &args[i]);
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

static evs_status compile_case(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    evs__term **args = evs__calloc(c->ctx, 2 * (size_t)a->arg_count, sizeof(evs__term *));
    evs__term *keep = NULL, *operand = NULL, *body = NULL;
    uint32_t count = a->arg_count - a->has_operand;
    const evs_type *type = NULL, *nullable = NULL;
    evs_status status = args ? EVS_OK : evs__compile_nomem(c);

    if (!status && a->has_operand && !(status = evs__compile(c, a->args[0], &operand)))
        status = let(c, operand, &keep, &operand);
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
        *ret = let_body(keep, body);
    evs_type_unref(type);
    evs__free(c->ctx, args);
    return status;
}

static evs_status compile_cast(evs__compiler *c, const evs__ast *a, evs__term **ret)
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

/* ---- the whole ---- */

evs_status evs__compile(evs__compiler *c, const evs__ast *a, evs__term **ret)
{
    switch (a->kind) {
    case EVS__AST_LITERAL:
        return compile_literal(c, a, ret);
    case EVS__AST_COLUMN:
        return compile_column(c, a, ret);
    case EVS__AST_FIELD:
        return compile_field(c, a, ret);
    case EVS__AST_INDEX:
        return compile_index(c, a, ret);
    case EVS__AST_UNARY:
        return compile_unary(c, a, ret);
    case EVS__AST_BINARY:
        return compile_binary(c, a, ret);
    case EVS__AST_IS_NULL:
        return compile_is_null(c, a, ret);
    case EVS__AST_IN:
        return compile_in(c, a, ret);
    case EVS__AST_BETWEEN:
        return compile_between(c, a, ret);
    case EVS__AST_LIKE:
        return compile_like(c, a, ret);
    case EVS__AST_CASE:
        return compile_case(c, a, ret);
    case EVS__AST_CAST:
        return compile_cast(c, a, ret);
    case EVS__AST_CALL:
        return evs__compile_call(c, a, ret);
    case EVS__AST_STAR:
        break;
    }
    return evs__compile_fault(c, a->position, EVS_ERR_EXPRESSION, "\"*\" has no place here");
}

evs_status evs__expr_compile(evs_context *ctx,
                             const evs__ast_list *list,
                             const evs__ast *ast,
                             const evs_type *row,
                             evs__expr **ret,
                             evs_error **reterr)
{
    evs__expr *e = evs__calloc(ctx, 1, sizeof(*e));
    evs__compiler c = {ctx, e, row, reterr};
    const evs_type *any;
    evs_status status;

    (void)list;
    if (!e)
        return evs__nomem(reterr);
    e->ctx = evs_context_ref(ctx);
    e->row = evs_type_ref(row);
    evs__buffer_init(&e->text, ctx, ROW_TEXT_MAX);
    status = evs__compile(&c, ast, &e->root);
    if (!status && !e->root->type) { /* just NULL */
        any = evs__simple_type(&c, EVS_TYPE_VARCHAR, true);
        status = any ? evs__coerce(&c, e->root, any, &e->root) : evs__nomem(reterr);
    }
    if (status) {
        evs__expr_free(e);
        return status;
    }
    *ret = e;
    return EVS_OK;
}

evs_status evs__expr_new(
    evs_context *ctx, const char *text, const evs_type *row, evs__expr **ret, evs_error **reterr)
{
    evs__ast_list *list = NULL;
    evs_status status = evs__ast_parse(ctx, text, false, &list, reterr);

    if (!status)
        status = evs__expr_compile(ctx, list, list->items[0].expr, row, ret, reterr);
    evs__ast_free(list);
    return status;
}

void evs__expr_free(evs__expr *e)
{
    evs_context *ctx;

    if (!e)
        return;
    ctx = e->ctx;
    while (e->nodes) {
        evs__term *n = e->nodes;
        e->nodes = n->next;
        evs__column_unref(n->out);
        evs_type_unref(n->type);
        if (n->free_state && n->state)
            n->free_state(ctx, n->state);
        evs__free(ctx, n->scratch);
        evs__free(ctx, n->args);
        evs__free(ctx, n);
    }
    for (int i = 0; i < 2; i++) {
        for (int id = 0; id <= EVS_TYPE_STRUCT; id++)
            evs_type_unref(e->simple[i][id]);
    }
    evs__column_unref(e->full);
    evs__free(ctx, e->order);
    evs__free(ctx, e->failed);
    evs__buffer_free(&e->text);
    evs_type_unref(e->row);
    evs__free(ctx, e);
    evs_context_unref(ctx);
}

const evs_type *evs__expr_type(const evs__expr *e)
{
    return e->root->type;
}

int32_t evs__expr_column(const evs__expr *e)
{
    return e->root->eval == evs__eval_column ? (int32_t)e->root->index : -1;
}

static void uses(const evs__term *n, bool *columns)
{
    if (n->constant)
        return;
    if (n->eval == evs__eval_column)
        columns[n->index] = true;
    for (uint32_t i = 0; i < n->arg_count; i++)
        uses(n->args[i], columns);
}

void evs__expr_uses(const evs__expr *e, bool *columns)
{
    uses(e->root, columns);
}
