/*
 * Sketches: the error that is promised, on data of several shapes and orders; merging, restarts and
 * damage by aggregate_kit.h.
 */
#include "aggregate_kit.h"

static agg_row rows[AGG_ROWS];

/* ---- a window with one aggregate over doubles, no keys ---- */

typedef struct stream {
    kit k;
    evs_appender *in;
} stream;

static void open_stream(stream *s, const char *columns, const char *aggregates)
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    kit_open(&s->k, columns, NULL, aggregates, &o);
    s->in = evs_window_appender(s->k.window);
}

static void add_double(stream *s, double v)
{
    evs_append_time(s->in, 1);
    evs_append_double(s->in, v);
    assert_int_equal(evs_append_end_row(s->in, NULL), EVS_OK);
}

static void add_int(stream *s, int64_t v)
{
    evs_append_time(s->in, 1);
    evs_append_int(s->in, v);
    assert_int_equal(evs_append_end_row(s->in, NULL), EVS_OK);
}

/* what stands behind the bounds */
static const char *close_stream(stream *s)
{
    static char text[KIT_TEXT];
    kit_advance(&s->k, INT64_MAX);
    snprintf(text, sizeof(text), "%s", kit_results(&s->k));
    kit_close(&s->k);
    assert_memory_equal(text, "+0 1000 ", 8);
    return text + 8;
}

/* ---- HyperLogLog ---- */

static double count_error(uint64_t different, int shape)
{
    stream s;
    double got;
    open_stream(&s, "l BIGINT", "approx_count_distinct(l)");
    for (uint64_t i = 0; i < different; i++) {
        int64_t v = shape == 0   ? (int64_t)i
                    : shape == 1 ? (int64_t)agg_random()
                                 : (int64_t)(i << 40 | 7);
        add_int(&s, v);
        if (i % 3 == 0)
            add_int(&s, v);
    }
    got = strtod(close_stream(&s), NULL);
    return (got - (double)different) / (double)(different ? different : 1);
}

static void test_approx_count_distinct_error_is_what_is_stated(void **state)
{
    static const uint64_t sizes[] = {1, 2, 10, 100, 700, 1000, 5000, 20000, 100000, 300000};
    double squares = 0;
    int runs = 0;
    (void)state;
    for (int shape = 0; shape < 3; shape++) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            double e = count_error(sizes[i], shape);
            if (fabs(e) > 4 * 0.0081)
                fail_msg("%llu values, shape %d: error %.4f", (unsigned long long)sizes[i], shape,
                         e);
            if (sizes[i] <= 10)
                assert_true(e == 0);
            squares += e * e;
            runs++;
        }
    }
    assert_true(sqrt(squares / runs) < 0.0081);
}

static void test_approx_count_distinct_merges_and_restarts(void **state)
{
    (void)state;
    for (int run = 0; run < 3; run++) {
        agg_make(rows, AGG_ROWS, run ? 100000 : 5, 1000);
        agg_check("approx_count_distinct(l), approx_count_distinct(s), "
                  "approx_count_distinct(DISTINCT m)",
                  rows, AGG_ROWS, NULL, 0);
        agg_check("hll(s)", rows, AGG_ROWS, NULL, 0);
        agg_check("hll(l)", rows, AGG_ROWS, NULL, 0);
    }
}

/* ---- small and large forms ---- */

typedef struct parts {
    kit k;
    evs__window_op *op[2];
} parts;

static evs__window_op *restored(parts *p, const char *aggregates, evs__window_op *from)
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    evs__operator *op = NULL;
    evs__buffer bytes;

    evs__buffer_init(&bytes, p->k.ctx, SIZE_MAX);
    assert_int_equal(from->base.fn->snapshot(&from->base, &bytes, NULL), EVS_OK);
    assert_int_equal(evs__window_op_new(p->k.ctx, evs_schema_type(p->k.schema), NULL, aggregates,
                                        &o, 1, EVS_TIME_WATERMARK, &op, NULL),
                     EVS_OK);
    assert_int_equal(op->fn->restore(op, bytes.data, bytes.len, NULL), EVS_OK);
    evs__buffer_free(&bytes);
    evs__operator_free(&from->base);
    return evs__window_of(op);
}

/* part `small` has 500 values, the other 4,000 different ones; both went through a snapshot */
static void open_parts(parts *p, const char *aggregates, int small)
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);

    kit_open(&p->k, "l BIGINT", NULL, "count(*)", &o);
    for (int i = 0; i < 2; i++) {
        const evs_type *type = evs_schema_type(p->k.schema);
        evs__operator *op = NULL;
        evs_appender *a = NULL;
        evs_batch *batch = NULL;
        assert_int_equal(evs__window_op_new(p->k.ctx, type, NULL, aggregates, &o, 1,
                                            EVS_TIME_WATERMARK, &op, NULL),
                         EVS_OK);
        assert_int_equal(evs_appender_new(p->k.ctx, type, &a, NULL), EVS_OK);
        for (int v = 0; v < (i == small ? 500 : 4000); v++) {
            evs_append_time(a, 1);
            evs_append_int(a, i == small ? 100000 + v : v - 300);
            assert_int_equal(evs_append_end_row(a, NULL), EVS_OK);
        }
        assert_int_equal(evs_appender_take(a, &batch, NULL), EVS_OK);
        assert_int_equal(op->fn->process(op, batch, 0, NULL, NULL), EVS_OK);
        evs_batch_unref(batch);
        evs_appender_unref(a);
        p->op[i] = restored(p, aggregates, evs__window_of(op));
    }
}

static void merge_parts(parts *p, char *text, size_t size)
{
    static const uint32_t group[] = {0};
    evs__window_op *to = p->op[0], *from = p->op[1];
    evs_batch *batch = NULL;

    for (uint32_t i = 0; i < to->aggregates.count; i++) {
        const evs__aggregate *a = &to->aggregates.items[i];
        evs__agg_groups x =
            evs__agg_view(to->state, evs__state_first(to->state), &to->aggregates, i);
        evs__agg_groups y =
            evs__agg_view(from->state, evs__state_first(from->state), &from->aggregates, i);
        x.index = y.index = group;
        x.n = y.n = x.most = y.most = 1;
        assert_int_equal(a->fn->merge(a, &x, &y), EVS_OK);
    }
    to->base.fn->advance(&to->base, 0, INT64_MAX, false, 0, NULL, NULL);
    assert_int_equal(evs__window_result(to, false, &batch), EVS_OK);
    text[0] = '\0';
    kit_print(text, size, batch);
    evs_batch_unref(batch);
    for (int i = 0; i < 2; i++)
        evs__operator_free(&p->op[i]->base);
    kit_close(&p->k);
}

static void test_small_and_large_forms_merge_to_the_same(void **state)
{
    static const char aggregates[] =
        "approx_count_distinct(l), approx_quantiles(l, 0, 0.05, 0.5, 0.99, 1)";
    /* ranks 0, 224, 2249, 4454, 4499 of -300 .. 3699, 100000 .. 100499 */
    static const double exact[] = {4500, -300, -76, 1949, 100454, 100499};
    char text[2][256];
    const char *at = text[0] + 8;
    parts p;
    (void)state;
    for (int small = 0; small < 2; small++) {
        open_parts(&p, aggregates, small);
        merge_parts(&p, text[small], sizeof(text[small]));
    }
    assert_string_equal(text[0], text[1]);
    for (size_t i = 0; i < 6; i++) {
        double got = strtod(at, (char **)&at);
        assert_true(fabs(got - exact[i]) <= fabs(exact[i]) * (i ? 0.01 : 0.033));
        at += i ? 1 : 2;
    }
}

/* a damaged snapshot of large forms, with a good checksum, does no harm */
static void test_large_forms_damaged_are_harmless(void **state)
{
    static const char *const lists[] = {"approx_count_distinct(l)", "approx_quantile(l, 0.3)",
                                        "approx_top_k(l, 1)"};
    (void)state;
    for (size_t list = 0; list < 3; list++) {
        evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
        evs__buffer bytes;
        evs__operator *op;
        parts p;
        open_parts(&p, lists[list], 0);
        op = &p.op[1]->base;
        evs__buffer_init(&bytes, p.k.ctx, SIZE_MAX);
        assert_int_equal(op->fn->snapshot(op, &bytes, NULL), EVS_OK);
        for (size_t at = 16; at + 4 < bytes.len; at += bytes.len / 400 + 1) {
            char old = bytes.data[at];
            uint32_t crc;
            evs__operator *other = NULL;
            evs_batch *batch = NULL;
            bytes.data[at] = (char)agg_random();
            crc = evs__crc32c(0, bytes.data, bytes.len - 4);
            memcpy(bytes.data + bytes.len - 4, &crc, 4);
            assert_int_equal(evs__window_op_new(p.k.ctx, evs_schema_type(p.k.schema), NULL,
                                                lists[list], &o, 1, EVS_TIME_WATERMARK, &other,
                                                NULL),
                             EVS_OK);
            if (other->fn->restore(other, bytes.data, bytes.len, NULL) == EVS_OK) {
                other->fn->advance(other, 0, INT64_MAX, false, 0, NULL, NULL);
                if (evs__window_result(evs__window_of(other), false, &batch) == EVS_OK)
                    evs_batch_unref(batch);
            }
            evs__operator_free(other);
            bytes.data[at] = old;
        }
        evs__buffer_free(&bytes);
        for (int i = 0; i < 2; i++)
            evs__operator_free(&p.op[i]->base);
        kit_close(&p.k);
    }
}

/* ---- quantiles ---- */

#define MANY 20000

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double uniform(void)
{
    return (double)(agg_random() >> 11) / 9007199254740992.0;
}

static double draw(int shape, int i)
{
    switch (shape) {
    case 0:
        return uniform() * 1000;
    case 1: /* normal, around zero */
        return sqrt(-2 * log(uniform() + 1e-300)) * cos(6.283185307 * uniform());
    case 2: /* heavy tail over many decades */
        return pow(uniform() + 1e-12, -3);
    case 3: /* two humps, one negative, and zeros */
        return i % 10 == 0 ? 0 : i % 2 ? -1e6 - uniform() : 1e-6 * (1 + uniform());
    default: /* all the same */
        return 42.5;
    }
}

/* order 0: as drawn; 1: rising; 2: falling; 3: from both ends to the middle */
static void arrange(double *v, const double *sorted, int order)
{
    for (int i = 0; i < MANY; i++) {
        if (order == 1)
            v[i] = sorted[i];
        else if (order == 2)
            v[i] = sorted[MANY - 1 - i];
        else if (order == 3)
            v[i] = i % 2 ? sorted[MANY - 1 - i / 2] : sorted[i / 2];
    }
}

static void check_quantiles(const double *v, const double *sorted, int shape, int order)
{
    static const double q[] = {0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1};
    const char *at;
    stream s;
    open_stream(&s, "d DOUBLE", "approx_quantiles(d, 0, 0.001, 0.25, 0.5, 0.9, 0.99, 9.99e-1, 1)");
    for (int i = 0; i < MANY; i++)
        add_double(&s, v[i]);
    at = close_stream(&s) + 1;
    for (size_t i = 0; i < sizeof(q) / sizeof(q[0]); i++) {
        double want = sorted[(int)floor(q[i] * (MANY - 1))], got = strtod(at, (char **)&at);
        if (!(fabs(got - want) <= 0.01 * fabs(want)))
            fail_msg("shape %d, order %d, q %.3f: %.17g, exact %.17g", shape, order, q[i], got,
                     want);
        at++;
    }
}

static void test_quantile_error_five_distributions_four_orders(void **state)
{
    double *v = calloc(MANY, sizeof(*v)), *sorted = calloc(MANY, sizeof(*v));
    (void)state;
    for (int shape = 0; shape < 5; shape++) {
        for (int i = 0; i < MANY; i++)
            sorted[i] = v[i] = draw(shape, i);
        qsort(sorted, MANY, sizeof(*sorted), by_number);
        for (int order = 0; order < 4; order++) {
            arrange(v, sorted, order);
            check_quantiles(v, sorted, shape, order);
        }
    }
    free(v);
    free(sorted);
}

static void test_quantile_of_infinities_nan_and_ends(void **state)
{
    stream s;
    (void)state;
    open_stream(&s, "d DOUBLE",
                "approx_quantiles(d, 0, 0.2, 0.4, 0.6, 0.8, 1), approx_quantile(d, 0.5)");
    add_double(&s, INFINITY);
    add_double(&s, NAN);
    add_double(&s, 0);
    add_double(&s, -INFINITY);
    add_double(&s, 1.7976931348623157e308);
    add_double(&s, -4.9e-324);
    assert_string_equal(close_stream(&s), "[\"-Infinity\",-5e-324,0.0,1.7976931348623157e308,"
                                          "\"Infinity\",\"NaN\"] 0.0\n");
    open_stream(&s, "d DOUBLE", "approx_quantile(d, 0.5), approx_quantiles(d, 0.5)");
    evs_append_time(s.in, 1);
    evs_append_null(s.in);
    assert_int_equal(evs_append_end_row(s.in, NULL), EVS_OK);
    assert_string_equal(close_stream(&s), "NULL NULL\n");
}

static void test_quantiles_merge_and_restart(void **state)
{
    (void)state;
    for (int run = 0; run < 3; run++) {
        agg_make(rows, AGG_ROWS, run ? 100000 : 5, 1000);
        agg_check("approx_quantile(l, 0.5), approx_quantiles(m, 0, 0.9, 1), approx_quantile(i, 1), "
                  "approx_quantile(DISTINCT d, 0.25)",
                  rows, AGG_ROWS, NULL, 0);
    }
}

/* ---- the most frequent ---- */

static void frequencies(const agg_row *all, size_t n, int g, char *text, size_t size)
{
    const agg_row *r[AGG_ROWS];
    int64_t count[64] = {0};
    size_t kept = agg_group(all, n, g, r), at = 0;
    for (size_t i = 0; i < kept; i++)
        count[r[i]->l + 20]++;
    at += (size_t)snprintf(text, size, "[");
    for (int k = 0; k < 4; k++) {
        int best = 0;
        for (int v = 1; v < 41; v++)
            best = count[v] > count[best] ? v : best;
        at += (size_t)snprintf(text + at, size - at, "%s{\"value\":%d,\"count\":%lld,\"error\":0}",
                               k ? "," : "", best - 20, (long long)count[best]);
        count[best] = -1;
    }
    snprintf(text + at, size - at, "]");
}

static void test_top_k_of_few_values_is_exact(void **state)
{
    (void)state;
    for (int run = 0; run < 3; run++) {
        agg_make(rows, AGG_ROWS, 20, 1000);
        agg_model("approx_top_k(l, 4)", rows, AGG_ROWS, frequencies, 0);
        agg_check("approx_top_k(s, 2)", rows, AGG_ROWS, NULL, 0);
    }
}

/* skewed, over more values than there are counters, in several orders */
static void test_top_k_bounds_hold(void **state)
{
    enum { N = 60000, VALUES = 20000, K = 10, M = 100 };
    static int64_t stream_of[N], truth[VALUES];
    (void)state;
    for (int order = 0; order < 3; order++) {
        const char *at;
        int64_t least = INT64_MAX;
        bool shown[VALUES] = {false};
        stream s;
        memset(truth, 0, sizeof(truth));
        for (int i = 0; i < N; i++) {
            int64_t v = (int64_t)(pow(uniform() + 1e-9, -1.2)) % VALUES;
            /* order 1: many that come once first, the frequent ones last; 2: the other way round */
            if (order)
                v = (i < N / 2) == (order == 1) ? 100 + i % (VALUES - 100) : v % 50;
            stream_of[i] = v;
            truth[v]++;
        }
        open_stream(&s, "l BIGINT", "approx_top_k(l, 10)");
        for (int i = 0; i < N; i++)
            add_int(&s, stream_of[i]);
        kit_advance(&s.k, 0);
        assert_true(evs_window_counter(s.k.window, "state_bytes") < 1 << 20);
        at = close_stream(&s);
        for (int k = 0; k < K; k++) {
            long long v, count, error;
            at = strchr(at, '{');
            assert_non_null(at);
            assert_int_equal(
                sscanf(at, "{\"value\":%lld,\"count\":%lld,\"error\":%lld", &v, &count, &error), 3);
            assert_true(error <= N / (M + 1));
            assert_true(truth[v] <= count && truth[v] >= count - error);
            shown[v] = true;
            least = truth[v] < least ? truth[v] : least;
            at++;
        }
        /* whoever is clearly more frequent than the last shown is shown */
        for (int v = 0; v < VALUES; v++)
            assert_true(shown[v] || truth[v] <= least + N / (M + 1));
    }
}

static void test_top_k_merged_bounds_hold_in_every_order(void **state)
{
    static const int orders[][AGG_PARTS] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}};
    static char text[KIT_TEXT];
    int64_t truth[2001] = {0};
    size_t n = 0;
    (void)state;
    agg_make(rows, AGG_ROWS, 1000, 1000);
    for (size_t i = 0; i < AGG_ROWS; i++) {
        rows[i].g = i < AGG_GROUPS ? (int)i : 0;
        rows[i].l = i % 2 ? rows[i].l : rows[i].l % 5;
        if (rows[i].g == 0 && !rows[i].null) {
            truth[rows[i].l + 1000]++;
            n++;
        }
    }
    for (int o = 0; o < 3; o++) {
        const char *at = text;
        agg_merged("approx_top_k(l, 1)", rows, AGG_ROWS, orders[o], text);
        for (int g = 0; g < AGG_GROUPS; g++, at = strchr(at, '\n') + 1) {
            long long v, count, error;
            if (at[1] != '0')
                continue;
            assert_int_equal(sscanf(strchr(at, '{'),
                                    "{\"value\":%lld,\"count\":%lld,\"error\":%lld", &v, &count,
                                    &error),
                             3);
            assert_true(error <= (int64_t)n / 101);
            assert_true(truth[v + 1000] <= count && truth[v + 1000] >= count - error);
        }
    }
}

/* ---- errors, memory ---- */

static void check_error(const char *aggregates, evs_status want, const char *part, const char *at)
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    evs_error *err = NULL;
    evs_window *w = NULL;
    kit k;
    kit_open(&k, "s VARCHAR, l BIGINT, d DOUBLE", NULL, "count(*)", &o);
    assert_int_equal(evs_window_new(k.ctx, k.schema, NULL, aggregates, &o, &w, &err), want);
    if (!strstr(evs_error_message(err), part))
        fail_msg("\"%s\" lacks \"%s\"", evs_error_message(err), part);
    assert_string_equal(evs_error_origin(err), at);
    evs_error_unref(err);
    kit_close(&k);
}

static void test_faults_say_what_and_where(void **state)
{
    (void)state;
    check_error("approx_quantile(l, 1.5)", EVS_ERR_EXPRESSION,
                "\"approx_quantile(l, 1.5)\": q must be a number from 0 to 1", "column 20");
    check_error("approx_quantile(l, -0.1)", EVS_ERR_EXPRESSION, "q must be a number", "column 20");
    check_error("approx_quantile(l)", EVS_ERR_EXPRESSION, "q is missing", "column 1");
    check_error("approx_quantiles(l)", EVS_ERR_EXPRESSION, "q is missing", "column 1");
    check_error("approx_quantiles(l, 0.5, 2)", EVS_ERR_EXPRESSION, "q must be", "column 26");
    check_error("approx_quantile(s, 0.5)", EVS_ERR_TYPE, "does not take VARCHAR", "column 1");
    check_error("approx_top_k(l, 0)", EVS_ERR_EXPRESSION, "k must be", "column 17");
    check_error("hll(d)", EVS_ERR_TYPE, "hll does not take DOUBLE", "column 1");
}

/* results can be taken although the state is full */
static void test_sketch_at_the_bound_of_state_is_told_and_results_come(void **state)
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    evs_error *err = NULL;
    evs_status status = EVS_OK;
    kit k;
    int i;
    (void)state;
    o.state_bytes_max = 300 << 10;
    kit_open(&k, "l BIGINT", "l % 50", "approx_count_distinct(l) AS n", &o);
    for (i = 0; i < 200000 && !status; i++) {
        evs_append_time(evs_window_appender(k.window), 1);
        evs_append_int(evs_window_appender(k.window), i);
        status = evs_append_end_row(evs_window_appender(k.window), &err);
    }
    assert_int_equal(status, EVS_ERR_LIMIT);
    evs_error_unref(err);
    assert_true(evs_window_counter(k.window, "state_bytes") <= 310 << 10);
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_approx_count_distinct_error_is_what_is_stated),
        cmocka_unit_test(test_approx_count_distinct_merges_and_restarts),
        cmocka_unit_test(test_small_and_large_forms_merge_to_the_same),
        cmocka_unit_test(test_large_forms_damaged_are_harmless),
        cmocka_unit_test(test_quantile_error_five_distributions_four_orders),
        cmocka_unit_test(test_quantile_of_infinities_nan_and_ends),
        cmocka_unit_test(test_quantiles_merge_and_restart),
        cmocka_unit_test(test_top_k_of_few_values_is_exact),
        cmocka_unit_test(test_top_k_bounds_hold),
        cmocka_unit_test(test_top_k_merged_bounds_hold_in_every_order),
        cmocka_unit_test(test_faults_say_what_and_where),
        cmocka_unit_test(test_sketch_at_the_bound_of_state_is_told_and_results_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
