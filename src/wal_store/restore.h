/*
 * The restore command: the server's way to ask an archive for a file.
 */
#ifndef WAL_STORE_RESTORE_H
#define WAL_STORE_RESTORE_H

#include "base/error.h"

#include <stdbool.h>

typedef struct RestoreCommand
{
    const char *command;        /* with %f, %p, %r and %%, as in restore_command */
    const char *data_directory; /* where it runs, as the server's does */
    const char *redo_file_name; /* for %r; NULL: there may be none */
    int retry_timeout_seconds;  /* 0: what fails is not tried again */
    int limit_seconds;          /* a command that takes longer is ended, an error; 0: none is */
} RestoreCommand;

/* The limit for a command that no option names: one that waits for its file to appear (pg_standby)
 * would wait indefinitely. */
#define UNASKED_COMMAND_SECONDS 120

/*
 * Have the command write the archive's file `name` to `path`. *ended_well: its status was 0, the
 * file may be there. A status of 1 to 125 says that the archive has no such file.
 *
 * Anything above, or the end by a signal, says that the archive could not be asked: it is tried
 * again some times, after growing pauses, but not longer than retry_timeout_seconds after the first
 * time; then `"restore_command" failed: %s` is the error. Not so 126 and 127, by which the shell
 * says that there is nothing it could run. What a try has left at `path` is removed before the
 * next.
 */
MUST_CHECK bool restore_run(const RestoreCommand *restore, const char *name, const char *path,
                            bool *ended_well, Error *error);

/* Have the command write it once, whatever is at `path`; not tried again. what (256 bytes) says how
 * it ended. */
MUST_CHECK bool restore_try(const RestoreCommand *restore, const char *name, const char *path,
                            bool *ended_well, char *what, Error *error);

#endif
