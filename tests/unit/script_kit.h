/*
 * tests/unit/script_kit.h: a source that does as the test says: how events of its partitions are
 * mixed, how many a read gives, which of them are there yet, what state a partition is in, what the
 * group has committed.
 *
 * The script belongs to the test and outlives pipelines, as a broker does. Its connector is named
 * "script"; topic "t".
 */
#ifndef EVS_SCRIPT_KIT_H
#define EVS_SCRIPT_KIT_H

#include "pipeline_kit.h"

#define SCRIPT_PARTITIONS 8

typedef struct script_event {
    int64_t time;
    char *value; /* NULL: no payload */
    char *key;   /* or NULL */
} script_event;

typedef struct script_partition {
    script_event *events;
    size_t count, capacity;
    atomic_size_t visible; /* so many can be read now */
    size_t next;
    evs_partition_state state; /* once everything visible was read */
    bool paused;
    int64_t committed; /* the group's offset; -1: none */
} script_partition;

typedef struct script {
    evs_context *ctx;
    script_partition parts[SCRIPT_PARTITIONS];
    int32_t partitions;
    size_t cut;          /* most events of a read */
    uint64_t mix;        /* seed of how partitions are mixed; 0: one after the other */
    atomic_bool bounded; /* END when everything was read */
    const char *identity;
    const evs_header *headers;
    size_t header_count;
    int fail_reads;     /* so many of the next reads fail */
    bool fatal_reads;   /* ... for good */
    int fail_committed; /* so many questions for the group's offset fail */
    bool slow_commits;  /* the group does not acknowledge at once */
    bool unassigned;    /* an open source that has not asked for positions */
    long reads, pauses, blocks;
    void (*on_read)(void *user); /* called by each read that may give rows */
    void *on_read_user;
    atomic_int
        revoke;      /* partition + 1 that the next read gives up; it comes back in the one after */
    bool revoke_all; /* the others, too, in the same read */
    int revoked;
    atomic_bool in_read;
    bool (*may_revoke)(void); /* the read waits for it, then revokes */
    const evs_source_host *host;
} script;

typedef struct script_block {
    script *owner;
    evs_input inputs[];
} script_block;

static const evs_option_info script_options[] = {{0}};

static inline void script_add(script *s, int32_t partition, int64_t time, const char *value)
{
    script_partition *p = &s->parts[partition];
    if (p->count == p->capacity) {
        p->capacity = p->capacity ? p->capacity * 2 : 64;
        p->events = realloc(p->events, p->capacity * sizeof(*p->events));
    }
    p->events[p->count++] = (script_event){time, value ? strdup(value) : NULL, NULL};
    p->visible = p->count;
}

/* {"user":"uN","n":n} */
static inline void script_row(script *s, int32_t partition, int64_t time, int user, int n)
{
    char text[96];
    snprintf(text, sizeof(text), "{\"user\":\"u%d\",\"n\":%d}", user, n);
    script_add(s, partition, time, text);
}

static inline void script_clear(script *s)
{
    for (int i = 0; i < SCRIPT_PARTITIONS; i++) {
        for (size_t k = 0; k < s->parts[i].count; k++) {
            free(s->parts[i].events[k].value);
            free(s->parts[i].events[k].key);
        }
        free(s->parts[i].events);
        s->parts[i] = (script_partition){.state = EVS_PARTITION_AT_END, .committed = -1};
    }
}

static inline evs_status script_open(evs_context *ctx,
                                     const evs_config *config,
                                     const evs_source_host *host,
                                     void **ret_source,
                                     evs_error **reterr)
{
    script *s = evs_context_attached(ctx, "evs.test.script");
    (void)config;
    (void)reterr;
    s->ctx = ctx;
    s->host = host;
    s->unassigned = true;
    for (int i = 0; i < SCRIPT_PARTITIONS; i++)
        s->parts[i].paused = false;
    *ret_source = s;
    return EVS_OK;
}

static inline evs_status script_describe(void *source,
                                         const char *const **ret_topics,
                                         const int32_t **ret_partitions,
                                         size_t *ret_count,
                                         evs_error **reterr)
{
    static const char *const topics[] = {"t"};
    script *s = source;
    (void)reterr;
    *ret_topics = topics;
    *ret_partitions = &s->partitions;
    *ret_count = 1;
    return EVS_OK;
}

static inline evs_status
script_identity(void *source, const char **ret_identity, evs_error **reterr)
{
    script *s = source;
    (void)reterr;
    *ret_identity = s->identity ? s->identity : "";
    return EVS_OK;
}

static inline bool script_has(const script_partition *p)
{
    return !p->paused && p->next < p->visible;
}

/* the partition of the next run, or -1 */
static inline int32_t script_choose(script *s, size_t *ret_run)
{
    int32_t with[SCRIPT_PARTITIONS], n = 0;
    for (int32_t i = 0; i < s->partitions; i++) {
        if (script_has(&s->parts[i]))
            with[n++] = i;
    }
    *ret_run = SIZE_MAX;
    if (!n)
        return -1;
    if (!s->mix)
        return with[0];
    *ret_run = 1 + evs_test_random(&s->mix) % 7;
    return with[evs_test_random(&s->mix) % (uint64_t)n];
}

static inline void script_ask_positions(script *s)
{
    s->unassigned = false;
    for (int32_t i = 0; i < s->partitions; i++) {
        int64_t offset = s->host->assigned(s->host->runtime, 0, i);
        s->parts[i].next = offset >= 0                 ? (size_t)offset
                           : s->parts[i].committed > 0 ? (size_t)s->parts[i].committed
                                                       : 0;
    }
}

static inline void script_rebalance(script *s)
{
    int revoke = atomic_exchange(&s->revoke, 0);
    if (s->revoked) {
        for (int32_t at = 0; at < s->partitions; at++) {
            int64_t offset, committed;
            if (at != s->revoked - 1 && !s->revoke_all)
                continue;
            offset = s->host->assigned(s->host->runtime, 0, at);
            committed = s->parts[at].committed > 0 ? s->parts[at].committed : 0;
            s->parts[at].next = (size_t)(offset >= 0 ? offset : committed);
        }
        s->revoked = 0;
    }
    if (!revoke)
        return;
    atomic_store(&s->in_read, true);
    while (s->may_revoke && !s->may_revoke())
        usleep(1000);
    for (int32_t at = 0; at < s->partitions; at++) {
        if (at != revoke - 1 && !s->revoke_all)
            continue;
        s->host->revoking(s->host->runtime, 0, at, false);
        s->parts[at].next = s->parts[at].count;
    }
    s->revoked = revoke;
}

static inline evs_status
script_read(void *source, size_t max, int64_t wait_ms, evs_read *ret_read, evs_error **reterr)
{
    script *s = source;
    size_t most = s->cut && s->cut < max ? s->cut : max, n = 0, run;
    script_block *b;
    bool more = false;

    (void)wait_ms;
    s->reads++;
    if (s->fail_reads > 0) {
        s->fail_reads--;
        evs_error_set(s->ctx, reterr, EVS_ERR_UNAVAILABLE, "read failed on purpose");
        evs_error_annotate(s->ctx, reterr, !s->fatal_reads, false, 0, NULL);
        return EVS_ERR_UNAVAILABLE;
    }
    if (s->on_read && max)
        s->on_read(s->on_read_user);
    if (s->unassigned)
        script_ask_positions(s);
    script_rebalance(s);
    b = malloc(sizeof(*b) + most * sizeof(evs_input));
    b->owner = s;
    while (n < most) {
        int32_t at = script_choose(s, &run);
        if (at < 0)
            break;
        for (; run && n < most && script_has(&s->parts[at]); run--) {
            script_partition *p = &s->parts[at];
            const script_event *e = &p->events[p->next];
            b->inputs[n++] = (evs_input){.value = e->value,
                                         .key = e->key,
                                         .handle = s,
                                         .offset = (int64_t)p->next,
                                         .timestamp = e->time,
                                         .value_len = e->value ? (uint32_t)strlen(e->value) : 0,
                                         .key_len = e->key ? (uint32_t)strlen(e->key) : 0,
                                         .partition = at};
            p->next++;
        }
    }
    if (n) {
        __atomic_add_fetch(&s->blocks, 1, __ATOMIC_RELAXED);
        *ret_read = (evs_read){.inputs = b->inputs, .handle = b, .count = n};
        return EVS_OK;
    }
    free(b);
    for (int32_t i = 0; i < s->partitions; i++)
        more = more || s->parts[i].next < s->parts[i].count;
    return s->bounded && max && !more ? EVS_END : EVS_AGAIN;
}

static inline void script_release(void *source, void *handle)
{
    script_block *b = handle;
    (void)source;
    __atomic_sub_fetch(&b->owner->blocks, 1, __ATOMIC_RELAXED);
    free(b);
}

static inline evs_partition_state script_state(void *source, uint32_t topic, int32_t partition)
{
    script *s = source;
    (void)topic;
    return s->parts[partition].next < s->parts[partition].visible ? EVS_PARTITION_FETCHING
                                                                  : s->parts[partition].state;
}

static inline int64_t script_end_offset(void *source, uint32_t topic, int32_t partition)
{
    script *s = source;
    (void)topic;
    return (int64_t)s->parts[partition].count;
}

static inline evs_status
script_seek(void *source, uint32_t topic, int32_t partition, int64_t offset, evs_error **reterr)
{
    script *s = source;
    (void)topic;
    (void)reterr;
    s->parts[partition].next = (size_t)offset;
    return EVS_OK;
}

static inline evs_status
script_pause(void *source, uint32_t topic, int32_t partition, bool paused, evs_error **reterr)
{
    script *s = source;
    (void)topic;
    (void)reterr;
    s->parts[partition].paused = paused;
    s->pauses += paused;
    return EVS_OK;
}

static inline evs_status script_commit(void *source,
                                       const uint32_t *topics,
                                       const int32_t *partitions,
                                       const int64_t *offsets,
                                       size_t count,
                                       evs_error **reterr)
{
    script *s = source;
    (void)topics;
    (void)reterr;
    for (size_t i = 0; i < count; i++)
        s->parts[partitions[i]].committed = offsets[i];
    return s->slow_commits ? EVS_AGAIN : EVS_OK;
}

static inline evs_status script_committed(
    void *source, uint32_t topic, int32_t partition, int64_t *ret_offset, evs_error **reterr)
{
    script *s = source;
    (void)topic;
    if (s->fail_committed > 0) {
        s->fail_committed--;
        evs_error_set(s->ctx, reterr, EVS_ERR_UNAVAILABLE, "no coordinator");
        evs_error_annotate(s->ctx, reterr, true, false, 0, NULL);
        return EVS_ERR_UNAVAILABLE;
    }
    *ret_offset = s->parts[partition].committed;
    return EVS_OK;
}

static inline evs_status script_headers(void *source,
                                        const evs_input *input,
                                        const evs_header **ret_headers,
                                        size_t *ret_count)
{
    script *s = source;
    (void)input;
    *ret_headers = s->headers;
    *ret_count = s->header_count;
    return EVS_OK;
}

static inline void script_close(void *source)
{
    script *s = source;
    s->host = NULL;
}

static const evs_source_functions script_functions = {
    .struct_size = sizeof(evs_source_functions),
    .options = script_options,
    .open = script_open,
    .describe = script_describe,
    .identity = script_identity,
    .read = script_read,
    .release = script_release,
    .partition_state = script_state,
    .end_offset = script_end_offset,
    .seek = script_seek,
    .pause = script_pause,
    .commit = script_commit,
    .headers = script_headers,
    .committed = script_committed,
    .close = script_close,
};
static const evs_connector script_connector = {sizeof(evs_connector), "script",
                                               "events as a test says", &script_functions, NULL};

/* ---- set-up: the kit's context knows the script ---- */

static script the_script;

static inline int script_setup(void **state)
{
    kit *k;
    kit_setup(state);
    k = *state;
    script_clear(&the_script);
    the_script = (script){.partitions = 1};
    script_clear(&the_script);
    OK(evs_connector_register(k->ctx, &script_connector, &k->err));
    OK(evs_context_attach(k->ctx, "evs.test.script", &the_script, NULL, &k->err));
    return 0;
}

static inline int script_teardown(void **state)
{
    int status = kit_teardown(state);
    script_clear(&the_script);
    return status;
}

#define SCRIPT_TEST(name) cmocka_unit_test_setup_teardown(name, script_setup, script_teardown)

/* drain, moving the kit's clock by `step_ms` a time until `total_ms` have passed */
static inline void script_run_for(kit *k, int64_t total_ms, int64_t step_ms)
{
    for (int64_t t = 0; t < total_ms; t += step_ms) {
        assert_true(kit_drain(k) >= 0);
        k->now_ms += step_ms;
    }
    assert_true(kit_drain(k) >= 0);
}

#endif
