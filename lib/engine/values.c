/*
 * engine/values.c: values of aggregates in and out of their interner.
 *
 * Comparing reads the interner's bytes as they are: 8 bytes of a number, the bytes of a text, or,
 * of DECIMAL and of several parts, the encoded form: a byte "not NULL", then the value.
 */
#include "engine/values.h"

void evs__values_init(evs__values *v,
                      evs__account *account,
                      const evs_type *const *types,
                      uint32_t parts)
{
    evs__intern_init(&v->intern, account);
    v->form = evs__key_form_of(types, parts);
    v->parts = parts;
    memcpy(v->types, types, parts * sizeof(*types));
}

evs_status evs__values_add(evs__values *v,
                           const evs__column *const *columns,
                           const uint32_t *rows,
                           uint32_t n,
                           evs__buffer *scratch,
                           uint32_t *ids)
{
    evs__intern_probe probes[EVS__INTERN_BLOCK];
    evs_status status = EVS_OK;

    for (uint32_t i = 0; i < n && !status; i += EVS__INTERN_BLOCK) {
        uint32_t block = n - i < EVS__INTERN_BLOCK ? n - i : EVS__INTERN_BLOCK;
        status = evs__key_probes(v->form, (evs__column *const *)columns, v->parts, rows + i, block,
                                 scratch, probes);
        if (!status)
            status = evs__intern_add(&v->intern, probes, block, ids + i);
    }
    return status;
}

/* ---- order ---- */

static int compare_i64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* NaN last */
static int compare_f64(double a, double b)
{
    if (a != a || b != b)
        return (a != a) - (b != b);
    return (a > b) - (a < b);
}

static int compare_text(const char *a, uint32_t a_len, const char *b, uint32_t b_len)
{
    uint32_t n = a_len < b_len ? a_len : b_len;
    int r = n ? memcmp(a, b, n) : 0;
    return r ? r : (a_len > b_len) - (a_len < b_len);
}

int64_t evs__values_integer(const evs_type *type, const char *data)
{
    int64_t wide;
    int32_t narrow;

    if (evs__type_width(type->id) == 0)
        return (uint8_t)*data;
    if (evs__type_width(type->id) == 4) {
        memcpy(&narrow, data, sizeof(narrow));
        return narrow;
    }
    memcpy(&wide, data, sizeof(wide));
    return wide;
}

static int compare_fixed(const evs_type *type, const char *a, const char *b)
{
    if (type->id == EVS_TYPE_DOUBLE) {
        double x, y;
        memcpy(&x, a, sizeof(x));
        memcpy(&y, b, sizeof(y));
        return compare_f64(x, y);
    }
    if (type->id == EVS_TYPE_DECIMAL) {
        evs__int128 x, y;
        memcpy(&x, a, sizeof(x));
        memcpy(&y, b, sizeof(y));
        return (x > y) - (x < y);
    }
    return compare_i64(evs__values_integer(type, a), evs__values_integer(type, b));
}

int evs__values_compare(const evs__values *v, uint32_t a, uint32_t b)
{
    const char *x = evs__intern_data(&v->intern, a), *y = evs__intern_data(&v->intern, b);
    const evs_type *type = v->types[0];
    uint32_t x_len, y_len;

    if (v->form == EVS__KEY_FIXED)
        return compare_fixed(type, x, y);
    if (v->form == EVS__KEY_STRING)
        return compare_text(x, evs__intern_len(&v->intern, a), y, evs__intern_len(&v->intern, b));
    if (!evs__type_is_string(type->id))
        return compare_fixed(type, x + 1, y + 1);
    memcpy(&x_len, x + 1, sizeof(x_len));
    memcpy(&y_len, y + 1, sizeof(y_len));
    return compare_text(x + 1 + sizeof(x_len), x_len, y + 1 + sizeof(y_len), y_len);
}

double evs__values_double(const evs__values *v, uint32_t id)
{
    const char *data = evs__intern_data(&v->intern, id);
    evs__int128 decimal;
    double number;

    if (v->types[0]->id == EVS_TYPE_DECIMAL) {
        memcpy(&decimal, data + 1, sizeof(decimal));
        return evs__decimal_to_double(decimal, v->types[0]->scale);
    }
    if (v->types[0]->id != EVS_TYPE_DOUBLE)
        return (double)evs__values_integer(v->types[0], data);
    memcpy(&number, data, sizeof(number));
    return number;
}

/* ---- from one set of values to another ---- */

evs_status
evs__values_translate(const evs__values *from, evs__values *to, uint32_t id, uint32_t *ret_id)
{
    const evs__intern_key *k = &from->intern.keys[id];
    evs__intern_probe p = {k->lo, k->hi, NULL, 0, 0};

    if (k->hi >> 56 == EVS__INTERN_LONG) {
        p.hi = (uint64_t)EVS__INTERN_LONG << 56;
        p.data = evs__intern_data(&from->intern, id);
        p.len = evs__intern_len(&from->intern, id);
    }
    p.tag = evs__intern_tag(p.lo, p.hi);
    return evs__intern_add(&to->intern, &p, 1, ret_id);
}

/* ---- snapshots ---- */

void evs__values_write(const evs__values *v, uint32_t id, evs__buffer *out)
{
    uint32_t len = evs__intern_len(&v->intern, id);
    evs__buffer_append(out, &len, sizeof(len));
    evs__buffer_append(out, evs__intern_data(&v->intern, id), len);
}

/* the first part of what is kept is never NULL: comparing reads on without a look */
evs_status evs__values_read(evs__values *v, evs__reader *in, uint32_t *ret_id)
{
    evs__intern_probe probe;
    const char *data = NULL;
    uint32_t len;

    if (!evs__read(in, &len, sizeof(len)) || len == EVS__INTERN_NULL_LEN ||
        !evs__read_bytes(in, len, &data) ||
        !evs__key_check(v->form, v->types, v->parts, data, len, &probe) ||
        (v->form == EVS__KEY_ENCODED && !*data))
        return EVS_ERR_CORRUPT;
    return evs__intern_add(&v->intern, &probe, 1, ret_id);
}

/* ---- sorting ---- */

static void merge_runs(uint32_t *to,
                       const uint32_t *a,
                       const uint32_t *b,
                       const uint32_t *end,
                       int (*compare)(const void *data, uint32_t a, uint32_t b),
                       const void *data)
{
    const uint32_t *middle = b;
    while (a < middle && b < end)
        *to++ = compare(data, *a, *b) <= 0 ? *a++ : *b++;
    while (a < middle)
        *to++ = *a++;
    while (b < end)
        *to++ = *b++;
}

void evs__sort_ids(uint32_t *ids,
                   uint32_t *temp,
                   size_t n,
                   int (*compare)(const void *data, uint32_t a, uint32_t b),
                   const void *data)
{
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t i = 0; i < n; i += 2 * width) {
            size_t middle = i + width < n ? i + width : n;
            size_t end = i + 2 * width < n ? i + 2 * width : n;
            if (middle == end || compare(data, ids[middle - 1], ids[middle]) <= 0)
                continue; /* in order already */
            merge_runs(temp + i, ids + i, ids + middle, ids + end, compare, data);
            memcpy(ids + i, temp + i, (end - i) * sizeof(*ids));
        }
    }
}

/* the (rank+1)st largest of n, rank < n; the array is mixed up */
int64_t evs__select_down(int64_t *v, uint32_t n, uint32_t rank)
{
    uint32_t low = 0, high = n - 1;

    while (low < high) {
        int64_t pivot = v[low + (high - low) / 2];
        uint32_t i = low, j = high;
        while (i <= j) {
            while (v[i] > pivot)
                i++;
            while (v[j] < pivot)
                j--;
            if (i <= j) {
                int64_t t = v[i];
                v[i++] = v[j];
                v[j] = t;
                if (!j)
                    break;
                j--;
            }
        }
        if (rank <= j && j < high)
            high = j;
        else if (rank >= i)
            low = i;
        else
            return v[rank];
    }
    return v[rank];
}
