/*
 * engine/intern.h: byte strings to small numbers, once per task.
 *
 *   probe (hash, first bytes) --> buckets: 8 tags, 8 ids --> keys [id]: 16 bytes
 *                                 a cache line each           up to 15 bytes of text and its
 *                                                             length, or hash, place in the arena
 *
 * An id stays the same as long as it is live; ids are dense from 0, those of swept keys are given
 * out again. Nobody removes a single key: who owns the ids tells now and then which are live
 * (evs__intern_sweep). Look-ups go in blocks whose buckets, then keys, are prefetched, so that the
 * misses of a block overlap.
 */
#ifndef EVS_ENGINE_INTERN_H
#define EVS_ENGINE_INTERN_H

#include "base/hash.h"
#include "engine/account.h"

#define EVS__INTERN_BLOCK 256      /* most probes of one call */
#define EVS__INTERN_MAX (1u << 30) /* ids */
#define EVS__INTERN_ABSENT UINT32_MAX
#define EVS__INTERN_NULL_LEN UINT32_MAX /* "length" of NULL, which is a key of its own */

typedef struct evs__intern_key {
    uint64_t lo; /* bytes 0..7; of a long key: its hash */
    uint64_t hi; /* bytes 8..14, and the length or a mark in the highest byte; long: arena offset */
} evs__intern_key;

typedef struct evs__intern_probe {
    uint64_t lo, hi;
    const char *data; /* of long keys; borrowed until the look-up */
    uint32_t len;     /* of long keys */
    uint32_t tag;
} evs__intern_probe;

#define EVS__INTERN_WAYS 8

typedef struct evs__intern_bucket {
    uint32_t tags[EVS__INTERN_WAYS]; /* 0: empty; taken from the front */
    uint32_t ids[EVS__INTERN_WAYS];
} evs__intern_bucket;

typedef struct evs__intern {
    evs__account *account;
    evs__intern_bucket *buckets;
    uint32_t bucket_count; /* a power of two, or 0 */
    uint32_t count;        /* keys that are live or not yet swept */
    evs__intern_key *keys;
    uint32_t key_capacity;
    uint32_t high; /* ids below were given out at some time */
    uint32_t *free_ids;
    uint32_t free_count, free_capacity;
    char *arena; /* [uint32 length][bytes] of long keys */
    size_t arena_len, arena_capacity;
} evs__intern;

void evs__intern_init(evs__intern *t, evs__account *account);
void evs__intern_free(evs__intern *t);
/* ids of `n` (at most EVS__INTERN_BLOCK) keys, new ones are added; EVS_ERR_LIMIT, EVS_ERR_NOMEM:
 * keys added so far stay, unused, until the next sweep */
evs_status
evs__intern_add(evs__intern *t, const evs__intern_probe *probes, uint32_t n, uint32_t *ids);
/* the id of a key that is there; EVS__INTERN_ABSENT */
uint32_t evs__intern_find(const evs__intern *t, const evs__intern_probe *probe);
/* forget every key whose bit of `live` (t->high bits) is not set; its memory goes back */
void evs__intern_sweep(evs__intern *t, const uint8_t *live);

#define EVS__INTERN_LONG 0xffu
#define EVS__INTERN_NULL 0xfeu
#define EVS__INTERN_DEAD 0xfdu /* swept: equal to nothing */
#define EVS__INTERN_INLINE 15u

static inline uint32_t evs__intern_tag(uint64_t lo, uint64_t hi)
{
    uint64_t h = evs__mix64(lo, hi);
    uint32_t tag = (uint32_t)(h ^ (h >> 32));
    return tag ? tag : 1;
}

/*
 * The first bytes of a key as two numbers, without reading past its end. Little endian, as is
 * everything that is kept.
 */
static inline void
evs__intern_pack(const char *data, uint32_t len, uint64_t *ret_lo, uint64_t *ret_hi)
{
    const unsigned char *p = (const unsigned char *)data;
    uint64_t lo = 0, hi = 0;
    if (len >= 8) {
        lo = evs__load64(p);
        hi = (evs__load64(p + len - 8) >> (8 * (15 - len))) >> 8;
    } else if (len >= 4) {
        lo = evs__load32(p) | evs__load32(p + len - 4) << (8 * (len - 4));
    } else if (len) {
        lo = (uint64_t)p[0] | (uint64_t)p[len >> 1] << (8 * (len >> 1)) |
             (uint64_t)p[len - 1] << (8 * (len - 1));
    }
    *ret_lo = lo;
    *ret_hi = hi | (uint64_t)len << 56;
}

/* data and len of short keys are not needed and not written */
static inline void evs__intern_probe_put(evs__intern_probe *p, const char *data, uint32_t len)
{
    uint64_t lo, hi;
    if (EVS__LIKELY(len <= EVS__INTERN_INLINE)) {
        evs__intern_pack(data, len, &lo, &hi);
    } else {
        lo = evs__hash_bytes(data, len, 0);
        hi = (uint64_t)EVS__INTERN_LONG << 56;
        p->data = data;
        p->len = len;
    }
    p->lo = lo;
    p->hi = hi;
    p->tag = evs__intern_tag(lo, hi);
}

static inline evs__intern_probe evs__intern_probe_bytes(const char *data, uint32_t len)
{
    evs__intern_probe p = {0, 0, NULL, len, 0};
    evs__intern_probe_put(&p, data, len);
    return p;
}

static inline evs__intern_probe evs__intern_probe_u64(uint64_t value)
{
    evs__intern_probe p = {value, UINT64_C(8) << 56, NULL, 8, 0};
    p.tag = evs__intern_tag(p.lo, p.hi);
    return p;
}

static inline evs__intern_probe evs__intern_probe_null(void)
{
    evs__intern_probe p = {0, (uint64_t)EVS__INTERN_NULL << 56, NULL, EVS__INTERN_NULL_LEN, 0};
    p.tag = evs__intern_tag(p.lo, p.hi);
    return p;
}

/* length in bytes; EVS__INTERN_NULL_LEN for NULL */
static inline uint32_t evs__intern_len(const evs__intern *t, uint32_t id)
{
    uint64_t hi = t->keys[id].hi;
    uint32_t mark = (uint32_t)(hi >> 56), len;
    if (EVS__LIKELY(mark <= EVS__INTERN_INLINE))
        return mark;
    if (mark == EVS__INTERN_NULL)
        return EVS__INTERN_NULL_LEN;
    memcpy(&len, t->arena + (hi & ~(UINT64_C(0xff) << 56)), sizeof(len));
    return len;
}

/* the bytes; borrowed until the next add or sweep */
static inline const char *evs__intern_data(const evs__intern *t, uint32_t id)
{
    uint64_t hi = t->keys[id].hi;
    if (hi >> 56 != EVS__INTERN_LONG)
        return (const char *)&t->keys[id];
    return t->arena + (hi & ~(UINT64_C(0xff) << 56)) + sizeof(uint32_t);
}

#endif
