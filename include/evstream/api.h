/*
 * evstream/api.h: what every public header needs first: linkage, visibility, version.
 *
 * Every header of this folder compiles alone as C99 and as C++11.
 */
#ifndef EVSTREAM_API_H
#define EVSTREAM_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define EVS_BEGIN_DECLS extern "C" {
#define EVS_END_DECLS }
#else
#define EVS_BEGIN_DECLS
#define EVS_END_DECLS
#endif

#if defined(__GNUC__)
#define EVS_API __attribute__((visibility("default")))
#define EVS_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define EVS_API
#define EVS_PRINTF(fmt, args)
#endif

#define EVS_VERSION_MAJOR 0
#define EVS_VERSION_MINOR 1
#define EVS_VERSION_PATCH 0
#define EVS_VERSION_STRING "0.1.0"

EVS_BEGIN_DECLS

/**
 * The version of the library that is running, "0.1.0"; EVS_VERSION_STRING is that of the header.
 *
 * @returns a constant string, *borrowed until* the library is unloaded
 * @threads any
 * @since 0.1
 */
EVS_API const char *evs_version(void);

EVS_END_DECLS

#endif
