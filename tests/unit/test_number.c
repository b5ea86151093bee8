/*
 * Numbers and text: limits, the hard cases of decimal to double, random round trips against the C
 * library (which is exact in the "C" locale), decimals, UTF-8 against a plain decoder.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"

static uint64_t random_state;

static uint64_t next_random(void)
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static double double_of(uint64_t bits)
{
    double d;
    memcpy(&d, &bits, 8);
    return d;
}

static uint64_t bits_of(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, 8);
    return bits;
}

static evs_status parse_int(const char *text, int64_t *ret)
{
    return evs__parse_int(text, strlen(text), ret);
}

static void test_parse_int_limits_and_faults(void **state)
{
    static const char *const bad[] = {"", "-", "+1", " 1", "1 ", "1.0", "0x1", "--1", "1e3"};
    int64_t v = 7;
    (void)state;
    assert_int_equal(parse_int("9223372036854775807", &v), EVS_OK);
    assert_true(v == INT64_MAX);
    assert_int_equal(parse_int("-9223372036854775808", &v), EVS_OK);
    assert_true(v == INT64_MIN);
    assert_int_equal(parse_int("-007", &v), EVS_OK);
    assert_int_equal(v, -7);
    assert_int_equal(parse_int("9223372036854775808", &v), EVS_ERR_OVERFLOW);
    assert_int_equal(parse_int("-9223372036854775809", &v), EVS_ERR_OVERFLOW);
    assert_int_equal(parse_int("99999999999999999999999", &v), EVS_ERR_OVERFLOW);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(parse_int(bad[i], &v), EVS_ERR_DECODE);
    assert_int_equal(v, -7);
}

static void test_format_int_limits_read_back(void **state)
{
    static const int64_t values[] = {0, 1, -1, 10, 99, 100, INT64_MAX, INT64_MIN, INT32_MIN};
    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        char text[EVS__INT_TEXT_MAX];
        char wanted[32];
        size_t n = evs__format_int(values[i], text);
        int m = snprintf(wanted, sizeof(wanted), "%lld", (long long)values[i]);
        assert_int_equal(n, m);
        assert_memory_equal(text, wanted, n);
    }
}

static void check_double(const char *text)
{
    double got = -1;
    double wanted = strtod(text, NULL);
    evs_status status = evs__parse_double(text, strlen(text), &got);

    if (isinf(wanted)) {
        assert_int_equal(status, EVS_ERR_OVERFLOW);
        return;
    }
    if (status || bits_of(got) != bits_of(wanted))
        print_error("\"%s\": status %d, %a instead of %a\n", text, status, got, wanted);
    assert_int_equal(status, EVS_OK);
    assert_true(bits_of(got) == bits_of(wanted));
}

static void test_parse_double_hard_cases_round_correctly(void **state)
{
    static const char *const cases[] = {
        "0",
        "-0",
        "0.0",
        "-0.0e10",
        "1",
        "0.1",
        "0.3",
        "1e22",
        "1e23",
        "8.5e22",
        "9007199254740993",
        "9007199254740993.0000000000000000000000000000000001",
        "9007199254740992.5",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "1e309",
        "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017"
        "977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273"
        "854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704"
        "342711559699508093042880177904174497791",
        "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017"
        "977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273"
        "854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704"
        "342711559699508093042880177904174497792",
        "4.9406564584124654e-324",
        "5e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "1e-400",
        "1e-99999999999999999999",
        "0e99999999999999999999",
        "2.2250738585072014e-308",
        "2.2250738585072011e-308",
        "2.2250738585072012e-308",
        "6.9294956446009195e15",
        "3.2378839133029012895883524125015321748630094507111893e-319",
        "7.2057594037927933e16",
        "0.000000000000000000000000000000000000000000123456789012345678",
        "10000000000000000000000000000000000000000000000000000000001e-50",
        "9223372036854775807",
        "18446744073709551616",
        "1.00000000000000011102230246251565404236316680908203125",
        "1.00000000000000011102230246251565404236316680908203124",
        "1.00000000000000011102230246251565404236316680908203126",
        "1.000000000000000333066907387546962127089500427246093750000000000000000000000000001"};
    double v;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        check_double(cases[i]);
    assert_int_equal(evs__parse_double("-0", 2, &v), EVS_OK);
    assert_true(signbit(v));
}

/* the half-way point between a random double and its successor has up to 767 digits: exactly there,
 * a little above and below */
static void test_parse_double_halfway_points_round_correctly(void **state)
{
    (void)state;
    random_state = 11;
    for (int i = 0; i < 3000; i++) {
        uint64_t bits = next_random() & INT64_MAX;
        long double half;
        char text[1300];
        int n;
        if (i % 3 == 0)
            bits &= 0x800fffffffffffffu; /* subnormal */
        if (bits >> 52 >= 0x7fe)
            continue;
        half = ((long double)double_of(bits) + (long double)double_of(bits + 1)) / 2;
        n = snprintf(text, sizeof(text), "%.1100Le", half);
        assert_true(n < (int)sizeof(text));
        check_double(text);
        text[1000] = '1'; /* far behind the last digit that is not 0 */
        check_double(text);
    }
}

static void test_parse_double_bad_grammar_is_refused(void **state)
{
    static const char *const bad[] = {
        "",    "-",  "+1", ".5",  "5.",   "01",   "-01", "1e",    "1e+",   "1.e5", "nan",
        "inf", "1 ", " 1", "1,5", "0x10", "1e5x", "--1", "1.2.3", "1e1.5", "00",   "Infinity"};
    double v = 3;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(evs__parse_double(bad[i], strlen(bad[i]), &v), EVS_ERR_DECODE);
    assert_true(v == 3);
}

static void check_round_trip(double d)
{
    char text[EVS__DOUBLE_TEXT_MAX + 1];
    char probe[64];
    size_t n = evs__format_double(d, text);
    double back = 0;
    int digits = 0;

    assert_true(n <= EVS__DOUBLE_TEXT_MAX);
    text[n] = '\0';
    assert_int_equal(evs__parse_double(text, n, &back), EVS_OK);
    if (bits_of(back) != bits_of(d) || bits_of(strtod(text, NULL)) != bits_of(d))
        print_error("%a printed as \"%s\"\n", d, text);
    assert_true(bits_of(back) == bits_of(d));
    assert_true(bits_of(strtod(text, NULL)) == bits_of(d));
    /* no shorter text reads back the same */
    for (const char *p = text; *p && *p != 'e'; p++) {
        if (*p >= '1' && *p <= '9')
            digits = 1;
    }
    assert_true(digits || d == 0);
    digits = 0;
    for (const char *p = text, *last = NULL; *p && *p != 'e'; p++) {
        if (*p >= '1' && *p <= '9') {
            digits +=
                last ? 1 + (int)(p - last - 1) - (memchr(last, '.', (size_t)(p - last)) != 0) : 1;
            last = p;
        }
    }
    if (digits > 1 && d != 0) {
        snprintf(probe, sizeof(probe), "%.*e", digits - 2, d);
        if (strtod(probe, NULL) == d)
            print_error("%a printed as \"%s\", but \"%s\" is shorter\n", d, text, probe);
        assert_true(strtod(probe, NULL) != d);
    }
}

static void test_format_double_random_is_shortest_and_reads_back(void **state)
{
    (void)state;
    random_state = 1;
    for (int i = 0; i < 100000; i++) {
        double d = double_of(next_random());
        if (!isfinite(d))
            continue;
        check_round_trip(d);
        check_round_trip(double_of(bits_of(d) & 0x800fffffffffffffu)); /* subnormal */
        check_round_trip((double)(int64_t)(next_random() >> (i % 60)));
        check_round_trip((double)(int64_t)(next_random() >> (i % 60)) / 1000);
    }
    for (uint64_t e = 0; e < 0x7ff; e++) { /* powers of two and their neighbours */
        check_round_trip(double_of(e << 52));
        check_round_trip(double_of((e << 52) + 1));
        if (e)
            check_round_trip(double_of((e << 52) - 1));
    }
}

static void test_format_double_forms(void **state)
{
    static const struct {
        double d;
        const char *text;
    } cases[] = {{0, "0.0"},
                 {-0.0, "-0.0"},
                 {12, "12.0"},
                 {-1.5, "-1.5"},
                 {0.1, "0.1"},
                 {1e15, "1000000000000000.0"},
                 {9007199254740993.0, "9007199254740992.0"},
                 {1e16, "1e16"},
                 {123456789012345680.0, "1.2345678901234568e17"},
                 {0.0001, "0.0001"},
                 {0.00001, "0.00001"},
                 {0.000001, "1e-6"},
                 {1.5e-7, "1.5e-7"},
                 {5e-324, "5e-324"},
                 {1.7976931348623157e308, "1.7976931348623157e308"},
                 {-2.2250738585072014e-308, "-2.2250738585072014e-308"},
                 {INFINITY, "Infinity"},
                 {-INFINITY, "-Infinity"},
                 {NAN, "NaN"}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char text[EVS__DOUBLE_TEXT_MAX + 1];
        text[evs__format_double(cases[i].d, text)] = '\0';
        assert_string_equal(text, cases[i].text);
    }
}

static void test_parse_double_random_digits_round_correctly(void **state)
{
    (void)state;
    random_state = 5;
    for (int i = 0; i < 100000; i++) {
        char text[128];
        size_t n = 0;
        size_t digits = 1 + next_random() % 40;
        text[n++] = (char)('1' + next_random() % 9);
        for (size_t k = 1; k < digits; k++) {
            if (k == digits / 2)
                text[n++] = '.';
            text[n++] = (char)('0' + next_random() % 10);
        }
        snprintf(text + n, sizeof(text) - n, "e%d", (int)(next_random() % 700) - 350);
        check_double(text);
    }
}

static evs_status parse_decimal(const char *text, int32_t p, int32_t s, int64_t *ret)
{
    evs__int128 v;
    evs_status status = evs__parse_decimal(text, strlen(text), p, s, &v);
    if (!status)
        *ret = (int64_t)v;
    return status;
}

static void test_parse_decimal_pads_and_refuses_what_does_not_fit(void **state)
{
    int64_t v = 0;
    (void)state;
    assert_int_equal(parse_decimal("19.9", 5, 2, &v), EVS_OK);
    assert_int_equal(v, 1990);
    assert_int_equal(parse_decimal("-19.900", 5, 2, &v), EVS_OK);
    assert_int_equal(v, -1990);
    assert_int_equal(parse_decimal("1.25e2", 5, 2, &v), EVS_OK);
    assert_int_equal(v, 12500);
    assert_int_equal(parse_decimal("007.5", 3, 2, &v), EVS_OK);
    assert_int_equal(v, 750);
    assert_int_equal(parse_decimal(".5", 3, 2, &v), EVS_OK);
    assert_int_equal(v, 50);
    assert_int_equal(parse_decimal("0e99", 3, 2, &v), EVS_OK);
    assert_int_equal(v, 0);
    assert_int_equal(parse_decimal("125e-2", 3, 2, &v), EVS_OK);
    assert_int_equal(v, 125);
    assert_int_equal(parse_decimal("1000", 5, 2, &v), EVS_ERR_OVERFLOW);
    assert_int_equal(parse_decimal("0.001", 5, 2, &v), EVS_ERR_OVERFLOW);
    assert_int_equal(parse_decimal("1e999999999999", 38, 0, &v), EVS_ERR_OVERFLOW);
    assert_int_equal(parse_decimal("1e-999999999999", 38, 38, &v), EVS_ERR_OVERFLOW);
    assert_int_equal(parse_decimal(".", 5, 2, &v), EVS_ERR_DECODE);
    assert_int_equal(parse_decimal("", 5, 2, &v), EVS_ERR_DECODE);
    assert_int_equal(parse_decimal("1x", 5, 2, &v), EVS_ERR_DECODE);
}

static void test_format_decimal_38_digits_reads_back(void **state)
{
    const char *texts[] = {"99999999999999999999999999999999999999",
                           "-99999999999999999999999999999999999.999",
                           "0.00000000000000000000000000000000000001",
                           "-0.01",
                           "0.00",
                           "100"};
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        const char *point = strchr(texts[i], '.');
        int32_t scale = point ? (int32_t)strlen(point + 1) : 0;
        char out[EVS__DECIMAL_TEXT_MAX + 1];
        evs__int128 v;
        assert_int_equal(evs__parse_decimal(texts[i], strlen(texts[i]), 38, scale, &v), EVS_OK);
        out[evs__format_decimal(v, scale, out)] = '\0';
        assert_string_equal(out, texts[i]);
    }
}

static void test_decimal_to_double_random_equals_text(void **state)
{
    (void)state;
    random_state = 9;
    for (int i = 0; i < 20000; i++) {
        evs__uint128 u =
            ((evs__uint128)next_random() << 64 | next_random()) >> (next_random() % 127);
        int32_t scale = (int32_t)(next_random() % 39);
        evs__int128 v = (evs__int128)(u >> 2);
        char text[EVS__DECIMAL_TEXT_MAX + 1];
        if (v >= evs__pow10_128(38))
            continue;
        if (i & 1)
            v = -v;
        text[evs__format_decimal(v, scale, text)] = '\0';
        assert_true(evs__decimal_to_double(v, scale) == strtod(text, NULL));
    }
}

/* by the definition: decode, check range and shortest form */
static bool plain_utf8_valid(const unsigned char *p, size_t len)
{
    for (size_t i = 0; i < len;) {
        uint32_t c = p[i];
        size_t n = c < 0x80 ? 1 : (c & 0xe0) == 0xc0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : 4;
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        if (n == 4 && (c & 0xf8) != 0xf0)
            return false;
        if (i + n > len)
            return false;
        if (n > 1)
            c &= 0xffu >> (n + 1);
        for (size_t k = 1; k < n; k++) {
            if ((p[i + k] & 0xc0) != 0x80)
                return false;
            c = c << 6 | (p[i + k] & 0x3f);
        }
        if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
            return false;
        i += n;
    }
    return true;
}

static void test_utf8_valid_every_short_sequence_equals_definition(void **state)
{
    static const unsigned char tails[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f,
                                          0xa0, 0xbf, 0xc0, 0xed, 0xf4, 0xff};
    const size_t n = sizeof(tails);
    (void)state;
    for (unsigned lead = 0; lead < 256; lead++) {
        for (size_t k = 0; k < n * n * n; k++) {
            unsigned char s[4] = {(unsigned char)lead, tails[k % n], tails[k / n % n],
                                  tails[k / n / n]};
            for (size_t len = 1; len <= 4; len++)
                assert_int_equal(evs__utf8_valid((const char *)s, len), plain_utf8_valid(s, len));
        }
    }
}

static void test_utf8_valid_prefix_finds_fault_at_every_offset(void **state)
{
    (void)state;
    for (size_t len = 1; len < 80; len++) {
        for (size_t at = 0; at < len; at++) {
            char *text = malloc(len);
            memset(text, 'a', len);
            text[at] = (char)0xff;
            assert_int_equal(evs__utf8_valid_prefix(text, len), at);
            text[at] = 'b';
            assert_int_equal(evs__utf8_valid_prefix(text, len), len);
            if (at + 1 < len) {
                memcpy(text + at, "\xc3\xa9", 2);
                assert_int_equal(evs__utf8_valid_prefix(text, len), len);
                assert_int_equal(evs__utf8_valid_prefix(text, at + 1), at);
            }
            free(text);
        }
    }
}

/* what stands for at most six places takes a way of its own, and so do its neighbours' bounds */
static void test_format_double_few_places_as_written(void **state)
{
    static const char *const texts[] = {"0.001",
                                        "0.000999",
                                        "0.0009",
                                        "0.000001",
                                        "999999999.999999",
                                        "1000000000.000001",
                                        "1000000000.0",
                                        "123.000001",
                                        "0.30000000000000004",
                                        "0.3",
                                        "4503599627.370497",
                                        "-19.9",
                                        "-0.001",
                                        "7.0",
                                        "100.5"};
    uint64_t seed = 4711;
    char text[EVS__DOUBLE_TEXT_MAX + 1], expected[64];

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        double v = strtod(texts[i], NULL);
        size_t n = evs__format_double(v, text);

        text[n] = '\0';
        assert_string_equal(text, strcmp(texts[i], "0.000001") ? texts[i] : "1e-6");
    }
    for (int i = 0; i < 100000; i++) {
        size_t n;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        n = (size_t)sprintf(expected, "%u.%06u", (unsigned)(1 + (seed >> 33) % 99999999),
                            (unsigned)((seed >> 13) % 1000000));
        while (expected[n - 1] == '0' && expected[n - 2] != '.')
            n--;
        expected[n] = '\0';
        text[evs__format_double(strtod(expected, NULL), text)] = '\0';
        assert_string_equal(text, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_int_limits_and_faults),
        cmocka_unit_test(test_format_int_limits_read_back),
        cmocka_unit_test(test_parse_double_hard_cases_round_correctly),
        cmocka_unit_test(test_parse_double_halfway_points_round_correctly),
        cmocka_unit_test(test_parse_double_bad_grammar_is_refused),
        cmocka_unit_test(test_parse_double_random_digits_round_correctly),
        cmocka_unit_test(test_format_double_random_is_shortest_and_reads_back),
        cmocka_unit_test(test_format_double_forms),
        cmocka_unit_test(test_parse_decimal_pads_and_refuses_what_does_not_fit),
        cmocka_unit_test(test_format_decimal_38_digits_reads_back),
        cmocka_unit_test(test_decimal_to_double_random_equals_text),
        cmocka_unit_test(test_utf8_valid_every_short_sequence_equals_definition),
        cmocka_unit_test(test_format_double_few_places_as_written),
        cmocka_unit_test(test_utf8_valid_prefix_finds_fault_at_every_offset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
