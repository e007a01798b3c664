/*
 * The last start of the target's own server: its arguments and what it inherited.
 *
 * While the server runs, /proc shows all of that exactly. Once it has stopped, two files are left:
 * postmaster.opts has the arguments, until a rewind removes that file; a file beside it has what
 * last_start_save kept before the server was stopped.
 */
#ifndef TARGET_LAST_START_H
#define TARGET_LAST_START_H

#include "format/settings.h"
#include "format/versions.h"

#include <sys/resource.h>

/* Name of last_start_save's file in the data directory. It begins with the name of the work
 * directory: a rewind leaves it alone. */
#define LAST_START_FILE "pg_rewind.work.start"

typedef struct LastStart
{
    const char *const *arguments;   /* the program, then its arguments, up to a NULL; NULL: not
                                       known */
    const char *const *environment; /* "NAME=value", up to a NULL; NULL: not known */
    const struct rlimit *limits;    /* RLIM_NLIMITS of them; NULL: not known */
    const char *oom_score_adj;      /* the server's oom_score_adj as text; NULL: not known */
    const char *log; /* a regular file that stderr is appended to; NULL: none, or not known */
    /* Arguments of a postmaster.opts without an absolute path of the data directory, so that they
     * may be those of the server from which this directory was copied; NULL: none. */
    const char *const *others;
} LastStart;

/*
 * Find the last start of the server of this data directory; strings are in the arena. pid: of the
 * server that runs in the directory; 0: none runs. /proc is asked only if that process works in the
 * directory and is of our own account. postmaster.opts of a server that does not run counts if its
 * -D, or the configuration there, names this directory. If the -D of a server that runs leads to
 * neither, the server is asked for it. An unknown start of a Debian cluster counts as one with -D
 * of the cluster's configuration. Cannot fail: what is unknown is NULL.
 */
void last_start_find(const char *directory, const Version *version, long pid, Arena *arena,
                     LastStart *start);

/*
 * Append what the server that runs has now, and would not have if this process started it: a
 * control group other than a login session's, limits that are higher than this process may set
 * them, a lower oom_score_adj, another CPU affinity, NUMA policy, nice value or I/O priority. Words
 * with commas between them; nothing is appended if a start would change nothing.
 */
void last_start_append_changes(long pid, const LastStart *start, Buffer *text);

/* Keep *start and the start command (NULL: none) in a file that only its owner can read: neither
 * can be found any more once the server is stopped. */
MUST_CHECK bool last_start_save(const char *directory, const LastStart *start, const char *command,
                                Error *error);

/* Remove the file of last_start_save, if there is one. An error is ignored. */
void last_start_forget(const char *directory);

/* Remove that file if a server was started since it was written. Only postmaster.opts shows that,
 * so a rewind calls this before its commit: afterwards it removes postmaster.opts, and an outdated
 * file would count as the last start. (Rule I57.) */
MUST_CHECK bool last_start_forget_outdated(const char *directory, Error *error);

/* The start command that last_start_save kept, in the arena. NULL: none was kept for this
 * directory, or a server was started since then. */
const char *last_start_kept_command(const char *directory, Arena *arena);

/* ---- The arguments, as postgres reads them (postmaster/postmaster.c) ---- */

typedef struct ServerOption
{
    char letter;       /* '-': the value is what follows "--" */
    const char *value; /* the option's value; NULL: it has none */
} ServerOption;

/* Take the option at *position of the arguments, and move *position, which begins at 1, past it.
 * *flag is NULL at first; within a group of letters ("-iF") it is where the next letter stands.
 * False at the end. */
bool server_option_next(const char *const *arguments, size_t *position, const char **flag,
                        ServerOption *option);

/* The option's value to be printed: a setting's is masked as setting_masked does it. The value
 * itself if nothing in it is hidden; otherwise in the arena or static. */
const char *server_option_shown(const ServerOption *option, Arena *arena);

/* The value of a variable of the server's environment, by a name that ends with "="; NULL: it is
 * not set, or the environment is not known. */
const char *last_start_variable(const LastStart *start, const char *name);

/* True if pg_ctl has started the server: the environment has what pg_ctl puts there. */
bool last_start_is_by_pg_ctl(const LastStart *start);

/* The value of the last -D, otherwise of PGDATA; NULL: neither is known. */
const char *last_start_directory(const LastStart *start);

/* Make a path absolute that the arguments or the environment of the start have: a relative one
 * leads from the directory in PWD of that environment. In the arena; NULL: nothing is there. */
const char *last_start_path(const LastStart *start, const char *path, Arena *arena);

/* The directory of the configuration in which the server was started, in the arena; NULL: the data
 * directory. Its postgresql.conf names the data directory, and pg_hba.conf, pg_ident.conf and
 * pg_hosts.conf there are the server's unless settings name others. */
const char *last_start_configuration(const LastStart *start, Arena *arena);

/* True if -D or PGDATA leads to this data directory, which is that of the start, or to a directory
 * whose configuration names it. False: the configuration of the start is not known. */
bool last_start_is_known(const LastStart *start, const char *directory, Arena *arena);

/* Take the directory of this main configuration file, an absolute path, for the -D of the start;
 * not if its options name another main configuration file. */
void last_start_use_file(LastStart *start, const char *file, Arena *arena);

/* The main configuration file, in the arena; NULL: postgresql.conf in the data directory. */
const char *last_start_config_file(const LastStart *start, Arena *arena);

/* Add the settings that the arguments set to *settings; they override those of all files. */
void last_start_settings(const LastStart *start, Settings *settings);

/* The port of a server of which no setting or option names one: PGPORT in its environment,
 * otherwise libpq's and PostgreSQL's default. */
const char *last_start_port(const LastStart *start);

/* For tests: the arguments in the text of postmaster.opts, or NULL. In the arena. */
const char *const *last_start_parse(Arena *arena, const char *text);

#endif
