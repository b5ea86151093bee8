/*
 * base/number.h: text to numbers and back, without locale: integers, doubles (correctly rounded),
 * decimals of up to 38 digits.
 */
#ifndef EVS_BASE_NUMBER_H
#define EVS_BASE_NUMBER_H

#include "base/context.h"

typedef __int128 evs__int128;
typedef unsigned __int128 evs__uint128;

/* whole text must be a decimal integer, '-' and leading zeros allowed; EVS_ERR_DECODE or
 * EVS_ERR_OVERFLOW */
evs_status evs__parse_int(const char *text, size_t len, int64_t *ret);
/* JSON number grammar (also leading '+' is refused); correctly rounded; overflow to infinity is
 * EVS_ERR_OVERFLOW */
evs_status evs__parse_double(const char *text, size_t len, double *ret);
/* as above, but also "007", ".5" and "5.", as SQL's casts take them */
evs_status evs__parse_double_lenient(const char *text, size_t len, double *ret);
/* "19.90" with at most `precision` digits and `scale` after the point (fewer are padded, more are
 * EVS_ERR_OVERFLOW unless zero); exponent, "007", ".5" and "5." allowed */
evs_status evs__parse_decimal(
    const char *text, size_t len, int32_t precision, int32_t scale, evs__int128 *ret);
/* the same, but digits behind `scale` are rounded half away from zero */
evs_status evs__parse_decimal_rounded(
    const char *text, size_t len, int32_t precision, int32_t scale, evs__int128 *ret);
/* both write at most the given bytes, no NUL, and return the length */
#define EVS__INT_TEXT_MAX 20
#define EVS__DOUBLE_TEXT_MAX 32
#define EVS__DECIMAL_TEXT_MAX 48
size_t evs__format_int(int64_t value, char *out);
/* shortest text that reads back as the same double: "12.0", "0.00025", "1.5e-7", "1e16"; not JSON:
 * "NaN", "Infinity", "-Infinity" */
size_t evs__format_double(double value, char *out);
size_t evs__format_decimal(evs__int128 value, int32_t scale, char *out);
/* digits * 10^exponent, correctly rounded; infinity when too large */
double evs__double_of_decimal(uint64_t digits, int64_t exponent);
double evs__decimal_to_double(evs__int128 value, int32_t scale);
evs__int128 evs__pow10_128(int32_t n); /* 0..38 */

/* length of the valid UTF-8 prefix; equal to len when all is valid (no surrogates, no overlong
 * forms) */
size_t evs__utf8_valid_prefix(const char *data, size_t len);
static inline bool evs__utf8_valid(const char *data, size_t len)
{
    return evs__utf8_valid_prefix(data, len) == len;
}
/* bytes needed to step over one code point of valid UTF-8 */
static inline size_t evs__utf8_step(unsigned char lead)
{
    return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

#endif
