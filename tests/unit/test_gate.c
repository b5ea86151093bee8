/*
 * Dedup, limit and sample: options, what passes, time, bounds, snapshots as any bytes, whole
 * pipelines with restarts, shards and workers.
 */
#include "pipeline_kit.h"

#include "base/hash.h"
#include "engine/gate.h"

#define DONE(call) assert_int_equal((call), EVS_OK)

static evs_dedup_options within(int64_t ms)
{
    evs_dedup_options o = EVS_DEDUP_OPTIONS_INIT;
    o.within_ms = ms;
    return o;
}

static evs_limit_options at_most(int64_t rows, int64_t per_ms)
{
    evs_limit_options o = EVS_LIMIT_OPTIONS_INIT;
    o.rows = rows;
    o.per_ms = per_ms;
    return o;
}

/* ---- the operator alone ---- */

typedef struct rig {
    evs_context *ctx;
    evs_type *type;
    evs__operator *op;
    char passed[512]; /* n of the rows */
    char rejected[256];
    uint32_t left_out, late;
} rig;

static evs_status emit(void *user, int port, evs_batch *batch, evs_error **reterr)
{
    rig *r = user;
    (void)port;
    (void)reterr;
    for (uint32_t k = 0; k < batch->count; k++) {
        size_t len = strlen(r->passed);
        snprintf(r->passed + len, sizeof(r->passed) - len, "%d ",
                 batch->columns[1]->i32[evs__batch_row_at(batch, k)]);
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

static void counted(void *user, uint32_t left_out, uint32_t late)
{
    rig *r = user;
    r->left_out += left_out;
    r->late += late;
}

static void open_rig(rig *r, const evs_dedup_options *d, const evs_limit_options *l)
{
    evs_error *err = NULL;
    *r = (rig){0};
    DONE(evs_context_new(NULL, &r->ctx, &err));
    r->type = evs_test_type(r->ctx, "STRUCT<k VARCHAR, n INT NOT NULL> NOT NULL");
    if (d)
        DONE(evs__dedup_new(r->ctx, r->type, "k", d, 1, EVS_TIME_WATERMARK, &r->op, &err));
    else
        DONE(evs__limit_new(r->ctx, r->type, l->rows > 1 ? "" : "k", l, 1, EVS_TIME_WATERMARK,
                            &r->op, &err));
}

static void close_rig(rig *r)
{
    evs__operator_free(r->op);
    evs_type_unref(r->type);
    evs_context_unref(r->ctx);
}

/* "a 10, b 12, - 13": keys and times; n counts on from `first` */
static evs_status push(rig *r, int first, const char *rows, evs_error **err)
{
    evs__out out = {r, emit, reject, counted};
    evs_appender *a = NULL;
    evs_batch *b = NULL;
    char key[32];
    long long time;
    int used;
    evs_status status;

    DONE(evs_appender_new(r->ctx, r->type, &a, NULL));
    for (; sscanf(rows, " %31s %lld%n", key, &time, &used) == 2; rows += used) {
        rows += rows[used] == ',';
        if (time >= 0)
            evs_append_time(a, time);
        if (*key == '!')
            evs_append_kind(a, EVS_ROW_DELETE);
        if (*key == '-')
            evs_append_null(a);
        else
            evs_append_string(a, key, strlen(key));
        evs_append_int(a, first++);
        DONE(evs_append_end_row(a, NULL));
    }
    DONE(evs_appender_take(a, &b, NULL));
    evs_appender_unref(a);
    status = r->op->fn->process(r->op, b, 0, &out, err);
    evs_batch_unref(b);
    return status;
}

static void advance(rig *r, int64_t watermark)
{
    DONE(r->op->fn->advance(r->op, 0, watermark, false, 0, NULL, NULL));
}

static void test_dedup_keeps_the_first_of_a_key_within_the_time(void **state)
{
    evs_dedup_options o = within(10);
    rig r;
    (void)state;
    open_rig(&r, &o, NULL);
    DONE(push(&r, 0, "a 100, a 100, b 101, a 109, a 110, b 95, b 111, b 91, b 90", NULL));
    /* 9 away: left out; 10 away: passes; before the first counts as well */
    assert_string_equal(r.passed, "0 2 4 6 7 ");
    assert_int_equal(r.left_out, 4);
    close_rig(&r);
}

static void test_dedup_since_last_passes_after_a_silence(void **state)
{
    evs_dedup_options o = within(10);
    rig r;
    (void)state;
    o.since = EVS_DEDUP_SINCE_LAST;
    open_rig(&r, &o, NULL);
    DONE(push(&r, 0, "a 100, a 109, a 118, a 127, a 137, a 146", NULL));
    assert_string_equal(r.passed, "0 4 ");
    close_rig(&r);
}

static void test_dedup_forgets_by_the_watermark(void **state)
{
    evs_dedup_options o = within(10);
    rig r;
    (void)state;
    o.grace_ms = 5;
    open_rig(&r, &o, NULL);
    DONE(push(&r, 0, "a 100", NULL));
    advance(&r, 124);
    DONE(push(&r, 1, "a 109, a 100, a 101", NULL)); /* late, and known */
    assert_string_equal(r.passed, "0 ");
    advance(&r, 125);
    DONE(push(&r, 4, "a 109, a 100, a 110", NULL)); /* [100, 110) is over: they pass, counted */
    assert_string_equal(r.passed, "0 4 5 6 ");
    assert_int_equal(r.late, 2);
    advance(&r, 1000);
    assert_int_equal(r.op->fn->counter(r.op, "state_bytes"), 0);
    close_rig(&r);
}

static void test_gate_sets_aside_what_it_cannot_judge(void **state)
{
    evs_dedup_options o = within(10);
    rig r;
    (void)state;
    open_rig(&r, &o, NULL);
    DONE(push(&r, 0, "a 1, - 2, b -1, ! 4, b 3", NULL));
    assert_string_equal(r.passed, "0 4 ");
    assert_string_equal(r.rejected, "1:null_key 2:event_time 3:expression ");
    close_rig(&r);
    o.null_key = EVS_NULL_KEY_GROUP;
    open_rig(&r, &o, NULL);
    DONE(push(&r, 0, "- 1, - 2, - 50", NULL));
    assert_string_equal(r.passed, "0 2 ");
    close_rig(&r);
}

static void test_limit_keeps_the_first_rows_of_each_span(void **state)
{
    evs_limit_options two = at_most(2, 10), one = at_most(1, 10);
    rig r;
    (void)state;
    open_rig(&r, NULL, &two); /* no key: one limit for all */
    DONE(push(&r, 0, "a 10, b 19, c 11, a 20, b 5", NULL));
    assert_string_equal(r.passed, "0 1 3 4 ");
    close_rig(&r);
    open_rig(&r, NULL, &one);
    DONE(push(&r, 0, "a 10, b 19, b 10, a 20, a 25", NULL));
    advance(&r, 30);
    DONE(push(&r, 5, "c 29, c 30", NULL)); /* its span has ended */
    assert_string_equal(r.passed, "0 1 3 6 ");
    assert_int_equal(r.left_out, 3);
    assert_int_equal(r.late, 1);
    close_rig(&r);
}

static void test_gate_whose_state_is_full_takes_nothing(void **state)
{
    evs_dedup_options o = within(10);
    evs_error *err = NULL;
    rig r;
    (void)state;
    o.state_bytes_max = 4096;
    open_rig(&r, &o, NULL);
    for (int i = 0; i < 1000; i++) {
        char row[32];
        evs_status status;
        snprintf(row, sizeof(row), "key%d 100", i);
        status = push(&r, i, row, &err);
        assert_true(r.op->fn->counter(r.op, "state_bytes") <= 4096);
        if (!status)
            continue;
        assert_true(i > 10);
        assert_evs_error(status, err, EVS_ERR_LIMIT, "a dedup has reached its bound of 4096", NULL);
        /* room is made by time */
        advance(&r, 200);
        DONE(push(&r, i, "later 300", NULL));
        close_rig(&r);
        return;
    }
    fail_msg("the bound was never reached");
}

static void test_gate_refuses_options_out_of_range(void **state)
{
    static const struct {
        int64_t within, grace, bytes;
        int32_t since, null_key;
        const char *part;
    } cases[] = {{0, 0, 1, 1, 1, "within_ms of a dedup is 0"},
                 {-5, 0, 1, 1, 1, "within_ms of a dedup is -5"},
                 {1, -1, 1, 1, 1, "grace_ms of a dedup is -1"},
                 {1, 0, 0, 1, 1, "state_bytes_max of a dedup is 0"},
                 {1, 0, 1, 3, 1, "since of a dedup is 3, it must be 1 to 2"},
                 {1, 0, 1, 1, 0, "null_key of a dedup is 0"}};
    evs_limit_options none = at_most(0, 1), never = at_most(1, 0), extra = at_most(1, 1);
    const evs_limit_options *limits[] = {&none, &never, &extra};
    const char *parts[] = {"rows of a limit is 0", "per_ms of a limit is 0",
                           "reserved of a limit is 1"};
    evs__operator *op = NULL;
    evs_error *err = NULL;
    evs_status status;
    rig r;
    evs_dedup_options o = within(1);
    (void)state;

    extra.reserved = 1;
    open_rig(&r, &o, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        o = (evs_dedup_options){sizeof(o),      cases[i].within, cases[i].grace,
                                cases[i].bytes, cases[i].since,  cases[i].null_key};
        status = evs__dedup_new(r.ctx, r.type, "k", &o, 1, 1, &op, &err);
        assert_evs_error(status, err, EVS_ERR_INVALID, cases[i].part, NULL);
        err = NULL;
    }
    for (size_t i = 0; i < 3; i++) {
        status = evs__limit_new(r.ctx, r.type, "k", limits[i], 1, 1, &op, &err);
        assert_evs_error(status, err, EVS_ERR_INVALID, parts[i], NULL);
        err = NULL;
    }
    o = within(1);
    status = evs__dedup_new(r.ctx, r.type, " ", &o, 1, 1, &op, &err);
    assert_evs_error(status, err, EVS_ERR_EXPRESSION, "a dedup needs a key", NULL);
    err = NULL;
    status = evs__dedup_new(r.ctx, r.type, "kk", &o, 1, 1, &op, &err);
    assert_evs_error(status, err, EVS_ERR_EXPRESSION, "kk", NULL);
    err = NULL;
    status = evs__sample_new(r.ctx, r.type, "k", 0, &op, &err);
    assert_evs_error(status, err, EVS_ERR_INVALID, "one_in of a sample is 0", NULL);
    err = NULL;
    status = evs__sample_new(r.ctx, r.type, "", 2, &op, &err);
    assert_evs_error(status, err, EVS_ERR_EXPRESSION, "a sample needs a key", NULL);
    close_rig(&r);
}

static void test_gate_time_at_its_ends_is_defined(void **state)
{
    evs_dedup_options o = within(1), ever = within(EVS_FOREVER);
    rig r;
    (void)state;
    open_rig(&r, &o, NULL);
    DONE(push(&r, 0, "a 9223372036854775807, a 9223372036854775806, a 9223372036854775807", NULL));
    assert_string_equal(r.passed, "0 1 ");
    close_rig(&r);
    open_rig(&r, &ever, NULL);
    DONE(push(&r, 0, "a 9223372036854775806, a 0, b 5", NULL));
    advance(&r, INT64_MAX - 1);
    DONE(push(&r, 3, "a 9223372036854775807, b 9223372036854775807", NULL));
    /* nearer than for ever is everything */
    assert_string_equal(r.passed, "0 2 ");
    close_rig(&r);
}

static void test_gate_restore_of_any_bytes_is_safe(void **state)
{
    evs_dedup_options o = within(10), other = within(11);
    evs__buffer bytes;
    evs_error *err = NULL;
    evs__operator *op = NULL;
    evs_status status;
    rig r;
    (void)state;
    open_rig(&r, &o, NULL);
    DONE(push(&r, 0, "a 100, a_key_of_more_than_15_bytes 101, - 5, b 102", NULL));
    evs__buffer_init(&bytes, r.ctx, SIZE_MAX);
    DONE(r.op->fn->snapshot(r.op, &bytes, NULL));
    DONE(evs__dedup_new(r.ctx, r.type, "k", &other, 1, 1, &op, NULL));
    status = op->fn->restore(op, bytes.data, bytes.len, &err);
    assert_evs_error(status, err, EVS_ERR_STATE, "the snapshot is of another step: \"dedup span=10",
                     NULL);
    evs__operator_free(op);
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_equal(r.op->fn->restore(r.op, bytes.data, len, NULL), EVS_ERR_CORRUPT);
    for (size_t at = 0; at + 4 < bytes.len; at++) {
        for (int bit = 0; bit < 8; bit++) {
            uint32_t crc;
            bytes.data[at] = (char)(bytes.data[at] ^ 1 << bit);
            assert_int_equal(r.op->fn->restore(r.op, bytes.data, bytes.len, NULL), EVS_ERR_CORRUPT);
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
    DONE(r.op->fn->restore(r.op, bytes.data, bytes.len, NULL));
    *r.passed = '\0';
    DONE(push(&r, 4, "a 101, c 101", NULL));
    assert_string_equal(r.passed, "5 ");
    evs__buffer_free(&bytes);
    close_rig(&r);
}

static void test_sample_is_the_keys_own_choice(void **state)
{
    evs__operator *op = NULL;
    evs__out out;
    evs_batch *b = NULL;
    evs_error *err = NULL;
    int in_all = 0;
    rig r;
    evs_dedup_options o = within(1);
    (void)state;

    open_rig(&r, &o, NULL);
    out = (evs__out){&r, emit, reject, counted};
    DONE(evs__sample_new(r.ctx, r.type, "k, n % 2", 10, &op, &err));
    for (int key = 0; key < 2000; key++) {
        evs_appender *a = NULL;
        char text[32];
        bool in;
        DONE(evs_appender_new(r.ctx, r.type, &a, NULL));
        snprintf(text, sizeof(text), key % 2 ? "k%d" : "a longer key than that %d", key);
        for (int twice = 0; twice < 2; twice++) {
            evs_append_string(a, text, strlen(text));
            evs_append_int(a, twice * 2);
            DONE(evs_append_end_row(a, NULL));
        }
        DONE(evs_appender_take(a, &b, NULL));
        evs_appender_unref(a);
        *r.passed = '\0';
        r.left_out = 0;
        DONE(op->fn->process(op, b, 0, &out, NULL));
        evs_batch_unref(b);
        in = *r.passed != '\0';
        assert_string_equal(r.passed, in ? "0 2 " : "");
        assert_int_equal(r.left_out, in ? 0 : 2);
        in_all += in;
    }
    /* 200 expected; six standard deviations */
    assert_in_range(in_all, 120, 280);
    evs__operator_free(op);
    close_rig(&r);
}

/* ---- pipelines ---- */

static void build(kit *k, const char *shards, int32_t since)
{
    evs_dedup_options d = within(1000);
    evs_limit_options l = at_most(3, 10000);
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    evs_pipeline *p = kit_pipeline(k);

    d.since = since;
    o.size_ms = 10000;
    o.emit = EVS_EMIT_FINAL;
    evs_pipeline_set(p, "state.dir", k->dir);
    evs_pipeline_set(p, "exchange.partitions", shards);
    k->source = evs_source(p, "memory",
                           EVS_OPTIONS("columns", "user VARCHAR, n INT", "partitions", "3",
                                       "out_of_orderness", "0", "idle_timeout", "forever",
                                       "close_after", "forever"));
    evs_sink(evs_window_by(evs_limit(evs_dedup(k->source, "user", &d), "user", &l), "user", &o,
                           "count(*) AS c, sum(n) AS s"),
             "txn", NULL);
}

/* user u of partition u % 3 has an event each 400 ms: of three events the dedup keeps one, each
 * 1,200 ms; of those the limit keeps three in 10 s */
static void feed(kit *k, int from, int to)
{
    for (int i = from; i < to; i++) {
        for (int user = 0; user < 12; user++) {
            evs_status status;
            while ((status = kit_event(k, user % 3, i * 400, user, i)) == EVS_AGAIN)
                evs_pipeline_wait(k->p, 1, NULL);
            OK(status);
        }
    }
}

static void check(kit *k, int events)
{
    char want[8192] = "", line[128];
    for (int user = 0; user < 12; user++) {
        for (int w = 0; w * 25 < events; w++) {
            int count = 0, sum = 0;
            for (int i = 0; i < events; i += 3) {
                if (i * 400 / 10000 == w && count < 3) {
                    count++;
                    sum += i;
                }
            }
            if (count) {
                char start[EVS__TIME_TEXT_MAX + 1], end[EVS__TIME_TEXT_MAX + 1];
                start[evs__time_format(w * 10000, start)] = '\0';
                end[evs__time_format((w + 1) * 10000, end)] = '\0';
                snprintf(line, sizeof(line), "u%d|%s|%s|%d|%d", user, start, end, count, sum);
                strcat(strcat(want, line), "\n");
            }
        }
    }
    {
        /* in the table's order */
        table t = {0};
        char *text;
        for (char *at = strtok(want, "\n"); at; at = strtok(NULL, "\n"))
            table_put(&t, "", at);
        text = table_text(&t);
        assert_table(&k->db.committed, text);
        free(text);
        table_clear(&t);
    }
}

static void test_gates_give_the_same_for_every_number_of_shards_and_workers(void **state)
{
    static const struct {
        const char *shards;
        int workers;
    } cases[] = {{"1", 0}, {"5", 0}, {"4", 1}, {"4", 2}, {"3", 4}};
    kit *k = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        database_clear(&k->db);
        remove_dir(k->dir);
        build(k, cases[i].shards, EVS_DEDUP_SINCE_FIRST);
        if (cases[i].workers) {
            k->p->hooks.now_ms = NULL;
            OK(evs_pipeline_start(k->p, cases[i].workers, &k->err));
        }
        feed(k, 0, 200);
        OK(evs_stream_push_end(k->source, &k->err));
        if (cases[i].workers)
            OK(evs_pipeline_wait(k->p, 20000, &k->err));
        else
            assert_int_equal(kit_drain(k), EVS_END);
        check(k, 200);
        /* dedup: 133 of 200 of each user; limit: what is above three in 10 s */
        assert_true(kit_metric(k, "left_out_total") > 12 * 133);
        assert_true(kit_metric(k, "events_in_total") == 2400);
        assert_true(kit_metric(k, "dead_letters_total") == 0);
    }
}

static void test_gates_go_on_after_a_restart(void **state)
{
    kit *k = *state;

    for (int stop = 1; stop < 60; stop += 7) {
        database_clear(&k->db);
        remove_dir(k->dir);
        build(k, "4", EVS_DEDUP_SINCE_FIRST);
        feed(k, 0, stop);
        assert_int_equal(kit_drain(k), EVS_AGAIN);
        OK(evs_pipeline_close(k->p, &k->err));
        build(k, "4", EVS_DEDUP_SINCE_FIRST);
        feed(k, 0, 60);
        OK(evs_stream_push_end(k->source, &k->err));
        assert_int_equal(kit_drain(k), EVS_END);
        check(k, 60);
    }
}

static void test_gates_in_the_plan(void **state)
{
    kit *k = *state;
    const char *text = NULL;
    char fingerprint[33];
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    evs_dedup_options d = within(1000), sized = within(1);

    build(k, "4", EVS_DEDUP_SINCE_FIRST);
    evs_sink(evs_sample(k->source, "user", 100), "upsert", NULL);
    OK(evs_pipeline_explain(k->p, &text, &k->err));
    assert_non_null(strstr(text, "dedup_1: by (user)\n"));
    assert_non_null(strstr(text, "within 1s of the first, grace 0ms, event time\n"));
    assert_non_null(strstr(text, "limit_1: by (user)\n"));
    assert_non_null(strstr(text, "3 rows per 10s, grace 0ms, event time\n"));
    assert_non_null(strstr(text, "exchange: 4 shards by key\n"));
    assert_non_null(strstr(text, "sample_1: one key of (user) in 100\n"));
    snprintf(fingerprint, sizeof(fingerprint), "%s", evs_pipeline_fingerprint(k->p));
    build(k, "4", EVS_DEDUP_SINCE_LAST);
    evs_sink(evs_sample(k->source, "user", 100), "upsert", NULL);
    OK(evs_pipeline_check(k->p, &k->err));
    assert_string_not_equal(fingerprint, evs_pipeline_fingerprint(k->p));
    /* only the key is decoded for a count */
    o.size_ms = 1;
    build(k, "4", EVS_DEDUP_SINCE_FIRST);
    evs_dedup(evs_window_by(k->source, "user", &o, "count(*)"), "user", &d);
    FAILS(evs_pipeline_check(k->p, &k->err), EVS_ERR_UNSUPPORTED,
          "it would take each update of \"window_2\" for another row");
    build(k, "4", EVS_DEDUP_SINCE_FIRST);
    evs_limit(k->source, "user", NULL);
    FAILS(evs_pipeline_check(k->p, &k->err), EVS_ERR_INVALID, "limit: options is NULL");
    sized.struct_size = 3;
    build(k, "4", EVS_DEDUP_SINCE_FIRST);
    evs_dedup(k->source, "user", &sized);
    FAILS(evs_pipeline_check(k->p, &k->err), EVS_ERR_INVALID, "dedup: the options have a struct_");
    build(k, "4", EVS_DEDUP_SINCE_FIRST);
    evs_sample(k->source, NULL, 2);
    FAILS(evs_pipeline_check(k->p, &k->err), EVS_ERR_INVALID, "sample: keys is NULL");
}

static void test_options_init_fills_what_the_caller_has(void **state)
{
    evs_dedup_options d, known = EVS_DEDUP_OPTIONS_INIT;
    evs_limit_options l, limit = EVS_LIMIT_OPTIONS_INIT;
    (void)state;
    evs_dedup_options_init(&d, sizeof(d));
    assert_memory_equal(&d, &known, sizeof(d));
    evs_limit_options_init(&l, sizeof(l));
    assert_memory_equal(&l, &limit, sizeof(l));
    evs_dedup_options_init(NULL, 10);
    evs_limit_options_init(&l, 2);
    assert_memory_equal(&l, &limit, sizeof(l));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dedup_keeps_the_first_of_a_key_within_the_time),
        cmocka_unit_test(test_dedup_since_last_passes_after_a_silence),
        cmocka_unit_test(test_dedup_forgets_by_the_watermark),
        cmocka_unit_test(test_gate_sets_aside_what_it_cannot_judge),
        cmocka_unit_test(test_limit_keeps_the_first_rows_of_each_span),
        cmocka_unit_test(test_gate_whose_state_is_full_takes_nothing),
        cmocka_unit_test(test_gate_refuses_options_out_of_range),
        cmocka_unit_test(test_gate_time_at_its_ends_is_defined),
        cmocka_unit_test(test_gate_restore_of_any_bytes_is_safe),
        cmocka_unit_test(test_sample_is_the_keys_own_choice),
        KIT_TEST(test_gates_give_the_same_for_every_number_of_shards_and_workers),
        KIT_TEST(test_gates_go_on_after_a_restart),
        KIT_TEST(test_gates_in_the_plan),
        cmocka_unit_test(test_options_init_fills_what_the_caller_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
