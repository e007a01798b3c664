/*
 * The archive as the rewound target's server will ask it, by its restore_command, before it looks
 * in pg_wal. What it finds there may lead it away from the source.
 */
#ifndef WAL_STORE_STANDBY_ARCHIVE_H
#define WAL_STORE_STANDBY_ARCHIVE_H

#include "io/scratch.h"
#include "options.h"
#include "pair/clusters.h"

typedef struct StandbyArchive
{
    const Options *options;
    const Clusters *clusters;    /* with the source's history */
    const char *restore_command; /* of that server; NULL: none, only pg_wal is looked at. It is run
                                    only if it is the target's now, or an option's */
    bool takes_newest_timeline;  /* recovery follows the newest timeline that it finds */
    bool rewound;                /* else the target's pg_wal stays as it is */
    Lsn divergence;              /* of a target that is rewound; LSN_INVALID: not known */
    Scratch *scratch;
} StandbyArchive;

/* Files that the server would take for its history. */
typedef struct MisleadingWal
{
    /* Timelines above the source's, of which it finds the history files; 0: it finds no such
     * file. It follows the last one: findNewestTimeLine of access/transam/timeline.c counts up. */
    Timeline first_newer, last_newer;
    bool newer_in_archive, newer_in_pg_wal;

    /* A file of the archive that has the name of one of the source's, and is another one: the
     * history file of its timeline, or the segment of the divergence with the target's lost WAL,
     * which would be replayed. "": none. */
    char not_sources[WAL_NAME_SIZE];

    /* The server's restore_command, where it was not run; then the archive was not asked. NULL: it
     * was run, or there is none. */
    const char *command_not_run;
} MisleadingWal;

/* An archive that cannot be asked has nothing. */
MisleadingWal standby_archive_look(const StandbyArchive *archive, Arena *arena);

/* Append which history files of newer timelines are where: `"NAME" from the archive`. */
void misleading_wal_append_newer(const MisleadingWal *misleading, Buffer *text);

#endif
