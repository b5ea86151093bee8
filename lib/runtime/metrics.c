/*
 * runtime/metrics.c: the registry behind runtime/metrics.h. See there.
 *
 * Counters are 64-bit integers, gauges and sums the bits of a double, buckets 32 cumulative-free
 * counters; all relaxed atomics: a reader may see a histogram between two of its parts, which
 * Prometheus allows.
 */
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>

#include "runtime/metrics.h"

#define BUCKETS_MAX 16

typedef enum metric_type { COUNTER, GAUGE, HISTOGRAM } metric_type;

struct evs__metric {
    evs__metric *next;
    evs__metric_id id;
    char *labels; /* `source="source_1",topic="t"`; "" if none */
    atomic_uint_fast64_t value;
    atomic_uint_fast64_t count;
    atomic_uint_fast64_t buckets[BUCKETS_MAX];
};

static const struct {
    const char *name;
    metric_type type;
    const char *labels;
    const char *help;
} infos[] = {
#define METRIC_INFO(id, name, type, labels, help) {name, type, labels, help},
    EVS__METRIC_MAP(METRIC_INFO)
#undef METRIC_INFO
};

static const double seconds_bounds[] = {0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05,
                                        0.1,    0.5,    1,     5,     10,   60};
static const double rows_bounds[] = {1, 4, 16, 64, 256, 1024, 4096};

static const double *bounds_of(evs__metric_id id, size_t *ret_count)
{
    if (id == EVS__METRIC_BATCH_ROWS) {
        *ret_count = sizeof(rows_bounds) / sizeof(*rows_bounds);
        return rows_bounds;
    }
    *ret_count = sizeof(seconds_bounds) / sizeof(*seconds_bounds);
    return seconds_bounds;
}

void evs__metrics_init(evs__metrics *m, evs_context *ctx)
{
    *m = (evs__metrics){.ctx = ctx};
    pthread_mutex_init(&m->lock, NULL);
}

void evs__metrics_free(evs__metrics *m)
{
    evs__metric *next;
    if (!m->ctx)
        return;
    for (evs__metric *i = m->first; i; i = next) {
        next = i->next;
        evs__free(m->ctx, i->labels);
        evs__free(m->ctx, i);
    }
    pthread_mutex_destroy(&m->lock);
    m->ctx = NULL;
}

/* Prometheus' escapes of label values */
static void escape(evs__buffer *out, const char *value)
{
    for (; *value; value++) {
        if (*value == '\n') {
            evs__buffer_text(out, "\\n");
            continue;
        }
        if (*value == '"' || *value == '\\')
            evs__buffer_byte(out, '\\');
        evs__buffer_byte(out, (uint8_t)*value);
    }
}

static evs_status labels_text(evs__buffer *out, va_list ap)
{
    const char *name;
    while ((name = va_arg(ap, const char *))) {
        evs__buffer_printf(out, "%s%s=\"", out->len ? "," : "", name);
        escape(out, va_arg(ap, const char *));
        evs__buffer_text(out, "\"");
    }
    return evs__buffer_cstr(out) ? EVS_OK : out->status;
}

static evs__metric *find_locked(const evs__metrics *m, evs__metric_id id, const char *labels)
{
    for (evs__metric *i = m->first; i; i = i->next) {
        if (i->id == id && strcmp(i->labels, labels) == 0)
            return i;
    }
    return NULL;
}

evs__metric *evs__metrics_add(evs__metrics *m, evs__metric_id id, ...)
{
    evs__buffer labels;
    evs__metric *i = NULL;
    va_list ap;

    evs__buffer_init(&labels, m->ctx, 1 << 16);
    va_start(ap, id);
    if (labels_text(&labels, ap))
        goto out;
    pthread_mutex_lock(&m->lock);
    i = find_locked(m, id, labels.data);
    if (!i && (i = evs__calloc(m->ctx, 1, sizeof(*i)))) {
        i->id = id;
        i->labels = evs__strdup(m->ctx, labels.data);
        if (!i->labels) {
            evs__free(m->ctx, i);
            i = NULL;
        } else {
            *(m->last ? &m->last->next : &m->first) = i;
            m->last = i;
        }
    }
    pthread_mutex_unlock(&m->lock);
out:
    va_end(ap);
    evs__buffer_free(&labels);
    return i;
}

static uint64_t bits_of(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof(bits));
    return bits;
}

static double double_of(uint64_t bits)
{
    double d;
    memcpy(&d, &bits, sizeof(d));
    return d;
}

void evs__metric_add(evs__metric *m, uint64_t n)
{
    if (m)
        atomic_fetch_add_explicit(&m->value, n, memory_order_relaxed);
}

void evs__metric_set(evs__metric *m, double value)
{
    if (m)
        atomic_store_explicit(&m->value, bits_of(value), memory_order_relaxed);
}

void evs__metric_observe(evs__metric *m, double value)
{
    uint_fast64_t old;
    size_t count, at = 0;
    const double *bounds;

    if (!m)
        return;
    bounds = bounds_of(m->id, &count);
    while (at < count && value > bounds[at])
        at++;
    atomic_fetch_add_explicit(&m->buckets[at], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->count, 1, memory_order_relaxed);
    old = atomic_load_explicit(&m->value, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&m->value, &old, bits_of(double_of(old) + value),
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

/* ---- reading ---- */

static double value_of(evs__metric *m)
{
    uint64_t value = atomic_load_explicit(&m->value, memory_order_relaxed);
    return infos[m->id].type == COUNTER ? (double)value : double_of(value);
}

bool evs__metrics_get(evs__metrics *m, const char *name, double *ret)
{
    static const char prefix[] = "evstream_";
    size_t len;
    bool found = false;
    double sum = 0;

    if (strncmp(name, prefix, sizeof(prefix) - 1) == 0)
        name += sizeof(prefix) - 1;
    pthread_mutex_lock(&m->lock);
    for (evs__metric *i = m->first; i; i = i->next) {
        len = strlen(infos[i->id].name);
        if (strncmp(infos[i->id].name, name, len) != 0)
            continue;
        if (infos[i->id].type == HISTOGRAM) {
            if (strcmp(name + len, "_sum") == 0)
                sum += value_of(i);
            else if (strcmp(name + len, "_count") == 0)
                sum += (double)atomic_load_explicit(&i->count, memory_order_relaxed);
            else
                continue;
        } else if (name[len]) {
            continue;
        } else {
            sum += value_of(i);
        }
        found = true;
    }
    pthread_mutex_unlock(&m->lock);
    if (!found)
        for (size_t i = 0; i < EVS__METRIC_IDS; i++)
            found = found || (infos[i].type != HISTOGRAM && strcmp(infos[i].name, name) == 0);
    if (found)
        *ret = sum;
    return found;
}

static void line(evs__buffer *out,
                 const char *name,
                 const char *suffix,
                 const char *common,
                 const char *labels,
                 const char *le)
{
    evs__buffer_printf(out, "evstream_%s%s{%s", name, suffix, common);
    if (*labels)
        evs__buffer_printf(out, ",%s", labels);
    if (le)
        evs__buffer_printf(out, ",le=\"%s\"", le);
    evs__buffer_text(out, "} ");
}

/* "Infinity" and "NaN" are written as Prometheus does */
static void number(evs__buffer *out, double value)
{
    if (isnan(value))
        evs__buffer_text(out, "NaN");
    else if (isinf(value))
        evs__buffer_text(out, value > 0 ? "+Inf" : "-Inf");
    else
        evs__buffer_double(out, value);
    evs__buffer_text(out, "\n");
}

static void histogram(evs__buffer *out, evs__metric *m, const char *common)
{
    const char *name = infos[m->id].name;
    char le[32];
    size_t count;
    uint64_t sum = 0;
    const double *bounds = bounds_of(m->id, &count);
    evs__buffer text;

    evs__buffer_init(&text, out->ctx, 64);
    for (size_t i = 0; i <= count; i++) {
        evs__buffer_reset(&text);
        if (i < count)
            evs__buffer_double(&text, bounds[i]);
        else
            evs__buffer_text(&text, "+Inf");
        if (!evs__buffer_cstr(&text)) {
            out->status = text.status;
            break;
        }
        memcpy(le, text.data, text.len < 31 ? text.len + 1 : 31);
        le[31] = '\0';
        sum += atomic_load_explicit(&m->buckets[i], memory_order_relaxed);
        line(out, name, "_bucket", common, m->labels, le);
        evs__buffer_int(out, (int64_t)sum);
        evs__buffer_text(out, "\n");
    }
    evs__buffer_free(&text);
    line(out, name, "_sum", common, m->labels, NULL);
    number(out, value_of(m));
    line(out, name, "_count", common, m->labels, NULL);
    evs__buffer_int(out, (int64_t)sum);
    evs__buffer_text(out, "\n");
}

static void family(evs__metrics *m, evs__metric_id id, const char *common, evs__buffer *out)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    bool told = false;
    for (evs__metric *i = m->first; i; i = i->next) {
        if (i->id != id)
            continue;
        if (!told)
            evs__buffer_printf(out, "# HELP evstream_%s %s\n# TYPE evstream_%s %s\n",
                               infos[id].name, infos[id].help, infos[id].name,
                               types[infos[id].type]);
        told = true;
        if (infos[id].type == HISTOGRAM) {
            histogram(out, i, common);
            continue;
        }
        line(out, infos[id].name, "", common, i->labels, NULL);
        if (infos[id].type == COUNTER) {
            evs__buffer_int(out, (int64_t)atomic_load_explicit(&i->value, memory_order_relaxed));
            evs__buffer_text(out, "\n");
        } else {
            number(out, value_of(i));
        }
    }
}

evs_status evs__metrics_text(evs__metrics *m, const char *pipeline, evs__buffer *out)
{
    evs__buffer common;
    evs__buffer_init(&common, m->ctx, 1 << 16);
    evs__buffer_text(&common, "pipeline=\"");
    escape(&common, pipeline);
    evs__buffer_text(&common, "\"");
    if (evs__buffer_cstr(&common)) {
        pthread_mutex_lock(&m->lock);
        for (int id = 0; id < EVS__METRIC_IDS; id++)
            family(m, (evs__metric_id)id, common.data, out);
        pthread_mutex_unlock(&m->lock);
    } else {
        out->status = common.status;
    }
    evs__buffer_free(&common);
    evs__buffer_cstr(out);
    return out->status;
}

evs_status evs__metrics_reference(evs__buffer *out)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    evs__buffer_text(out, "| metric | type | labels | what |\n|---|---|---|---|\n");
    for (size_t i = 0; i < EVS__METRIC_IDS; i++)
        evs__buffer_printf(out, "| `evstream_%s` | %s | %s%s%s | %s |\n", infos[i].name,
                           types[infos[i].type], "pipeline", *infos[i].labels ? ", " : "",
                           infos[i].labels, infos[i].help);
    return out->status;
}
