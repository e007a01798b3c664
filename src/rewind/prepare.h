/*
 * The plan of a rewind: both directories are listed, each file is decided upon, and blocks that no
 * WAL names are looked for.
 */
#ifndef REWIND_PREPARE_H
#define REWIND_PREPARE_H

#include "base/arena.h"
#include "base/error.h"
#include "base/log.h"
#include "pair/clusters.h"
#include "options.h"
#include "plan/keep.h"
#include "plan/listing.h"
#include "plan/plan.h"
#include "recovery_start/recovery_start.h"
#include "standby/standby_settings.h"

#include <stdbool.h>

typedef struct Planned
{
    bool known; /* there is a plan, with all blocks that must be fetched */
    Listing source_files;
    Listing target_files;
    PlanInput input; /* that the plan was made from */
    Plan plan;
    SourceState source;      /* as it was read last */
    uint64_t compared_bytes; /* where all blocks are compared */
    Keep keep;               /* what the options say, and the files that the configuration names */
    BlockMap *named;         /* input.scan's, where the target's WAL does not name them all */
    ScanResult changes;      /* input.scan */
} Planned;

typedef struct PrepareInput
{
    const StartInput *known;                 /* by which the start was chosen */
    const RecoveryStart *start;              /* the one to plan for */
    const StandbySettings *standby_settings; /* NULL without -R */
    const Problems *problems; /* with any of them the run ends before anything is staged, so the
                                 files are not read for more blocks */
    bool first;               /* remarks on patterns and tablespace mappings were not printed yet */
} PrepareInput;

/* Make the plan. planned_free in any case. */
MUST_CHECK bool prepare_plan(const PrepareInput *input, Arena *arena, Planned *planned,
                             Error *error);

/*
 * A plan without any blocks: what a rewind would do at least. It finds what is wrong with the
 * target's files where a real plan cannot be made.
 */
MUST_CHECK bool prepare_least_plan(const Clusters *clusters, const SourceState *source,
                                   const Options *options, Arena *arena, Planned *planned,
                                   Error *error);

void planned_free(Planned *planned);

#endif
