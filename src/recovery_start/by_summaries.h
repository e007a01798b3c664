/*
 * What the source changed before a late start, by its summaries of WAL. design/summaries.md
 */
#ifndef RECOVERY_START_BY_SUMMARIES_H
#define RECOVERY_START_BY_SUMMARIES_H

#include "base/arena.h"
#include "base/error.h"
#include "pair/clusters.h"
#include "divergence/divergence.h"
#include "divergence/target_changes.h"
#include "wal_store/source_summaries.h"

#include <stdbool.h>

/*
 * Read the source's summaries of [from, to), from where both histories are still one, as far as
 * they lead. *usable only if they lead past the divergence, and say of the common WAL what the
 * target's own WAL says. source_summaries_free in any case.
 */
MUST_CHECK bool read_source_summaries(const Clusters *clusters, const Divergence *divergence,
                                      const TargetChanges *changes, Lsn from, Lsn to, int jobs,
                                      Arena *arena, SourceSummaries *summaries, bool *usable,
                                      Error *error);

#endif
