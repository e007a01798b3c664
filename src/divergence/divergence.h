/*
 * Where the two histories diverge, and the last checkpoint that they have in common.
 */
#ifndef DIVERGENCE_DIVERGENCE_H
#define DIVERGENCE_DIVERGENCE_H

#include "base/arena.h"
#include "base/error.h"
#include "cluster/clusters.h"
#include "wal/scan.h"
#include "wal_sources/source_wal.h"
#include "wal_sources/target_wal.h"

#include <stdbool.h>

typedef struct Divergence
{
    bool needed;                      /* the target has WAL past it: a rewind is needed */
    Lsn lsn;                          /* LSN_INVALID: not known (--compare) */
    Lsn target_end;                   /* end of the target's WAL */
    ScanCheckpoint common_checkpoint; /* the last common checkpoint; nothing with --compare */
    WalScan *scan;                    /* the target's WAL, read to its end; NULL with --compare */
    Lsn printed;               /* as the message says it: lsn, with --compare what the histories
                                  say; LSN_INVALID: there is no message */
    Timeline printed_timeline; /* of the target, right before it */
} Divergence;

/*
 * Read the target's WAL to its end, and find where it stops being the source's: what the history
 * files say is only the latest point that is possible; bytes decide, and must prove it. On failure
 * *divergence holds what was found until then. divergence->scan is the caller's to destroy in any
 * case.
 */
MUST_CHECK bool divergence_find(const Clusters *clusters, const SourceState *state,
                                const TargetWal *target_wal, SourceWal *source_wal, int jobs,
                                Arena *arena, Divergence *divergence, Error *error);

/*
 * Do the history files alone show that the target has diverged? It has gone past the latest point
 * that they leave in common. False where only its WAL can tell.
 */
bool divergence_is_certain(const Clusters *clusters);

/* With --compare: nothing of the target's WAL is read, so none of it is kept. */
void divergence_leave_unknown(const Clusters *clusters, Divergence *divergence);

#endif
