/* Stop and start the server of a data directory: find the shell commands for that, and run them. */
#ifndef TARGET_SERVER_CONTROL_H
#define TARGET_SERVER_CONTROL_H

#include "target/configuration.h"
#include "target/last_start.h"
#include "options.h"

/* Log file in the data directory: holds what the commands print, and what a server that pg_ctl
 * starts prints until its logging collector runs. A file at the top of a data directory whose name
 * ends with .log counts as a log: no rewind copies or removes it. */
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
    const char *masked_start; /* `start` with values of settings hidden; NULL: it has none to hide.
                                 For printing: server_control_start_shown */
    LastStart last;
    bool start_is_given; /* `start` is --start-command's: server_control_save does not keep this
                            command */
    bool starts_as_last; /* `start` is run with the limits of the last start */
    const char *const *environment; /* environment of `start` and of the server that it starts, as
                                       in its last start; NULL: `start` has ours, and that of the
                                       server is not known: pg_ctlcluster gives it none, systemctl
                                       its unit's */
    const char *log;         /* path of SERVER_CONTROL_LOG, which gets what the commands print */
    const char *server_log;  /* path of the file that gets the server's stderr after a start by
                                pg_ctl: that of its last start, or `log` */
    const char *cluster_log; /* path of the log of a cluster in Debian's layout; NULL: it has
                                another layout */
    const char *config_file; /* --config-file, or that of the server's last start, or of
                                Debian's layout; NULL: the default */
    bool needs_own_file;     /* `start` needs postgresql.conf of the data directory */
    bool was_started;        /* `start` was run */
    const char *service;     /* systemd's service to whose control group the server would belong
                                after `start`, and did not before; NULL: none */
    ServerLog logs[SERVER_LOGS]; /* log files that a server may write to, with their ends before the
                                    last command */
} ServerControl;

/*
 * Find the commands; all strings are in the arena. The options' commands come first. Otherwise: a
 * server that runs alone as the systemd unit postgresql* is stopped and started by systemctl, a
 * cluster in Debian's layout by pg_ctlcluster, with the options and limits of its last start, if
 * that can start it as it was, all others by the pg_ctl of the program that was started last, with
 * the options, environment, limits and file for stderr of that start (LastStart). For a server that
 * is stopped, the last start that server_control_save kept is used, and the start command if that
 * is systemctl's, unless the server was started since then. Fails if pg_ctl is needed and not found.
 */
MUST_CHECK bool server_control_find(const Target *target, const Options *options, Arena *arena,
                                    ServerControl *control, Error *error);

/*
 * Keep the start command and the last start in a file beside PG_VERSION: the rewind removes
 * postmaster.opts, and once the server is stopped nothing shows how it ran. If this run is killed,
 * the same command, run again, then starts the server as it was. Of a start command that an
 * option gives only the last start is kept, whose main configuration file the command may use.
 * (Rules I57, S41.)
 */
MUST_CHECK bool server_control_save(const ServerControl *control, Error *error);

/*
 * The start command to be printed; NULL: not known. If the last start's options have secrets
 * (setting_masked), it is no command for a shell: they are hidden, and a remark says so, and where
 * the whole command is kept. A command that an option gives is shown whole. In the arena.
 */
const char *server_control_start_shown(const ServerControl *control);

/* Warn if the start command cannot start the server that runs as it runs now. */
void server_control_warn(const ServerControl *control, long pid);

/* Warn if systemd will stop the server that the start command starts, since a service ends where
 * this process runs. (Rule I62.) */
void server_control_warn_of_service(const ServerControl *control);

/* Stop the server whose process is pid, and wait at most timeout_seconds, at least one, until that
 * process is gone. An error if it continues to run. *successor: the process of a server that
 * another program has started since; 0: none. */
MUST_CHECK bool server_control_stop(ServerControl *control, long pid, int timeout_seconds,
                                    long *successor, Error *error);

/* Run the start command. Succeeds as soon as a server's process exists, which may not take
 * connections yet: it is in recovery. A command with exit status 0 may return before the server
 * exists, so this waits some seconds (START_SECONDS in server_control.c) for the process. */
MUST_CHECK bool server_control_start(ServerControl *control, Error *error);

/* Add the last lines that the server has logged since the last command to the error's detail. all:
 * all lines up to the message with which the server exited; otherwise only lines that report a
 * failure. */
void server_control_add_log(const ServerControl *control, bool all, Error *error);

/* Return the message with which a server that was started exited, with detail and hint, as its log
 * has it, in the arena; NULL: not known. */
const char *server_control_failure(const ServerControl *control, Arena *arena);

/* For tests: set unit to the name, beginning with "postgresql", of the systemd unit in the text of
 * /proc/PID/cgroup; to "" if the text has none, or if the unit is one of a user's systemd. */
void server_control_unit(const char *cgroup, char *unit, size_t size);

/* For tests: set service to the name of the systemd service whose control group the text of
 * /proc/PID/cgroup names, of the system or of a user; to "" if it is no service's, or one below. */
void server_control_service(const char *cgroup, char *service, size_t size);

/* For tests: the options of a postmaster's arguments, as words for a shell, without the data
 * directory. In the arena. without: NULL, or the value of a -c that is left out. hides: NULL, or
 * the options are to be printed: set to true if values of settings are hidden in them. */
char *server_control_options(Arena *arena, const char *const *arguments, const char *without,
                             bool *hides);

#endif
