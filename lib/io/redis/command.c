/*
 * io/redis/command.c: RESP, the requests of it: arrays of strings with their lengths.
 *
 * hiredis formats each command into a block of its own and copies it; with an object of each reply
 * that was more than half of a row's instructions. Here a command is appended to those that wait,
 * and hiredis gets a burst of them as one.
 */
#include <string.h>

#include "io/redis/command.h"

enum { NUMBER_MAX = 20 }; /* digits of a length */

/* mark, number, line end; there is room */
static void put_number(redis_text *t, char mark, size_t number)
{
    char digits[NUMBER_MAX];
    size_t n = 0;

    do
        digits[n++] = (char)('0' + number % 10);
    while (number /= 10);
    t->data[t->len++] = mark;
    while (n)
        t->data[t->len++] = digits[--n];
    t->data[t->len++] = '\r';
    t->data[t->len++] = '\n';
}

evs_status redis_command_begin(redis_text *t, size_t count)
{
    if (redis_text_reserve(t, NUMBER_MAX + 3))
        return EVS_ERR_NOMEM;
    put_number(t, '*', count);
    return EVS_OK;
}

evs_status redis_command_arg(redis_text *t, const char *data, size_t len)
{
    if (redis_text_reserve(t, len + NUMBER_MAX + 5))
        return EVS_ERR_NOMEM;
    put_number(t, '$', len);
    if (len)
        memcpy(t->data + t->len, data, len);
    t->len += len;
    t->data[t->len++] = '\r';
    t->data[t->len++] = '\n';
    return EVS_OK;
}
