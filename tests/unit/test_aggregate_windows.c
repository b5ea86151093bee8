/*
 * Aggregates under windows that merge: hopping ones must give what tumbling ones of each offset
 * give, sessions that were bridged to one what a single window gives.
 */
#include "aggregate_kit.h"

#define LINES 512

static agg_row rows[AGG_ROWS];

static const char *const lists[] = {
    ("count(*), sum(l), avg(i), min(s), max(m), count_distinct(l), sum(DISTINCT l), "
     "count_if(b) FILTER (WHERE l > 0)"),
    "first(l), last(s), earliest_by_offset(l), latest_by_offset(s), min_by(s, l), max_by(l, s)",
    "collect_list(l), collect_set(i), histogram(l), topk(m, 3), topk_distinct(l, 3), median(m)",
    "string_agg(s, '; '), string_agg(DISTINCT s, '-'), median(DISTINCT l), bool_and(b), bool_or(b)",
    ("approx_count_distinct(l), approx_quantile(l, 0.5), approx_quantiles(m, 0, 1), "
     "approx_top_k(i, 2)"),
};
#define LISTS (sizeof(lists) / sizeof(lists[0]))

static int by_line(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* lines of the results are appended to `text` */
static void
run(const char *aggregates, const evs_window_options *o, size_t n, size_t cut, char *text)
{
    const void *data = NULL;
    size_t len = 0;
    kit k, other;

    kit_open(&k, AGG_COLUMNS, "g", aggregates, o);
    for (size_t i = 0; i < n; i++) {
        agg_push(&k, &rows[i]);
        if (i % 50 == 49)
            kit_advance(&k, -1000);
        if (i != cut)
            continue;
        assert_int_equal(evs_window_snapshot(k.window, &data, &len, NULL), EVS_OK);
        kit_open(&other, AGG_COLUMNS, "g", aggregates, o);
        assert_int_equal(evs_window_restore(other.window, data, len, NULL), EVS_OK);
        kit_close(&k);
        k = other;
    }
    kit_advance(&k, INT64_MAX);
    strcat(text, kit_results(&k));
    kit_close(&k);
}

static void sort_lines(char *text)
{
    static char copy[4 * KIT_TEXT];
    char *lines[LINES];
    size_t n = 0;
    memcpy(copy, text, strlen(text) + 1);
    for (char *line = strtok(copy, "\n"); line && n < LINES; line = strtok(NULL, "\n"))
        lines[n++] = line;
    qsort(lines, n, sizeof(lines[0]), by_line);
    text[0] = '\0';
    for (size_t i = 0; i < n; i++)
        strcat(strcat(text, lines[i]), "\n");
}

static void test_hopping_equals_tumbling_of_each_offset(void **state)
{
    static char hopping[4 * KIT_TEXT], tumbling[4 * KIT_TEXT];
    (void)state;
    for (size_t list = 0; list < LISTS; list++) {
        evs_window_options o = kit_options(40, EVS_EMIT_FINAL);
        agg_make(rows, 200, 25, 100);
        hopping[0] = tumbling[0] = '\0';
        for (o.offset_ms = 0; o.offset_ms < 40; o.offset_ms += 10)
            run(lists[list], &o, 200, SIZE_MAX, tumbling);
        o.offset_ms = 0;
        o.kind = EVS_WINDOW_HOPPING;
        o.advance_ms = 10;
        run(lists[list], &o, 200, agg_random() % 200, hopping);
        sort_lines(hopping);
        sort_lines(tumbling);
        agg_same(hopping, tumbling, 1e-9);
    }
}

/* "+g start end values" without the bounds */
static void drop_bounds(char *text)
{
    char *to = text;
    for (char *line = text; *line;) {
        char *end = strchr(line, '\n'), *at = strchr(line, ' ');
        memmove(to, line, (size_t)(at - line));
        to += at - line;
        at = strchr(strchr(at + 1, ' ') + 1, ' ');
        memmove(to, at, (size_t)(end + 1 - at));
        to += end + 1 - at;
        line = end + 1;
    }
    *to = '\0';
}

static void test_bridged_sessions_equal_one_window(void **state)
{
    static char sessions[4 * KIT_TEXT], one[4 * KIT_TEXT];
    (void)state;
    for (size_t list = 0; list < LISTS; list++) {
        evs_window_options o = kit_options(INT64_C(1) << 40, EVS_EMIT_FINAL);
        agg_make(rows, 300, 25, 10000);
        sessions[0] = one[0] = '\0';
        run(lists[list], &o, 300, SIZE_MAX, one);
        o = kit_options(0, EVS_EMIT_FINAL);
        o.kind = EVS_WINDOW_SESSION;
        o.gap_ms = 1500;
        run(lists[list], &o, 300, agg_random() % 300, sessions);
        drop_bounds(sessions);
        drop_bounds(one);
        sort_lines(sessions);
        sort_lines(one);
        agg_same(sessions, one, 1e-9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hopping_equals_tumbling_of_each_offset),
        cmocka_unit_test(test_bridged_sessions_equal_one_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
