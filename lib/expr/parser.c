/*
 * expr/parser.c: text to tree, by precedence climbing.
 *
 *   items     = item { "," item }            item = "*" | expr [ AS name ]
 *   1  OR     2  AND     3  NOT x
 *   4  = <> != < <= > >=, IS [NOT] NULL | TRUE | FALSE | DISTINCT FROM x, [NOT] IN (x, ...),
 *      [NOT] BETWEEN x AND y, [NOT] LIKE x [ESCAPE y]          (these do not chain)
 *   5  ||     6  + -     7  * / %     8  - x     9  x.name  x[i]
 *   primary   = 'text' | 12 | 1.5 | 1e3 | TRUE | FALSE | NULL | TIMESTAMP '...' | DATE '...'
 *             | TIME '...' | CASE ... END | CAST(x AS type) | f(x, ...) | f(*) | f(DISTINCT x)
 *             | extract(unit FROM x) | position(x IN y) | substring(x FROM n [FOR m]) | name | (x)
 *
 * A number without a point is INT, BIGINT or DECIMAL by its size, one with a point is DECIMAL, one
 * with an exponent DOUBLE. `x IS TRUE` is written with IS NOT DISTINCT FROM in the tree, extract,
 * position and substring as plain calls: there is one form of each thing behind the parser.
 *
 * Text is at most EVS__AST_TEXT_MAX bytes; nesting while parsing and the depth of the tree are
 * bounded by EVS__AST_DEPTH_MAX, so no text makes the recursion here or in later passes deep. Cost:
 * linear. Lists of arguments are kept on the stack of the call in a growing array of the arena.
 */
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "expr/ast.h"
#include "expr/lexer.h"

enum {
    LEVEL_OR = 1,
    LEVEL_AND,
    LEVEL_NOT,
    LEVEL_COMPARE,
    LEVEL_CONCAT,
    LEVEL_ADD,
    LEVEL_MULTIPLY,
    LEVEL_UNARY
};

#define EXCERPT_MAX 64 /* bytes of the text shown in an error */

typedef struct parser {
    evs_context *ctx;
    evs__ast_list *list;
    evs__token token;  /* the next one, not taken yet */
    uint32_t last_end; /* of the token taken last */
    int32_t depth;
    evs_error **reterr;
} parser;

/* arguments while their number is not known */
typedef struct arg_list {
    evs__ast **args;
    size_t count;
    size_t capacity;
} arg_list;

static evs_status parse_expr(parser *p, int min_level, evs__ast **ret);

/* ---- errors and tokens ---- */

static evs_status fault_at(parser *p, uint32_t position, evs_status status, const char *message)
{
    const char *text = p->list->text;
    size_t len = strlen(text);
    char origin[32];
    size_t shown = len;

    if (status == EVS_ERR_NOMEM)
        return evs__nomem(p->reterr);
    snprintf(origin, sizeof(origin), "column %u", position + 1);
    if (len > EXCERPT_MAX) {
        for (shown = EXCERPT_MAX; shown && ((unsigned char)text[shown] & 0xc0) == 0x80;)
            shown--;
    }
    return evs__fail_at(p->ctx, p->reterr, EVS_ERR_EXPRESSION, origin, "\"%.*s%s\": %s", (int)shown,
                        text, shown < len ? "..." : "", message);
}

static evs_status made(parser *p, uint32_t position, evs_status status)
{
    if (!status)
        return EVS_OK;
    return fault_at(p, position, status, "the expression is too deep");
}

static evs_status expected(parser *p, const char *what)
{
    const evs__token *t = &p->token;
    char message[256];

    if (t->kind == EVS__TOKEN_BAD)
        return fault_at(p, t->position, EVS_ERR_EXPRESSION, t->fault);
    if (t->kind == EVS__TOKEN_END)
        snprintf(message, sizeof(message), "expected %s at the end", what);
    else
        snprintf(message, sizeof(message), "expected %s before \"%.*s\"", what,
                 (int)(t->len < 40 ? t->len : 40), t->text);
    return fault_at(p, t->position, EVS_ERR_EXPRESSION, message);
}

static void advance(parser *p)
{
    p->last_end = p->token.end;
    evs__lex(p->list->text, p->token.end, &p->token);
}

static bool take_word(parser *p, const char *word)
{
    if (!evs__token_is_word(&p->token, word))
        return false;
    advance(p);
    return true;
}

static bool take_symbol(parser *p, const char *symbol)
{
    if (!evs__token_is_symbol(&p->token, symbol))
        return false;
    advance(p);
    return true;
}

static evs_status need_word(parser *p, const char *word)
{
    return take_word(p, word) ? EVS_OK : expected(p, word);
}

static evs_status need_symbol(parser *p, const char *symbol)
{
    char quoted[8];
    if (take_symbol(p, symbol))
        return EVS_OK;
    snprintf(quoted, sizeof(quoted), "\"%s\"", symbol);
    return expected(p, quoted);
}

static evs__token peek(parser *p)
{
    evs__token next;
    evs__lex(p->list->text, p->token.end, &next);
    return next;
}

static evs_status push_arg(parser *p, arg_list *list, evs__ast *arg)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 4;
        evs__ast **args = evs__ast_alloc(p->list, capacity * sizeof(*args));
        if (!args)
            return evs__nomem(p->reterr);
        if (list->count)
            memcpy(args, list->args, list->count * sizeof(*args));
        list->args = args;
        list->capacity = capacity;
    }
    list->args[list->count++] = arg;
    return EVS_OK;
}

/* a node that ends where the last taken token does */
static evs_status node(parser *p,
                       evs__ast_kind kind,
                       uint32_t position,
                       evs__ast *const *args,
                       size_t count,
                       evs__ast **ret)
{
    return made(p, position, evs__ast_node(p->list, kind, position, p->last_end, args, count, ret));
}

static evs_status
binary(parser *p, const char *name, evs__ast *left, evs__ast *right, evs__ast **ret)
{
    evs__ast *args[2] = {left, right};
    evs__ast *a = NULL;
    evs_status status = node(p, EVS__AST_BINARY, left->position, args, 2, &a);

    if (status)
        return status;
    a->name = name;
    a->name_len = strlen(name);
    *ret = a;
    return EVS_OK;
}

/* text of the token, unquoted, in the arena; takes the token */
static evs_status take_text(parser *p, const char **ret, size_t *ret_len)
{
    char *text = evs__ast_alloc(p->list, p->token.len + 1);

    if (!text)
        return evs__nomem(p->reterr);
    *ret_len = evs__token_unquote(&p->token, text);
    *ret = text;
    advance(p);
    return EVS_OK;
}

/* ---- literals ---- */

static evs_status text_literal(parser *p, evs__ast **ret)
{
    uint32_t position = p->token.position;
    const char *text = NULL;
    size_t len = 0;
    evs__ast *a = NULL;
    evs_status status = take_text(p, &text, &len);

    if (!status)
        status = node(p, EVS__AST_LITERAL, position, NULL, 0, &a);
    if (status)
        return status;
    a->text = text;
    a->text_len = len;
    a->type = evs__ast_simple_type(p->list, EVS_TYPE_VARCHAR);
    if (!a->type)
        return evs__nomem(p->reterr);
    *ret = a;
    return EVS_OK;
}

static evs_status word_literal(parser *p, evs_type_id id, int value, evs__ast **ret)
{
    uint32_t position = p->token.position;
    evs__ast *a = NULL;
    evs_status status;

    advance(p);
    status = node(p, EVS__AST_LITERAL, position, NULL, 0, &a);
    if (status)
        return status;
    a->integer = value;
    a->type = id ? evs__ast_simple_type(p->list, id) : NULL;
    if (id && !a->type)
        return evs__nomem(p->reterr);
    *ret = a;
    return EVS_OK;
}

/* "1.50" is DECIMAL(3,2), ".05" DECIMAL(2,2) */
static evs_status decimal_literal(parser *p, evs__ast *a, const evs__token *t)
{
    const char *point = memchr(t->text, '.', t->len);
    const char *first = t->text;
    size_t whole, scale = (size_t)(t->text + t->len - point - 1);
    evs_status status;

    while (first < point && *first == '0')
        first++;
    whole = (size_t)(point - first);
    if (whole + scale > 38)
        return fault_at(p, t->position, EVS_ERR_EXPRESSION,
                        "a number has at most 38 digits (with an exponent it is a DOUBLE)");
    (void)evs__parse_decimal(t->text, t->len, 38, (int32_t)scale, &a->integer);
    status = evs__type_decimal(p->ctx, (int32_t)(whole + scale), (int32_t)scale, true, &a->type);
    if (!status)
        status = evs__ast_own_type(p->list, a->type);
    return made(p, t->position, status);
}

static evs_status double_literal(parser *p, evs__ast *a, const evs__token *t)
{
    char *text = evs__ast_alloc(p->list, t->len + 1);
    char *first = text;

    if (!text)
        return evs__nomem(p->reterr);
    /* "007e1" and ".5e3" to JSON's grammar */
    text[0] = '0';
    memcpy(text + 1, t->text, t->len);
    while (*first == '0' && first[1] >= '0' && first[1] <= '9')
        first++;
    if (evs__parse_double(first, (size_t)(text + t->len + 1 - first), &a->number))
        return fault_at(p, t->position, EVS_ERR_EXPRESSION, "the number does not fit a DOUBLE");
    a->type = evs__ast_simple_type(p->list, EVS_TYPE_DOUBLE);
    return a->type ? EVS_OK : evs__nomem(p->reterr);
}

static evs_status number_literal(parser *p, evs__ast **ret)
{
    evs__token t = p->token;
    evs__ast *a = NULL;
    evs__int128 value = 0;
    evs_status status;

    advance(p);
    status = node(p, EVS__AST_LITERAL, t.position, NULL, 0, &a);
    if (status)
        return status;
    *ret = a;
    if (memchr(t.text, 'e', t.len) || memchr(t.text, 'E', t.len))
        return double_literal(p, a, &t);
    if (memchr(t.text, '.', t.len))
        return decimal_literal(p, a, &t);
    if (evs__parse_decimal(t.text, t.len, 38, 0, &value))
        return fault_at(p, t.position, EVS_ERR_EXPRESSION,
                        "a number has at most 38 digits (with an exponent it is a DOUBLE)");
    return made(p, t.position, evs__ast_set_integer(p->list, a, value));
}

/* TIMESTAMP '...', DATE '...', TIME '...' */
static evs_status time_literal(parser *p, evs_type_id id, evs__ast **ret)
{
    uint32_t position = p->token.position;
    int64_t ms = 0;
    int32_t small = 0;
    evs__ast *a = NULL;
    evs_status status;

    advance(p);
    status = text_literal(p, &a);
    if (status)
        return status;
    if (id == EVS_TYPE_TIMESTAMP)
        status = evs__time_parse(a->text, a->text_len, &ms);
    else if (id == EVS_TYPE_DATE)
        status = evs__date_parse(a->text, a->text_len, &small);
    else
        status = evs__clock_parse(a->text, a->text_len, &small);
    if (status)
        return fault_at(p, a->position, EVS_ERR_EXPRESSION,
                        id == EVS_TYPE_TIMESTAMP
                            ? "this is not a timestamp ('2026-11-23T17:05:16.123Z')"
                        : id == EVS_TYPE_DATE ? "this is not a date ('2026-11-23')"
                                              : "this is not a time ('17:05:16.123')");
    a->position = position;
    a->integer = id == EVS_TYPE_TIMESTAMP ? ms : small;
    a->type = evs__ast_simple_type(p->list, id);
    *ret = a;
    return a->type ? EVS_OK : evs__nomem(p->reterr);
}

/* ---- CASE, CAST, calls ---- */

static evs_status parse_case(parser *p, evs__ast **ret)
{
    uint32_t position = p->token.position;
    arg_list args = {0};
    evs__ast *a = NULL;
    bool has_operand;
    evs_status status = EVS_OK;

    advance(p);
    has_operand = !evs__token_is_word(&p->token, "WHEN");
    if (has_operand && !(status = parse_expr(p, LEVEL_OR, &a)))
        status = push_arg(p, &args, a);
    if (!status && !evs__token_is_word(&p->token, "WHEN"))
        status = expected(p, "WHEN");
    while (!status && take_word(p, "WHEN")) {
        if (!(status = parse_expr(p, LEVEL_OR, &a)) && !(status = push_arg(p, &args, a)) &&
            !(status = need_word(p, "THEN")) && !(status = parse_expr(p, LEVEL_OR, &a)))
            status = push_arg(p, &args, a);
    }
    if (!status && take_word(p, "ELSE") && !(status = parse_expr(p, LEVEL_OR, &a)))
        status = push_arg(p, &args, a);
    if (!status && !take_word(p, "END"))
        status = expected(p, "WHEN, ELSE or END");
    if (!status)
        status = node(p, EVS__AST_CASE, position, args.args, args.count, ret);
    if (!status)
        (*ret)->has_operand = has_operand;
    return status;
}

/* the text up to the parenthesis that closes CAST, as a type */
static evs_status parse_type(parser *p, const evs_type **ret)
{
    uint32_t position = p->token.position;
    int32_t open = 0;
    evs_type *type = NULL;
    evs_error *error = NULL;
    char *text;
    evs_status status;

    while (p->token.kind != EVS__TOKEN_END && p->token.kind != EVS__TOKEN_BAD) {
        if (evs__token_is_symbol(&p->token, ")") && open-- == 0)
            break;
        open += evs__token_is_symbol(&p->token, "(");
        advance(p);
    }
    if (!evs__token_is_symbol(&p->token, ")") || p->last_end <= position)
        return expected(p, p->last_end <= position ? "a type" : "\")\"");
    text = evs__ast_text(p->list, p->list->text + position, p->last_end - position);
    if (!text)
        return evs__nomem(p->reterr);
    status = evs_type_parse(p->ctx, text, &type, &error);
    if (status) {
        status = fault_at(p, position, status, evs_error_message(error));
        evs_error_unref(error);
        return status;
    }
    *ret = type;
    return made(p, position, evs__ast_own_type(p->list, type));
}

static evs_status parse_cast(parser *p, evs__ast **ret)
{
    uint32_t position = p->token.position;
    const evs_type *type = NULL;
    evs__ast *arg = NULL;
    evs_status status;

    advance(p);
    advance(p);
    status = parse_expr(p, LEVEL_OR, &arg);
    if (!status)
        status = need_word(p, "AS");
    if (!status)
        status = parse_type(p, &type);
    if (!status)
        status = need_symbol(p, ")");
    if (!status)
        status = node(p, EVS__AST_CAST, position, &arg, 1, ret);
    if (!status)
        (*ret)->type = type;
    return status;
}

/* what stands in the parentheses of extract, position and substring in SQL's own forms; *ret_done
 * false: an ordinary call */
static evs_status
parse_special_args(parser *p, const evs__token *name, arg_list *args, bool *ret_done)
{
    static const char *const words[] = {"FROM", "FOR"};
    bool substring = evs__word_equal(name->text, name->len, "SUBSTRING");
    evs__ast *a = NULL;
    evs_status status = EVS_OK;

    *ret_done = false;
    if (evs__word_equal(name->text, name->len, "EXTRACT")) {
        evs__token next = peek(p);
        if (p->token.kind != EVS__TOKEN_NAME || !evs__token_is_word(&next, "FROM"))
            return EVS_OK;
        if (!(status = text_literal(p, &a)) && !(status = push_arg(p, args, a)) &&
            !(status = need_word(p, "FROM")) && !(status = parse_expr(p, LEVEL_OR, &a)))
            status = push_arg(p, args, a);
        *ret_done = true;
        return status;
    }
    if (!substring && !evs__word_equal(name->text, name->len, "POSITION"))
        return EVS_OK;
    /* the first argument ends before IN or FROM, which the usual level would take */
    if (!(status = parse_expr(p, substring ? LEVEL_OR : LEVEL_CONCAT, &a)))
        status = push_arg(p, args, a);
    for (size_t i = 0; !status && i < (substring ? 2 : 1); i++) {
        if (!take_word(p, substring ? words[i] : "IN"))
            break;
        if (!(status = parse_expr(p, LEVEL_OR, &a)))
            status = push_arg(p, args, a);
    }
    if (!status && take_symbol(p, ","))
        return EVS_OK; /* the rest is ordinary */
    *ret_done = true;
    return status;
}

static evs_status parse_args(parser *p, arg_list *args)
{
    evs__ast *a = NULL;
    evs_status status;

    do {
        status = parse_expr(p, LEVEL_OR, &a);
        if (!status)
            status = push_arg(p, args, a);
    } while (!status && take_symbol(p, ","));
    return status;
}

static evs_status parse_call(parser *p, evs__ast **ret)
{
    evs__token name = p->token;
    arg_list args = {0};
    char *lower = evs__ast_text(p->list, name.text, name.len);
    bool distinct = false, done = false;
    evs__ast *a = NULL;
    evs_status status = EVS_OK;

    if (!lower)
        return evs__nomem(p->reterr);
    for (char *c = lower; *c; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    advance(p);
    advance(p);
    if (evs__token_is_symbol(&p->token, "*")) {
        advance(p);
        status = node(p, EVS__AST_STAR, p->last_end - 1, NULL, 0, &a);
        if (!status)
            status = push_arg(p, &args, a);
    } else if (!evs__token_is_symbol(&p->token, ")")) {
        distinct = take_word(p, "DISTINCT");
        status = parse_special_args(p, &name, &args, &done);
        if (!status && !done)
            status = parse_args(p, &args);
    }
    if (!status && !take_symbol(p, ")"))
        status = expected(p, "\",\" or \")\"");
    if (!status)
        status = node(p, EVS__AST_CALL, name.position, args.args, args.count, &a);
    if (status)
        return status;
    a->name = lower;
    a->name_len = name.len;
    a->distinct = distinct;
    *ret = a;
    return EVS_OK;
}

/* ---- primary and postfix ---- */

static evs_status parse_column(parser *p, evs__ast **ret)
{
    uint32_t position = p->token.position;
    const char *name = NULL;
    size_t len = 0;
    evs_status status = take_text(p, &name, &len);

    if (!status)
        status = node(p, EVS__AST_COLUMN, position, NULL, 0, ret);
    if (!status) {
        (*ret)->name = name;
        (*ret)->name_len = len;
    }
    return status;
}

static evs_status parse_word(parser *p, evs__ast **ret)
{
    static const struct {
        const char *word;
        evs_type_id id;
    } temporal[] = {
        {"TIMESTAMP", EVS_TYPE_TIMESTAMP}, {"DATE", EVS_TYPE_DATE}, {"TIME", EVS_TYPE_TIME}};
    evs__token next = peek(p);

    if (p->token.quoted)
        return parse_column(p, ret);
    if (evs__token_is_word(&p->token, "TRUE") || evs__token_is_word(&p->token, "FALSE"))
        return word_literal(p, EVS_TYPE_BOOLEAN, evs__token_is_word(&p->token, "TRUE"), ret);
    if (evs__token_is_word(&p->token, "NULL"))
        return word_literal(p, (evs_type_id)0, 0, ret);
    if (evs__token_is_word(&p->token, "CASE"))
        return parse_case(p, ret);
    if (next.kind == EVS__TOKEN_STRING) {
        for (size_t i = 0; i < sizeof(temporal) / sizeof(temporal[0]); i++) {
            if (evs__token_is_word(&p->token, temporal[i].word))
                return time_literal(p, temporal[i].id, ret);
        }
    }
    if (evs__ast_is_reserved(p->token.text, p->token.len))
        return expected(p, "an expression");
    if (evs__token_is_symbol(&next, "("))
        return evs__token_is_word(&p->token, "CAST") ? parse_cast(p, ret) : parse_call(p, ret);
    return parse_column(p, ret);
}

static evs_status parse_primary(parser *p, evs__ast **ret)
{
    evs_status status;

    switch (p->token.kind) {
    case EVS__TOKEN_NAME:
        return parse_word(p, ret);
    case EVS__TOKEN_STRING:
        return text_literal(p, ret);
    case EVS__TOKEN_NUMBER:
        return number_literal(p, ret);
    default:
        break;
    }
    if (!take_symbol(p, "("))
        return expected(p, "an expression");
    status = parse_expr(p, LEVEL_OR, ret);
    return status ? status : need_symbol(p, ")");
}

static evs_status parse_postfix(parser *p, evs__ast **ret)
{
    evs__ast *args[2] = {NULL, NULL};
    evs__ast *a = NULL;
    const char *name = NULL;
    size_t len = 0;
    evs_status status = parse_primary(p, &a);

    while (!status) {
        args[0] = a;
        if (take_symbol(p, ".")) {
            if (p->token.kind != EVS__TOKEN_NAME)
                return expected(p, "a field's name");
            status = take_text(p, &name, &len);
            if (!status)
                status = node(p, EVS__AST_FIELD, args[0]->position, args, 1, &a);
            if (!status) {
                a->name = name;
                a->name_len = len;
            }
        } else if (take_symbol(p, "[")) {
            status = parse_expr(p, LEVEL_OR, &args[1]);
            if (!status)
                status = need_symbol(p, "]");
            if (!status)
                status = node(p, EVS__AST_INDEX, args[0]->position, args, 2, &a);
        } else {
            break;
        }
    }
    *ret = a;
    return status;
}

/* a minus before a number is part of it, so that the smallest BIGINT can be written */
static evs_status negate(parser *p, uint32_t position, evs__ast *a, evs__ast **ret)
{
    bool literal = a->kind == EVS__AST_LITERAL && a->type;
    evs_status status;

    *ret = a;
    if (literal && a->type->id == EVS_TYPE_DOUBLE) {
        a->number = -a->number;
        a->position = position;
        return EVS_OK;
    }
    if (literal && a->type->id == EVS_TYPE_DECIMAL && a->type->scale > 0) {
        a->integer = -a->integer;
        a->position = position;
        return EVS_OK;
    }
    if (literal && (a->type->id == EVS_TYPE_INT || a->type->id == EVS_TYPE_BIGINT ||
                    a->type->id == EVS_TYPE_DECIMAL)) {
        a->position = position;
        return made(p, position, evs__ast_set_integer(p->list, a, -a->integer));
    }
    status = node(p, EVS__AST_UNARY, position, &a, 1, ret);
    if (!status) {
        (*ret)->name = "-";
        (*ret)->name_len = 1;
    }
    return status;
}

static evs_status parse_unary(parser *p, evs__ast **ret)
{
    uint32_t position = p->token.position;
    evs__ast *a = NULL;
    evs_status status;

    if (take_symbol(p, "+"))
        return parse_expr(p, LEVEL_UNARY, ret);
    if (!take_symbol(p, "-"))
        return parse_postfix(p, ret);
    status = parse_expr(p, LEVEL_UNARY, &a);
    return status ? status : negate(p, position, a, ret);
}

/* ---- predicates ---- */

static evs_status parse_is(parser *p, evs__ast *left, evs__ast **ret)
{
    bool negated = take_word(p, "NOT");
    evs__ast *right = NULL;
    evs_status status;

    if (take_word(p, "NULL")) {
        status = node(p, EVS__AST_IS_NULL, left->position, &left, 1, ret);
        if (!status)
            (*ret)->negated = negated;
        return status;
    }
    if (take_word(p, "DISTINCT")) {
        status = need_word(p, "FROM");
        if (!status)
            status = parse_expr(p, LEVEL_CONCAT, &right);
    } else if (evs__token_is_word(&p->token, "TRUE") || evs__token_is_word(&p->token, "FALSE")) {
        negated = !negated;
        status = parse_word(p, &right);
    } else {
        status = expected(p, negated ? "NULL, TRUE, FALSE or DISTINCT FROM"
                                     : "[NOT] NULL, TRUE, FALSE or DISTINCT FROM");
    }
    if (status)
        return status;
    return binary(p, negated ? "IS NOT DISTINCT FROM" : "IS DISTINCT FROM", left, right, ret);
}

static evs_status parse_between(parser *p, evs__ast *left, evs__ast **ret)
{
    evs__ast *args[3] = {left, NULL, NULL};
    evs_status status = parse_expr(p, LEVEL_CONCAT, &args[1]);

    if (!status)
        status = need_word(p, "AND");
    if (!status)
        status = parse_expr(p, LEVEL_CONCAT, &args[2]);
    return status ? status : node(p, EVS__AST_BETWEEN, left->position, args, 3, ret);
}

static evs_status parse_like(parser *p, evs__ast *left, evs__ast **ret)
{
    evs__ast *args[3] = {left, NULL, NULL};
    size_t count = 2;
    evs_status status = parse_expr(p, LEVEL_CONCAT, &args[1]);

    if (!status && take_word(p, "ESCAPE")) {
        status = parse_expr(p, LEVEL_CONCAT, &args[2]);
        count = 3;
    }
    return status ? status : node(p, EVS__AST_LIKE, left->position, args, count, ret);
}

static evs_status parse_in(parser *p, evs__ast *left, evs__ast **ret)
{
    arg_list args = {0};
    evs_status status = push_arg(p, &args, left);

    if (!status)
        status = need_symbol(p, "(");
    if (!status)
        status = parse_args(p, &args);
    if (!status && !take_symbol(p, ")"))
        status = expected(p, "\",\" or \")\"");
    return status ? status : node(p, EVS__AST_IN, left->position, args.args, args.count, ret);
}

static evs_status parse_predicate(parser *p, evs__ast *left, evs__ast **ret)
{
    static const char *const symbols[][2] = {{"=", "="},   {"<>", "<>"}, {"!=", "<>"}, {"<", "<"},
                                             {"<=", "<="}, {">", ">"},   {">=", ">="}};
    evs__ast *right = NULL;
    evs_status status;
    bool negated;

    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
        if (take_symbol(p, symbols[i][0])) {
            status = parse_expr(p, LEVEL_CONCAT, &right);
            return status ? status : binary(p, symbols[i][1], left, right, ret);
        }
    }
    if (take_word(p, "IS"))
        return parse_is(p, left, ret);
    negated = take_word(p, "NOT");
    if (take_word(p, "IN"))
        status = parse_in(p, left, ret);
    else if (take_word(p, "BETWEEN"))
        status = parse_between(p, left, ret);
    else if (take_word(p, "LIKE"))
        status = parse_like(p, left, ret);
    else
        status = expected(p, "IN, BETWEEN or LIKE");
    if (!status)
        (*ret)->negated = negated;
    return status;
}

/* ---- operators ---- */

/* level of the operator that the next token is; 0: none */
static int operator_level(const evs__token *t, const char **ret_name)
{
    static const struct {
        const char *text;
        int level;
    } symbols[] = {{"=", LEVEL_COMPARE},  {"<>", LEVEL_COMPARE}, {"!=", LEVEL_COMPARE},
                   {"<", LEVEL_COMPARE},  {"<=", LEVEL_COMPARE}, {">", LEVEL_COMPARE},
                   {">=", LEVEL_COMPARE}, {"||", LEVEL_CONCAT},  {"+", LEVEL_ADD},
                   {"-", LEVEL_ADD},      {"*", LEVEL_MULTIPLY}, {"/", LEVEL_MULTIPLY},
                   {"%", LEVEL_MULTIPLY}},
      words[] = {{"OR", LEVEL_OR},          {"AND", LEVEL_AND},     {"IS", LEVEL_COMPARE},
                 {"IN", LEVEL_COMPARE},     {"NOT", LEVEL_COMPARE}, {"LIKE", LEVEL_COMPARE},
                 {"BETWEEN", LEVEL_COMPARE}};

    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
        *ret_name = symbols[i].text;
        if (evs__token_is_symbol(t, symbols[i].text))
            return symbols[i].level;
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        *ret_name = words[i].text;
        if (evs__token_is_word(t, words[i].text))
            return words[i].level;
    }
    return 0;
}

static evs_status parse_not(parser *p, evs__ast **ret)
{
    uint32_t position = p->token.position;
    evs__ast *arg = NULL;
    evs_status status;

    advance(p);
    status = parse_expr(p, LEVEL_NOT, &arg);
    if (!status)
        status = node(p, EVS__AST_UNARY, position, &arg, 1, ret);
    if (!status) {
        (*ret)->name = "NOT";
        (*ret)->name_len = 3;
    }
    return status;
}

static evs_status parse_operators(parser *p, int min_level, evs__ast **left)
{
    bool compared = false;
    const char *name;
    evs_status status = EVS_OK;

    while (!status) {
        int level = operator_level(&p->token, &name);
        evs__ast *right = NULL;
        if (level == 0 || level < min_level)
            break;
        if (level == LEVEL_COMPARE) {
            if (compared)
                return fault_at(p, p->token.position, EVS_ERR_EXPRESSION,
                                "comparisons do not chain: join them with AND, or use parentheses");
            compared = true;
            status = parse_predicate(p, *left, left);
            continue;
        }
        compared = false;
        advance(p);
        status = parse_expr(p, level + 1, &right);
        if (!status)
            status = binary(p, name, *left, right, left);
    }
    return status;
}

static evs_status parse_expr(parser *p, int min_level, evs__ast **ret)
{
    evs__ast *a = NULL;
    evs_status status;

    if (p->depth >= EVS__AST_DEPTH_MAX)
        return fault_at(p, p->token.position, EVS_ERR_LIMIT, "the expression is too deep");
    p->depth++;
    if (min_level <= LEVEL_NOT && evs__token_is_word(&p->token, "NOT"))
        status = parse_not(p, &a);
    else
        status = parse_unary(p, &a);
    if (!status)
        status = parse_operators(p, min_level, &a);
    p->depth--;
    if (!status)
        *ret = a;
    return status;
}

/* ---- lists ---- */

static evs_status parse_item(parser *p, bool many, evs__ast_item *item)
{
    size_t len = 0;
    evs_status status;

    item->alias = NULL;
    if (many && evs__token_is_symbol(&p->token, "*")) {
        advance(p);
        return node(p, EVS__AST_STAR, p->last_end - 1, NULL, 0, &item->expr);
    }
    status = parse_expr(p, LEVEL_OR, &item->expr);
    if (status || !many || !take_word(p, "AS"))
        return status;
    if (p->token.kind != EVS__TOKEN_NAME ||
        (!p->token.quoted && evs__ast_is_reserved(p->token.text, p->token.len)))
        return expected(p, "a name");
    return take_text(p, &item->alias, &len);
}

static evs_status parse_items(parser *p, bool many)
{
    evs__ast_list *list = p->list;
    size_t capacity = 0;
    evs_status status;

    do {
        if (list->count == capacity) {
            evs__ast_item *items;
            capacity = capacity ? capacity * 2 : 4;
            items = evs__ast_alloc(list, capacity * sizeof(*items));
            if (!items)
                return evs__nomem(p->reterr);
            if (list->count)
                memcpy(items, list->items, list->count * sizeof(*items));
            list->items = items;
        }
        status = parse_item(p, many, &list->items[list->count]);
        if (!status)
            list->count++;
    } while (!status && many && take_symbol(p, ","));
    if (!status && p->token.kind != EVS__TOKEN_END)
        status = expected(p, many ? "an operator, AS, \",\" or the end" : "an operator or the end");
    return status;
}

evs_status evs__ast_parse(
    evs_context *ctx, const char *text, bool many, evs__ast_list **ret, evs_error **reterr)
{
    parser p = {.ctx = ctx, .reterr = reterr};
    size_t len = strlen(text);
    size_t valid;
    evs_status status;

    if (len > EVS__AST_TEXT_MAX)
        return evs__fail(ctx, reterr, EVS_ERR_EXPRESSION, "an expression has at most %d bytes",
                         EVS__AST_TEXT_MAX);
    valid = evs__utf8_valid_prefix(text, len);
    if (valid < len) {
        char origin[32];
        snprintf(origin, sizeof(origin), "column %zu", valid + 1);
        return evs__fail_at(ctx, reterr, EVS_ERR_EXPRESSION, origin,
                            "the expression is not valid UTF-8");
    }
    p.list = evs__ast_list_new(ctx, text);
    if (!p.list)
        return evs__nomem(reterr);
    evs__lex(p.list->text, 0, &p.token);
    status = parse_items(&p, many);
    if (status) {
        evs__ast_free(p.list);
        return status;
    }
    *ret = p.list;
    return EVS_OK;
}
