/* The archive as the rewound target's server will ask it, by its restore_command, before looking
 * into pg_wal. Files found there may lead that server away from the source. */
#ifndef WAL_STORE_STANDBY_ARCHIVE_H
#define WAL_STORE_STANDBY_ARCHIVE_H

#include "io/scratch.h"
#include "options.h"
#include "pair/clusters.h"

typedef struct StandbyArchive
{
    const Options *options;
    const Clusters *clusters;    /* with the source's history */
    const char *restore_command; /* restore_command of that server, run only if it is the target's
                                    present one or an option's; NULL: the server has none, so only
                                    pg_wal is examined */
    const SourcePosition *position; /* position of the source */
    bool takes_newest_timeline;     /* recovery follows the newest timeline that it finds */
    bool rewound;                   /* the target is rewound; false: its pg_wal stays as it is */
    Lsn divergence; /* divergence of a target that is rewound; LSN_INVALID: not known */
    Scratch *scratch;
} StandbyArchive;

/* Files that the server would take for its history. */
typedef struct MisleadingWal
{
    /* Range of timelines above the source's whose history files the server will find, and that the
     * source cannot follow; 0: none. The server follows the last one: findNewestTimeLine of
     * access/transam/timeline.c counts up. */
    Timeline first_newer, last_newer;
    bool newer_in_archive, newer_in_pg_wal;

    /* Name of an archived file that has a source file's name but another content: the history file
     * of the source's timeline, or the segment of the divergence with the target's lost WAL, which
     * the server would replay. "": the archive has no such file. */
    char conflicting_file[WAL_NAME_SIZE];

    /* The server's restore_command if it was not run, so that the archive was not asked; NULL: it
     * was run, or the server has none. */
    const char *command_not_run;

    /* The failure of the server's restore_command, if the server ends with such a failure: a status
     * above 125, or a signal. NULL: the command did not fail so, or was not run. (Rule S43.) */
    const char *command_failure;
} MisleadingWal;

/* Look for files that would mislead the server. Cannot fail: an archive that cannot be asked counts
 * as empty. */
MisleadingWal standby_archive_look(const StandbyArchive *archive, Arena *arena);

/* Append which history files of newer timelines exist and where: `"NAME" from the archive`. */
void misleading_wal_append_newer(const MisleadingWal *misleading, Buffer *text);

#endif
