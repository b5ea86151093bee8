/*
 * fuzz_zone.c: TZif files. Whatever is taken answers for any time: the bounds of an offset hold the
 * instant, and the first instant of a local time is one, with none before it close by.
 */
#include "fuzz.h"

#include "base/zone.h"

static void try_time(const evs__zone *zone, int64_t t)
{
    int64_t from, to, offset = evs__zone_offset(zone, t, &from, &to);
    int64_t utc = evs__zone_utc(zone, t);

    FUZZ_CHECK(from <= t && (t < to || to == INT64_MAX));
    FUZZ_CHECK(offset > -INT64_C(26) * 3600000 && offset < INT64_C(26) * 3600000);
    if (t < INT64_MIN / 2 || t > INT64_MAX / 2)
        return;
    FUZZ_CHECK(evs__zone_local(zone, utc) >= t);
    FUZZ_CHECK(evs__zone_local(zone, utc - 1) < t);
    FUZZ_CHECK(evs__zone_utc(zone, t + 1) >= utc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t times[] = {
        INT64_MIN,     INT64_MIN + 1, -5000000000000, -1,       0, 1, 1700000000000,
        1711846800000, 4102444800000, INT64_MAX - 1,  INT64_MAX};
    evs_context *ctx = NULL;
    evs__zone *zone = NULL;
    evs_error *err = NULL;

    if (evs_context_new(NULL, &ctx, NULL))
        return 0;
    if (!evs__zone_new(ctx, "fuzz", data, size, &zone, &err)) {
        for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++)
            try_time(zone, times[i]);
    } else {
        FUZZ_CHECK(err);
    }
    evs_error_unref(err);
    evs__zone_free(zone);
    evs_context_unref(ctx);
    return 0;
}
