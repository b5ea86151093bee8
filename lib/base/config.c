/*
 * base/config.c: checked values for the options of one or several tables.
 *
 *   slots[i]   a row of a table, its value as text and as number, whether the host set it
 *   extras[i]  pass-through keys ("kafka.linger.ms"), unchecked
 *   pairs      what was set, as an evs_options view; kept up to date, so that reading needs no
 * memory
 *
 * A value is checked when it is set, by its row and nothing else; defaults are checked the same way
 * when the config is made, so a table with a bad default is found by the first test that uses it.
 * Names are looked up linearly: tables have tens of rows, and this is not the hot path.
 */
#include <stdio.h>

#include "base/config.h"
#include "base/number.h"
#include "base/time.h"

#define EXTRAS_MAX 1024
#define SUGGEST_NAMES_MAX 512
#define SUGGEST_LISTED 12

typedef struct config_slot {
    const evs_option_info *info;
    char *text; /* NULL: not set */
    int64_t number;
    double real;
} config_slot;

typedef struct config_extra {
    char *key; /* with the prefix */
    char *value;
} config_extra;

struct evs_config {
    evs_context *ctx;
    char *what;
    char *extra_prefix; /* or NULL */
    config_slot *slots;
    size_t slot_count;
    config_extra *extras;
    size_t extra_count;
    const char **pairs; /* room for all slots and extras */
    evs_options view;
};

/* ---- one value ---- */

static bool parse_bool(const char *value, int64_t *ret)
{
    if (strcmp(value, "true") == 0 || strcmp(value, "1") == 0)
        *ret = 1;
    else if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
        *ret = 0;
    else
        return false;
    return true;
}

/* "4096", "64k", "32m", "1g"; 1k = 1024 */
static bool parse_size(const char *value, int64_t *ret)
{
    size_t len = strlen(value);
    int shift = 0;
    int64_t n;

    switch (len ? value[len - 1] : 0) {
    case 'k':
    case 'K':
        shift = 10;
        break;
    case 'm':
    case 'M':
        shift = 20;
        break;
    case 'g':
    case 'G':
        shift = 30;
        break;
    default:
        break;
    }
    if (evs__parse_int(value, len - (shift != 0), &n) || n < 0 || n > INT64_MAX >> shift)
        return false;
    *ret = n << shift;
    return true;
}

static bool parse_enum(const char *values, const char *value, int64_t *ret)
{
    size_t len = strlen(value);
    int64_t i = 0;

    for (const char *p = values ? values : ""; *p; i++) {
        size_t n = strcspn(p, "|");
        if (n == len && memcmp(p, value, n) == 0) {
            *ret = i;
            return true;
        }
        p += n + (p[n] == '|');
    }
    return false;
}

static bool parse_value(const evs_option_info *info, const char *value, int64_t *n, double *d)
{
    switch ((evs_option_type)info->type) {
    case EVS_OPTION_INT:
        return !evs__parse_int(value, strlen(value), n);
    case EVS_OPTION_DURATION:
        return !evs__duration_parse(value, strlen(value), n);
    case EVS_OPTION_BYTES:
        return parse_size(value, n);
    case EVS_OPTION_BOOL:
        return parse_bool(value, n);
    case EVS_OPTION_DOUBLE:
        return !evs__parse_double(value, strlen(value), d);
    case EVS_OPTION_ENUM:
        return parse_enum(info->values, value, n);
    case EVS_OPTION_STRING:
    case EVS_OPTION_SECRET:
        return true;
    }
    return false;
}

static evs_status bad_value(evs_context *ctx,
                            const char *what,
                            const evs_option_info *info,
                            const char *value,
                            evs_error **reterr)
{
    char listed[256];
    const char *want = "is not a whole number";

    switch ((evs_option_type)info->type) {
    case EVS_OPTION_DURATION:
        want = "is not a duration (250ms, 10s, 5m, 1h, 7d, forever)";
        break;
    case EVS_OPTION_BYTES:
        want = "is not a size (4096, 64k, 32m, 1g)";
        break;
    case EVS_OPTION_BOOL:
        want = "is neither true nor false";
        break;
    case EVS_OPTION_DOUBLE:
        want = "is not a number";
        break;
    case EVS_OPTION_ENUM:
        snprintf(listed, sizeof(listed), "is not one of %s", info->values);
        want = listed;
        break;
    default:
        break;
    }
    return evs__fail(ctx, reterr, EVS_ERR_CONFIG, "%s: option \"%s\": \"%s\" %s", what, info->name,
                     value, want);
}

/* a bound as people write it */
static void print_bound(const evs_option_info *info, int64_t value, char *out)
{
    size_t n = info->type == EVS_OPTION_DURATION ? evs__duration_format(value, out)
                                                 : evs__format_int(value, out);
    out[n] = '\0';
}

static evs_status out_of_range(evs_context *ctx,
                               const char *what,
                               const evs_option_info *info,
                               const char *value,
                               evs_error **reterr)
{
    char lo[EVS__TIME_TEXT_MAX + 1], hi[EVS__TIME_TEXT_MAX + 1];

    print_bound(info, info->min, lo);
    print_bound(info, info->max, hi);
    if (info->max == INT64_MAX)
        return evs__fail(ctx, reterr, EVS_ERR_CONFIG,
                         "%s: option \"%s\": \"%s\" is out of range (at least %s)", what,
                         info->name, value, lo);
    return evs__fail(ctx, reterr, EVS_ERR_CONFIG,
                     "%s: option \"%s\": \"%s\" is out of range (%s to %s)", what, info->name,
                     value, lo, hi);
}

evs_status evs__option_check(evs_context *ctx,
                             const char *what,
                             const evs_option_info *info,
                             const char *value,
                             int64_t *ret_number,
                             double *ret_double,
                             evs_error **reterr)
{
    int64_t n = 0;
    double d = 0;
    bool ranged = info->min || info->max;

    if (!parse_value(info, value, &n, &d))
        return bad_value(ctx, what, info, value, reterr);
    if (info->type == EVS_OPTION_DOUBLE) {
        if (ranged && !(d >= (double)info->min && d <= (double)info->max))
            return out_of_range(ctx, what, info, value, reterr);
    } else if (info->type == EVS_OPTION_INT || info->type == EVS_OPTION_DURATION ||
               info->type == EVS_OPTION_BYTES) {
        if (ranged && (n < info->min || n > info->max))
            return out_of_range(ctx, what, info, value, reterr);
        d = (double)n;
    }
    if (ret_number)
        *ret_number = n;
    if (ret_double)
        *ret_double = d;
    return EVS_OK;
}

/* ---- making ---- */

static config_slot *find_slot(const evs_config *config, const char *name)
{
    for (size_t i = 0; config && name && i < config->slot_count; i++) {
        if (strcmp(config->slots[i].info->name, name) == 0)
            return &config->slots[i];
    }
    return NULL;
}

/* slots for all rows; of two rows of one name the first table's counts */
static evs_status make_slots(evs_config *config,
                             const evs_option_info *const *tables,
                             size_t count,
                             evs_error **reterr)
{
    size_t rows = 0;

    for (size_t t = 0; t < count; t++) {
        for (const evs_option_info *row = tables[t]; row && row->name; row++)
            rows++;
    }
    config->slots = evs__calloc(config->ctx, rows, sizeof(*config->slots));
    config->pairs = evs__calloc(config->ctx, rows, 2 * sizeof(*config->pairs));
    if (!config->slots || !config->pairs)
        return evs__nomem(reterr);
    for (size_t t = 0; t < count; t++) {
        for (const evs_option_info *row = tables[t]; row && row->name; row++) {
            config_slot slot = {.info = row};
            evs_status status = EVS_OK;
            if (find_slot(config, row->name))
                continue;
            if (row->default_value)
                status = evs__option_check(config->ctx, config->what, row, row->default_value,
                                           &slot.number, &slot.real, reterr);
            if (status)
                return status;
            config->slots[config->slot_count++] = slot;
        }
    }
    return EVS_OK;
}

evs_status evs__config_new(evs_context *ctx,
                           const char *what,
                           const evs_option_info *const *tables,
                           size_t table_count,
                           const char *extra_prefix,
                           evs_config **ret,
                           evs_error **reterr)
{
    evs_config *config = evs__calloc(ctx, 1, sizeof(*config));
    evs_status status = EVS_OK;

    if (!config)
        return evs__nomem(reterr);
    config->ctx = evs__context_hold(ctx);
    config->what = evs__strdup(ctx, what);
    if (!config->what)
        status = evs__nomem(reterr);
    if (!status && extra_prefix) {
        config->extra_prefix = evs__strdup(ctx, extra_prefix);
        if (!config->extra_prefix)
            status = evs__nomem(reterr);
    }
    if (!status)
        status = make_slots(config, tables, table_count, reterr);
    if (status) {
        evs__config_unref(config);
        return status;
    }
    *ret = config;
    return EVS_OK;
}

evs_config *evs__config_unref(evs_config *config)
{
    evs_context *ctx;

    if (!config)
        return NULL;
    ctx = config->ctx;
    for (size_t i = 0; i < config->slot_count; i++)
        evs__free(ctx, config->slots[i].text);
    for (size_t i = 0; i < config->extra_count; i++) {
        evs__free(ctx, config->extras[i].key);
        evs__free(ctx, config->extras[i].value);
    }
    evs__free(ctx, config->slots);
    evs__free(ctx, config->extras);
    evs__free(ctx, config->pairs);
    evs__free(ctx, config->what);
    evs__free(ctx, config->extra_prefix);
    evs__free(ctx, config);
    evs__context_drop(ctx);
    return NULL;
}

/* ---- setting ---- */

/* the view anew, in table order, then the extras; pairs has room */
static void update_view(evs_config *config)
{
    size_t n = 0;

    for (size_t i = 0; i < config->slot_count; i++) {
        if (!config->slots[i].text)
            continue;
        config->pairs[2 * n] = config->slots[i].info->name;
        config->pairs[2 * n++ + 1] = config->slots[i].text;
    }
    for (size_t i = 0; i < config->extra_count; i++) {
        config->pairs[2 * n] = config->extras[i].key;
        config->pairs[2 * n++ + 1] = config->extras[i].value;
    }
    config->view = (evs_options){(const char *const *)config->pairs, n};
}

static evs_status unknown_option(const evs_config *config, const char *key, evs_error **reterr)
{
    const char *names[SUGGEST_NAMES_MAX] = {NULL};
    const char *hint;
    size_t count = 0;
    evs__buffer list;
    const char *text;

    for (; count < config->slot_count && count < SUGGEST_NAMES_MAX; count++)
        names[count] = config->slots[count].info->name;
    hint = evs__did_you_mean(key, names, count);
    if (hint)
        return evs__fail(config->ctx, reterr, EVS_ERR_CONFIG,
                         "%s: unknown option \"%s\" (did you mean \"%s\"?)", config->what, key,
                         hint);
    evs__buffer_init(&list, config->ctx, 1024);
    for (size_t i = 0; i < count && i < SUGGEST_LISTED; i++)
        evs__buffer_printf(&list, "%s\"%s\"", i ? ", " : "", names[i]);
    if (count > SUGGEST_LISTED)
        evs__buffer_text(&list, ", ...");
    text = evs__buffer_cstr(&list);
    evs__fail(config->ctx, reterr, EVS_ERR_CONFIG, "%s: unknown option \"%s\"%s%s%s", config->what,
              key, count ? " (options are " : "", text ? text : "", count ? ")" : "");
    evs__buffer_free(&list);
    return EVS_ERR_CONFIG;
}

static bool is_extra(const evs_config *config, const char *key)
{
    size_t n = config->extra_prefix ? strlen(config->extra_prefix) : 0;
    return n && strncmp(key, config->extra_prefix, n) == 0 && key[n];
}

/* an extra that was there gets the new value; `value` is taken over on success */
static evs_status set_extra(evs_config *config, const char *key, char *value, evs_error **reterr)
{
    config_extra *extras;
    const char **pairs;
    char *copy;

    for (size_t i = 0; i < config->extra_count; i++) {
        if (strcmp(config->extras[i].key, key) == 0) {
            evs__free(config->ctx, config->extras[i].value);
            config->extras[i].value = value;
            return EVS_OK;
        }
    }
    if (config->extra_count >= EXTRAS_MAX)
        return evs__fail(config->ctx, reterr, EVS_ERR_CONFIG, "%s: more than %d options \"%s...\"",
                         config->what, EXTRAS_MAX, config->extra_prefix);
    extras =
        evs__realloc_array(config->ctx, config->extras, config->extra_count + 1, sizeof(*extras));
    if (!extras)
        return evs__nomem(reterr);
    config->extras = extras;
    pairs = evs__realloc_array(config->ctx, config->pairs,
                               config->slot_count + config->extra_count + 1, 2 * sizeof(*pairs));
    if (!pairs)
        return evs__nomem(reterr);
    config->pairs = pairs;
    config->view.pairs = (const char *const *)pairs;
    copy = evs__strdup(config->ctx, key);
    if (!copy)
        return evs__nomem(reterr);
    extras[config->extra_count++] = (config_extra){copy, value};
    return EVS_OK;
}

evs_status
evs__config_set(evs_config *config, const char *key, const char *value, evs_error **reterr)
{
    config_slot *slot = find_slot(config, key);
    evs_status status;
    int64_t number = 0;
    double real = 0;
    char *text;

    if (!key || !value)
        return evs__fail(config->ctx, reterr, EVS_ERR_INVALID,
                         key ? "%s: the value of option \"%s\" is NULL"
                             : "%s: the name of an option is NULL",
                         config->what, key);
    if (!slot && !is_extra(config, key))
        return unknown_option(config, key, reterr);
    if (slot) {
        status =
            evs__option_check(config->ctx, config->what, slot->info, value, &number, &real, reterr);
        if (status)
            return status;
    }
    text = evs__strdup(config->ctx, value);
    if (!text)
        return evs__nomem(reterr);
    if (!slot) {
        status = set_extra(config, key, text, reterr);
        if (status) {
            evs__free(config->ctx, text);
            return status;
        }
    } else {
        evs__free(config->ctx, slot->text);
        slot->text = text;
        slot->number = number;
        slot->real = real;
    }
    update_view(config);
    return EVS_OK;
}

evs_status evs__config_set_all(evs_config *config, const evs_options *options, evs_error **reterr)
{
    for (size_t i = 0; options && i < options->count; i++) {
        evs_status status =
            evs__config_set(config, options->pairs[2 * i], options->pairs[2 * i + 1], reterr);
        if (status)
            return status;
    }
    return evs__config_check(config, reterr);
}

evs_status evs__config_check(const evs_config *config, evs_error **reterr)
{
    for (size_t i = 0; i < config->slot_count; i++) {
        const config_slot *slot = &config->slots[i];
        if (slot->info->required && !slot->text && !slot->info->default_value)
            return evs__fail(config->ctx, reterr, EVS_ERR_CONFIG, "%s: option \"%s\" is required",
                             config->what, slot->info->name);
    }
    return EVS_OK;
}

bool evs__config_knows(const evs_config *config, const char *key)
{
    return find_slot(config, key) != NULL;
}

/* ---- showing ---- */

bool evs__config_is_secret(const char *key)
{
    static const char *const parts[] = {"password", "passphrase", "secret",    "credential",
                                        "token",    "jaas",       "user.info", "key.pem"};

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strstr(key, parts[i]))
            return true;
    }
    return false;
}

evs_status evs__config_dump(const evs_config *config, bool all, evs__buffer *out)
{
    for (size_t i = 0; i < config->slot_count; i++) {
        const config_slot *slot = &config->slots[i];
        const char *value = slot->text ? slot->text : all ? slot->info->default_value : NULL;
        if (!value)
            continue;
        if (slot->info->type == EVS_OPTION_SECRET)
            value = "********";
        evs__buffer_printf(out, "%s = %s\n", slot->info->name, value);
    }
    for (size_t i = 0; i < config->extra_count; i++) {
        const config_extra *e = &config->extras[i];
        evs__buffer_printf(out, "%s = %s\n", e->key,
                           evs__config_is_secret(e->key) ? "********" : e->value);
    }
    return out->status;
}

/* ---- reading ---- */

const char *evs_config_string(const evs_config *config, const char *name)
{
    const config_slot *slot = find_slot(config, name);
    if (!slot)
        return NULL;
    return slot->text ? slot->text : slot->info->default_value;
}

int64_t evs_config_int(const evs_config *config, const char *name)
{
    const config_slot *slot = find_slot(config, name);
    return slot ? slot->number : 0;
}

double evs_config_double(const evs_config *config, const char *name)
{
    const config_slot *slot = find_slot(config, name);
    return slot ? slot->real : 0;
}

bool evs_config_bool(const evs_config *config, const char *name)
{
    const config_slot *slot = find_slot(config, name);
    return slot && slot->info->type == EVS_OPTION_BOOL && slot->number != 0;
}

bool evs_config_is_set(const evs_config *config, const char *name)
{
    const config_slot *slot = find_slot(config, name);
    return slot && slot->text;
}

const char *evs_config_extra(const evs_config *config, size_t i, const char **ret_value)
{
    if (!config || i >= config->extra_count)
        return NULL;
    if (ret_value)
        *ret_value = config->extras[i].value;
    return config->extras[i].key + strlen(config->extra_prefix);
}

const evs_options *evs_config_options(const evs_config *config)
{
    return config ? &config->view : NULL;
}
