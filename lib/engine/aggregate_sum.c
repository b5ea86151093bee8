/*
 * engine/aggregate_sum.c: sum(x) and avg(x).
 *
 *   sum(INT, BIGINT)     BIGINT, exact; a row that would overflow is refused
 *   sum(DOUBLE)          DOUBLE, Neumaier's compensated sum: the error of each addition is kept
 *   sum(DECIMAL(p,s))    DECIMAL(38,s), exact; a row that would need a 39th digit is refused
 *   avg(INT, BIGINT)     DOUBLE, of an exact 128-bit sum
 *   avg(DOUBLE)          DOUBLE
 *   avg(DECIMAL(p,s))    DECIMAL(38,t), t = max(s, 6), or less where p - s digits before the point
 *                        leave no room; rounded half away from zero
 *
 * NULL is not counted; of NULLs only, the result is NULL. NULL rows have the value 0, so sums need
 * no branch for them, only the count does.
 *
 * A. Neumaier, Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen, ZAMM 54
 * (1974).
 */
#include <math.h>

#include "engine/aggregate.h"

static inline bool valid(const evs__column *c, uint32_t row)
{
    return !evs__column_is_null(c, row);
}

/* ---- sum of integers ---- */

typedef struct int_sum {
    int64_t sum;
    int64_t n;
} int_sum;

static inline uint32_t
int_sum_loop(const evs__agg_groups *g, const evs__agg_rows *r, evs_type_id id, bool has_null)
{
    for (uint32_t i = 0; i < g->n; i++) {
        int_sum *s = evs__agg_state(g, i);
        int64_t sum;
        if (__builtin_add_overflow(s->sum, evs__agg_int(r->arg, id, r->rows[i]), &sum))
            return i;
        s->sum = sum;
        s->n += has_null ? valid(r->arg, r->rows[i]) : 1;
    }
    return g->n;
}

static uint32_t
int_sum_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    (void)a;
    if (r->arg->type->id == EVS_TYPE_INT)
        return int_sum_loop(g, r, EVS_TYPE_INT, r->arg->validity != NULL);
    return int_sum_loop(g, r, EVS_TYPE_BIGINT, r->arg->validity != NULL);
}

static void
int_sum_undo(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r, uint32_t n)
{
    (void)a;
    for (uint32_t i = 0; i < n; i++) {
        int_sum *s = evs__agg_state(g, i);
        s->sum = (int64_t)((uint64_t)s->sum -
                           (uint64_t)evs__agg_int(r->arg, r->arg->type->id, r->rows[i]));
        s->n -= valid(r->arg, r->rows[i]);
    }
}

static evs_status
int_sum_merge(const evs__aggregate *a, const evs__agg_groups *to, const evs__agg_groups *from)
{
    (void)a;
    for (uint32_t i = 0; i < to->n; i++) {
        int_sum *x = evs__agg_state(to, i);
        const int_sum *y = evs__agg_state(from, i);
        int64_t sum;
        if (__builtin_add_overflow(x->sum, y->sum, &sum))
            return EVS_ERR_OVERFLOW;
        x->sum = sum;
        x->n += y->n;
    }
    return EVS_OK;
}

static evs_status
int_sum_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    evs_status status = EVS_OK;
    (void)a;
    for (uint32_t i = 0; i < g->n && !status; i++) {
        const int_sum *s = evs__agg_state(g, i);
        if (s->n)
            evs__column_append_i64(out, s->sum);
        else
            status = evs__column_append_null(out);
    }
    return status;
}

const evs__aggregate_functions evs__agg_sum_int = {
    .name = "sum",
    .group = "number",
    .usage = "sum(x)",
    .gives = "BIGINT",
    .doc = "Sum, exact for integers and decimals: a row with which it would not fit is refused; "
           "compensated (Neumaier) for DOUBLE",
    .arg_types = EVS__AGG_INTS,
    .size = sizeof(int_sum),
    .align = _Alignof(int_sum),
    .type = evs__agg_type_bigint,
    .add = int_sum_add,
    .undo = int_sum_undo,
    .merge = int_sum_merge,
    .result = int_sum_result,
};

/* ---- average of integers ---- */

typedef struct wide_sum {
    evs__int128 sum;
    int64_t n;
} wide_sum;

static uint32_t
int_avg_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    evs_type_id id = r->arg->type->id;
    (void)a;
    for (uint32_t i = 0; i < g->n; i++) {
        wide_sum *s = evs__agg_state(g, i);
        s->sum += evs__agg_int(r->arg, id, r->rows[i]);
        s->n += valid(r->arg, r->rows[i]);
    }
    return g->n;
}

static evs_status
wide_merge(const evs__aggregate *a, const evs__agg_groups *to, const evs__agg_groups *from)
{
    (void)a;
    for (uint32_t i = 0; i < to->n; i++) {
        wide_sum *x = evs__agg_state(to, i);
        const wide_sum *y = evs__agg_state(from, i);
        evs__int128 sum;
        if (__builtin_add_overflow(x->sum, y->sum, &sum))
            return EVS_ERR_OVERFLOW;
        x->sum = sum;
        x->n += y->n;
    }
    return EVS_OK;
}

static evs_status
int_avg_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    evs_status status = EVS_OK;
    (void)a;
    for (uint32_t i = 0; i < g->n && !status; i++) {
        const wide_sum *s = evs__agg_state(g, i);
        if (s->n > 0)
            evs__column_append_f64(out, (double)s->sum / (double)s->n);
        else
            status = evs__column_append_null(out);
    }
    return status;
}

const evs__aggregate_functions evs__agg_avg_int = {
    .name = "avg",
    .group = "number",
    .usage = "avg(x)",
    .gives = "DOUBLE",
    .doc = "Mean; of DECIMAL(p,s) rounded half away from zero to t = max(s, 6) digits, fewer where "
           "p - s leaves no room",
    .arg_types = EVS__AGG_INTS,
    .size = sizeof(wide_sum),
    .align = _Alignof(wide_sum),
    .type = evs__agg_type_double,
    .add = int_avg_add,
    .merge = wide_merge,
    .result = int_avg_result,
};

/* ---- doubles ---- */

typedef struct double_sum {
    double sum;
    double rest; /* what the additions lost */
    int64_t n;
} double_sum;

/* Knuth's two-sum: the same error term as Neumaier's, without a branch on which is larger */
static inline void neumaier(double_sum *s, double v)
{
    double t = s->sum + v, part = t - s->sum;
    s->rest += (s->sum - (t - part)) + (v - part);
    s->sum = t;
}

/* infinities and NaN have no rest */
static double double_total(const double_sum *s)
{
    return isfinite(s->sum) ? s->sum + s->rest : s->sum;
}

static inline uint32_t double_loop(const evs__agg_groups *g, const evs__agg_rows *r, bool has_null)
{
    const double *values = r->arg->f64;
    for (uint32_t i = 0; i < g->n; i++) {
        double_sum *s = evs__agg_state(g, i);
        neumaier(s, values[r->rows[i]]);
        s->n += has_null ? valid(r->arg, r->rows[i]) : 1;
    }
    return g->n;
}

static uint32_t
double_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    (void)a;
    return r->arg->validity ? double_loop(g, r, true) : double_loop(g, r, false);
}

static evs_status
double_merge(const evs__aggregate *a, const evs__agg_groups *to, const evs__agg_groups *from)
{
    (void)a;
    for (uint32_t i = 0; i < to->n; i++) {
        double_sum *x = evs__agg_state(to, i);
        const double_sum *y = evs__agg_state(from, i);
        neumaier(x, y->sum);
        x->rest += y->rest;
        x->n += y->n;
    }
    return EVS_OK;
}

static evs_status double_result(const evs__agg_groups *g, bool average, evs__column *out)
{
    evs_status status = EVS_OK;
    for (uint32_t i = 0; i < g->n && !status; i++) {
        const double_sum *s = evs__agg_state(g, i);
        if (s->n > 0)
            evs__column_append_f64(out, double_total(s) / (average ? (double)s->n : 1.0));
        else
            status = evs__column_append_null(out);
    }
    return status;
}

static evs_status
double_sum_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    (void)a;
    return double_result(g, false, out);
}

static evs_status
double_avg_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    (void)a;
    return double_result(g, true, out);
}

#define DOUBLE_COMMON                                                                              \
    .arg_types = EVS__AGG_TYPE(EVS_TYPE_DOUBLE), .size = sizeof(double_sum),                       \
    .align = _Alignof(double_sum), .add = double_add, .merge = double_merge

const evs__aggregate_functions evs__agg_sum_double = {
    .name = "sum",
    .group = "number",
    .usage = "sum(x)",
    .gives = "DOUBLE",
    .result = double_sum_result,
    DOUBLE_COMMON,
};

const evs__aggregate_functions evs__agg_avg_double = {
    .name = "avg",
    .group = "number",
    .usage = "avg(x)",
    .gives = "DOUBLE",
    .result = double_avg_result,
    DOUBLE_COMMON,
};

/* ---- decimals ---- */

#define DECIMAL_DIGITS 38
#define DECIMAL_LIMIT ((evs__int128)UINT64_C(10000000000000000000) * UINT64_C(10000000000000000000))

static inline bool decimal_fits(evs__int128 v)
{
    return v < DECIMAL_LIMIT && v > -DECIMAL_LIMIT;
}

static uint32_t
decimal_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    (void)a;
    for (uint32_t i = 0; i < g->n; i++) {
        wide_sum *s = evs__agg_state(g, i);
        evs__int128 sum;
        if (__builtin_add_overflow(s->sum, r->arg->i128[r->rows[i]], &sum) || !decimal_fits(sum))
            return i;
        s->sum = sum;
        s->n += valid(r->arg, r->rows[i]);
    }
    return g->n;
}

static void
decimal_undo(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r, uint32_t n)
{
    (void)a;
    for (uint32_t i = 0; i < n; i++) {
        wide_sum *s = evs__agg_state(g, i);
        s->sum -= r->arg->i128[r->rows[i]];
        s->n -= valid(r->arg, r->rows[i]);
    }
}

static evs_status
decimal_merge(const evs__aggregate *a, const evs__agg_groups *to, const evs__agg_groups *from)
{
    (void)a;
    for (uint32_t i = 0; i < to->n; i++) {
        wide_sum *x = evs__agg_state(to, i);
        const wide_sum *y = evs__agg_state(from, i);
        evs__int128 sum;
        if (__builtin_add_overflow(x->sum, y->sum, &sum) || !decimal_fits(sum))
            return EVS_ERR_OVERFLOW;
        x->sum = sum;
        x->n += y->n;
    }
    return EVS_OK;
}

/* q * 10^up has at most 38 digits by the choice of `up`; the remainder is below n, which is a count
 */
static evs__int128 decimal_average(const wide_sum *s, int32_t up)
{
    evs__int128 ten = evs__pow10_128(up);
    evs__int128 q = s->sum / s->n, r = (s->sum % s->n) * ten;
    evs__int128 digit = r / s->n, left = r % s->n;

    if (2 * (left < 0 ? -left : left) >= s->n)
        digit += s->sum < 0 ? -1 : 1;
    return q * ten + digit;
}

static evs_status
decimal_result(const evs__aggregate *a, const evs__agg_groups *g, bool average, evs__column *out)
{
    evs_status status = EVS_OK;
    for (uint32_t i = 0; i < g->n && !status; i++) {
        const wide_sum *s = evs__agg_state(g, i);
        if (s->n > 0)
            evs__column_append_i128(out, average ? decimal_average(s, a->scale_up) : s->sum);
        else
            status = evs__column_append_null(out);
    }
    return status;
}

static evs_status
decimal_sum_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    return decimal_result(a, g, false, out);
}

static evs_status
decimal_avg_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    return decimal_result(a, g, true, out);
}

static evs_status type_decimal_sum(evs_context *ctx, const evs__aggregate *a, const evs_type **ret)
{
    return evs__type_decimal(ctx, DECIMAL_DIGITS, a->arg_type->scale, false, ret);
}

static evs_status type_decimal_avg(evs_context *ctx, const evs__aggregate *a, const evs_type **ret)
{
    int32_t scale = a->arg_type->scale > 6 ? a->arg_type->scale : 6;
    int32_t room = DECIMAL_DIGITS - (a->arg_type->precision - a->arg_type->scale);
    return evs__type_decimal(ctx, DECIMAL_DIGITS, scale < room ? scale : room, false, ret);
}

/* sums of a damaged snapshot must not be printed or divided */
static evs_status decimal_read(const evs__aggregate *a, const evs__agg_groups *g, evs__reader *in)
{
    evs__int128 limit = evs__pow10_128(DECIMAL_DIGITS - a->scale_up);
    for (uint32_t i = 0; i < g->n; i++) {
        wide_sum *s = evs__agg_state(g, i);
        evs__int128 mean;
        if (!evs__read(in, s, sizeof(*s)) || s->n < 0 || !decimal_fits(s->sum) || (!s->n && s->sum))
            return EVS_ERR_CORRUPT;
        mean = s->n ? s->sum / s->n : 0;
        if (a->scale_up && (mean >= limit || mean <= -limit))
            return EVS_ERR_CORRUPT;
    }
    return EVS_OK;
}

#define DECIMAL_COMMON                                                                             \
    .arg_types = EVS__AGG_TYPE(EVS_TYPE_DECIMAL), .size = sizeof(wide_sum),                        \
    .align = _Alignof(wide_sum), .add = decimal_add, .undo = decimal_undo, .merge = decimal_merge, \
    .read = decimal_read

const evs__aggregate_functions evs__agg_sum_decimal = {
    .name = "sum",
    .group = "number",
    .usage = "sum(x)",
    .gives = "DECIMAL(38,s)",
    .type = type_decimal_sum,
    .result = decimal_sum_result,
    DECIMAL_COMMON,
};

const evs__aggregate_functions evs__agg_avg_decimal = {
    .name = "avg",
    .group = "number",
    .usage = "avg(x)",
    .gives = "DECIMAL(38,t)",
    .type = type_decimal_avg,
    .result = decimal_avg_result,
    DECIMAL_COMMON,
};
