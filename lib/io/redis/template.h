/*
 * io/redis/template.h: "views:{page}:{window_start}" -> key bytes of a row. `{{` is a brace.
 */
#ifndef EVS_IO_REDIS_TEMPLATE_H
#define EVS_IO_REDIS_TEMPLATE_H

#include "evstream/connector.h"

typedef struct redis_text {
    evs_context *ctx;
    char *data;
    size_t len, capacity;
} redis_text;

/* room for `more` bytes and one more */
evs_status redis_text_reserve(redis_text *t, size_t more);
evs_status redis_text_put(redis_text *t, const void *data, size_t len);
/* a column's value as text, of any length; NULL values give nothing */
evs_status redis_text_put_column(redis_text *t, const evs_row *row, int32_t field);

typedef struct redis_part {
    const char *literal; /* NULL: a column */
    size_t len;
    int32_t field;
} redis_part;

typedef struct redis_template {
    evs_context *ctx;
    char *text; /* literals point into it */
    redis_part *parts;
    size_t count;
} redis_template;

/* EVS_ERR_CONFIG: unknown column (those that exist are listed), unbalanced brace, no column at all
 */
evs_status redis_template_parse(evs_context *ctx,
                                const char *text,
                                const evs_type *type,
                                redis_template *ret,
                                evs_error **reterr);
void redis_template_free(redis_template *t);
bool redis_template_uses(const redis_template *t, int32_t field);
/* append the key of a row */
evs_status redis_template_make(const redis_template *t, const evs_row *row, redis_text *out);

#endif
