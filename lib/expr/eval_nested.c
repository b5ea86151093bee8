/*
 * expr/eval_nested.c: x.field, array[i], map['key'].
 *
 * A field of a STRUCT column is its child column, given by reference: children of a NULL row are
 * NULL already. Elements are picked into a column of the node. An index counts from 1, a negative
 * one from the end; outside the array, and for a key that is not there, the value is NULL.
 */
#include <string.h>

#include "expr/term.h"

evs_status evs__eval_field(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *c = NULL;
    evs_status status = evs__term_eval(ev, n->args[0], rows, &c);

    if (!status)
        *ret = c->children[n->index];
    return status;
}

/* out = elements[pick[i]] for the rows that count, UINT32_MAX: NULL */
static evs_status pick_elements(evs__eval *ev,
                                evs__term *n,
                                const evs__rows *rows,
                                const evs__column *elements,
                                const uint32_t *pick,
                                evs__column **ret)
{
    bool fixed = evs__type_width(n->type->id) >= 0;
    evs__column *out = NULL;
    evs_status status = evs__term_out(ev, n, rows, &out);

    if (fixed && !status)
        out->length = 0; /* appended like the others */
    EVS__FOR_ROWS(rows, i)
    {
        while (!status && out->length < i)
            status = evs__column_append_null(out);
        if (!status && pick[i] == UINT32_MAX)
            status = evs__column_append_null(out);
        else if (!status)
            status = evs__column_gather(out, elements, &pick[i], 1);
        if (status)
            return status;
    }
    while (!status && out->length < rows->total)
        status = evs__column_append_null(out);
    *ret = out;
    return status;
}

evs_status evs__eval_element(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *list = NULL, *index = NULL;
    uint32_t *pick = NULL;
    evs_status status = evs__term_eval(ev, n->args[0], rows, &list);

    if (!status)
        status = evs__term_eval(ev, n->args[1], rows, &index);
    if (!status)
        status = evs__term_scratch(ev, n, rows->total, &pick);
    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    {
        size_t row = i * EVS__STRIDE(n->args[0]), at = i * EVS__STRIDE(n->args[1]);
        int64_t begin = list->offsets[row], count = list->offsets[row + 1] - begin;
        int64_t k = index->i64[at];
        k = k > 0 ? k - 1 : k < 0 && k >= -count ? count + k : count;
        pick[i] = k < count && !evs__column_is_null(index, at) ? (uint32_t)(begin + k) : UINT32_MAX;
    }
    return pick_elements(ev, n, rows, list->children[0], pick, ret);
}

evs_status
evs__eval_map_value(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *map = NULL, *key = NULL;
    const evs__column *keys;
    uint32_t *pick = NULL;
    evs_status status = evs__term_eval(ev, n->args[0], rows, &map);

    if (!status)
        status = evs__term_eval(ev, n->args[1], rows, &key);
    if (!status)
        status = evs__term_scratch(ev, n, rows->total, &pick);
    if (status)
        return status;
    keys = map->children[0]->children[0];
    EVS__FOR_ROWS(rows, i)
    {
        size_t row = i * EVS__STRIDE(n->args[0]), at = i * EVS__STRIDE(n->args[1]);
        evs_string_view wanted = evs__column_str(key, at);
        pick[i] = UINT32_MAX;
        if (evs__column_is_null(key, at))
            continue;
        for (int32_t k = map->offsets[row]; k < map->offsets[row + 1]; k++) {
            evs_string_view have = evs__column_str(keys, (size_t)k);
            if (have.len == wanted.len &&
                (have.len == 0 || memcmp(have.data, wanted.data, have.len) == 0)) {
                pick[i] = (uint32_t)k;
                break;
            }
        }
    }
    return pick_elements(ev, n, rows, map->children[0]->children[1], pick, ret);
}
