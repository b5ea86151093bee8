/*
 * use.c: the public headers used, not only included, by a program in C99 and (through use.cc) in
 * C++11, linked to the shared library as a host's would be. Each macro stands beside its function
 * twin, and both must give the same.
 */
#include <evstream/evstream.h>

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static int checks;
static int failed;

static void check(bool ok, const char *what)
{
    checks++;
    if (!ok)
        failed++;
    printf("%s %d - %s\n", ok ? "ok" : "not ok", checks, what);
}

static bool same_options(const evs_options *options, const char *key, const char *value)
{
    const char *found = evs_options_get(options, key);

    return found && strcmp(found, value) == 0;
}

static void use_version_and_status(void)
{
    check(strcmp(evs_version(), EVS_VERSION_STRING) == 0, "version of header and library");
    check(strcmp(evs_status_name(EVS_ERR_SCHEMA), "EVS_ERR_SCHEMA") == 0, "status name");
    check(*evs_status_text(EVS_AGAIN) != '\0', "status text");
}

static void use_options(evs_context *context)
{
    evs_options *made = NULL;

    check(same_options(EVS_OPTIONS("topic", "views", "format", "avro"), "format", "avro"),
          "options by macro");
    check(evs_options_get(EVS_OPTIONS("topic", "views"), "missing") == NULL, "option not there");
    check(evs_options_new(context, &made, NULL) == EVS_OK &&
              evs_options_set(made, "topic", "views", NULL) == EVS_OK,
          "options by function");
    check(same_options(made, "topic", "views"), "option read back");
    check(evs_options_unref(made) == NULL, "unref returns NULL");
}

static void use_types(evs_context *context)
{
    evs_type *type = NULL;
    evs_error *error = NULL;

    check(evs_type_parse(context, "STRUCT<a INT, b VARCHAR NOT NULL>", &type, &error) == EVS_OK,
          "type parsed");
    check(evs_type_get_id(type) == EVS_TYPE_STRUCT && evs_type_child_count(type) == 2,
          "type read back");
    check(evs_type_field_index(type, "b", 1) == 1, "field found");
    evs_type_unref(type);
    type = NULL;
    check(evs_type_parse(context, "NO SUCH", &type, &error) == EVS_ERR_SCHEMA && !type,
          "bad type refused");
    check(evs_error_status(error) == EVS_ERR_SCHEMA && *evs_error_message(error) != '\0',
          "error says so");
    check(evs_error_unref(error) == NULL, "error released");
}

/* The structs have no padding, so they may be compared as bytes. */
#define CHECK_TWIN(type, macro, function)                                                          \
    do {                                                                                           \
        type by_macro = macro;                                                                     \
        type by_function;                                                                          \
        memset(&by_function, 0xa5, sizeof(by_function));                                           \
        function(&by_function);                                                                    \
        check(memcmp(&by_macro, &by_function, sizeof(by_macro)) == 0, #macro " and " #function);   \
        check(by_macro.struct_size == sizeof(type), #macro " knows its size");                     \
    } while (0)

static void use_twins(void)
{
    CHECK_TWIN(evs_context_options, EVS_CONTEXT_OPTIONS_INIT, evs_context_options_init);
    CHECK_TWIN(evs_window_options, EVS_WINDOW_OPTIONS_INIT, evs_window_options_init);
    CHECK_TWIN(evs_message, EVS_MESSAGE_INIT, evs_message_init);
}

static void use_window(evs_context *context)
{
    evs_window_options options = EVS_WINDOW_OPTIONS_INIT;
    evs_schema *schema = NULL;
    evs_window *window = NULL;
    evs_batch *batch = NULL;
    evs_appender *appender;
    evs_row row;
    int64_t count = 0;

    options.size_ms = 1000;
    options.emit = EVS_EMIT_FINAL;
    check(evs_schema_columns(context, "user VARCHAR", &schema, NULL) == EVS_OK &&
              evs_window_new(context, schema, "user", "count(*) AS n", &options, &window, NULL) ==
                  EVS_OK,
          "window");
    appender = evs_window_appender(window);
    for (int64_t i = 0; i < 3; i++) {
        evs_append_string(appender, "a", 1);
        evs_append_time(appender, 100 * i);
        check(evs_append_end_row(appender, NULL) == EVS_OK, "row for the window");
    }
    check(evs_window_advance(window, 1000, NULL) == EVS_OK &&
              evs_window_take(window, &batch, NULL) == EVS_OK && evs_batch_rows(batch) == 1,
          "window closed");
    row = evs_batch_row(batch, 0);
    check(evs_row_int(&row, evs_row_field(&row, "n"), &count) == EVS_OK && count == 3,
          "window counted");
    evs_batch_unref(batch);
    check(evs_window_unref(window) == NULL, "window released");
    evs_schema_unref(schema);
}

struct view {
    int64_t user;
    const char *page;
    bool bot;
};

/* one by macro, the others by its twin */
static void bind_view(evs_field_binding *fields)
{
    static const evs_field_binding by_macro[] = {EVS_BIND(struct view, user, EVS_BIND_INT64),
                                                 EVS_BIND(struct view, page, EVS_BIND_CSTR)};

    memcpy(fields, by_macro, sizeof(by_macro));
    evs_field_binding_init(&fields[2], "bot", offsetof(struct view, bot), sizeof(bool),
                           EVS_BIND_BOOL);
    memset(&fields[3], 0xa5, sizeof(fields[3]));
    evs_field_binding_init(&fields[3], by_macro[0].field, offsetof(struct view, user),
                           sizeof(int64_t), EVS_BIND_INT64);
    check(memcmp(&fields[3], &by_macro[0], sizeof(by_macro[0])) == 0,
          "EVS_BIND and evs_field_binding_init");
}

static void on_delivery(const evs_delivery *delivery, void *user_data)
{
    if (!delivery->error && delivery->key_len == 1 && *(const char *)delivery->key == 'k')
        ++*(int *)user_data;
}

/* the first batch of the topic, or NULL */
static evs_batch *first_batch(evs_consumer *consumer)
{
    evs_batch *batch = NULL;

    for (int i = 0; i < 100; i++) {
        if (evs_consumer_poll(consumer, 100, &batch, NULL) != EVS_AGAIN)
            break;
    }
    return batch;
}

#define VIEWS "kafka.bootstrap.servers", "embedded:", "topic", "views", "format", "json"

static void use_producer(evs_context *context, evs_schema *schema)
{
    struct view view = {7, "/a", true};
    evs_field_binding fields[4];
    evs_message message = EVS_MESSAGE_INIT;
    evs_producer *producer = NULL;
    evs_status status;
    int delivered = 0;

    bind_view(fields);
    check(evs_producer_new(context, EVS_OPTIONS(VIEWS, "topic.partitions", "1"), schema, &producer,
                           NULL) == EVS_OK &&
              evs_producer_bind(producer, fields, 3, NULL) == EVS_OK,
          "producer with a bound struct");
    message.key = "k";
    message.key_len = 1;
    message.timestamp_ms = 1700000000123;
    while ((status = evs_producer_send_struct(producer, &view, &message, on_delivery, &delivered,
                                              NULL)) == EVS_AGAIN)
        evs_producer_poll(producer, 10, NULL);
    check(status == EVS_OK && evs_producer_flush(producer, 10000, NULL) == EVS_OK && delivered == 1,
          "message delivered");
    check(evs_producer_close(producer) == NULL, "producer closed");
}

static void use_producer_and_consumer(evs_context *context)
{
    evs_schema *schema = NULL;
    evs_consumer *consumer = NULL;
    evs_batch *batch;
    evs_row row;
    int64_t user = 0;
    bool bot = false;

    check(evs_schema_columns(context, "user BIGINT, page VARCHAR, bot BOOLEAN", &schema, NULL) ==
              EVS_OK,
          "schema of the topic");
    use_producer(context, schema);
    check(evs_consumer_new(context, EVS_OPTIONS(VIEWS, "start", "earliest", "assign", "all"),
                           schema, &consumer, NULL) == EVS_OK,
          "consumer");
    batch = first_batch(consumer);
    check(batch && evs_batch_rows(batch) == 1, "message consumed");
    if (batch) {
        row = evs_batch_row(batch, 0);
        check(evs_row_int(&row, 0, &user) == EVS_OK && user == 7 &&
                  evs_row_bool(&row, 2, &bot) == EVS_OK && bot,
              "bound members read back");
    }
    check(evs_consumer_close(consumer) == NULL, "consumer closed");
    evs_schema_unref(schema);
}

int main(void)
{
    evs_context_options options = EVS_CONTEXT_OPTIONS_INIT;
    evs_context *context = NULL;

    check(evs_context_new(&options, &context, NULL) == EVS_OK, "context");
    use_version_and_status();
    use_options(context);
    use_types(context);
    use_twins();
    use_window(context);
    use_producer_and_consumer(context);
    check(evs_context_unref(context) == NULL, "context released");
    printf("1..%d\n", checks);
    return failed != 0;
}
