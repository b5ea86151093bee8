/*
 * Top-N: the order's text, what is refused, bounds, snapshots as any bytes, whole pipelines with
 * shards, workers and restarts.
 */
#include "pipeline_kit.h"

#include "base/hash.h"
#include "engine/top.h"

#define TYPE "STRUCT<k VARCHAR, n INT NOT NULL> NOT NULL"

/* ---- the operator alone ---- */

typedef struct rig {
    evs_context *ctx;
    evs_type *type;
    evs__operator *op;
    char given[512];
    char rejected[256];
} rig;

static evs_status emit(void *user, int port, evs_batch *batch, evs_error **reterr)
{
    rig *r = user;
    (void)port;
    (void)reterr;
    for (uint32_t i = 0; i < batch->count; i++) {
        evs_string_view k = evs__column_str(batch->columns[0], i);
        size_t len = strlen(r->given);
        snprintf(r->given + len, sizeof(r->given) - len, "%.*s%d ", (int)k.len, k.data,
                 batch->columns[1]->i32[i]);
    }
    return EVS_OK;
}

static void reject(void *user,
                   const evs_batch *batch,
                   uint32_t row,
                   const char *stage,
                   evs_status status,
                   const char *message)
{
    rig *r = user;
    size_t len = strlen(r->rejected);
    (void)status;
    (void)message;
    snprintf(r->rejected + len, sizeof(r->rejected) - len, "%d:%s ", batch->columns[1]->i32[row],
             stage);
}

static evs_status open_rig(rig *r, int64_t n, const char *order, size_t bytes, evs_error **err)
{
    *r = (rig){0};
    assert_int_equal(evs_context_new(NULL, &r->ctx, NULL), EVS_OK);
    r->type = evs_test_type(r->ctx, TYPE);
    return evs__top_new(r->ctx, r->type, "", order, n, bytes, 1, EVS_TIME_WATERMARK, &r->op, err);
}

static void close_rig(rig *r)
{
    evs__operator_free(r->op);
    evs_type_unref(r->type);
    evs_context_unref(r->ctx);
}

/* "a 1 10, b 2 12": k, n, time; "!": an update */
static evs_status push(rig *r, const char *rows, evs_error **err)
{
    evs__out out = {r, emit, reject, NULL};
    evs_appender *a = NULL;
    evs_batch *b = NULL;
    char key[32];
    int n, used;
    long long time;
    evs_status status;

    assert_int_equal(evs_appender_new(r->ctx, r->type, &a, NULL), EVS_OK);
    for (; sscanf(rows, " %31s %d %lld%n", key, &n, &time, &used) == 3; rows += used) {
        rows += rows[used] == ',';
        if (time >= 0)
            evs_append_time(a, time);
        if (*key == '!')
            evs_append_kind(a, EVS_ROW_UPDATE);
        if (*key == '-')
            evs_append_null(a);
        else
            evs_append_string(a, key, strlen(key));
        evs_append_int(a, n);
        assert_int_equal(evs_append_end_row(a, NULL), EVS_OK);
    }
    assert_int_equal(evs_appender_take(a, &b, NULL), EVS_OK);
    evs_appender_unref(a);
    status = r->op->fn->process(r->op, b, 0, &out, err);
    evs_batch_unref(b);
    return status;
}

static void advance(rig *r, int64_t watermark)
{
    evs__out out = {r, emit, reject, NULL};
    assert_int_equal(r->op->fn->advance(r->op, 0, watermark, false, 0, &out, NULL), EVS_OK);
}

static void test_top_orders_by_each_expression_in_its_direction(void **state)
{
    static const struct {
        const char *order, *given;
    } cases[] = {
        {"n", "c1 a2 b2 "},
        {"n DESC, k", "d9 a2 b2 "},
        {"n % 2 asc, n desc, k Desc", "b2 a2 d9 "},
        {"CASE k WHEN 'a,desc' THEN 0 ELSE n END DESC", "d9 a2 b2 "},
        {"coalesce(k, 'x') desc", "-0 d9 c1 "},
        {"k", "-0 a2 b2 "},
        {"k desc", "d9 c1 b2 "},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rig r;
        assert_int_equal(open_rig(&r, 3, cases[i].order, 1 << 20, NULL), EVS_OK);
        assert_int_equal(push(&r, "b 2 9, d 9 9, a 2 9, c 1 9", NULL), EVS_OK);
        if (cases[i].given[0] == '-')
            assert_int_equal(push(&r, "- 0 9", NULL), EVS_OK);
        advance(&r, 9);
        assert_string_equal(r.given, "");
        advance(&r, 10);
        /* NULL is printed as nothing */
        assert_string_equal(r.given, cases[i].given + (cases[i].given[0] == '-'));
        assert_int_equal(r.op->fn->counter(r.op, "state_bytes"), 0);
        close_rig(&r);
    }
}

static void test_top_sets_aside_what_it_cannot_take(void **state)
{
    rig r;
    (void)state;
    assert_int_equal(open_rig(&r, 3, "10 / n", 1 << 20, NULL), EVS_OK);
    advance(&r, 5);
    assert_int_equal(push(&r, "a 1 9, ! 2 9, b 0 9, c 3 -1, d 4 4", NULL), EVS_OK);
    assert_string_equal(r.rejected, "0:expression 2:expression 3:event_time 4:late ");
    advance(&r, 10);
    assert_string_equal(r.given, "a1 ");
    close_rig(&r);
}

static void test_top_refuses_a_bad_order(void **state)
{
    static const struct {
        int64_t n;
        const char *order;
        evs_status status;
        const char *part;
    } cases[] = {{0, "n", EVS_ERR_INVALID, "n of a top is 0, it must be 1 to 10000"},
                 {10001, "n", EVS_ERR_INVALID, "n of a top is 10001"},
                 {1, "", EVS_ERR_EXPRESSION, "a top needs an order"},
                 {1, "DESC", EVS_ERR_EXPRESSION, ""},
                 {1, "n DESC DESC", EVS_ERR_EXPRESSION, ""},
                 {1, "n, , k", EVS_ERR_EXPRESSION, ""},
                 {1, "'open", EVS_ERR_EXPRESSION, ""},
                 {1, "views DESC", EVS_ERR_EXPRESSION, "views"}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        evs_error *err = NULL;
        rig r;
        evs_status status = open_rig(&r, cases[i].n, cases[i].order, 1 << 20, &err);
        assert_evs_error(status, err, cases[i].status, cases[i].part, NULL);
        close_rig(&r);
    }
}

static void test_top_whose_state_is_full_takes_nothing(void **state)
{
    evs_error *err = NULL;
    rig r;
    (void)state;
    assert_int_equal(open_rig(&r, 10000, "n", 20000, NULL), EVS_OK);
    for (int i = 0; i < 10000; i++) {
        char row[32];
        evs_status status;
        snprintf(row, sizeof(row), "a %d 9", i);
        status = push(&r, row, &err);
        assert_true(r.op->fn->counter(r.op, "state_bytes") <= 20000);
        if (!status)
            continue;
        assert_true(i > 10);
        assert_evs_error(status, err, EVS_ERR_LIMIT, "a top has reached its bound of 20000", NULL);
        advance(&r, 10);
        assert_true(strncmp(r.given, "a0 a1 a2 ", 9) == 0);
        close_rig(&r);
        return;
    }
    fail_msg("the bound was never reached");
}

static void test_top_restore_of_any_bytes_is_safe(void **state)
{
    evs__buffer bytes;
    rig r;
    (void)state;
    assert_int_equal(open_rig(&r, 2, "n DESC", 1 << 20, NULL), EVS_OK);
    assert_int_equal(push(&r, "a 1 9, b 2 9, c 3 9, d 4 19, - 5 19", NULL), EVS_OK);
    evs__buffer_init(&bytes, r.ctx, SIZE_MAX);
    assert_int_equal(r.op->fn->snapshot(r.op, &bytes, NULL), EVS_OK);
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_equal(r.op->fn->restore(r.op, bytes.data, len, NULL), EVS_ERR_CORRUPT);
    for (size_t at = 0; at + 4 < bytes.len; at++) {
        for (int bit = 0; bit < 8; bit++) {
            uint32_t crc;
            evs_status status;
            bytes.data[at] = (char)(bytes.data[at] ^ 1 << bit);
            /* somebody who knows the checksum */
            crc = evs__crc32c(0, bytes.data, bytes.len - 4);
            memcpy(bytes.data + bytes.len - 4, &crc, 4);
            status = r.op->fn->restore(r.op, bytes.data, bytes.len, NULL);
            assert_true(status == EVS_OK || status == EVS_ERR_CORRUPT || status == EVS_ERR_STATE ||
                        status == EVS_ERR_LIMIT);
            bytes.data[at] = (char)(bytes.data[at] ^ 1 << bit);
            crc = evs__crc32c(0, bytes.data, bytes.len - 4);
            memcpy(bytes.data + bytes.len - 4, &crc, 4);
        }
    }
    assert_int_equal(r.op->fn->restore(r.op, bytes.data, bytes.len, NULL), EVS_OK);
    advance(&r, 100);
    assert_string_equal(r.given, "c3 b2 5 d4 ");
    evs__buffer_free(&bytes);
    close_rig(&r);
}

/* ---- pipelines ---- */

static void build(kit *k, const char *shards)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    evs_pipeline *p = kit_pipeline(k);

    o.size_ms = 10000;
    o.emit = EVS_EMIT_FINAL;
    evs_pipeline_set(p, "state.dir", k->dir);
    evs_pipeline_set(p, "exchange.partitions", shards);
    k->source = evs_source(p, "memory",
                           EVS_OPTIONS("columns", "user VARCHAR, n INT", "partitions", "3",
                                       "out_of_orderness", "0", "idle_timeout", "forever",
                                       "close_after", "forever"));
    evs_sink(evs_top(evs_window_by(k->source, "user", &o, "count(*) AS c, sum(n) AS s"), 2,
                     "c DESC, s", NULL),
             "txn", NULL);
}

/* user u of 12 has events at 0, (u + 1) * 150, ...: the lower, the more */
static void feed(kit *k, int64_t to)
{
    for (int64_t time = 0; time < to; time += 50) {
        for (int user = 0; user < 12; user++) {
            evs_status status = EVS_OK;
            while (time % ((user / 2 + 1) * 150) == 0 &&
                   (status = kit_event(k, user % 3, time, user, user + 1)) == EVS_AGAIN)
                evs_pipeline_wait(k->p, 1, NULL);
            OK(status);
        }
    }
}

/* users 0 and 1 have as many, and the most */
static const char wanted[] = "u0|1970-01-01T00:00:00.000Z|1970-01-01T00:00:10.000Z|67|67\n"
                             "u0|1970-01-01T00:00:10.000Z|1970-01-01T00:00:20.000Z|67|67\n"
                             "u1|1970-01-01T00:00:00.000Z|1970-01-01T00:00:10.000Z|67|134\n"
                             "u1|1970-01-01T00:00:10.000Z|1970-01-01T00:00:20.000Z|67|134";

static void test_top_gives_the_same_for_every_number_of_shards_and_workers(void **state)
{
    static const struct {
        const char *shards;
        int workers;
    } cases[] = {{"1", 0}, {"5", 0}, {"4", 1}, {"4", 2}, {"3", 4}};
    kit *k = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        database_clear(&k->db);
        remove_dir(k->dir);
        build(k, cases[i].shards);
        if (cases[i].workers) {
            k->p->hooks.now_ms = NULL;
            OK(evs_pipeline_start(k->p, cases[i].workers, &k->err));
        }
        feed(k, 20000);
        OK(evs_stream_push_end(k->source, &k->err));
        if (cases[i].workers)
            OK(evs_pipeline_wait(k->p, 20000, &k->err));
        else
            assert_int_equal(kit_drain(k), EVS_END);
        assert_table(&k->db.committed, wanted);
    }
}

static void test_top_goes_on_after_a_restart(void **state)
{
    kit *k = *state;

    for (int64_t stop = 500; stop < 20000; stop += 3900) {
        database_clear(&k->db);
        remove_dir(k->dir);
        build(k, "4");
        feed(k, stop);
        assert_int_equal(kit_drain(k), EVS_AGAIN);
        OK(evs_pipeline_close(k->p, &k->err));
        build(k, "4");
        feed(k, 20000);
        OK(evs_stream_push_end(k->source, &k->err));
        assert_int_equal(kit_drain(k), EVS_END);
        assert_table(&k->db.committed, wanted);
    }
}

static void test_top_in_the_plan(void **state)
{
    kit *k = *state;
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    const char *text = NULL;
    char fingerprint[33];

    o.size_ms = 1000;
    build(k, "4");
    OK(evs_pipeline_explain(k->p, &text, &k->err));
    assert_non_null(strstr(text, "top_1: the best 2 of each window by c DESC, s\n"));
    snprintf(fingerprint, sizeof(fingerprint), "%s", evs_pipeline_fingerprint(k->p));
    build(k, "4");
    k->p->plan.nodes[2]->number = 3;
    OK(evs_pipeline_check(k->p, &k->err));
    assert_string_not_equal(fingerprint, evs_pipeline_fingerprint(k->p));
    build(k, "4");
    evs_top(k->source, 2, "n DESC", NULL);
    FAILS(evs_pipeline_check(k->p, &k->err), EVS_ERR_UNSUPPORTED, "it needs rows of windows");
    build(k, "4");
    evs_top(evs_window_by(k->source, "user", &o, "count(*) AS c"), 2, "c DESC", "user");
    FAILS(evs_pipeline_check(k->p, &k->err), EVS_ERR_UNSUPPORTED, "use emit final there");
    build(k, "4");
    evs_top(k->source, 2, NULL, NULL);
    FAILS(evs_pipeline_check(k->p, &k->err), EVS_ERR_INVALID, "top: order is NULL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_top_orders_by_each_expression_in_its_direction),
        cmocka_unit_test(test_top_sets_aside_what_it_cannot_take),
        cmocka_unit_test(test_top_refuses_a_bad_order),
        cmocka_unit_test(test_top_whose_state_is_full_takes_nothing),
        cmocka_unit_test(test_top_restore_of_any_bytes_is_safe),
        KIT_TEST(test_top_gives_the_same_for_every_number_of_shards_and_workers),
        KIT_TEST(test_top_goes_on_after_a_restart),
        KIT_TEST(test_top_in_the_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
