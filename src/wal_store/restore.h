/*
 * The restore command: the server's way to ask an archive for a file.
 */
#ifndef WAL_STORE_RESTORE_H
#define WAL_STORE_RESTORE_H

#include "base/error.h"

typedef struct RestoreCommand
{
    const char *command;            /* with %f, %p, %r and %%, as in restore_command */
    const char *data_directory;     /* where it runs, as the server's does */
    const char *redo_file_name;     /* replaces %r; NULL: the command may not contain %r */
    const char *const *environment; /* environment of the command; NULL: ours */
    int retry_timeout_seconds;      /* how long a command that fails is run again; 0: not at all */
    int limit_seconds; /* time after which a command is ended, which is an error; 0: no limit */
    bool is_unasked;   /* the command comes from the target's configuration, not from an option: its
                          output is shown afterwards, as details that name the file, or not at all in
                          a look that prints nothing */
} RestoreCommand;

/* The time limit for a command that no option names. Without a limit a command that waits for its
 * file to appear (pg_standby) would wait indefinitely. */
#define UNASKED_COMMAND_SECONDS 120

#define RESTORE_OUTCOME_SIZE 256

/*
 * Run the command to write the archive's file `name` to `path`; no file must exist there, unless it
 * is a file in memory. *ended_well: the exit status was 0, so the file may exist. A status of 1 to
 * 125 means that the archive does not have the file; outcome, of RESTORE_OUTCOME_SIZE bytes,
 * describes how the command ended.
 *
 * Any other status, or a signal, means that the archive could not be asked: the command is run
 * again some times, after growing pauses, but not later than retry_timeout_seconds after the first
 * time; then `"restore_command" failed: %s` is the error. After any other error `outcome` is "".
 * Statuses 126 and 127, by which the shell reports that it could run nothing, fail at once. A file
 * that one attempt has left at `path` is removed before the next.
 */
MUST_CHECK bool restore_run(const RestoreCommand *restore, const char *name, const char *path,
                            bool *ended_well, char *outcome, Error *error);

#endif
