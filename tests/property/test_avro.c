/*
 * Avro codec against avro-c, on random schemas and values.
 *
 * A run makes a random record schema, parses it with both, fills values through avro-c and lets it
 * write them. Then
 *   - our decoder must give the same values, for all columns and for a random choice of them;
 *   - our encoder must write the rows so that avro-c reads equal values (micro- and nanoseconds,
 *     which columns hold as milliseconds, are compared as such);
 *   - the validator must take every event, and the size of each must be what was written;
 *   - every event cut short must be refused, and events with random bytes changed must be decoded
 *     or refused, the same way alone and among others.
 *
 * EVS_MODEL_RUNS sets the number of runs; a failure prints its seed, EVS_MODEL_SEED repeats it.
 */
#include "avro_oracle.h"
#include "evs_test.h"

#include <stdio.h>

#include "codec/codec.h"
#include "data/batch.h"

#define RUNS_DEFAULT 6000
#define EVENTS 12
#define BYTES_MAX 65536
#define DEPTH_MAX 3

static uint64_t seed_state;
static uint64_t run_seed;

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("# EVS_MODEL_SEED=%llu: ", (unsigned long long)run_seed);                       \
            printf(__VA_ARGS__);                                                                   \
            printf("\n");                                                                          \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

static uint32_t below(uint32_t n)
{
    return (uint32_t)(evs_test_random(&seed_state) >> 33) % n;
}

/* ---- random schemas ---- */

typedef struct maker {
    FILE *out;
    int names;
    int open; /* enclosing record that may be named again; -1: none */
} maker;

static void put_type(maker *m, uint32_t depth, bool in_union);

static void put_fields(maker *m, uint32_t depth)
{
    uint32_t count = 1 + below(depth ? 4 : 8);

    for (uint32_t i = 0; i < count; i++) {
        fprintf(m->out, "%s{\"name\":\"f%u\",\"type\":", i ? "," : "", i);
        put_type(m, depth, false);
        fprintf(m->out, "}");
    }
}

static void put_record(maker *m, uint32_t depth)
{
    int outer = m->open;
    int name = m->names++;

    fprintf(m->out, "{\"type\":\"record\",\"name\":\"%sr%d\",\"fields\":[", below(4) ? "" : "n.s.",
            name);
    m->open = below(8) ? -1 : name;
    put_fields(m, depth + 1);
    m->open = outer;
    fprintf(m->out, "]}");
}

static void put_union(maker *m, uint32_t depth)
{
    static const char *const plain[] = {"\"boolean\"", "\"int\"",    "\"long\"", "\"float\"",
                                        "\"double\"",  "\"string\"", "\"bytes\""};
    uint32_t first = below(7);
    uint32_t count = 1 + below(4);
    uint32_t null = below(3) ? below(count + 1) : 99;

    if (!below(2)) { /* optional: the common kind */
        fprintf(m->out, null & 1 ? "[\"null\"," : "[");
        put_type(m, depth + 1, true);
        fprintf(m->out, null & 1 ? "]" : ",\"null\"]");
        return;
    }
    fprintf(m->out, "[");
    for (uint32_t i = 0; i < count; i++) {
        if (i == null)
            fprintf(m->out, "%s\"null\"", i ? "," : "");
        fprintf(m->out, "%s", i || i == null ? "," : "");
        if (i == 1 && depth < DEPTH_MAX)
            put_record(m, depth);
        else if (i == 2 && depth < DEPTH_MAX)
            fprintf(m->out, "{\"type\":\"array\",\"items\":\"long\"}");
        else
            fprintf(m->out, "%s", plain[(first + i) % 7]);
    }
    fprintf(m->out, "]");
}

static void put_plain(maker *m, bool in_union)
{
    static const char *const types[] = {
        "\"null\"",
        "\"boolean\"",
        "\"int\"",
        "\"long\"",
        "\"float\"",
        "\"double\"",
        "\"bytes\"",
        "\"string\"",
        "\"string\"",
        "\"long\"",
        "{\"type\":\"int\",\"logicalType\":\"date\"}",
        "{\"type\":\"int\",\"logicalType\":\"time-millis\"}",
        "{\"type\":\"long\",\"logicalType\":\"time-micros\"}",
        "{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}",
        "{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}",
        "{\"type\":\"long\",\"logicalType\":\"timestamp-nanos\"}",
        "{\"type\":\"long\",\"logicalType\":\"local-timestamp-millis\"}",
        "{\"type\":\"long\",\"logicalType\":\"local-timestamp-micros\"}",
        "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":38,\"scale\":7}",
        "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":5,\"scale\":0}",
        "{\"type\":\"string\",\"logicalType\":\"uuid\"}",
    };
    /* a union has one null only */
    fprintf(m->out, "%s", types[in_union + below(sizeof(types) / sizeof(types[0]) - in_union)]);
}

static void put_named(maker *m)
{
    static const char *const kinds[] = {
        "{\"type\":\"enum\",\"name\":\"t%d\",\"symbols\":[\"A\",\"BB\",\"CCC\"]}",
        "{\"type\":\"fixed\",\"name\":\"t%d\",\"size\":5}",
        "{\"type\":\"fixed\",\"name\":\"t%d\",\"size\":1}",
        "{\"type\":\"fixed\",\"name\":\"t%d\",\"size\":9,\"logicalType\":\"decimal\",\"precision\":"
        "20}",
        "{\"type\":\"fixed\",\"name\":\"t%d\",\"size\":20,\"logicalType\":\"decimal\","
        "\"precision\":38,"
        "\"scale\":2}",
        "{\"type\":\"fixed\",\"name\":\"t%d\",\"size\":16,\"logicalType\":\"uuid\"}",
        "{\"type\":\"fixed\",\"name\":\"t%d\",\"size\":12,\"logicalType\":\"duration\"}",
    };
    fprintf(m->out, kinds[below(sizeof(kinds) / sizeof(kinds[0]))], m->names++);
}

static void put_type(maker *m, uint32_t depth, bool in_union)
{
    uint32_t kind = below(depth < DEPTH_MAX ? 20 : 11);

    if (kind < 9) {
        put_plain(m, in_union);
    } else if (kind < 11) {
        put_named(m);
    } else if (kind < 14 && !in_union) {
        put_union(m, depth);
    } else if (kind < 16) {
        fprintf(m->out, "{\"type\":\"array\",\"items\":");
        put_type(m, depth + 1, false);
        fprintf(m->out, "}");
    } else if (kind < 18) {
        fprintf(m->out, "{\"type\":\"map\",\"values\":");
        put_type(m, depth + 1, false);
        fprintf(m->out, "}");
    } else {
        put_record(m, depth);
    }
}

static char *make_schema(void)
{
    char *text = NULL;
    size_t len = 0;
    maker m = {.out = open_memstream(&text, &len), .open = -1};

    fprintf(m.out, "{\"type\":\"record\",\"name\":\"root\",\"fields\":[");
    put_fields(&m, 0);
    if (!below(3)) /* a list of itself, which no column can hold */
        fprintf(m.out, ",{\"name\":\"again\",\"type\":[\"null\",\"root\"]}");
    if (!below(3))
        fprintf(m.out, ",{\"name\":\"last\",\"type\":{\"type\":\"array\",\"items\":\"root\"}}");
    fprintf(m.out, "]}");
    fclose(m.out);
    return text;
}

/* ---- random values ---- */

static int64_t random_long(void)
{
    return (int64_t)evs_test_random(&seed_state) >> below(64);
}

static void fill_decimal(uint8_t *bytes, size_t size, int32_t precision)
{
    evs__int128 limit = evs__pow10_128(precision);
    evs__int128 v =
        (evs__int128)((evs__uint128)random_long() << 64 | (uint64_t)random_long()) % limit;

    if (size < 16 && below(2))
        v %= (evs__int128)1 << (8 * size - 1);
    for (size_t i = size; i-- > 0; v >>= 8)
        bytes[i] = (uint8_t)v;
}

static void fill_text(avro_value_t *v, const evs__avro_node *node)
{
    static const char *const pieces[] = {
        "a", "bc", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "0123456789abcdef"};
    char text[256];
    uint8_t bytes[64];
    size_t n = 0;
    uint32_t count = below(9);

    if (node->kind == EVS__AVRO_STRING) {
        for (text[0] = '\0'; count; count--)
            n += (size_t)sprintf(text + n, "%s", pieces[below(below(3) ? 2 : 6)]);
        avro_value_set_string_len(v, text, n + 1);
        return;
    }
    n = node->kind == EVS__AVRO_FIXED           ? (size_t)node->fixed_size
        : node->logical == EVS__LOGICAL_DECIMAL ? 1 + below(20)
                                                : below(20);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)evs_test_random(&seed_state);
    if (node->logical == EVS__LOGICAL_DECIMAL && node->kind == EVS__AVRO_BYTES)
        fill_decimal(bytes, n = n < 16 ? 16 : n, node->precision);
    else if (node->logical == EVS__LOGICAL_DECIMAL)
        fill_decimal(bytes, n, node->precision);
    if (node->kind == EVS__AVRO_FIXED)
        avro_value_set_fixed(v, bytes, n);
    else
        avro_value_set_bytes(v, bytes, n);
}

static void fill(avro_value_t *v, const evs__avro_node *node, uint32_t depth);

static void fill_nested(avro_value_t *v, const evs__avro_node *node, uint32_t depth)
{
    uint32_t count = depth > 6 ? 0 : below(4);
    avro_value_t child;
    char key[16];

    switch (node->kind) {
    case EVS__AVRO_RECORD:
        for (size_t i = 0; i < node->child_count; i++) {
            avro_value_get_by_index(v, i, &child, NULL);
            fill(&child, node->children[i], depth + 1);
        }
        break;
    case EVS__AVRO_ARRAY:
        for (; count; count--) {
            avro_value_append(v, &child, NULL);
            fill(&child, node->children[0], depth + 1);
        }
        break;
    case EVS__AVRO_MAP:
        for (; count; count--) {
            snprintf(key, sizeof(key), "k%u", count);
            avro_value_add(v, key, &child, NULL, NULL);
            fill(&child, node->children[0], depth + 1);
        }
        break;
    default: /* union */
        count = depth > 6 && evs__avro_union_null(node) >= 0 ? (uint32_t)evs__avro_union_null(node)
                                                             : below((uint32_t)node->child_count);
        avro_value_set_branch(v, (int)count, &child);
        fill(&child, node->children[count], depth + 1);
        break;
    }
}

static void fill(avro_value_t *v, const evs__avro_node *node, uint32_t depth)
{
    int64_t number = random_long();

    switch (node->kind) {
    case EVS__AVRO_NULL:
        avro_value_set_null(v);
        break;
    case EVS__AVRO_BOOLEAN:
        avro_value_set_boolean(v, number & 1);
        break;
    case EVS__AVRO_INT:
        avro_value_set_int(v, (int32_t)number);
        break;
    case EVS__AVRO_LONG:
        if (node->logical == EVS__LOGICAL_TIME_MICROS)
            number %= (int64_t)INT32_MAX * 1000;
        avro_value_set_long(v, number);
        break;
    case EVS__AVRO_FLOAT:
        avro_value_set_float(v, (float)number / 8);
        break;
    case EVS__AVRO_DOUBLE:
        avro_value_set_double(v, (double)number / 1024);
        break;
    case EVS__AVRO_STRING:
    case EVS__AVRO_BYTES:
    case EVS__AVRO_FIXED:
        fill_text(v, node);
        break;
    case EVS__AVRO_ENUM:
        avro_value_set_enum(v, (int)below((uint32_t)node->child_count));
        break;
    default:
        fill_nested(v, node, depth);
        break;
    }
}

/* ---- a run ---- */

typedef struct model {
    evs_context *ctx;
    char *text;
    evs_schema *schema;
    avro_schema_t peer;
    avro_value_iface_t *iface;
    avro_value_t values[EVENTS];
    evs_input inputs[EVENTS];
} model;

static void model_init(model *m)
{
    avro_schema_error_t ignored;
    evs_error *err = NULL;
    static char bytes[BYTES_MAX];

    m->text = make_schema();
    CHECK(!evs_schema_parse(m->ctx, EVS_FORMAT_AVRO, m->text, strlen(m->text), &m->schema, &err),
          "%s: %s", m->text, evs_error_message(err));
    CHECK(!avro_schema_from_json(m->text, 0, &m->peer, &ignored), "%s: avro-c: %s", m->text,
          avro_strerror());
    m->iface = avro_generic_class_from_schema(m->peer);
    for (size_t i = 0; i < EVENTS; i++) {
        avro_writer_t w = avro_writer_memory(bytes, sizeof(bytes));
        size_t len;
        char *copy;
        avro_generic_value_new(m->iface, &m->values[i]);
        do {
            avro_value_reset(&m->values[i]);
            fill(&m->values[i], m->schema->avro, 0);
            avro_writer_reset(w);
        } while (avro_value_write(w, &m->values[i]));
        len = (size_t)avro_writer_tell(w);
        copy = malloc(len ? len : 1);
        memcpy(copy, bytes, len);
        m->inputs[i] = (evs_input){.value = copy, .value_len = (uint32_t)len};
        avro_writer_free(w);
    }
}

static void model_free(model *m)
{
    for (size_t i = 0; i < EVENTS; i++) {
        avro_value_decref(&m->values[i]);
        free((void *)m->inputs[i].value);
    }
    avro_value_iface_decref(m->iface);
    avro_schema_decref(m->peer);
    evs_schema_unref(m->schema);
    free(m->text);
}

static void failed(size_t index, evs_status status, const char *message, void *user_data)
{
    model *m = user_data;

    CHECK(false, "%s: event %zu: %s: %s", m->text, index, evs_status_name(status), message);
}

static evs_decoder *decoder_of(model *m, const char *columns)
{
    const char *pairs[] = {"framing", "none", "columns", columns};
    evs_options options = {pairs, columns ? 2 : 1};
    evs_decoder *d = NULL;
    evs_error *err = NULL;

    CHECK(!evs_decoder_new(m->ctx, m->schema, &options, &d, &err), "%s: %s", m->text,
          evs_error_message(err));
    return d;
}

static void check_rows(model *m, const evs_batch *batch)
{
    char why[1024];

    CHECK(batch->rows == EVENTS, "%s: %u rows", m->text, batch->rows);
    for (uint32_t i = 0; i < EVENTS; i++)
        CHECK(evs_test_avro_row_equal(&m->values[i], m->schema->avro, batch, i, why, sizeof(why)),
              "%s: event %u: %s", m->text, i, why);
}

static void check_decode(model *m)
{
    const evs_type *type = m->schema->type;
    evs_decoder *d = decoder_of(m, NULL);
    evs_batch *batch = NULL, *kept = NULL;
    char columns[512] = "";

    assert_int_equal(evs_decoder_decode(d, m->inputs, EVENTS, failed, m, &batch, NULL), EVS_OK);
    check_rows(m, batch);
    assert_int_equal(evs_batch_keep(batch, &kept, NULL), EVS_OK);
    check_rows(m, kept);
    evs_batch_unref(batch);
    evs_batch_unref(kept);
    evs_decoder_unref(d);
    /* some of the columns, in any order */
    for (uint32_t i = 0, first = below(16); i < type->child_count; i++) {
        if (below(2))
            continue;
        snprintf(columns + strlen(columns), sizeof(columns) - strlen(columns), "%s%s",
                 *columns ? "," : "", type->children[(first + i) % type->child_count].name);
    }
    if (!*columns)
        return;
    d = decoder_of(m, columns);
    assert_int_equal(evs_decoder_decode(d, m->inputs, EVENTS, failed, m, &batch, NULL), EVS_OK);
    check_rows(m, batch);
    evs_batch_unref(batch);
    evs_decoder_unref(d);
}

static bool is_exact(const evs__avro_node *node, uint32_t depth)
{
    if (depth > 8)
        return true;
    switch (node->logical) {
    case EVS__LOGICAL_TIME_MICROS:
    case EVS__LOGICAL_TIMESTAMP_MICROS:
    case EVS__LOGICAL_TIMESTAMP_NANOS:
    case EVS__LOGICAL_LOCAL_TIMESTAMP_MICROS:
    case EVS__LOGICAL_LOCAL_TIMESTAMP_NANOS:
    case EVS__LOGICAL_DECIMAL: /* fewer bytes may do */
        return false;
    default:
        break;
    }
    for (size_t i = 0; node->kind != EVS__AVRO_ENUM && i < node->child_count; i++) {
        if (!is_exact(node->children[i], depth + 1))
            return false;
    }
    return true;
}

static bool is_whole(const evs_schema *s)
{
    return !strstr(evs_schema_warnings(s), "is no column");
}

/* rows of ours, written by us, are read by avro-c as the same values, and by us as the same rows */
static void check_encode(model *m)
{
    evs_decoder *d = decoder_of(m, NULL);
    evs_encoder *e = NULL;
    evs_batch *batch = NULL, *again = NULL;
    evs_error *err = NULL;
    bool exact = is_exact(m->schema->avro, 0);

    assert_int_equal(evs_decoder_decode(d, m->inputs, EVENTS, failed, m, &batch, NULL), EVS_OK);
    if (evs_encoder_new(m->ctx, m->schema->type, m->schema, EVS_OPTIONS("framing", "none"), &e,
                        &err)) {
        /* a field that is no column, without null or default, cannot be written */
        CHECK(!is_whole(m->schema), "%s: %s", m->text, evs_error_message(err));
        evs_error_unref(err);
        goto out;
    }
    for (uint32_t i = 0; i < EVENTS; i++) {
        evs_string_view bytes;
        evs_input input = {NULL};
        avro_reader_t r;
        avro_value_t value;
        char why[1024];
        CHECK(!evs_encoder_encode(e, batch, i, &bytes, &err), "%s: %s", m->text,
              evs_error_message(err));
        r = avro_reader_memory(bytes.data, (int64_t)bytes.len);
        avro_generic_value_new(m->iface, &value);
        CHECK(!avro_value_read(r, &value), "%s: avro-c: %s", m->text, avro_strerror());
        CHECK(!exact || !is_whole(m->schema) || avro_value_equal(&value, &m->values[i]),
              "%s: event %u written as something else", m->text, i);
        CHECK(evs_test_avro_row_equal(&value, m->schema->avro, batch, i, why, sizeof(why)),
              "%s: event %u: %s", m->text, i, why);
        avro_value_decref(&value);
        avro_reader_free(r);
        input.value = bytes.len ? bytes.data : "";
        input.value_len = (uint32_t)bytes.len;
        assert_int_equal(evs_decoder_decode(d, &input, 1, failed, m, &again, NULL), EVS_OK);
        for (uint32_t c = 0; c < batch->column_count; c++)
            CHECK(evs__column_equal_rows(batch->columns[c], i, again->columns[c], 0),
                  "%s: column %u of event %u", m->text, c, i);
        evs_batch_unref(again);
    }
out:
    evs_encoder_unref(e);
    evs_batch_unref(batch);
    evs_decoder_unref(d);
}

static void check_validate(model *m)
{
    evs_error *err = NULL;
    size_t size = 0;

    for (size_t i = 0; i < EVENTS; i++) {
        CHECK(!evs_schema_validate(m->schema, m->inputs[i].value, m->inputs[i].value_len, &err),
              "%s: event %zu: %s", m->text, i, evs_error_message(err));
        CHECK(!evs_schema_value_size(m->schema, m->inputs[i].value, m->inputs[i].value_len, &size,
                                     &err),
              "%s: event %zu: %s", m->text, i, evs_error_message(err));
        CHECK(size == m->inputs[i].value_len, "%s: event %zu: size %zu", m->text, i, size);
    }
}

static void count_failed(size_t index, evs_status status, const char *message, void *user_data)
{
    bool *refused = user_data;

    (void)status;
    CHECK(*message, "no message");
    refused[index] = true;
}

/* what is decoded alone is decoded among others, and the rows are the same */
static void check_damage(model *m)
{
    evs_decoder *alone = decoder_of(m, NULL), *together = decoder_of(m, NULL);
    evs_input inputs[EVENTS];
    bool refused[EVENTS] = {false};
    evs_batch *batch = NULL, *one = NULL;
    uint32_t row = 0;

    for (size_t i = 0; i < EVENTS; i++) {
        uint32_t len = m->inputs[i].value_len;
        uint8_t *copy = malloc(len ? len : 1);
        uint32_t cut = i % 3 == 0 && len ? below(len) : len;
        memcpy(copy, m->inputs[i].value, cut);
        for (uint32_t k = i % 3 == 1 && len ? 1 + below(3) : 0; k; k--)
            copy[below(len)] = (uint8_t)evs_test_random(&seed_state);
        inputs[i] = (evs_input){.value = copy, .value_len = cut};
    }
    assert_int_equal(
        evs_decoder_decode(together, inputs, EVENTS, count_failed, refused, &batch, NULL), EVS_OK);
    for (size_t i = 0; i < EVENTS; i++) {
        bool refused_alone = false;
        assert_int_equal(
            evs_decoder_decode(alone, &inputs[i], 1, count_failed, &refused_alone, &one, NULL),
            EVS_OK);
        CHECK(refused_alone == refused[i], "%s: event %zu is decided by its neighbours", m->text,
              i);
        CHECK(refused[i] || inputs[i].value_len == m->inputs[i].value_len,
              "%s: event %zu was cut short and taken", m->text, i);
        for (uint32_t c = 0; !refused[i] && c < batch->column_count; c++)
            CHECK(evs__column_equal_rows(batch->columns[c], row, one->columns[c], 0),
                  "%s: column %u of event %zu", m->text, c, i);
        CHECK(refused[i] || batch->origin[row] == i, "%s: origin of row %u", m->text, row);
        row += !refused[i];
        evs_batch_unref(one);
    }
    CHECK(row == batch->rows, "%s: %u rows instead of %u", m->text, batch->rows, row);
    for (size_t i = 0; i < EVENTS; i++)
        free((void *)inputs[i].value);
    evs_batch_unref(batch);
    evs_decoder_unref(alone);
    evs_decoder_unref(together);
}

static void test_avro_random_schemas_agree_with_avro_c(void **state)
{
    const char *runs = getenv("EVS_MODEL_RUNS");
    const char *seed = getenv("EVS_MODEL_SEED");
    uint64_t count = seed ? 1 : runs ? strtoull(runs, NULL, 10) : RUNS_DEFAULT;

    (void)state;
    for (uint64_t i = 0; i < count; i++) {
        model m = {NULL};
        run_seed = seed ? strtoull(seed, NULL, 10) : i;
        seed_state = run_seed * 0x9e3779b97f4a7c15u + 1;
        assert_int_equal(evs_context_new(NULL, &m.ctx, NULL), EVS_OK);
        model_init(&m);
        check_decode(&m);
        check_encode(&m);
        check_validate(&m);
        check_damage(&m);
        model_free(&m);
        evs_context_unref(m.ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_avro_random_schemas_agree_with_avro_c),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
