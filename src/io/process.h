/*
 * Run a program and collect its output (postgres -C, postgres -V), or a shell command
 * (restore_command, what starts and stops a server).
 *
 * A child's stdin is /dev/null, its stdout is collected or goes to stderr or to a file: our own
 * stdout stays clean.
 */
#ifndef IO_PROCESS_H
#define IO_PROCESS_H

#include "base/buffer.h"

/* Run arguments[0] (NULL-terminated list, no shell); stdout into output (at most 1 MiB), stderr to
 * ours or /dev/null. */
MUST_CHECK bool process_run(const char *const *arguments, bool quiet, Buffer *output,
                            int *wait_status, Error *error);

/* The environment of a command. */
typedef enum ProcessEnvironment
{
    PROCESS_AS_OURS,
    PROCESS_WITHOUT_LIBPQ /* for a server: our connections' passwords and settings are not its own
                           */
} ProcessEnvironment;

/*
 * Run through /bin/sh -c. *wait_status is waitpid's. A command that takes longer than limit_seconds
 * (0: no limit) is asked to end, and killed if it does not, which is an error. stdout is pointed at
 * stderr. With a log, both are appended to that file, which is created with file_mode(): then what
 * the command leaves running holds no descriptor of ours, so that our callers see the end of our
 * output.
 */
MUST_CHECK bool process_shell(const char *command, ProcessEnvironment environment, const char *log,
                              int limit_seconds, int *wait_status, Error *error);

/* "child process exited with exit code 1" and the like, into out. */
void process_describe(int wait_status, char *out, size_t size);

/* The absolute path of this program's own directory, appended. */
MUST_CHECK bool process_own_directory(Buffer *directory, Error *error);

#endif
