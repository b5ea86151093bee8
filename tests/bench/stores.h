/*
 * What is in a store after S2 or S3, read back outside the clock: the number of rows and the sum of
 * bench_stored_hash() over them. Ours and peer are checked by the same code.
 */
#ifndef EVS_BENCH_STORES_H
#define EVS_BENCH_STORES_H

#include "bench.h"

void bench_redis_clear(int port);
void bench_redis_check(int port, uint64_t rows, uint64_t pages, struct bench_result *ret_result);
/* Columns page, window_start (milliseconds), views, users, load_ms of a table. */
void bench_sqlite_check(const char *path, const char *table, struct bench_result *ret_result);

#endif
