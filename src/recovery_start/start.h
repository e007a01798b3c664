/*
 * The positions where recovery of the rewound target can start.
 *
 * Early: at the last common checkpoint (or the source's own when that is older: a standby whose
 * restartpoint lags). Late: at the source's last checkpoint, as the recovery of a base backup
 * would; then whatever the source's WAL up to there touches is fetched as well.
 */
#ifndef RECOVERY_START_START_H
#define RECOVERY_START_START_H

#include "base/error.h"
#include "format/control.h"
#include "format/history.h"
#include "wal/scan.h"

typedef struct Start
{
    Lsn redo;
    Lsn checkpoint;    /* where its record starts */
    Timeline timeline; /* of the checkpoint */
    uint64_t next_xid;
    Oid next_oid; /* no relation made before the checkpoint has this number, or a greater one */
} Start;

/*
 * The start for this divergence. common is the last common checkpoint, a record of the target's
 * that it finished itself.
 */
Start start_early(const ScanCheckpoint *common, const Control *source);

/* Recovery as that of a base backup of the source: from its own last checkpoint. */
Start start_of_source(const Control *source);

/*
 * The last copy of a database's files in the WAL to be replayed: CREATE DATABASE by file copy, or
 * SET TABLESPACE. Replay copies the template as it stands in the rewound target. NULL if there is
 * no copy.
 */
const ScanDatabase *start_last_copy(const ScanResult *chain);

/* A database whose replayed copy would not be what the source has. */
typedef struct UnsafeCopy
{
    bool found;
    ScanDatabase copy;
    bool dropped; /* the template is gone; else it was changed */
} UnsafeCopy;

/*
 * Find a directory of a database that replay would copy although it is no longer what it was when
 * the source copied it: the copy would have blocks from a later time if the source changed the
 * template afterwards, or nothing if it was dropped. chain is the scan of the source's WAL from the
 * start on, stream the same WAL. A primary removes a directory before it logs that. So the answer
 * is complete only for a source whose WAL tells of all that it has removed: a standby, and a
 * primary that is as it was promoted.
 */
MUST_CHECK bool start_find_unsafe_copy(const WalStream *stream, int jobs, const ScanResult *chain,
                                       UnsafeCopy *unsafe, Error *error);

/*
 * True if the source is a primary that has not completed a checkpoint since it was promoted. Then
 * it has not begun to remove a directory since: DROP DATABASE and SET TABLESPACE first wait for a
 * checkpoint (dropdb and movedb, commands/dbcommands.c, 10 to 18). *promoted is where.
 */
bool start_is_as_promoted(const Control *source, const History *history, Lsn *promoted);

/*
 * When a standby whose recovery starts there takes connections, by the WAL that was scanned, up to
 * `end`. It must know all running transactions: from a shutdown checkpoint, from a list that is
 * complete, or, after one that is not, when all have ended that ran then
 * (ProcArrayApplyRecoveryInfo, storage/ipc/procarray.c, 9.3 to 19).
 */
typedef enum StartOpening
{
    OPENING_UNKNOWN, /* no list of running transactions was scanned */
    OPENING_AT_ONCE,
    OPENING_LATER
} StartOpening;
StartOpening start_opening(const Start *start, const ScanResult *scanned, Lsn end);

/*
 * The late start, at the checkpoint in the source's pg_control, if it is one: at or after the
 * divergence, after the record at `after` (LSN_INVALID: none), with full_page_writes.
 */
bool start_late(const Control *source, Lsn divergence, Lsn after, Start *start);

#endif
