/*
 * codec/json_infer.c: what columns sample events suggest, as text to paste:
 *
 *   {"user_id":"u1","order":{"total":9.5},"at":"2026-11-23T17:05:16Z"}
 *   user_id VARCHAR, total DOUBLE '$.order.total', at TIMESTAMP
 *
 * All events are laid over each other in a tree of members, each with the set of kinds of values it
 * was seen with. Objects become paths to their members (inside arrays: STRUCT); whole numbers are
 * BIGINT, since nobody knows the largest to come; text is TIMESTAMP or DATE when all of it is. What
 * was only ever null, or seen with kinds that no type holds together, is told as VARCHAR.
 *
 * Samples that are no JSON object are passed over. Off the hot path: recursion over a document that
 * evs__json_check() has passed, so it is bounded and nothing is checked twice.
 */
#include <string.h>

#include "base/time.h"
#include "codec/json.h"

#define MEMBERS_MAX 256 /* of the whole tree; more are not looked at */
#define DEPTH_MAX 16
#define TEXT_MAX ((size_t)1 << 20)

enum kind {
    KIND_BOOLEAN = 1,
    KIND_INTEGER = 2,
    KIND_NUMBER = 4,
    KIND_TEXT = 8,
    KIND_DATE = 16,
    KIND_TIME = 32,
    KIND_OBJECT = 64,
    KIND_ARRAY = 128
};

typedef struct member member;
struct member {
    char *name; /* NULL: the root, or what is in an array */
    uint32_t kinds;
    member *first, *last, *next; /* of an object */
    member *element;             /* of an array */
};

typedef struct learner {
    evs_context *ctx;
    const uint8_t *p;
    const uint8_t *end;
    uint32_t members;
    bool failed; /* no memory */
} learner;

static void member_free(evs_context *ctx, member *m)
{
    while (m) {
        member *next = m->next;

        member_free(ctx, m->first);
        member_free(ctx, m->element);
        evs__free(ctx, m->name);
        evs__free(ctx, m);
        m = next;
    }
}

/* ---- looking at events ---- */

static void learn_value(learner *l, member *m, uint32_t depth);

static void skip_space(learner *l)
{
    while (l->p < l->end && (*l->p == ' ' || *l->p == '\n' || *l->p == '\r' || *l->p == '\t'))
        l->p++;
}

/* the text at p, without its quotes; p moves behind it */
static size_t take_text(learner *l, const uint8_t **ret)
{
    const uint8_t *s = ++l->p;

    while (*l->p != '"')
        l->p += *l->p == '\\' ? 2 : 1;
    *ret = s;
    return (size_t)(l->p++ - s);
}

/* NULL: it has no name that text can hold, or there are too many, or no memory */
static member *find_member(learner *l, member *m, const uint8_t *s, size_t len)
{
    char *name = evs__alloc(l->ctx, len + 1);
    member *found;

    if (!name) {
        l->failed = true;
        return NULL;
    }
    len = evs__json_unescape(s, s + len, name);
    name[len] = '\0';
    for (found = m->first; found && strcmp(found->name, name); found = found->next)
        ;
    if (found || l->members == MEMBERS_MAX || !len || strlen(name) != len) {
        evs__free(l->ctx, name);
        return found;
    }
    found = evs__calloc(l->ctx, 1, sizeof(*found));
    if (!found) {
        evs__free(l->ctx, name);
        l->failed = true;
        return NULL;
    }
    found->name = name;
    if (m->last)
        m->last->next = found;
    else
        m->first = found;
    m->last = found;
    l->members++;
    return found;
}

static void learn_object(learner *l, member *m, uint32_t depth)
{
    for (l->p++, skip_space(l); *l->p != '}'; skip_space(l)) {
        const uint8_t *s;
        size_t len;

        l->p += *l->p == ',';
        skip_space(l);
        len = take_text(l, &s);
        skip_space(l);
        l->p++;
        skip_space(l);
        learn_value(l, m ? find_member(l, m, s, len) : NULL, depth + 1);
    }
    l->p++;
}

static void learn_array(learner *l, member *m, uint32_t depth)
{
    if (m && !m->element) {
        m->element = evs__calloc(l->ctx, 1, sizeof(*m->element));
        l->failed = l->failed || !m->element;
    }
    for (l->p++, skip_space(l); *l->p != ']'; skip_space(l)) {
        l->p += *l->p == ',';
        skip_space(l);
        learn_value(l, m ? m->element : NULL, depth + 1);
    }
    l->p++;
}

static uint32_t text_kind(const uint8_t *s, size_t len)
{
    int32_t days;
    int64_t ms;

    if (!evs__date_parse((const char *)s, len, &days))
        return KIND_DATE;
    return evs__time_parse((const char *)s, len, &ms) ? KIND_TEXT : KIND_TIME;
}

static uint32_t take_number(learner *l)
{
    const uint8_t *s = l->p;
    int64_t value;

    while (l->p < l->end && *l->p && strchr("+-.0123456789eE", *l->p))
        l->p++;
    return evs__parse_int((const char *)s, (size_t)(l->p - s), &value) ? KIND_NUMBER : KIND_INTEGER;
}

static void learn_value(learner *l, member *m, uint32_t depth)
{
    const uint8_t *s;
    uint32_t kind = 0;
    size_t len;

    if (depth > DEPTH_MAX || l->failed)
        m = NULL;
    switch (*l->p) {
    case '{':
        kind = KIND_OBJECT;
        learn_object(l, m, depth);
        break;
    case '[':
        kind = KIND_ARRAY;
        learn_array(l, m, depth);
        break;
    case '"':
        len = take_text(l, &s);
        kind = text_kind(s, len);
        break;
    case 't':
        kind = KIND_BOOLEAN;
        l->p += 4;
        break;
    case 'f':
        kind = KIND_BOOLEAN;
        l->p += 5;
        break;
    case 'n':
        l->p += 4;
        break;
    default:
        kind = take_number(l);
        break;
    }
    if (m)
        m->kinds |= kind;
}

/* ---- telling ---- */

/* the way to a member */
typedef struct way {
    const struct way *up;
    const member *m;
} way;

typedef struct teller {
    evs__buffer *out;
    size_t begin;           /* of out, where the columns begin */
    evs__buffer name, path; /* of the column in work */
    evs__buffer taken;      /* names of columns, each with its NUL */
    bool failed;
} teller;

/* whether there is a type for it: not for objects that were always empty */
static bool has_type(const member *m)
{
    if (m->kinds == KIND_ARRAY)
        return m->element && has_type(m->element);
    if (m->kinds != KIND_OBJECT)
        return true;
    for (m = m->first; m; m = m->next) {
        if (has_type(m))
            return true;
    }
    return false;
}

static void put_quoted(evs__buffer *out, char quote, const char *text)
{
    evs__buffer_byte(out, (uint8_t)quote);
    for (; *text; text++) {
        if (*text == quote)
            evs__buffer_byte(out, (uint8_t)quote);
        evs__buffer_byte(out, (uint8_t)*text);
    }
    evs__buffer_byte(out, (uint8_t)quote);
}

/* names of letters, digits and _ need no quotes */
static void put_name(evs__buffer *out, const char *name)
{
    size_t plain = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

    if (name[plain] || (*name >= '0' && *name <= '9'))
        put_quoted(out, '"', name);
    else
        evs__buffer_text(out, name);
}

static void put_type(evs__buffer *out, const member *m)
{
    const char *separator = "";

    switch (m->kinds) {
    case KIND_ARRAY:
        evs__buffer_text(out, "ARRAY<");
        put_type(out, m->element);
        evs__buffer_byte(out, '>');
        return;
    case KIND_OBJECT:
        evs__buffer_text(out, "STRUCT<");
        for (const member *k = m->first; k; k = k->next) {
            if (!has_type(k))
                continue;
            evs__buffer_text(out, separator);
            put_name(out, k->name);
            evs__buffer_byte(out, ' ');
            put_type(out, k);
            separator = ", ";
        }
        evs__buffer_byte(out, '>');
        return;
    case KIND_BOOLEAN:
        evs__buffer_text(out, "BOOLEAN");
        return;
    case KIND_INTEGER:
        evs__buffer_text(out, "BIGINT");
        return;
    case KIND_NUMBER:
    case KIND_NUMBER | KIND_INTEGER:
        evs__buffer_text(out, "DOUBLE");
        return;
    case KIND_DATE:
        evs__buffer_text(out, "DATE");
        return;
    case KIND_TIME:
    case KIND_TIME | KIND_DATE:
        evs__buffer_text(out, "TIMESTAMP");
        return;
    default:
        evs__buffer_text(out, "VARCHAR");
        return;
    }
}

/* `$.order.total`; false: a name that paths cannot hold */
static bool put_path(evs__buffer *out, const way *w)
{
    const char *name = w->m->name;
    bool single;

    if (!name) {
        evs__buffer_byte(out, '$');
        return true;
    }
    if (!put_path(out, w->up))
        return false;
    if (!strpbrk(name, ".[")) {
        evs__buffer_byte(out, '.');
        evs__buffer_text(out, name);
        return true;
    }
    single = !strchr(name, '\'');
    if (!single && strchr(name, '"'))
        return false;
    evs__buffer_text(out, single ? "['" : "[\"");
    evs__buffer_text(out, name);
    evs__buffer_text(out, single ? "']" : "\"]");
    return true;
}

/* `order_total` */
static void put_joined(evs__buffer *out, const way *w)
{
    if (w->up->m->name) {
        put_joined(out, w->up);
        evs__buffer_byte(out, '_');
    }
    evs__buffer_text(out, w->m->name);
}

static void take(teller *t, const char *name)
{
    evs__buffer_append(&t->taken, name, strlen(name) + 1);
}

static bool is_taken(const teller *t, const char *name)
{
    for (size_t at = 0; at < t->taken.len; at += strlen(t->taken.data + at) + 1) {
        if (!strcmp(t->taken.data + at, name))
            return true;
    }
    return false;
}

/* one column, unless it cannot be named or reached */
static void tell_column(teller *t, const way *w)
{
    bool nested = w->up->m->name;
    const char *name, *path;

    evs__buffer_reset(&t->name);
    evs__buffer_reset(&t->path);
    if (nested && is_taken(t, w->m->name))
        put_joined(&t->name, w);
    else
        evs__buffer_text(&t->name, w->m->name);
    name = evs__buffer_cstr(&t->name);
    if (name && nested && (is_taken(t, name) || !put_path(&t->path, w)))
        return;
    path = evs__buffer_cstr(&t->path);
    if (!name || !path) {
        t->failed = true;
        return;
    }
    if (nested)
        take(t, name);
    if (t->out->len > t->begin)
        evs__buffer_text(t->out, ", ");
    put_name(t->out, name);
    evs__buffer_byte(t->out, ' ');
    put_type(t->out, w->m);
    if (nested) {
        evs__buffer_byte(t->out, ' ');
        put_quoted(t->out, '\'', path);
    }
}

static void tell(teller *t, const way *up)
{
    for (const member *m = up->m->first; m; m = m->next) {
        way w = {up, m};

        if (!has_type(m))
            continue;
        if (m->kinds == KIND_OBJECT)
            tell(t, &w);
        else
            tell_column(t, &w);
    }
}

evs_status
evs__json_infer_columns(evs_context *ctx, const evs_input *samples, size_t count, evs__buffer *out)
{
    learner l = {.ctx = ctx};
    member root = {.kinds = 0};
    way top = {NULL, &root};
    teller t = {.out = out, .begin = out->len};
    char message[160];
    evs_status status;

    evs__buffer_init(&t.name, ctx, TEXT_MAX);
    evs__buffer_init(&t.path, ctx, TEXT_MAX);
    evs__buffer_init(&t.taken, ctx, TEXT_MAX);
    for (size_t i = 0; i < count && !l.failed; i++) {
        l.p = samples[i].value;
        l.end = l.p + samples[i].value_len;
        if (!l.p || evs__json_check(evs__json_walk_best(), l.p, samples[i].value_len, message,
                                    sizeof(message)))
            continue;
        skip_space(&l);
        if (*l.p == '{')
            learn_value(&l, &root, 0);
    }
    /* columns that need no path have the first right to their names */
    for (const member *m = root.first; m; m = m->next) {
        if (m->kinds != KIND_OBJECT)
            take(&t, m->name);
    }
    tell(&t, &top);
    status = l.failed || t.failed || t.taken.status ? EVS_ERR_NOMEM : out->status;
    if (status)
        out->len = t.begin;
    evs__buffer_free(&t.name);
    evs__buffer_free(&t.path);
    evs__buffer_free(&t.taken);
    member_free(ctx, root.first);
    return status;
}
