/*
 * base/number.c: text to numbers and back, the same in every locale.
 *
 * Text to double, correctly rounded, in three steps, each taken only when the one before cannot
 * decide:
 *   1. a mantissa below 2^53 and a power of ten up to 10^22 are both exact doubles: one
 *      multiplication or division rounds once (Clinger 1990);
 *   2. 64 bits of mantissa times the 128 leading bits of the power of ten (Lemire 2021; Mushtak and
 *      Lemire 2023 prove that this is always right when the mantissa holds all digits);
 *   3. more than 19 digits, and the first 19 and their successor round differently: compare all
 *      digits with the half-way point in big integers. At most DIGITS_MAX digits are kept, the rest
 *      is one sticky digit, which no double's half-way point can tell apart.
 *
 * Double to text is the shortest that reads back as the same double, and of those the closest
 * (Giulietti 2021, "The Schubfach way to render doubles"), with the same table of powers; what
 * stands for a few decimal places is found by trying.
 *
 * Cost: 10-40 ns for usual numbers either way; step 3 some microseconds, without allocation.
 */
#include <math.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/number.h"
#include "base/pow10_table.h"

#define DIGITS_MAX 768 /* significant digits that can matter: no half-way point has more */
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1075 /* value = mantissa * 2^(biased - EXPONENT_BIAS) */
#define EXPONENT_INF 0x7ff
#define HIDDEN_BIT ((uint64_t)1 << MANTISSA_BITS)

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

static double double_of_bits(uint64_t bits)
{
    double d;
    memcpy(&d, &bits, sizeof(d));
    return d;
}

static uint64_t bits_of_double(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof(bits));
    return bits;
}

/* ---- integers ---- */

evs_status evs__parse_int(const char *text, size_t len, int64_t *ret)
{
    size_t i = 0;
    bool negative = len && text[0] == '-';
    uint64_t limit = negative ? (uint64_t)1 << 63 : INT64_MAX;
    uint64_t v = 0;
    bool over = false;

    i += negative;
    if (i == len)
        return EVS_ERR_DECODE;
    for (; i < len; i++) {
        uint64_t digit = (unsigned char)(text[i] - '0');
        if (digit > 9)
            return EVS_ERR_DECODE;
        if (v > (limit - digit) / 10)
            over = true;
        else
            v = v * 10 + digit;
    }
    if (over)
        return EVS_ERR_OVERFLOW;
    *ret = (int64_t)(negative ? 0 - v : v);
    return EVS_OK;
}

static const char digit_pairs[] =
    "00010203040506070809101112131415161718192021222324252627282930313233"
    "34353637383940414243444546474849505152535455565758596061626364656667"
    "6869707172737475767778798081828384858687888990919293949596979899";

static char *put_pair(char *p, uint64_t v)
{
    memcpy(p, digit_pairs + 2 * v, 2);
    return p + 2;
}

static size_t digit_count(uint64_t v)
{
    static const uint64_t power[] = {0,
                                     10,
                                     100,
                                     1000,
                                     10000,
                                     100000,
                                     1000000,
                                     10000000,
                                     100000000,
                                     1000000000,
                                     10000000000,
                                     100000000000,
                                     1000000000000,
                                     10000000000000,
                                     100000000000000,
                                     1000000000000000,
                                     10000000000000000,
                                     100000000000000000,
                                     1000000000000000000,
                                     10000000000000000000u};
    /* 1233 / 4096 is log10(2), near enough for 64 bits */
    size_t n = (size_t)(64 - __builtin_clzll(v | 1)) * 1233 >> 12;
    return n + (v >= power[n]);
}

static size_t format_u64(uint64_t v, char *out)
{
    size_t n = digit_count(v | 1);
    char *p = out + n;

    for (; v >= 100; v /= 100)
        put_pair(p -= 2, v % 100);
    if (v >= 10)
        put_pair(p - 2, v);
    else
        p[-1] = (char)('0' + v);
    return n;
}

size_t evs__format_int(int64_t value, char *out)
{
    size_t n = 0;
    uint64_t v = (uint64_t)value;
    if (value < 0) {
        out[n++] = '-';
        v = 0 - v;
    }
    return n + format_u64(v, out + n);
}

/* ---- text to double ---- */

/* a JSON number taken apart: value = digits * 10^exponent */
struct decimal_text {
    const char *digits; /* first significant digit; a point may be among them */
    const char *end;    /* behind the last digit */
    uint64_t mantissa;  /* the first 19 significant digits */
    int64_t exponent;   /* of mantissa */
    int32_t count;      /* significant digits, saturated */
    bool negative;
};

static const char *scan_digits(const char *p, const char *end, struct decimal_text *d)
{
    for (; p < end && is_digit(*p); p++) {
        if (d->count == 0 && *p == '0')
            continue;
        if (d->count == 0)
            d->digits = p;
        if (d->count < 19)
            d->mantissa = d->mantissa * 10 + (uint64_t)(*p - '0');
        if (d->count < INT32_MAX)
            d->count++;
    }
    return p;
}

static const char *scan_exponent(const char *p, const char *end, int64_t *ret)
{
    bool negative = false;
    int64_t v = 0;

    if (p < end && (*p == '+' || *p == '-'))
        negative = *p++ == '-';
    if (p == end || !is_digit(*p))
        return NULL;
    for (; p < end && is_digit(*p); p++) {
        if (v < 100000000)
            v = v * 10 + (*p - '0');
    }
    *ret = negative ? -v : v;
    return p;
}

/* JSON's grammar; `lead_zeros`: also "007" and ".5" and "5.", as SQL casts take them */
static bool scan_number(const char *text, size_t len, bool lead_zeros, struct decimal_text *d)
{
    const char *p = text;
    const char *end = text + len;
    const char *start;
    const char *point = NULL;
    int64_t exponent = 0;

    memset(d, 0, sizeof(*d));
    if (p < end && *p == '-') {
        d->negative = true;
        p++;
    }
    start = p;
    p = scan_digits(p, end, d);
    if (!lead_zeros && (p == start || (*start == '0' && p - start > 1)))
        return false;
    if (p < end && *p == '.') {
        point = ++p;
        p = scan_digits(p, end, d);
        if (p == point && (!lead_zeros || point - 1 == start))
            return false;
    } else if (p == start) {
        return false;
    }
    d->end = p;
    if (p < end && (*p == 'e' || *p == 'E') && !(p = scan_exponent(p + 1, end, &exponent)))
        return false;
    if (point)
        exponent -= d->end - point;
    d->exponent = exponent + (d->count > 19 ? d->count - 19 : 0);
    return p == end;
}

/* the 128-bit product of w and the leading bits of 10^q, as far as needed for 55 exact bits */
static void multiply_pow10(int64_t q, uint64_t w, uint64_t *ret_high, uint64_t *ret_low)
{
    const uint64_t *power = pow10_table[q - POW10_FIRST];
    evs__uint128 first = (evs__uint128)w * power[0];
    uint64_t high = (uint64_t)(first >> 64);
    uint64_t low = (uint64_t)first;

    if ((high & 0x1ff) == 0x1ff) {
        uint64_t second = (uint64_t)(((evs__uint128)w * power[1]) >> 64);
        low += second;
        if (second > low)
            high++;
    }
    *ret_high = high;
    *ret_low = low;
}

/* bits of the double nearest to w * 10^q; infinity when too large */
static uint64_t bits_of_decimal(uint64_t w, int64_t q)
{
    uint64_t high, low, m;
    int32_t lz, upper, shift, power2;

    if (w == 0 || q < POW10_FIRST)
        return 0;
    if (q > 308)
        return (uint64_t)EXPONENT_INF << MANTISSA_BITS;
    lz = __builtin_clzll(w);
    w <<= lz;
    multiply_pow10(q, w, &high, &low);
    upper = (int32_t)(high >> 63);
    shift = upper + 64 - MANTISSA_BITS - 3;
    m = high >> shift;
    /* floor(log2(10^q)) = q * 217706 >> 16 in this range */
    power2 = (int32_t)((217706 * q) >> 16) + 63 + upper - lz + 1023;
    if (power2 <= 0) {
        if (1 - power2 >= 64)
            return 0;
        m >>= 1 - power2;
        m += m & 1;
        return m >> 1; /* a carry into the hidden bit makes the smallest normal number */
    }
    /* exactly half-way (only possible for small powers): to even */
    if (low <= 1 && q >= -4 && q <= 23 && (m & 3) == 1 && (m << shift) == high)
        m &= ~(uint64_t)1;
    m += m & 1;
    m >>= 1;
    if (m >= HIDDEN_BIT << 1) {
        m = HIDDEN_BIT;
        power2++;
    }
    if (power2 >= EXPONENT_INF)
        return (uint64_t)EXPONENT_INF << MANTISSA_BITS;
    return ((uint64_t)power2 << MANTISSA_BITS) | (m & (HIDDEN_BIT - 1));
}

/* Big integers of step 3: 5120 bits; the largest value is 769 digits or 5^1112 * 2^54 * 2^40. */
#define LIMBS 80
struct big {
    uint64_t limb[LIMBS]; /* least significant first */
    int32_t count;
};

static void big_mul_add(struct big *b, uint64_t factor, uint64_t add)
{
    evs__uint128 carry = add;
    for (int32_t i = 0; i < b->count; i++) {
        carry += (evs__uint128)b->limb[i] * factor;
        b->limb[i] = (uint64_t)carry;
        carry >>= 64;
    }
    if (carry && b->count < LIMBS)
        b->limb[b->count++] = (uint64_t)carry;
}

static void big_mul_pow5(struct big *b, int64_t n)
{
    for (; n >= 27; n -= 27)
        big_mul_add(b, 7450580596923828125u, 0); /* 5^27 */
    for (; n > 0; n--)
        big_mul_add(b, 5, 0);
}

static void big_shift(struct big *b, int64_t n)
{
    for (; n >= 32; n -= 32)
        big_mul_add(b, (uint64_t)1 << 32, 0);
    big_mul_add(b, (uint64_t)1 << n, 0);
}

static int big_compare(const struct big *a, const struct big *b)
{
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    for (int32_t i = a->count - 1; i >= 0; i--) {
        if (a->limb[i] != b->limb[i])
            return a->limb[i] < b->limb[i] ? -1 : 1;
    }
    return 0;
}

/* all digits of d, at most DIGITS_MAX and a sticky one; returns the exponent that goes with them */
static int64_t big_of_digits(const struct decimal_text *d, struct big *b)
{
    int32_t kept = 0;
    bool sticky = false;

    for (const char *p = d->digits; p < d->end; p++) {
        if (*p == '.')
            continue;
        if (kept < DIGITS_MAX) {
            big_mul_add(b, 10, (uint64_t)(*p - '0'));
            kept++;
        } else if (*p != '0') {
            sticky = true;
        }
    }
    if (sticky) {
        big_mul_add(b, 10, 1);
        kept++;
    }
    return d->exponent + 19 - kept;
}

/* the digits beyond the 19th decide between `bits` and its successor */
static uint64_t decide_by_all_digits(const struct decimal_text *d, uint64_t bits)
{
    struct big value = {.count = 0};
    struct big half = {.count = 1};
    uint64_t biased = bits >> MANTISSA_BITS;
    uint64_t m = bits & (HIDDEN_BIT - 1);
    int64_t e10, e2, shift;
    int order;

    if (biased)
        m |= HIDDEN_BIT;
    e2 = (int64_t)(biased ? biased : 1) - EXPONENT_BIAS - 1;
    half.limb[0] = 2 * m + 1; /* half = (2m + 1) * 2^e2 */
    e10 = big_of_digits(d, &value);
    big_mul_pow5(e10 >= 0 ? &value : &half, e10 >= 0 ? e10 : -e10);
    shift = e10 - e2;
    big_shift(shift >= 0 ? &value : &half, shift >= 0 ? shift : -shift);
    order = big_compare(&value, &half);
    if (order > 0 || (order == 0 && (m & 1)))
        bits++;
    return bits;
}

double evs__double_of_decimal(uint64_t digits, int64_t exponent)
{
    static const double exact[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

    if (digits <= (uint64_t)1 << 53 && exponent >= -22 && exponent <= 22) {
        double v = (double)digits;
        return exponent < 0 ? v / exact[-exponent] : v * exact[exponent];
    }
    return double_of_bits(bits_of_decimal(digits, exponent));
}

/* |value| of a scanned number */
static double double_of_text(const struct decimal_text *d)
{
    uint64_t bits;

    if (d->count <= 19)
        return evs__double_of_decimal(d->mantissa, d->exponent);
    bits = bits_of_decimal(d->mantissa, d->exponent);
    if (bits != bits_of_decimal(d->mantissa + 1, d->exponent))
        bits = decide_by_all_digits(d, bits);
    return double_of_bits(bits);
}

evs_status evs__parse_double(const char *text, size_t len, double *ret)
{
    struct decimal_text d;
    double v;

    if (!scan_number(text, len, false, &d))
        return EVS_ERR_DECODE;
    v = double_of_text(&d);
    if (isinf(v))
        return EVS_ERR_OVERFLOW;
    *ret = d.negative ? -v : v;
    return EVS_OK;
}

/* ---- double to text ---- */

/* floor(g * cp / 2^128), with the lowest bit set when something was cut off */
static uint64_t round_to_odd(uint64_t g_high, uint64_t g_low, uint64_t cp)
{
    evs__uint128 x = (evs__uint128)g_low * cp;
    evs__uint128 y = (evs__uint128)g_high * cp;
    uint64_t y0 = (uint64_t)y;
    uint64_t y1 = (uint64_t)(y >> 64);
    uint64_t low = y0 + (uint64_t)(x >> 64);

    y1 += low < y0;
    return y1 | (low > 1);
}

/* shortest digits and exponent of a finite positive double */
static uint64_t shortest_digits(uint64_t bits, int32_t *ret_exponent)
{
    uint64_t fraction = bits & (HIDDEN_BIT - 1);
    int32_t biased = (int32_t)(bits >> MANTISSA_BITS);
    uint64_t c = biased ? fraction | HIDDEN_BIT : fraction;
    int32_t q = (biased ? biased : 1) - EXPONENT_BIAS;
    bool closer = fraction == 0 && biased > 1; /* the lower neighbour is nearer */
    bool odd = c & 1;                          /* then the bounds belong to the neighbours */
    int32_t k = (q * 1262611 - (closer ? 524031 : 0)) >> 22;
    int32_t h = q + ((-k * 1741647) >> 19) + 1;
    uint64_t g_high, g_low, lower, vb, upper, s, sp;
    bool low_in, high_in;

    if (q <= 0 && q > -53 && (c & (((uint64_t)1 << -q) - 1)) == 0) {
        *ret_exponent = 0; /* a small integer */
        return c >> -q;
    }
    g_high = pow10_table[-k - POW10_FIRST][0];
    g_low = pow10_table[-k - POW10_FIRST][1];
    if (-k < -27 || -k > 55)
        g_high += ++g_low == 0; /* this method wants inexact powers rounded up */
    lower = round_to_odd(g_high, g_low, (4 * c - 2 + closer) << h) + odd;
    vb = round_to_odd(g_high, g_low, (4 * c) << h);
    upper = round_to_odd(g_high, g_low, (4 * c + 2) << h) - odd;
    s = vb / 4;
    if (s >= 10) {
        sp = s / 10;
        low_in = lower <= 40 * sp;
        high_in = 40 * sp + 40 <= upper;
        if (low_in != high_in) {
            *ret_exponent = k + 1;
            return sp + high_in;
        }
    }
    *ret_exponent = k;
    low_in = lower <= 4 * s;
    high_in = 4 * s + 4 <= upper;
    if (low_in != high_in)
        return s + high_in;
    return s + (vb > 4 * s + 2 || (vb == 4 * s + 2 && (s & 1)));
}

/* n digits, the point behind the first `point` of them: plain notation for -5 < point <= 16 */
static size_t place_point(const char *digits, int32_t n, int32_t point, char *out)
{
    char *p = out;

    if (point > 0 && point <= 16) {
        int32_t whole = n < point ? n : point;
        memcpy(p, digits, (size_t)whole);
        memset(p + whole, '0', (size_t)(point - whole));
        p += point;
        *p++ = '.';
        if (n > point) {
            memcpy(p, digits + point, (size_t)(n - point));
            p += n - point;
        } else {
            *p++ = '0';
        }
        return (size_t)(p - out);
    }
    if (point <= 0 && point > -5) {
        memcpy(p, "0.", 2);
        memset(p + 2, '0', (size_t)-point);
        p += 2 - point;
        memcpy(p, digits, (size_t)n);
        return (size_t)(p + n - out);
    }
    *p++ = digits[0];
    if (n > 1) {
        *p++ = '.';
        memcpy(p, digits + 1, (size_t)(n - 1));
        p += n - 1;
    }
    *p++ = 'e';
    return (size_t)(p - out) + evs__format_int(point - 1, p);
}

/*
 * Doubles that stand for at most six places, as amounts and measurements do. The candidate has at
 * most 15 digits; if it reads back as v it is the shortest, since no two such decimals are the same
 * double. 0: v is none of them.
 */
static size_t format_six_places(double v, char *out)
{
    uint64_t millionths, fraction;
    size_t n;

    if (!(v >= 1e-3 && v < 1e9))
        return 0;
    millionths = (uint64_t)(v * 1e6 + 0.5);
    if ((double)millionths / 1e6 != v)
        return 0;
    fraction = millionths % 1000000;
    n = format_u64(millionths / 1000000, out);
    out[n++] = '.';
    if (!fraction) {
        out[n++] = '0';
        return n;
    }
    put_pair(out + n, fraction / 10000);
    put_pair(out + n + 2, fraction / 100 % 100);
    put_pair(out + n + 4, fraction % 100);
    for (n += 6; out[n - 1] == '0'; n--)
        ;
    return n;
}

size_t evs__format_double(double value, char *out)
{
    uint64_t bits = bits_of_double(value);
    size_t n = 0;
    int32_t exponent;
    uint64_t v;
    char digits[20];
    size_t count;

    if (isnan(value)) {
        memcpy(out, "NaN", 3);
        return 3;
    }
    if (bits >> 63)
        out[n++] = '-';
    bits &= INT64_MAX;
    if (bits == 0) {
        memcpy(out + n, "0.0", 3);
        return n + 3;
    }
    if (bits >> MANTISSA_BITS == EXPONENT_INF) {
        memcpy(out + n, "Infinity", 8);
        return n + 8;
    }
    count = format_six_places(double_of_bits(bits), out + n);
    if (count)
        return n + count;
    v = shortest_digits(bits, &exponent);
    while (v % 10 == 0) {
        v /= 10;
        exponent++;
    }
    count = format_u64(v, digits);
    return n + place_point(digits, (int32_t)count, (int32_t)count + exponent, out + n);
}

/* ---- decimals ---- */

#define POW10(high, low) ((evs__uint128)(high) << 64 | (low))

/* clang-format off */
static const evs__uint128 powers_of_ten[39] = {
    POW10(0x0u, 0x1u),
    POW10(0x0u, 0xau),
    POW10(0x0u, 0x64u),
    POW10(0x0u, 0x3e8u),
    POW10(0x0u, 0x2710u),
    POW10(0x0u, 0x186a0u),
    POW10(0x0u, 0xf4240u),
    POW10(0x0u, 0x989680u),
    POW10(0x0u, 0x5f5e100u),
    POW10(0x0u, 0x3b9aca00u),
    POW10(0x0u, 0x2540be400u),
    POW10(0x0u, 0x174876e800u),
    POW10(0x0u, 0xe8d4a51000u),
    POW10(0x0u, 0x9184e72a000u),
    POW10(0x0u, 0x5af3107a4000u),
    POW10(0x0u, 0x38d7ea4c68000u),
    POW10(0x0u, 0x2386f26fc10000u),
    POW10(0x0u, 0x16345785d8a0000u),
    POW10(0x0u, 0xde0b6b3a7640000u),
    POW10(0x0u, 0x8ac7230489e80000u),
    POW10(0x5u, 0x6bc75e2d63100000u),
    POW10(0x36u, 0x35c9adc5dea00000u),
    POW10(0x21eu, 0x19e0c9bab2400000u),
    POW10(0x152du, 0x2c7e14af6800000u),
    POW10(0xd3c2u, 0x1bcecceda1000000u),
    POW10(0x84595u, 0x161401484a000000u),
    POW10(0x52b7d2u, 0xdcc80cd2e4000000u),
    POW10(0x33b2e3cu, 0x9fd0803ce8000000u),
    POW10(0x204fce5eu, 0x3e25026110000000u),
    POW10(0x1431e0faeu, 0x6d7217caa0000000u),
    POW10(0xc9f2c9cd0u, 0x4674edea40000000u),
    POW10(0x7e37be2022u, 0xc0914b2680000000u),
    POW10(0x4ee2d6d415bu, 0x85acef8100000000u),
    POW10(0x314dc6448d93u, 0x38c15b0a00000000u),
    POW10(0x1ed09bead87c0u, 0x378d8e6400000000u),
    POW10(0x13426172c74d82u, 0x2b878fe800000000u),
    POW10(0xc097ce7bc90715u, 0xb34b9f1000000000u),
    POW10(0x785ee10d5da46d9u, 0xf436a000000000u),
    POW10(0x4b3b4ca85a86c47au, 0x98a224000000000u),
};
/* clang-format on */

evs__int128 evs__pow10_128(int32_t n)
{
    return (evs__int128)powers_of_ten[n];
}

/* digits of d as an integer of `scale`; false when it does not fit `precision` digits, or, unless
 * it may be rounded, when digits behind `scale` are lost */
static bool unscaled_of_text(
    const struct decimal_text *d, int32_t precision, int32_t scale, bool rounds, evs__int128 *ret)
{
    /* exponent of the last digit; what lies below 10^-scale must be zeros */
    int64_t exponent = d->exponent - (d->count > 19 ? d->count - 19 : 0);
    int64_t keep = (int64_t)d->count + exponent + scale;
    int64_t seen = 0;
    evs__int128 v = 0;

    if (d->count == 0) {
        *ret = 0;
        return true;
    }
    if (keep > precision)
        return false;
    for (const char *p = d->digits; p < d->end; p++) {
        if (*p == '.')
            continue;
        if (seen++ < keep)
            v = v * 10 + (*p - '0');
        else if (!rounds && *p != '0')
            return false;
        else if (rounds && seen == keep + 1 && *p >= '5')
            v++;
    }
    if (keep > seen)
        v *= evs__pow10_128((int32_t)(keep - seen));
    if (v >= evs__pow10_128(precision))
        return false;
    *ret = d->negative ? -v : v;
    return true;
}

evs_status
evs__parse_decimal(const char *text, size_t len, int32_t precision, int32_t scale, evs__int128 *ret)
{
    struct decimal_text d;

    if (!scan_number(text, len, true, &d))
        return EVS_ERR_DECODE;
    return unscaled_of_text(&d, precision, scale, false, ret) ? EVS_OK : EVS_ERR_OVERFLOW;
}

evs_status evs__parse_decimal_rounded(
    const char *text, size_t len, int32_t precision, int32_t scale, evs__int128 *ret)
{
    struct decimal_text d;

    if (!scan_number(text, len, true, &d))
        return EVS_ERR_DECODE;
    return unscaled_of_text(&d, precision, scale, true, ret) ? EVS_OK : EVS_ERR_OVERFLOW;
}

evs_status evs__parse_double_lenient(const char *text, size_t len, double *ret)
{
    struct decimal_text d;
    double v;

    if (!scan_number(text, len, true, &d))
        return EVS_ERR_DECODE;
    v = double_of_text(&d);
    if (isinf(v))
        return EVS_ERR_OVERFLOW;
    *ret = d.negative ? -v : v;
    return EVS_OK;
}

size_t evs__format_decimal(evs__int128 value, int32_t scale, char *out)
{
    char digits[40];
    int32_t n = 0;
    char *p = out;
    evs__uint128 v = value < 0 ? 0 - (evs__uint128)value : (evs__uint128)value;

    do {
        digits[n++] = (char)('0' + (int)(v % 10)); /* least significant first */
        v /= 10;
    } while (v);
    while (n <= scale)
        digits[n++] = '0';
    if (value < 0)
        *p++ = '-';
    while (n > 0) {
        if (n == scale)
            *p++ = '.';
        *p++ = digits[--n];
    }
    return (size_t)(p - out);
}

double evs__decimal_to_double(evs__int128 value, int32_t scale)
{
    evs__uint128 v = value < 0 ? 0 - (evs__uint128)value : (evs__uint128)value;
    char text[EVS__DECIMAL_TEXT_MAX];
    double d = 0;

    if (v >> 64 == 0) {
        d = double_of_bits(bits_of_decimal((uint64_t)v, -scale));
        return value < 0 ? -d : d;
    }
    (void)evs__parse_double(text, evs__format_decimal(value, scale, text), &d);
    return d;
}

/* ---- UTF-8 ---- */

/* bytes of the well-formed sequence at p (Unicode table 3-7), 0: none */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
    unsigned char low = 0x80, high = 0xbf;

    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    if (p[0] < 0xe0)
        return left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f; /* no surrogates */
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f; /* up to U+10FFFF */
    if (left < 3 || p[1] < low || p[1] > high || (p[2] & 0xc0) != 0x80)
        return 0;
    if (p[0] < 0xf0)
        return 3;
    return left >= 4 && (p[3] & 0xc0) == 0x80 ? 4 : 0;
}

static size_t skip_ascii(const unsigned char *p, size_t i, size_t len)
{
#ifdef __SSE2__
    for (; len - i >= 16; i += 16) {
        int mask = _mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + i)));
        if (mask)
            return i + (size_t)__builtin_ctz((unsigned)mask);
    }
#endif
    for (; len - i >= 8; i += 8) {
        uint64_t word;
        memcpy(&word, p + i, 8);
        if (word & 0x8080808080808080u)
            break;
    }
    while (i < len && p[i] < 0x80)
        i++;
    return i;
}

size_t evs__utf8_valid_prefix(const char *data, size_t len)
{
    const unsigned char *p = (const unsigned char *)data;
    size_t i = 0;

    while ((i = skip_ascii(p, i, len)) < len) {
        /* text in other scripts comes in runs */
        while (i < len && p[i] >= 0x80) {
            size_t n = utf8_sequence(p + i, len - i);
            if (!n)
                return i;
            i += n;
        }
    }
    return len;
}
