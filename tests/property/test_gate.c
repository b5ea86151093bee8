/*
 * Dedup and limit against their definition, on random streams: one to three inputs, disorder, late
 * rows, idle inputs, keys of three shapes, NULL keys, rows without time, batches of 1 to 4,096 rows
 * with rows between that are not selected, restarts from a snapshot, emits that fail.
 *
 * The model never forgets and looks at every row it remembers. EVS_MODEL_RUNS sets the number of
 * streams; a failure prints the seed, and EVS_MODEL_SEED runs that one alone.
 */
#include <stdio.h>

#include "../support/evs_test.h"

#include "engine/gate.h"
#include "evstream/pipeline.h"

#define ROWS_MAX 6000
#define SLOTS_MAX 3

typedef struct row {
    int slot, key; /* key below 0: NULL */
    int64_t time;  /* EVS_TIME_NONE: none */
    int64_t mark;  /* its input's watermark including it */
    int idle;      /* after it this input falls silent; -1: none */
} row;

typedef struct stream {
    uint64_t seed, random;
    int rows, slots, batch_max, restart_in, fails;
    bool limit;
    evs_dedup_options dedup;
    evs_limit_options per;
    int shape; /* of the key */
    row row[ROWS_MAX];
} stream;

static const char *const shapes[][2] = {
    {"STRUCT<k VARCHAR, n INT NOT NULL> NOT NULL", "k"},
    {"STRUCT<k BIGINT, n INT NOT NULL> NOT NULL", "k"},
    {"STRUCT<k VARCHAR, n INT NOT NULL> NOT NULL", "upper(k), n - n"}};

static int64_t pick(stream *s, int64_t low, int64_t high)
{
    return low + (int64_t)(evs_test_random(&s->random) % (uint64_t)(high - low + 1));
}

static void make_rows(stream *s)
{
    int64_t base[SLOTS_MAX] = {0}, high[SLOTS_MAX], disorder = pick(s, 0, 300);
    int64_t step = pick(s, 1, 40), keys = pick(s, 1, 60);

    for (int i = 0; i < s->slots; i++)
        high[i] = INT64_MIN + 1000000;
    for (int i = 0; i < s->rows; i++) {
        row *r = &s->row[i];
        r->slot = i && pick(s, 0, 3) ? s->row[i - 1].slot : (int)pick(s, 0, s->slots - 1);
        r->key = pick(s, 0, 30) ? (int)pick(s, 0, keys) : -1;
        base[r->slot] += pick(s, 0, step);
        r->time = base[r->slot] - 500 + pick(s, 0, disorder);
        if (pick(s, 0, 30) == 0)
            r->time -= pick(s, 0, 2000); /* maybe late */
        if (pick(s, 0, 60) == 0)
            r->time = EVS_TIME_NONE;
        else if (r->time > high[r->slot])
            high[r->slot] = r->time;
        r->mark = high[r->slot] - disorder;
        r->idle = pick(s, 0, 400) == 0 ? (int)pick(s, 0, s->slots - 1) : -1;
    }
}

static void make_stream(stream *s, uint64_t seed)
{
    *s = (stream){.seed = seed,
                  .random = seed,
                  .dedup = EVS_DEDUP_OPTIONS_INIT,
                  .per = EVS_LIMIT_OPTIONS_INIT};
    s->rows = (int)pick(s, 1, pick(s, 0, 5) ? 400 : ROWS_MAX);
    s->slots = (int)pick(s, 1, SLOTS_MAX);
    s->batch_max = (int)(pick(s, 0, 2) ? pick(s, 1, 30) : pick(s, 1, EVS_BATCH_ROWS_MAX));
    s->restart_in = pick(s, 0, 1) ? 0 : (int)pick(s, 1, 200);
    s->fails = (int)pick(s, 0, 2);
    s->limit = pick(s, 0, 1);
    s->shape = (int)pick(s, 0, 2);
    s->dedup.within_ms = pick(s, 0, 9) ? pick(s, 1, 600) : EVS_FOREVER;
    s->dedup.grace_ms = pick(s, 0, 1) * pick(s, 0, 500);
    s->dedup.since = (int32_t)pick(s, EVS_DEDUP_SINCE_FIRST, EVS_DEDUP_SINCE_LAST);
    s->dedup.null_key = (int32_t)pick(s, EVS_NULL_KEY_DEAD_LETTER, EVS_NULL_KEY_GROUP);
    s->per.rows = pick(s, 1, 5);
    s->per.per_ms = pick(s, 1, 600);
    s->per.grace_ms = s->dedup.grace_ms;
    s->per.null_key = s->dedup.null_key;
    make_rows(s);
}

/* ---- the model ---- */

typedef struct seen {
    int key;
    int64_t time;
} seen;

typedef struct model {
    seen seen[ROWS_MAX];
    int count;
    int64_t mark[SLOTS_MAX], watermark;
    bool idle[SLOTS_MAX];
    int passed[ROWS_MAX], passed_count;
    long left_out, late, rejected;
} model;

static void model_time(model *m, const stream *s)
{
    int64_t low = INT64_MAX, high = INT64_MIN;
    for (int i = 0; i < s->slots; i++) {
        if (!m->idle[i] && m->mark[i] < low)
            low = m->mark[i];
        if (m->mark[i] > high)
            high = m->mark[i];
    }
    low = low == INT64_MAX ? high : low;
    m->watermark = low > m->watermark ? low : m->watermark;
}

static int64_t distance(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

static int64_t span_of(const stream *s, int64_t t)
{
    int64_t n = 0;
    while (n * s->per.per_ms > t)
        n--;
    while ((n + 1) * s->per.per_ms <= t)
        n++;
    return n;
}

static bool model_limit(model *m, const stream *s, const row *r)
{
    int64_t span = span_of(s, r->time), count = 0;
    if ((span + 1) * s->per.per_ms + s->per.grace_ms <= m->watermark) {
        m->late++;
        return false;
    }
    for (int i = 0; i < m->count; i++)
        count += m->seen[i].key == r->key && span_of(s, m->seen[i].time) == span;
    if (count < s->per.rows)
        m->seen[m->count++] = (seen){r->key, r->time};
    return count < s->per.rows;
}

/* the dedup does not remember this time any more */
static bool is_over(const model *m, const stream *s, int64_t t)
{
    int64_t within = s->dedup.within_ms, start;
    if (within == EVS_FOREVER)
        return false;
    start = t >= 0 ? t / within : -((within - 1 - t) / within);
    return (start + 2) * within + s->dedup.grace_ms <= m->watermark;
}

static bool model_dedup(model *m, const stream *s, const row *r)
{
    bool repeated = false;
    if (is_over(m, s, r->time)) {
        m->late++;
        return true;
    }
    for (int i = 0; i < m->count; i++)
        repeated |= m->seen[i].key == r->key && !is_over(m, s, m->seen[i].time) &&
                    distance(m->seen[i].time, r->time) < s->dedup.within_ms;
    if (!repeated || s->dedup.since == EVS_DEDUP_SINCE_LAST)
        m->seen[m->count++] = (seen){r->key, r->time};
    return !repeated;
}

static void model_run(model *m, const stream *s)
{
    *m = (model){.watermark = INT64_MIN};
    for (int i = 0; i < s->slots; i++)
        m->mark[i] = INT64_MIN;
    for (int i = 0; i < s->rows; i++) {
        const row *r = &s->row[i];
        m->idle[r->slot] = false;
        m->mark[r->slot] = r->mark > m->mark[r->slot] ? r->mark : m->mark[r->slot];
        model_time(m, s);
        if (r->time == EVS_TIME_NONE || (r->key < 0 && s->dedup.null_key != EVS_NULL_KEY_GROUP))
            m->rejected++;
        else if (s->limit ? model_limit(m, s, r) : model_dedup(m, s, r))
            m->passed[m->passed_count++] = i;
        else
            m->left_out++;
        if (r->idle >= 0) {
            m->idle[r->idle] = true;
            model_time(m, s);
        }
    }
}

/* ---- the operator ---- */

typedef struct rig {
    stream *s;
    evs_context *ctx;
    evs_type *type;
    evs_appender *appender;
    evs__operator *op;
    int passed[ROWS_MAX], passed_count;
    long left_out, late, rejected;
} rig;

static evs_status emit(void *user, int port, evs_batch *batch, evs_error **reterr)
{
    rig *g = user;
    assert_int_equal(port, EVS__PORT_MAIN);
    if (g->s->fails && pick(g->s, 0, 5) < g->s->fails)
        return evs__fail(g->ctx, reterr, EVS_ERR_LIMIT, "no room");
    for (uint32_t k = 0; k < batch->count; k++)
        g->passed[g->passed_count++] = batch->columns[1]->i32[evs__batch_row_at(batch, k)];
    /* what passes on is the time of all inputs */
    for (uint32_t r = 1; r < batch->rows; r++)
        assert_true(batch->row_watermark[r - 1] <= batch->row_watermark[r]);
    return EVS_OK;
}

static void reject(void *user,
                   const evs_batch *batch,
                   uint32_t at,
                   const char *stage,
                   evs_status status,
                   const char *message)
{
    rig *g = user;
    (void)batch;
    (void)at;
    (void)stage;
    (void)status;
    (void)message;
    g->rejected++;
}

static void counted(void *user, uint32_t left_out, uint32_t late)
{
    rig *g = user;
    g->left_out += left_out;
    g->late += late;
}

static evs__operator *make_operator(rig *g)
{
    evs__operator *op = NULL;
    evs_error *err = NULL;
    const stream *s = g->s;
    const char *keys = shapes[s->shape][1];
    if (s->limit)
        assert_evs_ok(evs__limit_new(g->ctx, g->type, keys, &s->per, (uint32_t)s->slots,
                                     EVS_TIME_WATERMARK, &op, &err),
                      err);
    else
        assert_evs_ok(evs__dedup_new(g->ctx, g->type, keys, &s->dedup, (uint32_t)s->slots,
                                     EVS_TIME_WATERMARK, &op, &err),
                      err);
    return op;
}

static void append(rig *g, int key, int number, int64_t time)
{
    char text[64];
    evs_appender *a = g->appender;
    if (time != EVS_TIME_NONE)
        evs_append_time(a, time);
    /* some keys are longer than the interner holds inline */
    snprintf(text, sizeof(text), key % 7 ? "K%d" : "A KEY OF MORE THAN 15 BYTES %d", key);
    if (key < 0)
        evs_append_null(a);
    else if (g->s->shape == 1)
        evs_append_int(a, key);
    else
        evs_append_string(a, text, strlen(text));
    evs_append_int(a, number);
    assert_int_equal(evs_append_end_row(a, NULL), EVS_OK);
}

static void push(rig *g, int first, int n)
{
    stream *s = g->s;
    uint32_t *sel = malloc((size_t)n * sizeof(*sel)), rows = 0;
    int64_t *marks = malloc((size_t)n * 4 * sizeof(*marks));
    bool gaps = pick(s, 0, 2) == 0;
    evs_batch *b = NULL, *selected = NULL;
    evs__out out = {g, emit, reject, counted};
    evs_status status;

    for (int i = first; i < first + n; i++) {
        if (gaps && rows < (uint32_t)n * 3 && !pick(s, 0, 2)) {
            append(g, 1, -1, 5);
            marks[rows++] = i > first ? s->row[i - 1].mark : INT64_MIN;
        }
        append(g, s->row[i].key, i, s->row[i].time);
        marks[rows] = s->row[i].mark;
        sel[i - first] = rows++;
    }
    assert_int_equal(evs_appender_take(g->appender, &b, NULL), EVS_OK);
    assert_int_equal(evs__batch_select(b, sel, (uint32_t)n, &selected), EVS_OK);
    assert_int_equal(evs__batch_need_row_watermark(selected), EVS_OK);
    memcpy(selected->row_watermark, marks, rows * sizeof(*marks));
    selected->slot = (uint32_t)s->row[first].slot;
    do {
        status = g->op->fn->process(g->op, selected, 0, &out, NULL);
    } while (status == EVS_ERR_LIMIT); /* nothing was taken */
    assert_int_equal(status, EVS_OK);
    evs_batch_unref(selected);
    evs_batch_unref(b);
    free(sel);
    free(marks);
}

static void restart(rig *g)
{
    evs__operator *next = make_operator(g);
    evs__buffer bytes, again;
    evs_error *err = NULL;

    evs__buffer_init(&bytes, g->ctx, SIZE_MAX);
    evs__buffer_init(&again, g->ctx, SIZE_MAX);
    assert_evs_ok(g->op->fn->snapshot(g->op, &bytes, &err), err);
    assert_evs_ok(next->fn->restore(next, bytes.data, bytes.len, &err), err);
    assert_evs_ok(next->fn->snapshot(next, &again, &err), err);
    assert_int_equal(bytes.len, again.len);
    assert_memory_equal(bytes.data, again.data, bytes.len);
    evs__buffer_free(&bytes);
    evs__buffer_free(&again);
    evs__operator_free(g->op);
    g->op = next;
}

static void play(rig *g)
{
    stream *s = g->s;
    for (int i = 0, n; i < s->rows; i += n) {
        int most = (int)pick(s, 1, s->batch_max), idle;
        for (n = 1; n < most && i + n < s->rows && s->row[i + n].slot == s->row[i].slot &&
                    s->row[i + n - 1].idle < 0;
             n++)
            ;
        push(g, i, n);
        if ((idle = s->row[i + n - 1].idle) >= 0)
            g->op->fn->advance(g->op, (uint32_t)idle, EVS_TIME_NONE, true, 0, NULL, NULL);
        if (s->restart_in && i / s->restart_in != (i + n) / s->restart_in)
            restart(g);
    }
}

/* everything is forgotten once time has passed it */
static void check_end(rig *g)
{
    for (int i = 0; i < g->s->slots; i++)
        g->op->fn->advance(g->op, (uint32_t)i, INT64_C(1) << 40, false, 0, NULL, NULL);
    if (g->s->limit || g->s->dedup.within_ms != EVS_FOREVER)
        assert_int_equal(g->op->fn->counter(g->op, "state_bytes"), 0);
}

static bool run_stream(stream *s)
{
    static model m;
    static rig g;
    evs_test_memory memory = {.fail_at = -1};
    bool same;

    g = (rig){.s = s, .ctx = evs_test_context(&memory)};
    g.type = evs_test_type(g.ctx, shapes[s->shape][0]);
    assert_int_equal(evs_appender_new(g.ctx, g.type, &g.appender, NULL), EVS_OK);
    g.op = make_operator(&g);
    play(&g);
    model_run(&m, s);
    same = g.passed_count == m.passed_count && g.left_out == m.left_out && g.late == m.late &&
           g.rejected == m.rejected &&
           memcmp(g.passed, m.passed, (size_t)m.passed_count * sizeof(*m.passed)) == 0;
    if (!same)
        print_message("EVS_MODEL_SEED=%llu: %d rows, %d inputs, batches of %d: passed %d (model "
                      "%d), left out %ld (%ld), late %ld (%ld), rejected %ld (%ld)\n",
                      (unsigned long long)s->seed, s->rows, s->slots, s->batch_max, g.passed_count,
                      m.passed_count, g.left_out, m.left_out, g.late, m.late, g.rejected,
                      m.rejected);
    check_end(&g);
    evs__operator_free(g.op);
    evs_appender_unref(g.appender);
    evs_type_unref(g.type);
    evs_context_unref(g.ctx);
    assert_int_equal(memory.live, 0);
    return same;
}

static void test_gate_random_streams_equal_the_model(void **state)
{
    static stream s;
    const char *one = getenv("EVS_MODEL_SEED"), *runs = getenv("EVS_MODEL_RUNS");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1;
    uint64_t count = one ? 1 : runs ? strtoull(runs, NULL, 10) : 1000;

    (void)state;
    for (uint64_t seed = first; seed < first + count; seed++) {
        make_stream(&s, seed);
        assert_true(run_stream(&s));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gate_random_streams_equal_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
