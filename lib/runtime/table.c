/*
 * runtime/table.c: the state of windows, read by the host.
 *
 *   key values --> columns of one row --> shard after shard: lock, look, unlock
 *
 * A key is looked for in every shard: that costs a look-up each, and needs neither the expressions
 * that the exchange hashes nor a promise about partitions. Stages live as long as connectors are
 * open; `read_lock` keeps close() away while somebody reads, and is taken before any shard's.
 */
#include "runtime/runtime.h"

/* ---- key ---- */

static void append_value(evs_appender *a, const evs_value *v)
{
    if (v->is_null) {
        evs_append_null(a);
        return;
    }
    switch (v->type) {
    case EVS_TYPE_BOOLEAN:
        evs_append_bool(a, v->integer != 0);
        return;
    case EVS_TYPE_DOUBLE:
        evs_append_double(a, v->number);
        return;
    case EVS_TYPE_VARCHAR:
    case EVS_TYPE_BYTES:
        evs_append_string(a, v->data ? v->data : "", v->data ? v->len : 0);
        return;
    case EVS_TYPE_DECIMAL:
        evs_append_decimal(a, v->data);
        return;
    default:
        evs_append_int(a, v->integer);
    }
}

static bool is_integer(int32_t type)
{
    return type == EVS_TYPE_INT || type == EVS_TYPE_BIGINT || type == EVS_TYPE_TIMESTAMP ||
           type == EVS_TYPE_DATE || type == EVS_TYPE_TIME;
}

/* Values that an appender would take but that are no value of this column. EVS_END: a NULL where
 * rows with NULL go to the dead letters. */
static evs_status
check_value(const evs__node *n, const evs_value *v, const evs__field *column, evs_error **reterr)
{
    int32_t is = (int32_t)column->type->id;
    bool fits = v->is_null || v->type == is || (is_integer(v->type) && is_integer(is));
    if (fits && v->type == EVS_TYPE_DECIMAL && !v->is_null && !v->data)
        fits = false;
    if (fits)
        return v->is_null && !column->type->nullable ? EVS_END : EVS_OK;
    return evs__fail(n->plan->ctx, reterr, EVS_ERR_TYPE,
                     "step \"%s\": key \"%s\" is %s, not a value of type %d", n->name, column->name,
                     evs_type_print(column->type), v->type);
}

/* the key as a batch of one row; NULL: windows without a key */
static evs_status make_key(
    const evs__node *n, const evs_value *key, size_t count, evs_batch **ret, evs_error **reterr)
{
    evs_context *ctx = n->plan->ctx;
    uint32_t columns = n->key_count - 1; /* the last one is window_start */
    const evs_type *type = NULL;
    evs_appender *a = NULL;
    evs_status status = EVS_OK;

    if (count != columns)
        return evs__fail(ctx, reterr, EVS_ERR_INVALID, "step \"%s\": %zu values for a key of %u",
                         n->name, count, columns);
    if (!columns)
        return EVS_OK; /* there is one key, and it is all keys */
    for (uint32_t i = 0; i < columns && !status; i++)
        status = check_value(n, &key[i], &n->type->children[i], reterr);
    if (status)
        return status;
    if (evs__type_struct(ctx, n->type->children, columns, false, &type))
        return evs__nomem(reterr);
    status = evs_appender_new(ctx, type, &a, reterr);
    for (uint32_t i = 0; i < columns && !status; i++)
        append_value(a, &key[i]);
    if (!status)
        status = evs_append_end_row(a, reterr);
    if (!status)
        status = evs_appender_take(a, ret, reterr);
    evs_appender_unref(a);
    evs_type_unref(type);
    return status;
}

/* ---- reading ---- */

/* cursor->place: shard, key id, window, whether the reading has begun */
static evs_status read_shard(evs__shard *s,
                             evs__column *const *key,
                             int64_t from,
                             int64_t to,
                             evs_table_cursor *cursor,
                             evs_batch **ret)
{
    evs__table_place place = {.key_id = (uint32_t)cursor->place[1],
                              .window = cursor->place[3] ? cursor->place[2] : INT64_MIN};
    evs_status status;

    pthread_mutex_lock(&s->lock);
    status = evs__window_op_read(s->op, key, from, to, &place, ret);
    pthread_mutex_unlock(&s->lock);
    cursor->place[1] = place.key_id;
    cursor->place[2] = place.window;
    cursor->place[3] = 1;
    return status;
}

static evs_status read_stage(evs__stage *stage,
                             evs__column *const *key,
                             int64_t from,
                             int64_t to,
                             evs_table_cursor *cursor,
                             evs_batch **ret)
{
    while (cursor->place[0] >= 0 && cursor->place[0] < stage->shard_count) {
        evs_status status =
            read_shard(&stage->shards[cursor->place[0]], key, from, to, cursor, ret);
        if (status == EVS_AGAIN)
            continue;
        if (status != EVS_END)
            return status;
        *cursor = (evs_table_cursor){{cursor->place[0] + 1, 0, 0, 0}};
    }
    return EVS_END;
}

static evs_status refuse(const evs__node *n, evs__runtime *rt, evs_error **reterr)
{
    evs__phase phase;

    if (n->kind != EVS__NODE_WINDOW)
        return evs__fail(n->plan->ctx, reterr, EVS_ERR_MISUSE, "step \"%s\" is no window",
                         n->name ? n->name : "");
    if (rt && evs__is_inside(rt))
        return evs__refuse_inside(rt, "a reading of a table", reterr);
    phase = rt ? evs__runtime_phase(rt) : EVS__PHASE_OPENING;
    if (phase == EVS__PHASE_FAILED)
        return evs__error_move(reterr, evs__error_ref(rt->error));
    if (phase == EVS__PHASE_OPENING)
        return evs__fail(n->plan->ctx, reterr, EVS_ERR_MISUSE, "the pipeline is not running yet");
    if (!rt->stages[n->index])
        return evs__fail(n->plan->ctx, reterr, EVS_ERR_MISUSE, "the pipeline was closed");
    return EVS_OK;
}

static evs_status read_table(evs_stream *stream,
                             const evs_value *key,
                             size_t key_count,
                             int64_t from,
                             int64_t to,
                             evs_table_cursor *cursor,
                             evs_batch **ret,
                             evs_error **reterr)
{
    /* the plan is the pipeline's first member */
    evs__runtime *rt = ((evs_pipeline *)stream->plan)->runtime;
    evs_batch *row = NULL;
    evs_status status;

    if (!rt)
        return refuse(stream, rt, reterr);
    if (evs__is_inside(rt))
        return evs__refuse_inside(rt, "a reading of a table", reterr);
    pthread_mutex_lock(&rt->read_lock);
    status = refuse(stream, rt, reterr);
    if (!status && key)
        status = make_key(stream, key, key_count, &row, reterr);
    if (status)
        goto out;
    status =
        read_stage(rt->stages[stream->index], row ? row->columns : NULL, from, to, cursor, ret);
    if (status == EVS_ERR_UNSUPPORTED)
        evs__fail(rt->ctx, reterr, status, "step \"%s\": windows of this kind cannot be read",
                  stream->name);
    else if (status < 0)
        evs__fail(rt->ctx, reterr, status, "step \"%s\": %s", stream->name,
                  evs_status_text(status));
out:
    pthread_mutex_unlock(&rt->read_lock);
    evs_batch_unref(row);
    return status;
}

evs_status evs_table_get(evs_stream *window_stream,
                         const evs_value *key,
                         size_t key_count,
                         int64_t window_start_ms,
                         evs_batch **ret_rows,
                         evs_error **reterr)
{
    static const evs_value none = {0};
    evs_table_cursor cursor = EVS_TABLE_CURSOR_INIT;
    int64_t to = evs__time_add(window_start_ms, 1);

    if (!window_stream || !window_stream->plan || !ret_rows || (key_count && !key))
        return evs__fail(NULL, reterr, EVS_ERR_INVALID, "window_stream, key or ret_rows is NULL");
    return read_table(window_stream, key ? key : &none, key_count, window_start_ms, to, &cursor,
                      ret_rows, reterr);
}

evs_status evs_table_range(evs_stream *window_stream,
                           const evs_value *key,
                           size_t key_count,
                           int64_t from_ms,
                           int64_t to_ms,
                           evs_table_cursor *cursor,
                           evs_batch **ret_rows,
                           evs_error **reterr)
{
    if (!window_stream || !window_stream->plan || !ret_rows || !cursor || (key_count && !key))
        return evs__fail(NULL, reterr, EVS_ERR_INVALID,
                         "window_stream, key, cursor or ret_rows is NULL");
    return read_table(window_stream, key, key_count, from_ms, to_ms, cursor, ret_rows, reterr);
}
