/*
 * tests/support/io_kit.c: see io_kit.h.
 */
#include <poll.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <ftw.h>

#include "io_kit.h"

#include "base/config.h"
#include "codec/codec.h"

/* ---- the rest ---- */

int64_t kit_now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void kit_sleep_ms(int64_t ms)
{
    poll(NULL, 0, (int)ms);
}

const char *kit_name(const char *prefix)
{
    static char names[8][64];
    static int at;
    uint32_t r = 0;
    at = (at + 1) % 8;
    assert_int_equal(getrandom(&r, sizeof(r), 0), sizeof(r));
    snprintf(names[at], sizeof(names[at]), "%s-%08x", prefix, r);
    return names[at];
}

const char *kit_folder(void)
{
    static char path[] = "/tmp/evs-test-XXXXXX";
    memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
    assert_non_null(mkdtemp(path));
    return path;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void kit_remove(const char *folder)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void kit_write_file(const char *path, const void *data, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    fclose(f);
}

char *kit_read_file(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "rb");
    size_t len = 0, capacity = 4096;
    char *data = malloc(capacity);
    assert_non_null(f);
    for (;;) {
        size_t n = fread(data + len, 1, capacity - len - 1, f);
        len += n;
        if (!n)
            break;
        if (len + 1 == capacity)
            data = realloc(data, capacity *= 2);
    }
    data[len] = '\0';
    fclose(f);
    if (ret_len)
        *ret_len = len;
    return data;
}

static evs_status make_config(evs_context *ctx,
                              const evs_connector *connector,
                              const evs_option_info *table,
                              const evs_options *options,
                              evs_config **ret,
                              evs_error **reterr)
{
    const evs_option_info *tables[] = {table, evs__codec_option_table};
    char prefix[64];
    evs_status status;
    snprintf(prefix, sizeof(prefix), "%s.", connector->name);
    status = evs__config_new(ctx, connector->name, tables, 2, prefix, ret, reterr);
    if (!status && (status = evs__config_set_all(*ret, options, reterr)))
        *ret = evs__config_unref(*ret);
    return status;
}

/* ---- source ---- */

static int64_t on_assigned(void *runtime, uint32_t topic, int32_t partition)
{
    kit_source *s = runtime;
    assert_true(topic < 4 && partition < 16);
    s->assigned[topic * 16 + (uint32_t)partition]++;
    return s->start[topic * 16 + (uint32_t)partition];
}

static void on_revoking(void *runtime, uint32_t topic, int32_t partition, bool lost)
{
    kit_source *s = runtime;
    (void)topic;
    (void)partition;
    s->revoked++;
    s->lost += lost;
}

static void on_wake(void *runtime)
{
    kit_source *s = runtime;
    atomic_fetch_add(&s->wakes, 1);
}

static void on_state(void *runtime, const char *state)
{
    kit_source *s = runtime;
    snprintf(s->state, sizeof(s->state), "%s", state);
}

evs_status kit_source_open(evs_context *ctx,
                           const evs_connector *connector,
                           const evs_options *options,
                           evs_schema *schema,
                           kit_source *s,
                           evs_error **reterr)
{
    evs_status status;
    memset(s, 0, sizeof(*s));
    for (size_t i = 0; i < 64; i++)
        s->start[i] = -1;
    s->ctx = ctx;
    s->f = connector->source;
    s->host = (evs_source_host){.struct_size = sizeof(evs_source_host),
                                .runtime = s,
                                .assigned = on_assigned,
                                .revoking = on_revoking,
                                .wake = on_wake,
                                .state = on_state,
                                .schema = schema};
    status = make_config(ctx, connector, s->f->options, options, &s->config, reterr);
    if (!status)
        status = s->f->open(ctx, s->config, &s->host, &s->source, reterr);
    if (status)
        kit_source_close(s);
    return status;
}

static char *copy(const void *data, size_t len)
{
    char *to;
    if (!data)
        return NULL;
    to = malloc(len + 1);
    memcpy(to, data, len);
    to[len] = '\0';
    return to;
}

evs_status kit_source_read(kit_source *s, size_t max, int64_t wait_ms, evs_error **reterr)
{
    evs_read read = {0};
    evs_status status = s->f->read(s->source, max, wait_ms, &read, reterr);
    if (status)
        return status;
    for (size_t i = 0; i < read.count; i++) {
        const evs_input *in = &read.inputs[i];
        if (s->count == s->capacity) {
            s->capacity = s->capacity ? s->capacity * 2 : 64;
            s->events = realloc(s->events, s->capacity * sizeof(*s->events));
        }
        s->events[s->count++] = (kit_event){.topic = in->topic,
                                            .partition = in->partition,
                                            .offset = in->offset,
                                            .timestamp = in->timestamp,
                                            .key = copy(in->key, in->key_len),
                                            .value = copy(in->value, in->value_len),
                                            .key_len = in->key_len,
                                            .value_len = in->value_len};
    }
    if (read.handle)
        s->f->release(s->source, read.handle);
    return EVS_OK;
}

evs_status
kit_source_read_until(kit_source *s, size_t count, int64_t timeout_ms, evs_error **reterr)
{
    int64_t deadline = kit_now_ms() + timeout_ms;
    while (s->count < count) {
        evs_status status = kit_source_read(s, 4096, 50, reterr);
        if (status != EVS_OK && status != EVS_AGAIN)
            return status;
        if (kit_now_ms() > deadline)
            return EVS_ERR_TIMEOUT;
    }
    return EVS_OK;
}

void kit_source_clear(kit_source *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->events[i].key);
        free(s->events[i].value);
    }
    s->count = 0;
}

void kit_source_close(kit_source *s)
{
    if (s->source)
        s->f->close(s->source);
    kit_source_clear(s);
    free(s->events);
    evs__config_unref(s->config);
    s->source = NULL;
    s->events = NULL;
    s->config = NULL;
    s->capacity = 0;
}

char *kit_source_values(const kit_source *s)
{
    size_t len = 0;
    char *text;
    for (size_t i = 0; i < s->count; i++)
        len += s->events[i].value_len + 8;
    text = malloc(len + 1);
    len = 0;
    for (size_t i = 0; i < s->count; i++) {
        const char *value = s->events[i].value ? s->events[i].value : "(null)";
        size_t n = s->events[i].value ? s->events[i].value_len : 6;
        if (i)
            text[len++] = '\n';
        memcpy(text + len, value, n);
        len += n;
    }
    text[len] = '\0';
    return text;
}

/* ---- sink ---- */

evs_status kit_sink_open(evs_context *ctx,
                         const evs_connector *connector,
                         const kit_sink_shape *shape,
                         const evs_options *options,
                         kit_sink *s,
                         evs_error **reterr)
{
    evs_status status;
    memset(s, 0, sizeof(*s));
    s->ctx = ctx;
    s->f = connector->sink;
    s->identity = (evs_sink_identity){.application_id = shape->application,
                                      .sink_name = shape->name ? shape->name : "out",
                                      .task = -1,
                                      .key_count = shape->key_count,
                                      .windowed = shape->windowed,
                                      .commit_group = shape->commit_group};
    status = evs_schema_columns(ctx, shape->columns, &s->schema, reterr);
    if (!status)
        status = make_config(ctx, connector, s->f->options, options, &s->config, reterr);
    if (!status)
        status = s->f->open(ctx, s->config, s->schema, &s->identity, &s->sink, reterr);
    if (status)
        kit_sink_close(s);
    return status;
}

typedef struct kit_rows {
    evs_input inputs[EVS_BATCH_ROWS_MAX];
    uint8_t kinds[EVS_BATCH_ROWS_MAX];
    int64_t times[EVS_BATCH_ROWS_MAX];
    size_t count;
} kit_rows;

static void take_line(kit_rows *r, const char *line, size_t len)
{
    static const char marks[] = "+~-";
    const char *mark = len ? memchr(marks, *line, 3) : NULL;
    int64_t time = EVS_TIME_NONE;
    assert_true(r->count < EVS_BATCH_ROWS_MAX);
    r->kinds[r->count] = mark ? (uint8_t)(mark - marks) : EVS_ROW_INSERT;
    if (mark) {
        line++;
        len--;
    }
    if (len && *line == '@') {
        char *end;
        time = strtoll(line + 1, &end, 10);
        len -= (size_t)(end - line);
        line = end;
    }
    r->times[r->count] = time;
    r->inputs[r->count++] = (evs_input){.value = line, .value_len = (uint32_t)len, .offset = -1};
}

static void on_bad_row(size_t index, evs_status status, const char *message, void *user_data)
{
    (void)user_data;
    fail_msg("row %zu: %s: %s", index, evs_status_name(status), message);
}

evs_batch *kit_batch(evs_context *ctx, evs_schema *schema, const char *rows)
{
    kit_rows *r = calloc(1, sizeof(*r));
    evs_decoder *decoder = NULL;
    evs_batch *batch = NULL, *kept = NULL;
    evs_error *err = NULL;

    while (*rows) {
        size_t len = strcspn(rows, "\n");
        if (len)
            take_line(r, rows, len);
        rows += len + (rows[len] != '\0');
    }
    assert_evs_ok(evs_decoder_new(ctx, schema, EVS_OPTIONS("format", "json"), &decoder, &err), err);
    assert_evs_ok(evs_decoder_decode(decoder, r->inputs, r->count, on_bad_row, NULL, &batch, &err),
                  err);
    assert_evs_ok(evs_batch_keep(batch, &kept, &err), err);
    assert_int_equal(evs__batch_need_kinds(kept), EVS_OK);
    assert_int_equal(evs__batch_need_times(kept), EVS_OK);
    memcpy(kept->kinds, r->kinds, r->count);
    memcpy(kept->times, r->times, r->count * sizeof(int64_t));
    evs_batch_unref(batch);
    evs_decoder_unref(decoder);
    free(r);
    return kept;
}

static void on_failed(size_t index, evs_status status, const char *message, void *user_data)
{
    kit_sink *s = user_data;
    (void)index;
    s->failed++;
    snprintf(s->failure, sizeof(s->failure), "%s: %s", evs_status_name(status), message);
}

evs_status kit_sink_write_batch(kit_sink *s, evs_batch *batch, evs_error **reterr)
{
    int64_t deadline = kit_now_ms() + 20000;
    evs_status status;
    while ((status = s->f->write(s->sink, batch, on_failed, s, reterr)) == EVS_AGAIN) {
        if (kit_now_ms() > deadline)
            return EVS_ERR_TIMEOUT;
        kit_sleep_ms(2);
    }
    return status;
}

evs_status kit_sink_write(kit_sink *s, const char *rows, evs_error **reterr)
{
    evs_batch *batch = kit_batch(s->ctx, s->schema, rows);
    evs_status status = kit_sink_write_batch(s, batch, reterr);
    evs_batch_unref(batch);
    return status;
}

evs_status kit_sink_commit(kit_sink *s, int64_t epoch, const char *offsets, evs_error **reterr)
{
    int64_t deadline = kit_now_ms() + 20000;
    evs_status status = EVS_OK;
    while (s->f->flush && (status = s->f->flush(s->sink, 50, reterr)) == EVS_AGAIN) {
        if (kit_now_ms() > deadline)
            return EVS_ERR_TIMEOUT;
    }
    if (!status && s->f->commit)
        status = s->f->commit(s->sink, epoch, offsets, reterr);
    return status;
}

void kit_sink_close(kit_sink *s)
{
    if (s->sink)
        s->f->close(s->sink);
    evs__config_unref(s->config);
    evs_schema_unref(s->schema);
    s->sink = NULL;
    s->config = NULL;
    s->schema = NULL;
}
