/*
 * tests/support/evs_test.c: see evs_test.h.
 *
 *   block = [ size, 16 bytes ][ what the library gets ]
 */
#include <math.h>
#include <stdio.h>

#include "evs_test.h"

#define HEADER 16
#define SWEEP_MAX 1000000

/* ---- memory ---- */

static void *memory_malloc(size_t size, void *user_data)
{
    evs_test_memory *m = user_data;
    long n = atomic_fetch_add(&m->calls, 1);
    long at = atomic_load(&m->fail_at);
    char *block;

    if (at >= 0 && (n == at || (n > at && atomic_load(&m->fail_all)))) {
        atomic_fetch_add(&m->failed, 1);
        return NULL;
    }
    block = malloc(size + HEADER);
    if (!block)
        return NULL;
    memcpy(block, &size, sizeof(size));
    memset(block + HEADER, 0xa5, size);
    atomic_fetch_add(&m->live, 1);
    return block + HEADER;
}

static void memory_free(void *ptr, void *user_data)
{
    evs_test_memory *m = user_data;
    char *block = ptr;
    size_t size;

    if (!ptr)
        return;
    memcpy(&size, block - HEADER, sizeof(size));
    memset(block, 0x5a, size);
    atomic_fetch_sub(&m->live, 1);
    free(block - HEADER);
}

static void *memory_realloc(void *ptr, size_t size, void *user_data)
{
    size_t had = 0;
    void *fresh = memory_malloc(size, user_data);

    if (!fresh || !ptr)
        return fresh;
    memcpy(&had, (char *)ptr - HEADER, sizeof(had));
    memcpy(fresh, ptr, had < size ? had : size);
    memory_free(ptr, user_data);
    return fresh;
}

evs_allocator evs_test_allocator(evs_test_memory *memory)
{
    return (evs_allocator){memory_malloc, memory_realloc, memory_free, memory};
}

evs_context *evs_test_context(evs_test_memory *memory)
{
    evs_context_options options = EVS_CONTEXT_OPTIONS_INIT;
    evs_context *context = NULL;
    evs_error *error = NULL;

    options.allocator = evs_test_allocator(memory);
    if (evs_context_new(&options, &context, &error))
        evs_error_unref(error);
    return context;
}

/* ---- sweep ---- */

static evs_status sweep_run(evs_test_scenario scenario,
                            void *user_data,
                            evs_test_memory *memory,
                            long fail_at,
                            bool fail_all)
{
    evs_context *context;
    evs_status status = EVS_ERR_NOMEM;

    memset(memory, 0, sizeof(*memory));
    atomic_store(&memory->fail_at, fail_at);
    atomic_store(&memory->fail_all, fail_all);
    context = evs_test_context(memory);
    if (context)
        status = scenario(context, user_data);
    evs_context_unref(context);
    if (atomic_load(&memory->live) != 0)
        fail_msg("allocation %ld%s failing: %ld blocks leaked", fail_at,
                 fail_all ? " and all after it" : "", atomic_load(&memory->live));
    if (status != EVS_OK && status != EVS_ERR_NOMEM)
        fail_msg("allocation %ld%s failing: the scenario ended with %s", fail_at,
                 fail_all ? " and all after it" : "", evs_status_name(status));
    return status;
}

long evs_test_oom_sweep_step(evs_test_scenario scenario, void *user_data, long step)
{
    evs_test_memory memory;
    long n, whole;

    assert_int_equal(sweep_run(scenario, user_data, &memory, -1, false), EVS_OK);
    whole = atomic_load(&memory.calls);
    for (n = 0; n < SWEEP_MAX; n += step) {
        sweep_run(scenario, user_data, &memory, n, true);
        sweep_run(scenario, user_data, &memory, n, false);
        if (!atomic_load(&memory.failed))
            break;
    }
    assert_true(n < SWEEP_MAX);
    return whole;
}

long evs_test_oom_sweep(evs_test_scenario scenario, void *user_data)
{
    return evs_test_oom_sweep_step(scenario, user_data, 1);
}

/* ---- shorthand ---- */

void evs_test_ok_at(evs_status status, evs_error *error, const char *file, int line)
{
    if (status != EVS_OK) {
        print_error("%s:%d: %s: %s (%s)\n", file, line, evs_status_name(status),
                    evs_error_message(error), evs_error_origin(error));
        evs_error_unref(error);
        _fail(file, line);
    }
    evs_error_unref(error);
}

void evs_test_error_at(evs_status status,
                       evs_error *error,
                       evs_status want,
                       const char *part,
                       const char *origin,
                       const char *file,
                       int line)
{
    bool good = status == want && evs_error_status(error) == want &&
                (!part || strstr(evs_error_message(error), part)) &&
                (!origin || strcmp(evs_error_origin(error), origin) == 0);
    const char *message = evs_error_message(error);
    size_t n = strlen(message);

    if (!good)
        print_error("%s:%d: got %s \"%s\" (origin \"%s\"),\n  wanted %s \"...%s...\" (%s)\n", file,
                    line, evs_status_name(status), message, evs_error_origin(error),
                    evs_status_name(want), part ? part : "", origin ? origin : "any origin");
    if (good && n && (message[n - 1] == '.' || strchr(message, '\n'))) {
        print_error("%s:%d: \"%s\" is not one line without a dot\n", file, line, message);
        good = false;
    }
    evs_error_unref(error);
    if (!good)
        _fail(file, line);
}

evs_type *evs_test_type(evs_context *context, const char *text)
{
    evs_type *type = NULL;
    evs_error *error = NULL;
    evs_status status = evs_type_parse(context, text, &type, &error);

    assert_evs_ok(status, error);
    return type;
}

/* ---- batches ---- */

typedef struct text {
    char *data;
    size_t len;
} text;

static void EVS_PRINTF(2, 3) add(text *t, const char *format, ...)
{
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    t->data = realloc(t->data, t->len + (size_t)n + 1);
    va_start(ap, format);
    vsnprintf(t->data + t->len, (size_t)n + 1, format, ap);
    va_end(ap);
    t->len += (size_t)n;
}

static void add_field(text *t, const evs_row *row, int32_t field)
{
    char buffer[4096];
    size_t len = 0;
    evs_status status = evs_row_text(row, field, buffer, sizeof(buffer), &len);

    add(t, "%s", status == EVS_OK ? buffer : status == EVS_END ? "null" : evs_status_name(status));
}

char *evs_test_batch_text(const evs_batch *batch)
{
    static const char *const kinds[] = {"", "u ", "d "};
    text t = {NULL, 0};

    add(&t, "%s", "");
    for (size_t i = 0; i < evs_batch_rows(batch); i++) {
        evs_row row = evs_batch_row(batch, i);
        int32_t fields = (int32_t)evs_type_child_count(evs_batch_type(batch));
        add(&t, "%s%s", i ? "\n" : "", kinds[evs_row_get_kind(&row)]);
        if (evs_row_time(&row) != EVS_TIME_NONE)
            add(&t, "%lld@", (long long)evs_row_time(&row));
        for (int32_t f = 0; f < fields; f++) {
            add(&t, "%s", f ? "|" : "");
            add_field(&t, &row, f);
        }
    }
    return t.data;
}

void evs_test_batch_at(const evs_batch *batch, const char *want, const char *file, int line)
{
    char *got = evs_test_batch_text(batch);
    bool good = strcmp(got, want) == 0;

    if (!good)
        print_error("%s:%d: rows are\n%s\n  wanted\n%s\n", file, line, got, want);
    free(got);
    if (!good)
        _fail(file, line);
}

/* ---- random rows ---- */

static void append_random(evs_appender *a, const evs_type *type, uint64_t *seed);

static void append_random_text(evs_appender *a, bool utf8, uint64_t *seed)
{
    static const char *const parts[] = {
        "a", "page", "/", "\xc3\xa9", "\xe2\x82\xac", "0123456789", "\xf0\x9f\x98\x80", "zz"};
    char value[400];
    size_t n = 0;

    for (uint64_t k = evs_test_random(seed) % 8; k; k--) {
        const char *part = parts[evs_test_random(seed) % 8];
        memcpy(value + n, part, strlen(part));
        n += strlen(part);
    }
    if (!utf8 && n)
        value[evs_test_random(seed) % n] = (char)evs_test_random(seed);
    evs_append_string(a, value, n);
}

static void append_random_nested(evs_appender *a, const evs_type *type, uint64_t *seed)
{
    size_t n = evs_type_child_count(type);

    evs_append_begin(a);
    if (evs_type_get_id(type) != EVS_TYPE_STRUCT) {
        for (uint64_t k = evs_test_random(seed) % 4; k; k--) {
            for (size_t i = 0; i < n; i++)
                append_random(a, evs_type_child(type, i), seed);
        }
    } else {
        for (size_t i = 0; i < n; i++)
            append_random(a, evs_type_child(type, i), seed);
    }
    evs_append_end(a);
}

static void append_random_double(evs_appender *a, uint64_t r)
{
    static const double special[] = {
        0.0, -0.0, 1.0 / 3, 1e300, -1e-300, (double)INFINITY, (double)-INFINITY, (double)NAN};
    evs_append_double(a, r % 4 ? (double)(int64_t)r / 1024 : special[r / 4 % 8]);
}

static void append_random(evs_appender *a, const evs_type *type, uint64_t *seed)
{
    uint64_t r = evs_test_random(seed);

    if (evs_type_is_nullable(type) && r % 5 == 0) {
        evs_append_null(a);
        return;
    }
    r >>= 8;
    switch (evs_type_get_id(type)) {
    case EVS_TYPE_BOOLEAN:
        evs_append_bool(a, r & 1);
        break;
    case EVS_TYPE_INT:
    case EVS_TYPE_DATE:
        evs_append_int(a, (int32_t)(r >> (r % 32)));
        break;
    case EVS_TYPE_BIGINT:
        evs_append_int(a, (int64_t)(r << 8) >> (r % 64));
        break;
    case EVS_TYPE_TIMESTAMP:
        evs_append_int(a, (int64_t)(r % 4000000000000));
        break;
    case EVS_TYPE_TIME:
        evs_append_int(a, (int64_t)(r % 86400000));
        break;
    case EVS_TYPE_DECIMAL:
        evs_append_int(a, (int64_t)(r % 100) - 50);
        break;
    case EVS_TYPE_DOUBLE:
        append_random_double(a, r);
        break;
    case EVS_TYPE_VARCHAR:
    case EVS_TYPE_BYTES:
        append_random_text(a, evs_type_get_id(type) == EVS_TYPE_VARCHAR, seed);
        break;
    default:
        append_random_nested(a, type, seed);
    }
}

evs_batch *
evs_test_random_batch(evs_context *context, const evs_type *type, size_t rows, uint64_t seed)
{
    evs_appender *a = NULL;
    evs_batch *batch = NULL;
    evs_error *err = NULL;
    evs_status status = evs_appender_new(context, type, &a, &err);

    assert_evs_ok(status, err);
    for (size_t i = 0; i < rows; i++) {
        evs_append_time(a, (int64_t)(1000 * i));
        evs_append_kind(a, (evs_row_kind)(evs_test_random(&seed) % 3));
        for (size_t f = 0; f < evs_type_child_count(type); f++)
            append_random(a, evs_type_child(type, f), &seed);
        status = evs_append_end_row(a, &err);
        assert_evs_ok(status, err);
    }
    status = evs_appender_take(a, &batch, &err);
    assert_evs_ok(status, err);
    evs_appender_unref(a);
    return batch;
}
