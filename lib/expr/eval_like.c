/*
 * expr/eval_like.c: x [NOT] LIKE pattern [ESCAPE c].
 *
 * `%` stands for any text, `_` for one character (code point), the escape character makes the next
 * one plain; without ESCAPE there is none. A pattern is cut at its % into pieces:
 *
 *   first %  piece  %  piece  %  last        first and last stand at the ends, the others are
 *                                            searched from the left, each behind the one before
 *
 * The leftmost place of a piece is always a right one, so nothing is tried twice: pieces without _
 * are found by memmem in linear time, pieces with _ in (text * piece) at worst; no pattern makes it
 * exponential. A constant pattern is cut once; others per row, into memory that is used again.
 *
 * Text compares by bytes, so a match is one of the same code points; nothing is folded.
 */
#include <string.h>

#include "expr/term.h"

/* `any` marks where pattern has _: its byte in `bytes` is not looked at */
typedef struct piece {
    uint32_t at; /* in bytes and any */
    uint32_t len;
    bool has_any;
} piece;

typedef struct like {
    char *bytes;
    bool *any;
    piece *pieces;
    size_t capacity; /* of bytes and any; and of pieces + 1 */
    uint32_t count;
    bool open; /* whether there was a % at all: otherwise pieces[0] is the whole text */
    bool constant;
} like;

static void like_free(evs_context *ctx, void *state)
{
    like *l = state;

    evs__free(ctx, l->bytes);
    evs__free(ctx, l->any);
    evs__free(ctx, l->pieces);
    evs__free(ctx, l);
}

static evs_status like_reserve(evs_context *ctx, like *l, size_t len)
{
    if (l->pieces && len <= l->capacity)
        return EVS_OK;
    len = len < 32 ? 32 : len;
    evs__free(ctx, l->bytes);
    evs__free(ctx, l->any);
    evs__free(ctx, l->pieces);
    l->capacity = 0;
    l->bytes = evs__alloc(ctx, len);
    l->any = evs__calloc(ctx, len, sizeof(*l->any));
    l->pieces = evs__calloc(ctx, len + 1, sizeof(*l->pieces));
    if (!l->bytes || !l->any || !l->pieces) {
        evs__free(ctx, l->pieces);
        l->pieces = NULL;
        return EVS_ERR_NOMEM;
    }
    l->capacity = len;
    return EVS_OK;
}

static size_t step(const char *p, size_t left)
{
    size_t n = evs__utf8_step((unsigned char)*p);
    return n < left ? n : left;
}

/* cut the pattern; false: it ends with the escape character */
static bool like_cut(like *l, evs_string_view pattern, const evs_string_view *escape)
{
    piece *p = l->pieces;
    uint32_t used = 0;

    l->open = false;
    *p = (piece){0, 0, false};
    for (size_t i = 0; i < pattern.len;) {
        const char *c = pattern.data + i;
        size_t n = step(c, pattern.len - i);
        bool escaped = escape && n == escape->len && memcmp(c, escape->data, n) == 0;
        if (escaped) {
            i += n;
            if (i == pattern.len)
                return false;
            c = pattern.data + i;
            n = step(c, pattern.len - i);
        }
        i += n;
        if (!escaped && *c == '%') {
            l->open = true;
            *++p = (piece){used, 0, false};
            continue;
        }
        for (size_t k = 0; k < n; k++, used++) {
            l->bytes[used] = c[k];
            l->any[used] = !escaped && *c == '_';
            p->has_any |= l->any[used];
            p->len++;
        }
    }
    l->count = (uint32_t)(p - l->pieces) + 1;
    return true;
}

/* bytes of text that the piece covers at its beginning; SIZE_MAX: it does not */
static size_t piece_at(const like *l, const piece *p, const char *text, size_t len)
{
    size_t i = 0;

    if (!p->has_any) {
        bool same = p->len <= len && memcmp(text, l->bytes + p->at, p->len) == 0;
        return same ? p->len : SIZE_MAX;
    }
    for (uint32_t k = 0; k < p->len; k++) {
        if (i >= len)
            return SIZE_MAX;
        if (l->any[p->at + k])
            i += step(text + i, len - i);
        else if (text[i++] != l->bytes[p->at + k])
            return SIZE_MAX;
    }
    return i;
}

/* whether the piece covers exactly the end of the text */
static bool piece_ends(const like *l, const piece *p, const char *text, size_t len)
{
    size_t characters = 0, at = len;

    if (!p->has_any)
        return p->len <= len && memcmp(text + len - p->len, l->bytes + p->at, p->len) == 0;
    for (uint32_t k = 0; k < p->len; k++)
        characters += l->any[p->at + k] || ((unsigned char)l->bytes[p->at + k] & 0xc0) != 0x80;
    for (; characters && at; characters--) {
        for (at--; at && ((unsigned char)text[at] & 0xc0) == 0x80;)
            at--;
    }
    return !characters && piece_at(l, p, text + at, len - at) == len - at;
}

/* offset behind the leftmost place of the piece; SIZE_MAX: none */
static size_t piece_search(const like *l, const piece *p, const char *text, size_t len)
{
    if (!p->has_any) {
        const char *found = p->len ? memmem(text, len, l->bytes + p->at, p->len) : text;
        return found ? (size_t)(found - text) + p->len : SIZE_MAX;
    }
    for (size_t i = 0; i < len; i += step(text + i, len - i)) {
        size_t n = piece_at(l, p, text + i, len - i);
        if (n != SIZE_MAX)
            return i + n;
    }
    return SIZE_MAX;
}

static bool like_matches(const like *l, evs_string_view s)
{
    const char *text = s.len ? s.data : "";
    size_t len = s.len;
    size_t at = piece_at(l, &l->pieces[0], text, len);

    if (at == SIZE_MAX || !l->open)
        return at == len;
    for (uint32_t k = 1; k + 1 < l->count; k++) {
        size_t n = piece_search(l, &l->pieces[k], text + at, len - at);
        if (n == SIZE_MAX)
            return false;
        at += n;
    }
    return piece_ends(l, &l->pieces[l->count - 1], text + at, len - at);
}

/* EVS_ERR_NOMEM, or EVS_ERR_EXPRESSION and why the pattern or its escape cannot be used */
static evs_status like_set(evs_context *ctx,
                           like *l,
                           evs_string_view pattern,
                           const evs_string_view *escape,
                           const char **ret_why)
{
    if (escape && (escape->len == 0 || step(escape->data, escape->len) != escape->len)) {
        *ret_why = "ESCAPE needs one character";
        return EVS_ERR_EXPRESSION;
    }
    if (like_reserve(ctx, l, pattern.len))
        return EVS_ERR_NOMEM;
    *ret_why = "the pattern ends with its escape character";
    return like_cut(l, pattern, escape) ? EVS_OK : EVS_ERR_EXPRESSION;
}

evs_status evs__like_prepare(evs_context *ctx, evs__term *n, evs_error **reterr)
{
    like *l = evs__calloc(ctx, 1, sizeof(*l));
    bool escapes = n->arg_count == 3;
    evs_string_view escape;
    const char *why = NULL;
    evs_status status;

    if (!l)
        return evs__nomem(reterr);
    n->state = l;
    n->free_state = like_free;
    if (!n->args[1]->constant || (escapes && !n->args[2]->constant))
        return EVS_OK;
    l->constant = true;
    if (escapes)
        escape = evs__column_str(n->args[2]->out, 0);
    status = like_set(ctx, l, evs__column_str(n->args[1]->out, 0), escapes ? &escape : NULL, &why);
    if (status == EVS_ERR_NOMEM)
        return evs__nomem(reterr);
    return status ? evs__fail(ctx, reterr, status, "%s", why) : EVS_OK;
}

/* the pattern of a row; a fault in it is the row's */
static evs_status set_row(evs__eval *ev,
                          evs__term *n,
                          evs__column *const *cols,
                          uint32_t row,
                          evs__column *out,
                          bool *ret_failed)
{
    evs_string_view escape;
    bool escapes = n->arg_count == 3;
    const char *why = NULL;
    evs_status status;

    if (escapes)
        escape = evs__column_str(cols[2], row * EVS__STRIDE(n->args[2]));
    status =
        like_set(ev->expr->ctx, n->state, evs__column_str(cols[1], row * EVS__STRIDE(n->args[1])),
                 escapes ? &escape : NULL, &why);
    *ret_failed = status == EVS_ERR_EXPRESSION;
    return *ret_failed ? evs__fail_row(ev, n, out, row, status, "%s", why) : status;
}

evs_status evs__eval_like(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    const like *l = n->state;
    evs__column *cols[3] = {NULL, NULL, NULL};
    size_t stride = EVS__STRIDE(n->args[0]);
    evs_status status = evs__eval_strict(ev, n, rows, cols, ret);

    if (status)
        return status;
    memset((*ret)->bits, 0, (rows->total + 7) / 8);
    EVS__FOR_ROWS(rows, i)
    {
        bool failed = false;
        if (evs__column_is_null(*ret, i))
            continue;
        if (!l->constant)
            status = set_row(ev, n, cols, i, *ret, &failed);
        if (status)
            return status;
        if (!failed && like_matches(l, evs__column_str(cols[0], i * stride)) != n->negated)
            evs__bit_set((*ret)->bits, i);
    }
    return EVS_OK;
}
