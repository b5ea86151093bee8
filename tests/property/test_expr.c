/*
 * Random expressions over random batches, against an interpreter of one row at a time: same values,
 * same rows failed, on both layouts, with and without selections, the second time as the first.
 *
 * The interpreter walks the parsed tree; it knows integers (INT and BIGINT), text and conditions.
 * EVS_MODEL_RUNS sets the number of expressions, EVS_MODEL_SEED the first seed; a failure prints
 * its own.
 */
#include <stdio.h>

#include "../support/evs_test.h"

#include "expr/ast.h"

#define ROWS 150
#define TEXT_SIZE 2048

static evs_test_memory memory = {.fail_at = -1};
static evs_context *ctx;
static uint64_t state;
static char text[65536];

static uint32_t below(uint32_t n)
{
    return (uint32_t)(evs_test_random(&state) % n);
}

/* ---- the interpreter: values, then one function over the tree ---- */

typedef struct value {
    bool null;
    bool wide; /* BIGINT */
    int64_t n; /* also BOOLEAN */
    char s[TEXT_SIZE];
} value;

typedef struct interpreter {
    const evs_batch *in;
    uint32_t row;
    bool failed;
} interpreter;

static value eval(interpreter *x, const evs__ast *a);

static value number(bool null, __int128 n)
{
    return (value){.null = null, .n = null ? 0 : (int64_t)n};
}

static value row_fails(interpreter *x)
{
    x->failed = true;
    return number(true, 0);
}

/* the type of the tree, whatever the row */
static bool is_wide(const evs__ast *a)
{
    bool wide = false;
    if (a->kind == EVS__AST_COLUMN)
        return a->name[0] == 'l' || a->name[0] == 'k';
    if (a->kind == EVS__AST_LITERAL)
        return a->type && a->type->id == EVS_TYPE_BIGINT;
    if (a->kind == EVS__AST_CASE) {
        for (uint32_t i = a->has_operand; i < a->arg_count; i++)
            wide |= ((i - a->has_operand) % 2 || i == a->arg_count - 1) && is_wide(a->args[i]);
        return wide;
    }
    if (a->kind == EVS__AST_CALL && strcmp(a->name, "length") == 0)
        return false;
    for (uint32_t i = a->kind == EVS__AST_CALL && a->name[0] == 'i'; i < a->arg_count; i++)
        wide |= is_wide(a->args[i]);
    return wide;
}

static value arithmetic(interpreter *x, const evs__ast *a, value p, value q)
{
    bool wide = is_wide(a), divides = a->name[0] == '/' || a->name[0] == '%';
    __int128 m = p.n, n = q.n, r;
    if (p.null || q.null)
        return number(true, 0);
    if (divides && n == 0)
        return row_fails(x);
    r = a->name[0] == '+'   ? m + n
        : a->name[0] == '-' ? m - n
        : a->name[0] == '*' ? m * n
        : a->name[0] == '/' ? m / n
                            : m % n;
    if (r < (wide ? INT64_MIN : INT32_MIN) || r > (wide ? INT64_MAX : INT32_MAX))
        return row_fails(x);
    return number(false, r);
}

static value compare(const char *op, value p, value q)
{
    int c = strcmp(p.s, q.s) ? strcmp(p.s, q.s) : (p.n > q.n) - (p.n < q.n);
    bool same = p.null || q.null ? p.null && q.null : c == 0;
    if (strncmp(op, "IS", 2) == 0)
        return number(false, same == (strstr(op, "NOT") != NULL));
    return number(p.null || q.null, strcmp(op, "=") == 0    ? c == 0
                                    : strcmp(op, "<>") == 0 ? c != 0
                                    : strcmp(op, "<") == 0  ? c < 0
                                    : strcmp(op, "<=") == 0 ? c <= 0
                                    : strcmp(op, ">") == 0  ? c > 0
                                                            : c >= 0);
}

static value column(const interpreter *x, const evs__ast *a)
{
    evs_row row = {x->in, NULL, x->row, 0};
    int32_t field = evs_row_field(&row, a->name);
    value v = {.null = evs_row_is_null(&row, field)};
    const char *s;
    size_t len;
    bool b;
    if (v.null)
        return v;
    if (evs_row_int(&row, field, &v.n) == EVS_OK)
        return v;
    if (evs_row_bool(&row, field, &b) == EVS_OK)
        return number(false, b);
    assert_int_equal(evs_row_string(&row, field, &s, &len), EVS_OK);
    memcpy(v.s, s, len);
    return v;
}

static value logic(interpreter *x, const evs__ast *a)
{
    bool is_and = a->name[0] == 'A';
    value p = eval(x, a->args[0]), q;
    if (!p.null && (p.n != 0) != is_and)
        return p; /* decided */
    q = eval(x, a->args[1]);
    if (!q.null && (q.n != 0) != is_and)
        return q;
    return number(p.null || q.null, is_and);
}

static value call(interpreter *x, const evs__ast *a)
{
    value v = eval(x, a->args[0]), w;
    if (strcmp(a->name, "coalesce") == 0) {
        for (uint32_t i = 1; i < a->arg_count && v.null; i++)
            v = eval(x, a->args[i]);
    } else if (strcmp(a->name, "nullif") == 0) {
        w = compare("=", v, eval(x, a->args[1]));
        v = w.null || !w.n ? v : number(true, 0);
    } else if (strcmp(a->name, "if") == 0) {
        v = eval(x, a->args[!v.null && v.n ? 1 : 2]);
    } else if (strcmp(a->name, "length") == 0) {
        v = number(v.null, (int64_t)strlen(v.s));
    } else { /* substring(s, n): n > 0 */
        w = eval(x, a->args[1]);
        v.null |= w.null;
        memmove(v.s, v.s + ((size_t)w.n - 1 < strlen(v.s) ? (size_t)w.n - 1 : strlen(v.s)), 500);
    }
    return v;
}

static value predicate(interpreter *x, const evs__ast *a)
{
    value v = eval(x, a->args[0]), r, low;
    if (a->kind == EVS__AST_IS_NULL)
        return number(false, v.null != a->negated);
    if (a->kind == EVS__AST_BETWEEN) {
        low = compare(">=", v, eval(x, a->args[1]));
        r = low;
        if (low.null || low.n)
            r = compare("<=", v, eval(x, a->args[2]));
        r = !r.null && !r.n ? r : number(low.null || r.null, r.n);
    } else {
        r = number(false, 0);
        for (uint32_t i = 1; i < a->arg_count && (r.null || !r.n); i++) {
            value one = compare("=", v, eval(x, a->args[i]));
            r = !one.null && one.n ? one : number(r.null || one.null, 0);
        }
    }
    return r.null ? r : number(false, (r.n != 0) != a->negated);
}

static value eval(interpreter *x, const evs__ast *a)
{
    value p = {0}, q;
    uint32_t i = a->has_operand;
    switch (a->kind) {
    case EVS__AST_LITERAL:
        p = number(!a->type, a->integer);
        memcpy(p.s, a->text ? a->text : "", a->text_len);
        return p;
    case EVS__AST_COLUMN:
        return column(x, a);
    case EVS__AST_UNARY:
        p = eval(x, a->args[0]);
        return p.null ? p : number(false, !p.n);
    case EVS__AST_BINARY:
        if (a->name[0] == 'A' || a->name[0] == 'O')
            return logic(x, a);
        p = eval(x, a->args[0]);
        q = eval(x, a->args[1]);
        if (strchr("+-*/%", a->name[0]))
            return arithmetic(x, a, p, q);
        if (a->name[0] != '|')
            return compare(a->name, p, q);
        p.null |= q.null;
        strcpy(p.s + strlen(p.s), q.s);
        return p.null ? number(true, 0) : p;
    case EVS__AST_CAST: /* of a number to text */
        p = eval(x, a->args[0]);
        if (!p.null)
            snprintf(p.s, sizeof(p.s), "%ld", (long)p.n);
        p.n = 0;
        return p;
    case EVS__AST_CASE:
        if (a->has_operand)
            p = eval(x, a->args[0]);
        for (; i + 1 < a->arg_count; i += 2) {
            q = eval(x, a->args[i]);
            if (a->has_operand)
                q = compare("=", p, q);
            if (!q.null && q.n)
                return eval(x, a->args[i + 1]);
        }
        return i < a->arg_count ? eval(x, a->args[i]) : number(true, 0);
    case EVS__AST_CALL:
        return call(x, a);
    default:
        return predicate(x, a);
    }
}

/* ---- random texts: every condition and every operand has a column, so nothing is constant ---- */

static void put(const char *s)
{
    assert_true(strlen(text) + strlen(s) + 1 < sizeof(text));
    strcat(text, s);
}

static void put_one(const char *const *words, uint32_t count)
{
    put(words[below(count)]);
}

static void put_text(int depth);
static void put_condition(int depth);

static void put_number(int depth)
{
    static const char *const columns[] = {"i", "j", "l", "k"};
    static const char *const ops[] = {" + ", " - ", " * ", " / ", " % "};
    char literal[32];
    switch (depth <= 0 ? 0 : below(9)) {
    case 0:
    case 1:
        put_one(columns, 4);
        return;
    case 2:
        put("coalesce(");
        put_number(depth - 1);
        put(", ");
        put_number(depth - 1);
        break;
    case 3:
        put("nullif(");
        put_number(depth - 1);
        put(", ");
        put_number(depth - 1);
        break;
    case 4:
        put("CASE WHEN ");
        put_condition(depth - 1);
        put(" THEN ");
        put_number(depth - 1);
        put(" WHEN ");
        put_condition(depth - 1);
        put(below(2) ? " THEN NULL ELSE " : " THEN 7 ELSE ");
        put_number(depth - 1);
        put(" END");
        return;
    case 5:
        put("length(");
        put_text(depth - 1);
        break;
    case 6:
        put("if(");
        put_condition(depth - 1);
        put(", ");
        put_number(depth - 1);
        put(", ");
        put_number(depth - 1);
        break;
    default:
        put("(");
        put_number(depth - 1);
        put_one(ops, 5);
        snprintf(literal, sizeof(literal), "%d", (int)below(7) - 3);
        if (below(3))
            put_number(depth - 1);
        else
            put(below(4) ? literal : "9000000000");
        break;
    }
    put(")");
}

static void put_text(int depth)
{
    static const char *const columns[] = {"s", "page"};
    static const char *const literals[] = {" || 'x'", " || '' || s", " || page"};
    switch (depth <= 0 ? 0 : below(6)) {
    case 0:
    case 1:
        put_one(columns, 2);
        return;
    case 2:
        put("(");
        put_text(depth - 1);
        put_one(literals, 3);
        break;
    case 3:
        put("substring(");
        put_text(depth - 1);
        put(below(2) ? ", 2" : ", 1");
        break;
    case 4:
        put("CAST(");
        put_number(depth - 1);
        put(" AS VARCHAR");
        break;
    default:
        put("CASE j WHEN i THEN ");
        put_text(depth - 1);
        put(below(2) ? " WHEN 2 THEN 'two' ELSE " : " WHEN k + 1 THEN NULL ELSE ");
        put_text(depth - 1);
        put(" END");
        return;
    }
    put(")");
}

static void put_condition(int depth)
{
    static const char *const columns[] = {"b", "c", "(NOT b)", "(b IS NULL)", "(c IS NOT FALSE)"};
    static const char *const ops[] = {" = ",
                                      " <> ",
                                      " < ",
                                      " <= ",
                                      " > ",
                                      " >= ",
                                      " IS DISTINCT FROM ",
                                      " IS NOT DISTINCT FROM "};
    static const char *const lists[] = {" IN (1, 2, 3)",
                                        " NOT IN (0, -1, NULL)",
                                        " IN (1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,-1)",
                                        " NOT BETWEEN -1 AND 2",
                                        " BETWEEN j AND l + 1",
                                        " IN (i, j + 1, 3)",
                                        " IS NULL"};
    switch (depth <= 0 ? 0 : below(7)) {
    case 0:
        put_one(columns, 5);
        return;
    case 1:
    case 2:
        put("(");
        put_condition(depth - 1);
        put(below(2) ? " AND " : " OR ");
        put_condition(depth - 1);
        break;
    case 3:
        put("(NOT ");
        put_condition(depth - 1);
        break;
    case 4:
        put("(");
        put_number(depth - 1);
        put_one(lists, 7);
        break;
    case 5:
        put("(");
        put_text(depth - 1);
        put_one(ops, 8);
        put_text(depth - 1);
        break;
    default:
        put("(");
        put_number(depth - 1);
        put_one(ops, 8);
        put_number(depth - 1);
        break;
    }
    put(")");
}

/* ---- the comparison ---- */

static void append_word(evs_appender *a, const char *word)
{
    evs_append_string(a, word, strlen(word));
}

/* small numbers and short texts that meet often, some at the limits */
static evs_batch *random_batch(const evs_type *type)
{
    static const int64_t limits[] = {INT32_MAX, INT32_MIN, 0, -1};
    static const char *const words[] = {"", "x", "two", "yy", "xtwo", "a longer text than most"};
    evs_appender *a = NULL;
    evs_batch *batch = NULL;
    uint32_t nulls = below(4) ? 4 : 1000;

    assert_int_equal(evs_appender_new(ctx, type, &a, NULL), EVS_OK);
    for (int row = 0; row < ROWS; row++) {
        for (int f = 0; f < 8; f++) {
            if (f != 1 && below(nulls) == 0)
                evs_append_null(a);
            else if (f < 4)
                evs_append_int(a, below(20)  ? (int64_t)below(9) - 3
                                  : f < 2    ? limits[below(4)]
                                  : below(2) ? INT64_MAX - below(3)
                                             : INT64_MIN + below(3));
            else if (f < 6)
                append_word(a, words[below(6)]);
            else
                evs_append_bool(a, below(2));
        }
        assert_int_equal(evs_append_end_row(a, NULL), EVS_OK);
    }
    assert_int_equal(evs_appender_take(a, &batch, NULL), EVS_OK);
    evs_appender_unref(a);
    return batch;
}

static void note_failed(void *user_data, uint32_t row, evs_status status, const char *message)
{
    bool *failed = user_data;
    (void)status;
    (void)message;
    assert_false(failed[row]);
    failed[row] = true;
}

static bool same_value(const evs__column *c, uint32_t row, const value *v)
{
    if (evs__column_is_null(c, row) || v->null)
        return evs__column_is_null(c, row) == v->null;
    switch (c->type->id) {
    case EVS_TYPE_BOOLEAN:
        return evs__bit_get(c->bits, row) == (v->n != 0);
    case EVS_TYPE_INT:
        return c->i32[row] == v->n;
    case EVS_TYPE_BIGINT:
        return c->i64[row] == v->n;
    default:
        return evs__column_str(c, row).len == strlen(v->s) &&
               memcmp(evs__column_str(c, row).data, v->s, strlen(v->s)) == 0;
    }
}

static void check_batch(evs__expr *e, const evs__ast *a, const evs_batch *in, uint64_t seed)
{
    bool failed[ROWS] = {false};
    uint32_t sel[ROWS], count = 0, wanted = 0;
    evs__column *c = NULL;

    assert_int_equal(evs__expr_eval(e, in, note_failed, failed, &c, NULL), EVS_OK);
    if (evs__expr_type(e)->id == EVS_TYPE_BOOLEAN)
        assert_int_equal(evs__expr_select(e, in, NULL, NULL, sel, &count, NULL), EVS_OK);
    for (uint32_t k = 0; k < in->count; k++) {
        interpreter x = {in, evs__batch_row_at(in, k), false};
        value v = eval(&x, a);
        v.null |= x.failed;
        if (x.failed != failed[x.row] || !same_value(c, x.row, &v))
            fail_msg("EVS_MODEL_SEED=%lu: row %u of %s: %s", (unsigned long)seed, x.row, text,
                     x.failed ? "fails"
                     : v.null ? "NULL"
                              : "has another value");
        if (evs__expr_type(e)->id == EVS_TYPE_BOOLEAN && !v.null && v.n)
            assert_int_equal(sel[wanted++], x.row);
    }
    assert_int_equal(wanted, count);
    evs__column_unref(c);
}

static void check_expression(uint64_t seed, const evs_type *type)
{
    evs_batch *batches[3] = {NULL, NULL, NULL};
    evs__ast_list *list = NULL;
    evs__expr *e = NULL;
    evs_error *err = NULL;
    uint32_t sel[ROWS], count = 0;

    state = seed;
    text[0] = '\0';
    (below(3) == 0 ? put_number : below(2) ? put_text : put_condition)(1 + (int)below(5));
    batches[0] = random_batch(type);
    assert_int_equal(evs__batch_new(ctx, type, EVS_LAYOUT_VIEW, ROWS, &batches[1]), EVS_OK);
    assert_int_equal(evs__batch_gather(batches[1], batches[0], NULL, ROWS), EVS_OK);
    for (uint32_t i = 0; i < ROWS; i++) {
        if (below(3))
            sel[count++] = i;
    }
    for (uint32_t i = 0; count && below(2) && i < count; i++) { /* also out of order */
        uint32_t other = below(count), swap = sel[i];
        sel[i] = sel[other];
        sel[other] = swap;
    }
    assert_int_equal(evs__batch_select(batches[below(2)], sel, count, &batches[2]), EVS_OK);
    assert_int_equal(evs__ast_parse(ctx, text, false, &list, NULL), EVS_OK);
    if (evs__expr_compile(ctx, list, list->items[0].expr, type, &e, &err))
        fail_msg("EVS_MODEL_SEED=%lu: %s: %s", (unsigned long)seed, text, evs_error_message(err));
    for (int i = 0; i < 4; i++)
        check_batch(e, list->items[0].expr, batches[i % 3], seed);
    evs__expr_free(e);
    evs__ast_free(list);
    for (int i = 0; i < 3; i++)
        evs_batch_unref(batches[i]);
}

static void test_random_expressions_equal_interpreter(void **unused)
{
    const char *runs = getenv("EVS_MODEL_RUNS"), *first = getenv("EVS_MODEL_SEED");
    uint64_t seed = first ? strtoull(first, NULL, 10) : 1;
    uint64_t count = runs ? strtoull(runs, NULL, 10) : first ? 1 : 1500;
    evs_type *type;
    (void)unused;

    ctx = evs_test_context(&memory);
    type = evs_test_type(ctx, "STRUCT<i INT, j INT NOT NULL, l BIGINT, k BIGINT, s VARCHAR, page "
                              "VARCHAR, b BOOLEAN, c BOOLEAN> NOT NULL");
    for (uint64_t i = 0; i < count; i++)
        check_expression(seed + i, type);
    evs_type_unref(type);
    evs_context_unref(ctx);
    assert_int_equal(memory.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_expressions_equal_interpreter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
