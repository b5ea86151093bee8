/*
 * engine/intern.c: the interner's table.
 *
 * A bucket is one cache line: 8 tags (32 bits of the hash) and 8 ids. The home of a tag is its low
 * bits, so the table grows without touching a key; a full bucket spills into the next one. All tags
 * of a bucket are compared at once, without a branch that the data decides, and half of all places
 * are taken at most, so nearly every key is found in its home bucket: one miss for the bucket, one
 * for the key. Only bytes of long keys are compared in the arena, after 64 bits of hash were equal.
 *
 * A block goes in three passes: prefetch the buckets; find the first equal tag and prefetch its
 * key; compare, walk on, insert. Keys added by an earlier row of the block are found in the third
 * pass, because a miss looks again.
 *
 * A sweep rebuilds buckets, free ids and (when long keys died) the arena from the live keys: linear
 * in the table, so its caller sweeps only after the number of keys has doubled, or when memory is
 * short.
 */
#include "engine/intern.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BUCKETS_MIN 2u
#define PREFETCH_MIN 256u /* fewer buckets are in the nearest cache anyway */
#define ARENA_OFFSET(hi) ((hi) & ~(UINT64_C(0xff) << 56))

void evs__intern_init(evs__intern *t, evs__account *account)
{
    *t = (evs__intern){.account = account};
}

void evs__intern_free(evs__intern *t)
{
    evs__account *a = t->account;
    if (!a)
        return;
    evs__account_free(a, t->buckets, t->bucket_count, sizeof(*t->buckets));
    evs__account_free(a, t->keys, t->key_capacity, sizeof(*t->keys));
    evs__account_free(a, t->free_ids, t->free_capacity, sizeof(*t->free_ids));
    evs__account_free(a, t->arena, t->arena_capacity, 1);
    evs__intern_init(t, a);
}

static uint32_t buckets_for(uint32_t count)
{
    uint32_t buckets = BUCKETS_MIN;
    while ((uint64_t)count * 2 > (uint64_t)buckets * EVS__INTERN_WAYS)
        buckets *= 2;
    return buckets;
}

/* one bit for each way whose tag is this one */
static inline uint32_t ways_with(const evs__intern_bucket *b, uint32_t tag)
{
#ifdef __SSE2__
    __m128i want = _mm_set1_epi32((int)tag);
    __m128i low = _mm_cmpeq_epi32(_mm_loadu_si128((const __m128i *)b->tags), want);
    __m128i high = _mm_cmpeq_epi32(_mm_loadu_si128((const __m128i *)(b->tags + 4)), want);
    return (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(low)) |
           (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(high)) << 4;
#else
    uint32_t ways = 0;
    for (uint32_t i = 0; i < EVS__INTERN_WAYS; i++)
        ways |= (uint32_t)(b->tags[i] == tag) << i;
    return ways;
#endif
}

static inline bool is_full(const evs__intern_bucket *b)
{
    return b->tags[EVS__INTERN_WAYS - 1] != 0;
}

static void put(evs__intern_bucket *buckets, uint32_t mask, uint32_t tag, uint32_t id)
{
    evs__intern_bucket *b = &buckets[tag & mask];
    uint32_t at = tag & mask, way;

    while (is_full(b)) {
        at = (at + 1) & mask;
        b = &buckets[at];
    }
    way = (uint32_t)__builtin_ctz(ways_with(b, 0));
    b->tags[way] = tag;
    b->ids[way] = id;
}

static evs_status grow_buckets(evs__intern *t, uint32_t count)
{
    evs__intern_bucket *buckets = NULL;
    evs_status status =
        evs__account_resize(t->account, (void **)&buckets, 0, count, sizeof(*buckets));
    if (status)
        return status;
    memset(buckets, 0, count * sizeof(*buckets));
    for (uint32_t i = 0; i < t->bucket_count; i++) {
        const evs__intern_bucket *b = &t->buckets[i];
        for (uint32_t way = 0; way < EVS__INTERN_WAYS && b->tags[way]; way++)
            put(buckets, count - 1, b->tags[way], b->ids[way]);
    }
    evs__account_free(t->account, t->buckets, t->bucket_count, sizeof(*buckets));
    t->buckets = buckets;
    t->bucket_count = count;
    return EVS_OK;
}

/* room for n more keys, whichever they are */
static evs_status reserve(evs__intern *t, uint32_t n)
{
    uint32_t buckets = buckets_for(t->count + n);
    uint32_t fresh = n > t->free_count ? n - t->free_count : 0;
    evs_status status = EVS_OK;

    if (t->count + n > EVS__INTERN_MAX)
        return EVS_ERR_LIMIT;
    if (buckets > t->bucket_count)
        status = grow_buckets(t, buckets);
    if (!status && t->high + fresh > t->key_capacity) {
        uint32_t capacity = t->key_capacity * 2;
        if (capacity < t->high + fresh)
            capacity = t->high + fresh;
        status = evs__account_resize(t->account, (void **)&t->keys, t->key_capacity, capacity,
                                     sizeof(*t->keys));
        if (!status)
            t->key_capacity = capacity;
    }
    return status;
}

static evs_status reserve_arena(evs__intern *t, size_t extra)
{
    size_t capacity = t->arena_capacity * 2;
    evs_status status;

    if (t->arena_capacity - t->arena_len >= extra)
        return EVS_OK;
    if (capacity < t->arena_len + extra)
        capacity = t->arena_len + extra;
    status = evs__account_resize(t->account, (void **)&t->arena, t->arena_capacity, capacity, 1);
    if (!status)
        t->arena_capacity = capacity;
    return status;
}

static bool key_equal(const evs__intern *t, uint32_t id, const evs__intern_probe *p)
{
    const evs__intern_key *k = &t->keys[id];
    const char *stored;
    uint32_t len;

    if (k->lo != p->lo)
        return false;
    if (EVS__LIKELY(p->hi >> 56 != EVS__INTERN_LONG))
        return k->hi == p->hi;
    if (k->hi >> 56 != EVS__INTERN_LONG)
        return false;
    stored = t->arena + ARENA_OFFSET(k->hi);
    memcpy(&len, stored, sizeof(len));
    return len == p->len && memcmp(stored + sizeof(len), p->data, len) == 0;
}

static evs_status insert(evs__intern *t, const evs__intern_probe *p, uint32_t *ret_id)
{
    evs__intern_key key = {p->lo, p->hi};
    uint32_t id;

    if (p->hi >> 56 == EVS__INTERN_LONG) {
        evs_status status = reserve_arena(t, sizeof(p->len) + p->len);
        if (status)
            return status;
        key.hi |= t->arena_len;
        memcpy(t->arena + t->arena_len, &p->len, sizeof(p->len));
        memcpy(t->arena + t->arena_len + sizeof(p->len), p->data, p->len);
        t->arena_len += sizeof(p->len) + p->len;
    }
    id = t->free_count ? t->free_ids[--t->free_count] : t->high++;
    t->keys[id] = key;
    put(t->buckets, t->bucket_count - 1, p->tag, id);
    t->count++;
    *ret_id = id;
    return EVS_OK;
}

/* EVS__INTERN_ABSENT: not there; the table has buckets */
static uint32_t find(const evs__intern *t, const evs__intern_probe *p)
{
    uint32_t mask = t->bucket_count - 1;

    for (uint32_t at = p->tag & mask;; at = (at + 1) & mask) {
        const evs__intern_bucket *b = &t->buckets[at];
        for (uint32_t ways = ways_with(b, p->tag); ways; ways &= ways - 1) {
            uint32_t id = b->ids[__builtin_ctz(ways)];
            if (key_equal(t, id, p))
                return id;
        }
        if (!is_full(b))
            return EVS__INTERN_ABSENT;
    }
}

uint32_t evs__intern_find(const evs__intern *t, const evs__intern_probe *probe)
{
    return t->count ? find(t, probe) : EVS__INTERN_ABSENT;
}

static evs_status find_or_insert(evs__intern *t, const evs__intern_probe *p, uint32_t *ret_id)
{
    *ret_id = find(t, p);
    return *ret_id == EVS__INTERN_ABSENT ? insert(t, p, ret_id) : EVS_OK;
}

/* The id with the first equal tag of the home bucket; of none, the id in its last place (0 when
 * that is empty), which the comparison finds out. Keys are prefetched, so that their misses
 * overlap. */
static void guess(const evs__intern *t, const evs__intern_probe *probes, uint32_t n, uint32_t *ids)
{
    uint32_t mask = t->bucket_count - 1;
    for (uint32_t i = 0; i < n; i++) {
        const evs__intern_bucket *b = &t->buckets[probes[i].tag & mask];
        uint32_t ways = ways_with(b, probes[i].tag) | 1u << (EVS__INTERN_WAYS - 1);
        ids[i] = b->ids[__builtin_ctz(ways)];
        __builtin_prefetch(&t->keys[ids[i]]);
    }
}

evs_status
evs__intern_add(evs__intern *t, const evs__intern_probe *probes, uint32_t n, uint32_t *ids)
{
    uint32_t mask;
    evs_status status = reserve(t, n);

    if (status)
        return status;
    mask = t->bucket_count - 1;
    for (uint32_t i = 0; i < n && mask >= PREFETCH_MIN; i++)
        __builtin_prefetch(&t->buckets[probes[i].tag & mask]);
    guess(t, probes, n, ids);
    for (uint32_t i = 0; i < n && !status; i++) {
        if (EVS__UNLIKELY(!t->count || !key_equal(t, ids[i], &probes[i])))
            status = find_or_insert(t, &probes[i], &ids[i]);
    }
    return status;
}

/* ---- sweep ---- */

static bool is_live(const uint8_t *live, uint32_t id)
{
    return live[id >> 3] >> (id & 7) & 1;
}

/* long keys move to a new arena; when there is no memory for it the old one, with gaps, stays */
static void compact_arena(evs__intern *t, const uint8_t *live)
{
    size_t need = 0, used = 0;
    char *arena = NULL;

    for (uint32_t id = 0; id < t->high; id++) {
        if (is_live(live, id) && t->keys[id].hi >> 56 == EVS__INTERN_LONG)
            need += sizeof(uint32_t) + evs__intern_len(t, id);
    }
    if (need == t->arena_len)
        return;
    if (need && evs__account_resize(t->account, (void **)&arena, 0, need, 1))
        return;
    for (uint32_t id = 0; id < t->high; id++) {
        size_t bytes;
        if (!is_live(live, id) || t->keys[id].hi >> 56 != EVS__INTERN_LONG)
            continue;
        bytes = sizeof(uint32_t) + evs__intern_len(t, id);
        memcpy(arena + used, t->arena + ARENA_OFFSET(t->keys[id].hi), bytes);
        t->keys[id].hi = (uint64_t)EVS__INTERN_LONG << 56 | used;
        used += bytes;
    }
    evs__account_free(t->account, t->arena, t->arena_capacity, 1);
    t->arena = arena;
    t->arena_len = used;
    t->arena_capacity = need;
}

/* the old buckets are cleared, or replaced by fewer when there are far too many */
static void rebuild_buckets(evs__intern *t, const uint8_t *live)
{
    uint32_t want = buckets_for(t->count * 2);

    if (want < t->bucket_count) {
        evs__intern_bucket *buckets = NULL;
        if (!evs__account_resize(t->account, (void **)&buckets, 0, want, sizeof(*buckets))) {
            evs__account_free(t->account, t->buckets, t->bucket_count, sizeof(*buckets));
            t->buckets = buckets;
            t->bucket_count = want;
        }
    }
    memset(t->buckets, 0, t->bucket_count * sizeof(*t->buckets));
    for (uint32_t id = 0; id < t->high; id++) {
        const evs__intern_key *k = &t->keys[id];
        uint64_t hi = k->hi >> 56 == EVS__INTERN_LONG ? (uint64_t)EVS__INTERN_LONG << 56 : k->hi;
        if (is_live(live, id))
            put(t->buckets, t->bucket_count - 1, evs__intern_tag(k->lo, hi), id);
    }
}

void evs__intern_sweep(evs__intern *t, const uint8_t *live)
{
    uint32_t count = 0, high = 0, dead;

    for (uint32_t id = 0; id < t->high; id++) {
        if (is_live(live, id)) {
            count++;
            high = id + 1;
        }
    }
    if (!count) {
        evs__intern_free(t);
        return;
    }
    dead = high - count;
    if (dead > t->free_capacity) {
        /* without a list of free ids nothing can be forgotten: try again at the next sweep */
        if (evs__account_resize(t->account, (void **)&t->free_ids, t->free_capacity, dead,
                                sizeof(*t->free_ids)))
            return;
        t->free_capacity = dead;
    }
    t->high = high;
    t->count = count;
    t->free_count = 0;
    for (uint32_t id = high; id-- > 0;) {
        if (is_live(live, id))
            continue;
        t->free_ids[t->free_count++] = id; /* the lowest is given out first */
        t->keys[id] = (evs__intern_key){0, (uint64_t)EVS__INTERN_DEAD << 56};
    }
    compact_arena(t, live);
    rebuild_buckets(t, live);
    if (high < t->key_capacity / 4 && !evs__account_resize(t->account, (void **)&t->keys,
                                                           t->key_capacity, high, sizeof(*t->keys)))
        t->key_capacity = high;
}
