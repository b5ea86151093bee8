/*
 * standalone_main.c: a fuzz target without libFuzzer, as a regression test over its corpus.
 *
 * Usage: fuzz_NAME FOLDER|FILE...
 *
 * Every file is one TAP test: the target gets the file as it is, then every prefix of its first
 * bytes, then copies with single bytes changed by a fixed sequence of random numbers, so that a
 * compiler without libFuzzer still walks around what was found before. Inputs are copied into
 * memory of exactly their size, where valgrind and AddressSanitizer see the first byte read past
 * the end. A target signals a failure as in libFuzzer: it crashes or aborts.
 *
 * It does not look for coverage: that is the libfuzzer suite's work.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PREFIXES_MAX 512 /* prefixes tried of each file */
#define CHANGES 256      /* single-byte changes tried of each file */

struct file_list {
    char **paths;
    size_t count;
};

static void die(const char *what, const char *path)
{
    printf("Bail out! %s \"%s\": %s\n", what, path, strerror(errno));
    exit(1);
}

static void *must(void *memory)
{
    if (!memory)
        die("out of memory", "");
    return memory;
}

static void run_copy(const uint8_t *data, size_t size)
{
    /* malloc(0) may give NULL, and a target may compare or copy from it: one byte, not to be read
     */
    uint8_t *copy = must(malloc(size ? size : 1));

    if (size)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* splitmix64: the same sequence on every machine */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void run_variations(uint8_t *data, size_t size)
{
    size_t prefixes = size < PREFIXES_MAX ? size : PREFIXES_MAX;
    uint64_t state = size;

    for (size_t n = 0; n < prefixes; n++)
        run_copy(data, n);
    for (size_t i = 0; size && i < CHANGES; i++) {
        uint64_t random = next_random(&state);
        size_t at = (size_t)((random >> 8) % size);
        uint8_t was = data[at];

        data[at] = (uint8_t)random;
        run_copy(data, size);
        data[at] = was;
    }
}

static uint8_t *read_file(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    size_t size = 0;
    size_t room = 0;
    size_t n = 0;

    if (!file)
        die("cannot open", path);
    do {
        if (room - size < 4096) {
            room = room ? 2 * room : 8192;
            data = must(realloc(data, room));
        }
        n = fread(data + size, 1, room - size, file);
        size += n;
    } while (n);
    if (ferror(file))
        die("cannot read", path);
    fclose(file);
    *ret_size = size;
    return data;
}

static void add_path(struct file_list *list, const char *folder, const char *name)
{
    size_t len = strlen(folder) + strlen(name) + 2;
    char *path = must(malloc(len));

    snprintf(path, len, "%s%s%s", folder, *folder ? "/" : "", name);
    list->paths = must(realloc(list->paths, (list->count + 1) * sizeof(char *)));
    list->paths[list->count++] = path;
}

static void add_argument(struct file_list *list, const char *path)
{
    struct stat info;
    DIR *dir = NULL;

    if (stat(path, &info))
        die("cannot find", path);
    if (!S_ISDIR(info.st_mode)) {
        add_path(list, "", path);
        return;
    }
    dir = opendir(path);
    if (!dir)
        die("cannot open", path);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (entry->d_name[0] != '.')
            add_path(list, path, entry->d_name);
    }
    closedir(dir);
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(int argc, char **argv)
{
    struct file_list list = {NULL, 0};

    for (int i = 1; i < argc; i++)
        add_argument(&list, argv[i]);
    if (!list.count) {
        printf("Bail out! no files given, or an empty corpus\n");
        return 1;
    }
    qsort(list.paths, list.count, sizeof(char *), compare_paths);
    printf("1..%zu\n", list.count);
    for (size_t i = 0; i < list.count; i++) {
        size_t size = 0;
        uint8_t *data = read_file(list.paths[i], &size);
        const char *name = strrchr(list.paths[i], '/');

        /* a crash must still tell which file it was */
        printf("# %s\n", list.paths[i]);
        fflush(stdout);
        run_copy(data, size);
        run_variations(data, size);
        printf("ok %zu - %s\n", i + 1, name ? name + 1 : list.paths[i]);
        free(data);
        free(list.paths[i]);
    }
    free(list.paths);
    return 0;
}
