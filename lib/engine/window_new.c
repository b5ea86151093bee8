/*
 * engine/window_new.c: texts and options to a window operator: everything that can be wrong with
 * them is found here, before the first row.
 *
 * Result row: keys | window_start | window_end | aggregates. Late row: the input's fields and what
 * is known about the refusal; a name that the input has already gets the prefix "late_", so that a
 * window over another window's results works.
 *
 * The plan line is the identity of the state: what decides which rows go where and what is kept. It
 * leaves out names and bounds, which may change between a snapshot and its restore.
 */
#include <stdio.h>

#include "engine/window.h"

/* what the caller has room for; a struct larger than ours gets zeros */
void evs_window_options_init_size(evs_window_options *options, size_t size)
{
    evs_window_options all = EVS_WINDOW_OPTIONS_INIT;

    if (!options || size < sizeof(options->struct_size))
        return;
    if (size > sizeof(all))
        memset((char *)options + sizeof(all), 0, size - sizeof(all));
    memcpy(options, &all, size < sizeof(all) ? size : sizeof(all));
    options->struct_size = size;
}

#undef evs_window_options_init
void evs_window_options_init(evs_window_options *options)
{
    evs_window_options_init_size(options, offsetof(evs_window_options, advance_ms));
}

/* ---- options ---- */

static evs_status check_calendar(evs_context *ctx, const evs_window_options *o, evs_error **reterr)
{
    if (o->calendar < EVS_CALENDAR_DAY || o->calendar > EVS_CALENDAR_YEAR)
        return evs__fail_at(ctx, reterr, EVS_ERR_INVALID, "calendar",
                            "calendar of a calendar window is %d, it must be %d to %d", o->calendar,
                            EVS_CALENDAR_DAY, EVS_CALENDAR_YEAR);
    if (o->offset_ms < -EVS__CALENDAR_OFFSET_MAX || o->offset_ms > EVS__CALENDAR_OFFSET_MAX)
        return evs__fail_at(ctx, reterr, EVS_ERR_INVALID, "offset_ms",
                            "offset_ms of a calendar window is %lld, it must be 366 days (%lld) or "
                            "less, either way",
                            (long long)o->offset_ms, (long long)EVS__CALENDAR_OFFSET_MAX);
    return EVS_OK;
}

/* what only some kinds have: the others must leave it out, so that nothing is ignored in silence */
static evs_status check_foreign(evs_context *ctx, const evs_window_options *o, evs_error **reterr)
{
    const uint32_t tumbling = 1u << EVS_WINDOW_TUMBLING, hopping = 1u << EVS_WINDOW_HOPPING,
                   cumulating = 1u << EVS_WINDOW_CUMULATING, session = 1u << EVS_WINDOW_SESSION,
                   sliding = 1u << EVS_WINDOW_SLIDING, calendar = 1u << EVS_WINDOW_CALENDAR,
                   count = 1u << EVS_WINDOW_COUNT;
    const struct {
        const char *name;
        int64_t value;
        uint32_t kinds;
        const char *of;
    } options[] = {
        {"size_ms", o->size_ms, tumbling | hopping | cumulating | sliding,
         "windows of a fixed size"},
        {"offset_ms", o->offset_ms, tumbling | hopping | cumulating | calendar,
         "windows of a fixed size and of the calendar"},
        {"advance_ms", o->advance_ms, tumbling | hopping, "hopping windows"},
        {"step_ms", o->step_ms, cumulating, "cumulating windows"},
        {"gap_ms", o->gap_ms, session, "session windows"},
        {"calendar", o->calendar, calendar, "calendar windows"},
        {"zone", o->zone && *o->zone, calendar, "calendar windows"},
        {"grace_ms", o->grace_ms, ~count, "windows that time closes"},
        {"size_rows", o->size_rows, count, "windows of a number of rows"},
        {"advance_rows", o->advance_rows, count, "windows of a number of rows"},
    };

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (options[i].value && !(options[i].kinds & 1u << o->kind))
            return evs__fail_at(ctx, reterr, EVS_ERR_INVALID, options[i].name,
                                "%s is an option of %s, this one is of another kind: leave it 0",
                                options[i].name, options[i].of);
    }
    return EVS_OK;
}

static evs_status check_count(evs_context *ctx, const evs_window_options *o, evs_error **reterr)
{
    if (o->size_rows < 1)
        return evs__fail_at(ctx, reterr, EVS_ERR_INVALID, "size_rows",
                            "size_rows of a window of a number of rows is %lld, it must be 1 or "
                            "more",
                            (long long)o->size_rows);
    if (o->advance_rows < 0 || o->advance_rows > o->size_rows)
        return evs__fail_at(ctx, reterr, EVS_ERR_INVALID, "advance_rows",
                            "advance_rows of a window is %lld, it must be 0 (as size_rows) to its "
                            "size_rows (%lld)",
                            (long long)o->advance_rows, (long long)o->size_rows);
    if (o->emit != EVS_EMIT_FINAL)
        return evs__fail_at(ctx, reterr, EVS_ERR_INVALID, "emit",
                            "emit of a window of a number of rows must be final: it is given out "
                            "once, when its last row has come");
    return EVS_OK;
}

static evs_status check_kind(evs_context *ctx, const evs_window_options *o, evs_error **reterr)
{
    int64_t each = o->kind == EVS_WINDOW_CUMULATING ? o->step_ms : o->advance_ms;
    evs_status status;

    if (o->advance_ms && o->kind == EVS_WINDOW_TUMBLING && o->advance_ms != o->size_ms)
        return evs__fail_at(ctx, reterr, EVS_ERR_INVALID, "advance_ms",
                            "advance_ms of a tumbling window is %lld, it must be 0 or its size_ms "
                            "(%lld)",
                            (long long)o->advance_ms, (long long)o->size_ms);
    status = check_foreign(ctx, o, reterr);
    if (status)
        return status;
    if (o->kind == EVS_WINDOW_CALENDAR)
        return check_calendar(ctx, o, reterr);
    if (o->kind == EVS_WINDOW_SESSION && o->gap_ms < 1)
        return evs__fail_at(ctx, reterr, EVS_ERR_INVALID, "gap_ms",
                            "gap_ms of a session window is %lld, it must be 1 or more",
                            (long long)o->gap_ms);
    if (o->kind == EVS_WINDOW_COUNT)
        return check_count(ctx, o, reterr);
    if (o->kind == EVS_WINDOW_HOPPING && (each < 1 || each > o->size_ms))
        return evs__fail_at(ctx, reterr, EVS_ERR_INVALID, "advance_ms",
                            "advance_ms of a hopping window is %lld, it must be 1 to its size_ms "
                            "(%lld)",
                            (long long)each, (long long)o->size_ms);
    if (o->kind == EVS_WINDOW_CUMULATING && (each < 1 || o->size_ms % each))
        return evs__fail_at(ctx, reterr, EVS_ERR_INVALID, "step_ms",
                            "step_ms of a cumulating window is %lld, its size_ms (%lld) must be a "
                            "multiple of it",
                            (long long)each, (long long)o->size_ms);
    if (each && o->size_ms / each > EVS__WINDOWS_MAX)
        return evs__fail(ctx, reterr, EVS_ERR_INVALID,
                         "an event would be in %lld windows, at most %d may overlap",
                         (long long)(o->size_ms / each), EVS__WINDOWS_MAX);
    return EVS_OK;
}

static evs_status check_options(evs_context *ctx, const evs_window_options *o, evs_error **reterr)
{
    bool has_size = o->kind != EVS_WINDOW_SESSION && o->kind != EVS_WINDOW_CALENDAR &&
                    o->kind != EVS_WINDOW_COUNT;
    const struct {
        const char *name;
        int64_t value, min, max;
    } ranges[] = {
        {"kind", o->kind, EVS_WINDOW_TUMBLING, EVS_WINDOW_COUNT},
        {"size_ms", o->size_ms, has_size ? 1 : 0, INT64_MAX},
        {"grace_ms", o->grace_ms, 0, INT64_MAX},
        {"out_of_orderness_ms", o->out_of_orderness_ms, 0, INT64_MAX},
        {"state_bytes_max", o->state_bytes_max, 1, INT64_MAX},
        {"emit_every_ms", o->emit_every_ms, 0, INT64_MAX},
        {"emit_count", o->emit_count, 0, INT64_MAX},
        {"emit", o->emit, EVS_EMIT_CHANGES, EVS_EMIT_FINAL},
        {"time", o->time, EVS_TIME_EVENT, EVS_TIME_PROCESSING},
        {"null_key", o->null_key, EVS_NULL_KEY_DEAD_LETTER, EVS_NULL_KEY_GROUP},
        {"late", o->late, 0, EVS_LATE_ALL_WINDOWS},
    };

    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (ranges[i].value >= ranges[i].min && ranges[i].value <= ranges[i].max)
            continue;
        if (ranges[i].max == INT64_MAX)
            return evs__fail_at(ctx, reterr, EVS_ERR_INVALID, ranges[i].name,
                                "%s of a window is %lld, it must be %lld or more", ranges[i].name,
                                (long long)ranges[i].value, (long long)ranges[i].min);
        return evs__fail_at(ctx, reterr, EVS_ERR_INVALID, ranges[i].name,
                            "%s of a window is %lld, it must be %lld to %lld", ranges[i].name,
                            (long long)ranges[i].value, (long long)ranges[i].min,
                            (long long)ranges[i].max);
    }
    if (o->emit == EVS_EMIT_FINAL && (o->emit_every_ms || o->emit_count))
        return evs__fail_at(ctx, reterr, EVS_ERR_INVALID,
                            o->emit_every_ms ? "emit_every_ms" : "emit_count",
                            "emit_every_ms and emit_count say when changes are given out, this "
                            "window gives out final results");
    return check_kind(ctx, o, reterr);
}

/* ---- keys ---- */

static bool is_blank(const char *text)
{
    while (text && (*text == ' ' || *text == '\t' || *text == '\n' || *text == '\r'))
        text++;
    return !text || !*text;
}

/* alias or canonical text */
static evs_status item_name(evs_context *ctx, const evs__ast_item *item, bool canonical, char **ret)
{
    evs__buffer text;

    if (item->alias && !canonical) {
        *ret = evs__strdup(ctx, item->alias);
        return *ret ? EVS_OK : EVS_ERR_NOMEM;
    }
    evs__buffer_init(&text, ctx, 1 << 20);
    evs__ast_print(item->expr, &text);
    *ret = evs__buffer_cstr(&text) ? evs__strdup(ctx, text.data) : NULL;
    evs__buffer_free(&text);
    return *ret ? EVS_OK : EVS_ERR_NOMEM;
}

/* column of the result that a key makes; the type is a new reference */
static evs_status
key_field(evs__window_op *w, const evs__ast_item *item, uint32_t i, evs__field *ret)
{
    const evs_type *type = evs__expr_type(w->keys[i]);
    bool refused = w->opt.null_key == EVS_NULL_KEY_DEAD_LETTER;
    char *name = NULL;
    evs_status status = item_name(w->base.ctx, item, false, &name);

    ret->name = name;
    if (status)
        return status;
    if (refused && evs_type_is_nullable(type))
        w->key_may_be_null = true;
    return evs__type_with_nullable(type, !refused && evs_type_is_nullable(type), &ret->type);
}

static evs_status
bind_keys(evs__window_op *w, const evs__ast_list *list, evs__field *fields, evs_error **reterr)
{
    evs_context *ctx = w->base.ctx;
    size_t count = list ? list->count : 0;

    w->keys = evs__calloc(ctx, count, sizeof(*w->keys));
    w->key_types = evs__calloc(ctx, count, sizeof(*w->key_types));
    if (!w->keys || !w->key_types)
        return evs__nomem(reterr);
    for (size_t i = 0; i < count; i++) {
        evs_status status =
            evs__expr_compile(ctx, list, list->items[i].expr, w->base.in_type, &w->keys[i], reterr);
        if (status)
            return status;
        w->key_count++;
        if (key_field(w, &list->items[i], (uint32_t)i, &fields[i]))
            return evs__nomem(reterr);
    }
    return EVS_OK;
}

/* ---- types ---- */

static void free_fields(evs_context *ctx, evs__field *fields, uint32_t count)
{
    for (uint32_t i = 0; fields && i < count; i++) {
        evs__free(ctx, (void *)fields[i].name);
        evs_type_unref(fields[i].type);
    }
    evs__free(ctx, fields);
}

static evs_status simple_field(evs_context *ctx, const char *name, evs_type_id id, evs__field *ret)
{
    ret->name = evs__strdup(ctx, name);
    return ret->name ? evs__type_simple(ctx, id, false, &ret->type) : EVS_ERR_NOMEM;
}

static evs_status
check_names(evs_context *ctx, const evs__field *fields, uint32_t count, evs_error **reterr)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(fields[i].name, fields[j].name) == 0)
                return evs__fail(ctx, reterr, EVS_ERR_EXPRESSION,
                                 "two columns of the result are named \"%s\": give one an alias",
                                 fields[i].name);
        }
    }
    return EVS_OK;
}

/* fields[0..key_count) are there */
static evs_status
result_type(evs__window_op *w, evs__field *fields, uint32_t count, evs_error **reterr)
{
    evs_context *ctx = w->base.ctx;
    evs__field *rest = fields + w->key_count;
    evs_status status = simple_field(ctx, "window_start", EVS_TYPE_TIMESTAMP, &rest[0]);

    if (!status)
        status = simple_field(ctx, "window_end", EVS_TYPE_TIMESTAMP, &rest[1]);
    for (uint32_t i = 0; i < w->aggregates.count && !status; i++) {
        rest[2 + i].name = evs__strdup(ctx, w->aggregates.items[i].name);
        rest[2 + i].type = evs_type_ref(w->aggregates.items[i].type);
        if (!rest[2 + i].name)
            status = EVS_ERR_NOMEM;
    }
    if (status)
        return evs__nomem(reterr);
    status = check_names(ctx, fields, count, reterr);
    if (status)
        return status;
    if (evs__type_struct(ctx, fields, count, false, &w->base.out_type))
        return evs__nomem(reterr);
    for (uint32_t i = 0; i < w->key_count; i++)
        w->key_types[i] = w->base.out_type->children[i].type;
    w->key_form = evs__key_form_of(w->key_types, w->key_count);
    return EVS_OK;
}

/* "late_late_..." until the input has no such field */
static evs_status late_field(evs__window_op *w, const char *name, evs_type_id id, evs__field *ret)
{
    char text[256];
    size_t len = strlen(name);

    memcpy(text, name, len + 1);
    while (evs_type_field_index(w->base.in_type, text, len) >= 0 && len + 6 < sizeof(text)) {
        memmove(text + 5, text, len + 1);
        memcpy(text, "late_", 5);
        len += 5;
    }
    return simple_field(w->base.ctx, text, id, ret);
}

static evs_status late_type(evs__window_op *w)
{
    static const struct {
        const char *name;
        evs_type_id id;
    } added[EVS__LATE_COLUMNS] = {
        {"window_start", EVS_TYPE_TIMESTAMP}, {"window_end", EVS_TYPE_TIMESTAMP},
        {"windows_refused", EVS_TYPE_INT},    {"windows_accepted", EVS_TYPE_INT},
        {"lateness_ms", EVS_TYPE_BIGINT},     {"watermark", EVS_TYPE_TIMESTAMP},
    };
    evs_context *ctx = w->base.ctx;
    const evs_type *in = w->base.in_type;
    uint32_t count = in->child_count + EVS__LATE_COLUMNS;
    evs__field *fields = evs__calloc(ctx, count, sizeof(*fields));
    evs_status status = fields ? EVS_OK : EVS_ERR_NOMEM;

    for (uint32_t i = 0; i < in->child_count && !status; i++) {
        fields[i].name = evs__strdup(ctx, in->children[i].name);
        fields[i].type = evs_type_ref(in->children[i].type);
        if (!fields[i].name)
            status = EVS_ERR_NOMEM;
    }
    for (uint32_t i = 0; i < EVS__LATE_COLUMNS && !status; i++)
        status = late_field(w, added[i].name, added[i].id, &fields[in->child_count + i]);
    if (!status)
        status = evs__type_struct(ctx, fields, count, false, &w->base.late_type);
    free_fields(ctx, fields, count);
    return status;
}

/* ---- plan line ---- */

static evs_status plan_line(evs__window_op *w, const evs__ast_list *keys, int32_t rule)
{
    const evs_window_options *o = &w->opt;
    evs_context *ctx = w->base.ctx;
    evs__buffer text;
    evs_status status = EVS_OK;

    evs__buffer_init(&text, ctx, SIZE_MAX);
    w->family->describe(w, &text);
    evs__buffer_printf(&text, " grace=%lld emit=%s time=%s rule=%s null_key=%s keys=[",
                       (long long)o->grace_ms, o->emit == EVS_EMIT_FINAL ? "final" : "changes",
                       o->time == EVS_TIME_EVENT ? "event" : "processing",
                       rule == EVS_TIME_STREAM ? "stream" : "watermark",
                       o->null_key == EVS_NULL_KEY_GROUP ? "group" : "dead_letter");
    for (uint32_t i = 0; i < w->key_count && !status; i++) {
        char *key = NULL;
        status = item_name(ctx, &keys->items[i], true, &key);
        evs__buffer_text(&text, i ? ", " : "");
        evs__buffer_text(&text, key ? key : "");
        evs__free(ctx, key);
    }
    evs__buffer_text(&text, "] aggregates=[");
    for (uint32_t i = 0; i < w->aggregates.count; i++) {
        evs__buffer_text(&text, i ? ", " : "");
        evs__buffer_text(&text, w->aggregates.items[i].text);
    }
    evs__buffer_text(&text, "] rows=");
    evs__buffer_text(&text, evs_type_print(w->base.in_type));
    if (!status && evs__buffer_cstr(&text))
        w->plan = evs__strdup(ctx, text.data);
    evs__buffer_free(&text);
    return w->plan ? EVS_OK : EVS_ERR_NOMEM;
}

/* ---- the operator ---- */

static const evs__window_family *family_of(int32_t kind)
{
    switch (kind) {
    case EVS_WINDOW_SESSION:
        return &evs__window_session;
    case EVS_WINDOW_SLIDING:
        return &evs__window_sliding;
    case EVS_WINDOW_COUNT:
        return &evs__window_counted;
    default:
        return &evs__window_sliced;
    }
}

/* the table behind the zone's name; the operator keeps no text of the caller's */
static evs_status
find_zone(evs_context *ctx, evs_window_options *o, const evs__zone **ret, evs_error **reterr)
{
    if (o->zone && *o->zone) {
        *ret = evs__zone_find(ctx, o->zone);
        if (!*ret)
            return evs__fail_at(ctx, reterr, EVS_ERR_NOT_FOUND, "zone",
                                "time zone \"%.200s\" has not been loaded", o->zone);
    }
    o->zone = *ret ? evs__zone_name(*ret) : NULL;
    return EVS_OK;
}

static evs_status
parse_keys(evs__window_op *w, const char *keys, evs__ast_list **ret, evs_error **reterr)
{
    evs_status status;

    if (is_blank(keys))
        return EVS_OK;
    status = evs__ast_parse(w->base.ctx, keys, true, ret, reterr);
    if (status)
        evs_error_prefix(w->base.ctx, reterr, "window keys: ");
    return status;
}

static evs_status
bind(evs__window_op *w, const char *keys, const char *aggregates, int32_t rule, evs_error **reterr)
{
    evs_context *ctx = w->base.ctx;
    evs__ast_list *list = NULL;
    evs__field *fields = NULL;
    uint32_t count = 0;
    evs_status status = evs__aggregates_parse(ctx, aggregates ? aggregates : "", w->base.in_type,
                                              &w->aggregates, reterr);

    if (status)
        evs_error_prefix(ctx, reterr, "window aggregates: ");
    else
        status = parse_keys(w, keys, &list, reterr);
    if (status)
        goto out;
    count = (list ? (uint32_t)list->count : 0) + 2 + w->aggregates.count;
    fields = evs__calloc(ctx, count, sizeof(*fields));
    if (!fields) {
        status = evs__nomem(reterr);
        goto out;
    }
    status = bind_keys(w, list, fields, reterr);
    if (status) {
        evs_error_prefix(ctx, reterr, "window keys: ");
        goto out;
    }
    status = result_type(w, fields, count, reterr);
    if (!status && (late_type(w) || plan_line(w, list, rule)))
        status = evs__nomem(reterr);
out:
    evs__ast_free(list);
    free_fields(ctx, fields, count);
    return status;
}

evs_status evs__window_op_new(evs_context *ctx,
                              const evs_type *in,
                              const char *keys,
                              const char *aggregates,
                              const evs_window_options *options,
                              uint32_t slots,
                              int32_t rule,
                              evs__operator **ret,
                              evs_error **reterr)
{
    evs_window_options opt = EVS_WINDOW_OPTIONS_INIT;
    const evs__zone *zone = NULL;
    evs__window_op *w;
    evs_status status;

    if (!options || evs__options_copy(&opt, sizeof(opt), options))
        return evs__fail(ctx, reterr, EVS_ERR_INVALID,
                         "evs_window_options has a struct_size this library does not know");
    status = check_options(ctx, &opt, reterr);
    if (!status)
        status = find_zone(ctx, &opt, &zone, reterr);
    if (status)
        return status;
    w = evs__calloc(ctx, 1, sizeof(*w));
    if (!w)
        return evs__nomem(reterr);
    w->base = (evs__operator){.fn = &evs__window_functions, .ctx = evs__context_hold(ctx)};
    w->base.in_type = evs_type_ref(in);
    w->opt = opt;
    w->family = family_of(opt.kind);
    w->slicing.zone = zone;
    w->family->setup(w);
    w->clock = w->emit_time = EVS_TIME_NONE;
    w->late_tail = &w->late;
    evs__heap_init(&w->result.dirty, ctx, SIZE_MAX);
    evs__buffer_init(&w->key_bytes, ctx, INT32_MAX);
    status = bind(w, keys, aggregates, rule, reterr);
    if (!status && evs__merge_time_init(&w->time, ctx, slots, rule))
        status = evs__nomem(reterr);
    if (!status && !(w->state = evs__window_new_state(w)))
        status = evs__nomem(reterr);
    if (!status && w->family->own_new && !(w->own = w->family->own_new(w)))
        status = evs__nomem(reterr);
    if (status) {
        w->base.fn->free(&w->base);
        return status;
    }
    *ret = &w->base;
    return EVS_OK;
}

uint32_t evs__window_op_key_count(const evs__operator *op)
{
    return evs__window_of(op)->key_count;
}

/* ---- key hashes for the exchange ---- */

struct evs__key_hasher {
    evs_context *ctx;
    evs__expr **exprs;
    uint32_t count;
};

void evs__key_hasher_free(evs__key_hasher *h)
{
    if (!h)
        return;
    for (uint32_t i = 0; h->exprs && i < h->count; i++)
        evs__expr_free(h->exprs[i]);
    evs__free(h->ctx, h->exprs);
    evs__free(h->ctx, h);
}

evs_status evs__key_hasher_new(evs_context *ctx,
                               const evs_type *in,
                               const char *keys,
                               evs__key_hasher **ret,
                               evs_error **reterr)
{
    evs__key_hasher *h = evs__calloc(ctx, 1, sizeof(*h));
    evs__ast_list *list = NULL;
    evs_status status = EVS_OK;

    if (!h)
        return evs__nomem(reterr);
    h->ctx = ctx;
    if (!is_blank(keys))
        status = evs__ast_parse(ctx, keys, true, &list, reterr);
    if (!status) {
        h->exprs = evs__calloc(ctx, list ? list->count : 0, sizeof(*h->exprs));
        status = h->exprs ? EVS_OK : evs__nomem(reterr);
    }
    for (size_t i = 0; !status && list && i < list->count; i++) {
        status = evs__expr_compile(ctx, list, list->items[i].expr, in, &h->exprs[i], reterr);
        h->count++;
    }
    evs__ast_free(list);
    if (status) {
        evs__key_hasher_free(h);
        return status;
    }
    *ret = h;
    return EVS_OK;
}

/* rows whose key cannot be evaluated hash as NULL; the window that gets them says why */
static void ignore_failed(void *user_data, uint32_t row, evs_status status, const char *message)
{
    (void)user_data;
    (void)row;
    (void)status;
    (void)message;
}

evs_status
evs__key_hasher_run(evs__key_hasher *h, const evs_batch *in, uint64_t *hashes, evs_error **reterr)
{
    memset(hashes, 0, in->count * sizeof(*hashes));
    for (uint32_t i = 0; i < h->count; i++) {
        evs__column *column = NULL;
        evs_status status = evs__expr_eval(h->exprs[i], in, ignore_failed, NULL, &column, reterr);
        if (status)
            return status;
        evs__column_hash(column, in->sel, in->count, hashes);
        evs__column_unref(column);
    }
    return EVS_OK;
}
