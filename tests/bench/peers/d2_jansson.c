/*
 * Peer of D2: jansson reading 4 of 8 fields of each object.
 *
 *   peer-d2-jansson [--records N] [--repeat R]
 *
 * jansson knows only whole documents: each is loaded, its four members looked up and copied.
 */
#include "../bench.h"

#include <jansson.h>

static void decode(struct bench_decode *d, uint64_t first, uint64_t end)
{
    for (uint64_t i = first; i < end; i++) {
        json_error_t error;
        json_t *object = json_loadb(d->payloads.bytes + d->payloads.offsets[i],
                                    d->payloads.offsets[i + 1] - d->payloads.offsets[i], 0, &error);
        json_t *user_id, *page;
        struct bench_wanted w;

        if (!object)
            bench_die("record %llu: %s", (unsigned long long)i, error.text);
        user_id = json_object_get(object, "user_id");
        page = json_object_get(object, "page");
        w.user_id = json_string_value(user_id);
        w.user_id_len = json_string_length(user_id);
        w.page = json_string_value(page);
        w.page_len = json_string_length(page);
        w.viewed_at = json_integer_value(json_object_get(object, "viewed_at"));
        w.load_ms = json_real_value(json_object_get(object, "load_ms"));
        if (!w.user_id || !w.page)
            bench_die("record %llu: a field is missing", (unsigned long long)i);
        bench_columns_add(d->columns, &w);
        json_decref(object);
    }
}

int main(int argc, char **argv)
{
    struct bench_decode d = {.decode = decode};

    d.repeat = (uint64_t)bench_arg_int(argc, argv, "--repeat", 2);
    bench_payloads_make(&d.payloads, (uint64_t)bench_arg_int(argc, argv, "--records", 131072),
                        bench_record_json);
    return bench_decode_serve(&d);
}
