/*
 * fuzz_time.c: times, dates, clocks and durations as text. What parses prints as text that parses
 * to the same value. The first byte chooses the kind.
 */
#include "fuzz.h"

#include "base/time.h"

#include <string.h>

static void try_time(const char *text, size_t len)
{
    char out[EVS__TIME_TEXT_MAX];
    size_t out_len = 0;
    int64_t ms = 0;
    int64_t again = 0;

    if (evs__time_parse(text, len, &ms))
        return;
    out_len = evs__time_format(ms, out);
    FUZZ_CHECK(out_len <= sizeof(out));
    /* a zone may lead out of the years that have a text: then it is a plain number */
    if (!memchr(out, 'T', out_len))
        return;
    FUZZ_CHECK(!evs__time_parse(out, out_len, &again));
    FUZZ_CHECK(ms == again);
}

static void try_date(const char *text, size_t len)
{
    char out[EVS__TIME_TEXT_MAX];
    int32_t days = 0;
    int32_t again = 0;

    if (evs__date_parse(text, len, &days))
        return;
    FUZZ_CHECK(!evs__date_parse(out, evs__date_format(days, out), &again));
    FUZZ_CHECK(days == again);
}

static void try_clock(const char *text, size_t len)
{
    char out[EVS__TIME_TEXT_MAX];
    int32_t ms = 0;
    int32_t again = 0;

    if (evs__clock_parse(text, len, &ms))
        return;
    FUZZ_CHECK(ms >= 0 && ms < 24 * 60 * 60 * 1000);
    FUZZ_CHECK(!evs__clock_parse(out, evs__clock_format(ms, out), &again));
    FUZZ_CHECK(ms == again);
}

static void try_duration(const char *text, size_t len)
{
    char out[EVS__TIME_TEXT_MAX];
    int64_t ms = 0;
    int64_t again = 0;

    if (evs__duration_parse(text, len, &ms))
        return;
    FUZZ_CHECK(!evs__duration_parse(out, evs__duration_format(ms, out), &again));
    FUZZ_CHECK(ms == again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const kinds[])(const char *, size_t) = {
        try_time,
        try_date,
        try_clock,
        try_duration,
    };

    if (size)
        kinds[data[0] % 4]((const char *)data + 1, size - 1);
    return 0;
}
