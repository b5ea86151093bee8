/*
 * Time zones made by hand: the forms of the file and of the rule at its end, what is refused, local
 * times that are left out or come twice, the ends of time. Real zones: test_zone_python.py.
 */
#include "evs_test.h"

#include <stdio.h>

#include "base/time.h"
#include "runtime/zone.h"

typedef struct file {
    uint8_t data[1024];
    size_t len;
} file;

typedef struct kit {
    evs_context *ctx;
    evs__zone *zone;
    evs_error *err;
} kit;

static int setup(void **state)
{
    kit *k = calloc(1, sizeof(*k));
    *state = k;
    return evs_context_new(NULL, &k->ctx, NULL);
}

static int teardown(void **state)
{
    kit *k = *state;
    evs__zone_free(k->zone);
    evs_error_unref(k->err);
    evs_context_unref(k->ctx);
    free(k);
    return 0;
}

#define ZONE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void put(file *f, int64_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        f->data[f->len++] = (uint8_t)((uint64_t)value >> 8 * i);
}

/* types: UTC, UTC + 1 h, and so on; each transition goes to the next type */
static void put_block(file *f, char version, const int64_t *times, int count, int leaps)
{
    int bytes = version == '1' ? 4 : 8, types = count + 1;

    memcpy(f->data + f->len, "TZif", 4);
    f->data[f->len + 4] = version == '1' ? 0 : (uint8_t)version;
    memset(f->data + f->len + 5, 0, 15);
    f->len += 20;
    put(f, 0, 4);
    put(f, 0, 4);
    put(f, leaps, 4);
    put(f, count, 4);
    put(f, types, 4);
    put(f, 1, 4);
    for (int i = 0; i < count; i++)
        put(f, times[i], bytes);
    for (int i = 0; i < count; i++)
        put(f, i + 1, 1);
    for (int i = 0; i < types; i++)
        put(f, i * 3600, 4), put(f, 0, 2);
    put(f, 0, 1);
    for (int i = 0; i < leaps; i++)
        put(f, 0, bytes + 4);
}

static file version2(const int64_t *times, int count, const char *rule)
{
    file f = {.len = 0};
    size_t header;

    put_block(&f, '1', NULL, 0, 0);
    f.data[4] = '2';
    header = f.len;
    put_block(&f, '2', times, count, 0);
    assert_true(header < f.len);
    f.len += (size_t)sprintf((char *)f.data + f.len, "\n%s\n", rule);
    return f;
}

static evs_status load(kit *k, const file *f)
{
    uint8_t *copy = malloc(f->len ? f->len : 1);
    evs_status status;

    evs__zone_free(k->zone);
    k->zone = NULL;
    evs_error_unref(k->err);
    k->err = NULL;
    memcpy(copy, f->data, f->len); /* of this size: a sanitizer sees what is read behind it */
    status = evs__zone_new(k->ctx, "Test/Zone", copy, f->len, &k->zone, &k->err);
    free(copy);
    return status;
}

static void load_rule(kit *k, const char *rule)
{
    file f = version2(NULL, 0, rule);
    evs_status status = load(k, &f);
    evs_error *err = k->err;
    k->err = NULL;
    assert_evs_ok(status, err);
}

static int64_t ms(const char *text)
{
    int64_t t = 0;
    assert_int_equal(evs__time_parse(text, strlen(text), &t), EVS_OK);
    return t;
}

static void assert_local(kit *k, const char *utc, const char *local)
{
    char text[EVS__TIME_TEXT_MAX + 1];
    text[evs__time_format(evs__zone_local(k->zone, ms(utc)), text)] = '\0';
    assert_string_equal(text, local);
}

static void assert_utc(kit *k, const char *local, const char *utc)
{
    char text[EVS__TIME_TEXT_MAX + 1];
    text[evs__time_format(evs__zone_utc(k->zone, ms(local)), text)] = '\0';
    assert_string_equal(text, utc);
}

static void test_transitions_hold_from_one_to_the_next(void **state)
{
    kit *k = *state;
    const int64_t times[] = {-1000, 0, 1000};
    file f = version2(times, 3, "");
    int64_t from, to;

    assert_int_equal(load(k, &f), EVS_OK);
    assert_int_equal(evs__zone_offset(k->zone, -1000001, &from, &to), 0);
    assert_int_equal(from, INT64_MIN);
    assert_int_equal(to, -1000000);
    assert_int_equal(evs__zone_offset(k->zone, -1000000, &from, &to), 3600000);
    assert_int_equal(evs__zone_offset(k->zone, -1, &from, &to), 3600000);
    assert_int_equal(evs__zone_offset(k->zone, 0, &from, &to), 7200000);
    assert_int_equal(evs__zone_offset(k->zone, INT64_MAX, &from, &to), 10800000);
    assert_int_equal(from, 1000000);
    assert_int_equal(to, INT64_MAX);
}

static void test_version_1_is_taken(void **state)
{
    kit *k = *state;
    const int64_t times[] = {INT32_MIN, 0};
    file f = {.len = 0};
    int64_t from, to;

    put_block(&f, '1', times, 2, 0);
    assert_int_equal(load(k, &f), EVS_OK);
    assert_int_equal(evs__zone_offset(k->zone, -1, &from, &to), 3600000);
    assert_int_equal(evs__zone_offset(k->zone, 0, &from, &to), 7200000);
}

static void test_rule_weeks_and_hours(void **state)
{
    kit *k = *state;

    load_rule(k, "CET-1CEST,M3.5.0,M10.5.0/3");
    assert_local(k, "2024-03-31T00:59:59Z", "2024-03-31T01:59:59.000Z");
    assert_local(k, "2024-03-31T01:00:00Z", "2024-03-31T03:00:00.000Z");
    assert_local(k, "2024-10-27T00:59:59Z", "2024-10-27T02:59:59.000Z");
    assert_local(k, "2024-10-27T01:00:00Z", "2024-10-27T02:00:00.000Z");
    /* left out: the moment of the leap; twice: the first */
    assert_utc(k, "2024-03-31T02:00:00Z", "2024-03-31T01:00:00.000Z");
    assert_utc(k, "2024-03-31T02:59:59Z", "2024-03-31T01:00:00.000Z");
    assert_utc(k, "2024-03-31T03:00:01Z", "2024-03-31T01:00:01.000Z");
    assert_utc(k, "2024-10-27T02:30:00Z", "2024-10-27T00:30:00.000Z");
    assert_utc(k, "2024-10-27T03:00:00Z", "2024-10-27T02:00:00.000Z");
    load_rule(k, "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"); /* south, half an hour */
    assert_local(k, "2024-01-01T00:00:00Z", "2024-01-01T11:00:00.000Z");
    assert_local(k, "2024-07-01T00:00:00Z", "2024-07-01T10:30:00.000Z");
    load_rule(k, "<-02>2<-01>,M3.5.0/-1,M10.5.0/0"); /* on the day before */
    assert_local(k, "2024-03-31T00:59:59Z", "2024-03-30T22:59:59.000Z");
    assert_local(k, "2024-03-31T01:00:00Z", "2024-03-31T00:00:00.000Z");
}

static void test_rule_days_and_whole_years(void **state)
{
    kit *k = *state;

    load_rule(k, "AAA0BBB,J60/0,J61/1"); /* March 1st, in every year */
    assert_local(k, "2024-02-29T12:00:00Z", "2024-02-29T12:00:00.000Z");
    assert_local(k, "2024-03-01T12:00:00Z", "2024-03-01T13:00:00.000Z");
    assert_local(k, "2023-03-01T12:00:00Z", "2023-03-01T13:00:00.000Z");
    load_rule(k, "AAA0BBB,59/0,60/1"); /* the sixtieth day */
    assert_local(k, "2024-02-29T12:00:00Z", "2024-02-29T13:00:00.000Z");
    assert_local(k, "2023-03-01T12:00:00Z", "2023-03-01T13:00:00.000Z");
    load_rule(k, "XXX3EDT4,0/0,J365/23"); /* RFC 9636: daylight saving all the year */
    assert_local(k, "2023-12-31T23:30:00Z", "2023-12-31T19:30:00.000Z");
    assert_local(k, "2024-01-01T02:30:00Z", "2023-12-31T22:30:00.000Z");
    assert_local(k, "2024-01-01T03:30:00Z", "2023-12-31T23:30:00.000Z");
    assert_local(k, "2024-12-31T03:30:00Z", "2024-12-30T23:30:00.000Z");
    load_rule(k, "<-03>3");
    assert_local(k, "2024-07-01T00:00:00Z", "2024-06-30T21:00:00.000Z");
}

static void test_zone_refuses_what_is_no_file(void **state)
{
    static const char *const rules[] = {"X-1",
                                        "CET",
                                        "CET-25",
                                        "CET-1CEST",
                                        "CET-1CEST,M3.5.0",
                                        "CET-1CEST,M13.5.0,M10.5.0",
                                        "CET-1CEST,M3.6.0,M10.5.0",
                                        "CET-1CEST,M3.5.7,M10.5.0",
                                        "CET-1CEST,J0,J366",
                                        "CET-1CEST,J1,366",
                                        "CET-1CEST,J1/168,J2",
                                        "CET-1CEST,J1,J2x",
                                        "<+01-1"};
    const int64_t falling[] = {5, 5}, rising[] = {5, 6};
    kit *k = *state;
    file f;

    for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
        f = version2(NULL, 0, rules[i]);
        if (load(k, &f) != EVS_ERR_DECODE)
            fail_msg("\"%s\" was taken", rules[i]);
        assert_string_equal(evs_error_message(k->err),
                            "time zone \"Test/Zone\": the rule at its end cannot be read");
    }
    f = version2(falling, 2, "");
    assert_int_equal(load(k, &f), EVS_ERR_DECODE);
    f = version2(rising, 2, "UTC0");
    for (size_t len = 0; len < f.len; len++) {
        file cut = f;
        cut.len = len;
        assert_int_equal(load(k, &cut), EVS_ERR_DECODE);
        assert_non_null(strstr(evs_error_message(k->err), "time zone \"Test/Zone\": "));
    }
    f.len = 0;
    put_block(&f, '1', NULL, 0, 1);
    assert_int_equal(load(k, &f), EVS_ERR_UNSUPPORTED);
}

static void test_no_zone_is_utc(void **state)
{
    int64_t from, to;
    (void)state;

    assert_int_equal(evs__zone_offset(NULL, 5, &from, &to), 0);
    assert_int_equal(evs__zone_utc(NULL, 1234), 1234);
    assert_int_equal(evs__zone_utc(NULL, INT64_MAX), INT64_MAX);
    assert_int_equal(evs__zone_local(NULL, INT64_MIN), INT64_MIN);
}

static void test_load_tells_what_a_name_is(void **state)
{
    static const char *const bad[] = {"", "/etc/passwd", "../zoneinfo/UTC", "Europe/",
                                      "Europe/Berlin;"};
    kit *k = *state;

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_int_equal(evs__zone_load(k->ctx, bad[i], &k->err), EVS_ERR_INVALID);
        k->err = evs_error_unref(k->err);
    }
    assert_int_equal(evs__zone_load(k->ctx, "Mars/Olympus", &k->err), EVS_ERR_NOT_FOUND);
    assert_non_null(strstr(evs_error_message(k->err), "time zone \"Mars/Olympus\" is not known"));
    k->err = evs_error_unref(k->err);
    assert_int_equal(evs__zone_load(k->ctx, "Europe", &k->err), EVS_ERR_NOT_FOUND);
    assert_null(evs__zone_find(k->ctx, "Europe"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ZONE_TEST(test_transitions_hold_from_one_to_the_next),
        ZONE_TEST(test_version_1_is_taken),
        ZONE_TEST(test_rule_weeks_and_hours),
        ZONE_TEST(test_rule_days_and_whole_years),
        ZONE_TEST(test_zone_refuses_what_is_no_file),
        ZONE_TEST(test_no_zone_is_utc),
        ZONE_TEST(test_load_tells_what_a_name_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
