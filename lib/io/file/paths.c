/*
 * io/file/paths.c: option `path` to files: names separated by commas, each of which may be a
 * pattern
 * (`*`, `?`, `[...]`). The files of a pattern are in byte order of their names, so that every run
 * and every locale sees the same order.
 */
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "io/file/file.h"
#include "io/os.h"

#define FILES_MAX 10000

static evs_status nomem(evs_context *ctx, evs_error **reterr)
{
    return evs_error_set(ctx, reterr, EVS_ERR_NOMEM, "out of memory");
}

static evs_status add(evs_context *ctx, const char *name, file_paths *p, evs_error **reterr)
{
    char **names;
    for (size_t i = 0; i < p->count; i++) {
        if (strcmp(p->names[i], name) == 0)
            return evs_error_set(ctx, reterr, EVS_ERR_CONFIG,
                                 "option \"path\": \"%s\" stands there twice", name);
    }
    if (p->count == FILES_MAX)
        return evs_error_set(ctx, reterr, EVS_ERR_LIMIT, "option \"path\": more than %d files",
                             FILES_MAX);
    names = evs_realloc_array(ctx, p->names, p->count + 1, sizeof(*names));
    if (!names)
        return nomem(ctx, reterr);
    p->names = names;
    if (!(names[p->count] = evs_strdup(ctx, name)))
        return nomem(ctx, reterr);
    p->count++;
    return EVS_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static evs_status
add_pattern(evs_context *ctx, const char *pattern, file_paths *p, evs_error **reterr)
{
    glob_t found;
    evs_status status = EVS_OK;
    int code;

    if (!strpbrk(pattern, "*?["))
        return add(ctx, pattern, p, reterr);
    code = glob(pattern, GLOB_NOSORT, NULL, &found);
    if (code == GLOB_NOSPACE)
        return nomem(ctx, reterr);
    if (code == GLOB_NOMATCH)
        return evs_error_set(ctx, reterr, EVS_ERR_NOT_FOUND,
                             "option \"path\": there is no file \"%s\"", pattern);
    if (code)
        return evs__os_fail(ctx, reterr, pattern, "read of the folder", errno);
    qsort(found.gl_pathv, found.gl_pathc, sizeof(char *), compare_names);
    for (size_t i = 0; !status && i < found.gl_pathc; i++)
        status = add(ctx, found.gl_pathv[i], p, reterr);
    globfree(&found);
    return status;
}

evs_status evs__file_paths(evs_context *ctx, const char *text, file_paths *ret, evs_error **reterr)
{
    evs_status status = EVS_OK;

    *ret = (file_paths){0};
    for (const char *p = text; !status && p; p = *p ? p + 1 : NULL) {
        size_t len = strcspn(p, ",");
        char *pattern = evs_alloc(ctx, len + 1);
        if (!pattern)
            return nomem(ctx, reterr);
        memcpy(pattern, p, len);
        pattern[len] = '\0';
        status = len ? add_pattern(ctx, pattern, ret, reterr)
                     : evs_error_set(ctx, reterr, EVS_ERR_CONFIG,
                                     "option \"path\": an empty name in \"%s\"", text);
        evs_free(ctx, pattern);
        p += len;
    }
    return status;
}

void evs__file_paths_free(evs_context *ctx, file_paths *p)
{
    for (size_t i = 0; i < p->count; i++)
        evs_free(ctx, p->names[i]);
    evs_free(ctx, p->names);
    *p = (file_paths){0};
}
