/*
 * The Redis sink against a server of the test: the bytes that are sent, answers read in runs,
 * errors, a connection that ends.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "io_kit.h"

const evs_connector *evs_module_connector(void);

static evs_context *ctx;
static evs_test_memory memory;
static kit_sink sink;
static char url[64];

/* Takes commands, keeps their bytes, answers each; the `refuse`th is an error, before the
 * `hang_up`th the connection ends. */
static struct server {
    pthread_t thread;
    int listener;
    size_t refuse, hang_up; /* counted from 1; 0: none */
    size_t commands;
    char got[200000];
    size_t len, at;
} server;

/* whether a whole command is at `at`, which then moves behind it */
static bool next_command(struct server *s)
{
    size_t at = s->at, count;
    char *end;

    if (!memchr(s->got + at, '\n', s->len - at))
        return false;
    count = strtoul(s->got + at + 1, &end, 10);
    at = (size_t)(end - s->got) + 2;
    for (; count; count--) {
        size_t bytes;
        if (at >= s->len || !memchr(s->got + at, '\n', s->len - at))
            return false;
        bytes = strtoul(s->got + at + 1, &end, 10);
        at = (size_t)(end - s->got) + 2 + bytes + 2;
    }
    if (at > s->len)
        return false;
    s->at = at;
    s->commands++;
    return true;
}

static bool answer(struct server *s, int fd)
{
    const char *text = s->commands == s->refuse ? "-WRONGTYPE not a hash\r\n"
                       : s->commands % 2        ? ":1\r\n"
                                                : "+OK\r\n";
    if (s->commands == s->hang_up)
        return false;
    return write(fd, text, strlen(text)) > 0;
}

static void serve_one(struct server *s, int fd)
{
    bool open = true;

    s->len = s->at = s->commands = 0;
    while (open) {
        ssize_t n = read(fd, s->got + s->len, sizeof(s->got) - 1 - s->len);
        if (n <= 0)
            break;
        s->len += (size_t)n;
        while (open && next_command(s))
            open = answer(s, fd);
    }
    close(fd);
}

/* one connection after the other, until the listener is shut */
static void *serve(void *arg)
{
    struct server *s = arg;

    for (;;) {
        int fd = accept(s->listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        serve_one(s, fd);
    }
}

static int setup(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    (void)state;
    memset(&memory, 0, sizeof(memory));
    atomic_store(&memory.fail_at, -1);
    ctx = evs_test_context(&memory);
    memset(&server, 0, sizeof(server));
    server.listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(server.listener, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(server.listener, 1), 0);
    assert_int_equal(getsockname(server.listener, (struct sockaddr *)&at, &len), 0);
    snprintf(url, sizeof(url), "redis://127.0.0.1:%d", ntohs(at.sin_port));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ctx = evs_context_unref(ctx);
    assert_int_equal(atomic_load(&memory.live), 0);
    return 0;
}

static const kit_sink_shape shape = {"page VARCHAR NOT NULL, views BIGINT, load DOUBLE", 1, 0,
                                     "app", "out"};

static void begin(const evs_options *options)
{
    evs_error *err = NULL;
    assert_int_equal(pthread_create(&server.thread, NULL, serve, &server), 0);
    assert_evs_ok(kit_sink_open(ctx, evs_module_connector(), &shape, options, &sink, &err), err);
}

static void end_server(void)
{
    shutdown(server.listener, SHUT_RDWR);
    pthread_join(server.thread, NULL);
    close(server.listener);
    server.got[server.len] = '\0';
}

static void end(void)
{
    kit_sink_close(&sink);
    end_server();
}

static void write_ok(const char *rows)
{
    evs_error *err = NULL;
    assert_evs_ok(kit_sink_write(&sink, rows, &err), err);
}

static evs_status flush(evs_error **reterr)
{
    return sink.f->flush(sink.sink, 1000, reterr);
}

static void flush_ok(void)
{
    evs_error *err = NULL;
    assert_evs_ok(flush(&err), err);
}

#define SINK(...) EVS_OPTIONS("url", url, "key", "v:{page}", __VA_ARGS__)

static void test_write_hash_sends_fields_and_removes_nulls(void **state)
{
    (void)state;
    begin(SINK("ttl.ms", "1500"));
    write_ok("{\"page\":\"/a\",\"views\":12,\"load\":0.5}\n{\"page\":\"/b\",\"views\":null}");
    flush_ok();
    end();
    assert_string_equal(server.got,
                        ("*6\r\n$4\r\nHSET\r\n$4\r\nv:/a\r\n$5\r\nviews\r\n$2\r\n12\r\n"
                         "$4\r\nload\r\n$3\r\n0.5\r\n"
                         "*3\r\n$7\r\nPEXPIRE\r\n$4\r\nv:/a\r\n$4\r\n1500\r\n"
                         "*4\r\n$4\r\nHDEL\r\n$4\r\nv:/b\r\n$5\r\nviews\r\n$4\r\nload\r\n"
                         "*3\r\n$7\r\nPEXPIRE\r\n$4\r\nv:/b\r\n$4\r\n1500\r\n"));
}

static void test_write_string_sends_json_or_a_column(void **state)
{
    (void)state;
    begin(SINK("type", "string", "value", "views", "ttl.ms", "9"));
    write_ok("{\"page\":\"/a\",\"views\":7}");
    flush_ok();
    end();
    assert_string_equal(server.got,
                        "*5\r\n$3\r\nSET\r\n$4\r\nv:/a\r\n$1\r\n7\r\n$2\r\nPX\r\n$1\r\n9\r\n");
}

/* more rows than may be without an answer, in several bursts */
static void test_write_many_rows_reads_answers_between(void **state)
{
    char rows[100];
    (void)state;
    begin(SINK("type", "string", "value", "views"));
    for (int i = 0; i < 2600; i++) {
        snprintf(rows, sizeof(rows), "{\"page\":\"/%04d\",\"views\":%d}", i, i % 10);
        write_ok(rows);
    }
    flush_ok();
    end();
    assert_int_equal(server.commands, 2600);
    assert_int_equal(server.at, server.len);
}

static void test_flush_refused_command_is_told_once(void **state)
{
    evs_error *err = NULL;
    evs_status status;
    (void)state;
    server.refuse = 2;
    begin(SINK("type", "string", "value", "views"));
    write_ok("{\"page\":\"/a\",\"views\":7}\n{\"page\":\"/b\",\"views\":7}\n{\"page\":\"/"
             "c\",\"views\":7}");
    status = flush(&err);
    assert_evs_error(status, err, EVS_ERR_IO, "redis: WRONGTYPE not a hash", NULL);
    flush_ok();
    end();
    assert_int_equal(server.commands, 3);
}

static void test_flush_lost_connection_is_an_error(void **state)
{
    evs_error *err = NULL;
    evs_status status;
    (void)state;
    server.hang_up = 2;
    begin(SINK("type", "string", "value", "views"));
    write_ok("{\"page\":\"/a\",\"views\":7}\n{\"page\":\"/b\",\"views\":7}");
    status = flush(&err);
    assert_evs_error(status, err, EVS_ERR_STATE, "redis at \"127.0.0.1\"", NULL);
    end();
}

static evs_status write_scenario(evs_context *context, void *user_data)
{
    kit_sink s;
    evs_error *err = NULL;
    evs_status status = kit_sink_open(context, evs_module_connector(), &shape, user_data, &s, &err);

    if (!status) {
        evs_batch *batch =
            kit_batch(ctx, s.schema, "{\"page\":\"/a\",\"views\":12}\n{\"page\":\"/b\"}");
        status = kit_sink_write_batch(&s, batch, &err);
        evs_batch_unref(batch);
    }
    if (!status)
        status = s.f->flush(s.sink, 1000, &err);
    if (s.sink)
        kit_sink_close(&s);
    evs_error_unref(err);
    return status;
}

static void test_write_without_memory_is_clean(void **state)
{
    (void)state;
    assert_int_equal(pthread_create(&server.thread, NULL, serve, &server), 0);
    evs_test_oom_sweep(write_scenario, (void *)SINK("ttl.ms", "1s"));
    end_server();
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_write_hash_sends_fields_and_removes_nulls),
        TEST(test_write_string_sends_json_or_a_column),
        TEST(test_write_many_rows_reads_answers_between),
        TEST(test_flush_refused_command_is_told_once),
        TEST(test_flush_lost_connection_is_an_error),
        TEST(test_write_without_memory_is_clean),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
