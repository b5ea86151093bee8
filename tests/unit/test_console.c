/*
 * The console sink, through a pipe and on a pseudo terminal whose picture is drawn by a small
 * terminal of the test's own.
 */
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "io_kit.h"

#include "io/connectors.h"

static evs_context *ctx;
static evs_test_memory memory;
static kit_sink sink;
static int saved_out = -1, out_end = -1;

static const kit_sink_shape plain = {"page VARCHAR, views BIGINT, ms DOUBLE", 0, 0, "app", "out"};
static const kit_sink_shape keyed = {"page VARCHAR, views BIGINT", 1, 0, "app", "out"};

static int setup(void **state)
{
    (void)state;
    memset(&memory, 0, sizeof(memory));
    atomic_store(&memory.fail_at, -1);
    ctx = evs_test_context(&memory);
    return 0;
}

static void give_back_stdout(void)
{
    if (saved_out >= 0) {
        fflush(stdout);
        dup2(saved_out, STDOUT_FILENO);
        close(saved_out);
        saved_out = -1;
    }
}

static int teardown(void **state)
{
    (void)state;
    give_back_stdout();
    if (out_end >= 0)
        close(out_end);
    out_end = -1;
    ctx = evs_context_unref(ctx);
    assert_int_equal(atomic_load(&memory.live), 0);
    return 0;
}

static void take_stdout(int to, int read_end)
{
    fflush(stdout);
    saved_out = dup(STDOUT_FILENO);
    dup2(to, STDOUT_FILENO);
    close(to);
    out_end = read_end;
    fcntl(out_end, F_SETFL, O_NONBLOCK);
}

static void use_pipe(void)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    take_stdout(ends[1], ends[0]);
}

static void use_terminal(int rows, int columns)
{
    struct winsize size = {(unsigned short)rows, (unsigned short)columns, 0, 0};
    struct termios raw;
    int master, slave;
    assert_int_equal(openpty(&master, &slave, NULL, NULL, &size), 0);
    tcgetattr(slave, &raw);
    cfmakeraw(&raw);
    tcsetattr(slave, TCSANOW, &raw);
    take_stdout(slave, master);
}

static char *read_out(void)
{
    static char text[100000];
    size_t len = 0;
    ssize_t n;
    while ((n = read(out_end, text + len, sizeof(text) - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    return text;
}

static void open_ok(const kit_sink_shape *shape, const evs_options *options)
{
    evs_error *err = NULL;
    assert_evs_ok(kit_sink_open(ctx, &evs__console_connector, shape, options, &sink, &err), err);
}

static void write_ok(const char *rows)
{
    evs_error *err = NULL;
    assert_evs_ok(kit_sink_write(&sink, rows, &err), err);
}

static void commit_ok(void)
{
    evs_error *err = NULL;
    assert_evs_ok(kit_sink_commit(&sink, 1, "", &err), err);
}

/* ---- a pipe ---- */

static void test_write_to_pipe_gives_aligned_lines(void **state)
{
    (void)state;
    use_pipe();
    open_ok(&plain, EVS_OPTIONS("title", "Views"));
    write_ok("{\"page\":\"/a\",\"views\":1,\"ms\":2.5}\n{\"page\":\"/longer\",\"views\":12345678}\n"
             "-{\"page\":\"/b\",\"views\":3}");
    commit_ok();
    assert_string_equal(read_out(), "Views\n"
                                    "page  views   ms\n"
                                    "/a        1  2.5\n"
                                    "/longer  12345678     \n"
                                    "- /b              3     \n");
    write_ok("{\"page\":\"/c\",\"views\":4,\"ms\":1}");
    assert_string_equal(read_out(), "/c              4  1.0\n");
    kit_sink_close(&sink);
    assert_string_equal(read_out(), "");
}

static void test_write_chosen_columns_cut_and_harmless(void **state)
{
    (void)state;
    use_pipe();
    open_ok(&plain, EVS_OPTIONS("columns", "views, page", "width.max", "8"));
    write_ok("{\"page\":\"\\u001b[2Jboo\\u0085m\\u007f\",\"views\":1}\n"
             "{\"page\":\"\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\","
             "\"views\":2}");
    assert_string_equal(read_out(),
                        "views  page\n    1  ?[2Jboo?~\n    2  "
                        "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9~\n");
    kit_sink_close(&sink);
}

static void test_keyed_rows_through_a_pipe_are_lines_too(void **state)
{
    (void)state;
    use_pipe();
    open_ok(&keyed, EVS_OPTIONS("live", "auto"));
    write_ok("{\"page\":\"/a\",\"views\":1}\n~{\"page\":\"/a\",\"views\":2}");
    assert_string_equal(read_out(), "page  views\n/a        1\n/a        2\n");
    kit_sink_close(&sink);
}

static void test_slow_reader_is_not_waited_for(void **state)
{
    char *rows = malloc(200000), *got = malloc(2000000);
    size_t len = 0, want;
    evs_error *err = NULL;
    evs_batch *batch;
    int64_t before = kit_now_ms(), next = 0;
    (void)state;
    for (int i = 0; i < 4000; i++)
        len += (size_t)sprintf(rows + len, "{\"page\":\"/%04d\",\"views\":1}\n", i);
    use_pipe();
    open_ok(&plain, EVS_OPTIONS("title", "t"));
    batch = kit_batch(ctx, sink.schema, rows);
    assert_int_equal(sink.f->write(sink.sink, batch, NULL, NULL, &err), EVS_OK);
    /* the first batch waits for the reader, a second one is not taken */
    assert_int_equal(sink.f->write(sink.sink, batch, NULL, NULL, &err), EVS_AGAIN);
    assert_int_equal(sink.f->flush(sink.sink, 10, &err), EVS_AGAIN);
    assert_int_equal(sink.f->poll(sink.sink, 1000, &next, &err), EVS_OK);
    assert_true(next > 0);
    assert_true(kit_now_ms() - before < 3000);
    want = strlen("t\n") + strlen("page   views  ms\n") + 4000 * strlen("/0000      1    \n");
    for (len = 0; len < want;) {
        strcpy(got + len, read_out());
        len += strlen(got + len);
        sink.f->flush(sink.sink, 10, &err);
    }
    assert_int_equal(len, want);
    assert_string_equal(got + len - strlen("/3999      1    \n"), "/3999      1    \n");
    evs_batch_unref(batch);
    kit_sink_close(&sink);
    free(rows);
    free(got);
}

static void test_closed_reader_is_an_error(void **state)
{
    evs_error *err = NULL;
    evs_status status;
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    use_pipe();
    open_ok(&plain, EVS_OPTIONS("title", "t"));
    close(out_end);
    out_end = -1;
    status = kit_sink_write(&sink, "{\"page\":\"/a\"}", &err);
    kit_sink_close(&sink);
    give_back_stdout();
    assert_evs_error(status, err, EVS_ERR_IO, "Broken pipe", NULL);
}

static void test_open_faulty_is_told(void **state)
{
    evs_error *err = NULL;
    evs_status status = kit_sink_open(ctx, &evs__console_connector, &plain,
                                      EVS_OPTIONS("columns", "page,nope"), &sink, &err);
    (void)state;
    assert_evs_error(status, err, EVS_ERR_CONFIG, "no column \"nope\"", NULL);
    err = NULL;
    status = kit_sink_open(ctx, &evs__console_connector, &plain, EVS_OPTIONS("rows.max", "0"),
                           &sink, &err);
    assert_evs_error(status, err, EVS_ERR_CONFIG, "rows.max", NULL);
}

/* ---- a terminal ---- */

typedef struct screen {
    int rows, columns, row, column;
    char cells[50][121];
    bool scrolled, wrapped;
} screen;

static void screen_reset(screen *s, int rows, int columns)
{
    memset(s, 0, sizeof(*s));
    s->rows = rows;
    s->columns = columns;
    for (int r = 0; r < 50; r++)
        memset(s->cells[r], ' ', 120);
}

static void screen_clear_below(screen *s)
{
    memset(s->cells[s->row] + s->column, ' ', (size_t)(120 - s->column));
    for (int r = s->row + 1; r < 50; r++)
        memset(s->cells[r], ' ', 120);
}

/* text, LF (as CR LF), cursor up, erase below, bold: all that the sink uses */
static void screen_feed(screen *s, const char *text)
{
    while (*text) {
        int n = 0, used = 0;
        if (*text == '\n') {
            s->column = 0;
            if (++s->row == s->rows) {
                s->scrolled = true;
                s->row--;
            }
            text++;
        } else if (strncmp(text, "\033[J", 3) == 0) {
            screen_clear_below(s);
            text += 3;
        } else if (strncmp(text, "\033[1m", 4) == 0 || strncmp(text, "\033[m", 3) == 0) {
            text += text[2] == '1' ? 4 : 3;
        } else if (sscanf(text, "\033[%dA%n", &n, &used) == 1 && used) {
            s->row = s->row > n ? s->row - n : 0;
            text += used;
        } else {
            if (s->column == s->columns) {
                s->wrapped = true;
                return;
            }
            s->cells[s->row][s->column++] = *text++;
        }
    }
}

static void assert_line(const screen *s, int row, const char *want)
{
    char got[121];
    int end = 120;
    while (end && s->cells[row][end - 1] == ' ')
        end--;
    memcpy(got, s->cells[row], (size_t)end);
    got[end] = '\0';
    assert_string_equal(got, want);
}

static void test_live_table_updates_in_place(void **state)
{
    screen s;
    int64_t next = 0;
    evs_error *err = NULL;
    (void)state;
    use_terminal(24, 80);
    screen_reset(&s, 24, 80);
    open_ok(&keyed, EVS_OPTIONS("refresh.ms", "100", "title", "Views"));
    write_ok("{\"page\":\"/a\",\"views\":1}\n{\"page\":\"/b\",\"views\":1}");
    assert_string_equal(read_out(), "");
    assert_evs_ok(sink.f->poll(sink.sink, 1000, &next, &err), err);
    screen_feed(&s, read_out());
    assert_line(&s, 0, "Views");
    assert_line(&s, 1, "page  views");
    assert_line(&s, 2, "/a        1");
    assert_line(&s, 3, "/b        1");
    assert_int_equal(next, -1);
    write_ok("~{\"page\":\"/a\",\"views\":20}\n{\"page\":\"/c\",\"views\":3}\n-{\"page\":\"/b\"}");
    assert_evs_ok(sink.f->poll(sink.sink, 1050, &next, &err), err); /* too soon */
    assert_int_equal(next, 1100);
    assert_string_equal(read_out(), "");
    assert_evs_ok(sink.f->poll(sink.sink, 1100, &next, &err), err);
    screen_feed(&s, read_out());
    assert_line(&s, 2, "/a       20");
    assert_line(&s, 3, "/c        3");
    assert_line(&s, 4, "");
    write_ok("~{\"page\":\"/c\",\"views\":4}");
    kit_sink_close(&sink); /* the last picture is drawn */
    screen_feed(&s, read_out());
    assert_line(&s, 3, "/c        4");
    assert_false(s.scrolled || s.wrapped);
}

static void test_live_table_fits_the_terminal(void **state)
{
    screen s;
    char rows[4000] = "";
    int64_t next = 0;
    evs_error *err = NULL;
    (void)state;
    use_terminal(6, 12);
    screen_reset(&s, 6, 12);
    open_ok(&keyed, EVS_OPTIONS("refresh.ms", "0"));
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 10; i++)
            sprintf(rows + strlen(rows), "{\"page\":\"/a long name %d\",\"views\":%d}\n", i, round);
        write_ok(rows);
        assert_evs_ok(sink.f->poll(sink.sink, 1000 + round, &next, &err), err);
        screen_feed(&s, read_out());
        assert_false(s.scrolled || s.wrapped);
    }
    assert_line(&s, 0, "page");
    assert_line(&s, 1, "/a long name");
    kit_sink_close(&sink);
}

static void test_live_rows_are_bounded_newest_kept(void **state)
{
    screen s;
    int64_t next = 0;
    evs_error *err = NULL;
    (void)state;
    use_terminal(24, 80);
    screen_reset(&s, 24, 80);
    open_ok(&keyed, EVS_OPTIONS("rows.max", "2", "live", "true", "refresh.ms", "0"));
    write_ok("{\"page\":\"/a\",\"views\":1}\n{\"page\":\"/b\",\"views\":1}\n~{\"page\":\"/"
             "a\",\"views\":2}\n"
             "{\"page\":\"/c\",\"views\":1}");
    assert_evs_ok(sink.f->poll(sink.sink, 1000, &next, &err), err);
    screen_feed(&s, read_out());
    assert_line(&s, 1, "/a        2");
    assert_line(&s, 2, "/c        1");
    assert_line(&s, 3, "");
    kit_sink_close(&sink);
}

/* ---- memory ---- */

static evs_status write_scenario(evs_context *context, void *user_data)
{
    kit_sink s;
    evs_error *err = NULL;
    int64_t next;
    evs_status status = kit_sink_open(
        context, &evs__console_connector, &keyed,
        EVS_OPTIONS("live", user_data ? "true" : "false", "title", "t", "refresh.ms", "0"), &s,
        &err);
    if (!status) {
        evs_batch *batch =
            kit_batch(ctx, s.schema, "{\"page\":\"/a\",\"views\":1}\n{\"page\":\"/b\"}");
        status = kit_sink_write_batch(&s, batch, &err);
        evs_batch_unref(batch);
        if (!status)
            status = s.f->poll(s.sink, 1000, &next, &err);
    }
    kit_sink_close(&s);
    evs_error_unref(err);
    read_out();
    return status;
}

static void test_write_without_memory_is_clean(void **state)
{
    (void)state;
    use_pipe();
    evs_test_oom_sweep(write_scenario, NULL);
    evs_test_oom_sweep(write_scenario, &memory);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_write_to_pipe_gives_aligned_lines),
        TEST(test_write_chosen_columns_cut_and_harmless),
        TEST(test_keyed_rows_through_a_pipe_are_lines_too),
        TEST(test_slow_reader_is_not_waited_for),
        TEST(test_closed_reader_is_an_error),
        TEST(test_open_faulty_is_told),
        TEST(test_live_table_updates_in_place),
        TEST(test_live_table_fits_the_terminal),
        TEST(test_live_rows_are_bounded_newest_kept),
        TEST(test_write_without_memory_is_clean),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
