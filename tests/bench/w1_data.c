/*
 * Writes the rows of W1 for a peer that is not C.
 *
 *   bench-w1-data --file PATH [--rows N] [--keys K] [--dist uniform|zipf]
 *
 * The file is N times an int64 (event time in milliseconds), then N times the 12 bytes of the key,
 * in the machine's byte order: columns that Arrow takes as they are.
 */
#include "bench.h"

#include <stdio.h>

#define BLOCK 65536

static void put(FILE *f, const void *bytes, size_t size, size_t count)
{
    if (fwrite(bytes, size, count, f) != count)
        bench_die("cannot write");
}

int main(int argc, char **argv)
{
    static char keys[BLOCK][BENCH_KEY_LEN];
    static int64_t times[BLOCK];
    const char *path = bench_arg(argc, argv, "--file", "bench-w1.bin");
    uint64_t rows = (uint64_t)bench_arg_int(argc, argv, "--rows", 10000000), key;
    FILE *f = fopen(path, "w");
    struct bench_keyed data;

    if (!f)
        bench_die("%s: cannot be written", path);
    bench_keyed_init(&data, rows, (uint64_t)bench_arg_int(argc, argv, "--keys", 100000),
                     bench_arg(argc, argv, "--dist", "uniform"));
    for (int column = 0; column < 2; column++) {
        for (uint64_t first = 0; first < rows; first += BLOCK) {
            size_t count = rows - first < BLOCK ? (size_t)(rows - first) : BLOCK;

            for (size_t i = 0; i < count; i++) {
                bench_keyed_make(&data, first + i, &key, &times[i]);
                bench_keyed_text(key, keys[i]);
            }
            if (column == 0)
                put(f, times, sizeof(times[0]), count);
            else
                put(f, keys, sizeof(keys[0]), count);
        }
    }
    if (fclose(f))
        bench_die("%s: cannot be written", path);
    return 0;
}
