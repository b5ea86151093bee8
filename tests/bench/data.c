/*
 * The data sets of the benchmarks, each row a function of its index (see bench.h).
 *
 * Times rise with the index plus a bounded jitter, so windows close while the data runs and nothing
 * is late under an out-of-orderness of twice the jitter. Zipf numbers are drawn by
 * rejection-inversion (W. Hoermann, G. Derflinger, "Rejection-inversion to generate variates from
 * monotone discrete distributions", ACM TOMACS 6(3), 1996): no table, so a million keys cost
 * nothing to set up, and the draws of one row come from a stream of its own.
 */
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ZIPF_EXPONENT 1.1

enum { SEED_VIEW = 1, SEED_KEYED, SEED_ZIPF, SEED_RECORD, SEED_STORED };

/* ---- small writers ----------------------------------------------------------------------------
 */

static char *put_text(char *at, const char *text)
{
    size_t len = strlen(text);

    memcpy(at, text, len);
    return at + len;
}

static char *put_digits(char *at, unsigned digits, uint64_t v)
{
    bench_digits(at, digits, v);
    return at + digits;
}

/* Quarters as a decimal number: 12.25, 3.0. */
static char *put_quarters(char *at, unsigned digits, uint32_t x4)
{
    static const char fraction[4][4] = {".00", ".25", ".50", ".75"};

    at = put_digits(at, digits, x4 / 4);
    return put_text(at, fraction[x4 % 4]);
}

static char *put_zigzag(char *at, int64_t v)
{
    uint64_t z = ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);

    for (; z >= 0x80; z >>= 7)
        *at++ = (char)(z | 0x80);
    *at++ = (char)z;
    return at;
}

static char *put_avro_string(char *at, const char *text, size_t len)
{
    at = put_zigzag(at, (int64_t)len);
    memcpy(at, text, len);
    return at + len;
}

/* ---- page views --------------------------------------------------------------------------------
 */

const char bench_view_avsc[] =
    "{\"type\":\"record\",\"name\":\"page_view\",\"fields\":["
    "{\"name\":\"user_id\",\"type\":\"string\"},"
    "{\"name\":\"viewed_at\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}},"
    "{\"name\":\"page\",\"type\":\"string\"},"
    "{\"name\":\"load_ms\",\"type\":\"double\"},"
    "{\"name\":\"device\",\"type\":\"string\"}]}";

static const char view_devices[4][7] = {"mobile", "laptop", "tablet", "webtvs"};

void bench_view_make(uint64_t i, uint64_t events, struct bench_view *ret_view)
{
    uint64_t h = bench_hash(SEED_VIEW, i);

    ret_view->user = (uint32_t)((h >> 32) % BENCH_VIEW_USERS);
    ret_view->page = (uint32_t)(h & 1023);
    ret_view->device = (uint32_t)((h >> 10) & 3);
    ret_view->load_ms_x4 = (uint32_t)((h >> 12) & 4095) % 400 + 40;
    ret_view->at_ms = BENCH_T0_MS + (int64_t)(i * (uint64_t)BENCH_VIEW_SPAN_MS(events) / events) +
                      (int64_t)((h >> 16) & 0xffff) * BENCH_VIEW_JITTER_MS / 65536;
}

void bench_view_key(const struct bench_view *v, char key[BENCH_VIEW_KEY_LEN])
{
    key[0] = 'u';
    bench_digits(key + 1, BENCH_VIEW_KEY_LEN - 1, v->user);
}

size_t bench_view_json(const struct bench_view *v, char *at)
{
    char *p = put_text(at, "{\"user_id\":\"");

    bench_view_key(v, p);
    p = put_text(p + BENCH_VIEW_KEY_LEN, "\",\"viewed_at\":");
    p = put_digits(p, 13, (uint64_t)v->at_ms);
    p = put_text(p, ",\"page\":\"/p/");
    p = put_digits(p, 4, v->page);
    p = put_text(p, "\",\"load_ms\":");
    p = put_quarters(p, 3, v->load_ms_x4 + 400); /* at least 100: no leading zero in JSON */
    p = put_text(p, ",\"device\":\"");
    p = put_text(p, view_devices[v->device]);
    p = put_text(p, "\"}");
    return (size_t)(p - at);
}

size_t bench_view_avro(const struct bench_view *v, char *at)
{
    char key[BENCH_VIEW_KEY_LEN], page[7] = "/p/";
    double load_ms = (v->load_ms_x4 + 400) / 4.0;
    char *p = at;

    memcpy(p, "\0\0\0\0\1", 5);
    bench_view_key(v, key);
    p = put_avro_string(p + 5, key, sizeof(key));
    p = put_zigzag(p, v->at_ms);
    bench_digits(page + 3, 4, v->page);
    p = put_avro_string(p, page, sizeof(page));
    memcpy(p, &load_ms, sizeof(load_ms));
    p = put_avro_string(p + sizeof(load_ms), view_devices[v->device], 6);
    return (size_t)(p - at);
}

/* ---- keyed rows --------------------------------------------------------------------------------
 */

/* H(x), an antiderivative of x^-s, and its inverse. */
static double zipf_h(double x)
{
    return pow(x, 1 - ZIPF_EXPONENT) / (1 - ZIPF_EXPONENT);
}

static double zipf_h_inverse(double y)
{
    return pow((1 - ZIPF_EXPONENT) * y, 1 / (1 - ZIPF_EXPONENT));
}

void bench_keyed_init(struct bench_keyed *d, uint64_t rows, uint64_t keys, const char *dist)
{
    d->rows = rows;
    d->keys = keys;
    d->zipf = !strcmp(dist, "zipf");
    d->zipf_hx0 = zipf_h(1.5) - 1;
    d->zipf_hn = zipf_h((double)keys + 0.5);
    d->zipf_s = 2 - zipf_h_inverse(zipf_h(2.5) - pow(2, -ZIPF_EXPONENT));
}

static uint64_t zipf_draw(const struct bench_keyed *d, uint64_t i)
{
    for (uint64_t n = i * 64;; n++) {
        double unit = (double)(bench_hash(SEED_ZIPF, n) >> 11) * 0x1p-53;
        double u = d->zipf_hn + unit * (d->zipf_hx0 - d->zipf_hn);
        double x = zipf_h_inverse(u);
        double k = floor(x + 0.5);

        if (k < 1)
            k = 1;
        else if (k > (double)d->keys)
            k = (double)d->keys;
        if (k - x <= d->zipf_s || u >= zipf_h(k + 0.5) - pow(k, -ZIPF_EXPONENT))
            return (uint64_t)k - 1;
    }
}

void bench_keyed_make(const struct bench_keyed *d, uint64_t i, uint64_t *ret_key, int64_t *ret_ms)
{
    uint64_t h = bench_hash(SEED_KEYED, i);
    uint64_t span = BENCH_KEYED_WINDOWS * BENCH_WINDOW_MS - 1000;

    *ret_key = d->zipf ? zipf_draw(d, i) : (h >> 32) % d->keys;
    *ret_ms = BENCH_T0_MS + (int64_t)(i * span / d->rows) + (int64_t)(h & 0xffff) * 1000 / 65536;
}

void bench_keyed_text(uint64_t key, char text[BENCH_KEY_LEN])
{
    text[0] = 'k';
    bench_digits(text + 1, BENCH_KEY_LEN - 1, key);
}

/* ---- records of eight fields -------------------------------------------------------------------
 */

const char bench_record_avsc[] =
    "{\"type\":\"record\",\"name\":\"visit\",\"fields\":["
    "{\"name\":\"user_id\",\"type\":\"string\"},"
    "{\"name\":\"session_id\",\"type\":\"string\"},"
    "{\"name\":\"page\",\"type\":\"string\"},"
    "{\"name\":\"referrer\",\"type\":[\"null\",\"string\"]},"
    "{\"name\":\"viewed_at\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}},"
    "{\"name\":\"status\",\"type\":\"int\"},"
    "{\"name\":\"load_ms\",\"type\":\"double\"},"
    "{\"name\":\"device\",\"type\":\"string\"}]}";

struct record {
    char user_id[9], session_id[17], page[40];
    size_t page_len;
    const char *referrer;
    int64_t viewed_at;
    uint32_t load_ms_x4, status;
    const char *device;
};

static void record_make(uint64_t i, struct record *r)
{
    static const char *const referrers[4] = {
        "https://example.org/search?q=1", "https://example.com/news",
        "https://example.net/mail/inbox", "https://www.example.com/"};
    static const char *const devices[4] = {"mobile", "desktop", "tablet", "tv"};
    static const uint32_t statuses[8] = {200, 200, 200, 200, 200, 304, 404, 500};
    uint64_t h = bench_hash(SEED_RECORD, i);
    char *p = r->page;

    r->user_id[0] = 'u';
    bench_digits(r->user_id + 1, 8, h % 100000);
    bench_digits(r->session_id, sizeof(r->session_id), bench_hash(SEED_RECORD, ~i) >> 8);
    p = put_text(p, (h & 8) ? "/products/" : "/articles/");
    p = put_digits(p, 3 + (unsigned)(h >> 20) % 12, h >> 40);
    r->page_len = (size_t)(p - r->page);
    r->referrer = referrers[(h >> 4) & 3];
    r->viewed_at = BENCH_T0_MS + (int64_t)i;
    r->load_ms_x4 = 400 + (uint32_t)((h >> 24) & 2047);
    r->status = statuses[(h >> 36) & 7];
    r->device = devices[(h >> 6) & 3];
}

/* What is wanted are fields 1, 3, 5 and 7. One page in 64 has an escaped character, so that nobody
 * may skip looking for them. */
size_t bench_record_json(uint64_t i, char *at)
{
    struct record r;
    char *p = at;

    record_make(i, &r);
    p = put_text(p, "{\"user_id\":\"");
    memcpy(p, r.user_id, sizeof(r.user_id));
    p = put_text(p + sizeof(r.user_id), "\",\"session_id\":\"");
    memcpy(p, r.session_id, sizeof(r.session_id));
    p = put_text(p + sizeof(r.session_id), "\",\"page\":\"");
    p = put_text(p, i % 64 ? "/" : "\\/");
    memcpy(p, r.page + 1, r.page_len - 1);
    p = put_text(p + r.page_len - 1, "\",\"referrer\":\"");
    p = put_text(p, r.referrer);
    p = put_text(p, "\",\"viewed_at\":");
    p = put_digits(p, 13, (uint64_t)r.viewed_at);
    p = put_text(p, ",\"status\":");
    p = put_digits(p, 3, r.status);
    p = put_text(p, ",\"load_ms\":");
    p = put_quarters(p, 3, r.load_ms_x4);
    p = put_text(p, ",\"device\":\"");
    p = put_text(p, r.device);
    p = put_text(p, "\"}");
    return (size_t)(p - at);
}

size_t bench_record_avro(uint64_t i, char *at)
{
    struct record r;
    double load_ms;
    char *p = at;

    record_make(i, &r);
    load_ms = r.load_ms_x4 / 4.0;
    p = put_avro_string(p, r.user_id, sizeof(r.user_id));
    p = put_avro_string(p, r.session_id, sizeof(r.session_id));
    p = put_avro_string(p, r.page, r.page_len);
    p = put_zigzag(p, 1);
    p = put_avro_string(p, r.referrer, strlen(r.referrer));
    p = put_zigzag(p, r.viewed_at);
    p = put_zigzag(p, r.status);
    memcpy(p, &load_ms, sizeof(load_ms));
    p += sizeof(load_ms);
    p = put_avro_string(p, r.device, strlen(r.device));
    return (size_t)(p - at);
}

static uint64_t text_hash(uint64_t h, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)text[i]) * 0x100000001b3ULL;
    return h;
}

uint64_t bench_wanted_hash(const struct bench_wanted *w)
{
    uint64_t h = text_hash(0xcbf29ce484222325ULL, w->user_id, w->user_id_len);

    h = text_hash(h, w->page, w->page_len);
    return h + (uint64_t)w->viewed_at * 31 + (uint64_t)(w->load_ms * 4) * 1000003;
}

void bench_payloads_make(struct bench_payloads *p,
                         uint64_t count,
                         size_t (*make)(uint64_t i, char *at))
{
    p->count = count;
    p->bytes = bench_alloc(count * BENCH_RECORD_MAX + 64);
    p->offsets = bench_alloc((count + 1) * sizeof(p->offsets[0]));
    p->bytes_len = 0;
    for (uint64_t i = 0; i < count; i++) {
        p->offsets[i] = (uint32_t)p->bytes_len;
        p->bytes_len += make(i, p->bytes + p->bytes_len);
    }
    p->offsets[count] = (uint32_t)p->bytes_len;
    memset(p->bytes + p->bytes_len, 0, 64);
}

uint64_t bench_columns_hash(const struct bench_columns *c)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < c->rows; i++) {
        struct bench_wanted w = {c->user + c->user_end[i],
                                 c->page + c->page_end[i],
                                 c->user_end[i + 1] - c->user_end[i],
                                 c->page_end[i + 1] - c->page_end[i],
                                 c->viewed_at[i],
                                 c->load_ms[i]};

        sum += bench_wanted_hash(&w);
    }
    return sum;
}

static void decode_pass(struct bench_decode *d, struct bench_result *checked)
{
    for (uint64_t first = 0; first < d->payloads.count; first += BENCH_BATCH) {
        uint64_t end = first + BENCH_BATCH;

        d->columns->rows = 0;
        d->checking = checked;
        d->decode(d, first, end < d->payloads.count ? end : d->payloads.count);
        if (checked) {
            checked->groups += d->columns->rows;
            checked->checksum += bench_columns_hash(d->columns);
        }
    }
}

static int decode_run(void *user_data, struct bench_result *ret_result)
{
    struct bench_decode *d = user_data;

    decode_pass(d, ret_result);
    bench_timer_start(&ret_result->time);
    for (uint64_t i = 0; i < d->repeat; i++)
        decode_pass(d, NULL);
    bench_timer_stop(&ret_result->time);
    ret_result->rows = d->repeat * d->payloads.count;
    return 0;
}

int bench_decode_serve(struct bench_decode *d)
{
    d->columns = bench_alloc(sizeof(*d->columns));
    memset(d->columns, 0, sizeof(*d->columns));
    return bench_serve(decode_run, d);
}

/* ---- result rows -------------------------------------------------------------------------------
 */

void bench_stored_make(uint64_t i, uint64_t pages, struct bench_stored *ret_row)
{
    uint64_t h = bench_hash(SEED_STORED, i);

    memcpy(ret_row->page, "/p/", 3);
    bench_digits(ret_row->page + 3, BENCH_STORED_PAGE_LEN - 3, h % pages);
    ret_row->window_start = BENCH_T0_MS + (int64_t)(i / (pages * 2)) * BENCH_WINDOW_MS;
    ret_row->views = (int64_t)(h >> 40);
    ret_row->users = (int64_t)(h >> 52);
    ret_row->load_ms = (double)((h >> 20) & 0xffff) / 8;
}

uint64_t bench_stored_hash(const struct bench_stored *row)
{
    uint64_t h = text_hash(0xcbf29ce484222325ULL, row->page, sizeof(row->page));

    return h + (uint64_t)row->window_start * 31 + (uint64_t)row->views * 1000003 +
           (uint64_t)row->users * 65537 + (uint64_t)(row->load_ms * 8);
}

unsigned bench_stored_name(const struct bench_stored *row, char name[BENCH_STORED_NAME_MAX])
{
    memcpy(name, "views:", 6);
    memcpy(name + 6, row->page, BENCH_STORED_PAGE_LEN);
    name[6 + BENCH_STORED_PAGE_LEN] = ':';
    return 7 + BENCH_STORED_PAGE_LEN +
           bench_decimal(name + 7 + BENCH_STORED_PAGE_LEN, (uint64_t)row->window_start);
}
