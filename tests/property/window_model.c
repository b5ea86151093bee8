/*
 * window_model.c: the definition. A row belongs to the window that has its time; it is late when
 * that window's end and grace are not above the watermark including the row; a window's result is
 * the aggregates over the rows taken. Everything is computed from the list of rows each time.
 */
#include "window_model.h"

#include <string.h>

static bool same_group(const model_row *a, const model_row *b)
{
    return a->start == b->start && !a->key == !b->key && (!a->key || !strcmp(a->key, b->key));
}

static void move_time(model *m)
{
    int64_t low = INT64_MAX, high = INT64_MIN;
    for (int i = 0; i < m->slots; i++) {
        high = m->slot[i].watermark > high ? m->slot[i].watermark : high;
        if (!m->slot[i].idle && m->slot[i].watermark < low)
            low = m->slot[i].watermark;
    }
    if (low > high || m->stream_time) /* all are idle */
        low = high;
    m->watermark = low > m->watermark ? low : m->watermark;
}

void model_slot(model *m, int slot, int64_t watermark, bool idle)
{
    if (watermark > m->slot[slot].watermark)
        m->slot[slot].watermark = watermark;
    m->slot[slot].idle = idle;
    move_time(m);
}

static bool overflows(const model *m, const model_row *row)
{
    evs__int128 sum = row->value, other = row->other;
    for (int i = 0; i < m->taken_count; i++) {
        sum += same_group(&m->taken[i], row) ? m->taken[i].value : 0;
        other += same_group(&m->taken[i], row) ? m->taken[i].other : 0;
    }
    return sum > INT64_MAX || sum < INT64_MIN || other > INT64_MAX || other < INT64_MIN;
}

void model_push(model *m, model_row row)
{
    int64_t delay = m->stream_time ? 0 : m->out_of_orderness, rest;
    bool timed = row.time != MODEL_NO_TIME;

    model_slot(m, row.slot, timed ? row.time - delay : INT64_MIN, false);
    rest = timed ? (row.time - m->offset) % m->size : 0;
    row.start = row.time - (rest < 0 ? rest + m->size : rest);
    row.watermark = m->watermark;
    row.since = m->flushes;
    if (!timed || (!row.key && !m->group_null_key))
        m->rejected++;
    else if (row.start + m->size + m->grace <= m->watermark)
        m->late[m->late_count++] = row;
    else if (overflows(m, &row))
        m->rejected++;
    else
        m->taken[m->taken_count++] = row;
}

static void print_result(const model *m, const model_row *first, bool update, evs__buffer *out)
{
    int64_t count = 0, n = 0, other = 0, sum = 0, low = INT64_MAX, high = INT64_MIN, distinct = 0;
    for (int i = 0; i < m->taken_count; i++) {
        const model_row *r = &m->taken[i];
        bool seen = !same_group(r, first) || !r->has_value;
        count += same_group(r, first);
        other += same_group(r, first) ? r->other : 0;
        for (int j = 0; j < i && !seen; j++)
            seen = same_group(&m->taken[j], first) && m->taken[j].has_value &&
                   m->taken[j].value == r->value;
        distinct += !seen;
        if (!same_group(r, first) || !r->has_value)
            continue;
        n++;
        sum += r->value;
        low = r->value < low ? r->value : low;
        high = r->value > high ? r->value : high;
    }
    evs__buffer_printf(out, "%c%s %lld %lld %lld", update ? '~' : '+',
                       first->key ? first->key : "NULL", (long long)first->start,
                       (long long)(first->start + m->size), (long long)count);
    if (n)
        evs__buffer_printf(out, " %lld %lld %lld %lld ", (long long)sum, (long long)low,
                           (long long)high, (long long)distinct);
    else
        evs__buffer_printf(out, " NULL NULL NULL %lld NULL", (long long)distinct);
    if (n)
        evs__buffer_double(out, (double)sum / (double)n);
    evs__buffer_printf(out, " %lld\n", (long long)other);
}

static bool is_first(const model *m, int row)
{
    for (int i = 0; i < row; i++) {
        if (same_group(&m->taken[i], &m->taken[row]))
            return false;
    }
    return true;
}

/* the next window start above `after`, or INT64_MAX */
static int64_t next_start(const model *m, int64_t after)
{
    int64_t next = INT64_MAX;
    for (int i = 0; i < m->taken_count; i++) {
        if (m->taken[i].start > after && m->taken[i].start < next)
            next = m->taken[i].start;
    }
    return next;
}

void model_final(const model *m, evs__buffer *out)
{
    int64_t start = INT64_MIN;
    while ((start = next_start(m, start)) != INT64_MAX) {
        for (int i = 0; i < m->taken_count; i++) {
            if (m->taken[i].start == start && is_first(m, i) &&
                start + m->size + m->grace <= m->watermark)
                print_result(m, &m->taken[i], false, out);
        }
    }
}

void model_changes(model *m, evs__buffer *out)
{
    int64_t start = INT64_MIN;
    while ((start = next_start(m, start)) != INT64_MAX) {
        for (int i = 0; i < m->taken_count; i++) {
            bool changed = false;
            if (m->taken[i].start != start || !is_first(m, i))
                continue;
            for (int j = i; j < m->taken_count; j++)
                changed = changed || (same_group(&m->taken[i], &m->taken[j]) &&
                                      m->taken[j].since == m->flushes);
            if (changed)
                print_result(m, &m->taken[i], m->taken[i].since < m->flushes, out);
        }
    }
    m->flushes++;
}

void model_late(const model *m, evs__buffer *out)
{
    for (int i = 0; i < m->late_count; i++) {
        const model_row *r = &m->late[i];
        evs__buffer_printf(out, "%lld %s %lld %lld %lld\n", (long long)r->time,
                           r->key ? r->key : "NULL", (long long)r->start,
                           (long long)(r->watermark - r->time), (long long)r->watermark);
    }
}
