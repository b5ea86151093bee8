/*
 * engine/aggregate_moments.c: variance, standard deviation, covariance, correlation.
 *
 * Welford's updates keep the mean and the sums of squared (or multiplied) distances to it, which
 * stay exact where a sum of squares cancels; parts are put together by Chan's formula. One state
 * for all of them of one column, one for those of two. Values are taken as DOUBLE.
 *
 * The result of fewer values than needed (1 for the population, 2 for a sample) is NULL; so is the
 * correlation of a column that does not vary. A constant shift of all values changes nothing but
 * rounding: relative error about 1e-15 times the condition of the data.
 *
 * B. Welford, Note on a method for calculating corrected sums of squares and products,
 * Technometrics 4 (1962). T. Chan, G. Golub, R. LeVeque, Updating formulae and a pairwise algorithm
 * for computing sample variances (1979).
 */
#include <math.h>

#include "engine/aggregate.h"

/* ---- one column ---- */

typedef struct moments {
    int64_t n;
    double mean;
    double m2; /* sum of (x - mean)^2 */
} moments;

static uint32_t
moments_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    (void)a;
    for (uint32_t i = 0; i < g->n; i++) {
        moments *s = evs__agg_state(g, i);
        double x, d;
        if (evs__column_is_null(r->arg, r->rows[i]))
            continue;
        x = evs__agg_double(r->arg, r->rows[i]);
        d = x - s->mean;
        s->n++;
        s->mean += d / (double)s->n;
        s->m2 += d * (x - s->mean);
    }
    return g->n;
}

static evs_status
moments_merge(const evs__aggregate *a, const evs__agg_groups *to, const evs__agg_groups *from)
{
    (void)a;
    for (uint32_t i = 0; i < to->n; i++) {
        moments *x = evs__agg_state(to, i);
        const moments *y = evs__agg_state(from, i);
        double n = (double)x->n + (double)y->n, d = y->mean - x->mean;
        if (!y->n)
            continue;
        x->m2 += y->m2 + d * d * ((double)x->n / n * (double)y->n);
        x->mean += d * ((double)y->n / n);
        x->n += y->n;
    }
    return EVS_OK;
}

/* divided by n - less */
static inline evs_status
moments_out(const evs__agg_groups *g, int less, bool root, evs__column *out)
{
    evs_status status = EVS_OK;
    for (uint32_t i = 0; i < g->n && !status; i++) {
        const moments *s = evs__agg_state(g, i);
        double v = s->m2 / (double)(s->n - less);
        if (s->n > less)
            evs__column_append_f64(out, root ? sqrt(v) : v);
        else
            status = evs__column_append_null(out);
    }
    return status;
}

static evs_status var_samp(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    (void)a;
    return moments_out(g, 1, false, out);
}

static evs_status var_pop(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    (void)a;
    return moments_out(g, 0, false, out);
}

static evs_status stddev_samp(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    (void)a;
    return moments_out(g, 1, true, out);
}

static evs_status stddev_pop(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    (void)a;
    return moments_out(g, 0, true, out);
}

/* counts of a damaged snapshot must not overflow */
static bool count_is_good(int64_t n)
{
    return n >= 0 && n < INT64_C(1) << 61;
}

static evs_status moments_read(const evs__aggregate *a, const evs__agg_groups *g, evs__reader *in)
{
    (void)a;
    for (uint32_t i = 0; i < g->n; i++) {
        moments *s = evs__agg_state(g, i);
        if (!evs__read(in, s, sizeof(*s)) || !count_is_good(s->n))
            return EVS_ERR_CORRUPT;
    }
    return EVS_OK;
}

#define MOMENTS(variable, text, function, sentence)                                                \
    const evs__aggregate_functions evs__agg_##variable = {                                         \
        .name = text,                                                                              \
        .arg_types = EVS__AGG_NUMBERS,                                                             \
        .size = sizeof(moments),                                                                   \
        .align = _Alignof(moments),                                                                \
        .may_be_null = true,                                                                       \
        .group = "statistics",                                                                     \
        .usage = text "(x)",                                                                       \
        .gives = "DOUBLE",                                                                         \
        .doc = sentence,                                                                           \
        .type = evs__agg_type_double,                                                              \
        .add = moments_add,                                                                        \
        .merge = moments_merge,                                                                    \
        .result = function,                                                                        \
        .read = moments_read,                                                                      \
    }

MOMENTS(var_samp, "var_samp", var_samp, "Variance of a sample; NULL of fewer than two values");
MOMENTS(variance, "variance", var_samp, "The same as var_samp");
MOMENTS(var_pop, "var_pop", var_pop, "Variance of the whole population");
MOMENTS(stddev_samp,
        "stddev_samp",
        stddev_samp,
        "Standard deviation of a sample; NULL of fewer than two values");
MOMENTS(stddev, "stddev", stddev_samp, "The same as stddev_samp");
MOMENTS(stddev_pop, "stddev_pop", stddev_pop, "Standard deviation of the whole population");

/* ---- two columns ---- */

typedef struct joint {
    int64_t n;
    double mean_x, mean_y;
    double m2_x, m2_y;
    double c; /* sum of (x - mean_x) * (y - mean_y) */
} joint;

static uint32_t joint_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    (void)a;
    for (uint32_t i = 0; i < g->n; i++) {
        joint *s = evs__agg_state(g, i);
        uint32_t row = r->rows[i];
        double x, y, dx, dy, n;
        if (evs__column_is_null(r->args[0], row) || evs__column_is_null(r->args[1], row))
            continue;
        x = evs__agg_double(r->args[0], row);
        y = evs__agg_double(r->args[1], row);
        dx = x - s->mean_x;
        dy = y - s->mean_y;
        n = (double)++s->n;
        s->mean_x += dx / n;
        s->mean_y += dy / n;
        s->m2_x += dx * (x - s->mean_x);
        s->m2_y += dy * (y - s->mean_y);
        s->c += dx * (y - s->mean_y);
    }
    return g->n;
}

static evs_status
joint_merge(const evs__aggregate *a, const evs__agg_groups *to, const evs__agg_groups *from)
{
    (void)a;
    for (uint32_t i = 0; i < to->n; i++) {
        joint *x = evs__agg_state(to, i);
        const joint *y = evs__agg_state(from, i);
        double n = (double)x->n + (double)y->n;
        double dx = y->mean_x - x->mean_x, dy = y->mean_y - x->mean_y, weight;
        if (!y->n)
            continue;
        weight = (double)x->n / n * (double)y->n;
        x->m2_x += y->m2_x + dx * dx * weight;
        x->m2_y += y->m2_y + dy * dy * weight;
        x->c += y->c + dx * dy * weight;
        x->mean_x += dx * ((double)y->n / n);
        x->mean_y += dy * ((double)y->n / n);
        x->n += y->n;
    }
    return EVS_OK;
}

static evs_status covar_out(const evs__agg_groups *g, int less, evs__column *out)
{
    evs_status status = EVS_OK;
    for (uint32_t i = 0; i < g->n && !status; i++) {
        const joint *s = evs__agg_state(g, i);
        if (s->n > less)
            evs__column_append_f64(out, s->c / (double)(s->n - less));
        else
            status = evs__column_append_null(out);
    }
    return status;
}

static evs_status covar_samp(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    (void)a;
    return covar_out(g, 1, out);
}

static evs_status covar_pop(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    (void)a;
    return covar_out(g, 0, out);
}

/* rounding must not take it out of [-1, 1] */
static evs_status corr(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    evs_status status = EVS_OK;
    (void)a;
    for (uint32_t i = 0; i < g->n && !status; i++) {
        const joint *s = evs__agg_state(g, i);
        double v = s->c / (sqrt(s->m2_x) * sqrt(s->m2_y));
        if (s->n < 1 || s->m2_x == 0 || s->m2_y == 0)
            status = evs__column_append_null(out);
        else
            evs__column_append_f64(out, v > 1 ? 1 : v < -1 ? -1 : v);
    }
    return status;
}

static evs_status joint_read(const evs__aggregate *a, const evs__agg_groups *g, evs__reader *in)
{
    (void)a;
    for (uint32_t i = 0; i < g->n; i++) {
        joint *s = evs__agg_state(g, i);
        if (!evs__read(in, s, sizeof(*s)) || !count_is_good(s->n))
            return EVS_ERR_CORRUPT;
    }
    return EVS_OK;
}

#define JOINT(function, sentence)                                                                  \
    const evs__aggregate_functions evs__agg_##function = {                                         \
        .name = #function,                                                                         \
        .arg_types = EVS__AGG_NUMBERS,                                                             \
        .arg2_types = EVS__AGG_NUMBERS,                                                            \
        .size = sizeof(joint),                                                                     \
        .align = _Alignof(joint),                                                                  \
        .may_be_null = true,                                                                       \
        .group = "statistics",                                                                     \
        .usage = #function "(x, y)",                                                               \
        .gives = "DOUBLE",                                                                         \
        .doc = sentence,                                                                           \
        .type = evs__agg_type_double,                                                              \
        .add = joint_add,                                                                          \
        .merge = joint_merge,                                                                      \
        .result = function,                                                                        \
        .read = joint_read,                                                                        \
    }

JOINT(covar_samp, "Covariance of a sample; NULL of fewer than two rows");
JOINT(covar_pop, "Covariance of the whole population");
JOINT(corr, "Pearson's correlation, -1 to 1; NULL where a column does not vary");

/* ---- decayed rate ---- */

/*
 * Each row counts x at its event time and half of it every half-life later; the sum is kept as of
 * the latest event time and multiplied by ln 2 / half-life: x a second. A row that comes late is
 * worth what it would be had it come in order.
 */
typedef struct decayed {
    int64_t time;
    int64_t n;
    double sum;
} decayed;

static void decay_put(decayed *s, int64_t time, double sum, int64_t n, double half_life)
{
    if (!s->n || time > s->time) {
        if (s->n)
            s->sum *= exp2(-((double)time - (double)s->time) / half_life);
        s->time = time;
        s->sum += sum;
    } else {
        s->sum += sum * exp2(-((double)s->time - (double)time) / half_life);
    }
    s->n += n;
}

static uint32_t rate_add(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    double half_life = a->params[0].number;
    for (uint32_t i = 0; i < g->n; i++) {
        uint32_t row = r->rows[i];
        if (!evs__column_is_null(r->arg, row))
            decay_put(evs__agg_state(g, i), evs__agg_time(r, row), evs__agg_double(r->arg, row), 1,
                      half_life);
    }
    return g->n;
}

static evs_status
rate_merge(const evs__aggregate *a, const evs__agg_groups *to, const evs__agg_groups *from)
{
    for (uint32_t i = 0; i < to->n; i++) {
        const decayed *y = evs__agg_state(from, i);
        if (y->n)
            decay_put(evs__agg_state(to, i), y->time, y->sum, y->n, a->params[0].number);
    }
    return EVS_OK;
}

static evs_status rate_result(const evs__aggregate *a, const evs__agg_groups *g, evs__column *out)
{
    const double ln2_per_second = 693.147180559945309;
    for (uint32_t i = 0; i < g->n; i++) {
        const decayed *s = evs__agg_state(g, i);
        evs__column_append_f64(out, s->sum * (ln2_per_second / a->params[0].number));
    }
    return EVS_OK;
}

static evs_status rate_read(const evs__aggregate *a, const evs__agg_groups *g, evs__reader *in)
{
    (void)a;
    for (uint32_t i = 0; i < g->n; i++) {
        decayed *s = evs__agg_state(g, i);
        if (!evs__read(in, s, sizeof(*s)) || !count_is_good(s->n))
            return EVS_ERR_CORRUPT;
    }
    return EVS_OK;
}

static const evs__agg_param_info rate_params[] = {
    {.name = "half_life_ms", .kind = 'i', .min = 1, .max = 9e15}, {.name = NULL}};

const evs__aggregate_functions evs__agg_decayed_rate = {
    .name = "decayed_rate",
    .arg_types = EVS__AGG_NUMBERS,
    .params = rate_params,
    .size = sizeof(decayed),
    .align = _Alignof(decayed),
    .keeps_null_arg = true,
    .distinct = EVS__DISTINCT_NEVER,
    .group = "statistics",
    .usage = "decayed_rate(x, half_life_ms)",
    .gives = "DOUBLE NOT NULL",
    .doc = "x a second, what is past weighing half as much every half-life, as of the group's "
           "latest event time; decayed_rate(1, 60000) is events a second",
    .type = evs__agg_type_double,
    .add = rate_add,
    .merge = rate_merge,
    .result = rate_result,
    .read = rate_read,
};
