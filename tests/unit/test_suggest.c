/*
 * "Did you mean": near misses are found, far ones are not.
 */
#include "evs_test.h"

#include "base/config.h"

static const char *const names[] = {"topic", "group.id", "auto.offset.reset", "format", "key"};

static const char *suggest(const char *word)
{
    return evs__did_you_mean(word, names, sizeof(names) / sizeof(names[0]));
}

static void test_did_you_mean_near_is_found(void **state)
{
    (void)state;
    assert_string_equal(suggest("topik"), "topic");
    assert_string_equal(suggest("topics"), "topic");
    assert_string_equal(suggest("tpoic"), "topic"); /* swapped neighbours are one step */
    assert_string_equal(suggest("Format"), "format");
    assert_string_equal(suggest("auto.ofset.rest"), "auto.offset.reset");
    assert_string_equal(suggest("groupid"), "group.id");
    assert_string_equal(suggest("kei"), "key");
}

static void test_did_you_mean_far_is_null(void **state)
{
    char wide[200];

    (void)state;
    memset(wide, 'x', sizeof(wide));
    wide[199] = '\0';
    assert_null(suggest("compression"));
    assert_null(suggest(""));
    assert_null(suggest("x"));
    assert_null(suggest(wide));
    assert_null(evs__did_you_mean("topic", NULL, 0));
}

static void test_did_you_mean_two_near_takes_the_nearer(void **state)
{
    static const char *const two[] = {"partitions", "partition"};

    (void)state;
    assert_string_equal(evs__did_you_mean("partitin", two, 2), "partition");
    assert_string_equal(evs__did_you_mean("partitons", two, 2), "partitions");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_did_you_mean_near_is_found),
        cmocka_unit_test(test_did_you_mean_far_is_null),
        cmocka_unit_test(test_did_you_mean_two_near_takes_the_nearer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
