/*
 * The file source: lines, CSV with and without header, Avro containers (against avro-c as the
 * reference), compression, positions, growing files, pipes, faults.
 */
#include <avro.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "io_kit.h"

#include "io/connectors.h"

static evs_context *ctx;
static evs_test_memory memory;
static char folder[64], path[128];

static int setup(void **state)
{
    (void)state;
    memset(&memory, 0, sizeof(memory));
    atomic_store(&memory.fail_at, -1);
    ctx = evs_test_context(&memory);
    snprintf(folder, sizeof(folder), "%s", kit_folder());
    snprintf(path, sizeof(path), "%s/in", folder);
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

static void put(const char *text)
{
    kit_write_file(path, text, strlen(text));
}

static void append(const char *file, const char *text)
{
    FILE *f = fopen(file, "ab");
    fputs(text, f);
    fclose(f);
}

static kit_source source;

static void open_ok(const evs_options *options)
{
    evs_error *err = NULL;
    assert_evs_ok(kit_source_open(ctx, &evs__file_connector, options, NULL, &source, &err), err);
}

static void open_fails(const evs_options *options, evs_status want, const char *part)
{
    evs_error *err = NULL;
    evs_status status = kit_source_open(ctx, &evs__file_connector, options, NULL, &source, &err);
    assert_evs_error(status, err, want, part, NULL);
}

static void read_fails(evs_status want, const char *part)
{
    evs_error *err = NULL;
    evs_status status = kit_source_read_until(&source, SIZE_MAX, 5000, &err);
    assert_evs_error(status, err, want, part, NULL);
}

static void read_all(const char *want)
{
    evs_error *err = NULL;
    evs_status status = kit_source_read_until(&source, SIZE_MAX, 10000, &err);
    char *got;
    if (status != EVS_END)
        assert_evs_ok(status, err);
    assert_int_equal(status, EVS_END);
    got = kit_source_values(&source);
    assert_string_equal(got, want);
    free(got);
}

/* every event's offset + 1 is a position from which the rest is read */
static void check_positions(const evs_options *options)
{
    kit_source all, rest;
    evs_error *err = NULL;
    assert_evs_ok(kit_source_open(ctx, &evs__file_connector, options, NULL, &all, &err), err);
    assert_int_equal(kit_source_read_until(&all, SIZE_MAX, 10000, &err), EVS_END);
    for (size_t i = 0; i < all.count; i++) {
        assert_evs_ok(kit_source_open(ctx, &evs__file_connector, options, NULL, &rest, &err), err);
        rest.start[0] = all.events[i].offset + 1;
        assert_int_equal(kit_source_read_until(&rest, SIZE_MAX, 10000, &err), EVS_END);
        assert_int_equal(rest.count, all.count - i - 1);
        for (size_t k = 0; k < rest.count; k++) {
            assert_string_equal(rest.events[k].value, all.events[i + 1 + k].value);
            assert_int_equal(rest.events[k].offset, all.events[i + 1 + k].offset);
        }
        kit_source_close(&rest);
    }
    kit_source_close(&all);
}

/* ---- lines ---- */

static void test_read_lines_gives_each_without_its_end(void **state)
{
    (void)state;
    put("{\"a\":1}\n{\"a\":2}\r\n\n   \n{\"a\":3}");
    open_ok(EVS_OPTIONS("path", path));
    read_all("{\"a\":1}\n{\"a\":2}\n{\"a\":3}");
    assert_int_equal(source.events[0].offset, 7);
    assert_int_equal(source.events[1].offset, 16);
    assert_int_equal(source.f->end_offset(source.source, 0, 0), 29);
    kit_source_close(&source);
    check_positions(EVS_OPTIONS("path", path));
}

static void test_read_lines_skips_byte_order_mark(void **state)
{
    (void)state;
    put("\xef\xbb\xbf{\"a\":1}\n\xef\xbb\xbf\n");
    open_ok(EVS_OPTIONS("path", path));
    read_all("{\"a\":1}\n\xef\xbb\xbf");
    kit_source_close(&source);
}

static void test_read_empty_file_ends(void **state)
{
    (void)state;
    put("");
    open_ok(EVS_OPTIONS("path", path));
    read_all("");
    kit_source_close(&source);
}

/* lines of all lengths around the chunk's size, so that they cross its end in every way */
static void test_read_lines_across_chunks_gives_all(void **state)
{
    FILE *f = fopen(path, "wb");
    evs_error *err = NULL;
    size_t lines = 0, total = 0;
    uint64_t seed = 7;
    (void)state;
    while (total < 3000000) {
        size_t len = evs_test_random(&seed) % (lines % 100 == 0 ? 400000 : 300) + 1;
        for (size_t i = 0; i < len; i++)
            fputc('a' + (int)((lines + i) % 26), f);
        fputc('\n', f);
        total += len + 1;
        lines++;
    }
    fclose(f);
    open_ok(EVS_OPTIONS("path", path));
    assert_int_equal(kit_source_read_until(&source, SIZE_MAX, 20000, &err), EVS_END);
    assert_int_equal(source.count, lines);
    for (size_t i = 0, at = 0; i < lines; i++) {
        at += source.events[i].value_len + 1;
        assert_int_equal(source.events[i].offset, at - 1);
        for (size_t k = 0; k < source.events[i].value_len; k++) {
            if (source.events[i].value[k] != (char)('a' + (int)((i + k) % 26)))
                fail_msg("line %zu byte %zu", i, k);
        }
    }
    kit_source_close(&source);
}

static void test_read_lines_few_at_a_time_gives_all(void **state)
{
    evs_error *err = NULL;
    evs_status status;
    (void)state;
    put("a\nb\nc\nd\ne\n");
    open_ok(EVS_OPTIONS("path", path));
    for (size_t i = 1; (status = kit_source_read(&source, 2, 0, &err)) == EVS_OK; i++)
        assert_int_equal(source.count, i * 2 > 5 ? 5 : i * 2);
    assert_int_equal(status, EVS_END);
    assert_int_equal(source.count, 5);
    kit_source_close(&source);
}

static void test_read_line_too_long_is_cut_so_that_it_cannot_be_decoded(void **state)
{
    char *text = malloc(1000000);
    (void)state;
    memset(text, ' ', 1000000);
    memcpy(text, "{\"a\":1}\n{\"a\":2}", 15);
    memcpy(text + 999990, "\n{\"a\":3}\n", 10);
    put(text);
    free(text);
    open_ok(EVS_OPTIONS("path", path, "line.bytes.max", "100"));
    assert_int_equal(kit_source_read_until(&source, SIZE_MAX, 5000, NULL), EVS_END);
    assert_int_equal(source.count, 3);
    assert_string_equal(source.events[0].value, "{\"a\":1}");
    assert_int_equal(source.events[1].value_len, 100);
    assert_memory_equal(source.events[1].value, "{\"a\":2}   ", 10);
    assert_memory_equal(source.events[1].value + 98, "\xff\xff", 2);
    assert_int_equal(source.events[1].offset, 999990);
    assert_string_equal(source.events[2].value, "{\"a\":3}");
    kit_source_close(&source);
    check_positions(EVS_OPTIONS("path", path, "line.bytes.max", "100"));
}

static void test_read_last_line_too_long_without_end_is_given(void **state)
{
    (void)state;
    put("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    open_ok(EVS_OPTIONS("path", path, "line.bytes.max", "64"));
    assert_int_equal(kit_source_read_until(&source, SIZE_MAX, 5000, NULL), EVS_END);
    assert_int_equal(source.count, 1);
    assert_int_equal(source.events[0].value_len, 64);
    kit_source_close(&source);
}

/* ---- several files ---- */

static void test_read_pattern_reads_files_in_turns_by_name(void **state)
{
    char a[128], b[128], pattern[128];
    const char *const *topics;
    const int32_t *partitions;
    size_t count = 0;
    evs_error *err = NULL;
    (void)state;
    snprintf(a, sizeof(a), "%s/b.jsonl", folder);
    snprintf(b, sizeof(b), "%s/a.jsonl", folder);
    snprintf(pattern, sizeof(pattern), "%s/*.jsonl", folder);
    kit_write_file(a, "b1\nb2\n", 6);
    kit_write_file(b, "a1\na2\n", 6);
    open_ok(EVS_OPTIONS("path", pattern));
    assert_evs_ok(source.f->describe(source.source, &topics, &partitions, &count, &err), err);
    assert_int_equal(count, 2);
    assert_string_equal(topics[0], b);
    assert_string_equal(topics[1], a);
    assert_int_equal(partitions[0], 1);
    read_all("a1\na2\nb1\nb2");
    assert_int_equal(source.events[0].topic, 0);
    assert_int_equal(source.events[3].topic, 1);
    kit_source_close(&source);
}

static void test_open_paths_faulty_are_told(void **state)
{
    char list[300], missing[128];
    (void)state;
    put("x");
    snprintf(missing, sizeof(missing), "%s/none", folder);
    open_fails(EVS_OPTIONS("path", missing), EVS_ERR_NOT_FOUND, "No such file");
    snprintf(list, sizeof(list), "%s/*.none", folder);
    open_fails(EVS_OPTIONS("path", list), EVS_ERR_NOT_FOUND, "there is no file");
    snprintf(list, sizeof(list), "%s,%s", path, path);
    open_fails(EVS_OPTIONS("path", list), EVS_ERR_CONFIG, "twice");
    snprintf(list, sizeof(list), "%s,", path);
    open_fails(EVS_OPTIONS("path", list), EVS_ERR_CONFIG, "empty name");
    open_fails(EVS_OPTIONS("path", path, "framing", "confluent"), EVS_ERR_CONFIG, "framing");
    open_fails(EVS_OPTIONS("path", path, "compression", "zstd", "follow", "true"), EVS_ERR_CONFIG,
               "follow");
    open_ok(EVS_OPTIONS("path", folder));
    read_fails(EVS_ERR_IO, "directory");
    kit_source_close(&source);
}

/* ---- positions ---- */

static void test_seek_goes_back_and_events_given_before_stay(void **state)
{
    evs_read first = {0};
    evs_error *err = NULL;
    (void)state;
    put("a1\na2\na3\n");
    open_ok(EVS_OPTIONS("path", path));
    assert_evs_ok(source.f->read(source.source, 2, 0, &first, &err), err);
    assert_evs_ok(source.f->seek(source.source, 0, 0, 3, &err), err);
    read_all("a2\na3");
    assert_memory_equal(first.inputs[0].value, "a1", 2);
    assert_memory_equal(first.inputs[1].value, "a2", 2);
    source.f->release(source.source, first.handle);
    kit_source_close(&source);
}

static void test_start_behind_the_end_is_an_error(void **state)
{
    (void)state;
    put("a1\n");
    open_ok(EVS_OPTIONS("path", path));
    source.start[0] = 4;
    read_fails(EVS_ERR_STATE, "position 4 is behind the end, 3");
    kit_source_close(&source);
}

/* ---- growing files, pipes ---- */

static void test_follow_waits_for_whole_lines(void **state)
{
    evs_error *err = NULL;
    (void)state;
    put("a1\na");
    open_ok(EVS_OPTIONS("path", path, "follow", "true"));
    assert_evs_ok(kit_source_read_until(&source, 1, 2000, &err), err);
    assert_int_equal(source.f->partition_state(source.source, 0, 0), EVS_PARTITION_FETCHING);
    assert_int_equal(kit_source_read(&source, 10, 20, &err), EVS_AGAIN);
    assert_int_equal(source.f->partition_state(source.source, 0, 0), EVS_PARTITION_AT_END);
    append(path, "2\na3");
    assert_evs_ok(kit_source_read_until(&source, 2, 2000, &err), err);
    assert_string_equal(source.events[1].value, "a2");
    append(path, "\n");
    assert_evs_ok(kit_source_read_until(&source, 3, 2000, &err), err);
    assert_string_equal(source.events[2].value, "a3");
    kit_source_close(&source);
}

static void test_read_named_pipe_ends_with_its_writer(void **state)
{
    evs_error *err = NULL;
    int fd;
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    open_ok(EVS_OPTIONS("path", path));
    assert_int_equal(kit_source_read(&source, 10, 10, &err), EVS_AGAIN);
    fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a1\na", 4), 4);
    assert_evs_ok(kit_source_read_until(&source, 1, 2000, &err), err);
    assert_int_equal(write(fd, "2", 1), 1);
    close(fd);
    read_all("a1\na2");
    kit_source_close(&source);
}

static void test_read_pipe_cannot_go_on_from_a_stored_position(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    open_ok(EVS_OPTIONS("path", path));
    source.start[0] = 5;
    read_fails(EVS_ERR_STATE, "read once");
    kit_source_close(&source);
}

static void test_read_standard_input_reads_it(void **state)
{
    int ends[2], saved = dup(0);
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "a1\na2\n", 6), 6);
    close(ends[1]);
    dup2(ends[0], 0);
    close(ends[0]);
    open_ok(EVS_OPTIONS("path", "-"));
    read_all("a1\na2");
    kit_source_close(&source);
    dup2(saved, 0);
    close(saved);
}

/* ---- CSV ---- */

static void test_read_delimited_keeps_line_ends_in_quotes(void **state)
{
    (void)state;
    put("u1,\"two\nlines\",3\r\nu2,\"a \"\"quoted\"\"\nword\",4\n\nu3,it\"s,5");
    open_ok(EVS_OPTIONS("path", path, "format", "delimited"));
    read_all("u1,\"two\nlines\",3\nu2,\"a \"\"quoted\"\"\nword\",4\nu3,it\"s,5");
    assert_int_equal(source.count, 3);
    kit_source_close(&source);
    check_positions(EVS_OPTIONS("path", path, "format", "delimited"));
}

static void read_with_schema(const char *columns, const evs_options *options, const char *want)
{
    evs_schema *schema = NULL;
    evs_error *err = NULL;
    assert_evs_ok(evs_schema_columns(ctx, columns, &schema, &err), err);
    assert_evs_ok(kit_source_open(ctx, &evs__file_connector, options, schema, &source, &err), err);
    read_all(want);
    evs_schema_unref(schema);
}

static void test_read_header_maps_names_to_columns(void **state)
{
    const evs_options *options = EVS_OPTIONS("path", path, "format", "delimited", "header", "true");
    (void)state;
    put("\xef\xbb\xbf\"user, id\",page,ms\nu1,\"/a,b\",5\nu2,/c,\n");
    /* as they stand */
    read_with_schema("\"user, id\" VARCHAR, page VARCHAR, ms INT", options,
                     "u1,\"/a,b\",5\nu2,/c,");
    kit_source_close(&source);
    /* another order, one column that the file lacks, one that nobody wants */
    read_with_schema("ms INT, site VARCHAR, page VARCHAR", options, "5,,\"/a,b\"\n,,/c");
    kit_source_close(&source);
    check_positions(options);
}

static void test_read_header_record_with_other_count_does_not_pass_for_a_row(void **state)
{
    (void)state;
    put("a,b,c,d\n1,2\n1,2,3,4,5\n");
    read_with_schema("d INT, a INT",
                     EVS_OPTIONS("path", path, "format", "delimited", "header", "true"),
                     "1,2,\n1,2,3,4,5");
    kit_source_close(&source);
}

static void test_read_header_faulty_is_told(void **state)
{
    const evs_options *options = EVS_OPTIONS("path", path, "format", "delimited", "header", "true");
    evs_schema *schema = NULL;
    evs_error *err = NULL;
    (void)state;
    assert_evs_ok(evs_schema_columns(ctx, "a INT NOT NULL, b INT", &schema, &err), err);
    put("b,c\n1,2\n");
    assert_evs_ok(kit_source_open(ctx, &evs__file_connector, options, schema, &source, &err), err);
    read_fails(EVS_ERR_SCHEMA, "the header has no column \"a\"");
    kit_source_close(&source);
    put("a,b,a\n1,2,3\n");
    assert_evs_ok(kit_source_open(ctx, &evs__file_connector, options, schema, &source, &err), err);
    read_fails(EVS_ERR_SCHEMA, "names \"a\" twice");
    kit_source_close(&source);
    put("");
    assert_evs_ok(kit_source_open(ctx, &evs__file_connector, options, schema, &source, &err), err);
    read_fails(EVS_ERR_SCHEMA, "no header");
    kit_source_close(&source);
    evs_schema_unref(schema);
}

static void test_schema_of_header_has_its_names(void **state)
{
    evs_schema *schema = NULL;
    evs_error *err = NULL;
    (void)state;
    put("user,\"a \"\"b\"\"\"\r\nu1,x\r\n");
    open_ok(EVS_OPTIONS("path", path, "format", "delimited", "header", "true"));
    assert_evs_ok(source.f->schema(source.source, &schema, &err), err);
    assert_string_equal(evs_type_print(evs_schema_type(schema)),
                        "STRUCT<user VARCHAR, \"a \"\"b\"\"\" VARCHAR> NOT NULL");
    evs_schema_unref(schema);
    read_all("u1,x");
    kit_source_close(&source);
    put("{}");
    open_ok(EVS_OPTIONS("path", path));
    assert_int_equal(source.f->schema(source.source, &schema, &err), EVS_END);
    kit_source_close(&source);
}

/* ---- compression ---- */

static void gzip_to(const char *file, const char *mode, const char *text)
{
    gzFile f = gzopen(file, mode);
    gzwrite(f, text, (unsigned)strlen(text));
    gzclose(f);
}

static void test_read_gzip_of_several_members_gives_all(void **state)
{
    (void)state;
    strcat(path, ".gz");
    gzip_to(path, "wb", "a1\na");
    gzip_to(path, "ab", "2\na3\n");
    open_ok(EVS_OPTIONS("path", path));
    read_all("a1\na2\na3");
    assert_int_equal(source.events[2].offset, 8);
    kit_source_close(&source);
    check_positions(EVS_OPTIONS("path", path));
}

static void test_read_zstd_gives_all_and_its_positions_are_those_of_the_text(void **state)
{
    size_t size = 2000000, bound = ZSTD_compressBound(size), len;
    char *text = malloc(size), *packed = malloc(bound);
    evs_error *err = NULL;
    (void)state;
    for (size_t i = 0; i < size; i++)
        text[i] = i % 100 == 99 ? '\n' : (char)('a' + i / 100 % 26);
    len = ZSTD_compress(packed, bound, text, size, 1);
    kit_write_file(path, packed, len);
    free(packed);
    free(text);
    open_ok(EVS_OPTIONS("path", path, "compression", "zstd"));
    assert_int_equal(kit_source_read_until(&source, SIZE_MAX, 10000, &err), EVS_END);
    assert_int_equal(source.count, 20000);
    assert_int_equal(source.events[19999].offset, 1999999);
    kit_source_clear(&source);
    assert_evs_ok(source.f->seek(source.source, 0, 0, 1999800, &err), err);
    assert_int_equal(kit_source_read_until(&source, SIZE_MAX, 10000, &err), EVS_END);
    assert_int_equal(source.count, 2);
    assert_evs_ok(source.f->seek(source.source, 0, 0, 2000001, &err), err);
    read_fails(EVS_ERR_STATE, "behind the end, 2000000");
    kit_source_close(&source);
}

static void test_read_compressed_damaged_is_told(void **state)
{
    char *data;
    size_t len;
    (void)state;
    gzip_to(path, "wb", "a1\na2\na3\na4\n");
    data = kit_read_file(path, &len);
    kit_write_file(path, data, len - 6);
    open_ok(EVS_OPTIONS("path", path, "compression", "gzip"));
    read_fails(EVS_ERR_CORRUPT, "cut short");
    kit_source_close(&source);
    free(data);
    put("this is plain text\n");
    open_ok(EVS_OPTIONS("path", path, "compression", "gzip"));
    read_fails(EVS_ERR_CORRUPT, "damaged gzip data");
    kit_source_close(&source);
    open_ok(EVS_OPTIONS("path", path, "compression", "zstd"));
    read_fails(EVS_ERR_CORRUPT, "damaged zstd data");
    kit_source_close(&source);
}

/* ---- Avro ---- */

static const char avro_text[] =
    "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"long\"},"
    "{\"name\":\"name\",\"type\":[\"null\",\"string\"]},"
    "{\"name\":\"tags\",\"type\":{\"type\":\"array\",\"items\":\"string\"}}]}";

/* by avro-c: `count` records, small blocks */
static void write_reference(const char *codec, int count)
{
    avro_schema_t schema;
    avro_value_iface_t *iface;
    avro_value_t value, field, branch, item;
    avro_file_writer_t writer;
    assert_int_equal(avro_schema_from_json_length(avro_text, strlen(avro_text), &schema), 0);
    iface = avro_generic_class_from_schema(schema);
    avro_generic_value_new(iface, &value);
    unlink(path);
    assert_int_equal(avro_file_writer_create_with_codec(path, schema, &writer, codec, 600), 0);
    for (int i = 0; i < count; i++) {
        avro_value_reset(&value);
        avro_value_get_by_index(&value, 0, &field, NULL);
        avro_value_set_long(&field, i);
        avro_value_get_by_index(&value, 1, &field, NULL);
        avro_value_set_branch(&field, i % 3 != 0, &branch);
        if (i % 3)
            avro_value_set_string(&branch, "a name");
        else
            avro_value_set_null(&branch);
        avro_value_get_by_index(&value, 2, &field, NULL);
        for (int k = 0; k < i % 4; k++) {
            avro_value_append(&field, &item, NULL);
            avro_value_set_string(&item, "tag");
        }
        assert_int_equal(avro_file_writer_append_value(writer, &value), 0);
    }
    avro_file_writer_close(writer);
    avro_value_decref(&value);
    avro_value_iface_decref(iface);
    avro_schema_decref(schema);
}

static void on_failed(size_t index, evs_status status, const char *message, void *user_data)
{
    (void)index;
    (void)status;
    (void)message;
    ++*(int *)user_data;
}

/* ids of all events that the source gave, decoded by our codec; returns how many failed */
static int decode_ids(int64_t *ids)
{
    evs_schema *schema = NULL;
    evs_decoder *decoder = NULL;
    evs_error *err = NULL;
    int failures = 0;
    size_t at = 0;
    assert_evs_ok(source.f->schema(source.source, &schema, &err), err);
    assert_evs_ok(evs_decoder_new(ctx, schema, EVS_OPTIONS("framing", "none"), &decoder, &err),
                  err);
    for (size_t i = 0; i < source.count; i++) {
        evs_input in = {.value = source.events[i].value,
                        .value_len = (uint32_t)source.events[i].value_len};
        evs_batch *batch = NULL;
        assert_evs_ok(evs_decoder_decode(decoder, &in, 1, on_failed, &failures, &batch, &err), err);
        if (evs_batch_rows(batch)) {
            evs_row row = evs_batch_row(batch, 0);
            evs_row_int(&row, 0, &ids[at++]);
        }
        evs_batch_unref(batch);
    }
    evs_decoder_unref(decoder);
    evs_schema_unref(schema);
    return failures;
}

static void test_read_container_of_the_reference_gives_its_records(void **state)
{
    static const char *const codecs[] = {"null", "deflate"};
    int64_t ids[500];
    (void)state;
    for (size_t c = 0; c < 2; c++) {
        write_reference(codecs[c], 500);
        open_ok(EVS_OPTIONS("path", path, "format", "avro"));
        assert_int_equal(kit_source_read_until(&source, SIZE_MAX, 5000, NULL), EVS_END);
        assert_int_equal(source.count, 500);
        assert_int_equal(decode_ids(ids), 0);
        for (int i = 0; i < 500; i++) {
            assert_int_equal(ids[i], i);
            assert_int_equal(source.events[i].offset, i);
        }
        kit_source_close(&source);
    }
    write_reference("deflate", 60);
    check_positions(EVS_OPTIONS("path", path, "format", "avro"));
    open_ok(EVS_OPTIONS("path", path, "format", "avro"));
    source.start[0] = 61;
    read_fails(EVS_ERR_STATE, "record 61 is behind the end, 60");
    kit_source_close(&source);
}

static void test_read_container_by_its_name_and_with_any_batch_size(void **state)
{
    evs_error *err = NULL;
    (void)state;
    strcat(path, ".avro");
    write_reference("null", 100);
    open_ok(EVS_OPTIONS("path", path));
    while (kit_source_read(&source, 7, 0, &err) == EVS_OK)
        ;
    assert_int_equal(source.count, 100);
    kit_source_close(&source);
}

static void test_read_container_damaged_is_told(void **state)
{
    char *data;
    size_t len;
    int64_t ids[100];
    (void)state;
    write_reference("null", 100);
    data = kit_read_file(path, &len);
    /* the end is missing: what is whole is read, then the fault is told */
    kit_write_file(path, data, len - 30);
    open_ok(EVS_OPTIONS("path", path, "format", "avro"));
    read_fails(EVS_ERR_CORRUPT, "ends within the block");
    assert_true(source.count > 0 && source.count < 100);
    kit_source_close(&source);
    /* another marker */
    data[len - 1] ^= 1;
    kit_write_file(path, data, len);
    open_ok(EVS_OPTIONS("path", path, "format", "avro"));
    read_fails(EVS_ERR_CORRUPT, "marker behind a block");
    kit_source_close(&source);
    data[len - 1] ^= 1;
    /* no container */
    kit_write_file(path, "Obj\002 and so on", 14);
    open_ok(EVS_OPTIONS("path", path, "format", "avro"));
    read_fails(EVS_ERR_CORRUPT, "no Avro container file");
    kit_source_close(&source);
    kit_write_file(path, data, 60);
    open_ok(EVS_OPTIONS("path", path, "format", "avro"));
    read_fails(EVS_ERR_CORRUPT, "ends within the header");
    kit_source_close(&source);
    /* a union branch that does not exist: the rest of its block is one event that fails */
    {
        char *name = memmem(data + 300, len - 300, "a name", 6);
        assert_non_null(name);
        name[-2] = 0x20;
        kit_write_file(path, data, len);
        open_ok(EVS_OPTIONS("path", path, "format", "avro"));
        assert_int_equal(kit_source_read_until(&source, SIZE_MAX, 5000, NULL), EVS_END);
        assert_int_equal(decode_ids(ids), 1);
        assert_true(source.count > 50);
        assert_int_equal(source.events[source.count - 1].offset, 99);
        assert_int_equal(ids[source.count - 2], 99);
        kit_source_close(&source);
    }
    free(data);
}

/* every cut and every changed byte of a file ends in an error or in events, never in a crash */
static void test_read_container_any_damage_is_survived(void **state)
{
    char *data;
    size_t len;
    (void)state;
    write_reference("deflate", 40);
    data = kit_read_file(path, &len);
    for (size_t i = 0; i < len; i++) {
        char kept = data[i];
        data[i] = (char)(data[i] + (i % 3 ? 0x80 : 1));
        kit_write_file(path, data, len);
        data[i] = kept;
        if (kit_source_open(ctx, &evs__file_connector, EVS_OPTIONS("path", path, "format", "avro"),
                            NULL, &source, NULL) == EVS_OK) {
            kit_source_read_until(&source, 100, 5000, NULL);
            kit_source_close(&source);
        }
        kit_write_file(path, data, i);
        open_ok(EVS_OPTIONS("path", path, "format", "avro"));
        assert_true(kit_source_read_until(&source, 100, 5000, NULL) != EVS_OK);
        kit_source_close(&source);
    }
    free(data);
}

static void test_read_containers_with_other_schemas_is_refused(void **state)
{
    char list[300], other[128];
    char *data;
    size_t len;
    evs_schema *schema = NULL;
    evs_error *err = NULL;
    (void)state;
    write_reference("null", 3);
    data = kit_read_file(path, &len);
    memcpy(memmem(data, len, "tags", 4), "togs", 4);
    snprintf(other, sizeof(other), "%s/other", folder);
    kit_write_file(other, data, len);
    free(data);
    snprintf(list, sizeof(list), "%s,%s", path, other);
    open_ok(EVS_OPTIONS("path", list, "format", "avro"));
    read_fails(EVS_ERR_SCHEMA, "another one");
    kit_source_close(&source);
    assert_evs_ok(
        evs_schema_parse(ctx, EVS_FORMAT_AVRO, avro_text, strlen(avro_text), &schema, &err), err);
    assert_evs_ok(kit_source_open(ctx, &evs__file_connector, EVS_OPTIONS("path", path), schema,
                                  &source, &err),
                  err);
    assert_int_equal(kit_source_read_until(&source, SIZE_MAX, 5000, NULL), EVS_END);
    assert_int_equal(source.count, 3);
    kit_source_close(&source);
    evs_schema_unref(schema);
}

/* ---- memory ---- */

static evs_status read_scenario(evs_context *context, void *user_data)
{
    const evs_options *options = user_data;
    evs_error *err = NULL;
    kit_source s;
    evs_status status = kit_source_open(context, &evs__file_connector, options, NULL, &s, &err);
    if (!status && s.f->schema) {
        evs_schema *schema = NULL;
        status = s.f->schema(s.source, &schema, &err);
        status = status == EVS_END ? EVS_OK : status;
        evs_schema_unref(schema);
    }
    if (!status) {
        status = kit_source_read_until(&s, SIZE_MAX, 5000, &err);
        status = status == EVS_END ? EVS_OK : status;
    }
    kit_source_close(&s);
    evs_error_unref(err);
    return status;
}

static void test_read_without_memory_is_clean(void **state)
{
    (void)state;
    put("a,b\n1,2\n3,4\n");
    evs_test_oom_sweep(read_scenario,
                       (void *)EVS_OPTIONS("path", path, "format", "delimited", "header", "true"));
    gzip_to(path, "wb", "a1\na2\n");
    evs_test_oom_sweep(read_scenario, (void *)EVS_OPTIONS("path", path, "compression", "gzip"));
    write_reference("deflate", 30);
    evs_test_oom_sweep(read_scenario, (void *)EVS_OPTIONS("path", path, "format", "avro"));
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_read_lines_gives_each_without_its_end),
        TEST(test_read_lines_skips_byte_order_mark),
        TEST(test_read_empty_file_ends),
        TEST(test_read_lines_across_chunks_gives_all),
        TEST(test_read_lines_few_at_a_time_gives_all),
        TEST(test_read_line_too_long_is_cut_so_that_it_cannot_be_decoded),
        TEST(test_read_last_line_too_long_without_end_is_given),
        TEST(test_read_pattern_reads_files_in_turns_by_name),
        TEST(test_open_paths_faulty_are_told),
        TEST(test_seek_goes_back_and_events_given_before_stay),
        TEST(test_start_behind_the_end_is_an_error),
        TEST(test_follow_waits_for_whole_lines),
        TEST(test_read_named_pipe_ends_with_its_writer),
        TEST(test_read_pipe_cannot_go_on_from_a_stored_position),
        TEST(test_read_standard_input_reads_it),
        TEST(test_read_delimited_keeps_line_ends_in_quotes),
        TEST(test_read_header_maps_names_to_columns),
        TEST(test_read_header_record_with_other_count_does_not_pass_for_a_row),
        TEST(test_read_header_faulty_is_told),
        TEST(test_schema_of_header_has_its_names),
        TEST(test_read_gzip_of_several_members_gives_all),
        TEST(test_read_zstd_gives_all_and_its_positions_are_those_of_the_text),
        TEST(test_read_compressed_damaged_is_told),
        TEST(test_read_container_of_the_reference_gives_its_records),
        TEST(test_read_container_by_its_name_and_with_any_batch_size),
        TEST(test_read_container_damaged_is_told),
        TEST(test_read_container_any_damage_is_survived),
        TEST(test_read_containers_with_other_schemas_is_refused),
        TEST(test_read_without_memory_is_clean),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
