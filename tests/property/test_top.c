/*
 * The best n rows of each window against sorting everything, on random streams: one to three
 * inputs, windows whose rows come mixed, equal rows, ties, NULLs, keys, batches of 1 to 4,096 rows,
 * restarts from a snapshot, emits that fail. EVS_MODEL_RUNS, EVS_MODEL_SEED as in test_gate.c.
 */
#include <stdio.h>

#include "../support/evs_test.h"

#include "engine/top.h"
#include "evstream/window.h"

#define ROWS_MAX 3000
#define SLOTS_MAX 3
#define TYPE "STRUCT<region VARCHAR, views INT, page VARCHAR, end BIGINT NOT NULL> NOT NULL"

typedef struct row {
    int slot, window, region, views, page; /* region, views below 0: NULL */
    bool given;
} row;

typedef struct stream {
    uint64_t seed, random;
    int rows, slots, n, batch_max, restart_in, fails;
    bool per, up; /* per region; ascending */
    row row[ROWS_MAX];
} stream;

static int64_t pick(stream *s, int64_t low, int64_t high)
{
    return low + (int64_t)(evs_test_random(&s->random) % (uint64_t)(high - low + 1));
}

static void make_stream(stream *s, uint64_t seed)
{
    int base[SLOTS_MAX] = {0};
    *s = (stream){.seed = seed, .random = seed};
    s->rows = (int)pick(s, 1, pick(s, 0, 3) ? 300 : ROWS_MAX);
    s->slots = (int)pick(s, 1, SLOTS_MAX);
    s->n = (int)(pick(s, 0, 1) ? pick(s, 1, 5) : pick(s, 1, 2000));
    s->batch_max = (int)(pick(s, 0, 2) ? pick(s, 1, 30) : pick(s, 1, EVS_BATCH_ROWS_MAX));
    s->restart_in = pick(s, 0, 1) ? 0 : (int)pick(s, 1, 200);
    s->fails = (int)pick(s, 0, 2);
    s->per = pick(s, 0, 1);
    s->up = pick(s, 0, 1);
    for (int i = 0; i < s->rows; i++) {
        row *r = &s->row[i];
        r->slot = i && pick(s, 0, 3) ? s->row[i - 1].slot : (int)pick(s, 0, s->slots - 1);
        base[r->slot] += pick(s, 0, 40) == 0;
        r->window = base[r->slot] + (int)pick(s, 0, 2);
        r->region = (int)pick(s, -1, 5);
        r->views = (int)pick(s, -1, 12);
        r->page = (int)pick(s, 0, 8);
    }
}

/* ---- the model ---- */

static const stream *sorted_by; /* for qsort */

static int number(int a, int b)
{
    return (a > b) - (a < b);
}

/* window, region, then the order, then all columns */
static int compare(const void *pa, const void *pb)
{
    const row *a = *(row *const *)pa, *b = *(row *const *)pb;
    int c = number(a->window, b->window);
    if (!c && sorted_by->per)
        c = number(a->region, b->region);
    if (!c)
        c = sorted_by->up ? number(a->views, b->views) : number(b->views, a->views);
    if (!c)
        c = number(a->region, b->region);
    return c ? c : number(a->page, b->page);
}

static int print(char *text, size_t size, const row *r)
{
    return snprintf(text, size, "%d %d %d %d\n", r->window, r->region, r->views, r->page);
}

/* what is over below `window`, in the order of compare() */
static void model_give(stream *s, int window, evs__buffer *out)
{
    static row *all[ROWS_MAX];
    int count = 0, rank = 0;
    char text[64];

    for (int i = 0; i < s->rows; i++) {
        if (!s->row[i].given && s->row[i].window < window) {
            s->row[i].given = true;
            all[count++] = &s->row[i];
        }
    }
    sorted_by = s;
    qsort(all, (size_t)count, sizeof(*all), compare);
    for (int i = 0; i < count; i++) {
        bool same = i && all[i]->window == all[i - 1]->window &&
                    (!s->per || all[i]->region == all[i - 1]->region);
        rank = same ? rank + 1 : 0;
        if (rank < s->n)
            evs__buffer_append(out, text, (size_t)print(text, sizeof(text), all[i]));
    }
}

/* ---- the operator ---- */

typedef struct rig {
    stream *s;
    evs_context *ctx;
    evs_type *type;
    evs_appender *appender;
    evs__operator *op;
    row got[ROWS_MAX];
    int count, windows; /* the watermark: windows below are over */
} rig;

static int cell(const evs_batch *b, uint32_t column, uint32_t at)
{
    const evs__column *c = b->columns[column];
    char number[16];
    if (evs__column_is_null(c, at))
        return -1;
    if (column == 1)
        return c->i32[at];
    snprintf(number, sizeof(number), "%.*s", (int)evs__column_str(c, at).len - 1,
             evs__column_str(c, at).data + 1);
    return atoi(number);
}

static evs_status emit(void *user, int port, evs_batch *b, evs_error **reterr)
{
    rig *g = user;
    assert_int_equal(port, EVS__PORT_MAIN);
    if (g->s->fails && pick(g->s, 0, 5) < g->s->fails)
        return evs__fail(g->ctx, reterr, EVS_ERR_LIMIT, "no room");
    assert_int_equal(b->column_count, 4);
    for (uint32_t k = 0; k < b->count; k++) {
        assert_int_equal(b->times[k], b->columns[3]->i64[k]);
        g->got[g->count++] = (row){.window = (int)(b->times[k] / 10),
                                   .region = cell(b, 0, k),
                                   .views = cell(b, 1, k),
                                   .page = cell(b, 2, k)};
    }
    return EVS_OK;
}

static void reject(void *user,
                   const evs_batch *batch,
                   uint32_t at,
                   const char *stage,
                   evs_status status,
                   const char *message)
{
    (void)user;
    (void)batch;
    (void)at;
    (void)status;
    (void)message;
    fail_msg("a row was rejected: %s", stage);
}

static evs__operator *make_operator(rig *g)
{
    const stream *s = g->s;
    evs__operator *op = NULL;
    evs_error *err = NULL;
    evs_status status = evs__top_new(g->ctx, g->type, s->per ? "region" : "",
                                     s->up ? "views asc" : "views + 0 DESC", s->n, 1 << 30,
                                     (uint32_t)s->slots, EVS_TIME_WATERMARK, &op, &err);
    assert_evs_ok(status, err);
    return op;
}

static void append(rig *g, const row *r)
{
    char text[64];
    evs_appender *a = g->appender;

    evs_append_time(a, r->window * 10 + 9);
    snprintf(text, sizeof(text), "r%d is a region with a long name", r->region);
    if (r->region < 0)
        evs_append_null(a);
    else
        evs_append_string(a, text, strlen(text));
    if (r->views < 0)
        evs_append_null(a);
    else
        evs_append_int(a, r->views);
    snprintf(text, sizeof(text), "p%d", r->page);
    evs_append_string(a, text, strlen(text));
    evs_append_int(a, r->window * 10 + 9);
    assert_int_equal(evs_append_end_row(a, NULL), EVS_OK);
}

static void push(rig *g, int first, int n)
{
    evs__out out = {g, emit, reject, NULL};
    evs_batch *b = NULL;
    evs_status status;

    for (int i = first; i < first + n; i++)
        append(g, &g->s->row[i]);
    assert_int_equal(evs_appender_take(g->appender, &b, NULL), EVS_OK);
    b->slot = (uint32_t)g->s->row[first].slot;
    do {
        status = g->op->fn->process(g->op, b, 0, &out, NULL);
    } while (status == EVS_ERR_LIMIT);
    assert_int_equal(status, EVS_OK);
    evs_batch_unref(b);
}

static void restart(rig *g)
{
    evs__operator *next = make_operator(g);
    evs__buffer bytes;
    evs_error *err = NULL;

    evs__buffer_init(&bytes, g->ctx, SIZE_MAX);
    assert_evs_ok(g->op->fn->snapshot(g->op, &bytes, &err), err);
    assert_evs_ok(next->fn->restore(next, bytes.data, bytes.len, &err), err);
    evs__buffer_free(&bytes);
    evs__operator_free(g->op);
    g->op = next;
}

static void advance(rig *g, int slot, int windows)
{
    evs__out out = {g, emit, reject, NULL};
    evs_status status =
        g->op->fn->advance(g->op, (uint32_t)slot, windows * 10, false, 0, &out, NULL);
    assert_true(status == EVS_OK || status == EVS_ERR_LIMIT);
}

/* the rows of an input still to come are of this window or newer */
static int oldest(const stream *s, int slot, int from)
{
    int low = 10000;
    for (int i = from; i < s->rows; i++) {
        if (s->row[i].slot == slot && s->row[i].window < low)
            low = s->row[i].window;
    }
    return low;
}

static void play(rig *g, evs__buffer *want)
{
    stream *s = g->s;

    for (int i = 0, n; i < s->rows; i += n) {
        int most = (int)pick(s, 1, s->batch_max), low = 10000;
        for (n = 1; n < most && i + n < s->rows && s->row[i + n].slot == s->row[i].slot; n++)
            ;
        push(g, i, n);
        if (s->restart_in && i / s->restart_in != (i + n) / s->restart_in)
            restart(g);
        if (pick(s, 0, 2))
            continue;
        for (int slot = 0; slot < s->slots; slot++) {
            int first = oldest(s, slot, i + n);
            advance(g, slot, first);
            low = first < low ? first : low;
        }
        model_give(s, low, want);
    }
    for (int slot = 0; slot < s->slots; slot++)
        advance(g, slot, 10000);
    model_give(s, 10000, want);
    for (int tries = 0; tries < 1000 && g->op->fn->counter(g->op, "open_windows"); tries++)
        advance(g, 0, 10000);
    assert_int_equal(g->op->fn->counter(g->op, "state_bytes"), 0);
}

/* groups of one window come in any order, the rows of each in the right one */
static void got_text(rig *g, evs__buffer *out)
{
    static row *all[ROWS_MAX];
    char text[64];

    for (int i = 0; i < g->count; i++) {
        const row *r = &g->got[i], *before = i ? r - 1 : NULL;
        if (before && before->window == r->window && (!g->s->per || before->region == r->region)) {
            sorted_by = g->s;
            assert_true(compare(&before, &r) <= 0);
        }
        assert_true(!before || before->window <= r->window);
        all[i] = &g->got[i];
    }
    sorted_by = g->s;
    qsort(all, (size_t)g->count, sizeof(*all), compare);
    for (int i = 0; i < g->count; i++)
        evs__buffer_append(out, text, (size_t)print(text, sizeof(text), all[i]));
}

static bool run_stream(stream *s)
{
    static rig g;
    evs_test_memory memory = {.fail_at = -1};
    evs__buffer want, got;
    bool same;

    g = (rig){.s = s, .ctx = evs_test_context(&memory)};
    evs__buffer_init(&want, g.ctx, SIZE_MAX);
    evs__buffer_init(&got, g.ctx, SIZE_MAX);
    g.type = evs_test_type(g.ctx, TYPE);
    assert_int_equal(evs_appender_new(g.ctx, g.type, &g.appender, NULL), EVS_OK);
    g.op = make_operator(&g);
    play(&g, &want);
    got_text(&g, &got);
    same = want.len == got.len && (!want.len || memcmp(want.data, got.data, want.len) == 0);
    if (!same)
        print_message("EVS_MODEL_SEED=%llu: %d rows, best %d\ngot\n%.*s\nmodel\n%.*s\n",
                      (unsigned long long)s->seed, s->rows, s->n, (int)got.len, got.data,
                      (int)want.len, want.data);
    evs__buffer_free(&want);
    evs__buffer_free(&got);
    evs__operator_free(g.op);
    evs_appender_unref(g.appender);
    evs_type_unref(g.type);
    evs_context_unref(g.ctx);
    assert_int_equal(memory.live, 0);
    return same;
}

static void test_top_random_streams_equal_the_model(void **state)
{
    static stream s;
    const char *one = getenv("EVS_MODEL_SEED"), *runs = getenv("EVS_MODEL_RUNS");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1;
    uint64_t count = one ? 1 : runs ? strtoull(runs, NULL, 10) : 600;

    (void)state;
    for (uint64_t seed = first; seed < first + count; seed++) {
        make_stream(&s, seed);
        assert_true(run_stream(&s));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_top_random_streams_equal_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
