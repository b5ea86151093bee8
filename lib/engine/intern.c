/*
 * engine/intern.c: the interner's table.
 *
 * A slot holds 32 bits of the hash and id + 1, so a probe that hits touches one line of slots and
 * one key; only bytes of long keys are compared in the arena, after 64 bits of hash were equal. The
 * place of a tag is its low bits, hence the table grows without touching a key. At most 5 of 8
 * slots are taken.
 *
 * A block goes in three passes: prefetch the slots; find the first slot with the tag and prefetch
 * its key; compare, walk on, insert. Keys added by an earlier row of the block are found in the
 * third pass, because a miss walks the slots again.
 *
 * A sweep rebuilds slots, free ids and (when long keys died) the arena from the live keys: linear
 * in the table, so its caller sweeps only after the number of keys has doubled, or when memory is
 * short.
 */
#include "engine/intern.h"

#define SLOTS_MIN 1024u
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
    evs__account_free(a, t->slots, t->slot_count, sizeof(*t->slots));
    evs__account_free(a, t->keys, t->key_capacity, sizeof(*t->keys));
    evs__account_free(a, t->free_ids, t->free_capacity, sizeof(*t->free_ids));
    evs__account_free(a, t->arena, t->arena_capacity, 1);
    evs__intern_init(t, a);
}

static uint32_t slots_for(uint32_t count)
{
    uint32_t slots = SLOTS_MIN;
    while ((uint64_t)count * 8 > (uint64_t)slots * 5)
        slots *= 2;
    return slots;
}

static void put_slot(uint64_t *slots, uint32_t mask, uint64_t slot)
{
    uint32_t at = (uint32_t)(slot >> 32) & mask;
    while (slots[at])
        at = (at + 1) & mask;
    slots[at] = slot;
}

static evs_status grow_slots(evs__intern *t, uint32_t slot_count)
{
    uint64_t *slots = NULL;
    evs_status status =
        evs__account_resize(t->account, (void **)&slots, 0, slot_count, sizeof(*slots));
    if (status)
        return status;
    memset(slots, 0, slot_count * sizeof(*slots));
    for (uint32_t i = 0; i < t->slot_count; i++) {
        if (t->slots[i])
            put_slot(slots, slot_count - 1, t->slots[i]);
    }
    evs__account_free(t->account, t->slots, t->slot_count, sizeof(*slots));
    t->slots = slots;
    t->slot_count = slot_count;
    return EVS_OK;
}

/* room for n more keys, whichever they are */
static evs_status reserve(evs__intern *t, uint32_t n)
{
    uint32_t slots = slots_for(t->count + n);
    uint32_t fresh = n > t->free_count ? n - t->free_count : 0;
    evs_status status = EVS_OK;

    if (t->count + n > EVS__INTERN_MAX)
        return EVS_ERR_LIMIT;
    if (slots > t->slot_count)
        status = grow_slots(t, slots);
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

static evs_status insert(evs__intern *t, const evs__intern_probe *p, uint32_t at, uint32_t *ret_id)
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
    t->slots[at] = (uint64_t)p->tag << 32 | (id + 1);
    t->count++;
    *ret_id = id;
    return EVS_OK;
}

static evs_status find_or_insert(evs__intern *t, const evs__intern_probe *p, uint32_t *ret_id)
{
    uint32_t mask = t->slot_count - 1;
    uint32_t at = p->tag & mask;

    for (; t->slots[at]; at = (at + 1) & mask) {
        uint32_t id = (uint32_t)t->slots[at] - 1;
        if (t->slots[at] >> 32 == p->tag && key_equal(t, id, p)) {
            *ret_id = id;
            return EVS_OK;
        }
    }
    return insert(t, p, at, ret_id);
}

/* first slot with the tag, or UINT32_MAX; keys are only guessed at, so that their misses overlap */
static void guess(const evs__intern *t, const evs__intern_probe *probes, uint32_t n, uint32_t *ids)
{
    uint32_t mask = t->slot_count - 1;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = probes[i].tag & mask;
        uint64_t slot = t->slots[at];
        while (slot && slot >> 32 != probes[i].tag) {
            at = (at + 1) & mask;
            slot = t->slots[at];
        }
        ids[i] = (uint32_t)slot - 1;
        /* of an empty slot: some line near the keys, never read */
        __builtin_prefetch(&t->keys[ids[i] & (EVS__INTERN_MAX - 1)]);
    }
}

evs_status
evs__intern_add(evs__intern *t, const evs__intern_probe *probes, uint32_t n, uint32_t *ids)
{
    uint32_t mask;
    evs_status status = reserve(t, n);

    if (status)
        return status;
    mask = t->slot_count - 1;
    for (uint32_t i = 0; i < n; i++)
        __builtin_prefetch(&t->slots[probes[i].tag & mask]);
    guess(t, probes, n, ids);
    for (uint32_t i = 0; i < n && !status; i++) {
        if (EVS__LIKELY(ids[i] != UINT32_MAX && key_equal(t, ids[i], &probes[i])))
            continue;
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

/* the old slots are cleared, or replaced by fewer when there are far too many */
static void rebuild_slots(evs__intern *t, const uint8_t *live)
{
    uint32_t want = slots_for(t->count * 2);

    if (want < t->slot_count) {
        uint64_t *slots = NULL;
        if (!evs__account_resize(t->account, (void **)&slots, 0, want, sizeof(*slots))) {
            evs__account_free(t->account, t->slots, t->slot_count, sizeof(*slots));
            t->slots = slots;
            t->slot_count = want;
        }
    }
    memset(t->slots, 0, t->slot_count * sizeof(*t->slots));
    for (uint32_t id = 0; id < t->high; id++) {
        const evs__intern_key *k = &t->keys[id];
        uint64_t hi = k->hi >> 56 == EVS__INTERN_LONG ? (uint64_t)EVS__INTERN_LONG << 56 : k->hi;
        if (is_live(live, id))
            put_slot(t->slots, t->slot_count - 1,
                     (uint64_t)evs__intern_tag(k->lo, hi) << 32 | (id + 1));
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
        if (!is_live(live, id))
            t->free_ids[t->free_count++] = id; /* the lowest is given out first */
    }
    compact_arena(t, live);
    rebuild_slots(t, live);
    if (high < t->key_capacity / 4 && !evs__account_resize(t->account, (void **)&t->keys,
                                                           t->key_capacity, high, sizeof(*t->keys)))
        t->key_capacity = high;
}
