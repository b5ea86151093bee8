/*
 * codec/binding.c: a C struct, described once, as rows of a schema.
 *
 * Everything about names, kinds and sizes is checked when the binding is made; a row then is a loop
 * over the members that fills the record builder by field index.
 */
#include "base/config.h"
#include "codec/record.h"

typedef struct member {
    int32_t field;
    int32_t kind; /* evs_bind_kind */
    size_t offset;
    size_t size;
    bool decimal; /* text of a DECIMAL */
} member;

struct evs__binding {
    evs_context *ctx;
    evs_record *record;
    member *members;
    size_t count;
};

void evs_field_binding_init(
    evs_field_binding *binding, const char *field, size_t offset, size_t size, int32_t kind)
{
    if (binding)
        *binding = (evs_field_binding){field, offset, size, kind, 0};
}

/* bytes of a kind of member; 0: any */
static size_t size_of_kind(int32_t kind)
{
    switch (kind) {
    case EVS_BIND_BOOL:
        return sizeof(bool);
    case EVS_BIND_INT32:
        return sizeof(int32_t);
    case EVS_BIND_INT64:
    case EVS_BIND_TIME_MS:
        return sizeof(int64_t);
    case EVS_BIND_DOUBLE:
        return sizeof(double);
    case EVS_BIND_CSTR:
        return sizeof(char *);
    default:
        return 0;
    }
}

static bool kind_fits(int32_t kind, evs_type_id id)
{
    switch (kind) {
    case EVS_BIND_BOOL:
        return id == EVS_TYPE_BOOLEAN;
    case EVS_BIND_INT32:
    case EVS_BIND_INT64:
        return id == EVS_TYPE_INT || id == EVS_TYPE_BIGINT || id == EVS_TYPE_DOUBLE ||
               id == EVS_TYPE_DECIMAL || id == EVS_TYPE_TIMESTAMP || id == EVS_TYPE_DATE ||
               id == EVS_TYPE_TIME;
    case EVS_BIND_DOUBLE:
        return id == EVS_TYPE_DOUBLE;
    case EVS_BIND_CSTR:
    case EVS_BIND_CHARS:
        return id == EVS_TYPE_VARCHAR || id == EVS_TYPE_BYTES || id == EVS_TYPE_DECIMAL;
    case EVS_BIND_TIME_MS:
        return id == EVS_TYPE_TIMESTAMP || id == EVS_TYPE_BIGINT;
    default:
        return false;
    }
}

static const char *kind_name(int32_t kind)
{
    static const char *const names[] = {"",       "bool",   "int32_t", "int64_t",
                                        "double", "char *", "char[]",  "int64_t of milliseconds"};
    return names[kind];
}

static evs_status
no_such_field(evs_context *ctx, const evs_type *type, const char *name, evs_error **reterr)
{
    evs__buffer fields;

    evs__buffer_init(&fields, ctx, 512);
    evs__type_list_fields(type, &fields);
    fields.status = EVS_OK;
    evs__fail_at(ctx, reterr, EVS_ERR_SCHEMA, name, "binding: no field \"%s\"; %s", name,
                 evs__buffer_cstr(&fields) ? fields.data : "");
    evs__buffer_free(&fields);
    return EVS_ERR_SCHEMA;
}

static evs_status
bind(evs__binding *b, const evs_type *type, const evs_field_binding *from, evs_error **reterr)
{
    member *m = &b->members[b->count];
    const evs_type *field;
    size_t size = size_of_kind(from->kind);

    if (!from->field)
        return evs__fail(b->ctx, reterr, EVS_ERR_INVALID, "binding %zu: the field's name is NULL",
                         b->count);
    if (from->kind < EVS_BIND_BOOL || from->kind > EVS_BIND_TIME_MS)
        return evs__fail_at(b->ctx, reterr, EVS_ERR_INVALID, from->field,
                            "binding \"%s\": %d is no kind of member", from->field,
                            (int)from->kind);
    m->field = evs_type_field_index(type, from->field, strlen(from->field));
    if (m->field < 0)
        return no_such_field(b->ctx, type, from->field, reterr);
    field = type->children[m->field].type;
    if (!kind_fits(from->kind, field->id))
        return evs__fail_at(b->ctx, reterr, EVS_ERR_SCHEMA, from->field,
                            "binding \"%s\": %s does not fit into %s", from->field,
                            kind_name(from->kind), evs_type_print(field));
    if (size ? from->size != size : !from->size)
        return evs__fail_at(b->ctx, reterr, EVS_ERR_SCHEMA, from->field,
                            "binding \"%s\": a member of %zu bytes is no %s", from->field,
                            from->size, kind_name(from->kind));
    for (size_t i = 0; i < b->count; i++) {
        if (b->members[i].field == m->field)
            return evs__fail_at(b->ctx, reterr, EVS_ERR_SCHEMA, from->field,
                                "binding \"%s\": the field is bound twice", from->field);
    }
    m->kind = from->kind;
    m->offset = from->offset;
    m->size = from->size;
    m->decimal = field->id == EVS_TYPE_DECIMAL;
    b->count++;
    return EVS_OK;
}

static evs_status check_required(const evs__binding *b, const evs_type *type, evs_error **reterr)
{
    for (uint32_t i = 0; i < type->child_count; i++) {
        bool bound = false;
        for (size_t k = 0; k < b->count && !bound; k++)
            bound = b->members[k].field == (int32_t)i;
        if (!bound && evs__record_requires(b->record, (int32_t)i))
            return evs__fail_at(b->ctx, reterr, EVS_ERR_SCHEMA, type->children[i].name,
                                "binding: field \"%s\": required, no default, not bound",
                                type->children[i].name);
    }
    return EVS_OK;
}

evs_status evs__binding_new(evs_context *ctx,
                            evs_schema *schema,
                            const evs_field_binding *bindings,
                            size_t count,
                            evs__binding **ret,
                            evs_error **reterr)
{
    evs__binding *b = NULL;
    evs_status status = EVS_OK;

    if (!bindings || !count)
        return evs__fail(ctx, reterr, EVS_ERR_INVALID, "no bindings are given");
    if (!(b = evs__calloc(ctx, 1, sizeof(*b))))
        return evs__nomem(reterr);
    b->ctx = evs__context_hold(ctx);
    if (!(b->members = evs__calloc(ctx, count, sizeof(*b->members))))
        status = evs__nomem(reterr);
    if (!status)
        status = evs__record_new(ctx, schema, &b->record, reterr);
    for (size_t i = 0; i < count && !status; i++)
        status = bind(b, schema->type, &bindings[i], reterr);
    if (!status)
        status = check_required(b, schema->type, reterr);
    if (status)
        evs__binding_free(b);
    else
        *ret = b;
    return status;
}

void evs__binding_free(evs__binding *b)
{
    evs_context *ctx;

    if (!b)
        return;
    ctx = b->ctx;
    evs__record_free(b->record);
    evs__free(ctx, b->members);
    evs__free(ctx, b);
    evs__context_drop(ctx);
}

static void set_text(evs_record *record, const member *m, const char *text, size_t len)
{
    char number[64];

    if (!m->decimal) {
        evs_record_set_string_at(record, m->field, text, len);
        return;
    }
    /* a decimal's text has to end with NUL; what is longer than any is refused as no number */
    if (len >= sizeof(number))
        len = 0;
    memcpy(number, text, len);
    number[len] = '\0';
    evs_record_set_decimal_at(record, m->field, number);
}

static void set_member(evs_record *record, const member *m, const char *at)
{
    const char *text;
    int64_t i64;
    int32_t i32;
    double f64;
    bool flag;

    switch (m->kind) {
    case EVS_BIND_BOOL:
        memcpy(&flag, at, sizeof(flag));
        evs_record_set_bool_at(record, m->field, flag);
        break;
    case EVS_BIND_INT32:
        memcpy(&i32, at, sizeof(i32));
        evs_record_set_int_at(record, m->field, i32);
        break;
    case EVS_BIND_INT64:
    case EVS_BIND_TIME_MS:
        memcpy(&i64, at, sizeof(i64));
        evs_record_set_int_at(record, m->field, i64);
        break;
    case EVS_BIND_DOUBLE:
        memcpy(&f64, at, sizeof(f64));
        evs_record_set_double_at(record, m->field, f64);
        break;
    case EVS_BIND_CSTR:
        memcpy(&text, at, sizeof(text));
        if (text)
            set_text(record, m, text, strlen(text));
        else
            evs_record_set_null_at(record, m->field);
        break;
    default:
        set_text(record, m, at, strnlen(at, m->size));
        break;
    }
}

evs_status
evs__binding_row(evs__binding *b, const void *object, evs_batch **ret, evs_error **reterr)
{
    evs__record_reset(b->record);
    for (size_t i = 0; i < b->count; i++)
        set_member(b->record, &b->members[i], (const char *)object + b->members[i].offset);
    return evs__record_finish(b->record, ret, reterr);
}
