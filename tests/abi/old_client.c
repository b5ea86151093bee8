/*
 * old_client.c: a program as it was compiled against the headers of 0.1, run with today's library.
 *
 * It includes no header of the library: the declarations below were copied from 0.1 and are never
 * brought up to date. Every struct that it hands over lies directly before a page that cannot be
 * touched, so that a library which reads or writes one byte more than 0.1 had ends in a signal: a
 * grown struct that is copied without looking at struct_size, or an init function that fills
 * more than an old caller has.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- as in 0.1 ---- */

typedef struct old_context_options {
    size_t struct_size;
    void *allocator[4];
    void *log;
    void *log_user_data;
    int32_t log_level;
    int32_t reserved;
    const char *module_dir;
} old_context_options;

typedef struct old_window_options {
    size_t struct_size;
    int64_t size_ms, offset_ms, grace_ms, out_of_orderness_ms, state_bytes_max;
    int32_t kind, emit, time, null_key;
} old_window_options;

typedef struct old_message {
    size_t struct_size;
    const void *key;
    size_t key_len;
    const void *headers;
    size_t header_count;
    int64_t timestamp_ms;
    int32_t partition, reserved;
} old_message;

typedef struct old_delivery {
    const char *topic;
    const void *error;
    const void *key;
    size_t key_len;
    int64_t offset, latency_us;
    int32_t partition, reserved;
} old_delivery;

typedef struct old_field_binding {
    const char *field;
    size_t offset, size;
    int32_t kind, reserved;
} old_field_binding;

typedef struct old_options {
    const char *const *pairs;
    size_t count;
} old_options;

void evs_context_options_init(void *options);
int evs_context_new(const void *options, void **ret, void **reterr);
void *evs_context_unref(void *context);
int evs_schema_columns(void *context, const char *columns, void **ret, void **reterr);
void *evs_schema_unref(void *schema);
void evs_window_options_init(void *options);
int evs_window_new(void *context,
                   void *schema,
                   const char *keys,
                   const char *aggregates,
                   const void *options,
                   void **ret,
                   void **reterr);
void *evs_window_unref(void *window);
void *evs_window_appender(void *window);
int evs_window_advance(void *window, int64_t watermark_ms, void **reterr);
int evs_window_take(void *window, void **ret, void **reterr);
void evs_append_int(void *appender, int64_t value);
void evs_append_time(void *appender, int64_t time_ms);
int evs_append_end_row(void *appender, void **reterr);
size_t evs_batch_rows(const void *batch);
void *evs_batch_unref(void *batch);
int evs_pipeline_new(void *context, const char *name, void **ret, void **reterr);
void *evs_pipeline_unref(void *pipeline);
int evs_pipeline_check(void *pipeline, void **reterr);
void *evs_source(void *pipeline, const char *connector, const old_options *options);
void *evs_window_by(void *stream, const char *keys, const void *options, const char *aggregates);
void evs_sink(void *stream, const char *connector, const old_options *options);
int evs_producer_new(
    void *context, const old_options *options, void *schema, void **ret, void **reterr);
void *evs_producer_close(void *producer);
void evs_message_init(void *message);
void evs_field_binding_init(
    void *binding, const char *field, size_t offset, size_t size, int32_t kind);
int evs_producer_bind(void *producer, const void *bindings, size_t count, void **reterr);
int evs_producer_send_struct(void *producer,
                             const void *object,
                             const void *message,
                             void (*on_delivery)(const old_delivery *, void *),
                             void *user_data,
                             void **reterr);
int evs_producer_poll(void *producer, int64_t timeout_ms, void **reterr);
int evs_producer_flush(void *producer, int64_t timeout_ms, void **reterr);

#define OLD_AGAIN 1
#define OLD_EMIT_FINAL 2
#define OLD_BIND_INT64 3

/* ---- checks ---- */

static int checks;
static int failed;

static void check(bool ok, const char *what)
{
    checks++;
    if (!ok)
        failed++;
    printf("%s %d - %s\n", ok ? "ok" : "not ok", checks, what);
    fflush(stdout);
}

/* `size` bytes at the end of a page; the next one is out of bounds. Never given back. */
static void *fenced(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *p = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED || mprotect(p + page, page, PROT_NONE)) {
        printf("Bail out! no fenced page\n");
        _exit(1);
    }
    memset(p, 0xa5, page);
    return p + page - size;
}

/* ---- what an old program did ---- */

static void *new_context(void)
{
    old_context_options *o = fenced(sizeof(*o)), *bare;
    void *context = NULL;

    evs_context_options_init(o);
    check(evs_context_new(o, &context, NULL) == 0 && context, "context");
    evs_context_unref(context);
    context = NULL;
    /* the smallest there can be: all defaults */
    bare = fenced(sizeof(size_t));
    bare->struct_size = sizeof(size_t);
    check(evs_context_new(bare, &context, NULL) == 0 && context, "context, only a size given");
    return context;
}

static void count_rows(void *context, void *schema, const void *options, const char *what)
{
    void *window = NULL, *batch = NULL, *appender;

    check(evs_window_new(context, schema, "n", "count(*) AS c", options, &window, NULL) == 0, what);
    if (!window)
        return;
    appender = evs_window_appender(window);
    for (int64_t i = 0; i < 4; i++) {
        evs_append_int(appender, i % 2);
        evs_append_time(appender, i);
        evs_append_end_row(appender, NULL);
    }
    check(evs_window_advance(window, 1000, NULL) == 0 &&
              evs_window_take(window, &batch, NULL) == 0 && evs_batch_rows(batch) == 2,
          "its two groups");
    evs_batch_unref(batch);
    evs_window_unref(window);
}

static void use_window(void *context, void *schema)
{
    static const char *const pairs[] = {"columns", "n BIGINT"};
    static const char *const to[] = {"name", "out"};
    const old_options columns = {pairs, 1}, out = {to, 1};
    const size_t shorter = offsetof(old_window_options, offset_ms);
    old_window_options *o = fenced(sizeof(*o)), *part = fenced(shorter);
    void *pipeline = NULL, *stream;

    evs_window_options_init(o);
    o->size_ms = 1000;
    o->emit = OLD_EMIT_FINAL;
    count_rows(context, schema, o, "window");
    part->struct_size = shorter;
    part->size_ms = 1000;
    count_rows(context, schema, part, "window, only its size given");
    for (int i = 0; i < 2; i++) {
        check(evs_pipeline_new(context, "p", &pipeline, NULL) == 0, "pipeline");
        stream = evs_window_by(evs_source(pipeline, "memory", &columns), "n",
                               i ? (void *)part : (void *)o, "count(*) AS c");
        evs_sink(stream, "memory", &out);
        check(evs_pipeline_check(pipeline, NULL) == 0, "window in a pipeline");
        pipeline = evs_pipeline_unref(pipeline);
    }
}

static void on_delivery(const old_delivery *d, void *user_data)
{
    if (!d->error && strcmp(d->topic, "old") == 0 && d->partition == 0)
        ++*(int *)user_data;
}

static int send(void *producer, const void *object, const void *message, int *delivered)
{
    int status;

    while ((status = evs_producer_send_struct(producer, object, message, on_delivery, delivered,
                                              NULL)) == OLD_AGAIN)
        evs_producer_poll(producer, 10, NULL);
    return status;
}

static void use_producer(void *context, void *schema)
{
    static const char *const pairs[] = {"kafka.bootstrap.servers", "embedded:", "topic",  "old",
                                        "topic.partitions",        "1",         "format", "json"};
    const old_options options = {pairs, 4};
    const size_t shorter = offsetof(old_message, headers);
    old_message *whole = fenced(sizeof(*whole)), *part = fenced(shorter);
    old_field_binding *binding = fenced(sizeof(*binding));
    void *producer = NULL;
    int64_t n = 7;
    int delivered = 0;

    evs_message_init(whole);
    evs_field_binding_init(binding, "n", 0, sizeof(n), OLD_BIND_INT64);
    part->struct_size = shorter;
    part->key = "k";
    part->key_len = 1;
    check(evs_producer_new(context, &options, schema, &producer, NULL) == 0, "producer");
    check(evs_producer_bind(producer, binding, 1, NULL) == 0, "binding");
    check(send(producer, &n, whole, &delivered) == 0, "message");
    check(send(producer, &n, part, &delivered) == 0, "message, only its key given");
    part->struct_size = 3;
    check(send(producer, &n, part, &delivered) < 0, "a size that cannot be is refused");
    check(evs_producer_flush(producer, 10000, NULL) == 0 && delivered == 2, "both delivered");
    evs_producer_close(producer);
}

int main(void)
{
    void *context = new_context();
    void *schema = NULL;

    check(evs_schema_columns(context, "n BIGINT", &schema, NULL) == 0, "schema");
    use_window(context, schema);
    use_producer(context, schema);
    evs_schema_unref(schema);
    evs_context_unref(context);
    printf("1..%d\n", checks);
    return failed != 0;
}
