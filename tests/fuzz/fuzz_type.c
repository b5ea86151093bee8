/*
 * fuzz_type.c: type text, as in schemas, columns and CAST. What parses must print as text that
 * parses to an equal type.
 */
#include "fuzz.h"

#include <evstream/type.h>

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    evs_context *context = NULL;
    evs_type *type = NULL;
    evs_type *again = NULL;
    evs_error *error = NULL;
    char *text = malloc(size + 1);

    if (!text || evs_context_new(NULL, &context, NULL))
        abort();
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    if (!evs_type_parse(context, text, &type, &error)) {
        FUZZ_CHECK(!error);
        FUZZ_CHECK(!evs_type_parse(context, evs_type_print(type), &again, NULL));
        FUZZ_CHECK(evs_type_equal(type, again));
    } else {
        FUZZ_CHECK(error && *evs_error_message(error) && !type);
    }
    evs_error_unref(error);
    evs_type_unref(again);
    evs_type_unref(type);
    evs_context_unref(context);
    free(text);
    return 0;
}
