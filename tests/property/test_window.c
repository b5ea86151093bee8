/*
 * The window operator against the model, on random streams: disorder, duplicates, rows without time
 * or key, several slots that fall idle, batches of 1 to 4,096 rows with selections, restarts from
 * snapshots at any point, downstream that has no room now and then. The final results, the changes
 * at each flush and the late rows have to be the model's, to the byte.
 *
 * EVS_MODEL_RUNS sets the number of streams; a failure prints the seed, and EVS_MODEL_SEED runs
 * that one alone.
 */
#include "evs_test.h"

#include <stdio.h>

#include "engine/window.h"
#include "window_model.h"

#define ROWS_MAX MODEL_ROWS_MAX
#define KEY_MAX 40

typedef struct stream {
    uint64_t random;
    model model;
    evs_window_options options;
    const char *columns, *keys; /* of the operator */
    int key_columns;
    int rows, batch_max, restart_in, refuse_in;
    model_row row[ROWS_MAX];
    char key[ROWS_MAX][KEY_MAX];
    bool flush_after[ROWS_MAX];
    int idle_after[ROWS_MAX]; /* slot that falls idle after the row, or -1 */
} stream;

static int64_t pick(stream *s, int64_t low, int64_t high)
{
    return low + (int64_t)(evs_test_random(&s->random) % (uint64_t)(high - low + 1));
}

/* ---- a stream ---- */

static const struct {
    const char *columns, *keys;
    int count;
} shapes[] = {
    {"k VARCHAR, v BIGINT, w BIGINT NOT NULL", "k", 1},
    {"k VARCHAR, k2 INT NOT NULL, v BIGINT, w BIGINT NOT NULL", "k2, k", 2},
    {"k BIGINT, v BIGINT, w BIGINT NOT NULL", "k", 1},
};

static void make_key(stream *s, int i, int64_t keys)
{
    int64_t key = pick(s, 0, keys);

    s->row[i].key = s->key[i];
    if (key == 0)
        s->row[i].key = NULL;
    else if (s->key_columns == 1 && s->columns[2] == 'B')
        snprintf(s->key[i], KEY_MAX, "%lld", (long long)key);
    else /* some are too long to be kept inline */
        snprintf(s->key[i], KEY_MAX, "%.*s%lld", (int)(key % 5 * 7),
                 "abcdefghijklmnopqrstuvwxyz0123456789", (long long)key);
}

static int64_t make_value(stream *s)
{
    /* now and then one that makes a sum overflow; only a window of one slice refuses the row */
    if (s->model.advance != s->model.size)
        return pick(s, -9, 9);
    return pick(s, 0, 30) ? pick(s, -9, 9) : pick(s, 0, 1) ? INT64_MAX - 3 : INT64_MIN + 3;
}

static void make_rows(stream *s)
{
    int64_t at = pick(s, -200, 200), keys = pick(s, 1, 12), disorder = pick(s, 0, 60);
    int64_t step = pick(s, 0, 12);

    for (int i = 0; i < s->rows; i++) {
        model_row *r = &s->row[i];
        int64_t stay = pick(s, 0, 3);
        at += pick(s, 0, step);
        r->slot = i && stay ? s->row[i - 1].slot : (int)pick(s, 0, s->model.slots - 1);
        r->time = pick(s, 0, 60) ? at - pick(s, 0, disorder) : MODEL_NO_TIME;
        make_key(s, i, keys);
        r->has_value = pick(s, 0, 9) != 0;
        r->value = r->has_value ? make_value(s) : 0;
        r->other = make_value(s);
        if (i && !pick(s, 0, 15)) { /* a duplicate */
            *r = s->row[i - 1];
            memcpy(s->key[i], s->key[i - 1], KEY_MAX);
            r->key = r->key ? s->key[i] : NULL;
        }
        s->flush_after[i] = !pick(s, 0, 20);
        s->idle_after[i] = pick(s, 0, 40) ? -1 : (int)pick(s, 0, s->model.slots - 1);
    }
}

static void make_kind(stream *s, evs_window_options *o)
{
    model *m = &s->model;

    m->advance = m->size = pick(s, 1, 50);
    o->kind = (int32_t)pick(s, EVS_WINDOW_TUMBLING, EVS_WINDOW_SESSION);
    if (o->kind == EVS_WINDOW_SESSION) {
        o->gap_ms = m->gap = pick(s, 1, 40);
        m->advance = 0;
        return;
    }
    if (o->kind == EVS_WINDOW_HOPPING)
        o->advance_ms = m->advance = pick(s, pick(s, 0, 1) ? 1 : (m->size + 1) / 2, m->size);
    m->cumulating = o->kind == EVS_WINDOW_CUMULATING;
    if (m->cumulating) {
        o->step_ms = m->advance = pick(s, 1, 10);
        m->size = m->advance * pick(s, 1, 6);
    }
    o->size_ms = m->size;
}

static void make_stream(stream *s, uint64_t seed, model_row *taken, model_row *late)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    model *m = &s->model;
    int shape;

    memset(s, 0, sizeof(*s));
    s->random = seed;
    shape = (int)pick(s, 0, 2);
    s->columns = shapes[shape].columns;
    s->keys = shapes[shape].keys;
    s->key_columns = shapes[shape].count;
    make_kind(s, &o);
    m->offset = m->gap ? 0 : pick(s, -70, 70);
    m->grace = pick(s, 0, 2) ? pick(s, 0, 30) : 0;
    m->out_of_orderness = pick(s, 0, 30);
    m->group_null_key = pick(s, 0, 1);
    m->stream_time = !pick(s, 0, 5);
    m->slots = (int)pick(s, 1, MODEL_SLOTS_MAX);
    m->watermark = INT64_MIN;
    m->taken = taken;
    m->late = late;
    for (int i = 0; i < m->slots; i++)
        m->slot[i].watermark = INT64_MIN;
    m->late_all = !pick(s, 0, 3);
    o.late = m->late_all ? EVS_LATE_ALL_WINDOWS : EVS_LATE_ANY_WINDOW;
    o.offset_ms = m->offset;
    o.grace_ms = m->grace;
    o.null_key = m->group_null_key ? EVS_NULL_KEY_GROUP : EVS_NULL_KEY_DEAD_LETTER;
    o.emit = pick(s, 0, 1) ? EVS_EMIT_FINAL : EVS_EMIT_CHANGES;
    s->options = o;
    s->rows = (int)pick(s, 0, pick(s, 0, 3) ? 60 : ROWS_MAX);
    s->batch_max = pick(s, 0, 3) ? (int)pick(s, 1, 20) : pick(s, 0, 1) ? 1 : 4096;
    s->restart_in = pick(s, 0, 1) ? (int)pick(s, 1, 10) : 0;
    s->refuse_in = pick(s, 0, 3) ? 0 : (int)pick(s, 2, 5);
    make_rows(s);
}

/* ---- the operator ---- */

typedef struct rig {
    stream *s;
    evs_context *ctx;
    evs_schema *schema;
    evs__operator *op;
    evs__partition_time time[MODEL_SLOTS_MAX];
    evs__time_options time_options;
    evs_appender *appender;
    evs__buffer results, late;
    evs__buffer table; /* of sessions */
    bool table_wrong;
    int rejected, calls;
} rig;

static void print_main(rig *g, const evs_batch *b)
{
    int first = g->s->key_columns == 2; /* k2 is not in the model */

    for (uint32_t i = 0; i < b->rows; i++) {
        evs__buffer_byte(&g->results, "+~-"[b->kinds ? b->kinds[i] - EVS_ROW_INSERT : 0]);
        for (uint32_t c = (uint32_t)first; c < b->column_count; c++) {
            if (c > (uint32_t)first)
                evs__buffer_byte(&g->results, ' ');
            if (evs__column_is_null(b->columns[c], i))
                evs__buffer_text(&g->results, "NULL");
            else if (b->columns[c]->type->id == EVS_TYPE_TIMESTAMP)
                evs__buffer_int(&g->results, b->columns[c]->i64[i]);
            else
                evs__column_print(b->columns[c], i, false, &g->results);
        }
        evs__buffer_byte(&g->results, '\n');
    }
}

static void print_late(rig *g, const evs_batch *b)
{
    uint32_t at = b->column_count - EVS__LATE_COLUMNS;

    for (uint32_t i = 0; i < b->rows; i++) {
        evs__buffer_int(&g->late, b->times[i]);
        evs__buffer_byte(&g->late, ' ');
        if (evs__column_is_null(b->columns[0], i))
            evs__buffer_text(&g->late, "NULL");
        else
            evs__column_print(b->columns[0], i, false, &g->late);
        evs__buffer_printf(&g->late, " %lld %lld %d %d %lld %lld\n",
                           (long long)b->columns[at]->i64[i], (long long)b->columns[at + 1]->i64[i],
                           b->columns[at + 2]->i32[i], b->columns[at + 3]->i32[i],
                           (long long)b->columns[at + 4]->i64[i],
                           (long long)b->columns[at + 5]->i64[i]);
    }
}

static evs_status emit(void *user, int port, evs_batch *batch, evs_error **reterr)
{
    rig *g = user;

    if (g->s->refuse_in && g->calls++ % g->s->refuse_in == 0)
        return evs__nomem(reterr);
    if (port == EVS__PORT_MAIN)
        print_main(g, batch);
    else
        print_late(g, batch);
    return EVS_OK;
}

static void reject(void *user,
                   const evs_batch *batch,
                   uint32_t row,
                   const char *stage,
                   evs_status status,
                   const char *message)
{
    rig *g = user;
    (void)batch;
    (void)row;
    (void)stage;
    (void)status;
    (void)message;
    g->rejected++;
}

static evs__operator *make_operator(rig *g)
{
    evs__operator *op = NULL;
    evs_error *err = NULL;
    int32_t rule = g->s->model.stream_time ? EVS_TIME_STREAM : EVS_TIME_WATERMARK;
    assert_evs_ok(
        evs__window_op_new(g->ctx, evs_schema_type(g->schema), g->s->keys,
                           "count(*), sum(v), min(v), max(v), count(DISTINCT v), avg(v), sum(w)",
                           &g->s->options, (uint32_t)g->s->model.slots, rule, &op, &err),
        err);
    return op;
}

static void open_rig(rig *g, stream *s)
{
    memset(g, 0, sizeof(*g));
    g->s = s;
    assert_int_equal(evs_context_new(NULL, &g->ctx, NULL), EVS_OK);
    assert_int_equal(evs_schema_columns(g->ctx, s->columns, &g->schema, NULL), EVS_OK);
    g->op = make_operator(g);
    g->time_options = (evs__time_options){
        s->model.out_of_orderness,         EVS_FOREVER, EVS_FOREVER, EVS_FOREVER, EVS__FUTURE_OFF,
        g->op->fn ? EVS_TIME_WATERMARK : 0};
    if (s->model.stream_time)
        g->time_options.rule = EVS_TIME_STREAM;
    for (int i = 0; i < MODEL_SLOTS_MAX; i++)
        evs__partition_time_init(&g->time[i]);
    assert_int_equal(evs_appender_new(g->ctx, evs_schema_type(g->schema), &g->appender, NULL),
                     EVS_OK);
    evs__buffer_init(&g->results, g->ctx, SIZE_MAX);
    evs__buffer_init(&g->late, g->ctx, SIZE_MAX);
    evs__buffer_init(&g->table, g->ctx, SIZE_MAX);
}

static void close_rig(rig *g)
{
    evs__buffer_free(&g->results);
    evs__buffer_free(&g->late);
    evs__buffer_free(&g->table);
    evs_appender_unref(g->appender);
    evs__operator_free(g->op);
    evs_schema_unref(g->schema);
    evs_context_unref(g->ctx);
}

static void append(rig *g, const model_row *r)
{
    evs_appender *a = g->appender;

    if (r->time != MODEL_NO_TIME)
        evs_append_time(a, r->time);
    if (!r->key)
        evs_append_null(a);
    else if (g->s->columns[2] == 'B')
        evs_append_int(a, strtoll(r->key, NULL, 10));
    else
        evs_append_string(a, r->key, strlen(r->key));
    if (g->s->key_columns == 2)
        evs_append_int(a, 7);
    if (r->has_value)
        evs_append_int(a, r->value);
    else
        evs_append_null(a);
    evs_append_int(a, r->other);
    assert_int_equal(evs_append_end_row(a, NULL), EVS_OK);
}

/* rows first..first + n as one batch; with rows between that are not selected */
static evs_batch *make_batch(rig *g, int first, int n)
{
    uint32_t *sel = malloc((size_t)n * sizeof(*sel)), rows = 0;
    bool gaps = pick(g->s, 0, 2) == 0;
    evs_batch *b = NULL, *selected = NULL;

    for (int i = 0; i < n; i++) {
        while (gaps && !pick(g->s, 0, 2)) {
            model_row junk = g->s->row[first + i];
            junk.time += junk.time == MODEL_NO_TIME ? 5 : 100000;
            append(g, &junk);
            rows++;
        }
        append(g, &g->s->row[first + i]);
        sel[i] = rows++;
    }
    assert_int_equal(evs_appender_take(g->appender, &b, NULL), EVS_OK);
    if (gaps) {
        assert_int_equal(evs__batch_select(b, sel, (uint32_t)n, &selected), EVS_OK);
        evs_batch_unref(b);
        b = selected;
    }
    free(sel);
    return b;
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

/* until it has room for everything */
static void flush(rig *g)
{
    evs__out out = {g, emit, reject, NULL};
    evs_status status;
    do {
        status = g->op->fn->flush(g->op, 0, &out, NULL);
    } while (status == EVS_ERR_NOMEM);
    assert_int_equal(status, EVS_OK);
}

static void advance(rig *g, int slot, int64_t watermark, bool idle)
{
    evs__out out = {g, emit, reject, NULL};
    evs_status status = g->op->fn->advance(g->op, (uint32_t)slot, watermark, idle, 0, &out, NULL);
    assert_true(status == EVS_OK || status == EVS_ERR_NOMEM);
}

static void push(rig *g, int first, int n)
{
    int slot = g->s->row[first].slot;
    evs__out out = {g, emit, reject, NULL};
    evs_batch *b = make_batch(g, first, n);
    evs_status status;

    b->slot = (uint32_t)slot;
    assert_int_equal(
        evs__partition_time_observe(&g->time[slot], &g->time_options, b, 0, &out, NULL), EVS_OK);
    do {
        status = g->op->fn->process(g->op, b, 0, &out, NULL);
    } while (status == EVS_ERR_NOMEM); /* nothing was taken */
    assert_int_equal(status, EVS_OK);
    evs_batch_unref(b);
}

/* ---- changes of sessions: what a table has that takes them ---- */

static const char *line_end(const char *line)
{
    return line + strcspn(line, "\n") + 1;
}

/* "key start end": how much of a line tells one result from another */
static size_t identity(const char *line)
{
    const char *at = line;
    for (int spaces = 0; spaces < 3; at++)
        spaces += *at == ' ';
    return (size_t)(at - line);
}

static int compare_lines(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    size_t n = (size_t)(line_end(x) - x), m = (size_t)(line_end(y) - y);
    int order = memcmp(x, y, n < m ? n : m);
    return order ? order : (n > m) - (n < m);
}

static void sorted(const char *text, evs__buffer *out)
{
    static const char *lines[ROWS_MAX * 4];
    size_t n = 0;
    for (; *text; text = line_end(text))
        lines[n++] = text;
    qsort(lines, n, sizeof(lines[0]), compare_lines);
    for (size_t i = 0; i < n; i++)
        evs__buffer_append(out, lines[i], (size_t)(line_end(lines[i]) - lines[i]));
}

/* One change: an insert of what is not there, an update or delete of what is; false: another */
static bool change_table(evs__buffer *table, const char *change)
{
    const char *line = change + 1, *at = evs__buffer_cstr(table);
    size_t id = identity(line), len = (size_t)(line_end(line) - line), from;

    while (*at && (identity(at) != id || memcmp(at, line, id) != 0))
        at = line_end(at);
    if (!*at != (*change == '+'))
        return false;
    if (*at) {
        size_t old = (size_t)(line_end(at) - at);
        from = (size_t)(at - table->data);
        memmove(table->data + from, at + old, table->len - from - old);
        table->len -= old;
    }
    if (*change != '-')
        evs__buffer_append(table, line, len);
    return true;
}

/* the results so far leave the table as the model has it */
static bool check_table(rig *g)
{
    evs__buffer got, want, lines;
    const char *at = evs__buffer_cstr(&g->results);
    bool good = true;

    evs__buffer_init(&got, g->ctx, SIZE_MAX);
    evs__buffer_init(&want, g->ctx, SIZE_MAX);
    evs__buffer_init(&lines, g->ctx, SIZE_MAX);
    for (; *at && good; at = line_end(at)) {
        good = change_table(&g->table, at);
        if (!good)
            fprintf(stderr, "not possible: %.*s", (int)(line_end(at) - at), at);
    }
    evs__buffer_reset(&g->results);
    sorted(evs__buffer_cstr(&g->table), &got);
    evs__buffer_reset(&lines);
    model_sessions(&g->s->model, true, &lines);
    /* without the kind in front */
    for (at = evs__buffer_cstr(&lines); *at; at = line_end(at))
        evs__buffer_append(&want, at + 1, (size_t)(line_end(at) - at - 1));
    evs__buffer_reset(&lines);
    sorted(evs__buffer_cstr(&want), &lines);
    if (good && strcmp(evs__buffer_cstr(&got), evs__buffer_cstr(&lines)) != 0) {
        fprintf(stderr, "table\n--- model\n%s--- operator\n%s", evs__buffer_cstr(&lines), got.data);
        good = false;
    }
    evs__buffer_free(&got);
    evs__buffer_free(&want);
    evs__buffer_free(&lines);
    return good;
}

/* ---- one run ---- */

static int batch_rows(stream *s, int first)
{
    int n = 1, most = (int)pick(s, 1, s->batch_max);
    while (n < most && first + n < s->rows && s->row[first + n].slot == s->row[first].slot &&
           !s->flush_after[first + n - 1] && s->idle_after[first + n - 1] < 0)
        n++;
    return n;
}

static void play(rig *g, evs__buffer *expected)
{
    stream *s = g->s;
    bool changes = s->options.emit == EVS_EMIT_CHANGES;

    for (int i = 0, n; i < s->rows; i += n) {
        int last, idle;
        n = batch_rows(s, i);
        last = i + n - 1;
        push(g, i, n);
        for (int j = i; j <= last; j++)
            model_push(&s->model, s->row[j]);
        if ((idle = s->idle_after[last]) >= 0) {
            advance(g, idle, INT64_MIN, true);
            model_slot(&s->model, idle, INT64_MIN, true);
        }
        if (s->flush_after[last]) {
            flush(g);
            if (changes && s->model.gap)
                g->table_wrong = g->table_wrong || !check_table(g);
            else if (changes)
                model_changes(&s->model, expected);
        }
        if (s->restart_in && i / s->restart_in != last / s->restart_in)
            restart(g);
    }
}

static void finish(rig *g, evs__buffer *expected, evs__buffer *expected_late)
{
    stream *s = g->s;
    model *m = &s->model;
    int64_t end = 1000000;

    for (int i = 0; i < m->slots; i++) {
        advance(g, i, end, false);
        model_slot(m, i, end, false);
    }
    flush(g);
    if (s->options.emit == EVS_EMIT_CHANGES && m->gap)
        g->table_wrong = g->table_wrong || !check_table(g);
    else if (m->gap)
        model_sessions(m, false, expected);
    else if (s->options.emit == EVS_EMIT_CHANGES)
        model_changes(m, expected);
    else
        model_final(m, expected);
    model_late(m, expected_late);
    assert_int_equal(g->op->fn->counter(g->op, "open_windows"), 0);
}

static bool same(const char *what, uint64_t seed, evs__buffer *got, evs__buffer *want)
{
    const char *g = evs__buffer_cstr(got), *w = evs__buffer_cstr(want);
    if (strcmp(g, w) == 0)
        return true;
    /* cmocka cuts long messages */
    fprintf(stderr, "seed %llu: %s differ\n--- model\n%s--- operator\n%s", (unsigned long long)seed,
            what, w, g);
    return false;
}

static void one_run(uint64_t seed)
{
    static stream s;
    static model_row taken[ROWS_MAX], late[ROWS_MAX];
    evs__buffer expected, expected_late;
    bool good;
    rig g;

    make_stream(&s, seed, taken, late);
    open_rig(&g, &s);
    evs__buffer_init(&expected, g.ctx, SIZE_MAX);
    evs__buffer_init(&expected_late, g.ctx, SIZE_MAX);
    play(&g, &expected);
    finish(&g, &expected, &expected_late);
    if (g.table_wrong)
        fprintf(stderr, "seed %llu: tables differ\n", (unsigned long long)seed);
    good = same("results", seed, &g.results, &expected);
    good = same("late rows", seed, &g.late, &expected_late) && good;
    if (g.rejected != s.model.rejected) {
        print_message("seed %llu: %d rows rejected, the model has %d\n", (unsigned long long)seed,
                      g.rejected, s.model.rejected);
        good = false;
    }
    good = good && !g.table_wrong;
    evs__buffer_free(&expected);
    evs__buffer_free(&expected_late);
    close_rig(&g);
    assert_true(good);
}

static void test_window_random_streams_equal_the_model(void **state)
{
    const char *runs = getenv("EVS_MODEL_RUNS"), *seed = getenv("EVS_MODEL_SEED");
    uint64_t count = runs ? strtoull(runs, NULL, 10) : 5000;

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
        cmocka_unit_test(test_window_random_streams_equal_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
