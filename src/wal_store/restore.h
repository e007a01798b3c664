/*
 * The restore command: the server's way to ask an archive for a file.
 */
#ifndef WAL_STORE_RESTORE_H
#define WAL_STORE_RESTORE_H

#include "base/error.h"

typedef struct RestoreCommand
{
    const char *command;        /* with %f, %p, %r and %%, as in restore_command */
    const char *data_directory; /* where it runs, as the server's does */
    const char *redo_file_name; /* for %r; NULL: there may be none */
    int retry_timeout_seconds;  /* 0: a command that fails is not run again */
    int limit_seconds; /* a command that takes longer is ended, an error; 0: there is no limit */
    bool is_unasked;   /* no option names it: what it prints is shown afterwards, as details that
                          name the file, or not at all in a look that prints nothing */
} RestoreCommand;

/* The limit for a command that no option names: one that waits for its file to appear (pg_standby)
 * would wait indefinitely. */
#define UNASKED_COMMAND_SECONDS 120

#define RESTORE_OUTCOME_SIZE 256

/*
 * Have the command write the archive's file `name` to `path`, where nothing is, or a file in
 * memory. *ended_well: its status was 0, the file may be there. A status of 1 to 125 says that the
 * archive has no such file; outcome, of RESTORE_OUTCOME_SIZE bytes, says how it ended.
 *
 * Anything above, or the end by a signal, says that the archive could not be asked: it is tried
 * again some times, after growing pauses, but not longer than retry_timeout_seconds after the first
 * time; then `"restore_command" failed: %s` is the error. Not so 126 and 127, by which the shell
 * says that there is nothing it could run. What a try has left at `path` is removed before the
 * next.
 */
MUST_CHECK bool restore_run(const RestoreCommand *restore, const char *name, const char *path,
                            bool *ended_well, char *outcome, Error *error);

#endif
