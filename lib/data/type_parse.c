/*
 * data/type_parse.c: text to types, and column definitions to a STRUCT.
 *
 *   columns  = column { "," column }
 *   column   = name type [ "'" path "'" ]
 *   type     = kind [ "NOT" "NULL" ]
 *   kind     = BOOLEAN | INT | INTEGER | BIGINT | DOUBLE | VARCHAR | STRING | BYTES | TIMESTAMP
 *            | DATE | TIME | DECIMAL "(" precision [ "," scale ] ")"
 *            | ARRAY "<" type ">" | MAP "<" [ VARCHAR "," ] type ">" | STRUCT "<" fields ">"
 *   fields   = name type { "," name type }
 *   name     = letter or "_" { letter, digit, "_" } | '"' any, '"' doubled '"'
 *
 * One pass, recursive descent, bounded by EVS__TYPE_DEPTH_MAX; an error carries the byte column
 * (from 1) where it was found. No word is reserved: a name stands where a name is expected.
 */
#include <stdio.h>
#include <string.h>

#include "base/config.h"
#include "data/type.h"

typedef struct type_parser {
    evs_context *ctx;
    const char *text;
    const char *p;
    evs_error **reterr;
    uint32_t depth;
} type_parser;

static evs_status parse_type(type_parser *ps, const evs_type **ret);

static void skip_space(type_parser *ps)
{
    while (*ps->p == ' ' || *ps->p == '\t' || *ps->p == '\n' || *ps->p == '\r')
        ps->p++;
}

static evs_status fault_at(type_parser *ps, const char *at, const char *message)
{
    char origin[32];
    snprintf(origin, sizeof(origin), "column %zu", (size_t)(at - ps->text) + 1);
    return evs__fail_at(ps->ctx, ps->reterr, EVS_ERR_SCHEMA, origin, "%s", message);
}

static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static size_t word_length(const char *p)
{
    size_t n = 0;
    while (is_word_byte(p[n]))
        n++;
    return n;
}

static bool word_is(const char *p, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++) {
        char c = p[i] >= 'a' && p[i] <= 'z' ? (char)(p[i] - 32) : p[i];
        if (c != word[i])
            return false;
    }
    return word[n] == '\0';
}

/* "expected X, found "y"" at the present position */
static evs_status expected(type_parser *ps, const char *what)
{
    char message[160];
    size_t n = word_length(ps->p);

    if (n > 40)
        n = 40;
    if (!*ps->p)
        snprintf(message, sizeof(message), "expected %s, found the end of the text", what);
    else
        snprintf(message, sizeof(message), "expected %s, found \"%.*s\"", what, n ? (int)n : 1,
                 ps->p);
    return fault_at(ps, ps->p, message);
}

static bool take(type_parser *ps, char c)
{
    skip_space(ps);
    if (*ps->p != c)
        return false;
    ps->p++;
    return true;
}

static bool take_word(type_parser *ps, const char *word)
{
    size_t n;
    skip_space(ps);
    n = word_length(ps->p);
    if (!n || !word_is(ps->p, n, word))
        return false;
    ps->p += n;
    return true;
}

/* text between `quote`s, in which a doubled one stands for one */
static evs_status parse_quoted(type_parser *ps, char quote, char **ret)
{
    const char *begin = ps->p++;
    const char *end = ps->p;
    char *text, *out;

    while (*end && (*end != quote || end[1] == quote))
        end += *end == quote ? 2 : 1;
    if (!*end)
        return fault_at(ps, begin, "the quote that begins here is not closed");
    text = out = evs__alloc(ps->ctx, (size_t)(end - ps->p) + 1);
    if (!text)
        return evs__nomem(ps->reterr);
    while (ps->p < end) {
        *out++ = *ps->p;
        ps->p += *ps->p == quote ? 2 : 1;
    }
    *out = '\0';
    ps->p = end + 1;
    *ret = text;
    return EVS_OK;
}

static evs_status parse_name(type_parser *ps, char **ret)
{
    size_t n;

    skip_space(ps);
    if (*ps->p == '"')
        return parse_quoted(ps, '"', ret);
    n = word_length(ps->p);
    if (!n || (*ps->p >= '0' && *ps->p <= '9'))
        return expected(ps, "a name (other than letters, digits and _ stand in double quotes)");
    *ret = evs__strndup(ps->ctx, ps->p, n);
    if (!*ret)
        return evs__nomem(ps->reterr);
    ps->p += n;
    return EVS_OK;
}

static evs_status parse_small_number(type_parser *ps, int32_t *ret)
{
    int32_t value = 0;

    skip_space(ps);
    if (*ps->p < '0' || *ps->p > '9')
        return expected(ps, "a number");
    for (; *ps->p >= '0' && *ps->p <= '9'; ps->p++) {
        if (value < 1000)
            value = value * 10 + (*ps->p - '0');
    }
    *ret = value;
    return EVS_OK;
}

/* constructors say why in their status only */
static evs_status made(type_parser *ps, const char *at, evs_status status)
{
    switch (status) {
    case EVS_OK:
        return EVS_OK;
    case EVS_ERR_NOMEM:
        return evs__nomem(ps->reterr);
    default:
        return fault_at(ps, at, "the type is too deep or too large");
    }
}

static evs_status parse_decimal(type_parser *ps, const evs_type **ret)
{
    int32_t precision = 0, scale = 0;
    const char *at;
    evs_status status;

    if (!take(ps, '('))
        return expected(ps, "\"(\" with DECIMAL's precision and scale");
    skip_space(ps);
    at = ps->p;
    status = parse_small_number(ps, &precision);
    if (!status && take(ps, ','))
        status = parse_small_number(ps, &scale);
    if (status)
        return status;
    if (!take(ps, ')'))
        return expected(ps, "\")\"");
    if (precision < 1 || precision > 38 || scale > precision)
        return fault_at(ps, at, "DECIMAL needs a precision of 1 to 38 and a scale of 0 to it");
    return made(ps, at, evs__type_decimal(ps->ctx, precision, scale, true, ret));
}

static evs_status parse_element(type_parser *ps, bool map, const evs_type **ret)
{
    const evs_type *element = NULL;
    const char *at;
    evs_status status;

    if (!take(ps, '<'))
        return expected(ps, "\"<\"");
    skip_space(ps);
    at = ps->p;
    if (map && take_word(ps, "VARCHAR") && take(ps, ','))
        at = ps->p;
    ps->p = at;
    status = parse_type(ps, &element);
    if (!status && !take(ps, '>'))
        status = expected(ps, "\">\"");
    if (!status)
        status = made(ps, at,
                      map ? evs__type_map(ps->ctx, element, true, ret)
                          : evs__type_array(ps->ctx, element, true, ret));
    evs_type_unref(element);
    return status;
}

/* ---- fields ---- */

typedef struct field_list {
    evs__field *fields;
    char **paths; /* NULL: not wanted */
    size_t count;
    size_t capacity;
} field_list;

static void field_list_free(type_parser *ps, field_list *list, bool paths_too)
{
    for (size_t i = 0; i < list->count; i++) {
        evs__free(ps->ctx, (char *)list->fields[i].name);
        evs_type_unref(list->fields[i].type);
    }
    evs__free(ps->ctx, list->fields);
    if (paths_too)
        evs__columns_free_paths(ps->ctx, list->paths, list->count);
}

static evs_status field_list_grow(type_parser *ps, field_list *list, bool with_paths)
{
    size_t capacity = list->capacity ? list->capacity * 2 : 8;
    evs__field *fields;
    char **paths;

    if (list->count < list->capacity)
        return EVS_OK;
    if (list->count >= EVS__TYPE_FIELDS_MAX)
        return fault_at(ps, ps->p, "too many fields");
    fields = evs__realloc_array(ps->ctx, list->fields, capacity, sizeof(*fields));
    if (!fields)
        return evs__nomem(ps->reterr);
    list->fields = fields;
    if (with_paths) {
        paths = evs__realloc_array(ps->ctx, list->paths, capacity, sizeof(*paths));
        if (!paths)
            return evs__nomem(ps->reterr);
        list->paths = paths;
    }
    list->capacity = capacity;
    return EVS_OK;
}

static evs_status parse_path(type_parser *ps, bool wanted, char **ret)
{
    skip_space(ps);
    if (*ps->p != '\'')
        return EVS_OK;
    if (!wanted)
        return fault_at(ps, ps->p, "a path has no place here");
    return parse_quoted(ps, '\'', ret);
}

static evs_status parse_field(type_parser *ps, field_list *list, bool with_paths)
{
    char *name = NULL, *path = NULL;
    const evs_type *type = NULL;
    const char *at;
    evs_status status;

    skip_space(ps);
    at = ps->p;
    status = parse_name(ps, &name);
    if (!status)
        status = parse_type(ps, &type);
    if (!status)
        status = parse_path(ps, with_paths, &path);
    if (!status)
        status = field_list_grow(ps, list, with_paths);
    for (size_t i = 0; !status && i < list->count && list->count <= 16; i++) {
        if (strcmp(list->fields[i].name, name) == 0)
            status = fault_at(ps, at, "there is a field of this name already");
    }
    if (status) {
        evs__free(ps->ctx, name);
        evs__free(ps->ctx, path);
        evs_type_unref(type);
        return status;
    }
    list->fields[list->count] = (evs__field){name, type};
    if (with_paths)
        list->paths[list->count] = path;
    list->count++;
    return EVS_OK;
}

/* fields up to what is not a comma; the caller checks what ends them */
static evs_status parse_fields(type_parser *ps, bool with_paths, field_list *list)
{
    evs_status status;
    do {
        status = parse_field(ps, list, with_paths);
    } while (!status && take(ps, ','));
    return status;
}

static evs_status make_struct(
    type_parser *ps, const field_list *list, const char *at, bool nullable, const evs_type **ret)
{
    evs_status status = evs__type_struct(ps->ctx, list->fields, list->count, nullable, ret);
    if (status == EVS_ERR_SCHEMA)
        return fault_at(ps, at, "two fields have the same name");
    return made(ps, at, status);
}

static evs_status parse_struct(type_parser *ps, const evs_type **ret)
{
    field_list list = {0};
    const char *at = ps->p;
    evs_status status = EVS_OK;

    if (!take(ps, '<'))
        return expected(ps, "\"<\"");
    if (!take(ps, '>')) {
        status = parse_fields(ps, false, &list);
        if (!status && !take(ps, '>'))
            status = expected(ps, "\",\" or \">\"");
    }
    if (!status)
        status = make_struct(ps, &list, at, true, ret);
    field_list_free(ps, &list, false);
    return status;
}

/* ---- types ---- */

static evs_status unknown_type(type_parser *ps)
{
    static const char *const words[] = {"BOOLEAN", "INT",   "BIGINT",    "DOUBLE", "DECIMAL",
                                        "VARCHAR", "BYTES", "TIMESTAMP", "DATE",   "TIME",
                                        "ARRAY",   "MAP",   "STRUCT"};
    char word[41], upper[41], message[160];
    size_t n = word_length(ps->p);
    const char *hint;

    if (!n)
        return expected(ps, "a type");
    if (n > sizeof(word) - 1)
        n = sizeof(word) - 1;
    for (size_t i = 0; i < n; i++) {
        word[i] = ps->p[i];
        upper[i] = word[i] >= 'a' && word[i] <= 'z' ? (char)(word[i] - 32) : word[i];
    }
    word[n] = upper[n] = '\0';
    hint = evs__did_you_mean(upper, words, sizeof(words) / sizeof(words[0]));
    if (hint)
        snprintf(message, sizeof(message), "unknown type \"%s\" (did you mean %s?)", word, hint);
    else
        snprintf(message, sizeof(message),
                 "unknown type \"%s\" (BOOLEAN, INT, BIGINT, DOUBLE, DECIMAL, VARCHAR, BYTES, "
                 "TIMESTAMP, DATE, TIME, ARRAY, MAP, STRUCT)",
                 word);
    return fault_at(ps, ps->p, message);
}

static evs_type_id simple_id(const char *p, size_t n)
{
    for (int id = EVS_TYPE_BOOLEAN; id < EVS_TYPE_ARRAY; id++) {
        if (id != EVS_TYPE_DECIMAL && word_is(p, n, evs__type_word((evs_type_id)id)))
            return (evs_type_id)id;
    }
    if (word_is(p, n, "INTEGER"))
        return EVS_TYPE_INT;
    if (word_is(p, n, "STRING"))
        return EVS_TYPE_VARCHAR;
    return (evs_type_id)0;
}

static evs_status parse_kind(type_parser *ps, const evs_type **ret)
{
    const char *at = ps->p;
    size_t n = word_length(at);
    evs_type_id id = simple_id(at, n);

    if (id) {
        ps->p += n;
        return made(ps, at, evs__type_simple(ps->ctx, id, true, ret));
    }
    if (take_word(ps, "DECIMAL"))
        return parse_decimal(ps, ret);
    if (take_word(ps, "ARRAY"))
        return parse_element(ps, false, ret);
    if (take_word(ps, "MAP"))
        return parse_element(ps, true, ret);
    if (take_word(ps, "STRUCT"))
        return parse_struct(ps, ret);
    return unknown_type(ps);
}

static evs_status parse_type(type_parser *ps, const evs_type **ret)
{
    const evs_type *type = NULL;
    const char *at;
    evs_status status;

    skip_space(ps);
    at = ps->p;
    if (ps->depth >= EVS__TYPE_DEPTH_MAX)
        return fault_at(ps, at, "the type is too deep");
    ps->depth++;
    status = parse_kind(ps, &type);
    ps->depth--;
    if (status)
        return status;
    if (take_word(ps, "NOT")) {
        if (!take_word(ps, "NULL"))
            status = expected(ps, "NULL");
        else
            status = made(ps, at, evs__type_with_nullable(type, false, ret));
        evs_type_unref(type);
        return status;
    }
    *ret = type;
    return EVS_OK;
}

evs_status
evs_type_parse(evs_context *context, const char *text, evs_type **ret_type, evs_error **reterr)
{
    type_parser ps = {.ctx = context, .text = text, .p = text, .reterr = reterr};
    const evs_type *type = NULL;
    evs_status status;

    if (!context || !text || !ret_type)
        return evs__fail(context, reterr, EVS_ERR_INVALID, "context, text or ret_type is NULL");
    status = parse_type(&ps, &type);
    if (!status) {
        skip_space(&ps);
        if (*ps.p)
            status = expected(&ps, "the end");
    }
    if (status) {
        evs_type_unref(type);
        return status;
    }
    *ret_type = (evs_type *)type;
    return EVS_OK;
}

void evs__columns_free_paths(evs_context *ctx, char **paths, size_t count)
{
    for (size_t i = 0; paths && i < count; i++)
        evs__free(ctx, paths[i]);
    evs__free(ctx, paths);
}

evs_status evs__columns_parse(evs_context *ctx,
                              const char *text,
                              const evs_type **ret_struct,
                              char ***ret_paths,
                              evs_error **reterr)
{
    type_parser ps = {.ctx = ctx, .text = text, .p = text, .reterr = reterr};
    field_list list = {0};
    const evs_type *type = NULL;
    evs_status status = parse_fields(&ps, ret_paths != NULL, &list);

    if (!status) {
        skip_space(&ps);
        if (*ps.p)
            status = expected(&ps, "\",\" or the end");
    }
    if (!status)
        status = make_struct(&ps, &list, text, false, &type);
    if (!status) {
        *ret_struct = type;
        if (ret_paths)
            *ret_paths = list.paths;
    }
    field_list_free(&ps, &list, status != EVS_OK);
    return status;
}
