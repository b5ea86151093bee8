/*
 * codec/json_walk_sse2.c: the JSON reader with SSE2, which every x86-64 has.
 */
#if defined(__x86_64__)
#define JSON_LEVEL 1
#define JSON_WALK evs__json_walk_sse2
#define JSON_WALK_NAME "sse2"

#include "codec/json_walk.h"
#endif
