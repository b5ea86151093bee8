/*
 * expr/eval_number.c: + - * / % and unary minus.
 *
 * A loop computes all rows and, in passing, whether any may have failed (overflow, a divisor 0);
 * only then a second loop finds the rows, tells them and makes them NULL. So the usual batch pays
 * for the check with two instructions a row. INT and BIGINT division cuts towards zero, and the
 * rest has the sign of the dividend. A divisor 0 is a row error for every type, DOUBLE too;
 * otherwise doubles are IEEE 754 (an overflow is infinite).
 *
 * Times count as their integers: TIMESTAMP - TIMESTAMP is BIGINT milliseconds, TIMESTAMP + BIGINT
 * a TIMESTAMP, DATE - DATE is INT days, DATE + INT a DATE.
 */
#include <math.h>

#include "expr/term.h"

typedef struct operands {
    evs__column *cols[2];
    size_t strides[2];
    evs__column *out;
} operands;

static evs_status eval_operands(evs__eval *ev, evs__term *n, const evs__rows *rows, operands *o)
{
    evs_status status = evs__eval_strict(ev, n, rows, o->cols, &o->out);
    for (uint32_t i = 0; i < n->arg_count && i < 2; i++)
        o->strides[i] = EVS__STRIDE(n->args[i]);
    return status;
}

static const char *op_name(evs__op op)
{
    static const char *const names[] = {[EVS__OP_ADD] = "+",
                                        [EVS__OP_SUB] = "-",
                                        [EVS__OP_MUL] = "*",
                                        [EVS__OP_DIV] = "/",
                                        [EVS__OP_MOD] = "%"};
    return names[op];
}

static size_t value_text(const evs__column *c, size_t row, char *out)
{
    switch (c->type->id) {
    case EVS_TYPE_INT:
    case EVS_TYPE_DATE:
    case EVS_TYPE_TIME:
        return evs__format_int(c->i32[row], out);
    case EVS_TYPE_DOUBLE:
        return evs__format_double(c->f64[row], out);
    case EVS_TYPE_DECIMAL:
        return evs__format_decimal(c->i128[row], c->type->scale, out);
    default:
        return evs__format_int(c->i64[row], out);
    }
}

static evs_status overflow_row(evs__eval *ev, const evs__term *n, const operands *o, uint32_t row)
{
    char a[EVS__DECIMAL_TEXT_MAX], b[EVS__DECIMAL_TEXT_MAX];
    size_t la = value_text(o->cols[0], row * o->strides[0], a);
    size_t lb;

    if (n->arg_count == 1)
        return evs__fail_row(ev, n, o->out, row, EVS_ERR_OVERFLOW, "-(%.*s) does not fit %s",
                             (int)la, a, evs__type_word(n->type->id));
    lb = value_text(o->cols[1], row * o->strides[1], b);
    return evs__fail_row(ev, n, o->out, row, EVS_ERR_OVERFLOW, "%.*s %s %.*s does not fit %.*s",
                         (int)la, a, op_name(n->op), (int)lb, b, evs__type_len(n->type),
                         evs_type_print(n->type));
}

static evs_status zero_row(evs__eval *ev, const evs__term *n, const operands *o, uint32_t row)
{
    return evs__fail_row(ev, n, o->out, row, EVS_ERR_EXPRESSION, "division by zero");
}

/* ---- integers ---- */

/* `unsafe` is negative when the row overflowed */
#define INT_LOOP(name, type, field, compute)                                                       \
    static inline __attribute__((always_inline)) bool name##_loop(                                 \
        const type *restrict a, size_t sa, const type *restrict b, size_t sb, type *restrict out,  \
        const evs__rows *rows)                                                                     \
    {                                                                                              \
        type unsafe = 0;                                                                           \
        EVS__FOR_ROWS(rows, i)                                                                     \
        {                                                                                          \
            type x = a[i * sa], y = b[i * sb];                                                     \
            type r;                                                                                \
            compute;                                                                               \
            out[i] = r;                                                                            \
        }                                                                                          \
        return unsafe < 0;                                                                         \
    }                                                                                              \
    static bool name(const operands *o, const evs__rows *rows)                                     \
    {                                                                                              \
        const type *a = o->cols[0]->field, *b = o->cols[1]->field;                                 \
        const evs__rows dense = {NULL, rows->count, rows->total};                                  \
        if (rows->sel)                                                                             \
            return name##_loop(a, o->strides[0], b, o->strides[1], o->out->field, rows);           \
        if (o->strides[0] && o->strides[1])                                                        \
            return name##_loop(a, 1, b, 1, o->out->field, &dense);                                 \
        if (o->strides[0])                                                                         \
            return name##_loop(a, 1, b, 0, o->out->field, &dense);                                 \
        return name##_loop(a, 0, b, o->strides[1], o->out->field, &dense);                         \
    }

#define WRAPPED_ADD(type, utype)                                                                   \
    r = (type)((utype)x + (utype)y);                                                               \
    unsafe |= (x ^ r) & (y ^ r)
#define WRAPPED_SUB(type, utype)                                                                   \
    r = (type)((utype)x - (utype)y);                                                               \
    unsafe |= (x ^ y) & (x ^ r)
#define WRAPPED_MUL(type, utype)                                                                   \
    if (__builtin_mul_overflow(x, y, &r))                                                          \
    unsafe = -1
/* NULL rows have divisor 0 and are no failure, which the second loop finds out; MIN / -1 */
#define CHECKED_DIV(type, min)                                                                     \
    r = 0;                                                                                         \
    if (y == 0 || (y == -1 && x == min))                                                           \
        unsafe = -1;                                                                               \
    else                                                                                           \
        r = x / y
#define CHECKED_MOD(type, min)                                                                     \
    r = 0;                                                                                         \
    if (y == 0)                                                                                    \
        unsafe = -1;                                                                               \
    else if (y != -1)                                                                              \
    r = x % y

INT_LOOP(i32_add, int32_t, i32, WRAPPED_ADD(int32_t, uint32_t))
INT_LOOP(i32_sub, int32_t, i32, WRAPPED_SUB(int32_t, uint32_t))
INT_LOOP(i32_mul, int32_t, i32, WRAPPED_MUL(int32_t, uint32_t))
INT_LOOP(i32_div, int32_t, i32, CHECKED_DIV(int32_t, INT32_MIN))
INT_LOOP(i32_mod, int32_t, i32, CHECKED_MOD(int32_t, INT32_MIN))
INT_LOOP(i64_add, int64_t, i64, WRAPPED_ADD(int64_t, uint64_t))
INT_LOOP(i64_sub, int64_t, i64, WRAPPED_SUB(int64_t, uint64_t))
INT_LOOP(i64_mul, int64_t, i64, WRAPPED_MUL(int64_t, uint64_t))
INT_LOOP(i64_div, int64_t, i64, CHECKED_DIV(int64_t, INT64_MIN))
INT_LOOP(i64_mod, int64_t, i64, CHECKED_MOD(int64_t, INT64_MIN))

/* the same in 128 bits, which cannot overflow; NULL rows are left alone */
static evs_status
find_failed_ints(evs__eval *ev, const evs__term *n, const operands *o, const evs__rows *rows)
{
    bool small = o->out->type->id == EVS_TYPE_INT || o->out->type->id == EVS_TYPE_DATE;
    bool divides = n->op == EVS__OP_DIV || n->op == EVS__OP_MOD;
    evs_status status = EVS_OK;

    EVS__FOR_ROWS(rows, i)
    {
        size_t p = i * o->strides[0], q = i * o->strides[1];
        evs__int128 x = small ? o->cols[0]->i32[p] : o->cols[0]->i64[p];
        evs__int128 y = small ? o->cols[1]->i32[q] : o->cols[1]->i64[q];
        evs__int128 r = 0;
        if (evs__column_is_null(o->out, i))
            continue;
        if (divides && y == 0)
            status = zero_row(ev, n, o, i);
        else if (n->op == EVS__OP_ADD)
            r = x + y;
        else if (n->op == EVS__OP_SUB)
            r = x - y;
        else if (n->op == EVS__OP_MUL)
            r = x * y;
        else if (n->op == EVS__OP_DIV)
            r = x / y;
        if (r < (small ? INT32_MIN : INT64_MIN) || r > (small ? INT32_MAX : INT64_MAX))
            status = overflow_row(ev, n, o, i);
        if (status)
            return status;
    }
    return EVS_OK;
}

static evs_status eval_i32(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    static bool (*const loops[])(const operands *, const evs__rows *) = {[EVS__OP_ADD] = i32_add,
                                                                         [EVS__OP_SUB] = i32_sub,
                                                                         [EVS__OP_MUL] = i32_mul,
                                                                         [EVS__OP_DIV] = i32_div,
                                                                         [EVS__OP_MOD] = i32_mod};
    operands o;
    evs_status status = eval_operands(ev, n, rows, &o);

    if (!status && loops[n->op](&o, rows))
        status = find_failed_ints(ev, n, &o, rows);
    if (status)
        return status;
    evs__zero_nulls(o.out);
    *ret = o.out;
    return EVS_OK;
}

static evs_status eval_i64(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    static bool (*const loops[])(const operands *, const evs__rows *) = {[EVS__OP_ADD] = i64_add,
                                                                         [EVS__OP_SUB] = i64_sub,
                                                                         [EVS__OP_MUL] = i64_mul,
                                                                         [EVS__OP_DIV] = i64_div,
                                                                         [EVS__OP_MOD] = i64_mod};
    operands o;
    evs_status status = eval_operands(ev, n, rows, &o);

    if (!status && loops[n->op](&o, rows))
        status = find_failed_ints(ev, n, &o, rows);
    if (status)
        return status;
    evs__zero_nulls(o.out);
    *ret = o.out;
    return EVS_OK;
}

/* ---- doubles ---- */

#define DOUBLE_LOOP(name, expression)                                                              \
    static void name(const operands *o, const evs__rows *rows)                                     \
    {                                                                                              \
        const double *a = o->cols[0]->f64, *b = o->cols[1]->f64;                                   \
        size_t sa = o->strides[0], sb = o->strides[1];                                             \
        double *restrict out = o->out->f64;                                                        \
        EVS__FOR_ROWS(rows, i)                                                                     \
        {                                                                                          \
            double x = a[i * sa], y = b[i * sb];                                                   \
            out[i] = (expression);                                                                 \
        }                                                                                          \
    }

DOUBLE_LOOP(f64_add, x + y)
DOUBLE_LOOP(f64_sub, x - y)
DOUBLE_LOOP(f64_mul, x *y)
DOUBLE_LOOP(f64_div, x / y)
DOUBLE_LOOP(f64_mod, fmod(x, y))

static evs_status
find_zero_divisors(evs__eval *ev, const evs__term *n, const operands *o, const evs__rows *rows)
{
    EVS__FOR_ROWS(rows, i)
    {
        if (o->cols[1]->f64[i * o->strides[1]] == 0 && !evs__column_is_null(o->out, i)) {
            evs_status status = zero_row(ev, n, o, i);
            if (status)
                return status;
        }
    }
    return EVS_OK;
}

static evs_status eval_f64(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    static void (*const loops[])(const operands *, const evs__rows *) = {[EVS__OP_ADD] = f64_add,
                                                                         [EVS__OP_SUB] = f64_sub,
                                                                         [EVS__OP_MUL] = f64_mul,
                                                                         [EVS__OP_DIV] = f64_div,
                                                                         [EVS__OP_MOD] = f64_mod};
    operands o;
    evs_status status = eval_operands(ev, n, rows, &o);

    if (status)
        return status;
    loops[n->op](&o, rows);
    if (n->op == EVS__OP_DIV || n->op == EVS__OP_MOD)
        status = find_zero_divisors(ev, n, &o, rows);
    if (status)
        return status;
    evs__zero_nulls(o.out);
    *ret = o.out;
    return EVS_OK;
}

/* ---- decimals: operands of any scale ---- */

static bool decimal_row(
    const evs__term *n, evs__int128 x, int32_t sx, evs__int128 y, int32_t sy, evs__int128 *ret)
{
    int32_t scale = n->type->scale;
    bool fits;

    switch (n->op) {
    case EVS__OP_MUL:
        fits = evs__decimal_multiply(x, sx, y, sy, scale, ret);
        break;
    case EVS__OP_DIV:
        fits = evs__decimal_divide(x, sx, y, sy, scale, ret);
        break;
    case EVS__OP_MOD:
        fits = evs__decimal_modulo(x, sx, y, sy, scale, ret);
        break;
    default:
        fits = evs__decimal_add(x, sx, n->op == EVS__OP_ADD ? y : -y, sy, scale, ret);
        break;
    }
    return fits && evs__decimal_fits(*ret, n->type->precision);
}

evs_status evs__eval_decimal(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    operands o;
    bool divides = n->op == EVS__OP_DIV || n->op == EVS__OP_MOD;
    evs_status status = eval_operands(ev, n, rows, &o);

    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    {
        evs__int128 x = o.cols[0]->i128[i * o.strides[0]], y = o.cols[1]->i128[i * o.strides[1]];
        if (evs__column_is_null(o.out, i)) {
            o.out->i128[i] = 0;
            continue;
        }
        if (divides && y == 0)
            status = zero_row(ev, n, &o, i);
        else if (!decimal_row(n, x, o.cols[0]->type->scale, y, o.cols[1]->type->scale,
                              &o.out->i128[i]))
            status = overflow_row(ev, n, &o, i);
        if (status)
            return status;
    }
    *ret = o.out;
    return EVS_OK;
}

/* ---- unary minus ---- */

evs_status evs__eval_negate(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    operands o;
    evs_status status = eval_operands(ev, n, rows, &o);
    evs__column *in = o.cols[0];

    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    {
        size_t p = i * o.strides[0];
        bool over = false;
        switch (n->type->id) {
        case EVS_TYPE_INT:
            over = __builtin_sub_overflow(0, in->i32[p], &o.out->i32[i]);
            break;
        case EVS_TYPE_BIGINT:
            over = __builtin_sub_overflow(0, in->i64[p], &o.out->i64[i]);
            break;
        case EVS_TYPE_DECIMAL:
            o.out->i128[i] = -in->i128[p];
            break;
        default:
            o.out->f64[i] = -in->f64[p];
            break;
        }
        if (over && (status = overflow_row(ev, n, &o, i)))
            return status;
    }
    evs__zero_nulls(o.out);
    *ret = o.out;
    return EVS_OK;
}

evs__term_fn evs__number_evaluator(evs__op op, evs_type_id id)
{
    (void)op;
    switch (id) {
    case EVS_TYPE_INT:
    case EVS_TYPE_DATE:
        return eval_i32;
    case EVS_TYPE_DOUBLE:
        return eval_f64;
    case EVS_TYPE_DECIMAL:
        return evs__eval_decimal;
    default:
        return eval_i64;
    }
}
