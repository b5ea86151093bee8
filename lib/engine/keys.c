/*
 * engine/keys.c: rows to keys and keys to rows. The forms are in the header.
 *
 * The two frequent forms never copy: the probe of a string column points to the column's bytes, a
 * number is the probe. Decoding trusts the interner's bytes, because whatever enters it was encoded
 * here or passed evs__key_check(), which walks the same form with every length checked.
 */
#include "engine/keys.h"

#define NAN_BITS UINT64_C(0x7ff8000000000000)

evs__key_form evs__key_form_of(const evs_type *const *types, uint32_t count)
{
    int32_t width;
    if (!count)
        return EVS__KEY_EMPTY;
    if (count > 1)
        return EVS__KEY_ENCODED;
    if (evs__type_is_string(types[0]->id))
        return EVS__KEY_STRING;
    width = evs__type_width(types[0]->id);
    return width >= 0 && width <= 8 ? EVS__KEY_FIXED : EVS__KEY_ENCODED;
}

static uint64_t double_bits(double v)
{
    uint64_t bits;
    v += 0.0; /* -0.0 becomes 0.0 */
    memcpy(&bits, &v, sizeof(bits));
    return v != v ? NAN_BITS : bits;
}

static uint64_t fixed_bits(const evs__column *c, uint32_t row)
{
    switch (evs__type_width(c->type->id)) {
    case 0:
        return evs__bit_get(c->bits, row);
    case 4:
        return (uint32_t)c->i32[row];
    default:
        return c->type->id == EVS_TYPE_DOUBLE ? double_bits(c->f64[row]) : (uint64_t)c->i64[row];
    }
}

/* ---- encoding ---- */

static evs_status encode(const evs__column *c, uint32_t row, evs__buffer *out);

static evs_status
encode_range(const evs__column *c, uint32_t first, uint32_t count, evs__buffer *out)
{
    evs_status status = evs__buffer_append(out, &count, sizeof(count));
    for (uint32_t i = 0; i < count && !status; i++)
        status = encode(c, first + i, out);
    return status;
}

static evs_status encode_string(const evs__column *c, uint32_t row, evs__buffer *out)
{
    evs_string_view s = evs__column_str(c, row);
    uint32_t len = (uint32_t)s.len;
    evs_status status = evs__buffer_append(out, &len, sizeof(len));
    return status ? status : evs__buffer_append(out, s.data, s.len);
}

static evs_status encode_fixed(const evs__column *c, uint32_t row, evs__buffer *out)
{
    int32_t width = evs__type_width(c->type->id);
    uint64_t bits;
    if (width > 8)
        return evs__buffer_append(out, &c->i128[row], sizeof(evs__int128));
    bits = fixed_bits(c, row);
    return evs__buffer_append(out, &bits, width ? (size_t)width : 1);
}

static evs_status encode(const evs__column *c, uint32_t row, evs__buffer *out)
{
    bool null = evs__column_is_null(c, row);
    evs_status status = evs__buffer_byte(out, !null);

    if (status || null)
        return status;
    if (evs__type_is_string(c->type->id))
        return encode_string(c, row, out);
    switch (c->type->id) {
    case EVS_TYPE_ARRAY:
    case EVS_TYPE_MAP:
        return encode_range(c->children[0], (uint32_t)c->offsets[row],
                            (uint32_t)(c->offsets[row + 1] - c->offsets[row]), out);
    case EVS_TYPE_STRUCT:
        for (uint32_t i = 0; i < c->child_count && !status; i++)
            status = encode(c->children[i], row, out);
        return status;
    default:
        return encode_fixed(c, row, out);
    }
}

/* ---- probes ---- */

static void
string_probes(const evs__column *c, const uint32_t *rows, uint32_t n, evs__intern_probe *probes)
{
    if (c->layout == EVS_LAYOUT_VIEW) {
        for (uint32_t i = 0; i < n; i++) {
            const evs_string_view *v = &c->views[rows[i]];
            evs__intern_probe_put(&probes[i], v->data, (uint32_t)v->len);
        }
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        int32_t from = c->offsets[rows[i]];
        __builtin_prefetch(c->bytes + from + 2048);
        evs__intern_probe_put(&probes[i], c->bytes + from,
                              (uint32_t)(c->offsets[rows[i] + 1] - from));
    }
}

static void
fixed_probes(const evs__column *c, const uint32_t *rows, uint32_t n, evs__intern_probe *probes)
{
    for (uint32_t i = 0; i < n; i++)
        probes[i] = evs__intern_probe_u64(fixed_bits(c, rows[i]));
}

static evs_status encoded_probes(evs__column *const *columns,
                                 uint32_t count,
                                 const uint32_t *rows,
                                 uint32_t n,
                                 evs__buffer *scratch,
                                 evs__intern_probe *probes)
{
    const char *data;

    evs__buffer_reset(scratch);
    for (uint32_t i = 0; i < n; i++) {
        size_t from = scratch->len;
        for (uint32_t c = 0; c < count; c++) {
            evs_status status = encode(columns[c], rows[i], scratch);
            if (status)
                return status;
        }
        probes[i].len = (uint32_t)(scratch->len - from);
    }
    data = scratch->data;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t len = probes[i].len;
        probes[i] = evs__intern_probe_bytes(data, len);
        data += len;
    }
    return EVS_OK;
}

evs_status evs__key_probes(evs__key_form form,
                           evs__column *const *columns,
                           uint32_t count,
                           const uint32_t *rows,
                           uint32_t n,
                           evs__buffer *scratch,
                           evs__intern_probe *probes)
{
    switch (form) {
    case EVS__KEY_EMPTY:
        for (uint32_t i = 0; i < n; i++)
            probes[i] = evs__intern_probe_bytes(NULL, 0);
        return EVS_OK;
    case EVS__KEY_STRING:
        string_probes(columns[0], rows, n, probes);
        break;
    case EVS__KEY_FIXED:
        fixed_probes(columns[0], rows, n, probes);
        break;
    case EVS__KEY_ENCODED:
        return encoded_probes(columns, count, rows, n, scratch, probes);
    }
    if (columns[0]->validity) {
        for (uint32_t i = 0; i < n; i++) {
            if (evs__column_is_null(columns[0], rows[i]))
                probes[i] = evs__intern_probe_null();
        }
    }
    return EVS_OK;
}

/* ---- decoding ---- */

static void append_fixed(evs__column *c, uint64_t bits)
{
    double number;
    switch (evs__type_width(c->type->id)) {
    case 0:
        evs__column_append_bool(c, bits != 0);
        return;
    case 4:
        evs__column_append_i32(c, (int32_t)(uint32_t)bits);
        return;
    default:
        if (c->type->id != EVS_TYPE_DOUBLE) {
            evs__column_append_i64(c, (int64_t)bits);
            return;
        }
        memcpy(&number, &bits, sizeof(number));
        evs__column_append_f64(c, number);
    }
}

/* a short key's 16 bytes are written whole: what is behind its end is overwritten by the next one,
 * or is the buffer's padding */
static void append_short(evs__column *c, const evs__intern_key *key)
{
    int32_t at = c->offsets[c->length];
    memcpy(c->bytes + at, key, sizeof(*key));
    c->offsets[++c->length] = at + (int32_t)(key->hi >> 56);
}

static evs_status
string_column(const evs__intern *keys, const uint32_t *ids, uint32_t n, evs__column *c)
{
    size_t bytes = sizeof(evs__intern_key);
    evs_status status = evs__column_reserve(c, c->length + n);

    for (uint32_t i = 0; i < n; i++) {
        uint32_t len = evs__intern_len(keys, ids[i]);
        bytes += len == EVS__INTERN_NULL_LEN ? 0 : len;
    }
    if (!status)
        status = evs__column_reserve_bytes(c, bytes);
    for (uint32_t i = 0; i < n && !status; i++) {
        const evs__intern_key *key = &keys->keys[ids[i]];
        if (EVS__LIKELY(key->hi >> 56 <= EVS__INTERN_INLINE))
            append_short(c, key);
        else if (key->hi >> 56 == EVS__INTERN_NULL)
            status = evs__column_append_null(c);
        else
            status = evs__column_append_str(c, evs__intern_data(keys, ids[i]),
                                            evs__intern_len(keys, ids[i]));
    }
    return status;
}

static evs_status
fixed_column(const evs__intern *keys, const uint32_t *ids, uint32_t n, evs__column *c)
{
    evs_status status = evs__column_reserve(c, c->length + n);
    for (uint32_t i = 0; i < n && !status; i++) {
        if (evs__intern_len(keys, ids[i]) == EVS__INTERN_NULL_LEN)
            status = evs__column_append_null(c);
        else
            append_fixed(c, keys->keys[ids[i]].lo);
    }
    return status;
}

static uint32_t take_u32(const char **at)
{
    uint32_t v;
    memcpy(&v, *at, sizeof(v));
    *at += sizeof(v);
    return v;
}

static evs_status decode(evs__column *c, const char **at);

static evs_status decode_list(evs__column *c, const char **at)
{
    evs_status status = EVS_OK;
    for (uint32_t n = take_u32(at); n && !status; n--)
        status = decode(c->children[0], at);
    if (!status)
        evs__column_end_list(c);
    return status;
}

static evs_status decode_struct(evs__column *c, const char **at)
{
    evs_status status = EVS_OK;
    for (uint32_t i = 0; i < c->child_count && !status; i++)
        status = decode(c->children[i], at);
    if (!status)
        evs__column_end_struct(c);
    return status;
}

static evs_status decode_fixed(evs__column *c, const char **at)
{
    int32_t width = evs__type_width(c->type->id);
    size_t bytes = width ? (size_t)width : 1;
    evs__int128 wide = 0;
    uint64_t bits = 0;

    memcpy(width > 8 ? (void *)&wide : (void *)&bits, *at, bytes);
    *at += bytes;
    if (width > 8)
        evs__column_append_i128(c, wide);
    else
        append_fixed(c, bits);
    return EVS_OK;
}

static evs_status decode(evs__column *c, const char **at)
{
    evs_status status = evs__column_reserve(c, c->length + 1);
    const char *data;
    uint32_t len;

    if (status)
        return status;
    if (!*(*at)++)
        return evs__column_append_null(c);
    if (c->type->id == EVS_TYPE_ARRAY || c->type->id == EVS_TYPE_MAP)
        return decode_list(c, at);
    if (c->type->id == EVS_TYPE_STRUCT)
        return decode_struct(c, at);
    if (!evs__type_is_string(c->type->id))
        return decode_fixed(c, at);
    len = take_u32(at);
    data = *at;
    *at += len;
    return evs__column_append_str(c, data, len);
}

evs_status evs__key_columns(evs__key_form form,
                            const evs__intern *keys,
                            const uint32_t *ids,
                            uint32_t n,
                            evs__column *const *columns,
                            uint32_t count)
{
    evs_status status = EVS_OK;

    for (uint32_t i = 0; i < n; i++)
        __builtin_prefetch(&keys->keys[ids[i]]);
    if (form == EVS__KEY_STRING)
        return string_column(keys, ids, n, columns[0]);
    if (form == EVS__KEY_FIXED)
        return fixed_column(keys, ids, n, columns[0]);
    for (uint32_t i = 0; i < n && form == EVS__KEY_ENCODED; i++) {
        const char *at = evs__intern_data(keys, ids[i]);
        for (uint32_t c = 0; c < count && !status; c++)
            status = decode(columns[c], &at);
        if (status)
            break;
    }
    return status;
}

/* ---- checking ---- */

typedef struct reader {
    const char *at, *end;
} reader;

static bool skip(reader *r, size_t n)
{
    if ((size_t)(r->end - r->at) < n)
        return false;
    r->at += n;
    return true;
}

static bool read_u32(reader *r, uint32_t *ret)
{
    const char *from = r->at;
    if (!skip(r, sizeof(*ret)))
        return false;
    memcpy(ret, from, sizeof(*ret));
    return true;
}

static bool check(const evs_type *type, reader *r);

static bool check_string(const evs_type *type, reader *r)
{
    uint32_t len;
    const char *data;
    if (!read_u32(r, &len))
        return false;
    data = r->at;
    return skip(r, len) && (type->id == EVS_TYPE_BYTES || evs__utf8_valid(data, len));
}

static bool check_nested(const evs_type *type, reader *r)
{
    uint32_t n;
    if (type->id == EVS_TYPE_STRUCT) {
        for (uint32_t i = 0; i < type->child_count; i++) {
            if (!check(type->children[i].type, r))
                return false;
        }
        return true;
    }
    if (!read_u32(r, &n) || n > INT32_MAX)
        return false;
    /* every element takes a byte at least, so n is bounded by what is left */
    for (; n; n--) {
        if (!check(type->children[0].type, r))
            return false;
    }
    return true;
}

static bool check_fixed(const evs_type *type, reader *r)
{
    int32_t width = evs__type_width(type->id);
    const char *from = r->at;
    return skip(r, width ? (size_t)width : 1) && (width || (uint8_t)*from <= 1);
}

static bool check(const evs_type *type, reader *r)
{
    uint8_t present;
    if (r->at == r->end)
        return false;
    present = (uint8_t)*r->at++;
    if (present != 1)
        return present == 0;
    if (evs__type_is_string(type->id))
        return check_string(type, r);
    if (type->id == EVS_TYPE_ARRAY || type->id == EVS_TYPE_MAP || type->id == EVS_TYPE_STRUCT)
        return check_nested(type, r);
    return check_fixed(type, r);
}

static bool
check_encoded(const evs_type *const *types, uint32_t count, const char *data, size_t len)
{
    reader r = {data, data + len};
    for (uint32_t i = 0; i < count; i++) {
        if (!check(types[i], &r))
            return false;
    }
    return r.at == r.end;
}

bool evs__key_check(evs__key_form form,
                    const evs_type *const *types,
                    uint32_t count,
                    const char *data,
                    uint32_t len,
                    evs__intern_probe *ret)
{
    uint64_t bits;
    bool null = len == EVS__INTERN_NULL_LEN;

    if (null && (form == EVS__KEY_STRING || form == EVS__KEY_FIXED)) {
        *ret = evs__intern_probe_null();
        return true;
    }
    if (null || len > INT32_MAX)
        return false;
    if (form == EVS__KEY_FIXED) {
        if (len != sizeof(bits))
            return false;
        memcpy(&bits, data, sizeof(bits));
        *ret = evs__intern_probe_u64(bits);
        return evs__type_width(types[0]->id) == 8 ||
               bits <= (evs__type_width(types[0]->id) ? UINT32_MAX : 1);
    }
    *ret = evs__intern_probe_bytes(data, len);
    if (form == EVS__KEY_STRING)
        return types[0]->id == EVS_TYPE_BYTES || evs__utf8_valid(data, len);
    return form == EVS__KEY_EMPTY ? len == 0 : check_encoded(types, count, data, len);
}
