/*
 * io/file/header.c: the first line of a CSV file names its columns.
 *
 * The codec reads fields by position, in the schema's order. So the header is turned into a map
 * from the schema's fields to the file's columns: where both orders are the same, records pass as
 * they are; otherwise each is written anew with its fields in the schema's order, in their own
 * quoting. A nullable column that the file lacks is an empty field, which is NULL. Columns of the
 * file that the schema lacks are left out.
 */
#include <string.h>

#include "io/file/file.h"

#define COLUMNS_MAX 4096

static evs_status nomem(evs_context *ctx, evs_error **reterr)
{
    return evs_error_set(ctx, reterr, EVS_ERR_NOMEM, "out of memory");
}

/* a name without its quotes, in place; doubled ones become one */
static size_t unquote(char *name, size_t len)
{
    size_t to = 0;
    if (len < 2 || name[0] != '"' || name[len - 1] != '"')
        return len;
    for (size_t i = 1; i + 1 < len; i++) {
        name[to++] = name[i];
        if (name[i] == '"')
            i++;
    }
    return to;
}

/* the names of a header record: NUL-terminated, one behind the other */
static evs_status read_names(evs_context *ctx,
                             const char *path,
                             char delimiter,
                             const char *record,
                             size_t len,
                             char **ret,
                             size_t *ret_count,
                             evs_error **reterr)
{
    char *names = evs_alloc(ctx, len + 2);
    size_t at = 0, used = 0;
    evs_string_view field;

    if (!names)
        return nomem(ctx, reterr);
    *ret_count = 0;
    while (evs__file_next_field(delimiter, record, len, &at, &field)) {
        char *name = names + used;
        if (field.len)
            memcpy(name, field.data, field.len);
        used += unquote(name, field.len);
        if (name == names + used || memchr(name, '\0', (size_t)(names + used - name)) ||
            ++*ret_count > COLUMNS_MAX) {
            evs_free(ctx, names);
            return evs_error_set(ctx, reterr, EVS_ERR_SCHEMA,
                                 "\"%s\": the header has an empty name or more than %d", path,
                                 COLUMNS_MAX);
        }
        names[used++] = '\0';
    }
    *ret = names;
    return EVS_OK;
}

static const char *next_name(const char *name)
{
    return name + strlen(name) + 1;
}

evs_status evs__file_header_schema(evs_context *ctx,
                                   const char *path,
                                   char delimiter,
                                   const char *record,
                                   size_t len,
                                   evs_schema **ret,
                                   evs_error **reterr)
{
    file_bytes text = {.ctx = ctx};
    char *names = NULL;
    size_t count = 0;
    const char *name;
    evs_status status = read_names(ctx, path, delimiter, record, len, &names, &count, reterr);

    if (status)
        return status;
    name = names;
    for (size_t i = 0; !status && i < count; i++, name = next_name(name)) {
        status = evs__file_append(&text, i ? ", \"" : "\"", i ? 3 : 1, reterr);
        for (const char *p = name; !status && *p; p++)
            status = evs__file_append(&text, *p == '"' ? "\"\"" : p, *p == '"' ? 2 : 1, reterr);
        if (!status)
            status = evs__file_append(&text, "\" VARCHAR", 9, reterr);
    }
    if (!status && !(status = evs__file_append(&text, "", 1, reterr)) &&
        (status = evs_schema_columns(ctx, text.data, ret, reterr)))
        evs_error_prefix(ctx, reterr, "\"%s\": header: ", path);
    evs_free(ctx, text.data);
    evs_free(ctx, names);
    return status;
}

static evs_status map_field(file_header *h,
                            const char *path,
                            const char *names,
                            const evs_type *type,
                            size_t field,
                            evs_error **reterr)
{
    const char *wanted = evs_type_field_name(type, field);
    const char *name = names;
    h->from[field] = -1;
    for (size_t i = 0; i < h->column_count; i++, name = next_name(name)) {
        if (strcmp(name, wanted) != 0)
            continue;
        if (h->from[field] >= 0)
            return evs_error_set(h->ctx, reterr, EVS_ERR_SCHEMA,
                                 "\"%s\": the header names \"%s\" twice", path, wanted);
        h->from[field] = (int32_t)i;
    }
    if (h->from[field] < 0 && !evs_type_is_nullable(evs_type_child(type, field)))
        return evs_error_set(h->ctx, reterr, EVS_ERR_SCHEMA,
                             "\"%s\": the header has no column \"%s\", which is NOT NULL", path,
                             wanted);
    h->straight = h->straight && h->from[field] == (int32_t)field;
    return EVS_OK;
}

evs_status evs__file_header_map(evs_context *ctx,
                                const char *path,
                                char delimiter,
                                const char *record,
                                size_t len,
                                const evs_schema *schema,
                                file_header *ret,
                                evs_error **reterr)
{
    const evs_type *type = evs_schema_type(schema);
    char *names = NULL;
    evs_status status;

    *ret = (file_header){.ctx = ctx, .delimiter = delimiter};
    if ((status =
             read_names(ctx, path, delimiter, record, len, &names, &ret->column_count, reterr)))
        return status;
    ret->field_count = evs_type_child_count(type);
    ret->straight = ret->field_count == ret->column_count;
    ret->from = evs_alloc_array(ctx, ret->field_count, sizeof(*ret->from));
    ret->fields = evs_alloc_array(ctx, ret->column_count, sizeof(*ret->fields));
    if (!ret->from || !ret->fields)
        status = nomem(ctx, reterr);
    for (size_t i = 0; !status && i < ret->field_count; i++)
        status = map_field(ret, path, names, type, i, reterr);
    evs_free(ctx, names);
    if (status)
        evs__file_header_free(ret);
    return status;
}

void evs__file_header_free(file_header *h)
{
    if (!h->ctx)
        return;
    evs_free(h->ctx, h->from);
    evs_free(h->ctx, h->fields);
    *h = (file_header){0};
}

size_t evs__file_header_room(const file_header *h, size_t len)
{
    return len + h->field_count + 1;
}

size_t evs__file_header_arrange(file_header *h, const char *record, size_t len, char *out)
{
    size_t at = 0, used = 0, count = 0;
    evs_string_view field;

    while (evs__file_next_field(h->delimiter, record, len, &at, &field)) {
        if (count < h->column_count)
            h->fields[count] = field;
        count++;
    }
    if (count != h->column_count) {
        /* not to be taken for a row that happens to have as many fields as the schema */
        memcpy(out, record, len);
        for (used = len; count <= h->field_count; count++)
            out[used++] = h->delimiter;
        return used;
    }
    for (size_t i = 0; i < h->field_count; i++) {
        if (i)
            out[used++] = h->delimiter;
        if (h->from[i] < 0)
            continue;
        field = h->fields[h->from[i]];
        memcpy(out + used, field.data, field.len);
        used += field.len;
    }
    return used;
}
