/*
 * codec/json_value.c: JSON values off the fast path, and faults.
 *
 * The reader (json_walk.h) takes the usual form of each value by itself and comes here for the
 * rest: NULLs, text with escapes or other scripts, numbers with exponents or many digits, dates,
 * base64. Here every byte is looked at, one at a time except inside text.
 */
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/base64.h"
#include "base/hash.h"
#include "base/time.h"
#include "codec/json.h"

#define DAY_MS 86400000

/* ---- rows ---- */

bool evs__json_grow(evs__json_reader *r, evs__column *c)
{
    evs_status status =
        c->length == UINT32_MAX ? EVS_ERR_LIMIT : evs__column_reserve(c, c->length + 1);

    if (status)
        evs__json_no_room(r, status, r->data);
    return !status;
}

bool evs__json_fill_missing(evs__json_reader *r, evs__json_scope *scope)
{
    const evs__json_node *owner = scope->owner;

    for (uint32_t i = 0; i < owner->column_count; i++) {
        evs__column *c = scope->columns[i];
        evs_status status;

        if (c->length != scope->row)
            continue;
        if (!owner->type->children[i].type->nullable) {
            evs__json_fault(r, EVS_ERR_SCHEMA, "required, missing", NULL);
            evs__json_trail_add(&r->trail, owner->column_names[i], strlen(owner->column_names[i]));
            return false;
        }
        if (c->length == c->capacity && !evs__json_grow(r, c))
            return false;
        status = evs__column_append_null(c);
        if (status) {
            evs__json_no_room(r, status, r->data);
            return false;
        }
    }
    return true;
}

/* ---- text ---- */

/* the value of four hex digits, or -1 */
static int32_t hex4(const uint8_t *p)
{
    int32_t v = 0;

    for (int i = 0; i < 4; i++) {
        uint8_t c = p[i];
        int32_t digit = c >= '0' && c <= '9'                     ? c - '0'
                        : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                                 : -1;
        if (digit < 0)
            return -1;
        v = v * 16 + digit;
    }
    return v;
}

/* the escape at p ('\\'); returns the byte after it, or NULL */
static const uint8_t *check_escape(const uint8_t *p, const uint8_t *end)
{
    int32_t unit;

    if (end - p < 2)
        return NULL;
    if (p[1] != 'u')
        return p[1] && strchr("\"\\/bfnrt", p[1]) ? p + 2 : NULL;
    if (end - p < 6)
        return NULL;
    unit = hex4(p + 2);
    if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff))
        return NULL;
    if (unit < 0xd800 || unit > 0xdbff)
        return p + 6;
    if (end - p < 12 || p[6] != '\\' || p[7] != 'u')
        return NULL;
    unit = hex4(p + 8);
    return unit >= 0xdc00 && unit <= 0xdfff ? p + 12 : NULL;
}

/* the next quote, backslash or control byte; end when there is none */
static const uint8_t *text_stop(const uint8_t *p, const uint8_t *end)
{
#ifdef __SSE2__
    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
        __m128i stop = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                                    _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
        int mask = _mm_movemask_epi8(_mm_or_si128(stop, control));

        if (mask)
            return p + __builtin_ctz((unsigned)mask);
    }
#endif
    while (p < end && *p >= 0x20 && *p != '"' && *p != '\\')
        p++;
    return p;
}

const uint8_t *
evs__json_text_end(evs__json_reader *r, const uint8_t *s, const uint8_t *q, bool *ret_escaped)
{
    const uint8_t *end = r->end;
    const uint8_t *next;
    size_t valid;

    *ret_escaped = false;
    for (;;) {
        q = text_stop(q, end);
        if (q == end)
            return evs__json_fault(r, EVS_ERR_DECODE, "text does not end", s - 1);
        if (*q == '"')
            break;
        if (*q != '\\')
            return evs__json_fault(r, EVS_ERR_DECODE, "control character in text", q);
        next = check_escape(q, end);
        if (!next)
            return evs__json_fault(r, EVS_ERR_DECODE, "bad escape in text", q);
        *ret_escaped = true;
        q = next;
    }
    valid = evs__utf8_valid_prefix((const char *)s, (size_t)(q - s));
    if (valid != (size_t)(q - s))
        return evs__json_fault(r, EVS_ERR_DECODE, "invalid UTF-8", s + valid);
    return q;
}

static size_t put_utf8(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

size_t evs__json_unescape(const uint8_t *s, const uint8_t *e, char *out)
{
    char *to = out;

    while (s < e) {
        const uint8_t *stop = memchr(s, '\\', (size_t)(e - s));
        size_t n = (size_t)((stop ? stop : e) - s);
        uint32_t c;

        memcpy(to, s, n);
        to += n;
        s += n;
        if (!stop)
            break;
        if (s[1] != 'u') {
            static const char from[] = "\"\\/bfnrt", plain[] = "\"\\/\b\f\n\r\t";

            *to++ = plain[strchr(from, s[1]) - from];
            s += 2;
            continue;
        }
        c = (uint32_t)hex4(s + 2);
        s += 6;
        if (c >= 0xd800 && c <= 0xdbff) {
            c = 0x10000 + ((c - 0xd800) << 10) + ((uint32_t)hex4(s + 2) - 0xdc00);
            s += 6;
        }
        to += put_utf8(c, to);
    }
    return (size_t)(to - out);
}

/* text [s, e) without escapes: as it stands, or in the batch's scratch; NULL: no memory */
static const char *
plain_text(evs__json_reader *r, const uint8_t *s, const uint8_t *e, bool escaped, size_t *ret_len)
{
    char *copy;

    *ret_len = (size_t)(e - s);
    if (!escaped)
        return (const char *)s;
    copy = evs__scratch_alloc(r->scratch, *ret_len);
    if (!copy) {
        evs__json_no_room(r, EVS_ERR_NOMEM, s);
        return NULL;
    }
    *ret_len = evs__json_unescape(s, e, copy);
    evs__scratch_shrink(r->scratch, copy, *ret_len);
    return copy;
}

const uint8_t *evs__json_varchar(evs__json_reader *r,
                                 const evs__json_value *v,
                                 evs__column *c,
                                 const uint8_t *p,
                                 const uint8_t *q)
{
    bool escaped = false;
    const char *text;
    size_t len;
    evs_status status;

    (void)v;
    if (*q != '"' && !(q = evs__json_text_end(r, p + 1, q, &escaped)))
        return NULL;
    text = plain_text(r, p + 1, q, escaped, &len);
    if (!text)
        return NULL;
    status = evs__column_append_str(c, text, len);
    return status ? evs__json_no_room(r, status, p) : q + 1;
}

/* ---- numbers and literals ---- */

static const uint8_t *skip_digits(const uint8_t *p, const uint8_t *end)
{
    while (p < end && (uint8_t)(*p - '0') < 10)
        p++;
    return p;
}

const uint8_t *evs__json_number_end(evs__json_reader *r, const uint8_t *p, bool *ret_integer)
{
    const uint8_t *end = r->end;
    const uint8_t *first = p + (*p == '-');
    const uint8_t *d = skip_digits(first, end);

    *ret_integer = true;
    if (d == first)
        return evs__json_fault(r, EVS_ERR_DECODE, "expected a value", p);
    if (*first == '0' && d - first > 1)
        return evs__json_fault(r, EVS_ERR_DECODE, "number with a leading zero", p);
    if (d < end && *d == '.') {
        *ret_integer = false;
        first = d + 1;
        d = skip_digits(first, end);
        if (d == first)
            return evs__json_fault(r, EVS_ERR_DECODE, "number without digits after the point", p);
    }
    if (d < end && (*d | 0x20) == 'e') {
        *ret_integer = false;
        first = d + 1;
        if (first < end && (*first == '+' || *first == '-'))
            first++;
        d = skip_digits(first, end);
        if (d == first)
            return evs__json_fault(r, EVS_ERR_DECODE, "number without exponent digits", p);
    }
    return d;
}

const uint8_t *evs__json_literal(evs__json_reader *r, const uint8_t *p)
{
    size_t left = (size_t)(r->end - p);

    if (left >= 4 && (!memcmp(p, "true", 4) || !memcmp(p, "null", 4)))
        return p + 4;
    if (left >= 5 && !memcmp(p, "false", 5))
        return p + 5;
    return evs__json_fault(r, EVS_ERR_DECODE, "expected a value", p);
}

/* is there a value at all: what is no JSON must not be told as a wrong type */
static bool looks_like_value(evs__json_reader *r, const uint8_t *p)
{
    bool integer;

    if (*p == '"' || *p == '{' || *p == '[')
        return true;
    if (*p <= '9')
        return evs__json_number_end(r, p, &integer) != NULL;
    return evs__json_literal(r, p) != NULL;
}

const uint8_t *
evs__json_odd(evs__json_reader *r, const evs__json_value *v, evs__column *c, const uint8_t *p)
{
    evs_status status;

    if (!looks_like_value(r, p))
        return NULL;
    if (*p != 'n')
        return evs__json_wrong_type(r, v, p);
    if (!c) /* on the way of a path: the columns behind it are missing */
        return p + 4;
    if (!v->nullable)
        return evs__json_fault(r, EVS_ERR_SCHEMA, "required, is null", p);
    status = evs__column_append_null(c);
    return status ? evs__json_no_room(r, status, p) : p + 4;
}

static void append_int(evs__column *c, uint8_t kind, int64_t value)
{
    if (kind == EVS_TYPE_BIGINT || kind == EVS_TYPE_TIMESTAMP)
        evs__column_append_i64(c, value);
    else
        evs__column_append_i32(c, (int32_t)value);
}

/* INT, BIGINT, and the other types when they stand as a number */
const uint8_t *
evs__json_int(evs__json_reader *r, const evs__json_value *v, evs__column *c, const uint8_t *p)
{
    int64_t low = v->kind == EVS_TYPE_TIME ? 0 : INT32_MIN;
    int64_t high = v->kind == EVS_TYPE_TIME ? DAY_MS - 1 : INT32_MAX;
    const uint8_t *q;
    bool integer;
    int64_t value = 0;

    if ((*p != '-' && (uint8_t)(*p - '0') >= 10) || v->kind == EVS_TYPE_BYTES)
        return evs__json_odd(r, v, c, p);
    q = evs__json_number_end(r, p, &integer);
    if (!q)
        return NULL;
    if (!integer)
        return evs__json_wrong_type(r, v, p);
    if (v->kind == EVS_TYPE_BIGINT || v->kind == EVS_TYPE_TIMESTAMP) {
        low = INT64_MIN;
        high = INT64_MAX;
    }
    if (evs__parse_int((const char *)p, (size_t)(q - p), &value) || value < low || value > high)
        return evs__json_fault(r, EVS_ERR_OVERFLOW, "number does not fit the type", p);
    append_int(c, v->kind, value);
    return q;
}

/* eight digits at p, most significant first; false: not all of them are digits */
static bool take_eight(const uint8_t *p, uint64_t *ret)
{
    uint64_t x = evs__load64(p) ^ 0x3030303030303030u;

    if ((x | (x + 0x0606060606060606u)) & 0xf0f0f0f0f0f0f0f0u)
        return false;
    x = (x * 0x0a01 >> 8) & 0x00ff00ff00ff00ffu;
    x = (x * 0x640001 >> 16) & 0x0000ffff0000ffffu;
    *ret = x * 0x271000000001u >> 32;
    return true;
}

/* digits into *mantissa, which keeps up with 19 of them */
static const uint8_t *take_digits(const uint8_t *p, const uint8_t *end, uint64_t *mantissa)
{
    uint64_t v = *mantissa, eight;

    while (end - p >= 8 && take_eight(p, &eight)) {
        v = v * 100000000 + eight;
        p += 8;
    }
    for (; p < end && (uint8_t)(*p - '0') < 10; p++)
        v = v * 10 + (uint64_t)(*p - '0');
    *mantissa = v;
    return p;
}

/*
 * A number of at most 19 digits with a point and without exponent, as doubles are usually printed:
 * one pass over it. NULL: anything else.
 */
static const uint8_t *long_double(const uint8_t *p, const uint8_t *end, double *ret)
{
    bool negative = *p == '-';
    const uint8_t *whole = p + negative;
    uint64_t mantissa = 0;
    const uint8_t *point = take_digits(whole, end, &mantissa);
    const uint8_t *q;
    double v;

    if (point == whole || (*whole == '0' && point - whole > 1) || end - point < 2 || *point != '.')
        return NULL;
    q = take_digits(point + 1, end, &mantissa);
    if (q == point + 1 || q - whole > 20 || (q < end && (*q | 0x20) == 'e'))
        return NULL;
    v = evs__double_of_decimal(mantissa, -(int64_t)(q - point - 1));
    *ret = negative ? -v : v;
    return q;
}

const uint8_t *
evs__json_double(evs__json_reader *r, const evs__json_value *v, evs__column *c, const uint8_t *p)
{
    const uint8_t *q;
    bool integer;
    double value;

    if (*p != '-' && (uint8_t)(*p - '0') >= 10)
        return evs__json_odd(r, v, c, p);
    q = long_double(p, r->end, &value);
    if (q) {
        evs__column_append_f64(c, value);
        return q;
    }
    q = evs__json_number_end(r, p, &integer);
    if (!q)
        return NULL;
    if (evs__parse_double((const char *)p, (size_t)(q - p), &value))
        return evs__json_fault(r, EVS_ERR_OVERFLOW, "number does not fit the type", p);
    evs__column_append_f64(c, value);
    return q;
}

static const uint8_t *decimal_text(evs__json_reader *r,
                                   const evs__json_value *v,
                                   evs__column *c,
                                   const char *text,
                                   size_t len,
                                   const uint8_t *at,
                                   const uint8_t *after)
{
    evs__int128 value;
    evs_status status = evs__parse_decimal(text, len, v->type->precision, v->type->scale, &value);

    if (status == EVS_ERR_OVERFLOW)
        return evs__json_fault(r, EVS_ERR_OVERFLOW, "too many digits for the type", at);
    if (status)
        return evs__json_fault(r, EVS_ERR_SCHEMA, "text is no decimal number", at);
    evs__column_append_i128(c, value);
    return after;
}

const uint8_t *
evs__json_decimal(evs__json_reader *r, const evs__json_value *v, evs__column *c, const uint8_t *p)
{
    const uint8_t *q;
    bool integer;

    if (*p != '-' && (uint8_t)(*p - '0') >= 10)
        return evs__json_odd(r, v, c, p);
    q = evs__json_number_end(r, p, &integer);
    if (!q)
        return NULL;
    return decimal_text(r, v, c, (const char *)p, (size_t)(q - p), p, q);
}

/* ---- types that stand as text ---- */

static const uint8_t *bytes_text(evs__json_reader *r,
                                 evs__column *c,
                                 const char *text,
                                 size_t len,
                                 const uint8_t *at,
                                 const uint8_t *after)
{
    char *bytes = evs__scratch_alloc(r->scratch, evs__base64_room(len));
    size_t n = 0;
    evs_status status;

    if (!bytes)
        return evs__json_no_room(r, EVS_ERR_NOMEM, at);
    if (!evs__base64_decode(text, len, bytes, &n)) {
        evs__scratch_shrink(r->scratch, bytes, 0);
        return evs__json_fault(r, EVS_ERR_SCHEMA, "text is not base64", at);
    }
    evs__scratch_shrink(r->scratch, bytes, n);
    status = evs__column_append_str(c, bytes, n);
    return status ? evs__json_no_room(r, status, at) : after;
}

const uint8_t *evs__json_typed_text(evs__json_reader *r,
                                    const evs__json_value *v,
                                    evs__column *c,
                                    const uint8_t *p,
                                    const uint8_t *q)
{
    bool escaped = false;
    const char *text;
    size_t len;
    int64_t ms = 0;
    int32_t i32 = 0;

    if (*q != '"' && !(q = evs__json_text_end(r, p + 1, q, &escaped)))
        return NULL;
    text = plain_text(r, p + 1, q, escaped, &len);
    if (!text)
        return NULL;
    switch (v->kind) {
    case EVS_TYPE_DECIMAL:
        return decimal_text(r, v, c, text, len, p, q + 1);
    case EVS_TYPE_BYTES:
        return bytes_text(r, c, text, len, p, q + 1);
    case EVS_TYPE_TIMESTAMP:
        if (evs__time_parse(text, len, &ms))
            return evs__json_fault(r, EVS_ERR_SCHEMA, "text is no RFC 3339 time", p);
        evs__column_append_i64(c, ms);
        return q + 1;
    case EVS_TYPE_DATE:
        if (evs__date_parse(text, len, &i32))
            return evs__json_fault(r, EVS_ERR_SCHEMA, "text is no date (YYYY-MM-DD)", p);
        break;
    default:
        if (evs__clock_parse(text, len, &i32))
            return evs__json_fault(r, EVS_ERR_SCHEMA, "text is no time of day (HH:MM:SS)", p);
        break;
    }
    evs__column_append_i32(c, i32);
    return q + 1;
}

/* ---- maps ---- */

/* keys by hash, for maps too large to compare each key with each other */
static evs_status find_twice(evs_context *ctx, const evs__column *keys, uint32_t from, bool *ret)
{
    uint32_t count = keys->length - from;
    uint32_t mask = 1;
    uint32_t *table;

    while (mask < 2 * (uint64_t)count)
        mask = mask << 1 | 1;
    table = evs__calloc(ctx, (size_t)mask + 1, sizeof(*table));
    if (!table)
        return EVS_ERR_NOMEM;
    *ret = false;
    for (uint32_t i = from; i < keys->length && !*ret; i++) {
        evs_string_view key = evs__column_str(keys, i);
        uint32_t at = (uint32_t)evs__hash_bytes(key.data, key.len, (uintptr_t)table);

        for (; table[at & mask] && !*ret; at++) {
            evs_string_view other = evs__column_str(keys, from + table[at & mask] - 1);
            *ret = other.len == key.len && !memcmp(other.data, key.data, key.len);
        }
        table[at & mask] = i - from + 1;
    }
    evs__free(ctx, table);
    return EVS_OK;
}

bool evs__json_map_unique(evs__json_reader *r, const evs__column *entries, uint32_t from)
{
    const evs__column *keys = entries->children[0];
    bool twice = false;
    evs_status status = EVS_OK;

    if (keys->length - from > 16)
        status = find_twice(r->ctx, keys, from, &twice);
    for (uint32_t i = from + 1; i < keys->length && keys->length - from <= 16 && !twice; i++) {
        evs_string_view a = evs__column_str(keys, i);

        for (uint32_t k = from; k < i && !twice; k++) {
            evs_string_view b = evs__column_str(keys, k);
            twice = a.len == b.len && !memcmp(a.data, b.data, a.len);
        }
    }
    if (status)
        evs__json_no_room(r, status, NULL);
    else if (twice)
        evs__json_fault(r, EVS_ERR_SCHEMA, "a key occurs twice", NULL);
    return !status && !twice;
}
