/*
 * expr/functions_math.c: functions of numbers.
 *
 * Rounding is half away from zero. A DOUBLE is rounded to digits by its shortest decimal text, so
 * round(1.005, 2) is 1.01, what a reader of the number expects, and not the neighbour that binary
 * arithmetic would give. Results that are no number (sqrt(-1)) are row errors, not NaN; NaN in
 * gives NaN out.
 */
#include <math.h>
#include <string.h>

#include "expr/functions.h"

evs_status evs__fn_same(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    return evs__term_eval(ev, n->args[0], rows, ret);
}

evs_status evs__fn_abs(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *in = NULL, *out = NULL;
    size_t stride = EVS__STRIDE(n->args[0]);
    evs_status status = evs__eval_strict(ev, n, rows, &in, &out);

    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    {
        size_t p = i * stride;
        bool over = false;
        switch (n->type->id) {
        case EVS_TYPE_INT:
            over = in->i32[p] == INT32_MIN;
            out->i32[i] = in->i32[p] < 0 && !over ? -in->i32[p] : in->i32[p];
            break;
        case EVS_TYPE_BIGINT:
            over = in->i64[p] == INT64_MIN;
            out->i64[i] = in->i64[p] < 0 && !over ? -in->i64[p] : in->i64[p];
            break;
        case EVS_TYPE_DECIMAL:
            out->i128[i] = in->i128[p] < 0 ? -in->i128[p] : in->i128[p];
            break;
        default:
            out->f64[i] = fabs(in->f64[p]);
            break;
        }
        if (over && (status = evs__fail_row(ev, n, out, i, EVS_ERR_OVERFLOW,
                                            "abs of the smallest %s does not fit it",
                                            evs__type_word(n->type->id))))
            return status;
    }
    *ret = out;
    return EVS_OK;
}

/* of a DOUBLE: the sign of NaN is 0 */
evs_status evs__fn_sign(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *in = NULL;
    size_t stride = EVS__STRIDE(n->args[0]);
    evs_status status = evs__eval_strict(ev, n, rows, &in, ret);

    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    {
        double d = in->f64[i * stride];
        (*ret)->i32[i] = (d > 0) - (d < 0);
    }
    return EVS_OK;
}

static double round_digits(double d, int64_t digits)
{
    char text[EVS__DOUBLE_TEXT_MAX];
    evs__int128 v = 0;
    double power;

    if (!isfinite(d) || digits > 22 || (digits >= 0 && fabs(d) >= 1e15))
        return d;
    if (digits < 0) {
        power = digits < -308 ? INFINITY : pow(10, (double)-digits);
        return isinf(power) ? copysign(0, d) : round(d / power) * power;
    }
    if (evs__parse_decimal_rounded(text, evs__format_double(d, text), 38, (int32_t)digits, &v))
        return d;
    return v ? evs__decimal_to_double(v, (int32_t)digits) : copysign(0, d);
}

/* round(DOUBLE [, INT]) */
evs_status evs__fn_round(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *cols[2] = {NULL, NULL};
    size_t stride = EVS__STRIDE(n->args[0]);
    evs_status status = evs__eval_strict(ev, n, rows, cols, ret);

    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    {
        double d = cols[0]->f64[i * stride];
        if (n->arg_count == 1)
            (*ret)->f64[i] = round(d);
        else
            (*ret)->f64[i] = round_digits(d, cols[1]->i32[i * EVS__STRIDE(n->args[1])]);
    }
    evs__zero_nulls(*ret);
    return EVS_OK;
}

/* v / 10^scale as a whole number, by the function's first letter */
static evs__int128 to_whole(char which, evs__int128 v, int32_t scale)
{
    evs__int128 power = evs__pow10_128(scale), whole = v / power, rest = v % power;

    if (which == 'c')
        return whole + (rest > 0);
    if (which == 'f')
        return whole - (rest < 0);
    (void)evs__decimal_rescale(v, scale, 0, &whole);
    return whole;
}

static bool round_decimal(evs__int128 v, int32_t scale, int64_t digits, evs__int128 *ret)
{
    *ret = v;
    if (digits >= scale)
        return true;
    if (digits < -38) {
        *ret = 0;
        return true;
    }
    return scale - digits <= 38 ? evs__decimal_rescale(v, scale, (int32_t)digits, ret) &&
                                      evs__decimal_rescale(*ret, (int32_t)digits, scale, ret)
                                : (*ret = 0, true);
}

/* round, ceil, floor of DECIMAL to DECIMAL(p, 0); round(DECIMAL, INT) keeps the scale */
evs_status
evs__fn_round_decimal(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *cols[2] = {NULL, NULL}, *out = NULL;
    size_t stride = EVS__STRIDE(n->args[0]);
    int32_t scale = n->args[0]->type->scale;
    evs_status status = evs__eval_strict(ev, n, rows, cols, &out);

    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    {
        evs__int128 v = cols[0]->i128[i * stride];
        bool fits = true;
        if (n->arg_count == 1)
            out->i128[i] = to_whole(n->function->name[0], v, scale);
        else
            fits =
                round_decimal(v, scale, cols[1]->i32[i * EVS__STRIDE(n->args[1])], &out->i128[i]);
        if ((!fits || !evs__decimal_fits(out->i128[i], n->type->precision)) &&
            (status = evs__fail_row(ev, n, out, i, EVS_ERR_OVERFLOW, "round: does not fit %.*s",
                                    evs__type_len(n->type), evs_type_print(n->type))))
            return status;
    }
    evs__zero_nulls(out);
    *ret = out;
    return EVS_OK;
}

/* ceil, floor, sqrt, exp, ln of DOUBLE */
evs_status evs__fn_real(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    static const struct {
        const char *name;
        double (*fn)(double);
    } table[] = {{"ceil", ceil}, {"floor", floor}, {"sqrt", sqrt}, {"exp", exp}, {"ln", log}};
    evs__column *in = NULL, *out = NULL;
    size_t stride = EVS__STRIDE(n->args[0]), k = 0;
    evs_status status = evs__eval_strict(ev, n, rows, &in, &out);

    if (status)
        return status;
    while (strcmp(table[k].name, n->function->name) != 0)
        k++;
    EVS__FOR_ROWS(rows, i)
    {
        double d = in->f64[i * stride];
        bool null = evs__column_is_null(out, i);
        out->f64[i] = null ? 0 : table[k].fn(d);
        /* ln(0) is -infinity: no number to go on with */
        if (!null && !isnan(d) &&
            (isnan(out->f64[i]) || (table[k].fn == log && isinf(out->f64[i]) && !isinf(d)))) {
            char text[EVS__DOUBLE_TEXT_MAX];
            int len = (int)evs__format_double(d, text);
            status = evs__fail_row(ev, n, out, i, EVS_ERR_EXPRESSION, "%s(%.*s) is not a number",
                                   n->function->name, len, text);
        }
        if (status)
            return status;
    }
    *ret = out;
    return EVS_OK;
}

evs_status evs__fn_power(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *cols[2] = {NULL, NULL}, *out = NULL;
    evs_status status = evs__eval_strict(ev, n, rows, cols, &out);

    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    {
        double x = cols[0]->f64[i * EVS__STRIDE(n->args[0])];
        double y = cols[1]->f64[i * EVS__STRIDE(n->args[1])];
        out->f64[i] = pow(x, y);
        if (isnan(out->f64[i]) && !isnan(x) && !isnan(y) &&
            (status = evs__fail_row(ev, n, out, i, EVS_ERR_EXPRESSION,
                                    "power of a negative number with a broken exponent")))
            return status;
    }
    evs__zero_nulls(out);
    *ret = out;
    return EVS_OK;
}
