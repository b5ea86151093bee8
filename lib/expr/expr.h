/*
 * expr/expr.h: typed expressions over the columns of a batch.
 *
 *   text --parse--> tree (evs__ast) --check against a row type--> evs__expr --eval on a batch-->
 * column
 *
 * Parsed and typed once, evaluated on whole columns; three-valued logic. The tree knows more than
 * expressions need today (calls with DISTINCT, qualified names), because SQL's parser will build
 * the same tree.
 *
 * Typing: INT op INT = INT... widened INT -> BIGINT -> DECIMAL -> DOUBLE; integer overflow and
 * division by zero are row errors; AND, OR, NOT, comparison, IS NULL, IN, BETWEEN, LIKE (%, _,
 * ESCAPE), CASE, CAST(x AS TYPE), `||`, a.b (field of STRUCT), a[i] (ARRAY element from 1, or MAP
 * key), literals 'text', 12, 1.5, 1e3, TRUE, FALSE, NULL, TIMESTAMP '...', DATE '...'. Names are
 * case-sensitive columns; keywords and function names are not.
 */
#ifndef EVS_EXPR_EXPR_H
#define EVS_EXPR_EXPR_H

#include "data/batch.h"
#include "evstream/function.h"

typedef struct evs__ast evs__ast;
typedef enum evs__ast_kind {
    EVS__AST_LITERAL,
    EVS__AST_COLUMN,
    EVS__AST_FIELD,
    EVS__AST_INDEX,
    EVS__AST_UNARY,
    EVS__AST_BINARY,
    EVS__AST_IS_NULL,
    EVS__AST_IN,
    EVS__AST_BETWEEN,
    EVS__AST_LIKE,
    EVS__AST_CASE,
    EVS__AST_CAST,
    EVS__AST_CALL,
    EVS__AST_STAR
} evs__ast_kind;

struct evs__ast {
    evs__ast_kind kind;
    uint32_t position; /* byte offset in the text, for errors: "column N" is this + 1 */
    uint32_t end;      /* offset behind it */
    uint32_t arg_count;
    uint32_t depth; /* of the tree below, 1 for a leaf; bounded, so recursion over a tree is safe */
    evs__ast **args;
    const char *name; /* column, field, function (lower case), operator; in the tree's arena */
    size_t name_len;
    bool distinct;    /* CALL: count(DISTINCT x) */
    evs__ast *filter; /* CALL: count(*) FILTER (WHERE ...), or NULL; counted in `depth` */
    bool negated;     /* NOT IN, NOT LIKE, IS NOT NULL ... */
    bool has_operand; /* CASE x WHEN ...: args[0] is x; then WHEN, THEN pairs, then maybe ELSE */
    const evs_type *type; /* LITERAL (NULL: the literal NULL), CAST; referenced by the arena */
    evs__int128 integer;  /* LITERAL: boolean, integers, decimal (unscaled), time */
    double number;
    const char *text; /* LITERAL text */
    size_t text_len;
};

/* A parsed list "expr [AS alias], ..."; one arena. */
typedef struct evs__ast_item {
    evs__ast *expr;
    const char *alias; /* NULL: none given */
} evs__ast_item;
typedef struct evs__ast_list evs__ast_list;
struct evs__ast_list {
    evs_context *ctx;
    char *text; /* copy of the source text */
    size_t count;
    evs__ast_item *items;
    void *arena;
};
/* EVS_ERR_EXPRESSION, origin "column N", message `"page <> ": expected an expression at the end`.
 * Depth and length are bounded. */
evs_status evs__ast_parse(
    evs_context *ctx, const char *text, bool many, evs__ast_list **ret, evs_error **reterr);
void evs__ast_free(evs__ast_list *list);
/* canonical text (for default names, fingerprints and explain) */
evs_status evs__ast_print(const evs__ast *a, evs__buffer *out);

typedef struct evs__expr evs__expr;
/* Type-check against a row type. EVS_ERR_EXPRESSION (unknown field: the message lists those that
 * exist; unknown function: did you mean), EVS_ERR_TYPE. `list` keeps living elsewhere; it is not
 * needed afterwards. */
evs_status evs__expr_compile(evs_context *ctx,
                             const evs__ast_list *list,
                             const evs__ast *ast,
                             const evs_type *row,
                             evs__expr **ret,
                             evs_error **reterr);
/* parse + compile of one expression */
evs_status evs__expr_new(
    evs_context *ctx, const char *text, const evs_type *row, evs__expr **ret, evs_error **reterr);
void evs__expr_free(evs__expr *e);
const evs_type *evs__expr_type(const evs__expr *e);
/* index of the column when the expression is just one, else -1 */
int32_t evs__expr_column(const evs__expr *e);

/* A row whose evaluation failed: physical row, EVS_ERR_OVERFLOW / EVS_ERR_EXPRESSION /
 * EVS_ERR_CALLBACK / EVS_ERR_LIMIT (a text of more than 16 MiB), why. Its value is NULL. Told once
 * per row and eval. */
typedef void (*evs__row_failed_fn)(void *user_data,
                                   uint32_t row,
                                   evs_status status,
                                   const char *message);
/*
 * Evaluate for the selected rows; *ret is a new reference to a column of in->rows rows (values of
 * rows not selected are undefined). A plain column is returned as it is (maybe a view). EVS_OK even
 * when rows failed; EVS_ERR_NOMEM.
 */
evs_status evs__expr_eval(evs__expr *e,
                          const evs_batch *in,
                          evs__row_failed_fn failed,
                          void *user_data,
                          evs__column **ret,
                          evs_error **reterr);
/* Condition: writes the selected rows for which a BOOLEAN expression is TRUE, in order, to sel
 * (room for in->count); failed rows are left out. */
evs_status evs__expr_select(evs__expr *e,
                            const evs_batch *in,
                            evs__row_failed_fn failed,
                            void *user_data,
                            uint32_t *sel,
                            uint32_t *ret_count,
                            evs_error **reterr);

#endif
