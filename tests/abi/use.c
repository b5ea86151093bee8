/*
 * use.c: the public headers used, not only included, by a program in C99 and (through use.cc) in
 * C++11, linked to the shared library as a host's would be. Each macro stands beside its function
 * twin, and both must give the same.
 */
#include <evstream/evstream.h>

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
    check(evs_context_unref(context) == NULL, "context released");
    printf("1..%d\n", checks);
    return failed != 0;
}
