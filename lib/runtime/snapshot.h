/*
 * runtime/snapshot.h: an epoch as bytes, and the folder it is kept in.
 */
#ifndef EVS_RUNTIME_SNAPSHOT_H
#define EVS_RUNTIME_SNAPSHOT_H

#include "runtime/runtime.h"

/* ---- snapshot.c: bytes ---- */

/* where an image goes, section by section: to a file, or kept in `bytes` when fd is -1 */
typedef struct evs__image_out {
    evs__buffer *bytes;
    int fd;
} evs__image_out;

/* all of the runtime's state as epoch `epoch` */
evs_status
evs__image_write(evs__runtime *rt, int64_t epoch, evs__image_out *out, evs_error **reterr);
/*
 * Check an image and load it: operators, and with `positions` the positions of all partitions.
 * `what` names it in errors. Reading any bytes is safe. EVS_ERR_CORRUPT; EVS_ERR_STATE (it belongs
 * to another plan, application, source, partition count or number of shards).
 */
evs_status evs__image_load(evs__runtime *rt,
                           const void *data,
                           size_t len,
                           bool positions,
                           const char *what,
                           int64_t *ret_epoch,
                           evs_error **reterr);
/* the positions alone, as text for a sink to keep beside its epoch */
evs_status evs__offsets_write(evs__runtime *rt, int64_t epoch, evs__buffer *out);
evs_status
evs__offsets_load(evs__runtime *rt, const char *text, const char *what, evs_error **reterr);

/* ---- store.c: files ---- */

typedef struct evs__store evs__store;
/* STATE.DIR/APPLICATION.ID, made when missing, and locked against other processes */
evs_status evs__store_open(evs_context *ctx,
                           const char *dir,
                           const char *application_id,
                           evs__store **ret,
                           evs_error **reterr);
void evs__store_close(evs__store *store);
/* newest epoch there is a file of, and the one before it; 0: none */
evs_status
evs__store_epochs(evs__store *store, int64_t *ret_newest, int64_t *ret_before, evs_error **reterr);
/* path of an epoch's file, for errors; *borrowed until* the next call */
const char *evs__store_path(evs__store *store, int64_t epoch);
evs_status evs__store_read(evs__store *store, int64_t epoch, evs__buffer *out, evs_error **reterr);
/*
 * begin, write the image to *ret_fd, then end: it becomes the epoch's file at once, or (keep false)
 * is thrown away. Files older than the epoch before go. Failures are retriable.
 */
evs_status evs__store_begin(evs__store *store, int *ret_fd, evs_error **reterr);
evs_status evs__store_end(evs__store *store, int fd, int64_t epoch, bool keep, evs_error **reterr);

#endif
