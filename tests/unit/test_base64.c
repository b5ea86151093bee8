/*
 * Base64 to bytes: RFC 4648's vectors both ways, padding left out, and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/buffer.h"

static void test_base64_decode_vectors_of_the_rfc(void **state)
{
    static const char *const vectors[][2] = {{"", ""},
                                             {"Zg==", "f"},
                                             {"Zm8=", "fo"},
                                             {"Zm9v", "foo"},
                                             {"Zm9vYg==", "foob"},
                                             {"Zm9vYmE=", "fooba"},
                                             {"Zm9vYmFy", "foobar"},
                                             {"Zg", "f"},
                                             {"Zm9vYmE", "fooba"},
                                             {"+/+/", "\xfb\xff\xbf"}};

    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        size_t len = strlen(vectors[i][0]);
        char out[32];
        size_t n = 99;

        assert_true(evs__base64_decode(vectors[i][0], len, out, &n));
        assert_int_equal(n, strlen(vectors[i][1]));
        assert_memory_equal(out, vectors[i][1], n);
    }
}

static void test_base64_decode_bad_text_is_refused(void **state)
{
    static const char *const bad[] = {"Z",     "Zg=",  "Zh==", "Zm9=", "Zm9vY", "Zg==Zg==", "Z m8=",
                                      "Zm8\n", "Zm-_", "====", "=",    "==",    "Zg===",    "Z==="};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char out[32];
        size_t n = 0;

        if (evs__base64_decode(bad[i], strlen(bad[i]), out, &n))
            fail_msg("\"%s\" is taken", bad[i]);
    }
}

static void test_base64_random_bytes_come_back(void **state)
{
    evs_context *ctx = NULL;
    evs__buffer text;
    uint64_t seed = 1;

    (void)state;
    assert_int_equal(evs_context_new(NULL, &ctx, NULL), EVS_OK);
    evs__buffer_init(&text, ctx, 1 << 16);
    for (size_t len = 0; len < 300; len++) {
        unsigned char bytes[300];
        size_t n = 0;
        char *out;

        for (size_t i = 0; i < len; i++)
            bytes[i] = (unsigned char)((seed = seed * 6364136223846793005u + 1) >> 56);
        evs__buffer_reset(&text);
        assert_int_equal(evs__buffer_base64(&text, bytes, len), EVS_OK);
        out = malloc(evs__base64_room(text.len));
        assert_true(evs__base64_decode(len ? text.data : "", text.len, out, &n));
        assert_int_equal(n, len);
        assert_memory_equal(out, bytes, n);
        free(out);
    }
    evs__buffer_free(&text);
    evs_context_unref(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64_decode_vectors_of_the_rfc),
        cmocka_unit_test(test_base64_decode_bad_text_is_refused),
        cmocka_unit_test(test_base64_random_bytes_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
