/*
 * base/buffer.c: the growable, bounded run of bytes.
 *
 * Memory doubles from 64 bytes up to `max` (+ 1 for the terminator that evs__buffer_cstr() and
 * printf need and that `len` never counts), so n appends cost O(n) copies. Nothing here knows about
 * locales: printf is used for formats without a floating-point conversion only.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/buffer.h"

#define BUFFER_FIRST 64

void evs__buffer_init(evs__buffer *b, evs_context *ctx, size_t max)
{
    *b = (evs__buffer){.ctx = ctx, .max = max < SIZE_MAX ? max : SIZE_MAX - 1};
}

void evs__buffer_free(evs__buffer *b)
{
    if (b->ctx)
        evs__free(b->ctx, b->data);
    b->data = NULL;
    b->len = b->capacity = 0;
    b->status = EVS_OK;
}

static evs_status buffer_failed(evs__buffer *b, evs_status status)
{
    if (!b->status)
        b->status = status;
    return status;
}

/* capacity for `bytes` in all; the caller has checked the bound */
static evs_status buffer_grow(evs__buffer *b, size_t bytes)
{
    size_t capacity = b->capacity ? b->capacity : BUFFER_FIRST;
    char *data;

    if (bytes <= b->capacity)
        return EVS_OK;
    while (capacity < bytes)
        capacity = capacity > b->max / 2 ? b->max + 1 : capacity * 2;
    data = evs__realloc(b->ctx, b->data, capacity);
    if (!data)
        return buffer_failed(b, EVS_ERR_NOMEM);
    b->data = data;
    b->capacity = capacity;
    return EVS_OK;
}

evs_status evs__buffer_reserve_slow(evs__buffer *b, size_t extra)
{
    if (b->max - b->len < extra)
        return buffer_failed(b, EVS_ERR_LIMIT);
    return buffer_grow(b, b->len + extra);
}

evs_status evs__buffer_text(evs__buffer *b, const char *text)
{
    return evs__buffer_append(b, text, strlen(text));
}

evs_status evs__buffer_printf(evs__buffer *b, const char *format, ...)
{
    size_t room = b->capacity - b->len;
    evs_status status;
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(room ? b->data + b->len : NULL, room, format, ap);
    va_end(ap);
    if (n < 0)
        return buffer_failed(b, EVS_ERR_INTERNAL);
    if (b->max - b->len < (size_t)n)
        return buffer_failed(b, EVS_ERR_LIMIT);
    if ((size_t)n >= room) {
        status = buffer_grow(b, b->len + (size_t)n + 1);
        if (status)
            return status;
        va_start(ap, format);
        vsnprintf(b->data + b->len, (size_t)n + 1, format, ap);
        va_end(ap);
    }
    b->len += (size_t)n;
    return EVS_OK;
}

evs_status evs__buffer_json_string(evs__buffer *b, const char *data, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    size_t begin = b->len;
    size_t run = 0; /* start of what needs no escape */
    evs_status status = evs__buffer_byte(b, '"');

    for (size_t i = 0; i < len && !status; i++) {
        unsigned char c = (unsigned char)data[i];
        char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        size_t n = 6;
        if (EVS__LIKELY(c >= 0x20 && c != '"' && c != '\\'))
            continue;
        if (c == '"' || c == '\\') {
            escape[1] = (char)c;
            n = 2;
        } else if (c == '\n' || c == '\r' || c == '\t') {
            escape[1] = c == '\n' ? 'n' : c == '\r' ? 'r' : 't';
            n = 2;
        }
        status = evs__buffer_append(b, data + run, i - run);
        if (!status)
            status = evs__buffer_append(b, escape, n);
        run = i + 1;
    }
    if (!status)
        status = evs__buffer_append(b, data + run, len - run);
    if (!status)
        status = evs__buffer_byte(b, '"');
    if (status)
        b->len = begin;
    return status;
}

evs_status evs__buffer_base64(evs__buffer *b, const void *data, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = data;
    evs_status status;
    size_t text;
    char *out;

    if (evs__mul_overflow(len / 3 + (len % 3 != 0), 4, &text))
        return buffer_failed(b, EVS_ERR_LIMIT);
    status = evs__buffer_reserve(b, text);
    if (status)
        return status;
    out = b->data + b->len;
    for (; len; p += 3, out += 4) {
        size_t n = len < 3 ? len : 3;
        uint32_t v = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) | (n > 2 ? p[2] : 0u);
        out[0] = digits[v >> 18];
        out[1] = digits[v >> 12 & 63];
        out[2] = n > 1 ? digits[v >> 6 & 63] : '=';
        out[3] = n > 2 ? digits[v & 63] : '=';
        len -= n;
    }
    b->len += text;
    return EVS_OK;
}

const char *evs__buffer_cstr(evs__buffer *b)
{
    if (b->status || buffer_grow(b, b->len + 1))
        return NULL;
    b->data[b->len] = '\0';
    return b->data;
}
