/*
 * expr/parser_primary.c: what stands between operators: literals, names, calls, CASE, CAST, and
 * what is written around them: x.name, x[i], -x.
 *
 * A minus directly before a number becomes part of it, so the least BIGINT can be written. SQL's
 * own forms of extract, position and substring become plain calls.
 */
#include <string.h>

#include "base/time.h"
#include "expr/parser.h"

static evs__token peek(evs__parser *p)
{
    evs__token next;
    evs__lex(p->list->text, p->token.end, &next);
    return next;
}

/* ---- literals ---- */

static evs_status text_literal(evs__parser *p, evs__ast **ret)
{
    uint32_t position = p->token.position;
    const char *text = NULL;
    size_t len = 0;
    evs__ast *a = NULL;
    evs_status status = evs__parser_take_text(p, &text, &len);

    if (!status)
        status = evs__parser_node(p, EVS__AST_LITERAL, position, NULL, 0, &a);
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

static evs_status word_literal(evs__parser *p, evs_type_id id, int value, evs__ast **ret)
{
    uint32_t position = p->token.position;
    evs__ast *a = NULL;
    evs_status status;

    evs__parser_advance(p);
    status = evs__parser_node(p, EVS__AST_LITERAL, position, NULL, 0, &a);
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
static evs_status decimal_literal(evs__parser *p, evs__ast *a, const evs__token *t)
{
    const char *point = memchr(t->text, '.', t->len);
    const char *first = t->text;
    size_t whole, scale = (size_t)(t->text + t->len - point - 1);
    evs_status status;

    while (first < point && *first == '0')
        first++;
    whole = (size_t)(point - first);
    if (whole + scale > 38)
        return evs__parser_fault(
            p, t->position, EVS_ERR_EXPRESSION,
            "a number has at most 38 digits (with an exponent it is a DOUBLE)");
    (void)evs__parse_decimal(t->text, t->len, 38, (int32_t)scale, &a->integer);
    status = evs__type_decimal(p->ctx, (int32_t)(whole + scale), (int32_t)scale, true, &a->type);
    if (!status)
        status = evs__ast_own_type(p->list, a->type);
    return evs__parser_made(p, t->position, status);
}

static evs_status double_literal(evs__parser *p, evs__ast *a, const evs__token *t)
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
        return evs__parser_fault(p, t->position, EVS_ERR_EXPRESSION,
                                 "the number does not fit a DOUBLE");
    a->type = evs__ast_simple_type(p->list, EVS_TYPE_DOUBLE);
    return a->type ? EVS_OK : evs__nomem(p->reterr);
}

static evs_status number_literal(evs__parser *p, evs__ast **ret)
{
    evs__token t = p->token;
    evs__ast *a = NULL;
    evs__int128 value = 0;
    evs_status status;

    evs__parser_advance(p);
    status = evs__parser_node(p, EVS__AST_LITERAL, t.position, NULL, 0, &a);
    if (status)
        return status;
    *ret = a;
    if (memchr(t.text, 'e', t.len) || memchr(t.text, 'E', t.len))
        return double_literal(p, a, &t);
    if (memchr(t.text, '.', t.len))
        return decimal_literal(p, a, &t);
    if (evs__parse_decimal(t.text, t.len, 38, 0, &value))
        return evs__parser_fault(
            p, t.position, EVS_ERR_EXPRESSION,
            "a number has at most 38 digits (with an exponent it is a DOUBLE)");
    return evs__parser_made(p, t.position, evs__ast_set_integer(p->list, a, value));
}

/* TIMESTAMP '...', DATE '...', TIME '...' */
static evs_status time_literal(evs__parser *p, evs_type_id id, evs__ast **ret)
{
    uint32_t position = p->token.position;
    int64_t ms = 0;
    int32_t small = 0;
    evs__ast *a = NULL;
    evs_status status;

    evs__parser_advance(p);
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
        return evs__parser_fault(p, a->position, EVS_ERR_EXPRESSION,
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

static evs_status parse_case(evs__parser *p, evs__ast **ret)
{
    uint32_t position = p->token.position;
    evs__arg_list args = {0};
    evs__ast *a = NULL;
    bool has_operand;
    evs_status status = EVS_OK;

    evs__parser_advance(p);
    has_operand = !evs__token_is_word(&p->token, "WHEN");
    if (has_operand && !(status = evs__parse_expr(p, EVS__LEVEL_OR, &a)))
        status = evs__parser_push(p, &args, a);
    if (!status && !evs__token_is_word(&p->token, "WHEN"))
        status = evs__parser_expected(p, "WHEN");
    while (!status && evs__parser_take_word(p, "WHEN")) {
        if (!(status = evs__parse_expr(p, EVS__LEVEL_OR, &a)) &&
            !(status = evs__parser_push(p, &args, a)) &&
            !(status = evs__parser_need_word(p, "THEN")) &&
            !(status = evs__parse_expr(p, EVS__LEVEL_OR, &a)))
            status = evs__parser_push(p, &args, a);
    }
    if (!status && evs__parser_take_word(p, "ELSE") &&
        !(status = evs__parse_expr(p, EVS__LEVEL_OR, &a)))
        status = evs__parser_push(p, &args, a);
    if (!status && !evs__parser_take_word(p, "END"))
        status = evs__parser_expected(p, "WHEN, ELSE or END");
    if (!status)
        status = evs__parser_node(p, EVS__AST_CASE, position, args.args, args.count, ret);
    if (!status)
        (*ret)->has_operand = has_operand;
    return status;
}

/* the text up to the parenthesis that closes CAST, as a type */
static evs_status parse_type(evs__parser *p, const evs_type **ret)
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
        evs__parser_advance(p);
    }
    if (!evs__token_is_symbol(&p->token, ")") || p->last_end <= position)
        return evs__parser_expected(p, p->last_end <= position ? "a type" : "\")\"");
    text = evs__ast_text(p->list, p->list->text + position, p->last_end - position);
    if (!text)
        return evs__nomem(p->reterr);
    status = evs_type_parse(p->ctx, text, &type, &error);
    if (status) {
        status = evs__parser_fault(p, position, status, evs_error_message(error));
        evs_error_unref(error);
        return status;
    }
    *ret = type;
    return evs__parser_made(p, position, evs__ast_own_type(p->list, type));
}

static evs_status parse_cast(evs__parser *p, evs__ast **ret)
{
    uint32_t position = p->token.position;
    const evs_type *type = NULL;
    evs__ast *arg = NULL;
    evs_status status;

    evs__parser_advance(p);
    evs__parser_advance(p);
    status = evs__parse_expr(p, EVS__LEVEL_OR, &arg);
    if (!status)
        status = evs__parser_need_word(p, "AS");
    if (!status)
        status = parse_type(p, &type);
    if (!status)
        status = evs__parser_need_symbol(p, ")");
    if (!status)
        status = evs__parser_node(p, EVS__AST_CAST, position, &arg, 1, ret);
    if (!status)
        (*ret)->type = type;
    return status;
}

/* what stands in the parentheses of extract, position and substring in SQL's own forms; *ret_done
 * false: an ordinary call */
static evs_status
parse_special_args(evs__parser *p, const evs__token *name, evs__arg_list *args, bool *ret_done)
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
        if (!(status = text_literal(p, &a)) && !(status = evs__parser_push(p, args, a)) &&
            !(status = evs__parser_need_word(p, "FROM")) &&
            !(status = evs__parse_expr(p, EVS__LEVEL_OR, &a)))
            status = evs__parser_push(p, args, a);
        *ret_done = true;
        return status;
    }
    if (!substring && !evs__word_equal(name->text, name->len, "POSITION"))
        return EVS_OK;
    /* the first argument ends before IN or FROM, which the usual level would take */
    if (!(status = evs__parse_expr(p, substring ? EVS__LEVEL_OR : EVS__LEVEL_CONCAT, &a)))
        status = evs__parser_push(p, args, a);
    for (size_t i = 0; !status && i < (substring ? 2 : 1); i++) {
        if (!evs__parser_take_word(p, substring ? words[i] : "IN"))
            break;
        if (!(status = evs__parse_expr(p, EVS__LEVEL_OR, &a)))
            status = evs__parser_push(p, args, a);
    }
    if (!status && evs__parser_take_symbol(p, ","))
        return EVS_OK; /* the rest is ordinary */
    *ret_done = true;
    return status;
}

evs_status evs__parse_args(evs__parser *p, evs__arg_list *args)
{
    evs__ast *a = NULL;
    evs_status status;

    do {
        status = evs__parse_expr(p, EVS__LEVEL_OR, &a);
        if (!status)
            status = evs__parser_push(p, args, a);
    } while (!status && evs__parser_take_symbol(p, ","));
    return status;
}

/* FILTER (WHERE condition) behind a call; without the parenthesis the word is not ours */
static evs_status parse_filter(evs__parser *p, evs__ast *call)
{
    evs__token next = peek(p);
    evs__ast *condition = NULL;
    evs_status status;

    if (!evs__token_is_word(&p->token, "FILTER") || !evs__token_is_symbol(&next, "("))
        return EVS_OK;
    evs__parser_advance(p);
    evs__parser_advance(p);
    status = evs__parser_need_word(p, "WHERE");
    if (!status)
        status = evs__parse_expr(p, EVS__LEVEL_OR, &condition);
    if (!status)
        status = evs__parser_need_symbol(p, ")");
    if (status)
        return status;
    call->filter = condition;
    call->end = p->last_end;
    if (condition->depth < call->depth)
        return EVS_OK;
    call->depth = condition->depth + 1;
    return evs__parser_made(p, call->position,
                            call->depth > EVS__AST_DEPTH_MAX ? EVS_ERR_LIMIT : EVS_OK);
}

static evs_status parse_call(evs__parser *p, evs__ast **ret)
{
    evs__token name = p->token;
    evs__arg_list args = {0};
    char *lower = evs__ast_text(p->list, name.text, name.len);
    bool distinct = false, done = false;
    evs__ast *a = NULL;
    evs_status status = EVS_OK;

    if (!lower)
        return evs__nomem(p->reterr);
    for (char *c = lower; *c; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    evs__parser_advance(p);
    evs__parser_advance(p);
    if (evs__token_is_symbol(&p->token, "*")) {
        evs__parser_advance(p);
        status = evs__parser_node(p, EVS__AST_STAR, p->last_end - 1, NULL, 0, &a);
        if (!status)
            status = evs__parser_push(p, &args, a);
    } else if (!evs__token_is_symbol(&p->token, ")")) {
        distinct = evs__parser_take_word(p, "DISTINCT");
        status = parse_special_args(p, &name, &args, &done);
        if (!status && !done)
            status = evs__parse_args(p, &args);
    }
    if (!status && !evs__parser_take_symbol(p, ")"))
        status = evs__parser_expected(p, "\",\" or \")\"");
    if (!status)
        status = evs__parser_node(p, EVS__AST_CALL, name.position, args.args, args.count, &a);
    if (status)
        return status;
    a->name = lower;
    a->name_len = name.len;
    a->distinct = distinct;
    *ret = a;
    return parse_filter(p, a);
}

/* ---- primary and postfix ---- */

static evs_status parse_column(evs__parser *p, evs__ast **ret)
{
    uint32_t position = p->token.position;
    const char *name = NULL;
    size_t len = 0;
    evs_status status = evs__parser_take_text(p, &name, &len);

    if (!status)
        status = evs__parser_node(p, EVS__AST_COLUMN, position, NULL, 0, ret);
    if (!status) {
        (*ret)->name = name;
        (*ret)->name_len = len;
    }
    return status;
}

evs_status evs__parse_word(evs__parser *p, evs__ast **ret)
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
        return evs__parser_expected(p, "an expression");
    if (evs__token_is_symbol(&next, "("))
        return evs__token_is_word(&p->token, "CAST") ? parse_cast(p, ret) : parse_call(p, ret);
    return parse_column(p, ret);
}

static evs_status parse_primary(evs__parser *p, evs__ast **ret)
{
    evs_status status;

    switch (p->token.kind) {
    case EVS__TOKEN_NAME:
        return evs__parse_word(p, ret);
    case EVS__TOKEN_STRING:
        return text_literal(p, ret);
    case EVS__TOKEN_NUMBER:
        return number_literal(p, ret);
    default:
        break;
    }
    if (!evs__parser_take_symbol(p, "("))
        return evs__parser_expected(p, "an expression");
    status = evs__parse_expr(p, EVS__LEVEL_OR, ret);
    return status ? status : evs__parser_need_symbol(p, ")");
}

static evs_status parse_postfix(evs__parser *p, evs__ast **ret)
{
    evs__ast *args[2] = {NULL, NULL};
    evs__ast *a = NULL;
    const char *name = NULL;
    size_t len = 0;
    evs_status status = parse_primary(p, &a);

    while (!status) {
        args[0] = a;
        if (evs__parser_take_symbol(p, ".")) {
            if (p->token.kind != EVS__TOKEN_NAME)
                return evs__parser_expected(p, "a field's name");
            status = evs__parser_take_text(p, &name, &len);
            if (!status)
                status = evs__parser_node(p, EVS__AST_FIELD, args[0]->position, args, 1, &a);
            if (!status) {
                a->name = name;
                a->name_len = len;
            }
        } else if (evs__parser_take_symbol(p, "[")) {
            status = evs__parse_expr(p, EVS__LEVEL_OR, &args[1]);
            if (!status)
                status = evs__parser_need_symbol(p, "]");
            if (!status)
                status = evs__parser_node(p, EVS__AST_INDEX, args[0]->position, args, 2, &a);
        } else {
            break;
        }
    }
    *ret = a;
    return status;
}

/* a minus before a number is part of it, so that the smallest BIGINT can be written */
static evs_status negate(evs__parser *p, uint32_t position, evs__ast *a, evs__ast **ret)
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
        return evs__parser_made(p, position, evs__ast_set_integer(p->list, a, -a->integer));
    }
    status = evs__parser_node(p, EVS__AST_UNARY, position, &a, 1, ret);
    if (!status) {
        (*ret)->name = "-";
        (*ret)->name_len = 1;
    }
    return status;
}

evs_status evs__parse_unary(evs__parser *p, evs__ast **ret)
{
    uint32_t position = p->token.position;
    evs__ast *a = NULL;
    evs_status status;

    if (evs__parser_take_symbol(p, "+"))
        return evs__parse_expr(p, EVS__LEVEL_UNARY, ret);
    if (!evs__parser_take_symbol(p, "-"))
        return parse_postfix(p, ret);
    status = evs__parse_expr(p, EVS__LEVEL_UNARY, &a);
    return status ? status : negate(p, position, a, ret);
}
