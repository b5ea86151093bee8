/*
 * plan/source.c: the rows of a source: schema from its options, columns that are visible, columns
 * from the record around the event, and where the event time comes from.
 *
 * The columns _key, _partition, _offset, _timestamp and _headers are made only when some text
 * behind the source names them; from then on they are columns like the others, behind the event's
 * own. An event's own column of that name wins.
 */
#include "plan/plan.h"

static const char *const meta_names[EVS__META_COUNT] = {"_key", "_partition", "_offset",
                                                        "_timestamp", "_headers"};

const char *evs__meta_name(evs__meta meta)
{
    return meta_names[meta];
}

evs_status
evs__meta_type(evs_context *ctx, const evs__node *source, evs__meta meta, const evs_type **ret)
{
    const evs_type *bytes = NULL;
    evs_status status;

    switch (meta) {
    case EVS__META_KEY:
        return evs__type_simple(ctx,
                                strcmp(evs_config_string(source->config, "key.type"), "bytes") == 0
                                    ? EVS_TYPE_BYTES
                                    : EVS_TYPE_VARCHAR,
                                true, ret);
    case EVS__META_PARTITION:
        return evs__type_simple(ctx, EVS_TYPE_INT, false, ret);
    case EVS__META_OFFSET:
        return evs__type_simple(ctx, EVS_TYPE_BIGINT, false, ret);
    case EVS__META_TIMESTAMP:
        return evs__type_simple(ctx, EVS_TYPE_TIMESTAMP, true, ret);
    default:
        status = evs__type_simple(ctx, EVS_TYPE_BYTES, true, &bytes);
        if (!status)
            status = evs__type_map(ctx, bytes, false, ret);
        evs_type_unref(bytes);
        return status;
    }
}

/* ---- visible columns ---- */

static bool is_listed(const char *names, const char *name)
{
    size_t len = strlen(name);
    for (const char *p = names; *p;) {
        const char *begin = p + strspn(p, " \t\r\n,");
        size_t n = strcspn(begin, ",");
        size_t trimmed = n;
        while (trimmed && strchr(" \t\r\n", begin[trimmed - 1]))
            trimmed--;
        if (trimmed == len && memcmp(begin, name, len) == 0)
            return true;
        p = begin + n;
    }
    return false;
}

/* names in `columns` that the schema does not have are an error */
static evs_status check_listed(const evs__node *n, const evs_type *type, evs_error **reterr)
{
    const char *names = evs_config_string(n->config, "columns");
    for (const char *p = names; *p;) {
        const char *begin = p + strspn(p, " \t\r\n,");
        size_t len = strcspn(begin, ",");
        p = begin + len;
        while (len && strchr(" \t\r\n", begin[len - 1]))
            len--;
        if (len && evs_type_field_index(type, begin, len) < 0) {
            evs__buffer list;
            evs_status status;
            evs__buffer_init(&list, n->plan->ctx, 4096);
            evs__type_list_fields(type, &list);
            status = evs__fail(n->plan->ctx, reterr, EVS_ERR_NOT_FOUND,
                               "option \"columns\": no field \"%.*s\"; %s", (int)len, begin,
                               evs__buffer_cstr(&list) ? list.data : "");
            evs__buffer_free(&list);
            return status;
        }
    }
    return EVS_OK;
}

/* fields of the schema that `columns` picks (all without it), then the meta columns */
static evs_status visible_fields(
    evs__node *n, const evs_type *type, evs__field *fields, size_t *ret_count, evs_error **reterr)
{
    const char *names = evs_config_string(n->config, "columns");
    bool pick = names && strcmp(evs_schema_text(n->schema), names) != 0;
    size_t count = 0;
    evs_status status;

    if (pick && (status = check_listed(n, type, reterr)))
        return status;
    for (size_t i = 0; i < type->child_count; i++) {
        if (!pick || is_listed(names, type->children[i].name)) {
            fields[count] = type->children[i];
            evs_type_ref(fields[count++].type);
        }
    }
    for (int m = 0; m < EVS__META_COUNT; m++) {
        if (!(n->meta_mask & 1u << m))
            continue;
        status = evs__meta_type(n->plan->ctx, n, (evs__meta)m, &fields[count].type);
        *ret_count = count;
        if (status)
            return evs__nomem(reterr);
        fields[count++].name = meta_names[m];
    }
    *ret_count = count;
    return EVS_OK;
}

static evs_status visible_type(evs__node *n, const evs_type **ret, evs_error **reterr)
{
    evs_context *ctx = n->plan->ctx;
    const evs_type *type = evs_schema_type(n->schema);
    size_t count = 0;
    evs__field *fields;
    evs_status status;

    if (evs__plan_meta_uses(n, &n->meta_mask))
        return evs__nomem(reterr);
    for (int m = 0; m < EVS__META_COUNT; m++) {
        if (evs_type_field_index(type, meta_names[m], strlen(meta_names[m])) >= 0)
            n->meta_mask &= ~(1u << m);
    }
    fields = evs__calloc(ctx, type->child_count + EVS__META_COUNT, sizeof(*fields));
    if (!fields)
        return evs__nomem(reterr);
    status = visible_fields(n, type, fields, &count, reterr);
    if (!status && evs__type_struct(ctx, fields, count, false, ret))
        status = evs__nomem(reterr);
    for (size_t i = 0; i < count; i++)
        evs_type_unref(fields[i].type);
    evs__free(ctx, fields);
    return status;
}

/* ---- event time ---- */

static evs_status check_event_time(evs__node *n, const evs_type *row, evs_error **reterr)
{
    static const char *const units[] = {"s", "ms", "us", "ns", "iso"};
    const char *text = evs_config_string(n->config, "event.time");
    const char *unit = evs_config_string(n->config, "event.time.unit");
    evs_context *ctx = n->plan->ctx;
    evs__expr *e = NULL;
    evs_type_id id;
    evs_status status;

    if (!text)
        return unit ? evs__fail(ctx, reterr, EVS_ERR_CONFIG,
                                "option \"event.time.unit\" is set, \"event.time\" is not")
                    : EVS_OK;
    status = evs__expr_new(ctx, text, row, &e, reterr);
    if (status) {
        evs_error_prefix(ctx, reterr, "option \"event.time\": ");
        return status;
    }
    id = evs__expr_type(e)->id;
    evs__expr_free(e);
    for (int u = EVS__UNIT_S; unit && u <= EVS__UNIT_ISO; u++) {
        if (strcmp(unit, units[u]) == 0)
            n->time_unit = (evs__time_unit)u;
    }
    switch (id) {
    case EVS_TYPE_TIMESTAMP:
    case EVS_TYPE_DATE:
        n->time_unit = EVS__UNIT_NATIVE;
        return EVS_OK;
    case EVS_TYPE_INT:
    case EVS_TYPE_BIGINT:
    case EVS_TYPE_DOUBLE:
        if (!unit)
            n->time_unit = EVS__UNIT_MS;
        if (n->time_unit != EVS__UNIT_ISO)
            return EVS_OK;
        return evs__fail(ctx, reterr, EVS_ERR_CONFIG,
                         "option \"event.time.unit\": iso is text, \"%s\" is a number", text);
    case EVS_TYPE_VARCHAR:
        if (!unit || n->time_unit == EVS__UNIT_ISO) {
            n->time_unit = EVS__UNIT_ISO;
            return EVS_OK;
        }
        return evs__fail(ctx, reterr, EVS_ERR_CONFIG,
                         "option \"event.time.unit\": %s is for numbers, \"%s\" is text", unit,
                         text);
    default:
        return evs__fail(ctx, reterr, EVS_ERR_TYPE,
                         "option \"event.time\": \"%s\" is neither a time, a number nor text",
                         text);
    }
}

evs_status evs__plan_type_source(evs__node *n, evs_error **reterr)
{
    const evs_type *type = NULL;
    evs_status status = visible_type(n, &type, reterr);

    if (!status)
        status = check_event_time(n, type, reterr);
    if (status) {
        evs_type_unref(type);
        return status;
    }
    n->type = type;
    return EVS_OK;
}
