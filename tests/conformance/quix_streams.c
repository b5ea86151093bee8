/*
 * Sliding windows of Quix Streams: what is updated and what expires after each message of a key.
 *
 * Usage: conformance_quix_streams DEFAULT_CORPORA [--list]
 *
 * Quix has the windows of Kafka Streams, but shows only those that end with an event: a window
 * whose highest event time is its end. Where a message comes before one duration has passed since
 * the epoch Quix cuts the window's end instead of leaving it at the duration: such a window, from
 * 0, is shown too, and its end is its highest event time. "updated" is emit changes, taken after
 * each message, "expired" emit final; in which order the windows of one message come is not
 * compared. Collections of Quix are made at the close only: a case without any update is final
 * only. What the cases say about Quix's store ("present", "deleted") is its own matter. Each mode
 * runs twice, the second time with a snapshot, another operator and restore around each message.
 * EVS_CORPORA names the folder of corpora; without it the test is skipped.
 */
#include "sliding_kit.h"

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_line(lines *l, int64_t start, int64_t end, const char *value)
{
    char text[2 * LINE_MAX_BYTES];

    snprintf(text, sizeof(text), "[%lld, %lld] %s", (long long)start, (long long)end, value);
    lines_add(l, text);
}

static void collect(const sliding_result *r, void *user_data)
{
    if (r->t == r->end || r->start == 0)
        add_line(user_data, r->start, r->t, r->value);
}

static int64_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

/* got is emptied; NULL: the same windows */
static const char *compare(lines *got, const json_t *rows, char *why, size_t size)
{
    static const char nothing[] = "nothing";
    lines want = {.count = 0};
    const char *result = NULL;
    json_t *row;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        char *value = json_dumps(json_object_get(row, "value"), JSON_COMPACT | JSON_ENCODE_ANY);
        add_line(&want, number_of(row, "start"), number_of(row, "end"), value);
        free(value);
    }
    qsort(got->items, got->count, sizeof(*got->items), compare_lines);
    qsort(want.items, want.count, sizeof(*want.items), compare_lines);
    for (i = 0; !result && (i < got->count || i < want.count); i++) {
        const char *g = i < got->count ? got->items[i] : nothing;
        const char *w = i < want.count ? want.items[i] : nothing;
        if (strcmp(g, w) != 0) {
            snprintf(why, size, "got %.200s, wanted %.200s", g, w);
            result = why;
        }
    }
    lines_clear(got);
    lines_clear(&want);
    return result;
}

/* NULL: as Quix */
static const char *
run_mode(const json_t *test, const char *mode, bool restarts, char *why, size_t size)
{
    bool final = strcmp(mode, "expired") == 0;
    sliding s = {.restarts = restarts};
    const char *result = NULL;
    lines got = {.count = 0};
    json_t *message;
    size_t i;

    sliding_open(&s, "collect_list(value) AS v, max(t) AS highest", number_of(test, "duration_ms"),
                 number_of(test, "grace_ms"), final);
    json_array_foreach(json_object_get(test, "messages"), i, message)
    {
        const json_t *value = json_object_get(message, "value");
        sliding_event(&s, "k", json_is_string(value) ? json_string_value(value) : "",
                      number_of(message, "timestamp"));
        sliding_take(&s, collect, &got);
        result = compare(&got, json_object_get(message, mode), why, size);
        if (result)
            break;
    }
    sliding_close(&s);
    return result;
}

static bool has_updates(const json_t *test)
{
    json_t *message;
    size_t i;

    json_array_foreach(json_object_get(test, "messages"), i, message)
    {
        if (json_array_size(json_object_get(message, "updated")))
            return true;
    }
    return false;
}

static const char *run_case(const json_t *test, char *why, size_t size)
{
    static const char *const modes[] = {"updated", "expired"};

    for (size_t i = has_updates(test) ? 0 : 2; i < 4; i++) {
        if (run_mode(test, modes[i / 2], i % 2, why, size))
            return modes[i / 2];
    }
    return NULL;
}

int main(int argc, char **argv)
{
    bool list = false;
    json_t *corpus = sliding_corpus(argc, argv, "quix-streams", "Quix Streams", &list);
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
            printf("# conformance quix-streams failed: %s, %s: %s\n",
                   json_string_value(json_object_get(test, "id")), mode, why);
    }
    printf("# conformance quix-streams %zu of %zu\n", passed, count);
    printf("%sok 1 - quix-streams\n", count && passed == count ? "" : "not ");
    json_decref(corpus);
    return 0;
}
