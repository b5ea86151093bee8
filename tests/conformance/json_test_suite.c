/*
 * JSONTestSuite (nst): documents y_ must be read, n_ must be refused, i_ must not crash.
 *
 * Usage: conformance_json_test_suite DEFAULT_CORPORA [--list]
 *
 * Each document goes through every build of the reader, as it stands and with white space around
 * it (short documents would only meet the plain reader), by two ways: the check of any value, which
 * is what skips unwanted members, and, when it is an object, the decoder. All builds must agree,
 * also about i_. EVS_CORPORA names the folder of corpora; without it the test is skipped.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/frame.h"
#include "codec/json.h"

#define CASES_MAX 1024
#define PADDING 48

typedef struct verdict {
    bool accepted;
    const char *why; /* the readers do not agree, or a reader is inconsistent; NULL: fine */
} verdict;

static void *must(void *memory)
{
    if (!memory) {
        printf("Bail out! out of memory\n");
        exit(1);
    }
    return memory;
}

static uint8_t *read_file(const char *path, size_t *ret_len)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = must(malloc(1 << 20));

    if (!file) {
        printf("Bail out! cannot open %s\n", path);
        exit(1);
    }
    *ret_len = fread(data, 1, 1 << 20, file);
    fclose(file);
    return data;
}

/* an exact copy, so that a sanitizer sees what is read outside */
static bool check_accepts(const evs__json_walk *walk, const uint8_t *data, size_t len)
{
    uint8_t *copy = must(malloc(len ? len : 1));
    char message[200] = "";
    evs_status status;

    memcpy(copy, data, len);
    status = evs__json_check(walk, copy, len, message, sizeof(message));
    free(copy);
    return status == EVS_OK;
}

/* by the decoder of a schema that wants nothing of it */
static bool
decoder_accepts(evs_context *ctx, const evs__json_walk *walk, const uint8_t *data, size_t len)
{
    uint8_t *copy = must(malloc(len ? len : 1));
    char message[200] = "";
    evs__codec_options o = {0};
    evs_schema *schema = NULL;
    evs__format_decoder *decoder = NULL;
    evs_batch *batch = NULL;
    evs__scratch scratch;
    evs_status status = EVS_OK;

    memcpy(copy, data, len);
    if (evs_schema_columns(ctx, "wanted VARCHAR", &schema, NULL) ||
        evs__format_json.new_decoder(ctx, schema, schema->type, &o, &decoder, NULL) ||
        evs__batch_new(ctx, schema->type, EVS_LAYOUT_VIEW, 4, &batch))
        must(NULL);
    evs__json_decoder_use(decoder, walk);
    evs__scratch_init(&scratch, ctx);
    /* the second time with what was learned */
    for (int i = 0; i < 2 && !status; i++)
        status = decoder->decode_row(decoder, copy, len, batch->columns, &scratch, message,
                                     sizeof(message));
    decoder->free(decoder);
    evs_batch_unref(batch);
    evs__scratch_free(&scratch);
    evs_schema_unref(schema);
    free(copy);
    return status == EVS_OK;
}

static bool is_object(const uint8_t *data, size_t len)
{
    size_t i = 0;

    while (i < len && data[i] && strchr(" \t\r\n", data[i]))
        i++;
    return i < len && data[i] == '{';
}

static verdict judge(evs_context *ctx, const uint8_t *data, size_t len)
{
    const evs__json_walk *const walks[] = {evs__json_walk_best(), &evs__json_walk_plain,
#ifdef EVS__JSON_X86
                                           &evs__json_walk_sse2
#endif
    };
    uint8_t *padded = must(malloc(len + 2 * PADDING));
    verdict v = {check_accepts(walks[0], data, len), NULL};

    memset(padded, ' ', len + 2 * PADDING);
    memcpy(padded + PADDING, data, len);
    for (size_t i = 0; i < sizeof(walks) / sizeof(walks[0]); i++) {
        if (check_accepts(walks[i], data, len) != v.accepted ||
            check_accepts(walks[i], padded, len + 2 * PADDING) != v.accepted)
            v.why = "the readers do not agree";
        if (is_object(data, len) &&
            (decoder_accepts(ctx, walks[i], data, len) != v.accepted ||
             decoder_accepts(ctx, walks[i], padded, len + 2 * PADDING) != v.accepted))
            v.why = "check and decoder do not agree";
    }
    free(padded);
    return v;
}

/* NULL: as the suite wants it */
static const char *run_case(evs_context *ctx, const char *folder, const char *name)
{
    char path[8192];
    size_t len = 0;
    uint8_t *data;
    verdict v;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    data = read_file(path, &len);
    v = judge(ctx, data, len);
    free(data);
    if (v.why)
        return v.why;
    if (name[0] == 'y' && !v.accepted)
        return "refused";
    if (name[0] == 'n' && v.accepted)
        return "accepted";
    return NULL;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* names of the cases, sorted; 0: there is no such folder */
static size_t list_cases(const char *folder, char **names)
{
    DIR *dir = opendir(folder);
    size_t count = 0;

    if (!dir)
        return 0;
    for (struct dirent *e = readdir(dir); e && count < CASES_MAX; e = readdir(dir)) {
        if (strchr("yni", e->d_name[0]) && e->d_name[1] == '_')
            names[count++] = must(strdup(e->d_name));
    }
    closedir(dir);
    qsort(names, count, sizeof(*names), compare);
    return count;
}

int main(int argc, char **argv)
{
    const char *corpora = getenv("EVS_CORPORA");
    bool list = getenv("EVS_CONFORMANCE_LIST") || (argc > 2 && !strcmp(argv[2], "--list"));
    static char *names[CASES_MAX];
    char folder[4096];
    evs_context *ctx = NULL;
    size_t count, passed = 0;

    snprintf(folder, sizeof(folder), "%s/json-test-suite/test_parsing",
             corpora    ? corpora
             : argc > 1 ? argv[1]
                        : ".");
    count = list_cases(folder, names);
    if (!count) {
        printf("1..0 # SKIP no JSONTestSuite in %s (set EVS_CORPORA)\n", folder);
        return 0;
    }
    if (evs_context_new(NULL, &ctx, NULL))
        must(NULL);
    printf("1..1\n");
    for (size_t i = 0; i < count; i++) {
        const char *why = run_case(ctx, folder, names[i]);

        passed += !why;
        if (why && list)
            printf("# conformance json-test-suite failed: %s: %s\n", names[i], why);
        free(names[i]);
    }
    printf("# conformance json-test-suite %zu of %zu\n", passed, count);
    printf("%sok 1 - json-test-suite\n", passed == count ? "" : "not ");
    evs_context_unref(ctx);
    return 0;
}
