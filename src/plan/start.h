/*
 * Where recovery of the rewound target starts.
 *
 * A value that the plan computes: today always the last common checkpoint, or the source's own when that is older (a standby
 * whose restartpoint lags); a later checkpoint of the source can take its place without a change elsewhere.
 */
#ifndef PLAN_START_H
#define PLAN_START_H

#include "base/error.h"
#include "format/control.h"
#include "plan/divergence.h"
#include "wal/scan.h"

typedef struct Start
{
    Lsn redo;
    Lsn checkpoint;    /* where its record starts */
    Timeline timeline; /* of the checkpoint */
    uint64_t next_xid;
    Lsn scan_floor;    /* the target's WAL from here on names every block that may differ */
} Start;

/*
 * The start for this divergence. common is the last common checkpoint, a record of the target's that it finished itself.
 */
Start start_early(const ScanCheckpoint *common, const Control *source);

/*
 * Would replay copy the directory of a database that is no longer what it was when the source copied it? CREATE DATABASE by file
 * copy (and SET TABLESPACE) is replayed by copying the template as it stands in the rewound target: with blocks from a later time
 * if the source changed it afterwards, or nothing if the source dropped it. chain is the scan of the source's WAL from the start on,
 * stream the same WAL. Refuses (ERROR_FAILED) where an early start would be wrong.
 */
MUST_CHECK bool start_check_file_copies(const WalStream *stream, int jobs, const ScanResult *chain,
                                        Error *error);

#endif
