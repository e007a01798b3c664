/*
 * Blocks that no WAL names: the files of a plan are read for them, and they are named in a block
 * map, as a scan would name them.
 */
#ifndef STAGE_UNNAMED_BLOCKS_H
#define STAGE_UNNAMED_BLOCKS_H

#include "plan/plan.h"
#include "recovery_start/recovery_start.h"

/*
 * Find index entries that the target marked as dead without WAL, on pages that none of its WAL
 * names (design/unlogged-changes.md). Read each relation's file that the plan leaves in place
 * (REASON_BLOCKS_NAMED; only its pages show whether it is an index), in every database of which
 * `blocks` names a relation, and add each page that may hold such an entry to `blocks`.
 * (Rule U5.)
 */
MUST_CHECK bool dead_entries_find(const Target *target, const Plan *plan, int jobs,
                                  BlockMap *blocks, Error *error);

typedef struct ComparedBlocks
{
    BlockMap *blocks;   /* blocks that differ; the caller destroys the map */
    uint64_t bytes;     /* bytes that were compared */
    SourceState source; /* the source's state, as it was last read during the comparison */
} ComparedBlocks;

/*
 * --compare: find changed blocks by comparison instead of by the target's WAL. Every block of every
 * main fork of the plan that both sides have is compared with the source's block; differing blocks
 * are named. Of a large file a sample is compared first: if the sample shows that the file will be
 * replaced, all blocks of the file are named without comparing the rest. (Rule K8.)
 *
 * Recovery starts at the source's own last checkpoint, which is read before the first block. A
 * block found equal is as good as a fetched one: both equal the source's block as read after the
 * checkpoint (design/comparing.md). WAL that the source writes during the comparison is fetched
 * from time to time, before the source removes the WAL. *result is set even after a failure. (Rule
 * K1.)
 */
MUST_CHECK bool compared_blocks_find(SourceWal *source_wal, const Divergence *divergence,
                                     const RecoveryStart *start, const Plan *plan,
                                     ComparedBlocks *result, Error *error);

#endif
