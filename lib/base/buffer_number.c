/*
 * base/buffer_number.c: numbers into a buffer; apart from buffer.c, which needs no other module.
 */
#include "base/buffer.h"
#include "base/number.h"

evs_status evs__buffer_int(evs__buffer *b, int64_t value)
{
    char text[EVS__INT_TEXT_MAX];
    return evs__buffer_append(b, text, evs__format_int(value, text));
}

evs_status evs__buffer_double(evs__buffer *b, double value)
{
    char text[EVS__DOUBLE_TEXT_MAX];
    return evs__buffer_append(b, text, evs__format_double(value, text));
}
