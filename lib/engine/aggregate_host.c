/*
 * engine/aggregate_host.c: aggregates of the host (evstream/aggregate.h).
 *
 *   state of a group    number of its block + 1, or 0
 *   extra of a slice    blocks, in chunks that never move; a log for taking rows back
 *
 * reserve() makes room for a block for each new group there can be, so that add() need not
 * allocate. Before a row is added the bytes of a plain state go to the log: undo() puts them back.
 * A state that owns something is told to retract the row instead. A block that a row began is given
 * back when that row is.
 *
 * Names are registered before they are used, from one thread; the list only grows, at its front,
 * and is read without a lock.
 */
#include "engine/aggregate.h"
#include "expr/functions.h"

#define ATTACHMENT "evs.aggregates"
#define REASON_MAX EVS__AGG_REASON_MAX
#define STATE_MAX 4096
#define CHUNK 64u
#define LOG_ROWS 1024u

struct evs__agg_host {
    evs_aggregate fn; /* its signature is not kept */
    evs__host_function *signature;
    evs__agg_host *next;
};

typedef struct registry {
    _Atomic(evs__agg_host *) first;
} registry;

/* ---- registering ---- */

static void host_free(evs_context *ctx, evs__agg_host *h)
{
    if (!h)
        return;
    evs__host_function_free(ctx, h->signature);
    evs__free(ctx, h);
}

static void registry_free(evs_context *ctx, void *value)
{
    registry *r = value;
    evs__agg_host *h = atomic_load(&r->first);

    while (h) {
        evs__agg_host *next = h->next;
        host_free(ctx, h);
        h = next;
    }
    evs__free(ctx, r);
}

const evs__agg_host *evs__agg_hosts(evs_context *ctx)
{
    registry *r = evs_context_attached(ctx, ATTACHMENT);
    return r ? atomic_load_explicit(&r->first, memory_order_acquire) : NULL;
}

const evs__agg_host *evs__agg_host_next(const evs__agg_host *h)
{
    return h->next;
}

const evs__host_function *evs__agg_host_signature(const evs__agg_host *h)
{
    return h->signature;
}

static evs_status registry_of(evs_context *ctx, registry **ret, evs_error **reterr)
{
    registry *r = evs_context_attached(ctx, ATTACHMENT);
    evs_status status;

    if (!r) {
        r = evs__calloc(ctx, 1, sizeof(*r));
        if (!r)
            return evs__nomem(reterr);
        status = evs_context_attach(ctx, ATTACHMENT, r, registry_free, reterr);
        if (status) {
            evs__free(ctx, r);
            return status;
        }
    }
    *ret = r;
    return EVS_OK;
}

static const char *fault(const evs_aggregate *f)
{
    if (!f->signature || !f->add || !f->merge || !f->result)
        return "an aggregate needs signature, add, merge and result";
    if (f->state_size < 1 || f->state_size > STATE_MAX)
        return "state_size of an aggregate must be 1 to 4096";
    if (f->destroy && (!f->serialise || !f->restore || !f->retract))
        return "an aggregate with destroy needs serialise, restore and retract";
    if (f->serialise && !f->restore)
        return "an aggregate with serialise needs restore";
    return NULL;
}

static bool is_known(evs_context *ctx, const char *name)
{
    size_t count;
    const evs__aggregate_functions *const *table = evs__aggregate_table(&count);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i]->name, name) == 0)
            return true;
    }
    for (const evs__agg_host *h = evs__agg_hosts(ctx); h; h = h->next) {
        if (strcmp(h->signature->name, name) == 0)
            return true;
    }
    return false;
}

static evs_status check_signature(evs_context *ctx, const evs__host_function *s, evs_error **reterr)
{
    if (s->arg_count < 1 || s->arg_count > EVS__AGG_ARGS_MAX)
        return evs__fail(ctx, reterr, EVS_ERR_EXPRESSION,
                         "\"%s\": an aggregate has 1 to %d arguments", s->name, EVS__AGG_ARGS_MAX);
    if (is_known(ctx, s->name))
        return evs__fail(ctx, reterr, EVS_ERR_EXPRESSION, "there is an aggregate \"%s\" already",
                         s->name);
    return EVS_OK;
}

evs_status
evs_aggregate_register(evs_context *context, const evs_aggregate *aggregate, evs_error **reterr)
{
    evs__agg_host *h;
    registry *r = NULL;
    evs_status status;

    if (!context || !aggregate)
        return evs__fail(context, reterr, EVS_ERR_INVALID, "context or aggregate is NULL");
    h = evs__calloc(context, 1, sizeof(*h));
    if (!h)
        return evs__nomem(reterr);
    h->fn.struct_size = sizeof(h->fn);
    status = evs__options_copy(&h->fn, sizeof(h->fn), aggregate);
    if (status)
        status = evs__fail(context, reterr, EVS_ERR_INVALID,
                           "evs_aggregate has a struct_size this library does not know");
    else if (fault(&h->fn))
        status = evs__fail(context, reterr, EVS_ERR_INVALID, "%s", fault(&h->fn));
    else
        status = evs__host_signature(context, h->fn.signature, &h->signature, reterr);
    if (!status)
        status = check_signature(context, h->signature, reterr);
    if (!status)
        status = registry_of(context, &r, reterr);
    if (status) {
        host_free(context, h);
        return status;
    }
    h->fn.signature = NULL;
    h->next = atomic_load(&r->first);
    atomic_store_explicit(&r->first, h, memory_order_release);
    return EVS_OK;
}

/* ---- blocks ---- */

typedef struct blocks {
    const evs__agg_host *host;
    size_t block_size;
    char **chunks;
    uint32_t chunk_count, chunk_capacity;
    uint32_t used; /* blocks; those of groups that were taken back are at the end */
    char *log;     /* [log_rows]: a flag "began", 16 bytes, and the state before */
    uint32_t log_rows;
} blocks;

static size_t entry_size(const blocks *b)
{
    return 16 + b->block_size;
}

static void *block_at(const blocks *b, uint32_t number)
{
    return b->chunks[(number - 1) / CHUNK] + (size_t)((number - 1) % CHUNK) * b->block_size;
}

static void blocks_free(evs__account *account, void *extra)
{
    blocks *b = extra;

    for (uint32_t i = 1; b->host->fn.destroy && i <= b->used; i++)
        b->host->fn.destroy(block_at(b, i), b->host->fn.user_data);
    for (uint32_t i = 0; i < b->chunk_count; i++)
        evs__account_free(account, b->chunks[i], CHUNK, b->block_size);
    evs__account_free(account, b->chunks, b->chunk_capacity, sizeof(*b->chunks));
    evs__account_free(account, b->log, b->log_rows, entry_size(b));
    evs__account_free(account, b, 1, sizeof(*b));
}

static evs_status blocks_of(const evs__aggregate *a, const evs__agg_groups *g, blocks **ret)
{
    blocks *b = *g->extra;

    if (!b) {
        evs_status status = evs__account_resize(g->account, (void **)&b, 0, 1, sizeof(*b));
        if (status)
            return status;
        memset(b, 0, sizeof(*b));
        b->host = a->host;
        b->block_size = (a->host->fn.state_size + 15) & ~(size_t)15;
        *g->extra = b;
    }
    *ret = b;
    return EVS_OK;
}

static evs_status reserve_blocks(blocks *b, evs__account *account, size_t count)
{
    size_t chunks = (count + CHUNK - 1) / CHUNK;

    while (b->chunk_count < chunks) {
        evs_status status;
        void *chunk = NULL;
        if (b->chunk_count == b->chunk_capacity) {
            uint32_t more = b->chunk_capacity + b->chunk_capacity / 2 + 4;
            status = evs__account_resize(account, (void **)&b->chunks, b->chunk_capacity, more,
                                         sizeof(*b->chunks));
            if (status)
                return status;
            b->chunk_capacity = more;
        }
        status = evs__account_resize(account, &chunk, 0, CHUNK, b->block_size);
        if (status)
            return status;
        b->chunks[b->chunk_count++] = chunk;
    }
    return EVS_OK;
}

/* the group's state, begun when there is none; NULL: init failed */
static void *begin(blocks *b, uint32_t *number)
{
    const evs_aggregate *fn = &b->host->fn;
    void *state;

    if (*number)
        return block_at(b, *number);
    state = block_at(b, b->used + 1);
    memset(state, 0, b->block_size);
    if (fn->init && fn->init(state, fn->user_data))
        return NULL;
    *number = ++b->used;
    return state;
}

/* the last block that was begun goes */
static void unbegin(blocks *b, uint32_t *number)
{
    const evs_aggregate *fn = &b->host->fn;

    if (fn->destroy)
        fn->destroy(block_at(b, *number), fn->user_data);
    b->used--;
    *number = 0;
}

/* ---- rows ---- */

static evs_status
host_reserve(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    uint32_t rows = g->n < LOG_ROWS ? g->n : LOG_ROWS;
    blocks *b = NULL;
    evs_status status = blocks_of(a, g, &b);
    size_t need;

    (void)r;
    if (status)
        return status;
    need = (size_t)b->used + g->n;
    need = need > g->most && g->most >= b->used ? g->most : need;
    status = reserve_blocks(b, g->account, need);
    if (!status && rows > b->log_rows) {
        status =
            evs__account_resize(g->account, (void **)&b->log, b->log_rows, rows, entry_size(b));
        if (!status)
            b->log_rows = rows;
    }
    return status;
}

/* false: one of them is NULL */
static bool get_args(const evs__aggregate *a, const evs__agg_rows *r, uint32_t row, evs_value *args)
{
    for (uint32_t k = 0; k < a->arg_count; k++) {
        const evs_type *wanted = a->host->signature->args[k];
        if (evs__column_is_null(r->args[k], row))
            return false;
        evs__value_get(r->args[k], row, &args[k]);
        if (wanted->id == EVS_TYPE_DOUBLE && args[k].type != EVS_TYPE_DOUBLE)
            args[k].number = (double)args[k].integer;
        if (wanted->id != EVS_TYPE_DECIMAL)
            args[k].type = (int32_t)wanted->id;
    }
    return true;
}

/* one row; what it did is in the log */
static bool
add_row(const evs__aggregate *a, blocks *b, uint32_t *number, const evs_value *args, char *entry)
{
    const evs_aggregate *fn = &b->host->fn;
    bool began = !*number;
    void *state = begin(b, number);
    evs_status status;

    a->reason[0] = '\0';
    if (!state)
        return false;
    entry[0] = began;
    if (!fn->destroy)
        memcpy(entry + 16, state, b->block_size);
    status = fn->add(state, args, a->arg_count, a->reason, REASON_MAX, fn->user_data);
    a->reason[REASON_MAX - 1] = '\0';
    if (!status)
        return true;
    if (!fn->destroy)
        memcpy(state, entry + 16, b->block_size);
    if (began)
        unbegin(b, number);
    return false;
}

static uint32_t host_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    evs_value args[EVS__AGG_ARGS_MAX];
    blocks *b = *g->extra;

    for (uint32_t i = 0; i < g->n; i++) {
        if (i == b->log_rows)
            return i; /* the caller goes on with fewer rows */
        if (get_args(a, r, r->rows[i], args) &&
            !add_row(a, b, evs__agg_state(g, i), args, b->log + i * entry_size(b)))
            return i;
    }
    return g->n;
}

static void
host_undo(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r, uint32_t n)
{
    evs_value args[EVS__AGG_ARGS_MAX];
    blocks *b = *g->extra;
    const evs_aggregate *fn = &b->host->fn;

    while (n-- > 0) {
        uint32_t *number = evs__agg_state(g, n);
        const char *entry = b->log + n * entry_size(b);
        if (!get_args(a, r, r->rows[n], args))
            continue;
        if (fn->destroy)
            fn->retract(block_at(b, *number), args, a->arg_count, fn->user_data);
        else
            memcpy(block_at(b, *number), entry + 16, b->block_size);
        if (entry[0])
            unbegin(b, number);
    }
}

static evs_status host_refusal(const evs__aggregate *a, evs__buffer *message)
{
    size_t len = evs__utf8_valid_prefix(a->reason, strlen(a->reason));
    evs__buffer_printf(message, "%s: %.*s", a->host->signature->name, len ? (int)len : 23,
                       len ? a->reason : "the host refused the row");
    return EVS_ERR_CALLBACK;
}

static evs_status
host_merge(const evs__aggregate *a, const evs__agg_groups *to, const evs__agg_groups *from)
{
    const blocks *source = *from->extra;
    blocks *b = NULL;
    evs_status status;

    if (!source)
        return EVS_OK;
    status = blocks_of(a, to, &b);
    if (!status)
        status = reserve_blocks(b, to->account, (size_t)b->used + to->n);
    for (uint32_t i = 0; i < to->n && !status; i++) {
        uint32_t y = *(uint32_t *)evs__agg_state(from, i);
        void *state;
        if (!y)
            continue;
        state = begin(b, evs__agg_state(to, i));
        status = state ? b->host->fn.merge(state, block_at(source, y), b->host->fn.user_data)
                       : EVS_ERR_CALLBACK;
        if (status && status != EVS_ERR_NOMEM)
            status = EVS_ERR_OVERFLOW;
    }
    return status;
}

/* ---- results ---- */

/* false: the value does not fit */
static bool append_value(evs__column *out, const evs_value *v, evs_status *ret_status)
{
    switch (out->type->id) {
    case EVS_TYPE_BOOLEAN:
        evs__column_append_bool(out, v->integer != 0);
        return true;
    case EVS_TYPE_INT:
    case EVS_TYPE_DATE:
    case EVS_TYPE_TIME:
        if (v->integer < INT32_MIN || v->integer > INT32_MAX)
            return false;
        evs__column_append_i32(out, (int32_t)v->integer);
        return true;
    case EVS_TYPE_DOUBLE:
        evs__column_append_f64(out, v->number);
        return true;
    case EVS_TYPE_VARCHAR:
        if (v->len && !evs__utf8_valid(v->data, v->len))
            return false;
        *ret_status = evs__column_append_str(out, v->data, v->len);
        return true;
    case EVS_TYPE_BYTES:
        *ret_status = evs__column_append_str(out, v->data, v->len);
        return true;
    default:
        evs__column_append_i64(out, v->integer);
        return true;
    }
}

static evs_status host_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    const blocks *b = *g->extra;
    evs_status status = EVS_OK;

    for (uint32_t i = 0; i < g->n && !status; i++) {
        uint32_t number = *(uint32_t *)evs__agg_state(g, i);
        evs_value v = {.type = (int32_t)out->type->id, .is_null = 1};
        if (number)
            b->host->fn.result(block_at(b, number), &v, b->host->fn.user_data);
        if (!v.is_null && append_value(out, &v, &status))
            continue;
        if (!v.is_null)
            evs__log(g->account->ctx, EVS_LOG_WARNING, "aggregate",
                     "%s: its result does not fit the type, it is NULL", a->host->signature->name);
        status = evs__column_append_null(out);
    }
    return status;
}

static evs_status host_type(evs_context *ctx, const evs__aggregate *a, const evs_type **ret)
{
    (void)ctx;
    return evs__type_with_nullable(a->host->signature->result, false, ret);
}

/* ---- snapshots: [uint32 length + 1, 0: no state][bytes] ---- */

struct evs_aggregate_out {
    evs__buffer *buffer;
};

evs_status evs_aggregate_write(evs_aggregate_out *out, const void *data, size_t len)
{
    if (!out || (!data && len))
        return EVS_ERR_INVALID;
    return evs__buffer_append(out->buffer, data, len);
}

static evs_status host_write(const evs__aggregate *a, const evs__agg_groups *g, evs__buffer *out)
{
    const evs_aggregate *fn = &a->host->fn;
    evs_status status = EVS_OK;

    for (uint32_t i = 0; i < g->n && !status; i++) {
        uint32_t number = *(uint32_t *)evs__agg_state(g, i), len = 0;
        size_t at = out->len;
        evs_aggregate_out to = {out};
        evs__buffer_append(out, &len, sizeof(len));
        if (number && fn->serialise)
            status = fn->serialise(block_at(*g->extra, number), &to, fn->user_data);
        else if (number)
            evs__buffer_append(out, block_at(*g->extra, number), fn->state_size);
        status = out->status ? out->status : status ? EVS_ERR_NOMEM : EVS_OK;
        if (!status && out->len - at > UINT32_MAX / 2)
            return EVS_ERR_LIMIT;
        len = number ? (uint32_t)(out->len - at - sizeof(len)) + 1 : 0;
        if (!status)
            memcpy(out->data + at, &len, sizeof(len));
    }
    return status;
}

static evs_status host_read(const evs__aggregate *a, const evs__agg_groups *g, evs__reader *in)
{
    const evs_aggregate *fn = &a->host->fn;
    blocks *b = NULL;
    evs_status status = blocks_of(a, g, &b);

    for (uint32_t i = 0; i < g->n && !status; i++) {
        const char *data;
        uint32_t len;
        void *state;
        if (!evs__read(in, &len, sizeof(len)) || (len && !evs__read_bytes(in, len - 1, &data)))
            return EVS_ERR_CORRUPT;
        if (!len--)
            continue;
        status = reserve_blocks(b, g->account, (size_t)b->used + 1);
        if (status)
            break;
        state = begin(b, evs__agg_state(g, i));
        if (!state)
            return EVS_ERR_NOMEM;
        if (fn->restore)
            status = fn->restore(state, data, len, fn->user_data) ? EVS_ERR_CORRUPT : EVS_OK;
        else if (len != fn->state_size)
            status = EVS_ERR_CORRUPT;
        else
            memcpy(state, data, len);
    }
    return status;
}

/* ---- in a list of aggregates ---- */

const evs__agg_host *evs__agg_host_find(evs_context *ctx, const char *name)
{
    const evs__agg_host *h = evs__agg_hosts(ctx);
    while (h && strcmp(h->signature->name, name) != 0)
        h = h->next;
    return h;
}

static bool takes(const evs_type *wanted, const evs_type *given)
{
    switch (wanted->id) {
    case EVS_TYPE_BIGINT:
        return given->id == EVS_TYPE_INT || given->id == EVS_TYPE_BIGINT;
    case EVS_TYPE_DOUBLE:
        return (EVS__AGG_NUMBERS >> given->id & 1) != 0;
    default:
        return wanted->id == given->id;
    }
}

bool evs__agg_host_fits(const evs__agg_host *h, const evs__aggregate *a)
{
    for (uint32_t k = 0; k < a->arg_count; k++) {
        if (!takes(h->signature->args[k], a->arg_types[k]))
            return false;
    }
    return a->arg_count == h->signature->arg_count;
}

const evs__aggregate_functions evs__agg_host_functions = {
    .name = "aggregate of the host",
    .usage = "see its signature",
    .size = sizeof(uint64_t),
    .align = sizeof(uint64_t),
    .undoes_last = true,
    .may_be_null = true,
    .type = host_type,
    .reserve = host_reserve,
    .add = host_add,
    .undo = host_undo,
    .merge = host_merge,
    .result = host_result,
    .write = host_write,
    .read = host_read,
    .extra_free = blocks_free,
    .refusal = host_refusal,
};
