/*
 * expr/decimal.c: arithmetic on decimals of up to 38 digits, exact, rounded half away from zero
 * where a result has more digits than it may keep.
 *
 * Precision p and scale s of results, as in ksqlDB, Spark and SQL Server:
 *
 *   a + b, a - b   s = max(s1, s2)                   p = max(p1 - s1, p2 - s2) + s + 1
 *   a * b          s = s1 + s2                       p = p1 + p2 + 1
 *   a / b          s = max(6, s1 + p2 + 1)           p = p1 - s1 + s2 + s
 *   a % b          s = max(s1, s2)                   p = min(p1 - s1, p2 - s2) + s
 *
 * Where p exceeds 38, digits after the point are given up first, but not below 6 of them: s =
 * max(38 - (p - s), min(s, 6)), p = 38. INT counts as DECIMAL(10,0), BIGINT as DECIMAL(19,0).
 *
 * Values fit 127 bits, products do not: they are made of four 64-bit limbs and divided by powers of
 * ten; quotients come digit by digit once the plain division of 128 bits is exhausted.
 */
#include "expr/term.h"

#define DIGITS_MAX 38

static evs__uint128 magnitude(evs__int128 v)
{
    return v < 0 ? 0 - (evs__uint128)v : (evs__uint128)v;
}

static bool signed_result(evs__uint128 v, bool negative, evs__int128 *ret)
{
    if (v >= (evs__uint128)evs__pow10_128(DIGITS_MAX))
        return false;
    *ret = negative ? -(evs__int128)v : (evs__int128)v;
    return true;
}

bool evs__decimal_fits(evs__int128 v, int32_t precision)
{
    return magnitude(v) < (evs__uint128)evs__pow10_128(precision);
}

/* m / 10^n, rounded; one division of 64 bits where that is enough */
static evs__uint128 scale_down(evs__uint128 m, int32_t n)
{
    evs__uint128 power, rest;

    if (n > DIGITS_MAX) /* a product's digits behind the point; less than one half */
        return 0;
    power = (evs__uint128)evs__pow10_128(n);
    if ((m | power) >> 64 == 0) {
        uint64_t low = (uint64_t)m, divisor = (uint64_t)power;
        return low / divisor + (low % divisor >= divisor - low % divisor);
    }
    rest = m % power;
    return m / power + (rest >= power - rest);
}

bool evs__decimal_rescale(evs__int128 v, int32_t from, int32_t to, evs__int128 *ret)
{
    evs__uint128 m = magnitude(v);
    evs__uint128 product;

    if (to == from)
        return signed_result(m, v < 0, ret);
    if (to < from)
        return signed_result(scale_down(m, from - to), v < 0, ret);
    if (__builtin_mul_overflow(m, (evs__uint128)evs__pow10_128(to - from), &product))
        return false;
    return signed_result(product, v < 0, ret);
}

/* 256 bits, least significant limb first */
typedef struct wide {
    uint64_t limb[4];
} wide;

static wide wide_multiply(evs__uint128 a, evs__uint128 b)
{
    uint64_t x[2] = {(uint64_t)a, (uint64_t)(a >> 64)};
    uint64_t y[2] = {(uint64_t)b, (uint64_t)(b >> 64)};
    wide w = {{0}};

    for (int i = 0; i < 2; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < 2; j++) {
            evs__uint128 t = (evs__uint128)x[i] * y[j] + w.limb[i + j] + carry;
            w.limb[i + j] = (uint64_t)t;
            carry = (uint64_t)(t >> 64);
        }
        w.limb[i + 2] = carry;
    }
    return w;
}

static void wide_divide(wide *w, uint64_t divisor)
{
    uint64_t rest = 0;

    for (int i = 3; i >= 0; i--) {
        evs__uint128 t = (evs__uint128)rest << 64 | w->limb[i];
        w->limb[i] = (uint64_t)(t / divisor);
        rest = (uint64_t)(t % divisor);
    }
}

/* w / 10^n, rounded; false: more than 128 bits are left */
static bool wide_scale_down(wide *w, int32_t n, evs__uint128 *ret)
{
    evs__uint128 v;

    /* the digits below the last one that goes cannot change how it rounds */
    for (; n > 19; n -= 18)
        wide_divide(w, 1000000000000000000u);
    if (n > 1)
        wide_divide(w, (uint64_t)evs__pow10_128(n - 1));
    if (w->limb[2] || w->limb[3])
        return false;
    v = (evs__uint128)w->limb[1] << 64 | w->limb[0];
    *ret = n > 0 ? v / 10 + (v % 10 >= 5) : v;
    return true;
}

/* x + y, or x - y of x >= y */
static wide wide_add(wide x, wide y, bool subtract)
{
    wide w;
    uint64_t carry = 0;

    for (int i = 0; i < 4; i++) {
        if (subtract) {
            evs__uint128 t = (evs__uint128)x.limb[i] - y.limb[i] - carry;
            w.limb[i] = (uint64_t)t;
            carry = (uint64_t)(t >> 64) & 1;
        } else {
            evs__uint128 t = (evs__uint128)x.limb[i] + y.limb[i] + carry;
            w.limb[i] = (uint64_t)t;
            carry = (uint64_t)(t >> 64);
        }
    }
    return w;
}

static bool wide_less(wide x, wide y)
{
    for (int i = 3; i > 0; i--) {
        if (x.limb[i] != y.limb[i])
            return x.limb[i] < y.limb[i];
    }
    return x.limb[0] < y.limb[0];
}

bool evs__decimal_add(
    evs__int128 a, int32_t sa, evs__int128 b, int32_t sb, int32_t scale, evs__int128 *ret)
{
    int32_t fine = sa > sb ? sa : sb;
    bool differ = (a < 0) != (b < 0), negative = a < 0;
    evs__int128 x, y;
    evs__uint128 v;
    wide p, q, sum;

    /* two values of 38 digits fit 128 bits with their sum */
    if (evs__decimal_rescale(a, sa, fine, &x) && evs__decimal_rescale(b, sb, fine, &y))
        return evs__decimal_rescale(x + y, fine, scale, ret);
    p = wide_multiply(magnitude(a), (evs__uint128)evs__pow10_128(fine - sa));
    q = wide_multiply(magnitude(b), (evs__uint128)evs__pow10_128(fine - sb));
    if (differ && wide_less(p, q)) {
        sum = wide_add(q, p, true);
        negative = !negative;
    } else {
        sum = wide_add(p, q, differ);
    }
    return scale <= fine && wide_scale_down(&sum, fine - scale, &v) &&
           signed_result(v, negative, ret);
}

bool evs__decimal_multiply(
    evs__int128 a, int32_t sa, evs__int128 b, int32_t sb, int32_t scale, evs__int128 *ret)
{
    int32_t drop = sa + sb - scale;
    bool negative = (a < 0) != (b < 0);
    evs__int128 product;
    evs__uint128 v;
    wide w;

    if (!__builtin_mul_overflow(a, b, &product))
        return evs__decimal_rescale(product, drop > 0 ? drop : 0, drop > 0 ? 0 : -drop, ret);
    w = wide_multiply(magnitude(a), magnitude(b));
    if (drop < 0 || !wide_scale_down(&w, drop, &v))
        return false;
    return signed_result(v, negative, ret);
}

/* rest * 10 / b, one digit; rest < b < 2^127, and rest * 10 might not fit */
static unsigned next_digit(evs__uint128 *rest, evs__uint128 b)
{
    static const bool add_first[] = {false, false, true, false}; /* 2, 4, 4 + 1 = 5, 10 */
    evs__uint128 r = *rest, t = *rest;
    unsigned digit = 0;

    for (int i = 0; i < 4; i++) {
        if (add_first[i]) {
            t += r;
        } else {
            t *= 2;
            digit *= 2;
        }
        if (t >= b) {
            t -= b;
            digit++;
        }
    }
    *rest = t;
    return digit;
}

bool evs__decimal_divide(
    evs__int128 a, int32_t sa, evs__int128 b, int32_t sb, int32_t scale, evs__int128 *ret)
{
    evs__uint128 x = magnitude(a), y = magnitude(b);
    int32_t digits = scale + sb - sa; /* to bring down; negative: to drop */
    evs__uint128 quotient, rest, limit = (evs__uint128)evs__pow10_128(DIGITS_MAX);

    if (b == 0)
        return false;
    if (digits < 0) { /* x / (y * 10^-digits): rounding twice would be wrong */
        evs__uint128 power = (evs__uint128)evs__pow10_128(-digits);
        if (power > limit / y) /* more than 38 digits: the quotient is below 1 */
            return signed_result(0, false, ret);
        y *= power;
        digits = 0;
    }
    for (int32_t k = digits < DIGITS_MAX ? digits : DIGITS_MAX; k > 0; k--) {
        evs__uint128 scaled;
        if (__builtin_mul_overflow(x, (evs__uint128)evs__pow10_128(k), &scaled))
            continue;
        x = scaled;
        digits -= k;
        break;
    }
    quotient = (x | y) >> 64 ? x / y : (uint64_t)x / (uint64_t)y;
    rest = x - quotient * y;
    for (; digits > 0; digits--) {
        if (quotient >= limit / 10)
            return false;
        quotient = quotient * 10 + next_digit(&rest, y);
    }
    if (rest >= y - rest)
        quotient++;
    return signed_result(quotient, (a < 0) != (b < 0), ret);
}

bool evs__decimal_modulo(
    evs__int128 a, int32_t sa, evs__int128 b, int32_t sb, int32_t scale, evs__int128 *ret)
{
    evs__uint128 rest, y = magnitude(b);
    evs__int128 scaled;

    if (sb < sa) {
        /* a divisor of more than 38 digits is larger than the dividend */
        if (!evs__decimal_rescale(b, sb, sa, &scaled))
            return evs__decimal_rescale(a, sa, scale, ret);
        y = magnitude(scaled);
        sb = sa;
    }
    rest = magnitude(a) % y;
    for (; sa < sb; sa++)
        (void)next_digit(&rest, y);
    return signed_result(rest, a < 0, &scaled) && evs__decimal_rescale(scaled, sb, scale, ret);
}

int evs__decimal_compare(evs__int128 a, int32_t sa, evs__int128 b, int32_t sb)
{
    evs__int128 scaled;

    if (sa == sb)
        return (a > b) - (a < b);
    if ((a < 0) != (b < 0))
        return a < 0 ? -1 : 1;
    if (sa > sb)
        return -evs__decimal_compare(b, sb, a, sa);
    /* with more than 127 bits it is the larger one by far */
    if (__builtin_mul_overflow(a, evs__pow10_128(sb - sa), &scaled))
        return a < 0 ? -1 : 1;
    return (scaled > b) - (scaled < b);
}

static void decimal_of(const evs_type *type, int32_t *precision, int32_t *scale)
{
    *precision = type->id == EVS_TYPE_DECIMAL ? type->precision
                 : type->id == EVS_TYPE_INT   ? 10
                                              : 19;
    *scale = type->id == EVS_TYPE_DECIMAL ? type->scale : 0;
}

void evs__decimal_type(
    evs__op op, const evs_type *a, const evs_type *b, int32_t *ret_precision, int32_t *ret_scale)
{
    int32_t p1, s1, p2, s2, p, s;

    decimal_of(a, &p1, &s1);
    decimal_of(b, &p2, &s2);
    s = s1 > s2 ? s1 : s2;
    switch (op) {
    case EVS__OP_MUL:
        s = s1 + s2;
        p = p1 + p2 + 1;
        break;
    case EVS__OP_DIV:
        s = s1 + p2 + 1 > 6 ? s1 + p2 + 1 : 6;
        p = p1 - s1 + s2 + s;
        break;
    case EVS__OP_MOD:
        p = (p1 - s1 < p2 - s2 ? p1 - s1 : p2 - s2) + s;
        break;
    default:
        p = (p1 - s1 > p2 - s2 ? p1 - s1 : p2 - s2) + s + (op == EVS__OP_ADD || op == EVS__OP_SUB);
        break;
    }
    if (p > DIGITS_MAX) {
        int32_t kept = DIGITS_MAX - (p - s), least = s < 6 ? s : 6;
        s = kept > least ? kept : least;
        p = DIGITS_MAX;
    }
    *ret_precision = p < 1 ? 1 : p;
    *ret_scale = s;
}
