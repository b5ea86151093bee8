/*
 * io/kafka/resend.c: what to do with messages that librdkafka gives back.
 *
 * A broker refuses a produce batch as a whole: one message that is too large, or breaks a policy of
 * the topic, brings back all that travelled with it. So what came back is kept, in the order it was
 * sent, and sent again in rounds of a few messages. A round that comes back is followed by a
 * smaller one, one that arrives by a larger one; a message that comes back alone is the bad one.
 * Messages that ran out of librdkafka's time (a long outage) are sent again for ever.
 *
 *      first                                              last
 *      [arrived] [waiting] [waiting] [arrived] [waiting] ...      as they were sent
 *
 * The newest of a key stays the newest: while anything waits nothing new is sent, and messages of
 * the same key that were sent later and arrived before are sent once more at the end. To see those,
 * what arrives after the first failure is kept, too. Keys are compared by a small hash: an
 * accident costs a message sent twice, which at least once allows.
 *
 * Invariant: a round begins when every message sent before it is reported. Cost: nothing at all as
 * long as everything arrives; otherwise one copy of what was on the way, which librdkafka's queue
 * bounds (queue.buffering.max.*).
 */
#include <string.h>

#include "io/kafka/kafka.h"
#include "io/kafka/resend.h"

#define ROUND_FIRST 64
#define ROUND_MAX 4096
#define BUCKETS 65536 /* of keys */

typedef enum letter_state { WAITING, ON_THE_WAY, ARRIVED, REFUSED } letter_state;

typedef struct letter {
    struct letter *next;
    evs__outlet_message m; /* its bytes follow this struct */
    letter_state state;
    uint64_t arrival; /* ARRIVED: the how manieth to arrive */
    bool forgotten;   /* dropped while it was on the way */
    evs_status status;
    char *reason; /* REFUSED */
} letter;

struct evs__resend {
    evs_context *ctx;
    evs__outlet *outlet;
    letter *first, *last;
    size_t open;      /* waiting or on the way */
    size_t forgotten; /* dropped while on the way, and not reported yet */
    size_t refused;   /* to be told */
    size_t group;     /* messages of the next round */
    size_t round;     /* of the round that is on the way; 0: what was sent before the first */
    bool came_back;   /* something of it did */
    bool busy;        /* something came back, and the end of it is not settled */
    bool overtaken;   /* something may have arrived behind what was sent after it */
    uint64_t arrivals;
};

evs__resend *evs__resend_new(evs_context *ctx, evs__outlet *outlet)
{
    evs__resend *r = evs_alloc_array(ctx, 1, sizeof(*r));
    if (!r)
        return NULL;
    r->ctx = ctx;
    r->outlet = outlet;
    r->group = ROUND_FIRST;
    return r;
}

static void letter_free(evs__resend *r, letter *l)
{
    evs_free(r->ctx, l->reason);
    evs_free(r->ctx, l);
}

/* everything, or all but what is to be told; messages on the way are let go of when they are
 * reported */
static void forget(evs__resend *r, bool keep_refused)
{
    letter **link = &r->first;
    letter *l;

    r->last = NULL;
    while ((l = *link)) {
        if (keep_refused && l->state == REFUSED) {
            r->last = l;
            link = &l->next;
            continue;
        }
        *link = l->next;
        if (l->state == ON_THE_WAY) {
            l->forgotten = true;
            r->forgotten++;
        } else {
            letter_free(r, l);
        }
    }
    r->open = 0;
    r->round = 0;
    r->came_back = r->busy = r->overtaken = false;
    if (!keep_refused)
        r->refused = 0;
}

void evs__resend_drop(evs__resend *r)
{
    forget(r, false);
}

void evs__resend_free(evs__resend *r)
{
    if (!r)
        return;
    forget(r, false);
    evs_free(r->ctx, r);
}

bool evs__resend_busy(const evs__resend *r)
{
    return r->busy;
}

/* ---- reports ---- */

/*
 * Opaques: a letter's address, or a time in milliseconds with the lowest bit set, or NULL. Where
 * addresses are too short for a time the message is sent again with the time of sending.
 */
static bool is_time(const void *opaque)
{
    return (uintptr_t)opaque & 1;
}

void *evs__resend_opaque(int64_t timestamp_ms)
{
#if UINTPTR_MAX >= UINT64_MAX
    if (timestamp_ms >= 0 && timestamp_ms < INT64_MAX / 2)
        return (void *)((uintptr_t)timestamp_ms << 1 | 1);
#endif
    (void)timestamp_ms;
    return NULL;
}

/* a copy of the message that is being reported */
static letter *keep(evs__resend *r, const void *opaque)
{
    evs__outlet_message m;
    letter *l;
    char *bytes;

    evs__outlet_reported(r->outlet, &m);
    l = evs_alloc(r->ctx, sizeof(*l) + m.key_len + m.value_len);
    if (!l)
        return NULL;
    *l = (letter){.m = m, .state = ARRIVED};
    bytes = (char *)(l + 1);
    if (m.key) {
        memcpy(bytes, m.key, m.key_len);
        l->m.key = bytes;
    }
    if (m.value) {
        memcpy(bytes + m.key_len, m.value, m.value_len);
        l->m.value = bytes + m.key_len;
    }
    l->m.timestamp_ms = is_time(opaque) ? (int64_t)((uintptr_t)opaque >> 1) : EVS_TIME_NONE;
    l->m.opaque = l;
    *(r->last ? &r->last->next : &r->first) = l;
    r->last = l;
    return l;
}

static evs_status refuse(evs__resend *r, letter *l, evs_status status, const char *reason)
{
    l->reason = evs_strdup(r->ctx, reason);
    l->status = status;
    l->state = REFUSED;
    r->refused++;
    r->open--;
    return l->reason ? EVS_OK : EVS_ERR_NOMEM;
}

static evs_status no_memory(evs__resend *r, evs_error **reterr)
{
    return evs_error_set(r->ctx, reterr, EVS_ERR_NOMEM, "out of memory");
}

static evs_status hand_on(evs__resend *r, const evs_error *why, evs_error **reterr)
{
    evs_error_set(r->ctx, reterr, evs_error_status(why), "%s", evs_error_message(why));
    evs_error_annotate(r->ctx, reterr, evs_error_is_retriable(why), evs_error_is_fatal(why),
                       evs_error_kafka_code(why), NULL);
    return evs_error_status(why);
}

/* it goes on waiting, unless it was alone: then it is what the broker does not want */
static evs_status comes_back(evs__resend *r, letter *l, const evs_delivery *d, evs_error **reterr)
{
    bool refused = evs__kafka_refuses((rd_kafka_resp_err_t)evs_error_kafka_code(d->error));

    r->came_back = true;
    if (refused && r->round == 1 && l->state == ON_THE_WAY) {
        if (refuse(r, l, evs_error_status(d->error), evs_error_message(d->error)))
            return no_memory(r, reterr);
        return EVS_OK;
    }
    if (l->state != ON_THE_WAY)
        r->open++;
    if (!r->busy)
        evs_log(r->ctx, EVS_LOG_WARNING, "kafka", "%s; sent again", evs_error_message(d->error));
    l->state = WAITING;
    r->busy = true;
    return EVS_OK;
}

evs_status
evs__resend_report(evs__resend *r, const evs_delivery *d, void *message_opaque, evs_error **reterr)
{
    letter *l = is_time(message_opaque) ? NULL : message_opaque;
    bool ours =
        d->error && (evs_error_is_retriable(d->error) ||
                     evs__kafka_refuses((rd_kafka_resp_err_t)evs_error_kafka_code(d->error)));

    if (!d->error && !r->busy && !r->forgotten)
        return EVS_OK;
    if (l && l->forgotten) {
        r->forgotten--;
        letter_free(r, l);
        return EVS_OK;
    }
    if (!d->error && l) {
        l->state = ARRIVED;
        l->arrival = ++r->arrivals;
        r->overtaken = true;
        r->open--;
        return EVS_OK;
    }
    if (!d->error && (!d->key || !r->busy))
        return EVS_OK; /* nothing takes its place */
    if (d->error && !ours) {
        if (l) {
            l->state = ARRIVED;
            r->open--;
        }
        return hand_on(r, d->error, reterr);
    }
    if (!l && !(l = keep(r, message_opaque)))
        return no_memory(r, reterr);
    l->arrival = ++r->arrivals;
    return d->error ? comes_back(r, l, d, reterr) : EVS_OK;
}

/* ---- rounds ---- */

static uint32_t bucket_of(const letter *l)
{
    const uint8_t *key = l->m.key;
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < l->m.key_len; i++)
        h = (h ^ key[i]) * 16777619u;
    return (h ^ h >> 16) % BUCKETS;
}

/* messages that arrived before an older one of their key, and all of the key behind them, wait
 * again: `newest` is the last arrival of a key so far, as they were sent */
static evs_status repeat_overtaking(evs__resend *r, evs_error **reterr)
{
    uint64_t *newest = evs_alloc_array(r->ctx, BUCKETS, sizeof(*newest));

    if (!newest)
        return no_memory(r, reterr);
    for (letter *l = r->first; l; l = l->next) {
        uint32_t b;
        if (!l->m.key || l->state != ARRIVED)
            continue;
        b = bucket_of(l);
        if (l->arrival > newest[b]) {
            newest[b] = l->arrival;
        } else {
            newest[b] = UINT64_MAX;
            l->state = WAITING;
            r->open++;
        }
    }
    evs_free(r->ctx, newest);
    return EVS_OK;
}

static void choose_group(evs__resend *r)
{
    if (!r->round)
        return;
    if (r->came_back)
        r->group = r->round / 4 ? r->round / 4 : 1;
    else if (r->group < ROUND_MAX)
        r->group *= 2;
}

/* the first messages that wait */
static evs_status send_round(evs__resend *r, evs_error **reterr)
{
    r->round = 0;
    for (letter *l = r->first; l && r->round < r->group; l = l->next) {
        evs_error *e = NULL;
        evs_status status;
        if (l->state != WAITING)
            continue;
        status = evs__outlet_send(r->outlet, &l->m, &e);
        if (status == EVS_AGAIN)
            break;
        if (status == EVS_ERR_LIMIT) {
            status = refuse(r, l, status, evs_error_message(e));
            evs_error_unref(e);
            if (status)
                return no_memory(r, reterr);
            continue;
        }
        if (status) {
            hand_on(r, e, reterr);
            evs_error_unref(e);
            return status;
        }
        l->state = ON_THE_WAY;
        r->round++;
    }
    return EVS_OK;
}

/* everything arrived or is refused: is the newest of each key the newest? */
static evs_status settle(evs__resend *r, evs_error **reterr)
{
    evs_status status = r->overtaken ? repeat_overtaking(r, reterr) : EVS_OK;
    r->overtaken = false;
    if (!status && !r->open)
        forget(r, true);
    return status;
}

evs_status evs__resend_step(evs__resend *r, evs_error **reterr)
{
    evs_status status = EVS_OK;

    if (!r->busy)
        return EVS_OK;
    if (evs__outlet_pending(r->outlet))
        return EVS_AGAIN;
    choose_group(r);
    r->came_back = false;
    if (!r->open)
        status = settle(r, reterr);
    if (!status && r->open)
        status = send_round(r, reterr);
    return status ? status : r->busy ? EVS_AGAIN : EVS_OK;
}

/* ---- what was refused ---- */

void evs__resend_refused(evs__resend *r, evs_refused_fn refused, void *user_data)
{
    letter **link = &r->first;
    letter *l;

    if (!r->refused)
        return;
    r->last = NULL;
    while ((l = *link)) {
        evs_input in = {.value = l->m.value,
                        .value_len = (uint32_t)l->m.value_len,
                        .key = l->m.key,
                        .key_len = (uint32_t)l->m.key_len,
                        .timestamp = l->m.timestamp_ms,
                        .offset = -1,
                        .partition = -1,
                        .topic = UINT32_MAX};
        if (l->state != REFUSED) {
            r->last = l;
            link = &l->next;
            continue;
        }
        refused(&in, l->status, l->reason ? l->reason : "refused", user_data);
        *link = l->next;
        letter_free(r, l);
    }
    r->refused = 0;
}
