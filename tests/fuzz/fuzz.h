/*
 * fuzz.h: the one function that a fuzz target defines, tests/fuzz/fuzz_NAME.c.
 *
 * A target takes any bytes, must not keep anything from one call to the next, and aborts when what
 * it checks is violated; memory faults are found by the sanitizers. It frees all that it allocates.
 */
#ifndef EVS_TESTS_FUZZ_H
#define EVS_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/** Stop the run: what the target promises does not hold for this input. */
#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
