/*
 * --compare: what the target's WAL would tell is found by comparing. Every block of every main fork
 * that both sides have is compared with the source's; those that differ are named in a block map,
 * as a scan would name them.
 *
 * Recovery starts at the source's own last checkpoint, read before the first block. A block that is
 * found equal is a copy of the source's as it was read after that, like a block that is fetched:
 * design/comparing.md.
 */
#ifndef STAGE_COMPARED_BLOCKS_H
#define STAGE_COMPARED_BLOCKS_H

#include "base/error.h"
#include "pair/clusters.h"
#include "divergence/divergence.h"
#include "options.h"
#include "plan/plan.h"
#include "recovery_start/recovery_start.h"
#include "wal/blockmap.h"
#include "wal_store/source_wal.h"

typedef struct ComparedBlocks
{
    BlockMap *blocks;   /* that differ; the caller's */
    uint64_t bytes;     /* that were compared */
    SourceState source; /* as it was read last: comparing takes its time */
} ComparedBlocks;

/*
 * Compare the relations of the plan. What WAL the source writes in the meantime is fetched from
 * time to time, before it removes that. *result is set also after a failure.
 */
MUST_CHECK bool compared_blocks_find(SourceWal *source_wal, const Divergence *divergence,
                                     const RecoveryStart *start, const Plan *plan,
                                     ComparedBlocks *result, Error *error);

#endif
