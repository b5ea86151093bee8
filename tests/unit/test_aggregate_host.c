/*
 * Aggregates of the host: a plain state and one that owns memory, against brute force; rows refused
 * by them and by others; what may not be registered.
 */
#include "aggregate_kit.h"

static agg_row rows[AGG_ROWS];

/* ---- plain: product modulo 1,000,003 of what is not a multiple of it, and how many ---- */

typedef struct product {
    int64_t n, value;
} product;

static evs_status product_init(void *state, void *user_data)
{
    product *p = state;
    assert_ptr_equal(user_data, rows);
    assert_int_equal(p->n, 0);
    p->value = 1;
    return EVS_OK;
}

static int64_t factor(int64_t v)
{
    return (v % 1000 + 1000) % 1000 + 1;
}

/* changes the state before it refuses: the library puts it back */
static evs_status product_add(
    void *state, const evs_value *args, size_t n, char *reason, size_t size, void *user_data)
{
    product *p = state;
    assert_ptr_equal(user_data, rows);
    assert_int_equal(n, 1);
    assert_int_equal(args[0].type, EVS_TYPE_BIGINT);
    assert_false(args[0].is_null);
    p->value = (int64_t)((uint64_t)p->value * (uint64_t)factor(args[0].integer) % 1000003);
    p->n++;
    if (args[0].integer == 13) {
        snprintf(reason, size, "thirteen is bad luck");
        return EVS_ERR_INVALID;
    }
    return EVS_OK;
}

static evs_status product_merge(void *state, const void *from, void *user_data)
{
    product *p = state;
    const product *q = from;
    (void)user_data;
    p->value = (int64_t)((uint64_t)p->value * (uint64_t)q->value % 1000003);
    p->n += q->n;
    return EVS_OK;
}

static void product_result(const void *state, evs_value *ret_value, void *user_data)
{
    (void)user_data;
    ret_value->is_null = 0;
    ret_value->integer = ((const product *)state)->value;
}

/* ---- owning: the different texts in a list of the host's memory; joined, sorted ---- */

typedef struct texts {
    char (*items)[48];
    int64_t *counts;
    size_t n;
    char *joined;
} texts;

static long texts_alive;

static evs_status texts_init(void *state, void *user_data)
{
    texts *t = state;
    (void)user_data;
    t->joined = malloc(1);
    texts_alive++;
    return EVS_OK;
}

static void put_text(texts *t, const char *text, size_t len, int64_t count)
{
    size_t i = 0;
    while (i < t->n && (strlen(t->items[i]) != len || memcmp(t->items[i], text, len) != 0))
        i++;
    if (i == t->n) {
        t->items = realloc(t->items, (t->n + 1) * sizeof(t->items[0]));
        t->counts = realloc(t->counts, (t->n + 1) * sizeof(t->counts[0]));
        snprintf(t->items[i], sizeof(t->items[i]), "%.*s", (int)len, text);
        t->counts[i] = 0;
        t->n++;
    }
    t->counts[i] += count;
    if (t->counts[i])
        return;
    t->n--;
    memcpy(t->items[i], t->items[t->n], sizeof(t->items[i]));
    t->counts[i] = t->counts[t->n];
}

static evs_status
texts_add(void *state, const evs_value *args, size_t n, char *reason, size_t size, void *user_data)
{
    (void)n;
    (void)user_data;
    if (args[1].number < -1e8) {
        snprintf(reason, size, "too small");
        return EVS_ERR_INVALID;
    }
    put_text(state, args[0].data, args[0].len, 1);
    return EVS_OK;
}

static void texts_retract(void *state, const evs_value *args, size_t n, void *user_data)
{
    (void)n;
    (void)user_data;
    put_text(state, args[0].data, args[0].len, -1);
}

static evs_status texts_merge(void *state, const void *from, void *user_data)
{
    const texts *t = from;
    (void)user_data;
    for (size_t i = 0; i < t->n; i++)
        put_text(state, t->items[i], strlen(t->items[i]), t->counts[i]);
    return EVS_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void join(char *joined, size_t size, const char (*items)[48], size_t n)
{
    size_t at = 0;
    joined[0] = '\0';
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(joined + at, size - at, "%s|", items[i]);
}

static void texts_result(const void *state, evs_value *ret_value, void *user_data)
{
    const texts *t = state;
    char(*sorted)[48] = malloc((t->n + 1) * sizeof(*sorted));
    (void)user_data;
    memcpy(sorted, t->items ? (const void *)t->items : "", t->n * sizeof(*sorted));
    qsort(sorted, t->n, sizeof(*sorted), by_text);
    free(t->joined);
    ((texts *)state)->joined = malloc(t->n * 48 + 1);
    join(t->joined, t->n * 48 + 1, (const char(*)[48])sorted, t->n);
    free(sorted);
    *ret_value = (evs_value){ret_value->type, 0, 0, 0, t->joined, strlen(t->joined)};
}

static evs_status texts_serialise(const void *state, evs_aggregate_out *out, void *user_data)
{
    const texts *t = state;
    evs_status status = EVS_OK;
    (void)user_data;
    for (size_t i = 0; i < t->n && !status; i++) {
        status = evs_aggregate_write(out, t->items[i], sizeof(t->items[i]));
        if (!status)
            status = evs_aggregate_write(out, &t->counts[i], sizeof(t->counts[i]));
    }
    return status;
}

static evs_status texts_restore(void *state, const void *data, size_t len, void *user_data)
{
    const char *bytes = data;
    (void)user_data;
    if (len % 56)
        return EVS_ERR_CORRUPT;
    for (size_t i = 0; i < len; i += 56) {
        int64_t count;
        memcpy(&count, bytes + i + 48, sizeof(count));
        if (count < 1 || !memchr(bytes + i, 0, 48))
            return EVS_ERR_CORRUPT;
        put_text(state, bytes + i, strlen(bytes + i), count);
    }
    return EVS_OK;
}

static void texts_destroy(void *state, void *user_data)
{
    texts *t = state;
    (void)user_data;
    free(t->items);
    free(t->counts);
    free(t->joined);
    texts_alive--;
}

static const evs_aggregate product_of = {.struct_size = sizeof(evs_aggregate),
                                         .signature = "product(BIGINT) RETURNS BIGINT",
                                         .state_size = sizeof(product),
                                         .user_data = rows,
                                         .init = product_init,
                                         .add = product_add,
                                         .merge = product_merge,
                                         .result = product_result};
static const evs_aggregate texts_of = {.struct_size = sizeof(evs_aggregate),
                                       .signature = "Texts(VARCHAR, DOUBLE) RETURNS VARCHAR",
                                       .state_size = sizeof(texts),
                                       .init = texts_init,
                                       .add = texts_add,
                                       .merge = texts_merge,
                                       .retract = texts_retract,
                                       .result = texts_result,
                                       .serialise = texts_serialise,
                                       .restore = texts_restore,
                                       .destroy = texts_destroy};

static void register_both(evs_context *ctx)
{
    assert_int_equal(evs_aggregate_register(ctx, &product_of, NULL), EVS_OK);
    assert_int_equal(evs_aggregate_register(ctx, &texts_of, NULL), EVS_OK);
}

static int setup(void **state)
{
    (void)state;
    kit_on_context = register_both;
    texts_alive = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return texts_alive != 0;
}

/* ---- against brute force ---- */

static void both(const agg_row *all, size_t n, int g, char *text, size_t size)
{
    const agg_row *r[AGG_ROWS];
    char sorted[AGG_ROWS][48];
    size_t count = agg_group(all, n, g, r), different = 0, at;
    int64_t whole = 1, once = 1;
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;
        bool seen = false;
        whole = whole * factor(r[i]->l) % 1000003;
        for (size_t j = 0; j < i; j++)
            seen = seen || r[j]->l == r[i]->l;
        once = seen ? once : once * factor(r[i]->l) % 1000003;
        while (k < different && strcmp(sorted[k], r[i]->s) != 0)
            k++;
        if (k == different && !r[i]->b)
            memcpy(sorted[different++], r[i]->s, 48);
    }
    qsort(sorted, different, sizeof(sorted[0]), by_text);
    at = (size_t)snprintf(text, size, "%lld %lld ", (long long)whole, (long long)once);
    join(text + at, size - at, (const char(*)[48])sorted, different);
}

static void test_host_aggregates_equal_brute_force(void **state)
{
    (void)state;
    for (int run = 0; run < 3; run++) {
        agg_make(rows, AGG_ROWS, 40, 1000);
        for (size_t i = 0; i < AGG_ROWS; i++)
            rows[i].l += rows[i].l == 13;
        agg_model("product(l), product(DISTINCT i), TEXTS(s, m) FILTER (WHERE NOT b)", rows,
                  AGG_ROWS, both, 0);
    }
}

/* ---- refused rows ---- */

static void test_row_refused_by_the_host_is_told_and_leaves_no_trace(void **state)
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    kit_open(&k, "l BIGINT, s VARCHAR", NULL,
             "count(*), product(l), texts(s, l), sum(l), product(DISTINCT l)", &o);
    kit_row(&k, 1, "2,a");
    kit_row(&k, 1, "13,b");
    kit_row(&k, 1, "-200000000,c");
    kit_row(&k, 1, "NULL,d");
    kit_row(&k, 1, "4,a");
    kit_row(&k, 1, "4,e");
    kit_advance(&k, 0);
    assert_string_equal(k.rejects, "expression\nexpression\n");
    assert_string_equal(k.message, "texts: too small");
    assert_int_equal(k.reject_status, EVS_ERR_CALLBACK);
    kit_advance(&k, INT64_MAX);
    assert_string_equal(kit_results(&k), "+0 1000 4 75 a|e| 10 15\n");
    kit_close(&k);
}

static void test_row_refused_by_another_is_taken_back(void **state)
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    kit_open(&k, "g INT, l BIGINT, s VARCHAR", "g",
             "product(l), texts(s, l), sum(l), product(DISTINCT l) AS d", &o);
    kit_row(&k, 1, "1,9223372036854775807,a");
    kit_row(&k, 1, "1,5,b"); /* the sum overflows */
    kit_row(&k, 1, "2,5,c");
    kit_row(&k, 1, "1,-5,d");
    kit_advance(&k, INT64_MAX);
    assert_string_equal(kit_results(&k), "+1 0 1000 804768 a|d| 9223372036854775802 804768\n"
                                         "+2 0 1000 6 c| 5 6\n");
    assert_string_equal(k.rejects, "expression\n");
    kit_close(&k);
}

static void test_group_without_rows_is_null(void **state)
{
    evs_window_options o = kit_options(1000, EVS_EMIT_FINAL);
    kit k;
    (void)state;
    kit_open(&k, "l BIGINT, s VARCHAR", NULL, "product(l), texts(s, l)", &o);
    kit_row(&k, 1, "NULL,x");
    kit_advance(&k, INT64_MAX);
    assert_string_equal(kit_results(&k), "+0 1000 NULL NULL\n");
    kit_close(&k);
}

/* ---- faults ---- */

static void check_register(evs_aggregate a, evs_status want, const char *part)
{
    evs_context *ctx = NULL;
    evs_error *err = NULL;
    assert_int_equal(evs_context_new(NULL, &ctx, NULL), EVS_OK);
    register_both(ctx);
    assert_int_equal(evs_aggregate_register(ctx, &a, &err), want);
    if (!strstr(evs_error_message(err), part))
        fail_msg("\"%s\" lacks \"%s\"", evs_error_message(err), part);
    evs_error_unref(err);
    evs_context_unref(ctx);
}

static void test_register_refuses_what_cannot_work(void **state)
{
    evs_aggregate a = product_of;
    (void)state;
    check_register(a, EVS_ERR_EXPRESSION, "there is an aggregate \"product\" already");
    a.signature = "sum(BIGINT) RETURNS BIGINT";
    check_register(a, EVS_ERR_EXPRESSION, "there is an aggregate \"sum\" already");
    a.signature = "p() RETURNS BIGINT";
    check_register(a, EVS_ERR_EXPRESSION, "1 to 8 arguments");
    a.signature = "p(BIGINT RETURNS BIGINT";
    check_register(a, EVS_ERR_EXPRESSION, "p(BIGINT RETURNS");
    a.signature = "p(BIGINT) RETURNS BIGINT";
    a.state_size = 0;
    check_register(a, EVS_ERR_INVALID, "state_size");
    a.state_size = 5000;
    check_register(a, EVS_ERR_INVALID, "state_size");
    a.state_size = 8;
    a.destroy = texts_destroy;
    check_register(a, EVS_ERR_INVALID, "needs serialise, restore and retract");
    a.destroy = NULL;
    a.add = NULL;
    check_register(a, EVS_ERR_INVALID, "needs signature, add, merge and result");
    a.add = product_add;
    a.struct_size = 3;
    check_register(a, EVS_ERR_INVALID, "struct_size");
    assert_int_equal(evs_aggregate_register(NULL, &a, NULL), EVS_ERR_INVALID);
    assert_int_equal(evs_aggregate_write(NULL, "", 0), EVS_ERR_INVALID);
}

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

static void test_faults_name_the_host_s_aggregates(void **state)
{
    (void)state;
    check_error("prodct(l)", EVS_ERR_EXPRESSION, "did you mean \"product\"?", "column 1");
    check_error("product(l, l)", EVS_ERR_EXPRESSION, "product takes 1 argument", "column 1");
    check_error("product(s)", EVS_ERR_TYPE, "product does not take VARCHAR", "column 1");
    check_error("product(d)", EVS_ERR_TYPE, "product does not take DOUBLE", "column 1");
    check_error("texts(l, d)", EVS_ERR_TYPE, "texts does not take BIGINT and DOUBLE", "column 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_aggregates_equal_brute_force),
        cmocka_unit_test(test_row_refused_by_the_host_is_told_and_leaves_no_trace),
        cmocka_unit_test(test_row_refused_by_another_is_taken_back),
        cmocka_unit_test(test_group_without_rows_is_null),
        cmocka_unit_test(test_register_refuses_what_cannot_work),
        cmocka_unit_test(test_faults_name_the_host_s_aggregates),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
