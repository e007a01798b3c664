#include "phases/run.h"

#include "apply/apply.h"
#include "base/log.h"
#include "base/workers.h"
#include "io/dir.h"

#include <stdlib.h>
#include <unistd.h>

static bool finish_pending(Run *run, RewindOutcome *outcome, Error *error)
{
    ApplyOptions apply = {.syncfs = run->options->syncfs,
                          .jobs = run->options->jobs,
                          .patience_seconds = APPLY_PATIENCE_SECONDS};

    *outcome = REWIND_COMMITTED;
    signals_hold_off();
    if (!interlock_claim_pid_file(run->interlock, error) ||
        !apply_finish(run->options->target, run->interlock, &apply, error))
        return false;
    *outcome = REWIND_DONE;
    run->report->resumed = true;
    return true;
}

/* What an earlier run left is finished or thrown away. *finished: the target is now rewound, nothing more to do. */
static bool handle_pending(Run *run, bool *finished, RewindOutcome *outcome, Error *error)
{
    PendingState state;
    const char *description = NULL;

    *finished = false;
    if (!apply_pending(run->options->target, run->arena, &state, &description, error))
        return false;
    if (state == PENDING_APPLY || state == PENDING_CLEANUP)
    {
        *finished = true;
        run->report->rewind_needed = true;
        if (run->options->dry_run)
        {
            log_info("servers diverged at WAL location %s", description); /* contract: callers look for it */
            log_info("an interrupted rewind is pending; running without --dry-run finishes it");
            return true;
        }
        log_info("finishing an interrupted rewind: servers diverged at WAL location %s", description);
        if (!finish_pending(run, outcome, error))
            return false;
        log_info("Done!"); /* contract */
        return true;
    }
    if (run->options->dry_run)
        return true;
    return stage_remove_stale(run->options->target, error) && dir_remove_tree(run->scratch, error);
}

static bool open_target(Run *run, Error *error)
{
    const char *target = run->options->target;

    if (!target_open(run->arena, target, &run->target, error) ||
        !interlock_acquire(target, &run->interlock, error))
        return false;
    if (!run->options->dry_run)
    {
        run->scratch = arena_printf(run->arena, "%s/" WORK_DIRECTORY ".wal", target);
        return true;
    }
    /* A dry run writes nothing in the target. */
    run->scratch = arena_printf(run->arena, "%s/pg_rewind.%ld.wal",
                                getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp", (long) getpid());
    return true;
}

bool phase_open(Run *run, bool *finished, RewindOutcome *outcome, Error *error)
{
    return open_target(run, error) && handle_pending(run, finished, outcome, error);
}
