/*
 * Reads back the hashes that S2 wrote: every name a row could have, in pipelines of 1,000.
 */
#include "stores.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>

#define PIPELINE 1000

static redisContext *connect_to(int port)
{
    redisContext *c = redisConnect("127.0.0.1", port);

    if (!c || c->err)
        bench_die("redis: %s", c ? c->errstr : "out of memory");
    return c;
}

void bench_redis_clear(int port)
{
    redisContext *c = connect_to(port);
    redisReply *reply = redisCommand(c, "FLUSHALL");

    if (!reply || reply->type == REDIS_REPLY_ERROR)
        bench_die("redis: FLUSHALL failed");
    freeReplyObject(reply);
    redisFree(c);
}

static void take_reply(redisContext *c, struct bench_stored *row, struct bench_result *ret_result)
{
    redisReply *reply;

    if (redisGetReply(c, (void **)&reply))
        bench_die("redis: %s", c->errstr);
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3)
        bench_die("redis: unexpected reply");
    if (reply->element[0]->str && reply->element[1]->str && reply->element[2]->str) {
        row->views = strtoll(reply->element[0]->str, NULL, 10);
        row->users = strtoll(reply->element[1]->str, NULL, 10);
        row->load_ms = strtod(reply->element[2]->str, NULL);
        ret_result->groups++;
        ret_result->checksum += bench_stored_hash(row);
    }
    freeReplyObject(reply);
}

static void row_name(uint64_t i, uint64_t pages, struct bench_stored *row)
{
    memcpy(row->page, "/p/", 3);
    bench_digits(row->page + 3, BENCH_STORED_PAGE_LEN - 3, i % pages);
    row->window_start = BENCH_T0_MS + (int64_t)(i / pages) * BENCH_WINDOW_MS;
}

void bench_redis_check(int port, uint64_t rows, uint64_t pages, struct bench_result *ret_result)
{
    uint64_t names = ((rows + 2 * pages - 1) / (2 * pages)) * pages, asked = 0;
    redisContext *c = connect_to(port);
    struct bench_stored row;

    for (uint64_t i = 0; i < names; i++) {
        for (; asked < names && asked < i + PIPELINE; asked++) {
            char name[BENCH_STORED_NAME_MAX];
            unsigned len;

            row_name(asked, pages, &row);
            len = bench_stored_name(&row, name);
            redisAppendCommand(c, "HMGET %b views users load_ms", name, (size_t)len);
        }
        row_name(i, pages, &row);
        take_reply(c, &row, ret_result);
    }
    redisFree(c);
}
