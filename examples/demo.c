/*
 * demo: the whole thing in one process and one thread: a producer of page views (JSON) and
 * purchases (Avro, checked against its schema), Kafka (inside the process, or a real broker), a
 * pipeline, a live table on the terminal, and the results in a SQLite file.
 *
 *     demo [--brokers HOST:PORT] [--seconds N] [--database FILE] [--modules DIR]
 *
 *     page views --> topic --> views per page and 5 s -----> terminal (live) and SQLite
 *     purchases  --> topic --> items -> revenue per product -> SQLite
 *                         \--> average per customer --------> topic
 *
 * Both tables of the file, and the offsets of both topics, are one transaction.
 *
 * One in fifty purchases is broken on purpose: the producer refuses it, with the field. One in a
 * hundred page views is not JSON: it goes to the dead letters, with the reason.
 */
#include "sample.h"
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char purchase_avsc[] =
    "{\"type\":\"record\",\"name\":\"Purchase\",\"fields\":["
    "{\"name\":\"customer\",\"type\":\"string\"},"
    "{\"name\":\"total\",\"type\":\"double\"},"
    "{\"name\":\"at\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}},"
    "{\"name\":\"items\",\"type\":{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":"
    "\"Item\",\"fields\":["
    "{\"name\":\"sku\",\"type\":\"string\"},{\"name\":\"quantity\",\"type\":\"int\"},{\"name\":"
    "\"price\",\"type\":\"double\"}]}}}]}";

struct demo {
    const char *brokers, *database, *modules;
    int seconds;
    evs_context *ctx;
    evs_schema *purchase;
    evs_producer *views_out, *purchases_out;
    evs_pipeline *pipeline;
    long sent, refused;
    char why[120]; /* the first one was refused */
    unsigned random;
};

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static int64_t wall_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static unsigned dice(struct demo *d, unsigned sides)
{
    d->random = d->random * 1664525u + 1013904223u;
    return (d->random >> 8) % sides;
}

static evs_status send_view(struct demo *d, evs_error **reterr)
{
    static const char *const pages[] = {"/home", "/search", "/product", "/cart", "/pay"};
    char json[256];
    int64_t at = wall_ms() - dice(d, 400); /* a little out of order, as phones are */
    unsigned page = dice(d, 15);
    snprintf(json, sizeof(json), "{\"user\":\"u%u\",\"page\":\"%s\",\"load_ms\":%u,\"at\":%lld}",
             dice(d, 200),
             pages[page < 5    ? 0
                   : page < 9  ? 1
                   : page < 12 ? 2
                   : page < 14 ? 3
                               : 4],
             20 + dice(d, 300), (long long)at);
    if (!dice(d, 100))
        strcpy(json, "{broken");
    return evs_producer_send_bytes(d->views_out, json, strlen(json), NULL, NULL, NULL, reterr);
}

static evs_status send_purchase(struct demo *d, evs_error **reterr)
{
    static const char *const skus[] = {"tea", "coffee", "cake"};
    evs_record *r = evs_producer_record(d->purchases_out);
    unsigned items = 1 + dice(d, 3);
    double total = 0;
    char customer[16];
    snprintf(customer, sizeof(customer), "c%u", dice(d, 20));
    evs_record_set_string(r, "customer", customer, strlen(customer));
    evs_record_set_int(r, "at", wall_ms());
    for (unsigned i = 0; i < items; i++) {
        evs_record *item = evs_record_append(r, "items");
        const char *sku = skus[dice(d, 3)];
        evs_record_set_string(item, "sku", sku, strlen(sku));
        evs_record_set_double(item, "price", 2.5);
        if (dice(d, 50))
            evs_record_set_int(item, "quantity", 1);
        total += 2.5;
    }
    evs_record_set_double(r, "total", total);
    return evs_producer_send(d->purchases_out, r, NULL, NULL, NULL, reterr);
}

/* some events, then serve the delivery reports */
static evs_status produce(struct demo *d, evs_error **reterr)
{
    evs_status status = EVS_OK;
    for (int i = 0; status >= 0 && i < 60; i++) {
        status = i % 6 ? send_view(d, reterr) : send_purchase(d, reterr);
        if (status == EVS_ERR_SCHEMA) { /* the broken one: it never left the program */
            if (!d->refused++)
                snprintf(d->why, sizeof(d->why), "%s", evs_error_message(*reterr));
            *reterr = evs_error_unref(*reterr);
            status = EVS_OK;
        } else if (status == EVS_OK) {
            d->sent++;
        }
    }
    evs_producer_poll(d->views_out, 0, NULL);
    evs_producer_poll(d->purchases_out, 0, NULL);
    return status < 0 ? status : EVS_OK;
}

static evs_status open_producers(struct demo *d, evs_error **reterr)
{
    evs_status status = evs_schema_parse(d->ctx, EVS_FORMAT_AVRO, purchase_avsc,
                                         strlen(purchase_avsc), &d->purchase, reterr);
    if (!status)
        status = evs_producer_new(d->ctx,
                                  EVS_OPTIONS("kafka.bootstrap.servers", d->brokers, "topic",
                                              "evs_demo_views", "topic.create", "true"),
                                  NULL, &d->views_out, reterr);
    if (!status)
        status = evs_producer_new(d->ctx,
                                  EVS_OPTIONS("kafka.bootstrap.servers", d->brokers, "topic",
                                              "evs_demo_purchases", "topic.create", "true",
                                              "format", "avro", "key", "customer"),
                                  d->purchase, &d->purchases_out, reterr);
    return status;
}

static void five_seconds(evs_window_options *w, int32_t emit)
{
    evs_window_options_init(w);
    w->size_ms = 5000;
    w->emit = emit;
}

static void add_views(struct demo *d)
{
    evs_window_options w;
    evs_stream *counts;
    five_seconds(&w, EVS_EMIT_CHANGES);
    counts = evs_source(d->pipeline, "kafka",
                        EVS_OPTIONS("topic", "evs_demo_views", "format", "json", "columns",
                                    "user VARCHAR, page VARCHAR, load_ms INT, at TIMESTAMP",
                                    "event.time", "at", "out_of_orderness", "500ms", "close_after",
                                    "1s", "assign", "all"));
    counts =
        evs_window_by(counts, "page", &w,
                      "count(*) AS views, count_distinct(user) AS users, avg(load_ms) AS load_ms");
    evs_sink(counts, "console",
             EVS_OPTIONS("title", "views per page and 5 s", "columns",
                         "window_start, page, views, users, load_ms", "rows.max", "15"));
    evs_sink(counts, "sqlite",
             EVS_OPTIONS("path", d->database, "table", "views", "time.format", "iso"));
}

static void add_purchases(struct demo *d)
{
    evs_window_options w;
    evs_stream *purchases, *items;
    five_seconds(&w, EVS_EMIT_CHANGES);
    purchases = evs_source_with_schema(d->pipeline, "kafka", d->purchase,
                                       EVS_OPTIONS("topic", "evs_demo_purchases", "format", "avro",
                                                   "event.time", "at", "close_after", "1s",
                                                   "assign", "all"));
    items = evs_project(evs_explode(purchases, "items", "item"),
                        "item.sku AS sku, item.quantity * item.price AS amount");
    evs_sink(evs_window_by(items, "sku", &w, "sum(amount) AS revenue, count(*) AS sold"), "sqlite",
             EVS_OPTIONS("path", d->database, "table", "revenue", "time.format", "iso"));
    w.emit = EVS_EMIT_FINAL;
    evs_sink(evs_window_by(purchases, "customer", &w, "avg(total) AS average"), "kafka",
             EVS_OPTIONS("topic", "evs_demo_averages", "topic.create", "true", "format", "json"));
}

static evs_status build(struct demo *d, evs_error **reterr)
{
    evs_status status = evs_pipeline_new(d->ctx, "evs-demo", &d->pipeline, reterr);
    if (status)
        return status;
    evs_pipeline_set(d->pipeline, "kafka.bootstrap.servers", d->brokers);
    evs_pipeline_set(d->pipeline, "commit.interval.ms", "500");
    add_views(d);
    add_purchases(d);
    return EVS_OK;
}

static evs_status run(struct demo *d, evs_error **reterr)
{
    int64_t end = wall_ms() + d->seconds * 1000;
    evs_status status = EVS_OK;
    while (status >= 0 && !stopped && wall_ms() < end) {
        status = produce(d, reterr);
        if (status >= 0)
            status = evs_pipeline_poll(d->pipeline, 30, reterr);
    }
    if (status >= 0) /* what was counted so far is committed; windows that are open stay so */
        status = evs_pipeline_close(d->pipeline, reterr);
    return status < 0 ? status : EVS_OK;
}

static void summary(struct demo *d)
{
    double dead = 0;
    (void)evs_pipeline_metric(d->pipeline, "dead_letters_total", &dead);
    printf("\n%ld events sent, %ld refused by their schema, %.0f dead letters\n", d->sent,
           d->refused, dead);
    if (d->refused)
        printf("refused: %s\n", d->why);
    printf("sqlite3 %s 'SELECT page, sum(views) FROM views GROUP BY page'\n", d->database);
}

int main(int argc, char **argv)
{
    struct demo d = {.brokers = "embedded:", .database = "demo.db", .seconds = 18, .random = 42};
    evs_context_options options = EVS_CONTEXT_OPTIONS_INIT;
    evs_error *err = NULL;
    evs_status status;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--brokers") == 0)
            d.brokers = argv[i + 1];
        else if (strcmp(argv[i], "--seconds") == 0)
            d.seconds = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--database") == 0)
            d.database = argv[i + 1];
        else if (strcmp(argv[i], "--modules") == 0)
            d.modules = argv[i + 1];
    }
    signal(SIGINT, on_signal);
    options.module_dir = d.modules;
    status = evs_context_new(&options, &d.ctx, &err);
    if (!status && !(status = open_producers(&d, &err)) && !(status = build(&d, &err)) &&
        !(status = run(&d, &err)))
        summary(&d);
    evs_pipeline_unref(d.pipeline);
    evs_producer_close(d.views_out);
    evs_producer_close(d.purchases_out);
    evs_schema_unref(d.purchase);
    evs_context_unref(d.ctx);
    return status ? sample_fail(err) : 0;
}
