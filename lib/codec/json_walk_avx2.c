/*
 * codec/json_walk_avx2.c: the JSON reader with AVX2 and BMI2. The functions carry the target, not
 * the file, so the rest of the library stays what the compiler was told.
 */
#if defined(__x86_64__)
#define JSON_LEVEL 2
#define JSON_WALK evs__json_walk_avx2
#define JSON_WALK_NAME "avx2"

#include "codec/json_walk.h"
#endif
