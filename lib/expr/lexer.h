/*
 * expr/lexer.h: text of an expression to tokens. SQL's parser reads the same tokens.
 */
#ifndef EVS_EXPR_LEXER_H
#define EVS_EXPR_LEXER_H

#include "base/context.h"

typedef enum evs__token_kind {
    EVS__TOKEN_END,
    EVS__TOKEN_NAME,   /* word, or "quoted" or `quoted` */
    EVS__TOKEN_STRING, /* 'text', a quote inside is doubled */
    EVS__TOKEN_NUMBER,
    EVS__TOKEN_SYMBOL,
    EVS__TOKEN_BAD /* `fault` says why */
} evs__token_kind;

typedef struct evs__token {
    evs__token_kind kind;
    uint32_t position; /* in the text */
    uint32_t end;
    const char *text; /* at position */
    size_t len;
    bool quoted;       /* NAME */
    const char *fault; /* BAD: a constant, what is wrong */
} evs__token;

/* the token at or behind `position`; `text` is NUL-terminated and valid UTF-8 */
void evs__lex(const char *text, uint32_t position, evs__token *ret);
/* an unquoted name that is this keyword (upper case), in any case */
bool evs__token_is_word(const evs__token *t, const char *word);
bool evs__token_is_symbol(const evs__token *t, const char *symbol);
/* case-insensitive for ASCII letters only, whatever the locale; `word` is upper case */
bool evs__word_equal(const char *text, size_t len, const char *word);
/* value of STRING and quoted NAME without quotes into `out` (room for len); returns its length */
size_t evs__token_unquote(const evs__token *t, char *out);

#endif
