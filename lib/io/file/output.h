/*
 * io/file/output.h: bytes to a file: whole rows, compressed if asked for, undone to the last
 * commit.
 */
#ifndef EVS_IO_FILE_OUTPUT_H
#define EVS_IO_FILE_OUTPUT_H

#include "io/file/file.h"

typedef struct file_output {
    evs_context *ctx;
    char *path;
    int fd;
    bool regular, may_wait;
    file_compression compression; /* of the file as a whole */
    file_coder *coder;
    bool in_frame;
    file_bytes pending; /* to be written: from `written` on */
    size_t written;
    int64_t size;      /* of the file */
    int64_t committed; /* its size at the last commit: what abort goes back to */
} file_output;

/* EVS_ERR_UNAVAILABLE: another process writes the file. A compressed file's damaged end, left by a
 * crash, is cut off. */
evs_status evs__file_output_open(evs_context *ctx,
                                 const char *path,
                                 file_compression compression,
                                 bool truncate,
                                 file_output *ret,
                                 evs_error **reterr);
void evs__file_output_close(file_output *o);
/* bytes into `pending`; the view moves on over what was taken, so a failed call can be repeated */
evs_status evs__file_output_put(file_output *o, evs_string_view *bytes, evs_error **reterr);
/* `pending` to the file; what does not get there stays, and the next call goes on */
evs_status evs__file_output_write(file_output *o, int64_t wait_ms, evs_error **reterr);
/* end the frame */
evs_status evs__file_output_finish(file_output *o, evs_error **reterr);
/* cut the file to `size`; nothing else is pending then */
evs_status evs__file_output_cut(file_output *o, int64_t size, evs_error **reterr);

#endif
