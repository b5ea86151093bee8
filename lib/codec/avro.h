/*
 * codec/avro.h: what the files of the Avro codec share: the wire's primitives, the program that a
 * decoder runs, and the report of a failure.
 *
 * Program: one flat list of instructions for one record, made by avro_compile.c from the writer's
 * schema and the wanted columns, run by avro_decode.c.
 *
 *   slot    a column of the wanted tree (parents first, siblings side by side), where an
 *           instruction puts its value
 *   level   columns that grow together: 0 the rows, and one for the elements of each ARRAY or MAP
 *   path    where in the record an instruction is, "items[].price", for messages
 */
#ifndef EVS_CODEC_AVRO_H
#define EVS_CODEC_AVRO_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "codec/codec.h"

#define EVS__AVRO_VALUE_DEPTH_MAX 512   /* of skipped values */
#define EVS__AVRO_EMPTY_ITEMS_MAX 65536 /* elements that take no bytes, in one block */
#define EVS__AVRO_CELLS_MAX (1u << 24)  /* column values that one event's elements may make */
#define EVS__AVRO_TRAIL_MAX 16

typedef enum evs__avro_code {
    /* values */
    EVS__OP_NULL, /* a value of type null: no bytes */
    EVS__OP_BOOLEAN,
    EVS__OP_INT,
    EVS__OP_LONG,
    EVS__OP_INT_LONG,    /* int into 64 bits */
    EVS__OP_INT_DOUBLE,  /* int as DOUBLE */
    EVS__OP_LONG_DOUBLE, /* long as DOUBLE */
    EVS__OP_FLOAT,
    EVS__OP_DOUBLE,
    EVS__OP_STRING, /* checked to be UTF-8 */
    EVS__OP_BYTES,
    EVS__OP_FIXED,         /* size */
    EVS__OP_ENUM,          /* node */
    EVS__OP_DIVIDE,        /* long / size towards minus infinity, into 64 bits */
    EVS__OP_DIVIDE_INT,    /* into 32 bits */
    EVS__OP_DECIMAL_BYTES, /* flag: precision */
    EVS__OP_DECIMAL_FIXED, /* flag: precision; size */
    EVS__OP_UUID_FIXED,    /* 16 bytes as text */
    /* unions: one null branch (flag: its index) and one other */
    EVS__OP_OPTION,      /* NULL: go to `target` */
    EVS__OP_OPTION_LEAF, /* NULL: empty value of `width` in slot, step over the next instruction */
    EVS__OP_UNION,       /* node; targets[target + branch] */
    EVS__OP_FAIL_NULL,   /* NULL where the column is NOT NULL */
    EVS__OP_JUMP,        /* target */
    /* NULLs of columns that have no bytes here */
    EVS__OP_SET_NULL,      /* width */
    EVS__OP_SET_NULL_LIST, /* level: of its elements */
    /* ARRAY, MAP */
    EVS__OP_LIST, /* slot; level: of its elements; size: least bytes of one; target: behind it */
    EVS__OP_LIST_NEXT, /* target: first instruction of an element */
    /* bytes that nobody wants */
    EVS__OP_SKIP_BYTES,   /* size */
    EVS__OP_SKIP_VARINTS, /* size: how many */
    EVS__OP_SKIP_TEXTS,   /* size: how many strings or bytes */
    EVS__OP_SKIP_OPTION,  /* flag: index of null; NULL: go to `target` */
    EVS__OP_SKIP_NODE,    /* node */
    EVS__OP_END,
    EVS__OP_COUNT
} evs__avro_code;

/* width of SET_NULL and OPTION_LEAF: how the empty value looks */
enum {
    EVS__WIDTH_NONE,
    EVS__WIDTH_BIT,
    EVS__WIDTH_4,
    EVS__WIDTH_8,
    EVS__WIDTH_16,
    EVS__WIDTH_VIEW
};

typedef struct evs__avro_op {
    uint8_t code;
    uint8_t flag;
    uint8_t width;
    uint8_t reserved;
    uint32_t slot;
    uint32_t level;
    uint32_t target;
    uint32_t size;
    uint32_t path; /* offset into paths */
    const evs__avro_node *node;
} evs__avro_op;

/* where a slot's column is; fixed when the program is made */
typedef struct evs__avro_place {
    const evs_type *type; /* of the wanted tree */
    int32_t parent;       /* slot, or -1: a column of the row */
    uint32_t child;       /* index within the parent */
    uint32_t first_child; /* slot */
    uint32_t level;
} evs__avro_place;

/* the column of the batch that is being filled */
typedef struct evs__avro_slot {
    union {
        void *values;
        uint8_t *bits;
        int32_t *i32;
        int64_t *i64;
        double *f64;
        evs__int128 *i128;
        evs_string_view *views;
    };
    uint8_t *validity; /* NULL until the first NULL */
    int32_t *offsets;
    evs__column *column;
} evs__avro_slot;

typedef struct evs__avro_level {
    uint32_t slot_count;
    uint32_t slot_first; /* into level_slots */
    uint32_t length;
    uint32_t capacity;
} evs__avro_level;

typedef struct evs__avro_program {
    evs_context *ctx;
    evs__avro_op *ops;
    evs__avro_place *places; /* of the slots */
    evs__avro_slot *slots;
    evs__avro_level *levels;
    uint32_t *level_slots; /* slots by level */
    uint32_t *targets;     /* of UNION */
    char *paths;
    size_t op_count, slot_count, level_count, target_count, paths_len;
    bool validate;
} evs__avro_program;

evs_status evs__avro_compile(evs_context *ctx,
                             const evs__avro_node *record,
                             const evs_type *wanted,
                             bool validate,
                             evs__avro_program *ret,
                             evs_error **reterr);
void evs__avro_program_free(evs__avro_program *program);

/* least number of bytes that a value takes (a lower bound for schemas of thousands of nodes) */
uint32_t evs__avro_min_size(const evs__avro_node *node);

/* ---- failures ---- */

typedef enum evs__avro_fault {
    EVS__FAULT_NONE,
    EVS__FAULT_END,    /* the value is cut short */
    EVS__FAULT_VARINT, /* more than 10 bytes */
    EVS__FAULT_INT,    /* value: out of an int's range */
    EVS__FAULT_BOOLEAN,
    EVS__FAULT_NEGATIVE, /* length */
    EVS__FAULT_LENGTH,   /* length past the end */
    EVS__FAULT_UTF8,     /* at byte */
    EVS__FAULT_ENUM,
    EVS__FAULT_BRANCH,
    EVS__FAULT_ITEMS, /* more elements than bytes are left for */
    EVS__FAULT_EMPTY_ITEMS,
    EVS__FAULT_CELLS,
    EVS__FAULT_BLOCK,      /* byte size of a block */
    EVS__FAULT_BLOCK_SIZE, /* its elements take another one */
    EVS__FAULT_DECIMAL,
    EVS__FAULT_DECIMAL_EMPTY,
    EVS__FAULT_OVERFLOW, /* time does not fit its column */
    EVS__FAULT_NOT_NULL,
    EVS__FAULT_DEPTH,
    EVS__FAULT_TRAILING,
    EVS__FAULT_NOMEM
} evs__avro_fault;

/* a step of the path inside a skipped value; collected from the inside out */
typedef struct evs__avro_step {
    const char *name; /* NULL: an index */
    int64_t index;
} evs__avro_step;

typedef struct evs__avro_failure {
    evs__avro_fault fault;
    int64_t value;
    uint64_t number;  /* what evs__avro_varint_slow() read: callers' variables stay in registers */
    const char *what; /* "string", "bytes"; NULL: as the instruction says */
    uint32_t nth;     /* of the values that one skip instruction steps over */
    uint32_t trail_count;
    evs__avro_step trail[EVS__AVRO_TRAIL_MAX];
} evs__avro_failure;

/* keep a fault; returns NULL: "no position" */
const uint8_t *evs__avro_fault_at(evs__avro_failure *f, evs__avro_fault fault, int64_t value);

/* a fault in words: `string length 5000000 is past the end` */
evs_status
evs__avro_fault_text(const evs__avro_failure *f, const char *what, char *out, size_t size);

/*
 * Step over a value: the position behind it, or NULL with `f` filled. With `check`, as strict as
 * decoding (UTF-8, ranges); without, only as far as finding its end needs.
 */
const uint8_t *evs__avro_skip(const evs__avro_node *node,
                              const uint8_t *p,
                              const uint8_t *end,
                              bool check,
                              evs__avro_failure *f);

/* ---- the wire ---- */

/* the number is in f->number */
const uint8_t *evs__avro_varint_slow(const uint8_t *p, const uint8_t *end, evs__avro_failure *f);

#define EVS__BYTES_OF(x) (0x0101010101010101u * (x))

/*
 * A varint of up to 8 bytes at once: the lowest byte without a continuation bit ends it, what is
 * above is cut off, and three steps close the gaps of the continuation bits.
 */
static inline const uint8_t *
evs__avro_varint(const uint8_t *p, const uint8_t *end, uint64_t *ret, evs__avro_failure *f)
{
    uint64_t w, stops;

    if (EVS__LIKELY(p < end && *p < 0x80)) {
        *ret = *p;
        return p + 1;
    }
    if (EVS__UNLIKELY(end - p < 8))
        goto slow;
    memcpy(&w, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    stops = ~w & EVS__BYTES_OF(0x80);
    if (EVS__UNLIKELY(!stops))
        goto slow;
    p += ((unsigned)__builtin_ctzll(stops) >> 3) + 1;
    w &= stops ^ (stops - 1);
    w = (w & 0x007f007f007f007fu) | (w & 0x7f007f007f007f00u) >> 1;
    w = (w & 0x00003fff00003fffu) | (w & 0x3fff00003fff0000u) >> 2;
    *ret = (w & 0x000000000fffffffu) | (w & 0x0fffffff00000000u) >> 4;
    return p;
slow:
    p = evs__avro_varint_slow(p, end, f);
    *ret = f->number;
    return p;
}

static inline int64_t evs__avro_unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static inline const uint8_t *
evs__avro_long(const uint8_t *p, const uint8_t *end, int64_t *ret, evs__avro_failure *f)
{
    uint64_t v = 0;

    p = evs__avro_varint(p, end, &v, f);
    *ret = evs__avro_unzigzag(v);
    return p;
}

/* the length of a string or bytes, whose bytes are there */
static inline const uint8_t *
evs__avro_length(const uint8_t *p, const uint8_t *end, size_t *ret, evs__avro_failure *f)
{
    uint64_t v = 0;

    p = evs__avro_varint(p, end, &v, f);
    if (EVS__UNLIKELY(!p))
        return NULL;
    if (EVS__UNLIKELY(v & 1))
        return evs__avro_fault_at(f, EVS__FAULT_NEGATIVE, evs__avro_unzigzag(v));
    v >>= 1;
    if (EVS__UNLIKELY(v > (uint64_t)(end - p)))
        return evs__avro_fault_at(f, EVS__FAULT_LENGTH, (int64_t)v);
    *ret = (size_t)v;
    return p;
}

/*
 * Header of an array's or map's block: elements that follow (0: the end), and the bytes they take
 * where the writer says so (-1: it does not).
 */
const uint8_t *evs__avro_block(const uint8_t *p,
                               const uint8_t *end,
                               uint32_t min_size,
                               uint64_t *ret_count,
                               int64_t *ret_bytes,
                               evs__avro_failure *f);

bool evs__avro_text_slow(const char *text, size_t len);

/*
 * Whether text is UTF-8. ASCII of up to 32 bytes is told without a branch on its length where the
 * event has 32 bytes from there on, else by overlapping loads; never a byte behind `end`.
 */
static inline bool evs__avro_text_valid(const uint8_t *text, size_t len, const uint8_t *end)
{
#ifdef __SSE2__
    if (EVS__LIKELY(len <= 32 && end - text >= 32)) {
        uint32_t low =
            (uint32_t)_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(const void *)text));
        uint32_t high = (uint32_t)_mm_movemask_epi8(
            _mm_loadu_si128((const __m128i *)(const void *)(text + 16)));
        uint64_t bits = (uint64_t)high << 16 | low;
        if (EVS__LIKELY(!(bits & (((uint64_t)1 << len) - 1))))
            return true;
    }
#endif
    return evs__avro_text_slow((const char *)text, len);
}

evs_status evs__avro_encoder_new(evs_context *ctx,
                                 const evs_type *type,
                                 evs_schema *schema,
                                 const evs__codec_options *o,
                                 evs__format_encoder **ret,
                                 evs_error **reterr);

#endif
