/*
 * window_model.c: the definition. A row belongs to every window that has its time, but a window
 * refuses it when its end and grace are not above the watermark including the row; a row that was
 * refused is late; a window's result is the aggregates over the rows it took. Everything is
 * computed from the list of rows each time.
 */
#include "window_model.h"

#include <string.h>

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

static int64_t floor_to(int64_t t, int64_t offset, int64_t size)
{
    int64_t rest = (t - offset) % size;
    return t - (rest < 0 ? rest + size : rest);
}

/* the windows that have time t, in order of their end; returns how many */
static int windows_of(const model *m, int64_t t, model_window *ret)
{
    int64_t start = floor_to(t, m->offset, m->cumulating ? m->size : m->advance);
    int n = 0;
    if (m->cumulating) {
        for (int64_t end = start + m->advance; end <= start + m->size; end += m->advance)
            ret[n] = (model_window){start, end}, n += end > t;
        return n;
    }
    while (start - m->advance + m->size > t)
        start -= m->advance;
    for (; start <= t; start += m->advance)
        ret[n++] = (model_window){start, start + m->size};
    return n;
}

static bool refuses(const model *m, model_window w, const model_row *row)
{
    return w.end + m->grace <= row->watermark;
}

/* time is cut where windows begin and end: results are in order of these slices */
static int64_t slice_of(const model *m, int64_t t)
{
    int64_t begun = floor_to(t, m->offset, m->advance);
    int64_t ended = floor_to(t, m->offset + m->size, m->advance);
    return begun > ended ? begun : ended;
}

static bool same_key(const model_row *a, const model_row *b)
{
    return !a->key == !b->key && (!a->key || !strcmp(a->key, b->key));
}

static bool takes(const model *m, model_window w, const model_row *row)
{
    if (m->gap)
        return row->session == w.session;
    return row->time >= w.start && row->time < w.end && !refuses(m, w, row);
}

static bool overflows(const model *m, model_window w, const model_row *row)
{
    evs__int128 sum = row->value, other = row->other;
    for (int i = 0; i < m->taken_count; i++) {
        bool same = takes(m, w, &m->taken[i]) && same_key(&m->taken[i], row);
        sum += same ? m->taken[i].value : 0;
        other += same ? m->taken[i].other : 0;
    }
    return sum > INT64_MAX || sum < INT64_MIN || other > INT64_MAX || other < INT64_MIN;
}

/* ---- sessions ---- */

static model_window session_of(const model *m, int number)
{
    model_window w = {INT64_MAX, INT64_MIN, number};
    for (int i = 0; i < m->taken_count; i++) {
        const model_row *r = &m->taken[i];
        if (r->session != number)
            continue;
        w.start = r->time < w.start ? r->time : w.start;
        w.end = r->time > w.end ? r->time : w.end;
    }
    return w;
}

static bool is_over(const model *m, model_window w)
{
    return w.end + m->gap + m->grace < m->watermark;
}

/* The row is in one session with all of its key that are within the gap of it and not over. */
static void push_session(model *m, model_row row)
{
    int joined = 0;

    row.session = m->taken_count;
    for (int i = 0; i < m->taken_count; i++) {
        model_window w = session_of(m, m->taken[i].session);
        if (!same_key(&m->taken[i], &row) || is_over(m, w) || w.start > row.time + m->gap ||
            w.end < row.time - m->gap)
            continue;
        joined++;
        if (w.session < row.session)
            row.session = w.session;
    }
    for (int i = 0; i < m->taken_count && joined; i++) {
        model_window w = session_of(m, m->taken[i].session);
        if (same_key(&m->taken[i], &row) && !is_over(m, w) && w.start <= row.time + m->gap &&
            w.end >= row.time - m->gap && w.session != row.session) {
            for (int j = 0; j < m->taken_count; j++)
                m->taken[j].session =
                    m->taken[j].session == w.session ? row.session : m->taken[j].session;
        }
    }
    row.newest = (model_window){row.time, row.time, 0};
    row.refused = !joined && is_over(m, row.newest);
    row.accepted = 0;
    if (row.refused)
        m->late[m->late_count++] = row;
    else
        m->taken[m->taken_count++] = row;
}

void model_push(model *m, model_row row)
{
    int64_t delay = m->stream_time ? 0 : m->out_of_orderness;
    bool timed = row.time != MODEL_NO_TIME;
    model_window w[MODEL_WINDOWS_MAX];
    int n = 0;

    model_slot(m, row.slot, timed ? row.time - delay : INT64_MIN, false);
    row.watermark = m->watermark;
    row.since = m->flushes;
    if (!timed || (!row.key && !m->group_null_key)) {
        m->rejected++;
        return;
    }
    if (m->gap) {
        push_session(m, row);
        return;
    }
    n = windows_of(m, row.time, w);
    for (row.refused = 0; row.refused < n && refuses(m, w[row.refused], &row);)
        row.newest = w[row.refused++];
    row.accepted = n - row.refused;
    if (row.refused && (!row.accepted || !m->late_all))
        m->late[m->late_count++] = row;
    if (row.accepted && overflows(m, w[n - 1], &row))
        m->rejected++;
    else if (row.accepted)
        m->taken[m->taken_count++] = row;
}

static void
print_result(const model *m, model_window w, const model_row *first, bool update, evs__buffer *out)
{
    int64_t count = 0, n = 0, other = 0, sum = 0, low = INT64_MAX, high = INT64_MIN, distinct = 0;
    for (int i = 0; i < m->taken_count; i++) {
        const model_row *r = &m->taken[i];
        bool mine = takes(m, w, r) && same_key(r, first), seen = !mine || !r->has_value;
        count += mine;
        other += mine ? r->other : 0;
        for (int j = 0; j < i && !seen; j++)
            seen = takes(m, w, &m->taken[j]) && same_key(&m->taken[j], first) &&
                   m->taken[j].has_value && m->taken[j].value == r->value;
        distinct += !seen;
        if (!mine || !r->has_value)
            continue;
        n++;
        sum += r->value;
        low = r->value < low ? r->value : low;
        high = r->value > high ? r->value : high;
    }
    evs__buffer_printf(out, "%c%s %lld %lld %lld", update ? '~' : '+',
                       first->key ? first->key : "NULL", (long long)w.start, (long long)w.end,
                       (long long)count);
    if (n)
        evs__buffer_printf(out, " %lld %lld %lld %lld ", (long long)sum, (long long)low,
                           (long long)high, (long long)distinct);
    else
        evs__buffer_printf(out, " NULL NULL NULL %lld NULL", (long long)distinct);
    if (n)
        evs__buffer_double(out, (double)sum / (double)n);
    evs__buffer_printf(out, " %lld\n", (long long)other);
}

/* the keys of a window, or those that changed since the last flush */
static void print_window(const model *m, model_window w, bool changes, evs__buffer *out)
{
    bool done[MODEL_ROWS_MAX] = {false};
    for (;;) {
        const model_row *first = NULL;
        bool changed = !changes, update = false;
        for (int i = 0; i < m->taken_count; i++) {
            const model_row *r = &m->taken[i];
            if (!done[i] && takes(m, w, r) &&
                (!first || slice_of(m, r->time) < slice_of(m, first->time)))
                first = r;
        }
        if (!first)
            return;
        for (int i = 0; i < m->taken_count; i++) {
            const model_row *r = &m->taken[i];
            if (!takes(m, w, r) || !same_key(r, first))
                continue;
            done[i] = true;
            changed = changed || r->since == m->flushes;
            update = update || (changes && r->since < m->flushes);
        }
        if (changed)
            print_result(m, w, first, update, out);
    }
}

/* the next window after `last` by end that took a row */
static bool next_window(const model *m, model_window *last)
{
    model_window next = {0, INT64_MAX}, w[MODEL_WINDOWS_MAX];
    for (int i = 0; i < m->taken_count; i++) {
        int n = windows_of(m, m->taken[i].time, w);
        for (int j = 0; j < n; j++) {
            if (w[j].end > last->end && w[j].end < next.end && takes(m, w[j], &m->taken[i]))
                next = w[j];
        }
    }
    *last = next;
    return next.end != INT64_MAX;
}

void model_final(const model *m, evs__buffer *out)
{
    model_window w = {0, INT64_MIN};
    while (next_window(m, &w)) {
        if (w.end + m->grace <= m->watermark)
            print_window(m, w, false, out);
    }
}

void model_changes(model *m, evs__buffer *out)
{
    model_window w = {0, INT64_MIN};
    while (next_window(m, &w))
        print_window(m, w, true, out);
    m->flushes++;
}

void model_sessions(const model *m, bool all, evs__buffer *out)
{
    bool done[MODEL_ROWS_MAX] = {false};
    for (;;) {
        model_window next = {0, INT64_MAX, -1};
        for (int i = 0; i < m->taken_count; i++) {
            model_window w = session_of(m, m->taken[i].session);
            if (!done[w.session] && (all || is_over(m, w)) &&
                (w.end < next.end || (w.end == next.end && w.session < next.session)))
                next = w;
        }
        if (next.session < 0)
            return;
        done[next.session] = true;
        print_result(m, next, &m->taken[next.session], false, out);
    }
}

void model_late(const model *m, evs__buffer *out)
{
    for (int i = 0; i < m->late_count; i++) {
        const model_row *r = &m->late[i];
        evs__buffer_printf(out, "%lld %s %lld %lld %d %d %lld %lld\n", (long long)r->time,
                           r->key ? r->key : "NULL", (long long)r->newest.start,
                           (long long)r->newest.end, r->refused, r->accepted,
                           (long long)(r->watermark - r->time), (long long)r->watermark);
    }
}
