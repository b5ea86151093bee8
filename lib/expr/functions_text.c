/*
 * expr/functions_text.c: functions of text. Positions and lengths count characters (code points);
 * those of BYTES count bytes.
 *
 * Results are owned text, written front to back into the node's column; only what changes is
 * copied once. Upper and lower case are the simple mappings of Unicode for the letters of Latin-1,
 * Latin Extended-A, Greek, Cyrillic and Armenian, all of which keep their length in UTF-8; other
 * letters stay as they are. There is no locale: the Turkish i is an i.
 */
#include <string.h>

#include "expr/functions.h"

#define TEXT_ARG(k) evs__column_str(cols[k], i *EVS__STRIDE(n->args[k]))

static size_t count_characters(evs_string_view s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.data[i] & 0xc0) != 0x80;
    return n;
}

/* byte offset of character k, the length when there are fewer */
static size_t offset_of(evs_string_view s, size_t k)
{
    size_t at = 0;
    while (k-- && at < s.len)
        at += evs__utf8_step((unsigned char)s.data[at]);
    return at < s.len ? at : s.len;
}

evs_status evs__fn_length(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *cols[1] = {NULL};
    bool bytes = n->args[0]->type->id == EVS_TYPE_BYTES;
    evs_status status = evs__eval_strict(ev, n, rows, cols, ret);

    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    {
        evs_string_view s = TEXT_ARG(0);
        (*ret)->i32[i] = (int32_t)(bytes ? s.len : count_characters(s));
    }
    evs__zero_nulls(*ret);
    return EVS_OK;
}

/* ---- upper, lower ---- */

/* pairs (even upper, odd lower), or the other way round */
static uint32_t pair_case(uint32_t c, bool upper, bool even_is_upper)
{
    bool is_upper = (c % 2 == 0) == even_is_upper;
    if (is_upper == upper)
        return c;
    return upper ? c - 1 : c + 1;
}

static uint32_t in_range(uint32_t c, uint32_t first, uint32_t last)
{
    return c >= first && c <= last;
}

/* a code point of two bytes to one of two bytes */
static uint32_t change_case(uint32_t c, bool upper)
{
    static const uint16_t single[][2] = {{0x178, 0xff},  {0x386, 0x3ac}, {0x388, 0x3ad},
                                         {0x389, 0x3ae}, {0x38a, 0x3af}, {0x38c, 0x3cc},
                                         {0x38e, 0x3cd}, {0x38f, 0x3ce}};

    for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++) {
        if (c == single[i][!upper ? 0 : 1])
            return single[i][!upper ? 1 : 0];
    }
    if (upper && c == 0x3c2) /* final sigma */
        return 0x3a3;
    if (c == 0xd7 || c == 0xf7 || c == 0x3a2)
        return c;
    if (in_range(c, upper ? 0xe0 : 0xc0, upper ? 0xfe : 0xde) ||
        in_range(c, upper ? 0x3b1 : 0x391, upper ? 0x3cb : 0x3ab) ||
        in_range(c, upper ? 0x430 : 0x410, upper ? 0x44f : 0x42f))
        return upper ? c - 0x20 : c + 0x20;
    if (in_range(c, upper ? 0x450 : 0x400, upper ? 0x45f : 0x40f))
        return upper ? c - 0x50 : c + 0x50;
    if (in_range(c, upper ? 0x561 : 0x531, upper ? 0x586 : 0x556))
        return upper ? c - 0x30 : c + 0x30;
    if (c == 0x130 || c == 0x131 || c == 0x138 || c == 0x149)
        return c;
    if (in_range(c, 0x100, 0x137) || in_range(c, 0x14a, 0x177) || in_range(c, 0x460, 0x481) ||
        in_range(c, 0x48a, 0x4bf) || in_range(c, 0x4d0, 0x52f))
        return pair_case(c, upper, true);
    if (in_range(c, 0x139, 0x148) || in_range(c, 0x179, 0x17e))
        return pair_case(c, upper, false);
    return c;
}

static void copy_case(char *to, evs_string_view s, bool upper)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char a = (unsigned char)s.data[i];
        if (a >= (upper ? 'a' : 'A') && a <= (upper ? 'z' : 'Z')) {
            to[i] = (char)(a ^ 0x20);
        } else if ((a & 0xe0) == 0xc0 && i + 1 < s.len) {
            uint32_t c = (a & 0x1fu) << 6 | ((unsigned char)s.data[i + 1] & 0x3fu);
            c = change_case(c, upper);
            to[i] = (char)(0xc0 | c >> 6);
            to[++i] = (char)(0x80 | (c & 0x3f));
        } else {
            to[i] = (char)a;
        }
    }
}

evs_status
evs__fn_change_case(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *cols[1] = {NULL};
    bool upper = n->function->name[0] == 'u';
    evs_status status = evs__eval_strict(ev, n, rows, cols, ret);

    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    {
        evs_string_view s = TEXT_ARG(0);
        char *room;
        status = evs__text_room(ev, n, *ret, i, s.len, &room);
        if (status)
            return status;
        if (room)
            copy_case(room, s, upper);
    }
    return evs__text_skip(*ret, rows->total);
}

/* ---- parts ---- */

/* trim, ltrim, rtrim: spaces */
evs_status evs__fn_trim(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *cols[1] = {NULL};
    bool left = n->function->name[0] != 'r', right = n->function->name[0] != 'l';
    evs_status status = evs__eval_strict(ev, n, rows, cols, ret);

    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    {
        evs_string_view s = TEXT_ARG(0);
        for (; left && s.len && s.data[0] == ' '; s.len--)
            s.data++;
        while (right && s.len && s.data[s.len - 1] == ' ')
            s.len--;
        if ((status = evs__text_put(ev, n, *ret, i, s.data, s.len)))
            return status;
    }
    return evs__text_skip(*ret, rows->total);
}

/* `start` counts from 1, negative from the end; beyond an end it is that end */
static evs_string_view substring(evs_string_view s, int64_t start, int64_t length)
{
    int64_t characters = start < 0 ? (int64_t)count_characters(s) : 0;
    size_t from, to;

    if (start < 0)
        start = start + characters < 0 ? 0 : start + characters;
    else if (start > 0)
        start--;
    if (length <= 0)
        return (evs_string_view){s.data, 0};
    from = offset_of(s, (size_t)start);
    to = offset_of((evs_string_view){s.data + from, s.len - from}, (size_t)length);
    return (evs_string_view){s.data + from, to};
}

evs_status evs__fn_substring(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *cols[3] = {NULL, NULL, NULL};
    evs_status status = evs__eval_strict(ev, n, rows, cols, ret);

    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    {
        evs_string_view s = TEXT_ARG(0);
        int64_t start = cols[1]->i32[i * EVS__STRIDE(n->args[1])];
        int64_t length = INT32_MAX;
        if (n->arg_count == 3)
            length = cols[2]->i32[i * EVS__STRIDE(n->args[2])];
        if (s.len) {
            s = substring(s, start, length);
            if ((status = evs__text_put(ev, n, *ret, i, s.data, s.len)))
                return status;
        }
    }
    return evs__text_skip(*ret, rows->total);
}

static const char *find(evs_string_view s, evs_string_view part)
{
    return part.len ? memmem(s.len ? s.data : "", s.len, part.data, part.len) : s.data;
}

/* position(part, text), strpos(text, part), instr(text, part): from 1; 0: it is not there */
evs_status evs__fn_position(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *cols[2] = {NULL, NULL};
    int part = n->function->name[0] == 'p' ? 0 : 1;
    evs_status status = evs__eval_strict(ev, n, rows, cols, ret);

    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    {
        evs_string_view s = TEXT_ARG(1 - part), p = TEXT_ARG(part);
        const char *at = find(s, p);
        (*ret)->i32[i] = p.len == 0 ? 1 : 0;
        if (p.len && at)
            (*ret)->i32[i] =
                1 + (int32_t)count_characters((evs_string_view){s.data, (size_t)(at - s.data)});
    }
    evs__zero_nulls(*ret);
    return EVS_OK;
}

/* starts_with, ends_with, contains */
evs_status evs__fn_contains(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *cols[2] = {NULL, NULL};
    char which = n->function->name[0];
    evs_status status = evs__eval_strict(ev, n, rows, cols, ret);

    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    {
        evs_string_view s = TEXT_ARG(0), p = TEXT_ARG(1);
        bool yes = p.len == 0;
        if (p.len && p.len <= s.len) {
            const char *at = which == 'e' ? s.data + s.len - p.len : s.data;
            yes = which == 'c' ? find(s, p) != NULL : memcmp(at, p.data, p.len) == 0;
        }
        evs__bit_clear((*ret)->bits, i);
        if (yes)
            evs__bit_set((*ret)->bits, i);
    }
    evs__zero_nulls(*ret);
    return EVS_OK;
}

/* the n-th of the pieces between delimiters, from 1, negative from the end; empty: none */
static evs_string_view split_part(evs_string_view s, evs_string_view delimiter, int64_t wanted)
{
    evs_string_view rest = s;
    int64_t pieces = 1;

    if (!s.len || !delimiter.len)
        return wanted == 1 || wanted == -1 ? s : (evs_string_view){s.data, 0};
    if (wanted < 0) {
        for (const char *at; (at = find(rest, delimiter)); pieces++) {
            rest.len -= (size_t)(at - rest.data) + delimiter.len;
            rest.data = at + delimiter.len;
        }
        wanted += pieces + 1;
        rest = s;
    }
    if (wanted <= 0)
        return (evs_string_view){s.data, 0};
    for (;; wanted--) {
        const char *at = find(rest, delimiter);
        if (wanted == 1)
            return (evs_string_view){rest.data, at ? (size_t)(at - rest.data) : rest.len};
        if (!at)
            return (evs_string_view){s.data, 0};
        rest.len -= (size_t)(at - rest.data) + delimiter.len;
        rest.data = at + delimiter.len;
    }
}

evs_status evs__fn_split_part(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *cols[3] = {NULL, NULL, NULL};
    evs_status status = evs__eval_strict(ev, n, rows, cols, ret);

    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    {
        int64_t wanted = cols[2]->i32[i * EVS__STRIDE(n->args[2])];
        evs_string_view s;
        if (evs__column_is_null(*ret, i))
            continue;
        if (wanted == 0) {
            status = evs__fail_row(ev, n, *ret, i, EVS_ERR_EXPRESSION,
                                   "split_part counts from 1, or from -1 at the end");
        } else {
            s = split_part(TEXT_ARG(0), TEXT_ARG(1), wanted);
            status = evs__text_put(ev, n, *ret, i, s.data, s.len);
        }
        if (status)
            return status;
    }
    return evs__text_skip(*ret, rows->total);
}

/* ---- replace, concat ---- */

/* with `to` NULL only the length of the result */
static size_t replace(evs_string_view s, evs_string_view from, evs_string_view with, char *to)
{
    size_t len = 0;

    while (s.len) {
        const char *at = from.len ? find(s, from) : NULL;
        size_t before = at ? (size_t)(at - s.data) : s.len;
        if (to)
            memcpy(to + len, s.data, before);
        len += before;
        if (!at)
            break;
        if (to && with.len)
            memcpy(to + len, with.data, with.len);
        len += with.len;
        s = (evs_string_view){at + from.len, s.len - before - from.len};
    }
    return len;
}

evs_status evs__fn_replace(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *cols[3] = {NULL, NULL, NULL};
    evs_status status = evs__eval_strict(ev, n, rows, cols, ret);

    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    {
        evs_string_view s = TEXT_ARG(0), from = TEXT_ARG(1), with = TEXT_ARG(2);
        char *room;
        if (evs__column_is_null(*ret, i))
            continue;
        status = evs__text_room(ev, n, *ret, i, replace(s, from, with, NULL), &room);
        if (status)
            return status;
        if (room)
            (void)replace(s, from, with, room);
    }
    return evs__text_skip(*ret, rows->total);
}

/* the arguments one behind the other; those that are NULL are left out */
static evs_status
concat_row(evs__eval *ev, evs__term *n, evs__column *const *cols, uint32_t i, evs__column *out)
{
    size_t len = 0;
    char *room;
    evs_status status;

    for (uint32_t k = 0; k < n->arg_count; k++)
        len += TEXT_ARG(k).len;
    status = evs__text_room(ev, n, out, i, len, &room);
    for (uint32_t k = 0; k < n->arg_count && !status && room; k++) {
        evs_string_view s = TEXT_ARG(k);
        evs__copy_short(room, s.data, s.len);
        room += s.len;
    }
    return status;
}

evs_status
evs__fn_concat_strict(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *cols[EVS__ARGS_MAX];
    evs_status status = evs__eval_strict(ev, n, rows, cols, ret);

    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    {
        if (!evs__column_is_null(*ret, i) && (status = concat_row(ev, n, cols, i, *ret)))
            return status;
    }
    return evs__text_skip(*ret, rows->total);
}

/* NULLs count as empty */
evs_status evs__fn_concat(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *cols[EVS__ARGS_MAX];
    evs_status status = EVS_OK;

    for (uint32_t k = 0; k < n->arg_count && !status; k++)
        status = evs__term_eval(ev, n->args[k], rows, &cols[k]);
    if (!status)
        status = evs__term_out(ev, n, rows, ret);
    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    {
        if ((status = concat_row(ev, n, cols, i, *ret)))
            return status;
    }
    return evs__text_skip(*ret, rows->total);
}
