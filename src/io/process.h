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
 * pg_rewind. Without that wrapper this changes nothing.
 */
#define PROCESS_KEPT_PREFIX "PG_REWIND_KEPT_" /* packages/portable_start.c */
void process_begin(void);

/* Run arguments[0] (NULL-terminated list, no shell); stdout into output (at most 1 MiB), stderr to
 * ours or /dev/null. */
MUST_CHECK bool process_run(const char *const *arguments, bool quiet, Buffer *output,
                            int *wait_status, Error *error);

/* The things that a server inherits from the process that starts it. */
typedef struct ServerSurroundings
{
    const char *const *environment; /* "NAME=value", up to a NULL; NULL: ours, without what libpq
                                       reads: our connections' passwords and settings */
    const struct rlimit *limits;    /* RLIM_NLIMITS soft ones, of which those are set that our hard
                                       ones allow; NULL: ours */
    const char *oom_score_adj;      /* the number, unless it is less than ours, which only root may
                                       set; NULL: ours */
    bool at_terminal;               /* the command may ask a person: it stays at our terminal */
} ServerSurroundings;

typedef struct ShellCommand
{
    const char *text;
    const char *log;                  /* stdout and stderr are appended to this file, which is
                                         created with file_mode(); NULL: both are our stderr */
    int limit_seconds;                /* 0: none */
    const ServerSurroundings *server; /* the command starts a server; NULL: it does not */
} ShellCommand;

/*
 * Run through /bin/sh -c. *wait_status is waitpid's. A command that takes longer than its limit is
 * asked to end, and killed if it does not, which is an error. With a log, what the command leaves
 * running holds no descriptor of ours, so that our callers see the end of our output.
 *
 * A command that starts a server has a session of its own: no signal that reaches us, from a
 * terminal or by our process group, reaches that server. When we are asked to stop, the command
 * alone is asked to end, not what it has started.
 */
MUST_CHECK bool process_shell(const ShellCommand *command, int *wait_status, Error *error);

/* "child process exited with exit code 1" and the like, into out. */
void process_describe(int wait_status, char *out, size_t size);

/* The absolute path of this program's own directory, appended; where the portable directory's
 * loader has started it, that of the portable directory. */
MUST_CHECK bool process_own_directory(Buffer *directory, Error *error);

#endif
