/*
 * What -R writes, and what we read of recovery configuration.
 */
#ifndef FORMAT_RECOVERY_CONF_H
#define FORMAT_RECOVERY_CONF_H

#include "base/buffer.h"
#include "base/error.h"
#include "format/versions.h"

#include <stdbool.h>

/* keyword=value, quoted for a connection string, blank before all but the first. */
void conninfo_append(Buffer *conninfo, const char *keyword, const char *value);

/*
 * The next keyword=value of a connection string (no URI) from *position on, which is moved past it;
 * the value without quotes and backslashes, as libpq's conninfo_parse reads it. False at the end,
 * where *position is at the NUL, and where the text has not that form.
 */
bool conninfo_next(const char **position, Buffer *keyword, Buffer *value);

/* "name = 'value'\n" with quotes and backslashes doubled, as for postgresql.auto.conf. */
void setting_append(Buffer *text, const char *name, const char *value);

/*
 * New content of postgresql.auto.conf: old content, without earlier lines of that setting that
 * stand alone, followed by the setting. A final newline is added where missing.
 */
void setting_replace(const char *old, size_t old_size, const char *name, const char *value,
                     Buffer *text);

/* recovery.conf of 10 and 11: standby_mode, primary_conninfo, recovery_target_timeline = 'latest'.
 */
void recovery_conf_make(const char *conninfo, Buffer *text);

/*
 * A setting's value from recovery.conf or postgresql.conf syntax (name, optional =, quoted or not,
 * comments; last one wins). value gets the unquoted text, and is left alone when there is none.
 * Lines that are no setting are skipped.
 */
bool setting_find(const char *text, size_t size, const char *name, Buffer *value);

/*
 * The next setting of a text from *position on, which is moved past its line: name in lower case,
 * unquoted value. False: there is none before end.
 */
bool setting_next(const char **position, const char *end, Buffer *name, Buffer *value);

/*
 * restore_command with %f file name, %p path, %r name of the segment with the last restartpoint's
 * redo, %% expanded. Anything else after % is an error worded as in PostgreSQL 16 (percentrepl.c).
 */
MUST_CHECK bool restore_command_expand(const char *command, const char *file_name, const char *path,
                                       const char *redo_file_name, Buffer *expanded, Error *error);

#endif
