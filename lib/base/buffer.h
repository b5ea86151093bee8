/*
 * base/buffer.h: a growable, bounded run of bytes; the only string builder in the library.
 *
 * Appends fail as a whole (nothing is written) with EVS_ERR_NOMEM or EVS_ERR_LIMIT, and the buffer
 * remembers the first failure in `status`, so a long run of appends needs one check at its end.
 * Numbers are written without locale.
 */
#ifndef EVS_BASE_BUFFER_H
#define EVS_BASE_BUFFER_H

#include <string.h>

#include "base/context.h"

typedef struct evs__buffer {
    evs_context *ctx;
    char *data;
    size_t len;
    size_t capacity;
    size_t max;        /* bound of len */
    evs_status status; /* first failure since reset */
} evs__buffer;

void evs__buffer_init(evs__buffer *b, evs_context *ctx, size_t max);
void evs__buffer_free(evs__buffer *b);
evs_status evs__buffer_reserve_slow(evs__buffer *b, size_t extra);

static inline void evs__buffer_reset(evs__buffer *b)
{
    b->len = 0;
    b->status = EVS_OK;
}

/* room for `extra` more bytes at data + len */
static inline evs_status evs__buffer_reserve(evs__buffer *b, size_t extra)
{
    if (EVS__LIKELY(b->capacity - b->len >= extra && b->max - b->len >= extra))
        return EVS_OK;
    return evs__buffer_reserve_slow(b, extra);
}

static inline evs_status evs__buffer_append(evs__buffer *b, const void *data, size_t len)
{
    evs_status status = evs__buffer_reserve(b, len);
    if (status || !len)
        return status;
    memcpy(b->data + b->len, data, len);
    b->len += len;
    return EVS_OK;
}

static inline evs_status evs__buffer_byte(evs__buffer *b, uint8_t byte)
{
    evs_status status = evs__buffer_reserve(b, 1);
    if (!status)
        b->data[b->len++] = (char)byte;
    return status;
}

evs_status evs__buffer_text(evs__buffer *b, const char *text);
evs_status evs__buffer_printf(evs__buffer *b, const char *format, ...) EVS_PRINTF(2, 3);
evs_status evs__buffer_int(evs__buffer *b, int64_t value);
/* shortest text that reads back as the same double; "NaN", "Infinity", "-Infinity" */
evs_status evs__buffer_double(evs__buffer *b, double value);
/* JSON string with quotes */
evs_status evs__buffer_json_string(evs__buffer *b, const char *data, size_t len);
/* base64 with padding (RFC 4648), without quotes */
evs_status evs__buffer_base64(evs__buffer *b, const void *data, size_t len);
/* data is NUL-terminated after this (not counted); NULL when the buffer failed */
const char *evs__buffer_cstr(evs__buffer *b);

#endif
