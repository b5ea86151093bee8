/*
 * hll(x) against a real Redis: the bytes are a key like one that PFADD made. Prints TAP.
 *
 *   ours     SET key hll(x)                 PFCOUNT
 *   theirs   PFADD key of the same values   the same PFCOUNT, and PFMERGE of both changes nothing
 */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evstream/evstream.h"

static int number, failed;

static void check(int good, const char *what, long long a, long long b)
{
    printf("%sok %d - %s\n", good ? "" : "not ", ++number, what);
    if (!good)
        printf("# %lld, %lld\n", a, b);
    failed |= !good;
}

static void give_up(const char *what)
{
    printf("Bail out! %s\n", what);
    exit(1);
}

static redisContext *open_redis(const char *address)
{
    char host[128];
    const char *colon = strrchr(address, ':');
    redisContext *redis;

    snprintf(host, sizeof(host), "%.*s", (int)(colon ? colon - address : 0), address);
    redis = redisConnect(host, colon ? atoi(colon + 1) : 0);
    if (!redis || redis->err)
        give_up("no connection to Redis");
    return redis;
}

static long long ask(redisContext *redis, const char *format, const char *a, const char *b)
{
    redisReply *reply = redisCommand(redis, format, a, b);
    long long value = -1;

    if (reply && reply->type == REDIS_REPLY_INTEGER)
        value = reply->integer;
    else if (reply && reply->type == REDIS_REPLY_ERROR)
        printf("# %s\n", reply->str);
    freeReplyObject(reply);
    return value;
}

static void value_of(int i, int as_text, char *text, size_t size)
{
    snprintf(text, size, as_text ? "visitor number %d" : "%d", i * 7 - 50);
}

/* the window's hll over n values, to the key */
static void set_ours(redisContext *redis, const char *key, int n, int as_text)
{
    evs_window_options o = EVS_WINDOW_OPTIONS_INIT;
    evs_context *ctx = NULL;
    evs_schema *schema = NULL;
    evs_window *window = NULL;
    evs_batch *batch = NULL;
    evs_column_view view;
    evs_string_view bytes;

    o.size_ms = 1000;
    o.emit = EVS_EMIT_FINAL;
    if (evs_context_new(NULL, &ctx, NULL) ||
        evs_schema_columns(ctx, as_text ? "x VARCHAR" : "x BIGINT", &schema, NULL) ||
        evs_window_new(ctx, schema, NULL, "hll(x) AS visitors", &o, &window, NULL))
        give_up("no window");
    for (int i = -1; i < n; i++) {
        evs_appender *in = evs_window_appender(window);
        char text[64];
        value_of(i, as_text, text, sizeof(text));
        evs_append_time(in, 1);
        if (i < 0)
            evs_append_null(in);
        else if (as_text)
            evs_append_string(in, text, strlen(text));
        else
            evs_append_int(in, atoll(text));
        if (evs_append_end_row(in, NULL))
            give_up("a row");
    }
    if (evs_window_advance(window, INT64_MAX, NULL) || evs_window_take(window, &batch, NULL) ||
        evs_batch_column(batch, 2, &view))
        give_up("no result");
    bytes = evs_column_string(&view, 0);
    freeReplyObject(redisCommand(redis, "SET %s %b", key, bytes.data, bytes.len));
    evs_batch_unref(batch);
    evs_window_unref(window);
    evs_schema_unref(schema);
    evs_context_unref(ctx);
}

static void add_theirs(redisContext *redis, const char *key, int n, int as_text)
{
    for (int i = 0; i < n; i++) {
        char text[64];
        value_of(i, as_text, text, sizeof(text));
        redisAppendCommand(redis, "PFADD %s %s", key, text);
    }
    for (int i = 0; i < n; i++) {
        void *reply = NULL;
        if (redisGetReply(redis, &reply))
            give_up("PFADD");
        freeReplyObject(reply);
    }
}

static void compare(redisContext *redis, int n, int as_text)
{
    char ours[64], theirs[64], what[96];
    long long a, b;

    snprintf(ours, sizeof(ours), "evs:hll:ours:%d:%d", n, as_text);
    snprintf(theirs, sizeof(theirs), "evs:hll:theirs:%d:%d", n, as_text);
    freeReplyObject(redisCommand(redis, "DEL %s %s", ours, theirs));
    set_ours(redis, ours, n, as_text);
    add_theirs(redis, theirs, n, as_text);
    a = ask(redis, "PFCOUNT %s", ours, NULL);
    b = n ? ask(redis, "PFCOUNT %s", theirs, NULL) : 0;
    snprintf(what, sizeof(what), "PFCOUNT of %d %s is that of PFADD", n,
             as_text ? "texts" : "numbers");
    check(a == b && a >= n * 0.96 && a <= n * 1.04, what, a, b);
    add_theirs(redis, ours, n, as_text);
    freeReplyObject(redisCommand(redis, "PFMERGE %s %s", ours, theirs));
    b = ask(redis, "PFCOUNT %s", ours, NULL);
    check(a == b, "PFADD and PFMERGE of the same values change nothing", a, b);
    freeReplyObject(redisCommand(redis, "DEL %s %s", ours, theirs));
}

int main(void)
{
    static const int sizes[] = {0, 1, 100, 1000, 30000};
    const char *address = getenv("EVS_TEST_REDIS");
    redisContext *redis;

    if (!address) {
        printf("1..0 # SKIP EVS_TEST_REDIS is not set: scripts/services start redis\n");
        return 0;
    }
    redis = open_redis(address);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        compare(redis, sizes[i], 1);
        compare(redis, sizes[i], 0);
    }
    printf("1..%d\n", number);
    redisFree(redis);
    return failed;
}
