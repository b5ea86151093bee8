/*
 * engine/frame.h: the outside of an operator's snapshot, and the parts that operators with keys
 * have in common.
 *
 *   magic | version | length of the body | body | CRC-32C of all before      little endian
 *   body: plan line | watermark | slots | ... the operator's own
 *
 * Reading never trusts: the checksum finds accidents; every count and value is checked all the
 * same.
 */
#ifndef EVS_ENGINE_FRAME_H
#define EVS_ENGINE_FRAME_H

#include "engine/keyed.h"
#include "engine/reader.h"
#include "engine/watermark.h"

static inline void evs__put_u8(evs__buffer *out, uint8_t v)
{
    evs__buffer_byte(out, v);
}

static inline void evs__put_u32(evs__buffer *out, uint32_t v)
{
    evs__buffer_append(out, &v, sizeof(v));
}

static inline void evs__put_i64(evs__buffer *out, int64_t v)
{
    evs__buffer_append(out, &v, sizeof(v));
}

/* returns where the frame begins, for the end */
size_t
evs__frame_begin(evs__buffer *out, uint32_t magic, const char *plan, const evs__merge_time *t);
/* the result of the whole write, told */
evs_status evs__frame_end(evs_context *ctx, evs__buffer *out, size_t begin, evs_error **reterr);
/* The body behind plan and time; `time` is one of as many slots. EVS_ERR_CORRUPT (not told);
 * EVS_ERR_STATE: the snapshot is of another operator */
evs_status evs__frame_open(evs_context *ctx,
                           const void *data,
                           size_t len,
                           uint32_t magic,
                           const char *plan,
                           evs__merge_time *time,
                           evs__reader *ret_body,
                           evs_error **reterr);

/* one key: [uint32 length][bytes]; length EVS__INTERN_NULL_LEN: NULL */
void evs__frame_put_key(evs__buffer *out, const evs__intern *keys, uint32_t id);
/* EVS_ERR_CORRUPT: no key of these types */
evs_status
evs__frame_read_key(evs__reader *in, const evs__keyed *keyed, evs__intern *keys, uint32_t *ret_id);
/* a failure of the state, told as the operator's */
evs_status evs__frame_fail(
    evs_context *ctx, const char *what, size_t max, evs_status status, evs_error **reterr);

#endif
