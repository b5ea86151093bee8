/*
 * engine/sample.c: the rows of one key in n.
 *
 * Whether a key is in follows from its value alone (a hash of its bytes, with a seed of its own):
 * the same in every run, on every worker, for every batch size, and independent of the shard that
 * an exchange would choose. NULL is a key like another. No state, no time.
 */
#include <string.h>

#include "base/hash.h"
#include "engine/keyed.h"
#include "evstream/window.h"

#define SAMPLE_SEED UINT64_C(0x73616d706c650001)

typedef struct sample {
    evs__operator op;
    evs__keyed keyed;
    int64_t one_in;
    uint32_t *rows; /* candidates, then those that stay; kept between batches */
    uint32_t capacity;
    int64_t seen, left_out;
} sample;

static evs_status reserve(sample *s, uint32_t count)
{
    uint32_t *rows;

    if (count <= s->capacity)
        return EVS_OK;
    count = count < EVS_BATCH_ROWS_MAX ? EVS_BATCH_ROWS_MAX : count;
    rows = evs__realloc_array(s->op.ctx, s->rows, count, sizeof(*rows));
    if (!rows)
        return EVS_ERR_NOMEM;
    s->rows = rows;
    s->capacity = count;
    return EVS_OK;
}

static bool is_in(const sample *s, const evs__intern_probe *p)
{
    uint64_t words[] = {p->lo, p->hi}; /* a short key itself; of a long one its hash and mark */

    return evs__hash_bytes(words, sizeof(words), SAMPLE_SEED) % (uint64_t)s->one_in == 0;
}

/* s->rows[0..*ret_count): the rows that stay, of `n` candidates */
static evs_status choose(sample *s, uint32_t n, uint32_t *ret_count)
{
    evs__intern_probe probes[EVS__INTERN_BLOCK];
    uint32_t count = 0;

    for (uint32_t i = 0; i < n; i += EVS__INTERN_BLOCK) {
        uint32_t m = n - i < EVS__INTERN_BLOCK ? n - i : EVS__INTERN_BLOCK;
        evs_status status = evs__keyed_probes(&s->keyed, s->rows + i, m, probes);
        if (status)
            return status;
        for (uint32_t j = 0; j < m; j++) {
            if (is_in(s, &probes[j]))
                s->rows[count++] = s->rows[i + j];
        }
    }
    *ret_count = count;
    return EVS_OK;
}

static evs_status
emit(const sample *s, evs_batch *in, uint32_t count, const evs__out *out, evs_error **reterr)
{
    evs_batch *batch = NULL;
    evs_status status;

    if (!count)
        return EVS_OK;
    if (count == in->count)
        return out->emit(out->user, EVS__PORT_MAIN, in, reterr);
    if (evs__batch_select(in, s->rows, count, &batch))
        return evs__nomem(reterr);
    status = out->emit(out->user, EVS__PORT_MAIN, batch, reterr);
    evs_batch_unref(batch);
    return status;
}

static evs_status
sample_rows(sample *s, evs_batch *in, evs__aside *aside, const evs__out *out, evs_error **reterr)
{
    uint32_t n = 0, count = 0;
    evs_status status = evs__keyed_eval(&s->keyed, in, aside, reterr);

    if (status)
        return status;
    for (uint32_t k = 0; k < in->count; k++) {
        uint32_t row = evs__batch_row_at(in, k);
        if (!evs__aside_has(aside, row))
            s->rows[n++] = row;
    }
    status = choose(s, n, &count);
    if (status)
        return status == EVS_ERR_NOMEM
                   ? evs__nomem(reterr)
                   : evs__fail(s->op.ctx, reterr, status, "a key of a sample is too long");
    status = emit(s, in, count, out, reterr);
    if (status)
        return status;
    evs__aside_tell(aside, out);
    s->seen += in->count;
    s->left_out += n - count;
    if (out->counted)
        out->counted(out->user, n - count, 0);
    return EVS_OK;
}

static evs_status
process(evs__operator *op, evs_batch *in, int64_t now_ms, const evs__out *out, evs_error **reterr)
{
    sample *s = (sample *)op;
    evs__aside aside;
    evs_status status;
    (void)now_ms;

    if (reserve(s, in->count))
        return evs__nomem(reterr);
    evs__aside_init(&aside, op->ctx, in);
    status = sample_rows(s, in, &aside, out, reterr);
    evs__keyed_drop(&s->keyed);
    evs__aside_free(&aside);
    return status;
}

static int64_t counter(const evs__operator *op, const char *name)
{
    const sample *s = (const sample *)op;

    if (strcmp(name, "rows") == 0)
        return s->seen;
    return strcmp(name, "left_out") == 0 ? s->left_out : -1;
}

static void free_op(evs__operator *op)
{
    sample *s = (sample *)op;
    evs_context *ctx = op->ctx;

    evs__keyed_free(&s->keyed);
    evs__free(ctx, s->rows);
    evs_type_unref(op->in_type);
    evs_type_unref(op->out_type);
    evs__free(ctx, s);
    evs_context_unref(ctx);
}

static const evs__operator_functions sample_functions = {
    .kind = "sample", .process = process, .counter = counter, .free = free_op};

evs_status evs__sample_new(evs_context *ctx,
                           const evs_type *in,
                           const char *keys,
                           int64_t one_in,
                           evs__operator **ret,
                           evs_error **reterr)
{
    sample *s;
    evs_status status;

    if (one_in < 1)
        return evs__fail_at(ctx, reterr, EVS_ERR_INVALID, "one_in",
                            "one_in of a sample is %lld, it must be 1 or more", (long long)one_in);
    s = evs__calloc(ctx, 1, sizeof(*s));
    if (!s)
        return evs__nomem(reterr);
    s->op = (evs__operator){.fn = &sample_functions,
                            .ctx = evs_context_ref(ctx),
                            .in_type = evs_type_ref(in),
                            .out_type = evs_type_ref(in)};
    s->one_in = one_in;
    status = evs__keyed_init(&s->keyed, ctx, in, keys, EVS_NULL_KEY_GROUP, reterr);
    if (!status && !s->keyed.count)
        status = evs__fail(ctx, reterr, EVS_ERR_EXPRESSION, "a sample needs a key");
    if (status) {
        free_op(&s->op);
        return status;
    }
    *ret = &s->op;
    return EVS_OK;
}
