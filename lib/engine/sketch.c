/*
 * engine/sketch.c: the log in front of sketches, and the functions that all of them share.
 */
#include "engine/sketch.h"

static evs_status
sketches_of(const evs__aggregate *a, const evs__agg_groups *g, evs__sketches **ret)
{
    evs__sketches *s = *g->extra;

    if (!s) {
        evs_status status = evs__account_resize(g->account, (void **)&s, 0, 1, sizeof(*s));
        if (status)
            return status;
        memset(s, 0, sizeof(*s));
        s->kind = a->fn->sketch;
        s->account = g->account;
        evs__values_init(&s->values, g->account, a->arg_types, 1);
        *g->extra = s;
    }
    *ret = s;
    return EVS_OK;
}

evs_status evs__sketch_alloc(evs__sketches *s, size_t size, void **ret)
{
    void *object = NULL;
    evs_status status = evs__account_resize(s->account, &object, 0, size, 1);

    if (status)
        return status;
    memset(object, 0, size);
    *ret = object;
    return EVS_OK;
}

void evs__sketch_free(evs__sketches *s, void *object)
{
    if (object)
        evs__account_free(s->account, object, s->kind->size(object), 1);
}

void evs__sketch_extra_free(evs__account *account, void *extra)
{
    evs__sketches *s = extra;

    for (uint32_t i = 0; i < s->object_count; i++)
        evs__sketch_free(s, s->objects[i]);
    evs__account_free(account, s->objects, s->object_capacity, sizeof(*s->objects));
    evs__account_free(account, s->log, s->log_capacity, sizeof(*s->log));
    evs__values_free(&s->values);
    evs__account_free(account, s, 1, sizeof(*s));
}

/* ---- objects ---- */

/* where the group's object is or will be */
static evs_status object_slot(evs__sketches *s, uint32_t *number, void ***ret)
{
    if (!*number) {
        if (s->object_count == s->object_capacity) {
            uint32_t more = s->object_capacity + s->object_capacity / 2 + 8;
            evs_status status = evs__account_resize(s->account, (void **)&s->objects,
                                                    s->object_capacity, more, sizeof(*s->objects));
            if (status)
                return status;
            s->object_capacity = more;
        }
        s->objects[s->object_count++] = NULL;
        *number = s->object_count;
    }
    *ret = &s->objects[*number - 1];
    return EVS_OK;
}

/* ---- the log ---- */

static uint32_t *number_of(const evs__agg_groups *g, uint32_t group)
{
    return (uint32_t *)(void *)(g->states + (size_t)group * g->stride);
}

/* of entries to come: the state, then its object, then where in the object */
static inline void prefetch(const evs__agg_groups *g, const evs__sketches *s, uint32_t at)
{
    uint32_t number;

    if (at + 16 >= s->log_count)
        return;
    __builtin_prefetch(number_of(g, s->log[at + 16].group));
    number = *number_of(g, s->log[at + 10].group);
    if (number)
        __builtin_prefetch(s->objects[number - 1]);
    number = *number_of(g, s->log[at + 5].group);
    if (number && s->kind->prefetch && s->objects[number - 1])
        s->kind->prefetch(s->objects[number - 1], s->log[at + 5].value);
}

/* what is folded leaves the log, also when the rest cannot be */
static evs_status fold(const evs__aggregate *a, const evs__agg_groups *g, evs__sketches *s)
{
    uint32_t done = 0;
    evs_status status = EVS_OK;

    for (; done < s->log_count; done++) {
        const evs__sketch_entry *e = &s->log[done];
        void **object = NULL;
        prefetch(g, s, done);
        status = object_slot(s, number_of(g, e->group), &object);
        if (!status)
            status = s->kind->put(s, a, object, e->value);
        if (status)
            break;
    }
    memmove(s->log, s->log + done, (s->log_count - done) * sizeof(*s->log));
    s->log_count -= done;
    return status;
}

/* values that no object has any more; the log must be empty */
static void sweep(evs__sketches *s)
{
    uint8_t *live;

    if (!s->kind->keeps_values || !evs__values_crowded(&s->values, s->values_live))
        return;
    live = evs__calloc(s->account->ctx, (size_t)s->values.intern.high / 8 + 1, 1);
    if (!live)
        return; /* the next one will */
    for (uint32_t i = 0; i < s->object_count; i++) {
        if (s->objects[i])
            s->kind->mark(s->objects[i], live);
    }
    evs__intern_sweep(&s->values.intern, live);
    s->values_live = s->values.intern.count;
    evs__free(s->account->ctx, live);
}

evs_status
evs__sketch_reserve(const evs__aggregate *a, const evs__agg_groups *g, const evs__agg_rows *r)
{
    evs__sketches *s = NULL;
    size_t need;
    evs_status status = sketches_of(a, g, &s);

    if (!status && s->log_count && s->log_count + (size_t)g->n > EVS__SKETCH_LOG)
        status = fold(a, g, s);
    if (status)
        return status;
    if (!s->log_count)
        sweep(s);
    need = s->log_count + (size_t)g->n;
    if (need > UINT32_MAX / 2)
        return EVS_ERR_LIMIT;
    if (need > s->log_capacity) {
        size_t more = need > EVS__SKETCH_LOG ? need : need * 2;
        status = evs__account_resize(s->account, (void **)&s->log, s->log_capacity, more,
                                     sizeof(*s->log));
        if (status)
            return status;
        s->log_capacity = (uint32_t)more;
    }
    if (!s->kind->keeps_values)
        return EVS_OK;
    return evs__values_add(&s->values, r->args, r->rows, g->n, r->scratch, r->ids);
}

evs_status evs__sketch_ready(const evs__aggregate *a, const evs__agg_groups *g)
{
    evs__sketches *s = *g->extra;
    size_t max = g->account->max;
    evs_status status;

    if (!s || !s->log_count)
        return EVS_OK;
    g->account->max = SIZE_MAX;
    status = fold(a, g, s);
    g->account->max = max;
    return status;
}

/* ---- merge, snapshots ---- */

evs_status
evs__sketch_merge(const evs__aggregate *a, const evs__agg_groups *to, const evs__agg_groups *from)
{
    const evs__sketches *source = *from->extra;
    evs__sketches *s = NULL;
    evs_status status;

    if (!source)
        return EVS_OK;
    status = sketches_of(a, to, &s);
    if (!status)
        status = evs__sketch_ready(a, from);
    if (!status)
        status = evs__sketch_ready(a, to);
    if (!status)
        sweep(s);
    for (uint32_t i = 0; i < to->n && !status; i++) {
        const void *y = evs__sketch_object(from, i);
        void **x = NULL;
        if (!y)
            continue;
        status = object_slot(s, evs__agg_state(to, i), &x);
        if (!status)
            status = s->kind->merge(s, a, x, source, y);
    }
    return status;
}

/* [uint8 has an object][the object] */
evs_status evs__sketch_write(const evs__aggregate *a, const evs__agg_groups *g, evs__buffer *out)
{
    const evs__sketches *s = *g->extra;
    evs_status status = evs__sketch_ready(a, g);

    for (uint32_t i = 0; i < g->n && !status; i++) {
        const void *object = evs__sketch_object(g, i);
        evs__buffer_byte(out, object != NULL);
        if (object)
            s->kind->write(s, object, out);
        status = out->status;
    }
    return status;
}

evs_status evs__sketch_read(const evs__aggregate *a, const evs__agg_groups *g, evs__reader *in)
{
    evs__sketches *s = NULL;
    evs_status status = sketches_of(a, g, &s);

    for (uint32_t i = 0; i < g->n && !status; i++) {
        void **object = NULL;
        uint8_t present;
        if (!evs__read(in, &present, 1) || present > 1)
            return EVS_ERR_CORRUPT;
        if (!present)
            continue;
        status = object_slot(s, evs__agg_state(g, i), &object);
        if (!status)
            status = s->kind->read(s, a, object, in);
    }
    return status;
}
