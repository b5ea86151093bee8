/*
 * codec/avro_wire.c: primitives of the Avro wire that are not on the hottest path, stepping over
 * values that nobody wants, and faults in words.
 *
 * Skipping walks the writer's schema, which may hold itself, so the depth of values is bounded; a
 * block that says how many bytes it takes is stepped over at once. Every length and count is held
 * against the bytes that are left before it is believed.
 */
#include <stdio.h>
#include "codec/avro.h"

#define MIN_SIZE_NODES 4096

const uint8_t *evs__avro_fault_at(evs__avro_failure *f, evs__avro_fault fault, int64_t value)
{
    f->fault = fault;
    f->value = value;
    return NULL;
}

const uint8_t *evs__avro_varint_slow(const uint8_t *p, const uint8_t *end, evs__avro_failure *f)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (p == end)
            return evs__avro_fault_at(f, EVS__FAULT_END, 0);
        v |= (uint64_t)(*p & 0x7f) << shift;
        if (*p++ < 0x80) {
            /* the tenth byte has room for one bit */
            if (shift == 63 && p[-1] > 1)
                break;
            f->number = v;
            return p;
        }
    }
    return evs__avro_fault_at(f, EVS__FAULT_VARINT, 0);
}

const uint8_t *evs__avro_block(const uint8_t *p,
                               const uint8_t *end,
                               uint32_t min_size,
                               uint64_t *ret_count,
                               int64_t *ret_bytes,
                               evs__avro_failure *f)
{
    int64_t count = 0;
    uint64_t n;

    *ret_bytes = -1;
    p = evs__avro_long(p, end, &count, f);
    if (!p)
        return NULL;
    n = count < 0 ? 0 - (uint64_t)count : (uint64_t)count;
    if (count < 0) {
        p = evs__avro_long(p, end, ret_bytes, f);
        if (!p)
            return NULL;
        if (*ret_bytes < 0 || *ret_bytes > end - p)
            return evs__avro_fault_at(f, EVS__FAULT_BLOCK, *ret_bytes);
    }
    if (min_size ? n > (uint64_t)(end - p) / min_size : n > EVS__AVRO_EMPTY_ITEMS_MAX)
        return evs__avro_fault_at(f, min_size ? EVS__FAULT_ITEMS : EVS__FAULT_EMPTY_ITEMS,
                                  n > INT64_MAX ? INT64_MAX : (int64_t)n);
    *ret_count = n;
    return p;
}

bool evs__avro_text_slow(const char *text, size_t len)
{
    uint64_t a, b;
    uint32_t c, d;

    /* the first piece that is not ASCII goes to the full check */
    if (len >= 16) {
#ifdef __SSE2__
        /* 16 at a time, the last 16 again */
        for (size_t i = 0;; i += 16) {
            size_t at = i + 16 <= len ? i : len - 16;
            if (_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(const void *)(text + at))))
                break;
            if (at + 16 == len)
                return true;
        }
#endif
    } else if (len >= 8) {
        memcpy(&a, text, 8);
        memcpy(&b, text + len - 8, 8);
        if (!((a | b) & EVS__BYTES_OF(0x80)))
            return true;
    } else if (len >= 4) {
        memcpy(&c, text, 4);
        memcpy(&d, text + len - 4, 4);
        if (!((c | d) & 0x80808080u))
            return true;
    } else if (!len || !((text[0] | text[len >> 1] | text[len - 1]) & 0x80)) {
        return true;
    }
    return evs__utf8_valid(text, len);
}

/* ---- sizes ---- */

static uint32_t min_size_of(const evs__avro_node *node, uint32_t depth, uint32_t *left)
{
    uint64_t sum = 0;

    if (!*left || depth > EVS__AVRO_DEPTH_MAX)
        return 0;
    --*left;
    switch (node->kind) {
    case EVS__AVRO_NULL:
        return 0;
    case EVS__AVRO_FLOAT:
        return 4;
    case EVS__AVRO_DOUBLE:
        return 8;
    case EVS__AVRO_FIXED:
        return (uint32_t)node->fixed_size;
    case EVS__AVRO_RECORD:
        for (size_t i = 0; i < node->child_count && sum < INT32_MAX; i++)
            sum += min_size_of(node->children[i], depth + 1, left);
        return sum < INT32_MAX ? (uint32_t)sum : INT32_MAX;
    default:
        return 1; /* an index, a length, a count: at least one byte */
    }
}

uint32_t evs__avro_min_size(const evs__avro_node *node)
{
    uint32_t left = MIN_SIZE_NODES;
    return min_size_of(node, 0, &left);
}

/* ---- skipping ---- */

typedef struct skipper {
    const uint8_t *end;
    evs__avro_failure *f;
    bool check;
    uint32_t depth;
} skipper;

static const uint8_t *skip(skipper *s, const evs__avro_node *node, const uint8_t *p);

/* on the way out of a failure: where it was */
static const uint8_t *add_step(evs__avro_failure *f, const char *name, int64_t index)
{
    if (f->trail_count < EVS__AVRO_TRAIL_MAX)
        f->trail[f->trail_count++] = (evs__avro_step){name, index};
    return NULL;
}

static const uint8_t *skip_integer(skipper *s, const evs__avro_node *node, const uint8_t *p)
{
    int64_t v = 0;

    p = evs__avro_long(p, s->end, &v, s->f);
    if (p && s->check && node->kind == EVS__AVRO_INT && v != (int32_t)v)
        return evs__avro_fault_at(s->f, EVS__FAULT_INT, v);
    if (p && s->check && node->kind == EVS__AVRO_ENUM &&
        (v < 0 || (uint64_t)v >= node->child_count))
        return evs__avro_fault_at(s->f, EVS__FAULT_ENUM, v);
    return p;
}

static const uint8_t *skip_text(skipper *s, const evs__avro_node *node, const uint8_t *p)
{
    size_t len = 0;

    s->f->what = evs__avro_kind_name(node->kind);
    p = evs__avro_length(p, s->end, &len, s->f);
    if (!p)
        return NULL;
    if (s->check && node->kind == EVS__AVRO_STRING && !evs__avro_text_valid(p, len, s->end))
        return evs__avro_fault_at(s->f, EVS__FAULT_UTF8,
                                  (int64_t)evs__utf8_valid_prefix((const char *)p, len));
    if (s->check && node->logical == EVS__LOGICAL_DECIMAL && !len)
        return evs__avro_fault_at(s->f, EVS__FAULT_DECIMAL_EMPTY, 0);
    s->f->what = NULL;
    return p + len;
}

static const uint8_t *skip_fixed(skipper *s, size_t size, const uint8_t *p)
{
    if ((size_t)(s->end - p) < size)
        return evs__avro_fault_at(s->f, EVS__FAULT_END, 0);
    return p + size;
}

static const uint8_t *skip_list(skipper *s, const evs__avro_node *node, const uint8_t *p)
{
    static const evs__avro_node key = {.kind = EVS__AVRO_STRING};
    bool map = node->kind == EVS__AVRO_MAP;
    uint32_t min_size = evs__avro_min_size(node->children[0]) + map;
    int64_t index = 0;

    for (;;) {
        uint64_t count = 0;
        int64_t bytes = -1;
        const uint8_t *begin;
        p = begin = evs__avro_block(p, s->end, min_size, &count, &bytes, s->f);
        if (!p || !count)
            return p;
        if (bytes >= 0 && !s->check) {
            p += bytes;
            continue;
        }
        for (uint64_t i = 0; i < count; i++, index++) {
            const uint8_t *next = map ? skip_text(s, &key, p) : p;
            if (next)
                next = skip(s, node->children[0], next);
            if (!next)
                return add_step(s->f, NULL, index);
            p = next;
        }
        if (bytes >= 0 && p - begin != bytes)
            return evs__avro_fault_at(s->f, EVS__FAULT_BLOCK_SIZE, bytes);
    }
}

static const uint8_t *skip_record(skipper *s, const evs__avro_node *node, const uint8_t *p)
{
    for (size_t i = 0; i < node->child_count; i++) {
        p = skip(s, node->children[i], p);
        if (!p)
            return add_step(s->f, node->names[i], 0);
    }
    return p;
}

static const uint8_t *skip_union(skipper *s, const evs__avro_node *node, const uint8_t *p)
{
    int64_t branch = 0;

    p = evs__avro_long(p, s->end, &branch, s->f);
    if (!p)
        return NULL;
    if (branch < 0 || (uint64_t)branch >= node->child_count)
        return evs__avro_fault_at(s->f, EVS__FAULT_BRANCH, branch);
    return skip(s, node->children[branch], p);
}

static const uint8_t *skip_kind(skipper *s, const evs__avro_node *node, const uint8_t *p)
{
    switch (node->kind) {
    case EVS__AVRO_NULL:
        return p;
    case EVS__AVRO_BOOLEAN:
        if (s->check && p<s->end && * p> 1)
            return evs__avro_fault_at(s->f, EVS__FAULT_BOOLEAN, *p);
        return skip_fixed(s, 1, p);
    case EVS__AVRO_INT:
    case EVS__AVRO_LONG:
    case EVS__AVRO_ENUM:
        return skip_integer(s, node, p);
    case EVS__AVRO_FLOAT:
        return skip_fixed(s, 4, p);
    case EVS__AVRO_DOUBLE:
        return skip_fixed(s, 8, p);
    case EVS__AVRO_BYTES:
    case EVS__AVRO_STRING:
        return skip_text(s, node, p);
    case EVS__AVRO_FIXED:
        return skip_fixed(s, (size_t)node->fixed_size, p);
    case EVS__AVRO_ARRAY:
    case EVS__AVRO_MAP:
        return skip_list(s, node, p);
    case EVS__AVRO_RECORD:
        return skip_record(s, node, p);
    case EVS__AVRO_UNION:
        return skip_union(s, node, p);
    }
    return evs__avro_fault_at(s->f, EVS__FAULT_END, 0);
}

static const uint8_t *skip(skipper *s, const evs__avro_node *node, const uint8_t *p)
{
    if (s->depth >= EVS__AVRO_VALUE_DEPTH_MAX)
        return evs__avro_fault_at(s->f, EVS__FAULT_DEPTH, EVS__AVRO_VALUE_DEPTH_MAX);
    s->depth++;
    p = skip_kind(s, node, p);
    s->depth--;
    return p;
}

const uint8_t *evs__avro_skip(const evs__avro_node *node,
                              const uint8_t *p,
                              const uint8_t *end,
                              bool check,
                              evs__avro_failure *f)
{
    skipper s = {.end = end, .f = f, .check = check};
    return skip(&s, node, p);
}

/* ---- words ---- */

/* what a fault is told as: `what` before the text where it is told, the value in its %lld */
static const struct {
    evs_status status;
    bool what;
    const char *format;
} fault_texts[] = {
    [EVS__FAULT_NONE] = {EVS_ERR_INTERNAL, false, "no fault"},
    [EVS__FAULT_END] = {EVS_ERR_DECODE, false, "the event ends inside of it"},
    [EVS__FAULT_VARINT] = {EVS_ERR_DECODE, false, "a number of more than 64 bits"},
    [EVS__FAULT_INT] = {EVS_ERR_DECODE, false, "%lld does not fit into an int"},
    [EVS__FAULT_BOOLEAN] = {EVS_ERR_DECODE, false, "byte %lld is no boolean"},
    [EVS__FAULT_NEGATIVE] = {EVS_ERR_DECODE, true, "length %lld is negative"},
    [EVS__FAULT_LENGTH] = {EVS_ERR_DECODE, true, "length %lld is past the end"},
    [EVS__FAULT_UTF8] = {EVS_ERR_DECODE, false, "invalid UTF-8 at byte %lld"},
    [EVS__FAULT_ENUM] = {EVS_ERR_DECODE, false, "the enum has no symbol %lld"},
    [EVS__FAULT_BRANCH] = {EVS_ERR_DECODE, false, "the union has no branch %lld"},
    [EVS__FAULT_ITEMS] = {EVS_ERR_DECODE, false, "%lld elements are past the end"},
    [EVS__FAULT_EMPTY_ITEMS] = {EVS_ERR_DECODE, false,
                                "%lld elements without bytes are more than 65536"},
    [EVS__FAULT_CELLS] = {EVS_ERR_DECODE, false,
                          "the elements of one event make more than 16777216 values"},
    [EVS__FAULT_BLOCK] = {EVS_ERR_DECODE, false, "a block of %lld bytes is past the end"},
    [EVS__FAULT_BLOCK_SIZE] = {EVS_ERR_DECODE, false,
                               "a block's elements do not take the %lld bytes that it says"},
    [EVS__FAULT_DECIMAL] = {EVS_ERR_OVERFLOW, false, "the decimal has more than %lld digits"},
    [EVS__FAULT_DECIMAL_EMPTY] = {EVS_ERR_DECODE, false, "a decimal of no bytes"},
    [EVS__FAULT_OVERFLOW] = {EVS_ERR_OVERFLOW, false, "%lld is out of the column's range"},
    [EVS__FAULT_NOT_NULL] = {EVS_ERR_SCHEMA, false, "null, but the column is NOT NULL"},
    [EVS__FAULT_DEPTH] = {EVS_ERR_DECODE, false, "values nest deeper than %lld levels"},
    [EVS__FAULT_TRAILING] = {EVS_ERR_DECODE, false, "%lld bytes follow the record"},
    [EVS__FAULT_NOMEM] = {EVS_ERR_NOMEM, false, "out of memory"},
};
_Static_assert(EVS__AVRO_EMPTY_ITEMS_MAX == 65536 && EVS__AVRO_CELLS_MAX == 16777216,
               "the texts above name them");

evs_status
evs__avro_fault_text(const evs__avro_failure *f, const char *what, char *out, size_t size)
{
    int n = 0;

    if (fault_texts[f->fault].what)
        n = snprintf(out, size, "%s ", f->what ? f->what : what);
    if (n >= 0 && (size_t)n < size)
        snprintf(out + n, size - (size_t)n, fault_texts[f->fault].format, (long long)f->value);
    return fault_texts[f->fault].status;
}
