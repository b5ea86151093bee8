/*
 * Peer of D2: simdjson ondemand reading 4 of 8 fields of each object.
 *
 *   peer-d2-simdjson [--records N] [--repeat R]
 *
 * Each event is a document of its own, as it is when it comes from Kafka, parsed where it lies
 * (the buffer of all payloads has the padding at its end, so nothing is copied first). The fields
 * are asked for in document order by find_field, the fastest way when the order is known; strings
 * are unescaped by simdjson and copied into the columns. Built for the machine it runs on:
 * ondemand takes its kernels at compile time.
 */
#include "../bench.h"

#include <simdjson.h>

namespace
{
using namespace simdjson;

/* NULL, or what went wrong. */
const char *take(ondemand::document &document, bench_columns *columns)
{
    std::string_view user_id, page;
    bench_wanted w;
    ondemand::object object;
    error_code error = document.get_object().get(object);

    if (!error)
        error = object.find_field("user_id").get_string().get(user_id);
    if (!error)
        error = object.find_field("page").get_string().get(page);
    if (!error)
        error = object.find_field("viewed_at").get_int64().get(w.viewed_at);
    if (!error)
        error = object.find_field("load_ms").get_double().get(w.load_ms);
    if (error)
        return error_message(error);
    w.user_id = user_id.data();
    w.user_id_len = user_id.size();
    w.page = page.data();
    w.page_len = page.size();
    bench_columns_add(columns, &w);
    return nullptr;
}

void decode(bench_decode *d, uint64_t first, uint64_t end)
{
    ondemand::parser &parser = *static_cast<ondemand::parser *>(d->user_data);
    const bench_payloads &p = d->payloads;

    for (uint64_t i = first; i < end; i++) {
        ondemand::document document;
        size_t offset = p.offsets[i];
        error_code error = parser
                               .iterate(p.bytes + offset, p.offsets[i + 1] - offset,
                                        p.bytes_len + SIMDJSON_PADDING - offset)
                               .get(document);
        const char *why = error ? error_message(error) : take(document, d->columns);

        if (why)
            bench_die("record %llu: %s", static_cast<unsigned long long>(i), why);
    }
}
} // namespace

int main(int argc, char **argv)
{
    static_assert(SIMDJSON_PADDING <= 64, "bench_payloads has 64 bytes of padding");
    ondemand::parser parser;
    bench_decode d = {};

    d.decode = decode;
    d.user_data = &parser;
    d.repeat = static_cast<uint64_t>(bench_arg_int(argc, argv, "--repeat", 8));
    bench_payloads_make(&d.payloads,
                        static_cast<uint64_t>(bench_arg_int(argc, argv, "--records", 131072)),
                        bench_record_json);
    return bench_decode_serve(&d);
}
