/*
 * engine/aggregate_minmax.c: min(x) and max(x) of numbers, times, booleans, text and bytes.
 *
 * Order: numbers by value, NaN above everything (as in PostgreSQL), false before true, text by
 * bytes (which is code point order). NULL is ignored; of NULLs only, the result is NULL.
 *
 * Text: the state holds a place in a heap of bytes that the slice has for this aggregate. A better
 * value that fits the old one's room is written over it, otherwise it goes to the end and the old
 * room is waste; when half is waste the heap is written anew. Since add() cannot fail, reserve()
 * makes room for the worst case: every row an improvement, or, when that is less, every group one
 * with the room of the longest value.
 */
#include "engine/aggregate.h"

/* ---- fixed width ---- */

#define MINMAX(kind, ctype, state_name, has_mark, load, append)                                    \
    typedef struct state_name {                                                                    \
        ctype value;                                                                               \
        int64_t n;                                                                                 \
    } state_name;                                                                                  \
                                                                                                   \
    static inline uint32_t kind##_loop(const evs__agg_groups *g, const evs__agg_rows *r, bool max, \
                                       bool has_null)                                              \
    {                                                                                              \
        evs_type_id id = r->arg->type->id;                                                         \
        for (uint32_t i = 0; i < g->n; i++) {                                                      \
            state_name *s = evs__agg_state(g, i);                                                  \
            uint32_t row = r->rows[i];                                                             \
            ctype v = load;                                                                        \
            if (has_null && evs__column_is_null(r->arg, row))                                      \
                continue;                                                                          \
            if (!s->n || kind##_before(max ? s->value : v, max ? v : s->value))                    \
                s->value = v;                                                                      \
            s->n = 1;                                                                              \
        }                                                                                          \
        (void)id;                                                                                  \
        return g->n;                                                                               \
    }                                                                                              \
                                                                                                   \
    static uint32_t kind##_min_add(const evs__aggregate *a, const evs__agg_groups *g,              \
                                   const evs__agg_rows *r)                                         \
    {                                                                                              \
        (void)a;                                                                                   \
        return r->arg->validity ? kind##_loop(g, r, false, true)                                   \
                                : kind##_loop(g, r, false, false);                                 \
    }                                                                                              \
                                                                                                   \
    static uint32_t kind##_max_add(const evs__aggregate *a, const evs__agg_groups *g,              \
                                   const evs__agg_rows *r)                                         \
    {                                                                                              \
        (void)a;                                                                                   \
        return r->arg->validity ? kind##_loop(g, r, true, true) : kind##_loop(g, r, true, false);  \
    }                                                                                              \
                                                                                                   \
    static evs_status kind##_merge(const evs__agg_groups *to, const evs__agg_groups *from,         \
                                   bool max)                                                       \
    {                                                                                              \
        for (uint32_t i = 0; i < to->n; i++) {                                                     \
            state_name *x = evs__agg_state(to, i);                                                 \
            const state_name *y = evs__agg_state(from, i);                                         \
            if (y->n &&                                                                            \
                (!x->n || kind##_before(max ? x->value : y->value, max ? y->value : x->value)))    \
                *x = *y;                                                                           \
        }                                                                                          \
        return EVS_OK;                                                                             \
    }                                                                                              \
                                                                                                   \
    static evs_status kind##_min_merge(const evs__aggregate *a, const evs__agg_groups *to,         \
                                       const evs__agg_groups *from)                                \
    {                                                                                              \
        (void)a;                                                                                   \
        return kind##_merge(to, from, false);                                                      \
    }                                                                                              \
                                                                                                   \
    static evs_status kind##_max_merge(const evs__aggregate *a, const evs__agg_groups *to,         \
                                       const evs__agg_groups *from)                                \
    {                                                                                              \
        (void)a;                                                                                   \
        return kind##_merge(to, from, true);                                                       \
    }                                                                                              \
                                                                                                   \
    static evs_status kind##_result(const evs__aggregate *a, const evs__agg_groups *g,             \
                                    evs__column *out)                                              \
    {                                                                                              \
        evs_status status = EVS_OK;                                                                \
        (void)a;                                                                                   \
        for (uint32_t i = 0; i < g->n && !status; i++) {                                           \
            const state_name *s = evs__agg_state(g, i);                                            \
            if (!s->n)                                                                             \
                status = evs__column_append_null(out);                                             \
            else                                                                                   \
                append(out, s->value);                                                             \
        }                                                                                          \
        return status;                                                                             \
    }

static inline bool int_before(int64_t a, int64_t b)
{
    return a < b;
}

static inline bool double_before(double a, double b)
{
    return a < b || (a == a && b != b);
}

static inline bool decimal_before(evs__int128 a, evs__int128 b)
{
    return a < b;
}

static void append_int(evs__column *out, int64_t v)
{
    switch (out->type->id) {
    case EVS_TYPE_BOOLEAN:
        evs__column_append_bool(out, v != 0);
        break;
    case EVS_TYPE_BIGINT:
    case EVS_TYPE_TIMESTAMP:
        evs__column_append_i64(out, v);
        break;
    default:
        evs__column_append_i32(out, (int32_t)v);
    }
}

MINMAX(int, int64_t, int_best, n, evs__agg_int(r->arg, id, row), append_int)
MINMAX(double, double, double_best, n, r->arg->f64[row], evs__column_append_f64)
MINMAX(decimal, evs__int128, decimal_best, n, r->arg->i128[row], evs__column_append_i128)

#define INT_COMMON                                                                                 \
    .arg_types = EVS__AGG_INTS | EVS__AGG_TIMES | EVS__AGG_TYPE(EVS_TYPE_BOOLEAN),                 \
    .size = sizeof(int_best), .align = _Alignof(int_best), .result = int_result

const evs__aggregate_functions evs__agg_min_int = {
    .name = "min",
    .group = "choice",
    .usage = "min(x)",
    .doc = "Smallest value: numbers (NaN highest), times, false before true, text by bytes",
    .distinct = EVS__DISTINCT_SAME,
    .add = int_min_add,
    .merge = int_min_merge,
    INT_COMMON,
};

const evs__aggregate_functions evs__agg_max_int = {
    .name = "max",
    .group = "choice",
    .usage = "max(x)",
    .doc = "Largest value: numbers (NaN highest), times, false before true, text by bytes",
    .distinct = EVS__DISTINCT_SAME,
    .add = int_max_add,
    .merge = int_max_merge,
    INT_COMMON,
};

#define DOUBLE_COMMON                                                                              \
    .arg_types = EVS__AGG_TYPE(EVS_TYPE_DOUBLE), .size = sizeof(double_best),                      \
    .align = _Alignof(double_best), .result = double_result

const evs__aggregate_functions evs__agg_min_double = {
    .name = "min",
    .group = "choice",
    .usage = "min(x)",
    .distinct = EVS__DISTINCT_SAME,
    .add = double_min_add,
    .merge = double_min_merge,
    DOUBLE_COMMON,
};

const evs__aggregate_functions evs__agg_max_double = {
    .name = "max",
    .group = "choice",
    .usage = "max(x)",
    .distinct = EVS__DISTINCT_SAME,
    .add = double_max_add,
    .merge = double_max_merge,
    DOUBLE_COMMON,
};

#define DECIMAL_COMMON                                                                             \
    .arg_types = EVS__AGG_TYPE(EVS_TYPE_DECIMAL), .size = sizeof(decimal_best),                    \
    .align = _Alignof(decimal_best), .result = decimal_result

const evs__aggregate_functions evs__agg_min_decimal = {
    .name = "min",
    .group = "choice",
    .usage = "min(x)",
    .distinct = EVS__DISTINCT_SAME,
    .add = decimal_min_add,
    .merge = decimal_min_merge,
    DECIMAL_COMMON,
};

const evs__aggregate_functions evs__agg_max_decimal = {
    .name = "max",
    .group = "choice",
    .usage = "max(x)",
    .distinct = EVS__DISTINCT_SAME,
    .add = decimal_max_add,
    .merge = decimal_max_merge,
    DECIMAL_COMMON,
};

/* ---- text ---- */

typedef struct text_best {
    uint64_t offset;
    uint32_t len;
    uint32_t room; /* bytes at offset, 0: no value yet (an empty text has room too) */
} text_best;

typedef struct text_heap {
    char *bytes;
    size_t len, capacity;
    size_t waste;
    uint32_t room; /* of values added by this batch: 0: their own length */
} text_heap;

#define ROOM_UNIT 8u

static inline uint32_t room_of(size_t len)
{
    return (uint32_t)((len / ROOM_UNIT + 1) * ROOM_UNIT);
}

static void text_extra_free(evs__account *account, void *extra)
{
    text_heap *h = extra;
    evs__account_free(account, h->bytes, h->capacity, 1);
    evs__account_free(account, h, 1, sizeof(*h));
}

static evs_status text_heap_of(const evs__agg_groups *g, text_heap **ret)
{
    text_heap *h = *g->extra;
    if (!h) {
        evs_status status = evs__account_resize(g->account, (void **)&h, 0, 1, sizeof(*h));
        if (status)
            return status;
        memset(h, 0, sizeof(*h));
        *g->extra = h;
    }
    *ret = h;
    return EVS_OK;
}

/* values move to a heap of `capacity` bytes, in order of group */
static evs_status text_rewrite(const evs__agg_groups *g, text_heap *h, size_t capacity)
{
    char *bytes = NULL;
    size_t len = 0;
    evs_status status = evs__account_resize(g->account, (void **)&bytes, 0, capacity, 1);

    if (status)
        return status;
    for (uint32_t i = 0; i < g->total; i++) {
        text_best *s = (text_best *)(g->states + (size_t)i * g->stride);
        if (!s->room)
            continue;
        memcpy(bytes + len, h->bytes + s->offset, s->len);
        s->offset = len;
        len += s->room;
    }
    evs__account_free(g->account, h->bytes, h->capacity, 1);
    h->bytes = bytes;
    h->len = len;
    h->capacity = capacity;
    h->waste = 0;
    return EVS_OK;
}

static evs_status text_room(const evs__agg_groups *g, text_heap *h, size_t need)
{
    size_t capacity;
    evs_status status;

    if (h->waste > h->len / 2)
        return text_rewrite(g, h, h->len - h->waste + need);
    if (h->capacity - h->len >= need)
        return EVS_OK;
    capacity = h->len + need + h->len / 2;
    status = evs__account_resize(g->account, (void **)&h->bytes, h->capacity, capacity, 1);
    if (!status)
        h->capacity = capacity;
    return status;
}

static evs_status
text_reserve(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    size_t total = 0, longest = 0, groups = g->most;
    text_heap *h = NULL;
    evs_status status = text_heap_of(g, &h);

    (void)a;
    if (status)
        return status;
    for (uint32_t i = 0; i < g->n; i++) {
        size_t len = evs__column_str(r->arg, r->rows[i]).len;
        if (len > INT32_MAX)
            return EVS_ERR_LIMIT;
        total += room_of(len);
        longest = len > longest ? len : longest;
    }
    h->room = 0;
    if (groups < total / room_of(longest)) {
        h->room = room_of(longest);
        total = groups * h->room;
    }
    return text_room(g, h, total);
}

static inline bool text_before(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t n = a_len < b_len ? a_len : b_len;
    int r = n ? memcmp(a, b, n) : 0;
    return r ? r < 0 : a_len < b_len;
}

static void text_put(text_heap *h, text_best *s, const char *data, size_t len)
{
    if (room_of(len) > s->room) {
        h->waste += s->room;
        s->room = h->room ? h->room : room_of(len);
        s->offset = h->len;
        h->len += s->room;
    }
    s->len = (uint32_t)len;
    if (len)
        memcpy(h->bytes + s->offset, data, len);
}

static bool
text_better(const text_heap *h, const text_best *s, const char *data, size_t len, bool max)
{
    const char *old = h->bytes + s->offset;
    if (!s->room)
        return true;
    return max ? text_before(old, s->len, data, len) : text_before(data, len, old, s->len);
}

static uint32_t text_add(const evs__agg_groups *g, const evs__agg_rows *r, bool max)
{
    text_heap *h = *g->extra;
    for (uint32_t i = 0; i < g->n; i++) {
        text_best *s = evs__agg_state(g, i);
        evs_string_view v = evs__column_str(r->arg, r->rows[i]);
        if (!evs__column_is_null(r->arg, r->rows[i]) && text_better(h, s, v.data, v.len, max))
            text_put(h, s, v.data, v.len);
    }
    return g->n;
}

static uint32_t
text_min_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    (void)a;
    return text_add(g, r, false);
}

static uint32_t
text_max_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    (void)a;
    return text_add(g, r, true);
}

static evs_status text_merge(const evs__agg_groups *to, const evs__agg_groups *from, bool max)
{
    const text_heap *source = *from->extra;
    text_heap *h = NULL;
    size_t need = 0;
    evs_status status = text_heap_of(to, &h);

    for (uint32_t i = 0; i < from->n; i++)
        need += ((text_best *)evs__agg_state(from, i))->room;
    if (!status) {
        h->room = 0;
        status = text_room(to, h, need);
    }
    for (uint32_t i = 0; i < from->n && !status; i++) {
        const text_best *y = evs__agg_state(from, i);
        text_best *x = evs__agg_state(to, i);
        const char *data = source ? source->bytes + y->offset : NULL;
        if (y->room && text_better(h, x, data, y->len, max))
            text_put(h, x, data, y->len);
    }
    return status;
}

static evs_status
text_min_merge(const evs__aggregate *a, const evs__agg_groups *to, const evs__agg_groups *from)
{
    (void)a;
    return text_merge(to, from, false);
}

static evs_status
text_max_merge(const evs__aggregate *a, const evs__agg_groups *to, const evs__agg_groups *from)
{
    (void)a;
    return text_merge(to, from, true);
}

static evs_status text_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    const text_heap *h = *g->extra;
    evs_status status = EVS_OK;
    (void)a;
    for (uint32_t i = 0; i < g->n && !status; i++) {
        const text_best *s = evs__agg_state(g, i);
        status = s->room ? evs__column_append_str(out, h->bytes + s->offset, s->len)
                         : evs__column_append_null(out);
    }
    return status;
}

/* [uint32 length + 1, 0: none][bytes] */
static evs_status text_write(const evs__aggregate *a, const evs__agg_groups *g, evs__buffer *out)
{
    const text_heap *h = *g->extra;
    (void)a;
    for (uint32_t i = 0; i < g->n; i++) {
        const text_best *s = evs__agg_state(g, i);
        uint32_t len = s->room ? s->len + 1 : 0;
        evs__buffer_append(out, &len, sizeof(len));
        if (len > 1)
            evs__buffer_append(out, h->bytes + s->offset, s->len);
    }
    return out->status;
}

static evs_status text_read(const evs__aggregate *a, const evs__agg_groups *g, evs__reader *in)
{
    text_heap *h = NULL;
    evs_status status = text_heap_of(g, &h);

    for (uint32_t i = 0; i < g->n && !status; i++) {
        const char *data = NULL;
        uint32_t len;
        if (!evs__read(in, &len, sizeof(len)) || len > INT32_MAX ||
            (len && !evs__read_bytes(in, len - 1, &data)))
            return EVS_ERR_CORRUPT;
        if (!len)
            continue;
        if (a->arg_type->id == EVS_TYPE_VARCHAR && !evs__utf8_valid(data, len - 1))
            return EVS_ERR_CORRUPT;
        h->room = 0;
        status = text_room(g, h, room_of(len - 1));
        if (!status)
            text_put(h, evs__agg_state(g, i), data, len - 1);
    }
    return status;
}

#define TEXT_COMMON                                                                                \
    .arg_types = EVS__AGG_TEXTS, .size = sizeof(text_best), .align = _Alignof(text_best),          \
    .reserve = text_reserve, .result = text_result, .write = text_write, .read = text_read,        \
    .extra_free = text_extra_free

const evs__aggregate_functions evs__agg_min_text = {
    .name = "min",
    .group = "choice",
    .usage = "min(x)",
    .distinct = EVS__DISTINCT_SAME,
    .add = text_min_add,
    .merge = text_min_merge,
    TEXT_COMMON,
};

const evs__aggregate_functions evs__agg_max_text = {
    .name = "max",
    .group = "choice",
    .usage = "max(x)",
    .distinct = EVS__DISTINCT_SAME,
    .add = text_max_add,
    .merge = text_max_merge,
    TEXT_COMMON,
};
