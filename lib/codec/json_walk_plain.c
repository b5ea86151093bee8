/*
 * codec/json_walk_plain.c: the JSON reader in plain C, for short documents and for processors
 * without vectors that we know.
 */
#define JSON_LEVEL 0
#define JSON_WALK evs__json_walk_plain
#define JSON_WALK_NAME "plain"

#include "codec/json_walk.h"
