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

/* ---- where text ends ---- */

#if JSON_LEVEL == 2
/* bit i: p[i] is a quote, a backslash, a control byte or not ASCII (signed: below 0x20) */
JSON_INLINE uint32_t text_stops(const uint8_t *p)
{
    __m256i v = _mm256_loadu_si256((const __m256i *)p);
    __m256i quote = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('"'));
    __m256i escape = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\\'));
    __m256i other = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), v);

    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(_mm256_or_si256(quote, escape), other));
}
#elif JSON_LEVEL == 1
JSON_INLINE uint32_t text_stops(const uint8_t *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)p);
    __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
    __m128i escape = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
    __m128i other = _mm_cmpgt_epi8(_mm_set1_epi8(0x20), v);

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

#if JSON_LEVEL
/* bit i: p[i] is no digit; bits from 16 (or the document's end) on are set */
JSON_INLINE uint32_t digit_stops(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *from = p;
    uint32_t shift = 0;
    __m128i v;

    if (EVS__UNLIKELY(end - p < 16)) {
        from = end - 16;
        shift = (uint32_t)(p - from);
    }
    v = _mm_add_epi8(_mm_loadu_si128((const __m128i *)from), _mm_set1_epi8(-'0'));
    v = _mm_cmpeq_epi8(_mm_max_epu8(v, _mm_set1_epi8(10)), v);
    return ((uint32_t)_mm_movemask_epi8(v) | 0xffff0000u) >> shift;
}
#endif

/* how many digits stand at p; 16: that many or more */
JSON_INLINE uint32_t digit_run(const uint8_t *p, const uint8_t *end)
{
#if JSON_LEVEL
    return (uint32_t)__builtin_ctz(digit_stops(p, end));
#else
    uint32_t n = 0;

    while (n < 16 && p + n < end && (uint8_t)(p[n] - '0') < 10)
        n++;
    return n;
#endif
}

#if JSON_LEVEL == 2
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

/* shuffle that moves the n first bytes to the end and clears the rest */
JSON_INLINE __m128i align_right(uint32_t n)
{
    static const int8_t steps[32] = {-16, -15, -14, -13, -12, -11, -10, -9, -8, -7, -6,
                                     -5,  -4,  -3,  -2,  -1,  0,   1,   2,  3,  4,  5,
                                     6,   7,   8,   9,   10,  11,  12,  13, 14, 15};

    return _mm_loadu_si128((const __m128i *)(steps + n));
}

/* 16 digits' worth of bytes at p, minus '0'; zeros beyond the end give what is no digit */
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
    return _mm_add_epi8(v, _mm_set1_epi8(-'0'));
}

JSON_INLINE uint32_t digits_stops(__m128i v)
{
    v = _mm_cmpeq_epi8(_mm_max_epu8(v, _mm_set1_epi8(10)), v);
    return (uint32_t)_mm_movemask_epi8(v) | 0xffff0000u;
}
#endif

#if JSON_LEVEL < 2
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
 * An integer of 1 to 15 digits. NULL: anything else (longer, a leading zero, a fraction, no
 * number), which the slow readers look into.
 */
JSON_INLINE const uint8_t *scan_int(const uint8_t *p, const uint8_t *end, int64_t *ret)
{
    int64_t sign = -(int64_t)(*p == '-');
    const uint8_t *d = p - sign;
    uint64_t value;
    uint32_t n;
    uint8_t after;

#if JSON_LEVEL == 2
    __m128i v = digits_load(d, end);

    n = (uint32_t)__builtin_ctz(digits_stops(v));
    value = digits_join(_mm_shuffle_epi8(v, align_right(n)));
#else
    n = digit_run(d, end);
#endif
    if (EVS__UNLIKELY(n - 1 > 14 || (*d == '0' && n > 1)))
        return NULL;
#if JSON_LEVEL < 2
    value = digits_value(d, end, n);
#endif
    after = d[n];
    if (EVS__UNLIKELY(after == '.' || (after | 0x20) == 'e'))
        return NULL;
    *ret = ((int64_t)value ^ sign) - sign;
    return d + n;
}

/*
 * A number without exponent and with at most 15 digits: digits without the point, and how many
 * stand behind it. NULL: anything else.
 */
JSON_INLINE const uint8_t *scan_number(
    const uint8_t *p, const uint8_t *end, bool *ret_negative, uint64_t *ret, uint32_t *ret_fraction)
{
    bool negative = *p == '-';
    const uint8_t *d = p + negative;
    uint32_t whole, all, fraction = 0;
    uint64_t value;
    uint8_t after;

#if JSON_LEVEL == 2
    __m128i v = digits_load(d, end);
    uint32_t stops = digits_stops(v);
    __m128i order;

    whole = all = (uint32_t)__builtin_ctz(stops);
    if (EVS__UNLIKELY(whole - 1 > 14 || (*d == '0' && whole > 1)))
        return NULL;
    after = d[whole];
    if (after == '.') {
        all = (uint32_t)__builtin_ctz(stops & (stops - 1));
        fraction = all - whole - 1;
        if (EVS__UNLIKELY(!fraction || all > 15))
            return NULL;
        after = d[all];
        order = align_right(all - 1);
        /* positions behind the point are one further */
        v = _mm_shuffle_epi8(
            v, _mm_sub_epi8(order, _mm_cmpgt_epi8(order, _mm_set1_epi8((char)(whole - 1)))));
    } else {
        v = _mm_shuffle_epi8(v, align_right(whole));
    }
    value = digits_join(v);
#else
    whole = all = digit_run(d, end);
    if (EVS__UNLIKELY(whole - 1 > 14 || (*d == '0' && whole > 1)))
        return NULL;
    value = digits_value(d, end, whole);
    after = d[whole];
    if (after == '.') {
        static const uint64_t power[16] = {1,
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
                                           1000000000000000};

        fraction = digit_run(d + whole + 1, end);
        if (EVS__UNLIKELY(!fraction || whole + fraction > 15))
            return NULL;
        value = value * power[fraction] + digits_value(d + whole + 1, end, fraction);
        all = whole + 1 + fraction;
        after = d[all];
    }
#endif
    if (EVS__UNLIKELY((after | 0x20) == 'e'))
        return NULL;
    *ret_negative = negative;
    *ret = value;
    *ret_fraction = fraction;
    return d + all;
}

/* The end of a number of at most 15 characters without exponent; NULL: anything else. */
JSON_INLINE const uint8_t *scan_number_end(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *d = p + (*p == '-');
    uint32_t n;

#if JSON_LEVEL
    uint32_t stops = digit_stops(d, end);

    n = (uint32_t)__builtin_ctz(stops);
    if (EVS__UNLIKELY(n - 1 > 14 || (*d == '0' && n > 1)))
        return NULL;
    if (d[n] == '.') {
        uint32_t all = (uint32_t)__builtin_ctz(stops & (stops - 1));

        if (EVS__UNLIKELY(all == n + 1 || all > 15))
            return NULL;
        n = all;
    }
#else
    n = digit_run(d, end);
    if (n - 1 > 14 || (*d == '0' && n > 1) || d[n] == '.')
        return NULL;
#endif
    if (EVS__UNLIKELY((d[n] | 0x20) == 'e'))
        return NULL;
    return d + n;
}
