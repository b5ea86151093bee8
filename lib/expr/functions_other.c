/*
 * expr/functions_other.c: functions of nested values, and hash64.
 */
#include "base/hash.h"
#include "expr/functions.h"

evs_status
evs__fn_cardinality(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *in = NULL;
    size_t stride = EVS__STRIDE(n->args[0]);
    evs_status status = evs__eval_strict(ev, n, rows, &in, ret);

    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    (*ret)->i32[i] = in->offsets[i * stride + 1] - in->offsets[i * stride];
    evs__zero_nulls(*ret);
    return EVS_OK;
}

/* elements that are NULL are equal to nothing */
evs_status
evs__fn_array_contains(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *cols[2] = {NULL, NULL};
    size_t stride = EVS__STRIDE(n->args[0]), value_stride = EVS__STRIDE(n->args[1]);
    evs_status status = evs__eval_strict(ev, n, rows, cols, ret);

    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    {
        const evs__column *elements = cols[0]->children[0];
        int32_t k = cols[0]->offsets[i * stride], end = cols[0]->offsets[i * stride + 1];
        bool found = false;
        for (; k < end && !found; k++)
            found =
                !evs__column_is_null(elements, (size_t)k) &&
                evs__column_equal_rows(elements, (uint32_t)k, cols[1], i * (uint32_t)value_stride);
        evs__bit_clear((*ret)->bits, i);
        if (found)
            evs__bit_set((*ret)->bits, i);
    }
    evs__zero_nulls(*ret);
    return EVS_OK;
}

/* the hash that keys of windows and exchanges have; NULL is a value */
evs_status evs__fn_hash64(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *in = NULL, *out = NULL;
    uint64_t *hashes;
    uint32_t zero = 0;
    evs_status status = evs__term_out(ev, n, rows, &out);

    if (status)
        return status;
    /* first in the order of the selection, then put where they belong, from behind */
    hashes = (uint64_t *)out->i64;
    for (uint32_t k = 0; k < rows->count; k++)
        hashes[k] = 0;
    for (uint32_t a = 0; a < n->arg_count; a++) {
        if ((status = evs__term_eval(ev, n->args[a], rows, &in)))
            return status;
        if (!n->args[a]->constant) {
            evs__column_hash(in, rows->sel, rows->count, hashes);
            continue;
        }
        for (uint32_t k = 0; k < rows->count; k++)
            evs__column_hash(in, &zero, 1, &hashes[k]);
    }
    for (uint32_t k = rows->sel ? rows->count : 0; k-- > 0;)
        hashes[rows->sel[k]] = hashes[k];
    *ret = out;
    return EVS_OK;
}
