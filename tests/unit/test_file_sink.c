/*
 * The file sink: what is in the file, appending, torn ends, abort, faults; read back by the file
 * source, by avro-c and by zlib.
 */
#include <avro.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "io_kit.h"

#include "io/connectors.h"

static evs_context *ctx;
static evs_test_memory memory;
static char folder[64], path[128];
static kit_sink sink;

static const kit_sink_shape shape = {"page VARCHAR NOT NULL, views BIGINT", 0, 0, "app", "out"};

static int setup(void **state)
{
    (void)state;
    memset(&memory, 0, sizeof(memory));
    atomic_store(&memory.fail_at, -1);
    ctx = evs_test_context(&memory);
    snprintf(folder, sizeof(folder), "%s", kit_folder());
    snprintf(path, sizeof(path), "%s/out", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_remove(folder);
    ctx = evs_context_unref(ctx);
    assert_int_equal(atomic_load(&memory.live), 0);
    return 0;
}

static void open_ok(const evs_options *options)
{
    evs_error *err = NULL;
    assert_evs_ok(kit_sink_open(ctx, &evs__file_connector, &shape, options, &sink, &err), err);
}

static void open_fails(const evs_options *options, evs_status want, const char *part)
{
    evs_error *err = NULL;
    evs_status status = kit_sink_open(ctx, &evs__file_connector, &shape, options, &sink, &err);
    assert_evs_error(status, err, want, part, NULL);
}

static void write_ok(const char *rows)
{
    evs_error *err = NULL;
    assert_evs_ok(kit_sink_write(&sink, rows, &err), err);
}

static void commit_ok(void)
{
    static int64_t epoch;
    evs_error *err = NULL;
    assert_evs_ok(kit_sink_commit(&sink, ++epoch, "", &err), err);
}

static void assert_file(const char *want)
{
    char *got = kit_read_file(path, NULL);
    assert_string_equal(got, want);
    free(got);
}

#define ROW1 "{\"page\":\"/a\",\"views\":1}\n"
#define ROW2 "{\"page\":\"/b\",\"views\":null}\n"

/* ---- text ---- */

static void test_write_json_appends_lines(void **state)
{
    (void)state;
    open_ok(EVS_OPTIONS("path", path));
    write_ok(ROW1 ROW2);
    commit_ok();
    assert_file(ROW1 ROW2);
    write_ok(ROW2);
    commit_ok();
    kit_sink_close(&sink);
    assert_file(ROW1 ROW2 ROW2);
    open_ok(EVS_OPTIONS("path", path, "sync", "true"));
    write_ok(ROW1);
    commit_ok();
    kit_sink_close(&sink);
    assert_file(ROW1 ROW2 ROW2 ROW1);
    open_ok(EVS_OPTIONS("path", path, "mode", "overwrite"));
    write_ok(ROW1);
    commit_ok();
    kit_sink_close(&sink);
    assert_file(ROW1);
}

static void test_write_csv_has_one_header(void **state)
{
    const evs_options *options = EVS_OPTIONS("path", path, "format", "delimited", "header", "true");
    (void)state;
    open_ok(options);
    write_ok("{\"page\":\"/a,b\",\"views\":1}\n{\"page\":\"say \\\"x\\\"\"}");
    commit_ok();
    kit_sink_close(&sink);
    open_ok(options);
    write_ok(ROW1);
    commit_ok();
    kit_sink_close(&sink);
    assert_file("page,views\n\"/a,b\",1\n\"say \"\"x\"\"\",\n/a,1\n");
}

static void test_write_delete_row_is_told_or_left_out(void **state)
{
    (void)state;
    open_ok(EVS_OPTIONS("path", path));
    write_ok(ROW1 "-" ROW1 "~" ROW2);
    assert_int_equal(sink.failed, 1);
    assert_non_null(strstr(sink.failure, "cannot take a row back"));
    commit_ok();
    kit_sink_close(&sink);
    assert_file(ROW1 ROW2);
    open_ok(EVS_OPTIONS("path", path, "deletes", "skip"));
    write_ok("-" ROW1);
    commit_ok();
    assert_int_equal(sink.failed, 0);
    kit_sink_close(&sink);
    assert_file(ROW1 ROW2);
}

static void test_abort_goes_back_to_the_last_commit(void **state)
{
    evs_error *err = NULL;
    (void)state;
    open_ok(EVS_OPTIONS("path", path, "format", "delimited", "header", "true"));
    write_ok(ROW1);
    assert_int_equal(sink.f->flush(sink.sink, 100, &err), EVS_OK);
    assert_file("page,views\n/a,1\n");
    assert_evs_ok(sink.f->abort(sink.sink, &err), err);
    assert_file("");
    write_ok(ROW2);
    commit_ok();
    write_ok(ROW1);
    assert_evs_ok(sink.f->abort(sink.sink, &err), err);
    write_ok(ROW1);
    commit_ok();
    write_ok(ROW1);
    assert_int_equal(sink.f->flush(sink.sink, 100, &err), EVS_OK);
    kit_sink_close(&sink);
    assert_file("page,views\n/b,\n/a,1\n");
}

static void test_open_ends_a_torn_line(void **state)
{
    (void)state;
    kit_write_file(path, ROW1 "{\"page\":\"/t", strlen(ROW1) + 11);
    open_ok(EVS_OPTIONS("path", path));
    write_ok(ROW2);
    commit_ok();
    kit_sink_close(&sink);
    assert_file(ROW1 "{\"page\":\"/t\n" ROW2);
}

static void test_open_faulty_is_told(void **state)
{
    char name[300];
    kit_sink other;
    evs_error *err = NULL;
    evs_status status;
    (void)state;
    snprintf(name, sizeof(name), "%s/none/out", folder);
    open_fails(EVS_OPTIONS("path", name), EVS_ERR_NOT_FOUND, "No such file or directory");
    open_fails(EVS_OPTIONS("path", folder), EVS_ERR_IO, "directory");
    open_fails(EVS_OPTIONS("path", path, "framing", "confluent"), EVS_ERR_CONFIG, "framing");
    open_fails(EVS_OPTIONS("path", "x.avro.gz", "format", "avro"), EVS_ERR_CONFIG,
               "compressed inside");
    open_ok(EVS_OPTIONS("path", path));
    status =
        kit_sink_open(ctx, &evs__file_connector, &shape, EVS_OPTIONS("path", path), &other, &err);
    assert_true(evs_error_is_retriable(err));
    assert_evs_error(status, err, EVS_ERR_UNAVAILABLE, "another sink writes", NULL);
    kit_sink_close(&sink);
}

/* a full disk: the size limit of the process stands in for it, and EFBIG for ENOSPC */
static void test_write_that_the_file_does_not_take_goes_on_later(void **state)
{
    struct rlimit saved, small;
    evs_error *err = NULL;
    evs_status status;
    char *want = malloc(400 * strlen(ROW1) + 1);
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &saved);
    small = saved;
    small.rlim_cur = 1000;
    open_ok(EVS_OPTIONS("path", path));
    want[0] = '\0';
    for (int i = 0; i < 200; i++)
        strcat(want, ROW1);
    write_ok(want);
    setrlimit(RLIMIT_FSIZE, &small);
    status = sink.f->flush(sink.sink, 100, &err);
    assert_true(evs_error_is_retriable(err));
    assert_evs_error(status, err, EVS_ERR_IO, "File too large", path);
    err = NULL;
    write_ok(ROW2);
    setrlimit(RLIMIT_FSIZE, &saved);
    commit_ok();
    strcat(want, ROW2);
    assert_file(want);
    kit_sink_close(&sink);
    free(want);
}

static void test_write_to_full_device_is_retriable(void **state)
{
    evs_error *err = NULL;
    evs_status status;
    (void)state;
    open_ok(EVS_OPTIONS("path", "/dev/full"));
    write_ok(ROW1);
    status = sink.f->flush(sink.sink, 100, &err);
    assert_true(evs_error_is_retriable(err));
    assert_evs_error(status, err, EVS_ERR_IO, "No space left on device", "/dev/full");
    kit_sink_close(&sink);
}

/* a pipe that nobody reads: flush does not wait longer than it may, nothing is lost or doubled */
static void test_write_to_slow_pipe_says_again(void **state)
{
    char *rows = malloc(200000), *got = malloc(400000);
    size_t len = 0, want;
    evs_error *err = NULL;
    int fd;
    (void)state;
    rows[0] = '\0';
    for (int i = 0; i < 3000; i++)
        len += (size_t)sprintf(rows + len, "{\"page\":\"/%d\",\"views\":%d}\n", i, i);
    want = len;
    assert_int_equal(mkfifo(path, 0600), 0);
    fd = open(path, O_RDONLY | O_NONBLOCK);
    open_ok(EVS_OPTIONS("path", path));
    write_ok(rows);
    assert_int_equal(sink.f->flush(sink.sink, 20, &err), EVS_AGAIN);
    len = 0;
    while (len < want) {
        ssize_t n;
        sink.f->flush(sink.sink, 0, &err);
        n = read(fd, got + len, 1000);
        if (n > 0)
            len += (size_t)n;
    }
    assert_memory_equal(got, rows, want);
    kit_sink_close(&sink);
    close(fd);
    free(rows);
    free(got);
}

/* ---- compressed ---- */

static char *gunzip(void)
{
    gzFile f = gzopen(path, "rb");
    char *text = malloc(1000000);
    int n = gzread(f, text, 999999);
    assert_true(n >= 0);
    text[n] = '\0';
    gzclose(f);
    return text;
}

static void test_write_gzip_is_whole_after_each_commit_and_torn_ends_are_cut(void **state)
{
    char *data, *text;
    size_t len, whole;
    (void)state;
    strcat(path, ".gz");
    open_ok(EVS_OPTIONS("path", path));
    write_ok(ROW1);
    commit_ok();
    text = gunzip();
    assert_string_equal(text, ROW1);
    free(text);
    write_ok(ROW2);
    commit_ok();
    kit_sink_close(&sink);
    data = kit_read_file(path, &whole);
    kit_write_file(path, data, whole - 3); /* as a crash leaves it */
    free(data);
    open_ok(EVS_OPTIONS("path", path));
    write_ok(ROW2 ROW2);
    commit_ok();
    kit_sink_close(&sink);
    text = gunzip();
    assert_string_equal(text, ROW1 ROW2 ROW2);
    free(text);
    kit_write_file(path, "plain", 5);
    open_fails(EVS_OPTIONS("path", path), EVS_ERR_CORRUPT, "not compressed like this");
    data = kit_read_file(path, &len);
    assert_int_equal(len, 5);
    free(data);
}

static void test_write_zstd_is_read_back_by_the_source(void **state)
{
    kit_source source;
    evs_error *err = NULL;
    char *rows = malloc(1000000), *got;
    size_t len = 0;
    (void)state;
    strcat(path, ".zst");
    for (int i = 0; i < 4000; i++)
        len += (size_t)sprintf(rows + len, "{\"page\":\"/%d\",\"views\":%d}\n", i * 7919, i);
    open_ok(EVS_OPTIONS("path", path));
    write_ok(rows);
    commit_ok();
    write_ok(ROW1);
    assert_evs_ok(sink.f->abort(sink.sink, &err), err);
    write_ok(ROW2);
    commit_ok();
    kit_sink_close(&sink);
    strcat(rows, ROW2);
    assert_evs_ok(
        kit_source_open(ctx, &evs__file_connector, EVS_OPTIONS("path", path), NULL, &source, &err),
        err);
    assert_int_equal(kit_source_read_until(&source, SIZE_MAX, 5000, &err), EVS_END);
    got = kit_source_values(&source);
    rows[strlen(rows) - 1] = '\0';
    assert_string_equal(got, rows);
    free(got);
    free(rows);
    kit_source_close(&source);
}

/* ---- Avro ---- */

/* pages of the file as avro-c reads them */
static void assert_reference_reads(const char *want)
{
    avro_file_reader_t reader;
    avro_value_iface_t *iface;
    avro_value_t value, field;
    char got[10000] = "";
    int code = avro_file_reader(path, &reader);
    if (code)
        fail_msg("%s", avro_strerror());
    iface = avro_generic_class_from_schema(avro_file_reader_get_writer_schema(reader));
    avro_generic_value_new(iface, &value);
    while (avro_file_reader_read_value(reader, &value) == 0) {
        const char *text;
        size_t size;
        avro_value_get_by_name(&value, "page", &field, NULL);
        assert_int_equal(avro_value_get_string(&field, &text, &size), 0);
        strcat(got, text);
        strcat(got, " ");
        avro_value_reset(&value);
    }
    avro_value_decref(&value);
    avro_value_iface_decref(iface);
    avro_file_reader_close(reader);
    assert_string_equal(got, want);
}

static void test_write_container_is_read_by_the_reference(void **state)
{
    static const char *const compressions[] = {"none", "gzip"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const evs_options *options = EVS_OPTIONS("path", path, "format", "avro", "compression",
                                                 compressions[i], "name", "view");
        unlink(path);
        open_ok(options);
        write_ok(ROW1 ROW2);
        commit_ok();
        assert_reference_reads("/a /b ");
        write_ok(ROW2);
        commit_ok();
        kit_sink_close(&sink);
        assert_reference_reads("/a /b /b ");
        open_ok(EVS_OPTIONS("path", path, "format", "avro", "name", "view"));
        write_ok(ROW1);
        commit_ok();
        kit_sink_close(&sink);
        assert_reference_reads("/a /b /b /a ");
    }
}

static void test_write_container_torn_end_is_cut(void **state)
{
    const evs_options *options =
        EVS_OPTIONS("path", path, "format", "avro", "name", "view", "compression", "zstd");
    kit_source source;
    evs_error *err = NULL;
    char *data;
    size_t len, first;
    (void)state;
    open_ok(options);
    write_ok(ROW1);
    commit_ok();
    data = kit_read_file(path, &first);
    free(data);
    write_ok(ROW2);
    commit_ok();
    kit_sink_close(&sink);
    data = kit_read_file(path, &len);
    for (size_t cut = 1; cut < len; cut++) {
        kit_write_file(path, data, cut);
        open_ok(options);
        write_ok(ROW2);
        commit_ok();
        kit_sink_close(&sink);
        assert_evs_ok(kit_source_open(ctx, &evs__file_connector,
                                      EVS_OPTIONS("path", path, "format", "avro"), NULL, &source,
                                      &err),
                      err);
        assert_int_equal(kit_source_read_until(&source, SIZE_MAX, 5000, &err), EVS_END);
        assert_int_equal(source.count, cut < first ? 1 : 2);
        kit_source_close(&source);
    }
    /* damage within is not cut off */
    data[first + 3] ^= 0x55;
    data[len - 1] ^= 0x55;
    kit_write_file(path, data, len);
    open_fails(options, EVS_ERR_CORRUPT, "marker");
    kit_write_file(path, "plain text", 10);
    open_fails(options, EVS_ERR_CORRUPT, "no Avro container");
    free(data);
}

static void test_write_container_of_other_rows_is_refused(void **state)
{
    (void)state;
    open_ok(EVS_OPTIONS("path", path, "format", "avro", "name", "view"));
    write_ok(ROW1);
    commit_ok();
    kit_sink_close(&sink);
    open_fails(EVS_OPTIONS("path", path, "format", "avro", "name", "other"), EVS_ERR_SCHEMA,
               "another schema");
}

/* ---- memory ---- */

static evs_status write_scenario(evs_context *context, void *user_data)
{
    const evs_options *options = user_data;
    kit_sink s;
    evs_error *err = NULL;
    evs_status status;
    unlink(path);
    status = kit_sink_open(context, &evs__file_connector, &shape, options, &s, &err);
    for (int epoch = 0; !status && epoch < 3; epoch++) {
        /* rows are made with memory that does not fail: the sink is what is tried here */
        long at = atomic_exchange(&memory.fail_at, -1);
        evs_batch *batch = kit_batch(ctx, s.schema, ROW1 ROW2 ROW1);
        atomic_store(&memory.fail_at, at);
        while ((status = kit_sink_write_batch(&s, batch, &err)) == EVS_ERR_NOMEM && epoch == 1 &&
               evs_error_unref(err) == NULL)
            err = NULL; /* once more: it goes on where it stopped */
        evs_batch_unref(batch);
        if (!status)
            status = kit_sink_commit(&s, epoch, "", &err);
    }
    kit_sink_close(&s);
    evs_error_unref(err);
    return status;
}

static void test_write_without_memory_is_clean(void **state)
{
    (void)state;
    evs_test_oom_sweep(write_scenario,
                       (void *)EVS_OPTIONS("path", path, "format", "delimited", "header", "true"));
    evs_test_oom_sweep(write_scenario, (void *)EVS_OPTIONS("path", path, "compression", "gzip"));
    evs_test_oom_sweep(write_scenario, (void *)EVS_OPTIONS("path", path, "format", "avro", "name",
                                                           "view", "compression", "gzip"));
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_write_json_appends_lines),
        TEST(test_write_csv_has_one_header),
        TEST(test_write_delete_row_is_told_or_left_out),
        TEST(test_abort_goes_back_to_the_last_commit),
        TEST(test_open_ends_a_torn_line),
        TEST(test_open_faulty_is_told),
        TEST(test_write_that_the_file_does_not_take_goes_on_later),
        TEST(test_write_to_full_device_is_retriable),
        TEST(test_write_to_slow_pipe_says_again),
        TEST(test_write_gzip_is_whole_after_each_commit_and_torn_ends_are_cut),
        TEST(test_write_zstd_is_read_back_by_the_source),
        TEST(test_write_container_is_read_by_the_reference),
        TEST(test_write_container_torn_end_is_cut),
        TEST(test_write_container_of_other_rows_is_refused),
        TEST(test_write_without_memory_is_clean),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
