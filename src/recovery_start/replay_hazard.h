/*
 * Hazards: things that replay from a start would do wrongly.
 */
#ifndef RECOVERY_START_REPLAY_HAZARD_H
#define RECOVERY_START_REPLAY_HAZARD_H

#include "base/error.h"
#include "pair/clusters.h"
#include "options.h"
#include "wal/scan.h"

#include <stdbool.h>

/*
 * Replay would copy a database that is not what it was, make a tablespace where it must not be, or
 * leave torn pages (full_page_writes off). A start past it is right.
 */
typedef struct ReplayHazard
{
    bool found;
    bool checkpoint_follows;    /* a primary makes a checkpoint at once, unasked */
    bool copies_come_out_right; /* there are copies of databases, and nothing else: each comes out
                                   as it is on the source */
    Lsn lsn;                    /* a start must lie past this record; LSN_INVALID: not known */
    Error error;                /* to be reported where there is no such start */
} ReplayHazard;

/* Look for one in the source's WAL from a start on: `chain` is the scan of all of `stream`, state
 * the source as it was read last. */
MUST_CHECK bool replay_hazard_find(const Clusters *clusters, const SourceState *state,
                                   const Options *options, const WalStream *stream,
                                   const ScanResult *chain, ReplayHazard *hazard, Error *error);

#endif
