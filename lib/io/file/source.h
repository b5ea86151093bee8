/*
 * io/file/source.h: inside of the file source: source.c (files, turns, positions), part.c (one
 * file: bytes to events).
 */
#ifndef EVS_IO_FILE_SOURCE_H
#define EVS_IO_FILE_SOURCE_H

#include <pthread.h>
#include <stdatomic.h>

#include "io/file/file.h"

/* Bytes that events point into. Referenced by the file that is being split and by each block of
 * events that was given out. */
typedef struct file_chunk {
    atomic_int refs;
    file_bytes b;
} file_chunk;

file_chunk *evs__file_chunk_new(evs_context *ctx, size_t capacity);
void evs__file_chunk_unref(file_chunk *c);

/* what one read gave */
typedef struct file_block {
    struct file_block *next;
    evs_input *inputs;
    size_t count, capacity;
    file_chunk *chunk;
    char *arranged; /* records in the schema's order, see header.c */
} file_block;

/* how all files of a source are read */
typedef struct file_settings {
    evs_context *ctx;
    file_form form;
    char delimiter;
    bool header, follow;
    const char *compression; /* option */
    size_t line_max, block_max;
    evs_schema
        *schema; /* of the events: of the host, of the first container, of the first header */
} file_settings;

/* One file, one partition. */
typedef struct file_part {
    file_settings *set; /* of the source */
    const char *path;
    uint32_t index;
    bool open, begun, at_end, paused;
    int64_t position; /* of the next event: byte (text), number of the record (container) */
    file_stream stream;
    file_chunk *chunk; /* at .. len is not split yet */
    size_t at;
    int64_t base; /* text: position of the chunk's first byte */
    bool ended;   /* the stream's end was seen after the last byte */
    /* text */
    file_header columns;
    file_chunk *cut; /* a line that is too long: its beginning, until its end is found */
    /* container */
    file_container container;
    file_bytes raw; /* of the file: raw_at .. len is not taken yet */
    size_t raw_at;
    int64_t left;   /* values in the chunk that were not given yet */
    int64_t number; /* of the chunk's next value */
} file_part;

/* Open the file, read its header if it has one (sets set->schema), go to p->position (-1: the first
 * event). EVS_AGAIN: a pipe gave no whole header within wait_ms (-1: for ever). */
evs_status evs__file_part_begin(file_part *p, int64_t wait_ms, evs_error **reterr);
void evs__file_part_close(file_part *p);
/* Up to b->capacity events. EVS_AGAIN: none now; EVS_END: none now, at the end of what there is
 * (p->at_end). */
evs_status
evs__file_part_read(file_part *p, file_block *b, size_t max, int64_t wait_ms, evs_error **reterr);

#endif
