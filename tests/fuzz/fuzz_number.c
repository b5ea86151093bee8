/*
 * fuzz_number.c: integers, doubles, decimals and UTF-8 as text. What parses prints as text that
 * parses to the same value; a double is what the C library makes of the same text. The first byte
 * chooses the kind.
 */
#include "fuzz.h"

#include "base/number.h"

#include <math.h>
#include <string.h>

static void try_int(const char *text, size_t len)
{
    char out[EVS__INT_TEXT_MAX];
    int64_t value = 0;
    int64_t again = 0;

    if (evs__parse_int(text, len, &value))
        return;
    FUZZ_CHECK(!evs__parse_int(out, evs__format_int(value, out), &again));
    FUZZ_CHECK(value == again);
}

static void try_double(const char *text, size_t len)
{
    char out[EVS__DOUBLE_TEXT_MAX];
    char *copy = NULL;
    double value = 0;
    double again = 0;

    if (evs__parse_double(text, len, &value))
        return;
    FUZZ_CHECK(isfinite(value));
    FUZZ_CHECK(!evs__parse_double(out, evs__format_double(value, out), &again));
    FUZZ_CHECK(memcmp(&value, &again, sizeof(value)) == 0);
    copy = malloc(len + 1);
    FUZZ_CHECK(copy);
    memcpy(copy, text, len);
    copy[len] = '\0';
    again = strtod(copy, NULL);
    FUZZ_CHECK(memcmp(&value, &again, sizeof(value)) == 0);
    free(copy);
}

static void try_decimal(const char *text, size_t len)
{
    char out[EVS__DECIMAL_TEXT_MAX];
    int32_t precision = 1 + (len ? (unsigned char)text[0] % 38 : 0);
    int32_t scale = len > 1 ? (unsigned char)text[1] % (precision + 1) : 0;
    evs__int128 value = 0;
    evs__int128 again = 0;

    if (len < 2 || evs__parse_decimal(text + 2, len - 2, precision, scale, &value))
        return;
    FUZZ_CHECK(value < evs__pow10_128(precision) && -value < evs__pow10_128(precision));
    FUZZ_CHECK(
        !evs__parse_decimal(out, evs__format_decimal(value, scale, out), precision, scale, &again));
    FUZZ_CHECK(value == again);
}

static void try_utf8(const char *text, size_t len)
{
    size_t valid = evs__utf8_valid_prefix(text, len);

    FUZZ_CHECK(valid <= len);
    FUZZ_CHECK(evs__utf8_valid(text, valid));
    for (size_t at = 0; at < valid;) {
        at += evs__utf8_step((unsigned char)text[at]);
        FUZZ_CHECK(at <= valid);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const kinds[])(const char *, size_t) = {
        try_int,
        try_double,
        try_decimal,
        try_utf8,
    };

    if (size)
        kinds[data[0] % 4]((const char *)data + 1, size - 1);
    return 0;
}
