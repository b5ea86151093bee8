/*
 * Where a pipeline goes on, and what must be safe before an epoch is true: a group that is further
 * than the state, snapshots that lack something or are damaged at any byte, letters of rows that a
 * sink refuses late, sinks that cannot undo at once.
 */
#include "script_kit.h"

#include "base/hash.h"

static evs_stream *build(kit *k, const char *sink, bool window)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    evs_pipeline *p = kit_pipeline(k);
    evs_stream *rows;

    o.size_ms = 10000;
    evs_pipeline_set(p, "state.dir", k->dir);
    evs_pipeline_set(p, "commit.interval.ms", "100");
    evs_pipeline_set(p, "close.timeout.ms", "200");
    evs_pipeline_set(p, "exchange.partitions", "2");
    k->source = evs_source(p, "script",
                           EVS_OPTIONS("columns", "user VARCHAR, n INT", "out_of_orderness", "0",
                                       "idle_timeout", "forever", "close_after", "forever"));
    rows = window ? evs_window_by(k->source, "user", &o, "count(*) AS c") : k->source;
    evs_sink(rows, sink, NULL);
    evs_dead_letters(p, "upsert", EVS_OPTIONS("db", "evs.test.letters"));
    return rows;
}

static void rows(int32_t partition, int from, int count)
{
    for (int i = from; i < from + count; i++)
        script_row(&the_script, partition, 1000000 + i * 100, i % 3, i);
}

static void restart(kit *k, const char *sink, bool window)
{
    evs_pipeline_unref(k->p);
    k->p = NULL;
    build(k, sink, window);
}

static void commit(kit *k)
{
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    OK(evs_pipeline_commit(k->p, &k->err));
}

/* ---- the group is further than the state ---- */

static void test_lost_state_folder_is_refused_with_both_numbers(void **state)
{
    kit *k = *state;
    rows(0, 0, 60);
    build(k, "upsert", true);
    commit(k);
    assert_int_equal(the_script.parts[0].committed, 60);
    evs_pipeline_unref(k->p);
    k->p = NULL;
    remove_dir(k->dir);
    build(k, "upsert", true);
    FAILS(kit_drain(k), EVS_ERR_STATE,
          "topic \"t\" partition 0: the group is at offset 60, state.dir \"");
    assert_non_null(strstr(evs_pipeline_state(k->p), "is at epoch 0 without a position of it"));
    assert_non_null(strstr(evs_pipeline_state(k->p), "state.missing=begin"));
    assert_non_null(strstr(evs_pipeline_state(k->p), "another application.id"));
    /* the refusal left everything as it was: the same again */
    restart(k, "upsert", true);
    FAILS(kit_drain(k), EVS_ERR_STATE, "the group is at offset 60");
}

static void test_lost_state_folder_is_gone_on_with_when_told_so(void **state)
{
    kit *k = *state;
    rows(0, 0, 60);
    the_script.partitions = 2;
    rows(1, 0, 5);
    the_script.parts[0].committed = 40;
    the_script.parts[1].committed = 5;
    build(k, "upsert", true);
    evs_pipeline_set(k->p, "state.missing", "begin");
    commit(k);
    assert_int_equal(kit_metric(k, "events_in_total"), 20);
    assert_non_null(strstr(k->logged, "windows begin empty at the group's offset 5"));
    /* the epoch has positions of both: the permission is not needed again */
    restart(k, "upsert", true);
    rows(0, 60, 1);
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    assert_int_equal(kit_metric(k, "events_in_total"), 1);
    assert_string_equal(evs_pipeline_state(k->p), "running");
}

static void test_group_without_position_or_pipeline_without_windows_begins(void **state)
{
    kit *k = *state;
    rows(0, 0, 10);
    the_script.parts[0].committed = 0;
    build(k, "upsert", true);
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    assert_int_equal(kit_metric(k, "events_in_total"), 10);
    evs_pipeline_unref(k->p);
    k->p = NULL;
    remove_dir(k->dir);
    the_script.parts[0].committed = 4;
    build(k, "upsert", false);
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    assert_int_equal(kit_metric(k, "events_in_total"), 6);
}

static void test_partition_that_the_snapshot_has_no_position_of_is_refused(void **state)
{
    kit *k = *state;
    the_script.partitions = 2;
    rows(0, 0, 10);
    build(k, "upsert", true);
    commit(k);
    the_script.parts[1].committed = 7;
    restart(k, "upsert", true);
    FAILS(kit_drain(k), EVS_ERR_STATE, "partition 1: the group is at offset 7");
    assert_non_null(strstr(evs_pipeline_state(k->p), "is at epoch 1 without a position of it"));
}

static void test_group_offset_not_known_yet_is_asked_again_before_anything_is_read(void **state)
{
    kit *k = *state;
    rows(0, 0, 10);
    /* what is there is seen after the assignment, as with a broker */
    the_script.parts[0].visible = 0;
    the_script.parts[0].committed = 4;
    the_script.fail_committed = 2;
    build(k, "upsert", true);
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    assert_non_null(strstr(evs_pipeline_state(k->p), "no coordinator"));
    the_script.parts[0].visible = 10;
    k->now_ms += 1000;
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    assert_int_equal(the_script.fail_committed, 0);
    k->now_ms += 10000;
    FAILS(kit_drain(k), EVS_ERR_STATE, "the group is at offset 4");
    assert_int_equal(kit_metric(k, "events_in_total"), 0);
}

/* a rebalance that takes everything and gives it back: one epoch, none when nothing was read */
static void test_revocation_of_all_partitions_is_one_epoch_and_none_without_news(void **state)
{
    kit *k = *state;
    evs_pipeline *p = kit_pipeline(k);
    double epoch;
    the_script.partitions = 4;
    the_script.revoke_all = true;
    k->source = evs_source(p, "script", EVS_OPTIONS("columns", "user VARCHAR, n INT"));
    evs_sink(k->source, "upsert", NULL);
    for (int i = 0; i < 40; i++)
        script_row(&the_script, i % 4, 1000 + i, i, i);
    kit_drain(k);
    epoch = kit_metric(k, "epoch");
    assert_int_equal(k->db.committed.count, 40);
    for (int round = 0; round < 3; round++) {
        atomic_store(&the_script.revoke, 1);
        kit_drain(k);
        k->now_ms += 1000;
        kit_drain(k);
        assert_int_equal(kit_metric(k, "epoch"), epoch + 1);
        for (int i = 0; i < 4; i++)
            assert_int_equal(the_script.parts[i].committed, 10);
    }
    assert_int_equal(k->db.committed.count, 40);
}

static void test_slow_acknowledgement_of_the_group_is_no_warning(void **state)
{
    kit *k = *state;
    rows(0, 0, 10);
    the_script.slow_commits = true;
    build(k, "upsert", true);
    commit(k);
    assert_int_equal(kit_metric(k, "commits_total"), 1);
    assert_null(strstr(k->logged, "commit: "));
}

/* ---- letters of rows that a sink refuses within the commit ---- */

static void test_row_refused_within_a_commit_has_its_letter_before_the_epoch(void **state)
{
    static const char *const steps[] = {"snapshot", "authority", "others", "sources"};
    kit *k = *state;
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        script_clear(&the_script);
        the_script.partitions = 1;
        database_clear(&k->db);
        database_clear(&k->letters);
        evs_pipeline_unref(k->p);
        k->p = NULL;
        remove_dir(k->dir);
        rows(0, 0, 10);
        build(k, "txn", false);
        k->db.bad_row = "u1|4";
        k->db.no_room = 1; /* so that the batch waits until the commit */
        assert_int_equal(kit_drain(k), EVS_AGAIN);
        k->dies_at = steps[i];
        k->dies_after = 0;
        k->now_ms += 1000;
        assert_true(kit_drain(k) < 0);
        k->err = evs_error_unref(k->err);
        assert_int_equal(k->letters.committed.count, 1);
        k->dies_at = NULL;
        restart(k, "txn", false);
        assert_int_equal(kit_drain(k), EVS_AGAIN);
        OK(evs_pipeline_commit(k->p, &k->err));
        assert_int_equal(k->db.committed.count, 9);
        assert_true(k->letters.committed.count >= 1);
    }
}

static void test_letters_that_cannot_be_confirmed_hold_the_epoch_back(void **state)
{
    kit *k = *state;
    rows(0, 0, 10);
    build(k, "txn", false);
    k->db.bad_row = "u1|4";
    k->db.no_room = 1;
    k->letters.fail_flushes = 1;
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    k->now_ms += 1000;
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    assert_int_equal(k->db.epoch, -1);
    assert_non_null(strstr(evs_pipeline_state(k->p), "flush failed on purpose"));
    k->now_ms += 1000;
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    assert_int_equal(k->db.epoch, 1);
    assert_int_equal(k->db.committed.count, 9);
    assert_int_equal(k->letters.committed.count, 1);
}

static void test_row_refused_within_a_commit_stops_when_told_so(void **state)
{
    kit *k = *state;
    rows(0, 0, 10);
    build(k, "txn", false);
    evs_pipeline_set(k->p, "on_error", "fail");
    k->db.bad_row = "u1|4";
    k->db.no_room = 1;
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    k->now_ms += 1000;
    FAILS(kit_drain(k), EVS_ERR_ENCODE, "a bad row (on_error=fail)");
    assert_int_equal(k->db.epoch, -1);
}

/* ---- sinks that cannot undo at once ---- */

static void test_abort_that_fails_is_tried_again_and_the_reason_stays(void **state)
{
    kit *k = *state;
    rows(0, 0, 10);
    build(k, "txn", false);
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    k->db.for_good = true;
    k->db.fail_commits = 1;
    k->db.fail_aborts = 2;
    k->now_ms += 1000;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(kit_drain(k), EVS_AGAIN);
        assert_int_equal(k->db.fail_aborts, 1 - i);
        assert_string_equal(evs_pipeline_state(k->p),
                            "retrying: commit: step \"sink_1\": commit failed on purpose");
        k->now_ms += 1000;
    }
    for (int i = 0; i < 5; i++, k->now_ms += 20000)
        assert_int_equal(kit_drain(k), EVS_AGAIN);
    assert_string_equal(evs_pipeline_state(k->p), "running");
    assert_int_equal(k->db.aborts, 1);
    assert_int_equal(kit_metric(k, "aborts_total"), 1);
    assert_int_equal(k->db.committed.count, 10);
}

static void test_abort_that_fails_until_the_time_out_tells_the_reason(void **state)
{
    kit *k = *state;
    rows(0, 0, 10);
    build(k, "txn", false);
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    k->db.for_good = true;
    k->db.fail_commits = 1;
    k->db.fail_aborts = 1000;
    FAILS(evs_pipeline_commit(k->p, &k->err), EVS_ERR_IO, "commit failed on purpose");
    FAILS(evs_pipeline_close(k->p, &k->err), EVS_ERR_IO, "commit failed on purpose");
}

/* ---- snapshots ---- */

typedef struct image {
    uint8_t *data;
    size_t len;
} image;

static void image_path(const kit *k, char *path, size_t size)
{
    snprintf(path, size, "%s/p/epoch-1.snapshot", k->dir);
}

static image image_read(const kit *k)
{
    char path[160];
    struct stat st;
    image im;
    FILE *f;
    image_path(k, path, sizeof(path));
    f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &st), 0);
    im.len = (size_t)st.st_size;
    im.data = malloc(im.len);
    assert_int_equal(fread(im.data, 1, im.len, f), im.len);
    fclose(f);
    return im;
}

static void image_write(const kit *k, const void *data, size_t len)
{
    char path[160];
    FILE *f;
    image_path(k, path, sizeof(path));
    f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    fclose(f);
}

static void put_number(uint8_t *p, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

/* offset and length, checksum included, of the i-th section */
static size_t section(const image *im, int i, size_t *ret_len)
{
    size_t at = 8;
    for (;; i--) {
        uint64_t len = 0;
        for (int b = 7; b >= 0; b--)
            len = len << 8 | im->data[at + 16 + (size_t)b];
        *ret_len = 24 + (size_t)len + 4;
        if (i == 0)
            return at;
        at += *ret_len;
    }
}

static void sign(image *im, int i)
{
    size_t len, at = section(im, i, &len);
    put_number(im->data + at + len - 4, evs__crc32c(0, im->data + at, len - 4), 4);
}

/* without section i (or with it twice), the count at the end as it should be */
static void image_edit(const kit *k, const image *im, int i, bool twice, int sections)
{
    image out = {malloc(im->len * 2), 0};
    size_t len, at = section(im, i, &len), end_len, end;
    memcpy(out.data, im->data, at);
    out.len = at;
    for (int n = 0; n < (twice ? 2 : 0); n++, out.len += len)
        memcpy(out.data + out.len, im->data + at, len);
    memcpy(out.data + out.len, im->data + at + len, im->len - at - len);
    out.len += im->len - at - len;
    sections += twice ? 1 : -1;
    end = section(&out, sections - 1, &end_len);
    put_number(out.data + end + 24, (uint64_t)sections - 1, 4);
    sign(&out, sections - 1);
    image_write(k, out.data, out.len);
    free(out.data);
}

static void refused(kit *k, evs_status want, const char *part)
{
    restart(k, "upsert", true);
    FAILS(kit_drain(k), want, part);
}

/* head, source 0, two shards, end */
#define SECTIONS 5

static image leave_image(kit *k)
{
    rows(0, 0, 4);
    build(k, "upsert", true);
    commit(k);
    return image_read(k);
}

static void test_snapshot_with_any_byte_changed_is_refused(void **state)
{
    kit *k = *state;
    image im = leave_image(k);
    assert_true(im.len < 4096);
    for (size_t i = 0; i < im.len; i++) {
        im.data[i] ^= (uint8_t)(1 << i % 8);
        image_write(k, im.data, im.len);
        refused(k, EVS_ERR_CORRUPT, "epoch-1.snapshot\" is damaged (");
        im.data[i] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t len = 0; len < im.len; len++) {
        image_write(k, im.data, len);
        refused(k, EVS_ERR_CORRUPT, "epoch-1.snapshot\" is damaged (");
    }
    image_write(k, im.data, im.len);
    restart(k, "upsert", true);
    assert_int_equal(kit_drain(k), EVS_AGAIN);
    free(im.data);
}

static void test_snapshot_without_a_section_is_refused(void **state)
{
    kit *k = *state;
    image im = leave_image(k);
    size_t len;
    assert_int_equal(section(&im, SECTIONS - 1, &len) + len, im.len);
    image_edit(k, &im, 1, false, SECTIONS);
    refused(k, EVS_ERR_CORRUPT, "positions of a source are missing");
    image_edit(k, &im, 1, true, SECTIONS);
    refused(k, EVS_ERR_CORRUPT, "a source is missing or there twice");
    image_edit(k, &im, 2, false, SECTIONS);
    refused(k, EVS_ERR_CORRUPT, "state of a step is missing");
    image_edit(k, &im, 3, false, SECTIONS);
    refused(k, EVS_ERR_CORRUPT, "state of a step is missing");
    image_edit(k, &im, 2, true, SECTIONS);
    refused(k, EVS_ERR_CORRUPT, "there twice");
    image_edit(k, &im, 0, false, SECTIONS);
    refused(k, EVS_ERR_CORRUPT, "sections are out of order");
    free(im.data);
}

static void test_snapshot_of_an_unknown_source_or_step_is_refused(void **state)
{
    kit *k = *state;
    image im = leave_image(k);
    size_t len, at = section(&im, 1, &len);
    put_number(im.data + at + 4, 77, 4);
    sign(&im, 1);
    image_write(k, im.data, im.len);
    refused(k, EVS_ERR_CORRUPT, "a source is unknown");
    put_number(im.data + at + 4, 0, 4);
    sign(&im, 1);
    at = section(&im, 2, &len);
    put_number(im.data + at + 4, 0, 4);
    sign(&im, 2);
    image_write(k, im.data, im.len);
    refused(k, EVS_ERR_CORRUPT, "state of a step that the plan does not have");
    free(im.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRIPT_TEST(test_lost_state_folder_is_refused_with_both_numbers),
        SCRIPT_TEST(test_lost_state_folder_is_gone_on_with_when_told_so),
        SCRIPT_TEST(test_group_without_position_or_pipeline_without_windows_begins),
        SCRIPT_TEST(test_partition_that_the_snapshot_has_no_position_of_is_refused),
        SCRIPT_TEST(test_group_offset_not_known_yet_is_asked_again_before_anything_is_read),
        SCRIPT_TEST(test_revocation_of_all_partitions_is_one_epoch_and_none_without_news),
        SCRIPT_TEST(test_slow_acknowledgement_of_the_group_is_no_warning),
        SCRIPT_TEST(test_row_refused_within_a_commit_has_its_letter_before_the_epoch),
        SCRIPT_TEST(test_letters_that_cannot_be_confirmed_hold_the_epoch_back),
        SCRIPT_TEST(test_row_refused_within_a_commit_stops_when_told_so),
        SCRIPT_TEST(test_abort_that_fails_is_tried_again_and_the_reason_stays),
        SCRIPT_TEST(test_abort_that_fails_until_the_time_out_tells_the_reason),
        SCRIPT_TEST(test_snapshot_with_any_byte_changed_is_refused),
        SCRIPT_TEST(test_snapshot_without_a_section_is_refused),
        SCRIPT_TEST(test_snapshot_of_an_unknown_source_or_step_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
