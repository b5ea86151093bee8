/*
 * codec/json_scan.h: the vector part of the JSON reader. Not a header of its own: json_walk.h
 * includes it with JSON_LEVEL set to 0 (plain C), 1 (SSE2) or 2 (AVX2, BMI2).
 *
 * No load ever leaves the document. Where fewer bytes are left than a load takes, the last bytes of
 * the document are loaded instead and the answer is shifted, so documents must have at least
 * JSON_STEP bytes (evs__json_walk.bytes_min).
 */
#if JSON_LEVEL == 2
#include <immintrin.h>
#define JSON_STEP 32
#define JSON_TARGET __attribute__((target("avx2,bmi,bmi2")))
#elif JSON_LEVEL == 1
#include <emmintrin.h>
#define JSON_STEP 16
#define JSON_TARGET
#else
#define JSON_STEP 2
#define JSON_TARGET
#endif

#define JSON_INLINE static inline __attribute__((always_inline)) JSON_TARGET
#define JSON_NOINLINE static __attribute__((noinline)) JSON_TARGET

/* Constants by name, from memory: compilers build them anew at each use, in three instructions. */
#define JSON_BYTES16(name) _mm_load_si128((const __m128i *)evs__json_bytes.name)
#define JSON_BYTES32(name) _mm256_load_si256((const __m256i *)evs__json_bytes.name)

/* ---- where text ends ---- */

#if JSON_LEVEL == 2
/* bit i: p[i] is a quote, a backslash, a control byte or not ASCII (signed: below 0x20) */
JSON_INLINE uint32_t text_stops(const uint8_t *p)
{
    __m256i v = _mm256_loadu_si256((const __m256i *)p);
    __m256i quote = _mm256_cmpeq_epi8(v, JSON_BYTES32(quote));
    __m256i escape = _mm256_cmpeq_epi8(v, JSON_BYTES32(backslash));
    __m256i other = _mm256_cmpgt_epi8(JSON_BYTES32(space), v);

    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(_mm256_or_si256(quote, escape), other));
}
#elif JSON_LEVEL == 1
JSON_INLINE uint32_t text_stops(const uint8_t *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)p);
    __m128i quote = _mm_cmpeq_epi8(v, JSON_BYTES16(quote));
    __m128i escape = _mm_cmpeq_epi8(v, JSON_BYTES16(backslash));
    __m128i other = _mm_cmpgt_epi8(JSON_BYTES16(space), v);

    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, escape), other));
}
#endif

/*
 * The first byte at or after p (p < end) that is not plain ASCII text: a quote, a backslash, a
 * control byte, not ASCII; end - 1, which is never a quote, when there is none.
 */
JSON_INLINE const uint8_t *scan_text(const uint8_t *p, const uint8_t *end)
{
#if JSON_LEVEL
    for (;;) {
        size_t left = (size_t)(end - p);
        uint64_t stops;

        if (EVS__UNLIKELY(left < JSON_STEP)) {
            stops = (uint64_t)text_stops(end - JSON_STEP) >> (JSON_STEP - left);
            return stops ? p + __builtin_ctzll(stops) : end - 1;
        }
        stops = text_stops(p);
        if (EVS__LIKELY(stops != 0))
            return p + __builtin_ctz((uint32_t)stops);
        p += JSON_STEP;
    }
#else
    while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\')
        p++;
    return p < end ? p : end - 1;
#endif
}

/* ---- digits ---- */

/*
 * A number begins with a digit or a sign. Both stand in one load at p: bit i of the stops is set
 * when p[i] is no digit, so bit 0 is the sign, and the lowest bit above it is the end of the whole
 * part, wherever that begins. The place of the load does not depend on the sign, which keeps the
 * way from one value to the next short.
 */
#if JSON_LEVEL == 2
/* the bytes at p minus '0'; beyond the document's end what is no digit */
JSON_INLINE __m128i digits_load(const uint8_t *p, const uint8_t *end)
{
    static const int8_t slide[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                     11, 12, 13, 14, 15, -1, -1, -1, -1, -1, -1,
                                     -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    size_t left = (size_t)(end - p);
    __m128i v;

    if (EVS__LIKELY(left >= 16)) {
        v = _mm_loadu_si128((const __m128i *)p);
    } else {
        v = _mm_loadu_si128((const __m128i *)(end - 16));
        v = _mm_shuffle_epi8(v, _mm_loadu_si128((const __m128i *)(slide + 16 - left)));
    }
    return _mm_add_epi8(v, JSON_BYTES16(minus_zero));
}

/* all ones where there is no digit */
JSON_INLINE __m128i digits_not(__m128i v)
{
    return _mm_cmpeq_epi8(_mm_max_epu8(v, JSON_BYTES16(ten)), v);
}

JSON_INLINE uint32_t stops_of(__m128i not )
{
    return (uint32_t)_mm_movemask_epi8(not ) | 0xffff0000u;
}

/* shuffle that moves the n first bytes to the end and clears the rest */
JSON_INLINE __m128i align_right(uint32_t n)
{
    static const int8_t steps[32] = {-16, -15, -14, -13, -12, -11, -10, -9, -8, -7, -6,
                                     -5,  -4,  -3,  -2,  -1,  0,   1,   2,  3,  4,  5,
                                     6,   7,   8,   9,   10,  11,  12,  13, 14, 15};

    return _mm_loadu_si128((const __m128i *)(steps + n));
}

/* 16 bytes 0..9, most significant first, as a number */
JSON_INLINE uint64_t digits_join(__m128i v)
{
    uint64_t halves;

    v = _mm_maddubs_epi16(v, _mm_set1_epi16(0x010a));
    v = _mm_madd_epi16(v, _mm_set1_epi32(0x00010064));
    v = _mm_packus_epi32(v, v);
    v = _mm_madd_epi16(v, _mm_set1_epi32(0x00012710));
    halves = (uint64_t)_mm_cvtsi128_si64(v);
    return (halves & 0xffffffffu) * 100000000u + (halves >> 32);
}
#else
/* stops from p on; bits from 16 on (SSE2: or the document's end) are set */
JSON_INLINE uint32_t digit_stops(const uint8_t *p, const uint8_t *end)
{
#if JSON_LEVEL == 1
    const uint8_t *from = p;
    uint32_t shift = 0;
    __m128i v;

    if (EVS__UNLIKELY(end - p < 16)) {
        from = end - 16;
        shift = (uint32_t)(p - from);
    }
    v = _mm_add_epi8(_mm_loadu_si128((const __m128i *)from), JSON_BYTES16(minus_zero));
    v = _mm_cmpeq_epi8(_mm_max_epu8(v, JSON_BYTES16(ten)), v);
    return ((uint32_t)_mm_movemask_epi8(v) | 0xffff0000u) >> shift;
#else
    uint32_t stops = 0xffff0000u;

    /* up to the second stop behind the first byte: no one looks further */
    for (uint32_t i = 0, found = 0; i < 16 && p + i < end && found < 2; i++) {
        if ((uint8_t)(p[i] - '0') >= 10) {
            stops |= 1u << i;
            found += i > 0;
        }
    }
    return stops;
#endif
}

#if JSON_LEVEL == 1
/* the n (1..8) digits in the low bytes of x, first digit lowest */
JSON_INLINE uint64_t digits8(uint64_t x, uint32_t n)
{
    x = (x ^ 0x3030303030303030u) << (64 - 8 * n);
    x = (x * 0x0a01 >> 8) & 0x00ff00ff00ff00ffu;
    x = (x * 0x640001 >> 16) & 0x0000ffff0000ffffu;
    return x * 0x271000000001u >> 32;
}
#endif

/* value of the n (1..16) digits at p */
JSON_INLINE uint64_t digits_value(const uint8_t *p, const uint8_t *end, uint32_t n)
{
    uint64_t value = 0;

#if JSON_LEVEL == 1
    static const uint32_t power[9] = {1,      10,      100,      1000,     10000,
                                      100000, 1000000, 10000000, 100000000};

    if (EVS__LIKELY(end - p >= 16)) {
        if (n <= 8)
            return digits8(evs__load64(p), n);
        return digits8(evs__load64(p), 8) * power[n - 8] + digits8(evs__load64(p + 8), n - 8);
    }
#endif
    (void)end;
    for (uint32_t i = 0; i < n; i++)
        value = value * 10 + (uint64_t)(p[i] - '0');
    return value;
}
#endif

/* ---- numbers ---- */

/*
 * Where the whole part of the number at p ends, by its stops: with `sign` (0 or 1), 1 to 15 digits.
 * 0: not such a number, or one with a leading zero.
 */
JSON_INLINE uint32_t whole_end(const uint8_t *p, uint32_t stops, uint32_t sign)
{
    uint32_t n = (uint32_t)__builtin_ctz(stops & ~1u);

    if (EVS__UNLIKELY((sign && *p != '-') || n - sign - 1 > 14 || n > 15 ||
                      (p[sign] == '0' && n - sign > 1)))
        return 0;
    return n;
}

/* The end of the fraction behind the point at p[whole], within 15 bytes; 0: there is none. */
JSON_INLINE uint32_t fraction_end(uint32_t stops, uint32_t whole)
{
    uint32_t above = stops & ~1u;
    uint32_t n = (uint32_t)__builtin_ctz(above & (above - 1));

    return EVS__UNLIKELY(n == whole + 1 || n > 15) ? 0 : n;
}

/*
 * An integer of at most 15 bytes. NULL: anything else (longer, a leading zero, a fraction, no
 * number), which the slow readers look into.
 */
JSON_INLINE const uint8_t *scan_int(const uint8_t *p, const uint8_t *end, int64_t *ret)
{
    uint32_t stops, sign, n;
    uint64_t value;

#if JSON_LEVEL == 2
    __m128i v = digits_load(p, end);
    __m128i not = digits_not(v);

    stops = stops_of(not );
    sign = stops & 1;
    n = whole_end(p, stops, sign);
    if (EVS__UNLIKELY(!n))
        return NULL;
    value = digits_join(_mm_shuffle_epi8(_mm_andnot_si128(not, v), align_right(n)));
#else
    stops = digit_stops(p, end);
    sign = stops & 1;
    n = whole_end(p, stops, sign);
    if (EVS__UNLIKELY(!n))
        return NULL;
    value = digits_value(p + sign, end, n - sign);
#endif
    if (EVS__UNLIKELY(p[n] == '.' || (p[n] | 0x20) == 'e'))
        return NULL;
    *ret = ((int64_t)value ^ -(int64_t)sign) + (int64_t)sign;
    return p + n;
}

/*
 * A number without exponent, of at most 15 bytes: digits without the point, and how many stand
 * behind it. NULL: anything else.
 */
JSON_INLINE const uint8_t *scan_number(
    const uint8_t *p, const uint8_t *end, bool *ret_negative, uint64_t *ret, uint32_t *ret_fraction)
{
    uint32_t stops, sign, whole, all, fraction = 0;
    uint64_t value;

#if JSON_LEVEL == 2
    __m128i v = digits_load(p, end);
    __m128i not = digits_not(v);
    __m128i order;

    stops = stops_of(not );
#else
    stops = digit_stops(p, end);
#endif
    sign = stops & 1;
    whole = all = whole_end(p, stops, sign);
    if (EVS__UNLIKELY(!whole))
        return NULL;
    if (p[whole] == '.') {
        all = fraction_end(stops, whole);
        if (EVS__UNLIKELY(!all))
            return NULL;
        fraction = all - whole - 1;
    }
#if JSON_LEVEL == 2
    order = align_right(all - (fraction != 0));
    /* positions behind the point are one further */
    if (fraction)
        order = _mm_sub_epi8(order, _mm_cmpgt_epi8(order, _mm_set1_epi8((char)(whole - 1))));
    value = digits_join(_mm_shuffle_epi8(_mm_andnot_si128(not, v), order));
#else
    value = digits_value(p + sign, end, whole - sign);
    if (fraction) {
        static const uint64_t power[15] = {
            1,           10,           100,           1000,           10000,
            100000,      1000000,      10000000,      100000000,      1000000000,
            10000000000, 100000000000, 1000000000000, 10000000000000, 100000000000000};

        value = value * power[fraction] + digits_value(p + whole + 1, end, fraction);
    }
#endif
    if (EVS__UNLIKELY((p[all] | 0x20) == 'e'))
        return NULL;
    *ret_negative = sign;
    *ret = value;
    *ret_fraction = fraction;
    return p + all;
}

/* The end of a number of at most 15 bytes without exponent; NULL: anything else. */
JSON_INLINE const uint8_t *scan_number_end(const uint8_t *p, const uint8_t *end)
{
#if JSON_LEVEL == 2
    uint32_t stops = stops_of(digits_not(digits_load(p, end)));
#else
    uint32_t stops = digit_stops(p, end);
#endif
    uint32_t n = whole_end(p, stops, stops & 1);

    if (EVS__UNLIKELY(!n))
        return NULL;
    if (p[n] == '.') {
        n = fraction_end(stops, n);
        if (EVS__UNLIKELY(!n))
            return NULL;
    }
    if (EVS__UNLIKELY((p[n] | 0x20) == 'e'))
        return NULL;
    return p + n;
}
