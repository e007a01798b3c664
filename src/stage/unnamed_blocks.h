/*
 * Blocks that no WAL names: the files of a plan are read for them, and they are named in a block
 * map, as a scan would name them.
 */
#ifndef STAGE_UNNAMED_BLOCKS_H
#define STAGE_UNNAMED_BLOCKS_H

#include "plan/plan.h"
#include "recovery_start/recovery_start.h"

/*
 * Index entries that the target marked as dead without WAL, on pages that none of its WAL names:
 * design/unlogged-changes.md. Read the target's files of all databases that `blocks` names, as far
 * as the plan patches them, and name each page there as well that may hold such an entry.
 * (Rule U5.)
 */
MUST_CHECK bool dead_entries_find(const Target *target, const Plan *plan, int jobs,
                                  BlockMap *blocks, Error *error);

typedef struct ComparedBlocks
{
    BlockMap *blocks;   /* that differ; the caller's */
    uint64_t bytes;     /* that were compared */
    SourceState source; /* as it was read last: comparing takes its time */
} ComparedBlocks;

/*
 * --compare: what the target's WAL would tell is found by comparing. Every block of every main fork
 * of the plan that both sides have is compared with the source's; those that differ are named. But
 * of a large file a sample is compared first: where that shows that the file will be replaced, all
 * of its blocks are named instead. (Rule K8.)
 *
 * Recovery starts at the source's own last checkpoint, read before the first block. A block that is
 * found equal is a copy of the source's as it was read after that, like a block that is fetched:
 * design/comparing.md. What WAL the source writes in the meantime is fetched from time to time,
 * before it removes that. *result is set also after a failure. (Rule K1.)
 */
MUST_CHECK bool compared_blocks_find(SourceWal *source_wal, const Divergence *divergence,
                                     const RecoveryStart *start, const Plan *plan,
                                     ComparedBlocks *result, Error *error);

#endif
