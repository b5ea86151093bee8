/*
 * expr/ast.c: the arena that a parsed text lives in, and the constructors of nodes.
 *
 * Blocks in a chain, newest first; nothing is released before all is. Types are reference counted
 * objects outside of it, so the arena keeps a list of those that it has to give back.
 *
 *   list -> arena { block -> block -> ..., kept types -> ..., simple[type id] }
 */
#include <string.h>

#include "expr/ast.h"
#include "expr/lexer.h"

#define BLOCK_MIN 4096

typedef struct arena_block arena_block;
struct arena_block {
    arena_block *next;
    size_t used;
    size_t size;
    size_t padding; /* data is aligned to 16 */
    char data[];
};

typedef struct kept_type kept_type;
struct kept_type {
    kept_type *next;
    const evs_type *type;
};

typedef struct arena {
    arena_block *blocks;
    kept_type *types;
    const evs_type *simple[EVS_TYPE_STRUCT + 1];
} arena;

evs__ast_list *evs__ast_list_new(evs_context *ctx, const char *text)
{
    evs__ast_list *list = evs__calloc(ctx, 1, sizeof(*list));

    if (!list)
        return NULL;
    list->ctx = evs_context_ref(ctx);
    list->text = evs__strdup(ctx, text);
    list->arena = evs__calloc(ctx, 1, sizeof(arena));
    if (!list->text || !list->arena) {
        evs__ast_free(list);
        return NULL;
    }
    return list;
}

void evs__ast_free(evs__ast_list *list)
{
    evs_context *ctx;
    arena *a;

    if (!list)
        return;
    ctx = list->ctx;
    a = list->arena;
    if (a) {
        for (kept_type *k = a->types; k; k = k->next)
            evs_type_unref(k->type);
        while (a->blocks) {
            arena_block *b = a->blocks;
            a->blocks = b->next;
            evs__free(ctx, b);
        }
    }
    evs__free(ctx, a);
    evs__free(ctx, list->text);
    evs__free(ctx, list);
    evs_context_unref(ctx);
}

void *evs__ast_alloc(evs__ast_list *list, size_t size)
{
    arena *a = list->arena;
    arena_block *b = a->blocks;
    void *p;

    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + 15) & ~(size_t)15;
    if (!b || b->size - b->used < size) {
        size_t room = size > BLOCK_MIN ? size : BLOCK_MIN;
        b = evs__alloc(list->ctx, sizeof(*b) + room);
        if (!b)
            return NULL;
        *b = (arena_block){a->blocks, 0, room, 0};
        a->blocks = b;
    }
    p = b->data + b->used;
    b->used += size;
    memset(p, 0, size);
    return p;
}

char *evs__ast_text(evs__ast_list *list, const char *text, size_t len)
{
    char *copy = evs__ast_alloc(list, len + 1);
    if (copy && len)
        memcpy(copy, text, len);
    return copy;
}

evs_status evs__ast_node(evs__ast_list *list,
                         evs__ast_kind kind,
                         uint32_t position,
                         uint32_t end,
                         evs__ast *const *args,
                         size_t count,
                         evs__ast **ret)
{
    uint32_t depth = 1;
    evs__ast *a;

    for (size_t i = 0; i < count; i++) {
        if (args[i]->depth >= depth)
            depth = args[i]->depth + 1;
    }
    if (depth > EVS__AST_DEPTH_MAX)
        return EVS_ERR_LIMIT;
    a = evs__ast_alloc(list, sizeof(*a));
    if (!a)
        return EVS_ERR_NOMEM;
    a->kind = kind;
    a->position = position;
    a->end = end;
    a->depth = depth;
    a->arg_count = (uint32_t)count;
    if (count) {
        a->args = evs__ast_alloc(list, count * sizeof(*args));
        if (!a->args)
            return EVS_ERR_NOMEM;
        memcpy(a->args, args, count * sizeof(*args));
    }
    *ret = a;
    return EVS_OK;
}

evs_status evs__ast_own_type(evs__ast_list *list, const evs_type *type)
{
    arena *a = list->arena;
    kept_type *k = evs__ast_alloc(list, sizeof(*k));

    if (!k) {
        evs_type_unref(type);
        return EVS_ERR_NOMEM;
    }
    k->type = type;
    k->next = a->types;
    a->types = k;
    return EVS_OK;
}

const evs_type *evs__ast_simple_type(evs__ast_list *list, evs_type_id id)
{
    arena *a = list->arena;
    const evs_type *type;

    if (!a->simple[id]) {
        if (evs__type_simple(list->ctx, id, true, &type) || evs__ast_own_type(list, type))
            return NULL;
        a->simple[id] = type;
    }
    return a->simple[id];
}

evs_status evs__ast_set_integer(evs__ast_list *list, evs__ast *a, evs__int128 value)
{
    evs_status status;
    int32_t digits = 1;

    a->integer = value;
    if (value >= INT64_MIN && value <= INT64_MAX) {
        bool small = value >= INT32_MIN && value <= INT32_MAX;
        a->type = evs__ast_simple_type(list, small ? EVS_TYPE_INT : EVS_TYPE_BIGINT);
        return a->type ? EVS_OK : EVS_ERR_NOMEM;
    }
    while (digits <= 38 && (value < 0 ? -value : value) >= evs__pow10_128(digits))
        digits++;
    if (digits > 38)
        return EVS_ERR_OVERFLOW;
    status = evs__type_decimal(list->ctx, digits, 0, true, &a->type);
    return status ? status : evs__ast_own_type(list, a->type);
}

bool evs__ast_is_reserved(const char *word, size_t len)
{
    static const char *const words[] = {
        "AND", "AS", "BETWEEN", "CASE", "DISTINCT", "ELSE", "END",  "ESCAPE", "FALSE", "FROM",
        "IN",  "IS", "LIKE",    "NOT",  "NULL",     "OR",   "THEN", "TRUE",   "WHEN"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (evs__word_equal(word, len, words[i]))
            return true;
    }
    return false;
}
