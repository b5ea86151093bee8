/*
 * fuzz_snapshot.c: a window restored from any bytes.
 *
 * The first byte chooses one of four windows and one of two lists of aggregates, the rest is the
 * body of a snapshot behind the plan line; magic, plan and checksum are put around it, so that the
 * checks behind them are reached. What is restored must work: take rows, close, give out results,
 * make a snapshot that restores. The bytes as they are are tried, too.
 */
#include "fuzz.h"

#include <string.h>

#include "base/hash.h"
#include "engine/window.h"

#define AGGREGATES                                                                                 \
    "count(*), sum(i), avg(i), sum(m), avg(m), min(s), max(d), count_distinct(s), "                \
    "count(DISTINCT i)"
#define MORE_AGGREGATES                                                                            \
    "first(a), max_by(s, m), collect_list(m), histogram(s), string_agg(DISTINCT s, ','), "         \
    "sum(DISTINCT i) FILTER (WHERE i > 1), topk(d, 2), median(m), stddev(d), corr(d, i), "         \
    "bool_and(d > 0), decayed_rate(i, 5), approx_count_distinct(s), approx_quantile(d, 0.5), "     \
    "approx_top_k(s, 2)"
#define COLUMNS "s VARCHAR, i BIGINT, d DOUBLE, m DECIMAL(9,2), a ARRAY<VARCHAR>"

static const char *const keys[] = {"s", "i", "s, a, d", NULL};

static evs_window *make_window(evs_context *ctx, uint8_t which)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    evs_schema *schema = NULL;
    evs_window *w = NULL;

    o.size_ms = 10;
    o.emit = which & 1 ? EVS_EMIT_FINAL : EVS_EMIT_CHANGES;
    o.null_key = EVS_NULL_KEY_GROUP;
    o.state_bytes_max = 1 << 20;
    FUZZ_CHECK(!evs_schema_columns(ctx, COLUMNS, &schema, NULL));
    FUZZ_CHECK(!evs_window_new(ctx, schema, keys[which & 3],
                               which & 4 ? MORE_AGGREGATES : AGGREGATES, &o, &w, NULL));
    evs_schema_unref(schema);
    return w;
}

/* [magic version length][plan][body][checksum], the first two parts as an empty window writes them
 */
static void frame(evs_window *w, const uint8_t *body, size_t len, evs__buffer *out)
{
    const void *empty = NULL;
    size_t empty_len = 0;
    uint32_t plan, crc;
    uint64_t length;

    FUZZ_CHECK(!evs_window_snapshot(w, &empty, &empty_len, NULL));
    memcpy(&plan, (const char *)empty + 16, sizeof(plan));
    evs__buffer_append(out, empty, 16 + sizeof(plan) + plan);
    evs__buffer_append(out, body, len);
    length = out->len - 16;
    memcpy(out->data + 8, &length, sizeof(length));
    crc = evs__crc32c(0, out->data, out->len);
    FUZZ_CHECK(!evs__buffer_append(out, &crc, sizeof(crc)));
}

static void take_all(evs_window *w)
{
    evs_batch *b = NULL;
    while (evs_window_take(w, &b, NULL) == EVS_OK)
        evs_batch_unref(b);
    while (evs_window_take_late(w, &b, NULL) == EVS_OK)
        evs_batch_unref(b);
}

static void append(evs_window *w, int64_t time)
{
    evs_appender *a = evs_window_appender(w);
    evs_append_time(a, time);
    evs_append_string(a, "some text", 9);
    evs_append_int(a, time);
    evs_append_double(a, 0.5);
    evs_append_decimal(a, "1.25");
    FUZZ_CHECK(!evs_append_end_row(a, NULL));
}

static void use(evs_context *ctx, evs_window *w, uint8_t which)
{
    evs_window *copy = make_window(ctx, which);
    const void *data = NULL;
    size_t len = 0;

    /* taken, or the state is full: both are fine */
    for (int64_t i = 0; i < 40; i++)
        append(w, i);
    if (!evs_window_snapshot(w, &data, &len, NULL)) {
        evs_status status = evs_window_restore(copy, data, len, NULL);
        FUZZ_CHECK(status == EVS_OK || status == EVS_ERR_LIMIT);
    }
    take_all(copy);
    evs_window_unref(copy);
    evs_window_advance(w, 20, NULL);
    take_all(w);
    evs_window_advance(w, INT64_MAX, NULL);
    take_all(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    evs_context *ctx = NULL;
    evs_window *w;
    evs__buffer bytes;

    if (!size)
        return 0;
    FUZZ_CHECK(!evs_context_new(NULL, &ctx, NULL));
    evs__buffer_init(&bytes, ctx, SIZE_MAX);
    w = make_window(ctx, data[0]);
    FUZZ_CHECK(evs_window_restore(w, data, size, NULL) != EVS_OK);
    frame(w, data + 1, size - 1, &bytes);
    if (!evs_window_restore(w, bytes.data, bytes.len, NULL))
        use(ctx, w, data[0]);
    evs__buffer_free(&bytes);
    evs_window_unref(w);
    evs_context_unref(ctx);
    return 0;
}
