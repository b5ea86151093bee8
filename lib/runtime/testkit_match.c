/*
 * runtime/testkit_match.c: rows against the JSON text of an expectation.
 *
 * A row is written as JSON by the same encoder that sinks use, read back, and compared member by
 * member with what is expected; values that JSON has no form for (times as numbers, bytes) are
 * compared with the row itself. When no row fits, the one with most equal members is told, with the
 * first that differs. An expectation costs a pass over the rows that are left.
 */
#include <jansson.h>

#include "runtime/testkit.h"

#define KIND "_kind"

static const char *const kind_names[] = {"insert", "update", "delete"};

static evs_row row_of(const evs__kit_row *r)
{
    return (evs_row){.batch = r->batch, .index = r->index};
}

const char *evs__kit_row_text(evs__kit_end *end, const evs__kit_row *row, evs_error **reterr)
{
    evs_string_view text;
    if (evs_encoder_encode(end->text, row->batch, row->index, &text, reterr))
        return NULL;
    return text.data;
}

/* ---- values ---- */

static bool same(const json_t *want, const json_t *is);

static bool same_object(const json_t *want, const json_t *is)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)want, key, value)
    {
        const json_t *other = json_object_get(is, key);
        if (!other || !same(value, other))
            return false;
    }
    return true;
}

static bool same_array(const json_t *want, const json_t *is)
{
    size_t n = json_array_size(want);
    if (n != json_array_size(is))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!same(json_array_get(want, i), json_array_get(is, i)))
            return false;
    }
    return true;
}

/* of nested objects, too, only the members that are wanted count */
static bool same(const json_t *want, const json_t *is)
{
    if (json_is_number(want) && json_is_number(is)) {
        if (json_is_integer(want) && json_is_integer(is))
            return json_integer_value(want) == json_integer_value(is);
        return json_number_value(want) == json_number_value(is);
    }
    if (json_typeof(want) != json_typeof(is))
        return false;
    if (json_is_object(want))
        return same_object(want, is);
    if (json_is_array(want))
        return same_array(want, is);
    return json_equal(want, is);
}

/* a member that is equal only by the row's own value */
static bool same_field(const json_t *want, const evs_row *row, const char *name)
{
    int32_t field = evs_row_field(row, name);
    const evs_type *type =
        field < 0 ? NULL : evs_type_child(evs_batch_type(row->batch), (size_t)field);
    const char *data = NULL;
    size_t len = 0;
    int64_t number;

    if (!type)
        return false;
    if (json_is_integer(want) && evs_row_int(row, field, &number) == EVS_OK)
        return number == json_integer_value(want);
    if (evs_type_get_id(type) == EVS_TYPE_BYTES && json_is_string(want) &&
        evs_row_string(row, field, &data, &len) == EVS_OK)
        return len == json_string_length(want) && memcmp(data, json_string_value(want), len) == 0;
    return false;
}

/* ---- one row ---- */

typedef struct difference {
    size_t equal;     /* members */
    const char *name; /* the first that differs; of the expectation */
    const json_t *want;
} difference;

/* whether a row has what is wanted; `is`: the row as an object, `row` NULL: it is none */
static bool compare(const json_t *want, const json_t *is, const evs_row *row, difference *ret)
{
    const char *key;
    json_t *value;

    *ret = (difference){0};
    json_object_foreach((json_t *)want, key, value)
    {
        const json_t *other = json_object_get(is, key);
        bool equal;
        if (row && strcmp(key, KIND) == 0)
            equal = json_is_string(value) &&
                    strcmp(json_string_value(value), kind_names[evs_row_get_kind(row)]) == 0;
        else
            equal = (other && same(value, other)) || (row && same_field(value, row, key));
        if (equal) {
            ret->equal++;
        } else if (!ret->name) {
            ret->name = key;
            ret->want = value;
        }
    }
    return !ret->name;
}

/* the event that a dead letter of stage "late" is of; NULL: it is no such letter, or not JSON */
static json_t *late_event(const evs__kit_row *r)
{
    evs_row row = row_of(r);
    const char *stage = NULL, *payload = NULL;
    size_t stage_len = 0, len = 0;

    if (evs_row_string(&row, evs_row_field(&row, "stage"), &stage, &stage_len) || stage_len != 4 ||
        memcmp(stage, "late", 4) != 0 ||
        evs_row_string(&row, evs_row_field(&row, "payload"), &payload, &len))
        return NULL;
    return json_loadb(payload, len, 0, NULL);
}

/* ---- all rows ---- */

typedef struct search {
    evs_testkit *kit;
    const json_t *want;
    bool letters;
    evs__kit_end *near_end; /* of the row that is nearest */
    evs__kit_row *near;
    difference near_by;
    size_t left; /* rows that were looked at */
} search;

/* EVS_OK: it fits; EVS_END: it does not */
static evs_status try_row(search *s, evs__kit_end *end, evs__kit_row *r, evs_error **reterr)
{
    evs_row row = row_of(r);
    difference by;
    json_t *is;
    bool fits;

    if (s->letters && end->node->kind == EVS__NODE_DEAD_LETTERS) {
        is = late_event(r);
        if (!is)
            return EVS_END;
        fits = compare(s->want, is, NULL, &by);
    } else {
        const char *text = evs__kit_row_text(end, r, reterr);
        if (!text)
            return *reterr ? evs_error_status(*reterr) : EVS_ERR_NOMEM;
        is = json_loads(text, 0, NULL);
        if (!is)
            return evs__nomem(reterr);
        fits = compare(s->want, is, &row, &by);
    }
    json_decref(is);
    s->left++;
    if (!s->near || by.equal > s->near_by.equal) {
        s->near_end = end;
        s->near = r;
        s->near_by = by;
    }
    return fits ? EVS_OK : EVS_END;
}

static void tell(search *s, const char *what, const char *json)
{
    evs__buffer *why = &s->kit->why;
    evs_row row;
    const char *text;
    char *value;

    evs__buffer_reset(why);
    if (!s->near) {
        evs__buffer_printf(why, "%s: no row is left for %s", what, json);
        return;
    }
    text = evs__kit_row_text(s->near_end, s->near, NULL);
    row = row_of(s->near);
    evs__buffer_printf(why, "%s: none of %zu rows is %s; the nearest, %s (%s)", what, s->left, json,
                       text ? text : "a row", kind_names[evs_row_get_kind(&row)]);
    value = json_dumps(s->near_by.want, JSON_ENCODE_ANY | JSON_COMPACT);
    evs__buffer_printf(why, ", has another \"%s\" than %s", s->near_by.name, value ? value : "");
    free(value);
}

/* members of the expectation that no row can have */
static evs_status check_names(const search *s, const evs__kit_end *end, evs_error **reterr)
{
    const evs_type *type = end->node->type;
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)s->want, key, value)
    {
        evs__buffer list;
        evs_status status;
        if (strcmp(key, KIND) == 0 || evs_type_field_index(type, key, strlen(key)) >= 0)
            continue;
        evs__buffer_init(&list, s->kit->ctx, 4096);
        evs__type_list_fields(type, &list);
        status =
            evs__fail(s->kit->ctx, reterr, EVS_ERR_NOT_FOUND, "step \"%s\" has no field \"%s\"; %s",
                      end->node->name, key, evs__buffer_cstr(&list) ? list.data : "");
        evs__buffer_free(&list);
        return status;
    }
    return EVS_OK;
}

static evs_status
search_ends(search *s, evs__kit_end *const *ends, size_t count, evs_error **reterr)
{
    evs_status status = EVS_END;

    for (size_t e = 0; e < count && status == EVS_END; e++) {
        if (!s->letters && (status = check_names(s, ends[e], reterr)))
            return status;
        status = EVS_END;
        for (size_t i = 0; i < ends[e]->count && status == EVS_END; i++) {
            evs__kit_row *r = &ends[e]->rows[i];
            if (r->taken)
                continue;
            status = try_row(s, ends[e], r, reterr);
            r->taken = status == EVS_OK;
        }
    }
    return status;
}

evs_status evs__kit_match(evs_testkit *kit,
                          evs__kit_end *const *ends,
                          size_t count,
                          bool letters,
                          const char *what,
                          const char *json,
                          evs_error **reterr)
{
    json_error_t fault;
    json_t *want = json_loads(json, JSON_REJECT_DUPLICATES, &fault);
    search s = {.kit = kit, .want = want, .letters = letters};
    evs_status status;

    if (!json_is_object(want)) {
        json_decref(want);
        return evs__fail(kit->ctx, reterr, EVS_ERR_INVALID, "the expectation is no JSON object: %s",
                         want ? json : fault.text);
    }
    status = search_ends(&s, ends, count, reterr);
    if (status == EVS_END)
        tell(&s, what, json);
    json_decref(want);
    return status;
}
