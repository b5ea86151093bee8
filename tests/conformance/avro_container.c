/*
 * Avro object container files (apache/avro): good ones must be decoded to the values that avro-c
 * reads from them, bad ones must be refused with a message.
 *
 * Usage: conformance_avro DEFAULT_CORPORA [--list]
 *
 * The file's header and blocks are taken apart here, since avro-c gives values but no bytes. The
 * records of a block follow each other without a length: framed as an array they are one event of a
 * schema that wraps the file's, whatever its root. A file is bad when its name says so ("bad",
 * "truncated"). EVS_CORPORA names the folder of corpora; without it the test is skipped.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "avro_oracle.h"
#include "codec/codec.h"
#include "data/batch.h"

#define CASES_MAX 256
#define FILE_MAX (1 << 20)

typedef struct cursor {
    const uint8_t *p, *end;
} cursor;

typedef struct container {
    uint8_t *data;
    size_t len;
    char *schema; /* text */
    const char *codec;
    const uint8_t *sync;
    cursor blocks;
} container;

static void *must(void *memory)
{
    if (!memory) {
        printf("Bail out! out of memory\n");
        exit(1);
    }
    return memory;
}

/* ---- the file ---- */

static bool take_long(cursor *c, int64_t *ret)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64 && c->p < c->end; shift += 7) {
        v |= (uint64_t)(*c->p & 0x7f) << shift;
        if (!(*c->p++ & 0x80)) {
            *ret = (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
            return true;
        }
    }
    return false;
}

static bool take_bytes(cursor *c, const uint8_t **ret, size_t *ret_len)
{
    int64_t len = 0;

    if (!take_long(c, &len) || len < 0 || len > c->end - c->p)
        return false;
    *ret = c->p;
    *ret_len = (size_t)len;
    c->p += len;
    return true;
}

static bool take_entry(container *f, cursor *c)
{
    const uint8_t *key, *value;
    size_t key_len, value_len;

    if (!take_bytes(c, &key, &key_len) || !take_bytes(c, &value, &value_len))
        return false;
    if (key_len == 11 && memcmp(key, "avro.schema", 11) == 0)
        f->schema = must(strndup((const char *)value, value_len));
    if (key_len == 10 && memcmp(key, "avro.codec", 10) == 0 &&
        !(value_len == 4 && memcmp(value, "null", 4) == 0))
        f->codec = "compressed";
    return true;
}

/* NULL, or what is wrong with the header */
static const char *open_container(container *f)
{
    cursor c = {f->data, f->data + f->len};
    int64_t count = 0, ignored;

    if (f->len < 4 || memcmp(f->data, "Obj\1", 4) != 0)
        return "no container file";
    c.p += 4;
    do {
        if (!take_long(&c, &count) || (count < 0 && !take_long(&c, &ignored)))
            return "the header is cut short";
        for (int64_t n = count < 0 ? -count : count; n; n--) {
            if (!take_entry(f, &c))
                return "the header is cut short";
        }
    } while (count);
    if (c.end - c.p < 16 || !f->schema)
        return "the header has no schema or no sync marker";
    f->sync = c.p;
    f->blocks = (cursor){c.p + 16, c.end};
    return f->codec;
}

/* ---- one block by our decoder, value by value against avro-c ---- */

typedef struct failure {
    char text[512];
} failure;

static void keep_failure(size_t index, evs_status status, const char *message, void *user_data)
{
    failure *f = user_data;

    (void)index;
    snprintf(f->text, sizeof(f->text), "%s: %s", evs_status_name(status), message);
}

/* an event of the wrapping schema: the array's count, the block's bytes, the array's end */
static evs_input wrap(int64_t count, const uint8_t *bytes, size_t len)
{
    uint8_t *event = must(malloc(len + 11));
    uint64_t z = (uint64_t)count << 1;
    size_t n = 0;

    for (; z >= 0x80; z >>= 7)
        event[n++] = (uint8_t)(z | 0x80);
    event[n++] = (uint8_t)z;
    memcpy(event + n, bytes, len);
    event[n + len] = 0;
    return (evs_input){.value = event, .value_len = (uint32_t)(n + len + 1)};
}

static bool compare_block(const evs_schema *schema,
                          const evs_batch *batch,
                          avro_file_reader_t reader,
                          failure *f)
{
    const evs__avro_node *node = schema->avro->children[0]->children[0];
    const evs__column *list = batch->columns[0];
    avro_schema_t peer = avro_file_reader_get_writer_schema(reader);
    avro_value_iface_t *iface = avro_generic_class_from_schema(peer);
    bool same = true;

    for (uint32_t i = 0; same && i < list->children[0]->length; i++) {
        avro_value_t value;
        avro_generic_value_new(iface, &value);
        if (avro_file_reader_read_value(reader, &value)) {
            snprintf(f->text, sizeof(f->text), "avro-c: %s", avro_strerror());
            same = false;
        } else {
            same =
                evs_test_avro_equal(&value, node, list->children[0], i, f->text, sizeof(f->text));
        }
        avro_value_decref(&value);
    }
    avro_value_iface_decref(iface);
    avro_schema_decref(peer);
    return same;
}

/* false: `f` tells why; reader NULL: the values are not compared */
static bool
run_blocks(container *c, evs_schema *schema, evs_decoder *d, avro_file_reader_t reader, failure *f)
{
    while (c->blocks.p < c->blocks.end) {
        int64_t count = 0;
        const uint8_t *bytes = NULL;
        size_t len = 0;
        evs_input input;
        evs_batch *batch = NULL;
        bool ok;
        if (!take_long(&c->blocks, &count) || count < 0 || !take_bytes(&c->blocks, &bytes, &len) ||
            c->blocks.end - c->blocks.p < 16 || memcmp(c->blocks.p, c->sync, 16) != 0) {
            snprintf(f->text, sizeof(f->text),
                     "a block is cut short or not followed by the sync marker");
            return false;
        }
        c->blocks.p += 16;
        input = wrap(count, bytes, len);
        if (evs_decoder_decode(d, &input, 1, keep_failure, f, &batch, NULL))
            must(NULL);
        ok = evs_batch_rows(batch) == 1 && (!reader || compare_block(schema, batch, reader, f));
        evs_batch_unref(batch);
        free((void *)input.value);
        if (!ok)
            return false;
    }
    return true;
}

static bool
decode_container(evs_context *ctx, container *c, const char *path, bool good, failure *f)
{
    char *text = must(malloc(strlen(c->schema) + 256));
    evs_schema *schema = NULL;
    evs_decoder *d = NULL;
    evs_error *err = NULL;
    avro_file_reader_t reader = NULL;
    bool ok = false;

    sprintf(text,
            "{\"type\":\"record\",\"name\":\"block\",\"fields\":[{\"name\":\"values\",\"type\":"
            "{\"type\":\"array\",\"items\":%s}}]}",
            c->schema);
    if (evs_schema_parse(ctx, EVS_FORMAT_AVRO, text, strlen(text), &schema, &err) ||
        evs_decoder_new(ctx, schema, EVS_OPTIONS("framing", "none"), &d, &err))
        snprintf(f->text, sizeof(f->text), "%s", evs_error_message(err));
    else if (good && avro_file_reader(path, &reader))
        snprintf(f->text, sizeof(f->text), "avro-c: %s", avro_strerror());
    else
        ok = run_blocks(c, schema, d, reader, f);
    if (reader)
        avro_file_reader_close(reader);
    evs_error_unref(err);
    evs_decoder_unref(d);
    evs_schema_unref(schema);
    free(text);
    return ok;
}

/* NULL: as it should be */
static const char *run_case(evs_context *ctx, const char *folder, const char *name, failure *f)
{
    bool good = !strstr(name, "bad") && !strstr(name, "truncated");
    container c = {NULL};
    char path[4096];
    FILE *file;
    const char *fault;
    bool ok = false;

    f->text[0] = '\0';
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (!(file = fopen(path, "rb")))
        return "cannot be opened";
    c.data = must(malloc(FILE_MAX));
    c.len = fread(c.data, 1, FILE_MAX, file);
    fclose(file);
    fault = open_container(&c);
    if (fault)
        snprintf(f->text, sizeof(f->text), "%s", fault);
    else
        ok = decode_container(ctx, &c, path, good, f);
    free(c.schema);
    free(c.data);
    if (ok != good)
        return good ? f->text : "was read";
    return good || *f->text ? NULL : "refused without a message";
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(int argc, char **argv)
{
    const char *corpora = getenv("EVS_CORPORA");
    bool list = getenv("EVS_CONFORMANCE_LIST") || (argc > 2 && !strcmp(argv[2], "--list"));
    static char *names[CASES_MAX];
    size_t count = 0, passed = 0;
    char folder[3072];
    evs_context *ctx = NULL;
    DIR *dir;

    snprintf(folder, sizeof(folder), "%s/avro", corpora ? corpora : argc > 1 ? argv[1] : ".");
    dir = opendir(folder);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e && count < CASES_MAX; e = readdir(dir)) {
        size_t len = strlen(e->d_name);
        if (len > 5 && !strcmp(e->d_name + len - 5, ".avro"))
            names[count++] = must(strdup(e->d_name));
    }
    if (dir)
        closedir(dir);
    if (!count) {
        printf("1..0 # SKIP no container files in %s (set EVS_CORPORA)\n", folder);
        return 0;
    }
    qsort(names, count, sizeof(*names), compare_names);
    if (evs_context_new(NULL, &ctx, NULL))
        must(NULL);
    printf("1..1\n");
    for (size_t i = 0; i < count; i++) {
        failure f;
        const char *why = run_case(ctx, folder, names[i], &f);
        passed += !why;
        if (why && list)
            printf("# conformance avro failed: %s: %s\n", names[i], why);
        else if (list && *f.text)
            printf("# %s refused: %s\n", names[i], f.text);
        free(names[i]);
    }
    printf("# conformance avro %zu of %zu\n", passed, count);
    printf("%sok 1 - avro\n", passed == count ? "" : "not ");
    evs_context_unref(ctx);
    return 0;
}
