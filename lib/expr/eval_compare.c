/*
 * expr/eval_compare.c: = <> < <= > >= and IS [NOT] DISTINCT FROM, to bits.
 *
 * Both sides have one type (the compiler cast them), except for decimals, which are compared
 * exactly whatever their scales. Numbers of 4 and 8 bytes have three loops: EQ, LT, LE, over the
 * forms column-column, column-constant, constant-column; the other operators swap sides (a > b is
 * b < a) or turn the bits round (<>). Text against a constant looks at length and first byte before
 * it compares the rest.
 *
 * Doubles compare as IEEE 754 says: NaN is unequal to everything, also to itself. Text and bytes
 * are ordered by their bytes, which is the order of code points. Nested values know = and <> only.
 */
#include <string.h>

#include "expr/term.h"

typedef struct side {
    const evs__column *c;
    size_t stride;
} side;

/* eight results to a byte; a selection clears the bits first and sets what is true */
#define COMPARE_LOOP(name, type, field, operator)                                                  \
    static inline __attribute__((always_inline)) void name##_loop(                                 \
        const type *a, size_t sa, const type *b, size_t sb, uint8_t *bits, const evs__rows *rows)  \
    {                                                                                              \
        uint32_t i = 0;                                                                            \
        if (rows->sel) {                                                                           \
            memset(bits, 0, (rows->total + 7) / 8);                                                \
            for (uint32_t k = 0; k < rows->count; k++) {                                           \
                i = rows->sel[k];                                                                  \
                bits[i >> 3] |= (uint8_t)((a[i * sa] operator b[i * sb]) << (i & 7));              \
            }                                                                                      \
            return;                                                                                \
        }                                                                                          \
        for (; i + 8 <= rows->count; i += 8) {                                                     \
            unsigned byte = 0;                                                                     \
            for (unsigned j = 0; j < 8; j++)                                                       \
                byte |= (unsigned)(a[(i + j) * sa] operator b[(i + j) * sb]) << j;                 \
            bits[i >> 3] = (uint8_t)byte;                                                          \
        }                                                                                          \
        if (i < rows->count)                                                                       \
            bits[i >> 3] = 0;                                                                      \
        for (; i < rows->count; i++)                                                               \
            bits[i >> 3] |= (uint8_t)((a[i * sa] operator b[i * sb]) << (i & 7));                  \
    }                                                                                              \
    static void name(side a, side b, uint8_t *bits, const evs__rows *rows)                         \
    {                                                                                              \
        if (a.stride && b.stride)                                                                  \
            name##_loop(a.c->field, 1, b.c->field, 1, bits, rows);                                 \
        else if (a.stride)                                                                         \
            name##_loop(a.c->field, 1, b.c->field, 0, bits, rows);                                 \
        else                                                                                       \
            name##_loop(a.c->field, 0, b.c->field, b.stride, bits, rows);                          \
    }

COMPARE_LOOP(i32_eq, int32_t, i32, ==)
COMPARE_LOOP(i32_lt, int32_t, i32, <)
COMPARE_LOOP(i32_le, int32_t, i32, <=)
COMPARE_LOOP(i64_eq, int64_t, i64, ==)
COMPARE_LOOP(i64_lt, int64_t, i64, <)
COMPARE_LOOP(i64_le, int64_t, i64, <=)
COMPARE_LOOP(f64_eq, double, f64, ==)
COMPARE_LOOP(f64_lt, double, f64, <)
COMPARE_LOOP(f64_le, double, f64, <=)

static void compare_bools(evs__op op, side a, side b, uint8_t *bits, const evs__rows *rows)
{
    for (size_t i = 0; i < (rows->total + 7) / 8; i++) {
        uint8_t x = a.stride ? a.c->bits[i] : a.c->bits[0] & 1 ? 0xff : 0;
        uint8_t y = b.stride ? b.c->bits[i] : b.c->bits[0] & 1 ? 0xff : 0;
        if (op == EVS__OP_EQ)
            bits[i] = (uint8_t) ~(x ^ y);
        else
            bits[i] = op == EVS__OP_LT ? (uint8_t)~x & y : (uint8_t)~x | y;
    }
}

static bool text_equal(evs_string_view x, evs_string_view y)
{
    return x.len == y.len &&
           (x.len == 0 || (x.data[0] == y.data[0] && memcmp(x.data, y.data, x.len) == 0));
}

static int text_compare(evs_string_view x, evs_string_view y)
{
    size_t n = x.len < y.len ? x.len : y.len;
    int r = n ? memcmp(x.data, y.data, n) : 0;
    return r ? r : (x.len > y.len) - (x.len < y.len);
}

static inline void put_bit(uint8_t *bits, uint32_t i, bool v)
{
    bits[i >> 3] |= (uint8_t)(v << (i & 7));
}

/* = with a constant, the usual filter */
static void
text_equal_constant(const evs__column *c, evs_string_view y, uint8_t *bits, const evs__rows *rows)
{
    if (c->layout == EVS_LAYOUT_VIEW) {
        EVS__FOR_ROWS(rows, i)
        put_bit(bits, i, text_equal(c->views[i], y));
        return;
    }
    EVS__FOR_ROWS(rows, i)
    {
        int32_t at = c->offsets[i];
        put_bit(bits, i,
                text_equal((evs_string_view){c->bytes + at, (size_t)(c->offsets[i + 1] - at)}, y));
    }
}

static void compare_text(evs__op op, side a, side b, uint8_t *bits, const evs__rows *rows)
{
    memset(bits, 0, (rows->total + 7) / 8);
    if (op == EVS__OP_EQ && !b.stride) {
        text_equal_constant(a.c, evs__column_str(b.c, 0), bits, rows);
        return;
    }
    EVS__FOR_ROWS(rows, i)
    {
        evs_string_view x = evs__column_str(a.c, i * a.stride);
        evs_string_view y = evs__column_str(b.c, i * b.stride);
        put_bit(bits, i,
                op == EVS__OP_EQ   ? text_equal(x, y)
                : op == EVS__OP_LT ? text_compare(x, y) < 0
                                   : text_compare(x, y) <= 0);
    }
}

static void compare_decimals(evs__op op, side a, side b, uint8_t *bits, const evs__rows *rows)
{
    int32_t sa = a.c->type->scale, sb = b.c->type->scale;

    memset(bits, 0, (rows->total + 7) / 8);
    EVS__FOR_ROWS(rows, i)
    {
        int r = evs__decimal_compare(a.c->i128[i * a.stride], sa, b.c->i128[i * b.stride], sb);
        put_bit(bits, i, op == EVS__OP_EQ ? r == 0 : op == EVS__OP_LT ? r < 0 : r <= 0);
    }
}

static void compare_nested(side a, side b, uint8_t *bits, const evs__rows *rows)
{
    memset(bits, 0, (rows->total + 7) / 8);
    EVS__FOR_ROWS(rows, i)
    put_bit(bits, i,
            evs__column_equal_rows(a.c, i * (uint32_t)a.stride, b.c, i * (uint32_t)b.stride));
}

#define PICK(op, eq, lt, le) ((op) == EVS__OP_EQ ? eq : (op) == EVS__OP_LT ? lt : le)

/* op: EQ, LT or LE */
static void compare_values(evs__op op, side a, side b, uint8_t *bits, const evs__rows *rows)
{
    switch (a.c->type->id) {
    case EVS_TYPE_BOOLEAN:
        compare_bools(op, a, b, bits, rows);
        break;
    case EVS_TYPE_INT:
    case EVS_TYPE_DATE:
    case EVS_TYPE_TIME:
        PICK(op, i32_eq, i32_lt, i32_le)(a, b, bits, rows);
        break;
    case EVS_TYPE_BIGINT:
    case EVS_TYPE_TIMESTAMP:
        PICK(op, i64_eq, i64_lt, i64_le)(a, b, bits, rows);
        break;
    case EVS_TYPE_DOUBLE:
        PICK(op, f64_eq, f64_lt, f64_le)(a, b, bits, rows);
        break;
    case EVS_TYPE_DECIMAL:
        compare_decimals(op, a, b, bits, rows);
        break;
    case EVS_TYPE_VARCHAR:
    case EVS_TYPE_BYTES:
        compare_text(op, a, b, bits, rows);
        break;
    default:
        compare_nested(a, b, bits, rows);
        break;
    }
}

static uint8_t valid_byte(side s, size_t i)
{
    if (!s.c->validity)
        return 0xff;
    return s.stride ? s.c->validity[i] : s.c->validity[0] & 1 ? 0xff : 0;
}

/* NULL is a value here: equal to NULL, unlike all others; `out` has the bits of EQ */
static void distinct_bits(side a, side b, bool negated, evs__column *out, uint32_t total)
{
    for (size_t i = 0; i < (total + 7) / 8; i++) {
        uint8_t x = valid_byte(a, i), y = valid_byte(b, i);
        uint8_t same = (x & y & out->bits[i]) | (uint8_t) ~(x | y);
        out->bits[i] = negated ? same : (uint8_t)~same;
    }
}

evs_status evs__eval_compare(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *cols[2] = {NULL, NULL};
    side a, b;
    evs__op op = n->op;
    bool distinct = op == EVS__OP_DISTINCT || op == EVS__OP_NOT_DISTINCT;
    evs_status status = EVS_OK;

    if (!distinct) {
        status = evs__eval_strict(ev, n, rows, cols, ret);
    } else {
        for (int i = 0; i < 2 && !status; i++)
            status = evs__term_eval(ev, n->args[i], rows, &cols[i]);
        if (!status)
            status = evs__term_out(ev, n, rows, ret);
    }
    if (status)
        return status;
    a = (side){cols[0], EVS__STRIDE(n->args[0])};
    b = (side){cols[1], EVS__STRIDE(n->args[1])};
    switch (op) {
    case EVS__OP_LT:
    case EVS__OP_LE:
        compare_values(op, a, b, (*ret)->bits, rows);
        break;
    case EVS__OP_GT:
    case EVS__OP_GE:
        compare_values(op == EVS__OP_GT ? EVS__OP_LT : EVS__OP_LE, b, a, (*ret)->bits, rows);
        break;
    default: /* a constant stands right, where the loops are made for it */
        if (!a.stride)
            compare_values(EVS__OP_EQ, b, a, (*ret)->bits, rows);
        else
            compare_values(EVS__OP_EQ, a, b, (*ret)->bits, rows);
        break;
    }
    if (distinct) {
        distinct_bits(a, b, op == EVS__OP_NOT_DISTINCT, *ret, rows->total);
        return EVS_OK;
    }
    if (op == EVS__OP_NE) {
        for (size_t i = 0; i < (rows->total + 7) / 8; i++)
            (*ret)->bits[i] = (uint8_t) ~(*ret)->bits[i];
    }
    evs__zero_nulls(*ret);
    return EVS_OK;
}
