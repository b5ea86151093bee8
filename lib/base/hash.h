/*
 * base/hash.h: 64-bit hashes of bytes and integers, fixed for ever: task placement and snapshots
 * depend on them. Not for adversarial keys across processes: tables bound their probe length by
 * growing, and all state has a byte bound.
 */
#ifndef EVS_BASE_HASH_H
#define EVS_BASE_HASH_H

#include <string.h>

#include "base/context.h"

static inline uint64_t evs__mix64(uint64_t a, uint64_t b)
{
    unsigned __int128 m = (unsigned __int128)(a ^ 0x9e3779b97f4a7c15u) * (b ^ 0xd6e8feb86659fd93u);
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static inline uint64_t evs__load64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

static inline uint64_t evs__load32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static inline uint64_t evs__hash_bytes(const void *data, size_t len, uint64_t seed)
{
    const unsigned char *p = data;
    uint64_t a, b, h = seed ^ 0xa0761d6478bd642fu;
    size_t n = len;
    while (n > 16) {
        h = evs__mix64(evs__load64(p) ^ h, evs__load64(p + 8));
        p += 16;
        n -= 16;
    }
    if (n >= 8) {
        a = evs__load64(p);
        b = evs__load64(p + n - 8);
    } else if (n >= 4) {
        a = evs__load32(p);
        b = evs__load32(p + n - 4);
    } else if (n) {
        a = ((uint64_t)p[0] << 16) | ((uint64_t)p[n >> 1] << 8) | p[n - 1];
        b = 0;
    } else {
        a = b = 0;
    }
    return evs__mix64(evs__mix64(a ^ h, b ^ 0xe7037ed1a0b428dbu), len);
}

static inline uint64_t evs__hash_u64(uint64_t v, uint64_t seed)
{
    return evs__mix64(v ^ seed, 0x8ebc6af09c88c6e3u);
}

/* CRC-32C of snapshots and files; start with crc 0, pass the result to go on */
uint32_t evs__crc32c(uint32_t crc, const void *data, size_t len);
/* the same without the processor's instruction; for the test that compares both */
uint32_t evs__crc32c_portable(uint32_t crc, const void *data, size_t len);

#endif
