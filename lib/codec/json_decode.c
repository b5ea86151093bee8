/*
 * codec/json_decode.c: the JSON format's decoder, and the check of any JSON value.
 *
 * A row is one object. The reader appends to the columns as it goes; when it fails, all columns are
 * cut back, so a bad event leaves nothing behind. What is no object at all goes through the check
 * of whole values first: what is not JSON is told as such, not as a wrong type.
 */
#include "codec/json.h"

typedef struct json_decoder {
    evs__format_decoder base;
    evs_context *ctx;
    const evs_type *type;
    evs__json_node *root;
    const evs__json_walk *walk;
} json_decoder;

#define TIMES8(x) x, x, x, x, x, x, x, x
#define TIMES32(x) TIMES8(x), TIMES8(x), TIMES8(x), TIMES8(x)
const evs__json_byte_table evs__json_bytes = {
    {TIMES32('"')}, {TIMES32('\\')}, {TIMES32(' ')}, {TIMES32(0x100 - '0')}, {TIMES32(10)}};

const evs__json_walk *evs__json_walk_best(void)
{
#ifdef EVS__JSON_X86
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
        __builtin_cpu_supports("bmi2"))
        return &evs__json_walk_avx2;
    return &evs__json_walk_sse2;
#else
    return &evs__json_walk_plain;
#endif
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static const evs__json_walk *
walk_for(const evs__json_walk *walk, const uint8_t *data, const uint8_t *end)
{
    return (size_t)(end - data) < walk->bytes_min ? &evs__json_walk_plain : walk;
}

/* ---- any value ---- */

/* the value at p, by the walk when the document ends as it wants it */
static const uint8_t *check_value(evs__json_reader *r, const evs__json_walk *walk, const uint8_t *p)
{
    const uint8_t *end = r->end;
    bool unused;

    if (*p == '{' || *p == '[') {
        /* up to the last bracket: behind it nothing of the value can be */
        while (end > p && end[-1] != '}' && end[-1] != ']')
            end--;
        if (end == p)
            return evs__json_fault(r, EVS_ERR_DECODE, "it ends too early", r->end);
        r->end = end;
        return walk_for(walk, r->data, end)->skip(r, p);
    }
    if (*p == '"') {
        p = evs__json_text_end(r, p + 1, p + 1, &unused);
        return p ? p + 1 : NULL;
    }
    return *p <= '9' ? evs__json_number_end(r, p, &unused) : evs__json_literal(r, p);
}

static bool check_document(evs__json_reader *r, const evs__json_walk *walk)
{
    const uint8_t *end = r->end;
    const uint8_t *p = r->data;

    while (p < end && is_space(*p))
        p++;
    if (p == end) {
        evs__json_fault(r, EVS_ERR_DECODE, "there is no value", p);
        return false;
    }
    p = check_value(r, walk, p);
    if (!p)
        return false;
    while (p < end && is_space(*p))
        p++;
    if (p == end)
        return true;
    evs__json_fault(r, EVS_ERR_DECODE, "bytes follow the value", p);
    return false;
}

evs_status evs__json_check(
    const evs__json_walk *walk, const uint8_t *data, size_t len, char *message, size_t message_size)
{
    evs__json_reader r;

    r.data = data;
    r.end = data + len;
    r.status = EVS_OK;
    if (check_document(&r, walk))
        return EVS_OK;
    evs__json_fault_print(&r, message, message_size);
    return r.status;
}

/* ---- rows ---- */

/* the event does not look like an object: say why */
static bool not_object(evs__json_reader *r, const evs__json_walk *walk)
{
    const uint8_t *p = r->data;

    if (!check_document(r, walk))
        return false;
    while (is_space(*p))
        p++;
    evs__json_fault(r, EVS_ERR_SCHEMA, NULL, p);
    return false;
}

bool evs__json_trailing(evs__json_reader *r, const uint8_t *p)
{
    while (is_space(*p))
        p++;
    evs__json_fault(r, EVS_ERR_DECODE, "bytes follow the value", p);
    return false;
}

bool evs__json_read_row(evs__json_reader *r,
                        const evs__json_walk *walk,
                        evs__json_scope *scope,
                        const uint8_t *data,
                        size_t len)
{
    const uint8_t *end = data + len;
    const uint8_t *p = data;

    while (p < end && is_space(*p))
        p++;
    while (end > p && is_space(end[-1]))
        end--;
    r->data = data;
    r->end = end;
    if (end - p < 2 || *p != '{' || end[-1] != '}')
        return not_object(r, walk);
    p = walk_for(walk, data, end)->object(r, scope->owner, scope, p);
    if (!p)
        return false;
    if (p != end)
        return evs__json_trailing(r, p);
    return scope->filled == scope->owner->column_count || evs__json_fill_missing(r, scope);
}

static evs_status decode_batch(evs__format_decoder *base,
                               evs__decode_run *run,
                               evs__column **columns,
                               evs__scratch *scratch,
                               char *message,
                               size_t message_size)
{
    json_decoder *d = (json_decoder *)base;
    evs__json_reader r;

    r.ctx = d->ctx;
    r.scratch = scratch;
    r.status = EVS_OK;
    if (!d->walk->rows(&r, d->root, run, columns))
        return EVS_OK;
    for (uint32_t i = 0; i < d->root->column_count; i++)
        evs__column_truncate(columns[i], run->row);
    evs__json_fault_print(&r, message, message_size);
    return r.status;
}

static evs_status decode_row(evs__format_decoder *base,
                             const uint8_t *data,
                             size_t len,
                             evs__column **columns,
                             evs__scratch *scratch,
                             char *message,
                             size_t message_size)
{
    json_decoder *d = (json_decoder *)base;
    evs_input input = {.value = data, .value_len = (uint32_t)len};
    uint32_t origin;
    evs__decode_run run = {
        .inputs = &input, .count = 1, .row = d->root->column_count ? columns[0]->length : 0};

    run.origin = &origin - run.row;
    return decode_batch(base, &run, columns, scratch, message, message_size);
}

void evs__json_decoder_use(evs__format_decoder *base, const evs__json_walk *walk)
{
    ((json_decoder *)base)->walk = walk;
}

static void decoder_free(evs__format_decoder *base)
{
    json_decoder *d = (json_decoder *)base;

    evs__json_plan_free(d->ctx, d->root);
    evs_type_unref(d->type);
    evs__free(d->ctx, d);
}

static evs_status new_decoder(evs_context *ctx,
                              evs_schema *schema,
                              const evs_type *wanted,
                              const evs__codec_options *o,
                              evs__format_decoder **ret,
                              evs_error **reterr)
{
    json_decoder *d = evs__calloc(ctx, 1, sizeof(*d));
    evs_status status;

    (void)o;
    if (!d)
        return evs__nomem(reterr);
    status = evs__json_plan_new(ctx, schema, wanted, &d->root, reterr);
    if (status) {
        evs__free(ctx, d);
        return status;
    }
    d->base.format = &evs__format_json;
    d->base.decode_row = decode_row;
    d->base.decode_batch = decode_batch;
    d->base.free = decoder_free;
    d->ctx = ctx;
    d->type = evs_type_ref(wanted);
    d->walk = evs__json_walk_best();
    *ret = &d->base;
    return EVS_OK;
}

const evs__format evs__format_json = {
    .name = "json",
    .id = EVS_FORMAT_JSON,
    .confluent_by_default = false,
    .new_decoder = new_decoder,
    .new_encoder = evs__json_new_encoder,
};
