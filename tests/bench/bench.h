/*
 * Shared ground of the benchmarks: clocks, seeded data, one result line.
 *
 * Every measured program, ours or a peer, prints per run one line of key=value pairs on stdout:
 *
 *     cpu_s=1.234 wall_s=1.301 rows=10000000 groups=598764 checksum=123456789
 *
 * scripts/bench reads it, compares `rows`, `groups` and `checksum` of ours and the peer, and forms
 * the ratio. A program either measures once and exits, or (bench_serve) prepares its data once and
 * makes one run for each line it reads on stdin, so that ours and peer can be interleaved without
 * preparing the data again.
 *
 * All data is a function of (seed, index) and nothing else: row i can be made anywhere, so the
 * loader, ours, a peer and the expected result never have to share a file. Keys are numbers from
 * the generator, turned to text by the one function here; a checksum is the sum over result rows of
 * count * (key + 1) * (window + 1), which is the same for any order of rows and can be computed
 * from the input without grouping.
 */
#ifndef EVS_BENCH_H
#define EVS_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* First event time of all data: a full minute, November 2023. */
#define BENCH_T0_MS 1700000040000LL
#define BENCH_WINDOW_MS 60000LL
#define BENCH_BATCH 4096

/* Clocks: user + system time of the process (all its threads), and CLOCK_MONOTONIC. */
double bench_cpu_s(void);
double bench_wall_s(void);
/* Resident memory of the process, in kilobytes. */
uint64_t bench_resident_kb(void);

struct bench_timer {
    double cpu_s, wall_s;
};
void bench_timer_start(struct bench_timer *t);
/* Turns the start into the time elapsed since. */
void bench_timer_stop(struct bench_timer *t);

struct bench_result {
    struct bench_timer time;
    uint64_t rows, groups, checksum;
};
void bench_print(const struct bench_result *r);

/* groups = lines of a file, checksum over all its bytes. */
void bench_file_check(const char *path, struct bench_result *ret_result);

/* Prints "ready", then makes one run and prints its result for each line on stdin, until its end.
 * Returns the exit status; `run` returns 0 on success and has reported a failure itself. */
int bench_serve(int (*run)(void *user_data, struct bench_result *ret_result), void *user_data);

/* Reports on stderr and exits with 1: the programs here have nothing to clean up. */
void bench_die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void *bench_alloc(size_t bytes);

/* Command line: "--name value" pairs; a missing one gives the default. */
const char *bench_arg(int argc, char **argv, const char *name, const char *fallback);
int64_t bench_arg_int(int argc, char **argv, const char *name, int64_t fallback);

/* Random numbers: splitmix64. bench_hash(seed, i) is the i-th number of the stream `seed`. */
uint64_t bench_hash(uint64_t seed, uint64_t i);

/* Writes exactly `digits` decimal digits of v, with leading zeroes. */
void bench_digits(char *at, unsigned digits, uint64_t v);
/* Writes v in decimal without leading zeroes, returns the length (at most 20). */
unsigned bench_decimal(char *at, uint64_t v);

/* ---- page views of E1 and E2: 100 bytes as JSON ------------------------------------------------
 */

#define BENCH_VIEW_USERS 100000
/* 10 M events in six minutes; the rate is fixed, so fewer events span less time. */
#define BENCH_VIEW_SPAN_MS(events) ((int64_t)(events)*6 * BENCH_WINDOW_MS / 10000000)
/* Disorder: an event is at most this much earlier than the newest before it. */
#define BENCH_VIEW_JITTER_MS 2000
#define BENCH_VIEW_KEY_LEN 8
#define BENCH_VIEW_MAX 128

struct bench_view {
    uint32_t user, page, device;
    uint32_t load_ms_x4; /* quarters of a millisecond: an exact double */
    int64_t at_ms;
};

extern const char bench_view_avsc[];
void bench_view_make(uint64_t i, uint64_t events, struct bench_view *ret_view);
void bench_view_key(const struct bench_view *v, char key[BENCH_VIEW_KEY_LEN]);
size_t bench_view_json(const struct bench_view *v, char *at);
/* Confluent framing with schema id 1, then the Avro datum. */
size_t bench_view_avro(const struct bench_view *v, char *at);

/* ---- keyed rows of W1 and E5 -------------------------------------------------------------------
 */

#define BENCH_KEY_LEN 12
#define BENCH_KEYED_WINDOWS 12

struct bench_keyed {
    uint64_t rows, keys;
    bool zipf; /* exponent 1.1, else uniform */
    double zipf_hx0, zipf_hn, zipf_s;
};
void bench_keyed_init(struct bench_keyed *d, uint64_t rows, uint64_t keys, const char *dist);
void bench_keyed_make(const struct bench_keyed *d, uint64_t i, uint64_t *ret_key, int64_t *ret_ms);
/* 'k' and eleven digits. */
void bench_keyed_text(uint64_t key, char text[BENCH_KEY_LEN]);

/* ---- records of D1 and D2: eight fields, 200 bytes as JSON --------------------------------------
 */

#define BENCH_RECORD_MAX 320
/* What D1 and D2 decode: the columns a program wants from each record. */
struct bench_wanted {
    const char *user_id, *page;
    size_t user_id_len, page_len;
    int64_t viewed_at;
    double load_ms;
};

extern const char bench_record_avsc[];
size_t bench_record_json(uint64_t i, char *at);
size_t bench_record_avro(uint64_t i, char *at);
/* A number over the four values of one row; the checksum of D1 and D2 is their sum. */
uint64_t bench_wanted_hash(const struct bench_wanted *w);

/* All payloads back to back, as in a fetch response of a broker; 64 readable bytes follow. */
struct bench_payloads {
    uint64_t count;
    char *bytes;
    size_t bytes_len;
    uint32_t *offsets; /* count + 1 */
};
void bench_payloads_make(struct bench_payloads *p,
                         uint64_t count,
                         size_t (*make)(uint64_t i, char *at));

/* Columns as a program without a library would keep them: what the peers of D1 and D2 fill. */
struct bench_columns {
    uint32_t rows;
    uint32_t user_end[BENCH_BATCH + 1], page_end[BENCH_BATCH + 1];
    int64_t viewed_at[BENCH_BATCH];
    double load_ms[BENCH_BATCH];
    char user[BENCH_BATCH * 64], page[BENCH_BATCH * 64];
};
/* Appends a row, copying the text (at most 64 bytes each, as in our data); inline: a hot loop. */
static inline void bench_columns_add(struct bench_columns *c, const struct bench_wanted *w)
{
    uint32_t row = c->rows++;

    memcpy(c->user + c->user_end[row], w->user_id, w->user_id_len);
    c->user_end[row + 1] = c->user_end[row] + (uint32_t)w->user_id_len;
    memcpy(c->page + c->page_end[row], w->page, w->page_len);
    c->page_end[row + 1] = c->page_end[row] + (uint32_t)w->page_len;
    c->viewed_at[row] = w->viewed_at;
    c->load_ms[row] = w->load_ms;
}
uint64_t bench_columns_hash(const struct bench_columns *c);

/*
 * The runner of D1's and D2's programs: `decode` fills columns from payloads [first, end), at most
 * BENCH_BATCH. One pass outside the clock gives the checksum, then `repeat` passes are measured.
 */
struct bench_decode {
    struct bench_payloads payloads;
    struct bench_columns *columns;
    uint64_t repeat;
    bool checking; /* the pass outside the clock */
    void (*decode)(struct bench_decode *d, uint64_t first, uint64_t end);
    void *user_data;
};
int bench_decode_serve(struct bench_decode *d);

/* ---- result rows of S2, S3, S4: what a window writes into a store ------------------------------
 */

#define BENCH_STORED_PAGE_LEN 9
struct bench_stored {
    char page[BENCH_STORED_PAGE_LEN]; /* "/p/" and six digits, no terminator */
    int64_t window_start;
    int64_t views, users;
    double load_ms; /* eighths: exact in text and binary */
};
/* Rows 2 * pages * w .. are of window w, a page about twice each: inserts and updates. */
void bench_stored_make(uint64_t i, uint64_t pages, struct bench_stored *ret_row);
/* Over what is in a store at the end: the checksum is the sum over its rows. */
uint64_t bench_stored_hash(const struct bench_stored *row);
/* Name of a row in Redis, `views:PAGE:WINDOW_START`; returns its length. */
#define BENCH_STORED_NAME_MAX 48
unsigned bench_stored_name(const struct bench_stored *row, char name[BENCH_STORED_NAME_MAX]);

#ifdef __cplusplus
}
#endif
#endif
