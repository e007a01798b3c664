/*
 * Index entries that the target marked as dead without WAL, on pages that none of its WAL names:
 * design/unlogged-changes.md. They are looked for on the pages themselves.
 */
#ifndef STAGE_DEAD_ENTRIES_H
#define STAGE_DEAD_ENTRIES_H

#include "base/error.h"
#include "target/target.h"
#include "plan/plan.h"
#include "wal/blockmap.h"

/*
 * Read the target's files of all databases that `blocks` names, as far as the plan patches them,
 * and name each page there as well that may hold such an entry.
 */
MUST_CHECK bool dead_entries_find(const Target *target, const Plan *plan, int jobs,
                                  BlockMap *blocks, Error *error);

#endif
