/*
 * base/base64.c: base64 to bytes. Strict, so that two texts never stand for the same bytes except
 * for the padding: the bits behind the last byte must be zero.
 */
#include "base/base64.h"

/* value of a digit, or 64 */
static uint32_t digit(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26u;
    if (c >= '0' && c <= '9')
        return c - '0' + 52u;
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

bool evs__base64_decode(const char *text, size_t len, void *out, size_t *ret_len)
{
    unsigned char *to = out;
    uint32_t bits = 0;
    uint32_t count = 0; /* of digits in `bits` */

    if (len && len % 4 == 0 && text[len - 1] == '=')
        len -= text[len - 2] == '=' ? 2 : 1;
    for (size_t i = 0; i < len; i++) {
        uint32_t v = digit((unsigned char)text[i]);

        if (v > 63)
            return false;
        bits = bits << 6 | v;
        if (++count == 4) {
            *to++ = (unsigned char)(bits >> 16);
            *to++ = (unsigned char)(bits >> 8);
            *to++ = (unsigned char)bits;
            bits = count = 0;
        }
    }
    if (count == 1 || (count == 2 && (bits & 0xf)) || (count == 3 && (bits & 0x3)))
        return false;
    if (count == 2)
        *to++ = (unsigned char)(bits >> 4);
    if (count == 3) {
        *to++ = (unsigned char)(bits >> 10);
        *to++ = (unsigned char)(bits >> 2);
    }
    *ret_len = (size_t)(to - (unsigned char *)out);
    return true;
}
