/*
 * Arroyo's golden outputs: queries over two files, their results compared as sorted rows.
 *
 * Usage: conformance_arroyo DEFAULT_CORPORA [--list]
 *
 * Each golden is met twice. Straight: the file connector reads the input to its end. Restarts: for
 * each of 20 seeds the events are pushed one by one into a pipeline with a state folder that is
 * dropped without a word after every k-th of them (k by the seed); it committed after one of these.
 * The next life pushes from the beginning, as a host without a memory would. What was committed
 * in the end, in a sink with transactions, must be the golden: nothing lost, nothing twice.
 *
 * The goldens are the files golden_*.json; the queries of Arroyo that made them are below as steps
 * of ours. A golden without one is a failed case. EVS_CORPORA names the folder of corpora; without
 * it the test is skipped.
 */
#include <dirent.h>
#include <jansson.h>

#include "pipeline_kit.h"

#define SEEDS 20
#define GOLDENS_MAX 64
#define COLUMNS_MAX 8
#define TEXT_MAX 1024

typedef struct query {
    const char *golden;
    const char *input;
    const char *columns; /* of the input */
    evs_stream *(*build)(evs_stream *rows);
    const char *result[COLUMNS_MAX]; /* fields of a golden row in the order of ours */
} query;

static const char *folder;

/* ---- the queries ---- */

static evs_stream *select_star(evs_stream *rows)
{
    return evs_project(rows, "driver_id, event_type, location, timestamp");
}

static evs_stream *hourly_by_event_type(evs_stream *rows)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;

    o.size_ms = 3600 * 1000;
    o.emit = EVS_EMIT_FINAL;
    return evs_project(evs_window_by(rows, "event_type", &o, "count(*) AS n"),
                       "event_type, window_start AS hour, n");
}

static evs_stream *sliding_window_end(evs_stream *rows)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;

    o.kind = EVS_WINDOW_HOPPING;
    o.size_ms = 10000;
    o.advance_ms = 2000;
    o.emit = EVS_EMIT_FINAL;
    return evs_project(
        evs_window_by(rows, NULL, &o, "count(*) AS n, min(counter) AS low, max(counter) AS high"),
        "window_start, window_end, n, low, high");
}

static evs_stream *session_window(evs_stream *rows)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;

    o.kind = EVS_WINDOW_SESSION;
    o.gap_ms = 20000;
    o.emit = EVS_EMIT_FINAL;
    rows = evs_window_by(rows, "CASE WHEN counter % 10 = 0 THEN 0 ELSE counter END AS user_id", &o,
                         "count(*) AS n");
    /* Arroyo's sessions end a gap behind their last event */
    return evs_project(rows, "window_start, from_unixtime(unix_timestamp(window_end) + 20000) AS "
                             "session_end, user_id, n");
}

#define CARS "timestamp TIMESTAMP, driver_id BIGINT, event_type VARCHAR, location VARCHAR"
#define IMPULSE "timestamp TIMESTAMP, counter BIGINT, subtask_index BIGINT"

static const query queries[] = {
    {"select_star",
     "input_cars.json",
     CARS,
     select_star,
     {"driver_id", "event_type", "location", "timestamp"}},
    {"hourly_by_event_type",
     "input_cars.json",
     CARS,
     hourly_by_event_type,
     {"event_type", "hour", "count"}},
    {"sliding_window_end",
     "input_impulse.json",
     IMPULSE,
     sliding_window_end,
     {"start", "end", "count", "min", "max"}},
    {"session_window",
     "input_impulse.json",
     IMPULSE,
     session_window,
     {"start", "end", "user_id", "rows"}},
};

/* ---- files ---- */

typedef struct lines {
    char *data;
    char **items;
    size_t count;
} lines;

static void path_of(const char *name, char path[4096])
{
    snprintf(path, 4096, "%s/%s", folder, name);
}

static bool read_lines(const char *name, lines *ret)
{
    char path[4096];
    FILE *file;
    long len;

    path_of(name, path);
    if (!(file = fopen(path, "rb")))
        return false;
    fseek(file, 0, SEEK_END);
    len = ftell(file);
    rewind(file);
    ret->data = malloc((size_t)len + 1);
    ret->items = malloc(((size_t)len / 2 + 1) * sizeof(*ret->items));
    ret->data[fread(ret->data, 1, (size_t)len, file)] = '\0';
    fclose(file);
    ret->count = 0;
    for (char *p = strtok(ret->data, "\n"); p; p = strtok(NULL, "\n"))
        ret->items[ret->count++] = p;
    return true;
}

static void free_lines(lines *l)
{
    free(l->items);
    free(l->data);
}

/* a field of a golden as the sink keeps it; texts of times in one form */
static size_t print_field(const json_t *value, char *out, size_t size)
{
    const char *text = json_string_value(value);
    char time[EVS__TIME_TEXT_MAX];
    int64_t ms;

    if (json_is_integer(value))
        return (size_t)snprintf(out, size, "%lld", (long long)json_integer_value(value));
    if (!text)
        return (size_t)snprintf(out, size, "null");
    if (evs__time_parse(text, strlen(text), &ms) == EVS_OK) {
        evs__time_format(ms, time);
        text = time;
    }
    return (size_t)snprintf(out, size, "%s", text);
}

/* golden rows, sorted; NULL: there is no such file, or a row has other fields */
static char *wanted_text(const query *q)
{
    char name[300];
    lines l;
    table t = {0};
    char *text = NULL;
    bool good = true;

    snprintf(name, sizeof(name), "golden_%s.json", q->golden);
    if (!read_lines(name, &l))
        return NULL;
    for (size_t i = 0; i < l.count && good; i++) {
        char row[TEXT_MAX];
        size_t at = 0, fields = 0;
        json_t *json = json_loads(l.items[i], 0, NULL);
        for (; fields < COLUMNS_MAX && q->result[fields]; fields++) {
            at += (size_t)snprintf(row + at, sizeof(row) - at, "%s", fields ? "|" : "");
            at += print_field(json_object_get(json, q->result[fields]), row + at, sizeof(row) - at);
        }
        good = json_object_size(json) == fields;
        json_decref(json);
        table_put(&t, "", row);
    }
    if (good)
        text = table_text(&t);
    table_clear(&t);
    free_lines(&l);
    return text;
}

/* ---- runs ---- */

/* connector: file or memory */
static void build(kit *k, const query *q, const char *connector, const char *path)
{
    evs_pipeline *p = kit_pipeline(k);

    evs_pipeline_set(p, "state.dir", k->dir);
    k->source =
        evs_source(p, connector,
                   EVS_OPTIONS("format", "json", "columns", q->columns, "event.time", "timestamp",
                               "out_of_orderness", "23s", "idle_timeout", "forever", "close_after",
                               "forever", path ? "path" : "partitions", path ? path : "1"));
    evs_sink(q->build(k->source), "txn", NULL);
}

static void fresh(kit *k)
{
    evs_pipeline_unref(k->p);
    k->p = NULL;
    database_clear(&k->db);
    remove_dir(k->dir);
}

/* to the end of the input; NULL: what was committed is as wanted */
static const char *finish(kit *k, const char *wanted)
{
    char *text;
    bool same, whole;

    if (kit_drain(k) != EVS_END) {
        fprintf(stderr, "# %s\n", k->err ? evs_error_message(k->err) : evs_pipeline_state(k->p));
        return "the pipeline does not end";
    }
    whole = kit_metric(k, "dead_letters_total") == 0; /* late events are, too */
    text = table_text(&k->db.committed);
    same = strcmp(text, wanted) == 0;
    free(text);
    if (!whole)
        return "dead letters or late events";
    return same ? NULL : "other rows";
}

static const char *run_straight(kit *k, const query *q, const char *wanted)
{
    char path[4096];

    fresh(k);
    path_of(q->input, path);
    build(k, q, "file", path);
    return finish(k, wanted);
}

static size_t below(uint64_t *random, size_t n)
{
    return (size_t)(evs_test_random(random) % n);
}

static void push(kit *k, const lines *in, size_t i)
{
    while (evs_stream_push_bytes(k->source, in->items[i], strlen(in->items[i]), NULL, 0, 0, 0,
                                 &k->err) == EVS_AGAIN)
        assert_true(evs_pipeline_poll(k->p, 0, NULL) >= 0);
    assert_null(k->err);
}

static const char *
run_restarts(kit *k, const query *q, const lines *in, uint64_t seed, const char *wanted)
{
    size_t k_rows, done = 0, lives = 0;

    fresh(k);
    /* two hundred lives or fewer: the longer input would make thousands of them */
    k_rows = 1 + in->count / 200 + below(&seed, in->count / 4);
    for (;; lives++) {
        size_t commit = done + 1 + below(&seed, k_rows);
        build(k, q, "memory", NULL);
        for (size_t i = 0; i < done; i++)
            push(k, in, i);
        for (size_t i = done; i < done + k_rows && i < in->count; i++) {
            push(k, in, i);
            if (below(&seed, 4) == 0)
                kit_drain(k);
            if (i + 1 == commit) {
                kit_drain(k);
                OK(evs_pipeline_commit(k->p, &k->err));
            }
        }
        if (done + k_rows >= in->count)
            break;
        done = commit;
    }
    OK(evs_stream_push_end(k->source, &k->err));
    return finish(k, wanted);
}

static const query *find_query(const char *golden)
{
    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        if (strcmp(queries[i].golden, golden) == 0)
            return &queries[i];
    }
    return NULL;
}

/* NULL: as Arroyo says */
static const char *run_golden(kit *k, const char *golden, char *where, size_t size)
{
    const query *q = find_query(golden);
    const char *why = NULL;
    char *wanted;
    lines in = {0};

    snprintf(where, size, "straight");
    if (!q)
        return "no query of that name";
    wanted = wanted_text(q);
    if (!wanted)
        return "the golden has other fields than the query";
    why = run_straight(k, q, wanted);
    if (!why && !read_lines(q->input, &in))
        why = "its input is missing";
    for (uint64_t seed = 1; seed <= SEEDS && !why; seed++) {
        snprintf(where, size, "restarts, seed %llu", (unsigned long long)seed);
        why = run_restarts(k, q, &in, seed, wanted);
    }
    free_lines(&in);
    free(wanted);
    return why;
}

/* names between golden_ and .json, sorted */
static size_t list_goldens(char **names)
{
    struct dirent **entries = NULL;
    int n = scandir(folder, &entries, NULL, alphasort);
    size_t count = 0;

    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        size_t len = strlen(name);
        if (count < GOLDENS_MAX && len > 12 && strncmp(name, "golden_", 7) == 0 &&
            strcmp(name + len - 5, ".json") == 0)
            names[count++] = strndup(name + 7, len - 12);
        free(entries[i]);
    }
    free(entries);
    return count;
}

int main(int argc, char **argv)
{
    const char *corpora = getenv("EVS_CORPORA");
    bool list = getenv("EVS_CONFORMANCE_LIST") || (argc > 2 && !strcmp(argv[2], "--list"));
    char path[3072], *names[GOLDENS_MAX];
    size_t count, passed = 0;
    void *state = NULL;

    snprintf(path, sizeof(path), "%s/arroyo", corpora ? corpora : argc > 1 ? argv[1] : ".");
    folder = path;
    count = list_goldens(names);
    if (!count) {
        printf("1..0 # SKIP no goldens of Arroyo in %s (set EVS_CORPORA)\n", folder);
        return 0;
    }
    printf("1..%zu\n", count);
    for (size_t i = 0; i < count; i++) {
        char where[64];
        const char *why;
        kit_setup(&state);
        why = run_golden(state, names[i], where, sizeof(where));
        kit_teardown(&state);
        passed += !why;
        if (why && list)
            printf("# conformance arroyo failed: %s (%s): %s\n", names[i], where, why);
        printf("%sok %zu - %s\n", why ? "not " : "", i + 1, names[i]);
        free(names[i]);
    }
    printf("# conformance arroyo %zu of %zu\n", passed, count);
    return 0;
}
