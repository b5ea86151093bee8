/*
 * expr/eval_cast.c: CAST(x AS TYPE), and the widenings that the compiler puts in.
 *
 *   from \ to   BOOLEAN INT BIGINT DOUBLE DECIMAL VARCHAR BYTES TIMESTAMP DATE TIME
 *   BOOLEAN        =     0/1  0/1     .      .      x       .       .       .    .
 *   INT          <> 0     =    w      w      w      x       .       .     days   ms
 *   BIGINT       <> 0     r    =      w      w      x       .      ms       .    .
 *   DOUBLE         .     t,r  t,r     =      h      x       .       .       .    .
 *   DECIMAL        .     t,r  t,r     x      h      x       .       .       .    .
 *   VARCHAR        x      x    x      x      h      =       x       x       x    x
 *   BYTES          .      .    .      .      .    UTF-8     =       .       .    .
 *   TIMESTAMP      .      .   ms      .      .      x       .       =      cut  rest
 *   DATE           .    days days     .      .      x       .   midnight    =    .
 *   TIME           .     ms   ms      .      .      x       .       .       .    =
 *   nested         .      .    .      .      .    JSON      .       .       .    .
 *
 * w widening, cannot fail; r range checked; t cut towards zero; h rounded half away from zero. Text
 * is trimmed of spaces before it is read. A value that cannot be cast is a row error. Widenings of
 * integers are loops; all others go row by row through one value.
 */
#include <math.h>
#include <string.h>

#include "base/time.h"
#include "expr/term.h"

#define DAY_MS 86400000

/* a value on its way: by the kind of its type */
typedef struct cast_value {
    evs__int128 integer; /* BOOLEAN, integers, decimals (unscaled), times */
    double number;
    evs_string_view text;
} cast_value;

/* ---- what exists ---- */

static bool is_number(evs_type_id id)
{
    return id >= EVS_TYPE_INT && id <= EVS_TYPE_DECIMAL;
}

bool evs__cast_exists(const evs_type *from, const evs_type *to)
{
    evs_type_id f = from->id, t = to->id;

    if (t >= EVS_TYPE_ARRAY || f >= EVS_TYPE_ARRAY)
        return t == EVS_TYPE_VARCHAR;
    if (f == t || f == EVS_TYPE_VARCHAR || t == EVS_TYPE_VARCHAR || (is_number(f) && is_number(t)))
        return true;
    switch (f) {
    case EVS_TYPE_BOOLEAN:
        return t == EVS_TYPE_INT || t == EVS_TYPE_BIGINT;
    case EVS_TYPE_INT:
        return t == EVS_TYPE_BOOLEAN || t == EVS_TYPE_DATE || t == EVS_TYPE_TIME;
    case EVS_TYPE_BIGINT:
        return t == EVS_TYPE_BOOLEAN || t == EVS_TYPE_TIMESTAMP;
    case EVS_TYPE_TIMESTAMP:
        return t == EVS_TYPE_BIGINT || t == EVS_TYPE_DATE || t == EVS_TYPE_TIME;
    case EVS_TYPE_DATE:
        return t == EVS_TYPE_INT || t == EVS_TYPE_BIGINT || t == EVS_TYPE_TIMESTAMP;
    case EVS_TYPE_TIME:
        return t == EVS_TYPE_INT || t == EVS_TYPE_BIGINT;
    default:
        return false;
    }
}

/* ---- a row ---- */

static void get_value(const evs__column *c, size_t row, cast_value *v)
{
    switch (c->type->id) {
    case EVS_TYPE_BOOLEAN:
        v->integer = evs__bit_get(c->bits, row);
        break;
    case EVS_TYPE_INT:
    case EVS_TYPE_DATE:
    case EVS_TYPE_TIME:
        v->integer = c->i32[row];
        break;
    case EVS_TYPE_BIGINT:
    case EVS_TYPE_TIMESTAMP:
        v->integer = c->i64[row];
        break;
    case EVS_TYPE_DECIMAL:
        v->integer = c->i128[row];
        break;
    case EVS_TYPE_DOUBLE:
        v->number = c->f64[row];
        break;
    default:
        v->text = evs__column_str(c, row);
        break;
    }
}

static evs_status put_range(evs__int128 v, int64_t low, int64_t high)
{
    return v < low || v > high ? EVS_ERR_OVERFLOW : EVS_OK;
}

/* to a fixed-width column */
static evs_status put_value(evs__column *out, size_t row, const cast_value *v)
{
    evs_status status = EVS_OK;

    switch (out->type->id) {
    case EVS_TYPE_BOOLEAN:
        evs__bit_clear(out->bits, row);
        if (v->integer)
            evs__bit_set(out->bits, row);
        break;
    case EVS_TYPE_TIME:
        status = put_range(v->integer, 0, DAY_MS - 1);
        out->i32[row] = (int32_t)v->integer;
        break;
    case EVS_TYPE_INT:
    case EVS_TYPE_DATE:
        status = put_range(v->integer, INT32_MIN, INT32_MAX);
        out->i32[row] = (int32_t)v->integer;
        break;
    case EVS_TYPE_DECIMAL:
        out->i128[row] = v->integer;
        break;
    case EVS_TYPE_DOUBLE:
        out->f64[row] = v->number;
        break;
    default:
        status = put_range(v->integer, INT64_MIN, INT64_MAX);
        out->i64[row] = (int64_t)v->integer;
        break;
    }
    return status;
}

static evs_status double_to_integer(double d, cast_value *v)
{
    if (!(d >= -9223372036854775808.0 && d < 9223372036854775808.0))
        return EVS_ERR_OVERFLOW;
    v->integer = (int64_t)d;
    return EVS_OK;
}

static evs_status double_to_decimal(double d, const evs_type *to, cast_value *v)
{
    char text[EVS__DOUBLE_TEXT_MAX];

    if (!isfinite(d))
        return EVS_ERR_OVERFLOW;
    return evs__parse_decimal_rounded(text, evs__format_double(d, text), to->precision, to->scale,
                                      &v->integer);
}

static evs_string_view trim(evs_string_view s)
{
    while (s.len && strchr(" \t\r\n", s.data[0]) && s.data[0])
        s = (evs_string_view){s.data + 1, s.len - 1};
    while (s.len && strchr(" \t\r\n", s.data[s.len - 1]) && s.data[s.len - 1])
        s.len--;
    return s;
}

static bool same_word(evs_string_view s, const char *word)
{
    if (strlen(word) != s.len)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != word[i])
            return false;
    }
    return true;
}

static evs_status text_to_double(evs_string_view s, double *ret)
{
    static const struct {
        const char *word;
        double value;
    } words[] = {{"nan", NAN}, {"infinity", INFINITY}, {"-infinity", -INFINITY}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (same_word(s, words[i].word)) {
            *ret = words[i].value;
            return EVS_OK;
        }
    }
    return evs__parse_double_lenient(s.data, s.len, ret);
}

static evs_status text_to_value(const evs_type *to, cast_value *v)
{
    evs_string_view s = trim(v->text);
    evs_status status = EVS_OK;
    int64_t i64 = 0;
    int32_t i32 = 0;

    if (s.len > 1 && s.data[0] == '+' && is_number(to->id) && s.data[1] != '-')
        s = (evs_string_view){s.data + 1, s.len - 1};
    switch (to->id) {
    case EVS_TYPE_BOOLEAN:
        v->integer = same_word(s, "true");
        return v->integer || same_word(s, "false") ? EVS_OK : EVS_ERR_DECODE;
    case EVS_TYPE_INT:
    case EVS_TYPE_BIGINT:
        status = evs__parse_int(s.data, s.len, &i64);
        break;
    case EVS_TYPE_DOUBLE:
        return text_to_double(s, &v->number);
    case EVS_TYPE_DECIMAL:
        return evs__parse_decimal_rounded(s.data, s.len, to->precision, to->scale, &v->integer);
    case EVS_TYPE_TIMESTAMP:
        status = evs__time_parse(s.data, s.len, &i64);
        break;
    case EVS_TYPE_DATE:
        status = evs__date_parse(s.data, s.len, &i32);
        i64 = i32;
        break;
    default:
        status = evs__clock_parse(s.data, s.len, &i32);
        i64 = i32;
        break;
    }
    v->integer = i64;
    return status;
}

static evs_status number_to_value(const evs_type *from, const evs_type *to, cast_value *v)
{
    int32_t scale = from->id == EVS_TYPE_DECIMAL ? from->scale : 0;

    if (from->id == EVS_TYPE_DOUBLE) {
        if (to->id == EVS_TYPE_DOUBLE)
            return EVS_OK;
        return to->id == EVS_TYPE_DECIMAL ? double_to_decimal(v->number, to, v)
                                          : double_to_integer(v->number, v);
    }
    if (to->id == EVS_TYPE_DOUBLE) {
        v->number = evs__decimal_to_double(v->integer, scale);
        return EVS_OK;
    }
    if (to->id != EVS_TYPE_DECIMAL) {
        v->integer /= evs__pow10_128(scale);
        return EVS_OK;
    }
    if (!evs__decimal_rescale(v->integer, scale, to->scale, &v->integer) ||
        !evs__decimal_fits(v->integer, to->precision))
        return EVS_ERR_OVERFLOW;
    return EVS_OK;
}

/* the value of the new type, put_value() checks the range of integers */
static evs_status convert(const evs_type *from, const evs_type *to, cast_value *v)
{
    int64_t ms, day;

    if (from->id == EVS_TYPE_VARCHAR)
        return text_to_value(to, v);
    if (is_number(from->id) && is_number(to->id))
        return number_to_value(from, to, v);
    ms = (int64_t)v->integer;
    day = ms / DAY_MS - (ms % DAY_MS < 0);
    if (from->id == EVS_TYPE_TIMESTAMP && to->id == EVS_TYPE_DATE)
        v->integer = day;
    else if (from->id == EVS_TYPE_TIMESTAMP && to->id == EVS_TYPE_TIME)
        v->integer = ms - day * DAY_MS;
    else if (from->id == EVS_TYPE_DATE && to->id == EVS_TYPE_TIMESTAMP)
        v->integer *= DAY_MS;
    return EVS_OK;
}

/* ---- rows that fail ---- */

/* `CAST: "abc" is not an INT`, `CAST: 300 does not fit INT` */
static evs_status cast_failed(evs__eval *ev,
                              const evs__term *n,
                              const evs__column *in,
                              size_t in_row,
                              evs__column *out,
                              uint32_t row,
                              evs_status status)
{
    evs__buffer *text = &ev->expr->text;
    int type_len = evs__type_len(n->type);

    evs__buffer_reset(text);
    if (in->type->id != EVS_TYPE_BYTES && evs__column_print(in, (uint32_t)in_row, true, text))
        return text->status == EVS_ERR_NOMEM
                   ? EVS_ERR_NOMEM
                   : evs__fail_row(ev, n, out, row, status, "CAST failed");
    if (text->len > 80)
        text->len = evs__utf8_valid_prefix(text->data, 80);
    if (status == EVS_ERR_OVERFLOW)
        return evs__fail_row(ev, n, out, row, status, "%.*s does not fit %.*s", (int)text->len,
                             text->data, type_len, evs_type_print(n->type));
    if (in->type->id == EVS_TYPE_BYTES)
        return evs__fail_row(ev, n, out, row, EVS_ERR_EXPRESSION, "the bytes are not UTF-8");
    return evs__fail_row(ev, n, out, row, EVS_ERR_EXPRESSION, "%.*s is not a %.*s", (int)text->len,
                         text->data, type_len, evs_type_print(n->type));
}

static evs_status cast_fixed(evs__eval *ev,
                             evs__term *n,
                             const evs__column *in,
                             size_t stride,
                             evs__column *out,
                             const evs__rows *rows)
{
    cast_value v = {0};

    EVS__FOR_ROWS(rows, i)
    {
        evs_status status;
        if (evs__column_is_null(out, i))
            continue;
        get_value(in, i * stride, &v);
        status = convert(in->type, n->type, &v);
        if (!status)
            status = put_value(out, i, &v);
        if (status && (status = cast_failed(ev, n, in, i * stride, out, i, status)))
            return status;
    }
    evs__zero_nulls(out);
    return EVS_OK;
}

/* to VARCHAR and BYTES */
static evs_status cast_text(evs__eval *ev,
                            evs__term *n,
                            const evs__column *in,
                            size_t stride,
                            evs__column *out,
                            const evs__rows *rows)
{
    evs__buffer *text = &ev->expr->text;
    bool as_is = evs__type_is_string(in->type->id);
    bool check = in->type->id == EVS_TYPE_BYTES && n->type->id == EVS_TYPE_VARCHAR;
    evs_status status = EVS_OK;

    EVS__FOR_ROWS(rows, i)
    {
        evs_string_view s = {NULL, 0};
        if (evs__column_is_null(out, i))
            continue;
        if (as_is) {
            s = evs__column_str(in, i * stride);
        } else {
            evs__buffer_reset(text);
            status = evs__column_print(in, i * (uint32_t)stride, false, text);
            s = (evs_string_view){text->data, text->len};
        }
        if (status == EVS_ERR_LIMIT)
            status = evs__fail_row(ev, n, out, i, EVS_ERR_LIMIT, "the text is too long");
        else if (!status && check && !evs__utf8_valid(s.data, s.len))
            status = cast_failed(ev, n, in, i * stride, out, i, EVS_ERR_DECODE);
        else if (!status)
            status = evs__text_put(ev, n, out, i, s.data, s.len);
        if (status)
            return status;
    }
    return evs__text_skip(out, rows->total);
}

#define WIDEN(from, to, type, factor)                                                              \
    EVS__FOR_ROWS(rows, i)                                                                         \
    out->to[i] = (type)in->from[i * stride] * (factor)

/* widenings without a check; false: there is none of these types */
static bool widen(const evs__column *in, size_t stride, evs__column *out, const evs__rows *rows)
{
    evs_type_id from = in->type->id, to = out->type->id;

    if (from == EVS_TYPE_INT && to == EVS_TYPE_BIGINT) {
        WIDEN(i32, i64, int64_t, 1);
    } else if (from == EVS_TYPE_INT && to == EVS_TYPE_DOUBLE) {
        WIDEN(i32, f64, double, 1);
    } else if (from == EVS_TYPE_BIGINT && to == EVS_TYPE_DOUBLE) {
        WIDEN(i64, f64, double, 1);
    } else if (from == EVS_TYPE_BIGINT && to == EVS_TYPE_TIMESTAMP) {
        WIDEN(i64, i64, int64_t, 1);
    } else if (from == EVS_TYPE_TIMESTAMP && to == EVS_TYPE_BIGINT) {
        WIDEN(i64, i64, int64_t, 1);
    } else if (from == EVS_TYPE_DATE && to == EVS_TYPE_TIMESTAMP) {
        WIDEN(i32, i64, int64_t, DAY_MS);
    } else {
        return false;
    }
    return true;
}

evs_status evs__eval_cast(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *in = NULL, *out = NULL;
    size_t stride = EVS__STRIDE(n->args[0]);
    evs_status status = evs__eval_strict(ev, n, rows, &in, &out);

    if (status)
        return status;
    *ret = out;
    if (evs__type_is_string(n->type->id))
        return cast_text(ev, n, in, stride, out, rows);
    if (widen(in, stride, out, rows))
        return EVS_OK;
    return cast_fixed(ev, n, in, stride, out, rows);
}
