/*
 * 02: produce purchases as Avro. The schema is a contract: an event that breaks it never leaves the
 * program.
 *
 *     02_produce_avro [bootstrap.servers]
 */
#include "sample.h"

static const char purchase_avsc[] =
    "{\"type\":\"record\",\"name\":\"Purchase\",\"fields\":["
    "{\"name\":\"user_id\",\"type\":\"string\"},"
    "{\"name\":\"at\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}},"
    "{\"name\":\"coupon\",\"type\":[\"null\",\"string\"],\"default\":null},"
    "{\"name\":\"items\",\"type\":{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":"
    "\"Item\",\"fields\":["
    "{\"name\":\"sku\",\"type\":\"string\"},{\"name\":\"quantity\",\"type\":\"int\"},"
    "{\"name\":\"price\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":9,"
    "\"scale\":2}}]}}}]}";

static evs_status send_one(evs_producer *producer, int i, int with_quantity, evs_error **reterr)
{
    evs_record *r = evs_producer_record(producer); /* reused: no allocation per event */
    evs_record *item;
    evs_record_set_string(r, "user_id", "u-17", 4);
    evs_record_set_int(r, "at", SAMPLE_START_MS + i * 1000);
    item = evs_record_append(r, "items"); /* `coupon` keeps its default */
    evs_record_set_string(item, "sku", "A-1", 3);
    evs_record_set_decimal(item, "price", "19.90");
    if (with_quantity)
        evs_record_set_int(item, "quantity", 1 + i % 3);
    return evs_producer_send(producer, r, NULL, NULL, NULL, reterr);
}

int main(int argc, char **argv)
{
    evs_context *ctx = NULL;
    evs_schema *purchase = NULL;
    evs_producer *producer = NULL;
    evs_error *err = NULL;
    evs_status status;
    int sent = 0;

    if (evs_context_new(NULL, &ctx, &err))
        return sample_fail(err);
    status = evs_schema_parse(ctx, EVS_FORMAT_AVRO, purchase_avsc, strlen(purchase_avsc), &purchase,
                              &err);
    if (!status)
        status = evs_producer_new(ctx,
                                  EVS_OPTIONS("kafka.bootstrap.servers", sample_brokers(argc, argv),
                                              "topic", "purchases", "topic.create", "true",
                                              "format", "avro", "key", "user_id"),
                                  purchase, &producer, &err);
    for (int i = 0; !status && i < 100; i++) {
        while ((status = send_one(producer, i, 1, &err)) == EVS_AGAIN)
            evs_producer_poll(producer, 10, NULL);
        sent += status == EVS_OK;
    }
    if (!status && send_one(producer, 0, 0, &err) == EVS_ERR_SCHEMA) {
        printf("refused: %s\n", evs_error_message(err));
        err = evs_error_unref(err);
    }
    if (!status)
        status = evs_producer_flush(producer, 30000, &err);
    evs_producer_close(producer);
    evs_schema_unref(purchase);
    evs_context_unref(ctx);
    if (status)
        return sample_fail(err);
    printf("%d purchases delivered\n", sent);
    return 0;
}
