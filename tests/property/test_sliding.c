/*
 * Sliding windows against the definition below, on random streams of few keys: disorder,
 * duplicates, late rows, times about 0, batches of 1 to 4,096 rows, restarts from snapshots at any
 * point. Final results and late rows have to be the model's, to the byte and in order; changes are
 * compared as a set at each flush, with their row kinds.
 *
 * EVS_MODEL_RUNS sets the number of streams; a failure prints the seed, and EVS_MODEL_SEED runs
 * that one alone.
 */
#include "evs_test.h"

#include <stdio.h>

#define ROWS_MAX 160
#define WINDOWS_MAX (3 * ROWS_MAX)
#define TEXT_MAX (1 << 22)

typedef struct row {
    int64_t t, key, value;
    int64_t mark; /* watermark including the row */
    int flush;    /* number of the flush before it */
} row;

typedef struct window {
    int64_t key, start;
    int arrival; /* of the row that made it */
    bool given;
} window;

typedef struct stream {
    uint64_t random;
    evs_window_options options;
    row rows[ROWS_MAX];
    bool flush_after[ROWS_MAX];
    int count, batch_max, restart_in;
} stream;

/* ---- the definition ---- */

typedef struct model {
    int64_t size, grace, watermark;
    bool late_all;
    row known[ROWS_MAX]; /* rows that a window took, in order of arrival */
    window windows[WINDOWS_MAX];
    int known_count, window_count, flushes, arrivals;
    char *late;
} model;

static bool over(const model *m, int64_t start, int64_t mark)
{
    return start + m->size + m->grace < mark;
}

static bool has(const model *m, const window *w, const row *r)
{
    return r->key == w->key && r->t >= w->start && r->t <= w->start + m->size &&
           !over(m, w->start, r->mark);
}

static void make(model *m, int64_t key, int64_t start)
{
    for (int i = 0; i < m->window_count; i++) {
        if (m->windows[i].key == key && m->windows[i].start == start)
            return;
    }
    m->windows[m->window_count++] = (window){key, start, m->arrivals, false};
}

static void model_push(model *m, row r, int64_t delay)
{
    int64_t own = r.t >= 0 && r.t < m->size ? 0 : r.t - m->size, before = INT64_MIN;
    bool followed = false, counts = false;
    int taking = 0;

    m->watermark = r.t - delay > m->watermark ? r.t - delay : m->watermark;
    r.mark = m->watermark;
    r.flush = m->flushes;
    m->arrivals++;
    for (int i = 0; i < m->known_count; i++) {
        const row *k = &m->known[i];
        if (k->key == r.key && k->t < r.t && k->t > before)
            before = k->t;
        followed = followed || (k->key == r.key && k->t > r.t && k->t <= r.t + 1 + m->size);
    }
    counts = !over(m, r.t, r.mark); /* some window could take it */
    if (counts && before != INT64_MIN && before + 1 + m->size >= r.t &&
        !over(m, before + 1, r.mark))
        make(m, r.key, before + 1);
    if (counts && !over(m, own, r.mark))
        make(m, r.key, own);
    if (counts && followed)
        make(m, r.key, r.t + 1);
    for (int i = 0; i < m->window_count; i++)
        taking += has(m, &m->windows[i], &r);
    if (taking)
        m->known[m->known_count++] = r;
    if (over(m, own, r.mark) && !(taking && m->late_all))
        sprintf(m->late + strlen(m->late), "%lld %lld %lld %lld 1 %d %lld\n", (long long)r.t,
                (long long)r.key, (long long)own, (long long)(own + m->size), taking,
                (long long)r.mark);
}

static void print_window(const model *m, const window *w, bool update, char *out)
{
    int64_t count = 0, sum = 0, high = INT64_MIN, newest = INT64_MIN;
    char list[4096] = "";

    for (int i = 0; i < m->known_count; i++) {
        const row *r = &m->known[i];
        if (!has(m, w, r))
            continue;
        count++;
        sum += r->value;
        high = r->value > high ? r->value : high;
        newest = r->t > newest ? r->t : newest;
        sprintf(list + strlen(list), "%s%lld", *list ? "," : "", (long long)r->value);
    }
    sprintf(out + strlen(out), "%c%lld@ %lld %lld %lld %lld %lld %lld [%s]\n", update ? '~' : '+',
            (long long)newest, (long long)w->key, (long long)w->start,
            (long long)(w->start + m->size), (long long)count, (long long)sum, (long long)high,
            list);
}

static int order_windows(const void *a, const void *b)
{
    const window *x = a, *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return x->arrival - y->arrival;
}

/* final: everything in order of the end; changes: what is not as it was at the last flush */
static void model_results(model *m, bool changes, char *out)
{
    window sorted[WINDOWS_MAX];

    for (int i = 0; i < m->window_count; i++) {
        bool changed = !changes || !m->windows[i].given;
        for (int j = 0; j < m->known_count; j++)
            changed = changed ||
                      (m->known[j].flush == m->flushes && has(m, &m->windows[i], &m->known[j]));
        if (changes && changed)
            print_window(m, &m->windows[i], m->windows[i].given, out);
        m->windows[i].given = true;
    }
    m->flushes++;
    if (changes)
        return;
    memcpy(sorted, m->windows, sizeof(sorted));
    qsort(sorted, (size_t)m->window_count, sizeof(window), order_windows);
    for (int i = 0; i < m->window_count; i++)
        print_window(m, &sorted[i], false, out);
}

/* ---- a stream ---- */

static int64_t pick(stream *s, int64_t low, int64_t high)
{
    return low + (int64_t)(evs_test_random(&s->random) % (uint64_t)(high - low + 1));
}

static void make_stream(stream *s, uint64_t seed)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    int64_t at, keys, disorder, step;

    memset(s, 0, sizeof(*s));
    s->random = seed;
    o.kind = EVS_WINDOW_SLIDING;
    o.size_ms = pick(s, 1, pick(s, 0, 1) ? 10 : 60);
    o.grace_ms = pick(s, 0, 2) ? pick(s, 0, 30) : 0;
    o.out_of_orderness_ms = pick(s, 0, 1) ? pick(s, 0, 20) : 0;
    o.emit = pick(s, 0, 1) ? EVS_EMIT_FINAL : EVS_EMIT_CHANGES;
    o.late = pick(s, 0, 2) ? EVS_LATE_ANY_WINDOW : EVS_LATE_ALL_WINDOWS;
    s->options = o;
    s->count = (int)pick(s, 0, pick(s, 0, 2) ? 40 : ROWS_MAX);
    s->batch_max = pick(s, 0, 3) ? (int)pick(s, 1, 20) : pick(s, 0, 1) ? 1 : 4096;
    s->restart_in = pick(s, 0, 1) ? (int)pick(s, 1, 10) : 0;
    at = pick(s, -100, 100);
    keys = pick(s, 1, 3);
    disorder = pick(s, 0, 2) ? pick(s, 0, 60) : 0;
    step = pick(s, 0, 12);
    for (int i = 0; i < s->count; i++) {
        at += pick(s, 0, step);
        s->rows[i] =
            (row){.t = at - pick(s, 0, disorder), .key = pick(s, 1, keys), .value = pick(s, -9, 9)};
        if (i && !pick(s, 0, 9))
            s->rows[i] = s->rows[i - 1];
        s->flush_after[i] = !pick(s, 0, 12);
    }
}

/* ---- the window ---- */

typedef struct rig {
    evs_context *ctx;
    evs_schema *schema;
    evs_window *w;
    evs_appender *appender;
    const evs_window_options *options;
    char *late;
} rig;

static evs_window *make_window(const rig *g)
{
    evs_error *err = NULL;
    evs_window *w = NULL;
    assert_evs_ok(evs_window_new(g->ctx, g->schema, "k",
                                 "count(*) AS n, sum(v) AS s, max(v) AS m, collect_list(v) AS l",
                                 g->options, &w, &err),
                  err);
    return w;
}

static void take(rig *g, char *out)
{
    evs_batch *b = NULL;
    int64_t v[7];

    while (!evs_window_take(g->w, &b, NULL)) {
        for (size_t i = 0; i < evs_batch_rows(b); i++) {
            evs_row r = evs_batch_row(b, i);
            char list[4096];
            size_t len;
            for (int c = 0; c < 6; c++)
                assert_int_equal(evs_row_int(&r, c, &v[c]), EVS_OK);
            assert_int_equal(evs_row_text(&r, 6, list, sizeof(list), &len), EVS_OK);
            sprintf(out + strlen(out), "%c%lld@ %lld %lld %lld %lld %lld %lld %s\n",
                    evs_row_get_kind(&r) == EVS_ROW_INSERT ? '+' : '~', (long long)evs_row_time(&r),
                    (long long)v[0], (long long)v[1], (long long)v[2], (long long)v[3],
                    (long long)v[4], (long long)v[5], list);
        }
        evs_batch_unref(b);
    }
    while (!evs_window_take_late(g->w, &b, NULL)) {
        for (size_t i = 0; i < evs_batch_rows(b); i++) {
            evs_row r = evs_batch_row(b, i);
            for (int c = 0; c < 7; c++)
                assert_int_equal(evs_row_int(&r, c == 0 ? 0 : c + 1, &v[c]), EVS_OK);
            assert_int_equal(v[5], v[6] - evs_row_time(&r));
            sprintf(g->late + strlen(g->late), "%lld %lld %lld %lld %lld %lld %lld\n",
                    (long long)evs_row_time(&r), (long long)v[0], (long long)v[1], (long long)v[2],
                    (long long)v[3], (long long)v[4], (long long)v[6]);
        }
        evs_batch_unref(b);
    }
}

static void restart(rig *g)
{
    evs_window *next = make_window(g);
    evs_error *err = NULL;
    const void *data;
    size_t len;

    assert_evs_ok(evs_window_snapshot(g->w, &data, &len, &err), err);
    assert_evs_ok(evs_window_restore(next, data, len, &err), err);
    evs_window_unref(g->w);
    g->w = next;
}

static void push(rig *g, const row *rows, int n)
{
    evs_error *err = NULL;
    evs_batch *b = NULL;

    for (int i = 0; i < n; i++) {
        evs_append_time(g->appender, rows[i].t);
        evs_append_int(g->appender, rows[i].key);
        evs_append_int(g->appender, rows[i].value);
        assert_evs_ok(evs_append_end_row(g->appender, &err), err);
    }
    assert_evs_ok(evs_appender_take(g->appender, &b, &err), err);
    assert_evs_ok(evs_window_push(g->w, b, &err), err);
    evs_batch_unref(b);
}

/* ---- one run ---- */

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_lines(char *text)
{
    static char copy[TEXT_MAX], *lines[WINDOWS_MAX * 4];
    size_t n = 0;

    strcpy(copy, text);
    for (char *line = strtok(copy, "\n"); line; line = strtok(NULL, "\n"))
        lines[n++] = line;
    qsort(lines, n, sizeof(lines[0]), compare_lines);
    *text = '\0';
    for (size_t i = 0; i < n; i++)
        text += sprintf(text, "%s\n", lines[i]);
}

static bool same(uint64_t seed, const char *what, const char *got, const char *want)
{
    if (strcmp(got, want) == 0)
        return true;
    fprintf(stderr, "seed %llu: %s differ\n--- model\n%s--- operator\n%s", (unsigned long long)seed,
            what, want, got);
    return false;
}

static bool flush(rig *g, model *m, uint64_t seed, char *got, char *want)
{
    bool changes = g->options->emit == EVS_EMIT_CHANGES;

    take(g, got);
    if (!changes)
        return true;
    model_results(m, true, want);
    sort_lines(got);
    sort_lines(want);
    return same(seed, "changes", got, want) && !(*got = *want = '\0');
}

static void one_run(uint64_t seed)
{
    static stream s;
    static model m;
    static char got[TEXT_MAX], want[TEXT_MAX], late[TEXT_MAX], model_late[TEXT_MAX];
    rig g = {.options = &s.options, .late = late};
    evs_error *err = NULL;
    bool good = true;

    make_stream(&s, seed);
    memset(&m, 0, sizeof(m));
    m.size = s.options.size_ms;
    m.grace = s.options.grace_ms;
    m.late_all = s.options.late == EVS_LATE_ALL_WINDOWS;
    m.watermark = -1000000;
    m.late = model_late;
    *got = *want = *late = *model_late = '\0';
    assert_int_equal(evs_context_new(NULL, &g.ctx, NULL), EVS_OK);
    assert_evs_ok(
        evs_schema_columns(g.ctx, "k BIGINT NOT NULL, v BIGINT NOT NULL", &g.schema, &err), err);
    assert_evs_ok(evs_appender_new(g.ctx, evs_schema_type(g.schema), &g.appender, &err), err);
    g.w = make_window(&g);
    for (int i = 0, n; i < s.count && good; i += n) {
        int most = (int)pick(&s, 1, s.batch_max);
        for (n = 1; n < most && i + n < s.count && !s.flush_after[i + n - 1];)
            n++;
        push(&g, &s.rows[i], n);
        for (int j = i; j < i + n; j++)
            model_push(&m, s.rows[j], s.options.out_of_orderness_ms);
        if (s.flush_after[i + n - 1])
            good = flush(&g, &m, seed, got, want);
        if (s.restart_in && i / s.restart_in != (i + n) / s.restart_in)
            restart(&g);
    }
    assert_evs_ok(evs_window_advance(g.w, 1000000, &err), err);
    good = good && flush(&g, &m, seed, got, want);
    if (s.options.emit == EVS_EMIT_FINAL)
        model_results(&m, false, want);
    good = good && same(seed, "results", got, want);
    good = good && same(seed, "late rows", late, model_late);
    assert_int_equal(evs_window_counter(g.w, "open_windows"), 0);
    evs_window_unref(g.w);
    evs_appender_unref(g.appender);
    evs_schema_unref(g.schema);
    evs_context_unref(g.ctx);
    assert_true(good);
}

static void test_sliding_random_streams_equal_the_model(void **state)
{
    const char *runs = getenv("EVS_MODEL_RUNS"), *seed = getenv("EVS_MODEL_SEED");
    uint64_t count = runs ? strtoull(runs, NULL, 10) : 4000;

    (void)state;
    if (seed) {
        one_run(strtoull(seed, NULL, 10));
        return;
    }
    for (uint64_t i = 0; i < count; i++)
        one_run(i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sliding_random_streams_equal_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
