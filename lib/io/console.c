/*
 * io/console.c: results on the terminal.
 *
 * On a terminal, rows with a key form a live table: each result has one line, updated in place,
 * newest `rows.max` lines kept, ordered by the keys as they are shown, redrawn at most every
 * `refresh.ms`; a DOUBLE has three decimals there, since people look at it. Elsewhere (a pipe, a
 * file), and for rows without a key, each row is one line under a header, with values in full.
 * Column widths grow as values need and never shrink.
 *
 *   page   window_start          views     <- header
 *   /a     2026-11-23T17:05:00Z     12     numbers to the right, text to the left
 *
 * At least once: what stands on a terminal cannot be taken back. Bounded: rows.max lines, values
 * cut at width.max. Control characters of values are shown as '?', so data cannot drive the
 * terminal.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "io/connectors.h"
#include "io/os.h"

enum { COLUMNS_MAX = 64, CELL_MAX = 200, CLOSE_WAIT_MS = 1000 };

typedef struct line {
    char *cells; /* column_count texts, NUL-terminated one after another */
    size_t key_len;
    uint64_t touched;
} line;

typedef struct console_sink {
    evs_context *ctx;
    evs_schema *schema;
    int fd;
    bool live, may_wait;
    int columns, keys, width_max;
    int *fields;
    int *order; /* the keys, those that are shown first, as they are shown */
    int *widths;
    bool *right;
    line *lines;
    size_t count, rows_max;
    uint64_t clock;
    int64_t refresh_ms, drawn_ms;
    bool dirty, header_done;
    int drawn_lines;
    size_t line_width, line_room; /* of the terminal; what is left of the line being made */
    char *out;
    size_t out_len, out_capacity;
    char *title;
} console_sink;

static const evs_option_info options[] = {
    {"columns", NULL, NULL, "Columns to show; all by default", "0.1", 0, 0, EVS_OPTION_STRING, 0},
    {"title", NULL, NULL, "Line above the table", "0.1", 0, 0, EVS_OPTION_STRING, 0},
    {"to", "stdout", "stdout|stderr", "Where to write", "0.1", 0, 0, EVS_OPTION_ENUM, 0},
    {"live", "auto", "auto|true|false",
     "Update in place; auto: when on a terminal and rows have a key", "0.1", 0, 0, EVS_OPTION_ENUM,
     0},
    {"rows.max", "20", NULL, "Lines of a live table", "0.1", 1, 10000, EVS_OPTION_INT, 0},
    {"width.max", "40", NULL, "Longest value that is shown whole", "0.1", 4, CELL_MAX,
     EVS_OPTION_INT, 0},
    {"refresh.ms", "200ms", NULL, "Shortest time between two updates of a live table", "0.1", 0,
     60000, EVS_OPTION_DURATION, 0},
    {0},
};

static evs_status nomem(console_sink *s, evs_error **reterr)
{
    return evs_error_set(s->ctx, reterr, EVS_ERR_NOMEM, "out of memory");
}

/* ---- text out ---- */

static bool put(console_sink *s, const char *data, size_t len)
{
    if (s->out_capacity - s->out_len < len) {
        size_t capacity = s->out_capacity * 2 > s->out_len + len + 4096 ? s->out_capacity * 2
                                                                        : s->out_len + len + 4096;
        char *bigger = evs_realloc_array(s->ctx, s->out, capacity, 1);
        if (!bigger)
            return false;
        s->out = bigger;
        s->out_capacity = capacity;
    }
    memcpy(s->out + s->out_len, data, len);
    s->out_len += len;
    return true;
}

/* EVS_AGAIN: the terminal or pipe takes nothing now; what is left stays in `out` */
static evs_status write_out(console_sink *s, int64_t wait_ms, evs_error **reterr)
{
    size_t done = 0;
    int code = evs__os_write(s->fd, s->may_wait, s->out, s->out_len, wait_ms, &done);

    if (done)
        memmove(s->out, s->out + done, s->out_len - done);
    s->out_len -= done;
    if (code == EAGAIN)
        return EVS_AGAIN;
    return code ? evs__os_fail(s->ctx, reterr, "console", "write", code) : EVS_OK;
}

/* display columns of UTF-8 text, near enough: code points */
static int text_width(const char *text)
{
    int width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

/* as much of a text as the rest of the line holds; a line that wrapped would break the redrawing */
static bool put_part(console_sink *s, const char *text, size_t len)
{
    size_t n = 0;
    while (n < len) {
        if (((unsigned char)text[n] & 0xc0) != 0x80) {
            if (!s->line_room)
                break;
            s->line_room--;
        }
        n++;
    }
    return put(s, text, n);
}

static bool put_spaces(console_sink *s, int count)
{
    static const char spaces[] = "                                ";
    for (; count > 0; count -= (int)sizeof(spaces) - 1) {
        if (!put_part(s, spaces, count < (int)sizeof(spaces) ? (size_t)count : sizeof(spaces) - 1))
            return false;
    }
    return true;
}

static bool put_cell(console_sink *s, int column, const char *text)
{
    bool last = column + 1 == s->columns;
    int pad = s->widths[column] - text_width(text);
    if (s->right[column] && !put_spaces(s, pad))
        return false;
    if (!put_part(s, text, strlen(text)))
        return false;
    if (!s->right[column] && !last && !put_spaces(s, pad))
        return false;
    return last || put_spaces(s, 2);
}

static bool put_cells(console_sink *s, const char *cells)
{
    s->line_room = s->line_width;
    for (int i = 0; i < s->columns; i++) {
        if (!put_cell(s, i, cells))
            return false;
        cells += strlen(cells) + 1;
    }
    return put(s, "\n", 1);
}

static bool put_header(console_sink *s)
{
    const evs_type *type = evs_schema_type(s->schema);
    s->line_room = s->line_width;
    if (s->live && !put(s, "\033[1m", 4))
        return false;
    if (s->title && (!put_part(s, s->title, strlen(s->title)) || !put(s, "\n", 1)))
        return false;
    s->line_room = s->line_width;
    for (int i = 0; i < s->columns; i++) {
        if (!put_cell(s, i, evs_type_field_name(type, (size_t)s->fields[i])))
            return false;
    }
    return put(s, s->live ? "\033[m\n" : "\n", s->live ? 4 : 1);
}

/* ---- rows ---- */

/* bytes of a UTF-8 character that begins here; 0: none does */
static size_t character(const unsigned char *p, size_t len)
{
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (n > len || p[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return n;
}

/* BYTES that are text, as most payloads of dead letters: what of them fits; false: show base64 */
static bool text_of_bytes(const evs_row *row, int field, char *text, size_t size)
{
    const evs_type *type = evs_type_child(evs_batch_type(row->batch), (size_t)field);
    const char *data = NULL;
    size_t len = 0, at = 0, n;
    if (evs_type_get_id(type) != EVS_TYPE_BYTES ||
        evs_row_string(row, field, &data, &len) != EVS_OK)
        return false;
    while (at < len && at + 4 < size) {
        n = character((const unsigned char *)data + at, len - at);
        if (!n || !data[at])
            return false;
        memcpy(text + at, data + at, n);
        at += n;
    }
    text[at] = '\0';
    return true;
}

/* three decimals, if they say enough of the value; by integers: the locale has no part in it */
static bool text_of_double(const evs_row *row, int field, char *text, size_t size)
{
    const evs_type *type = evs_type_child(evs_batch_type(row->batch), (size_t)field);
    double v = 0, high;
    int64_t n;
    if (evs_type_get_id(type) != EVS_TYPE_DOUBLE || evs_row_double(row, field, &v) != EVS_OK)
        return false;
    high = v < 0 ? -v : v;
    if (!(high >= 0.1 && high < 1e12))
        return false;
    n = (int64_t)(high * 1000 + 0.5);
    snprintf(text, size, "%s%lld.%03d", v < 0 ? "-" : "", (long long)(n / 1000), (int)(n % 1000));
    return true;
}

/* one value, cut at `width` and made harmless, into out (CELL_MAX * 4 + 4 bytes) */
static size_t render_cell(const evs_row *row, int field, bool brief, int width, char *out)
{
    char text[CELL_MAX * 4 + 1];
    size_t len = 0, at = 0;
    if (!text_of_bytes(row, field, text, sizeof(text)) &&
        !(brief && text_of_double(row, field, text, sizeof(text))) &&
        evs_row_text(row, field, text, sizeof(text), &len) != EVS_OK)
        text[0] = '\0';
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if ((c & 0xc0) != 0x80 && --width < 0) {
            out[at++] = '~';
            break;
        }
        if (c == 0xc2 && (unsigned char)p[1] >= 0x80 && (unsigned char)p[1] < 0xa0) {
            out[at++] = '?'; /* a control character too: U+0080 to U+009F */
            p++;
        } else {
            out[at++] = c < 0x20 || c == 0x7f ? '?' : *p;
        }
    }
    out[at] = '\0';
    return at + 1;
}

/* all cells of a row; *ret_key_len: bytes of the key's cells. Keys come first in `fields` only if
 * all columns are shown, so the key is rendered apart */
static char *render_row(console_sink *s, const evs_row *row, size_t *ret_key_len, size_t *ret_len)
{
    size_t max = (size_t)(s->columns + s->keys) * (CELL_MAX * 4 + 4) + 1;
    char *cells = evs_alloc(s->ctx, max);
    size_t at = 0;
    if (!cells)
        return NULL;
    for (int i = 0; i < s->keys; i++)
        at += render_cell(row, i, false, CELL_MAX * 4, cells + at);
    *ret_key_len = at;
    for (int i = 0; i < s->columns; i++) {
        int width;
        char *start = cells + at;
        at += render_cell(row, s->fields[i], s->live, s->width_max, start);
        width = text_width(start);
        if (width > s->widths[i])
            s->widths[i] = width;
    }
    *ret_len = at;
    return cells;
}

static line *find_line(console_sink *s, const char *key, size_t key_len)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->lines[i].key_len == key_len && memcmp(s->lines[i].cells, key, key_len) == 0)
            return &s->lines[i];
    }
    return NULL;
}

static void remove_line(console_sink *s, line *l)
{
    evs_free(s->ctx, l->cells);
    memmove(l, l + 1, (size_t)(s->lines + s->count - (l + 1)) * sizeof(*l));
    s->count--;
}

static void forget_oldest(console_sink *s)
{
    line *oldest = s->lines;
    for (size_t i = 1; i < s->count; i++) {
        if (s->lines[i].touched < oldest->touched)
            oldest = &s->lines[i];
    }
    remove_line(s, oldest);
}

static bool is_number(evs_type_id id)
{
    return id == EVS_TYPE_INT || id == EVS_TYPE_BIGINT || id == EVS_TYPE_DOUBLE ||
           id == EVS_TYPE_DECIMAL;
}

static const char *cell_at(const char *cells, int index)
{
    while (index--)
        cells += strlen(cells) + 1;
    return cells;
}

/* texts; numbers of the same sign by their size, as far as digits before the point tell */
static int compare_cells(const char *a, const char *b, bool number)
{
    size_t len_a = strcspn(a, "."), len_b = strcspn(b, ".");
    if (number && len_a != len_b && *a != '-' && *b != '-')
        return len_a < len_b ? -1 : 1;
    return strcmp(a, b);
}

/* where a line with these keys belongs */
static size_t place_of(const console_sink *s, const char *cells)
{
    const evs_type *type = evs_schema_type(s->schema);
    size_t at = s->count;
    int order = 1;
    while (at && order > 0) {
        order = 0;
        for (int i = 0; !order && i < s->keys; i++) {
            int key = s->order[i];
            order = compare_cells(cell_at(s->lines[at - 1].cells, key), cell_at(cells, key),
                                  is_number(evs_type_get_id(evs_type_child(type, (size_t)key))));
        }
        at -= order > 0;
    }
    return at;
}

static void keep_line(console_sink *s, char *cells, size_t key_len, bool gone)
{
    line *l = find_line(s, cells, key_len);
    s->dirty = true;
    if (gone) {
        if (l)
            remove_line(s, l);
        evs_free(s->ctx, cells);
        return;
    }
    if (l) {
        evs_free(s->ctx, l->cells);
    } else {
        if (s->count == s->rows_max)
            forget_oldest(s);
        l = s->lines + place_of(s, cells);
        memmove(l + 1, l, (size_t)(s->lines + s->count - l) * sizeof(*l));
        s->count++;
    }
    *l = (line){cells, key_len, ++s->clock};
}

/* lines and columns of the terminal; one that does not tell is taken to be large enough */
static size_t measure_terminal(console_sink *s)
{
    struct winsize size = {0};
    size_t others = s->title ? 3 : 2; /* title, header, and the line of the cursor */
    s->line_width = SIZE_MAX;
    if (ioctl(s->fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
        return s->rows_max;
    s->line_width = size.ws_col;
    return size.ws_row > others ? size.ws_row - others : 1;
}

static evs_status draw(console_sink *s, int64_t wait_ms, evs_error **reterr)
{
    char up[32];
    bool ok = true;
    evs_status status;
    size_t lines;

    /* one picture at a time: a slow terminal gets the newest one when it is ready */
    if (s->out_len && (status = write_out(s, wait_ms, reterr)))
        return status;
    lines = measure_terminal(s);
    while (s->count > lines)
        forget_oldest(s);
    if (s->drawn_lines) {
        int n = snprintf(up, sizeof(up), "\033[%dA\033[J", s->drawn_lines);
        ok = put(s, up, (size_t)n);
    }
    s->drawn_lines = (s->title ? 2 : 1) + (int)s->count;
    ok = ok && put_header(s);
    for (size_t i = 0; ok && i < s->count; i++)
        ok = put_cells(s, s->lines[i].cells + s->lines[i].key_len);
    if (!ok) {
        s->out_len = 0;
        return nomem(s, reterr);
    }
    s->dirty = false;
    return write_out(s, wait_ms, reterr);
}

static bool print_row(console_sink *s, const char *cells, uint8_t kind)
{
    if (!s->header_done && !put_header(s))
        return false;
    s->header_done = true;
    return (kind != EVS_ROW_DELETE || put(s, "- ", 2)) && put_cells(s, cells);
}

/* ---- the connector's functions ---- */

static void sink_close(void *sink)
{
    console_sink *s = sink;
    if (s->dirty)
        draw(s, CLOSE_WAIT_MS, NULL);
    if (s->out_len)
        write_out(s, CLOSE_WAIT_MS, NULL);
    for (size_t i = 0; i < s->count; i++)
        evs_free(s->ctx, s->lines[i].cells);
    evs_free(s->ctx, s->lines);
    evs_free(s->ctx, s->fields);
    evs_free(s->ctx, s->order);
    evs_free(s->ctx, s->widths);
    evs_free(s->ctx, s->right);
    evs_free(s->ctx, s->out);
    evs_free(s->ctx, s->title);
    evs_schema_unref(s->schema);
    evs_free(s->ctx, s);
}

static bool is_shown(const console_sink *s, int field)
{
    for (int i = 0; i < s->columns; i++) {
        if (s->fields[i] == field)
            return true;
    }
    return false;
}

static evs_status order_keys(console_sink *s, evs_error **reterr)
{
    int n = 0;
    s->order = evs_alloc_array(s->ctx, (size_t)s->keys + 1, sizeof(*s->order));
    if (!s->order)
        return nomem(s, reterr);
    for (int i = 0; i < s->columns && n < s->keys; i++) {
        if (s->fields[i] < s->keys)
            s->order[n++] = s->fields[i];
    }
    for (int i = 0; i < s->keys && n < s->keys; i++) {
        if (!is_shown(s, i))
            s->order[n++] = i;
    }
    return EVS_OK;
}

static evs_status choose_columns(console_sink *s, const char *list, evs_error **reterr)
{
    const evs_type *type = evs_schema_type(s->schema);
    size_t count = evs_type_child_count(type);
    const char *p = list;
    s->fields = evs_alloc_array(s->ctx, count, sizeof(*s->fields));
    s->widths = evs_alloc_array(s->ctx, count, sizeof(*s->widths));
    s->right = evs_alloc_array(s->ctx, count, sizeof(*s->right));
    if (!s->fields || !s->widths || !s->right)
        return nomem(s, reterr);
    for (size_t i = 0; i < count && (!list || p); i++) {
        int32_t field = (int32_t)i;
        if (list) {
            size_t lead = strspn(p, " ");
            size_t len = strcspn(p + lead, ", ");
            field = evs_type_field_index(type, p + lead, len);
            if (field < 0)
                return evs_error_set(s->ctx, reterr, EVS_ERR_CONFIG,
                                     "option \"columns\": there is no column \"%.*s\"", (int)len,
                                     p + lead);
            p = strchr(p, ',');
            p = p ? p + 1 : NULL;
        }
        s->fields[s->columns] = field;
        s->widths[s->columns] = text_width(evs_type_field_name(type, (size_t)field));
        if (s->widths[s->columns] > CELL_MAX)
            s->widths[s->columns] = CELL_MAX;
        s->right[s->columns++] = is_number(evs_type_get_id(evs_type_child(type, (size_t)field)));
    }
    if (!s->columns || s->columns > COLUMNS_MAX)
        return evs_error_set(s->ctx, reterr, EVS_ERR_CONFIG,
                             "option \"columns\": 1 to %d columns fit", COLUMNS_MAX);
    return order_keys(s, reterr);
}

static evs_status sink_open(evs_context *context,
                            const evs_config *config,
                            evs_schema *schema,
                            const evs_sink_identity *identity,
                            void **ret_sink,
                            evs_error **reterr)
{
    const char *live = evs_config_string(config, "live");
    const char *title = evs_config_string(config, "title");
    evs_status status;
    console_sink *s = evs_alloc_array(context, 1, sizeof(*s));
    if (!s)
        return evs_error_set(context, reterr, EVS_ERR_NOMEM, "out of memory");
    s->ctx = context;
    s->schema = evs_schema_ref(schema);
    s->fd = strcmp(evs_config_string(config, "to"), "stderr") == 0 ? STDERR_FILENO : STDOUT_FILENO;
    s->may_wait = evs__os_may_wait(s->fd);
    s->keys = identity->key_count;
    s->live =
        s->keys && (strcmp(live, "true") == 0 || (strcmp(live, "auto") == 0 && isatty(s->fd)));
    s->rows_max = (size_t)evs_config_int(config, "rows.max");
    s->width_max = (int)evs_config_int(config, "width.max");
    s->refresh_ms = evs_config_int(config, "refresh.ms");
    s->lines = evs_alloc_array(context, s->rows_max, sizeof(*s->lines));
    s->title = title ? evs_strdup(context, title) : NULL;
    s->line_width = SIZE_MAX;
    if (!s->lines || (title && !s->title))
        status = nomem(s, reterr);
    else
        status = choose_columns(s, evs_config_string(config, "columns"), reterr);
    if (status) {
        sink_close(s);
        return status;
    }
    *ret_sink = s;
    return EVS_OK;
}

static evs_status take_row(console_sink *s, const evs_row *row, uint8_t kind)
{
    size_t key_len = 0, len = 0;
    char *cells = render_row(s, row, &key_len, &len);
    char *fitted;
    bool ok = cells;

    if (cells && s->live) {
        fitted = evs_realloc_array(s->ctx, cells, len, 1);
        keep_line(s, fitted ? fitted : cells, key_len, kind == EVS_ROW_DELETE);
    } else if (cells) {
        ok = print_row(s, cells + key_len, kind);
        evs_free(s->ctx, cells);
    }
    return ok ? EVS_OK : EVS_ERR_NOMEM;
}

static evs_status sink_write(
    void *sink, evs_batch *batch, evs_decode_failed_fn failed, void *user_data, evs_error **reterr)
{
    console_sink *s = sink;
    const uint32_t *sel = evs_batch_selection(batch);
    const uint8_t *kinds = evs_batch_kinds(batch);
    size_t rows = evs_batch_rows(batch);
    evs_status status;
    (void)failed;
    (void)user_data;
    /* the lines of one batch are held for a slow reader, no more */
    if (!s->live && s->out_len && (status = write_out(s, 0, reterr)))
        return status;
    for (size_t i = 0; i < rows; i++) {
        evs_row row = {batch, NULL, sel ? sel[i] : (uint32_t)i, 0};
        if (take_row(s, &row, kinds ? kinds[row.index] : EVS_ROW_INSERT)) {
            if (!s->live)
                s->out_len = 0;
            return nomem(s, reterr);
        }
    }
    if (s->live)
        return EVS_OK;
    status = write_out(s, 0, reterr);
    return status == EVS_AGAIN ? EVS_OK : status;
}

static evs_status sink_flush(void *sink, int64_t wait_ms, evs_error **reterr)
{
    console_sink *s = sink;
    if (s->live)
        return s->dirty && !s->refresh_ms ? draw(s, wait_ms, reterr) : EVS_OK;
    return s->out_len ? write_out(s, wait_ms, reterr) : EVS_OK;
}

static evs_status sink_poll(void *sink, int64_t now_ms, int64_t *ret_next_ms, evs_error **reterr)
{
    console_sink *s = sink;
    evs_status status = EVS_OK;
    *ret_next_ms = -1;
    if (!s->dirty && !s->out_len)
        return EVS_OK;
    if (now_ms - s->drawn_ms >= s->refresh_ms || now_ms < s->drawn_ms) {
        status = s->live ? draw(s, 0, reterr) : write_out(s, 0, reterr);
        s->drawn_ms = now_ms;
    }
    if (s->dirty || s->out_len)
        *ret_next_ms = s->drawn_ms + (s->refresh_ms ? s->refresh_ms : 1);
    return status == EVS_AGAIN ? EVS_OK : status;
}

static const evs_sink_functions functions = {
    .struct_size = sizeof(evs_sink_functions),
    .options = options,
    .guarantee = EVS_GUARANTEE_AT_LEAST_ONCE,
    .open = sink_open,
    .write = sink_write,
    .flush = sink_flush,
    .poll = sink_poll,
    .close = sink_close,
};

const evs_connector evs__console_connector = {
    .struct_size = sizeof(evs_connector),
    .name = "console",
    .doc = "Aligned table on the terminal, live where rows have a key",
    .sink = &functions,
};
