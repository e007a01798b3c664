/*
 * The target's changes since the last common checkpoint: by its WAL, and those that no WAL names.
 */
#ifndef DIVERGENCE_TARGET_CHANGES_H
#define DIVERGENCE_TARGET_CHANGES_H

#include "divergence/divergence.h"

typedef struct TargetChanges
{
    bool known;                 /* the following are set */
    ScanResult scanned;         /* of its WAL, from where that names every block that may differ */
    bool dead_entries_unlogged; /* its indexes may mark entries as dead that the source needs, on
                                   pages that no WAL names: stage/unnamed_blocks.h */
    uint64_t lost_prepared;     /* transactions that were prepared and are lost */
    const char **lost_gids;     /* of these; in the arena */
} TargetChanges;

/*
 * Read the target's WAL, which divergence->scan holds, from the last common checkpoint on; from
 * further back where hint bits may have been set without WAL for transactions that source and
 * target know differently (design/unlogged-changes.md). An error also where the target ran with
 * settings under which its WAL does not tell every change, or where nothing proves that it did not;
 * *changes is set then as well. For such a proof all of the source's WAL may be read. (Rule C1.)
 */
MUST_CHECK bool target_changes_scan(const DivergenceInput *input, const Divergence *divergence,
                                    Arena *arena, TargetChanges *changes, Error *error);

#endif
