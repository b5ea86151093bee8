/*
 * engine/reader.h: reading a snapshot: bytes that may be anything. Every read says whether it was
 * there.
 */
#ifndef EVS_ENGINE_READER_H
#define EVS_ENGINE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct evs__reader {
    const char *at, *end;
} evs__reader;

static inline size_t evs__reader_left(const evs__reader *r)
{
    return (size_t)(r->end - r->at);
}

static inline bool evs__read_bytes(evs__reader *r, size_t len, const char **ret)
{
    if (evs__reader_left(r) < len)
        return false;
    *ret = r->at;
    r->at += len;
    return true;
}

static inline bool evs__read(evs__reader *r, void *ret, size_t len)
{
    const char *from;
    if (!evs__read_bytes(r, len, &from))
        return false;
    memcpy(ret, from, len);
    return true;
}

#endif
