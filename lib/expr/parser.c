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

#include "expr/parser.h"

#define EXCERPT_MAX 64 /* bytes of the text shown in an error */

/* ---- errors and tokens ---- */

evs_status
evs__parser_fault(evs__parser *p, uint32_t position, evs_status status, const char *message)
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

evs_status evs__parser_made(evs__parser *p, uint32_t position, evs_status status)
{
    if (!status)
        return EVS_OK;
    return evs__parser_fault(p, position, status, "the expression is too deep");
}

evs_status evs__parser_expected(evs__parser *p, const char *what)
{
    const evs__token *t = &p->token;
    char message[256];

    if (t->kind == EVS__TOKEN_BAD)
        return evs__parser_fault(p, t->position, EVS_ERR_EXPRESSION, t->fault);
    if (t->kind == EVS__TOKEN_END)
        snprintf(message, sizeof(message), "expected %s at the end", what);
    else
        snprintf(message, sizeof(message), "expected %s before \"%.*s\"", what,
                 (int)(t->len < 40 ? t->len : 40), t->text);
    return evs__parser_fault(p, t->position, EVS_ERR_EXPRESSION, message);
}

void evs__parser_advance(evs__parser *p)
{
    p->last_end = p->token.end;
    evs__lex(p->list->text, p->token.end, &p->token);
}

bool evs__parser_take_word(evs__parser *p, const char *word)
{
    if (!evs__token_is_word(&p->token, word))
        return false;
    evs__parser_advance(p);
    return true;
}

bool evs__parser_take_symbol(evs__parser *p, const char *symbol)
{
    if (!evs__token_is_symbol(&p->token, symbol))
        return false;
    evs__parser_advance(p);
    return true;
}

evs_status evs__parser_need_word(evs__parser *p, const char *word)
{
    return evs__parser_take_word(p, word) ? EVS_OK : evs__parser_expected(p, word);
}

evs_status evs__parser_need_symbol(evs__parser *p, const char *symbol)
{
    char quoted[8];
    if (evs__parser_take_symbol(p, symbol))
        return EVS_OK;
    snprintf(quoted, sizeof(quoted), "\"%s\"", symbol);
    return evs__parser_expected(p, quoted);
}

evs_status evs__parser_push(evs__parser *p, evs__arg_list *list, evs__ast *arg)
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
evs_status evs__parser_node(evs__parser *p,
                            evs__ast_kind kind,
                            uint32_t position,
                            evs__ast *const *args,
                            size_t count,
                            evs__ast **ret)
{
    return evs__parser_made(p, position,
                            evs__ast_node(p->list, kind, position, p->last_end, args, count, ret));
}

/* text of the token, unquoted, in the arena; takes the token */
evs_status evs__parser_take_text(evs__parser *p, const char **ret, size_t *ret_len)
{
    char *text = evs__ast_alloc(p->list, p->token.len + 1);

    if (!text)
        return evs__nomem(p->reterr);
    *ret_len = evs__token_unquote(&p->token, text);
    *ret = text;
    evs__parser_advance(p);
    return EVS_OK;
}

/* ---- predicates ---- */

static evs_status
binary(evs__parser *p, const char *name, evs__ast *left, evs__ast *right, evs__ast **ret)
{
    evs__ast *args[2] = {left, right};
    evs__ast *a = NULL;
    evs_status status = evs__parser_node(p, EVS__AST_BINARY, left->position, args, 2, &a);

    if (status)
        return status;
    a->name = name;
    a->name_len = strlen(name);
    *ret = a;
    return EVS_OK;
}

static evs_status parse_is(evs__parser *p, evs__ast *left, evs__ast **ret)
{
    bool negated = evs__parser_take_word(p, "NOT");
    evs__ast *right = NULL;
    evs_status status;

    if (evs__parser_take_word(p, "NULL")) {
        status = evs__parser_node(p, EVS__AST_IS_NULL, left->position, &left, 1, ret);
        if (!status)
            (*ret)->negated = negated;
        return status;
    }
    if (evs__parser_take_word(p, "DISTINCT")) {
        status = evs__parser_need_word(p, "FROM");
        if (!status)
            status = evs__parse_expr(p, EVS__LEVEL_CONCAT, &right);
    } else if (evs__token_is_word(&p->token, "TRUE") || evs__token_is_word(&p->token, "FALSE")) {
        negated = !negated;
        status = evs__parse_word(p, &right);
    } else {
        status = evs__parser_expected(p, negated ? "NULL, TRUE, FALSE or DISTINCT FROM"
                                                 : "[NOT] NULL, TRUE, FALSE or DISTINCT FROM");
    }
    if (status)
        return status;
    return binary(p, negated ? "IS NOT DISTINCT FROM" : "IS DISTINCT FROM", left, right, ret);
}

static evs_status parse_between(evs__parser *p, evs__ast *left, evs__ast **ret)
{
    evs__ast *args[3] = {left, NULL, NULL};
    evs_status status = evs__parse_expr(p, EVS__LEVEL_CONCAT, &args[1]);

    if (!status)
        status = evs__parser_need_word(p, "AND");
    if (!status)
        status = evs__parse_expr(p, EVS__LEVEL_CONCAT, &args[2]);
    return status ? status : evs__parser_node(p, EVS__AST_BETWEEN, left->position, args, 3, ret);
}

static evs_status parse_like(evs__parser *p, evs__ast *left, evs__ast **ret)
{
    evs__ast *args[3] = {left, NULL, NULL};
    size_t count = 2;
    evs_status status = evs__parse_expr(p, EVS__LEVEL_CONCAT, &args[1]);

    if (!status && evs__parser_take_word(p, "ESCAPE")) {
        status = evs__parse_expr(p, EVS__LEVEL_CONCAT, &args[2]);
        count = 3;
    }
    return status ? status : evs__parser_node(p, EVS__AST_LIKE, left->position, args, count, ret);
}

static evs_status parse_in(evs__parser *p, evs__ast *left, evs__ast **ret)
{
    evs__arg_list args = {0};
    evs_status status = evs__parser_push(p, &args, left);

    if (!status)
        status = evs__parser_need_symbol(p, "(");
    if (!status)
        status = evs__parse_args(p, &args);
    if (!status && !evs__parser_take_symbol(p, ")"))
        status = evs__parser_expected(p, "\",\" or \")\"");
    return status ? status
                  : evs__parser_node(p, EVS__AST_IN, left->position, args.args, args.count, ret);
}

static evs_status parse_predicate(evs__parser *p, evs__ast *left, evs__ast **ret)
{
    static const char *const symbols[][2] = {{"=", "="},   {"<>", "<>"}, {"!=", "<>"}, {"<", "<"},
                                             {"<=", "<="}, {">", ">"},   {">=", ">="}};
    evs__ast *right = NULL;
    evs_status status;
    bool negated;

    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
        if (evs__parser_take_symbol(p, symbols[i][0])) {
            status = evs__parse_expr(p, EVS__LEVEL_CONCAT, &right);
            return status ? status : binary(p, symbols[i][1], left, right, ret);
        }
    }
    if (evs__parser_take_word(p, "IS"))
        return parse_is(p, left, ret);
    negated = evs__parser_take_word(p, "NOT");
    if (evs__parser_take_word(p, "IN"))
        status = parse_in(p, left, ret);
    else if (evs__parser_take_word(p, "BETWEEN"))
        status = parse_between(p, left, ret);
    else if (evs__parser_take_word(p, "LIKE"))
        status = parse_like(p, left, ret);
    else
        status = evs__parser_expected(p, "IN, BETWEEN or LIKE");
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
    } symbols[] = {{"=", EVS__LEVEL_COMPARE},  {"<>", EVS__LEVEL_COMPARE},
                   {"!=", EVS__LEVEL_COMPARE}, {"<", EVS__LEVEL_COMPARE},
                   {"<=", EVS__LEVEL_COMPARE}, {">", EVS__LEVEL_COMPARE},
                   {">=", EVS__LEVEL_COMPARE}, {"||", EVS__LEVEL_CONCAT},
                   {"+", EVS__LEVEL_ADD},      {"-", EVS__LEVEL_ADD},
                   {"*", EVS__LEVEL_MULTIPLY}, {"/", EVS__LEVEL_MULTIPLY},
                   {"%", EVS__LEVEL_MULTIPLY}},
      words[] = {{"OR", EVS__LEVEL_OR},          {"AND", EVS__LEVEL_AND},
                 {"IS", EVS__LEVEL_COMPARE},     {"IN", EVS__LEVEL_COMPARE},
                 {"NOT", EVS__LEVEL_COMPARE},    {"LIKE", EVS__LEVEL_COMPARE},
                 {"BETWEEN", EVS__LEVEL_COMPARE}};

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

static evs_status parse_not(evs__parser *p, evs__ast **ret)
{
    uint32_t position = p->token.position;
    evs__ast *arg = NULL;
    evs_status status;

    evs__parser_advance(p);
    status = evs__parse_expr(p, EVS__LEVEL_NOT, &arg);
    if (!status)
        status = evs__parser_node(p, EVS__AST_UNARY, position, &arg, 1, ret);
    if (!status) {
        (*ret)->name = "NOT";
        (*ret)->name_len = 3;
    }
    return status;
}

static evs_status parse_operators(evs__parser *p, int min_level, evs__ast **left)
{
    bool compared = false;
    const char *name;
    evs_status status = EVS_OK;

    while (!status) {
        int level = operator_level(&p->token, &name);
        evs__ast *right = NULL;
        if (level == 0 || level < min_level)
            break;
        if (level == EVS__LEVEL_COMPARE) {
            if (compared)
                return evs__parser_fault(
                    p, p->token.position, EVS_ERR_EXPRESSION,
                    "comparisons do not chain: join them with AND, or use parentheses");
            compared = true;
            status = parse_predicate(p, *left, left);
            continue;
        }
        compared = false;
        evs__parser_advance(p);
        status = evs__parse_expr(p, level + 1, &right);
        if (!status)
            status = binary(p, name, *left, right, left);
    }
    return status;
}

evs_status evs__parse_expr(evs__parser *p, int min_level, evs__ast **ret)
{
    evs__ast *a = NULL;
    evs_status status;

    if (p->depth >= EVS__AST_DEPTH_MAX)
        return evs__parser_fault(p, p->token.position, EVS_ERR_LIMIT, "the expression is too deep");
    p->depth++;
    if (min_level <= EVS__LEVEL_NOT && evs__token_is_word(&p->token, "NOT"))
        status = parse_not(p, &a);
    else
        status = evs__parse_unary(p, &a);
    if (!status)
        status = parse_operators(p, min_level, &a);
    p->depth--;
    if (!status)
        *ret = a;
    return status;
}

/* ---- lists ---- */

static evs_status parse_item(evs__parser *p, bool many, evs__ast_item *item)
{
    size_t len = 0;
    evs_status status;

    item->alias = NULL;
    if (many && evs__token_is_symbol(&p->token, "*")) {
        evs__parser_advance(p);
        return evs__parser_node(p, EVS__AST_STAR, p->last_end - 1, NULL, 0, &item->expr);
    }
    status = evs__parse_expr(p, EVS__LEVEL_OR, &item->expr);
    if (status || !many || !evs__parser_take_word(p, "AS"))
        return status;
    if (p->token.kind != EVS__TOKEN_NAME ||
        (!p->token.quoted && evs__ast_is_reserved(p->token.text, p->token.len)))
        return evs__parser_expected(p, "a name");
    return evs__parser_take_text(p, &item->alias, &len);
}

static evs_status parse_items(evs__parser *p, bool many)
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
    } while (!status && many && evs__parser_take_symbol(p, ","));
    if (!status && p->token.kind != EVS__TOKEN_END)
        status = evs__parser_expected(p, many ? "an operator, AS, \",\" or the end"
                                              : "an operator or the end");
    return status;
}

evs_status evs__ast_parse(
    evs_context *ctx, const char *text, bool many, evs__ast_list **ret, evs_error **reterr)
{
    evs__parser p = {.ctx = ctx, .reterr = reterr};
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
