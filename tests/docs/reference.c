/*
 * tests/docs/reference.c: the pages of docs/reference, made from the library's own tables.
 *
 *   reference --write FOLDER MODULE...    write them (scripts/reference)
 *   reference --check FOLDER MODULE...    compare them with what is there; prints TAP
 *
 * MODULEs are the connector modules that were built (sqlite, redis). To add a table of options: one
 * line in `sections`. To add a connector: one line in `connectors` (a module needs none). To add a
 * page: a function that prints it and one line in `pages`.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "codec/codec.h"
#include "engine/aggregate.h"
#include "evstream/connector.h"
#include "expr/functions.h"
#include "io/connectors.h"
#include "plan/plan.h"
#include "runtime/metrics.h"

#define PAGE_MAX (1 << 20)
#define MODULES_MAX 16

static const struct {
    const char *title;
    const char *intro;
    const evs_option_info *options;
} sections[] = {
    {"Pipeline",
     "Of evs_pipeline_set(), which also takes what connectors inherit: `kafka.*`, "
     "`schema.registry.url` and other options that a connector or format knows by that name.",
     evs__pipeline_option_table},
    {"Time", "Of every source of a pipeline.", evs__time_option_table},
    {"Steps", "Of every source and sink of a pipeline.", evs__step_option_table},
    {"Formats",
     "Of every source and sink that reads or writes bytes, and of evs_decoder_new(), "
     "evs_encoder_new() and the producer.",
     evs__codec_option_table},
};

static const evs_connector *const connectors[] = {
    &evs__callback_connector, &evs__console_connector, &evs__file_connector,
    &evs__kafka_connector,    &evs__memory_connector,
};

static const evs_connector *modules[MODULES_MAX];
static size_t module_count;

/* ---- options ---- */

/* "|" ends a cell of a table */
static void print_cell(evs__buffer *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '|')
            evs__buffer_byte(out, '\\');
        evs__buffer_byte(out, (uint8_t)*p);
    }
}

static void print_range(evs__buffer *out, const evs_option_info *o)
{
    if (!o->min && !o->max)
        return;
    if (o->max == INT64_MAX)
        evs__buffer_printf(out, ", at least %lld", (long long)o->min);
    else
        evs__buffer_printf(out, ", %lld to %lld", (long long)o->min, (long long)o->max);
    if (o->type == EVS_OPTION_DURATION)
        evs__buffer_text(out, " ms");
}

static void print_type(evs__buffer *out, const evs_option_info *o)
{
    static const char *const names[] = {
        [EVS_OPTION_STRING] = "text",
        [EVS_OPTION_INT] = "integer",
        [EVS_OPTION_DURATION] = "duration",
        [EVS_OPTION_BYTES] = "size",
        [EVS_OPTION_BOOL] = "true, false",
        [EVS_OPTION_DOUBLE] = "number",
        [EVS_OPTION_ENUM] = "",
        [EVS_OPTION_SECRET] = "secret",
    };

    if (o->type != EVS_OPTION_ENUM) {
        evs__buffer_text(out, names[o->type]);
        print_range(out, o);
        return;
    }
    for (const char *p = o->values; *p;) {
        size_t n = strcspn(p, "|");
        evs__buffer_printf(out, "%s`%.*s`", p == o->values ? "" : ", ", (int)n, p);
        p += n + (p[n] == '|');
    }
}

static void print_options(evs__buffer *out, const evs_option_info *options)
{
    if (!options || !options->name) {
        evs__buffer_text(out, "No options of its own.\n");
        return;
    }
    evs__buffer_text(out, "| option | type | default | meaning | since |\n|---|---|---|---|---|\n");
    for (const evs_option_info *o = options; o->name; o++) {
        evs__buffer_printf(out, "| `%s` | ", o->name);
        print_type(out, o);
        evs__buffer_text(out, " | ");
        if (o->default_value)
            evs__buffer_printf(out, *o->default_value ? "`%s`" : "empty", o->default_value);
        else
            evs__buffer_text(out, o->required ? "**required**" : "none");
        evs__buffer_text(out, " | ");
        print_cell(out, o->doc);
        evs__buffer_printf(out, " | %s |\n", o->since);
    }
}

static const char *guarantee_text(int32_t guarantee)
{
    switch ((evs_guarantee)guarantee) {
    case EVS_GUARANTEE_TRANSACTIONAL:
        return "transactional: results, epoch and offsets in one transaction of its own";
    case EVS_GUARANTEE_IDEMPOTENT:
        return "idempotent: writing the same result again changes nothing";
    case EVS_GUARANTEE_TWO_PHASE:
        return "two-phase: becomes visible at commit";
    case EVS_GUARANTEE_AT_LEAST_ONCE:
        return "at least once";
    }
    return "";
}

static void print_connector(evs__buffer *out, const evs_connector *c, bool module)
{
    evs__buffer_printf(out, "\n## Connector `%s`%s\n\n%s.\n", c->name, module ? " (module)" : "",
                       c->doc);
    if (c->source) {
        evs__buffer_printf(out, "\n### Source `%s`\n\n", c->name);
        print_options(out, c->source->options);
    }
    if (c->sink) {
        evs__buffer_printf(out, "\n### Sink `%s`\n\nGuarantee: %s.\n\n", c->name,
                           guarantee_text(c->sink->guarantee));
        print_options(out, c->sink->options);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const evs_connector *const *)a)->name,
                  (*(const evs_connector *const *)b)->name);
}

static void print_configuration(evs__buffer *out)
{
    evs__buffer_text(
        out,
        "# Configuration\n\n"
        "Everything is configured by text keys with text values. A duration is milliseconds or has "
        "a unit (`250ms`,\n`10s`, `5m`, `1h`, `7d`, `forever`), a size is bytes or has a unit "
        "(`64k`, `32m`, `1g`; 1k = 1024). A secret is\nnever shown: not in errors, logs or "
        "`explain`. Keys that begin with `kafka.` go to librdkafka as they are,\nwithout the "
        "prefix; a key that nobody knows is an error that names the closest one.\n");
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        evs__buffer_printf(out, "\n## %s\n\n%s\n\n", sections[i].title, sections[i].intro);
        print_options(out, sections[i].options);
    }
    for (size_t i = 0; i < sizeof(connectors) / sizeof(connectors[0]); i++)
        print_connector(out, connectors[i], false);
    for (size_t i = 0; i < module_count; i++)
        print_connector(out, modules[i], true);
}

/* ---- functions ---- */

/* one row a usage: signatures of one usage stand together in the library's table */
static bool same_usage(const evs__function *a, const evs__function *b)
{
    return strcmp(a->usage, b->usage) == 0;
}

static void print_function(evs__buffer *out, const evs__function *f, const evs__function *end)
{
    evs__buffer_printf(out, "| `%s` | ", f->usage);
    for (const evs__function *other = f; other < end && same_usage(other, f); other++) {
        evs__buffer_text(out, other == f ? "`" : ", `");
        evs__function_signature(other, out);
        evs__buffer_byte(out, '`');
    }
    evs__buffer_text(out, " | ");
    print_cell(out, f->doc);
    evs__buffer_text(out, " |\n");
}

static void print_functions(evs__buffer *out)
{
    static const char *const groups[][2] = {
        {"number", "Numbers"},       {"text", "Text"},   {"time", "Time"}, {"choice", "Choice"},
        {"nested", "Nested values"}, {"other", "Other"},
    };
    size_t count = 0;
    const evs__function *all = evs__functions(&count);

    evs__buffer_text(out, "# Functions\n\nOf expressions: filters, projections, keys of windows. "
                          "Names are not case-sensitive. Unless its meaning says\notherwise, a "
                          "function of NULL is NULL.\n");
    for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
        evs__buffer_printf(out, "\n## %s\n\n| use | types | meaning |\n|---|---|---|\n",
                           groups[g][1]);
        for (size_t i = 0; i < count; i++) {
            if (strcmp(all[i].group, groups[g][0]) == 0 &&
                (i == 0 || !same_usage(&all[i - 1], &all[i])))
                print_function(out, &all[i], all + count);
        }
    }
}

/* ---- aggregates ---- */

/* the types of an argument: "INT, BIGINT"; "any" */
static void print_types(evs__buffer *out, uint32_t types)
{
    const char *between = "";

    if (types == UINT32_MAX) {
        evs__buffer_text(out, "any");
        return;
    }
    for (int id = EVS_TYPE_BOOLEAN; id <= EVS_TYPE_STRUCT; id++) {
        if (!(types >> id & 1))
            continue;
        evs__buffer_printf(out, "%s%s", between, evs__type_word((evs_type_id)id));
        between = ", ";
    }
}

static void print_aggregate(evs__buffer *out,
                            const evs__aggregate_functions *const *f,
                            const evs__aggregate_functions *const *end)
{
    evs__buffer_printf(out, "| `%s` | ", (*f)->usage);
    for (size_t i = 0; f + i < end && strcmp(f[i]->usage, (*f)->usage) == 0; i++) {
        const evs__aggregate_functions *other = f[i];
        evs__buffer_text(out, i ? "; " : "");
        if (other->arg_types)
            print_types(out, other->arg_types);
        if (other->arg2_types) {
            evs__buffer_text(out, " and ");
            print_types(out, other->arg2_types);
        }
        evs__buffer_printf(out, "%s%s", other->arg_types ? " -> " : "",
                           other->gives ? other->gives : "same");
    }
    evs__buffer_text(out, " | ");
    print_cell(out, (*f)->doc);
    evs__buffer_text(out, " |\n");
}

static void print_aggregates(evs__buffer *out)
{
    static const char *const groups[][2] = {
        {"count", "Counts"},
        {"number", "Numbers"},
        {"choice", "One of the values"},
        {"collection", "Collections"},
        {"statistics", "Statistics"},
        {"sketch", "Sketches"},
    };
    size_t count = 0;
    const evs__aggregate_functions *const *all = evs__aggregate_table(&count);

    evs__buffer_text(
        out,
        "# Aggregates\n\nOf windows: `sum(price) AS revenue, count(DISTINCT user) FILTER (WHERE "
        "price > 0) AS buyers`. Names are not\ncase-sensitive. Rows whose argument is NULL are "
        "left out (of two, where one of them is). Where nothing is left the\nresult is NULL, "
        "unless it is NOT NULL below.\n\n`f(DISTINCT x)` takes each value of a group once; "
        "`f(x) FILTER (WHERE condition)` only rows for which the condition\nis TRUE: for others "
        "the argument is not evaluated. Every aggregate can be merged and stored. Constants behind "
        "the\narguments are literals.\n\nA row that an aggregate refuses (a sum that would not "
        "fit, a collection that is full) is rejected as a whole, stage\n`expression`, and changes "
        "nothing.\n\nThe host's own aggregates are registered by evs_aggregate_register() "
        "(evstream/aggregate.h).\n");
    for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
        bool any = false;
        for (size_t i = 0; i < count; i++) {
            if (strcmp(all[i]->group, groups[g][0]) != 0 ||
                (i && strcmp(all[i - 1]->usage, all[i]->usage) == 0))
                continue;
            if (!any)
                evs__buffer_printf(out, "\n## %s\n\n| use | types | meaning |\n|---|---|---|\n",
                                   groups[g][1]);
            any = true;
            print_aggregate(out, &all[i], all + count);
        }
    }
}

/* ---- metrics ---- */

static void print_metrics(evs__buffer *out)
{
    evs__buffer_text(out, "# Metrics\n\nOf evs_pipeline_metric() and, as Prometheus text, of "
                          "evs_pipeline_metrics().\n\n");
    evs__metrics_reference(out);
}

/* ---- statuses ---- */

static void print_status(evs__buffer *out)
{
    evs__buffer_text(out, "# Statuses\n\n"
                          "Every function that can fail returns an `evs_status`: 0 is success, "
                          "negative a failure, positive an outcome\nthat the function's comment "
                          "documents. Values never change.\n\n"
                          "| value | name | meaning |\n|---|---|---|\n");
#define ROW(name, value, text)                                                                     \
    evs__buffer_printf(out, "| %d | `EVS_%s` | %s |\n", value, #name, text);
    EVS_STATUS_MAP(ROW)
#undef ROW
}

/* ---- pages ---- */

static const struct {
    const char *file;
    void (*print)(evs__buffer *out);
} pages[] = {
    {"aggregates.md", print_aggregates}, {"configuration.md", print_configuration},
    {"functions.md", print_functions},   {"metrics.md", print_metrics},
    {"status.md", print_status},
};

static const char *make_page(size_t i, evs__buffer *out)
{
    evs__buffer_reset(out);
    evs__buffer_text(
        out, "<!-- Made by scripts/reference from the library's tables: do not edit. -->\n");
    pages[i].print(out);
    return evs__buffer_cstr(out);
}

static bool write_page(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    bool good;

    if (!f)
        return false;
    good = fputs(text, f) >= 0;
    return fclose(f) == 0 && good;
}

/* number of the first line that differs, 0 when none does */
static int first_difference(const char *path, const char *text)
{
    FILE *f = fopen(path, "r");
    int line = 1, c = 0;

    if (!f)
        return 1;
    for (; c != EOF; text++) {
        c = fgetc(f);
        if (c != (*text ? (unsigned char)*text : EOF))
            break;
        if (c == '\n')
            line++;
        if (c == EOF)
            line = 0;
    }
    fclose(f);
    return line;
}

static void load_modules(int count, char **paths)
{
    for (int i = 0; i < count && module_count < MODULES_MAX; i++) {
        void *handle = dlopen(paths[i], RTLD_NOW | RTLD_LOCAL);
        void *symbol = handle ? dlsym(handle, "evs_module_connector") : NULL;
        evs_module_connector_fn connector;
        if (!symbol) {
            printf("Bail out! %s\n", dlerror());
            exit(1);
        }
        memcpy(&connector, &symbol, sizeof(connector));
        modules[module_count++] = connector();
    }
    qsort(modules, module_count, sizeof(modules[0]), by_name);
}

int main(int argc, char **argv)
{
    size_t count = sizeof(pages) / sizeof(pages[0]);
    bool check = argc > 1 && strcmp(argv[1], "--check") == 0;
    evs_context *ctx = NULL;
    evs__buffer out;
    int failed = 0;

    if (argc < 3 || (!check && strcmp(argv[1], "--write") != 0)) {
        fprintf(stderr, "usage: reference --write|--check FOLDER MODULE...\n");
        return 2;
    }
    load_modules(argc - 3, argv + 3);
    evs_context_new(NULL, &ctx, NULL);
    evs__buffer_init(&out, ctx, PAGE_MAX);
    if (check)
        printf("1..%zu\n", count);
    for (size_t i = 0; i < count; i++) {
        const char *text = make_page(i, &out);
        char path[4096];
        int line;
        snprintf(path, sizeof(path), "%s/%s", argv[2], pages[i].file);
        if (!check) {
            failed |= !text || !write_page(path, text);
            continue;
        }
        line = text ? first_difference(path, text) : 1;
        printf("%sok %zu - %s\n", line ? "not " : "", i + 1, pages[i].file);
        if (line)
            printf("# %s:%d is not what the library's tables say: run scripts/reference\n", path,
                   line);
        failed |= line != 0;
    }
    evs__buffer_free(&out);
    evs_context_unref(ctx);
    return failed;
}
