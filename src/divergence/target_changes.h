/*
 * The target's changes since the last common checkpoint: those in its WAL, and those that no WAL
 * names.
 */
#ifndef DIVERGENCE_TARGET_CHANGES_H
#define DIVERGENCE_TARGET_CHANGES_H

#include "divergence/divergence.h"

typedef struct TargetChanges
{
    bool known;         /* the other members are set */
    ScanResult scanned; /* result of reading its WAL, from an LSN early enough to name every block
                           that may differ */
    bool dead_entries_unlogged; /* index entries that the source needs may be marked as dead,
                                   without WAL (stage/unnamed_blocks.h) */
    uint64_t lost_prepared;     /* number of prepared transactions that are lost */
    const char **lost_gids;     /* GIDs of these transactions, in the arena */
} TargetChanges;

/*
 * Find the target's changes in its WAL, which divergence->scan holds, from the last common
 * checkpoint on. The scan begins further back if hint bits may have been set without WAL for
 * transactions that source and target know differently (design/unlogged-changes.md).
 *
 * Fails, too, if the target ran with settings under which its WAL lacks some changes, or if nothing
 * proves that it did not; *changes is set even then. For this proof all of the source's WAL may be
 * read. (Rule C1.)
 */
MUST_CHECK bool target_changes_scan(const DivergenceInput *input, const Divergence *divergence,
                                    Arena *arena, TargetChanges *changes, Error *error);

#endif
