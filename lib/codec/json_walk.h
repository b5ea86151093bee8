/*
 * codec/json_walk.h: the reader of JSON text. Not a header of its own: json_walk_plain.c,
 * json_walk_sse2.c and json_walk_avx2.c each include it once, with JSON_LEVEL (json_scan.h) and
 * JSON_WALK, the name of the table it defines.
 *
 * One pass, values straight into columns, nothing built in between. Every byte is checked, also
 * those of members that nobody wants. For events of 100 to 200 bytes this beats an index of
 * structural characters: with the learned lexemes (json.h) most bytes between values are compared,
 * not searched, and a value of usual length takes one vector load.
 *
 * Bounds: the document ends with '}' or ']' (evs__json_reader.end). A token other than a closing
 * bracket cannot hold that byte, so behind it there is always a byte to look at; only behind a
 * closing bracket `p == end` must be asked. Text may hold brackets: scan_text() looks at the end.
 *
 * Cost with AVX2 at about 4 GHz: 26 ns for 100 bytes of five members, two of them wanted; 44 ns for
 * 200 bytes of eight, four wanted. What bounds it is the way from one value to the next: the load
 * at a place that is only known once the value before has ended.
 */
#include "base/hash.h"
#include "codec/json.h"

#include "codec/json_scan.h"

JSON_NOINLINE const uint8_t *
read_any(evs__json_reader *r, const evs__json_value *v, evs__column *c, const uint8_t *p);
static const uint8_t *
read_object(evs__json_reader *r, evs__json_node *node, evs__json_scope *scope, const uint8_t *p);

/* p < end before and after */
JSON_INLINE const uint8_t *skip_space(const uint8_t *p)
{
    while (EVS__UNLIKELY(*p <= ' ') && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
        p++;
    return p;
}

JSON_INLINE bool has_room(evs__json_reader *r, evs__column *c)
{
    return EVS__LIKELY(c->length < c->capacity) || evs__json_grow(r, c);
}

/* ---- what is not wanted ---- */

JSON_INLINE const uint8_t *skip_text(evs__json_reader *r, const uint8_t *p)
{
    const uint8_t *q = scan_text(p + 1, r->end);
    bool escaped;

    if (EVS__UNLIKELY(*q != '"')) {
        q = evs__json_text_end(r, p + 1, q, &escaped);
        if (!q)
            return NULL;
    }
    return q + 1;
}

JSON_INLINE const uint8_t *skip_number(evs__json_reader *r, const uint8_t *p)
{
    const uint8_t *q = scan_number_end(p, r->end);
    bool integer;

    return EVS__LIKELY(q != NULL) ? q : evs__json_number_end(r, p, &integer);
}

JSON_INLINE const uint8_t *skip_scalar(evs__json_reader *r, const uint8_t *p)
{
    if (*p == '"')
        return skip_text(r, p);
    if (*p <= '9')
        return skip_number(r, p);
    return evs__json_literal(r, p);
}

/* `"name" :` of a member that is skipped */
JSON_INLINE const uint8_t *skip_name(evs__json_reader *r, const uint8_t *p)
{
    if (*p != '"')
        return evs__json_fault(r, EVS_ERR_DECODE, "expected a member name", p);
    p = skip_text(r, p);
    if (!p)
        return NULL;
    p = skip_space(p);
    if (*p != ':')
        return evs__json_fault(r, EVS_ERR_DECODE, "expected \":\"", p);
    return skip_space(p + 1);
}

/* An object or array, without recursion: a byte per level says which (1: object). */
JSON_NOINLINE const uint8_t *skip_nested(evs__json_reader *r, const uint8_t *p)
{
    uint8_t objects[EVS__JSON_SKIP_DEPTH_MAX];
    uint32_t depth = 0;

    for (;;) {
        if (*p == '{' || *p == '[') {
            if (depth == EVS__JSON_SKIP_DEPTH_MAX)
                return evs__json_fault(r, EVS_ERR_DECODE, "nested too deeply", p);
            objects[depth++] = *p == '{';
            p = skip_space(p + 1);
            if (*p != (objects[depth - 1] ? '}' : ']')) {
                if (objects[depth - 1] && !(p = skip_name(r, p)))
                    return NULL;
                continue;
            }
            p++;
            depth--;
        } else if (!(p = skip_scalar(r, p))) {
            return NULL;
        }
        /* behind a value: close what ends here, up to the next value */
        for (;;) {
            if (!depth)
                return p;
            if (p == r->end)
                return evs__json_fault(r, EVS_ERR_DECODE, "it ends too early", p);
            p = skip_space(p);
            if (*p == ',')
                break;
            if (*p != (objects[depth - 1] ? '}' : ']'))
                return evs__json_fault(
                    r, EVS_ERR_DECODE,
                    objects[depth - 1] ? "expected \",\" or \"}\"" : "expected \",\" or \"]\"", p);
            p++;
            depth--;
        }
        p = skip_space(p + 1);
        if (objects[depth - 1] && !(p = skip_name(r, p)))
            return NULL;
    }
}

JSON_INLINE const uint8_t *skip_value(evs__json_reader *r, const uint8_t *p)
{
    if (*p == '{' || *p == '[')
        return skip_nested(r, p);
    return skip_scalar(r, p);
}

/* ---- values ---- */

JSON_INLINE const uint8_t *
read_int(evs__json_reader *r, const evs__json_value *v, evs__column *c, const uint8_t *p)
{
    int64_t value;
    const uint8_t *q = scan_int(p, r->end, &value);

    if (EVS__UNLIKELY(!q || value != (int32_t)value))
        return evs__json_int(r, v, c, p);
    evs__column_append_i32(c, (int32_t)value);
    return q;
}

JSON_INLINE const uint8_t *
read_bigint(evs__json_reader *r, const evs__json_value *v, evs__column *c, const uint8_t *p)
{
    int64_t value;
    const uint8_t *q = scan_int(p, r->end, &value);

    if (EVS__UNLIKELY(!q))
        return evs__json_int(r, v, c, p);
    evs__column_append_i64(c, value);
    return q;
}

JSON_INLINE const uint8_t *
read_double(evs__json_reader *r, const evs__json_value *v, evs__column *c, const uint8_t *p)
{
    /* digits below 2^53 and a power that is exact: one rounding, so the nearest double (Clinger) */
    static const double power[16] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                     1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    uint64_t digits;
    uint32_t fraction;
    bool negative;
    const uint8_t *q = scan_number(p, r->end, &negative, &digits, &fraction);
    double value;

    if (EVS__UNLIKELY(!q))
        return evs__json_double(r, v, c, p);
    value = (double)(int64_t)digits / power[fraction];
    evs__column_append_f64(c, negative ? -value : value);
    return q;
}

JSON_INLINE const uint8_t *
read_decimal(evs__json_reader *r, const evs__json_value *v, evs__column *c, const uint8_t *p)
{
    uint64_t digits;
    uint32_t fraction;
    bool negative;
    const uint8_t *q;

    if (*p == '"')
        return evs__json_typed_text(r, v, c, p, scan_text(p + 1, r->end));
    q = scan_number(p, r->end, &negative, &digits, &fraction);
    /* up to 15 digits, padded to the scale, stay within the precision and 64 bits */
    if (EVS__UNLIKELY(!q || fraction > (uint32_t)v->type->scale ||
                      v->type->precision < 15 + v->type->scale - (int32_t)fraction ||
                      v->type->scale - fraction > 3))
        return evs__json_decimal(r, v, c, p);
    for (uint32_t i = fraction; i < (uint32_t)v->type->scale; i++)
        digits *= 10;
    evs__column_append_i128(c, negative ? -(evs__int128)digits : (evs__int128)digits);
    return q;
}

JSON_INLINE const uint8_t *
read_varchar(evs__json_reader *r, const evs__json_value *v, evs__column *c, const uint8_t *p)
{
    const uint8_t *q;

    if (EVS__UNLIKELY(*p != '"'))
        return evs__json_odd(r, v, c, p);
    q = scan_text(p + 1, r->end);
    if (EVS__UNLIKELY(*q != '"' || c->layout != EVS_LAYOUT_VIEW))
        return evs__json_varchar(r, v, c, p, q);
    evs__column_append_view(c, (const char *)p + 1, (size_t)(q - p - 1));
    return q + 1;
}

JSON_INLINE const uint8_t *
read_bool(evs__json_reader *r, const evs__json_value *v, evs__column *c, const uint8_t *p)
{
    if (r->end - p > 5) {
        if (evs__load32(p) == evs__load32("true")) {
            evs__column_append_bool(c, true);
            return p + 4;
        }
        if (evs__load32(p + 1) == evs__load32("alse") && *p == 'f') {
            evs__column_append_bool(c, false);
            return p + 5;
        }
    } else if (r->end - p == 5 && !memcmp(p, "true", 4)) {
        evs__column_append_bool(c, true);
        return p + 4;
    }
    return evs__json_odd(r, v, c, p);
}

JSON_NOINLINE const uint8_t *
read_array(evs__json_reader *r, const evs__json_value *v, evs__column *c, const uint8_t *p)
{
    evs__column *elements = c->children[0];
    size_t index = 0;

    if (*p != '[')
        return evs__json_odd(r, v, c, p);
    p = skip_space(p + 1);
    if (*p != ']') {
        for (;;) {
            p = read_any(r, v->element, elements, p);
            if (!p) {
                evs__json_trail_add(&r->trail, NULL, index);
                return NULL;
            }
            index++;
            if (p == r->end)
                return evs__json_fault(r, EVS_ERR_DECODE, "it ends too early", p);
            p = skip_space(p);
            if (*p != ',')
                break;
            p = skip_space(p + 1);
        }
        if (*p != ']')
            return evs__json_fault(r, EVS_ERR_DECODE, "expected \",\" or \"]\"", p);
    }
    evs__column_end_list(c);
    return p + 1;
}

/* one `"key": value` of a MAP */
JSON_INLINE const uint8_t *
read_entry(evs__json_reader *r, const evs__json_value *v, evs__column *entries, const uint8_t *p)
{
    static const evs__json_value key_value = {.kind = EVS_TYPE_VARCHAR};
    evs__column *keys = entries->children[0];

    if (*p != '"')
        return evs__json_fault(r, EVS_ERR_DECODE, "expected a member name", p);
    if (!has_room(r, entries) || !has_room(r, keys))
        return NULL;
    p = read_varchar(r, &key_value, keys, p);
    if (!p)
        return NULL;
    p = skip_space(p);
    if (*p != ':')
        return evs__json_fault(r, EVS_ERR_DECODE, "expected \":\"", p);
    p = read_any(r, v->element, entries->children[1], skip_space(p + 1));
    if (!p) {
        evs_string_view name = evs__column_str(keys, keys->length - 1);

        evs__json_trail_add(&r->trail, name.data, name.len);
        return NULL;
    }
    evs__column_end_struct(entries);
    return p;
}

JSON_NOINLINE const uint8_t *
read_map(evs__json_reader *r, const evs__json_value *v, evs__column *c, const uint8_t *p)
{
    evs__column *entries = c->children[0];
    uint32_t from = entries->length;

    if (*p != '{')
        return evs__json_odd(r, v, c, p);
    p = skip_space(p + 1);
    if (*p != '}') {
        for (;;) {
            p = read_entry(r, v, entries, p);
            if (!p)
                return NULL;
            if (p == r->end)
                return evs__json_fault(r, EVS_ERR_DECODE, "it ends too early", p);
            p = skip_space(p);
            if (*p != ',')
                break;
            p = skip_space(p + 1);
        }
        if (*p != '}')
            return evs__json_fault(r, EVS_ERR_DECODE, "expected \",\" or \"}\"", p);
        if (!evs__json_map_unique(r, entries, from))
            return NULL;
    }
    evs__column_end_list(c);
    return p + 1;
}

JSON_NOINLINE const uint8_t *
read_struct(evs__json_reader *r, const evs__json_value *v, evs__column *c, const uint8_t *p)
{
    evs__json_scope scope = {v->node, c->children, c->length, 0};

    if (*p != '{')
        return evs__json_odd(r, v, c, p);
    p = read_object(r, v->node, &scope, p);
    if (!p)
        return NULL;
    if (scope.filled != v->node->column_count && !evs__json_fill_missing(r, &scope))
        return NULL;
    evs__column_end_struct(c);
    return p;
}

JSON_INLINE const uint8_t *read_value(
    evs__json_reader *r, uint8_t kind, const evs__json_value *v, evs__column *c, const uint8_t *p)
{
    if (!has_room(r, c))
        return NULL;
    switch (kind) {
    case EVS_TYPE_BOOLEAN:
        return read_bool(r, v, c, p);
    case EVS_TYPE_INT:
        return read_int(r, v, c, p);
    case EVS_TYPE_BIGINT:
        return read_bigint(r, v, c, p);
    case EVS_TYPE_DOUBLE:
        return read_double(r, v, c, p);
    case EVS_TYPE_DECIMAL:
        return read_decimal(r, v, c, p);
    case EVS_TYPE_VARCHAR:
        return read_varchar(r, v, c, p);
    case EVS_TYPE_TIMESTAMP:
        if (*p != '"')
            return read_bigint(r, v, c, p);
        return evs__json_typed_text(r, v, c, p, scan_text(p + 1, r->end));
    case EVS_TYPE_BYTES:
    case EVS_TYPE_DATE:
    case EVS_TYPE_TIME:
        if (*p != '"')
            return evs__json_int(r, v, c, p);
        return evs__json_typed_text(r, v, c, p, scan_text(p + 1, r->end));
    case EVS_TYPE_ARRAY:
        return read_array(r, v, c, p);
    case EVS_TYPE_MAP:
        return read_map(r, v, c, p);
    case EVS_TYPE_STRUCT:
        return read_struct(r, v, c, p);
    }
    __builtin_unreachable();
}

JSON_NOINLINE const uint8_t *
read_any(evs__json_reader *r, const evs__json_value *v, evs__column *c, const uint8_t *p)
{
    return read_value(r, v->kind, v, c, p);
}

/* ---- objects ---- */

/* a lexeme near the end of the document, or without vectors; 0: it stands at p */
JSON_INLINE uint64_t differs_words(const evs__json_lexeme *x, const uint8_t *p, const uint8_t *end)
{
    const uint8_t *b = x->bytes;
    size_t n = x->len;

    if (EVS__UNLIKELY((size_t)(end - p) < n))
        return 1;
    if (n >= 8) {
        uint64_t ends =
            (evs__load64(p) ^ evs__load64(b)) | (evs__load64(p + n - 8) ^ evs__load64(b + n - 8));

        if (n <= 16)
            return ends;
        return ends | (evs__load64(p + 8) ^ evs__load64(b + 8)) |
               (evs__load64(p + n - 16) ^ evs__load64(b + n - 16));
    }
    if (n >= 4)
        return (evs__load32(p) ^ evs__load32(b)) |
               (evs__load32(p + n - 4) ^ evs__load32(b + n - 4));
    if (n == 1)
        return *p ^ *b;
    return !n || p[0] != b[0] || p[1] != b[1] || p[n - 1] != b[n - 1];
}

JSON_INLINE uint64_t differs(const evs__json_lexeme *x, const uint8_t *p, const uint8_t *end)
{
#if JSON_LEVEL == 2
    if (EVS__LIKELY(end - p >= EVS__JSON_LEXEME_BYTES)) {
        __m256i equal = _mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)p),
                                          _mm256_loadu_si256((const __m256i *)x->bytes));

        return ~((uint32_t)_mm256_movemask_epi8(equal) | x->ignore);
    }
#endif
    return differs_words(x, p, end);
}

/* which wanted member a name is */
JSON_INLINE evs__json_field *find_member(evs__json_reader *r,
                                         const evs__json_node *node,
                                         const uint8_t *s,
                                         const uint8_t *e,
                                         bool escaped)
{
    char *name = NULL;
    evs__json_field *field;
    size_t len = (size_t)(e - s);

    if (EVS__LIKELY(!escaped))
        return evs__json_find(node, (const char *)s, len);
    /* at most six bytes stand for one */
    if (len / 6 > node->name_max)
        return NULL;
    name = evs__scratch_alloc(r->scratch, len);
    if (!name) {
        evs__json_fault(r, EVS_ERR_NOMEM, "out of memory", s);
        return NULL;
    }
    field = evs__json_find(node, name, evs__json_unescape(s, e, name));
    evs__scratch_shrink(r->scratch, name, 0);
    return field;
}

/*
 * What stands between two values when it is not what was predicted first: the second prediction,
 * or a parse from the grammar, which is then learned. *pp moves behind it.
 */
JSON_NOINLINE evs__json_lexeme *
next_member(evs__json_reader *r, evs__json_node *node, evs__json_lexeme *at, const uint8_t **pp)
{
    evs__json_lexeme *x = at->next[1];
    const uint8_t *const start = *pp;
    const uint8_t *p = start, *s, *q;
    evs__json_field *field;
    bool first = at == &node->start;
    bool escaped = false;

    if (!differs(x, p, r->end)) {
        at->next[1] = at->next[0];
        at->next[0] = x;
        *pp = p + x->len;
        return x;
    }
    if (p == r->end)
        goto early;
    p = first ? skip_space(p + 1) : skip_space(p);
    if (*p == '}') {
        *pp = p + 1;
        return evs__json_learn(r->ctx, node, at, start, (size_t)(p + 1 - start), EVS__JSON_END,
                               NULL);
    }
    if (!first) {
        if (*p != ',')
            goto no_comma;
        p = skip_space(p + 1);
    }
    if (*p != '"')
        goto no_name;
    s = p + 1;
    q = scan_text(s, r->end);
    if (*q != '"' && !(q = evs__json_text_end(r, s, q, &escaped)))
        return NULL;
    p = skip_space(q + 1);
    if (*p != ':')
        goto no_colon;
    p = skip_space(p + 1);
    *pp = p;
    field = find_member(r, node, s, q, escaped);
    if (r->status)
        return NULL;
    return evs__json_learn(r->ctx, node, at, start, (size_t)(p - start),
                           field       ? field->kind
                           : *p == '"' ? EVS__JSON_SKIP_TEXT
                           : *p <= '9' ? EVS__JSON_SKIP_NUMBER
                                       : EVS__JSON_SKIP,
                           field);

early:
    evs__json_fault(r, EVS_ERR_DECODE, "it ends too early", p);
    return NULL;
no_comma:
    evs__json_fault(r, EVS_ERR_DECODE, "expected \",\" or \"}\"", p);
    return NULL;
no_name:
    evs__json_fault(r, EVS_ERR_DECODE, "expected a member name", p);
    return NULL;
no_colon:
    evs__json_fault(r, EVS_ERR_DECODE, "expected \":\"", p);
    return NULL;
}

/* the member for one column; `kind` is known where this is put in */
JSON_INLINE const uint8_t *read_target(evs__json_reader *r,
                                       evs__json_scope *scope,
                                       const evs__json_field *field,
                                       uint8_t kind,
                                       uint32_t column,
                                       const uint8_t *p)
{
    evs__column *c = scope->columns[column];

    p = skip_space(p); /* more of it than was learned */
    if (EVS__UNLIKELY(c->length != scope->row))
        return evs__json_fault(r, EVS_ERR_SCHEMA, "the member occurs twice", p);
    scope->filled++;
    return read_value(r, kind, &field->value, c, p);
}

/* a member on the way of a path, or for several columns */
JSON_NOINLINE const uint8_t *read_targets(evs__json_reader *r,
                                          evs__json_scope *scope,
                                          const evs__json_field *field,
                                          const uint8_t *p)
{
    const uint8_t *q = NULL;

    for (; field; field = field->also) {
        if (field->value.kind != EVS__JSON_OBJECT)
            q = read_target(r, scope, field, field->value.kind, field->column, p);
        else if (*p == '{')
            q = read_object(r, field->value.node, scope, p);
        else
            q = evs__json_odd(r, &field->value, NULL, p);
        if (!q)
            return NULL;
    }
    return q;
}

/* what stands behind the lexeme x, anything but the end; NULL: a fault */
JSON_INLINE const uint8_t *read_member(evs__json_reader *r,
                                       evs__json_scope *scope,
                                       const evs__json_lexeme *x,
                                       const uint8_t *p)
{
    switch (x->kind) {
#define JSON_CASE(kind)                                                                            \
    case kind:                                                                                     \
        return read_target(r, scope, x->field, kind, x->column, p)
        JSON_CASE(EVS_TYPE_BOOLEAN);
        JSON_CASE(EVS_TYPE_INT);
        JSON_CASE(EVS_TYPE_BIGINT);
        JSON_CASE(EVS_TYPE_DOUBLE);
        JSON_CASE(EVS_TYPE_DECIMAL);
        JSON_CASE(EVS_TYPE_VARCHAR);
        JSON_CASE(EVS_TYPE_BYTES);
        JSON_CASE(EVS_TYPE_TIMESTAMP);
        JSON_CASE(EVS_TYPE_DATE);
        JSON_CASE(EVS_TYPE_TIME);
        JSON_CASE(EVS_TYPE_ARRAY);
        JSON_CASE(EVS_TYPE_MAP);
        JSON_CASE(EVS_TYPE_STRUCT);
#undef JSON_CASE
    case EVS__JSON_SKIP_TEXT:
        if (EVS__LIKELY(*p == '"'))
            return skip_text(r, p);
        return skip_value(r, skip_space(p));
    case EVS__JSON_SKIP_NUMBER:
        if (EVS__LIKELY(*p <= '9' && *p > '"'))
            return skip_number(r, p);
        return skip_value(r, skip_space(p));
    case EVS__JSON_SKIP:
        return skip_value(r, skip_space(p));
    default:
        return read_targets(r, scope, x->field, skip_space(p));
    }
}

JSON_INLINE const uint8_t *
read_members(evs__json_reader *r, evs__json_node *node, evs__json_scope *scope, const uint8_t *p)
{
    evs__json_lexeme *at = &node->start;
    const uint8_t *const end = r->end;

    for (;;) {
        evs__json_lexeme *x = at->next[0];

        if (EVS__LIKELY(!differs(x, p, end))) {
            p += x->len;
        } else {
            const uint8_t *after = p;

            x = next_member(r, node, at, &after);
            if (!x)
                return NULL;
            p = after;
        }
        at = x;
        if (x->kind == EVS__JSON_END)
            return p;
        p = read_member(r, scope, x, p);
        if (EVS__UNLIKELY(!p)) {
            if (x->field)
                evs__json_trail_add(&r->trail, x->field->name, x->field->len);
            return NULL;
        }
    }
}

JSON_NOINLINE const uint8_t *
read_object(evs__json_reader *r, evs__json_node *node, evs__json_scope *scope, const uint8_t *p)
{
    return read_members(r, node, scope, p);
}

static JSON_TARGET const uint8_t *skip_any(evs__json_reader *r, const uint8_t *p)
{
    return skip_value(r, p);
}

/* ---- rows ---- */

/* one event that begins and ends as an object does, or anything else */
JSON_INLINE bool
read_row(evs__json_reader *r, evs__json_scope *scope, const uint8_t *data, size_t len)
{
    const uint8_t *p;

    if (EVS__UNLIKELY(len < JSON_STEP || *data != '{' || data[len - 1] != '}'))
        return evs__json_read_row(r, &JSON_WALK, scope, data, len);
    r->data = data;
    r->end = data + len;
    p = read_members(r, scope->owner, scope, data);
    if (EVS__UNLIKELY(!p))
        return false;
    if (EVS__UNLIKELY(p != r->end))
        return evs__json_trailing(r, p);
    return EVS__LIKELY(scope->filled == scope->owner->column_count) ||
           evs__json_fill_missing(r, scope);
}

static JSON_TARGET evs_status read_rows(evs__json_reader *r,
                                        evs__json_node *root,
                                        evs__decode_run *run,
                                        evs__column **columns)
{
    evs__json_scope scope = {root, columns, 0, 0};

    for (; run->at < run->count; run->at++) {
        const evs_input *in = &run->inputs[run->at];
        const uint8_t *data = in->value;

        if (EVS__UNLIKELY(!data || in->value_len < run->header_len ||
                          (run->header_len && memcmp(data, run->header, run->header_len))))
            return EVS_OK;
        scope.row = run->row;
        scope.filled = 0;
        if (EVS__UNLIKELY(
                !read_row(r, &scope, data + run->header_len, in->value_len - run->header_len)))
            return r->status;
        run->origin[run->row++] = (uint32_t)run->at;
    }
    return EVS_OK;
}

const evs__json_walk JSON_WALK = {JSON_WALK_NAME, JSON_STEP, read_object, skip_any, read_rows};
