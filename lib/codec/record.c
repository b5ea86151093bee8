/*
 * codec/record.c: the record builder behind evs_record_*.
 *
 *   root -> cells [field]          cell: unset | NULL | value | child record | list of elements
 *        -> text  one buffer of all strings; cells keep offsets
 *        -> batch one row, view columns into text, reused
 *
 * Fields are set in any order and as often as one likes, so values wait in cells until
 * evs__record_finish() appends them to columns in order. Child records and element lists are kept
 * when the record is emptied: a warm builder allocates nothing. A shape for each STRUCT type, made
 * once, holds what a cell cannot know: the shapes of nested STRUCTs and the columns of defaults.
 *
 * Setters return nothing; the first fault is kept in the root, with its path, in fixed memory.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/config.h"
#include "codec/frame.h"
#include "codec/record.h"

#define TEXT_MAX ((size_t)256 << 20)
#define ELEMENTS_MAX (1u << 24)
#define FAULT_TEXT_MAX 320
#define PATH_MAX_BYTES 256

/* Of one STRUCT type at one place of the schema. */
typedef struct shape {
    const evs_type *type;
    struct shape **children; /* of a field that is a STRUCT or ARRAY of them, else NULL */
    evs__column **defaults;  /* one row each, owned; NULL: none */
} shape;

typedef enum cell_state { CELL_UNSET, CELL_NULL, CELL_SET } cell_state;

typedef union value {
    int64_t i;
    double d;
    bool b;
    evs__int128 decimal;
    struct {
        size_t at, len;
    } text;
} value;

/* elements of an ARRAY field */
typedef struct elements {
    uint32_t count;
    uint32_t value_room;
    uint32_t record_room; /* records[0..record_room) are made */
    value *values;        /* of simple elements */
    evs_record **records;
} elements;

typedef struct cell {
    cell_state state;
    value v;
    evs_record *child; /* STRUCT */
    elements *list;    /* ARRAY */
} cell;

typedef struct root {
    evs_context *ctx;
    evs_schema *schema;
    evs__buffer text;
    evs_batch *batch;
    evs_status status; /* first fault */
    char path[PATH_MAX_BYTES];
    char fault[FAULT_TEXT_MAX];
} root;

struct evs_record {
    root *root;
    const shape *shape;
    evs_record *parent;
    uint32_t field; /* of the parent */
    int64_t index;  /* within the parent's ARRAY; -1: its STRUCT */
    cell *cells;
};

/* ---- shapes ---- */

static void shape_free(evs_context *ctx, shape *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; i < s->type->child_count; i++) {
        if (s->children)
            shape_free(ctx, s->children[i]);
        if (s->defaults)
            evs__column_unref(s->defaults[i]);
    }
    evs_type_unref(s->type);
    evs__free(ctx, s->children);
    evs__free(ctx, s->defaults);
    evs__free(ctx, s);
}

/* node of a STRUCT's field, or NULL; *ret_record_field: its index where the node is a record */
static const evs__avro_node *
field_node(const evs__avro_node *node, const char *name, int32_t *ret_record_field)
{
    *ret_record_field = -1;
    for (size_t i = 0; node && i < node->child_count; i++) {
        if (node->kind == EVS__AVRO_RECORD && strcmp(node->names[i], name) == 0) {
            *ret_record_field = (int32_t)i;
            return node->children[i];
        }
        if (node->kind == EVS__AVRO_UNION && strcmp(evs__avro_branch_name(node, i), name) == 0)
            return node->children[i];
    }
    return NULL;
}

/* the node that a STRUCT type was made from: through [null, X] and arrays */
static const evs__avro_node *struct_node(const evs__avro_node *node)
{
    while (node) {
        const evs__avro_node *single =
            node->kind == EVS__AVRO_UNION ? evs__avro_union_single(node) : NULL;
        if (single)
            node = single;
        else if (node->kind == EVS__AVRO_UNION && node->child_count == 1)
            node = node->children[0];
        else if (node->kind == EVS__AVRO_ARRAY)
            node = node->children[0];
        else
            break;
    }
    return node;
}

/* one row of `type` from a default's bytes, by the decoder that reads events */
static evs_status decode_default(evs_context *ctx,
                                 const evs__avro_node *node,
                                 const evs_type *type,
                                 const evs__buffer *bytes,
                                 evs__column **ret,
                                 evs_error **reterr)
{
    evs__avro_node *child = (evs__avro_node *)node;
    char name[] = "value";
    char *names[] = {name};
    evs__avro_node record = {
        .kind = EVS__AVRO_RECORD, .child_count = 1, .children = &child, .names = names};
    evs_schema schema = {.avro = &record};
    evs__field field = {name, type};
    evs_input input = {.value = bytes->len ? bytes->data : "", .value_len = (uint32_t)bytes->len};
    uint32_t origin = 0;
    evs__decode_run run = {.inputs = &input, .count = 1, .origin = &origin};
    const evs_type *wanted = NULL;
    evs__format_decoder *decoder = NULL;
    evs__column *views = NULL;
    evs__scratch scratch;
    char message[256] = "";
    evs_status status = evs__type_struct(ctx, &field, 1, false, &wanted);

    evs__scratch_init(&scratch, ctx);
    if (status) {
        evs__nomem(reterr);
        goto out;
    }
    if ((status = evs__format_avro.new_decoder(ctx, &schema, wanted, NULL, &decoder, reterr)))
        goto out;
    status = evs__column_new(ctx, type, EVS_LAYOUT_VIEW, 1, &views);
    if (!status)
        status = decoder->decode_batch(decoder, &run, &views, &scratch, message, sizeof(message));
    if (!status)
        status = evs__column_new(ctx, type, EVS_LAYOUT_OWNED, 1, ret);
    if (!status)
        status = evs__column_gather(*ret, views, NULL, 1);
    if (status == EVS_ERR_NOMEM)
        evs__nomem(reterr);
    else if (status)
        evs__fail(ctx, reterr, status, "a default of the schema: %s", message);
out:
    if (decoder)
        decoder->free(decoder);
    evs__column_unref(views);
    evs__scratch_free(&scratch);
    evs_type_unref(wanted);
    return status;
}

static evs_status make_default(evs_context *ctx,
                               const evs__avro_node *record,
                               int32_t field,
                               const evs_type *type,
                               evs__column **ret,
                               evs_error **reterr)
{
    evs__buffer bytes;
    char why[128] = "";
    evs_status status;

    evs__buffer_init(&bytes, ctx, EVS__AVRO_DEFAULT_MAX);
    status = evs__avro_default_write(record->children[field], record->defaults[field], &bytes, why,
                                     sizeof(why));
    if (status)
        evs__fail(ctx, reterr, status, "a default of the schema: %s",
                  *why ? why : evs_status_text(status));
    else
        status = decode_default(ctx, record->children[field], type, &bytes, ret, reterr);
    evs__buffer_free(&bytes);
    return status;
}

static bool holds_records(const evs_type *type)
{
    return type->id == EVS_TYPE_STRUCT ||
           (type->id == EVS_TYPE_ARRAY && type->children[0].type->id == EVS_TYPE_STRUCT);
}

static evs_status shape_new(evs_context *ctx,
                            const evs_type *type,
                            const evs__avro_node *node,
                            shape **ret,
                            evs_error **reterr)
{
    shape *s = evs__calloc(ctx, 1, sizeof(*s));
    evs_status status = EVS_OK;

    if (!s)
        return evs__nomem(reterr);
    s->type = evs_type_ref(type);
    s->children = evs__calloc(ctx, type->child_count, sizeof(*s->children));
    s->defaults = evs__calloc(ctx, type->child_count, sizeof(*s->defaults));
    if (!s->children || !s->defaults)
        status = evs__nomem(reterr);
    for (uint32_t i = 0; i < type->child_count && !status; i++) {
        const evs_type *child = type->children[i].type;
        int32_t at;
        const evs__avro_node *below = field_node(node, type->children[i].name, &at);
        if (at >= 0 && node->has_default[at])
            status = make_default(ctx, node, at, child, &s->defaults[i], reterr);
        if (!status && holds_records(child))
            status = shape_new(ctx, child->id == EVS_TYPE_STRUCT ? child : child->children[0].type,
                               struct_node(below), &s->children[i], reterr);
    }
    if (status)
        shape_free(ctx, s);
    else
        *ret = s;
    return status;
}

/* ---- records ---- */

static evs_record *
record_new(root *r, const shape *s, evs_record *parent, uint32_t field, int64_t index)
{
    evs_record *record = evs__calloc(r->ctx, 1, sizeof(*record));

    if (!record)
        return NULL;
    record->cells = evs__calloc(r->ctx, s->type->child_count, sizeof(*record->cells));
    if (!record->cells) {
        evs__free(r->ctx, record);
        return NULL;
    }
    record->root = r;
    record->shape = s;
    record->parent = parent;
    record->field = field;
    record->index = index;
    return record;
}

static void record_free(evs_record *record)
{
    evs_context *ctx = record->root->ctx;

    for (uint32_t i = 0; i < record->shape->type->child_count; i++) {
        cell *c = &record->cells[i];
        if (c->child)
            record_free(c->child);
        if (c->list) {
            for (uint32_t k = 0; k < c->list->record_room; k++)
                record_free(c->list->records[k]);
            evs__free(ctx, c->list->records);
            evs__free(ctx, c->list->values);
            evs__free(ctx, c->list);
        }
    }
    evs__free(ctx, record->cells);
    evs__free(ctx, record);
}

/* children are emptied when they are entered again */
static void record_clear(evs_record *record)
{
    for (uint32_t i = 0; i < record->shape->type->child_count; i++) {
        record->cells[i].state = CELL_UNSET;
        if (record->cells[i].list)
            record->cells[i].list->count = 0;
    }
}

evs_status
evs__record_new(evs_context *ctx, evs_schema *schema, evs_record **ret, evs_error **reterr)
{
    root *r = evs__calloc(ctx, 1, sizeof(*r));
    shape *s = NULL;
    evs_status status;

    if (!r)
        return evs__nomem(reterr);
    status = shape_new(ctx, schema->type, schema->avro, &s, reterr);
    if (status) {
        evs__free(ctx, r);
        return status;
    }
    r->ctx = evs__context_hold(ctx);
    r->schema = evs_schema_ref(schema);
    evs__buffer_init(&r->text, ctx, TEXT_MAX);
    *ret = record_new(r, s, NULL, 0, -1);
    if (*ret)
        return EVS_OK;
    shape_free(ctx, s);
    evs_schema_unref(r->schema);
    evs__free(ctx, r);
    evs__context_drop(ctx);
    return evs__nomem(reterr);
}

evs_record *evs__record_free(evs_record *record)
{
    root *r;
    evs_context *ctx;
    shape *s;

    if (!record)
        return NULL;
    r = record->root;
    ctx = r->ctx;
    s = (shape *)record->shape;
    record_free(record);
    shape_free(ctx, s);
    evs_batch_unref(r->batch);
    evs__buffer_free(&r->text);
    evs_schema_unref(r->schema);
    evs__free(ctx, r);
    evs__context_drop(ctx);
    return NULL;
}

void evs__record_reset(evs_record *record)
{
    root *r = record->root;

    evs__buffer_reset(&r->text);
    r->status = EVS_OK;
    record_clear(record);
}

/* ---- faults ---- */

/* "items[0].price" of a field of a record; `field` NULL: the record itself */
static size_t path_of(const evs_record *record, const char *field, char *out, size_t size)
{
    size_t n = 0;

    out[0] = '\0';
    if (record->parent) {
        n = path_of(record->parent, record->parent->shape->type->children[record->field].name, out,
                    size);
        if (record->index >= 0 && n < size)
            n += (size_t)snprintf(out + n, size - n, "[%lld]", (long long)record->index);
    }
    if (field && n < size)
        n += (size_t)snprintf(out + n, size - n, "%s%s", n ? "." : "", field);
    return n < size ? n : size - 1;
}

static void
keep_fault(evs_record *record, const char *field, evs_status status, const char *format, ...)
    EVS_PRINTF(4, 5);

static void
keep_fault(evs_record *record, const char *field, evs_status status, const char *format, ...)
{
    root *r = record->root;
    va_list ap;

    if (r->status)
        return;
    r->status = status;
    path_of(record, field, r->path, sizeof(r->path));
    va_start(ap, format);
    vsnprintf(r->fault, sizeof(r->fault), format, ap);
    va_end(ap);
}

static evs_status tell_fault(const root *r, evs_error **reterr)
{
    if (r->status == EVS_ERR_NOMEM)
        return evs__nomem(reterr);
    return evs__fail_at(r->ctx, reterr, r->status, r->path, "field \"%s\": %s", r->path, r->fault);
}

static const char *name_of(const evs_record *record, int32_t field)
{
    return record->shape->type->children[field].name;
}

static const evs_type *type_of(const evs_record *record, int32_t field)
{
    return record->shape->type->children[field].type;
}

/* index of a field, or -1 with the fault kept; NULL records are passed over */
static int32_t find(evs_record *record, const char *field)
{
    int32_t at;

    if (!record)
        return -1;
    if (!field) {
        keep_fault(record, "", EVS_ERR_INVALID, "the field's name is NULL");
        return -1;
    }
    at = evs_type_field_index(record->shape->type, field, strlen(field));
    if (at < 0) {
        const evs_type *type = record->shape->type;
        const char *names[64];
        size_t count = 0;
        const char *closest;
        for (; count < type->child_count && count < 64; count++)
            names[count] = type->children[count].name;
        closest = evs__did_you_mean(field, names, count);
        keep_fault(record, field, EVS_ERR_SCHEMA, "no such field%s%s%s",
                   closest ? " (did you mean \"" : "", closest ? closest : "",
                   closest ? "\"?)" : "");
    }
    return at;
}

static bool in_range(evs_record *record, int32_t field)
{
    if (!record)
        return false;
    if (field >= 0 && (uint32_t)field < record->shape->type->child_count)
        return true;
    keep_fault(record, "", EVS_ERR_INVALID, "field index %d is out of range", (int)field);
    return false;
}

static void wrong_type(evs_record *record, int32_t field, const char *what)
{
    keep_fault(record, name_of(record, field), EVS_ERR_TYPE, "%s does not fit into %s", what,
               evs_type_print(type_of(record, field)));
}

/* ---- simple values ---- */

static bool take_int(evs_record *r, int32_t field, const evs_type *type, int64_t v, value *ret)
{
    switch (type->id) {
    case EVS_TYPE_INT:
    case EVS_TYPE_DATE:
    case EVS_TYPE_TIME:
        if (v != (int32_t)v) {
            keep_fault(r, name_of(r, field), EVS_ERR_OVERFLOW, "%lld does not fit into %s",
                       (long long)v, evs_type_print(type));
            return false;
        }
        ret->i = v;
        return true;
    case EVS_TYPE_BIGINT:
    case EVS_TYPE_TIMESTAMP:
        ret->i = v;
        return true;
    case EVS_TYPE_DOUBLE:
        ret->d = (double)v;
        return true;
    case EVS_TYPE_DECIMAL:
        if (__builtin_mul_overflow((evs__int128)v, evs__pow10_128(type->scale), &ret->decimal) ||
            ret->decimal >= evs__pow10_128(type->precision) ||
            ret->decimal <= -evs__pow10_128(type->precision)) {
            keep_fault(r, name_of(r, field), EVS_ERR_OVERFLOW, "%lld does not fit into %s",
                       (long long)v, evs_type_print(type));
            return false;
        }
        return true;
    default:
        wrong_type(r, field, "an integer");
        return false;
    }
}

static bool take_double(evs_record *r, int32_t field, const evs_type *type, double v, value *ret)
{
    if (type->id != EVS_TYPE_DOUBLE) {
        wrong_type(r, field, "a double");
        return false;
    }
    ret->d = v;
    return true;
}

static bool
take_decimal(evs_record *r, int32_t field, const evs_type *type, const char *text, value *ret)
{
    evs_status status;

    if (type->id != EVS_TYPE_DECIMAL) {
        wrong_type(r, field, "a decimal");
        return false;
    }
    status = evs__parse_decimal(text, strlen(text), type->precision, type->scale, &ret->decimal);
    if (status)
        keep_fault(r, name_of(r, field), status == EVS_ERR_DECODE ? EVS_ERR_INVALID : status,
                   status == EVS_ERR_OVERFLOW ? "\"%.64s\" does not fit into %s"
                                              : "\"%.64s\" is no number for %s",
                   text, evs_type_print(type));
    return !status;
}

static bool take_string(
    evs_record *r, int32_t field, const evs_type *type, const char *data, size_t len, value *ret)
{
    evs_status status;

    if (!evs__type_is_string(type->id)) {
        wrong_type(r, field, "a string");
        return false;
    }
    if (!data && len) {
        keep_fault(r, name_of(r, field), EVS_ERR_INVALID, "the string is NULL");
        return false;
    }
    if (type->id == EVS_TYPE_VARCHAR && !evs__utf8_valid(data ? data : "", len)) {
        keep_fault(r, name_of(r, field), EVS_ERR_SCHEMA, "invalid UTF-8 at byte %zu",
                   evs__utf8_valid_prefix(data, len));
        return false;
    }
    ret->text.at = r->root->text.len;
    ret->text.len = len;
    status = evs__buffer_append(&r->root->text, data, len);
    if (status)
        keep_fault(r, name_of(r, field), status, "the texts of one event take more than %zu bytes",
                   TEXT_MAX);
    return !status;
}

static void set(evs_record *record, int32_t field, value v)
{
    record->cells[field].v = v;
    record->cells[field].state = CELL_SET;
}

void evs_record_set_null_at(evs_record *record, int32_t field)
{
    if (!in_range(record, field))
        return;
    if (type_of(record, field)->nullable)
        record->cells[field].state = CELL_NULL;
    else
        keep_fault(record, name_of(record, field), EVS_ERR_SCHEMA, "NULL does not fit into %s",
                   evs_type_print(type_of(record, field)));
}

void evs_record_set_bool_at(evs_record *record, int32_t field, bool v)
{
    if (!in_range(record, field))
        return;
    if (type_of(record, field)->id == EVS_TYPE_BOOLEAN)
        set(record, field, (value){.b = v});
    else
        wrong_type(record, field, "a boolean");
}

void evs_record_set_int_at(evs_record *record, int32_t field, int64_t v)
{
    value taken;
    if (in_range(record, field) && take_int(record, field, type_of(record, field), v, &taken))
        set(record, field, taken);
}

void evs_record_set_double_at(evs_record *record, int32_t field, double v)
{
    value taken;
    if (in_range(record, field) && take_double(record, field, type_of(record, field), v, &taken))
        set(record, field, taken);
}

void evs_record_set_string_at(evs_record *record, int32_t field, const char *data, size_t len)
{
    value taken;
    if (in_range(record, field) &&
        take_string(record, field, type_of(record, field), data, len, &taken))
        set(record, field, taken);
}

void evs_record_set_decimal_at(evs_record *record, int32_t field, const char *text)
{
    value taken;
    if (!in_range(record, field))
        return;
    if (!text)
        keep_fault(record, name_of(record, field), EVS_ERR_INVALID, "the decimal is NULL");
    else if (take_decimal(record, field, type_of(record, field), text, &taken))
        set(record, field, taken);
}

void evs_record_set_null(evs_record *record, const char *field)
{
    int32_t at = find(record, field);
    if (at >= 0)
        evs_record_set_null_at(record, at);
}

void evs_record_set_bool(evs_record *record, const char *field, bool v)
{
    int32_t at = find(record, field);
    if (at >= 0)
        evs_record_set_bool_at(record, at, v);
}

void evs_record_set_int(evs_record *record, const char *field, int64_t v)
{
    int32_t at = find(record, field);
    if (at >= 0)
        evs_record_set_int_at(record, at, v);
}

void evs_record_set_double(evs_record *record, const char *field, double v)
{
    int32_t at = find(record, field);
    if (at >= 0)
        evs_record_set_double_at(record, at, v);
}

void evs_record_set_string(evs_record *record, const char *field, const char *data, size_t len)
{
    int32_t at = find(record, field);
    if (at >= 0)
        evs_record_set_string_at(record, at, data, len);
}

void evs_record_set_decimal(evs_record *record, const char *field, const char *text)
{
    int32_t at = find(record, field);
    if (at >= 0)
        evs_record_set_decimal_at(record, at, text);
}

/* ---- nested values ---- */

static evs_record *out_of_memory(evs_record *record, int32_t field)
{
    keep_fault(record, name_of(record, field), EVS_ERR_NOMEM, "out of memory");
    return NULL;
}

evs_record *evs_record_struct(evs_record *record, const char *field)
{
    int32_t at = find(record, field);
    cell *c;

    if (at < 0)
        return NULL;
    if (type_of(record, at)->id != EVS_TYPE_STRUCT) {
        wrong_type(record, at, "a record");
        return NULL;
    }
    c = &record->cells[at];
    if (!c->child)
        c->child = record_new(record->root, record->shape->children[at], record, (uint32_t)at, -1);
    if (!c->child)
        return out_of_memory(record, at);
    if (c->state != CELL_SET)
        record_clear(c->child);
    c->state = CELL_SET;
    return c->child;
}

/* the list of an ARRAY field, with room in one of its arrays for one more; NULL: fault kept */
static elements *open_list(evs_record *record, int32_t at)
{
    cell *c = &record->cells[at];

    if (!c->list)
        c->list = evs__calloc(record->root->ctx, 1, sizeof(*c->list));
    if (!c->list) {
        out_of_memory(record, at);
        return NULL;
    }
    if (c->state != CELL_SET)
        c->list->count = 0;
    if (c->list->count == ELEMENTS_MAX) {
        keep_fault(record, name_of(record, at), EVS_ERR_LIMIT, "more than %u elements",
                   ELEMENTS_MAX);
        return NULL;
    }
    c->state = CELL_SET;
    return c->list;
}

evs_record *evs_record_append(evs_record *record, const char *field)
{
    int32_t at = find(record, field);
    elements *list;

    if (at < 0)
        return NULL;
    if (type_of(record, at)->id != EVS_TYPE_ARRAY || !record->shape->children[at]) {
        wrong_type(record, at, "an element that is a record");
        return NULL;
    }
    if (!(list = open_list(record, at)))
        return NULL;
    if (list->count == list->record_room) {
        evs_context *ctx = record->root->ctx;
        evs_record **grown =
            evs__realloc_array(ctx, list->records, list->record_room + 1, sizeof(*grown));
        if (!grown)
            return out_of_memory(record, at);
        list->records = grown;
        grown[list->count] = record_new(record->root, record->shape->children[at], record,
                                        (uint32_t)at, list->count);
        if (!grown[list->count])
            return out_of_memory(record, at);
        list->record_room++;
    }
    record_clear(list->records[list->count]);
    return list->records[list->count++];
}

/* the type of the elements of an ARRAY of simple values, or NULL with the fault kept */
static const evs_type *element_type(evs_record *record, int32_t at, const char *what)
{
    const evs_type *type;

    if (at < 0)
        return NULL;
    type = type_of(record, at);
    if (type->id == EVS_TYPE_ARRAY && type->children[0].type->id < EVS_TYPE_ARRAY)
        return type->children[0].type;
    wrong_type(record, at, what);
    return NULL;
}

static void append_value(evs_record *record, int32_t at, value v)
{
    elements *list = open_list(record, at);

    if (!list)
        return;
    if (list->count == list->value_room) {
        uint32_t room = list->value_room ? list->value_room * 2 : 8;
        value *grown =
            evs__realloc_array(record->root->ctx, list->values, room, sizeof(*list->values));
        if (!grown) {
            out_of_memory(record, at);
            return;
        }
        list->values = grown;
        list->value_room = room;
    }
    list->values[list->count++] = v;
}

void evs_record_append_string(evs_record *record, const char *field, const char *data, size_t len)
{
    int32_t at = find(record, field);
    const evs_type *type = element_type(record, at, "an element that is a string");
    value taken;

    if (type && take_string(record, at, type, data, len, &taken))
        append_value(record, at, taken);
}

void evs_record_append_int(evs_record *record, const char *field, int64_t v)
{
    int32_t at = find(record, field);
    const evs_type *type = element_type(record, at, "an element that is an integer");
    value taken;

    if (type && take_int(record, at, type, v, &taken))
        append_value(record, at, taken);
}

void evs_record_append_double(evs_record *record, const char *field, double v)
{
    int32_t at = find(record, field);
    const evs_type *type = element_type(record, at, "an element that is a double");
    value taken;

    if (type && take_double(record, at, type, v, &taken))
        append_value(record, at, taken);
}

/* ---- to columns ---- */

static evs_status append_record(evs_record *record, evs__column *const *columns);

static evs_status append_simple(const root *r, evs__column *c, value v)
{
    evs_status status = evs__column_reserve(c, c->length + 1);

    if (status)
        return status;
    switch (c->type->id) {
    case EVS_TYPE_BOOLEAN:
        evs__column_append_bool(c, v.b);
        break;
    case EVS_TYPE_INT:
    case EVS_TYPE_DATE:
    case EVS_TYPE_TIME:
        evs__column_append_i32(c, (int32_t)v.i);
        break;
    case EVS_TYPE_BIGINT:
    case EVS_TYPE_TIMESTAMP:
        evs__column_append_i64(c, v.i);
        break;
    case EVS_TYPE_DOUBLE:
        evs__column_append_f64(c, v.d);
        break;
    case EVS_TYPE_DECIMAL:
        evs__column_append_i128(c, v.decimal);
        break;
    default:
        evs__column_append_view(c, v.text.len ? r->text.data + v.text.at : "", v.text.len);
        break;
    }
    return EVS_OK;
}

static evs_status append_list(evs_record *record, const elements *list, evs__column *c)
{
    evs__column *element = c->children[0];
    evs_status status = evs__column_reserve(c, c->length + 1);

    for (uint32_t i = 0; list && i < list->count && !status; i++) {
        if (element->type->id != EVS_TYPE_STRUCT) {
            status = append_simple(record->root, element, list->values[i]);
            continue;
        }
        status = evs__column_reserve(element, element->length + 1);
        if (!status)
            status = append_record(list->records[i], element->children);
        if (!status)
            evs__column_end_struct(element);
    }
    if (!status)
        evs__column_end_list(c);
    return status;
}

static evs_status append_unset(evs_record *record, uint32_t field, evs__column *c)
{
    const evs_type *type = type_of(record, (int32_t)field);

    if (record->shape->defaults[field])
        return evs__column_gather(c, record->shape->defaults[field], NULL, 1);
    if (type->nullable)
        return evs__column_append_null(c);
    if (type->id == EVS_TYPE_ARRAY || type->id == EVS_TYPE_MAP)
        return append_list(record, NULL, c);
    keep_fault(record, name_of(record, (int32_t)field), EVS_ERR_SCHEMA, "required, no default");
    return record->root->status;
}

static evs_status append_cell(evs_record *record, uint32_t field, evs__column *c)
{
    cell *at = &record->cells[field];
    evs_status status;

    if (at->state == CELL_UNSET)
        return append_unset(record, field, c);
    if (at->state == CELL_NULL)
        return evs__column_append_null(c);
    if (c->type->id == EVS_TYPE_ARRAY)
        return append_list(record, at->list, c);
    if (c->type->id != EVS_TYPE_STRUCT)
        return append_simple(record->root, c, at->v);
    status = evs__column_reserve(c, c->length + 1);
    if (!status)
        status = append_record(at->child, c->children);
    if (!status)
        evs__column_end_struct(c);
    return status;
}

static evs_status append_record(evs_record *record, evs__column *const *columns)
{
    evs_status status = EVS_OK;

    for (uint32_t i = 0; i < record->shape->type->child_count && !status; i++)
        status = append_cell(record, i, columns[i]);
    return status;
}

evs_status evs__record_finish(evs_record *record, evs_batch **ret, evs_error **reterr)
{
    root *r = record->root;
    evs_status status = EVS_OK;

    if (r->status)
        return tell_fault(r, reterr);
    if (!evs__batch_reuse(r->batch)) {
        evs_batch_unref(r->batch);
        r->batch = NULL;
        status = evs__batch_new(r->ctx, r->schema->type, EVS_LAYOUT_VIEW, 1, &r->batch);
    }
    if (!status)
        status = append_record(record, r->batch->columns);
    if (r->status)
        return tell_fault(r, reterr);
    if (status == EVS_ERR_NOMEM)
        return evs__nomem(reterr);
    if (status)
        return evs__fail(r->ctx, reterr, status, "record: %s", evs_status_text(status));
    r->batch->rows = r->batch->count = 1;
    *ret = r->batch;
    return EVS_OK;
}

bool evs__record_requires(const evs_record *record, int32_t field)
{
    const evs_type *type = type_of(record, field);

    return !type->nullable && !record->shape->defaults[field] && type->id != EVS_TYPE_ARRAY &&
           type->id != EVS_TYPE_MAP;
}
