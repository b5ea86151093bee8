/*
 * Peer of S2: a raw hiredis pipeline, HSET of 3 fields a row.
 *
 *   peer-s2-hiredis --port P [--rows N] [--pages P] [--window W]
 *
 * Commands are sent in bursts of a quarter of the window and answers are read once the window is
 * full, so that client and server work at the same time. Numbers are turned to text as a program
 * must do that has them as numbers.
 */
#include "../stores.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

struct peer {
    int port;
    uint64_t rows, pages, window;
    struct bench_stored *stored;
};

static void append(redisContext *c, const struct bench_stored *row)
{
    char name[BENCH_STORED_NAME_MAX], views[24], users[24], load_ms[32];
    const char *argv[8] = {"HSET", name, "views", views, "users", users, "load_ms", load_ms};
    size_t lens[8] = {4, 0, 5, 0, 5, 0, 7, 0};

    lens[1] = bench_stored_name(row, name);
    lens[3] = bench_decimal(views, (uint64_t)row->views);
    lens[5] = bench_decimal(users, (uint64_t)row->users);
    lens[7] = (size_t)snprintf(load_ms, sizeof(load_ms), "%.17g", row->load_ms);
    if (redisAppendCommandArgv(c, 8, argv, lens))
        bench_die("redis: %s", c->errstr);
}

static void take(redisContext *c, uint64_t count)
{
    while (count--) {
        redisReply *reply;

        if (redisGetReply(c, (void **)&reply))
            bench_die("redis: %s", c->errstr);
        if (reply->type == REDIS_REPLY_ERROR)
            bench_die("redis: %s", reply->str);
        freeReplyObject(reply);
    }
}

static void write_all(redisContext *c, const struct peer *p)
{
    uint64_t burst = p->window / 4, waiting = 0;

    for (uint64_t i = 0; i < p->rows; i++) {
        int done = 0;

        append(c, &p->stored[i]);
        waiting++;
        if ((i + 1) % burst)
            continue;
        while (!done) {
            if (redisBufferWrite(c, &done))
                bench_die("redis: %s", c->errstr);
        }
        if (waiting >= p->window) {
            take(c, burst);
            waiting -= burst;
        }
    }
    take(c, waiting);
}

static int run(void *user_data, struct bench_result *ret_result)
{
    const struct peer *p = user_data;
    redisContext *c;

    bench_redis_clear(p->port);
    bench_timer_start(&ret_result->time);
    c = redisConnect("127.0.0.1", p->port);
    if (!c || c->err)
        bench_die("redis: cannot connect to port %d", p->port);
    write_all(c, p);
    redisFree(c);
    bench_timer_stop(&ret_result->time);
    ret_result->rows = p->rows;
    bench_redis_check(p->port, p->rows, p->pages, ret_result);
    return 0;
}

int main(int argc, char **argv)
{
    struct peer p = {0};

    p.port = (int)bench_arg_int(argc, argv, "--port", 6379);
    p.rows = (uint64_t)bench_arg_int(argc, argv, "--rows", 200000);
    p.pages = (uint64_t)bench_arg_int(argc, argv, "--pages", 20000);
    p.window = (uint64_t)bench_arg_int(argc, argv, "--window", 2000);
    p.stored = bench_alloc(p.rows * sizeof(p.stored[0]));
    for (uint64_t i = 0; i < p.rows; i++)
        bench_stored_make(i, p.pages, &p.stored[i]);
    return bench_serve(run, &p);
}
