/*
 * Clocks, command line, result line and numbers of the benchmarks; the data sets are in data.c.
 */
#include "bench.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

double bench_cpu_s(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

double bench_wall_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

uint64_t bench_resident_kb(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    unsigned long long kb = 0;
    char line[128];

    while (f && fgets(line, sizeof(line), f) && sscanf(line, "VmRSS: %llu kB", &kb) != 1)
        ;
    if (f)
        fclose(f);
    return kb;
}

void bench_timer_start(struct bench_timer *t)
{
    t->wall_s = bench_wall_s();
    t->cpu_s = bench_cpu_s();
}

void bench_timer_stop(struct bench_timer *t)
{
    t->cpu_s = bench_cpu_s() - t->cpu_s;
    t->wall_s = bench_wall_s() - t->wall_s;
}

void bench_print(const struct bench_result *r)
{
    printf("cpu_s=%.6f wall_s=%.6f rows=%" PRIu64 " groups=%" PRIu64 " checksum=%" PRIu64 "\n",
           r->time.cpu_s, r->time.wall_s, r->rows, r->groups, r->checksum);
    fflush(stdout);
}

void bench_file_check(const char *path, struct bench_result *ret_result)
{
    FILE *f = fopen(path, "r");
    int byte;

    if (!f)
        bench_die("%s: cannot be read", path);
    while ((byte = getc_unlocked(f)) != EOF) {
        ret_result->groups += byte == '\n';
        ret_result->checksum = (ret_result->checksum ^ (uint64_t)byte) * 0x100000001b3ULL;
    }
    fclose(f);
}

int bench_serve(int (*run)(void *user_data, struct bench_result *ret_result), void *user_data)
{
    char line[64];

    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        struct bench_result r;

        memset(&r, 0, sizeof(r));
        if (run(user_data, &r))
            return 1;
        bench_print(&r);
    }
    return 0;
}

void bench_die(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

void *bench_alloc(size_t bytes)
{
    void *p = malloc(bytes ? bytes : 1);

    if (!p)
        bench_die("out of memory (%zu bytes)", bytes);
    return p;
}

const char *bench_arg(int argc, char **argv, const char *name, const char *fallback)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], name))
            return argv[i + 1];
    }
    return fallback;
}

int64_t bench_arg_int(int argc, char **argv, const char *name, int64_t fallback)
{
    const char *text = bench_arg(argc, argv, name, NULL);

    return text ? strtoll(text, NULL, 10) : fallback;
}

uint64_t bench_hash(uint64_t seed, uint64_t i)
{
    uint64_t z = (seed << 40) + (i + 1) * 0x9e3779b97f4a7c15ULL;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

void bench_digits(char *at, unsigned digits, uint64_t v)
{
    while (digits--) {
        at[digits] = (char)('0' + v % 10);
        v /= 10;
    }
}

unsigned bench_decimal(char *at, uint64_t v)
{
    unsigned digits = 1;

    for (uint64_t rest = v; rest >= 10; rest /= 10)
        digits++;
    bench_digits(at, digits, v);
    return digits;
}
