/*
 * codec/avro_decode.c: running a decoder's program over a run of events.
 *
 * One threaded loop: each instruction ends with a jump to the code of the next, so that the branch
 * predictor learns the record's shape. The row (or element) that is being filled is an index that
 * all columns of a level share; nothing is counted per column until the run ends or a level has to
 * grow. Strings are views of the payload. No instruction reads a byte before it was held against
 * the end.
 *
 *   cur     row of the level at hand        frames[depth]   open lists: where to go on, outer `cur`
 *
 * A row that fails is cut off again: lengths are set to the furthest row that may have been touched
 * and evs__column_truncate() restores them with the validity bits.
 *
 * Cost by callgrind: about 50 instructions a row, 15 to 50 a field (a double least, text with its
 * UTF-8 check most).
 */
#include <stdio.h>

#include "codec/avro.h"

#define PREFETCH_AHEAD 4 /* events */

typedef struct frame {
    const evs__avro_op *op;   /* the LIST */
    const uint8_t *block_end; /* NULL: the writer did not say */
    int64_t block_bytes;
    uint64_t left; /* elements of this block to come, with the one at hand */
    uint32_t parent;
    uint32_t first; /* element of the child level that is the list's first */
} frame;

typedef struct avro_decoder {
    evs__format_decoder base;
    evs_context *ctx;
    evs__avro_program program;
    frame frames[EVS__TYPE_DEPTH_MAX];
    uint32_t depth;
    uint64_t cells; /* values that elements of the row at hand made */
} avro_decoder;

/* ---- columns of a run ---- */

static void slot_refresh(evs__avro_slot *s)
{
    s->values = s->column->values;
    s->validity = s->column->validity;
    s->offsets = s->column->offsets;
}

static void bind(evs__avro_program *p, evs__column **columns, uint32_t row)
{
    for (size_t i = 0; i < p->slot_count; i++) {
        const evs__avro_place *at = &p->places[i];
        evs__avro_slot *s = &p->slots[i];
        s->column =
            at->parent < 0 ? columns[at->child] : p->slots[at->parent].column->children[at->child];
        slot_refresh(s);
        p->levels[at->level].length = s->column->length;
        p->levels[at->level].capacity = s->column->capacity;
    }
    p->levels[0].length = row;
}

static void unbind(evs__avro_program *p)
{
    for (size_t i = 0; i < p->slot_count; i++)
        p->slots[i].column->length = p->levels[p->places[i].level].length;
}

/* room for `count` elements behind `used`; false: no memory */
static bool level_grow(evs__avro_program *p, uint32_t index, uint32_t used, uint64_t count)
{
    evs__avro_level *level = &p->levels[index];
    uint32_t capacity = UINT32_MAX;

    if (count > INT32_MAX - used)
        return false;
    for (uint32_t i = 0; i < level->slot_count; i++) {
        evs__avro_slot *s = &p->slots[p->level_slots[level->slot_first + i]];
        if (evs__column_reserve(s->column, used + (uint32_t)count))
            return false;
        slot_refresh(s);
        if (s->column->capacity < capacity)
            capacity = s->column->capacity;
    }
    level->capacity = capacity;
    return true;
}

/* false: no memory for the first validity bits */
static inline bool set_null(evs__avro_slot *s, uint32_t cur, uint8_t width)
{
    switch (width) {
    case EVS__WIDTH_BIT:
        evs__bit_clear(s->bits, cur);
        break;
    case EVS__WIDTH_4:
        s->i32[cur] = 0;
        break;
    case EVS__WIDTH_8:
        s->i64[cur] = 0;
        break;
    case EVS__WIDTH_16:
        s->i128[cur] = 0;
        break;
    case EVS__WIDTH_VIEW:
        s->views[cur] = (evs_string_view){"", 0};
        break;
    default:
        break;
    }
    if (EVS__UNLIKELY(!s->validity)) {
        if (evs__column_set_null(s->column, cur))
            return false;
        s->validity = s->column->validity;
        return true;
    }
    evs__bit_clear(s->validity, cur);
    return true;
}

/* ---- values ---- */

static inline const uint8_t *
read_int(const uint8_t *p, const uint8_t *end, int64_t *ret, evs__avro_failure *f)
{
    p = evs__avro_long(p, end, ret, f);
    if (EVS__UNLIKELY(p && *ret != (int32_t)*ret))
        return evs__avro_fault_at(f, EVS__FAULT_INT, *ret);
    return p;
}

/* find the end of a varint, not its value */
static inline const uint8_t *skip_varint(const uint8_t *p, const uint8_t *end, evs__avro_failure *f)
{
    uint64_t w, stops;

    if (EVS__LIKELY(p < end && *p < 0x80))
        return p + 1;
    if (EVS__LIKELY(end - p >= 8)) {
        memcpy(&w, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        w = __builtin_bswap64(w);
#endif
        stops = ~w & EVS__BYTES_OF(0x80);
        if (EVS__LIKELY(stops))
            return p + ((unsigned)__builtin_ctzll(stops) >> 3) + 1;
    }
    return evs__avro_varint_slow(p, end, f);
}

static inline const uint8_t *read_branch(
    const uint8_t *p, const uint8_t *end, uint64_t count, uint64_t *ret, evs__avro_failure *f)
{
    uint64_t v = 0;

    p = evs__avro_varint(p, end, &v, f);
    if (EVS__UNLIKELY(!p))
        return NULL;
    *ret = v >> 1;
    if (EVS__UNLIKELY((v & 1) || *ret >= count))
        return evs__avro_fault_at(f, EVS__FAULT_BRANCH, evs__avro_unzigzag(v));
    return p;
}

static inline const uint8_t *
read_text(const uint8_t *p, const uint8_t *end, evs_string_view *ret, evs__avro_failure *f)
{
    size_t len = 0;

    p = evs__avro_length(p, end, &len, f);
    if (EVS__UNLIKELY(!p))
        return NULL;
    if (EVS__UNLIKELY(!evs__avro_text_valid(p, len, end)))
        return evs__avro_fault_at(f, EVS__FAULT_UTF8,
                                  (int64_t)evs__utf8_valid_prefix((const char *)p, len));
    *ret = (evs_string_view){(const char *)p, len};
    return p + len;
}

static inline const uint8_t *
read_fixed(const uint8_t *p, const uint8_t *end, size_t size, evs__avro_failure *f)
{
    if (EVS__UNLIKELY((size_t)(end - p) < size))
        return evs__avro_fault_at(f, EVS__FAULT_END, 0);
    return p + size;
}

static const uint8_t *read_enum(const uint8_t *p,
                                const uint8_t *end,
                                const evs__avro_node *node,
                                evs_string_view *ret,
                                evs__avro_failure *f)
{
    int64_t v = 0;

    p = evs__avro_long(p, end, &v, f);
    if (!p)
        return NULL;
    if (v < 0 || (uint64_t)v >= node->child_count)
        return evs__avro_fault_at(f, EVS__FAULT_ENUM, v);
    *ret = (evs_string_view){node->names[v], strlen(node->names[v])};
    return p;
}

/* two's complement, big endian; bytes beyond 16 may only extend the sign */
static const uint8_t *read_decimal(
    const uint8_t *p, size_t len, int32_t precision, evs__int128 *ret, evs__avro_failure *f)
{
    evs__uint128 v;
    evs__int128 limit = evs__pow10_128(precision);
    uint8_t sign;

    if (!len)
        return evs__avro_fault_at(f, EVS__FAULT_DECIMAL_EMPTY, 0);
    sign = p[0] & 0x80 ? 0xff : 0;
    while (len > 16) {
        if (*p != sign)
            return evs__avro_fault_at(f, EVS__FAULT_DECIMAL, precision);
        p++;
        len--;
    }
    if ((p[0] & 0x80) != (sign & 0x80))
        return evs__avro_fault_at(f, EVS__FAULT_DECIMAL, precision);
    v = sign ? ~(evs__uint128)0 : 0;
    for (size_t i = 0; i < len; i++)
        v = v << 8 | p[i];
    if ((evs__int128)v >= limit || (evs__int128)v <= -limit)
        return evs__avro_fault_at(f, EVS__FAULT_DECIMAL, precision);
    *ret = (evs__int128)v;
    return p + len;
}

static const uint8_t *
read_uuid(const uint8_t *p, evs__scratch *scratch, evs_string_view *ret, evs__avro_failure *f)
{
    static const char digits[] = "0123456789abcdef";
    char *text = evs__scratch_alloc(scratch, 36);
    size_t n = 0;

    if (!text)
        return evs__avro_fault_at(f, EVS__FAULT_NOMEM, 0);
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            text[n++] = '-';
        text[n++] = digits[p[i] >> 4];
        text[n++] = digits[p[i] & 15];
    }
    *ret = (evs_string_view){text, 36};
    return p + 16;
}

static int64_t divide_down(int64_t v, int64_t divisor)
{
    int64_t q = v / divisor;
    return q - (v % divisor < 0);
}

/* ---- the loop ---- */

static inline bool header_matches(const evs_input *in, const uint8_t *header, uint32_t len)
{
    if (EVS__UNLIKELY(!in->value || in->value_len < len))
        return false;
    /* the two that occur: no call */
    if (!len)
        return true;
    if (EVS__LIKELY(len == 5))
        return memcmp(in->value, header, 4) == 0 && ((const uint8_t *)in->value)[4] == header[4];
    return memcmp(in->value, header, len) == 0;
}

/* gcc would join the instructions' common tails again, and keep more alive than there are registers
 */
#if defined(__GNUC__) && !defined(__clang__)
#define DISPATCH_TABLE __attribute__((optimize("no-crossjumping", "no-gcse")))
#else
#define DISPATCH_TABLE
#endif

/*
 * Run until the inputs end or one fails: then `f` is filled and the instruction that failed is
 * returned; `ret_cur` is the index at its level. NULL: nothing failed.
 */
DISPATCH_TABLE
static const evs__avro_op *run_program(avro_decoder *d,
                                       evs__decode_run *r,
                                       evs__scratch *scratch,
                                       evs__avro_failure *f,
                                       uint32_t *ret_cur)
{
    /* in the order of evs__avro_code */
    static const void *const labels[EVS__OP_COUNT] = {
        &&op_null,          &&op_boolean,       &&op_int,
        &&op_long,          &&op_int_long,      &&op_int_double,
        &&op_long_double,   &&op_float,         &&op_double,
        &&op_string,        &&op_bytes,         &&op_fixed,
        &&op_enum,          &&op_divide,        &&op_divide_int,
        &&op_decimal_bytes, &&op_decimal_fixed, &&op_uuid_fixed,
        &&op_option,        &&op_option_leaf,   &&op_union,
        &&op_fail_null,     &&op_jump,          &&op_set_null,
        &&op_set_null_list, &&op_list,          &&op_list_next,
        &&op_skip_bytes,    &&op_skip_varints,  &&op_skip_texts,
        &&op_skip_option,   &&op_skip_node,     &&op_end};
    /* few variables live from one instruction to the next: they fit into registers */
    evs__avro_slot *const slots = d->program.slots;
    const evs__avro_op *op = d->program.ops;
    const evs_input *in = r->inputs + r->at;
    const uint8_t *p = NULL, *end = NULL;
    uint32_t cur = r->row;
    /* of one instruction */
    frame *fr = NULL;
    uint64_t n = 0;
    int64_t v = 0;
    size_t len = 0;
    float narrow;
    /* their address is taken: apart from n and v */
    uint64_t block_count = 0;
    int64_t block_bytes = 0;

#define SLOT (slots[op->slot])
#define DISPATCH() goto *labels[op->code]
#define NEXT()                                                                                     \
    do {                                                                                           \
        op++;                                                                                      \
        DISPATCH();                                                                                \
    } while (0)
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (EVS__UNLIKELY(!(condition)))                                                           \
            goto fail;                                                                             \
    } while (0)

next_input:
    if (r->at == r->count || !header_matches(in, r->header, r->header_len)) {
        r->row = cur;
        return NULL;
    }
    /* payloads are anywhere in memory */
    if (r->count - r->at > PREFETCH_AHEAD) {
        uintptr_t ahead = (uintptr_t)in[PREFETCH_AHEAD].value;
        __builtin_prefetch((const void *)ahead);
        __builtin_prefetch((const void *)(ahead + 64));
    }
    p = in->value;
    end = p + in->value_len;
    p += r->header_len;
    op = d->program.ops;
    d->cells = 0;
    DISPATCH();

op_null:
    NEXT();
op_boolean:
    CHECK(end - p >= 1 || evs__avro_fault_at(f, EVS__FAULT_END, 0));
    CHECK(*p <= 1 || evs__avro_fault_at(f, EVS__FAULT_BOOLEAN, *p));
    if (*p++)
        evs__bit_set(SLOT.bits, cur);
    else
        evs__bit_clear(SLOT.bits, cur);
    NEXT();
op_int:
    CHECK(p = read_int(p, end, &v, f));
    SLOT.i32[cur] = (int32_t)v;
    NEXT();
op_long:
    CHECK(p = evs__avro_long(p, end, &v, f));
    SLOT.i64[cur] = v;
    NEXT();
op_int_long:
    CHECK(p = read_int(p, end, &v, f));
    SLOT.i64[cur] = v;
    NEXT();
op_int_double:
    CHECK(p = read_int(p, end, &v, f));
    SLOT.f64[cur] = (double)v;
    NEXT();
op_long_double:
    CHECK(p = evs__avro_long(p, end, &v, f));
    SLOT.f64[cur] = (double)v;
    NEXT();
op_float:
    CHECK(p = read_fixed(p, end, 4, f));
    memcpy(&narrow, p - 4, 4);
    SLOT.f64[cur] = (double)narrow;
    NEXT();
op_double:
    CHECK(p = read_fixed(p, end, 8, f));
    memcpy(&SLOT.f64[cur], p - 8, 8);
    NEXT();
op_string:
    CHECK(p = read_text(p, end, &SLOT.views[cur], f));
    NEXT();
op_bytes:
    CHECK(p = evs__avro_length(p, end, &len, f));
    SLOT.views[cur] = (evs_string_view){(const char *)p, len};
    p += len;
    NEXT();
op_fixed:
    CHECK(p = read_fixed(p, end, op->size, f));
    SLOT.views[cur] = (evs_string_view){(const char *)p - op->size, op->size};
    NEXT();
op_enum:
    CHECK(p = read_enum(p, end, op->node, &SLOT.views[cur], f));
    NEXT();
op_divide:
    CHECK(p = evs__avro_long(p, end, &v, f));
    SLOT.i64[cur] = divide_down(v, op->size);
    NEXT();
op_divide_int:
    CHECK(p = evs__avro_long(p, end, &v, f));
    v = divide_down(v, op->size);
    CHECK(v == (int32_t)v || evs__avro_fault_at(f, EVS__FAULT_OVERFLOW, v));
    SLOT.i32[cur] = (int32_t)v;
    NEXT();
op_decimal_bytes:
    CHECK(p = evs__avro_length(p, end, &len, f));
    CHECK(p = read_decimal(p, len, op->flag, &SLOT.i128[cur], f));
    NEXT();
op_decimal_fixed:
    CHECK(p = read_fixed(p, end, op->size, f));
    CHECK(p = read_decimal(p - op->size, op->size, op->flag, &SLOT.i128[cur], f));
    NEXT();
op_uuid_fixed:
    CHECK(p = read_fixed(p, end, 16, f));
    CHECK(p = read_uuid(p - 16, scratch, &SLOT.views[cur], f));
    NEXT();
op_option:
    CHECK(p = read_branch(p, end, 2, &n, f));
    op = n == op->flag ? d->program.ops + op->target : op + 1;
    DISPATCH();
op_option_leaf:
    CHECK(p = read_branch(p, end, 2, &n, f));
    if (n != op->flag)
        NEXT();
    CHECK(set_null(&SLOT, cur, op->width) || evs__avro_fault_at(f, EVS__FAULT_NOMEM, 0));
    op += 2;
    DISPATCH();
op_union:
    CHECK(p = read_branch(p, end, op->node->child_count, &n, f));
    op = d->program.ops + d->program.targets[op->target + n];
    DISPATCH();
op_fail_null:
    evs__avro_fault_at(f, EVS__FAULT_NOT_NULL, 0);
    goto fail;
op_jump:
    op = d->program.ops + op->target;
    DISPATCH();
op_set_null:
    CHECK(set_null(&SLOT, cur, op->width) || evs__avro_fault_at(f, EVS__FAULT_NOMEM, 0));
    NEXT();
op_set_null_list:
    SLOT.offsets[cur + 1] = (int32_t)d->program.levels[op->level].length;
    CHECK(set_null(&SLOT, cur, EVS__WIDTH_NONE) || evs__avro_fault_at(f, EVS__FAULT_NOMEM, 0));
    NEXT();
op_list:
    fr = &d->frames[d->depth++];
    fr->op = op;
    fr->parent = cur;
    fr->first = cur = d->program.levels[op->level].length;
    goto next_block;
op_list_next:
    fr = &d->frames[d->depth - 1];
    cur++;
    if (--fr->left) {
        op = d->program.ops + op->target;
        DISPATCH();
    }
    op = fr->op;
    CHECK(!fr->block_end || p == fr->block_end ||
          evs__avro_fault_at(f, EVS__FAULT_BLOCK_SIZE, fr->block_bytes));
next_block:
    CHECK(p = evs__avro_block(p, end, op->size, &block_count, &block_bytes, f));
    if (!block_count) {
        d->program.levels[op->level].length = cur;
        SLOT.offsets[fr->parent + 1] = (int32_t)cur;
        cur = fr->parent;
        d->depth--;
        op = d->program.ops + op->target;
        DISPATCH();
    }
    d->cells += block_count * d->program.levels[op->level].slot_count;
    CHECK(d->cells <= EVS__AVRO_CELLS_MAX || evs__avro_fault_at(f, EVS__FAULT_CELLS, 0));
    CHECK(block_count <= d->program.levels[op->level].capacity - cur ||
          level_grow(&d->program, op->level, cur, block_count) ||
          evs__avro_fault_at(f, EVS__FAULT_NOMEM, 0));
    fr->left = block_count;
    fr->block_bytes = block_bytes;
    fr->block_end = block_bytes >= 0 ? p + block_bytes : NULL;
    NEXT();
op_skip_bytes:
    CHECK(p = read_fixed(p, end, op->size, f));
    NEXT();
op_skip_varints:
    for (n = op->size; n; n--) {
        const uint8_t *next = skip_varint(p, end, f);
        if (EVS__UNLIKELY(!next))
            goto fail_nth;
        p = next;
    }
    NEXT();
op_skip_texts:
    for (n = op->size; n; n--) {
        const uint8_t *next = evs__avro_length(p, end, &len, f);
        if (EVS__UNLIKELY(!next))
            goto fail_nth;
        p = next + len;
    }
    NEXT();
op_skip_option:
    CHECK(p = read_branch(p, end, 2, &n, f));
    op = n == op->flag ? d->program.ops + op->target : op + 1;
    DISPATCH();
op_skip_node:
    CHECK(p = evs__avro_skip(op->node, p, end, d->program.validate, f));
    NEXT();
op_end:
    CHECK(p == end || evs__avro_fault_at(f, EVS__FAULT_TRAILING, end - p));
    r->origin[cur++] = (uint32_t)r->at++;
    in++;
    goto next_input;

fail_nth:
    f->nth = op->size - (uint32_t)n;
fail:
    *ret_cur = cur;
    return op;
#undef SLOT
#undef DISPATCH
#undef NEXT
#undef CHECK
}

/* ---- failures ---- */

/* the row that failed, and all that may have been appended for it, is cut off; returns the row */
static uint32_t undo(avro_decoder *d, uint32_t cur)
{
    evs__avro_program *p = &d->program;
    uint32_t row = d->depth ? d->frames[0].parent : cur;

    for (uint32_t i = d->depth; i-- > 0;) {
        p->levels[d->frames[i].op->level].length = cur;
        cur = d->frames[i].parent;
    }
    p->levels[0].length = row;
    /* one more than the length: the row at hand may have a NULL */
    for (size_t i = 0; i < p->slot_count; i++) {
        evs__avro_slot *s = &p->slots[i];
        s->column->length = p->levels[p->places[i].level].length;
        if (s->column->length < s->column->capacity) {
            if (s->offsets)
                s->offsets[s->column->length + 1] = s->offsets[s->column->length];
            s->column->length++;
        }
    }
    for (size_t i = 0; i < p->slot_count && p->places[i].parent < 0; i++)
        evs__column_truncate(p->slots[i].column, row);
    for (size_t i = 0; i < p->slot_count; i++)
        p->levels[p->places[i].level].length = p->slots[i].column->length;
    p->levels[0].length = row;
    return row;
}

static const char *what_of(const evs__avro_op *op)
{
    switch (op->code) {
    case EVS__OP_BYTES:
        return "bytes";
    case EVS__OP_DECIMAL_BYTES:
        return "decimal";
    case EVS__OP_SKIP_TEXTS:
        return "string or bytes";
    default:
        return "string";
    }
}

/* "items[].price" with the indices of the open lists, and the steps inside a skipped value */
static void path_text(const avro_decoder *d,
                      const char *path,
                      const evs__avro_failure *f,
                      uint32_t cur,
                      evs__buffer *out)
{
    uint32_t depth = 0;

    for (; *path; path++) {
        evs__buffer_byte(out, (uint8_t)*path);
        if (path[0] == '[' && depth < d->depth) {
            uint32_t at = depth + 1 < d->depth ? d->frames[depth + 1].parent : cur;
            evs__buffer_int(out, at - d->frames[depth++].first);
        }
    }
    if (f->trail_count == EVS__AVRO_TRAIL_MAX)
        evs__buffer_text(out, " ... ");
    for (uint32_t i = f->trail_count; i-- > 0;) {
        bool first = !out->len || out->data[out->len - 1] == ' ';
        if (f->trail[i].name)
            evs__buffer_printf(out, "%s%s", first ? "" : ".", f->trail[i].name);
        else
            evs__buffer_printf(out, "[%lld]", (long long)f->trail[i].index);
    }
}

static evs_status tell(const avro_decoder *d,
                       const evs__avro_op *op,
                       const evs__avro_failure *f,
                       uint32_t cur,
                       char *message,
                       size_t size)
{
    char text[160] = "";
    const char *path = d->program.paths + op->path;
    evs_status status = evs__avro_fault_text(f, what_of(op), text, sizeof(text));
    bool many = op->code == EVS__OP_SKIP_VARINTS || op->code == EVS__OP_SKIP_TEXTS;
    evs__buffer full;

    /* paths of merged skips stand one behind the other */
    for (uint32_t i = 0; many && i < f->nth; i++)
        path += strlen(path) + 1;
    evs__buffer_init(&full, d->ctx, 512);
    path_text(d, path, f, cur, &full);
    full.status = EVS_OK;
    path = evs__buffer_cstr(&full);
    evs__row_fail(message, size, status, path ? path : "", "%s", text);
    evs__buffer_free(&full);
    return status;
}

static evs_status decode_batch(evs__format_decoder *base,
                               evs__decode_run *r,
                               evs__column **columns,
                               evs__scratch *scratch,
                               char *message,
                               size_t size)
{
    avro_decoder *d = (avro_decoder *)base;
    evs__avro_failure f = {.fault = EVS__FAULT_NONE};
    const evs__avro_op *op;
    uint32_t cur = 0;
    evs_status status = EVS_OK;

    bind(&d->program, columns, r->row);
    d->depth = 0;
    op = run_program(d, r, scratch, &f, &cur);
    if (op) {
        status = tell(d, op, &f, cur, message, size);
        r->row = undo(d, cur);
        return status;
    }
    d->program.levels[0].length = r->row;
    unbind(&d->program);
    return EVS_OK;
}

/* ---- the format ---- */

static void decoder_free(evs__format_decoder *base)
{
    avro_decoder *d = (avro_decoder *)base;

    evs__avro_program_free(&d->program);
    evs__free(d->ctx, d);
}

static evs_status new_decoder(evs_context *ctx,
                              evs_schema *schema,
                              const evs_type *wanted,
                              const evs__codec_options *o,
                              evs__format_decoder **ret,
                              evs_error **reterr)
{
    avro_decoder *d;
    evs_status status;

    if (!schema->avro)
        return evs__fail(ctx, reterr, EVS_ERR_CONFIG,
                         "format \"avro\" needs an Avro schema: columns do not tell how the bytes "
                         "are laid out");
    if (!(d = evs__calloc(ctx, 1, sizeof(*d))))
        return evs__nomem(reterr);
    d->ctx = ctx;
    d->base = (evs__format_decoder){
        .format = &evs__format_avro, .decode_batch = decode_batch, .free = decoder_free};
    status = evs__avro_compile(ctx, schema->avro, wanted, o && o->validate, &d->program, reterr);
    if (status)
        decoder_free(&d->base);
    else
        *ret = &d->base;
    return status;
}

const evs__format evs__format_avro = {
    .name = "avro",
    .id = EVS_FORMAT_AVRO,
    .confluent_by_default = true,
    .new_decoder = new_decoder,
    .new_encoder = evs__avro_encoder_new,
};
