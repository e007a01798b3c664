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

#include <sys/resource.h>

/*
 * Called first, before another thread runs. In the portable directory a wrapper has started the C
 * library's loader of lib, and that has started us. What the loader must not see of the caller's
 * environment, as LD_PRELOAD, has PROCESS_KEPT_PREFIX before its name: put it back, for the
 * programs that we run. Take the tables of encodings from lib/gconv, and call the process
 * pg_rewind. Without that wrapper only variables with that prefix, if there are any, change.
 */
#define PROCESS_KEPT_PREFIX "PG_REWIND_KEPT_" /* packages/portable_start.c */
void process_begin(void);

/* Run arguments[0] (NULL-terminated list, no shell). stdout goes into output (more than 1 MiB is an
 * error), stderr to ours, or to /dev/null if quiet. */
MUST_CHECK bool process_run(const char *const *arguments, bool quiet, Buffer *output,
                            int *wait_status, Error *error);

/* The things that a server inherits from the process that starts it. */
typedef struct ServerSurroundings
{
    const struct rlimit *limits; /* RLIM_NLIMITS soft limits; those that our hard limits allow are
                                    set; NULL: our own */
    const char *oom_score_adj; /* the value to set, ignored if it is less than ours, which only root
                                  may set; NULL: ours */
    bool at_terminal; /* the command may ask the user a question, so it keeps our terminal */
} ServerSurroundings;

typedef struct ShellCommand
{
    const char *text;
    const char *log;   /* stdout and stderr are appended to this file, which is created with
                          file_mode(); NULL: both are our stderr */
    int limit_seconds; /* time limit; 0: no limit */
    /* "NAME=value", up to a NULL. NULL: our own environment; of a command that starts a server
     * without the variables that libpq reads, which may hold passwords and settings of our
     * connections. */
    const char *const *environment;
    const ServerSurroundings *server; /* the command starts a server; NULL: it does not */
} ShellCommand;

/*
 * Run a command by /bin/sh -c. *wait_status is waitpid's. A command that takes longer than its
 * limit is asked to exit, and killed if it does not, which is an error. With a log, processes that
 * the command leaves running hold no descriptor of ours, so that our callers see the end of our
 * output.
 *
 * A command that starts a server gets a session for itself: otherwise a signal that reaches us,
 * from a terminal or by our process group, would stop that server. When this process is asked to
 * stop, only the command is asked to exit, not what it has started.
 */
MUST_CHECK bool process_shell(const ShellCommand *command, int *wait_status, Error *error);

/* "child process exited with exit code 1" and the like, into out. */
void process_describe(int wait_status, char *out, size_t size);

/* The absolute path of this program's own directory, appended; where the portable directory's
 * loader has started it, that of the portable directory: *by_loader, which may be NULL. */
MUST_CHECK bool process_own_directory(Buffer *directory, bool *by_loader, Error *error);

#endif
