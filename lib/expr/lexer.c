/*
 * expr/lexer.c: tokens of an expression.
 *
 *   name     letter or _ or any byte from 0x80 on, then also digits;  "any text"  or  `any text`
 *   string   'any text', '' inside stands for one quote
 *   number   12  1.5  .5  1e3  2.5E-7   (a sign is an operator)
 *   symbol   ( ) [ ] , . + - * / % = < > <> != <= >= ||
 *
 * The lexer keeps no state: the parser asks for the token behind a position, so looking ahead costs
 * nothing special. A fault is a token too; the parser tells it when it gets there.
 */
#include <string.h>

#include "expr/lexer.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static const char *skip_digits(const char *p)
{
    while (is_digit(*p))
        p++;
    return p;
}

/* end of a number; NULL when letters follow at once ("12ab", "1e") */
static const char *number_end(const char *p)
{
    p = skip_digits(p);
    if (*p == '.' && is_digit(p[1]))
        p = skip_digits(p + 1);
    if (*p == 'e' || *p == 'E') {
        p += p[1] == '+' || p[1] == '-' ? 2 : 1;
        if (!is_digit(*p))
            return NULL;
        p = skip_digits(p);
    }
    return is_name_byte(*p) ? NULL : p;
}

/* behind the closing quote; NULL when there is none */
static const char *quoted_end(const char *p)
{
    char quote = *p++;
    while (*p && (*p != quote || p[1] == quote))
        p += *p == quote ? 2 : 1;
    return *p ? p + 1 : NULL;
}

static size_t symbol_length(const char *p)
{
    static const char *const two[] = {"<>", "!=", "<=", ">=", "||"};
    for (size_t i = 0; i < sizeof(two) / sizeof(two[0]); i++) {
        if (p[0] == two[i][0] && p[1] == two[i][1])
            return 2;
    }
    return strchr("()[],.+-*/%=<>", *p) ? 1 : 0;
}

static void finish(evs__token *t, evs__token_kind kind, const char *end)
{
    t->kind = kind;
    t->len = (size_t)(end - t->text);
    t->end = t->position + (uint32_t)t->len;
}

static void bad(evs__token *t, const char *fault, size_t len)
{
    t->fault = fault;
    finish(t, EVS__TOKEN_BAD, t->text + len);
}

void evs__lex(const char *text, uint32_t position, evs__token *ret)
{
    const char *p = text + position;
    const char *end;
    size_t n;

    while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')
        p++;
    *ret = (evs__token){.text = p, .position = (uint32_t)(p - text)};
    if (!*p) {
        finish(ret, EVS__TOKEN_END, p);
    } else if (is_name_byte(*p)) {
        for (end = p; is_name_byte(*end) || is_digit(*end);)
            end++;
        finish(ret, EVS__TOKEN_NAME, end);
    } else if (*p == '"' || *p == '`' || *p == '\'') {
        end = quoted_end(p);
        ret->quoted = true;
        if (!end)
            bad(ret, "the quote that begins here is not closed", 1);
        else if (*p != '\'' && end - p == 2)
            bad(ret, "a name in quotes is empty", 2);
        else
            finish(ret, *p == '\'' ? EVS__TOKEN_STRING : EVS__TOKEN_NAME, end);
    } else if (is_digit(*p) || (*p == '.' && is_digit(p[1]))) {
        end = number_end(p);
        if (end)
            finish(ret, EVS__TOKEN_NUMBER, end);
        else
            bad(ret, "this is not a number, and names do not begin with a digit", 1);
    } else if ((n = symbol_length(p))) {
        finish(ret, EVS__TOKEN_SYMBOL, p + n);
    } else {
        bad(ret, "this character has no meaning here", 1);
    }
}

bool evs__word_equal(const char *text, size_t len, const char *word)
{
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c >= 'a' && c <= 'z')
            c = (char)(c - 32);
        if (!word[i] || c != word[i])
            return false;
    }
    return word[len] == '\0';
}

bool evs__token_is_word(const evs__token *t, const char *word)
{
    return t->kind == EVS__TOKEN_NAME && !t->quoted && evs__word_equal(t->text, t->len, word);
}

bool evs__token_is_symbol(const evs__token *t, const char *symbol)
{
    return t->kind == EVS__TOKEN_SYMBOL && strlen(symbol) == t->len &&
           memcmp(symbol, t->text, t->len) == 0;
}

size_t evs__token_unquote(const evs__token *t, char *out)
{
    size_t n = 0;

    if (!t->quoted) {
        memcpy(out, t->text, t->len);
        return t->len;
    }
    for (size_t i = 1; i + 1 < t->len; i++) {
        out[n++] = t->text[i];
        if (t->text[i] == t->text[0])
            i++; /* the doubled quote */
    }
    return n;
}
