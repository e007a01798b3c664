/*
 * The plan of a rewind: both directories are listed, each file is decided upon, and blocks that no
 * WAL names are looked for.
 */
#ifndef REWIND_PLANNING_H
#define REWIND_PLANNING_H

#include "base/arena.h"
#include "base/error.h"
#include "base/problems.h"
#include "pair/clusters.h"
#include "divergence/divergence.h"
#include "divergence/target_changes.h"
#include "options.h"
#include "plan/keep.h"
#include "plan/listing.h"
#include "plan/plan.h"
#include "recovery_start/choose.h"
#include "standby/standby_settings.h"
#include "wal_store/source_wal.h"

#include <stdbool.h>

typedef struct Planned
{
    bool known; /* there is a plan, with all blocks that must be fetched */
    Listing source_files;
    Listing target_files;
    PlanInput input; /* that the plan was made from */
    Plan plan;
    SourceState source;      /* as it was read last */
    uint64_t compared_bytes; /* with --compare */
    Keep keep;               /* what the options say, and the files that the configuration names */
    BlockMap *named;         /* input.scan's, where the target's WAL does not name them all */
    ScanResult changes;      /* input.scan */
} Planned;

/*
 * Make the plan for this start of recovery. changes is NULL with --compare, standby_settings
 * without -R. With problems, which
 * end the run before anything is staged, the files are not read for more blocks. first: remarks on
 * patterns and tablespace mappings were not printed before. planned_free in any case.
 */
MUST_CHECK bool planning_make(const Clusters *clusters, const Divergence *divergence,
                              const TargetChanges *changes, const RecoveryStart *start,
                              const StandbySettings *standby_settings, SourceWal *source_wal,
                              const Options *options, const Problems *problems, bool first,
                              Arena *arena, Planned *planned, Error *error);

/*
 * A plan without any blocks: what a rewind would do at least. For finding what is wrong with the
 * target's files where a real plan cannot be made.
 */
MUST_CHECK bool planning_make_least(const Clusters *clusters, const SourceState *source,
                                    const Options *options, Arena *arena, Planned *planned,
                                    Error *error);

void planned_free(Planned *planned);

#endif
