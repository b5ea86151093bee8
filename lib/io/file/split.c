/*
 * io/file/split.c: where a record ends.
 *
 * A line ends with LF or CR LF. A CSV record (RFC 4180) ends with the first of these that is not
 * inside quotes; a field is quoted when it begins with a quote, and a quote that is doubled is one
 * of its text. Quotes elsewhere are text, so a stray one does not swallow what follows.
 */
#include <string.h>

#include "io/file/file.h"

static size_t without_cr(const char *data, size_t len)
{
    return len && data[len - 1] == '\r' ? len - 1 : len;
}

/* behind the field that begins at `at`: its delimiter or line end, or `len` with *ret_open when a
 * quote is not closed */
static size_t field_end(char delimiter, const char *data, size_t len, size_t at, bool *ret_open)
{
    *ret_open = false;
    if (at < len && data[at] == '"') {
        for (at++;; at += 2) {
            const char *quote = memchr(data + at, '"', len - at);
            if (!quote) {
                *ret_open = true;
                return len;
            }
            at = (size_t)(quote - data);
            if (at + 1 == len || data[at + 1] != '"')
                break;
        }
        at++;
    }
    while (at < len && data[at] != delimiter && data[at] != '\n')
        at++;
    return at;
}

static bool split_delimited(
    char delimiter, const char *data, size_t len, bool last, size_t *ret_len, size_t *ret_next)
{
    size_t at = 0;
    bool open = false;
    for (;;) {
        at = field_end(delimiter, data, len, at, &open);
        if (at == len)
            break;
        if (data[at] == '\n') {
            *ret_len = without_cr(data, at);
            *ret_next = at + 1;
            return true;
        }
        at++;
    }
    *ret_len = without_cr(data, len);
    *ret_next = len;
    return last;
}

bool evs__file_split(file_form form,
                     char delimiter,
                     const char *data,
                     size_t len,
                     bool last,
                     size_t *ret_len,
                     size_t *ret_next)
{
    const char *newline;
    if (form == FILE_DELIMITED)
        return split_delimited(delimiter, data, len, last, ret_len, ret_next);
    newline = memchr(data, '\n', len);
    *ret_next = newline ? (size_t)(newline - data) + 1 : len;
    *ret_len = without_cr(data, newline ? *ret_next - 1 : len);
    return newline || last;
}

bool evs__file_next_field(
    char delimiter, const char *data, size_t len, size_t *at, evs_string_view *ret)
{
    bool open;
    size_t end;
    if (*at > len)
        return false;
    /* a line end inside a record can only be a stray one of an unquoted field's text */
    end = field_end(delimiter, data, len, *at, &open);
    while (end < len && data[end] == '\n')
        end = field_end(delimiter, data, len, end + 1, &open);
    *ret = (evs_string_view){data + *at, end - *at};
    *at = end + 1;
    return true;
}
