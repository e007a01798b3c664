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
    const Settings *options; /* that the server had on the command line of its last start, and will
                                have at its next one as far as is known; NULL: not known */
    bool group_access;       /* PGDATA is 0750: modes and umask follow */
    Control control;
    Timeline timeline;     /* pg_control's, or a later one that this standby has WAL of */
    bool has_backup_label; /* a valid one */
    Lsn label_redo;
    Lsn label_checkpoint;
    bool label_of_base_backup; /* also of an exclusive one: its end is known to the WAL alone */
    bool label_is_exclusive;   /* one that a primary has in its own directory while it is copied */
    bool has_own_pid_file;     /* pid_file_is_own */
} Target;

/*
 * Find out where PGDATA is, look at its permissions and set modes and umask from them. After a
 * failure target->directory is what was given. Errors: the contract's `could not
 * read permissions of directory "%s": %m`.
 */
MUST_CHECK bool target_open(Arena *arena, const char *directory, Target *target, Error *error);

/* Read pg_control, PG_VERSION (must fit it) and backup_label. */
MUST_CHECK bool target_read(Target *target, Error *error);

/*
 * Read a page of a relation, of control.block_size bytes, into page. *found is false where its
 * files end before. file: see open_file_init.
 */
MUST_CHECK bool target_read_page(const Target *target, OpenFile *file, const RelationId *relation,
                                 BlockNumber block, uint8_t *page, bool *found, Error *error);

/* By pg_control: the role in which its server ran last. */
bool target_was_primary(const Target *target);
bool target_was_standby(const Target *target);

/* By pg_control: its server ran last as a standby, or did so before its signal file was deleted and
 * it failed in its recovery. A primary that failed in its recovery has no minRecoveryPoint. */
bool target_may_be_standby(const Target *target);

/* ---- written_since_stop.c ---- */

/* The files of relations that a program wrote to. */
typedef enum WriteExtent
{
    WRITES_OF_SOME, /* pg_checksums of 15 and later writes only pages whose checksum does not fit */
    WRITES_OF_ALL   /* every file of the databases: pg_checksums --enable does, as a rule */
} WriteExtent;

/*
 * *written: that was done since the server was shut down; false unless it was. The files' times are
 * compared with that of the WAL segment that has the last record, or where that is gone of the
 * checkpoint. With WRITES_OF_ALL one older file is enough: as a rule the first one that is looked
 * at. A file that begins with a page that was never used does not count there.
 */
MUST_CHECK bool target_written_since_stop(const Target *target, const WalShape *shape,
                                          WriteExtent which, bool *written, Error *error);

/* ---- server_program.c ---- */

/* The path of the program in a directory that nobody has named by an option; NULL: it is not there,
 * or others can have put it there, which is a warning. */
char *target_program_in(Arena *arena, const char *name, const char *directory);

/*
 * Find a server program of that major version, any minor one: in bindir, which the user has named,
 * or if that is NULL beside pg_rewind, in PATH, in the directories of distributions, as
 * target_program_in. *program is NULL when it was not found, which is an error only in bindir.
 */
MUST_CHECK bool target_find_program(Arena *arena, const char *name, const Version *version,
                                    const char *bindir, char **program, Error *error);

/*
 * Find restore_command of the target's configuration: by `postgres -C` (12 and later) of a program
 * that target_find_program finds; where it finds none, by reading the configuration files, which is
 * a warning if the user has asked for the command (-c). Before 12 from recovery.conf, else
 * recovery.done. Not set: the contract's error.
 */
MUST_CHECK bool target_restore_command(Arena *arena, const Target *target, const Options *options,
                                       char **command, Error *error);

/* ---- neighbours.c ---- */

/*
 * Looks for other clusters on this machine that use a directory which the target takes for its own:
 * its pg_wal or the place of a tablespace, where these are links. A data directory that was copied
 * with its links is such a target: what is written there is written to the other cluster.
 *
 * Looks, by device and inode, at the source's directory (NULL: it is a server) and at the data
 * directories in which processes of this machine run. An error if one shares a directory with the
 * target. What may not be looked at (another user's processes, other containers) is passed over.
 * (Rule C80.)
 */
MUST_CHECK bool neighbours_check(const char *target_directory, const char *source_directory,
                                 Error *error);

#endif
