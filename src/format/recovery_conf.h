/*
 * The values of two settings of recovery: the connection string of primary_conninfo, and
 * restore_command.
 */
#ifndef FORMAT_RECOVERY_CONF_H
#define FORMAT_RECOVERY_CONF_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>

/* keyword=value, quoted for a connection string, blank before all but the first. */
void conninfo_append(Buffer *conninfo, const char *keyword, const char *value);

/*
 * The next keyword=value of a connection string (no URI) from *position on, which is moved past it;
 * the value without quotes and backslashes, as libpq's conninfo_parse reads it. False at the end,
 * where *position is at the NUL, and where the text has not that form.
 */
bool conninfo_next(const char **position, Buffer *keyword, Buffer *value);

/*
 * restore_command with %f file name, %p path, %r name of the segment with the last restartpoint's
 * redo, %% expanded. Anything else after % is an error worded as in PostgreSQL 16 (percentrepl.c).
 */
MUST_CHECK bool restore_command_expand(const char *command, const char *file_name, const char *path,
                                       const char *redo_file_name, Buffer *expanded, Error *error);

#endif
