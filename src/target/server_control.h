/*
 * How the server of a data directory is stopped and started: the shell commands for it, and running
 * them.
 */
#ifndef TARGET_SERVER_CONTROL_H
#define TARGET_SERVER_CONTROL_H

#include "target/configuration.h"
#include "target/last_start.h"
#include "options.h"

/*
 * Holds what the commands print, and what a server that pg_ctl starts prints until its logging
 * collector runs. Beside PG_VERSION a name like this is a log's: no rewind copies or removes it.
 */
#define SERVER_CONTROL_LOG "pg_rewind_server.log"

/* A log file, and where it ended. */
typedef struct ServerLog
{
    const char *path; /* or NULL */
    uint64_t end;
} ServerLog;
#define SERVER_LOGS 4 /* the logging collector's, Debian's, the server's stderr, our own */

typedef struct ServerControl
{
    Arena *arena;
    const char *directory; /* the data directory */
    const char *stop;      /* commands, as a person would type them; NULL: not known */
    const char *start;
    LastStart last;
    bool start_is_given;         /* by --start-command: not to be kept */
    bool starts_as_last;         /* with the environment and the limits of the last start */
    const char *log;             /* gets what the commands print */
    const char *server_log;      /* gets what a server that pg_ctl starts prints to stderr */
    const char *cluster_log;     /* of a cluster in Debian's layout, or NULL */
    const char *config_file;     /* --config-file, or that of Debian's layout, or of the server's
                                    last start; NULL: the default */
    bool needs_own_file;         /* `start` needs postgresql.conf of the data directory */
    bool was_started;            /* `start` was run */
    ServerLog logs[SERVER_LOGS]; /* as they were before the last command */
} ServerControl;

/*
 * Find the commands. Those of the options come first. A server that runs as the systemd unit
 * postgresql* is systemctl's, a cluster in Debian's layout pg_ctlcluster's, all others pg_ctl's,
 * of the program that was started last, which starts them as they were started last (LastStart):
 * with the same options, environment, limits and file for stderr. What server_control_save kept is
 * used for a server that is stopped, unless the server was started since then. Fails when pg_ctl is
 * needed and not there. All is in the arena.
 */
MUST_CHECK bool server_control_find(const Target *target, const Options *options, Arena *arena,
                                    ServerControl *control, Error *error);

/*
 * Keep the start command beside PG_VERSION, and the last start: the rewind removes postmaster.opts,
 * and how a server ran is not to be seen any more once it is stopped. The same command, run again
 * after this run was killed, starts the server as it was. One that an option gives is not kept.
 */
MUST_CHECK bool server_control_save(const ServerControl *control, Error *error);

/* Warn if the start command cannot start the server that runs as it runs now. */
void server_control_warn(const ServerControl *control, long pid);

/* Stop the server, and wait at most that long until it is gone. An error where it goes on. */
MUST_CHECK bool server_control_stop(ServerControl *control, int timeout_seconds, Error *error);

/*
 * Run the start command. Succeeds as soon as a server is there, though it may not take connections
 * yet: its recovery takes its time. A command that ends well may leave the server to come some
 * seconds later.
 */
MUST_CHECK bool server_control_start(ServerControl *control, Error *error);

/* Add the last lines of the server's log since the last command to the error's detail: all up to
 * the message that the server ended with, or those that name a failure. */
void server_control_add_log(const ServerControl *control, bool all, Error *error);

/* Return the message that a server which was started ended with, by its log, with detail and hint;
 * NULL: it is not known. In the arena. */
const char *server_control_failure(const ServerControl *control, Arena *arena);

/* For tests: the unit of systemd in the text of /proc/PID/cgroup, into unit; empty: none whose name
 * begins with "postgresql", or a user's. */
void server_control_unit(const char *cgroup, char *unit, size_t size);

/* For tests: the options of a postmaster's arguments, as words for a shell, without the data
 * directory. In the arena. */
char *server_control_options(Arena *arena, const char *const *arguments);

#endif
