/*
 * engine/aggregate_distinct.c: count_distinct(x), exact, of any type.
 *
 *   values (interner, one a slice)    value --> number
 *   pairs  (hashed set, one a slice)  (group, number) seen
 *   state of a group                  how many pairs it has
 *
 * A value that many groups have is kept once; a pair costs 8 to 16 bytes. NULL is not counted. All
 * of it goes with the slice. A sketch with an error bound is what to use when this is too much.
 */
#include "engine/aggregate.h"
#include "engine/keys.h"

#define PAIRS_MIN 16u

typedef struct distinct {
    evs__intern values;
    uint64_t *pairs; /* group << 32 | value + 1; 0: empty */
    size_t slots;
    size_t count;
    /* for merging: values + 1 of group g are listed[starts[g] .. starts[g + 1]); made when `from`,
     * good while listed_count is count */
    uint32_t *starts, *listed;
    size_t start_count, listed_count;
} distinct;

static void distinct_free(evs__account *account, void *extra)
{
    distinct *d = extra;
    evs__intern_free(&d->values);
    evs__account_free(account, d->pairs, d->slots, sizeof(*d->pairs));
    evs__account_free(account, d->starts, d->start_count, sizeof(*d->starts));
    evs__account_free(account, d->listed, d->listed_count, sizeof(*d->listed));
    evs__account_free(account, d, 1, sizeof(*d));
}

static evs_status distinct_of(const evs__agg_groups *g, distinct **ret)
{
    distinct *d = *g->extra;
    if (!d) {
        evs_status status = evs__account_resize(g->account, (void **)&d, 0, 1, sizeof(*d));
        if (status)
            return status;
        memset(d, 0, sizeof(*d));
        evs__intern_init(&d->values, g->account);
        *g->extra = d;
    }
    *ret = d;
    return EVS_OK;
}

static bool put_pair(uint64_t *pairs, size_t slots, uint64_t pair)
{
    size_t at = evs__hash_u64(pair, 2) & (slots - 1);
    while (pairs[at] && pairs[at] != pair)
        at = (at + 1) & (slots - 1);
    if (pairs[at] == pair)
        return false;
    pairs[at] = pair;
    return true;
}

static evs_status reserve_pairs(const evs__agg_groups *g, distinct *d, size_t extra)
{
    size_t slots = d->slots ? d->slots : PAIRS_MIN;
    uint64_t *pairs = NULL;
    evs_status status;

    while ((d->count + extra) * 3 > slots * 2)
        slots *= 2;
    if (slots == d->slots)
        return EVS_OK;
    status = evs__account_resize(g->account, (void **)&pairs, 0, slots, sizeof(*pairs));
    if (status)
        return status;
    memset(pairs, 0, slots * sizeof(*pairs));
    for (size_t i = 0; i < d->slots; i++) {
        if (d->pairs[i])
            put_pair(pairs, slots, d->pairs[i]);
    }
    evs__account_free(g->account, d->pairs, d->slots, sizeof(*pairs));
    d->pairs = pairs;
    d->slots = slots;
    return EVS_OK;
}

static evs_status intern_values(distinct *d, const evs__agg_rows *r, uint32_t first, uint32_t n)
{
    evs__intern_probe probes[EVS__INTERN_BLOCK];
    evs__column *column = (evs__column *)r->arg;
    const evs_type *type = column->type;
    evs_status status = evs__key_probes(evs__key_form_of(&type, 1), &column, 1, r->rows + first, n,
                                        r->scratch, probes);
    return status ? status : evs__intern_add(&d->values, probes, n, r->ids + first);
}

/* NULL is a value of the interner too, so that numbering needs no branch; add() leaves it out */
static evs_status
distinct_reserve(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    distinct *d = NULL;
    size_t most;
    evs_status status = distinct_of(g, &d);

    (void)a;
    for (uint32_t i = 0; i < g->n && !status; i += EVS__INTERN_BLOCK) {
        uint32_t n = g->n - i < EVS__INTERN_BLOCK ? g->n - i : EVS__INTERN_BLOCK;
        status = intern_values(d, r, i, n);
    }
    if (status)
        return status;
    most = (size_t)g->most * d->values.count; /* all pairs there can be */
    return reserve_pairs(g, d, most - d->count < g->n ? most - d->count : g->n);
}

static uint32_t
distinct_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    distinct *d = *g->extra;
    (void)a;
    for (uint32_t i = 0; i < g->n; i++) {
        if (evs__column_is_null(r->arg, r->rows[i]))
            continue;
        if (put_pair(d->pairs, d->slots, (uint64_t)g->index[i] << 32 | (r->ids[i] + 1))) {
            d->count++;
            ++*(int64_t *)evs__agg_state(g, i);
        }
    }
    return g->n;
}

/* a value of `from` gets its number in `to`: interners of one type keep the same bytes */
static evs_status translate(const distinct *from, distinct *to, uint32_t id, uint32_t *ret_id)
{
    const evs__intern_key *k = &from->values.keys[id];
    evs__intern_probe p = {k->lo, k->hi, evs__intern_data(&from->values, id),
                           evs__intern_len(&from->values, id), 0};

    if (k->hi >> 56 == EVS__INTERN_LONG)
        p.hi = (uint64_t)EVS__INTERN_LONG << 56;
    p.tag = evs__intern_tag(p.lo, p.hi);
    return evs__intern_add(&to->values, &p, 1, ret_id);
}

/* pairs in order of their groups, by counting; merging comes a few groups at a time and must not
 * look at all pairs each time */
static evs_status list_pairs(const evs__agg_groups *g, distinct *d)
{
    size_t starts = (size_t)g->total + 2;
    evs_status status;

    if (d->starts && d->start_count == starts && d->listed_count == d->count)
        return EVS_OK;
    status = evs__account_resize(g->account, (void **)&d->starts, d->start_count, starts,
                                 sizeof(*d->starts));
    if (status)
        return status;
    d->start_count = starts;
    status = evs__account_resize(g->account, (void **)&d->listed, d->listed_count, d->count,
                                 sizeof(*d->listed));
    if (status) {
        evs__account_free(g->account, d->starts, d->start_count, sizeof(*d->starts));
        d->starts = NULL;
        d->start_count = 0;
        return status;
    }
    d->listed_count = d->count;
    memset(d->starts, 0, starts * sizeof(*d->starts));
    for (size_t i = 0; i < d->slots; i++) {
        if (d->pairs[i])
            d->starts[(d->pairs[i] >> 32) + 2]++;
    }
    for (size_t i = 2; i < starts; i++)
        d->starts[i] += d->starts[i - 1];
    /* starts[g + 1] runs up to where g + 1 begins */
    for (size_t i = 0; i < d->slots; i++) {
        if (d->pairs[i])
            d->listed[d->starts[(d->pairs[i] >> 32) + 1]++] = (uint32_t)d->pairs[i];
    }
    return EVS_OK;
}

static evs_status merge_group(const evs__agg_groups *to,
                              distinct *d,
                              uint32_t i,
                              const distinct *source,
                              uint32_t source_group)
{
    uint32_t at = source->starts[source_group], end = source->starts[source_group + 1];
    evs_status status = reserve_pairs(to, d, end - at);

    for (; at < end && !status; at++) {
        uint32_t id = 0;
        status = translate(source, d, source->listed[at] - 1, &id);
        if (!status && put_pair(d->pairs, d->slots, (uint64_t)to->index[i] << 32 | (id + 1))) {
            d->count++;
            ++*(int64_t *)evs__agg_state(to, i);
        }
    }
    return status;
}

static evs_status
distinct_merge(const evs__aggregate *a, const evs__agg_groups *to, const evs__agg_groups *from)
{
    distinct *source = *from->extra, *d = NULL;
    evs_status status;

    (void)a;
    if (!source)
        return EVS_OK;
    status = distinct_of(to, &d);
    if (!status)
        status = list_pairs(from, source);
    for (uint32_t i = 0; i < from->n && !status; i++)
        status = merge_group(to, d, i, source, from->index[i]);
    return status;
}

static evs_status
distinct_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    (void)a;
    for (uint32_t i = 0; i < g->n; i++)
        evs__column_append_i64(out, *(int64_t *)evs__agg_state(g, i));
    return EVS_OK;
}

/* ---- snapshot: [values][length, bytes]... [pairs][group, value]... of the groups written ---- */

static evs_status write_values(const evs__intern *values, evs__buffer *out)
{
    evs__buffer_append(out, &values->high, sizeof(values->high));
    for (uint32_t id = 0; id < values->high; id++) {
        uint32_t len = evs__intern_len(values, id);
        evs__buffer_append(out, &len, sizeof(len));
        if (len != EVS__INTERN_NULL_LEN)
            evs__buffer_append(out, evs__intern_data(values, id), len);
    }
    return out->status;
}

static evs_status
distinct_write(const evs__aggregate *a, const evs__agg_groups *g, evs__buffer *out)
{
    static const evs__intern no_values;
    const distinct *d = *g->extra;
    evs_context *ctx = g->account->ctx;
    uint32_t *place = NULL; /* of a group among those written */
    uint64_t pairs = 0;
    size_t count_at;

    (void)a;
    place = evs__realloc_array(ctx, NULL, (size_t)g->total + 1, sizeof(*place));
    if (!place)
        return EVS_ERR_NOMEM;
    memset(place, 0xff, ((size_t)g->total + 1) * sizeof(*place));
    for (uint32_t i = 0; i < g->n; i++)
        place[g->index[i]] = i;
    write_values(d ? &d->values : &no_values, out);
    count_at = out->len;
    evs__buffer_append(out, &pairs, sizeof(pairs));
    for (size_t i = 0; d && i < d->slots; i++) {
        uint64_t pair = d->pairs[i];
        uint32_t group = pair ? place[pair >> 32] : UINT32_MAX;
        if (group == UINT32_MAX)
            continue;
        pair = (uint64_t)group << 32 | (uint32_t)pair;
        evs__buffer_append(out, &pair, sizeof(pair));
        pairs++;
    }
    if (!out->status)
        memcpy(out->data + count_at, &pairs, sizeof(pairs));
    evs__free(ctx, place);
    return out->status;
}

static evs_status
read_values(const evs__aggregate *a, distinct *d, evs__reader *in, uint32_t *ret_count)
{
    const evs_type *type = a->arg_type;
    evs__key_form form = evs__key_form_of(&type, 1);
    uint32_t count, id;

    if (!evs__read(in, &count, sizeof(count)) || count > evs__reader_left(in) / sizeof(uint32_t))
        return EVS_ERR_CORRUPT;
    for (uint32_t i = 0; i < count; i++) {
        const char *data = NULL;
        uint32_t len;
        evs__intern_probe probe;
        evs_status status;
        if (!evs__read(in, &len, sizeof(len)) ||
            (len != EVS__INTERN_NULL_LEN && !evs__read_bytes(in, len, &data)) ||
            !evs__key_check(form, &type, 1, data, len, &probe))
            return EVS_ERR_CORRUPT;
        status = evs__intern_add(&d->values, &probe, 1, &id);
        if (status)
            return status;
        if (id != i)
            return EVS_ERR_CORRUPT; /* the same value twice */
    }
    *ret_count = count;
    return EVS_OK;
}

static evs_status distinct_read(const evs__aggregate *a, const evs__agg_groups *g, evs__reader *in)
{
    distinct *d = NULL;
    uint64_t pairs;
    uint32_t values = 0;
    evs_status status = distinct_of(g, &d);

    if (!status)
        status = read_values(a, d, in, &values);
    if (status)
        return status;
    if (!evs__read(in, &pairs, sizeof(pairs)) || pairs > evs__reader_left(in) / sizeof(pairs))
        return EVS_ERR_CORRUPT;
    status = reserve_pairs(g, d, pairs);
    for (; pairs && !status; pairs--) {
        uint64_t pair = 0;
        uint32_t group, value;
        evs__read(in, &pair, sizeof(pair));
        group = (uint32_t)(pair >> 32);
        value = (uint32_t)pair;
        if (group >= g->n || !value || value > values)
            return EVS_ERR_CORRUPT;
        pair = (uint64_t)g->index[group] << 32 | value;
        if (!put_pair(d->pairs, d->slots, pair))
            return EVS_ERR_CORRUPT;
        d->count++;
        ++*(int64_t *)evs__agg_state(g, group);
    }
    return status;
}

const evs__aggregate_functions evs__agg_count_distinct = {
    .name = "count_distinct",
    .group = "count",
    .usage = "count_distinct(x)",
    .gives = "BIGINT NOT NULL",
    .doc = "Different values, exact; the same as count(DISTINCT x)",
    .distinct = EVS__DISTINCT_SAME,
    .arg_types = UINT32_MAX,
    .size = sizeof(int64_t),
    .align = _Alignof(int64_t),
    .keeps_null_arg = true,
    .type = evs__agg_type_bigint,
    .reserve = distinct_reserve,
    .add = distinct_add,
    .merge = distinct_merge,
    .result = distinct_result,
    .write = distinct_write,
    .read = distinct_read,
    .extra_free = distinct_free,
};
