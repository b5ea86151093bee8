/*
 * runtime/snapshot.c: an epoch as bytes.
 *
 *   "EVSSNAP1"  section ... section
 *   section:    kind u32 | node u32 | part u32 | 0 u32 | length u64 | bytes | CRC-32C of all before
 *     1  head:  fingerprint, application.id, epoch, clock, shards of an exchange
 *     2  source (node): identity, topics with partition counts, position and time of each partition
 *     3  state of shard `part` of window `node`
 *     4  end:   number of sections before it; a file without it was cut off
 *
 * Integers are little endian. `node` counts sources and operators (evs__node_ordinal), so sinks may
 * come and go. Every length is checked against what is there before it is used.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/hash.h"
#include "runtime/snapshot.h"

#define MAGIC "EVSSNAP1"
#define MAGIC_LEN 8
#define HEAD_LEN 24
#define CRC_LEN 4
#define WRITE_CHUNK (1 << 20)

enum section_kind { SECTION_HEAD = 1, SECTION_SOURCE = 2, SECTION_STATE = 3, SECTION_END = 4 };

/* ---- integers ---- */

static void put_u32(evs__buffer *b, uint32_t v)
{
    uint8_t bytes[4];
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(v >> (8 * i));
    evs__buffer_append(b, bytes, sizeof(bytes));
}

static void put_u64(evs__buffer *b, uint64_t v)
{
    put_u32(b, (uint32_t)v);
    put_u32(b, (uint32_t)(v >> 32));
}

static void put_text(evs__buffer *b, const char *text)
{
    put_u32(b, (uint32_t)strlen(text));
    evs__buffer_text(b, text);
}

/* a cursor over bytes that may be anything; `bad` once they were too few */
typedef struct reading {
    const uint8_t *p;
    size_t left;
    bool bad;
} reading;

static const uint8_t *get_bytes(reading *r, size_t n)
{
    const uint8_t *p = r->p;
    if (r->bad || n > r->left) {
        r->bad = true;
        return NULL;
    }
    r->p += n;
    r->left -= n;
    return p;
}

static uint32_t get_u32(reading *r)
{
    const uint8_t *p = get_bytes(r, 4);
    return p ? (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24
             : 0;
}

static uint64_t get_u64(reading *r)
{
    uint64_t low = get_u32(r);
    return low | (uint64_t)get_u32(r) << 32;
}

static evs_string_view get_text(reading *r)
{
    uint32_t len = get_u32(r);
    const uint8_t *p = get_bytes(r, len);
    return (evs_string_view){(const char *)p, p ? len : 0};
}

static bool is_text(evs_string_view v, const char *text)
{
    return v.len == strlen(text) && (!v.len || memcmp(v.data, text, v.len) == 0);
}

/* ---- writing ---- */

static evs_status write_out(evs__image_out *out, evs_context *ctx, evs_error **reterr)
{
    size_t at = 0;
    if (out->fd < 0)
        return EVS_OK;
    while (at < out->bytes->len) {
        ssize_t n = write(out->fd, out->bytes->data + at, out->bytes->len - at);
        if (n < 0 && errno != EINTR) {
            char text[128];
            evs__fail(ctx, reterr, EVS_ERR_IO, "cannot write the snapshot: %s",
                      strerror_r(errno, text, sizeof(text)));
            evs_error_annotate(ctx, reterr, true, false, 0, NULL);
            return EVS_ERR_IO;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    evs__buffer_reset(out->bytes);
    return EVS_OK;
}

/* begin a section; returns where it starts in the buffer */
static size_t section_begin(evs__buffer *b, uint32_t kind, uint32_t node, uint32_t part)
{
    size_t start = b->len;
    put_u32(b, kind);
    put_u32(b, node);
    put_u32(b, part);
    put_u32(b, 0);
    put_u64(b, 0);
    return start;
}

static evs_status
section_end(evs__image_out *out, size_t start, evs_context *ctx, evs_error **reterr)
{
    evs__buffer *b = out->bytes;
    uint64_t len;

    if (b->status)
        return evs__fail(ctx, reterr, b->status, "snapshot: %s", evs_status_text(b->status));
    len = b->len - start - HEAD_LEN;
    for (int i = 0; i < 8; i++)
        b->data[start + 16 + i] = (char)(len >> (8 * i));
    put_u32(b, evs__crc32c(0, b->data + start, b->len - start));
    if (b->status)
        return evs__fail(ctx, reterr, b->status, "snapshot: %s", evs_status_text(b->status));
    return b->len >= WRITE_CHUNK ? write_out(out, ctx, reterr) : EVS_OK;
}

static evs_status
write_head(evs__runtime *rt, int64_t epoch, evs__image_out *out, evs_error **reterr)
{
    evs__buffer *b = out->bytes;
    size_t start = section_begin(b, SECTION_HEAD, 0, 0);
    put_text(b, rt->plan->fingerprint);
    put_text(b, evs__plan_application_id(rt->plan));
    put_u64(b, (uint64_t)epoch);
    put_u64(b, (uint64_t)evs__now_ms(rt));
    put_u64(b, (uint64_t)evs_config_int(rt->plan->config, "exchange.partitions"));
    return section_end(out, start, rt->ctx, reterr);
}

static evs_status write_source(const evs__source *s, evs__image_out *out, evs_error **reterr)
{
    evs__buffer *b = out->bytes;
    size_t start = section_begin(b, SECTION_SOURCE, evs__node_ordinal(s->node), 0);

    put_text(b, s->identity);
    put_u32(b, (uint32_t)s->topic_count);
    for (size_t t = 0; t < s->topic_count; t++) {
        put_text(b, s->topics[t]);
        put_u32(b, (uint32_t)s->partition_counts[t]);
    }
    for (uint32_t i = 0; i < s->partition_count; i++) {
        const evs__position *at = &s->partitions[i].now;
        put_u64(b, (uint64_t)at->offset);
        put_u64(b, (uint64_t)at->time.max_time);
        put_u64(b, (uint64_t)at->time.watermark);
    }
    return section_end(out, start, s->rt->ctx, reterr);
}

static evs_status
write_stage(const evs__stage *stage, evs__image_out *out, uint32_t *count, evs_error **reterr)
{
    evs_status status = EVS_OK;
    for (uint32_t i = 0; !status && i < stage->shard_count; i++) {
        evs__operator *op = stage->shards[i].op;
        size_t start = section_begin(out->bytes, SECTION_STATE, evs__node_ordinal(stage->node), i);
        pthread_mutex_lock(&stage->shards[i].lock); /* a host may read meanwhile */
        status = op->fn->snapshot(op, out->bytes, reterr);
        pthread_mutex_unlock(&stage->shards[i].lock);
        if (!status)
            status = section_end(out, start, stage->rt->ctx, reterr);
        ++*count;
    }
    return status;
}

evs_status
evs__image_write(evs__runtime *rt, int64_t epoch, evs__image_out *out, evs_error **reterr)
{
    uint32_t count = 1 + rt->source_count;
    size_t start;
    evs_status status;

    evs__buffer_reset(out->bytes);
    evs__buffer_append(out->bytes, MAGIC, MAGIC_LEN);
    status = write_head(rt, epoch, out, reterr);
    for (uint32_t i = 0; !status && i < rt->source_count; i++)
        status = write_source(&rt->sources[i], out, reterr);
    for (uint32_t n = 0; !status && n < rt->plan->node_count; n++) {
        if (rt->stages[n])
            status = write_stage(rt->stages[n], out, &count, reterr);
    }
    if (status)
        return status;
    start = section_begin(out->bytes, SECTION_END, 0, 0);
    put_u32(out->bytes, count);
    status = section_end(out, start, rt->ctx, reterr);
    return status ? status : write_out(out, rt->ctx, reterr);
}

/* ---- loading ---- */

typedef struct loading {
    evs__runtime *rt;
    const char *what;
    bool positions;
    bool headed;
    int64_t epoch;
    uint32_t sections;
    uint32_t sources; /* loaded: all of them, in the order they are written in */
    uint32_t states;  /* shards loaded, likewise */
    bool ended;
    evs_error **reterr;
} loading;

static evs_status corrupt(loading *l, const char *why)
{
    return evs__fail(l->rt->ctx, l->reterr, EVS_ERR_CORRUPT,
                     "%s is damaged (%s): remove it to go on from an older snapshot or from the "
                     "beginning",
                     l->what, why);
}

static evs_status load_head(loading *l, reading r)
{
    evs__plan *plan = l->rt->plan;
    evs_context *ctx = l->rt->ctx;
    evs_string_view fingerprint = get_text(&r);
    evs_string_view application = get_text(&r);
    int64_t shards = evs_config_int(plan->config, "exchange.partitions"), kept_shards;

    l->epoch = (int64_t)get_u64(&r);
    get_u64(&r); /* clock, for people who look */
    kept_shards = (int64_t)get_u64(&r);
    if (r.bad || r.left)
        return corrupt(l, "its head has another length");
    if (!is_text(application, evs__plan_application_id(plan)))
        return evs__fail(ctx, l->reterr, EVS_ERR_STATE,
                         "%s belongs to application.id \"%.*s\", this is \"%s\"", l->what,
                         (int)application.len, application.data, evs__plan_application_id(plan));
    if (!is_text(fingerprint, plan->fingerprint))
        return evs__fail(
            ctx, l->reterr, EVS_ERR_STATE,
            "%s belongs to another plan: its fingerprint is %.*s, this plan's is %s; run "
            "the plan it was made by, or use another application.id or state.dir to "
            "begin anew",
            l->what, (int)fingerprint.len, fingerprint.data, plan->fingerprint);
    if (kept_shards != shards && evs__plan_has_state(plan))
        return evs__fail(ctx, l->reterr, EVS_ERR_STATE,
                         "%s has exchange.partitions=%lld, now it is %lld: set it back, or begin "
                         "anew with another application.id or state.dir",
                         l->what, (long long)kept_shards, (long long)shards);
    l->headed = true;
    return EVS_OK;
}

static evs__source *source_of(evs__runtime *rt, uint32_t ordinal)
{
    for (uint32_t i = 0; i < rt->source_count; i++) {
        if (evs__node_ordinal(rt->sources[i].node) == ordinal)
            return &rt->sources[i];
    }
    return NULL;
}

static evs_status check_identity(loading *l, const evs__source *s, evs_string_view identity)
{
    if (is_text(identity, s->identity))
        return EVS_OK;
    return evs__fail(
        l->rt->ctx, l->reterr, EVS_ERR_STATE,
        "%s was made reading cluster \"%.*s\", step \"%s\" is now connected to \"%s\": "
        "connect to the former one, or use another application.id or state.dir to begin "
        "anew",
        l->what, (int)identity.len, identity.data, s->node->name, s->identity);
}

static evs_status check_topic(loading *l, const evs__source *s, size_t t, reading *r)
{
    evs_string_view name = get_text(r);
    uint32_t partitions = get_u32(r);
    if (r->bad)
        return corrupt(l, "a source is cut off");
    if (!is_text(name, s->topics[t]))
        return evs__fail(
            l->rt->ctx, l->reterr, EVS_ERR_STATE,
            "%s was made reading topic \"%.*s\", step \"%s\" reads \"%s\"; use another "
            "application.id or state.dir to begin anew",
            l->what, (int)name.len, name.data, s->node->name, s->topics[t]);
    if (partitions != (uint32_t)s->partition_counts[t])
        return evs__fail(
            l->rt->ctx, l->reterr, EVS_ERR_STATE,
            "%s was made with %u partitions of \"%s\", now there are %d: keys have moved; "
            "use another application.id or state.dir to begin anew",
            l->what, partitions, s->topics[t], s->partition_counts[t]);
    return EVS_OK;
}

static evs_status load_source(loading *l, uint32_t node, reading r)
{
    evs__source *s = source_of(l->rt, node);
    evs_string_view identity = get_text(&r);
    uint32_t topics = get_u32(&r);
    evs_status status;

    if (!s || r.bad)
        return corrupt(l, "a source is unknown");
    if (s != &l->rt->sources[l->sources] || l->states)
        return corrupt(l, "a source is missing or there twice");
    status = check_identity(l, s, identity);
    if (!status && topics != s->topic_count)
        status = evs__fail(l->rt->ctx, l->reterr, EVS_ERR_STATE,
                           "%s was made reading %u topics, step \"%s\" reads %zu; use another "
                           "application.id or state.dir to begin anew",
                           l->what, topics, s->node->name, s->topic_count);
    for (size_t t = 0; !status && t < s->topic_count; t++)
        status = check_topic(l, s, t, &r);
    if (status)
        return status;
    if (r.left != (size_t)s->partition_count * 24)
        return corrupt(l, "positions of a source are missing");
    for (uint32_t i = 0; l->positions && i < s->partition_count; i++) {
        evs__position at = {.offset = (int64_t)get_u64(&r)};
        evs__partition_time_init(&at.time);
        at.time.max_time = (int64_t)get_u64(&r);
        at.time.watermark = (int64_t)get_u64(&r);
        s->partitions[i].now = s->partitions[i].epoch = at;
    }
    l->sources++;
    return EVS_OK;
}

static evs_status load_state(loading *l, uint32_t node, uint32_t part, reading r)
{
    evs__runtime *rt = l->rt;
    uint32_t before = 0;
    for (uint32_t n = 0; n < rt->plan->node_count; n++) {
        evs__stage *stage = rt->stages[n];
        evs_error *e = NULL;
        evs_status status;
        if (!stage || evs__node_ordinal(stage->node) != node) {
            before += stage ? stage->shard_count : 0;
            continue;
        }
        if (part >= stage->shard_count)
            break;
        if (before + part != l->states)
            return corrupt(l, "state of a step is missing or there twice");
        pthread_mutex_lock(&stage->shards[part].lock);
        status = stage->shards[part].op->fn->restore(stage->shards[part].op, r.p, r.left, &e);
        pthread_mutex_unlock(&stage->shards[part].lock);
        if (status) {
            evs_error_prefix(rt->ctx, &e, "%s: step \"%s\": ", l->what, stage->node->name);
            return evs__error_move(l->reterr, e);
        }
        evs__shard_restored(&stage->shards[part]);
        l->states++;
        return EVS_OK;
    }
    return corrupt(l, "state of a step that the plan does not have");
}

static evs_status load_section(loading *l, uint32_t kind, uint32_t node, uint32_t part, reading r)
{
    uint32_t count;
    if (l->ended || (kind != SECTION_HEAD) != l->headed)
        return corrupt(l, "its sections are out of order");
    l->sections++;
    switch (kind) {
    case SECTION_HEAD:
        return load_head(l, r);
    case SECTION_SOURCE:
        return load_source(l, node, r);
    case SECTION_STATE:
        return load_state(l, node, part, r);
    case SECTION_END:
        count = get_u32(&r);
        l->ended = true;
        return r.bad || count + 1 != l->sections ? corrupt(l, "sections are missing") : EVS_OK;
    default:
        return corrupt(l, "a section of unknown kind");
    }
}

static uint32_t shards_of(const evs__runtime *rt)
{
    uint32_t count = 0;
    for (uint32_t n = 0; n < rt->plan->node_count; n++)
        count += rt->stages[n] ? rt->stages[n]->shard_count : 0;
    return count;
}

/* all checksums first: nothing of a damaged image is believed */
static evs_status check_sums(loading *l, reading r)
{
    while (r.left) {
        reading section = r;
        const uint8_t *start = r.p;
        uint64_t len;
        uint32_t crc;
        get_bytes(&section, 16);
        len = get_u64(&section);
        if (section.bad || len > section.left)
            return corrupt(l, "it is cut off");
        get_bytes(&section, (size_t)len);
        crc = get_u32(&section);
        if (section.bad)
            return corrupt(l, "it is cut off");
        if (crc != evs__crc32c(0, start, HEAD_LEN + (size_t)len))
            return corrupt(l, "a checksum does not fit");
        r = section;
    }
    return EVS_OK;
}

evs_status evs__image_load(evs__runtime *rt,
                           const void *data,
                           size_t len,
                           bool positions,
                           const char *what,
                           int64_t *ret_epoch,
                           evs_error **reterr)
{
    loading l = {.rt = rt, .what = what, .positions = positions, .reterr = reterr};
    reading r = {data, len, false};
    const uint8_t *magic = get_bytes(&r, MAGIC_LEN);
    evs_status status;

    if (!magic || memcmp(magic, MAGIC, MAGIC_LEN) != 0)
        return corrupt(&l, "it is no snapshot of this version");
    status = check_sums(&l, r);
    while (!status && r.left) {
        uint32_t kind = get_u32(&r), node = get_u32(&r), part = get_u32(&r);
        size_t n;
        get_u32(&r);
        n = (size_t)get_u64(&r);
        status = load_section(&l, kind, node, part, (reading){r.p, n, false});
        get_bytes(&r, n + CRC_LEN);
    }
    if (!status && !l.ended)
        status = corrupt(&l, "its end is missing");
    if (!status && l.sources != rt->source_count)
        status = corrupt(&l, "positions of a source are missing");
    if (!status && l.states != shards_of(rt))
        status = corrupt(&l, "state of a step is missing");
    if (!status)
        *ret_epoch = l.epoch;
    return status;
}

/* ---- positions as text ---- */

evs_status evs__offsets_write(evs__runtime *rt, int64_t epoch, evs__buffer *out)
{
    evs__buffer_printf(out, "evstream 1 %s %lld\n", rt->plan->fingerprint, (long long)epoch);
    for (uint32_t i = 0; i < rt->source_count; i++) {
        const evs__source *s = &rt->sources[i];
        for (uint32_t k = 0; k < s->partition_count; k++) {
            const evs__partition *p = &s->partitions[k];
            evs__buffer_printf(out, "%u %s %d %lld\n", evs__node_ordinal(s->node),
                               s->topics[p->topic], p->number, (long long)p->now.offset);
        }
    }
    return evs__buffer_cstr(out) ? EVS_OK : out->status;
}

/* one line "SOURCE TOPIC PARTITION OFFSET"; topics hold no spaces but files may: cut from both ends
 */
static bool load_line(evs__runtime *rt, const char *line, size_t len)
{
    const char *end = line + len, *offset = end, *number, *topic;
    int64_t node, partition, position;
    evs__source *s;

    while (offset > line && offset[-1] != ' ')
        offset--;
    number = offset > line ? offset - 1 : line;
    while (number > line && number[-1] != ' ')
        number--;
    topic = memchr(line, ' ', len);
    if (!topic || number <= topic + 1 || offset - 1 <= number ||
        evs__parse_int(line, (size_t)(topic - line), &node) ||
        evs__parse_int(number, (size_t)(offset - 1 - number), &partition) ||
        evs__parse_int(offset, (size_t)(end - offset), &position))
        return false;
    topic++;
    s = node >= 0 && node <= UINT32_MAX ? source_of(rt, (uint32_t)node) : NULL;
    for (uint32_t k = 0; s && k < s->partition_count; k++) {
        evs__partition *p = &s->partitions[k];
        if (p->number == partition &&
            is_text((evs_string_view){topic, (size_t)(number - 1 - topic)}, s->topics[p->topic])) {
            p->now.offset = p->epoch.offset = position;
            return true;
        }
    }
    return false;
}

evs_status
evs__offsets_load(evs__runtime *rt, const char *text, const char *what, evs_error **reterr)
{
    static const char head[] = "evstream 1 ";
    const char *p = text, *next;
    size_t len = strlen(rt->plan->fingerprint);

    if (strncmp(p, head, sizeof(head) - 1) != 0)
        return evs__fail(rt->ctx, reterr, EVS_ERR_CORRUPT, "%s are not ours: \"%.40s\"", what,
                         text);
    p += sizeof(head) - 1;
    if (strncmp(p, rt->plan->fingerprint, len) != 0)
        return evs__fail(
            rt->ctx, reterr, EVS_ERR_STATE,
            "%s belong to another plan: fingerprint %.*s, this plan's is %s; run the plan "
            "they were made by, or use another application.id to begin anew",
            what, (int)strcspn(p, " \n"), p, rt->plan->fingerprint);
    for (p = strchr(p, '\n'); p && *++p; p = next) {
        next = strchr(p, '\n');
        if (!next || !load_line(rt, p, (size_t)(next - p)))
            return evs__fail(rt->ctx, reterr, EVS_ERR_STATE,
                             "%s name \"%.*s\", which the pipeline does not read; use another "
                             "application.id to begin anew",
                             what, (int)strcspn(p, "\n"), p);
    }
    return EVS_OK;
}
