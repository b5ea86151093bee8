/*
 * Avro schemas (apache/avro): valid ones must be parsed, invalid ones refused with a message.
 *
 * Usage: conformance_avro_schemas DEFAULT_CORPORA [--list]
 *
 * From py_vectors.json the valid and invalid schemas, those with fingerprints, and each type with
 * its default value; from canonical_form_fingerprints.txt every input, whose canonical form must
 * be a schema, too. EVS_CORPORA names the folder of corpora; without it the test is skipped.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "schema/schema.h"

typedef struct run {
    evs_context *ctx;
    bool list;
    size_t passed, total;
} run;

static void *must(void *memory)
{
    if (!memory) {
        printf("Bail out! out of memory\n");
        exit(1);
    }
    return memory;
}

/* parse schema text with any root; NULL, or what is wrong with the outcome */
static const char *parse(run *r, const char *text, bool valid, char *message, size_t size)
{
    evs__avro_tree *tree = NULL;
    evs_error *err = NULL;
    evs__buffer warnings;
    evs_status status;

    evs__buffer_init(&warnings, r->ctx, 65536);
    status = evs__avro_parse(r->ctx, text, strlen(text), &warnings, &tree, &err);
    snprintf(message, size, "%s", evs_error_message(err));
    evs_error_unref(err);
    evs__avro_tree_free(tree);
    evs__buffer_free(&warnings);
    if (!status)
        return valid ? NULL : "was parsed";
    if (valid)
        return message;
    return status == EVS_ERR_SCHEMA && *message ? NULL : "refused without a message";
}

static void check(run *r, const char *text, bool valid)
{
    char message[1024];
    const char *why = parse(r, text, valid, message, sizeof(message));

    r->total++;
    r->passed += !why;
    if (why && r->list)
        printf("# conformance avro-schemas failed: %.300s: %s\n", text, why);
}

static void check_array(run *r, const json_t *array, bool valid)
{
    size_t i;
    json_t *item;

    json_array_foreach(array, i, item)
    {
        const json_t *text = json_is_object(item) ? json_object_get(item, "schema") : item;
        check(r, json_string_value(text), valid);
    }
}

/* [type, default]: as a field of a record */
static void check_defaults(run *r, const json_t *array)
{
    size_t i;
    json_t *item;

    json_array_foreach(array, i, item)
    {
        char *type = must(json_dumps(json_array_get(item, 0), JSON_ENCODE_ANY));
        char *value = must(json_dumps(json_array_get(item, 1), JSON_ENCODE_ANY));
        char *text = must(malloc(strlen(type) + strlen(value) + 128));
        sprintf(text,
                "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"f\",\"type\":%s,"
                "\"default\":%s}]}",
                type, value);
        check(r, text, true);
        free(type);
        free(value);
        free(text);
    }
}

static char *read_text(const char *folder, const char *name)
{
    char path[4096];
    FILE *file;
    char *text;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (!(file = fopen(path, "rb")))
        return NULL;
    text = must(calloc(1, 1 << 20));
    if (!fread(text, 1, (1 << 20) - 1, file))
        text[0] = '\0';
    fclose(file);
    return text;
}

/* "<<INPUT text" on one line, or "<<INPUT", lines, "INPUT"; "<<canonical text" */
static void check_canonical(run *r, char *text)
{
    static char many[8192];
    bool inside = false;

    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        if (inside && !strcmp(line, "INPUT")) {
            inside = false;
            check(r, many, true);
        } else if (inside) {
            strncat(many, line, sizeof(many) - strlen(many) - 2);
            strcat(many, "\n");
        } else if (!strcmp(line, "<<INPUT")) {
            inside = true;
            many[0] = '\0';
        } else if (!strncmp(line, "<<INPUT ", 8)) {
            check(r, line + 8, true);
        } else if (!strncmp(line, "<<canonical ", 12)) {
            check(r, line + 12, true);
        }
    }
}

int main(int argc, char **argv)
{
    const char *corpora = getenv("EVS_CORPORA");
    run r = {.list = getenv("EVS_CONFORMANCE_LIST") || (argc > 2 && !strcmp(argv[2], "--list"))};
    char folder[3072];
    char *vectors, *canonical;
    json_t *json;

    snprintf(folder, sizeof(folder), "%s/avro", corpora ? corpora : argc > 1 ? argv[1] : ".");
    vectors = read_text(folder, "py_vectors.json");
    canonical = read_text(folder, "canonical_form_fingerprints.txt");
    if (!vectors || !canonical) {
        printf("1..0 # SKIP no schemas in %s (set EVS_CORPORA)\n", folder);
        free(vectors);
        free(canonical);
        return 0;
    }
    if (evs_context_new(NULL, &r.ctx, NULL))
        must(NULL);
    printf("1..1\n");
    json = must(json_loads(vectors, 0, NULL));
    check_array(&r, json_object_get(json, "valid_schemas"), true);
    check_array(&r, json_object_get(json, "invalid_schemas"), false);
    check_array(&r, json_object_get(json, "fingerprints"), true);
    check_defaults(&r, json_object_get(json, "default_values"));
    check_canonical(&r, canonical);
    printf("# conformance avro-schemas %zu of %zu\n", r.passed, r.total);
    printf("%sok 1 - avro-schemas\n", r.passed == r.total ? "" : "not ");
    json_decref(json);
    free(vectors);
    free(canonical);
    evs_context_unref(r.ctx);
    return 0;
}
