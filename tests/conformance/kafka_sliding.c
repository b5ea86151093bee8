/*
 * Sliding windows of Kafka Streams: aggregations of seven to nineteen events, on update and final.
 *
 * Usage: conformance_kafka_sliding DEFAULT_CORPORA [--list]
 *
 * A case passes when both emit modes give what Kafka Streams gives: for each key and window the
 * same values in the same order, with the highest event time of the window. On update results are
 * taken after each event, since Kafka Streams caches nothing here; final is never flushed at the
 * end. The aggregator joins texts by "+"; one called "aggregate" begins with "0". Each mode runs
 * twice, the second time with a snapshot, another operator and restore around each event.
 * EVS_CORPORA names the folder of corpora; without it the test is skipped.
 */
#include "sliding_kit.h"

/* "key|start|end|value|t", sorted by key and start; equal ones stay in order */
static void add_line(lines *l, const sliding_result *r)
{
    char text[2 * LINE_MAX_BYTES];

    snprintf(text, sizeof(text), "%s|%020lld|%lld|%s|%lld", r->key, (long long)r->start,
             (long long)r->end, r->value, (long long)r->t);
    lines_add(l, text);
}

typedef struct collected {
    lines got;
    const char *prefix;
} collected;

static void collect(const sliding_result *r, void *user_data)
{
    collected *c = user_data;
    sliding_result full = *r;
    char value[LINE_MAX_BYTES + 8];

    snprintf(value, sizeof(value), "%s%s", c->prefix, r->value);
    full.value = value;
    add_line(&c->got, &full);
}

static size_t window_len(const char *line)
{
    return (size_t)(strchr(strchr(line, '|') + 1, '|') - line);
}

/* insertion sort: it keeps the order of equals */
static void sort_by_window(lines *l)
{
    for (size_t i = 1; i < l->count; i++) {
        char *line = l->items[i];
        size_t j = i, len = window_len(line);
        for (; j > 0; j--) {
            size_t other = window_len(l->items[j - 1]);
            int order = memcmp(l->items[j - 1], line, (other < len ? other : len) + 1);
            if (order <= 0)
                break;
            l->items[j] = l->items[j - 1];
        }
        l->items[j] = line;
    }
}

static const char *text_of(const json_t *object, const char *name, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : otherwise;
}

static int64_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void wanted(const json_t *rows, const char *only_key, int64_t duration, lines *ret)
{
    size_t i;
    json_t *row;

    json_array_foreach(rows, i, row)
    {
        int64_t start = number_of(row, "start");
        bool has_end = json_object_get(row, "end") != NULL;
        sliding_result r = {.key = text_of(row, "key", only_key),
                            .value = text_of(row, "value", ""),
                            .start = start,
                            .end = has_end ? number_of(row, "end") : start + duration,
                            .t = number_of(row, "timestamp")};
        add_line(ret, &r);
    }
}

static const char *compare(lines *got, lines *want, char *why, size_t size)
{
    sort_by_window(got);
    sort_by_window(want);
    for (size_t i = 0; i < got->count || i < want->count; i++) {
        const char *g = i < got->count ? got->items[i] : "nothing";
        const char *w = i < want->count ? want->items[i] : "nothing";
        if (strcmp(g, w) != 0) {
            snprintf(why, size, "got %.200s, wanted %.200s", g, w);
            return why;
        }
    }
    return NULL;
}

/* NULL: as Kafka Streams */
static const char *
run_mode(const json_t *test, const char *mode, bool restarts, char *why, size_t size)
{
    const json_t *grace = json_object_get(test, "grace_ms"), *inputs, *rows;
    bool final = strcmp(mode, "emit_final") == 0;
    collected c = {.prefix = strcmp(text_of(test, "agg", ""), "aggregate") == 0 ? "0+" : ""};
    lines want = {.count = 0};
    sliding s = {.restarts = restarts};
    const char *result;
    json_t *event;
    size_t i;

    rows = json_object_get(test, mode);
    inputs = json_object_get(test, "inputs");
    if (json_is_object(grace))
        grace = json_object_get(grace, mode);
    sliding_open(&s, "string_agg(value, '+') AS v, max(t) AS highest",
                 number_of(test, "difference_ms"), json_integer_value(grace), final);
    json_array_foreach(inputs, i, event)
    {
        sliding_event(&s, text_of(event, "key", ""), text_of(event, "value", ""),
                      number_of(event, "timestamp"));
        sliding_take(&s, collect, &c);
    }
    wanted(rows, text_of(json_array_get(inputs, 0), "key", ""), number_of(test, "difference_ms"),
           &want);
    result = compare(&c.got, &want, why, size);
    sliding_close(&s);
    lines_clear(&c.got);
    lines_clear(&want);
    return result;
}

static const char *run_case(const json_t *test, char *why, size_t size)
{
    static const char *const modes[] = {"emit_on_update", "emit_final"};

    for (size_t i = 0; i < 4; i++) {
        if (json_object_get(test, modes[i / 2]) && run_mode(test, modes[i / 2], i % 2, why, size))
            return modes[i / 2];
    }
    return NULL;
}

int main(int argc, char **argv)
{
    bool list = false;
    json_t *corpus = sliding_corpus(argc, argv, "kafka-streams", "Kafka Streams", &list);
    json_t *cases = json_object_get(corpus, "cases"), *test;
    size_t i, passed = 0, count = json_array_size(cases);

    if (!corpus)
        return 0;
    printf("1..1\n");
    json_array_foreach(cases, i, test)
    {
        char why[500] = "";
        const char *mode = run_case(test, why, sizeof(why));
        passed += !mode;
        if (mode && list)
            printf("# conformance kafka-sliding failed: %s, %s: %s\n", text_of(test, "test", "?"),
                   mode, why);
    }
    printf("# conformance kafka-sliding %zu of %zu\n", passed, count);
    printf("%sok 1 - kafka-sliding\n", count && passed == count ? "" : "not ");
    json_decref(corpus);
    return 0;
}
