/*
 * data/arrow_import.c: an Arrow STRUCT array (Arrow C Data Interface) as a batch.
 *
 * Where the layouts agree, columns point into the foreign buffers; a hold on the array goes with
 * every such column, since columns outlive batches. Where they do not, values are converted once
 * into an owned column:
 *
 *   - types that we have in one width only (narrower integers, float, seconds, large offsets, ...);
 *   - slices that do not begin at a byte of their bits, buffers that are not aligned;
 *   - values under NULLs that are not zero (column.h), which Arrow leaves undefined.
 *
 * What is checked: formats, child and buffer counts, lengths and offsets against each other, that
 * offsets rise, UTF-8, keys of maps, ranges of TIME and DECIMAL. What cannot be: the sizes of
 * buffers, which the interface does not tell.
 *
 * A column is imported for rows [offset, offset + rows) of its array; a parent's offset adds up.
 * `parent` bits (bit 0 = first imported row) say where an enclosing STRUCT is NULL: there the field
 * is, too. On failure *ret may hold a half-made column, which the caller releases.
 */
#include <stdio.h>
#include <string.h>

#include "data/arrow.h"

/* what a foreign column owns beside its part of the hold */
typedef struct foreign_part {
    evs_context *ctx;
    evs__arrow_holder *hold;
    void *validity;
    void *offsets;
} foreign_part;

/* the part of an array that is imported */
typedef struct slice {
    const struct ArrowSchema *schema;
    const struct ArrowArray *array;
    const evs_type *type;
    evs__arrow_format format;
    size_t offset; /* of row 0 in the array's buffers */
    uint32_t rows;
    const uint8_t *nulls; /* validity, bit 0 = row 0, with the parents'; NULL: no NULLs */
    uint8_t *nulls_made;  /* memory of `nulls` when it was made here */
} slice;

static evs_status
import_column(evs__arrow_importer *im, slice *s, const uint8_t *parent, evs__column **ret);

static void holder_unref(evs__arrow_holder *h)
{
    evs_context *ctx = h->ctx;

    if (atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (h->taken && h->array.release)
        h->array.release(&h->array);
    if (h->taken && h->schema.release)
        h->schema.release(&h->schema);
    evs__free(ctx, h);
    evs__context_drop(ctx);
}

static void part_release(void *foreign)
{
    foreign_part *part = foreign;

    evs__free(part->ctx, part->validity);
    evs__free(part->ctx, part->offsets);
    holder_unref(part->hold);
    evs__free(part->ctx, part);
}

static evs_status corrupt(evs__arrow_importer *im, const slice *s, const char *text)
{
    return evs__arrow_fault(im, EVS_ERR_CORRUPT, s->schema, text);
}

/* ---- NULLs ---- */

static bool slice_is_null(const slice *s, size_t row)
{
    return s->nulls && !evs__bit_get(s->nulls, row);
}

/* s->nulls: pointed to where possible, else copied to begin at bit 0 */
static evs_status slice_nulls(evs__arrow_importer *im, slice *s, const uint8_t *parent)
{
    const uint8_t *own = s->array->null_count == 0 ? NULL : s->array->buffers[0];
    bool any = false;

    for (size_t i = 0; i < s->rows && own && !s->type->nullable; i++) {
        if (!evs__bit_get(own, s->offset + i) && (!parent || evs__bit_get(parent, i)))
            return corrupt(im, s, "there is a NULL in a field without NULLs");
    }
    if (own && s->offset % 8 == 0 && !parent) {
        s->nulls = own + s->offset / 8;
    } else if (own || parent) {
        s->nulls_made = evs__calloc(im->ctx, ((size_t)s->rows + 63) / 64, 8);
        if (!s->nulls_made)
            return evs__nomem(im->reterr);
        for (size_t i = 0; i < s->rows; i++) {
            if ((!own || evs__bit_get(own, s->offset + i)) && (!parent || evs__bit_get(parent, i)))
                evs__bit_set(s->nulls_made, i);
        }
        s->nulls = s->nulls_made;
    }
    for (size_t i = 0; i < s->rows && s->nulls && !any; i++)
        any = !evs__bit_get(s->nulls, i);
    if (!any)
        s->nulls = NULL;
    return EVS_OK;
}

static evs_status copy_nulls(evs__arrow_importer *im, const slice *s, evs__column *c)
{
    for (uint32_t i = 0; s->nulls && i < s->rows; i++) {
        if (!evs__bit_get(s->nulls, i) && evs__column_set_null(c, i))
            return evs__nomem(im->reterr);
    }
    c->length = s->rows;
    return EVS_OK;
}

/* ---- columns without values yet ---- */

/* one that keeps the foreign array; it takes over nulls_made */
static evs_status make_foreign(evs__arrow_importer *im, slice *s, evs__column **ret)
{
    evs__column *c = evs__calloc(im->ctx, 1, sizeof(*c));
    foreign_part *part = evs__calloc(im->ctx, 1, sizeof(*part));

    if (!c || !part) {
        evs__free(im->ctx, c);
        evs__free(im->ctx, part);
        return evs__nomem(im->reterr);
    }
    part->ctx = im->ctx;
    part->hold = im->hold;
    atomic_fetch_add_explicit(&im->hold->refs, 1, memory_order_relaxed);
    part->validity = s->nulls_made;
    s->nulls_made = NULL;
    atomic_init(&c->refs, 1);
    c->ctx = evs__context_hold(im->ctx);
    c->type = evs_type_ref(s->type);
    c->layout = EVS_LAYOUT_OWNED;
    c->length = c->capacity = s->rows;
    c->validity = (uint8_t *)s->nulls;
    c->foreign = part;
    c->foreign_release = part_release;
    *ret = c;
    return EVS_OK;
}

static evs_status make_owned(evs__arrow_importer *im, const slice *s, evs__column **ret)
{
    evs_status status = evs__column_new(im->ctx, s->type, EVS_LAYOUT_OWNED, s->rows, ret);
    return status ? evs__arrow_failed(im, status) : EVS_OK;
}

/* ---- fixed width ---- */

static int64_t load_integer(evs__arrow_source from, const char *values, size_t i)
{
    int16_t i16;
    uint16_t u16;
    int32_t i32;
    uint32_t u32;
    int64_t i64;

    switch (from) {
    case EVS__ARROW_I8:
        return ((const int8_t *)values)[i];
    case EVS__ARROW_U8:
        return ((const uint8_t *)values)[i];
    case EVS__ARROW_I16:
        memcpy(&i16, values + 2 * i, 2);
        return i16;
    case EVS__ARROW_U16:
        memcpy(&u16, values + 2 * i, 2);
        return u16;
    case EVS__ARROW_I32:
        memcpy(&i32, values + 4 * i, 4);
        return i32;
    case EVS__ARROW_U32:
        memcpy(&u32, values + 4 * i, 4);
        return u32;
    default:
        memcpy(&i64, values + 8 * i, 8);
        return i64;
    }
}

/* seconds, micro- and nanoseconds to ms or days; rounds towards minus infinity, saturates */
static int64_t scale_time(const evs__arrow_format *f, int64_t v)
{
    int64_t r = v;

    if (f->multiply && __builtin_mul_overflow(v, f->multiply, &r))
        r = v < 0 ? INT64_MIN : INT64_MAX;
    if (f->divide)
        r = v / f->divide - (v % f->divide < 0);
    return r;
}

static bool convert_value(const slice *s, const char *values, evs__column *c, uint32_t row)
{
    size_t i = s->offset + row;
    size_t width = (size_t)evs__type_width(s->format.id);
    uint64_t u64;
    int64_t v;
    float f32;

    switch (s->format.from) {
    case EVS__ARROW_SAME:
        memcpy((char *)c->values + row * width, values + i * width, width);
        return true;
    case EVS__ARROW_F32:
        memcpy(&f32, values + 4 * i, 4);
        c->f64[row] = (double)f32;
        return true;
    case EVS__ARROW_U64:
        memcpy(&u64, values + 8 * i, 8);
        c->i128[row] = u64;
        return true;
    default:
        break;
    }
    v = scale_time(&s->format, load_integer(s->format.from, values, i));
    if (width == 16)
        c->i128[row] = v;
    else if (width == 8)
        c->i64[row] = v;
    else
        c->i32[row] = (int32_t)v;
    return width > 4 || c->i32[row] == v;
}

static evs_status
convert_fixed(evs__arrow_importer *im, slice *s, const char *values, evs__column **ret)
{
    size_t width = (size_t)evs__type_width(s->format.id);
    evs_status status = make_owned(im, s, ret);
    evs__column *c = *ret;

    for (uint32_t i = 0; i < s->rows && !status; i++) {
        if (!width)
            evs__column_append_bool(c, !slice_is_null(s, i) &&
                                           evs__bit_get((const uint8_t *)values, s->offset + i));
        else if (slice_is_null(s, i))
            memset((char *)c->values + i * width, 0, width);
        else if (!convert_value(s, values, c, i))
            status = corrupt(im, s, "a value is out of its type's range");
    }
    return status ? status : copy_nulls(im, s, c);
}

/* whether our column may point into `values` as they are */
static bool fixed_is_ours(const slice *s, const char *values)
{
    size_t width = (size_t)evs__type_width(s->format.id);
    evs__column probe = {.type = s->type, .validity = (uint8_t *)s->nulls};

    if (s->format.from != EVS__ARROW_SAME || (!width && s->offset % 8))
        return false;
    if (width && (uintptr_t)values % width)
        return false;
    probe.values = (char *)values + (width ? s->offset * width : s->offset / 8);
    return evs__column_nulls_are_zero(&probe, s->rows);
}

static evs_status import_fixed(evs__arrow_importer *im, slice *s, evs__column **ret)
{
    size_t width = (size_t)evs__type_width(s->format.id);
    const char *values = s->array->buffers[1];
    evs_status status;

    if (!s->rows)
        return make_owned(im, s, ret);
    if (!values)
        return corrupt(im, s, "the array has no values");
    if (!fixed_is_ours(s, values)) {
        status = convert_fixed(im, s, values, ret);
    } else {
        status = make_foreign(im, s, ret);
        if (!status)
            (*ret)->values = (char *)values + (width ? s->offset * width : s->offset / 8);
    }
    if (!status && !evs__column_in_range(*ret, s->rows))
        status = corrupt(im, s, "a value is out of its type's range");
    return status;
}

/* ---- offsets ---- */

/* offset `i` of the slice, of either width */
static int64_t load_offset(const slice *s, size_t i)
{
    const char *p = s->array->buffers[1];

    if (s->format.from == EVS__ARROW_FIXED)
        return (int64_t)(s->offset + i) * s->format.fixed;
    return load_integer(s->format.from == EVS__ARROW_LARGE ? EVS__ARROW_I64 : EVS__ARROW_I32, p,
                        s->offset + i);
}

/* they rise, from *ret_first; *ret_gaps: a NULL row is not empty */
static evs_status
check_offsets(evs__arrow_importer *im, const slice *s, int64_t *ret_first, bool *ret_gaps)
{
    int64_t last;

    *ret_gaps = false;
    if (s->format.from != EVS__ARROW_FIXED && !s->array->buffers[1])
        return corrupt(im, s, "the array has no offsets");
    if (s->format.fixed && s->offset + s->rows > (size_t)INT64_MAX / (size_t)s->format.fixed)
        return corrupt(im, s, "the offset is too large");
    last = *ret_first = load_offset(s, 0);
    if (last < 0)
        return corrupt(im, s, "an offset is negative");
    for (size_t i = 0; i < s->rows; i++) {
        int64_t next = load_offset(s, i + 1);
        if (next < last)
            return corrupt(im, s, "offsets do not rise");
        if (next > last && slice_is_null(s, i))
            *ret_gaps = true;
        last = next;
    }
    if (last - *ret_first > INT32_MAX)
        return evs__arrow_fault(im, EVS_ERR_LIMIT, s->schema, "more than 2^31 bytes or elements");
    return EVS_OK;
}

/* c->offsets: the foreign ones, or a copy that begins at 0; NULL rows are empty in it */
static evs_status
foreign_offsets(evs__arrow_importer *im, const slice *s, int64_t first, bool gaps, evs__column *c)
{
    const char *p = s->array->buffers[1];
    foreign_part *part = c->foreign;

    if (s->format.from == EVS__ARROW_SAME && !first && !gaps && (uintptr_t)p % 4 == 0) {
        c->offsets = (int32_t *)p + s->offset;
        return EVS_OK;
    }
    part->offsets = evs__realloc_array(im->ctx, NULL, (size_t)s->rows + 1, sizeof(int32_t));
    if (!part->offsets)
        return evs__nomem(im->reterr);
    c->offsets = part->offsets;
    c->offsets[0] = 0;
    for (size_t i = 0; i < s->rows; i++) {
        int64_t len = slice_is_null(s, i) ? 0 : load_offset(s, i + 1) - load_offset(s, i);
        c->offsets[i + 1] = c->offsets[i] + (int32_t)len;
    }
    return EVS_OK;
}

/* ---- text ---- */

static evs_status
convert_text(evs__arrow_importer *im, slice *s, const char *data, evs__column **ret)
{
    evs_status status = make_owned(im, s, ret);

    if (status)
        return status;
    for (uint32_t i = 0; i < s->rows && !status; i++) {
        int64_t at = load_offset(s, i);
        if (slice_is_null(s, i))
            status = evs__column_append_null(*ret);
        else
            status = evs__column_append_str(*ret, data + at, (size_t)(load_offset(s, i + 1) - at));
    }
    return status ? evs__arrow_failed(im, status) : EVS_OK;
}

static evs_status import_text(evs__arrow_importer *im, slice *s, evs__column **ret)
{
    bool fixed = s->format.from == EVS__ARROW_FIXED;
    const char *data = s->array->buffers[fixed ? 1 : 2];
    int64_t first;
    bool gaps;
    evs_status status;

    if (!s->rows)
        return make_owned(im, s, ret);
    status = check_offsets(im, s, &first, &gaps);
    if (status)
        return status;
    if (!data && load_offset(s, s->rows) > first)
        return corrupt(im, s, "the array has no bytes");
    if (!data)
        data = "";
    if (fixed || gaps) {
        status = convert_text(im, s, data, ret);
    } else {
        status = make_foreign(im, s, ret);
        if (!status)
            status = foreign_offsets(im, s, first, false, *ret);
        if (!status) {
            (*ret)->bytes = (char *)data + first;
            (*ret)->bytes_capacity = (size_t)(load_offset(s, s->rows) - first);
        }
    }
    if (!status && s->type->id == EVS_TYPE_VARCHAR && !evs__column_utf8_valid(*ret, s->rows))
        status = corrupt(im, s, "text is not valid UTF-8");
    return status;
}

/* ---- nested ---- */

static evs_status make_children(evs__arrow_importer *im, evs__column *c)
{
    c->children = evs__calloc(im->ctx, c->type->child_count, sizeof(*c->children));
    if (!c->children)
        return evs__nomem(im->reterr);
    c->child_count = c->type->child_count;
    return EVS_OK;
}

/* child `i` of a slice: rows [begin, begin + rows) of its own numbering */
static evs_status import_child(evs__arrow_importer *im,
                               const slice *s,
                               size_t i,
                               size_t begin,
                               uint32_t rows,
                               evs__column **ret)
{
    const struct ArrowArray *array = s->array->children ? s->array->children[i] : NULL;
    slice child = {.schema = s->schema->children[i],
                   .array = array,
                   .type = s->type->children[i].type,
                   .rows = rows};

    if (!array || array->length < 0 || array->offset < 0 || begin + rows > (uint64_t)array->length)
        return corrupt(im, s, "a child is shorter than its parent needs");
    child.offset = (size_t)array->offset + begin;
    return import_column(im, &child, s->type->id == EVS_TYPE_STRUCT ? s->nulls : NULL, ret);
}

static evs_status import_struct(evs__arrow_importer *im, slice *s, evs__column **ret)
{
    evs_status status = make_foreign(im, s, ret);

    if (!status)
        status = make_children(im, *ret);
    for (uint32_t i = 0; !status && i < (*ret)->child_count; i++)
        status = import_child(im, s, i, s->offset, s->rows, &(*ret)->children[i]);
    return status;
}

/* elements of rows that are not NULL; *child is replaced by an owned column */
static evs_status
close_gaps(evs__arrow_importer *im, const slice *s, int64_t first, evs__column **child)
{
    evs__column *dense = NULL;
    uint32_t *sel = evs__realloc_array(im->ctx, NULL, (*child)->length, sizeof(*sel));
    uint32_t n = 0;
    evs_status status;

    if (!sel)
        return evs__nomem(im->reterr);
    for (uint32_t i = 0; i < s->rows; i++) {
        for (int64_t k = load_offset(s, i); !slice_is_null(s, i) && k < load_offset(s, i + 1); k++)
            sel[n++] = (uint32_t)(k - first);
    }
    status = evs__column_new(im->ctx, (*child)->type, EVS_LAYOUT_OWNED, n, &dense);
    if (!status)
        status = evs__column_gather(dense, *child, sel, n);
    evs__free(im->ctx, sel);
    if (status) {
        evs__column_unref(dense);
        return evs__arrow_failed(im, status);
    }
    evs__column_unref(*child);
    *child = dense;
    return EVS_OK;
}

static evs_status import_list(evs__arrow_importer *im, slice *s, evs__column **ret)
{
    int64_t first;
    bool gaps;
    evs_status status;

    if (!s->rows)
        return make_owned(im, s, ret);
    status = check_offsets(im, s, &first, &gaps);
    if (!status)
        status = make_foreign(im, s, ret);
    if (!status)
        status = make_children(im, *ret);
    if (!status)
        status = foreign_offsets(im, s, first, gaps, *ret);
    if (!status)
        status = import_child(im, s, 0, (size_t)first, (uint32_t)(load_offset(s, s->rows) - first),
                              &(*ret)->children[0]);
    if (!status && gaps)
        status = close_gaps(im, s, first, &(*ret)->children[0]);
    return status;
}

/* ---- any column ---- */

static int64_t buffer_count(const evs__arrow_format *f)
{
    if (f->id == EVS_TYPE_STRUCT || (f->id == EVS_TYPE_ARRAY && f->from == EVS__ARROW_FIXED))
        return 1;
    return evs__type_is_string(f->id) && f->from != EVS__ARROW_FIXED ? 3 : 2;
}

/* s: schema, array, type, offset, rows */
static evs_status
import_column(evs__arrow_importer *im, slice *s, const uint8_t *parent, evs__column **ret)
{
    int64_t children;
    evs_status status;

    if (!evs__arrow_parse_format(s->schema->format, &s->format))
        return evs__arrow_fault(im, EVS_ERR_UNSUPPORTED, s->schema, "unknown format");
    children = s->type->child_count;
    if (s->array->n_buffers != buffer_count(&s->format) || !s->array->buffers ||
        s->array->n_children != children || s->array->dictionary)
        return corrupt(im, s, "the array does not have the buffers or children of its schema");
    status = slice_nulls(im, s, parent);
    if (!status) {
        if (s->format.id == EVS_TYPE_STRUCT)
            status = import_struct(im, s, ret);
        else if (s->format.id == EVS_TYPE_ARRAY || s->format.id == EVS_TYPE_MAP)
            status = import_list(im, s, ret);
        else if (evs__type_is_string(s->format.id))
            status = import_text(im, s, ret);
        else
            status = import_fixed(im, s, ret);
    }
    evs__free(im->ctx, s->nulls_made);
    return status;
}

/* ---- batch ---- */

/* event times from a column of the batch */
static evs_status import_times(evs__arrow_importer *im, evs_batch *b, const char *name)
{
    int32_t index = evs_type_field_index(b->type, name, strlen(name));
    const evs__column *c = index >= 0 ? b->columns[index] : NULL;
    evs__buffer list;

    if (!c) {
        evs__buffer_init(&list, im->ctx, 2048);
        evs__type_list_fields(b->type, &list);
        evs__fail(im->ctx, im->reterr, EVS_ERR_INVALID, "no time column \"%s\": %s", name,
                  evs__buffer_cstr(&list) ? list.data : "it is not among the fields");
        evs__buffer_free(&list);
        return EVS_ERR_INVALID;
    }
    if (c->type->id != EVS_TYPE_TIMESTAMP && c->type->id != EVS_TYPE_BIGINT &&
        c->type->id != EVS_TYPE_DATE)
        return evs__fail(im->ctx, im->reterr, EVS_ERR_INVALID,
                         "the time column \"%s\" is %s, not TIMESTAMP, DATE or BIGINT", name,
                         evs__type_word(c->type->id));
    if (evs__batch_need_times(b))
        return evs__nomem(im->reterr);
    for (uint32_t i = 0; i < b->rows; i++) {
        if (!evs__column_is_null(c, i))
            b->times[i] =
                c->type->id == EVS_TYPE_DATE ? (int64_t)c->i32[i] * EVS__DAY_MS : c->i64[i];
    }
    return EVS_OK;
}

static evs_status import_root(evs__arrow_importer *im,
                              const struct ArrowSchema *schema,
                              const struct ArrowArray *array,
                              evs_batch **ret)
{
    const evs_type *any = NULL, *type = NULL;
    slice root = {.schema = schema, .array = array};
    evs_batch *b = NULL;
    evs_status status = evs__arrow_import_type(im, schema, &any);

    if (!status && evs__type_with_nullable(any, false, &type))
        status = evs__nomem(im->reterr);
    evs_type_unref(any);
    if (!status && (array->n_children != schema->n_children || array->n_buffers != 1 ||
                    !array->buffers || array->length < 0 || array->offset < 0))
        status =
            corrupt(im, &root, "the array does not have the buffers or children of its schema");
    if (!status && array->length > INT32_MAX)
        status = evs__arrow_failed(im, EVS_ERR_LIMIT);
    root.type = type;
    root.offset = (size_t)array->offset;
    root.rows = (uint32_t)array->length;
    if (!status)
        status = slice_nulls(im, &root, NULL);
    if (!status && evs__batch_shell(im->ctx, type, root.rows, &b))
        status = evs__nomem(im->reterr);
    for (uint32_t i = 0; !status && i < b->column_count; i++)
        status = import_child(im, &root, i, root.offset, root.rows, &b->columns[i]);
    evs__free(im->ctx, root.nulls_made);
    evs_type_unref(type);
    if (status) {
        evs_batch_unref(b);
        return status;
    }
    *ret = b;
    return EVS_OK;
}

evs_status evs_batch_import_arrow(evs_context *context,
                                  struct ArrowSchema *schema,
                                  struct ArrowArray *array,
                                  const char *time_column,
                                  evs_batch **ret_batch,
                                  evs_error **reterr)
{
    evs__arrow_importer im = {.ctx = context, .reterr = reterr};
    evs_batch *b = NULL;
    evs_status status;

    if (!context || !schema || !array || !ret_batch)
        return evs__fail(context, reterr, EVS_ERR_INVALID,
                         "context, schema, array or ret_batch is NULL");
    if (!schema->release || !array->release)
        return evs__fail(context, reterr, EVS_ERR_INVALID, "the schema or array is released");
    if (!schema->format || strcmp(schema->format, "+s") != 0)
        return evs__fail(context, reterr, EVS_ERR_INVALID,
                         "a batch is a STRUCT array (\"+s\"), not \"%s\"",
                         schema->format ? schema->format : "");
    im.hold = evs__calloc(context, 1, sizeof(*im.hold));
    if (!im.hold)
        return evs__nomem(reterr);
    atomic_init(&im.hold->refs, 1);
    im.hold->ctx = evs__context_hold(context);
    status = import_root(&im, schema, array, &b);
    if (!status && time_column)
        status = import_times(&im, b, time_column);
    if (status) {
        evs_batch_unref(b);
    } else {
        im.hold->schema = *schema;
        im.hold->array = *array;
        im.hold->taken = true;
        schema->release = NULL;
        array->release = NULL;
        *ret_batch = b;
    }
    holder_unref(im.hold);
    return status;
}
