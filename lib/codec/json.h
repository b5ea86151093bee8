/*
 * codec/json.h: inside of the JSON format. Who does what:
 *
 *   json_plan.c     schema + wanted columns -> plan (what members to look for, how to read each)
 *   json_walk.h     the reader: one pass over the text, written once, compiled three times
 *                   (json_walk_plain.c, _sse2.c, _avx2.c); json_scan.h is its vector part
 *   json_value.c    values off the fast path: escapes, long numbers, dates, base64
 *   json_fault.c    what is wrong, as text
 *   json_decode.c   the format's decoder, and the whole-value check
 *   json_encode.c   rows -> text
 *   json_infer.c    sample events -> `columns` text
 *
 * A plan is a tree of objects. An object knows its wanted members by a small hash table, and learns
 * how the members of past events were written, byte by byte, in which order:
 *
 *   {"user_id":"u1", "page":"/a"}
 *   `{"user_id":` -> `, "page":` -> `}`          a lexeme: what stands between two values
 *
 * The next event is compared with the learned lexemes first. That costs a compare of a known length
 * and no search for the key's end; bytes that were valid once in this place are valid again. What
 * does not match is parsed, looked up, and learned.
 */
#ifndef EVS_CODEC_JSON_H
#define EVS_CODEC_JSON_H

#include "codec/codec.h"

#define EVS__JSON_SKIP_DEPTH_MAX 512
#define EVS__JSON_LEXEME_BYTES 32
#define EVS__JSON_LEXEME_CHUNK 32 /* lexemes of one allocation */
#define EVS__JSON_LEXEME_CHUNKS 16
#define EVS__JSON_LEXEME_INDEX 1024 /* twice as many places as lexemes */
#define EVS__JSON_TRAIL_MAX 160     /* depth of paths and types, and an index each */

/* How a value is read: an evs_type_id (1..13), or one of these. */
enum evs__json_kind {
    EVS__JSON_SKIP = 0, /* not wanted */
    /* of a lexeme alone */
    EVS__JSON_SKIP_TEXT = 14, /* not wanted, and probably text */
    EVS__JSON_SKIP_NUMBER,
    EVS__JSON_END,  /* the object ends */
    EVS__JSON_MANY, /* one member for several columns, or on the way of a path */
    /* of a value alone */
    EVS__JSON_OBJECT /* on the way of a path: its members are columns of the same row */
};

typedef struct evs__json_node evs__json_node;
typedef struct evs__json_value evs__json_value;
struct evs__json_value {
    uint8_t kind;
    bool nullable;
    const evs_type *type;     /* NULL of EVS__JSON_OBJECT; borrowed from the plan's `wanted` */
    evs__json_node *node;     /* STRUCT, EVS__JSON_OBJECT */
    evs__json_value *element; /* ARRAY; of MAP, the value */
};

typedef struct evs__json_field evs__json_field;
struct evs__json_field {
    char *name; /* unescaped member name, owned */
    size_t len;
    uint32_t column; /* among the columns of its scope; unused by EVS__JSON_OBJECT */
    uint8_t kind;    /* value.kind, or EVS__JSON_MANY when `also` is set */
    evs__json_value value;
    evs__json_field *also; /* another target of the same member */
};

/* 64 bytes: one cache line. */
typedef struct evs__json_lexeme evs__json_lexeme;
struct evs__json_lexeme {
    uint8_t bytes[EVS__JSON_LEXEME_BYTES];
    uint32_t ignore; /* bit i: bytes[i] is not part of it */
    uint8_t len;     /* 0: matches nothing */
    uint8_t kind;
    uint16_t column;           /* the field's */
    evs__json_field *field;    /* NULL: not wanted */
    evs__json_lexeme *next[2]; /* what followed last, and before that; never NULL */
};

/* A scope is what one row of columns is filled from: the root object with all objects on the way of
 * paths, or the object of a STRUCT value. */
struct evs__json_node {
    evs__json_field **table; /* by hash of the name, open addressing; entries may be NULL */
    uint32_t table_mask;
    evs__json_field **fields;
    uint32_t field_count;
    size_t name_max;
    /* of the node that owns a scope */
    uint32_t column_count;
    const char **column_names; /* how a missing one is named; borrowed */
    const evs_type *type;      /* STRUCT: child i is the type of column i */
    /* what was learned */
    evs__json_lexeme start; /* before the first member */
    evs__json_lexeme none;  /* len 0, followed by itself */
    evs__json_lexeme spare; /* stands for one that cannot be learned */
    evs__json_lexeme *chunks[EVS__JSON_LEXEME_CHUNKS];
    uint16_t index[EVS__JSON_LEXEME_INDEX]; /* by hash of the bytes: number of the lexeme + 1 */
    uint32_t lexeme_count;
    uint32_t misses; /* since the table of lexemes is full */
};

/* Where in the row something is wrong: added while the functions return, printed once. */
typedef struct evs__json_trail {
    uint32_t len;
    struct {
        const char *name;         /* NULL: an index */
        size_t len;               /* of the name, or the index */
    } steps[EVS__JSON_TRAIL_MAX]; /* innermost first */
} evs__json_trail;

/* State of reading one document; lives on the stack, and only its first part is set up. */
typedef struct evs__json_reader {
    evs_context *ctx;
    const uint8_t *data;
    /* One past the last byte that is not white space. Invariant while an object or array is read:
     * end[-1] is '}' or ']', so every token but a closing bracket is followed by a readable byte.
     */
    const uint8_t *end;
    evs__scratch *scratch;
    /* the fault */
    evs_status status;
    const char *what; /* constant text, or NULL: "expected TYPE, found ..." */
    const uint8_t *at;
    const evs_type *expected;
    evs__json_trail trail;
} evs__json_reader;

/* Where the members of the object in work go. */
typedef struct evs__json_scope {
    evs__json_node *owner;
    evs__column **columns;
    uint32_t row;    /* length of every column before this row */
    uint32_t filled; /* columns that have their value */
} evs__json_scope;

/*
 * The three builds of json_walk.h. object() and skip() return the byte after the value, or NULL
 * with the reader's fault set.
 */
typedef struct evs__json_walk {
    const char *name;
    size_t bytes_min; /* documents shorter than this are not for it */
    /* an object; *p is '{' */
    const uint8_t *(*object)(evs__json_reader *r,
                             evs__json_node *node,
                             evs__json_scope *scope,
                             const uint8_t *p);
    /* any value that is not wanted, checked in full; *p is readable */
    const uint8_t *(*skip)(evs__json_reader *r, const uint8_t *p);
    /* rows until the run ends, or one fails: its status, and columns with parts of that row */
    evs_status (*rows)(evs__json_reader *r,
                       evs__json_node *root,
                       evs__decode_run *run,
                       evs__column **columns);
} evs__json_walk;

extern const evs__json_walk evs__json_walk_plain;
#if defined(__x86_64__)
#define EVS__JSON_X86 1
extern const evs__json_walk evs__json_walk_sse2, evs__json_walk_avx2;
#endif
/* the fastest that this processor has */
const evs__json_walk *evs__json_walk_best(void);

/* bytes that vectors are compared with, each 32 times (json_decode.c) */
typedef struct evs__json_byte_table {
    uint8_t quote[32], backslash[32], space[32], minus_zero[32], ten[32];
} evs__json_byte_table;
extern const evs__json_byte_table evs__json_bytes
    __attribute__((visibility("hidden"), aligned(32)));

/* ---- json_plan.c ---- */
/* `wanted`: STRUCT; paths: per column of schema->type or NULL; the node refers to wanted */
evs_status evs__json_plan_new(evs_context *ctx,
                              const evs_schema *schema,
                              const evs_type *wanted,
                              evs__json_node **ret,
                              evs_error **reterr);
void evs__json_plan_free(evs_context *ctx, evs__json_node *node);
/*
 * Split "$.order.total", "$['a.b'].c" into segments, in place of `copy` (a writable copy of the
 * path). NULL: what is wrong with it.
 */
const char *evs__json_path_split(char *copy, char **segments, size_t max, size_t *ret_count);
evs__json_field *evs__json_find(const evs__json_node *node, const char *name, size_t len);
/*
 * The lexeme [p, p + len) with what follows it, known or learned now, as the successor of `after`;
 * node->spare when it cannot be kept.
 */
evs__json_lexeme *evs__json_learn(evs_context *ctx,
                                  evs__json_node *node,
                                  evs__json_lexeme *after,
                                  const uint8_t *p,
                                  size_t len,
                                  uint8_t kind,
                                  evs__json_field *field);

/* ---- json_fault.c ---- */
/* all three return NULL */
const uint8_t *
evs__json_fault(evs__json_reader *r, evs_status status, const char *what, const uint8_t *at);
static inline void evs__json_trail_add(evs__json_trail *t, const char *name, size_t len)
{
    if (t->len < EVS__JSON_TRAIL_MAX) {
        t->steps[t->len].name = name;
        t->steps[t->len++].len = len;
    }
}
/* `order.items[2].price`, cut to fit */
void evs__json_trail_print(const evs__json_trail *t, char *out, size_t size);
/* a value that is not what the column wants: `expected BIGINT, found text` */
const uint8_t *
evs__json_wrong_type(evs__json_reader *r, const evs__json_value *v, const uint8_t *at);
/* EVS_ERR_NOMEM, EVS_ERR_LIMIT */
const uint8_t *evs__json_no_room(evs__json_reader *r, evs_status status, const uint8_t *at);
void evs__json_fault_print(const evs__json_reader *r, char *message, size_t size);

/* ---- json_value.c ---- */
/* All readers return the byte after the value or NULL with the fault set. */
/* "missing" of the first column that has no value, or NULLs appended to all that have none */
bool evs__json_fill_missing(evs__json_reader *r, evs__json_scope *scope);
/* more room in a full column */
bool evs__json_grow(evs__json_reader *r, evs__column *c);

/*
 * Text from `s` (after the opening quote), clean up to `q`: its closing quote, with escapes and
 * UTF-8 checked.
 */
const uint8_t *
evs__json_text_end(evs__json_reader *r, const uint8_t *s, const uint8_t *q, bool *ret_escaped);
/* text [s, e) that was checked, without its escapes: at most e - s bytes */
size_t evs__json_unescape(const uint8_t *s, const uint8_t *e, char *out);
/* grammar of one number, byte by byte; *p is '-', a digit, or anything */
const uint8_t *evs__json_number_end(evs__json_reader *r, const uint8_t *p, bool *ret_integer);
const uint8_t *evs__json_literal(evs__json_reader *r, const uint8_t *p);

/* Values off the fast path, appended to the column: NULL and wrong types are for odd(). */
const uint8_t *
evs__json_odd(evs__json_reader *r, const evs__json_value *v, evs__column *c, const uint8_t *p);
const uint8_t *
evs__json_int(evs__json_reader *r, const evs__json_value *v, evs__column *c, const uint8_t *p);
const uint8_t *
evs__json_double(evs__json_reader *r, const evs__json_value *v, evs__column *c, const uint8_t *p);
const uint8_t *
evs__json_decimal(evs__json_reader *r, const evs__json_value *v, evs__column *c, const uint8_t *p);
/* *p is '"', the text is clean up to q: VARCHAR with escapes or other than ASCII */
const uint8_t *evs__json_varchar(evs__json_reader *r,
                                 const evs__json_value *v,
                                 evs__column *c,
                                 const uint8_t *p,
                                 const uint8_t *q);
/* *p is '"': DECIMAL, BYTES, TIMESTAMP, DATE, TIME as text, clean up to q */
const uint8_t *evs__json_typed_text(evs__json_reader *r,
                                    const evs__json_value *v,
                                    evs__column *c,
                                    const uint8_t *p,
                                    const uint8_t *q);
/* a key of a MAP that occurs twice among entries [from, length) */
bool evs__json_map_unique(evs__json_reader *r, const evs__column *entries, uint32_t from);

/* ---- json_decode.c ---- */
/* one row, whatever the event looks like */
bool evs__json_read_row(evs__json_reader *r,
                        const evs__json_walk *walk,
                        evs__json_scope *scope,
                        const uint8_t *data,
                        size_t len);
/* what stands at p is behind the value */
bool evs__json_trailing(evs__json_reader *r, const uint8_t *p);
/*
 * Whether the bytes are one JSON value (RFC 8259; depth at most EVS__JSON_SKIP_DEPTH_MAX; no lone
 * surrogates; no byte order mark), by the same code that skips unwanted members.
 */
evs_status evs__json_check(const evs__json_walk *walk,
                           const uint8_t *data,
                           size_t len,
                           char *message,
                           size_t message_size);
/* for tests: which build reads; the default is the best */
void evs__json_decoder_use(evs__format_decoder *d, const evs__json_walk *walk);

/* ---- json_encode.c ---- */
evs_status evs__json_new_encoder(evs_context *ctx,
                                 const evs_type *type,
                                 evs_schema *schema,
                                 const evs__codec_options *o,
                                 evs__format_encoder **ret,
                                 evs_error **reterr);

#endif
