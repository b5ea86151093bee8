/*
 * aggregate_kit.h: what every aggregate must pass, on seeded random rows: the result is the same
 * however the rows are cut into batches, over a snapshot and restore at any point, and merged from
 * parts in any order; damaged snapshots (with a good checksum) do no harm. What the result is, the
 * tests work out by brute force from the same rows.
 *
 * Rows have the columns AGG_COLUMNS; group g of the first AGG_GROUPS rows is 0, 1, 2 ..., with all
 * else NULL, so that each part of a merge knows every group.
 */
#ifndef EVS_TESTS_AGGREGATE_KIT_H
#define EVS_TESTS_AGGREGATE_KIT_H

#include <math.h>

#include "window_kit.h"

#include "base/hash.h"
#include "engine/window.h"

#define AGG_COLUMNS                                                                                \
    "g INT NOT NULL, l BIGINT, i INT, d DOUBLE, m DECIMAL(9,2), s VARCHAR, b BOOLEAN"
#define AGG_GROUPS 3
#define AGG_ROWS 400
#define AGG_PARTS 3

typedef struct agg_row {
    int g;
    int64_t time;
    bool null;
    int64_t l; /* also i, d = l / 4, m = l / 100 */
    char s[48];
    bool b;
} agg_row;

static uint64_t agg_seed = 88172645463325252u;

static inline uint64_t agg_random(void)
{
    agg_seed ^= agg_seed << 13;
    agg_seed ^= agg_seed >> 7;
    agg_seed ^= agg_seed << 17;
    return agg_seed;
}

/* l from -range to range; texts of few and many bytes */
static inline void agg_make(agg_row *rows, size_t n, int64_t range, int64_t times)
{
    for (size_t i = 0; i < n; i++) {
        agg_row *r = &rows[i];
        memset(r, 0, sizeof(*r));
        r->g = (int)(i < AGG_GROUPS ? i : agg_random() % AGG_GROUPS);
        r->time = (int64_t)(agg_random() % (uint64_t)times);
        r->null = i < AGG_GROUPS || agg_random() % 10 == 0;
        r->l = (int64_t)(agg_random() % (uint64_t)(2 * range + 1)) - range;
        snprintf(r->s, sizeof(r->s), agg_random() % 2 ? "t%lld" : "a text of many bytes, %lld",
                 (long long)r->l);
        for (char *c = r->s; *c; c++)
            *c = *c == ',' ? ';' : *c;
        r->b = r->l % 3 == 0;
    }
}

static inline void agg_text(const agg_row *r, char *text, size_t size)
{
    long long l = (long long)r->l;
    if (r->null)
        snprintf(text, size, "%d,NULL,NULL,NULL,NULL,NULL,NULL", r->g);
    else
        snprintf(text, size, "%d,%lld,%lld,%.2f,%.2f,%s,%s", r->g, l, l, (double)l / 4,
                 (double)l / 100, r->s, r->b ? "true" : "false");
}

static inline void agg_push(kit *k, const agg_row *r)
{
    char text[256];
    agg_text(r, text, sizeof(text));
    kit_row(k, r->time, text);
}

static inline void agg_options(evs_window_options *o)
{
    *o = kit_options(INT64_C(1) << 40, EVS_EMIT_FINAL);
}

/* results, batches of `batch` rows, a snapshot and restore after row `cut` */
static inline void agg_window(
    const char *aggregates, const agg_row *rows, size_t n, size_t batch, size_t cut, char *text)
{
    evs_window_options o;
    const void *data = NULL;
    size_t len = 0;
    kit k, other;

    agg_options(&o);
    kit_open(&k, AGG_COLUMNS, "g", aggregates, &o);
    for (size_t i = 0; i < n; i++) {
        agg_push(&k, &rows[i]);
        if ((i + 1) % batch == 0)
            kit_advance(&k, 0);
        if (i != cut)
            continue;
        assert_int_equal(evs_window_snapshot(k.window, &data, &len, NULL), EVS_OK);
        kit_open(&other, AGG_COLUMNS, "g", aggregates, &o);
        assert_int_equal(evs_window_restore(other.window, data, len, NULL), EVS_OK);
        kit_close(&k);
        k = other;
        evs_window_on_reject(k.window, kit_on_reject, &k);
    }
    kit_advance(&k, INT64_MAX);
    snprintf(text, KIT_TEXT, "%s", kit_results(&k));
    kit_close(&k);
}

/* numbers of two texts may differ by rounding, the rest not */
static inline void agg_same(const char *got, const char *want, double tolerance)
{
    const char *x = got, *y = want;
    while (*x || *y) {
        char *x_end, *y_end;
        double a, b;
        if (*x == *y && !(*x >= '0' && *x <= '9')) {
            x++;
            y++;
            continue;
        }
        a = strtod(x, &x_end);
        b = strtod(y, &y_end);
        if (x_end == x || y_end == y || !(fabs(a - b) <= tolerance * (1 + fabs(b))))
            fail_msg("at \"%.60s\", wanted \"%.60s\", in\n%s\nwanted\n%s", x, y, got, want);
        x = x_end;
        y = y_end;
    }
}

/* ---- merging ---- */

static inline evs__window_op *agg_operator(kit *k, const char *aggregates)
{
    evs_window_options o;
    evs__operator *op = NULL;
    evs_error *err = NULL;
    evs_status status;

    agg_options(&o);
    status = evs__window_op_new(k->ctx, evs_schema_type(k->schema), "g", aggregates, &o, 1,
                                EVS_TIME_WATERMARK, &op, &err);
    if (status)
        kit_fail("evs__window_op_new", status, err);
    return evs__window_of(op);
}

static inline uint32_t agg_find_group(const evs__window_op *w, const evs__slice *s, uint64_t key)
{
    for (uint32_t g = 0; g < s->count; g++) {
        if (w->state->keys.keys[s->order[g]].lo == key)
            return g;
    }
    fail_msg("no such group");
    return 0;
}

static inline evs_status agg_merge(evs__window_op *to, evs__window_op *from)
{
    evs__slice *x = evs__state_first(to->state), *y = evs__state_first(from->state);
    uint32_t to_index[AGG_GROUPS], from_index[AGG_GROUPS];
    evs_status status = EVS_OK;

    for (uint32_t g = 0; g < AGG_GROUPS; g++) {
        from_index[g] = g;
        to_index[g] = agg_find_group(to, x, from->state->keys.keys[y->order[g]].lo);
    }
    for (uint32_t i = 0; i < to->aggregates.count && !status; i++) {
        const evs__aggregate *a = &to->aggregates.items[i];
        evs__agg_groups gx = evs__agg_view(to->state, x, &to->aggregates, i);
        evs__agg_groups gy = evs__agg_view(from->state, y, &from->aggregates, i);
        gx.index = to_index;
        gy.index = from_index;
        gx.n = gy.n = gx.most = gy.most = AGG_GROUPS;
        status = a->fn->merge(a, &gx, &gy);
    }
    return status;
}

/* Row i belongs to part owner[i]; all parts see every row's place in the order of arrival, as the
 * slices of one operator would. */
static inline void
agg_fill(kit *k, evs__window_op *w, const agg_row *rows, size_t n, const uint8_t *owner, int part)
{
    const evs_type *type = evs_schema_type(k->schema);
    evs_appender *a = NULL;
    evs_error *err = NULL;
    char text[256];

    assert_int_equal(evs_appender_new(k->ctx, type, &a, &err), EVS_OK);
    for (size_t i = 0; i < n; i++) {
        evs_batch *batch = NULL;
        if (i >= AGG_GROUPS && owner[i] != part) {
            ++*w->aggregates.arrivals;
            continue;
        }
        agg_text(&rows[i], text, sizeof(text));
        kit_append(a, type, rows[i].time, text);
        assert_int_equal(evs_appender_take(a, &batch, &err), EVS_OK);
        assert_int_equal(w->base.fn->process(&w->base, batch, 0, NULL, &err), EVS_OK);
        evs_batch_unref(batch);
    }
    evs_appender_unref(a);
}

static inline void
agg_merged(const char *aggregates, const agg_row *rows, size_t n, const int *order, char *text)
{
    evs_window_options o;
    evs__window_op *part[AGG_PARTS];
    evs__operator *op;
    evs_batch *batch = NULL;
    uint8_t owner[AGG_ROWS];
    uint64_t seed = agg_seed;
    kit k;

    agg_options(&o);
    kit_open(&k, AGG_COLUMNS, "g", aggregates, &o);
    agg_seed = 42;
    for (size_t i = 0; i < n; i++)
        owner[i] = (uint8_t)(agg_random() % AGG_PARTS);
    agg_seed = seed;
    for (int p = 0; p < AGG_PARTS; p++) {
        part[p] = agg_operator(&k, aggregates);
        agg_fill(&k, part[p], rows, n, owner, p);
    }
    op = &part[order[0]]->base;
    for (int p = 1; p < AGG_PARTS; p++)
        assert_int_equal(agg_merge(part[order[0]], part[order[p]]), EVS_OK);
    assert_int_equal(op->fn->advance(op, 0, INT64_MAX, false, 0, NULL, NULL), EVS_OK);
    assert_int_equal(evs__window_result(part[order[0]], false, &batch), EVS_OK);
    text[0] = '\0';
    kit_print(text, KIT_TEXT, batch);
    evs_batch_unref(batch);
    for (int p = 0; p < AGG_PARTS; p++)
        evs__operator_free(&part[p]->base);
    kit_close(&k);
}

/* ---- damage ---- */

static inline void agg_damage(const char *aggregates, const agg_row *rows, size_t n)
{
    evs_window_options o;
    const void *data = NULL;
    size_t len = 0, step;
    char *bytes;
    kit k, other;

    agg_options(&o);
    kit_open(&k, AGG_COLUMNS, "g", aggregates, &o);
    for (size_t i = 0; i < n; i++)
        agg_push(&k, &rows[i]);
    assert_int_equal(evs_window_snapshot(k.window, &data, &len, NULL), EVS_OK);
    bytes = malloc(len);
    memcpy(bytes, data, len);
    step = len / 700 + 1;
    for (size_t at = 16 + agg_random() % step; at + 4 < len; at += step) {
        char old = bytes[at];
        uint32_t crc;
        bytes[at] = (char)(agg_random() % 3 ? agg_random() : 0xff);
        crc = evs__crc32c(0, bytes, len - 4);
        memcpy(bytes + len - 4, &crc, 4);
        kit_open(&other, AGG_COLUMNS, "g", aggregates, &o);
        if (evs_window_restore(other.window, bytes, len, NULL) == EVS_OK) {
            evs_batch *batch = NULL;
            agg_push(&other, &rows[n - 1]);
            kit_advance(&other, 0);
            evs_window_snapshot(other.window, &data, &step, NULL);
            step = len / 700 + 1;
            kit_advance(&other, INT64_MAX);
            while (evs_window_take(other.window, &batch, NULL) == EVS_OK)
                evs_batch_unref(batch);
        }
        kit_close(&other);
        bytes[at] = old;
    }
    free(bytes);
    kit_close(&k);
}

/* ---- all of it ---- */

/* `want` NULL: whatever the rows give in one go */
static inline void
agg_check(const char *aggregates, const agg_row *rows, size_t n, const char *want, double tolerance)
{
    static const int orders[][AGG_PARTS] = {{0, 1, 2}, {0, 2, 1}, {2, 1, 0}, {1, 0, 2}};
    static const size_t batches[] = {1, 7, 100, 4096};
    static char first[KIT_TEXT], text[KIT_TEXT];

    agg_window(aggregates, rows, n, 4096, SIZE_MAX, first);
    agg_same(first, want ? want : first, tolerance);
    for (size_t i = 0; i < sizeof(batches) / sizeof(batches[0]); i++) {
        agg_window(aggregates, rows, n, batches[i], agg_random() % n, text);
        agg_same(text, first, tolerance);
    }
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        agg_merged(aggregates, rows, n, orders[i], text);
        agg_same(text, first, tolerance);
    }
    agg_damage(aggregates, rows, n < 30 ? n : 30);
}

/* a brute-force result: what stands behind the bounds for each group */
typedef void (*agg_model_fn)(const agg_row *rows, size_t n, int group, char *text, size_t size);

static inline void agg_model(
    const char *aggregates, const agg_row *rows, size_t n, agg_model_fn model, double tolerance)
{
    static char want[KIT_TEXT];
    want[0] = '\0';
    for (int g = 0; g < AGG_GROUPS; g++) {
        size_t at = strlen(want);
        at += (size_t)snprintf(want + at, sizeof(want) - at, "+%d 0 %lld ", g, 1LL << 40);
        model(rows, n, g, want + at, sizeof(want) - at);
        at = strlen(want);
        snprintf(want + at, sizeof(want) - at, "\n");
    }
    agg_check(aggregates, rows, n, want, tolerance);
}

/* rows of the group that are not NULL: indexes, in order of arrival */
static inline size_t agg_group(const agg_row *rows, size_t n, int group, const agg_row **ret)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (rows[i].g == group && !rows[i].null)
            ret[count++] = &rows[i];
    }
    return count;
}

#endif
