/*
 * io/redis/command.h: commands as Redis reads them, in a text that grows.
 *
 *   *3\r\n  $3\r\nSET\r\n  $1\r\nk\r\n  $1\r\nv\r\n
 */
#ifndef EVS_IO_REDIS_COMMAND_H
#define EVS_IO_REDIS_COMMAND_H

#include "io/redis/template.h"

/* the beginning of a command of `count` arguments, its name among them; EVS_ERR_NOMEM */
evs_status redis_command_begin(redis_text *t, size_t count);
/* its next argument; `data` is not in `t`; EVS_ERR_NOMEM */
evs_status redis_command_arg(redis_text *t, const char *data, size_t len);

#endif
