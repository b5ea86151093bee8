/*
 * codec/json_encode.c: rows to compact JSON.
 *
 *   user_id VARCHAR, total DOUBLE '$.order.total'
 *   -> {"user_id":  <text>  ,"order":{"total":  <number>  }}
 *
 * Everything between two values is rendered once: an object is a list of (text before, column) and
 * a text behind. A row is then a copy of these texts with the values between them. Members stand in
 * the schema's order; those that share the way of a path stand where the first of them does.
 *
 * NULL is written as null. DECIMAL is a number with all digits of its scale, TIMESTAMP, DATE, TIME
 * are RFC 3339 text (a plain number outside of the years that text can name), BYTES base64. NaN and
 * infinities have no JSON form and are an error, as is NULL in a field that the schema requires.
 *
 * Text is taken as valid UTF-8, which is what VARCHAR columns hold; it is copied 16 bytes at a time
 * while looking for what must be escaped.
 */
#include <math.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/hash.h"
#include "base/time.h"
#include "codec/json.h"

#define DAY_MS 86400000
#define SEGMENTS_MAX 64
#define FIXED_TEXT_MAX 64 /* longest value but text, with quotes */

typedef struct json_object json_object;

/* how one value is written */
typedef struct json_out {
    evs_type_id id;
    bool required;            /* NULL is an error */
    json_object *object;      /* STRUCT */
    struct json_out *element; /* ARRAY; of MAP, the value */
    /* TIMESTAMP: the last value's day; the next is often of the same */
    int64_t day;
    size_t date_len; /* 0: `day` has no text */
    char date[16];
} json_out;

typedef struct json_part {
    char *before; /* `,"name":` */
    size_t before_len;
    const char *name; /* borrowed from the schema's type */
    int32_t column;   /* of the rows; -1: they have none, NULL is written */
    json_out out;
} json_part;

struct json_object {
    json_part *parts;
    uint32_t part_count;
    char *after; /* `}`, and what else is open */
    size_t after_len;
};

typedef struct json_encoder {
    evs__format_encoder base;
    evs_context *ctx;
    const evs_type *type;
    json_object root;
    evs__buffer *to;
    /* the fault */
    evs_status status;
    const char *what;
    evs__json_trail trail;
} json_encoder;

/* ---- compile: fitting types ---- */

static evs_status object_init(evs_context *ctx,
                              json_object *object,
                              const evs_type *rows,
                              const evs_type *schema,
                              char *const *paths,
                              evs_error **reterr);

static evs_status out_init(evs_context *ctx,
                           json_out *out,
                           const evs_type *rows,
                           const evs_type *schema,
                           const char *name,
                           evs_error **reterr)
{
    const evs_type *from = NULL, *to = NULL;

    if (!evs__codec_fits(rows, schema))
        return evs__fail_at(ctx, reterr, EVS_ERR_SCHEMA, name,
                            "field \"%s\": rows have %s, the schema %s", name, evs_type_print(rows),
                            evs_type_print(schema));
    out->id = rows->id;
    out->day = INT64_MIN;
    out->required = !schema->nullable;
    if (rows->id == EVS_TYPE_STRUCT) {
        out->object = evs__calloc(ctx, 1, sizeof(*out->object));
        if (!out->object)
            return evs__nomem(reterr);
        return object_init(ctx, out->object, rows, schema, NULL, reterr);
    }
    if (rows->id == EVS_TYPE_ARRAY) {
        from = rows->children[0].type;
        to = schema->children[0].type;
    } else if (rows->id == EVS_TYPE_MAP) {
        from = rows->children[0].type->children[1].type;
        to = schema->children[0].type->children[1].type;
    } else {
        return EVS_OK;
    }
    out->element = evs__calloc(ctx, 1, sizeof(*out->element));
    if (!out->element)
        return evs__nomem(reterr);
    return out_init(ctx, out->element, from, to, name, reterr);
}

/* ---- compile: where members stand ---- */

/* members of an object while it is put together; leaves name a field of the schema */
typedef struct place {
    const char *name;
    int32_t field; /* -1: an object on the way of a path */
    struct place *first, *last, *next;
} place;

static void place_free(evs_context *ctx, place *p)
{
    while (p) {
        place *next = p->next;

        place_free(ctx, p->first);
        evs__free(ctx, p);
        p = next;
    }
}

static place *place_add(evs_context *ctx, place *parent, const char *name, int32_t field)
{
    place *p = evs__calloc(ctx, 1, sizeof(*p));

    if (!p)
        return NULL;
    p->name = name;
    p->field = field;
    if (parent->last)
        parent->last->next = p;
    else
        parent->first = p;
    parent->last = p;
    return p;
}

/* field `i` at the end of the steps; EVS_ERR_SCHEMA when something else is there */
static evs_status
place_field(evs_context *ctx, place *at, char *const *steps, size_t count, int32_t i)
{
    for (size_t k = 0; k < count; k++) {
        bool last = k + 1 == count;
        place *p = at->first;

        while (p && strcmp(p->name, steps[k]))
            p = p->next;
        if (p && (last || p->field >= 0))
            return EVS_ERR_SCHEMA;
        if (!p && !(p = place_add(ctx, at, steps[k], last ? i : -1)))
            return EVS_ERR_NOMEM;
        at = p;
    }
    return EVS_OK;
}

/* the parts of an object in order; `text` holds what stands before the next one */
static evs_status render(evs_context *ctx, json_object *object, const place *at, evs__buffer *text)
{
    evs__buffer_byte(text, '{');
    for (const place *p = at->first; p; p = p->next) {
        json_part *part = &object->parts[object->part_count];

        if (p != at->first)
            evs__buffer_byte(text, ',');
        evs__buffer_json_string(text, p->name, strlen(p->name));
        evs__buffer_byte(text, ':');
        if (p->field < 0) {
            evs_status status = render(ctx, object, p, text);
            if (status)
                return status;
            continue;
        }
        if (text->status)
            return text->status;
        part->column = p->field;
        part->before_len = text->len;
        part->before = evs__strndup(ctx, text->data, text->len);
        if (!part->before)
            return EVS_ERR_NOMEM;
        object->part_count++;
        text->len = 0;
    }
    return evs__buffer_byte(text, '}');
}

/* parts[].column is the schema's field until here */
static evs_status part_init(evs_context *ctx,
                            json_part *part,
                            const evs_type *rows,
                            const evs_type *schema,
                            evs_error **reterr)
{
    const evs__field *field = &schema->children[part->column];

    part->name = field->name;
    part->column = evs_type_field_index(rows, field->name, strlen(field->name));
    if (part->column >= 0)
        return out_init(ctx, &part->out, rows->children[part->column].type, field->type,
                        field->name, reterr);
    if (field->type->nullable)
        return EVS_OK;
    return evs__fail_at(ctx, reterr, EVS_ERR_SCHEMA, field->name,
                        "field \"%s\": required by the schema, the rows do not have it",
                        field->name);
}

static evs_status object_place(evs_context *ctx,
                               place *root,
                               const evs_type *schema,
                               uint32_t i,
                               char *path,
                               evs_error **reterr)
{
    char *steps[SEGMENTS_MAX] = {(char *)schema->children[i].name};
    size_t count = 1;
    const char *wrong = NULL;
    evs_status status;

    if (path)
        wrong = evs__json_path_split(path, steps, SEGMENTS_MAX, &count);
    if (!wrong) {
        status = place_field(ctx, root, steps, count, (int32_t)i);
        if (status == EVS_OK)
            return EVS_OK;
        if (status == EVS_ERR_NOMEM)
            return evs__nomem(reterr);
        wrong = "another column stands there";
    }
    return evs__fail_at(ctx, reterr, EVS_ERR_SCHEMA, schema->children[i].name,
                        "column \"%s\": its path cannot be written: %s", schema->children[i].name,
                        wrong);
}

/* the objects on the way of paths, in places of their own */
static evs_status object_layout(evs_context *ctx,
                                json_object *object,
                                const evs_type *schema,
                                char *const *paths,
                                evs_error **reterr)
{
    place root = {.field = -1};
    evs__buffer text;
    char **copies = evs__calloc(ctx, schema->child_count, sizeof(*copies));
    evs_status status = copies ? EVS_OK : evs__nomem(reterr);

    evs__buffer_init(&text, ctx, (size_t)1 << 20);
    for (uint32_t i = 0; i < schema->child_count && !status; i++) {
        if (paths && paths[i] && !(copies[i] = evs__strdup(ctx, paths[i])))
            status = evs__nomem(reterr);
        else
            status = object_place(ctx, &root, schema, i, copies[i], reterr);
    }
    if (status)
        goto out;
    status = render(ctx, object, &root, &text);
    if (!status) {
        object->after_len = text.len;
        object->after = evs__strndup(ctx, text.data, text.len);
        status = object->after ? EVS_OK : EVS_ERR_NOMEM;
    }
    if (status == EVS_ERR_NOMEM)
        evs__nomem(reterr);
    else if (status)
        evs__fail(ctx, reterr, status, "names of the columns do not fit");

out:
    for (uint32_t i = 0; copies && i < schema->child_count; i++)
        evs__free(ctx, copies[i]);
    evs__free(ctx, copies);
    place_free(ctx, root.first);
    evs__buffer_free(&text);
    return status;
}

/* what is left half-made is freed by object_release() */
static evs_status object_init(evs_context *ctx,
                              json_object *object,
                              const evs_type *rows,
                              const evs_type *schema,
                              char *const *paths,
                              evs_error **reterr)
{
    evs_status status;

    object->parts = evs__calloc(ctx, schema->child_count, sizeof(*object->parts));
    if (!object->parts)
        return evs__nomem(reterr);
    status = object_layout(ctx, object, schema, paths, reterr);
    for (uint32_t i = 0; i < object->part_count && !status; i++)
        status = part_init(ctx, &object->parts[i], rows, schema, reterr);
    return status;
}

static void object_release(evs_context *ctx, json_object *object);

static void out_release(evs_context *ctx, json_out *out)
{
    if (out->object) {
        object_release(ctx, out->object);
        evs__free(ctx, out->object);
    }
    if (out->element) {
        out_release(ctx, out->element);
        evs__free(ctx, out->element);
    }
}

static void object_release(evs_context *ctx, json_object *object)
{
    for (uint32_t i = 0; i < object->part_count; i++) {
        evs__free(ctx, object->parts[i].before);
        out_release(ctx, &object->parts[i].out);
    }
    evs__free(ctx, object->parts);
    evs__free(ctx, object->after);
}

/* ---- text ---- */

/* whether one of 8 bytes is a quote, a backslash or a control byte */
static inline bool must_escape8(uint64_t x)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    uint64_t quote = x ^ ones * '"', escape = x ^ ones * '\\';

    return (((x - ones * 0x20) & ~x) | ((quote - ones) & ~quote) | ((escape - ones) & ~escape)) &
           high;
}

/* copy the text up to what must be escaped; returns how many bytes */
static size_t copy_clean(char *to, const char *from, size_t len)
{
    size_t i = 0;

#ifdef __SSE2__
    for (; len - i >= 16; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(from + i));
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
        __m128i stop = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                                    _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
        int mask = _mm_movemask_epi8(_mm_or_si128(stop, control));

        _mm_storeu_si128((__m128i *)(void *)(to + i), v);
        if (mask)
            return i + (size_t)__builtin_ctz((unsigned)mask);
    }
#endif
    for (; len - i >= 8; i += 8) {
        if (must_escape8(evs__load64(from + i)))
            break;
        memcpy(to + i, from + i, 8);
    }
    for (; i < len && (unsigned char)from[i] >= 0x20 && from[i] != '"' && from[i] != '\\'; i++)
        to[i] = from[i];
    return i;
}

static size_t put_escape(char *to, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *at = c ? strchr(plain, c) : NULL;

    to[0] = '\\';
    if (at) {
        to[1] = letters[at - plain];
        return 2;
    }
    memcpy(to + 1, "u00", 3);
    to[4] = hex[c >> 4];
    to[5] = hex[c & 15];
    return 6;
}

static void write_text(evs__buffer *b, const char *data, size_t len)
{
    size_t room;

    if (evs__add_overflow(len, 2, &room) || evs__buffer_reserve(b, room))
        return;
    b->data[b->len++] = '"';
    while (len) {
        size_t n = copy_clean(b->data + b->len, data, len);

        b->len += n;
        data += n;
        len -= n;
        if (!len)
            break;
        if (evs__add_overflow(len, 7, &room) || evs__buffer_reserve(b, room))
            return;
        b->len += put_escape(b->data + b->len, (unsigned char)*data++);
        len--;
    }
    b->data[b->len++] = '"';
}

/* ---- values ---- */

static bool failed(json_encoder *e, evs_status status, const char *what)
{
    e->status = status;
    e->what = what;
    e->trail.len = 0;
    return false;
}

/* days since the epoch, kept as text in out->date */
static void keep_day(json_out *out, int64_t day)
{
    out->day = day;
    out->date_len = 0;
    if (day < -4400000 || day > 4400000)
        return;
    out->date_len = evs__date_format((int32_t)day, out->date);
    /* years that text cannot name were printed as a number */
    if (out->date_len < 10 || out->date[out->date_len - 3] != '-')
        out->date_len = 0;
}

static size_t put_date(json_out *out, int32_t day, char *p)
{
    if (day != out->day)
        keep_day(out, day);
    if (!out->date_len)
        return evs__format_int(day, p);
    p[0] = '"';
    memcpy(p + 1, out->date, sizeof(out->date));
    p[1 + out->date_len] = '"';
    return out->date_len + 2;
}

static size_t put_timestamp(json_out *out, int64_t ms, char *p)
{
    int64_t day = ms / DAY_MS - (ms % DAY_MS < 0);
    size_t n;

    if (day != out->day)
        keep_day(out, day);
    if (!out->date_len)
        return evs__format_int(ms, p);
    p[0] = '"';
    memcpy(p + 1, out->date, sizeof(out->date));
    n = 1 + out->date_len;
    p[n++] = 'T';
    n += evs__clock_format((int32_t)(ms - day * DAY_MS), p + n);
    p[n++] = 'Z';
    p[n++] = '"';
    return n;
}

static size_t put_clock(int32_t ms, char *p)
{
    size_t n = evs__clock_format(ms, p + 1);

    if (n < 8 || p[3] != ':')
        return evs__format_int(ms, p);
    p[0] = '"';
    p[n + 1] = '"';
    return n + 2;
}

/* values of fixed width; FIXED_TEXT_MAX bytes are reserved at `p` */
static size_t fixed_text(json_out *out, const evs__column *c, uint32_t row, char *p)
{
    switch (out->id) {
    case EVS_TYPE_BOOLEAN:
        if (evs__bit_get(c->bits, row)) {
            memcpy(p, "true", 4);
            return 4;
        }
        memcpy(p, "false", 5);
        return 5;
    case EVS_TYPE_INT:
        return evs__format_int(c->i32[row], p);
    case EVS_TYPE_BIGINT:
        return evs__format_int(c->i64[row], p);
    case EVS_TYPE_DOUBLE:
        return evs__format_double(c->f64[row], p);
    case EVS_TYPE_DECIMAL:
        return evs__format_decimal(c->i128[row], c->type->scale, p);
    case EVS_TYPE_TIMESTAMP:
        return put_timestamp(out, c->i64[row], p);
    case EVS_TYPE_DATE:
        return put_date(out, c->i32[row], p);
    default:
        return put_clock(c->i32[row], p);
    }
}

static bool
write_object(json_encoder *e, json_object *o, evs__column *const *columns, uint32_t row);
static bool write_value(json_encoder *e, json_out *out, const evs__column *c, uint32_t row);

static bool write_list(json_encoder *e, json_out *out, const evs__column *c, uint32_t row)
{
    bool map = out->id == EVS_TYPE_MAP;
    const evs__column *keys = map ? c->children[0]->children[0] : NULL;
    const evs__column *values = map ? c->children[0]->children[1] : c->children[0];
    uint32_t begin = (uint32_t)c->offsets[row], end = (uint32_t)c->offsets[row + 1];

    evs__buffer_byte(e->to, map ? '{' : '[');
    for (uint32_t i = begin; i < end && !e->to->status; i++) {
        evs_string_view key = {NULL, i - begin};

        if (i > begin)
            evs__buffer_byte(e->to, ',');
        if (map) {
            key = evs__column_str(keys, i);
            write_text(e->to, key.data, key.len);
            evs__buffer_byte(e->to, ':');
        }
        if (!write_value(e, out->element, values, i)) {
            evs__json_trail_add(&e->trail, key.data, key.len);
            return false;
        }
    }
    evs__buffer_byte(e->to, map ? '}' : ']');
    return true;
}

static bool write_value(json_encoder *e, json_out *out, const evs__column *c, uint32_t row)
{
    evs_string_view text;

    if (evs__column_is_null(c, row)) {
        if (out->required)
            return failed(e, EVS_ERR_SCHEMA, "required, is NULL");
        evs__buffer_append(e->to, "null", 4);
        return true;
    }
    switch (out->id) {
    case EVS_TYPE_VARCHAR:
        text = evs__column_str(c, row);
        write_text(e->to, text.data, text.len);
        return true;
    case EVS_TYPE_BYTES:
        text = evs__column_str(c, row);
        evs__buffer_byte(e->to, '"');
        evs__buffer_base64(e->to, text.data, text.len);
        evs__buffer_byte(e->to, '"');
        return true;
    case EVS_TYPE_ARRAY:
    case EVS_TYPE_MAP:
        return write_list(e, out, c, row);
    case EVS_TYPE_STRUCT:
        return write_object(e, out->object, c->children, row);
    case EVS_TYPE_DOUBLE:
        if (!isfinite(c->f64[row]))
            return failed(e, EVS_ERR_ENCODE, "NaN and infinities have no JSON form");
        break;
    default:
        break;
    }
    if (!evs__buffer_reserve(e->to, FIXED_TEXT_MAX))
        e->to->len += fixed_text(out, c, row, e->to->data + e->to->len);
    return true;
}

static bool write_object(json_encoder *e, json_object *o, evs__column *const *columns, uint32_t row)
{
    for (uint32_t i = 0; i < o->part_count; i++) {
        json_part *part = &o->parts[i];

        /* with the room that most values need, so that they find it there */
        if (evs__buffer_reserve(e->to, part->before_len + FIXED_TEXT_MAX))
            return true;
        evs__copy_short(e->to->data + e->to->len, part->before, part->before_len);
        e->to->len += part->before_len;
        if (part->column < 0) {
            evs__buffer_append(e->to, "null", 4);
        } else if (!write_value(e, &part->out, columns[part->column], row)) {
            evs__json_trail_add(&e->trail, part->name, strlen(part->name));
            return false;
        }
    }
    evs__buffer_append(e->to, o->after, o->after_len);
    return true;
}

/* ---- the format's encoder ---- */

static evs_status encode_row(evs__format_encoder *base,
                             const evs_batch *batch,
                             uint32_t row,
                             evs__buffer *out,
                             evs_error **reterr)
{
    json_encoder *e = (json_encoder *)base;
    size_t begin = out->len;
    char path[160];

    e->to = out;
    if (write_object(e, &e->root, batch->columns, row) && !out->status)
        return EVS_OK;
    out->len = begin;
    if (out->status)
        return evs__fail(e->ctx, reterr, out->status,
                         out->status == EVS_ERR_NOMEM ? "out of memory" : "the row is too long");
    evs__json_trail_print(&e->trail, path, sizeof(path));
    return evs__fail_at(e->ctx, reterr, e->status, path, "field \"%s\": %s", path, e->what);
}

static void encoder_free(evs__format_encoder *base)
{
    json_encoder *e = (json_encoder *)base;

    object_release(e->ctx, &e->root);
    evs_type_unref(e->type);
    evs__free(e->ctx, e);
}

evs_status evs__json_new_encoder(evs_context *ctx,
                                 const evs_type *type,
                                 evs_schema *schema,
                                 const evs__codec_options *o,
                                 evs__format_encoder **ret,
                                 evs_error **reterr)
{
    json_encoder *e = evs__calloc(ctx, 1, sizeof(*e));
    evs_status status;

    (void)o;
    if (!e)
        return evs__nomem(reterr);
    e->base.format = &evs__format_json;
    e->base.encode_row = encode_row;
    e->base.free = encoder_free;
    e->ctx = ctx;
    e->type = evs_type_ref(schema->type);
    status = object_init(ctx, &e->root, type, schema->type, schema->paths, reterr);
    if (status) {
        encoder_free(&e->base);
        return status;
    }
    *ret = &e->base;
    return EVS_OK;
}
