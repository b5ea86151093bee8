/*
 * expr/parser.h: the parts of the parser: tokens taken one by one, faults that say what was
 * expected, nodes. SQL's statements are parsed with the same tools.
 */
#ifndef EVS_EXPR_PARSER_H
#define EVS_EXPR_PARSER_H

#include "expr/ast.h"
#include "expr/lexer.h"

/* levels of operators, loosest first */
enum {
    EVS__LEVEL_OR = 1,
    EVS__LEVEL_AND,
    EVS__LEVEL_NOT,
    EVS__LEVEL_COMPARE,
    EVS__LEVEL_CONCAT,
    EVS__LEVEL_ADD,
    EVS__LEVEL_MULTIPLY,
    EVS__LEVEL_UNARY
};

typedef struct evs__parser {
    evs_context *ctx;
    evs__ast_list *list;
    evs__token token;  /* the next one, not taken yet */
    uint32_t last_end; /* of the token taken last */
    int32_t depth;
    evs_error **reterr;
} evs__parser;

/* arguments while their number is not known */
typedef struct evs__arg_list {
    evs__ast **args;
    size_t count;
    size_t capacity;
} evs__arg_list;

/* EVS_ERR_EXPRESSION with an excerpt of the text and the position; EVS_ERR_NOMEM stays that */
evs_status
evs__parser_fault(evs__parser *p, uint32_t position, evs_status status, const char *message);
/* EVS_OK, or the fault that a constructor's status means */
evs_status evs__parser_made(evs__parser *p, uint32_t position, evs_status status);
/* `expected WHAT before "token"`, or what is wrong with the token itself */
evs_status evs__parser_expected(evs__parser *p, const char *what);

void evs__parser_advance(evs__parser *p);
bool evs__parser_take_word(evs__parser *p, const char *word);
bool evs__parser_take_symbol(evs__parser *p, const char *symbol);
evs_status evs__parser_need_word(evs__parser *p, const char *word);
evs_status evs__parser_need_symbol(evs__parser *p, const char *symbol);
/* text of the token, unquoted, in the arena; takes the token */
evs_status evs__parser_take_text(evs__parser *p, const char **ret, size_t *ret_len);
evs_status evs__parser_push(evs__parser *p, evs__arg_list *list, evs__ast *arg);
/* a node that ends where the last taken token does */
evs_status evs__parser_node(evs__parser *p,
                            evs__ast_kind kind,
                            uint32_t position,
                            evs__ast *const *args,
                            size_t count,
                            evs__ast **ret);

/* an expression of operators that bind at least as tight as min_level */
evs_status evs__parse_expr(evs__parser *p, int min_level, evs__ast **ret);
/* expressions between commas, at least one */
evs_status evs__parse_args(evs__parser *p, evs__arg_list *args);
evs_status evs__parse_unary(evs__parser *p, evs__ast **ret);
/* a name, call, or what a keyword begins */
evs_status evs__parse_word(evs__parser *p, evs__ast **ret);

#endif
