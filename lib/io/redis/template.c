/*
 * io/redis/template.c: key templates, parsed once into literals and columns; making a key copies
 * parts into one reused buffer.
 */
#include <stdio.h>
#include <string.h>

#include "io/redis/template.h"

evs_status redis_text_reserve(redis_text *t, size_t more)
{
    size_t capacity;
    char *bigger;

    if (t->capacity - t->len > more)
        return EVS_OK;
    capacity = t->capacity * 2 > t->len + more + 128 ? t->capacity * 2 : t->len + more + 128;
    bigger = evs_realloc_array(t->ctx, t->data, capacity, 1);
    if (!bigger)
        return EVS_ERR_NOMEM;
    t->data = bigger;
    t->capacity = capacity;
    return EVS_OK;
}

evs_status redis_text_put(redis_text *t, const void *data, size_t len)
{
    if (redis_text_reserve(t, len))
        return EVS_ERR_NOMEM;
    if (len)
        memcpy(t->data + t->len, data, len);
    t->len += len;
    return EVS_OK;
}

evs_status redis_text_put_column(redis_text *t, const evs_row *row, int32_t field)
{
    const char *data;
    size_t len = 0;
    evs_status status = evs_row_string(row, field, &data, &len);
    if (status == EVS_OK)
        return redis_text_put(t, data, len);
    if (status == EVS_END)
        return EVS_OK;
    if ((status = redis_text_put(t, "", 0)))
        return status;
    for (int tries = 0; tries < 2; tries++) {
        size_t room = t->capacity - t->len;
        if (evs_row_text(row, field, t->data + t->len, room, &len) != EVS_OK)
            return EVS_OK;
        if (len < room)
            break;
        if ((status = redis_text_put(t, "", len + 1)))
            return status;
        t->len -= len + 1;
    }
    t->len += len;
    return EVS_OK;
}

static evs_status unknown_column(
    evs_context *ctx, const char *name, size_t len, const evs_type *type, evs_error **reterr)
{
    char known[400] = "";
    size_t at = 0;
    for (size_t i = 0; i < evs_type_child_count(type) && at < sizeof(known) - 1; i++)
        at += (size_t)snprintf(known + at, sizeof(known) - at, "%s\"%s\"", i ? ", " : "",
                               evs_type_field_name(type, i));
    return evs_error_set(ctx, reterr, EVS_ERR_CONFIG,
                         "option \"key\": there is no column \"%.*s\"; columns are %s", (int)len,
                         name, known);
}

static evs_status parse_parts(redis_template *t, const evs_type *type, evs_error **reterr)
{
    char *p = t->text;
    while (*p) {
        redis_part *part = &t->parts[t->count++];
        char *close;
        if (p[0] == '{' && p[1] != '{') {
            close = strchr(p, '}');
            if (!close)
                return evs_error_set(t->ctx, reterr, EVS_ERR_CONFIG,
                                     "option \"key\": \"{\" without \"}\" in \"%s\"", t->text);
            part->field = evs_type_field_index(type, p + 1, (size_t)(close - p - 1));
            if (part->field < 0)
                return unknown_column(t->ctx, p + 1, (size_t)(close - p - 1), type, reterr);
            p = close + 1;
            continue;
        }
        if (p[0] == '{')
            p++; /* "{{": one brace */
        part->literal = p;
        part->len = 1 + strcspn(p + 1, "{");
        p += part->len;
    }
    return EVS_OK;
}

evs_status redis_template_parse(evs_context *ctx,
                                const char *text,
                                const evs_type *type,
                                redis_template *ret,
                                evs_error **reterr)
{
    evs_status status;
    bool any = false;
    *ret = (redis_template){.ctx = ctx};
    ret->text = evs_strdup(ctx, text);
    ret->parts = evs_alloc_array(ctx, strlen(text) + 1, sizeof(*ret->parts));
    if (!ret->text || !ret->parts)
        return evs_error_set(ctx, reterr, EVS_ERR_NOMEM, "out of memory");
    if ((status = parse_parts(ret, type, reterr)))
        return status;
    for (size_t i = 0; i < ret->count; i++)
        any = any || !ret->parts[i].literal;
    if (!any)
        return evs_error_set(
            ctx, reterr, EVS_ERR_CONFIG,
            "option \"key\": \"%s\" names no column, every row would have the same key", text);
    return EVS_OK;
}

void redis_template_free(redis_template *t)
{
    if (!t->ctx)
        return;
    evs_free(t->ctx, t->text);
    evs_free(t->ctx, t->parts);
}

bool redis_template_uses(const redis_template *t, int32_t field)
{
    for (size_t i = 0; i < t->count; i++) {
        if (!t->parts[i].literal && t->parts[i].field == field)
            return true;
    }
    return false;
}

evs_status redis_template_make(const redis_template *t, const evs_row *row, redis_text *out)
{
    evs_status status = EVS_OK;
    for (size_t i = 0; !status && i < t->count; i++) {
        const redis_part *p = &t->parts[i];
        status = p->literal ? redis_text_put(out, p->literal, p->len)
                            : redis_text_put_column(out, row, p->field);
    }
    return status;
}
