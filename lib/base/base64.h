/*
 * base/base64.h: base64 to bytes (RFC 4648, section 4); evs__buffer_base64() is the other way.
 */
#ifndef EVS_BASE_BASE64_H
#define EVS_BASE_BASE64_H

#include "base/context.h"

/* most bytes that `len` characters can stand for */
static inline size_t evs__base64_room(size_t len)
{
    return len / 4 * 3 + 3;
}

/*
 * Whole text; padding may be left out, no white space, no bits set beyond the last byte. `out` has
 * evs__base64_room(len) bytes. False when it is not base64.
 */
bool evs__base64_decode(const char *text, size_t len, void *out, size_t *ret_len);

#endif
