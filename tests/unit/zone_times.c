/*
 * The C side of test_zone_python.py: answers what it is asked, a line each.
 *
 *     zone NAME       from the system's files; "ok" or the error
 *     offset UTC_MS   offset of the clock on the wall, ms
 *     utc LOCAL_MS    first instant at which the clock shows this or later
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/zone.h"

int main(void)
{
    const evs__zone *zone = NULL;
    evs_context *ctx = NULL;
    char line[300];

    if (evs_context_new(NULL, &ctx, NULL))
        return 1;
    while (fgets(line, sizeof(line), stdin)) {
        char *argument = strchr(line, ' ');
        line[strcspn(line, "\n")] = '\0';
        if (!argument)
            return 2;
        *argument++ = '\0';
        if (strcmp(line, "zone") == 0) {
            evs_error *err = NULL;
            evs_status status = evs__zone_load(ctx, argument, &err);
            zone = evs__zone_find(ctx, argument);
            printf("%s\n", status ? evs_error_message(err) : "ok");
            evs_error_unref(err);
        } else if (strcmp(line, "offset") == 0) {
            int64_t from, to, at = strtoll(argument, NULL, 10);
            int64_t offset = evs__zone_offset(zone, at, &from, &to);
            printf("%lld%s\n", (long long)offset, from <= at && at < to ? "" : " bounds");
        } else {
            printf("%lld\n", (long long)evs__zone_utc(zone, strtoll(argument, NULL, 10)));
        }
    }
    evs_context_unref(ctx);
    return 0;
}
