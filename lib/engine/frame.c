/*
 * engine/frame.c: the outside of snapshots of operators with keys. See the header.
 */
#include <string.h>

#include "base/hash.h"
#include "engine/frame.h"

#define VERSION 1u
#define HEADER_BYTES 16u

size_t
evs__frame_begin(evs__buffer *out, uint32_t magic, const char *plan, const evs__merge_time *t)
{
    size_t begin = out->len, len = strlen(plan);

    evs__put_u32(out, magic);
    evs__put_u32(out, VERSION);
    evs__put_i64(out, 0);
    evs__put_u32(out, (uint32_t)len);
    evs__buffer_append(out, plan, len);
    evs__put_i64(out, t->watermark);
    evs__put_u32(out, t->count);
    for (uint32_t i = 0; i < t->count; i++) {
        evs__put_i64(out, t->slots[i].watermark);
        evs__put_u8(out, t->slots[i].idle);
    }
    return begin;
}

evs_status evs__frame_end(evs_context *ctx, evs__buffer *out, size_t begin, evs_error **reterr)
{
    if (!out->status) {
        uint64_t body = out->len - begin - HEADER_BYTES;
        memcpy(out->data + begin + 8, &body, sizeof(body));
        evs__put_u32(out, evs__crc32c(0, out->data + begin, out->len - begin));
    }
    if (out->status == EVS_ERR_NOMEM)
        return evs__nomem(reterr);
    return out->status ? evs__fail(ctx, reterr, out->status, "the snapshot is too large") : EVS_OK;
}

static bool open_frame(const void *data, size_t len, uint32_t magic, evs__reader *in)
{
    uint32_t found, version, crc;
    uint64_t body;

    *in = (evs__reader){data, (const char *)data + len};
    if (!evs__read(in, &found, 4) || !evs__read(in, &version, 4) || !evs__read(in, &body, 8))
        return false;
    if (found != magic || version != VERSION || evs__reader_left(in) < sizeof(crc) ||
        body != evs__reader_left(in) - sizeof(crc))
        return false;
    memcpy(&crc, in->end - sizeof(crc), sizeof(crc));
    in->end -= sizeof(crc);
    return evs__crc32c(0, data, len - sizeof(crc)) == crc;
}

static evs_status
check_plan(evs_context *ctx, evs__reader *in, const char *plan, evs_error **reterr)
{
    const char *found;
    uint32_t len;

    if (!evs__read(in, &len, sizeof(len)) || !evs__read_bytes(in, len, &found))
        return EVS_ERR_CORRUPT;
    if (len == strlen(plan) && memcmp(found, plan, len) == 0)
        return EVS_OK;
    return evs__fail(ctx, reterr, EVS_ERR_STATE,
                     "the snapshot is of another step: \"%.*s\", this one is \"%.300s\"",
                     len > 300 ? 300 : (int)evs__utf8_valid_prefix(found, len), found, plan);
}

evs_status evs__frame_open(evs_context *ctx,
                           const void *data,
                           size_t len,
                           uint32_t magic,
                           const char *plan,
                           evs__merge_time *time,
                           evs__reader *ret_body,
                           evs_error **reterr)
{
    uint32_t slots;
    evs_status status;

    if (!open_frame(data, len, magic, ret_body))
        return EVS_ERR_CORRUPT;
    status = check_plan(ctx, ret_body, plan, reterr);
    if (status)
        return status;
    if (!evs__read(ret_body, &time->watermark, 8) || !evs__read(ret_body, &slots, 4))
        return EVS_ERR_CORRUPT;
    if (slots != time->count)
        return evs__fail(ctx, reterr, EVS_ERR_STATE,
                         "the snapshot is of a step over %u inputs, this one has %u", slots,
                         time->count);
    for (uint32_t i = 0; i < slots; i++) {
        uint8_t idle;
        if (!evs__read(ret_body, &time->slots[i].watermark, 8) || !evs__read(ret_body, &idle, 1) ||
            idle > 1)
            return EVS_ERR_CORRUPT;
        time->slots[i].idle = idle;
    }
    return EVS_OK;
}

void evs__frame_put_key(evs__buffer *out, const evs__intern *keys, uint32_t id)
{
    uint32_t len = evs__intern_len(keys, id);

    evs__put_u32(out, len);
    if (len != EVS__INTERN_NULL_LEN)
        evs__buffer_append(out, evs__intern_data(keys, id), len);
}

evs_status
evs__frame_read_key(evs__reader *in, const evs__keyed *keyed, evs__intern *keys, uint32_t *ret_id)
{
    evs__intern_probe probe;
    const char *data = NULL;
    uint32_t len;

    if (!evs__read(in, &len, sizeof(len)) ||
        (len != EVS__INTERN_NULL_LEN && !evs__read_bytes(in, len, &data)) ||
        !evs__key_check(keyed->form, keyed->types, keyed->count, data, len, &probe))
        return EVS_ERR_CORRUPT;
    return evs__intern_add(keys, &probe, 1, ret_id);
}

evs_status evs__frame_fail(
    evs_context *ctx, const char *what, size_t max, evs_status status, evs_error **reterr)
{
    if (status == EVS_ERR_NOMEM)
        return evs__nomem(reterr);
    if (status == EVS_ERR_CORRUPT)
        return evs__fail(ctx, reterr, status, "the snapshot of a %s is damaged", what);
    return evs__fail(ctx, reterr, status,
                     "the state of a %s has reached its bound of %zu bytes (state_bytes_max)", what,
                     max);
}
