/*
 * base/config.h: the one configuration table mechanism. A table is an array of evs_option_info rows
 * (connector.h) that ends with name NULL; a config is checked values for one or several tables. The
 * same rows set, validate ("did you mean"), dump and make the reference page (scripts/reference).
 */
#ifndef EVS_BASE_CONFIG_H
#define EVS_BASE_CONFIG_H

#include "base/buffer.h"

/*
 * Make a config. `what` names its owner in errors: `source "kafka"` (copied). Keys with the prefix
 * `extra_prefix` (e.g. "kafka.") that no table has are kept as pass-through; NULL: none are. Tables
 * are borrowed until unref; a NULL one is passed over. EVS_ERR_CONFIG: a default is not valid.
 */
evs_status evs__config_new(evs_context *ctx,
                           const char *what,
                           const evs_option_info *const *tables,
                           size_t table_count,
                           const char *extra_prefix,
                           evs_config **ret,
                           evs_error **reterr);
evs_config *evs__config_unref(evs_config *config);
/* EVS_ERR_CONFIG: `source "kafka": unknown option "topik" (did you mean "topic"?)`, `option "x":
 * "y" is not a duration (250ms, 10s, ...)`, out of range, enum values listed */
evs_status
evs__config_set(evs_config *config, const char *key, const char *value, evs_error **reterr);
/* all pairs; a NULL value is EVS_ERR_INVALID naming the key; then required options are checked */
evs_status evs__config_set_all(evs_config *config, const evs_options *options, evs_error **reterr);
evs_status evs__config_check(const evs_config *config, evs_error **reterr);
/* whether some table has the option */
bool evs__config_knows(const evs_config *config, const char *key);
/* whether a pass-through key looks like one whose value must not be shown ("sasl.password") */
bool evs__config_is_secret(const char *key);
/* "key = value" lines of what was set (all: with defaults), secrets as "********" */
evs_status evs__config_dump(const evs_config *config, bool all, evs__buffer *out);
/* closest of `count` names within an edit distance of a third of its length, or NULL */
const char *evs__did_you_mean(const char *word, const char *const *names, size_t count);
/* one value by a row's rules without a config; for tables checked elsewhere. ret_number: int,
 * duration, size, bool */
evs_status evs__option_check(evs_context *ctx,
                             const char *what,
                             const evs_option_info *info,
                             const char *value,
                             int64_t *ret_number,
                             double *ret_double,
                             evs_error **reterr);

#endif
