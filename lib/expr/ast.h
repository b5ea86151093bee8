/*
 * expr/ast.h: making trees. For parsers: the one of expressions here, and SQL's.
 *
 * A tree lives in the arena of its list and is released with it, all at once. Arguments of a node
 * are made before it; a node is never changed after its parent was made.
 */
#ifndef EVS_EXPR_AST_H
#define EVS_EXPR_AST_H

#include "expr/expr.h"

#define EVS__AST_TEXT_MAX 65536 /* bytes of one text */
#define EVS__AST_DEPTH_MAX 400  /* of a tree, and of nesting while parsing */

/* an empty list that owns a copy of `text`; NULL: no memory */
evs__ast_list *evs__ast_list_new(evs_context *ctx, const char *text);
/* memory of the list's arena, aligned for everything, zeroed; NULL: none left */
void *evs__ast_alloc(evs__ast_list *list, size_t size);
/* NUL-terminated copy */
char *evs__ast_text(evs__ast_list *list, const char *text, size_t len);
/* a node over `count` arguments (copied from `args`, positions from `position` to `end`);
 * EVS_ERR_LIMIT: too deep */
evs_status evs__ast_node(evs__ast_list *list,
                         evs__ast_kind kind,
                         uint32_t position,
                         uint32_t end,
                         evs__ast *const *args,
                         size_t count,
                         evs__ast **ret);
/* nullable type without parameters, made once for each list; NULL: no memory */
const evs_type *evs__ast_simple_type(evs__ast_list *list, evs_type_id id);
/* the list releases the reference; on failure it is released at once */
evs_status evs__ast_own_type(evs__ast_list *list, const evs_type *type);
/* type a number literal by its value: INT, BIGINT, DECIMAL(n,0); more than 38 digits:
 * EVS_ERR_OVERFLOW */
evs_status evs__ast_set_integer(evs__ast_list *list, evs__ast *a, evs__int128 value);
/* whether a word cannot stand alone as a column's name (it needs double quotes) */
bool evs__ast_is_reserved(const char *word, size_t len);

#endif
