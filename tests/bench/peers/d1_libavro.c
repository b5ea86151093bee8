/*
 * Peer of D1: avro-c reading 4 of 8 fields of each datum.
 *
 *   peer-d1-libavro [--records N] [--repeat R] [--resolve 1]
 *
 * One generic value is reused for all records and its fields are taken by index, so nothing is
 * looked up or allocated per record beyond what avro-c does itself. With --resolve 1 the datum is
 * read through a resolved writer into a record of only the wanted fields, avro-c's way to skip the
 * others; it is slower or faster by version, the benchmark takes the faster one.
 */
#include "../bench.h"

#include <avro.h>
#include <stdlib.h>

static const char projected_avsc[] =
    "{\"type\":\"record\",\"name\":\"visit\",\"fields\":["
    "{\"name\":\"user_id\",\"type\":\"string\"},{\"name\":\"page\",\"type\":\"string\"},"
    "{\"name\":\"viewed_at\",\"type\":\"long\"},{\"name\":\"load_ms\",\"type\":\"double\"}]}";

struct peer {
    avro_reader_t reader;
    avro_value_t into;   /* what avro_value_read fills */
    avro_value_t record; /* where the fields are then: the same, or the projection */
    size_t user_id, page, viewed_at, load_ms;
};

static avro_schema_t parse(const char *text, size_t len)
{
    avro_schema_t schema;

    if (avro_schema_from_json_length(text, len, &schema))
        bench_die("schema: %s", avro_strerror());
    return schema;
}

static void open_peer(struct peer *p, bool resolve)
{
    avro_schema_t writer = parse(bench_record_avsc, strlen(bench_record_avsc));
    avro_schema_t wanted = resolve ? parse(projected_avsc, sizeof(projected_avsc) - 1) : writer;
    avro_value_iface_t *resolver;

    avro_generic_value_new(avro_generic_class_from_schema(wanted), &p->record);
    p->into = p->record;
    if (resolve) {
        resolver = avro_resolved_writer_new(writer, wanted);
        if (!resolver || avro_resolved_writer_new_value(resolver, &p->into))
            bench_die("resolve: %s", avro_strerror());
        avro_resolved_writer_set_dest(&p->into, &p->record);
    }
    p->reader = avro_reader_memory("", 0);
    p->user_id = 0;
    p->page = resolve ? 1 : 2;
    p->viewed_at = resolve ? 2 : 4;
    p->load_ms = resolve ? 3 : 6;
}

static void take(struct peer *p, struct bench_columns *columns)
{
    struct bench_wanted w;
    avro_value_t field;

    if (avro_value_get_by_index(&p->record, p->user_id, &field, NULL) ||
        avro_value_get_string(&field, &w.user_id, &w.user_id_len) ||
        avro_value_get_by_index(&p->record, p->page, &field, NULL) ||
        avro_value_get_string(&field, &w.page, &w.page_len) ||
        avro_value_get_by_index(&p->record, p->viewed_at, &field, NULL) ||
        avro_value_get_long(&field, &w.viewed_at) ||
        avro_value_get_by_index(&p->record, p->load_ms, &field, NULL) ||
        avro_value_get_double(&field, &w.load_ms))
        bench_die("field: %s", avro_strerror());
    w.user_id_len--; /* avro-c counts the terminator */
    w.page_len--;
    bench_columns_add(columns, &w);
}

static void decode(struct bench_decode *d, uint64_t first, uint64_t end)
{
    struct peer *p = d->user_data;

    for (uint64_t i = first; i < end; i++) {
        avro_reader_memory_set_source(p->reader, d->payloads.bytes + d->payloads.offsets[i],
                                      d->payloads.offsets[i + 1] - d->payloads.offsets[i]);
        if (avro_value_read(p->reader, &p->into))
            bench_die("record %llu: %s", (unsigned long long)i, avro_strerror());
        take(p, d->columns);
    }
}

int main(int argc, char **argv)
{
    struct peer peer;
    struct bench_decode d = {.decode = decode, .user_data = &peer};

    d.repeat = (uint64_t)bench_arg_int(argc, argv, "--repeat", 2);
    open_peer(&peer, bench_arg_int(argc, argv, "--resolve", 0));
    bench_payloads_make(&d.payloads, (uint64_t)bench_arg_int(argc, argv, "--records", 131072),
                        bench_record_avro);
    return bench_decode_serve(&d);
}
