/*
 * engine/state.c: slices in memory. The picture is in the header.
 *
 * Open slices are in a hash table by start (finding the slice of a row) and in a heap by end
 * (closing); pieces of one start are a list, highest floor first. A slice is created by the first
 * batch that has a row for it and becomes garbage free: closing moves the slice, without a copy, to
 * the closed queue; giving out the last of its results frees it.
 *
 * map: as an array when that is no larger than hashing would be, which is the normal case (most
 * keys occur in most windows) and costs one access a row; hashed when a slice has few of many keys,
 * so that a thousand small windows do not each pay for a million keys.
 *
 * Keys are swept when they are more than twice those of all slices, counted when a slice goes, so a
 * key lives on for about one window after it was last seen and a steady set of keys is interned
 * once; the cost of a sweep is shared by the keys it removes. Under memory pressure all unused keys
 * go at once.
 */
#include "engine/state.h"

#define SLOTS_MIN 16
#define GROUPS_MIN 16u
#define SWEEP_SLACK 1024u
#define PREFETCH_MIN 4096u /* smaller maps are in the nearest cache anyway */

evs__state *evs__state_new(evs_context *ctx,
                           size_t bytes_max,
                           uint32_t stride,
                           bool flagged,
                           const evs__extra_free_fn *extra_free,
                           uint32_t extra_count)
{
    evs__state *s = evs__calloc(ctx, 1, sizeof(*s));

    if (!s)
        return NULL;
    s->account = (evs__account){ctx, 0, bytes_max};
    evs__intern_init(&s->keys, &s->account);
    s->stride = stride;
    s->flagged = flagged;
    s->extra_free = extra_free;
    s->extra_count = extra_count;
    evs__heap_init(&s->order, ctx, SIZE_MAX / sizeof(evs__heap_item));
    s->closed_tail = &s->closed;
    return s;
}

/* ---- slices ---- */

static size_t map_item(const evs__slice *slice)
{
    return slice->dense ? sizeof(uint32_t) : sizeof(uint64_t);
}

void evs__slice_free(evs__state *s, evs__slice *slice)
{
    evs__account *a = &s->account;

    if (!slice)
        return;
    for (uint32_t i = 0; slice->extra && i < s->extra_count; i++) {
        if (slice->extra[i])
            s->extra_free[i](a, slice->extra[i]);
    }
    evs__account_free(a, slice->extra, s->extra_count, sizeof(*slice->extra));
    evs__account_free(a, slice->map, slice->map_size, map_item(slice));
    evs__account_free(a, slice->order, slice->capacity, sizeof(*slice->order));
    evs__account_free(a, slice->flags, slice->capacity, 1);
    evs__account_free(a, slice->rows, slice->capacity, s->stride);
    evs__account_free(a, slice->bounds, slice->capacity, EVS__BOUNDS * sizeof(*slice->bounds));
    evs__account_free(a, slice, 1, sizeof(*slice));
}

evs_status
evs__slice_new(evs__state *s, const evs__slice_bounds *bounds, bool flagged, evs__slice **ret)
{
    evs__slice *slice = NULL;
    evs_status status = evs__account_resize(&s->account, (void **)&slice, 0, 1, sizeof(*slice));

    if (status)
        return status;
    memset(slice, 0, sizeof(*slice));
    slice->start = bounds->start;
    slice->end = bounds->end;
    slice->first_window = bounds->first_window;
    slice->last_window = bounds->last_window;
    slice->floor = bounds->floor;
    slice->flagged = flagged;
    if (s->extra_count) {
        status = evs__account_resize(&s->account, (void **)&slice->extra, 0, s->extra_count,
                                     sizeof(*slice->extra));
        if (status) {
            evs__slice_free(s, slice);
            return status;
        }
        memset(slice->extra, 0, s->extra_count * sizeof(*slice->extra));
    }
    *ret = slice;
    return EVS_OK;
}

/* ---- open slices ---- */

static size_t slot_of(const evs__state *s, int64_t start)
{
    return evs__hash_u64((uint64_t)start, 0) & (s->slot_count - 1);
}

evs__slice *evs__state_find(const evs__state *s, int64_t start)
{
    if (!s->slot_count)
        return NULL;
    for (size_t at = slot_of(s, start); s->slots[at]; at = (at + 1) & (s->slot_count - 1)) {
        if (s->slots[at]->start == start)
            return s->slots[at];
    }
    return NULL;
}

static void put_slot(evs__state *s, evs__slice *slice)
{
    size_t at = slot_of(s, slice->start);
    evs__slice **piece;

    while (s->slots[at] && s->slots[at]->start != slice->start)
        at = (at + 1) & (s->slot_count - 1);
    piece = &s->slots[at];
    while (*piece && (*piece)->floor > slice->floor)
        piece = &(*piece)->older;
    slice->older = *piece;
    *piece = slice;
}

/* entries behind the gap move back when the gap lies between their place and where they are */
static void remove_slot(evs__state *s, const evs__slice *slice)
{
    size_t mask = s->slot_count - 1, gap = slot_of(s, slice->start);
    evs__slice **piece;

    while (s->slots[gap]->start != slice->start)
        gap = (gap + 1) & mask;
    for (piece = &s->slots[gap]; *piece != slice;)
        piece = &(*piece)->older;
    *piece = slice->older;
    if (s->slots[gap])
        return;
    for (size_t at = (gap + 1) & mask; s->slots[at]; at = (at + 1) & mask) {
        size_t home = slot_of(s, s->slots[at]->start);
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            s->slots[gap] = s->slots[at];
            gap = at;
        }
    }
    s->slots[gap] = NULL;
}

static evs_status grow_slots(evs__state *s)
{
    size_t old_count = s->slot_count, count = old_count ? old_count * 2 : SLOTS_MIN;
    evs__slice **old = s->slots, **slots = NULL;
    evs_status status = evs__account_resize(&s->account, (void **)&slots, 0, count, sizeof(*slots));

    if (status)
        return status;
    memset(slots, 0, count * sizeof(*slots));
    s->slots = slots;
    s->slot_count = count;
    for (size_t i = 0; i < old_count; i++) {
        size_t at = old[i] ? slot_of(s, old[i]->start) : 0;
        while (old[i] && slots[at])
            at = (at + 1) & (count - 1);
        if (old[i]) /* with its older pieces */
            slots[at] = old[i];
    }
    evs__account_free(&s->account, old, old_count, sizeof(*old));
    return EVS_OK;
}

/* The heap allocates by itself: whether it may double is asked before, its bytes are counted after.
 */
static evs_status check_heap(evs__state *s)
{
    size_t more = (s->order.capacity ? s->order.capacity : 16) * sizeof(evs__heap_item);
    evs_status status = EVS_OK;

    if (s->order.count == s->order.capacity) {
        status = evs__account_take(&s->account, more);
        if (!status)
            evs__account_give(&s->account, more);
    }
    return status;
}

static void account_heap(evs__state *s)
{
    size_t bytes = s->order.capacity * sizeof(evs__heap_item);
    s->account.used += bytes - s->accounted_heap;
    s->accounted_heap = bytes;
}

/* slices close in order of the last time in them; the last slice of time ends at INT64_MAX too,
 * inclusive */
static int64_t close_order(const evs__slice *slice)
{
    return slice->start == INT64_MAX ? INT64_MAX : evs__time_sub(slice->end, 1);
}

evs_status evs__state_add_open(evs__state *s, evs__slice *slice)
{
    evs_status status = EVS_OK;

    if ((s->open_count + 1) * 2 > s->slot_count)
        status = grow_slots(s);
    if (!status)
        status = check_heap(s);
    if (!status)
        status = evs__heap_push(&s->order, close_order(slice), slice);
    if (status)
        return status;
    account_heap(s);
    put_slot(s, slice);
    s->open_count++;
    s->open_groups += slice->count;
    return EVS_OK;
}

evs_status evs__state_open(evs__state *s, const evs__slice_bounds *bounds, evs__slice **ret)
{
    evs__slice *slice = NULL;
    evs_status status = evs__slice_new(s, bounds, s->flagged, &slice);

    if (!status)
        status = evs__state_add_open(s, slice);
    if (status) {
        evs__slice_free(s, slice);
        return status;
    }
    *ret = slice;
    return EVS_OK;
}

evs__slice *evs__state_first(const evs__state *s)
{
    const evs__heap_item *top = evs__heap_top(&s->order);
    return top ? top->value : NULL;
}

static evs__slice *pop_first(evs__state *s)
{
    evs__heap_item item;
    evs__slice *slice;

    evs__heap_pop(&s->order, &item);
    slice = item.value;
    remove_slot(s, slice);
    s->open_count--;
    s->open_groups -= slice->count;
    return slice;
}

void evs__state_add_closed(evs__state *s, evs__slice *slice)
{
    slice->next = NULL;
    *s->closed_tail = slice;
    s->closed_tail = &slice->next;
    s->closed_groups += slice->count;
}

void evs__slice_seal(evs__state *s, evs__slice *slice)
{
    evs__account_free(&s->account, slice->map, slice->map_size, map_item(slice));
    slice->map = NULL;
    slice->map_size = 0;
}

void evs__state_close_first(evs__state *s)
{
    evs__slice *slice = pop_first(s);

    evs__slice_seal(s, slice);
    evs__state_add_closed(s, slice);
}

void evs__state_drop_first(evs__state *s)
{
    evs__state_sweep(s, false);
    evs__slice_free(s, pop_first(s));
}

void evs__state_drop_empty(evs__state *s)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->order.count; i++) {
        evs__slice *slice = s->order.items[i].value;
        kept += slice->count != 0;
    }
    if (kept == s->order.count)
        return;
    /* rare: a heap without them is built by pushing into room that is there */
    for (size_t i = 0, n = s->order.count; i < n; i++) {
        evs__slice *slice = s->order.items[i].value;
        if (slice->count == 0) {
            remove_slot(s, slice);
            s->open_count--;
            evs__slice_free(s, slice);
            s->order.items[i].value = NULL;
        }
    }
    {
        size_t n = s->order.count;
        s->order.count = 0;
        for (size_t i = 0; i < n; i++) {
            evs__heap_item item = s->order.items[i];
            if (item.value)
                evs__heap_push(&s->order, item.priority, item.value);
        }
    }
}

void evs__state_release(evs__state *s)
{
    evs__slice *slice = s->closed;

    evs__state_sweep(s, false);
    s->closed = slice->next;
    if (!s->closed)
        s->closed_tail = &s->closed;
    s->closed_groups -= slice->count;
    evs__slice_free(s, slice);
}

void evs__state_clear(evs__state *s)
{
    while (s->closed) {
        evs__slice *slice = s->closed;
        s->closed = slice->next;
        evs__slice_free(s, slice);
    }
    for (size_t i = 0; i < s->order.count; i++)
        evs__slice_free(s, s->order.items[i].value);
    evs__slice_free(s, s->pool);
    s->pool = NULL;
    evs__heap_free(&s->order);
    account_heap(s);
    evs__account_free(&s->account, s->slots, s->slot_count, sizeof(*s->slots));
    s->slots = NULL;
    s->slot_count = s->open_count = 0;
    s->closed_tail = &s->closed;
    s->open_groups = s->closed_groups = 0;
    evs__intern_free(&s->keys);
}

void evs__state_free(evs__state *s)
{
    if (!s)
        return;
    evs__state_clear(s);
    evs__free(s->account.ctx, s);
}

/* ---- keys that nobody needs ---- */

static void mark(uint8_t *live, const evs__slice *slice)
{
    for (uint32_t g = 0; g < slice->count; g++) {
        if (slice->order[g] != EVS__NO_KEY)
            live[slice->order[g] >> 3] |= (uint8_t)(1u << (slice->order[g] & 7));
    }
}

void evs__state_sweep(evs__state *s, bool pressed)
{
    uint64_t used = s->open_groups + s->closed_groups + (s->pool ? s->pool->count : 0);
    uint8_t *live;

    if (!pressed && s->keys.count <= 2 * used + SWEEP_SLACK)
        return;
    live = evs__calloc(s->account.ctx, (size_t)s->keys.high / 8 + 1, 1);
    if (!live)
        return; /* only memory is lost, and only until the next time */
    for (size_t i = 0; i < s->order.count; i++)
        mark(live, s->order.items[i].value);
    for (const evs__slice *slice = s->closed; slice; slice = slice->next)
        mark(live, slice);
    if (s->pool)
        mark(live, s->pool);
    evs__intern_sweep(&s->keys, live);
    evs__free(s->account.ctx, live);
}

/* ---- groups of a slice ---- */

static uint32_t hashed_at(uint32_t key_id, uint32_t size)
{
    return (uint32_t)evs__hash_u64(key_id, 1) & (size - 1);
}

static void map_put(evs__slice *slice, uint32_t key_id, uint32_t group)
{
    uint64_t *map = slice->map;
    uint32_t at;

    if (slice->dense) {
        ((uint32_t *)slice->map)[key_id] = group + 1;
        return;
    }
    at = hashed_at(key_id, slice->map_size);
    while (map[at])
        at = (at + 1) & (slice->map_size - 1);
    map[at] = (uint64_t)(key_id + 1) << 32 | group;
}

static evs_status new_map(evs__state *s, evs__slice *slice, bool dense, uint32_t size)
{
    size_t item = dense ? sizeof(uint32_t) : sizeof(uint64_t);
    void *map = NULL;
    evs_status status = evs__account_resize(&s->account, &map, 0, size, item);

    if (status)
        return status;
    memset(map, 0, size * item);
    evs__account_free(&s->account, slice->map, slice->map_size, map_item(slice));
    slice->map = map;
    slice->map_size = size;
    slice->dense = dense;
    for (uint32_t g = 0; g < slice->count; g++)
        map_put(slice, slice->order[g], g);
    return EVS_OK;
}

/* room in the map for `groups` of them, and for every key id below keys.high */
static evs_status reserve_map(evs__state *s, evs__slice *slice, uint32_t groups)
{
    uint32_t high = s->keys.key_capacity;
    uint32_t hashed = GROUPS_MIN;
    bool fits = slice->dense ? slice->map_size >= s->keys.high : slice->map_size / 2 >= groups;

    if (slice->map && fits)
        return EVS_OK;
    while (hashed / 2 < groups)
        hashed *= 2;
    if ((size_t)high * sizeof(uint32_t) <= (size_t)hashed * sizeof(uint64_t) * 2)
        return new_map(s, slice, true, high);
    return new_map(s, slice, false, hashed);
}

static evs_status reserve_rows(evs__state *s, evs__slice *slice, uint32_t capacity)
{
    evs__account *a = &s->account;
    uint32_t old = slice->capacity;
    uint32_t *order = NULL;
    uint8_t *flags = NULL;
    char *rows = NULL;
    int64_t *bounds = NULL;
    evs_status status;

    /* the new arrays first, so that a failure leaves all as they were */
    status = evs__account_resize(a, (void **)&order, 0, capacity, sizeof(*order));
    if (!status && slice->flagged)
        status = evs__account_resize(a, (void **)&flags, 0, capacity, 1);
    if (!status && slice->bounded)
        status =
            evs__account_resize(a, (void **)&bounds, 0, capacity, EVS__BOUNDS * sizeof(*bounds));
    if (!status)
        status = evs__account_resize(a, (void **)&rows, 0, capacity, s->stride);
    if (status) {
        evs__account_free(a, order, capacity, sizeof(*order));
        evs__account_free(a, flags, capacity, 1);
        evs__account_free(a, bounds, capacity, EVS__BOUNDS * sizeof(*bounds));
        return status;
    }
    if (slice->count && bounds)
        memcpy(bounds, slice->bounds, slice->count * EVS__BOUNDS * sizeof(*bounds));
    if (slice->count) {
        memcpy(order, slice->order, slice->count * sizeof(*order));
        memcpy(rows, slice->rows, (size_t)slice->count * s->stride);
    }
    memset(rows + (size_t)slice->count * s->stride, 0,
           (size_t)(capacity - slice->count) * s->stride);
    if (flags) {
        if (slice->count)
            memcpy(flags, slice->flags, slice->count);
        memset(flags + slice->count, 0, capacity - slice->count);
    }
    evs__account_free(a, slice->order, old, sizeof(*order));
    evs__account_free(a, slice->flags, old, 1);
    evs__account_free(a, slice->rows, old, s->stride);
    evs__account_free(a, slice->bounds, old, EVS__BOUNDS * sizeof(*bounds));
    slice->bounds = bounds;
    slice->order = order;
    slice->flags = flags;
    slice->rows = rows;
    slice->capacity = capacity;
    return EVS_OK;
}

evs_status evs__slice_reserve_groups(evs__state *s, evs__slice *slice, uint32_t n)
{
    uint64_t want = (uint64_t)slice->count + n, capacity = (uint64_t)slice->capacity * 2;

    if (want <= slice->capacity)
        return EVS_OK;
    capacity = capacity < want ? want : capacity;
    capacity = capacity < GROUPS_MIN ? GROUPS_MIN : capacity;
    return capacity > UINT32_MAX - 1 ? EVS_ERR_LIMIT : reserve_rows(s, slice, (uint32_t)capacity);
}

evs_status evs__slice_reserve(evs__state *s, evs__slice *slice, uint32_t n)
{
    /* there are never more groups than keys; one more than needed, see evs__slice_groups() */
    uint64_t want = (uint64_t)slice->count + n;
    uint32_t groups = want < s->keys.count ? (uint32_t)want : s->keys.count;
    uint32_t capacity = slice->capacity * 2;
    evs_status status = EVS_OK;

    if (groups + 1 > slice->capacity) {
        if (capacity < groups + 1)
            capacity = groups + 1;
        status = reserve_rows(s, slice, capacity < GROUPS_MIN ? GROUPS_MIN : capacity);
    }
    return status ? status : reserve_map(s, slice, groups);
}

/* Without a branch on "new": what is new is as random as the data. A known key writes to the entry
 * behind the last group, hence the one more. */
static void groups_dense(
    evs__slice *slice, uint32_t stride, const uint32_t *key_ids, uint32_t n, uint32_t *ret_groups)
{
    uint32_t *map = slice->map, *order = slice->order, count = slice->count;

    for (uint32_t i = 0; i < n && slice->map_size >= PREFETCH_MIN; i++)
        __builtin_prefetch(&map[key_ids[i]]);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = key_ids[i], group = map[id], is_new = group == 0;
        order[count] = id;
        count += is_new;
        group = is_new ? count : group;
        map[id] = group;
        ret_groups[i] = group - 1;
        __builtin_prefetch(slice->rows + (size_t)(group - 1) * stride);
    }
    slice->count = count;
}

static uint32_t group_hashed(evs__slice *slice, uint32_t id)
{
    uint64_t *map = slice->map;
    uint32_t at = hashed_at(id, slice->map_size);

    for (; map[at]; at = (at + 1) & (slice->map_size - 1)) {
        if (map[at] >> 32 == id + 1)
            return (uint32_t)map[at];
    }
    map[at] = (uint64_t)(id + 1) << 32 | slice->count;
    slice->order[slice->count] = id;
    return slice->count++;
}

void evs__slice_groups(
    evs__state *s, evs__slice *slice, const uint32_t *key_ids, uint32_t n, uint32_t *groups)
{
    uint32_t before = slice->count;

    if (slice->dense) {
        groups_dense(slice, s->stride, key_ids, n, groups);
    } else {
        for (uint32_t i = 0; i < n; i++)
            groups[i] = group_hashed(slice, key_ids[i]);
    }
    s->open_groups += slice->count - before;
}

uint32_t evs__slice_find(const evs__slice *slice, uint32_t key_id)
{
    const uint64_t *map = slice->map;

    if (!map)
        return EVS__NO_GROUP;
    if (slice->dense) {
        uint32_t group = key_id < slice->map_size ? ((const uint32_t *)slice->map)[key_id] : 0;
        return group ? group - 1 : EVS__NO_GROUP;
    }
    for (uint32_t at = hashed_at(key_id, slice->map_size); map[at];
         at = (at + 1) & (slice->map_size - 1)) {
        if (map[at] >> 32 == (uint64_t)key_id + 1)
            return (uint32_t)map[at];
    }
    return EVS__NO_GROUP;
}

/* newest first: no entry of a hashed map was put behind the one that goes */
void evs__slice_ungroup(evs__state *s, evs__slice *slice, uint32_t count)
{
    while (slice->count > count) {
        uint32_t group = --slice->count, id = slice->order[group];
        uint64_t *map = slice->map;
        uint32_t at = slice->dense ? 0 : hashed_at(id, slice->map_size);
        while (!slice->dense && map[at] >> 32 != id + 1)
            at = (at + 1) & (slice->map_size - 1);
        if (slice->dense)
            ((uint32_t *)slice->map)[id] = 0;
        else
            map[at] = 0;
        memset(slice->rows + (size_t)group * s->stride, 0, s->stride);
        s->open_groups--;
    }
}

void evs__slice_touch(evs__slice *slice, const uint32_t *groups, uint32_t n)
{
    uint8_t *flags = slice->flags;
    uint32_t dirty = slice->dirty, low = slice->done;

    for (uint32_t i = 0; i < n; i++) {
        uint8_t was = flags[groups[i]];
        dirty += !(was & EVS__GROUP_DIRTY);
        flags[groups[i]] = was | EVS__GROUP_DIRTY;
        low = groups[i] < low ? groups[i] : low;
    }
    slice->dirty = dirty;
    slice->done = low;
}
