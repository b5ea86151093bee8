/*
 * JSON codec against jansson, on random types, values and ways to write them.
 *
 * A run makes a random STRUCT type and a few events of it: members in any order and white space,
 * escaped or not, some missing, others that nobody asked for. Then
 *   - the decoder reads them, the encoder writes the rows, and jansson must find in what was
 *     written what it finds in the event, member by member of the type;
 *   - events with random bytes changed are read by the check of whole values and by jansson: both
 *     must take or refuse them;
 *   - all builds of the reader must agree on every event.
 *
 * EVS_MODEL_RUNS sets the number of runs; a failure prints its seed, EVS_MODEL_SEED repeats it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/frame.h"
#include "codec/json.h"

#define RUNS_DEFAULT 1500
#define EVENTS 6
#define FIELDS_MAX 7
#define DEPTH_MAX 3

static uint64_t random_state;
static uint64_t run_seed;

static uint64_t next_random(void)
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint32_t below(uint32_t n)
{
    return (uint32_t)(next_random() >> 33) % n;
}

/* ---- random types ---- */

static const char *const field_names[] = {
    "id",  "user_id",     "a",     "total amount",
    "x.y", "caf\xc3\xa9", "items", "a_rather_long_member_name"};
#define FIELD_NAMES (sizeof(field_names) / sizeof(field_names[0]))

static void put_type(evs__buffer *b, uint32_t depth);

static void put_fields(evs__buffer *b, uint32_t depth)
{
    uint32_t first = below(FIELD_NAMES);
    uint32_t count = 1 + below(depth ? 3 : FIELDS_MAX);

    for (uint32_t i = 0; i < count; i++) {
        if (i)
            evs__buffer_text(b, ", ");
        evs__buffer_printf(b, "\"%s\" ", field_names[(first + i) % FIELD_NAMES]);
        put_type(b, depth + 1);
    }
}

static void put_type(evs__buffer *b, uint32_t depth)
{
    static const char *const simple[] = {
        "BOOLEAN", "INT",   "BIGINT",    "BIGINT", "DOUBLE", "DOUBLE",       "VARCHAR",
        "VARCHAR", "BYTES", "TIMESTAMP", "DATE",   "TIME",   "DECIMAL(15,3)"};
    uint32_t kind = below(depth < DEPTH_MAX ? 18 : 13);

    if (kind < 13) {
        evs__buffer_text(b, simple[kind]);
    } else if (kind < 15) {
        evs__buffer_text(b, "ARRAY<");
        put_type(b, depth + 1);
        evs__buffer_text(b, ">");
    } else if (kind < 16) {
        evs__buffer_text(b, "MAP<");
        put_type(b, depth + 1);
        evs__buffer_text(b, ">");
    } else {
        evs__buffer_text(b, "STRUCT<");
        put_fields(b, depth);
        evs__buffer_text(b, ">");
    }
    if (!below(8))
        evs__buffer_text(b, " NOT NULL");
}

/* ---- random events ---- */

static void put_value(evs__buffer *b, const evs_type *type, uint32_t spaces);

static void put_space(evs__buffer *b, uint32_t spaces)
{
    static const char kinds[] = " \t\n\r";

    if (spaces == 1)
        evs__buffer_byte(b, ' ');
    for (uint32_t n = spaces == 2 ? below(4) : 0; n; n--)
        evs__buffer_byte(b, (uint8_t)kinds[below(4)]);
}

/* random text, some of it escaped; `plain`: keys, which jansson wants without NUL */
static void put_text(evs__buffer *b, uint32_t length_max)
{
    static const char *const pieces[] = {"\\n",
                                         "\\u0041",
                                         "\\ud83d\\ude00",
                                         "\xe2\x82\xac",
                                         "\\\"",
                                         "\\/",
                                         "\xc3\xa9",
                                         "\\\\",
                                         "}",
                                         "]",
                                         ",",
                                         ":"};
    uint32_t length = below(4) ? below(length_max) : below(4 * length_max);
    uint32_t odd = below(3) ? 0 : 6;

    evs__buffer_byte(b, '"');
    for (uint32_t i = 0; i < length; i++) {
        if (odd && !below(odd))
            evs__buffer_text(b, pieces[below(sizeof(pieces) / sizeof(pieces[0]))]);
        else
            evs__buffer_byte(b, (uint8_t)('a' + below(26)));
    }
    evs__buffer_byte(b, '"');
}

static void put_int(evs__buffer *b, uint32_t bits_max)
{
    uint64_t v = next_random() >> (64 - 1 - below(bits_max - 1));

    evs__buffer_int(b, below(2) ? (int64_t)v : -(int64_t)v);
}

static void put_double(evs__buffer *b)
{
    uint64_t bits;
    double v;

    switch (below(4)) {
    case 0:
        put_int(b, 63);
        return;
    case 1:
        evs__buffer_printf(b, "%u.%u", below(100000), below(1000000));
        return;
    case 2:
        evs__buffer_printf(b, "%u.%ue%d", below(10), below(100000), (int)below(40) - 20);
        return;
    default:
        do {
            bits = next_random();
            memcpy(&v, &bits, 8);
        } while (v != v || v - v != 0);
        evs__buffer_printf(b, "%.17g", v);
        return;
    }
}

static void put_unwanted(evs__buffer *b, uint32_t depth)
{
    switch (below(depth < 4 ? 7 : 5)) {
    case 0:
        put_text(b, 12);
        return;
    case 1:
        put_double(b);
        return;
    case 2:
        evs__buffer_text(b, "true");
        return;
    case 3:
        evs__buffer_text(b, "null");
        return;
    case 4:
        evs__buffer_text(b, "false");
        return;
    case 5:
        evs__buffer_byte(b, '[');
        for (uint32_t i = below(4); i; i--) {
            put_unwanted(b, depth + 1);
            evs__buffer_text(b, i > 1 ? "," : "");
        }
        evs__buffer_byte(b, ']');
        return;
    default:
        evs__buffer_byte(b, '{');
        for (uint32_t i = below(4); i; i--) {
            evs__buffer_printf(b, "\"k%u\":", i);
            put_unwanted(b, depth + 1);
            evs__buffer_text(b, i > 1 ? "," : "");
        }
        evs__buffer_byte(b, '}');
        return;
    }
}

static void put_object(evs__buffer *b, const evs_type *type, uint32_t spaces)
{
    uint32_t turn = below(3) ? 0 : below(type->child_count);
    bool first = true;

    evs__buffer_byte(b, '{');
    for (uint32_t i = 0; i < type->child_count; i++) {
        const evs__field *field = &type->children[(i + turn) % type->child_count];

        if (field->type->nullable && !below(6))
            continue;
        put_space(b, spaces);
        if (!first)
            evs__buffer_byte(b, ',');
        put_space(b, spaces);
        if (!below(5)) {
            evs__buffer_printf(b, "\"unwanted%u\":", i);
            put_unwanted(b, 0);
            evs__buffer_byte(b, ',');
        }
        evs__buffer_json_string(b, field->name, strlen(field->name));
        put_space(b, spaces);
        evs__buffer_byte(b, ':');
        put_space(b, spaces);
        put_value(b, field->type, spaces);
        first = false;
    }
    put_space(b, spaces);
    evs__buffer_byte(b, '}');
}

static void put_list(evs__buffer *b, const evs_type *type, uint32_t spaces)
{
    bool map = type->id == EVS_TYPE_MAP;
    const evs_type *element =
        map ? type->children[0].type->children[1].type : type->children[0].type;
    uint32_t count = below(5);

    evs__buffer_byte(b, map ? '{' : '[');
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            evs__buffer_byte(b, ',');
        put_space(b, spaces);
        if (map)
            evs__buffer_printf(b, "\"key%u\":", i);
        put_value(b, element, spaces);
    }
    put_space(b, spaces);
    evs__buffer_byte(b, map ? '}' : ']');
}

static void put_value(evs__buffer *b, const evs_type *type, uint32_t spaces)
{
    if (type->nullable && !below(10)) {
        evs__buffer_text(b, "null");
        return;
    }
    switch (type->id) {
    case EVS_TYPE_BOOLEAN:
        evs__buffer_text(b, below(2) ? "true" : "false");
        break;
    case EVS_TYPE_INT:
        put_int(b, 32);
        break;
    case EVS_TYPE_BIGINT:
        put_int(b, 64);
        break;
    case EVS_TYPE_DOUBLE:
        put_double(b);
        break;
    case EVS_TYPE_DECIMAL:
        evs__buffer_printf(b, "%s%u.%0*u", below(2) ? "-" : "", below(1000000), 1 + (int)below(3),
                           below(10));
        break;
    case EVS_TYPE_VARCHAR:
        put_text(b, 20);
        break;
    case EVS_TYPE_BYTES:
        evs__buffer_byte(b, '"');
        evs__buffer_base64(b, field_names[below(FIELD_NAMES)], below(8) % 3);
        evs__buffer_byte(b, '"');
        break;
    case EVS_TYPE_TIMESTAMP:
        evs__buffer_printf(b, "\"20%02u-1%u-2%uT1%u:0%u:1%u.%03uZ\"", below(100), below(3),
                           below(9), below(10), below(10), below(10), below(1000));
        break;
    case EVS_TYPE_DATE:
        evs__buffer_printf(b, "\"19%02u-0%u-1%u\"", below(100), 1 + below(9), below(10));
        break;
    case EVS_TYPE_TIME:
        evs__buffer_printf(b, "\"0%u:1%u:2%u.%03u\"", below(10), below(10), below(10), below(1000));
        break;
    case EVS_TYPE_STRUCT:
        put_object(b, type, spaces);
        break;
    default:
        put_list(b, type, spaces);
        break;
    }
}

/* ---- the oracle ---- */

/* whether `out` says what `in` says, as far as the type wants it */
static bool same(const evs_type *type, const json_t *in, const json_t *out)
{
    const char *key;
    json_t *value;

    if (!in || json_is_null(in))
        return json_is_null(out);
    switch (type->id) {
    case EVS_TYPE_DOUBLE:
    case EVS_TYPE_DECIMAL:
        return json_is_number(out) && json_number_value(in) == json_number_value(out);
    case EVS_TYPE_STRUCT:
        if (!json_is_object(out) || json_object_size(out) != type->child_count)
            return false;
        for (uint32_t i = 0; i < type->child_count; i++) {
            const char *name = type->children[i].name;
            if (!same(type->children[i].type, json_object_get(in, name),
                      json_object_get(out, name)))
                return false;
        }
        return true;
    case EVS_TYPE_ARRAY:
        if (!json_is_array(out) || json_array_size(in) != json_array_size(out))
            return false;
        for (size_t i = 0; i < json_array_size(in); i++) {
            if (!same(type->children[0].type, json_array_get(in, i), json_array_get(out, i)))
                return false;
        }
        return true;
    case EVS_TYPE_MAP:
        if (!json_is_object(out) || json_object_size(in) != json_object_size(out))
            return false;
        json_object_foreach((json_t *)in, key, value)
        {
            if (!same(type->children[0].type->children[1].type, value, json_object_get(out, key)))
                return false;
        }
        return true;
    default:
        return json_equal(in, out);
    }
}

/* jansson's answer about any bytes; false: it has limits that JSON does not have */
static bool oracle_says(const char *data, size_t len, bool *ret_valid)
{
    json_error_t error;
    json_t *json = json_loadb(data, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    enum json_error_code code = json ? json_error_unknown : json_error_code(&error);

    *ret_valid = json != NULL;
    json_decref(json);
    return code != json_error_numeric_overflow && code != json_error_null_byte_in_key;
}

/* ---- one run ---- */

static void check_same(const evs_type *type, const char *event, size_t len, evs_string_view out)
{
    json_error_t error;
    json_t *a = json_loadb(event, len, JSON_ALLOW_NUL, &error);
    json_t *b;

    if (!a)
        fail_msg("seed %llu: jansson refuses %.*s: %s", (unsigned long long)run_seed, (int)len,
                 event, error.text);
    b = json_loadb(out.data, out.len, JSON_ALLOW_NUL, &error);
    if (!b)
        fail_msg("seed %llu: jansson refuses %.*s: %s", (unsigned long long)run_seed, (int)out.len,
                 out.data, error.text);
    if (!same(type, a, b))
        fail_msg("seed %llu: %s: %.*s became %.*s", (unsigned long long)run_seed,
                 evs_type_print(type), (int)len, event, (int)out.len, out.data);
    json_decref(a);
    json_decref(b);
}

/* events with changed bytes: taken or refused by all */
static void check_changed(evs__buffer *event)
{
    const evs__json_walk *const walks[] = {evs__json_walk_best(), &evs__json_walk_plain};
    char message[200];
    bool valid;

    for (int i = 0; i < 20; i++) {
        char *copy;
        size_t at = below((uint32_t)event->len);
        static const char odd[] = "{}[]\",:\\0123456789.eE-+tfn \n\x01\x80\xff\xc3u/";

        copy = malloc(event->len);
        memcpy(copy, event->data, event->len);
        copy[at] = odd[below(sizeof(odd) - 1)];
        if (!oracle_says(copy, event->len, &valid)) {
            free(copy);
            continue;
        }
        for (size_t w = 0; w < 2; w++) {
            evs_status status =
                evs__json_check(walks[w], (uint8_t *)copy, event->len, message, sizeof(message));
            if ((status == EVS_OK) != valid)
                fail_msg("seed %llu: jansson %s, %s reader: %s: %.*s", (unsigned long long)run_seed,
                         valid ? "takes" : "refuses", walks[w]->name, status ? message : "takes it",
                         (int)event->len, copy);
        }
        free(copy);
    }
}

/* a batch of all events, by each build; the last one's stays in *ret */
static void decode_all(evs_context *ctx,
                       evs_schema *schema,
                       const evs_input *inputs,
                       evs__scratch *scratch,
                       evs_batch **ret)
{
    static const evs__json_walk *const walks[] = {&evs__json_walk_plain,
#ifdef EVS__JSON_X86
                                                  &evs__json_walk_sse2, &evs__json_walk_avx2
#endif
    };

    for (size_t w = 0; w < sizeof(walks) / sizeof(walks[0]); w++) {
        evs__codec_options o = {0};
        evs__format_decoder *decoder = NULL;
        evs_batch *batch = NULL;
        uint32_t origin[2 * EVENTS];
        evs__decode_run run = {.inputs = inputs, .count = 2 * EVENTS, .origin = origin};
        char message[300] = "";

        if (!strcmp(walks[w]->name, "avx2") && strcmp(evs__json_walk_best()->name, "avx2"))
            continue;
        assert_int_equal(
            evs__format_json.new_decoder(ctx, schema, schema->type, &o, &decoder, NULL), EVS_OK);
        evs__json_decoder_use(decoder, walks[w]);
        assert_int_equal(evs__batch_new(ctx, schema->type, EVS_LAYOUT_VIEW, 2 * EVENTS, &batch),
                         EVS_OK);
        if (decoder->decode_batch(decoder, &run, batch->columns, scratch, message,
                                  sizeof(message)) ||
            run.row != 2 * EVENTS)
            fail_msg("seed %llu: %s reader: %s: %.*s", (unsigned long long)run_seed, walks[w]->name,
                     message, (int)inputs[run.at].value_len, (const char *)inputs[run.at].value);
        batch->rows = batch->count = run.row;
        decoder->free(decoder);
        for (uint32_t i = 0; *ret && i < batch->column_count; i++) {
            for (uint32_t row = 0; row < batch->rows; row++)
                assert_true(
                    evs__column_equal_rows(batch->columns[i], row, (*ret)->columns[i], row));
        }
        evs_batch_unref(*ret);
        *ret = batch;
    }
}

static void run_once(evs_context *ctx)
{
    evs__buffer text, events[EVENTS];
    evs_schema *schema = NULL;
    evs_encoder *encoder = NULL;
    evs_batch *batch = NULL;
    evs_error *err = NULL;
    evs_input inputs[2 * EVENTS];
    evs__scratch scratch;

    memset(inputs, 0, sizeof(inputs));
    evs__buffer_init(&text, ctx, 1 << 20);
    put_fields(&text, 0);
    if (evs_schema_columns(ctx, evs__buffer_cstr(&text), &schema, &err))
        fail_msg("seed %llu: %s: %s", (unsigned long long)run_seed, text.data,
                 evs_error_message(err));
    for (uint32_t i = 0; i < EVENTS; i++) {
        evs__buffer_init(&events[i], ctx, 1 << 20);
        put_object(&events[i], schema->type, below(3));
        check_changed(&events[i]);
        /* twice: as seen for the first time, and with all learned */
        inputs[i].value = inputs[i + EVENTS].value = events[i].data;
        inputs[i].value_len = inputs[i + EVENTS].value_len = (uint32_t)events[i].len;
    }
    evs__scratch_init(&scratch, ctx);
    decode_all(ctx, schema, inputs, &scratch, &batch);
    assert_int_equal(
        evs_encoder_new(ctx, schema->type, schema, EVS_OPTIONS("format", "json"), &encoder, NULL),
        EVS_OK);
    for (uint32_t row = 0; row < batch->rows; row++) {
        evs_string_view out;

        if (evs_encoder_encode(encoder, batch, row, &out, &err))
            fail_msg("seed %llu: %s", (unsigned long long)run_seed, evs_error_message(err));
        check_same(schema->type, events[row % EVENTS].data, events[row % EVENTS].len, out);
    }
    evs_batch_unref(batch);
    evs_encoder_unref(encoder);
    evs_schema_unref(schema);
    evs__scratch_free(&scratch);
    for (uint32_t i = 0; i < EVENTS; i++)
        evs__buffer_free(&events[i]);
    evs__buffer_free(&text);
}

static void test_json_random_events_agree_with_jansson(void **state)
{
    const char *runs = getenv("EVS_MODEL_RUNS");
    const char *seed = getenv("EVS_MODEL_SEED");
    unsigned long long count = runs ? strtoull(runs, NULL, 10) : RUNS_DEFAULT;
    evs_context *ctx = NULL;

    (void)state;
    assert_int_equal(evs_context_new(NULL, &ctx, NULL), EVS_OK);
    for (unsigned long long i = 0; i < (seed ? 1 : count); i++) {
        run_seed = seed ? strtoull(seed, NULL, 10) : i;
        random_state = run_seed * 0x2545f4914f6cdd1du;
        run_once(ctx);
    }
    evs_context_unref(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_random_events_agree_with_jansson),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
