/*
 * Peer of S4: plain fwrite of lines that are ready.
 *
 *   peer-s4-fwrite --copy FILE --file PATH [--buffer B] [--rows N]
 *
 * The lines of FILE, which ours has written, are in memory before the clock starts (without the
 * file, N lines like them); then each is one fwrite into PATH, through a stdio buffer of B bytes
 * (0: the default one). No rendering at all: the floor under any writer of these bytes.
 */
#include "../bench.h"

#include <stdio.h>
#include <stdlib.h>

#define LINE_MAX 192

struct peer {
    const char *copy, *file;
    size_t buffer_bytes, len;
    char *bytes;
    uint64_t lines;
};

static void make_lines(struct peer *p)
{
    struct bench_stored row;

    p->bytes = bench_alloc(p->lines * LINE_MAX);
    for (uint64_t i = 0; i < p->lines; i++) {
        bench_stored_make(i, 50000, &row);
        p->len += (size_t)snprintf(p->bytes + p->len, LINE_MAX,
                                   "{\"page\":\"%.9s\",\"window_start\":%lld,\"views\":%lld,"
                                   "\"users\":%lld,\"load_ms\":%.17g}\n",
                                   row.page, (long long)row.window_start, (long long)row.views,
                                   (long long)row.users, row.load_ms);
    }
}

static void load(struct peer *p)
{
    FILE *f = fopen(p->copy, "r");

    if (!f && p->lines) {
        make_lines(p);
        return;
    }
    p->lines = 0;
    if (!f || fseek(f, 0, SEEK_END))
        bench_die("%s: cannot be read", p->copy);
    p->len = (size_t)ftell(f);
    rewind(f);
    p->bytes = bench_alloc(p->len);
    if (fread(p->bytes, 1, p->len, f) != p->len)
        bench_die("%s: cannot be read", p->copy);
    fclose(f);
    for (size_t i = 0; i < p->len; i++)
        p->lines += p->bytes[i] == '\n';
}

static void write_all(const struct peer *p)
{
    FILE *f = fopen(p->file, "w");
    const char *at = p->bytes, *end = p->bytes + p->len;

    if (!f || (p->buffer_bytes && setvbuf(f, NULL, _IOFBF, p->buffer_bytes)))
        bench_die("%s: cannot be written", p->file);
    while (at < end) {
        const char *next = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;

        if (fwrite(at, 1, (size_t)(next - at), f) != (size_t)(next - at))
            bench_die("%s: cannot be written", p->file);
        at = next;
    }
    if (fclose(f))
        bench_die("%s: cannot be written", p->file);
}

static int run(void *user_data, struct bench_result *ret_result)
{
    struct peer *p = user_data;

    if (!p->bytes)
        load(p);
    remove(p->file);
    bench_timer_start(&ret_result->time);
    write_all(p);
    bench_timer_stop(&ret_result->time);
    ret_result->rows = p->lines;
    bench_file_check(p->file, ret_result);
    return 0;
}

int main(int argc, char **argv)
{
    struct peer p = {0};

    p.copy = bench_arg(argc, argv, "--copy", "bench-s4-ours.jsonl");
    p.file = bench_arg(argc, argv, "--file", "bench-s4-peer.jsonl");
    p.lines = (uint64_t)bench_arg_int(argc, argv, "--rows", 0);
    p.buffer_bytes = (size_t)bench_arg_int(argc, argv, "--buffer", 65536);
    return bench_serve(run, &p);
}
