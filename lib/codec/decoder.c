/*
 * codec/decoder.c: evs_decoder: inputs to rows of a batch, for any format.
 *
 *   inputs --framing--> schema id --cache--> compiled decoder of that writer's schema --> columns
 *
 * With Confluent framing every id that occurs has one compiled decoder, found by a linear search
 * that starts with the last hit (a topic has few ids alive); when the table is full the oldest
 * goes. An id that cannot be used is kept with its reason, so that a thousand events of it cost one
 * look-up: an unknown one for the duration of the call only, since it may be registered meanwhile.
 *
 * Batches are reused: each slot holds a batch, the scratch memory of its texts and the decoder's
 * own reference; a slot is free again when that is the last reference to the batch and its columns.
 * Texts in scratch memory therefore live as long as the decoder.
 *
 * A format with decode_batch loops over the inputs itself; the frame steps in where the framing
 * changes or an event fails. Cost a call: a batch header's reset; per event: nothing but the loop.
 */
#include <stdio.h>

#include "codec/frame.h"

#define IDS_MAX 64 /* compiled decoders kept */
#define MESSAGE_MAX 512

typedef struct writer {
    int32_t id;
    evs_status status;            /* why it cannot be used */
    bool forget;                  /* the reason may go away: ask again in the next call */
    char *message;                /* of `status`; NULL: none */
    evs_schema *schema;           /* reference */
    evs__format_decoder *decoder; /* NULL when status is set */
} writer;

typedef struct slot {
    struct slot *next;
    evs_batch *batch;
    uint32_t capacity;
    evs__scratch scratch;
} slot;

struct evs_decoder {
    evs_context *ctx;
    evs_schema *schema;   /* reader's; NULL: the first writer's */
    const evs_type *type; /* wanted rows; NULL until the first writer's schema is known */
    const evs__format *format;
    evs__codec_options options;
    bool confluent;
    bool validator; /* belongs to `schema`: holds neither it nor a reference to the context */
    evs__registry *registry;
    evs__format_decoder *plain; /* without framing */
    writer writers[IDS_MAX];
    size_t writer_count;
    size_t writer_last; /* last hit */
    size_t writer_oldest;
    slot *slots;
};

/* one call's progress */
typedef struct run {
    evs__decode_run r;
    evs_decoder *d;
    slot *s;
    evs_decode_failed_fn failed;
    void *user_data;
    evs_error **reterr;
} run;

/* ---- making ---- */

/* a STRUCT of the fields of `type` that `names` lists */
static evs_status wanted_of_names(evs_context *ctx,
                                  const evs_type *type,
                                  const char *names,
                                  const evs_type **ret,
                                  evs_error **reterr)
{
    evs__buffer list;
    evs__field *fields = NULL;
    size_t count = 0;
    size_t room = 1;
    evs_status status = EVS_OK;

    evs__buffer_init(&list, ctx, 4096);
    for (const char *p = names; *p; p++)
        room += *p == ',';
    if (!(fields = evs__calloc(ctx, room, sizeof(*fields)))) {
        status = evs__nomem(reterr);
        goto out;
    }
    for (const char *p = names; *p;) {
        const char *begin = p + strspn(p, " \t\r\n");
        const char *end = begin + strcspn(begin, ",");
        int32_t at;
        p = *end ? end + 1 : end;
        while (end > begin && strchr(" \t\r\n", end[-1]))
            end--;
        at = evs_type_field_index(type, begin, (size_t)(end - begin));
        if (at < 0) {
            evs__type_list_fields(type, &list);
            status = evs__fail(ctx, reterr, EVS_ERR_NOT_FOUND,
                               "decoder: option \"columns\": no field \"%.*s\"; %s",
                               (int)(end - begin), begin, evs__buffer_cstr(&list) ? list.data : "");
            goto out;
        }
        fields[count++] = type->children[at];
    }
    status = evs__type_struct(ctx, fields, count, false, ret);
    if (status)
        status = evs__fail(ctx, reterr, status, "decoder: option \"columns\": \"%s\" %s", names,
                           status == EVS_ERR_NOMEM ? "needs memory" : "has a name twice");
out:
    evs__free(ctx, fields);
    evs__buffer_free(&list);
    return status;
}

static evs_status choose_wanted(evs_decoder *d,
                                const evs_type *wanted,
                                const evs__codec_setup *setup,
                                evs_error **reterr)
{
    if (wanted) {
        d->type = evs_type_ref(wanted);
        return EVS_OK;
    }
    if (!d->schema)
        return EVS_OK;
    /* definitions that the schema was made from ask for all of it */
    if (!setup->columns || strcmp(d->schema->text, setup->columns) == 0) {
        d->type = evs_type_ref(d->schema->type);
        return EVS_OK;
    }
    return wanted_of_names(d->ctx, d->schema->type, setup->columns, &d->type, reterr);
}

/* the schema, given or as the options say, and what follows from it */
static evs_status
choose_schema(evs_decoder *d, evs_schema *schema, evs__codec_setup *setup, evs_error **reterr)
{
    evs_status status = EVS_OK;

    if (schema)
        d->schema = evs_schema_ref(schema);
    else
        status = evs__codec_schema_of(d->ctx, setup->config, setup->topic, &d->schema, reterr);
    if (!status)
        status = evs__codec_setup_resolve(setup, d->ctx, "decoder", d->schema, reterr);
    if (status)
        return status;
    d->format = setup->format;
    d->options = setup->options;
    d->confluent = setup->confluent;
    if (!d->schema && !setup->confluent)
        return evs__fail(d->ctx, reterr, EVS_ERR_CONFIG,
                         "decoder: format \"%s\" without framing needs a schema or columns",
                         setup->format->name);
    return EVS_OK;
}

evs_status evs__decoder_new(evs_context *ctx,
                            evs_schema *schema,
                            const evs_type *wanted,
                            const evs_options *options,
                            evs_decoder **ret,
                            evs_error **reterr)
{
    evs__codec_setup setup = {0};
    evs_decoder *d = NULL;
    evs_status status = evs__codec_setup_init(&setup, ctx, "decoder", options, reterr);

    if (status)
        return status;
    if (!(d = evs__calloc(ctx, 1, sizeof(*d)))) {
        status = evs__nomem(reterr);
        goto out;
    }
    d->ctx = evs_context_ref(ctx);
    if ((status = choose_schema(d, schema, &setup, reterr)) ||
        (status = choose_wanted(d, wanted, &setup, reterr)))
        goto out;
    if (d->confluent)
        status = evs__registry_memory(ctx, &d->registry, reterr);
    else
        status = d->format->new_decoder(ctx, d->schema, d->type, &d->options, &d->plain, reterr);
    if (status)
        goto out;
    *ret = d;
    d = NULL;
out:
    evs_decoder_unref(d);
    evs__codec_setup_free(&setup);
    return status;
}

evs_status evs_decoder_new(evs_context *context,
                           evs_schema *schema,
                           const evs_options *options,
                           evs_decoder **ret_decoder,
                           evs_error **reterr)
{
    if (!context || !ret_decoder)
        return evs__fail(context, reterr, EVS_ERR_INVALID, "context or ret_decoder is NULL");
    return evs__decoder_new(context, schema, NULL, options, ret_decoder, reterr);
}

evs_status evs__decoder_new_validator(evs_schema *schema, evs_decoder **ret, evs_error **reterr)
{
    evs_context *ctx = schema->ctx;
    evs_format id = schema->format == EVS_FORMAT_NONE ? EVS_FORMAT_JSON : schema->format;
    evs_decoder *d = evs__calloc(ctx, 1, sizeof(*d));
    evs_status status;

    if (!d)
        return evs__nomem(reterr);
    d->ctx = evs__context_hold(ctx);
    d->validator = true;
    d->schema = schema;
    d->type = evs_type_ref(schema->type);
    d->options = (evs__codec_options){.delimiter = ',', .validate = true};
    d->format = evs__format_find(id);
    if (d->format)
        status = d->format->new_decoder(ctx, schema, d->type, &d->options, &d->plain, reterr);
    else
        status = evs__fail(ctx, reterr, EVS_ERR_UNSUPPORTED, "the format is not in this build");
    if (status)
        evs_decoder_unref(d);
    else
        *ret = d;
    return status;
}

static void writer_free(evs_decoder *d, writer *w)
{
    if (w->decoder)
        w->decoder->free(w->decoder);
    evs_schema_unref(w->schema);
    evs__free(d->ctx, w->message);
    memset(w, 0, sizeof(*w));
}

static void slot_free(evs_decoder *d, slot *s)
{
    evs_batch_unref(s->batch);
    evs__scratch_free(&s->scratch);
    evs__free(d->ctx, s);
}

evs_decoder *evs_decoder_unref(evs_decoder *d)
{
    evs_context *ctx;

    if (!d)
        return NULL;
    ctx = d->ctx;
    for (size_t i = 0; i < d->writer_count; i++)
        writer_free(d, &d->writers[i]);
    while (d->slots) {
        slot *next = d->slots->next;
        slot_free(d, d->slots);
        d->slots = next;
    }
    if (d->plain)
        d->plain->free(d->plain);
    evs_type_unref(d->type);
    if (!d->validator)
        evs_schema_unref(d->schema);
    if (d->validator) {
        evs__free(ctx, d);
        evs__context_drop(ctx);
    } else {
        evs__free(ctx, d);
        evs_context_unref(ctx);
    }
    return NULL;
}

const evs_type *evs_decoder_type(const evs_decoder *decoder)
{
    return decoder ? decoder->type : NULL;
}

/* ---- batches ---- */

/* Room is made for what is asked, not for the largest batch: an idle or slow topic stays small. */
static evs_status slot_take(evs_decoder *d, size_t count, slot **ret)
{
    slot *s = NULL;
    uint32_t capacity = 64;
    evs_status status = EVS_OK;

    while (capacity < count)
        capacity *= 2;
    for (s = d->slots; s; s = s->next) {
        if (s->capacity >= capacity && evs__batch_reuse(s->batch)) {
            evs__scratch_reset(&s->scratch);
            *ret = s;
            return evs__batch_need_origin(s->batch);
        }
    }
    /* a free one that is too small makes way */
    for (slot **at = &d->slots; *at; at = &(*at)->next) {
        if (evs__batch_reuse((*at)->batch)) {
            slot *small = *at;
            *at = small->next;
            slot_free(d, small);
            break;
        }
    }
    if (!(s = evs__calloc(d->ctx, 1, sizeof(*s))))
        return EVS_ERR_NOMEM;
    evs__scratch_init(&s->scratch, d->ctx);
    s->capacity = capacity;
    status = evs__batch_new(d->ctx, d->type, EVS_LAYOUT_VIEW, capacity, &s->batch);
    if (!status)
        status = evs__batch_need_origin(s->batch);
    if (status) {
        slot_free(d, s);
        return status;
    }
    s->next = d->slots;
    d->slots = s;
    *ret = s;
    return EVS_OK;
}

/* ---- schema ids ---- */

/* keep why an id cannot be used; without memory for the text the name of the status has to do */
static void writer_refuse(evs_decoder *d, writer *w, evs_status status, evs_error *why)
{
    w->status = status;
    w->forget = status == EVS_ERR_NOT_FOUND;
    if (status == EVS_ERR_NOT_FOUND) {
        char text[80];
        snprintf(text, sizeof(text), "schema id %d is unknown to the registry", (int)w->id);
        w->message = evs__strdup(d->ctx, text);
    } else {
        evs_error_prefix(d->ctx, &why, "schema id %d: ", (int)w->id);
        w->message = evs__strdup(d->ctx, evs_error_message(why));
    }
    evs_error_unref(why);
}

/* The first writer's schema becomes the reader's when none was given. */
static evs_status adopt_schema(evs_decoder *d, evs_schema *schema)
{
    if (d->type)
        return EVS_OK;
    d->schema = evs_schema_ref(schema);
    d->type = evs_type_ref(schema->type);
    return EVS_OK;
}

/*
 * Fill an entry for an id. A status of the whole call (no memory, the registry cannot tell now) is
 * returned; what is wrong with the id itself is kept in the entry.
 */
static evs_status writer_init(evs_decoder *d, writer *w, int32_t id, evs_error **reterr)
{
    evs_error *why = NULL;
    evs_status status;

    w->id = id;
    status = d->registry->by_id(d->registry, id, &w->schema, &why);
    if (!status)
        status = adopt_schema(d, w->schema);
    if (!status)
        status = d->format->new_decoder(d->ctx, w->schema, d->type, &d->options, &w->decoder, &why);
    if (status == EVS_AGAIN || status == EVS_ERR_UNAVAILABLE || status == EVS_ERR_NOMEM) {
        writer_free(d, w);
        evs__error_move(reterr, why);
        return status;
    }
    if (status)
        writer_refuse(d, w, status, why);
    return EVS_OK;
}

static evs_status writer_find(evs_decoder *d, int32_t id, writer **ret, evs_error **reterr)
{
    writer *w = NULL;
    evs_status status;

    for (size_t i = 0; i < d->writer_count; i++) {
        size_t at = (d->writer_last + i) % d->writer_count;
        if (d->writers[at].id == id) {
            d->writer_last = at;
            *ret = &d->writers[at];
            return EVS_OK;
        }
    }
    if (d->writer_count < IDS_MAX) {
        w = &d->writers[d->writer_count];
    } else {
        w = &d->writers[d->writer_oldest];
        writer_free(d, w);
        w->id = -1;
    }
    if ((status = writer_init(d, w, id, reterr))) {
        if (w != &d->writers[d->writer_count])
            w->id = -1; /* an empty entry in the middle: no event has this id */
        return status;
    }
    if (d->writer_count < IDS_MAX)
        d->writer_count++;
    else
        d->writer_oldest = (d->writer_oldest + 1) % IDS_MAX;
    d->writer_last = (size_t)(w - d->writers);
    *ret = w;
    return EVS_OK;
}

static void forget_unknown(evs_decoder *d)
{
    for (size_t i = 0; i < d->writer_count;) {
        if (!d->writers[i].forget) {
            i++;
            continue;
        }
        writer_free(d, &d->writers[i]);
        d->writers[i] = d->writers[--d->writer_count];
        memset(&d->writers[d->writer_count], 0, sizeof(writer));
        d->writer_last = 0;
        d->writer_oldest = 0;
    }
}

/* ---- decoding ---- */

static void tell(run *c, evs_status status, const char *message)
{
    if (c->failed)
        c->failed(c->r.at, status, message, c->user_data);
    c->r.at++;
}

/* decode_batch for formats that have none */
static evs_status decode_rows(evs__format_decoder *d,
                              evs__decode_run *r,
                              evs__column **columns,
                              evs__scratch *scratch,
                              char *message,
                              size_t size)
{
    for (; r->at < r->count; r->at++) {
        const evs_input *in = &r->inputs[r->at];
        const uint8_t *data = in->value;
        evs_status status;
        if (!data || in->value_len < r->header_len ||
            (r->header_len && memcmp(data, r->header, r->header_len) != 0))
            return EVS_OK;
        status = d->decode_row(d, data + r->header_len, in->value_len - r->header_len, columns,
                               scratch, message, size);
        if (status)
            return status;
        r->origin[r->row++] = (uint32_t)r->at;
    }
    return EVS_OK;
}

/*
 * The run's next stretch: inputs of one decoder. EVS_OK also when one failed and was told.
 */
static evs_status decode_stretch(run *c, evs__format_decoder *d)
{
    char message[MESSAGE_MAX];
    evs__column **columns = c->s->batch->columns;
    evs_status status;

    message[0] = '\0';
    if (d->decode_batch)
        status = d->decode_batch(d, &c->r, columns, &c->s->scratch, message, sizeof(message));
    else
        status = decode_rows(d, &c->r, columns, &c->s->scratch, message, sizeof(message));
    if (status == EVS_ERR_NOMEM)
        return evs__nomem(c->reterr);
    if (status)
        tell(c, status, message);
    return EVS_OK;
}

static evs_status decode_framed(run *c, const evs_input *in)
{
    const uint8_t *p = in->value;
    evs_decoder *d = c->d;
    char message[96];
    writer *w = NULL;
    uint32_t id;
    evs_status status;

    if (in->value_len < EVS__CONFLUENT_HEADER) {
        snprintf(message, sizeof(message),
                 "%u bytes are too few for magic byte and schema id (5 bytes)",
                 (unsigned)in->value_len);
        tell(c, EVS_ERR_DECODE, message);
        return EVS_OK;
    }
    if (p[0] != 0) {
        snprintf(message, sizeof(message),
                 "magic byte is 0x%02x instead of 0x00: not framed with a schema id", p[0]);
        tell(c, EVS_ERR_DECODE, message);
        return EVS_OK;
    }
    id = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
    if (id > INT32_MAX) {
        snprintf(message, sizeof(message), "schema id %u is out of range", (unsigned)id);
        tell(c, EVS_ERR_DECODE, message);
        return EVS_OK;
    }
    if ((status = writer_find(d, (int32_t)id, &w, c->reterr)))
        return status;
    if (w->status) {
        tell(c, w->status == EVS_ERR_NOT_FOUND ? EVS_ERR_DECODE : w->status,
             w->message ? w->message : evs_status_text(w->status));
        return EVS_OK;
    }
    if (!c->s && (status = slot_take(d, c->r.count, &c->s)))
        return evs__nomem(c->reterr);
    c->r.origin = c->s->batch->origin;
    c->r.header = p;
    c->r.header_len = EVS__CONFLUENT_HEADER;
    return decode_stretch(c, w->decoder);
}

static evs_status decode_all(run *c)
{
    evs_status status = EVS_OK;

    while (!status && c->r.at < c->r.count) {
        const evs_input *in = &c->r.inputs[c->r.at];
        if (!in->value)
            tell(c, EVS_ERR_DECODE, "the value is null");
        else if (c->d->confluent)
            status = decode_framed(c, in);
        else
            status = decode_stretch(c, c->d->plain);
    }
    return status;
}

evs_status evs__decoder_run(evs_decoder *d,
                            const evs_input *inputs,
                            size_t count,
                            evs_decode_failed_fn failed,
                            void *user_data,
                            evs_batch **ret_batch,
                            evs_error **reterr)
{
    run c = {.r = {.inputs = inputs, .count = count},
             .d = d,
             .failed = failed,
             .user_data = user_data,
             .reterr = reterr};
    evs_status status;

    if (d->type && (status = slot_take(d, count, &c.s)))
        return evs__nomem(reterr);
    if (c.s)
        c.r.origin = c.s->batch->origin;
    status = decode_all(&c);
    if (d->confluent)
        forget_unknown(d);
    if (status)
        return status;
    if (!c.s)
        return evs__fail(d->ctx, reterr, EVS_ERR_NOT_FOUND,
                         "decoder: no schema was given and none is known yet");
    c.s->batch->rows = c.s->batch->count = c.r.row;
    *ret_batch = evs_batch_ref(c.s->batch);
    return EVS_OK;
}

evs_status evs_decoder_decode(evs_decoder *decoder,
                              const evs_input *inputs,
                              size_t count,
                              evs_decode_failed_fn failed,
                              void *user_data,
                              evs_batch **ret_batch,
                              evs_error **reterr)
{
    if (!decoder || !ret_batch || (!inputs && count))
        return evs__fail(decoder ? decoder->ctx : NULL, reterr, EVS_ERR_INVALID,
                         "decoder, inputs or ret_batch is NULL");
    if (count > EVS_BATCH_ROWS_MAX)
        return evs__fail(decoder->ctx, reterr, EVS_ERR_INVALID,
                         "%zu events are more than %d in one call", count, EVS_BATCH_ROWS_MAX);
    return evs__decoder_run(decoder, inputs, count, failed, user_data, ret_batch, reterr);
}
