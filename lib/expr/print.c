/*
 * expr/print.c: a tree as canonical text: the same tree gives the same text, and parsing that text
 * gives the same tree. Default names of columns, fingerprints of plans and explain rest on it.
 *
 * Keywords in upper case, functions in lower case, one space around operators, parentheses only
 * where the levels of parser.c need them, names in double quotes only where they must be. Doubles
 * keep an exponent, without which they would be read as decimals.
 */
#include <string.h>

#include "base/time.h"
#include "expr/ast.h"
#include "expr/lexer.h"

enum { LEVEL_ANY = 1, LEVEL_NOT = 3, LEVEL_COMPARE = 4, LEVEL_UNARY = 8, LEVEL_PRIMARY = 9 };

static void print_node(const evs__ast *a, int min_level, evs__buffer *out);

static int binary_level(const evs__ast *a)
{
    static const struct {
        const char *name;
        int level;
    } levels[] = {{"OR", 1}, {"AND", 2}, {"||", 5}, {"+", 6},
                  {"-", 6},  {"*", 7},   {"/", 7},  {"%", 7}};
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (strcmp(a->name, levels[i].name) == 0)
            return levels[i].level;
    }
    return LEVEL_COMPARE;
}

static bool is_negative_number(const evs__ast *a)
{
    if (!a->type)
        return false;
    switch (a->type->id) {
    case EVS_TYPE_INT:
    case EVS_TYPE_BIGINT:
    case EVS_TYPE_DECIMAL:
        return a->integer < 0;
    case EVS_TYPE_DOUBLE:
        return __builtin_signbit(a->number);
    default:
        return false;
    }
}

static int level_of(const evs__ast *a)
{
    switch (a->kind) {
    case EVS__AST_BINARY:
        return binary_level(a);
    case EVS__AST_UNARY:
        return a->name[0] == '-' ? LEVEL_UNARY : LEVEL_NOT;
    case EVS__AST_IS_NULL:
    case EVS__AST_IN:
    case EVS__AST_BETWEEN:
    case EVS__AST_LIKE:
        return LEVEL_COMPARE;
    case EVS__AST_LITERAL:
        return is_negative_number(a) ? LEVEL_UNARY : LEVEL_PRIMARY;
    default:
        return LEVEL_PRIMARY;
    }
}

static void print_name(const evs__ast *a, evs__buffer *out)
{
    if (evs__ast_is_reserved(a->name, a->name_len))
        evs__buffer_printf(out, "\"%s\"", a->name);
    else
        evs__type_print_name(a->name, out);
}

static void print_text(const char *text, size_t len, evs__buffer *out)
{
    evs__buffer_byte(out, '\'');
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\'')
            evs__buffer_byte(out, '\'');
        evs__buffer_byte(out, (uint8_t)text[i]);
    }
    evs__buffer_byte(out, '\'');
}

static void print_double(double value, evs__buffer *out)
{
    char text[EVS__DOUBLE_TEXT_MAX];
    size_t n = evs__format_double(value, text);

    evs__buffer_append(out, text, n);
    if (!memchr(text, 'e', n))
        evs__buffer_text(out, "e0");
}

static void print_time(const evs__ast *a, evs__buffer *out)
{
    char text[EVS__TIME_TEXT_MAX];
    size_t n;

    if (a->type->id == EVS_TYPE_TIMESTAMP)
        n = evs__time_format((int64_t)a->integer, text);
    else if (a->type->id == EVS_TYPE_DATE)
        n = evs__date_format((int32_t)a->integer, text);
    else
        n = evs__clock_format((int32_t)a->integer, text);
    evs__buffer_printf(out, "%s '%.*s'", evs__type_word(a->type->id), (int)n, text);
}

static void print_literal(const evs__ast *a, evs__buffer *out)
{
    char text[EVS__DECIMAL_TEXT_MAX];

    if (!a->type) {
        evs__buffer_text(out, "NULL");
        return;
    }
    switch (a->type->id) {
    case EVS_TYPE_BOOLEAN:
        evs__buffer_text(out, a->integer ? "TRUE" : "FALSE");
        break;
    case EVS_TYPE_DOUBLE:
        print_double(a->number, out);
        break;
    case EVS_TYPE_VARCHAR:
        print_text(a->text, a->text_len, out);
        break;
    case EVS_TYPE_TIMESTAMP:
    case EVS_TYPE_DATE:
    case EVS_TYPE_TIME:
        print_time(a, out);
        break;
    default:
        evs__buffer_append(out, text, evs__format_decimal(a->integer, a->type->scale, text));
        break;
    }
}

static void print_list(const evs__ast *a, uint32_t from, evs__buffer *out)
{
    for (uint32_t i = from; i < a->arg_count; i++) {
        if (i > from)
            evs__buffer_text(out, ", ");
        print_node(a->args[i], LEVEL_ANY, out);
    }
}

static void print_call(const evs__ast *a, evs__buffer *out)
{
    /* position(x IN y): its first argument ends before a comparison */
    bool position = a->arg_count && strcmp(a->name, "position") == 0;

    evs__buffer_printf(out, "%s(%s", a->name, a->distinct ? "DISTINCT " : "");
    if (position) {
        print_node(a->args[0], LEVEL_COMPARE + 1, out);
        if (a->arg_count > 1)
            evs__buffer_text(out, ", ");
    }
    print_list(a, position, out);
    evs__buffer_byte(out, ')');
    if (a->filter) {
        evs__buffer_text(out, " FILTER (WHERE ");
        print_node(a->filter, LEVEL_ANY, out);
        evs__buffer_byte(out, ')');
    }
}

static void print_case(const evs__ast *a, evs__buffer *out)
{
    uint32_t i = a->has_operand;

    evs__buffer_text(out, "CASE ");
    if (a->has_operand) {
        print_node(a->args[0], LEVEL_ANY, out);
        evs__buffer_byte(out, ' ');
    }
    for (; i + 1 < a->arg_count; i += 2) {
        evs__buffer_text(out, "WHEN ");
        print_node(a->args[i], LEVEL_ANY, out);
        evs__buffer_text(out, " THEN ");
        print_node(a->args[i + 1], LEVEL_ANY, out);
        evs__buffer_byte(out, ' ');
    }
    if (i < a->arg_count) {
        evs__buffer_text(out, "ELSE ");
        print_node(a->args[i], LEVEL_ANY, out);
        evs__buffer_byte(out, ' ');
    }
    evs__buffer_text(out, "END");
}

static void print_predicate(const evs__ast *a, evs__buffer *out)
{
    print_node(a->args[0], LEVEL_COMPARE + 1, out);
    if (a->kind == EVS__AST_IS_NULL) {
        evs__buffer_text(out, a->negated ? " IS NOT NULL" : " IS NULL");
        return;
    }
    if (a->negated)
        evs__buffer_text(out, " NOT");
    if (a->kind == EVS__AST_IN) {
        evs__buffer_text(out, " IN (");
        print_list(a, 1, out);
        evs__buffer_byte(out, ')');
        return;
    }
    evs__buffer_text(out, a->kind == EVS__AST_LIKE ? " LIKE " : " BETWEEN ");
    print_node(a->args[1], LEVEL_COMPARE + 1, out);
    if (a->arg_count == 3) {
        evs__buffer_text(out, a->kind == EVS__AST_LIKE ? " ESCAPE " : " AND ");
        print_node(a->args[2], LEVEL_COMPARE + 1, out);
    }
}

static void print_operator(const evs__ast *a, evs__buffer *out)
{
    int level = level_of(a);

    if (a->kind == EVS__AST_UNARY) {
        evs__buffer_text(out, a->name);
        if (level == LEVEL_NOT)
            evs__buffer_byte(out, ' ');
        print_node(a->args[0], level, out);
        return;
    }
    /* comparisons do not chain, the others group to the left */
    print_node(a->args[0], level + (level == LEVEL_COMPARE), out);
    evs__buffer_printf(out, " %s ", a->name);
    print_node(a->args[1], level + 1, out);
}

static void print_bare(const evs__ast *a, evs__buffer *out)
{
    switch (a->kind) {
    case EVS__AST_LITERAL:
        print_literal(a, out);
        break;
    case EVS__AST_COLUMN:
        print_name(a, out);
        break;
    case EVS__AST_FIELD:
        print_node(a->args[0], LEVEL_PRIMARY, out);
        evs__buffer_byte(out, '.');
        print_name(a, out);
        break;
    case EVS__AST_INDEX:
        print_node(a->args[0], LEVEL_PRIMARY, out);
        evs__buffer_byte(out, '[');
        print_node(a->args[1], LEVEL_ANY, out);
        evs__buffer_byte(out, ']');
        break;
    case EVS__AST_CASE:
        print_case(a, out);
        break;
    case EVS__AST_CAST:
        evs__buffer_text(out, "CAST(");
        print_node(a->args[0], LEVEL_ANY, out);
        evs__buffer_printf(out, " AS %s)", evs_type_print(a->type));
        break;
    case EVS__AST_CALL:
        print_call(a, out);
        break;
    case EVS__AST_STAR:
        evs__buffer_byte(out, '*');
        break;
    case EVS__AST_UNARY:
    case EVS__AST_BINARY:
        print_operator(a, out);
        break;
    default:
        print_predicate(a, out);
        break;
    }
}

static void print_node(const evs__ast *a, int min_level, evs__buffer *out)
{
    bool wrap = level_of(a) < min_level;

    if (out->status)
        return;
    if (wrap)
        evs__buffer_byte(out, '(');
    print_bare(a, out);
    if (wrap)
        evs__buffer_byte(out, ')');
}

evs_status evs__ast_print(const evs__ast *a, evs__buffer *out)
{
    print_node(a, LEVEL_ANY, out);
    return out->status;
}
