/*
 * The last start of the target's own server: its arguments and what it inherited. While it runs
 * /proc tells all of that exactly. Later postmaster.opts has the arguments, until a rewind removes
 * that file, and a file beside it what was kept before the server was stopped.
 */
#ifndef TARGET_LAST_START_H
#define TARGET_LAST_START_H

#include "format/settings.h"

#include <sys/resource.h>

typedef struct LastStart
{
    const char *const *arguments;   /* the program, then its arguments, up to a NULL; NULL: not
                                       known */
    const char *const *environment; /* "NAME=value", up to a NULL; NULL: not known */
    const struct rlimit *limits;    /* RLIM_NLIMITS of them; NULL: not known */
    const char *oom_score_adj;      /* a number; NULL: not known */
    const char *log; /* a regular file that stderr is appended to; NULL: none, or not known */
    const char *const *others; /* arguments of postmaster.opts that name no absolute data directory:
                                  they may be those of the server from which this directory was
                                  copied; NULL: none */
} LastStart;

/*
 * Find it, in the arena. pid: of the server that runs in this data directory; 0: none runs. That
 * process is asked only if it works in the directory and is of our own account. postmaster.opts
 * of a server that does not run counts if its -D is this directory. It cannot fail: what is not
 * known is NULL.
 */
void last_start_find(const char *directory, long pid, Arena *arena, LastStart *start);

/*
 * Append what a start by this process would change for the server that runs, as words with commas
 * between them; nothing if it would change nothing: a control group, unless it is a login
 * session's, and limits that are higher than we may set them.
 */
void last_start_append_changes(long pid, const LastStart *start, Buffer *text);

/* Keep what cannot be found once the server is stopped, and *command with it, in a file that only
 * its owner can read. */
MUST_CHECK bool last_start_save(const char *directory, const LastStart *start, const char *command,
                                Error *error);
void last_start_forget(const char *directory);

/* The command that was kept. NULL: none for this directory, or a server was started since then. In
 * the arena. */
const char *last_start_kept_command(const char *directory, Arena *arena);

/* ---- The arguments, as postgres reads them (postmaster/postmaster.c) ---- */

typedef struct ServerOption
{
    char letter;       /* '-': the value is what follows "--" */
    const char *value; /* of the option; NULL: it has none */
} ServerOption;

/* Take the option at *position of the arguments, which begins at 1 and is moved past it; *flag is
 * where in a group of letters ("-iF") the next one stands, NULL at first. False at the end. */
bool server_option_next(const char *const *arguments, size_t *position, const char **flag,
                        ServerOption *option);

/* The value of the last -D; NULL: none. */
const char *last_start_directory(const LastStart *start);

/* The main configuration file that the arguments name, be it by a -D that is not the data
 * directory; NULL: none. *named_by_directory: by such a -D. In the arena. */
const char *last_start_config_file(const LastStart *start, const char *directory, Arena *arena,
                                   bool *named_by_directory);

/* Set what the arguments set: it wins over all files. */
void last_start_settings(const LastStart *start, Settings *settings);

/* For tests: the arguments in the text of postmaster.opts, or NULL. In the arena. */
const char *const *last_start_parse(Arena *arena, const char *text);

#endif
