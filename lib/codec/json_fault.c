/*
 * codec/json_fault.c: what is wrong with a JSON event, as one line.
 *
 *   field "items[2].price": expected DECIMAL(9,2), found text at byte 117
 *
 * A fault keeps a constant text and a position; the trail is gathered while the readers return. So
 * nothing is written down for rows that are good.
 */
#include <stdio.h>
#include <string.h>

#include "codec/json.h"

const uint8_t *
evs__json_fault(evs__json_reader *r, evs_status status, const char *what, const uint8_t *at)
{
    r->status = status;
    r->what = what;
    r->at = at;
    r->expected = NULL;
    r->trail.len = 0;
    return NULL;
}

const uint8_t *
evs__json_wrong_type(evs__json_reader *r, const evs__json_value *v, const uint8_t *at)
{
    evs__json_fault(r, EVS_ERR_SCHEMA, NULL, at);
    r->expected = v->type;
    return NULL;
}

const uint8_t *evs__json_no_room(evs__json_reader *r, evs_status status, const uint8_t *at)
{
    return evs__json_fault(
        r, status, status == EVS_ERR_NOMEM ? "out of memory" : "too many values in a batch", at);
}

/* what stands at p, for "found ..." */
static void print_found(const evs__json_reader *r, const uint8_t *p, char *out, size_t size)
{
    size_t n = 0;

    if (*p == '-' || (*p >= '0' && *p <= '9')) {
        while (p + n < r->end && n < 24 && p[n] && strchr("+-.0123456789eE", p[n]))
            n++;
        snprintf(out, size, "number %.*s", (int)n, (const char *)p);
    } else {
        snprintf(out, size, "%s",
                 *p == '"'                ? "text"
                 : *p == '{'              ? "an object"
                 : *p == '['              ? "an array"
                 : *p == 't' || *p == 'f' ? "a boolean"
                                          : "null");
    }
}

/* names may come from the event: bytes that could break a line or a terminal become '?' */
void evs__json_trail_print(const evs__json_trail *t, char *out, size_t size)
{
    size_t n = 0;

    for (uint32_t i = t->len; i-- > 0 && n + 24 < size;) {
        const char *name = t->steps[i].name;
        size_t len = t->steps[i].len;

        if (!name) {
            n += (size_t)snprintf(out + n, size - n, "[%zu]", len);
            continue;
        }
        if (n)
            out[n++] = '.';
        for (size_t k = 0; k < len && n + 24 < size; k++)
            out[n++] = (unsigned char)name[k] < 0x20 || name[k] == 0x7f ? '?' : name[k];
    }
    out[n] = '\0';
}

/* "at byte N", or nothing for what is about the whole object */
static void print_place(const evs__json_reader *r, char *out, size_t size)
{
    out[0] = '\0';
    if (r->at)
        snprintf(out, size, " at byte %zu", (size_t)(r->at - r->data));
}

void evs__json_fault_print(const evs__json_reader *r, char *message, size_t size)
{
    char path[160];
    char found[48];
    char place[40];

    print_place(r, place, sizeof(place));
    if (r->status == EVS_ERR_DECODE) {
        evs__row_fail(message, size, r->status, NULL, "invalid JSON%s: %s", place, r->what);
        return;
    }
    evs__json_trail_print(&r->trail, path, sizeof(path));
    if (r->what) {
        evs__row_fail(message, size, r->status, path, "%s%s", r->what, place);
        return;
    }
    print_found(r, r->at, found, sizeof(found));
    evs__row_fail(message, size, r->status, path, "expected %s, found %s%s",
                  r->expected ? evs_type_print(r->expected) : "an object", found, place);
}
