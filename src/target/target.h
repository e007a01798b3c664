/*
 * The target: its state, settings, directories. Reading only.
 */
#ifndef TARGET_TARGET_H
#define TARGET_TARGET_H

#include "format/relpath.h"
#include "format/settings.h"
#include "io/open_file.h"
#include "options.h"
#include "source/source.h"

typedef struct Target
{
    const char *directory;   /* absolute, without links: the only spelling that is used */
    const char *config_file; /* --config-file, or where the server's main configuration file was
                                found outside of the directory; NULL: it is in there */
    const char *last_config_file; /* main configuration file of the server's last start, probably
                                     that of its next start as well; NULL: it is config_file, or
                                     not known */
    bool main_is_doubtful;   /* the last start named a main configuration file that does not exist
                                here, or may be another server's, so that the file above may not be
                                that of the next start */
    const Settings *options; /* settings on the command line of the server's last start, probably
                                those of its next start as well; NULL: not known */
    const char *port;        /* last_start_port */
    const char *const *environment; /* environment of the server's last start, "NAME=value", up to a
                                       NULL, probably that of its next start as well; NULL: not
                                       known */
    bool group_access; /* PGDATA has mode 0750: so do files and directories that are created */
    Control control;
    Timeline timeline;   /* timeline of pg_control, or a later one of which this standby has WAL */
    bool has_wal_of_two; /* timeline is pg_control's; pg_wal has a later one that follows it, too,
                            but not certainly by this server's replay */
    bool has_backup_label;     /* backup_label exists and is valid: the next four fields are set */
    Lsn label_redo;            /* START WAL LOCATION of backup_label: where recovery starts */
    Lsn label_checkpoint;      /* CHECKPOINT LOCATION: start of the checkpoint record */
    bool label_of_base_backup; /* backup_label is of any base backup, exclusive or not, rather than
                                  of a rewind: the WAL alone knows where the backup ends */
    bool label_is_exclusive; /* label_of_base_backup, and the backup is an exclusive one: a primary
                                has this file in its own directory while the backup runs */
    bool has_original_pid_file; /* pid_file_is_original */
    bool is_unsynced; /* unsynced_is_noted: a file may be lost, and only comparing all blocks finds
                         it */
    bool configuration_is_new; /* an interrupted rewind is pending, or this run has finished it: the
                                  configuration may be the source's, whose commands are not run */
} Target;

/* Find the target's absolute path, read its permissions, and set modes for new files and umask from
 * them. After a failure target->directory is the path that was given. Error (contract): `could not
 * read permissions of directory "%s": %m`. */
MUST_CHECK bool target_open(Arena *arena, const char *directory, Target *target, Error *error);

/* Read pg_control, PG_VERSION (must fit it) and backup_label. */
MUST_CHECK bool target_read(Target *target, Error *error);

/* Read a page of a relation's main fork, of control.block_size bytes, into page. *found is false if
 * the relation's files end before that page. file: see open_file_init. */
MUST_CHECK bool target_read_page(const Target *target, OpenFile *file, const RelationId *relation,
                                 BlockNumber block, uint8_t *page, bool *found, Error *error);

/* True if the server ran last in this role, by pg_control: exactly one of the two is true. Crash
 * recovery counts as a primary's; see target_may_have_been_standby. */
bool target_was_primary(const Target *target);
bool target_was_standby(const Target *target);

/* True if the server may have run last as a standby, by pg_control: target_was_standby, or a crash
 * recovery with a minRecoveryPoint, as a standby has it that failed in its recovery after its
 * signal file was deleted. A primary that failed in its recovery has one only if it was promoted
 * and had not ended a checkpoint since. */
bool target_may_have_been_standby(const Target *target);

/* True if the server ran last as a primary and was not shut down cleanly: then pg_control does not
 * tell how new the pages are. */
bool target_crashed_as_primary(const Target *target);

/* True if the server ran as a primary, crashed, and was started since, but has not ended its crash
 * recovery: its last WAL is from before that start, and pg_checksums may have been run in between
 * or since. (Rule U14.) */
bool target_is_in_crash_recovery(const Target *target);

/* True if target_crashed_as_primary, or if the server may have been started as a standby since, or
 * stopped in its crash recovery, by pg_control: then pages may be torn, and newer than
 * minRecoveryPoint. With a backup_label recovery has not begun. (Rule C108.) */
bool target_may_have_pages_of_crash(const Target *target);

/* True if target_may_have_pages_of_crash, and the WAL does not show that the server is a standby.
 * recovery_end: see control_is_like_promoted. */
bool target_is_like_crashed(const Target *target, Lsn recovery_end);

/* True if pages of a server that ran last as a primary may be newer than pg_control's
 * minRecoveryPoint: a promotion sets it, and the first checkpoint after that removes it. A server
 * that starts as a standby takes such pages for consistent before it has replayed its WAL, whose
 * end is wal_end. recovery_end: see control_is_like_promoted. (Rules C105, C108.) */
bool target_has_pages_after_minimum(const Target *target, Lsn recovery_end, Lsn wal_end);

/* ---- written_since_stop.c ---- */

/* The files of relations that a program, run while the server was stopped, would have written to.
 */
typedef enum WriteExtent
{
    WRITES_OF_SOME, /* pg_checksums of 15 and later writes only pages whose checksum does not fit */
    WRITES_OF_ALL   /* every file of the databases: pg_checksums --enable does, as a rule */
} WriteExtent;

/*
 * Set *written if a program wrote to these files since the server was shut down, by the files'
 * times; false for a server that was not shut down, unless target_is_in_crash_recovery. The files'
 * times are compared with that of the WAL segment that holds the last checkpoint, or, if that
 * segment is gone, with the time of the checkpoint. WRITES_OF_ALL: one file that was not written
 * since decides, as a rule the first one that is looked at; a file whose first page was never used
 * counts as written, because pg_checksums skips such pages.
 */
MUST_CHECK bool target_written_since_stop(const Target *target, const WalShape *shape,
                                          WriteExtent which, bool *written, Error *error);

/* ---- server_program.c ---- */

/* The path of the program in a directory that no option names. NULL: the program does not exist
 * there, or other users could have put it there; the latter is a warning. */
char *target_program_in(Arena *arena, const char *name, const char *directory);

/*
 * Find a server program of that major version, any minor one. If bindir, which an option names, is
 * not NULL, only there; otherwise beside pg_rewind, in PATH, and in the directories of
 * distributions, as target_program_in. *program is NULL if the program was not found; an error only
 * if bindir is given.
 */
MUST_CHECK bool target_find_program(Arena *arena, const char *name, const Version *version,
                                    const char *bindir, char **program, Error *error);

/*
 * Find restore_command of the target's configuration, in the arena. In 12 and later: by `postgres
 * -C` of a program that target_find_program finds; without one, by reading the configuration
 * files, which is a warning if the user has asked for the command (-c). Before 12: from
 * recovery.conf, otherwise recovery.done. An error (contract) if the setting is absent or empty.
 */
MUST_CHECK bool target_restore_command(Arena *arena, const Target *target, const Options *options,
                                       char **command, Error *error);

/* ---- neighbours.c ---- */

/*
 * Look for other clusters on this machine that use a directory which the target takes for its own:
 * its pg_wal or the location of a tablespace, where these are links. Danger: a data directory that
 * was copied with its links shares them, and what a rewind writes there destroys the other cluster.
 *
 * Directories are compared by device and inode: with those of the source's directory (NULL: the
 * source is a server), and of data directories in which processes of this machine run. An error if
 * one is shared; a location may hold tablespaces of clusters of several versions, each in a
 * directory of its own. A process or directory that we may not inspect (another user's, another
 * container's) is skipped. (Rules C80, C101.) Uses the target's directory and catalog version.
 */
MUST_CHECK bool neighbours_check(const Target *target, const char *source_directory, Error *error);

#endif
